#include "acme-server/order_records.h"

#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

/* No room, not served here, not allowed any more: the authorization does not depend on it. */
static struct err unless_refused(struct err e)
{
    if (e.code == ERR_NOT_FOUND || e.code == ERR_DENIED || e.code == ERR_LIMIT ||
        e.code == ERR_MALFORMED) {
        return err_ok();
    }
    return e;
}

static bool has_wildcard(const struct order_new_name *names, size_t n, const char *base)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i].is_preauthorized && names[i].ident.is_wildcard &&
            strcmp(names[i].ident.base, base) == 0) {
            return true;
        }
    }
    return false;
}

static struct err put_persist(struct db *db, const struct acme_req *r, const char *base,
                              bool is_wildcard)
{
    char text[ZONE_PERSIST_TEXT_MAX + 1];
    int64_t until = clock_unix_s() + ACME_AUTHZ_PENDING_S;

    int len = snprintf(text, sizeof(text), "%s; accounturi=%s/acme/account/%s%s; persistUntil=%lld",
                       r->acme->cfg->hostname, r->base, r->account_id,
                       is_wildcard ? "; policy=wildcard" : "", (long long)until);
    if (len < 0 || (size_t)len >= sizeof(text)) {
        return err_ok();
    }
    return unless_refused(
        delegate_persist_put(r->acme->delegate, db, base, r->account_id, text, until));
}

static struct err put_account(struct db *db, const struct acme_req *r,
                              const struct order_new_name *name)
{
    struct zone_publisher by = {.is_open = false};
    char url[VALIDATE_ACCOUNT_URL_MAX + 1];
    char label[ZONE_ACCOUNT_LABEL_LEN + 1];
    char token[ACME_TOKEN_LEN + 1];
    char digest[CHALLENGE_DIGEST_LEN + 1];

    (void)snprintf(url, sizeof(url), "%s/acme/account/%s", r->base, r->account_id);
    memcpy(by.client, name->client, sizeof(by.client));
    TRY(challenge_account_label(url, label));
    TRY(challenge_token(name->seed, CHALLENGE_DNSACCOUNT01, token));
    TRY(challenge_digest(token, jwk_thumbprint(r->key), digest));
    return unless_refused(
        delegate_account_put(r->acme->delegate, db, &name->ident, label, digest, &by));
}

/* A secondary of a zone knows no automatic CNAME but those that are written out. */
static struct err put_known(struct db *db, const struct acme_req *r,
                            const struct order_new_name *names, size_t n)
{
    AUTO(mem_freep) const char **bases = mem_array(n, sizeof(*bases));
    size_t bases_n = 0;

    TRY_PTR(bases);
    for (size_t i = 0; i < n; i++) {
        if (!names[i].ident.is_ip) {
            bases[bases_n++] = names[i].ident.base;
        }
    }
    return records_known_put(r->acme->records, db, bases, bases_n);
}

struct err order_records_publish(struct db *db, const struct acme_req *r,
                                 const struct order_new_name *names, size_t n)
{
    if (r->acme->records != NULL) {
        TRY(put_known(db, r, names, n));
    }
    for (size_t i = 0; i < n; i++) {
        const struct order_new_name *name = &names[i];
        if (!name->is_preauthorized || name->ident.is_ip || name->reuse_id[0] != '\0') {
            continue;
        }
        TRY(put_persist(db, r, name->ident.base, has_wildcard(names, n, name->ident.base)));
        TRY(put_account(db, r, name));
    }
    return err_ok();
}
