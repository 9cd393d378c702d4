/* One HTTP GET over a socket that is connected already, by libcurl on the event loop.
 *
 * libcurl opens no socket, resolves no name, uses no proxy, follows no redirect and keeps neither
 * cookies nor connections: it gets the socket that val_dial connected and speaks HTTP/1.1 on it, over
 * TLS when the URL says https. Certificates are not verified: http-01 proves control over port 80 of
 * the name, what a redirect leads to is a part of that, and the key authorization is no secret
 * (RFC 8555 §8.3). Thread: the loop's. */
#ifndef ACME_SERVER_VAL_FETCH_H
#define ACME_SERVER_VAL_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "acme-server/val_dial.h"
#include "acme-server/val_url.h"
#include "acme-server/validate_net_int.h"

enum fetch_fault {
    FETCH_OK = 0,
    FETCH_LONG_HEADER, /* more than VAL_HEADERS_MAX */
    FETCH_LONG_BODY,   /* of status 200, more than VAL_BODY_MAX */
    FETCH_NO_HTTP,     /* something else than HTTP/1.x */
    FETCH_NO_TLS,
    FETCH_BROKEN, /* the connection ended too early */
    FETCH_OURS    /* no memory */
};
struct fetched { /* valid during the callback only */
    enum fetch_fault fault;
    long status;
    const char *location; /* NULL: none */
    int64_t date_unix;    /* of its Date header; 0: none that can be read */
    const uint8_t *body;  /* of status 200 */
    size_t body_len;
    const char *text; /* libcurl's words for the fault; may hold what the peer sent */
};
typedef void (*fetch_fn)(void *arg, const struct fetched *fetched);

struct fetcher;
MUST_USE struct err fetcher_new(struct val_net *net, struct fetcher **out);
/* After loop_stop() and after every fetch has ended or was cancelled. NULL is fine. */
void fetcher_free(struct fetcher *fetcher);

struct fetch;
/* Takes to->fd, also on failure. fn is called once, never from inside this call, unless the fetch is
 * cancelled before; *out is valid until then. There is no time limit here. */
MUST_USE struct err fetch_start(struct fetcher *fetcher, const struct val_url *url,
                                const struct val_dialed *to, fetch_fn fn, void *arg,
                                struct fetch **out);
/* Not from inside a callback of the same fetch. NULL is fine. */
void fetch_cancel(struct fetch *fetch);

#endif
