#include "acme-server/challenge.h"

#include <string.h>

#include "core/util/mem.h"

/* What stands before the name, with its dots. dns-01's always fits: other names are not ordered. */
#define ACCOUNT_PREFIX_LEN (ZONE_ACCOUNT_LABEL_LEN + 1 + sizeof(ACME_LABEL))
#define PERSIST_PREFIX_LEN sizeof(ZONE_PERSIST_LABEL)

static const struct {
    const char *name;
    bool for_wildcards, for_ips, has_token;
    size_t base_max;
} TYPES[CHALLENGE_TYPES_N] = {
    [CHALLENGE_DNS01] = {"dns-01", true, false, true, NAME_TEXT_MAX},
    [CHALLENGE_HTTP01] = {"http-01", false, true, true, NAME_TEXT_MAX},
    [CHALLENGE_TLSALPN01] = {"tls-alpn-01", false, true, true, NAME_TEXT_MAX},
    [CHALLENGE_DNSACCOUNT01] = {"dns-account-01", true, false, true,
                                NAME_TEXT_MAX - ACCOUNT_PREFIX_LEN},
    [CHALLENGE_DNSPERSIST01] = {"dns-persist-01", true, false, false,
                                NAME_TEXT_MAX - PERSIST_PREFIX_LEN},
};

const char *challenge_name(enum challenge_type type)
{
    return TYPES[type].name;
}

struct err challenge_find(const char *name, enum challenge_type *out)
{
    for (size_t i = 0; i < ARRAY_N(TYPES); i++) {
        if (strcmp(TYPES[i].name, name) == 0) {
            *out = (enum challenge_type)i;
            return err_ok();
        }
    }
    FAIL(ERR_NOT_FOUND, "no challenge type has this name");
}

bool challenge_fits(enum challenge_type type, const struct ident *ident)
{
    if (ident->is_ip) {
        return TYPES[type].for_ips;
    }
    return (!ident->is_wildcard || TYPES[type].for_wildcards) &&
           strlen(ident->base) <= TYPES[type].base_max;
}

bool challenge_has_token(enum challenge_type type)
{
    return TYPES[type].has_token;
}

struct err challenge_token(const uint8_t seed[ACME_SEED_LEN], enum challenge_type type,
                           char out[ACME_TOKEN_LEN + 1])
{
    uint8_t mac[SHA256_LEN];
    const char *name = challenge_name(type);

    TRY(hmac_sha256(seed, ACME_SEED_LEN, name, strlen(name), mac));
    base64url_encode(mac, sizeof(mac), out);
    return err_ok();
}

struct err challenge_digest(const char *token, const char *thumbprint,
                            char out[CHALLENGE_DIGEST_LEN + 1])
{
    char key_authorization[ACME_TOKEN_LEN + 1 + SHA256_B64_LEN];
    uint8_t hash[SHA256_LEN];

    if (strlen(token) != ACME_TOKEN_LEN || strlen(thumbprint) != SHA256_B64_LEN) {
        FAIL(ERR_INTERNAL, "a token or thumbprint of another length");
    }
    memcpy(key_authorization, token, ACME_TOKEN_LEN);
    key_authorization[ACME_TOKEN_LEN] = '.';
    memcpy(key_authorization + ACME_TOKEN_LEN + 1, thumbprint, SHA256_B64_LEN);
    TRY(sha256(key_authorization, sizeof(key_authorization), hash));
    base64url_encode(hash, sizeof(hash), out);
    return err_ok();
}

struct err challenge_account_label(const char *account_url, char out[ZONE_ACCOUNT_LABEL_LEN + 1])
{
    uint8_t hash[SHA256_LEN];

    TRY(sha256(account_url, strlen(account_url), hash));
    out[0] = '_';
    base32_encode(hash, 10, out + 1);
    return err_ok();
}
