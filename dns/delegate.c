#include "dns/delegate_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char *const AUDIT_EVENTS[] = {
    "delegate.publish", "delegate.cleanup", "delegate.refused", "delegate.register",
    "delegate.bind",    "delegate.release", "dns.update",       "dns.refused"};

void delegate_say(char *out, size_t cap, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(out, cap, fmt, args);
    va_end(args);
}

struct err delegate_refuse(struct delegate_refusal *refusal, enum delegate_reason reason,
                           const char *fmt, ...)
{
    va_list args;

    refusal->reason = reason;
    va_start(args, fmt);
    (void)vsnprintf(refusal->detail, sizeof(refusal->detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s", refusal->detail);
}

/* --- open, close ------------------------------------------------------------------------------ */

struct load_job {
    struct delegate *d;
    struct zone_edit *edit;
};

static struct err load_value(void *ctx, const char *owner, const char *base,
                             const struct zone_value *value)
{
    const struct load_job *job = ctx;
    struct access *access = job->d->access;

    /* Policy may have been narrowed in the configuration since the value was published. */
    bool is_allowed = value->by.is_open ? access_is_open(access)
                                        : access_exists(access, value->by.client) &&
                                              (base[0] == '\0' ||
                                               access_may_publish(access, value->by.client, base));
    if (!is_allowed) {
        log_ev(LOG_INFO, "delegate.load.skipped", {"owner", owner}, {"client", value->by.client},
               {"msg", "its publisher may not publish there any more"});
        return err_ok();
    }
    return zone_edit_value(job->edit, true, owner, value);
}

/* Serials are what records_open() made them. */
static struct err load_values(struct db *db, void *arg)
{
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;
    struct delegate *d = arg;

    TRY(zone_edit_begin(d->zones, &edit));
    struct load_job job = {d, edit};
    TRY(values_load(db, clock_unix_s(), load_value, &job));
    TRY(persist_load(db, edit));
    return zone_edit_commit(&edit);
}

/* Inside the transaction that removes the client. */
static struct err client_removed(void *ctx, struct db *db, const char *client)
{
    AUTO(zone_change_freep) struct zone_change *changes = NULL;

    TRY(delegate_change_new(ctx, &changes));
    TRY(values_drop_client(db, client, changes));
    TRY(registrations_drop_client(db, client));
    return zone_change_commit(&changes, db, NULL);
}

static void closep(struct delegate **d)
{
    delegate_close(*d);
}

static struct err make_locks(struct delegate **d)
{
    if (pthread_mutex_init(&(*d)->on_value_lock, NULL) == 0) {
        if (pthread_mutex_init(&(*d)->reader_lock, NULL) == 0) {
            return err_ok();
        }
        (void)pthread_mutex_destroy(&(*d)->on_value_lock);
    }
    mem_free(MOVE(*d));
    FAIL(ERR_NOMEM, "delegate: no mutex");
}

struct err delegate_open(const struct config *cfg, struct store *store, struct access *access,
                         struct zone_db *zones, struct records *records, struct delegate **out)
{
    AUTO(closep) struct delegate *d = mem_zalloc(sizeof(*d));

    TRY_PTR(d);
    d->cfg = cfg;
    d->store = store;
    d->access = access;
    d->zones = zones;
    d->records = records;
    TRY(make_locks(&d));
    TRY(zone_reader_new(zones, &d->reader));
    TRY(delegate_key_load(cfg->state_dir, d->key));
    TRY(expectations_new(&d->expected));
    TRY(store_read(store, "delegate.load", load_values, d));
    TRY(access_on_remove(access, client_removed, d));
    *out = MOVE(d);
    return err_ok();
}

void delegate_close(struct delegate *delegate)
{
    if (delegate != NULL) {
        expectations_free(delegate->expected);
        mem_wipe(delegate->key, sizeof(delegate->key));
        zone_reader_free(delegate->reader);
        (void)pthread_mutex_destroy(&delegate->reader_lock);
        (void)pthread_mutex_destroy(&delegate->on_value_lock);
        mem_free(delegate);
    }
}

/* --- who waits for values --------------------------------------------------------------------- */

void delegate_on_value(struct delegate *delegate,
                       void (*fn)(void *ctx, const char digest[TXT_VALUE_LEN + 1]), void *ctx)
{
    (void)pthread_mutex_lock(&delegate->on_value_lock);
    delegate->on_value = fn;
    delegate->on_value_ctx = ctx;
    (void)pthread_mutex_unlock(&delegate->on_value_lock);
}

static void tell_value(void *arg, const struct zone_value *value)
{
    struct delegate *d = arg;

    if (expectations_find(d->expected, value->txt, NULL)) {
        d->on_value(d->on_value_ctx, value->txt);
    }
}

/* On the writer thread, the values being visible. */
static void tell_values(void *arg, const struct zone_change *change)
{
    struct delegate *d = arg;

    (void)pthread_mutex_lock(&d->on_value_lock);
    if (d->on_value != NULL) {
        zone_change_each_added(change, tell_value, d);
    }
    (void)pthread_mutex_unlock(&d->on_value_lock);
}

void delegate_change_watch(struct delegate *d, struct zone_change *change)
{
    zone_change_then(change, tell_values, d);
}

struct err delegate_change_new(struct delegate *d, struct zone_change **out)
{
    TRY(zone_change_new(d->records, out));
    delegate_change_watch(d, *out);
    return err_ok();
}

/* --- decided ---------------------------------------------------------------------------------- */

struct decided_job {
    struct delegate *d;
    const struct ident *id;
};

static struct err bind_registration(void *ctx, struct db *db, const char *label, const char *client)
{
    const struct decided_job *job = ctx;
    char rival[CLIENT_NAME_MAX + 1];
    bool is_new = false;

    TRY(binding_rival(db, job->id->base, client, rival));
    if (rival[0] != '\0' || !access_may(job->d->access, client, job->id)) {
        return err_ok();
    }
    TRY(binding_put(db, job->id->base, label, client, clock_unix_s(), &is_new));
    if (!is_new) {
        return err_ok();
    }
    const struct audit_row row = {"delegate.bind", client, job->id->base, NULL, label};
    return audit_write(db, &row);
}

struct err delegate_decided(struct delegate *delegate, struct db *db, const struct ident *id,
                            const char digest[TXT_VALUE_LEN + 1], bool is_valid)
{
    struct decided_job job = {delegate, id};

    if (is_valid) {
        TRY(value_registrations(db, id->base, digest, bind_registration, &job));
    }
    return values_shorten(db, digest, clock_unix_s() + DELEGATE_DECIDED_TTL_S);
}

/* --- the validator's question ----------------------------------------------------------------- */

bool delegate_publisher_may(struct delegate *delegate, const struct zone_publisher *who,
                            const struct ident *id)
{
    return who->is_open ? access_is_open(delegate->access)
                        : access_may(delegate->access, who->client, id);
}

struct check {
    struct delegate *d;
    const struct ident *id;
    const char *digest;
    struct zone_publisher found;
    struct zone_publisher refused; /* the last publisher that may not have the identifier */
    bool is_there;
    size_t others_n;
    char others[64]; /* how the first few other values begin */
};

static bool check_value(void *arg, const struct zone_value *value)
{
    struct check *c = arg;

    if (strcmp(value->txt, c->digest) != 0) {
        size_t used = strlen(c->others);
        if (c->others_n++ < 3) {
            delegate_say(c->others + used, sizeof(c->others) - used, "%s%.8s...",
                         used == 0 ? "" : ", ", value->txt);
        }
        return false;
    }
    c->is_there = true;
    if (delegate_publisher_may(c->d, &value->by, c->id)) {
        c->found = value->by;
        return true;
    }
    c->refused = value->by;
    return false;
}

static void say_where(const struct check *c, const char *owner, const char *target, char out[240])
{
    if (owner == NULL) {
        delegate_say(out, 240, "%s.%.90s (CNAME %.90s)", ACME_LABEL, c->id->base, target);
    } else if (target[0] != '\0') {
        delegate_say(out, 240, "%.110s (CNAME %.110s)", owner, target);
    } else {
        delegate_say(out, 240, "%.180s", owner);
    }
}

static enum delegate_verdict say_verdict(const struct check *c, const char *where, char detail[400])
{
    char ident[IDENT_TEXT_MAX + 1];

    ident_text(c->id, ident);
    if (!c->is_there) {
        delegate_say(detail, 400,
                     "No TXT value %.8s... at %s%s%s: publish it through one of the doors",
                     c->digest, where, c->others_n == 0 ? ", nothing is there" : ", there is only ",
                     c->others);
        size_t used = strlen(detail);
        delegate_say(detail + used, 400 - used, ", then post the challenge again");
        return DELEGATE_MISSING;
    }
    if (c->refused.is_open) {
        delegate_say(detail, 400,
                     "The value at %s was published without a credential, and open mode is off: "
                     "publish it with a client's credential",
                     where);
    } else if (!access_exists(c->d->access, c->refused.client)) {
        delegate_say(detail, 400,
                     "The value at %s was published by client %s, which was removed: publish it "
                     "with another client's credential",
                     where, c->refused.client);
    } else {
        delegate_say(detail, 400,
                     "The value at %s was published by client %s, which may not have %.60s: add "
                     "%.60s to its names",
                     where, c->refused.client, ident, ident);
    }
    return DELEGATE_NOT_ALLOWED;
}

enum delegate_verdict delegate_check(struct delegate *delegate, struct zone_reader *reader,
                                     const struct ident *id, const char *owner,
                                     const char digest[TXT_VALUE_LEN + 1],
                                     struct zone_publisher *who, char detail[400])
{
    struct check c;
    char target[NAME_TEXT_MAX + 1] = "";
    char where[240];

    memset(&c, 0, sizeof(c));
    c.d = delegate;
    c.id = id;
    c.digest = digest;
    const struct zone_snapshot *snap = zone_read_begin(reader);
    bool is_found = owner == NULL ? zone_challenge_values(snap, id->base, check_value, &c, target)
                                  : zone_name_values(snap, owner, check_value, &c, target);
    zone_read_end(reader);
    say_where(&c, owner, target, where);
    if (is_found) {
        *who = c.found;
        delegate_say(detail, 400, "Found the value at %s, published by %s", where,
                     c.found.is_open ? "an anonymous peer" : c.found.client);
        return DELEGATE_FOUND;
    }
    return say_verdict(&c, where, detail);
}

/* --- administration --------------------------------------------------------------------------- */

struct list_job {
    const char *client;
    struct delegate_binding **out;
    size_t *out_n;
};

static struct err list_tx(struct db *db, void *arg)
{
    const struct list_job *job = arg;

    return bindings_list(db, job->client, job->out, job->out_n);
}

struct err delegate_bindings(struct delegate *delegate, const char *client,
                             struct delegate_binding **out, size_t *out_n)
{
    struct list_job job = {client, out, out_n};

    return store_read(delegate->store, "delegate.bindings", list_tx, &job);
}

static struct err release_tx(struct db *db, void *arg)
{
    const char *name = arg;
    const struct audit_row row = {"delegate.release", "admin", name, NULL, ""};
    size_t n = 0;

    TRY(bindings_drop(db, name, &n));
    if (n == 0) {
        FAIL(ERR_NOT_FOUND, "%s is bound to no registration", name);
    }
    return audit_write(db, &row);
}

struct err delegate_release(struct delegate *delegate, const char *name)
{
    struct delegate_refusal refusal;
    char base[NAME_TEXT_MAX + 1];

    struct err e = delegate_parse_domain(delegate, name, base, &refusal);
    if (e.code == ERR_REJECTED) {
        FAIL(ERR_NOT_FOUND, "%s", refusal.detail);
    }
    TRY(e);
    return store_write(delegate->store, "delegate.release", release_tx, base);
}

struct cname_job {
    char base[NAME_TEXT_MAX + 1];
    char label[LABEL_MAX + 1];
};

static struct err cname_tx(struct db *db, void *arg)
{
    const struct cname_job *job = arg;

    return hashed_put(db, job->label, job->base);
}

struct err delegate_cname(struct delegate *delegate, const char *name, struct buf *out)
{
    struct cname_job job;
    struct delegate_refusal refusal;
    char owner[NAME_TEXT_MAX + 1];

    memset(&job, 0, sizeof(job));
    struct err e = delegate_parse_domain(delegate, name, job.base, &refusal);
    if (e.code == ERR_REJECTED) {
        FAIL(ERR_MALFORMED, "%s", refusal.detail);
    }
    TRY(e);
    TRY(name_delegate(job.base, delegate->cfg->delegate_zone, owner));
    size_t n = strcspn(owner, ".");
    if (n == DELEGATE_HASHED_LEN && strncmp(job.base, owner, n) != 0) {
        memcpy(job.label, owner, n);
        TRY(store_write(delegate->store, "delegate.cname", cname_tx, &job));
    }
    buf_printf(out, "%s.%s. CNAME %s.", ACME_LABEL, job.base, owner);
    return buf_check(out);
}

struct maintain_job {
    struct delegate *d;
    size_t removed_n; /* of the last run */
};

static struct err maintain_tx(struct db *db, void *arg)
{
    struct maintain_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *changes = NULL;

    TRY(delegate_change_new(job->d, &changes));
    TRY(values_drop_expired(db, clock_unix_s(), changes));
    job->removed_n = zone_change_n(changes);
    return zone_change_commit(&changes, db, NULL);
}

static struct err maintain_persist_tx(struct db *db, void *arg)
{
    struct maintain_job *job = arg;

    return persist_drop_expired(db, job->d, &job->removed_n);
}

static struct err maintain_rows_tx(struct db *db, void *arg)
{
    struct maintain_job *job = arg;
    size_t total = 0;

    TRY(registrations_drop_unused(db, clock_unix_s() - DELEGATE_REGISTRATION_UNUSED_S, &total));
    for (size_t i = 0; i < ARRAY_N(AUDIT_EVENTS); i++) {
        size_t n = 0;
        TRY(audit_prune(db, AUDIT_EVENTS[i], DELEGATE_AUDIT_KEEP, &n));
        total += n;
    }
    job->removed_n = total;
    return err_ok();
}

struct err delegate_maintain(struct delegate *delegate, size_t *removed_n)
{
    struct maintain_job job = {delegate, 0};
    size_t total = 0;

    do {
        TRY(store_write(delegate->store, "delegate.maintain", maintain_tx, &job));
        total += job.removed_n;
    } while (job.removed_n >= DELEGATE_MAINTAIN_BATCH);
    do {
        TRY(store_write(delegate->store, "delegate.maintain.persist", maintain_persist_tx, &job));
        total += job.removed_n;
    } while (job.removed_n >= DELEGATE_PERSIST_BATCH);
    TRY(store_write(delegate->store, "delegate.maintain.rows", maintain_rows_tx, &job));
    total += job.removed_n;
    (void)expectations_sweep(delegate->expected);
    *removed_n = total;
    return err_ok();
}
