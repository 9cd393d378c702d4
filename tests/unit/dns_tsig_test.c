#include "delegate_fixture.h"

#include "dns/tsig.h"
#include "tsig_vectors.h"

#define PACKET_MAX 1024u

struct packet {
    uint8_t data[PACKET_MAX];
    size_t len;
};

static struct packet from_hex(const char *hex)
{
    struct packet p;

    memset(&p, 0, sizeof(p));
    for (; hex[0] != '\0'; hex += 2) {
        char two[3] = {hex[0], hex[1], '\0'};
        assert_true(p.len < sizeof(p.data));
        p.data[p.len++] = (uint8_t)strtoul(two, NULL, 16);
    }
    return p;
}

static void assert_packet(const struct packet *got, const char *hex)
{
    struct packet want = from_hex(hex);

    assert_int_equal(got->len, want.len);
    assert_memory_equal(got->data, want.data, want.len);
}

struct asking {
    const char *peer;
    bool is_md5_allowed, is_tcp;
};

static enum tsig_verdict check(struct fixture *f, const struct asking *how, struct packet *p,
                               struct tsig *tsig)
{
    struct ip_addr peer = ip_of(how->peer == NULL ? "127.0.0.1" : how->peer);
    const struct tsig_options options = {f->access, how->is_md5_allowed, how->is_tcp, &peer,
                                         VECTOR_TIME};

    return tsig_check(&options, p->data, &p->len, tsig);
}

static const struct asking PLAIN = {NULL, false, false};

/* --- what is no TSIG at all ------------------------------------------------------------------- */

static void test_none(void **state)
{
    struct packet p = from_hex(VECTOR_UPDATE);
    struct tsig tsig;
    uint8_t out[64] = {0};
    size_t len = 12;

    assert_int_equal(check(*state, &PLAIN, &p, &tsig), TSIG_NONE);
    assert_packet(&p, VECTOR_UPDATE);
    assert_false(tsig.is_present);
    assert_int_equal(tsig_room(&tsig), 0);
    must(tsig_sign(&tsig, VECTOR_TIME, out, &len, sizeof(out)));
    assert_int_equal(len, 12);
}

static void assert_formerr(struct fixture *f, const struct packet *p, const char *what)
{
    struct packet copy = *p;
    struct tsig tsig;

    if (check(f, &PLAIN, &copy, &tsig) != TSIG_FORMERR) {
        fail_msg("%s: not FORMERR", what);
    }
    assert_false(tsig.is_present);
    assert_false(tsig.is_verified);
    assert_int_equal(copy.len, p->len);
}

static void test_cut_anywhere(void **state)
{
    struct packet whole = from_hex(VECTOR_REQUEST_SHA256);

    for (size_t n = 0; n < whole.len; n++) {
        struct packet p = whole;
        p.len = n;
        memset(p.data + n, 0, sizeof(p.data) - n);
        assert_formerr(*state, &p, "cut");
    }
}

/* The record begins behind the update, which it follows. */
static size_t record_at(void)
{
    return from_hex(VECTOR_UPDATE).len;
}

static void test_form(void **state)
{
    const size_t at = record_at();
    const size_t type = at + 6; /* "both" */
    const struct {
        const char *what;
        size_t pos;
        uint8_t value;
    } rows[] = {
        {"class IN", type + 3, 1},
        {"class NONE", type + 3, 254},
        {"ttl", type + 7, 1},
        {"rdata one longer", type + 9, 0x3e},
        {"rdata one shorter", type + 9, 0x3c},
        {"algorithm's label too long", type + 10, 64},
        {"algorithm compressed", type + 10, 0xc0},
        {"mac longer than there is", type + 10 + 13 + 9, 33},
        {"mac shorter", type + 10 + 13 + 9, 31},
        {"other data that is not there", at + 6 + 10 + 13 + 10 + 32 + 5, 1},
        {"key name of an unknown label type", at, 0x44},
        {"one record more than there is", 11, 2},
        {"in the authority section", 11, 0},
    };

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct packet p = from_hex(VECTOR_REQUEST_SHA256);
        p.data[rows[i].pos] = rows[i].value;
        if (strcmp(rows[i].what, "in the authority section") == 0) {
            p.data[9]++;
        }
        assert_formerr(*state, &p, rows[i].what);
    }
}

static void test_one_and_last(void **state)
{
    struct packet update = from_hex(VECTOR_UPDATE);
    struct packet p = from_hex(VECTOR_REQUEST_SHA256);
    size_t rr_len = p.len - update.len;
    static const uint8_t OPT[11] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};

    memcpy(p.data + p.len, p.data + update.len, rr_len); /* twice */
    p.len += rr_len;
    p.data[11] = 2;
    assert_formerr(*state, &p, "two of them");
    p = from_hex(VECTOR_REQUEST_SHA256); /* not the last */
    memcpy(p.data + p.len, OPT, sizeof(OPT));
    p.len += sizeof(OPT);
    p.data[11] = 2;
    assert_formerr(*state, &p, "not the last");
    p = from_hex(VECTOR_REQUEST_SHA256);
    p.data[p.len++] = 0;
    assert_formerr(*state, &p, "something behind it");
}

/* The key's name as a pointer: to itself, forwards, into the header; backwards is read. */
static void test_pointers(void **state)
{
    const size_t at = record_at();
    struct packet whole = from_hex(VECTOR_REQUEST_SHA256);
    const size_t targets[] = {at, at + 2, 2};
    struct packet p = whole;
    struct tsig tsig;

    memmove(p.data + at + 2, p.data + at + 6, p.len - at - 6); /* for "both" and the root */
    p.len -= 4;
    p.data[at] = 0xc0;
    for (size_t i = 0; i < ARRAY_N(targets); i++) {
        p.data[at + 1] = (uint8_t)targets[i];
        assert_formerr(*state, &p, "a pointer that does not lead backwards");
    }
    p.data[at + 1] = 12; /* svc.test: no client of ours */
    assert_int_equal(check(*state, &PLAIN, &p, &tsig), TSIG_NOTAUTH);
    assert_int_equal(tsig.error, TSIG_BADKEY);
    assert_int_equal(tsig.key_name_len, 10);
    assert_memory_equal(tsig.key_name, "\3svc\4test", 10);
}

/* RFC 8945 §5.2.2.1 */
static void test_mac_lengths(void **state)
{
    struct packet p = from_hex(VECTOR_REQUEST_CUT15);
    struct packet long_mac = from_hex(VECTOR_REQUEST_SHA256);
    const size_t at = record_at() + 6; /* of the type */
    const size_t mac_len = at + 10 + 13 + 8;

    assert_formerr(*state, &p, "less than half");
    p = from_hex(VECTOR_REQUEST_SHA1_CUT9);
    assert_formerr(*state, &p, "less than 10");
    /* one octet more than the hash gives */
    memmove(long_mac.data + mac_len + 3, long_mac.data + mac_len + 2, long_mac.len - mac_len - 2);
    long_mac.len++;
    long_mac.data[mac_len + 1] = 33;
    long_mac.data[at + 9]++;
    assert_formerr(*state, &long_mac, "too long");
}

/* --- refusals --------------------------------------------------------------------------------- */

static struct packet refusal_answer(void)
{
    struct packet p = from_hex(VECTOR_ANSWER);

    p.data[3] = 9; /* NOTAUTH */
    return p;
}

/* A good request with its MAC cut (or filled with zeros) to n octets: a MAC does not sign its own length. */
static struct packet with_mac(const char *hex, size_t alg_len, size_t whole, size_t n)
{
    struct packet p = from_hex(hex);
    uint8_t tail[6]; /* original id, error, other length */
    const size_t at = record_at() + 6;
    const size_t mac_len_at = at + 10 + alg_len + 8;

    assert_int_equal(p.data[mac_len_at + 1], whole);
    memcpy(tail, p.data + p.len - sizeof(tail), sizeof(tail));
    memset(p.data + mac_len_at + 2 + whole, 0, PACKET_MAX - mac_len_at - 2 - whole);
    p.data[mac_len_at + 1] = (uint8_t)n;
    p.data[at + 9] = (uint8_t)(alg_len + 16 + n);
    p.len = mac_len_at + 2 + n;
    memcpy(p.data + p.len, tail, sizeof(tail));
    p.len += sizeof(tail);
    return p;
}

/* Every length with every algorithm: FORMERR for what is longer than the hash or shorter than half of it or 10
 * octets (RFC 8945 §5.2.2.1); BADTRUNC, signed and whole, for what is shorter than we take (§5.2.4). */
static void test_every_mac_length(void **state)
{
    static const struct {
        const char *request;
        size_t alg_len, whole, possible, taken;
    } rows[] = {
        {VECTOR_REQUEST_MD5, 26, 16, 10, 16},    {VECTOR_REQUEST_SHA1, 11, 20, 10, 16},
        {VECTOR_REQUEST_SHA224, 13, 28, 14, 16}, {VECTOR_REQUEST_SHA256, 13, 32, 16, 16},
        {VECTOR_REQUEST_SHA384, 13, 48, 24, 24}, {VECTOR_REQUEST_SHA512, 13, 64, 32, 32},
    };
    const struct asking how = {.is_md5_allowed = true};

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        for (size_t n = 0; n <= TSIG_MAC_MAX + 1; n++) {
            struct packet p = with_mac(rows[i].request, rows[i].alg_len, rows[i].whole, n);
            struct packet answer = refusal_answer();
            struct tsig tsig;
            enum tsig_verdict verdict = check(*state, &how, &p, &tsig);
            enum tsig_verdict want = n > rows[i].whole || n < rows[i].possible ? TSIG_FORMERR
                                     : n < rows[i].taken                       ? TSIG_NOTAUTH
                                                                               : TSIG_OK;
            if (verdict != want || tsig.is_verified != (want == TSIG_OK) ||
                tsig.error != (want == TSIG_NOTAUTH ? TSIG_BADTRUNC : 0)) {
                fail_msg("row %zu, %zu octets: verdict %d, error %u", i, n, (int)verdict,
                         tsig.error);
            }
            if (want != TSIG_FORMERR) {
                must(tsig_sign(&tsig, VECTOR_TIME, answer.data, &answer.len, PACKET_MAX));
                assert_int_equal(tsig.mac_len, want == TSIG_OK ? n : rows[i].whole);
            }
            tsig_clear(&tsig);
        }
    }
}

/* A cut MAC that is wrong is wrong; in one that is right the time comes first. RFC 8945 §5.2 */
static void test_cut_and_wrong(void **state)
{
    struct packet p = with_mac(VECTOR_REQUEST_SHA1, 11, 20, 15);
    struct ip_addr peer = ip_of("127.0.0.1");
    struct fixture *f = *state;
    const struct tsig_options late = {f->access, false, false, &peer, VECTOR_TIME + 301};
    struct packet wrong = p;
    struct tsig tsig;

    wrong.data[wrong.len - 7] ^= 1u; /* its last octet */
    assert_int_equal(check(f, &PLAIN, &wrong, &tsig), TSIG_NOTAUTH);
    assert_int_equal(tsig.error, TSIG_BADSIG);
    assert_int_equal(tsig_check(&late, p.data, &p.len, &tsig), TSIG_NOTAUTH);
    assert_int_equal(tsig.error, TSIG_BADTIME);
    tsig_clear(&tsig);
}

static void test_errors(void **state)
{
    static const struct {
        const char *what, *request;
        const char
            *answer; /* signed by us one second later (BADTIME: at once); NULL: not compared */
        const char *peer;
        uint16_t error;
        int later_s;
    } rows[] = {
        {"unknown key", VECTOR_REQUEST_NOBODY, VECTOR_ANSWER_BADKEY, NULL, TSIG_BADKEY, 1},
        {"unknown algorithm", VECTOR_REQUEST_UNKNOWN_ALG, VECTOR_ANSWER_UNKNOWN_ALG, NULL,
         TSIG_BADKEY, 1},
        {"MD5 is off", VECTOR_REQUEST_MD5, NULL, NULL, TSIG_BADKEY, 1},
        {"another network", VECTOR_REQUEST_INSIDE, NULL, "192.0.2.1", TSIG_BADKEY, 1},
        {"network right, secret wrong", VECTOR_REQUEST_INSIDE, NULL, "10.1.2.3", TSIG_BADSIG, 1},
        {"wrong secret", VECTOR_REQUEST_WRONG_SECRET, VECTOR_ANSWER_BADSIG, NULL, TSIG_BADSIG, 1},
        {"too old", VECTOR_REQUEST_OLD, VECTOR_ANSWER_BADTIME, NULL, TSIG_BADTIME, 0},
        {"too early", VECTOR_REQUEST_EARLY, NULL, NULL, TSIG_BADTIME, 0},
        {"cut to 80 bits", VECTOR_REQUEST_SHA1_CUT10, VECTOR_ANSWER_BADTRUNC, NULL, TSIG_BADTRUNC,
         1},
    };

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct asking how = {rows[i].peer, false, false};
        struct packet p = from_hex(rows[i].request);
        struct packet answer = refusal_answer();
        struct tsig tsig;
        enum tsig_verdict verdict = check(*state, &how, &p, &tsig);
        if (verdict != TSIG_NOTAUTH || tsig.error != rows[i].error || tsig.is_verified) {
            fail_msg("%s: verdict %d, error %u", rows[i].what, (int)verdict, tsig.error);
        }
        assert_packet(&p, VECTOR_UPDATE);
        bool is_named = tsig.error == TSIG_BADTIME || tsig.error == TSIG_BADTRUNC;
        assert_int_equal(tsig.client[0] != '\0', is_named);
        assert_int_equal(tsig.key_len > 0, is_named);
        size_t room = tsig_room(&tsig);
        size_t before = answer.len;
        must(tsig_sign(&tsig, VECTOR_TIME + rows[i].later_s, answer.data, &answer.len, PACKET_MAX));
        assert_int_equal(answer.len - before, room);
        if (rows[i].answer != NULL) {
            assert_packet(&answer, rows[i].answer);
        }
        tsig_clear(&tsig);
    }
}

/* One bit anywhere: never taken. */
static void test_every_bit(void **state)
{
    struct packet whole = from_hex(VECTOR_REQUEST_SHA256);
    const size_t at = record_at();

    for (size_t i = 0; i < whole.len * 8; i++) {
        struct packet p = whole;
        struct tsig tsig;
        size_t octet = i / 8;
        bool is_case = (octet == at + 1 || octet == at + 2 || octet == at + 3 || octet == at + 4 ||
                        (octet > at + 16 && octet < at + 28)) &&
                       i % 8 == 5;  /* names: upper case is the same */
        if (octet < 2 || is_case) { /* the id is the forwarder's to change */
            continue;
        }
        p.data[octet] = (uint8_t)(p.data[octet] ^ 1u << i % 8);
        if (check(*state, &PLAIN, &p, &tsig) == TSIG_OK) {
            fail_msg("bit %zu of octet %zu is not signed", i % 8, octet);
        }
        tsig_clear(&tsig);
    }
}

/* --- accepted --------------------------------------------------------------------------------- */

static void answer_as(struct fixture *f, const struct asking *how, const char *request,
                      const char *answer)
{
    struct packet p = from_hex(request);
    struct packet a = from_hex(VECTOR_ANSWER);
    struct tsig tsig;

    assert_int_equal(check(f, how, &p, &tsig), TSIG_OK);
    assert_true(tsig.is_verified);
    assert_string_equal(tsig.client, "both");
    assert_int_equal(tsig.error, 0);
    a.data[0] = p.data[0];
    a.data[1] = p.data[1];
    if (answer != NULL) {
        size_t room = tsig_room(&tsig);
        size_t before = a.len;
        must(tsig_sign(&tsig, VECTOR_TIME + 1, a.data, &a.len, PACKET_MAX));
        assert_int_equal(a.len - before, room);
        assert_packet(&a, answer);
    }
    p.data[0] = 0x12;
    p.data[1] = 0x34;
    assert_packet(&p, VECTOR_UPDATE);
    tsig_clear(&tsig);
    assert_int_equal(tsig.key[0], 0);
}

static void test_algorithms(void **state)
{
    const struct asking md5 = {NULL, true, false};

    answer_as(*state, &md5, VECTOR_REQUEST_MD5, VECTOR_ANSWER_MD5);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_SHA1, VECTOR_ANSWER_SHA1);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_SHA224, VECTOR_ANSWER_SHA224);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_SHA256, VECTOR_ANSWER_SHA256);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_SHA384, VECTOR_ANSWER_SHA384);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_SHA512, VECTOR_ANSWER_SHA512);
}

static void test_accepted(void **state)
{
    answer_as(*state, &PLAIN, VECTOR_REQUEST_FORWARDED, VECTOR_ANSWER_FORWARDED);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_CUT16, VECTOR_ANSWER_CUT16);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_JUST_IN_TIME, NULL);
    answer_as(*state, &PLAIN, VECTOR_REQUEST_OTHER_CASE, NULL);
}

/* RFC 8945 §5.3.1 */
static void test_several_messages(void **state)
{
    static const char *const WANT[] = {VECTOR_MULTI_1, VECTOR_MULTI_2, VECTOR_MULTI_3};
    struct packet p = from_hex(VECTOR_REQUEST_SHA256);
    struct tsig tsig;

    assert_int_equal(check(*state, &PLAIN, &p, &tsig), TSIG_OK);
    for (int i = 0; i < 3; i++) {
        struct packet a = from_hex(VECTOR_ANSWER);
        must(tsig_sign(&tsig, VECTOR_TIME + 1 + i, a.data, &a.len, PACKET_MAX));
        assert_packet(&a, WANT[i]);
    }
    tsig_clear(&tsig);
}

static void test_no_room(void **state)
{
    struct packet p = from_hex(VECTOR_REQUEST_SHA256);
    struct packet a = from_hex(VECTOR_ANSWER);
    struct tsig tsig;

    assert_int_equal(check(*state, &PLAIN, &p, &tsig), TSIG_OK);
    size_t len = a.len;
    size_t room = tsig_room(&tsig);
    assert_int_equal(tsig_sign(&tsig, VECTOR_TIME, a.data, &len, a.len + room - 1).code, ERR_LIMIT);
    assert_int_equal(len, a.len);
    assert_packet(&a, VECTOR_ANSWER);
    must(tsig_sign(&tsig, VECTOR_TIME, a.data, &len, a.len + room));
    tsig_clear(&tsig);
}

/* --- the throttle ----------------------------------------------------------------------------- */

static void test_throttle(void **state)
{
    struct fixture *f = *state;
    const struct asking udp = {"192.0.2.7", false, false};
    const struct asking tcp = {"192.0.2.7", false, true};
    struct ip_addr peer = ip_of("192.0.2.7");
    struct tsig tsig;

    for (unsigned i = 0; i < 2 * ACCESS_FAILURES_PER_MINUTE; i++) { /* forged: nobody's fault */
        struct packet p = from_hex(VECTOR_REQUEST_WRONG_SECRET);
        assert_int_equal(check(f, &udp, &p, &tsig), TSIG_NOTAUTH);
    }
    assert_false(access_is_throttled(f->access, &peer));
    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        struct packet p = from_hex(VECTOR_REQUEST_WRONG_SECRET);
        assert_int_equal(check(f, &tcp, &p, &tsig), TSIG_NOTAUTH);
    }
    assert_true(access_is_throttled(f->access, &peer));
    answer_as(f, &tcp, VECTOR_REQUEST_SHA256, NULL); /* a right MAC is right */
    clock_shift(61000);
}

/* --- requests of ours ------------------------------------------------------------------------- */

static void test_request_of_ours(void **state)
{
    struct fixture *f = *state;
    struct packet p = from_hex(VECTOR_NOTIFY);
    struct packet forged = from_hex(VECTOR_NOTIFY_FORGED);
    struct packet unsigned_one = from_hex(VECTOR_NOTIFY_UNSIGNED);
    struct packet other = from_hex(VECTOR_ANSWER_SHA256);
    struct packet right = from_hex(VECTOR_NOTIFY_ANSWER);
    struct tsig tsig;

    assert_int_equal(
        tsig_sign_request(f->access, "nobody", VECTOR_TIME, &tsig, p.data, &p.len, PACKET_MAX).code,
        ERR_NOT_FOUND);
    assert_packet(&p, VECTOR_NOTIFY);
    assert_int_equal(
        tsig_sign_request(f->access, "both", VECTOR_TIME, &tsig, p.data, &p.len, p.len).code,
        ERR_LIMIT);
    must(tsig_sign_request(f->access, "BOTH", VECTOR_TIME, &tsig, p.data, &p.len, PACKET_MAX));
    assert_packet(&p, VECTOR_NOTIFY_SIGNED);
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME, forged.data, forged.len));
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME, unsigned_one.data, unsigned_one.len));
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME, other.data, other.len));
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME + 302, right.data, right.len));
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME, right.data, right.len - 1));
    assert_true(tsig_check_answer(&tsig, VECTOR_TIME + 301, right.data, right.len));
    tsig_clear(&tsig);
    assert_false(tsig_check_answer(&tsig, VECTOR_TIME, right.data, right.len));
}

static int setup(void **state)
{
    *state = fixture_new("");
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_one_and_last),
        cmocka_unit_test(test_mac_lengths),
        cmocka_unit_test(test_every_mac_length),
        cmocka_unit_test(test_cut_and_wrong),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_several_messages),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_request_of_ours),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
