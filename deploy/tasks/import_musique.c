/*
 * MuSiQue: {"id": "3hop1__1_2_3", "question": "...", "answer": "...", "answer_aliases": [],
 *           "question_decomposition": [{"id": 1, "question": "... #1 ...", "answer": "...",
 *                                       "paragraph_support_idx": 5}, ...],
 *           "paragraphs": [{"idx": 5, "title": "...", "paragraph_text": "...",
 *                           "is_supporting": true}, ...], "answerable": true}
 *
 * The question of the task is the context, then a line "Question: ...". Of the paragraphs all
 * supporting ones are kept; the others are tried in drawn order and kept as long as the context
 * stays within conf->context_tokens; then all are put into drawn order. A paragraph is its title, a
 * line end and its text.
 *
 * steps are the answers of all sub-questions but the last; meta.decomposition has the sub-questions
 * with the answers put in for #1, #2, ... The single-hop questions, by their ids or as they stand,
 * are what links a task to others.
 */
#include "deploy/tasks/import.h"
#include "proto/task.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARAGRAPHS_MAX = 256,
    HOPS_MAX = PL_TASK_STEPS_MAX,
    TEXT_BYTES_MAX = 4 << 20,
    WHAT_BYTES_MAX = 4096 + 64,
};

struct paragraph {
    const char *title, *text;
    size_t tokens;
    bool kept;
};

struct reading {
    const struct pl_import_conf *conf;
    const struct pl_import_row *row;
    struct pl_import_draft *draft;
    const char *question, *answers[HOPS_MAX]; /* answers: of the sub-questions */
    size_t hops;
    struct paragraph *paragraphs; /* PARAGRAPHS_MAX */
    size_t count, tokens;         /* tokens: of what is kept */
    struct pl_buf text;
};

/* The sub-question with answers put in for the steps before it. */
static int resolve(struct reading *reading, const char *question, size_t step)
{
    int rc = PL_OK;

    pl_buf_clear(&reading->text);
    for (const char *at = question; rc == PL_OK && *at;) {
        const size_t plain = strcspn(at, "#");
        char *end = NULL;
        unsigned long number = 0;

        rc = pl_buf_append(&reading->text, at, plain);
        at += plain;
        if (rc < 0 || !*at)
            break;
        if (isdigit((unsigned char)at[1]))
            number = strtoul(at + 1, &end, 10);
        if (number >= 1 && number <= step) {
            rc = pl_buf_puts(&reading->text, reading->answers[number - 1]);
            at = end;
        } else {
            rc = pl_buf_append(&reading->text, at++, 1);
        }
    }
    return rc < 0 ? rc : pl_buf_puts(&reading->text, "");
}

static int read_hop(struct reading *reading, const json_t *hop, json_t *decomposition,
                    json_t *steps, struct pl_error *err)
{
    const struct pl_import_row *row = reading->row;
    const size_t step = reading->hops;
    struct pl_import_row inner = *row;
    char what[WHAT_BYTES_MAX];
    const char *question = NULL;
    json_t *answer = NULL, *id, *shown;
    int rc;

    snprintf(what, sizeof what, "%s: sub-question %zu", row->what, step + 1);
    inner.what = what;
    rc = pl_json_string(hop, "question", what, &question, err);
    if (rc == PL_OK)
        rc = pl_import_answer(&inner, hop, "answer", &answer, err);
    if (rc < 0)
        return rc;
    shown = json_object();
    rc = resolve(reading, question, step);
    if (rc == PL_OK)
        rc = pl_import_set(shown, "question", json_string(reading->text.data));
    if (rc == PL_OK)
        rc = pl_import_set(shown, "answer", json_incref(answer));
    if (rc == PL_OK)
        rc = pl_import_append(decomposition, json_incref(shown));
    if (rc == PL_OK)
        rc = pl_import_append(steps, pl_import_step(json_incref(answer)));
    json_decref(shown);
    if (rc == PL_OK) /* kept alive by the decomposition */
        reading->answers[reading->hops++] = json_string_value(answer);
    json_decref(answer);
    id = pl_import_text(json_object_get(hop, "id"));
    pl_import_link(reading->draft, id ? json_string_value(id) : question);
    json_decref(id);
    return rc < 0 ? pl_import_no_room(row, rc, err) : PL_OK;
}

static int read_hops(struct reading *reading, json_t *decomposition, json_t *steps,
                     struct pl_error *err)
{
    const json_t *list = json_object_get(reading->row->json, "question_decomposition"), *hop;
    size_t i;
    int rc = PL_OK;

    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > HOPS_MAX)
        return pl_fail(err, PL_EFORMAT,
                       "%s: 'question_decomposition' is %s; expected a list of 1 to %d "
                       "sub-questions",
                       reading->row->what,
                       !list                 ? "missing"
                       : json_is_array(list) ? "of another length"
                                             : "something else",
                       HOPS_MAX);
    json_array_foreach(list, i, hop)
    {
        if (rc == PL_OK)
            rc = read_hop(reading, hop, decomposition, steps, err);
    }
    if (rc == PL_OK)
        json_array_remove(steps, reading->hops - 1); /* the final answer is no intermediate one */
    return rc;
}

static int read_paragraph(struct reading *reading, const json_t *item, struct pl_error *err)
{
    struct paragraph *paragraph = &reading->paragraphs[reading->count];
    const struct pl_import_row *row = reading->row;
    char what[WHAT_BYTES_MAX];
    int rc;

    snprintf(what, sizeof what, "%s: paragraph %zu", row->what, reading->count + 1);
    rc = pl_json_string(item, "paragraph_text", what, &paragraph->text, err);
    paragraph->title = json_string_value(json_object_get(item, "title"));
    if (rc == PL_OK)
        rc = pl_json_bool(item, "is_supporting", what, &paragraph->kept, err);
    if (rc < 0)
        return rc;
    pl_buf_clear(&reading->text);
    rc = pl_buf_printf(&reading->text, "%s\n%s\n\n", paragraph->title ? paragraph->title : "",
                       paragraph->text);
    if (rc < 0)
        return pl_import_no_room(row, rc, err);
    rc = pl_ruler_length(reading->conf->ruler, reading->text.data, reading->text.len,
                         &paragraph->tokens, err);
    if (rc < 0)
        return pl_fail_in(err, rc, "%s", row->what);
    reading->count++;
    reading->tokens += paragraph->kept ? paragraph->tokens : 0;
    return PL_OK;
}

static int read_paragraphs(struct reading *reading, const json_t *list, struct pl_error *err)
{
    const json_t *item;
    size_t i;
    int rc = PL_OK;

    if (!json_is_array(list) || json_array_size(list) > PARAGRAPHS_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: 'paragraphs' is not a list of at most %d paragraphs",
                       reading->row->what, PARAGRAPHS_MAX);
    json_array_foreach(list, i, item)
    {
        if (rc == PL_OK)
            rc = read_paragraph(reading, item, err);
    }
    if (rc == PL_OK && reading->tokens == 0)
        rc = pl_fail(err, PL_EFORMAT, "%s: none of its %zu paragraphs is supporting",
                     reading->row->what, reading->count);
    return rc;
}

/* Distractors in drawn order, each that still fits. */
static void fill_context(struct reading *reading, const struct pl_rng *rng)
{
    const size_t budget = reading->conf->context_tokens;
    size_t order[PARAGRAPHS_MAX];

    if (reading->tokens > budget) {
        static const char over[] = "the supporting paragraphs alone are over --context-tokens";

        if (reading->conf->drop_over_budget)
            reading->draft->left_out = over;
        else
            reading->draft->note = over;
    }
    pl_import_order(rng, order, reading->count);
    for (size_t k = 0; k < reading->count; k++) {
        struct paragraph *paragraph = &reading->paragraphs[order[k]];

        if (paragraph->kept || reading->tokens + paragraph->tokens > budget)
            continue;
        paragraph->kept = true;
        reading->tokens += paragraph->tokens;
    }
}

static int print_context(struct reading *reading, const struct pl_rng *rng)
{
    size_t order[PARAGRAPHS_MAX];
    int rc = PL_OK;

    pl_buf_clear(&reading->text);
    pl_import_order(rng, order, reading->count);
    for (size_t k = 0; rc == PL_OK && k < reading->count; k++) {
        const struct paragraph *paragraph = &reading->paragraphs[order[k]];

        if (!paragraph->kept)
            continue;
        if (paragraph->title)
            rc = pl_buf_printf(&reading->text, "%s\n", paragraph->title);
        if (rc == PL_OK)
            rc = pl_buf_printf(&reading->text, "%s\n\n", paragraph->text);
    }
    return rc < 0 ? rc : pl_buf_printf(&reading->text, "Question: %s", reading->question);
}

static int make_question(struct reading *reading, struct pl_error *err)
{
    const uint64_t seed = reading->conf->seed, key = pl_import_hash(reading->question);
    const struct pl_rng choice = pl_import_rng(seed, PL_IMPORT_DRAW_PARAGRAPHS, key);
    const struct pl_rng order = pl_import_rng(seed, PL_IMPORT_DRAW_ORDER, key);
    int rc = read_paragraphs(reading, json_object_get(reading->row->json, "paragraphs"), err);

    if (rc < 0)
        return rc;
    fill_context(reading, &choice);
    rc = print_context(reading, &order);
    if (rc == PL_OK) /* the same question about other paragraphs is no other */
        rc = pl_buf_puts(&reading->draft->key, reading->question);
    return rc < 0 ? pl_import_no_room(reading->row, rc, err) : PL_OK;
}

/* The aliases, and the last sub-answer where that is another. */
static int read_aliases(const struct reading *reading, const char *answer, json_t *aliases,
                        struct pl_error *err)
{
    const json_t *list = json_object_get(reading->row->json, "answer_aliases"), *item;
    size_t i;
    int rc = PL_OK;

    if (list && !json_is_array(list))
        return pl_fail(err, PL_EFORMAT, "%s: 'answer_aliases' is no list", reading->row->what);
    json_array_foreach(list, i, item)
    {
        json_t *text = pl_import_text(item);

        if (!text)
            return pl_fail(err, PL_EFORMAT, "%s: item %zu of 'answer_aliases' is not a string",
                           reading->row->what, i + 1);
        if (rc == PL_OK)
            rc = pl_import_alias(aliases, answer, text);
        else
            json_decref(text);
    }
    if (rc == PL_OK)
        rc = pl_import_alias(aliases, answer, json_string(reading->answers[reading->hops - 1]));
    return rc < 0 ? pl_import_no_room(reading->row, rc, err) : PL_OK;
}

static int fill_meta(const struct reading *reading, json_t *decomposition, json_t *meta)
{
    size_t kept = 0;
    int rc = pl_import_set(meta, "hops", json_integer((json_int_t)reading->hops));

    for (size_t i = 0; i < reading->count; i++)
        kept += reading->paragraphs[i].kept;
    if (rc == PL_OK)
        rc = pl_import_set(meta, "level", json_integer((json_int_t)reading->hops));
    if (rc == PL_OK)
        rc = pl_import_set(meta, "paragraphs", json_integer((json_int_t)kept));
    if (rc == PL_OK)
        rc = pl_import_set(meta, "context_tokens", json_integer((json_int_t)reading->tokens));
    return rc < 0 ? rc : pl_import_set(meta, "decomposition", json_incref(decomposition));
}

/* The title of the paragraph that a sub-question is answered by; NULL: not known. */
static const char *title_of(const struct reading *reading, size_t hop)
{
    const json_t *row = reading->row->json;
    const json_t *hops = json_object_get(row, "question_decomposition");
    const json_t *idx = json_object_get(json_array_get(hops, hop), "paragraph_support_idx");
    const json_t *paragraph;
    size_t i;

    json_array_foreach(json_object_get(row, "paragraphs"), i, paragraph)
    {
        if (json_is_integer(idx) && json_equal(json_object_get(paragraph, "idx"), idx))
            return json_string_value(json_object_get(paragraph, "title"));
    }
    return NULL;
}

/* 'Where does Ann live? By "Ann (singer)": Rome.' */
static int tell_hop(const struct reading *reading, const json_t *hop, size_t n, struct pl_buf *text)
{
    const char *question = json_string_value(json_object_get(hop, "question"));
    const char *title = title_of(reading, n), *answer = reading->answers[n];
    const size_t len = strlen(question), answer_len = strlen(answer);
    int rc = pl_buf_printf(text, "%s%s", question, len > 0 && question[len - 1] == '?' ? "" : "?");

    if (rc == PL_OK)
        rc = title ? pl_buf_printf(text, " By \"%s\": ", title) : pl_buf_puts(text, " ");
    if (rc == PL_OK)
        rc = pl_buf_printf(text, "%s%s", answer, answer[answer_len - 1] == '.' ? "" : ".");
    return rc;
}

/* The thoughts of a worked answer. */
static int tell(const struct reading *reading, const json_t *decomposition)
{
    struct pl_buf text, *worked = &reading->draft->worked;
    const json_t *hop;
    size_t n;
    int rc = PL_OK;

    pl_buf_init(&text, TEXT_BYTES_MAX);
    json_array_foreach(decomposition, n, hop)
    {
        pl_buf_clear(&text);
        if (rc == PL_OK)
            rc = pl_buf_puts(worked, n == 0 ? "[" : ", ");
        if (rc == PL_OK)
            rc = tell_hop(reading, hop, n, &text);
        if (rc == PL_OK)
            rc = pl_json_quote(worked, text.data, text.len);
    }
    pl_buf_release(&text);
    return rc < 0 ? rc : pl_buf_puts(worked, "]");
}

static int make_task(struct reading *reading, json_t *decomposition, json_t *steps,
                     struct pl_error *err)
{
    struct pl_import_fields fields = {.source = "musique", .verifier = "em", .ordered = true};
    const struct pl_import_row *row = reading->row;
    json_t *answer = NULL;
    int rc = make_question(reading, err);

    if (rc < 0 || reading->draft->left_out)
        return rc;
    rc = pl_import_answer(row, row->json, "answer", &answer, err);
    if (rc < 0)
        return rc;
    fields.id = json_string_value(json_object_get(row->json, "id"));
    fields.question = reading->text.data;
    fields.answer = json_string_value(answer);
    fields.aliases = json_array();
    fields.meta = json_object();
    rc = read_aliases(reading, fields.answer, fields.aliases, err);
    if (rc == PL_OK) {
        rc = fill_meta(reading, decomposition, fields.meta);
        if (rc == PL_OK)
            rc = tell(reading, decomposition);
        if (rc < 0)
            rc = pl_import_no_room(row, rc, err);
    }
    if (rc == PL_OK) {
        fields.steps = json_incref(steps);
        rc = pl_import_put(reading->draft, row, &fields, err);
    }
    json_decref(fields.aliases); /* NULL where they were taken over */
    json_decref(fields.meta);
    json_decref(answer);
    return rc;
}

int pl_import_musique(const struct pl_import_conf *conf, const struct pl_import_row *row,
                      struct pl_import_draft *draft, struct pl_error *err)
{
    struct reading reading = {.conf = conf, .row = row, .draft = draft};
    json_t *decomposition, *steps;
    int rc = pl_import_string(row, "question", &reading.question, err);

    if (rc < 0)
        return rc;
    if (json_is_false(json_object_get(row->json, "answerable"))) {
        draft->left_out = "the question cannot be answered";
        return PL_OK;
    }
    decomposition = json_array();
    steps = json_array();
    pl_buf_init(&reading.text, TEXT_BYTES_MAX);
    reading.paragraphs = pl_alloc(PARAGRAPHS_MAX, sizeof *reading.paragraphs);
    if (!reading.paragraphs)
        rc = pl_import_no_room(row, PL_ENOMEM, err);
    if (rc == PL_OK)
        rc = read_hops(&reading, decomposition, steps, err);
    if (rc == PL_OK && !pl_json_has(row->json, "paragraphs"))
        draft->left_out = "there are no paragraphs";
    else if (rc == PL_OK)
        rc = make_task(&reading, decomposition, steps, err);
    free(reading.paragraphs);
    pl_buf_release(&reading.text);
    json_decref(decomposition);
    json_decref(steps);
    return rc;
}
