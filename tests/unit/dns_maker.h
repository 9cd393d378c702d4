/* Queries to send and answers to read, for the tests of dns/: everything is static, so that each
 * test includes it. */
#ifndef TESTS_UNIT_DNS_MAKER_H
#define TESTS_UNIT_DNS_MAKER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "core/util/buf.h"
#include "core/util/config.h"
#include "dns/zone.h"

/* Zones, values and names that the tables of the tests speak of. */
#define MAKER_CONFIG                                                                               \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1, \"2001:db8::1\"]\n"                                                    \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.80, 192.0.2.81, 192.0.2.80]}\n"                        \
    "  - {name: six.test, ingress: [\"2001:db8::80\"]}\n"                                          \
    "  - {name: bare.svc.test}\n"                                                                  \
    "  - {name: other.test, serve: false}\n"                                                       \
    "delegate_zone: acme.svc.test\n"

static inline struct config *make_config(const char *text)
{
    struct buf problems = BUF_INIT(65536);
    struct config *cfg = NULL;
    struct err e = config_parse("test", text, strlen(text), &problems, &cfg);

    if (e.code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    return cfg;
}

static inline struct zone_value make_value(unsigned n, const char *client)
{
    struct zone_value v;

    memset(&v, 0, sizeof(v));
    (void)snprintf(v.txt, sizeof(v.txt), "%043u", n);
    (void)snprintf(v.by.client, sizeof(v.by.client), "%s", client);
    v.by.is_open = client[0] == '\0';
    return v;
}

/* Text name to wire, case kept. Returns the length. */
static inline size_t make_name(const char *text, uint8_t *out)
{
    size_t o = 0;

    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t n = strcspn(text, ".");
        out[o++] = (uint8_t)n;
        memcpy(out + o, text, n);
        o += n;
        text += n + (text[n] == '.' ? 1 : 0);
    }
    out[o++] = 0;
    return o;
}

/* A plain query (RD set, id 0xbeef); out: 512 octets. */
static inline size_t make_query(const char *name, unsigned type, uint8_t *out)
{
    static const uint8_t header[12] = {0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};

    memcpy(out, header, sizeof(header));
    size_t n = sizeof(header) + make_name(name, out + sizeof(header));
    out[n] = (uint8_t)(type >> 8);
    out[n + 1] = (uint8_t)type;
    out[n + 2] = 0;
    out[n + 3] = 1;
    return n + 4;
}

/* Adds an OPT record. */
static inline size_t make_edns(uint8_t *query, size_t n, unsigned size, unsigned version,
                               unsigned flags)
{
    const uint8_t opt[11] = {0,
                             0,
                             41,
                             (uint8_t)(size >> 8),
                             (uint8_t)size,
                             0,
                             (uint8_t)version,
                             (uint8_t)(flags >> 8),
                             (uint8_t)flags,
                             0,
                             0};

    memcpy(query + n, opt, sizeof(opt));
    query[11]++;
    return n + sizeof(opt);
}

#endif
