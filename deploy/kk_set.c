#include "deploy/kk_set.h"

#include "common/base/check.h"

enum { MISSES_MAX = 20000 }; /* in a row: what is left to find is not worth the search */

void pl_kk_set_init(struct pl_kk_set *set, const struct pl_kk_set_opts *opts)
{
    PL_ASSERT(opts->sizes >= 1 && opts->sizes <= PL_KK_SIZES);
    *set = (struct pl_kk_set){.opts = *opts};
}

void pl_kk_set_release(struct pl_kk_set *set)
{
    pl_key_set_release(&set->seen);
}

static bool belongs(const struct pl_kk_set *set, enum pl_kk_part part, const struct pl_kk *puzzle)
{
    const bool held_out = pl_kk_shape(puzzle) % PL_KK_HELD_OUT == 0;

    return set->opts.split != PL_KK_BY_SHAPE || held_out == (part == PL_KK_TEST);
}

int pl_kk_set_next(struct pl_kk_set *set, enum pl_kk_part part, struct pl_kk *ret_puzzle,
                   uint32_t *ret_index, struct pl_error *err)
{
    const size_t size = (size_t)(set->taken[part] % set->opts.sizes);
    const size_t people = set->opts.people[size];
    /* Where shapes do not keep the parts apart, both go on along one row of indices. */
    uint32_t *next = &set->next[set->opts.split == PL_KK_BY_SHAPE ? part : PL_KK_TRAIN][size];

    for (size_t misses = 0; misses < MISSES_MAX && *next < UINT32_MAX; misses++) {
        const uint32_t index = (*next)++;
        bool is_new;
        int rc;

        pl_kk_generate(set->opts.seed, people, index, set->opts.names, ret_puzzle);
        if (!belongs(set, part, ret_puzzle))
            continue;
        rc = pl_key_set_add(&set->seen, pl_kk_key(ret_puzzle), &is_new);
        if (rc < 0)
            return pl_fail(err, rc, "no memory to remember %zu puzzles", set->seen.count + 1);
        if (!is_new)
            continue;
        set->taken[part]++;
        *ret_index = index;
        return PL_OK;
    }
    return pl_fail(err, PL_EFULL,
                   "no new puzzle of %zu people was found after the first %llu of the set: ask for "
                   "fewer, for more people or for more names",
                   people, (unsigned long long)set->seen.count);
}
