#include "tests/chaos/torture/results.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append(const char *area, const char *name, bool is_long, uint64_t seed, uint64_t count,
                   uint64_t failures, const char *rest)
{
    const char *path = getenv("PLAIT_CHAOS_RESULTS");
    char line[1024];
    int fd;

    snprintf(line, sizeof line,
             "{\"area\": \"%s\", \"name\": \"%s\", \"form\": \"%s\", \"seed\": %llu, "
             "\"count\": %llu, \"failures\": %llu%s}\n",
             area, name, is_long ? "long" : "short", (unsigned long long)seed,
             (unsigned long long)count, (unsigned long long)failures, rest);
    fputs(line, stdout);
    fd = path && path[0] ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (fd < 0 && path && path[0])
        perror(path);
    if (fd >= 0) {
        if (write(fd, line, strlen(line)) < 0)
            perror(path);
        close(fd);
    }
}

void pl_chaos_result(const char *area, const char *name, bool is_long, uint64_t seed,
                     uint64_t count, uint64_t failures, const char *more, ...)
{
    char rest[512];
    va_list args;

    va_start(args, more);
    vsnprintf(rest, sizeof rest, more, args);
    va_end(args);
    append(area, name, is_long, seed, count, failures, rest);
}

void pl_torture_result(const char *name, uint64_t seed, uint64_t count, uint64_t failures,
                       const char *more, ...)
{
    char rest[512];
    va_list args;

    va_start(args, more);
    vsnprintf(rest, sizeof rest, more, args);
    va_end(args);
    append("torture", name, pl_torture_is_long(), seed, count, failures, rest);
}

bool pl_torture_is_long(void)
{
    const char *word = getenv("PLAIT_TORTURE_LONG");

    return word && word[0];
}

uint64_t pl_torture_wrong(const char *fmt, ...)
{
    static int printed;
    va_list args;

    if (printed++ < 20) {
        va_start(args, fmt);
        printf("WRONG: ");
        vprintf(fmt, args);
        printf("\n");
        va_end(args);
    }
    return 1;
}

/* splitmix64 */
uint32_t pl_torture_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 16);
}

uint32_t pl_torture_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((uint64_t)pl_torture_draw(state) * n >> 32);
}
