/* The printed blocks: quoting, URLs, and what changes with ports and names. */
#include "bailiwick/snippets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define SECRET "aaaaBBBBccccDDDDeeeeFFFF00001111"

static void quoting_gives_one_shell_word(void **state)
{
    static const struct {
        const char *text;
        const char *word;
    } cases[] = {
        {"", "''"},
        {"a b", "'a b'"},
        {"it's", "'it'\\''s'"},
        {"'", "''\\'''"},
        {"*.svc.test", "'*.svc.test'"},
        {"$(x) `y` \"z\" \\", "'$(x) `y` \"z\" \\'"},
        {"[::1]:53", "'[::1]:53'"},
        {"~", "'~'"},
        {"a;b", "'a;b'"},
        {"https://u:p@ca.svc.test:8443/a-b_c", "https://u:p@ca.svc.test:8443/a-b_c"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct buf out = BUF_INIT(256);
        snippets_quote(&out, cases[i].text);
        assert_string_equal(buf_str(&out), cases[i].word);
        buf_clear(&out);
    }
}

/* The blocks for a configuration and patterns; the caller clears. */
static void write_some_blocks(const char *yaml, const char *const *patterns,
                              const char *fingerprint, bool is_preauthorized, struct buf *out)
{
    struct buf problems = BUF_INIT(65536);
    AUTO(config_freep) struct config *cfg = NULL;
    struct name_pattern names[4];
    size_t n = 0;

    assert_int_equal(config_parse("t", yaml, strlen(yaml), &problems, &cfg).code, ERR_OK);
    for (; patterns[n] != NULL; n++) {
        assert_int_equal(name_pattern_parse(patterns[n], strlen(patterns[n]), &names[n], NULL).code,
                         ERR_OK);
    }
    struct snippet_facts facts = {cfg, "traefik",   SECRET,           names,
                                  n,   fingerprint, is_preauthorized, n == 0};
    snippets_write(&facts, out);
    assert_int_equal(buf_check(out).code, ERR_OK);
    buf_clear(&problems);
}

static void write_blocks(const char *yaml, const char *const *patterns, const char *fingerprint,
                         struct buf *out)
{
    write_some_blocks(yaml, patterns, fingerprint, false, out);
}

static const char STANDARD[] = "hostname: ca.svc.test\naddresses: ['fd00::1', 10.0.0.1]\n"
                               "zones: [svc.test]\n";
static const char *const BOTH[] = {"svc.test", "*.svc.test", NULL};

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

static void standard_ports(void **state)
{
    static const char *const lines[] = {
        "# --- lego, httpreq ---\n",
        "# --- lego 4.22 or newer, acme-dns with HTTP storage ---\n",
        "# --- Traefik, httpreq ---\n",
        "# --- Traefik, acme-dns with HTTP storage ---\n",
        "curl -fsS -o root.pem http://10.0.0.1:80/root.pem\n",
        "# with:    0A:FF\n",
        "export LEGO_CA_CERTIFICATES=\"$PWD/root.pem\"\nexport SSL_CERT_FILE=\"$PWD/root.pem\"\n",
        "export HTTPREQ_ENDPOINT=https://ca.svc.test/httpreq\nexport HTTPREQ_USERNAME=traefik\n"
        "export HTTPREQ_PASSWORD=" SECRET "\n",
        "export ACME_DNS_API_BASE=https://traefik:" SECRET "@ca.svc.test/acme-dns\n"
        "export ACME_DNS_STORAGE_BASE_URL=https://traefik:" SECRET
        "@ca.svc.test/acme-dns/storage\n",
        "--server https://ca.svc.test/acme/directory --dns httpreq",
        "--dns.resolvers 10.0.0.1:53",
        " --domains svc.test --domains '*.svc.test'\n",
        "  lego run \"$@\"\n",
        "  lego \"$@\" run\n",
        "caServer: \"https://ca.svc.test/acme/directory\"\n      caCertificates: [root.pem]\n",
        "resolvers: [\"10.0.0.1:53\"]\n",
        "- main: \"svc.test\"\n            sans: [\"*.svc.test\"]\n",
        "\n# --- nsupdate, RFC 2136 ---\n(umask 077 && cat > traefik.key <<'EOF'\n"
        "key \"traefik\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\nEOF\n)\n",
        "# nsupdate -k traefik.key <<'EOF'\n# server 10.0.0.1 53\n"
        "# update add svc.test. 300 A 10.0.0.7\n# send\n# EOF\n",
        "\n# --- lego, rfc2136 ---\n",
        "export RFC2136_NAMESERVER=10.0.0.1:53\nexport RFC2136_TSIG_ALGORITHM=hmac-sha256.\n"
        "export RFC2136_TSIG_KEY=traefik\nexport RFC2136_TSIG_SECRET=" SECRET
        "\nexport RFC2136_SEQUENCE_INTERVAL=1\n",
        "--server https://ca.svc.test/acme/directory --dns rfc2136",
        "\n# --- certbot, dns-rfc2136 ---\n",
        "dns_rfc2136_server = 10.0.0.1\ndns_rfc2136_port = 53\ndns_rfc2136_name = traefik\n"
        "dns_rfc2136_secret = " SECRET "\ndns_rfc2136_algorithm = HMAC-SHA256\n",
        "  --dns-rfc2136-propagation-seconds 0 -d svc.test -d '*.svc.test'\n",
        "\n# --- acme.sh, dns_nsupdate ---\n",
        "export NSUPDATE_SERVER=10.0.0.1\nexport NSUPDATE_SERVER_PORT=53\n"
        "export NSUPDATE_KEY=\"$PWD/traefik.key\"\n",
        "  --dns dns_nsupdate --dnssleep 2 -d svc.test -d '*.svc.test'\n",
        "\n# --- Caddy, rfc2136 ---\n",
        "\tacme_ca_root root.pem\n\tacme_dns rfc2136 {\n\t\tkey_name traefik\n"
        "\t\tkey_alg hmac-sha256\n\t\tkey " SECRET "\n\t\tserver 10.0.0.1:53\n\t}\n}\n\n"
        "svc.test, *.svc.test {\n\ttls {\n\t\tresolvers 10.0.0.1:53\n\t}\n\trespond ",
    };
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_blocks(STANDARD, BOTH, "0aff", &out);
    for (size_t i = 0; i < ARRAY_N(lines); i++) {
        if (strstr(buf_str(&out), lines[i]) == NULL) {
            fail_msg("missing: %s", lines[i]);
        }
    }
    assert_int_equal(occurrences(buf_str(&out), "\n# --- ") + 1, 10);
    assert_null(strstr(buf_str(&out), "disable"));
    assert_null(strstr(buf_str(&out), "preauthorized"));
    assert_null(strstr(buf_str(&out), "tlsChallenge"));
    buf_clear(&out);
}

static void a_key_has_one_block(void **state)
{
    static const char *const lines[] = {
        "key \"traefik\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET "\";\n};\n",
        "#   - id: traefik\n#     algorithm: hmac-sha256\n#     secret: " SECRET "\n",
        "#   name: \"traefik\"\n#   algorithm: hmac-sha256\n#   secret: \"" SECRET "\"\n",
    };
    static const char *const none[] = {NULL};
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_blocks(STANDARD, none, NULL, &out);
    for (size_t i = 0; i < ARRAY_N(lines); i++) {
        if (strstr(buf_str(&out), lines[i]) == NULL) {
            fail_msg("missing: %s", lines[i]);
        }
    }
    assert_int_equal(occurrences(buf_str(&out), "# --- "), 1);
    assert_null(strstr(buf_str(&out), "acme"));
    buf_clear(&out);
}

static void every_client_gets_its_binding(void **state)
{
    static const char *const lines[] = {
        "\n# --- ACME external account binding ---\n",
        "\n# key id:   traefik\n# HMAC key: " SECRET "\n",
        "certbot register --server https://ca.svc.test/acme/directory \\\n",
        "# acme.sh:  acme.sh --register-account --server https://ca.svc.test/acme/directory \\\n",
        " --eab-kid traefik --eab-hmac-key " SECRET "\n",
        " --eab --eab.kid traefik --eab.hmac " SECRET "\n",
        " --eab --kid traefik --hmac " SECRET "\n",
        "#   acme_eab {\n#     key_id traefik\n#     mac_key " SECRET "\n#   }\n",
        "#   eab:\n#     kid: \"traefik\"\n#     hmacEncoded: \"" SECRET "\"\n",
    };
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_blocks(STANDARD, BOTH, NULL, &out);
    const char *block = strstr(buf_str(&out), "# --- ACME external");
    assert_non_null(block);
    for (size_t i = 0; i < ARRAY_N(lines); i++) {
        if (strstr(block - 1, lines[i]) == NULL) {
            fail_msg("missing: %s", lines[i]);
        }
    }
    /* it is the last block, and nothing of it runs */
    for (const char *line = block; line != NULL && line[1] != '\0'; line = strchr(line + 1, '\n')) {
        assert_int_equal(line[line[0] == '\n' ? 1 : 0], '#');
    }
    buf_clear(&out);
}

static void preauthorized_clients_need_no_challenge(void **state)
{
    static const char caddy[] = "cat > Caddyfile <<'EOF'\n"
                                "{\n"
                                "\temail hostmaster@svc.test\n"
                                "\tacme_ca https://ca.svc.test/acme/directory\n"
                                "\tacme_ca_root root.pem\n"
                                "\tacme_eab {\n"
                                "\t\tkey_id traefik\n"
                                "\t\tmac_key " SECRET "\n"
                                "\t}\n"
                                "}\n"
                                "\n"
                                "svc.test, *.svc.test {\n";
    static const char traefik[] = "      caServer: \"https://ca.svc.test/acme/directory\"\n"
                                  "      caCertificates: [root.pem]\n"
                                  "      eab:\n"
                                  "        kid: \"traefik\"\n"
                                  "        hmacEncoded: \"" SECRET "\"\n"
                                  "      tlsChallenge: {}";
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_some_blocks(STANDARD, BOTH, NULL, true, &out);
    assert_int_equal(
        strncmp(buf_str(&out), "# --- Caddy, preauthorized: no challenge ---\ncurl ", 49), 0);
    assert_non_null(strstr(buf_str(&out), caddy));
    const char *block = strstr(buf_str(&out), "\n# --- Traefik, preauthorized: no challenge ---\n");
    assert_non_null(block);
    assert_non_null(strstr(block, traefik));
    assert_true(strstr(block, "export LEGO_CA_CERTIFICATES") < strstr(block, traefik));
    assert_non_null(strstr(buf_str(&out), "belongs to the client and needs no challenges.\n"));
    assert_int_equal(occurrences(buf_str(&out), "\n# --- ") + 1, 12);
    buf_clear(&out);
}

static void other_ports_turn_the_propagation_check_off(void **state)
{
    static const char yaml[] =
        "hostname: ca.svc.test\nzones: [svc.test]\n"
        "listen: {https: ['127.0.0.1:8443'], http: [], dns: ['[::1]:5353']}\n";
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_blocks(yaml, BOTH, NULL, &out);
    assert_non_null(
        strstr(buf_str(&out), "curl -fsSk -o root.pem https://ca.svc.test:8443/root.pem\n"));
    assert_non_null(strstr(buf_str(&out), "the root SHA-256 line of 'bailiwick status'"));
    assert_non_null(strstr(buf_str(&out), "--dns.resolvers '[::1]:5353'"));
    assert_non_null(strstr(buf_str(&out), "lego run \"$@\" --dns.propagation.disable-ans\n"));
    assert_non_null(strstr(buf_str(&out), "lego \"$@\" --dns.disable-cp run\n"));
    assert_non_null(strstr(buf_str(&out), "disableANSChecks: true\n"));
    buf_clear(&out);
}

static void certificate_names_are_what_the_client_may_have(void **state)
{
    static const struct {
        const char *patterns[3];
        const char *domains;
    } cases[] = {
        {{"nas.svc.test"}, " --domains nas.svc.test\n"},
        {{"*.svc.test"}, " --domains '*.svc.test'\n"},
        {{"*"}, " --domains svc.test --domains '*.svc.test'\n"},
        {{"a.test", "*.test"}, " --domains a.test --domains '*.a.test'\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct buf out = BUF_INIT(SNIPPETS_MAX);
        write_blocks(STANDARD, cases[i].patterns, NULL, &out);
        if (strstr(buf_str(&out), cases[i].domains) == NULL) {
            fail_msg("wanted %s in %s", cases[i].domains, buf_str(&out));
        }
        buf_clear(&out);
    }
}

static void unserved_zones_are_not_asked_here(void **state)
{
    static const char yaml[] = "hostname: ca.svc.test\nzones: [{name: svc.test, serve: false}]\n";
    struct buf out = BUF_INIT(SNIPPETS_MAX);

    (void)state;
    write_blocks(yaml, BOTH, NULL, &out);
    assert_null(strstr(buf_str(&out), "resolvers"));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting_gives_one_shell_word),
        cmocka_unit_test(standard_ports),
        cmocka_unit_test(a_key_has_one_block),
        cmocka_unit_test(every_client_gets_its_binding),
        cmocka_unit_test(preauthorized_clients_need_no_challenge),
        cmocka_unit_test(other_ports_turn_the_propagation_check_off),
        cmocka_unit_test(certificate_names_are_what_the_client_may_have),
        cmocka_unit_test(unserved_zones_are_not_asked_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
