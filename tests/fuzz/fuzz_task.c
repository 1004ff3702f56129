/*
 * Tasks, one JSON line each: what is taken has all its texts, within the stated limits, and a file
 * of lines has as many tasks as the lines that are taken one by one.
 */
#include "proto/task.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT), LINES_MAX = 64 };

static void check_truth(const struct pl_truth *truth)
{
    PL_ASSERT(truth->answer);
    PL_ASSERT(truth->alias_count <= PL_TASK_ALIASES_MAX);
    for (size_t i = 0; i < truth->alias_count; i++)
        PL_ASSERT(truth->aliases[i] && strlen(truth->aliases[i]) <= PL_TASK_BYTES_MAX);
}

static void check_task(const struct pl_task *task, const char *line, size_t len)
{
    PL_ASSERT(task->id && task->source && task->question && task->verifier && task->level);
    PL_ASSERT(strlen(task->level) < 64);
    check_truth(&task->final);
    PL_ASSERT(task->step_count <= PL_TASK_STEPS_MAX);
    for (size_t i = 0; i < task->step_count; i++)
        check_truth(&task->steps[i]);
    PL_ASSERT(task->choice_count <= PL_TASK_CHOICES_MAX && task->choice_count != 1);
    for (size_t i = 0; i < task->choice_count; i++)
        PL_ASSERT(task->choices[i] && strlen(task->choices[i]) <= PL_TASK_BYTES_MAX);
    PL_ASSERT(task->line_len == len && memcmp(task->line, line, len) == 0);
    PL_ASSERT(task->line[len] == '\0');
}

static int parse(const char *line, size_t len, struct pl_task *task)
{
    struct pl_error err = {0};
    const int rc = pl_task_parse(line, len, "fuzz", task, &err);

    if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    else
        check_task(task, line, len);
    return rc;
}

static void check_file(struct pl_fuzz_in in)
{
    char *path = pl_fuzz_path("tasks.jsonl");
    struct pl_tasks tasks = {0};
    struct pl_error err = {0};
    int rc;

    pl_fuzz_write("tasks.jsonl", in.data, in.size);
    rc = pl_tasks_load(path, &tasks, &err);
    if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    for (size_t i = 0; rc == PL_OK && i < tasks.count; i++)
        check_task(&tasks.tasks[i], tasks.tasks[i].line, tasks.tasks[i].line_len);
    if (rc == PL_OK) {
        PL_ASSERT(tasks.count > 0);
        pl_fuzz_taken(true); /* several lines are no line */
        pl_tasks_release(&tasks);
    }
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    struct pl_task task = {0};

    if (parse((const char *)in.data, in.size, &task) == PL_OK)
        pl_task_release(&task);
    check_file(in);
    return 0;
}
