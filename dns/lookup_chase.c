/* The chase over CNAMEs: which name is asked for next, what was seen, in words. */
#include "dns/lookup_int.h"

#include <stdarg.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/answer.h"

#define OWN_ANSWER_SHORT 2048u

void chase_say(struct lookup_chase *chase, const char *fmt, ...)
{
    va_list args;

    if (chase->trail == NULL) {
        return;
    }
    buf_puts(chase->trail, chase->trail->len == 0 ? "" : "; ");
    va_start(args, fmt);
    buf_vprintf(chase->trail, fmt, args);
    va_end(args);
}

void chase_add(struct lookup_chase *chase, const char *fmt, ...)
{
    va_list args;

    if (chase->trail == NULL) {
        return;
    }
    va_start(args, fmt);
    buf_vprintf(chase->trail, fmt, args);
    va_end(args);
}

static bool is_asked_for(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*' ||
           c == '.';
}

/* Note `end` as visited: a loop and too long a chain end here. */
static bool visit(struct lookup_chase *chase)
{
    for (size_t i = 0; i < chase->seen_n; i++) {
        if (strcmp(chase->seen[i], chase->end) == 0) {
            chase_add(chase, " (the CNAMEs form a loop: mend them)");
            return false;
        }
    }
    if (chase->seen_n > LOOKUP_HOPS_MAX) {
        chase_add(chase, " (more than %u CNAMEs in a row: shorten the chain)", LOOKUP_HOPS_MAX);
        return false;
    }
    chase->seen[chase->seen_n] = mem_strdup(chase->end);
    if (chase->seen[chase->seen_n] == NULL) {
        chase->is_unasked = true;
        chase_add(chase, " (out of memory)");
        return false;
    }
    chase->seen_n++;
    return true;
}

struct err chase_begin(struct lookup_chase *chase, const char *name)
{
    size_t len = strlen(name);
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    len -= len > 0 && name[len - 1] == '.' ? 1 : 0;
    if (len == 0 || len > LOOKUP_END_MAX) {
        FAIL(ERR_MALFORMED, "look-up: %zu characters are no name", len);
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
        if (!is_asked_for(c)) {
            FAIL(ERR_MALFORMED, "look-up: a name with an unusual character at %zu", i);
        }
        chase->end[i] = c;
    }
    chase->end[len] = '\0';
    TRY(name_to_wire(chase->end, wire, &wire_len));
    chase->seen[0] = mem_strdup(chase->end);
    TRY_PTR(chase->seen[0]);
    chase->seen_n = 1;
    chase->status = LOOKUP_FAILED;
    return err_ok();
}

void chase_clear(struct lookup_chase *chase)
{
    for (size_t i = 0; i < chase->seen_n; i++) {
        mem_free(chase->seen[i]);
    }
    chase->seen_n = 0;
}

bool chase_is_ours(const struct lookup_chase *chase)
{
    if (chase->reader == NULL) {
        return false;
    }
    bool is_ours = zone_is_served(zone_read_begin(chase->reader), chase->end);
    zone_read_end(chase->reader);
    return is_ours;
}

static enum chase_step end_with(struct lookup_chase *chase, enum lookup_status status)
{
    chase->status = status;
    return CHASE_DONE;
}

/* What a chain that leads no further says. */
static enum chase_step conclude(struct lookup_chase *chase, const struct lookup_answer *answer)
{
    const char *comma = answer->hops_n > 0 ? ", " : "";
    const char *type = lookup_type_name(chase->type);

    if (answer->is_lost) {
        chase_add(chase, "%sa CNAME to a name that cannot be followed", comma);
        return end_with(chase, LOOKUP_FAILED);
    }
    if (answer->found_n > 0) {
        chase_add(chase, "%s%zu %s", comma, answer->found_n, type);
        return end_with(chase, LOOKUP_FOUND);
    }
    if (answer->rcode != 0) {
        chase_add(chase, "%sNXDOMAIN (no such name)", comma);
        return end_with(chase, LOOKUP_NXDOMAIN);
    }
    if (answer->hops_n == 0) {
        chase_add(chase, "no %s and no CNAME there", type);
        return end_with(chase, LOOKUP_NODATA);
    }
    return CHASE_ASK; /* a CNAME alone */
}

static enum chase_step take(struct lookup_chase *chase, const struct lookup_answer *answer,
                            bool is_ours)
{
    for (size_t i = 0; i < answer->hops_n; i++) {
        memcpy(chase->end, answer->hops[i], sizeof(chase->end));
        chase_add(chase, "%sCNAME %s", i == 0 ? "" : ", ", chase->end);
        if (!visit(chase)) {
            return end_with(chase, LOOKUP_FAILED);
        }
        /* Nobody speaks for the other side's names. */
        if (chase_is_ours(chase) != is_ours) {
            return CHASE_ASK;
        }
    }
    return conclude(chase, answer);
}

enum chase_step chase_take(struct lookup_chase *chase, const struct lookup_answer *answer)
{
    return take(chase, answer, false);
}

/* The very bytes that a peer would get over TCP. cap: of data. */
static enum lookup_reading ask_ourselves(struct lookup_chase *chase, uint8_t *data, size_t cap,
                                         struct lookup_answer *out)
{
    struct lookup_question question = {.type = chase->type, .id = 1};
    uint8_t query[LOOKUP_QUERY_MAX];
    size_t query_len = 0;
    const char *why = "";

    memcpy(question.name, chase->end, sizeof(question.name));
    if (lookup_query_build(&question, query, &query_len).code != ERR_OK) {
        return READ_BROKEN;
    }
    const struct zone_snapshot *snap = zone_read_begin(chase->reader);
    size_t len = answer_build(snap, query, query_len, true, data, cap);
    zone_read_end(chase->reader);
    return lookup_read(&question, data, len, out, &why);
}

/* Most answers are short; the others are made again with all the room there is. */
static enum lookup_reading ask_in_process(struct lookup_chase *chase, struct lookup_answer *out)
{
    uint8_t few[OWN_ANSWER_SHORT];
    enum lookup_reading reading = ask_ourselves(chase, few, sizeof(few), out);

    if (reading != READ_CUT) {
        return reading;
    }
    AUTO(mem_freep) uint8_t *data = mem_zalloc(DNS_TCP_MAX);
    return data == NULL ? READ_BROKEN : ask_ourselves(chase, data, DNS_TCP_MAX, out);
}

enum chase_step chase_own(struct lookup_chase *chase, struct lookup_answer *answer)
{
    while (chase_is_ours(chase)) {
        chase_say(chase, "%s is served here: ", chase->end);
        enum lookup_reading reading = ask_in_process(chase, answer);
        const char *phrase = reading == READ_ANSWER ? lookup_rcode_phrase(answer->rcode)
                                                    : "the answer could not be made";
        if (phrase != NULL) {
            chase_add(chase, "%s", phrase);
            return end_with(chase, LOOKUP_FAILED);
        }
        if (take(chase, answer, true) == CHASE_DONE) {
            return CHASE_DONE;
        }
        lookup_answer_clear(answer);
    }
    return CHASE_ASK;
}

void chase_result(const struct lookup_chase *chase, struct lookup_answer *answer,
                  struct lookup_result *out)
{
    memset(out, 0, sizeof(*out));
    out->status = chase->status;
    out->is_ours = chase_is_ours(chase);
    out->is_unasked = chase->is_unasked && chase->status == LOOKUP_FAILED;
    memcpy(out->end, chase->end, sizeof(out->end));
    if (chase->status == LOOKUP_FOUND) {
        out->rdata_n = answer->rdata_n;
        out->is_cut = answer->rdata_n < answer->found_n;
        memcpy(out->rdata, answer->rdata, sizeof(out->rdata));
        answer->rdata_n = 0;
    }
    lookup_answer_clear(answer);
}
