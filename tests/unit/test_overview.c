/* What follows from how a run stands, as text and as JSON; the history of its metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/view/overview.h"
#include "tests/scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_overview o;
static const struct pl_style plain = {.bold = "", .dim = "", .red = "", .green = "", .reset = ""};

static struct pl_survey_worker workers[8];
static struct pl_survey_batch batches[8];
static struct pl_survey_holder holders[8];
static struct pl_survey_reason reasons[2];
static struct pl_survey_barred barred[2];

/* A run at work: step 40 of 100, half a second each, of which `wait_s` is waiting. */
static void at_work(double wait_s)
{
    o = (struct pl_overview){
        .name = "demo",
        .dir = "runs/demo",
        .steps = 100,
        .lease_s = 60,
        .step = 40,
        .redis = true,
        .pace = {.step_s = 0.5, .wait_s = wait_s, .tokens = 1000},
        .survey = {.state = "running", .version = 41, .learner = true, .step_s = 0.75},
    };
    o.survey.workers = workers;
    o.survey.batches = batches;
    o.survey.holders = holders;
    o.survey.reasons = reasons;
    o.survey.barred = barred;
    o.survey.ledger = (struct pl_ledger){.fed = 700, .trained = 640, .queued = 12, .leased = 5};
    o.survey.workers[0] = (struct pl_survey_worker){
        .name = "actor-1", .role = "actor", .left_s = 178.5, .version = 40, .tokens_per_s = 800};
    o.survey.workers[1] = (struct pl_survey_worker){
        .name = "rewarder-1", .role = "rewarder", .left_s = 175, .tokens_per_s = NAN};
    o.survey.worker_count = 2;
}

static void waits_for(enum pl_overview_who who, const char *sentence)
{
    pl_overview_conclude(&o);
    assert_string_equal(o.bottleneck, sentence);
    assert_string_equal(pl_overview_who_name(o.who), pl_overview_who_name(who));
}

static void the_bottleneck_is_found(void **state)
{
    (void)state;
    at_work(0.01);
    waits_for(PL_OVERVIEW_LEARNER,
              "The learner is at work 98 % of a step: all others wait for it.");
    at_work(0.4);
    waits_for(PL_OVERVIEW_ACTORS, "The learner waits 80 % of a step for samples: 5 groups are "
                                  "being sampled, 12 wait for an actor.");
    o.survey.ledger = (struct pl_ledger){.rolled = 9, .scoring = 1, .leased = 2};
    waits_for(PL_OVERVIEW_REWARDERS, "The learner waits 80 % of a step for scores: 9 groups wait "
                                     "for a rewarder, 1 are being scored.");
    at_work(0.1);
    waits_for(PL_OVERVIEW_NOBODY,
              "Nobody: the learner waits 20 % of a step, and trains in the rest.");
    o.pace =
        (struct pl_history_pace){.step_s = NAN, .wait_s = NAN, .tokens = NAN}; /* the first batch */
    waits_for(PL_OVERVIEW_ACTORS, "The learner waits for samples: 5 groups are being sampled, 12 "
                                  "wait for an actor.");
    o.survey.ledger = (struct pl_ledger){.fed = 1};
    waits_for(PL_OVERVIEW_ACTORS, "The learner waits for samples.");
}

static void who_is_missing_is_named_first(void **state)
{
    (void)state;
    at_work(0.4);
    o.survey.worker_count = 1;
    waits_for(PL_OVERVIEW_REWARDERS, "No rewarder is alive: 0 groups wait to be scored.");
    workers[0] = workers[1];
    strcpy(workers[0].role, "rewarder");
    waits_for(PL_OVERVIEW_ACTORS, "No actor is alive: 12 groups wait to be sampled.");
    o.survey.worker_count = 0;
    waits_for(PL_OVERVIEW_ACTORS, "Neither an actor nor a rewarder is alive: 12 groups wait to be "
                                  "sampled, 0 to be scored.");
    o.survey.state[0] = '\0';
    o.survey.ledger.fed = 0;
    waits_for(PL_OVERVIEW_LEARNER, "The learner is starting.");
    o.survey.learner = false;
    waits_for(PL_OVERVIEW_LEARNER, "The learner is not there yet.");
    at_work(0.4);
    o.survey.learner = false;
    waits_for(PL_OVERVIEW_LEARNER, "The learner is gone without a word, at step 40, and all others "
                                   "wait for it: start it again.");
    strcpy(o.survey.state, "stopped");
    waits_for(PL_OVERVIEW_LEARNER,
              "The learner was stopped at step 40; the same command goes on from there.");
    o.redis = false;
    waits_for(PL_OVERVIEW_UNKNOWN, "Not known: Redis does not answer, so nobody is at work.");
    o.finished = true;
    waits_for(PL_OVERVIEW_NOBODY, "Nobody: the run is finished.");
}

static void redis_and_the_disk_are_named(void **state)
{
    (void)state;
    at_work(0.4);
    o.survey.redis = (struct pl_survey_redis){.known = true, .file_failed = true};
    waits_for(PL_OVERVIEW_REDIS,
              "Redis could not write its file, and refuses hand-overs until it can "
              "(MISCONF): make room on its disk.");
    assert_true(pl_overview_needs_help(&o) && !o.moving);
    o.survey.redis = (struct pl_survey_redis){.known = true, .no_replicas = true};
    waits_for(PL_OVERVIEW_REDIS,
              "Redis has no replica that keeps up, and refuses hand-overs without one "
              "(NOREPLICAS): start it again, or lower min-replicas-to-write.");
    o.survey.redis = (struct pl_survey_redis){
        .known = true, .used_bytes = 1050000, .most_bytes = 1048576, .evicts = true};
    waits_for(PL_OVERVIEW_REDIS,
              "Redis is full, and refuses new work (OOM): it uses 1.0 of 1.0 MiB; "
              "give it more (redis-cli CONFIG SET maxmemory BYTES).");
    at_work(0.4);
    o.disk_full = true;
    waits_for(PL_OVERVIEW_PERSON, "The disk of 'runs/demo' is full: no checkpoint can be written; "
                                  "make room on it.");
    at_work(0.4);
    o.clock_ahead_s = 3600.0;
    pl_overview_conclude(&o);
    assert_int_equal(o.warning_count, 1);
    assert_string_equal(o.warnings[0], "the clock of Redis is 3600 s behind this machine's");
}

static void pace_and_rate_are_the_best_there_is(void **state)
{
    (void)state;
    at_work(0.1);
    pl_overview_conclude(&o);
    assert_true(o.step_s == 0.75 && o.eta_s == 45.0); /* the clock of Redis, with what is between */
    assert_true(o.tokens_per_s == 800);
    o.survey.step_s = NAN;
    workers[0].tokens_per_s = NAN;
    pl_overview_conclude(&o);
    assert_true(o.step_s == 0.5 && o.eta_s == 30.0 && o.tokens_per_s == 2000);
    o.survey.worker_count = 0; /* nothing moves: there is no end in sight */
    pl_overview_conclude(&o);
    assert_true(isnan(o.eta_s) && !o.moving);
    o.step = 100;
    o.pace = (struct pl_history_pace){.step_s = NAN, .wait_s = NAN, .tokens = NAN};
    pl_overview_conclude(&o);
    assert_true(o.eta_s == 0.0 && isnan(o.step_s) && isnan(o.tokens_per_s));
}

static void printed(struct pl_buf *buf)
{
    pl_buf_clear(buf);
    pl_overview_conclude(&o);
    assert_int_equal(pl_overview_print(&o, &plain, buf), PL_OK);
    assert_null(strstr(buf->data, "nan"));
    for (const char *line = buf->data; *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, 110);
}

static void holds(const struct pl_buf *buf, const char *text)
{
    if (!strstr(buf->data, text))
        fail_msg("'%s' is not in:\n%s", text, buf->data);
}

static void text_for_people(void **state)
{
    struct pl_history_eval evals[] = {{10, 0.5, 1, 0.25}, {20, 0.4, 0.9, NAN}};
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 1 << 16);
    at_work(0.4);
    printed(&buf);
    holds(&buf, "demo: running, step 40 of 100, 0.75s a step, ETA 45s, 800 tok/s\n\nqueue");
    o.last = json_pack("{s:f, s:f, s:n, s:i}", "critic/score/mean", 1.234, "interleave/accuracy",
                       0.4567, "interleave/ttfa", "interleave/gate", 1);
    o.evals = evals;
    o.eval_count = 2;
    o.survey.batch_count = 1;
    o.survey.batches[0] = (struct pl_survey_batch){.name = "40",
                                                   .state = "open",
                                                   .expected = 16,
                                                   .prompts = 3,
                                                   .rollouts = 4,
                                                   .scored = 8,
                                                   .dead = 1,
                                                   .samples = 64,
                                                   .right = 16,
                                                   .gate = -1};
    o.survey.holder_count = 2;
    o.survey.holders[0] = (struct pl_survey_holder){PL_QUEUE_PROMPTS, "actor-1", 3, 12, 2};
    o.survey.holders[1] = (struct pl_survey_holder){PL_QUEUE_PROMPTS, "actor-2", 2, 10, 9};
    o.survey.reason_count = 1;
    o.survey.reasons[0] = (struct pl_survey_reason){"delivered too often", 7};
    printed(&buf);
    holds(&buf, "\nlast step   reward 1.23  accuracy 0.457  gate 1\n");
    holds(&buf,
          "\nevaluation  after step 20  accuracy 0.400  format 0.900  (best 0.500, after step "
          "10)\n");
    holds(&buf, "\nbatch  wanted  sampled  scored  dropped  accuracy  gate  state\n"
                "40         16       12       8        1     0.250     -  open\n");
    holds(&buf, "\nprompts        12       5           12s            9.00s\n");
    holds(&buf, "\nrollouts        0       0             -                -\n");
    holds(&buf, "\ndropped 7: delivered too often\n");
    holds(&buf, "\nactor-1     actor     1.50s ago       40    1       0    800\n");
    holds(&buf, "\nwaited for: The learner waits 80 % of a step for samples:");
    json_decref(o.last);
    o.last = NULL;

    o.redis = false;
    snprintf(o.redis_why, sizeof o.redis_why, "Redis is away");
    printed(&buf);
    holds(&buf, "demo: not at work, step 40 of 100, 0.50s a step\n");
    holds(&buf, "\nRedis is away\n");
    assert_null(strstr(buf.data, "queue"));
    pl_buf_release(&buf);
}

static void an_evaluation_without_an_accuracy_is_not_the_best(void **state)
{
    static struct pl_history_eval evals[3] = {
        {10, NAN, NAN, NAN}, {20, 0.5, 0.9, NAN}, {30, NAN, 0.8, NAN}};
    struct pl_buf buf;

    (void)state;
    pl_buf_init(&buf, 65536);
    at_work(0.4);
    o.evals = evals;
    o.eval_count = 3;
    assert_ptr_equal(pl_overview_best(&o), &evals[1]);
    printed(&buf);
    holds(&buf, "\nevaluation  after step 30  format 0.800  (best 0.500, after step 20)\n");
    assert_null(strstr(buf.data, "nan"));
    o.eval_count = 1;
    assert_null(pl_overview_best(&o));
    printed(&buf);
    holds(&buf, "\nevaluation  after step 10\n");
    pl_buf_release(&buf);
}

/* What everybody has alike is of no interest, and scripts get it all the same. */
static void builds_and_lives_are_told_where_they_matter(void **state)
{
    struct pl_buf buf;
    json_t *json, *run;

    (void)state;
    pl_buf_init(&buf, 65536);
    at_work(0.4);
    o.survey.life = 1;
    snprintf(o.survey.build, sizeof o.survey.build, "0.1.0 aaaa");
    snprintf(workers[0].build, sizeof workers[0].build, "0.1.0 aaaa");
    printed(&buf);
    assert_null(strstr(buf.data, "life"));
    assert_null(strstr(buf.data, "build"));

    o.survey.life = 3;
    snprintf(workers[0].build, sizeof workers[0].build, "0.1.0 bbbb");
    printed(&buf);
    holds(&buf, "demo: running, step 40 of 100, 0.75s a step, ETA 45s, 800 tok/s, life 3\n");
    holds(&buf, "warning: 1 worker is of another build than the learner, which is '0.1.0 aaaa': "
                "actor-1 is '0.1.0 bbbb'\n");

    json = pl_overview_json(&o);
    run = json_object_get(json, "redis");
    assert_int_equal(json_integer_value(json_object_get(run, "life")), 3);
    assert_string_equal(json_string_value(json_object_get(run, "build")), "0.1.0 aaaa");
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(run, "workers"), 0), "build")),
                        "0.1.0 bbbb");
    json_decref(json);
    pl_buf_release(&buf);
}

static void one_token_that_differs_is_a_warning(void **state)
{
    (void)state;
    at_work(0.4);
    o.pace.off_tokens = NAN; /* nothing was compared */
    pl_overview_conclude(&o);
    assert_int_equal(o.warning_count, 0);
    o.pace.off_tokens = 0.0;
    pl_overview_conclude(&o);
    assert_int_equal(o.warning_count, 0);
    o.pace.off_tokens = 1.0 / PL_HISTORY_RECENT;
    pl_overview_conclude(&o);
    assert_int_equal(o.warning_count, 1);
    assert_non_null(strstr(o.warnings[0], "not those of the weights, of 0.05 tokens a step"));
}

static void json_for_scripts(void **state)
{
    json_t *json, *run;

    (void)state;
    at_work(0.4);
    o.survey.holder_count = 1;
    o.survey.holders[0] = (struct pl_survey_holder){PL_QUEUE_ROLLOUTS, "rewarder-1", 3, 12, 2};
    pl_overview_conclude(&o);
    json = pl_overview_json(&o);
    assert_non_null(json);
    run = json_object_get(json, "redis");
    assert_string_equal(json_string_value(json_object_get(json, "state")), "running");
    assert_int_equal(json_integer_value(json_object_get(json, "steps")), 100);
    assert_true(json_is_null(json_object_get(json, "last_step")));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(run, "groups"), "prompts_waiting")), 12);
    assert_int_equal(json_array_size(json_object_get(run, "workers")), 2);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(run, "workers"), 1), "tokens_per_s")));
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(run, "leases"), 0), "queue")),
                        "rollouts");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json, "bottleneck"), "who")), "actors");
    json_decref(json);

    o.redis = false;
    json = pl_overview_json(&o);
    assert_non_null(json);
    assert_non_null(json_object_get(json_object_get(json, "redis"), "error"));
    json_decref(json);
}

/* ---- history ---- */

static void append(const char *path, const char *mode, const char *text)
{
    FILE *f = fopen(path, mode);

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_history_is_followed(void **state)
{
    const char *path = pl_scratch("metrics.jsonl"), *other = pl_scratch("new");
    struct pl_history h;

    (void)state;
    pl_history_init(&h, pl_scratch(""));
    assert_int_equal(pl_history_next(&h), PL_HISTORY_NONE); /* not there yet */
    assert_true(isnan(pl_history_mean(&h).step_s));
    append(path, "w",
           "{\"training/global_step\": 0, \"val-core/acc\": 0.25}\n"
           "no json\n[1]\n"
           "{\"training/global_step\": 1, \"timing_s/step\": 2, \"timing_s/wait\": 1, "
           "\"perf/total_num_tokens\": 10}\n{\"training/global_st");
    assert_int_equal(pl_history_next(&h), PL_HISTORY_EVAL);
    assert_int_equal(pl_history_next(&h), PL_HISTORY_STEP);
    assert_int_equal(pl_history_next(&h), PL_HISTORY_NONE); /* the rest is being written */
    append(path, "a",
           "ep\": 2, \"timing_s/step\": 4, \"timing_s/wait\": 3, \"perf/total_num_tokens\": 30}\n");
    assert_int_equal(pl_history_next(&h), PL_HISTORY_STEP);
    assert_true(pl_history_number(h.step, "training/global_step") == 2);
    assert_true(isnan(pl_history_number(h.step, "critic/score/mean")));
    assert_true(pl_history_mean(&h).step_s == 3 && pl_history_mean(&h).wait_s == 2 &&
                pl_history_mean(&h).tokens == 20);
    assert_true(isnan(pl_history_mean(&h).ttfa));
    assert_int_equal(h.eval_count, 1);
    assert_true(h.evals[0].accuracy == 0.25 && isnan(h.evals[0].ttfa));

    assert_int_equal(pl_history_next(&h), PL_HISTORY_NONE);

    /* A learner that resumes makes the file anew. */
    append(other, "w", "{\"training/global_step\": 1, \"timing_s/step\": 7}\n");
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(pl_history_next(&h), PL_HISTORY_STEP);
    assert_int_equal(pl_history_next(&h), PL_HISTORY_NONE);
    assert_int_equal(h.eval_count, 0);
    assert_true(pl_history_mean(&h).step_s == 7);
    pl_history_release(&h);
}

/* Only the newest are kept: of 100 steps of i seconds, the mean of the last 20. */
static void old_lines_are_forgotten(void **state)
{
    const char *path = pl_scratch("metrics.jsonl");
    struct pl_history h;
    char line[160];

    (void)state;
    assert_int_equal(remove(path), 0);
    for (int i = 1; i <= 100; i++) {
        snprintf(line, sizeof line,
                 "{\"training/global_step\": %d, \"val-core/acc\": 0.5}\n"
                 "{\"training/global_step\": %d, \"timing_s/step\": %d}\n",
                 i, i, i);
        append(path, "a", line);
    }
    pl_history_init(&h, pl_scratch(""));
    while (pl_history_next(&h) != PL_HISTORY_NONE)
        ;
    assert_int_equal(h.steps, 100);
    assert_true(fabs(pl_history_mean(&h).step_s - 90.5) < 1e-9);
    assert_int_equal(h.eval_count, PL_HISTORY_EVALS);
    assert_int_equal(h.evals[0].step, 100 - PL_HISTORY_EVALS + 1);
    assert_int_equal(h.evals[PL_HISTORY_EVALS - 1].step, 100);
    pl_history_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bottleneck_is_found),
        cmocka_unit_test(who_is_missing_is_named_first),
        cmocka_unit_test(redis_and_the_disk_are_named),
        cmocka_unit_test(pace_and_rate_are_the_best_there_is),
        cmocka_unit_test(text_for_people),
        cmocka_unit_test(an_evaluation_without_an_accuracy_is_not_the_best),
        cmocka_unit_test(builds_and_lives_are_told_where_they_matter),
        cmocka_unit_test(one_token_that_differs_is_a_warning),
        cmocka_unit_test(json_for_scripts),
        cmocka_unit_test(a_history_is_followed),
        cmocka_unit_test(old_lines_are_forgotten),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
