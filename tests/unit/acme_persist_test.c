/* dns-persist-01's records: the draft's own vectors, and everything that makes one worthless. */
#include "acme-server/persist.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1700000000
#define ID "AAAAAAAAAAAAAAAAAAAAAA"
#define URL "https://ca.svc.test/acme/account/" ID
#define THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define HASH_AT(authority) "https://" authority PERSIST_HASH_PATH "sha-256/"

static struct config cfg;
static char public_url[] = "https://acme.example:8443";
static struct base_urls urls;
static const struct ident PLAIN = {.base = "www.svc.test"};
static const struct ident WILD = {.base = "www.svc.test", .is_wildcard = true};

static int setup(void **state)
{
    (void)state;
    (void)snprintf(cfg.hostname, sizeof(cfg.hostname), "ca.svc.test");
    cfg.public_url = public_url;
    return base_urls_init(&urls, &cfg, 443).code == ERR_OK ? 0 : 1;
}

static enum persist_verdict judge(const struct ident *ident, const char *text, int64_t *until)
{
    const struct persist_question q = {&urls, ident, ID, URL, THUMBPRINT, NOW};
    AUTO(mem_freep) uint8_t *data = mem_dup(text, strlen(text)); /* exactly as long: ASan looks */
    const struct lookup_rdata record = {data, strlen(text)};

    return persist_record(&q, &record, until);
}

static void test_the_drafts_vectors(void **state)
{
    static const char ACCOUNT[] = "https://ca.example/acct/123";
    char hash[SHA256_B64_LEN + 1];
    char domain[300];
    (void)state;

    memset(domain, 'a', sizeof(domain));
    domain[256] = '\0';
    assert_int_equal(persist_hash(domain, THUMBPRINT, ACCOUNT, hash).code, ERR_LIMIT);
    domain[255] = '\0';
    assert_int_equal(persist_hash(domain, THUMBPRINT, ACCOUNT, hash).code, ERR_OK);
    assert_int_equal(persist_hash("example.com", THUMBPRINT, ACCOUNT, hash).code, ERR_OK);
    assert_string_equal(hash, "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw");
    assert_int_equal(persist_hash("*", THUMBPRINT, ACCOUNT, hash).code, ERR_OK);
    assert_string_equal(hash, "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug");
}

static void test_records(void **state)
{
    static const struct {
        const struct ident *ident;
        const char *text;
        enum persist_verdict want;
        int64_t until;
    } CASES[] = {
        {&PLAIN, "", PERSIST_OTHER_ISSUER, 0},
        {&PLAIN, ";", PERSIST_OTHER_ISSUER, 0},
        {&PLAIN, "other.test; accounturi=" URL, PERSIST_OTHER_ISSUER, 0},
        {&PLAIN, "; accounturi=" URL, PERSIST_OTHER_ISSUER, 0},
        {&PLAIN, "v=spf1 -all", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test. ; accounturi=" URL, PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test;", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; policy=wildcard", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL ";", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL " ca", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; accounturi=" URL, PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; ACCOUNTURI=x", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; policy=a; policy=b", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=-", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=1e9", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=0x7fffffff", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=2024-01-01", PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=1800000000; persistuntil=1",
         PERSIST_MALFORMED, 0},
        {&PLAIN, "ca.svc.test; accounturi=", PERSIST_OTHER_ACCOUNT, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "x", PERSIST_OTHER_ACCOUNT, 0},
        {&PLAIN, "ca.svc.test; accounturi=http://ca.svc.test/acme/account/" ID,
         PERSIST_OTHER_ACCOUNT, 0},
        {&PLAIN, "ca.svc.test; accounturi=https://other.test/acme/account/" ID,
         PERSIST_OTHER_ACCOUNT, 0},
        {&PLAIN, "ca.svc.test; accounturi=https://ca.svc.test/acme/account/BAAAAAAAAAAAAAAAAAAAAA",
         PERSIST_OTHER_ACCOUNT, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=1699999999", PERSIST_ENDED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=0", PERSIST_ENDED, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=-1800000000", PERSIST_ENDED, 0},
        {&WILD, "ca.svc.test; accounturi=" URL, PERSIST_NO_WILDCARD, 0},
        {&WILD, "ca.svc.test; accounturi=" URL "; policy=", PERSIST_NO_WILDCARD, 0},
        {&WILD, "ca.svc.test; accounturi=" URL "; policy=wildcards", PERSIST_NO_WILDCARD, 0},
        {&WILD, "ca.svc.test; accounturi=" URL "; wildcard=policy", PERSIST_NO_WILDCARD, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL, PERSIST_VALID, 0},
        {&PLAIN, " CA.svc.TEST;accounturi=" URL " ", PERSIST_VALID, 0},
        {&PLAIN, "acme.example; accounturi=" URL, PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; accounturi=https://acme.example:8443/acme/account/" ID,
         PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; accounturi=https://localhost/acme/account/" ID, PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; new=1; accounturi=" URL "; new=2", PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; policy=strict", PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; policy=wildcard", PERSIST_VALID, 0},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=1700000000", PERSIST_VALID, NOW},
        {&PLAIN, "ca.svc.test; accounturi=" URL "; persistUntil=1800000000", PERSIST_VALID,
         1800000000},
        {&WILD, "ca.svc.test; accounturi=" URL "; policy=WildCard", PERSIST_VALID, 0},
        {&WILD, "ca.svc.test; policy=wildcard; persistUntil=01800000000; accounturi=" URL,
         PERSIST_VALID, 1800000000},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        int64_t until = -1;
        enum persist_verdict got = judge(CASES[i].ident, CASES[i].text, &until);
        if (got != CASES[i].want || until != CASES[i].until) {
            fail_msg("%s: %d until %lld", CASES[i].text, (int)got, (long long)until);
        }
    }
    /* Longer than any number: far away, not over, not overflown. */
    int64_t until = 0;
    assert_int_equal(judge(&PLAIN,
                           "ca.svc.test; accounturi=" URL
                           "; persistUntil=99999999999999999999999999999999999999999",
                           &until),
                     PERSIST_VALID);
    assert_true(until > (int64_t)1 << 50);
}

static void test_hashed_accounts(void **state)
{
    static const struct {
        const char *domain, *thumbprint, *account_url;
        const char *prefix, *suffix;
        enum persist_verdict want;
    } CASES[] = {
        {"svc.test", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "", PERSIST_OTHER_ACCOUNT},
        {"*.www.svc.test", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", ID, URL, HASH_AT("ca.svc.test"), "", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL "x", HASH_AT("ca.svc.test"), "", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL, HASH_AT("other.test"), "", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "=", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL, "https://ca.svc.test" PERSIST_HASH_PATH "sha-512/", "",
         PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL, "https://ca.svc.test/", "", PERSIST_OTHER_ACCOUNT},
        {"www.svc.test", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "; persistUntil=1",
         PERSIST_ENDED},
        {"www.svc.test", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "", PERSIST_VALID},
        {"*", THUMBPRINT, URL, HASH_AT("ca.svc.test"), "", PERSIST_VALID},
        {"www.svc.test", THUMBPRINT, URL, HASH_AT("acme.example:8443"), "", PERSIST_VALID},
        {"www.svc.test", THUMBPRINT, "https://acme.example:8443/acme/account/" ID,
         HASH_AT("acme.example:8443"), "", PERSIST_VALID},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char hash[SHA256_B64_LEN + 1];
        char text[400];
        int64_t until = 0;
        assert_int_equal(
            persist_hash(CASES[i].domain, CASES[i].thumbprint, CASES[i].account_url, hash).code,
            ERR_OK);
        (void)snprintf(text, sizeof(text), "ca.svc.test; accounturi=%s%s%s", CASES[i].prefix, hash,
                       CASES[i].suffix);
        if (judge(&PLAIN, text, &until) != CASES[i].want) {
            fail_msg("%zu: %s", i, text);
        }
    }
}

#define RECORD(text)                                                                               \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(text), sizeof(text) - 1                                             \
    }

static void test_several_records(void **state)
{
    static const struct lookup_rdata RECORDS[] = {
        RECORD("v=spf1 -all"),
        RECORD("other.test; accounturi=https://other.test/acme/account/1"),
        RECORD("ca.svc.test; accounturi=https://ca.svc.test/acme/account/x"),
        RECORD("ca.svc.test; accounturi=" URL "; persistUntil=5"),
        RECORD("ca.svc.test; accounturi=" URL "; persistUntil=1800000000"),
        RECORD("ca.svc.test; accounturi=" URL "; persistUntil=1900000000; policy=wildcard"),
        RECORD("ca.svc.test; accounturi=" URL "; persistUntil=1700000009"),
        RECORD("ca.svc.test; accounturi=" URL),
        RECORD("ca.svc.test; accounturi=" URL "; persistUntil=1700000009"),
    };
    static const struct {
        const struct ident *ident;
        size_t n; /* the first so many of them */
        enum persist_verdict want;
        int64_t until;
        const char *detail;
    } CASES[] = {
        {&PLAIN, 0, PERSIST_OTHER_ISSUER, 0, "no record for this server"},
        {&PLAIN, 1, PERSIST_MALFORMED, 0, "does not follow its syntax"},
        {&PLAIN, 2, PERSIST_MALFORMED, 0, "does not follow its syntax"},
        {&PLAIN, 3, PERSIST_OTHER_ACCOUNT, 0, "is not this account"},
        {&PLAIN, 4, PERSIST_ENDED, 0, "persistUntil is over"},
        {&PLAIN, 5, PERSIST_VALID, 1800000000, ""},
        {&PLAIN, 6, PERSIST_VALID, 1900000000, ""},
        {&PLAIN, 7, PERSIST_VALID, 1900000000, ""},
        {&PLAIN, 8, PERSIST_VALID, 0, ""},
        {&PLAIN, 9, PERSIST_VALID, 0, ""},
        {&WILD, 5, PERSIST_NO_WILDCARD, 0, "policy=wildcard\"."},
        {&WILD, 9, PERSIST_VALID, 1900000000, ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        const struct persist_question q = {&urls, CASES[i].ident, ID, URL, THUMBPRINT, NOW};
        char detail[VALIDATE_DETAIL_MAX] = "";
        int64_t until = -1;
        assert_int_equal(persist_rrset(&q, RECORDS, CASES[i].n, &until, detail), CASES[i].want);
        assert_int_equal(until, CASES[i].until);
        if (CASES[i].detail[0] == '\0' ? detail[0] != '\0'
                                       : strstr(detail, CASES[i].detail) == NULL) {
            fail_msg("%zu: %s", i, detail);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_drafts_vectors),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_hashed_accounts),
        cmocka_unit_test(test_several_records),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
