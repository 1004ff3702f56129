/*
 * GSM8K: {"question": "...", "answer": "worked solution <<1+2=3>>\n#### 1,234"}
 *
 * The final answer is what stands behind the last "####", without the calculator's annotations. It
 * is written without thousands separators; the published form stays as an alias.
 */
#include "deploy/tasks/import.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Without what stands between << and >>. */
static void strip_annotations(char *text)
{
    const char *end = text; /* NULL: there is no >> any more */
    char *to = text;

    while (*text) {
        const bool begins = end && strncmp(text, "<<", 2) == 0;

        if (begins)
            end = strstr(text, ">>");
        if (begins && end)
            text += end + 2 - text;
        else
            *to++ = *text++;
    }
    *to = '\0';
}

/* Without commas between digits. */
static void strip_commas(char *text)
{
    char *to = text, last = '\0';

    for (; *text; text++) {
        if (*text != ',' || !isdigit((unsigned char)last) || !isdigit((unsigned char)text[1]))
            *to++ = *text;
        last = *text;
    }
    *to = '\0';
}

/* The last "####" of the text; NULL: none. */
static const char *last_mark(const char *text)
{
    const char *found = NULL;

    for (const char *at = text; (at = strstr(at, "####")); at += 4)
        found = at;
    return found;
}

/* The final answer; the solution in front of it is kept as the thought that leads there. */
static int read_final(const struct pl_import_row *row, struct pl_import_draft *draft,
                      json_t **ret_text, struct pl_error *err)
{
    const char *answer = NULL, *mark;
    char *copy;
    json_t *whole, *text;
    int rc = pl_import_string(row, "answer", &answer, err);

    if (rc < 0)
        return rc;
    mark = last_mark(answer);
    if (!mark)
        return pl_fail(err, PL_EFORMAT, "%s: 'answer' has no '####' in front of a final answer",
                       row->what);
    copy = strdup(answer);
    if (!copy)
        return pl_import_no_room(row, PL_ENOMEM, err);
    copy[mark - answer] = '\0';
    strip_annotations(copy + (mark - answer) + 4);
    whole = json_string(copy + (mark - answer) + 4);
    strip_annotations(copy);
    rc = pl_import_solution(draft, copy);
    free(copy);
    text = rc == PL_OK ? pl_import_text(whole) : NULL;
    json_decref(whole);
    if (rc < 0)
        return pl_import_no_room(row, rc, err);
    if (!text)
        return pl_import_no_room(row, PL_ENOMEM, err);
    *ret_text = text;
    return PL_OK;
}

int pl_import_gsm8k(const struct pl_import_conf *conf, const struct pl_import_row *row,
                    struct pl_import_draft *draft, struct pl_error *err)
{
    struct pl_import_fields fields = {.source = "gsm8k", .verifier = "number"};
    const json_t *index = json_object_get(row->json, "index");
    json_t *final = NULL;
    char *number = NULL;
    int rc = pl_import_string(row, "question", &fields.question, err);

    (void)conf;
    if (rc == PL_OK)
        rc = read_final(row, draft, &final, err);
    if (rc < 0)
        return rc;
    number = strdup(json_string_value(final));
    fields.aliases = json_array();
    fields.meta = json_object();
    if (number) {
        strip_commas(number);
        fields.answer = number;
        rc = pl_import_alias(fields.aliases, number, json_incref(final));
        if (rc == PL_OK && json_is_integer(index))
            rc = pl_import_set(fields.meta, "index", json_integer(json_integer_value(index)));
    } else {
        rc = PL_ENOMEM;
    }
    if (rc == PL_OK) {
        rc = pl_import_put(draft, row, &fields, err);
    } else {
        json_decref(fields.aliases);
        json_decref(fields.meta);
        rc = pl_import_no_room(row, rc, err);
    }
    free(number);
    json_decref(final);
    return rc;
}
