/* PTR records for stored addresses, in reverse zones of ours. RFC 1035 §3.5, RFC 3596 §2.5 */
#include "dns/records_int.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

/* The name of an address in the reverse tree. */
static bool reverse_key(const struct row *row, struct name_key *out)
{
    char text[NAME_TEXT_MAX + 1];
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);
    const uint8_t *a = row->rdata;

    if (row->type == LDNS_RR_TYPE_A && row->rdata_len == 4) {
        (void)snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa", (unsigned)a[3],
                       (unsigned)a[2], (unsigned)a[1], (unsigned)a[0]);
    } else if (row->type == LDNS_RR_TYPE_AAAA && row->rdata_len == 16) {
        static const char HEX[] = "0123456789abcdef";
        for (size_t i = 0; i < 16; i++) {
            text[i * 4] = HEX[a[15 - i] & 0x0f];
            text[i * 4 + 2] = HEX[a[15 - i] >> 4];
            text[i * 4 + 1] = text[i * 4 + 3] = '.';
        }
        (void)snprintf(text + 64, sizeof(text) - 64, "ip6.arpa");
    } else {
        return false;
    }
    if (name_to_wire(text, wire, &wire_len).code != ERR_OK) {
        return false;
    }
    key_of(wire, out);
    return true;
}

static bool is_among(const struct ip_addr *ip, const struct ip_addr *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ip_equal(ip, &list[i])) {
            return true;
        }
    }
    return false;
}

/* One of our own addresses or an ingress: whose name that is, no client says. */
static bool is_ours(const struct records *records, const struct row *row)
{
    const struct config *cfg = records->cfg;
    struct ip_addr ip = {.family = row->type == LDNS_RR_TYPE_A ? 4 : 6};

    memcpy(ip.bytes, row->rdata, row->rdata_len);
    if (is_among(&ip, cfg->addresses, cfg->addresses_n)) {
        return true;
    }
    for (size_t i = 0; i < cfg->zones_n; i++) {
        if (is_among(&ip, cfg->zones[i].ingress, cfg->zones[i].ingress_n)) {
            return true;
        }
    }
    return false;
}

/* Is there room for another one? A derived row carries the client of its address. */
static struct err has_room(struct db *db, const struct name_key *key, const char *client, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*), COALESCE(SUM(client = ?2), 0) FROM record "
                                       "WHERE owner = ?1 AND type = 12 AND source = 2");
    int64_t all_n = 0;
    int64_t its_n = 0;

    db_bind_blob(q, 1, key->data, key->len);
    db_bind_text(q, 2, client);
    if (db_step(q)) {
        all_n = db_col_int(q, 0);
        its_n = db_col_int(q, 1);
    }
    TRY(db_finish(q));
    *out = all_n < (int64_t)RECORDS_PTR_MAX &&
           (client[0] == '\0' || its_n < (int64_t)RECORDS_PTR_CLIENT_MAX);
    return err_ok();
}

/* Does another source still have the address? */
static struct err has_address(struct db *db, const struct row *row, bool is_clients, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT 1 FROM record WHERE owner = ?1 AND type = ?2 AND rdata = ?3 "
                       "AND source <> 2 AND (?4 <> 0 OR client = '') LIMIT 1");

    db_bind_blob(q, 1, row->key, row->key_len);
    db_bind_int(q, 2, row->type);
    db_bind_blob(q, 3, row->rdata, row->rdata_len);
    db_bind_int(q, 4, is_clients ? 1 : 0);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

/* The PTR record of an address that came or went, when nothing keeps it out or there. */
static struct err change_ptr(const struct records *records, struct db *db, bool is_add,
                             const struct row *row, const struct row *ptr, bool *is_changed)
{
    struct name_key key = {.len = ptr->key_len};
    bool is_own = is_ours(records, row);
    bool is_right = false;
    size_t n = 0;

    memcpy(key.data, ptr->key, ptr->key_len);
    if (is_add) {
        TRY(has_room(db, &key, row->client, &is_right));
        *is_changed = is_right && (!is_own || row->client[0] == '\0');
        return *is_changed ? row_put(db, ptr) : err_ok();
    }
    TRY(has_address(db, row, !is_own, &is_right));
    *is_changed = !is_right;
    return is_right ? err_ok() : row_remove(db, ptr, NULL, &n);
}

struct err ptr_follow(struct records *records, struct db *db, bool is_add, const struct row *row,
                      struct zone_change *change)
{
    struct name_key key;
    uint8_t name[NAME_WIRE_MAX];
    size_t name_len = 0;
    bool is_changed = false;

    if (!records->has_reverse || row->source == RECORD_DERIVED || !reverse_key(row, &key) ||
        !key_wire(row->key, row->key_len, name, &name_len) || !wire_is_host(name, name_len)) {
        return err_ok();
    }
    int zone = records_zone_of_key(records, key.data, key.len);
    if (zone < 0 || !records->list[zone].is_reverse || !records->list[zone].is_served) {
        return err_ok();
    }
    const struct row ptr = {key.data, key.len,        LDNS_RR_TYPE_PTR, name,
                            name_len, RECORD_DERIVED, row->ttl,         row->client};
    TRY(change_ptr(records, db, is_add, row, &ptr, &is_changed));
    return !is_changed || change == NULL ? err_ok() : zone_change_touch(change, &key);
}

struct rebuild {
    struct records *records;
    struct db *db;
};

static struct err follow_row(void *arg, const struct row *row)
{
    struct rebuild *r = arg;

    return row->type == LDNS_RR_TYPE_A || row->type == LDNS_RR_TYPE_AAAA
               ? ptr_follow(r->records, r->db, true, row, NULL)
               : err_ok();
}

struct err ptr_rebuild(struct records *records, struct db *db)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM record WHERE source = 2");
    struct rebuild r = {records, db};

    TRY(db_run(q, NULL));
    for (size_t i = 0; i < records->n && records->has_reverse; i++) {
        const struct records_zone *z = &records->list[i];
        if (z->is_served && !z->is_delegate && !z->is_reverse) {
            TRY(rows_scan_zone(records, db, (int)i, follow_row, &r));
        }
    }
    return err_ok();
}
