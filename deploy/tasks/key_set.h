/*
 * A set of 64-bit numbers that stand for things already seen.
 */
#ifndef PL_TASKS_KEY_SET_H
#define PL_TASKS_KEY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_key_set {
    uint64_t *slots; /* 0: free */
    size_t cap;      /* 0 or a power of two, more than count */
    size_t count;
};

/* A number for two numbers in this order, for making keys (the finaliser of splitmix64). */
uint64_t pl_key_mix(uint64_t a, uint64_t b);

/* Begin with a zeroed struct. PL_ENOMEM: nothing was added. */
int pl_key_set_add(struct pl_key_set *set, uint64_t key, bool *ret_new);
void pl_key_set_release(struct pl_key_set *set); /* a zeroed one is fine */

#endif
