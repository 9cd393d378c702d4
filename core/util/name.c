#include "core/util/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/util/token.h"

static struct err refuse(const char *why_text, const char **why)
{
    if (why != NULL) {
        *why = why_text;
    }
    FAIL(ERR_MALFORMED, "name: %s", why_text);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_ldh(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static struct err check_label(const char *label, size_t len, const char **why)
{
    if (len == 0) {
        return refuse("a label is empty (two dots in a row, or a dot at an end)", why);
    }
    if (len > LABEL_MAX) {
        return refuse("a label is longer than 63 characters", why);
    }
    if (label[0] == '-' || label[len - 1] == '-') {
        return refuse("a label starts or ends with a hyphen", why);
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_ldh(label[i])) {
            return refuse("only letters, digits and hyphens may stand in a label (international "
                          "names as A-labels, xn--...)",
                          why);
        }
    }
    return err_ok();
}

/* An all-digit last label makes the text an IPv4 address in a dns identifier's clothes
 * (RFC 3696 §2). */
static bool has_numeric_tail(const char *text)
{
    const char *dot = strrchr(text, '.');
    const char *tail = dot == NULL ? text : dot + 1;

    return strspn(tail, "0123456789") == strlen(tail);
}

struct err name_parse(const char *text, size_t len, char *out, const char **why)
{
    char folded[NAME_TEXT_MAX + 1];

    if (len == 0) {
        return refuse("the name is empty", why);
    }
    if (len > NAME_TEXT_MAX) {
        return refuse("the name is longer than 253 characters", why);
    }
    for (size_t i = 0; i < len; i++) {
        folded[i] = lower(text[i]);
    }
    folded[len] = '\0';
    if (folded[len - 1] == '.') {
        return refuse("the name ends with a dot", why);
    }
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i == len || folded[i] == '.') {
            TRY(check_label(folded + start, i - start, why));
            start = i + 1;
        }
    }
    if (has_numeric_tail(folded)) {
        return refuse("an IP address or a numeric top-level label is not a dns name", why);
    }
    memcpy(out, folded, len + 1);
    return err_ok();
}

struct err ident_parse(const char *text, size_t len, struct ident *out, const char **why)
{
    struct ident id = {false, false, ""};

    if (len > NAME_TEXT_MAX) {
        return refuse("the name is longer than 253 characters", why);
    }
    if (len == 1 && text[0] == '*') {
        return refuse("a wildcard needs a name below it, as in *.example.test", why);
    }
    if (len >= 2 && text[0] == '*' && text[1] == '.') {
        id.is_wildcard = true;
        text += 2;
        len -= 2;
    }
    if (len > 0 && memchr(text, '*', len) != NULL) {
        return refuse("a wildcard may only be the whole first label, once", why);
    }
    TRY(name_parse(text, len, id.base, why));
    *out = id;
    return err_ok();
}

struct err ident_ip_parse(const char *text, size_t len, struct ident *out, const char **why)
{
    struct ident id = {.is_ip = true};
    struct ip_addr ip = {0};
    const struct ip_addr none = {0};
    char canonical[IP_TEXT_MAX + 1];

    if (len == 0 || len > IP_TEXT_MAX || memchr(text, '\0', len) != NULL) {
        return refuse("it is not an IP address", why);
    }
    memcpy(id.base, text, len);
    if (ip_parse(id.base, &ip).code != ERR_OK) {
        return refuse("it is not an IP address", why);
    }
    ip_text(&ip, canonical);
    if (strcmp(canonical, id.base) != 0) {
        return refuse(
            "an IP address must be in its canonical form (RFC 5952), without a zone index", why);
    }
    if (memcmp(ip.bytes, none.bytes, sizeof(ip.bytes)) == 0) {
        return refuse("the unspecified address names no host", why);
    }
    *out = id;
    return err_ok();
}

struct ip_addr ident_ip(const struct ident *id)
{
    struct ip_addr ip = {0};

    if (!id->is_ip || ip_parse(id->base, &ip).code != ERR_OK) {
        ip = (struct ip_addr){0};
    }
    return ip;
}

void ident_from_stored(const char *base, bool is_wildcard, struct ident *out)
{
    struct ident id = {.is_wildcard = is_wildcard};

    (void)snprintf(id.base, sizeof(id.base), "%s", base);
    id.is_ip = strchr(id.base, ':') != NULL || has_numeric_tail(id.base);
    *out = id;
}

void ident_text(const struct ident *id, char out[IDENT_TEXT_MAX + 1])
{
    (void)snprintf(out, IDENT_TEXT_MAX + 1, "%s%.253s", id->is_wildcard ? "*." : "", id->base);
}

bool ident_equal(const struct ident *a, const struct ident *b)
{
    return a->is_wildcard == b->is_wildcard && a->is_ip == b->is_ip &&
           strcmp(a->base, b->base) == 0;
}

static bool is_strictly_below(const char *name, const char *zone)
{
    size_t n = strlen(name);
    size_t z = strlen(zone);

    if (z == 0 || strcmp(zone, ".") == 0) {
        return n > 0;
    }
    return n > z + 1 && name[n - z - 1] == '.' && strcmp(name + n - z, zone) == 0;
}

bool name_is_below_or_equal(const char *name, const char *zone)
{
    return strcmp(name, zone) == 0 || is_strictly_below(name, zone);
}

struct err name_pattern_parse(const char *text, size_t len, struct name_pattern *out,
                              const char **why)
{
    struct name_pattern p = {false, ""};
    struct ident id;

    if (len == 1 && text[0] == '*') {
        p.is_below = true;
        *out = p;
        return err_ok();
    }
    TRY(ident_parse(text, len, &id, why));
    p.is_below = id.is_wildcard;
    memcpy(p.base, id.base, sizeof(p.base));
    *out = p;
    return err_ok();
}

bool name_pattern_covers(const struct name_pattern *p, const struct ident *id)
{
    if (id->is_ip) {
        return false;
    }
    if (!p->is_below) {
        return !id->is_wildcard && strcmp(p->base, id->base) == 0;
    }
    if (id->is_wildcard && strcmp(p->base, id->base) == 0) {
        return true;
    }
    return is_strictly_below(id->base, p->base);
}

struct err name_to_wire(const char *text, uint8_t *out, size_t *out_len)
{
    size_t cap = *out_len;
    size_t o = 0;
    const char *label = text;

    if (*text == '\0') {
        FAIL(ERR_MALFORMED, "name: the empty text has no wire form (the root is a dot)");
    }
    if (strcmp(text, ".") != 0) {
        while (*label != '\0') {
            size_t n = strcspn(label, ".");
            if (n == 0 || n > LABEL_MAX || o + n + 2 > cap || o + n + 2 > NAME_WIRE_MAX) {
                FAIL(ERR_MALFORMED, "name: no wire form (label of %zu octets at octet %zu)", n, o);
            }
            out[o++] = (uint8_t)n;
            for (size_t i = 0; i < n; i++) {
                out[o++] = (uint8_t)lower(label[i]);
            }
            label += n;
            if (*label == '.') {
                label++;
            }
        }
    }
    if (o >= cap) {
        FAIL(ERR_MALFORMED, "name: no room for the wire form");
    }
    out[o++] = 0;
    *out_len = o;
    return err_ok();
}

struct err name_from_wire(const uint8_t *wire, size_t wire_len, char *out, size_t out_cap)
{
    size_t i = 0;
    struct buf b;

    buf_init(&b, out_cap == 0 ? 0 : out_cap - 1);
    while (i < wire_len && wire[i] != 0) {
        size_t n = wire[i++];
        if (n > LABEL_MAX || n > wire_len - i || i + n >= NAME_WIRE_MAX) {
            buf_clear(&b);
            FAIL(ERR_MALFORMED, "name: broken label in wire form, or more than 255 octets");
        }
        if (b.len > 0) {
            buf_putc(&b, '.');
        }
        for (size_t k = 0; k < n; k++) {
            char c = (char)wire[i + k];
            if (is_ldh(lower(c)) || c == '_' || c == '*') {
                buf_putc(&b, c);
            } else {
                buf_printf(&b, "\\%03u", (unsigned)wire[i + k]);
            }
        }
        i += n;
    }
    if (i >= wire_len) {
        buf_clear(&b);
        FAIL(ERR_MALFORMED, "name: wire form without its root label");
    }
    if (b.len == 0) {
        buf_putc(&b, '.');
    }
    if (b.failed) {
        buf_clear(&b);
        FAIL(ERR_LIMIT, "name: text does not fit");
    }
    memcpy(out, b.data, b.len + 1);
    buf_clear(&b);
    return err_ok();
}

struct err name_delegate(const char *name, const char *delegate_zone, char *out)
{
    size_t n = strlen(name);
    size_t z = strlen(delegate_zone);

    if (n + 1 + z <= NAME_TEXT_MAX) {
        memcpy(out, name, n);
        out[n] = '.';
        memcpy(out + n + 1, delegate_zone, z + 1);
        return err_ok();
    }
    uint8_t digest[SHA256_LEN];
    char label[64];
    TRY(sha256(name, n, digest));
    base32_encode(digest, sizeof(digest), label);
    if (2 + strlen(label) + 1 + z > NAME_TEXT_MAX) {
        FAIL(ERR_LIMIT, "delegate zone %s is too long for a delegate name", delegate_zone);
    }
    (void)snprintf(out, NAME_TEXT_MAX + 1, "h-%s.%s", label, delegate_zone);
    return err_ok();
}

static struct ip_addr unmap(const uint8_t *v6)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct ip_addr ip = {6, {0}};

    if (memcmp(v6, mapped, sizeof(mapped)) == 0) { /* allow: public bytes */
        ip.family = 4;
        memcpy(ip.bytes, v6 + 12, 4);
    } else {
        memcpy(ip.bytes, v6, 16);
    }
    return ip;
}

struct err ip_parse(const char *text, struct ip_addr *out)
{
    struct ip_addr ip = {4, {0}};
    uint8_t v6[16];

    if (inet_pton(AF_INET, text, ip.bytes) == 1) {
        *out = ip;
        return err_ok();
    }
    if (inet_pton(AF_INET6, text, v6) == 1) {
        *out = unmap(v6);
        return err_ok();
    }
    FAIL(ERR_MALFORMED, "'%.60s' is not an IPv4 or IPv6 address", text);
}

void ip_text(const struct ip_addr *ip, char out[IP_TEXT_MAX + 1])
{
    if (ip->family == 0 ||
        inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, out, IP_TEXT_MAX + 1) == NULL) {
        (void)snprintf(out, IP_TEXT_MAX + 1, "none");
    }
}

struct ip_addr ip_from_sockaddr(const struct sockaddr *sa)
{
    struct ip_addr ip = {0, {0}};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        ip.family = 4;
        memcpy(ip.bytes, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        ip = unmap(in6.sin6_addr.s6_addr);
    }
    return ip;
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->family == b->family &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0; /* allow: public bytes */
}

static bool bit_at(const uint8_t *bytes, unsigned i)
{
    return (bytes[i / 8] >> (7 - i % 8) & 1) != 0;
}

struct err ip_net_parse(const char *text, struct ip_net *out)
{
    char addr[IP_TEXT_MAX + 1];
    struct ip_net net;
    const char *slash = strchr(text, '/');
    size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);

    if (n > IP_TEXT_MAX) {
        FAIL(ERR_MALFORMED, "'%.60s' is not a network like 10.0.0.0/8 or fd00::/8", text);
    }
    memcpy(addr, text, n);
    addr[n] = '\0';
    TRY(ip_parse(addr, &net.addr));
    unsigned max = net.addr.family == 4 ? 32 : 128;
    unsigned len = max;
    if (slash != NULL) {
        size_t digits = strspn(slash + 1, "0123456789");
        if (digits == 0 || digits > 3 || slash[1 + digits] != '\0') {
            FAIL(ERR_MALFORMED, "'%.60s' is not a network like 10.0.0.0/8 or fd00::/8", text);
        }
        len = 0;
        for (size_t i = 1; i <= digits; i++) {
            len = len * 10 + (unsigned)(slash[i] - '0');
        }
    }
    if (len > max) {
        FAIL(ERR_MALFORMED, "'%.60s': the prefix length is at most %u", text, max);
    }
    for (unsigned i = len; i < max; i++) {
        if (bit_at(net.addr.bytes, i)) {
            FAIL(ERR_MALFORMED,
                 "'%.60s' has bits set behind its prefix: give the network's address", text);
        }
    }
    net.prefix_len = (uint8_t)len;
    *out = net;
    return err_ok();
}

bool ip_net_contains(const struct ip_net *net, const struct ip_addr *ip)
{
    if (net->addr.family != ip->family || ip->family == 0) {
        return false;
    }
    for (unsigned i = 0; i < net->prefix_len; i++) {
        if (bit_at(net->addr.bytes, i) != bit_at(ip->bytes, i)) {
            return false;
        }
    }
    return true;
}

bool ip_nets_contain(const struct ip_net *nets, size_t n, const struct ip_addr *ip)
{
    for (size_t i = 0; i < n; i++) {
        if (ip_net_contains(&nets[i], ip)) {
            return true;
        }
    }
    return false;
}

void ip_net_text(const struct ip_net *net, char out[IP_TEXT_MAX + 5])
{
    char addr[IP_TEXT_MAX + 1];

    ip_text(&net->addr, addr);
    (void)snprintf(out, IP_TEXT_MAX + 5, "%s/%u", addr, (unsigned)net->prefix_len);
}

static struct err parse_port(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    unsigned port = 0;

    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        FAIL(ERR_MALFORMED, "'%.20s' is not a port", text);
    }
    for (size_t i = 0; i < digits; i++) {
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port > 65535) {
        FAIL(ERR_MALFORMED, "port %u is above 65535", port);
    }
    *out = (uint16_t)port;
    return err_ok();
}

struct err ip_endpoint_parse(const char *text, uint16_t default_port, struct ip_endpoint *out)
{
    char addr[IP_TEXT_MAX + 1];
    struct ip_endpoint ep = {{0, {0}}, default_port};
    const char *start = text;
    const char *end = NULL;
    const char *port = NULL;

    if (text[0] == '[') {
        start = text + 1;
        end = strchr(start, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            FAIL(ERR_MALFORMED, "'%.80s' is not [IPv6 address]:port", text);
        }
        port = end[1] == ':' ? end + 2 : NULL;
    } else {
        const char *colon = strchr(text, ':');
        bool is_bare_v6 = colon != NULL && strchr(colon + 1, ':') != NULL;
        end = colon == NULL || is_bare_v6 ? text + strlen(text) : colon;
        port = colon == NULL || is_bare_v6 ? NULL : colon + 1;
    }
    if ((size_t)(end - start) > IP_TEXT_MAX) {
        FAIL(ERR_MALFORMED, "'%.80s' is not address:port", text);
    }
    memcpy(addr, start, (size_t)(end - start));
    addr[end - start] = '\0';
    TRY(ip_parse(addr, &ep.addr));
    if (port != NULL) {
        TRY(parse_port(port, &ep.port));
    } else if (default_port == 0) {
        FAIL(ERR_MALFORMED, "'%.80s' lacks a port (address:port)", text);
    }
    *out = ep;
    return err_ok();
}

void ip_endpoint_text(const struct ip_endpoint *ep, char out[IP_TEXT_MAX + 10])
{
    char addr[IP_TEXT_MAX + 1];

    ip_text(&ep->addr, addr);
    bool is_v6 = ep->addr.family == 6;
    (void)snprintf(out, IP_TEXT_MAX + 10, "%s%s%s:%u", is_v6 ? "[" : "", addr, is_v6 ? "]" : "",
                   (unsigned)ep->port);
}

socklen_t ip_endpoint_sockaddr(const struct ip_endpoint *ep, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (ep->addr.family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(ep->port)};
        memcpy(&in.sin_addr, ep->addr.bytes, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(ep->port)};
    memcpy(&in6.sin6_addr, ep->addr.bytes, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}
