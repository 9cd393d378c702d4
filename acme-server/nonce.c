#include "acme-server/nonce.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

/* Raw form, 32 bytes: counter (8), seconds since the box was made (4), MAC over both (20). */
#define COUNTER_LEN 8u
#define TIME_LEN 4u
#define HEAD_LEN (COUNTER_LEN + TIME_LEN)
#define MAC_LEN 20u
#define RAW_LEN (HEAD_LEN + MAC_LEN)
#define KEY_LEN 32u

struct nonce_box {
    EVP_MAC_CTX *mac; /* keyed template; duplicated for each MAC, never used itself */
    int64_t start_ms;
    pthread_mutex_t lock; /* leaf; guards what follows */
    uint64_t next;
    uint8_t used[NONCE_WINDOW / 8]; /* bit i: the live counter that is i modulo NONCE_WINDOW */
};

static void box_freep(struct nonce_box **box)
{
    nonce_box_free(*box);
}

static void mac_ctx_freep(EVP_MAC_CTX **ctx)
{
    EVP_MAC_CTX_free(*ctx);
}

static struct err mac_template(struct nonce_box *box)
{
    uint8_t key[KEY_LEN];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    TRY_PTR(mac);
    box->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac); /* the context holds its own reference */
    TRY_PTR(box->mac);
    TRY(random_bytes(key, sizeof(key)));
    int ok = EVP_MAC_init(box->mac, key, sizeof(key), params);
    mem_wipe(key, sizeof(key));
    TRY_OSSL(ok);
    return err_ok();
}

struct err nonce_box_new(struct nonce_box **out)
{
    AUTO(box_freep) struct nonce_box *box = mem_zalloc(sizeof(*box));

    TRY_PTR(box);
    if (pthread_mutex_init(&box->lock, NULL) != 0) {
        mem_freep(&box);
        FAIL(ERR_NOMEM, "nonce: no mutex");
    }
    box->start_ms = clock_mono_ms();
    TRY(mac_template(box));
    *out = MOVE(box);
    return err_ok();
}

void nonce_box_free(struct nonce_box *box)
{
    if (box == NULL) {
        return;
    }
    EVP_MAC_CTX_free(box->mac);
    (void)pthread_mutex_destroy(&box->lock);
    mem_free(box);
}

static struct err compute_mac(const struct nonce_box *box, const uint8_t head[HEAD_LEN],
                              uint8_t out[MAC_LEN])
{
    uint8_t full[SHA256_LEN];
    size_t len = 0;
    AUTO(mac_ctx_freep) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(box->mac);

    TRY_PTR(ctx);
    TRY_OSSL(EVP_MAC_update(ctx, head, HEAD_LEN));
    TRY_OSSL(EVP_MAC_final(ctx, full, &len, sizeof(full)));
    memcpy(out, full, MAC_LEN);
    return err_ok();
}

static uint32_t age_s(const struct nonce_box *box)
{
    return (uint32_t)((clock_mono_ms() - box->start_ms) / 1000);
}

static void put_be(uint8_t *out, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *in, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

struct err nonce_issue(struct nonce_box *box, char out[NONCE_LEN + 1])
{
    uint8_t raw[RAW_LEN];

    (void)pthread_mutex_lock(&box->lock);
    uint64_t counter = box->next++;
    /* The bit's former owner, counter - NONCE_WINDOW, leaves the window with this very step. */
    size_t bit = (size_t)(counter % NONCE_WINDOW);
    box->used[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
    (void)pthread_mutex_unlock(&box->lock);

    put_be(raw, counter, COUNTER_LEN);
    put_be(raw + COUNTER_LEN, age_s(box), TIME_LEN);
    TRY(compute_mac(box, raw, raw + HEAD_LEN));
    base64url_encode(raw, sizeof(raw), out);
    return err_ok();
}

enum nonce_use { NONCE_FRESH, NONCE_OLD, NONCE_USED };

static enum nonce_use mark_used(struct nonce_box *box, uint64_t counter)
{
    size_t bit = (size_t)(counter % NONCE_WINDOW);
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    enum nonce_use use = NONCE_FRESH;

    (void)pthread_mutex_lock(&box->lock);
    if (counter >= box->next || box->next - counter > NONCE_WINDOW) {
        use = NONCE_OLD;
    } else if ((box->used[bit / 8] & mask) != 0) {
        use = NONCE_USED;
    } else {
        box->used[bit / 8] |= mask;
    }
    (void)pthread_mutex_unlock(&box->lock);
    return use;
}

struct err nonce_consume(struct nonce_box *box, const char *nonce, struct problem *prob)
{
    uint8_t raw[RAW_LEN];
    uint8_t mac[MAC_LEN];
    size_t raw_len = sizeof(raw);
    size_t len = strnlen(nonce, NONCE_LEN + 1);

    if (len != NONCE_LEN || base64url_decode(nonce, len, raw, &raw_len).code != ERR_OK) {
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The nonce is not from this server: use the Replay-Nonce of this reply.");
    }
    TRY(compute_mac(box, raw, mac));
    if (!ct_equal(mac, sizeof(mac), raw + HEAD_LEN, MAC_LEN)) {
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The nonce is not from this server, or the server was restarted since: use the "
               "Replay-Nonce of this reply.");
    }
    uint32_t age = age_s(box) - (uint32_t)get_be(raw + COUNTER_LEN, TIME_LEN);
    enum nonce_use use = age > NONCE_TTL_S ? NONCE_OLD : mark_used(box, get_be(raw, COUNTER_LEN));
    switch (use) {
    case NONCE_FRESH:
        return err_ok();
    case NONCE_OLD:
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The nonce is too old: use the Replay-Nonce of this reply.");
    case NONCE_USED:
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The nonce was used before: use the Replay-Nonce of this reply, each one once.");
    }
    FAIL(ERR_INTERNAL, "nonce: impossible use");
}
