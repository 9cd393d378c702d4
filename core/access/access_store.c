#include <string.h>

#include "core/access/access_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

#define AUDIT_TEXT_MAX 512u

static const char *const STEPS[] = {
    "CREATE TABLE client ("
    " name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,"
    " secret TEXT NOT NULL,"
    " names TEXT NOT NULL,"
    " networks TEXT NOT NULL,"
    " created INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE audit ("
    " id INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " event TEXT NOT NULL,"
    " actor TEXT NOT NULL,"
    " object TEXT NOT NULL,"
    " peer TEXT NOT NULL,"
    " detail TEXT NOT NULL) STRICT;"
    "CREATE INDEX audit_event ON audit (event, id);",
    ("ALTER TABLE client ADD COLUMN preauthorized INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE client ADD COLUMN limits INTEGER NOT NULL DEFAULT 1;"),
    "ALTER TABLE client ADD COLUMN records INTEGER NOT NULL DEFAULT 1;",
};

const struct store_module ACCESS_STORE_MODULE = {"access", STEPS, ARRAY_N(STEPS)};

struct err client_rows_load(struct db *db, client_row_fn fn, void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT name, secret, names, networks, created, preauthorized, limits, "
                       "records FROM client ORDER BY name");

    while (db_step(q)) {
        struct client *client = NULL;
        TRY(client_from_text(db_col_text(q, 0, NULL), db_col_text(q, 1, NULL),
                             db_col_text(q, 2, NULL), db_col_text(q, 3, NULL), &client));
        client->created_unix = db_col_int(q, 4);
        client->is_preauthorized = db_col_int(q, 5) != 0;
        client->has_limits = db_col_int(q, 6) != 0;
        client->has_records = db_col_int(q, 7) != 0;
        TRY(fn(ctx, client));
    }
    return db_finish(q);
}

struct err client_row_insert(struct db *db, const struct client *client, const char *secret)
{
    AUTO(buf_clear) struct buf names = BUF_INIT(CLIENT_TEXT_MAX);
    AUTO(buf_clear) struct buf networks = BUF_INIT(CLIENT_TEXT_MAX);
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO client (name, secret, names, networks, created, "
                       "preauthorized, limits, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");

    TRY(client_names_text(client, &names));
    TRY(client_networks_text(client, &networks));
    db_bind_text(q, 1, client->name);
    db_bind_text(q, 2, secret);
    db_bind_text(q, 3, buf_str(&names));
    db_bind_text(q, 4, buf_str(&networks));
    db_bind_int(q, 5, client->created_unix);
    db_bind_int(q, 6, client->is_preauthorized ? 1 : 0);
    db_bind_int(q, 7, client->has_limits ? 1 : 0);
    db_bind_int(q, 8, client->has_records ? 1 : 0);
    return db_run(q, NULL);
}

struct err client_row_delete(struct db *db, const char *name, bool *was_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM client WHERE name = ?1");
    int64_t changes = 0;

    db_bind_text(q, 1, name);
    TRY(db_run(q, &changes));
    *was_there = changes > 0;
    return err_ok();
}

struct err client_row_exists(struct db *db, const char *name, bool *is_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM client WHERE name = ?1");

    db_bind_text(q, 1, name);
    bool found = db_step(q);
    TRY(db_finish(q));
    *is_there = found;
    return err_ok();
}

/* Details hold what peers sent: a row stays small whatever that was. */
static void bind_capped(struct db_stmt *q, int index, const char *text)
{
    if (text == NULL) {
        text = "";
    }
    db_bind_textn(q, index, text, strnlen(text, AUDIT_TEXT_MAX));
}

struct err audit_write(struct db *db, const struct audit_row *row)
{
    char peer[IP_TEXT_MAX + 1] = "";
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO audit (at, event, actor, object, peer, detail) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

    if (row->peer != NULL && row->peer->family != 0) {
        ip_text(row->peer, peer);
    }
    db_bind_int(q, 1, clock_unix_s());
    bind_capped(q, 2, row->event);
    bind_capped(q, 3, row->actor);
    bind_capped(q, 4, row->object);
    db_bind_text(q, 5, peer);
    bind_capped(q, 6, row->detail);
    return db_run(q, NULL);
}

struct err audit_prune(struct db *db, const char *event, size_t keep, size_t *removed_n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "DELETE FROM audit WHERE event = ?1 AND id <= "
            "(SELECT id FROM audit WHERE event = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)");
    int64_t changes = 0;

    db_bind_text(q, 1, event);
    db_bind_int(q, 2, (int64_t)keep);
    TRY(db_run(q, &changes));
    *removed_n = (size_t)changes;
    return err_ok();
}
