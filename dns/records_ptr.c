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

static struct err count_ptr(struct db *db, const struct name_key *key, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT COUNT(*) FROM record WHERE owner = ?1 AND type = 12 AND source = 2");
    int64_t count = 0;

    db_bind_blob(q, 1, key->data, key->len);
    if (db_step(q)) {
        count = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    *n = (size_t)count;
    return err_ok();
}

/* Does another source still have the address? */
static struct err has_address(struct db *db, const struct row *row, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM record WHERE owner = ?1 AND type = ?2 "
                                       "AND rdata = ?3 AND source <> 2 LIMIT 1");

    db_bind_blob(q, 1, row->key, row->key_len);
    db_bind_int(q, 2, row->type);
    db_bind_blob(q, 3, row->rdata, row->rdata_len);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

struct err ptr_follow(struct records *records, struct db *db, bool is_add, const struct row *row,
                      struct zone_change *change)
{
    struct name_key key;
    uint8_t name[NAME_WIRE_MAX];
    size_t name_len = 0;
    bool is_left = false;
    size_t n = 0;

    if (!records->has_reverse || row->source == RECORD_DERIVED || !reverse_key(row, &key) ||
        !key_wire(row->key, row->key_len, name, &name_len) || !wire_is_host(name, name_len)) {
        return err_ok();
    }
    int zone = records_zone_of_key(records, key.data, key.len);
    if (zone < 0 || !records->list[zone].is_reverse || !records->list[zone].is_served) {
        return err_ok();
    }
    const struct row ptr = {key.data, key.len,        LDNS_RR_TYPE_PTR, name,
                            name_len, RECORD_DERIVED, row->ttl,         ""};
    if (is_add) {
        TRY(count_ptr(db, &key, &n));
        if (n >= RECORDS_PTR_MAX) {
            return err_ok();
        }
        TRY(row_put(db, &ptr));
    } else {
        TRY(has_address(db, row, &is_left));
        if (is_left) {
            return err_ok();
        }
        TRY(row_remove(db, &ptr, NULL, &n));
    }
    return change == NULL ? err_ok() : zone_change_touch(change, &key);
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
