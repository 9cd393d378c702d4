#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"
#include "dns/zone_file.h"

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s (%s:%d)", err_name(e.code), err_trace()->text, err_trace()->file,
                 err_trace()->line);
    }
}

static struct err put(void *arg, unsigned line, const struct dns_rr *rr)
{
    struct buf *out = arg;

    buf_printf(out, "%u ", line);
    return rr_text(rr, out);
}

static struct err parse(const char *text, size_t len, struct buf *out, struct buf *problems)
{
    return zone_file_parse("f", text, len, "svc.dev", 300, put, out, problems);
}

static void faults(void **state)
{
    static const struct {
        const char *text, *wanted; /* of problems */
    } CASES[] = {
        {"$INCLUDE other\n", "f:1: $INCLUDE is not supported; the records themselves were"},
        {"$GENERATE 1-2 a A 10.0.0.$\n", "f:1: '$GENERATE' is no directive; $ORIGIN or $TTL"},
        {"$TTL\n", "f:1: nothing behind $TTL; a value was expected"},
        {"$TTL 1y\n", "f:1: '1y' is no TTL"},
        {"$TTL 2147483648\n", "f:1: '2147483648' is no TTL"},
        {"$TTL 1 2\n", "f:1: '2' behind the value of $TTL; the end of the line"},
        {"$ORIGIN a..b\n", "f:1: a name with an empty label"},
        {" A 10.0.0.1\n", "f:1: a record without a name, and none before it"},
        {"\n; x\na A 10.0.0\n",
         "f:3: '10.0.0' is no IPv4 address; one like 10.8.10.7 was expected"},
        {"a CH A 10.0.0.1\n", "f:1: class CH; IN was expected"},
        {"a CLASS3 A 10.0.0.1\n", "f:1: class CLASS3; IN was expected"},
        {"a\n", "f:1: the record ends early; a type was expected"},
        {"a IN\n", "f:1: the record ends early; a type was expected"},
        {"a IN IN A 10.0.0.1\n", "f:1: 'IN' is no type"},
        {"a 1 2 A 10.0.0.1\n", "f:1: '2' is no type"},
        {"a 99999999999 A 10.0.0.1\n", "f:1: '99999999999' is no TTL"},
        {"a FOO x\n", "f:1: 'FOO' is no type; one like A or TXT was expected"},
        {"a OPT x\n", "f:1: OPT is no type that a record in a zone has"},
        {"a RRSIG x\n", "f:1: RRSIG records are not supported, this server does not sign"},
        {"a.svc.test. A 10.0.0.1\n", "f:1: a.svc.test. is not in this zone"},
        {"$ORIGIN test.\na A 10.0.0.1\n", "f:2: a is not in this zone"},
        {"xsvc.dev. A 10.0.0.1\n", "f:1: xsvc.dev. is not in this zone"},
        {"\"a\" A 10.0.0.1\n", "f:1: a quoted owner; a name was expected"},
        {"a TXT (\n\"b\"\n", "f:1: a '(' is not closed; a ')' was expected"},
        {"a TXT )b\n", "f:1: a ')' without its '('"},
        {"a TXT \"b\nc A 10.0.0.1\n", "f:1: a quote is not closed"},
        {"a TXT b\\", "f:1: the line ends in the middle of an escape"},
        {"a A 10.0.0.1 10.0.0.2\nb A 10.0.0.1\nc AAAA x\n",
         "f:1: '10.0.0.2' is more than this type has; the end of the line was expected\nf:3: 'x'"},
        {"a TXT b\001c\n", "f:1: a control character"},
        {"a MX ( 10\n\n\n mail\n more )\n", "f:1: 'more' is more than this type has"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct buf out = BUF_INIT(4096);
        struct buf problems = BUF_INIT(4096);
        struct err e = parse(CASES[i].text, strlen(CASES[i].text), &out, &problems);
        if (e.code != ERR_MALFORMED ||
            strncmp(buf_str(&problems), CASES[i].wanted, strlen(CASES[i].wanted)) != 0) {
            fail_msg("'%s': %d %s", CASES[i].text, (int)e.code, buf_str(&problems));
        }
        buf_clear(&out);
        buf_clear(&problems);
    }
}

static void sizes(void **state)
{
    struct buf out = BUF_INIT(1u << 20);
    struct buf problems = BUF_INIT(1u << 20);
    struct buf text = BUF_INIT(1u << 20);
    unsigned lines_n = 0;

    (void)state;
    /* A long line, and what is on the next one is read. */
    buf_puts(&text, "a TXT ");
    for (unsigned i = 0; i < ZONE_FILE_LINE_MAX; i++) {
        buf_putc(&text, 'x');
    }
    buf_puts(&text, "\nb A 10.0.0.1\n");
    assert_int_equal(parse(buf_str(&text), text.len, &out, &problems).code, ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "f:1: a line that is too long"));
    assert_string_equal(buf_str(&out), "2 b.svc.dev.\t300\tIN\tA\t10.0.0.1\n");
    /* The same in parentheses. */
    buf_reset(&text);
    buf_reset(&problems);
    buf_puts(&text, "a TXT (\n");
    for (unsigned i = 0; i < 2000; i++) {
        buf_puts(&text, "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n");
    }
    buf_puts(&text, ")\n");
    assert_int_equal(parse(buf_str(&text), text.len, &out, &problems).code, ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "f:1: a record that is too long"));
    /* Not more faults than a person reads. */
    buf_reset(&text);
    buf_reset(&problems);
    for (unsigned i = 0; i < 100; i++) {
        buf_puts(&text, "a A x\n");
    }
    assert_int_equal(parse(buf_str(&text), text.len, &out, &problems).code, ERR_MALFORMED);
    for (const char *p = buf_str(&problems); *p != '\0'; p++) {
        lines_n += *p == '\n';
    }
    assert_int_equal(lines_n, ZONE_FILE_FAULTS_MAX);
    /* An octet 0 is no end. */
    buf_reset(&problems);
    assert_int_equal(parse("a A 10.0.0.1\0\nb A x\n", 21, &out, &problems).code, ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "f:1: "));
    assert_non_null(strstr(buf_str(&problems), "f:2: "));
    buf_clear(&out);
    buf_clear(&problems);
    buf_clear(&text);
}

static void good(void **state)
{
    static const char TEXT[] = "; a zone\r\n"
                               "$TTL 1h\n"
                               "@\tIN SOA ns hostmaster ( 2024010101 ; serial\n"
                               "\t\t1h 15m 1w ; \"more\" (not here\n"
                               "\t\t5 )\n"
                               "\tNS ns\n"
                               "ns 60 IN A 10.0.0.1\n"
                               "   IN 70 AAAA fd00::1\n"
                               "\n"
                               "WWW.SVC.DEV. cname @\n"
                               "$ORIGIN sub\n"
                               "a A 10.0.0.2\n"
                               "@ TXT \"x ; (y\" z \"a\\\"b\\\\\" ;c\n"
                               "$origin svc.dev.\n"
                               "$ttl 5\n"
                               "*.w MX 10 mail.other.\n"
                               "a\\.b A 10.0.0.3\n"
                               "in A 10.0.0.4\n"
                               "t TYPE65400 \\# 2 ( 0a\n"
                               " 0b )\n"
                               "last TXT (\"a\"\n"
                               "\"b\")";
    struct buf out = BUF_INIT(1u << 20);
    struct buf problems = BUF_INIT(4096);

    (void)state;
    struct err e = parse(TEXT, sizeof(TEXT) - 1, &out, &problems);
    if (e.code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    assert_string_equal(
        buf_str(&out),
        "3 svc.dev.\t3600\tIN\tSOA\tns.svc.dev. hostmaster.svc.dev. 2024010101 3600 900 604800 5\n"
        "6 svc.dev.\t3600\tIN\tNS\tns.svc.dev.\n"
        "7 ns.svc.dev.\t60\tIN\tA\t10.0.0.1\n"
        "8 ns.svc.dev.\t70\tIN\tAAAA\tfd00::1\n"
        "10 www.svc.dev.\t3600\tIN\tCNAME\tsvc.dev.\n"
        "12 a.sub.svc.dev.\t3600\tIN\tA\t10.0.0.2\n"
        "13 sub.svc.dev.\t3600\tIN\tTXT\t\"x ; (y\" \"z\" \"a\\\"b\\\\\"\n"
        "16 *.w.svc.dev.\t5\tIN\tMX\t10 mail.other.\n"
        "17 a\\046b.svc.dev.\t5\tIN\tA\t10.0.0.3\n"
        "18 in.svc.dev.\t5\tIN\tA\t10.0.0.4\n"
        "19 t.svc.dev.\t5\tIN\tTYPE65400\t\\# 2 0a0b\n"
        "21 last.svc.dev.\t5\tIN\tTXT\t\"a\" \"b\"\n");
    /* Without $TTL the last one stated counts, before it the default. */
    buf_reset(&out);
    static const char NO_TTL[] = "a A 10.0.0.1\nb 7 A 10.0.0.1\nc A 10.0.0.1\n";
    must(parse(NO_TTL, sizeof(NO_TTL) - 1, &out, &problems));
    assert_string_equal(buf_str(&out), "1 a.svc.dev.\t300\tIN\tA\t10.0.0.1\n"
                                       "2 b.svc.dev.\t7\tIN\tA\t10.0.0.1\n"
                                       "3 c.svc.dev.\t7\tIN\tA\t10.0.0.1\n");
    buf_reset(&out);
    must(parse("", 0, &out, &problems));
    assert_int_equal(out.len, 0);
    assert_int_equal(problems.len, 0);
    buf_clear(&out);
    buf_clear(&problems);
}

static struct err refuse(void *arg, unsigned line, const struct dns_rr *rr)
{
    (void)arg;
    (void)line;
    (void)rr;
    FAIL(ERR_NOMEM, "enough");
}

static void callers_failure(void **state)
{
    struct buf problems = BUF_INIT(4096);

    (void)state;
    assert_int_equal(
        zone_file_parse("f", "a A 10.0.0.1\n", 13, "svc.dev", 300, refuse, NULL, &problems).code,
        ERR_NOMEM);
    assert_int_equal(problems.len, 0);
    buf_clear(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
        cmocka_unit_test(sizes),
        cmocka_unit_test(good),
        cmocka_unit_test(callers_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
