/* Any bytes as an external account binding. "J" and JSON: the binding as it came. "2", "3" or "5",
 * a header, a line end and a payload: the binding that a client with the right secret makes of them
 * (HS256, HS384, HS512), so that what lies behind the MAC is reached too. What is accepted is for
 * this client, URL and key. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "acme-server/eab.h"
#include "core/util/log.h"
#include "tests/unit/jws_maker.h"

#define URL "https://ca.test/acme/new-account"
#define CONFIG                                                                                     \
    "zones: [{name: svc.test}]\n"                                                                  \
    "clients: [{name: Traefik, secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, names: "                  \
    "['*.svc.test']}]\n"
/* RFC 7517 §A.1 */
#define KEY                                                                                        \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","     \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/bw-fuzz-eab-XXXXXX";
static struct config *cfg;
static struct store *store;
static struct access *clients;
static struct jwk *key;

static void stop(void)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm"};
    char path[sizeof(dir) + 16];

    jwk_free(key);
    store_close(store);
    access_close(clients);
    config_free(cfg);
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void start(void)
{
    struct buf problems = BUF_INIT(4096);
    struct problem prob = {0};
    char path[sizeof(dir) + 16];

    log_setup(LOG_ERROR, LOG_TEXT);
    MAKER_CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/t.db", dir);
    const struct store_options options = {.path = path, .readers_max = 1};
    MAKER_CHECK(config_parse("fuzz.yaml", CONFIG, strlen(CONFIG), &problems, &cfg).code == ERR_OK);
    MAKER_CHECK(store_open(&options, &ACCESS_STORE_MODULE, 1, &store).code == ERR_OK);
    MAKER_CHECK(access_open(cfg, store, &clients).code == ERR_OK);
    MAKER_CHECK(jwk_parse(KEY, strlen(KEY), 2048, &key, &prob).code == ERR_OK);
    buf_clear(&problems);
    MAKER_CHECK(atexit(stop) == 0);
}

static json_t *sign(char kind, const uint8_t *data, size_t size)
{
    const uint8_t *line_end = memchr(data, '\n', size);
    size_t header_len = line_end == NULL ? size : (size_t)(line_end - data);
    const uint8_t *payload = line_end == NULL ? data : line_end + 1;
    size_t payload_len = line_end == NULL ? 0 : size - header_len - 1;
    const char *digest = kind == '2' ? "SHA256" : kind == '3' ? "SHA384" : "SHA512";
    AUTO(mem_freep) char *protected_text = maker_b64(data, header_len);
    AUTO(mem_freep) char *payload_text = maker_b64(payload, payload_len);
    AUTO(buf_clear) struct buf input = BUF_INIT(1024 * 1024);
    uint8_t secret[ACCESS_KEY_MAX];
    uint8_t mac[64];
    size_t secret_len = 0;
    size_t mac_len = 0;
    char name[CLIENT_NAME_MAX + 1];

    buf_printf(&input, "%s.%s", protected_text, payload_text);
    MAKER_CHECK(access_key(clients, "traefik", secret, &secret_len, name).code == ERR_OK);
    MAKER_CHECK(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, secret, secret_len, input.data,
                          input.len, mac, sizeof(mac), &mac_len) != NULL);
    AUTO(mem_freep) char *mac_text = maker_b64(mac, mac_len);
    return json_pack("{s:s,s:s,s:s}", "protected", protected_text, "payload", payload_text,
                     "signature", mac_text);
}

static char *decoded(const json_t *binding, const char *name)
{
    const json_t *member = json_object_get(binding, name);
    size_t len = json_string_length(member);
    char *bytes = mem_zalloc(len + 1);

    MAKER_CHECK(bytes != NULL);
    MAKER_CHECK(base64url_decode(json_string_value(member), json_string_length(member),
                                 (uint8_t *)bytes, &len)
                    .code == ERR_OK);
    return bytes;
}

static void check_accepted(const json_t *binding)
{
    AUTO(mem_freep) char *header_text = decoded(binding, "protected");
    AUTO(mem_freep) char *payload = decoded(binding, "payload");
    AUTO(json_decrefp)
    json_t *header = json_loads(header_text, JSON_REJECT_DUPLICATES, NULL);
    AUTO(jwk_freep) struct jwk *bound = NULL;
    AUTO(problem_clear) struct problem prob = {0};

    MAKER_CHECK(json_object_size(binding) == 3);
    MAKER_CHECK(strcmp(json_string_value(json_object_get(header, "url")), URL) == 0);
    MAKER_CHECK(strcasecmp(json_string_value(json_object_get(header, "kid")), "Traefik") == 0);
    MAKER_CHECK(strncmp(json_string_value(json_object_get(header, "alg")), "HS", 2) == 0);
    MAKER_CHECK(json_object_get(header, "nonce") == NULL && json_object_get(header, "jwk") == NULL);
    MAKER_CHECK(json_object_get(header, "crit") == NULL && json_object_get(header, "b64") == NULL);
    MAKER_CHECK(jwk_parse(payload, strlen(payload), 2048, &bound, &prob).code == ERR_OK);
    MAKER_CHECK(jwk_equal(bound, key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t calls_n;
    AUTO(json_decrefp) json_t *binding = NULL;
    AUTO(problem_clear) struct problem prob = {0};
    char client[CLIENT_NAME_MAX + 1] = "";

    if (calls_n++ == 0) {
        start();
    }
    if (size < 2) {
        return 0;
    }
    if (data[0] == '2' || data[0] == '3' || data[0] == '5') {
        binding = sign((char)data[0], data + 1, size - 1);
    } else {
        binding = json_loadb((const char *)data + 1, size - 1,
                             JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    }
    if (binding == NULL) {
        return 0;
    }
    /* Always another address, so that none is throttled. */
    struct ip_addr peer = {4, {10}};
    memcpy(peer.bytes, &calls_n, sizeof(calls_n));
    struct err e = eab_verify(clients, binding, URL, key, &peer, client, &prob);
    if (e.code != ERR_OK) {
        MAKER_CHECK(e.code == ERR_REJECTED && prob.detail[0] != '\0' && client[0] == '\0');
        return 0;
    }
    MAKER_CHECK(strcmp(client, "Traefik") == 0);
    check_accepted(binding);
    return 0;
}
