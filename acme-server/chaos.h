/* Test mode for authors of ACME clients (`serve --chaos`): a share of good nonces is rejected,
 * authorizations and challenges are shuffled, validations are delayed, authorization reuse comes
 * and goes.
 *
 * Only on a state directory that was created with it: init marks the directory, and a marked
 * directory never starts without --chaos (nor an unmarked one with it), so that no real CA runs
 * like that. Thread: any. NULL everywhere means: no chaos. */
#ifndef ACME_SERVER_CHAOS_H
#define ACME_SERVER_CHAOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

#define CHAOS_NONCE_PERCENT 5
#define CHAOS_DELAY_MS_MAX 3000
#define CHAOS_REUSE_PERCENT 50

struct chaos;
MUST_USE struct err chaos_new(struct chaos **out);
void chaos_free(struct chaos *chaos);
bool chaos_rejects_nonce(struct chaos *chaos);
/* A permutation of 0..n-1; the identity without chaos. n at most 256. */
void chaos_shuffle(struct chaos *chaos, uint8_t *order, size_t n);
/* Milliseconds, 0 without chaos. */
int64_t chaos_delay_ms(struct chaos *chaos);
bool chaos_reuses(struct chaos *chaos); /* true without chaos */

#endif
