#include "ca/ca.h"

#include <errno.h>
#include <unistd.h>

#include "ca/ca_private.h"

#include "core/util/mem.h"

static void ca_closep(struct ca **ca)
{
    ca_close(*ca);
    *ca = NULL;
}

/* Absent, or there but empty (a fresh volume): only then can it be removed. Whatever else stands in
 * the way is told by loading it. */
static bool is_new(const char *keys_dir)
{
    return rmdir(keys_dir) == 0 || errno == ENOENT;
}

static struct err check_prefix(const char *prefix)
{
    for (const char *p = prefix; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            FAIL(ERR_CONFIG, "the CA's name may hold printable ASCII characters only");
        }
    }
    return err_ok();
}

struct err ca_open(const char *state_dir, enum config_key_alg alg, const char *common_name_prefix,
                   struct ca **out)
{
    const char *prefix = common_name_prefix == NULL || common_name_prefix[0] == '\0'
                             ? "Bailiwick"
                             : common_name_prefix;
    AUTO(ca_closep) struct ca *ca = mem_zalloc(sizeof(*ca));
    AUTO(buf_clear) struct buf keys = BUF_INIT(4096);

    TRY_PTR(ca);
    TRY(check_prefix(prefix));
    buf_printf(&keys, "%s/keys", state_dir);
    TRY(buf_check(&keys));
    if (is_new(buf_str(&keys))) {
        TRY(bootstrap_create(state_dir, buf_str(&keys), alg, prefix));
    }
    TRY(bootstrap_load(buf_str(&keys), alg, ca));
    *out = MOVE(ca);
    return err_ok();
}

void ca_close(struct ca *ca)
{
    if (ca == NULL) {
        return;
    }
    signer_close(ca->signer);
    X509_free(ca->root);
    X509_free(ca->intermediate);
    EVP_MD_CTX_free(ca->verifier);
    mem_free(ca->root_der);
    mem_free(ca->root_pem);
    mem_free(ca->intermediate_pem);
    mem_free(ca);
}

const char *ca_root_pem(const struct ca *ca)
{
    return ca->root_pem;
}

const uint8_t *ca_root_der(const struct ca *ca, size_t *len)
{
    *len = ca->root_der_len;
    return ca->root_der;
}

const char *ca_intermediate_pem(const struct ca *ca)
{
    return ca->intermediate_pem;
}

const char *ca_root_fingerprint(const struct ca *ca)
{
    return ca->root_fingerprint;
}
