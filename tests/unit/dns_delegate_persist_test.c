/* dns-persist-01's texts: stored, shown, replaced, bounded, expired, gone with their account. */
#include "delegate_fixture.h"

#include "dns/answer.h"

#define A "ca.svc.test; accounturi=https://ca.svc.test/acme/account/a"
#define B "ca.svc.test; accounturi=https://ca.svc.test/acme/account/b"
#define HOUR 3600

struct job {
    struct fixture *f;
    const char *base, *account, *text; /* base NULL: remove the account's */
    int64_t expires_unix;
    bool is_rolled_back;
    enum err_code code;
};

static struct err job_tx(struct db *db, void *arg)
{
    struct job *job = arg;
    struct err e = job->base == NULL
                       ? delegate_persist_remove_account(job->f->delegate, db, job->account)
                       : delegate_persist_put(job->f->delegate, db, job->base, job->account,
                                              job->text, job->expires_unix);

    job->code = e.code;
    err_ignore(e);
    if (job->is_rolled_back) {
        FAIL(ERR_BAD_STATE, "the caller fails");
    }
    return err_ok();
}

static enum err_code put(struct fixture *f, const char *base, const char *account, const char *text)
{
    struct job job = {f, base, account, text, clock_unix_s() + HOUR, false, ERR_OK};

    must(store_write(f->store, "test.persist", job_tx, &job));
    return job.code;
}

static void remove_account(struct fixture *f, const char *account)
{
    struct job job = {.f = f, .account = account};

    must(store_write(f->store, "test.persist", job_tx, &job));
    assert_int_equal(job.code, ERR_OK);
}

/* Does the answer for _validation-persist.<base> hold the text? *n (optional): its records. */
static bool is_shown(struct fixture *f, const char *base, const char *text, size_t *n)
{
    static const uint8_t head[12] = {0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    char name[300];
    uint8_t query[512];
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);
    size_t wire_len = NAME_WIRE_MAX;

    assert_non_null(out);
    memcpy(query, head, sizeof(head));
    (void)snprintf(name, sizeof(name), ZONE_PERSIST_LABEL ".%s", base);
    must(name_to_wire(name, query + sizeof(head), &wire_len));
    memcpy(query + sizeof(head) + wire_len, "\0\20\0\1", 4);
    size_t len = answer_build(zone_read_begin(f->reader), query, sizeof(head) + wire_len + 4, true,
                              out, DNS_TCP_MAX);
    zone_read_end(f->reader);
    assert_int_equal(out[3] & 0x0f, 0); /* never NXDOMAIN */
    if (n != NULL) {
        *n = (size_t)out[6] << 8 | out[7];
    }
    bool is_there = memmem(out, len, text, strlen(text)) != NULL;
    mem_free(out);
    return is_there;
}

static size_t texts_at(struct fixture *f, const char *base)
{
    size_t n = 0;

    (void)is_shown(f, base, A, &n);
    return n;
}

static void test_refused(void **state)
{
    static const char *const bases[] = {"",
                                        ".",
                                        "a b",
                                        "*.svc.test",
                                        "a_b.svc.test",
                                        "svc.test.",
                                        "_validation-persist.svc.test",
                                        "1.2.3.4"};
    static const char *const elsewhere[] = {"example.org", "acme.svc.test", "x.acme.svc.test",
                                            "test"};
    static const char *const texts[] = {"", "a\nb", "\x7f", "caf\xc3\xa9", "a\tb"};
    struct fixture *f = fixture_new("");
    struct job past = {f, "svc.test", "a", A, clock_unix_s(), false, ERR_OK};
    char longest[ZONE_PERSIST_TEXT_MAX + 2], account[DELEGATE_ACCOUNT_ID_MAX + 2];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(bases); i++) {
        assert_int_equal(put(f, bases[i], "a", A), ERR_MALFORMED);
    }
    for (size_t i = 0; i < ARRAY_N(elsewhere); i++) {
        assert_int_equal(put(f, elsewhere[i], "a", A), ERR_NOT_FOUND);
    }
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        assert_int_equal(put(f, "svc.test", "a", texts[i]), ERR_MALFORMED);
    }
    memset(longest, 'x', sizeof(longest));
    longest[ZONE_PERSIST_TEXT_MAX + 1] = '\0';
    assert_int_equal(put(f, "svc.test", "a", longest), ERR_MALFORMED);
    memset(account, 'x', sizeof(account));
    account[DELEGATE_ACCOUNT_ID_MAX + 1] = '\0';
    assert_int_equal(put(f, "svc.test", account, A), ERR_MALFORMED);
    assert_int_equal(put(f, "svc.test", "", A), ERR_MALFORMED);
    must(store_write(f->store, "test.persist", job_tx, &past));
    assert_int_equal(past.code, ERR_MALFORMED);
    assert_int_equal(texts_at(f, "svc.test"), 0);
    longest[ZONE_PERSIST_TEXT_MAX] = '\0'; /* exactly as long as may be */
    assert_int_equal(put(f, "svc.test", "a", longest), ERR_OK);
    assert_int_equal(texts_at(f, "svc.test"), 1);
    fixture_free(f);
}

static void test_life(void **state)
{
    struct fixture *f = fixture_new("");
    struct job undone = {f, "y.svc.test", "a", A, clock_unix_s() + HOUR, true, ERR_OK};
    uint32_t serial = zone_serial(f->zones);
    (void)state;

    assert_int_equal(texts_at(f, "x.svc.test"), 0);
    assert_int_equal(put(f, "X.svc.test", "a", A), ERR_OK);
    assert_true(is_shown(f, "x.svc.test", A, NULL));
    assert_true(zone_serial(f->zones) > serial);
    assert_int_equal(put(f, "x.svc.test", "b", B), ERR_OK);
    assert_int_equal(texts_at(f, "x.svc.test"), 2);
    assert_int_equal(put(f, "x.svc.test", "a", A "; policy=wildcard"), ERR_OK);
    assert_int_equal(texts_at(f, "x.svc.test"), 2);
    assert_true(is_shown(f, "x.svc.test", A "; policy=wildcard", NULL));
    assert_int_equal(put(f, "x.svc.test", "c", B), ERR_OK); /* no RR twice */
    assert_int_equal(texts_at(f, "x.svc.test"), 2);
    assert_int_equal(put(f, "svc.test", "a", A), ERR_OK);
    assert_int_equal(store_write(f->store, "test.persist", job_tx, &undone).code, ERR_BAD_STATE);
    assert_int_equal(undone.code, ERR_OK);
    assert_int_equal(texts_at(f, "y.svc.test"), 0);
    fixture_restart(f);
    assert_int_equal(texts_at(f, "x.svc.test"), 2);
    assert_true(is_shown(f, "svc.test", A, NULL));
    remove_account(f, "nobody");
    remove_account(f, "a");
    assert_int_equal(texts_at(f, "svc.test"), 0);
    assert_int_equal(texts_at(f, "x.svc.test"), 1);
    assert_true(is_shown(f, "x.svc.test", B, NULL));
    remove_account(f, "b");
    assert_true(is_shown(f, "x.svc.test", B, NULL)); /* c has the same text */
    remove_account(f, "c");
    assert_int_equal(texts_at(f, "x.svc.test"), 0);
    fixture_restart(f);
    assert_int_equal(texts_at(f, "x.svc.test"), 0);
    fixture_free(f);
}

static void test_bounds(void **state)
{
    struct fixture *f = fixture_new("");
    char account[16], text[ZONE_PERSIST_TEXT_MAX + 1];
    (void)state;

    for (unsigned i = 0; i < ZONE_PERSIST_MAX; i++) {
        (void)snprintf(account, sizeof(account), "account %u", i);
        (void)snprintf(text, sizeof(text), "text %u", i);
        assert_int_equal(put(f, "svc.test", account, text), ERR_OK);
    }
    assert_int_equal(put(f, "svc.test", "one more", A), ERR_LIMIT);
    assert_int_equal(put(f, "svc.test", account, A), ERR_OK); /* replaced */
    assert_int_equal(texts_at(f, "svc.test"), ZONE_PERSIST_MAX);
    remove_account(f, "account 0");
    assert_int_equal(put(f, "svc.test", "one more", B), ERR_OK);
    for (unsigned i = 0; i < 48; i++) { /* 47 of the longest are all that an answer has room for */
        (void)snprintf(account, sizeof(account), "account %u", i);
        memset(text, 'A' + (int)i, ZONE_PERSIST_TEXT_MAX);
        text[ZONE_PERSIST_TEXT_MAX] = '\0';
        assert_int_equal(put(f, "x.svc.test", account, text), i < 47 ? ERR_OK : ERR_LIMIT);
    }
    assert_int_equal(texts_at(f, "x.svc.test"), 47);
    clock_shift((HOUR + 1) * INT64_C(1000)); /* expired ones make room at once */
    assert_int_equal(put(f, "x.svc.test", "one more", A), ERR_OK);
    assert_int_equal(texts_at(f, "x.svc.test"), 1);
    fixture_free(f);
}

static void test_expiry(void **state)
{
    struct fixture *f = fixture_new("");
    struct job later = {f, "x.svc.test", "b", B, clock_unix_s() + 2 * HOUR, false, ERR_OK};
    char base[64];
    size_t n = 0;
    (void)state;

    assert_int_equal(put(f, "x.svc.test", "a", A), ERR_OK);
    must(store_write(f->store, "test.persist", job_tx, &later));
    for (unsigned i = 0; i < 130; i++) { /* more than one transaction's */
        (void)snprintf(base, sizeof(base), "n%u.svc.test", i);
        assert_int_equal(put(f, base, "a", A), ERR_OK);
    }
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 0);
    clock_shift((HOUR + 1) * INT64_C(1000));
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 131);
    assert_int_equal(texts_at(f, "x.svc.test"), 1);
    assert_true(is_shown(f, "x.svc.test", B, NULL));
    assert_int_equal(texts_at(f, "n129.svc.test"), 0);
    clock_shift(HOUR * INT64_C(1000));
    fixture_restart(f); /* expired ones are not loaded */
    assert_int_equal(texts_at(f, "x.svc.test"), 0);
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 1);
    fixture_free(f);
}

/* A zone is taken out of the configuration: its texts are not shown, and go all the same. */
static void test_zone_not_served_any_more(void **state)
{
    struct fixture *f = fixture_new("");
    size_t n = 0;
    (void)state;

    assert_int_equal(put(f, "x.svc.test", "a", A), ERR_OK);
    fixture_stop(f);
    memcpy(f->cfg->zones[0].name, "new.test", 9);
    fixture_start(f);
    assert_int_equal(put(f, "x.new.test", "b", A), ERR_OK);
    assert_int_equal(put(f, "x.svc.test", "b", A), ERR_NOT_FOUND);
    remove_account(f, "a");
    clock_shift((HOUR + 1) * INT64_C(1000));
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 1);
    assert_int_equal(texts_at(f, "x.new.test"), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_zone_not_served_any_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
