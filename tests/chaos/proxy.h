/*
 * A proxy of connections, as a process of its own: listens on the loopback interface and passes
 * bytes to and from a unix socket, until it is told to delay, throttle, hold, cut, reset,
 * half-close, truncate, corrupt or reorder them. What is drawn in it (which bit, where to cut)
 * comes from a seed.
 */
#ifndef PL_CHAOS_PROXY_H
#define PL_CHAOS_PROXY_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum pl_net {
    PL_NET_OPEN,     /* as if there were no proxy: ends a delay, a throttle, a hold */
    PL_NET_DELAY,    /* each piece comes `amount` ms later, and up to as much again */
    PL_NET_THROTTLE, /* `amount` bytes a second */
    PL_NET_HOLD,     /* nothing passes, nobody is told: a cable that is out */
    PL_NET_RESET,    /* all connections of now are reset */
    PL_NET_HALF,     /* one direction of each connection is closed */
    PL_NET_TRUNCATE, /* the next piece passes in part, then its connection is closed */
    PL_NET_CORRUPT,  /* a bit of the next piece is flipped */
    PL_NET_REORDER,  /* the halves of the next piece change places */
    PL_NETS
};
extern const char *const pl_net_names[PL_NETS];

enum { PL_PROXY_LINKS = 4 };

struct pl_proxy {
    int pid, control;
    size_t links;
    int ports[PL_PROXY_LINKS];
    volatile uint64_t *counts; /* (PL_NETS), shared: how often something was really done to bytes */
};

/* targets: (links) paths of unix sockets; one that is not there is asked for at each connection. */
int pl_proxy_start(struct pl_proxy *proxy, const char *const *targets, size_t links, uint64_t seed,
                   struct pl_error *err);
void pl_proxy_set(struct pl_proxy *proxy, size_t link, enum pl_net net, unsigned amount);
void pl_proxy_stop(struct pl_proxy *proxy);

#endif
