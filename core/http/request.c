#include "core/http/internal.h"

#include "core/util/mem.h"
#include "core/util/token.h"

#include <microhttpd.h>

#include <string.h>
#include <strings.h>

enum http_method http_method_of(const char *text)
{
    static const struct {
        const char *text;
        enum http_method method;
    } METHODS[] = {{"GET", HTTP_GET},
                   {"HEAD", HTTP_HEAD},
                   {"POST", HTTP_POST},
                   {"PUT", HTTP_PUT},
                   {"DELETE", HTTP_DELETE}};

    for (size_t i = 0; i < ARRAY_N(METHODS); i++) {
        if (strcmp(METHODS[i].text, text) == 0) {
            return METHODS[i].method;
        }
    }
    return (enum http_method)0;
}

const char *http_header(const struct http_req *req, const char *name)
{
    if (req->connection == NULL) {
        return NULL;
    }
    /* The library wants a pointer that it may write through, to look something up. */
    union {
        const void *given;
        struct MHD_Connection *wanted;
    } connection = {.given = req->connection};
    return MHD_lookup_connection_value(connection.wanted, MHD_HEADER_KIND, name);
}

struct err http_basic(const struct http_req *req, char user[HTTP_BASIC_MAX],
                      char pass[HTTP_BASIC_MAX])
{
    const char *header = http_header(req, "Authorization");

    if (header == NULL) {
        FAIL(ERR_NOT_FOUND, "no Authorization header");
    }
    return http_basic_parse(header, user, pass);
}

/* RFC 7617 §2: user-id ":" password, without control characters. */
static struct err split(const uint8_t *text, size_t len, char user[HTTP_BASIC_MAX],
                        char pass[HTTP_BASIC_MAX])
{
    const uint8_t *colon = memchr(text, ':', len);

    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] == 0x7f) {
            FAIL(ERR_MALFORMED, "Basic credentials with a control character");
        }
    }
    if (colon == NULL) {
        FAIL(ERR_MALFORMED, "Basic credentials without a colon");
    }
    size_t user_len = (size_t)(colon - text);
    size_t pass_len = len - user_len - 1;
    if (user_len >= HTTP_BASIC_MAX || pass_len >= HTTP_BASIC_MAX) {
        FAIL(ERR_MALFORMED, "Basic credentials of more than %u characters", HTTP_BASIC_MAX - 1);
    }
    memcpy(user, text, user_len);
    user[user_len] = '\0';
    memcpy(pass, colon + 1, pass_len);
    pass[pass_len] = '\0';
    return err_ok();
}

struct err http_basic_parse(const char *header, char user[HTTP_BASIC_MAX],
                            char pass[HTTP_BASIC_MAX])
{
    uint8_t decoded[2 * HTTP_BASIC_MAX];
    size_t decoded_len = sizeof(decoded);
    const char *at = header;

    if (strncasecmp(at, "Basic", 5) != 0 || (at[5] != ' ' && at[5] != '\0')) {
        FAIL(ERR_NOT_FOUND, "the Authorization header is not of the Basic scheme");
    }
    at += 5;
    at += strspn(at, " ");
    size_t len = strnlen(at, 4 * HTTP_BASIC_MAX);
    while (len > 0 && at[len - 1] == ' ') {
        len--;
    }
    struct err e = base64_decode_any(at, len, decoded, &decoded_len);
    if (e.code == ERR_OK) {
        e = split(decoded, decoded_len, user, pass);
    } else {
        e = err_set(ERR_MALFORMED, __FILE__, __LINE__,
                    "Basic credentials that are not base64, or "
                    "too long");
    }
    mem_wipe(decoded, sizeof(decoded));
    return e;
}

bool http_last_hop(const char *value, struct ip_addr *out)
{
    const char *comma = strrchr(value, ',');
    const char *start = comma == NULL ? value : comma + 1;
    char text[IP_TEXT_MAX + 10];
    struct ip_endpoint endpoint;

    start += strspn(start, " \t");
    size_t len = strcspn(start, " \t");
    if (len == 0 || len >= sizeof(text) || start[len + strspn(start + len, " \t")] != '\0') {
        return false;
    }
    memcpy(text, start, len);
    text[len] = '\0';
    /* Some proxies append the port. */
    if (ip_endpoint_parse(text, 1, &endpoint).code != ERR_OK) {
        return false;
    }
    *out = endpoint.addr;
    return true;
}
