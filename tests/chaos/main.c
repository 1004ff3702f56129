#include "common/app/options.h"
#include "common/base/file.h"
#include "tests/chaos/report.h"
#include "tests/chaos/run.h"
#include "tests/chaos/stub.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- list ---- */

static int list(void)
{
    for (size_t i = 0; i < pl_plan_count; i++) {
        const struct pl_plan *p = &pl_plans[i];

        printf("%-10s %s\n           %zu faults, %llu steps:", p->name, p->about, p->faults,
               (unsigned long long)p->steps);
        for (size_t k = 0; k < PL_MIX_MAX && p->mix[k].fault; k++)
            printf(" %s:%u", p->mix[k].fault, p->mix[k].weight);
        printf("\n");
    }
    return PL_STATUS_OK;
}

/* ---- run ---- */

struct run_conf {
    const char *plan, *suite, *dir, *build;
    size_t seed, seeds, kills, steps;
    double minutes;
    bool loud, keep, cover;
};

static const struct pl_option run_rows[] = {
    PL_OPTION_STRING(struct run_conf, plan, "plan", "NAME", "kills", "which; see plait-chaos list"),
    PL_OPTION_STRING(struct run_conf, suite, "suite", "NAME", "",
                     "all of smoke or full in place of one plan"),
    PL_OPTION_SEED(struct run_conf, seed, "seed", "1", "what is drawn, and the seed of the run"),
    PL_OPTION_SIZE(struct run_conf, seeds, "seeds", "N", "1", 1, 10000,
                   "so many runs, each seed one up"),
    PL_OPTION_SIZE(struct run_conf, kills, "kills", "N", "0", 0, 1e6,
                   "faults; 0: as the plan says"),
    PL_OPTION_SIZE(struct run_conf, steps, "steps", "N", "0", 0, PL_STEPS_MAX,
                   "steps of the run; 0: as the plan says"),
    PL_OPTION_REAL(struct run_conf, minutes, "minutes", "M", "10", 0.01, 600, "of a run, at most"),
    PL_OPTION_STRING(struct run_conf, dir, "dir", "DIR", "",
                     "where runs, twins and reports are; empty: a new one under /tmp"),
    PL_OPTION_STRING(struct run_conf, build, "build", "DIR", "",
                     "folder of the build whose programs run; empty: the one this program is of"),
    PL_OPTION_FLAG(struct run_conf, loud, "verbose", 'v', "print each fault and each judgement"),
    PL_OPTION_FLAG(struct run_conf, cover, "cover", 0,
                   "fail where a failpoint was passed fewer than 20 times in all runs of DIR"),
    PL_OPTION_FLAG(struct run_conf, keep, "keep", 0, "keep the folders of good runs, too"),
};

static const struct pl_command run_command = {
    .name = "plait-chaos run",
    .about = "Starts a real small cluster, injects the faults of a plan drawn from a seed, lets it "
             "heal and judges it. Exit status 1: it was not as it must be; its folder is kept.",
    .options = run_rows,
    .count = sizeof run_rows / sizeof *run_rows,
};

/* The folder of the build: this program is BUILD/tests/chaos/plait-chaos. */
static int find_build(const char *given, char build[PATH_MAX], struct pl_error *err)
{
    char *own = pl_program_folder(), path[PATH_MAX];

    snprintf(path, sizeof path, given[0] ? "%s" : "%s/../..", given[0] ? given : own ? own : ".");
    free(own);
    return realpath(path, build) ? PL_OK : pl_fail_errno(err, "find the build '%s'", path);
}

static int make_dir(const char *given, char dir[PATH_MAX], struct pl_error *err)
{
    char path[] = "/tmp/plait-chaos-XXXXXX";
    int rc = PL_OK;

    if (!given[0] && !mkdtemp(path))
        return pl_fail_errno(err, "make a folder under /tmp");
    if (given[0])
        rc = pl_dir_make(given, err);
    if (rc == PL_OK && !realpath(given[0] ? given : path, dir))
        rc = pl_fail_errno(err, "find '%s'", given);
    return rc;
}

/* Plans that this build cannot run are said to be left out. */
static bool can_run(const struct pl_plan *plan)
{
#ifndef PL_FAILPOINTS
    if (strcmp(plan->name, "points") == 0) {
        printf("%-10s left out: the build has no failpoints (-Dfailpoints=true)\n", plan->name);
        return false;
    }
#endif
    if (plan->small_disk && geteuid() != 0) {
        printf("%-10s left out: to mount a small disk takes root\n", plan->name);
        return false;
    }
    return plan->soak || plan->faults > 0 || strcmp(plan->name, "none") == 0;
}

static int run_row(const struct run_conf *conf, const char *build, const char *dir,
                   const struct pl_suite_row *row, size_t *bad, struct pl_error *err)
{
    struct pl_run_opts opts = {.build = build,
                               .dir = dir,
                               .plan = pl_plan_find(row->plan),
                               .faults = row->faults,
                               .steps = row->steps,
                               .minutes = conf->minutes,
                               .loud = conf->loud,
                               .keep = conf->keep};
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && can_run(opts.plan) && i < row->seeds; i++) {
        bool good = false;

        opts.seed = row->seed + i;
        rc = pl_chaos_run_plan(&opts, &good, err);
        *bad += rc == PL_OK && !good;
    }
    return rc;
}

/* What `report` reads, into the folder where other harnesses leave theirs: a folder of runs that
 * nobody named goes. */
static void keep_reports(const char *dir)
{
    const char *results = getenv("PLAIT_CHAOS_RESULTS");
    char command[6 * PATH_MAX];

    if (!results || !results[0] || strlen(results) >= PATH_MAX || strchr(results, '\'') ||
        strchr(dir, '\''))
        return;
    snprintf(command, sizeof command,
             "to=$(dirname '%s'); [ '%s' -ef \"$to\" ] || cp -p '%s'/*.report.json "
             "$([ -e '%s/failpoints' ] && echo '%s/failpoints') \"$to\"",
             results, dir, dir, dir, dir);
    if (system(command) != 0)
        printf("the reports of '%s' were not copied to where '%s' is\n", dir, results);
}

static int run(int argc, char **argv)
{
    char build[PATH_MAX], dir[PATH_MAX];
    struct pl_suite_row one[2] = {{0}};
    const struct pl_suite_row *rows = one;
    struct pl_error err = {0};
    struct run_conf conf;
    size_t bad = 0;
    int status, rc;

    if (!pl_options_read(&run_command, argc, argv, &conf, &status))
        return status;
    one[0] = (struct pl_suite_row){conf.plan, conf.seed, conf.seeds, conf.kills, conf.steps};
    if (conf.suite[0])
        rows = pl_suite_find(conf.suite);
    rc = rows ? find_build(conf.build, build, &err)
              : pl_fail(&err, PL_EINVAL, "there is no suite '%s'; smoke and full are", conf.suite);
    if (rc == PL_OK && rows == one && !pl_plan_find(conf.plan))
        rc = pl_fail(&err, PL_EINVAL, "there is no plan '%s'; see plait-chaos list", conf.plan);
    if (rc == PL_OK)
        rc = make_dir(conf.dir, dir, &err);
    if (rc == PL_OK)
        rc = pl_cluster_prepare(build, dir, &err);
    for (; rc == PL_OK && rows->plan; rows++)
        rc = run_row(&conf, build, dir, rows, &bad, &err);
    if (rc == PL_OK && conf.cover)
        rc = pl_report_cover(dir, &err);
    if (rc == PL_OK)
        keep_reports(dir);
    if (rc == PL_OK && !conf.dir[0] && bad == 0 && !conf.keep)
        pl_chaos_remove(dir);
    else if (rc == PL_OK)
        printf("in %s\n", dir);
    pl_options_release(&run_command, &conf);
    if (rc < 0)
        return pl_command_failed(&run_command, &err);
    return bad > 0 ? PL_STATUS_FAILED : PL_STATUS_OK;
}

/* ---- report ---- */

struct report_conf {
    const char *dir, *bugs, *output;
};

static const struct pl_option report_rows[] = {
    PL_ARG(struct report_conf, dir, "DIR", "what plait-chaos run --dir was given"),
    PL_OPTION_STRING(struct report_conf, bugs, "bugs", "FILE", "tests/chaos/bugs.json",
                     "table of the faults that were found"),
    PL_OPTION_STRING(struct report_conf, output, "output", "FILE", "tests/chaos/RELIABILITY.md",
                     "the page"),
};

static const struct pl_command report_command = {
    .name = "plait-chaos report",
    .about = "Writes the page of figures out of the reports of runs.",
    .options = report_rows,
    .count = sizeof report_rows / sizeof *report_rows,
};

static int report(int argc, char **argv)
{
    struct pl_error err = {0};
    struct report_conf conf;
    int status;

    if (!pl_options_read(&report_command, argc, argv, &conf, &status))
        return status;
    if (pl_report_write(conf.dir, conf.bugs, conf.output, &err) < 0)
        return pl_command_failed(&report_command, &err);
    return PL_STATUS_OK;
}

/* ---- all of them ---- */

static const char usage[] =
    "Usage: plait-chaos run --plan NAME --seed S ...   one plan, one seed or several\n"
    "       plait-chaos run --suite smoke|full ...     plans and seeds that belong together\n"
    "       plait-chaos list                           the plans\n"
    "       plait-chaos report DIR ...                 RELIABILITY.md from the reports in DIR\n"
    "--help after one of them says more.\n";

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    /* Whoever ends this program ends all that it started. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(word, "run") == 0)
        return run(argc - 1, argv + 1);
    if (strcmp(word, "list") == 0)
        return list();
    if (strcmp(word, "report") == 0)
        return report(argc - 1, argv + 1);
    if (strcmp(word, "stub") == 0)
        return pl_stub_main(argc - 1, argv + 1);
    fputs(usage, word[0] && strcmp(word, "--help") != 0 ? stderr : stdout);
    return strcmp(word, "--help") == 0 ? PL_STATUS_OK : PL_STATUS_USAGE;
}
