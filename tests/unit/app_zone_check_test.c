/* A zone file tried out by the rules of the configuration. */
#include "bailiwick/zone_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/log.h"
#include "core/util/mem.h"

static const char CONFIG[] = "hostname: ca.a.test\naddresses: [10.0.0.53]\n"
                             "zones: [{name: a.test, file: /nonexistent/x}, "
                             "{name: b.test, plain: true}]\n";

/* zone_check() of `text`; the label of its problems is the path, which *path becomes. */
static enum err_code check(const char *zone, const char *text, char *path, struct buf *problems,
                           size_t *n)
{
    struct buf faults = BUF_INIT(4096);
    AUTO(config_freep) struct config *cfg = NULL;

    memcpy(path, "/tmp/bw-zone-XXXXXX", sizeof("/tmp/bw-zone-XXXXXX"));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    assert_int_equal(config_parse("t", CONFIG, sizeof(CONFIG) - 1, &faults, &cfg).code, ERR_OK);
    struct err e = zone_check(cfg, zone, path, problems, n);
    assert_int_equal(unlink(path), 0);
    return e.code;
}

static void faults_have_their_line(void **state)
{
    static const struct {
        const char *zone, *text;
        unsigned line;
    } cases[] = {
        {"a.test", "$TTL 60\nx A 10.0.0\n", 2},
        {"a.test", "x A 10.0.0.1\n\ny BOGUS 1\n", 3},
        {"a.test", "x.example.org. A 10.0.0.1\n", 1},
        {"a.test", "$INCLUDE other\n", 1},
        {"a.test", "y A 10.0.0.1\nx A 10.0.0.1\nx CNAME y\n", 2}, /* its first */
        {"a.test", "_acme-challenge.x TXT \"a\"\n", 1},
        {"other.test", "x.a.test. A 10.0.0.1\n", 1},
    };
    char path[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct buf problems = BUF_INIT(65536);
        char wanted[64];
        size_t n = 0;
        assert_int_equal(check(cases[i].zone, cases[i].text, path, &problems, &n), ERR_OK);
        (void)snprintf(wanted, sizeof(wanted), "%s:%u: ", path, cases[i].line);
        if (strstr(buf_str(&problems), wanted) == NULL) {
            fail_msg("%s: wanted %s, got %s", cases[i].text, wanted, buf_str(&problems));
        }
        buf_clear(&problems);
    }
}

static void good_files_are_counted(void **state)
{
    static const struct {
        const char *zone, *text;
    } cases[] = {
        {"a.test", "$TTL 60\nx A 10.0.0.1\ny 5 TXT a b\n"},
        {"b.test",
         "_acme-challenge.x CNAME a.b.\n@ MX 10 x\n"}, /* plain: nothing stands in the way */
        {"other.test", "$ORIGIN other.test.\nx A 10.0.0.1\n* A 10.0.0.2\n"},
    };
    char path[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct buf problems = BUF_INIT(65536);
        size_t n = 0;
        assert_int_equal(check(cases[i].zone, cases[i].text, path, &problems, &n), ERR_OK);
        assert_string_equal(buf_str(&problems), "");
        assert_int_equal(n, 2);
        buf_clear(&problems);
    }
}

static int quiet(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_have_their_line),
        cmocka_unit_test(good_files_are_counted),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
