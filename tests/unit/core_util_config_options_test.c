/* The option table: docs/configuration.md shows it as it is, its example is good, and every row can
 * be used. BW_UPDATE=1 in the environment rewrites the documentation's table. */
#include "core/util/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/config_internal.h"
#include "core/util/file.h"
#include "core/util/mem.h"

#define DOC_PATH BW_TEST_DATA "/../../docs/configuration.md"
#define DOC_MAX (256u * 1024u)
#define BEGIN_MARK "<!-- options -->\n"
#define END_MARK "<!-- end of options -->"

static void update_document(const char *text, const char *begin, const char *end,
                            const struct buf *table)
{
    struct buf next = BUF_INIT(DOC_MAX);

    buf_put(&next, text, (size_t)(begin - text));
    buf_put(&next, buf_str(table), table->len);
    buf_puts(&next, end);
    assert_int_equal(buf_check(&next).code, ERR_OK);
    assert_int_equal(file_write_atomic(DOC_PATH, 0644, buf_str(&next), next.len).code, ERR_OK);
    buf_clear(&next);
}

static void document_shows_the_table(void **state)
{
    struct buf document = BUF_INIT(DOC_MAX);
    struct buf table = BUF_INIT(DOC_MAX);

    (void)state;
    config_reference(&table);
    assert_int_equal(buf_check(&table).code, ERR_OK);
    assert_int_equal(file_read(DOC_PATH, &document).code, ERR_OK);
    const char *begin = strstr(buf_str(&document), BEGIN_MARK);
    assert_non_null(begin);
    begin += strlen(BEGIN_MARK);
    const char *end = strstr(begin, END_MARK);
    assert_non_null(end);
    if (getenv("BW_UPDATE") != NULL) {
        update_document(buf_str(&document), begin, end, &table);
    } else if ((size_t)(end - begin) != table.len ||
               strncmp(begin, buf_str(&table), table.len) != 0) {
        fail_msg("docs/configuration.md is not the option table; run this test with BW_UPDATE=1");
    }
    buf_clear(&document);
    buf_clear(&table);
}

static void example_of_the_document_is_good(void **state)
{
    static const char fence[] = "```yaml\n";
    struct buf document = BUF_INIT(DOC_MAX);
    struct buf problems = BUF_INIT(65536);
    AUTO(config_freep) struct config *cfg = NULL;

    (void)state;
    assert_int_equal(file_read(DOC_PATH, &document).code, ERR_OK);
    const char *begin = strstr(buf_str(&document), fence);
    assert_non_null(begin);
    begin += sizeof(fence) - 1;
    const char *end = strstr(begin, "```");
    assert_non_null(end);
    struct err e = config_parse("example", begin, (size_t)(end - begin), &problems, &cfg);
    assert_string_equal(buf_str(&problems), "");
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(cfg->zones_n, 2);
    buf_clear(&document);
    buf_clear(&problems);
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        const struct config_option *option = &CONFIG_OPTIONS[i];
        char env[CONFIG_ENV_NAME_MAX];
        config_env_name(option, env);
        assert_true(strlen(option->key) < CONFIG_KEY_MAX);
        assert_non_null(option->sentence);
        assert_int_equal(option->sentence[strlen(option->sentence) - 1], '.');
        bool has_choices = option->type == TYPE_CHOICE || option->type == TYPE_USAGES ||
                           option->type == TYPE_KEY_TYPES;
        assert_int_equal((option->choices != NULL), has_choices);
        bool is_acme = strncmp(option->key, "acme.", 5) == 0 ||
                       strncmp(option->key, "validation.", 11) == 0 ||
                       strncmp(option->key, "profiles", 8) == 0;
        if (is_acme || strcmp(option->key, "log.level") == 0) {
            assert_int_equal(option->reload, RELOAD_YES);
        } else {
            bool is_file =
                strncmp(option->key, "tls.", 4) == 0 || strcmp(option->key, "zones.file") == 0;
            assert_int_equal(option->reload, is_file ? RELOAD_FILE : RELOAD_NO);
        }
        assert_ptr_equal(config_option_find(option->key), option);
        for (size_t k = 0; k < i; k++) {
            char other[CONFIG_ENV_NAME_MAX];
            config_env_name(&CONFIG_OPTIONS[k], other);
            assert_string_not_equal(option->key, CONFIG_OPTIONS[k].key);
            assert_string_not_equal(env, other);
        }
    }
}

static void nearest_key_is_near(void **state)
{
    (void)state;
    assert_null(config_option_nearest("completely.else"));
    assert_null(config_option_nearest(""));
    assert_null(config_option_nearest("ab"));
    assert_string_equal(config_option_nearest("zone"), "zones");
    assert_string_equal(config_option_nearest("listen.htps"), "listen.https");
    assert_int_equal(config_distance("", "abc"), 3);
    assert_int_equal(config_distance("abc", ""), 3);
    assert_int_equal(config_distance("kitten", "sitting"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(nearest_key_is_near),
        cmocka_unit_test(document_shows_the_table),
        cmocka_unit_test(example_of_the_document_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
