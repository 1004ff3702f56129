#include "actor/errand.h"

#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void pl_errands_init(struct pl_errands *errands)
{
    pthread_condattr_t attr;

    *errands = (struct pl_errands){0};
    pthread_mutex_init(&errands->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&errands->changed, &attr);
    pthread_condattr_destroy(&attr);
}

/* Under the lock. */
static void tell(struct pl_errands *errands)
{
    errands->changes++;
    pthread_cond_broadcast(&errands->changed);
}

void pl_errand_destroy(struct pl_errand *errand)
{
    if (!errand)
        return;
    pl_lease_release(&errand->lease);
    pl_rollout_group_release(&errand->group);
    pl_lineage_release(&errand->lineage);
    free(errand->rollouts);
    free(errand);
}

void pl_errands_release(struct pl_errands *errands)
{
    while (errands->first) {
        struct pl_errand *next = errands->first->next;

        pl_errand_destroy(errands->first);
        errands->first = next;
    }
    pthread_mutex_destroy(&errands->lock);
    pthread_cond_destroy(&errands->changed);
}

void pl_errands_add(struct pl_errands *errands, struct pl_errand *errand)
{
    struct pl_errand **at;

    pthread_mutex_lock(&errands->lock);
    for (at = &errands->first; *at; at = &(*at)->next)
        ;
    errand->next = NULL;
    *at = errand;
    errands->count++;
    errands->samples += errand->group.samples;
    tell(errands);
    pthread_mutex_unlock(&errands->lock);
}

bool pl_errands_has(struct pl_errands *errands, const struct pl_lease *lease)
{
    bool found = false;

    pthread_mutex_lock(&errands->lock);
    for (const struct pl_errand *e = errands->first; e && !found; e = e->next)
        found = strcmp(e->lease.entry, lease->entry) == 0;
    pthread_mutex_unlock(&errands->lock);
    return found;
}

static bool will_do(const struct pl_errand *e, uint64_t version)
{
    return e->group.newest ? e->group.version <= version : e->group.version == version;
}

struct pl_errand *pl_errands_begin(struct pl_errands *errands, const struct pl_life *life,
                                   uint64_t version, bool pinned)
{
    struct pl_errand *e;
    bool asks = false;

    pthread_mutex_lock(&errands->lock);
    for (e = errands->first; e; e = e->next) {
        if (e->state != PL_ERRAND_LEASED || !pl_life_same(&e->group.life, life) ||
            !will_do(e, version) || (pinned && e->group.newest))
            continue;
        if (e->begun)
            break;
        asks = true;
    }
    if (e)
        e->state = PL_ERRAND_RUNNING;
    if (asks && !errands->asking) {
        errands->asking = true;
        tell(errands);
    }
    pthread_mutex_unlock(&errands->lock);
    return e;
}

bool pl_errands_asking(struct pl_errands *errands)
{
    bool asking;

    pthread_mutex_lock(&errands->lock);
    asking = errands->asking;
    pthread_mutex_unlock(&errands->lock);
    return asking;
}

struct pl_errand *pl_errands_unbegun(struct pl_errands *errands, uint64_t version)
{
    struct pl_errand *e;

    pthread_mutex_lock(&errands->lock);
    for (e = errands->first; e; e = e->next)
        if (e->state == PL_ERRAND_LEASED && !e->begun && will_do(e, version))
            break;
    if (!e && errands->asking) {
        errands->asking = false;
        tell(errands);
    }
    pthread_mutex_unlock(&errands->lock);
    return e;
}

void pl_errands_begun(struct pl_errands *errands, struct pl_errand *errand)
{
    pthread_mutex_lock(&errands->lock);
    errand->begun = true;
    tell(errands);
    pthread_mutex_unlock(&errands->lock);
}

bool pl_errands_waiting(struct pl_errands *errands)
{
    bool found = false;

    pthread_mutex_lock(&errands->lock);
    for (const struct pl_errand *e = errands->first; e && !found; e = e->next)
        found = e->state == PL_ERRAND_LEASED && !e->begun;
    pthread_mutex_unlock(&errands->lock);
    return found;
}

uint64_t pl_errands_version(struct pl_errands *errands, uint64_t after)
{
    uint64_t least = 0, next = 0;

    pthread_mutex_lock(&errands->lock);
    for (const struct pl_errand *e = errands->first; e; e = e->next) {
        const uint64_t version = e->group.version;

        if (e->state != PL_ERRAND_LEASED || e->group.newest)
            continue;
        least = least == 0 || version < least ? version : least;
        if (version > after)
            next = next == 0 || version < next ? version : next;
    }
    pthread_mutex_unlock(&errands->lock);
    return next ? next : least;
}

uint64_t pl_errands_least(struct pl_errands *errands)
{
    uint64_t least = 0;

    pthread_mutex_lock(&errands->lock);
    for (const struct pl_errand *e = errands->first; e; e = e->next)
        if (e->state == PL_ERRAND_LEASED && e->group.newest)
            least = least == 0 || e->group.version < least ? e->group.version : least;
    pthread_mutex_unlock(&errands->lock);
    return least;
}

bool pl_errands_pinned(struct pl_errands *errands)
{
    bool found = false;

    pthread_mutex_lock(&errands->lock);
    for (const struct pl_errand *e = errands->first; e && !found; e = e->next)
        found = !e->group.newest && (e->state == PL_ERRAND_LEASED || e->state == PL_ERRAND_RUNNING);
    pthread_mutex_unlock(&errands->lock);
    return found;
}

size_t pl_errands_refuse(struct pl_errands *errands, uint64_t version)
{
    size_t count = 0;

    pthread_mutex_lock(&errands->lock);
    for (struct pl_errand *e = errands->first; e; e = e->next)
        if (e->state == PL_ERRAND_LEASED && will_do(e, version)) {
            e->state = PL_ERRAND_REFUSED;
            count++;
        }
    pthread_mutex_unlock(&errands->lock);
    return count;
}

struct pl_job *pl_errands_outlived(struct pl_errands *errands, const struct pl_life *life)
{
    struct pl_job *job = NULL;

    pthread_mutex_lock(&errands->lock);
    for (struct pl_errand *e = errands->first; e && !job; e = e->next) {
        if ((e->state != PL_ERRAND_LEASED && e->state != PL_ERRAND_RUNNING) ||
            pl_life_same(&e->group.life, life))
            continue;
        job = e->job;
        e->job = NULL;
        e->state = PL_ERRAND_REFUSED;
    }
    pthread_mutex_unlock(&errands->lock);
    return job;
}

void pl_errands_done(struct pl_errands *errands, struct pl_errand *errand)
{
    pthread_mutex_lock(&errands->lock);
    PL_ASSERT(errand->state == PL_ERRAND_RUNNING);
    errand->state = PL_ERRAND_DONE;
    errands->count--;
    errands->samples -= errand->group.samples;
    tell(errands);
    pthread_mutex_unlock(&errands->lock);
}

struct pl_errand *pl_errands_take(struct pl_errands *errands, enum pl_errand_state state)
{
    struct pl_errand **at, *e;

    pthread_mutex_lock(&errands->lock);
    for (at = &errands->first; *at && (*at)->state != state;)
        at = &(*at)->next;
    e = *at;
    if (e) {
        *at = e->next;
        if (state != PL_ERRAND_DONE) {
            errands->count--;
            errands->samples -= e->group.samples;
        }
    }
    pthread_mutex_unlock(&errands->lock);
    return e;
}

bool pl_errands_drop(struct pl_errands *errands, struct pl_errand *errand)
{
    struct pl_errand **at;
    bool drop;

    pthread_mutex_lock(&errands->lock);
    drop = errand->state == PL_ERRAND_LEASED || errand->state == PL_ERRAND_REFUSED;
    if (drop) {
        for (at = &errands->first; *at != errand; at = &(*at)->next)
            ;
        *at = errand->next;
        errands->count--;
        errands->samples -= errand->group.samples;
    }
    pthread_mutex_unlock(&errands->lock);
    if (drop)
        pl_errand_destroy(errand);
    return drop;
}

void pl_errands_stop(struct pl_errands *errands, bool failed)
{
    pthread_mutex_lock(&errands->lock);
    errands->stop = true;
    errands->failed = errands->failed || failed;
    tell(errands);
    pthread_mutex_unlock(&errands->lock);
}

void pl_errands_leave(struct pl_errands *errands)
{
    pthread_mutex_lock(&errands->lock);
    if (!errands->leave) {
        errands->leave = true;
        tell(errands);
    }
    pthread_mutex_unlock(&errands->lock);
}

void pl_errands_tell(struct pl_errands *errands)
{
    pthread_mutex_lock(&errands->lock);
    tell(errands);
    pthread_mutex_unlock(&errands->lock);
}

uint64_t pl_errands_changes(struct pl_errands *errands)
{
    uint64_t changes;

    pthread_mutex_lock(&errands->lock);
    changes = errands->changes;
    pthread_mutex_unlock(&errands->lock);
    return changes;
}

void pl_errands_wait(struct pl_errands *errands, uint64_t seen, unsigned ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    end.tv_sec += (time_t)(ms / 1000) + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&errands->lock);
    while (errands->changes == seen &&
           pthread_cond_timedwait(&errands->changed, &errands->lock, &end) == 0)
        ;
    pthread_mutex_unlock(&errands->lock);
}
