#include "acme-server/chaos.h"

#include "core/util/mem.h"
#include "core/util/token.h"

#define SHUFFLE_MAX 256u

struct chaos {
    uint32_t nonce_percent, reuse_percent;
    uint32_t delay_ms_max;
};

struct err chaos_new(struct chaos **out)
{
    struct chaos *chaos = mem_zalloc(sizeof(*chaos));

    TRY_PTR(chaos);
    chaos->nonce_percent = CHAOS_NONCE_PERCENT;
    chaos->reuse_percent = CHAOS_REUSE_PERCENT;
    chaos->delay_ms_max = CHAOS_DELAY_MS_MAX;
    *out = chaos;
    return err_ok();
}

void chaos_free(struct chaos *chaos)
{
    mem_free(chaos);
}

/* 0 to n - 1, each as likely as the others. Without random bytes from the system n - 1, which is the
 * orderly answer everywhere below. */
static uint32_t pick(uint32_t n)
{
    uint32_t value = 0;
    uint32_t uneven = UINT32_MAX - UINT32_MAX % n; /* from here on the last round is cut */

    do {
        if (random_bytes(&value, sizeof(value)).code != ERR_OK) {
            return n - 1;
        }
    } while (value >= uneven);
    return value % n;
}

bool chaos_rejects_nonce(struct chaos *chaos)
{
    return chaos != NULL && pick(100) < chaos->nonce_percent;
}

void chaos_shuffle(struct chaos *chaos, uint8_t *order, size_t n)
{
    size_t known_n = n < SHUFFLE_MAX ? n : SHUFFLE_MAX;

    for (size_t i = 0; i < known_n; i++) {
        order[i] = (uint8_t)i;
    }
    if (chaos == NULL) {
        return;
    }
    for (size_t i = known_n; i > 1; i--) { /* Fisher and Yates */
        size_t other = pick((uint32_t)i);
        uint8_t last = order[i - 1];
        order[i - 1] = order[other];
        order[other] = last;
    }
}

int64_t chaos_delay_ms(struct chaos *chaos)
{
    return chaos == NULL ? 0 : chaos->delay_ms_max - (int64_t)pick(chaos->delay_ms_max + 1);
}

bool chaos_reuses(struct chaos *chaos)
{
    return chaos == NULL || pick(100) >= 100 - chaos->reuse_percent;
}
