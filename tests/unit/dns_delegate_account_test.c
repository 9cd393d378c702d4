/* dns-account-01: values one account's label below the delegate name. */
#include "delegate_fixture.h"

#include "dns/delegate_int.h"

#define L "_ujmmovf2vn55tgye"
#define OWNER L ".svc.test.acme.svc.test"
#define FQDN L "._acme-challenge.svc.test."

static enum delegate_verdict check_at(struct fixture *f, const char *ident, const char *owner,
                                      const char *digest, char detail[400])
{
    struct ident id = ident_of(ident);
    struct zone_publisher who;

    return delegate_check(f->delegate, f->reader, &id, owner, digest, &who, detail);
}

static void expect_account(struct fixture *f, const char *ident, const char *digest)
{
    struct ident id = ident_of(ident);

    delegate_expect_account(f->delegate, &id, L, digest, clock_unix_s() + 600);
}

struct row_job {
    char object[DELEGATE_OBJECT_MAX + 1], actor[64], peer[64], detail[400];
};

static struct err last_audit_tx(struct db *db, void *arg)
{
    struct row_job *job = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT object, actor, peer, detail FROM audit "
                                       "ORDER BY id DESC LIMIT 1");

    while (db_step(q)) {
        db_col_copy(q, 0, job->object, sizeof(job->object));
        db_col_copy(q, 1, job->actor, sizeof(job->actor));
        db_col_copy(q, 2, job->peer, sizeof(job->peer));
        db_col_copy(q, 3, job->detail, sizeof(job->detail));
    }
    return db_finish(q);
}

static struct row_job last_audit(struct fixture *f)
{
    struct row_job job = {.object = ""};

    must(store_read(f->store, "test.audit", last_audit_tx, &job));
    return job;
}

static void test_bad_names_are_refused(void **state)
{
    static const char *const BAD[] = {
        L,
        L ".",
        L ".svc.test",
        L "._acme-challenge",
        L "._acme-challenge.",
        L "._acme-challenge._acme-challenge.svc.test",
        L "." L "._acme-challenge.svc.test",
        L "._acme-challenge." L ".svc.test",
        L "._acme-challenge.*.svc.test",
        L "._acme-challenge.x.acme.svc.test",
        "a." L "._acme-challenge.svc.test",
        "_ujmmovf2vn55tgy._acme-challenge.svc.test",
        "_ujmmovf2vn55tgy1._acme-challenge.svc.test",
        "_ujmmovf2vn55tgyee._acme-challenge.svc.test",
        L ".acme.svc.test",
        L "..acme.svc.test",
        L "." L ".x.acme.svc.test",
        L ".a_b.acme.svc.test",
        L ".h-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.acme.svc.test",
    };
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    (void)digest_n(1, digest);
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        if (reason_of(f, publish_as(f, "both", BAD[i], digest)) != (int)DELEGATE_BAD_NAME) {
            fail_msg("'%s' was not refused", BAD[i]);
        }
    }
    fixture_free(f);
}

/* As for dns-01: the name, the wildcard, or both. */
static void test_policy(void **state)
{
    static const struct {
        const char *client, *fqdn, *expected;
        int want;
    } CASES[] = {
        {"nobody", FQDN, NULL, DELEGATE_UNAUTHORIZED},
        {"apex", L "._acme-challenge.x.svc.test", NULL, DELEGATE_FORBIDDEN},
        {"apex", L ".x.svc.test.acme.svc.test", NULL, DELEGATE_FORBIDDEN},
        {"apex", FQDN, "*.svc.test", DELEGATE_FORBIDDEN},
        {"wild", FQDN, "svc.test", DELEGATE_FORBIDDEN},
        {"public", FQDN, NULL, DELEGATE_FORBIDDEN},
        {"inside", L "._acme-challenge.x.svc.test", NULL, DELEGATE_FORBIDDEN},
        {"both", L ".01234567-89ab-4cde-8f01-23456789abcd.acme.svc.test", NULL,
         DELEGATE_FORBIDDEN}, /* a name, no registration */
        {"apex", FQDN, "svc.test", 0},
        {"apex", FQDN, NULL, 0},
        {"wild", FQDN, "*.svc.test", 0},
        {"wild", OWNER, NULL, 0},
        {"both", "_UJMMOVF2vn55tgyE._ACME-Challenge.SVC.test", "*.svc.test", 0},
        {"both", "_Ujmmovf2vn55tgye.svc.test.Acme.svc.test.", NULL, 0},
    };
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    for (unsigned i = 0; i < ARRAY_N(CASES); i++) {
        (void)digest_n(i, digest);
        if (CASES[i].expected != NULL) {
            expect_account(f, CASES[i].expected, digest);
        }
        int got = reason_of(f, publish_as(f, CASES[i].client, CASES[i].fqdn, digest));
        if (got != CASES[i].want) {
            fail_msg("case %u: %d instead of %d: %s", i, got, CASES[i].want, f->refusal.detail);
        }
    }
    assert_int_equal(values_at(f, OWNER), 6);
    assert_int_equal(values_at(f, "svc.test.acme.svc.test"), 0);
    fixture_free(f);
}

static void test_life(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_who both = who_of("both", "127.0.0.1");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], detail[400];
    (void)state;

    expect_account(f, "*.svc.test", digest_n(1, one));
    assert_int_equal(check_at(f, "*.svc.test", FQDN, one, detail), DELEGATE_MISSING);
    must(publish_as(f, "both", FQDN, one));
    struct row_job row = last_audit(f);
    assert_string_equal(row.object, L "._acme-challenge.svc.test");
    assert_string_equal(row.actor, "both");
    must(publish_as(f, "wild", OWNER, digest_n(2, two)));
    fixture_restart(f);
    assert_int_equal(values_at(f, OWNER), 2);
    assert_int_equal(check_at(f, "*.svc.test", L "._acme-challenge.svc.test", one, detail),
                     DELEGATE_FOUND);
    assert_string_equal(detail, "Found the value at " L "._acme-challenge.svc.test (CNAME " OWNER
                                "), published by both");
    assert_int_equal(check_at(f, "svc.test", OWNER, one, detail), DELEGATE_FOUND);
    /* Another account's label, the name without one: nothing there. */
    assert_int_equal(
        check_at(f, "svc.test", "_aaaaaaaaaaaaaaaa._acme-challenge.svc.test", one, detail),
        DELEGATE_MISSING);
    assert_int_equal(check_at(f, "svc.test", NULL, one, detail), DELEGATE_MISSING);
    /* There, by somebody who may not have the name. */
    assert_int_equal(check_at(f, "svc.test", OWNER, two, detail), DELEGATE_NOT_ALLOWED);
    must(delegate_publish(f->delegate, &both, FQDN, two, true, &f->refusal)); /* another's */
    assert_int_equal(values_at(f, OWNER), 2);
    must(delegate_publish(f->delegate, &both, "_acme-challenge.svc.test", one, true, &f->refusal));
    assert_int_equal(values_at(f, OWNER), 2);
    must(delegate_publish(f->delegate, &both, FQDN, one, true, &f->refusal));
    assert_int_equal(values_at(f, OWNER), 1);
    row = last_audit(f);
    assert_string_equal(row.object, L "._acme-challenge.svc.test");
    clock_shift((DELEGATE_VALUE_TTL_S + 1) * INT64_C(1000));
    size_t n = 0;
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 1);
    assert_int_equal(values_at(f, OWNER), 0);
    fixture_free(f);
}

/* Where the digest decides the name, it decides the label too. */
static void test_digest_decides_the_label(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_who both = who_of("both", "127.0.0.1");
    struct delegate_registration reg;
    struct delegate_binding *list = NULL;
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    size_t n = 0;
    (void)state;

    expect_account(f, "svc.test", digest_n(1, one));
    must(publish_as(f, "both", NULL, one));
    assert_int_equal(values_at(f, OWNER), 1);
    must(delegate_publish(f->delegate, &both, NULL, one, true, &f->refusal));
    assert_int_equal(values_at(f, OWNER), 0);
    expect_account(f, "svc.test", digest_n(2, two));
    must(delegate_register(f->delegate, &both, NULL, 0, &reg, &f->refusal));
    must(update_as(f, reg.username, reg.password, reg.subdomain, two));
    assert_int_equal(values_at(f, OWNER), 1);
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    assert_int_equal(values_at(f, "svc.test.acme.svc.test"), 0);
    decide(f, "svc.test", two, true); /* late binding, as with dns-01 */
    must(delegate_bindings(f->delegate, "both", &list, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].name, "svc.test");
    mem_free(list);
    fixture_free(f);
}

static void test_open_mode(void **state)
{
    struct fixture *f = fixture_new("open: true\nopen_networks: [127.0.0.0/8]\n");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    expect_account(f, "svc.test", digest_n(1, one));
    assert_int_equal(reason_of(f, publish_as(f, NULL, FQDN, digest_n(2, two))), DELEGATE_BAD_NAME);
    assert_int_equal(reason_of(f, publish_as(f, NULL, L "._acme-challenge.x.svc.test", one)),
                     DELEGATE_BAD_NAME);
    must(publish_as(f, NULL, FQDN, one));
    assert_int_equal(values_at(f, OWNER), 1);
    fixture_free(f);
}

static void test_caps(void **state)
{
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1], fqdn[80];
    (void)state;

    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        must(publish_as(f, "both", FQDN, digest_n(i, digest)));
    }
    assert_int_equal(reason_of(f, publish_as(f, "both", FQDN, digest_n(999, digest))),
                     DELEGATE_FULL);
    must(publish_as(f, "both", FQDN, digest_n(0, digest))); /* known: fine */
    for (unsigned i = ZONE_VALUES_MAX; i < DELEGATE_BASE_VALUES_MAX; i++) {
        (void)snprintf(fqdn, sizeof(fqdn), "_aaaaaaaaaaaaaa%c%c._acme-challenge.svc.test",
                       (char)('a' + i % 26), (char)('a' + i / 26 % 26));
        must(publish_as(f, "both", fqdn, digest_n(i, digest)));
    }
    assert_int_equal(
        reason_of(f, publish_as(f, "both", "_zzzzzzzzzzzzzzzz._acme-challenge.svc.test",
                                digest_n(9999, digest))),
        DELEGATE_FULL);
    assert_non_null(strstr(f->refusal.detail, "under all accounts' labels"));
    /* Nothing of it keeps dns-01 or another name away. */
    must(publish_as(f, "both", "_acme-challenge.svc.test", digest));
    must(publish_as(f, "both", L "._acme-challenge.x.svc.test", digest));
    clock_shift((DELEGATE_VALUE_TTL_S + 1) * INT64_C(1000));
    must(publish_as(f, "both", FQDN, digest));
    assert_int_equal(values_at(f, OWNER), 1);
    fixture_free(f);
}

/* 210 characters: only the label makes the delegate name too long. */
static void test_long_names_are_hashed(void **state)
{
    struct fixture *f = fixture_new_in("acme-challenges.svc.test", "");
    char name[NAME_TEXT_MAX + 1] = "", hashed[DELEGATE_HASHED_LEN + 1];
    char fqdn[300], target[NAME_TEXT_MAX + 1], plain[NAME_TEXT_MAX + 1];
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], detail[400];
    (void)state;

    for (int i = 0; i < 51; i++) {
        memcpy(name + strlen(name), "ab1.", 5);
    }
    memcpy(name + strlen(name), "svc.test", 9);
    must(name_delegate(name, "acme-challenges.svc.test", plain));
    assert_int_equal(plain[0], 'a');
    delegate_hash(name, hashed);
    (void)snprintf(target, sizeof(target), L ".%s.acme-challenges.svc.test", hashed);
    assert_int_equal(reason_of(f, publish_as(f, "both", target, digest_n(1, one))),
                     DELEGATE_BAD_NAME);
    expect_account(f, name, digest_n(2, two));
    must(publish_as(f, "both", target, two));
    (void)snprintf(fqdn, sizeof(fqdn), L "._acme-challenge.%s", name);
    assert_int_equal(check_at(f, name, fqdn, two, detail), DELEGATE_FOUND);
    delegate_forget(f->delegate, two);
    fixture_restart(f);
    assert_int_equal(values_at(f, target), 1);
    must(publish_as(f, "both", target, one)); /* recorded by the first publish */
    must(publish_as(f, "both", fqdn, one));
    assert_int_equal(values_at(f, target), 2);
    assert_int_equal(reason_of(f, publish_as(f, "apex", target, one)), DELEGATE_FORBIDDEN);
    fixture_free(f);
}

static void test_no_room_for_labels(void **state)
{
    char zone[NAME_TEXT_MAX + 1] = "";
    char digest[TXT_VALUE_LEN + 1], fqdn[300];
    (void)state;

    for (int i = 0; i < 42; i++) {
        memcpy(zone + strlen(zone), "ab1.", 5);
    }
    memcpy(zone + strlen(zone), "acme.svc.test", 14); /* 181 */
    struct fixture *f = fixture_new_in(zone, "");
    must(publish_as(f, "both", FQDN, digest_n(1, digest)));
    (void)snprintf(fqdn, sizeof(fqdn), L "._acme-challenge.%.60s.svc.test",
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(reason_of(f, publish_as(f, "both", fqdn, digest)), DELEGATE_BAD_NAME);
    assert_non_null(strstr(f->refusal.detail, "shorter delegate_zone"));
    fixture_free(f);
}

/* --- from inside ------------------------------------------------------------------------------ */

struct put_job {
    struct fixture *f;
    struct ident id;
    const char *label, *digest;
    struct zone_publisher by;
    const char *remove; /* this client first, in the same transaction */
    enum err_code code;
};

static struct err put_tx(struct db *db, void *arg)
{
    struct put_job *job = arg;

    if (job->remove != NULL) {
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(db, "DELETE FROM client WHERE name = ?1");
        db_bind_text(q, 1, job->remove);
        TRY(db_run(q, NULL));
    }
    struct err e =
        delegate_account_put(job->f->delegate, db, &job->id, job->label, job->digest, &job->by);
    job->code = e.code;
    err_ignore(e);
    return err_ok(); /* the transaction goes on */
}

static enum err_code put(struct fixture *f, const char *client, const char *ident,
                         const char *label, const char *digest)
{
    struct put_job job = {.f = f, .label = label, .digest = digest};

    if (strchr(ident, ':') != NULL) {
        must(ident_ip_parse(ident, strlen(ident), &job.id, NULL));
    } else {
        job.id = ident_of(ident);
    }
    job.by.is_open = client == NULL;
    (void)snprintf(job.by.client, sizeof(job.by.client), "%s", client == NULL ? "" : client);
    must(store_write(f->store, "test.put", put_tx, &job));
    return job.code;
}

static void test_put_refusals(void **state)
{
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1], more[TXT_VALUE_LEN + 2];
    (void)state;

    (void)digest_n(1, digest);
    (void)snprintf(more, sizeof(more), "%sA", digest);
    assert_int_equal(put(f, "both", "svc.test", "_ujmmovf2vn55tgy", digest), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "svc.test", L "a", digest), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "svc.test", "", digest), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "svc.test", L, more), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "svc.test", L, ""), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "2001:db8::1", L, digest), ERR_MALFORMED);
    assert_int_equal(put(f, "both", "x.acme.svc.test", L, digest), ERR_MALFORMED);
    assert_int_equal(put(f, "apex", "*.svc.test", L, digest), ERR_DENIED);
    assert_int_equal(put(f, "wild", "svc.test", L, digest), ERR_DENIED);
    assert_int_equal(put(f, "nobody", "svc.test", L, digest), ERR_DENIED);
    assert_int_equal(put(f, NULL, "svc.test", L, digest), ERR_DENIED); /* open mode is off */
    assert_int_equal(values_at(f, OWNER), 0);
    assert_int_equal(audit_n(f, "delegate.publish"), 0);
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        must(publish_as(f, "both", FQDN, digest_n(i + 100, digest)));
    }
    assert_int_equal(put(f, "both", "svc.test", L, digest_n(1, digest)), ERR_LIMIT);
    assert_int_equal(values_at(f, OWNER), ZONE_VALUES_MAX);
    fixture_free(f);
}

static void on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1])
{
    memcpy(ctx, digest, TXT_VALUE_LEN + 1);
}

static void test_put(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_who both = who_of("both", "127.0.0.1");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], detail[400];
    char woken[TXT_VALUE_LEN + 1] = "";
    (void)state;

    delegate_on_value(f->delegate, on_value, woken);
    expect_account(f, "*.svc.test", digest_n(1, one));
    assert_int_equal(put(f, "both", "*.svc.test", L, one), ERR_OK);
    assert_string_equal(woken, one);
    struct row_job row = last_audit(f);
    assert_string_equal(row.object, L "._acme-challenge.svc.test");
    assert_string_equal(row.actor, "both");
    assert_string_equal(row.peer, "");
    assert_non_null(strstr(row.detail, "preauthorized"));
    assert_int_equal(audit_n(f, "delegate.publish"), 1);
    assert_int_equal(check_at(f, "*.svc.test", FQDN, one, detail), DELEGATE_FOUND);
    assert_int_equal(put(f, "wild", "x.svc.test", L, digest_n(2, two)), ERR_OK);
    assert_int_equal(values_at(f, L ".x.svc.test.acme.svc.test"), 1);
    fixture_restart(f);
    assert_int_equal(values_at(f, OWNER), 1);
    /* It is the client's value: its own cleanup takes it away. */
    must(delegate_publish(f->delegate, &both, FQDN, one, true, &f->refusal));
    assert_int_equal(values_at(f, OWNER), 0);
    fixture_free(f);
}

/* A client that goes in the same batch leaves nothing. */
static void test_put_of_a_removed_client(void **state)
{
    static const char *const NAMES[] = {"*.guest.test"};
    const struct access_new_client guest = {.name = "guest", .patterns = NAMES, .patterns_n = 1};
    struct fixture *f = fixture_new("");
    struct put_job job = {.f = f, .label = L, .remove = "guest"};
    char secret[CLIENT_SECRET_MAX + 1], digest[TXT_VALUE_LEN + 1];
    (void)state;

    must(access_client_create(f->access, &guest, secret));
    job.id = ident_of("x.guest.test");
    job.digest = digest_n(1, digest);
    (void)snprintf(job.by.client, sizeof(job.by.client), "guest");
    must(store_write(f->store, "test.put", put_tx, &job));
    assert_int_equal(job.code, ERR_DENIED);
    assert_int_equal(values_at(f, L ".x.guest.test.acme.svc.test"), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_digest_decides_the_label),
        cmocka_unit_test(test_open_mode),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_long_names_are_hashed),
        cmocka_unit_test(test_no_room_for_labels),
        cmocka_unit_test(test_put_refusals),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_put_of_a_removed_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
