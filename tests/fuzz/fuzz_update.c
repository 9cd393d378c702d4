/* Any bytes as an update that client `both` signed. What is read keeps to RFC 2136's rules for classes,
 * TTLs and types; the answer is a header with the zone section as it came; what was taken once is taken
 * again, unless a prerequisite says no. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/update_int.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CONFIG                                                                                     \
    "state_dir: %s\n"                                                                              \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones: [{name: svc.test}, {name: inner.svc.test}]\n"                                          \
    "delegate_zone: acme.svc.test\n"                                                               \
    "clients: [{name: both, secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, names: "         \
    "[svc.test, '*.svc.test']}]\n"
#define SIZE_TRIED_MAX 65535u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/bw-fuzz-update-XXXXXX";
static struct config *cfg;
static struct store *store;
static struct access *clients;
static struct zone_db *zones;
static struct records *records;
static struct delegate *delegate;
static struct update *update;

static void stop(void)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm", "keys/installation.key"};
    char path[sizeof(dir) + 32];

    update_free(update);
    store_close(store);
    delegate_close(delegate);
    records_close(records);
    zone_db_free(zones);
    access_close(clients);
    config_free(cfg);
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/keys", dir);
    (void)rmdir(path);
    (void)rmdir(dir);
}

static void start(void)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE, RECORDS_STORE_MODULE,
                                           DELEGATE_STORE_MODULE};
    struct buf problems = BUF_INIT(4096);
    char yaml[1000];
    char path[sizeof(dir) + 16];

    log_setup(LOG_ERROR, LOG_TEXT);
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/t.db", dir);
    (void)snprintf(yaml, sizeof(yaml), CONFIG, dir);
    const struct store_options options = {.path = path, .readers_max = 1};
    CHECK(config_parse("fuzz.yaml", yaml, strlen(yaml), &problems, &cfg).code == ERR_OK);
    buf_clear(&problems);
    CHECK(store_open(&options, modules, ARRAY_N(modules), &store).code == ERR_OK);
    CHECK(access_open(cfg, store, &clients).code == ERR_OK);
    CHECK(zone_db_new(cfg, 1, &zones).code == ERR_OK);
    CHECK(records_open(cfg, store, zones, &records).code == ERR_OK);
    CHECK(delegate_open(cfg, store, clients, zones, records, &delegate).code == ERR_OK);
    const struct update_options with = {cfg, store, clients, delegate, records, zones};
    CHECK(update_new(&with, &update).code == ERR_OK);
    (void)atexit(stop);
}

static void check_list(const struct update_rr *list, size_t n, bool is_change)
{
    for (size_t i = 0; i < n; i++) {
        const struct dns_rr *rr = &list[i].rr;
        CHECK(rr->class_ == DNS_CLASS_IN || rr->class_ == DNS_CLASS_NONE ||
              rr->class_ == DNS_CLASS_ANY);
        CHECK(rr->ttl == 0 || (is_change && rr->class_ == DNS_CLASS_IN));
        CHECK(rr->rdata_len == 0 || rr->class_ == DNS_CLASS_IN ||
              (is_change && rr->class_ == DNS_CLASS_NONE));
        CHECK(rr_kind(rr->type) != RR_META ||
              (rr->type == DNS_TYPE_ANY && rr->class_ != DNS_CLASS_IN));
        CHECK(list[i].name.len == rr->owner_len &&
              memcmp(list[i].name.wire, rr->owner, rr->owner_len) == 0);
    }
}

static void check_read(const uint8_t *data, size_t size)
{
    struct update_message message;
    const char *why = NULL;

    enum dns_rcode rcode = update_read(data, size, &message, &why);
    CHECK(message.zone_end <= size && message.prerequisites_n <= UPDATE_PREREQUISITES_MAX &&
          message.changes_n <= UPDATE_CHANGES_MAX);
    if (rcode == RCODE_NOERROR) {
        check_list(message.prerequisites, message.prerequisites_n, false);
        check_list(message.changes, message.changes_n, true);
    } else {
        CHECK(why != NULL && *why != '\0');
    }
    update_message_clear(&message);
}

static int send_once(const uint8_t *data, size_t size, bool is_signed)
{
    struct ip_addr peer = {.family = 4, .bytes = {192, 0, 2, 9}};
    struct tsig tsig;
    uint8_t out[512];

    memset(&tsig, 0, sizeof(tsig));
    tsig.is_present = tsig.is_verified = is_signed;
    (void)snprintf(tsig.client, sizeof(tsig.client), "%s", is_signed ? "both" : "");
    size_t len = update_handle(update, data, size, &tsig, &peer, out);
    if (size < 12) {
        CHECK(len == 0);
        return -1;
    }
    CHECK(len >= 12 && len <= size && memcmp(out, data, 2) == 0);
    CHECK(memcmp(out + 12, data + 12, len - 12) == 0 && out[5] == (len > 12 ? 1 : 0));
    CHECK(out[3] <= RCODE_NOTZONE && out[3] != RCODE_SERVFAIL);
    return out[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (update == NULL) {
        start();
    }
    if (size > SIZE_TRIED_MAX) {
        return 0;
    }
    check_read(data, size);
    CHECK(send_once(data, size, false) != RCODE_NOERROR);
    if (send_once(data, size, true) == RCODE_NOERROR) {
        int again = send_once(data, size, true);
        CHECK(again == RCODE_NOERROR || data[6] != 0 || data[7] != 0);
    }
    return 0;
}
