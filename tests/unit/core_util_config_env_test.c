/* The environment, files it names, and which of file and environment wins. */
#include "core/util/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define SECRET "aaaaBBBBccccDDDDeeeeFFFF00001111"
#define PROBLEMS_MAX 65536u
#define ENV_MAX 10

static char file_path[64];

static void write_file(const char *text)
{
    FILE *file = fopen(file_path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_file(void **state)
{
    (void)state;
    (void)snprintf(file_path, sizeof(file_path), "/tmp/bw_config_XXXXXX");
    int fd = mkstemp(file_path);
    return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_path);
}

/* Load with up to ENV_MAX - 1 variables and the file. */
static struct err load(const char *const *variables, struct buf *problems, struct config **out)
{
    char *env[ENV_MAX] = {NULL};
    size_t n = 0;

    while (n < ENV_MAX - 1 && variables[n] != NULL) {
        env[n] = mem_strdup(variables[n]);
        assert_non_null(env[n]);
        n++;
    }
    struct err e = config_load(file_path, env, problems, out);
    for (size_t i = 0; i < n; i++) {
        mem_free(env[i]);
    }
    return e;
}

struct bad_case {
    const char *variables[3];
    const char *line;
};

static const struct bad_case BAD[] = {
    {{"BAILIWICK_OPEN=fasle"},
     "environment: BAILIWICK_OPEN: 'fasle' is not a boolean; write true or false"},
    {{"BAILIWICK_OPN=true"},
     "environment: BAILIWICK_OPN: unknown variable; did you mean BAILIWICK_OPEN?"},
    {{"BAILIWICK_QUITE_ELSE=1"}, "environment: BAILIWICK_QUITE_ELSE: unknown variable\n"},
    {{"BAILIWICK_PORTS=1"}, "environment: BAILIWICK_PORTS: unknown variable"},
    {{"BAILIWICK_ZONES_NAME=x"}, "environment: BAILIWICK_ZONES_NAME: unknown variable"},
    {{"BAILIWICK_LISTEN_DNS=0.0.0.0:53,x"},
     "environment: BAILIWICK_LISTEN_DNS: 'x' is not an IPv4 or IPv6 address"},
    {{"BAILIWICK_HOSTNAME=a\nb"}, "environment: BAILIWICK_HOSTNAME: a control character"},
    {{"BAILIWICK_OPEN_FILE=/nonexistent/x"},
     "environment: BAILIWICK_OPEN_FILE: cannot read '/nonexistent/x': No such file"},
    {{"BAILIWICK_OPEN_FILE=/"}, "environment: BAILIWICK_OPEN_FILE: cannot read '/': it is not"},
    {{"BAILIWICK_LOG_LEVEL=info", "BAILIWICK_LOG_LEVEL_FILE=/dev/null"},
     "environment: BAILIWICK_LOG_LEVEL_FILE: the variable is set twice"},
    {{"BAILIWICK_ZONES=a.test=10.0.0.1+x"},
     "environment: BAILIWICK_ZONES: zones.ingress: 'x' is not an IPv4 or IPv6 address"},
    {{"BAILIWICK_ZONES=a.test,,b.test"}, "environment: BAILIWICK_ZONES: zones.name: '' is not a"},
    {{"BAILIWICK_ZONES=a.test,a.test"}, "environment: BAILIWICK_ZONES: zone 'a.test' is listed"},
    {{"BAILIWICK_CLIENTS=traefik:" SECRET},
     "environment: BAILIWICK_CLIENTS: a client is written name:secret:names[:networks]"},
    {{"BAILIWICK_CLIENTS=traefik:" SECRET ":"},
     "environment: BAILIWICK_CLIENTS: client 'traefik' has no names"},
    {{"BAILIWICK_CLIENTS=traefik::x.test"},
     "environment: BAILIWICK_CLIENTS: clients.secret: not a secret: it must have at least 32"},
    {{"BAILIWICK_CLIENTS=traefik+limits:" SECRET ":x.test"},
     "environment: BAILIWICK_CLIENTS: 'limits' is not preauthorized, no-limits, no-records or"},
    {{"BAILIWICK_CLIENTS=traefik+:" SECRET ":x.test"},
     "environment: BAILIWICK_CLIENTS: '' is not preauthorized, no-limits, no-records or no-names"},
    {{"BAILIWICK_CLIENTS=ns2+no-names:" SECRET ":x.test"},
     "environment: BAILIWICK_CLIENTS: client 'ns2' has no-names behind its name, and names"},
    {{"BAILIWICK_CLIENTS=ns2+no-names+preauthorized:" SECRET ":"},
     "environment: BAILIWICK_CLIENTS: client 'ns2' is preauthorized, but has no names"},
    {{"BAILIWICK_CLIENTS=+preauthorized:" SECRET ":x.test"},
     "environment: BAILIWICK_CLIENTS: clients.name: '' is not a client name"},
    {{"BAILIWICK_CLIENTS=traefik:" SECRET ":x.test:10.0.0.1/8"},
     "environment: BAILIWICK_CLIENTS: clients.networks: '10.0.0.1/8' has bits set"},
    {{"BAILIWICK_ACME_RATE_LIMITS={}"},
     "environment: BAILIWICK_ACME_RATE_LIMITS: unknown variable"},
    {{"BAILIWICK_ACME_RATE_LIMITS_ORDERS=many"},
     "environment: BAILIWICK_ACME_RATE_LIMITS_ORDERS: 'many' is not a whole number from 0"},
    {{"BAILIWICK_VALIDATION_HTTP_PORT="},
     "environment: BAILIWICK_VALIDATION_HTTP_PORT: '' is not a whole number from 1"},
    {{"BAILIWICK_PROFILES=week"},
     "environment: BAILIWICK_PROFILES: a profile is written name=lifetime[:usages[:key_types]]"},
    {{"BAILIWICK_PROFILES=week="},
     "environment: BAILIWICK_PROFILES: profiles.lifetime: '' is not a duration"},
    {{"BAILIWICK_PROFILES==7d"},
     "environment: BAILIWICK_PROFILES: profiles.name: '' is not a profile name"},
    {{"BAILIWICK_PROFILES=short=7d"},
     "environment: BAILIWICK_PROFILES: profiles.name: 'short' is built in"},
    {{"BAILIWICK_PROFILES=week=7d:server"},
     "environment: BAILIWICK_PROFILES: profiles.usages: 'server' is not one of server-auth, cl"},
    {{"BAILIWICK_PROFILES=week=7d:server-auth:"},
     "environment: BAILIWICK_PROFILES: profiles.key_types: the list is empty"},
    {{"BAILIWICK_PROFILES=week=7d::ec:rsa"},
     "environment: BAILIWICK_PROFILES: profiles.key_types: 'ec:rsa' is not one of ec, rsa"},
    {{"BAILIWICK_PROFILES=week=7d,week=8d"},
     "environment: BAILIWICK_PROFILES: profile 'week' is listed twice"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES=x"},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: a route is written name=server, with + between"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES=x.test="},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: the route for 'x.test' has no servers"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES==10.0.0.1"},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: '' is not a DNS name"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES=x.test=10.0.0.1+y"},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: 'y' is not an IPv4 or IPv6 address"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES=x.test=10.0.0.1,x.test=10.0.0.2"},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: 'x.test' is listed twice"},
    {{"BAILIWICK_DNS_FORWARD_ROUTES=x.test=10.0.0.1"},
     "environment: BAILIWICK_DNS_FORWARD_ROUTES: nobody may ask through this server"},
    {{"BAILIWICK_DNS_FORWARD_NETWORKS=10.0.0.0/8"},
     "environment: BAILIWICK_DNS_FORWARD_NETWORKS: there is no server to forward to"},
    {{"BAILIWICK_DNS_RATE_LIMIT=-1"},
     "environment: BAILIWICK_DNS_RATE_LIMIT: '-1' is not a whole number from 0 to 1000000"},
    {{"BAILIWICK_DELEGATE_ZONE=svc.test", "BAILIWICK_ZONES=svc.test"},
     "environment: BAILIWICK_DELEGATE_ZONE: 'svc.test' is a zone itself"},
    {{"BAILIWICK_TLS_CERT=/nonexistent/x", "BAILIWICK_TLS_KEY=/nonexistent/y"},
     "environment: BAILIWICK_TLS_CERT: '/nonexistent/x' cannot be read"},
};

static void refuses(void **state)
{
    (void)state;
    write_file("");
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct buf problems = BUF_INIT(PROBLEMS_MAX);
        struct config *cfg = NULL;
        struct err e = load(BAD[i].variables, &problems, &cfg);
        if (e.code != ERR_CONFIG || strstr(buf_str(&problems), BAD[i].line) == NULL) {
            print_error("for: %s\nwanted: %s\ngot: %s %s\n", BAD[i].variables[0], BAD[i].line,
                        err_name(e.code), buf_str(&problems));
            fail();
        }
        assert_null(strstr(buf_str(&problems), SECRET));
        buf_clear(&problems);
    }
}

static void environment_beats_file(void **state)
{
    static const char *const variables[] = {"BAILIWICK_ZONES=svc.test=10.0.0.1+fd00::1, home.arpa",
                                            "BAILIWICK_CLIENTS=traefik:" SECRET
                                            ":svc.test+*.svc.test:10.0.0.0/8+fd00::/8,"
                                            "two:" SECRET ":*,"
                                            "three+no-limits+preauthorized:" SECRET ":x.test",
                                            "BAILIWICK_OPEN=false",
                                            "BAILIWICK_LISTEN_HTTPS=127.0.0.1:8443",
                                            "BAILIWICK_LISTEN_HTTP=",
                                            "BAILIWICK_PORT_53_UDP=udp://10.0.0.1:53",
                                            "BAILIWICK_SERVICE_HOST=10.0.0.1",
                                            NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    AUTO(config_freep) struct config *cfg = NULL;

    (void)state;
    write_file("zones: [x.test]\nopen: true\nhostname: ca.svc.test\n"
               "clients: [{name: old, secret: " SECRET ", names: [x]}]\n");
    struct err e = load(variables, &problems, &cfg);
    assert_string_equal(buf_str(&problems), "");
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(cfg->path, file_path);
    assert_int_equal(cfg->zones_n, 2);
    assert_string_equal(cfg->zones[0].name, "svc.test");
    assert_int_equal(cfg->zones[0].ingress_n, 2);
    assert_string_equal(cfg->zones[1].name, "home.arpa");
    assert_int_equal(cfg->clients_n, 3);
    assert_false(cfg->clients[0].is_preauthorized);
    assert_true(cfg->clients[0].has_limits);
    assert_string_equal(cfg->clients[2].name, "three");
    assert_true(cfg->clients[2].is_preauthorized);
    assert_false(cfg->clients[2].has_limits);
    assert_string_equal(cfg->clients[0].secret, SECRET);
    assert_int_equal(cfg->clients[0].names_n, 2);
    assert_int_equal(cfg->clients[0].networks_n, 2);
    assert_int_equal(cfg->clients[1].networks_n, 0);
    assert_false(cfg->is_open);
    assert_int_equal(cfg->listen_http_n, 0);
    assert_string_equal(cfg->public_url, "https://ca.svc.test:8443");
    buf_clear(&problems);
}

static void dns_settings_come_from_the_environment(void **state)
{
    static const char *const variables[] = {
        "BAILIWICK_DNS_HMAC_MD5=true",
        "BAILIWICK_DNS_RATE_LIMIT=50",
        "BAILIWICK_DNS_QUERY_LOG=true",
        "BAILIWICK_DNS_FORWARD_NETWORKS=10.0.0.0/8,fd00::/8",
        "BAILIWICK_DNS_FORWARD_UPSTREAMS=1.1.1.1,[fd00::1]:5353",
        "BAILIWICK_DNS_FORWARD_ROUTES=corp.test=10.0.0.1+10.0.0.2:54, b.test=[fd00::2]:55",
        "BAILIWICK_CLIENTS=ns2+no-names+no-records:" SECRET "::10.0.0.1/32",
        NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    AUTO(config_freep) struct config *cfg = NULL;

    (void)state;
    write_file("dns: {forward: {routes: {old.test: [10.0.0.9]}}}\n");
    struct err e = load(variables, &problems, &cfg);
    assert_string_equal(buf_str(&problems), "");
    assert_int_equal(e.code, ERR_OK);
    const struct config_dns *dns = &cfg->dns;
    assert_true(dns->hmac_md5 && dns->query_log);
    assert_int_equal(dns->rate_limit, 50);
    assert_int_equal(dns->forward_networks_n, 2);
    assert_int_equal(dns->upstreams[1].port, 5353);
    assert_int_equal(dns->routes_n, 2);
    assert_string_equal(dns->routes[0].name, "corp.test");
    assert_int_equal(dns->routes[0].servers[0].port, 53);
    assert_int_equal(dns->routes[0].servers[1].port, 54);
    assert_string_equal(dns->routes[1].name, "b.test");
    assert_int_equal(dns->routes[1].servers[0].addr.family, 6);
    assert_int_equal(dns->routes[1].servers[0].port, 55);
    assert_int_equal(cfg->clients[0].names_n, 0);
    assert_int_equal(cfg->clients[0].networks_n, 1);
    assert_false(cfg->clients[0].has_records);
    buf_clear(&problems);
}

static void acme_settings_come_from_the_environment(void **state)
{
    static const char *const variables[] = {
        "BAILIWICK_PROFILES=week=7d, mtls=90d:server-auth+client-auth,ec=36h::ec+ed25519",
        "BAILIWICK_ACME_CAA=off",
        "BAILIWICK_ACME_IP_NETWORKS=10.0.0.0/8,fd00::/8",
        "BAILIWICK_ACME_RATE_LIMITS_NEW_ACCOUNTS=0",
        "BAILIWICK_ACME_EXTERNAL_ACCOUNT_REQUIRED=true",
        "BAILIWICK_VALIDATION_ALLOW=127.0.0.0/8",
        "BAILIWICK_VALIDATION_TLS_PORT=5001",
        NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    AUTO(config_freep) struct config *cfg = NULL;

    (void)state;
    write_file("profiles: [{name: old, lifetime: 7d}]\nacme: {caa: enforce}\n");
    struct err e = load(variables, &problems, &cfg);
    assert_string_equal(buf_str(&problems), "");
    assert_int_equal(e.code, ERR_OK);
    const struct config_acme *acme = &cfg->acme;
    assert_int_equal(acme->profiles_n, 3);
    assert_string_equal(acme->profiles[0].name, "week");
    assert_string_equal(acme->profiles[0].description, "7d, for servers");
    assert_int_equal(acme->profiles[0].lifetime_s, 7 * 86400);
    assert_string_equal(acme->profiles[1].name, "mtls");
    assert_true(acme->profiles[1].has_server_auth && acme->profiles[1].has_client_auth);
    assert_int_equal(acme->profiles[1].key_types, 7);
    assert_int_equal(acme->profiles[2].key_types, CONFIG_KEYS_EC | CONFIG_KEYS_ED25519);
    assert_true(acme->profiles[2].has_server_auth);
    assert_int_equal(acme->caa, CONFIG_CAA_OFF);
    assert_int_equal(acme->ip_networks_n, 2);
    assert_int_equal(acme->limit_new_accounts, 0);
    assert_true(acme->external_account_required);
    assert_int_equal(acme->allow_n, 1);
    assert_int_equal(acme->tls_port, 5001);
    buf_clear(&problems);
}

static void value_comes_from_a_file(void **state)
{
    char variable[96];
    const char *const variables[] = {variable, NULL};
    char *env[] = {variable, NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(config_freep) struct config *by_variable = NULL;

    (void)state;
    write_file("hostname: ca.from-file.test\n"); /* at once the configuration file ... */
    (void)snprintf(variable, sizeof(variable), "BAILIWICK_CONFIG=%s", file_path);
    assert_int_equal(config_load(NULL, env, &problems, &by_variable).code, ERR_OK);
    assert_string_equal(by_variable->hostname, "ca.from-file.test");

    write_file("debug\n"); /* ... and then the value of one variable */
    (void)snprintf(variable, sizeof(variable), "BAILIWICK_LOG_LEVEL_FILE=%s", file_path);
    assert_int_equal(load(variables, &problems, &cfg).code, ERR_CONFIG); /* it is no YAML mapping */
    assert_non_null(strstr(buf_str(&problems), ":1:1: expects a mapping"));
    assert_null(strstr(buf_str(&problems), "environment"));
    buf_clear(&problems);
}

static void secret_comes_from_a_file(void **state)
{
    char text[256];
    static const char *const none[] = {NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    char secret_path[] = "/tmp/bw_secret_XXXXXX";
    AUTO(config_freep) struct config *cfg = NULL;
    int fd = mkstemp(secret_path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SECRET "\n", sizeof(SECRET)), sizeof(SECRET));
    assert_int_equal(close(fd), 0);
    (void)snprintf(text, sizeof(text), "clients: [{name: a, secret_file: %s, names: [x]}]\n",
                   secret_path);
    write_file(text);
    assert_int_equal(load(none, &problems, &cfg).code, ERR_OK);
    assert_string_equal(cfg->clients[0].secret, SECRET);

    (void)snprintf(text, sizeof(text),
                   "clients: [{name: a, secret: " SECRET ", secret_file: %s, names: [x]}]\n",
                   secret_path);
    write_file(text);
    struct config *twice = NULL;
    assert_int_equal(load(none, &problems, &twice).code, ERR_CONFIG);
    assert_non_null(strstr(buf_str(&problems), "the client has a secret already"));
    assert_int_equal(unlink(secret_path), 0);
    buf_clear(&problems);
}

static void named_file_must_exist(void **state)
{
    char *env[] = {NULL};
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct config *cfg = NULL;

    (void)state;
    assert_int_equal(config_load("/nonexistent/b.yaml", env, &problems, &cfg).code, ERR_CONFIG);
    assert_string_equal(buf_str(&problems), "/nonexistent/b.yaml: cannot read "
                                            "'/nonexistent/b.yaml': No such file or directory\n");
    buf_clear(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(environment_beats_file),
        cmocka_unit_test(dns_settings_come_from_the_environment),
        cmocka_unit_test(acme_settings_come_from_the_environment),
        cmocka_unit_test(value_comes_from_a_file),
        cmocka_unit_test(secret_comes_from_a_file),
        cmocka_unit_test(named_file_must_exist),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
