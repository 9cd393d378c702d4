/* One question to one server: build, send, wait, check. Every byte of an answer is hostile. */
#include "dns/resolve_int.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/file.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define UDP_OFFER 1232
#define UDP_BUFFER 4096u
#define HEADER_LEN 12u
#define POLL_SLICE_MS 100 /* a clock that was moved is noticed this soon */
#define IGNORED_MAX 64    /* datagrams that are not our answer, before we give the server up */

struct question {
    ldns_rdf *name;
    uint16_t id;
    uint8_t *wire; /* ldns's memory */
    size_t wire_len;
};

static void question_clear(struct question *q)
{
    ldns_rdf_deep_free(q->name);
    LDNS_FREE(q->wire);
}

static void pkt_freep(ldns_pkt **pkt)
{
    ldns_pkt_free(*pkt);
}

static struct err build(const char *name, struct question *q)
{
    q->name = ldns_dname_new_frm_str(name);
    if (q->name == NULL) {
        FAIL(ERR_MALFORMED, "resolve: '%.100s' is not a DNS name", name);
    }
    TRY(random_bytes(&q->id, sizeof(q->id)));
    ldns_rdf *owner = ldns_rdf_clone(q->name);
    TRY_PTR(owner);
    AUTO(pkt_freep)
    ldns_pkt *pkt = ldns_pkt_query_new(owner, LDNS_RR_TYPE_TXT, LDNS_RR_CLASS_IN, LDNS_RD);
    if (pkt == NULL) {
        ldns_rdf_deep_free(owner);
        FAIL(ERR_NOMEM, "resolve: no memory for a query");
    }
    ldns_pkt_set_id(pkt, q->id);
    ldns_pkt_set_edns_udp_size(pkt, UDP_OFFER);
    if (ldns_pkt2wire(&q->wire, pkt, &q->wire_len) != LDNS_STATUS_OK) {
        FAIL(ERR_INTERNAL, "resolve: the query has no wire form");
    }
    return err_ok();
}

static bool is_our_answer(const struct question *q, const uint8_t *data, size_t len)
{
    return len >= HEADER_LEN && (data[0] << 8 | data[1]) == q->id && (data[2] & 0x80) != 0;
}

/* RFC 5452 §9.1: the question must be the one that was asked. */
static struct err parse(const struct question *q, const uint8_t *data, size_t len, ldns_pkt **out,
                        const char **why)
{
    AUTO(pkt_freep) ldns_pkt *pkt = NULL;

    *why = "an answer that cannot be read";
    if (ldns_wire2pkt(&pkt, data, len) != LDNS_STATUS_OK) {
        FAIL(ERR_MALFORMED, "resolve: %s", *why);
    }
    const ldns_rr_list *asked = ldns_pkt_question(pkt);
    const ldns_rr *rr = ldns_rr_list_rr_count(asked) == 1 ? ldns_rr_list_rr(asked, 0) : NULL;
    if (rr == NULL || ldns_pkt_get_opcode(pkt) != LDNS_PACKET_QUERY ||
        ldns_rr_get_type(rr) != LDNS_RR_TYPE_TXT || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
        ldns_dname_compare(ldns_rr_owner(rr), q->name) != 0) {
        *why = "an answer to another question";
        FAIL(ERR_MALFORMED, "resolve: %s", *why);
    }
    *out = MOVE(pkt);
    return err_ok();
}

static struct err wait_for(int fd, short events, int64_t deadline_ms, const char **why)
{
    struct pollfd p = {fd, events, 0};

    for (;;) {
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0) {
            *why = "no answer in time";
            FAIL(ERR_TIMEOUT, "resolve: %s", *why);
        }
        int n = poll(&p, 1, left > POLL_SLICE_MS ? POLL_SLICE_MS : (int)left);
        if (n > 0) {
            return err_ok();
        }
        if (n < 0 && errno != EINTR) {
            FAIL(ERR_IO, "resolve: poll: %s", err_errno_text(errno));
        }
    }
}

static const char *errno_phrase(int code)
{
    if (code == ECONNREFUSED || code == ECONNRESET) {
        return "nothing answers there (connection refused)";
    }
    return code == ENETUNREACH || code == EHOSTUNREACH ? "the network does not reach it"
                                                       : "a socket error";
}

static struct err fail_errno(int code, const char **why)
{
    *why = errno_phrase(code);
    FAIL(ERR_IO, "resolve: %s: %s", *why, err_errno_text(code));
}

/* Connected: the kernel picks a random source port and drops other peers' datagrams. The caller
 * closes *fd in every case. */
static struct err open_socket(const struct ip_endpoint *server, int type, int *fd, const char **why)
{
    struct sockaddr_storage sa;
    socklen_t sa_len = ip_endpoint_sockaddr(server, &sa);

    *fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        return fail_errno(errno, why);
    }
    if (connect(*fd, (const struct sockaddr *)&sa, sa_len) != 0 && errno != EINPROGRESS) {
        return fail_errno(errno, why);
    }
    return err_ok();
}

/* *is_cut: the answer was truncated, ask over TCP. */
static struct err ask_udp(const struct ip_endpoint *server, const struct question *q,
                          int64_t deadline_ms, ldns_pkt **out, bool *is_cut, const char **why)
{
    AUTO(file_closep) int fd = -1;
    uint8_t data[UDP_BUFFER];

    TRY(open_socket(server, SOCK_DGRAM, &fd, why));
    if (send(fd, q->wire, q->wire_len, MSG_NOSIGNAL) != (ssize_t)q->wire_len) {
        return fail_errno(errno, why);
    }
    for (int ignored = 0; ignored < IGNORED_MAX; ignored++) {
        TRY(wait_for(fd, POLLIN, deadline_ms, why));
        ssize_t n = recv(fd, data, sizeof(data), MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (n < 0) {
            return fail_errno(errno, why);
        }
        size_t len = (size_t)n > sizeof(data) ? sizeof(data) : (size_t)n;
        if (!is_our_answer(q, data, len)) {
            continue;
        }
        *is_cut = (data[2] & 0x02) != 0 || (size_t)n > sizeof(data);
        return *is_cut ? err_ok() : parse(q, data, len, out, why);
    }
    *why = "only answers to other questions";
    FAIL(ERR_MALFORMED, "resolve: %s", *why);
}

static struct err send_all(int fd, const uint8_t *data, size_t len, int64_t deadline_ms,
                           const char **why)
{
    while (len > 0) {
        TRY(wait_for(fd, POLLOUT, deadline_ms, why));
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return fail_errno(errno, why);
        }
        data += n > 0 ? (size_t)n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return err_ok();
}

static struct err recv_all(int fd, uint8_t *data, size_t len, int64_t deadline_ms, const char **why)
{
    while (len > 0) {
        TRY(wait_for(fd, POLLIN, deadline_ms, why));
        ssize_t n = recv(fd, data, len, 0);
        if (n == 0) {
            *why = "the connection was closed before the whole answer";
            FAIL(ERR_IO, "resolve: %s", *why);
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return fail_errno(errno, why);
        }
        data += n > 0 ? (size_t)n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return err_ok();
}

static struct err ask_tcp(const struct ip_endpoint *server, const struct question *q,
                          int64_t deadline_ms, ldns_pkt **out, const char **why)
{
    AUTO(file_closep) int fd = -1;
    uint8_t prefix[2] = {(uint8_t)(q->wire_len >> 8), (uint8_t)q->wire_len};

    TRY(open_socket(server, SOCK_STREAM, &fd, why));
    TRY(send_all(fd, prefix, sizeof(prefix), deadline_ms, why));
    TRY(send_all(fd, q->wire, q->wire_len, deadline_ms, why));
    TRY(recv_all(fd, prefix, sizeof(prefix), deadline_ms, why));
    size_t len = (size_t)prefix[0] << 8 | prefix[1];
    AUTO(mem_freep) uint8_t *data = mem_zalloc(len);
    TRY_PTR(data);
    TRY(recv_all(fd, data, len, deadline_ms, why));
    if (!is_our_answer(q, data, len)) {
        *why = "an answer to another question";
        FAIL(ERR_MALFORMED, "resolve: %s", *why);
    }
    return parse(q, data, len, out, why);
}

struct err resolve_ask(const struct ip_endpoint *server, const char *name, int64_t deadline_ms,
                       ldns_pkt **out, const char **why)
{
    AUTO(question_clear) struct question q = {NULL, 0, NULL, 0};
    bool is_cut = false;

    *why = "an internal failure";
    TRY(build(name, &q));
    TRY(ask_udp(server, &q, deadline_ms, out, &is_cut, why));
    return is_cut ? ask_tcp(server, &q, deadline_ms, out, why) : err_ok();
}
