#include "deploy/view/story_bars.h"
#include "deploy/view/story_page.h"

#include <math.h>

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* A list of its own for what most readers want: steps and means; least and most where cells are of
 * several steps. */
static json_t *series_json(const struct pl_series *s)
{
    json_t *steps = json_array(), *mean = json_array(), *least = json_array(), *most = json_array();
    json_t *json = json_pack("{s:o, s:o}", "step", steps, "mean", mean);

    for (size_t i = 0; i < s->count; i++) {
        json_array_append_new(steps, real(s->cells[i].x_last));
        json_array_append_new(mean, real(pl_series_mean(&s->cells[i])));
        json_array_append_new(least, real(s->cells[i].least));
        json_array_append_new(most, real(s->cells[i].most));
    }
    if (s->per_cell > 1) {
        json_object_set(json, "least", least);
        json_object_set(json, "most", most);
    }
    json_decref(least);
    json_decref(most);
    return json;
}

static json_t *metrics_json(const struct pl_run_story *run, bool eval)
{
    json_t *json = json_object();

    for (size_t i = 0; i < run->metric_count; i++)
        if (run->metrics[i].eval == eval)
            json_object_set_new(json, run->metrics[i].name, series_json(&run->metrics[i].series));
    return json;
}

static json_t *value_json(const struct pl_story_value *v)
{
    return json_pack("{s:o, s:o}", "value", real(v->value), "interval",
                     isfinite(v->low) ? json_pack("[f,f]", v->low, v->high) : json_null());
}

static json_t *figures_json(const struct pl_run_story *run)
{
    json_t *json = json_object();

    for (int f = 0; f < PL_STORY_FIGURES; f++) {
        const struct pl_story_value v = pl_story_figure(run, (enum pl_story_figure)f);

        json_object_set_new(json, pl_story_figure_key((enum pl_story_figure)f),
                            f == PL_STORY_ACCURACY ? value_json(&v) : real(v.value));
    }
    return json;
}

static json_t *levels_json(const struct pl_stories *stories, const struct pl_run_story *run)
{
    enum { LEVELS_MAX = 32 };
    char levels[LEVELS_MAX][PL_STORY_LEVEL];
    const size_t count = pl_stories_levels(stories, LEVELS_MAX, levels);
    json_t *json = json_object();

    for (size_t i = 0; i < count; i++) {
        const struct pl_story_value v = pl_story_level_value(run, levels[i]);

        json_object_set_new(json, levels[i], value_json(&v));
    }
    return json;
}

static json_t *parts_json(const struct pl_run_story *run)
{
    double parts[PL_STORY_PARTS];
    json_t *json = json_object();

    pl_story_parts(run, parts);
    for (size_t i = 0; i < PL_STORY_PARTS; i++)
        json_object_set_new(json, pl_story_part_names[i], real(parts[i]));
    return json;
}

static json_t *rollouts_json(const struct pl_rollout_file *file, uint64_t step)
{
    json_t *shown;

    if (!file)
        return json_null();
    shown = json_array();
    for (size_t k = 2; k-- > 0;)
        for (size_t i = 0; i < file->pick_count[k]; i++)
            json_array_append(shown, file->picks[k][i].sample);
    return json_pack("{s:I, s:I, s:I, s:o}", "step", (json_int_t)step, "samples",
                     (json_int_t)file->levels[0].samples, "right",
                     (json_int_t)file->levels[0].right, "shown", shown);
}

static json_t *settings_json(const struct pl_run_story *run)
{
    json_t *json = json_object();

    for (size_t i = 0; i < run->setting_count; i++)
        json_object_set_new(json, run->settings[i].key, json_string(run->settings[i].value));
    return json;
}

static json_t *run_json(const struct pl_stories *stories, size_t r)
{
    const struct pl_run_story *run = &stories->runs[r];

    return json_pack(
        "{s:s, s:s, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:{s:o, s:o}, s:{s:o, s:o}, s:o}", "name",
        stories->names[r].full, "dir", run->dir, "finished", (int)run->finished, "began",
        (json_int_t)run->began_s, "ended", (json_int_t)run->ended_s, "lines_passed_over",
        (json_int_t)run->passed_over, "figures", figures_json(run), "levels",
        levels_json(stories, run), "step_s", parts_json(run), "metrics", "train",
        metrics_json(run, false), "evaluation", metrics_json(run, true), "rollouts", "train",
        rollouts_json(run->train, run->train_step), "evaluation",
        rollouts_json(run->eval, run->eval_step), "settings", settings_json(run));
}

struct differences {
    const struct pl_stories *stories;
    json_t *json;
};

static void add_difference(void *at, const char *key)
{
    struct differences *d = at;
    json_t *values = json_array();

    for (size_t r = 0; r < d->stories->count; r++)
        json_array_append_new(values, json_string(pl_run_story_setting(&d->stories->runs[r], key)));
    json_object_set_new(d->json, key, values);
}

json_t *pl_story_json(const struct pl_stories *stories)
{
    struct differences d = {stories, json_object()};
    json_t *runs = json_array();

    for (size_t r = 0; r < stories->count; r++)
        json_array_append_new(runs, run_json(stories, r));
    pl_stories_differences(stories, add_difference, &d);
    return json_pack("{s:o, s:o}", "runs", runs, "differences", d.json);
}
