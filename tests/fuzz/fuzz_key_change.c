/* Any bytes as keyChange's payload. "J" and bytes: the payload as it came. "S", a header, a line end
 * and a payload: the inner JWS that the owner of the key of RFC 8037 §A.1 makes of them, so that
 * what lies behind the signature is reached too. What is accepted names this URL, account and old
 * key, and gives another key. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "acme-server/eab.h"
#include "acme-server/jws.h"
#include "tests/unit/jws_maker.h"

#define URL "https://ca.test/acme/key-change"
#define ACCOUNT "https://ca.test/acme/account/1"
/* RFC 7517 §A.1 */
#define OLD_KEY                                                                                    \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","     \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}"
#define SEED "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct maker signer;
static struct jwk *old_key;

static void stop(void)
{
    maker_clear(&signer);
    jwk_free(old_key);
}

static void start(void)
{
    struct problem prob = {0};
    uint8_t seed[32];
    size_t len = sizeof(seed);

    MAKER_CHECK(base64url_decode(SEED, strlen(SEED), seed, &len).code == ERR_OK);
    signer.alg = JWK_EDDSA;
    signer.pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, len);
    MAKER_CHECK(signer.pkey != NULL);
    MAKER_CHECK(jwk_parse(OLD_KEY, strlen(OLD_KEY), 2048, &old_key, &prob).code == ERR_OK);
    MAKER_CHECK(atexit(stop) == 0);
}

static char *sign(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = memchr(data, '\n', size);
    size_t header_len = line_end == NULL ? size : (size_t)(line_end - data);
    AUTO(mem_freep) char *header = mem_strndup((const char *)data, header_len);
    AUTO(mem_freep)
    char *payload = line_end == NULL
                        ? mem_strdup("")
                        : mem_strndup((const char *)line_end + 1, size - header_len - 1);

    MAKER_CHECK(header != NULL && payload != NULL);
    return maker_jws(&signer, header, payload);
}

static void check_accepted(const void *body, size_t len, const struct jwk *new_key)
{
    AUTO(jws_clear) struct jws inner = {0};
    AUTO(problem_clear) struct problem prob = {0};
    void *object = NULL;

    MAKER_CHECK(!jwk_equal(new_key, old_key));
    MAKER_CHECK(jws_parse_inner(body, len, 2048, &inner, &prob).code == ERR_OK);
    MAKER_CHECK(jws_verify(&inner, new_key, &prob).code == ERR_OK);
    MAKER_CHECK(inner.nonce[0] == '\0' && inner.kid == NULL && strcmp(inner.url, URL) == 0);
    MAKER_CHECK(json_object_parse(inner.payload, inner.payload_len, &object, &prob).code == ERR_OK);
    const char *account = json_string_value(json_object_get(object, "account"));
    MAKER_CHECK(account != NULL && strcmp(account, ACCOUNT) == 0);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(jwk_freep) struct jwk *new_key = NULL;
    AUTO(problem_clear) struct problem prob = {0};
    AUTO(mem_freep) char *made = NULL;

    if (signer.pkey == NULL) {
        start();
    }
    if (size == 0) {
        return 0;
    }
    const struct key_change expected = {URL, ACCOUNT, old_key, 2048};
    const void *body = data + 1;
    size_t len = size - 1;
    if (data[0] == 'S') {
        made = sign(data + 1, size - 1);
        body = made;
        len = strlen(made);
    }
    struct err e = key_change_verify(body, len, &expected, &new_key, &prob);
    if (e.code != ERR_OK) {
        MAKER_CHECK(e.code == ERR_REJECTED && prob.detail[0] != '\0' && new_key == NULL);
        return 0;
    }
    check_accepted(body, len, new_key);
    return 0;
}
