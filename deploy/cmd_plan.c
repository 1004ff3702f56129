#include "deploy/cmd_plan.h"

#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/base/json.h"
#include "deploy/plan/estimate.h"
#include "learner/advantage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONFIG_BYTES_MAX = 4 << 20, MACHINES_MAX = 1000000 };

struct conf {
    const char *config;
    struct pl_option_list assignments, machines;
    size_t prompt_tokens, response_tokens;
    double network, changed;
    const char *rates;
    bool memory, json, quiet;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, config, "CONFIG", "YAML file of the run"),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0, "settings that go before the file's"),
    PL_OPTION_GROUP("Run"),
    PL_OPTION_SIZE(struct conf, prompt_tokens, "prompt-tokens", "N", "0", 0, 1e9,
                   "mean length of a prompt in tokens; 0: half of data.max_prompt_length"),
    PL_OPTION_SIZE(struct conf, response_tokens, "response-tokens", "N", "0", 0, 1e9,
                   "mean length of a response in tokens; 0: half of data.max_response_length"),
    PL_OPTION_REAL(struct conf, changed, "changed", "SHARE", "0.03", 0, 1,
                   "share of the weights that a step of the optimiser changes in bf16; at a "
                   "learning rate of 1e-6 about 0.03"),
    PL_OPTION_GROUP("Machines"),
    PL_OPTION_LIST(struct conf, machines, "machines", "N,N", "1,10,50",
                   "for how many machines to tell; one of them has the learner"),
    PL_OPTION_REAL(struct conf, network, "network", "GBIT", "1", 1e-3, 1e6,
                   "network of the learner's machine, in Gbit/s"),
    PL_OPTION_STRING(struct conf, rates, "rates", "FILE", "",
                     "rates of another machine: what plait plan --json printed there; empty: this "
                     "one is measured"),
    PL_OPTION_FLAG(struct conf, memory, "memory", 0, "memory and work only: measure nothing"),
    PL_OPTION_GROUP("Output"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show no progress"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the tables"),
};

static const struct pl_command command = {
    .name = "plait plan",
    .about = "Says what a run will take before it is begun: the memory of each process, from the "
             "plans that the programs themselves make; the work of a step; and, with rates that "
             "are measured on one layer of the model's width in some seconds, how long a step and "
             "the whole run take on so many machines, and what holds them up.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after =
        "model.path may be a folder that has no more than config.json, or such a file itself.\n"
        "Where data and run.dir are does not matter and need not be given; data.val_files\n"
        "cost the learner an older version of the policy.\n\n"
        "  plait plan deploy/recipes/qwen2.5-1.5b/interleave-ir.yaml model.path=MODEL\n",
};

/* ---- what there is to plan ---- */

/* Of a model folder, or a config.json itself. */
static int read_config(const char *path, struct pl_config *ret, struct pl_error *err)
{
    struct stat st;
    json_t *root = NULL;
    int rc;

    if (stat(path, &st) < 0 || S_ISDIR(st.st_mode))
        return pl_config_load(path, ret, err);
    rc = pl_json_load(path, CONFIG_BYTES_MAX, &root, err);
    if (rc == PL_OK)
        rc = pl_config_parse(root, path, ret, err);
    json_decref(root);
    return rc;
}

/* With something for what must be given and does not matter here; what is given goes before it. */
static int load_run(const struct conf *conf, struct pl_run_conf *ret_run, struct pl_error *err)
{
    static char dir[] = "run.dir=plan", files[] = "data.train_files=plan";
    const size_t n = conf->assignments.count;
    char **all = calloc(n + 2, sizeof *all);
    int rc;

    if (!all)
        return pl_fail(err, PL_ENOMEM, "no memory for the settings");
    all[0] = dir;
    all[1] = files;
    for (size_t i = 0; i < n; i++)
        all[2 + i] = conf->assignments.items[i];
    rc = pl_run_conf_load(conf->config, all, n + 2, ret_run, err);
    free(all);
    return rc;
}

static int pick_length(size_t given, size_t most, const char *what, const char *setting,
                       double *ret, struct pl_error *err)
{
    if (given > most)
        return pl_fail(err, PL_EINVAL, "--%s is %zu, over %s, which is %zu", what, given, setting,
                       most);
    *ret = given > 0 ? (double)given : 0.5 * (double)most;
    return PL_OK;
}

static int read_machines(const struct pl_option_list *list, struct pl_estimate *e,
                         struct pl_error *err)
{
    if (list->count < 1 || list->count > PL_ESTIMATE_MACHINES)
        return pl_fail(err, PL_EINVAL, "--machines takes 1 to %d numbers, found %zu",
                       PL_ESTIMATE_MACHINES, list->count);
    for (size_t i = 0; i < list->count; i++) {
        char *end;
        const unsigned long n = strtoul(list->items[i], &end, 10);

        if (*end != '\0' || list->items[i][0] < '0' || list->items[i][0] > '9' || n < 1 ||
            n > MACHINES_MAX)
            return pl_fail(err, PL_EINVAL,
                           "--machines takes numbers from 1 to %d, separated by commas, found '%s'",
                           MACHINES_MAX, list->items[i]);
        e->machines[i].machines = n;
    }
    e->machine_count = list->count;
    return PL_OK;
}

/* ---- rates ---- */

static void show_part(void *at, size_t done, size_t total, const char *what)
{
    struct pl_progress *progress = at;

    (void)total;
    pl_progress_update(progress, done, 0, what);
}

static int find_rates(const struct conf *conf, const struct pl_config *config,
                      struct pl_estimate *e, struct pl_error *err)
{
    struct pl_progress progress;
    const struct pl_rates_watch watch = {&progress, show_part};
    int rc;

    if (conf->rates[0])
        return pl_rates_load(conf->rates, &e->rates, err);
    pl_progress_begin(&progress, &(struct pl_progress_opts){.what = "measure",
                                                            .total = PL_RATES_PARTS,
                                                            .quiet = conf->quiet});
    rc = pl_rates_measure(config, e->conf->samples, &watch, &e->rates, err);
    pl_progress_end(&progress);
    e->measured = rc == PL_OK;
    return rc;
}

static int add_times(const struct conf *conf, const struct pl_config *config, struct pl_estimate *e,
                     struct pl_error *err)
{
    const int rc = find_rates(conf, config, e, err);

    if (rc < 0)
        return rc;
    e->timed = true;
    for (size_t i = 0; i < e->machine_count; i++)
        pl_costs_spread(&e->costs, &e->rates, e->machines[i].machines, e->network, &e->machines[i]);
    e->enough = pl_costs_enough(&e->costs, &e->rates, e->network);
    return PL_OK;
}

/* ---- the plan ---- */

static int add_memory(const struct pl_config *policy, const struct pl_config *critic,
                      struct pl_estimate *e, struct pl_error *err)
{
    struct pl_run_conf less = *e->conf;
    int rc = pl_footprint_of(e->conf, policy, critic, &e->footprint, err);

    less.recompute = true;
    less.pack_tokens = less.prompt_tokens_max + less.response_tokens_max;
    less.actor_slots = less.samples;
    e->less_rows = less.pack_tokens;
    return rc == PL_OK ? pl_footprint_of(&less, policy, critic, &e->less, err) : rc;
}

static int print(const struct conf *conf, const struct pl_estimate *e, struct pl_error *err)
{
    json_t *json;
    int rc = PL_OK;

    if (!conf->json)
        return pl_estimate_print(e, stdout, (enum pl_color)conf->color, err);
    json = pl_estimate_json(e);
    if (!json)
        rc = pl_fail(err, PL_ENOMEM, "no memory to print the plan");
    else if (json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) < 0 ||
             putchar('\n') == EOF || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the plan");
    json_decref(json);
    return rc;
}

static int plan(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    const bool has_critic = run->estimator == PL_ADVANTAGE_GAE;
    struct pl_estimate e = {
        .conf = run, .network = conf->network * 1e9 / 8.0, .changed = conf->changed};
    struct pl_costs_case of = {.conf = run, .changed = conf->changed};
    struct pl_config config, trunk = {0};
    struct pl_shape *policy = NULL, *critic = NULL;
    int rc = read_config(run->model, &config, err);

    if (rc == PL_OK && has_critic)
        rc = read_config(run->critic[0] ? run->critic : run->model, &trunk, err);
    trunk.tied = true; /* its vocabulary projection is left out */
    if (rc == PL_OK)
        rc = read_machines(&conf->machines, &e, err);
    if (rc == PL_OK)
        rc = pick_length(conf->prompt_tokens, run->prompt_tokens_max, "prompt-tokens",
                         "data.max_prompt_length", &of.prompt, err);
    if (rc == PL_OK)
        rc = pick_length(conf->response_tokens, run->response_tokens_max, "response-tokens",
                         "data.max_response_length", &of.response, err);
    if (rc == PL_OK)
        rc = pl_machine_read("", &e.machine, err);
    if (rc == PL_OK)
        rc = pl_shape_create(&config, &policy, err);
    if (rc == PL_OK && has_critic)
        rc = pl_shape_create(&trunk, &critic, err);
    if (rc == PL_OK)
        rc = add_memory(&config, &trunk, &e, err);
    if (rc == PL_OK) {
        of.policy = e.policy = policy;
        of.critic = critic;
        pl_costs_count(&of, &e.costs);
        rc = conf->memory ? PL_OK : add_times(conf, &config, &e, err);
    }
    if (rc == PL_OK)
        rc = print(conf, &e, err);
    pl_shape_destroy(policy);
    pl_shape_destroy(critic);
    return rc;
}

int pl_cmd_plan(int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    pl_signals_catch();
    rc = load_run(&conf, &run, &err);
    if (rc < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        pl_machine_use_threads(0);
        rc = plan(&conf, &run, &err);
        pl_run_conf_release(&run);
        status = rc == PL_ECANCELED && pl_signals_stop() ? 128 + pl_signals_stop()
                                                         : pl_command_ended(&command, rc, &err);
    }
    pl_options_release(&command, &conf);
    return status;
}
