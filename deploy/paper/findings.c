#include "deploy/paper/findings.h"

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rng.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 1000, LOW = 25, HIGH = 975 }; /* the 2.5th and the 97.5th percentile */

/* ---- responses ---- */

static double number(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static int read_row(const json_t *row, struct pl_answered *to)
{
    const char *source = json_string_value(json_object_get(row, "source"));
    const char *level = json_string_value(json_object_get(row, "level"));
    const char *verdict = json_string_value(json_object_get(row, "verdict"));
    const json_t *format = json_object_get(row, "format_ok");
    const double tokens = number(row, "tokens"), first = number(row, "first_answer");
    const double steps = number(row, "steps"), given = number(row, "steps_right");
    const bool right = verdict && strcmp(verdict, "right") == 0;
    const bool answered = first >= 0.0 && tokens > 0.0;

    if (!source || !level || !verdict || !json_is_boolean(format) || !(tokens >= 0.0) ||
        !(first <= tokens) || !(given >= 0.0) || !(given <= steps))
        return PL_EFORMAT;
    *to = (struct pl_answered){.level = (unsigned)strtoul(level, NULL, 10)};
    strncpy(to->source, source, sizeof to->source - 1);
    to->values[PL_MEASURE_PASS] = right ? 1.0F : 0.0F;
    to->values[PL_MEASURE_FORMAT] = json_is_true(format) ? 1.0F : 0.0F;
    to->values[PL_MEASURE_TTFA] = answered ? (float)(first / tokens) : NAN;
    to->values[PL_MEASURE_TTFA_TOKENS] = answered ? (float)first : NAN;
    to->values[PL_MEASURE_STEPS] = steps > 0.0 ? (float)(given / steps) : NAN;
    to->values[PL_MEASURE_STEPS_ALL_RIGHT] =
        steps > 0.0 && right ? (given == steps ? 1.0F : 0.0F) : NAN;
    to->values[PL_MEASURE_LENGTH] = (float)tokens;
    to->values[PL_MEASURE_LENGTH_RIGHT] = right ? (float)tokens : NAN;
    to->values[PL_MEASURE_LENGTH_WRONG] = right ? NAN : (float)tokens;
    return PL_OK;
}

static int add_line(struct pl_answers *a, size_t *cap, const char *line, size_t len)
{
    json_t *row = json_loadb(line, len, 0, NULL);
    int rc = PL_EFORMAT;

    if (json_is_object(row)) {
        rc = PL_OK;
        if (a->count == *cap) {
            const size_t more = *cap ? 2 * *cap : 1024;
            struct pl_answered *list = realloc(a->list, more * sizeof *list);

            rc = list ? PL_OK : PL_ENOMEM;
            a->list = list ? list : a->list;
            *cap = list ? more : *cap;
        }
        if (rc == PL_OK)
            rc = read_row(row, &a->list[a->count]);
        a->count += rc == PL_OK;
    }
    json_decref(row);
    return rc;
}

int pl_answers_read(const char *path, struct pl_answers *ret_answers, struct pl_error *err)
{
    struct pl_answers a = {0};
    size_t number = 0, cap = 0;
    struct pl_map map = {0};
    int rc = pl_map_open(path, &map, err);

    for (size_t at = 0; rc == PL_OK && at < map.len;) {
        const char *line = (const char *)map.data + at;
        const char *newline = memchr(line, '\n', map.len - at);
        const size_t len = newline ? (size_t)(newline - line) : map.len - at;

        at += len + 1;
        number++;
        rc = add_line(&a, &cap, line, len);
        if (rc < 0)
            pl_fail(err, rc, "'%s', line %zu: %s", path, number,
                    rc == PL_ENOMEM ? "no memory for it"
                                    : "expected a response as plait eval --out writes it");
    }
    pl_map_close(&map);
    if (rc < 0)
        pl_answers_release(&a);
    else
        *ret_answers = a;
    return rc;
}

void pl_answers_release(struct pl_answers *answers)
{
    free(answers->list);
    *answers = (struct pl_answers){0};
}

/* ---- figures ---- */

/* The tasks of each slice, as places in the answers. */
struct cut {
    size_t *places; /* of all slices, one behind the other */
    size_t first[PL_FINDING_SLICES_MAX + 1];
    const struct pl_slice *slices;
    size_t count;
};

static bool is_in(const struct pl_answered *a, const struct pl_slice *s)
{
    return strncmp(a->source, s->source, sizeof a->source - 1) == 0 && a->level >= s->least &&
           a->level <= s->most;
}

static bool cut_make(struct cut *c, const struct pl_answers *answers, const struct pl_slice *slices,
                     size_t count)
{
    size_t n = 0;

    PL_ASSERT(count <= PL_FINDING_SLICES_MAX);
    *c = (struct cut){.slices = slices, .count = count};
    c->places = malloc((answers->count * count + 1) * sizeof *c->places);
    for (size_t s = 0; c->places && s < count; s++) {
        c->first[s] = n;
        for (size_t i = 0; i < answers->count; i++)
            if (is_in(&answers->list[i], &slices[s]))
                c->places[n++] = i;
    }
    c->first[count] = n;
    return c->places != NULL;
}

/* Which seeds and which tasks a figure is over: those that are, or a draw with replacement. */
struct draw {
    const size_t *places; /* as many as the cut's */
    size_t seeds[PL_FINDING_SEEDS_MAX];
};

static double figure(const struct pl_finding_row *row, enum pl_measure measure, const struct cut *c,
                     const struct draw *d)
{
    double all = 0.0;

    for (size_t s = 0; s < c->count; s++) {
        double sum = 0.0, n = 0.0;

        for (size_t k = 0; k < row->count; k++) {
            const struct pl_answered *list = row->seeds[d->seeds[k]]->list;

            for (size_t i = c->first[s]; i < c->first[s + 1]; i++) {
                const double value = (double)list[d->places[i]].values[measure];

                sum += isnan(value) ? 0.0 : value;
                n += isnan(value) ? 0.0 : 1.0;
            }
        }
        if (n == 0.0)
            return (double)NAN;
        all += c->slices[s].weight * sum / n;
    }
    return all;
}

/* What is compared: b NULL: nothing. */
struct compared {
    const struct pl_finding_row *a, *b;
    enum pl_measure measure;
    bool cut; /* 1 - a / b, else a - b */
};

static double value_of(const struct compared *x, const struct cut *c, const struct draw *da,
                       const struct draw *db)
{
    const double a = figure(x->a, x->measure, c, da);
    const double b = x->b ? figure(x->b, x->measure, c, db) : 0.0;

    return !x->cut ? a - b : b != 0.0 ? 1.0 - a / b : (double)NAN;
}

static void draw_seeds(struct draw *d, const struct pl_rng *rng, uint32_t at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        d->seeds[i] = (size_t)pl_rng_below(rng, at + (uint32_t)i, count);
}

/* Tasks of each slice, as many as there are. Four to a block of random bits: 32 bits are plenty for
 * some thousands of tasks, and this is where the time goes. */
static void draw_places(size_t *places, const struct pl_rng *rng, const struct cut *c)
{
    uint32_t words[4] = {0};

    for (size_t s = 0; s < c->count; s++) {
        const size_t from = c->first[s], n = c->first[s + 1] - from;

        for (size_t i = from; i < from + n; i++) {
            if (i % 4 == 0)
                pl_rng_words(rng, (uint32_t)(i / 4), words);
            places[i] = c->places[from + (size_t)((uint64_t)words[i % 4] * n >> 32)];
        }
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* NaN sorts nowhere: a draw that has nothing to see is left out, and where these are many there is
 * no interval. */
static void take_percentiles(double *values, size_t n, struct pl_figure *figure_)
{
    figure_->low = figure_->high = (double)NAN;
    if (n < DRAWS / 2)
        return;
    qsort(values, n, sizeof *values, by_value);
    figure_->low = values[(n - 1) * LOW / 1000];
    figure_->high = values[((n - 1) * HIGH + 999) / 1000];
}

static struct pl_figure bootstrap(const struct compared *x, const struct cut *c)
{
    const size_t n = c->first[c->count];
    struct draw da = {.places = c->places}, db = {.places = c->places};
    size_t *places = malloc((n + 1) * sizeof *places), kept = 0;
    double *values = malloc(DRAWS * sizeof *values);
    struct pl_figure f = {(double)NAN, (double)NAN, (double)NAN};

    for (size_t i = 0; i < PL_FINDING_SEEDS_MAX; i++)
        da.seeds[i] = db.seeds[i] = i;
    f.value = value_of(x, c, &da, &db);
    for (uint32_t k = 0; places && values && k < DRAWS && !isnan(f.value); k++) {
        const struct pl_rng rng = {.seed = 1, .batch = (uint32_t)PL_RNG_BOOTSTRAP, .sample = k};
        double value;

        draw_places(places, &rng, c);
        da.places = db.places = places;
        draw_seeds(&da, &rng, (uint32_t)n, x->a->count);
        if (x->b)
            draw_seeds(&db, &rng, (uint32_t)n + PL_FINDING_SEEDS_MAX, x->b->count);
        value = value_of(x, c, &da, &db);
        if (!isnan(value))
            values[kept++] = value;
    }
    if (places && values && !isnan(f.value))
        take_percentiles(values, kept, &f);
    free(places);
    free(values);
    return f;
}

/* All seeds of a row answered the tasks that `first` has. */
static bool are_alike(const struct pl_finding_row *row, const struct pl_answers *first)
{
    for (size_t k = 0; k < row->count; k++) {
        const struct pl_answers *other = row->seeds[k];

        if (other->count != first->count)
            return false;
        for (size_t i = 0; i < first->count; i++)
            if (other->list[i].level != first->list[i].level ||
                strcmp(other->list[i].source, first->list[i].source) != 0)
                return false;
    }
    return true;
}

static struct pl_figure compare(const struct compared *x, const struct pl_slice *slices,
                                size_t count)
{
    struct pl_figure f = {(double)NAN, (double)NAN, (double)NAN};
    struct cut c = {0};

    if (x->a->count == 0 || (x->b && x->b->count == 0) || !are_alike(x->a, x->a->seeds[0]) ||
        (x->b && !are_alike(x->b, x->a->seeds[0])))
        return f;
    if (cut_make(&c, x->a->seeds[0], slices, count))
        f = bootstrap(x, &c);
    free(c.places);
    return f;
}

struct pl_figure pl_finding(const struct pl_finding_row *row, enum pl_measure measure,
                            const struct pl_slice *slices, size_t count)
{
    return compare(&(struct compared){.a = row, .measure = measure}, slices, count);
}

struct pl_figure pl_finding_gain(const struct pl_finding_row *a, const struct pl_finding_row *b,
                                 enum pl_measure measure, const struct pl_slice *slices,
                                 size_t count)
{
    return compare(&(struct compared){.a = a, .b = b, .measure = measure}, slices, count);
}

struct pl_figure pl_finding_cut(const struct pl_finding_row *a, const struct pl_finding_row *b,
                                enum pl_measure measure, const struct pl_slice *slices,
                                size_t count)
{
    return compare(&(struct compared){.a = a, .b = b, .measure = measure, .cut = true}, slices,
                   count);
}

struct pl_figure pl_finding_spread(const struct pl_finding_row *row, enum pl_measure measure,
                                   const struct pl_slice *slices, size_t count)
{
    struct pl_figure f = {(double)NAN, (double)NAN, (double)NAN};
    struct cut c = {0};

    if (row->count == 0 || !are_alike(row, row->seeds[0]) ||
        !cut_make(&c, row->seeds[0], slices, count))
        return f;
    for (size_t k = 0; k < row->count; k++) {
        const struct pl_finding_row one = {.seeds = {row->seeds[k]}, .count = 1};
        const double value =
            figure(&one, measure, &c, &(struct draw){.places = c.places, .seeds = {0}});

        f.low = k == 0 ? value : fmin(f.low, value);
        f.high = k == 0 ? value : fmax(f.high, value);
    }
    f.value = f.high - f.low;
    free(c.places);
    return f;
}
