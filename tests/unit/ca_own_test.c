/* The daemon's own HTTPS certificate. */
#include "ca_fixture.h"

#include <openssl/pem.h>

#include "core/util/clock.h"

static struct fixture f;
static struct ca *ca;
static struct store *store;

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    const struct store_options options = {.path = fixture_path(&f, "test.db"), .readers_max = 2};
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    assert_ok(store_open(&options, &CA_STORE_MODULE, 1, &store));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

struct counts {
    int64_t total, valid;
};

static struct err count(struct db *db, void *arg)
{
    struct counts *counts = arg;

    return ca_count(db, &counts->total, &counts->valid);
}

static void without_a_name_nothing_is_stored(void **state)
{
    char *cert = NULL;
    char *key = NULL;
    int64_t not_after = 0;
    struct counts counts = {0};

    (void)state;
    assert_int_equal(ca_issue_own(ca, store, NULL, 0, NULL, 0, &cert, &key, &not_after).code,
                     ERR_INTERNAL);
    assert_null(cert);
    assert_null(key);
    assert_ok(store_read(store, "test.count", count, &counts));
    assert_int_equal(counts.total, 0);
}

static void the_own_certificate_names_hosts_and_addresses(void **state)
{
    const struct ident names[] = {make_ident("ca.svc.test"), make_ident("localhost")};
    struct ip_addr ips[2];
    char *cert = NULL;
    char *key = NULL;
    int64_t not_after = 0;
    struct counts before = {0};
    struct counts after = {0};

    (void)state;
    assert_ok(ip_parse("127.0.0.1", &ips[0]));
    assert_ok(ip_parse("fd00::1", &ips[1]));
    assert_ok(store_read(store, "test.count", count, &before));
    assert_ok(ca_issue_own(ca, store, names, 2, ips, 2, &cert, &key, &not_after));
    assert_ok(store_read(store, "test.count", count, &after));
    assert_int_equal(after.total, before.total + 1);
    BIO *bio = BIO_new_mem_buf(cert, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(issuer);
    assert_int_equal(after.valid, before.valid + 1);
    assert_int_equal(X509_check_private_key(x, pkey), 1);
    assert_int_equal(X509_check_host(x, "ca.svc.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "fd00::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.2", 0), 0);
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), (time_t)not_after), 0);
    EVP_PKEY_free(pkey);
    X509_free(x);
    X509_free(issuer);
    mem_wipe(key, strlen(key));
    mem_free(key);
    mem_free(cert);
}

static void a_pair_serves_what_it_names(void **state)
{
    const struct ident names[] = {make_ident("ca.svc.test"), make_ident("192.0.2.7"),
                                  make_ident("other.test"), make_ident("192.0.2.8")};
    struct ip_addr ips[2];
    char *cert = NULL;
    char *key = NULL;
    char *other_cert = NULL;
    char *other_key = NULL;
    int64_t not_after = 0;
    int64_t other_not_after = 0;

    (void)state;
    assert_ok(ip_parse("2001:db8::7", &ips[0]));
    assert_ok(ip_parse("2001:db8::8", &ips[1]));
    assert_ok(ca_issue_own(ca, store, names, 2, ips, 1, &cert, &key, &not_after));
    assert_ok(ca_issue_own(ca, store, names, 2, ips, 1, &other_cert, &other_key, &other_not_after));
    const struct {
        struct ca_own_pair pair;
        bool is_good;
    } rows[] = {
        {{cert, key, names, 3, ips, 1}, false},     /* another name */
        {{cert, key, names + 3, 1, ips, 1}, false}, /* another ip identifier */
        {{cert, key, names, 2, ips, 2}, false},     /* another address */
        {{cert, other_key, names, 2, ips, 1}, false},
        {{ca_intermediate_pem(ca), key, names, 1, ips, 1}, false},
        {{cert, key, names, 2, ips, 1}, true},
        {{cert, key, names + 1, 1, NULL, 0}, true},
    };
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        int64_t until = 0;
        assert_int_equal(ca_own_is_usable(ca, &rows[i].pair, &until), rows[i].is_good);
        assert_true(until == 0 || (rows[i].is_good && until == not_after));
    }
    clock_shift((int64_t)61 * 86400 * 1000); /* less than a third is left */
    assert_false(ca_own_is_usable(ca, &rows[5].pair, &not_after));
    clock_shift((int64_t)-61 * 86400 * 1000);
    char *const texts[] = {cert, key, other_cert, other_key};
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        mem_free(texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_name_nothing_is_stored),
        cmocka_unit_test(the_own_certificate_names_hosts_and_addresses),
        cmocka_unit_test(a_pair_serves_what_it_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
