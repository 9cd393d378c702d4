/* Checked memory: the only callers of malloc and free, cleanup-scoped ownership, secrets.
 *
 * Thread rule: any.  Sizes are bytes.  Nothing here aborts: a NULL result is the caller's to report
 * (TRY_PTR). */
#ifndef CORE_UTIL_MEM_H
#define CORE_UTIL_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

/* Run `fn(&variable)` when the variable goes out of scope. */
#define AUTO(fn) __attribute__((cleanup(fn)))
/* Hand a pointer over: the value, with the variable emptied. */
#define MOVE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) moved_ = (p);                                                                \
        (p) = NULL;                                                                                \
        moved_;                                                                                    \
    })
#define ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory of n bytes (n 0 counts as 1), or NULL. */
void *mem_zalloc(size_t n);
/* Zeroed memory of n * size bytes, or NULL also when the product overflows. */
void *mem_array(size_t n, size_t size);
/* realloc(): NULL leaves the old block alive. */
void *mem_resize(void *p, size_t n);
/* Heap copies; NULL when memory is exhausted.  mem_strndup copies exactly n bytes and
 * terminates. */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
void *mem_dup(const void *p, size_t n);
void mem_free(void *p);
/* For AUTO(): takes the address of any pointer variable. */
void mem_freep(void *pointer_address);
/* Overwrite so that the compiler cannot drop it. */
void mem_wipe(void *p, size_t n);

/* Key material and passwords: wiped when cleared, never given to the logger. */
struct secret {
    uint8_t *data;
    size_t len;
};
MUST_USE struct err secret_set(struct secret *s, const void *data, size_t len);
void secret_clear(struct secret *s);

#endif
