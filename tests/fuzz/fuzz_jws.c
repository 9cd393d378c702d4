/* Any bytes as an ACME request body: parse, verify with the key inside, and check what was accepted
 * against its own text. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(jws_clear) struct jws jws = {0};
    AUTO(problem_clear) struct problem prob = {0};

    struct err e = jws_parse(data, size, 2048, &jws, &prob);
    if (e.code != ERR_OK) {
        must(e.code == ERR_REJECTED && prob.detail[0] != '\0' && jws.url == NULL);
        return 0;
    }
    must((jws.jwk == NULL) != (jws.kid == NULL));
    must(jws.sig_len > 0 && jws.sig_len <= sizeof(jws.sig));
    must(strlen(jws.url) <= JWS_URL_MAX && is_base64url(jws.nonce, strlen(jws.nonce)));
    check_payload(&jws);
    if (jws.jwk != NULL) {
        e = jws_verify(&jws, jws.jwk, &prob);
        must(e.code == ERR_OK || e.code == ERR_REJECTED);
    }
    return 0;
}
