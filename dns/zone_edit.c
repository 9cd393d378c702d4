/* Changes that become visible together. */
#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"
#include "core/util/token.h"

static struct err begin(struct zone_db *db, struct zone_edit *edit)
{
    const struct zone_snapshot *now = atomic_load(&db->snap);
    size_t size = sizeof(*now) + db->table->entries_n * sizeof(now->states[0]);

    edit->next = mem_dup(now, size);
    TRY_PTR(edit->next);
    edit->retired = mem_zalloc(sizeof(*edit->retired));
    TRY_PTR(edit->retired);
    edit->trie.root = now->owners;
    edit->trie.id = ++db->edits_n;
    edit->serial = atomic_load(&db->serial);
    return err_ok();
}

static void free_edit(struct zone_edit *edit)
{
    mem_free(edit->next);
    mem_free(edit->retired);
    mem_free(edit);
}

struct err zone_edit_begin(struct zone_db *db, struct zone_edit **out)
{
    struct zone_edit *edit = mem_zalloc(sizeof(*edit));

    TRY_PTR(edit);
    edit->db = db;
    (void)pthread_mutex_lock(&db->lock);
    struct err e = begin(db, edit);
    if (e.code != ERR_OK) {
        (void)pthread_mutex_unlock(&db->lock);
        free_edit(edit);
        return e;
    }
    *out = edit;
    return err_ok();
}

void zone_edit_dropp(struct zone_edit **edit)
{
    struct zone_edit *e = MOVE(*edit);

    if (e != NULL) {
        trie_edit_drop(&e->trie);
        (void)pthread_mutex_unlock(&e->db->lock);
        free_edit(e);
    }
}

/* What stopped half way must not be seen: the edit is good for nothing any more. */
static struct err note(struct zone_edit *edit, struct err e)
{
    if (e.code == ERR_NOMEM || e.code == ERR_CONFLICT || e.code == ERR_INTERNAL) {
        edit->broken = e.code;
    }
    return e;
}

static struct err check(const struct zone_edit *edit)
{
    if (edit->broken != ERR_OK) {
        FAIL(edit->broken, "zone: a change could not be made, so none of them is");
    }
    return err_ok();
}

struct err zone_edit_commit(struct zone_edit **take_edit)
{
    AUTO(zone_edit_dropp) struct zone_edit *edit = MOVE(*take_edit);

    TRY(check(edit));
    if (edit->is_changed) {
        zone_publish(edit);
    }
    return err_ok();
}

/* --- records ---------------------------------------------------------------------------------- */

static bool read_record_owner(const struct zone_table *table, const uint8_t *owner, size_t len,
                              struct dns_name *name, struct zone_match *match)
{
    if (len == 0 || dns_name_read(owner, len, name) != len || !zone_find(table, name, match) ||
        match->zone->is_delegate) {
        return false;
    }
    return match->zone->is_plain || name->first != LABEL_PERSIST || !name->is_rest_ldh;
}

static struct err put_records(struct zone_edit *edit, const uint8_t *owner, size_t owner_len,
                              const struct zone_rr *rrs, size_t n)
{
    const struct zone_table *table = edit->db->table;
    AUTO(mem_freep) struct zone_owner *add = NULL;
    struct zone_match match;
    struct dns_name name;

    if (!read_record_owner(table, owner, owner_len, &name, &match)) {
        FAIL(ERR_MALFORMED, "zone: records can only be at names of zones that are served here");
    }
    const struct zone_owner *old = zone_tree_find(edit, name.wire, name.len);
    if (n == 0 && (old == NULL || old->sets_n == 0)) {
        return err_ok();
    }
    uint32_t children_n = old == NULL ? 0 : old->children_n;
    if (n > 0 || children_n > 0) {
        TRY(zone_owner_of_records(table, name.wire, name.len, rrs, n, &add));
        add->children_n = children_n;
        add->is_delegation = match.apex > 0 && zone_rrset_find(add, DNS_TYPE_NS) != NULL;
    }
    if (add != NULL && old != NULL && zone_owner_equal(add, old)) {
        return err_ok();
    }
    return zone_tree_put(edit, &name, &match, old, &add);
}

struct err zone_edit_records(struct zone_edit *edit, const uint8_t *owner, size_t owner_len,
                             const struct zone_rr *rrs, size_t n)
{
    TRY(check(edit));
    return note(edit, put_records(edit, owner, owner_len, rrs, n));
}

/* --- the delegate zone's values ------------------------------------------------------------------ */

static bool is_same_publisher(const struct zone_publisher *a, const struct zone_publisher *b)
{
    return a->is_open == b->is_open && strcmp(a->client, b->client) == 0 &&
           strcmp(a->registration, b->registration) == 0;
}

static bool read_value_owner(const struct zone_table *table, const char *text,
                             struct dns_name *name, struct zone_match *match)
{
    return dns_name_parse(text, name) && zone_find(table, name, match) &&
           match->zone->is_delegate && match->apex != 0;
}

static struct err add_value(struct zone_edit *edit, const char *owner,
                            const struct zone_value *value)
{
    const struct zone_table *table = edit->db->table;
    struct zone_match match;
    struct dns_name name;

    if (!read_value_owner(table, owner, &name, &match)) {
        FAIL(ERR_MALFORMED, "zone: %.253s is not a name below the delegate zone", owner);
    }
    if (!is_base64url(value->txt, TXT_VALUE_LEN) || value->txt[TXT_VALUE_LEN] != '\0') {
        FAIL(ERR_MALFORMED, "zone: a value is %u base64url characters", TXT_VALUE_LEN);
    }
    const struct zone_owner *old = zone_tree_find(edit, name.wire, name.len);
    size_t n = old == NULL ? 0 : old->values_n;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(old->values[i].txt, value->txt) == 0 &&
            is_same_publisher(&old->values[i].by, &value->by)) {
            return err_ok();
        }
    }
    if (n >= ZONE_VALUES_MAX) {
        FAIL(ERR_LIMIT, "zone: %u values live at one name already", ZONE_VALUES_MAX);
    }
    AUTO(mem_freep) struct zone_value *values = mem_array(n + 1, sizeof(*values));
    TRY_PTR(values);
    if (n > 0) {
        memcpy(values, old->values, n * sizeof(*values));
    }
    values[n] = *value;
    AUTO(mem_freep)
    struct zone_owner *add = zone_owner_of_values(table, &name, values, n + 1);
    TRY_PTR(add);
    return zone_tree_put(edit, &name, &match, old, &add);
}

static struct err remove_value(struct zone_edit *edit, const char *owner, const char *txt,
                               const struct zone_publisher *by)
{
    const struct zone_table *table = edit->db->table;
    struct zone_match match;
    struct dns_name name;
    size_t n = 0;

    if (!read_value_owner(table, owner, &name, &match)) {
        return err_ok(); /* nothing can be there */
    }
    const struct zone_owner *old = zone_tree_find(edit, name.wire, name.len);
    if (old == NULL) {
        return err_ok();
    }
    AUTO(mem_freep) struct zone_value *kept = mem_array(old->values_n, sizeof(*kept));
    TRY_PTR(kept);
    for (size_t i = 0; i < old->values_n; i++) {
        const struct zone_value *v = &old->values[i];
        bool is_gone = (txt == NULL || strcmp(v->txt, txt) == 0) &&
                       (by == NULL || is_same_publisher(&v->by, by));
        if (!is_gone) {
            kept[n++] = *v;
        }
    }
    if (n == old->values_n) {
        return err_ok();
    }
    AUTO(mem_freep) struct zone_owner *add = NULL;
    if (n > 0) {
        add = zone_owner_of_values(table, &name, kept, n);
        TRY_PTR(add);
    }
    return zone_tree_put(edit, &name, &match, old, &add);
}

struct err zone_edit_value(struct zone_edit *edit, bool is_add, const char *owner,
                           const struct zone_value *value)
{
    TRY(check(edit));
    return note(edit, is_add ? add_value(edit, owner, value)
                             : remove_value(edit, owner, value->txt, &value->by));
}

/* --- _validation-persist ---------------------------------------------------------------------- */

static struct err put_persist(struct zone_edit *edit, const struct dns_name *name,
                              const struct zone_match *match, const char *const *texts, size_t n)
{
    AUTO(mem_freep) struct zone_owner *add = NULL;
    const struct zone_owner *old = zone_tree_find(edit, name->wire, name->len);
    uint32_t children_n = old == NULL ? 0 : old->children_n;

    if (n > 0) {
        TRY(zone_persist_owner(edit->db->table, name, texts, n, &add));
    } else if (old == NULL || old->sets_n == 0) {
        return err_ok();
    } else if (children_n > 0) {
        TRY(zone_owner_of_records(edit->db->table, name->wire, name->len, NULL, 0, &add));
    }
    if (add != NULL) {
        add->children_n = children_n;
    }
    return zone_tree_put(edit, name, match, old, &add);
}

struct err zone_edit_persist(struct zone_edit *edit, const char *base, const char *const *texts,
                             size_t n)
{
    struct zone_match match;
    struct dns_name name;

    TRY(check(edit));
    if (!zone_persist_name(edit->db->table, base, &name, &match)) {
        FAIL(ERR_NOT_FOUND, "%.253s is no name of a zone that is served here", base);
    }
    return note(edit, put_persist(edit, &name, &match, texts, n));
}

/* --- serials, and changes of one thing ---------------------------------------------------------- */

static void set_serial(struct zone_edit *edit, const struct zone_entry *zone, uint32_t serial)
{
    edit->next->states[zone->index].serial = serial;
    edit->serial = serial;
    edit->is_changed = true;
}

struct err zone_edit_serial(struct zone_edit *edit, const char *zone, uint32_t serial)
{
    const struct zone_entry *entry = zone_entry_find(edit->db->table, zone);

    if (entry == NULL) {
        FAIL(ERR_NOT_FOUND, "zone: there is no zone %.253s", zone);
    }
    if (edit->next->states[entry->index].serial != serial) {
        set_serial(edit, entry, serial);
    }
    return err_ok();
}

struct err zone_value_add(struct zone_db *db, const char *owner, const struct zone_value *value,
                          uint32_t serial)
{
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;

    TRY(zone_edit_begin(db, &edit));
    TRY(add_value(edit, owner, value));
    if (edit->is_changed) {
        set_serial(edit, db->table->delegate, serial);
    }
    return zone_edit_commit(&edit);
}

struct err zone_value_remove(struct zone_db *db, const char *owner, const char *txt,
                             const struct zone_publisher *by, uint32_t serial)
{
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;

    TRY(zone_edit_begin(db, &edit));
    TRY(remove_value(edit, owner, txt, by));
    if (edit->is_changed) {
        set_serial(edit, db->table->delegate, serial);
    }
    return zone_edit_commit(&edit);
}

struct err zone_persist_put(struct zone_db *db, const char *base, const char *const *texts,
                            size_t n, uint32_t serial)
{
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;
    struct zone_match match;
    struct dns_name name;

    if (!zone_persist_name(db->table, base, &name, &match)) {
        FAIL(ERR_NOT_FOUND, "%.253s is no name of a zone that is served here", base);
    }
    TRY(zone_edit_begin(db, &edit));
    TRY(put_persist(edit, &name, &match, texts, n));
    if (edit->is_changed) {
        set_serial(edit, match.zone, serial);
    }
    return zone_edit_commit(&edit);
}
