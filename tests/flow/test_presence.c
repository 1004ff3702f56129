/* Who is the run's learner, in a Redis that went back: one that died before is nobody. */
#include "learner/presence.h"
#include "tests/redis.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct pl_test_redis redis;

static int setup(void **state)
{
    (void)state;
    if (!pl_test_redis_there())
        skip();
    pl_test_redis_start(&redis);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pl_test_redis_end(&redis);
    return 0;
}

/* Who Redis says it is. */
static void holder(char *ret)
{
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));
    redisReply *reply = redisCommand(c, "GET plait:{t}:learner");

    snprintf(ret, 200, "%s", reply && reply->str ? reply->str : "");
    freeReplyObject(reply);
    redisFree(c);
}

static void set_holder(const char *token)
{
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));

    freeReplyObject(redisCommand(c, "SET plait:{t}:learner %s PX 60000", token));
    redisFree(c);
}

static void a_dead_claim_that_comes_back_is_nobodys(void **state)
{
    const struct timespec pause = {0, 20000000};
    struct pl_run_conf conf = {.lease_s = 60};
    struct pl_presence *p = NULL;
    struct pl_error err = {0};
    char own[200], dead[400], name[80], host[80], rest[80];
    const pid_t pid = fork();
    long number;

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    conf.name = "t";
    if (pl_presence_open(
            &(struct pl_presence_opts){
                .conf = &conf, .name = "learner", .redis = redis.url, .beat_ms = 50},
            &p, &err) < 0)
        fail_msg("%s", err.text);
    holder(own);
    assert_int_equal(sscanf(own, "%79s %79s %ld %79s", name, host, &number, rest), 4);
    assert_int_equal(number, getpid());
    snprintf(dead, sizeof dead, "%s %s %ld %s", name, host, (long)pid, rest);
    set_holder(dead);
    for (int i = 0; i < 500 && strcmp(dead, own) != 0; i++) {
        nanosleep(&pause, NULL);
        holder(dead);
        assert_int_equal(pl_presence_check(p, &err), PL_OK);
    }
    assert_string_equal(dead, own);

    /* One who lives has it: this one must leave. */
    snprintf(dead, sizeof dead, "%s %s %ld %s", name, host, (long)getppid(), rest);
    set_holder(dead);
    for (int i = 0; i < 500 && pl_presence_check(p, &err) == PL_OK; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(pl_presence_check(p, &err), PL_EINVAL);
    pl_presence_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_claim_that_comes_back_is_nobodys),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
