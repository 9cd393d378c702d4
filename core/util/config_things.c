/* Zones and clients: growing the lists, defaults of an entry, and what an entry must hold. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

static void zone_clear(struct config_zone *zone)
{
    mem_free(zone->ingress);
    mem_free(zone->file);
    mem_free(zone->transfer_allow);
    mem_free(zone->transfer_notify);
    memset(zone, 0, sizeof(*zone));
}

static void client_clear(struct config_client *client)
{
    if (client->secret != NULL) {
        mem_wipe(client->secret, strlen(client->secret));
    }
    mem_free(client->secret);
    mem_free(client->names);
    mem_free(client->networks);
    memset(client, 0, sizeof(*client));
}

void config_zones_clear(struct config_loader *loader)
{
    struct config *cfg = loader->cfg;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        zone_clear(&cfg->zones[i]);
    }
    mem_freep(&cfg->zones);
    mem_freep(&loader->zone_where);
    cfg->zones_n = 0;
}

void config_clients_clear(struct config_loader *loader)
{
    struct config *cfg = loader->cfg;

    for (size_t i = 0; i < cfg->clients_n; i++) {
        client_clear(&cfg->clients[i]);
    }
    mem_freep(&cfg->clients);
    mem_freep(&loader->client_where);
    cfg->clients_n = 0;
}

struct err config_grow(void **list, size_t size, struct config_where **where, size_t n)
{
    if (n != 0 && (n & (n - 1)) != 0) {
        return err_ok();
    }
    size_t cap = n == 0 ? 1 : n * 2;
    uint8_t *bigger = mem_array(cap, size);
    TRY_PTR(bigger);
    struct config_where *bigger_where = mem_resize(*where, cap * sizeof(**where));
    if (bigger_where == NULL) {
        mem_free(bigger);
        FAIL(ERR_NOMEM, "configuration: out of memory");
    }
    if (n > 0) {
        memcpy(bigger, *list, n * size);
    }
    mem_free(*list);
    *list = bigger;
    *where = bigger_where;
    return err_ok();
}

struct err config_zone_new(struct config_loader *loader, const struct config_where *where,
                           struct config_zone **out)
{
    struct config *cfg = loader->cfg;
    void *list = cfg->zones;

    *out = NULL;
    loader->thing_problems_n = loader->problems_n;
    if (cfg->zones_n >= CONFIG_LIST_MAX) {
        config_problem(loader, where, "zones", "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    TRY(config_grow(&list, sizeof(*cfg->zones), &loader->zone_where, cfg->zones_n));
    cfg->zones = list;
    loader->zone_where[cfg->zones_n] = *where;
    *out = &cfg->zones[cfg->zones_n++];
    (*out)->is_served = true;
    (*out)->file = mem_strdup("");
    TRY_PTR((*out)->file);
    return err_ok();
}

struct err config_client_new(struct config_loader *loader, const struct config_where *where,
                             struct config_client **out)
{
    struct config *cfg = loader->cfg;
    void *list = cfg->clients;

    *out = NULL;
    loader->thing_problems_n = loader->problems_n;
    if (cfg->clients_n >= CONFIG_LIST_MAX) {
        config_problem(loader, where, "clients", "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    TRY(config_grow(&list, sizeof(*cfg->clients), &loader->client_where, cfg->clients_n));
    cfg->clients = list;
    loader->client_where[cfg->clients_n] = *where;
    *out = &cfg->clients[cfg->clients_n++];
    (*out)->has_limits = true;
    (*out)->has_records = true;
    return err_ok();
}

static void check_transfer(struct config_loader *loader, const struct config_where *where,
                           const struct config_zone *zone)
{
    bool is_open = zone->transfer_allow_n > 0 || zone->transfer_key[0] != '\0';

    if (!is_open && zone->transfer_notify_n == 0) {
        return;
    }
    if (!zone->is_served) {
        config_problem(loader, where, "zones",
                       "zone '%s' has serve: false, so there is nothing to transfer; remove "
                       "transfer or serve it here",
                       zone->name);
    } else if (strcmp(zone->name, ".") == 0) { /* its top-level names are apexes */
        config_problem(loader, where, "zones",
                       "'.' stands for every name and is no zone that could be transferred; remove "
                       "transfer and list the zones that secondaries are to have");
    } else if (!is_open) {
        config_problem(loader, where, "zones",
                       "zone '%s' notifies servers that may not transfer it; list them in "
                       "transfer.allow or set transfer.key",
                       zone->name);
    }
}

void config_zone_finish(struct config_loader *loader, const struct config_zone *zone)
{
    const struct config_where *where = &loader->zone_where[zone - loader->cfg->zones];

    if (loader->problems_n != loader->thing_problems_n) {
        return; /* what is missing may be what was wrong */
    }
    if (zone->name[0] == '\0') {
        config_problem(loader, where, "zones",
                       "the zone has no name; give it one, as in {name: "
                       "svc.dev}");
    }
    if (zone->is_plain && zone->ingress_n > 0) {
        config_problem(loader, where, "zones",
                       "zone '%s' is plain, so its ingress would answer nothing; remove ingress or "
                       "plain",
                       zone->name);
    }
    if (!zone->is_served && zone->is_plain) {
        config_problem(loader, where, "zones",
                       "zone '%s' has serve: false, and plain says how a zone is served; remove "
                       "one of them",
                       zone->name);
    }
    if (!zone->is_served && zone->file[0] != '\0') {
        config_problem(loader, where, "zones",
                       "zone '%s' has serve: false, so nobody could see the records of its file; "
                       "remove file or serve it here",
                       zone->name);
    }
    check_transfer(loader, where, zone);
}

void config_client_finish(struct config_loader *loader, const struct config_client *client)
{
    const struct config_where *where = &loader->client_where[client - loader->cfg->clients];

    if (loader->problems_n != loader->thing_problems_n) {
        return; /* what is missing may be what was wrong */
    }
    if (client->name[0] == '\0') {
        config_problem(loader, where, "clients", "the client has no name");
    }
    if (client->secret == NULL) {
        config_problem(loader, where, "clients",
                       "client '%s' has no secret; write secret or secret_file", client->name);
    }
    /* Names that are written as none make a client that is only a key. */
    if (client->names == NULL || (client->names_n == 0 && client->is_preauthorized)) {
        config_problem(loader, where, "clients",
                       "client '%s' %s, so it could get nothing; list at least one%s", client->name,
                       client->is_preauthorized ? "is preauthorized, but has no names"
                                                : "has no names",
                       client->is_preauthorized ? "" : ", or [] if it is a key for transfers only");
    }
}

bool config_client_name_ok(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > CLIENT_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (i == 0 || (c != '-' && c != '_' && c != '.'))) {
            return false;
        }
    }
    return true;
}

bool config_secret_ok(const char *secret, const char **why)
{
    const char *reason = NULL;
    size_t n = strlen(secret);

    for (size_t i = 0; i < n; i++) {
        char c = secret[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
            reason = "only letters and digits may stand in it";
        }
    }
    if (reason == NULL && n % 4 != 0) {
        reason = "its length must be a multiple of 4";
    }
    if (n < CLIENT_SECRET_MIN) {
        reason = "it must have at least 32 characters";
    } else if (n > CLIENT_SECRET_MAX) {
        reason = "it may have at most 128 characters";
    }
    if (reason != NULL && why != NULL) {
        *why = reason;
    }
    return reason == NULL;
}
