/*
 * Knights and Knaves: the published rows (kk_task.h), and rows of Logic-RL, which are the same or
 * have lost the fields in front of verl's
 *
 *   {"prompt": [{"role": "user", "content": "... the quiz in a chat prompt ..."}],
 *    "reward_model": {"ground_truth": {"solution_text_format": "(1) Zoey is a knight\n(2) ...",
 *                                      "statements": "(...)"}},
 *    "extra_info": {"index": 17}}
 *
 * from which names, roles and quiz are taken again. Every solution is proved from the statements.
 */
#include "deploy/tasks/import.h"
#include "deploy/tasks/import_prompt.h"
#include "deploy/tasks/kk_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES_MAX = 512 };

/* What stands between the marks of a chat prompt in the text; NULL: the text has none. */
static json_t *cut_quiz(const char *text)
{
    static const struct {
        const char *begin, *end;
    } marks[] = {{"<|im_start|>user\n", "<|im_end|>"}, {"\nUser:", "\nAssistant:"}};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *begin = strstr(text, marks[i].begin), *end;

        if (!begin)
            continue;
        begin += strlen(marks[i].begin);
        end = strstr(begin, marks[i].end);
        return json_stringn(begin, end ? (size_t)(end - begin) : strlen(begin));
    }
    return NULL;
}

static int put_quiz(const struct pl_import_conf *conf, const struct pl_import_row *row,
                    json_t *published, struct pl_error *err)
{
    struct pl_import_prompt prompt;
    json_t *whole, *quiz;
    int rc = pl_import_prompt_read(conf, row, "prompt", &prompt, err);

    if (rc < 0)
        return rc;
    if (prompt.left_out)
        rc = pl_fail(err, PL_EFORMAT, "%s: 'prompt' is a conversation; expected one question",
                     row->what);
    if (rc == PL_OK) {
        whole = cut_quiz(prompt.question.data);
        quiz = whole ? pl_import_text(whole) : json_string(prompt.question.data);
        json_decref(whole);
        if (pl_import_set(published, "quiz", quiz) < 0)
            rc = pl_import_no_room(row, PL_ENOMEM, err);
    }
    pl_import_prompt_release(&prompt);
    return rc;
}

/* "(1) Zoey is a knight" at *text, up to the end of the line or the next "(2)". */
static bool read_role(const char **text, char name[PL_KK_NAME_BYTES], bool *ret_knight)
{
    char role[16];
    int at = 0;

    if (sscanf(*text, " (%*u ) %31[^ \t\r\n] is a %15[a-z]%n", name, role, &at) != 2 || at == 0)
        return false;
    *ret_knight = strcmp(role, "knight") == 0;
    *text += at;
    return *ret_knight || strcmp(role, "knave") == 0;
}

static int put_roles(const struct pl_import_row *row, const char *text, json_t *published,
                     struct pl_error *err)
{
    json_t *names = json_array(), *solution = json_array();
    char name[PL_KK_NAME_BYTES];
    bool knight = false;
    int rc = PL_OK;

    while (rc == PL_OK && strspn(text, " \t\r\n") < strlen(text)) {
        if (!read_role(&text, name, &knight))
            rc = pl_fail(err, PL_EFORMAT,
                         "%s: 'solution_text_format' is not of the form '(1) Zoey is a knight'",
                         row->what);
        else if (json_array_size(names) == PL_KK_PEOPLE_MAX)
            rc = pl_fail(err, PL_EUNSUPPORTED, "%s: there are more than %d people", row->what,
                         PL_KK_PEOPLE_MAX);
        else if (pl_import_append(names, json_string(name)) < 0 ||
                 pl_import_append(solution, json_boolean(knight)) < 0)
            rc = pl_fail(err, PL_EFORMAT, "%s: a name in 'solution_text_format' is no text",
                         row->what);
    }
    if (rc < 0) {
        json_decref(names);
        json_decref(solution);
        return rc;
    }
    rc = pl_import_set(published, "names", names);
    if (pl_import_set(published, "solution", solution) < 0 || rc < 0)
        return pl_import_no_room(row, PL_ENOMEM, err);
    return PL_OK;
}

/* The published row behind one of verl's; a new reference. */
static int publish(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   json_t **ret_published, struct pl_error *err)
{
    const json_t *truth =
        json_object_get(json_object_get(row->json, "reward_model"), "ground_truth");
    const json_t *index = json_object_get(json_object_get(row->json, "extra_info"), "index");
    const char *roles = NULL, *statements = NULL;
    json_t *published = json_object();
    int rc;

    if (!json_is_object(truth))
        rc = pl_fail(err, PL_EFORMAT,
                     "%s: there is neither a 'quiz' nor an object 'reward_model.ground_truth'",
                     row->what);
    else
        rc = pl_json_string(truth, "solution_text_format", row->what, &roles, err);
    if (rc == PL_OK)
        rc = pl_json_string(truth, "statements", row->what, &statements, err);
    if (rc == PL_OK)
        rc = put_roles(row, roles, published, err);
    if (rc == PL_OK)
        rc = put_quiz(conf, row, published, err);
    if (rc == PL_OK &&
        (pl_import_set(published, "statements", json_string(statements)) < 0 ||
         (json_is_integer(index) &&
          pl_import_set(published, "index", json_integer(json_integer_value(index))) < 0)))
        rc = pl_import_no_room(row, PL_ENOMEM, err);
    if (rc < 0)
        json_decref(published);
    else
        *ret_published = published;
    return rc;
}

static int print(const struct pl_import_row *row, const struct pl_kk *puzzle, uint64_t index,
                 const char *question, struct pl_import_draft *draft, struct pl_error *err)
{
    char id[ID_BYTES_MAX], shape[32];
    const struct pl_kk_task task = {
        .puzzle = puzzle, .id = id, .question = question, .index = index};
    int rc;

    snprintf(id, sizeof id, "kk-%.200s-%llu", row->stem, (unsigned long long)index);
    rc = pl_kk_task_print(&task, &draft->line);
    if (rc < 0)
        return pl_import_no_room(row, rc, err);
    draft->line.data[--draft->line.len] = '\0'; /* the newline */
    snprintf(shape, sizeof shape, "%016llx", (unsigned long long)pl_kk_shape(puzzle));
    pl_import_link(draft, shape);
    return PL_OK;
}

int pl_import_kk(const struct pl_import_conf *conf, const struct pl_import_row *row,
                 struct pl_import_draft *draft, struct pl_error *err)
{
    const bool bare =
        !json_object_get(row->json, "quiz") && json_object_get(row->json, "reward_model");
    json_t *published = NULL;
    struct pl_buf question;
    struct pl_kk puzzle;
    uint64_t index = row->number;
    int rc = bare ? publish(conf, row, &published, err) : PL_OK;

    if (rc < 0)
        return rc;
    pl_buf_init(&question, PL_IMPORT_ROW_BYTES_MAX);
    rc = pl_kk_row_from(bare ? published : row->json, row->what, &puzzle, &question, &index, err);
    if (rc == PL_OK)
        rc = print(row, &puzzle, index, question.data, draft, err);
    pl_buf_release(&question);
    json_decref(published);
    return rc;
}
