/* Command line words as a record's data in master file form.
 *
 * The shell has taken the quotes away: behind TXT (and SPF) each word is one text, put into quotes
 * again, and cut where it is longer than a character-string may be; a word that brings its own
 * quotes stays as it is. Of other types, words that hold a ';' are quoted, for it would begin a
 * comment (CAA 0 issue ';'). Pure. */
#ifndef BAILIWICK_RECORD_WORDS_H
#define BAILIWICK_RECORD_WORDS_H

#include <stddef.h>

#include "core/util/buf.h"

void record_words_join(const char *type, const char *const *words, size_t n, struct buf *out);

#endif
