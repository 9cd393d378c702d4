/* The server certificate: the current one, and the one that a handshake under way still needs.
 *
 * Internal to core/http; tls.c is the only file that includes gnutls. Sessions are passed as void
 * *. Thread rule: any. */
#ifndef CORE_HTTP_TLS_H
#define CORE_HTTP_TLS_H

#include "core/http/http.h"

/* TLS 1.2 and 1.3, forward secrecy and AEAD only. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"      \
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

struct tls_box;  /* holds the current certificate */
struct tls_hold; /* one connection's reference to the certificate of its handshake */

MUST_USE struct err tls_box_new(struct tls_box **out);
void tls_box_free(struct tls_box *box); /* NULL is fine; no hold may be left */
/* Check and swap. ERR_CONFIG with a sentence when chain and key do not fit; the old one stays. */
MUST_USE struct err tls_box_set(struct tls_box *box, const struct http_tls *pem);
/* Tie a new connection's session to the box; NULL when memory is exhausted (its handshake then
 * fails). */
struct tls_hold *tls_hold_new(struct tls_box *box, void *session);
void tls_hold_free(struct tls_hold *hold); /* NULL is fine */
/* The gnutls_certificate_retrieve_function3 for libmicrohttpd. */
void *tls_callback(void);

#endif
