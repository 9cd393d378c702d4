/* dns-persist-01's texts: their rows, and the snapshot's records of a name, which are made anew from
 * all rows whenever one of them changes. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* The texts of one name. */
struct texts {
    char base[NAME_TEXT_MAX + 1];
    struct buf all; /* each with its terminator */
    size_t n;
};

static void texts_clear(struct texts *t)
{
    buf_clear(&t->all);
}

static void texts_begin(struct texts *t, const char *base)
{
    buf_reset(&t->all);
    t->n = 0;
    memcpy(t->base, base, strlen(base) + 1);
}

static void add_text(struct texts *t, const char *text, size_t len)
{
    buf_put(&t->all, text, len);
    buf_put(&t->all, "", 1);
    t->n++;
}

/* Pointers to them; at most ZONE_PERSIST_MAX. */
static size_t list_texts(const struct texts *t, const char *list[ZONE_PERSIST_MAX])
{
    size_t at = 0;
    size_t n = 0;

    for (; n < t->n && n < ZONE_PERSIST_MAX; n++) {
        list[n] = (const char *)t->all.data + at;
        at += strlen(list[n]) + 1;
    }
    return n;
}

/* The rows of `base` changed. */
static struct err note(struct delegate *d, struct db *db, const char *base,
                       struct zone_change *change)
{
    AUTO(texts_clear) struct texts t = {.all = BUF_INIT(ZONE_PERSIST_WIRE_MAX)};
    const char *list[ZONE_PERSIST_MAX];
    size_t len = 0;

    if (!zone_has_persist(d->zones, base)) {
        return err_ok(); /* a row of a zone that is not served any more */
    }
    texts_begin(&t, base);
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT text FROM delegate_persist "
                                       "WHERE base = ?1 AND expires > ?2 ORDER BY text");
    db_bind_text(q, 1, base);
    db_bind_int(q, 2, clock_unix_s());
    while (db_step(q)) {
        const char *text = db_col_text(q, 0, &len);
        add_text(&t, text, len);
    }
    TRY(db_finish(q));
    TRY(buf_check(&t.all));
    return zone_change_persist(change, base, list, list_texts(&t, list));
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return len > 0;
}

/* Is there room at base for one more text of an account that has none there or whose text goes? */
static struct err check_room(struct db *db, const char *base, const char *account, const char *text)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT text FROM delegate_persist WHERE base = ?1 "
                                       "AND account <> ?2 AND expires > ?3");
    size_t wire_len = zone_persist_wire_len(text);
    size_t n = 1;

    db_bind_text(q, 1, base);
    db_bind_text(q, 2, account);
    db_bind_int(q, 3, clock_unix_s());
    while (db_step(q)) {
        wire_len += zone_persist_wire_len(db_col_text(q, 0, NULL));
        n++;
    }
    TRY(db_finish(q));
    if (n > ZONE_PERSIST_MAX || wire_len > ZONE_PERSIST_WIRE_MAX) {
        FAIL(ERR_LIMIT, ZONE_PERSIST_LABEL ".%.200s is full: %u records of %u octets together",
             base, ZONE_PERSIST_MAX, ZONE_PERSIST_WIRE_MAX);
    }
    return err_ok();
}

struct err delegate_persist_put(struct delegate *delegate, struct db *db, const char *base_name,
                                const char *account_id, const char *text, int64_t expires_unix)
{
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    char base[NAME_TEXT_MAX + 1];
    const char *why = "not a name";
    size_t text_len = strnlen(text, ZONE_PERSIST_TEXT_MAX + 1);
    size_t account_len = strnlen(account_id, DELEGATE_ACCOUNT_ID_MAX + 1);

    if (name_parse(base_name, strlen(base_name), base, &why).code != ERR_OK) {
        FAIL(ERR_MALFORMED, "'%.200s' is not a usable name: %s", base_name, why);
    }
    if (text_len > ZONE_PERSIST_TEXT_MAX || !is_printable(text, text_len) ||
        account_len > DELEGATE_ACCOUNT_ID_MAX || account_len == 0 ||
        expires_unix <= clock_unix_s()) {
        FAIL(ERR_MALFORMED, "delegate: not a persistent text, its account and a time to come");
    }
    if (!zone_has_persist(delegate->zones, base)) {
        FAIL(ERR_NOT_FOUND,
             "%.200s is in no zone that is served here: put the record on the name "
             "server of its zone",
             base);
    }
    TRY(check_room(db, base, account_id, text));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO delegate_persist (base, account, text, expires) "
                       "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (base, account) "
                       "DO UPDATE SET text = ?3, expires = ?4");
    db_bind_text(q, 1, base);
    db_bind_text(q, 2, account_id);
    db_bind_text(q, 3, text);
    db_bind_int(q, 4, expires_unix);
    TRY(db_run(q, NULL));
    TRY(delegate_change_new(delegate, &change));
    TRY(note(delegate, db, base, change));
    return zone_change_commit(&change, db, NULL);
}

/* The first name at which the account has something, "" after the last. */
static struct err next_of_account(struct db *db, const char *account, char base[NAME_TEXT_MAX + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT base FROM delegate_persist WHERE account = ?1 LIMIT 1");

    base[0] = '\0';
    db_bind_text(q, 1, account);
    if (db_step(q)) {
        db_col_copy(q, 0, base, NAME_TEXT_MAX + 1);
    }
    return db_finish(q);
}

static struct err drop(struct db *db, const char *base, const char *account)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_persist WHERE base = ?1 AND account = ?2");

    db_bind_text(q, 1, base);
    db_bind_text(q, 2, account);
    return db_run(q, NULL);
}

struct err delegate_persist_remove_account(struct delegate *delegate, struct db *db,
                                           const char *account_id)
{
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    char base[NAME_TEXT_MAX + 1];

    TRY(delegate_change_new(delegate, &change));
    for (;;) {
        TRY(next_of_account(db, account_id, base));
        if (base[0] == '\0') {
            return zone_change_commit(&change, db, NULL);
        }
        TRY(drop(db, base, account_id));
        TRY(note(delegate, db, base, change));
    }
}

static struct err next_expired(struct db *db, int64_t now, char base[NAME_TEXT_MAX + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT base FROM delegate_persist WHERE expires <= ?1 LIMIT 1");

    base[0] = '\0';
    db_bind_int(q, 1, now);
    if (db_step(q)) {
        db_col_copy(q, 0, base, NAME_TEXT_MAX + 1);
    }
    return db_finish(q);
}

static struct err drop_expired_at(struct db *db, const char *base, int64_t now, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM delegate_persist WHERE base = ?1 AND expires <= ?2");
    int64_t changes = 0;

    db_bind_text(q, 1, base);
    db_bind_int(q, 2, now);
    TRY(db_run(q, &changes));
    *n += (size_t)changes;
    return err_ok();
}

struct err persist_drop_expired(struct db *db, struct delegate *d, size_t *n)
{
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    char base[NAME_TEXT_MAX + 1];
    int64_t now = clock_unix_s();
    size_t rows_n = 0;

    TRY(delegate_change_new(d, &change));
    for (unsigned i = 0; i < DELEGATE_PERSIST_BATCH; i++) {
        TRY(next_expired(db, now, base));
        if (base[0] == '\0') {
            break;
        }
        TRY(drop_expired_at(db, base, now, &rows_n));
        TRY(note(d, db, base, change));
    }
    TRY(zone_change_commit(&change, db, NULL));
    *n = rows_n;
    return err_ok();
}

/* A name that does not load (its zone is not served any more) is missing, no reason not to start. */
static void load_name(const struct texts *t, struct zone_edit *edit)
{
    const char *list[ZONE_PERSIST_MAX];
    struct err e = buf_check(&t->all);

    if (e.code == ERR_OK && t->n > 0) {
        e = zone_edit_persist(edit, t->base, list, list_texts(t, list));
    }
    if (e.code != ERR_OK) {
        log_ev(LOG_INFO, "delegate.persist.skipped", {"name", t->base},
               {"msg", "its zone is not served here any more, or its texts do not fit"});
        err_ignore(e);
    }
}

struct err persist_load(struct db *db, struct zone_edit *edit)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT base, text FROM delegate_persist "
                                       "WHERE expires > ?1 ORDER BY base, text");
    AUTO(texts_clear) struct texts t = {.all = BUF_INIT(ZONE_PERSIST_WIRE_MAX)};
    char base[NAME_TEXT_MAX + 1];
    size_t len = 0;

    db_bind_int(q, 1, clock_unix_s());
    while (db_step(q)) {
        db_col_copy(q, 0, base, sizeof(base));
        if (strcmp(t.base, base) != 0) {
            load_name(&t, edit);
            texts_begin(&t, base);
        }
        const char *text = db_col_text(q, 1, &len);
        add_text(&t, text, len);
    }
    TRY(db_finish(q));
    load_name(&t, edit);
    return err_ok();
}
