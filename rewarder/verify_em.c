/* Texts that are the same but for how they are written (em.h). */
#include "rewarder/em.h"
#include "rewarder/verify.h"

static bool read_form(const struct pl_text *text, void *ret_form)
{
    return pl_em_read(text->text, text->len, ret_form);
}

static enum pl_verdict same_form(const void *truth, const void *answer, bool step, void *room,
                                 uint64_t *work)
{
    (void)step;
    (void)room;
    (void)work;
    return pl_em_equal(truth, answer) ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG;
}

static int check(const struct pl_task *task, struct pl_error *err)
{
    const int rc = pl_em_check(task, &task->final, "the answer", err);

    return rc < 0 ? rc : pl_em_check_steps(task, err);
}

const struct pl_verifier pl_verify_em = {.name = "em",
                                         .form_bytes = sizeof(struct pl_em),
                                         .aliases = true,
                                         .read = read_form,
                                         .same = same_form,
                                         .check = check};
