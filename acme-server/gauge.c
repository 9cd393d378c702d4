#include <pthread.h>

#include "acme-server/limits_internal.h"
#include "core/util/mem.h"

struct gauge {
    pthread_mutex_t lock; /* leaf */
    struct key_table *keys;
    int64_t *entered_n; /* by place; a key in the table has at least 1 */
};

static void gauge_freep(struct gauge **gauge)
{
    gauge_free(*gauge);
}

struct err gauge_new(struct gauge **out)
{
    AUTO(gauge_freep) struct gauge *gauge = mem_zalloc(sizeof(*gauge));

    TRY_PTR(gauge);
    if (pthread_mutex_init(&gauge->lock, NULL) != 0) {
        mem_freep(&gauge);
        FAIL(ERR_NOMEM, "gauge: no mutex");
    }
    TRY(key_table_new(LIMITS_KEYS_MAX, &gauge->keys));
    gauge->entered_n = mem_array(LIMITS_KEYS_MAX, sizeof(*gauge->entered_n));
    TRY_PTR(gauge->entered_n);
    *out = MOVE(gauge);
    return err_ok();
}

void gauge_free(struct gauge *gauge)
{
    if (gauge != NULL) {
        key_table_free(gauge->keys);
        mem_free(gauge->entered_n);
        (void)pthread_mutex_destroy(&gauge->lock);
        mem_free(gauge);
    }
}

/* With the lock held. */
static bool enter(struct gauge *gauge, const char *key, int64_t max)
{
    uint32_t place = key_table_find(gauge->keys, key);

    if (place == KEY_TABLE_NONE) {
        place = key_table_add(gauge->keys, key);
        if (place == KEY_TABLE_NONE) {
            return false;
        }
        gauge->entered_n[place] = 0;
    } else if (max > 0 && gauge->entered_n[place] >= max) {
        return false;
    }
    gauge->entered_n[place]++;
    return true;
}

bool gauge_enter(struct gauge *gauge, const char *key, int64_t max)
{
    (void)pthread_mutex_lock(&gauge->lock);
    bool has_entered = enter(gauge, key, max);
    (void)pthread_mutex_unlock(&gauge->lock);
    return has_entered;
}

void gauge_leave(struct gauge *gauge, const char *key)
{
    (void)pthread_mutex_lock(&gauge->lock);
    uint32_t place = key_table_find(gauge->keys, key);
    if (place != KEY_TABLE_NONE && --gauge->entered_n[place] == 0) {
        key_table_remove(gauge->keys, place);
    }
    (void)pthread_mutex_unlock(&gauge->lock);
}
