#include "common/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic int level_least = PL_LEVEL_INFO;
static void (*before_line)(void *at);
static void *before_at;

void pl_log_level_set(enum pl_level least)
{
    atomic_store(&level_least, (int)least);
}

void pl_log_before(void (*before)(void *at), void *at)
{
    before_line = before;
    before_at = at;
}

void pl_log(enum pl_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char line[2048];
    struct timespec now;
    struct tm utc;
    va_list ap;
    size_t used;
    int n;

    if ((int)level < atomic_load(&level_least))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n = snprintf(line + used, sizeof line - used, ".%03ldZ %s ", now.tv_nsec / 1000000,
                 names[level]);
    used += n > 0 ? (size_t)n : 0;
    va_start(ap, fmt);
    n = vsnprintf(line + used, sizeof line - used - 1, fmt, ap);
    va_end(ap);
    if (n > 0)
        used += (size_t)n < sizeof line - used - 1 ? (size_t)n : sizeof line - used - 2;
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' '; /* what comes from elsewhere must not begin a line of its own */
    line[used++] = '\n';
    if (before_line)
        before_line(before_at);
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* there is nowhere left to say so */
}
