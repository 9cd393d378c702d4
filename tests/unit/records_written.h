/* Zones that are transferred, and what changes them besides records, for the tests of the written-out
 * zone. */
#ifndef TESTS_UNIT_RECORDS_WRITTEN_H
#define TESTS_UNIT_RECORDS_WRITTEN_H

#include "records_fixture.h"

#define ZONES                                                                                      \
    "zones:\n"                                                                                     \
    "  - name: svc.test\n"                                                                         \
    "    ingress: [192.0.2.9]\n"                                                                   \
    "    transfer: {allow: [127.0.0.1]}\n"                                                         \
    "  - {name: kid.svc.test, ingress: [192.0.2.8]}\n"                                             \
    "  - {name: plain.test, plain: true}\n"                                                        \
    "delegate_zone: acme.svc.test\n"                                                               \
    "clients:\n"                                                                                   \
    "  - {name: one, secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "                       \
    "names: [exact.svc.test, '*.below.svc.test']}\n"

static inline int setup(void **state)
{
    *state = fixture_new(ZONES);
    return 0;
}

static inline int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

#define VALUE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define VALUE2 "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

struct known_args {
    struct fixture *f;
    const char *names[4];
    size_t n;
};

static inline struct err known_tx(struct db *db, void *arg)
{
    struct known_args *a = arg;

    return records_known_put(a->f->records, db, a->names, a->n);
}

static inline void put_known(struct fixture *f, const char *name)
{
    struct known_args args = {.f = f, .names = {name}, .n = 1};

    must(store_write(f->store, "test.known", known_tx, &args));
}

struct sweep_args {
    struct fixture *f;
    const char *used;
    struct records_sweep after, next;
    size_t asked_n, gone_n;
};

static inline struct err is_used(void *arg, struct db *db, const char *name, bool *out)
{
    struct sweep_args *a = arg;

    assert_non_null(db);
    a->asked_n++;
    *out = strcmp(name, a->used) == 0;
    return err_ok();
}

static inline struct err sweep_tx(struct db *db, void *arg)
{
    struct sweep_args *a = arg;

    return records_known_sweep(a->f->records, db, &a->after, is_used, a, &a->next, &a->gone_n);
}

static inline size_t sweep(struct fixture *f, const char *used, struct records_sweep *at)
{
    struct sweep_args args = {.f = f, .used = used, .after = *at};

    must(store_write(f->store, "test.sweep", sweep_tx, &args));
    *at = args.next;
    return args.gone_n;
}

struct value_args {
    struct fixture *f;
    bool is_add;
    const char *owner; /* NULL: a persistent text */
    const char *base, *text;
    const char *client;
};

static inline struct err value_row(struct db *db, const struct value_args *a)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        a->is_add ? db_prepare(db, "INSERT OR REPLACE INTO delegate_value "
                                   "(owner, txt, client, registration, base, expires) "
                                   "VALUES (?1, ?2, ?3, '', '', 9999999999)")
                  : db_prepare(db, "DELETE FROM delegate_value WHERE owner = ?1 AND txt = ?2 "
                                   "AND client = ?3");

    db_bind_text(q, 1, a->owner);
    db_bind_text(q, 2, a->text);
    db_bind_text(q, 3, a->client);
    return db_run(q, NULL);
}

static inline struct err text_row(struct db *db, const struct value_args *a)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        a->is_add
            ? db_prepare(db, "INSERT OR REPLACE INTO delegate_persist "
                             "(base, account, text, expires) VALUES (?1, 'a', ?2, 9999999999)")
            : db_prepare(db, "DELETE FROM delegate_persist WHERE base = ?1");

    db_bind_text(q, 1, a->base);
    if (a->is_add) {
        db_bind_text(q, 2, a->text);
    }
    return db_run(q, NULL);
}

static inline struct err value_tx(struct db *db, void *arg)
{
    struct value_args *a = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    struct zone_value value;

    TRY(zone_change_new(a->f->records, &change));
    if (a->owner == NULL) {
        TRY(text_row(db, a));
        TRY(zone_change_persist(change, a->base, &a->text, a->is_add ? 1 : 0));
    } else {
        memset(&value, 0, sizeof(value));
        memcpy(value.txt, a->text, TXT_VALUE_LEN);
        (void)snprintf(value.by.client, sizeof(value.by.client), "%s", a->client);
        TRY(value_row(db, a));
        TRY(zone_change_value(change, a->is_add, a->owner, &value));
    }
    return zone_change_commit(&change, db, NULL);
}

static inline void put_value(struct fixture *f, bool is_add, const char *owner, const char *client,
                             const char *text)
{
    struct value_args args = {f, is_add, owner, NULL, text, client};

    must(store_write(f->store, "test.value", value_tx, &args));
}

static inline void put_text(struct fixture *f, bool is_add, const char *base, const char *text)
{
    struct value_args args = {f, is_add, NULL, base, text, ""};

    must(store_write(f->store, "test.text", value_tx, &args));
}

#endif
