/* TSIG failures in words. Anybody can cause them, from any address, so that they are bounded. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/quota.h"
#include "dns/tsig_int.h"

#define MD5_EVERY_MS 60000
#define SAID_MAX 300

/* Bounds of log lines, for the whole process as the log is: no result depends on them. */
static struct quota said_lines;
static _Atomic int64_t md5_said_ms = INT64_MIN;

static bool may_say(void)
{
    return quota_take(&said_lines, TSIG_LOGS_PER_S, 1000);
}

static void key_text(const struct tsig *tsig, const uint8_t *wire, size_t len,
                     char out[4 * NAME_WIRE_MAX + 4])
{
    if (wire == NULL && tsig->client[0] != '\0') {
        memcpy(out, tsig->client, sizeof(tsig->client));
        return;
    }
    wire = wire == NULL ? tsig->key_name : wire;
    len = len == 0 ? tsig->key_name_len : len;
    if (name_from_wire(wire, len, out, 4 * NAME_WIRE_MAX + 4).code != ERR_OK) {
        memcpy(out, "?", 2);
    }
}

static void say_skew(const struct tsig_options *options, const struct tsig *tsig,
                     char out[SAID_MAX])
{
    int64_t skew = (int64_t)tsig->time - options->now_unix;

    (void)snprintf(out, SAID_MAX,
                   "BADTIME: the client's clock is %lld seconds %s ours, more than the %u it "
                   "allows: set both clocks by NTP (or the message is an old one, sent again)",
                   (long long)(skew < 0 ? -skew : skew), skew < 0 ? "behind" : "ahead of",
                   (unsigned)tsig->fudge);
}

static void say(const struct tsig_options *options, const struct tsig *tsig, enum tsig_fault fault,
                char out[SAID_MAX])
{
    char alg[4 * NAME_WIRE_MAX + 4];

    switch (fault) {
    case TSIG_FAULT_KEY:
        (void)snprintf(out, SAID_MAX,
                       "BADKEY: no client has this name: the key's name must be the "
                       "client's ('bailiwick client list' shows them)");
        return;
    case TSIG_FAULT_NETWORK:
        (void)snprintf(out, SAID_MAX,
                       "BADKEY: the client may not act from this address: add it to "
                       "the client's networks");
        return;
    case TSIG_FAULT_ALG:
        key_text(tsig, tsig->alg_name, tsig->alg_name_len, alg);
        (void)snprintf(out, SAID_MAX,
                       "BADKEY: algorithm %.80s is not known: use hmac-sha256 (or hmac-sha1, "
                       "-sha224, -sha384, -sha512)",
                       alg);
        return;
    case TSIG_FAULT_MD5:
        (void)snprintf(
            out, SAID_MAX,
            "BADKEY: HMAC-MD5 is off: let the client sign with SHA-256 "
            "(certbot: dns_rfc2136_algorithm = HMAC-SHA256), or dns.hmac_md5: true here");
        return;
    case TSIG_FAULT_MAC:
        (void)snprintf(out, SAID_MAX,
                       "BADSIG: the signature does not fit: the secret or the algorithm in the "
                       "program's key is another one, or the message was changed on its way");
        return;
    case TSIG_FAULT_TIME:
        say_skew(options, tsig, out);
        return;
    case TSIG_FAULT_TRUNC:
        (void)snprintf(out, SAID_MAX,
                       "BADTRUNC: the signature was cut to fewer than %u octets: let the program "
                       "send it whole",
                       TSIG_MAC_MIN);
        return;
    }
}

void tsig_say_fault(const struct tsig_options *options, const struct tsig *tsig,
                    enum tsig_fault fault)
{
    char key[4 * NAME_WIRE_MAX + 4];
    char peer[IP_TEXT_MAX + 1];
    char text[SAID_MAX] = "";

    if (!may_say()) {
        return;
    }
    key_text(tsig, NULL, 0, key);
    ip_text(options->peer, peer);
    say(options, tsig, fault, text);
    log_ev(LOG_WARN, "dns.tsig.refused", {"key", key}, {"peer", peer},
           {"transport", options->is_tcp ? "tcp" : "udp"}, {"msg", text});
}

void tsig_say_broken(const struct tsig_options *options)
{
    char peer[IP_TEXT_MAX + 1];

    if (may_say()) {
        ip_text(options->peer, peer);
        log_ev(LOG_INFO, "dns.tsig.broken", {"peer", peer},
               {"msg", "FORMERR: the message or its TSIG record is broken, the record is not the "
                       "last one, or its MAC has an impossible length"});
    }
}

void tsig_say_md5(const struct tsig_options *options, const struct tsig *tsig)
{
    char peer[IP_TEXT_MAX + 1];
    int64_t now = clock_mono_ms();
    int64_t said = atomic_load(&md5_said_ms);

    if ((said == INT64_MIN || now - said >= MD5_EVERY_MS) &&
        atomic_compare_exchange_strong(&md5_said_ms, &said, now)) {
        ip_text(options->peer, peer);
        log_ev(LOG_WARN, "dns.tsig.md5", {"client", tsig->client}, {"peer", peer},
               {"msg",
                "signed with HMAC-MD5, which is out of date: let the client sign with SHA-256 "
                "(certbot: dns_rfc2136_algorithm = HMAC-SHA256)"});
    }
}
