/* Names, patterns, addresses: what is accepted has one text form, and that text is accepted as the
 * same thing. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/name.h"

#define TEXT_MAX 2048u
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_base(const char *base)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);
    char text[1024];
    char again[NAME_TEXT_MAX + 1];
    char target[NAME_TEXT_MAX + 1];

    CHECK(name_to_wire(base, wire, &wire_len).code == ERR_OK);
    CHECK(wire_len == strlen(base) + 2);
    CHECK(name_from_wire(wire, wire_len, text, sizeof(text)).code == ERR_OK);
    CHECK(strcmp(text, base) == 0);
    CHECK(name_parse(base, strlen(base), again, NULL).code == ERR_OK);
    CHECK(strcmp(again, base) == 0);
    CHECK(name_is_below_or_equal(base, base) && name_is_below_or_equal(base, "."));
    CHECK(name_delegate(base, "acme.test", target).code == ERR_OK);
    CHECK(strlen(target) <= NAME_TEXT_MAX && name_is_below_or_equal(target, "acme.test"));
    wire_len = sizeof(wire);
    CHECK(name_to_wire(target, wire, &wire_len).code == ERR_OK);
}

static void check_ident(const char *text, size_t len)
{
    struct ident id;
    struct ident again;
    struct name_pattern pattern;
    char out[IDENT_TEXT_MAX + 1];
    const char *why = NULL;

    if (ident_parse(text, len, &id, &why).code != ERR_OK) {
        CHECK(why != NULL);
        return;
    }
    ident_text(&id, out);
    CHECK(strlen(out) == len);
    CHECK(ident_parse(out, strlen(out), &again, NULL).code == ERR_OK);
    CHECK(ident_equal(&id, &again));
    CHECK(name_pattern_parse(out, strlen(out), &pattern, NULL).code == ERR_OK);
    CHECK(name_pattern_covers(&pattern, &id));
    id.is_wildcard = !id.is_wildcard;
    CHECK(!name_pattern_covers(&pattern, &id));
    check_base(id.base);
}

static void check_pattern(const char *text, size_t len)
{
    struct name_pattern pattern;
    const char *why = NULL;

    if (name_pattern_parse(text, len, &pattern, &why).code != ERR_OK) {
        CHECK(why != NULL);
        return;
    }
    CHECK(pattern.base[0] != '\0' || (pattern.is_below && len == 1));
    struct ident below = {.base = "a.b.c.test"};
    bool is_everything = pattern.base[0] == '\0';
    if (is_everything) {
        CHECK(name_pattern_covers(&pattern, &below));
    }
}

/* Any bytes as wire form: broken or a text that is no longer than four characters per octet. */
static void check_wire(const uint8_t *data, size_t size)
{
    char text[4 * NAME_WIRE_MAX + 8];
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    if (name_from_wire(data, size, text, sizeof(text)).code != ERR_OK) {
        return;
    }
    CHECK(strlen(text) < sizeof(text));
    /* Escapes are for people; without them the text goes back to the same octets, case folded. */
    if (strchr(text, '\\') == NULL && name_to_wire(text, wire, &wire_len).code == ERR_OK) {
        CHECK(wire_len <= size);
        for (size_t i = 0; i < wire_len; i++) {
            uint8_t c = data[i] >= 'A' && data[i] <= 'Z' ? (uint8_t)(data[i] | 0x20) : data[i];
            CHECK(wire[i] == c);
        }
    }
}

static void check_addresses(const char *text)
{
    struct ip_addr ip;
    struct ip_addr ip_again;
    struct ip_net net;
    struct ip_net net_again;
    struct ip_endpoint endpoint;
    struct ip_endpoint endpoint_again;
    char out[IP_TEXT_MAX + 16];

    if (ip_parse(text, &ip).code == ERR_OK) {
        ip_text(&ip, out);
        CHECK(ip_parse(out, &ip_again).code == ERR_OK && ip_equal(&ip, &ip_again));
    }
    if (ip_net_parse(text, &net).code == ERR_OK) {
        CHECK(net.prefix_len <= (net.addr.family == 4 ? 32 : 128));
        CHECK(ip_net_contains(&net, &net.addr));
        ip_net_text(&net, out);
        CHECK(ip_net_parse(out, &net_again).code == ERR_OK);
        CHECK(net.prefix_len == net_again.prefix_len && ip_equal(&net.addr, &net_again.addr));
    }
    for (uint16_t port = 0; port <= 53; port = (uint16_t)(port + 53)) {
        if (ip_endpoint_parse(text, port, &endpoint).code == ERR_OK) {
            struct sockaddr_storage address;
            ip_endpoint_text(&endpoint, out);
            CHECK(ip_endpoint_parse(out, 0, &endpoint_again).code == ERR_OK);
            CHECK(endpoint.port == endpoint_again.port);
            CHECK(ip_equal(&endpoint.addr, &endpoint_again.addr));
            CHECK(ip_endpoint_sockaddr(&endpoint, &address) <= sizeof(address));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];

    check_ident((const char *)data, size);
    check_pattern((const char *)data, size);
    check_wire(data, size);
    if (size < sizeof(text)) {
        memcpy(text, data, size);
        text[size] = '\0';
        check_addresses(text);
    }
    return 0;
}
