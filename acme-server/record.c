#include "acme-server/record.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct err record_add(struct db *db, const char *subject, const char *text)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO acme_record (subject, at_ms, text) VALUES (?1, ?2, ?3)");
    size_t len = strnlen(text, RECORD_TEXT_MAX);

    if (len == 0) {
        return err_ok();
    }
    db_bind_text(q, 1, subject);
    db_bind_int(q, 2, clock_unix_ms());
    db_bind_textn(q, 3, text, len);
    return db_run(q, NULL);
}

struct err record_each(struct db *db, const char *order_id,
                       struct err (*fn)(void *ctx, const struct timeline_row *row), void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT at_ms, subject, text FROM acme_record WHERE subject = ?1"
                       " OR subject IN (SELECT authz_id FROM acme_order_name WHERE order_id = ?1)"
                       " ORDER BY seq");
    char subject[OBJECT_ID_LEN + 1];

    db_bind_text(q, 1, order_id);
    while (db_step(q)) {
        db_col_copy(q, 1, subject, sizeof(subject));
        const struct timeline_row row = {db_col_int(q, 0), subject, db_col_text(q, 2, NULL)};
        TRY(fn(ctx, &row));
    }
    return db_finish(q);
}

struct err record_instance(struct db *db, const char *id, const char *account_id,
                           const char *subject)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO acme_instance (id, account_id, subject, created_unix)"
                       " VALUES (?1, ?2, ?3, ?4)");

    db_bind_text(q, 1, id);
    db_bind_text(q, 2, account_id);
    db_bind_text(q, 3, subject);
    db_bind_int(q, 4, clock_unix_s());
    return db_run(q, NULL);
}

struct err record_instance_find(struct db *db, const char *id, char *account_id, char *order_id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT i.account_id, COALESCE((SELECT o.id FROM acme_order o WHERE o.id = i.subject),"
            " (SELECT MAX(n.order_id) FROM acme_order_name n WHERE n.authz_id = i.subject), '')"
            " FROM acme_instance i WHERE i.id = ?1");

    db_bind_text(q, 1, id);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no such problem document");
    }
    db_col_copy(q, 0, account_id, OBJECT_ID_LEN + 1);
    db_col_copy(q, 1, order_id, OBJECT_ID_LEN + 1);
    return db_finish(q);
}

/* seq of the first row of the newest `keep` orders, 0 when there are fewer. Of orders of one second
 * any may count as newer: theirs that are kept beside are more, never fewer. */
static struct err oldest_kept(struct db *db, int64_t keep, int64_t *seq)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT MIN(seq) FROM acme_record WHERE subject IN (SELECT id FROM acme_order"
            " ORDER BY created_unix DESC LIMIT ?1)"
            " HAVING (SELECT COUNT(*) FROM (SELECT 1 FROM acme_order LIMIT ?1)) >= ?1");

    db_bind_int(q, 1, keep);
    *seq = 0;
    if (db_step(q)) {
        *seq = db_col_int(q, 0);
    }
    return db_finish(q);
}

/* Raises *seq to where no more than RECORD_ROWS_MAX rows are left. */
static struct err at_most_rows(struct db *db, int64_t *seq)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COALESCE(MAX(seq), 0) - ?1 FROM acme_record");

    db_bind_int(q, 1, RECORD_ROWS_MAX - 1);
    if (db_step(q) && db_col_int(q, 0) > *seq) {
        *seq = db_col_int(q, 0);
    }
    return db_finish(q);
}

struct err record_prune(struct db *db, int64_t keep, size_t max, int64_t *removed_n)
{
    int64_t seq = 0;

    *removed_n = 0;
    TRY(oldest_kept(db, keep, &seq));
    TRY(at_most_rows(db, &seq));
    if (seq == 0) {
        return err_ok();
    }
    AUTO(db_stmt_release)
    struct db_stmt *i =
        db_prepare(db, "DELETE FROM acme_instance WHERE subject IN"
                       " (SELECT subject FROM acme_record WHERE seq < ?1 ORDER BY seq LIMIT ?2)");
    db_bind_int(i, 1, seq);
    db_bind_int(i, 2, (int64_t)max);
    TRY(db_run(i, NULL));
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM acme_record WHERE seq IN"
                                       " (SELECT seq FROM acme_record WHERE seq < ?1"
                                       " ORDER BY seq LIMIT ?2)");
    db_bind_int(q, 1, seq);
    db_bind_int(q, 2, (int64_t)max);
    return db_run(q, removed_n);
}
