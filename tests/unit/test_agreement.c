/* What must agree: every setting says whether it enters the bits, and roles say what they depend
 * on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/agreement.h"
#include "common/base/buf.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST "run.dir=d", "model.path=m", "data.train_files=t.jsonl"

static struct pl_run_conf load(const char *more)
{
    /* what settings of evaluations and of gdpo need to have an effect, where they are given */
    char *const gdpo = more && strstr(more, "gdpo") ? "algorithm.adv_estimator=gdpo"
                                                    : "algorithm.adv_estimator=grpo";
    char *const assigned[] = {LEAST, "data.val_files=w.jsonl", gdpo, (char *)more};
    struct pl_run_conf conf;
    struct pl_error err = {0};

    if (pl_run_conf_load(NULL, assigned, more ? 6 : 5, &conf, &err) < 0)
        fail_msg("%s", err.text);
    return conf;
}

static json_t *bits(const char *more)
{
    struct pl_run_conf conf = load(more);
    json_t *rows;

    assert_int_equal(pl_agreement_bits(&conf, &rows), PL_OK);
    pl_run_conf_release(&conf);
    return rows;
}

static void every_setting_has_a_row_and_every_row_a_setting(void **state)
{
    const struct pl_command *table = pl_run_conf_table();
    size_t count, settings = 0;
    const struct pl_meaning *meanings = pl_meanings(&count);

    (void)state;
    for (size_t i = 0; i < table->count; i++) {
        if (table->options[i].kind == PL_OPTION_KIND_GROUP)
            continue;
        settings++;
        if (!pl_meaning(table->options[i].name))
            fail_msg("'%s' has no row in common/app/agreement.c: does it enter the bits of a run, "
                     "and why (not)?",
                     table->options[i].name);
    }
    assert_int_equal(count, settings);
    for (size_t i = 0; i < count; i++) {
        struct pl_buf text;

        assert_true(strlen(meanings[i].why) > 3);
        pl_buf_init(&text, 1 << 16);
        if (pl_agreement_default(meanings[i].name, &text) != PL_OK)
            fail_msg("'%s' is no setting (any more)", meanings[i].name);
        pl_buf_release(&text);
    }
}

static void a_run_of_defaults_has_no_row(void **state)
{
    json_t *rows = bits(NULL);

    (void)state;
    assert_int_equal(json_object_size(rows), 0);
    json_decref(rows);
}

static void what_enters_the_bits_is_there_with_its_value(void **state)
{
    static const struct {
        const char *assigned, *name, *value; /* value NULL: it is not there */
    } rows[] = {
        {"reward.wrong=-9", "reward.wrong", "-9"},
        {"run.seed=7", "run.seed", "7"},
        {"rollout.n=8", "rollout.n", NULL}, /* its default, said */
        {"rollout.n=4", "rollout.n", "4"},
        {"trainer.test_freq=10", "trainer.test_freq", NULL},
        {"data.val_files=v.jsonl", "data.val_files", NULL},
        {"workers.actors=7", "workers.actors", NULL},
        {"run.name=z", "run.name", NULL},
        {"trainer.total_training_steps=7", "trainer.total_training_steps", NULL},
        {"reward.exec.command=a,b", "reward.exec.command", "[a, b]"},
        {"algorithm.gdpo_reward_weights=1,2,3", "algorithm.gdpo_reward_weights", "[1, 2, 3]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *found = bits(rows[i].assigned);
        const char *value = json_string_value(json_object_get(found, rows[i].name));

        if (rows[i].value) {
            assert_non_null(value);
            assert_string_equal(value, rows[i].value);
        } else {
            assert_null(value);
        }
        json_decref(found);
    }
}

/* How many steps there are, only where a learning rate falls with them (D16). */
static void the_number_of_steps_enters_where_a_schedule_falls(void **state)
{
    static const struct {
        const char *schedule;
        bool enters;
    } rows[] = {
        {"actor.optim.lr_scheduler_type=cosine", true},
        {"actor.optim.lr_scheduler_type=linear", true},
        {"actor.optim.lr_scheduler_type=constant", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *const assigned[] = {LEAST, "trainer.total_training_steps=7",
                                  (char *)rows[i].schedule};
        struct pl_run_conf conf;
        json_t *found;

        assert_int_equal(pl_run_conf_load(NULL, assigned, 5, &conf, NULL), PL_OK);
        assert_int_equal(pl_agreement_bits(&conf, &found), PL_OK);
        assert_int_equal(json_object_get(found, "trainer.total_training_steps") != NULL,
                         rows[i].enters);
        json_decref(found);
        pl_run_conf_release(&conf);
    }
    char *const gae[] = {LEAST, "trainer.total_training_steps=7", "algorithm.adv_estimator=gae",
                         "critic.optim.lr_scheduler_type=cosine"};
    struct pl_run_conf conf;
    json_t *found;

    assert_int_equal(pl_run_conf_load(NULL, gae, 6, &conf, NULL), PL_OK);
    assert_int_equal(pl_agreement_bits(&conf, &found), PL_OK);
    assert_non_null(json_object_get(found, "trainer.total_training_steps"));
    json_decref(found);
    pl_run_conf_release(&conf);
}

static void defaults_are_not_the_environments(void **state)
{
    json_t *rows;

    (void)state;
    setenv("PLAIT_RUN_SEED", "9", 1);
    rows = bits(NULL);
    unsetenv("PLAIT_RUN_SEED");
    assert_string_equal(json_string_value(json_object_get(rows, "run.seed")), "9");
    json_decref(rows);
}

static void roles_have_lines_of_what_they_depend_on(void **state)
{
    struct pl_run_conf conf = load("reward.wrong=-9");
    struct pl_buf actor, rewarder;

    (void)state;
    pl_buf_init(&actor, 1 << 16);
    pl_buf_init(&rewarder, 1 << 16);
    assert_int_equal(pl_agreement_lines(&conf, PL_DEPENDS_ACTOR, "qwen2 C=8", NULL, NULL, &actor),
                     PL_OK);
    assert_int_equal(
        pl_agreement_lines(&conf, PL_DEPENDS_REWARDER, NULL, "ab12", "cd34", &rewarder), PL_OK);
    assert_non_null(strstr(actor.data, "data.max_response_length: 512\n"));
    assert_non_null(strstr(actor.data, "\nmodel: qwen2 C=8\n"));
    assert_null(strstr(actor.data, "reward."));
    assert_non_null(strstr(rewarder.data, "\nreward.wrong: -9\n"));
    assert_non_null(strstr(rewarder.data, "\ntokenizer: ab12\nverifier: cd34\n"));
    assert_null(strstr(rewarder.data, "rollout."));
    assert_true(pl_agreement_sum(actor.data, actor.len) !=
                pl_agreement_sum(rewarder.data, rewarder.len));
    pl_buf_release(&actor);
    pl_buf_release(&rewarder);
    pl_run_conf_release(&conf);
}

static const char *verifier(const char *command, char hex[65])
{
    char *assigned = pl_strf("reward.exec.command=%s", command);
    struct pl_run_conf conf = load(assigned);
    struct pl_error err = {0};

    if (pl_agreement_verifier(&conf, hex, &err) < 0)
        fail_msg("%s", err.text);
    pl_run_conf_release(&conf);
    free(assigned);
    return hex;
}

/* The program that decides answers is what is in its files, wherever they are; the interpreter that
 * a host has is not. */
static void a_verifier_is_what_is_in_its_files(void **state)
{
    const char *one = pl_scratch("one.py"), *two = pl_scratch("two.py");
    char *command = pl_strf("python3,-u,%s", one), *program = pl_strf("%s,-u", one);
    char *moved = pl_strf("sh,%s", two), *both = pl_strf("%s,%s", one, two);
    char a[65], b[65];
    struct pl_run_conf none = load(NULL);

    (void)state;
    assert_int_equal(pl_agreement_verifier(&none, a, NULL), PL_OK);
    assert_string_equal(a, "");
    pl_run_conf_release(&none);
    assert_string_equal(verifier("cat,-u", a), "none");
    pl_scratch_text(one, "print(1)");
    pl_scratch_text(two, "print(1)");
    assert_int_equal(strlen(verifier(command, a)), 64);
    assert_string_equal(verifier(program, b), a);
    assert_string_equal(verifier(moved, b), a);
    assert_string_not_equal(verifier(both, b), a);
    pl_scratch_text(one, "print(2)");
    assert_string_not_equal(verifier(command, b), a);
    pl_scratch_text(one, "print(1)");
    assert_string_equal(verifier(command, b), a);
    free(command);
    free(program);
    free(moved);
    free(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_has_a_row_and_every_row_a_setting),
        cmocka_unit_test(a_run_of_defaults_has_no_row),
        cmocka_unit_test(what_enters_the_bits_is_there_with_its_value),
        cmocka_unit_test(the_number_of_steps_enters_where_a_schedule_falls),
        cmocka_unit_test(defaults_are_not_the_environments),
        cmocka_unit_test(roles_have_lines_of_what_they_depend_on),
        cmocka_unit_test(a_verifier_is_what_is_in_its_files),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
