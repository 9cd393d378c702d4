/* The state directory without a daemon, for the client commands.
 *
 * Thread: main only. */
#ifndef BAILIWICK_OFFLINE_H
#define BAILIWICK_OFFLINE_H

#include "bailiwick/app.h"

/* app_offline_open(), after app_init() where the certificate authority was never made: a state directory that a client command
 * touched first must still be one that `init` and `serve` accept. */
MUST_USE struct err offline_open(const struct config *cfg, struct app_offline **out);
/* Close, keeping this thread's trace when `result` is a failure; returns `result`. */
MUST_USE struct err offline_close(struct app_offline *offline, struct err result);

#endif
