/* Files of the keys directory: written durably, read suspiciously. Private to the ca library. */
#ifndef CA_KEYFILE_H
#define CA_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/util/err.h"
#include "core/util/mem.h"

#define KEYFILE_MAX (64u * 1024u)

/* Open a keys directory. ERR_CONFIG when it is not ours alone to change; ERR_NOT_FOUND. */
MUST_USE struct err keyfile_dir_open(const char *path, int *fd);
void keyfile_dir_closep(int *fd); /* for AUTO(); -1 is fine */
/* Make `name` (must not exist) with mode 0600 for a secret, else 0644, and sync it. */
MUST_USE struct err keyfile_write(int dir, const char *name, const void *data, size_t len,
                                  bool is_secret);
/* The whole file. A secret must be a regular file of ours that nobody else can read: ERR_CONFIG
 * with what to do; ERR_NOT_FOUND. out: caller clears. */
MUST_USE struct err keyfile_read(int dir, const char *name, bool is_secret, struct secret *out);
MUST_USE struct err keyfile_sync(int fd);

#endif
