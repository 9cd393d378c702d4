/* A strict DER reader: definite minimal lengths, low tag numbers, nothing behind the end.
 *
 * It looks at untrusted bytes before OpenSSL does, so that OpenSSL never decodes a shape or a key
 * type that is refused anyway. Pure; any thread; borrowed pointers into the input. X.690 §10. */
#ifndef CA_DER_H
#define CA_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"

#define DER_INTEGER 0x02u
#define DER_BIT_STRING 0x03u
#define DER_NULL 0x05u
#define DER_OID 0x06u
#define DER_SEQUENCE 0x30u

struct der_item {
    uint8_t tag;
    const uint8_t *body;
    size_t len;
    const uint8_t *whole; /* with tag and length */
    size_t whole_len;
};

/* The next item; false at the end and for anything that is not DER (the reader then stays
 * failed). */
bool der_next(struct rd *r, struct der_item *out);
/* The next item if it carries `tag`. */
bool der_expect(struct rd *r, uint8_t tag, struct der_item *out);
/* A reader over an item's contents. */
struct rd der_enter(const struct der_item *item);
/* Exactly one item and no byte more, DER all the way down (contents of primitive strings are not
 * looked into). */
bool der_is_strict(const uint8_t *der, size_t len);
/* Append tag, length and body (below 16 MiB). */
void der_put(struct buf *out, uint8_t tag, const void *body, size_t len);

#endif
