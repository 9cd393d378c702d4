/* How an answer comes about, in words: the solver itself tells, through a trace. */
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/answer_int.h"

#define NAME_PRINTED 1024u
#define QUERY_LEN_MAX (DNS_HEADER_LEN + NAME_WIRE_MAX + 4u)

const char *answer_reason_text(enum answer_reason reason)
{
    switch (reason) {
    case ANSWER_BROKEN:
        return "not a query that is answered (FORMERR, NOTIMP, BADVERS)";
    case ANSWER_NOT_OURS:
        return "not a name of ours";
    case ANSWER_APEX:
        return "SOA or NS of a zone of ours";
    case ANSWER_RECORD:
        return "a stored record";
    case ANSWER_WILDCARD:
        return "a stored wildcard";
    case ANSWER_CNAME:
        return "a stored CNAME";
    case ANSWER_DNAME:
        return "a stored DNAME";
    case ANSWER_REFERRAL:
        return "a delegation to other servers";
    case ANSWER_CHALLENGE:
        return "the automatic CNAME of a challenge";
    case ANSWER_DELEGATE:
        return "a value in the delegate zone";
    case ANSWER_PERSIST:
        return "a persistent validation record";
    case ANSWER_NAME_SERVER:
        return "our own address";
    case ANSWER_INGRESS:
        return "the zone's ingress";
    case ANSWER_NODATA:
        return "the name has no such record";
    case ANSWER_NXDOMAIN:
        return "there is no such name";
    case ANSWER_BAD_COOKIE:
        return "a wrong DNS cookie";
    case ANSWER_REASONS_N:
        break;
    }
    return "?";
}

/* --- steps ------------------------------------------------------------------------------------ */

static void say_name(struct buf *b, const uint8_t *wire, size_t len)
{
    char text[NAME_PRINTED + 1];

    if (name_from_wire(wire, len, text, sizeof(text)).code == ERR_OK) {
        buf_puts(b, text);
    }
}

static void say_types(struct buf *b, const struct zone_owner *owner)
{
    for (size_t i = 0; i < owner->sets_n; i++) {
        char *type = ldns_rr_type2str((ldns_rr_type)owner->sets[i].type);
        buf_printf(b, "%s%s", i == 0 ? "" : ", ", type == NULL ? "?" : type);
        free(type); /* allow: ldns allocated it */
    }
}

static void say_zone(const struct reply *r, const struct cursor *c)
{
    const struct zone_entry *zone = c->match.zone;

    say_name(r->trace, c->name->wire, c->name->len);
    buf_printf(r->trace, ": in %s %s%s: ", zone->is_delegate ? "the delegate zone" : "zone",
               zone->name, zone->is_plain ? " (plain)" : "");
}

/* Records of the kind, or of another one than asked for. */
static void say_owner(const struct reply *r, const struct zone_owner *owner)
{
    if (owner->sets_n == 0) {
        buf_puts(r->trace, "has no record of its own (names below it have)\n");
        return;
    }
    buf_puts(r->trace, "stored here: ");
    say_types(r->trace, owner);
    buf_putc(r->trace, '\n');
}

static void say_delegate_name(const struct reply *r, const struct cursor *c)
{
    uint8_t target[NAME_WIRE_MAX];
    size_t suffix = 0;
    size_t len = zone_challenge_target(r->snap->table, c->name, target, &suffix);
    const struct zone_owner *owner = len == 0 ? NULL : zone_owner_find(r->snap, target, len);

    if (len == 0) {
        buf_puts(r->trace, "too long a name for a delegate name: no automatic CNAME\n");
        return;
    }
    buf_puts(r->trace, "automatic CNAME to the delegate name ");
    say_name(r->trace, target, len);
    buf_printf(r->trace, ", which holds %u value(s)\n",
               owner == NULL || owner->sets_n == 0 ? 0u : owner->sets[0].rr_n);
}

void trace_delegate(const struct reply *r, const struct cursor *c)
{
    const struct zone_owner *owner = zone_owner_find(r->snap, c->name->wire, c->name->len);

    say_zone(r, c);
    buf_printf(r->trace, "%u value(s) published here\n",
               owner == NULL || owner->sets_n == 0 ? 0u : owner->sets[0].rr_n);
}

void trace_outside(const struct reply *r, unsigned at)
{
    const uint8_t *name = at == QNAME_AT ? r->q->name.wire : r->out + at;

    say_name(r->trace, name, name_len(name));
    buf_puts(r->trace, ": in no zone that is served here: forwarded where dns.forward lets the "
                       "asker, else the answer ends here\n");
}

void trace_node(const struct reply *r, const struct cursor *c, const struct node *node)
{
    struct buf *b = r->trace;

    say_zone(r, c);
    switch (node->kind) {
    case NODE_REFERRAL:
        buf_puts(b, "delegated to other servers at ");
        say_name(b, c->name->wire + node->off, (size_t)c->name->len - node->off);
        buf_putc(b, '\n');
        break;
    case NODE_DNAME:
        buf_puts(b, "redirected by the DNAME at ");
        say_name(b, c->name->wire + node->off, (size_t)c->name->len - node->off);
        buf_putc(b, '\n');
        break;
    case NODE_CHALLENGE:
        say_delegate_name(r, c);
        break;
    case NODE_PERSIST:
        buf_printf(b, "a persistent validation name with %u text(s)\n",
                   node->owner == NULL || node->owner->sets_n == 0 ? 0u
                                                                   : node->owner->sets[0].rr_n);
        break;
    case NODE_OWNER:
        say_owner(r, node->owner);
        break;
    case NODE_WILDCARD:
        buf_puts(b, "nothing stored; covered by the wildcard ");
        say_name(b, node->owner->wire, node->owner->wire_len);
        buf_puts(b, ", which has: ");
        say_types(b, node->owner);
        buf_putc(b, '\n');
        break;
    case NODE_NAME_SERVER:
        buf_puts(b, "the name of this server: its own addresses\n");
        break;
    case NODE_INGRESS:
        buf_puts(b, c->match.zone->is_any
                        ? "nothing stored; forwarded where dns.forward lets the asker, else "
                          "the ingress\n"
                        : "nothing stored: the ingress answers for addresses\n");
        break;
    case NODE_EMPTY:
        buf_puts(b, "the name exists, but has no record of its own\n");
        break;
    case NODE_NONE:
        buf_puts(b, c->match.zone->is_plain ? "nothing stored\n"
                                            : "nothing stored, and no host name: nothing is made "
                                              "up for it\n");
        break;
    }
}

/* --- the answer itself ------------------------------------------------------------------------ */

static void pkt_freep(ldns_pkt **pkt)
{
    ldns_pkt_free(*pkt);
}

static void say_section(struct buf *b, const char *title, const ldns_rr_list *list)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
        buf_printf(b, "  %s %s", title, text == NULL ? "?\n" : text);
        free(text); /* allow: ldns allocated it */
    }
}

static struct err say_answer(const uint8_t *packet, size_t len, enum answer_reason reason,
                             struct buf *b)
{
    AUTO(pkt_freep) ldns_pkt *pkt = NULL;

    if (ldns_wire2pkt(&pkt, packet, len) != LDNS_STATUS_OK) {
        FAIL(ERR_INTERNAL, "dns: an answer of ours that cannot be read");
    }
    char *rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));
    buf_printf(b, "answer: %s%s: %s\n", rcode == NULL ? "?" : rcode,
               ldns_pkt_aa(pkt) ? ", authoritative" : "", answer_reason_text(reason));
    free(rcode); /* allow: ldns allocated it */
    say_section(b, "answer", ldns_pkt_answer(pkt));
    say_section(b, "authority", ldns_pkt_authority(pkt));
    say_section(b, "additional", ldns_pkt_additional(pkt));
    return buf_check(b);
}

struct err answer_explain(const struct zone_snapshot *snap, const char *name, uint16_t type,
                          struct buf *out)
{
    uint8_t query[QUERY_LEN_MAX] = {0, 0, FLAG_RD, 0, 0, 1};
    size_t name_octets = NAME_WIRE_MAX;
    char text[NAME_PRINTED + 1];
    size_t text_len = strnlen(name, NAME_PRINTED);
    struct answer_info info;
    size_t len = 0;

    text_len -= text_len > 1 && name[text_len - 1] == '.' ? 1 : 0;
    memcpy(text, name, text_len);
    text[text_len] = '\0';
    TRY(name_to_wire(text, query + DNS_HEADER_LEN, &name_octets));
    uint8_t *p = query + DNS_HEADER_LEN + name_octets;
    wire_put16(p, type);
    wire_put16(p + 2, DNS_CLASS_IN);
    AUTO(mem_freep) uint8_t *packet = mem_zalloc(DNS_TCP_MAX);
    TRY_PTR(packet);
    const struct answer_in in = {.snap = snap,
                                 .query = query,
                                 .query_len = DNS_HEADER_LEN + name_octets + 4,
                                 .is_tcp = true};
    if (answer_traced(&in, packet, DNS_TCP_MAX, &len, &info, out) != ANSWER_SEND) {
        FAIL(ERR_INTERNAL, "dns: a question of ours that is not answered");
    }
    return say_answer(packet, len, info.reason, out);
}
