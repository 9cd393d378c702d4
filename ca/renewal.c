/* When to renew: identifiers and windows (RFC 9773). */
#include "ca/renewal.h"

#include <string.h>

#include "ca/cert_view.h"

#include "core/util/token.h"

#define WINDOW_PART 50 /* a window is a 50th of the life */
#define TIME_MAX ((int64_t)1 << 40)
#define PAST_WINDOW_S 3600 /* of certificates that should be replaced at once */

struct err ca_renewal_id(const uint8_t *der, size_t len, char out[CA_RENEWAL_ID_MAX + 1])
{
    struct cert_view view;

    TRY(cert_view_read(der, len, &view));
    if (view.issuer_key_id_len == 0 ||
        view.issuer_key_id_len + view.serial_len > CA_RENEWAL_ID_MAX / 2) {
        FAIL(ERR_MALFORMED, "a certificate without a usable authority key identifier");
    }
    base64url_encode(view.issuer_key_id, view.issuer_key_id_len, out);
    size_t at = strlen(out);
    out[at] = '.';
    base64url_encode(view.serial, view.serial_len, out + at + 1);
    return err_ok();
}

struct err renewal_id_serial(const char *text, char serial[CA_SERIAL_HEX_MAX + 1])
{
    uint8_t bytes[CA_RENEWAL_ID_MAX];
    size_t len = strnlen(text, CA_RENEWAL_ID_MAX + 1);
    const char *dot = memchr(text, '.', len);

    if (len > CA_RENEWAL_ID_MAX || dot == NULL) {
        FAIL(ERR_MALFORMED, "a renewal identifier is two base64url texts with a dot between them");
    }
    size_t key_len = (size_t)(dot - text);
    size_t n = sizeof(bytes);
    TRY(base64url_decode(text, key_len, bytes, &n));
    if (n == 0) {
        FAIL(ERR_MALFORMED, "a renewal identifier without a key identifier");
    }
    n = sizeof(bytes);
    TRY(base64url_decode(dot + 1, len - key_len - 1, bytes, &n));
    return cert_serial_hex(bytes, n, serial);
}

/* Below `below`, the same for the same id. */
static int64_t spread(const char *id, int64_t below)
{
    uint8_t digest[SHA256_LEN];
    uint64_t value = 0;

    sha256_plain(id, strlen(id), digest);
    for (size_t i = 0; i < 7; i++) {
        value = value << 8 | digest[i];
    }
    return (int64_t)value % below;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The database is input too: nothing overflows. */
static int64_t bounded(int64_t when)
{
    if (when < -TIME_MAX) {
        return -TIME_MAX;
    }
    return least(when, TIME_MAX);
}

void ca_renewal_window(const struct ca_cert_info *info, int64_t now_unix, int64_t *start_unix,
                       int64_t *end_unix)
{
    int64_t not_after = bounded(info->not_after);
    int64_t renew_by = bounded(info->renew_by_unix);
    int64_t life = not_after - bounded(info->not_before);

    if (life < 1) {
        life = 1;
    }
    int64_t width = life < WINDOW_PART ? 1 : life / WINDOW_PART;
    int64_t start = not_after - life / 3 + spread(info->id, width);
    int64_t end = start + width;
    if (renew_by != 0 && renew_by < end) {
        end = renew_by <= now_unix ? least(renew_by, now_unix - 1) : renew_by;
        /* Wider, because everything under the issuer has the same end. */
        start = end - 2 * width;
    }
    if (info->revoked_unix != 0) {
        end = least(least(bounded(info->revoked_unix), now_unix - 1), end);
        start = end - PAST_WINDOW_S;
    }
    end = least(end, not_after);
    *start_unix = least(start, end - 1);
    *end_unix = end;
}
