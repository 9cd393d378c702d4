/* One ACME POST: the JWS in, the account looked up, the nonce consumed, the handler run, problem or
 * object out.
 *
 * struct acme_req owns what it parsed; handlers write the body into resp->body and call
 * acme_req_reply(). Every reply carries Replay-Nonce and Link "index". Thread: the HTTP thread of
 * the request. RFC 8555 §6. */
#ifndef ACME_SERVER_REQUEST_H
#define ACME_SERVER_REQUEST_H

#include <jansson.h>

#include "acme-server/base_url.h"
#include "acme-server/jws.h"
#include "acme-server/problem.h"
#include "core/http/http.h"
#include "core/util/err.h"
#include "core/util/token.h"

struct acme;

struct acme_req {
    struct acme *acme;
    const struct http_req *http;
    struct http_resp *resp;
    char base[BASE_URL_MAX + 1]; /* "https://authority" for URLs in the reply */
    struct jws jws;
    struct jwk *key;                    /* that signed; a reference */
    char account_id[OBJECT_ID_LEN + 1]; /* "" when the key came with the request */
    char client[CLIENT_NAME_MAX + 1];   /* that the account is bound to, or "" */
    char subject[OBJECT_ID_LEN + 1];    /* the order or authorization it is about, or "" */
    char pinned_profile[CONFIG_PROFILE_NAME_MAX + 1]; /* of /acme/p/<profile>/..., or "" */
    json_t *payload;                                  /* after acme_req_object() */
    struct problem prob;
};

enum acme_key_mode {
    ACME_KEY_ACCOUNT, /* kid */
    ACME_KEY_NEW,     /* jwk */
    ACME_KEY_EITHER   /* revocation: an account's, or the certificate's */
};
struct acme_endpoint {
    struct acme *acme;
    enum acme_key_mode key_mode;
    struct err (*handler)(struct acme_req *r);
};

/* The http_handler of every POST route; ctx is its struct acme_endpoint. */
void acme_post(void *ctx, const struct http_req *http, struct http_resp *resp);

/* Parse the payload as a JSON object into r->payload. */
MUST_USE struct err acme_req_object(struct acme_req *r);
/* Insist on POST-as-GET (RFC 8555 §6.3). */
MUST_USE struct err acme_req_as_get(struct acme_req *r);
/* The id at the start of the path's tail; *rest is what follows its slash ("" when nothing does).
 * 404 when it is not an id. */
MUST_USE struct err acme_req_id(struct acme_req *r, const char *what, char id[OBJECT_ID_LEN + 1],
                                const char **rest);
/* 404 for an unknown object, 403 for another account's (product.md); nothing about the object is
 * told. */
MUST_USE struct err acme_req_missing(struct acme_req *r, const char *what);
MUST_USE struct err acme_req_foreign(struct acme_req *r, const char *what);
/* The body is in resp->body: set status and application/json. ERR_LIMIT when the body did not
 * fit. */
MUST_USE struct err acme_req_reply(struct acme_req *r, int status);
/* Do rate limits count for this request? Not from loopback, not for clients with limits: false. */
bool acme_req_is_limited(const struct acme_req *r);
/* Give r->prob its "instance" and remember whom it may be told (problem_page.c). */
void acme_req_stamp(struct acme_req *r);
/* A string member, or NULL when absent or null; malformed when it is anything else. */
MUST_USE struct err acme_req_text(struct acme_req *r, const char *member, const char **out);
/* The problem document of r->prob as text, owned by the caller. */
MUST_USE struct err acme_problem_text(const struct problem *prob, char **out);

/* Headers of every reply: Link "index", and Replay-Nonce. */
void acme_add_headers(struct acme *acme, const char *base, struct http_resp *resp);

#endif
