#include "deploy/view/rollout_file.h"

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/text/utf8.h"
#include "deploy/view/lines.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES_MAX = 16 << 20 };

const char *pl_sample_text(const json_t *sample, const char *key)
{
    const char *text = json_string_value(json_object_get(sample, key));

    return text ? text : "";
}

double pl_sample_number(const json_t *sample, const char *key)
{
    const json_t *value = json_object_get(sample, key);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

void pl_rollout_file_init(struct pl_rollout_file *file, size_t pick_max, uint64_t seed)
{
    memset(file, 0, sizeof *file);
    file->pick_max = pick_max < PL_ROLLOUT_PICKS ? pick_max : PL_ROLLOUT_PICKS;
    file->seed = seed;
}

void pl_rollout_file_release(struct pl_rollout_file *file)
{
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < file->pick_count[k]; i++)
            json_decref(file->picks[k][i].sample);
    memset(file, 0, sizeof *file);
}

/* ---- counts ---- */

static void end_task(struct pl_rollout_level *level)
{
    if (level->task_samples > 0) {
        const double share = (double)level->task_right / (double)level->task_samples;

        level->tasks++;
        level->square_sum += share * share;
        if (level->task_samples > level->samples_max)
            level->samples_max = level->task_samples;
    }
    level->task_samples = level->task_right = 0;
}

static void count(struct pl_rollout_level *level, bool right)
{
    level->samples++;
    level->right += right;
    level->task_samples++;
    level->task_right += right;
}

/* Named as learner/report.c names its metrics. 0: it says none, or there are too many. */
static size_t level_of(struct pl_rollout_file *f, const json_t *sample)
{
    const char *source = pl_sample_text(sample, "source"), *level = pl_sample_text(sample, "level");
    char name[64];

    if (!source[0] && !level[0])
        return 0;
    snprintf(name, sizeof name, "%.32s%s%.16s", source, level[0] ? "-" : "", level);
    for (size_t i = 1; i < f->level_count; i++)
        if (strcmp(f->levels[i].name, name) == 0)
            return i;
    if (f->level_count == 1 + PL_ROLLOUT_LEVELS)
        return 0;
    memcpy(f->levels[f->level_count].name, name, sizeof name);
    return f->level_count++;
}

void pl_rollout_file_end(struct pl_rollout_file *file)
{
    for (size_t i = 0; i < file->level_count; i++)
        end_task(&file->levels[i]);
}

/* Samples of a task stand together. */
static void count_sample(struct pl_rollout_file *f, const json_t *sample, bool right)
{
    const char *group = pl_sample_text(sample, "group");
    const double tokens = pl_sample_number(sample, "tokens");

    if (strncmp(f->group, group, sizeof f->group - 1) != 0) {
        pl_rollout_file_end(f);
        snprintf(f->group, sizeof f->group, "%s", group);
    }
    count(&f->levels[0], right);
    f->group_level = level_of(f, sample);
    if (f->group_level > 0)
        count(&f->levels[f->group_level], right);
    if (tokens >= 0.0)
        f->lengths[right][(size_t)fmin(tokens, PL_ROLLOUT_LENGTHS - 1)]++;
}

/* ---- choice ---- */

static uint32_t rank_of(const struct pl_rollout_file *f, size_t line)
{
    const struct pl_rng rng = {.seed = f->seed,
                               .batch = (uint32_t)PL_RNG_SHOW,
                               .sample = (uint32_t)((uint64_t)line >> 32)};
    uint32_t words[4];

    pl_rng_words(&rng, (uint32_t)line, words);
    return words[0];
}

/* Of the same task one is enough: the lower rank of the two. */
static size_t same_group(const struct pl_rollout_file *f, bool right, const json_t *sample)
{
    size_t i = 0;

    while (i < f->pick_count[right] && strcmp(pl_sample_text(f->picks[right][i].sample, "group"),
                                              pl_sample_text(sample, "group")) != 0)
        i++;
    return i;
}

static void take_out(struct pl_rollout_file *f, bool right, size_t at)
{
    struct pl_rollout_pick *picks = f->picks[right];

    json_decref(picks[at].sample);
    memmove(picks + at, picks + at + 1, (--f->pick_count[right] - at) * sizeof *picks);
}

static void choose(struct pl_rollout_file *f, json_t *sample, bool right)
{
    const struct pl_rollout_pick pick = {sample, rank_of(f, f->lines), f->lines};
    struct pl_rollout_pick *picks = f->picks[right];
    size_t at = same_group(f, right, sample);

    if (at < f->pick_count[right]) {
        if (picks[at].rank <= pick.rank)
            return;
        take_out(f, right, at);
    }
    for (at = f->pick_count[right]; at > 0 && picks[at - 1].rank > pick.rank;)
        at--;
    if (at == f->pick_max)
        return;
    if (f->pick_count[right] == f->pick_max)
        take_out(f, right, f->pick_max - 1);
    memmove(picks + at + 1, picks + at, (f->pick_count[right] - at) * sizeof *picks);
    picks[at] = pick;
    json_incref(sample);
    f->pick_count[right]++;
}

/* ---- lines ---- */

static int parse(const char *line, size_t len, json_t **ret_json)
{
    struct pl_buf repaired;
    int rc = PL_OK;

    *ret_json = NULL;
    if (pl_utf8_valid(line, len)) {
        *ret_json = json_loadb(line, len, 0, NULL);
        return PL_OK;
    }
    pl_buf_init(&repaired, 3 * len + 3);
    rc = pl_utf8_repair(line, len, &repaired);
    if (rc == PL_OK)
        *ret_json = json_loadb(repaired.data, repaired.len, 0, NULL);
    pl_buf_release(&repaired);
    return rc;
}

int pl_rollout_file_line(struct pl_rollout_file *file, const char *line, size_t len)
{
    json_t *sample;
    const int rc = parse(line, len, &sample);

    if (rc < 0)
        return rc;
    if (file->level_count == 0)
        file->level_count = 1;
    if (json_is_object(sample)) {
        const bool right = strcmp(pl_sample_text(sample, "verdict"), "right") == 0;

        count_sample(file, sample, right);
        choose(file, sample, right);
    } else {
        file->passed_over++;
    }
    file->lines++;
    json_decref(sample);
    return PL_OK;
}

int pl_rollout_file_read(struct pl_rollout_file *file, const char *path, struct pl_error *err)
{
    struct pl_lines lines;
    const char *line;
    size_t len;
    int rc = pl_lines_open(path, LINE_BYTES_MAX, &lines, err);

    while (rc == PL_OK && (rc = pl_lines_next(&lines, &line, &len, err)) == 1) {
        rc = pl_rollout_file_line(file, line, len);
        if (rc < 0)
            pl_fail(err, rc, "'%s': no memory to read it", path);
    }
    pl_rollout_file_end(file);
    pl_lines_close(&lines);
    return rc;
}

/* ---- what it says ---- */

const struct pl_rollout_level *pl_rollout_file_level(const struct pl_rollout_file *file,
                                                     const char *name)
{
    for (size_t i = 1; i < file->level_count; i++)
        if (strcmp(file->levels[i].name, name) == 0)
            return &file->levels[i];
    return NULL;
}

struct pl_interval pl_rollout_level_interval(const struct pl_rollout_level *level, double share,
                                             double times)
{
    const double n = (double)level->samples, tasks = (double)level->tasks;
    double deff = 1.0;

    if (n == 0.0 || tasks == 0.0 || !(share >= 0.0 && share <= 1.0))
        return (struct pl_interval){NAN, NAN};
    (void)pl_interval_clustered((double)level->right / n, n, tasks, level->square_sum,
                                (double)level->samples_max, &deff);
    return pl_interval_wilson(share, times * n / deff);
}
