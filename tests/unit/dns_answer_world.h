/* Zones with stored records, and answers as lines of text, for the tests of dns/answer*.c: everything is
 * static, so that each test includes it. */
#ifndef TESTS_UNIT_DNS_ANSWER_WORLD_H
#define TESTS_UNIT_DNS_ANSWER_WORLD_H

#include <ldns/ldns.h>
#include <stdlib.h>

#include "core/util/mem.h"
#include "dns/answer.h"
#include "tests/unit/dns_maker.h"

#define WORLD_RECORDS_MAX 512u

struct world {
    struct zone_db *db;
    struct zone_reader *reader;
    const struct zone_snapshot *snap;
};

/* "owner TTL TYPE rdata" without "IN", without the owner's last dot. */
static inline void render_section(struct buf *b, const char *title, ldns_rr_list *list)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
        assert_non_null(text);
        char *owner_end = strstr(text, ".\t");
        char *type = strstr(text, "\tIN\t");
        assert_non_null(owner_end);
        assert_non_null(type);
        *owner_end = '\0';
        *type = '\0';
        text[strcspn(text, "\n")] = '\0';
        char *rest = type + 4;
        rest[strcspn(rest, "\n")] = '\0';
        for (char *tab = strchr(rest, '\t'); tab != NULL; tab = strchr(tab, '\t')) {
            *tab = ' ';
        }
        size_t n = strlen(rest);
        while (n > 0 && rest[n - 1] == ' ') {
            rest[--n] = '\0';
        }
        buf_printf(b, "%s%s%s %s %s", b->len == 0 ? "" : "; ", title, text, owner_end + 2, rest);
        free(text); /* allow: ldns allocated it */
    }
}

/* The answer as a line: "RCODE [aa] [tc]", then "; records" by section (authority "A:", additional
 * "+:"). */
static inline void render(const uint8_t *packet, size_t len, struct buf *b)
{
    ldns_pkt *pkt = NULL;

    buf_reset(b);
    assert_int_equal(ldns_wire2pkt(&pkt, packet, len), LDNS_STATUS_OK);
    char *rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));
    buf_printf(b, "%s%s%s", rcode, ldns_pkt_aa(pkt) ? " aa" : "", ldns_pkt_tc(pkt) ? " tc" : "");
    free(rcode); /* allow: ldns allocated it */
    assert_true(ldns_pkt_qr(pkt));
    assert_false(ldns_pkt_ra(pkt));
    assert_int_equal(ldns_pkt_id(pkt), 0xbeef);
    render_section(b, "", ldns_pkt_answer(pkt));
    render_section(b, "A:", ldns_pkt_authority(pkt));
    render_section(b, "+:", ldns_pkt_additional(pkt));
    ldns_pkt_free(pkt);
}

static inline uint8_t *world_rdata(const ldns_rr *rr, uint16_t *len)
{
    struct buf b = BUF_INIT(65535);

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        buf_put(&b, ldns_rdf_data(rdf), ldns_rdf_size(rdf));
    }
    assert_false(b.failed);
    uint8_t *data = mem_dup(b.len == 0 ? (const uint8_t *)"" : b.data, b.len);
    assert_non_null(data);
    *len = (uint16_t)b.len;
    buf_clear(&b);
    return data;
}

/* The lines are "owner TTL TYPE rdata"; those of one owner stand together. */
static inline void world_put(struct zone_db *db, const char *const *lines, size_t n)
{
    struct zone_rr rrs[WORLD_RECORDS_MAX];
    uint8_t *rdata[WORLD_RECORDS_MAX];
    uint8_t owner[NAME_WIRE_MAX];
    size_t owner_len = 0;
    size_t rrs_n = 0;
    struct zone_edit *edit = NULL;

    assert_int_equal(zone_edit_begin(db, &edit).code, ERR_OK);
    for (size_t i = 0; i <= n; i++) {
        ldns_rr *rr = NULL;
        if (i < n) {
            assert_int_equal(ldns_rr_new_frm_str(&rr, lines[i], 0, NULL, NULL), LDNS_STATUS_OK);
        }
        bool is_same = rr != NULL && ldns_rdf_size(ldns_rr_owner(rr)) == owner_len &&
                       memcmp(ldns_rdf_data(ldns_rr_owner(rr)), owner, owner_len) == 0;
        if (!is_same && rrs_n > 0) {
            struct err e = zone_edit_records(edit, owner, owner_len, rrs, rrs_n);
            if (e.code != ERR_OK) {
                fail_msg("%s: %s", lines[i - 1], err_trace()->text);
            }
            while (rrs_n > 0) {
                mem_free(rdata[--rrs_n]);
            }
        }
        if (rr == NULL) {
            continue;
        }
        owner_len = ldns_rdf_size(ldns_rr_owner(rr));
        memcpy(owner, ldns_rdf_data(ldns_rr_owner(rr)), owner_len);
        assert_true(rrs_n < WORLD_RECORDS_MAX);
        struct zone_rr *out = &rrs[rrs_n];
        rdata[rrs_n++] = world_rdata(rr, &out->rdata_len);
        out->rdata = rdata[rrs_n - 1];
        out->type = (uint16_t)ldns_rr_get_type(rr);
        out->ttl = ldns_rr_ttl(rr);
        ldns_rr_free(rr);
    }
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
}

static inline struct world world_open(const char *config, const char *const *lines, size_t n)
{
    struct config *cfg = make_config(config);
    struct world w = {NULL, NULL, NULL};

    assert_int_equal(zone_db_new(cfg, 100, &w.db).code, ERR_OK);
    config_free(cfg);
    world_put(w.db, lines, n);
    assert_int_equal(zone_reader_new(w.db, &w.reader).code, ERR_OK);
    w.snap = zone_read_begin(w.reader);
    return w;
}

static inline void world_close(struct world *w)
{
    zone_read_end(w->reader);
    zone_reader_free(w->reader);
    zone_db_free(w->db);
}

#endif
