/* What DNS does, over the admin API: traces, counters, the query log, secondaries. */
#include "web/admin_dns.h"

#include "http_talk.h"

#include <stdlib.h>

#include "core/util/log.h"
#include "dns/zone.h"
#include "web/admin_api.h"

#define DNS "/api/v1/dns"

struct world {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct transfer *transfer;
    struct watch *watch;
    struct watch_thread *thread;
    struct admin_api *api;
    struct talk talk;
};

static const char CONFIG[] = "hostname: ca.a.test\naddresses: [10.0.0.53]\n"
                             "zones: [{name: a.test, ingress: [10.0.0.80], "
                             "transfer: {allow: [10.0.0.2], notify: [10.0.0.2]}}]\n";

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
}

static void start_dns(struct world *w)
{
    must(zone_db_new(w->cfg, 1, &w->zones));
    must(records_open(w->cfg, w->store, w->zones, &w->records));
    const struct transfer_options options = {
        .cfg = w->cfg, .store = w->store, .access = w->access, .records = w->records};
    must(transfer_new(&options, &w->transfer));
    must(watch_new(w->zones, &w->watch));
    must(watch_thread_new(w->watch, &w->thread));
}

static void world_start(struct world *w)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE, RECORDS_STORE_MODULE};
    struct http_route routes[32];
    struct buf problems = BUF_INIT(4096);
    char path[128];
    size_t n = 0;

    memset(w, 0, sizeof(*w));
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/bw-dns-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    must(config_parse("t", CONFIG, sizeof(CONFIG) - 1, &problems, &w->cfg));
    buf_clear(&problems);
    (void)snprintf(path, sizeof(path), "%s/t.db", w->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, modules, ARRAY_N(modules), &w->store));
    must(access_open(w->cfg, w->store, &w->access));
    start_dns(w);
    const struct admin_api_options api = {.cfg = w->cfg,
                                          .store = w->store,
                                          .zones = w->zones,
                                          .records = w->records,
                                          .watch = w->watch,
                                          .transfer = w->transfer};
    must(admin_api_new(&api, &w->api));
    must(admin_api_routes(w->api, routes, ARRAY_N(routes), &n));
    talk_start(&w->talk, routes, n, HTTP_ON_CONTROL);
}

static void world_stop(struct world *w)
{
    static const char *const FILES[] = {"t.db", "t.db-wal", "t.db-shm"};

    talk_stop(&w->talk);
    admin_api_free(w->api);
    transfer_free(w->transfer);
    watch_free(w->watch);
    store_close(w->store);
    records_close(w->records);
    zone_db_free(w->zones);
    access_close(w->access);
    config_free(w->cfg);
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, FILES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
}

static void expect(struct world *w, int status, const char *says, const char *method,
                   const char *path, const char *body)
{
    int got = talk(&w->talk, method, path, "", body);

    if (got != status || !talk_has(&w->talk, says)) {
        fail_msg("%s %s: expected %d with %s, got %s", method, path, status, says,
                 buf_str(&w->talk.reply));
    }
}

/* One question, as a DNS thread answers and counts it. */
static void ask(struct world *w, const char *name, uint16_t type)
{
    static const uint8_t HEAD[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    struct ip_addr peer = {4, {10, 0, 0, 7}};
    uint8_t query[512];
    uint8_t out[DNS_UDP_EDNS_MAX];
    size_t len = sizeof(query) - sizeof(HEAD) - 4;
    struct zone_reader *reader = NULL;
    struct answer_info info;

    memcpy(query, HEAD, sizeof(HEAD));
    must(name_to_wire(name, query + sizeof(HEAD), &len));
    len += sizeof(HEAD);
    query[len++] = (uint8_t)(type >> 8);
    query[len++] = (uint8_t)type;
    query[len++] = 0;
    query[len++] = 1;
    memset(&info, 0, sizeof(info));
    must(zone_reader_new(w->zones, &reader));
    const struct answer_in in = {
        .snap = zone_read_begin(reader), .query = query, .query_len = len, .peer = &peer};
    size_t out_len = 0;
    enum answer_verdict verdict = answer(&in, out, sizeof(out), &out_len, &info);
    watch_note(w->thread, &in, &info, verdict);
    zone_read_end(reader);
    zone_reader_free(reader);
}

static void traces_are_texts(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    expect(&w, 400, "a name was expected", "GET", DNS "/trace", NULL);
    expect(&w, 400, "a name was expected", "GET", DNS "/trace?type=A", NULL);
    expect(&w, 400, "'NOPE' is not a record type", "GET", DNS "/trace?name=a.test&type=NOPE", NULL);
    expect(&w, 400, "'a..test' is not a DNS name", "GET", DNS "/trace?name=a..test", NULL);
    expect(&w, 200, "10.0.0.80", "GET", DNS "/trace?name=www.a.test", NULL);
    assert_true(talk_has(&w.talk, "{\"text\":\""));
    assert_false(talk_has(&w.talk, "Forwarding"));
    expect(&w, 200, "www.a.test.acme.a.test", "GET",
           DNS "/trace?name=_acme-challenge.www.a.test.&type=txt", NULL);
    expect(&w, 200, "Forwarding is off", "GET", DNS "/trace?name=www.example.org&type=TYPE1", NULL);
    world_stop(&w);
}

static void answers_are_counted(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    expect(&w, 200, "{\"counts\":[],\"forward\":null}", "GET", DNS "/counters", NULL);
    ask(&w, "x.a.test", 1);
    ask(&w, "y.a.test", 1);
    ask(&w, "x.example.org", 28);
    expect(&w, 200, "{\"zone\":\"a.test\",\"type\":\"A\",\"rcode\":\"NOERROR\",\"n\":2}", "GET",
           DNS "/counters", NULL);
    assert_true(
        talk_has(&w.talk, "{\"zone\":\"\",\"type\":\"AAAA\",\"rcode\":\"REFUSED\",\"n\":1}"));
    world_stop(&w);
}

static void log_is_switched_and_read(void **state)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"on\":1}", "{\"on\":\"true\"}"};
    struct world w;
    (void)state;

    world_start(&w);
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        expect(&w, 400, "\\\"on\\\": true or false", "PUT", DNS "/log", bad[i]);
    }
    ask(&w, "unseen.a.test", 1);
    expect(&w, 200, "{\"on\":false,\"entries\":[]}", "GET", DNS "/log", NULL);
    expect(&w, 200, "{\"on\":true}", "PUT", DNS "/log", "{\"on\":true}");
    ask(&w, "first.a.test", 1);
    ask(&w, "second.example.org", 16);
    expect(&w, 200, "\"peer\":\"10.0.0.7\",\"transport\":\"UDP\",\"name\":\"first.a.test", "GET",
           DNS "/log", NULL);
    assert_true(talk_has(&w.talk, "\"type\":\"TXT\",\"rcode\":\"REFUSED\""));
    assert_true(talk_has(&w.talk, "\"verdict\":\"answered\""));
    assert_false(talk_has(&w.talk, "unseen"));
    expect(&w, 200, "second.example.org", "GET", DNS "/log?n=1", NULL);
    assert_false(talk_has(&w.talk, "first.a.test"));
    expect(&w, 400, "n: a whole number of at most 4096", "GET", DNS "/log?n=4097", NULL);
    expect(&w, 200, "{\"on\":false}", "PUT", DNS "/log", "{\"on\":false}");
    world_stop(&w);
}

static void secondaries_are_listed(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    expect(&w, 200, "\"zone\":\"a.test\",\"server\":\"10.0.0.2:53\"", "GET", DNS "/transfers",
           NULL);
    assert_true(talk_has(&w.talk, "\"answered_at\":null"));
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_texts),
        cmocka_unit_test(answers_are_counted),
        cmocka_unit_test(log_is_switched_and_read),
        cmocka_unit_test(secondaries_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
