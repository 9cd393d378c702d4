/* Sets of keys. */
#include "dns/records_written.h"
#include "dns/wire.h"

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

    *len = wire_get16(p);
    return p + 2;
}

typedef int (*compare_fn)(const void *a, size_t a_len, const void *b, size_t b_len);

struct order {
    const struct key_list *list;
    compare_fn compare;
};

static int compare(const void *a, const void *b, void *arg)
{
    const struct order *order = arg;
    size_t x_len = 0;
    size_t y_len = 0;
    const uint8_t *x = item(order->list, *(const size_t *)a, &x_len);
    const uint8_t *y = item(order->list, *(const size_t *)b, &y_len);

    return order->compare(x, x_len, y, y_len);
}

static bool is_star_at(const uint8_t *key, size_t len, size_t at)
{
    return at + 2 <= len && key[at] == '*' && key[at + 1] == 0;
}

/* As key_compare(), but of the labels below a name "*" is the first. */
static int compare_star_first(const void *a, size_t a_len, const void *b, size_t b_len)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    size_t label = 0; /* where the first label that differs begins */

    for (size_t i = 0; i < a_len && i < b_len && x[i] == y[i]; i++) {
        label = x[i] == 0 ? i + 1 : label;
    }
    bool is_star = is_star_at(x, a_len, label);
    if (label < a_len && label < b_len && is_star != is_star_at(y, b_len, label)) {
        return is_star ? -1 : 1;
    }
    return key_compare(a, a_len, b, b_len);
}

static void sort(struct key_list *list, compare_fn fn)
{
    struct order order = {list, fn};
    size_t n = 0;

    if (list->n < 2) {
        return;
    }
    qsort_r(list->at, list->n, sizeof(*list->at), compare, &order);
    for (size_t i = 0; i < list->n; i++) {
        if (n == 0 || compare(&list->at[n - 1], &list->at[i], &order) != 0) {
            list->at[n++] = list->at[i];
        }
    }
    list->n = n;
}

void key_list_sort(struct key_list *list)
{
    sort(list, key_compare);
}

void key_list_sort_stars(struct key_list *list)
{
    sort(list, compare_star_first);
}

void key_list_get(const struct key_list *list, size_t i, struct name_key *out)
{
    size_t len = 0;
    const uint8_t *p = item(list, list->at[i], &len);

    out->len = len;
    memcpy(out->data, p, len);
}
