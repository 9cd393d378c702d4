/* Any bytes as the Location of an http-01 answer: what is followed is http or https to a port that
 * is followed, at a host that is one, and comes to the same when it is followed once more. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/val_url.h"
#include "core/util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_acme SETTINGS = {.http_port = 5002, .tls_port = 5001};

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

static void check(const struct val_url *url)
{
    struct val_url again = {0};
    char why[VAL_URL_WHY_MAX] = "";

    must(url->port == 80 || url->port == 443 || url->port == 5001 || url->port == 5002);
    must(strncmp(url->text, url->is_https ? "https://" : "http://", url->is_https ? 8 : 7) == 0);
    must(strlen(url->text) <= VAL_URL_MAX && strchr(url->text, '#') == NULL);
    must(url->host[0] != '\0' && strlen(url->host) <= NAME_TEXT_MAX);
    must(url->host[strspn(url->host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:")] == '\0');
    must(val_url_follow(url, url->text, &SETTINGS, &again, why).code == ERR_OK);
    must(strcmp(url->host, again.host) == 0 && url->port == again.port &&
         url->is_https == again.is_https);
    val_url_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *location = mem_strndup((const char *)data, size);
    struct val_url from = {.text = mem_strdup("http://a.test:5002/.well-known/acme-challenge/t")};
    struct val_url next = {0};
    char why[VAL_URL_WHY_MAX] = "";

    must(location != NULL && from.text != NULL);
    struct err e = val_url_follow(&from, location, &SETTINGS, &next, why);
    must(e.code == ERR_OK || (e.code == ERR_REJECTED && why[0] != '\0' && next.text == NULL));
    if (e.code == ERR_OK) {
        check(&next);
    }
    val_url_clear(&next);
    val_url_clear(&from);
    mem_free(location);
    return 0;
}
