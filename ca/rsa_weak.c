/* Weak RSA moduli that can be recognised from the public key alone. */
#include "ca/key.h"

#include "ca/ossl.h"

#include "core/util/mem.h"

#define SMALL_FACTOR_MAX 751u /* the bound that public CAs use */
#define ROCA_PRIME_MAX 167u
#define ROCA_GENERATOR 65537u
#define FERMAT_ROUNDS 100

static bool is_small_prime(unsigned n)
{
    for (unsigned d = 3; d * d <= n; d += 2) {
        if (n % d == 0) {
            return false;
        }
    }
    return true;
}

/* Dividing by every odd number finds the same keys as dividing by every prime. */
static bool has_small_factor(const BIGNUM *n)
{
    for (unsigned d = 3; d <= SMALL_FACTOR_MAX; d += 2) {
        if (BN_mod_word(n, d) == 0) {
            return true;
        }
    }
    return false;
}

/* Is residue a power of 65537 modulo p? */
static bool is_generated(unsigned residue, unsigned p)
{
    unsigned power = 1;

    do {
        if (power == residue) {
            return true;
        }
        power = power * (ROCA_GENERATOR % p) % p;
    } while (power != 1);
    return false;
}

/* CVE-2017-15361: both primes are k*M + (65537^a mod M) with M a product of the first primes, hence
 * the modulus is a power of 65537 modulo each of them. A sound key passes for all of them with a
 * chance far below 2^-25. */
static bool is_roca(const BIGNUM *n)
{
    for (unsigned p = 3; p <= ROCA_PRIME_MAX; p += 2) {
        if (is_small_prime(p) && !is_generated((unsigned)BN_mod_word(n, p), p)) {
            return false;
        }
    }
    return true;
}

/* root = floor(sqrt(n)), by Newton's iteration from above. */
static struct err square_root(const BIGNUM *n, BIGNUM *root, BN_CTX *ctx)
{
    AUTO(bn_freep) BIGNUM *next = BN_new();

    TRY_PTR(next);
    if (BN_is_zero(n)) {
        BN_zero(root);
        return err_ok();
    }
    TRY_OSSL(BN_set_word(root, 1));
    TRY_OSSL(BN_lshift(root, root, (BN_num_bits(n) + 1) / 2));
    for (;;) {
        TRY_OSSL(BN_div(next, NULL, n, root, ctx));
        TRY_OSSL(BN_add(next, next, root));
        TRY_OSSL(BN_rshift1(next, next));
        if (BN_cmp(next, root) >= 0) {
            return err_ok();
        }
        TRY_PTR(BN_copy(root, next));
    }
}

/* A cheap sieve before the square root: squares are 0, 1, 4 or 9 modulo 16, and residues modulo
 * small primes. */
static bool may_be_square(const BIGNUM *n)
{
    static const unsigned MODULI[] = {9, 5, 7, 11, 13, 17, 19, 23, 29, 31};

    BN_ULONG low = BN_mod_word(n, 16);
    if (low != 0 && low != 1 && low != 4 && low != 9) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_N(MODULI); i++) {
        unsigned residue = (unsigned)BN_mod_word(n, MODULI[i]);
        unsigned x = 0;
        while (x < MODULI[i] && x * x % MODULI[i] != residue) {
            x++;
        }
        if (x == MODULI[i]) {
            return false;
        }
    }
    return true;
}

/* Fermat: n = a^2 - b^2 with a just above sqrt(n) when the primes are close. */
static struct err find_close_primes(const BIGNUM *n, bool *found)
{
    AUTO(bn_ctx_freep) BN_CTX *ctx = BN_CTX_new();
    AUTO(bn_freep) BIGNUM *a = BN_new();
    AUTO(bn_freep) BIGNUM *b2 = BN_new();
    AUTO(bn_freep) BIGNUM *root = BN_new();

    *found = false;
    TRY_PTR(ctx);
    TRY_PTR(a);
    TRY_PTR(b2);
    TRY_PTR(root);
    TRY(square_root(n, a, ctx));
    for (int i = 0; i <= FERMAT_ROUNDS; i++) {
        TRY_OSSL(BN_sqr(b2, a, ctx));
        TRY_OSSL(BN_sub(b2, b2, n));
        if (!BN_is_negative(b2) && may_be_square(b2)) {
            TRY(square_root(b2, root, ctx));
            TRY_OSSL(BN_sqr(root, root, ctx));
            if (BN_cmp(root, b2) == 0) {
                *found = true;
                return err_ok();
            }
        }
        TRY_OSSL(BN_add_word(a, 1));
    }
    return err_ok();
}

struct err rsa_weakness_find(const uint8_t *modulus, size_t len, enum rsa_weakness *out)
{
    AUTO(bn_freep) BIGNUM *n = BN_bin2bn(modulus, (int)len, NULL);
    bool is_close = false;

    TRY_PTR(n);
    *out = RSA_SOUND;
    if (!BN_is_odd(n)) {
        *out = RSA_EVEN;
        return err_ok();
    }
    if (has_small_factor(n)) {
        *out = RSA_SMALL_FACTOR;
        return err_ok();
    }
    if (is_roca(n)) {
        *out = RSA_ROCA;
        return err_ok();
    }
    TRY(find_close_primes(n, &is_close));
    if (is_close) {
        *out = RSA_CLOSE_PRIMES;
    }
    return err_ok();
}

struct err ca_rsa_is_weak(const uint8_t *modulus, size_t len, bool *is_weak)
{
    enum rsa_weakness found = RSA_SOUND;

    TRY(rsa_weakness_find(modulus, len, &found));
    *is_weak = found != RSA_SOUND;
    return err_ok();
}
