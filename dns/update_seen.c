/* Signed updates of the last minutes by their MACs, so that a repeat is answered and not applied again. */
#include "dns/update_int.h"

#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"
#include "dns/cookie.h"

#define SETS_N 16384u /* 2 MiB, of which the machine gives what is used */
#define WAYS_N 4u
/* The octets that every MAC we take has: one that is cut is the same message's. */
#define MAC_LEN TSIG_MAC_MIN

enum seen_state { SEEN_NOTHING, SEEN_UNDER_WAY, SEEN_ANSWERED };

struct seen_row {
    int64_t until_unix; /* of its signature */
    uint8_t mac[MAC_LEN];
    uint8_t state, rcode;
};

struct update_seen {
    pthread_mutex_t lock; /* leaf: the rows */
    uint8_t key[COOKIE_KEY_LEN];
    struct seen_row rows[SETS_N][WAYS_N];
};

struct err update_seen_new(struct update_seen **out)
{
    AUTO(mem_freep) struct update_seen *seen = mem_zalloc(sizeof(*seen));

    TRY_PTR(seen);
    TRY(random_bytes(seen->key, sizeof(seen->key)));
    if (pthread_mutex_init(&seen->lock, NULL) != 0) {
        FAIL(ERR_NOMEM, "update: no mutex");
    }
    *out = MOVE(seen);
    return err_ok();
}

void update_seen_free(struct update_seen *seen)
{
    if (seen != NULL) {
        (void)pthread_mutex_destroy(&seen->lock);
        mem_free(seen);
    }
}

/* Stirred with what nobody outside knows, so that nobody makes messages that push another one out. */
static struct seen_row *set_of(struct update_seen *seen, const struct tsig *tsig)
{
    return seen->rows[cookie_siphash(seen->key, tsig->mac, MAC_LEN) % SETS_N];
}

/* NULL: not there. MACs are no secrets once they were sent. */
static struct seen_row *find(struct seen_row *set, const struct tsig *tsig)
{
    for (size_t i = 0; i < WAYS_N; i++) {
        if (set[i].state != SEEN_NOTHING && ct_equal(set[i].mac, MAC_LEN, tsig->mac, MAC_LEN)) {
            return &set[i];
        }
    }
    return NULL;
}

/* A free row, or the one whose signature ends first; NULL: all are under way. */
static struct seen_row *room(struct seen_row *set)
{
    struct seen_row *oldest = NULL;

    for (size_t i = 0; i < WAYS_N; i++) {
        if (set[i].state == SEEN_NOTHING) {
            return &set[i];
        }
        if (set[i].state == SEEN_ANSWERED &&
            (oldest == NULL || set[i].until_unix < oldest->until_unix)) {
            oldest = &set[i];
        }
    }
    return oldest;
}

enum update_again update_seen_begin(struct update_seen *seen, const struct tsig *tsig,
                                    enum dns_rcode *rcode)
{
    enum update_again again = UPDATE_NEW;

    if (tsig->mac_len < MAC_LEN) {
        return again;
    }
    (void)pthread_mutex_lock(&seen->lock);
    struct seen_row *set = set_of(seen, tsig);
    struct seen_row *row = find(set, tsig);
    if (row != NULL && row->state == SEEN_UNDER_WAY) {
        again = UPDATE_UNDER_WAY;
    } else if (row != NULL) {
        again = UPDATE_ANSWERED;
        *rcode = (enum dns_rcode)row->rcode;
    } else {
        row = room(set);
        if (row != NULL) {
            memcpy(row->mac, tsig->mac, MAC_LEN);
            row->until_unix = (int64_t)tsig->time + TSIG_FUDGE_S;
            row->state = SEEN_UNDER_WAY;
        }
    }
    (void)pthread_mutex_unlock(&seen->lock);
    return again;
}

void update_seen_end(struct update_seen *seen, const struct tsig *tsig, enum dns_rcode rcode)
{
    if (tsig->mac_len < MAC_LEN) {
        return;
    }
    (void)pthread_mutex_lock(&seen->lock);
    struct seen_row *row = find(set_of(seen, tsig), tsig);
    if (row != NULL) {
        row->state = rcode == RCODE_SERVFAIL ? SEEN_NOTHING : SEEN_ANSWERED;
        row->rcode = (uint8_t)rcode;
    }
    (void)pthread_mutex_unlock(&seen->lock);
}
