/* Fuzz target: ca_csr_vet() and, for what it accepts, ca_issue().
 * More than "no crash": a refusal has a sentence, and a certificate carries the ordered names and
 * the CSR's key only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/ca_private.h"

#include "core/util/mem.h"

#define NAMES_N 2
static const char *const NAMES[NAMES_N] = {"svc.test", "*.svc.test"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct ca *open_ca(void)
{
    static const char *const FILES[] = {"keys/root.key", "keys/intermediate.key",
                                        "keys/root.pem", "keys/intermediate.pem",
                                        "keys",          ""};
    char dir[] = "/tmp/bw-fuzz-csr-XXXXXX";
    char path[64];
    struct ca *ca = NULL;

    check(mkdtemp(dir) != NULL);
    check(ca_open(dir, CONFIG_KEY_ECDSA_P256, "Fuzz", &ca).code == ERR_OK);
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, FILES[i]);
        (void)remove(path);
    }
    return ca;
}

static void check_leaf(const struct ca_leaf *leaf, const struct ca_csr *csr)
{
    const unsigned char *p = leaf->der;
    unsigned char *spki = NULL;
    X509 *x = d2i_X509(NULL, &p, (long)leaf->der_len);

    check(x != NULL && p == leaf->der + leaf->der_len);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    check(names != NULL && sk_GENERAL_NAME_num(names) == NAMES_N);
    for (int i = 0; i < NAMES_N; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        check(name->type == GEN_DNS);
        check((size_t)ASN1_STRING_length(name->d.dNSName) == strlen(NAMES[i]));
        check(memcmp(ASN1_STRING_get0_data(name->d.dNSName), NAMES[i], strlen(NAMES[i])) == 0);
    }
    check(X509_NAME_entry_count(X509_get_subject_name(x)) == 0);
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
    check(len > 0 && (size_t)len == csr->spki_len && memcmp(spki, csr->spki, csr->spki_len) == 0);
    check(X509_get0_pubkey(x) != NULL);
    OPENSSL_free(spki);
    GENERAL_NAMES_free(names);
    X509_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ca *ca;
    struct ident order[NAMES_N];
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    struct ca_leaf leaf = {0};

    if (ca == NULL) {
        ca = open_ca();
    }
    for (size_t i = 0; i < NAMES_N; i++) {
        check(ident_parse(NAMES[i], strlen(NAMES[i]), &order[i], NULL).code == ERR_OK);
    }
    struct err e = ca_csr_vet(data, size, order, NAMES_N, 2048, NULL, 0, &csr, &refusal);
    if (e.code != ERR_OK) {
        check(e.code == ERR_REJECTED && csr == NULL);
        check(refusal.detail[0] != '\0');
        for (const char *c = refusal.detail; *c != '\0'; c++) {
            check(*c >= ' ' && *c <= '~');
        }
        return 0;
    }
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = order, .idents_n = NAMES_N};
    check(ca_issue(ca, csr, &request, &leaf, &refusal).code == ERR_OK);
    check_leaf(&leaf, csr);
    ca_leaf_clear(&leaf);
    ca_csr_free(csr);
    return 0;
}
