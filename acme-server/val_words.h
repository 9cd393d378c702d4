/* Words for what validations see. Pure; any thread. */
#ifndef ACME_SERVER_VAL_WORDS_H
#define ACME_SERVER_VAL_WORDS_H

#include <stddef.h>

#include "core/util/buf.h"

/* One phrase more; "; " stands between phrases. */
void val_trail(struct buf *trail, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What a peer sent, in printable ASCII without quotes and backslashes, cut with "..." to cap - 1. */
void val_printable(const void *data, size_t len, char *out, size_t cap);

#endif
