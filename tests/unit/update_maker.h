/* Update messages from lines as people feed them to nsupdate, and what became of them. Lines:
 *   prereq nxdomain|yxdomain NAME        prereq nxrrset|yxrrset NAME TYPE [RDATA]
 *   update add NAME TYPE RDATA           update delete NAME [TYPE [RDATA]]
 * Names without a trailing dot; TTL of additions 60. */
#ifndef TESTS_UNIT_UPDATE_MAKER_H
#define TESTS_UNIT_UPDATE_MAKER_H

#include "delegate_fixture.h"

#include "dns/rr.h"
#include "dns/update.h"

#define UPDATE_TTL 60u
#define CLASS_IN 1u
#define NOERROR 0
#define FORMERR 1
#define NXDOMAIN 3
#define NOTIMP 4
#define REFUSED 5
#define YXDOMAIN 6
#define YXRRSET 7
#define NXRRSET 8
#define NOTAUTH 9
#define NOTZONE 10

struct maker {
    struct buf data;
    unsigned prerequisites_n, changes_n;
};

static inline void put_name(struct buf *b, const char *text)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    must(name_to_wire(text, wire, &len));
    buf_put(b, wire, len);
}

static inline void maker_start(struct maker *m, const char *zone)
{
    memset(m, 0, sizeof(*m));
    buf_init(&m->data, 65535);
    buf_put(&m->data, "\x12\x34\x28\0\0\1\0\0\0\0\0\0", 12);
    put_name(&m->data, zone);
    buf_u16(&m->data, 6);
    buf_u16(&m->data, CLASS_IN);
}

static inline void put_rr(struct maker *m, const char *name, unsigned type, unsigned class_,
                          uint32_t ttl, const void *rdata, size_t len)
{
    put_name(&m->data, name);
    buf_u16(&m->data, (uint16_t)type);
    buf_u16(&m->data, (uint16_t)class_);
    buf_u32(&m->data, ttl);
    buf_u16(&m->data, (uint16_t)len);
    buf_put(&m->data, rdata, len);
}

/* type "" is ANY, rdata "" none. */
static inline void put_text_rr(struct maker *m, const char *name, const char *type,
                               const char *rdata, unsigned class_, uint32_t ttl)
{
    struct dns_rr rr;
    char why[200] = "";
    uint16_t number = 255;

    memset(&rr, 0, sizeof(rr));
    if (*type != '\0') {
        assert_true(rr_type_parse(type, &number));
    }
    if (*rdata != '\0' &&
        rr_from_text("x.", NULL, 0, type, rdata, &rr, why, sizeof(why)).code != ERR_OK) {
        fail_msg("%s %s: %s", type, rdata, why);
    }
    put_rr(m, name, number, class_, ttl, rr.rdata, rr.rdata_len);
    rr_clear(&rr);
}

static inline void set_counts(struct maker *m)
{
    must(buf_check(&m->data));
    m->data.data[6] = (uint8_t)(m->prerequisites_n >> 8);
    m->data.data[7] = (uint8_t)m->prerequisites_n;
    m->data.data[8] = (uint8_t)(m->changes_n >> 8);
    m->data.data[9] = (uint8_t)m->changes_n;
}

static inline const char *take_word(const char **line, char word[300])
{
    size_t n = strcspn(*line, " ");

    assert_true(n < 300);
    memcpy(word, *line, n);
    word[n] = '\0';
    *line += n;
    *line += **line == ' ' ? 1 : 0;
    return word;
}

static inline void put_line(struct maker *m, const char *line)
{
    char what[300], verb[300], name[300], type[300];

    take_word(&line, what);
    take_word(&line, verb);
    take_word(&line, name);
    take_word(&line, type);
    if (strcmp(what, "prereq") == 0) {
        unsigned class_ = verb[0] == 'n' ? 254 : *line == '\0' ? 255 : CLASS_IN;
        put_text_rr(m, name, type, line, class_, 0);
        m->prerequisites_n++;
    } else if (strcmp(verb, "add") == 0) {
        put_text_rr(m, name, type, line, CLASS_IN, UPDATE_TTL);
        m->changes_n++;
    } else {
        put_text_rr(m, name, type, line, *line == '\0' ? 255 : 254, 0);
        m->changes_n++;
    }
}

/* Prerequisites first. */
static inline void maker_script(struct maker *m, const char *zone, const char *script)
{
    char line[700];

    maker_start(m, zone);
    while (*script != '\0') {
        size_t n = strcspn(script, "\n");
        assert_true(n < sizeof(line));
        memcpy(line, script, n);
        line[n] = '\0';
        put_line(m, line);
        script += n + (script[n] == '\n' ? 1 : 0);
    }
    set_counts(m);
}

/* mac_n: of the signature; 0: none is shown. -1: no answer. */
static inline int send_signed(struct update *update, const char *client, const char *peer,
                              const uint8_t *packet, size_t len, unsigned mac_n)
{
    struct ip_addr ip = ip_of(peer);
    struct tsig tsig;
    uint8_t out[512];

    memset(&tsig, 0, sizeof(tsig));
    if (client != NULL) {
        tsig.is_present = tsig.is_verified = true;
        tsig.mac_len = mac_n > 0 ? 32 : 0;
        memcpy(tsig.mac, &mac_n, sizeof(mac_n));
        (void)snprintf(tsig.client, sizeof(tsig.client), "%s", client);
    }
    size_t n = update_handle(update, packet, len, &tsig, &ip, out);
    if (n == 0) {
        return -1;
    }
    assert_true(n >= 12 && n <= 12 + 259);
    assert_memory_equal(out, packet, 2);
    assert_int_equal(out[2], 0x80 | (packet[2] & 0x78));
    assert_int_equal(out[3] & 0xf0, 0);
    assert_int_equal(out[4], 0);
    assert_int_equal(out[5], n > 12 ? 1 : 0);
    assert_memory_equal(out + 6, "\0\0\0\0\0\0", 6);
    assert_memory_equal(out + 12, packet + 12, n - 12);
    return out[3];
}

/* client NULL: unsigned. Checks the answer's form; returns its RCODE. */
static inline int send_bytes(struct update *update, const char *client, const char *peer,
                             const uint8_t *packet, size_t len)
{
    return send_signed(update, client, peer, packet, len, 0);
}

static inline int send_script(struct update *update, const char *client, const char *zone,
                              const char *script)
{
    struct maker m;

    maker_script(&m, zone, script);
    int rcode = send_bytes(update, client, "127.0.0.1", m.data.data, m.data.len);
    buf_clear(&m.data);
    return rcode;
}

/* --- what is there now --- */
struct rr_job {
    struct records *records;
    const char *name;
    uint16_t type;
    struct buf *out;
};

static inline bool put_found(void *arg, const struct dns_rr *rr)
{
    struct rr_job *job = arg;

    buf_puts(job->out, job->out->len == 0 ? "" : "|");
    must(rr_rdata_text(rr->type, rr->rdata, rr->rdata_len, job->out));
    return true;
}

static inline struct err read_rrs_tx(struct db *db, void *arg)
{
    struct rr_job *job = arg;
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    TRY(name_to_wire(job->name, wire, &len));
    return records_at(job->records, db, wire, len, job->type, put_found, job);
}

/* The stored records' RDATA, "|" between them. */
static inline void assert_records(struct fixture *f, const char *name, const char *type,
                                  const char *want)
{
    struct buf out = BUF_INIT(65536);
    struct rr_job job = {f->records, name, 0, &out};

    assert_true(rr_type_parse(type, &job.type));
    must(store_read(f->store, "test.records", read_rrs_tx, &job));
    assert_string_equal(buf_str(&out), want);
    buf_clear(&out);
}

static inline struct update *update_of(struct fixture *f)
{
    const struct update_options options = {f->cfg,      f->store,   f->access,
                                           f->delegate, f->records, f->zones};
    struct update *update = NULL;

    must(update_new(&options, &update));
    return update;
}

#endif
