#include "core/http/internal.h"

#include "core/util/file.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 512

static int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

static struct err fail_bind(const char *what, const char *where, int number)
{
    switch (number) {
    case EADDRINUSE:
        FAIL(ERR_BUSY,
             "%s cannot listen on %s: another program listens there; stop it, or choose "
             "another address under listen:",
             what, where);
    case EACCES:
    case EPERM:
        FAIL(ERR_BUSY,
             "%s cannot listen on %s: not permitted; ports below 1024 need root or "
             "CAP_NET_BIND_SERVICE, or choose another port under listen:",
             what, where);
    case EADDRNOTAVAIL:
        FAIL(ERR_CONFIG, "%s cannot listen on %s: this machine does not have that address", what,
             where);
    default:
        FAIL(ERR_IO, "%s cannot listen on %s: %s", what, where, err_errno_text(number));
    }
}

static bool is_any(const struct ip_addr *addr)
{
    static const uint8_t NONE[16];
    return memcmp(addr->bytes, NONE, sizeof(NONE)) == 0;
}

struct err http_listen_tcp(const struct ip_endpoint *endpoint, const char *what, int *fd,
                           struct ip_endpoint *bound)
{
    struct sockaddr_storage sa;
    socklen_t sa_len = ip_endpoint_sockaddr(endpoint, &sa);
    char where[IP_TEXT_MAX + 10];
    const int on = 1;

    ip_endpoint_text(endpoint, where);
    AUTO(file_closep)
    int s = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0 && errno == EAFNOSUPPORT && endpoint->addr.family == 6 && is_any(&endpoint->addr)) {
        /* "[::]" is a default: a machine without IPv6 shall start all the same. */
        log_ev(LOG_WARN, "http.no_ipv6", {"listen", where},
               {"msg", "this machine has no IPv6; listening on IPv4 only"});
        *fd = -1;
        *bound = *endpoint;
        return err_ok();
    }
    if (s < 0) {
        return fail_bind(what, where, errno);
    }
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa.ss_family == AF_INET6) {
        (void)setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(s, (const struct sockaddr *)&sa, sa_len) != 0 || listen(s, BACKLOG) != 0) {
        return fail_bind(what, where, errno);
    }
    sa_len = sizeof(sa);
    if (getsockname(s, (struct sockaddr *)&sa, &sa_len) != 0) {
        return fail_bind(what, where, errno);
    }
    *bound = *endpoint;
    bound->port = ntohs(sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&sa)->sin6_port
                                                 : ((const struct sockaddr_in *)&sa)->sin_port);
    *fd = take_fd(&s);
    return err_ok();
}

/* Make way for our socket: only a socket that nobody answers is removed. */
static struct err remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;

    if (lstat(sa->sun_path, &st) != 0) {
        return err_ok(); /* bind() will say what else is wrong */
    }
    if (!S_ISSOCK(st.st_mode)) {
        FAIL(ERR_BUSY, "%s is in the way and not a socket: move it elsewhere", sa->sun_path);
    }
    AUTO(file_closep) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) {
        FAIL(ERR_IO, "socket: %s", err_errno_text(errno));
    }
    if (connect(s, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno != ECONNREFUSED) {
        FAIL(ERR_BUSY, "%s: another running process listens there; stop it first", sa->sun_path);
    }
    if (unlink(sa->sun_path) != 0) {
        FAIL(ERR_IO, "%s: the stale socket cannot be removed: %s", sa->sun_path,
             err_errno_text(errno));
    }
    return err_ok();
}

struct err http_listen_unix(const char *path, int *fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(sa.sun_path)) {
        FAIL(ERR_CONFIG,
             "%.120s: the path of the control socket is longer than %zu characters; choose a "
             "shorter state directory",
             path, sizeof(sa.sun_path) - 1);
    }
    memcpy(sa.sun_path, path, len + 1);
    TRY(remove_stale(&sa));
    AUTO(file_closep) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) {
        return fail_bind("the control socket", path, errno);
    }
    /* The mode of the unbound socket is the mode that bind() creates the file with: never a moment
     * of 0755. */
    if (fchmod(s, 0600) != 0 || bind(s, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        listen(s, BACKLOG) != 0) {
        return fail_bind("the control socket", path, errno);
    }
    *fd = take_fd(&s);
    return err_ok();
}
