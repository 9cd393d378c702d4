/* Access and store for the tests of transfers and NOTIFY, and in place of the zones' records a few
 * zones that the test holds in its hands. Defines records_*() as far as transfers call them. */
#ifndef TESTS_UNIT_TRANSFER_FIXTURE_H
#define TESTS_UNIT_TRANSFER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/transfer.h"
#include "rr_maker.h"

#define SECRET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FAKE_ZONES 8

struct fake_change {
    bool is_begin, is_add;
    uint32_t from, to;
    struct dns_rr rr;
};
struct records {
    struct config *cfg;
    char names[FAKE_ZONES][NAME_TEXT_MAX + 1];
    const struct config_zone *transfer[FAKE_ZONES];
    struct dns_rr soa[FAKE_ZONES];
    int n;
    /* of zone 0 */
    struct dns_rr *rrs;
    size_t rrs_n;
    struct fake_change *journal;
    size_t journal_n;
    struct err_trace fails; /* what the read view fails with; code 0: it does not */
    struct err_trace journal_fails;
    size_t changes_again, rrs_again; /* each is said so often more */
    size_t written_n;                /* how often the zone was written out */
    void (*on_serial)(void *ctx, int zone, uint32_t serial);
    void *on_serial_ctx;
};

static inline void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s (%s:%d)", err_name(e.code), err_trace()->text, err_trace()->file,
                 err_trace()->line);
    }
}

/* "www 60 A 10.0.0.1" of zone svc.test. */
static inline struct dns_rr rr_of(const char *line)
{
    char owner[300], type[20], rdata[300], why[200] = "";
    unsigned ttl = 0;
    struct dns_rr rr = {0};

    assert_int_equal(sscanf(line, "%299s %u %19s %299[^\n]", owner, &ttl, type, rdata), 4);
    struct err e = rr_from_text(owner, "svc.test", ttl, type, rdata, &rr, why, sizeof(why));
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", line, why);
    }
    return rr;
}

static inline void set_serial(struct dns_rr *soa, uint32_t serial)
{
    for (unsigned i = 0; i < 4; i++) {
        soa->rdata[soa->rdata_len - 20 + i] = (uint8_t)(serial >> (24 - 8 * i));
    }
}

static inline uint32_t get_serial(const struct dns_rr *soa)
{
    uint32_t serial = 0;

    for (unsigned i = 0; i < 4; i++) {
        serial = serial << 8 | soa->rdata[soa->rdata_len - 20 + i];
    }
    return serial;
}

static inline void fake_zone(struct records *records, const char *name, const char *config_zone)
{
    int at = records->n++;
    char line[600];

    (void)snprintf(records->names[at], sizeof(records->names[at]), "%s", name);
    for (size_t i = 0; i < records->cfg->zones_n; i++) {
        if (config_zone != NULL && strcmp(records->cfg->zones[i].name, config_zone) == 0) {
            records->transfer[at] = &records->cfg->zones[i];
        }
    }
    (void)snprintf(line, sizeof(line),
                   "%s. 5 SOA ca.svc.test. hostmaster.svc.test. 100 60 60 604800 5", name);
    records->soa[at] = rr_of(line);
}

static inline void fake_rr(struct records *records, const char *line)
{
    if ((records->rrs_n & (records->rrs_n - 1)) == 0) { /* a power of two: full */
        records->rrs = mem_resize(records->rrs, (2 * records->rrs_n + 1) * sizeof(struct dns_rr));
        assert_non_null(records->rrs);
    }
    records->rrs[records->rrs_n++] = rr_of(line);
}

static inline struct fake_change *fake_change(struct records *records)
{
    if ((records->journal_n & (records->journal_n - 1)) == 0) {
        records->journal =
            mem_resize(records->journal, (2 * records->journal_n + 1) * sizeof(struct fake_change));
        assert_non_null(records->journal);
    }
    struct fake_change *change = &records->journal[records->journal_n++];
    memset(change, 0, sizeof(*change));
    return change;
}

static inline void fake_begin(struct records *records, uint32_t from, uint32_t to)
{
    struct fake_change *change = fake_change(records);

    change->is_begin = true;
    change->from = from;
    change->to = to;
    set_serial(&records->soa[0], to);
}

static inline void fake_diff(struct records *records, bool is_add, const char *line)
{
    struct fake_change *change = fake_change(records);

    change->is_add = is_add;
    change->rr = rr_of(line);
}

static inline void fake_clear(struct records *records)
{
    for (size_t i = 0; i < records->rrs_n; i++) {
        rr_clear(&records->rrs[i]);
    }
    for (size_t i = 0; i < records->journal_n; i++) {
        rr_clear(&records->journal[i].rr);
    }
    mem_free(records->rrs);
    mem_free(records->journal);
    records->rrs = NULL;
    records->journal = NULL;
    records->rrs_n = 0;
    records->journal_n = 0;
}

/* --- in place of the product's ------------------------------------------------------------------ */

int records_zone_index(const struct records *records, const uint8_t *wire, size_t len)
{
    for (int i = 0; i < records->n; i++) {
        uint8_t name[NAME_WIRE_MAX];
        size_t name_len = sizeof(name);
        must(name_to_wire(records->names[i], name, &name_len));
        if (name_len == len && memcmp(name, wire, len) == 0) {
            return i;
        }
    }
    return -1;
}

const char *records_zone_name(const struct records *records, int zone)
{
    return records->names[zone];
}

const struct config_zone *records_transfer_of(const struct records *records, int zone)
{
    return records->transfer[zone];
}

void records_on_serial(struct records *records, void (*fn)(void *ctx, int zone, uint32_t serial),
                       void *ctx)
{
    records->on_serial = fn;
    records->on_serial_ctx = ctx;
}

struct err records_at(struct records *records, struct db *db, const uint8_t *owner,
                      size_t owner_len, uint16_t type, record_fn fn, void *arg)
{
    int zone = records_zone_index(records, owner, owner_len);

    (void)db;
    assert_int_equal(type, 6);
    if (zone >= 0 && records->transfer[zone] != NULL) {
        (void)fn(arg, &records->soa[zone]);
    }
    return err_ok();
}

struct err records_zones(struct records *records, struct zone_info **out, size_t *out_n)
{
    struct zone_info *infos = mem_array((size_t)records->n + 1, sizeof(*infos));

    assert_non_null(infos);
    for (int i = 0; i < records->n; i++) {
        memcpy(infos[i].name, records->names[i], sizeof(infos[i].name));
        infos[i].serial = get_serial(&records->soa[i]);
    }
    *out = infos;
    *out_n = (size_t)records->n;
    return err_ok();
}

struct err records_write_out(struct records *records, struct db *db, int zone, struct dns_rr *soa,
                             record_fn fn, void *arg)
{
    (void)db;
    if (records->fails.code != ERR_OK) {
        return err_restore(&records->fails);
    }
    records->written_n += fn != NULL;
    for (size_t i = 0; fn != NULL && zone == 0 && i < records->rrs_n * (1 + records->rrs_again);
         i++) {
        if (!fn(arg, &records->rrs[i % records->rrs_n])) {
            FAIL(ERR_LIMIT, "stopped");
        }
    }
    return rr_copy(&records->soa[zone], soa);
}

struct err records_journal(struct records *records, struct db *db, int zone, uint32_t serial,
                           struct dns_rr *soa, const struct journal_fns *fns)
{
    bool is_found = serial == get_serial(&records->soa[zone]);
    bool is_on = false;

    (void)db;
    if (records->journal_fails.code != ERR_OK) {
        return err_restore(&records->journal_fails);
    }
    for (size_t i = 0; i < records->journal_n; i++) {
        const struct fake_change *at = &records->journal[i];
        is_on = is_on || (at->is_begin && at->from == serial);
        is_found = is_found || is_on;
        for (size_t n = 0; is_on && n <= (at->is_begin ? 0 : records->changes_again); n++) {
            if (!(at->is_begin ? fns->begin(fns->arg, at->from, at->to)
                               : fns->record(fns->arg, at->is_add, &at->rr))) {
                FAIL(ERR_LIMIT, "stopped");
            }
        }
    }
    if (!is_found) {
        FAIL(ERR_NOT_FOUND, "not in the journal");
    }
    return rr_copy(&records->soa[zone], soa);
}

/* --- the whole ---------------------------------------------------------------------------------- */

struct fixture {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct records records;
    struct transfer *transfer;
};

/* zones: YAML of the zones: list; the fake zones are svc.test (0) and whatever the test adds. */
static inline void fixture_begin(struct fixture *f, const char *zones)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE};
    struct buf problems = BUF_INIT(4096);
    char yaml[2048], path[96];

    memset(f, 0, sizeof(*f));
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-transfer-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(yaml, sizeof(yaml),
                   "state_dir: %s\n"
                   "hostname: ca.svc.test\n"
                   "addresses: [127.0.0.1]\n"
                   "clients:\n"
                   "  - {name: Second, secret: " SECRET_A ", names: ['*.svc.test']}\n"
                   "  - {name: third, secret: " SECRET_B ", names: ['*.svc.test']}\n"
                   "  - {name: far, secret: " SECRET_B
                   ", names: ['*.svc.test'], networks: [10.9.0.0/16]}\n"
                   "zones:\n%s",
                   f->dir, zones);
    if (config_parse("test.yaml", yaml, strlen(yaml), &problems, &f->cfg).code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    (void)snprintf(path, sizeof(path), "%s/bailiwick.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, modules, 1, &f->store));
    must(access_open(f->cfg, f->store, &f->access));
    f->records.cfg = f->cfg;
}

static inline void fixture_transfer(struct fixture *f)
{
    const struct transfer_options options = {f->cfg, f->store, f->access, &f->records};

    must(transfer_new(&options, &f->transfer));
}

static inline void fixture_end(struct fixture *f)
{
    static const char *const FILES[] = {"bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm"};

    transfer_free(f->transfer);
    store_close(f->store);
    access_close(f->access);
    fake_clear(&f->records);
    for (int i = 0; i < f->records.n; i++) {
        rr_clear(&f->records.soa[i]);
    }
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, FILES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    config_free(f->cfg);
}

static inline struct ip_addr ip_of(const char *text)
{
    struct ip_addr ip;

    must(ip_parse(text, &ip));
    return ip;
}

#endif
