#include "ca/ca_private.h"

#include <string.h>

#include "ca/chain.h"
#include "ca/ossl.h"

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define HOUR_S ((int64_t)3600)

void ca_leaf_clear(struct ca_leaf *leaf)
{
    mem_free(leaf->der);
    mem_free(leaf->chain_pem);
    memset(leaf, 0, sizeof(*leaf));
}

static struct err choose_start(const struct ca_leaf_request *request, int64_t now, int64_t *out,
                               struct ca_refusal *refusal)
{
    if (request->not_before == 0) {
        *out = now - CA_BACKDATE_S;
        return err_ok();
    }
    int64_t lifetime = request->profile->lifetime_s;
    int64_t earliest = now - (lifetime - 2 < HOUR_S ? lifetime - 2 : HOUR_S);
    if (request->not_before < earliest || request->not_before >= now + lifetime) {
        char from[CLOCK_RFC3339_LEN + 1];
        char until[CLOCK_RFC3339_LEN + 1];
        clock_rfc3339(earliest, from);
        clock_rfc3339(now + lifetime - 1, until);
        return ca_refuse(refusal, false,
                         "The requested notBefore must lie between %s and %s for the profile %s; "
                         "leave it out to start now.",
                         from, until, request->profile->name);
    }
    *out = request->not_before;
    return err_ok();
}

static struct err choose_dates(const struct ca *ca, const struct ca_leaf_request *request,
                               struct ca_leaf *leaf, struct ca_refusal *refusal)
{
    int64_t now = clock_unix_s();

    TRY(choose_start(request, now, &leaf->not_before, refusal));
    int64_t latest = leaf->not_before + request->profile->lifetime_s - 1;
    if (latest > ca->intermediate_not_after) {
        latest = ca->intermediate_not_after;
    }
    if (latest <= now) {
        FAIL(ERR_BAD_STATE, "the intermediate certificate has expired: the CA must be renewed "
                            "before it can issue again");
    }
    if (latest <= leaf->not_before) {
        char text[CLOCK_RFC3339_LEN + 1];
        clock_rfc3339(ca->intermediate_not_after, text);
        return ca_refuse(refusal, false,
                         "The requested notBefore must lie before %s, when the intermediate "
                         "certificate ends; leave it out to start now.",
                         text);
    }
    if (request->not_after != 0 &&
        (request->not_after <= leaf->not_before || request->not_after > latest)) {
        char text[CLOCK_RFC3339_LEN + 1];
        clock_rfc3339(latest, text);
        return ca_refuse(refusal, false,
                         "The requested notAfter must lie after notBefore and not past %s, the "
                         "latest that the profile %s allows; leave it out for the longest.",
                         text, request->profile->name);
    }
    leaf->not_after = request->not_after == 0 ? latest : request->not_after;
    return err_ok();
}

static struct err push_name(GENERAL_NAMES *names, int type, int asn1_type, const void *data,
                            size_t len)
{
    AUTO(general_name_freep) GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(asn1_type);

    if (name == NULL || value == NULL) {
        ASN1_STRING_free(value);
        FAIL(ERR_NOMEM, "subjectAltName");
    }
    GENERAL_NAME_set0_value(name, type, value);
    TRY_OSSL(ASN1_STRING_set(value, data, (int)len));
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        FAIL_OSSL("sk_GENERAL_NAME_push");
    }
    name = NULL;
    return err_ok();
}

static struct err push_address(GENERAL_NAMES *names, const struct ip_addr *ip)
{
    if (ip->family != 4 && ip->family != 6) {
        FAIL(ERR_INTERNAL, "an address without a family");
    }
    return push_name(names, GEN_IPADD, V_ASN1_OCTET_STRING, ip->bytes, ip->family == 4 ? 4 : 16);
}

static struct err collect_names(const struct ca_leaf_request *request, GENERAL_NAMES *names)
{
    char text[IDENT_TEXT_MAX + 1];

    for (size_t i = 0; i < request->idents_n; i++) {
        const struct ident *id = &request->idents[i];
        const struct ip_addr ip = ident_ip(id);
        if (id->is_ip) {
            TRY(push_address(names, &ip));
            continue;
        }
        ident_text(id, text);
        TRY(push_name(names, GEN_DNS, V_ASN1_IA5STRING, text, strlen(text)));
    }
    for (size_t i = 0; i < request->ips_n; i++) {
        TRY(push_address(names, &request->ips[i]));
    }
    return err_ok();
}

static struct err check_profile(const struct ca_csr *csr, const struct ca_profile *profile,
                                struct ca_refusal *refusal)
{
    char allowed[PROFILE_KEYS_TEXT_MAX + 1];
    char used[PROFILE_KEYS_TEXT_MAX + 1];

    if (!profile->has_server_auth && !profile->has_client_auth) {
        FAIL(ERR_INTERNAL, "the profile %s has no usage", profile->name);
    }
    if ((ca_csr_key_type(csr) & profile->key_types) == 0) {
        profile_keys_text(profile->key_types, allowed);
        profile_keys_text(ca_csr_key_type(csr), used);
        return ca_refuse(refusal, true,
                         "The profile %s does not issue for %s keys; make a CSR with a key of the "
                         "type %s, or a new order with another profile.",
                         profile->name, used, allowed);
    }
    return err_ok();
}

struct err ca_issue(struct ca *ca, const struct ca_csr *csr, const struct ca_leaf_request *request,
                    struct ca_leaf *out, struct ca_refusal *refusal)
{
    AUTO(ca_leaf_clear) struct ca_leaf leaf = {0};
    AUTO(general_names_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
    struct cert_spec spec = {
        .issuer = X509_get_subject_name(ca->intermediate),
        .spki = csr->spki,
        .spki_len = csr->spki_len,
        .pathlen = CERT_PATHLEN_NONE,
        .key_usage = KU_DIGITAL_SIGNATURE,
        .has_server_auth = request->profile->has_server_auth,
        .has_client_auth = request->profile->has_client_auth,
        .names = names,
        .issuer_key_id = ca->intermediate_key_id,
    };

    TRY_PTR(names);
    if (request->idents_n + request->ips_n == 0) {
        FAIL(ERR_INTERNAL, "a certificate without a name");
    }
    TRY(check_profile(csr, request->profile, refusal));
    if (csr->kind == KEY_RSA) {
        spec.key_usage |= KU_KEY_ENCIPHERMENT;
    }
    TRY(choose_dates(ca, request, &leaf, refusal));
    TRY(collect_names(request, names));
    TRY(cert_serial(spec.serial));
    hex_encode(spec.serial, sizeof(spec.serial), leaf.serial);
    spec.not_before = leaf.not_before;
    spec.not_after = leaf.not_after;
    TRY(cert_make(&spec, ca->signer, SIGNER_INTERMEDIATE, ca->verifier, &leaf.der, &leaf.der_len));
    TRY(chain_join(leaf.der, leaf.der_len, ca->intermediate_pem, &leaf.chain_pem));
    *out = leaf;
    memset(&leaf, 0, sizeof(leaf));
    return err_ok();
}
