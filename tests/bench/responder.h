/* An http-01 responder inside the driver: answers for every client by the number in the host name, or (silent) takes
 * connections in the kernel and never reads them. */
#ifndef TESTS_BENCH_RESPONDER_H
#define TESTS_BENCH_RESPONDER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/err.h"

#define RESPONDER_THREADS 2
#define RESPONDER_BACKLOG 4096
#define RESPONDER_REQUEST_MAX 2048
#define WELL_KNOWN "/.well-known/acme-challenge/"

struct responder {
    int fd;
    pthread_t threads[RESPONDER_THREADS];
    int threads_n;
    /* the thumbprint of the account of client n, or NULL */
    const char *(*thumbprint)(void *ctx, int n);
    void *ctx;
};

/* "GET /.well-known/acme-challenge/<token> HTTP/1.1" and "Host: h<i>.c<n>.<rest>". */
static size_t responder_answer(const struct responder *r, const char *request, char *out,
                               size_t cap)
{
    const char *token = strstr(request, WELL_KNOWN);
    const char *host = strcasestr(request, "\r\nhost: h");
    const char *number = host == NULL ? NULL : strstr(host, ".c");
    char body[512] = "";

    if (token != NULL && number != NULL) {
        token += strlen(WELL_KNOWN);
        size_t len = strcspn(token, " \r\n?");
        const char *thumbprint = r->thumbprint(r->ctx, (int)strtol(number + 2, NULL, 10));
        if (thumbprint != NULL) {
            (void)snprintf(body, sizeof(body), "%.*s.%s", (int)len, token, thumbprint);
        }
    }
    int n = snprintf(out, cap,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Type: text/plain\r\n"
                     "Connection: close\r\n\r\n%s",
                     body[0] == '\0' ? "404 Not Found" : "200 OK", strlen(body), body);
    return n < 0 ? 0 : (size_t)n;
}

static void *responder_main(void *arg)
{
    const struct responder *r = arg;

    for (;;) {
        char request[RESPONDER_REQUEST_MAX + 1];
        char reply[1024];
        size_t len = 0;
        int fd = accept(r->fd, NULL, NULL);
        if (fd < 0) {
            return NULL; /* the listener was shut down */
        }
        while (len < RESPONDER_REQUEST_MAX) {
            ssize_t n = recv(fd, request + len, RESPONDER_REQUEST_MAX - len, 0);
            if (n <= 0) {
                break;
            }
            len += (size_t)n;
            request[len] = '\0';
            if (strstr(request, "\r\n\r\n") != NULL) {
                size_t reply_len = responder_answer(r, request, reply, sizeof(reply));
                (void)send(fd, reply, reply_len, MSG_NOSIGNAL);
                break;
            }
        }
        (void)close(fd);
    }
}

static struct err responder_start(struct responder *r, int port, int is_silent)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;

    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 || setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(r->fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(r->fd, RESPONDER_BACKLOG) != 0) {
        FAIL(ERR_IO, "cannot listen on port %d", port);
    }
    while (!is_silent && r->threads_n < RESPONDER_THREADS &&
           pthread_create(&r->threads[r->threads_n], NULL, responder_main, r) == 0) {
        r->threads_n++;
    }
    return err_ok();
}

static void responder_stop(struct responder *r)
{
    if (r->fd < 0) {
        return;
    }
    (void)shutdown(r->fd, SHUT_RDWR);
    for (int i = 0; i < r->threads_n; i++) {
        (void)pthread_join(r->threads[i], NULL);
    }
    (void)close(r->fd);
}

#endif
