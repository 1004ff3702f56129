#include "rewarder/verify.h"

#include <string.h>

static const struct pl_verifier *const verifiers[] = {&pl_verify_kk};

const struct pl_verifier *pl_verifier_named(const char *name)
{
    for (size_t i = 0; i < sizeof verifiers / sizeof *verifiers; i++)
        if (strcmp(verifiers[i]->name, name) == 0)
            return verifiers[i];
    return NULL;
}
