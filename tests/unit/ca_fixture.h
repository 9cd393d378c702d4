/* Shared by the ca tests: a temporary state directory, CSRs made on the spot, running the openssl
 * program. */
#ifndef TESTS_UNIT_CA_FIXTURE_H
#define TESTS_UNIT_CA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "ca/ca.h"
#include "ca/ossl.h"

#include "core/util/mem.h"

#define assert_ok(e) assert_int_equal((e).code, ERR_OK)

struct fixture {
    char dir[64];
    char path[256]; /* of the newest fixture_path() */
};

static inline void fixture_make(struct fixture *f)
{
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-ca-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

static inline const char *fixture_path(struct fixture *f, const char *name)
{
    (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
    return f->path;
}

/* Run a program; its exit status. */
static inline int fixture_run(const char *const *argv)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL) {
            (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void fixture_remove(struct fixture *f)
{
    const char *const argv[] = {"rm", "-rf", f->dir, NULL};

    assert_int_equal(fixture_run(argv), 0);
}

static inline void fixture_write(struct fixture *f, const char *name, const void *data, size_t len)
{
    FILE *file = fopen(fixture_path(f, name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* At most cap - 1 bytes, terminated. */
static inline size_t read_whole(const char *path, uint8_t *out, size_t cap)
{
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    size_t len = fread(out, 1, cap - 1, file);
    assert_int_equal(fclose(file), 0);
    out[len] = 0;
    return len;
}

static inline struct ident make_ident(const char *text)
{
    struct ident id;

    if (ident_ip_parse(text, strlen(text), &id, NULL).code != ERR_OK) {
        assert_ok(ident_parse(text, strlen(text), &id, NULL));
    }
    return id;
}

/* A vetted CSR of key for one name. Takes the key. */
static inline struct ca_csr *make_csr(EVP_PKEY *key, const struct ident *id)
{
    char text[IDENT_TEXT_MAX + 1];
    unsigned char *der = NULL;
    struct ca_csr *csr = NULL;
    struct ca_refusal refusal = {0};
    X509_REQ *req = X509_REQ_new();

    ident_text(id, text);
    assert_non_null(req);
    assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName,
                                                MBSTRING_ASC, (unsigned char *)text, -1, -1, 0),
                     1);
    const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    assert_true(X509_REQ_sign(req, key, md) > 0);
    int len = i2d_X509_REQ(req, &der);
    assert_true(len > 0);
    assert_ok(ca_csr_vet(der, (size_t)len, id, 1, 2048, NULL, 0, &csr, &refusal));
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    return csr;
}

#endif
