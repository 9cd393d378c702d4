/* Connections that wait for a whole request header, oldest first: who is shut when the server fills
 * up.
 *
 * libmicrohttpd's timeout starts anew with every byte, so a peer that sends its headers byte by
 * byte could keep its place for hours. Once half of HTTP_CONNECTIONS_MAX is taken, each new
 * connection ends those that have waited longer than PEERS_PATIENCE_MS. Internal to core/http.
 * Thread rule: any; leaf lock. */
#ifndef CORE_HTTP_PEERS_H
#define CORE_HTTP_PEERS_H

#include <stddef.h>

#include "core/util/err.h"

#define PEERS_PATIENCE_MS 15000

struct peers;
struct peer;
MUST_USE struct err peers_new(struct peers **out);
void peers_free(struct peers *peers); /* NULL is fine; no peer may be left */
/* A new connection on socket fd, waiting from now on; NULL when memory is exhausted. */
struct peer *peers_add(struct peers *peers, int fd);
/* Keep something of the connection's for it; peers_remove() gives it back. */
void peer_keep(struct peer *peer, void *kept);
/* Take it out, before its socket is closed; returns what it kept, or NULL. NULL is fine. */
void *peers_remove(struct peers *peers, struct peer *peer);
/* Its request header is complete / its answer is out. NULL is fine. */
void peers_busy(struct peers *peers, struct peer *peer);
void peers_waiting(struct peers *peers, struct peer *peer);
/* Shut the sockets of those that have waited longer than PEERS_PATIENCE_MS; how many. */
size_t peers_shut_slow(struct peers *peers);

#endif
