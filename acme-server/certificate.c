/* Certificate download. RFC 8555 §7.4.2. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "core/util/mem.h"

struct chain_read {
    const char *id;
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
    return ca_chain_load(db, read->id, &read->pem, read->account_id);
}

struct err acme_certificate(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(chain_read_clear) struct chain_read read = {.id = id};

    TRY(acme_req_id(r, "certificate", id, &rest));
    if (rest[0] != '\0') {
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
    http_resp_body(r->resp, 200, "application/pem-certificate-chain", read.pem, strlen(read.pem));
    return err_ok();
}
