#include "core/util/mem.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

void *mem_zalloc(size_t n)
{
    return calloc(1, n == 0 ? 1 : n); /* allow: the one allocator */
}

void *mem_array(size_t n, size_t size)
{
    if (size > 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    return mem_zalloc(n * size);
}

void *mem_resize(void *p, size_t n)
{
    return realloc(p, n == 0 ? 1 : n); /* allow: the one allocator */
}

void *mem_dup(const void *p, size_t n)
{
    void *copy = malloc(n == 0 ? 1 : n); /* allow: the one allocator */
    if (copy != NULL && n > 0) {
        memcpy(copy, p, n);
    }
    return copy;
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : malloc(n + 1); /* allow: the one allocator */
    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void mem_free(void *p)
{
    free(p); /* allow: the one allocator */
}

void mem_freep(void *pointer_address)
{
    void **p = pointer_address;
    free(*p); /* allow: the one allocator */
    *p = NULL;
}

void mem_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

struct err secret_set(struct secret *s, const void *data, size_t len)
{
    uint8_t *copy = mem_dup(data, len);
    TRY_PTR(copy);
    secret_clear(s);
    s->data = copy;
    s->len = len;
    return err_ok();
}

void secret_clear(struct secret *s)
{
    if (s->data != NULL) {
        mem_wipe(s->data, s->len);
        mem_free(s->data);
    }
    s->data = NULL;
    s->len = 0;
}
