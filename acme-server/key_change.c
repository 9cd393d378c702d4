/* Account key rollover (RFC 8555 §7.3.5): the steps 2 to 8 of what the server must check. */
#include <string.h>

#include "acme-server/eab.h"
#include "acme-server/jwk_internal.h"
#include "acme-server/jws.h"
#include "core/util/mem.h"

static struct err check_signature(const struct jws *inner, struct problem *prob)
{
    struct err e = jws_verify(inner, inner->jwk, prob);

    if (e.code == ERR_REJECTED) {
        REJECT(prob, prob->type, 0,
               "The inner JWS is not signed by its \"jwk\", the new key: sign it with the new key "
               "and %s.",
               jwk_alg_name(jwk_alg(inner->jwk)));
    }
    return e;
}

static struct err check_account(const json_t *object, const char *account_url, struct problem *prob)
{
    const json_t *account = json_object_get(object, "account");

    if (!json_is_string(account)) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The inner JWS's payload lacks \"account\", the account's URL, as a string.");
    }
    if (strcmp(json_string_value(account), account_url) != 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"account\" in the inner JWS's payload is not the account that signs this request: "
               "it must be the outer \"kid\".");
    }
    return err_ok();
}

static struct err check_old_key(const json_t *object, const struct jwk *old_key,
                                struct problem *prob)
{
    AUTO(jwk_freep) struct jwk *key = NULL;
    const json_t *member = json_object_get(object, "oldKey");

    if (!json_is_object(member)) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The inner JWS's payload lacks \"oldKey\", the account's present key, as a JWK.");
    }
    /* Without min_rsa_bits: the account may be older than the setting. */
    TRY(jwk_from_json(member, 0, &key, prob));
    if (!jwk_equal(key, old_key)) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"oldKey\" in the inner JWS's payload is not the account's present key.");
    }
    return err_ok();
}

static struct err check_payload(const struct jws *inner, const struct key_change *expected,
                                struct problem *prob)
{
    AUTO(json_decrefp) json_t *object = NULL;

    TRY(jws_json_parse("The inner JWS's payload", inner->payload, inner->payload_len, &object,
                       prob));
    if (strcmp(inner->url, expected->outer_url) != 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The inner JWS is for another URL: its \"url\" must be that of this request, "
               "%.200s.",
               expected->outer_url);
    }
    TRY(check_account(object, expected->account_url, prob));
    return check_old_key(object, expected->old_key, prob);
}

struct err key_change_verify(const void *payload, size_t payload_len,
                             const struct key_change *expected, struct jwk **new_key,
                             struct problem *prob)
{
    AUTO(jws_clear) struct jws inner = {0};

    TRY(jws_parse_inner(payload, payload_len, expected->min_rsa_bits, &inner, prob));
    TRY(check_signature(&inner, prob));
    TRY(check_payload(&inner, expected, prob));
    if (jwk_equal(inner.jwk, expected->old_key)) {
        REJECT(prob, PROBLEM_MALFORMED, 409,
               "The new key is the account's present key: make a new one.");
    }
    *new_key = MOVE(inner.jwk);
    return err_ok();
}
