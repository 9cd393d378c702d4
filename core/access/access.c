#include "core/access/access_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define NOBODY_KEY_LEN (ACCESS_SECRET_LEN / 4u * 3u) /* as most keys are */

static const char WRONG_CREDENTIAL[] =
    "the client name or its secret is wrong: see 'bailiwick client list'";

struct remove_hook {
    struct err (*fn)(void *ctx, struct db *db, const char *client);
    void *ctx;
};

struct access {
    const struct config *cfg;
    struct store *store;
    struct throttle *throttle;
    pthread_mutex_t lock; /* leaf: the bucket chains */
    struct client *buckets[CLIENT_BUCKETS];
    size_t clients_n;
    struct remove_hook hooks[REMOVE_HOOKS_MAX];
    size_t hooks_n;
    uint8_t nobody_hash[SHA256_LEN];    /* compared when the name is unknown */
    uint8_t nobody_key[NOBODY_KEY_LEN]; /* the same for MACs */
};

static struct client **bucket_of(struct access *access, const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name != '\0'; name++) {
        h = (h ^ (uint32_t)tolower((unsigned char)*name)) * 16777619u;
    }
    return &access->buckets[h % CLIENT_BUCKETS];
}

/* A reference to the entry of `name`, or NULL. */
static struct client *lookup(struct access *access, const char *name)
{
    (void)pthread_mutex_lock(&access->lock);
    struct client *client = *bucket_of(access, name);
    while (client != NULL && strcasecmp(client->name, name) != 0) {
        client = client->next;
    }
    if (client != NULL) {
        (void)client_ref(client);
    }
    (void)pthread_mutex_unlock(&access->lock);
    return client;
}

/* On-commit hook. */
static void link_client(void *arg)
{
    struct client *client = arg;
    struct access *access = client->access;

    (void)pthread_mutex_lock(&access->lock);
    struct client **bucket = bucket_of(access, client->name);
    client->next = *bucket;
    *bucket = client_ref(client);
    access->clients_n++;
    (void)pthread_mutex_unlock(&access->lock);
}

/* On-commit hook. By name: the entry may have been replaced since the caller looked it up. */
static void unlink_client(void *arg)
{
    const struct client *named = arg;
    struct access *access = named->access;

    (void)pthread_mutex_lock(&access->lock);
    struct client **at = bucket_of(access, named->name);
    while (*at != NULL && strcasecmp((*at)->name, named->name) != 0) {
        at = &(*at)->next;
    }
    struct client *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        access->clients_n--;
    }
    (void)pthread_mutex_unlock(&access->lock);
    client_unref(gone);
}

static void unref_client(void *arg)
{
    client_unref(arg);
}

static struct err adopt(struct access *access, struct client *client)
{
    AUTO(client_unrefp) struct client *same = lookup(access, client->name);

    if (same != NULL && same->is_from_config && !client->is_from_config) {
        FAIL(ERR_CONFIG,
             "client %s is both in the configuration and in the store: take it out of the "
             "configuration, or remove the configuration's entry, start, and run "
             "'bailiwick client remove %s'",
             client->name, client->name);
    }
    if (same != NULL) {
        FAIL(ERR_CONFIG, "the clients %s and %s differ in upper and lower case only: rename one",
             same->name, client->name);
    }
    client->access = access;
    link_client(client);
    return err_ok();
}

static struct err adopt_row(void *ctx, struct client *take_client)
{
    AUTO(client_unrefp) struct client *client = take_client;

    return adopt(ctx, client);
}

static struct err load_rows(struct db *db, void *arg)
{
    return client_rows_load(db, adopt_row, arg);
}

static void access_closep(struct access **access)
{
    access_close(*access);
}

struct err access_open(const struct config *cfg, struct store *store, struct access **out)
{
    AUTO(access_closep) struct access *access = mem_zalloc(sizeof(*access));

    TRY_PTR(access);
    access->cfg = cfg;
    access->store = store;
    if (pthread_mutex_init(&access->lock, NULL) != 0) {
        mem_free(MOVE(access));
        FAIL(ERR_NOMEM, "access: no mutex");
    }
    TRY(throttle_new(&access->throttle));
    TRY(random_bytes(access->nobody_hash, sizeof(access->nobody_hash)));
    TRY(random_bytes(access->nobody_key, sizeof(access->nobody_key)));
    for (size_t i = 0; i < cfg->clients_n; i++) {
        AUTO(client_unrefp) struct client *client = NULL;
        struct err e = client_from_config(&cfg->clients[i], &client);
        if (e.code == ERR_MALFORMED) {
            char sentence[ERR_TEXT_MAX];
            memcpy(sentence, err_trace()->text, sizeof(sentence));
            sentence[sizeof(sentence) - 1] = '\0';
            FAIL(ERR_CONFIG, "%s", sentence);
        }
        TRY(e);
        TRY(adopt(access, client));
    }
    TRY(store_read(store, "access.load", load_rows, access));
    *out = MOVE(access);
    return err_ok();
}

void access_close(struct access *access)
{
    if (access == NULL) {
        return;
    }
    for (size_t i = 0; i < CLIENT_BUCKETS; i++) {
        while (access->buckets[i] != NULL) {
            struct client *client = access->buckets[i];
            access->buckets[i] = client->next;
            client_unref(client);
        }
    }
    throttle_free(access->throttle);
    (void)pthread_mutex_destroy(&access->lock);
    mem_free(access);
}

/* --- credentials ------------------------------------------------------------------------------ */

static bool client_network_ok(const struct client *client, const struct ip_addr *peer)
{
    return client->networks_n == 0 || ip_nets_contain(client->networks, client->networks_n, peer);
}

struct err access_authenticate(struct access *access, const char *name, const char *secret,
                               const struct ip_addr *peer, char *name_out, bool *is_network)
{
    uint8_t given[SHA256_LEN];
    char from[IP_TEXT_MAX + 1];

    *is_network = false;
    ip_text(peer, from);
    if (throttle_is_over(access->throttle, peer, clock_mono_ms())) {
        FAIL(ERR_LIMIT,
             "too many wrong credentials from %s: wait a minute, then use the right ones", from);
    }
    TRY(sha256(secret, strlen(secret), given));
    AUTO(client_unrefp) struct client *client = lookup(access, name);
    const uint8_t *wanted = client == NULL ? access->nobody_hash : client->secret_hash;
    bool is_equal = ct_equal(given, sizeof(given), wanted, SHA256_LEN);
    mem_wipe(given, sizeof(given));
    if (!is_equal || client == NULL) {
        throttle_count(access->throttle, peer, clock_mono_ms());
        FAIL(ERR_DENIED, "%s", WRONG_CREDENTIAL);
    }
    if (!client_network_ok(client, peer)) {
        *is_network = true;
        FAIL(ERR_DENIED, "client %s may not act from %s: add that address to its networks",
             client->name, from);
    }
    memcpy(name_out, client->name, sizeof(client->name));
    return err_ok();
}

void access_count_failure(struct access *access, const struct ip_addr *peer)
{
    throttle_count(access->throttle, peer, clock_mono_ms());
}

bool access_is_throttled(struct access *access, const struct ip_addr *peer)
{
    return throttle_is_over(access->throttle, peer, clock_mono_ms());
}

/* --- policy ----------------------------------------------------------------------------------- */

static bool client_may(const struct client *client, const struct ident *id)
{
    for (size_t i = 0; i < client->patterns_n; i++) {
        if (name_pattern_covers(&client->patterns[i], id)) {
            return true;
        }
    }
    return false;
}

bool access_may(struct access *access, const char *name, const struct ident *id)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL && client_may(client, id);
}

bool access_may_publish(struct access *access, const char *name, const char *base)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);
    struct ident id;

    if (client == NULL || strlen(base) > NAME_TEXT_MAX) {
        return false;
    }
    ident_from_stored(base, false, &id); /* an address is nobody's */
    struct ident wildcard = id;
    wildcard.is_wildcard = true;
    return client_may(client, &id) || client_may(client, &wildcard);
}

bool access_is_named(struct access *access, const char *base)
{
    bool is_named = false;

    (void)pthread_mutex_lock(&access->lock);
    for (size_t i = 0; i < CLIENT_BUCKETS && !is_named; i++) {
        for (const struct client *c = access->buckets[i]; c != NULL && !is_named; c = c->next) {
            is_named = client_is_named(c, base);
        }
    }
    (void)pthread_mutex_unlock(&access->lock);
    return is_named;
}

bool access_network_ok(struct access *access, const char *name, const struct ip_addr *peer)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL && client_network_ok(client, peer);
}

bool access_exists(struct access *access, const char *name)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL;
}

struct err access_exists_tx(struct access *access, struct db *db, const char *name, bool *is_there)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    if (client != NULL && client->is_from_config) {
        *is_there = true;
        return err_ok();
    }
    return client_row_exists(db, name, is_there);
}

struct err access_secret_hash(struct access *access, const char *name, uint8_t out[32])
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    if (client == NULL) {
        FAIL(ERR_NOT_FOUND, "no client %.80s", name);
    }
    memcpy(out, client->secret_hash, sizeof(client->secret_hash));
    return err_ok();
}

struct err access_key(struct access *access, const char *name, uint8_t *key, size_t *key_len,
                      char name_out[CLIENT_NAME_MAX + 1])
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    if (client == NULL) {
        memcpy(key, access->nobody_key, sizeof(access->nobody_key));
        *key_len = sizeof(access->nobody_key);
        name_out[0] = '\0';
        FAIL(ERR_NOT_FOUND, "%s", WRONG_CREDENTIAL);
    }
    memcpy(key, client->key, client->key_len);
    *key_len = client->key_len;
    memcpy(name_out, client->name, sizeof(client->name));
    return err_ok();
}

bool access_is_preauthorized(struct access *access, const char *name)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL && client->is_preauthorized;
}

bool access_has_limits(struct access *access, const char *name)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client == NULL || client->has_limits;
}

bool access_has_records(struct access *access, const char *name)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL && client->has_records;
}

bool access_network_names(struct access *access, const char *name, const struct ip_addr *ip)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    return client != NULL && ip_nets_contain(client->networks, client->networks_n, ip);
}

bool access_is_open(const struct access *access)
{
    return access->cfg->is_open;
}

bool access_is_open_for(const struct access *access, const struct ip_addr *peer)
{
    return access->cfg->is_open &&
           ip_nets_contain(access->cfg->open_networks, access->cfg->open_networks_n, peer);
}

/* --- administration --------------------------------------------------------------------------- */

struct add_job {
    struct client *client;
    const char *secret;
};

static struct err add_tx(struct db *db, void *arg)
{
    const struct add_job *job = arg;
    AUTO(buf_clear) struct buf detail = BUF_INIT(CLIENT_TEXT_MAX);
    struct err e = client_row_insert(db, job->client, job->secret);

    if (e.code == ERR_CONFLICT) {
        FAIL(ERR_CONFLICT, "client %s exists already: remove it first, or choose another name",
             job->client->name);
    }
    TRY(e);
    buf_puts(&detail, job->client->is_preauthorized ? "preauthorized; " : "");
    buf_puts(&detail, job->client->has_limits ? "" : "no limits; ");
    buf_puts(&detail, job->client->has_records ? "" : "no records; ");
    buf_puts(&detail, job->client->patterns_n > 0 ? "" : "no names: a key only");
    TRY(client_names_text(job->client, &detail));
    const struct audit_row row = {"client.add", "admin", job->client->name, NULL, buf_str(&detail)};
    TRY(audit_write(db, &row));
    return db_on_commit(db, link_client, unref_client, client_ref(job->client));
}

/* An empty item must not vanish: no network at all means anywhere. */
static struct err join(const char *const *items, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i][0] == '\0') {
            FAIL(ERR_MALFORMED, "name pattern or network %zu is empty: leave it out", i + 1);
        }
        buf_puts(out, i == 0 ? "" : ",");
        buf_puts(out, items[i]);
    }
    return buf_check(out);
}

/* Names that are left out are a slip more often than a wish. */
static struct err check_names(const struct access_new_client *client)
{
    if (client->patterns_n == 0 && !client->is_key_only) {
        FAIL(ERR_MALFORMED,
             "client %s has no names: give at least one, such as svc.test or *.svc.test, or say "
             "that it is a key only (no names), for transfers",
             client->name);
    }
    if (client->is_key_only && (client->patterns_n > 0 || client->is_preauthorized)) {
        FAIL(ERR_MALFORMED, "client %s is a key only and has %s: leave one of them out",
             client->name, client->patterns_n > 0 ? "names" : "a preauthorization");
    }
    return err_ok();
}

static void wipe_made(char (*made)[ACCESS_SECRET_LEN + 1])
{
    mem_wipe(made, sizeof(*made));
}

struct err access_client_create(struct access *access, const struct access_new_client *new_client,
                                char *secret_out)
{
    AUTO(buf_clear) struct buf names = BUF_INIT(CLIENT_TEXT_MAX);
    AUTO(buf_clear) struct buf networks = BUF_INIT(CLIENT_TEXT_MAX);
    AUTO(client_unrefp) struct client *client = NULL;
    const char *secret = new_client->secret;
    AUTO(wipe_made) char made[ACCESS_SECRET_LEN + 1] = "";

    TRY(join(new_client->patterns, new_client->patterns_n, &names));
    TRY(join(new_client->networks, new_client->networks_n, &networks));
    if (secret == NULL) {
        TRY(random_alnum(made, ACCESS_SECRET_LEN));
        secret = made;
    }
    TRY(client_from_text(new_client->name, secret, buf_str(&names), buf_str(&networks), &client));
    TRY(check_names(new_client));
    client->access = access;
    client->created_unix = clock_unix_s();
    client->is_preauthorized = new_client->is_preauthorized;
    client->has_limits = !new_client->has_no_limits;
    client->has_records = !new_client->has_no_records;
    AUTO(client_unrefp) struct client *same = lookup(access, new_client->name);
    if (same != NULL) {
        FAIL(ERR_CONFLICT, "client %s exists already%s: remove it first, or choose another name",
             same->name, same->is_from_config ? " (in the configuration)" : "");
    }
    struct add_job job = {client, secret};
    struct err e = store_write(access->store, "access.client.add", add_tx, &job);
    if (e.code == ERR_OK) {
        memcpy(secret_out, secret, strlen(secret) + 1);
    }
    return e;
}

struct remove_job {
    struct access *access;
    struct client *client;
};

static struct err remove_tx(struct db *db, void *arg)
{
    const struct remove_job *job = arg;
    const char *name = job->client->name;
    bool was_there = false;

    TRY(client_row_delete(db, name, &was_there));
    if (!was_there) {
        FAIL(ERR_NOT_FOUND, "no client %s", name);
    }
    for (size_t i = 0; i < job->access->hooks_n; i++) {
        TRY(job->access->hooks[i].fn(job->access->hooks[i].ctx, db, name));
    }
    const struct audit_row row = {"client.remove", "admin", name, NULL,
                                  "its values, registrations and pending authorizations went too"};
    TRY(audit_write(db, &row));
    return db_on_commit(db, unlink_client, unref_client, client_ref(job->client));
}

struct err access_client_remove(struct access *access, const char *name)
{
    AUTO(client_unrefp) struct client *client = lookup(access, name);

    if (client == NULL) {
        FAIL(ERR_NOT_FOUND, "no client %.80s: see 'bailiwick client list'", name);
    }
    if (client->is_from_config) {
        FAIL(ERR_DENIED, "client %s is in the configuration: remove it there and start again",
             client->name);
    }
    struct remove_job job = {access, client};
    return store_write(access->store, "access.client.remove", remove_tx, &job);
}

struct err access_on_remove(struct access *access,
                            struct err (*fn)(void *ctx, struct db *db, const char *client),
                            void *ctx)
{
    if (access->hooks_n >= REMOVE_HOOKS_MAX) {
        FAIL(ERR_INTERNAL, "access: more than %u remove hooks", REMOVE_HOOKS_MAX);
    }
    access->hooks[access->hooks_n].fn = fn;
    access->hooks[access->hooks_n].ctx = ctx;
    access->hooks_n++;
    return err_ok();
}

static struct err describe(const struct client *client, struct access_client_info *info)
{
    AUTO(buf_clear) struct buf names = BUF_INIT(CLIENT_TEXT_MAX);
    AUTO(buf_clear) struct buf networks = BUF_INIT(CLIENT_TEXT_MAX);

    TRY(client_names_text(client, &names));
    TRY(client_networks_text(client, &networks));
    memcpy(info->name, client->name, sizeof(info->name));
    info->is_from_config = client->is_from_config;
    info->is_preauthorized = client->is_preauthorized;
    info->has_limits = client->has_limits;
    info->has_records = client->has_records;
    info->created_unix = client->created_unix;
    info->names = mem_strdup(buf_str(&names));
    info->networks = mem_strdup(buf_str(&networks));
    TRY_PTR(info->names);
    TRY_PTR(info->networks);
    return err_ok();
}

static int by_name(const void *a, const void *b)
{
    const struct access_client_info *x = a;
    const struct access_client_info *y = b;

    return strcasecmp(x->name, y->name);
}

/* Under the lock: fills at most clients_n entries, counting the started one too, so that a failure
 * frees all. */
static struct err describe_all(const struct access *access, struct access_client_info *list,
                               size_t *n)
{
    for (size_t i = 0; i < CLIENT_BUCKETS; i++) {
        for (const struct client *c = access->buckets[i]; c != NULL; c = c->next) {
            TRY(describe(c, &list[(*n)++]));
        }
    }
    return err_ok();
}

struct err access_list(struct access *access, struct access_client_info **out, size_t *out_n)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&access->lock);
    struct access_client_info *list = mem_array(access->clients_n, sizeof(*list));
    struct err e = list == NULL ? err_ok() : describe_all(access, list, &n);
    (void)pthread_mutex_unlock(&access->lock);
    TRY_PTR(list);
    if (e.code != ERR_OK) {
        access_list_free(list, n);
        return e;
    }
    qsort(list, n, sizeof(*list), by_name);
    *out = list;
    *out_n = n;
    return err_ok();
}

void access_list_free(struct access_client_info *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) {
        mem_free(list[i].names);
        mem_free(list[i].networks);
    }
    mem_free(list);
}
