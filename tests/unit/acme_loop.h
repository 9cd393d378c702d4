/* A CA of acme_support.h with the network half of its validator on a loop without a thread, and
 * somebody else's DNS server on the same loop: whoever drives it decides when anything happens. */
#ifndef TESTS_UNIT_ACME_LOOP_H
#define TESTS_UNIT_ACME_LOOP_H

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/unit/acme_support.h"

#include "acme-server/validate_int.h"
#include "tests/unit/dns_script.h"

#define LOOP_RULES_MAX 4u
#define LOOP_DRIVE_MS 60000 /* nothing takes that long; it ends a test that hangs */

struct fx_loop {
    struct fx *f;
    struct script dns;
    struct rule rules[LOOP_RULES_MAX + 1]; /* what it answers; all other names have no data */
    char texts[LOOP_RULES_MAX][512];
    bool is_over; /* acme was restarted: the loop is gone */
};

/* As `extra_yaml`; acme is not started, nobody but fx_drive() runs anything. */
SUPPORT struct fx_loop *fx_loop_new(const char *extra_yaml)
{
    struct fx_loop *l = mem_zalloc(sizeof(*l));

    assert_non_null(l);
    l->f = fx_new(extra_yaml);
    struct acme *acme = l->f->acme;
    for (size_t i = 0; i <= LOOP_RULES_MAX; i++) {
        l->rules[i].name = "";
    }
    must(loop_new(&acme->loop));
    script_start(&l->dns, acme->loop, l->rules);
    l->f->resolve = (struct resolve_config){.resolvers = &l->dns.at, .resolvers_n = 1};
    must(lookups_new(acme->loop, acme->resolve, acme->zones, &acme->lookups));
    const struct val_net_options options = {.acme = acme, .loop = acme->loop, acme->lookups};
    must(val_net_new(&options, &acme->net));
    fx_register(l->f, &l->f->key, l->f->kid);
    return l;
}

/* Before acme is restarted: no more DNS server. */
SUPPORT void fx_loop_end(struct fx_loop *l)
{
    if (!l->is_over) {
        loop_stop(l->f->acme->loop); /* a test may have started it */
        script_stop(&l->dns);
        l->is_over = true;
    }
}

SUPPORT void fx_loop_free(struct fx_loop *l)
{
    fx_loop_end(l);
    fx_free(l->f);
    mem_free(l);
}

/* Rule i: `name` (with its last dot) has this record, in presentation format; "" none. */
SUPPORT void fx_loop_say(struct fx_loop *l, size_t i, const char *name, const char *record)
{
    assert_true(i < LOOP_RULES_MAX);
    (void)snprintf(l->texts[i], sizeof(l->texts[i]), "%s", record);
    l->rules[i] = (struct rule){name, HONEST, LDNS_RCODE_NOERROR, {NULL}};
    if (record[0] != '\0') {
        l->rules[i].answers[0] = l->texts[i];
    }
}

/* Is a job with the loop at this moment? */
SUPPORT bool fx_loop_is_busy(const struct fx_loop *l)
{
    const struct validator *v = l->f->acme->validator;

    for (size_t i = 0; i < VALIDATE_BUCKETS; i++) {
        for (const struct job *job = v->buckets[i]; job != NULL; job = job->chain) {
            if (job->is_away) {
                return true;
            }
        }
    }
    return false;
}

/* Run what is due, and all that comes of it, until every job sleeps or is gone. */
SUPPORT void fx_drive(struct fx_loop *l)
{
    int64_t end_ns = clock_mono_ns() + (int64_t)LOOP_DRIVE_MS * 1000000;
    size_t ran = 0;

    do {
        ran = validator_run_due(l->f->acme->validator);
        if (fx_loop_is_busy(l)) {
            ran += loop_run_once(l->f->acme->loop, 100) + 1;
        }
        assert_true(clock_mono_ns() < end_ns);
    } while (ran > 0);
    while (loop_run_once(l->f->acme->loop, 0) > 0) { /* what nobody waits for */
    }
}

/* --- a web server for http-01 ----------------------------------------------------------------- */

struct web { /* one peer at a time */
    struct loop *loop;
    struct loop_fd listening, peer;
    int fd, peer_fd;
    uint16_t port;
    char body[256]; /* "": it says nothing, ever */
    unsigned asked_n;
};

SUPPORT void web_hang_up(struct web *w)
{
    if (w->peer_fd >= 0) {
        loop_fd_remove(w->loop, &w->peer);
        (void)close(w->peer_fd);
        w->peer_fd = -1;
    }
}

/* The request of http-01 comes in one piece. */
SUPPORT void web_on_peer(void *arg, uint32_t events)
{
    struct web *w = arg;
    char text[2048];

    (void)events;
    ssize_t n = recv(w->peer_fd, text, sizeof(text), 0);
    if (n > 0) {
        w->asked_n++;
    }
    if (n > 0 && w->body[0] == '\0') {
        return;
    }
    if (n > 0) {
        int len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                           strlen(w->body), w->body);
        assert_int_equal(send(w->peer_fd, text, (size_t)len, MSG_NOSIGNAL), len);
    }
    web_hang_up(w);
}

SUPPORT void web_on_accept(void *arg, uint32_t events)
{
    struct web *w = arg;

    (void)events;
    web_hang_up(w);
    w->peer_fd = accept(w->fd, NULL, NULL);
    assert_true(w->peer_fd >= 0);
    must(loop_fd_add(w->loop, &w->peer, w->peer_fd, EPOLLIN, web_on_peer, w));
}

/* On loopback, where http-01 of this CA looks from now on (validation.allow must let it). */
SUPPORT void web_start(struct web *w, struct fx_loop *l)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    *w = (struct web){.loop = l->f->acme->loop, .peer_fd = -1};
    w->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(w->fd >= 0);
    assert_int_equal(bind(w->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(w->fd, 8), 0);
    assert_int_equal(getsockname(w->fd, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
    l->f->cfg->acme.http_port = w->port;
    must(loop_fd_add(w->loop, &w->listening, w->fd, EPOLLIN, web_on_accept, w));
}

SUPPORT void web_stop(struct web *w)
{
    if (w->fd >= 0) {
        web_hang_up(w);
        loop_fd_remove(w->loop, &w->listening);
        (void)close(w->fd);
        w->fd = -1;
    }
}

#endif
