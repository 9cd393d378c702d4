/* Records for tests: copies, and their wire form. */
#ifndef TESTS_UNIT_RR_MAKER_H
#define TESTS_UNIT_RR_MAKER_H

#include "core/util/buf.h"
#include "core/util/mem.h"
#include "dns/rr.h"

/* *out: to be cleared. */
static inline struct err rr_copy(const struct dns_rr *rr, struct dns_rr *out)
{
    uint8_t *rdata = NULL;

    if (rr->rdata_len > 0) {
        rdata = mem_dup(rr->rdata, rr->rdata_len);
        TRY_PTR(rdata);
    }
    *out = *rr;
    out->rdata = rdata;
    return err_ok();
}

/* The whole wire form appended to out, owner uncompressed. */
static inline void rr_put(struct buf *out, const struct dns_rr *rr)
{
    buf_put(out, rr->owner, rr->owner_len);
    buf_u16(out, rr->type);
    buf_u16(out, rr->class_);
    buf_u32(out, rr->ttl);
    buf_u16(out, rr->rdata_len);
    buf_put(out, rr->rdata, rr->rdata_len);
}

#endif
