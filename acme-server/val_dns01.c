/* dns-01: is the digest at _acme-challenge.<name>? RFC 8555 §8.4. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate.h"
#include "core/util/mem.h"

#define TRAIL_MAX 4096u

bool val_dns01_is_local(const struct acme *acme, const struct ident *ident)
{
    const struct config_zone *zone = config_zone_of(acme->cfg, ident->base);

    return zone != NULL && zone->is_served;
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

static bool has_value(const struct resolve_result *found, const char *digest)
{
    for (size_t i = 0; i < found->txt_n; i++) {
        if (strcmp(found->txt[i], digest) == 0) {
            return true;
        }
    }
    return false;
}

static void chase(struct acme *acme, struct zone_reader *reader, const struct val_target *target,
                  int64_t deadline_ms, struct val_result *out)
{
    char name[sizeof(ACME_LABEL) + NAME_TEXT_MAX + 1];
    AUTO(buf_clear) struct buf trail = BUF_INIT(TRAIL_MAX);
    AUTO(mem_freep) struct resolve_result *found = mem_zalloc(sizeof(*found));

    if (found == NULL) {
        (void)snprintf(out->detail, sizeof(out->detail), "The server is out of memory.");
        return;
    }
    (void)snprintf(name, sizeof(name), ACME_LABEL ".%s", target->ident.base);
    struct err e = resolve_txt(acme->resolve, reader, name, deadline_ms, &trail, found);
    if (e.code == ERR_OK && found->is_ours) {
        look(acme, reader, target, found->end, out);
        return;
    }
    if (e.code == ERR_OK && has_value(found, target->digest)) {
        out->is_valid = true;
        return;
    }
    out->type = e.code == ERR_OK ? PROBLEM_INCORRECT_RESPONSE : PROBLEM_DNS;
    (void)snprintf(out->detail, sizeof(out->detail),
                   "No TXT %s at %s. Its zone is served elsewhere and needs the CNAME that "
                   "`bailiwick client cname` prints. %.160s",
                   target->digest, name, buf_str(&trail));
}

struct err val_dns01_remote(struct acme *acme, const struct val_target *target, int64_t deadline_ms,
                            struct val_result *out)
{
    struct zone_reader *reader = NULL;

    *out = (struct val_result){.type = PROBLEM_DNS};
    TRY(acme_reader_take(acme, &reader));
    chase(acme, reader, target, deadline_ms, out);
    acme_reader_give(acme, reader);
    return err_ok();
}
