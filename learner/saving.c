/*
 * Checkpoints: when one is due, what is written, what goes from Redis then, and what is done where
 * there is no room for it. When a checkpoint is written enters no bits.
 */
#include "learner/learner_impl.h"

#include "common/app/vitals.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/link/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

static const uint64_t MIB = 1ull << 20;

enum {
    SAY_S = 60,       /* how often a wait for the disk is said */
    REDIS_SHARE = 60, /* percent of its maxmemory over which Redis is given room */
    HELD_SHARE = 10,  /* percent of it that trained batches must hold, or it is no help */
};

/* ---- room on the disk ---- */

static bool has_room(const struct pl_learner *l, uint64_t bytes)
{
    struct statvfs disk;

    if (statvfs(l->conf->dir, &disk) < 0)
        return true; /* nobody knows: writing will tell */
    return (uint64_t)disk.f_bavail * disk.f_frsize >= bytes;
}

static int prune(struct pl_learner *l, size_t keep, struct pl_error *err)
{
    return pl_rundir_prune(&l->dir, l->saved, keep, err);
}

int pl_learner_wait_room(struct pl_learner *l, uint64_t bytes, const char *what,
                         struct pl_error *err)
{
    const struct timespec pause = {0, 200000000};
    char why[PL_PRESENCE_WHY_MAX];
    double said = 0.0;
    bool waited = false;

    if (has_room(l, bytes))
        return PL_OK;
    pl_warn("room event=pruned what=\"%s\" needed_bytes=%llu reason=\"the disk of '%s' is nearly "
            "full: only the newest checkpoint is kept\"",
            what, (unsigned long long)bytes, l->conf->dir);
    if (prune(l, 1, err) < 0)
        pl_warn("room event=not_pruned reason=\"%s\"", err ? err->text : "");
    snprintf(why, sizeof why,
             "the disk of '%s' is full: %s needs %llu MiB, and only the newest checkpoint is left; "
             "make room there",
             l->conf->dir, what, (unsigned long long)(bytes / MIB + 1));
    while (!has_room(l, bytes)) {
        const double now = pl_learner_seconds();

        waited = true;
        if (said <= 0.0 || now - said > SAY_S) {
            said = now;
            pl_warn("waiting event=disk reason=\"%s\"", why);
        }
        pl_presence_why(l->presence, why);
        pl_vitals_unready("disk", why);
        if (pl_daemon_stopping(NULL))
            return pl_fail(err, PL_EIO, "%s", why);
        nanosleep(&pause, NULL);
    }
    if (waited) {
        pl_presence_why(l->presence, "");
        pl_vitals_ready("disk");
        pl_info("room event=there what=\"%s\"", what);
    }
    return PL_OK;
}

/* ---- when ---- */

/* How many bytes Redis holds for what is trained and not in a checkpoint yet. */
bool pl_learner_holds(const struct pl_learner *l)
{
    return l->point.step > l->retired || l->reported_count > 0;
}

/* Redis that is over its share, where a checkpoint would help. */
static bool redis_wants_room(struct pl_learner *l)
{
    struct pl_room room;

    if (l->room_unknown || l->held_bytes == 0)
        return false;
    if (pl_room_look(l->stream, &room, NULL) < 0) { /* users.acl of an earlier version */
        l->room_unknown = true;
        return false;
    }
    return room.most > 0 && room.used / REDIS_SHARE > room.most / 100 &&
           l->held_bytes / HELD_SHARE > room.most / 100;
}

bool pl_learner_save_is_due(struct pl_learner *l)
{
    const struct pl_run_conf *c = l->conf;
    const uint64_t step = l->point.step;
    const char *early = NULL;

    if (step == l->saved)
        return false;
    if (step % c->save_freq == 0 || step == c->steps)
        return true;
    if (c->save_seconds > 0 && pl_learner_seconds() - l->saved_at >= (double)c->save_seconds)
        early = "trainer.save_seconds have gone by";
    else if (l->held_bytes > c->held_mb * MIB)
        early = "trained batches hold more than link.held_mb of Redis";
    else if (redis_wants_room(l))
        early = "Redis has used most of its maxmemory";
    if (early)
        pl_info("saving event=early step=%llu reason=\"%s\"", (unsigned long long)step, early);
    return early != NULL;
}

/* ---- what ---- */

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

static int write_once(struct pl_learner *l, struct pl_error *err)
{
    struct pl_savepoint *p = &l->point;
    int rc =
        pl_metrics_sync(l->metrics, err); /* a checkpoint stands for all lines up to its step */

    if (rc == PL_OK)
        rc =
            pl_models_save(&l->models, &l->dir, l->identity.rows, l->versions.table.values, p, err);
    return rc;
}

/* Where the disk is full once more room than was thought is needed: that much is waited for. */
static int write_checkpoint(struct pl_learner *l, struct pl_error *err)
{
    uint64_t bytes;
    int rc;

    list_behind(l);
    l->point.kl_coef = l->update.kl_coef;
    l->point.train.skipped = l->update.skipped;
    bytes = pl_models_checkpoint_bytes(&l->models, l->point.behind_count);
    for (;;) {
        struct pl_error met = {0};

        rc = pl_learner_wait_room(l, bytes, "the next checkpoint", err);
        if (rc < 0)
            return rc;
        rc = write_once(l, &met);
        if (rc == PL_OK)
            return rc;
        if (met.os != ENOSPC && met.os != EDQUOT)
            return pl_fail(err, rc, "%s", met.text);
        pl_warn("saving event=no_room reason=\"%s\"", met.text);
        if (has_room(l, bytes)) /* a quota, or others who write too */
            bytes += bytes / 4;
    }
}

/* ---- what goes from Redis then ---- */

static int retire(struct pl_learner *l, const char *batch, struct pl_error *err)
{
    const int rc = pl_queues_retire(l->stream, batch, err);

    if (rc == PL_OK)
        pl_info("retired batch=%s step=%llu", batch, (unsigned long long)l->point.step);
    return rc;
}

static int retire_all(struct pl_learner *l, struct pl_error *err)
{
    char name[32];
    int rc = PL_OK;

    if (l->retired < l->saved) { /* who starts without a checkpoint shall know that there was one */
        snprintf(name, sizeof name, "%llu", (unsigned long long)l->saved);
        rc = pl_queues_note(l->stream, "run", &(struct pl_field){"saved_step", name}, 1, err);
        if (rc == PL_EFULL) /* what follows makes room; the next checkpoint notes it */
            rc = PL_OK;
    }
    for (; rc == PL_OK && l->retired < l->saved; l->retired += rc == PL_OK) {
        snprintf(name, sizeof name, "%llu", (unsigned long long)l->retired);
        rc = retire(l, name, err);
    }
    while (rc == PL_OK && l->reported_count > 0) {
        snprintf(name, sizeof name, "e%llu",
                 (unsigned long long)l->evals_reported[l->reported_count - 1]);
        rc = retire(l, name, err);
        l->reported_count -= rc == PL_OK;
    }
    if (rc == PL_OK)
        l->held_bytes = 0;
    return rc;
}

int pl_learner_note_reported(struct pl_learner *l, uint64_t step, struct pl_error *err)
{
    if (l->reported_count == l->reported_cap) {
        const size_t cap = l->reported_cap ? 2 * l->reported_cap : 16;
        uint64_t *list = realloc(l->evals_reported, cap * sizeof *list);

        if (!list)
            return pl_fail(err, PL_ENOMEM, "no memory for the list of evaluations");
        l->evals_reported = list;
        l->reported_cap = cap;
    }
    l->evals_reported[l->reported_count++] = step;
    return PL_OK;
}

int pl_learner_save(struct pl_learner *l, struct pl_error *err)
{
    const uint64_t step = l->point.step;
    const double start = pl_learner_seconds();
    int rc = PL_OK;

    pl_presence_phase(l->presence, "saving");
    if (step > l->saved) {
        rc = write_checkpoint(l, err);
        if (rc < 0)
            return rc;
        l->saved = step;
        l->saved_at = pl_learner_seconds();
        l->save_s += l->saved_at - start;
        pl_presence_saved(l->presence, step);
        pl_info("saved step=%llu seconds=%.2f", (unsigned long long)step, l->saved_at - start);
    } else {
        rc = pl_metrics_sync(l->metrics, err); /* which alone says what was reported since */
    }
    if (rc == PL_OK && !l->leaves)
        rc = retire_all(l, err);
    if (rc == PL_OK && !l->leaves)
        rc = pl_learner_keep_books(l, true, err);
    if (rc == PL_ECANCELED) { /* a Redis that is gone: the next start sees to it */
        pl_warn("retired event=later reason=\"%s\"", err ? err->text : "");
        rc = PL_OK;
    }
    return rc == PL_OK ? prune(l, l->conf->keep, err) : rc;
}
