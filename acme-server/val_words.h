/* Words for what validations see. Pure; any thread. */
#ifndef ACME_SERVER_VAL_WORDS_H
#define ACME_SERVER_VAL_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"

#define VAL_SKEW_S 60

/* One phrase more; "; " stands between phrases. */
void val_trail(struct buf *trail, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A phrase when a peer's time and ours differ by more than VAL_SKEW_S: "WHAT is 5 min behind ours". */
void val_skew(struct buf *trail, const char *what, int64_t theirs_unix);
/* What a peer sent, in printable ASCII without quotes and backslashes, cut with "..." to cap - 1. */
void val_printable(const void *data, size_t len, char *out, size_t cap);

#endif
