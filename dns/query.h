/* Reading a query's bytes: everything about the packet's form is judged here; private to dns/.
 *
 * Records that are none of OPT and TSIG are stepped over. Pure. */
#ifndef DNS_QUERY_H
#define DNS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/wire.h"
#include "dns/zone_table.h"

enum query_verdict {
    QUERY_OK,
    QUERY_DROP, /* nothing may be sent: no whole header, or a response */
    QUERY_FORMERR,
    QUERY_NOTIMP,
    QUERY_UPDATE /* by its opcode: nothing but the header was read */
};

/* What is set with QUERY_OK; has_edns and what follows it are also set as far as reading came with
 * QUERY_FORMERR. */
struct dns_query {
    struct dns_name name;
    bool has_question;     /* else an OPT with a COOKIE stands alone. RFC 7873 §5.4 */
    uint16_t question_end; /* offset behind the question */
    uint16_t type, class_;
    bool has_tsig; /* as the last record. RFC 8945 §5.1 */
    bool has_edns, is_dnssec_ok;
    uint8_t edns_version;
    uint16_t edns_size;
    uint16_t cookie_len;   /* of the first COOKIE option, of any length */
    const uint8_t *cookie; /* into the packet; NULL: none */
};

/* One whole packet; out borrows from it. RFC 1035 §4.1, 6891 §6.1, 7873 §5.4, 8945 §5.1. */
enum query_verdict query_parse(const uint8_t *packet, size_t len, struct dns_query *out);
/* The same of an UPDATE, its zone section as the question: QUERY_OK or QUERY_FORMERR. */
enum query_verdict query_parse_update(const uint8_t *packet, size_t len, struct dns_query *out);

#endif
