#include "deploy/view/stories.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char level_prefix[] = "val-core/", level_middle[] = "/acc/mean@";

int pl_stories_init(struct pl_stories *stories, size_t cap)
{
    *stories = (struct pl_stories){.cap = cap};
    stories->runs = calloc(cap, sizeof *stories->runs);
    stories->names = calloc(cap, sizeof *stories->names);
    if (stories->runs && stories->names)
        return PL_OK;
    pl_stories_release(stories);
    return PL_ENOMEM;
}

void pl_stories_release(struct pl_stories *stories)
{
    for (size_t i = 0; i < stories->count; i++)
        pl_run_story_release(&stories->runs[i]);
    free(stories->runs);
    free(stories->names);
    *stories = (struct pl_stories){0};
}

/* ---- names ---- */

/* Bytes of a text that fit and end with a whole character. */
static int whole(const char *text, size_t most)
{
    size_t len = strnlen(text, most + 1);

    if (len > most)
        for (len = most; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
            len--;
    return (int)len;
}

static bool taken(const struct pl_stories *s, size_t upto, const char *name)
{
    for (size_t i = 0; i < upto; i++)
        if (strcmp(s->names[i].full, name) == 0)
            return true;
    return false;
}

static void name_fully(struct pl_stories *s, size_t i)
{
    const struct pl_run_story *run = &s->runs[i];
    const char *name = pl_run_story_name(run), *slash = strrchr(run->dir, '/');
    char *full = s->names[i].full;

    snprintf(full, PL_STORY_NAME, "%.*s", whole(name, 60), name);
    if (taken(s, i, full))
        snprintf(full, PL_STORY_NAME, "%.*s", whole(slash ? slash + 1 : run->dir, 60),
                 slash ? slash + 1 : run->dir);
    for (size_t k = 2; taken(s, i, full); k++)
        snprintf(full, PL_STORY_NAME, "%.*s (%zu)", whole(name, 60), name, k);
}

/* How much all names have in common, up to a sign between words. */
static size_t common_start(const struct pl_stories *s)
{
    const char *first = s->names[0].full;
    size_t len = strlen(first);

    for (size_t i = 1; i < s->count; i++)
        for (size_t k = 0; k < len; k++)
            if (s->names[i].full[k] != first[k])
                len = k;
    while (len > 0 && !strchr("-_. /", first[len - 1]))
        len--;
    return len;
}

static size_t longest(const struct pl_stories *s, size_t from)
{
    size_t most = 0;

    for (size_t i = 0; i < s->count; i++) {
        const size_t len = strlen(s->names[i].full) - from;

        most = len > most ? len : most;
    }
    return most;
}

void pl_stories_name(struct pl_stories *stories)
{
    enum { ROOM = 16 };
    struct pl_stories *s = stories;
    size_t start;

    for (size_t i = 0; i < s->count; i++)
        name_fully(s, i);
    start = s->count > 1 ? common_start(s) : 0;
    for (size_t i = 0; i < s->count; i++) {
        const char *full = s->names[i].full;
        char *name = s->names[i].in_plots;

        if (longest(s, 0) <= ROOM || s->count == 1)
            snprintf(name, PL_STORY_SHORT, "%.*s", whole(full, PL_STORY_SHORT - 1), full);
        else if (start > 0 && longest(s, start) < ROOM)
            snprintf(name, PL_STORY_SHORT, "\xE2\x80\xA6%s", full + start);
        else if (i < 26)
            snprintf(name, PL_STORY_SHORT, "%c", (char)('A' + i));
        else
            snprintf(name, PL_STORY_SHORT, "%zu", i + 1);
    }
}

/* ---- figures ---- */

static const struct {
    const char *key, *head;
    const char *eval, *train; /* of the last evaluation; or of the last steps */
} figures[PL_STORY_FIGURES] = {
    [PL_STORY_STEPS] = {"steps", "steps", NULL, NULL},
    [PL_STORY_ACCURACY] = {"accuracy", "accuracy", "val-core/acc", "interleave/accuracy"},
    [PL_STORY_BEFORE] = {"accuracy_before", "before training", NULL, NULL},
    [PL_STORY_BEST] = {"accuracy_best", "best", NULL, NULL},
    [PL_STORY_BEST_STEP] = {"best_step", "best at step", NULL, NULL},
    [PL_STORY_TRAIN_ACCURACY] = {"train_accuracy", "in training", NULL, "interleave/accuracy"},
    [PL_STORY_FORMAT] = {"format_rate", "valid form", "interleave/format_ok",
                         "interleave/format_ok"},
    [PL_STORY_INTERMEDIATE] = {"intermediate_accuracy", "intermediate",
                               "interleave/intermediate_acc", "interleave/intermediate_acc"},
    [PL_STORY_TTFA] = {"ttfa", "ttfa", "interleave/ttfa", "interleave/ttfa"},
    [PL_STORY_TTFA_TOKENS] = {"ttfa_tokens", "ttfa, tokens", "interleave/ttfa_tokens",
                              "interleave/ttfa_tokens"},
    [PL_STORY_LENGTH] = {"response_length", "length", "response_length/mean",
                         "response_length/mean"},
    [PL_STORY_LENGTH_RIGHT] = {"response_length_right", "if right",
                               "interleave/response_length_right",
                               "interleave/response_length_right"},
    [PL_STORY_LENGTH_WRONG] = {"response_length_wrong", "if wrong",
                               "interleave/response_length_wrong",
                               "interleave/response_length_wrong"},
    [PL_STORY_REWARD] = {"reward", "reward", NULL, "critic/score/mean"},
    [PL_STORY_STEP_S] = {"step_s", "seconds a step", NULL, NULL},
    [PL_STORY_TOKENS_PER_S] = {"tokens_per_s", "tokens/s", NULL, NULL},
    [PL_STORY_TOKENS] = {"tokens", "tokens", NULL, NULL},
    [PL_STORY_WALL_S] = {"wall_s", "time", NULL, NULL},
};

const char *pl_story_figure_key(enum pl_story_figure figure)
{
    return figures[figure].key;
}

const char *pl_story_figure_head(enum pl_story_figure figure)
{
    return figures[figure].head;
}

static double mean_of(const struct pl_run_story *run, const char *name)
{
    const struct pl_series *s = pl_run_story_metric(run, name, false);

    return s ? pl_series_mean_all(s) : NAN;
}

static double sum_of(const struct pl_run_story *run, const char *name)
{
    const struct pl_series *s = pl_run_story_metric(run, name, false);
    double sum = s ? 0.0 : NAN;

    for (size_t i = 0; s && i < s->count; i++)
        sum += s->cells[i].sum;
    return sum;
}

static double before(const struct pl_run_story *run)
{
    const struct pl_series *s = pl_run_story_metric(run, "val-core/acc", true);

    return s && s->count > 0 && s->cells[0].x_first == 0.0 && s->per_cell == 1
               ? pl_series_mean(&s->cells[0])
               : NAN;
}

/* Of the last evaluation, else of the last steps. */
static struct pl_story_value last_of(const struct pl_run_story *run, enum pl_story_figure figure)
{
    const struct pl_series *eval =
        figures[figure].eval ? pl_run_story_metric(run, figures[figure].eval, true) : NULL;
    const struct pl_series *train =
        figures[figure].train ? pl_run_story_metric(run, figures[figure].train, false) : NULL;
    struct pl_story_value v = {NAN, NAN, NAN};

    if (eval) {
        v.value = pl_series_last(eval);
        if ((figure == PL_STORY_ACCURACY) && run->eval) {
            const struct pl_interval in =
                pl_rollout_level_interval(&run->eval->levels[0], v.value, 1.0);

            v.low = in.low;
            v.high = in.high;
        }
    } else if (train) {
        v.value = pl_series_mean_recent(train);
    }
    return v;
}

struct pl_story_value pl_story_figure(const struct pl_run_story *run, enum pl_story_figure figure)
{
    const double step_s = mean_of(run, "timing_s/step");
    struct pl_story_value v = {NAN, NAN, NAN};

    switch (figure) {
    case PL_STORY_STEPS:
        v.value = run->last_step;
        break;
    case PL_STORY_BEFORE:
        v.value = before(run);
        break;
    case PL_STORY_BEST:
        v.value = run->best_accuracy;
        break;
    case PL_STORY_BEST_STEP:
        v.value = run->best_step;
        break;
    case PL_STORY_STEP_S:
        v.value = step_s;
        break;
    case PL_STORY_TOKENS_PER_S:
        v.value = mean_of(run, "perf/total_num_tokens") / step_s;
        break;
    case PL_STORY_TOKENS:
        v.value = sum_of(run, "perf/total_num_tokens");
        break;
    case PL_STORY_WALL_S:
        if (run->began_s > 0 && run->ended_s >= run->began_s)
            v.value = (double)(run->ended_s - run->began_s);
        break;
    default:
        v = last_of(run, figure);
    }
    return v;
}

/* ---- difficulties ---- */

/* "kk-3" of "val-core/kk-3/acc/mean@1"; false: another metric. */
static bool level_name(const char *metric, char ret_level[PL_STORY_LEVEL])
{
    const char *name = metric + sizeof level_prefix - 1, *end;

    if (strncmp(metric, level_prefix, sizeof level_prefix - 1) != 0)
        return false;
    end = strstr(name, level_middle);
    if (!end || (size_t)(end - name) >= PL_STORY_LEVEL)
        return false;
    snprintf(ret_level, PL_STORY_LEVEL, "%.*s", (int)(end - name), name);
    return true;
}

static int by_version(const void *a, const void *b)
{
    return strverscmp(a, b);
}

static bool is_sum(char levels[][PL_STORY_LEVEL], size_t count, size_t i)
{
    const size_t len = strlen(levels[i]);

    for (size_t k = 0; k < count; k++)
        if (strncmp(levels[k], levels[i], len) == 0 && levels[k][len] == '-')
            return true;
    return false;
}

size_t pl_stories_levels(const struct pl_stories *stories, size_t most,
                         char ret_levels[][PL_STORY_LEVEL])
{
    size_t count = 0, kept = 0;

    for (size_t r = 0; r < stories->count; r++)
        for (size_t i = 0; i < stories->runs[r].metric_count && count < most; i++) {
            size_t k = 0;

            if (!stories->runs[r].metrics[i].eval ||
                !level_name(stories->runs[r].metrics[i].name, ret_levels[count]))
                continue;
            while (strcmp(ret_levels[k], ret_levels[count]) != 0)
                k++;
            count += k == count;
        }
    qsort(ret_levels, count, sizeof *ret_levels, by_version);
    for (size_t i = count; i-- > 0;) /* from the longest on, while all of them are there */
        if (is_sum(ret_levels, count, i))
            ret_levels[i][0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (ret_levels[i][0])
            memmove(ret_levels[kept++], ret_levels[i], PL_STORY_LEVEL);
    return kept;
}

const struct pl_series *pl_story_level(const struct pl_run_story *run, const char *level)
{
    char name[PL_STORY_LEVEL];

    for (size_t i = 0; i < run->metric_count; i++)
        if (run->metrics[i].eval && level_name(run->metrics[i].name, name) &&
            strcmp(name, level) == 0)
            return &run->metrics[i].series;
    return NULL;
}

struct pl_story_value pl_story_level_value(const struct pl_run_story *run, const char *level)
{
    const struct pl_series *s = pl_story_level(run, level);
    const struct pl_rollout_level *row = run->eval ? pl_rollout_file_level(run->eval, level) : NULL;
    struct pl_story_value v = {s ? pl_series_last(s) : NAN, NAN, NAN};

    if (row) {
        const struct pl_interval in = pl_rollout_level_interval(row, v.value, 1.0);

        v.low = in.low;
        v.high = in.high;
    }
    return v;
}

/* ---- settings ---- */

static bool differs(const struct pl_stories *s, const char *key)
{
    const char *first = pl_run_story_setting(&s->runs[0], key);

    if (strcmp(key, "run.name") == 0 || strcmp(key, "run.dir") == 0)
        return false;
    for (size_t i = 1; i < s->count; i++)
        if (strcmp(pl_run_story_setting(&s->runs[i], key), first) != 0)
            return true;
    return false;
}

/* In the order of the first run that has the key. */
void pl_stories_differences(const struct pl_stories *stories,
                            void (*each)(void *at, const char *key), void *at)
{
    for (size_t r = 0; r < stories->count; r++)
        for (size_t i = 0; i < stories->runs[r].setting_count; i++) {
            const char *key = stories->runs[r].settings[i].key;
            bool told = false;

            for (size_t k = 0; k < r && !told; k++)
                for (size_t j = 0; j < stories->runs[k].setting_count && !told; j++)
                    told = strcmp(stories->runs[k].settings[j].key, key) == 0;
            if (!told && differs(stories, key))
                each(at, key);
        }
}

bool pl_stories_have(const struct pl_stories *stories, const char *metric, bool eval)
{
    for (size_t i = 0; i < stories->count; i++)
        if (pl_run_story_metric(&stories->runs[i], metric, eval))
            return true;
    return false;
}
