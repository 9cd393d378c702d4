/* Other servers' answers into the client's: whatever they say, the client gets a whole message that
 * fits, about its question, with nothing about names of ours from outside. The first octet picks the
 * question, the second where the rest goes: a server's answer, or the part that stands already. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dns/answer.h"
#include "dns/cookie.h"
#include "dns/forward_int.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t OURS[] = "\3svc\4test"; /* the root's octet is the literal's own end */

static bool is_ours(void *arg, const struct forward_name *name)
{
    (void)arg;
    if (name->len < sizeof(OURS)) {
        return false;
    }
    const uint8_t *end = name->octets + (name->len - sizeof(OURS));
    for (size_t i = 0; i < sizeof(OURS); i++) {
        uint8_t c = end[i] >= 'A' && end[i] <= 'Z' ? (uint8_t)(end[i] + 32) : end[i];
        if (c != OURS[i]) {
            return false;
        }
    }
    return true;
}

/* A name of a message that we wrote. Returns where it ends. */
static size_t step_name(const uint8_t *p, size_t len, size_t at, struct forward_name *name)
{
    size_t end = 0;

    name->len = 0;
    for (unsigned steps = 0; steps < 300; steps++) {
        CHECK(at < len);
        if (p[at] >= 0xc0) {
            CHECK(at + 1 < len);
            end = end == 0 ? at + 2 : end;
            at = (size_t)(p[at] & 0x3f) << 8 | p[at + 1];
            continue;
        }
        CHECK(p[at] <= 63 && at + p[at] < len && name->len + p[at] + 1 <= NAME_WIRE_MAX);
        memcpy(name->octets + name->len, p + at, p[at] + 1u);
        name->len += p[at] + 1u;
        if (p[at] == 0) {
            return end == 0 ? at + 1 : end;
        }
        at += p[at] + 1u;
    }
    abort();
}

/* Counts and lengths fit each other to the last octet. */
static void check_message(const uint8_t *p, size_t len, size_t question_end, bool is_begun)
{
    unsigned answers = (unsigned)p[6] << 8 | p[7];
    unsigned all = answers + ((unsigned)p[8] << 8 | p[9]) + ((unsigned)p[10] << 8 | p[11]);
    size_t at = question_end;
    struct forward_name name;

    CHECK((p[2] & 0x80) != 0 && (p[3] & 0x80) != 0 && (p[3] & 0x60) == 0);
    for (unsigned i = 0; i < all; i++) {
        at = step_name(p, len, at, &name);
        CHECK(len - at >= 10);
        CHECK(is_begun || !is_ours(NULL, &name) || ((unsigned)p[at] << 8 | p[at + 1]) == 39);
        at += 10 + ((size_t)p[at + 8] << 8 | p[at + 9]);
        CHECK(at <= len);
    }
    CHECK(at == len);
}

/* www.example.net; types as the first octet says. */
static size_t make_query(unsigned choice, uint8_t *out)
{
    static const uint8_t types[] = {1, 5, 15, 6, 255, 16, 39, 46};
    static const struct forward_name name = {"\3wWw\7example\3net", 17};
    size_t len = forward_question(&name, types[choice & 7u], out);

    if ((choice & 8u) != 0) {
        static const uint8_t opt[DNS_OPT_LEN] = {0, 0, 41, 4, 208, 0, 0, 0x80};
        memcpy(out + len, opt, DNS_OPT_LEN);
        out[11] = 1;
        len += DNS_OPT_LEN;
    }
    out[3] = (choice & 16u) != 0 ? 0x10 : 0; /* CD */
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t octets[FORWARD_QUESTION_MAX + DNS_OPT_LEN];
    struct forward_draft draft;
    const uint8_t *message = NULL;
    size_t len = 0;

    if (size < 2 || size > 65537) {
        return 0;
    }
    static const uint8_t cookie[COOKIE_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 1};
    bool is_begun = (data[1] & 1u) != 0;
    struct forward_query query = {.octets = octets,
                                  .len = make_query(data[0], octets),
                                  .cookie = (data[0] & 32u) != 0 ? cookie : NULL,
                                  .limit = (data[1] & 2u) != 0 ? DNS_TCP_MAX : 512};
    if (is_begun) {
        query.begun = data + 2;
        query.begun_len = size - 2;
    }
    const struct forward_said said = {
        .packet = data + 2, .len = size - 2, .is_ours = is_begun ? NULL : is_ours};
    if (forward_draft_begin(&query, &draft).code == ERR_OK) {
        enum forward_step step = (data[1] & 4u) != 0 ? forward_draft_take_alias(&draft, &said)
                                                     : forward_draft_take(&draft, &said);
        CHECK(step != FORWARD_OURS || is_ours(NULL, &draft.name));
        if (step == FORWARD_DONE || step == FORWARD_OURS) {
            CHECK(forward_draft_finish(&draft, &message, &len).code == ERR_OK);
            CHECK(len <= query.limit && len >= draft.question_end);
            CHECK((message[3] & 0x10) == (octets[3] & 0x10));
            bool has_cookie = query.cookie != NULL && octets[11] != 0;
            CHECK(!has_cookie || memcmp(message + len - COOKIE_LEN, cookie, COOKIE_LEN) == 0);
            CHECK(memcmp(message + 12, octets + 12, draft.question_end - 12) == 0);
            check_message(message, len, draft.question_end, is_begun);
        }
    } else {
        CHECK(is_begun);
    }
    forward_draft_clear(&draft);
    return 0;
}
