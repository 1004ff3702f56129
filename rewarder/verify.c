#include "rewarder/verify.h"

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

static const struct pl_verifier *const verifiers[] = {
    &pl_verify_kk,     &pl_verify_em,   &pl_verify_number,
    &pl_verify_choice, &pl_verify_math, &pl_verify_exec,
};

const struct pl_verifier pl_verify_exec = {.name = "exec"};

const struct pl_verifier *pl_verifier_named(const char *name)
{
    for (size_t i = 0; i < sizeof verifiers / sizeof *verifiers; i++)
        if (strcmp(verifiers[i]->name, name) == 0)
            return verifiers[i];
    return NULL;
}

int pl_verifier_check(const struct pl_task *task, struct pl_error *err)
{
    const struct pl_verifier *verifier = pl_verifier_named(task->verifier);

    if (!verifier)
        return pl_fail(err, PL_EFORMAT, "task '%.80s' asks for the unknown verifier '%.40s'",
                       task->id, task->verifier);
    return verifier->check ? verifier->check(task, err) : PL_OK;
}

/* ---- the judge ---- */

/* One text of a truth. */
struct known {
    const char *text;
    bool tried; /* to be read */
    void *form; /* NULL: it has none, or was not read yet */
};

struct pl_judge {
    const struct pl_verifier *verifier; /* NULL: no task began */
    const struct pl_task *task;
    struct known
        *known; /* (count) of the final truth, then of each step: its answer, its aliases */
    size_t count;
    size_t
        first[PL_TASK_STEPS_MAX + 2]; /* where a truth's are; of the one behind the last: count */
    void *answer, *room;
    bool readable, step; /* of the answer */
    uint64_t work[2];    /* for the final answer, for all intermediate ones */
    uint64_t bytes;      /* that were read */
};

int pl_judge_create(struct pl_judge **ret_judge)
{
    struct pl_judge *j = calloc(1, sizeof *j);

    if (!j)
        return PL_ENOMEM;
    *ret_judge = j;
    return PL_OK;
}

static void forget_task(struct pl_judge *j)
{
    for (size_t i = 0; i < j->count; i++)
        free(j->known[i].form);
    free(j->known);
    j->known = NULL;
    j->count = 0;
    free(j->answer);
    free(j->room);
    j->answer = j->room = NULL;
    j->readable = false;
    j->verifier = NULL;
}

void pl_judge_destroy(struct pl_judge *judge)
{
    if (!judge)
        return;
    forget_task(judge);
    free(judge);
}

static size_t put_truth(struct known *known, size_t at, const struct pl_truth *truth, bool aliases)
{
    known[at++] = (struct known){.text = truth->answer};
    for (size_t i = 0; aliases && i < truth->alias_count; i++)
        known[at++] = (struct known){.text = truth->aliases[i]};
    return at;
}

int pl_judge_task(struct pl_judge *judge, const struct pl_verifier *verifier,
                  const struct pl_task *task)
{
    struct pl_judge *j = judge;
    const size_t steps =
        task->step_count < PL_TASK_STEPS_MAX ? task->step_count : PL_TASK_STEPS_MAX;
    size_t count = 1 + task->final.alias_count, at;

    forget_task(j);
    for (size_t i = 0; i < steps; i++)
        count += 1 + task->steps[i].alias_count;
    j->known = calloc(count, sizeof *j->known);
    j->answer = malloc(verifier->form_bytes + 1);
    j->room = verifier->room_bytes > 0 ? malloc(verifier->room_bytes) : NULL;
    if (!j->known || !j->answer || (verifier->room_bytes > 0 && !j->room)) {
        forget_task(j);
        return PL_ENOMEM;
    }
    at = put_truth(j->known, 0, &task->final, verifier->aliases);
    j->first[0] = 0;
    for (size_t i = 0; i < steps; i++) {
        j->first[i + 1] = at;
        at = put_truth(j->known, at, &task->steps[i], verifier->aliases);
    }
    j->first[steps + 1] = j->count = at;
    j->verifier = verifier;
    j->task = task;
    pl_judge_response(j);
    return PL_OK;
}

void pl_judge_response(struct pl_judge *judge)
{
    judge->work[0] = judge->work[1] = judge->bytes = 0;
}

uint64_t pl_judge_work(const struct pl_judge *judge)
{
    return judge->work[0] + judge->work[1] + judge->bytes;
}

/* The form of a text of a truth, read when it is first needed: NULL where it has none. */
static int read_known(struct pl_judge *j, size_t at, bool step, const void **ret_form)
{
    struct known *k = &j->known[at];

    *ret_form = k->form;
    if (k->tried)
        return PL_OK;
    k->form = malloc(j->verifier->form_bytes);
    if (!k->form)
        return PL_ENOMEM;
    if (!j->verifier->read(&(struct pl_text){.task = j->task,
                                             .text = k->text,
                                             .len = strlen(k->text),
                                             .truth = true,
                                             .step = step},
                           k->form)) {
        free(k->form);
        k->form = NULL;
    }
    k->tried = true;
    *ret_form = k->form;
    return PL_OK;
}

int pl_judge_answer(struct pl_judge *judge, const char *text, size_t len, bool step)
{
    struct pl_text answer = {.task = judge->task, .text = text, .len = len, .step = step};
    const int rc = read_known(judge, 0, false, &answer.final);

    judge->step = step;
    judge->bytes += len;
    judge->readable = rc == PL_OK && judge->verifier->read(&answer, judge->answer);
    return rc;
}

int pl_judge_compare(struct pl_judge *judge, size_t step, enum pl_verdict *ret_verdict)
{
    struct pl_judge *j = judge;

    PL_ASSERT(j->verifier && j->step == (step > 0));
    *ret_verdict = PL_VERDICT_UNPARSED;
    if (!j->readable)
        return PL_OK;
    *ret_verdict = PL_VERDICT_WRONG;
    for (size_t i = j->first[step]; i < j->first[step + 1] && *ret_verdict != PL_VERDICT_RIGHT;
         i++) {
        const void *truth;
        const int rc = read_known(j, i, step > 0, &truth);

        if (rc < 0)
            return rc;
        if (truth)
            *ret_verdict =
                j->verifier->same(truth, j->answer, step > 0, j->room, &j->work[step > 0]);
    }
    return PL_OK;
}

/* ---- one answer by itself ---- */

static enum pl_verdict verify(const struct pl_verifier *verifier, const struct pl_task *task,
                              size_t step, const char *text, size_t len)
{
    enum pl_verdict verdict = PL_VERDICT_NONE;
    struct pl_judge *judge;

    if (pl_judge_create(&judge) < 0)
        return PL_VERDICT_NONE;
    if (pl_judge_task(judge, verifier, task) < 0 ||
        pl_judge_answer(judge, text, len, step > 0) < 0 ||
        pl_judge_compare(judge, step, &verdict) < 0)
        verdict = PL_VERDICT_NONE;
    pl_judge_destroy(judge);
    return verdict;
}

enum pl_verdict pl_verify_final(const struct pl_verifier *verifier, const struct pl_task *task,
                                const char *text, size_t len)
{
    return verify(verifier, task, 0, text, len);
}

enum pl_verdict pl_verify_step(const struct pl_verifier *verifier, const struct pl_task *task,
                               const struct pl_truth *truth, const char *text, size_t len)
{
    struct pl_task one = *task;

    one.steps = truth;
    one.step_count = 1;
    return verify(verifier, &one, 1, text, len);
}
