/* Which records may stand together, and where. */
#include "dns/records_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

struct err records_refuse(struct record_refusal *refusal, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(refusal->detail, sizeof(refusal->detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s", refusal->detail);
}

const char *wire_words(const uint8_t *wire, size_t len, struct name_words *out)
{
    if (name_from_wire(wire, len, out->text, sizeof(out->text)).code != ERR_OK) {
        (void)snprintf(out->text, sizeof(out->text), "?");
    }
    out->text[NAME_TEXT_MAX] = '\0'; /* a name full of escapes is cut */
    return out->text;
}

const char *key_words(const struct name_key *key, struct name_words *out)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;

    if (!key_wire(key->data, key->len, wire, &wire_len)) {
        (void)snprintf(out->text, sizeof(out->text), "?");
        return out->text;
    }
    return wire_words(wire, wire_len, out);
}

static bool has_label(const uint8_t *wire, const char *label)
{
    size_t n = strlen(label);

    for (size_t o = 0; wire[o] != 0; o += (size_t)wire[o] + 1) {
        if (wire[o] == n && memcmp(wire + o + 1, label, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Only made where a sentence needs it: zone files have many names. */
static const char *owner_words(const struct dns_rr *rr, struct name_words *out)
{
    return wire_words(rr->owner, rr->owner_len, out);
}

static struct err check_automatic(const struct dns_rr *rr, struct record_refusal *refusal)
{
    struct name_words words;

    if (has_label(rr->owner, ACME_LABEL)) {
        return records_refuse(refusal,
                              "no record can be stored at %s: the CNAME at every " ACME_LABEL
                              " name is automatic, and its values are published through a door",
                              owner_words(rr, &words));
    }
    if (has_label(rr->owner, ZONE_PERSIST_LABEL)) {
        return records_refuse(refusal,
                              "no record can be stored at %s: the texts at " ZONE_PERSIST_LABEL
                              " names are those of ACME accounts",
                              owner_words(rr, &words));
    }
    return err_ok();
}

static struct err refuse_kind(const struct dns_rr *rr, struct record_refusal *refusal)
{
    char type[RR_TYPE_TEXT_MAX + 1];

    rr_type_text(rr->type, type);
    switch (rr_kind(rr->type)) {
    case RR_META:
        return records_refuse(refusal, "%s is no type that a record can have", type);
    case RR_DNSSEC:
        return records_refuse(refusal,
                              "%s records are not stored: this server does not sign zones "
                              "(DS records of signed zones below are fine)",
                              type);
    case RR_ORDINARY:
        break;
    }
    return records_refuse(refusal, "a wildcard can hold no %s record (RFC 4592)", type);
}

static struct err check_type(const struct dns_rr *rr, bool is_apex, struct record_refusal *refusal)
{
    struct name_words words;
    bool is_wildcard_cut = rr->owner[0] == 1 && rr->owner[1] == '*' &&
                           (rr->type == LDNS_RR_TYPE_NS || rr->type == LDNS_RR_TYPE_DNAME);

    if (rr_kind(rr->type) != RR_ORDINARY || is_wildcard_cut) {
        return refuse_kind(rr, refusal);
    }
    if (rr->type == LDNS_RR_TYPE_SOA && !is_apex) {
        return records_refuse(refusal,
                              "an SOA record stands at the name of its zone only, not at %s",
                              owner_words(rr, &words));
    }
    if (rr->type == LDNS_RR_TYPE_CNAME && is_apex) {
        return records_refuse(refusal,
                              "%s is the name of a zone, which has SOA and NS records: a CNAME "
                              "cannot stand beside them",
                              owner_words(rr, &words));
    }
    return err_ok();
}

struct err rules_name(const struct records *records, const struct dns_rr *rr, int *zone,
                      struct record_refusal *refusal)
{
    struct name_words words;
    int at = records_zone_at(records, rr->owner, rr->owner_len);

    if (at < 0 || !records->list[at].is_served) {
        return records_refuse(refusal,
                              "%s is in no zone that this server answers for: configure the zone, "
                              "or put the record on the server of its zone",
                              owner_words(rr, &words));
    }
    const struct records_zone *z = &records->list[at];
    if (z->is_delegate) {
        return records_refuse(refusal,
                              "%s is in the delegate zone, which holds challenge values only",
                              owner_words(rr, &words));
    }
    if (rr->owner_len == 1) {
        return records_refuse(refusal, "the root itself can have no records here");
    }
    if (!z->is_plain) {
        TRY(check_automatic(rr, refusal));
    }
    TRY(check_type(rr, records_is_apex(z, rr->owner, rr->owner_len), refusal));
    *zone = at;
    return err_ok();
}

/* --- one name ------------------------------------------------------------------------------------ */

struct counts {
    size_t all, derived, cname, dname, soa, ns, glue;
};

static struct counts count(const struct owner_set *set)
{
    struct counts c = {.all = set->n};

    for (size_t i = 0; i < set->n; i++) {
        uint16_t type = set->rrs[i].type;
        c.derived += set->sources[i] == RECORD_DERIVED;
        c.cname += type == LDNS_RR_TYPE_CNAME;
        c.dname += type == LDNS_RR_TYPE_DNAME;
        c.soa += type == LDNS_RR_TYPE_SOA;
        c.ns += type == LDNS_RR_TYPE_NS;
        c.glue += type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA;
    }
    return c;
}

static bool is_too_long(const struct owner_set *set)
{
    size_t len = 0;

    for (size_t i = 0; i < set->n; i++) {
        len = i > 0 && set->rrs[i].type == set->rrs[i - 1].type ? len : 0;
        len += 12u + set->rrs[i].rdata_len;
        if (len > ZONE_RRSET_WIRE_MAX) {
            return true;
        }
    }
    return false;
}

static bool is_only_delegation(const struct owner_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        uint16_t type = set->rrs[i].type;
        if (type != LDNS_RR_TYPE_NS && type != LDNS_RR_TYPE_DS && type != LDNS_RR_TYPE_A &&
            type != LDNS_RR_TYPE_AAAA && set->sources[i] != RECORD_DERIVED) {
            return false;
        }
    }
    return true;
}

const char *rules_set(bool is_apex, const struct name_key *key, const struct owner_set *set,
                      struct rules_set_words *words)
{
    struct counts c = count(set);
    struct name_words name;
    const char *what = NULL;

    if (c.cname > 0 && c.all > c.cname) {
        what = "has a CNAME and other records: a CNAME stands alone (RFC 1034 section 3.6.2)";
    } else if (c.cname > 1) {
        what = "has more than one CNAME";
    } else if (c.dname > 1) {
        what = "has more than one DNAME";
    } else if (c.soa > 1) {
        what = "has more than one SOA";
    } else if (c.ns > 0 && !is_apex && !is_only_delegation(set)) {
        what = "is delegated by its NS records: only NS, DS and the servers' addresses can stand "
               "there";
    } else if (c.all > RECORDS_PER_NAME_MAX) {
        what = "has more records than one name may have";
    } else if (is_too_long(set)) {
        what = "has more records of one type than an answer can hold";
    }
    if (what == NULL) {
        return NULL;
    }
    (void)snprintf(words->text, sizeof(words->text), "%.150s %s", key_words(key, &name), what);
    return words->text;
}

/* --- what is above and below --------------------------------------------------------------------- */

static struct err check_above(const struct records *records, struct db *db, int zone,
                              const struct name_key *key, const struct owner_set *set,
                              struct record_refusal *refusal)
{
    const struct records_zone *z = &records->list[zone];
    struct counts c = count(set);
    struct name_key up = *key;
    struct name_words at, above;
    struct row_marks marks;

    while (up.len > z->key.len && key_up(&up)) {
        TRY(rows_marks(db, &up, &marks));
        bool is_apex = up.len == z->key.len;
        if (marks.has_dname) {
            return records_refuse(refusal,
                                  "%s is below the DNAME at %s, which leads everything below it "
                                  "elsewhere",
                                  key_words(key, &at), key_words(&up, &above));
        }
        if (marks.has_ns && !is_apex && c.all > c.glue + c.derived) {
            return records_refuse(refusal,
                                  "%s is below %s, which NS records delegate: only addresses of "
                                  "name servers (A, AAAA) can be stored there",
                                  key_words(key, &at), key_words(&up, &above));
        }
    }
    return err_ok();
}

/* Rows below a delegation or DNAME that was put on top of them. */
static struct err check_below(const struct records *records, struct db *db, int zone,
                              const struct name_key *key, bool is_dname,
                              struct record_refusal *refusal)
{
    struct name_key from = *key;
    struct name_key behind, found;
    struct name_words at, below;
    bool is_there = true;

    key_behind(key, &behind);
    from.data[from.len++] = 0;
    while (is_there) {
        TRY(rows_first_other(db, &from, &behind, !is_dname, &found, &is_there));
        int its = is_there ? records_zone_of_key(records, found.data, found.len) : -1;
        if (its == zone) {
            return records_refuse(refusal,
                                  "%s has records, so %s can have no %s record: remove what is "
                                  "below it first",
                                  key_words(&found, &below), key_words(key, &at),
                                  is_dname ? "DNAME" : "NS");
        }
        if (is_there && its < 0) {
            FAIL(ERR_DB, "records: a broken owner in the database");
        }
        if (is_there) {
            from = records->list[its].behind;
        }
    }
    return err_ok();
}

struct err rules_check(const struct records *records, struct db *db, int zone,
                       const struct name_key *key, struct record_refusal *refusal)
{
    const struct records_zone *z = &records->list[zone];
    AUTO(owner_set_clear) struct owner_set set;
    struct rules_set_words words;
    bool is_apex = key->len == z->key.len;

    owner_set_init(&set);
    TRY(owner_set_read(db, key, &set));
    const char *why = rules_set(is_apex, key, &set, &words);
    if (why != NULL) {
        return records_refuse(refusal, "%s", why);
    }
    struct counts c = count(&set);
    if (c.all > c.derived) {
        TRY(check_above(records, db, zone, key, &set, refusal));
    }
    if (c.dname > 0) {
        return check_below(records, db, zone, key, true, refusal);
    }
    return c.ns > 0 && !is_apex ? check_below(records, db, zone, key, false, refusal) : err_ok();
}
