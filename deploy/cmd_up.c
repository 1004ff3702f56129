#include "deploy/cmd_up.h"

#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "deploy/crew.h"
#include "deploy/view/overview.h"
#include "deploy/view/screen.h"
#include "learner/versions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 50 };

static const double LOOK_S = 0.5; /* how often a live screen is drawn */

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
             "as children that are started again when they die. Ctrl-C writes a checkpoint of the "
             "last finished step and ends; the same command goes on from there. One plait up at a "
             "time is at work in run.dir.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "All of it is in the folder run.dir: config.yaml, metrics.jsonl, rollouts/,\n"
             "checkpoints/, logs/, and model/ when it is done. --dry-run lists all settings.\n"
             "A terminal shows how the run stands, as plait status does; elsewhere a line is\n"
             "printed now and then.\n\n"
             "Exit status: 0 the model of the last step is written; 1 something failed again and\n"
             "again; 2 a person must change something first: settings, files, another plait up\n"
             "that is at work there; 128 + n it was stopped by signal n.\n",
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

/* What is seen of the run: a screen on a terminal, else now and then a line. */
struct view {
    struct pl_overview_source source;
    struct pl_overview *overview;
    struct pl_screen screen;
    struct pl_progress progress;
    double tokens, looked_s;
    bool begun, quiet, live;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Something else is to be written. */
static void hide(void *at)
{
    struct view *v = at;

    pl_screen_hide(&v->screen);
    pl_progress_hide(&v->progress);
    v->looked_s = 0.0;
}

static void show_eval(struct view *v)
{
    const json_t *line = v->source.history.eval;
    char note[200];

    hide(v);
    fprintf(stderr, "evaluation after step %.0f: %s\n",
            pl_history_number(line, "training/global_step"), note_of(line, note));
}

static void show_step(struct view *v)
{
    const json_t *line = v->source.history.step;
    const double step = pl_history_number(line, "training/global_step");
    const double tokens = pl_history_number(line, "perf/total_num_tokens");
    char note[200];

    if (!v->begun) { /* a resumed run begins where its checkpoint stood */
        v->begun = true;
        v->progress.opts.done = step > 0 ? (uint64_t)step - 1 : 0;
    }
    v->tokens += isfinite(tokens) ? tokens : 0.0;
    pl_progress_update(&v->progress, (uint64_t)step, (uint64_t)v->tokens, note_of(line, note));
}

static void look(struct view *v, const struct pl_crew *crew)
{
    if (seconds() - v->looked_s < LOOK_S)
        return;
    v->looked_s = seconds();
    pl_overview_look(&v->source, v->overview);
    if (!pl_crew_trouble(crew, v->overview->trouble, sizeof v->overview->trouble))
        v->overview->trouble[0] = '\0';
    pl_screen_draw(&v->screen, v->overview);
}

static void show(struct view *v, struct pl_crew *crew)
{
    enum pl_history_line line;

    while ((line = pl_history_next(&v->source.history)) != PL_HISTORY_NONE) {
        const double step = pl_history_number(v->source.history.step, "training/global_step");

        if (step > (double)crew->step)
            crew->step = (uint64_t)step;
        if (v->quiet)
            continue;
        if (line == PL_HISTORY_EVAL)
            show_eval(v);
        else if (!v->live)
            show_step(v);
    }
    if (v->live)
        look(v, crew);
}

/* ---- what the crew tells and asks ---- */

static void say(void *at, const char *sentence)
{
    hide(at);
    fprintf(stderr, "%s\n", sentence);
}

static void say_doing(void *at, char *text, size_t size)
{
    struct view *v = at;

    text[0] = '\0';
    pl_overview_look(&v->source, v->overview);
    pl_overview_phase(v->overview, text, size);
}

static int tend(struct pl_crew *crew, struct view *view, struct pl_error *err)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};
    bool over = false;
    int rc = PL_OK;

    while (rc == PL_OK && !over && !pl_signals_stop()) {
        rc = pl_crew_tend(crew, &over, err);
        show(view, crew);
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

static int open_view(struct view *v, const struct conf *conf, const struct pl_run_conf *run,
                     struct pl_error *err)
{
    int rc;

    v->quiet = conf->quiet;
    v->live = !conf->quiet && pl_term_can_redraw(STDERR_FILENO);
    v->overview = calloc(1, sizeof *v->overview);
    rc = v->overview ? pl_overview_open(run, &v->source, err)
                     : pl_fail(err, PL_ENOMEM, "no memory to watch the run");
    if (rc < 0)
        return rc;
    pl_overview_catch_up(&v->source); /* with what a run that is resumed has done */
    pl_screen_begin(&v->screen, STDERR_FILENO);
    pl_progress_begin(&v->progress, &(struct pl_progress_opts){.what = "train",
                                                               .unit = "tok",
                                                               .total = run->steps,
                                                               .quiet = conf->quiet || v->live});
    pl_log_before(hide, v);
    return PL_OK;
}

static void close_view(struct view *v)
{
    pl_log_before(NULL, NULL);
    pl_screen_hide(&v->screen);
    pl_progress_end(&v->progress);
    pl_overview_release(v->overview);
    pl_overview_close(&v->source);
    free(v->overview);
}

/* What every program would say after it was started, said before any is. */
static int try_keys(const struct pl_run_conf *run, struct pl_error *err)
{
    const struct pl_keys_opts actor = {
        .dir = run->keys, .name = "actor-1", .role = "actor", .peer = run->peer};
    struct pl_keys *keys = NULL;
    int rc = pl_versions_keys(run, "learner", &keys, err);

    pl_keys_destroy(keys);
    if (rc < 0)
        return rc;
    keys = NULL;
    rc = pl_keys_load(&actor, &keys, err);
    pl_keys_destroy(keys);
    return rc;
}

/* What is wrong with a Redis that others look after, at once and not when the first step does not
 * come. The programs wait for it; a person may mend it meanwhile. */
static void say_redis(struct view *v, const struct pl_run_conf *run)
{
    const struct pl_overview *o = v->overview;
    char text[300];

    if (!run->redis[0])
        return;
    pl_overview_look(&v->source, v->overview);
    if (!o->redis) {
        snprintf(text, sizeof text, "warning: Redis is waited for: %s", o->redis_why);
        say(v, text);
        return;
    }
    snprintf(text, sizeof text, "warning: ");
    pl_survey_redis_trouble(&o->survey.redis, text + strlen(text), sizeof text - strlen(text));
    if (strcmp(text, "warning: ") == 0)
        pl_survey_redis_risk(&o->survey.redis, text + strlen(text), sizeof text - strlen(text));
    if (strcmp(text, "warning: ") != 0)
        say(v, text);
}

/* What the folder holds by now, and how to go on. */
static void say_stopped(const struct pl_crew *crew, const struct pl_run_conf *run)
{
    const unsigned long long saved = pl_crew_saved(crew), steps = run->steps;

    if (saved > 0)
        fprintf(stderr, "stopped at step %llu of %llu; the same command goes on from there\n",
                saved, steps);
    else
        fprintf(stderr, "stopped before the first checkpoint; the same command begins again\n");
}

static int up(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    struct pl_crew *crew = calloc(1, sizeof *crew);
    struct pl_error met = {0};
    struct view view = {0};
    bool viewed = false;
    int rc, stopped;

    if (!crew)
        return pl_fail(err, PL_ENOMEM, "no memory for the run");
    pl_signals_catch();
    rc = pl_crew_init(crew, run, conf->config, conf->assignments.items, conf->assignments.count,
                      err);
    if (rc == PL_OK) {
        rc = open_view(&view, conf, run, err);
        viewed = rc == PL_OK;
    }
    if (rc == PL_OK) {
        crew->say = say;
        crew->doing = say_doing;
        crew->at = &view;
        say_redis(&view, run);
        rc = pl_crew_start(crew, err);
    }
    if (rc == PL_OK) {
        rc = tend(crew, &view, err);
        show(&view, crew);
        hide(&view);
    }
    if (viewed && pl_signals_stop())
        say(&view, "stopping: the learner writes a checkpoint of the last finished step; Ctrl-C "
                   "again leaves at once");
    stopped = pl_crew_stop(crew, rc < 0, &met);
    if (rc == PL_OK && stopped < 0) /* else what ended the run is the reason for this too */
        rc = pl_fail(err, stopped, "%s", met.text);
    if (viewed)
        close_view(&view);
    if (rc == PL_ECANCELED && pl_signals_stop())
        rc = PL_OK;
    if (rc == PL_OK && pl_signals_stop())
        say_stopped(crew, run);
    else if (rc == PL_OK)
        fprintf(stderr, "done: the model is in '%s/model'\n", run->dir);
    pl_crew_release(crew);
    free(crew);
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
    if (rc < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        rc = conf.dry_run ? PL_OK : try_keys(&run, &err);
        if (rc < 0) {
            status = pl_command_refused(&command, &err);
        } else {
            rc = conf.dry_run ? print_config(&run) : up(&conf, &run, &err);
            status = pl_command_ended(&command, rc, &err);
        }
        if (rc == PL_OK && pl_signals_stop())
            status = 128 + pl_signals_stop();
        pl_run_conf_release(&run);
    }
    pl_options_release(&command, &conf);
    return status;
}
