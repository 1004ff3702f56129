#include "deploy/paper/results_page.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "deploy/paper/results_plots.h"
#include "deploy/paper/results_tables.h"
#include "deploy/paper/results_training.h"
#include "deploy/view/page.h"
#include "deploy/view/plot.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_MAX = 64 << 20 };

/* What all documents are made of. */
struct matter {
    const struct pl_results *results;
    struct pl_claim claims[PL_CLAIMS_MAX];
    size_t claim_count;
    struct pl_sheet sheets[PL_RESULTS_TABLES];
};

static const char about[] =
    "The tables of Xie et al., Interleaved Reasoning for Large Language Models via Reinforcement "
    "Learning (arXiv 2505.19640), at a small scale: made-up problems, a small model warm-started "
    "on "
    "worked answers of mixed quality, then trained by reward.";

static int write_file(const struct pl_results *x, const char *name, const struct pl_buf *buf,
                      struct pl_error *err)
{
    char *path = pl_strf("%s/%s", x->reproduce->dir, name);
    struct pl_outfile out = {0};
    int rc = path ? pl_outfile_open(path, &out, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the name of a file");

    if (rc == PL_OK)
        rc = pl_outfile_write(&out, buf->data, buf->len, err);
    if (rc == PL_OK)
        rc = pl_outfile_commit(&out, err);
    pl_outfile_abort(&out);
    free(path);
    return rc;
}

/* ---- Markdown ---- */

static const char training_about[] =
    "Metrics over the steps of training by reward, the first seed of each row.";

/* The text, and a file of each plot. */
static int markdown(const struct matter *m, struct pl_buf *out, struct pl_error *err)
{
    struct pl_gallery gallery = {.dir = m->results->reproduce->dir, .markdown = out, .err = err};
    int rc = pl_buf_printf(out, "# Results\n\n%s\n\n", about);

    for (size_t i = 0; rc == PL_OK && gallery.rc == PL_OK && i < PL_RESULTS_TABLES; i++) {
        rc = pl_sheet_markdown(&m->sheets[i], out);
        if (rc == PL_OK)
            pl_results_plots(m->results, m->sheets[i].id, &gallery);
    }
    if (rc == PL_OK)
        rc = pl_buf_printf(out, "## Training\n\n%s\n\n", training_about);
    if (rc < 0)
        return pl_fail(err, rc, "no memory to write results");
    if (gallery.rc == PL_OK)
        pl_results_training(m->results, &gallery);
    return gallery.rc;
}

/* ---- JSON ---- */

static json_t *real(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

static json_t *figure_json(struct pl_figure f)
{
    return json_pack("{s:o, s:o, s:o}", "value", real(f.value), "low", real(f.low), "high",
                     real(f.high));
}

/* Of a row: every measure in every place. */
static json_t *row_json(const struct pl_results *x, const struct pl_finding_row *row)
{
    static const char *const measures[PL_MEASURES] = {
        "pass_at_1",       "format_rate",           "ttfa",
        "ttfa_tokens",     "intermediate_accuracy", "steps_all_right_of_right",
        "response_length", "response_length_right", "response_length_wrong"};
    static const char *const places[PL_GRID_WHERES] = {"kk", "hops", "arith", "average"};
    json_t *json = json_pack("{s:i}", "seeds", (int)row->count);

    for (int w = 0; row->count > 0 && w < PL_GRID_WHERES; w++) {
        struct pl_slice slices[PL_FINDING_SLICES_MAX];
        const size_t n = pl_slice_where(x, (enum pl_grid_where)w, slices);
        json_t *place = json_object();

        for (int k = 0; k < PL_MEASURES; k++)
            json_object_set_new(place, measures[k],
                                figure_json(pl_finding(row, (enum pl_measure)k, slices, n)));
        json_object_set_new(place, "seed_spread",
                            figure_json(pl_finding_spread(row, PL_MEASURE_PASS, slices, n)));
        json_object_set_new(json, places[w], place);
    }
    return json;
}

static json_t *sizes_json(const struct pl_finding_row *row, const char *source,
                          const unsigned *sizes, size_t n)
{
    json_t *json = json_object();

    for (size_t i = 0; i < n; i++) {
        const struct pl_slice slice = {source, sizes[i], sizes[i], 1.0};
        char key[16];

        snprintf(key, sizeof key, "%u", sizes[i]);
        json_object_set_new(json, key, figure_json(pl_finding(row, PL_MEASURE_PASS, &slice, 1)));
    }
    return json;
}

static json_t *results_json(const struct matter *m)
{
    const struct pl_results *x = m->results;
    json_t *rows = json_object(), *claims = json_array(), *seeds = json_array();

    for (size_t i = 0; i < x->reproduce->seed_count; i++)
        json_array_append_new(seeds, json_integer((json_int_t)x->reproduce->seeds[i]));
    for (size_t i = 0; i < pl_grid_count; i++) {
        const struct pl_finding_row *row = &x->rows[i];
        json_t *json = row_json(x, row);

        if (row->count > 0) {
            json_object_set_new(json, "people", sizes_json(row, "kk", x->people, x->people_count));
            json_object_set_new(json, "people_unseen",
                                sizes_json(row, "kk", x->unseen, x->unseen_count));
            json_object_set_new(json, "hops_by_size",
                                sizes_json(row, "hops", x->hops, x->hops_count));
        }
        json_object_set_new(rows, pl_grid[i].name, json);
    }
    for (size_t i = 0; i < PL_METHOD_COT + 1; i++)
        if (x->before[i].count > 0) {
            char key[64];

            snprintf(key, sizeof key, "before %s", pl_method_name((enum pl_method)i));
            json_object_set_new(rows, key, row_json(x, &x->before[i]));
        }
    for (size_t i = 0; i < m->claim_count; i++) {
        const struct pl_claim *c = &m->claims[i];

        json_array_append_new(claims, json_pack("{s:s, s:s, s:s, s:s, s:f, s:o}", "name", c->name,
                                                "claim", c->text, "of", c->what, "verdict",
                                                pl_claim_word(c->verdict), "more_than", c->least,
                                                "figure", figure_json(c->figure)));
    }
    return json_pack("{s:o, s:o, s:o}", "seeds", seeds, "claims", claims, "rows", rows);
}

static int write_json(const struct matter *m, struct pl_error *err)
{
    json_t *json = results_json(m);
    char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
    struct pl_buf buf;
    int rc;

    json_decref(json);
    pl_buf_init(&buf, DOCUMENT_MAX);
    rc = text ? pl_buf_printf(&buf, "%s\n", text) : PL_ENOMEM;
    free(text);
    rc = rc < 0 ? pl_fail(err, rc, "no memory to write results as JSON")
                : write_file(m->results, "results.json", &buf, err);
    pl_buf_release(&buf);
    return rc;
}

/* ---- HTML ---- */

/* How many claims came out how. */
static void tiles(const struct matter *m, struct pl_page *page)
{
    size_t counts[PL_CLAIM_OPEN + 1] = {0};
    char figure[32];

    for (size_t i = 0; i < m->claim_count; i++)
        counts[m->claims[i].verdict]++;
    pl_page_tiles(page);
    for (int v = PL_CLAIM_HOLDS; v <= PL_CLAIM_OPEN; v++) {
        snprintf(figure, sizeof figure, "%zu", counts[v]);
        pl_page_tile(page, figure, pl_claim_word((enum pl_verdict_of_claim)v), "of the claims");
    }
    pl_page_tiles_end(page);
}

static int html(const struct matter *m, struct pl_buf *out)
{
    const char *ids[PL_RESULTS_TABLES + 1], *names[PL_RESULTS_TABLES + 1];
    struct pl_page page;
    struct pl_gallery gallery = {.page = &page};

    pl_page_begin(&page,
                  &(struct pl_page_opts){.title = "Interleaved reasoning, at a small scale",
                                         .subtitle = about},
                  out);
    for (size_t i = 0; i < PL_RESULTS_TABLES; i++) {
        ids[i] = m->sheets[i].id;
        names[i] = m->sheets[i].title;
    }
    ids[PL_RESULTS_TABLES] = "training";
    names[PL_RESULTS_TABLES] = "Training";
    pl_page_links(&page, ids, names, PL_RESULTS_TABLES + 1);
    tiles(m, &page);
    for (size_t i = 0; i < PL_RESULTS_TABLES; i++) {
        pl_sheet_page(&m->sheets[i], &page, NULL);
        pl_results_plots(m->results, m->sheets[i].id, &gallery);
        pl_page_section_end(&page);
    }
    pl_page_section(&page, "training", "Training", training_about);
    pl_results_training(m->results, &gallery);
    pl_page_section_end(&page);
    return pl_page_end(&page, "Made by plait reproduce.");
}

int pl_results_write(const struct pl_results *results, struct pl_error *err)
{
    struct matter m = {.results = results};
    struct pl_buf buf;
    int rc;

    pl_buf_init(&buf, DOCUMENT_MAX);
    m.claim_count = pl_claims(results, m.claims);
    m.claim_count += pl_claims_of_training(results, m.claims + m.claim_count);
    rc = pl_results_tables(results, m.claims, m.claim_count, m.sheets);
    if (rc < 0)
        pl_fail(err, rc, "no memory to write results");
    else
        rc = markdown(&m, &buf, err);
    if (rc == PL_OK)
        rc = write_file(results, "results.md", &buf, err);
    if (rc == PL_OK)
        rc = write_json(&m, err);
    pl_buf_clear(&buf);
    if (rc == PL_OK) {
        rc = html(&m, &buf);
        rc = rc < 0 ? pl_fail(err, rc, "no memory to write results as a page")
                    : write_file(results, "results.html", &buf, err);
    }
    for (size_t i = 0; i < PL_RESULTS_TABLES; i++)
        pl_sheet_release(&m.sheets[i]);
    pl_buf_release(&buf);
    return rc;
}
