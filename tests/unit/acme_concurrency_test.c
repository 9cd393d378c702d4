/* Everything at the same moment: never a 5xx, never two certificates, nothing left half done. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f =
        fx_new("acme: {authorization_reuse: 0, rate_limits: {orders: 0, new_accounts: 0}}\n");

    must(acme_start(f->acme));
    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

#define ROUNDS 8
#define THREADS_MAX 6
static const char *const APEX[] = {"svc.test"};

/* One thread: posts `payload` to `url` as `who`, again and again while `again` (at most 200 times). */
struct poster {
    struct fx *f;
    struct who who;
    char url[512];
    const char *payload;
    atomic_bool *again;
    const int *allowed; /* statuses, 0 ends */
    bool is_new;        /* signed by the key itself */
    struct reply last;
};

static bool is_allowed(const struct poster *p)
{
    for (size_t i = 0; p->allowed[i] != 0; i++) {
        if (p->allowed[i] == p->last.status) {
            return true;
        }
    }
    return false;
}

static void *post_main(void *arg)
{
    struct poster *p = arg;
    unsigned n = 0;

    do {
        if (p->is_new) {
            who_post_new(p->f, &p->who.key, p->url, p->payload, &p->last);
        } else {
            who_post(p->f, &p->who, p->url, p->payload, &p->last);
        }
        n++;
    } while (is_allowed(p) && p->again != NULL && atomic_load(p->again) && n < 200);
    return NULL;
}

struct crowd {
    struct poster posters[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    size_t n;
};

static struct poster *crowd_add(struct crowd *c, struct fx *f, const char *url, const char *payload,
                                const int *allowed)
{
    struct poster *p = &c->posters[c->n++];

    assert_true(c->n <= THREADS_MAX);
    *p = (struct poster){.f = f, .payload = payload, .allowed = allowed};
    p->who.key = f->key;
    memcpy(p->who.kid, f->kid, sizeof(p->who.kid));
    (void)snprintf(p->url, sizeof(p->url), "%s", url);
    return p;
}

static void crowd_start(struct crowd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        assert_int_equal(pthread_create(&c->threads[i], NULL, post_main, &c->posters[i]), 0);
    }
}

static void crowd_join(struct crowd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        assert_int_equal(pthread_join(c->threads[i], NULL), 0);
    }
    for (size_t i = 0; i < c->n; i++) {
        if (!is_allowed(&c->posters[i])) {
            fail_msg("%s: %d %s", c->posters[i].url, c->posters[i].last.status,
                     c->posters[i].last.body);
        }
    }
}

static void crowd_clear(struct crowd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        reply_clear(&c->posters[i].last);
    }
    *c = (struct crowd){.n = 0};
}

static const int ONLY_200[] = {200, 0};
static const int CHALLENGE_OK[] = {200, 401, 404, 0};
static const int ANY_REFUSAL[] = {200, 201, 400, 401, 403, 404, 0};

static void wait_for_validator(struct fx *f)
{
    while (validator_waiting(f->acme->validator) > 0) {
        (void)sched_yield();
    }
}

/* Several posts of one challenge, polls beside them, and the value in the middle of it. */
static void test_one_challenge(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply authz = {0};
    char digest[TXT_VALUE_LEN + 1];

    for (int i = 0; i < ROUNDS; i++) {
        static struct crowd crowd;
        atomic_bool again = true;
        fx_order(f, APEX, 1, &order);
        fx_authz(f, &order, 0, &authz);
        digest_of(f, &authz, digest);
        for (int k = 0; k < 4; k++) {
            (void)crowd_add(&crowd, f, challenge_member(&authz, "url"), "{}", ONLY_200);
        }
        crowd_add(&crowd, f, challenge_member(&authz, "url"), "", ONLY_200)->again = &again;
        crowd_add(&crowd, f, order.location, "", ONLY_200)->again = &again;
        crowd_start(&crowd);
        fx_publish(f, "both", "svc.test", digest);
        wait_for_validator(f);
        atomic_store(&again, false);
        crowd_join(&crowd);
        wait_for_validator(f);
        fx_authz(f, &order, 0, &authz);
        assert_string_equal(member(&authz, "status"), "valid");
        fx_post(f, order.location, "", &authz);
        assert_string_equal(member(&authz, "status"), "ready");
        crowd_clear(&crowd);
    }
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_challenge", NULL), ROUNDS);
    reply_clear(&order);
    reply_clear(&authz);
}

/* The authorization is deactivated while its challenge is posted and decided. */
static void test_deactivated_authorization(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply authz = {0};
    char digest[TXT_VALUE_LEN + 1];
    char url[512];

    for (int i = 0; i < ROUNDS; i++) {
        static struct crowd crowd;
        fx_order(f, APEX, 1, &order);
        fx_authz(f, &order, 0, &authz);
        digest_of(f, &authz, digest);
        (void)snprintf(
            url, sizeof(url), "%s",
            json_string_value(json_array_get(json_object_get(order.json, "authorizations"), 0)));
        fx_publish(f, "both", "svc.test", digest);
        (void)crowd_add(&crowd, f, challenge_member(&authz, "url"), "{}", CHALLENGE_OK);
        (void)crowd_add(&crowd, f, challenge_member(&authz, "url"), "{}", CHALLENGE_OK);
        (void)crowd_add(&crowd, f, url, "{\"status\":\"deactivated\"}", ONLY_200);
        crowd_start(&crowd);
        crowd_join(&crowd);
        wait_for_validator(f);
        fx_authz(f, &order, 0, &authz);
        assert_string_equal(member(&authz, "status"), "deactivated");
        fx_post(f, order.location, "", &authz);
        assert_string_equal(member(&authz, "status"), "invalid");
        crowd_clear(&crowd);
    }
    reply_clear(&order);
    reply_clear(&authz);
}

/* The account ends while it orders, answers challenges and finalizes: afterwards nothing of it is
 * open, and there is one certificate or none. */
static void test_deactivated_account(void **state)
{
    struct fx *f = *state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, APEX, 1);

    for (int i = 0; i < ROUNDS; i++) {
        static struct crowd crowd;
        struct reply ready = {0};
        struct reply order = {0};
        struct reply authz = {0};
        struct who who = who_new(f);
        char id[OBJECT_ID_LEN + 1];
        (void)snprintf(id, sizeof(id), "%s", id_of(who.kid));
        who_swap(f, &who);
        fx_order(f, APEX, 1, &ready);
        fx_prove(f, &ready, "both");
        fx_order(f, APEX, 1, &order);
        fx_authz(f, &order, 0, &authz);
        (void)crowd_add(&crowd, f, member(&ready, "finalize"), csr, ANY_REFUSAL);
        (void)crowd_add(&crowd, f, member(&ready, "finalize"), csr, ANY_REFUSAL);
        (void)crowd_add(&crowd, f, challenge_member(&authz, "url"), "{}", ANY_REFUSAL);
        (void)crowd_add(&crowd, f, "/acme/new-order",
                        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.svc.test\"}]}",
                        ANY_REFUSAL);
        (void)crowd_add(&crowd, f, "/acme/new-authz",
                        "{\"identifier\":{\"type\":\"dns\",\"value\":\"b.svc.test\"}}",
                        ANY_REFUSAL);
        (void)crowd_add(&crowd, f, f->kid, "{\"status\":\"deactivated\"}", ONLY_200);
        crowd_start(&crowd);
        crowd_join(&crowd);
        wait_for_validator(f);
        assert_int_equal(fx_number(f,
                                   "SELECT COUNT(*) FROM acme_order WHERE account_id = ?1"
                                   " AND status IN (0, 1)",
                                   id),
                         0);
        assert_int_equal(fx_number(f,
                                   "SELECT COUNT(*) FROM acme_authz WHERE account_id = ?1"
                                   " AND status IN (0, 1)",
                                   id),
                         0);
        assert_true(fx_number(f, "SELECT COUNT(*) FROM certificate WHERE account_id = ?1", id) <=
                    1);
        who_swap(f, &who);
        who_clear(&who);
        crowd_clear(&crowd);
        reply_clear(&ready);
        reply_clear(&order);
        reply_clear(&authz);
    }
    EVP_PKEY_free(key);
    mem_free(csr);
}

/* Two finalizes, polls beside them: both see the one certificate. */
static void test_two_finalizes(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, APEX, 1);

    for (int i = 0; i < ROUNDS; i++) {
        static struct crowd crowd;
        atomic_bool again = true;
        fx_order(f, APEX, 1, &order);
        fx_prove(f, &order, "both");
        (void)crowd_add(&crowd, f, member(&order, "finalize"), csr, ONLY_200);
        (void)crowd_add(&crowd, f, member(&order, "finalize"), csr, ONLY_200);
        crowd_add(&crowd, f, order.location, "", ONLY_200)->again = &again;
        crowd_start(&crowd);
        do { /* until it is there for certain */
            fx_post(f, order.location, "", &reply);
        } while (strcmp(member(&reply, "status"), "valid") != 0);
        atomic_store(&again, false);
        crowd_join(&crowd);
        assert_string_equal(member(&crowd.posters[0].last, "status"), "valid");
        assert_true(json_equal(crowd.posters[0].last.json, crowd.posters[1].last.json));
        crowd_clear(&crowd);
    }
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate", NULL), ROUNDS);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

/* One certificate revoked by several at once: one does it, the others hear that it is done. */
static void test_revocations(void **state)
{
    static const int once[] = {200, 400, 0};
    struct fx *f = *state;
    static struct crowd crowd;
    struct cert c = fx_issue(f, APEX, 1);
    struct buf payload = BUF_INIT(65536);
    char *text = maker_b64(c.der, (size_t)c.der_len);
    unsigned done = 0;

    buf_printf(&payload, "{\"certificate\":\"%s\"}", text);
    for (int i = 0; i < 4; i++) {
        (void)crowd_add(&crowd, f, "/acme/revoke-cert", buf_str(&payload), once);
    }
    crowd_start(&crowd);
    crowd_join(&crowd);
    for (size_t i = 0; i < crowd.n; i++) {
        if (crowd.posters[i].last.status == 200) {
            done++;
        } else {
            expect_problem(&crowd.posters[i].last, 400, "alreadyRevoked");
        }
    }
    assert_int_equal(done, 1);
    crowd_clear(&crowd);
    mem_free(text);
    buf_clear(&payload);
    cert_clear(&c);
}

/* newAccount with one key, at once: one account. */
static void test_accounts(void **state)
{
    static const int made[] = {200, 201, 0};
    struct fx *f = *state;
    static struct crowd crowd;
    struct maker fresh = maker_new(JWK_ES256, 0);
    struct maker mine = f->key;
    unsigned created = 0;

    f->key = fresh;
    for (int i = 0; i < 4; i++) {
        struct poster *p = crowd_add(&crowd, f, "/acme/new-account", "{}", made);
        p->is_new = true;
    }
    crowd_start(&crowd);
    crowd_join(&crowd);
    for (size_t i = 0; i < crowd.n; i++) {
        created += crowd.posters[i].last.status == 201 ? 1 : 0;
        assert_string_equal(crowd.posters[i].last.location, crowd.posters[0].last.location);
    }
    assert_int_equal(created, 1);
    f->key = mine;
    crowd_clear(&crowd);
    maker_clear(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_challenge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivated_authorization, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivated_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_finalizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revocations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accounts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
