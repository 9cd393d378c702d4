/* Clients and policy: credentials, patterns, networks, the stored table, removal hooks, audit
 * rows. */
#include "core/access/access.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CLIENTS                                                                                    \
    "zones: [{name: svc.test}]\n"                                                                  \
    "clients:\n"                                                                                   \
    "  - {name: Traefik, secret: " SECRET_A ", names: [svc.test, '*.svc.test']}\n"                 \
    "  - {name: inside, secret: " SECRET_B ", names: ['*.in.test'], networks: [10.0.0.0/8, "       \
    "'fd00::/8']}\n"                                                                               \
    "  - {name: all, secret: " SECRET_B ", names: ['*']}\n"
#define PREAUTHORIZED                                                                              \
    CLIENTS "  - {name: Pre, secret: " SECRET_B ", names: ['*'], networks: [10.1.0.0/16], "        \
            "preauthorized: true, limits: false, records: false}\n"

struct fixture {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
};

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
}

static struct config *parse(const char *yaml)
{
    struct buf problems = BUF_INIT(4096);
    struct config *cfg = NULL;

    if (config_parse("test.yaml", yaml, strlen(yaml), &problems, &cfg).code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    return cfg;
}

static struct err start(struct fixture *f)
{
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/t.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, &ACCESS_STORE_MODULE, 1, &f->store));
    return access_open(f->cfg, f->store, &f->access);
}

static void stop(struct fixture *f)
{
    store_close(f->store);
    access_close(f->access);
    f->access = NULL;
}

static struct fixture *fixture_new(const char *yaml)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    assert_non_null(f);
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-access-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->cfg = parse(yaml);
    must(start(f));
    return f;
}

static void fixture_free(struct fixture *f)
{
    static const char *const FILES[] = {"t.db", "t.db-wal", "t.db-shm"};

    stop(f);
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, FILES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    config_free(f->cfg);
    mem_free(f);
}

static struct ip_addr ip_of(const char *text)
{
    struct ip_addr ip;

    must(ip_parse(text, &ip));
    return ip;
}

static enum err_code auth(struct fixture *f, const char *name, const char *secret, const char *peer,
                          char *name_out, bool *is_network)
{
    struct ip_addr ip = ip_of(peer);

    return access_authenticate(f->access, name, secret, &ip, name_out, is_network).code;
}

static enum err_code add(struct fixture *f, const char *name, const char *secret,
                         const char *pattern, const char *network)
{
    char out[CLIENT_SECRET_MAX + 1];

    const struct access_new_client client = {
        .name = name,
        .secret = secret,
        .patterns = &pattern,
        .patterns_n = pattern == NULL ? 0 : 1,
        .networks = &network,
        .networks_n = network == NULL ? 0 : 1,
    };

    return access_client_create(f->access, &client, out).code;
}

static bool may(struct fixture *f, const char *client, const char *ident)
{
    struct ident id;

    must(ident_parse(ident, strlen(ident), &id, NULL));
    return access_may(f->access, client, &id);
}

/* arg: 64 bytes for the newest row of client.add. */
static struct err newest_detail(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT detail FROM audit WHERE event = 'client.add' ORDER BY id DESC LIMIT 1");

    if (db_step(q)) {
        (void)snprintf(arg, 64, "%s", db_col_text(q, 0, NULL));
    }
    return db_finish(q);
}

static void test_wrong_credentials(void **state)
{
    static const struct {
        const char *name, *secret;
    } BAD[] = {
        {"", ""},
        {"traefik", ""},
        {"traefik", SECRET_B},
        {"traefik", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"nobody", SECRET_A},
        {"traefik ", SECRET_A},
    };
    struct fixture *f = fixture_new(CLIENTS);
    char name[CLIENT_NAME_MAX + 1];
    char sentence[ERR_TEXT_MAX] = "";
    bool is_network = true;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        assert_int_equal(auth(f, BAD[i].name, BAD[i].secret, "10.0.0.1", name, &is_network),
                         ERR_DENIED);
        assert_false(is_network);
        if (i > 0) {
            assert_string_equal(err_trace()->text,
                                sentence); /* nothing tells a name from a secret */
        }
        memcpy(sentence, err_trace()->text, sizeof(sentence));
    }
    assert_int_equal(auth(f, "tRAEFIK", SECRET_A, "192.0.2.1", name, &is_network), ERR_OK);
    assert_string_equal(name, "Traefik"); /* the stored spelling */
    fixture_free(f);
}

static void test_networks(void **state)
{
    static const struct {
        const char *peer;
        enum err_code want;
    } CASES[] = {
        {"11.0.0.1", ERR_DENIED}, {"127.0.0.1", ERR_DENIED}, {"2001:db8::1", ERR_DENIED},
        {"10.255.0.1", ERR_OK},   {"fd00::1", ERR_OK},       {"::ffff:10.0.0.1", ERR_OK},
    };
    struct fixture *f = fixture_new(CLIENTS);
    char name[CLIENT_NAME_MAX + 1];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct ip_addr ip = ip_of(CASES[i].peer);
        bool is_network = false;
        assert_int_equal(auth(f, "inside", SECRET_B, CASES[i].peer, name, &is_network),
                         CASES[i].want);
        assert_int_equal(is_network, CASES[i].want != ERR_OK);
        assert_int_equal(access_network_ok(f->access, "inside", &ip), CASES[i].want == ERR_OK);
        assert_true(access_network_ok(f->access, "all", &ip));
        assert_false(access_network_ok(f->access, "nobody", &ip));
    }
    fixture_free(f);
}

static void test_throttle(void **state)
{
    struct fixture *f = fixture_new(CLIENTS);
    struct ip_addr peer = ip_of("10.0.0.1");
    char name[CLIENT_NAME_MAX + 1];
    bool is_network = false;
    (void)state;

    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        assert_false(access_is_throttled(f->access, &peer));
        if (i % 2 == 0) {
            access_count_failure(f->access, &peer);
        } else {
            assert_int_equal(auth(f, "all", "x", "10.0.0.1", name, &is_network), ERR_DENIED);
        }
    }
    assert_true(access_is_throttled(f->access, &peer));
    assert_int_equal(auth(f, "all", SECRET_B, "10.0.0.1", name, &is_network), ERR_LIMIT);
    assert_int_equal(auth(f, "all", SECRET_B, "10.0.0.2", name, &is_network), ERR_OK);
    clock_shift(60001);
    assert_int_equal(auth(f, "all", SECRET_B, "10.0.0.1", name, &is_network), ERR_OK);
    fixture_free(f);
}

static void test_policy(void **state)
{
    static const struct {
        const char *client, *ident;
        bool want;
    } CASES[] = {
        {"nobody", "svc.test", false},    {"traefik", "svc.test", true},
        {"traefik", "*.svc.test", true},  {"traefik", "a.b.svc.test", true},
        {"traefik", "xsvc.test", false},  {"traefik", "test", false},
        {"inside", "in.test", false},     {"inside", "*.in.test", true},
        {"inside", "x.in.test", true},    {"inside", "*.x.in.test", true},
        {"all", "anything.at.all", true},
    };
    struct fixture *f = fixture_new(CLIENTS);
    uint8_t hash[32], wanted[32];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        if (may(f, CASES[i].client, CASES[i].ident) != CASES[i].want) {
            fail_msg("%s and %s", CASES[i].client, CASES[i].ident);
        }
    }
    assert_false(access_may_publish(f->access, "nobody", "in.test"));
    assert_false(access_may_publish(f->access, "inside", "svc.test"));
    assert_true(access_may_publish(f->access, "inside", "in.test")); /* for *.in.test */
    assert_true(access_may_publish(f->access, "traefik", "svc.test"));
    assert_true(access_is_named(f->access, "svc.test"));
    assert_false(access_is_named(f->access, "x.svc.test")); /* by a wildcard only */
    assert_false(access_is_named(f->access, "in.test"));
    assert_false(access_is_named(f->access, ""));
    assert_int_equal(access_secret_hash(f->access, "nobody", hash).code, ERR_NOT_FOUND);
    must(access_secret_hash(f->access, "traefik", hash));
    must(sha256(SECRET_A, strlen(SECRET_A), wanted));
    assert_memory_equal(hash, wanted, sizeof(hash));
    fixture_free(f);
}

/* Neither a pattern nor a name that reads like one gives anybody an address. */
static void test_no_pattern_covers_addresses(void **state)
{
    static const char *const ADDRESSES[] = {"10.0.0.1", "fd00::1"};
    struct fixture *f = fixture_new(CLIENTS);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ADDRESSES); i++) {
        struct ident id;
        must(ident_ip_parse(ADDRESSES[i], strlen(ADDRESSES[i]), &id, NULL));
        assert_false(access_may(f->access, "all", &id));
        assert_false(access_may(f->access, "inside", &id)); /* whose networks hold it */
        assert_false(access_may_publish(f->access, "all", ADDRESSES[i]));
    }
    fixture_free(f);
}

static void test_mac_keys(void **state)
{
    static const struct {
        const char *name, *stored, *secret;
    } CASES[] = {{"traefik", "Traefik", SECRET_A}, {"ALL", "all", SECRET_B}};
    struct fixture *f = fixture_new(CLIENTS);
    uint8_t key[ACCESS_KEY_MAX], again[ACCESS_KEY_MAX], wanted[ACCESS_KEY_MAX];
    char name[CLIENT_NAME_MAX + 1] = "x";
    size_t len = 0, again_len = 0;
    (void)state;

    /* An unknown name: the sentence of a wrong secret, and a key to spend the time on. */
    assert_int_equal(access_key(f->access, "nobody", key, &len, name).code, ERR_NOT_FOUND);
    assert_string_equal(err_trace()->text,
                        "the client name or its secret is wrong: see 'bailiwick client list'");
    assert_string_equal(name, "");
    assert_int_equal(len, ACCESS_SECRET_LEN / 4 * 3);
    assert_int_equal(access_key(f->access, "no-one", again, &again_len, name).code, ERR_NOT_FOUND);
    assert_int_equal(again_len, len);
    memset(wanted, 0, sizeof(wanted));
    assert_memory_not_equal(key, wanted, len);

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        size_t wanted_len = sizeof(wanted);
        must(base64url_decode(CASES[i].secret, strlen(CASES[i].secret), wanted, &wanted_len));
        must(access_key(f->access, CASES[i].name, key, &len, name));
        assert_string_equal(name, CASES[i].stored);
        assert_int_equal(len, wanted_len);
        assert_memory_equal(key, wanted, wanted_len);
    }
    fixture_free(f);
}

static void test_longest_mac_key(void **state)
{
    char longest[CLIENT_SECRET_MAX + 1], out[CLIENT_SECRET_MAX + 1];
    static const char *const NAMES[] = {"x.test"};
    struct fixture *f = fixture_new(CLIENTS);
    uint8_t key[ACCESS_KEY_MAX];
    char name[CLIENT_NAME_MAX + 1];
    size_t len = 0;
    (void)state;

    memset(longest, 'c', CLIENT_SECRET_MAX);
    longest[CLIENT_SECRET_MAX] = '\0';
    const struct access_new_client client = {
        .name = "long", .secret = longest, .patterns = NAMES, .patterns_n = 1};
    must(access_client_create(f->access, &client, out));
    assert_string_equal(out, longest);
    must(access_key(f->access, "long", key, &len, name));
    assert_int_equal(len, ACCESS_KEY_MAX);
    fixture_free(f);
}

/* What the client "web" of the store is. */
static void expect_flags(struct fixture *f, bool is_preauthorized, bool has_limits,
                         bool has_records)
{
    struct access_client_info *list = NULL;
    size_t n = 0;

    assert_int_equal(access_is_preauthorized(f->access, "WEB"), is_preauthorized);
    assert_int_equal(access_has_limits(f->access, "WEB"), has_limits);
    assert_int_equal(access_has_records(f->access, "WEB"), has_records);
    must(access_list(f->access, &list, &n));
    assert_true(n >= 1);
    assert_string_equal(list[n - 1].name, "web");
    assert_int_equal(list[n - 1].is_preauthorized, is_preauthorized);
    assert_int_equal(list[n - 1].has_limits, has_limits);
    assert_int_equal(list[n - 1].has_records, has_records);
    access_list_free(list, n);
}

static void test_flags(void **state)
{
    static const struct {
        bool is_preauthorized, has_no_limits, has_no_records;
        const char *detail;
    } CASES[] = {
        {false, false, false, "x.test"},
        {true, false, false, "preauthorized; x.test"},
        {false, true, false, "no limits; x.test"},
        {false, false, true, "no records; x.test"},
        {true, true, true, "preauthorized; no limits; no records; x.test"},
    };
    static const char *const NAMES[] = {"x.test"};
    struct fixture *f = fixture_new(PREAUTHORIZED);
    char secret[CLIENT_SECRET_MAX + 1];
    (void)state;

    assert_false(access_is_preauthorized(f->access, "nobody"));
    assert_true(access_has_limits(f->access, "nobody"));
    assert_false(access_is_preauthorized(f->access, "all"));
    assert_true(access_has_limits(f->access, "all"));
    assert_true(access_is_preauthorized(f->access, "pre"));
    assert_false(access_has_limits(f->access, "pre"));
    assert_false(access_has_records(f->access, "nobody"));
    assert_true(access_has_records(f->access, "all"));
    assert_false(access_has_records(f->access, "pre"));
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        const struct access_new_client web = {.name = "web",
                                              .patterns = NAMES,
                                              .patterns_n = 1,
                                              .is_preauthorized = CASES[i].is_preauthorized,
                                              .has_no_limits = CASES[i].has_no_limits,
                                              .has_no_records = CASES[i].has_no_records};
        char detail[64] = "";
        must(access_client_create(f->access, &web, secret));
        expect_flags(f, CASES[i].is_preauthorized, !CASES[i].has_no_limits,
                     !CASES[i].has_no_records);
        stop(f);
        must(start(f));
        expect_flags(f, CASES[i].is_preauthorized, !CASES[i].has_no_limits,
                     !CASES[i].has_no_records);
        must(store_read(f->store, "test.audit", newest_detail, detail));
        assert_string_equal(detail, CASES[i].detail);
        must(access_client_remove(f->access, "web"));
        assert_false(access_is_preauthorized(f->access, "web"));
    }
    fixture_free(f);
}

/* A client without names signs transfers and may do nothing else. */
static void test_keys_without_names(void **state)
{
    static const char *const NAMES[] = {"x.test"};
    static const struct access_new_client BAD[] = {
        {.name = "ns2"},
        {.name = "ns2", .is_key_only = true, .patterns = NAMES, .patterns_n = 1},
        {.name = "ns2", .is_key_only = true, .is_preauthorized = true},
    };
    const struct access_new_client ns2 = {.name = "ns2", .is_key_only = true};
    struct fixture *f = fixture_new(CLIENTS "  - {name: ns1, secret: " SECRET_B ", names: []}\n");
    char secret[CLIENT_SECRET_MAX + 1];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        assert_int_equal(access_client_create(f->access, &BAD[i], secret).code, ERR_MALFORMED);
        assert_non_null(strstr(err_trace()->text, "client ns2 "));
    }
    assert_false(access_exists(f->access, "ns2"));
    must(access_client_create(f->access, &ns2, secret));
    stop(f);
    must(start(f));
    for (size_t i = 0; i < 2; i++) {
        static const char *const KEYS[] = {"ns1", "ns2"};
        uint8_t key[ACCESS_KEY_MAX];
        char name[CLIENT_NAME_MAX + 1];
        size_t len = 0;
        struct ident id;
        ident_from_stored("x.test", false, &id);
        assert_false(access_may(f->access, KEYS[i], &id));
        assert_false(access_may_publish(f->access, KEYS[i], "x.test"));
        must(access_key(f->access, KEYS[i], key, &len, name));
        assert_string_equal(name, KEYS[i]);
        assert_true(len >= CLIENT_SECRET_MIN / 4 * 3);
    }
    fixture_free(f);
}

static void test_networks_that_name_an_address(void **state)
{
    static const struct {
        const char *client, *address;
        bool want;
    } CASES[] = {
        {"nobody", "10.0.0.1", false}, {"all", "10.0.0.1", false}, /* anywhere names nothing */
        {"inside", "11.0.0.1", false}, {"inside", "10.0.0.1", true},   {"inside", "fd00::1", true},
        {"inside", "fe80::1", false},  {"INSIDE", "10.255.0.1", true},
    };
    struct fixture *f = fixture_new(CLIENTS);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct ip_addr ip = ip_of(CASES[i].address);
        if (access_network_names(f->access, CASES[i].client, &ip) != CASES[i].want) {
            fail_msg("%s and %s", CASES[i].client, CASES[i].address);
        }
    }
    fixture_free(f);
}

/* A database of before preauthorized and limits. */
static struct err add_old_row(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO client (name, secret, names, networks, created)"
                                       " VALUES ('web', ?1, 'x.test', '', 5)");
    (void)arg;

    db_bind_text(q, 1, SECRET_B);
    return db_run(q, NULL);
}

static void test_old_clients_get_the_defaults(void **state)
{
    struct fixture *f = fixture_new("zones: [{name: svc.test}]\n");
    struct store_module old = ACCESS_STORE_MODULE;
    char path[96];
    char name[CLIENT_NAME_MAX + 1];
    bool is_network = false;
    (void)state;

    stop(f);
    (void)snprintf(path, sizeof(path), "%s/t.db", f->dir);
    assert_int_equal(unlink(path), 0);
    const struct store_options options = {.path = path, .readers_max = 2};
    old.steps_n = 1;
    must(store_open(&options, &old, 1, &f->store));
    must(store_write(f->store, "test.old", add_old_row, NULL));
    store_close(f->store);
    must(start(f));
    expect_flags(f, false, true, true);
    assert_int_equal(auth(f, "web", SECRET_B, "10.0.0.1", name, &is_network), ERR_OK);
    fixture_free(f);
}

static void test_open_mode(void **state)
{
    struct fixture *f = fixture_new("zones: [{name: svc.test}]\n");
    struct ip_addr here = ip_of("127.0.0.1");
    struct ip_addr there = ip_of("8.8.8.8");
    (void)state;

    assert_false(access_is_open(f->access));
    assert_false(access_is_open_for(f->access, &here));
    fixture_free(f);
    f = fixture_new("zones: [{name: svc.test}]\nopen: true\n");
    assert_true(access_is_open_for(f->access, &here));
    assert_false(access_is_open_for(f->access, &there));
    fixture_free(f);
}

static void test_bad_clients_are_refused(void **state)
{
    static const struct {
        const char *name, *secret, *pattern, *network;
        enum err_code want;
    } CASES[] = {
        {"", NULL, "x.test", NULL, ERR_MALFORMED},
        {"-x", NULL, "x.test", NULL, ERR_MALFORMED},
        {"a b", NULL, "x.test", NULL, ERR_MALFORMED},
        {"open", NULL, "x.test", NULL, ERR_MALFORMED},
        {"OPEN", NULL, "x.test", NULL, ERR_MALFORMED},
        {"web", "short", "x.test", NULL, ERR_MALFORMED},
        {"web", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x.test", NULL, ERR_MALFORMED},
        {"web", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", "x.test", NULL, ERR_MALFORMED},
        {"web", NULL, NULL, NULL, ERR_MALFORMED},
        {"web", NULL, "", NULL, ERR_MALFORMED},
        {"web", NULL, "x..test", NULL, ERR_MALFORMED},
        {"web", NULL, "*.*.test", NULL, ERR_MALFORMED},
        {"web", NULL, "x.test,", NULL, ERR_MALFORMED},
        {"web", NULL, "x.test", "10.0.0.1/8", ERR_MALFORMED},
        {"web", NULL, "x.test", "nonsense", ERR_MALFORMED},
        {"web", NULL, "x.test", "", ERR_MALFORMED}, /* which must not mean anywhere */
        {"traefik", NULL, "x.test", NULL, ERR_CONFLICT},
        {"web", SECRET_B, "x.test,*.x.test", "10.0.0.0/8,::1", ERR_OK},
        {"WEB", SECRET_B, "x.test", NULL, ERR_CONFLICT},
    };
    struct fixture *f = fixture_new(CLIENTS);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        enum err_code got =
            add(f, CASES[i].name, CASES[i].secret, CASES[i].pattern, CASES[i].network);
        if (got != CASES[i].want) {
            fail_msg("case %zu: %s instead of %s: %s", i, err_name(got), err_name(CASES[i].want),
                     err_trace()->text);
        }
    }
    fixture_free(f);
}

static void test_added_clients_last(void **state)
{
    static const char *const NAMES[] = {"X.test", "*.x.test", "*"};
    struct fixture *f = fixture_new(CLIENTS);
    struct access_client_info *list = NULL;
    char secret[CLIENT_SECRET_MAX + 1], name[CLIENT_NAME_MAX + 1];
    bool is_network = false;
    size_t n = 0;
    (void)state;

    const struct access_new_client web = {.name = "web", .patterns = NAMES, .patterns_n = 3};
    must(access_client_create(f->access, &web, secret));
    assert_int_equal(strlen(secret), ACCESS_SECRET_LEN);
    assert_true(config_secret_ok(secret, NULL));
    assert_true(access_exists(f->access, "web"));
    stop(f);
    must(start(f));
    assert_int_equal(auth(f, "web", secret, "10.0.0.1", name, &is_network), ERR_OK);
    must(access_list(f->access, &list, &n));
    assert_int_equal(n, 4);
    assert_string_equal(list[0].name, "all");
    assert_string_equal(list[1].networks, "10.0.0.0/8,fd00::/8");
    assert_string_equal(list[3].name, "web");
    assert_string_equal(list[3].names, "x.test,*.x.test,*");
    assert_string_equal(list[3].networks, "");
    assert_false(list[3].is_from_config);
    assert_true(list[3].created_unix > 0);
    assert_true(list[2].is_from_config);
    access_list_free(list, n);
    fixture_free(f);
}

static void test_same_name_in_both_stops_the_start(void **state)
{
    struct fixture *f = fixture_new("zones: [{name: svc.test}]\n");
    (void)state;

    assert_int_equal(add(f, "traefik", SECRET_B, "x.test", NULL), ERR_OK);
    stop(f);
    config_free(f->cfg);
    f->cfg = parse(CLIENTS);
    assert_int_equal(start(f).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "both in the configuration and in the store"));
    fixture_free(f);
}

struct removed {
    int calls;
    enum err_code answer;
    char name[CLIENT_NAME_MAX + 1];
    bool is_there_in_tx;
    struct access *access;
};

static struct err on_remove(void *ctx, struct db *db, const char *client)
{
    struct removed *r = ctx;

    r->calls++;
    (void)snprintf(r->name, sizeof(r->name), "%s", client);
    TRY(access_exists_tx(r->access, db, client, &r->is_there_in_tx));
    if (r->answer != ERR_OK) {
        FAIL(r->answer, "the hook refuses");
    }
    return err_ok();
}

static void test_removal(void **state)
{
    struct fixture *f = fixture_new(CLIENTS);
    struct removed r = {0, ERR_DB, "", true, f->access};
    char name[CLIENT_NAME_MAX + 1];
    bool is_network = false;
    (void)state;

    must(access_on_remove(f->access, on_remove, &r));
    for (int i = 1; i < 8; i++) {
        static struct removed other;
        other.access = f->access;
        must(access_on_remove(f->access, on_remove, &other));
    }
    assert_int_equal(access_on_remove(f->access, on_remove, &r).code, ERR_INTERNAL);
    assert_int_equal(access_client_remove(f->access, "nobody").code, ERR_NOT_FOUND);
    assert_int_equal(access_client_remove(f->access, "traefik").code, ERR_DENIED);
    assert_int_equal(r.calls, 0);
    assert_int_equal(add(f, "web", SECRET_B, "x.test", NULL), ERR_OK);
    assert_int_equal(access_client_remove(f->access, "web").code, ERR_DB); /* all or nothing */
    assert_true(access_exists(f->access, "web"));
    assert_int_equal(auth(f, "web", SECRET_B, "10.0.0.1", name, &is_network), ERR_OK);
    r.answer = ERR_OK;
    must(access_client_remove(f->access, "WEB"));
    assert_string_equal(r.name, "web");
    assert_false(r.is_there_in_tx);
    assert_false(access_exists(f->access, "web"));
    assert_false(may(f, "web", "x.test"));
    assert_int_equal(auth(f, "web", SECRET_B, "10.0.0.1", name, &is_network), ERR_DENIED);
    assert_int_equal(add(f, "web", SECRET_B, "y.test", NULL), ERR_OK);
    assert_false(may(f, "web", "x.test"));
    assert_true(may(f, "web", "y.test"));
    fixture_free(f);
}

static struct err write_audit(struct db *db, void *arg)
{
    char longest[4096];
    struct ip_addr peer = ip_of("192.0.2.7");
    size_t removed_n = 0;
    (void)arg;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (int i = 0; i < 5; i++) {
        const struct audit_row row = {"a", "web", longest, &peer, longest};
        TRY(audit_write(db, &row));
    }
    const struct audit_row other = {"b", "", NULL, NULL, ""};
    TRY(audit_write(db, &other));
    TRY(audit_prune(db, "a", 2, &removed_n));
    assert_int_equal(removed_n, 3);
    TRY(audit_prune(db, "a", 2, &removed_n));
    assert_int_equal(removed_n, 0);
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*), MAX(LENGTH(detail)), MIN(id), MAX(peer) "
                                       "FROM audit WHERE event = 'a'");
    assert_true(db_step(q));
    assert_int_equal(db_col_int(q, 0), 2);
    assert_int_equal(db_col_int(q, 1), 512);
    assert_int_equal(db_col_int(q, 2), 4);
    assert_string_equal(db_col_text(q, 3, NULL), "192.0.2.7");
    return db_finish(q);
}

static void test_audit_rows_are_bounded(void **state)
{
    struct fixture *f = fixture_new(CLIENTS);
    (void)state;

    must(store_write(f->store, "test.audit", write_audit, NULL));
    fixture_free(f);
}

struct reader {
    struct fixture *f;
    atomic_bool *is_over;
    int wrong_n;
};

/* A client that comes and goes is seen whole or not at all. */
static void *read_policy(void *arg)
{
    struct reader *r = arg;
    const struct ident id = {.base = "x.test"};

    while (!atomic_load(r->is_over)) {
        struct access_client_info *list = NULL;
        size_t n = 0;
        (void)access_may(r->f->access, "web", &id);
        r->wrong_n += access_may(r->f->access, "traefik", &id) ? 1 : 0;
        if (access_list(r->f->access, &list, &n).code != ERR_OK || n < 3 || n > 4) {
            r->wrong_n++;
        }
        access_list_free(list, n);
    }
    return NULL;
}

static void test_lookups_during_changes(void **state)
{
    struct fixture *f = fixture_new(CLIENTS);
    atomic_bool is_over = false;
    struct reader readers[3];
    pthread_t threads[3];
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){f, &is_over, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_policy, &readers[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(add(f, "web", SECRET_B, "x.test", NULL), ERR_OK);
        must(access_client_remove(f->access, "web"));
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].wrong_n, 0);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_credentials),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_no_pattern_covers_addresses),
        cmocka_unit_test(test_mac_keys),
        cmocka_unit_test(test_longest_mac_key),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_keys_without_names),
        cmocka_unit_test(test_networks_that_name_an_address),
        cmocka_unit_test(test_old_clients_get_the_defaults),
        cmocka_unit_test(test_open_mode),
        cmocka_unit_test(test_bad_clients_are_refused),
        cmocka_unit_test(test_added_clients_last),
        cmocka_unit_test(test_same_name_in_both_stops_the_start),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_audit_rows_are_bounded),
        cmocka_unit_test(test_lookups_during_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
