/* tls-alpn-01 against servers with the right certificate, wrong ones, and other faults. */
#include "val_world.h"

#include "acme-server/val_gate.h"
#include "tlsalpn_maker.h"

/* What the server's callbacks see and do. */
static struct seen {
    char server_name[300];
    char alpn[64]; /* as it was offered */
    enum { ALPN_RIGHT, ALPN_NONE, ALPN_REFUSES, ALPN_OTHER } alpn_answer;
} seen;

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char OTHER[] = "http/1.1";

    (void)arg;
    (void)snprintf(seen.server_name, sizeof(seen.server_name), "%s",
                   SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    (void)snprintf(seen.alpn, sizeof(seen.alpn), "%.*s", (int)in_len, (const char *)in);
    switch (seen.alpn_answer) {
    case ALPN_NONE:
        return SSL_TLSEXT_ERR_NOACK;
    case ALPN_REFUSES:
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    case ALPN_OTHER:
        *out = OTHER;
        *out_len = sizeof(OTHER) - 1;
        return SSL_TLSEXT_ERR_OK;
    case ALPN_RIGHT:
        break;
    }
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void serve(struct server *server, const char *own_san, const struct cert_spec *spec)
{
    uint8_t digest[SHA256_LEN];
    EVP_PKEY *key = make_ec_key();

    assert_int_equal(sha256(KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION), digest).code, ERR_OK);
    X509 *cert = make_tlsalpn_cert(spec, key, own_san, digest);
    SSL_CTX_free(server->tls);
    server->tls = SSL_CTX_new(TLS_server_method());
    assert_non_null(server->tls);
    assert_int_equal(SSL_CTX_use_certificate(server->tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->tls, key), 1);
    SSL_CTX_set_alpn_select_cb(server->tls, on_alpn, NULL);
    memset(&seen, 0, sizeof(seen));
    X509_free(cert);
    EVP_PKEY_free(key);
}

static const struct cert_spec RIGHT = {0};

static void shake(struct world *w, struct trial *trial, const char *name)
{
    trial_run(w, trial, name, CHALLENGE_TLSALPN01);
}

/* --- certificates ------------------------------------------------------------------------------ */

static const struct {
    const char *what;
    struct cert_spec spec;
    enum problem_type type;
    const char *why;
} WRONG[] = {
    {"an ordinary one", {.has_no_identifier = true}, PROBLEM_UNAUTHORIZED, "ordinary"},
    {"two extensions",
     {.has_identifier_twice = true},
     PROBLEM_INCORRECT_RESPONSE,
     "2 acmeIdentifier"},
    {"not critical", {.is_not_critical = true}, PROBLEM_INCORRECT_RESPONSE, "not critical"},
    {"another digest", {.is_other_digest = true}, PROBLEM_INCORRECT_RESPONSE, "another key"},
    {"another name", {.san = "DNS:b.test"}, PROBLEM_INCORRECT_RESPONSE, "but b.test"},
    {"two names", {.san = "DNS:web.svc.test,DNS:b.test"}, PROBLEM_INCORRECT_RESPONSE, "2 entries"},
    {"another issuer",
     {.is_other_issuer = true, .is_other_signer = true},
     PROBLEM_INCORRECT_RESPONSE,
     "self-signed"},
};

static void test_wrong_certificates(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(WRONG); i++) {
        struct trial trial;
        serve(&w->tls, "DNS:web.svc.test", &WRONG[i].spec);
        shake(w, &trial, "web.svc.test");
        expect_problem(&trial, WRONG[i].type, WRONG[i].why);
    }
}

static void test_the_right_certificate(void **state)
{
    static const int VERSIONS[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(VERSIONS); i++) {
        struct trial trial;
        serve(&w->tls, "DNS:web.svc.test", &RIGHT);
        assert_int_equal(SSL_CTX_set_max_proto_version(w->tls.tls, VERSIONS[i]), 1);
        assert_int_equal(SSL_CTX_set_min_proto_version(w->tls.tls, VERSIONS[i]), 1);
        shake(w, &trial, "web.svc.test");
        expect_valid(&trial);
        assert_string_equal(seen.server_name, "web.svc.test");
        assert_string_equal(seen.alpn, "\x0a"
                                       "acme-tls/1"); /* and no other */
        assert_int_equal(w->web.accepted_n, 0);
    }
}

static void test_ip_identifiers(void **state)
{
    struct world *w = *state;
    struct trial trial;
    struct server six;

    serve(&w->tls, "DNS:1.0.0.127.in-addr.arpa", &RIGHT);
    shake(w, &trial, "127.0.0.1");
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "iPAddress");
    serve(&w->tls, "IP:127.0.0.1", &RIGHT);
    shake(w, &trial, "127.0.0.1");
    expect_valid(&trial);
    assert_string_equal(seen.server_name, "1.0.0.127.in-addr.arpa"); /* RFC 8738 §6 */
    server_open(&six, w->loop, "[::1]");
    w->cfg->acme.tls_port = six.port;
    serve(&six, "IP:::1", &RIGHT);
    shake(w, &trial, "::1");
    expect_valid(&trial);
    assert_string_equal(seen.server_name,
                        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa");
    server_close(&six);
}

/* --- handshakes -------------------------------------------------------------------------------- */

static void test_other_protocols(void **state)
{
    struct world *w = *state;
    struct trial trial;

    serve(&w->tls, "DNS:web.svc.test", &RIGHT);
    seen.alpn_answer = ALPN_NONE;
    shake(w, &trial, "web.svc.test");
    expect_problem(&trial, PROBLEM_UNAUTHORIZED, "did not choose the protocol 'acme-tls/1'");
    seen.alpn_answer = ALPN_REFUSES;
    shake(w, &trial, "web.svc.test");
    expect_problem(&trial, PROBLEM_TLS, "knows no protocol 'acme-tls/1'");
    seen.alpn_answer = ALPN_OTHER;
    shake(w, &trial, "web.svc.test");
    assert_false(trial.result.is_valid); /* some releases of OpenSSL end the handshake */
    expect_problem(&trial, trial.result.type, "acme-tls/1");
}

static void test_an_old_version(void **state)
{
    struct world *w = *state;
    struct trial trial;

    serve(&w->tls, "DNS:web.svc.test", &RIGHT);
    assert_int_equal(SSL_CTX_set_min_proto_version(w->tls.tls, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(w->tls.tls, TLS1_1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(w->tls.tls, "ALL:@SECLEVEL=0"), 1);
    shake(w, &trial, "web.svc.test");
    expect_problem(&trial, PROBLEM_TLS, "the TLS handshake failed");
}

static void test_a_chain_of_many(void **state)
{
    struct world *w = *state;
    struct trial trial;
    EVP_PKEY *key = make_ec_key();
    uint8_t digest[SHA256_LEN] = {0};

    serve(&w->tls, "DNS:web.svc.test", &RIGHT);
    X509 *cert = make_tlsalpn_cert(&RIGHT, key, "DNS:x.test", digest);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(SSL_CTX_add1_chain_cert(w->tls.tls, cert), 1);
    }
    shake(w, &trial, "web.svc.test");
    expect_problem(&trial, PROBLEM_TLS, "excessive message size");
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_no_tls(void **state)
{
    static const struct {
        const char *text;
        enum problem_type type;
        const char *why;
    } CASES[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", PROBLEM_TLS, "the TLS handshake failed"},
        {"SSH-2.0-OpenSSH_9.2p1\r\n", PROBLEM_TLS, "the TLS handshake failed"},
        {"", PROBLEM_CONNECTION, "ended the connection during the TLS handshake"},
        {"\x16\x03\x03", PROBLEM_CONNECTION, "ended the connection during the TLS handshake"},
        {"\x15\x03\x03", PROBLEM_CONNECTION, "ended the connection during the TLS handshake"},
    };
    struct world *w = *state;

    w->tls.answer = answer_text;
    w->tls.answers_anything = true;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct trial trial;
        w->tls.text = CASES[i].text;
        shake(w, &trial, "web.svc.test");
        expect_problem(&trial, CASES[i].type, CASES[i].why);
    }
}

static void test_nobody_there(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->tls.closes_at_once = true;
    shake(w, &trial, "web.svc.test");
    expect_problem(&trial, PROBLEM_CONNECTION, "ended the connection during the TLS handshake");
    server_close(&w->tls);
    shake(w, &trial, "web.both.test");
    expect_problem(&trial, PROBLEM_CONNECTION, "Connection refused");
    assert_non_null(strstr(trial.result.detail, "[::1]:"));
    shake(w, &trial, "web.link.test");
    expect_problem(&trial, PROBLEM_CONNECTION, "it is a link-local address");
    shake(w, &trial, "web.bare.test");
    expect_problem(&trial, PROBLEM_DNS, "needs an address record");
    w->cfg->acme.allow_n = 0;
    shake(w, &trial, "127.0.0.1");
    expect_problem(&trial, PROBLEM_CONNECTION, "it is a loopback address");
}

/* --- time -------------------------------------------------------------------------------------- */

static void expect_stall(struct world *w)
{
    struct trial trial;

    trial_init(&trial, "web.svc.test", CHALLENGE_TLSALPN01);
    trial_start(w, &trial);
    while (w->tls.accepted_n == 0) {
        (void)loop_run_once(w->loop, 1000);
    }
    for (unsigned i = 0; i < 10; i++) {
        (void)loop_run_once(w->loop, 1);
    }
    assert_int_equal(trial.done_n, 0);
    clock_shift(DEADLINE_MS);
    trial_wait(w, &trial);
    clock_shift(-DEADLINE_MS);
    expect_problem(&trial, PROBLEM_CONNECTION, "did not end the TLS handshake in time");
}

static void test_silence(void **state)
{
    expect_stall(*state);
}

static void test_a_stall_in_the_handshake(void **state)
{
    struct world *w = *state;

    w->tls.answer = answer_text;
    w->tls.answers_anything = true;
    w->tls.keeps_open = true;
    w->tls.text = "\x16\x03\x03\x10\x10\x02\x01"; /* the beginning of a ServerHello */
    expect_stall(w);
}

static void test_freed_in_every_state(void **state)
{
    static struct trial trials[4];
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(trials); i++) {
        trial_init(&trials[i], "web.svc.test", CHALLENGE_TLSALPN01);
        trial_start(w, &trials[i]);
        while (i == 1 && w->tls.accepted_n == 0) {
            (void)loop_run_once(w->loop, 1000);
        }
    }
    val_net_free(w->net);
    w->net = NULL;
    for (unsigned i = 0; i < 10; i++) {
        (void)loop_run_once(w->loop, 1);
    }
    for (size_t i = 0; i < ARRAY_N(trials); i++) {
        assert_int_equal(trials[i].done_n, 0);
        buf_clear(&trials[i].trail);
    }
}

/* More silent peers than may speak TLS at a time: one that works gets its turn all the same. The
 * clock is put back meanwhile, so that a slow machine ends no turn. */
#define LONG_MS 3600000

static void run_until_quiet(struct world *w)
{
    for (unsigned quiet = 0; quiet < 3;) {
        quiet = loop_run_once(w->loop, 20) == 0 ? quiet + 1 : 0;
    }
}

static void test_silent_targets_hold_nobody_up(void **state)
{
    struct world *w = *state;
    struct server silent;
    struct trial trial;
    struct trial *hanging = mem_array(VAL_TURNS_MAX + 1, sizeof(*hanging));
    size_t ended_n = 0;

    assert_non_null(hanging);
    memset(&silent, 0, sizeof(silent));
    silent.loop = w->loop;
    (void)listen_on("127.0.0.2", w->tls.port, &silent.fd);
    serve(&w->tls, "DNS:web.svc.test", &RIGHT);
    clock_shift(LONG_MS);
    for (size_t i = 0; i <= VAL_TURNS_MAX; i++) {
        trial_init(&hanging[i], "127.0.0.2", CHALLENGE_TLSALPN01);
        hanging[i].more_ms = LONG_MS;
        if (i < VAL_TURNS_MAX) {
            trial_start(w, &hanging[i]);
        }
    }
    trial_init(&trial, "web.svc.test", CHALLENGE_TLSALPN01);
    trial.more_ms = 2 * LONG_MS;
    run_until_quiet(w);
    clock_shift(-LONG_MS);
    hanging[VAL_TURNS_MAX].more_ms = 2 * LONG_MS;
    trial_start(w, &hanging[VAL_TURNS_MAX]);
    trial_start(w, &trial);
    run_until_quiet(w);
    assert_int_equal(trial.done_n, 0);
    clock_shift(LONG_MS + VAL_TURN_MS);
    trial_wait(w, &trial);
    expect_valid(&trial);
    run_until_quiet(w);
    for (size_t i = 0; i <= VAL_TURNS_MAX; i++) {
        ended_n += hanging[i].done_n;
    }
    assert_int_equal(ended_n, 2); /* as many as waited, not more */
    clock_shift(2 * LONG_MS);
    for (size_t i = 0; i <= VAL_TURNS_MAX; i++) {
        if (hanging[i].done_n == 0) {
            trial_wait(w, &hanging[i]);
        }
        expect_problem(&hanging[i], PROBLEM_CONNECTION, "in time");
    }
    clock_shift(-3 * LONG_MS - VAL_TURN_MS);
    server_close(&silent);
    mem_free(hanging);
}

static void test_a_thousand_silent_targets(void **state)
{
    struct world *w = *state;

    expect_many_to_end(w, &w->tls, CHALLENGE_TLSALPN01);
}

int main(void)
{
#define ON_WORLD(test) cmocka_unit_test_setup_teardown(test, world_make, world_free)
    const struct CMUnitTest tests[] = {
        ON_WORLD(test_a_thousand_silent_targets), /* first: it measures memory */
        ON_WORLD(test_wrong_certificates),
        ON_WORLD(test_other_protocols),
        ON_WORLD(test_an_old_version),
        ON_WORLD(test_a_chain_of_many),
        ON_WORLD(test_no_tls),
        ON_WORLD(test_nobody_there),
        ON_WORLD(test_silence),
        ON_WORLD(test_a_stall_in_the_handshake),
        ON_WORLD(test_freed_in_every_state),
        ON_WORLD(test_the_right_certificate),
        ON_WORLD(test_ip_identifiers),
        ON_WORLD(test_silent_targets_hold_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
