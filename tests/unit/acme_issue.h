/* More of acme_support.h: further accounts, external account bindings, whole issuances, and a look
 * into the tables. */
#ifndef TESTS_UNIT_ACME_ISSUE_H
#define TESTS_UNIT_ACME_ISSUE_H

#include <openssl/hmac.h>

#include "tests/unit/acme_support.h"

/* --- accounts --------------------------------------------------------------------------------- */

struct who {
    struct maker key;
    char kid[256];
};

SUPPORT const char *id_of(const char *url)
{
    return strrchr(url, '/') + 1;
}

SUPPORT void who_post(struct fx *f, const struct who *who, const char *url, const char *payload,
                      struct reply *out)
{
    const struct odd usual = {0};
    char kept[1024]; /* url may stand in *out */

    (void)snprintf(kept, sizeof(kept), "%s", url);
    fx_post_odd(f, &who->key, who->kid, kept, payload, &usual, out);
}

/* Signed by the key itself. */
SUPPORT void who_post_new(struct fx *f, const struct maker *key, const char *url,
                          const char *payload, struct reply *out)
{
    const struct odd usual = {0};

    fx_post_odd(f, key, NULL, url, payload, &usual, out);
}

SUPPORT struct who who_new(struct fx *f)
{
    struct who who = {.key = maker_new(JWK_ES256, 0)};

    fx_register(f, &who.key, who.kid);
    return who;
}

/* newAccount's payload with a binding of `key` to `client`; freed with mem_free(). */
SUPPORT char *bound_payload(struct fx *f, const struct maker *key, const char *client)
{
    struct buf b = BUF_INIT(65536);
    char header[512];
    uint8_t secret[ACCESS_KEY_MAX];
    size_t secret_len = 0;
    char name[CLIENT_NAME_MAX + 1];
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;

    err_ignore(access_key(f->access, client, secret, &secret_len, name));
    (void)snprintf(header, sizeof(header),
                   "{\"alg\":\"HS256\",\"kid\":\"%s\",\"url\":\"" BASE "/acme/new-account\"}",
                   client);
    char *protected_text = maker_b64(header, strlen(header));
    char *payload_text = maker_b64(key->jwk, strlen(key->jwk));
    buf_printf(&b, "%s.%s", protected_text, payload_text);
    assert_non_null(HMAC(EVP_sha256(), secret, (int)secret_len, b.data, b.len, mac, &mac_len));
    char *mac_text = maker_b64(mac, mac_len);
    buf_reset(&b);
    buf_printf(&b,
               "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":{\"protected\":\"%s\","
               "\"payload\":\"%s\",\"signature\":\"%s\"}}",
               protected_text, payload_text, mac_text);
    mem_free(protected_text);
    mem_free(payload_text);
    mem_free(mac_text);
    return buf_take(&b);
}

/* An account bound to `client`. */
SUPPORT struct who who_bound(struct fx *f, const char *client)
{
    struct who who = {.key = maker_new(JWK_ES256, 0)};
    struct reply reply = {0};
    char *payload = bound_payload(f, &who.key, client);

    who_post_new(f, &who.key, "/acme/new-account", payload, &reply);
    expect_status(&reply, 201);
    assert_non_null(json_object_get(reply.json, "externalAccountBinding"));
    (void)snprintf(who.kid, sizeof(who.kid), "%.255s", reply.location);
    mem_free(payload);
    reply_clear(&reply);
    return who;
}

SUPPORT void who_clear(struct who *who)
{
    maker_clear(&who->key);
}

/* Everything that fx_*() does is done as this account from now on; again: as before. */
SUPPORT void who_swap(struct fx *f, struct who *who)
{
    struct who mine = {.key = f->key};

    memcpy(mine.kid, f->kid, sizeof(mine.kid));
    f->key = who->key;
    memcpy(f->kid, who->kid, sizeof(f->kid));
    *who = mine;
}

/* --- certificates ----------------------------------------------------------------------------- */

struct cert {
    EVP_PKEY *key;
    char url[512];
    char *pem; /* the chain */
    uint8_t *der;
    int der_len;
    char renewal_id[CA_RENEWAL_ID_MAX + 1];
};

SUPPORT void cert_read(struct cert *c)
{
    BIO *bio = BIO_new_mem_buf(c->pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    assert_non_null(x);
    c->der_len = i2d_X509(x, &c->der);
    assert_true(c->der_len > 0);
    must(ca_renewal_id(c->der, (size_t)c->der_len, c->renewal_id));
    X509_free(x);
    BIO_free(bio);
}

/* Finalize an order that is ready, and fetch the certificate. key: consumed. */
SUPPORT struct cert fx_finalize(struct fx *f, const struct reply *order, EVP_PKEY *key,
                                const char *const *names, size_t n)
{
    struct cert c = {.key = key};
    struct reply reply = {0};
    char *csr = csr_payload(key, names, n);

    fx_post(f, member(order, "finalize"), csr, &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "valid");
    (void)snprintf(c.url, sizeof(c.url), "%s", member(&reply, "certificate"));
    fx_post(f, c.url, "", &reply);
    expect_status(&reply, 200);
    c.pem = mem_strdup(reply.body);
    assert_non_null(c.pem);
    cert_read(&c);
    mem_free(csr);
    reply_clear(&reply);
    return c;
}

/* Order, prove (published by client "both"), finalize, fetch. */
SUPPORT struct cert fx_issue(struct fx *f, const char *const *names, size_t n)
{
    struct reply order = {0};

    fx_order(f, names, n, &order);
    expect_status(&order, 201);
    fx_prove(f, &order, "both");
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), names, n);
    reply_clear(&order);
    return c;
}

SUPPORT void cert_clear(struct cert *c)
{
    EVP_PKEY_free(c->key);
    mem_free(c->pem);
    OPENSSL_free(c->der);
    *c = (struct cert){0};
}

/* --- the tables ------------------------------------------------------------------------------- */

struct fx_sql {
    const char *sql_literal;
    const char *text; /* bound as ?1, or NULL */
    int64_t value;
};

SUPPORT struct err fx_sql_fn(struct db *db, void *arg)
{
    struct fx_sql *x = arg;
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, x->sql_literal);

    if (x->text != NULL) {
        db_bind_text(q, 1, x->text);
    }
    while (db_step(q)) {
        x->value = db_col_int(q, 0);
    }
    return db_finish(q);
}

/* One number. */
SUPPORT int64_t fx_number(struct fx *f, const char *sql_literal, const char *text)
{
    struct fx_sql x = {sql_literal, text, -1};

    must(store_read(f->store, "test.number", fx_sql_fn, &x));
    return x.value;
}

SUPPORT void fx_change(struct fx *f, const char *sql_literal, const char *text)
{
    struct fx_sql x = {sql_literal, text, 0};

    must(store_write(f->store, "test.change", fx_sql_fn, &x));
}

#endif
