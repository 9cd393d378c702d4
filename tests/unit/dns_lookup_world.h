/* One look-up at a time against a scripted server: rules for every broken answer, zones, a loop
 * without a thread that look-ups and servers share. */
#ifndef TESTS_UNIT_DNS_LOOKUP_WORLD_H
#define TESTS_UNIT_DNS_LOOKUP_WORLD_H

#include "core/util/mem.h"
#include "dns/lookup.h"
#include "dns_script.h"

#define DIGITS70 "0123456789012345678901234567890123456789012345678901234567890123456789"
#define STRING70 "\"" DIGITS70 "\" "
#define STRINGS15                                                                                  \
    STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70      \
        STRING70 STRING70 STRING70 STRING70 STRING70

static const struct rule RULES[] = {
    {"direct.ext.", HONEST, LDNS_RCODE_NOERROR, {"direct.ext. 1 IN TXT \"one\" \"two\""}},
    {"case.ext.", HONEST, LDNS_RCODE_NOERROR, {"CASE.Ext. 1 IN TXT \"mixed\""}},
    {"chain.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"chain.ext. 1 IN CNAME B.ext.", "b.ext. 1 IN CNAME direct.ext."}},
    {"whole.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"w.ext. 1 IN TXT \"w\"", "whole.ext. 1 IN CNAME w.ext."}},
    {"nodata.ext.", HONEST, LDNS_RCODE_NOERROR, {NULL}},
    {"stray.ext.", HONEST, LDNS_RCODE_NOERROR, {"other.ext. 1 IN TXT \"poison\""}},
    {"chaos.ext.", HONEST, LDNS_RCODE_NOERROR, {"chaos.ext. 1 CH TXT \"poison\""}},
    {"gone.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"dangling.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {"dangling.ext. 1 IN CNAME gone.ext."}},
    {"loop.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop.ext. 1 IN CNAME loop2.ext."}},
    {"loop2.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop2.ext. 1 IN CNAME loop.ext."}},
    {"ring.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"ring.ext. 1 IN CNAME ring2.ext.", "ring2.ext. 1 IN CNAME ring.ext."}},
    {"self.ext.", HONEST, LDNS_RCODE_NOERROR, {"self.ext. 1 IN CNAME self.ext."}},
    {"odd.ext.", HONEST, LDNS_RCODE_NOERROR, {"odd.ext. 1 IN CNAME a\\000b.ext."}},
    {"dot.ext.", HONEST, LDNS_RCODE_NOERROR, {"dot.ext. 1 IN CNAME direct\\.ext."}},
    {"root.ext.", HONEST, LDNS_RCODE_NOERROR, {"root.ext. 1 IN CNAME ."}},
    {"long.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"long.ext. 1 IN TXT " STRINGS15, "long.ext. 1 IN TXT \"fits\"",
      "long.ext. 1 IN TXT \"bell\\007\"", "long.ext. 1 IN TXT \"\""}},
    {"fail.ext.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}},
    {"refused.ext.", HONEST, LDNS_RCODE_REFUSED, {NULL}},
    {"formerr.ext.", HEADER_ONLY, LDNS_RCODE_FORMERR, {NULL}},
    {"notimp.ext.", HONEST, LDNS_RCODE_NOTIMPL, {NULL}},
    {"yx.ext.", HONEST, LDNS_RCODE_YXRRSET, {NULL}},
    {"bare.ext.", HEADER_ONLY, LDNS_RCODE_NOERROR, {NULL}},
    {"silent.ext.", SILENT, LDNS_RCODE_NOERROR, {NULL}},
    {"id.ext.", WRONG_ID, LDNS_RCODE_NOERROR, {"id.ext. 1 IN TXT \"true\""}},
    {"question.ext.", WRONG_QUESTION, LDNS_RCODE_NOERROR, {"question.ext. 1 IN TXT \"x\""}},
    {"lies.ext.", LIES_ONLY, LDNS_RCODE_NOERROR, {"lies.ext. 1 IN TXT \"x\""}},
    {"noqr.ext.", NO_QR, LDNS_RCODE_NOERROR, {"noqr.ext. 1 IN TXT \"x\""}},
    {"garbage.ext.", GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"short.ext.", SHORT, LDNS_RCODE_NOERROR, {NULL}},
    {"cut.ext.", CUT, LDNS_RCODE_NOERROR, {"cut.ext. 1 IN TXT \"over tcp\""}},
    {"close.ext.", CUT_AND_CLOSE, LDNS_RCODE_NOERROR, {NULL}},
    {"lie.ext.", CUT_AND_LIE, LDNS_RCODE_NOERROR, {"lie.ext. 1 IN TXT \"x\""}},
    {"mush.ext.", CUT_AND_GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"twice.ext.", CUT_TWICE, LDNS_RCODE_NOERROR, {NULL}},
    {"empty.ext.", CUT_AND_EMPTY, LDNS_RCODE_NOERROR, {NULL}},
    {"hang.ext.", CUT_AND_HANG, LDNS_RCODE_NOERROR, {"hang.ext. 1 IN TXT \"x\""}},
    {"many.ext.", MANY_TXT, LDNS_RCODE_NOERROR, {NULL}},
    {"ours.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"ours.ext. 1 IN CNAME X.svc.test.acme.svc.test.",
      "x.svc.test.acme.svc.test. 1 IN TXT \"poison\""}},
    {"inner.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"inner.ext. 1 IN CNAME _acme-challenge.y.svc.test."}},
    {"host.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"host.ext. 1 IN A 192.0.2.7", "host.ext. 1 IN AAAA 2001:db8::7",
      "host.ext. 1 IN CAA 128 issue \"ca.svc.test\""}},
    {"", MANY_CNAME, LDNS_RCODE_NOERROR, {NULL}},
};

/* --- one look-up ------------------------------------------------------------------------------ */

struct world {
    struct config *cfg;
    struct zone_db *zones;
    struct zone_reader *reader;
    struct loop *loop;
    struct resolve_config config;
    struct lookups *lookups;
    struct buf trail;
    struct script server;
    /* of the last look-up */
    unsigned called_n;
    struct lookup_result result; /* its records copied into first */
    char first[LOOKUP_RDATA_LEN_MAX + 1];
};

static inline struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    w->cfg = make_config(MAKER_CONFIG);
    assert_int_equal(zone_db_new(w->cfg, 1, &w->zones).code, ERR_OK);
    assert_int_equal(zone_reader_new(w->zones, &w->reader).code, ERR_OK);
    assert_int_equal(loop_new(&w->loop).code, ERR_OK);
    script_start(&w->server, w->loop, RULES);
    w->config = (struct resolve_config){&w->server.at, 1, NULL, 0};
    assert_int_equal(lookups_new(w->loop, &w->config, w->zones, &w->lookups).code, ERR_OK);
    buf_init(&w->trail, 65536);
    return w;
}

static inline void world_free(struct world *w)
{
    lookups_free(w->lookups);
    script_stop(&w->server);
    loop_free(w->loop);
    zone_reader_free(w->reader);
    zone_db_free(w->zones);
    config_free(w->cfg);
    buf_clear(&w->trail);
    mem_free(w);
}

static inline void on_result(void *arg, const struct lookup_result *result)
{
    struct world *w = arg;

    w->called_n++;
    w->result = *result;
    if (result->rdata_n > 0) {
        assert_true(result->rdata[0].len <= LOOKUP_RDATA_LEN_MAX);
        memcpy(w->first, result->rdata[0].data, result->rdata[0].len);
        w->first[result->rdata[0].len] = '\0';
    }
}

static inline struct lookup *start(struct world *w, const char *name, enum lookup_type type)
{
    struct lookup *lookup = NULL;

    buf_reset(&w->trail);
    w->called_n = 0;
    memset(&w->result, 0, sizeof(w->result));
    struct err e = lookup_start(w->lookups, name, type, clock_mono_ms() + 15000, &w->trail,
                                on_result, w, &lookup);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(w->called_n, 0);
    return lookup;
}

static inline void run(struct world *w)
{
    while (w->called_n == 0) {
        (void)loop_run_once(w->loop, 1000);
    }
    assert_int_equal(w->called_n, 1);
}

static inline enum lookup_status ask(struct world *w, const char *name, enum lookup_type type)
{
    (void)start(w, name, type);
    run(w);
    return w->result.status;
}

static inline void must_say(const struct world *w, const char *part)
{
    if (strstr(buf_str(&w->trail), part) == NULL) {
        fail_msg("no '%s' in: %s", part, buf_str(&w->trail));
    }
}

#endif
