/* dns-01, dns-account-01 and dns-persist-01 through look-ups; addresses of names. */
#include "acme-server/persist.h"
#include "acme_net.h"

#define DIGEST "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo"
#define OTHER "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZp"
#define ID "AAAAAAAAAAAAAAAAAAAAAA"
#define URL "https://ca.svc.test/acme/account/" ID
#define LABEL "_mzmrqcf6pvptdg6t" /* of URL */
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
        if (!a.result.is_valid && (a.result.type != CASES[i].type ||
                                   strstr(a.result.detail, CASES[i].detail) == NULL)) {
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
    struct net *n = net_new("  - {name: led, secret: " SECRET_A ", names: [led.test]}\n");
    (void)n;
    (void)state;
}

int main(void)
{
    return 0;
}
