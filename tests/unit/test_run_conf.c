/* Settings of a run: YAML, inheritance, variables, assignments, and the sentences for what is
 * wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/run_conf.h"
#include "common/app/run_needs.h"
#include "common/app/settings.h"
#include "learner/advantage.h"
#include "learner/policy.h"
#include "learner/schedule.h"
#include "proto/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static const char *file(const char *name, const char *text)
{
    static char path[2][128];
    static int turn;
    char *at = path[turn++ % 2];
    FILE *f;

    snprintf(at, sizeof path[0], "%s/%s", dir, name);
    f = fopen(at, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return at;
}

#define LEAST "run.dir: /tmp/x\nmodel.path: m\ndata.train_files: [a.jsonl]\n"

static struct pl_run_conf load(const char *text, char *const *assignments, size_t count)
{
    struct pl_run_conf conf;
    struct pl_error err = {0};

    if (pl_run_conf_load(file("run.yaml", text), assignments, count, &conf, &err) < 0)
        fail_msg("%s", err.text);
    return conf;
}

static void nested_and_dotted_are_one(void **state)
{
    struct pl_run_conf conf =
        load(LEAST "actor:\n  optim: {lr: 3e-4, beta1: 0.8}\nactor.grad_clip: 0.5\n"
                   "data:\n  val_files:\n    - b.jsonl\n    - 'c,d.jsonl'\n"
                   "algorithm: {adv_estimator: rloo}\nactor.use_kl_loss: true\n",
             NULL, 0);

    (void)state;
    assert_true(conf.lr >= 3e-4 && conf.lr <= 3e-4 && conf.beta1 >= 0.8 && conf.beta1 <= 0.8);
    assert_true(conf.grad_clip <= 0.5 && conf.use_kl_loss);
    assert_int_equal(conf.estimator, PL_ADVANTAGE_RLOO);
    assert_int_equal(conf.val_files.count, 3); /* a comma separates, as on the command line */
    assert_string_equal(conf.val_files.items[0], "b.jsonl");
    assert_string_equal(conf.model, "m");
    assert_int_equal(conf.samples, 8); /* a default */
    pl_run_conf_release(&conf);
}

/* PPO: what is not said of the critic's optimiser is as the policy's. */
static void a_critic_is_configured(void **state)
{
    struct pl_run_conf conf =
        load(LEAST "algorithm: {adv_estimator: gae, gamma: 0.99, lam: 0.95}\n"
                   "critic: {model.path: c, optim: {lr: 2e-6, beta2: 0.95}, grad_clip: 0.5,\n"
                   "  cliprange_value: 0.2, ppo_epochs: 2}\ntrainer.critic_warmup: 3\n",
             NULL, 0);

    (void)state;
    assert_int_equal(conf.estimator, PL_ADVANTAGE_GAE);
    assert_string_equal(conf.critic, "c");
    assert_true(conf.critic_lr >= 2e-6 && conf.critic_lr <= 2e-6 && conf.lambda <= 0.95);
    assert_true(conf.critic_beta1 < 0.0 && conf.critic_weight_decay < 0.0);
    assert_true(conf.critic_beta2 >= 0.95 && conf.critic_beta2 <= 0.95);
    assert_true(conf.critic_grad_clip <= 0.5 && conf.critic_clip <= 0.2);
    assert_int_equal(conf.critic_warmup, 3);
    assert_int_equal(conf.critic_epochs, 2);
    assert_true(conf.critic_schedule == PL_SCHEDULE_CONSTANT && conf.critic_warmup_steps == 0);
    pl_run_conf_release(&conf);
    conf = load(LEAST "algorithm.adv_estimator: gae\ncritic.optim: {lr_scheduler_type: cosine, "
                      "lr_warmup_steps: 4}\n"
                      "actor.optim.lr_scheduler_type: linear\n",
                NULL, 0);
    assert_true(conf.critic_schedule == PL_SCHEDULE_COSINE && conf.critic_warmup_steps == 4);
    assert_true(conf.schedule == PL_SCHEDULE_LINEAR && conf.warmup_steps == 0);
    pl_run_conf_release(&conf);
}

static void correction_goes_by_the_mode_unless_it_is_said(void **state)
{
    static const struct {
        const char *text;
        enum pl_correction_kind want;
    } rows[] = {
        {LEAST, PL_CORRECTION_NONE},
        {LEAST "rollout.mode: latest\n", PL_CORRECTION_TOKEN},
        {LEAST "rollout.mode: latest\nalgorithm.rollout_correction.rollout_is: none\n",
         PL_CORRECTION_NONE},
        {LEAST "algorithm.rollout_correction: {rollout_is: sequence}\n", PL_CORRECTION_SEQUENCE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_run_conf conf = load(rows[i].text, NULL, 0);

        assert_int_equal(pl_run_conf_correction(&conf), rows[i].want);
        pl_run_conf_release(&conf);
    }
}

static void later_ones_win(void **state)
{
    char *const assigned[] = {"rollout.n=5", "run.seed=7", "data.train_files=x.jsonl,y.jsonl"};
    struct pl_run_conf conf;

    (void)state;
    file("base.yaml", LEAST "rollout.n: 2\nactor.ppo_epochs: 2\nrun.seed: 1\nrollout.top_k: 3\n");
    setenv("PLAIT_ROLLOUT_TOP_K", "9", 1);
    conf = load("inherit: base.yaml\nrollout.n: 3\nrollout.top_k: 4\n", assigned, 3);
    unsetenv("PLAIT_ROLLOUT_TOP_K");
    assert_int_equal(conf.samples, 5);
    assert_int_equal(conf.epochs, 2);
    assert_int_equal(conf.seed, 7);
    assert_int_equal(conf.top_k, 9);
    assert_int_equal(conf.train_files.count, 2);
    assert_string_equal(conf.train_files.items[1], "y.jsonl");
    pl_run_conf_release(&conf);
}

/* What the command line says of a list, as in a file or between commas. */
static void assignments_are_written_as_in_a_file(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *items[3];
    } rows[] = {
        {"a.jsonl,b.jsonl", 2, {"a.jsonl", "b.jsonl"}},
        {"[a.jsonl,b.jsonl]", 2, {"a.jsonl", "b.jsonl"}},
        {"[a.jsonl, b.jsonl, ]", 2, {"a.jsonl", "b.jsonl"}},
        {"['p q', \"r: s\", t]", 3, {"p q", "r: s", "t"}},
        {"[\n a,\n b\n]", 2, {"a", "b"}},
        {"'[a]'", 1, {"[a]"}},
        {"[]", 0, {NULL}},
        {"", 0, {NULL}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char assignment[64];
        char *const assigned[] = {assignment};
        struct pl_run_conf conf;

        snprintf(assignment, sizeof assignment, "data.val_files=%s", rows[i].text);
        for (int from = 0; from < 2; from++) { /* the same of a variable */
            if (from == 1 && rows[i].text[0])
                setenv("PLAIT_DATA_VAL_FILES", rows[i].text, 1);
            conf = load(LEAST "data.val_files: [old, older]\n", assigned, from == 0);
            unsetenv("PLAIT_DATA_VAL_FILES");
            if (from == 1 && !rows[i].text[0])
                assert_int_equal(conf.val_files.count, 2); /* one that is empty says nothing */
            else if (conf.val_files.count != rows[i].count)
                fail_msg("'%s': %zu items", rows[i].text, conf.val_files.count);
            for (size_t k = 0; rows[i].text[0] && k < rows[i].count; k++)
                assert_string_equal(conf.val_files.items[k], rows[i].items[k]);
            pl_run_conf_release(&conf);
        }
    }
}

static void quotes_of_an_assignment_go(void **state)
{
    char *const assigned[] = {"run.name='x'", "model.path=\"a b\"", "data.template='it''s'",
                              "rollout.n=[3]"};
    struct pl_run_conf conf = load(LEAST, assigned, 4);

    (void)state;
    assert_string_equal(conf.name, "x");
    assert_string_equal(conf.model, "a b");
    assert_string_equal(conf.template_file, "it's");
    assert_int_equal(conf.samples, 3);
    pl_run_conf_release(&conf);
}

/* In a file that inherits, too. */
static void an_empty_list_takes_the_place_of_another(void **state)
{
    struct pl_run_conf conf;

    (void)state;
    file("base.yaml", LEAST "data.val_files: [b, c]\n");
    conf = load("inherit: base.yaml\ndata.val_files: []\n", NULL, 0);
    assert_int_equal(conf.val_files.count, 0);
    assert_int_equal(conf.train_files.count, 1);
    pl_run_conf_release(&conf);
}

static void what_is_printed_reads_back_to_the_same(void **state)
{
    char *const assigned[] = {"run.name=a-b", "actor.optim.lr=1.2345678901234567e-5",
                              "data.template=we \"ird\\ name", "data.val_files=p q,r"};
    struct pl_run_conf conf = load(LEAST, assigned, 4), again;

    (void)state;
    for (int comments = 0; comments < 2; comments++) {
        struct pl_buf text, back;

        pl_buf_init(&text, 1 << 20);
        pl_buf_init(&back, 1 << 20);
        assert_int_equal(pl_run_conf_print(&conf, comments, &text), PL_OK);
        again = load(text.data, NULL, 0);
        assert_int_equal(pl_run_conf_print(&again, comments, &back), PL_OK);
        assert_string_equal(text.data, back.data);
        assert_string_equal(again.template_file, "we \"ird\\ name");
        pl_run_conf_release(&again);
        pl_buf_release(&text);
        pl_buf_release(&back);
    }
    pl_run_conf_release(&conf);
}

/* However a password comes, it comes no further: not as a setting, and not in a sentence. */
static void a_password_is_not_taken(void **state)
{
    static const char *const addresses[] = {
        "redis://bob:hunter2@queue",       "rediss://:hunter2@queue:6380/1",
        "redis://hunter2@queue",           "redis://bob:hun@ter2/hunter2@queue",
        "tcp://bob:hunter2@queue:5",       "REDIS://hunter2@q",
        "[\"redis://bob:hunter2@queue\"]", "\"redis://bob:hunter2@queue\""};
    static const char *const keys[] = {"link.redis=",
                                       "link.announce=",
                                       "link.redi=",
                                       "link.lease_s=",
                                       "data.val_files=",
                                       "",
                                       "reward.exec.command=a,",
                                       "=",
                                       "log.level="};

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            struct pl_run_conf conf;
            struct pl_error err = {0};
            char text[256];

            snprintf(text, sizeof text, "%s%s", keys[k], addresses[i]);
            assert_int_equal(
                pl_run_conf_load(file("run.yaml", LEAST), (char *const[]){text}, 1, &conf, &err),
                PL_EINVAL);
            if (strstr(err.text, "hunter2") || !strstr(err.text, "redis.password_file"))
                fail_msg("'%s': %s", text, err.text);
            if (!strchr(keys[k], '=') || keys[k][0] == '=')
                continue;
            snprintf(text, sizeof text, LEAST "%.*s: %s\n", (int)(strchr(keys[k], '=') - keys[k]),
                     keys[k], addresses[i]);
            assert_true(pl_run_conf_load(file("run.yaml", text), NULL, 0, &conf, &err) < 0);
            if (strstr(err.text, "hunter2"))
                fail_msg("'%s': %s", text, err.text);
        }
    setenv("PLAIT_LINK_REDIS", addresses[0], 1);
    {
        struct pl_run_conf conf;
        struct pl_error err = {0};

        assert_int_equal(pl_run_conf_load(file("run.yaml", LEAST), NULL, 0, &conf, &err),
                         PL_EINVAL);
        assert_string_equal(
            err.text, "PLAIT_LINK_REDIS: a user or a password stands in an address (not shown "
                      "here), where anybody could read it. For Redis, name the user by "
                      "'redis.user' and by 'redis.password_file' a file (mode 0600) with the "
                      "password; the address is redis://HOST:PORT or rediss://HOST:PORT.");
    }
    unsetenv("PLAIT_LINK_REDIS");
    { /* what only looks like one */
        struct pl_run_conf conf =
            load(LEAST,
                 (char *const[]){"link.redis=unix:///run/a@b:c/redis.sock", "data.template=a@b",
                                 "link.serve=tcp://127.0.0.1:5"},
                 3);

        pl_run_conf_release(&conf);
    }
}

static void sentences(void **state)
{
    static const struct {
        const char *text, *says;
        int code;
    } rows[] = {
        {"model.path: m\ndata.train_files: [a]\n", "'run.dir' must be given", PL_EINVAL},
        {"run.dir: d\nmodel.path: m\n", "'data.train_files' must name", PL_EINVAL},
        {LEAST "actor.optim.lrr: 1\n",
         "run.yaml:4: unknown setting 'actor.optim.lrr'; did you mean "
         "'actor.optim.lr'?",
         PL_EINVAL},
        {LEAST "rollout.n: many\n",
         "run.yaml:4: 'rollout.n' needs a whole number from 1 to 1024, "
         "not 'many'",
         PL_EINVAL},
        {LEAST "rollout:\n  staleness: 4\n", "run.yaml:5: 'rollout.staleness' needs", PL_EINVAL},
        {LEAST "algorithm.adv_estimator: best\n", "one of gae, grpo", PL_EINVAL},
        {LEAST "rollout.n: 1\nrollout.n: 2\n", "run.yaml:5: there a second time: rollout.n",
         PL_EFORMAT},
        {LEAST "rollout.n: [1\n", "run.yaml:", PL_EFORMAT},
        {LEAST "rollout.n: *x\n", "run.yaml:4", PL_EFORMAT},
        {LEAST "data.val_files: [a]\ndata.val_files: [b]\n",
         "run.yaml:5: there a second time: data.val_files", PL_EFORMAT},
        {LEAST "rollout.n: []\n", "'rollout.n' needs a whole number", PL_EINVAL},
        {"- a\n- b\n", "'name: value' is expected", PL_EFORMAT},
        {LEAST "data.val_files: [[a]]\n", "only words can stand in the list data.val_files",
         PL_EFORMAT},
        {LEAST "inherit: run.yaml\n", "in a circle", PL_EINVAL},
        {LEAST "inherit: none.yaml\n", "none.yaml", PL_ENOENT},
        {LEAST "actor.ppo_mini_batch_size: 3\n", "does not divide", PL_EINVAL},
        {LEAST "actor.ppo_max_token_len: 600\n", "take 1024", PL_EINVAL},
        {LEAST "algorithm: {adv_estimator: gdpo, filter_groups.spare: 4}\n",
         "'algorithm.filter_groups.spare' is 4, but with this 'algorithm.adv_estimator'",
         PL_EINVAL},
        {LEAST "algorithm: {use_kl_in_reward: yes, kl_ctrl: {type: adaptive, target_kl: 0}}\n",
         "'algorithm.kl_ctrl.target_kl' is 0;", PL_EINVAL},
        {LEAST "algorithm: {use_kl_in_reward: yes, kl_ctrl: {type: adaptive, horizon: 25}}\n",
         "'algorithm.kl_ctrl.horizon' is 25; with 'data.train_batch_size' times", PL_EINVAL},
        {LEAST "reward.exec: {command: [sh, x.sh], timeout_s: 11}\n",
         "'reward.exec.timeout_s' is 11, more than a sixth of 'link.lease_s', 60", PL_EINVAL},
        {LEAST "trainer.critic_warmup: 3\n",
         "'trainer.critic_warmup' has no effect here: it needs 'algorithm.adv_estimator' gae",
         PL_EINVAL},
        {LEAST "rollout: {mode: latest, staleness: 2, staleness_max: 1}\n",
         "'rollout.staleness_max' is 1, but 'rollout.staleness' lets batches be sampled 2 steps "
         "ahead",
         PL_EINVAL},
        {LEAST "rollout.mode: newest\n", "one of pinned, latest", PL_EINVAL},
        {LEAST "link.redis: redis://bob:hunter2@queue\n",
         "run.yaml:4: a user or a password stands in an address (not shown here)", PL_EINVAL},
        {LEAST "link.redis: hunter2@queue\n", "'link.redis' is no address of Redis", PL_EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_run_conf conf;
        struct pl_error err = {0};
        const int rc = pl_run_conf_load(file("run.yaml", rows[i].text), NULL, 0, &conf, &err);

        if (rc != rows[i].code || !strstr(err.text, rows[i].says))
            fail_msg("row %zu: %d, '%s' does not say '%s'", i, rc, err.text, rows[i].says);
    }
}

static void put_word(void *at, const char *key, const char *value, bool item)
{
    const size_t len = strlen(at);

    snprintf((char *)at + len, 256 - len, "%s%s%s|", key, item ? "[]=" : "=", value);
}

static void words_of_a_file_as_they_stand(void **state)
{
    (void)state;
    struct pl_error err = {0};
    char all[256] = "";

    assert_int_equal(pl_settings_each(file("run.yaml", "run: {name: x, of.old: 3}\n"
                                                       "data.files: [a, \"b c\"]\nlast: ''\n"),
                                      put_word, all, &err),
                     PL_OK);
    assert_string_equal(all, "run.name=x|run.of.old=3|data.files[]=a|data.files[]=b c|last=|");
    all[0] = '\0';
    assert_int_equal(pl_settings_each(file("run.yaml", "good: 1\nbad: [\n"), put_word, all, &err),
                     PL_EFORMAT);
    assert_string_equal(all, "");
}

static void assignments_that_are_none(void **state)
{
    static const struct {
        char *assigned;
        const char *says;
        int code;
    } rows[] = {
        {"rollout.n", "name=value", PL_EINVAL},
        {"=3", "name=value", PL_EINVAL},
        {"rollout.nn=3", "did you mean 'rollout.n'", PL_EINVAL},
        {"rollout.nn=[3]", "did you mean 'rollout.n'", PL_EINVAL},
        {"data.val_files=[a",
         "command line: 'data.val_files' needs a list like [a, b] or a word in quotes, not '[a'.",
         PL_EINVAL},
        {"data.val_files=[[a]]", "needs a list like [a, b]", PL_EINVAL},
        {"data.val_files=[a]\nrun.seed: 3", "command line: 'data.val_files' is given more",
         PL_EINVAL},
        {"data.val_files=[a] b", "needs a list like [a, b]", PL_EINVAL},
        {"run.name='a'b'", "command line: 'run.name' needs a list", PL_EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_run_conf conf;
        struct pl_error err = {0};
        const int rc = pl_run_conf_load(file("run.yaml", LEAST), &rows[i].assigned, 1, &conf, &err);

        if (rc != rows[i].code || !strstr(err.text, rows[i].says))
            fail_msg("'%s': %d, '%s' does not say '%s'", rows[i].assigned, rc, err.text,
                     rows[i].says);
    }
}

/* The words of the table are those of the enums. */
static void choices_agree_with_the_enums(void **state)
{
    (void)state;
    assert_string_equal(PL_METHOD_WORDS, PL_METHOD_CHOICES);
    assert_string_equal(PL_ESTIMATOR_WORDS, PL_ADVANTAGE_CHOICES);
    assert_string_equal(PL_KL_WORDS, PL_KL_CHOICES);
}

static int begin(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/plait-conf-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void release_loaded(struct pl_run_conf *conf, int rc)
{
    if (rc == PL_OK)
        pl_run_conf_release(conf);
}

/* Each setting that needs another: refused where it does nothing, taken where it does something,
 * and a default where a file that serves many runs gives it. */
static void what_has_no_effect_is_refused(void **state)
{
    size_t count;
    const struct pl_run_need *needs = pl_run_needs(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct pl_run_need *need = &needs[i];
        const bool gdpo = strcmp(need->name, "algorithm.use_kl_in_reward") == 0;
        const bool product =
            strcmp(need->name, "reward.wrong") == 0 || strcmp(need->name, "reward.unparsed") == 0;
        char given[256], without[512], *words[8] = {given}, *other[3] = {without};
        struct pl_run_conf conf, plain;
        struct pl_error err = {0};
        struct pl_buf with, bare;
        size_t n = 1;
        int rc;

        /* in a mode in which nothing of the table has an effect */
        snprintf(without, sizeof without, "%s",
                 gdpo      ? "algorithm.adv_estimator=gdpo"
                 : product ? "reward.combine=product"
                           : "algorithm.adv_estimator=rloo");
        snprintf(given, sizeof given, "%s=%s", need->name, need->value);
        other[1] = (char *)"reward.intermediate=none";
        other[2] = (char *)"trainer.rollout_freq=0";
        for (size_t k = 0; k < 3; k++)
            words[n++] = other[k];
        rc = pl_run_conf_load(file("run.yaml", LEAST), words, n, &conf, &err);
        release_loaded(&conf, rc);
        if (rc != PL_EINVAL || !strstr(err.text, need->name) || !strstr(err.text, need->needs))
            fail_msg("%s: %d, %s", given, rc, err.text);

        /* with what it needs */
        for (n = 0; n < 4 && need->with[n]; n++)
            words[n + 1] = (char *)need->with[n];
        rc = pl_run_conf_load(file("run.yaml", LEAST), words, n + 1, &conf, &err);
        if (rc < 0)
            fail_msg("%s: %s", given, err.text);
        pl_run_conf_release(&conf);

        /* inherited */
        pl_buf_init(&with, 1 << 20);
        pl_buf_init(&bare, 1 << 20);
        snprintf(given, sizeof given, LEAST "%s: %s\n", need->name, need->value);
        file("base.yaml", given);
        rc = pl_run_conf_load(file("run.yaml", "inherit: base.yaml\n"), other, 3, &conf, &err);
        if (rc < 0)
            fail_msg("%s, inherited: %s", need->name, err.text);
        assert_int_equal(pl_run_conf_load(file("run.yaml", LEAST), other, 3, &plain, &err), PL_OK);
        assert_int_equal(pl_run_conf_print(&conf, false, &with), PL_OK);
        assert_int_equal(pl_run_conf_print(&plain, false, &bare), PL_OK);
        assert_string_equal(with.data, bare.data);
        pl_run_conf_release(&conf);
        pl_run_conf_release(&plain);
        pl_buf_release(&with);
        pl_buf_release(&bare);
    }
    assert_true(count >= 40);
}

/* As many samples of a task as an actor makes at once, or its groups would be buried. */
static void an_evaluation_fits_an_actor(void **state)
{
    char *const words[] = {(char *)"data.val_files=[v.jsonl]", (char *)"rollout.val_kwargs.n=65"};
    char *const more[] = {words[0], words[1], (char *)"workers.actor_slots=65"};
    struct pl_run_conf conf;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(pl_run_conf_load(file("run.yaml", LEAST), words, 2, &conf, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "workers.actor_slots"));
    assert_int_equal(pl_run_conf_load(file("run.yaml", LEAST), more, 3, &conf, &err), PL_OK);
    pl_run_conf_release(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_effect_is_refused),
        cmocka_unit_test(an_evaluation_fits_an_actor),
        cmocka_unit_test(nested_and_dotted_are_one),
        cmocka_unit_test(a_critic_is_configured),
        cmocka_unit_test(correction_goes_by_the_mode_unless_it_is_said),
        cmocka_unit_test(later_ones_win),
        cmocka_unit_test(assignments_are_written_as_in_a_file),
        cmocka_unit_test(quotes_of_an_assignment_go),
        cmocka_unit_test(an_empty_list_takes_the_place_of_another),
        cmocka_unit_test(what_is_printed_reads_back_to_the_same),
        cmocka_unit_test(a_password_is_not_taken),
        cmocka_unit_test(sentences),
        cmocka_unit_test(words_of_a_file_as_they_stand),
        cmocka_unit_test(assignments_that_are_none),
        cmocka_unit_test(choices_agree_with_the_enums),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
