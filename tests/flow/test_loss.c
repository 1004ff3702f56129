/*
 * What Redis loses, or somebody deletes or writes: each key and each entry of a run, at each stage
 * of its groups. Feeding and reconciling heal it: the batch is complete in the end, each group of
 * it once, and the ledger balances. Then what nobody of the run made: it stops nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/queues.h"
#include "tests/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 5 };

static struct pl_test_redis redis = {
    .more = (const char *const[]){"--appendonly", "no", NULL}}; /* it is never killed */
static char run_name[32];
static struct pl_queues *learner, *actor, *rewarder;
static struct pl_error err;
static char told[512]; /* the last line of the log */

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static void keep_line(void *at, const char *line)
{
    (void)at;
    snprintf(told, sizeof told, "%s", line);
}

static struct pl_queues *worker(const char *name, uint64_t lease_ms)
{
    struct pl_queues *s = NULL;

    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = run_name,
                                                 .worker = name,
                                                 .role = "test",
                                                 .lease_ms = lease_ms,
                                                 .deliveries_max = 5,
                                                 .event = keep_line,
                                                 .patience_ms = 20000},
                        &s, &err));
    return s;
}

static int begin(void **state)
{
    static int runs;

    (void)state;
    snprintf(run_name, sizeof run_name, "run-%d", ++runs);
    learner = worker("learner", 60000);
    actor = worker("actor-1", 60000);
    rewarder = worker("rewarder-1", 60000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_queues_close(learner);
    pl_queues_close(actor);
    pl_queues_close(rewarder);
    return 0;
}

/* A command about a key of the run: words split at blanks; '_' is a blank in one, '' is empty. */
static void say(const char *command, const char *key, const char *rest)
{
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));
    char line[256], *words[16], *at = NULL;
    redisReply *reply;
    int n = 0;

    assert_true(c && !c->err);
    snprintf(line, sizeof line, "%s plait:{%s}:%s %s", command, run_name, key, rest);
    for (char *w = strtok_r(line, " ", &at); w; w = strtok_r(NULL, " ", &at)) {
        assert_true(n < 16);
        for (char *blank = w; (blank = strchr(blank, '_'));)
            *blank = ' ';
        words[n++] = strcmp(w, "''") == 0 ? "" : w;
    }
    reply = redisCommandArgv(c, n, (const char **)words, NULL);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s %s %s: %s", command, key, rest, reply->str);
    freeReplyObject(reply);
    redisFree(c);
}

/* How many were new. */
static size_t feed(const char *batch, const char *after)
{
    size_t n = 0;

    for (uint32_t i = 0; i < GROUPS; i++) {
        char pb[32];
        bool fresh = false;

        snprintf(pb, sizeof pb, "prompt %s %u", batch, i);
        must(pl_queues_feed(learner,
                            &(struct pl_feed){.batch = batch,
                                              .expected = GROUPS,
                                              .index = i,
                                              .after = after,
                                              .previous = 0.5,
                                              .epsilon = 0.05,
                                              .gated = true,
                                              .pb = pb,
                                              .pb_len = strlen(pb)},
                            &fresh, &err));
        n += fresh;
    }
    return n;
}

static bool lease(struct pl_queues *s, enum pl_queue queue, struct pl_lease *l)
{
    const int rc = pl_queues_lease(s, queue, 0, l, &err);

    if (rc != PL_ENOENT)
        must(rc);
    return rc == PL_OK;
}

static enum pl_outcome finish(struct pl_queues *s, const struct pl_lease *l)
{
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;

    must(pl_queues_finish(s, l, NULL, 0, "rollout", 7, &outcome, &err));
    return outcome;
}

static enum pl_outcome commit(struct pl_queues *s, const struct pl_lease *l)
{
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;

    must(pl_queues_commit(s, l, 4, 3, 2, "text", l->group, strlen(l->group), &outcome, &err));
    return outcome;
}

static bool sample(void)
{
    struct pl_lease l;

    if (!lease(actor, PL_QUEUE_PROMPTS, &l))
        return false;
    (void)finish(actor, &l);
    pl_lease_release(&l);
    return true;
}

static bool score(void)
{
    struct pl_lease l;

    if (!lease(rewarder, PL_QUEUE_ROLLOUTS, &l))
        return false;
    (void)commit(rewarder, &l);
    pl_lease_release(&l);
    return true;
}

static struct pl_ledger ledger(void)
{
    struct pl_ledger l;

    must(pl_queues_ledger(learner, &l, &err));
    return l;
}

/* Batch 0 is in, each group once; its gate and that of batch 1 are decided as they ought to be. */
static void check_batch(const char *batch, double previous)
{
    struct pl_ready ready = {0};

    must(pl_queues_take(learner, batch, 0, &ready, &err));
    assert_int_equal(ready.count, GROUPS);
    assert_int_equal(ready.dropped, 0);
    for (uint32_t i = 0; i < GROUPS; i++) {
        char id[32];

        snprintf(id, sizeof id, "%s:%u", batch, i);
        assert_int_equal(ready.groups[i].index, i);
        assert_int_equal(ready.groups[i].pb_len, strlen(id));
        assert_memory_equal(ready.groups[i].pb, id, strlen(id));
    }
    assert_true(ready.accuracy == 0.75);
    assert_true(ready.previous == previous);
    assert_int_equal(ready.gate, ready.accuracy > previous - 0.05);
    pl_ready_release(&ready);
}

/* With a checkpoint of so many steps of two: what the learner does. */
static struct pl_reconciled reconciled;

static size_t tidy(uint64_t saved)
{
    const struct pl_queues_wanted wanted = {.saved = saved, .step = saved, .steps = 2};
    size_t batches;

    must(pl_queues_tidy(learner, &wanted, &batches, &reconciled, &err));
    return batches;
}

static void nothing_is_left(void)
{
    static const char *const kinds[] = {"batch", "groups", "scored", "begun", "dropped"};
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));

    assert_true(c && !c->err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        redisReply *reply = redisCommand(c, "KEYS plait:{%s}:%s:*", run_name, kinds[i]);

        assert_true(reply && reply->type == REDIS_REPLY_ARRAY);
        if (reply->elements > 0)
            fail_msg("%s is left", reply->element[0]->str);
        freeReplyObject(reply);
    }
    redisFree(c);
    assert_int_equal(ledger().queued + ledger().leased + ledger().rolled + ledger().scoring, 0);
    assert_int_equal(ledger().ready, 0);
    assert_true(ledger().balanced);
}

/* What the learner does while it waits, and others do their work. */
static void drain(void)
{
    for (int round = 0; round < 4; round++) {
        feed("0", "");
        feed("1", "0");
        tidy(0);
        while (sample() || score())
            ;
    }
    feed("0", "");
    feed("1", "0");
    tidy(0);
    assert_int_equal(reconciled.lost, 0);
    assert_int_equal(reconciled.lists, 0);
    check_batch("0", 0.5);
    check_batch("1", 0.75);
    assert_true(ledger().balanced);
    assert_int_equal(ledger().scored, 2 * GROUPS);
    assert_int_equal(ledger().queued + ledger().leased + ledger().rolled + ledger().scoring, 0);
    assert_int_equal(ledger().ready, 2);
    must(pl_queues_retire(learner, "0", &err));
    must(pl_queues_retire(learner, "1", &err));
    assert_int_equal(ledger().ready, 0);
    assert_int_equal(ledger().scored, 0);
    assert_true(ledger().balanced);
    tidy(2);
    nothing_is_left();
}

/* Groups at every stage: of batch 0 one prompt waits, one is leased, one rollout waits, one is
 * leased, one is scored; of batch 1 with `all`, all are scored, else none. */
static struct pl_lease held[2];

static void spread(bool all)
{
    if (all) {
        feed("1", "0");
        while (sample() || score())
            ;
    }
    feed("0", "");
    sample();
    score();
    sample();
    sample();
    assert_true(lease(rewarder, PL_QUEUE_ROLLOUTS, &held[1]));
    assert_true(lease(actor, PL_QUEUE_PROMPTS, &held[0]));
    feed("1", "0");
    assert_true(ledger().balanced);
}

/* Whoever held something hands it over now. */
static void hand_over(void)
{
    (void)finish(actor, &held[0]);
    (void)commit(rewarder, &held[1]);
    for (int i = 0; i < 2; i++)
        pl_lease_release(&held[i]);
}

static const char *const deletions[][3] = {
    {"DEL", "prompts", ""},
    {"DEL", "rollouts", ""},
    {"DEL", "groups:0", ""},
    {"DEL", "groups:1", ""},
    {"DEL", "batch:0", ""},
    {"DEL", "batch:1", ""},
    {"DEL", "scored:0", ""},
    {"DEL", "scored:1", ""},
    {"DEL", "begun:0", ""},
    {"DEL", "ready", ""},
    {"DEL", "retired", ""},
    {"DEL", "ledger", ""},
    {"DEL", "events", ""},
    {"DEL", "dead", ""},
    {"DEL", "parked", ""},
    {"XTRIM", "prompts", "MAXLEN 0"},
    {"XTRIM", "prompts", "MAXLEN 1"},
    {"XTRIM", "rollouts", "MAXLEN 0"},
    {"XTRIM", "rollouts", "MAXLEN 1"},
    {"XTRIM", "ready", "MAXLEN 0"},
    {"XGROUP DESTROY", "prompts", "actors"},
    {"XGROUP DESTROY", "rollouts", "rewarders"},
    {"XGROUP SETID", "prompts", "actors 0"},
    {"XGROUP SETID", "prompts", "actors $"},
    {"XGROUP DELCONSUMER", "prompts", "actors actor-1"},
    {"XGROUP DELCONSUMER", "rollouts", "rewarders rewarder-1"},
    {"HDEL", "groups:0", "0 2"},
    {"HDEL", "groups:0", "1 3 4"},
    {"HDEL", "batch:0", "state"},
    {"HDEL", "batch:0", "expected fed arrived"},
    {"HDEL", "batch:0", "previous next after"},
    {"HDEL", "batch:1", "previous gate entry accuracy"},
    {"HDEL", "scored:0", "0"},
    {"HDEL", "scored:0", "0:counts"},
    {"HDEL", "scored:0", "1:asked 2:asked"},
    {"HDEL", "scored:1", "3"},
    {"DEL", "dropped:0", ""},
    {"HDEL", "ledger", "fed"},
    {"HDEL", "ledger", "scored trained"},
    /* and what somebody with a right to write there can write */
    {"HSET", "batch:0", "arrived 99"},
    {"HSET", "batch:0", "arrived x dropped y"},
    {"HSET", "batch:1", "accuracy 5"},
    {"HSET", "batch:1", "accuracy nan previous nan"},
    {"HSET", "batch:1", "accuracy 0.1 gate 0"},
    {"HSET", "batch:0", "state ready gate 1 accuracy 1 previous 0 dropped 0"},
    {"HSET", "batch:0", "entry x state what"},
    {"HSET", "groups:0", "0 scored"},
    {"HSET", "groups:0", "1 what"},
    {"HSET", "groups:0", "2 prompt"},
    {"HSET", "groups:0", "77 scored"},
    {"HSET", "groups:0", "-1 prompt_1-1"},
    {"HSET", "groups:1", "-1 scored 1.5 scored"},
    {"HSET", "groups:0", "0 dead"},
    {"HSET", "groups:0", "1 dead_7-7 4 dead"},
    {"HSET", "groups:1", "0 dead 1 dead 2 dead 3 dead 4 dead"},
    {"HSET", "batch:0", "dropped 5 arrived 0 state ready gate 1 accuracy 0 previous 0"},
    {"HSET", "groups:9", "0 scored"},
    {"HSET", "groups:e7", "0 what"},
    {"HSET", "batch:07", "state ready"},
    {"HSET", "scored:x", "0 y"},
    {"HSET", "groups:1", "0 scored 1 scored 2 scored"},
    {"HSET", "scored:0", "'' x"},
    {"HSET", "scored:1", "7 x -1 x 1x x 00 x"},
    {"HSET", "scored:1", "0:counts what"},
    {"HSET", "scored:1", "0:counts 4_9_9"},
    {"HSET", "ledger", "fed x"},
    {"HSET", "ledger", "scored 1000"},
    {"HSET", "parked", "0:0 1-1 x y"},
    {"XADD", "ready", "* batch 0"},
    {"XADD", "ready", "* a b"},
    {"XADD", "prompts", "* foo bar"},
    {"XADD", "rollouts", "* foo bar"},
    {"XADD", "prompts", "* id ?:? pb x"},
    {"XADD", "prompts", "* id 0:0 pb x"},
    {"XADD", "rollouts", "* id 0:0 pb x"},
    {"XADD", "rollouts", "* id 9:9 pb x"},
    {"XADD", "prompts", "* foo 0:1"},
    {"XADD", "dead", "* id 0:0 where prompts"},
    {"SADD", "retired", "x"},
};

static void whatever_is_deleted_or_written_is_made_good(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++)
        for (size_t i = 0; i < sizeof deletions / sizeof *deletions; i++)
            for (int late = 0; late < 2; late++) { /* held leases are handed over before or after */
                begin(NULL);
                spread(all);
                print_message("%s %s %s, all %d, late %d\n", deletions[i][0], deletions[i][1],
                              deletions[i][2], all, late);
                say(deletions[i][0], deletions[i][1], deletions[i][2]);
                if (late)
                    feed("0", "");
                hand_over();
                drain();
                end(NULL);
            }
}

/* A replica that lags takes over: batches that are trained and in a checkpoint are there once more,
 * one whole, one half way, and nobody retires them again. */
static void a_redis_that_went_back_is_tidied(void **state)
{
    struct pl_lease l;

    (void)state;
    feed("0", "");
    while (sample() || score())
        ;
    feed("1", "0");
    sample();
    assert_true(lease(actor, PL_QUEUE_PROMPTS, &l));
    assert_int_equal(tidy(0), 0); /* neither is in a checkpoint */
    assert_int_equal(ledger().ready, 1);
    assert_int_equal(tidy(1), 1);
    assert_int_equal(ledger().trained, GROUPS);
    assert_int_equal(ledger().ready, 0);
    assert_int_equal(ledger().leased, 1);
    assert_int_equal(tidy(2), 1);
    assert_int_equal(ledger().trained, 2 * GROUPS);
    assert_int_equal(ledger().dropped, 0);
    nothing_is_left();
    assert_int_equal(finish(actor, &l), PL_OUTCOME_RETIRED);
    pl_lease_release(&l);
    say("HSET", "groups:0", "0 scored"); /* and what is written of it later goes as well */
    assert_int_equal(tidy(2), 1);
    nothing_is_left();
}

/* More than are looked at in one call, of both queues and of `ready`. */
static void entries_of_nobody_go(void **state)
{
    (void)state;
    feed("0", "");
    for (int i = 0; i < 100; i++) {
        say("XADD", "prompts", "* id 0:0 pb x");
        say("XADD", "rollouts", "* foo bar");
        say("XADD", "ready", "* batch 0");
    }
    tidy(0);
    assert_int_equal(ledger().queued, GROUPS);
    assert_int_equal(ledger().rolled, 0);
    assert_int_equal(ledger().ready, 0);
    assert_true(ledger().balanced);
    drain();
}

/* As it was seen: one entry by hand, and the learner started another time. */
static void one_entry_that_is_deleted_is_fed_again(void **state)
{
    bool whole = false;
    struct pl_lease l;
    char entry[64];

    (void)state;
    feed("0", "");
    assert_true(lease(actor, PL_QUEUE_PROMPTS, &l));
    snprintf(entry, sizeof entry, "%s", l.entry);
    say("XDEL", "prompts", entry);
    assert_false(ledger().balanced); /* and says so */
    must(pl_queues_whole(learner, "0", &whole, &err));
    assert_false(whole);
    assert_int_equal(feed("0", ""), 1);
    must(pl_queues_whole(learner, "0", &whole, &err));
    assert_true(whole);
    assert_true(ledger().balanced);
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(ledger().fed, GROUPS + 1);
    assert_int_equal(finish(actor, &l), PL_OUTCOME_LOST); /* the group has another one */
    pl_lease_release(&l);
    drain();
}

/* The batch behind is fed before the one whose field is gone. */
static void a_batch_is_fed_behind_one_that_lost_what_it_came_to(void **state)
{
    (void)state;
    feed("0", "");
    while (sample() || score())
        ;
    say("HDEL", "batch:0", "accuracy");
    assert_int_equal(feed("1", "0"), GROUPS);
    drain();
}

/* What the reader's list still names is not given to anybody. */
static void an_abandoned_entry_that_is_gone_is_let_go(void **state)
{
    struct pl_queues *dying;
    struct pl_lease l;
    char entry[128];

    (void)state;
    dying = worker("actor-9", 60000);
    feed("0", "");
    assert_true(lease(dying, PL_QUEUE_PROMPTS, &l));
    snprintf(entry, sizeof entry, "actors actor-9 0 %s IDLE 10000000 JUSTID", l.entry);
    say("XCLAIM", "prompts", entry);
    say("XDEL", "prompts", l.entry);
    pl_lease_release(&l);
    told[0] = '\0';
    sample();
    assert_memory_equal(told, "gone entry=", 11);
    assert_int_equal(ledger().leased, 0);
    pl_queues_close(dying);
    drain();
}

/* What nobody of the run made goes to `dead` by itself, and the next one is leased. */
static void a_foreign_entry_stops_nobody(void **state)
{
    struct pl_lease l;

    (void)state;
    say("XADD", "prompts", "* foo bar");
    say("XADD", "rollouts", "* foo bar");
    feed("0", "");
    assert_true(lease(actor, PL_QUEUE_PROMPTS, &l));
    assert_string_equal(l.group, "0:0");
    assert_non_null(strstr(told, "queue=prompts reason=\"it is no group of the run\""));
    pl_lease_release(&l);
    assert_false(lease(rewarder, PL_QUEUE_ROLLOUTS, &l));
    assert_non_null(strstr(told, "queue=rollouts reason=\"it is no group of the run\""));
    say("XADD", "rollouts", "* id 0:0 pb forged");
    assert_false(lease(rewarder, PL_QUEUE_ROLLOUTS, &l));
    assert_non_null(strstr(told, "reason=\"its group does not know it\""));
    assert_int_equal(ledger().dead, 3);
    assert_true(ledger().balanced);
}

/* Whatever the clock of Redis does: leases of who is gone end by the learner's. */
static void leases_of_a_worker_without_a_pulse_end(void **state)
{
    const struct pl_field field = {"groups", "1"};
    struct pl_lease l[3];
    size_t count = 0, all = 0;

    (void)state;
    feed("0", "");
    for (int i = 0; i < 3; i++)
        assert_true(lease(i == 0 ? learner : actor, PL_QUEUE_PROMPTS, &l[i]));
    must(pl_queues_heartbeat(actor, &field, 1, &err));
    must(pl_queues_heartbeat(learner, &field, 1, &err));
    must(pl_queues_release_silent(learner, 60000, &count, &err)); /* nobody was watched so long */
    assert_int_equal(count, 0);
    for (int i = 0; all < 2 && i < 100000; i++) { /* one's heart beats, the other's does not */
        must(pl_queues_heartbeat(learner, &field, 1, &err));
        must(pl_queues_release_silent(learner, 100, &count, &err));
        all += count;
    }
    assert_int_equal(all, 2);
    assert_int_equal(ledger().leased, 1);
    assert_int_equal(finish(learner, &l[0]), PL_OUTCOME_DONE);
    assert_int_equal(finish(actor, &l[1]), PL_OUTCOME_LOST);
    for (int i = 0; i < 3; i++)
        pl_lease_release(&l[i]);
    drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_deleted_or_written_is_made_good),
        cmocka_unit_test_setup_teardown(a_redis_that_went_back_is_tidied, begin, end),
        cmocka_unit_test_setup_teardown(entries_of_nobody_go, begin, end),
        cmocka_unit_test_setup_teardown(one_entry_that_is_deleted_is_fed_again, begin, end),
        cmocka_unit_test_setup_teardown(a_batch_is_fed_behind_one_that_lost_what_it_came_to, begin,
                                        end),
        cmocka_unit_test_setup_teardown(an_abandoned_entry_that_is_gone_is_let_go, begin, end),
        cmocka_unit_test_setup_teardown(a_foreign_entry_stops_nobody, begin, end),
        cmocka_unit_test_setup_teardown(leases_of_a_worker_without_a_pulse_end, begin, end),
    };
    int failed;

    if (!pl_test_redis_there()) {
        print_message("skipped: redis-server is not installed\n");
        return 77;
    }
    pl_test_redis_start(&redis);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pl_test_redis_end(&redis);
    return failed;
}
