/*
 * Growing byte buffer, with a maximum given at init. Always NUL terminated behind `len`, so that
 * `data` can be used as a string when it holds no NUL itself. Not for several threads at once.
 */
#ifndef PL_BASE_BUF_H
#define PL_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct pl_buf {
    char *data;       /* len bytes and a NUL; NULL until the first append */
    size_t len;       /* bytes used */
    size_t cap;       /* bytes held, NUL included */
    size_t bytes_max; /* len never goes over this */
};

void pl_buf_init(struct pl_buf *buf, size_t bytes_max);
void pl_buf_release(struct pl_buf *buf); /* buf may be zeroed or released already */
void pl_buf_clear(struct pl_buf *buf);   /* len = 0, memory kept */

/* PL_EFULL: len would go over bytes_max. PL_ENOMEM. On failure buf is as it was. */
int pl_buf_append(struct pl_buf *buf, const void *bytes, size_t len);
int pl_buf_puts(struct pl_buf *buf, const char *text);
int pl_buf_printf(struct pl_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int pl_buf_reserve(struct pl_buf *buf, size_t more);

/* A formatted string from malloc(), to be ended with free(); NULL when memory is out. */
char *pl_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* calloc() of n items of `size` bytes that fails (NULL) on overflow, 64-byte aligned, ended with
 * free(). */
void *pl_alloc(size_t n, size_t size);

#endif
