/* What a transfer says, kept compactly in chunks between the read view and the peer. */
#include <stdalign.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/transfer_int.h"

#define CHUNK_FIRST 4096u
#define CHUNK_LAST (256u * 1024u)

struct rows_chunk {
    struct rows_chunk *next;
    size_t cap, len;
    uint8_t data[];
};

/* Before each row's owner and RDATA; copied, since rows are not aligned. */
struct row_head {
    uint32_t ttl_or_from, to;
    uint16_t type, rdata_len;
    uint8_t kind, owner_len;
};

void transfer_rows_init(struct transfer_rows *rows, _Atomic size_t *shared)
{
    memset(rows, 0, sizeof(*rows));
    rows->shared = shared;
}

void transfer_rows_clear(struct transfer_rows *rows)
{
    while (rows->first != NULL) {
        struct rows_chunk *next = rows->first->next;
        mem_free(rows->first);
        rows->first = next;
    }
    if (rows->shared != NULL) {
        (void)atomic_fetch_sub(rows->shared, rows->taken);
    }
    transfer_rows_init(rows, rows->shared);
}

static bool grow(struct transfer_rows *rows, size_t need)
{
    size_t cap = rows->last == NULL ? CHUNK_FIRST : rows->last->cap * 2;

    cap = cap > CHUNK_LAST ? CHUNK_LAST : cap;
    cap = cap < need ? need : cap;
    if (atomic_fetch_add(rows->shared, cap) + cap > TRANSFER_MEMORY_MAX) {
        (void)atomic_fetch_sub(rows->shared, cap);
        return false;
    }
    struct rows_chunk *chunk = mem_zalloc(sizeof(*chunk) + cap);
    if (chunk == NULL) {
        (void)atomic_fetch_sub(rows->shared, cap);
        return false;
    }
    rows->taken += cap;
    chunk->cap = cap;
    if (rows->last == NULL) {
        rows->first = chunk;
    } else {
        rows->last->next = chunk;
    }
    rows->last = chunk;
    return true;
}

static bool put(struct transfer_rows *rows, const struct row_head *head, const uint8_t *owner,
                const uint8_t *rdata)
{
    size_t need = sizeof(*head) + head->owner_len + head->rdata_len;

    if (rows->is_over) {
        return false;
    }
    if ((rows->last == NULL || rows->last->cap - rows->last->len < need) && !grow(rows, need)) {
        rows->is_over = true;
        return false;
    }
    uint8_t *at = rows->last->data + rows->last->len;
    memcpy(at, head, sizeof(*head));
    if (head->owner_len > 0) {
        memcpy(at + sizeof(*head), owner, head->owner_len);
    }
    if (head->rdata_len > 0) {
        memcpy(at + sizeof(*head) + head->owner_len, rdata, head->rdata_len);
    }
    rows->last->len += need;
    return true;
}

bool transfer_rows_put(struct transfer_rows *rows, enum row_kind kind, const struct dns_rr *rr)
{
    const struct row_head head = {rr->ttl,      0, rr->type, rr->rdata_len, (uint8_t)kind,
                                  rr->owner_len};
    size_t octets = rows->octets + rr->owner_len + 10u + rr->rdata_len;

    if ((rows->stop_at != 0 && octets > rows->stop_at) || !put(rows, &head, rr->owner, rr->rdata)) {
        return false;
    }
    rows->octets = octets;
    rows->n++;
    return true;
}

bool transfer_rows_difference(struct transfer_rows *rows, uint32_t from, uint32_t to)
{
    const struct row_head head = {from, to, 0, 0, ROW_DIFFERENCE, 0};

    rows->octets += 2u * 100u; /* its two SOA records, about */
    return put(rows, &head, NULL, NULL);
}

bool transfer_rows_next(const struct transfer_rows *rows, struct rows_cursor *cursor,
                        struct transfer_row *out)
{
    struct row_head head;

    if (!cursor->is_begun) {
        cursor->is_begun = true;
        cursor->chunk = rows->first;
    } else if (cursor->chunk != NULL && cursor->at == cursor->chunk->len) {
        cursor->chunk = cursor->chunk->next;
        cursor->at = 0;
    }
    if (cursor->chunk == NULL) {
        return false;
    }
    const uint8_t *at = cursor->chunk->data + cursor->at;
    memcpy(&head, at, sizeof(head));
    cursor->at += sizeof(head) + head.owner_len + head.rdata_len;
    out->kind = (enum row_kind)head.kind;
    out->from = head.ttl_or_from;
    out->to = head.to;
    out->owner = at + sizeof(head);
    out->owner_len = head.owner_len;
    out->rdata = out->owner + head.owner_len;
    out->rdata_len = head.rdata_len;
    out->type = head.type;
    out->ttl = head.ttl_or_from;
    return true;
}
