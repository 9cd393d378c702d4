/* The states of NOTIFY, and sending; private to dns/notify*.c. */
#ifndef DNS_NOTIFY_INT_H
#define DNS_NOTIFY_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/notify.h"
#include "dns/wire.h"

#define NOTIFY_LAST_MAX sizeof(((struct transfer_info *)NULL)->last)

struct notify_zone_state {
    int index; /* of records_zone_index() */
    char text[NAME_TEXT_MAX + 1];
    struct notify_zone zone;
    size_t first, n; /* its targets */
};

struct notify_target {
    size_t zone_at;
    struct ip_endpoint server;
    struct ip_addr source; /* family 0: the kernel's choice */
    char server_text[IP_TEXT_MAX + 10];
    const char *key;  /* transfer.key, or "" */
    struct tsig tsig; /* of the message sent last */
    bool is_awaiting, is_signed, has_newest;
    bool is_failing; /* and that was logged */
    uint16_t id;
    unsigned sends_n; /* in this round */
    int64_t sent_ms, due_ms;
    uint32_t newest, sent, answered;
    int64_t answered_unix;
    char last[NOTIFY_LAST_MAX];
};

struct notify {
    struct notify_options options;
    struct notify_zone_state *zones;
    size_t zones_n;
    int fd4, fd6; /* -1: not needed, or the machine lacks the family */
    struct loop *loop;
    pthread_mutex_t lock; /* guards the targets' states, the zones' SOA and is_poked */
    struct notify_target *targets;
    size_t targets_n;
    bool is_poked;
    /* --- the loop's thread only --- */
    struct loop_timer timer;
    struct loop_fd watch4, watch6;
};

/* --- with the lock held; no other I/O than a datagram ------------------------------------------- */
PRINTF_LIKE(2, 3) void notify_say(struct notify_target *target, const char *fmt, ...);
/* One message with the newest serial. */
void notify_transmit(struct notify *notify, struct notify_target *target);
/* ... and when to repeat it. */
void notify_await(struct notify_target *target);
void notify_round_begin(struct notify *notify, struct notify_target *target);
/* Answered or given up: what came meanwhile is sent. */
void notify_round_end(struct notify *notify, struct notify_target *target);

#endif
