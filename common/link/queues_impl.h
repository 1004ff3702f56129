/*
 * What queues.c, queues_run.c and guard.c share.
 */
#ifndef PL_LINK_QUEUES_IMPL_H
#define PL_LINK_QUEUES_IMPL_H

#include "common/link/queues.h"
#include "common/link/redis.h"

enum { PL_QUEUES_SHA1 = 41 };

/* What a worker still has from before it was started, and what it takes from those that died. */
struct pl_queues_reclaim {
    char from[48];    /* own history is read behind this entry; "" : all of it was read */
    uint64_t next_ms; /* when abandoned entries are looked for again */
    bool left;        /* something of its own is for when it holds nothing else */
};

/* A consumer of a queue, and since when its worker's heartbeat has not moved. */
struct pl_queues_pulse {
    char consumer[80], beat[24];
    uint64_t since_ms;
    bool seen; /* this time */
};

enum { PL_QUEUES_LIFE = 17 };

struct pl_queues {
    struct pl_queues_opts opts;
    struct pl_redis *redis;
    char *prefix, *worker, *role, *url, *run;
    struct pl_queues_reclaim reclaim[2];
    char life[PL_QUEUES_LIFE]; /* of this stream: what was begun in another one has ended */
    size_t holding;            /* leases of the caller, as it says */
    bool alone;                /* what it was leased last is suspicious */
    uint64_t beats;            /* heartbeats so far */
    struct pl_queues_pulse *pulses[2];
    size_t pulse_count[2];
    bool completed; /* what the last commit came to */
    uint64_t jitter;
    uint64_t since_ms; /* when it was opened, since 1970 */
};

/* "12:3" in two. PL_EFORMAT. */
struct pl_queues_place {
    char batch[32], index[16];
};
int pl_queues_place(const char *group, struct pl_queues_place *ret_place, struct pl_error *err);

/* FCALL with the run's prefix as its key; what it answered, a word. */
void pl_queues_begin(const struct pl_queues *stream, struct pl_redis_args *args,
                     const char *function);
int pl_queues_outcome(struct pl_queues *stream, const struct pl_redis_args *args,
                      enum pl_outcome *ret_outcome, struct pl_error *err);

extern const char *const pl_queue_names[2];   /* "prompts", "rollouts" */
extern const char *const pl_queue_readers[2]; /* "actors", "rewarders" */
uint64_t pl_queues_now_ms(void);              /* CLOCK_MONOTONIC */

/* The sentence about an answer that is not what the command gives. */
int pl_queues_odd(struct pl_error *err, const struct pl_redis_args *args);

int pl_queues_sha1(const void *bytes, size_t len, char ret_hex[PL_QUEUES_SHA1],
                   struct pl_error *err);

#endif
