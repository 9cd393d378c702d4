/* CAA: what one RRset allows, the climb, the cache. */
#include "acme-server/caa_cache.h"
#include "acme-server/issuer.h"
#include "acme_net.h"

#include <stdatomic.h>

#define ID "AAAAAAAAAAAAAAAAAAAAAA"
#define URL "https://ca.svc.test/acme/account/" ID

/* --- one RRset -------------------------------------------------------------------------------- */

static struct config cfg;
static char public_url[] = "https://acme.example:8443";
static struct base_urls urls;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(cfg.hostname, sizeof(cfg.hostname), "ca.svc.test");
    cfg.public_url = public_url;
    return base_urls_init(&urls, &cfg, 443).code == ERR_OK ? 0 : 1;
}

static struct caa_question question(const char *base, bool is_wildcard)
{
    struct caa_question q = {.account_id = ID, .method = "dns-01"};

    (void)snprintf(q.ident.base, sizeof(q.ident.base), "%s", base);
    q.ident.is_wildcard = is_wildcard;
    return q;
}

static bool allows(const struct lookup_rdata *rdata, size_t n, bool is_wildcard,
                   char detail[VALIDATE_DETAIL_MAX])
{
    const struct caa_question q = question("www.far.test", is_wildcard);
    struct issuer_names names;

    issuer_names(&urls, &names);
    return caa_rrset_allows(rdata, n, names.list, names.n, &urls, &q, detail);
}

/* "0 issue value" or "128 tag value" as rdata; exactly as long: ASan looks. */
static struct lookup_rdata rdata_of(const char *text)
{
    unsigned flags = (unsigned)strtoul(text, NULL, 10);
    const char *tag = strchr(text, ' ') + 1;
    size_t tag_len = strcspn(tag, " ");
    const char *value = tag[tag_len] == ' ' ? tag + tag_len + 1 : tag + tag_len;
    size_t len = 2 + tag_len + strlen(value);
    struct lookup_rdata rdata = {mem_zalloc(len), len};

    assert_non_null(rdata.data);
    rdata.data[0] = (uint8_t)flags;
    rdata.data[1] = (uint8_t)tag_len;
    memcpy(rdata.data + 2, tag, tag_len);
    memcpy(rdata.data + 2 + tag_len, value, strlen(value));
    return rdata;
}

static void test_malformed_records(void **state)
{
    static const struct lookup_rdata BAD[] = {
        {(uint8_t *)(uintptr_t) "", 0},
        {(uint8_t *)(uintptr_t) "\0", 1},
        {(uint8_t *)(uintptr_t) "\0\0", 2},
        {(uint8_t *)(uintptr_t) "\0\0ca.svc.test", 13},
        {(uint8_t *)(uintptr_t) "\0\5issu", 6},
        {(uint8_t *)(uintptr_t) "\0\377issueca.svc.test", 18},
        {(uint8_t *)(uintptr_t) "\0\5is-ueca.svc.test", 18},
        {(uint8_t *)(uintptr_t) "\0\5iss\0eca.svc.test", 18},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct lookup_rdata both[2] = {rdata_of("0 issue ca.svc.test"), {NULL, 0}};
        char detail[VALIDATE_DETAIL_MAX] = "";
        AUTO(mem_freep) uint8_t *exact = mem_dup(BAD[i].data, BAD[i].len);
        both[1] = (struct lookup_rdata){exact, BAD[i].len};
        assert_true(allows(both, 1, false, detail));
        assert_false(allows(both, 2, false, detail));
        assert_non_null(strstr(detail, "malformed"));
        mem_free(both[0].data);
    }
}

static void test_rrsets(void **state)
{
    static const struct {
        const char *records[4];
        bool is_allowed, is_wild_allowed;
        const char *detail;
    } CASES[] = {
        /* who may */
        {{"0 issue ;"}, false, false, "add CAA 0 issue \"ca.svc.test\""},
        {{"0 issue "}, false, false, "do not let this server"},
        {{"0 issue other.test"}, false, false, "do not let this server"},
        {{"0 issue svc.test"}, false, false, "do not let this server"},
        {{"0 issue xca.svc.test"}, false, false, "do not let this server"},
        {{"0 issue ca.svc.test."}, false, false, "do not let this server"},
        {{"0 issue %%%"}, false, false, "do not let this server"},
        {{"0 issue ca.svc.test; x"}, false, false, "do not let this server"},
        {{"0 issue ca.svc.test other.test"}, false, false, "do not let this server"},
        {{"0 issue ca.svc.test"}, true, true, ""},
        {{"128 issue ca.svc.test"}, true, true, ""},
        {{"0 ISSUE CA.svc.test"}, true, true, ""},
        {{"0 issue \tacme.example ;"}, true, true, ""},
        {{"0 issue ;", "0 issue ca.svc.test"}, true, true, ""},
        {{"0 issue other.test", "0 issue ca.svc.test"}, true, true, ""},
        {{"0 issue %%%", "0 issue ca.svc.test"}, true, true, ""},
        {{"0 issue ca.svc.test; unknown=1; unknown=2"}, true, true, ""},
        {{NULL}, true, true, ""},
        /* wildcards */
        {{"0 issuewild ;"}, true, false, "add CAA 0 issuewild"},
        {{"0 issuewild ca.svc.test"}, true, true, ""},
        {{"0 issue ;", "0 issuewild ca.svc.test"}, false, true, ""},
        {{"0 issue ca.svc.test", "0 issuewild ;"}, true, false, "add CAA 0 issuewild"},
        {{"0 issue ca.svc.test", "0 issuewild other.test"}, true, false, "issuewild"},
        {{"0 issue other.test", "0 issuewild ca.svc.test", "0 issuewild ;"}, false, true, ""},
        {{"0 issuewild %%%"}, true, false, "add CAA 0 issuewild"},
        /* other tags */
        {{"0 iodef mailto:x@far.test"}, true, true, ""},
        {{"128 iodef mailto:x@far.test"}, true, true, ""},
        {{"128 issuemail ;"}, true, true, ""},
        {{"0 tbs unknown"}, true, true, ""},
        {{"127 tbs unknown"}, true, true, ""},
        {{"128 tbs unknown"}, false, false, "its tag tbs is not known"},
        {{"255 tbs unknown"}, false, false, "its tag tbs is not known"},
        {{"0 issue ca.svc.test", "128 tbs unknown"}, false, false, "its tag tbs is not known"},
        {{"0 issue ;", "0 iodef x"}, false, false, "do not let this server"},
        /* accounturi, RFC 8657 §3 */
        {{"0 issue ca.svc.test; accounturi=" URL}, true, true, ""},
        {{"0 issue ca.svc.test; AccountURI=" URL}, true, true, ""},
        {{"0 issue ca.svc.test; accounturi=https://localhost:444/acme/account/" ID},
         true,
         true,
         ""},
        {{"0 issue ca.svc.test; accounturi="}, false, false, "another account"},
        {{"0 issue ca.svc.test; accounturi=" URL "x"}, false, false, "another account"},
        {{"0 issue ca.svc.test; accounturi=https://other.test/acme/account/" ID},
         false,
         false,
         "another account"},
        {{"0 issue ca.svc.test; accounturi=" URL "; accounturi=" URL},
         false,
         false,
         "another account"},
        {{"0 issue ca.svc.test; accounturi=x", "0 issue ca.svc.test; accounturi=" URL},
         true,
         true,
         ""},
        {{"0 issue other.test; accounturi=" URL}, false, false, "do not let this server"},
        /* validationmethods, RFC 8657 §4 */
        {{"0 issue ca.svc.test; validationmethods=dns-01"}, true, true, ""},
        {{"0 issue ca.svc.test; validationmethods=http-01,dns-01,ca-x"}, true, true, ""},
        {{"0 issue ca.svc.test; validationmethods="}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=http-01"}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=dns-01x"}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=dns-0"}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=dns-01,"}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=,dns-01"}, false, false, "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=dns_01,dns-01"}, false, false, "dns-01"},
        {{"0 issue ca.svc.test; validationmethods=dns-01; validationmethods=dns-01"},
         false,
         false,
         "challenge dns-01"},
        {{"0 issue ca.svc.test; accounturi=" URL "; validationmethods=dns-01"}, true, true, ""},
        {{"0 issue ca.svc.test; accounturi=" URL "; validationmethods=x"},
         false,
         false,
         "challenge dns-01"},
        {{"0 issue ca.svc.test; validationmethods=http-01",
          "0 issue ca.svc.test; accounturi=x; validationmethods=dns-01"},
         false,
         false,
         "challenge dns-01"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct lookup_rdata rdata[4];
        char detail[VALIDATE_DETAIL_MAX] = "";
        size_t n = 0;
        for (; n < 4 && CASES[i].records[n] != NULL; n++) {
            rdata[n] = rdata_of(CASES[i].records[n]);
        }
        bool is_allowed = allows(rdata, n, false, detail);
        bool is_wild_allowed = allows(rdata, n, true, detail);
        if (is_allowed != CASES[i].is_allowed || is_wild_allowed != CASES[i].is_wild_allowed ||
            strstr(detail, CASES[i].detail) == NULL ||
            (is_wild_allowed && detail[0] != '\0' && is_allowed)) {
            fail_msg("%zu: %s: %d %d: %s", i, CASES[i].records[0], is_allowed, is_wild_allowed,
                     detail);
        }
        for (size_t k = 0; k < n; k++) {
            mem_free(rdata[k].data);
        }
    }
}

/* --- the climb -------------------------------------------------------------------------------- */

static const struct rule RULES[] = {
    {"test.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"far.test.", HONEST, LDNS_RCODE_NOERROR, {"far.test. 1 IN CAA 0 issue \"ca.svc.test\""}},
    {"www.far.test.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"no.far.test.", HONEST, LDNS_RCODE_NOERROR, {"no.far.test. 1 IN CAA 0 issue \";\""}},
    {"a.no.far.test.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}},
    {"alias.far.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"alias.far.test. 1 IN CNAME no.far.test.", "no.far.test. 1 IN CAA 0 issue \";\""}},
    {"deaf.far.test.", SILENT, LDNS_RCODE_NOERROR, {NULL}},
    {"wild.far.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"wild.far.test. 1 IN CAA 0 issuewild \";\"",
      "wild.far.test. 1 IN CAA 0 issue \"acme.example; validationmethods=http-01\""}},
    {"into.far.test.", HONEST, LDNS_RCODE_NOERROR, {"into.far.test. 1 IN CNAME www.svc.test."}},
    {"", HONEST, LDNS_RCODE_REFUSED, {NULL}},
};

struct climb {
    struct net *n;
    enum caa_verdict verdict;
    char detail[VALIDATE_DETAIL_MAX];
};

static void on_verdict(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct climb *c = arg;

    assert_false(c->n->is_done);
    c->n->is_done = true;
    c->verdict = verdict;
    (void)snprintf(c->detail, sizeof(c->detail), "%s", detail);
}

static enum caa_verdict climb(struct net *n, const struct caa_question *q,
                              char detail[VALIDATE_DETAIL_MAX])
{
    struct climb c = {.n = n};

    buf_reset(&n->trail);
    n->is_done = false;
    must(caa_start(&n->net, q, clock_mono_ms() + 4000, &n->trail, on_verdict, &c));
    net_run(n);
    (void)snprintf(detail, VALIDATE_DETAIL_MAX, "%s", c.detail);
    return c.verdict;
}

static void test_climbs(void **state)
{
    static const struct {
        const char *base;
        bool is_wildcard;
        const char *method;
        enum caa_verdict before, want; /* before: what caa_now() says with an empty cache */
        const char *detail, *trail;
    } CASES[] = {
        {"www.far.test", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "",
         "records at far.test allow"},
        {"a.no.far.test", false, "dns-01", CAA_UNKNOWN, CAA_FORBIDDEN, "They stand at no.far.test.",
         "records at no.far.test forbid"},
        {"alias.far.test", false, "dns-01", CAA_UNKNOWN, CAA_FORBIDDEN, "at alias.far.test.",
         "CNAME no.far.test, 1 CAA"},
        {"deaf.far.test", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "", "no answer in time"},
        {"wild.far.test", true, "dns-01", CAA_UNKNOWN, CAA_FORBIDDEN, "issuewild", "forbid"},
        {"x.wild.far.test", false, "http-01", CAA_UNKNOWN, CAA_ALLOWED, "", "wild.far.test allow"},
        {"x.wild.far.test", false, "dns-01", CAA_UNKNOWN, CAA_FORBIDDEN, "challenge dns-01",
         "forbid"},
        {"into.far.test", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "", "www.svc.test is served"},
        {"nowhere.example", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "", "no CAA records for"},
        {"localhost", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "", "asked"},
        {"www.svc.test", false, "dns-01", CAA_UNKNOWN, CAA_ALLOWED, "", "no CAA records for"},
        {"192.0.2.1", false, "http-01", CAA_ALLOWED, CAA_ALLOWED, "", ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct net *n = net_new(RULES);
        struct caa_question q = question(CASES[i].base, CASES[i].is_wildcard);
        char detail[VALIDATE_DETAIL_MAX] = "";
        q.method = CASES[i].method;
        q.ident.is_ip = CASES[i].base[0] == '1';
        assert_int_equal(caa_now(&n->net, &q, detail), CASES[i].before);
        enum caa_verdict got = climb(n, &q, detail);
        if (got != CASES[i].want || strstr(detail, CASES[i].detail) == NULL) {
            fail_msg("%s: %d %s; %s", CASES[i].base, (int)got, detail, buf_str(&n->trail));
        }
        net_must_say(n, CASES[i].trail);
        /* From the cache now, both ways, and nobody is asked again. */
        unsigned asked_n = n->server.asked_n;
        detail[0] = '\0';
        assert_int_equal(caa_now(&n->net, &q, detail), got);
        assert_non_null(strstr(detail, CASES[i].detail));
        assert_int_equal(climb(n, &q, detail), got);
        assert_int_equal(n->server.asked_n, asked_n);
        net_free(n);
    }
}

/* Our own names are never asked for elsewhere, and never cached. */
static void test_names_of_ours(void **state)
{
    struct net *n = net_new(RULES);
    const struct caa_question q = question("a.b.svc.test", false);
    char detail[VALIDATE_DETAIL_MAX];
    (void)state;

    assert_int_equal(climb(n, &q, detail), CAA_ALLOWED);
    assert_int_equal(n->server.asked_n, 1); /* test. */
    assert_int_equal(caa_cache_n(n->net.caa), 1);
    net_must_say(n, "a.b.svc.test is served here: no CAA and no CNAME there");
    net_free(n);
}

static void test_cached_for_a_while(void **state)
{
    struct net *n = net_new(RULES);
    const struct caa_question q = question("www.far.test", false);
    const struct caa_question failing = question("a.no.far.test", false);
    char detail[VALIDATE_DETAIL_MAX] = "";
    (void)state;

    assert_int_equal(climb(n, &q, detail), CAA_ALLOWED);
    assert_int_equal(climb(n, &failing, detail), CAA_FORBIDDEN);
    assert_int_equal(caa_now(&n->net, &failing, detail), CAA_FORBIDDEN);
    clock_shift((CAA_CACHE_FAILED_S + 1) * 1000);
    assert_int_equal(caa_now(&n->net, &failing, detail), CAA_UNKNOWN);
    assert_int_equal(caa_now(&n->net, &q, detail), CAA_ALLOWED);
    clock_shift(CAA_CACHE_S * 1000);
    assert_int_equal(caa_now(&n->net, &q, detail), CAA_UNKNOWN);
    net_free(n);
}

static void test_dropped_in_flight(void **state)
{
    struct net *n = net_new(RULES);
    const struct caa_question q = question("www.far.test", false);
    struct climb c = {.n = n};
    (void)state;

    n->server.is_waiting = true;
    must(caa_start(&n->net, &q, clock_mono_ms() + 4000, &n->trail, on_verdict, &c));
    (void)loop_run_once(n->loop, 1000);
    must(caa_start(&n->net, &q, clock_mono_ms() + 4000, &n->trail, on_verdict, &c));
    caa_clear(&n->net);
    while (loop_run_once(n->loop, 0) > 0) {
    }
    assert_false(n->is_done);
    /* At the deadline at the latest. */
    must(caa_start(&n->net, &q, clock_mono_ms() + 4000, &n->trail, on_verdict, &c));
    (void)loop_run_once(n->loop, 1000);
    clock_shift(4001);
    net_run(n);
    assert_int_equal(c.verdict, CAA_ALLOWED);
    net_free(n);
}

/* --- the cache -------------------------------------------------------------------------------- */

static void test_cache(void **state)
{
    struct caa_cache *cache = NULL;
    uint8_t bytes[LOOKUP_RDATA_LEN_MAX] = {7};
    struct lookup_result one = {.status = LOOKUP_FOUND, .rdata = {{bytes, 3}}, .rdata_n = 1};
    struct lookup_result none = {.status = LOOKUP_NXDOMAIN};
    struct lookup_result cut = {.status = LOOKUP_FOUND, .is_cut = true};
    struct lookup_result out;
    char name[32];
    (void)state;

    must(caa_cache_new(&cache));
    assert_false(caa_cache_get(cache, "a", &out));
    caa_cache_put(cache, "a", &one);
    caa_cache_put(cache, "b", &none);
    caa_cache_put(cache, "c", &cut);
    assert_true(caa_cache_get(cache, "a", &out));
    assert_int_equal(out.status, LOOKUP_FOUND);
    assert_int_equal(out.rdata_n, 1);
    assert_int_equal(out.rdata[0].len, 3);
    assert_int_equal(out.rdata[0].data[0], 7);
    lookup_result_clear(&out);
    assert_true(caa_cache_get(cache, "b", &out));
    assert_int_equal(out.status, LOOKUP_NODATA);
    assert_true(caa_cache_get(cache, "c", &out));
    assert_int_equal(out.status, LOOKUP_FOUND);
    assert_true(out.is_cut);
    /* The newer one of the same name counts. */
    caa_cache_put(cache, "a", &none);
    assert_true(caa_cache_get(cache, "a", &out));
    assert_int_equal(out.status, LOOKUP_NODATA);
    /* Bounded in names: the oldest go. */
    for (unsigned i = 0; i < CAA_CACHE_MAX + 10; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        caa_cache_put(cache, name, &none);
    }
    assert_int_equal(caa_cache_n(cache), CAA_CACHE_MAX);
    assert_false(caa_cache_get(cache, "a", &out));
    assert_false(caa_cache_get(cache, "n9.test", &out));
    assert_true(caa_cache_get(cache, "n10.test", &out));
    /* And in octets. */
    struct lookup_result big = {.status = LOOKUP_FOUND, .rdata_n = LOOKUP_RDATA_MAX};
    for (size_t i = 0; i < LOOKUP_RDATA_MAX; i++) {
        big.rdata[i] = (struct lookup_rdata){bytes, sizeof(bytes)};
    }
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "big%u.test", i);
        caa_cache_put(cache, name, &big);
    }
    assert_true(caa_cache_n(cache) <= CAA_CACHE_BYTES_MAX / (LOOKUP_RDATA_MAX * sizeof(bytes)));
    assert_true(caa_cache_get(cache, "big99.test", &out));
    assert_int_equal(out.rdata_n, LOOKUP_RDATA_MAX);
    lookup_result_clear(&out);
    /* What is over goes when something comes. */
    clock_shift((CAA_CACHE_S + 1) * 1000);
    caa_cache_put(cache, "a", &none);
    assert_int_equal(caa_cache_n(cache), 1);
    caa_cache_free(cache);
    caa_cache_free(NULL);
}

struct readers {
    struct caa_cache *cache;
    atomic_bool is_over;
    atomic_uint wrong_n;
};

static void *read_on(void *arg)
{
    struct readers *r = arg;
    struct lookup_result out;

    while (!atomic_load(&r->is_over)) {
        if (caa_cache_get(r->cache, "shared.test", &out)) {
            bool is_whole = out.rdata_n == 2 && out.rdata[0].len == out.rdata[1].data[0];
            atomic_fetch_add(&r->wrong_n, is_whole ? 0 : 1);
            lookup_result_clear(&out);
        }
    }
    return NULL;
}

/* The loop writes, every thread that finalizes reads. */
static void test_cache_from_many_threads(void **state)
{
    struct readers r = {.cache = NULL};
    uint8_t bytes[200] = {0};
    uint8_t len = 0;
    pthread_t threads[3];
    (void)state;

    must(caa_cache_new(&r.cache));
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    }
    for (unsigned i = 0; i < 3 * CAA_CACHE_MAX; i++) {
        len = (uint8_t)(1 + i % sizeof(bytes));
        const struct lookup_result result = {
            .status = LOOKUP_FOUND, .rdata = {{bytes, len}, {&len, 1}}, .rdata_n = 2};
        caa_cache_put(r.cache, "shared.test", &result);
    }
    atomic_store(&r.is_over, true);
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&r.wrong_n), 0);
    caa_cache_free(r.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_records),
        cmocka_unit_test(test_rrsets),
        cmocka_unit_test(test_climbs),
        cmocka_unit_test(test_names_of_ours),
        cmocka_unit_test(test_cached_for_a_while),
        cmocka_unit_test(test_dropped_in_flight),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_cache_from_many_threads),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
