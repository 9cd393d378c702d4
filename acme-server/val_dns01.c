/* dns-01: is the digest at _acme-challenge.<name>? RFC 8555 §8.4. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate.h"
#include "core/util/mem.h"

bool val_dns01_is_local(struct acme *acme, const struct ident *ident)
{
    struct zone_reader *reader = NULL;
    struct err e = acme_reader_take(acme, &reader);

    if (e.code != ERR_OK) {
        return false; /* a look-up finds names of ours as well, only later */
    }
    bool is_ours = zone_has_own_challenge(zone_read_begin(reader), ident->base);
    zone_read_end(reader);
    acme_reader_give(acme, reader);
    return is_ours;
}

/* Look in our own snapshot; owner NULL: where the name's own CNAME leads. */
static void look(struct acme *acme, struct zone_reader *reader, const struct val_target *target,
                 const char *owner, struct val_result *out)
{
    char detail[400] = "";
    enum delegate_verdict verdict = delegate_check(acme->delegate, reader, &target->ident, owner,
                                                   target->digest, &out->by, detail);

    switch (verdict) {
    case DELEGATE_FOUND:
        out->is_valid = true;
        out->is_published = true;
        return;
    case DELEGATE_MISSING:
        out->type = PROBLEM_INCORRECT_RESPONSE;
        break;
    case DELEGATE_NOT_ALLOWED:
        out->type = PROBLEM_UNAUTHORIZED;
        break;
    }
    (void)snprintf(out->detail, sizeof(out->detail), "%s", detail);
}

struct err val_dns01_local(struct acme *acme, const struct val_target *target,
                           struct val_result *out)
{
    struct zone_reader *reader = NULL;

    *out = (struct val_result){.type = PROBLEM_INCORRECT_RESPONSE};
    TRY(acme_reader_take(acme, &reader));
    look(acme, reader, target, NULL, out);
    acme_reader_give(acme, reader);
    return err_ok();
}
