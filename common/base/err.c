#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pl_fail(struct pl_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

int pl_fail_errno(struct pl_error *err, const char *fmt, ...)
{
    const int saved = errno;
    const int code = saved == ENOENT ? PL_ENOENT : saved == ENOMEM ? PL_ENOMEM : PL_EIO;
    va_list ap;
    size_t used;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(saved));
    return code;
}

int pl_fail_in(struct pl_error *err, int code, const char *fmt, ...)
{
    char tail[sizeof err->text];
    va_list ap;
    size_t used;

    if (!err)
        return code;
    memcpy(tail, err->text, sizeof tail);
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", tail);
    return code;
}

const char *pl_code_name(int code)
{
    switch (code) {
    case PL_OK:
        return "OK";
    case PL_EINVAL:
        return "EINVAL";
    case PL_ENOMEM:
        return "ENOMEM";
    case PL_EIO:
        return "EIO";
    case PL_EFORMAT:
        return "EFORMAT";
    case PL_EFULL:
        return "EFULL";
    case PL_ENOENT:
        return "ENOENT";
    case PL_ECANCELED:
        return "ECANCELED";
    case PL_EUNSUPPORTED:
        return "EUNSUPPORTED";
    default:
        return "E?";
    }
}
