#include "learner/learner_impl.h"

#include "common/base/check.h"
#include "common/base/log.h"

#include <stdio.h>

/* The older versions that batches and evaluations still to come are pinned to. */
static void list_behind(struct pl_learner *l)
{
    struct pl_savepoint *p = &l->point;
    const uint64_t oldest = pl_feed_version(l->conf, p->step);

    p->behind_count = 0;
    for (size_t i = 0; i < l->versions.count; i++) {
        const struct pl_version *v = &l->versions.list[i];
        bool needed = v->number >= oldest && !pl_learner_is_latest(l);

        for (size_t k = 0; k < p->eval_count; k++)
            needed = needed || v->number == p->evals[k] + 1;
        if (!needed || v->number > p->step) /* the newest is the model itself */
            continue;
        PL_ASSERT(p->behind_count < PL_BEHIND_MAX);
        p->behind[p->behind_count++] = (struct pl_behind){v->number, (uint16_t *)v->values};
    }
}

static int retire(struct pl_learner *l, const char *batch, struct pl_error *err)
{
    const int rc = pl_queues_retire(l->stream, batch, err);

    if (rc == PL_OK)
        pl_info("retired batch=%s step=%llu", batch, (unsigned long long)l->point.step);
    return rc;
}

/* Evaluations that are reported, and the checkpoint says so. */
int pl_learner_retire_evals(struct pl_learner *l, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < l->reported_count; i++) {
        char name[32];

        snprintf(name, sizeof name, "e%llu", (unsigned long long)l->evals_reported[i]);
        rc = retire(l, name, err);
    }
    if (rc == PL_OK)
        l->reported_count = 0;
    return rc;
}

int pl_learner_save(struct pl_learner *l, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;
    const double start = pl_learner_seconds();
    int rc;

    if (l->saved == p->step && p->step > 0)
        return PL_OK;
    list_behind(l);
    p->kl_coef = l->update.kl_coef;
    p->train.skipped = l->update.skipped;
    rc = pl_metrics_sync(l->metrics, err); /* a checkpoint stands for all lines up to its step */
    if (rc == PL_OK)
        rc = pl_models_save(&l->models, &l->dir, l->agree, l->versions.table.values, p, err);
    for (uint64_t b = l->saved; rc == PL_OK && b < p->step; b++) {
        char name[32];

        snprintf(name, sizeof name, "%llu", (unsigned long long)b);
        rc = retire(l, name, err);
    }
    if (rc == PL_OK)
        rc = pl_learner_retire_evals(l, err);
    if (rc < 0)
        return rc;
    l->saved = p->step;
    l->save_s += pl_learner_seconds() - start;
    pl_info("saved step=%llu seconds=%.2f", (unsigned long long)p->step,
            pl_learner_seconds() - start);
    return pl_rundir_prune(&l->dir, p->step, l->conf->keep, err);
}
