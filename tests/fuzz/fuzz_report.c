/*
 * A run's folder: whatever its files hold, what was read of it is within its bounds, and the page
 * made of it is whole: UTF-8 without control characters, tags that match, no tag that is not ours.
 *
 * The input is the files; it is taken when a metric, a setting or a rollout was found in it.
 */
#include "common/text/utf8.h"
#include "deploy/view/story_page.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 1 << 26, DEPTH_MAX = 32, TAG_MAX = 16 };

static void check_series(const struct pl_series *s)
{
    PL_ASSERT(s->count >= 1 && s->count <= PL_SERIES_CELLS && s->per_cell >= 1);
    for (size_t i = 0; i < s->count; i++) {
        const struct pl_series_cell *c = &s->cells[i];

        PL_ASSERT(c->x_first <= c->x_last && c->n <= c->places && c->places <= s->per_cell);
        PL_ASSERT(i == 0 || s->cells[i - 1].x_last < c->x_first);
        PL_ASSERT(c->n == 0 ? isnan(c->least) && isnan(c->most) : c->least <= c->most);
        PL_ASSERT(pl_series_find(s, c->x_first) == c);
    }
}

static void check_rollouts(const struct pl_rollout_file *f)
{
    size_t samples = 0;

    PL_ASSERT(f->level_count >= 1 && f->lines >= f->passed_over);
    PL_ASSERT(f->levels[0].samples == f->lines - f->passed_over);
    for (size_t i = 1; i < f->level_count; i++)
        samples += f->levels[i].samples;
    PL_ASSERT(samples <= f->levels[0].samples);
    for (size_t i = 0; i < f->level_count; i++) {
        const struct pl_rollout_level *l = &f->levels[i];

        PL_ASSERT(l->right <= l->samples && l->tasks <= l->samples && l->samples_max <= l->samples);
        PL_ASSERT(l->square_sum >= 0.0 && l->square_sum <= (double)l->tasks + 1e-9);
    }
    for (size_t k = 0; k < 2; k++)
        PL_ASSERT(f->pick_count[k] <= 2);
}

static bool check_story(const struct pl_run_story *story)
{
    for (size_t i = 0; i < story->metric_count; i++)
        check_series(&story->metrics[i].series);
    PL_ASSERT(story->passed_over <= 2 * story->lines + 1);
    if (story->train)
        check_rollouts(story->train);
    if (story->eval)
        check_rollouts(story->eval);
    return story->metric_count > 0 || story->setting_count > 0 || story->train || story->eval;
}

static bool is_ours(const char *tag)
{
    static const char ours[] =
        " html head meta title style body header main footer nav section article div span p b a h1 "
        "h2 h3 dl dt dd table caption thead tbody tr th td details summary figure figcaption svg "
        "desc path rect circle polygon text ";
    char word[TAG_MAX + 2];

    snprintf(word, sizeof word, " %s ", tag);
    return strstr(ours, word) != NULL;
}

static void check_page(const struct pl_buf *page)
{
    char open[DEPTH_MAX][TAG_MAX];
    size_t depth = 0;

    PL_ASSERT(strlen(page->data) == page->len && pl_utf8_valid(page->data, page->len));
    for (const char *p = page->data; *p; p++)
        PL_ASSERT((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t');
    for (const char *p = strstr(page->data, "<html"); (p = strchr(p, '<')) != NULL; p++) {
        const size_t len = strcspn(p + 1 + (p[1] == '/'), " >/");
        const char *end = strchr(p, '>');
        char tag[TAG_MAX];

        PL_ASSERT(end && len < TAG_MAX);
        snprintf(tag, sizeof tag, "%.*s", (int)len, p + 1 + (p[1] == '/'));
        PL_ASSERT(is_ours(tag));
        if (p[1] == '/') {
            PL_ASSERT(depth > 0 && strcmp(open[--depth], tag) == 0);
        } else if (end[-1] != '/') {
            PL_ASSERT(depth < DEPTH_MAX);
            memcpy(open[depth++], tag, sizeof tag);
        }
    }
    PL_ASSERT(depth == 0);
}

static void check_json(const struct pl_stories *stories)
{
    json_t *json = pl_story_json(stories), *again;
    char *text = json ? json_dumps(json, 0) : NULL;

    PL_ASSERT(text);
    again = json_loads(text, 0, NULL);
    PL_ASSERT(again);
    json_decref(again);
    json_decref(json);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.yaml", "metrics.jsonl", "rollouts/3.jsonl",
                                        "rollouts/e3.jsonl", "best/evaluation.json"};
    const struct pl_run_story_opts opts = {.picks = 2};
    struct pl_stories stories;
    struct pl_error err = {0};
    struct pl_buf page;
    int rc;

    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, sizeof names / sizeof *names);
    PL_ASSERT(pl_stories_init(&stories, 2) == PL_OK);
    rc = pl_run_story_read(pl_fuzz_dir(), &opts, &stories.runs[0], &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, PL_FUZZ_CODE(PL_ENOENT));
        pl_stories_release(&stories);
        return 0;
    }
    stories.count = 1;
    pl_fuzz_taken(check_story(&stories.runs[0]));
    pl_stories_name(&stories);
    pl_buf_init(&page, PAGE_MAX);
    PL_ASSERT(pl_story_page(&stories, NULL, &page, NULL) == PL_OK);
    check_page(&page);
    check_json(&stories);
    pl_buf_release(&page);
    pl_stories_release(&stories);
    return 0;
}
