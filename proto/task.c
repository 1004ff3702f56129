#include "proto/task.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/pulse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * All texts of a task are kept in one block, behind the arrays. They are counted first, then
 * copied: `text` NULL counts.
 */
struct room {
    char *text;
    size_t used;
};

static const char *keep(struct room *room, const char *text, size_t len)
{
    char *at = room->text ? room->text + room->used : NULL;

    room->used += len + 1;
    if (!at)
        return NULL;
    memcpy(at, text, len);
    at[len] = '\0';
    return at;
}

static const char *keep_json(struct room *room, const json_t *string)
{
    return keep(room, json_string_value(string), json_string_length(string));
}

/* A string field; `initial` where it may be left out, NULL where it may not. */
static int string_of(const json_t *obj, const char *key, const char *what, const char *initial,
                     const char **ret, struct pl_error *err)
{
    if (initial && !pl_json_has(obj, key)) {
        *ret = initial;
        return PL_OK;
    }
    return pl_json_string(obj, key, what, ret, err);
}

static int check_aliases(const json_t *obj, const char *what, struct pl_error *err)
{
    const json_t *aliases = json_object_get(obj, "aliases"), *item;
    size_t i;

    if (!aliases)
        return PL_OK;
    if (!json_is_array(aliases) || json_array_size(aliases) > PL_TASK_ALIASES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: 'aliases' must be a list of at most %d strings", what,
                       PL_TASK_ALIASES_MAX);
    json_array_foreach(aliases, i, item)
    {
        if (!json_is_string(item))
            return pl_fail(err, PL_EFORMAT, "%s: item %zu of 'aliases' is not a string", what,
                           i + 1);
    }
    return PL_OK;
}

static int check_steps(const json_t *root, const char *what, struct pl_error *err)
{
    const json_t *steps = json_object_get(root, "steps"), *step;
    size_t i;

    if (!steps)
        return PL_OK;
    if (!json_is_array(steps) || json_array_size(steps) > PL_TASK_STEPS_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: 'steps' must be a list of at most %d objects", what,
                       PL_TASK_STEPS_MAX);
    json_array_foreach(steps, i, step)
    {
        const char *answer;
        int rc;

        if (!json_is_object(step))
            return pl_fail(err, PL_EFORMAT, "%s: item %zu of 'steps' is not an object", what,
                           i + 1);
        rc = pl_json_string(step, "answer", what, &answer, err);
        if (rc == PL_OK)
            rc = check_aliases(step, what, err);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

struct fields {
    const char *id, *source, *question, *answer, *verifier;
    bool ordered;
    char level[32];
};

/* meta.level or meta.people, a string or a number. */
static void read_level(const json_t *root, char level[32])
{
    static const char *const keys[] = {"level", "people", "hops"};
    const json_t *meta = json_object_get(root, "meta");

    level[0] = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !level[0]; i++) {
        const json_t *value = json_object_get(meta, keys[i]);

        if (json_is_integer(value))
            snprintf(level, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else if (json_is_string(value))
            snprintf(level, 32, "%s", json_string_value(value));
    }
}

static int read_fields(const json_t *root, const char *what, struct fields *f, struct pl_error *err)
{
    int rc = string_of(root, "id", what, "", &f->id, err);

    if (rc == PL_OK)
        rc = string_of(root, "source", what, "", &f->source, err);
    if (rc == PL_OK)
        rc = string_of(root, "question", what, NULL, &f->question, err);
    if (rc == PL_OK)
        rc = string_of(root, "answer", what, NULL, &f->answer, err);
    if (rc == PL_OK)
        rc = string_of(root, "verifier", what, NULL, &f->verifier, err);
    f->ordered = false;
    if (rc == PL_OK && pl_json_has(root, "ordered"))
        rc = pl_json_bool(root, "ordered", what, &f->ordered, err);
    if (rc == PL_OK)
        rc = check_aliases(root, what, err);
    if (rc == PL_OK)
        rc = check_steps(root, what, err);
    read_level(root, f->level);
    return rc;
}

/* meta.choices, where they are options of a question; else NULL. */
static const json_t *choices_of(const json_t *root)
{
    const json_t *list = json_object_get(json_object_get(root, "meta"), "choices"), *item;
    const size_t count = json_array_size(list);
    size_t i;

    if (count < 2 || count > PL_TASK_CHOICES_MAX)
        return NULL;
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return NULL;
    }
    return list;
}

/* The arrays in front of the texts. */
struct arrays {
    struct pl_truth *steps;
    const char **aliases; /* of the final answer, then of each step; then the choices */
};

static struct pl_truth truth_of(const json_t *obj, const char ***aliases, struct room *room)
{
    const json_t *list = json_object_get(obj, "aliases");
    struct pl_truth truth = {.alias_count = json_array_size(list)};

    truth.answer = keep_json(room, json_object_get(obj, "answer"));
    truth.aliases = *aliases;
    for (size_t i = 0; i < truth.alias_count; i++) {
        const char *text = keep_json(room, json_array_get(list, i));

        if (room->text)
            *(*aliases)++ = text;
    }
    return truth;
}

static size_t count_aliases(const json_t *root, const json_t *steps)
{
    size_t count = json_array_size(json_object_get(root, "aliases")), i;
    const json_t *step;

    json_array_foreach(steps, i, step) count += json_array_size(json_object_get(step, "aliases"));
    return count;
}

static void fill(struct pl_task *task, const json_t *root, const struct fields *f, const char *line,
                 size_t len, struct arrays arrays, struct room *room)
{
    const json_t *steps = json_object_get(root, "steps"), *choices = choices_of(root);

    task->id = keep(room, f->id, strlen(f->id));
    task->source = keep(room, f->source, strlen(f->source));
    task->question = keep(room, f->question, strlen(f->question));
    task->verifier = keep(room, f->verifier, strlen(f->verifier));
    task->level = keep(room, f->level, strlen(f->level));
    task->line = keep(room, line, len);
    task->line_len = len;
    task->ordered = f->ordered;
    task->final = truth_of(root, &arrays.aliases, room);
    task->steps = arrays.steps;
    task->step_count = json_array_size(steps);
    for (size_t i = 0; i < task->step_count; i++) {
        const struct pl_truth truth = truth_of(json_array_get(steps, i), &arrays.aliases, room);

        if (room->text)
            arrays.steps[i] = truth;
    }
    task->choices = arrays.aliases;
    task->choice_count = json_array_size(choices);
    for (size_t i = 0; i < task->choice_count; i++) {
        const char *text = keep_json(room, json_array_get(choices, i));

        if (room->text)
            arrays.aliases[i] = text;
    }
}

int pl_task_parse(const char *line, size_t len, const char *what, struct pl_task *ret_task,
                  struct pl_error *err)
{
    struct pl_task task = {0};
    struct room room = {0};
    struct fields fields;
    json_t *root = NULL;
    int rc;

    if (len > PL_TASK_BYTES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: a task of %zu bytes; at most %d are taken", what, len,
                       PL_TASK_BYTES_MAX);
    rc = pl_json_parse(line, len, what, &root, err);
    if (rc < 0)
        return rc;
    if (!json_is_object(root))
        rc = pl_fail(err, PL_EFORMAT, "%s: a task is a JSON object", what);
    if (rc == PL_OK)
        rc = read_fields(root, what, &fields, err);
    if (rc == PL_OK) {
        const json_t *steps = json_object_get(root, "steps");
        const size_t truths = json_array_size(steps) * sizeof(struct pl_truth);
        const size_t aliases =
            (count_aliases(root, steps) + json_array_size(choices_of(root))) * sizeof(char *);
        struct arrays arrays = {0};

        fill(&task, root, &fields, line, len, arrays, &room);
        task.memory = pl_alloc(1, truths + aliases + room.used);
        if (task.memory) {
            char *memory = task.memory;

            arrays.steps = task.memory;
            arrays.aliases = (const char **)(void *)(memory + truths);
            room = (struct room){memory + truths + aliases, 0};
            fill(&task, root, &fields, line, len, arrays, &room);
            *ret_task = task;
        } else {
            rc = pl_fail(err, PL_ENOMEM, "%s: no memory for a task", what);
        }
    }
    json_decref(root);
    return rc;
}

void pl_task_release(struct pl_task *task)
{
    free(task->memory);
    *task = (struct pl_task){0};
}

static int add_line(struct pl_tasks *tasks, size_t *cap, const char *line, size_t len,
                    const char *what, struct pl_error *err)
{
    if (tasks->count == *cap) {
        const size_t more = *cap ? 2 * *cap : 256;
        struct pl_task *grown = realloc(tasks->tasks, more * sizeof *grown);

        if (!grown)
            return pl_fail(err, PL_ENOMEM, "%s: no memory for %zu tasks", what, more);
        tasks->tasks = grown;
        *cap = more;
    }
    const int rc = pl_task_parse(line, len, what, &tasks->tasks[tasks->count], err);

    tasks->count += rc == PL_OK;
    return rc;
}

int pl_tasks_load(const char *path, struct pl_tasks *ret_tasks, struct pl_error *err)
{
    enum { FILE_BYTES_MAX = 1 << 30 };
    struct pl_tasks tasks = {0};
    size_t len, cap = 0, number = 0;
    char *data;
    int rc = pl_file_read(path, FILE_BYTES_MAX, &data, &len, err);

    if (rc < 0)
        return rc;
    for (const char *at = data, *end = data + len; rc == PL_OK && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((stop ? stop : end) - at);
        char what[512];

        snprintf(what, sizeof what, "%s:%zu", path, ++number);
        if (n > 0 && strspn(at, " \t\r") < n)
            rc = add_line(&tasks, &cap, at, n, what, err);
        at += n + 1;
        pl_pulse();
    }
    free(data);
    if (rc == PL_OK && tasks.count == 0)
        rc = pl_fail(err, PL_EFORMAT, "'%s': there is no task in it", path);
    if (rc < 0) {
        pl_tasks_release(&tasks);
        return rc;
    }
    *ret_tasks = tasks;
    return PL_OK;
}

void pl_tasks_release(struct pl_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        pl_task_release(&tasks->tasks[i]);
    free(tasks->tasks);
    *tasks = (struct pl_tasks){0};
}
