/* Reading a query's bytes: everything about the packet's form is judged here; private to dns/.
 * Pure. */
#ifndef DNS_QUERY_H
#define DNS_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/zone_table.h"

#define DNS_HEADER_LEN 12u

enum query_verdict {
    QUERY_OK,
    QUERY_DROP,    /* nothing may be sent: no whole header, or a response */
    QUERY_FORMERR, /* header-only answers */
    QUERY_NOTIMP
};

struct dns_query {
    struct dns_name name;
    uint16_t question_end; /* offset behind the question */
    uint16_t type, class_;
    bool has_edns, is_dnssec_ok;
    uint8_t edns_version;
    uint16_t edns_size;
};

enum query_verdict query_parse(const uint8_t *packet, size_t len, struct dns_query *out);

#endif
