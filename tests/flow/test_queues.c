/*
 * The queues on a real Redis: duplicate, late, stale and foreign calls, workers that die, Redis
 * killed and emptied. After each step the ledger must balance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/queues.h"
#include "tests/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pl_test_redis redis;
static int runs;
static char run_name[32];

static struct pl_queues *worker_with(const char *name, uint64_t lease_ms, uint32_t deliveries)
{
    const struct pl_queues_opts opts = {.url = redis.url,
                                        .run = run_name,
                                        .worker = name,
                                        .role = "test",
                                        .lease_ms = lease_ms,
                                        .deliveries_max = deliveries,
                                        .patience_ms = 20000};
    struct pl_queues *s = NULL;
    struct pl_error err = {0};

    if (pl_queues_open(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct pl_queues *worker(const char *name)
{
    return worker_with(name, 60000, 5);
}

static void new_run(void)
{
    snprintf(run_name, sizeof run_name, "run-%d", ++runs);
}

static bool feed(struct pl_queues *s, const char *batch, uint32_t index, size_t expected,
                 const char *after, double previous)
{
    const struct pl_field fields[] = {{"version", "1"}, {"source", "kk"}};
    char pb[32];
    bool fresh = false;
    struct pl_error err = {0};

    snprintf(pb, sizeof pb, "prompt %s %u", batch, index);
    if (pl_queues_feed(s,
                       &(struct pl_feed){.batch = batch,
                                         .expected = expected,
                                         .index = index,
                                         .after = after,
                                         .previous = previous,
                                         .epsilon = 0.05,
                                         .gated = true,
                                         .fields = fields,
                                         .field_count = 2,
                                         .pb = pb,
                                         .pb_len = strlen(pb)},
                       &fresh, &err) < 0)
        fail_msg("%s", err.text);
    return fresh;
}

static bool is_retired(struct pl_queues *s, const char *batch)
{
    bool fresh = false;
    struct pl_error err = {0};
    const int rc = pl_queues_feed(
        s, &(struct pl_feed){.batch = batch, .expected = 1, .after = "", .pb = "x", .pb_len = 1},
        &fresh, &err);

    if (rc == PL_EUNSUPPORTED)
        assert_non_null(strstr(err.text, "is retired in Redis"));
    return rc == PL_EUNSUPPORTED;
}

static struct pl_lease lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};
    struct pl_error err = {0};

    if (pl_queues_lease(s, queue, 60000, &l, &err) < 0)
        fail_msg("no lease: %s", err.text);
    return l;
}

static bool nothing_to_lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};

    return pl_queues_lease(s, queue, 0, &l, NULL) == PL_ENOENT;
}

static enum pl_outcome finish(struct pl_queues *s, const struct pl_lease *l)
{
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_error err = {0};

    if (pl_queues_finish(s, l, NULL, 0, "rollout\0x", 9, &outcome, &err) < 0)
        fail_msg("%s", err.text);
    return outcome;
}

static enum pl_outcome commit(struct pl_queues *s, const struct pl_lease *l, uint32_t right)
{
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_error err = {0};

    if (pl_queues_commit(s, l, 4, right, 4, "reward=1", "scored", 6, &outcome, &err) < 0)
        fail_msg("%s", err.text);
    return outcome;
}

static struct pl_ledger ledger(struct pl_queues *s)
{
    struct pl_ledger l;
    struct pl_error err = {0};

    if (pl_queues_ledger(s, &l, &err) < 0)
        fail_msg("%s", err.text);
    if (!l.balanced)
        fail_msg("fed %lu, trained %lu, dropped %lu, queued %lu, leased %lu, rolled %lu, scoring "
                 "%lu, scored %lu",
                 l.fed, l.trained, l.dropped, l.queued, l.leased, l.rolled, l.scoring, l.scored);
    return l;
}

static int take(struct pl_queues *s, const char *batch, struct pl_ready *ret)
{
    return pl_queues_take(s, batch, 0, ret, NULL);
}

/* Lease, finish, lease, commit: one group all the way. */
static void carry(struct pl_queues *s, uint32_t right)
{
    struct pl_lease l = lease(s, PL_QUEUE_PROMPTS);

    assert_int_equal(finish(s, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    l = lease(s, PL_QUEUE_ROLLOUTS);
    assert_int_equal(commit(s, &l, right), PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static void a_group_goes_all_the_way(void **state)
{
    struct pl_queues *s, *actor;
    struct pl_ready ready = {0};
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    actor = worker("actor-1");
    assert_true(feed(s, "0", 0, 2, "", 0));
    assert_true(feed(s, "0", 1, 2, "", 0));
    assert_false(feed(s, "0", 1, 2, "", 0)); /* it is there */
    assert_int_equal(ledger(s).queued, 2);
    l = lease(actor, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:0");
    assert_int_equal(l.pb_len, strlen("prompt 0 0"));
    assert_memory_equal(l.pb, "prompt 0 0", l.pb_len);
    assert_int_equal(ledger(s).leased, 1);
    assert_int_equal(finish(actor, &l), PL_OUTCOME_DONE);
    assert_int_equal(finish(actor, &l), PL_OUTCOME_REPEATED);
    assert_false(feed(s, "0", 0, 2, "", 0)); /* further on, still there */
    assert_int_equal(ledger(s).rolled, 1);
    pl_lease_release(&l);
    l = lease(actor, PL_QUEUE_ROLLOUTS);
    assert_int_equal(l.pb_len, 9);
    assert_memory_equal(l.pb, "rollout\0x", 9);
    assert_int_equal(commit(actor, &l, 3), PL_OUTCOME_DONE);
    assert_int_equal(commit(actor, &l, 3), PL_OUTCOME_REPEATED);
    pl_lease_release(&l);
    assert_int_equal(take(s, "0", &ready), PL_ENOENT);
    carry(actor, 1);
    assert_int_equal(ledger(s).ready, 1);
    assert_int_equal(take(s, "0", &ready), PL_OK);
    assert_int_equal(ready.count, 2);
    assert_int_equal(ready.groups[1].index, 1);
    assert_memory_equal(ready.groups[1].pb, "scored", 6);
    assert_true(ready.gate && ready.accuracy >= 0.5 && ready.accuracy <= 0.5); /* 4 of 8 */
    pl_ready_release(&ready);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(ledger(s).trained, 2);
    assert_int_equal(ledger(s).scored, 0);
    assert_true(is_retired(s, "0")); /* retired is retired */
    assert_int_equal(ledger(s).fed, 2);
    pl_queues_close(s);
    pl_queues_close(actor);
}

static int redo(struct pl_queues *s, const char *batch, uint32_t index, const char *scored,
                uint32_t right)
{
    const struct pl_field fields[] = {{"version", "2"}};

    return pl_queues_redo(s,
                          &(struct pl_redo){.batch = batch,
                                            .index = index,
                                            .scored = scored,
                                            .scored_len = strlen(scored),
                                            .samples = 4,
                                            .right = right,
                                            .formatted = 4,
                                            .reason = "stale",
                                            .fields = fields,
                                            .field_count = 1,
                                            .pb = "again",
                                            .pb_len = 5},
                          NULL);
}

/* Lease, finish, lease, commit: one group, whose score is spelled `scored`. */
static void carry_as(struct pl_queues *s, uint32_t right, const char *scored)
{
    struct pl_lease l = lease(s, PL_QUEUE_PROMPTS);
    enum pl_outcome outcome = PL_OUTCOME_DONE;

    assert_int_equal(finish(s, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    l = lease(s, PL_QUEUE_ROLLOUTS);
    assert_int_equal(
        pl_queues_commit(s, &l, 4, right, 4, "", scored, strlen(scored), &outcome, NULL), PL_OK);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

/* What is made once more is dropped and fed; the batch opens again, and its gate with it. */
static void a_scored_group_is_made_once_more(void **state)
{
    struct pl_queues *s;
    struct pl_ready ready = {0};
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 2, "", 0.5);
    feed(s, "0", 1, 2, "", 0.5);
    carry_as(s, 1, "first");
    carry_as(s, 0, "second");
    assert_int_equal(take(s, "0", &ready), PL_OK);
    assert_true(!ready.gate && ready.accuracy <= 0.125); /* 1 of 8, behind a half */
    pl_ready_release(&ready);
    assert_int_equal(redo(s, "0", 1, "second", 0), PL_OK);
    assert_int_equal(take(s, "0", &ready), PL_ENOENT);
    assert_int_equal(ledger(s).dropped, 1);
    assert_int_equal(ledger(s).fed, 3);
    assert_int_equal(ledger(s).queued, 1);
    assert_int_equal(ledger(s).ready, 0);
    assert_int_equal(redo(s, "0", 1, "second", 0), PL_OK); /* the answer was lost: once is enough */
    assert_int_equal(ledger(s).dropped, 1);
    l = lease(s, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:1");
    assert_memory_equal(l.pb, "again", 5);
    assert_int_equal(pl_queues_return(s, PL_QUEUE_PROMPTS, &l, NULL), PL_OK);
    pl_lease_release(&l);
    carry_as(s, 4, "third");
    assert_int_equal(redo(s, "0", 1, "second", 0), PL_OK); /* nor does it take the new one */
    assert_int_equal(take(s, "0", &ready), PL_OK);
    assert_int_equal(ready.count, 2);
    assert_memory_equal(ready.groups[1].pb, "third", 5);
    assert_true(ready.gate && ready.accuracy > 0.6 && ready.accuracy < 0.65); /* 5 of 8 */
    pl_ready_release(&ready);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(ledger(s).trained, 2);
    assert_int_equal(redo(s, "0", 1, "third", 4), PL_OK); /* retired is retired */
    assert_int_equal(ledger(s).dropped, 1);
    pl_queues_close(s);
}

/* A Redis that was emptied gives ids out once more: what is late for one group must not take away
 * another's entry. */
static void a_late_call_leaves_what_has_its_entry_now(void **state)
{
    struct pl_queues *s;
    struct pl_lease l, late;

    (void)state;
    new_run();
    s = worker("actor-a");
    feed(s, "0", 0, 2, "", 0);
    l = lease(s, PL_QUEUE_PROMPTS);
    late = l;
    snprintf(late.group, sizeof late.group, "0:1");
    assert_int_equal(finish(s, &late), PL_OUTCOME_RETIRED);
    assert_int_equal(pl_queues_return(s, PL_QUEUE_PROMPTS, &late, NULL), PL_OK);
    assert_int_equal(ledger(s).leased, 1);
    assert_int_equal(finish(s, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    l = lease(s, PL_QUEUE_ROLLOUTS);
    late = l;
    snprintf(late.group, sizeof late.group, "0:1");
    assert_int_equal(commit(s, &late, 4), PL_OUTCOME_RETIRED);
    assert_int_equal(ledger(s).scoring, 1);
    assert_int_equal(commit(s, &l, 4), PL_OUTCOME_DONE);
    assert_int_equal(commit(s, &l, 4), PL_OUTCOME_REPEATED);
    pl_lease_release(&l);
    pl_queues_close(s);
}

static void two_actors_with_the_same_lease_make_one_rollout(void **state)
{
    struct pl_queues *a, *b;
    struct pl_lease la, lb, lc;
    bool which[2] = {false, true};
    size_t lost = 9;

    (void)state;
    new_run();
    /* What b takes for silence is short; a itself takes nothing back, however slow this machine is.
     */
    a = worker_with("actor-a", 600000, 5);
    b = worker_with("actor-b", 60, 5);
    feed(a, "0", 0, 1, "", 0);
    la = lease(a, PL_QUEUE_PROMPTS);
    assert_int_equal(
        pl_queues_renew(a, PL_QUEUE_PROMPTS, &(const struct pl_lease *){&la}, 1, NULL, &lost, NULL),
        PL_OK);
    assert_int_equal(lost, 0);
    lb = lease(b, PL_QUEUE_PROMPTS); /* a is silent for longer than its lease */
    assert_string_equal(la.entry, lb.entry);
    assert_int_equal(lb.deliveries, 1); /* and had not begun */
    feed(a, "0", 1, 1, "", 0);
    lc = lease(a, PL_QUEUE_PROMPTS);
    pl_queues_renew(a, PL_QUEUE_PROMPTS, (const struct pl_lease *const[]){&la, &lc}, 2, which,
                    &lost, NULL);
    assert_int_equal(lost, 1); /* and did not get it back by asking */
    assert_true(which[0] && !which[1]);
    assert_int_equal(finish(a, &lc), PL_OUTCOME_DONE);
    pl_queues_renew(a, PL_QUEUE_PROMPTS, (const struct pl_lease *const[]){&la, &lc}, 2, which,
                    &lost, NULL);
    assert_true(lost == 2 && which[0] && which[1]);    /* what is done is nobody's */
    assert_int_equal(finish(a, &la), PL_OUTCOME_LOST); /* it is b's */
    assert_int_equal(finish(b, &lb), PL_OUTCOME_DONE);
    assert_int_equal(finish(a, &la), PL_OUTCOME_REPEATED);
    assert_int_equal(ledger(a).rolled, 2);
    pl_lease_release(&la);
    pl_lease_release(&lb);
    pl_lease_release(&lc);
    pl_queues_close(a);
    pl_queues_close(b);
}

/* The same of a score: it is taken from who has the rollout now. */
static void two_rewarders_with_the_same_lease_make_one_score(void **state)
{
    struct pl_queues *a, *b;
    struct pl_lease made, la, lb;

    (void)state;
    new_run();
    a = worker_with("rewarder-a", 600000, 5);
    b = worker_with("rewarder-b", 60, 5);
    feed(a, "0", 0, 1, "", 0);
    made = lease(a, PL_QUEUE_PROMPTS);
    assert_int_equal(finish(a, &made), PL_OUTCOME_DONE);
    la = lease(a, PL_QUEUE_ROLLOUTS);
    lb = lease(b, PL_QUEUE_ROLLOUTS); /* a is silent for longer than its lease */
    assert_string_equal(la.entry, lb.entry);
    assert_int_equal(commit(a, &la, 4), PL_OUTCOME_LOST);
    assert_int_equal(ledger(a).scoring, 1);
    assert_int_equal(commit(b, &lb, 1), PL_OUTCOME_DONE);
    assert_int_equal(commit(a, &la, 4), PL_OUTCOME_REPEATED);
    assert_int_equal(ledger(a).scored, 1);
    pl_lease_release(&made);
    pl_lease_release(&la);
    pl_lease_release(&lb);
    pl_queues_close(a);
    pl_queues_close(b);
}

static void a_restarted_worker_finds_its_own_work_first(void **state)
{
    struct pl_queues *a;
    struct pl_lease l;

    (void)state;
    new_run();
    a = worker("actor-a");
    feed(a, "0", 0, 2, "", 0);
    feed(a, "0", 1, 2, "", 0);
    l = lease(a, PL_QUEUE_PROMPTS);
    pl_lease_release(&l);
    pl_queues_close(a); /* dies here */
    a = worker("actor-a");
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:0");
    pl_lease_release(&l);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:1");
    pl_lease_release(&l);
    assert_true(nothing_to_lease(a, PL_QUEUE_PROMPTS));
    ledger(a);
    pl_queues_close(a);
}

static void what_is_given_back_is_anothers_at_once(void **state)
{
    struct pl_queues *a, *b;
    struct pl_lease l, again;

    (void)state;
    new_run();
    a = worker("actor-a");
    b = worker("actor-b");
    feed(a, "0", 0, 1, "", 0);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_int_equal(pl_queues_return(a, PL_QUEUE_PROMPTS, &l, NULL), PL_OK);
    assert_int_equal(ledger(a).queued, 1);
    again = lease(b, PL_QUEUE_PROMPTS);
    assert_string_equal(again.group, "0:0");
    assert_int_equal(again.deliveries, 1);
    assert_memory_equal(again.pb, l.pb, l.pb_len);
    assert_int_equal(finish(a, &l), PL_OUTCOME_LOST); /* a had it done after all */
    assert_int_equal(pl_queues_return(a, PL_QUEUE_PROMPTS, &l, NULL), PL_OK); /* nor is it a's */
    assert_int_equal(pl_queues_bury(a, PL_QUEUE_PROMPTS, &l, "odd", NULL), PL_OK);
    assert_int_equal(ledger(a).leased, 1);
    assert_int_equal(finish(b, &again), PL_OUTCOME_DONE);
    assert_int_equal(ledger(a).rolled, 1);
    assert_true(nothing_to_lease(b, PL_QUEUE_PROMPTS));
    pl_lease_release(&l);
    pl_lease_release(&again);
    pl_queues_close(a);
    pl_queues_close(b);
}

/* Leased and begun by a worker that dies of it, again and again. */
static void die_of_it(const char *group, uint32_t attempt, uint32_t most)
{
    struct pl_queues *a = worker_with("actor-a", 60000, most);
    enum pl_outcome outcome = PL_OUTCOME_LOST;
    struct pl_lease l = lease(a, PL_QUEUE_PROMPTS);

    assert_string_equal(l.group, group);
    assert_int_equal(l.deliveries, attempt);
    assert_int_equal(pl_queues_begin_work(a, PL_QUEUE_PROMPTS, &l, &outcome, NULL), PL_OK);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
    pl_queues_close(a);
}

/* A group that comes to nothing for its workers, who say why: as often as it may, then it is parked
 * with that reason. One who only gives it back has not failed with it. */
static void what_nobody_can_do_is_parked(void **state)
{
    static const char *const names[] = {"failed"};
    struct pl_ready ready = {0};
    struct pl_parked parked = {0};
    struct pl_queues *s, *a;
    bool done = false;
    size_t count = 0;
    char *failed = NULL;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 1, "", 0);
    a = worker_with("rewarder-a", 60000, 3);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_int_equal(finish(a, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    for (uint32_t i = 0; i < 5; i++) {
        enum pl_outcome outcome = PL_OUTCOME_LOST;

        l = lease(a, PL_QUEUE_ROLLOUTS);
        assert_int_equal(l.deliveries, i < 2 ? i + 1 : 3);
        assert_int_equal(pl_queues_begin_work(a, PL_QUEUE_ROLLOUTS, &l, &outcome, NULL), PL_OK);
        if (i == 2 || i == 3)
            assert_int_equal(pl_queues_return(a, PL_QUEUE_ROLLOUTS, &l, NULL), PL_OK);
        else
            assert_int_equal(pl_queues_set_back(a, PL_QUEUE_ROLLOUTS, &l, "it timed out", NULL),
                             PL_OK);
        assert_true(ledger(s).balanced);
        pl_lease_release(&l);
    }
    assert_true(nothing_to_lease(a, PL_QUEUE_ROLLOUTS));
    assert_int_equal(ledger(s).parked, 1);
    assert_int_equal(ledger(s).dropped, 0);
    assert_int_equal(pl_queues_recall(s, "ledger", names, 1, &failed, NULL), PL_OK);
    assert_string_equal(failed, "3");
    free(failed);
    assert_int_equal(pl_queues_parked(s, &parked, 1, &count, NULL), PL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pl_queues_unpark(s, &parked, &done, NULL), PL_OK);
    assert_true(done);
    l = lease(a, PL_QUEUE_ROLLOUTS);
    assert_int_equal(l.deliveries, 3);
    assert_int_equal(commit(a, &l, 4), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    assert_int_equal(take(s, "0", &ready), PL_OK);
    pl_ready_release(&ready);
    pl_queues_close(a);
    pl_queues_close(s);
}

/* Nothing is dropped, which would be other bytes: the batch waits for it. */
static void what_kills_its_workers_is_parked(void **state)
{
    struct pl_ready ready = {0};
    char words[128];
    struct pl_parked parked = {0};
    struct pl_queues *s, *a;
    bool done = false;
    size_t count = 0;

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 2, "", 0);
    die_of_it("0:0", 1, 3);
    die_of_it("0:0", 2, 3);
    die_of_it("0:0", 3, 3);
    a = worker_with("actor-a", 60000, 3);
    assert_true(nothing_to_lease(a, PL_QUEUE_PROMPTS));
    assert_int_equal(ledger(s).dropped, 0);
    assert_int_equal(ledger(s).parked, 1);
    feed(s, "0", 1, 2, "", 0);
    assert_false(feed(s, "0", 0, 2, "", 0)); /* it is known */
    carry(a, 4);
    assert_int_equal(take(s, "0", &ready), PL_ENOENT);
    /* what others write there would come before it, again and again */
    snprintf(words, sizeof words, "HSET plait:{%s}:parked nonsense 1-1 0:1 2-2 7:0 3-3", run_name);
    pl_test_redis_say(&redis, words);
    assert_int_equal(pl_queues_parked(s, &parked, 1, &count, NULL), PL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(parked.group, "0:0");
    assert_int_equal(ledger(s).parked, 1);
    assert_int_equal(pl_queues_unpark(s, &parked, &done, NULL), PL_OK);
    assert_true(done);
    assert_int_equal(pl_queues_unpark(s, &parked, &done, NULL), PL_OK);
    assert_false(done);
    assert_int_equal(ledger(s).parked, 0);
    pl_queues_close(a);
    die_of_it("0:0", 3, 3); /* one try for each time that it is put back */
    a = worker_with("actor-a", 60000, 3);
    assert_true(nothing_to_lease(a, PL_QUEUE_PROMPTS));
    assert_int_equal(pl_queues_parked(s, &parked, 1, &count, NULL), PL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pl_queues_unpark(s, &parked, &done, NULL), PL_OK);
    carry(a, 4);
    assert_int_equal(take(s, "0", &ready), PL_OK);
    assert_int_equal(ready.count, 2);
    assert_int_equal(ready.dropped, 0);
    pl_ready_release(&ready);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(ledger(s).trained, 2);
    pl_queues_close(a);
    pl_queues_close(s);
}

/* All settings as users have them: the only actor is killed again and again with eight leases, of
 * which it has begun some. */
static void deaths_of_a_worker_destroy_no_batch(void **state)
{
    enum { GROUPS = 8, BEGUN = 4, DEATHS = 12 };
    struct pl_ready ready = {0};
    struct pl_queues *s, *a;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    for (uint32_t i = 0; i < GROUPS; i++)
        feed(s, "0", i, GROUPS, "", 0);
    for (int death = 0; death < DEATHS; death++) {
        size_t held = 0;

        a = worker("actor-1");
        for (;; held++) {
            enum pl_outcome outcome;

            pl_queues_holding(a, held);
            if (pl_queues_lease(a, PL_QUEUE_PROMPTS, 0, &l, NULL) == PL_ENOENT)
                break;
            if (held < BEGUN)
                pl_queues_begin_work(a, PL_QUEUE_PROMPTS, &l, &outcome, NULL);
            pl_lease_release(&l);
        }
        if (death >= 2 && death < 6) /* suspicious ones are tried one at a time */
            assert_true(held <= GROUPS - BEGUN + 1);
        pl_queues_close(a);
    }
    assert_int_equal(ledger(s).dropped, 0);
    a = worker("actor-1");
    for (int i = 0; i < GROUPS; i++) {
        struct pl_parked parked;
        size_t count = 0;
        bool done;

        pl_queues_parked(s, &parked, 1, &count, NULL);
        if (count > 0)
            pl_queues_unpark(s, &parked, &done, NULL);
        carry(a, 1);
    }
    assert_int_equal(take(s, "0", &ready), PL_OK);
    assert_int_equal(ready.count, GROUPS);
    assert_int_equal(ready.dropped, 0);
    pl_ready_release(&ready);
    pl_queues_close(a);
    pl_queues_close(s);
}

/* A group that two have ended with is taken by one who holds nothing else, and nothing beside it.
 */
static void a_suspicious_group_is_computed_alone(void **state)
{
    struct pl_queues *s, *a;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 3, "", 0);
    die_of_it("0:0", 1, 5);
    die_of_it("0:0", 2, 5);
    feed(s, "0", 1, 3, "", 0);
    a = worker("actor-a");
    pl_queues_holding(a, 1);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:1");
    assert_int_equal(finish(a, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    assert_true(nothing_to_lease(a, PL_QUEUE_PROMPTS));
    pl_queues_holding(a, 0);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:0");
    assert_int_equal(l.deliveries, 3);
    feed(s, "0", 2, 3, "", 0);
    pl_queues_holding(a, 1);
    assert_true(nothing_to_lease(a, PL_QUEUE_PROMPTS));
    assert_int_equal(finish(a, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    pl_queues_holding(a, 0);
    l = lease(a, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:2");
    pl_lease_release(&l);
    ledger(s);
    pl_queues_close(a);
    pl_queues_close(s);
}

/* It drains: nobody has ended with it. */
static void a_give_back_does_not_count(void **state)
{
    struct pl_queues *s, *a;
    enum pl_outcome outcome;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 1, "", 0);
    for (int i = 0; i < 7; i++) {
        a = worker("actor-a");
        l = lease(a, PL_QUEUE_PROMPTS);
        assert_int_equal(l.deliveries, 1);
        assert_int_equal(pl_queues_begin_work(a, PL_QUEUE_PROMPTS, &l, &outcome, NULL), PL_OK);
        assert_int_equal(pl_queues_return(a, PL_QUEUE_PROMPTS, &l, NULL), PL_OK);
        pl_lease_release(&l);
        pl_queues_close(a);
    }
    ledger(s);
    pl_queues_close(s);
}

static void a_rollout_that_does_not_decode_is_buried(void **state)
{
    struct pl_queues *s;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("rewarder-1");
    feed(s, "0", 0, 1, "", 0);
    l = lease(s, PL_QUEUE_PROMPTS);
    finish(s, &l);
    pl_lease_release(&l);
    l = lease(s, PL_QUEUE_ROLLOUTS);
    assert_int_equal(pl_queues_bury(s, PL_QUEUE_ROLLOUTS, &l, "no message", NULL), PL_OK);
    assert_int_equal(pl_queues_bury(s, PL_QUEUE_ROLLOUTS, &l, "no message", NULL), PL_OK);
    assert_int_equal(ledger(s).dead, 1);
    assert_int_equal(commit(s, &l, 1), PL_OUTCOME_REPEATED);
    assert_int_equal(ledger(s).scored, 0);
    pl_lease_release(&l);
    pl_queues_close(s);
}

/* Gates are decided in the order of batches, though these are completed from the last to the first.
 */
static void the_gate_follows_the_order_of_batches(void **state)
{
    static const uint32_t right[] = {4, 2, 3}; /* accuracy 1, 0.5, 0.75 */
    static const bool open[] = {true, false, true};
    struct pl_queues *s;
    struct pl_lease l[3];
    struct pl_ready ready = {0};

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "0", 0, 1, "", 0.5);
    feed(s, "1", 0, 1, "0", 0);
    feed(s, "2", 0, 1, "1", 0);
    for (int i = 0; i < 3; i++) {
        l[i] = lease(s, PL_QUEUE_PROMPTS);
        finish(s, &l[i]);
        pl_lease_release(&l[i]);
    }
    for (int i = 0; i < 3; i++)
        l[i] = lease(s, PL_QUEUE_ROLLOUTS);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(take(s, "2", &ready), PL_ENOENT);
        commit(s, &l[i], right[i]);
        pl_lease_release(&l[i]);
    }
    for (int i = 0; i < 3; i++) {
        const char name[] = {(char)('0' + i), '\0'};

        assert_int_equal(take(s, name, &ready), PL_OK);
        assert_int_equal(ready.gate, open[i]);
        pl_ready_release(&ready);
        if (i < 2)
            assert_int_equal(pl_queues_retire(s, name, NULL), PL_OK);
    }
    feed(s, "3", 0, 1, "2", 0); /* after one that is decided and not retired: 0.75 */
    carry(s, 2);
    assert_int_equal(take(s, "3", &ready), PL_OK);
    assert_false(ready.gate);
    assert_true(ready.previous >= 0.75 && ready.previous <= 0.75);
    pl_ready_release(&ready);
    assert_int_equal(pl_queues_retire(s, "2", NULL), PL_OK);
    assert_int_equal(pl_queues_retire(s, "3", NULL), PL_OK);
    feed(s, "4", 0, 1, "3", 0.125); /* after one that is retired: what the learner says */
    carry(s, 1);
    assert_int_equal(take(s, "4", &ready), PL_OK);
    assert_true(ready.gate && ready.previous <= 0.125);
    pl_ready_release(&ready);
    ledger(s);
    pl_queues_close(s);
}

/* Batch 0 of two groups, of which 4 of 8 samples are right; its hash of that kind is at `ret_key`.
 */
static struct pl_queues *two_groups_are_in(const char *kind, char ret_key[64])
{
    struct pl_queues *s;

    new_run();
    s = worker("learner");
    assert_true(feed(s, "0", 0, 2, "", 0));
    assert_true(feed(s, "0", 1, 2, "", 0));
    carry(s, 3);
    carry(s, 1);
    snprintf(ret_key, 64, "plait:{%s}:%s:0", run_name, kind);
    return s;
}

/* The batch is as it was handed over, at once or after it was counted again (which its feeder, who
 * knows what came before it, has a part in). */
static void both_groups_are_taken(struct pl_queues *s, const char *name, const char *value)
{
    struct pl_ready ready = {0};
    int rc = PL_ENOENT;

    for (int i = 0; i < 3 && rc == PL_ENOENT; i++) {
        rc = take(s, "0", &ready); /* before anybody else has looked at it */
        if (rc == PL_OK)
            break;
        assert_false(feed(s, "0", 0, 2, "", 0));
        assert_false(feed(s, "0", 1, 2, "", 0));
    }
    if (rc != PL_OK)
        fail_msg("'%s' is '%s': %d", name, value, rc);
    if (ready.count != 2 || ready.dropped != 0 || !ready.gate || !(ready.accuracy >= 0.5) ||
        !(ready.accuracy <= 0.5) || !(ready.previous >= 0) || !(ready.previous <= 0))
        fail_msg("'%s' is '%s': %zu groups, %zu dropped, gate %d, accuracy %g, previous %g", name,
                 value, ready.count, ready.dropped, ready.gate, ready.accuracy, ready.previous);
    for (uint32_t i = 0; i < 2; i++)
        if (ready.groups[i].index != i || ready.groups[i].pb_len != 6 ||
            memcmp(ready.groups[i].pb, "scored", 6) != 0)
            fail_msg("'%s' is '%s': group %u at %u", name, value, ready.groups[i].index, i);
    pl_ready_release(&ready);
}

/* What actors may write (D22): no share of right answers, no number of groups. It reaches neither
 * the gate nor a checkpoint. */
static void what_is_no_number_in_a_batch_is_counted_again(void **state)
{
    static const char *const names[] = {"accuracy", "previous", "dropped"};
    static const char *const values[] = {"nan",  "-nan",    "inf", "-inf",  "infinity", "1e999",
                                         "-0.5", "1.5",     "",    "0.5x",  "x",        "5",
                                         "+",    "1e-400x", "0x",  "nan(1)"};
    char key[64];

    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            struct pl_queues *s = two_groups_are_in("batch", key);

            pl_test_redis_field(&redis, key, names[n], values[v]);
            both_groups_are_taken(s, names[n], values[v]);
            pl_queues_close(s);
        }
}

/* The index of a group is written as we write it, or it is none. */
static void what_is_no_index_of_a_group_is_nobodys(void **state)
{
    static const char *const names[] = {
        "",    "00",  "01", "+0", " 1", "0 ", "-0",         "1x",         "0x1",
        "1.0", "1e0", "x",  "-1", "2",  "77", "4294967296", "4294967297", "18446744073709551616"};
    char key[64], groups[64];

    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (int both = 0; both < 2; both++) { /* it may say that it is scored, too */
            struct pl_queues *s = two_groups_are_in("scored", key);

            snprintf(groups, sizeof groups, "plait:{%s}:groups:0", run_name);
            pl_test_redis_field(&redis, key, names[n], "forged");
            if (both)
                pl_test_redis_field(&redis, groups, names[n], "scored");
            both_groups_are_taken(s, "scored:0", names[n]);
            pl_queues_close(s);
        }
}

static void late_calls_for_a_retired_batch_change_nothing(void **state)
{
    struct pl_queues *s, *slow;
    struct pl_lease l, other;

    (void)state;
    new_run();
    s = worker_with("actor-a", 60, 5);
    slow = worker_with("actor-b", 60, 5);
    feed(s, "0", 0, 1, "", 0);
    l = lease(slow, PL_QUEUE_PROMPTS);
    other = lease(s, PL_QUEUE_PROMPTS);
    finish(s, &other);
    pl_lease_release(&other);
    other = lease(s, PL_QUEUE_ROLLOUTS);
    commit(s, &other, 1);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(finish(slow, &l), PL_OUTCOME_RETIRED);
    assert_int_equal(commit(slow, &other, 1), PL_OUTCOME_RETIRED);
    assert_int_equal(pl_queues_return(slow, PL_QUEUE_PROMPTS, &l, NULL), PL_OK);
    assert_int_equal(ledger(s).rolled + ledger(s).queued, 0);
    pl_lease_release(&l);
    pl_lease_release(&other);
    pl_queues_close(s);
    pl_queues_close(slow);
}

/* Redis may have gone back behind what the learner has on disk: each group at another stage. */
static void a_batch_that_went_back_is_retired_with_what_is_left_of_it(void **state)
{
    struct pl_queues *s;
    struct pl_lease l[2];
    bool whole = true;

    (void)state;
    new_run();
    s = worker("learner");
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pl_queues_whole(s, "0", &whole, NULL), PL_OK);
        assert_false(whole);
        feed(s, "0", i, 4, "", 0);
    }
    carry(s, 1);
    l[0] = lease(s, PL_QUEUE_PROMPTS);
    finish(s, &l[0]);
    l[1] = lease(s, PL_QUEUE_PROMPTS);
    feed(s, "1", 0, 1, "0", 0.0);
    assert_int_equal(pl_queues_whole(s, "0", &whole, NULL), PL_OK);
    assert_true(whole);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(pl_queues_whole(s, "0", &whole, NULL), PL_OK);
    assert_false(whole);
    assert_int_equal(ledger(s).trained, 4);
    assert_int_equal(ledger(s).queued, 1); /* of batch 1 */
    assert_int_equal(ledger(s).leased + ledger(s).rolled + ledger(s).scored, 0);
    assert_int_equal(finish(s, &l[1]), PL_OUTCOME_RETIRED);
    for (int i = 0; i < 2; i++)
        pl_lease_release(&l[i]);
    pl_queues_close(s);
}

/* The batch before is gone, but the feeder knows its accuracy. */
static void what_waits_for_a_lost_batch_is_decided_by_the_feeder(void **state)
{
    struct pl_queues *s;
    struct pl_ready ready = {0};

    (void)state;
    new_run();
    s = worker("learner");
    feed(s, "5", 0, 1, "4", 0.0); /* nobody knows 4 */
    carry(s, 1);                  /* 1 of 4 */
    assert_int_equal(take(s, "5", &ready), PL_ENOENT);
    assert_false(feed(s, "5", 0, 1, "", 0.5));
    assert_int_equal(take(s, "5", &ready), PL_OK);
    assert_false(ready.gate);
    assert_true(ready.previous >= 0.5 && ready.previous <= 0.5);
    pl_ready_release(&ready);
    assert_false(feed(s, "5", 0, 1, "", 0.1)); /* who says so knows */
    assert_int_equal(take(s, "5", &ready), PL_OK);
    assert_true(ready.gate && ready.previous <= 0.1);
    pl_ready_release(&ready);
    feed(s, "4", 0, 1, "", 0.0); /* fed after the one that waited for it */
    carry(s, 1);
    assert_int_equal(take(s, "4", &ready), PL_OK);
    pl_ready_release(&ready);
    ledger(s);
    pl_queues_close(s);
}

/* Redis killed at each step of a group's way, and started again. */
static void redis_killed_at_each_step_loses_nothing(void **state)
{
    struct pl_queues *s;
    struct pl_ready ready = {0};
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("actor-a");
    feed(s, "0", 0, 1, "", 0);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    l = lease(s, PL_QUEUE_PROMPTS);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    assert_int_equal(finish(s, &l), PL_OUTCOME_DONE);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    assert_int_equal(finish(s, &l), PL_OUTCOME_REPEATED);
    pl_lease_release(&l);
    l = lease(s, PL_QUEUE_ROLLOUTS);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    assert_int_equal(commit(s, &l, 2), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    assert_int_equal(ledger(s).scored, 1);
    assert_int_equal(take(s, "0", &ready), PL_OK);
    pl_ready_release(&ready);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    pl_test_redis_kill(&redis);
    pl_test_redis_again(&redis);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    assert_int_equal(ledger(s).trained, 1);
    pl_queues_close(s);
}

/* Redis emptied in between: groups and library come back, and feeding again makes up for the rest.
 */
static void redis_emptied_is_fed_again(void **state)
{
    static const char *const empties[] = {"FLUSHALL", "FUNCTION FLUSH"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pl_queues *s;
        struct pl_ready ready = {0};
        struct pl_lease l;

        new_run();
        s = worker("actor-a");
        feed(s, "7", 0, 1, "", 0);
        l = lease(s, PL_QUEUE_PROMPTS);
        pl_test_redis_say(&redis, empties[0]);
        if (i == 1)
            pl_test_redis_say(&redis, empties[1]);
        assert_int_equal(finish(s, &l), PL_OUTCOME_RETIRED); /* nobody knows it any more */
        pl_lease_release(&l);
        assert_true(nothing_to_lease(s, PL_QUEUE_PROMPTS));
        assert_true(feed(s, "7", 0, 1, "6", 0.5));
        ledger(s);
        l = lease(s, PL_QUEUE_PROMPTS);
        finish(s, &l);
        pl_lease_release(&l);
        l = lease(s, PL_QUEUE_ROLLOUTS);
        commit(s, &l, 1);
        pl_lease_release(&l);
        assert_int_equal(take(s, "7", &ready),
                         PL_ENOENT); /* it is "after" one nobody has decided */
        assert_int_equal(pl_queues_retire(s, "6", NULL), PL_OK);
        ledger(s);
        pl_queues_close(s);
    }
}

/* A learner that goes back: what Redis calls retired is made another time. */
static void a_learner_goes_back(void **state)
{
    struct pl_rewound rewound = {0};
    struct pl_ready ready = {0};
    struct pl_error err = {0};
    struct pl_queues *s;
    struct pl_lease l;

    (void)state;
    new_run();
    s = worker("learner");
    for (int i = 0; i < 4; i++) {
        const char name[] = {(char)('0' + i), '\0'}, eval[] = {'e', (char)('0' + i), '\0'};

        feed(s, name, 0, 1, "", 0);
        carry(s, 1);
        assert_int_equal(pl_queues_retire(s, name, NULL), PL_OK);
        assert_int_equal(pl_queues_retire(s, eval, NULL), PL_OK);
    }
    feed(s, "4", 0, 3, "", 0);
    feed(s, "4", 1, 3, "", 0);
    feed(s, "4", 2, 3, "", 0);
    carry(s, 1);
    l = lease(s, PL_QUEUE_PROMPTS);
    finish(s, &l);
    pl_lease_release(&l);
    feed(s, "1x", 0, 1, "", 0); /* of no learner: stays */
    assert_int_equal(pl_queues_rewind(s, 2, false, &rewound, &err), PL_OK);
    assert_int_equal(rewound.batches, 6); /* 2, 3, e0 to e3 */
    assert_int_equal(rewound.groups, 0);
    assert_true(is_retired(s, "1"));
    assert_true(feed(s, "2", 0, 1, "", 0));
    assert_true(feed(s, "e3", 0, 1, "", 0));
    ledger(s);
    assert_int_equal(pl_queues_rewind(s, 2, false, &rewound, &err), PL_OK);
    assert_int_equal(rewound.batches, 0);
    assert_int_equal(pl_queues_rewind(s, 2, true, &rewound, &err), PL_OK);
    assert_int_equal(rewound.groups, 5); /* three of 4, one of 2, one of e3 */
    assert_int_equal(ledger(s).dropped, 5);
    assert_int_equal(ledger(s).queued, 1);
    assert_int_equal(ledger(s).scored, 0);
    assert_int_equal(ledger(s).rolled, 0);
    assert_true(feed(s, "2", 0, 1, "", 0));
    l = lease(s, PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "1x:0");
    pl_lease_release(&l);
    carry(s, 1);
    assert_int_equal(take(s, "2", &ready), PL_OK);
    pl_ready_release(&ready);
    pl_queues_close(s);
}

static void a_run_has_one_learner(void **state)
{
    struct pl_queues *s, *thread;
    char holder[64] = "", *found[2];
    struct pl_error err = {0};
    bool ours = false;

    (void)state;
    new_run();
    s = worker("learner");
    thread = worker("learner");
    assert_int_equal(
        pl_queues_claim_run(s, "learner host 1 a", 60000, &ours, holder, sizeof holder, &err),
        PL_OK);
    assert_true(ours);
    assert_int_equal(
        pl_queues_claim_run(thread, "learner host 1 a", 60000, &ours, holder, sizeof holder, &err),
        PL_OK);
    assert_true(ours); /* renewed over another connection */
    assert_int_equal(
        pl_queues_claim_run(s, "learner other 2 b", 60000, &ours, holder, sizeof holder, &err),
        PL_OK);
    assert_false(ours);
    assert_string_equal(holder, "learner host 1 a");
    assert_int_equal(pl_queues_leave_run(s, "learner other 2 b", &err), PL_OK);
    assert_int_equal(
        pl_queues_claim_run(s, "learner other 2 b", 60000, &ours, holder, sizeof holder, &err),
        PL_OK);
    assert_false(ours);
    assert_int_equal(pl_queues_leave_run(s, "learner host 1 a", &err), PL_OK);
    assert_int_equal(
        pl_queues_claim_run(s, "learner other 2 b", 1, &ours, holder, sizeof holder, &err), PL_OK);
    assert_true(ours);
    do /* it expires */
        assert_int_equal(pl_queues_claim_run(thread, "learner third 3 c", 60000, &ours, holder,
                                             sizeof holder, &err),
                         PL_OK);
    while (!ours);

    assert_int_equal(pl_queues_note(s, "run", &(struct pl_field){"run_id", "abc"}, 1, &err), PL_OK);
    assert_int_equal(
        pl_queues_recall(s, "run", (const char *const[]){"run_id", "life"}, 2, found, &err), PL_OK);
    assert_string_equal(found[0], "abc");
    assert_null(found[1]);
    free(found[0]);
    pl_queues_close(s);
    pl_queues_close(thread);
}

/* Somebody saw that it is gone, before its lease is over. */
static void what_a_dead_worker_held_is_anybodys(void **state)
{
    struct pl_queues *a, *b;
    struct pl_lease l[2];
    char consumers[120];
    size_t count = 0;

    (void)state;
    new_run();
    a = worker("actor-a");
    b = worker("actor-b");
    feed(a, "0", 0, 2, "", 0);
    feed(a, "0", 1, 2, "", 0);
    l[0] = lease(a, PL_QUEUE_PROMPTS);
    l[1] = lease(b, PL_QUEUE_PROMPTS);
    snprintf(consumers, sizeof consumers, "XINFO CONSUMERS plait:{%s}:prompts actors", run_name);
    assert_int_equal(pl_test_redis_count(&redis, consumers), 2);
    assert_int_equal(pl_queues_release(b, "actor-a", &count, NULL), PL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(pl_test_redis_count(&redis, consumers), 1); /* names do not pile up */
    assert_int_equal(pl_queues_release(b, "actor-a", &count, NULL), PL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ledger(b).queued, 1);
    assert_int_equal(ledger(b).leased, 1);
    pl_lease_release(&l[0]);
    l[0] = lease(b, PL_QUEUE_PROMPTS);
    assert_string_equal(l[0].group, "0:0");
    assert_int_equal(l[0].deliveries, 1);
    for (int i = 0; i < 2; i++)
        pl_lease_release(&l[i]);
    pl_queues_close(a);
    pl_queues_close(b);
}

/* A lease of users is a minute: whoever looked just before it ended looks again within seconds. */
static void a_lease_that_ends_is_taken_within_seconds(void **state)
{
    struct pl_lease held = {0}, taken = {0};
    struct pl_queues *a, *b;
    struct pl_error err = {0};
    char command[200];

    (void)state;
    new_run();
    a = worker("actor-1");
    b = worker("actor-2");
    assert_true(feed(a, "0", 0, 1, "", 0.0));
    assert_int_equal(pl_queues_lease(a, PL_QUEUE_PROMPTS, 1000, &held, &err), PL_OK);
    assert_int_equal(pl_queues_lease(b, PL_QUEUE_PROMPTS, 0, &taken, &err), PL_ENOENT);
    snprintf(command, sizeof command, "XCLAIM plait:{%s}:prompts actors %s 0 %s IDLE 61000 JUSTID",
             run_name, "actor-1", held.entry);
    pl_test_redis_say(&redis, command);
    assert_int_equal(pl_queues_lease(b, PL_QUEUE_PROMPTS, 8000, &taken, &err), PL_OK);
    assert_string_equal(taken.group, held.group);
    pl_lease_release(&held);
    pl_lease_release(&taken);
    pl_queues_close(a);
    pl_queues_close(b);
}

static void what_is_no_address_or_name_is_refused(void **state)
{
    struct pl_queues_opts opts = {.url = "ftp://x", .run = "r", .worker = "w", .role = "t"};
    struct pl_queues *s = NULL;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(pl_queues_open(&opts, &s, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "'ftp://x' is no address of Redis"));
    opts.url = "redis://:nocolon";
    assert_int_equal(pl_queues_open(&opts, &s, &err), PL_EINVAL);
    opts.url = redis.url;
    opts.run = "a b";
    assert_int_equal(pl_queues_open(&opts, &s, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "the run 'a b' is no name"));
    opts.run = "r";
    opts.url = "unix:///nowhere/sock";
    opts.patience_ms = 200;
    assert_int_equal(pl_queues_open(&opts, &s, &err), PL_EIO);
    assert_non_null(strstr(err.text, "unix:///nowhere/sock"));
}

static int begin(void **state)
{
    (void)state;
    pl_test_redis_start(&redis);
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_test_redis_end(&redis);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_goes_all_the_way),
        cmocka_unit_test(a_scored_group_is_made_once_more),
        cmocka_unit_test(a_late_call_leaves_what_has_its_entry_now),
        cmocka_unit_test(two_actors_with_the_same_lease_make_one_rollout),
        cmocka_unit_test(two_rewarders_with_the_same_lease_make_one_score),
        cmocka_unit_test(a_restarted_worker_finds_its_own_work_first),
        cmocka_unit_test(what_is_given_back_is_anothers_at_once),
        cmocka_unit_test(what_kills_its_workers_is_parked),
        cmocka_unit_test(what_nobody_can_do_is_parked),
        cmocka_unit_test(deaths_of_a_worker_destroy_no_batch),
        cmocka_unit_test(a_suspicious_group_is_computed_alone),
        cmocka_unit_test(a_give_back_does_not_count),
        cmocka_unit_test(a_rollout_that_does_not_decode_is_buried),
        cmocka_unit_test(the_gate_follows_the_order_of_batches),
        cmocka_unit_test(what_is_no_number_in_a_batch_is_counted_again),
        cmocka_unit_test(what_is_no_index_of_a_group_is_nobodys),
        cmocka_unit_test(late_calls_for_a_retired_batch_change_nothing),
        cmocka_unit_test(a_batch_that_went_back_is_retired_with_what_is_left_of_it),
        cmocka_unit_test(what_waits_for_a_lost_batch_is_decided_by_the_feeder),
        cmocka_unit_test(redis_killed_at_each_step_loses_nothing),
        cmocka_unit_test(redis_emptied_is_fed_again),
        cmocka_unit_test(a_learner_goes_back),
        cmocka_unit_test(a_run_has_one_learner),
        cmocka_unit_test(what_a_dead_worker_held_is_anybodys),
        cmocka_unit_test(a_lease_that_ends_is_taken_within_seconds),
        cmocka_unit_test(what_is_no_address_or_name_is_refused),
    };

    if (!pl_test_redis_there()) {
        printf("skipped: redis-server is not installed (deploy/install-deps.sh --test installs "
               "it)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, begin, end);
}
