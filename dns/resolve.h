/* Names that other servers answer: our own CNAME chase for TXT over the configured resolvers.
 *
 * Used by the validator for names in zones with serve: false (and any name we do not serve). Asks
 * the resolvers over UDP with TCP on truncation, EDNS 1232, random ids and source ports, checks id,
 * question and peer of every answer, follows CNAMEs itself: at most RESOLVE_HOPS_MAX, loops
 * detected; when the chase reaches a name that we serve it stops there (the caller looks it up in
 * the snapshot). Endpoints among our own listeners are skipped. Every step is written, in words,
 * into `trail`. */
#ifndef DNS_RESOLVE_H
#define DNS_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/zone.h"

#define RESOLVE_HOPS_MAX 16u
#define RESOLVE_TXT_MAX 64u
#define RESOLVE_TRY_MS 2000

struct resolve_config {
    const struct ip_endpoint *resolvers;
    size_t resolvers_n;
    /* our DNS listeners; 0.0.0.0 and :: match every local address with that port */
    const struct ip_endpoint *own;
    size_t own_n;
};
struct resolve_result {
    bool is_ours;                     /* the chase ended at a name that we serve: `end` */
    char end[NAME_TEXT_MAX + 1 + 64]; /* last name (may hold underscore labels) */
    /* TXT RRs, each its character-strings joined; longer ones are left out */
    char txt[RESOLVE_TXT_MAX][256];
    size_t txt_n;
};
/* Blocks up to deadline_ms (clock_mono_ms). ERR_TIMEOUT, ERR_IO (no resolver answered), ERR_LIMIT
 * (hops or loop), ERR_NOT_FOUND (NXDOMAIN or no TXT), ERR_MALFORMED; `trail` gets what was asked,
 * where, and what came back. Thread: validators; reader is the caller's. */
MUST_USE struct err resolve_txt(const struct resolve_config *config, struct zone_reader *reader,
                                const char *name, int64_t deadline_ms, struct buf *trail,
                                struct resolve_result *out);

#endif
