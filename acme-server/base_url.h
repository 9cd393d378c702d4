/* Which "https://authority" our URLs carry (product.md): the request's Host where that is a name of
 * ours, else public_url's.
 *
 * Pure after base_urls_init(). Authorities are compared in lower case and without the default port.
 * Thread: any. */
#ifndef ACME_SERVER_BASE_URL_H
#define ACME_SERVER_BASE_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/config.h"
#include "core/util/err.h"

#define BASE_AUTHORITY_MAX 264u /* a name, ":" and a port */
#define BASE_URL_MAX (8u + BASE_AUTHORITY_MAX)

struct base_urls {
    const struct config *cfg;               /* borrowed */
    char authority[BASE_AUTHORITY_MAX + 1]; /* of public_url */
};

/* https_port: the bound one, for a configuration without public_url. ERR_CONFIG when public_url is
 * not "https://authority". */
MUST_USE struct err base_urls_init(struct base_urls *urls, const struct config *cfg,
                                   uint16_t https_port);
/* "https://authority" for a request with this Host header. */
void base_url_of(const struct base_urls *urls, const char *host, char out[BASE_URL_MAX + 1]);
/* Does `url` name `target` (path and query, exactly) at `base`? */
bool base_url_matches(const char *base, const char *url, const char *path, const char *query);
/* The path of `url` when its authority is one that we accept, else NULL. */
const char *base_url_path(const struct base_urls *urls, const char *url);

#endif
