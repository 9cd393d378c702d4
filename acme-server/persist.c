#include "acme-server/persist.h"

#include <stdio.h>
#include <string.h>

#include "acme-server/issuer.h"
#include "core/util/buf.h"
#include "core/util/mem.h"
#include "core/util/token.h"

struct err persist_hash(const char *domain, const char *thumbprint, const char *account_url,
                        char out[SHA256_B64_LEN + 1])
{
    AUTO(buf_clear) struct buf b = BUF_INIT(2048);
    uint8_t hash[SHA256_LEN];

    if (strlen(domain) > 255) {
        FAIL(ERR_LIMIT, "a domain of more than 255 octets");
    }
    buf_u8(&b, (uint8_t)strlen(domain));
    buf_puts(&b, domain);
    buf_puts(&b, thumbprint);
    buf_puts(&b, account_url);
    TRY(buf_check(&b));
    TRY(sha256(b.data, b.len, hash));
    base64url_encode(hash, sizeof(hash), out);
    return err_ok();
}

static bool is_hash_of(const struct persist_question *q, const char *domain,
                       const char *account_url, const char *hash)
{
    char want[SHA256_B64_LEN + 1];

    return persist_hash(domain, q->thumbprint, account_url, want).code == ERR_OK &&
           strcmp(want, hash) == 0;
}

/* The client may know its account under the authority that it used, or public_url's. */
static bool is_hashed_account(const struct persist_question *q, const char *path)
{
    static const char PREFIX[] = PERSIST_HASH_PATH PERSIST_HASH_ALG "/";
    const size_t prefix_len = sizeof(PREFIX) - 1;
    char public_url[VALIDATE_ACCOUNT_URL_MAX + 1];

    if (strncmp(path, PREFIX, prefix_len) != 0) {
        return false;
    }
    (void)snprintf(public_url, sizeof(public_url), "https://%s" ACCOUNT_PATH "%s",
                   q->urls->authority, q->account_id);
    const char *const accounts[] = {q->account_url, public_url};
    for (size_t i = 0; i < ARRAY_N(accounts); i++) {
        if (is_hash_of(q, q->ident->base, accounts[i], path + prefix_len) ||
            is_hash_of(q, "*", accounts[i], path + prefix_len)) {
            return true;
        }
    }
    return false;
}

static bool is_account(const struct persist_question *q, const struct issue_text *uri)
{
    char path[ISSUE_URI_MAX + 1];

    if (issue_uri_is_account(q->urls, uri, q->account_id)) {
        return true;
    }
    issue_uri_path(q->urls, uri, path);
    return is_hashed_account(q, path);
}

/* A base-10 integer. */
static bool parse_until(const struct issue_text *text, int64_t *out)
{
    bool is_negative = text->len > 0 && text->at[0] == '-';
    size_t i = is_negative ? 1 : 0;
    int64_t value = 0;

    if (i == text->len) {
        return false;
    }
    for (; i < text->len; i++) {
        if (text->at[i] < '0' || text->at[i] > '9') {
            return false;
        }
        if (value < INT64_MAX / 100) {
            value = value * 10 + (text->at[i] - '0');
        } else {
            value = INT64_MAX / 10; /* beyond every clock */
        }
    }
    *out = is_negative ? -value : value;
    return true;
}

enum persist_verdict persist_record(const struct persist_question *question,
                                    const struct lookup_rdata *record, int64_t *until_unix)
{
    struct issue_value value;
    struct issuer_names names;
    bool is_twice[3] = {false, false, false};
    int64_t until = 0;

    *until_unix = 0;
    if (!issue_value_parse(record->data, record->len, &value)) {
        return PERSIST_MALFORMED;
    }
    issuer_names(question->urls, &names);
    if (!issue_name_is_one_of(&value, names.list, names.n)) {
        return PERSIST_OTHER_ISSUER;
    }
    const struct issue_text *account = issue_param_find(&value, "accounturi", &is_twice[0]);
    const struct issue_text *policy = issue_param_find(&value, "policy", &is_twice[1]);
    const struct issue_text *end = issue_param_find(&value, "persistUntil", &is_twice[2]);
    if (is_twice[0] || is_twice[1] || is_twice[2] || account == NULL ||
        (end != NULL && !parse_until(end, &until))) {
        return PERSIST_MALFORMED;
    }
    if (!is_account(question, account)) {
        return PERSIST_OTHER_ACCOUNT;
    }
    if (end != NULL && until < question->now_unix) {
        return PERSIST_ENDED;
    }
    if (question->ident->is_wildcard && (policy == NULL || !issue_text_is(policy, "wildcard"))) {
        return PERSIST_NO_WILDCARD;
    }
    *until_unix = until;
    return PERSIST_VALID;
}

static const char *phrase(enum persist_verdict verdict)
{
    switch (verdict) {
    case PERSIST_OTHER_ISSUER:
        return "there is no record for this server";
    case PERSIST_MALFORMED:
        return "the record does not follow its syntax (one accounturi; persistUntil a number)";
    case PERSIST_OTHER_ACCOUNT:
        return "the record's accounturi is not this account";
    case PERSIST_ENDED:
        return "the record's persistUntil is over";
    case PERSIST_NO_WILDCARD:
        return "a wildcard wants policy=wildcard in the record";
    case PERSIST_VALID:
        break;
    }
    return "";
}

enum persist_verdict persist_rrset(const struct persist_question *question,
                                   const struct lookup_rdata *records, size_t n,
                                   int64_t *until_unix, char detail[VALIDATE_DETAIL_MAX])
{
    enum persist_verdict best = PERSIST_OTHER_ISSUER;
    int64_t best_until = 0;
    struct issuer_names names;

    for (size_t i = 0; i < n; i++) {
        int64_t until = 0;
        enum persist_verdict verdict = persist_record(question, &records[i], &until);
        bool is_longer = best_until != 0 && (until == 0 || until > best_until);
        if (verdict > best || (verdict == PERSIST_VALID && is_longer)) {
            best = verdict;
            best_until = until;
        }
    }
    *until_unix = best_until;
    if (best != PERSIST_VALID) {
        issuer_names(question->urls, &names);
        (void)snprintf(detail, VALIDATE_DETAIL_MAX,
                       "At " ZONE_PERSIST_LABEL
                       ".%s %s. Publish there TXT \"%s; accounturi=%s%s\".",
                       question->ident->base, phrase(best), names.list[0], question->account_url,
                       question->ident->is_wildcard ? "; policy=wildcard" : "");
    }
    return best;
}
