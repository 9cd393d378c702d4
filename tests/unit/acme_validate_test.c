/* The pool, and names that others serve: a small DNS server of our own answers for them. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/acme_support.h"

/* --- somebody else's DNS server --------------------------------------------------------------- */

struct other_dns {
    int fd;
    pthread_t thread;
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    char cname[256]; /* answer with this CNAME, or: */
    char txt[64];    /* with this TXT; both empty: no data */
};

/* The answer section's only record; returns its length. */
static size_t put_record(struct other_dns *dns, uint8_t *out)
{
    uint8_t rdata[256];
    size_t len = sizeof(rdata);

    if (dns->cname[0] != '\0') {
        must(name_to_wire(dns->cname, rdata, &len));
    } else if (dns->txt[0] != '\0') {
        len = strlen(dns->txt) + 1;
        rdata[0] = (uint8_t)(len - 1);
        memcpy(rdata + 1, dns->txt, len - 1);
    } else {
        return 0;
    }
    const uint8_t head[] = {
        0xc0,        12, 0, dns->cname[0] != '\0' ? 5 : 16, 0, 1, 0, 0, 0, 1, (uint8_t)(len >> 8),
        (uint8_t)len};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), rdata, len);
    return sizeof(head) + len;
}

static void answer(struct other_dns *dns)
{
    uint8_t packet[2048];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    ssize_t n = recvfrom(dns->fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_len);
    size_t end = 12;

    if (n < 17) {
        return;
    }
    while (packet[end] != 0) {
        end += packet[end] + 1u;
    }
    end += 5;
    (void)pthread_mutex_lock(&dns->lock);
    size_t record_len = put_record(dns, packet + end);
    (void)pthread_mutex_unlock(&dns->lock);
    const uint8_t flags[] = {0x81, 0x80, 0, 1, 0, record_len > 0 ? 1 : 0, 0, 0, 0, 0};
    memcpy(packet + 2, flags, sizeof(flags));
    (void)sendto(dns->fd, packet, end + record_len, 0, (struct sockaddr *)&peer, peer_len);
}

static void *dns_main(void *arg)
{
    struct other_dns *dns = arg;
    struct pollfd fd = {.fd = dns->fd, .events = POLLIN};

    while (!atomic_load(&dns->is_stopping)) {
        if (poll(&fd, 1, 50) > 0) {
            answer(dns);
        }
    }
    return NULL;
}

static void dns_say(struct other_dns *dns, const char *cname, const char *txt)
{
    (void)pthread_mutex_lock(&dns->lock);
    (void)snprintf(dns->cname, sizeof(dns->cname), "%s", cname);
    (void)snprintf(dns->txt, sizeof(dns->txt), "%s", txt);
    (void)pthread_mutex_unlock(&dns->lock);
}

static uint16_t dns_start(struct other_dns *dns)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    *dns = (struct other_dns){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    (void)pthread_mutex_init(&dns->lock, NULL);
    assert_true(dns->fd >= 0);
    assert_int_equal(bind(dns->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(dns->fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&dns->thread, NULL, dns_main, dns), 0);
    return ntohs(at.sin_port);
}

static void dns_stop(struct other_dns *dns)
{
    atomic_store(&dns->is_stopping, true);
    assert_int_equal(pthread_join(dns->thread, NULL), 0);
    (void)close(dns->fd);
    (void)pthread_mutex_destroy(&dns->lock);
}

/* --- fixture ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct fx *f = fx_new("  - {name: far, secret: " SECRET ", names: ['*.far.test']}\n"
                          "acme: {authorization_reuse: 0}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const FAR[] = {"a.far.test"};

struct pieces {
    struct reply order, authz, reply;
    char digest[TXT_VALUE_LEN + 1];
    char url[512];
};

static void order_one(struct fx *f, const char *const *name, struct pieces *p)
{
    fx_order(f, name, 1, &p->order);
    expect_status(&p->order, 201);
    fx_authz(f, &p->order, 0, &p->authz);
    digest_of(f, &p->authz, p->digest);
    (void)snprintf(p->url, sizeof(p->url), "%s", challenge_member(&p->authz, "url"));
}

static void pieces_clear(struct pieces *p)
{
    reply_clear(&p->order);
    reply_clear(&p->authz);
    reply_clear(&p->reply);
}

static void expect_challenge(struct fx *f, struct pieces *p, const char *status)
{
    fx_post(f, p->url, "", &p->reply);
    if (strcmp(member(&p->reply, "status"), status) != 0) {
        fail_msg("not %s: %s", status, p->reply.body);
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

/* No resolver answers: the error is dns and says what was asked. */
static void test_silent_resolver(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, FAR, &p);
    fx_post(f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    expect_challenge(f, &p, "processing");
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
    expect_challenge(f, &p, "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "dns");
    assert_non_null(
        strstr(json_string_value(json_object_get(error, "detail")), "_acme-challenge.a.far.test"));
    pieces_clear(&p);
}

/* The CNAME leads into our delegate zone: the value there, and its publisher, decide. */
static void test_cname_to_us(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};
    struct other_dns dns;

    f->cfg->resolvers[0].port = dns_start(&dns);
    dns_say(&dns, "a.far.test.acme.svc.test", "");
    order_one(f, FAR, &p);
    fx_post(f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    assert_int_equal(validator_run_due(f->acme->validator), 0);
    expect_challenge(f, &p, "processing");
    fx_publish(f, "far", "a.far.test", p.digest);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    expect_challenge(f, &p, "valid");
    dns_stop(&dns);
    pieces_clear(&p);
}

/* A plain TXT in the other server's zone; it is polled every second. */
static void test_txt_elsewhere(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};
    struct other_dns dns;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, FAR, 1);

    f->cfg->resolvers[0].port = dns_start(&dns);
    dns_say(&dns, "", "something else");
    order_one(f, FAR, &p);
    fx_post(f, p.url, "{}", &p.reply);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    expect_challenge(f, &p, "processing");
    dns_say(&dns, "", p.digest);
    assert_int_equal(validator_run_due(f->acme->validator), 0);
    clock_shift(VALIDATE_POLL_MS + 1);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    clock_shift(-(VALIDATE_POLL_MS + 1));
    expect_challenge(f, &p, "valid");
    /* It has no publisher: nothing to ask about at finalize. */
    fx_post(f, member(&p.order, "finalize"), csr, &p.reply);
    expect_status(&p.reply, 200);
    dns_stop(&dns);
    EVP_PKEY_free(key);
    mem_free(csr);
    pieces_clear(&p);
}

static void test_limit(void **state)
{
    struct fx *f = *state;
    struct val_target target = {.ident = {.base = "svc.test"}};
    struct validator *v = NULL;

    must(validator_new(f->acme, &v));
    for (unsigned i = 0; i <= VALIDATE_JOBS_MAX; i++) {
        (void)snprintf(target.digest, sizeof(target.digest), "%043u", i);
        assert_int_equal(validator_add(v, &target, true).code,
                         i < VALIDATE_JOBS_MAX ? ERR_OK : ERR_LIMIT);
    }
    (void)snprintf(target.digest, sizeof(target.digest), "%043u", 7u);
    assert_int_equal(validator_add(v, &target, true).code, ERR_OK); /* is there */
    assert_int_equal(validator_waiting(v), VALIDATE_JOBS_MAX);
    validator_free(v);
}

/* The store fails while deciding: the job stays and tries again. */
static struct err rename_table(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = *(const bool *)arg
                            ? db_prepare(db, "ALTER TABLE acme_challenge RENAME TO away")
                            : db_prepare(db, "ALTER TABLE away RENAME TO acme_challenge");
    return db_run(q, NULL);
}

static void test_store_failure(void **state)
{
    static const char *const NAME[] = {"svc.test"};
    struct fx *f = *state;
    struct pieces p = {0};
    bool is_away = true;

    order_one(f, NAME, &p);
    fx_post(f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_publish(f, "both", "svc.test", p.digest);
    must(store_write(f->store, "t", rename_table, &is_away));
    log_setup((enum log_level) - 1, LOG_TEXT);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    log_setup(LOG_WARN, LOG_TEXT);
    assert_int_equal(validator_waiting(f->acme->validator), 1);
    is_away = false;
    must(store_write(f->store, "t", rename_table, &is_away));
    clock_shift(VALIDATE_POLL_MS + 1);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    clock_shift(-(VALIDATE_POLL_MS + 1));
    expect_challenge(f, &p, "valid");
    pieces_clear(&p);
}

#define ROUNDS 12

struct worker {
    struct fx *f;
    unsigned n;
};

/* Challenge first and value second, or the other way round: each ends valid. */
static void *work(void *arg)
{
    const struct worker *w = arg;
    char name[64];
    const char *const names[] = {name};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pieces p = {0};
        int64_t end = clock_mono_ms() + 10000;
        (void)snprintf(name, sizeof(name), "n%u-%u.svc.test", w->n, i);
        order_one(w->f, names, &p);
        if (i % 2 == 0) {
            fx_publish(w->f, "both", name, p.digest);
        }
        fx_post(w->f, p.url, "{}", &p.reply);
        if (i % 2 == 1) {
            fx_publish(w->f, "both", name, p.digest);
        }
        while (strcmp(member(&p.reply, "status"), "valid") != 0 && clock_mono_ms() < end) {
            (void)sched_yield();
            fx_post(w->f, p.url, "", &p.reply);
        }
        expect_challenge(w->f, &p, "valid");
        pieces_clear(&p);
    }
    return NULL;
}

static void test_pool(void **state)
{
    struct fx *f = *state;
    struct worker workers[4];
    pthread_t threads[4];

    must(acme_start(f->acme));
    for (unsigned i = 0; i < ARRAY_N(workers); i++) {
        workers[i] = (struct worker){f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_N(workers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_silent_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cname_to_us, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txt_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
