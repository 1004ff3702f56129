#include "learner/stale.h"

#include "common/base/check.h"
#include "common/base/log.h"

void pl_staleness_of(const struct pl_rollouts *rollouts, uint64_t version,
                     struct pl_staleness *ret_staleness)
{
    struct pl_staleness s = {.samples = rollouts->samples, .least = PL_STALENESS_MAX};

    for (size_t i = 0; i < rollouts->samples; i++) {
        const uint64_t oldest = rollouts->list[i]->versions[0];
        const uint64_t age = oldest < version ? version - oldest : 0;

        PL_ASSERT(age <= PL_STALENESS_MAX);
        s.counts[age]++;
        s.mean += (double)age / (double)rollouts->samples;
        s.least = age < s.least ? age : s.least;
        s.most = age > s.most ? age : s.most;
    }
    *ret_staleness = s;
}

static bool is_stale(const struct pl_rollout_group *g, uint64_t least)
{
    for (size_t s = 0; s < g->samples; s++)
        if (g->rollouts[s].versions[0] < least)
            return true;
    return false;
}

int pl_stale_redo(struct pl_feeder *feeder, uint64_t batch, const struct pl_ready *ready,
                  const struct pl_rollouts *rollouts, uint64_t least, size_t *ret_groups,
                  size_t *ret_samples, struct pl_error *err)
{
    int rc = PL_OK;

    PL_ASSERT(ready->count == rollouts->group_count);
    *ret_groups = *ret_samples = 0;
    for (size_t i = 0; rc == PL_OK && i < ready->count; i++) {
        const struct pl_rollout_group *g = &rollouts->groups[i];
        struct pl_redo redo = {.scored = ready->groups[i].pb,
                               .scored_len = ready->groups[i].pb_len,
                               .samples = g->samples,
                               .reason = "stale"};

        if (!is_stale(g, least))
            continue;
        for (size_t s = 0; s < g->samples; s++) {
            redo.right += g->rollouts[s].score.verdict == PL_VERDICT_RIGHT;
            redo.formatted += g->rollouts[s].score.format_ok;
        }
        rc = pl_feed_redo(feeder, batch, ready->groups[i].index, &redo, err);
        if (rc == PL_OK)
            pl_info("redone group=%s:%u reason=stale", ready->batch, ready->groups[i].index);
        *ret_groups += 1;
        *ret_samples += g->samples;
    }
    return rc;
}
