/*
 * Who stands before a door (door.h), in constant memory: the addresses of connections that were
 * begun, by descriptor, and what was said of whom lately. It forgets the oldest.
 */
#ifndef PL_LINK_CROWD_H
#define PL_LINK_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_CROWD_MAX = 64,         /* of each kind */
    PL_CROWD_ADDRESS = 48,     /* bytes of an address in text */
    PL_CROWD_QUIET_MS = 60000, /* between two lines that say the same of one */
    PL_CROWD_LINES = 16,       /* most in that time about all of them */
};

struct pl_crowd {
    struct {
        int fd;
        char address[PL_CROWD_ADDRESS];
    } come[PL_CROWD_MAX];
    size_t come_count, come_next; /* a ring */
    struct {
        char about[PL_CROWD_ADDRESS];
        uint64_t at_ms;
    } said[PL_CROWD_MAX];
    size_t said_count;
    uint64_t since_ms; /* lines are counted from then on */
    size_t lines;
};

/* A connection with this descriptor has begun, or is over. */
void pl_crowd_enter(struct pl_crowd *crowd, int fd, const char *address);
void pl_crowd_leave(struct pl_crowd *crowd, int fd);
const char *pl_crowd_address(const struct pl_crowd *crowd, int fd); /* "": not known */

/* Whether a line is due that says this (of an address); it is taken to be written. */
bool pl_crowd_speaks(struct pl_crowd *crowd, const char *about, uint64_t now_ms);

#endif
