/* The state directory: made with mode 0700, locked by one process at a time. */
#ifndef BAILIWICK_STATE_DIR_H
#define BAILIWICK_STATE_DIR_H

#include "core/util/err.h"

/* Make `path` (parents must exist) and its keys/ folder where missing, and take the lock
 * <path>/lock. *lock_fd: keep it open; closing it gives the lock back. ERR_BUSY: another process
 * holds it; ERR_IO. */
MUST_USE struct err state_dir_open(const char *path, int *lock_fd);

#endif
