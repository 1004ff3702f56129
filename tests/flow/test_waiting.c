/*
 * The learner as others see it: one a run, alive as long as it beats, and what it says it waits
 * for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/presence.h"
#include "learner/why.h"
#include "tests/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT = 3000 /* looks of 10 ms */ };

static struct pl_test_redis redis;
static struct pl_run_conf conf;

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static void pause_a_little(void)
{
    const struct timespec t = {0, 10000000};

    nanosleep(&t, NULL);
}

static struct pl_queues *as(const char *name, const char *role, bool (*full)(void *at))
{
    struct pl_queues *s;
    struct pl_error err = {0};

    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = conf.name,
                                                 .worker = name,
                                                 .role = role,
                                                 .lease_ms = 60000,
                                                 .deliveries_max = 5,
                                                 .full = full,
                                                 .patience_ms = 20000},
                        &s, &err),
         &err);
    return s;
}

static int open_presence(const char *name, uint64_t claim_ms, struct pl_presence **ret,
                         struct pl_error *err)
{
    return pl_presence_open(
        &(struct pl_presence_opts){
            .conf = &conf, .name = name, .redis = redis.url, .claim_ms = claim_ms, .beat_ms = 50},
        ret, err);
}

/* What a field comes to, or the test fails. */
static void comes_to(struct pl_queues *s, const char *key, const char *name, const char *want)
{
    struct pl_error err = {0};
    char last[512] = "";

    for (int i = 0; i < LIMIT; i++) {
        char *value = NULL;

        must(pl_queues_recall(s, key, &name, 1, &value, &err), &err);
        snprintf(last, sizeof last, "%s", value ? value : "(none)");
        free(value);
        if (strcmp(last, want) == 0)
            return;
        pause_a_little();
    }
    fail_msg("%s of %s is '%s', not '%s'", name, key, last, want);
}

static void what_it_says_is_there(void **state)
{
    struct pl_queues *s = as("viewer", "test", NULL);
    struct pl_presence *p;
    struct pl_error err = {0};
    const char *const beat = "beat";
    char *first = NULL;

    (void)state;
    must(open_presence("learner", 2000, &p, &err), &err);
    comes_to(s, "worker:learner", "phase", "starting");
    pl_presence_phase(p, "training");
    pl_presence_step(p, 7);
    pl_presence_saved(p, 5);
    pl_presence_why(p, "batch 8 waits");
    comes_to(s, "worker:learner", "phase", "training");
    comes_to(s, "worker:learner", "step", "7");
    comes_to(s, "worker:learner", "saved_step", "5");
    comes_to(s, "worker:learner", "why", "batch 8 waits");
    comes_to(s, "run", "why", "batch 8 waits");
    pl_presence_why(p, "");
    comes_to(s, "run", "why", "");
    must(pl_queues_recall(s, "worker:learner", &beat, 1, &first, &err), &err);
    for (int i = 0;; i++) { /* it goes on by itself */
        char *now = NULL;
        bool more;

        must(pl_queues_recall(s, "worker:learner", &beat, 1, &now, &err), &err);
        more = strtoull(now, NULL, 10) > strtoull(first, NULL, 10);
        free(now);
        if (more)
            break;
        assert_true(i < LIMIT);
        pause_a_little();
    }
    must(pl_presence_check(p, &err), &err);
    free(first);
    pl_presence_close(p);
    pl_queues_close(s);
}

/* Another process that is the learner until it is told to leave; its number. */
static pid_t other_learner(int ret_leave[2])
{
    int there[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(ret_leave), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct pl_presence *p;
        struct pl_error err = {0};

        close(ret_leave[1]); /* which ends the read below, should the test end first */
        if (open_presence("learner", 2000, &p, &err) < 0 || write(there[1], "x", 1) != 1)
            _exit(1);
        if (read(ret_leave[0], &byte, 1) < 0)
            _exit(2);
        pl_presence_close(p);
        _exit(0);
    }
    close(there[1]);
    close(ret_leave[0]);
    assert_int_equal(read(there[0], &byte, 1), 1);
    close(there[0]);
    return pid;
}

static void a_second_live_one_is_refused(void **state)
{
    struct pl_presence *second;
    struct pl_error err = {0};
    char says[96];
    int leave[2], status;
    const pid_t first = other_learner(leave);

    (void)state;
    assert_int_equal(open_presence("other", 2000, &second, &err), PL_EINVAL);
    snprintf(says, sizeof says, "has a learner already: 'learner', process %ld on host",
             (long)first);
    assert_non_null(strstr(err.text, says));
    close(leave[1]);
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(status, 0);
    must(open_presence("other", 2000, &second, &err), &err); /* the first has left */
    pl_presence_close(second);
}

static void claim_for(struct pl_queues *s, const char *token, uint64_t ms)
{
    struct pl_error err = {0};
    char holder[256];
    bool ours = false;

    must(pl_queues_claim_run(s, token, ms, &ours, holder, sizeof holder, &err), &err);
    assert_true(ours);
}

/* On this host it is seen that the process is gone; elsewhere its claim must end first. */
static void one_that_died_keeps_nobody_out(void **state)
{
    struct pl_queues *s = as("ghost", "test", NULL);
    char host[65] = "", token[256], space[64] = "";
    unsigned long long number = 0;
    const pid_t pid = fork();
    struct pl_presence *p;
    struct pl_error err = {0};

    (void)state;
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    assert_true(readlink("/proc/self/ns/pid", space, sizeof space - 1) > 0);
    assert_int_equal(sscanf(space, "pid:[%llu]", &number), 1);
    snprintf(token, sizeof token, "learner %s %ld %llu-0", host, (long)pid, number);
    claim_for(s, token, 3600000);
    must(open_presence("learner", 2000, &p, &err), &err);
    pl_presence_close(p);

    claim_for(s, "learner elsewhere 1 1-0", 300);
    must(open_presence("learner", 2000, &p, &err), &err);
    pl_presence_close(p);
    pl_queues_close(s);
}

/* One that hung until its claim ended, and another took the run. */
static void one_that_is_overtaken_is_told(void **state)
{
    struct pl_queues *s = as("ghost", "test", NULL);
    struct pl_presence *p;
    struct pl_error err = {0};
    char command[160];
    int rc = PL_OK;

    (void)state;
    must(open_presence("learner", 2000, &p, &err), &err);
    snprintf(command, sizeof command, "SET plait:{%s}:learner other~elsewhere~1~1-0 PX 3600000",
             conf.name);
    pl_test_redis_say(&redis, command);
    for (int i = 0; i < LIMIT && rc == PL_OK; i++) {
        pause_a_little();
        rc = pl_presence_check(p, &err);
    }
    assert_int_equal(rc, PL_EINVAL);
    pl_presence_close(p);
    snprintf(command, sizeof command, "DEL plait:{%s}:learner", conf.name);
    pl_test_redis_say(&redis, command);
    pl_queues_close(s);
}

/* ---- what it waits for ---- */

static void feed(struct pl_queues *s, const char *batch, uint32_t index, size_t expected)
{
    struct pl_error err = {0};
    bool fresh;

    must(pl_queues_feed(s,
                        &(struct pl_feed){.batch = batch,
                                          .expected = expected,
                                          .index = index,
                                          .after = "",
                                          .pb = "prompt",
                                          .pb_len = 6},
                        &fresh, &err),
         &err);
}

static struct pl_lease lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};
    struct pl_error err = {0};

    must(pl_queues_lease(s, queue, 20000, &l, &err), &err);
    return l;
}

static void say_why(struct pl_queues *s, char text[512])
{
    struct pl_missing missing;
    struct pl_error err = {0};

    must(pl_missing_look(s, "12", &missing, &err), &err);
    must(pl_why_waiting(s, "12", &missing, text, 512, &err), &err);
}

static void each_missing_group_is_where_it_is_said_to_be(void **state)
{
    struct pl_queues *learner = as("learner", "test", NULL);
    struct pl_queues *actor = as("actor-1", "actor", NULL), *rewarder;
    struct pl_lease held, made[2];
    struct pl_missing m;
    enum pl_outcome outcome;
    struct pl_error err = {0};
    char text[512];

    (void)state;
    say_why(learner, text);
    assert_string_equal(text, "batch 12 is not in Redis, which has lost it; it is fed again");
    for (uint32_t i = 0; i < 4; i++)
        feed(learner, "12", i, 5);
    say_why(learner, text);
    assert_non_null(strstr(text, "batch 12 waits for 5 of 5 groups: 4 in the queue that nobody "
                                 "holds (12:"));
    assert_non_null(strstr(text, "and no actor has a heartbeat; 1 lost by Redis, or refused"));

    must(pl_queues_heartbeat(actor, &(struct pl_field){"version", "1"}, 1, &err), &err);
    made[0] = lease(actor, PL_QUEUE_PROMPTS);
    made[1] = lease(actor, PL_QUEUE_PROMPTS);
    held = lease(actor, PL_QUEUE_PROMPTS);
    for (int i = 0; i < 2; i++) {
        must(pl_queues_finish(actor, &made[i], NULL, 0, "rollout", 7, &outcome, &err), &err);
        assert_int_equal(outcome, PL_OUTCOME_DONE);
        pl_lease_release(&made[i]);
    }
    must(pl_missing_look(learner, "12", &m, &err), &err);
    assert_int_equal(m.counts[PL_MISSING_QUEUED], 1);
    assert_int_equal(m.counts[PL_MISSING_HELD], 1);
    assert_int_equal(m.counts[PL_MISSING_ROLLED], 2);
    assert_int_equal(m.counts[PL_MISSING_UNFED], 1);
    assert_string_equal(m.first[PL_MISSING_HELD].worker, "actor-1");
    assert_string_equal(m.first[PL_MISSING_HELD].group, held.group);
    say_why(learner, text);
    assert_null(strstr(text, "no actor has a heartbeat"));
    assert_non_null(strstr(text, "and no rewarder has a heartbeat"));
    assert_non_null(strstr(text, "1 held by actors (12:2 by actor-1"));

    rewarder = as("rewarder-1.1", "rewarder", NULL);
    made[0] = lease(rewarder, PL_QUEUE_ROLLOUTS);
    must(pl_missing_look(learner, "12", &m, &err), &err);
    assert_int_equal(m.counts[PL_MISSING_SCORING], 1);
    assert_int_equal(m.counts[PL_MISSING_ROLLED], 1);
    assert_string_equal(m.first[PL_MISSING_SCORING].worker, "rewarder-1.1");
    pl_lease_release(&made[0]);
    pl_lease_release(&held);
    pl_queues_close(rewarder);
    pl_queues_close(actor);
    pl_queues_close(learner);
}

static bool is_full(void *at)
{
    ++*(int *)at;
    return true;
}

/* ---- a Redis that refuses ---- */

/* Who has something to do about it is told at once; what empties the queues goes on. */
static void a_full_redis_is_told_to_who_can_help(void **state)
{
    struct pl_queues *s;
    struct pl_error err = {0};
    int asked = 0;
    bool fresh;

    (void)state;
    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = conf.name,
                                                 .worker = "learner",
                                                 .role = "test",
                                                 .lease_ms = 60000,
                                                 .deliveries_max = 5,
                                                 .full = is_full,
                                                 .at = &asked,
                                                 .patience_ms = 20000},
                        &s, &err),
         &err);
    pl_test_redis_say(&redis, "CONFIG SET maxmemory 1");
    assert_int_equal(
        pl_queues_feed(
            s, &(struct pl_feed){.batch = "77", .expected = 1, .after = "", .pb = "x", .pb_len = 1},
            &fresh, &err),
        PL_EFULL);
    assert_non_null(strstr(err.text, "OOM"));
    assert_int_equal(asked, 1);
    must(pl_queues_retire(s, "12", &err), &err);
    pl_queues_close(s);
    pl_test_redis_say(&redis, "CONFIG SET maxmemory 0");
}

static int set_up(void **state)
{
    static char *const settings[] = {(char *)"run.dir=/nowhere", (char *)"model.path=none",
                                     (char *)"data.train_files=none"};
    struct pl_error err = {0};

    (void)state;
    if (!pl_test_redis_there())
        return -1;
    must(pl_run_conf_load(NULL, settings, 3, &conf, &err), &err);
    pl_test_redis_start(&redis);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pl_test_redis_end(&redis);
    pl_run_conf_release(&conf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says_is_there),
        cmocka_unit_test(a_second_live_one_is_refused),
        cmocka_unit_test(one_that_died_keeps_nobody_out),
        cmocka_unit_test(one_that_is_overtaken_is_told),
        cmocka_unit_test(each_missing_group_is_where_it_is_said_to_be),
        cmocka_unit_test(a_full_redis_is_told_to_who_can_help),
    };

    if (!pl_test_redis_there()) {
        print_message("skipped: redis-server is not installed\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
