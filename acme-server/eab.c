#include "acme-server/eab.h"

#include <string.h>

#include <openssl/evp.h>

#include "acme-server/jwk_internal.h"
#include "acme-server/jws.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define MAC_LEN_MAX 64u /* HS512 */

static const char *digest_name(unsigned mac_bits)
{
    return mac_bits == 256 ? "SHA256" : mac_bits == 384 ? "SHA384" : "SHA512";
}

static struct err check_mac(const struct jws *jws, const uint8_t *key, size_t key_len,
                            bool *is_good)
{
    uint8_t mac[MAC_LEN_MAX];
    size_t mac_len = 0;

    if (EVP_Q_mac(NULL, "HMAC", NULL, digest_name(jws->mac_bits), NULL, key, key_len,
                  (const unsigned char *)jws->signing_input, jws->signing_input_len, mac,
                  sizeof(mac), &mac_len) == NULL) {
        FAIL_OSSL("EVP_Q_mac");
    }
    *is_good = ct_equal(mac, mac_len, jws->sig, jws->sig_len);
    return err_ok();
}

/* An unknown client's MAC is computed all the same, with the key that nobody has. */
static struct err authenticate(struct access *access, const struct jws *jws, bool *is_good,
                               char client[CLIENT_NAME_MAX + 1])
{
    uint8_t key[ACCESS_KEY_MAX];
    size_t key_len = 0;

    struct err found = access_key(access, jws->kid, key, &key_len, client);
    if (found.code != ERR_OK && found.code != ERR_NOT_FOUND) {
        return found;
    }
    struct err e = check_mac(jws, key, key_len, is_good);
    mem_wipe(key, sizeof(key));
    *is_good = *is_good && found.code == ERR_OK;
    return e;
}

static struct err check_payload(const struct jws *jws, const struct jwk *outer_key,
                                struct problem *prob)
{
    AUTO(json_decrefp) json_t *object = NULL;
    AUTO(jwk_freep) struct jwk *key = NULL;

    TRY(jws_json_parse("The external account binding's payload", jws->payload, jws->payload_len,
                       &object, prob));
    TRY(jwk_from_json(object, 0, &key, prob));
    if (!jwk_equal(key, outer_key)) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The external account binding is for another key: its payload must be the account "
               "key (jwk) that signs this request (RFC 8555 section 7.3.4).");
    }
    return err_ok();
}

static struct err parse(const json_t *eab, const char *outer_url, struct jws *jws,
                        struct problem *prob)
{
    if (!json_is_object(eab)) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"externalAccountBinding\" must be a JWS in its flattened form (RFC 8555 section "
               "7.3.4).");
    }
    if (json_dumpb(eab, NULL, 0, JSON_COMPACT) > EAB_JSON_MAX) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "\"externalAccountBinding\" is longer than %u bytes.",
               EAB_JSON_MAX);
    }
    AUTO(json_decrefp) json_t *copy = json_deep_copy(eab);
    TRY_PTR(copy);
    TRY(jws_from_json(copy, JWS_BINDING, 0, jws, prob));
    if (strcmp(jws->url, outer_url) != 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The external account binding is for another URL: its \"url\" must be that of this "
               "request, %.200s.",
               outer_url);
    }
    return err_ok();
}

struct err eab_verify(struct access *access, const json_t *eab, const char *outer_url,
                      const struct jwk *outer_key, const struct ip_addr *peer,
                      char client_out[CLIENT_NAME_MAX + 1], struct problem *prob)
{
    AUTO(jws_clear) struct jws jws = {0};
    char client[CLIENT_NAME_MAX + 1];
    bool is_good = false;

    prob->is_binding = true;
    TRY(parse(eab, outer_url, &jws, prob));
    if (access_is_throttled(access, peer)) {
        FAIL(ERR_LIMIT, "too many wrong credentials from this address: wait a minute");
    }
    TRY(authenticate(access, &jws, &is_good, client));
    if (!is_good) {
        access_count_failure(access, peer);
        REJECT(prob, PROBLEM_UNAUTHORIZED, 0,
               "The external account binding does not verify: its \"kid\" is no client's name, or "
               "its MAC key is not that client's secret. 'bailiwick client list' names the "
               "clients; the secret is the MAC key in base64.");
    }
    TRY(check_payload(&jws, outer_key, prob));
    memcpy(client_out, client, sizeof(client));
    return err_ok();
}
