#include "deploy/view/run_story.h"

#include "common/app/settings.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/text/utf8.h"
#include "deploy/view/lines.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_BYTES_MAX = 1 << 20, SETTINGS_MAX = 2048, FILE_BYTES_MAX = 1 << 20, EVERY_LINES = 64 };

static const char step_key[] = "training/global_step";

void pl_run_story_release(struct pl_run_story *story)
{
    for (size_t i = 0; i < story->setting_count; i++) {
        free(story->settings[i].key);
        free(story->settings[i].value);
    }
    for (size_t i = 0; i < story->metric_count; i++) {
        free(story->metrics[i].name);
        pl_series_release(&story->metrics[i].series);
    }
    if (story->train)
        pl_rollout_file_release(story->train);
    if (story->eval)
        pl_rollout_file_release(story->eval);
    free(story->train);
    free(story->eval);
    free(story->settings);
    free(story->metrics);
    free(story->dir);
    *story = (struct pl_run_story){0};
}

/* ---- settings ---- */

static bool more_settings(struct pl_run_story *s)
{
    const size_t cap = s->setting_cap ? 2 * s->setting_cap : 128;
    struct pl_run_setting *more;

    if (s->setting_count < s->setting_cap)
        return true;
    more = cap <= SETTINGS_MAX ? realloc(s->settings, cap * sizeof *more) : NULL;
    if (!more)
        return false;
    s->settings = more;
    s->setting_cap = cap;
    return true;
}

/* Takes both over; what there is no room for is left out. */
static void add_setting(struct pl_run_story *s, char *key, char *value)
{
    if (!key || !value || !more_settings(s)) {
        free(key);
        free(value);
        return;
    }
    s->settings[s->setting_count++] = (struct pl_run_setting){key, value};
}

/* Items of a list become one value: "[a, b]". */
static void take_word(void *at, const char *key, const char *value, bool item)
{
    struct pl_run_story *s = at;
    struct pl_run_setting *last = s->setting_count > 0 ? &s->settings[s->setting_count - 1] : NULL;

    if (item && last && strcmp(last->key, key) == 0) {
        const size_t len = strlen(last->value);
        char *longer = pl_strf("%.*s, %s]", (int)(len > 0 ? len - 1 : 0), last->value, value);

        if (longer) {
            free(last->value);
            last->value = longer;
        }
        return;
    }
    add_setting(s, strdup(key), item ? pl_strf("[%s]", value) : strdup(value));
}

/* What is no YAML still has lines "key: value". */
static int take_lines(struct pl_run_story *s, const char *path, struct pl_error *err)
{
    struct pl_buf text;
    char *data = NULL;
    size_t len = 0;
    int rc = pl_file_read(path, FILE_BYTES_MAX, &data, &len, err);

    pl_buf_init(&text, (size_t)4 * FILE_BYTES_MAX);
    if (rc == PL_OK)
        rc = pl_utf8_repair(data, len, &text);
    free(data);
    for (char *line = text.data; rc == PL_OK && line && *line;) {
        const size_t n = strcspn(line, "\n");
        char *end = line[n] ? line + n + 1 : line + n, *colon;

        line[n] = '\0';
        colon = strstr(line, ": ");
        if (colon && line[0] != '#' && line[0] != ' ')
            add_setting(s, strndup(line, (size_t)(colon - line)), strdup(colon + 2));
        line = end;
    }
    pl_buf_release(&text);
    return rc;
}

static int read_settings(struct pl_run_story *s, const char *path, struct pl_error *err)
{
    struct pl_error why = {0};
    const int rc = pl_settings_each(path, take_word, s, &why);

    if (rc == PL_OK)
        return PL_OK;
    snprintf(s->settings_why, sizeof s->settings_why, "%.319s", why.text);
    if (rc == PL_EFORMAT)
        return take_lines(s, path, err) == PL_ENOMEM ? PL_ENOMEM : PL_OK;
    return rc == PL_ENOMEM ? pl_fail(err, rc, "%s", why.text) : PL_OK;
}

const char *pl_run_story_setting(const struct pl_run_story *story, const char *key)
{
    for (size_t i = 0; i < story->setting_count; i++)
        if (strcmp(story->settings[i].key, key) == 0)
            return story->settings[i].value;
    return "";
}

const char *pl_run_story_name(const struct pl_run_story *story)
{
    const char *name = pl_run_story_setting(story, "run.name");
    const char *slash = strrchr(story->dir, '/');

    return name[0] ? name : slash ? slash + 1 : story->dir;
}

/* ---- metrics ---- */

/* Lines have their metrics in one order, so that the next one is mostly where it is guessed. */
static struct pl_run_metric *metric_of(struct pl_run_story *s, const char *name, bool eval)
{
    struct pl_run_metric *m;

    for (size_t k = 0; k < s->metric_count; k++) {
        m = &s->metrics[(s->guess + k) % s->metric_count];
        if (m->eval == eval && strcmp(m->name, name) == 0) {
            s->guess = (size_t)(m - s->metrics) + 1;
            return m;
        }
    }
    if (!s->metrics || s->metric_count == PL_RUN_METRICS || strlen(name) > PL_RUN_METRIC_NAME)
        return NULL;
    m = &s->metrics[s->metric_count];
    *m = (struct pl_run_metric){.name = strdup(name), .eval = eval};
    if (!m->name)
        return NULL;
    s->metric_count++;
    return m;
}

static bool is_eval(json_t *line)
{
    const char *key;
    json_t *value;

    json_object_foreach(line, key, value)
    {
        if (strncmp(key, "val-", 4) == 0)
            return true;
    }
    return false;
}

static int take_metrics(struct pl_run_story *s, json_t *line, double step)
{
    const bool eval = is_eval(line);
    bool again = false;
    const char *key;
    json_t *value;
    int rc = PL_OK;

    json_object_foreach(line, key, value)
    {
        struct pl_run_metric *m;

        if ((!json_is_number(value) && !json_is_null(value)) || strcmp(key, step_key) == 0)
            continue;
        m = metric_of(s, key, eval);
        if (!m)
            continue;
        rc =
            pl_series_add(&m->series, step, json_is_number(value) ? json_number_value(value) : NAN);
        if (rc == PL_ENOMEM)
            return rc;
        again = again || rc < 0;
    }
    s->passed_over += again;
    s->last_step = fmax(s->last_step, step);
    return PL_OK;
}

int pl_run_story_line(struct pl_run_story *story, const char *line, size_t len)
{
    json_t *json = json_loadb(line, len, 0, NULL);
    const json_t *step = json_object_get(json, step_key);
    int rc = PL_OK;

    if (!story->metrics) {
        story->metrics = calloc(PL_RUN_METRICS, sizeof *story->metrics);
        story->last_step = NAN;
        rc = story->metrics ? PL_OK : PL_ENOMEM;
    }
    story->lines++;
    if (rc == PL_OK && json_is_number(step))
        rc = take_metrics(story, json, json_number_value(step));
    else
        story->passed_over++;
    json_decref(json);
    return rc;
}

static int read_metrics(struct pl_run_story *s, const char *path,
                        const struct pl_run_story_opts *opts, struct pl_error *err)
{
    struct pl_lines lines;
    const char *line;
    size_t len;
    int rc = pl_lines_open(path, LINE_BYTES_MAX, &lines, err);

    while (rc == PL_OK && (rc = pl_lines_next(&lines, &line, &len, err)) == 1) {
        rc = pl_run_story_line(s, line, len);
        if (rc < 0)
            pl_fail(err, rc, "'%s': no memory to read it", path);
        else if (opts->progress && s->lines % EVERY_LINES == 0)
            opts->progress(opts->at, lines.bytes);
    }
    s->passed_over += lines.too_long;
    s->torn = lines.torn;
    pl_lines_close(&lines);
    return rc == PL_ENOENT ? PL_OK : rc;
}

const struct pl_series *pl_run_story_metric(const struct pl_run_story *story, const char *name,
                                            bool eval)
{
    for (size_t i = 0; i < story->metric_count; i++)
        if (story->metrics[i].eval == eval && strcmp(story->metrics[i].name, name) == 0)
            return &story->metrics[i].series;
    return NULL;
}

/* ---- rollouts ---- */

/* "12.jsonl" and "e12.jsonl"; false: another file. */
static bool step_of(const char *name, bool *ret_eval, uint64_t *ret_step)
{
    const bool eval = name[0] == 'e';
    char *end;

    name += eval;
    if (name[0] < '0' || name[0] > '9' || strlen(name) > 18 + 6)
        return false;
    *ret_eval = eval;
    *ret_step = strtoull(name, &end, 10);
    return strcmp(end, ".jsonl") == 0;
}

/* The last of each kind, -1: none. */
static void find_rollouts(const char *folder, int64_t ret_last[2])
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    ret_last[0] = ret_last[1] = -1;
    while (dir && (entry = readdir(dir)) != NULL) {
        uint64_t step;
        bool eval;

        if (step_of(entry->d_name, &eval, &step) && (int64_t)step > ret_last[eval])
            ret_last[eval] = (int64_t)step;
    }
    if (dir)
        closedir(dir);
}

static int read_rollouts(const char *folder, const char *kind, int64_t step,
                         const struct pl_run_story_opts *opts, struct pl_rollout_file **ret_file,
                         struct pl_error *err)
{
    struct pl_rollout_file *file = malloc(sizeof *file);
    char *path = pl_strf("%s/%s%lld.jsonl", folder, kind, (long long)step);
    int rc = PL_OK;

    if (!file || !path)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", folder);
    if (rc == PL_OK) {
        pl_rollout_file_init(file, opts->picks, opts->seed);
        rc = pl_rollout_file_read(file, path, err);
        if (rc < 0 || file->lines == 0)
            pl_rollout_file_release(file);
        else
            *ret_file = file;
    }
    if (!*ret_file)
        free(file);
    free(path);
    return rc == PL_ENOENT ? PL_OK : rc; /* gone since: the run goes on */
}

static int read_last_rollouts(struct pl_run_story *s, const struct pl_run_story_opts *opts,
                              struct pl_error *err)
{
    char *folder = pl_strf("%s/rollouts", s->dir);
    int64_t last[2];
    int rc = folder ? PL_OK : pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", s->dir);

    if (rc == PL_OK)
        find_rollouts(folder, last);
    if (rc == PL_OK && last[0] >= 0)
        rc = read_rollouts(folder, "", last[0], opts, &s->train, err);
    if (rc == PL_OK && last[1] >= 0)
        rc = read_rollouts(folder, "e", last[1], opts, &s->eval, err);
    if (rc == PL_OK) {
        s->train_step = s->train ? (uint64_t)last[0] : 0;
        s->eval_step = s->eval ? (uint64_t)last[1] : 0;
    }
    free(folder);
    return rc;
}

/* ---- when, and the best ---- */

static int64_t changed_s(const char *dir, const char *name)
{
    char *path = pl_strf("%s/%s", dir, name);
    struct stat st;
    const bool there = path && stat(path, &st) == 0;

    free(path);
    return there ? (int64_t)st.st_mtim.tv_sec : 0;
}

/* Files of events have the second of a start in their names; else config.yaml is the last start's.
 */
static void find_times(struct pl_run_story *s)
{
    static const char prefix[] = "events.out.tfevents.";
    const int64_t model_s = changed_s(s->dir, "model/config.json");
    const int64_t metrics_s = changed_s(s->dir, "metrics.jsonl");
    DIR *dir = opendir(s->dir);
    const struct dirent *entry;

    s->began_s = changed_s(s->dir, "config.yaml");
    while (dir && (entry = readdir(dir)) != NULL) {
        const int64_t at_s = strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0
                                 ? strtoll(entry->d_name + sizeof prefix - 1, NULL, 10)
                                 : 0;

        if (at_s > 0 && (s->began_s == 0 || at_s < s->began_s))
            s->began_s = at_s;
    }
    if (dir)
        closedir(dir);
    s->finished = model_s > 0;
    s->ended_s = metrics_s > 0 ? metrics_s : model_s;
}

static void find_best(struct pl_run_story *s)
{
    char *path = pl_strf("%s/best/evaluation.json", s->dir);
    json_t *best = NULL;

    s->best_step = s->best_accuracy = NAN;
    if (path && pl_json_load(path, FILE_BYTES_MAX, &best, NULL) == PL_OK) {
        s->best_step = pl_sample_number(best, "step");
        s->best_accuracy = pl_sample_number(best, "accuracy");
    }
    json_decref(best);
    free(path);
}

int pl_run_story_read(const char *dir, const struct pl_run_story_opts *opts,
                      struct pl_run_story *ret_story, struct pl_error *err)
{
    struct pl_run_story s = {.dir = strdup(dir), .last_step = NAN};
    char *config = pl_strf("%s/config.yaml", dir), *metrics = pl_strf("%s/metrics.jsonl", dir);
    int rc = PL_OK;

    if (!s.dir || !config || !metrics)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", dir);
    else if (!pl_path_exists(config) && !pl_path_exists(metrics))
        rc = pl_fail(err, PL_ENOENT,
                     "'%s' is not the folder of a run: it has neither config.yaml nor "
                     "metrics.jsonl",
                     dir);
    for (size_t len = s.dir ? strlen(s.dir) : 0; len > 1 && s.dir[len - 1] == '/';)
        s.dir[--len] = '\0';
    if (rc == PL_OK)
        rc = read_settings(&s, config, err);
    if (rc == PL_OK)
        rc = read_metrics(&s, metrics, opts, err);
    if (rc == PL_OK)
        rc = read_last_rollouts(&s, opts, err);
    if (rc == PL_OK) {
        find_times(&s);
        find_best(&s);
        *ret_story = s;
    } else {
        pl_run_story_release(&s);
    }
    free(config);
    free(metrics);
    return rc;
}
