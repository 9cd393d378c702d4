#include "acme-server/order_names.h"

#include <stdio.h>
#include <string.h>

#include "acme-server/acme.h"
#include "acme-server/acme_impl.h"
#include "acme-server/alabel.h"
#include "core/util/mem.h"

static const char *ip_refused(const struct acme *acme, const char *client,
                              const struct ident *ident)
{
    const struct config_acme *settings = acme_settings(acme);
    struct ip_addr ip = ident_ip(ident);

    if (ip_nets_contain(settings->ip_networks, settings->ip_networks_n, &ip) ||
        (client[0] != '\0' && access_network_names(acme->access, client, &ip))) {
        return NULL;
    }
    return "certificates for it are not allowed: add its network to acme.ip_networks, or to the "
           "networks of the client that the account is bound to";
}

static const char *name_refused(const struct acme *acme, const char *base)
{
    const struct config *cfg = acme->cfg;
    const struct config_acme *settings = acme_settings(acme);
    char name[NAME_TEXT_MAX + 1];

    if (config_zone_of(cfg, base) == NULL) {
        return "it is in none of the zones of this server: order names below a configured zone, or "
               "add the zone to its configuration";
    }
    if (name_is_below_or_equal(base, cfg->delegate_zone)) {
        return "it is in the delegate zone, whose names are not available to hosts";
    }
    for (size_t i = 0; i < settings->blocked_names_n; i++) {
        if (name_is_below_or_equal(base, settings->blocked_names[i])) {
            return "the administrator blocked it";
        }
    }
    if (strlen(base) + sizeof(ACME_LABEL) > NAME_TEXT_MAX ||
        name_delegate(base, cfg->delegate_zone, name).code != ERR_OK) {
        return "it is too long: " ACME_LABEL " before it must still be a DNS name";
    }
    return NULL;
}

const char *order_name_refused(const struct acme *acme, const char *client,
                               const struct ident *ident, enum problem_type *type)
{
    *type = PROBLEM_REJECTED_IDENTIFIER;
    if (ident->is_ip) {
        return ip_refused(acme, client, ident);
    }
    const char *why = name_refused(acme, ident->base);
    if (why == NULL && client[0] != '\0' && !access_may(acme->access, client, ident)) {
        why = "the client that this account is bound to may not have it: add it to the client's "
              "names";
    }
    return why;
}

/* Never an IP address: a client's networks say where it may come from, and must not hand out the
 * neighbours' addresses unproved. */
bool order_name_preauthorized(const struct acme_req *r, const struct ident *ident)
{
    struct access *access = r->acme->access;

    return r->client[0] != '\0' && !ident->is_ip && access_is_preauthorized(access, r->client) &&
           access_network_ok(access, r->client, &r->http->peer) &&
           access_may(access, r->client, ident);
}

bool order_name_still_proved(const struct acme_req *r, const struct ident *ident,
                             const struct authz_reusable *found)
{
    if (found->is_published && !delegate_publisher_may(r->acme->delegate, &found->by, ident)) {
        return false;
    }
    return !found->is_preauthorized || order_name_preauthorized(r, ident);
}

struct err order_name_prepare(const struct acme_req *r, struct order_new_name *name)
{
    TRY(random_id(name->authz_id));
    TRY(random_bytes(name->seed, sizeof(name->seed)));
    name->is_preauthorized = order_name_preauthorized(r, &name->ident);
    memcpy(name->client, r->client, sizeof(name->client));
    return err_ok();
}

struct err order_name_audit(struct db *db, const struct acme_req *r,
                            const struct order_new_name *name)
{
    char text[IDENT_TEXT_MAX + 1];

    ident_text(&name->ident, text);
    const struct audit_row row = {
        .event = "acme.authz.preauthorized",
        .actor = name->client,
        .object = text,
        .peer = &r->http->peer,
        .detail = "valid without a challenge: the account is bound to a preauthorized client",
    };
    return audit_write(db, &row);
}

struct fault {
    enum problem_type type;
    char detail[200];
    char value[IDENT_TEXT_MAX + 1];
    bool is_ip;
};

struct collector {
    struct problem *prob;
    struct fault first;
    size_t faults_n;
    bool is_mixed; /* not all of one type */
};

static struct err fault_add(struct collector *c, const struct fault *fault)
{
    if (c->faults_n == 0) {
        c->first = *fault;
    }
    c->is_mixed = c->is_mixed || fault->type != c->first.type;
    c->faults_n++;
    TRY(problem_add_sub(c->prob, fault->type, fault->value, fault->detail));
    c->prob->subs[c->prob->subs_n - 1].is_ip = fault->is_ip;
    return err_ok();
}

/* A value as a peer sent it, cut and made printable, for a subproblem. */
static void show(const char *text, size_t len, char out[IDENT_TEXT_MAX + 1])
{
    size_t n = len < IDENT_TEXT_MAX ? len : IDENT_TEXT_MAX;

    for (size_t i = 0; i < n; i++) {
        out[i] = text[i] > ' ' && text[i] < 0x7f ? text[i] : '?';
    }
    out[n] = '\0';
}

static void check_form(const json_t *entry, struct ident *ident, struct fault *fault)
{
    const json_t *type = json_object_get(entry, "type");
    const json_t *value = json_object_get(entry, "value");
    const char *why = NULL;

    fault->type = PROBLEM_MALFORMED;
    if (!json_is_string(type) || !json_is_string(value)) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "an identifier must be an object with the strings \"type\" and \"value\"");
        return;
    }
    show(json_string_value(value), json_string_length(value), fault->value);
    fault->is_ip = strcmp(json_string_value(type), "ip") == 0;
    if (!fault->is_ip && strcmp(json_string_value(type), "dns") != 0) {
        fault->type = PROBLEM_UNSUPPORTED_IDENTIFIER;
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "identifiers of type \"%.20s\" are not supported, only \"dns\" and \"ip\"",
                       json_string_value(type));
        return;
    }
    struct err e =
        fault->is_ip
            ? ident_ip_parse(json_string_value(value), json_string_length(value), ident, &why)
            : ident_parse(json_string_value(value), json_string_length(value), ident, &why);
    if (e.code == ERR_OK && !fault->is_ip && !alabels_ok(ident->base)) {
        e.code = ERR_MALFORMED;
        why = "a label that begins with xn-- is not Punycode (RFC 5890)";
    }
    if (e.code != ERR_OK) {
        (void)snprintf(fault->detail, sizeof(fault->detail), "it is not %s: %s",
                       fault->is_ip ? "an IP address" : "a DNS name",
                       why == NULL ? "malformed" : why);
        return;
    }
    fault->type = PROBLEM_NONE;
}

/* One identifier: *ident, or a fault (type not PROBLEM_NONE). */
static void check(const struct acme_req *r, const json_t *entry, struct ident *ident,
                  struct fault *fault)
{
    enum problem_type type = PROBLEM_NONE;

    check_form(entry, ident, fault);
    if (fault->type != PROBLEM_NONE) {
        return;
    }
    const char *why = order_name_refused(r->acme, r->client, ident, &type);
    if (why != NULL) {
        fault->type = type;
        (void)snprintf(fault->detail, sizeof(fault->detail), "%s", why);
    }
}

struct err order_name_take(struct acme_req *r, const json_t *entry, struct ident *out)
{
    struct fault fault = {0};

    check(r, entry, out, &fault);
    if (fault.type != PROBLEM_NONE) {
        REJECT(&r->prob, fault.type, 0, "The identifier \"%.255s\" is refused: %s.", fault.value,
               fault.detail);
    }
    return err_ok();
}

static bool is_known(const struct order_new_name *names, size_t n, const struct ident *ident)
{
    for (size_t i = 0; i < n; i++) {
        if (ident_equal(&names[i].ident, ident)) {
            return true;
        }
    }
    return false;
}

/* Where several were ordered subproblems say which ones, under their common type or malformed
 * (RFC 8555 §6.7.1). */
static struct err refuse(struct problem *prob, const struct collector *c, size_t listed_n)
{
    if (listed_n == 1) {
        problem_clear(prob);
    }
    if (c->faults_n == 1) {
        return problem_set(prob, c->first.type, 0, "The identifier \"%.255s\" is refused: %s.",
                           c->first.value, c->first.detail);
    }
    return problem_set(prob, c->is_mixed ? PROBLEM_MALFORMED : c->first.type, 0,
                       "%zu identifiers are refused; the first is \"%.255s\": %s.", c->faults_n,
                       c->first.value, c->first.detail);
}

static struct err take_list(struct acme_req *r, const json_t **out)
{
    const json_t *list = json_object_get(r->payload, "identifiers");

    if (!json_is_array(list) || json_array_size(list) == 0) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"identifiers\" must be a list of at least one "
               "{\"type\":\"dns\",\"value\":\"host.example\"}.");
    }
    if (json_array_size(list) > ACME_IDENTIFIERS_MAX) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "An order has at most %u identifiers: make several orders.", ACME_IDENTIFIERS_MAX);
    }
    *out = list;
    return err_ok();
}

struct err order_names_take(struct acme_req *r, struct order_new_name **out, size_t *n)
{
    const json_t *list = NULL;
    struct collector c = {.prob = &r->prob};
    size_t found_n = 0;

    TRY(take_list(r, &list));
    AUTO(mem_freep)
    struct order_new_name *names = mem_array(json_array_size(list), sizeof(*names));
    TRY_PTR(names);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct ident ident = {0};
        struct fault fault = {0};
        check(r, json_array_get(list, i), &ident, &fault);
        if (fault.type != PROBLEM_NONE) {
            TRY(fault_add(&c, &fault));
        } else if (!is_known(names, found_n, &ident)) {
            names[found_n++].ident = ident;
        }
    }
    if (c.faults_n > 0) {
        return refuse(&r->prob, &c, json_array_size(list));
    }
    *out = MOVE(names);
    *n = found_n;
    return err_ok();
}
