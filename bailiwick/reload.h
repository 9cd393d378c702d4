/* SIGHUP: the configuration is read again and what can change while running does.
 *
 * Thread: main. */
#ifndef BAILIWICK_RELOAD_H
#define BAILIWICK_RELOAD_H

#include "acme-server/acme.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/zone_records.h"

struct reload; /* the configurations that were read again: they live as long as acme */
/* Read file and environment again, put acme's settings and the log's in force, name in the log what
 * needs a restart. A configuration that is wrong changes nothing: its problems are logged. */
MUST_USE struct err reload_config(const struct config *running, struct acme *acme,
                                  struct reload **list);
/* The zones' files again; faults are logged, and their zones stay as they are. Blocks. */
void reload_zones(struct records *records);
/* After acme_free(). NULL is fine. */
void reload_free(struct reload *list);

#endif
