#include "tests/chaos/sweep/rows.h"

#include "common/app/run_conf.h"
#include "common/app/settings.h"
#include "common/base/check.h"
#include "common/base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 12, MENDS_MAX = 400, ROWS_MAX = 4000, ANY_MOST_BITS = 40 };

/* Where the table's own range is none for a run of a second. `only`: this value and no other. */
static const struct bound {
    const char *name;
    double least, most;
    const char *only;
    const char *why;
} bounds[] = {
    {"data.train_batch_size", 1, 8, NULL, "time"},
    {"data.max_prompt_length", 124, 160, NULL, "the tasks have 117 to 128 tokens"},
    {"data.max_response_length", 1, 96, NULL, "the model has 256 positions"},
    {"rollout.n", 1, 8, NULL, "time"},
    {"rollout.val_kwargs.n", 1, 24, NULL, "time"},
    {"algorithm.filter_groups.spare", 0, 4, NULL, "time"},
    {"actor.ppo_epochs", 1, 3, NULL, "time"},
    {"critic.ppo_epochs", 1, 3, NULL, "time"},
    {"actor.ppo_mini_batch_size", 0, 4, NULL, "it divides the batch"},
    {"actor.ppo_max_token_len", 256, 4096, NULL, "the memory that the learner plans"},
    {"trainer.total_training_steps", 1, 12, NULL, "time"},
    {"trainer.test_freq", 0, 12, NULL, "no evaluation behind the last step"},
    {"workers.actors", 1, 3, NULL, "processes"},
    {"workers.actor_threads", 0, 3, NULL, "threads"},
    {"workers.actor_slots", 1, 64, NULL, "memory"},
    {"workers.rewarders", 1, 2, NULL, "processes"},
    {"workers.rewarder_threads", 1, 3, NULL, "threads"},
    {"workers.learner_threads", 0, 3, NULL, "threads"},
    {"workers.learner_stays", 0, 0, "no", "a run that does not end has no end to be judged"},
    {"run.memory_max", 1e9, 1e12, NULL, "what is too little is refused"},
    {"reward.exec.timeout_s", 9, 10, NULL, "what is too short for the verifier is parked"},
    {"reward.exec.memory_mb", 1024, 1 << 20, NULL, "what is too little for it is parked"},
};

static const struct bound *bound_of(const char *name)
{
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (strcmp(bounds[i].name, name) == 0)
            return &bounds[i];
    return NULL;
}

/* ---- values ---- */

/* A number as it is typed. */
static char *number(enum pl_option_kind kind, double x)
{
    return kind == PL_OPTION_KIND_SIZE ? pl_strf("%.0f", floor(x)) : pl_strf("%.6g", x);
}

/* Takes the text over. The same number in other words is not a second value. */
static int add_value(struct pl_factor *f, char *text)
{
    if (!text)
        return PL_ENOMEM;
    for (size_t i = 0; i < f->count; i++) {
        const bool same =
            f->option->kind == PL_OPTION_KIND_SIZE || f->option->kind == PL_OPTION_KIND_REAL
                ? strtod(f->values[i], NULL) == strtod(text, NULL)
                : strcmp(f->values[i], text) == 0;

        if (same) {
            free(text);
            return PL_OK;
        }
    }
    PL_ASSERT(f->count < PL_VALUES_MAX);
    f->values[f->count++] = text;
    return PL_OK;
}

/* As evenly over orders of magnitude as the range has them. */
static double draw_number(const struct pl_rng *rng, uint32_t i, double least, double most)
{
    const double u = pl_rng_below(rng, i, 1 << 20) / (double)(1 << 20);

    if (least >= 0.0 && most > 1000.0 * (least > 0.0 ? least : 1e-3)) {
        const double from = log(least > 0.0 ? least : most <= 1.0 ? 1e-4 : 1e-2);

        return exp(from + u * (log(most) - from));
    }
    return least + u * (most - least);
}

static int add_numbers(struct pl_factor *f, const struct pl_rng *rng)
{
    const struct pl_option *o = f->option;
    const struct bound *b = bound_of(o->name);
    const bool any = o->least == 0.0 && o->most == 0.0;
    const double least = b ? b->least : o->least;
    const double most = b ? b->most : any ? ldexp(1.0, ANY_MOST_BITS) : o->most;
    const double initial = strtod(o->initial, NULL);
    int rc = PL_OK;

    if (initial >= least && initial <= most)
        rc = add_value(f, strdup(o->initial));
    if (rc == PL_OK)
        rc = add_value(f, number(o->kind, least));
    if (rc == PL_OK && o->kind == PL_OPTION_KIND_SIZE && least == 0.0)
        rc = add_value(f, number(o->kind, 1.0));
    if (rc == PL_OK)
        rc = add_value(f, number(o->kind, most));
    for (uint32_t i = 0; rc == PL_OK && i < 2; i++)
        rc = add_value(f, number(o->kind, draw_number(rng, i, least, most)));
    return rc;
}

static int add_choices(struct pl_factor *f, const char *choices)
{
    char *copy = strdup(choices), *rest = copy, *word;
    int rc = copy ? PL_OK : PL_ENOMEM;

    while (rc == PL_OK && (word = strsep(&rest, "|")) != NULL)
        if (f->count < PL_VALUES_MAX)
            rc = add_value(f, strdup(word));
    free(copy);
    return rc;
}

/* The line of a setting in a printed configuration, without its name; from malloc(). */
static char *base_value(const char *printed, const char *name)
{
    const size_t len = strlen(name);

    for (const char *at = printed; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, name, len) == 0 && strncmp(at + len, ": ", 2) == 0)
            return strndup(at + len + 2, strcspn(at + len + 2, "\n"));
    return NULL;
}

static bool is_swept(const struct pl_option *o)
{
    const struct bound *b = o->name ? bound_of(o->name) : NULL;

    return (o->kind == PL_OPTION_KIND_FLAG || o->kind == PL_OPTION_KIND_CHOICE ||
            o->kind == PL_OPTION_KIND_SIZE || o->kind == PL_OPTION_KIND_REAL) &&
           !(b && b->only);
}

int pl_factors_make(const char *config, uint64_t seed, struct pl_factor *ret, size_t *ret_count,
                    struct pl_error *err)
{
    const struct pl_command *table = pl_run_conf_table();
    struct pl_run_conf conf;
    struct pl_buf printed;
    size_t n = 0;
    int rc = pl_run_conf_load(config, NULL, 0, &conf, err);

    if (rc < 0)
        return rc;
    pl_buf_init(&printed, 1 << 20);
    rc = pl_run_conf_print(&conf, false, &printed);
    for (size_t i = 0; rc == PL_OK && i < table->count; i++) {
        const struct pl_option *o = &table->options[i];
        const struct pl_rng rng = {
            .seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = (uint32_t)i};

        if (!is_swept(o))
            continue;
        PL_ASSERT(n < PL_FACTORS_MAX);
        ret[n] = (struct pl_factor){.option = o};
        rc = add_value(&ret[n], base_value(printed.data, o->name));
        if (rc == PL_OK && o->kind == PL_OPTION_KIND_FLAG)
            rc = add_choices(&ret[n], "yes|no");
        else if (rc == PL_OK && o->kind == PL_OPTION_KIND_CHOICE)
            rc = add_choices(&ret[n], o->choices);
        else if (rc == PL_OK)
            rc = add_numbers(&ret[n], &rng);
        n++;
    }
    pl_buf_release(&printed);
    pl_run_conf_release(&conf);
    if (rc < 0) {
        pl_factors_release(ret, n);
        return pl_fail(err, rc, "no memory for the settings");
    }
    *ret_count = n;
    return PL_OK;
}

void pl_factors_release(struct pl_factor *factors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < factors[i].count; v++)
            free(factors[i].values[v]);
}

/* ---- rows ---- */

int pl_row_words(const struct pl_factor *factors, size_t count, const struct pl_row *row,
                 const char *const *fixed, char **ret)
{
    size_t n = 0;

    ret[0] = NULL;
    for (; fixed && *fixed; fixed++) {
        ret[n] = strdup(*fixed);
        if (!ret[n])
            return PL_ENOMEM;
        ret[++n] = NULL;
    }
    for (size_t f = 0; row && f < count; f++)
        if (row->at[f] > 0) {
            ret[n] = pl_strf("%s=%s", factors[f].option->name, factors[f].values[row->at[f]]);
            if (!ret[n])
                return PL_ENOMEM;
            ret[++n] = NULL;
        }
    return PL_OK;
}

void pl_row_words_free(char **words)
{
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    words[0] = NULL;
}

bool pl_row_is_taken(const char *config, char *const *words, struct pl_error *ret_why)
{
    struct pl_run_conf conf;
    size_t n = 0;

    while (words[n])
        n++;
    if (pl_run_conf_load(config, words, n, &conf, ret_why) < 0)
        return false;
    pl_run_conf_release(&conf);
    return true;
}

struct plan {
    const char *config;
    const struct pl_factor *factors;
    size_t count, values; /* values of all factors */
    size_t first[PL_FACTORS_MAX + 1];
    unsigned char *done; /* (values, values): a pair that stood together, or cannot */
    struct pl_rng rng;
    uint32_t drawn;
};

static size_t below(struct plan *p, size_t n)
{
    return pl_rng_below(&p->rng, p->drawn++, (uint32_t)n);
}

static unsigned char *pair(struct plan *p, size_t f, size_t v, size_t g, size_t w)
{
    const size_t a = p->first[f] + v, b = p->first[g] + w;

    return &p->done[a < b ? a * p->values + b : b * p->values + a];
}

/* Pairs that a value of a factor would add to those that are set. */
static size_t gain(struct plan *p, const struct pl_row *row, const bool *set, size_t f, size_t v)
{
    size_t n = 0;

    for (size_t g = 0; g < p->count; g++)
        n += g != f && set[g] && !*pair(p, f, v, g, row->at[g]);
    return n;
}

static void fill(struct plan *p, struct pl_row *row, bool *set)
{
    size_t order[PL_FACTORS_MAX];

    for (size_t i = 0; i < p->count; i++) { /* shuffled */
        const size_t k = below(p, i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    for (size_t i = 0; i < p->count; i++) {
        const size_t f = order[i], from = below(p, p->factors[f].count);
        size_t best = 0, most = 0;

        if (set[f])
            continue;
        for (size_t k = 0; k < p->factors[f].count; k++) {
            const size_t v = (from + k) % p->factors[f].count, n = gain(p, row, set, f, v);

            if (k == 0 || n > most) {
                best = v;
                most = n;
            }
        }
        row->at[f] = (unsigned char)best;
        set[f] = true;
    }
}

static bool taken(const struct plan *p, const struct pl_row *row, struct pl_error *ret_why)
{
    char *words[PL_FACTORS_MAX + 1];
    const bool is = pl_row_words(p->factors, p->count, row, NULL, words) == PL_OK &&
                    pl_row_is_taken(p->config, words, ret_why);

    pl_row_words_free(words);
    return is;
}

/* Whether the sentence speaks of the setting: in quotes. */
static bool names(const char *sentence, const char *name)
{
    char quoted[128];

    snprintf(quoted, sizeof quoted, "'%s'", name);
    return strstr(sentence, quoted) != NULL;
}

/* Back to the base, setting by setting of those that a refusal names, until it is taken; the two
 * that are kept stay as they are. */
static bool mend(struct plan *p, struct pl_row *row, size_t keep, size_t keep_too)
{
    for (unsigned i = 0; i < MENDS_MAX; i++) {
        struct pl_error why = {0};
        bool changed = false;

        if (taken(p, row, &why))
            return true;
        for (size_t f = 0; f < p->count && !changed; f++)
            if (row->at[f] > 0 && f != keep && f != keep_too &&
                names(why.text, p->factors[f].option->name)) {
                row->at[f] = 0;
                changed = true;
            }
        if (!changed)
            return false;
    }
    return false;
}

static void note(struct plan *p, const struct pl_row *row)
{
    for (size_t f = 0; f < p->count; f++)
        for (size_t g = f + 1; g < p->count; g++)
            *pair(p, f, row->at[f], g, row->at[g]) = 1;
}

static size_t fresh(struct plan *p, const struct pl_row *row)
{
    size_t n = 0;

    for (size_t f = 0; f < p->count; f++)
        for (size_t g = f + 1; g < p->count; g++)
            n += !*pair(p, f, row->at[f], g, row->at[g]);
    return n;
}

/* The best of some rows that have this pair; false: the pair is refused in any company. */
static bool row_of(struct plan *p, size_t f, size_t v, size_t g, size_t w, struct pl_row *ret)
{
    struct pl_row alone = {0};
    size_t most = 0;

    alone.at[f] = (unsigned char)v;
    alone.at[g] = (unsigned char)w;
    if (!taken(p, &alone, NULL))
        return false;
    *ret = alone;
    for (unsigned i = 0; i < TRIES; i++) {
        bool set[PL_FACTORS_MAX] = {false};
        struct pl_row row = alone;
        size_t n;

        set[f] = set[g] = true;
        fill(p, &row, set);
        if (!mend(p, &row, f, g))
            continue;
        n = fresh(p, &row);
        if (n > most) {
            most = n;
            *ret = row;
        }
    }
    return true;
}

int pl_rows_make(const char *config, const struct pl_factor *factors, size_t count, uint64_t seed,
                 size_t rows_max, struct pl_row **ret_rows, size_t *ret_count,
                 struct pl_cover *ret_cover)
{
    struct plan p = {.config = config,
                     .factors = factors,
                     .count = count,
                     .rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST, .prompt = 1u << 20}};
    struct pl_row *rows = calloc(ROWS_MAX, sizeof *rows);
    size_t n = 0;

    *ret_cover = (struct pl_cover){0};
    for (size_t f = 0; f < count; f++)
        p.first[f + 1] = p.first[f] + factors[f].count;
    p.values = p.first[count];
    p.done = calloc(p.values, p.values);
    if (!rows || !p.done) {
        free(rows);
        free(p.done);
        return PL_ENOMEM;
    }
    for (size_t f = 0; f < count; f++)
        for (size_t g = f + 1; g < count; g++)
            for (size_t v = 0; v < factors[f].count; v++)
                for (size_t w = 0; w < factors[g].count; w++) {
                    ret_cover->pairs++;
                    if (*pair(&p, f, v, g, w) || (rows_max > 0 && n >= rows_max))
                        continue;
                    if (row_of(&p, f, v, g, w, &rows[n])) {
                        PL_ASSERT(n + 1 < ROWS_MAX);
                        note(&p, &rows[n++]);
                    } else {
                        ret_cover->refused++;
                        *pair(&p, f, v, g, w) = 1;
                    }
                }
    for (size_t i = 0; i < p.values * p.values; i++)
        ret_cover->met += p.done[i];
    ret_cover->met -= ret_cover->refused;
    free(p.done);
    *ret_rows = rows;
    *ret_count = n;
    return PL_OK;
}
