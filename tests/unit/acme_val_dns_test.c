/* dns-01, dns-account-01 and dns-persist-01 through look-ups; addresses of names. */
#include "acme-server/persist.h"
#include "acme_net.h"

#define DIGEST "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo"
#define OTHER "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZp"
#define ID "AAAAAAAAAAAAAAAAAAAAAA"
#define URL "https://ca.svc.test/acme/account/" ID
#define AT_ACME "_acme-challenge."
#define AT_PERSIST "_validation-persist."

static const struct rule RULES[] = {
    {AT_ACME "far.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_ACME "far.test. 1 IN TXT \"other\"", AT_ACME "far.test. 1 IN TXT \"" DIGEST "\""}},
    {AT_ACME "wrong.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_ACME "wrong.test. 1 IN TXT \"" OTHER "\"",
      AT_ACME "wrong.test. 1 IN TXT \"" DIGEST "x\""}},
    {AT_ACME "bare.test.", HONEST, LDNS_RCODE_NOERROR, {NULL}},
    {AT_ACME "gone.test.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {AT_ACME "fail.test.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}},
    {AT_ACME "led.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_ACME "led.test. 1 IN CNAME led.test.acme.svc.test."}},
    {AT_ACME "www.led.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_ACME "www.led.test. 1 IN CNAME www.led.test.acme.svc.test."}},
    {AT_PERSIST "far.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_PERSIST "far.test. 1 IN TXT \"ca.svc.test;\" \" accounturi=" URL
                 "; persistUntil=4000000000\""}},
    {AT_PERSIST "broken.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_PERSIST "broken.test. 1 IN TXT \"ca.svc.test; accounturi\""}},
    {AT_PERSIST "other.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {AT_PERSIST "other.test. 1 IN TXT \"ca.svc.test; accounturi=" URL "x\""}},
    {AT_PERSIST "bare.test.", HONEST, LDNS_RCODE_NOERROR, {NULL}},
    {AT_PERSIST "gone.test.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"both.test.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"both.test. 1 IN A 192.0.2.1", "both.test. 1 IN A 192.0.2.2",
      "both.test. 1 IN AAAA 2001:db8::1", "both.test. 1 IN AAAA ::ffff:192.0.2.2"}},
    {"four.test.", HONEST, LDNS_RCODE_NOERROR, {"four.test. 1 IN A 192.0.2.1"}},
    {"localhost.", HONEST, LDNS_RCODE_NOERROR, {"localhost. 1 IN A 192.0.2.3"}},
    {"", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
};

/* --- attempts --------------------------------------------------------------------------------- */

struct attempt {
    struct net *n;
    struct val_target target;
    const char *client; /* of the account, or NULL */
    struct val_result result;
};

static void on_done(void *arg, const struct val_result *result)
{
    struct attempt *a = arg;

    assert_false(a->n->is_done);
    a->n->is_done = true;
    a->result = *result;
}

static struct err start(struct attempt *a, enum challenge_type type, const char *base,
                        bool is_wildcard)
{
    a->target = (struct val_target){.type = type,
                                    .account_id = ID,
                                    .account_url = URL,
                                    .digest = DIGEST,
                                    .thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"};
    (void)snprintf(a->target.ident.base, sizeof(a->target.ident.base), "%s", base);
    a->target.ident.is_wildcard = is_wildcard;
    (void)snprintf(a->target.client, sizeof(a->target.client), "%s",
                   a->client == NULL ? "" : a->client);
    memset(&a->result, 0, sizeof(a->result));
    a->n->is_done = false;
    const struct val_attempt attempt = {&a->target, clock_mono_ms() + 5000, &a->n->trail, on_done,
                                        a};
    return val_dns_start(&a->n->net, &attempt);
}

static void run(struct attempt *a, enum challenge_type type, const char *base, bool is_wildcard)
{
    must(start(a, type, base, is_wildcard));
    net_run(a->n);
}

/* Publish DIGEST there, as this client. */
static void publish(struct net *n, const char *client, const char *fqdn)
{
    struct delegate_who who = {.door = DOOR_HTTPREQ, .peer = {4, {192, 0, 2, 77}}};
    struct delegate_refusal refusal;

    (void)snprintf(who.client, sizeof(who.client), "%s", client);
    struct err e = delegate_publish(n->f->delegate, &who, fqdn, DIGEST, false, &refusal);
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", fqdn, refusal.detail);
    }
}

static void test_what_cannot_be_looked_up(void **state)
{
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    char lengthy[NAME_TEXT_MAX + 1];
    (void)state;

    assert_int_equal(start(&a, CHALLENGE_HTTP01, "far.test", false).code, ERR_INTERNAL);
    assert_int_equal(start(&a, CHALLENGE_TLSALPN01, "far.test", false).code, ERR_INTERNAL);
    memset(lengthy, 'a', sizeof(lengthy));
    lengthy[63] = lengthy[127] = lengthy[191] = '.';
    lengthy[NAME_TEXT_MAX] = '\0';
    assert_int_equal(start(&a, CHALLENGE_DNS01, lengthy, false).code, ERR_MALFORMED);
    assert_null(n->net.dns);
    net_free(n);
}

static void test_dns01_elsewhere(void **state)
{
    static const struct {
        const char *base;
        bool is_valid;
        enum problem_type type;
        const char *detail;
    } CASES[] = {
        {"wrong.test", false, PROBLEM_INCORRECT_RESPONSE, "No TXT " DIGEST " at " AT_ACME "wrong"},
        {"bare.test", false, PROBLEM_INCORRECT_RESPONSE, "no TXT and no CNAME there"},
        {"gone.test", false, PROBLEM_DNS, "NXDOMAIN"},
        {"fail.test", false, PROBLEM_DNS, "SERVFAIL"},
        {"far.test", true, PROBLEM_NONE, ""},
    };
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        run(&a, CHALLENGE_DNS01, CASES[i].base, false);
        assert_int_equal(a.result.is_valid, CASES[i].is_valid);
        assert_false(a.result.is_published);
        if (!a.result.is_valid &&
            (a.result.type != CASES[i].type || strstr(a.result.detail, CASES[i].detail) == NULL)) {
            fail_msg("%s: %d %s", CASES[i].base, (int)a.result.type, a.result.detail);
        }
    }
    /* One trail for all attempts; a detail shows its own attempt only. */
    run(&a, CHALLENGE_DNS01, "bare.test", false);
    assert_null(strstr(a.result.detail, "NXDOMAIN"));
    net_must_say(n, "NXDOMAIN");
    net_free(n);
}

/* The chase ends in our delegate zone: whoever published there decides. */
static void test_dns01_led_to_us(void **state)
{
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    (void)state;

    run(&a, CHALLENGE_DNS01, "led.test", false);
    assert_int_equal(a.result.type, PROBLEM_INCORRECT_RESPONSE);
    publish(n, "led", "led.test.acme.svc.test");
    run(&a, CHALLENGE_DNS01, "led.test", true);
    assert_false(a.result.is_valid);
    assert_int_equal(a.result.type, PROBLEM_UNAUTHORIZED);
    assert_non_null(strstr(a.result.detail, "led"));
    run(&a, CHALLENGE_DNS01, "led.test", false);
    assert_true(a.result.is_valid);
    assert_true(a.result.is_published);
    assert_string_equal(a.result.by.client, "led");
    net_must_say(n, "led.test.acme.svc.test is served here: 1 TXT");
    net_free(n);
}

static void test_names_of_ours(void **state)
{
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    char label[ZONE_ACCOUNT_LABEL_LEN + 1];
    char fqdn[200];
    (void)state;

    must(challenge_account_label(URL, label));
    (void)snprintf(fqdn, sizeof(fqdn), "%s." AT_ACME "www.svc.test", label);
    run(&a, CHALLENGE_DNS01, "www.svc.test", false);
    assert_int_equal(a.result.type, PROBLEM_INCORRECT_RESPONSE);
    publish(n, "both", "_acme-challenge.www.svc.test");
    run(&a, CHALLENGE_DNS01, "www.svc.test", false);
    assert_true(a.result.is_valid && a.result.is_published);
    assert_string_equal(a.result.by.client, "both");
    /* dns-account-01 has its own label, and its own value. */
    run(&a, CHALLENGE_DNSACCOUNT01, "www.svc.test", false);
    assert_false(a.result.is_valid);
    net_must_say(n, fqdn);
    publish(n, "both", fqdn);
    run(&a, CHALLENGE_DNSACCOUNT01, "www.svc.test", false);
    assert_true(a.result.is_valid && a.result.is_published);
    assert_string_equal(a.result.by.client, "both");
    run(&a, CHALLENGE_DNSACCOUNT01, "gone.test", false);
    assert_int_equal(a.result.type, PROBLEM_DNS);
    assert_non_null(strstr(a.result.detail, "a CNAME to a name that has it"));
    net_free(n);
}

static void test_dnspersist01(void **state)
{
    static const struct {
        const char *base;
        bool is_wildcard, is_valid;
        enum problem_type type;
        const char *detail;
    } CASES[] = {
        {"gone.test", false, false, PROBLEM_DNS, "NXDOMAIN"},
        {"bare.test", false, false, PROBLEM_UNAUTHORIZED, "TXT \"ca.svc.test; accounturi=" URL},
        {"broken.test", false, false, PROBLEM_MALFORMED, "does not follow its syntax"},
        {"other.test", false, false, PROBLEM_UNAUTHORIZED, "is not this account"},
        {"far.test", true, false, PROBLEM_UNAUTHORIZED, "policy=wildcard"},
        {"far.test", false, true, PROBLEM_NONE, ""},
    };
    static const char *const TEXTS[] = {"acme.example; accounturi=" URL "; policy=wildcard"};
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        run(&a, CHALLENGE_DNSPERSIST01, CASES[i].base, CASES[i].is_wildcard);
        if (a.result.is_valid != CASES[i].is_valid || a.result.type != CASES[i].type ||
            strstr(a.result.detail, CASES[i].detail) == NULL) {
            fail_msg("%s: %d %s", CASES[i].base, (int)a.result.type, a.result.detail);
        }
    }
    assert_int_equal(a.result.until_unix, 4000000000);
    run(&a, CHALLENGE_DNSPERSIST01, "www.svc.test", true);
    assert_false(a.result.is_valid);
    must(zone_persist_put(n->f->zones, "www.svc.test", TEXTS, 1, 9));
    /* Our own record counts as long as the account's client is preauthorized for the name. */
    static const char *const NOT_NOW[] = {NULL, "both", "nobody"};
    for (size_t i = 0; i < ARRAY_N(NOT_NOW); i++) {
        a.client = NOT_NOW[i];
        run(&a, CHALLENGE_DNSPERSIST01, "www.svc.test", true);
        assert_false(a.result.is_valid);
        assert_int_equal(a.result.type, PROBLEM_UNAUTHORIZED);
        assert_false(a.result.is_preauthorized);
        assert_non_null(strstr(a.result.detail, "not any longer"));
    }
    a.client = "pre";
    run(&a, CHALLENGE_DNSPERSIST01, "www.svc.test", true);
    assert_true(a.result.is_valid);
    assert_true(a.result.is_preauthorized);
    assert_string_equal(a.result.by.client, "pre");
    assert_int_equal(a.result.until_unix, 0);
    net_must_say(n, AT_PERSIST "www.svc.test is served here: 1 TXT");
    net_free(n);
}

static void test_dropped_in_flight(void **state)
{
    struct net *n = net_new(RULES);
    struct attempt a = {.n = n};
    struct attempt b = {.n = n};
    (void)state;

    n->server.is_waiting = true;
    must(start(&a, CHALLENGE_DNS01, "far.test", false));
    (void)loop_run_once(n->loop, 1000);
    must(start(&b, CHALLENGE_DNSPERSIST01, "far.test", false));
    val_dns_clear(&n->net);
    while (loop_run_once(n->loop, 0) > 0) {
    }
    assert_false(n->is_done);
    must(start(&a, CHALLENGE_DNS01, "far.test", false));
    (void)loop_run_once(n->loop, 1000);
    clock_shift(5001);
    net_run(n);
    assert_int_equal(a.result.type, PROBLEM_DNS);
    assert_non_null(strstr(a.result.detail, "no answer in time"));
    net_free(n);
}

/* --- addresses -------------------------------------------------------------------------------- */

struct finding {
    struct net *n;
    struct val_addresses found;
};

static void on_addresses(void *arg, const struct val_addresses *found)
{
    struct finding *f = arg;

    assert_false(f->n->is_done);
    f->n->is_done = true;
    f->found = *found;
}

static struct val_address_lookup *find(struct finding *f, const char *host)
{
    struct val_address_lookup *lookup = NULL;

    f->n->is_done = false;
    buf_reset(&f->n->trail);
    must(val_addresses_start(&f->n->net, host, clock_mono_ms() + 5000, &f->n->trail, on_addresses,
                             f, &lookup));
    return lookup;
}

static void test_addresses(void **state)
{
    static const struct {
        const char *host;
        const char *list[4];
        unsigned asked_n;
    } CASES[] = {
        {"gone.test", {NULL}, 2},
        {"four.test", {"192.0.2.1"}, 2},
        {"both.test", {"2001:db8::1", "192.0.2.2", "192.0.2.1"}, 2},
        {"localhost", {"192.0.2.3"}, 2},
        {"ca.svc.test", {"127.0.0.1"}, 0},
        {"192.0.2.9", {"192.0.2.9"}, 0},
        {"2001:db8::9", {"2001:db8::9"}, 0},
        {"::ffff:192.0.2.9", {"192.0.2.9"}, 0},
    };
    struct net *n = net_new(RULES);
    struct finding f = {.n = n};
    struct val_address_lookup *lookup = NULL;
    (void)state;

    assert_int_equal(val_addresses_start(&n->net, "a b", clock_mono_ms() + 5000, &n->trail,
                                         on_addresses, &f, &lookup)
                         .code,
                     ERR_MALFORMED);
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        n->server.asked_n = 0;
        (void)find(&f, CASES[i].host);
        net_run(n);
        assert_int_equal(n->server.asked_n, CASES[i].asked_n);
        size_t want_n = 0;
        for (; want_n < 4 && CASES[i].list[want_n] != NULL; want_n++) {
            char text[IP_TEXT_MAX + 1];
            assert_true(want_n < f.found.n);
            ip_text(&f.found.list[want_n], text);
            assert_string_equal(text, CASES[i].list[want_n]);
        }
        assert_int_equal(f.found.n, want_n);
    }
    net_free(n);
}

/* More than fit: both families keep places. */
static void test_many_addresses(void **state)
{
    struct config_zone *zone = NULL;
    struct net *n = net_new(RULES);
    struct finding f = {.n = n};
    struct ip_addr many[20];
    (void)state;

    for (unsigned i = 0; i < 20; i++) {
        many[i] = (struct ip_addr){i < 10 ? 4 : 6, {192, 0, 2, (uint8_t)i}};
    }
    zone = &n->f->cfg->zones[0];
    assert_null(zone->ingress);
    zone->ingress = many;
    zone->ingress_n = 20;
    struct zone_db *zones = NULL;
    must(zone_db_new(n->f->cfg, 1, &zones));
    lookups_free(n->lookups);
    must(lookups_new(n->loop, &n->resolve, zones, &n->lookups));
    n->net.lookups = n->lookups;
    (void)find(&f, "www.svc.test");
    net_run(n);
    assert_int_equal(f.found.n, VAL_ADDRESSES_MAX);
    for (unsigned i = 0; i < VAL_ADDRESSES_MAX; i++) {
        assert_int_equal(f.found.list[i].family, i < VAL_ADDRESSES_MAX / 2 ? 6 : 4);
    }
    zone->ingress = NULL;
    zone->ingress_n = 0;
    lookups_free(n->lookups);
    n->lookups = NULL;
    zone_db_free(zones);
    net_free(n);
}

static void test_addresses_cancelled(void **state)
{
    static const char *const HOSTS[] = {"four.test", "192.0.2.9", "ca.svc.test"};
    struct net *n = net_new(RULES);
    struct finding f = {.n = n};
    (void)state;

    val_addresses_cancel(NULL);
    for (size_t i = 0; i < ARRAY_N(HOSTS); i++) {
        for (int rounds = 0;; rounds++) {
            struct val_address_lookup *lookup = find(&f, HOSTS[i]);
            for (int k = 0; k < rounds && !n->is_done; k++) {
                (void)loop_run_once(n->loop, 1000);
            }
            if (n->is_done) {
                assert_true(rounds > 0);
                break;
            }
            val_addresses_cancel(lookup);
            while (loop_run_once(n->loop, 0) > 0) {
            }
            assert_false(n->is_done);
        }
    }
    (void)find(&f, "four.test");
    val_addresses_clear(&n->net);
    assert_null(n->net.addresses);
    net_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_cannot_be_looked_up),
        cmocka_unit_test(test_dns01_elsewhere),
        cmocka_unit_test(test_dns01_led_to_us),
        cmocka_unit_test(test_names_of_ours),
        cmocka_unit_test(test_dnspersist01),
        cmocka_unit_test(test_dropped_in_flight),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_addresses_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
