/* The configuration file: YAML document nodes, each with its line and column, matched against the
 * option table.
 *
 * Two passes: the first looks at tokens and refuses what document nodes no longer show (aliases,
 * tags, directives, a second document); the second composes the one document and walks it.  The
 * walk goes as deep as the option table, whatever the file's nesting. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "core/util/mem.h"

struct walk {
    struct config_loader *loader;
    yaml_document_t *document;
};

static struct config_where where_of(const yaml_mark_t *mark)
{
    struct config_where where = {
        .source = SOURCE_FILE, .line = mark->line + 1, .column = mark->column + 1};
    return where;
}

/* libyaml's buffers hold the file, secrets included. */
static void delete_parser(yaml_parser_t *parser)
{
    if (parser->buffer.start != NULL) {
        mem_wipe(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    }
    if (parser->raw_buffer.start != NULL) {
        mem_wipe(parser->raw_buffer.start,
                 (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    }
    yaml_parser_delete(parser);
}

static void delete_document(yaml_document_t *document)
{
    for (yaml_node_t *node = document->nodes.start; node != NULL && node < document->nodes.top;
         node++) {
        if (node->type == YAML_SCALAR_NODE) {
            mem_wipe(node->data.scalar.value, node->data.scalar.length);
        }
    }
    yaml_document_delete(document);
}

static struct err start_parser(yaml_parser_t *parser, const char *text, size_t len)
{
    if (yaml_parser_initialize(parser) != 1) {
        FAIL(ERR_NOMEM, "configuration: no memory for the YAML parser");
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)text, len);
    return err_ok();
}

/* A byte that is no UTF-8 stops the reader, which knows its offset only. */
static struct config_where where_of_offset(const char *text, size_t len, size_t offset)
{
    struct config_where where = {.source = SOURCE_FILE, .line = 1, .column = 1};

    for (size_t i = 0; i < len && i < offset; i++) {
        where.column++;
        if (text[i] == '\n') {
            where.line++;
            where.column = 1;
        }
    }
    return where;
}

static struct err parser_problem(struct config_loader *loader, const yaml_parser_t *parser,
                                 const char *text, size_t len)
{
    struct config_where where = where_of(&parser->problem_mark);
    bool is_tab = parser->problem_mark.index < len && text[parser->problem_mark.index] == '\t';

    if (parser->error == YAML_MEMORY_ERROR) {
        FAIL(ERR_NOMEM, "configuration: no memory for the YAML parser");
    }
    if (parser->error == YAML_READER_ERROR) {
        where = where_of_offset(text, len, parser->problem_offset);
        is_tab = false;
    }
    config_problem(loader, &where, NULL, "not YAML: %s%s%s%s",
                   parser->context == NULL ? "" : parser->context,
                   parser->context == NULL ? "" : ", ",
                   parser->problem == NULL ? "unreadable" : parser->problem,
                   is_tab ? "; a tab stands here, use spaces" : "");
    return err_ok();
}

static const char *refused_token(yaml_token_type_t type)
{
    switch ((int)type) {
    case YAML_ALIAS_TOKEN:
        return "aliases (*name) are not allowed; put text that begins with * in quotes";
    case YAML_TAG_TOKEN:
        return "tags (!name) are not allowed";
    case YAML_VERSION_DIRECTIVE_TOKEN:
    case YAML_TAG_DIRECTIVE_TOKEN:
        return "directives (%NAME) are not allowed";
    case YAML_DOCUMENT_END_TOKEN:
        return "only one document is allowed; remove '...'";
    default: /* libyaml's own enum */
        return NULL;
    }
}

/* The first pass. *is_good false: a problem was reported and the second pass cannot help. */
static struct err check_tokens(struct config_loader *loader, const char *text, size_t len,
                               bool *is_good)
{
    AUTO(delete_parser) yaml_parser_t parser;
    size_t tokens_n = 0;
    bool is_at_end = false;

    memset(&parser, 0, sizeof(parser));
    TRY(start_parser(&parser, text, len));
    *is_good = true;
    while (!is_at_end) {
        yaml_token_t token;
        if (yaml_parser_scan(&parser, &token) != 1) {
            *is_good = false;
            return parser_problem(loader, &parser, text, len);
        }
        const char *why = refused_token(token.type);
        is_at_end = token.type == YAML_STREAM_END_TOKEN;
        if (token.type == YAML_DOCUMENT_START_TOKEN && tokens_n > 1) { /* not right at the start */
            why = "only one document is allowed; remove '---'";
        }
        if (why != NULL) {
            struct config_where where = where_of(&token.start_mark);
            config_problem(loader, &where, NULL, "%s", why);
            *is_good = false;
        }
        if (token.type == YAML_SCALAR_TOKEN) {
            mem_wipe(token.data.scalar.value, token.data.scalar.length);
        }
        yaml_token_delete(&token);
        tokens_n++;
    }
    return err_ok();
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = (const char *)node->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* A scalar's text, or NULL with a problem line. */
static const char *scalar_text(struct walk *w, const yaml_node_t *node, const char *key)
{
    struct config_where where = where_of(&node->start_mark);

    if (node->type != YAML_SCALAR_NODE) {
        config_problem(w->loader, &where, key, "expects one value here, not a %s",
                       node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
        return NULL;
    }
    if (is_null(node)) {
        config_problem(w->loader, &where, key,
                       "has no value; write one, or \"\" or [] for none, or remove the line");
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (node->data.scalar.length > CONFIG_VALUE_MAX) {
        config_problem(w->loader, &where, key, "the value is longer than %u characters",
                       CONFIG_VALUE_MAX);
        return NULL;
    }
    for (size_t i = 0; i < node->data.scalar.length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            config_problem(w->loader, &where, key,
                           "a control character or line break stands in the value");
            return NULL;
        }
    }
    return text;
}

static const yaml_node_t *node_at(const struct walk *w, int index)
{
    return yaml_document_get_node(w->document, index);
}

static struct err walk_scalar(struct walk *w, const yaml_node_t *node,
                              const struct config_option *option, void *base)
{
    struct config_item item = {scalar_text(w, node, option->key), where_of(&node->start_mark)};
    struct config_value v = {SHAPE_SCALAR, &item, 1, item.where};

    return item.text == NULL ? err_ok() : config_set(w->loader, base, option, &v);
}

/* The scalars of a sequence; entries that are none are problem lines. *out: mem_free(). */
static struct err read_items(struct walk *w, const yaml_node_t *node, const char *key,
                             struct config_item **out, size_t *out_n)
{
    struct config_where where = where_of(&node->start_mark);
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

    *out_n = 0;
    if (n > CONFIG_LIST_MAX) {
        config_problem(w->loader, &where, key, "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        n = 0;
    }
    struct config_item *items = mem_array(n, sizeof(*items));
    TRY_PTR(items);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *entry = node_at(w, node->data.sequence.items.start[i]);
        items[*out_n].text = scalar_text(w, entry, key);
        items[*out_n].where = where_of(&entry->start_mark);
        *out_n += items[*out_n].text == NULL ? 0 : 1;
    }
    *out = items;
    return err_ok();
}

static struct err walk_sequence(struct walk *w, const yaml_node_t *node,
                                const struct config_option *option, void *base)
{
    AUTO(mem_freep) struct config_item *items = NULL;
    struct config_value v = {SHAPE_LIST, NULL, 0, where_of(&node->start_mark)};

    TRY(read_items(w, node, option->key, &items, &v.n));
    v.items = items;
    return config_set(w->loader, base, option, &v);
}

/* A suffix and its servers: a list, or one of them without brackets. */
static struct err walk_route(struct walk *w, const yaml_node_t *key_node, const yaml_node_t *node,
                             const struct config_option *option)
{
    struct config_item name = {scalar_text(w, key_node, option->key),
                               where_of(&key_node->start_mark)};
    AUTO(mem_freep) struct config_item *items = NULL;
    struct config_item one = {NULL, where_of(&node->start_mark)};
    struct config_value v = {SHAPE_LIST, &one, 1, one.where};

    if (name.text == NULL) {
        return err_ok();
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        TRY(read_items(w, node, option->key, &items, &v.n));
        v.items = items;
    } else {
        one.text = scalar_text(w, node, option->key);
        if (one.text == NULL) {
            return err_ok();
        }
    }
    return config_route_add(w->loader, &name, &v);
}

static struct err walk_routes(struct walk *w, const yaml_node_t *node,
                              const struct config_option *option)
{
    struct config_where where = where_of(&node->start_mark);

    if (node->type != YAML_MAPPING_NODE) {
        config_problem(w->loader, &where, option->key,
                       "expects a mapping of names to servers, as in {corp.example: [10.0.0.1]}");
        return err_ok();
    }
    w->loader->where[option - CONFIG_OPTIONS] = where;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        size_t n = w->loader->cfg->dns.routes_n;
        TRY(walk_route(w, node_at(w, pair->key), node_at(w, pair->value), option));
        if (n >= CONFIG_LIST_MAX) {
            break; /* said once */
        }
    }
    return err_ok();
}

static struct err walk_mapping(struct walk *w, const yaml_node_t *node, const char *prefix,
                               void *base);

static struct err walk_zone(struct walk *w, const yaml_node_t *node)
{
    struct config_where where = where_of(&node->start_mark);
    struct config_zone *zone = NULL;

    TRY(config_zone_new(w->loader, &where, &zone));
    if (zone == NULL) {
        return err_ok();
    }
    if (node->type == YAML_MAPPING_NODE) {
        TRY(walk_mapping(w, node, "zones", zone));
    } else {
        TRY(walk_scalar(w, node, config_option_find("zones.name"), zone));
    }
    config_zone_finish(w->loader, zone);
    return err_ok();
}

static struct err walk_client(struct walk *w, const yaml_node_t *node)
{
    struct config_where where = where_of(&node->start_mark);
    struct config_client *client = NULL;

    if (node->type != YAML_MAPPING_NODE) {
        config_problem(w->loader, &where, "clients",
                       "expects a mapping with name, secret and names");
        return err_ok();
    }
    TRY(config_client_new(w->loader, &where, &client));
    if (client == NULL) {
        return err_ok();
    }
    TRY(walk_mapping(w, node, "clients", client));
    config_client_finish(w->loader, client);
    return err_ok();
}

static struct err walk_profile(struct walk *w, const yaml_node_t *node)
{
    struct config_where where = where_of(&node->start_mark);
    struct config_profile *profile = NULL;

    if (node->type != YAML_MAPPING_NODE) {
        config_problem(w->loader, &where, "profiles", "expects a mapping with name and lifetime");
        return err_ok();
    }
    TRY(config_profile_new(w->loader, &where, &profile));
    if (profile == NULL) {
        return err_ok();
    }
    TRY(walk_mapping(w, node, "profiles", profile));
    return config_profile_finish(w->loader, profile);
}

static size_t things_n(const struct config *cfg, enum config_type type)
{
    return type == TYPE_ZONES     ? cfg->zones_n
           : type == TYPE_CLIENTS ? cfg->clients_n
                                  : cfg->acme.profiles_n;
}

static struct err walk_things(struct walk *w, const yaml_node_t *node,
                              const struct config_option *option)
{
    struct config_where where = where_of(&node->start_mark);

    if (node->type != YAML_SEQUENCE_NODE) {
        config_problem(w->loader, &where, option->key,
                       "expects a list; begin each entry with '- '");
        return err_ok();
    }
    w->loader->where[option - CONFIG_OPTIONS] = where;
    for (const yaml_node_item_t *i = node->data.sequence.items.start;
         i < node->data.sequence.items.top; i++) {
        size_t n = things_n(w->loader->cfg, option->type);
        const yaml_node_t *entry = node_at(w, *i);
        if (option->type == TYPE_ZONES) {
            TRY(walk_zone(w, entry));
        } else if (option->type == TYPE_CLIENTS) {
            TRY(walk_client(w, entry));
        } else {
            TRY(walk_profile(w, entry));
        }
        if (n >= CONFIG_LIST_MAX) {
            break; /* said once */
        }
    }
    return err_ok();
}

static void unknown_key(struct walk *w, const yaml_node_t *node, const char *key)
{
    struct config_where where = where_of(&node->start_mark);
    const char *nearest = config_option_find(key) != NULL ? NULL : config_option_nearest(key);

    config_problem(w->loader, &where, key, "unknown key%s%s%s",
                   nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
}

static struct err walk_pair(struct walk *w, const yaml_node_t *key_node, const yaml_node_t *node,
                            const char *key, void *base)
{
    const char *written = (const char *)key_node->data.scalar.value;
    const struct config_option *option = config_option_find(key);
    struct config_where where = where_of(&node->start_mark);

    bool is_path = strchr(written, '.') != NULL; /* a path is no key */
    if (option == NULL && !is_path && config_option_is_group(key)) {
        return walk_mapping(w, node, key, base);
    }
    if (option == NULL || is_path) {
        unknown_key(w, key_node, key);
        return err_ok();
    }
    if (option->type == TYPE_ROUTES) {
        return walk_routes(w, node, option);
    }
    if (config_option_has_things(option)) {
        return walk_things(w, node, option);
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        return walk_sequence(w, node, option, base);
    }
    if (node->type == YAML_MAPPING_NODE) {
        struct config_value v = {SHAPE_MAP, NULL, 0, where};
        return config_set(w->loader, base, option, &v);
    }
    return walk_scalar(w, node, option, base);
}

/* Was the key of pair `i` seen before in this mapping? */
static bool is_duplicate(const struct walk *w, const yaml_node_t *node,
                         const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = node_at(w, pair->key);

    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = node_at(w, p->key);
        if (other->type == YAML_SCALAR_NODE &&
            other->data.scalar.length == key->data.scalar.length &&
            memcmp(other->data.scalar.value, key->data.scalar.value, key->data.scalar.length) ==
                0) { /* allow: keys are public */
            return true;
        }
    }
    return false;
}

static struct err walk_mapping(struct walk *w, const yaml_node_t *node, const char *prefix,
                               void *base)
{
    struct config_where where = where_of(&node->start_mark);

    if (is_null(node)) {
        return err_ok(); /* a group whose keys are all commented out */
    }
    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.top - node->data.mapping.pairs.start > (long)CONFIG_MAPPING_MAX) {
        config_problem(w->loader, &where, prefix[0] == '\0' ? NULL : prefix,
                       node->type != YAML_MAPPING_NODE ? "expects a mapping of keys to values"
                                                       : "the mapping has too many keys");
        return err_ok();
    }
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = node_at(w, pair->key);
        char key[CONFIG_KEY_MAX * 2];
        const char *text = scalar_text(w, key_node, prefix[0] == '\0' ? NULL : prefix);
        if (text == NULL) {
            continue;
        }
        (void)snprintf(key, sizeof(key), "%s%s%.*s", prefix, prefix[0] == '\0' ? "" : ".",
                       (int)CONFIG_KEY_MAX, text);
        if (is_duplicate(w, node, pair)) {
            where = where_of(&key_node->start_mark);
            config_problem(w->loader, &where, key, "the key is written twice");
            continue;
        }
        TRY(walk_pair(w, key_node, node_at(w, pair->value), key, base));
    }
    return err_ok();
}

struct err config_yaml_read(struct config_loader *loader, const char *text, size_t len)
{
    bool is_good = false;

    TRY(check_tokens(loader, text, len, &is_good));
    if (!is_good) {
        return err_ok();
    }
    AUTO(delete_parser) yaml_parser_t parser;
    AUTO(delete_document) yaml_document_t document;
    memset(&parser, 0, sizeof(parser));
    memset(&document, 0, sizeof(document));
    TRY(start_parser(&parser, text, len));
    if (yaml_parser_load(&parser, &document) != 1) {
        memset(&document, 0, sizeof(document));
        return parser_problem(loader, &parser, text, len);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    struct walk w = {loader, &document};
    return root == NULL ? err_ok() : walk_mapping(&w, root, "", loader->cfg);
}
