/*
 * A run's Redis and folder as `plait status` sees them: every number of a state that was made on
 * purpose, on a real Redis, while it is down, and after it came back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/link/queues.h"
#include "deploy/view/overview.h"
#include "tests/redis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEASE_S = 60 };

static struct pl_test_redis redis;
static struct pl_overview o;
static struct pl_queues *learner, *actor, *other, *rewarder;

static void must(int rc, const struct pl_error *err)
{
    if (rc != PL_OK)
        fail_msg("%s", err->text);
}

static struct pl_queues *worker(const char *name, const char *role)
{
    struct pl_queues *s = NULL;
    struct pl_error err = {0};

    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = "demo",
                                                 .worker = name,
                                                 .role = role,
                                                 .lease_ms = 1000 * LEASE_S,
                                                 .deliveries_max = 5,
                                                 .patience_ms = 20000},
                        &s, &err),
         &err);
    return s;
}

static void feed(const char *batch, uint32_t groups, const char *after)
{
    struct pl_error err = {0};
    bool fresh;

    for (uint32_t i = 0; i < groups; i++)
        must(pl_queues_feed(learner,
                            &(struct pl_feed){.batch = batch,
                                              .expected = groups,
                                              .index = i,
                                              .after = after,
                                              .epsilon = 0.05,
                                              .gated = true,
                                              .pb = "pb",
                                              .pb_len = 2},
                            &fresh, &err),
             &err);
}

static struct pl_lease lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};
    struct pl_error err = {0};

    must(pl_queues_lease(s, queue, 1000, &l, &err), &err);
    return l;
}

static void sample(struct pl_queues *s)
{
    struct pl_lease l = lease(s, PL_QUEUE_PROMPTS);
    enum pl_outcome outcome;
    struct pl_error err = {0};

    must(pl_queues_finish(s, &l, NULL, 0, "pb", 2, &outcome, &err), &err);
    pl_lease_release(&l);
}

static void score(uint32_t right)
{
    struct pl_lease l = lease(rewarder, PL_QUEUE_ROLLOUTS);
    enum pl_outcome outcome;
    struct pl_error err = {0};

    must(pl_queues_commit(rewarder, &l, 4, right, 3, "", "pb", 2, &outcome, &err), &err);
    pl_lease_release(&l);
}

static void bury(const char *reason)
{
    struct pl_lease l = lease(actor, PL_QUEUE_PROMPTS);
    struct pl_error err = {0};

    must(pl_queues_bury(actor, PL_QUEUE_PROMPTS, &l, reason, &err), &err);
    pl_lease_release(&l);
}

static void beat(struct pl_queues *s, const char *version, const char *rate)
{
    const struct pl_field fields[] = {
        {"groups", "17"}, {"version", version}, {"tokens_per_s", rate}, {"leased", "2"}};
    struct pl_error err = {0};

    must(pl_queues_heartbeat(s, fields, rate ? 4 : 1, &err), &err);
}

static void note(const char *key, const char *name, const char *value)
{
    struct pl_error err = {0};

    must(pl_queues_note(learner, key, &(struct pl_field){name, value}, 1, &err), &err);
}

/* Batch 0 is ready, batch 1 on its way, evaluation e0 not begun. */
static void make_state(void)
{
    struct pl_lease l;

    learner = worker("learner", "learner");
    actor = worker("actor-1", "actor");
    other = worker("actor-10", "actor");
    rewarder = worker("rewarder-1", "rewarder");
    feed("0", 2, "");
    sample(actor);
    sample(actor);
    score(1);
    score(4);
    feed("1", 6, "0");
    feed("e0", 3, "");
    bury("it is \"odd\"");
    sample(actor);
    sample(actor);
    sample(other);
    score(2);
    l = lease(rewarder, PL_QUEUE_ROLLOUTS); /* held */
    pl_lease_release(&l);
    l = lease(other, PL_QUEUE_PROMPTS);
    pl_lease_release(&l);
    beat(actor, "2", "500");
    beat(other, "3", "250.5");
    beat(rewarder, "", NULL);
    note("policy", "version", "3");
    note("run", "state", "running");
    note("run", "step", "2");
    pl_test_redis_say(&redis, "SET plait:{demo}:learner learner");
}

static void assert_near(double value, double least, double most)
{
    if (!(value >= least && value <= most))
        fail_msg("%g is not between %g and %g", value, least, most);
}

static void check_batches(const struct pl_survey *s)
{
    const struct pl_survey_batch *b = s->batches;

    assert_int_equal(s->batch_count, 3);
    assert_string_equal(b[0].name, "0");
    assert_string_equal(b[0].state, "ready");
    assert_int_equal(b[0].expected, 2);
    assert_int_equal(b[0].scored, 2);
    assert_int_equal(b[0].samples, 8);
    assert_int_equal(b[0].right, 5);
    assert_int_equal(b[0].formatted, 6);
    assert_near(b[0].accuracy, 0.625, 0.625);
    assert_int_equal(b[0].gate, 1);
    assert_string_equal(b[1].name, "1");
    assert_string_equal(b[1].state, "open");
    assert_int_equal(b[1].expected, 6);
    assert_int_equal(b[1].prompts, 2);
    assert_int_equal(b[1].rollouts, 2);
    assert_int_equal(b[1].scored, 1);
    assert_int_equal(b[1].dead, 1);
    assert_true(isnan(b[1].accuracy));
    assert_int_equal(b[1].gate, -1);
    assert_string_equal(b[2].name, "e0");
    assert_int_equal(b[2].prompts, 3);
}

static void check_queues(const struct pl_survey *s)
{
    const struct pl_ledger *l = &s->ledger;

    assert_int_equal(l->fed, 11);
    assert_int_equal(l->trained, 0);
    assert_int_equal(l->dropped, 1);
    assert_int_equal(l->queued, 4);
    assert_int_equal(l->leased, 1);
    assert_int_equal(l->rolled, 1);
    assert_int_equal(l->scoring, 1);
    assert_int_equal(l->scored, 3);
    assert_int_equal(l->ready, 1);
    assert_int_equal(l->dead, 1);
    assert_int_equal(s->reason_count, 1);
    assert_string_equal(s->reasons[0].text, "it is \"odd\"");
    assert_int_equal(s->reasons[0].count, 1);
    for (enum pl_queue q = PL_QUEUE_PROMPTS; q <= PL_QUEUE_ROLLOUTS; q++) /* leased is in it */
        assert_true(s->oldest_s[q] >= s->holders[q].oldest_s && s->oldest_s[q] < 60.0);
    assert_int_equal(s->holder_count, 2);
    assert_int_equal(s->holders[0].queue, PL_QUEUE_PROMPTS);
    assert_string_equal(s->holders[0].worker, "actor-10");
    assert_int_equal(s->holders[0].count, 1);
    assert_near(s->holders[0].oldest_s, 0.0, 30.0);
    assert_near(s->holders[0].silent_s, 0.0, s->holders[0].oldest_s + 0.01);
    assert_int_equal(s->holders[1].queue, PL_QUEUE_ROLLOUTS);
    assert_string_equal(s->holders[1].worker, "rewarder-1");
}

static void check_workers(const struct pl_survey *s)
{
    assert_int_equal(s->worker_count, 3);
    assert_string_equal(s->workers[0].name, "actor-1");
    assert_string_equal(s->workers[0].role, "actor");
    assert_int_equal(s->workers[0].version, 2);
    assert_int_equal(s->workers[0].groups, 17);
    assert_int_equal(s->workers[0].leased, 2);
    assert_near(s->workers[0].tokens_per_s, 500, 500);
    assert_string_equal(s->workers[1].name, "actor-10");
    assert_string_equal(s->workers[2].name, "rewarder-1");
    assert_int_equal(s->workers[2].version, 0);
    assert_true(isnan(s->workers[2].tokens_per_s));
    assert_near(pl_overview_beat_s(&o, &s->workers[0]), 0.0, 30.0);
    assert_near(s->workers[0].left_s, 3 * LEASE_S - 30, 3 * LEASE_S);
}

static void every_number_is_as_it_was_made(void **state)
{
    const struct pl_run_conf conf = {
        .name = "demo", .dir = redis.dir, .redis = redis.url, .steps = 8, .lease_s = LEASE_S};
    struct pl_overview_source source;
    struct pl_error err = {0};

    (void)state;
    make_state();
    must(pl_overview_open(&conf, &source, &err), &err);
    pl_overview_look(&source, &o);
    assert_true(o.redis);
    assert_string_equal(o.survey.state, "running");
    assert_int_equal(o.step, 2);
    assert_int_equal(o.survey.version, 3);
    assert_true(o.survey.learner);
    assert_true(o.survey.ledger_exact && o.survey.ledger.balanced);
    check_batches(&o.survey);
    check_queues(&o.survey);
    check_workers(&o.survey);
    assert_near(o.tokens_per_s, 750.5, 750.5);
    assert_int_equal(o.who, PL_OVERVIEW_ACTORS);
    assert_string_equal(o.bottleneck, "The learner waits for samples: 1 groups are being sampled, "
                                      "4 wait for an actor.");

    pl_test_redis_say(&redis, "DEL plait:{demo}:learner");
    pl_overview_look(&source, &o);
    assert_false(o.survey.learner);
    assert_int_equal(o.who, PL_OVERVIEW_LEARNER);
    pl_overview_release(&o);
    pl_overview_close(&source);
}

/* The clock between steps, and a gap that was none of the run's work. */
static void the_pace_of_steps_is_the_clocks(void **state)
{
    static const int at_ms[] = {1000, 1500, 2000, 900000, 900600, 901200};
    struct pl_surveyor *surveyor;
    struct pl_survey *survey = calloc(1, sizeof *survey);
    struct pl_error err = {0};
    char line[160];

    (void)state;
    assert_non_null(survey);
    must(pl_surveyor_create(redis.url, NULL, "pace", &surveyor, &err), &err);
    must(pl_surveyor_take(surveyor, survey, &err), &err);
    assert_true(isnan(survey->step_s));
    assert_int_equal(survey->batch_count, 0); /* the other run's are not seen */
    assert_string_equal(survey->state, "");
    for (size_t i = 0; i < sizeof at_ms / sizeof *at_ms; i++) {
        snprintf(line, sizeof line, "XADD plait:{pace}:metrics %d-0 timing_s/step 0.1", at_ms[i]);
        pl_test_redis_say(&redis, line);
        snprintf(line, sizeof line, "XADD plait:{pace}:metrics %d-1 val-core/acc 0.5", at_ms[i]);
        pl_test_redis_say(&redis, line);
    }
    must(pl_surveyor_take(surveyor, survey, &err), &err);
    assert_near(survey->step_s, 0.5499, 0.5501); /* of .5, .5, .6, .6 s */
    pl_surveyor_destroy(surveyor);
    pl_survey_release(survey);
    free(survey);
}

static void without_redis_the_folder_is_told_of(void **state)
{
    const struct pl_run_conf conf = {
        .name = "demo", .dir = redis.dir, .redis = redis.url, .steps = 8, .lease_s = LEASE_S};
    struct pl_overview_source source;
    struct pl_error err = {0};
    struct pl_outfile out;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/metrics.jsonl", redis.dir);
    must(pl_outfile_open(path, &out, &err), &err);
    fprintf(out.stream, "{\"training/global_step\": 3, \"timing_s/step\": 2, \"timing_s/wait\": 1, "
                        "\"perf/total_num_tokens\": 100}\n");
    must(pl_outfile_commit(&out, &err), &err);
    must(pl_overview_open(&conf, &source, &err), &err);
    pl_overview_catch_up(&source);
    pl_overview_look(&source, &o);
    assert_true(o.redis);
    assert_int_equal(o.step, 3); /* the folder is ahead of what Redis was told */

    pl_test_redis_kill(&redis);
    pl_overview_look(&source, &o);
    assert_false(o.redis);
    assert_non_null(strstr(o.redis_why, "Redis"));
    assert_int_equal(o.step, 3);
    assert_true(isnan(o.eta_s)); /* nothing moves */
    assert_near(o.tokens_per_s, 50.0, 50.0);
    assert_int_equal(o.who, PL_OVERVIEW_UNKNOWN);

    pl_test_redis_again(&redis);
    pl_overview_look(&source, &o);
    assert_true(o.redis);
    check_batches(&o.survey);
    pl_overview_release(&o);
    pl_overview_close(&source);
}

static int start(void **state)
{
    (void)state;
    pl_test_redis_start(&redis);
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_queues_close(learner);
    pl_queues_close(actor);
    pl_queues_close(other);
    pl_queues_close(rewarder);
    pl_test_redis_end(&redis);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_as_it_was_made),
        cmocka_unit_test(the_pace_of_steps_is_the_clocks),
        cmocka_unit_test(without_redis_the_folder_is_told_of),
    };

    if (!pl_test_redis_there()) {
        fprintf(stderr,
                "skipped: redis-server is not installed (deploy/install-deps.sh installs it)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, end);
}
