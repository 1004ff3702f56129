#include "tests/redis.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

bool pl_test_redis_there(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0;
}

static redisContext *dial(const struct pl_test_redis *redis)
{
    return redisConnectUnix(redis->url + strlen("unix://"));
}

static void wait_until_up(const struct pl_test_redis *redis)
{
    for (int i = 0; i < 6000; i++) { /* a minute */
        const struct timespec pause = {0, 10000000};
        redisContext *c = dial(redis);
        redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
        const bool up = reply && (reply->type == REDIS_REPLY_STATUS ||
                                  (reply->str && strncmp(reply->str, "NOAUTH", 6) == 0));

        freeReplyObject(reply);
        if (c)
            redisFree(c);
        if (up)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("redis-server did not come up in %s", redis->dir);
}

void pl_test_redis_again(struct pl_test_redis *redis)
{
    const char *words[64] = {"redis-server",
                             "--port",
                             "0",
                             "--save",
                             "",
                             "--appendonly",
                             "yes",
                             "--appendfsync",
                             "always",
                             "--dir",
                             redis->dir,
                             "--unixsocket",
                             redis->url + strlen("unix://")};
    size_t n = 13;

    for (size_t i = 0; redis->more && redis->more[i]; i++) {
        assert_true(n < 63);
        words[n++] = redis->more[i];
    }
    redis->pid = fork();
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execv("/usr/bin/redis-server", (char **)words);
        _exit(127);
    }
    assert_true(redis->pid > 0);
    wait_until_up(redis);
}

void pl_test_redis_start(struct pl_test_redis *redis)
{
    strcpy(redis->dir, "/tmp/plait-redis-XXXXXX");
    assert_non_null(mkdtemp(redis->dir));
    snprintf(redis->url, sizeof redis->url, "unix://%s/sock", redis->dir);
    pl_test_redis_again(redis);
}

void pl_test_redis_kill(struct pl_test_redis *redis)
{
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
    redis->pid = 0;
}

void pl_test_redis_end(struct pl_test_redis *redis)
{
    char command[128];

    if (redis->pid > 0)
        pl_test_redis_kill(redis);
    snprintf(command, sizeof command, "rm -rf '%s'", redis->dir);
    assert_int_equal(system(command), 0);
}

static redisReply *ask(const struct pl_test_redis *redis, const char *command)
{
    redisContext *c = dial(redis);
    redisReply *reply;

    assert_true(c && !c->err);
    reply = redisCommand(c, command); /* NOLINT: words, no user text */
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail_msg("'%s': %s", command, reply ? reply->str : c->errstr);
    redisFree(c);
    return reply;
}

void pl_test_redis_say(const struct pl_test_redis *redis, const char *command)
{
    freeReplyObject(ask(redis, command));
}

size_t pl_test_redis_count(const struct pl_test_redis *redis, const char *command)
{
    redisReply *reply = ask(redis, command);
    const size_t count = reply->elements;

    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    freeReplyObject(reply);
    return count;
}

void pl_test_redis_field(const struct pl_test_redis *redis, const char *key, const char *name,
                         const char *value)
{
    redisContext *c = dial(redis);
    redisReply *reply;

    assert_true(c && !c->err);
    reply = redisCommand(c, "HSET %s %s %s", key, name, value);
    assert_true(reply && reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(c);
}

void pl_test_redis_set(const struct pl_test_redis *redis, const char *key, const char *value)
{
    redisContext *c = dial(redis);
    redisReply *reply;

    assert_true(c && !c->err);
    reply = redisCommand(c, "SET %s %s", key, value);
    assert_true(reply && reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(c);
}
