/* A Redis that went back under a learner at work: who is the run's learner, and of which life its
 * work is. */
#include "common/link/queues.h"
#include "learner/identity.h"
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

/* Redis went back under a learner that had begun another life: what is queued there is of the
 * former one, which no actor takes, and a feed would find it there for ever. */
static void what_a_redis_of_an_earlier_life_holds_goes(void **state)
{
    struct pl_identity identity = {.life = {.number = 2}, .dir = (char *)"dir"};
    const struct pl_queues_opts opts = {.url = redis.url,
                                        .run = "t",
                                        .worker = "learner",
                                        .role = "learner",
                                        .lease_ms = 60000,
                                        .deliveries_max = 5,
                                        .patience_ms = 20000};
    const struct pl_feed feed = {
        .batch = "7", .expected = 1, .after = "", .epsilon = 0.05, .pb = "x", .pb_len = 1};
    struct pl_queues *s = NULL;
    struct pl_error err = {0};
    bool fresh;

    (void)state;
    memset(identity.life.run_id, 'a', 32);
    strcpy(identity.agree, "sum");
    pl_buf_init(&identity.roles, 1000);
    assert_int_equal(pl_buf_puts(&identity.roles, "a: 1\n"), PL_OK);
    if (pl_queues_open(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pl_identity_keep(&identity, s, 7, &err), PL_OK); /* told */
    assert_int_equal(pl_queues_feed(s, &feed, &fresh, &err), PL_OK);
    assert_true(fresh);
    assert_int_equal(pl_identity_keep(&identity, s, 7, &err), PL_OK);
    assert_int_equal(pl_queues_feed(s, &feed, &fresh, &err), PL_OK);
    assert_false(fresh); /* of this life: it stays */
    pl_test_redis_say(&redis, "HSET plait:{t}:run life 1");
    assert_int_equal(pl_identity_keep(&identity, s, 7, &err), PL_OK);
    assert_int_equal(pl_queues_feed(s, &feed, &fresh, &err), PL_OK);
    assert_true(fresh);
    pl_queues_close(s);
    pl_buf_release(&identity.roles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_claim_that_comes_back_is_nobodys),
        cmocka_unit_test(what_a_redis_of_an_earlier_life_holds_goes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
