#include "core/http/peers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct peer {
    void *kept;
    int fd;
    bool is_listed;
    int64_t since_ms;
    struct peer *prev, *next;
};

struct peers {
    pthread_mutex_t lock;
    struct peer *oldest, *newest; /* those that wait */
};

struct err peers_new(struct peers **out)
{
    struct peers *peers = mem_zalloc(sizeof(*peers));

    TRY_PTR(peers);
    (void)pthread_mutex_init(&peers->lock, NULL);
    *out = peers;
    return err_ok();
}

void peers_free(struct peers *peers)
{
    if (peers != NULL) {
        (void)pthread_mutex_destroy(&peers->lock);
        mem_free(peers);
    }
}

static void list(struct peers *peers, struct peer *peer)
{
    if (peer->is_listed) {
        return;
    }
    peer->since_ms = clock_mono_ms();
    peer->is_listed = true;
    peer->next = NULL;
    peer->prev = peers->newest;
    if (peers->newest == NULL) {
        peers->oldest = peer;
    } else {
        peers->newest->next = peer;
    }
    peers->newest = peer;
}

static void unlist(struct peers *peers, struct peer *peer)
{
    if (!peer->is_listed) {
        return;
    }
    peer->is_listed = false;
    if (peer->prev == NULL) {
        peers->oldest = peer->next;
    } else {
        peer->prev->next = peer->next;
    }
    if (peer->next == NULL) {
        peers->newest = peer->prev;
    } else {
        peer->next->prev = peer->prev;
    }
}

struct peer *peers_add(struct peers *peers, int fd)
{
    struct peer *peer = mem_zalloc(sizeof(*peer));

    if (peer == NULL) {
        return NULL;
    }
    peer->fd = fd;
    peers_waiting(peers, peer);
    return peer;
}

void peer_keep(struct peer *peer, void *kept)
{
    peer->kept = kept;
}

void *peers_remove(struct peers *peers, struct peer *peer)
{
    if (peer == NULL) {
        return NULL;
    }
    peers_busy(peers, peer);
    void *kept = peer->kept;
    mem_free(peer);
    return kept;
}

void peers_busy(struct peers *peers, struct peer *peer)
{
    if (peer != NULL) {
        (void)pthread_mutex_lock(&peers->lock);
        unlist(peers, peer);
        (void)pthread_mutex_unlock(&peers->lock);
    }
}

void peers_waiting(struct peers *peers, struct peer *peer)
{
    if (peer != NULL) {
        (void)pthread_mutex_lock(&peers->lock);
        list(peers, peer);
        (void)pthread_mutex_unlock(&peers->lock);
    }
}

size_t peers_shut_slow(struct peers *peers)
{
    int64_t before_ms = clock_mono_ms() - PEERS_PATIENCE_MS;
    size_t n = 0;

    /* Under the lock: whoever is listed was not removed, so its descriptor is still its own. */
    (void)pthread_mutex_lock(&peers->lock);
    while (peers->oldest != NULL && peers->oldest->since_ms < before_ms) {
        struct peer *peer = peers->oldest;
        unlist(peers, peer);
        (void)shutdown(peer->fd, SHUT_RDWR);
        n++;
    }
    (void)pthread_mutex_unlock(&peers->lock);
    return n;
}
