/* Words and names of master files. RFC 1035 §5.1 */
#include "dns/rr_int.h"

#include <string.h>

bool rr_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool rr_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The word at w->p, which is no blank. */
struct err rr_word_take(struct rr_words *w, struct rr_word *out)
{
    bool is_quoted = *w->p == '"';
    const char *p = w->p + (is_quoted ? 1 : 0);

    out->p = p;
    out->is_quoted = is_quoted;
    while (p < w->end && (is_quoted ? *p != '"' : !rr_is_blank(*p) && *p != '"')) {
        bool is_escaped = *p == '\\';
        if (is_escaped) {
            p++;
        }
        if (p == w->end) {
            FAIL(ERR_MALFORMED, "the text ends in the middle of an escape");
        }
        if ((unsigned char)*p < ' ' && *p != '\t') {
            FAIL(ERR_MALFORMED, "a control character; write it as \\%03u", (unsigned)*p);
        }
        if (!is_quoted && !is_escaped && (*p == ';' || *p == '(' || *p == ')')) {
            FAIL(ERR_MALFORMED, "'%c' has a meaning of its own here; put the text in quotes", *p);
        }
        p++;
    }
    if (is_quoted && p == w->end) {
        FAIL(ERR_MALFORMED, "a quote is not closed; a '\"' was expected");
    }
    out->len = (size_t)(p - out->p);
    w->p = p + (is_quoted ? 1 : 0);
    return err_ok();
}

bool rr_words_left(struct rr_words *w)
{
    while (w->p < w->end && rr_is_blank(*w->p)) {
        w->p++;
    }
    return w->p < w->end;
}

const char *rr_word_show(const struct rr_word *word, struct rr_shown *out)
{
    size_t n = word->len < sizeof(out->text) - 1 ? word->len : sizeof(out->text) - 1;

    for (size_t i = 0; i < n; i++) {
        out->text[i] = word->p[i] >= ' ' && word->p[i] <= '~' ? word->p[i] : '?';
    }
    out->text[n] = '\0';
    return out->text;
}

/* The next character of text with its escapes undone; false: a broken escape. */
bool rr_unescape(const char **p, const char *end, uint8_t *out, bool *was_escaped)
{
    const char *at = *p;

    *was_escaped = *at == '\\';
    if (!*was_escaped) {
        *out = (uint8_t)*at;
        *p = at + 1;
        return true;
    }
    at++;
    if (at == end) {
        return false;
    }
    if (!rr_is_digit(*at)) {
        *out = (uint8_t)*at;
        *p = at + 1;
        return true;
    }
    if (end - at < 3 || !rr_is_digit(at[1]) || !rr_is_digit(at[2])) {
        return false;
    }
    unsigned value =
        (unsigned)(at[0] - '0') * 100 + (unsigned)(at[1] - '0') * 10 + (unsigned)(at[2] - '0');
    *out = (uint8_t)value;
    *p = at + 3;
    return value <= 255;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Labels of text into out[0 ..), *o octets so far, without the root label; *is_whole: it ended in a
 * dot. */
static struct err read_labels(const char *text, size_t len, uint8_t *out, size_t *o, bool *is_whole)
{
    const char *p = text;
    const char *end = text + len;
    size_t label = 0; /* where its length octet goes */
    size_t at = 1;
    uint8_t c = 0;
    bool was_escaped = false;

    *is_whole = false;
    while (p < end) {
        if (!rr_unescape(&p, end, &c, &was_escaped)) {
            FAIL(ERR_MALFORMED, "a name with a broken escape; \\DDD has three digits up to 255");
        }
        if (at - label > LABEL_MAX + 1 || at > NAME_WIRE_MAX - 1) {
            FAIL(ERR_MALFORMED, "a label longer than 63 or a name longer than 255 octets");
        }
        if (c == '.' && !was_escaped) {
            if (at == label + 1) {
                FAIL(ERR_MALFORMED, "a name with an empty label");
            }
            out[label] = (uint8_t)(at - label - 1);
            label = at++;
            *is_whole = p == end;
            continue;
        }
        out[at++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
    }
    size_t n = at - label - 1;
    if (n > LABEL_MAX || at > NAME_WIRE_MAX) {
        FAIL(ERR_MALFORMED, "a label longer than 63 or a name longer than 255 octets");
    }
    out[label] = (uint8_t)n;
    *o = n == 0 ? label : at;
    return err_ok();
}

struct err rr_name_from_text(const char *text, size_t len, const uint8_t *origin,
                             uint8_t out[NAME_WIRE_MAX], size_t *out_len)
{
    static const uint8_t ROOT[1] = {0};
    uint8_t wire[NAME_WIRE_MAX + 2];
    size_t o = 0;
    bool is_whole = false;

    if (len == 0) {
        FAIL(ERR_MALFORMED, "an empty name; a name, or @ for the origin, was expected");
    }
    if (len == 1 && text[0] == '@') {
        if (origin == NULL) {
            FAIL(ERR_MALFORMED, "@ stands for an origin, and there is none here");
        }
    } else if (len == 1 && text[0] == '.') {
        is_whole = true;
    } else {
        TRY(read_labels(text, len, wire, &o, &is_whole));
    }
    const uint8_t *tail = is_whole || origin == NULL ? ROOT : origin;
    size_t tail_len = rr_name_len(tail);
    if (o + tail_len > NAME_WIRE_MAX) {
        FAIL(ERR_MALFORMED, "a name longer than 255 octets (with the origin behind it)");
    }
    memcpy(out, wire, o);
    memcpy(out + o, tail, tail_len);
    *out_len = o + tail_len;
    return err_ok();
}

void rr_name_text(const uint8_t *wire, struct buf *out)
{
    char text[4 * NAME_WIRE_MAX + 4];

    if (name_from_wire(wire, rr_name_len(wire), text, sizeof(text)).code != ERR_OK) {
        out->failed = true;
        return;
    }
    buf_puts(out, text);
    if (strcmp(text, ".") != 0) {
        buf_putc(out, '.');
    }
}

bool rr_ttl_parse(const char *text, size_t len, uint32_t *out)
{
    static const char UNITS[] = "smhdw";
    static const uint32_t SECONDS[] = {1, 60, 3600, 86400, 604800};
    uint64_t sum = 0;
    uint64_t part = 0;
    bool has_digits = false;

    for (size_t i = 0; i < len; i++) {
        if (rr_is_digit(text[i])) {
            part = part * 10 + (uint64_t)(text[i] - '0');
            has_digits = true;
        } else {
            const char *unit = text[i] == '\0' ? NULL : strchr(UNITS, text[i] | 0x20);
            if (unit == NULL || !has_digits) {
                return false;
            }
            sum += part * SECONDS[unit - UNITS];
            part = 0;
            has_digits = false;
        }
        if (part > UINT32_MAX || sum > UINT32_MAX) {
            return false;
        }
    }
    if (len == 0 || rr_is_digit(text[len - 1]) != has_digits || sum + part > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)(sum + part);
    return true;
}
