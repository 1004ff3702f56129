#include "deploy/tasks/problem_set.h"

#include "common/base/check.h"

enum { MISSES_MAX = 20000 }; /* in a row: what is left to find is not worth the search */

void pl_problem_set_init(struct pl_problem_set *set, const struct pl_problem_set_opts *opts)
{
    PL_ASSERT(opts->count >= 1 && opts->count <= PL_FAMILY_SIZES);
    *set = (struct pl_problem_set){.opts = *opts};
}

void pl_problem_set_release(struct pl_problem_set *set)
{
    pl_key_set_release(&set->seen);
}

static bool belongs(const struct pl_problem_set *set, enum pl_data_part part,
                    const struct pl_problem *problem)
{
    const bool held_out = set->opts.family->shape(problem) % PL_HELD_OUT == 0;

    return set->opts.split != PL_SPLIT_SHAPE || held_out == (part == PL_DATA_PART_TEST);
}

static int nothing_found(const struct pl_problem_set *set, size_t size, struct pl_error *err)
{
    const struct pl_family *family = set->opts.family;
    const bool names = family->names.most > 0;

    return pl_fail(err, PL_EFULL,
                   "no new %s of %zu %s was found after the first %llu of the set: ask for "
                   "fewer%s for more %s%s",
                   family->noun, size, family->size, (unsigned long long)set->seen.count,
                   names ? "," : " or", family->size, names ? " or for more names" : "");
}

int pl_problem_set_next(struct pl_problem_set *set, enum pl_data_part part,
                        struct pl_problem *ret_problem, uint32_t *ret_index, struct pl_error *err)
{
    const struct pl_family *family = set->opts.family;
    const size_t turn = (size_t)(set->taken[part] % set->opts.count);
    const size_t size = set->opts.sizes[turn];
    /* Where shapes do not keep the parts apart, both go on along one row of indices. */
    uint32_t *next =
        &set->next[set->opts.split == PL_SPLIT_SHAPE ? part : PL_DATA_PART_TRAIN][turn];

    for (size_t misses = 0; misses < MISSES_MAX && *next < UINT32_MAX; misses++) {
        const uint32_t index = (*next)++;
        bool is_new;
        int rc;

        pl_family_draw(family, &set->opts.draw, size, index, ret_problem);
        if (!belongs(set, part, ret_problem))
            continue;
        rc = pl_key_set_add(&set->seen, family->key(ret_problem), &is_new);
        if (rc < 0)
            return pl_fail(err, rc, "no memory to remember %zu %s", set->seen.count + 1,
                           family->nouns);
        if (!is_new)
            continue;
        set->taken[part]++;
        *ret_index = index;
        return PL_OK;
    }
    return nothing_found(set, size, err);
}
