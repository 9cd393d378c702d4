/* Problem documents' "instance": what happened, for the account that was told so. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/problem_page.h"
#include "acme-server/record.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* Refusals are remembered in memory only, so that they cost no write: what an account was told, and
 * apart from it what strangers were told, who could otherwise push the accounts' out. */
#define KNOWN_MAX 1024u
#define STRANGERS_MAX 256u

struct instance {
    char id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    char subject[OBJECT_ID_LEN + 1];
    int64_t at_unix;
    enum problem_type type;
    char detail[PROBLEM_DETAIL_MAX];
};

struct ring {
    struct instance *entries;
    size_t max, next;
};

struct instances {
    pthread_mutex_t lock;
    struct ring known, strangers;
};

struct err instances_new(struct instances **out)
{
    struct instances *x = mem_zalloc(sizeof(*x));

    TRY_PTR(x);
    (void)pthread_mutex_init(&x->lock, NULL);
    x->known = (struct ring){mem_array(KNOWN_MAX, sizeof(struct instance)), KNOWN_MAX, 0};
    x->strangers =
        (struct ring){mem_array(STRANGERS_MAX, sizeof(struct instance)), STRANGERS_MAX, 0};
    if (x->known.entries == NULL || x->strangers.entries == NULL) {
        instances_free(x);
        FAIL(ERR_NOMEM, "problem documents: out of memory");
    }
    *out = x;
    return err_ok();
}

void instances_free(struct instances *x)
{
    if (x != NULL) {
        mem_free(x->known.entries);
        mem_free(x->strangers.entries);
        (void)pthread_mutex_destroy(&x->lock);
        mem_free(x);
    }
}

const char *acme_instance_id(const struct problem *prob)
{
    const char *slash = strrchr(prob->instance, '/');

    return slash == NULL ? "" : slash + 1;
}

void acme_req_stamp(struct acme_req *r)
{
    struct instances *x = r->acme->instances;
    struct ring *ring = r->account_id[0] == '\0' ? &x->strangers : &x->known;
    char id[OBJECT_ID_LEN + 1];

    if (r->prob.instance[0] != '\0' || random_id(id).code != ERR_OK) {
        return;
    }
    (void)snprintf(r->prob.instance, sizeof(r->prob.instance), "%s" ACME_INSTANCE_PATH "%s",
                   r->base, id);
    (void)pthread_mutex_lock(&x->lock);
    struct instance *entry = &ring->entries[ring->next];
    ring->next = (ring->next + 1) % ring->max;
    memcpy(entry->id, id, sizeof(entry->id));
    memcpy(entry->account_id, r->account_id, sizeof(entry->account_id));
    memcpy(entry->subject, r->subject, sizeof(entry->subject));
    entry->at_unix = clock_unix_s();
    entry->type = r->prob.type;
    memcpy(entry->detail, r->prob.detail, sizeof(entry->detail));
    (void)pthread_mutex_unlock(&x->lock);
}

static bool ring_find(const struct ring *ring, const char *id, struct instance *out)
{
    for (size_t i = 0; i < ring->max; i++) {
        if (strcmp(ring->entries[i].id, id) == 0) {
            *out = ring->entries[i];
            return true;
        }
    }
    return false;
}

static bool remembered(struct instances *x, const char *id, struct instance *out)
{
    (void)pthread_mutex_lock(&x->lock);
    bool is_found = ring_find(&x->known, id, out) || ring_find(&x->strangers, id, out);
    (void)pthread_mutex_unlock(&x->lock);
    return is_found;
}

/* --- the page --------------------------------------------------------------------------------- */

struct page {
    const char *id; /* of a problem document or, with is_order, an order */
    bool is_order;
    const struct instance *seen; /* or NULL */
    char account_id[OBJECT_ID_LEN + 1];
    char order_id[OBJECT_ID_LEN + 1];
    json_t *timeline;
    json_t *order; /* what is known of the order; NULL when there is none */
};

static void page_clear(struct page *page)
{
    json_decref(page->timeline);
    json_decref(page->order);
}

static struct err put_row(void *ctx, const struct timeline_row *row)
{
    char when[CLOCK_RFC3339_LEN + 1];

    clock_rfc3339(row->at_ms / 1000, when);
    json_t *entry =
        json_pack("{s:s, s:I, s:s, s:s}", "time", when, "millisecond",
                  (json_int_t)(row->at_ms % 1000), "subject", row->subject, "text", row->text);
    if (entry == NULL || json_array_append_new(ctx, entry) != 0) {
        FAIL(ERR_NOMEM, "timeline: out of memory");
    }
    return err_ok();
}

static struct err put_names(json_t *order, const struct order_row *row)
{
    json_t *names = json_array();
    char text[IDENT_TEXT_MAX + 1];

    for (size_t i = 0; i < row->names_n; i++) {
        ident_text(&row->names[i].ident, text);
        (void)json_array_append_new(names, json_string(text));
    }
    TRY_PTR(names);
    return json_object_set_new(order, "identifiers", names) == 0
               ? err_ok()
               : err_set(ERR_NOMEM, __FILE__, __LINE__, "order");
}

static struct err load_order(struct db *db, struct page *page)
{
    AUTO(order_row_clear) struct order_row row = {0};
    struct err e = acme_db_order_load(db, page->order_id, &row);

    if (e.code == ERR_NOT_FOUND) {
        page->order_id[0] = '\0';
        return err_ok();
    }
    TRY(e);
    memcpy(page->account_id, row.account_id, sizeof(page->account_id));
    json_decref(page->order);
    page->order = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", row.id, "status",
                            order_status(row.status), "account", row.account_id, "profile",
                            row.profile[0] == '\0' ? "default" : row.profile, "certificate",
                            row.certificate_id);
    TRY_PTR(page->order);
    if (row.error[0] != '\0') {
        (void)json_object_set_new(page->order, "error", json_loads(row.error, 0, NULL));
    }
    return put_names(page->order, &row);
}

static struct err subject_order(struct db *db, const char *subject, char *order_id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT COALESCE((SELECT id FROM acme_order WHERE id = ?1),"
                       " (SELECT MAX(order_id) FROM acme_order_name WHERE authz_id = ?1), '')");

    db_bind_text(q, 1, subject);
    if (db_step(q)) {
        db_col_copy(q, 0, order_id, OBJECT_ID_LEN + 1);
    }
    return db_finish(q);
}

static struct err page_fn(struct db *db, void *arg)
{
    struct page *page = arg;

    json_decref(page->timeline);
    page->timeline = json_array();
    TRY_PTR(page->timeline);
    if (page->is_order) {
        memcpy(page->order_id, page->id, sizeof(page->order_id));
    } else if (page->seen != NULL) {
        memcpy(page->account_id, page->seen->account_id, sizeof(page->account_id));
        TRY(subject_order(db, page->seen->subject, page->order_id));
    } else {
        TRY(record_instance_find(db, page->id, page->account_id, page->order_id));
    }
    if (page->order_id[0] != '\0') {
        TRY(load_order(db, page));
        TRY(record_each(db, page->order_id, put_row, page->timeline));
    }
    if (page->is_order && page->order == NULL) {
        FAIL(ERR_NOT_FOUND, "no such order");
    }
    return err_ok();
}

static int append(const char *text, size_t len, void *out)
{
    buf_put(out, text, len);
    return 0;
}

static struct err put_json(const json_t *value, struct buf *out)
{
    if (json_dump_callback(value, append, out, JSON_COMPACT | JSON_ENSURE_ASCII) != 0) {
        FAIL(ERR_NOMEM, "JSON: out of memory");
    }
    return buf_check(out);
}

static struct err page_write(const struct page *page, struct buf *out)
{
    json_t *doc = json_object();
    char when[CLOCK_RFC3339_LEN + 1];

    TRY_PTR(doc);
    if (page->seen != NULL) {
        clock_rfc3339(page->seen->at_unix, when);
        (void)json_object_set_new(doc, "problem",
                                  json_pack("{s:s, s:s, s:s}", "type",
                                            problem_urn(page->seen->type), "detail",
                                            page->seen->detail, "time", when));
    }
    if (page->order != NULL) {
        (void)json_object_set(doc, "order", page->order);
    }
    (void)json_object_set(doc, "timeline", page->timeline);
    struct err e = put_json(doc, out);
    json_decref(doc);
    return e;
}

struct err acme_problem_page(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    struct instance seen;
    AUTO(page_clear) struct page page = {.id = id};

    TRY(acme_req_id(r, "problem document", id, &rest));
    if (rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    TRY(acme_req_as_get(r));
    page.seen = remembered(r->acme->instances, id, &seen) ? &seen : NULL;
    struct err e = store_read(r->acme->store, "acme.problem.page", page_fn, &page);
    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, "problem document");
    }
    TRY(e);
    if (strcmp(page.account_id, r->account_id) != 0) {
        return acme_req_foreign(r, "problem document");
    }
    TRY(page_write(&page, &r->resp->body));
    return acme_req_reply(r, 200);
}

struct err acme_describe(struct acme *acme, const char *id, struct buf *json)
{
    struct instance seen;
    AUTO(page_clear) struct page page = {.id = id};

    if (strlen(id) != OBJECT_ID_LEN || !is_base64url(id, OBJECT_ID_LEN)) {
        FAIL(ERR_NOT_FOUND, "it is no id: %u letters, digits, '-' or '_'", OBJECT_ID_LEN);
    }
    page.seen = remembered(acme->instances, id, &seen) ? &seen : NULL;
    struct err e = store_read(acme->store, "acme.describe", page_fn, &page);
    if (e.code == ERR_NOT_FOUND) {
        page.is_order = true;
        e = store_read(acme->store, "acme.describe", page_fn, &page);
    }
    TRY(e);
    return page_write(&page, json);
}

struct order_list {
    json_t *orders;
    size_t max;
};

static struct err orders_fn(struct db *db, void *arg)
{
    struct order_list *list = arg;
    char ids[100][OBJECT_ID_LEN + 1];
    size_t n = 0;

    json_decref(list->orders);
    list->orders = json_array();
    TRY_PTR(list->orders);
    TRY(acme_db_orders_newest(db, list->max < ARRAY_N(ids) ? list->max : ARRAY_N(ids), ids, &n));
    for (size_t i = 0; i < n; i++) {
        AUTO(page_clear) struct page page = {.id = ids[i]};
        memcpy(page.order_id, ids[i], sizeof(page.order_id));
        TRY(load_order(db, &page));
        if (page.order != NULL) {
            (void)json_array_append(list->orders, page.order);
        }
    }
    return err_ok();
}

struct err acme_orders_describe(struct acme *acme, size_t max, struct buf *json)
{
    struct order_list list = {.max = max};
    struct err e = store_read(acme->store, "acme.orders.describe", orders_fn, &list);

    if (e.code == ERR_OK) {
        e = put_json(list.orders, json);
    }
    json_decref(list.orders);
    return e;
}
