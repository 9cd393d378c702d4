/* Fuzz target: the text of a renewal identifier (RFC 9773 §4.1).
 * More than "no crash": what is accepted has the shape that a certificate's identifier has. */
#include <stdlib.h>
#include <string.h>

#include "ca/renewal.h"

#include "core/util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char serial[CA_SERIAL_HEX_MAX + 1] = "";
    char *text = mem_strndup((const char *)data, size);

    if (text == NULL) {
        return 0;
    }
    struct err e = renewal_id_serial(text, serial);
    check(e.code == ERR_OK || e.code == ERR_MALFORMED);
    if (e.code == ERR_OK) {
        size_t len = strlen(text);
        size_t hex_len = strlen(serial);
        check(len <= CA_RENEWAL_ID_MAX && strchr(text, '.') == strrchr(text, '.'));
        check(text[0] != '.' && text[len - 1] != '.');
        check(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
              len);
        check(hex_len >= 2 && hex_len % 2 == 0 && hex_len <= CA_SERIAL_HEX_MAX);
        check(strspn(serial, "0123456789abcdef") == hex_len);
    }
    mem_free(text);
    return 0;
}
