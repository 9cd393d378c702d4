/* TLS: versions and suites, the certificate swapped under running connections. */
#include "core_http_live.h"

/* --- TLS --- */

struct tls_client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

/* The serial number of the server's certificate; -1 when the handshake fails. */
static long tls_open(struct tls_client *c, uint16_t port, int max_version, const char *ciphers)
{
    memset(c, 0, sizeof(*c));
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    assert_int_equal(SSL_CTX_set_max_proto_version(c->ctx, max_version), 1);
    if (ciphers != NULL) {
        SSL_CTX_set_security_level(c->ctx, 0);
        assert_int_equal(SSL_CTX_set_cipher_list(c->ctx, ciphers), 1);
    }
    c->fd = dial(port);
    c->ssl = SSL_new(c->ctx);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    if (SSL_connect(c->ssl) != 1) {
        return -1;
    }
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    assert_non_null(cert);
    long serial = ASN1_INTEGER_get(X509_get0_serialNumber(cert));
    X509_free(cert);
    return serial;
}

static void tls_close(struct tls_client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    (void)close(c->fd);
}

static void tls_ask(struct tls_client *c)
{
    static const char REQUEST[] = "GET /tell/x HTTP/1.1\r\nHost: a\r\n\r\n";
    char answer[4096];

    assert_true(SSL_write(c->ssl, REQUEST, (int)strlen(REQUEST)) > 0);
    size_t len = 0;
    answer[0] = '\0';
    while (strstr(answer, "basic=") == NULL) {
        int n = SSL_read(c->ssl, answer + len, (int)(sizeof(answer) - 1 - len));
        assert_true(n > 0);
        len += (size_t)n;
        answer[len] = '\0';
    }
    has(answer, "HTTP/1.1 200 ");
    has(answer, " on=1 ");
}

static void test_tls_versions(void **state)
{
    struct fixture *f = *state;
    struct tls_client c;

    assert_int_equal(tls_open(&c, f->tls_port, TLS1_1_VERSION, "ALL:@SECLEVEL=0"), -1);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA"), -1);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_2_VERSION, NULL), 1);
    assert_string_equal(SSL_get_cipher_name(c.ssl), "ECDHE-ECDSA-AES128-GCM-SHA256");
    tls_ask(&c);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_3_VERSION, NULL), 1);
    assert_string_equal(SSL_get_version(c.ssl), "TLSv1.3");
    tls_ask(&c);
    tls_ask(&c); /* kept alive */
    tls_close(&c);
}

static void test_tls_reload(void **state)
{
    struct fixture *f = *state;
    struct tls_client old;
    struct tls_client new;
    AUTO(free_pair) struct pair second = make_pair(2);
    const struct http_tls good = {second.cert, second.key};
    const struct http_tls mixed = {second.cert, f->first.key};
    char nothing[] = "";
    char noise[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const struct http_tls empty = {nothing, second.key};
    const struct http_tls broken_cert = {noise, second.key};
    const struct http_tls no_key = {second.cert, nothing};

    assert_int_equal(tls_open(&old, f->tls_port, TLS1_3_VERSION, NULL), 1);
    assert_int_equal(http_tls_reload(f->server, &mixed).code, ERR_CONFIG);
    has(err_trace()->text, "does not belong");
    assert_int_equal(http_tls_reload(f->server, &empty).code, ERR_CONFIG);
    assert_int_equal(http_tls_reload(f->server, &broken_cert).code, ERR_CONFIG);
    assert_int_equal(http_tls_reload(f->server, &no_key).code, ERR_CONFIG);
    assert_int_equal(tls_open(&new, f->tls_port, TLS1_3_VERSION, NULL), 1); /* the old one stays */
    tls_close(&new);

    assert_int_equal(http_tls_reload(f->server, &good).code, ERR_OK);
    assert_int_equal(tls_open(&new, f->tls_port, TLS1_3_VERSION, NULL), 2);
    tls_ask(&new);
    tls_ask(&old);
    tls_close(&new);
    tls_close(&old);
}

static void test_tls_noise(void **state)
{
    struct fixture *f = *state;
    struct tls_client c;
    char answer[ANSWER_MAX];
    int fd = dial(f->tls_port);

    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)shutdown(fd, SHUT_WR);
    hear(fd, answer, TO_END, 1);
    has_not(answer, "HTTP/1.1 200");
    (void)close(fd);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_3_VERSION, NULL), 1);
    tls_close(&c);
}

static void test_tls_needs_certificate(void **state)
{
    const struct http_bind bind = {HTTP_ON_TLS, {{4, {127, 0, 0, 1}}, 0}, NULL};
    struct http_server *server = NULL;

    (void)state;
    assert_int_equal(bind_only(&bind, &server), ERR_OK);
    assert_int_equal(http_server_start(server, NULL).code, ERR_CONFIG);
    http_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tls_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_noise, setup, teardown),
        cmocka_unit_test(test_tls_needs_certificate),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
