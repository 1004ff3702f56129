#include "learner/refill.h"

#include "learner/advantage.h"

#include <stdlib.h>

int pl_refill(struct pl_rollouts *rollouts, size_t groups, struct pl_refill *ret_refill,
              struct pl_error *err)
{
    struct pl_rollouts *r = rollouts;
    struct pl_refill refill = {.sampled = r->group_count};
    bool *keep = calloc(r->group_count + 1, sizeof *keep);
    size_t kept = 0;

    if (!keep)
        return pl_fail(err, PL_ENOMEM, "no memory for a batch of %zu groups", r->group_count);
    for (size_t g = 0; g < r->group_count; g++) {
        const bool zero = pl_zero_spread(r->scores, r->group_first[g], r->group_first[g + 1]);

        refill.zero_spread += zero;
        keep[g] = !zero && kept < groups;
        kept += keep[g];
    }
    for (size_t g = 0; kept == 0 && g < r->group_count && g < groups; g++)
        keep[g] = true;
    for (size_t g = 0; g < r->group_count; g++)
        refill.refilled += keep[g] && r->groups[g].index >= groups;
    if (r->group_count > 0)
        pl_rollouts_keep(r, keep);
    free(keep);
    *ret_refill = refill;
    return PL_OK;
}
