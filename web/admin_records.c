#include "web/admin_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/rr.h"
#include "web/admin_api.h"
#include "web/admin_reply.h"

#define FILE_LABEL_MAX 200u
#define PROBLEMS_MAX (64u * 1024u)
#define OWNER_TEXT_MAX (NAME_WIRE_MAX * 4u + 1u) /* every octet escaped */
#define RDATA_TEXT_MAX (RR_RDATA_MAX * 4u + 64u)

/* --- lists ------------------------------------------------------------------------------------ */

/* The text of `one` behind what stands there; takes it. */
static struct err put_json(struct buf *out, json_t *take_one)
{
    AUTO(json_decrefp) json_t *one = take_one;
    char *text = one == NULL ? NULL : json_dumps(one, JSON_COMPACT);

    TRY_PTR(text);
    buf_puts(out, text);
    free(text); /* allow: jansson's allocation */
    return buf_check(out);
}

struct err admin_zones_write(struct records *records, struct buf *out)
{
    AUTO(mem_freep) struct zone_info *zones = NULL;
    size_t n = 0;

    TRY(records_zones(records, &zones, &n));
    for (size_t i = 0; i < n; i++) {
        const struct zone_info *z = &zones[i];
        buf_putc(out, i == 0 ? '[' : ',');
        TRY(put_json(
            out, json_pack("{s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "name", z->name,
                           "served", z->is_served ? 1 : 0, "plain", z->is_plain ? 1 : 0, "delegate",
                           z->is_delegate ? 1 : 0, "transferred", z->is_transferred ? 1 : 0,
                           "serial", (json_int_t)z->serial, "records", (json_int_t)z->records_n,
                           "known", (json_int_t)z->known_n, "journal", (json_int_t)z->journal_n,
                           "file", z->file == NULL ? "" : z->file)));
    }
    buf_puts(out, n == 0 ? "[]" : "]");
    return buf_check(out);
}

/* One list on its way out. Records are written one by one: a whole zone as JSON values would take
 * several times the room. */
struct listing {
    struct buf *out;
    const struct dns_rr *at; /* only those of this owner, NULL: all */
    size_t n;
    bool has_more;
    struct err e;
};

static const char *source_text(enum record_source source)
{
    switch (source) {
    case RECORD_FROM_STORE:
        return "store";
    case RECORD_FROM_FILE:
        return "file";
    case RECORD_DERIVED:
        return "derived";
    }
    return "";
}

static struct err put_row(struct listing *listing, const char *zone, const struct record_row *row)
{
    AUTO(buf_clear) struct buf rdata = BUF_INIT(RDATA_TEXT_MAX);
    char owner[OWNER_TEXT_MAX];
    char type[RR_TYPE_TEXT_MAX + 1];

    TRY(name_from_wire(row->rr.owner, row->rr.owner_len, owner, sizeof(owner)));
    TRY(rr_rdata_text(row->rr.type, row->rr.rdata, row->rr.rdata_len, &rdata));
    rr_type_text(row->rr.type, type);
    buf_puts(listing->out, listing->n == 0 ? "" : ",");
    listing->n++;
    return put_json(listing->out, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "zone", zone,
                                            "name", owner, "ttl", (json_int_t)row->rr.ttl, "type",
                                            type, "rdata", buf_str(&rdata), "source",
                                            source_text(row->source), "client", row->client));
}

static bool is_at(const struct dns_rr *at, const struct dns_rr *rr)
{
    return at == NULL ||
           (at->owner_len == rr->owner_len &&
            memcmp(at->owner, rr->owner, rr->owner_len) == 0); /* allow: names are public */
}

static bool list_row(void *arg, const char *zone, const struct record_row *row)
{
    struct listing *listing = arg;

    if (!is_at(listing->at, &row->rr)) {
        return true;
    }
    if (listing->n == ADMIN_ROWS_MAX) {
        listing->has_more = true;
        return false;
    }
    listing->e = put_row(listing, zone, row);
    return listing->e.code == ERR_OK;
}

/* The owner name alone: RFC 3597 form takes whatever type, so that every name goes through the one
 * parser. */
static struct err parse_owner(const char *name, struct dns_rr *out)
{
    char why[200] = "";

    if (rr_from_text(name, NULL, 0, "TYPE65280", "\\# 1 00", out, why, sizeof(why)).code !=
        ERR_OK) {
        FAIL(ERR_MALFORMED, "'%.255s' is not a name: %s", name, why);
    }
    mem_freep(&out->rdata);
    out->rdata_len = 0;
    return err_ok();
}

/* name NULL: the whole zone; zone NULL: all. */
static struct err write_list(struct records *records, const char *zone, const char *name,
                             struct buf *out)
{
    AUTO(rr_clear) struct dns_rr at = {.owner_len = 0};
    struct listing listing = {.out = out, .e = err_ok()};

    if (name != NULL) {
        TRY(parse_owner(name, &at));
        listing.at = &at;
    }
    buf_puts(out, "{\"records\":[");
    struct err e = records_list(records, zone, list_row, &listing);
    TRY(listing.e); /* the cause, when a row stopped the list */
    if (e.code == ERR_NOT_FOUND) {
        FAIL(ERR_NOT_FOUND, "'%.255s' is no zone served here: see 'bailiwick zone list'",
             zone == NULL ? "" : zone);
    }
    TRY(e);
    buf_printf(out, "],\"more\":%s}", listing.has_more ? "true" : "false");
    return buf_check(out);
}

/* As zones are called: lower case, without the final dot. */
static void plain_name(const char *name, char out[NAME_TEXT_MAX + 1])
{
    size_t n = strnlen(name, NAME_TEXT_MAX);

    n -= n > 1 && name[n - 1] == '.' ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    }
    out[n] = '\0';
}

/* The longest served zone that holds the name, NULL: none. */
static const struct zone_info *zone_of(const struct zone_info *zones, size_t n, const char *name)
{
    const struct zone_info *best = NULL;

    for (size_t i = 0; i < n; i++) {
        bool is_inside = zones[i].is_served && name_is_below_or_equal(name, zones[i].name);
        if (is_inside && (best == NULL || strcmp(best->name, ".") == 0 ||
                          strlen(zones[i].name) > strlen(best->name))) {
            best = &zones[i];
        }
    }
    return best;
}

struct err admin_records_find(struct records *records, const char *name, struct buf *out)
{
    AUTO(mem_freep) struct zone_info *zones = NULL;
    char plain[NAME_TEXT_MAX + 1];
    size_t n = 0;

    if (name == NULL) {
        return write_list(records, NULL, NULL, out);
    }
    plain_name(name, plain);
    TRY(records_zones(records, &zones, &n));
    const struct zone_info *zone = zone_of(zones, n, plain);
    if (zone == NULL) {
        FAIL(ERR_NOT_FOUND, "'%.255s' is in no zone served here: see 'bailiwick zone list'", name);
    }
    return write_list(records, zone->name, strcmp(zone->name, plain) == 0 ? NULL : name, out);
}

/* --- edits ------------------------------------------------------------------------------------ */

struct edit_list {
    struct record_edit *edits;
    size_t n;
};

static void edit_list_clear(struct edit_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        rr_clear(&list->edits[i].rr);
    }
    mem_freep(&list->edits);
}

/* A text member, or NULL when it is absent. */
static struct err text_member(const json_t *doc, const char *key, size_t i, const char **out)
{
    const json_t *value = json_object_get(doc, key);

    *out = json_string_value(value);
    if (*out == NULL && value != NULL && !json_is_null(value)) {
        FAIL(ERR_MALFORMED, "edit %zu: %s is not a text", i + 1, key);
    }
    return err_ok();
}

static struct err read_ttl(const json_t *doc, size_t i, uint32_t *out)
{
    const json_t *value = json_object_get(doc, "ttl");
    json_int_t ttl = json_integer_value(value);

    if (value == NULL || json_is_null(value)) {
        *out = RECORDS_DEFAULT_TTL_S;
        return err_ok();
    }
    if (!json_is_integer(value) || ttl < 0 || ttl > (json_int_t)RR_TTL_MAX) {
        FAIL(ERR_MALFORMED, "edit %zu: ttl is not a number of seconds from 0 to %u", i + 1,
             RR_TTL_MAX);
    }
    *out = (uint32_t)ttl;
    return err_ok();
}

static struct err read_record(const char *name, uint32_t ttl, const char *type, const char *rdata,
                              struct dns_rr *out)
{
    char why[300] = "";
    struct err e = rr_from_text(name, NULL, ttl, type, rdata, out, why, sizeof(why));

    if (e.code == ERR_MALFORMED && why[0] != '\0') {
        FAIL(ERR_MALFORMED, "%.255s %.20s: %s", name, type, why);
    }
    return e;
}

static struct err read_removal(const char *name, const char *type, const char *rdata,
                               struct record_edit *out)
{
    uint16_t number = 0;

    if (type != NULL && rdata != NULL) {
        out->op = RECORD_REMOVE;
        return read_record(name, 0, type, rdata, &out->rr);
    }
    if (type == NULL && rdata != NULL) {
        FAIL(ERR_MALFORMED, "%.255s: data is given without its type", name);
    }
    if (type != NULL && !rr_type_parse(type, &number)) {
        FAIL(ERR_MALFORMED,
             "'%.40s' is not a record type: write A, TXT, ... or TYPE and its number", type);
    }
    TRY(parse_owner(name, &out->rr));
    out->op = type == NULL ? RECORD_REMOVE_NAME : RECORD_REMOVE_SET;
    out->rr.type = number;
    return err_ok();
}

static struct err read_edit(const json_t *doc, size_t i, struct record_edit *out)
{
    const char *op = NULL;
    const char *name = NULL;
    const char *type = NULL;
    const char *rdata = NULL;
    uint32_t ttl = 0;

    TRY(text_member(doc, "op", i, &op));
    TRY(text_member(doc, "name", i, &name));
    TRY(text_member(doc, "type", i, &type));
    TRY(text_member(doc, "rdata", i, &rdata));
    TRY(read_ttl(doc, i, &ttl));
    if (op == NULL || name == NULL) {
        FAIL(ERR_MALFORMED, "edit %zu: an object with op and name was expected", i + 1);
    }
    if (strcmp(op, "remove") == 0) {
        return read_removal(name, type, rdata, out);
    }
    if (strcmp(op, "add") != 0) {
        FAIL(ERR_MALFORMED, "edit %zu: op '%.40s' is neither add nor remove", i + 1, op);
    }
    if (type == NULL || rdata == NULL) {
        FAIL(ERR_MALFORMED, "%.255s: a record needs a type and its data, as in A 10.0.0.1", name);
    }
    out->op = RECORD_ADD;
    return read_record(name, ttl, type, rdata, &out->rr);
}

struct err admin_records_edit(struct records *records, const char *text, size_t len, size_t *n)
{
    AUTO(json_decrefp) json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *array = json_object_get(doc, "edits");
    AUTO(edit_list_clear) struct edit_list list = {NULL, 0};
    struct record_refusal refusal = {""};

    if (!json_is_array(array) || json_array_size(array) == 0 ||
        json_array_size(array) > ADMIN_EDITS_MAX) {
        FAIL(ERR_MALFORMED, "a JSON object with a list \"edits\" of 1 to %u was expected",
             ADMIN_EDITS_MAX);
    }
    list.edits = mem_array(json_array_size(array), sizeof(*list.edits));
    TRY_PTR(list.edits);
    for (size_t i = 0; i < json_array_size(array); i++) {
        TRY(read_edit(json_array_get(array, i), i, &list.edits[i]));
        list.n++;
    }
    struct err e = records_edit_now(records, list.edits, list.n, &refusal);
    if (e.code == ERR_REJECTED) {
        FAIL(ERR_REJECTED, "%s", refusal.detail);
    }
    TRY(e);
    *n = list.n;
    return err_ok();
}

/* --- handlers --------------------------------------------------------------------------------- */

/* ["line", ...] of text. */
static json_t *lines_json(const char *text)
{
    json_t *list = json_array();

    while (list != NULL && *text != '\0') {
        size_t n = strcspn(text, "\n");
        (void)json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == '\n' ? 1 : 0);
    }
    return list;
}

void admin_zones_reload(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct err e = records_reload(ctx, &problems);

    (void)req;
    /* Lines of broken files are the answer, whatever the code that came with them. */
    if (e.code != ERR_OK && problems.len == 0) {
        admin_reply_err(resp, e, "admin.zone.reload");
        return;
    }
    AUTO(json_decrefp)
    json_t *body = json_pack("{s:o}", "problems", lines_json(buf_str(&problems)));
    log_ev(LOG_INFO, "admin.zone.reload", {"problems", problems.len == 0 ? "no" : "yes"});
    admin_reply_json(resp, 200, body);
}

/* "<zone>/<what>" -> the zone; zone: NAME_TEXT_MAX + 1. */
static bool split_tail(const char *tail, char *zone, const char **what)
{
    const char *slash = strrchr(tail, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - tail);

    if (n == 0 || n > NAME_TEXT_MAX) {
        return false;
    }
    memcpy(zone, tail, n);
    zone[n] = '\0';
    *what = slash + 1;
    return true;
}

/* The name that the file's faults are listed under: printable, so that the answer stays JSON. */
static void label_of(const char *query, char out[FILE_LABEL_MAX + 1])
{
    if (!admin_query_value(query, "label", out, FILE_LABEL_MAX + 1) || out[0] == '\0') {
        (void)snprintf(out, FILE_LABEL_MAX + 1, "line");
    }
    for (char *c = out; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
}

/* A zone's text may be longer than other answers. */
static struct buf *long_body(struct http_resp *resp)
{
    buf_clear(&resp->body);
    buf_init(&resp->body, ADMIN_ZONE_TEXT_MAX);
    return &resp->body;
}

static void reply_text(struct http_resp *resp, struct err e, const char *type, const char *event)
{
    if (e.code != ERR_OK) {
        buf_reset(&resp->body);
        admin_reply_err(resp, e, event);
        return;
    }
    resp->status = 200;
    resp->content_type = type;
}

void admin_zones_list(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)req;
    reply_text(resp, admin_zones_write(ctx, &resp->body), "application/json", "admin.zones");
}

static struct err export_zone(struct records *records, const char *zone, bool is_written_out,
                              struct buf *out)
{
    struct err e = records_export(records, zone, is_written_out, out);

    if (e.code == ERR_NOT_FOUND) {
        FAIL(ERR_NOT_FOUND, "'%.255s' is no zone served here: see 'bailiwick zone list'", zone);
    }
    return e;
}

void admin_zones_show(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    char zone[NAME_TEXT_MAX + 1];
    char flag[8];
    const char *what = "";
    bool is_good = split_tail(req->tail, zone, &what);

    if (is_good && strcmp(what, "records") == 0) {
        reply_text(resp, write_list(ctx, zone, NULL, long_body(resp)), "application/json",
                   "admin.records");
        return;
    }
    if (is_good && strcmp(what, "export") == 0) {
        bool is_written_out = admin_query_value(req->query, "written_out", flag, sizeof(flag));
        reply_text(resp, export_zone(ctx, zone, is_written_out, long_body(resp)), "text/dns",
                   "admin.zone.export");
        return;
    }
    admin_problem(resp, 404, "of a zone there are records and export");
}

static void reply_problems(struct http_resp *resp, const struct buf *problems)
{
    AUTO(json_decrefp)
    json_t *body =
        json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "about:blank", "title", "Bad Request",
                  "status", 400, "detail", "the zone file has faults; nothing was changed",
                  "problems", lines_json(buf_str(problems)));

    admin_reply_json(resp, 400, body);
}

void admin_zones_import(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(PROBLEMS_MAX);
    char zone[NAME_TEXT_MAX + 1];
    char label[FILE_LABEL_MAX + 1];
    char flag[8];
    const char *what = "";
    size_t n = 0;

    if (!split_tail(req->tail, zone, &what) || strcmp(what, "import") != 0) {
        admin_problem(resp, 404, "a zone takes import");
        return;
    }
    label_of(req->query, label);
    bool is_replacing = admin_query_value(req->query, "replace", flag, sizeof(flag));
    struct err e = records_import(ctx, zone, label, (const char *)req->body, req->body_len,
                                  is_replacing, &problems, &n);
    if (e.code != ERR_OK && problems.len > 0) {
        reply_problems(resp, &problems);
        return;
    }
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.zone.import");
        return;
    }
    AUTO(json_decrefp) json_t *body = json_pack("{s:I}", "changed", (json_int_t)n);
    log_ev(LOG_INFO, "admin.zone.import", {"zone", zone});
    admin_reply_json(resp, 200, body);
}

void admin_records_list(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    char name[OWNER_TEXT_MAX];
    bool has_name = admin_query_value(req->query, "name", name, sizeof(name));
    struct err e = admin_records_find(ctx, has_name ? name : NULL, long_body(resp));

    reply_text(resp, e, "application/json", "admin.records");
}

void admin_records_post(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    size_t n = 0;
    struct err e = admin_records_edit(ctx, (const char *)req->body, req->body_len, &n);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.record");
        return;
    }
    AUTO(json_decrefp) json_t *body = json_pack("{s:I}", "edits", (json_int_t)n);
    log_ev(LOG_INFO, "admin.record", {"msg", "the administrator changed records"});
    admin_reply_json(resp, 200, body);
}
