#include "deploy/view/story_samples.h"

#include "common/base/err.h"
#include "deploy/view/plot.h"
#include "deploy/view/ticks.h"
#include "rewarder/segments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 6000 };

static enum pl_method method_of(const struct pl_run_story *run)
{
    const char *name = pl_run_story_setting(run, "data.method");

    for (int m = PL_METHOD_INTERLEAVE; m <= PL_METHOD_COT; m++)
        if (strcmp(pl_method_name((enum pl_method)m), name) == 0)
            return (enum pl_method)m;
    return PL_METHOD_INTERLEAVE;
}

static bool is_answer(const json_t *segment)
{
    return strcmp(pl_sample_text(segment, "kind"), "answer") == 0;
}

/* ---- texts ---- */

/* Cut where it would never end. */
static void put_text(struct pl_markup *m, const char *text, size_t len)
{
    size_t kept = len;

    if (len > TEXT_MAX)
        for (kept = TEXT_MAX; kept > 0 && ((unsigned char)text[kept] & 0xC0) == 0x80;)
            kept--;
    pl_markup_text_n(m, text, kept);
    if (kept < len)
        pl_markup_printf(m, "<span class=\"cut\"> \xE2\x80\xA6 %zu bytes more</span>", len - kept);
}

/* What stands outside of tags; `stop`: the token that ended the response is there, and is no fault.
 */
static void put_between(struct pl_markup *m, const char *text, size_t begin, size_t end, bool stop)
{
    enum { STOP_MAX = 32 };

    while (begin < end && strchr(" \t\r\n", text[begin]))
        begin++;
    while (begin < end && strchr(" \t\r\n", text[end - 1]))
        end--;
    if (begin == end)
        return;
    if (stop && end - begin <= STOP_MAX && !memchr(text + begin, ' ', end - begin))
        pl_markup_put(m, "<div class=\"seg stop\">");
    else
        pl_markup_put(m, "<div class=\"seg outside\"><span class=\"what\">outside of tags</span>");
    put_text(m, text + begin, end - begin);
    pl_markup_put(m, "</div>\n");
}

static void put_number(struct pl_markup *m, double value)
{
    char text[PL_TICK_TEXT];

    pl_markup_printf(m, "%s%s", value > 0.0 ? "+" : "", pl_number_text(value, text));
}

struct teller {
    struct pl_markup *m;
    const struct pl_run_story *run;
    const json_t *sample, *segments;
    size_t answers; /* told so far */
};

static const char *verdict_class(const char *verdict)
{
    return strcmp(verdict, "right") == 0 ? "yes" : strcmp(verdict, "none") == 0 ? "open" : "no";
}

/* ", +0.25 (not paid: the gate was shut), charged -0.1" */
static void put_earned(struct teller *t, const json_t *segment)
{
    const double reward = pl_sample_number(segment, "reward");
    const double charge = pl_sample_number(segment, "charge");

    if (isfinite(reward) && reward != 0.0) {
        pl_markup_put(t->m, ", ");
        put_number(t->m, reward);
        if (json_is_false(json_object_get(t->sample, "gate")))
            pl_markup_put(t->m, " (not paid: the gate was shut)");
    }
    if (isfinite(charge) && charge != 0.0) {
        pl_markup_put(t->m, ", charged ");
        put_number(t->m, charge);
    }
}

/* "answer 2: right, truth 2, +0.125"; of the last one what the final answer earned. */
static void put_answer_note(struct teller *t, const json_t *segment, bool last)
{
    const char *verdict = pl_sample_text(segment, "verdict");
    const double step = pl_sample_number(segment, "step");
    struct pl_markup *m = t->m;

    pl_markup_printf(m, "<span class=\"what %s\">%s", verdict_class(verdict),
                     last ? "final answer" : "answer");
    if (!last)
        pl_markup_printf(m, " %zu", ++t->answers);
    if (verdict[0] && strcmp(verdict, "none") != 0) {
        pl_markup_put(m, strcmp(verdict, "right") == 0 ? ": \xE2\x9C\x93 " : ": \xE2\x9C\x97 ");
        pl_markup_text(m, verdict);
    }
    if (step >= 0.0 && step < 1e6)
        pl_markup_printf(m, ", truth %.0f", step + 1.0);
    if (last && isfinite(pl_sample_number(t->sample, "reward_final"))) {
        pl_markup_put(m, ", ");
        put_number(m, pl_sample_number(t->sample, "reward_final"));
    }
    put_earned(t, segment);
    pl_markup_put(m, "</span>");
}

static void put_pieces(struct teller *t, const char *text, size_t len,
                       const struct pl_segments *found)
{
    size_t done = 0;

    for (size_t i = 0; i < found->count; i++) {
        const struct pl_piece *piece = &found->pieces[i];
        const json_t *segment = json_array_get(t->segments, i);
        const bool answer = piece->kind == PL_SEGMENT_ANSWER;
        bool last = answer;

        for (size_t k = i + 1; k < found->count; k++)
            last = last && found->pieces[k].kind != PL_SEGMENT_ANSWER;
        put_between(t->m, text, done, piece->tag_begin, false);
        pl_markup_printf(t->m, "<div class=\"seg %s\">", answer ? "answer" : "think");
        if (!answer)
            pl_markup_put(t->m, "<span class=\"what\">think</span>");
        else if (!segment || is_answer(segment))
            put_answer_note(t, segment, last);
        put_text(t->m, text + piece->begin, piece->end - piece->begin);
        pl_markup_put(t->m, "</div>\n");
        done = piece->tag_end;
    }
    put_between(t->m, text, done, len,
                strcmp(pl_sample_text(t->sample, "finish_reason"), "stop") == 0);
}

static void put_response(struct pl_story_page *p, const struct pl_run_story *run,
                         const json_t *sample)
{
    const json_t *response = json_object_get(sample, "response");
    const char *text = json_is_string(response) ? json_string_value(response) : "";
    const size_t len = json_is_string(response) ? json_string_length(response) : 0;
    struct pl_segments *found = malloc(sizeof *found);
    struct teller t = {.m = &p->page.m,
                       .run = run,
                       .sample = sample,
                       .segments = json_object_get(sample, "segments")};

    if (!found) {
        pl_markup_keep(&p->page.m, PL_ENOMEM);
        return;
    }
    pl_segments_parse(text, len, method_of(run), found);
    put_pieces(&t, text, len, found);
    free(found);
}

/* ---- a sample ---- */

static void put_verdict(struct pl_markup *m, const json_t *sample)
{
    const char *verdict = pl_sample_text(sample, "verdict");
    const char *class = verdict_class(verdict);

    pl_markup_printf(m, "<span class=\"verdict %s\">", class);
    if (strcmp(class, "yes") == 0)
        pl_markup_put(m, "\xE2\x9C\x93 right");
    else if (strcmp(class, "open") == 0)
        pl_markup_put(m, "\xE2\x9C\x97 no final answer that counts");
    else {
        pl_markup_put(m, "\xE2\x9C\x97 ");
        pl_markup_text(m, verdict[0] ? verdict : "no verdict");
    }
    pl_markup_put(m, "</span>");
}

/* "reward 2.5 = format +1, final +2, intermediate +0.5 not paid: the gate was shut" */
static void put_reward(struct pl_markup *m, const json_t *sample)
{
    static const char *const parts[][2] = {{"reward_format", "format"},
                                           {"reward_final", "final"},
                                           {"reward_intermediate", "intermediate"},
                                           {"reward_extra", "extra"}};
    const bool shut = json_is_false(json_object_get(sample, "gate"));
    char text[PL_TICK_TEXT];
    bool any = false;

    pl_markup_printf(m, " <span class=\"sum\">reward <b>%s</b>",
                     pl_number_text(pl_sample_number(sample, "reward"), text));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const double value = pl_sample_number(sample, parts[i][0]);

        if (!isfinite(value) || (i > 1 && value == 0.0))
            continue;
        pl_markup_printf(m, "%s %s ", any ? "," : " =", parts[i][1]);
        put_number(m, value);
        if (i == 2 && shut)
            pl_markup_put(m, " (not paid: the gate was shut)");
        any = true;
    }
    pl_markup_put(m, "</span>");
}

/* Facts in a row, with points between them. */
static void put_fact(struct pl_markup *m, bool *first, const char *before, const char *text,
                     const char *after)
{
    if (!text[0])
        return;
    pl_markup_put(m, *first ? "" : " \xC2\xB7 ");
    pl_markup_put(m, before);
    pl_markup_text(m, text);
    pl_markup_put(m, after);
    *first = false;
}

static void put_count(struct pl_markup *m, bool *first, const json_t *sample, const char *key,
                      const char *before, const char *after)
{
    const double value = pl_sample_number(sample, key);
    char text[PL_TICK_TEXT];

    if (value >= 0.0)
        put_fact(m, first, before, pl_number_text(value, text), after);
}

static void put_facts(struct pl_markup *m, const json_t *sample)
{
    const char *finish = pl_sample_text(sample, "finish_reason");
    bool first = true;

    pl_markup_put(m, "<p class=\"note\">");
    put_fact(m, &first, "why: ", pl_sample_text(sample, "why"), "");
    put_fact(m, &first, "truth: ", pl_sample_text(sample, "truth"), "");
    put_count(m, &first, sample, "tokens", "", " tokens");
    put_count(m, &first, sample, "first_answer", "first answer at token ", "");
    put_count(m, &first, sample, "first_right", "first right one at token ", "");
    put_fact(m, &first, "",
             strcmp(finish, "stop") == 0     ? "ended by itself"
             : strcmp(finish, "length") == 0 ? "cut off at the limit"
                                             : finish,
             "");
    put_count(m, &first, sample, "version", "version ", "");
    put_fact(m, &first, "task ", pl_sample_text(sample, "task"), "");
    put_fact(m, &first, "group ", pl_sample_text(sample, "group"), "");
    put_count(m, &first, sample, "sample", "sample ", "");
    pl_markup_put(m, "</p>\n");
}

static void put_sample(struct pl_story_page *p, const struct pl_run_story *run,
                       const json_t *sample)
{
    struct pl_markup *m = &p->page.m;
    const char *prompt = pl_sample_text(sample, "prompt");

    pl_markup_put(m, "<article class=\"sample\">\n<p class=\"top\">");
    put_verdict(m, sample);
    put_reward(m, sample);
    pl_markup_put(m, "</p>\n");
    if (strlen(prompt) > 400)
        pl_markup_put(m, "<details><summary>Prompt</summary>");
    pl_markup_put(m, "<div class=\"seg prompt\">");
    put_text(m, prompt, strlen(prompt));
    pl_markup_put(m, strlen(prompt) > 400 ? "</div></details>\n" : "</div>\n");
    put_response(p, run, sample);
    put_facts(m, sample);
    pl_markup_put(m, "</article>\n");
}

/* ---- the section ---- */

static void put_file(struct pl_story_page *p, const struct pl_run_story *run,
                     const struct pl_rollout_file *file, const char *what, uint64_t step)
{
    const struct pl_rollout_level *all = &file->levels[0];
    char text[200];

    if (file->pick_count[0] + file->pick_count[1] == 0)
        return;
    snprintf(text, sizeof text,
             "%s %llu: %zu of %zu samples are right; shown: %zu right, %zu wrong", what,
             (unsigned long long)step, all->right, all->samples, file->pick_count[1],
             file->pick_count[0]);
    pl_page_heading(&p->page, text);
    pl_markup_put(&p->page.m, "<div class=\"samples\">\n");
    for (size_t k = 2; k-- > 0;)
        for (size_t i = 0; i < file->pick_count[k]; i++)
            put_sample(p, run, file->picks[k][i].sample);
    pl_markup_put(&p->page.m, "</div>\n");
}

void pl_story_samples(struct pl_story_page *page)
{
    pl_page_section(&page->page, "samples", "Sample rollouts",
                    "Drawn by a seed from the last evaluation and the last step whose rollouts "
                    "were written: right ones first, then wrong ones.");
    for (size_t r = 0; r < page->stories->count; r++) {
        const struct pl_run_story *run = &page->stories->runs[r];

        if (page->stories->count > 1) {
            pl_markup_put(&page->page.m, "<h3 class=\"run\">");
            pl_markup_keep(&page->page.m, pl_plot_key(r, page->page.m.out));
            pl_markup_text(&page->page.m, page->stories->names[r].full);
            pl_markup_put(&page->page.m, "</h3>\n");
        }
        if (run->eval)
            put_file(page, run, run->eval, "Evaluation after step", run->eval_step);
        if (run->train)
            put_file(page, run, run->train, "Training, step", run->train_step);
        if (!run->eval && !run->train)
            pl_page_note(&page->page, "It has no rollouts.");
    }
    pl_page_section_end(&page->page);
}
