/* JSON from peers: bounded depth, no duplicate keys, nothing behind the value. */
#include "acme-server/jws.h"

#include <string.h>

#include "acme-server/jwk_internal.h"
#include "core/util/mem.h"

/* jansson recurses to 2048 levels; ours are few, and counting brackets is cheap. Invalid JSON may
 * be miscounted, which is fine: the parser then refuses it. */
static bool is_too_deep(const char *text, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JWS_DEPTH_MAX) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

struct err jws_json_parse(const char *what, const char *text, size_t len, json_t **out,
                          struct problem *prob)
{
    json_error_t why;

    if (len > JWS_BODY_MAX) {
        REJECT(prob, PROBLEM_MALFORMED, 413, "%s is longer than %u bytes.", what, JWS_BODY_MAX);
    }
    if (is_too_deep(text, len)) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "%s is nested deeper than %u levels.", what,
               JWS_DEPTH_MAX);
    }
    AUTO(json_decrefp) json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (value == NULL) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "%s is not valid JSON: %s (line %d, column %d).", what,
               why.text, why.line, why.column);
    }
    if (!json_is_object(value)) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "%s must be a JSON object.", what);
    }
    *out = MOVE(value);
    return err_ok();
}

struct err json_object_parse(const char *text, size_t len, void **out_json, struct problem *prob)
{
    json_t *object = NULL;

    TRY(jws_json_parse("The request's payload", text, len, &object, prob));
    *out_json = object;
    return err_ok();
}
