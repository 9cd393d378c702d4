/* The state directory: made with mode 0700, locked by one process at a time. */
#ifndef BAILIWICK_STATE_DIR_H
#define BAILIWICK_STATE_DIR_H

#include <stdbool.h>

#include "core/util/err.h"

/* Make `path` (parents must exist) and its keys/ folder where missing, and take the lock
 * <path>/lock. *lock_fd: keep it open; closing it gives the lock back. ERR_BUSY: another process
 * holds it; ERR_IO. */
MUST_USE struct err state_dir_open(const char *path, int *lock_fd);

/* A directory made for the test mode (--chaos) is for it alone, and no other may be used for it: the
 * file <path>/chaos marks it, made together with a new directory. ERR_CONFIG with a sentence. */
MUST_USE struct err state_dir_chaos(const char *path, bool is_chaos);

#endif
