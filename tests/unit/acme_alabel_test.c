/* Labels that begin with "xn--": what is no Punycode, then the samples of RFC 3492 §7.1 and names from the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "acme-server/alabel.h"
#include "core/util/mem.h"

static void refuses_what_is_no_punycode(void **state)
{
    static const char *const names[] = {
        "xn--",
        "xn--.test",
        "xn--b",                /* a number that does not end */
        "xn--bcher-",           /* nothing behind the hyphen */
        "xn---",                /* a hyphen is no digit */
        "xn--bcher-kv-",        /* nor is it in the middle */
        "xn--999999999999999b", /* too large for 32 bits */
        "xn--99999999",         /* beyond the last code point */
        "xn--a-9999999",        /* the same behind ASCII */
        "xn--ib9b",             /* U+D800, half of a pair */
        "xn--bcher-k_a",        /* no digit at all */
        "www.xn--b.test",       /* in the middle */
        "xn--bcher-kva.xn--",   /* the second of two */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        if (alabels_ok(names[i])) {
            fail_msg("%s was taken", names[i]);
        }
    }
}

static void takes_what_is(void **state)
{
    static const char *const names[] = {
        "",
        "svc.test",
        "xn-.test",
        "axn--b.test", /* the prefix stands elsewhere */
        "xn--bcher-kva.svc.test",
        "xn--mnchen-3ya.xn--p1ai",
        "xn--nxasmq6b",
        "xn--fiqs8s",
        "xn--ls8h", /* U+1F4A9, beyond 16 bits */
        /* RFC 3492 §7.1: (A) to (S), in lower case */
        "xn--egbpdaj6bu4bxfgehfvwxn",
        "xn--ihqwcrb4cv8a8dqg056pqjye",
        "xn--ihqwctvzc91f659drss3x8bo0yb",
        "xn--proprostnemluvesky-uyb24dma41a",
        "xn--4dbcagdahymbxekheh6e0a7fei0b",
        "xn--i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd",
        "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa",
        "xn--989aomsvi5e83db1d2a355cv1e0vak1dwrv93d5xbh15a0dt30a5jpsd879ccm6fea98c",
        "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l",
        "xn--porqunopuedensimplementehablarenespaol-fmd56a",
        "xn--tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g",
        "xn--3b-ww4c5e180e575a65lsy2b",
        "xn---with-super-monkeys-pc58ag80a8qai00g7n9n",
        "xn--hello-another-way--fc4qua05auwb3674vfr0b",
        "xn--2-u9tlzr9756bt3uc0v",
        "xn--majikoi5-783gue6qz075azm5e",
        "xn--de-jg4avhby1noc0d",
        "xn--d9juau41awczczp",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        if (!alabels_ok(names[i])) {
            fail_msg("%s was refused", names[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_punycode),
        cmocka_unit_test(takes_what_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
