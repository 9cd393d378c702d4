/* SQL of the delegate zone's values and hashed labels. Table delegate_serial belongs to zone_records.h
 * now. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

static const char *const STEPS[] = {
    /* client '' is an anonymous publisher in open mode; base '' a registration's own label. */
    "CREATE TABLE delegate_value ("
    " id INTEGER PRIMARY KEY,"
    " owner TEXT NOT NULL,"
    " txt TEXT NOT NULL,"
    " client TEXT NOT NULL,"
    " registration TEXT NOT NULL,"
    " base TEXT NOT NULL,"
    " expires INTEGER NOT NULL,"
    " UNIQUE (owner, txt, client, registration)) STRICT;"
    "CREATE INDEX delegate_value_txt ON delegate_value (txt);"
    "CREATE INDEX delegate_value_expires ON delegate_value (expires);"
    "CREATE INDEX delegate_value_client ON delegate_value (client);"
    "CREATE TABLE delegate_serial ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " serial INTEGER NOT NULL) STRICT;"
    "CREATE TABLE delegate_hashed ("
    " label TEXT NOT NULL PRIMARY KEY,"
    " name TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE delegate_registration ("
    " username TEXT NOT NULL PRIMARY KEY,"
    " label TEXT NOT NULL UNIQUE,"
    " password_hash BLOB NOT NULL,"
    " client TEXT NOT NULL,"
    " network TEXT NOT NULL,"
    " allowfrom TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " used INTEGER NOT NULL) STRICT;"
    "CREATE INDEX delegate_registration_client ON delegate_registration (client, network);"
    "CREATE INDEX delegate_registration_used ON delegate_registration (used, created);"
    "CREATE TABLE delegate_binding ("
    " name TEXT NOT NULL,"
    " label TEXT NOT NULL,"
    " client TEXT NOT NULL,"
    " bound INTEGER NOT NULL,"
    " PRIMARY KEY (name, label)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX delegate_binding_label ON delegate_binding (label);"
    "CREATE INDEX delegate_binding_client ON delegate_binding (client);",
    "CREATE INDEX delegate_value_base ON delegate_value (base);"
    "CREATE TABLE delegate_persist ("
    " base TEXT NOT NULL,"
    " account TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " expires INTEGER NOT NULL,"
    " PRIMARY KEY (base, account)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX delegate_persist_account ON delegate_persist (account);"
    "CREATE INDEX delegate_persist_expires ON delegate_persist (expires);",
};

const struct store_module DELEGATE_STORE_MODULE = {"delegate", STEPS, ARRAY_N(STEPS)};

/* Columns first .. first + 2: txt, client, registration. */
static void read_value(struct db_stmt *q, int first, struct zone_value *value)
{
    memset(value, 0, sizeof(*value));
    db_col_copy(q, first, value->txt, sizeof(value->txt));
    db_col_copy(q, first + 1, value->by.client, sizeof(value->by.client));
    db_col_copy(q, first + 2, value->by.registration, sizeof(value->by.registration));
    value->by.is_open = value->by.client[0] == '\0';
}

struct err values_load(struct db *db, int64_t now,
                       struct err (*fn)(void *ctx, const char *owner, const char *base,
                                        const struct zone_value *value),
                       void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT owner, base, txt, client, registration "
                                       "FROM delegate_value WHERE expires > ?1 ORDER BY id");
    char owner[NAME_TEXT_MAX + 1];
    char base[NAME_TEXT_MAX + 1];
    struct zone_value value;

    db_bind_int(q, 1, now);
    while (db_step(q)) {
        db_col_copy(q, 0, owner, sizeof(owner));
        db_col_copy(q, 1, base, sizeof(base));
        read_value(q, 2, &value);
        TRY(fn(ctx, owner, base, &value));
    }
    return db_finish(q);
}

struct err value_put(struct db *db, const char *owner, const char *base,
                     const struct zone_value *value, int64_t now)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO delegate_value (owner, txt, client, registration, base, expires) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
            "ON CONFLICT (owner, txt, client, registration) DO UPDATE SET expires = ?6");

    db_bind_text(q, 1, owner);
    db_bind_text(q, 2, value->txt);
    db_bind_text(q, 3, value->by.client);
    db_bind_text(q, 4, value->by.registration);
    db_bind_text(q, 5, base);
    db_bind_int(q, 6, now + DELEGATE_VALUE_TTL_S);
    return db_run(q, NULL);
}

struct err value_exists(struct db *db, const char *owner, const struct zone_value *value,
                        bool *is_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM delegate_value WHERE owner = ?1 AND txt = ?2 "
                                       "AND client = ?3 AND registration = ?4");

    db_bind_text(q, 1, owner);
    db_bind_text(q, 2, value->txt);
    db_bind_text(q, 3, value->by.client);
    db_bind_text(q, 4, value->by.registration);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *is_there = is_found;
    return err_ok();
}

struct err values_count(struct db *db, const char *owner, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*) FROM delegate_value WHERE owner = ?1");
    int64_t count = 0;

    db_bind_text(q, 1, owner);
    if (db_step(q)) {
        count = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    *n = (size_t)count;
    return err_ok();
}

struct err values_count_base(struct db *db, const char *base, int64_t now, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT COUNT(*) FROM delegate_value WHERE base = ?1 AND expires > ?2");
    int64_t count = 0;

    db_bind_text(q, 1, base);
    db_bind_int(q, 2, now);
    if (db_step(q)) {
        count = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    *n = (size_t)count;
    return err_ok();
}

/* A DELETE ... RETURNING owner, txt, client, registration: note each row. */
static struct err collect(struct db_stmt *q, struct zone_change *change)
{
    char owner[NAME_TEXT_MAX + 1];
    struct zone_value value;

    while (db_step(q)) {
        db_col_copy(q, 0, owner, sizeof(owner));
        read_value(q, 1, &value);
        TRY(zone_change_value(change, false, owner, &value));
    }
    return db_finish(q);
}

struct err values_drop_expired_at(struct db *db, const char *owner, int64_t now,
                                  struct zone_change *change)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_value WHERE owner = ?1 AND expires <= ?2 "
                       "RETURNING owner, txt, client, registration");

    db_bind_text(q, 1, owner);
    db_bind_int(q, 2, now);
    return collect(q, change);
}

struct err values_drop_expired(struct db *db, int64_t now, struct zone_change *change)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_value WHERE id IN "
                       "(SELECT id FROM delegate_value WHERE expires <= ?1 LIMIT ?2) "
                       "RETURNING owner, txt, client, registration");

    db_bind_int(q, 1, now);
    db_bind_int(q, 2, DELEGATE_MAINTAIN_BATCH);
    return collect(q, change);
}

/* Two statements, so that each uses its index. */
static struct err values_drop_own(struct db *db, const char *owner, const char *client,
                                  struct zone_change *change)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_value WHERE owner = ?1 AND client = ?2 "
                       "RETURNING owner, txt, client, registration");

    db_bind_text(q, 1, owner);
    db_bind_text(q, 2, client);
    return collect(q, change);
}

struct err values_drop(struct db *db, const char *owner, const char *txt, const char *client,
                       struct zone_change *change)
{
    if (txt == NULL) {
        return values_drop_own(db, owner, client, change);
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM delegate_value WHERE txt = ?1 AND client = ?2 "
                                       "AND (?3 IS NULL OR owner = ?3) "
                                       "RETURNING owner, txt, client, registration");

    db_bind_text(q, 1, txt);
    db_bind_text(q, 2, client);
    db_bind_text(q, 3, owner);
    return collect(q, change);
}

struct err values_drop_client(struct db *db, const char *client, struct zone_change *change)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM delegate_value WHERE client = ?1 "
                                       "RETURNING owner, txt, client, registration");

    db_bind_text(q, 1, client);
    return collect(q, change);
}

struct err values_each(struct db *db, const char *owner, int64_t now,
                       bool (*fn)(void *arg, const char *txt), void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT txt FROM delegate_value "
                                       "WHERE owner = ?1 AND expires > ?2 ORDER BY txt");
    bool is_on = true;

    db_bind_text(q, 1, owner);
    db_bind_int(q, 2, now);
    while (is_on && db_step(q)) {
        is_on = fn(arg, db_col_text(q, 0, NULL));
    }
    return db_finish(q);
}

struct err values_shorten(struct db *db, const char *txt, int64_t expires)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE delegate_value SET expires = ?2 WHERE txt = ?1 AND expires > ?2");

    db_bind_text(q, 1, txt);
    db_bind_int(q, 2, expires);
    return db_run(q, NULL);
}

struct err hashed_put(struct db *db, const char *label, const char *name)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO delegate_hashed (label, name) VALUES (?1, ?2) "
                                       "ON CONFLICT (label) DO NOTHING");

    db_bind_text(q, 1, label);
    db_bind_text(q, 2, name);
    return db_run(q, NULL);
}

struct err hashed_get(struct db *db, const char *label, char name[NAME_TEXT_MAX + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT name FROM delegate_hashed WHERE label = ?1");
    char found[NAME_TEXT_MAX + 1] = "";

    db_bind_text(q, 1, label);
    if (db_step(q)) {
        db_col_copy(q, 0, found, sizeof(found));
    }
    TRY(db_finish(q));
    if (found[0] == '\0') {
        FAIL(ERR_NOT_FOUND, "no name is known for %.60s", label);
    }
    memcpy(name, found, sizeof(found));
    return err_ok();
}
