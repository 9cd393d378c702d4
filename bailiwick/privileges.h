/* Giving up root: work as the state directory's owner from the first file on, root only while
 * sockets are bound.
 *
 * Started as root with a state directory that belongs to another user, the daemon becomes that user
 * for good once its sockets are bound. Started otherwise, nothing changes. Thread: main, before
 * other threads of ours do work. */
#ifndef BAILIWICK_PRIVILEGES_H
#define BAILIWICK_PRIVILEGES_H

#include "core/util/err.h"

/* What the limits of connections (HTTP and DNS over TCP) and our own files need together. */
#define PRIVILEGES_FILES_WANTED 8192u

/* No core dumps, no new privileges, umask 077, and open files up to PRIVILEGES_FILES_WANTED where
 * the hard limit allows. */
MUST_USE struct err privileges_harden(void);
/* Become the owner of state_dir for file access. */
MUST_USE struct err privileges_enter(const char *state_dir);
/* Root again, for binding; files still belong to the owner and are reached with the owner's rights
 * only (this thread). A no-op when privileges_enter() changed nothing. */
MUST_USE struct err privileges_raise(void);
/* Give root up for good, in every thread. */
MUST_USE struct err privileges_drop(void);

#endif
