/* http-01 against servers that answer right, wrong, slowly, endlessly and not at all. */
#include "val_world.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define RIGHT                                                                                      \
    OK_HEAD "Content-Type: application/octet-stream\r\nContent-Length: "                           \
            "87\r\n\r\n" KEY_AUTHORIZATION

static void fetch(struct world *w, struct trial *trial, const char *name, const char *text)
{
    w->web.answer = answer_text;
    w->web.text = text;
    trial_run(w, trial, name, CHALLENGE_HTTP01);
}

/* --- answers ----------------------------------------------------------------------------------- */

static const char *const RIGHT_ANSWERS[] = {
    RIGHT,
    OK_HEAD "\r\n" KEY_AUTHORIZATION,
    OK_HEAD "\r\n" KEY_AUTHORIZATION "\n",
    OK_HEAD "\r\n" KEY_AUTHORIZATION " \t\r\n\v\f\r\n",
    "HTTP/1.0 200 Fine\n\n" KEY_AUTHORIZATION,
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2b\r\n" TOKEN "\r\n1\r\n.\r\n2b;x=y\r\n" THUMBPRINT
            "\r\n0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "\r\n" KEY_AUTHORIZATION,
    OK_HEAD "Content-Encoding: gzip\r\n\r\n" KEY_AUTHORIZATION, /* nothing is decoded */
    OK_HEAD "Location: http://127.0.0.1:22/\r\n\r\n" KEY_AUTHORIZATION,
    OK_HEAD "Set-Cookie: a=b\r\nWWW-Authenticate: Basic realm=x\r\n\r\n" KEY_AUTHORIZATION,
};

static void test_right_answers(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(RIGHT_ANSWERS); i++) {
        struct trial trial;
        fetch(w, &trial, "web.svc.test", RIGHT_ANSWERS[i]);
        expect_valid(&trial);
        assert_int_equal(w->web.requests_n, i + 1);
    }
}

static void test_the_request(void **state)
{
    struct world *w = *state;
    struct trial trial;
    char host[64];

    (void)setenv("http_proxy", "http://127.0.0.1:1/", 1);
    (void)setenv("ALL_PROXY", "socks5://127.0.0.1:1/", 1);
    fetch(w, &trial, "web.svc.test", RIGHT);
    (void)unsetenv("http_proxy");
    (void)unsetenv("ALL_PROXY");
    expect_valid(&trial);
    assert_ptr_equal(
        strstr(w->web.request, "GET /.well-known/acme-challenge/" TOKEN " HTTP/1.1\r\n"),
        w->web.request);
    (void)snprintf(host, sizeof(host), "\r\nHost: web.svc.test:%u\r\n", (unsigned)w->web.port);
    assert_non_null(strstr(w->web.request, host));
    assert_non_null(strstr(w->web.request, "\r\nUser-Agent: Bailiwick/" BW_VERSION "\r\n"));
    assert_null(strstr(w->web.request, "Cookie"));
    assert_null(strstr(w->web.request, "Authorization"));
    assert_null(strstr(w->web.request, "Accept-Encoding"));
}

static const struct {
    const char *text;
    enum problem_type type;
    const char *why;
} WRONG_ANSWERS[] = {
    {OK_HEAD "\r\n" TOKEN, PROBLEM_INCORRECT_RESPONSE, "'" TOKEN "' (43 bytes) instead of"},
    {OK_HEAD "\r\n", PROBLEM_INCORRECT_RESPONSE, "'' (0 bytes)"},
    {OK_HEAD "\r\n" TOKEN "." TOKEN, PROBLEM_INCORRECT_RESPONSE, "(87 bytes)"},
    {OK_HEAD "\r\n " KEY_AUTHORIZATION, PROBLEM_INCORRECT_RESPONSE, "(88 bytes)"},
    {OK_HEAD "\r\n" KEY_AUTHORIZATION "x", PROBLEM_INCORRECT_RESPONSE, "(88 bytes)"},
    {OK_HEAD "\r\n<p>\"\x1b[2J\\\xc3\xa4", PROBLEM_INCORRECT_RESPONSE,
     "'<p>?"
     "?[2J"
     "?"
     "?"
     "?'"},
    {"HTTP/1.1 404 Not Found\r\n\r\n" KEY_AUTHORIZATION, PROBLEM_UNAUTHORIZED, "status 404"},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 404"},
    {"HTTP/1.1 204 No Content\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 204"},
    {"HTTP/1.1 206 Partial\r\n\r\n" KEY_AUTHORIZATION, PROBLEM_UNAUTHORIZED, "status 206"},
    {"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", PROBLEM_UNAUTHORIZED,
     "status 401"},
    {"HTTP/1.1 302 Found\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 302"},
    {"HTTP/1.1 300 Choose\r\nLocation: /x\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 300"},
    {"HTTP/1.1 304 Same\r\nLocation: /x\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 304"},
    {KEY_AUTHORIZATION, PROBLEM_INCORRECT_RESPONSE, "HTTP/1.1"}, /* HTTP/0.9 */
    {"SSH-2.0-OpenSSH_9.2p1\r\n", PROBLEM_INCORRECT_RESPONSE, "HTTP/1.1"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" KEY_AUTHORIZATION, PROBLEM_CONNECTION,
     "ended the connection"},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n" TOKEN, PROBLEM_CONNECTION,
     "ended the connection"},
    {"HTTP/1.1 200 OK\r\nContent-Le", PROBLEM_INCORRECT_RESPONSE, "'' (0 bytes)"},
    {"", PROBLEM_CONNECTION, "ended the connection"},
};

static void test_wrong_answers(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(WRONG_ANSWERS); i++) {
        struct trial trial;
        fetch(w, &trial, "web.svc.test", WRONG_ANSWERS[i].text);
        expect_problem(&trial, WRONG_ANSWERS[i].type, WRONG_ANSWERS[i].why);
    }
}

static void answer_long(struct server *s, const char *request, struct buf *out)
{
    (void)request;
    buf_puts(out, OK_HEAD "\r\n" KEY_AUTHORIZATION);
    for (size_t n = strlen(KEY_AUTHORIZATION); n < (size_t)s->text[0] * 1024; n++) {
        buf_putc(out, ' ');
    }
}

static void test_the_longest_body(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_long;
    w->web.text = "\x08"; /* KiB: the limit itself */
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_valid(&trial);
    w->web.text = "\x09";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "more than 8192 bytes");
}

static void answer_endless(struct server *s, const char *request, struct buf *out)
{
    (void)request;
    s->is_endless = true;
    buf_puts(out, s->text);
    for (size_t n = 0; n < 65536; n++) {
        buf_putc(out, 'x');
    }
}

static void test_gigabytes(void **state)
{
    static const struct {
        const char *text;
        enum problem_type type;
        const char *why;
    } CASES[] = {
        {OK_HEAD "\r\n", PROBLEM_INCORRECT_RESPONSE, "more than 8192 bytes"},
        {OK_HEAD "Content-Length: 5000000000\r\n\r\n", PROBLEM_INCORRECT_RESPONSE, "8192"},
        {"HTTP/1.1 404 Not Found\r\n\r\n", PROBLEM_UNAUTHORIZED, "status 404"},
        {OK_HEAD "A: ", PROBLEM_INCORRECT_RESPONSE, "header of more than 16384 bytes"},
        {"GIGA", PROBLEM_INCORRECT_RESPONSE, "HTTP/1.1"},
    };
    struct world *w = *state;

    w->web.answer = answer_endless;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct trial trial;
        w->web.text = CASES[i].text;
        trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
        expect_problem(&trial, CASES[i].type, CASES[i].why);
    }
}

static void answer_headers(struct server *s, const char *request, struct buf *out)
{
    (void)request;
    buf_puts(out, s->text);
    for (unsigned i = 0; i < 2000; i++) {
        buf_printf(out, s->text[9] == '1' ? "\r\nHTTP/1.1 100 Continue\r\n" : "H%u: v\r\n", i);
    }
    buf_puts(out, "\r\n" KEY_AUTHORIZATION);
}

static void test_a_header_flood(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_headers;
    w->web.text = OK_HEAD;
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "header of more than 16384 bytes");
    w->web.text = "HTTP/1.1 100 Continue\r\n"; /* and 2,000 more of them */
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "header of more than 16384 bytes");
}

static void answer_long_line(struct server *s, const char *request, struct buf *out)
{
    (void)request;
    buf_puts(out, s->text);
    for (unsigned i = 0; i < 400000; i++) {
        buf_putc(out, 'x');
    }
    buf_puts(out, "\r\n\r\n" KEY_AUTHORIZATION);
}

static void test_a_line_that_does_not_end(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_long_line;
    w->web.text = OK_HEAD "A: ";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "header of more than 16384 bytes");
    w->web.text = "HTTP/1.1 200 ";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "header of more than 16384 bytes");
}

/* --- redirects --------------------------------------------------------------------------------- */

/* "GET /N" leads to /N-1, 0 is the answer. */
static void answer_chain(struct server *s, const char *request, struct buf *out)
{
    unsigned n = 0;

    if (sscanf(request, "GET /.well-known/%*s HTTP/1.1") == EOF ||
        sscanf(request, "GET /%u ", &n) != 1) {
        n = (unsigned)s->text[0];
    }
    if (n == 0) {
        buf_puts(out, RIGHT);
    } else {
        buf_printf(out, "HTTP/1.1 302 Found\r\nLocation: /%u\r\n\r\n<p>", n - 1);
    }
}

static void test_chains_of_redirects(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_chain;
    w->web.text = "\x0a";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_valid(&trial);
    assert_int_equal(w->web.requests_n, 11);
    w->web.text = "\x0b";
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "after 10 redirects");
    assert_int_equal(w->web.requests_n, 22);
}

static void test_redirects_in_a_circle(void **state)
{
    struct world *w = *state;
    struct trial trial;

    fetch(w, &trial, "web.svc.test", "HTTP/1.1 301 Moved\r\nLocation: ?x\r\n\r\n");
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "after 10 redirects");
    assert_int_equal(w->web.requests_n, 11);
}

static const struct {
    const char *location;
    enum problem_type type;
    const char *why;
} BAD_REDIRECTS[] = {
    {"http://web.svc.test:22/", PROBLEM_INCORRECT_RESPONSE, "port 22"},
    {"http://web.svc.test:8080/", PROBLEM_INCORRECT_RESPONSE, "port 8080"},
    {"https://web.svc.test:0/", PROBLEM_INCORRECT_RESPONSE, "port 0"},
    {"http://web.svc.test:65616/", PROBLEM_INCORRECT_RESPONSE, "no URL"}, /* 80 modulo 65536 */
    {"ftp://web.svc.test/x", PROBLEM_INCORRECT_RESPONSE, "not 'ftp'"},
    {"file:///etc/passwd", PROBLEM_INCORRECT_RESPONSE, "not 'file'"},
    {"gopher://web.svc.test:80/_x", PROBLEM_INCORRECT_RESPONSE, "not 'gopher'"},
    {"javascript:alert(1)", PROBLEM_INCORRECT_RESPONSE, "no URL"},
    {"http://user@web.svc.test/", PROBLEM_INCORRECT_RESPONSE, "user name"},
    {"http://user:pass@web.svc.test/", PROBLEM_INCORRECT_RESPONSE, "user name"},
    {"http://:pass@web.svc.test/", PROBLEM_INCORRECT_RESPONSE, "user name"},
    {"http://:80/x", PROBLEM_INCORRECT_RESPONSE, "no URL"},
    {"http://[fe80::1%25eth0]/", PROBLEM_INCORRECT_RESPONSE, "zone index"},
    {"http://w\xc3\xa4.svc.test/", PROBLEM_INCORRECT_RESPONSE, "characters"},
    {"http://169.254.169.254/latest/", PROBLEM_CONNECTION, "link-local"},
    {"http://0xa9.0xfe.0xa9fe/", PROBLEM_CONNECTION, "169.254.169.254:80: it is a link-local"},
    {"http://2851995648/", PROBLEM_CONNECTION, "169.254.0.0:80: it is a link-local"},
    {"http://[fe80::1]/", PROBLEM_CONNECTION, "link-local"},
    {"http://[::ffff:169.254.1.1]/", PROBLEM_CONNECTION, "link-local"},
    {"https://0.0.0.0/", PROBLEM_CONNECTION, "unspecified"},
    {"http://224.0.0.1/", PROBLEM_CONNECTION, "multicast"},
    {"http://x.link.test/", PROBLEM_CONNECTION, "169.254.7.7:80: it is a link-local"},
    {"http://x.bare.test/", PROBLEM_DNS, "no IPv4 or IPv6 address of x.bare.test"},
};

static void test_bad_redirects(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(BAD_REDIRECTS); i++) {
        struct trial trial;
        char text[300];
        (void)snprintf(text, sizeof(text), "HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n",
                       BAD_REDIRECTS[i].location);
        fetch(w, &trial, "web.svc.test", text);
        expect_problem(&trial, BAD_REDIRECTS[i].type, BAD_REDIRECTS[i].why);
        assert_int_equal(w->web.requests_n, i + 1);
    }
}

static void answer_long_location(struct server *s, const char *request, struct buf *out)
{
    (void)s;
    (void)request;
    buf_puts(out, "HTTP/1.1 302 Found\r\nLocation: /");
    for (unsigned i = 0; i < 4000; i++) {
        buf_putc(out, 'x');
    }
    buf_puts(out, "\r\n\r\n");
}

static void test_a_redirect_that_is_too_long(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_long_location;
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_INCORRECT_RESPONSE, "more than 2000 characters");
}

/* By every status that redirects; the host's upper case, dot and fragment mean nothing. */
static void test_good_redirects(void **state)
{
    static const char *const STATUSES[] = {"301 A", "302 B", "303 C", "307 D", "308 E"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(STATUSES); i++) {
        struct trial trial;
        struct server other;
        char text[300];
        server_open(&other, w->loop, "127.0.0.1");
        other.answer = answer_text;
        other.text = RIGHT;
        w->cfg->acme.tls_port = other.port; /* a port that is followed, whatever speaks there */
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 %s\r\nlocation:  http://OTHER.svc.test.:%u/a b?c#d\r\n\r\n",
                       STATUSES[i], (unsigned)other.port);
        fetch(w, &trial, "web.svc.test", text);
        expect_valid(&trial);
        assert_ptr_equal(strstr(other.request, "GET /a%20b?c HTTP/1.1\r\n"), other.request);
        server_close(&other);
    }
}

static SSL_CTX *make_tls(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    assert_true(tls != NULL && key != NULL && cert != NULL);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -7200));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), -3600)); /* expired, and no name */
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return tls;
}

static void redirect_to_tls(struct world *w, struct trial *trial)
{
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 302 Found\r\nLocation: https://web.svc.test:%u/t\r\n\r\n",
                   (unsigned)w->tls.port);
    fetch(w, trial, "web.svc.test", text);
}

static void test_a_redirect_to_https(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->tls.tls = make_tls();
    w->tls.answer = answer_text;
    w->tls.text = RIGHT;
    redirect_to_tls(w, &trial);
    expect_valid(&trial);
    assert_int_equal(w->tls.requests_n, 1);
    w->tls.text = "HTTP/1.1 403 No\r\n\r\n";
    redirect_to_tls(w, &trial);
    expect_problem(&trial, PROBLEM_UNAUTHORIZED, "status 403");
}

static void test_a_redirect_to_https_without_tls(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->tls.closes_at_once = true;
    redirect_to_tls(w, &trial);
    expect_problem(&trial, PROBLEM_TLS, "TLS failed");
}

/* --- addresses --------------------------------------------------------------------------------- */

static void test_the_next_address_after_a_refused_one(void **state)
{
    struct world *w = *state;
    struct trial trial;

    fetch(w, &trial, "web.both.test", RIGHT); /* nobody listens at [::1] */
    assert_non_null(strstr(buf_str(&trial.trail), "[::1]:"));
    expect_valid(&trial);
}

static void test_ipv6_is_first(void **state)
{
    struct world *w = *state;
    struct trial trial;
    struct server six;

    memset(&six, 0, sizeof(six));
    six.loop = w->loop;
    (void)listen_on("[::1]", w->web.port, &six.fd);
    assert_int_equal(loop_fd_add(w->loop, &six.watch, six.fd, EPOLLIN, server_accept, &six).code,
                     ERR_OK);
    six.answer = answer_text;
    six.text = RIGHT;
    fetch(w, &trial, "web.both.test", "HTTP/1.1 404 No\r\n\r\n");
    expect_valid(&trial);
    assert_int_equal(w->web.accepted_n, 0);
    six.text = "HTTP/1.1 404 No\r\n\r\n"; /* an answer, right or wrong, ends the attempt */
    fetch(w, &trial, "web.both.test", RIGHT);
    expect_problem(&trial, PROBLEM_UNAUTHORIZED, "(at [::1]:");
    assert_int_equal(w->web.accepted_n, 0);
    server_close(&six);
}

static void test_ip_identifiers(void **state)
{
    struct world *w = *state;
    struct trial trial;
    struct server six;
    char host[64];

    fetch(w, &trial, "127.0.0.1", RIGHT);
    expect_valid(&trial);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", (unsigned)w->web.port);
    assert_non_null(strstr(w->web.request, host));
    server_open(&six, w->loop, "[::1]");
    six.answer = answer_text;
    six.text = RIGHT;
    w->cfg->acme.http_port = six.port;
    trial_run(w, &trial, "::1", CHALLENGE_HTTP01);
    expect_valid(&trial);
    (void)snprintf(host, sizeof(host), "\r\nHost: [::1]:%u\r\n",
                   (unsigned)six.port); /* RFC 8738 §4 */
    assert_non_null(strstr(six.request, host));
    server_close(&six);
}

static void test_nobody_there(void **state)
{
    struct world *w = *state;
    struct trial trial;

    server_close(&w->web);
    trial_run(w, &trial, "web.both.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_CONNECTION, "Connection refused");
    trial_run(w, &trial, "web.link.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_CONNECTION, "it is a link-local address");
    trial_run(w, &trial, "web.bare.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_DNS, "needs an address record");
    trial_run(w, &trial, "web.elsewhere.example", CHALLENGE_HTTP01); /* no resolver */
    expect_problem(&trial, PROBLEM_DNS, "web.elsewhere.example");
    w->cfg->acme.allow_n = 0;
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_CONNECTION, "it is a loopback address");
}

static void test_closed_at_once(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.closes_at_once = true;
    trial_run(w, &trial, "web.svc.test", CHALLENGE_HTTP01);
    expect_problem(&trial, PROBLEM_CONNECTION, "ended the connection");
}

/* --- time -------------------------------------------------------------------------------------- */

static void wait_for_request(struct world *w, const struct server *s, size_t n)
{
    while (s->requests_n < n) {
        (void)loop_run_once(w->loop, 1000);
    }
}

static void test_silence_ends_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct trial trial;

    trial_init(&trial, "web.svc.test", CHALLENGE_HTTP01);
    trial_start(w, &trial);
    while (w->web.accepted_n == 0) {
        (void)loop_run_once(w->loop, 1000);
    }
    clock_shift(DEADLINE_MS);
    trial_wait(w, &trial);
    clock_shift(-DEADLINE_MS);
    expect_problem(&trial, PROBLEM_CONNECTION, "sent no whole answer in time");
}

static void test_a_drip_ends_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct trial trial;

    w->web.answer = answer_text;
    w->web.text = RIGHT;
    w->web.drips = true;
    trial_init(&trial, "web.svc.test", CHALLENGE_HTTP01);
    trial_start(w, &trial);
    wait_for_request(w, &w->web, 1);
    for (unsigned i = 0; i < 20; i++) { /* some bytes of it */
        clock_shift(100);
        (void)loop_run_once(w->loop, 0);
    }
    assert_int_equal(trial.done_n, 0);
    clock_shift(DEADLINE_MS);
    trial_wait(w, &trial);
    clock_shift(-DEADLINE_MS - 2000);
    expect_problem(&trial, PROBLEM_CONNECTION, "sent no whole answer in time");
}

static void test_a_drip_that_ends_in_time(void **state)
{
    struct world *w = *state;
    struct trial trial;
    int64_t shifted_ms = 0;

    w->web.answer = answer_text;
    w->web.text = OK_HEAD "\r\n" KEY_AUTHORIZATION;
    w->web.drips = true;
    trial_init(&trial, "web.svc.test", CHALLENGE_HTTP01);
    trial_start(w, &trial);
    wait_for_request(w, &w->web, 1);
    for (; trial.done_n == 0; shifted_ms += 100) {
        clock_shift(100);
        (void)loop_run_once(w->loop, 0);
    }
    trial_wait(w, &trial);
    clock_shift(-shifted_ms);
    expect_valid(&trial);
}

/* An address whose listener's queue is full does not answer: the next one is tried after a while. */
static void test_an_address_that_does_not_answer(void **state)
{
    struct world *w = *state;
    struct trial trial;
    int fd = -1;
    int fill[8];
    struct sockaddr_storage sa;
    struct ip_endpoint ep = {.addr = {.family = 6, .bytes = {[15] = 1}}, .port = w->web.port};
    socklen_t len = ip_endpoint_sockaddr(&ep, &sa);

    (void)listen_on("[::1]", w->web.port, &fd);
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < ARRAY_N(fill); i++) {
        fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fill[i], (struct sockaddr *)&sa, len);
    }
    w->web.answer = answer_text;
    w->web.text = RIGHT;
    trial_init(&trial, "web.both.test", CHALLENGE_HTTP01);
    trial_start(w, &trial);
    for (unsigned i = 0; i < 20; i++) {
        (void)loop_run_once(w->loop, 1);
    }
    assert_int_equal(trial.done_n, 0);
    clock_shift(VAL_CONNECT_MS);
    trial_wait(w, &trial);
    clock_shift(-VAL_CONNECT_MS);
    assert_non_null(strstr(buf_str(&trial.trail), "]:"));
    assert_non_null(strstr(buf_str(&trial.trail), "no answer to the connection attempt in time"));
    expect_valid(&trial);
    for (size_t i = 0; i < ARRAY_N(fill); i++) {
        (void)close(fill[i]);
    }
    (void)close(fd);
}

static void test_freed_in_every_state(void **state)
{
    struct world *w = *state;
    static struct trial trials[4];

    for (size_t i = 0; i < ARRAY_N(trials); i++) {
        trial_init(&trials[i], i == 0 ? "web.elsewhere.example" : "web.svc.test", CHALLENGE_HTTP01);
        trial_start(w, &trials[i]);
        if (i == 1) {
            while (w->web.accepted_n == 0) {
                (void)loop_run_once(w->loop, 1000);
            }
        }
    }
    val_net_free(w->net);
    w->net = NULL;
    for (unsigned i = 0; i < 10; i++) {
        (void)loop_run_once(w->loop, 1);
    }
    for (size_t i = 1; i < ARRAY_N(trials); i++) {
        assert_int_equal(trials[i].done_n, 0);
        buf_clear(&trials[i].trail);
    }
    buf_clear(&trials[0].trail);
}

/* --- many -------------------------------------------------------------------------------------- */

static void test_a_thousand_redirects_to_silence(void **state)
{
    struct world *w = *state;
    char text[200];

    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 302 Found\r\nLocation: https://web.svc.test:%u/t\r\n\r\n",
                   (unsigned)w->tls.port);
    w->web.answer = answer_text;
    w->web.text = text;
    expect_many_to_end(w, &w->tls, CHALLENGE_HTTP01);
}

static void test_a_thousand_silent_targets(void **state)
{
    struct world *w = *state;

    expect_many_to_end(w, &w->web, CHALLENGE_HTTP01);
}

int main(void)
{
#define ON_WORLD(test) cmocka_unit_test_setup_teardown(test, world_make, world_free)
    const struct CMUnitTest tests[] = {
        ON_WORLD(test_a_thousand_silent_targets), /* first: it measures memory */
        ON_WORLD(test_a_thousand_redirects_to_silence),
        ON_WORLD(test_wrong_answers),
        ON_WORLD(test_the_longest_body),
        ON_WORLD(test_gigabytes),
        ON_WORLD(test_a_header_flood),
        ON_WORLD(test_a_line_that_does_not_end),
        ON_WORLD(test_bad_redirects),
        ON_WORLD(test_a_redirect_that_is_too_long),
        ON_WORLD(test_redirects_in_a_circle),
        ON_WORLD(test_chains_of_redirects),
        ON_WORLD(test_a_redirect_to_https_without_tls),
        ON_WORLD(test_nobody_there),
        ON_WORLD(test_closed_at_once),
        ON_WORLD(test_silence_ends_at_the_deadline),
        ON_WORLD(test_a_drip_ends_at_the_deadline),
        ON_WORLD(test_freed_in_every_state),
        ON_WORLD(test_right_answers),
        ON_WORLD(test_the_request),
        ON_WORLD(test_good_redirects),
        ON_WORLD(test_a_redirect_to_https),
        ON_WORLD(test_the_next_address_after_a_refused_one),
        ON_WORLD(test_ipv6_is_first),
        ON_WORLD(test_ip_identifiers),
        ON_WORLD(test_a_drip_that_ends_in_time),
        ON_WORLD(test_an_address_that_does_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
