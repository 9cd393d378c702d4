/* Starting a thread: the same everywhere. It takes no signals (they are the main thread's) and has a name
 * that ps, top and debuggers show.
 *
 * Joining stays with the caller, who owns what the thread works on.
 * Thread: any. */
#ifndef CORE_UTIL_THREAD_H
#define CORE_UTIL_THREAD_H

#include <pthread.h>
#include <stddef.h>

#include "core/util/err.h"

#define THREAD_NAME_MAX 15u   /* characters that Linux keeps */
#define THREAD_STACK_USUAL 0u /* the C library's size */

/* Starts fn(arg); *out is written on success and must be joined.
 * name         at most THREAD_NAME_MAX characters
 * stack_bytes  THREAD_STACK_USUAL, or at least PTHREAD_STACK_MIN
 * Result       ERR_LIMIT: the system gives no more threads; ERR_NOMEM */
MUST_USE struct err thread_start(const char *name, size_t stack_bytes, void *(*fn)(void *arg),
                                 void *arg, pthread_t *out);

#endif
