/* Whole files: bounded reading and atomic writing.
 *
 * Thread: any. Not checked: who owns the path's directories. */
#ifndef CORE_UTIL_FILE_H
#define CORE_UTIL_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "core/util/buf.h"
#include "core/util/err.h"

/* Read a regular file of at most out->max bytes. ERR_NOT_FOUND when it does not exist, ERR_LIMIT when it is larger, ERR_IO. */
MUST_USE struct err file_read(const char *path, struct buf *out);
/* Write beside, fsync, rename over, fsync the directory: after ERR_OK the new content survives a crash, before it the old one. */
MUST_USE struct err file_write_atomic(const char *path, mode_t mode, const void *data, size_t len);

#endif
