#include "web/admin_dns.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/forward.h"
#include "dns/rr.h"
#include "dns/transfer.h"
#include "dns/watch.h"
#include "dns/wire.h"
#include "web/admin_api.h"
#include "web/admin_reply.h"

#define TRACE_MAX (256u * 1024u)
#define NAME_ESCAPED_MAX (NAME_WIRE_MAX * 4u + 1u)
#define RCODE_TEXT_MAX 16u

static void rcode_text(unsigned rcode, char out[RCODE_TEXT_MAX])
{
    const char *text = rcode == WATCH_TYPE_OTHER ? "other" : wire_rcode_text(rcode);

    if (text != NULL) {
        (void)snprintf(out, RCODE_TEXT_MAX, "%s", text);
    } else {
        (void)snprintf(out, RCODE_TEXT_MAX, "RCODE%u", rcode);
    }
}

static void type_text(uint16_t type, char out[RR_TYPE_TEXT_MAX + 1])
{
    if (type == 0 || type == WATCH_TYPE_OTHER) {
        (void)snprintf(out, RR_TYPE_TEXT_MAX + 1, "%s", type == 0 ? "none" : "other");
        return;
    }
    rr_type_text(type, out);
}

/* --- trace ------------------------------------------------------------------------------------ */

static bool anybody(const void *ctx, const struct ip_addr *peer)
{
    (void)ctx;
    (void)peer;
    return true;
}

/* Would the question of somebody who may ask through us be forwarded? The answer path decides. */
static bool is_forwarded(const struct zone_snapshot *snap, const char *name, uint16_t type)
{
    static const uint8_t HEAD[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}; /* RD, one question */
    static const struct answer_env ENV = {.may_forward = anybody};
    static const struct ip_addr PEER = {4, {127, 0, 0, 1}};
    uint8_t query[sizeof(HEAD) + NAME_WIRE_MAX + 4];
    uint8_t out[DNS_UDP_EDNS_MAX];
    size_t n = NAME_WIRE_MAX;
    size_t out_len = 0;

    memcpy(query, HEAD, sizeof(HEAD));
    if (name_to_wire(name, query + sizeof(HEAD), &n).code != ERR_OK) {
        return false;
    }
    uint8_t *at = query + sizeof(HEAD) + n;
    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    at[2] = 0;
    at[3] = DNS_CLASS_IN;
    const struct answer_in in = {.env = &ENV,
                                 .snap = snap,
                                 .query = query,
                                 .query_len = sizeof(HEAD) + n + 4,
                                 .peer = &PEER};
    return answer(&in, out, sizeof(out), &out_len, NULL) == ANSWER_FORWARD && out_len == 0;
}

/* The snapshot is not held while others are asked. */
static struct err explain_own(const struct admin_api_options *o, const char *name, uint16_t type,
                              struct buf *out, bool *is_outside)
{
    struct zone_reader *reader = NULL;

    TRY(zone_reader_new(o->zones, &reader));
    const struct zone_snapshot *snap = zone_read_begin(reader);
    struct err e = answer_explain(snap, name, type, out);
    *is_outside = is_forwarded(snap, name, type);
    zone_read_end(reader);
    zone_reader_free(reader);
    return e;
}

static bool has_every_name(const struct config *cfg)
{
    bool is_found = false;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        is_found = is_found || strcmp(cfg->zones[i].name, ".") == 0;
    }
    return is_found;
}

static struct err trace(const struct admin_api_options *o, const struct http_req *req,
                        struct buf *out)
{
    char name[NAME_ESCAPED_MAX];
    char type_name[RR_TYPE_TEXT_MAX * 2];
    uint16_t type = 1; /* A */
    bool is_outside = false;

    if (!admin_query_value(req->query, "name", name, sizeof(name))) {
        FAIL(ERR_MALFORMED, "a name was expected, as in ?name=www.svc.test&type=A");
    }
    size_t len = strlen(name);
    if (len > 1 && name[len - 1] == '.') {
        name[len - 1] = '\0';
    }
    if (admin_query_value(req->query, "type", type_name, sizeof(type_name)) &&
        !rr_type_parse(type_name, &type)) {
        FAIL(ERR_MALFORMED,
             "'%.40s' is not a record type: write A, TXT, ... or TYPE and its "
             "number",
             type_name);
    }
    struct err e = explain_own(o, name, type, out, &is_outside);
    if (e.code == ERR_MALFORMED) {
        FAIL(ERR_MALFORMED, "'%.255s' is not a DNS name", name);
    }
    TRY(e);
    if (is_outside && o->forward != NULL) {
        buf_puts(out, "For dns.forward.networks:\n");
        TRY(forward_explain(o->forward, name, type, out));
    } else if (is_outside && !has_every_name(o->cfg)) {
        buf_puts(out, "Forwarding is off: dns.forward names no networks.\n");
    }
    return buf_check(out);
}

void admin_dns_trace(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(TRACE_MAX);
    struct err e = trace(ctx, req, &text);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.dns.trace");
        return;
    }
    AUTO(json_decrefp) json_t *body = json_pack("{s:s}", "text", buf_str(&text));
    admin_reply_json(resp, 200, body);
}

/* --- counters --------------------------------------------------------------------------------- */

static json_t *forward_json(struct forward *forward)
{
    struct forward_counters n;

    if (forward == NULL) {
        return json_null();
    }
    forward_count(forward, &n);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "asked", (json_int_t)n.asked, "answered",
                     (json_int_t)n.answered, "failed", (json_int_t)n.failed, "refused",
                     (json_int_t)n.refused, "timeouts", (json_int_t)n.timeouts);
}

static struct err counters_json(const struct admin_api_options *o, json_t **out)
{
    AUTO(mem_freep) struct watch_count *counts = NULL;
    AUTO(json_decrefp) json_t *list = json_array();
    size_t n = 0;

    TRY_PTR(list);
    TRY(watch_counts(o->watch, &counts, &n));
    for (size_t i = 0; i < n; i++) {
        char type[RR_TYPE_TEXT_MAX + 1];
        char rcode[RCODE_TEXT_MAX];
        type_text(counts[i].type, type);
        rcode_text(counts[i].rcode, rcode);
        json_t *one = json_pack("{s:s, s:s, s:s, s:I}", "zone", counts[i].zone, "type", type,
                                "rcode", rcode, "n", (json_int_t)counts[i].n);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            FAIL(ERR_NOMEM, "counters: out of memory");
        }
    }
    *out = json_pack("{s:O, s:o}", "counts", list, "forward", forward_json(o->forward));
    TRY_PTR(*out);
    return err_ok();
}

void admin_dns_counters(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;

    (void)req;
    struct err e = counters_json(ctx, &body);
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.dns.counters");
        return;
    }
    admin_reply_json(resp, 200, body);
}

/* --- the query log ---------------------------------------------------------------------------- */

static const char *verdict_text(enum answer_verdict verdict)
{
    switch (verdict) {
    case ANSWER_DROP:
        return "dropped";
    case ANSWER_SEND:
        return "answered";
    case ANSWER_WORK:
        return "taken by a work thread";
    case ANSWER_FORWARD:
        return "forwarded";
    }
    return "";
}

static json_t *entry_json(const struct watch_entry *entry)
{
    char peer[IP_TEXT_MAX + 1];
    char type[RR_TYPE_TEXT_MAX + 1];
    char rcode[RCODE_TEXT_MAX];

    ip_text(&entry->peer, peer);
    type_text(entry->type, type);
    rcode_text(entry->rcode, rcode);
    return json_pack(
        "{s:o, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "time", admin_time(entry->unix_ms / 1000),
        "millisecond", (json_int_t)(entry->unix_ms % 1000), "peer", peer, "transport",
        entry->is_tcp ? "TCP" : "UDP", "name", entry->name, "type", type, "rcode", rcode, "reason",
        answer_reason_text(entry->reason), "verdict", verdict_text(entry->verdict));
}

static struct err log_json(const struct admin_api_options *o, size_t max, json_t **out)
{
    AUTO(mem_freep) struct watch_entry *entries = NULL;
    AUTO(json_decrefp) json_t *list = json_array();
    size_t n = 0;

    TRY_PTR(list);
    TRY(watch_log(o->watch, max, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        json_t *one = entry_json(&entries[i]);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            FAIL(ERR_NOMEM, "query log: out of memory");
        }
    }
    *out = json_pack("{s:b, s:O}", "on", watch_log_is_on(o->watch) ? 1 : 0, "entries", list);
    TRY_PTR(*out);
    return err_ok();
}

static struct err switch_log(const struct admin_api_options *o, const struct http_req *req,
                             json_t **out)
{
    AUTO(json_decrefp)
    json_t *doc = json_loadb((const char *)req->body, req->body_len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *on = json_object_get(doc, "on");

    if (!json_is_boolean(on)) {
        FAIL(ERR_MALFORMED, "a JSON object with \"on\": true or false was expected");
    }
    watch_log_set(o->watch, json_is_true(on));
    log_ev(LOG_INFO, "admin.dns.log", {"on", json_is_true(on) ? "yes" : "no"});
    *out = json_pack("{s:b}", "on", watch_log_is_on(o->watch) ? 1 : 0);
    TRY_PTR(*out);
    return err_ok();
}

void admin_dns_log(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;
    size_t max = ADMIN_LOG_DEFAULT;
    struct err e = err_ok();

    if (req->method == HTTP_PUT) {
        e = switch_log(ctx, req, &body);
    } else {
        e = admin_query_number(req->query, "n", ADMIN_LOG_DEFAULT, WATCH_LOG_MAX, &max);
        if (e.code == ERR_OK) {
            e = log_json(ctx, max, &body);
        }
    }
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.dns.log");
        return;
    }
    admin_reply_json(resp, 200, body);
}

/* --- secondaries ------------------------------------------------------------------------------ */

static struct err transfers_json(const struct admin_api_options *o, json_t **out)
{
    AUTO(mem_freep) struct transfer_info *info = NULL;
    AUTO(json_decrefp) json_t *list = json_array();
    size_t n = 0;

    TRY_PTR(list);
    TRY(transfer_list(o->transfer, &info, &n));
    for (size_t i = 0; i < n; i++) {
        char server[IP_TEXT_MAX + 10];
        ip_endpoint_text(&info[i].server, server);
        json_t *one = json_pack("{s:s, s:s, s:I, s:I, s:o, s:s}", "zone", info[i].zone, "server",
                                server, "notified", (json_int_t)info[i].notified_serial, "answered",
                                (json_int_t)info[i].answered_serial, "answered_at",
                                admin_time(info[i].answered_unix), "last", info[i].last);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            FAIL(ERR_NOMEM, "transfers: out of memory");
        }
    }
    *out = MOVE(list);
    return err_ok();
}

void admin_dns_transfers(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;

    (void)req;
    struct err e = transfers_json(ctx, &body);
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.dns.transfers");
        return;
    }
    admin_reply_json(resp, 200, body);
}
