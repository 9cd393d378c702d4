/* Which digests are expected, for which identifiers: memory only, bounded. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define DIGEST_BUCKETS 16384u
#define LABEL_BUCKETS 1024u

struct node {
    struct node *next;       /* in its digest bucket */
    struct node *next_label; /* in its label bucket, when label is set */
    char digest[TXT_VALUE_LEN + 1];
    char label[DELEGATE_HASHED_LEN + 1]; /* hashed; "" unless a delegate name needs that */
    struct expectation what;
    int64_t expires_unix;
};

struct expectations {
    pthread_mutex_t lock; /* leaf */
    size_t n;
    int64_t swept_unix;
    struct node *by_digest[DIGEST_BUCKETS];
    struct node *by_label[LABEL_BUCKETS];
};

struct err expectations_new(struct expectations **out)
{
    struct expectations *x = mem_zalloc(sizeof(*x));

    TRY_PTR(x);
    if (pthread_mutex_init(&x->lock, NULL) != 0) {
        mem_free(x);
        FAIL(ERR_NOMEM, "expectations: no mutex");
    }
    *out = x;
    return err_ok();
}

void expectations_free(struct expectations *x)
{
    if (x == NULL) {
        return;
    }
    for (size_t i = 0; i < DIGEST_BUCKETS; i++) {
        while (x->by_digest[i] != NULL) {
            struct node *node = x->by_digest[i];
            x->by_digest[i] = node->next;
            mem_free(node);
        }
    }
    (void)pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

static size_t hash(const char *text, size_t buckets)
{
    uint32_t h = 2166136261u;

    for (; *text != '\0'; text++) {
        h = (h ^ (uint8_t)*text) * 16777619u;
    }
    return h % buckets;
}

static struct node *find(struct expectations *x, const char *digest)
{
    struct node *node = x->by_digest[hash(digest, DIGEST_BUCKETS)];

    while (node != NULL && strcmp(node->digest, digest) != 0) {
        node = node->next;
    }
    return node;
}

static void unlink_label(struct expectations *x, const struct node *node)
{
    struct node **at = &x->by_label[hash(node->label, LABEL_BUCKETS)];

    while (*at != NULL && *at != node) {
        at = &(*at)->next_label;
    }
    if (*at != NULL) {
        *at = node->next_label;
    }
}

/* Remove the node that *at points to. */
static void drop(struct expectations *x, struct node **at)
{
    struct node *node = *at;

    if (node->label[0] != '\0') {
        unlink_label(x, node);
    }
    *at = node->next;
    x->n--;
    mem_free(node);
}

static size_t sweep(struct expectations *x, int64_t now)
{
    size_t before = x->n;

    x->swept_unix = now;
    for (size_t i = 0; i < DIGEST_BUCKETS; i++) {
        struct node **at = &x->by_digest[i];
        while (*at != NULL) {
            if ((*at)->expires_unix <= now) {
                drop(x, at);
            } else {
                at = &(*at)->next;
            }
        }
    }
    return before - x->n;
}

static bool insert(struct expectations *x, struct node *node)
{
    int64_t now = clock_unix_s();

    if (x->n >= DELEGATE_EXPECT_MAX && x->swept_unix != now) {
        (void)sweep(x, now);
    }
    if (x->n >= DELEGATE_EXPECT_MAX) {
        return false;
    }
    struct node **bucket = &x->by_digest[hash(node->digest, DIGEST_BUCKETS)];
    node->next = *bucket;
    *bucket = node;
    if (node->label[0] != '\0') {
        bucket = &x->by_label[hash(node->label, LABEL_BUCKETS)];
        node->next_label = *bucket;
        *bucket = node;
    }
    x->n++;
    return true;
}

static void remove_digest(struct expectations *x, const char *digest)
{
    struct node **at = &x->by_digest[hash(digest, DIGEST_BUCKETS)];

    while (*at != NULL && strcmp((*at)->digest, digest) != 0) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        drop(x, at);
    }
}

/* The hashed label of a name that is too long for one of its delegate names, "" for the others. */
static void hashed_label(const struct delegate *d, const char *base, char *label)
{
    const size_t longest =
        ZONE_ACCOUNT_LABEL_LEN + 1 + strlen(base) + 1 + strlen(d->cfg->delegate_zone);

    label[0] = '\0';
    if (longest > NAME_TEXT_MAX) {
        delegate_hash(base, label);
    }
}

static void expect(struct delegate *delegate, const struct expectation *what,
                   const char digest[TXT_VALUE_LEN + 1], int64_t expires_unix)
{
    struct expectations *x = delegate->expected;
    struct node *node = mem_zalloc(sizeof(*node));
    bool is_in = false;

    if (node != NULL && strlen(digest) == TXT_VALUE_LEN) {
        memcpy(node->digest, digest, TXT_VALUE_LEN + 1);
        node->what = *what;
        node->expires_unix = expires_unix;
        hashed_label(delegate, what->id.base, node->label);
        (void)pthread_mutex_lock(&x->lock);
        remove_digest(x, digest);
        is_in = insert(x, node);
        (void)pthread_mutex_unlock(&x->lock);
    }
    if (!is_in) {
        mem_free(node);
        log_ev(LOG_WARN, "delegate.expect.lost", {"name", what->id.base},
               {"msg", "too many pending challenges or no memory: late binding and open mode will "
                       "not know this one; publish with a name"});
    }
}

void delegate_expect(struct delegate *delegate, const struct ident *id,
                     const char digest[TXT_VALUE_LEN + 1], int64_t expires_unix)
{
    const struct expectation what = {*id, ""};

    expect(delegate, &what, digest, expires_unix);
}

void delegate_expect_account(struct delegate *delegate, const struct ident *id, const char *label,
                             const char digest[TXT_VALUE_LEN + 1], int64_t expires_unix)
{
    struct expectation what = {*id, ""};

    if (zone_is_account_label(label, strlen(label))) {
        memcpy(what.label, label, ZONE_ACCOUNT_LABEL_LEN);
    }
    expect(delegate, &what, digest, expires_unix);
}

void delegate_forget(struct delegate *delegate, const char digest[TXT_VALUE_LEN + 1])
{
    struct expectations *x = delegate->expected;

    (void)pthread_mutex_lock(&x->lock);
    remove_digest(x, digest);
    (void)pthread_mutex_unlock(&x->lock);
}

bool expectations_find(struct expectations *x, const char *digest, struct expectation *out)
{
    (void)pthread_mutex_lock(&x->lock);
    const struct node *node = find(x, digest);
    bool is_found = node != NULL && node->expires_unix > clock_unix_s();
    if (is_found && out != NULL) {
        *out = node->what;
    }
    (void)pthread_mutex_unlock(&x->lock);
    return is_found;
}

bool expectations_hashed(struct expectations *x, const char *label, char base[NAME_TEXT_MAX + 1])
{
    int64_t now = clock_unix_s();

    (void)pthread_mutex_lock(&x->lock);
    const struct node *node = x->by_label[hash(label, LABEL_BUCKETS)];
    while (node != NULL && (strcmp(node->label, label) != 0 || node->expires_unix <= now)) {
        node = node->next_label;
    }
    if (node != NULL) {
        memcpy(base, node->what.id.base, sizeof(node->what.id.base));
    }
    (void)pthread_mutex_unlock(&x->lock);
    return node != NULL;
}

size_t expectations_sweep(struct expectations *x)
{
    (void)pthread_mutex_lock(&x->lock);
    size_t n = sweep(x, clock_unix_s());
    (void)pthread_mutex_unlock(&x->lock);
    return n;
}
