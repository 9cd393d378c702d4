/* One order of one name, its authorization and dns-01 challenge, for the validator's tests. */
#ifndef TESTS_UNIT_ACME_PIECES_H
#define TESTS_UNIT_ACME_PIECES_H

#include "tests/unit/acme_support.h"

struct pieces {
    struct reply order, authz, reply;
    char digest[TXT_VALUE_LEN + 1];
    char url[512];
};

SUPPORT void order_one(struct fx *f, const char *const *name, struct pieces *p)
{
    fx_order(f, name, 1, &p->order);
    expect_status(&p->order, 201);
    fx_authz(f, &p->order, 0, &p->authz);
    digest_of(f, &p->authz, p->digest);
    (void)snprintf(p->url, sizeof(p->url), "%s", challenge_member(&p->authz, "url"));
}

SUPPORT void pieces_clear(struct pieces *p)
{
    reply_clear(&p->order);
    reply_clear(&p->authz);
    reply_clear(&p->reply);
}

SUPPORT void expect_challenge(struct fx *f, struct pieces *p, const char *status)
{
    fx_post(f, p->url, "", &p->reply);
    if (strcmp(member(&p->reply, "status"), status) != 0) {
        fail_msg("not %s: %s", status, p->reply.body);
    }
}

/* Order, and answer the challenge, whose value is nowhere yet. */
SUPPORT void order_and_answer(struct fx *f, const char *const *name, struct pieces *p)
{
    order_one(f, name, p);
    fx_post(f, p->url, "{}", &p->reply);
    expect_status(&p->reply, 200);
    assert_string_equal(member(&p->reply, "status"), "processing");
}

/* What the order's timeline says; valid until the next call. */
SUPPORT const char *timeline_of(struct fx *f, const struct pieces *p)
{
    static char text[65536];
    struct buf json = BUF_INIT(sizeof(text) - 1);

    must(acme_describe(f->acme, strrchr(p->order.location, '/') + 1, &json));
    (void)snprintf(text, sizeof(text), "%s", buf_str(&json));
    buf_clear(&json);
    return text;
}

#endif
