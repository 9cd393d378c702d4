/* Whole files: bounded reading and atomic writing; descriptors that close themselves.
 *
 * Thread: any. Not checked: who owns the path's directories. */
#ifndef CORE_UTIL_FILE_H
#define CORE_UTIL_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "core/util/buf.h"
#include "core/util/err.h"

/* Read a whole file of at most out->max bytes; a pipe without a writer is empty, not waited for.
 * ERR_NOT_FOUND, ERR_LIMIT when it is larger, ERR_IO (a directory too). */
MUST_USE struct err file_read(const char *path, struct buf *out);
/* Write beside, fsync, rename over, fsync the directory: after ERR_OK the new content survives a
 * crash, before it the old one. */
MUST_USE struct err file_write_atomic(const char *path, mode_t mode, const void *data, size_t len);
/* For AUTO(): close, unless it is negative. */
void file_closep(int *fd);

#endif
