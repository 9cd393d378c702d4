#include "web/delegate_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "core/util/mem.h"

#define VALUE "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define THUMBPRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
#define TEN "\"10.0.0.0/8\","

enum kind { HTTPREQ, REGISTER, UPDATE, STORAGE };

static struct err parse(enum kind kind, const char *text, struct delegate_fault *fault)
{
    size_t len = strlen(text);
    AUTO(mem_freep) uint8_t *exact = mem_dup(text, len); /* a read past its end is seen */
    struct delegate_httpreq httpreq;
    struct delegate_allowfrom allowfrom;
    struct delegate_update_body update;

    switch (kind) {
    case HTTPREQ:
        return delegate_httpreq_parse(exact, len, &httpreq, fault);
    case REGISTER:
        return delegate_register_parse(exact, len, &allowfrom, fault);
    case UPDATE:
        return delegate_update_parse(exact, len, &update, fault);
    case STORAGE:
        return delegate_storage_parse(exact, len, fault);
    }
    return err_ok();
}

static const struct {
    enum kind kind;
    const char *text;
    const char *error;
} BAD[] = {
    {HTTPREQ, "", "malformed_json_payload"},
    {HTTPREQ, "null", "malformed_json_payload"},
    {HTTPREQ, "[]", "malformed_json_payload"},
    {HTTPREQ, "{}", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"a.test.\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"value\":\"" VALUE "\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"\",\"value\":\"" VALUE "\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":7,\"value\":\"" VALUE "\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"fqdn\":\"b\",\"value\":\"" VALUE "\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"x\":[[[[[[[[[]]]]]]]]],\"value\":\"" VALUE "\"}",
     "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"value\":\"" VALUE "\"", "malformed_json_payload"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"value\":\"short\"}", "bad_txt"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"value\":\"" VALUE "=\"}", "bad_txt"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"value\":\"LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX+\"}",
     "bad_txt"},
    {HTTPREQ, "{\"fqdn\":\"a\",\"value\":null}", "bad_txt"},
    {HTTPREQ,
     "{\"domain\":\"a.test\",\"keyAuth\":\"token." THUMBPRINT "\",\"value\":\"" VALUE "\"}",
     "malformed_json_payload"},
    {HTTPREQ, "{\"keyAuth\":\"token." THUMBPRINT "\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"keyAuth\":\"\"}", "malformed_json_payload"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"keyAuth\":\"no-dot\"}", "bad_txt"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"keyAuth\":\"." THUMBPRINT "\"}", "bad_txt"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"keyAuth\":\"token." THUMBPRINT "x\"}", "bad_txt"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"keyAuth\":\"tok en." THUMBPRINT "\"}", "bad_txt"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"token\":\"other\",\"keyAuth\":\"token." THUMBPRINT "\"}",
     "bad_txt"},
    {HTTPREQ, "{\"domain\":\"a.test\",\"token\":\"tok\",\"keyAuth\":\"token." THUMBPRINT "\"}",
     "bad_txt"},
    {REGISTER, "[]", "malformed_json_payload"},
    {REGISTER, "nul", "malformed_json_payload"},
    {REGISTER, "nullx", "malformed_json_payload"},
    {REGISTER, "\"x\"", "malformed_json_payload"},
    {REGISTER, "{", "malformed_json_payload"},
    {REGISTER, "{\"allowfrom\":\"10.0.0.0/8\"}", "malformed_json_payload"},
    {REGISTER, "{\"allowfrom\":{}}", "malformed_json_payload"},
    {REGISTER, "{\"allowfrom\":[7]}", "invalid_allowfrom_cidr"},
    {REGISTER, "{\"allowfrom\":[\"\"]}", "invalid_allowfrom_cidr"},
    {REGISTER, "{\"allowfrom\":[\"0123456789012345678901234567890123456789012345678901\"]}",
     "invalid_allowfrom_cidr"},
    {REGISTER,
     "{\"allowfrom\":[" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
         TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
             TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
     "\"::/0\"]}",
     "invalid_allowfrom_cidr"},
    {UPDATE, "", "malformed_json_payload"},
    {UPDATE, "subdomain=a&txt=b", "malformed_json_payload"},
    {UPDATE, "{\"subdomain\":\"a\"}", "bad_txt"},
    {UPDATE, "{\"subdomain\":\"a\",\"txt\":7}", "bad_txt"},
    {UPDATE, "{\"subdomain\":\"a\",\"txt\":\"" VALUE "x\"}", "bad_txt"},
    {UPDATE, "{\"subdomain\":\"a b\",\"txt\":\"" VALUE "\"}", "bad_subdomain"},
    {UPDATE, "{\"subdomain\":\"a\\nb\",\"txt\":\"" VALUE "\"}", "bad_subdomain"},
    {UPDATE, "{\"subdomain\":7,\"txt\":\"" VALUE "\"}", "bad_subdomain"},
    {STORAGE, "", "malformed_json_payload"},
    {STORAGE, "null", "malformed_json_payload"},
    {STORAGE, "hello", "malformed_json_payload"},
};

static void refuses_bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct delegate_fault fault = {0, "", ""};
        struct err e = parse(BAD[i].kind, BAD[i].text, &fault);
        if (e.code != ERR_REJECTED || strcmp(fault.error, BAD[i].error) != 0) {
            fail_msg("%s: %s, %s, %s", BAD[i].text, err_name(e.code), fault.error, fault.detail);
        }
        assert_int_equal(400, fault.status);
        assert_true(strlen(fault.detail) > 10);
    }
}

static void refuses_long_members(void **state)
{
    struct buf b = BUF_INIT(8192);
    char filler[DELEGATE_KEY_AUTH_MAX + 2];
    struct delegate_fault fault = {0, "", ""};

    (void)state;
    memset(filler, 'a', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    buf_printf(&b, "{\"fqdn\":\"%.*s\",\"value\":\"" VALUE "\"}", (int)DELEGATE_FQDN_MAX + 1,
               filler);
    assert_int_equal(ERR_REJECTED, parse(HTTPREQ, buf_str(&b), &fault).code);
    buf_reset(&b);
    buf_printf(&b, "{\"domain\":\"%.*s\",\"keyAuth\":\"t." THUMBPRINT "\"}", (int)NAME_TEXT_MAX + 4,
               filler);
    assert_int_equal(ERR_REJECTED, parse(HTTPREQ, buf_str(&b), &fault).code);
    buf_reset(&b);
    buf_printf(&b, "{\"domain\":\"a.test\",\"keyAuth\":\"%s\"}", filler);
    assert_int_equal(ERR_REJECTED, parse(HTTPREQ, buf_str(&b), &fault).code);
    buf_reset(&b);
    buf_printf(&b, "{\"subdomain\":\"%.*s\",\"txt\":\"" VALUE "\"}", (int)NAME_TEXT_MAX + 1,
               filler);
    assert_int_equal(ERR_REJECTED, parse(UPDATE, buf_str(&b), &fault).code);
    assert_string_equal("bad_subdomain", fault.error);
    buf_clear(&b);
}

static void httpreq_forms(void **state)
{
    /* base64url(SHA-256("token." THUMBPRINT)), computed with another tool */
    static const char digest[] = "Cdky4gQxs8is00M3r_li4t83VAfue3WPPR_ciO3qzQA";
    static const struct {
        const char *text;
        const char *fqdn;
    } cases[] = {
        {"{\"fqdn\":\"_acme-challenge.svc.test.\",\"value\":\"" VALUE "\"}",
         "_acme-challenge.svc.test."},
        {" {\"value\":\"" VALUE "\",\"fqdn\":\"svc.test.acme.svc.test.\",\"more\":[1]}\n",
         "svc.test.acme.svc.test."},
        {"{\"domain\":\"svc.test\",\"token\":\"token\",\"keyAuth\":\"token." THUMBPRINT "\"}",
         "_acme-challenge.svc.test"},
        {"{\"domain\":\"*.svc.test\",\"token\":\"token\",\"keyAuth\":\"token." THUMBPRINT "\"}",
         "_acme-challenge.svc.test"},
        {"{\"domain\":\"svc.test.\",\"keyAuth\":\"token." THUMBPRINT "\"}",
         "_acme-challenge.svc.test."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct delegate_httpreq out;
        struct delegate_fault fault = {0, "", ""};
        struct err e = delegate_httpreq_parse((const uint8_t *)cases[i].text, strlen(cases[i].text),
                                              &out, &fault);
        if (e.code != ERR_OK) {
            fail_msg("%s: %s", cases[i].text, fault.detail);
        }
        assert_string_equal(cases[i].fqdn, out.fqdn);
        assert_string_equal(i < 2 ? VALUE : digest, out.value);
    }
}

static void register_forms(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {
        {"", 0},
        {"null", 0},
        {"null\n", 0},
        {" \r\n\t", 0},
        {"{}", 0},
        {"{\"allowfrom\":null}", 0},
        {"{\"allowfrom\":[]}", 0},
        {"{\"allowfrom\":[\"10.0.0.0/8\",\"fd00::/8\"]}", 2},
        {"{\"unknown\":true,\"allowfrom\":[\"192.168.100.1/24\"]}", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct delegate_allowfrom out;
        struct delegate_fault fault = {0, "", ""};
        assert_int_equal(ERR_OK, delegate_register_parse((const uint8_t *)cases[i].text,
                                                         strlen(cases[i].text), &out, &fault)
                                     .code);
        assert_int_equal(cases[i].n, out.n);
        if (cases[i].n == 2) {
            assert_string_equal("10.0.0.0/8", out.nets[0]);
            assert_string_equal("fd00::/8", out.nets[1]);
        }
    }
}

static void update_forms(void **state)
{
    static const struct {
        const char *text;
        const char *subdomain;
    } cases[] = {
        {"{\"subdomain\":\"d420c923-bbd7-4056-ab64-c3ca54c9b3cf\",\"txt\":\"" VALUE "\"}",
         "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"},
        {"{\"subdomain\": \"svc.test\", \"txt\": \"" VALUE "\"}", "svc.test"},
        {"{\"txt\":\"" VALUE "\"}", ""},
        {"{\"subdomain\":null,\"txt\":\"" VALUE "\"}", ""},
        {"{\"subdomain\":\"\",\"txt\":\"" VALUE "\"}", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct delegate_update_body out;
        struct delegate_fault fault = {0, "", ""};
        assert_int_equal(ERR_OK, delegate_update_parse((const uint8_t *)cases[i].text,
                                                       strlen(cases[i].text), &out, &fault)
                                     .code);
        assert_string_equal(cases[i].subdomain, out.subdomain);
        assert_string_equal(VALUE, out.txt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_bodies), cmocka_unit_test(refuses_long_members),
        cmocka_unit_test(httpreq_forms),      cmocka_unit_test(register_forms),
        cmocka_unit_test(update_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
