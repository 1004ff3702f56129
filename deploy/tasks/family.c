#include "deploy/tasks/family.h"

#include "common/base/check.h"

#include <stdio.h>
#include <string.h>

static const struct pl_family *const families[] = {
    &pl_family_kk,
    &pl_family_hops,
    &pl_family_arith,
};

size_t pl_family_count(void)
{
    return sizeof families / sizeof families[0];
}

const struct pl_family *pl_family_at(size_t i)
{
    PL_ASSERT(i < pl_family_count());
    return families[i];
}

int pl_family_named(const char *name, const struct pl_family **ret_family, struct pl_error *err)
{
    char known[128] = "";
    size_t len = 0;

    for (size_t i = 0; i < pl_family_count(); i++) {
        if (strcmp(families[i]->name, name) == 0) {
            *ret_family = families[i];
            return PL_OK;
        }
        len += (size_t)snprintf(known + len, sizeof known - len, "%s'%s'",
                                i == 0                      ? ""
                                : i + 1 < pl_family_count() ? ", "
                                                            : " and ",
                                families[i]->name);
        PL_ASSERT(len < sizeof known);
    }
    return pl_fail(err, PL_EINVAL, "unknown kind of data '%s'; plait knows %s", name, known);
}

void pl_family_draw(const struct pl_family *family, const struct pl_family_draw *draw, size_t size,
                    uint32_t index, struct pl_problem *ret_problem)
{
    PL_ASSERT(size >= family->size_min && size <= family->size_max);
    ret_problem->family = family;
    ret_problem->size = size;
    ret_problem->wording = draw->wording;
    family->draw(draw, index, ret_problem);
}
