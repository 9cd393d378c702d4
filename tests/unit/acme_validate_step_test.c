/* What can happen to a job at an unlucky moment: while it is away, before its row is stored, while
 * its account's key changes. */
#include "tests/unit/acme_loop.h"
#include "tests/unit/acme_pieces.h"

#define LATE_MS (ACME_DNS01_WAIT_S * 1000 + 1)

static const char *const HOME[] = {"a.svc.test"};
static const char *const FAR[] = {"a.far.test"};
#define FAR_OWNER "_acme-challenge.a.far.test."

static int setup(void **state)
{
    *state = fx_loop_new("  - {name: far, secret: " SECRET ", names: ['*.far.test']}\n"
                         "acme: {authorization_reuse: 0}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_loop_free(*state);
    return 0;
}

/* --- a job without its request ------------------------------------------------------------------ */

struct target_tx {
    char id[OBJECT_ID_LEN + 1];
    enum challenge_type type;
    struct authz_row row;
};

static struct err load_fn(struct db *db, void *arg)
{
    struct target_tx *tx = arg;

    authz_row_clear(&tx->row);
    return acme_db_authz_load(db, tx->id, &tx->row);
}

static struct err start_fn(struct db *db, void *arg)
{
    const struct target_tx *tx = arg;

    return acme_db_challenge_start(db, tx->id, tx->type);
}

/* As a request would make it now. */
static struct val_job job_of(const struct fx *f, const struct pieces *p, enum challenge_type type)
{
    const char *url =
        json_string_value(json_array_get(json_object_get(p->order.json, "authorizations"), 0));
    struct target_tx tx = {.type = type};
    struct val_job job = {.is_limited = false};

    (void)snprintf(tx.id, sizeof(tx.id), "%s", strrchr(url, '/') + 1);
    must(store_read(f->store, "t", load_fn, &tx));
    must(validate_target(&tx.row, type, BASE, &job.target));
    authz_row_clear(&tx.row);
    return job;
}

/* The row that says "processing". */
static void store_start(struct fx *f, const struct val_job *job)
{
    struct target_tx tx = {.type = job->target.type};

    memcpy(tx.id, job->target.authz_id, sizeof(tx.id));
    must(store_write(f->store, "t", start_fn, &tx));
}

static struct job *find(struct fx *f, const struct val_job *job)
{
    struct validator *v = f->acme->validator;

    (void)pthread_mutex_lock(&v->lock);
    struct job *found = validator_find(v, &job->target);
    (void)pthread_mutex_unlock(&v->lock);
    return found;
}

static struct val_job add(struct fx_loop *l, const char *const *name, struct pieces *p)
{
    const char *why = NULL;

    order_one(l->f, name, p);
    const struct val_job job = job_of(l->f, p, CHALLENGE_DNS01);
    must(validator_add(l->f->acme->validator, &job, &why));
    return job;
}

static void step_clock(struct fx_loop *l, int64_t ms)
{
    clock_shift(ms);
    fx_drive(l);
}

/* From f->key to another, which takes its place. */
static void change_key(struct fx *f)
{
    struct maker fresh = maker_new(JWK_ES256, 0);
    struct reply reply = {0};
    char header[2048];
    char payload[2048];

    (void)snprintf(header, sizeof(header),
                   "{\"alg\":\"ES256\",\"jwk\":%s,\"url\":\"" BASE "/acme/key-change\"}",
                   fresh.jwk);
    (void)snprintf(payload, sizeof(payload), "{\"account\":\"%s\",\"oldKey\":%s}", f->kid,
                   f->key.jwk);
    char *inner = maker_jws(&fresh, header, payload);
    fx_post(f, "/acme/key-change", inner, &reply);
    expect_status(&reply, 200);
    mem_free(inner);
    reply_clear(&reply);
    maker_clear(&f->key);
    f->key = fresh;
}

/* --- "processing" is not stored ----------------------------------------------------------------- */

/* The deadline comes first (the machine stood still): the failure waits for its row. */
static void test_start_is_late(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const struct val_job job = add(l, HOME, &p);

    step_clock(l, LATE_MS);
    assert_int_equal(validator_waiting(l->f->acme->validator), 1);
    expect_challenge(l->f, &p, "pending");
    store_start(l->f, &job);
    step_clock(l, VALIDATE_POLL_MS + 1);
    expect_challenge(l->f, &p, "invalid");
    assert_int_equal(validator_waiting(l->f->acme->validator), 0);
    pieces_clear(&p);
}

/* A value that comes meanwhile is found. */
static void test_value_before_start(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    (void)add(l, HOME, &p);
    step_clock(l, LATE_MS);
    fx_publish(l->f, "both", HOME[0], p.digest);
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* It never comes: forgotten, but not while somebody asks for it again. */
static void test_start_never_comes(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    struct val_job job = add(l, HOME, &p);
    struct validator *v = l->f->acme->validator;
    const char *why = NULL;

    step_clock(l, LATE_MS);
    must(validator_add(v, &job, &why)); /* a second POST; its row is on its way */
    step_clock(l, VALIDATE_START_MS);
    assert_int_equal(validator_waiting(v), 1);
    store_start(l->f, &job);
    step_clock(l, LATE_MS);
    expect_challenge(l->f, &p, "invalid");
    assert_int_equal(validator_waiting(v), 0);
    pieces_clear(&p);
    job = add(l, HOME, &p);
    step_clock(l, LATE_MS);
    assert_int_equal(validator_waiting(v), 1);
    step_clock(l, VALIDATE_START_MS);
    assert_int_equal(validator_waiting(v), 0);
    expect_challenge(l->f, &p, "pending");
    pieces_clear(&p);
}

/* CAA says no before the row is there: not forgotten either. */
static void test_forbidden_before_start(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    l->f->cfg->acme.caa = CONFIG_CAA_ENFORCE;
    fx_loop_say(l, 0, "test.", "test. 1 IN CAA 0 issue \"other.example\"");
    const struct val_job job = add(l, HOME, &p);
    fx_publish(l->f, "both", HOME[0], p.digest);
    fx_drive(l);
    assert_int_equal(validator_waiting(l->f->acme->validator), 1);
    expect_challenge(l->f, &p, "pending");
    store_start(l->f, &job);
    step_clock(l, VALIDATE_POLL_MS + 1);
    expect_challenge(l->f, &p, "invalid");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(p.reply.json, "error"), "type")),
        URN "caa");
    assert_null(strstr(timeline_of(l->f, &p), "for TXT")); /* the value is there */
    pieces_clear(&p);
}

/* The time before validator_wake() is not the client's. */
static void test_patience_begins_with_wake(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const struct val_job job = add(l, FAR, &p);

    fx_loop_say(l, 0, FAR_OWNER, "");
    clock_shift(LATE_MS - 1000);
    store_start(l->f, &job);
    validator_wake(l->f->acme->validator, &job.target);
    step_clock(l, LATE_MS - 1000);
    expect_challenge(l->f, &p, "processing");
    /* A second one gives no more time. */
    validator_wake(l->f->acme->validator, &job.target);
    step_clock(l, 1001);
    expect_challenge(l->f, &p, "invalid");
    pieces_clear(&p);
}

/* --- while the loop has it ----------------------------------------------------------------------- */

/* The value comes while an attempt runs that will not find it: no poll is waited for. */
static void test_woken_while_away(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    fx_loop_say(l, 0, FAR_OWNER, FAR_OWNER " 1 IN CNAME a.far.test.acme.svc.test.");
    l->dns.is_waiting = true;
    order_and_answer(l->f, FAR, &p);
    assert_int_equal(validator_run_due(l->f->acme->validator), 1);
    while (l->dns.asked_n == 0) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    fx_publish(l->f, "far", FAR[0], p.digest);
    assert_int_equal(validator_run_due(l->f->acme->validator), 0);
    clock_shift(VALIDATE_ATTEMPT_MS);
    while (fx_loop_is_busy(l)) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    l->dns.is_waiting = false;
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* An attempt that can never begin ends: a challenge that older releases offered for long names. */
#define LABEL55 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
static void test_no_attempt_can_begin(void **state)
{
    static const char *const LONG[] = {LABEL55 LABEL55 LABEL55 LABEL55 "far.test"};
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const char *why = NULL;

    order_one(l->f, LONG, &p);
    assert_null(challenge_typed(&p.authz, CHALLENGE_DNSACCOUNT01));
    const struct val_job job = job_of(l->f, &p, CHALLENGE_DNSACCOUNT01);
    must(validator_add(l->f->acme->validator, &job, &why));
    store_start(l->f, &job);
    validator_wake(l->f->acme->validator, &job.target);
    fx_drive(l);
    assert_int_equal(validator_waiting(l->f->acme->validator), 0);
    fx_authz(l->f, &p.order, 0, &p.authz);
    assert_string_equal(member(&p.authz, "status"), "invalid");
    assert_non_null(strstr(timeline_of(l->f, &p), "is too long to be asked for"));
    pieces_clear(&p);
}

/* The test mode's delay is one delay, whatever comes meanwhile. */
static void test_delay(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const struct val_job job = add(l, HOME, &p);
    struct validator *v = l->f->acme->validator;
    struct job *inside = find(l->f, &job);

    assert_non_null(inside);
    inside->not_before_ms = clock_mono_ms() + 3000;
    store_start(l->f, &job);
    fx_publish(l->f, "both", HOME[0], p.digest);
    for (int i = 0; i < 3; i++) {
        validator_wake(v, &job.target);
        assert_int_equal(validator_run_due(v), 0);
        assert_int_equal(inside->next_ms, inside->not_before_ms);
        clock_shift(999);
    }
    step_clock(l, 4);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* --- the account's key changes ------------------------------------------------------------------- */

/* Between the load of the target and the watch: the new key's value is found at the latest when the
 * old one's would be missed. */
static void test_key_changed_before_add(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const char *why = NULL;

    order_one(l->f, HOME, &p);
    const struct val_job job = job_of(l->f, &p, CHALLENGE_DNS01);
    change_key(l->f);
    must(validator_add(l->f->acme->validator, &job, &why));
    store_start(l->f, &job);
    digest_of(l->f, &p.authz, p.digest);
    fx_publish(l->f, "both", HOME[0], p.digest);
    step_clock(l, LATE_MS);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* While the last attempt runs: it fails under the old key, and is made again. */
static void test_key_changed_while_away(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    char record[256];

    l->dns.is_waiting = true;
    order_and_answer(l->f, FAR, &p);
    clock_shift(LATE_MS);
    assert_int_equal(validator_run_due(l->f->acme->validator), 1);
    while (l->dns.asked_n == 0) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    change_key(l->f);
    digest_of(l->f, &p.authz, p.digest);
    clock_shift(VALIDATE_ATTEMPT_MS);
    while (fx_loop_is_busy(l)) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    (void)snprintf(record, sizeof(record), FAR_OWNER " 1 IN TXT \"%s\"", p.digest);
    fx_loop_say(l, 0, FAR_OWNER, record);
    l->dns.is_waiting = false;
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* dns-account-01: our doors know the new value, which wakes the job. */
static void test_key_changed_and_account_label(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const struct delegate_who who = {.door = DOOR_HTTPREQ, .client = "both"};
    struct delegate_refusal refusal = {0};

    order_one(l->f, HOME, &p);
    (void)snprintf(p.url, sizeof(p.url), "%s",
                   json_string_value(
                       json_object_get(challenge_typed(&p.authz, CHALLENGE_DNSACCOUNT01), "url")));
    fx_post(l->f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_drive(l);
    const struct val_job old = job_of(l->f, &p, CHALLENGE_DNSACCOUNT01);
    change_key(l->f);
    const struct val_job new = job_of(l->f, &p, CHALLENGE_DNSACCOUNT01);
    fx_drive(l);
    assert_int_not_equal(
        delegate_publish(l->f->delegate, &who, NULL, old.target.digest, false, &refusal).code,
        ERR_OK);
    must(delegate_publish(l->f->delegate, &who, NULL, new.target.digest, false, &refusal));
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start_is_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_value_before_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_never_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forbidden_before_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patience_begins_with_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_woken_while_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_attempt_can_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_changed_before_add, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_changed_while_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_changed_and_account_label, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
