/* Zones and records over the admin API: what is refused, what is done, how it is listed. */
#include "web/admin_records.h"

#include "http_talk.h"

#include <stdlib.h>

#include <jansson.h>

#include "core/util/log.h"
#include "dns/zone.h"
#include "web/admin_api.h"

#define RECORDS "/api/v1/records"
#define ZONES "/api/v1/zones"

struct world {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct zone_db *zones;
    struct records *records;
    struct admin_api *api;
    struct talk talk;
};

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
}

static void zone_file(const struct world *w, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/zone", w->dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void world_start(struct world *w)
{
    struct http_route routes[32];
    struct buf problems = BUF_INIT(4096);
    char text[512];
    char path[128];
    size_t n = 0;

    memset(w, 0, sizeof(*w));
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/bw-records-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    zone_file(w, "$TTL 60\nfromfile A 10.0.0.9\n");
    (void)snprintf(text, sizeof(text),
                   "hostname: ca.a.test\naddresses: [10.0.0.53]\n"
                   "zones: [{name: a.test, file: %s/zone}, {name: b.test, plain: true}, "
                   "{name: c.test, serve: false}]\n",
                   w->dir);
    if (config_parse("t", text, strlen(text), &problems, &w->cfg).code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    (void)snprintf(path, sizeof(path), "%s/t.db", w->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    const struct store_module modules[] = {ACCESS_STORE_MODULE, RECORDS_STORE_MODULE};
    must(store_open(&options, modules, ARRAY_N(modules), &w->store));
    must(zone_db_new(w->cfg, 1, &w->zones));
    must(records_open(w->cfg, w->store, w->zones, &w->records));
    const struct admin_api_options api = {
        .cfg = w->cfg, .store = w->store, .zones = w->zones, .records = w->records};
    must(admin_api_new(&api, &w->api));
    must(admin_api_routes(w->api, routes, ARRAY_N(routes), &n));
    talk_start(&w->talk, routes, n, HTTP_ON_CONTROL);
}

static void world_stop(struct world *w)
{
    static const char *const FILES[] = {"t.db", "t.db-wal", "t.db-shm", "zone"};

    talk_stop(&w->talk);
    admin_api_free(w->api);
    store_close(w->store);
    records_close(w->records);
    zone_db_free(w->zones);
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
        fail_msg("%s %s %s: expected %d with %s, got %s", method, path, body == NULL ? "" : body,
                 status, says, buf_str(&w->talk.reply));
    }
}

static void add(struct world *w, const char *name, const char *type, const char *rdata)
{
    char body[512];

    (void)snprintf(
        body, sizeof(body),
        "{\"edits\":[{\"op\":\"add\",\"name\":\"%s\",\"type\":\"%s\",\"rdata\":\"%s\"}]}", name,
        type, rdata);
    expect(w, 200, "{\"edits\":1}", "POST", RECORDS, body);
}

#define EDIT(text) "{\"edits\":[" text "]}"
#define ADD(name, rest) EDIT("{\"op\":\"add\",\"name\":\"" name "\"" rest "}")
#define REMOVE(name, rest) EDIT("{\"op\":\"remove\",\"name\":\"" name "\"" rest "}")

static void refuses_bad_edits(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *says;
    } cases[] = {
        {"", 400, "a list \\\"edits\\\" of 1 to 1024"},
        {"[]", 400, "a list \\\"edits\\\" of 1 to 1024"},
        {"{\"edits\":{}}", 400, "a list \\\"edits\\\""},
        {EDIT(""), 400, "a list \\\"edits\\\""},
        {EDIT("1"), 400, "edit 1: an object with op and name"},
        {EDIT("{\"op\":\"add\"}"), 400, "edit 1: an object with op and name"},
        {EDIT("{\"op\":1,\"name\":\"x.a.test\"}"), 400, "edit 1: op is not a text"},
        {EDIT("{\"op\":\"set\",\"name\":\"x.a.test\"}"), 400, "'set' is neither add nor remove"},
        {ADD("x.a.test", ""), 400, "x.a.test: a record needs a type and its data"},
        {ADD("x.a.test", ",\"type\":\"A\""), 400, "x.a.test: a record needs a type"},
        {ADD("x.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0\""), 400, "x.a.test A: "},
        {ADD("x.a.test", ",\"type\":\"NOPE\",\"rdata\":\"1\""), 400, "x.a.test NOPE: "},
        {ADD("x.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\",\"ttl\":-1"), 400,
         "edit 1: ttl is"},
        {ADD("x.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\",\"ttl\":2147483648"), 400,
         "ttl is"},
        {ADD("x.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\",\"ttl\":\"1\""), 400, "ttl is"},
        {ADD("x..a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\""), 400, "x..a.test A: "},
        {ADD("x.z.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\""), 409, "x.z.test"},
        {ADD("x.c.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\""), 409, "c.test"},
        {ADD("x.acme.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.1\""), 409, "acme.a.test"},
        {ADD("_acme-challenge.x.a.test", ",\"type\":\"TXT\",\"rdata\":\"x\""), 409,
         "_acme-challenge"},
        {REMOVE("x.a.test", ",\"rdata\":\"10.0.0.1\""), 400, "data is given without its type"},
        {REMOVE("x.a.test", ",\"type\":\"NOPE\""), 400, "'NOPE' is not a record type"},
        {REMOVE("x..a.test", ""), 400, "'x..a.test' is not a name"},
        {REMOVE("x.a.test", ",\"type\":\"A\""), 409, "x.a.test"},
        {REMOVE("fromfile.a.test", ",\"type\":\"A\""), 409, "file"},
        /* the first half is fine, and must not stay */
        {EDIT("{\"op\":\"add\",\"name\":\"half.a.test\",\"type\":\"A\",\"rdata\":\"10.0.0.1\"},"
              "{\"op\":\"add\",\"name\":\"x.z.test\",\"type\":\"A\",\"rdata\":\"10.0.0.1\"}"),
         409, "x.z.test"},
    };
    struct world w;
    (void)state;

    world_start(&w);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        expect(&w, cases[i].status, cases[i].says, "POST", RECORDS, cases[i].body);
        assert_true(talk_has(&w.talk, "application/problem+json"));
    }
    expect(&w, 200, "{\"records\":[],\"more\":false}", "GET", RECORDS "?name=half.a.test", NULL);
    world_stop(&w);
}

static void records_come_and_go(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    add(&w, "www.a.test", "A", "10.0.0.1");
    add(&w, "WWW.a.test.", "A", "10.0.0.2");
    add(&w, "www.a.test", "TXT", "\\\"a b\\\"");
    add(&w, "odd.b.test", "TYPE65400", "\\\\# 2 0102");
    expect(&w, 200,
           "{\"zone\":\"a.test\",\"name\":\"www.a.test\",\"ttl\":300,\"type\":\"A\","
           "\"rdata\":\"10.0.0.2\",\"source\":\"store\",\"client\":\"\"}",
           "GET", RECORDS "?name=www.A.test.", NULL);
    assert_false(talk_has(&w.talk, "fromfile"));
    expect(&w, 200, "\"source\":\"file\"", "GET", RECORDS "?name=a.test", NULL);
    assert_true(talk_has(&w.talk, "\"rdata\":\"\\\"a b\\\"\""));
    assert_false(talk_has(&w.talk, "b.test"));
    expect(&w, 200, "\"type\":\"TYPE65400\"", "GET", RECORDS, NULL);
    assert_true(talk_has(&w.talk, "www.a.test"));
    expect(&w, 200, "odd.b.test", "GET", ZONES "/b.test/records", NULL);
    expect(&w, 404, "is no zone served here", "GET", ZONES "/z.test/records", NULL);
    expect(&w, 404, "in no zone served here", "GET", RECORDS "?name=z.test", NULL);
    expect(&w, 404, "in no zone served here", "GET", RECORDS "?name=x.c.test", NULL);
    expect(&w, 404, "records and export", "GET", ZONES "/a.test/nothing", NULL);
    expect(&w, 404, "records and export", "GET", ZONES "/records", NULL);

    expect(&w, 200, "", "POST", RECORDS,
           REMOVE("www.a.test", ",\"type\":\"A\",\"rdata\":\"10.0.0.2\""));
    expect(&w, 200, "10.0.0.1", "GET", RECORDS "?name=www.a.test", NULL);
    assert_false(talk_has(&w.talk, "10.0.0.2"));
    expect(&w, 200, "", "POST", RECORDS, REMOVE("www.a.test", ",\"type\":\"TXT\""));
    expect(&w, 200, "", "POST", RECORDS, REMOVE("www.a.test", ""));
    expect(&w, 200, "{\"records\":[],", "GET", RECORDS "?name=www.a.test", NULL);
    world_stop(&w);
}

static void zones_come_and_go_as_text(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    expect(&w, 404, "a zone takes import", "POST", ZONES "/a.test", "");
    expect(&w, 404, "a zone takes import", "POST", ZONES "/a.test/records", "");
    expect(&w, 400, "\"problems\":[\"my file:2: ", "POST", ZONES "/a.test/import?label=my%20file",
           "good A 10.0.0.1\nbad A x\n");
    expect(&w, 200, "{\"records\":[],", "GET", RECORDS "?name=good.a.test", NULL);
    expect(&w, 404, "z.test", "POST", ZONES "/z.test/import", "x A 10.0.0.1\n");
    expect(&w, 200, "{\"changed\":2}", "POST", ZONES "/a.test/import",
           "$TTL 77\none A 10.0.0.1\ntwo CNAME one\n");
    expect(&w, 200, "text/dns", "GET", ZONES "/a.test/export", NULL);
    assert_true(talk_has(&w.talk, "SOA"));
    assert_true(talk_has(&w.talk, "77"));
    assert_true(talk_has(&w.talk, "one.a.test."));
    assert_false(talk_has(&w.talk, "_acme-challenge"));
    expect(&w, 200, "_acme-challenge.one.a.test.", "GET", ZONES "/a.test/export?written_out=1",
           NULL);
    expect(&w, 404, "is no zone served here", "GET", ZONES "/z.test/export", NULL);
    expect(&w, 200, "{\"changed\":3}", "POST", ZONES "/a.test/import?replace=1",
           "three A 10.0.0.3\n");
    expect(&w, 200, "three", "GET", RECORDS "?name=a.test", NULL);
    assert_false(talk_has(&w.talk, "one.a.test"));
    assert_true(talk_has(&w.talk, "fromfile"));
    world_stop(&w);
}

static void zones_are_listed_and_read_again(void **state)
{
    struct world w;
    (void)state;

    world_start(&w);
    expect(&w, 200, "\"name\":\"a.test\",\"served\":true,\"plain\":false,\"delegate\":false", "GET",
           ZONES, NULL);
    assert_true(talk_has(&w.talk, "\"name\":\"b.test\",\"served\":true,\"plain\":true"));
    assert_true(talk_has(&w.talk, "\"name\":\"acme.a.test\""));
    zone_file(&w, "$TTL 60\nfromfile A 10.0.0.9\nbroken A\n");
    expect(&w, 200, "/zone:3: ", "POST", ZONES "/reload", NULL);
    expect(&w, 200, "10.0.0.9", "GET", RECORDS "?name=fromfile.a.test", NULL);
    zone_file(&w, "$TTL 60\nfromfile A 10.0.0.10\n");
    expect(&w, 200, "{\"problems\":[]}", "POST", ZONES "/reload", NULL);
    expect(&w, 200, "10.0.0.10", "GET", RECORDS "?name=fromfile.a.test", NULL);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_edits),
        cmocka_unit_test(records_come_and_go),
        cmocka_unit_test(zones_come_and_go_as_text),
        cmocka_unit_test(zones_are_listed_and_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
