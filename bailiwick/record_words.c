#include "bailiwick/record_words.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define STRING_MAX 255u /* octets of a character-string. RFC 1035 §3.3 */

static bool is_quoted(const char *word)
{
    size_t n = strlen(word);

    return n >= 2 && word[0] == '"' && word[n - 1] == '"';
}

/* One text, as one or more character-strings. */
static void put_text(struct buf *out, const char *word)
{
    size_t n = 0;

    buf_putc(out, '"');
    for (const char *c = word; *c != '\0'; c++) {
        if (n == STRING_MAX) {
            buf_puts(out, "\" \"");
            n = 0;
        }
        if (*c == '"' || *c == '\\') {
            buf_putc(out, '\\');
        }
        if (*c < ' ' || *c > '~') {
            buf_printf(out, "\\%03u", (unsigned)(unsigned char)*c);
        } else {
            buf_putc(out, *c);
        }
        n++;
    }
    buf_putc(out, '"');
}

void record_words_join(const char *type, const char *const *words, size_t n, struct buf *out)
{
    bool is_text = strcasecmp(type, "TXT") == 0 || strcasecmp(type, "SPF") == 0;

    for (size_t i = 0; i < n; i++) {
        bool is_comment = strchr(words[i], ';') != NULL && strchr(words[i], '"') == NULL;
        buf_puts(out, i == 0 ? "" : " ");
        if (is_quoted(words[i]) || (!is_text && !is_comment)) {
            buf_puts(out, words[i]);
        } else {
            put_text(out, words[i]);
        }
    }
}
