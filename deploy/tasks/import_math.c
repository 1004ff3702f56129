/*
 * MATH: {"problem": "...", "solution": "... \\boxed{...}", "answer": "...", "level": "Level 5",
 *        "subject" or "type": "...", "unique_id": "..."}
 *
 * The answer is "answer" where there is one, else what the last \boxed{} (or \fbox{}) of the
 * solution holds. meta.level is the number.
 */
#include "deploy/tasks/import.h"

#include <stdlib.h>
#include <string.h>

/* What stands in the braces at `at`, or behind it up to white space or '$' where there are none.
 * NULL: the braces do not close. */
static const char *in_braces(const char *at, size_t *ret_len)
{
    size_t depth = 0;

    at += strspn(at, " ");
    if (*at != '{') {
        *ret_len = strcspn(at, " \t\r\n$");
        return at;
    }
    for (const char *end = at; *end; end++) {
        if (*end == '\\' && end[1]) /* \{ is a brace of the text */
            end++;
        else if (*end == '{')
            depth++;
        else if (*end == '}' && --depth == 0) {
            *ret_len = (size_t)(end - at - 1);
            return at + 1;
        }
    }
    return NULL;
}

/* The last box. */
static const char *find_box(const char *solution, size_t *ret_len)
{
    static const char *const marks[] = {"\\boxed", "\\fbox"};
    const char *last = NULL;

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const size_t len = strlen(marks[i]);

        for (const char *at = solution; (at = strstr(at, marks[i])); at += len)
            if ((!last || at + len > last) && (at[len] == '{' || at[len] == ' '))
                last = at + len;
    }
    return last ? in_braces(last, ret_len) : NULL;
}

static int read_boxed(const struct pl_import_row *row, json_t **ret_text, struct pl_error *err)
{
    const char *solution = NULL, *box;
    size_t len = 0;
    json_t *whole;
    int rc = pl_json_string(row->json, "solution", row->what, &solution, err);

    if (rc < 0)
        return rc;
    box = find_box(solution, &len);
    if (!box)
        return pl_fail(err, PL_EFORMAT,
                       "%s: 'solution' has no whole \\boxed{} and there is no 'answer'", row->what);
    whole = json_stringn(box, len);
    *ret_text = pl_import_text(whole);
    json_decref(whole);
    return *ret_text ? PL_OK : pl_import_no_room(row, PL_ENOMEM, err);
}

static int fill_meta(const struct pl_import_row *row, json_t *meta)
{
    const json_t *level = json_object_get(row->json, "level");
    json_t *subject = json_object_get(row->json, "subject");
    int rc = PL_OK;

    if (!json_is_string(subject))
        subject = json_object_get(row->json, "type");
    if (json_is_integer(level) || json_is_string(level))
        rc = pl_import_set(meta, "level", pl_import_level(level));
    if (rc == PL_OK && json_is_string(subject))
        rc = pl_import_set(meta, "subject", json_incref(subject));
    return rc;
}

int pl_import_math(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err)
{
    struct pl_import_fields fields = {.source = "math", .verifier = "math"};
    const char *unique = json_string_value(json_object_get(row->json, "unique_id"));
    const json_t *solution = json_object_get(row->json, "solution");
    json_t *answer = NULL;
    char *id = NULL;
    int rc = pl_import_string(row, "problem", &fields.question, err);

    (void)conf;
    if (rc == PL_OK)
        rc = pl_json_has(row->json, "answer")
                 ? pl_import_answer(row, row->json, "answer", &answer, err)
                 : read_boxed(row, &answer, err);
    if (rc < 0)
        return rc;
    if (json_is_string(solution))
        rc = pl_import_solution(draft, json_string_value(solution));
    if (rc == PL_OK && unique && unique[0]) {
        id = pl_strf("math-%s", unique);
        rc = id ? PL_OK : PL_ENOMEM;
    }
    fields.id = id;
    fields.answer = json_string_value(answer);
    fields.meta = json_object();
    if (rc == PL_OK)
        rc = fill_meta(row, fields.meta);
    if (rc == PL_OK) {
        rc = pl_import_put(draft, row, &fields, err);
    } else {
        json_decref(fields.meta);
        rc = pl_import_no_room(row, rc, err);
    }
    free(id);
    json_decref(answer);
    return rc;
}
