/* dns-01, dns-account-01 and dns-persist-01 through look-ups: our own zones in-process, the others
 * over the resolvers. RFC 8555 §8.4, draft-ietf-acme-dns-account-label-03,
 * draft-ietf-acme-dns-persist-02. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/persist.h"
#include "acme-server/validate_net_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

struct val_dns {
    struct val_net *net;
    struct val_dns *prev, *next;
    struct val_attempt attempt;
    struct lookup *lookup;
    size_t trail_from; /* where this attempt's part begins */
    char name[LOOKUP_END_MAX + 1];
};

static void drop(struct val_dns *dns)
{
    lookup_cancel(dns->lookup);
    if (dns->prev == NULL) {
        dns->net->dns = dns->next;
    } else {
        dns->prev->next = dns->next;
    }
    if (dns->next != NULL) {
        dns->next->prev = dns->prev;
    }
    mem_free(dns);
}

void val_dns_clear(struct val_net *net)
{
    while (net->dns != NULL) {
        drop(net->dns);
    }
}

static bool has_value(const struct lookup_result *result, const char *digest)
{
    for (size_t i = 0; i < result->rdata_n; i++) {
        const struct lookup_rdata *txt = &result->rdata[i];
        if (txt->len == TXT_VALUE_LEN && memcmp(txt->data, digest, TXT_VALUE_LEN) == 0) {
            return true;
        }
    }
    return false;
}

/* The chase ended in our own zones: who published it there, and may they? */
static void look_own(const struct val_dns *dns, const char *end, struct val_result *out)
{
    struct acme *acme = dns->net->acme;
    const struct val_target *target = dns->attempt.target;
    struct zone_reader *reader = NULL;
    char detail[400] = "";

    if (acme_reader_take(acme, &reader).code != ERR_OK) {
        out->type = PROBLEM_SERVER_INTERNAL;
        (void)snprintf(out->detail, sizeof(out->detail), "The server is out of memory.");
        return;
    }
    enum delegate_verdict verdict = delegate_check(acme->delegate, reader, &target->ident, end,
                                                   target->digest, &out->by, detail);
    acme_reader_give(acme, reader);
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

static const char *seen(const struct val_dns *dns)
{
    const char *all = buf_str(dns->attempt.trail);
    const char *part = dns->trail_from < strlen(all) ? all + dns->trail_from : "";

    return strncmp(part, "; ", 2) == 0 ? part + 2 : part;
}

/* A name that does not exist, and one that nobody could look up. */
static bool is_dns_problem(const struct lookup_result *result)
{
    return result->status == LOOKUP_NXDOMAIN || result->status == LOOKUP_FAILED;
}

static void judge_digest(const struct val_dns *dns, const struct lookup_result *result,
                         struct val_result *out)
{
    const struct val_target *target = dns->attempt.target;

    if (result->is_ours && result->status != LOOKUP_FAILED) {
        look_own(dns, result->end, out);
        return;
    }
    if (result->status == LOOKUP_FOUND && has_value(result, target->digest)) {
        out->is_valid = true;
        return;
    }
    out->type = is_dns_problem(result) ? PROBLEM_DNS : PROBLEM_INCORRECT_RESPONSE;
    (void)snprintf(
        out->detail, sizeof(out->detail),
        "No TXT %s at %s. Its zone is served elsewhere and needs %s. %s", target->digest, dns->name,
        target->type == CHALLENGE_DNS01 ? "the CNAME that `bailiwick client cname` prints"
                                        : "that record, or a CNAME to a name that has it",
        seen(dns));
}

static enum problem_type persist_problem(enum persist_verdict verdict)
{
    return verdict == PERSIST_MALFORMED ? PROBLEM_MALFORMED : PROBLEM_UNAUTHORIZED;
}

/* Our DNS has such a record because the account's client was preauthorized when it was made: that
 * must still hold, now and at finalize. */
static void judge_own_persist(const struct val_dns *dns, struct val_result *out)
{
    const struct val_target *target = dns->attempt.target;
    struct access *access = dns->net->acme->access;

    out->is_preauthorized = true;
    memcpy(out->by.client, target->client, sizeof(out->by.client));
    if (target->client[0] != '\0' && access_is_preauthorized(access, target->client) &&
        access_may(access, target->client, &target->ident)) {
        return;
    }
    *out = (struct val_result){.type = PROBLEM_UNAUTHORIZED};
    (void)snprintf(
        out->detail, sizeof(out->detail),
        "The record at %s is from when the account's client was preauthorized for the name, "
        "which it is not any longer: use another challenge.",
        dns->name);
}

static void judge_persist(const struct val_dns *dns, const struct lookup_result *result,
                          struct val_result *out)
{
    const struct val_target *target = dns->attempt.target;
    const struct persist_question question = {&dns->net->acme->base_urls, &target->ident,
                                              target->account_id,         target->account_url,
                                              target->thumbprint,         clock_unix_s()};

    if (is_dns_problem(result)) {
        out->type = PROBLEM_DNS;
        (void)snprintf(out->detail, sizeof(out->detail),
                       "No TXT at %s. Publish the record that the challenge asks for. %s",
                       dns->name, seen(dns));
        return;
    }
    enum persist_verdict verdict =
        persist_rrset(&question, result->rdata, result->rdata_n, &out->until_unix, out->detail);
    out->is_valid = verdict == PERSIST_VALID;
    out->type = out->is_valid ? PROBLEM_NONE : persist_problem(verdict);
    if (out->is_valid && result->is_ours) {
        judge_own_persist(dns, out);
    }
}

static void on_found(void *arg, const struct lookup_result *result)
{
    struct val_dns *dns = arg;
    struct val_result out = {.type = PROBLEM_DNS};
    val_done_fn done = dns->attempt.done;
    void *done_arg = dns->attempt.arg;

    dns->lookup = NULL;
    if (dns->attempt.target->type == CHALLENGE_DNSPERSIST01) {
        judge_persist(dns, result, &out);
    } else {
        judge_digest(dns, result, &out);
    }
    drop(dns);
    done(done_arg, &out);
}

static struct err name_of(const struct val_target *target, char out[LOOKUP_END_MAX + 1])
{
    char label[ZONE_ACCOUNT_LABEL_LEN + 1];

    switch (target->type) {
    case CHALLENGE_DNS01:
        (void)snprintf(out, LOOKUP_END_MAX + 1, ACME_LABEL ".%s", target->ident.base);
        return err_ok();
    case CHALLENGE_DNSACCOUNT01:
        TRY(challenge_account_label(target->account_url, label));
        (void)snprintf(out, LOOKUP_END_MAX + 1, "%s." ACME_LABEL ".%s", label, target->ident.base);
        return err_ok();
    case CHALLENGE_DNSPERSIST01:
        (void)snprintf(out, LOOKUP_END_MAX + 1, ZONE_PERSIST_LABEL ".%s", target->ident.base);
        return err_ok();
    case CHALLENGE_HTTP01:
    case CHALLENGE_TLSALPN01:
    case CHALLENGE_TYPES_N:
        break;
    }
    FAIL(ERR_INTERNAL, "not a challenge that is looked up");
}

static struct err begin(struct val_dns *dns)
{
    TRY(name_of(dns->attempt.target, dns->name));
    return lookup_start(dns->net->lookups, dns->name, LOOKUP_TXT, dns->attempt.deadline_ms,
                        dns->attempt.trail, on_found, dns, &dns->lookup);
}

struct err val_dns_start(struct val_net *net, const struct val_attempt *attempt)
{
    struct val_dns *dns = mem_zalloc(sizeof(*dns));

    TRY_PTR(dns);
    dns->net = net;
    dns->attempt = *attempt;
    dns->trail_from = attempt->trail->len;
    dns->next = net->dns;
    if (net->dns != NULL) {
        net->dns->prev = dns;
    }
    net->dns = dns;
    struct err e = begin(dns);
    if (e.code != ERR_OK) {
        drop(dns);
    }
    return e;
}
