/* What one transaction changes in the zone snapshot, applied in commit order by its hook. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"

struct change {
    bool is_add;
    char owner[NAME_TEXT_MAX + 1];
    struct zone_value value;
};

struct change_set {
    struct delegate *d;
    uint32_t serial;
    enum err_code *visible;
    struct change *items;
    size_t n;
    size_t cap;
};

struct err changes_new(struct delegate *d, struct change_set **out)
{
    struct change_set *set = mem_zalloc(sizeof(*set));

    TRY_PTR(set);
    set->d = d;
    *out = set;
    return err_ok();
}

void changes_free(struct change_set *set)
{
    if (set != NULL) {
        mem_free(set->items);
        mem_free(set);
    }
}

void changes_freep(struct change_set **set)
{
    changes_free(*set);
}

struct err changes_add(struct change_set *set, bool is_add, const char *owner,
                       const struct zone_value *value)
{
    if (strlen(owner) > NAME_TEXT_MAX) {
        FAIL(ERR_INTERNAL, "delegate: owner name too long");
    }
    if (set->n == set->cap) {
        size_t cap = set->cap == 0 ? 4 : set->cap * 2;
        struct change *items = mem_resize(set->items, cap * sizeof(*items));
        TRY_PTR(items);
        set->items = items;
        set->cap = cap;
    }
    struct change *change = &set->items[set->n++];
    memset(change, 0, sizeof(*change));
    change->is_add = is_add;
    memcpy(change->owner, owner, strlen(owner) + 1);
    change->value = *value;
    return err_ok();
}

size_t changes_n(const struct change_set *set)
{
    return set->n;
}

/* On-commit hook: the snapshot first, whole, then those who wait for a value. */
static void apply(void *arg)
{
    const struct change_set *set = arg;
    struct delegate *d = set->d;

    for (size_t i = 0; i < set->n; i++) {
        const struct change *c = &set->items[i];
        struct err e = c->is_add ? zone_value_add(d->zones, c->owner, &c->value, set->serial)
                                 : zone_value_remove(d->zones, c->owner, c->value.txt, &c->value.by,
                                                     set->serial);
        if (e.code != ERR_OK) {
            log_err(LOG_ERROR, "delegate.snapshot", e);
            if (set->visible != NULL) {
                *set->visible = e.code;
            }
        }
    }
    for (size_t i = 0; i < set->n && d->on_value != NULL; i++) {
        const struct change *c = &set->items[i];
        if (c->is_add && expectations_find(d->expected, c->value.txt, NULL)) {
            d->on_value(d->on_value_ctx, c->value.txt);
        }
    }
}

static void free_set(void *arg)
{
    changes_free(arg);
}

struct err changes_commit(struct change_set **take_set, struct db *db, enum err_code *visible)
{
    AUTO(changes_freep) struct change_set *set = MOVE(*take_set);

    if (set->n == 0) {
        return err_ok();
    }
    TRY(serial_bump(db, &set->serial));
    set->visible = visible;
    return db_on_commit(db, apply, free_set, MOVE(set));
}
