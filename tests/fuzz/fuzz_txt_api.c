/* Any bytes as a door's body. The first byte chooses the door, the rest is the body. What is
 * accepted keeps to its limits, and a value is always one that DNS may publish. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/token.h"
#include "web/delegate_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

static void check_refusal(struct err e, const struct delegate_fault *fault)
{
    must(e.code == ERR_REJECTED && fault->status == 400);
    must(fault->error != NULL && fault->error[0] != '\0' && fault->detail[0] != '\0');
}

static struct err one_httpreq(const uint8_t *body, size_t len, struct delegate_fault *fault)
{
    struct delegate_httpreq out;

    TRY(delegate_httpreq_parse(body, len, &out, fault));
    must(strlen(out.value) == TXT_VALUE_LEN && is_base64url(out.value, TXT_VALUE_LEN));
    must(out.fqdn[0] != '\0' && strlen(out.fqdn) <= DELEGATE_FQDN_MAX);
    return err_ok();
}

static struct err one_register(const uint8_t *body, size_t len, struct delegate_fault *fault)
{
    struct delegate_allowfrom out;

    TRY(delegate_register_parse(body, len, &out, fault));
    must(out.n <= DELEGATE_ALLOWFROM_MAX);
    for (size_t i = 0; i < out.n; i++) {
        must(out.nets[i][0] != '\0' && strlen(out.nets[i]) <= DELEGATE_CIDR_MAX);
    }
    return err_ok();
}

static struct err one_update(const uint8_t *body, size_t len, struct delegate_fault *fault)
{
    struct delegate_update_body out;

    TRY(delegate_update_parse(body, len, &out, fault));
    must(strlen(out.txt) == TXT_VALUE_LEN && is_base64url(out.txt, TXT_VALUE_LEN));
    must(strlen(out.subdomain) <= NAME_TEXT_MAX);
    return err_ok();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct delegate_fault fault = {0, NULL, ""};
    struct err e = err_ok();

    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        e = one_httpreq(data + 1, size - 1, &fault);
        break;
    case 1:
        e = one_register(data + 1, size - 1, &fault);
        break;
    case 2:
        e = one_update(data + 1, size - 1, &fault);
        break;
    default: /* allow: a number, not an enum of ours */
        e = delegate_storage_parse(data + 1, size - 1, &fault);
        break;
    }
    if (e.code != ERR_OK) {
        check_refusal(e, &fault);
    }
    return 0;
}
