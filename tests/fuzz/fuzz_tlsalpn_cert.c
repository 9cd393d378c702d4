/* Any bytes as the certificate of a tls-alpn-01 answer: what is accepted is accepted for this
 * identifier and this digest only, and what is not says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/tlsalpn_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

static bool judge(const uint8_t *data, size_t size, const char *name, uint8_t flip)
{
    uint8_t digest[SHA256_LEN] = "0123456789abcdef0123456789abcde";
    struct ident ident;
    enum problem_type type = PROBLEM_NONE;
    char why[TLSALPN_WHY_MAX] = "";

    ident_from_stored(name, false, &ident);
    digest[0] ^= flip;
    bool is_ok = tlsalpn_cert_ok(data, size, &ident, digest, &type, why);
    must(is_ok == (type == PROBLEM_NONE) && is_ok == (why[0] == '\0'));
    must(memchr(why, '\0', sizeof(why)) != NULL);
    return is_ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_name = judge(data, size, "a.test", 0);
    bool is_address = judge(data, size, "10.0.0.1", 0);

    must(!(is_name && is_address));
    must(!judge(data, size, "b.test", 0) || !is_name);
    must(!is_name || !judge(data, size, "a.test", 1));
    must(!is_address || !judge(data, size, "10.0.0.1", 1));
    must(!is_name || size <= TLSALPN_CERT_MAX);
    return 0;
}
