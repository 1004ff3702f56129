#include "learner/learner_impl.h"

#include "common/base/log.h"

#include <math.h>
#include <stdio.h>

enum {
    FEED_AGAIN_S = 5, /* while waiting: what Redis may have lost is fed again */
    SLOW_S = 60,      /* a wait that is worth a line in the log */
};

/* ---- feeding ---- */

/* Everything that may be sampled by now: batches up to step + staleness, evaluations not yet in. */
uint64_t pl_learner_feed_end(const struct pl_learner *l)
{
    const uint64_t end = l->point.step + l->conf->staleness + 1;

    return end < l->conf->steps ? end : l->conf->steps;
}

int pl_learner_feed(struct pl_learner *l, size_t *ret_new, struct pl_error *err)
{
    const uint64_t step = l->point.step, end = pl_learner_feed_end(l);
    size_t fresh = 0;
    int rc = PL_OK;

    *ret_new = 0;
    for (size_t i = 0; rc == PL_OK && i < l->point.eval_count; i++) {
        rc = pl_feed_val(&l->feeder, l->point.evals[i], &fresh, err);
        *ret_new += fresh;
    }
    for (uint64_t b = step; rc == PL_OK && b < end; b++) {
        rc = pl_feed_train(&l->feeder, b, b == step ? l->point.accuracy : NAN, &fresh, err);
        *ret_new += fresh;
    }
    return rc;
}

struct pl_trust_open pl_learner_open_work(const struct pl_learner *l)
{
    return (struct pl_trust_open){l->point.step, pl_learner_feed_end(l), l->point.evals,
                                  l->point.eval_count};
}

/* Nothing of what is not trained yet stays that actors in quarantine made or hold. */
int pl_learner_sweep(struct pl_learner *l, struct pl_error *err)
{
    const struct pl_trust_open open = pl_learner_open_work(l);
    size_t groups = 0, fresh;
    int rc = pl_trust_sweep(&l->trust, &open, &groups, err);

    return rc == PL_OK && groups > 0 ? pl_learner_feed(l, &fresh, err) : rc;
}

bool pl_learner_eval_is_due(const struct pl_learner *l, uint64_t step)
{
    const struct pl_run_conf *c = l->conf;

    if (c->val_files.count == 0)
        return false;
    if (step == 0)
        return c->val_before_train;
    return step == c->steps || (c->test_freq > 0 && step % c->test_freq == 0);
}

/* The policy after so many steps: not, when it is the last one and nothing evaluates it. */
bool pl_learner_is_sampled_with(const struct pl_learner *l, uint64_t step)
{
    return step < l->conf->steps || pl_learner_eval_is_due(l, step);
}

/* Evaluate the policy as it is now. */
void pl_learner_add_eval(struct pl_learner *l)
{
    if (pl_learner_eval_is_due(l, l->point.step) && l->point.eval_count < PL_EVALS_MAX)
        l->point.evals[l->point.eval_count++] = l->point.step;
}

bool pl_learner_is_latest(const struct pl_learner *l)
{
    return l->conf->rollout_mode == PL_ROLLOUT_LATEST;
}

/* ---- waiting ---- */

void pl_learner_log_ready(const struct pl_ready *ready)
{
    pl_info("ready batch=%s gate=%s accuracy=%.4f previous=%.4f groups=%zu dropped=%zu",
            ready->batch, ready->gate ? "open" : "shut", ready->accuracy, ready->previous,
            ready->count, ready->dropped);
}

/* The batch of this step; what is missing is fed until it comes. */
int pl_learner_wait_batch(struct pl_learner *l, struct pl_ready *ret_ready, double *ret_wait_s,
                          struct pl_error *err)
{
    const double start = pl_learner_seconds();
    double fed = start, said = start;
    char name[32];
    bool whole = true;
    size_t fresh;

    snprintf(name, sizeof name, "%llu", (unsigned long long)l->point.step);
    for (;;) {
        int rc = pl_queues_take(l->stream, name, PL_LEARNER_WAIT_MS, ret_ready, err);

        *ret_wait_s = pl_learner_seconds() - start;
        if (rc == PL_OK)
            pl_learner_log_ready(ret_ready);
        if (rc != PL_ENOENT)
            return rc;
        if (pl_daemon_stopping(NULL))
            return pl_fail(err, PL_ECANCELED, "stopped while waiting for batch %s", name);
        rc = pl_learner_take_evals(l, 0, err);
        if (rc == PL_OK)
            rc = pl_queues_whole(l->stream, name, &whole, err);
        if (rc == PL_OK && (!whole || pl_learner_seconds() - fed > FEED_AGAIN_S)) {
            fed = pl_learner_seconds();
            rc = pl_learner_sweep(l, err);
            if (rc == PL_OK)
                rc = pl_learner_feed(l, &fresh, err);
            if (rc == PL_OK && fresh > 0)
                pl_warn("fed event=again batch=%s groups=%zu reason=\"Redis had lost them, or they "
                        "were refused\"",
                        name, fresh);
        }
        if (rc < 0)
            return rc;
        if (pl_learner_seconds() - said > SLOW_S) {
            said = pl_learner_seconds();
            pl_warn("waiting event=slow batch=%s waited_s=%.0f reason=\"not all of its groups are "
                    "sampled and scored\"",
                    name, said - start);
        }
    }
}
