/* Talking to the running daemon over <state_dir>/control.sock: the admin API's client side.
 *
 * Thread: main only. Nothing is retried. */
#ifndef BAILIWICK_CONTROL_H
#define BAILIWICK_CONTROL_H

#include <jansson.h>

#include "core/util/buf.h"
#include "core/util/config.h"
#include "core/util/err.h"

#define CONTROL_REPLY_MAX (128u * 1024u * 1024u)
#define CONTROL_TIMEOUT_S 60

/* Send one request. method: "GET", "POST", "DELETE"; path: "/api/v1/...", already safe for a URL;
 * body may be NULL. *reply (json_decref): the JSON of the answer, or NULL when it has none.
 * ERR_NOT_FOUND: no daemon runs (no socket there, or nobody listens on it); ERR_REJECTED: it
 * refused, with its sentence; ERR_IO: it cannot be reached for another reason, said in the trace;
 * ERR_MALFORMED: its answer is none. */
MUST_USE struct err control_request(const struct config *cfg, const char *method, const char *path,
                                    const json_t *body, json_t **reply);

/* The same for bodies and answers that are no JSON. */
struct control_call {
    const char *method, *path;
    const char *content_type; /* of the body */
    const char *body;         /* or NULL */
    size_t body_len;
    long timeout_s; /* 0: CONTROL_TIMEOUT_S */
};
/* answer: appended to, up to its bound; any HTTP status is ERR_OK. The rest as above. */
MUST_USE struct err control_exchange(const struct config *cfg, const struct control_call *call,
                                     struct buf *answer, long *status);
/* ERR_REJECTED with the sentence of a problem document. */
MUST_USE struct err control_refused(const struct buf *answer);
/* Append text so that it can stand in a query string. */
void control_escape(struct buf *out, const char *text);

#endif
