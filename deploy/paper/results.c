#include "deploy/paper/results.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>

static int read_answers(const struct pl_reproduce *r, const char *name, struct pl_answers *to,
                        struct pl_finding_row *row, struct pl_error *err)
{
    char *path = name ? pl_strf("%s/evals/%s.jsonl", r->dir, name) : NULL;
    char *whole = name ? pl_strf("%s/evals/%s.json", r->dir, name) : NULL;
    int rc = path && whole ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the name of a file");

    if (rc == PL_OK && pl_path_exists(whole)) /* else it is not measured, or not to the end */
        rc = pl_answers_read(path, to, err);
    if (rc == PL_OK && to->count > 0)
        row->seeds[row->count++] = to;
    free(whole);
    free(path);
    return rc;
}

static size_t read_sizes(const struct pl_option_list *list, unsigned sizes[PL_RESULTS_SIZES_MAX])
{
    size_t n = 0;

    for (; n < list->count && n < PL_RESULTS_SIZES_MAX; n++)
        sizes[n] = (unsigned)strtoul(list->items[n], NULL, 10);
    return n;
}

static int read_row(struct pl_results *x, size_t i, struct pl_error *err)
{
    const struct pl_grid_row *row = &pl_grid[i];
    int rc = PL_OK;

    for (size_t s = 0; rc == PL_OK && s < pl_reproduce_seeds(x->reproduce, row); s++) {
        char *name = pl_reproduce_name(x->reproduce, row, s);

        rc = read_answers(x->reproduce, name, &x->answers[i][s], &x->rows[i], err);
        free(name);
    }
    return rc;
}

/* Comparisons pair the tasks of two rows, which must therefore be the same ones. */
static int check_tasks(const struct pl_results *x, struct pl_error *err)
{
    const struct pl_answers *first = NULL;

    for (size_t i = 0; i < pl_grid_count; i++)
        for (size_t s = 0; s < x->rows[i].count; s++) {
            first = first ? first : x->rows[i].seeds[s];
            if (x->rows[i].seeds[s]->count != first->count)
                return pl_fail(
                    err, PL_EFORMAT, "'%s/evals': row '%s' has answered %zu tasks, others %zu",
                    x->reproduce->dir, pl_grid[i].name, x->rows[i].seeds[s]->count, first->count);
        }
    return PL_OK;
}

int pl_results_read(const struct pl_reproduce *r, struct pl_results *ret_results,
                    struct pl_error *err)
{
    struct pl_results x = {.reproduce = r};
    int rc = PL_OK;

    x.answers = calloc(pl_grid_count, sizeof *x.answers);
    x.rows = calloc(pl_grid_count, sizeof *x.rows);
    if (!x.answers || !x.rows)
        rc = pl_fail(err, PL_ENOMEM, "no memory for results");
    x.people_count = read_sizes(&r->scale->people, x.people);
    x.unseen_count = read_sizes(&r->scale->people_unseen, x.unseen);
    x.hops_count = read_sizes(&r->scale->hops, x.hops);
    for (size_t i = 0; rc == PL_OK && i < pl_grid_count; i++)
        rc = read_row(&x, i, err);
    *ret_results = x;
    for (size_t m = 0; rc == PL_OK && m <= PL_METHOD_COT; m++) {
        char *name = pl_reproduce_before((enum pl_method)m);

        rc = read_answers(r, name, &ret_results->before_answers[m], &ret_results->before[m], err);
        free(name);
    }
    if (rc == PL_OK)
        rc = check_tasks(ret_results, err);
    if (rc < 0)
        pl_results_release(ret_results);
    return rc;
}

void pl_results_release(struct pl_results *results)
{
    for (size_t i = 0; results->answers && i < pl_grid_count; i++)
        for (size_t s = 0; s < PL_REPRODUCE_SEEDS_MAX; s++)
            pl_answers_release(&results->answers[i][s]);
    for (size_t m = 0; m <= PL_METHOD_COT; m++)
        pl_answers_release(&results->before_answers[m]);
    free(results->answers);
    free(results->rows);
    *results = (struct pl_results){0};
}

const struct pl_finding_row *pl_results_row(const struct pl_results *results, const char *name)
{
    return &results->rows[pl_grid_named(name) - pl_grid];
}

/* ---- slices ---- */

static unsigned least(const unsigned *sizes, size_t n)
{
    unsigned x = sizes[0];

    for (size_t i = 1; i < n; i++)
        x = sizes[i] < x ? sizes[i] : x;
    return x;
}

static unsigned most(const unsigned *sizes, size_t n)
{
    unsigned x = sizes[0];

    for (size_t i = 1; i < n; i++)
        x = sizes[i] > x ? sizes[i] : x;
    return x;
}

size_t pl_slice_people(unsigned least_, unsigned most_, struct pl_slice ret[PL_FINDING_SLICES_MAX])
{
    ret[0] = (struct pl_slice){"kk", least_, most_, 1.0};
    return 1;
}

size_t pl_slice_where(const struct pl_results *x, enum pl_grid_where where,
                      struct pl_slice ret[PL_FINDING_SLICES_MAX])
{
    const struct pl_slice kk = {"kk", least(x->people, x->people_count),
                                most(x->people, x->people_count), 1.0};
    const struct pl_slice hops = {"hops", 0, 99, 1.0}, arith = {"arith", 0, 99, 1.0};

    switch (where) {
    case PL_GRID_KK:
        ret[0] = kk;
        return 1;
    case PL_GRID_HOPS:
        ret[0] = hops;
        return 1;
    case PL_GRID_UNSEEN:
        ret[0] = arith;
        return 1;
    default:
        ret[0] = kk;
        ret[1] = hops;
        ret[2] = arith;
        for (size_t i = 0; i < 3; i++)
            ret[i].weight = 1.0 / 3.0;
        return 3;
    }
}

size_t pl_slice_harder(const struct pl_results *x, struct pl_slice ret[PL_FINDING_SLICES_MAX])
{
    const unsigned low = least(x->people, x->people_count), high = most(x->people, x->people_count);
    const unsigned middle = low + (high - low) / 2; /* the easier ones end there */

    if (low == high)
        return 0;
    ret[0] = (struct pl_slice){"kk", middle + 1, high, 1.0};
    ret[1] = (struct pl_slice){"kk", low, middle, -1.0};
    return 2;
}
