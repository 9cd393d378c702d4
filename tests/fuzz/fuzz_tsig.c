/* Any bytes as a message with or without a TSIG. What carries none is signed as a request of ours
 * would be: then it verifies, comes back as it was, and its answers verify too. What is refused is
 * answered with exactly the octets that were announced. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/tsig_int.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CONFIG                                                                                     \
    "zones: [{name: svc.test}]\n"                                                                  \
    "clients: [{name: both, secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, names: "         \
    "['*.svc.test']}]\n"
#define NOW 1700000000
#define SIZE_MAX_TRIED 60000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/bw-fuzz-tsig-XXXXXX";
static struct config *cfg;
static struct store *store;
static struct access *clients;
static uint8_t message[SIZE_MAX_TRIED + TSIG_RR_MAX];

static void stop(void)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm"};
    char path[sizeof(dir) + 16];

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
    char path[sizeof(dir) + 16];

    log_setup(LOG_ERROR, LOG_TEXT);
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/t.db", dir);
    const struct store_options options = {.path = path, .readers_max = 1};
    CHECK(config_parse("fuzz.yaml", CONFIG, strlen(CONFIG), &problems, &cfg).code == ERR_OK);
    buf_clear(&problems);
    CHECK(store_open(&options, &ACCESS_STORE_MODULE, 1, &store).code == ERR_OK);
    CHECK(access_open(cfg, store, &clients).code == ERR_OK);
    (void)atexit(stop);
}

static enum tsig_verdict check(uint8_t *packet, size_t *len, struct tsig *tsig)
{
    struct ip_addr peer = {.family = 4, .bytes = {127, 0, 0, 1}};
    const struct tsig_options options = {clients, true, false, &peer, NOW};

    return tsig_check(&options, packet, len, tsig);
}

/* An answer to a request that had a TSIG. */
static void answer(struct tsig *tsig, const struct tsig *request)
{
    uint8_t packet[12 + TSIG_RR_MAX] = {0xbe, 0xef, 0x80};
    struct tsig seen = *request;
    struct tsig_rr rr;
    size_t len = 12;
    size_t room = tsig_room(tsig);

    CHECK(room > 0 && room <= TSIG_RR_MAX);
    CHECK(tsig_sign(tsig, NOW, packet, &len, 12 + room - 1).code == ERR_LIMIT && len == 12);
    CHECK(tsig_sign(tsig, NOW, packet, &len, 12 + room).code == ERR_OK && len == 12 + room);
    CHECK(tsig_find(packet, len, &rr) == TSIG_FIND_ONE && rr.start == 12);
    CHECK(rr.error == tsig->error);
    CHECK((rr.mac_len > 0) == (tsig->error != TSIG_BADKEY && tsig->error != TSIG_BADSIG));
    if (tsig->error == 0) {
        CHECK(tsig_check_answer(&seen, NOW, packet, len));
        packet[3] ^= 1;
        CHECK(!tsig_check_answer(&seen, NOW, packet, len));
    }
}

static void check_given(const uint8_t *data, size_t size)
{
    struct tsig tsig;
    size_t len = size;

    memcpy(message, data, size);
    enum tsig_verdict verdict = check(message, &len, &tsig);
    CHECK(tsig.is_verified == (verdict == TSIG_OK));
    if (verdict == TSIG_NONE || verdict == TSIG_FORMERR) {
        CHECK(len == size && memcmp(message, data, size) == 0 && !tsig.is_present);
        return;
    }
    struct tsig request = tsig;
    CHECK(len < size && len >= 12 && tsig.is_present);
    CHECK((verdict == TSIG_OK) == (tsig.error == 0));
    answer(&tsig, &request);
    tsig_clear(&tsig);
}

static void check_signed(const uint8_t *data, size_t size)
{
    struct tsig ours;
    struct tsig tsig;
    struct tsig_rr rr;
    size_t len = size;

    if (size < 12 || tsig_find(data, size, &rr) != TSIG_FIND_NONE ||
        (data[10] & data[11]) == 0xff) {
        return;
    }
    memcpy(message, data, size);
    CHECK(tsig_sign_request(clients, "both", NOW, &ours, message, &len, sizeof(message)).code ==
          ERR_OK);
    if (tsig_find(message, len, &rr) != TSIG_FIND_ONE || rr.start != size) {
        return; /* octets behind its last record take ours in */
    }
    enum tsig_verdict verdict = check(message, &len, &tsig);
    CHECK(verdict == TSIG_OK && strcmp(tsig.client, "both") == 0);
    CHECK(len == size && memcmp(message, data, size) == 0);
    answer(&tsig, &ours);
    tsig_clear(&tsig);
    tsig_clear(&ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (clients == NULL) {
        start();
    }
    if (size > SIZE_MAX_TRIED) {
        return 0;
    }
    check_given(data, size);
    check_signed(data, size);
    return 0;
}
