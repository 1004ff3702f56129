/* Texts that are the same but for how they are written (em.h). */
#include "rewarder/em.h"
#include "rewarder/verify.h"

static enum pl_verdict final(const struct pl_task *task, const char *answer, size_t len)
{
    return pl_em_compare(&task->final, answer, len);
}

static enum pl_verdict step(const struct pl_task *task, const struct pl_truth *truth,
                            const char *answer, size_t len)
{
    (void)task;
    return pl_em_compare(truth, answer, len);
}

static int check(const struct pl_task *task, struct pl_error *err)
{
    const int rc = pl_em_check(task, &task->final, "the answer", err);

    return rc < 0 ? rc : pl_em_check_steps(task, err);
}

const struct pl_verifier pl_verify_em = {"em", final, step, check};
