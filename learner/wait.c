/*
 * Everything that the learner waits for in Redis is waited for here, in one way: groups that Redis
 * has lost are fed again, nothing stays of actors in quarantine, parked groups are put back, what
 * the dead hold is given back, a Redis that is full is given room by a checkpoint, a signal is seen
 * at once, and who asks is told why it takes so long.
 */
#include "learner/learner_impl.h"

#include "common/app/vitals.h"
#include "common/base/log.h"
#include "learner/why.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_S = 5,         /* while waiting: feed again, look for what is missing and why */
    SLOW_S = 60,        /* a wait that is worth a line in the log, and after as long another */
    UNPARK_FIRST_S = 5, /* a parked group is put back after so long, then after twice as long */
    UNPARK_MOST_S = 600,
    PARKED_MAX = 64,
    SILENT_LEASES = 3, /* a worker whose beat stands still for so many leases is gone */
};

/* ---- feeding ---- */

uint64_t pl_learner_feed_end(const struct pl_learner *l)
{
    const uint64_t end = l->point.step + l->conf->staleness + 1;

    return end < l->conf->steps ? end : l->conf->steps;
}

static int feed_all(struct pl_learner *l, size_t *ret_new, struct pl_error *err)
{
    const uint64_t step = l->point.step, end = pl_learner_feed_end(l);
    size_t fresh = 0;
    int rc = pl_identity_keep(&l->identity, l->stream, step, err);

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

/* A Redis that went back may be in a state in which it was ahead of a learner that itself has gone
 * back since: what it calls retired is not, and is made. */
int pl_learner_feed(struct pl_learner *l, size_t *ret_new, struct pl_error *err)
{
    struct pl_rewound rewound = {0};
    struct pl_error met = {0};
    int rc = feed_all(l, ret_new, &met);

    if (rc == PL_EUNSUPPORTED) {
        rc = pl_queues_rewind(l->stream, l->point.step, false, &rewound, &met);
        if (rc == PL_OK) {
            pl_warn(
                "redis event=rewound step=%llu batches=%zu reason=\"Redis went back to a time when "
                "it was ahead\"",
                (unsigned long long)l->point.step, rewound.batches);
            rc = feed_all(l, ret_new, &met);
        }
    }
    return rc < 0 ? pl_fail(err, rc, "%s", met.text) : PL_OK;
}

struct pl_trust_open pl_learner_open_work(const struct pl_learner *l)
{
    return (struct pl_trust_open){l->point.step, pl_learner_feed_end(l), l->point.evals,
                                  l->point.eval_count};
}

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

bool pl_learner_is_sampled_with(const struct pl_learner *l, uint64_t step)
{
    return step < l->conf->steps || pl_learner_eval_is_due(l, step);
}

void pl_learner_add_eval(struct pl_learner *l)
{
    if (!pl_learner_eval_is_due(l, l->point.step))
        return;
    PL_ASSERT(l->point.eval_count < PL_EVALS_MAX); /* pl_learner_wait_evals() has seen to it */
    l->point.evals[l->point.eval_count++] = l->point.step;
}

bool pl_learner_is_latest(const struct pl_learner *l)
{
    return l->conf->rollout_mode == PL_ROLLOUT_LATEST;
}

/* ---- what is parked, and what the dead hold ---- */

/* Parked groups of what is open are put back, after a pause that grows while they come again. */
static int unpark(struct pl_learner *l, struct pl_error *err)
{
    struct pl_parked parked[PARKED_MAX];
    const double now = pl_learner_seconds();
    size_t count = 0;
    int rc = pl_queues_parked(l->stream, parked, PARKED_MAX, &count, err);

    if (rc < 0)
        return rc;
    if (count == 0) {
        l->unpark_at = 0.0;
        return PL_OK;
    }
    if (l->unpark_at <= 0.0) {
        l->unpark_pause =
            l->unpark_pause > 0.0 ? fmin(2.0 * l->unpark_pause, UNPARK_MOST_S) : UNPARK_FIRST_S;
        l->unpark_at = now + l->unpark_pause;
        pl_warn("parked event=seen groups=%zu first=%s again_in_s=%.0f reason=\"whoever computed "
                "them ended; they are tried again\"",
                count, parked[0].group, l->unpark_pause);
    }
    if (now < l->unpark_at)
        return PL_OK;
    l->unpark_at = 0.0;
    for (size_t i = 0; rc == PL_OK && i < count && i < PARKED_MAX; i++) {
        bool done = false;

        rc = pl_queues_unpark(l->stream, &parked[i], &done, err);
        if (rc == PL_OK && done)
            pl_warn("parked event=again group=%s", parked[i].group);
    }
    return rc;
}

/* Workers whose beat has not changed for long, by this clock, whatever Redis' clock says. */
static int give_back(struct pl_learner *l, struct pl_error *err)
{
    size_t count = 0;

    return pl_queues_release_silent(l->stream, SILENT_LEASES * 1000 * l->conf->lease_s, &count,
                                    err);
}

static int tidy(struct pl_learner *l, struct pl_error *err)
{
    const struct pl_queues_wanted wanted = {.saved = l->retired,
                                            .step = l->point.step,
                                            .steps = l->conf->steps,
                                            .evals = l->point.evals,
                                            .eval_count = l->point.eval_count,
                                            .reported = l->evals_reported,
                                            .reported_count = l->reported_count};
    struct pl_reconciled reconciled = {0};
    size_t batches = 0;
    const int rc = pl_queues_tidy(l->stream, &wanted, &batches, &reconciled, err);

    if (rc == PL_OK && (batches > 0 || reconciled.lost != 0 || reconciled.lists > 0))
        pl_warn("ledger event=reconciled batches=%zu lost=%lld lists=%zu reason=\"Redis had lost "
                "some of the run, or went back, or somebody has changed it\"",
                batches, (long long)reconciled.lost, reconciled.lists);
    return rc;
}

/* A ledger that does not balance tells of a loss; what it does not tell of is looked for with each
 * checkpoint. */
int pl_learner_keep_books(struct pl_learner *l, bool all, struct pl_error *err)
{
    const double now = pl_learner_seconds();
    struct pl_ledger ledger;
    int rc;

    if (!all && now - l->books_at < LOOK_S)
        return PL_OK;
    l->books_at = now;
    if (all)
        return tidy(l, err);
    rc = pl_queues_ledger(l->stream, &ledger, err);
    return rc == PL_OK && !ledger.balanced ? tidy(l, err) : rc;
}

/* ---- waiting ---- */

void pl_learner_log_ready(const struct pl_ready *ready)
{
    pl_info("ready batch=%s gate=%s accuracy=%.4f previous=%.4f groups=%zu dropped=%zu",
            ready->batch, ready->gate ? "open" : "shut", ready->accuracy, ready->previous,
            ready->count, ready->dropped);
}

struct wait {
    struct pl_learner *l;
    char name[32]; /* of what is waited for, in Redis: "12", "e12" */
    double start, looked, said;
    /* Whether it is there: PL_OK, PL_ENOENT. */
    int (*come)(struct wait *w, struct pl_error *err);
    struct pl_ready *ready; /* of a batch */
    size_t most;            /* of evaluations: how many may be left, */
    uint64_t oldest;        /* and none before this step */
};

static void say(struct wait *w, const char *why)
{
    struct pl_learner *l = w->l;
    const double now = pl_learner_seconds();

    pl_presence_why(l->presence, why);
    if (now - w->said < SLOW_S)
        return;
    w->said = now;
    pl_warn("waiting event=slow batch=%s waited_s=%.0f reason=\"%s\"", w->name, now - w->start,
            why);
}

/* Redis takes nothing more for want of memory: what trained batches hold there goes with a
 * checkpoint. */
int pl_learner_make_room(struct pl_learner *l, struct pl_error *err)
{
    const struct timespec pause = {1, 0};
    static const char why[] =
        "Redis is full (OOM) and no batch that is trained holds any of it: raise its maxmemory, or "
        "remove what other runs left there";

    if (pl_learner_holds(l)) {
        pl_warn("saving event=early step=%llu reason=\"Redis is full (OOM)\"",
                (unsigned long long)l->point.step);
        return pl_learner_save(l, err);
    }
    pl_presence_why(l->presence, why);
    pl_vitals_unready("memory", why);
    pl_warn("waiting event=full reason=\"%s\"", why);
    if (pl_daemon_stopping(NULL))
        return pl_fail(err, PL_ECANCELED, "stopped while Redis was full");
    nanosleep(&pause, NULL);
    return PL_OK;
}

/* Every LOOK_S, and at once when Redis has lost the batch. */
static int look(struct wait *w, bool whole, struct pl_error *err)
{
    struct pl_learner *l = w->l;
    char why[PL_PRESENCE_WHY_MAX];
    struct pl_missing missing;
    size_t fresh = 0;
    int rc = pl_learner_sweep(l, err);

    w->looked = pl_learner_seconds();
    if (rc == PL_OK)
        rc = pl_learner_feed(l, &fresh, err);
    if (rc == PL_OK && fresh > 0)
        pl_warn("fed event=again batch=%s groups=%zu reason=\"Redis had lost them, or they were "
                "refused\"",
                w->name, fresh);
    if (rc == PL_OK)
        rc = unpark(l, err);
    if (rc == PL_OK)
        rc = pl_missing_look(l->stream, w->name, &missing, err);
    if (rc == PL_OK)
        rc = give_back(l, err);
    if (rc == PL_OK)
        rc = pl_learner_keep_books(l, fresh > 0, err);
    if (rc == PL_OK && (whole || w->looked - w->start > LOOK_S))
        rc = pl_why_waiting(l->stream, w->name, &missing, why, sizeof why, err);
    else
        return rc;
    if (rc == PL_OK)
        say(w, why);
    return rc;
}

/* What is to be done while it does not come. */
static int attend(struct wait *w, struct pl_error *err)
{
    struct pl_learner *l = w->l;
    bool whole = true;
    int rc = pl_presence_check(l->presence, err);

    if (rc == PL_OK && pl_daemon_stopping(NULL))
        rc = pl_fail(err, PL_ECANCELED, "stopped while waiting for batch %s", w->name);
    if (rc == PL_OK)
        rc = pl_learner_take_evals(l, 0, err);
    if (rc == PL_OK)
        rc = pl_queues_whole(l->stream, w->name, &whole, err);
    if (rc == PL_OK && (!whole || pl_learner_seconds() - w->looked > LOOK_S))
        rc = look(w, whole, err);
    return rc;
}

static int wait_for(struct wait *w, const char *phase, struct pl_error *err)
{
    struct pl_learner *l = w->l;
    int rc;

    w->start = w->looked = w->said = pl_learner_seconds();
    for (;;) {
        rc = w->come(w, err);
        if (rc == PL_ENOENT) {
            pl_presence_phase(l->presence, phase);
            rc = attend(w, err);
            if (rc == PL_OK)
                continue;
        }
        if (rc != PL_EFULL)
            break;
        rc = pl_learner_make_room(l, err);
        if (rc < 0)
            break;
    }
    pl_presence_why(l->presence, "");
    pl_vitals_ready("memory");
    return rc;
}

static int batch_come(struct wait *w, struct pl_error *err)
{
    return pl_learner_take(w->l, w->name, PL_LEARNER_WAIT_MS, w->ready, err);
}

int pl_learner_wait_batch(struct pl_learner *l, struct pl_ready *ret_ready, double *ret_wait_s,
                          struct pl_error *err)
{
    struct wait w = {.l = l, .come = batch_come, .ready = ret_ready};
    int rc;

    snprintf(w.name, sizeof w.name, "%llu", (unsigned long long)l->point.step);
    rc = wait_for(&w, "waiting", err);
    *ret_wait_s = pl_learner_seconds() - w.start;
    if (rc == PL_OK)
        pl_learner_log_ready(ret_ready);
    return rc;
}

static bool evals_are_few(const struct wait *w)
{
    const struct pl_savepoint *p = &w->l->point;

    return p->eval_count <= w->most && (p->eval_count == 0 || p->evals[0] >= w->oldest);
}

static int evals_come(struct wait *w, struct pl_error *err)
{
    struct pl_learner *l = w->l;
    int rc;

    if (evals_are_few(w))
        return PL_OK;
    rc = pl_learner_take_evals(l, PL_LEARNER_WAIT_MS, err);
    if (rc < 0 || evals_are_few(w))
        return rc;
    snprintf(w->name, sizeof w->name, "e%llu", (unsigned long long)l->point.evals[0]);
    return PL_ENOENT;
}

int pl_learner_wait_evals(struct pl_learner *l, size_t most, uint64_t oldest, struct pl_error *err)
{
    struct wait w = {.l = l, .come = evals_come, .most = most, .oldest = oldest};

    return wait_for(&w, "evaluating", err);
}
