#include "dns/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/server_internal.h"

#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/thread.h"

#define UDP_THREADS_MAX 128u /* of all addresses: readers of the zones are limited */
#define TCP_THREADS_MAX 32u
#define TCP_BACKLOG 1024 /* the kernel takes less if net.core.somaxconn says so */
#define UDP_BUFFER_BYTES (1024 * 1024)
/* Answers to hosts that are not there wait three seconds in the kernel for a hardware address, some
 * 200 KiB for each such host: spoofed queries from a few on-link addresses would fill a usual
 * buffer and so silence us for everybody. */
#define UDP_SEND_BUFFER_BYTES (32 * 1024 * 1024)
#define PORT_TRIES 20 /* for port 0: to find one that is free for both protocols */

struct dns_server {
    struct ip_endpoint *endpoints;
    size_t endpoints_n;
    int *listeners; /* one per endpoint */
    struct dns_udp *udp;
    size_t udp_n;
    struct dns_tcp *tcp;
    size_t tcp_n;
    bool is_shared; /* shared is initialised */
    struct dns_shared shared;
};

static bool is_wildcard(const struct ip_addr *addr)
{
    static const uint8_t zero[16];

    return memcmp(addr->bytes, zero, addr->family == 4 ? 4 : 16) == 0;
}

static void set_int(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static struct err bind_failed(const struct ip_endpoint *ep, const char *protocol, int error)
{
    char text[IP_TEXT_MAX + 10];

    ip_endpoint_text(ep, text);
    if (error == EADDRINUSE) {
        FAIL(
            ERR_BUSY,
            "%s %s is in use by another program (often systemd-resolved or dnsmasq): stop that one "
            "or set listen.dns",
            protocol, text);
    }
    if (error == EACCES || error == EPERM) {
        FAIL(ERR_DENIED, "%s %s: no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE",
             protocol, text);
    }
    FAIL(ERR_IO, "%s %s: %s", protocol, text, err_errno_text(error));
}

/* A bound socket in *out. `is_shared`: other sockets of ours have the same address
 * (SO_REUSEPORT). */
static struct err open_socket(const struct ip_endpoint *ep, int type, bool is_shared, int *out)
{
    struct sockaddr_storage sa;
    socklen_t sa_len = ip_endpoint_sockaddr(ep, &sa);
    bool is_udp = type == SOCK_DGRAM;
    int family = ep->addr.family == 6 ? AF_INET6 : AF_INET;
    int fd = socket(family, type | SOCK_CLOEXEC | (is_udp ? 0 : SOCK_NONBLOCK), 0);

    if (fd < 0) {
        return bind_failed(ep, is_udp ? "UDP" : "TCP", errno);
    }
    if (family == AF_INET6) {
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, is_udp && is_wildcard(&ep->addr));
    } else {
        set_int(fd, IPPROTO_IP, IP_PKTINFO, is_udp && is_wildcard(&ep->addr));
    }
    if (is_udp) {
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, is_shared);
        set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER_BYTES);
        set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER_BYTES);
        set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_SEND_BUFFER_BYTES); /* root only */
    } else {
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
    }
    if (bind(fd, (const struct sockaddr *)&sa, sa_len) != 0 ||
        (!is_udp && listen(fd, TCP_BACKLOG) != 0)) {
        int error = errno;
        (void)close(fd);
        return bind_failed(ep, is_udp ? "UDP" : "TCP", error);
    }
    *out = fd;
    return err_ok();
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct sockaddr_in6 in6;

    memset(&sa, 0, sizeof(sa));
    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    memcpy(&in6, &sa, sizeof(in6)); /* the port stands at the same place in both families */
    return ntohs(in6.sin6_port);
}

/* The TCP listener of an endpoint, on a port whose UDP side is free. SO_REUSEPORT would let a
 * second daemon in beside us, so UDP is tried once without it first. */
static struct err claim_endpoint(struct ip_endpoint *ep, int *listener)
{
    struct err e = err_ok();
    uint16_t wanted = ep->port;

    for (unsigned i = 0; i < (wanted == 0 ? PORT_TRIES : 1); i++) {
        int udp = -1;
        ep->port = wanted;
        TRY(open_socket(ep, SOCK_DGRAM, false, &udp));
        ep->port = port_of(udp);
        e = open_socket(ep, SOCK_STREAM, false, listener);
        (void)close(udp);
        if (e.code != ERR_BUSY) {
            break;
        }
    }
    return e;
}

/* "[::]" is listened on by default; a kernel without IPv6 is no reason not to start. */
static bool is_family_missing(const struct ip_endpoint *ep)
{
    if (ep->addr.family != 6 || !is_wildcard(&ep->addr)) {
        return false;
    }
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    return errno == EAFNOSUPPORT;
}

static struct err bind_endpoint(struct dns_server *server, size_t i, size_t threads_n)
{
    struct ip_endpoint *ep = &server->endpoints[i];

    if (is_family_missing(ep)) {
        log_ev(LOG_WARN, "dns.listen.skipped",
               {"msg", "this machine has no IPv6: [::] is left out"});
        return err_ok();
    }
    TRY(claim_endpoint(ep, &server->listeners[i]));
    struct dns_udp *mates = &server->udp[server->udp_n];
    for (size_t k = 0; k < threads_n; k++) {
        int fd = -1;
        TRY(open_socket(ep, SOCK_DGRAM, true, &fd));
        struct dns_udp *udp = &server->udp[server->udp_n++];
        udp->mates = mates;
        udp->mates_n = threads_n;
        TRY(dns_udp_init(udp, &server->shared, fd, is_wildcard(&ep->addr)));
    }
    return err_ok();
}

static size_t thread_count(unsigned wanted, size_t max)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = wanted != 0 ? wanted : (cpus < 1 ? 1 : (size_t)cpus);

    return n > max ? max : n;
}

static void freep(struct dns_server **server)
{
    dns_server_free(*server);
    *server = NULL;
}

static struct err bind_all(struct dns_server *server, size_t udp_each, size_t tcp_n)
{
    for (size_t i = 0; i < server->endpoints_n; i++) {
        TRY(bind_endpoint(server, i, udp_each));
    }
    for (size_t i = 0; i < tcp_n; i++) {
        struct dns_tcp *tcp = &server->tcp[server->tcp_n++];
        tcp->epoll_fd = -1;
        TRY(dns_tcp_init(tcp, &server->shared, server->listeners, server->endpoints_n));
    }
    server->shared.tcp = server->tcp;
    server->shared.tcp_n = server->tcp_n;
    return err_ok();
}

struct err dns_server_open(const struct dns_server_options *options, struct dns_server **out)
{
    AUTO(freep) struct dns_server *server = mem_zalloc(sizeof(*server));
    size_t listen_n = options->listen_n;

    TRY_PTR(server);
    if (listen_n == 0 || listen_n > UDP_THREADS_MAX) {
        FAIL(ERR_CONFIG, "listen.dns: 1 to %u addresses", UDP_THREADS_MAX);
    }
    size_t udp_each = thread_count(options->udp_threads, UDP_THREADS_MAX / listen_n);
    size_t tcp_n = thread_count(options->tcp_threads, TCP_THREADS_MAX);
    server->endpoints = mem_dup(options->listen, listen_n * sizeof(*options->listen));
    server->listeners = mem_array(listen_n, sizeof(*server->listeners));
    server->udp = mem_array(listen_n * udp_each, sizeof(*server->udp));
    server->tcp = mem_array(tcp_n, sizeof(*server->tcp));
    if (server->endpoints == NULL || server->listeners == NULL || server->udp == NULL ||
        server->tcp == NULL) {
        FAIL(ERR_NOMEM, "dns: out of memory for the listeners");
    }
    server->endpoints_n = listen_n;
    memset(server->listeners, 0xff, listen_n * sizeof(*server->listeners)); /* all -1 */
    server->is_shared = true;
    TRY(dns_shared_init(&server->shared, options));
    TRY(bind_all(server, udp_each, tcp_n));
    *out = MOVE(server);
    return err_ok();
}

struct err dns_server_start(struct dns_server *server)
{
    for (size_t i = 0; i < server->udp_n; i++) {
        struct dns_udp *udp = &server->udp[i];
        TRY(thread_start("dns-udp", DNS_STACK_BYTES, dns_udp_main, udp, &udp->thread));
        udp->is_started = true;
    }
    for (size_t i = 0; i < server->tcp_n; i++) {
        struct dns_tcp *tcp = &server->tcp[i];
        TRY(thread_start("dns-tcp", DNS_STACK_BYTES, dns_tcp_main, tcp, &tcp->thread));
        tcp->is_started = true;
    }
    return err_ok();
}

struct ip_endpoint dns_server_endpoint(const struct dns_server *server, size_t i)
{
    return server->endpoints[i];
}

static void add_counters(struct dns_counters *sum, const struct dns_thread_counters *c)
{
    sum->dropped += dns_counted(&c->dropped);
    sum->rate_limited += dns_counted(&c->limited);
    sum->slipped += dns_counted(&c->slipped);
    sum->work += dns_counted(&c->work);
    sum->work_full += dns_counted(&c->work_full);
    sum->forwarded += dns_counted(&c->forwarded);
    sum->tcp_accepted += dns_counted(&c->accepted);
    sum->tcp_given_way += dns_counted(&c->given_way);
}

void dns_server_counters(const struct dns_server *server, struct dns_counters *out)
{
    struct dns_counters sum = {.tcp_connections = atomic_load(&server->shared.connections_n)};

    for (size_t i = 0; i < server->udp_n; i++) {
        const struct dns_udp *udp = &server->udp[i];
        sum.udp_queries += dns_counted(&udp->asker.count.queries);
        sum.udp_answers +=
            dns_counted(&udp->asker.count.answers) + dns_counted(&udp->socket->answers);
        sum.rate_limited += dns_counted(&udp->socket->limited);
        add_counters(&sum, &udp->asker.count);
    }
    for (size_t i = 0; i < server->tcp_n; i++) {
        const struct dns_thread_counters *c = &server->tcp[i].asker.count;
        sum.tcp_queries += dns_counted(&c->queries);
        sum.tcp_answers += dns_counted(&c->answers);
        add_counters(&sum, c);
    }
    *out = sum;
}

void dns_server_free(struct dns_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store_explicit(&server->shared.is_stopping, true, memory_order_release);
    for (size_t i = 0; i < server->udp_n; i++) {
        if (server->udp[i].is_started) {
            dns_udp_wake(&server->udp[i]);
            (void)pthread_join(server->udp[i].thread, NULL);
        }
    }
    for (size_t i = 0; i < server->udp_n; i++) {
        dns_udp_clear(&server->udp[i]); /* they help each other while they run */
    }
    for (size_t i = 0; i < server->tcp_n; i++) {
        if (server->tcp[i].is_started) {
            dns_tcp_wake(&server->tcp[i]);
            (void)pthread_join(server->tcp[i].thread, NULL);
        }
    }
    for (size_t i = 0; i < server->tcp_n; i++) {
        dns_tcp_clear(&server->tcp[i]); /* they look at each other while they run */
    }
    for (size_t i = 0; i < server->endpoints_n && server->listeners != NULL; i++) {
        if (server->listeners[i] >= 0) {
            (void)close(server->listeners[i]);
        }
    }
    if (server->is_shared) {
        dns_shared_clear(&server->shared);
    }
    mem_free(server->endpoints);
    mem_free(server->listeners);
    mem_free(server->udp);
    mem_free(server->tcp);
    mem_free(server);
}
