/* Sets of keys. */
#include "dns/records_written.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"

void key_list_init(struct key_list *list)
{
    memset(list, 0, sizeof(*list));
    buf_init(&list->data, RECORDS_BUF_MAX);
}

void key_list_clear(struct key_list *list)
{
    buf_clear(&list->data);
    mem_free(list->at);
    key_list_init(list);
}

struct err key_list_add(struct key_list *list, const struct name_key *key)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 4 : list->cap * 2;
        size_t *grown = mem_resize(list->at, cap * sizeof(*grown));
        TRY_PTR(grown);
        list->at = grown;
        list->cap = cap;
    }
    list->at[list->n++] = list->data.len;
    buf_u16(&list->data, (uint16_t)key->len);
    buf_put(&list->data, key->data, key->len);
    return buf_check(&list->data);
}

static const uint8_t *item(const struct key_list *list, size_t at, size_t *len)
{
    const uint8_t *p = list->data.data + at;

    *len = (size_t)p[0] << 8 | p[1];
    return p + 2;
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct key_list *list = arg;
    size_t x_len = 0;
    size_t y_len = 0;
    const uint8_t *x = item(list, *(const size_t *)a, &x_len);
    const uint8_t *y = item(list, *(const size_t *)b, &y_len);

    return key_compare(x, x_len, y, y_len);
}

void key_list_sort(struct key_list *list)
{
    size_t n = 0;

    if (list->n < 2) {
        return;
    }
    qsort_r(list->at, list->n, sizeof(*list->at), compare, list);
    for (size_t i = 0; i < list->n; i++) {
        if (n == 0 || compare(&list->at[n - 1], &list->at[i], list) != 0) {
            list->at[n++] = list->at[i];
        }
    }
    list->n = n;
}

void key_list_get(const struct key_list *list, size_t i, struct name_key *out)
{
    size_t len = 0;
    const uint8_t *p = item(list, list->at[i], &len);

    out->len = len;
    memcpy(out->data, p, len);
}
