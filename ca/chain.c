#include "ca/chain.h"

#include "ca/cert.h"

#include "core/util/mem.h"

struct err chain_join(const uint8_t *leaf_der, size_t leaf_der_len, const char *issuer_pem,
                      char **out)
{
    AUTO(buf_clear) struct buf chain = BUF_INIT(CHAIN_PEM_MAX);

    cert_pem(&chain, leaf_der, leaf_der_len);
    buf_puts(&chain, issuer_pem);
    TRY(buf_check(&chain));
    *out = buf_take(&chain);
    return err_ok();
}
