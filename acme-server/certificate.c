/* Certificate download. RFC 8555 §7.4.2. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "core/util/mem.h"

#define ALTERNATES_MAX 8u /* told; HTTP_HEADERS_MAX bounds them */

struct chain_read {
    const char *id;
    size_t index; /* 0 = the chain of its issuer, further ones are alternates */
    size_t chains_n;
    char *pem;
    char account_id[OBJECT_ID_LEN + 1];
};

static void chain_read_clear(struct chain_read *read)
{
    mem_free(read->pem);
}

static struct err chain_fn(struct db *db, void *arg)
{
    struct chain_read *read = arg;

    mem_free(MOVE(read->pem));
    return ca_chain_load_alternate(db, read->id, read->index, &read->pem, read->account_id,
                                   &read->chains_n);
}

/* "" or a number from 1 on, without leading zeros. */
static bool take_index(const char *text, size_t *index)
{
    size_t n = strspn(text, "0123456789");

    *index = 0;
    if (text[0] == '\0') {
        return true;
    }
    if (n > 2 || text[n] != '\0' || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        *index = *index * 10 + (size_t)(text[i] - '0');
    }
    return true;
}

/* Every other chain of the same leaf (RFC 8555 §7.4.2). */
static void link_alternates(struct acme_req *r, const struct chain_read *read)
{
    for (size_t i = 0; i < read->chains_n && i < ALTERNATES_MAX; i++) {
        if (i == read->index) {
            continue;
        }
        if (i == 0) {
            http_resp_headerf(r->resp, "Link", "<%s/acme/certificate/%s>;rel=\"alternate\"",
                              r->base, read->id);
        } else {
            http_resp_headerf(r->resp, "Link", "<%s/acme/certificate/%s/%zu>;rel=\"alternate\"",
                              r->base, read->id, i);
        }
    }
}

struct err acme_certificate(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(chain_read_clear) struct chain_read read = {.id = id};

    TRY(acme_req_id(r, "certificate", id, &rest));
    if (!take_index(rest, &read.index)) {
        return acme_req_missing(r, "resource");
    }
    TRY(acme_req_as_get(r));
    struct err e = store_read(r->acme->store, "acme.certificate.load", chain_fn, &read);
    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, "certificate");
    }
    TRY(e);
    if (strcmp(read.account_id, r->account_id) != 0) {
        return acme_req_foreign(r, "certificate");
    }
    link_alternates(r, &read);
    http_resp_body(r->resp, 200, "application/pem-certificate-chain", read.pem, strlen(read.pem));
    return err_ok();
}
