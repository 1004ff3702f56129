#include "deploy/cmd_report.h"

#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "deploy/view/story_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PAGE_BYTES_MAX = 1 << 28, RUNS_MAX = 256, MB = 1000000 };

struct conf {
    struct pl_option_list runs;
    const char *output, *title;
    bool json, quiet;
    size_t samples, seed;
};

static const struct pl_option options[] = {
    PL_ARG_LIST(struct conf, runs, "RUN", 1, "folders of runs of plait up"),
    PL_OPTION_STRING(struct conf, output, "output", "FILE", NULL,
                     "the page to write; report.html when not given, none with --json"),
    PL_OPTION_STRING(struct conf, title, "title", "TEXT", NULL,
                     "its title; the runs' names when not given"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print the same figures as one JSON object"),
    PL_OPTION_SIZE(
        struct conf, samples, "samples", "N", "2", 0, PL_ROLLOUT_PICKS,
        "rollouts to show of each run's last step and of its last evaluation, right ones "
        "and as many wrong ones"),
    PL_OPTION_SEED(struct conf, seed, "seed", "0", "by which they are drawn"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "show no progress"),
};

static const struct pl_command command = {
    .name = "plait report",
    .about =
        "Writes one page of HTML about runs: what they are and where they differ, every metric "
        "as a plot with its numbers, sample rollouts with their rewards, all settings. The page "
        "is one file, needs no network and no script, and reads on a phone, on paper, in light "
        "and dark. Runs may still be at work.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "plait report runs/demo\n"
             "plait report runs/seed-* --title 'Three seeds' --output seeds.html\n"
             "plait report runs/demo --json | jq '.runs[0].figures'\n",
};

/* ---- reading ---- */

struct reading {
    struct pl_progress progress;
    uint64_t done; /* bytes of the runs before */
};

static void show(void *at, uint64_t bytes)
{
    struct reading *r = at;

    pl_progress_update(&r->progress, (r->done + bytes) / MB, 0, "MB");
}

static uint64_t metrics_bytes(const char *dir)
{
    char *path = pl_strf("%s/metrics.jsonl", dir);
    struct stat st;
    const uint64_t bytes = path && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;

    free(path);
    return bytes;
}

static int read_runs(const struct conf *c, struct pl_stories *stories, struct pl_error *err)
{
    struct reading reading = {.done = 0};
    const struct pl_run_story_opts opts = {c->samples, c->seed, show, &reading};
    uint64_t total = 0;
    int rc = PL_OK;

    for (size_t i = 0; i < c->runs.count; i++)
        total += metrics_bytes(c->runs.items[i]);
    pl_progress_begin(
        &reading.progress,
        &(struct pl_progress_opts){.what = "read", .total = total / MB, .quiet = c->quiet});
    for (size_t i = 0; rc == PL_OK && i < c->runs.count; i++) {
        rc = pl_run_story_read(c->runs.items[i], &opts, &stories->runs[i], err);
        stories->count += rc == PL_OK;
        reading.done += metrics_bytes(c->runs.items[i]);
    }
    pl_progress_end(&reading.progress);
    if (rc == PL_OK)
        pl_stories_name(stories);
    return rc;
}

/* ---- writing ---- */

static int print_json(const struct pl_stories *stories, struct pl_error *err)
{
    json_t *json = pl_story_json(stories);
    int rc = PL_OK;

    if (!json)
        rc = pl_fail(err, PL_ENOMEM, "no memory to print the runs");
    else if (json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
             putchar('\n') == EOF || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the result");
    json_decref(json);
    return rc;
}

static int write_page(const struct conf *c, const struct pl_stories *stories, struct pl_error *err)
{
    const char *path = c->output ? c->output : "report.html";
    struct pl_outfile out;
    struct pl_buf page;
    size_t plots;
    int rc;

    pl_buf_init(&page, PAGE_BYTES_MAX);
    rc = pl_story_page(stories, c->title, &page, &plots);
    if (rc < 0)
        pl_fail(err, rc, "no memory for the page");
    if (rc == PL_OK)
        rc = pl_outfile_open(path, &out, err);
    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, page.data, page.len, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    if (rc == PL_OK && !c->json &&
        (printf("%s: %zu run%s, %zu plots, %zu KB\n", path, stories->count,
                stories->count == 1 ? "" : "s", plots, (page.len + 999) / 1000) < 0 ||
         fflush(stdout) != 0))
        rc = pl_fail_errno(err, "write the result");
    pl_buf_release(&page);
    return rc;
}

static int report(const struct conf *c, struct pl_error *err)
{
    struct pl_stories stories = {0};
    int rc;

    if (c->runs.count > RUNS_MAX)
        return pl_fail(err, PL_EINVAL, "%zu runs are more than a page has room for, %d",
                       c->runs.count, RUNS_MAX);
    rc = pl_stories_init(&stories, c->runs.count);
    if (rc < 0)
        return pl_fail(err, rc, "no memory for %zu runs", c->runs.count);
    rc = read_runs(c, &stories, err);
    if (rc == PL_OK && c->json)
        rc = print_json(&stories, err);
    if (rc == PL_OK && (!c->json || c->output))
        rc = write_page(c, &stories, err);
    pl_stories_release(&stories);
    return rc;
}

int pl_cmd_report(int argc, char **argv)
{
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = report(&conf, &err);
    pl_options_release(&command, &conf);
    return rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
}
