/* Configuration, store, zones and records for the tests of stored records. */
#ifndef TESTS_UNIT_RECORDS_FIXTURE_H
#define TESTS_UNIT_RECORDS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/access/access.h"
#include "core/util/clock.h"
#include "core/util/file.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/delegate.h"
#include "dns/zone_records.h"

struct fixture {
    char dir[64];
    char yaml[4096];
    struct config *cfg;
    struct store *store;
    struct zone_db *zones;
    struct records *records;
    struct zone_reader *reader;
    struct record_refusal refusal;
};

static inline void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s (%s:%d)", err_name(e.code), err_trace()->text, err_trace()->file,
                 err_trace()->line);
    }
}

static inline void fixture_configure(struct fixture *f, const char *zones_yaml)
{
    struct buf problems = BUF_INIT(4096);

    (void)snprintf(f->yaml, sizeof(f->yaml),
                   "state_dir: %s\n"
                   "hostname: ca.svc.test\n"
                   "addresses: [192.0.2.1]\n"
                   "%s",
                   f->dir, zones_yaml);
    struct err e = config_parse("test.yaml", f->yaml, strlen(f->yaml), &problems, &f->cfg);
    if (e.code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
}

static inline struct err fixture_open(struct fixture *f)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE, DELEGATE_STORE_MODULE,
                                           RECORDS_STORE_MODULE};
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/bailiwick.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, modules, 3, &f->store));
    must(zone_db_new(f->cfg, 1, &f->zones));
    must(zone_reader_new(f->zones, &f->reader));
    return records_open(f->cfg, f->store, f->zones, &f->records);
}

static inline void fixture_close(struct fixture *f)
{
    zone_reader_free(f->reader);
    store_close(f->store);
    records_close(f->records);
    zone_db_free(f->zones);
    f->records = NULL;
}

static inline void fixture_reopen(struct fixture *f, const char *zones_yaml)
{
    fixture_close(f);
    if (zones_yaml != NULL) {
        config_free(f->cfg);
        fixture_configure(f, zones_yaml);
    }
    must(fixture_open(f));
}

static inline struct fixture *fixture_make(void)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    assert_non_null(f);
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-records-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    return f;
}

static inline struct fixture *fixture_new(const char *zones_yaml)
{
    struct fixture *f = fixture_make();

    fixture_configure(f, zones_yaml);
    must(fixture_open(f));
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    static const char *const FILES[] = {"bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm",
                                        "zone"};

    fixture_close(f);
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, FILES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    config_free(f->cfg);
    mem_free(f);
}

static inline void write_zone(struct fixture *f, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/zone", f->dir);
    must(file_write_atomic(path, 0600, text, strlen(text)));
}

/* "owner type rdata", whole names; TTL 300. */
static inline struct dns_rr rr_of(const char *owner, const char *type, const char *rdata)
{
    struct dns_rr rr = {.ttl = 0};
    char why[200] = "";
    struct err e = rr_from_text(owner, NULL, 300, type, rdata, &rr, why, sizeof(why));

    if (e.code != ERR_OK) {
        fail_msg("%s %s %s: %s", owner, type, rdata, why);
    }
    return rr;
}

struct edit_args {
    struct fixture *f;
    struct record_who who;
    struct record_edit edits[8];
    size_t n, changed_n;
};

static inline struct err edit_args_tx(struct db *db, void *arg)
{
    struct edit_args *a = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;

    TRY(zone_change_new(a->f->records, &change));
    TRY(records_edit(a->f->records, db, &a->who, a->edits, a->n, change, &a->changed_n,
                     &a->f->refusal));
    return zone_change_commit(&change, db, NULL);
}

/* One edit by a client ("": the administrator); rows that changed, -1: refused. rdata NULL: none. */
static inline int edit_as(struct fixture *f, const char *client, bool is_update, enum record_op op,
                          const char *owner, const char *type, const char *rdata)
{
    struct edit_args args = {.f = f, .who = {.is_update = is_update}, .n = 1};
    struct dns_rr *rr = &args.edits[0].rr;

    memset(&f->refusal, 0, sizeof(f->refusal));
    (void)snprintf(args.who.client, sizeof(args.who.client), "%s", client);
    args.edits[0].op = op;
    if (rdata != NULL) {
        *rr = rr_of(owner, type, rdata);
    } else {
        size_t len = NAME_WIRE_MAX;
        must(name_to_wire(owner, rr->owner, &len));
        rr->owner_len = (uint8_t)len;
        assert_true(op == RECORD_REMOVE_NAME || rr_type_parse(type, &rr->type));
    }
    struct err e = store_write(f->store, "test.edit", edit_args_tx, &args);
    rr_clear(rr);
    if (e.code == ERR_REJECTED) {
        assert_true(strlen(f->refusal.detail) > 10);
        return -1;
    }
    must(e);
    return (int)args.changed_n;
}

static inline int add_as(struct fixture *f, const char *client, const char *owner, const char *type,
                         const char *rdata)
{
    return edit_as(f, client, false, RECORD_ADD, owner, type, rdata);
}

static inline int update_as(struct fixture *f, const char *client, const char *owner,
                            const char *type, const char *rdata)
{
    return edit_as(f, client, true, RECORD_ADD, owner, type, rdata);
}

struct lines {
    struct buf text;
};

static inline bool put_line(void *arg, const struct dns_rr *rr)
{
    struct buf *out = arg;

    must(rr_text(rr, out));
    return true;
}

/* The zone written out (or what is stored) as text; the caller clears it. */
static inline struct buf exported(struct fixture *f, const char *zone, bool is_written_out)
{
    struct buf out = BUF_INIT(64u * 1024u * 1024u);

    must(records_export(f->records, zone, is_written_out, &out));
    return out;
}

static inline int zone_index(struct fixture *f, const char *zone)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    must(name_to_wire(zone, wire, &len));
    return records_zone_index(f->records, wire, len);
}

/* What DNS answers: "RCODE|type data|...", of the answer section. */
static inline const char *ask(struct fixture *f, const char *name, const char *type, char out[2000])
{
    uint8_t query[NAME_WIRE_MAX + 16] = {0x12, 0x34, 0, 0, 0, 1};
    static uint8_t reply[DNS_TCP_MAX];
    size_t len = NAME_WIRE_MAX;
    uint16_t code = 0;
    struct buf text = BUF_INIT(1999);

    must(name_to_wire(name, query + 12, &len));
    assert_true(rr_type_parse(type, &code));
    size_t at = 12 + len;
    query[at] = (uint8_t)(code >> 8);
    query[at + 1] = (uint8_t)code;
    query[at + 3] = 1;
    len = answer_build(zone_read_begin(f->reader), query, at + 4, true, reply, sizeof(reply));
    zone_read_end(f->reader);
    assert_true(len >= at + 4);
    buf_printf(&text, "%u", reply[3] & 15u);
    at += 4;
    for (unsigned n = (unsigned)reply[6] << 8 | reply[7]; n > 0; n--) {
        struct dns_rr rr = {.ttl = 0};
        char type_text[RR_TYPE_TEXT_MAX + 1];
        must(rr_from_packet(reply, len, &at, &rr));
        rr_type_text(rr.type, type_text);
        buf_printf(&text, "|%s ", type_text);
        must(rr_rdata_text(rr.type, rr.rdata, rr.rdata_len, &text));
        rr_clear(&rr);
    }
    (void)snprintf(out, 2000, "%s", buf_str(&text));
    buf_clear(&text);
    return out;
}

#define assert_answer(f, name, type, wanted)                                                       \
    do {                                                                                           \
        char answer_[2000];                                                                        \
        assert_string_equal(ask((f), (name), (type), answer_), (wanted));                          \
    } while (0)

#endif
