#include "deploy/paper/results_training.h"

#include "common/base/buf.h"
#include "deploy/view/curve.h"
#include "deploy/view/run_story.h"

#include <math.h>
#include <stdlib.h>

enum { LINES = 4 };

static const char *const names[LINES] = {"think-answer", "interleave", "interleave-ir",
                                         "interleave-ir-direct"};

/* A run's story, if there is one. */
static bool read_story(const struct pl_results *x, const char *row, size_t seed,
                       struct pl_run_story *ret_story)
{
    char *name = pl_reproduce_name(x->reproduce, pl_grid_named(row), seed);
    char *dir = name ? pl_strf("%s/runs/%s", x->reproduce->dir, name) : NULL;
    const bool there = dir && pl_run_story_read(dir, &(struct pl_run_story_opts){.picks = 0},
                                                ret_story, NULL) == 0;

    free(dir);
    free(name);
    return there;
}

/* A plot: of which metric, how it is named. */
struct what {
    const char *name, *metric, *title, *desc;
    bool share; /* of a whole: from 0 to 1 */
};

static void plot(struct pl_gallery *gallery, const struct pl_run_story *stories, const bool *there,
                 const struct what *what)
{
    struct pl_plot_series series[2 * LINES];
    struct pl_curve curves[LINES] = {0};
    size_t count = 0;

    for (size_t k = 0; k < LINES; k++) {
        const struct pl_series *s =
            there[k] ? pl_run_story_metric(&stories[k], what->metric, false) : NULL;
        const struct pl_curve_ask ask = {
            .name = pl_grid_named(names[k])->title, .color = k, .series = s};

        if (s && s->count > 0 && pl_curve_make(&ask, &curves[k]) == PL_OK)
            count += pl_curve_lines(&curves[k], series + count);
    }
    if (count > 0)
        pl_gallery_lines(gallery, what->name,
                         (struct pl_plot_lines){.frame = {.title = what->title, .desc = what->desc},
                                                .x_name = "step",
                                                .y_least = what->share ? 0.0 : (double)NAN,
                                                .y_most = what->share ? 1.0 : (double)NAN,
                                                .x_whole = true,
                                                .series = series,
                                                .count = count});
    for (size_t k = 0; k < LINES; k++)
        pl_curve_release(&curves[k]);
}

void pl_results_training(const struct pl_results *results, struct pl_gallery *gallery)
{
    static const struct what plots[] = {
        {"training-format", "interleave/format_ok", "Format", "share of responses of a valid form",
         true},
        {"training-accuracy", "interleave/accuracy", "Accuracy",
         "share of right final answers, in training", true},
        {"training-intermediate", "interleave/intermediate_acc", "Intermediate accuracy",
         "share of the intermediate answers that were given", true},
        {"training-gate", "interleave/gate", "The gate",
         "1: intermediate answers of the step could be paid", true},
        {"training-paid", "interleave/intermediate_gate", "Paid",
         "share of responses whose intermediate answers were paid", true},
        {"training-ttfa", "interleave/ttfa", "Time to the first answer",
         "as a share of the response", true},
        {"training-length", "response_length/mean", "Length", "tokens of a response", false},
        {"training-reward", "critic/score/mean", "Reward", "mean of a step", false},
    };
    struct pl_run_story stories[LINES] = {0};
    bool there[LINES];

    for (size_t k = 0; k < LINES; k++)
        there[k] = read_story(results, names[k], 0, &stories[k]);
    pl_gallery_begin(gallery);
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++)
        plot(gallery, stories, there, &plots[i]);
    pl_gallery_end(gallery);
    for (size_t k = 0; k < LINES; k++)
        if (there[k])
            pl_run_story_release(&stories[k]);
}

/* ---- claims ---- */

/* The mean over the cells [from, to) of count parts. */
static double mean_of(const struct pl_series *s, size_t from, size_t to)
{
    double sum = 0.0, n = 0.0;

    for (size_t i = from; i < to; i++) {
        sum += s->cells[i].sum;
        n += (double)s->cells[i].n;
    }
    return n > 0.0 ? sum / n : (double)NAN;
}

/* The step at which a smoothed curve has first done nine tenths of what it rises from its first to
 * its last tenth; NaN: it does not rise by a hundredth. */
static double risen_at(const struct pl_series *s)
{
    const size_t n = s->count, tenth = n / 10 > 0 ? n / 10 : 1;
    const double first = mean_of(s, 0, tenth), last = mean_of(s, n - tenth, n);
    double *y = malloc((n + 1) * sizeof *y), at = (double)NAN;

    if (y && n > 0 && last - first > 0.01) {
        pl_series_smooth(s, 5, y);
        for (size_t i = 0; i < n && isnan(at); i++)
            if (y[i] >= first + 0.9 * (last - first))
                at = pl_series_x(&s->cells[i]);
    }
    free(y);
    return at;
}

static double format_first(const struct pl_run_story *story)
{
    const struct pl_series *format = pl_run_story_metric(story, "interleave/format_ok", false);
    const struct pl_series *accuracy = pl_run_story_metric(story, "interleave/accuracy", false);

    return format && accuracy ? risen_at(accuracy) - risen_at(format) : (double)NAN;
}

static double gate_fades(const struct pl_run_story *story)
{
    const struct pl_series *gate = pl_run_story_metric(story, "interleave/gate", false);
    const size_t third = gate ? gate->count / 3 : 0;

    return third > 0 ? mean_of(gate, 0, third) - mean_of(gate, gate->count - third, gate->count)
                     : (double)NAN;
}

size_t pl_claims_of_training(const struct pl_results *results,
                             struct pl_claim ret_claims[PL_CLAIMS_MAX])
{
    static const struct {
        const char *name, *text, *what;
        double (*value)(const struct pl_run_story *story);
        enum pl_claim_unit unit;
    } rules[] = {
        {"format-first", "The format is learnt far sooner than accuracy.",
         "steps by which the format has done nine tenths of its rise before accuracy has, "
         "interleave + IR; from the least to the most of the seeds",
         format_first, PL_CLAIM_STEPS},
        {"gate-fades", "The gate pays often early and rarely late.",
         "rate of open gates in the first third of the steps less in the last, interleave + IR; "
         "from "
         "the least to the most of the seeds",
         gate_fades, PL_CLAIM_POINTS},
    };
    const struct pl_grid_row *row = pl_grid_named("interleave-ir");
    const size_t count = sizeof rules / sizeof *rules;

    for (size_t i = 0; i < count; i++) {
        struct pl_figure f = {(double)NAN, (double)NAN, (double)NAN};
        double sum = 0.0, n = 0.0;

        for (size_t s = 0; s < pl_reproduce_seeds(results->reproduce, row); s++) {
            struct pl_run_story story;
            double value;

            if (!read_story(results, row->name, s, &story))
                continue;
            value = rules[i].value(&story);
            pl_run_story_release(&story);
            if (isnan(value))
                continue;
            sum += value;
            n += 1.0;
            f.low = isnan(f.low) ? value : fmin(f.low, value);
            f.high = isnan(f.high) ? value : fmax(f.high, value);
        }
        if (n > 0.0)
            f.value = sum / n;
        ret_claims[i] = (struct pl_claim){.name = rules[i].name,
                                          .text = rules[i].text,
                                          .what = rules[i].what,
                                          .unit = rules[i].unit,
                                          .figure = f,
                                          .verdict = pl_claim_judge(f, 0.0)};
    }
    return count;
}
