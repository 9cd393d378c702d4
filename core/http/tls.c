#include "core/http/tls.h"

#include "core/util/mem.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHAIN_MAX 8u
#define KEY_ID_MAX 64u

struct tls_state {
    _Atomic unsigned refs;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_n;
    gnutls_privkey_t key;
};

struct tls_box {
    pthread_mutex_t lock; /* guards current; leaf */
    struct tls_state *current;
};

struct tls_hold {
    struct tls_box *box;
    struct tls_state *state; /* the callback returns pointers into it */
};

static void state_unref(struct tls_state *state)
{
    if (state == NULL || atomic_fetch_sub(&state->refs, 1) != 1) {
        return;
    }
    for (unsigned i = 0; i < state->chain_n; i++) {
        gnutls_pcert_deinit(&state->chain[i]);
    }
    if (state->key != NULL) {
        gnutls_privkey_deinit(state->key);
    }
    mem_free(state);
}

static void unref_slot(struct tls_state **state)
{
    state_unref(*state);
}

static void pubkey_free_slot(gnutls_pubkey_t *key)
{
    if (*key != NULL) {
        gnutls_pubkey_deinit(*key);
    }
}

static struct err fail_tls(const char *what, int rc)
{
    FAIL(ERR_CONFIG, "the TLS %s: %s", what, gnutls_strerror(rc));
}

static gnutls_datum_t datum_of(char *text)
{
    union {
        char *text;
        unsigned char *bytes;
    } as = {.text = text};
    gnutls_datum_t datum = {as.bytes, (unsigned)strlen(text)};
    return datum;
}

static struct err load_chain(struct tls_state *state, char *pem)
{
    gnutls_datum_t data = datum_of(pem);
    unsigned n = CHAIN_MAX;

    int rc = gnutls_pcert_list_import_x509_raw(state->chain, &n, &data, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0) {
        return fail_tls("certificate chain cannot be read", rc);
    }
    state->chain_n = n;
    if (n == 0) {
        FAIL(ERR_CONFIG, "the TLS certificate file holds no certificate");
    }
    return err_ok();
}

static struct err load_key(struct tls_state *state, char *pem)
{
    gnutls_datum_t data = datum_of(pem);

    int rc = gnutls_privkey_init(&state->key);
    if (rc == 0) {
        rc = gnutls_privkey_import_x509_raw(state->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    return rc < 0 ? fail_tls("private key cannot be read", rc) : err_ok();
}

static struct err check_pair(const struct tls_state *state)
{
    AUTO(pubkey_free_slot) gnutls_pubkey_t of_key = NULL;
    unsigned char cert_id[KEY_ID_MAX];
    unsigned char key_id[KEY_ID_MAX];
    size_t cert_id_len = sizeof(cert_id);
    size_t key_id_len = sizeof(key_id);

    int rc = gnutls_pubkey_init(&of_key);
    if (rc == 0) {
        rc = gnutls_pubkey_import_privkey(of_key, state->key, 0, 0);
    }
    if (rc == 0) {
        rc = gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, key_id, &key_id_len);
    }
    if (rc == 0) {
        rc = gnutls_pubkey_get_key_id(state->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, cert_id,
                                      &cert_id_len);
    }
    if (rc < 0) {
        return fail_tls("certificate and key cannot be compared", rc);
    }
    if (key_id_len != cert_id_len || memcmp(key_id, cert_id, key_id_len) != 0) {
        FAIL(ERR_CONFIG, "the TLS private key does not belong to the first certificate of the "
                         "chain");
    }
    return err_ok();
}

struct err tls_box_new(struct tls_box **out)
{
    struct tls_box *box = mem_zalloc(sizeof(*box));

    TRY_PTR(box);
    (void)pthread_mutex_init(&box->lock, NULL);
    *out = box;
    return err_ok();
}

void tls_box_free(struct tls_box *box)
{
    if (box == NULL) {
        return;
    }
    state_unref(box->current);
    (void)pthread_mutex_destroy(&box->lock);
    mem_free(box);
}

struct err tls_box_set(struct tls_box *box, const struct http_tls *pem)
{
    AUTO(unref_slot) struct tls_state *state = mem_zalloc(sizeof(*state));

    TRY_PTR(state);
    atomic_init(&state->refs, 1);
    TRY(load_chain(state, pem->cert_pem));
    TRY(load_key(state, pem->key_pem));
    TRY(check_pair(state));
    (void)pthread_mutex_lock(&box->lock);
    struct tls_state *before = box->current;
    box->current = MOVE(state);
    (void)pthread_mutex_unlock(&box->lock);
    state_unref(before);
    return err_ok();
}

struct tls_hold *tls_hold_new(struct tls_box *box, void *session)
{
    struct tls_hold *hold = mem_zalloc(sizeof(*hold));

    if (hold != NULL) {
        hold->box = box;
    }
    gnutls_session_set_ptr(session, hold);
    return hold;
}

void tls_hold_free(struct tls_hold *hold)
{
    if (hold != NULL) {
        state_unref(hold->state);
        mem_free(hold);
    }
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **chain, unsigned *chain_n, gnutls_ocsp_data_st **ocsp,
                    unsigned *ocsp_n, gnutls_privkey_t *key, unsigned *flags)
{
    struct tls_hold *hold = gnutls_session_get_ptr(session);

    (void)info;
    if (hold == NULL) {
        return -1;
    }
    (void)pthread_mutex_lock(&hold->box->lock);
    struct tls_state *state = hold->box->current;
    if (state != NULL) {
        atomic_fetch_add(&state->refs, 1);
    }
    (void)pthread_mutex_unlock(&hold->box->lock);
    if (state == NULL) {
        return -1;
    }
    state_unref(hold->state);
    hold->state = state;
    *chain = state->chain;
    *chain_n = state->chain_n;
    *key = state->key;
    *ocsp = NULL;
    *ocsp_n = 0;
    *flags = 0; /* nothing is for gnutls to free: the hold outlives the handshake */
    return 0;
}

void *tls_callback(void)
{
    union {
        gnutls_certificate_retrieve_function3 *function;
        void *pointer;
    } as = {.function = retrieve};
    return as.pointer;
}
