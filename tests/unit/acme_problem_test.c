#include "acme-server/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <jansson.h>

#include "core/util/mem.h"

static const struct {
    enum problem_type type;
    const char *urn;
    int status;
} TYPES[] = {
    {PROBLEM_ACCOUNT_DOES_NOT_EXIST, "accountDoesNotExist", 400},
    {PROBLEM_ALREADY_REVOKED, "alreadyRevoked", 400},
    {PROBLEM_BAD_CSR, "badCSR", 400},
    {PROBLEM_BAD_NONCE, "badNonce", 400},
    {PROBLEM_BAD_PUBLIC_KEY, "badPublicKey", 400},
    {PROBLEM_BAD_REVOCATION_REASON, "badRevocationReason", 400},
    {PROBLEM_BAD_SIGNATURE_ALGORITHM, "badSignatureAlgorithm", 400},
    {PROBLEM_CAA, "caa", 403},
    {PROBLEM_COMPOUND, "compound", 400},
    {PROBLEM_CONNECTION, "connection", 400},
    {PROBLEM_DNS, "dns", 400},
    {PROBLEM_EXTERNAL_ACCOUNT_REQUIRED, "externalAccountRequired", 403},
    {PROBLEM_INCORRECT_RESPONSE, "incorrectResponse", 403},
    {PROBLEM_INVALID_CONTACT, "invalidContact", 400},
    {PROBLEM_MALFORMED, "malformed", 400},
    {PROBLEM_ORDER_NOT_READY, "orderNotReady", 403},
    {PROBLEM_RATE_LIMITED, "rateLimited", 429},
    {PROBLEM_REJECTED_IDENTIFIER, "rejectedIdentifier", 400},
    {PROBLEM_SERVER_INTERNAL, "serverInternal", 500},
    {PROBLEM_TLS, "tls", 400},
    {PROBLEM_UNAUTHORIZED, "unauthorized", 403},
    {PROBLEM_UNSUPPORTED_CONTACT, "unsupportedContact", 400},
    {PROBLEM_UNSUPPORTED_IDENTIFIER, "unsupportedIdentifier", 400},
    {PROBLEM_USER_ACTION_REQUIRED, "userActionRequired", 403},
    {PROBLEM_INVALID_PROFILE, "invalidProfile", 400},
};

static json_t *as_json(const struct problem *prob)
{
    struct buf text = BUF_INIT(HTTP_RESPONSE_MAX);
    json_error_t why;

    problem_json(prob, &text);
    assert_int_equal(ERR_OK, buf_check(&text).code);
    json_t *json = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &why);
    if (json == NULL) {
        fail_msg("%s in %s", why.text, buf_str(&text));
    }
    buf_clear(&text);
    return json;
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text == NULL ? "" : text;
}

static void every_type_has_urn_and_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(TYPES); i++) {
        struct problem prob = {0};
        char urn[80];
        (void)snprintf(urn, sizeof(urn), "urn:ietf:params:acme:error:%s", TYPES[i].urn);
        assert_int_equal(ERR_REJECTED, problem_set(&prob, TYPES[i].type, 0, "n=%d", 7).code);
        assert_string_equal(urn, problem_urn(TYPES[i].type));
        assert_int_equal(TYPES[i].status, prob.status);
        json_t *json = as_json(&prob);
        assert_string_equal(urn, text_of(json, "type"));
        assert_string_equal("n=7", text_of(json, "detail"));
        assert_int_equal(TYPES[i].status, json_integer_value(json_object_get(json, "status")));
        json_decref(json);
        problem_clear(&prob);
    }
}

static void a_given_status_wins(void **state)
{
    struct problem prob = {0};

    (void)state;
    assert_int_equal(ERR_REJECTED,
                     problem_set(&prob, PROBLEM_MALFORMED, 404, "There is no such order.").code);
    assert_int_equal(404, prob.status);
    assert_string_equal("There is no such order.", prob.detail);
}

static void hostile_text_stays_json(void **state)
{
    struct problem prob = {0};
    char text[2 * PROBLEM_DETAIL_MAX];
    char every[256];

    (void)state;
    for (int c = 1; c < 256; c++) {
        every[c - 1] = (char)c;
    }
    every[255] = '\0';
    assert_int_equal(ERR_REJECTED, problem_set(&prob, PROBLEM_MALFORMED, 0, "%s", every).code);
    json_t *json = as_json(&prob);
    const char *detail = text_of(json, "detail");
    assert_int_equal(255, strlen(detail));
    assert_memory_equal(every, detail, 126); /* controls, quotes and backslashes survive */
    assert_int_equal('?', detail[127]);
    assert_int_equal('?', detail[254]);
    json_decref(json);

    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(ERR_REJECTED, problem_set(&prob, PROBLEM_MALFORMED, 0, "%s", text).code);
    json = as_json(&prob);
    assert_int_equal(PROBLEM_DETAIL_MAX - 1, strlen(text_of(json, "detail")));
    json_decref(json);
}

static void algorithms_are_named(void **state)
{
    struct problem prob = {0};

    (void)state;
    assert_int_equal(ERR_REJECTED,
                     problem_set(&prob, PROBLEM_BAD_SIGNATURE_ALGORITHM, 0, "no").code);
    json_t *json = as_json(&prob);
    const json_t *algorithms = json_object_get(json, "algorithms");
    assert_int_equal(5, json_array_size(algorithms));
    assert_string_equal("ES256", json_string_value(json_array_get(algorithms, 0)));
    json_decref(json);
}

static void subproblems(void **state)
{
    struct problem prob = {0};

    (void)state;
    for (unsigned i = 0; i < PROBLEM_SUBPROBLEMS_MAX; i++) {
        const char *identifier = i == 0 ? "" : "*.a.test";
        assert_int_equal(ERR_OK, problem_add_sub(&prob, PROBLEM_REJECTED_IDENTIFIER, identifier,
                                                 "It lies in no zone.")
                                     .code);
    }
    assert_int_equal(ERR_LIMIT,
                     problem_add_sub(&prob, PROBLEM_MALFORMED, "b.test", "One too many.").code);
    assert_int_equal(ERR_REJECTED, problem_set(&prob, PROBLEM_COMPOUND, 0, "Several.").code);
    json_t *json = as_json(&prob);
    const json_t *subs = json_object_get(json, "subproblems");
    assert_int_equal(PROBLEM_SUBPROBLEMS_MAX, json_array_size(subs));
    assert_null(json_object_get(json_array_get(subs, 0), "identifier"));
    const json_t *sub = json_array_get(subs, 1);
    assert_string_equal("urn:ietf:params:acme:error:rejectedIdentifier", text_of(sub, "type"));
    assert_string_equal("It lies in no zone.", text_of(sub, "detail"));
    assert_string_equal("dns", text_of(json_object_get(sub, "identifier"), "type"));
    assert_string_equal("*.a.test", text_of(json_object_get(sub, "identifier"), "value"));
    json_decref(json);
    problem_clear(&prob);
    assert_int_equal(0, prob.subs_n);
    assert_null(prob.subs);
    problem_clear(&prob);
}

static void a_response(void **state)
{
    struct problem prob = {0};
    struct http_resp resp = {.status = 200};

    (void)state;
    buf_init(&resp.body, HTTP_RESPONSE_MAX);
    assert_int_equal(ERR_REJECTED,
                     problem_set(&prob, PROBLEM_USER_ACTION_REQUIRED, 0, "Agree first.").code);
    (void)snprintf(prob.header_link, sizeof(prob.header_link), "%s",
                   "<https://ca.test/terms>;rel=\"terms-of-service\"");
    problem_respond(&prob, &resp);
    assert_false(resp.failed);
    assert_int_equal(403, resp.status);
    assert_string_equal("application/problem+json", resp.content_type);
    assert_string_equal(
        "{\"type\":\"urn:ietf:params:acme:error:userActionRequired\",\"status\":403,"
        "\"detail\":\"Agree first.\"}",
        buf_str(&resp.body));
    assert_int_equal(1, resp.headers_n);
    assert_string_equal("Link", resp.headers[0].name);
    assert_string_equal(prob.header_link, resp.headers[0].value);
    buf_clear(&resp.body);
    mem_free(resp.headers[0].name);
    mem_free(resp.headers[0].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_stays_json),
        cmocka_unit_test(every_type_has_urn_and_status),
        cmocka_unit_test(a_given_status_wins),
        cmocka_unit_test(algorithms_are_named),
        cmocka_unit_test(subproblems),
        cmocka_unit_test(a_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
