#include "deploy/tasks/import.h"

#include "common/app/nearest.h"
#include "common/base/check.h"
#include "common/text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES_MAX = 1024, NUMBER_BYTES_MAX = 64, TEXT_BYTES_MAX = 4 << 20 };

static const char *const mmlu_columns[] = {"question", "A", "B", "C", "D", "answer", NULL};

const struct pl_import_kind pl_import_kinds[] = {
    {.name = "kk",
     .about =
         "Knights and Knaves: quiz, names, solution, statements; each solution is proved again",
     .read = pl_import_kk,
     .linked_by = "the shape of the puzzle",
     .takes_answers = true},
    {.name = "musique",
     .about = "MuSiQue: question, question_decomposition, paragraphs, answer, answer_aliases",
     .read = pl_import_musique,
     .linked_by = "a single-hop question",
     .components = true,
     .takes_context = true,
     .takes_answers = true},
    {.name = "gsm8k",
     .about = "GSM8K: question, answer behind '####'",
     .read = pl_import_gsm8k,
     .takes_answers = true},
    {.name = "math",
     .about = "MATH: problem, solution with \\boxed{}, answer, level, subject or type",
     .read = pl_import_math,
     .takes_answers = true},
    {.name = "mmlu",
     .about = "MMLU, MMLU-Redux: question, choices or columns A to D, answer, error_type",
     .read = pl_import_mmlu,
     .csv_columns = mmlu_columns,
     .takes_shuffle = true},
    {.name = "mmlu-redux",
     .about = "the same",
     .read = pl_import_mmlu,
     .csv_columns = mmlu_columns,
     .takes_shuffle = true},
    {.name = "gpqa",
     .about = "GPQA: Question, Correct Answer, Incorrect Answer 1 to 3; options in drawn order",
     .read = pl_import_gpqa},
    {.name = "verl",
     .about = "verl: prompt, data_source, reward_model.ground_truth, extra_info",
     .read = pl_import_verl,
     .takes_verifier = true},
    {.name = "chat",
     .about = "open-instruct: messages, ground_truth, dataset",
     .read = pl_import_chat,
     .takes_verifier = true},
    {.name = NULL},
};

const struct pl_import_kind *pl_import_kind_named(const char *name, const char **ret_nearest)
{
    struct pl_nearest nearest = {.word = name};

    for (const struct pl_import_kind *kind = pl_import_kinds; kind->name; kind++) {
        if (strcmp(kind->name, name) == 0)
            return kind;
        pl_nearest_offer(&nearest, kind->name);
    }
    *ret_nearest = nearest.best;
    return NULL;
}

void pl_import_draft_init(struct pl_import_draft *draft)
{
    *draft = (struct pl_import_draft){0};
    pl_buf_init(&draft->line, 2 * (size_t)TEXT_BYTES_MAX);
    pl_buf_init(&draft->key, 2 * (size_t)TEXT_BYTES_MAX);
    pl_buf_init(&draft->worked, 2 * (size_t)TEXT_BYTES_MAX);
}

void pl_import_draft_clear(struct pl_import_draft *draft)
{
    pl_buf_clear(&draft->line);
    pl_buf_clear(&draft->key);
    pl_buf_clear(&draft->worked);
    draft->left_out = draft->note = NULL;
    draft->link_count = 0;
}

void pl_import_draft_release(struct pl_import_draft *draft)
{
    pl_buf_release(&draft->line);
    pl_buf_release(&draft->key);
    pl_buf_release(&draft->worked);
}

/* Pieces. */

int pl_import_set(json_t *obj, const char *key, json_t *value)
{
    return json_object_set_new(obj, key, value) < 0 ? PL_ENOMEM : PL_OK;
}

int pl_import_append(json_t *list, json_t *value)
{
    return json_array_append_new(list, value) < 0 ? PL_ENOMEM : PL_OK;
}

int pl_import_no_room(const struct pl_import_row *row, int rc, struct pl_error *err)
{
    if (rc == PL_EFULL)
        return pl_fail(err, PL_EFORMAT, "%s: the task would be larger than is taken", row->what);
    return pl_fail(err, PL_ENOMEM, "%s: no memory for the task", row->what);
}

/* The text without the white space around it: where it begins, and its bytes. */
static const char *trim(const char *text, size_t *ret_len)
{
    size_t len = strlen(text);

    for (size_t at; len > 0 && pl_utf8_is_space(pl_utf8_before(text, len, &at));)
        len = at;
    while (len > 0) {
        size_t n;

        if (pl_utf8_step(text, len, &n) != PL_UTF8_GOOD ||
            !pl_utf8_is_space(pl_utf8_decode(text, n)))
            break;
        text += n;
        len -= n;
    }
    *ret_len = len;
    return text;
}

static bool is_blank(const char *text)
{
    size_t len;

    trim(text, &len);
    return len == 0;
}

int pl_import_string(const struct pl_import_row *row, const char *key, const char **ret,
                     struct pl_error *err)
{
    const char *text = NULL;
    int rc = pl_json_string(row->json, key, row->what, &text, err);

    if (rc == PL_OK && is_blank(text))
        rc = pl_fail(err, PL_EFORMAT, "%s: '%s' is blank; expected text", row->what, key);
    if (rc == PL_OK)
        *ret = text;
    return rc;
}

json_t *pl_import_text(const json_t *value)
{
    char number[NUMBER_BYTES_MAX];
    size_t len;
    const char *text;

    if (json_is_string(value)) {
        text = trim(json_string_value(value), &len);
        return json_stringn(text, len);
    }
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(number, sizeof number, "%s", json_is_true(value) ? "true" : "false");
    else
        return NULL;
    return json_string(number);
}

int pl_import_answer(const struct pl_import_row *row, const json_t *obj, const char *key,
                     json_t **ret_text, struct pl_error *err)
{
    const json_t *value = json_object_get(obj, key);
    json_t *text;

    if (!pl_json_has(obj, key))
        return pl_fail(err, PL_EFORMAT, "%s: key '%s' is missing; expected a string or a number",
                       row->what, key);
    if (json_is_array(value) || json_is_object(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected a string or a number", row->what,
                       key, json_is_array(value) ? "an array" : "an object");
    text = pl_import_text(value);
    if (!text)
        return pl_import_no_room(row, PL_ENOMEM, err);
    if (json_string_length(text) == 0) {
        json_decref(text);
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is blank; expected text", row->what, key);
    }
    *ret_text = text;
    return PL_OK;
}

json_t *pl_import_step(json_t *text)
{
    json_t *step = json_object();
    int rc = pl_import_set(step, "answer", text);

    if (rc == PL_OK)
        rc = pl_import_set(step, "aliases", json_array());
    if (rc == PL_OK)
        return step;
    json_decref(step);
    return NULL;
}

int pl_import_alias(json_t *aliases, const char *answer, json_t *text)
{
    /* More than a task may have: it will be refused, and comparing them all would take long. */
    const bool full = json_array_size(aliases) > PL_TASK_ALIASES_MAX;
    bool known =
        full ||
        (text && (json_string_length(text) == 0 || strcmp(json_string_value(text), answer) == 0));

    for (size_t i = 0; !known && i < json_array_size(aliases); i++)
        known = json_equal(json_array_get(aliases, i), text);
    if (!known)
        return pl_import_append(aliases, text);
    json_decref(text);
    return PL_OK;
}

json_t *pl_import_level(const json_t *value)
{
    const char *text = json_string_value(value);

    if (!text)
        return json_is_integer(value) ? json_integer(json_integer_value(value)) : json_null();
    if (strncmp(text, "Level ", 6) == 0)
        text += 6;
    if (text[0] && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text))
        return json_integer(strtol(text, NULL, 10));
    return json_string(text);
}

int pl_import_solution(struct pl_import_draft *draft, const char *solution)
{
    size_t len;
    const char *text = trim(solution, &len);
    int rc = len > 0 ? pl_buf_puts(&draft->worked, "[") : PL_OK;

    if (rc < 0 || len == 0)
        return rc;
    rc = pl_json_quote(&draft->worked, text, len);
    return rc < 0 ? rc : pl_buf_puts(&draft->worked, "]");
}

uint64_t pl_import_hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

void pl_import_link(struct pl_import_draft *draft, const char *text)
{
    if (draft->link_count < PL_IMPORT_LINKS_MAX)
        draft->links[draft->link_count++] = pl_import_hash(text);
}

int pl_import_flat(struct pl_buf *buf, const char *text)
{
    size_t len;
    bool space = false;
    int rc = PL_OK;

    text = trim(text, &len);
    for (size_t i = 0, n; rc == PL_OK && i < len; i += n) {
        const bool good = pl_utf8_step(text + i, len - i, &n) == PL_UTF8_GOOD;

        if (good && pl_utf8_is_space(pl_utf8_decode(text + i, n))) {
            space = true;
            continue;
        }
        if (space)
            rc = pl_buf_append(buf, " ", 1);
        if (rc == PL_OK)
            rc = pl_buf_append(buf, text + i, n);
        space = false;
    }
    return rc;
}

struct pl_rng pl_import_rng(uint64_t seed, enum pl_import_draw draw, uint64_t key)
{
    /* Puzzles that are made use prompts below this one. */
    return (struct pl_rng){seed, (uint32_t)PL_RNG_DATA, UINT32_C(1) << 24 | (uint32_t)draw,
                           (uint32_t)(key ^ key >> 32)};
}

void pl_import_order(const struct pl_rng *rng, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t k = (size_t)pl_rng_below(rng, (uint32_t)i, i), last = order[i - 1];

        order[i - 1] = order[k];
        order[k] = last;
    }
}

/* Tasks. */

static int make_object(const struct pl_import_fields *fields, const char *id, json_t *task)
{
    int rc = pl_import_set(task, "id", json_string(id));

    if (rc == PL_OK)
        rc = pl_import_set(task, "source", json_string(fields->source));
    if (rc == PL_OK)
        rc = pl_import_set(task, "question", json_string(fields->question));
    if (rc == PL_OK)
        rc = pl_import_set(task, "answer", json_string(fields->answer));
    if (rc == PL_OK)
        rc = pl_import_set(task, "aliases",
                           fields->aliases ? json_incref(fields->aliases) : json_array());
    if (rc == PL_OK)
        rc =
            pl_import_set(task, "steps", fields->steps ? json_incref(fields->steps) : json_array());
    if (rc == PL_OK)
        rc = pl_import_set(task, "ordered", json_boolean(fields->ordered));
    if (rc == PL_OK)
        rc = pl_import_set(task, "verifier", json_string(fields->verifier));
    if (rc == PL_OK)
        rc = pl_import_set(task, "meta", fields->meta ? json_incref(fields->meta) : json_object());
    return rc;
}

static int print_object(const json_t *task, struct pl_buf *line)
{
    char *text = json_dumps(task, 0);
    const int rc = text ? pl_buf_puts(line, text) : PL_ENOMEM;

    free(text);
    return rc;
}

int pl_import_put(struct pl_import_draft *draft, const struct pl_import_row *row,
                  struct pl_import_fields *fields, struct pl_error *err)
{
    char made[ID_BYTES_MAX];
    json_t *task = json_object();
    int rc = PL_OK;

    snprintf(made, sizeof made, "%s-%.200s-%zu", fields->source, row->stem, row->number);
    if (is_blank(fields->question) || is_blank(fields->answer))
        rc = pl_fail(err, PL_EFORMAT, "%s: the %s is blank; expected text", row->what,
                     is_blank(fields->question) ? "question" : "answer");
    if (rc == PL_OK) {
        rc = make_object(fields, fields->id ? fields->id : made, task);
        if (rc == PL_OK)
            rc = print_object(task, &draft->line);
        if (rc < 0)
            rc = pl_import_no_room(row, rc, err);
    }
    json_decref(task);
    json_decref(fields->aliases);
    json_decref(fields->steps);
    json_decref(fields->meta);
    fields->aliases = fields->steps = fields->meta = NULL;
    return rc;
}
