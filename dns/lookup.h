/* Look-ups for the validator: the same question to our own zones first, then to the configured
 * resolvers, without blocking.
 *
 * Names that we serve are answered in-process by answer_build() over the current snapshot: the same
 * function that answers DNS. Other names: our own chase over `resolvers` (UDP with TCP on
 * truncation, EDNS 1232, random ids and source ports; id, question and peer of every answer are
 * checked), CNAMEs followed by us, at most LOOKUP_HOPS_MAX, loops detected; a chase that reaches a
 * name that we serve goes on in-process. Resolvers among our own listeners are skipped. Every step
 * is written, in words, into the trail. lookup_start_at() instead shows what one resolver says, of
 * our names too.
 * Not checked: DNSSEC.
 * Thread: the loop's, except lookups_new() and lookups_free(). RFC 1034 §3.6.2, RFC 5452. */
#ifndef DNS_LOOKUP_H
#define DNS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/loop.h"
#include "core/util/name.h"
#include "dns/zone.h"

#define LOOKUP_HOPS_MAX 16u
#define LOOKUP_TRY_MS 2000   /* one resolver, one try */
#define LOOKUP_RDATA_MAX 64u /* records of one answer that are kept */
#define LOOKUP_RDATA_LEN_MAX 1024u
#define LOOKUPS_MAX 8192u /* in flight */
#define LOOKUP_END_MAX (NAME_TEXT_MAX + 64u)

struct resolve_config {
    const struct ip_endpoint *resolvers;
    size_t resolvers_n;
    /* our DNS listeners; 0.0.0.0 and :: match every local address with that port */
    const struct ip_endpoint *own;
    size_t own_n;
};

/* The index-th resolver that is none of our own listeners; false behind the last one. Any thread. */
bool lookup_resolver(const struct resolve_config *config, size_t index, struct ip_endpoint *out);

enum lookup_type { LOOKUP_A = 1, LOOKUP_TXT = 16, LOOKUP_AAAA = 28, LOOKUP_CAA = 257 };

enum lookup_status {
    LOOKUP_FOUND = 1, /* records of the type are there */
    LOOKUP_NODATA,    /* the name exists without them */
    LOOKUP_NXDOMAIN,
    LOOKUP_FAILED /* no resolver answered usefully: time, SERVFAIL, REFUSED, loop, broken answers */
};
struct lookup_rdata {
    uint8_t
        *data; /* A: 4 bytes; AAAA: 16; TXT: its character-strings joined; CAA: as on the wire */
    size_t len;
};
struct lookup_result { /* valid during the callback only */
    enum lookup_status status;
    bool is_ours;                 /* the chase ended at a name that we serve: */
    char end[LOOKUP_END_MAX + 1]; /* the last name asked for, lower case, may hold underscores */
    struct lookup_rdata rdata[LOOKUP_RDATA_MAX];
    size_t rdata_n;
    bool is_cut;     /* longer records or further ones were left out */
    bool is_unasked; /* failed, and a resolver was not asked: we have no socket or memory left */
};
typedef void (*lookup_fn)(void *arg, const struct lookup_result *result);

struct lookups;
/* Borrows everything; config is read at each question. zones may be NULL (nothing is ours). */
MUST_USE struct err lookups_new(struct loop *loop, const struct resolve_config *config,
                                struct zone_db *zones, struct lookups **out);
/* After loop_stop() and before loop_free(). Look-ups in flight end without their callback. NULL is
 * fine. */
void lookups_free(struct lookups *lookups);

struct lookup;
/* Ask for `type` at `name`; fn is called exactly once, never from inside this call, unless the
 * look-up is cancelled before. deadline_ms: clock_mono_ms(). trail: borrowed until then, gets one
 * phrase per step, "; " between them; look-ups may share one. *out is valid until fn is called.
 * ERR_MALFORMED for a name that has no wire form, ERR_LIMIT at LOOKUPS_MAX, ERR_NOMEM. */
MUST_USE struct err lookup_start(struct lookups *lookups, const char *name, enum lookup_type type,
                                 int64_t deadline_ms, struct buf *trail, lookup_fn fn, void *arg,
                                 struct lookup **out);
/* The same question to one resolver alone, which is believed about names that we serve as well: how
 * things look to its other users. Each name of the chase is asked for once, without a second try.
 * index counts the resolvers that are none of our own listeners. ERR_NOT_FOUND behind the last one;
 * else as lookup_start(). */
struct lookup_at {
    size_t index;
    const char *name;
    enum lookup_type type;
    int64_t deadline_ms;
    struct buf *trail;
};
MUST_USE struct err lookup_start_at(struct lookups *lookups, const struct lookup_at *at,
                                    lookup_fn fn, void *arg, struct lookup **out);
/* fn will not be called. NULL is fine. */
void lookup_cancel(struct lookup *lookup);

/* In-process only, at once, any thread with its reader: status and rdata as above when the whole
 * chase stays in names that we serve; ERR_NOT_FOUND when it leaves them (*out->end says where to).
 * The caller frees with lookup_result_clear(). */
MUST_USE struct err lookup_own(struct zone_reader *reader, const char *name, enum lookup_type type,
                               struct lookup_result *out);
void lookup_result_clear(struct lookup_result *result);

#endif
