#include "deploy/cmd_up.h"

#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "deploy/crew.h"
#include "deploy/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 50, STOP_S = 120 };

struct conf {
    const char *config;
    struct pl_option_list assignments;
    bool dry_run, quiet;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, config, "CONFIG", "YAML file of the run"),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0, "settings that go before the file's"),
    PL_OPTION_FLAG(struct conf, dry_run, "dry-run", 0, "print the resolved settings and leave"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show no progress"),
};

static const struct pl_command command = {
    .name = "plait up",
    .about = "Runs a training on this machine: a private Redis, rewarders, the learner and actors, "
             "as children that are started again when they die. Ctrl-C finishes the step that is "
             "begun, writes a checkpoint and ends; the same command goes on from there.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "All of it is in the folder run.dir: config.yaml, metrics.jsonl, rollouts/,\n"
             "checkpoints/, logs/, and model/ when it is done. --dry-run lists all settings.\n",
};

/* "reward 1.25  accuracy 0.43  ...": what the line has of it. */
static const char *note_of(const json_t *line, char note[200])
{
    static const struct {
        const char *name, *key;
        int decimals;
    } rows[] = {
        {"reward", "critic/score/mean", 2}, {"accuracy", "interleave/accuracy", 2},
        {"accuracy", "val-core/acc", 3},    {"format", "interleave/format_ok", 2},
        {"ttfa", "interleave/ttfa", 2},     {"length", "response_length/mean", 0},
    };
    const double gate = pl_history_number(line, "interleave/gate");
    size_t len = 0;

    note[0] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double value = pl_history_number(line, rows[i].key);

        if (isfinite(value))
            len += (size_t)snprintf(note + len, 200 - len, "%s%s %.*f", len > 0 ? "  " : "",
                                    rows[i].name, rows[i].decimals, value);
    }
    if (isfinite(gate))
        snprintf(note + len, 200 - len, "  gate %s", gate > 0 ? "open" : "shut");
    return note;
}

struct view {
    struct pl_history history;
    struct pl_progress progress;
    size_t steps;
    double tokens;
    bool begun, quiet;
};

static void show_eval(struct view *v)
{
    char note[200];

    pl_progress_hide(&v->progress);
    fprintf(stderr, "evaluation after step %.0f: %s\n",
            pl_history_number(v->history.eval, "training/global_step"),
            note_of(v->history.eval, note));
}

static void show_step(struct view *v)
{
    const double step = pl_history_number(v->history.step, "training/global_step");
    const double tokens = pl_history_number(v->history.step, "perf/total_num_tokens");
    char note[200];

    if (!v->begun) { /* a resumed run begins where its checkpoint stood */
        v->begun = true;
        v->progress.opts.done = step > 0 ? (uint64_t)step - 1 : 0;
    }
    v->tokens += isfinite(tokens) ? tokens : 0.0;
    pl_progress_update(&v->progress, (uint64_t)step, (uint64_t)v->tokens,
                       note_of(v->history.step, note));
}

static void show(struct view *v)
{
    enum pl_history_line line;

    while ((line = pl_history_next(&v->history)) != PL_HISTORY_NONE) {
        if (v->quiet)
            continue;
        if (line == PL_HISTORY_EVAL)
            show_eval(v);
        else
            show_step(v);
    }
}

static int tend(struct pl_crew *crew, struct view *view, struct pl_error *err)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};
    bool over = false;
    int rc = PL_OK;

    while (rc == PL_OK && !over && !pl_signals_stop()) {
        rc = pl_crew_tend(crew, &over, err);
        show(view);
        nanosleep(&tick, NULL);
    }
    return rc;
}

static int print_config(const struct pl_run_conf *conf)
{
    struct pl_buf text;
    int rc;

    pl_buf_init(&text, 1 << 20);
    rc = pl_run_conf_print(conf, true, &text);
    if (rc == PL_OK && (fputs(text.data, stdout) < 0 || fflush(stdout) != 0))
        rc = PL_EIO;
    pl_buf_release(&text);
    return rc;
}

static int up(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    struct view view = {.steps = run->steps, .quiet = conf->quiet};
    struct pl_crew crew = {0};
    int rc;

    pl_signals_catch();
    pl_history_init(&view.history, run->dir);
    while (pl_history_next(&view.history) != PL_HISTORY_NONE) /* of before */
        ;
    pl_progress_begin(&view.progress, &(struct pl_progress_opts){.what = "train",
                                                                 .unit = "tok",
                                                                 .total = run->steps,
                                                                 .quiet = conf->quiet});
    rc = pl_crew_init(&crew, run, conf->config, conf->assignments.items, conf->assignments.count,
                      err);
    if (rc == PL_OK)
        rc = pl_crew_start(&crew, err);
    if (rc == PL_OK)
        rc = tend(&crew, &view, err);
    show(&view);
    pl_progress_end(&view.progress);
    if (rc == PL_OK && pl_signals_stop())
        fprintf(stderr,
                "finishing the step that is begun, then a checkpoint; once more to leave at "
                "once\n");
    pl_crew_stop(&crew, rc < 0 ? 5.0 : STOP_S);
    pl_crew_release(&crew);
    pl_history_release(&view.history);
    return rc;
}

int pl_cmd_up(int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = pl_run_conf_load(conf.config, conf.assignments.items, conf.assignments.count, &run, &err);
    if (rc == PL_OK) {
        if (conf.dry_run)
            rc = print_config(&run);
        else
            rc = up(&conf, &run, &err);
        if (rc == PL_OK && !conf.dry_run && !pl_signals_stop())
            fprintf(stderr, "done: the model is in '%s/model'\n", run.dir);
        pl_run_conf_release(&run);
    }
    status = rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
    if (rc == PL_OK && pl_signals_stop())
        status = 128 + pl_signals_stop();
    pl_options_release(&command, &conf);
    return status;
}
