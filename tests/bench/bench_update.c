/* TSIG-signed dynamic updates per second: so many senders, each with one update under way; each adds a record at a name that was never
 * there and takes the sender's last one away. Then how soon a change is seen: after every answered update of one more sender its name is
 * asked for until the record is there.
 *
 *   bench_update PORT ZONE KEY-NAME SECRET SECONDS SENDERS PREFIX
 * The key is HMAC-SHA256, the secret its base64. Prints updates/s, p50 and p99 of the answers, failures, and the slowest sight of a change. */
#include <arpa/inet.h>
#include <errno.h>
#include <ldns/ldns.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/util/clock.h"

#include "samples.h"

#define SENDERS_MAX 256
#define TRIES 5
#define FUDGE_S 300
#define NAME_CAP 300
#define SEEN_N 200
#define SEEN_DEADLINE_NS 5000000000

struct target {
    uint16_t port;
    const char *zone, *key_name, *secret, *prefix;
};

struct sender {
    const struct target *to;
    int number;
    int64_t end_ns;
    pthread_t thread;
    struct samples times;
    uint64_t failed;
    char why[100];
};

static struct err open_socket(const struct target *to, int *out)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    struct timeval patience = {.tv_sec = 3};

    (void)inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    *out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*out < 0 || connect(*out, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        setsockopt(*out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0) {
        FAIL(ERR_IO, "socket: %s", err_errno_text(errno));
    }
    return err_ok();
}

/* The wire form of a signed update that adds `owner` A 10.0.0.1; mem: LDNS_FREE(). */
static struct err build(const struct target *to, const char *owner, const char *before,
                        uint8_t **wire, size_t *len)
{
    ldns_rr *gone = NULL;
    char line[NAME_CAP + 40];
    ldns_rr *rr = NULL;
    ldns_rr_list *updates = ldns_rr_list_new();
    ldns_rdf *zone = ldns_dname_new_frm_str(to->zone);

    (void)snprintf(line, sizeof(line), "%s 60 IN A 10.0.0.1", owner);
    if (updates == NULL || zone == NULL ||
        ldns_rr_new_frm_str(&rr, line, 60, NULL, NULL) != LDNS_STATUS_OK) {
        FAIL(ERR_NOMEM, "cannot make the record %s", owner);
    }
    (void)ldns_rr_list_push_rr(updates, rr);
    if (before[0] != '\0') {
        (void)snprintf(line, sizeof(line), "%s 0 IN A 10.0.0.1", before);
        if (ldns_rr_new_frm_str(&gone, line, 0, NULL, NULL) != LDNS_STATUS_OK) {
            FAIL(ERR_NOMEM, "cannot make the record %s", before);
        }
        ldns_rr_set_class(gone, LDNS_RR_CLASS_NONE); /* RFC 2136 §2.5.4 */
        (void)ldns_rr_list_push_rr(updates, gone);
    }
    ldns_pkt *packet = ldns_update_pkt_new(zone, LDNS_RR_CLASS_IN, NULL, updates, NULL);
    if (packet == NULL) {
        FAIL(ERR_NOMEM, "cannot make an update");
    }
    ldns_pkt_set_random_id(packet);
    ldns_status status =
        ldns_pkt_tsig_sign(packet, to->key_name, to->secret, FUDGE_S, "hmac-sha256.", NULL);
    if (status == LDNS_STATUS_OK) {
        status = ldns_pkt2wire(wire, packet, len);
    }
    ldns_pkt_free(packet);
    ldns_rr_list_deep_free(updates);
    if (status != LDNS_STATUS_OK) {
        FAIL(ERR_INTERNAL, "update: %s", ldns_get_errorstr_by_id(status));
    }
    return err_ok();
}

/* Sends until answered; *rcode -1: nobody answered. */
static void exchange(int fd, const uint8_t *wire, size_t len, uint8_t *answer, size_t cap,
                     ssize_t *answer_len, int *rcode)
{
    *rcode = -1;
    for (int i = 0; i < TRIES; i++) {
        (void)send(fd, wire, len, 0);
        ssize_t n = recv(fd, answer, cap, 0);
        while (n >= 12 && memcmp(answer, wire, 2) != 0) { /* an answer to an earlier try */
            n = recv(fd, answer, cap, 0);
        }
        if (n >= 12) {
            *answer_len = n;
            *rcode = answer[3] & 0x0f;
            return;
        }
    }
}

static struct err update_once(struct sender *s, int fd, unsigned i, char owner[NAME_CAP])
{
    uint8_t answer[1500];
    uint8_t *wire = NULL;
    size_t len = 0;
    ssize_t n = 0;
    int rcode = 0;
    char before[NAME_CAP] = "";

    if (i > 0) {
        memcpy(before, owner, sizeof(before));
    }
    (void)snprintf(owner, NAME_CAP, "%s-%d-%u.%s.", s->to->prefix, s->number, i, s->to->zone);
    TRY(build(s->to, owner, before, &wire, &len));
    int64_t started = clock_mono_ns();
    exchange(fd, wire, len, answer, sizeof(answer), &n, &rcode);
    LDNS_FREE(wire);
    if (rcode != 0) {
        s->failed++;
        (void)snprintf(s->why, sizeof(s->why), "RCODE %d", rcode);
        return err_ok();
    }
    return record(&s->times, clock_mono_ns() - started);
}

static void *sender_main(void *arg)
{
    struct sender *s = arg;
    char owner[NAME_CAP] = "";
    int fd = -1;
    struct err e = open_socket(s->to, &fd);

    for (unsigned i = 0; e.code == ERR_OK && clock_mono_ns() < s->end_ns; i++) {
        e = update_once(s, fd, i, owner);
    }
    if (e.code != ERR_OK) {
        s->failed++;
        (void)snprintf(s->why, sizeof(s->why), "%.99s", err_trace()->text);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return NULL;
}

/* Asks for the A record until it is there. */
static struct err wait_seen(int fd, const char *owner, int64_t *took_ns)
{
    uint8_t answer[1500];
    uint8_t *wire = NULL;
    size_t len = 0;
    int64_t started = clock_mono_ns();
    ldns_pkt *query =
        ldns_pkt_query_new(ldns_dname_new_frm_str(owner), LDNS_RR_TYPE_A, LDNS_RR_CLASS_IN, 0);

    if (query == NULL || ldns_pkt2wire(&wire, query, &len) != LDNS_STATUS_OK) {
        FAIL(ERR_NOMEM, "cannot make a question");
    }
    ldns_pkt_free(query);
    bool is_seen = false;
    while (!is_seen && clock_mono_ns() - started < SEEN_DEADLINE_NS) {
        ssize_t n = 0;
        int rcode = 0;
        exchange(fd, wire, len, answer, sizeof(answer), &n, &rcode);
        is_seen = rcode == 0 && answer[7] == 1;
    }
    LDNS_FREE(wire);
    *took_ns = clock_mono_ns() - started;
    if (!is_seen) {
        FAIL(ERR_TIMEOUT, "%s was answered NOERROR and is not there", owner);
    }
    return err_ok();
}

static struct err sight(struct sender *s, struct samples *out)
{
    char owner[NAME_CAP] = "";
    int fd = -1;

    TRY(open_socket(s->to, &fd));
    struct err e = err_ok();
    for (unsigned i = 0; e.code == ERR_OK && i < SEEN_N; i++) {
        int64_t took = 0;
        e = update_once(s, fd, i, owner);
        if (e.code == ERR_OK) {
            e = wait_seen(fd, owner, &took);
        }
        if (e.code == ERR_OK) {
            e = record(out, took);
        }
    }
    (void)close(fd);
    return e;
}

static struct err run(const struct target *to, int seconds, int senders_n)
{
    static struct sender senders[SENDERS_MAX];
    struct sender one = {.to = to, .number = SENDERS_MAX};
    struct samples all = {.n = 0};
    struct samples seen = {.n = 0};
    uint64_t failed = 0;
    const char *why = "";

    int64_t started = clock_mono_ns();
    for (int i = 0; i < senders_n; i++) {
        senders[i].to = to;
        senders[i].number = i;
        senders[i].end_ns = started + (int64_t)seconds * 1000000000;
        if (pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]) != 0) {
            FAIL(ERR_IO, "cannot start a thread");
        }
    }
    for (int i = 0; i < senders_n; i++) {
        (void)pthread_join(senders[i].thread, NULL);
        for (size_t k = 0; k < senders[i].times.n; k++) {
            TRY(record(&all, (int64_t)senders[i].times.us[k] * 1000));
        }
        failed += senders[i].failed;
        why = senders[i].failed > 0 ? senders[i].why : why;
    }
    double took = (double)(clock_mono_ns() - started) / 1e9;
    TRY(sight(&one, &seen));
    qsort(all.us, all.n, sizeof(*all.us), compare);
    qsort(seen.us, seen.n, sizeof(*seen.us), compare);
    printf("%.0f updates/s p50 %.2f ms p99 %.2f ms failed %llu %s; seen after the answer: p50 %.3f "
           "ms slowest %.3f ms\n",
           (double)all.n / took, quantile_ms(&all, 0.5), quantile_ms(&all, 0.99),
           (unsigned long long)failed, why, quantile_ms(&seen, 0.5), quantile_ms(&seen, 1.0));
    return err_ok();
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        (void)fprintf(stderr,
                      "usage: bench_update PORT ZONE KEY-NAME SECRET SECONDS SENDERS PREFIX\n");
        return 2;
    }
    struct target to = {(uint16_t)strtoul(argv[1], NULL, 10), argv[2], argv[3], argv[4], argv[7]};
    int seconds = (int)strtol(argv[5], NULL, 10);
    int senders = (int)strtol(argv[6], NULL, 10);
    if (seconds < 1 || senders < 1 || senders > SENDERS_MAX) {
        (void)fprintf(stderr, "bench_update: 1 to %d senders, at least a second\n", SENDERS_MAX);
        return 2;
    }
    struct err e = run(&to, seconds, senders);
    if (e.code != ERR_OK) {
        (void)fprintf(stderr, "bench_update: %s\n", err_trace()->text);
        return 1;
    }
    return 0;
}
