#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * What goes into a sentence may come from a file. Control characters of it (C0, DEL, and C1 as
 * UTF-8 spells them) would move a terminal's cursor, or end the line: they become '?'.
 */
static void disarm(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F)
            *p = '?';
        else if (*p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0)
            p[0] = p[1] = '?';
    }
}

int pl_fail(struct pl_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->os = 0;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    disarm(err->text);
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
    err->os = saved;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    disarm(err->text);
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
    disarm(err->text);
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
    case PL_EAGAIN:
        return "EAGAIN";
    default:
        return "E?";
    }
}
