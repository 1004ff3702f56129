/*
 * Published rows of Knights and Knaves. What is taken has the one solution it says; its claims,
 * printed and read again, are the same; and it can be proved, answered and written as a task.
 */
#include "deploy/tasks/kk_answer.h"
#include "deploy/tasks/kk_literal.h"
#include "deploy/tasks/kk_task.h"
#include "proto/task.h"
#include "rewarder/verify.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum {
    TEXT_BYTES_MAX = 16 << 20,
    REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED)
};

/* Bytes alone, as claims of 2 and of 8 people. */
static void check_literal(const char *data, size_t size)
{
    for (size_t people = 2; people <= 8; people += 6) {
        struct pl_kk puzzle = {0}, again = {0};
        struct pl_error err = {0};
        struct pl_buf text;
        const int rc = pl_kk_literal_parse(data, size, people, &puzzle, &err);

        if (rc < 0) {
            pl_fuzz_refused(rc, &err, REFUSED);
            PL_ASSERT(puzzle.people == 0);
            continue;
        }
        pl_buf_init(&text, TEXT_BYTES_MAX);
        PL_ASSERT(pl_kk_literal_print(&puzzle, &text) == PL_OK);
        PL_ASSERT(pl_kk_literal_parse(text.data, text.len, people, &again, NULL) == PL_OK);
        PL_ASSERT(memcmp(&puzzle, &again, sizeof puzzle) == 0);
        pl_buf_release(&text);
    }
}

static void check_answers(const struct pl_kk *puzzle)
{
    for (size_t i = 0; i < 4; i++) {
        const struct pl_worked_opts opts = {
            .template = i < 2 ? PL_METHOD_INTERLEAVE : PL_METHOD_COT,
            .wording = i % 2 ? PL_WORDING_PLAIN : PL_WORDING_PUBLISHED,
            .careful = true};
        struct pl_buf text;
        bool correct = false;

        pl_buf_init(&text, TEXT_BYTES_MAX);
        PL_ASSERT(pl_kk_answer(puzzle, &opts, &text, &correct) == PL_OK && correct);
        pl_buf_release(&text);
    }
}

static void check_task(const struct pl_kk *puzzle, const char *question)
{
    const struct pl_kk_task made = {.puzzle = puzzle, .id = "fuzz", .question = question};
    struct pl_task task;
    struct pl_buf line;

    pl_buf_init(&line, TEXT_BYTES_MAX);
    PL_ASSERT(pl_kk_task_print(&made, &line) == PL_OK);
    PL_ASSERT(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    if (line.len <= PL_TASK_BYTES_MAX) {
        PL_ASSERT(pl_task_parse(line.data, line.len - 1, "fuzz", &task, NULL) == PL_OK);
        PL_ASSERT(strcmp(task.question, question) == 0 && task.step_count == puzzle->people);
        PL_ASSERT(pl_verify_kk.check(&task, NULL) == PL_OK);
        PL_ASSERT(pl_verify_final(&pl_verify_kk, &task, task.final.answer,
                                  strlen(task.final.answer)) == PL_VERDICT_RIGHT);
        pl_task_release(&task);
    }
    pl_buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_error err = {0};
    struct pl_kk puzzle;
    struct pl_buf question;
    uint64_t index = 0;
    uint32_t solution = 0;
    int rc;

    check_literal((const char *)data, size);
    pl_buf_init(&question, TEXT_BYTES_MAX);
    rc = pl_kk_row_read((const char *)data, size, "fuzz", &puzzle, &question, &index, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        pl_fuzz_taken(true);
        PL_ASSERT(pl_kk_solve(&puzzle, &solution) == 1 && solution == puzzle.solution);
        check_answers(&puzzle);
        check_task(&puzzle, question.data);
    }
    pl_buf_release(&question);
    return 0;
}
