/* Exact names of the clients in the store: written out like those of configured clients. */
#include <string.h>

#include "core/util/mem.h"
#include "dns/records_int.h"

struct exact_names {
    struct records *records;
    char (*names)[NAME_TEXT_MAX + 1];
    const char **list;
    size_t n, cap;
};

static void exact_names_clear(struct exact_names *e)
{
    mem_free(e->names);
    mem_free(e->list);
}

static struct err add(struct exact_names *e, const char *text, size_t len)
{
    struct name_pattern pattern;

    if (name_pattern_parse(text, len, &pattern, NULL).code != ERR_OK || pattern.is_below) {
        return err_ok(); /* a wildcard names nothing in particular */
    }
    if (e->n == e->cap) {
        size_t cap = e->cap == 0 ? 64 : e->cap * 2;
        char(*names)[NAME_TEXT_MAX + 1] = mem_resize(e->names, cap * sizeof(*names));
        TRY_PTR(names);
        e->names = names;
        e->cap = cap;
    }
    memcpy(e->names[e->n++], pattern.base, sizeof(pattern.base));
    return err_ok();
}

static struct err add_client(struct exact_names *e, const struct access_client_info *client)
{
    for (const char *at = client->names; *at != '\0';) {
        size_t len = strcspn(at, ",");
        TRY(add(e, at, len));
        at += len + strspn(at + len, ", ");
    }
    return err_ok();
}

static struct err put_tx(struct db *db, void *arg)
{
    const struct exact_names *e = arg;

    return records_known_put(e->records, db, e->list, e->n);
}

struct err records_known_access(struct records *records, struct access *access)
{
    AUTO(exact_names_clear) struct exact_names e = {.records = records};
    struct access_client_info *clients = NULL;
    size_t n = 0;

    if (!records->is_any_transferred) {
        return err_ok();
    }
    TRY(access_list(access, &clients, &n));
    struct err done = err_ok();
    for (size_t i = 0; i < n && done.code == ERR_OK; i++) {
        done = add_client(&e, &clients[i]);
    }
    access_list_free(clients, n);
    TRY(done);
    if (e.n == 0) {
        return err_ok();
    }
    e.list = mem_array(e.n, sizeof(*e.list));
    TRY_PTR(e.list);
    for (size_t i = 0; i < e.n; i++) {
        e.list[i] = e.names[i];
    }
    return store_write(records->store, "records.known", put_tx, &e);
}
