#include "dns/tsig.h"

#include <string.h>

#include "core/util/buf.h"
#include "core/util/hmac.h"
#include "core/util/mem.h"
#include "core/util/token.h"
#include "dns/query.h"
#include "dns/tsig_int.h"

#define TRUNCATED_MIN 10u /* octets; RFC 8945 §5.2.2.1 */
#define TIME_MAX 0xffffffffffffULL

static const struct {
    enum tsig_alg alg;
    enum hmac_alg hmac;
    const char *name;
} ALGS[] = {
    {TSIG_HMAC_MD5, HMAC_ALG_MD5, "hmac-md5.sig-alg.reg.int"},
    {TSIG_HMAC_SHA1, HMAC_ALG_SHA1, "hmac-sha1"},
    {TSIG_HMAC_SHA224, HMAC_ALG_SHA224, "hmac-sha224"},
    {TSIG_HMAC_SHA256, HMAC_ALG_SHA256, "hmac-sha256"},
    {TSIG_HMAC_SHA384, HMAC_ALG_SHA384, "hmac-sha384"},
    {TSIG_HMAC_SHA512, HMAC_ALG_SHA512, "hmac-sha512"},
};

static enum hmac_alg hmac_of(enum tsig_alg alg)
{
    for (size_t i = 0; i < ARRAY_N(ALGS); i++) {
        if (ALGS[i].alg == alg) {
            return ALGS[i].hmac;
        }
    }
    return HMAC_ALG_SHA256; /* an unknown one: the time of a MAC is spent all the same */
}

void tsig_alg_wire(enum tsig_alg alg, uint8_t out[NAME_WIRE_MAX], size_t *len)
{
    const char *name = ".";

    for (size_t i = 0; i < ARRAY_N(ALGS); i++) {
        name = ALGS[i].alg == alg ? ALGS[i].name : name;
    }
    *len = NAME_WIRE_MAX;
    err_ignore(name_to_wire(name, out, len)); /* constants: cannot fail */
}

enum tsig_alg tsig_alg_of(const uint8_t *wire, size_t len)
{
    uint8_t name[NAME_WIRE_MAX];
    size_t name_len = 0;

    for (size_t i = 0; i < ARRAY_N(ALGS); i++) {
        tsig_alg_wire(ALGS[i].alg, name, &name_len);
        if (name_len == len && memcmp(name, wire, len) == 0) {
            return ALGS[i].alg;
        }
    }
    return (enum tsig_alg)0;
}

void tsig_clear(struct tsig *tsig)
{
    mem_wipe(tsig, sizeof(*tsig));
}

/* --- the MAC ---------------------------------------------------------------------------------- */

static void hmac_time(struct hmac *hmac, uint64_t time, uint16_t fudge)
{
    hmac_put_u16(hmac, (uint16_t)(time >> 32));
    hmac_put_u16(hmac, (uint16_t)(time >> 16));
    hmac_put_u16(hmac, (uint16_t)time);
    hmac_put_u16(hmac, fudge);
}

/* What is signed: rr's variables, and `len` octets of the message as it was before it got the
 * record. */
struct signing {
    const struct tsig *tsig;
    const struct tsig_rr *rr;
    const uint8_t *packet;
    size_t len;
    unsigned additional_n; /* without the TSIG */
    bool is_answer;        /* the MAC before goes in first (RFC 8945 §5.3) */
};

/* RFC 8945 §4.3.3: whole for the first message, the timers for those that follow (§5.3.1). */
static struct err mac_of(const struct signing *s, uint8_t out[HMAC_LEN_MAX])
{
    AUTO(hmac_freep) struct hmac *hmac = NULL;
    const struct tsig *t = s->tsig;
    static const uint8_t CLASS_TTL[] = {0, DNS_CLASS_ANY, 0, 0, 0, 0};

    TRY(hmac_begin(hmac_of(t->alg), t->key, t->key_len, &hmac));
    if (s->is_answer) {
        hmac_put_u16(hmac, (uint16_t)t->mac_len);
        hmac_put(hmac, t->mac, t->mac_len);
    }
    hmac_put_u16(hmac, s->rr->original_id);
    hmac_put(hmac, s->packet + 2, 8);
    hmac_put_u16(hmac, (uint16_t)s->additional_n);
    hmac_put(hmac, s->packet + DNS_HEADER_LEN, s->len - DNS_HEADER_LEN);
    if (!t->is_continued) {
        hmac_put(hmac, s->rr->key_name, s->rr->key_name_len);
        hmac_put(hmac, CLASS_TTL, sizeof(CLASS_TTL));
        hmac_put(hmac, s->rr->alg_name, s->rr->alg_name_len);
    }
    hmac_time(hmac, s->rr->time, s->rr->fudge);
    if (!t->is_continued) {
        hmac_put_u16(hmac, s->rr->error);
        hmac_put_u16(hmac, (uint16_t)s->rr->other_len);
        hmac_put(hmac, s->rr->other, s->rr->other_len);
    }
    return hmac_end(hmac, out);
}

/* --- checking a request ----------------------------------------------------------------------- */

/* The key's name as a client's, "" when it cannot be one. */
static void client_of(const struct tsig_rr *rr, char out[CLIENT_NAME_MAX + 1])
{
    char text[4 * NAME_WIRE_MAX + 4];

    out[0] = '\0';
    if (name_from_wire(rr->key_name, rr->key_name_len, text, sizeof(text)).code == ERR_OK &&
        strlen(text) <= CLIENT_NAME_MAX && config_client_name_ok(text)) {
        memcpy(out, text, strlen(text) + 1);
    }
}

/* tsig->client is set when the key is there and for this peer. RFC 8945 §5.2.1. */
static bool find_key(const struct tsig_options *options, const struct tsig_rr *rr,
                     struct tsig *tsig, enum tsig_fault *fault)
{
    char name[CLIENT_NAME_MAX + 1];

    client_of(rr, name);
    struct err e = access_key(options->access, name, tsig->key, &tsig->key_len, tsig->client);
    if (e.code != ERR_OK) {
        *fault = TSIG_FAULT_KEY;
        return false;
    }
    if (!access_network_ok(options->access, tsig->client, options->peer)) {
        *fault = TSIG_FAULT_NETWORK;
        return false;
    }
    if ((unsigned)tsig->alg == 0) {
        *fault = TSIG_FAULT_ALG;
        return false;
    }
    *fault = TSIG_FAULT_MD5;
    return tsig->alg != TSIG_HMAC_MD5 || options->is_md5_allowed;
}

/* A fudge longer than ours would leave a message open to replay for as long. */
static bool is_in_time(uint64_t time, uint16_t fudge, int64_t now_unix)
{
    uint64_t now = now_unix < 0 ? 0 : (uint64_t)now_unix;
    uint64_t most = fudge < TSIG_FUDGE_S ? fudge : TSIG_FUDGE_S;

    return (time > now ? time - now : now - time) <= most;
}

static enum tsig_verdict fail_with(const struct tsig_options *options, struct tsig *tsig,
                                   unsigned error, enum tsig_fault fault)
{
    tsig->error = (uint16_t)error;
    tsig_say_fault(options, tsig, fault);
    if (error == TSIG_BADKEY || error == TSIG_BADSIG) {
        tsig->client[0] = '\0';
        mem_wipe(tsig->key, sizeof(tsig->key)); /* the answer is not signed (RFC 8945 §5.3.2) */
        tsig->key_len = 0;
        if (options->is_tcp && fault != TSIG_FAULT_NETWORK) {
            access_count_failure(options->access, options->peer);
        }
    }
    return TSIG_NOTAUTH;
}

static void keep_rr(const struct tsig_rr *rr, struct tsig *tsig)
{
    tsig->is_present = true;
    memcpy(tsig->key_name, rr->key_name, rr->key_name_len);
    tsig->key_name_len = rr->key_name_len;
    memcpy(tsig->alg_name, rr->alg_name, rr->alg_name_len);
    tsig->alg_name_len = rr->alg_name_len;
    tsig->alg = tsig_alg_of(rr->alg_name, rr->alg_name_len);
    tsig->time = rr->time;
    tsig->fudge = rr->fudge;
}

/* Of an algorithm that we know. RFC 8945 §5.2.2.1. */
static bool is_mac_len_possible(const struct tsig *tsig, size_t mac_len)
{
    size_t whole = hmac_len(hmac_of(tsig->alg));
    size_t least = whole / 2 > TRUNCATED_MIN ? whole / 2 : TRUNCATED_MIN;

    return mac_len <= whole && mac_len >= least;
}

/* Key, MAC, time, truncation, in this order (RFC 8945 §5.2). */
static enum tsig_verdict judge(const struct tsig_options *options, const struct tsig_rr *rr,
                               const struct signing *signing, struct tsig *tsig)
{
    uint8_t mac[HMAC_LEN_MAX];
    enum tsig_fault fault = TSIG_FAULT_KEY;

    bool has_key = find_key(options, rr, tsig, &fault);
    struct err e = mac_of(signing, mac); /* with nobody's key too: the same time */
    if (!has_key) {
        return fail_with(options, tsig, TSIG_BADKEY, fault);
    }
    bool is_equal = e.code == ERR_OK && ct_equal(mac, rr->mac_len, rr->mac, rr->mac_len);
    mem_wipe(mac, sizeof(mac));
    if (!is_equal) {
        return fail_with(options, tsig, TSIG_BADSIG, TSIG_FAULT_MAC);
    }
    memcpy(tsig->mac, rr->mac, rr->mac_len);
    tsig->mac_len = rr->mac_len;
    tsig->mac_whole_len = rr->mac_len;
    if (!is_in_time(rr->time, rr->fudge, options->now_unix)) {
        return fail_with(options, tsig, TSIG_BADTIME, TSIG_FAULT_TIME);
    }
    if (rr->mac_len < TSIG_MAC_MIN) {
        tsig->mac_whole_len = hmac_len(hmac_of(tsig->alg));
        return fail_with(options, tsig, TSIG_BADTRUNC, TSIG_FAULT_TRUNC);
    }
    tsig->is_verified = true;
    if (tsig->alg == TSIG_HMAC_MD5) {
        tsig_say_md5(options, tsig);
    }
    return TSIG_OK;
}

enum tsig_verdict tsig_check(const struct tsig_options *options, uint8_t *packet, size_t *len,
                             struct tsig *tsig)
{
    struct tsig_rr rr;

    memset(tsig, 0, sizeof(*tsig));
    switch (tsig_find(packet, *len, &rr)) {
    case TSIG_FIND_NONE:
        return TSIG_NONE;
    case TSIG_FIND_ONE:
        break;
    case TSIG_FIND_BROKEN:
        tsig_say_broken(options);
        return TSIG_FORMERR;
    }
    keep_rr(&rr, tsig);
    if ((unsigned)tsig->alg != 0 && !is_mac_len_possible(tsig, rr.mac_len)) {
        tsig_say_broken(options);
        tsig_clear(tsig);
        return TSIG_FORMERR;
    }
    const struct signing signing = {tsig, &rr, packet, rr.start, wire_get16(packet + 10) - 1,
                                    false};
    enum tsig_verdict verdict = judge(options, &rr, &signing, tsig);
    wire_put16(packet + 10, wire_get16(packet + 10) - 1);
    *len = rr.start;
    return verdict;
}

/* --- signing ---------------------------------------------------------------------------------- */

static bool is_signed(const struct tsig *tsig)
{
    return tsig->error != TSIG_BADKEY && tsig->error != TSIG_BADSIG;
}

static size_t other_len_of(const struct tsig *tsig)
{
    return tsig->error == TSIG_BADTIME ? TSIG_OTHER_MAX : 0;
}

size_t tsig_room(const struct tsig *tsig)
{
    if (!tsig->is_present) {
        return 0;
    }
    return tsig->key_name_len + 10 + tsig->alg_name_len + 16 +
           (is_signed(tsig) ? tsig->mac_whole_len : 0) + other_len_of(tsig);
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(p, data, len);
    }
    return p + len;
}

static uint8_t *put_time(uint8_t *p, uint64_t time)
{
    wire_put16(p, time >> 32);
    wire_put32(p + 2, (uint32_t)time);
    return p + 6;
}

/* The record's octets; room was checked. */
static void append(uint8_t *packet, size_t *len, const struct tsig_rr *rr)
{
    uint8_t *p = put_bytes(packet + *len, rr->key_name, rr->key_name_len);

    wire_put16(p, DNS_TYPE_TSIG);
    wire_put16(p + 2, DNS_CLASS_ANY);
    memset(p + 4, 0, 4);
    wire_put16(p + 8, rr->alg_name_len + 16 + rr->mac_len + rr->other_len);
    p = put_bytes(p + 10, rr->alg_name, rr->alg_name_len);
    p = put_time(p, rr->time);
    wire_put16(p, rr->fudge);
    wire_put16(p + 2, rr->mac_len);
    p = put_bytes(p + 4, rr->mac, rr->mac_len);
    wire_put16(p, rr->original_id);
    wire_put16(p + 2, rr->error);
    wire_put16(p + 4, rr->other_len);
    p = put_bytes(p + 6, rr->other, rr->other_len);
    *len = (size_t)(p - packet);
    wire_put16(packet + 10, wire_get16(packet + 10) + 1);
}

static struct err sign(struct tsig *tsig, const struct signing *signing, struct tsig_rr *rr,
                       uint8_t *packet, size_t *len)
{
    uint8_t mac[HMAC_LEN_MAX];

    TRY(mac_of(signing, mac));
    memcpy(tsig->mac, mac, tsig->mac_whole_len);
    tsig->mac_len = tsig->mac_whole_len;
    rr->mac = tsig->mac;
    rr->mac_len = tsig->mac_len;
    append(packet, len, rr);
    return err_ok();
}

static void fill_rr(const struct tsig *tsig, int64_t now_unix, const uint8_t *packet,
                    struct tsig_rr *rr)
{
    memset(rr, 0, sizeof(*rr));
    memcpy(rr->key_name, tsig->key_name, tsig->key_name_len);
    rr->key_name_len = tsig->key_name_len;
    memcpy(rr->alg_name, tsig->alg_name, tsig->alg_name_len);
    rr->alg_name_len = tsig->alg_name_len;
    rr->time = now_unix < 0 ? 0 : (uint64_t)now_unix & TIME_MAX;
    rr->fudge = TSIG_FUDGE_S;
    rr->original_id = (uint16_t)wire_get16(packet);
    rr->error = tsig->error;
}

static struct err check_room(const struct tsig *tsig, const uint8_t *packet, size_t len, size_t cap)
{
    if (len < DNS_HEADER_LEN || len > cap || cap - len < tsig_room(tsig) ||
        wire_get16(packet + 10) == UINT16_MAX) {
        FAIL(ERR_LIMIT, "tsig: no room for the signature behind %zu octets of %zu", len, cap);
    }
    return err_ok();
}

struct err tsig_sign(struct tsig *tsig, int64_t now_unix, uint8_t *packet, size_t *len, size_t cap)
{
    struct tsig_rr rr;
    uint8_t other[TSIG_OTHER_MAX];

    if (!tsig->is_present) {
        return err_ok();
    }
    TRY(check_room(tsig, packet, *len, cap));
    fill_rr(tsig, now_unix, packet, &rr);
    if (!is_signed(tsig)) {
        append(packet, len, &rr);
        return err_ok();
    }
    if (tsig->error == TSIG_BADTIME) {
        /* In the client's time, so that it can verify and learn ours. RFC 8945 §5.2.3. */
        (void)put_time(other, rr.time);
        rr.other = other;
        rr.other_len = sizeof(other);
        rr.time = tsig->time;
        rr.fudge = tsig->fudge;
    }
    const struct signing signing = {tsig, &rr, packet, *len, wire_get16(packet + 10), true};
    TRY(sign(tsig, &signing, &rr, packet, len));
    tsig->is_continued = true;
    return err_ok();
}

/* --- requests of ours ------------------------------------------------------------------------- */

static struct err prepare_request(struct access *access, const char *client, struct tsig *tsig)
{
    char folded[CLIENT_NAME_MAX + 1];

    TRY(access_key(access, client, tsig->key, &tsig->key_len, tsig->client));
    for (size_t i = 0; i < sizeof(folded); i++) {
        char c = tsig->client[i];
        folded[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    tsig->key_name_len = sizeof(tsig->key_name);
    TRY(name_to_wire(folded, tsig->key_name, &tsig->key_name_len));
    tsig->alg = TSIG_HMAC_SHA256;
    tsig_alg_wire(tsig->alg, tsig->alg_name, &tsig->alg_name_len);
    tsig->mac_whole_len = hmac_len(hmac_of(tsig->alg));
    tsig->is_present = true;
    return err_ok();
}

struct err tsig_sign_request(struct access *access, const char *client, int64_t now_unix,
                             struct tsig *tsig, uint8_t *packet, size_t *len, size_t cap)
{
    struct tsig_rr rr;

    memset(tsig, 0, sizeof(*tsig));
    struct err e = prepare_request(access, client, tsig);
    if (e.code != ERR_OK) {
        tsig_clear(tsig);
        return e;
    }
    TRY(check_room(tsig, packet, *len, cap));
    fill_rr(tsig, now_unix, packet, &rr);
    tsig->time = rr.time;
    tsig->fudge = rr.fudge;
    const struct signing signing = {tsig, &rr, packet, *len, wire_get16(packet + 10), false};
    return sign(tsig, &signing, &rr, packet, len);
}

bool tsig_check_answer(struct tsig *tsig, int64_t now_unix, const uint8_t *packet, size_t len)
{
    struct tsig_rr rr;
    uint8_t mac[HMAC_LEN_MAX];

    if (!tsig->is_present || tsig_find(packet, len, &rr) != TSIG_FIND_ONE ||
        rr.key_name_len != tsig->key_name_len ||
        memcmp(rr.key_name, tsig->key_name, rr.key_name_len) != 0 ||
        tsig_alg_of(rr.alg_name, rr.alg_name_len) != tsig->alg || rr.error != 0 ||
        !is_mac_len_possible(tsig, rr.mac_len) || rr.mac_len < TSIG_MAC_MIN) {
        return false;
    }
    const struct signing signing = {tsig, &rr, packet, rr.start, wire_get16(packet + 10) - 1, true};
    struct err e = mac_of(&signing, mac);
    bool is_equal = e.code == ERR_OK && ct_equal(mac, rr.mac_len, rr.mac, rr.mac_len);
    mem_wipe(mac, sizeof(mac));
    return is_equal && is_in_time(rr.time, rr.fudge, now_unix);
}
