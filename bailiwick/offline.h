/* The state directory without a daemon, for the client commands.
 *
 * Thread: main only. */
#ifndef BAILIWICK_OFFLINE_H
#define BAILIWICK_OFFLINE_H

#include "bailiwick/app.h"

/* app_offline_close() that keeps the trace of `result`, which it returns. */
MUST_USE struct err offline_close(struct app_offline *offline, struct err result);

/* app_offline_open() for commands that only look or remove: ERR_NOT_FOUND, and nothing is made, where
 * the state directory has no database yet. */
MUST_USE struct err offline_open_existing(const struct config *cfg, struct app_offline **out);

#endif
