/* keyChange, and what follows when an account's row changes. RFC 8555 §7.3.5. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/eab.h"
#include "acme-server/handlers.h"
#include "core/util/log.h"
#include "core/util/mem.h"

struct cache_drop {
    struct acme *acme;
    char id[OBJECT_ID_LEN + 1];
};

static void cache_drop_hook(void *arg)
{
    const struct cache_drop *drop = arg;

    account_cache_drop(drop->acme->accounts, drop->id);
    validator_account_changed(drop->acme->validator, drop->id);
}

struct err acme_account_forget(struct db *db, struct acme *acme, const char *id)
{
    AUTO(mem_freep) struct cache_drop *drop = mem_zalloc(sizeof(*drop));

    TRY_PTR(drop);
    drop->acme = acme;
    memcpy(drop->id, id, sizeof(drop->id));
    TRY(db_on_commit(db, cache_drop_hook, mem_free, drop));
    (void)MOVE(drop);
    return err_ok();
}

struct rekey {
    struct acme *acme;
    struct account_row row;
    const char *old_thumbprint;
    char holder[OBJECT_ID_LEN + 1];
};

static void rekey_clear(struct rekey *k)
{
    account_row_clear(&k->row);
}

static struct err rekey_fn(struct db *db, void *arg)
{
    struct rekey *k = arg;

    TRY(acme_db_account_rekey(db, k->acme->delegate, &k->row, k->old_thumbprint, k->holder));
    return acme_account_forget(db, k->acme, k->row.id);
}

static struct err load_fn(struct db *db, void *arg)
{
    struct rekey *k = arg;

    account_row_clear(&k->row);
    return acme_db_account_load(db, k->holder, &k->row);
}

static struct err refuse_conflict(struct acme_req *r, const struct rekey *k)
{
    (void)snprintf(r->prob.location, sizeof(r->prob.location), "%s/acme/account/%s", r->base,
                   k->holder);
    REJECT(&r->prob, PROBLEM_MALFORMED, 409,
           "The new key belongs to an account already (see Location): make another key.");
}

struct err acme_key_change(struct acme_req *r)
{
    AUTO(jwk_freep) struct jwk *new_key = NULL;
    AUTO(rekey_clear) struct rekey k = {.acme = r->acme};
    const struct key_change expected = {
        .outer_url = r->jws.url,
        .account_url = r->jws.kid,
        .old_key = r->key,
        .min_rsa_bits = (unsigned)acme_settings(r->acme)->min_rsa_bits,
    };

    struct err verified =
        key_change_verify(r->jws.payload, r->jws.payload_len, &expected, &new_key, &r->prob);
    if (verified.code == ERR_REJECTED && r->prob.status == 409) {
        (void)snprintf(r->prob.location, sizeof(r->prob.location), "%s/acme/account/%s", r->base,
                       r->account_id);
    }
    TRY(verified);
    memcpy(k.row.id, r->account_id, sizeof(k.row.id));
    memcpy(k.row.thumbprint, jwk_thumbprint(new_key), sizeof(k.row.thumbprint));
    k.row.jwk = mem_strdup(jwk_json(new_key));
    TRY_PTR(k.row.jwk);
    k.old_thumbprint = jwk_thumbprint(r->key);
    struct err e = store_write(r->acme->store, "acme.account.rekey", rekey_fn, &k);
    if (e.code == ERR_CONFLICT) {
        return refuse_conflict(r, &k);
    }
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401,
               "The account was deactivated or got another key meanwhile.");
    }
    TRY(e);
    log_ev(LOG_INFO, "acme.account.key_change", {"account", r->account_id},
           {"alg", jwk_alg_name(jwk_alg(new_key))});
    memcpy(k.holder, r->account_id, sizeof(k.holder));
    TRY(store_read(r->acme->store, "acme.account.load", load_fn, &k));
    return acme_account_reply(r, &k.row, 200);
}
