/*
 * How long work on a model's values tells how far it is.
 */
#ifndef PL_MODEL_WATCH_H
#define PL_MODEL_WATCH_H

#include <stdint.h>

/* Called now and then, and at the end, by one thread at a time; where it is taken, NULL is none. */
struct pl_watch {
    void *at;
    void (*bytes)(void *at, uint64_t done, uint64_t total);
};

#endif
