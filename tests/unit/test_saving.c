/*
 * When a checkpoint is due, and in which order it is written: what stands for lines of metrics
 * comes after they are on the disk, and what lets go of batches in Redis after both. The calls that
 * write are the test's own, and tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/learner_impl.h"

#include <stdio.h>
#include <string.h>

static char calls[128]; /* what was called, a letter each */
static char failing;    /* the call that fails, with this code */
static int failing_code;
static double now_s;

static int call(char letter, struct pl_error *err)
{
    const size_t n = strlen(calls);

    assert_true(n + 1 < sizeof calls);
    calls[n] = letter;
    calls[n + 1] = '\0';
    return letter == failing ? pl_fail(err, failing_code, "'%c' failed", letter) : PL_OK;
}

int __wrap_pl_metrics_sync(struct pl_metrics *metrics, struct pl_error *err);
int __wrap_pl_metrics_sync(struct pl_metrics *metrics, struct pl_error *err)
{
    (void)metrics;
    return call('m', err);
}

int __wrap_pl_models_save(struct pl_models *models, const struct pl_rundir *dir,
                          const json_t *agree, size_t values, struct pl_savepoint *point,
                          struct pl_error *err);
int __wrap_pl_models_save(struct pl_models *models, const struct pl_rundir *dir,
                          const json_t *agree, size_t values, struct pl_savepoint *point,
                          struct pl_error *err)
{
    (void)models, (void)dir, (void)agree, (void)values, (void)point;
    return call('s', err);
}

uint64_t __wrap_pl_models_checkpoint_bytes(const struct pl_models *models, size_t behind);
uint64_t __wrap_pl_models_checkpoint_bytes(const struct pl_models *models, size_t behind)
{
    (void)models, (void)behind;
    return 0;
}

int __wrap_pl_queues_note(struct pl_queues *stream, const char *key, const struct pl_field *fields,
                          size_t count, struct pl_error *err);
int __wrap_pl_queues_note(struct pl_queues *stream, const char *key, const struct pl_field *fields,
                          size_t count, struct pl_error *err)
{
    (void)stream;
    assert_string_equal(key, "run");
    assert_int_equal(count, 1);
    assert_string_equal(fields->name, "saved_step");
    assert_string_equal(fields->value, "7");
    return call('n', err);
}

int __wrap_pl_queues_retire(struct pl_queues *stream, const char *batch, struct pl_error *err);
int __wrap_pl_queues_retire(struct pl_queues *stream, const char *batch, struct pl_error *err)
{
    (void)stream, (void)batch;
    return call('r', err);
}

int __wrap_pl_learner_keep_books(struct pl_learner *l, bool all, struct pl_error *err);
int __wrap_pl_learner_keep_books(struct pl_learner *l, bool all, struct pl_error *err)
{
    (void)l;
    assert_true(all);
    return call('b', err);
}

int __wrap_pl_rundir_prune(const struct pl_rundir *dir, uint64_t step, size_t keep,
                           struct pl_error *err);
int __wrap_pl_rundir_prune(const struct pl_rundir *dir, uint64_t step, size_t keep,
                           struct pl_error *err)
{
    (void)dir, (void)step, (void)keep;
    return call('p', err);
}

void __wrap_pl_presence_phase(struct pl_presence *presence, const char *phase);
void __wrap_pl_presence_phase(struct pl_presence *presence, const char *phase)
{
    (void)presence, (void)phase;
}

void __wrap_pl_presence_saved(struct pl_presence *presence, uint64_t step);
void __wrap_pl_presence_saved(struct pl_presence *presence, uint64_t step)
{
    (void)presence, (void)step;
}

double __wrap_pl_learner_seconds(void);
double __wrap_pl_learner_seconds(void)
{
    return now_s;
}

/* Redis has no limit: nothing of it asks for a checkpoint. */
static struct pl_run_conf conf = {
    .dir = (char *)".", .save_freq = 20, .steps = 50, .keep = 3, .held_mb = 1000};

/* Two batches and an evaluation since the checkpoint of step 5. */
static struct pl_learner at_step_seven(uint64_t evals[1])
{
    calls[0] = failing = '\0';
    failing_code = PL_EIO;
    evals[0] = 6;
    return (struct pl_learner){.conf = &conf,
                               .point.step = 7,
                               .saved = 5,
                               .retired = 5,
                               .evals_reported = evals,
                               .reported_count = 1,
                               .reported_cap = 1};
}

/* It takes no note, and room is made only by what is let go of. */
static void a_full_redis_lets_go_of_batches(void **state)
{
    uint64_t evals[1];
    struct pl_learner l = at_step_seven(evals);

    (void)state;
    failing = 'n';
    failing_code = PL_EFULL;
    assert_int_equal(pl_learner_save(&l, NULL), PL_OK);
    assert_string_equal(calls, "msnrrrbp");
    assert_int_equal(l.retired, 7);
}

static void metrics_are_on_the_disk_before_a_checkpoint(void **state)
{
    uint64_t evals[1];
    struct pl_learner l = at_step_seven(evals);

    (void)state;
    assert_int_equal(pl_learner_save(&l, NULL), PL_OK);
    assert_string_equal(calls, "msnrrrbp");
    assert_int_equal(l.saved, 7);
    assert_int_equal(l.retired, 7);
    assert_int_equal(l.reported_count, 0);

    l = at_step_seven(evals); /* what was reported since, and no step: they alone say it */
    l.saved = l.retired = 7;
    assert_int_equal(pl_learner_save(&l, NULL), PL_OK);
    assert_string_equal(calls, "mrbp");
}

static void what_fails_lets_nothing_go(void **state)
{
    static const struct {
        char failing;
        const char *calls;
        uint64_t saved;
    } rows[] = {{'m', "m", 5}, {'s', "ms", 5}, {'n', "msn", 7}};
    struct pl_error err = {0};
    uint64_t evals[1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_learner l = at_step_seven(evals);

        failing = rows[i].failing;
        assert_int_equal(pl_learner_save(&l, &err), PL_EIO);
        assert_string_equal(calls, rows[i].calls);
        assert_int_equal(l.saved, rows[i].saved);
        assert_int_equal(l.retired, 5);
        assert_int_equal(l.reported_count, 1);
    }
    {
        struct pl_learner l = at_step_seven(evals);

        l.saved = l.retired = 7;
        failing = 'm';
        assert_int_equal(pl_learner_save(&l, &err), PL_EIO);
        assert_string_equal(calls, "m");
        assert_int_equal(l.reported_count, 1);
    }
}

/* By steps, by time, by what Redis holds. */
static void when_one_is_due(void **state)
{
    static const struct {
        uint64_t step, saved;
        size_t save_seconds;
        double since; /* the last one, or the start */
        uint64_t held_bytes;
        bool due;
    } rows[] = {
        {20, 19, 0, 0.0, 0, true},       {50, 49, 0, 0.0, 0, true},
        {20, 20, 1, 9e9, 0, false},      {21, 20, 0, 0.0, 0, false},
        {21, 20, 0, 9e9, 0, false},      {21, 20, 1800, 1799.5, 0, false},
        {21, 20, 1800, 1800.0, 0, true}, {21, 21, 1800, 1800.0, 0, false},
        {21, 20, 1, 1.0, 0, true},       {21, 20, 0, 0.0, 1001ull << 20, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_learner l = {.conf = &conf,
                               .point.step = rows[i].step,
                               .saved = rows[i].saved,
                               .saved_at = 100.0,
                               .held_bytes = rows[i].held_bytes,
                               .room_unknown = true};

        conf.save_seconds = rows[i].save_seconds;
        now_s = 100.0 + rows[i].since;
        if (pl_learner_save_is_due(&l) != rows[i].due)
            fail_msg("row %zu: it is %sdue", i, rows[i].due ? "not " : "");
    }
    conf.save_seconds = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_on_the_disk_before_a_checkpoint),
        cmocka_unit_test(a_full_redis_lets_go_of_batches),
        cmocka_unit_test(what_fails_lets_nothing_go),
        cmocka_unit_test(when_one_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
