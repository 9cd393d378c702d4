/* One connection without its thread, over a socket pair: how much of it waits for a peer that does not
 * read, to the octet. */
#include <sys/epoll.h>

#include "dns/tcp_conn.h"
#include "tests/unit/dns_server_world.h"

#define NAME "x.svc.test.acme.svc.test"
#define HIGH (64u * 1024u) /* more than this waiting, and nothing more is read */
#define VALUES 16u

struct pair {
    struct zone_db *zones;
    struct dns_shared shared;
    struct dns_tcp tcp;
    struct tcp_conn *conn;
    int far;
    uint8_t question[514];
    size_t question_len, answer_len; /* with their frames */
    size_t sent, sent_at;            /* whole questions, octets of the next one */
};

static void setup(struct pair *p)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct dns_server_options options = {.tcp_threads = 1};
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];
    int fds[2];

    memset(p, 0, sizeof(*p));
    assert_int_equal(zone_db_new(cfg, 100, &p->zones).code, ERR_OK);
    config_free(cfg);
    for (unsigned i = 0; i < VALUES; i++) {
        struct zone_value v = make_value(i, "a");
        assert_int_equal(zone_value_add(p->zones, NAME, &v, i).code, ERR_OK);
    }
    options.zones = p->zones;
    assert_int_equal(dns_shared_init(&p->shared, &options).code, ERR_OK);
    p->shared.tcp = &p->tcp;
    p->shared.tcp_n = 1;
    p->tcp.epoll_fd = -1;
    assert_int_equal(dns_tcp_init(&p->tcp, &p->shared, NULL, 0).code, ERR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->far = fds[1];
    p->conn = mem_zalloc(sizeof(*p->conn));
    assert_non_null(p->conn);
    p->conn->fd = fds[0];
    p->conn->events = EPOLLIN;
    p->conn->peer = (struct ip_addr){4, {127, 0, 0, 1}};
    p->tcp.oldest = p->tcp.newest = p->conn;
    dns_asker_tick(&p->tcp.asker);
    p->question_len = frame(query, make_query(NAME, TXT, query), p->question);

    send_all(p->far, p->question, p->question_len);
    assert_true(tcp_conn_step(&p->tcp, p->conn, EPOLLIN));
    p->answer_len = 2 + read_frame(p->far, out);
    assert_true(p->answer_len > VALUES * 43 && p->answer_len < 2048);
}

static void teardown(struct pair *p)
{
    tcp_conn_clear(&p->tcp, p->conn);
    assert_int_equal(p->tcp.buffered, 0);
    p->tcp.oldest = p->tcp.newest = NULL;
    (void)close(p->conn->fd);
    (void)close(p->far);
    mem_free(p->conn);
    dns_tcp_clear(&p->tcp);
    dns_shared_clear(&p->shared);
    zone_db_free(p->zones);
}

/* As many questions as the pair takes. */
static bool ask_more(struct pair *p)
{
    bool has_sent = false;

    for (;;) {
        ssize_t n = send(p->far, p->question + p->sent_at, p->question_len - p->sent_at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            return has_sent;
        }
        has_sent = true;
        p->sent_at += (size_t)n;
        p->sent += p->sent_at == p->question_len;
        p->sent_at %= p->question_len;
    }
}

static size_t waiting(const struct pair *p)
{
    return p->conn->out.octets - p->conn->out_at;
}

/* Reads what is there; counts whole answers, which are all the same. *at: octets of the next one. */
static size_t read_answers(struct pair *p, size_t *at)
{
    uint8_t out[4096];
    size_t n = 0;

    for (;;) {
        ssize_t got = recv(p->far, out, sizeof(out), MSG_DONTWAIT);
        if (got <= 0) {
            assert_int_equal(errno, EAGAIN);
            return n;
        }
        *at += (size_t)got;
        n += *at / p->answer_len;
        *at %= p->answer_len;
    }
}

/* Held back with the answer that makes it more than HIGH; goes on where it stood as soon as the peer reads,
 * and nothing is lost. */
static void test_back_pressure(void **state)
{
    static struct pair p;
    size_t at = 0;

    (void)state;
    setup(&p);
    do {
        assert_true(p.sent < 1000000); /* a server that never has enough */
        (void)ask_more(&p);
        assert_true(tcp_conn_step(&p.tcp, p.conn, EPOLLIN));
    } while ((p.conn->events & EPOLLIN) != 0);
    assert_int_equal(p.conn->events, EPOLLOUT);
    assert_int_equal(p.conn->state, TCP_WRITING);
    assert_in_range(waiting(&p), HIGH + 1, HIGH + p.answer_len);
    assert_int_equal(p.tcp.buffered, p.conn->out.octets + p.conn->in_cap);

    size_t held = waiting(&p); /* more questions change nothing, whatever event there is */
    (void)ask_more(&p);
    assert_true(tcp_conn_step(&p.tcp, p.conn, EPOLLIN));
    assert_true(tcp_conn_step(&p.tcp, p.conn, EPOLLIN | EPOLLOUT));
    assert_int_equal(waiting(&p), held);

    size_t answers = 0;
    for (unsigned i = 0; i < 1000000 && answers < p.sent; i++) {
        answers += read_answers(&p, &at);
        assert_true(tcp_conn_step(&p.tcp, p.conn, p.conn->events));
        assert_true(waiting(&p) <= HIGH + p.answer_len);
    }
    assert_int_equal(answers, p.sent);
    assert_int_equal(at, 0);
    assert_int_equal(p.conn->events, EPOLLIN);
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_pressure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
