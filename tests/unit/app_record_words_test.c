/* Words of the shell as a record's data. */
#include "bailiwick/record_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"

static void words_become_data(void **state)
{
    static const struct {
        const char *type;
        const char *words[4];
        const char *data;
    } cases[] = {
        {"A", {"10.0.0.1"}, "10.0.0.1"},
        {"MX", {"10", "mail.svc.test."}, "10 mail.svc.test."},
        {"MX", {"10 mail.svc.test."}, "10 mail.svc.test."},
        {"TXT", {"v=spf1 -all"}, "\"v=spf1 -all\""},
        {"txt", {"a", "b c"}, "\"a\" \"b c\""},
        {"SPF", {"x"}, "\"x\""},
        {"TXT", {"\"as it stands\""}, "\"as it stands\""},
        {"TXT", {""}, "\"\""},
        {"TXT", {"\""}, "\"\\\"\""},
        {"TXT", {"a\"b\\c"}, "\"a\\\"b\\\\c\""},
        {"TXT", {"\xc3\xa4\x01"}, "\"\\195\\164\\001\""},
        {"TXT", {"a;b"}, "\"a;b\""},
        {"CAA", {"0", "issue", ";"}, "0 issue \";\""},
        {"CAA", {"0", "issue", "\"ca.test; a=b\""}, "0 issue \"ca.test; a=b\""},
        {"CAA", {"0 issue \";\""}, "0 issue \";\""},
        {"HTTPS", {"1", ".", "alpn=h2,h3"}, "1 . alpn=h2,h3"},
        {"TYPE65400", {"\\#", "2", "0102"}, "\\# 2 0102"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct buf out = BUF_INIT(4096);
        size_t n = 0;
        while (n < ARRAY_N(cases[i].words) && cases[i].words[n] != NULL) {
            n++;
        }
        record_words_join(cases[i].type, cases[i].words, n, &out);
        assert_string_equal(buf_str(&out), cases[i].data);
        buf_clear(&out);
    }
}

static void long_texts_are_cut(void **state)
{
    char word[600];
    const char *const words[] = {word};
    struct buf out = BUF_INIT(4096);

    (void)state;
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    word[255] = 'b';
    word[510] = 'c';
    record_words_join("TXT", words, 1, &out);
    const char *text = buf_str(&out);
    assert_int_equal(out.len, 599 + 2 + 2 * 3);
    assert_int_equal(strncmp(text + 255, "a\" \"b", 5), 0);
    assert_non_null(strstr(text, "a\" \"ca"));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_data),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
