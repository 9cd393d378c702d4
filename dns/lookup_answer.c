/* Questions and answers of look-ups as bytes; every byte of an answer is hostile. */
#include "dns/lookup_int.h"

#include <ldns/ldns.h>
#include <string.h>

#include "core/util/mem.h"

#define EDNS_OFFER 1232u

const char *lookup_type_name(enum lookup_type type)
{
    switch (type) {
    case LOOKUP_A:
        return "A";
    case LOOKUP_TXT:
        return "TXT";
    case LOOKUP_AAAA:
        return "AAAA";
    case LOOKUP_CAA:
        return "CAA";
    }
    return "?";
}

const char *lookup_rcode_phrase(unsigned rcode)
{
    switch (rcode) {
    case LDNS_RCODE_NOERROR:
    case LDNS_RCODE_NXDOMAIN:
        return NULL;
    case LDNS_RCODE_SERVFAIL:
        return "SERVFAIL (it could not resolve the name, or DNSSEC says bogus)";
    case LDNS_RCODE_REFUSED:
        return "REFUSED (it does not serve us)";
    case LDNS_RCODE_FORMERR:
        return "FORMERR";
    case LDNS_RCODE_NOTIMPL:
        return "NOTIMP";
    default:
        return "an unusual error code";
    }
}

struct err lookup_query_build(const struct lookup_question *question, uint8_t out[LOOKUP_QUERY_MAX],
                              size_t *out_len)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(LOOKUP_QUERY_MAX);
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    TRY(name_to_wire(question->name, wire, &wire_len));
    buf_u16(&b, question->id);
    buf_u16(&b, FLAG_RD << 8);
    buf_u16(&b, 1);
    buf_u16(&b, 0);
    buf_u16(&b, 0);
    buf_u16(&b, 1);
    buf_put(&b, wire, wire_len);
    buf_u16(&b, (uint16_t)question->type);
    buf_u16(&b, DNS_CLASS_IN);
    buf_u8(&b, 0); /* OPT, RFC 6891 §6.1.2 */
    buf_u16(&b, DNS_TYPE_OPT);
    buf_u16(&b, EDNS_OFFER);
    buf_u32(&b, 0);
    buf_u16(&b, 0);
    TRY(buf_check(&b));
    memcpy(out, b.data, b.len);
    *out_len = b.len;
    return err_ok();
}

void lookup_answer_clear(struct lookup_answer *answer)
{
    for (size_t i = 0; i < answer->rdata_n; i++) {
        mem_free(answer->rdata[i].data);
    }
    answer->rdata_n = 0;
}

/* --- the packet, read ------------------------------------------------------------------------- */

static void pkt_freep(ldns_pkt **pkt)
{
    ldns_pkt_free(*pkt);
}

static void rdf_freep(ldns_rdf **rdf)
{
    ldns_rdf_deep_free(*rdf);
}

static bool is_owned_by(const ldns_rr *rr, const ldns_rdf *name, unsigned type)
{
    return (unsigned)ldns_rr_get_type(rr) == type && ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN &&
           ldns_dname_compare(ldns_rr_owner(rr), name) == 0;
}

/* A TXT record's character-strings without their lengths; everything else as it stands. */
static bool join(const ldns_rr *rr, enum lookup_type type, struct buf *out)
{
    size_t skip = type == LOOKUP_TXT ? 1 : 0;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        if (ldns_rdf_size(rdf) < skip) {
            return false;
        }
        buf_put(out, ldns_rdf_data(rdf) + skip, ldns_rdf_size(rdf) - skip);
    }
    if ((type == LOOKUP_A && out->len != 4) || (type == LOOKUP_AAAA && out->len != 16)) {
        return false;
    }
    return !out->failed;
}

static void keep(const ldns_rr *rr, enum lookup_type type, struct lookup_answer *out)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(LOOKUP_RDATA_LEN_MAX);

    if (out->rdata_n == LOOKUP_RDATA_MAX || !join(rr, type, &b)) {
        return;
    }
    uint8_t *data = mem_dup(b.len == 0 ? (const uint8_t *)"" : b.data, b.len);
    if (data != NULL) {
        out->rdata[out->rdata_n++] = (struct lookup_rdata){data, b.len};
    }
}

static void take_records(const ldns_rr_list *answers, const ldns_rdf *name, enum lookup_type type,
                         struct lookup_answer *out)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(answers, i);
        if (is_owned_by(rr, name, (unsigned)type)) {
            out->found_n++;
            keep(rr, type, out);
        }
    }
}

static const ldns_rdf *cname_of(const ldns_rr_list *answers, const ldns_rdf *name)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(answers, i);
        if (is_owned_by(rr, name, LDNS_RR_TYPE_CNAME) && ldns_rr_rd_count(rr) == 1) {
            return ldns_rr_rdf(rr, 0);
        }
    }
    return NULL;
}

/* Only names that can be asked for again, octet by octet. */
static bool take_hop(const ldns_rdf *target, struct lookup_answer *out)
{
    char *hop = out->hops[out->hops_n];
    char text[1024];
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    if (name_from_wire(ldns_rdf_data(target), ldns_rdf_size(target), text, sizeof(text)).code !=
            ERR_OK ||
        strlen(text) > LOOKUP_END_MAX || strcmp(text, ".") == 0 || strchr(text, '\\') != NULL ||
        name_to_wire(text, wire, &wire_len).code != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i <= strlen(text); i++) {
        hop[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    }
    out->hops_n++;
    return true;
}

/* Follow the answer section from the question's name as far as it leads. */
static bool walk(const struct lookup_question *question, const ldns_rr_list *answers,
                 struct lookup_answer *out)
{
    AUTO(rdf_freep) ldns_rdf *name = ldns_dname_new_frm_str(question->name);

    while (name != NULL) {
        take_records(answers, name, question->type, out);
        const ldns_rdf *target = out->found_n > 0 ? NULL : cname_of(answers, name);
        if (target == NULL || out->hops_n > LOOKUP_HOPS_MAX) {
            return true;
        }
        if (!take_hop(target, out)) {
            out->is_lost = true;
            return true;
        }
        ldns_rdf_deep_free(name);
        name = ldns_rdf_clone(target);
    }
    return false;
}

static bool is_same_question(const struct lookup_question *question, const ldns_pkt *pkt)
{
    AUTO(rdf_freep) ldns_rdf *name = ldns_dname_new_frm_str(question->name);
    const ldns_rr_list *asked = ldns_pkt_question(pkt);

    return name != NULL && ldns_rr_list_rr_count(asked) == 1 &&
           is_owned_by(ldns_rr_list_rr(asked, 0), name, (unsigned)question->type);
}

enum lookup_reading lookup_read(const struct lookup_question *question, const uint8_t *data,
                                size_t len, struct lookup_answer *out, const char **why)
{
    AUTO(pkt_freep) ldns_pkt *pkt = NULL;
    struct lookup_answer answer = {0};

    /* An answer, to a query, with our id. */
    if (len < DNS_HEADER_LEN || wire_get16(data) != question->id ||
        (data[2] & (FLAG_QR | OPCODE_BITS)) != FLAG_QR) {
        return READ_OTHER;
    }
    if ((data[2] & FLAG_TC) != 0) {
        return READ_CUT;
    }
    answer.rcode = data[3] & RCODE_BITS;
    /* Servers that understood nothing repeat no question. */
    if ((data[4] | data[5]) == 0 && lookup_rcode_phrase(answer.rcode) != NULL) {
        *out = answer;
        return READ_ANSWER;
    }
    *why = "an answer that cannot be read";
    if (ldns_wire2pkt(&pkt, data, len) != LDNS_STATUS_OK) {
        return READ_BROKEN;
    }
    if (!is_same_question(question, pkt)) {
        return READ_OTHER;
    }
    answer.rcode |= (unsigned)ldns_pkt_edns_extended_rcode(pkt) << 4; /* RFC 6891 §6.1.3 */
    if (lookup_rcode_phrase(answer.rcode) == NULL &&
        !walk(question, ldns_pkt_answer(pkt), &answer)) {
        lookup_answer_clear(&answer);
        *why = "no memory for the answer";
        return READ_BROKEN;
    }
    *out = answer;
    return READ_ANSWER;
}
