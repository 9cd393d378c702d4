/* Fuzz target: ca_csr_vet() and, for what it accepts, ca_issue().
 * More than "no crash": a refusal has a sentence, and a certificate carries the ordered names and
 * the CSR's key only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/ca_private.h"

#include "core/util/mem.h"

/* Two orders: without the addresses and with them. */
#define NAMES_MAX 4
static const char *const NAMES[NAMES_MAX] = {"svc.test", "*.svc.test", "192.0.2.7", "2001:db8::7"};
static const size_t ORDERS[] = {2, NAMES_MAX};

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

static void check_name(const GENERAL_NAME *name, const struct ident *id)
{
    const struct ip_addr ip = ident_ip(id);
    char text[IDENT_TEXT_MAX + 1];

    ident_text(id, text);
    const void *want = id->is_ip ? (const void *)ip.bytes : text;
    size_t len = id->is_ip ? (ip.family == 4 ? 4 : 16) : strlen(text);
    check(name->type == (id->is_ip ? GEN_IPADD : GEN_DNS));
    const ASN1_STRING *got = id->is_ip ? name->d.iPAddress : name->d.dNSName;
    check((size_t)ASN1_STRING_length(got) == len);
    check(memcmp(ASN1_STRING_get0_data(got), want, len) == 0);
}

static void check_leaf(const struct ca_leaf *leaf, const struct ca_csr *csr,
                       const struct ident *order, size_t n)
{
    const unsigned char *p = leaf->der;
    unsigned char *spki = NULL;
    X509 *x = d2i_X509(NULL, &p, (long)leaf->der_len);

    check(x != NULL && p == leaf->der + leaf->der_len);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    check(names != NULL && (size_t)sk_GENERAL_NAME_num(names) == n);
    for (size_t i = 0; i < n; i++) {
        check_name(sk_GENERAL_NAME_value(names, (int)i), &order[i]);
    }
    check(X509_NAME_entry_count(X509_get_subject_name(x)) == 0);
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
    check(len > 0 && (size_t)len == csr->spki_len && memcmp(spki, csr->spki, csr->spki_len) == 0);
    check(X509_get0_pubkey(x) != NULL);
    OPENSSL_free(spki);
    GENERAL_NAMES_free(names);
    X509_free(x);
}

static void try_order(struct ca *ca, const uint8_t *data, size_t size, const struct ident *order,
                      size_t n)
{
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    struct ca_leaf leaf = {0};
    struct err e = ca_csr_vet(data, size, order, n, 2048, NULL, 0, &csr, &refusal);

    if (e.code != ERR_OK) {
        check(e.code == ERR_REJECTED && csr == NULL);
        check(refusal.detail[0] != '\0');
        for (const char *c = refusal.detail; *c != '\0'; c++) {
            check(*c >= ' ' && *c <= '~');
        }
        return;
    }
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = order, .idents_n = n};
    check(ca_issue(ca, csr, &request, &leaf, &refusal).code == ERR_OK);
    check_leaf(&leaf, csr, order, n);
    ca_leaf_clear(&leaf);
    ca_csr_free(csr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ca *ca;
    struct ident order[NAMES_MAX];

    if (ca == NULL) {
        ca = open_ca();
    }
    for (size_t i = 0; i < NAMES_MAX; i++) {
        struct err e = ident_ip_parse(NAMES[i], strlen(NAMES[i]), &order[i], NULL);
        if (e.code != ERR_OK) {
            check(ident_parse(NAMES[i], strlen(NAMES[i]), &order[i], NULL).code == ERR_OK);
        }
    }
    for (size_t i = 0; i < ARRAY_N(ORDERS); i++) {
        try_order(ca, data, size, order, ORDERS[i]);
    }
    return 0;
}
