#include "dns/resolve_int.h"

#include <ifaddrs.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

#define ROUNDS 2 /* over all resolvers: one datagram may get lost */

struct chase {
    const struct resolve_config *config;
    struct zone_reader *reader;
    int64_t deadline_ms;
    struct buf *trail;
    struct resolve_result *out;
    char seen[RESOLVE_HOPS_MAX + 1][sizeof(((struct resolve_result *)0)->end)];
    size_t seen_n;
};

static void pkt_freep(ldns_pkt **pkt)
{
    ldns_pkt_free(*pkt);
}

/* --- which servers ---------------------------------------------------------------------------- */

static bool is_any(const struct ip_addr *ip)
{
    const struct ip_addr any = {ip->family, {0}};

    return ip_equal(ip, &any);
}

static bool is_local(const struct ip_addr *ip)
{
    struct ifaddrs *list = NULL;
    bool is_found =
        is_any(ip) || (ip->family == 4 && ip->bytes[0] == 127); /* all of 127.0.0.0/8 is here */

    if (is_found || getifaddrs(&list) != 0) {
        return is_found;
    }
    for (const struct ifaddrs *at = list; at != NULL && !is_found; at = at->ifa_next) {
        if (at->ifa_addr != NULL) {
            struct ip_addr here = ip_from_sockaddr(at->ifa_addr);
            is_found = ip_equal(&here, ip);
        }
    }
    freeifaddrs(list);
    return is_found;
}

static bool is_own(const struct resolve_config *config, const struct ip_endpoint *server)
{
    for (size_t i = 0; i < config->own_n; i++) {
        const struct ip_endpoint *own = &config->own[i];
        if (own->port != server->port || own->addr.family != server->addr.family) {
            continue;
        }
        if (ip_equal(&own->addr, &server->addr) ||
            (is_any(&own->addr) && is_local(&server->addr))) {
            return true;
        }
    }
    return false;
}

static const char *rcode_phrase(ldns_pkt_rcode rcode)
{
    if (rcode == LDNS_RCODE_SERVFAIL) {
        return "SERVFAIL (it could not resolve the name, or DNSSEC says bogus)";
    }
    if (rcode == LDNS_RCODE_REFUSED) {
        return "REFUSED (it does not serve us)";
    }
    if (rcode == LDNS_RCODE_FORMERR) {
        return "FORMERR";
    }
    return rcode == LDNS_RCODE_NOTIMPL ? "NOTIMP" : "an unusual error code";
}

static void say_asked(const struct chase *c, const struct ip_endpoint *server, const char *name)
{
    char text[IP_TEXT_MAX + 10];

    ip_endpoint_text(server, text);
    buf_printf(c->trail, "%sasked %s for TXT %s: ", c->trail->len == 0 ? "" : "; ", text, name);
}

/* One server; the answer has NOERROR or NXDOMAIN. */
static struct err ask_one(const struct chase *c, const struct ip_endpoint *server, const char *name,
                          ldns_pkt **out)
{
    AUTO(pkt_freep) ldns_pkt *pkt = NULL;
    const char *why = "";
    int64_t until = clock_mono_ms() + RESOLVE_TRY_MS;

    say_asked(c, server, name);
    struct err e =
        resolve_ask(server, name, until < c->deadline_ms ? until : c->deadline_ms, &pkt, &why);
    if (e.code != ERR_OK) {
        buf_puts(c->trail, why);
        return e;
    }
    ldns_pkt_rcode rcode = ldns_pkt_get_rcode(pkt);
    if (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN) {
        buf_puts(c->trail, rcode_phrase(rcode));
        FAIL(ERR_IO, "resolve: %s", rcode_phrase(rcode));
    }
    *out = MOVE(pkt);
    return err_ok();
}

/* Resolvers in order; a second round only for those that stayed silent. */
static struct err ask_any(const struct chase *c, const char *name, ldns_pkt **out)
{
    struct err last = err_ok();
    bool is_silent = true;
    size_t asked_n = 0;

    for (int round = 0; round < ROUNDS && is_silent; round++) {
        is_silent = false;
        for (size_t i = 0; i < c->config->resolvers_n; i++) {
            if (is_own(c->config, &c->config->resolvers[i])) {
                continue;
            }
            if (clock_mono_ms() >= c->deadline_ms) {
                FAIL(ERR_TIMEOUT, "resolve: out of time");
            }
            asked_n++;
            last = ask_one(c, &c->config->resolvers[i], name, out);
            if (last.code == ERR_OK) {
                return last;
            }
            is_silent = is_silent || last.code == ERR_TIMEOUT;
        }
    }
    if (asked_n == 0) {
        buf_printf(c->trail,
                   "%sno resolver to ask for %s (our own addresses are skipped): set 'resolvers'",
                   c->trail->len == 0 ? "" : "; ", name);
        FAIL(ERR_IO, "resolve: no resolver is configured");
    }
    return last;
}

/* --- reading an answer ------------------------------------------------------------------------ */

static bool is_owned_by(const ldns_rr *rr, const ldns_rdf *name, ldns_rr_type type)
{
    return ldns_rr_get_type(rr) == type && ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN &&
           ldns_dname_compare(ldns_rr_owner(rr), name) == 0;
}

/* The joined character-strings; false when too long or not printable: no challenge value looks like
 * that. */
static bool join_txt(const ldns_rr *rr, char out[256])
{
    size_t len = 0;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        const uint8_t *data = ldns_rdf_data(rdf);
        size_t n = ldns_rdf_size(rdf) == 0 ? 0 : data[0];
        if (n + 1 > ldns_rdf_size(rdf) || len + n > 255) {
            return false;
        }
        for (size_t k = 1; k <= n; k++) {
            if (data[k] < 0x20 || data[k] > 0x7e) {
                return false;
            }
            out[len++] = (char)data[k];
        }
    }
    out[len] = '\0';
    return true;
}

/* Collect the TXT records of `name`; returns how many there were, usable or not. */
static size_t take_txt(const ldns_rr_list *answers, const ldns_rdf *name,
                       struct resolve_result *out)
{
    size_t found_n = 0;

    for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(answers, i);
        if (!is_owned_by(rr, name, LDNS_RR_TYPE_TXT)) {
            continue;
        }
        found_n++;
        if (out->txt_n < RESOLVE_TXT_MAX && join_txt(rr, out->txt[out->txt_n])) {
            out->txt_n++;
        }
    }
    return found_n;
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

/* --- the chase -------------------------------------------------------------------------------- */

static struct err set_end(struct chase *c, const char *text, size_t len)
{
    if (len == 0 || len >= sizeof(c->out->end) || memchr(text, '\\', len) != NULL) {
        buf_printf(c->trail, " (not a name that can be followed)");
        FAIL(ERR_MALFORMED, "resolve: a name that cannot be followed");
    }
    for (size_t i = 0; i < len; i++) {
        char ch = text[i];
        c->out->end[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch;
    }
    c->out->end[len] = '\0';
    return err_ok();
}

/* Note the current end as visited: a loop and too long a chain end here. */
static struct err visit(struct chase *c)
{
    for (size_t i = 0; i < c->seen_n; i++) {
        if (strcmp(c->seen[i], c->out->end) == 0) {
            buf_printf(c->trail, "; the CNAMEs form a loop at %s: mend them", c->out->end);
            FAIL(ERR_LIMIT, "resolve: CNAME loop at %s", c->out->end);
        }
    }
    if (c->seen_n > RESOLVE_HOPS_MAX) {
        buf_printf(c->trail, "; more than %u CNAMEs in a row: shorten the chain", RESOLVE_HOPS_MAX);
        FAIL(ERR_LIMIT, "resolve: more than %u CNAMEs", RESOLVE_HOPS_MAX);
    }
    memcpy(c->seen[c->seen_n++], c->out->end, sizeof(c->out->end));
    return err_ok();
}

static bool is_served(const struct chase *c)
{
    const struct zone_snapshot *snap = zone_read_begin(c->reader);
    bool is_ours = zone_is_served(snap, c->out->end);

    zone_read_end(c->reader);
    return is_ours;
}

static struct err follow(struct chase *c, const ldns_rdf *target)
{
    char text[1024];

    TRY(name_from_wire(ldns_rdf_data(target), ldns_rdf_size(target), text, sizeof(text)));
    buf_printf(c->trail, "CNAME %.253s", text);
    return set_end(c, text, strlen(text));
}

enum step { STEP_DONE, STEP_ASK_AGAIN };

/* Walk through one answer as far as it leads from the current end. */
static struct err walk(struct chase *c, const ldns_pkt *pkt, enum step *step)
{
    const ldns_rr_list *answers = ldns_pkt_answer(pkt);
    bool is_first = true;

    for (;;) {
        ldns_rdf *name = ldns_dname_new_frm_str(c->out->end);
        TRY_PTR(name);
        size_t txt_n = take_txt(answers, name, c->out);
        const ldns_rdf *target = txt_n > 0 ? NULL : cname_of(answers, name);
        ldns_rdf_deep_free(name);
        if (txt_n > 0) {
            buf_printf(c->trail, "%s%zu TXT", is_first ? "" : ", ", txt_n);
            *step = STEP_DONE;
            return err_ok();
        }
        if (target == NULL) {
            break;
        }
        buf_puts(c->trail, is_first ? "" : ", ");
        TRY(follow(c, target));
        TRY(visit(c));
        is_first = false;
        if (is_served(c)) {
            c->out->is_ours = true;
            buf_puts(c->trail, " (served here)");
            *step = STEP_DONE;
            return err_ok();
        }
    }
    if (ldns_pkt_get_rcode(pkt) == LDNS_RCODE_NXDOMAIN) {
        buf_printf(c->trail, "%sNXDOMAIN (no such name)", is_first ? "" : ", ");
        FAIL(ERR_NOT_FOUND, "resolve: %s does not exist", c->out->end);
    }
    if (is_first) {
        buf_puts(c->trail, "no TXT and no CNAME there");
        FAIL(ERR_NOT_FOUND, "resolve: no TXT at %s", c->out->end);
    }
    *step = STEP_ASK_AGAIN;
    return err_ok();
}

struct err resolve_txt(const struct resolve_config *config, struct zone_reader *reader,
                       const char *name, int64_t deadline_ms, struct buf *trail,
                       struct resolve_result *out)
{
    AUTO(mem_freep) struct chase *c = mem_zalloc(sizeof(*c));
    enum step step = STEP_ASK_AGAIN;
    size_t len = strlen(name);

    TRY_PTR(c);
    memset(out, 0, sizeof(*out));
    c->config = config;
    c->reader = reader;
    c->deadline_ms = deadline_ms;
    c->trail = trail;
    c->out = out;
    TRY(set_end(c, name, len > 0 && name[len - 1] == '.' ? len - 1 : len));
    TRY(visit(c));
    if (is_served(c)) {
        buf_printf(trail, "%s is served here", out->end);
        out->is_ours = true;
        return err_ok();
    }
    while (step == STEP_ASK_AGAIN) {
        AUTO(pkt_freep) ldns_pkt *pkt = NULL;
        TRY(ask_any(c, out->end, &pkt));
        TRY(walk(c, pkt, &step));
    }
    return err_ok();
}
