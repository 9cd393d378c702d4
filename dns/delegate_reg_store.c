/* SQL of acme-dns registrations and of their bindings to names. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/mem.h"

struct err registration_insert(struct db *db, const struct registration *reg, int64_t now)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO delegate_registration "
            "(username, label, password_hash, client, network, allowfrom, created, used) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)");

    db_bind_text(q, 1, reg->username);
    db_bind_text(q, 2, reg->label);
    db_bind_blob(q, 3, reg->password_hash, sizeof(reg->password_hash));
    db_bind_text(q, 4, reg->client);
    db_bind_text(q, 5, reg->network);
    db_bind_text(q, 6, reg->allowfrom);
    db_bind_int(q, 7, now);
    return db_run(q, NULL);
}

static struct err get(struct db_stmt *q, const char *text, struct registration *out)
{
    struct registration reg;
    bool is_found = false;

    memset(&reg, 0, sizeof(reg));
    db_bind_text(q, 1, text);
    while (db_step(q)) {
        size_t len = 0;
        const void *digest = db_col_blob(q, 2, &len);
        is_found = len == sizeof(reg.password_hash);
        if (is_found) {
            memcpy(reg.password_hash, digest, len);
        }
        db_col_copy(q, 0, reg.username, sizeof(reg.username));
        db_col_copy(q, 1, reg.label, sizeof(reg.label));
        db_col_copy(q, 3, reg.client, sizeof(reg.client));
        db_col_copy(q, 4, reg.network, sizeof(reg.network));
        db_col_copy(q, 5, reg.allowfrom, sizeof(reg.allowfrom));
    }
    TRY(db_finish(q));
    if (!is_found) {
        FAIL(ERR_NOT_FOUND, "no such registration");
    }
    *out = reg;
    return err_ok();
}

struct err registration_get(struct db *db, enum registration_key by, const char *text,
                            struct registration *out)
{
    if (by == BY_USERNAME) {
        AUTO(db_stmt_release)
        struct db_stmt *q =
            db_prepare(db, "SELECT username, label, password_hash, client, network, allowfrom "
                           "FROM delegate_registration WHERE username = ?1");
        return get(q, text, out);
    }
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT username, label, password_hash, client, network, allowfrom "
                       "FROM delegate_registration WHERE label = ?1");
    return get(q, text, out);
}

struct err registrations_count(struct db *db, const char *client, const char *network, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*) FROM delegate_registration "
                                       "WHERE client = ?1 AND network = ?2");
    int64_t count = 0;

    db_bind_text(q, 1, client);
    db_bind_text(q, 2, network);
    if (db_step(q)) {
        count = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    *n = (size_t)count;
    return err_ok();
}

struct err registration_touch(struct db *db, const char *label, int64_t now)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE delegate_registration SET used = ?2 WHERE label = ?1");

    db_bind_text(q, 1, label);
    db_bind_int(q, 2, now);
    return db_run(q, NULL);
}

struct err registrations_drop_unused(struct db *db, int64_t before, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_registration WHERE used = 0 AND created <= ?1");
    int64_t changes = 0;

    db_bind_int(q, 1, before);
    TRY(db_run(q, &changes));
    *n = (size_t)changes;
    return err_ok();
}

struct err registrations_drop_client(struct db *db, const char *client)
{
    AUTO(db_stmt_release)
    struct db_stmt *bound = db_prepare(db, "DELETE FROM delegate_binding WHERE client = ?1");
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM delegate_registration WHERE client = ?1");

    db_bind_text(bound, 1, client);
    TRY(db_run(bound, NULL));
    db_bind_text(q, 1, client);
    return db_run(q, NULL);
}

struct err binding_put(struct db *db, const char *name, const char *label, const char *client,
                       int64_t now, bool *is_new)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO delegate_binding (name, label, client, bound) "
                       "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name, label) DO NOTHING");
    int64_t changes = 0;

    db_bind_text(q, 1, name);
    db_bind_text(q, 2, label);
    db_bind_text(q, 3, client);
    db_bind_int(q, 4, now);
    TRY(db_run(q, &changes));
    *is_new = changes > 0;
    return err_ok();
}

struct err binding_rival(struct db *db, const char *name, const char *client,
                         char rival[CLIENT_NAME_MAX + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT client FROM delegate_binding WHERE name = ?1 AND client <> ?2 LIMIT 1");

    rival[0] = '\0';
    db_bind_text(q, 1, name);
    db_bind_text(q, 2, client);
    while (db_step(q)) {
        db_col_copy(q, 0, rival, CLIENT_NAME_MAX + 1);
    }
    return db_finish(q);
}

struct err bindings_each_name(struct db *db, const char *label,
                              struct err (*fn)(void *ctx, struct db *db, const char *name),
                              void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT name FROM delegate_binding WHERE label = ?1 ORDER BY name");
    char name[NAME_TEXT_MAX + 1];

    db_bind_text(q, 1, label);
    while (db_step(q)) {
        db_col_copy(q, 0, name, sizeof(name));
        TRY(fn(ctx, db, name));
    }
    return db_finish(q);
}

struct err binding_drop(struct db *db, const char *name, const char *label)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_binding WHERE name = ?1 AND label = ?2");

    db_bind_text(q, 1, name);
    db_bind_text(q, 2, label);
    return db_run(q, NULL);
}

struct err bindings_drop(struct db *db, const char *name, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM delegate_binding WHERE name = ?1");
    int64_t changes = 0;

    db_bind_text(q, 1, name);
    TRY(db_run(q, &changes));
    *n = (size_t)changes;
    return err_ok();
}

struct err bindings_list(struct db *db, const char *client, struct delegate_binding **out,
                         size_t *out_n)
{
    AUTO(mem_freep) struct delegate_binding *list = NULL;
    size_t n = 0;
    size_t cap = 0;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT label, client, name, bound FROM delegate_binding "
                                       "WHERE ?1 IS NULL OR client = ?1 ORDER BY name, label");

    db_bind_text(q, 1, client);
    while (db_step(q)) {
        if (n == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            struct delegate_binding *more = mem_resize(list, cap * sizeof(*list));
            TRY_PTR(more);
            list = more;
        }
        struct delegate_binding *b = &list[n++];
        db_col_copy(q, 0, b->registration, sizeof(b->registration));
        db_col_copy(q, 1, b->client, sizeof(b->client));
        db_col_copy(q, 2, b->name, sizeof(b->name));
        b->bound_unix = db_col_int(q, 3);
    }
    TRY(db_finish(q));
    *out = MOVE(list);
    *out_n = n;
    return err_ok();
}

struct err value_registrations(struct db *db, const char *base, const char *txt,
                               struct err (*fn)(void *ctx, struct db *db, const char *label,
                                                const char *client),
                               void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT registration, client FROM delegate_value WHERE base = ?1 "
                       "AND txt = ?2 AND client <> '' AND registration <> '' ORDER BY id");
    char label[UUID_TEXT_LEN + 1];
    char client[CLIENT_NAME_MAX + 1];

    db_bind_text(q, 1, base);
    db_bind_text(q, 2, txt);
    while (db_step(q)) {
        db_col_copy(q, 0, label, sizeof(label));
        db_col_copy(q, 1, client, sizeof(client));
        TRY(fn(ctx, db, label, client));
    }
    return db_finish(q);
}
