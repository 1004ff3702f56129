#include "rewarder/verify.h"

#include <string.h>

static const struct pl_verifier *const verifiers[] = {
    &pl_verify_kk,     &pl_verify_em,   &pl_verify_number,
    &pl_verify_choice, &pl_verify_math, &pl_verify_exec,
};

const struct pl_verifier pl_verify_exec = {"exec", NULL, NULL, NULL};

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
