/* The state directory without a daemon, for the client commands.
 *
 * Thread: main only. */
#ifndef BAILIWICK_OFFLINE_H
#define BAILIWICK_OFFLINE_H

#include "bailiwick/app.h"

/* app_offline_close() that keeps the trace of `result`, which it returns. */
MUST_USE struct err offline_close(struct app_offline *offline, struct err result);

#endif
