#include "common/link/crowd.h"

#include <stdio.h>
#include <string.h>

void pl_crowd_enter(struct pl_crowd *crowd, int fd, const char *address)
{
    pl_crowd_leave(crowd, fd);
    crowd->come[crowd->come_next].fd = fd;
    snprintf(crowd->come[crowd->come_next].address, PL_CROWD_ADDRESS, "%s", address);
    crowd->come_next = (crowd->come_next + 1) % PL_CROWD_MAX;
    crowd->come_count += crowd->come_count < PL_CROWD_MAX;
}

void pl_crowd_leave(struct pl_crowd *crowd, int fd)
{
    for (size_t i = 0; i < crowd->come_count; i++)
        if (crowd->come[i].fd == fd)
            crowd->come[i].fd = -1;
}

const char *pl_crowd_address(const struct pl_crowd *crowd, int fd)
{
    for (size_t i = 0; i < crowd->come_count; i++)
        if (crowd->come[i].fd == fd)
            return crowd->come[i].address;
    return "";
}

bool pl_crowd_speaks(struct pl_crowd *crowd, const char *about, uint64_t now_ms)
{
    size_t at = crowd->said_count, oldest = 0;

    for (size_t i = 0; i < crowd->said_count; i++) {
        if (strcmp(crowd->said[i].about, about) == 0)
            at = i;
        if (crowd->said[i].at_ms < crowd->said[oldest].at_ms)
            oldest = i;
    }
    if (at < crowd->said_count && now_ms - crowd->said[at].at_ms < PL_CROWD_QUIET_MS)
        return false;
    if (crowd->lines == 0 || now_ms - crowd->since_ms >= PL_CROWD_QUIET_MS) {
        crowd->since_ms = now_ms;
        crowd->lines = 0;
    }
    if (crowd->lines == PL_CROWD_LINES)
        return false;
    crowd->lines++;
    if (at == PL_CROWD_MAX)
        at = oldest;
    crowd->said_count += at == crowd->said_count;
    crowd->said[at].at_ms = now_ms;
    snprintf(crowd->said[at].about, PL_CROWD_ADDRESS, "%s", about);
    return true;
}
