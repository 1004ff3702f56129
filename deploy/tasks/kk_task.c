#include "deploy/tasks/kk_task.h"

#include "common/base/json.h"
#include "deploy/tasks/kk_literal.h"
#include "deploy/tasks/kk_text.h"

#include <string.h>
#include <strings.h>

/* Tasks. */

static int put_quoted(struct pl_buf *buf, const char *before, const char *text, const char *after)
{
    int rc = pl_buf_puts(buf, before);

    if (rc == PL_OK)
        rc = pl_json_quote(buf, text, strlen(text));
    return rc < 0 ? rc : pl_buf_puts(buf, after);
}

static int put_steps(const struct pl_kk *puzzle, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++) {
        rc = pl_buf_puts(buf, i == 0 ? "{\"answer\": \"" : ", {\"answer\": \"");
        if (rc == PL_OK) /* names are letters: nothing to be escaped */
            rc = pl_kk_role_text(puzzle, i, puzzle->solution >> i & 1, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, "\", \"aliases\": []}");
    }
    return rc;
}

static int put_meta(const struct pl_kk_task *task, struct pl_buf *buf)
{
    const struct pl_kk *puzzle = task->puzzle;
    int rc = pl_buf_printf(buf, "{\"people\": %zu, \"names\": [", puzzle->people);

    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++)
        rc = put_quoted(buf, i == 0 ? "" : ", ", puzzle->names[i], "");
    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++)
        rc = pl_buf_printf(buf, "%s%s", i == 0 ? "], \"solution\": [" : ", ",
                           puzzle->solution >> i & 1 ? "true" : "false");
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "], \"statements\": \"");
    if (rc == PL_OK) /* no double quotes in there */
        rc = pl_kk_literal_print(puzzle, buf);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\", \"shape\": \"%016llx\"",
                           (unsigned long long)pl_kk_shape(puzzle));
    if (rc == PL_OK && task->seed)
        rc = pl_buf_printf(buf, ", \"seed\": %llu", (unsigned long long)*task->seed);
    return rc < 0 ? rc : pl_buf_printf(buf, ", \"index\": %llu}", (unsigned long long)task->index);
}

int pl_kk_task_print(const struct pl_kk_task *task, struct pl_buf *buf)
{
    int rc = put_quoted(buf, "{\"id\": ", task->id, ", \"source\": \"kk\"");

    if (rc == PL_OK)
        rc = put_quoted(buf, ", \"question\": ", task->question, ", \"answer\": \"");
    if (rc == PL_OK)
        rc = pl_kk_solution_text(task->puzzle, task->puzzle->solution, buf);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "\", \"aliases\": [], \"steps\": [");
    if (rc == PL_OK)
        rc = put_steps(task->puzzle, buf);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "], \"ordered\": false, \"verifier\": \"kk\", \"meta\": ");
    if (rc == PL_OK)
        rc = put_meta(task, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, "}\n");
}

/* Published rows. */

static const json_t *array_of(const json_t *row, const char *key, const char *what,
                              struct pl_error *err)
{
    const json_t *array = json_object_get(row, key);

    if (json_is_array(array))
        return array;
    pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected an array", what, key,
            array ? "something else" : "missing");
    return NULL;
}

/* A word of letters, in ASCII or beyond it, and none of those that answers are made of: what a
 * verifier can find again in lower case, without punctuation. */
static bool is_name(const char *name)
{
    static const char *const taken[] = {"a",  "all",    "and",     "are",   "both",
                                        "is", "knight", "knights", "knave", "knaves"};
    const size_t len = strlen(name);

    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcasecmp(name, taken[i]) == 0)
            return false;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)name[i];

        if (c < 0x80 && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return len > 0 && len < PL_KK_NAME_BYTES;
}

static int read_names(const json_t *row, const char *what, struct pl_kk *puzzle,
                      struct pl_error *err)
{
    const json_t *names = array_of(row, "names", what, err);
    const size_t people = json_array_size(names);

    if (!names)
        return PL_EFORMAT;
    if (people < PL_KK_PEOPLE_MIN || people > PL_KK_PEOPLE_MAX)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: 'names' has %zu people; expected %d to %d", what,
                       people, PL_KK_PEOPLE_MIN, PL_KK_PEOPLE_MAX);
    puzzle->people = people;
    for (size_t i = 0; i < people; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (!name || !is_name(name))
            return pl_fail(
                err, PL_EFORMAT,
                "%s: name %zu in 'names' is not a word of 1 to %d letters that stands for a "
                "person",
                what, i, PL_KK_NAME_BYTES - 1);
        strcpy(puzzle->names[i], name);
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(puzzle->names[k], name) == 0)
                return pl_fail(err, PL_EFORMAT, "%s: the name '%s' is given to two people", what,
                               name);
    }
    return PL_OK;
}

static int read_solution(const json_t *row, const char *what, struct pl_kk *puzzle,
                         struct pl_error *err)
{
    const json_t *solution = array_of(row, "solution", what, err);

    if (!solution)
        return PL_EFORMAT;
    if (json_array_size(solution) != puzzle->people)
        return pl_fail(err, PL_EFORMAT, "%s: 'solution' has %zu roles; expected %zu, one a person",
                       what, json_array_size(solution), puzzle->people);
    puzzle->solution = 0;
    for (size_t i = 0; i < puzzle->people; i++) {
        const json_t *role = json_array_get(solution, i);

        if (!json_is_boolean(role))
            return pl_fail(err, PL_EFORMAT, "%s: role %zu in 'solution' is neither true nor false",
                           what, i);
        puzzle->solution |= (uint32_t)json_is_true(role) << i;
    }
    return PL_OK;
}

static int read_statements(const json_t *row, const char *what, struct pl_kk *puzzle,
                           struct pl_error *err)
{
    const char *text = NULL;
    int rc = pl_json_string(row, "statements", what, &text, err);

    if (rc < 0)
        return rc;
    rc = pl_kk_literal_parse(text, strlen(text), puzzle->people, puzzle, err);
    return rc < 0 ? pl_fail_in(err, rc, "%s: 'statements'", what) : PL_OK;
}

/* The data set has variants with other words for the two roles. */
static int check_words(const json_t *row, const char *what, struct pl_error *err)
{
    static const char *const words[] = {"knight", "knave"};
    const json_t *map = json_object_get(row, "knight_knave");

    for (size_t i = 0; map && i < sizeof words / sizeof words[0]; i++) {
        const char *word = json_string_value(json_object_get(map, words[i]));

        if (!word || strcmp(word, words[i]) != 0)
            return pl_fail(err, PL_EUNSUPPORTED,
                           "%s: 'knight_knave' has another word for '%s', which no verifier here "
                           "knows",
                           what, words[i]);
    }
    return PL_OK;
}

static int check_solution(const struct pl_kk *puzzle, const char *what, struct pl_error *err)
{
    uint32_t found = 0;
    const size_t count = pl_kk_solve(puzzle, &found);

    if (count != 1)
        return pl_fail(err, PL_EFORMAT, "%s: the statements have %zu solutions; expected one", what,
                       count);
    for (size_t i = 0; i < puzzle->people; i++)
        if ((found ^ puzzle->solution) >> i & 1)
            return pl_fail(err, PL_EFORMAT,
                           "%s: 'solution' says that %s is a %s; by the statements it is a %s",
                           what, puzzle->names[i], puzzle->solution >> i & 1 ? "knight" : "knave",
                           found >> i & 1 ? "knight" : "knave");
    return PL_OK;
}

/* Letters and digits of both in order, in any case; words must end at the same places. */
static bool same_words(const char *a, const char *b)
{
    static const char between[] = " \t\r\n.,;:()\"'";

    for (;;) {
        size_t len;

        a += strspn(a, between);
        b += strspn(b, between);
        len = strcspn(a, between);
        if (len != strcspn(b, between) || strncasecmp(a, b, len) != 0)
            return false;
        if (len == 0)
            return true;
        a += len;
        b += len;
    }
}

static int check_solution_text(const json_t *row, const struct pl_kk *puzzle, const char *what,
                               struct pl_error *err)
{
    enum { SOLUTION_BYTES_MAX = PL_KK_PEOPLE_MAX * (PL_KK_NAME_BYTES + 24) };
    const char *text = NULL;
    struct pl_buf own;
    int rc;

    if (!pl_json_has(row, "solution_text"))
        return PL_OK;
    rc = pl_json_string(row, "solution_text", what, &text, err);
    if (rc < 0)
        return rc;
    pl_buf_init(&own, SOLUTION_BYTES_MAX);
    rc = pl_kk_solution_text(puzzle, puzzle->solution, &own);
    if (rc < 0)
        rc = pl_fail(err, rc, "%s: no memory for its solution", what);
    else if (!same_words(text, own.data))
        rc = pl_fail(err, PL_EFORMAT, "%s: 'solution_text' is another; expected '%s'", what,
                     own.data);
    pl_buf_release(&own);
    return rc;
}

static int read_quiz(const json_t *row, const struct pl_kk *puzzle, const char *what,
                     struct pl_buf *question, struct pl_error *err)
{
    const char *quiz = NULL;
    int rc = pl_json_string(row, "quiz", what, &quiz, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < puzzle->people; i++)
        if (!strstr(quiz, puzzle->names[i]))
            return pl_fail(err, PL_EFORMAT, "%s: 'quiz' does not mention %s", what,
                           puzzle->names[i]);
    pl_buf_clear(question);
    rc = pl_buf_puts(question, quiz);
    return rc < 0 ? pl_fail(err, rc, "%s: 'quiz' of %zu bytes is too long", what, strlen(quiz))
                  : PL_OK;
}

int pl_kk_row_from(const json_t *row, const char *what, struct pl_kk *ret_puzzle,
                   struct pl_buf *question, uint64_t *ret_index, struct pl_error *err)
{
    size_t index = 0;
    int rc = PL_OK;

    *ret_puzzle = (struct pl_kk){0};
    if (!json_is_object(row))
        rc = pl_fail(err, PL_EFORMAT, "%s: expected an object", what);
    if (rc == PL_OK)
        rc = check_words(row, what, err);
    if (rc == PL_OK)
        rc = read_names(row, what, ret_puzzle, err);
    if (rc == PL_OK)
        rc = read_solution(row, what, ret_puzzle, err);
    if (rc == PL_OK)
        rc = read_statements(row, what, ret_puzzle, err);
    if (rc == PL_OK)
        rc = check_solution(ret_puzzle, what, err);
    if (rc == PL_OK)
        rc = check_solution_text(row, ret_puzzle, what, err);
    if (rc == PL_OK)
        rc = read_quiz(row, ret_puzzle, what, question, err);
    if (rc == PL_OK && pl_json_has(row, "index")) {
        rc = pl_json_size(row, "index", what, 0, INT64_MAX, &index, err);
        *ret_index = index;
    }
    return rc;
}

int pl_kk_row_read(const char *line, size_t len, const char *what, struct pl_kk *ret_puzzle,
                   struct pl_buf *question, uint64_t *ret_index, struct pl_error *err)
{
    json_t *row = NULL;
    int rc = pl_json_parse(line, len, what, &row, err);

    if (rc < 0)
        return rc;
    rc = pl_kk_row_from(row, what, ret_puzzle, question, ret_index, err);
    json_decref(row);
    return rc;
}
