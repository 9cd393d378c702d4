/* renewalInfo: when to renew, for anybody who has the certificate. RFC 9773. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define ASK_AGAIN_S (6 * 3600)
#define ASK_AGAIN_MIN_S 60

struct renewal_read {
    const char *id;
    struct ca_cert_info info;
};

static void renewal_read_clear(struct renewal_read *read)
{
    ca_cert_info_clear(&read->info);
}

static struct err read_fn(struct db *db, void *arg)
{
    struct renewal_read *read = arg;

    ca_cert_info_clear(&read->info);
    return ca_cert_find_renewal(db, read->id, &read->info);
}

/* Often enough that a short-lived certificate's window is not missed. */
static int64_t ask_again_s(const struct ca_cert_info *info)
{
    int64_t tenth = (info->not_after - info->not_before) / 10;

    if (tenth < ASK_AGAIN_MIN_S) {
        return ASK_AGAIN_MIN_S;
    }
    return tenth < ASK_AGAIN_S ? tenth : ASK_AGAIN_S;
}

static void reply(const struct ca_cert_info *info, struct http_resp *resp)
{
    int64_t start = 0;
    int64_t end = 0;
    char from[CLOCK_RFC3339_LEN + 1];
    char until[CLOCK_RFC3339_LEN + 1];

    ca_renewal_window(info, clock_unix_s(), &start, &end);
    clock_rfc3339(start, from);
    clock_rfc3339(end, until);
    buf_printf(&resp->body, "{\"suggestedWindow\":{\"start\":\"%s\",\"end\":\"%s\"}}", from, until);
    http_resp_headerf(resp, "Retry-After", "%" PRId64, ask_again_s(info));
    resp->status = 200;
    resp->content_type = "application/json";
}

void acme_renewal_info(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    struct acme *acme = ctx;
    AUTO(renewal_read_clear) struct renewal_read read = {.id = http->tail};
    struct err e = store_read(acme->store, "acme.renewal_info", read_fn, &read);

    if (e.code == ERR_OK) {
        reply(&read.info, resp);
        return;
    }
    if (e.code == ERR_MALFORMED) {
        acme_on_http_error(
            acme, http, 400,
            "This is no certificate identifier: base64url of the authority key "
            "identifier, a dot, base64url of the serial number (RFC 9773 section 4.1).",
            resp);
    } else if (e.code == ERR_NOT_FOUND) {
        acme_on_http_error(acme, http, 404, "This server did not issue such a certificate.", resp);
    } else {
        log_err(LOG_ERROR, "acme.renewal_info", e);
        acme_on_http_error(acme, http, 500, "The server could not do this; try again in a moment.",
                           resp);
    }
}
