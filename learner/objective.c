#include "learner/objective.h"

#include "common/base/check.h"

void pl_supervised_begin(struct pl_supervised *supervised, size_t tokens)
{
    PL_ASSERT(tokens > 0);
    *supervised = (struct pl_supervised){.tokens = tokens};
}

static void supervised_slopes(void *at, const struct pl_slopes *slopes)
{
    struct pl_supervised *s = at;
    const float slope = (float)(-1.0 / (double)s->tokens);

    s->seen += slopes->n;
    PL_ASSERT(s->seen <= s->tokens);
    for (size_t i = 0; i < slopes->n; i++) {
        s->sum_logp += (double)slopes->logp[i];
        slopes->dlogp[i] = slope;
    }
}

struct pl_objective pl_supervised_objective(struct pl_supervised *supervised)
{
    return (struct pl_objective){.at = supervised, .slopes = supervised_slopes};
}

double pl_supervised_loss(const struct pl_supervised *supervised)
{
    PL_ASSERT(supervised->seen == supervised->tokens);
    return -supervised->sum_logp / (double)supervised->tokens;
}
