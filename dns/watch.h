/* What DNS did: counters per zone, type and RCODE, and a bounded query log that can be switched on.
 *
 * Counters are per thread and summed when read; the log is a ring of WATCH_LOG_MAX entries in memory,
 * written only while it is on (one atomic load otherwise). Nothing is written to disk.
 * Thread: any, but watch_note() per struct watch_thread. */
#ifndef DNS_WATCH_H
#define DNS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/answer.h"

#define WATCH_LOG_MAX 4096u

struct watch;
struct watch_thread; /* one per counting thread; written by it alone */
/* For the zones of this table; their names are copied. Off at first. ERR_NOMEM. */
MUST_USE struct err watch_new(struct zone_db *zones, struct watch **out);
/* With every watch_thread: nobody may count any more. NULL is fine. */
void watch_free(struct watch *watch);
/* Counters of one thread; owned by watch. ERR_NOMEM. */
MUST_USE struct err watch_thread_new(struct watch *watch, struct watch_thread **out);
/* Count one answer (ANSWER_SEND, or ANSWER_WORK by the work thread that knows its RCODE), and log it
 * while the log is on. ANSWER_FORWARD is logged only: forward_count() counts those; ANSWER_DROP is
 * neither. No lock unless the log is on. */
void watch_note(struct watch_thread *thread, const struct answer_in *in,
                const struct answer_info *info, enum answer_verdict verdict);
struct watch_count {
    char zone[NAME_TEXT_MAX + 1]; /* "" = none of ours */
    uint16_t type;                /* 0: no readable question; WATCH_TYPE_OTHER */
    uint16_t rcode;               /* 65535: one that is not counted by itself */
    uint64_t n;
};
#define WATCH_TYPE_OTHER 65535u
/* Those that are not 0, sorted by zone, type and RCODE; *out: mem_free(). Other threads count on meanwhile.
 * ERR_NOMEM. */
MUST_USE struct err watch_counts(struct watch *watch, struct watch_count **out, size_t *out_n);
/* Switches the log. Its memory is taken when it is first on and kept; it stays off where there is none. */
void watch_log_set(struct watch *watch, bool is_on);
/* Is it on? */
bool watch_log_is_on(const struct watch *watch);
struct watch_entry {
    int64_t unix_ms;
    struct ip_addr peer;
    bool is_tcp;
    char name[NAME_TEXT_MAX * 4 + 1]; /* escaped */
    uint16_t type, rcode;
    enum answer_reason reason;
    enum answer_verdict verdict;
};
/* The newest `max`, oldest first; *out: mem_free(). Those from before it was switched off stay. ERR_NOMEM. */
MUST_USE struct err watch_log(struct watch *watch, size_t max, struct watch_entry **out,
                              size_t *out_n);

#endif
