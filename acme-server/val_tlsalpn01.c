/* tls-alpn-01 (RFC 8737, RFC 8738 §6): the attempts. val_dial connects; the handshake runs on the
 * loop; tlsalpn_cert judges the certificate. Nothing is sent over the connection (RFC 8737 §4). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "acme-server/acme_impl.h"
#include "acme-server/tlsalpn_cert.h"
#include "acme-server/val_dial.h"
#include "acme-server/val_gate.h"
#include "acme-server/val_words.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* Its cost would be the peer's choice with finite-field key exchange; and the security level is not
 * the machine's: nothing is trusted because of this handshake but the digest. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:@SECLEVEL=1"
#define CHAIN_MAX 32768 /* bytes of certificates that a server may send */
#define TLS_TEXT_MAX 160u
#define SNI_MAX NAME_TEXT_MAX

static const uint8_t ALPN[] = "\x0a"
                              "acme-tls/1";
#define ALPN_LEN (sizeof(ALPN) - 1)

enum probe_st { PROBE_DIALLING, PROBE_SHAKING, PROBE_ENDED };

struct probe {
    struct probe *prev, *next;
    struct tlsalpn01_state *state;
    struct val_attempt attempt;
    struct loop_timer timer; /* the deadline; when ended: at once */
    enum probe_st st;
    struct val_dial dial;
    struct val_turn turn;
    SSL *ssl; /* in its turn only */
    int fd;   /* -1 while dialling */
    struct loop_fd watch;
    struct ip_endpoint peer;
    struct val_result result;
};

struct tlsalpn01_state {
    struct val_net *net;
    SSL_CTX *tls;
    struct probe *first;
};

static void hang_up(struct probe *probe)
{
    val_gate_leave(probe->state->net->gate, &probe->turn);
    loop_fd_remove(probe->state->net->loop, &probe->watch);
    SSL_free(MOVE(probe->ssl));
    if (probe->fd >= 0) {
        (void)close(probe->fd);
        probe->fd = -1;
    }
}

static void free_probe(struct probe *probe)
{
    struct tlsalpn01_state *state = probe->state;

    val_dial_cancel(&probe->dial);
    hang_up(probe);
    loop_timer_cancel(state->net->loop, &probe->timer);
    if (probe->prev != NULL) {
        probe->prev->next = probe->next;
    } else {
        state->first = probe->next;
    }
    if (probe->next != NULL) {
        probe->next->prev = probe->prev;
    }
    mem_free(probe);
}

/* --- endings ----------------------------------------------------------------------------------- */

static void deliver(void *arg)
{
    struct probe *probe = arg;
    struct val_attempt attempt = probe->attempt;
    struct val_result result = probe->result;

    free_probe(probe);
    attempt.done(attempt.arg, &result);
}

/* `done` comes from the loop, not from here: an attempt may end while it starts. The timer is set
 * already, so that moving it needs no memory. */
static void end(struct probe *probe)
{
    probe->st = PROBE_ENDED;
    hang_up(probe);
    err_ignore(loop_timer_set(probe->state->net->loop, &probe->timer, 0, deliver, probe));
}

static void PRINTF_LIKE(3, 4)
    end_badly(struct probe *probe, enum problem_type type, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(probe->result.detail, sizeof(probe->result.detail), fmt, args);
    va_end(args);
    probe->result.type = type;
    end(probe);
}

static void end_ours(struct probe *probe, struct err e)
{
    end_badly(probe, PROBLEM_SERVER_INTERNAL,
              "tls-alpn-01 could not be tried: this server failed (%s); try again later",
              err_name(e.code));
}

/* "NAME (at ADDRESS)", for details. */
struct place {
    char text[NAME_TEXT_MAX + IP_TEXT_MAX + 20];
};
static struct place place_of(const struct probe *probe)
{
    struct place place;
    char peer[IP_TEXT_MAX + 10];

    ip_endpoint_text(&probe->peer, peer);
    (void)snprintf(place.text, sizeof(place.text), "%s (at %s)", probe->attempt.target->ident.base,
                   peer);
    return place;
}

static void end_late(struct probe *probe)
{
    struct place place = place_of(probe);

    end_badly(probe, PROBLEM_CONNECTION,
              "%s took the connection but did not end the TLS handshake in time; look at the TLS "
              "server there",
              place.text);
}

static void on_deadline(void *arg)
{
    struct probe *probe = arg;

    val_trail(probe->attempt.trail, "no more time");
    if (probe->st == PROBE_DIALLING && probe->dial.lookup != NULL) {
        end_badly(probe, PROBLEM_DNS,
                  "%s: its addresses were not found in time; look at the name servers of this name",
                  probe->dial.host);
    } else if (probe->st == PROBE_DIALLING) {
        end_badly(probe, PROBLEM_CONNECTION,
                  "port %u of %s did not answer in time (%.200s); does a TLS server run there and "
                  "does the firewall let this server in?",
                  (unsigned)probe->dial.port, probe->dial.host, buf_str(&probe->dial.why));
    } else {
        end_late(probe);
    }
    deliver(probe);
}

/* --- the handshake ----------------------------------------------------------------------------- */

/* Such certificates are made for the challenge: one that is not valid yet tells of a clock. */
static void say_skew(const struct probe *probe)
{
    const X509 *cert = SSL_get0_peer_certificate(probe->ssl);
    const ASN1_TIME *from = cert == NULL ? NULL : X509_get0_notBefore(cert);
    ASN1_TIME *now = ASN1_TIME_set(NULL, clock_unix_s());
    int days = 0;
    int seconds = 0;

    if (from != NULL && now != NULL && ASN1_TIME_diff(&days, &seconds, now, from) == 1 &&
        (days > 0 || seconds > 0)) {
        val_skew(probe->attempt.trail, "its clock (by the start of its certificate)",
                 clock_unix_s() + (int64_t)days * 86400 + seconds);
    }
    ASN1_TIME_free(now);
    ERR_clear_error(); /* a date that cannot be read is no failure of ours */
}

static void judge(struct probe *probe)
{
    const struct val_target *target = probe->attempt.target;
    struct place place = place_of(probe);
    const uint8_t *alpn = NULL;
    unsigned alpn_len = 0;
    uint8_t digest[SHA256_LEN];
    size_t digest_len = sizeof(digest);
    char why[TLSALPN_WHY_MAX] = "it sent none";
    enum problem_type type = PROBLEM_INCORRECT_RESPONSE;

    SSL_get0_alpn_selected(probe->ssl, &alpn, &alpn_len);
    if (alpn_len != ALPN_LEN - 1 || memcmp(alpn, ALPN + 1, alpn_len) != 0) {
        val_trail(probe->attempt.trail, "TLS without acme-tls/1");
        end_badly(probe, PROBLEM_UNAUTHORIZED,
                  "%s speaks TLS but did not choose the protocol 'acme-tls/1' (ALPN); is this the "
                  "server that the ACME client prepares?",
                  place.text);
        return;
    }
    say_skew(probe);
    struct err e = base64url_decode(target->digest, strlen(target->digest), digest, &digest_len);
    uint8_t *der = NULL;
    int len = i2d_X509(SSL_get0_peer_certificate(probe->ssl), &der);
    bool is_ok = e.code == ERR_OK && digest_len == SHA256_LEN && len > 0 &&
                 tlsalpn_cert_ok(der, (size_t)len, &target->ident, digest, &type, why);
    OPENSSL_free(der);
    if (!is_ok) {
        val_trail(probe->attempt.trail, "TLS with acme-tls/1, its certificate: %s", why);
        end_badly(
            probe, type,
            "%s answered with a wrong certificate: %s; the ACME client has to prepare the one "
            "of this challenge",
            place.text, why);
        return;
    }
    val_trail(probe->attempt.trail, "TLS with acme-tls/1 and the certificate of the challenge");
    probe->result.is_valid = true;
    (void)SSL_shutdown(probe->ssl); /* says goodbye; its answer is not waited for */
    ERR_clear_error();
    end(probe);
}

static void judge_failure(struct probe *probe, int error)
{
    struct place place = place_of(probe);
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code);
    const char *words = code == 0 ? NULL : ERR_reason_error_string(code);
    char text[TLS_TEXT_MAX];

    words = words == NULL ? "the connection ended" : words;
    val_printable(words, strlen(words), text, sizeof(text));
    ERR_clear_error();
    val_trail(probe->attempt.trail, "TLS failed: %s", text);
    if (error == SSL_ERROR_SYSCALL || code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        end_badly(probe, PROBLEM_CONNECTION,
                  "%s ended the connection during the TLS handshake (%s); look at the TLS server "
                  "there",
                  place.text, text);
    } else if (reason == SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL) {
        end_badly(probe, PROBLEM_TLS,
                  "%s knows no protocol 'acme-tls/1' (ALPN); the ACME client has to prepare it",
                  place.text);
    } else {
        end_badly(
            probe, PROBLEM_TLS,
            "%s: the TLS handshake failed (%s); TLS 1.2 or 1.3 with the protocol 'acme-tls/1' "
            "is wanted",
            place.text, text);
    }
}

static void shake(struct probe *probe);

static void on_ready(void *arg, uint32_t events)
{
    (void)events;
    shake(arg);
}

static void wait_for(struct probe *probe, uint32_t events)
{
    struct loop *loop = probe->state->net->loop;
    struct err e = probe->watch.is_watched
                       ? loop_fd_change(loop, &probe->watch, events)
                       : loop_fd_add(loop, &probe->watch, probe->fd, events, on_ready, probe);

    if (e.code != ERR_OK) {
        end_ours(probe, e);
    }
}

static void shake(struct probe *probe)
{
    ERR_clear_error();
    int result = SSL_connect(probe->ssl);
    if (result == 1) {
        judge(probe);
        return;
    }
    int error = SSL_get_error(probe->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        wait_for(probe, error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
        return;
    }
    judge_failure(probe, error);
}

/* The name itself, or the reverse name of an address (RFC 8738 §6). */
static void server_name(const struct ident *ident, char out[SNI_MAX + 1])
{
    struct ip_addr ip = ident_ip(ident);
    size_t at = 0;

    if (!ident->is_ip) {
        (void)snprintf(out, SNI_MAX + 1, "%s", ident->base);
    } else if (ip.family == 4) {
        (void)snprintf(out, SNI_MAX + 1, "%u.%u.%u.%u.in-addr.arpa", ip.bytes[3], ip.bytes[2],
                       ip.bytes[1], ip.bytes[0]);
    } else {
        for (size_t i = 16; i-- > 0;) {
            at += (size_t)snprintf(out + at, SNI_MAX + 1 - at, "%x.%x.", ip.bytes[i] & 15U,
                                   ip.bytes[i] >> 4U);
        }
        (void)snprintf(out + at, SNI_MAX + 1 - at, "ip6.arpa");
    }
}

static struct err begin_tls(struct probe *probe)
{
    char name[SNI_MAX + 1];

    server_name(&probe->attempt.target->ident, name);
    probe->ssl = SSL_new(probe->state->tls);
    TRY_PTR(probe->ssl);
    TRY_OSSL(SSL_set_fd(probe->ssl, probe->fd));
    TRY_OSSL((int)SSL_set_tlsext_host_name(probe->ssl, name));
    return err_ok();
}

static void on_turn(void *arg)
{
    struct probe *probe = arg;
    struct err e = begin_tls(probe);

    if (e.code != ERR_OK) {
        end_ours(probe, e);
        return;
    }
    shake(probe);
}

static void on_turn_over(void *arg)
{
    struct probe *probe = arg;

    val_trail(probe->attempt.trail, "too slow while others wait");
    end_late(probe);
}

static void on_dialed(void *arg, const struct val_dialed *dialed)
{
    struct probe *probe = arg;

    if (dialed->problem == PROBLEM_DNS) {
        end_badly(probe, PROBLEM_DNS, "%.300s; tls-alpn-01 needs an address record", dialed->why);
        return;
    }
    if (dialed->problem != PROBLEM_NONE) {
        end_badly(probe, dialed->problem,
                  "port %u of %s cannot be reached (%.200s); does a TLS server run there and does "
                  "the firewall let this server in?",
                  (unsigned)probe->dial.port, probe->dial.host, dialed->why);
        return;
    }
    probe->peer = dialed->peer;
    probe->fd = dialed->fd;
    probe->st = PROBE_SHAKING;
    if (val_gate_enter(probe->state->net->gate, &probe->turn)) {
        on_turn(probe);
    }
}

struct err val_tlsalpn01_start(struct val_net *net, const struct val_attempt *attempt)
{
    struct tlsalpn01_state *state = net->tlsalpn01;
    const struct config_acme *settings = acme_settings(net->acme);
    struct probe *probe = mem_zalloc(sizeof(*probe));

    if (probe == NULL ||
        loop_timer_set(net->loop, &probe->timer, attempt->deadline_ms, on_deadline, probe).code !=
            ERR_OK) {
        mem_free(probe);
        FAIL(ERR_NOMEM, "tls-alpn-01: out of memory");
    }
    probe->state = state;
    probe->attempt = *attempt;
    probe->fd = -1;
    probe->result.type = PROBLEM_CONNECTION;
    probe->turn.account_id = probe->attempt.target->account_id;
    probe->turn.begin = on_turn;
    probe->turn.over = on_turn_over;
    probe->turn.arg = probe;
    probe->dial.net = net;
    probe->dial.trail = attempt->trail;
    probe->dial.arg = probe;
    probe->next = state->first;
    if (probe->next != NULL) {
        probe->next->prev = probe;
    }
    state->first = probe;
    val_trail(attempt->trail, "TLS to port %d of %s", (int)settings->tls_port,
              attempt->target->ident.base);
    struct err e = val_dial_start(&probe->dial, attempt->target->ident.base,
                                  (uint16_t)settings->tls_port, attempt->deadline_ms, on_dialed);
    if (e.code != ERR_OK) {
        end_ours(probe, e);
    }
    return err_ok();
}

/* --- all of them ------------------------------------------------------------------------------- */

static struct err set_tls(SSL_CTX *tls)
{
    int groups[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};

    TRY_OSSL((int)SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION));
    TRY_OSSL(SSL_CTX_set_cipher_list(tls, TLS12_CIPHERS));
    TRY_OSSL((int)SSL_CTX_set1_groups(tls, groups, ARRAY_N(groups)));
    if (SSL_CTX_set_alpn_protos(tls, ALPN, ALPN_LEN) != 0) { /* its success is 0 */
        FAIL_OSSL("SSL_CTX_set_alpn_protos");
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL); /* the certificate is judged by tlsalpn_cert */
    (void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_max_cert_list(tls, CHAIN_MAX);
    return err_ok();
}

struct err tlsalpn01_state_new(struct val_net *net, struct tlsalpn01_state **out)
{
    struct tlsalpn01_state *state = mem_zalloc(sizeof(*state));

    TRY_PTR(state);
    state->net = net;
    state->tls = SSL_CTX_new(TLS_client_method());
    struct err e =
        state->tls == NULL ? err_set_ossl(__FILE__, __LINE__, "SSL_CTX_new") : set_tls(state->tls);
    if (e.code != ERR_OK) {
        tlsalpn01_state_free(state);
        return e;
    }
    *out = state;
    return err_ok();
}

void tlsalpn01_state_free(struct tlsalpn01_state *state)
{
    if (state == NULL) {
        return;
    }
    while (state->first != NULL) {
        free_probe(state->first);
    }
    SSL_CTX_free(state->tls);
    mem_free(state);
}
