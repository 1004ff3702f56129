/*
 * Error codes and the sentence that goes with them.
 *
 * A fallible function returns PL_OK (0) or one of the negative codes below. Those that meet files,
 * peers or user text also take a `struct pl_error *err` (last, may be NULL) and write one whole
 * sentence into it: what, where, expected, found. Nobody logs on the way up; the program that
 * decides what to do logs once.
 */
#ifndef PL_BASE_ERR_H
#define PL_BASE_ERR_H

enum pl_code {
    PL_OK = 0,
    PL_EINVAL = -1,       /* an argument or option out of its range */
    PL_ENOMEM = -2,       /* memory, or a stated memory limit, ran out */
    PL_EIO = -3,          /* the operating system failed a read, write, rename, ... */
    PL_EFORMAT = -4,      /* a file or message is not what it claims to be */
    PL_EFULL = -5,        /* a bounded container holds all it may */
    PL_ENOENT = -6,       /* what was asked for is not there */
    PL_ECANCELED = -7,    /* stopped on request, for example by a signal */
    PL_EUNSUPPORTED = -8, /* well formed, but nothing plait can do */
    PL_EAGAIN = -9,       /* nothing came of it this time; here or elsewhere it may */
};

struct pl_error {
    int code;       /* one of enum pl_code */
    char text[640]; /* one sentence, no newline, NUL terminated */
    int os;         /* errno, where pl_fail_errno() wrote it; else 0 */
};

/* Fill err (if not NULL) and return code, so that `return pl_fail(...)` and `rc = pl_fail(...)`
 * read well. */
int pl_fail(struct pl_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with PL_EIO (PL_ENOENT for ENOENT, PL_ENOMEM for ENOMEM) and ": strerror(errno)" after
 * it. */
int pl_fail_errno(struct pl_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "prefix: " in front of a sentence that a callee wrote; returns err's code. err may be NULL.
 */
int pl_fail_in(struct pl_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "EINVAL", "ENOMEM", ...; "OK" for 0, "E?" for what it does not know. */
const char *pl_code_name(int code);

#endif
