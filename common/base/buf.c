#include "common/base/buf.h"

#include "common/base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void pl_buf_init(struct pl_buf *buf, size_t bytes_max)
{
    *buf = (struct pl_buf){.bytes_max = bytes_max};
}

void pl_buf_release(struct pl_buf *buf)
{
    free(buf->data);
    *buf = (struct pl_buf){.bytes_max = buf->bytes_max};
}

void pl_buf_clear(struct pl_buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

int pl_buf_reserve(struct pl_buf *buf, size_t more)
{
    size_t cap;
    char *data;

    if (more > buf->bytes_max || buf->len > buf->bytes_max - more)
        return PL_EFULL;
    if (buf->len + more < buf->cap)
        return PL_OK;
    cap = buf->cap ? buf->cap : 64;
    while (cap < buf->len + more + 1)
        cap = cap > SIZE_MAX / 2 ? buf->len + more + 1 : cap * 2;
    data = realloc(buf->data, cap);
    if (!data)
        return PL_ENOMEM;
    data[buf->len] = '\0';
    buf->data = data;
    buf->cap = cap;
    return PL_OK;
}

int pl_buf_append(struct pl_buf *buf, const void *bytes, size_t len)
{
    const int rc = pl_buf_reserve(buf, len);

    if (rc < 0)
        return rc;
    if (len > 0)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return PL_OK;
}

int pl_buf_puts(struct pl_buf *buf, const char *text)
{
    return pl_buf_append(buf, text, strlen(text));
}

int pl_buf_printf(struct pl_buf *buf, const char *fmt, ...)
{
    va_list ap;
    int n, rc;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return PL_EINVAL;
    rc = pl_buf_reserve(buf, (size_t)n);
    if (rc < 0)
        return rc;
    va_start(ap, fmt);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)n;
    return PL_OK;
}

char *pl_strf(const char *fmt, ...)
{
    va_list ap;
    char *text;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

void *pl_alloc(size_t n, size_t size)
{
    enum { LINE = 64, HUGE_PAGE = 2 << 20 };
    size_t bytes, align;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - HUGE_PAGE)
        return NULL;
    align = bytes >= 4 * (size_t)HUGE_PAGE ? HUGE_PAGE : LINE;
    bytes = bytes ? (bytes + LINE - 1) / LINE * LINE : LINE;
    p = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!p)
        return NULL;
    if (align == HUGE_PAGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish; without it only slower */
    memset(p, 0, bytes);
    return p;
}
