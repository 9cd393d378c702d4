/* A whole appliance below HTTP for the delegate tests: configuration, store, access, zones,
 * delegate. */
#ifndef TESTS_UNIT_DELEGATE_FIXTURE_H
#define TESTS_UNIT_DELEGATE_FIXTURE_H

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
#include "dns/delegate.h"

#define SECRET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct delegate *delegate;
    struct zone_reader *reader;
    struct delegate_refusal refusal;
};

static inline void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s (%s:%d)", err_name(e.code), err_trace()->text, err_trace()->file,
                 err_trace()->line);
    }
}

static inline void fixture_start(struct fixture *f)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE, RECORDS_STORE_MODULE,
                                           DELEGATE_STORE_MODULE};
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/bailiwick.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, modules, 3, &f->store));
    must(access_open(f->cfg, f->store, &f->access));
    must(zone_db_new(f->cfg, 1, &f->zones));
    must(records_open(f->cfg, f->store, f->zones, &f->records));
    must(delegate_open(f->cfg, f->store, f->access, f->zones, f->records, &f->delegate));
    must(zone_reader_new(f->zones, &f->reader));
}

static inline void fixture_stop(struct fixture *f)
{
    zone_reader_free(f->reader);
    store_close(f->store);
    delegate_close(f->delegate);
    records_close(f->records);
    zone_db_free(f->zones);
    access_close(f->access);
}

static inline void fixture_restart(struct fixture *f)
{
    fixture_stop(f);
    fixture_start(f);
}

/* zones: as YAML list items. */
static inline struct fixture *fixture_new_with(const char *zones, const char *delegate_zone,
                                               const char *extra_yaml)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct buf problems = BUF_INIT(4096);
    char yaml[2048];

    assert_non_null(f);
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-delegate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(yaml, sizeof(yaml),
                   "state_dir: %s\n"
                   "hostname: ca.svc.test\n"
                   "addresses: [127.0.0.1]\n"
                   "zones:\n%s"
                   "delegate_zone: %s\n"
                   "clients:\n"
                   "  - {name: both, secret: " SECRET_A ", names: [svc.test, '*.svc.test']}\n"
                   "  - {name: apex, secret: " SECRET_B ", names: [svc.test]}\n"
                   "  - {name: wild, secret: " SECRET_B ", names: ['*.svc.test']}\n"
                   "  - {name: inside, secret: " SECRET_B
                   ", names: ['*.svc.test'], networks: [10.0.0.0/8]}\n"
                   "  - {name: public, secret: " SECRET_B ", names: ['*.example.org']}\n"
                   "%s",
                   f->dir, zones, delegate_zone, extra_yaml);
    struct err e = config_parse("test.yaml", yaml, strlen(yaml), &problems, &f->cfg);
    if (e.code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    fixture_start(f);
    return f;
}

static inline struct fixture *fixture_new_in(const char *delegate_zone, const char *extra_yaml)
{
    return fixture_new_with("  - name: svc.test\n", delegate_zone, extra_yaml);
}

static inline struct fixture *fixture_new(const char *extra_yaml)
{
    return fixture_new_in("acme.svc.test", extra_yaml);
}

static inline void fixture_free(struct fixture *f)
{
    static const char *const FILES[] = {"bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm",
                                        "keys/installation.key", "keys"};

    fixture_stop(f);
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, FILES[i]);
        if (unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
    assert_int_equal(rmdir(f->dir), 0);
    config_free(f->cfg);
    mem_free(f);
}

/* The n-th challenge value. */
static inline const char *digest_n(unsigned n, char out[TXT_VALUE_LEN + 1])
{
    uint8_t hash[SHA256_LEN];

    must(sha256(&n, sizeof(n), hash));
    base64url_encode(hash, sizeof(hash), out);
    return out;
}

static inline struct ident ident_of(const char *text)
{
    struct ident id;

    must(ident_parse(text, strlen(text), &id, NULL));
    return id;
}

static inline void expect_for(struct fixture *f, const char *ident, const char *digest)
{
    struct ident id = ident_of(ident);

    delegate_expect(f->delegate, &id, digest, clock_unix_s() + 600);
}

static inline struct ip_addr ip_of(const char *text)
{
    struct ip_addr ip;

    must(ip_parse(text, &ip));
    return ip;
}

/* client NULL: anonymous. */
static inline struct delegate_who who_of(const char *client, const char *peer)
{
    struct delegate_who who;

    memset(&who, 0, sizeof(who));
    who.door = DOOR_HTTPREQ;
    who.peer = ip_of(peer);
    who.is_open = client == NULL;
    if (client != NULL) {
        (void)snprintf(who.client, sizeof(who.client), "%s", client);
    }
    return who;
}

static inline struct err publish_as(struct fixture *f, const char *client, const char *fqdn,
                                    const char *value)
{
    struct delegate_who who = who_of(client, "127.0.0.1");

    memset(&f->refusal, 0, sizeof(f->refusal));
    return delegate_publish(f->delegate, &who, fqdn, value, false, &f->refusal);
}

static inline struct err update_as(struct fixture *f, const char *user, const char *key,
                                   const char *subdomain, const char *value)
{
    struct ip_addr peer = ip_of("127.0.0.1");

    memset(&f->refusal, 0, sizeof(f->refusal));
    return delegate_update(f->delegate, &peer, user, key, subdomain, value, &f->refusal);
}

/* 0: accepted; else the reason. */
static inline int reason_of(const struct fixture *f, struct err e)
{
    if (e.code == ERR_OK) {
        return 0;
    }
    if (e.code != ERR_REJECTED) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
    assert_true(strlen(f->refusal.detail) > 10);
    return (int)f->refusal.reason;
}

static inline bool count_one(void *arg, const struct zone_value *value)
{
    (void)value;
    (*(size_t *)arg)++;
    return false;
}

static inline size_t values_at(struct fixture *f, const char *owner)
{
    size_t n = 0;

    (void)zone_owner_values(zone_read_begin(f->reader), owner, count_one, &n);
    zone_read_end(f->reader);
    return n;
}

static inline enum delegate_verdict check_of(struct fixture *f, const char *ident,
                                             const char *digest, char detail[400])
{
    struct ident id = ident_of(ident);
    struct zone_publisher who;

    return delegate_check(f->delegate, f->reader, &id, NULL, digest, &who, detail);
}

struct count_job {
    const char *event;
    int64_t n;
};

static inline struct err count_audit_tx(struct db *db, void *arg)
{
    struct count_job *job = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*) FROM audit WHERE event = ?1");

    db_bind_text(q, 1, job->event);
    if (db_step(q)) {
        job->n = db_col_int(q, 0);
    }
    return db_finish(q);
}

static inline int64_t audit_n(struct fixture *f, const char *event)
{
    struct count_job job = {event, 0};

    must(store_read(f->store, "test.audit", count_audit_tx, &job));
    return job.n;
}

struct decided_args {
    struct fixture *f;
    struct ident id;
    const char *digest;
    bool is_valid;
};

static inline struct err decided_tx(struct db *db, void *arg)
{
    struct decided_args *a = arg;

    return delegate_decided(a->f->delegate, db, &a->id, a->digest, a->is_valid);
}

static inline void decide(struct fixture *f, const char *ident, const char *digest, bool is_valid)
{
    struct decided_args args = {f, ident_of(ident), digest, is_valid};

    must(store_write(f->store, "test.decided", decided_tx, &args));
    delegate_forget(f->delegate, digest);
}

#endif
