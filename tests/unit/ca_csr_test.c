/* The vectors of tests/data/csr/index.txt, and the few CSR cases that need something made on the
 * spot. */
#include "ca_fixture.h"

#define VECTORS BW_TEST_DATA "/../fuzz/corpus/csr"
#define FILE_MAX (64u * 1024u)

static const char *field(char **line)
{
    char *start = *line;
    char *end = strstr(start, " | ");

    assert_non_null(end);
    *end = '\0';
    *line = end + 3;
    return start;
}

static void judge(const char *name, const char *verdict, const char *detail, const uint8_t *account,
                  size_t account_len)
{
    static uint8_t der[FILE_MAX];
    const struct ident order[] = {make_ident("svc.test"), make_ident("*.svc.test"),
                                  make_ident("192.0.2.7"), make_ident("2001:db8::7")};
    size_t order_n = strncmp(name, "ip-", 3) == 0 ? 4 : 2;
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    char path[1024];

    (void)snprintf(path, sizeof(path), "%s/%s.der", VECTORS, name);
    size_t len = read_whole(path, der, sizeof(der));
    /* An exact-size copy, so that a sanitizer sees a read past the end. */
    uint8_t *exact = mem_dup(der, len);
    assert_non_null(exact);
    struct err e =
        ca_csr_vet(exact, len, order, order_n, 2048, account, account_len, &csr, &refusal);
    mem_free(exact);
    if (strcmp(verdict, "ok") == 0) {
        if (e.code != ERR_OK) {
            fail_msg("%s: refused: %s", name, err_trace()->text);
        }
        assert_non_null(csr);
        ca_csr_free(csr);
        return;
    }
    if (e.code != ERR_REJECTED || csr != NULL) {
        fail_msg("%s: not refused (code %s)", name, err_name(e.code));
    }
    if (strstr(refusal.detail, detail) == NULL) {
        fail_msg("%s: said \"%s\", not \"%s\"", name, refusal.detail, detail);
    }
    size_t end = strlen(refusal.detail);
    assert_true(end > 0 && refusal.detail[end - 1] == '.');
    assert_int_equal(refusal.is_bad_key, strcmp(verdict, "key") == 0);
}

static void vectors_get_their_verdict(void **state)
{
    char line[512];
    uint8_t account[256];
    int n = 0;
    FILE *index = fopen(BW_TEST_DATA "/csr/index.txt", "r");

    (void)state;
    assert_non_null(index);
    size_t account_len = read_whole(BW_TEST_DATA "/csr/account.spki", account, sizeof(account));
    while (fgets(line, sizeof(line), index) != NULL) {
        char *rest = line;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#') {
            continue;
        }
        const char *name = field(&rest);
        const char *verdict = field(&rest);
        judge(name, verdict, rest, account, account_len);
        n++;
    }
    assert_int_equal(fclose(index), 0);
    assert_true(n > 130);
}

static void every_bit_of_a_csr_counts(void **state)
{
    static uint8_t der[FILE_MAX];
    const struct ident order[] = {make_ident("svc.test"), make_ident("*.svc.test")};
    size_t len = read_whole(VECTORS "/good-p256.der", der, sizeof(der));

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct ca_csr *csr = NULL;
        struct ca_refusal refusal = {0};
        der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(ca_csr_vet(der, len, order, 2, 2048, NULL, 0, &csr, &refusal).code,
                         ERR_REJECTED);
        assert_true(refusal.detail[0] != '\0');
        der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void the_rsa_minimum_is_the_callers(void **state)
{
    static uint8_t der[FILE_MAX];
    const struct ident order[] = {make_ident("svc.test"), make_ident("*.svc.test")};
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    size_t len = read_whole(VECTORS "/good-rsa2048.der", der, sizeof(der));

    (void)state;
    assert_int_equal(ca_csr_vet(der, len, order, 2, 3072, NULL, 0, &csr, &refusal).code,
                     ERR_REJECTED);
    assert_true(refusal.is_bad_key);
    assert_non_null(strstr(refusal.detail, "2048 bits; this CA accepts 3072 to 4096"));
}

static void too_many_identifiers_are_our_fault(void **state)
{
    static struct ident order[CA_NAMES_MAX + 1];
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    const uint8_t der[] = {0x30, 0x00};

    (void)state;
    assert_int_equal(
        ca_csr_vet(der, sizeof(der), order, CA_NAMES_MAX + 1, 2048, NULL, 0, &csr, &refusal).code,
        ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_get_their_verdict),
        cmocka_unit_test(every_bit_of_a_csr_counts),
        cmocka_unit_test(the_rsa_minimum_is_the_callers),
        cmocka_unit_test(too_many_identifiers_are_our_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
