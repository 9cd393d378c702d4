/* The URLs of http-01: the first one, and where a redirect leads. Pure; any thread. RFC 8555 §8.3,
 * §10.4; RFC 8738 §4. */
#ifndef ACME_SERVER_VAL_URL_H
#define ACME_SERVER_VAL_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "acme-server/validate.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "core/util/name.h"

#define VAL_URL_MAX 2000u
#define VAL_URL_WHY_MAX 200u

struct val_url {
    char *text;                   /* without a fragment; owned */
    char host[NAME_TEXT_MAX + 1]; /* lower case; an address without brackets */
    uint16_t port;
    bool is_https;
};
void val_url_clear(struct val_url *url);

/* "http://host[:port]/.well-known/acme-challenge/token". */
MUST_USE struct err val_url_first(const struct val_target *target, uint16_t http_port,
                                  struct val_url *out);
/* The URL that `location` means at `from`. ERR_REJECTED, with a phrase in why, for anything but http
 * and https, ports other than 80, 443 and the configured ones, user names, and what is no URL. */
MUST_USE struct err val_url_follow(const struct val_url *from, const char *location,
                                   const struct config_acme *settings, struct val_url *out,
                                   char why[VAL_URL_WHY_MAX]);

#endif
