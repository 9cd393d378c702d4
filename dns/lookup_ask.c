/* One question to the resolvers, one after the other: over UDP, and TCP when the answer is cut. */
#include "dns/lookup_int.h"

#include <errno.h>
#include <ifaddrs.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define ROUNDS 2u /* over all resolvers: one datagram may get lost */
#define UDP_BUFFER 4096u
#define IGNORED_MAX 64u /* datagrams that are not our answer, before we give the server up */

static void ask_next(struct lookup *lookup);
static void on_udp(void *arg, uint32_t events);
static void on_tcp(void *arg, uint32_t events);

/* --- which servers ---------------------------------------------------------------------------- */

static bool is_any(const struct ip_addr *ip)
{
    const struct ip_addr any = {ip->family, {0}};

    return ip_equal(ip, &any);
}

static bool is_local(const struct ip_addr *ip)
{
    struct ifaddrs *list = NULL;
    bool is_found =
        is_any(ip) || (ip->family == 4 && ip->bytes[0] == 127); /* all of 127.0.0.0/8 is here */

    if (is_found || getifaddrs(&list) != 0) {
        return is_found;
    }
    for (const struct ifaddrs *at = list; at != NULL && !is_found; at = at->ifa_next) {
        if (at->ifa_addr != NULL) {
            struct ip_addr here = ip_from_sockaddr(at->ifa_addr);
            is_found = ip_equal(&here, ip);
        }
    }
    freeifaddrs(list);
    return is_found;
}

static bool is_own(const struct resolve_config *config, const struct ip_endpoint *server)
{
    for (size_t i = 0; i < config->own_n; i++) {
        const struct ip_endpoint *own = &config->own[i];
        if (own->port != server->port || own->addr.family != server->addr.family) {
            continue;
        }
        if (ip_equal(&own->addr, &server->addr) ||
            (is_any(&own->addr) && is_local(&server->addr))) {
            return true;
        }
    }
    return false;
}

bool lookup_resolver(const struct resolve_config *config, size_t index, struct ip_endpoint *out)
{
    for (size_t i = 0; i < config->resolvers_n; i++) {
        if (is_own(config, &config->resolvers[i])) {
            continue;
        }
        if (index == 0) {
            *out = config->resolvers[i];
            return true;
        }
        index--;
    }
    return false;
}

/* The next one in order; a second round only when somebody stayed silent. */
static bool pick(struct lookup *lookup, struct ip_endpoint *out)
{
    const struct resolve_config *config = lookup->owner->config;

    if (lookup->is_at) {
        *out = lookup->at;
        return true;
    }
    for (;;) {
        while (lookup->resolver < config->resolvers_n) {
            const struct ip_endpoint *server = &config->resolvers[lookup->resolver++];
            if (!is_own(config, server)) {
                *out = *server;
                return true;
            }
        }
        if (!lookup->was_silent || ++lookup->round >= ROUNDS) {
            return false;
        }
        lookup->was_silent = false;
        lookup->resolver = 0;
    }
}

/* --- one try ---------------------------------------------------------------------------------- */

static const char *errno_phrase(int code)
{
    if (code == ECONNREFUSED || code == ECONNRESET) {
        return "nothing answers there (connection refused)";
    }
    return code == ENETUNREACH || code == EHOSTUNREACH ? "the network does not reach it"
                                                       : "a socket error";
}

/* No more sockets, ports or memory: that is no word about the name, nor about its servers. */
static bool is_own_fault(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM || code == EAGAIN;
}

static const char *own_failure(struct lookup *lookup)
{
    lookup->chase.is_unasked = true;
    return "this server has no more sockets or memory";
}

static const char *socket_failure(struct lookup *lookup, int code)
{
    return is_own_fault(code) ? own_failure(lookup) : errno_phrase(code);
}

static void say_asked(struct lookup *lookup, const char *what)
{
    char text[IP_TEXT_MAX + 10];

    ip_endpoint_text(&lookup->try.server, text);
    chase_say(&lookup->chase, "asked %s%s for %s %s: %s", text, lookup->try.is_tcp ? " (TCP)" : "",
              lookup_type_name(lookup->chase.type), lookup->chase.end, what);
}

static void close_socket(struct lookup *lookup)
{
    struct lookup_try *try = &lookup->try;

    loop_fd_remove(lookup->owner->loop, &try->watch);
    if (try->fd >= 0) {
        (void)close(try->fd);
        try->fd = -1;
    }
    mem_free(try->data);
    try->data = NULL;
}

void lookup_ask_stop(struct lookup *lookup)
{
    close_socket(lookup);
}

static void give_up(struct lookup *lookup, const char *why)
{
    say_asked(lookup, why);
    close_socket(lookup);
    ask_next(lookup);
}

static void on_time(void *arg)
{
    struct lookup *lookup = arg;

    lookup->was_silent = true;
    give_up(lookup,
            lookup->try.ignored_n > 0 ? "only answers to other questions" : "no answer in time");
}

/* Connected: the kernel picks a random source port and drops other peers' datagrams. NULL or what
 * is wrong. */
static const char *open_socket(struct lookup *lookup, bool is_tcp)
{
    struct lookup_try *try = &lookup->try;
    struct sockaddr_storage sa;
    socklen_t sa_len = ip_endpoint_sockaddr(&try->server, &sa);
    int type = is_tcp ? SOCK_STREAM : SOCK_DGRAM;

    try->is_tcp = is_tcp;
    try->have = 0;
    try->sent = 0;
    try->fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (try->fd < 0 ||
        (connect(try->fd, (const struct sockaddr *)&sa, sa_len) != 0 && errno != EINPROGRESS)) {
        return socket_failure(lookup, errno);
    }
    struct err e = loop_fd_add(lookup->owner->loop, &try->watch, try->fd,
                               is_tcp ? EPOLLOUT : EPOLLIN, is_tcp ? on_tcp : on_udp, lookup);
    return e.code == ERR_OK ? NULL : own_failure(lookup);
}

/* A fresh id for each server. */
static bool prepare(struct lookup *lookup)
{
    struct lookup_try *try = &lookup->try;
    struct lookup_question *question = &try->question;
    size_t len = 0;

    memcpy(question->name, lookup->chase.end, sizeof(question->name));
    question->type = lookup->chase.type;
    if (random_bytes(&question->id, sizeof(question->id)).code != ERR_OK ||
        lookup_query_build(question, try->query + 2, &len).code != ERR_OK) {
        return false;
    }
    try->query[0] = (uint8_t)(len >> 8);
    try->query[1] = (uint8_t)len;
    try->query_len = len + 2;
    try->ignored_n = 0;
    return true;
}

static const char *begin(struct lookup *lookup)
{
    struct lookup_try *try = &lookup->try;
    int64_t until = clock_mono_ms() + LOOKUP_TRY_MS;

    if (until > lookup->deadline_ms) {
        until = lookup->deadline_ms;
    }
    try->is_tcp = false;
    if (!prepare(lookup) ||
        loop_timer_set(lookup->owner->loop, &lookup->timer, until, on_time, lookup).code !=
            ERR_OK) {
        return own_failure(lookup);
    }
    const char *why = open_socket(lookup, false);
    if (why == NULL && send(try->fd, try->query + 2, try->query_len - 2, MSG_NOSIGNAL) < 0) {
        why = socket_failure(lookup, errno);
    }
    return why;
}

static void ask_next(struct lookup *lookup)
{
    loop_timer_cancel(lookup->owner->loop, &lookup->timer);
    while (!lookup->is_at || lookup->asked_n == 0) {
        if (clock_mono_ms() >= lookup->deadline_ms) {
            chase_say(&lookup->chase, "no time is left to ask for %s %s",
                      lookup_type_name(lookup->chase.type), lookup->chase.end);
            break;
        }
        if (!pick(lookup, &lookup->try.server)) {
            if (lookup->asked_n == 0) {
                chase_say(&lookup->chase,
                          "no resolver to ask for %s (our own addresses are skipped): set "
                          "'resolvers'",
                          lookup->chase.end);
            }
            break;
        }
        lookup->asked_n++;
        const char *why = begin(lookup);
        if (why == NULL) {
            return;
        }
        say_asked(lookup, why);
        close_socket(lookup);
        loop_timer_cancel(lookup->owner->loop, &lookup->timer);
    }
    lookup_failed(lookup);
}

void lookup_ask(struct lookup *lookup)
{
    lookup->resolver = 0;
    lookup->round = 0;
    lookup->was_silent = false;
    lookup->asked_n = 0;
    ask_next(lookup);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The lookup may be gone afterwards. */
static void take_answer(struct lookup *lookup, struct lookup_answer *answer)
{
    const char *phrase = lookup_rcode_phrase(answer->rcode);

    if (phrase != NULL) {
        lookup_answer_clear(answer);
        give_up(lookup, phrase);
        return;
    }
    say_asked(lookup, "");
    close_socket(lookup);
    lookup_answered(lookup, answer);
}

static void ask_over_tcp(struct lookup *lookup)
{
    close_socket(lookup);
    const char *why = open_socket(lookup, true);
    if (why != NULL) {
        give_up(lookup, why);
    }
}

/* One datagram. False: there may be more. */
static bool read_datagram(struct lookup *lookup, const uint8_t *data, size_t len, bool is_whole)
{
    struct lookup_answer answer = {0};
    const char *why = "";
    enum lookup_reading reading = lookup_read(&lookup->try.question, data, len, &answer, &why);

    switch (reading) {
    case READ_OTHER:
        lookup->try.ignored_n++;
        if (lookup->try.ignored_n < IGNORED_MAX) {
            return false;
        }
        give_up(lookup, "only answers to other questions");
        return true;
    case READ_CUT:
        ask_over_tcp(lookup);
        return true;
    case READ_BROKEN:
        if (is_whole) {
            give_up(lookup, why);
        } else {
            ask_over_tcp(lookup);
        }
        return true;
    case READ_ANSWER:
        break;
    }
    take_answer(lookup, &answer);
    return true;
}

static void on_udp(void *arg, uint32_t events)
{
    struct lookup *lookup = arg;
    uint8_t data[UDP_BUFFER];
    bool is_over = false;

    (void)events; /* an error is what recv() returns */
    while (!is_over) {
        ssize_t n = recv(lookup->try.fd, data, sizeof(data), MSG_TRUNC);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (errno != EAGAIN) {
                give_up(lookup, errno_phrase(errno));
            }
            return;
        }
        size_t len = (size_t)n > sizeof(data) ? sizeof(data) : (size_t)n;
        is_over = read_datagram(lookup, data, len, len == (size_t)n);
    }
}

static void send_rest(struct lookup *lookup)
{
    struct lookup_try *try = &lookup->try;
    ssize_t n = send(try->fd, try->query + try->sent, try->query_len - try->sent, MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            give_up(lookup, errno_phrase(errno));
        }
        return;
    }
    try->sent += (size_t)n;
    if (try->sent == try->query_len &&
        loop_fd_change(lookup->owner->loop, &try->watch, EPOLLIN).code != ERR_OK) {
        give_up(lookup, own_failure(lookup));
    }
}

static void read_whole(struct lookup *lookup, size_t len)
{
    struct lookup_answer answer = {0};
    const char *why = "an answer to another question";

    switch (lookup_read(&lookup->try.question, lookup->try.data, len, &answer, &why)) {
    case READ_CUT:
        why = "an answer that is cut even over TCP";
        break;
    case READ_OTHER:
    case READ_BROKEN:
        break;
    case READ_ANSWER:
        take_answer(lookup, &answer);
        return;
    }
    give_up(lookup, why);
}

/* Its length, then the answer. */
static void read_some(struct lookup *lookup)
{
    struct lookup_try *try = &lookup->try;
    size_t len = wire_get16(try->prefix);
    uint8_t *at = try->have < 2 ? try->prefix + try->have : try->data + (try->have - 2);
    size_t want = try->have < 2 ? 2 - try->have : len + 2 - try->have;
    ssize_t n = recv(try->fd, at, want, 0);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            give_up(lookup, errno_phrase(errno));
        }
        return;
    }
    if (n == 0) {
        give_up(lookup, "the connection was closed before the whole answer");
        return;
    }
    try->have += (size_t)n;
    len = wire_get16(try->prefix);
    if (try->have == 2) {
        try->data = mem_zalloc(len);
        if (try->data == NULL || len == 0) {
            give_up(lookup, len == 0 ? "an empty answer" : own_failure(lookup));
        }
        return;
    }
    if (try->have > 2 && try->have == len + 2) {
        read_whole(lookup, len);
    }
}

static void on_tcp(void *arg, uint32_t events)
{
    struct lookup *lookup = arg;

    (void)events; /* an error is what send() and recv() return */
    if (lookup->try.sent < lookup->try.query_len) {
        send_rest(lookup);
    } else {
        read_some(lookup);
    }
}
