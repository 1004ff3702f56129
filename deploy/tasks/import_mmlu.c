/*
 * MMLU and MMLU-Redux.
 *
 *   {"question": "...", "choices": ["...", ...], "answer": 2, "subject": "...",
 *    "error_type": "ok", "correct_answer": null}
 *   question,A,B,C,D,answer     a line of a CSV file; the letter is the answer
 *
 * Of MMLU-Redux's rows those are taken that its annotators found right, and those whose published
 * answer is wrong and whose correct answer is the number of an option. "options" and
 * "answer_index" (MMLU-Pro) are taken for "choices" and "answer".
 */
#include "deploy/tasks/import.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *type, *reason;
} errors[] = {
    {"multiple correct answers", "several answers are right"},
    {"no correct answer", "no answer is right"},
    {"bad question clarity", "the question is unclear"},
    {"bad options clarity", "the options are unclear"},
    {"expert", "needs an expert"},
};

static int read_options(const struct pl_import_row *row, struct pl_import_choices *choices,
                        struct pl_error *err)
{
    const json_t *list = json_object_get(row->json, "choices"), *item;
    size_t i;

    if (!list)
        list = json_object_get(row->json, "options");
    if (!json_is_array(list))
        return pl_fail(err, PL_EFORMAT,
                       "%s: 'choices' is %s; expected a list of options, or columns A to D",
                       row->what, list ? "no list" : "missing");
    if (json_array_size(list) < 2 || json_array_size(list) > PL_IMPORT_CHOICES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: 'choices' has %zu options; expected 2 to %d",
                       row->what, json_array_size(list), PL_IMPORT_CHOICES_MAX);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return pl_fail(err, PL_EFORMAT, "%s: option %zu of 'choices' is not a string",
                           row->what, i + 1);
        choices->options[choices->count++] = json_string_value(item);
    }
    return PL_OK;
}

static int read_columns(const struct pl_import_row *row, struct pl_import_choices *choices,
                        struct pl_error *err)
{
    for (char name[2] = "A"; name[0] <= 'D'; name[0]++) {
        const int rc =
            pl_json_string(row->json, name, row->what, &choices->options[choices->count], err);

        if (rc < 0)
            return rc;
        choices->count++;
    }
    return PL_OK;
}

/* An index, or a letter, or an index in a string; false: none of these, or of no option. */
static bool read_place(const json_t *value, size_t count, size_t *ret)
{
    const char *text = json_string_value(value);
    size_t place = SIZE_MAX;

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        place = (size_t)json_integer_value(value);
    else if (text && text[0] && !text[1] && isdigit((unsigned char)text[0]))
        place = (size_t)(text[0] - '0');
    else if (text && text[0] && !text[1] && text[0] >= 'A' && text[0] <= 'Z')
        place = (size_t)(text[0] - 'A');
    if (place >= count)
        return false;
    *ret = place;
    return true;
}

static int read_answer(const struct pl_import_row *row, struct pl_import_choices *choices,
                       struct pl_error *err)
{
    const char *key = json_object_get(row->json, "answer_index") ? "answer_index" : "answer";
    const json_t *value = json_object_get(row->json, key);

    if (!value)
        return pl_fail(err, PL_EFORMAT,
                       "%s: key '%s' is missing; expected an option's index or "
                       "letter",
                       row->what, key);
    if (read_place(value, choices->count, &choices->right))
        return PL_OK;
    return pl_fail(err, PL_EFORMAT,
                   "%s: '%s' is not one of the %zu options; expected an index from 0 or a letter",
                   row->what, key, choices->count);
}

/* What the annotators say; NULL: the row is fine, with choices->right as it is now. */
static const char *judge(const struct pl_import_row *row, struct pl_import_choices *choices)
{
    const char *type = json_string_value(json_object_get(row->json, "error_type"));

    if (!type || strcasecmp(type, "ok") == 0)
        return NULL;
    if (strcasecmp(type, "wrong groundtruth") == 0) {
        const json_t *correct = json_object_get(row->json, "correct_answer");
        const char *text = json_string_value(correct);

        if ((json_is_integer(correct) || (text && isdigit((unsigned char)text[0]))) &&
            read_place(correct, choices->count, &choices->right))
            return NULL;
        return "the answer is wrong, the right one is not given as an index";
    }
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcasecmp(type, errors[i].type) == 0)
            return errors[i].reason;
    return "the annotators found another error";
}

/* "abstract_algebra" of abstract_algebra_test.csv. */
static json_t *subject_of_file(const char *stem)
{
    static const char *const ends[] = {"_test", "_dev", "_val"};
    size_t len = strlen(stem);

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t n = strlen(ends[i]);

        if (len > n && strcmp(stem + len - n, ends[i]) == 0) {
            len -= n;
            break;
        }
    }
    return json_stringn(stem, len);
}

static int fill_meta(const struct pl_import_row *row, bool columns, json_t *meta)
{
    const json_t *index = json_object_get(row->json, "index");
    json_t *subject = json_object_get(row->json, "subject");
    int rc = PL_OK;

    if (!subject)
        subject = json_object_get(row->json, "category");
    if (json_is_string(subject))
        rc = pl_import_set(meta, "subject", json_incref(subject));
    else if (columns)
        rc = pl_import_set(meta, "subject", subject_of_file(row->stem));
    if (rc == PL_OK && json_is_integer(index))
        rc = pl_import_set(meta, "index", json_integer(json_integer_value(index)));
    return rc;
}

int pl_import_mmlu(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err)
{
    const bool columns = json_is_string(json_object_get(row->json, "A"));
    struct pl_import_choices choices = {.shuffle = conf->shuffle};
    struct pl_import_fields fields = {.source = "mmlu"};
    int rc = pl_import_string(row, "question", &choices.question, err);

    if (rc == PL_OK)
        rc = columns ? read_columns(row, &choices, err) : read_options(row, &choices, err);
    if (rc == PL_OK)
        rc = read_answer(row, &choices, err);
    if (rc < 0)
        return rc;
    draft->left_out = judge(row, &choices);
    if (draft->left_out)
        return PL_OK;
    fields.meta = json_object();
    rc = fill_meta(row, columns, fields.meta);
    if (rc < 0) {
        json_decref(fields.meta);
        return pl_import_no_room(row, rc, err);
    }
    return pl_import_put_choices(conf, row, &choices, &fields, draft, err);
}
