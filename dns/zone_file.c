#include "dns/zone_file.h"

#include <string.h>
#include <strings.h>

#include "dns/rr_int.h"

#include "core/util/mem.h"

#define TYPE_WORD_MAX RR_TYPE_TEXT_MAX

/* The text, a logical line (parentheses joined) at a time. */
struct reader {
    const char *p, *end;
    unsigned line;     /* of what is read next */
    struct buf joined; /* a logical line that is not one slice of the text */
};
struct line {
    struct rr_words words;
    unsigned number;
    bool is_indented;
    const char *fault; /* static; NULL: none */
};

struct parser {
    const char *label;
    uint8_t zone[NAME_WIRE_MAX];
    size_t zone_len;
    uint8_t origin[NAME_WIRE_MAX];
    uint32_t ttl; /* $TTL, else the last one stated, else the default */
    bool has_ttl_directive;
    struct dns_rr rr; /* owner and type of the record before, too */
    bool has_owner;
    char owner_text[NAME_WIRE_MAX];
    size_t owner_text_len; /* 0: another spelling */
    char type_text[TYPE_WORD_MAX + 1];
    struct buf rdata;
    struct err (*fn)(void *arg, unsigned line, const struct dns_rr *rr);
    void *arg;
    struct buf *problems;
    unsigned faults_n;
};

/* --- lines ------------------------------------------------------------------------------------------ */

static bool is_plain_line(const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == ';' || *p == '(' || *p == ')' || *p == '"' || *p == '\\') {
            return false;
        }
    }
    return true;
}

struct joiner {
    unsigned depth;
    bool is_quoted;
    const char *fault;
};

/* One line of the text into r->joined, without its comment and parentheses. */
static void join(struct reader *r, struct joiner *j, const char *p, const char *end)
{
    for (; p < end; p++) {
        char c = *p;
        if (c == '\\') {
            if (p + 1 == end) {
                j->fault = "the line ends in the middle of an escape; a character was expected";
                return;
            }
            buf_put(&r->joined, p, 2);
            p++;
            continue;
        }
        if (c == '"') {
            j->is_quoted = !j->is_quoted;
        } else if (!j->is_quoted && c == ';') {
            break;
        } else if (!j->is_quoted && c == '(') {
            j->depth++;
            c = ' ';
        } else if (!j->is_quoted && c == ')') {
            if (j->depth == 0) {
                j->fault = "a ')' without its '('; the end of the record was expected";
                return;
            }
            j->depth--;
            c = ' ';
        }
        buf_putc(&r->joined, c);
    }
    buf_putc(&r->joined, ' ');
}

/* The next line of the text, without its end. */
static void take_line(struct reader *r, const char **p, const char **end)
{
    const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));

    *p = r->p;
    *end = newline == NULL ? r->end : newline;
    r->p = newline == NULL ? r->end : newline + 1;
    r->line++;
    if (*end > *p && (*end)[-1] == '\r') {
        (*end)--;
    }
}

static bool next_line(struct reader *r, struct line *out)
{
    struct joiner j = {.depth = 0};
    const char *p = NULL;
    const char *end = NULL;

    if (r->p == r->end) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->number = r->line;
    take_line(r, &p, &end);
    out->is_indented = p < end && rr_is_blank(*p);
    if (end - p > (ptrdiff_t)ZONE_FILE_LINE_MAX) {
        out->fault = "a line that is too long; at most 65536 characters were expected";
        return true;
    }
    out->words = (struct rr_words){p, end};
    if (is_plain_line(p, end)) {
        return true;
    }
    buf_reset(&r->joined);
    join(r, &j, p, end);
    while (j.depth > 0 && j.fault == NULL && !j.is_quoted && r->p < r->end && !r->joined.failed) {
        take_line(r, &p, &end);
        join(r, &j, p, end);
    }
    if (j.depth > 0 && j.fault == NULL && !j.is_quoted) {
        j.fault = r->joined.failed
                      ? "a record that is too long; at most 65536 characters were expected"
                      : "a '(' is not closed; a ')' was expected";
    }
    out->fault = j.fault;
    out->words.p = buf_str(&r->joined);
    out->words.end = out->words.p + r->joined.len;
    return true;
}

/* --- one line ---------------------------------------------------------------------------------------- */

static bool is_word(const struct rr_word *word, const char *text)
{
    return !word->is_quoted && word->len == strlen(text) &&
           strncasecmp(word->p, text, word->len) == 0;
}

/* Exactly one word, and the end. */
static struct err take_only(struct rr_words *w, const char *what, struct rr_word *out)
{
    struct rr_word more;
    struct rr_shown shown;

    if (!rr_words_left(w)) {
        FAIL(ERR_MALFORMED, "nothing behind %s; a value was expected", what);
    }
    TRY(rr_word_take(w, out));
    if (rr_words_left(w)) {
        TRY(rr_word_take(w, &more));
        FAIL(ERR_MALFORMED, "'%s' behind the value of %s; the end of the line was expected",
             rr_word_show(&more, &shown), what);
    }
    return err_ok();
}

static struct err read_directive(struct parser *p, const struct rr_word *name, struct rr_words *w)
{
    struct rr_word word;
    struct rr_shown shown;
    size_t len = 0;

    if (is_word(name, "$ORIGIN")) {
        uint8_t origin[NAME_WIRE_MAX];
        TRY(take_only(w, "$ORIGIN", &word));
        TRY(rr_name_from_text(word.p, word.len, p->origin, origin, &len));
        memcpy(p->origin, origin, len);
        p->owner_text_len = 0;
        return err_ok();
    }
    if (is_word(name, "$TTL")) {
        uint32_t ttl = 0;
        TRY(take_only(w, "$TTL", &word));
        if (!rr_ttl_parse(word.p, word.len, &ttl) || ttl > RR_TTL_MAX) {
            FAIL(ERR_MALFORMED,
                 "'%s' is no TTL; a number up to %u, or one like 1h30m, was expected",
                 rr_word_show(&word, &shown), RR_TTL_MAX);
        }
        p->ttl = ttl;
        p->has_ttl_directive = true;
        return err_ok();
    }
    if (is_word(name, "$INCLUDE")) {
        FAIL(ERR_MALFORMED, "$INCLUDE is not supported; the records themselves were expected");
    }
    FAIL(ERR_MALFORMED, "'%s' is no directive; $ORIGIN or $TTL was expected",
         rr_word_show(name, &shown));
}

static bool is_below_zone(const struct parser *p)
{
    size_t o = 0;

    while (p->rr.owner_len - o > p->zone_len) {
        o += (size_t)p->rr.owner[o] + 1;
    }
    return p->rr.owner_len - o == p->zone_len && memcmp(p->rr.owner + o, p->zone, p->zone_len) == 0;
}

static struct err read_owner(struct parser *p, const struct rr_word *word)
{
    size_t len = 0;
    struct rr_shown shown;

    if (p->owner_text_len > 0 && word->len == p->owner_text_len &&
        memcmp(word->p, p->owner_text, word->len) == 0) {
        return err_ok();
    }
    p->has_owner = false;
    p->owner_text_len = 0;
    if (word->is_quoted) {
        FAIL(ERR_MALFORMED, "a quoted owner; a name was expected");
    }
    TRY(rr_name_from_text(word->p, word->len, p->origin, p->rr.owner, &len));
    p->rr.owner_len = (uint8_t)len;
    if (!is_below_zone(p)) {
        FAIL(ERR_MALFORMED,
             "%s is not in this zone; a name in it was expected (a name without a "
             "final dot is completed with the origin)",
             rr_word_show(word, &shown));
    }
    p->has_owner = true;
    if (word->len <= sizeof(p->owner_text)) {
        memcpy(p->owner_text, word->p, word->len);
        p->owner_text_len = word->len;
    }
    return err_ok();
}

static bool is_other_class(const struct rr_word *word)
{
    return is_word(word, "CH") || is_word(word, "HS") || is_word(word, "CS") ||
           is_word(word, "ANY") || is_word(word, "NONE") ||
           (word->len > 5 && strncasecmp(word->p, "CLASS", 5) == 0);
}

/* TTL and class, in either order, then the type. */
static struct err read_type(struct parser *p, struct rr_words *w, struct rr_word *type,
                            uint32_t *ttl)
{
    bool has_ttl = false;
    bool has_class = false;
    struct rr_shown shown;

    *ttl = p->ttl;
    for (;;) {
        if (!rr_words_left(w)) {
            FAIL(ERR_MALFORMED, "the record ends early; a type was expected");
        }
        TRY(rr_word_take(w, type));
        if (!has_class && (is_word(type, "IN") || is_word(type, "CLASS1"))) {
            has_class = true;
        } else if (!has_class && is_other_class(type)) {
            FAIL(ERR_MALFORMED, "class %s; IN was expected", rr_word_show(type, &shown));
        } else if (!has_ttl && type->len > 0 && rr_is_digit(type->p[0])) {
            if (!rr_ttl_parse(type->p, type->len, ttl) || *ttl > RR_TTL_MAX) {
                FAIL(ERR_MALFORMED,
                     "'%s' is no TTL; a number up to %u, or one like 1h30m, was "
                     "expected",
                     rr_word_show(type, &shown), RR_TTL_MAX);
            }
            has_ttl = true;
        } else {
            break;
        }
    }
    if (has_ttl && !p->has_ttl_directive) {
        p->ttl = *ttl;
    }
    return err_ok();
}

static struct err check_type(struct parser *p, const struct rr_word *word)
{
    char text[TYPE_WORD_MAX + 1] = "";
    struct rr_shown shown;
    uint16_t type = 0;

    if (word->len <= TYPE_WORD_MAX) {
        memcpy(text, word->p, word->len);
        text[word->len] = '\0';
    }
    if (text[0] != '\0' && strcmp(text, p->type_text) == 0) {
        return err_ok();
    }
    p->type_text[0] = '\0';
    if (word->is_quoted || !rr_type_parse(text, &type)) {
        FAIL(ERR_MALFORMED, "'%s' is no type; one like A or TXT was expected",
             rr_word_show(word, &shown));
    }
    switch (rr_kind(type)) {
    case RR_META:
        FAIL(ERR_MALFORMED,
             "%s is no type that a record in a zone has; one like A or TXT was "
             "expected",
             text);
    case RR_DNSSEC:
        FAIL(ERR_MALFORMED,
             "%s records are not supported, this server does not sign; the unsigned "
             "zone was expected",
             text);
    case RR_ORDINARY:
        break;
    }
    memcpy(p->type_text, text, sizeof(text));
    p->rr.type = type;
    return err_ok();
}

static struct err read_record(struct parser *p, struct rr_words *w)
{
    struct rr_word type;

    TRY(read_type(p, w, &type, &p->rr.ttl));
    TRY(check_type(p, &type));
    buf_reset(&p->rdata);
    TRY(rr_rdata_from_text(p->rr.type, w->p, (size_t)(w->end - w->p), p->origin, &p->rdata));
    p->rr.rdata = p->rdata.len == 0 ? NULL : p->rdata.data;
    p->rr.rdata_len = (uint16_t)p->rdata.len;
    return err_ok();
}

/* *is_record: p->rr is one. */
static struct err read_line(struct parser *p, struct line *line, bool *is_record)
{
    struct rr_word word;

    *is_record = false;
    if (line->fault != NULL) {
        FAIL(ERR_MALFORMED, "%s", line->fault);
    }
    if (!rr_words_left(&line->words)) {
        return err_ok();
    }
    if (!line->is_indented) {
        TRY(rr_word_take(&line->words, &word));
        if (word.len > 0 && word.p[0] == '$' && !word.is_quoted) {
            return read_directive(p, &word, &line->words);
        }
        TRY(read_owner(p, &word));
    } else if (!p->has_owner) {
        FAIL(ERR_MALFORMED, "a record without a name, and none before it that it could share; a "
                            "name was expected");
    }
    TRY(read_record(p, &line->words));
    *is_record = true;
    return err_ok();
}

static void note_fault(struct parser *p, unsigned line)
{
    p->faults_n++;
    if (p->faults_n <= ZONE_FILE_FAULTS_MAX) {
        buf_printf(p->problems, "%s:%u: %s\n", p->label, line, err_trace()->text);
    }
}

static void parser_clear(struct parser *p)
{
    buf_clear(&p->rdata);
}

static void reader_clear(struct reader *r)
{
    buf_clear(&r->joined);
}

struct err zone_file_parse(const char *label, const char *text, size_t len, const char *origin,
                           uint32_t default_ttl,
                           struct err (*fn)(void *arg, unsigned line, const struct dns_rr *rr),
                           void *arg, struct buf *problems)
{
    AUTO(parser_clear)
    struct parser p = {.label = label,
                       .ttl = default_ttl,
                       .fn = fn,
                       .arg = arg,
                       .problems = problems,
                       .rr = {.class_ = DNS_CLASS_IN}};
    AUTO(reader_clear) struct reader r = {.p = text, .end = text + len, .line = 1};
    struct line line;
    bool is_record = false;

    buf_init(&p.rdata, RR_RDATA_MAX);
    buf_init(&r.joined, ZONE_FILE_LINE_MAX);
    TRY(rr_name_from_text(origin, strlen(origin), NULL, p.zone, &p.zone_len));
    memcpy(p.origin, p.zone, p.zone_len);
    while (p.faults_n < ZONE_FILE_FAULTS_MAX && next_line(&r, &line)) {
        struct err e = read_line(&p, &line, &is_record);
        if (e.code == ERR_MALFORMED || e.code == ERR_LIMIT) {
            note_fault(&p, line.number);
            continue;
        }
        TRY(e);
        if (is_record) {
            TRY(fn(arg, line.number, &p.rr));
        }
    }
    if (p.faults_n > 0) {
        FAIL(ERR_MALFORMED, "%s has faults", label);
    }
    return err_ok();
}
