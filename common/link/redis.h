/*
 * One connection to Redis that mends itself: what queues.h is built on.
 *
 * A call is repeated until it is answered: after a lost connection, and after LOADING, READONLY,
 * MISCONF, OOM, BUSY and their like, with growing, jittered pauses of 50 ms to 10 s (0.5 s on a
 * unix socket); NOGROUP and a missing function library are mended by what `mend` does, at once. So
 * every call made here must be one that can be repeated.
 *
 * What waiting does not mend is an error at once, with what a person is to do: a password that is
 * wrong (WRONGPASS) or missing (NOAUTH), a right that the user does not have (NOPERM), a
 * certificate. But where it had worked before, somebody is changing it under a program that has
 * work in hand: then that is waited for too, and said. The password is read from its file at each
 * connect, so that it can be changed under a program that runs.
 */
#ifndef PL_LINK_REDIS_H
#define PL_LINK_REDIS_H

#include "common/base/err.h"
#include "common/base/redis_access.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_REDIS_ARGS_MAX = 256 };

/* A command, word by word. Words are borrowed until the call; numbers are kept inside. */
struct pl_redis_args {
    const char *words[PL_REDIS_ARGS_MAX];
    size_t lens[PL_REDIS_ARGS_MAX];
    int count;
    char numbers[16][32];
    int numbers_used;
};

void pl_redis_begin(struct pl_redis_args *args, const char *command);
void pl_redis_word(struct pl_redis_args *args, const char *word);
void pl_redis_bytes(struct pl_redis_args *args, const void *bytes, size_t len);
void pl_redis_count(struct pl_redis_args *args, uint64_t value);
void pl_redis_real(struct pl_redis_args *args, double value); /* 17 digits */

struct pl_redis;

struct pl_redis_opts {
    const char *url;               /* redis_url.h */
    struct pl_redis_access access; /* copied */
    const char *role;              /* what "{role}" stands for in it */
    const char *client;            /* CLIENT SETNAME */
    uint64_t patience_ms;
    uint64_t answer_ms; /* how long one answer may take; 0: 15 s, longer than any read blocks */
    bool (*stop)(void *at);
    /* Asked when Redis refuses to write for want of memory (OOM). True: the call fails with
     * PL_EFULL, as the caller has something to do about it; else, and NULL, it waits. */
    bool (*full)(void *at);
    void (*event)(void *at, const char *line);
    void *at;
    /* Make groups, load functions: after each connect and when an answer says they are gone. */
    int (*mend)(void *mend_at, struct pl_error *err);
    void *mend_at;
};

/* Does not connect yet; the process ignores SIGPIPE from then on. PL_EINVAL: the url is none, or
 * the access does not go with it. */
int pl_redis_create(const struct pl_redis_opts *opts, struct pl_redis **ret_redis,
                    struct pl_error *err);
void pl_redis_destroy(struct pl_redis *redis); /* NULL is fine */

/*
 * *ret_reply is the caller's, ended with freeReplyObject(); it is no error. PL_ECANCELED: stop said
 * so. PL_EIO: patience is over, or Redis refused for good; the sentence says what it said.
 * PL_EINVAL, PL_ENOENT: who one is does not let one in, or not do this. PL_EFULL: as `full` said.
 * PL_ENOMEM.
 */
int pl_redis_call(struct pl_redis *redis, const struct pl_redis_args *args, redisReply **ret_reply,
                  struct pl_error *err);

/* One try on the connection as it is, for use within `mend`: no pauses, no mending. */
int pl_redis_try(struct pl_redis *redis, const struct pl_redis_args *args, redisReply **ret_reply,
                 struct pl_error *err);

/* One try of commands that go together (redis_wire.h; redis_pipe.h makes them), over a connection
 * that is made where there is none: nothing is repeated, and an answer that is an error is a reply.
 */
int pl_redis_ask_all(struct pl_redis *redis, const char *bytes, size_t len, size_t count,
                     redisReply **replies, struct pl_error *err);

/* For sentences: where it is, without a password, and as whom ("the default user"). */
const char *pl_redis_shown(const struct pl_redis *redis);
const char *pl_redis_user(const struct pl_redis *redis);

#endif
