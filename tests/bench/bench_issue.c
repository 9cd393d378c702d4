/* Issuances per second of an ACME server, by dns-01 or http-01; dns-01 also while other validations hang.
 *
 * One issuance = existing account, kept TLS connections, newOrder (a wildcard never ordered before), authorization,
 * publish the TXT value (or answer over HTTP), challenge, finalize, download. Polls, as a good client does, only where an answer is not final.
 * Names are new every time, so that no authorization is reused. */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <jansson.h>

#include "core/util/clock.h"

#include "crypto.h"
#include "https.h"
#include "responder.h"
#include "samples.h"

#define CLIENTS_MAX 1024
#define NONCE_TRIES 20
#define POLL_FIRST_MS 5
#define POLL_LONGEST_MS 500
#define POLL_DEADLINE_MS 30000
#define FAILURES_IN_A_ROW_MAX 20
#define FAILURES_SHOWN_MAX 5

enum step {
    STEP_ORDER,
    STEP_AUTHORIZATION,
    STEP_PUBLISH,
    STEP_CHALLENGE,
    STEP_CHALLENGE_POLL,
    STEP_FINALIZE,
    STEP_ORDER_POLL,
    STEP_DOWNLOAD,
    STEP_ALL,
    STEPS_N
};
static const char *const STEP_NAMES[STEPS_N] = {"newOrder",      "authorization",     "publish",
                                                "challenge",     "(challenge polls)", "finalize",
                                                "(order polls)", "download",          "all"};

enum mode { MODE_BAILIWICK, MODE_PEBBLE };

struct options {
    const char *directory, *ca, *publish_url, *user, *password, *zone, *save;
    int clients, seconds;
    int http_port; /* http-01 instead of dns-01: where the server's validator connects; 0 = dns-01 */
    int pending;   /* so many http-01 validations hang on http_port while dns-01 is measured */
    long count;
    enum mode mode;
};

struct endpoints {
    char new_nonce[URL_MAX], new_account[URL_MAX], new_order[URL_MAX];
};

struct run {
    struct options opt;
    struct endpoints ends;
    SSL_CTX *tls;
    char tag[9]; /* of this run, in every name */
    char basic[512];
    struct responder responder;
    struct client *clients;
    atomic_long left; /* --count */
    atomic_int shown;
    atomic_bool is_started;
    int64_t end_ns;
};

struct client {
    struct run *run;
    int number;
    struct signing_key account, key;
    struct conn acme, door;
    char nonce[128], kid[URL_MAX];
    struct reply reply;
    struct samples steps[STEPS_N];
    int64_t step_ns[STEPS_N];
    long done, failed, bad_nonces;
    unsigned long names;
    char *last_chain;
};

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text == NULL ? "" : text;
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static struct err fresh_nonce(struct client *c)
{
    if (c->nonce[0] == '\0') {
        TRY(conn_request(&c->acme, "HEAD", c->run->ends.new_nonce, NULL, NULL, NULL, &c->reply));
        memcpy(c->nonce, c->reply.nonce, sizeof(c->nonce));
    }
    if (c->nonce[0] == '\0') {
        FAIL(ERR_MALFORMED, "the server gave no nonce");
    }
    return err_ok();
}

static bool is_bad_nonce(const struct reply *r)
{
    return r->status == 400 && strstr(buf_str(&r->body), "badNonce") != NULL;
}

/* A signed POST, again with the fresh nonce after badNonce (RFC 8555 §6.5). The reply is in c->reply. */
static struct err post(struct client *c, const char *url, const char *payload)
{
    for (int i = 0; i < NONCE_TRIES; i++) {
        AUTO(buf_clear) struct buf jws = BUF_INIT(BODY_MAX);
        TRY(fresh_nonce(c));
        TRY(make_jws(&c->account, c->kid[0] == '\0' ? NULL : c->kid, c->nonce, url, payload, &jws));
        c->nonce[0] = '\0';
        TRY(conn_request(&c->acme, "POST", url, NULL, "application/jose+json", buf_str(&jws),
                         &c->reply));
        memcpy(c->nonce, c->reply.nonce, sizeof(c->nonce));
        if (!is_bad_nonce(&c->reply)) {
            break;
        }
        c->bad_nonces++;
    }
    if (c->reply.status < 200 || c->reply.status > 299) {
        FAIL(ERR_REJECTED, "%s: %d %.300s", url, c->reply.status, buf_str(&c->reply.body));
    }
    return err_ok();
}

static struct err post_json(struct client *c, const char *url, const char *payload, json_t **out)
{
    TRY(post(c, url, payload));
    *out = json_loadb(buf_str(&c->reply.body), c->reply.body.len, 0, NULL);
    if (*out == NULL) {
        FAIL(ERR_MALFORMED, "%s: the reply is not JSON", url);
    }
    return err_ok();
}

static bool is_open(const json_t *object)
{
    const char *status = text_of(object, "status");
    return strcmp(status, "pending") == 0 || strcmp(status, "processing") == 0;
}

/* Until the object is no longer pending or processing. *object is replaced. */
static struct err poll_until_final(struct client *c, const char *url, json_t **object)
{
    long wait_ms = POLL_FIRST_MS;
    int64_t deadline = clock_mono_ms() + POLL_DEADLINE_MS;

    while (is_open(*object)) {
        if (clock_mono_ms() > deadline) {
            FAIL(ERR_TIMEOUT, "%s stays %s", url, text_of(*object, "status"));
        }
        sleep_ms(wait_ms);
        wait_ms = wait_ms * 2 > POLL_LONGEST_MS ? POLL_LONGEST_MS : wait_ms * 2;
        json_decrefp(object);
        TRY(post_json(c, url, NULL, object));
    }
    if (strcmp(text_of(*object, "status"), "valid") != 0) {
        FAIL(ERR_REJECTED, "%s is %s: %.300s", url, text_of(*object, "status"),
             buf_str(&c->reply.body));
    }
    return err_ok();
}

static void mark(struct client *c, enum step step, int64_t *since)
{
    int64_t now = clock_mono_ns();
    c->step_ns[step] = now - *since;
    *since = now;
}

static struct err publish(struct client *c, const char *name, const char *token)
{
    char authorization[512];
    uint8_t digest[SHA256_LEN];
    char value[SHA256_B64_LEN + 1];
    char body[1024];
    bool is_pebble = c->run->opt.mode == MODE_PEBBLE;

    (void)snprintf(authorization, sizeof(authorization), "%s.%s", token, c->account.thumbprint);
    TRY(sha256(authorization, strlen(authorization), digest));
    base64url_encode(digest, sizeof(digest), value);
    (void)snprintf(body, sizeof(body), "{\"%s\":\"_acme-challenge.%s.\",\"value\":\"%s\"}",
                   is_pebble ? "host" : "fqdn", name, value);
    TRY(conn_request(&c->door, "POST", c->run->opt.publish_url, is_pebble ? NULL : c->run->basic,
                     "application/json", body, &c->reply));
    if (c->reply.status != 200) {
        FAIL(ERR_REJECTED, "publish: %d %.200s", c->reply.status, buf_str(&c->reply.body));
    }
    return err_ok();
}

static bool is_http(const struct run *run)
{
    return run->opt.http_port != 0 && run->opt.pending == 0;
}

static struct err find_challenge(const json_t *authorization, const char *type, char url[URL_MAX],
                                 char token[256])
{
    size_t i = 0;
    const json_t *challenge = NULL;

    json_array_foreach(json_object_get(authorization, "challenges"), i, challenge)
    {
        if (strcmp(text_of(challenge, "type"), type) == 0) {
            (void)snprintf(url, URL_MAX, "%s", text_of(challenge, "url"));
            (void)snprintf(token, 256, "%s", text_of(challenge, "token"));
            return err_ok();
        }
    }
    FAIL(ERR_NOT_FOUND, "no %s challenge", type);
}

static struct err prove(struct client *c, const char *url, const char *name, int64_t *since)
{
    char challenge_url[URL_MAX];
    char token[256];
    AUTO(json_decrefp) json_t *authorization = NULL;
    AUTO(json_decrefp) json_t *challenge = NULL;

    TRY(post_json(c, url, NULL, &authorization));
    TRY(find_challenge(authorization, is_http(c->run) ? "http-01" : "dns-01", challenge_url,
                       token));
    mark(c, STEP_AUTHORIZATION, since);
    if (!is_http(c->run)) {
        TRY(publish(c, name, token));
    }
    mark(c, STEP_PUBLISH, since);
    TRY(post_json(c, challenge_url, "{}", &challenge));
    mark(c, STEP_CHALLENGE, since);
    if (strcmp(text_of(challenge, "status"), "valid") != 0) {
        TRY(poll_until_final(c, url, &authorization));
    }
    mark(c, STEP_CHALLENGE_POLL, since);
    return err_ok();
}

static struct err finalize(struct client *c, const char *url, const char *order_url,
                           const char *wildcard, json_t **order, int64_t *since)
{
    AUTO(buf_clear) struct buf csr = BUF_INIT(4096);
    AUTO(buf_clear) struct buf payload = BUF_INIT(8192);

    TRY(make_csr(&c->key, wildcard, &csr));
    buf_puts(&payload, "{\"csr\":\"");
    TRY(put_base64url(&payload, csr.data, csr.len));
    buf_puts(&payload, "\"}");
    json_decrefp(order);
    TRY(post_json(c, url, buf_str(&payload), order));
    mark(c, STEP_FINALIZE, since);
    TRY(poll_until_final(c, order_url, order));
    mark(c, STEP_ORDER_POLL, since);
    return err_ok();
}

static struct err download(struct client *c, const char *url)
{
    TRY(post(c, url, NULL));
    const char *pem = buf_str(&c->reply.body);
    if (strncmp(pem, "-----BEGIN CERTIFICATE-----\n", 28) != 0 ||
        strstr(pem + 28, "-----BEGIN CERTIFICATE-----\n") == NULL) {
        FAIL(ERR_MALFORMED, "%s is not a chain", url);
    }
    mem_free(c->last_chain);
    c->last_chain = mem_strdup(pem);
    TRY_PTR(c->last_chain);
    return err_ok();
}

static struct err issue(struct client *c)
{
    char name[256];
    char wildcard[260];
    char payload[512];
    char order_url[URL_MAX];
    char finalize_url[URL_MAX];
    int64_t begin = clock_mono_ns();
    int64_t since = begin;
    AUTO(json_decrefp) json_t *order = NULL;

    (void)snprintf(name, sizeof(name), "h%lu.c%d.%s.%.180s", c->names++, c->number, c->run->tag,
                   c->run->opt.zone);
    (void)snprintf(wildcard, sizeof(wildcard), "%s%s", is_http(c->run) ? "" : "*.", name);
    (void)snprintf(payload, sizeof(payload),
                   "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}]}", wildcard);
    TRY(post_json(c, c->run->ends.new_order, payload, &order));
    memcpy(order_url, c->reply.location, sizeof(order_url));
    (void)snprintf(finalize_url, sizeof(finalize_url), "%s", text_of(order, "finalize"));
    mark(c, STEP_ORDER, &since);
    const json_t *first = json_array_get(json_object_get(order, "authorizations"), 0);
    if (json_string_value(first) == NULL) {
        FAIL(ERR_MALFORMED, "the order has no authorization");
    }
    TRY(prove(c, json_string_value(first), name, &since));
    TRY(finalize(c, finalize_url, order_url, wildcard, &order, &since));
    TRY(download(c, text_of(order, "certificate")));
    mark(c, STEP_DOWNLOAD, &since);
    c->step_ns[STEP_ALL] = since - begin;
    for (int i = 0; i < STEPS_N; i++) {
        TRY(record(&c->steps[i], c->step_ns[i]));
    }
    return err_ok();
}

/* An order whose http-01 challenge is started and hangs: nobody reads what the validator sends. */
static struct err hang(struct client *c)
{
    char payload[512];
    char challenge_url[URL_MAX];
    char token[256];
    AUTO(json_decrefp) json_t *order = NULL;
    AUTO(json_decrefp) json_t *authorization = NULL;

    (void)snprintf(payload, sizeof(payload),
                   "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"hang%lu.c%d.%s.%.180s\"}]}",
                   c->names++, c->number, c->run->tag, c->run->opt.zone);
    TRY(post_json(c, c->run->ends.new_order, payload, &order));
    const char *url =
        json_string_value(json_array_get(json_object_get(order, "authorizations"), 0));
    if (url == NULL) {
        FAIL(ERR_MALFORMED, "the order has no authorization");
    }
    TRY(post_json(c, url, NULL, &authorization));
    TRY(find_challenge(authorization, "http-01", challenge_url, token));
    return post(c, challenge_url, "{}");
}

static struct err new_account(struct client *c)
{
    TRY(post(c, c->run->ends.new_account, "{\"termsOfServiceAgreed\":true}"));
    memcpy(c->kid, c->reply.location, sizeof(c->kid));
    if (c->kid[0] == '\0') {
        FAIL(ERR_MALFORMED, "the new account has no URL");
    }
    return err_ok();
}

static struct err prepare(struct client *c, struct run *run, int number)
{
    c->run = run;
    c->number = number;
    c->acme = (struct conn){.tls = run->tls, .fd = -1};
    c->door = c->acme;
    buf_init(&c->reply.body, BODY_MAX);
    TRY(signing_key_make(&c->account));
    TRY(signing_key_make(&c->key));
    return new_account(c);
}

static bool may_go_on(struct run *run)
{
    if (run->opt.count > 0) {
        return atomic_fetch_sub(&run->left, 1) > 0;
    }
    return clock_mono_ns() < run->end_ns;
}

static void *work(void *arg)
{
    struct client *c = arg;
    int in_a_row = 0;

    while (!atomic_load(&c->run->is_started)) {
        sleep_ms(1);
    }
    while (in_a_row < FAILURES_IN_A_ROW_MAX && may_go_on(c->run)) {
        struct err e = issue(c);
        if (e.code == ERR_OK) {
            c->done++;
            in_a_row = 0;
            continue;
        }
        c->failed++;
        in_a_row++;
        if (atomic_fetch_add(&c->run->shown, 1) < FAILURES_SHOWN_MAX) {
            (void)fprintf(stderr, "client %d: %s\n", c->number, err_trace()->text);
        }
        c->nonce[0] = '\0';
        conn_close(&c->acme);
        conn_close(&c->door);
    }
    return NULL;
}

static struct err merge(const struct client *clients, int n, enum step step, struct samples *out)
{
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < clients[i].steps[step].n; k++) {
            TRY(record(out, (int64_t)clients[i].steps[step].us[k] * 1000));
        }
    }
    if (out->n > 0) {
        qsort(out->us, out->n, sizeof(*out->us), compare);
    }
    return err_ok();
}

static struct err report(const struct run *run, const struct client *clients, double elapsed_s,
                         double cpu_s)
{
    struct samples all[STEPS_N] = {0};
    long failed = 0;
    long bad_nonces = 0;
    const struct samples *whole = &all[STEP_ALL];

    for (int i = 0; i < run->opt.clients; i++) {
        failed += clients[i].failed;
        bad_nonces += clients[i].bad_nonces;
    }
    for (int i = 0; i < STEPS_N; i++) {
        TRY(merge(clients, run->opt.clients, (enum step)i, &all[i]));
    }
    printf("clients %d  issued %zu  failed %ld  badNonce retries %ld  in %.2f s\n",
           run->opt.clients, whole->n, failed, bad_nonces, elapsed_s);
    printf("issuances/s %.1f\n", (double)whole->n / elapsed_s);
    printf("latency ms  p50 %.1f  p90 %.1f  p99 %.1f  max %.1f\n", quantile_ms(whole, 0.5),
           quantile_ms(whole, 0.9), quantile_ms(whole, 0.99), quantile_ms(whole, 1.0));
    printf("driver CPU s %.2f\n", cpu_s);
    printf("step medians ms ");
    for (int i = 0; i < STEP_ALL; i++) {
        printf(" %s %.2f", STEP_NAMES[i], quantile_ms(&all[i], 0.5));
    }
    printf("\n");
    for (int i = 0; i < STEPS_N; i++) {
        mem_free(all[i].us);
    }
    return err_ok();
}

static struct err save_chain(const struct run *run, const struct client *clients)
{
    for (int i = 0; run->opt.save != NULL && i < run->opt.clients; i++) {
        if (clients[i].last_chain == NULL) {
            continue;
        }
        FILE *file = fopen(run->opt.save, "w");
        if (file == NULL || fputs(clients[i].last_chain, file) < 0 || fclose(file) != 0) {
            FAIL(ERR_IO, "%s cannot be written", run->opt.save);
        }
        return err_ok();
    }
    return err_ok();
}

static struct err read_directory(struct run *run)
{
    struct conn c = {.tls = run->tls, .fd = -1};
    struct reply r = {0};
    AUTO(json_decrefp) json_t *dir = NULL;

    struct err e = conn_request(&c, "GET", run->opt.directory, NULL, NULL, NULL, &r);
    conn_close(&c);
    if (e.code == ERR_OK) {
        dir = json_loadb(buf_str(&r.body), r.body.len, 0, NULL);
    }
    buf_clear(&r.body);
    TRY(e);
    if (dir == NULL || text_of(dir, "newOrder")[0] == '\0') {
        FAIL(ERR_MALFORMED, "%s is not an ACME directory", run->opt.directory);
    }
    (void)snprintf(run->ends.new_nonce, URL_MAX, "%s", text_of(dir, "newNonce"));
    (void)snprintf(run->ends.new_account, URL_MAX, "%s", text_of(dir, "newAccount"));
    (void)snprintf(run->ends.new_order, URL_MAX, "%s", text_of(dir, "newOrder"));
    return err_ok();
}

static struct err setup(struct run *run)
{
    uint8_t tag[4];
    char pair[256];
    AUTO(buf_clear) struct buf basic = BUF_INIT(sizeof(run->basic) - 1);

    run->tls = SSL_CTX_new(TLS_client_method());
    TRY_PTR(run->tls);
    TRY_OSSL(SSL_CTX_load_verify_locations(run->tls, run->opt.ca, NULL));
    SSL_CTX_set_verify(run->tls, SSL_VERIFY_PEER, NULL);
    TRY(random_bytes(tag, sizeof(tag)));
    hex_encode(tag, sizeof(tag), run->tag);
    if (run->opt.user != NULL && run->opt.password != NULL) {
        (void)snprintf(pair, sizeof(pair), "%s:%s", run->opt.user, run->opt.password);
        buf_puts(&basic, "Authorization: Basic ");
        base64_encode(&basic, pair, strlen(pair));
        buf_puts(&basic, "\r\n");
        TRY(buf_check(&basic));
        memcpy(run->basic, basic.data, basic.len + 1);
    }
    return read_directory(run);
}

static const char *thumbprint_of(void *ctx, int n)
{
    const struct run *run = ctx;

    return n < 0 || n >= run->opt.clients ? NULL : run->clients[n].account.thumbprint;
}

static struct err measure(struct run *run, struct client *clients)
{
    pthread_t threads[CLIENTS_MAX];
    int started = 0;

    for (int i = 0; i < run->opt.clients; i++) {
        TRY(prepare(&clients[i], run, i));
    }
    run->clients = clients;
    if (run->opt.http_port != 0) {
        TRY(responder_start(&run->responder, run->opt.http_port, run->opt.pending > 0));
    }
    for (int i = 0; i < run->opt.pending; i++) {
        TRY(hang(&clients[i % run->opt.clients]));
    }
    if (run->opt.pending > 0) {
        printf("%d http-01 validations hang\n", run->opt.pending);
    }
    while (started < run->opt.clients &&
           pthread_create(&threads[started], NULL, work, &clients[started]) == 0) {
        started++;
    }
    double cpu_before = cpu_seconds();
    int64_t begin = clock_mono_ns();
    run->end_ns = begin + (int64_t)run->opt.seconds * 1000000000;
    atomic_store(&run->left, run->opt.count);
    atomic_store(&run->is_started, true);
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double elapsed_s = (double)(clock_mono_ns() - begin) / 1e9;
    TRY(report(run, clients, elapsed_s, cpu_seconds() - cpu_before));
    return save_chain(run, clients);
}

static void clients_clear(struct client *clients, int n)
{
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[i];
        if (c->run == NULL) {
            continue;
        }
        conn_close(&c->acme);
        conn_close(&c->door);
        buf_clear(&c->reply.body);
        signing_key_clear(&c->account);
        signing_key_clear(&c->key);
        mem_free(c->last_chain);
        for (int k = 0; k < STEPS_N; k++) {
            mem_free(c->steps[k].us);
        }
    }
    mem_free(clients);
}

static int usage(void)
{
    (void)fprintf(
        stderr,
        "bench_issue --directory URL --ca FILE [--publish-url URL] [--mode bailiwick|pebble]\n"
        "            [--user NAME --password SECRET] [--zone svc.test] [--clients 8]\n"
        "            [--seconds 10 | --count N] [--save FILE]\n"
        "            [--http-port PORT [--pending N]]: http-01, answered on PORT; or dns-01 while "
        "N\n"
        "            http-01 validations hang on PORT\n");
    return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option LONG[] = {
        {"directory", 1, NULL, 'd'}, {"ca", 1, NULL, 'a'},       {"publish-url", 1, NULL, 'p'},
        {"user", 1, NULL, 'u'},      {"password", 1, NULL, 'w'}, {"zone", 1, NULL, 'z'},
        {"clients", 1, NULL, 'c'},   {"seconds", 1, NULL, 's'},  {"count", 1, NULL, 'n'},
        {"mode", 1, NULL, 'm'},      {"save", 1, NULL, 'o'},     {"http-port", 1, NULL, 'h'},
        {"pending", 1, NULL, 'q'},   {NULL, 0, NULL, 0}};
    int ch = 0;

    *o = (struct options){.zone = "svc.test", .clients = 8, .seconds = 10};
    while ((ch = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        switch (ch) {
        case 'd':
            o->directory = optarg;
            break;
        case 'a':
            o->ca = optarg;
            break;
        case 'p':
            o->publish_url = optarg;
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'w':
            o->password = optarg;
            break;
        case 'z':
            o->zone = optarg;
            break;
        case 'c':
            o->clients = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            o->seconds = (int)strtol(optarg, NULL, 10);
            break;
        case 'n':
            o->count = strtol(optarg, NULL, 10);
            break;
        case 'm':
            o->mode = strcmp(optarg, "pebble") == 0 ? MODE_PEBBLE : MODE_BAILIWICK;
            break;
        case 'o':
            o->save = optarg;
            break;
        case 'h':
            o->http_port = (int)strtol(optarg, NULL, 10);
            break;
        case 'q':
            o->pending = (int)strtol(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return o->directory != NULL && o->ca != NULL &&
           (o->publish_url != NULL || (o->http_port != 0 && o->pending == 0)) &&
           o->http_port >= 0 && o->http_port < 65536 && o->pending >= 0 && optind == argc &&
           o->clients >= 1 && o->clients <= CLIENTS_MAX && o->seconds >= 1 && o->count >= 0;
}

int main(int argc, char **argv)
{
    struct run run = {.responder = {.fd = -1, .thumbprint = thumbprint_of}};

    run.responder.ctx = &run;
    if (!parse(argc, argv, &run.opt)) {
        return usage();
    }
    struct client *clients = mem_array((size_t)run.opt.clients, sizeof(*clients));
    if (clients == NULL) {
        return 1;
    }
    struct err e = setup(&run);
    if (e.code == ERR_OK) {
        e = measure(&run, clients);
    }
    if (e.code != ERR_OK) {
        (void)fprintf(stderr, "bench_issue: %s\n", err_trace()->text);
    }
    responder_stop(&run.responder);
    clients_clear(clients, run.opt.clients);
    SSL_CTX_free(run.tls);
    return e.code == ERR_OK ? 0 : 1;
}
