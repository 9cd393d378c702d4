/* acme-dns accounts: registrations, HTTP storage accounts (derived, never stored), and who an
 * update comes from. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

/* --- register --------------------------------------------------------------------------------- */

struct register_job {
    struct delegate *d;
    const struct delegate_who *who;
    struct registration reg;
    struct delegate_refusal *refusal;
};

/* The network that shares one quota in open mode: /24 or /48. */
static void quota_network(const struct ip_addr *peer, char out[IP_TEXT_MAX + 5])
{
    struct ip_net net = {*peer, peer->family == 4 ? 24 : 48};
    size_t kept = net.prefix_len / 8u;

    memset(net.addr.bytes + kept, 0, sizeof(net.addr.bytes) - kept);
    ip_net_text(&net, out);
}

static struct err parse_allowfrom(const char *const *list, size_t n, char *out, size_t cap,
                                  struct delegate_refusal *refusal)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(cap - 1);

    if (n > DELEGATE_ALLOWFROM_MAX) {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                               "invalid_allowfrom_cidr: at most %u networks are possible",
                               DELEGATE_ALLOWFROM_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        struct ip_net net;
        char one[IP_TEXT_MAX + 5];
        if (ip_net_parse(list[i], &net).code != ERR_OK) {
            return delegate_refuse(refusal, DELEGATE_BAD_NAME, "invalid_allowfrom_cidr: %.200s",
                                   err_trace()->text);
        }
        ip_net_text(&net, one);
        buf_printf(&text, "%s%s", i == 0 ? "" : ",", one);
    }
    TRY(buf_check(&text));
    memcpy(out, buf_str(&text), text.len + 1);
    return err_ok();
}

static struct err register_tx(struct db *db, void *arg)
{
    struct register_job *job = arg;
    bool is_there = true;
    size_t n = 0;

    if (!job->who->is_open) {
        TRY(access_exists_tx(job->d->access, db, job->reg.client, &is_there));
    }
    if (!is_there) {
        return delegate_refuse(job->refusal, DELEGATE_UNAUTHORIZED,
                               "client '%s' does not exist (any more)", job->reg.client);
    }
    TRY(registrations_count(db, job->reg.client, job->reg.network, &n));
    size_t max =
        job->who->is_open ? DELEGATE_REGISTRATIONS_PER_NETWORK : DELEGATE_REGISTRATIONS_PER_CLIENT;
    if (n >= max) {
        return delegate_refuse(job->refusal, DELEGATE_FULL,
                               "%s%s has %zu registrations already: use those, or wait a day until "
                               "unused ones are removed",
                               job->who->is_open ? "network " : "client ",
                               job->who->is_open ? job->reg.network : job->reg.client, n);
    }
    TRY(registration_insert(db, &job->reg, clock_unix_s()));
    const struct audit_row row = {"delegate.register",
                                  job->who->is_open ? ACCESS_OPEN_NAME : job->reg.client,
                                  job->reg.label, &job->who->peer, job->reg.allowfrom};
    return audit_write(db, &row);
}

static struct err make_registration(struct register_job *job, const char *const *allowfrom,
                                    size_t allowfrom_n, struct delegate_registration *out)
{
    struct registration *reg = &job->reg;

    TRY(delegate_check_who(job->d, job->who, job->refusal));
    TRY(parse_allowfrom(allowfrom, allowfrom_n, reg->allowfrom, sizeof(reg->allowfrom),
                        job->refusal));
    if (job->who->is_open) {
        quota_network(&job->who->peer, reg->network);
    } else {
        memcpy(reg->client, job->who->client, sizeof(reg->client));
    }
    TRY(random_uuid(reg->username));
    TRY(random_uuid(reg->label));
    TRY(random_alnum(out->password, DELEGATE_PASSWORD_LEN));
    TRY(sha256(out->password, DELEGATE_PASSWORD_LEN, reg->password_hash));
    memcpy(out->username, reg->username, sizeof(reg->username));
    memcpy(out->subdomain, reg->label, sizeof(reg->label));
    TRY(name_delegate(reg->label, job->d->cfg->delegate_zone, out->fulldomain));
    return store_write(job->d->store, "delegate.register", register_tx, job);
}

struct err delegate_register(struct delegate *delegate, const struct delegate_who *who,
                             const char *const *allowfrom, size_t allowfrom_n,
                             struct delegate_registration *out, struct delegate_refusal *refusal)
{
    struct register_job job;
    struct delegate_registration made;

    memset(&job, 0, sizeof(job));
    memset(&made, 0, sizeof(made));
    job.d = delegate;
    job.who = who;
    job.refusal = refusal;
    struct err e = make_registration(&job, allowfrom, allowfrom_n, &made);
    if (e.code == ERR_OK) {
        *out = made;
    }
    mem_wipe(&made, sizeof(made));
    return delegate_audit_refused(delegate, who, "register", refusal, e);
}

/* --- HTTP storage ----------------------------------------------------------------------------- */

/* password = base64url(HMAC-SHA256(installation key, client 0 name 0 hash of the client's secret)):
 * changes with the secret. */
static struct err derive_password(const struct delegate *d, const char *client, const char *base,
                                  const uint8_t secret_hash[SHA256_LEN],
                                  char out[SHA256_B64_LEN + 1])
{
    AUTO(buf_clear) struct buf input = BUF_INIT(CLIENT_NAME_MAX + NAME_TEXT_MAX + 2 + SHA256_LEN);
    uint8_t mac[SHA256_LEN];

    buf_put(&input, client, strlen(client) + 1);
    buf_put(&input, base, strlen(base) + 1);
    buf_put(&input, secret_hash, SHA256_LEN);
    TRY(buf_check(&input));
    TRY(hmac_sha256(d->key, sizeof(d->key), input.data, input.len, mac));
    base64url_encode(mac, sizeof(mac), out);
    mem_wipe(mac, sizeof(mac));
    return err_ok();
}

static struct err storage_account(struct delegate *d, const struct delegate_who *who,
                                  const char *domain, struct delegate_registration *out,
                                  struct delegate_refusal *refusal)
{
    uint8_t secret_hash[SHA256_LEN] = {0};
    const char *user = who->is_open ? ACCESS_OPEN_NAME : who->client;

    TRY(delegate_check_who(d, who, refusal));
    TRY(delegate_parse_domain(d, domain, out->subdomain, refusal));
    if (!who->is_open) {
        if (!access_may_publish(d->access, who->client, out->subdomain)) {
            return delegate_refuse(refusal, DELEGATE_FORBIDDEN,
                                   "client %s may not publish for %.100s: add %.100s (or the "
                                   "wildcard that covers it) to the client's names",
                                   who->client, out->subdomain, out->subdomain);
        }
        TRY(access_secret_hash(d->access, who->client, secret_hash));
    }
    memcpy(out->username, user, strlen(user) + 1);
    TRY(derive_password(d, user, out->subdomain, secret_hash, out->password));
    mem_wipe(secret_hash, sizeof(secret_hash));
    return name_delegate(out->subdomain, d->cfg->delegate_zone, out->fulldomain);
}

struct err delegate_storage_account(struct delegate *delegate, const struct delegate_who *who,
                                    const char *domain, struct delegate_registration *out,
                                    struct delegate_refusal *refusal)
{
    struct delegate_registration made;

    memset(&made, 0, sizeof(made));
    struct err e = storage_account(delegate, who, domain, &made, refusal);
    if (e.code == ERR_OK) {
        *out = made;
    }
    mem_wipe(&made, sizeof(made));
    return delegate_audit_refused(delegate, who, domain, refusal, e);
}

/* --- update ----------------------------------------------------------------------------------- */

enum update_kind { UPDATE_REGISTRATION, UPDATE_NAME, UPDATE_DIGEST };
struct update {
    struct delegate *d;
    const char *user;
    const char *key;
    const char *subdomain;
    const char *value;
    struct delegate_who who;
    struct registration reg;      /* UPDATE_REGISTRATION */
    char base[NAME_TEXT_MAX + 1]; /* UPDATE_NAME */
    enum update_kind kind;
    struct delegate_refusal *refusal;
};

static struct err refuse_credential(struct update *u)
{
    access_count_failure(u->d->access, &u->who.peer);
    return delegate_refuse(u->refusal, DELEGATE_UNAUTHORIZED,
                           "the user or its key is wrong: register again, or use a client's name "
                           "and secret");
}

static struct err read_user(struct db *db, void *arg)
{
    struct update *u = arg;

    return registration_get(db, BY_USERNAME, u->user, &u->reg);
}

static bool is_in_allowfrom(const char *list, const struct ip_addr *peer)
{
    char one[IP_TEXT_MAX + 5];

    if (*list == '\0') {
        return true;
    }
    while (*list != '\0') {
        struct ip_net net;
        size_t len = strcspn(list, ",");
        if (len < sizeof(one)) {
            memcpy(one, list, len);
            one[len] = '\0';
            if (ip_net_parse(one, &net).code == ERR_OK && ip_net_contains(&net, peer)) {
                return true;
            }
        }
        list += len + (list[len] == ',' ? 1u : 0u);
    }
    return false;
}

static struct err identify_registration(struct update *u)
{
    uint8_t given[SHA256_LEN];
    char peer[IP_TEXT_MAX + 1];

    TRY(sha256(u->key, strlen(u->key), given));
    struct err e = store_read(u->d->store, "delegate.user", read_user, u);
    bool is_known = e.code == ERR_OK;
    if (!is_known && e.code != ERR_NOT_FOUND) {
        return e;
    }
    bool is_equal = ct_equal(given, sizeof(given), u->reg.password_hash, SHA256_LEN);
    mem_wipe(given, sizeof(given));
    if (!is_known || !is_equal) {
        return refuse_credential(u);
    }
    u->who.is_open = u->reg.client[0] == '\0';
    memcpy(u->who.client, u->reg.client, sizeof(u->who.client));
    TRY(delegate_check_who(u->d, &u->who, u->refusal));
    if (strcasecmp(u->subdomain, u->reg.label) != 0) {
        return delegate_refuse(u->refusal, DELEGATE_UNAUTHORIZED,
                               "this user may only update its own subdomain %s", u->reg.label);
    }
    if (!is_in_allowfrom(u->reg.allowfrom, &u->who.peer)) {
        ip_text(&u->who.peer, peer);
        return delegate_refuse(u->refusal, DELEGATE_UNAUTHORIZED,
                               "%s is not in the registration's allowfrom: register again with "
                               "that network",
                               peer);
    }
    u->kind = UPDATE_REGISTRATION;
    return err_ok();
}

/* Is key the derived password of (user, subdomain)? secret_hash: zeros for anonymous accounts. */
static struct err is_storage_key(struct update *u, const uint8_t secret_hash[SHA256_LEN],
                                 bool *is_equal)
{
    char wanted[SHA256_B64_LEN + 1];
    struct delegate_refusal unused;
    struct err e = delegate_parse_domain(u->d, u->subdomain, u->base, &unused);

    *is_equal = false;
    if (e.code == ERR_REJECTED || strlen(u->user) > CLIENT_NAME_MAX) {
        return err_ok();
    }
    TRY(e);
    TRY(derive_password(u->d, u->user, u->base, secret_hash, wanted));
    *is_equal = ct_equal(wanted, SHA256_B64_LEN, u->key, strlen(u->key));
    mem_wipe(wanted, sizeof(wanted));
    return err_ok();
}

static struct err identify_open(struct update *u)
{
    const uint8_t zeros[SHA256_LEN] = {0};
    bool is_equal = false;

    TRY(is_storage_key(u, zeros, &is_equal));
    if (!is_equal) {
        return refuse_credential(u);
    }
    u->who.is_open = true;
    u->kind = UPDATE_NAME;
    return err_ok();
}

/* A client's own secret, or the derived password of one of its names. */
static struct err identify_client(struct update *u)
{
    uint8_t secret_hash[SHA256_LEN] = {0};
    bool is_storage = false;
    bool is_network = false;

    bool is_known = access_secret_hash(u->d->access, u->user, secret_hash).code == ERR_OK;
    TRY(is_storage_key(u, secret_hash, &is_storage));
    mem_wipe(secret_hash, sizeof(secret_hash));
    if (is_known && is_storage) {
        memcpy(u->who.client, u->user, strlen(u->user) + 1);
        u->kind = UPDATE_NAME;
        return err_ok();
    }
    struct err e = access_authenticate(u->d->access, u->user, u->key, &u->who.peer, u->who.client,
                                       &is_network);
    if (e.code == ERR_LIMIT) {
        return delegate_refuse(u->refusal, DELEGATE_THROTTLED, "%.200s", err_trace()->text);
    }
    if (e.code == ERR_DENIED) {
        return delegate_refuse(u->refusal, is_network ? DELEGATE_FORBIDDEN : DELEGATE_UNAUTHORIZED,
                               "%.300s", err_trace()->text);
    }
    TRY(e);
    u->kind = UPDATE_DIGEST;
    return err_ok();
}

static struct err identify(struct update *u)
{
    TRY(delegate_check_txt(u->value, u->refusal));
    if (access_is_throttled(u->d->access, &u->who.peer)) {
        return delegate_refuse(u->refusal, DELEGATE_THROTTLED,
                               "too many wrong credentials from this address: wait a minute, then "
                               "use the right ones");
    }
    if (strcmp(u->user, ACCESS_OPEN_NAME) == 0) {
        return identify_open(u);
    }
    if (delegate_is_uuid(u->user, strlen(u->user)) && !access_exists(u->d->access, u->user)) {
        return identify_registration(u);
    }
    return identify_client(u);
}

struct err delegate_update(struct delegate *delegate, const struct ip_addr *peer, const char *user,
                           const char *key, const char *subdomain, const char *value,
                           struct delegate_refusal *refusal)
{
    struct update u;
    char fqdn[NAME_TEXT_MAX + sizeof(ACME_LABEL) + 1];

    memset(&u, 0, sizeof(u));
    u.d = delegate;
    u.user = user;
    u.key = key;
    u.subdomain = subdomain;
    u.value = value;
    u.who.door = DOOR_ACMEDNS;
    u.who.peer = *peer;
    u.refusal = refusal;
    struct err e = identify(&u);
    if (e.code == ERR_OK && u.kind == UPDATE_DIGEST) {
        return delegate_publish(delegate, &u.who, NULL, value, false, refusal);
    }
    if (e.code == ERR_OK && u.kind == UPDATE_NAME) {
        u.who.door = DOOR_STORAGE;
        delegate_say(fqdn, sizeof(fqdn), "%s.%s", ACME_LABEL, u.base);
        return delegate_publish(delegate, &u.who, fqdn, value, false, refusal);
    }
    if (e.code == ERR_OK) {
        e = delegate_publish_registration(delegate, &u.reg, &u.who, value, refusal);
    }
    return delegate_audit_refused(delegate, &u.who, subdomain, refusal, e);
}
