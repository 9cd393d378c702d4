/* Zone transfers inside: reading the request, keeping what the read view said, writing messages;
 * private to dns/.
 *
 * What a transfer says is first collected as rows (transfer_rows: compact, bounded), then written
 * into messages one after the other while the peer reads them. Pure but for the shared count of
 * octets. Thread: one owner at a time. */
#ifndef DNS_TRANSFER_INT_H
#define DNS_TRANSFER_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/rr.h"
#include "dns/wire.h"

#define TRANSFER_MEMORY_MAX (256u * 1024u * 1024u) /* rows of all transfers under way */
#define TRANSFER_MESSAGE_SOFT 16384u               /* messages are filled to about this */
#define TRANSFER_MESSAGE_MAX 65535u
#define TRANSFER_SOA_RDATA_MAX (2u * NAME_WIRE_MAX + DNS_SOA_NUMBERS_LEN)

/* --- the request -------------------------------------------------------------------------------- */
struct transfer_query {
    uint16_t id;
    bool is_ixfr, has_rd, has_opt, has_do;
    uint32_t serial; /* IXFR: what the peer has */
    uint8_t zone[NAME_WIRE_MAX];
    size_t zone_len;         /* lower case */
    const uint8_t *question; /* borrowed: as it came, with type and class */
    size_t question_len;
    bool is_lower; /* the question's name came in lower case: owners may point at it */
};
/* A whole AXFR or IXFR query without its TSIG. 0, or the RCODE of its refusal: FORMERR (broken,
 * octets behind its end, IXFR without exactly one SOA of the zone; RFC 1995 §3), REFUSED (class). */
unsigned transfer_query_read(const uint8_t *packet, size_t len, struct transfer_query *out);

/* --- rows ---------------------------------------------------------------------------------------- */
struct rows_chunk;
struct transfer_rows {
    struct rows_chunk *first, *last;
    size_t n;               /* records */
    size_t octets;          /* that they take in messages, about */
    size_t stop_at;         /* octets: more are not taken; 0: no such bound */
    _Atomic size_t *shared; /* octets of memory in all transfers */
    size_t taken;           /* of it by this one */
    bool is_over;           /* memory was refused: by *shared, or by the machine */
};
enum row_kind { ROW_RECORD, ROW_REMOVED, ROW_ADDED, ROW_DIFFERENCE };
/* Empty; shared: the octets of all transfers' rows, counted by put and clear. */
void transfer_rows_init(struct transfer_rows *rows, _Atomic size_t *shared);
/* Frees them; empty again. */
void transfer_rows_clear(struct transfer_rows *rows);
/* A copy of the record, behind the others. False: is_over is set. */
bool transfer_rows_put(struct transfer_rows *rows, enum row_kind kind, const struct dns_rr *rr);
/* A difference begins (IXFR, RFC 1995 §4). False as above. */
bool transfer_rows_difference(struct transfer_rows *rows, uint32_t from, uint32_t to);
struct transfer_row {
    enum row_kind kind;
    uint32_t from, to;    /* ROW_DIFFERENCE */
    const uint8_t *owner; /* borrowed from the rows */
    const uint8_t *rdata;
    size_t owner_len, rdata_len;
    uint16_t type;
    uint32_t ttl;
};
struct rows_cursor { /* zeroed: at the first */
    const struct rows_chunk *chunk;
    size_t at;
    bool is_begun;
};
/* The next row, borrowed; false: there is none. */
bool transfer_rows_next(const struct transfer_rows *rows, struct rows_cursor *cursor,
                        struct transfer_row *out);

/* --- messages ------------------------------------------------------------------------------------ */
#define WRITER_LABELS 128u
struct transfer_writer {
    const struct transfer_query *query;
    uint8_t *data; /* TRANSFER_MESSAGE_MAX octets, the owner's */
    size_t len;
    size_t soft, hard; /* filled up to soft; one record alone may go up to hard */
    uint16_t records_n;
    bool has_opt;
    uint8_t last[NAME_WIRE_MAX];    /* the owner written last */
    uint16_t offset[WRITER_LABELS]; /* of last's suffix of so many labels; 0: nowhere */
};
/* A new message with header and question; the first one carries the OPT record where the query had
 * one (RFC 6891 §6.1.1). */
void transfer_message_begin(struct transfer_writer *writer, bool is_first);
/* False: it does not fit (nothing is changed). */
bool transfer_message_put(struct transfer_writer *writer, const struct transfer_row *row);
/* Completes data[0..len). */
void transfer_message_end(struct transfer_writer *writer);

/* --- one transfer -------------------------------------------------------------------------------- */
enum transfer_kind { TRANSFER_WHOLE, TRANSFER_DIFFERENCES, TRANSFER_SOA_ALONE };
struct transfer_send {
    struct transfer_writer *writer;
    const struct dns_rr *soa;
    const struct transfer_rows *rows;
    /* Sends the message of the writer; false: stop. is_last: nothing follows it. */
    bool (*flush)(void *arg, bool is_last);
    void *arg;
    bool is_too_long; /* a record that no message can hold */
    size_t records_n; /* written, SOAs included */
};
/* SOA, records, SOA (RFC 5936 §2.2); or the differences in order, each between its SOAs (RFC 1995
 * §4); or the SOA alone. Calls flush for each message. False: flush said so, or is_too_long. */
bool transfer_write(struct transfer_send *send, enum transfer_kind kind);

#endif
