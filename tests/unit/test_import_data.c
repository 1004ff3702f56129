/*
 * The real rows: every task that is made of them can be scored, and its own answers are right by
 * its verifier. Rows are taken from PLAIT_TEST_DATA; without them this is skipped, and says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "deploy/tasks/import_files.h"
#include "deploy/tasks/import_set.h"
#include "rewarder/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    const struct pl_import_kind *kind;
    struct pl_import_conf conf;
    struct pl_import_draft draft;
    struct pl_import_set set;
    size_t unfit;
};

static struct pl_ruler ruler;

static int take(void *at, const struct pl_import_row *row, struct pl_error *err)
{
    struct job *job = at;
    enum pl_import_added added = PL_IMPORT_NEW;
    int rc;

    pl_import_draft_clear(&job->draft);
    rc = job->kind->read(&job->conf, row, &job->draft, err);
    if (rc == PL_OK && !job->draft.left_out)
        rc = pl_import_set_add(&job->set, &job->draft, row->what, &added, err);
    job->unfit += rc == PL_OK && added == PL_IMPORT_UNFIT;
    return rc;
}

/* All tasks of a file, whose answers are checked by `check`; returns false where there is none. */
static bool each_task(const char *kind, const char *file, size_t tasks, size_t unfit,
                      void (*check)(const struct pl_verifier *verifier, const struct pl_task *task,
                                    const struct pl_task *other))
{
    const char *data = getenv("PLAIT_TEST_DATA"), *nearest = NULL;
    struct job job = {.kind = pl_import_kind_named(kind, &nearest),
                      .conf = {.ruler = &ruler, .context_tokens = 1000, .shuffle = true}};
    struct pl_import_reader reader = {.fn = take, .at = &job};
    struct pl_error err = {0};
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", data ? data : "", file);
    if (!data || !pl_path_exists(path)) {
        print_message("skipped: there is no '%s' in PLAIT_TEST_DATA\n", file);
        return false;
    }
    pl_import_draft_init(&job.draft);
    if (pl_import_file(&reader, path, "f", &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(job.set.count, tasks);
    assert_int_equal(job.unfit, unfit);
    for (size_t i = 0; i < job.set.count; i++) {
        const struct pl_task *task = &job.set.items[i].task;
        const struct pl_verifier *verifier = pl_verifier_named(task->verifier);

        assert_non_null(verifier);
        if (pl_verifier_check(task, &err) < 0)
            fail_msg("%s", err.text);
        check(verifier, task, &job.set.items[(i + 1) % job.set.count].task);
    }
    pl_import_draft_release(&job.draft);
    pl_import_set_release(&job.set);
    return true;
}

static void is_right(const struct pl_verifier *verifier, const struct pl_task *task,
                     const char *answer)
{
    const enum pl_verdict verdict = pl_verify_final(verifier, task, answer, strlen(answer));

    if (verdict != PL_VERDICT_RIGHT)
        fail_msg("task '%s': '%s' is taken for verdict %d", task->id, answer, (int)verdict);
}

static void own_answers_are_right(const struct pl_verifier *verifier, const struct pl_task *task,
                                  const struct pl_task *other)
{
    is_right(verifier, task, task->final.answer);
    for (size_t i = 0; i < task->final.alias_count; i++)
        if (task->choice_count == 0 || strlen(task->final.aliases[i]) > 1) /* else a letter */
            is_right(verifier, task, task->final.aliases[i]);
    for (size_t i = 0; i < task->step_count; i++) {
        const char *answer = task->steps[i].answer;

        assert_int_equal(pl_verify_step(verifier, task, &task->steps[i], answer, strlen(answer)),
                         PL_VERDICT_RIGHT);
    }
    if (task->choice_count > 0) { /* another letter is not right */
        const size_t place = (size_t)(task->final.answer[0] - 'A');
        const size_t next = (place + 1) % task->choice_count;
        const char letter[] = {(char)('A' + next), '\0'};

        assert_int_not_equal(pl_verify_final(verifier, task, letter, 1), PL_VERDICT_RIGHT);
    } else if (strcmp(task->verifier, "number") == 0 &&
               strcmp(task->final.answer, other->final.answer) != 0) {
        assert_int_equal(
            pl_verify_final(verifier, task, other->final.answer, strlen(other->final.answer)),
            PL_VERDICT_WRONG);
    }
}

static void real_rows(void **state)
{
    static const struct {
        const char *kind, *file;
        size_t tasks, unfit;
    } files[] = {
        {"kk", "kk/people3_train.jsonl", 900, 0},
        {"kk", "kk/people8_test.jsonl", 80, 0},
        {"musique", "musique/full_2hop.jsonl", 193, 0},
        {"musique", "musique/full_3-4hop.jsonl", 84, 0},
        {"gsm8k", "gsm8k/test.jsonl", 1055, 0},
        {"gsm8k", "gsm8k/train.jsonl", 7473, 0},
        {"mmlu-redux", "mmlu_redux/six_subjects.jsonl", 557, 1},
    };
    size_t read = 0;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        read += each_task(files[i].kind, files[i].file, files[i].tasks, files[i].unfit,
                          own_answers_are_right);
    if (read == 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
