#include "deploy/cmd_status.h"

#include "common/app/options.h"
#include "common/base/buf.h"
#include "deploy/run_arg.h"
#include "deploy/view/overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct conf {
    const char *run;
    struct pl_option_list assignments;
    bool json;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, run, "RUN", "folder of the run, or its configuration"),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0,
                "settings that were given to plait up and go before the configuration's"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the tables"),
};

static const struct pl_command command = {
    .name = "plait status",
    .about = "Says how a run stands: steps, the last metrics, how far each batch is, the queues "
             "and who holds what of them, the workers, and who waits for whom. Changes nothing.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "wanted     groups of the batch: a task and all its samples\n"
             "sampled    of them, those that an actor has made\n"
             "scored     of them, those that a rewarder has scored; when all are, the batch\n"
             "           is ready for the learner\n"
             "lag        versions of the policy by which a worker is behind the newest\n"
             "gate       1: the batch made progress, so that intermediate answers are paid\n"
             "no signal  share of groups whose samples all have the same reward, from which\n"
             "           most algorithms learn nothing\n\n"
             "Without Redis it tells what the run's folder shows.\n\n"
             "State: running it comes any further; waiting it does not, and the last line says\n"
             "why; gone the learner is, without a word; stopped, finished, starting, not begun;\n"
             "not at work Redis does not answer.\n\n"
             "Exit status: 0 the run is running, starting, stopped, finished or not begun; 1 it\n"
             "does not come any further by itself; 2 RUN is none.\n",
};

static int print_text(const struct pl_overview *overview, int color, struct pl_error *err)
{
    const struct pl_style style = pl_term_style(STDOUT_FILENO, (enum pl_color)color);
    struct pl_buf text;
    int rc;

    pl_buf_init(&text, 1 << 20);
    rc = pl_overview_print(overview, &style, &text);
    if (rc < 0)
        pl_fail(err, rc, "no memory to print the run");
    else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the result");
    pl_buf_release(&text);
    return rc;
}

static int status_of(const struct conf *conf, const struct pl_run_conf *run, bool *ret_needs_help,
                     struct pl_error *err)
{
    struct pl_overview *overview = calloc(1, sizeof *overview);
    struct pl_overview_source source = {0};
    int rc = overview ? pl_overview_open(run, &source, err)
                      : pl_fail(err, PL_ENOMEM, "no memory to look at the run");

    if (rc == PL_OK) {
        pl_overview_catch_up(&source);
        pl_overview_look_well(&source, overview);
        *ret_needs_help = pl_overview_needs_help(overview);
        rc = conf->json ? pl_run_arg_print(pl_overview_json(overview), err)
                        : print_text(overview, conf->color, err);
    }
    if (overview)
        pl_overview_release(overview);
    pl_overview_close(&source);
    free(overview);
    return rc;
}

int pl_cmd_status(int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    bool needs_help = false;
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = pl_run_arg_load(conf.run, &conf.assignments, &run, &err);
    if (rc < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        rc = status_of(&conf, &run, &needs_help, &err);
        pl_run_conf_release(&run);
        status = pl_command_ended(&command, rc, &err);
        if (status == PL_STATUS_OK && needs_help)
            status = PL_STATUS_FAILED;
    }
    pl_options_release(&command, &conf);
    return status;
}
