/* Inside dns/rr*.c, zone_file*.c and records*.c only: names and RDATA between text and wire form.
 *
 * On ERR_MALFORMED the error's text is a sentence for people. Thread: any; pure. */
#ifndef DNS_RR_INT_H
#define DNS_RR_INT_H

#include <ldns/ldns.h>

#include "dns/rr.h"

/* How one field of RDATA looks; what ldns tells apart further is FIELD_OTHER. */
enum rr_field {
    FIELD_NAME,
    FIELD_U8,
    FIELD_U16,
    FIELD_U32,
    FIELD_PERIOD, /* 32 bits, in text with time units */
    FIELD_A,
    FIELD_AAAA,
    FIELD_STRING, /* a character-string */
    FIELD_TAG,    /* CAA: a character-string of letters and digits */
    FIELD_REST,   /* CAA, URI: text to the end */
    FIELD_HEX,    /* octets to the end, written in that form */
    FIELD_BASE64,
    FIELD_ALGORITHM, /* 8 bits, or in text the name of a DNSSEC algorithm */
    FIELD_CERT,      /* 16 bits, or in text the name of a certificate type */
    FIELD_OTHER
};
enum rr_field rr_field_of(ldns_rdf_type type);
/* Are all fields of the type others than FIELD_OTHER? Such types never see ldns's parsers. */
bool rr_is_simple(const ldns_rr_descriptor *descriptor);

/* Words on one line of a master file. */
struct rr_words {
    const char *p, *end;
};
struct rr_word {
    const char *p; /* escapes still in it */
    size_t len;
    bool is_quoted;
};
bool rr_is_blank(char c);
bool rr_is_digit(char c);
/* Skips blanks; is there another word? */
bool rr_words_left(struct rr_words *w);
/* The word at w->p, which is no blank. */
MUST_USE struct err rr_word_take(struct rr_words *w, struct rr_word *out);
/* A copy for messages: printable, cut. */
struct rr_shown {
    char text[64];
};
const char *rr_word_show(const struct rr_word *word, struct rr_shown *out);
/* The next character of text with its escapes undone; false: a broken escape. */
bool rr_unescape(const char **p, const char *end, uint8_t *out, bool *was_escaped);

/* Octets of an uncompressed, lower-case name with its root label. */
size_t rr_name_len(const uint8_t *wire);
/* A name of a master file: escapes, "@", relative to origin (wire; NULL: every name is whole). */
MUST_USE struct err rr_name_from_text(const char *text, size_t len, const uint8_t *origin,
                                      uint8_t out[NAME_WIRE_MAX], size_t *out_len);
/* With the final dot. */
void rr_name_text(const uint8_t *wire, struct buf *out);
/* The name at packet[*pos], possibly compressed, in lower case; *pos moves behind it. */
MUST_USE struct err rr_name_from_packet(const uint8_t *packet, size_t len, size_t *pos,
                                        uint8_t out[NAME_WIRE_MAX], size_t *out_len);
/* RDATA of rdata_len octets at packet[pos], checked against its type and made canonical, appended to
 * out. */
MUST_USE struct err rr_rdata_from_packet(uint16_t type, const uint8_t *packet, size_t len,
                                         size_t pos, size_t rdata_len, struct buf *out);
/* The same for RDATA on its own, without compression. */
MUST_USE struct err rr_rdata_check(uint16_t type, const uint8_t *rdata, size_t len,
                                   struct buf *out);
/* RDATA from a master file, all on one line; appended to out (empty before). */
MUST_USE struct err rr_rdata_from_text(uint16_t type, const char *text, size_t len,
                                       const uint8_t *origin, struct buf *out);
/* "3600", "1h30m". */
bool rr_ttl_parse(const char *text, size_t len, uint32_t *out);
/* RDATA printed by ldns; false: it cannot. */
bool rr_ldns_text(uint16_t type, const uint8_t *rdata, size_t len, struct buf *out);

#endif
