#include "core/access/access_int.h"

#include <string.h>

#include "core/util/mem.h"

struct client *client_ref(struct client *client)
{
    atomic_fetch_add(&client->refs, 1);
    return client;
}

void client_unref(struct client *client)
{
    if (client != NULL && atomic_fetch_sub(&client->refs, 1) == 1) {
        mem_wipe(client->secret_hash, sizeof(client->secret_hash));
        mem_wipe(client->key, sizeof(client->key));
        mem_free(client->patterns);
        mem_free(client->networks);
        mem_free(client);
    }
}

void client_unrefp(struct client **client)
{
    client_unref(*client);
}

static struct err client_new(const char *name, const char *secret, struct client **out)
{
    AUTO(client_unrefp) struct client *client = mem_zalloc(sizeof(*client));

    TRY_PTR(client);
    atomic_init(&client->refs, 1);
    if (!config_client_name_ok(name)) {
        FAIL(
            ERR_MALFORMED,
            "'%.80s' is not a client name: letters, digits, '-', '_' and '.', at most %u, starting "
            "with a letter or digit",
            name, CLIENT_NAME_MAX);
    }
    if (strcasecmp(name, ACCESS_OPEN_NAME) == 0) {
        FAIL(ERR_MALFORMED,
             "a client may not be called '%s': that is the account name of anonymous "
             "publishers; choose another name",
             ACCESS_OPEN_NAME);
    }
    const char *why = NULL;
    if (!config_secret_ok(secret, &why)) {
        FAIL(ERR_MALFORMED, "the secret of client %s is not usable: %s", name,
             why == NULL ? "letters and digits only, length a multiple of 4, at least 32" : why);
    }
    memcpy(client->name, name, strlen(name) + 1);
    TRY(sha256(secret, strlen(secret), client->secret_hash));
    client->key_len = sizeof(client->key);
    TRY(base64_decode_any(secret, strlen(secret), client->key, &client->key_len));
    client->has_limits = true;
    client->has_records = true;
    *out = MOVE(client);
    return err_ok();
}

struct err client_from_config(const struct config_client *cfg, struct client **out)
{
    AUTO(client_unrefp) struct client *client = NULL;

    TRY(client_new(cfg->name, cfg->secret, &client));
    client->is_from_config = true;
    client->is_preauthorized = cfg->is_preauthorized;
    client->has_limits = cfg->has_limits;
    client->has_records = cfg->has_records;
    if (cfg->names_n > 0) {
        client->patterns = mem_dup(cfg->names, cfg->names_n * sizeof(*cfg->names));
        TRY_PTR(client->patterns);
        client->patterns_n = cfg->names_n;
    }
    if (cfg->networks_n > 0) {
        client->networks = mem_dup(cfg->networks, cfg->networks_n * sizeof(*cfg->networks));
        TRY_PTR(client->networks);
        client->networks_n = cfg->networks_n;
    }
    *out = MOVE(client);
    return err_ok();
}

static size_t count_items(const char *list)
{
    size_t n = *list == '\0' ? 0 : 1;

    for (; *list != '\0'; list++) {
        n += *list == ',' ? 1u : 0u;
    }
    return n;
}

static struct err parse_patterns(struct client *client, const char *names)
{
    size_t n = count_items(names);

    if (n > ACCESS_NAMES_MAX) {
        FAIL(ERR_LIMIT, "client %s has %zu names: at most %u are possible", client->name, n,
             ACCESS_NAMES_MAX);
    }
    client->patterns = mem_array(n, sizeof(*client->patterns));
    TRY_PTR(client->patterns);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(names, ",");
        const char *why = "not a name";
        struct err e = name_pattern_parse(names, len, &client->patterns[i], &why);
        if (e.code == ERR_MALFORMED) {
            FAIL(ERR_MALFORMED, "client %s: '%.*s' is not a name pattern (x, *.x or *): %s",
                 client->name, (int)(len > 80 ? 80 : len), names, why);
        }
        TRY(e);
        names += len + 1;
    }
    client->patterns_n = n;
    return err_ok();
}

static struct err parse_networks(struct client *client, const char *networks)
{
    size_t n = count_items(networks);
    char text[IP_TEXT_MAX + 5];

    if (n > ACCESS_NETWORKS_MAX) {
        FAIL(ERR_LIMIT, "client %s has %zu networks: at most %u are possible", client->name, n,
             ACCESS_NETWORKS_MAX);
    }
    client->networks = mem_array(n, sizeof(*client->networks));
    TRY_PTR(client->networks);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(networks, ",");
        if (len >= sizeof(text)) {
            FAIL(ERR_MALFORMED, "client %s: '%.60s' is not a network like 10.0.0.0/8 or fd00::/8",
                 client->name, networks);
        }
        memcpy(text, networks, len);
        text[len] = '\0';
        TRY(ip_net_parse(text, &client->networks[i]));
        networks += len + 1;
    }
    client->networks_n = n;
    return err_ok();
}

struct err client_from_text(const char *name, const char *secret, const char *names,
                            const char *networks, struct client **out)
{
    AUTO(client_unrefp) struct client *client = NULL;

    TRY(client_new(name, secret, &client));
    TRY(parse_patterns(client, names));
    TRY(parse_networks(client, networks));
    *out = MOVE(client);
    return err_ok();
}

struct err client_names_text(const struct client *client, struct buf *out)
{
    for (size_t i = 0; i < client->patterns_n; i++) {
        const struct name_pattern *p = &client->patterns[i];
        const char *stars = p->base[0] == '\0' ? "*" : "*.";
        buf_printf(out, "%s%s%s", i == 0 ? "" : ",", p->is_below ? stars : "", p->base);
    }
    return buf_check(out);
}

struct err client_networks_text(const struct client *client, struct buf *out)
{
    char text[IP_TEXT_MAX + 5];

    for (size_t i = 0; i < client->networks_n; i++) {
        ip_net_text(&client->networks[i], text);
        buf_printf(out, "%s%s", i == 0 ? "" : ",", text);
    }
    return buf_check(out);
}

bool client_is_named(const struct client *client, const char *base)
{
    for (size_t i = 0; i < client->patterns_n; i++) {
        if (!client->patterns[i].is_below && strcmp(client->patterns[i].base, base) == 0) {
            return true;
        }
    }
    return false;
}
