/*
 * A private Redis for tests: on a unix socket in a folder of its own under /tmp, with an
 * append-only file so that it can be killed and started again. Ends with the test, whatever happens
 * to it.
 */
#ifndef PL_TESTS_REDIS_H
#define PL_TESTS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct pl_test_redis {
    char dir[64], url[96];
    pid_t pid;
    const char *const
        *more; /* words behind those that it is always started with, NULL at the end */
};

bool pl_test_redis_there(void);                        /* is redis-server installed? */
void pl_test_redis_start(struct pl_test_redis *redis); /* `more` is taken as it is */
void pl_test_redis_kill(struct pl_test_redis *redis);  /* SIGKILL */
void pl_test_redis_again(struct pl_test_redis *redis); /* on the same folder */
void pl_test_redis_end(struct pl_test_redis *redis);   /* and the folder goes */

/* One command, words split at blanks, its answer dropped. */
void pl_test_redis_say(const struct pl_test_redis *redis, const char *command);

/* How many elements its answer has. */
size_t pl_test_redis_count(const struct pl_test_redis *redis, const char *command);

/* HSET, of bytes that no line of words can say: an empty name, blanks. */
void pl_test_redis_field(const struct pl_test_redis *redis, const char *key, const char *name,
                         const char *value);

/* SET, of a value that holds blanks. */
void pl_test_redis_set(const struct pl_test_redis *redis, const char *key, const char *value);

#endif
