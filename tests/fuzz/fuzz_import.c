/*
 * Published rows of all kinds: the first byte chooses the kind, in the order of the table from 'a',
 * the second the options, the rest is a row. What is taken is a task, the same one every time;
 * where its verifier can compare with it, the answer is right.
 */
#include "deploy/tasks/import.h"
#include "rewarder/verify.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) };

static const struct pl_import_kind *kind_of(uint8_t byte)
{
    size_t count = 0;

    while (pl_import_kinds[count].name)
        count++;
    return &pl_import_kinds[(size_t)(byte - 'a') % count];
}

/* Puzzles were proved; whether others can be scored is looked at when they join a set. */
static void check_answer(const struct pl_task *task)
{
    const char *answer = task->final.answer;

    if (strcmp(task->verifier, "kk") == 0)
        PL_ASSERT(pl_verifier_check(task, NULL) == PL_OK &&
                  pl_verify_final(&pl_verify_kk, task, answer, strlen(answer)) == PL_VERDICT_RIGHT);
}

static void check_task(const struct pl_import_draft *draft, struct pl_error *err)
{
    struct pl_task task;
    int rc;

    PL_ASSERT(!memchr(draft->line.data, '\n', draft->line.len));
    PL_ASSERT(draft->link_count <= PL_IMPORT_LINKS_MAX);
    rc = pl_task_parse(draft->line.data, draft->line.len, "fuzz", &task, err);
    if (rc < 0) { /* too many aliases, or too large: told when it joins the others */
        pl_fuzz_refused(rc, err, PL_FUZZ_CODE(PL_EFORMAT));
        return;
    }
    pl_fuzz_taken(true);
    PL_ASSERT(task.question[0] && task.final.answer[0] && task.id[0]);
    check_answer(&task);
    pl_task_release(&task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pl_ruler ruler;
    struct pl_fuzz_in in = {data, size};
    const struct pl_import_kind *kind = kind_of(pl_fuzz_byte(&in));
    const uint8_t flags = pl_fuzz_byte(&in);
    const struct pl_import_conf conf = {.ruler = &ruler,
                                        .keep_system = flags & 1,
                                        .shuffle = flags & 2,
                                        .drop_over_budget = flags & 4,
                                        .verifier = flags & 8 ? "em" : NULL,
                                        .context_tokens = flags,
                                        .seed = flags};
    struct pl_import_row row = {.what = "fuzz", .stem = "f", .number = 1};
    struct pl_import_draft draft[2];
    struct pl_error err = {0};
    json_t *json = NULL;
    int rc = pl_json_parse((const char *)in.data, in.size, "fuzz", &json, &err);

    pl_import_draft_init(&draft[0]);
    pl_import_draft_init(&draft[1]);
    row.json = json;
    if (rc == PL_OK && !json_is_object(json))
        rc = pl_fail(&err, PL_EFORMAT, "no object");
    if (rc == PL_OK)
        rc = kind->read(&conf, &row, &draft[0], &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        PL_ASSERT(kind->read(&conf, &row, &draft[1], NULL) == PL_OK);
        PL_ASSERT(draft[0].left_out == draft[1].left_out);
        PL_ASSERT(draft[0].line.len == draft[1].line.len);
        pl_fuzz_taken(true);
        if (!draft[0].left_out) {
            PL_ASSERT(memcmp(draft[0].line.data, draft[1].line.data, draft[0].line.len) == 0);
            check_task(&draft[0], &err);
        }
    }
    json_decref(json);
    pl_import_draft_release(&draft[0]);
    pl_import_draft_release(&draft[1]);
    return 0;
}
