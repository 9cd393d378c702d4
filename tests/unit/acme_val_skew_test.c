/* A peer's clock that is far from ours: told in the trail, and no reason for anything. */
#include "val_world.h"

#include "tlsalpn_maker.h"

static void must_trail(const struct trial *trial, const char *part)
{
    if (strstr(buf_str(&trial->trail), part) == NULL) {
        fail_msg("no '%s' in: %s", part, buf_str(&trial->trail));
    }
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" of ahead_s from now. RFC 9110 §5.6.7 */
static void put_date(struct buf *out, int64_t ahead_s)
{
    time_t at = (time_t)(clock_unix_s() + ahead_s);
    struct tm parts;
    char text[64];

    assert_non_null(gmtime_r(&at, &parts));
    assert_true(strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
    buf_puts(out, text);
}

static void test_date_header(void **state)
{
    static const struct {
        const char *before; /* of the date */
        int64_t ahead;
        const char *after;
        const char *says; /* NULL: nothing */
    } CASES[] = {
        {"Date: ", 0, "", NULL},
        {"Date: ", -50, "", NULL},
        {"X-Date: ", -400, "", NULL},
        {"Date: never, ", 0, " or so\r\nX: ", NULL},
        {"Date: \r\nX: ", 0, "", NULL},
        {"Date: Thu, 99 Foo 2020 00:00:00 GMT\r\nX: ", 0, "", NULL},
        {"Date: ", -330, "", "; its clock is 5 min behind ours; the key authorization"},
        {"date:", 3 * 3600 + 30, "", "; its clock is 3 h ahead of ours; the key authorization"},
        {"Date: Wed, 01 Jan 2020 00:00:00 GMT\r\nDate: ", 0, "", "days behind ours"},
        {"Date: Sunday, 06-Nov-94 08:49:37 GMT\r\nX: ", 0, "", "days behind ours"},
        {"Date: Sun Nov  6 08:49:37 1994\r\nX: ", 0, "", "days behind ours"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct buf text = BUF_INIT(2048);
        struct trial trial;
        buf_printf(&text, "HTTP/1.1 200 OK\r\n%s", CASES[i].before);
        put_date(&text, CASES[i].ahead);
        buf_printf(&text, "%s\r\n\r\n" KEY_AUTHORIZATION, CASES[i].after);
        w->web.answer = answer_text;
        w->web.text = buf_str(&text);
        trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
        if (CASES[i].says != NULL) {
            must_trail(&trial, CASES[i].says);
        } else if (strstr(buf_str(&trial.trail), "clock") != NULL) {
            fail_msg("case %zu: %s", i, buf_str(&trial.trail));
        }
        expect_valid(&trial);
        buf_clear(&text);
    }
}

/* With a failure, too. */
static void test_date_of_a_failure(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_text;
    w->web.text = "HTTP/1.1 404 No\r\nDate: Wed, 01 Jan 2020 00:00:00 GMT\r\n\r\n";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    must_trail(&trial, "days behind ours; status 404");
    assert_int_equal(trial.result.type, PROBLEM_UNAUTHORIZED);
    buf_clear(&trial.trail);
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    assert_true(in_len > 1);
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void serve(struct server *server, int64_t from)
{
    static const struct cert_spec right = {0};
    uint8_t digest[SHA256_LEN];
    EVP_PKEY *key = make_ec_key();

    assert_int_equal(sha256(KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION), digest).code, ERR_OK);
    X509 *cert = make_tlsalpn_cert(&right, key, "DNS:web.svc.test", digest);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), from));
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    SSL_CTX_free(server->tls);
    server->tls = SSL_CTX_new(TLS_server_method());
    assert_non_null(server->tls);
    assert_int_equal(SSL_CTX_use_certificate(server->tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->tls, key), 1);
    SSL_CTX_set_alpn_select_cb(server->tls, on_alpn, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_certificate_of_tomorrow(void **state)
{
    static const struct {
        int64_t from;
        const char *says;
    } CASES[] = {
        {-30 * 86400, NULL},
        {0, NULL},
        {50, NULL},
        {330, "; its clock (by the start of its certificate) is 5 min ahead of ours; TLS with"},
        {3 * 86400 + 30, "certificate) is 3 days ahead of ours"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct trial trial;
        serve(&w->tls, CASES[i].from);
        trial_run(w, &trial, "web.svc.test", CHALLENGE_TLSALPN01);
        if (CASES[i].says != NULL) {
            must_trail(&trial, CASES[i].says);
        } else if (strstr(buf_str(&trial.trail), "clock") != NULL) {
            fail_msg("case %zu: %s", i, buf_str(&trial.trail));
        }
        expect_valid(&trial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_date_header, world_make, world_free),
        cmocka_unit_test_setup_teardown(test_date_of_a_failure, world_make, world_free),
        cmocka_unit_test_setup_teardown(test_certificate_of_tomorrow, world_make, world_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
