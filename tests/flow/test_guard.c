/*
 * Groups that are refused and actors that are quarantined, on a real Redis. After each step the
 * ledger must balance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/guard.h"
#include "tests/redis.h"

#include <stdio.h>
#include <string.h>

static struct pl_test_redis redis;
static int runs;
static char run_name[32];
static struct pl_queues *learner, *honest, *liar;

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static struct pl_queues *worker(const char *name)
{
    const struct pl_queues_opts opts = {.url = redis.url,
                                        .run = run_name,
                                        .worker = name,
                                        .role = "test",
                                        .lease_ms = 60000,
                                        .deliveries_max = 5,
                                        .patience_ms = 20000};
    struct pl_queues *s = NULL;
    struct pl_error err = {0};

    must(pl_queues_open(&opts, &s, &err), &err);
    return s;
}

static int begin(void **state)
{
    (void)state;
    snprintf(run_name, sizeof run_name, "run-%d", ++runs);
    learner = worker("learner");
    honest = worker("honest");
    liar = worker("liar");
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_queues_close(learner);
    pl_queues_close(honest);
    pl_queues_close(liar);
    return 0;
}

/* Whether it was not there. A batch of two groups behind the one before it. */
static bool feed(const char *batch, uint32_t index, const char *after)
{
    char pb[32];
    bool fresh = false;
    struct pl_error err = {0};

    snprintf(pb, sizeof pb, "prompt %s %u", batch, index);
    must(pl_queues_feed(learner,
                        &(struct pl_feed){.batch = batch,
                                          .expected = 2,
                                          .index = index,
                                          .after = after,
                                          .previous = 0.5,
                                          .epsilon = 0.05,
                                          .gated = true,
                                          .pb = pb,
                                          .pb_len = strlen(pb)},
                        &fresh, &err),
         &err);
    return fresh;
}

static struct pl_lease lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};
    struct pl_error err = {0};

    must(pl_queues_lease(s, queue, 60000, &l, &err), &err);
    return l;
}

static enum pl_outcome finish(struct pl_queues *s, const struct pl_lease *l)
{
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_error err = {0};

    must(pl_queues_finish(s, l, NULL, 0, "rollout", 7, &outcome, &err), &err);
    return outcome;
}

static struct pl_ledger ledger(void)
{
    struct pl_ledger l;
    struct pl_error err = {0};

    must(pl_queues_ledger(learner, &l, &err), &err);
    assert_true(l.balanced);
    return l;
}

/* The next prompt, made by `s`; the rollout, leased by the learner, who plays the rewarder. */
static struct pl_lease make(struct pl_queues *s)
{
    struct pl_lease l = lease(s, PL_QUEUE_PROMPTS);

    assert_int_equal(finish(s, &l), PL_OUTCOME_DONE);
    pl_lease_release(&l);
    return lease(learner, PL_QUEUE_ROLLOUTS);
}

/* All the way; the score is spelled `scored`. */
static void carry(struct pl_queues *s, uint32_t right, const char *scored)
{
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    struct pl_lease l = make(s);

    assert_int_equal(
        pl_queues_commit(learner, &l, 4, right, 3, "", scored, strlen(scored), &outcome, NULL),
        PL_OK);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static bool is_ready(const char *batch, struct pl_ready *ret)
{
    struct pl_error err = {0};
    int rc = pl_queues_take(learner, batch, 0, ret, &err);

    if (rc != PL_ENOENT)
        must(rc, &err);
    return rc == PL_OK;
}

static bool is_barred(struct pl_queues *s, const char *reason)
{
    char why[256];
    struct pl_error err = {0};

    must(pl_guard_why(s, why, sizeof why, &err), &err);
    if (why[0] && reason)
        assert_string_equal(why, reason);
    return why[0] != '\0';
}

static void quarantine(const char *reason, size_t count, size_t leases, size_t groups)
{
    static const char *const batches[] = {"0", "1"};
    size_t got_leases = 99, got_groups = 99;
    struct pl_error err = {0};

    must(pl_guard_quarantine(learner, "liar", reason, batches, count, &got_leases, &got_groups,
                             &err),
         &err);
    assert_int_equal(got_leases, leases);
    assert_int_equal(got_groups, groups);
    ledger();
}

static void what_was_asked_and_by_whom_it_was_done_is_known(void **state)
{
    struct pl_asked asked = {0};
    struct pl_error err = {0};
    struct pl_lease l;

    (void)state;
    feed("0", 0, "");
    l = make(honest);
    must(pl_guard_asked(learner, &l, &asked, &err), &err);
    assert_string_equal(asked.actor, "honest");
    assert_int_equal(asked.pb_len, 10);
    assert_memory_equal(asked.pb, "prompt 0 0", 10);
    pl_asked_release(&asked);
    snprintf(l.group, sizeof l.group, "7:0");
    must(pl_guard_asked(learner, &l, &asked, &err), &err);
    assert_true(!asked.pb && !asked.actor[0]);
    pl_lease_release(&l);
}

static void a_rollout_that_is_refused_is_made_by_somebody_else(void **state)
{
    struct pl_ready ready = {0};
    struct pl_error err = {0};
    struct pl_lease l, late;
    bool whole = true;

    (void)state;
    feed("0", 0, "");
    feed("0", 1, "");
    l = make(liar);
    must(pl_guard_refuse(learner, &l, "no end", 2, &err), &err);
    must(pl_guard_refuse(learner, &l, "no end", 2, &err), &err); /* the answer was lost */
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(ledger().dead, 1);
    assert_false(is_barred(liar, NULL)); /* a strike is not two */
    must(pl_queues_whole(learner, "0", &whole, &err), &err);
    assert_false(whole); /* so that the learner feeds it again */
    assert_true(feed("0", 0, ""));
    assert_false(feed("0", 1, ""));
    late = l;
    l = make(liar);
    assert_string_equal(l.group, "0:1");
    must(pl_guard_refuse(learner, &late, "no end", 2, &err), &err); /* nor is the new one meant */
    assert_int_equal(ledger().dropped, 1);
    must(pl_guard_refuse(learner, &l, "too long", 2, &err), &err);
    assert_true(is_barred(liar, "too long"));
    assert_false(is_barred(honest, NULL));
    assert_true(feed("0", 1, ""));
    pl_lease_release(&l);
    pl_lease_release(&late);
    l = lease(liar, PL_QUEUE_PROMPTS);
    assert_int_equal(finish(liar, &l), PL_OUTCOME_REFUSED);
    pl_lease_release(&l);
    assert_int_equal(ledger().leased, 0); /* what it held is anybody's */
    carry(honest, 4, "a");
    carry(honest, 4, "b");
    assert_true(is_ready("0", &ready));
    assert_int_equal(ready.count, 2);
    pl_ready_release(&ready);
    must(pl_queues_retire(learner, "0", &err), &err);
    assert_int_equal(ledger().trained, 2);
    assert_int_equal(ledger().fed, 4);
}

/* By the learner: with what is scored goes the gate, its own and that of the batch behind it. */
static void a_scored_group_that_is_refused_opens_its_batch_again(void **state)
{
    struct pl_ready zero = {0}, one = {0};
    struct pl_error err = {0};

    (void)state;
    feed("0", 0, "");
    feed("0", 1, "");
    feed("1", 0, "0");
    feed("1", 1, "0");
    carry(honest, 2, "a");
    carry(liar, 4, "lie");
    carry(honest, 2, "c");
    carry(honest, 2, "d");
    assert_true(is_ready("0", &zero) && is_ready("1", &one));
    assert_true(!one.gate && one.previous > 0.7); /* a half behind three quarters */
    pl_ready_release(&one);
    must(pl_guard_refuse_scored(learner, "0", &zero.groups[1], "its hash", 0, &err), &err);
    must(pl_guard_refuse_scored(learner, "0", &zero.groups[1], "its hash", 0, &err), &err);
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(ledger().ready, 0);
    assert_int_equal(ledger().scored, 3);
    assert_false(is_barred(liar, NULL)); /* 0 strikes: never */
    assert_true(!is_ready("0", &one) && !is_ready("1", &one));
    assert_true(feed("0", 1, ""));
    carry(honest, 2, "b");
    must(pl_guard_refuse_scored(learner, "0", &zero.groups[1], "its hash", 0, &err), &err);
    pl_ready_release(&zero);
    assert_true(is_ready("0", &zero) && is_ready("1", &one));
    assert_true(zero.gate && zero.accuracy >= 0.5 && zero.accuracy <= 0.5);
    assert_true(one.gate && one.previous >= 0.5 && one.previous <= 0.5);
    assert_memory_equal(zero.groups[1].pb, "b", 1);
    pl_ready_release(&zero);
    pl_ready_release(&one);
    must(pl_queues_retire(learner, "0", &err), &err);
    must(pl_queues_retire(learner, "1", &err), &err);
    assert_int_equal(ledger().trained, 4);
    assert_int_equal(ledger().scored, 0);
}

/* The batch behind is complete first: it waits for the accuracy that changes. */
static void the_batch_behind_waits_for_what_is_made_anew(void **state)
{
    struct pl_ready zero = {0}, one = {0};
    struct pl_error err = {0};

    (void)state;
    feed("0", 0, "");
    feed("0", 1, "");
    feed("1", 0, "0");
    feed("1", 1, "0");
    carry(honest, 2, "a");
    carry(liar, 4, "lie");
    carry(honest, 2, "c");
    assert_true(is_ready("0", &zero));
    must(pl_guard_refuse_scored(learner, "0", &zero.groups[1], "its hash", 0, &err), &err);
    pl_ready_release(&zero);
    carry(honest, 2, "d");
    assert_false(is_ready("1", &one));
    assert_true(feed("0", 1, ""));
    carry(honest, 2, "b");
    assert_true(is_ready("0", &zero) && is_ready("1", &one));
    assert_true(one.gate && one.previous >= 0.5 && one.previous <= 0.5);
    pl_ready_release(&zero);
    pl_ready_release(&one);
    ledger();
}

static void nothing_is_left_of_an_actor_in_quarantine(void **state)
{
    struct pl_ready ready = {0};
    struct pl_error err = {0};
    struct pl_lease held, rolled;

    (void)state;
    feed("0", 0, "");
    feed("0", 1, "");
    feed("1", 0, "0");
    feed("1", 1, "0");
    carry(liar, 4, "lie");
    carry(honest, 2, "b");
    rolled = make(liar);
    held = lease(liar, PL_QUEUE_PROMPTS);
    quarantine("", 2, 0, 0); /* it is not in quarantine */
    assert_true(is_ready("0", &ready));
    pl_ready_release(&ready);
    quarantine("its numbers", 2, 1, 2);
    quarantine("its numbers", 2, 0, 0);
    quarantine("", 2, 0, 0);
    assert_true(is_barred(liar, "its numbers"));
    assert_false(is_ready("0", &ready));
    assert_int_equal(ledger().queued, 1);
    assert_int_equal(ledger().dropped, 2);
    assert_int_equal(finish(liar, &held), PL_OUTCOME_REFUSED);
    assert_true(feed("0", 0, ""));
    assert_true(feed("1", 0, "0"));
    assert_false(feed("1", 1, "0")); /* it was given back, not unmade */
    for (int i = 0; i < 3; i++)
        carry(honest, 2, "new");
    assert_true(is_ready("0", &ready));
    assert_true(ready.accuracy >= 0.5 && ready.accuracy <= 0.5);
    pl_ready_release(&ready);
    assert_true(is_ready("1", &ready));
    pl_ready_release(&ready);
    quarantine("", 2, 0, 0); /* nothing of it is left that could go */
    assert_int_equal(ledger().dropped, 2);
    must(pl_queues_retire(learner, "0", &err), &err);
    must(pl_queues_retire(learner, "1", &err), &err);
    assert_int_equal(ledger().trained, 4);
    pl_lease_release(&held);
    pl_lease_release(&rolled);
}

static int count(void *at, const char *actor, const char *reason, struct pl_error *err)
{
    (void)err;
    assert_string_equal(actor, "liar");
    assert_string_equal(reason, "its numbers");
    ++*(int *)at;
    return PL_OK;
}

static void quarantine_is_lifted_by_hand(void **state)
{
    struct pl_error err = {0};
    struct pl_lease l;
    bool was = false;
    int n = 0;

    (void)state;
    must(pl_guard_lift(learner, "liar", &was, &err), &err);
    assert_false(was);
    quarantine("its numbers", 0, 0, 0);
    must(pl_guard_each(learner, count, &n, &err), &err);
    assert_int_equal(n, 1);
    must(pl_guard_lift(learner, "liar", &was, &err), &err);
    assert_true(was);
    assert_false(is_barred(liar, NULL));
    must(pl_guard_each(learner, count, &n, &err), &err);
    assert_int_equal(n, 1);
    feed("0", 0, "");
    l = make(liar); /* it works again */
    pl_lease_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_asked_and_by_whom_it_was_done_is_known, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_rollout_that_is_refused_is_made_by_somebody_else, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_scored_group_that_is_refused_opens_its_batch_again, begin,
                                        end),
        cmocka_unit_test_setup_teardown(the_batch_behind_waits_for_what_is_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_an_actor_in_quarantine, begin, end),
        cmocka_unit_test_setup_teardown(quarantine_is_lifted_by_hand, begin, end),
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
