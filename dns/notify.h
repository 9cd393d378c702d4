/* NOTIFY (RFC 1996): secondaries are told that a zone has changed; private to dns/.
 *
 * One state per (zone, server): while an answer is awaited, newer serials are only remembered, and
 * sent when the answer came. Without answer it is repeated after 1, 2, 4, 8 and 16 s, always with
 * the newest serial, then given up until the next change. Signed where transfer.key is set; answers
 * are then taken only when signed by the same key. */
#ifndef DNS_NOTIFY_H
#define DNS_NOTIFY_H

#include "dns/transfer.h"
#include "dns/wire.h"

#define NOTIFY_TARGETS_MAX 4096u /* zones times servers */
#define NOTIFY_REPEATS 5u        /* after 1, 2, 4, 8, 16 s; the last answer is awaited 16 s too */

struct notify;
struct notify_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct records *records;
};
/* Nothing is sent before notify_start(). options: copied; what it points at outlives *out. ERR_CONFIG: more
 * than NOTIFY_TARGETS_MAX. */
MUST_USE struct err notify_new(const struct notify_options *options, struct notify **out);
/* Start the loop thread, and tell every server once. Not the writer thread. */
MUST_USE struct err notify_start(struct notify *notify);
/* No notify_on_serial() may follow. NULL is fine. */
void notify_free(struct notify *notify);
/* For records_on_serial(): sends at once where nothing is awaited. Never blocks. */
void notify_on_serial(void *ctx, int zone, uint32_t serial);
/* How it stands with every (zone, server), n 0 without any; *out: mem_free(). Thread: any. ERR_NOMEM. */
MUST_USE struct err notify_list(struct notify *notify, struct transfer_info **out, size_t *out_n);

/* --- its messages: pure -------------------------------------------------------------------------- */
#define NOTIFY_SOA_MAX (2u * NAME_WIRE_MAX + DNS_SOA_NUMBERS_LEN)
#define NOTIFY_MESSAGE_MAX                                                                         \
    (DNS_HEADER_LEN + NAME_WIRE_MAX + DNS_QUESTION_TAIL_LEN + DNS_POINTER_LEN + DNS_RR_HEAD_LEN +  \
     NOTIFY_SOA_MAX)
struct notify_zone {
    uint8_t name[NAME_WIRE_MAX]; /* wire, lower case */
    size_t name_len;
    uint8_t soa[NOTIFY_SOA_MAX]; /* RDATA of its SOA; the serial in it does not count */
    size_t soa_len;              /* 0: unknown, none is sent */
    uint32_t soa_ttl;
};
/* The message, with the new SOA as its answer section (RFC 1996 §3.7). Returns its length. */
size_t notify_message(const struct notify_zone *zone, uint16_t id, uint32_t serial,
                      uint8_t out[NOTIFY_MESSAGE_MAX]);
/* Is this an answer to that message? Then its RCODE is filled. A refusal may come without question.
 * RFC 1996 §3.12, §4.6. */
bool notify_is_answer(const struct notify_zone *zone, uint16_t id, const uint8_t *packet,
                      size_t len, unsigned *rcode);
/* Which of our addresses the message should leave from, so that the server knows us as its primary:
 * of the listeners the one most like the server's address. family 0: the kernel's choice (one listens
 * on every address, or none is of that family). */
struct ip_addr notify_source(const struct ip_endpoint *listen, size_t n,
                             const struct ip_addr *server);

#endif
