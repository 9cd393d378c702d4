/* The certificate of our own HTTPS listener: the administrator's (tls.cert, tls.key) or our own,
 * issued, kept and renewed by us.
 *
 * Our own lives in <state_dir>/keys/https.pem and https.key and is replaced when a third of its
 * life is left, when the names or addresses it must hold changed, or when the issuer did. Thread:
 * one at a time. */
#ifndef BAILIWICK_HTTPS_CERTIFICATE_H
#define BAILIWICK_HTTPS_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ca/ca.h"
#include "core/http/http.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "core/util/err.h"

/* Load or make the certificate. *changed: it differs from what *tls held before (new, renewed, or
 * the files changed). tls is owned by the caller (https_certificate_clear). *not_after: unix
 * seconds. */
MUST_USE struct err https_certificate_get(const struct config *cfg, struct ca *ca,
                                          struct store *store, struct http_tls *tls,
                                          int64_t *not_after, bool *changed);
void https_certificate_clear(struct http_tls *tls);

#endif
