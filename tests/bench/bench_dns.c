/* Latency of a DNS server under load: so many questions outstanding over UDP, from one thread, the questions of a file in turn (a line:
 * NAME TYPE, A or TXT). A question that is not answered within a second counts as lost and is replaced.
 *
 *   bench_dns PORT FILE SECONDS SOCKETS OUTSTANDING
 * Prints: answers/s, p50, p99, p99.9, lost. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/buf.h"
#include "core/util/clock.h"
#include "core/util/file.h"
#include "core/util/name.h"

#include "samples.h"

#define SOCKETS_MAX 64
#define OUTSTANDING_MAX 64
#define QUERY_MAX 300
#define BATCH 32
#define LOST_NS 1000000000
#define SWEEP_NS 200000000

struct question {
    uint8_t wire[QUERY_MAX];
    size_t len;
};

struct run {
    struct question *questions;
    size_t n, next;
    int fds[SOCKETS_MAX];
    int sockets;
    int outstanding;
    int64_t sent_ns[SOCKETS_MAX][OUTSTANDING_MAX];
    uint16_t ids[SOCKETS_MAX][OUTSTANDING_MAX]; /* slot in the low bits, a round in the high ones */
    struct samples times;
    uint64_t answers, lost, refused;
};

static struct err add_question(struct run *r, const char *line)
{
    char name[NAME_TEXT_MAX + 1];
    char type[8];

    if (sscanf(line, "%253s %7s", name, type) != 2) {
        return err_ok();
    }
    if ((r->n & (r->n - 1)) == 0) {
        struct question *grown =
            mem_resize(r->questions, (r->n == 0 ? 1 : r->n * 2) * sizeof(*grown));
        TRY_PTR(grown);
        r->questions = grown;
    }
    struct question *q = &r->questions[r->n];
    static const uint8_t opt[] = {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0};
    size_t len = QUERY_MAX - 12;
    memset(q, 0, sizeof(*q));
    TRY(name_to_wire(name, q->wire + 12, &len));
    q->wire[5] = 1;  /* QDCOUNT */
    q->wire[11] = 1; /* ARCOUNT */
    uint8_t *p = q->wire + 12 + len;
    p[1] = strcmp(type, "TXT") == 0 ? 16 : 1;
    p[3] = 1;
    memcpy(p + 4, opt, sizeof(opt));
    q->len = 12 + len + 4 + sizeof(opt);
    r->n++;
    return err_ok();
}

static struct err read_questions(struct run *r, const char *path)
{
    char line[400];
    FILE *in = fopen(path, "re");

    if (in == NULL) {
        FAIL(ERR_IO, "%s: %s", path, err_errno_text(errno));
    }
    struct err e = err_ok();
    while (e.code == ERR_OK && fgets(line, sizeof(line), in) != NULL) {
        e = add_question(r, line);
    }
    (void)fclose(in);
    TRY(e);
    if (r->n == 0) {
        FAIL(ERR_MALFORMED, "%s holds no questions", path);
    }
    return err_ok();
}

static void ask(struct run *r, int socket, int slot)
{
    struct question *q = &r->questions[r->next++ % r->n];

    r->ids[socket][slot] = (uint16_t)(r->ids[socket][slot] + OUTSTANDING_MAX);
    q->wire[0] = (uint8_t)(r->ids[socket][slot] >> 8);
    q->wire[1] = (uint8_t)r->ids[socket][slot];
    r->sent_ns[socket][slot] = clock_mono_ns();
    (void)send(r->fds[socket], q->wire, q->len, MSG_DONTWAIT);
}

static struct err take(struct run *r, int socket, const uint8_t *wire, size_t len)
{
    if (len < 12) {
        return err_ok();
    }
    unsigned id = (unsigned)wire[0] << 8 | wire[1];
    int slot = (int)(id % OUTSTANDING_MAX);
    if (slot >= r->outstanding || r->ids[socket][slot] != id) {
        return err_ok();
    }
    TRY(record(&r->times, clock_mono_ns() - r->sent_ns[socket][slot]));
    r->answers++;
    r->refused += (wire[3] & 0x0f) != 0;
    ask(r, socket, slot);
    return err_ok();
}

static struct err drain(struct run *r, int socket)
{
    uint8_t data[BATCH][1500];
    struct iovec iov[BATCH];
    struct mmsghdr in[BATCH];

    memset(in, 0, sizeof(in));
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){data[i], sizeof(data[i])};
        in[i].msg_hdr.msg_iov = &iov[i];
        in[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(r->fds[socket], in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        TRY(take(r, socket, data[i], in[i].msg_len));
    }
    return err_ok();
}

static void sweep(struct run *r, int64_t now)
{
    for (int s = 0; s < r->sockets; s++) {
        for (int k = 0; k < r->outstanding; k++) {
            if (now - r->sent_ns[s][k] > LOST_NS) {
                r->lost++;
                ask(r, s, k);
            }
        }
    }
}

static struct err open_sockets(struct run *r, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    (void)inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int s = 0; s < r->sockets; s++) {
        r->fds[s] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (r->fds[s] < 0 || connect(r->fds[s], (struct sockaddr *)&to, sizeof(to)) != 0) {
            FAIL(ERR_IO, "socket: %s", err_errno_text(errno));
        }
        for (int k = 0; k < r->outstanding; k++) {
            r->ids[s][k] = (uint16_t)k;
        }
    }
    return err_ok();
}

static struct err load(struct run *r, int seconds)
{
    struct pollfd watch[SOCKETS_MAX];
    int64_t started = clock_mono_ns();
    int64_t end = started + (int64_t)seconds * 1000000000;
    int64_t swept = started;

    for (int s = 0; s < r->sockets; s++) {
        watch[s] = (struct pollfd){r->fds[s], POLLIN, 0};
        for (int k = 0; k < r->outstanding; k++) {
            ask(r, s, k);
        }
    }
    for (int64_t now = started; now < end; now = clock_mono_ns()) {
        (void)poll(watch, (nfds_t)r->sockets, 100);
        for (int s = 0; s < r->sockets; s++) {
            if (watch[s].revents != 0) {
                TRY(drain(r, s));
            }
        }
        if (now - swept > SWEEP_NS) {
            sweep(r, now);
            swept = now;
        }
    }
    double took = (double)(clock_mono_ns() - started) / 1e9;
    qsort(r->times.us, r->times.n, sizeof(*r->times.us), compare);
    printf("%.0f answers/s p50 %.3f ms p99 %.3f ms p99.9 %.3f ms lost %llu not-NOERROR %llu\n",
           (double)r->answers / took, quantile_ms(&r->times, 0.5), quantile_ms(&r->times, 0.99),
           quantile_ms(&r->times, 0.999), (unsigned long long)r->lost,
           (unsigned long long)r->refused);
    return err_ok();
}

static bool number(const char *text, int max, int *out)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);

    *out = (int)n;
    return *end == '\0' && n >= 1 && n <= max;
}

int main(int argc, char **argv)
{
    static struct run r;
    int port = 0;
    int seconds = 0;

    if (argc != 6 || !number(argv[1], 65535, &port) || !number(argv[3], 3600, &seconds) ||
        !number(argv[4], SOCKETS_MAX, &r.sockets) ||
        !number(argv[5], OUTSTANDING_MAX, &r.outstanding)) {
        (void)fprintf(stderr, "usage: bench_dns PORT FILE SECONDS SOCKETS OUTSTANDING\n");
        return 2;
    }
    struct err e = read_questions(&r, argv[2]);
    if (e.code == ERR_OK) {
        e = open_sockets(&r, (uint16_t)port);
    }
    if (e.code == ERR_OK) {
        e = load(&r, seconds);
    }
    if (e.code != ERR_OK) {
        (void)fprintf(stderr, "bench_dns: %s\n", err_trace()->text);
        return 1;
    }
    return 0;
}
