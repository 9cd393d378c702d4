/* What lasts and what does not: restart, expiry, maintenance, the installation key, hooks,
 * concurrent publishers. */
#include "delegate_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define APEX_OWNER "svc.test.acme.svc.test"
#define KEY_PATH_MAX 128

static void key_path(const struct fixture *f, char out[KEY_PATH_MAX])
{
    (void)snprintf(out, KEY_PATH_MAX, "%s/keys/installation.key", f->dir);
}

/* Open a second delegate on the fixture's parts; only the result code matters. */
static enum err_code try_open(struct fixture *f)
{
    struct delegate *d = NULL;
    struct err e = delegate_open(f->cfg, f->store, f->access, f->zones, f->records, &d);

    delegate_close(d);
    return e.code;
}

static void test_bad_installation_keys(void **state)
{
    struct fixture *f = fixture_new("");
    char path[KEY_PATH_MAX];
    struct stat st;
    (void)state;

    key_path(f, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(try_open(f), ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(try_open(f), ERR_CONFIG);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(try_open(f), ERR_CONFIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(try_open(f), ERR_CONFIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(try_open(f), ERR_OK);
    assert_int_equal(rmdir(path), 0);
    fixture_free(f);
}

static void test_values_survive_a_restart(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], detail[400];
    uint32_t serial = zone_serial(f->zones);
    (void)state;

    must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(1, one)));
    must(publish_as(f, "wild", "_acme-challenge.x.svc.test", digest_n(2, two)));
    assert_true(zone_serial(f->zones) > serial);
    serial = zone_serial(f->zones);
    fixture_restart(f);
    assert_true(zone_serial(f->zones) >= serial);
    assert_int_equal(check_of(f, "svc.test", one, detail), DELEGATE_FOUND);
    assert_int_equal(check_of(f, "x.svc.test", two, detail), DELEGATE_FOUND);
    clock_shift((DELEGATE_VALUE_TTL_S + 1) * INT64_C(1000));
    fixture_restart(f);
    assert_int_equal(check_of(f, "svc.test", one, detail), DELEGATE_MISSING);
    fixture_free(f);
}

static void test_narrowed_names_are_not_loaded(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1];
    (void)state;

    must(publish_as(f, "apex", "_acme-challenge.svc.test", digest_n(1, one)));
    fixture_stop(f);
    memcpy(f->cfg->clients[1].names[0].base, "other.test", 11); /* the file was edited */
    fixture_start(f);
    assert_int_equal(values_at(f, APEX_OWNER), 0);
    fixture_free(f);
}

static void test_expiry_and_maintenance(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    size_t n = 0;
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    must(publish_as(f, "both", "_acme-challenge.svc.test", one));
    must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(2, two)));
    decide(f, "svc.test", one, true);
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 0);
    clock_shift((DELEGATE_DECIDED_TTL_S + 1) * INT64_C(1000));
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 1);
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    clock_shift(DELEGATE_VALUE_TTL_S * INT64_C(1000));
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 1);
    assert_int_equal(values_at(f, APEX_OWNER), 0);
    fixture_free(f);
}

static struct err fill_audit(struct db *db, void *arg)
{
    const struct audit_row row = {"delegate.refused", "x", "y", NULL, "z"};

    for (int i = 0; i < 10050; i++) {
        TRY(audit_write(db, &row));
    }
    (void)arg;
    return err_ok();
}

static void test_refusals_cannot_grow_the_store(void **state)
{
    struct fixture *f = fixture_new("");
    size_t n = 0;
    (void)state;

    must(store_write(f->store, "test.fill", fill_audit, NULL));
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 50);
    assert_int_equal(audit_n(f, "delegate.refused"), 10000);
    must(delegate_maintain(f->delegate, &n));
    assert_int_equal(n, 0);
    fixture_free(f);
}

static void test_cname_lines(void **state)
{
    struct fixture *f = fixture_new("");
    struct buf line = BUF_INIT(1024);
    (void)state;

    assert_int_equal(delegate_cname(f->delegate, "a b", &line).code, ERR_MALFORMED);
    assert_int_equal(delegate_cname(f->delegate, "", &line).code, ERR_MALFORMED);
    assert_int_equal(delegate_cname(f->delegate, "x.acme.svc.test", &line).code, ERR_MALFORMED);
    must(delegate_cname(f->delegate, "WWW.example.org.", &line));
    assert_string_equal(buf_str(&line), "_acme-challenge.www.example.org. CNAME "
                                        "www.example.org.acme.svc.test.");
    buf_clear(&line);
    fixture_free(f);
}

struct seen {
    atomic_int n;
    char last[TXT_VALUE_LEN + 1];
};

static void on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1])
{
    struct seen *seen = ctx;

    memcpy(seen->last, digest, sizeof(seen->last));
    atomic_fetch_add(&seen->n, 1);
}

static void test_waiting_challenges_are_woken(void **state)
{
    struct fixture *f = fixture_new("");
    struct seen seen = {0, ""};
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    delegate_on_value(f->delegate, on_value, &seen);
    expect_for(f, "svc.test", digest_n(1, one));
    must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(2, two)));
    assert_int_equal(atomic_load(&seen.n), 0);
    must(publish_as(f, "both", "_acme-challenge.svc.test", one));
    assert_int_equal(atomic_load(&seen.n), 1);
    assert_string_equal(seen.last, one);
    must(publish_as(f, "both", "_acme-challenge.svc.test", one)); /* asked again: woken again */
    assert_int_equal(atomic_load(&seen.n), 2);
    fixture_free(f);
}

#define THREADS 4
#define ROUNDS 40

struct worker {
    struct fixture *f;
    unsigned seed;
    atomic_int *failures;
};

static void *publisher(void *arg)
{
    const struct worker *w = arg;
    struct delegate_who who = who_of("both", "127.0.0.1");
    struct delegate_refusal refusal;
    struct zone_reader *reader = NULL;
    char digest[TXT_VALUE_LEN + 1];
    char detail[400];
    struct zone_publisher by;

    if (zone_reader_new(w->f->zones, &reader).code != ERR_OK) {
        atomic_fetch_add(w->failures, 1);
        return NULL;
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ident id = {.is_wildcard = i % 2 == 1, .base = "svc.test"};
        (void)digest_n(w->seed + i, digest);
        delegate_expect(w->f->delegate, &id, digest, clock_unix_s() + 60);
        struct err e = delegate_publish(w->f->delegate, &who, NULL, digest, false, &refusal);
        bool is_fine = e.code == ERR_OK && delegate_check(w->f->delegate, reader, &id, NULL, digest,
                                                          &by, detail) == DELEGATE_FOUND;
        if (i % 3 == 0) {
            e = delegate_publish(w->f->delegate, &who, "_acme-challenge.svc.test", digest, true,
                                 &refusal);
            is_fine = is_fine && e.code == ERR_OK;
        }
        delegate_forget(w->f->delegate, digest);
        if (!is_fine) {
            atomic_fetch_add(w->failures, 1);
        }
    }
    zone_reader_free(reader);
    return NULL;
}

static const char *const GUEST_NAMES[] = {"*.guest.test"};
static const struct access_new_client GUEST = {
    .name = "guest", .patterns = GUEST_NAMES, .patterns_n = 1};

static void *admin(void *arg)
{
    const struct worker *w = arg;
    char secret[CLIENT_SECRET_MAX + 1];
    char digest[TXT_VALUE_LEN + 1];
    struct delegate_who who = who_of("guest", "127.0.0.1");
    struct delegate_refusal refusal;

    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        struct err e = access_client_create(w->f->access, &GUEST, secret);
        if (e.code == ERR_OK) {
            e = delegate_publish(w->f->delegate, &who, "_acme-challenge.x.guest.test",
                                 digest_n(w->seed + i, digest), false, &refusal);
        }
        if (e.code == ERR_OK) {
            e = access_client_remove(w->f->access, "guest");
        }
        if (e.code != ERR_OK) {
            atomic_fetch_add(w->failures, 1);
        }
    }
    return NULL;
}

static void test_concurrent_publishers(void **state)
{
    struct fixture *f = fixture_new("");
    pthread_t threads[THREADS + 1];
    struct worker workers[THREADS + 1];
    atomic_int failures = 0;
    (void)state;

    for (unsigned i = 0; i <= THREADS; i++) {
        workers[i].f = f;
        workers[i].seed = 1000 * (i + 1);
        workers[i].failures = &failures;
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < THREADS ? publisher : admin, &workers[i]), 0);
    }
    for (size_t i = 0; i <= THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&failures), 0);
    size_t kept = THREADS * (ROUNDS - (ROUNDS + 2) / 3);
    assert_int_equal(values_at(f, APEX_OWNER), kept);
    assert_int_equal(values_at(f, "x.guest.test.acme.svc.test"), 0);
    fixture_restart(f);
    assert_int_equal(values_at(f, APEX_OWNER), kept);
    fixture_free(f);
}

/* A client is removed while it publishes: whoever comes second, nothing of it stays. */
static void *racing_publisher(void *arg)
{
    const struct worker *w = arg;
    struct delegate_who who = who_of("guest", "127.0.0.1");
    struct delegate_refusal refusal;
    char digest[TXT_VALUE_LEN + 1];

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct err e = delegate_publish(w->f->delegate, &who, "_acme-challenge.x.guest.test",
                                        digest_n(i, digest), false, &refusal);
        if (e.code != ERR_OK && e.code != ERR_REJECTED) {
            atomic_fetch_add(w->failures, 1);
        }
    }
    return NULL;
}

static void test_removal_races_with_publishing(void **state)
{
    struct fixture *f = fixture_new("");
    char secret[CLIENT_SECRET_MAX + 1];
    atomic_int failures = 0;
    (void)state;

    for (int round = 0; round < 5; round++) {
        struct worker worker = {f, 0, &failures};
        pthread_t thread;
        must(access_client_create(f->access, &GUEST, secret));
        assert_int_equal(pthread_create(&thread, NULL, racing_publisher, &worker), 0);
        must(access_client_remove(f->access, "guest"));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(values_at(f, "x.guest.test.acme.svc.test"), 0);
    }
    assert_int_equal(atomic_load(&failures), 0);
    fixture_restart(f);
    assert_int_equal(values_at(f, "x.guest.test.acme.svc.test"), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_installation_keys),
        cmocka_unit_test(test_values_survive_a_restart),
        cmocka_unit_test(test_narrowed_names_are_not_loaded),
        cmocka_unit_test(test_expiry_and_maintenance),
        cmocka_unit_test(test_refusals_cannot_grow_the_store),
        cmocka_unit_test(test_cname_lines),
        cmocka_unit_test(test_waiting_challenges_are_woken),
        cmocka_unit_test(test_concurrent_publishers),
        cmocka_unit_test(test_removal_races_with_publishing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
