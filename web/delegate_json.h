/* The bodies that the doors accept over HTTP, as pure functions: bytes in, checked fields out.
 *
 * lego's httpreq (default and RAW), acme-dns register and update, lego's HTTP storage. JSON objects
 * without duplicate keys, nested at most JWS_DEPTH_MAX deep; unknown members are ignored; the
 * content type does not matter. Not checked here: that a name is a name of ours, that a network is
 * a network (delegate does both), and who asks. Thread: any; nothing is allocated that outlives a
 * call. */
#ifndef WEB_DELEGATE_JSON_H
#define WEB_DELEGATE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/delegate.h"

#define DELEGATE_BODY_MAX (16u * 1024u)
#define DELEGATE_FQDN_MAX 280u /* "_acme-challenge." + a name + "." */
#define DELEGATE_KEY_AUTH_MAX 1024u
#define DELEGATE_CIDR_MAX (IP_TEXT_MAX + 4u)

/* Why a request is refused. `error` is acme-dns's vocabulary, which clients print; `detail` a
 * sentence for a person. */
struct delegate_fault {
    int status;        /* HTTP */
    const char *error; /* static */
    char detail[400];
};
/* Fill the fault and return ERR_REJECTED. */
struct err delegate_fault_set(struct delegate_fault *fault, int status, const char *error,
                              const char *fmt, ...) PRINTF_LIKE(4, 5);

/* httpreq: {"fqdn","value"}, or RAW {"domain","token","keyAuth"}, from which name and digest are
 * computed (RFC 8555 §8.4). */
struct delegate_httpreq {
    char fqdn[DELEGATE_FQDN_MAX + 1];
    char value[TXT_VALUE_LEN + 1];
};
MUST_USE struct err delegate_httpreq_parse(const uint8_t *body, size_t len,
                                           struct delegate_httpreq *out,
                                           struct delegate_fault *fault);

/* acme-dns register: nothing, null, {} or {"allowfrom": [...]}. */
struct delegate_allowfrom {
    size_t n;
    char nets[DELEGATE_ALLOWFROM_MAX][DELEGATE_CIDR_MAX + 1];
};
MUST_USE struct err delegate_register_parse(const uint8_t *body, size_t len,
                                            struct delegate_allowfrom *out,
                                            struct delegate_fault *fault);

/* acme-dns update: {"subdomain","txt"}; subdomain may be absent ("") where a client's own
 * credential is used. */
struct delegate_update_body {
    char subdomain[NAME_TEXT_MAX + 1];
    char txt[TXT_VALUE_LEN + 1];
};
MUST_USE struct err delegate_update_parse(const uint8_t *body, size_t len,
                                          struct delegate_update_body *out,
                                          struct delegate_fault *fault);

/* HTTP storage POST: any JSON object. */
MUST_USE struct err delegate_storage_parse(const uint8_t *body, size_t len,
                                           struct delegate_fault *fault);

#endif
