/* Any bytes as an ACME request body, and as the JWS inside one: parse, verify with the key inside,
 * and check what was accepted against its own text. What is the one is never the other. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/jws.h"
#include "core/util/mem.h"
#include "core/util/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

/* The strict decoder leaves one text per value: encoding the payload again gives the signed text.
 * */
static void check_payload(const struct jws *jws)
{
    AUTO(mem_freep) char *text = mem_zalloc(BASE64URL_LEN(jws->payload_len) + 1);
    const char *dot = strchr(jws->signing_input, '.');

    must(text != NULL && dot != NULL);
    base64url_encode(jws->payload, jws->payload_len, text);
    must(strcmp(text, dot + 1) == 0);
    must(strlen(jws->signing_input) == jws->signing_input_len);
    must(jws->is_post_as_get == (jws->payload_len == 0));
    must(jws->payload[jws->payload_len] == '\0');
}

static void check_key(const struct jws *jws)
{
    AUTO(problem_clear) struct problem prob = {0};

    must((jws->jwk == NULL) != (jws->kid == NULL));
    must(jws->sig_len > 0 && jws->sig_len <= sizeof(jws->sig));
    must(strlen(jws->url) <= JWS_URL_MAX && jws->mac_bits == 0);
    if (jws->jwk != NULL) {
        struct err e = jws_verify(jws, jws->jwk, &prob);
        must(e.code == ERR_OK || e.code == ERR_REJECTED);
    }
}

static bool is_refused(struct err e, const struct problem *prob, const struct jws *jws)
{
    if (e.code == ERR_OK) {
        return false;
    }
    must(e.code == ERR_REJECTED && prob->detail[0] != '\0' && jws->url == NULL);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(jws_clear) struct jws jws = {0};
    AUTO(jws_clear) struct jws inner = {0};
    AUTO(problem_clear) struct problem prob = {0};
    AUTO(problem_clear) struct problem inner_prob = {0};

    if (!is_refused(jws_parse(data, size, 2048, &jws, &prob), &prob, &jws)) {
        must(jws.nonce[0] != '\0' && is_base64url(jws.nonce, strlen(jws.nonce)));
        check_payload(&jws);
        check_key(&jws);
    }
    if (!is_refused(jws_parse_inner(data, size, 2048, &inner, &inner_prob), &inner_prob, &inner)) {
        must(inner.nonce[0] == '\0' && inner.jwk != NULL && jws.url == NULL);
        check_payload(&inner);
        check_key(&inner);
    }
    return 0;
}
