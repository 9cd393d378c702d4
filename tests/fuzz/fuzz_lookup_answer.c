/* What a resolver answers: any bytes are another question's, cut, broken, or an answer whose names
 * can be asked for and whose records have their type's form. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/lookup_int.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum lookup_type TYPES[] = {LOOKUP_A, LOOKUP_TXT, LOOKUP_AAAA, LOOKUP_CAA};

static void check_hops(const struct lookup_answer *answer)
{
    CHECK(answer->hops_n <= LOOKUP_HOPS_MAX + 1);
    for (size_t i = 0; i < answer->hops_n; i++) {
        uint8_t wire[NAME_WIRE_MAX];
        size_t wire_len = sizeof(wire);
        struct lookup_chase chase = {.type = LOOKUP_A};
        CHECK(strlen(answer->hops[i]) <= LOOKUP_END_MAX);
        CHECK(name_to_wire(answer->hops[i], wire, &wire_len).code == ERR_OK);
        CHECK(chase_begin(&chase, answer->hops[i]).code == ERR_OK);
        CHECK(strcmp(chase.end, answer->hops[i]) == 0);
        chase_clear(&chase);
    }
}

static void check_records(const struct lookup_answer *answer, enum lookup_type type)
{
    CHECK(answer->rdata_n <= LOOKUP_RDATA_MAX && answer->rdata_n <= answer->found_n);
    for (size_t i = 0; i < answer->rdata_n; i++) {
        const struct lookup_rdata *rdata = &answer->rdata[i];
        CHECK(rdata->data != NULL && rdata->len <= LOOKUP_RDATA_LEN_MAX);
        CHECK(type != LOOKUP_A || rdata->len == 4);
        CHECK(type != LOOKUP_AAAA || rdata->len == 16);
    }
}

/* The chase ends, whatever the answer: nothing is ours here. */
static void check_chase(const struct lookup_question *question, const struct lookup_answer *answer)
{
    struct buf trail = BUF_INIT(65536);
    struct lookup_chase chase = {.trail = &trail, .type = question->type};

    CHECK(chase_begin(&chase, question->name).code == ERR_OK);
    if (chase_take(&chase, answer) == CHASE_DONE) {
        CHECK(chase.status != LOOKUP_FOUND || answer->found_n > 0);
    } else {
        CHECK(answer->hops_n > 0 && strcmp(chase.end, question->name) != 0);
    }
    for (size_t i = 0; i < trail.len; i++) {
        CHECK(trail.data[i] >= 0x20 && trail.data[i] < 0x7f);
    }
    chase_clear(&chase);
    buf_clear(&trail);
}

/* The first octet chooses the type that was asked for; id 0xbeef, name host.ext. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lookup_question question = {.name = "host.ext", .id = 0xbeef};
    struct lookup_answer answer;
    const char *why = NULL;
    uint8_t query[LOOKUP_QUERY_MAX];
    size_t query_len = 0;

    if (size == 0) {
        return 0;
    }
    question.type = TYPES[data[0] % 4];
    CHECK(lookup_query_build(&question, query, &query_len).code == ERR_OK);
    switch (lookup_read(&question, data + 1, size - 1, &answer, &why)) {
    case READ_BROKEN:
        CHECK(why != NULL);
        return 0;
    case READ_CUT:
    case READ_OTHER:
        return 0;
    case READ_ANSWER:
        break;
    }
    if (lookup_rcode_phrase(answer.rcode) == NULL) {
        check_hops(&answer);
        check_records(&answer, question.type);
        check_chase(&question, &answer);
    } else {
        CHECK(answer.hops_n == 0 && answer.rdata_n == 0);
    }
    lookup_answer_clear(&answer);
    return 0;
}
