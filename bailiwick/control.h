/* Talking to the running daemon over <state_dir>/control.sock: the admin API's client side.
 *
 * Thread: main only. Nothing is retried. */
#ifndef BAILIWICK_CONTROL_H
#define BAILIWICK_CONTROL_H

#include <jansson.h>

#include "core/util/config.h"
#include "core/util/err.h"

#define CONTROL_REPLY_MAX (16u * 1024u * 1024u)
#define CONTROL_TIMEOUT_S 60

/* Send one request. method: "GET", "POST", "DELETE"; path: "/api/v1/...", already safe for a URL;
 * body may be NULL. *reply (json_decref): the JSON of the answer, or NULL when it has none.
 * ERR_NOT_FOUND: no daemon runs (no socket there, or nobody listens on it); ERR_REJECTED: it
 * refused, with its sentence; ERR_IO: it cannot be reached for another reason, said in the trace;
 * ERR_MALFORMED: its answer is none. */
MUST_USE struct err control_request(const struct config *cfg, const char *method, const char *path,
                                    const json_t *body, json_t **reply);

#endif
