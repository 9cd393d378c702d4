/* One RRset of CAA records: may we issue? RFC 8659 §4, RFC 8657. */
#include <stdio.h>
#include <string.h>

#include "acme-server/issuer.h"
#include "acme-server/validate_net.h"
#include "core/util/mem.h"

#define CRITICAL 0x80u

struct property {
    bool is_critical;
    struct issue_text tag;
    const uint8_t *value;
    size_t value_len;
};

/* How near the best of the properties came. */
enum grant { GRANT_NO_ISSUER, GRANT_NO_ACCOUNT, GRANT_NO_METHOD, GRANT_YES };

static bool read_property(const struct lookup_rdata *rdata, struct property *out)
{
    const uint8_t *p = rdata->data;

    if (rdata->len < 2 || p[1] == 0 || (size_t)p[1] + 2 > rdata->len) {
        return false;
    }
    out->is_critical = (p[0] & CRITICAL) != 0;
    out->tag = (struct issue_text){(const char *)p + 2, p[1]};
    for (size_t i = 0; i < out->tag.len; i++) {
        char c = out->tag.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && (c < '0' || c > '9')) {
            return false;
        }
    }
    out->value = p + 2 + p[1];
    out->value_len = rdata->len - 2 - p[1];
    return true;
}

/* The registered tags; those other than issue and issuewild do not bear on our certificates. */
static bool is_known(const struct issue_text *tag)
{
    static const char *const TAGS[] = {"issue",    "issuewild",    "iodef",       "issuemail",
                                       "issuevmc", "contactemail", "contactphone"};

    for (size_t i = 0; i < ARRAY_N(TAGS); i++) {
        if (issue_text_is(tag, TAGS[i])) {
            return true;
        }
    }
    return false;
}

/* RFC 8657 §4: labels with commas between them, or nothing at all. */
static bool has_method(const struct issue_text *list, const char *method)
{
    bool is_listed = false;
    size_t from = 0;

    for (size_t i = 0; i <= list->len && list->len > 0; i++) {
        char c = i == list->len ? ',' : list->at[i];
        if (c == ',') {
            if (i == from) {
                return false;
            }
            is_listed = is_listed || (strlen(method) == i - from &&
                                      memcmp(list->at + from, method, i - from) == 0);
            from = i + 1;
        } else if (c != '-' &&
                   !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
            return false;
        }
    }
    return is_listed;
}

/* What does one issue or issuewild property grant us? A value that breaks the grammar names nobody
 * (RFC 8659 §4.2); a parameter that stands there twice cannot be met (RFC 8657 §3). */
static enum grant grant_of(const struct property *property, const char *const *issuers,
                           size_t issuers_n, const struct base_urls *urls,
                           const struct caa_question *question)
{
    struct issue_value value;
    bool is_twice = false;

    if (!issue_value_parse(property->value, property->value_len, &value) ||
        !issue_name_is_one_of(&value, issuers, issuers_n)) {
        return GRANT_NO_ISSUER;
    }
    const struct issue_text *uri = issue_param_find(&value, "accounturi", &is_twice);
    if (is_twice || (uri != NULL && !issue_uri_is_account(urls, uri, question->account_id))) {
        return GRANT_NO_ACCOUNT;
    }
    const struct issue_text *methods = issue_param_find(&value, "validationmethods", &is_twice);
    if (is_twice || (methods != NULL && !has_method(methods, question->method))) {
        return GRANT_NO_METHOD;
    }
    return GRANT_YES;
}

static void say(enum grant best, const char *tag, const char *const *issuers, size_t issuers_n,
                const struct caa_question *question, char detail[VALIDATE_DETAIL_MAX])
{
    const char *us = issuers_n > 0 ? issuers[0] : "";
    char name[IDENT_TEXT_MAX + 1];

    ident_text(&question->ident, name);
    switch (best) {
    case GRANT_NO_ISSUER:
        (void)snprintf(detail, VALIDATE_DETAIL_MAX,
                       "The CAA records for %s do not let this server issue: add CAA 0 %s \"%s\".",
                       name, tag, us);
        return;
    case GRANT_NO_ACCOUNT:
        (void)snprintf(detail, VALIDATE_DETAIL_MAX,
                       "The CAA records for %s bind this server to another account: their "
                       "accounturi must be this account's URL.",
                       name);
        return;
    case GRANT_NO_METHOD:
        (void)snprintf(detail, VALIDATE_DETAIL_MAX,
                       "The CAA records for %s do not allow the challenge %s: add it to their "
                       "validationmethods or use another challenge.",
                       name, question->method);
        return;
    case GRANT_YES:
        return;
    }
}

/* Does every property say something that we understand? Which kinds are there? */
static bool survey(const struct lookup_rdata *rdata, size_t rdata_n, bool *has_issue,
                   bool *has_issuewild, char detail[VALIDATE_DETAIL_MAX])
{
    struct property property;

    for (size_t i = 0; i < rdata_n; i++) {
        if (!read_property(&rdata[i], &property)) {
            (void)snprintf(detail, VALIDATE_DETAIL_MAX, "A CAA record is malformed: mend it.");
            return false;
        }
        if (property.is_critical && !is_known(&property.tag)) {
            (void)snprintf(detail, VALIDATE_DETAIL_MAX,
                           "A CAA record is critical and its tag %.*s is not known here.",
                           (int)property.tag.len, property.tag.at);
            return false;
        }
        *has_issue = *has_issue || issue_text_is(&property.tag, "issue");
        *has_issuewild = *has_issuewild || issue_text_is(&property.tag, "issuewild");
    }
    return true;
}

bool caa_rrset_allows(const struct lookup_rdata *rdata, size_t rdata_n, const char *const *issuers,
                      size_t issuers_n, const struct base_urls *urls,
                      const struct caa_question *question, char detail[VALIDATE_DETAIL_MAX])
{
    bool has_issue = false;
    bool has_issuewild = false;
    enum grant best = GRANT_NO_ISSUER;
    struct property property;

    if (!survey(rdata, rdata_n, &has_issue, &has_issuewild, detail)) {
        return false;
    }
    /* RFC 8659 §4.3: issuewild stands before issue, for wildcards only. */
    bool is_wild = question->ident.is_wildcard && has_issuewild;
    if (!is_wild && !has_issue) {
        return true;
    }
    const char *tag = is_wild ? "issuewild" : "issue";
    for (size_t i = 0; i < rdata_n && best != GRANT_YES; i++) {
        if (read_property(&rdata[i], &property) && issue_text_is(&property.tag, tag)) {
            enum grant grant = grant_of(&property, issuers, issuers_n, urls, question);
            best = grant > best ? grant : best;
        }
    }
    say(best, tag, issuers, issuers_n, question, detail);
    return best == GRANT_YES;
}
