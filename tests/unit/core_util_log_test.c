/* Log lines: one per event, whatever a peer sent. */
#include "core/util/log.h"
#include "core/util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define CAPTURE_MAX 65536

/* Standard error goes to a file while the events are written; `out` gets what arrived. */
struct capture {
    int saved;
    int file;
};

static struct capture capture_start(void)
{
    char path[] = "/tmp/log-test-XXXXXX";
    struct capture c = {dup(STDERR_FILENO), mkstemp(path)};

    assert_true(c.saved >= 0 && c.file >= 0);
    (void)unlink(path);
    assert_true(dup2(c.file, STDERR_FILENO) >= 0);
    return c;
}

static void capture_end(struct capture *c, char out[CAPTURE_MAX])
{
    assert_true(dup2(c->saved, STDERR_FILENO) >= 0);
    ssize_t n = pread(c->file, out, CAPTURE_MAX - 1, 0);
    assert_true(n >= 0);
    out[n] = '\0';
    (void)close(c->saved);
    (void)close(c->file);
}

static const char HOSTILE[] = "a\nlevel=error \"q\" \\ \x1b[31m \x7f \xc3\xa4=";

static void test_levels(void **state)
{
    char out[CAPTURE_MAX];

    (void)state;
    log_setup(LOG_WARN, LOG_TEXT);
    struct capture c = capture_start();
    log_ev(LOG_DEBUG, "no", {"a", "b"});
    log_ev(LOG_INFO, "no", {"a", "b"});
    log_write(LOG_INFO, "no", NULL, 0);
    capture_end(&c, out);
    assert_string_equal(out, "");
    assert_true(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN) && !log_enabled(LOG_INFO));
}

static void test_text(void **state)
{
    char out[CAPTURE_MAX];

    (void)state;
    log_setup(LOG_DEBUG, LOG_TEXT);
    log_scope("id42");
    assert_string_equal(log_scope_get(), "id42");
    struct capture c = capture_start();
    errno = EPIPE;
    log_ev(LOG_INFO, "t.one", {"plain", "a-b/c"}, {"none", NULL}, {"empty", ""}, {"n", log_int(-5)},
           {"bad", HOSTILE});
    assert_int_equal(errno, EPIPE);
    log_scope(NULL);
    log_ev(LOG_ERROR, "t.two", {"x", "y"});
    capture_end(&c, out);
    assert_null(log_scope_get());
    assert_int_equal(strncmp(out, "time=", 5), 0);
    assert_non_null(strstr(out, "Z level=info scope=id42 ev=t.one plain=a-b/c empty=\"\" n=-5 "
                                "bad=\"a\\x0alevel=error \\\"q\\\" \\\\ \\x1b[31m \\x7f "
                                "\\xc3\\xa4=\"\ntime="));
    assert_non_null(strstr(out, " level=error ev=t.two x=y\n"));
}

static void test_json(void **state)
{
    char out[CAPTURE_MAX];

    (void)state;
    log_setup(LOG_DEBUG, LOG_JSON);
    log_scope("id43");
    struct capture c = capture_start();
    log_ev(LOG_WARN, "t.json", {"bad", HOSTILE}, {"none", NULL}, {"n", log_int(7)});
    capture_end(&c, out);
    log_scope(NULL);
    char *end = strchr(out, '\n');
    assert_non_null(end);
    assert_int_equal(end[1], '\0');
    json_t *line = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(line, "scope")), "id43");
    assert_string_equal(json_string_value(json_object_get(line, "ev")), "t.json");
    assert_string_equal(json_string_value(json_object_get(line, "n")), "7");
    assert_null(json_object_get(line, "none"));
    assert_non_null(strstr(json_string_value(json_object_get(line, "bad")), "a\nlevel=error"));
    json_decref(line);
}

/* Whatever the lengths, a line stays one well-formed line that ends. */
static void test_long_values(void **state)
{
    static char value[4000];
    char out[CAPTURE_MAX];

    (void)state;
    for (size_t n = 1900; n < 2060; n++) {
        for (int is_json = 0; is_json < 2; is_json++) {
            memset(value, n % 2 == 0 ? 'x' : '\x01', n);
            value[n] = '\0';
            log_setup(LOG_INFO, is_json == 1 ? LOG_JSON : LOG_TEXT);
            struct capture c = capture_start();
            log_ev(LOG_INFO, "t.long", {"a", value}, {"b", value}, {"c", value},
                   {"d", value + 1960}, {"e", value}, {"f", "short"});
            capture_end(&c, out);
            size_t len = strlen(out);
            assert_true(len > 0 && len <= 8194 && out[len - 1] == '\n');
            assert_ptr_equal(strchr(out, '\n'), out + len - 1);
            if (is_json == 1) {
                json_t *line = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
                assert_non_null(line);
                json_decref(line);
            }
        }
    }
}

static struct err fail_here(void)
{
    FAIL(ERR_DENIED, "not for %s", "you");
}

static void test_failure(void **state)
{
    char out[CAPTURE_MAX];

    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    struct capture c = capture_start();
    log_err(LOG_WARN, "t.fail", fail_here());
    capture_end(&c, out);
    assert_non_null(strstr(out, " level=warn ev=t.fail err=denied at="));
    assert_non_null(strstr(out, "core_util_log_test.c:"));
    assert_non_null(strstr(out, " msg=\"not for you\"\n"));
}

static void test_int_ring(void **state)
{
    (void)state;
    const char *first = log_int(INT64_MIN);
    const char *last = NULL;
    for (int i = 0; i < 7; i++) {
        last = log_int(i);
    }
    assert_string_equal(first, "-9223372036854775808");
    assert_string_equal(last, "6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),  cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_failure), cmocka_unit_test(test_int_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
