#include "acme-server/problem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define URN_PREFIX "urn:ietf:params:acme:error:"

struct problem_row {
    const char *urn;
    int status;
};

/* RFC 8555 §6.7, RFC 9773 §7.4 and, for invalidProfile, the profiles draft; the status is what a type
 * usually goes with. */
static const struct problem_row ROWS[] = {
    [PROBLEM_NONE] = {"about:blank", 500},
    [PROBLEM_ACCOUNT_DOES_NOT_EXIST] = {URN_PREFIX "accountDoesNotExist", 400},
    [PROBLEM_ALREADY_REVOKED] = {URN_PREFIX "alreadyRevoked", 400},
    [PROBLEM_BAD_CSR] = {URN_PREFIX "badCSR", 400},
    [PROBLEM_BAD_NONCE] = {URN_PREFIX "badNonce", 400},
    [PROBLEM_BAD_PUBLIC_KEY] = {URN_PREFIX "badPublicKey", 400},
    [PROBLEM_BAD_REVOCATION_REASON] = {URN_PREFIX "badRevocationReason", 400},
    [PROBLEM_BAD_SIGNATURE_ALGORITHM] = {URN_PREFIX "badSignatureAlgorithm", 400},
    [PROBLEM_CAA] = {URN_PREFIX "caa", 403},
    [PROBLEM_COMPOUND] = {URN_PREFIX "compound", 400},
    [PROBLEM_CONNECTION] = {URN_PREFIX "connection", 400},
    [PROBLEM_DNS] = {URN_PREFIX "dns", 400},
    [PROBLEM_EXTERNAL_ACCOUNT_REQUIRED] = {URN_PREFIX "externalAccountRequired", 403},
    [PROBLEM_INCORRECT_RESPONSE] = {URN_PREFIX "incorrectResponse", 403},
    [PROBLEM_INVALID_CONTACT] = {URN_PREFIX "invalidContact", 400},
    [PROBLEM_MALFORMED] = {URN_PREFIX "malformed", 400},
    [PROBLEM_ORDER_NOT_READY] = {URN_PREFIX "orderNotReady", 403},
    [PROBLEM_RATE_LIMITED] = {URN_PREFIX "rateLimited", 429},
    [PROBLEM_REJECTED_IDENTIFIER] = {URN_PREFIX "rejectedIdentifier", 400},
    [PROBLEM_SERVER_INTERNAL] = {URN_PREFIX "serverInternal", 500},
    [PROBLEM_TLS] = {URN_PREFIX "tls", 400},
    [PROBLEM_UNAUTHORIZED] = {URN_PREFIX "unauthorized", 403},
    [PROBLEM_UNSUPPORTED_CONTACT] = {URN_PREFIX "unsupportedContact", 400},
    [PROBLEM_UNSUPPORTED_IDENTIFIER] = {URN_PREFIX "unsupportedIdentifier", 400},
    [PROBLEM_USER_ACTION_REQUIRED] = {URN_PREFIX "userActionRequired", 403},
    [PROBLEM_INVALID_PROFILE] = {URN_PREFIX "invalidProfile", 400},
    [PROBLEM_ALREADY_REPLACED] = {URN_PREFIX "alreadyReplaced", 409},
};

static const struct problem_row *row_of(enum problem_type type)
{
    size_t i = (size_t)type;

    return &ROWS[i < ARRAY_N(ROWS) ? i : PROBLEM_SERVER_INTERNAL];
}

const char *problem_urn(enum problem_type type)
{
    return row_of(type)->urn;
}

struct err problem_set(struct problem *prob, enum problem_type type, int status, const char *fmt,
                       ...)
{
    va_list args;

    prob->type = type;
    prob->status = status == 0 ? row_of(type)->status : status;
    va_start(args, fmt);
    (void)vsnprintf(prob->detail, sizeof(prob->detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s: %s", row_of(type)->urn, prob->detail);
}

struct err problem_add_sub(struct problem *prob, enum problem_type type, const char *identifier,
                           const char *detail)
{
    if (prob->subs_n >= PROBLEM_SUBPROBLEMS_MAX) {
        FAIL(ERR_LIMIT, "more than %u subproblems", PROBLEM_SUBPROBLEMS_MAX);
    }
    struct problem_sub *grown =
        mem_resize(prob->subs, (prob->subs_n + 1) * sizeof(struct problem_sub));
    TRY_PTR(grown);
    prob->subs = grown;
    struct problem_sub *sub = &grown[prob->subs_n++];
    sub->type = type;
    (void)snprintf(sub->detail, sizeof(sub->detail), "%s", detail);
    (void)snprintf(sub->identifier, sizeof(sub->identifier), "%s", identifier);
    sub->is_ip = false;
    return err_ok();
}

void problem_clear(struct problem *prob)
{
    if (prob != NULL) {
        mem_free(prob->subs);
        memset(prob, 0, sizeof(*prob));
    }
}

/* Only printable ASCII leaves: a detail may quote a peer, be cut in the middle of a UTF-8 sequence,
 * and ends in terminals. */
static void put_json_string(struct buf *out, const char *text)
{
    const char *run = text;
    const char *p = text;

    buf_putc(out, '"');
    for (; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            continue;
        }
        buf_put(out, run, (size_t)(p - run));
        run = p + 1;
        if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)c);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", (unsigned)c);
        } else {
            buf_putc(out, '?');
        }
    }
    buf_put(out, run, (size_t)(p - run));
    buf_putc(out, '"');
}

static void put_member(struct buf *out, const char *name, const char *text)
{
    buf_putc(out, '"');
    buf_puts(out, name);
    buf_puts(out, "\":");
    put_json_string(out, text);
}

static void put_sub(const struct problem_sub *sub, struct buf *out)
{
    buf_putc(out, '{');
    put_member(out, "type", problem_urn(sub->type));
    buf_putc(out, ',');
    put_member(out, "detail", sub->detail);
    if (sub->identifier[0] != '\0') {
        buf_printf(out, ",\"identifier\":{\"type\":\"%s\",", sub->is_ip ? "ip" : "dns");
        put_member(out, "value", sub->identifier);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

void problem_json(const struct problem *prob, struct buf *out)
{
    buf_putc(out, '{');
    put_member(out, "type", problem_urn(prob->type));
    buf_printf(out, ",\"status\":%d",
               prob->status == 0 ? row_of(prob->type)->status : prob->status);
    if (prob->detail[0] != '\0') {
        buf_putc(out, ',');
        put_member(out, "detail", prob->detail);
    }
    if (prob->type == PROBLEM_BAD_SIGNATURE_ALGORITHM) { /* a MUST of RFC 8555 §6.2 */
        buf_puts(out, prob->is_binding
                          ? ",\"algorithms\":[\"HS256\",\"HS384\",\"HS512\"]"
                          : ",\"algorithms\":[\"ES256\",\"ES384\",\"ES512\",\"RS256\",\"EdDSA\"]");
    }
    for (size_t i = 0; i < prob->subs_n; i++) {
        buf_puts(out, i == 0 ? ",\"subproblems\":[" : ",");
        put_sub(&prob->subs[i], out);
    }
    buf_puts(out, prob->subs_n > 0 ? "]" : "");
    if (prob->instance[0] != '\0') {
        buf_putc(out, ',');
        put_member(out, "instance", prob->instance);
    }
    buf_putc(out, '}');
}

void problem_respond(const struct problem *prob, struct http_resp *resp)
{
    struct buf text;

    buf_init(&text, HTTP_RESPONSE_MAX);
    problem_json(prob, &text);
    http_resp_body(resp, prob->status == 0 ? row_of(prob->type)->status : prob->status,
                   "application/problem+json", buf_str(&text), text.len);
    buf_clear(&text);
    if (prob->header_link[0] != '\0') {
        http_resp_header(resp, "Link", prob->header_link);
    }
    if (prob->retry_after_s > 0) {
        http_resp_headerf(resp, "Retry-After", "%" PRId64, prob->retry_after_s);
    }
    if (prob->location[0] != '\0') {
        http_resp_header(resp, "Location", prob->location);
    }
}
