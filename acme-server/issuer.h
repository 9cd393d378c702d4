/* Who we are in DNS records that name certificate authorities, and the syntax of such records'
 * values: issue-value of RFC 8659 §4.2, which CAA and dns-persist-01 share.
 *
 * Pure. Values are hostile bytes; what parses is printable ASCII. Thread: any. */
#ifndef ACME_SERVER_ISSUER_H
#define ACME_SERVER_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/base_url.h"
#include "core/util/name.h"
#include "core/util/token.h"

#define ISSUER_NAMES_MAX 2u
#define ISSUE_PARAMS_MAX 32u /* more are malformed */

/* Our issuer domain names, as they stand in the directory's caaIdentities: the hostname, and the
 * host of public_url where that is another name. */
struct issuer_names {
    const char *list[ISSUER_NAMES_MAX]; /* into urls->cfg and host */
    size_t n;
    char host[NAME_TEXT_MAX + 1];
};
/* urls: borrowed as long as out is used, which must not be moved. */
void issuer_names(const struct base_urls *urls, struct issuer_names *out);

struct issue_text { /* into the record's bytes, not terminated */
    const char *at;
    size_t len;
};
struct issue_param {
    struct issue_text tag, value;
};
struct issue_value {
    struct issue_text name; /* issuer-domain-name, may be empty */
    struct issue_param params[ISSUE_PARAMS_MAX];
    size_t params_n;
};
/* False when the bytes do not follow the grammar, to the letter. */
bool issue_value_parse(const uint8_t *data, size_t len, struct issue_value *out);
/* Is it one of these, in any case of letters? */
bool issue_text_is(const struct issue_text *text, const char *word);
bool issue_name_is_one_of(const struct issue_value *value, const char *const *names, size_t n);
/* The only parameter with this tag. NULL: there is none, or (*is_twice) several. */
const struct issue_text *issue_param_find(const struct issue_value *value, const char *tag,
                                          bool *is_twice);

#define ACCOUNT_PATH "/acme/account/"
#define ISSUE_URI_MAX 512u
/* The path of a URI of ours, or "": base_url_path() for bytes that are not terminated. */
void issue_uri_path(const struct base_urls *urls, const struct issue_text *uri,
                    char out[ISSUE_URI_MAX + 1]);
/* Is the URI the account's URL, at any authority of ours? */
bool issue_uri_is_account(const struct base_urls *urls, const struct issue_text *uri,
                          const char *account_id);

#endif
