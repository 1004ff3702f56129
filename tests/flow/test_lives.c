/*
 * Who a run is, in a real Redis: what its learner finds there when it starts, and what it does
 * about it; how a role agrees with it, waits for it, or does not agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/guard.h"
#include "common/link/run_note.h"
#include "learner/identity.h"
#include "tests/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_1 "00112233445566778899aabbccddeeff"
#define ID_2 "ffeeddccbbaa99887766554433221100"

static struct pl_test_redis redis;
static int runs;
static char run_name[32];
static struct pl_queues *learner, *actor;

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static bool does_not_wait(void *at)
{
    (void)at;
    return true;
}

static struct pl_queues *worker(const char *name)
{
    const struct pl_queues_opts opts = {.url = redis.url,
                                        .run = run_name,
                                        .worker = name,
                                        .role = "test",
                                        .lease_ms = 60000,
                                        .deliveries_max = 5,
                                        .full = does_not_wait,
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
    actor = worker("actor-1");
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_queues_close(learner);
    pl_queues_close(actor);
    return 0;
}

/* Whether it was not there. */
static bool feed(const char *batch)
{
    bool fresh = false;
    struct pl_error err = {0};

    must(pl_queues_feed(
             learner,
             &(struct pl_feed){.batch = batch, .expected = 1, .after = "", .pb = "p", .pb_len = 1},
             &fresh, &err),
         &err);
    return fresh;
}

static void step(const char *at)
{
    const struct pl_field fields[] = {{"state", "running"}, {"step", at}};
    struct pl_error err = {0};

    must(pl_queues_note(learner, "run", fields, 2, &err), &err);
}

/* A start as a learner makes it, from a checkpoint of a life and step (0: there is none). */
struct start {
    const char *id, *agree;
    uint64_t from_life, from_step;
    bool changed;
    const char *takeover;
    int mode, resume; /* enum pl_rollout_mode, PL_RESUME_... */
};

static int settle(struct start start, uint64_t *ret_life, struct pl_error *err)
{
    const struct pl_run_conf conf = {.name = run_name,
                                     .takeover = start.takeover ? start.takeover : "",
                                     .rollout_mode = start.mode,
                                     .resume = start.resume};
    struct pl_identity id = {.from_life = start.from_life,
                             .from_step = start.from_step,
                             .changed = start.changed,
                             .dir = strdup(start.id[0] == '0' ? "/runs/one" : "/runs/two")};
    int rc;

    snprintf(id.life.run_id, sizeof id.life.run_id, "%s", start.id);
    snprintf(id.agree, sizeof id.agree, "%s", start.agree);
    pl_buf_init(&id.roles, 1 << 16);
    pl_buf_puts(&id.roles, "reward.wrong: -1.5\nrollout.n: 8\n");
    rc = pl_identity_settle(&id, &conf, learner, err);
    *ret_life = id.life.number;
    pl_identity_close(&id);
    return rc;
}

static uint64_t settled(struct start start)
{
    struct pl_error err = {0};
    uint64_t life = 0;

    must(settle(start, &life, &err), &err);
    return life;
}

static void a_run_that_begins_is_in_its_first_life(void **state)
{
    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_true(feed("0"));
    /* started again before its first checkpoint: what is there is its own */
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_false(feed("0"));
    /* the same, with other settings: of no use */
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "b"}), 2);
    assert_true(feed("0"));
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "b"}), 2);
    assert_false(feed("0"));
}

/* Nothing can be noted there before the learner has let go of something; another life must be. */
static void a_full_redis_is_no_reason_not_to_go_on(void **state)
{
    struct pl_error err = {0};
    uint64_t life;

    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_true(feed("0"));
    pl_test_redis_say(&redis, "CONFIG SET maxmemory 1");
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_int_equal(settle((struct start){.id = ID_1, .agree = "b"}, &life, &err), PL_EFULL);
    pl_test_redis_say(&redis, "CONFIG SET maxmemory 0");
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "b"}), 2);
}

/* Redis is ahead of the checkpoint: an older one in `latest`, a restored backup (D3). */
static void redis_goes_back_with_the_checkpoint(void **state)
{
    struct pl_error err = {0};
    uint64_t life;

    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    for (int b = 0; b < 6; b++) {
        char name[8];

        snprintf(name, sizeof name, "%d", b);
        assert_true(feed(name));
        if (b < 4)
            must(pl_queues_retire(learner, name, &err), &err);
    }
    step("5");
    assert_int_equal(
        settled((struct start){.id = ID_1, .agree = "a", .from_life = 1, .from_step = 2}), 1);
    assert_true(feed("2")); /* retired, it was never to come */
    assert_true(feed("3"));
    assert_false(feed("4")); /* the same bits, whoever fed it */
    /* and to the very beginning, where it is told so: the checkpoints were removed */
    assert_int_equal(settle((struct start){.id = ID_1, .agree = "a"}, &life, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "had saved step 2, and '/runs/one/checkpoints' holds no"));
    assert_non_null(strstr(err.text, "trainer.resume=changed"));
    assert_false(feed("4")); /* refused, it has changed nothing */
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a", .resume = PL_RESUME_CHANGED}),
                     1);
    assert_true(feed("0"));
    assert_false(feed("5"));
}

static void what_changed_is_another_life(void **state)
{
    struct pl_ledger ledger;
    struct pl_error err = {0};
    struct pl_lease lease = {0};
    enum pl_outcome outcome;

    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_true(feed("4"));
    must(pl_queues_lease(actor, PL_QUEUE_PROMPTS, 1000, &lease, &err), &err);
    assert_int_equal(
        settled((struct start){
            .id = ID_1, .agree = "b", .from_life = 1, .from_step = 4, .changed = true}),
        2);
    assert_true(feed("4"));
    /* what was leased in the former life is nobody's */
    must(pl_queues_finish(actor, &lease, NULL, 0, "made", 4, &outcome, &err), &err);
    assert_int_not_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&lease);
    must(pl_queues_ledger(learner, &ledger, &err), &err);
    assert_true(ledger.balanced);
    assert_int_equal(ledger.rolled + ledger.scoring, 0);
    /* no checkpoint yet: the same again goes on */
    assert_int_equal(
        settled((struct start){
            .id = ID_1, .agree = "b", .from_life = 1, .from_step = 4, .changed = true}),
        2);
    assert_false(feed("4"));
    /* from an older one, or set back to what it was, it is a third */
    assert_int_equal(
        settled((struct start){
            .id = ID_1, .agree = "b", .from_life = 1, .from_step = 2, .changed = true}),
        3);
    assert_true(feed("4"));
    assert_int_equal(
        settled((struct start){.id = ID_1, .agree = "a", .from_life = 1, .from_step = 4}), 4);
    assert_true(feed("4"));
    /* a checkpoint of the life that Redis is in */
    assert_int_equal(
        settled((struct start){.id = ID_1, .agree = "a", .from_life = 4, .from_step = 6}), 4);
}

/* A sample of latest mode may be of a version that is trained again, otherwise. */
static void the_newest_of_a_past_that_is_gone_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a", .mode = PL_ROLLOUT_LATEST}),
                     1);
    assert_true(feed("7"));
    step("6");
    assert_int_equal(
        settled((struct start){
            .id = ID_1, .agree = "a", .from_life = 1, .from_step = 6, .mode = PL_ROLLOUT_LATEST}),
        1);
    assert_false(feed("7"));
    assert_int_equal(
        settled((struct start){
            .id = ID_1, .agree = "a", .from_life = 1, .from_step = 4, .mode = PL_ROLLOUT_LATEST}),
        2);
    assert_true(feed("7"));
}

static void another_run_of_the_name_is_refused_or_named(void **state)
{
    struct pl_error err = {0};
    uint64_t life;

    (void)state;
    assert_int_equal(settled((struct start){.id = ID_1, .agree = "a"}), 1);
    assert_true(feed("0"));
    assert_int_equal(settle((struct start){.id = ID_2, .agree = "a"}, &life, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "'/runs/one'"));
    assert_non_null(strstr(err.text, "'/runs/two'"));
    assert_non_null(strstr(err.text, "run.takeover=" ID_1));
    assert_false(feed("0"));
    assert_int_equal(
        settle((struct start){.id = ID_2, .agree = "a", .takeover = ID_2}, &life, &err), PL_EINVAL);
    assert_int_equal(settled((struct start){.id = ID_2, .agree = "a", .takeover = ID_1}), 1);
    assert_true(feed("0"));
}

/* An earlier plait noted no identity: nothing that it fed is believed. */
static void what_nobody_says_whose_it_is_goes(void **state)
{
    (void)state;
    assert_true(feed("4"));
    step("4");
    assert_int_equal(
        settled((struct start){.id = ID_1, .agree = "a", .from_life = 1, .from_step = 4}), 1);
    assert_true(feed("4"));
}

/* ---- roles ---- */

static void hold(void)
{
    struct pl_error err = {0};
    char holder[128];
    bool ours;

    must(pl_queues_claim_run(learner, "learner h 1 n", 60000, &ours, holder, sizeof holder, &err),
         &err);
    assert_true(ours);
}

static void look(struct pl_member *m, const char *why)
{
    struct pl_error err = {0};

    must(pl_member_look(m, actor, &err), &err);
    if (why)
        assert_non_null(strstr(m->why, why));
    else
        assert_string_equal(m->why, "");
}

static void a_role_waits_agrees_and_follows(void **state)
{
    struct pl_member m = {.lines = "rollout.n: 8\nmodel: new\n"}; /* the run says no model */
    struct pl_error err = {0};
    char lost[64];

    (void)state;
    look(&m, "no learner has said anything of this run");
    hold();
    settled((struct start){.id = ID_1, .agree = "a"});
    look(&m, NULL);
    assert_string_equal(m.life.run_id, ID_1);
    assert_int_equal(m.life.number, 1);
    settled((struct start){.id = ID_1, .agree = "b"});
    look(&m, NULL);
    assert_int_equal(m.life.number, 2);
    /* a Redis that has lost it changes nothing */
    snprintf(lost, sizeof lost, "DEL plait:{%s}:run", run_name);
    pl_test_redis_say(&redis, lost);
    look(&m, NULL);
    assert_int_equal(m.life.number, 2);
    must(pl_queues_leave_run(learner, "learner h 1 n", &err), &err);
}

static void a_role_with_other_settings_says_which(void **state)
{
    struct pl_member m = {.lines = "rollout.n: 8\nreward.wrong: -9\n"};
    struct pl_error err = {0};

    (void)state;
    settled((struct start){.id = ID_1, .agree = "a"});
    /* nobody is at work: the next learner may have these very settings */
    look(&m, "reward.wrong is -9 here, and -1.5 in the run, as its learner had it");
    hold();
    look(&m, "which is not at work now"); /* one is, and has not said anything yet */
    settled((struct start){.id = ID_1, .agree = "a"});
    assert_int_equal(pl_member_look(&m, actor, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "reward.wrong is -9 here, and -1.5 in the run: this program"));
    assert_non_null(strstr(err.text, "'/runs/one'"));
    must(pl_queues_leave_run(learner, "learner h 1 n", &err), &err);
}

static void lines_are_compared_by_whole_names(void **state)
{
    static const char run[] = "a.b: 1\na.bc: 22\nlong: x\n";
    char why[200];

    (void)state;
    assert_false(pl_run_note_differs(run, "a.b: 1\n", why, sizeof why));
    assert_false(pl_run_note_differs(run, "a.bc: 22\na.b: 1\n", why, sizeof why));
    assert_false(pl_run_note_differs(run, "a: 1\nbc: 3\n", why, sizeof why)); /* not in it */
    assert_false(pl_run_note_differs("", "a.b: 1\n", why, sizeof why));
    assert_true(pl_run_note_differs(run, "a.b: 1\na.bc: 2\n", why, sizeof why));
    assert_string_equal(why, "a.bc is 2 here, and 22 in the run");
    assert_true(pl_run_note_differs(run, "long: xy", why, sizeof why));
    assert_string_equal(why, "long is xy here, and x in the run");
}

/* A group that is refused for nobody's fault costs nothing. */
static void who_is_blameless_has_no_strike(void **state)
{
    struct pl_error err = {0};
    char why[80];

    (void)state;
    for (int blame = 0; blame < 2; blame++) {
        static const char *const names[] = {"actor-1"};
        struct pl_lease l = {0};
        enum pl_outcome outcome;
        char *strikes;

        assert_true(feed("1"));
        must(pl_queues_lease(actor, PL_QUEUE_PROMPTS, 1000, &l, &err), &err);
        must(pl_queues_finish(actor, &l, NULL, 0, "made", 4, &outcome, &err), &err);
        pl_lease_release(&l);
        must(pl_queues_lease(learner, PL_QUEUE_ROLLOUTS, 1000, &l, &err), &err);
        must(pl_guard_refuse(learner, &l, "why", blame ? 1 : PL_GUARD_BLAMELESS, &err), &err);
        pl_lease_release(&l);
        must(pl_guard_why(actor, why, sizeof why, &err), &err);
        assert_string_equal(why, blame ? "why" : "");
        must(pl_queues_recall(learner, "strikes", names, 1, &strikes, &err), &err);
        assert_int_equal(strikes != NULL, blame);
        free(strikes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_that_begins_is_in_its_first_life, begin, end),
        cmocka_unit_test_setup_teardown(a_full_redis_is_no_reason_not_to_go_on, begin, end),
        cmocka_unit_test_setup_teardown(redis_goes_back_with_the_checkpoint, begin, end),
        cmocka_unit_test_setup_teardown(what_changed_is_another_life, begin, end),
        cmocka_unit_test_setup_teardown(the_newest_of_a_past_that_is_gone_is_not_used, begin, end),
        cmocka_unit_test_setup_teardown(another_run_of_the_name_is_refused_or_named, begin, end),
        cmocka_unit_test_setup_teardown(what_nobody_says_whose_it_is_goes, begin, end),
        cmocka_unit_test_setup_teardown(a_role_waits_agrees_and_follows, begin, end),
        cmocka_unit_test_setup_teardown(a_role_with_other_settings_says_which, begin, end),
        cmocka_unit_test(lines_are_compared_by_whole_names),
        cmocka_unit_test_setup_teardown(who_is_blameless_has_no_strike, begin, end),
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
