#include "actor/porter.h"

#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/link/guard.h"
#include "common/link/run_note.h"
#include "common/link/vouch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    LEASE_WAIT_MS = 20, /* so that what is done does not wait long */
    BEGIN_WAIT_MS = 5,  /* nor what can be begun, once its weights are here */
    IDLE_MS = 5,
    HEARTBEAT_MS = 2000,
    SHY_MS = 500, /* after a prompt of another life, which Redis does not know of yet */
    MESSAGE_MAX = 256 << 20,
    LEASES_MAX = 4096,
};

struct pl_porter {
    const struct pl_daemon *daemon;
    const struct pl_keys *keys; /* NULL: none */
    struct pl_errands *errands;
    struct pl_actor_shown *shown;
    struct pl_queues *stream;
    char *redis;
    size_t vocab;
    pthread_t thread;
    struct pl_error err;
    _Atomic bool ending, failed;
    _Atomic uint64_t version;
    uint64_t groups, samples, tokens; /* handed over */
    uint64_t renewed_ms, beat_ms, beat_tokens;
    bool barred; /* in quarantine: nothing is leased until it is lifted */
    struct pl_member member;
    bool waits;       /* for the run: it was said */
    bool disagrees;   /* with it, for good */
    uint64_t shy_ms;  /* nothing is leased before */
    uint64_t look_ms; /* when the run was looked at last */
    pthread_mutex_t lock;
    struct pl_life life; /* under the lock: the member's, for the engine's thread */
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- handing over ---- */

/* Whether this actor is in quarantine, which it says when that changes. */
static int look_up(struct pl_porter *p)
{
    char reason[256];
    int rc = pl_guard_why(p->stream, reason, sizeof reason, &p->err);

    if (rc < 0)
        return rc;
    if (reason[0] && !p->barred)
        pl_warn("quarantine event=begin reason=\"%s\" remedy=\"plait quarantine lift RUN %s, when "
                "it is mended\"",
                reason, p->daemon->name);
    if (!reason[0] && p->barred)
        pl_info("quarantine event=lifted");
    p->barred = reason[0] != '\0';
    return PL_OK;
}

/* ---- the run it belongs to ---- */

/* Whether it agrees with the run, and in which life that is; it waits where nobody can say. */
static int look_at_run(struct pl_porter *p)
{
    const int rc = pl_member_look(&p->member, p->stream, &p->err);
    const bool waits = p->member.why[0] != '\0';

    p->look_ms = now_ms();
    p->disagrees = rc == PL_EINVAL;
    if (rc < 0)
        return rc;
    if (waits) {
        pl_vitals_unready("run", p->member.why);
        if (!p->waits)
            pl_warn("run event=waiting reason=\"%s\"", p->member.why);
    } else if (!pl_life_same(&p->member.life, &p->life)) {
        pl_vitals_ready("run");
        pl_info("run event=joined run_id=%s life=%llu", p->member.life.run_id,
                (unsigned long long)p->member.life.number);
        pthread_mutex_lock(&p->lock);
        p->life = p->member.life;
        pthread_mutex_unlock(&p->lock);
        pl_errands_tell(p->errands);
    } else if (p->waits) {
        pl_vitals_ready("run");
    }
    p->waits = waits;
    return PL_OK;
}

bool pl_porter_life(struct pl_porter *porter, struct pl_life *ret_life)
{
    pthread_mutex_lock(&porter->lock);
    *ret_life = porter->life;
    pthread_mutex_unlock(&porter->lock);
    return ret_life->run_id[0] != '\0';
}

static int hand_over(struct pl_porter *p, struct pl_errand *e)
{
    const struct pl_rollout_group *g = &e->group;
    char version[32], tokens_text[32], signature[PL_VOUCH_HEX + 1];
    const struct pl_field fields[] = {{"actor", p->daemon->name},
                                      {"version", version},
                                      {"tokens", tokens_text},
                                      {"signature", signature}};
    enum pl_outcome outcome = PL_OUTCOME_DONE;
    const struct pl_rollout *first = &g->rollouts[0];
    size_t tokens = 0;
    struct pl_buf pb;
    int rc;

    for (size_t i = 0; i < g->samples; i++)
        tokens += g->rollouts[i].len;
    snprintf(version, sizeof version, "%llu",
             (unsigned long long)first->versions[first->versions_len - 1]);
    snprintf(tokens_text, sizeof tokens_text, "%zu", tokens);
    pl_buf_init(&pb, MESSAGE_MAX);
    rc = pl_rollout_group_encode(g, &pb);
    if (rc == PL_OK && p->keys)
        pl_vouch_sign(p->keys,
                      &(struct pl_vouched){.run = p->daemon->conf.name,
                                           .group = e->lease.group,
                                           .actor = p->daemon->name,
                                           .rollouts = pb.data,
                                           .len = pb.len},
                      signature);
    if (rc < 0)
        pl_fail(&p->err, rc, "no memory for the rollouts of group %s", e->lease.group);
    else
        rc = pl_queues_finish(p->stream, &e->lease, fields, p->keys ? 4 : 3, pb.data, pb.len,
                              &outcome, &p->err);
    pl_buf_release(&pb);
    if (rc < 0)
        return rc;
    pl_actor_shown_group(p->shown, g, tokens, outcome);
    if (outcome == PL_OUTCOME_LOST) { /* this one was taken for dead */
        pl_warn("lost group=%s queue=prompts reason=\"another has it by now\"", e->lease.group);
        pl_meter_add(p->shown->lost, 1);
        return PL_OK;
    }
    if (outcome == PL_OUTCOME_REFUSED) {
        pl_warn("hand_over event=refused group=%s reason=\"this actor is quarantined\"",
                e->lease.group);
        return look_up(p);
    }
    pl_info("finished group=%s version=%s samples=%u tokens=%zu outcome=%s", e->lease.group,
            version, g->samples, tokens, pl_outcome_name(outcome));
    p->groups++;
    p->samples += g->samples;
    p->tokens += tokens;
    return PL_OK;
}

static int hand_over_all(struct pl_porter *p)
{
    struct pl_errand *e;
    int rc = PL_OK;

    while (rc == PL_OK && (e = pl_errands_take(p->errands, PL_ERRAND_DONE))) {
        rc = hand_over(p, e);
        pl_errand_destroy(e);
    }
    return rc;
}

/* ---- leasing ---- */

/* Whether it takes work at all. */
static bool is_member(const struct pl_porter *p)
{
    return p->member.life.run_id[0] && !p->member.why[0] && now_ms() >= p->shy_ms;
}

/* Twice what the engine can work on at once, so that it never waits for a lease. */
static bool wants_more(struct pl_porter *p)
{
    bool more;

    pthread_mutex_lock(&p->errands->lock);
    more = p->errands->samples < 2 * p->daemon->conf.actor_slots && p->errands->count < LEASES_MAX;
    pthread_mutex_unlock(&p->errands->lock);
    return more;
}

/* It is to be computed: that it was begun is known before it is. *ret_ours: it is still this
 * actor's. */
static int say_begun(struct pl_porter *p, const struct pl_lease *lease, bool *ret_ours)
{
    enum pl_outcome outcome = PL_OUTCOME_LOST;
    const int rc = pl_queues_begin_work(p->stream, PL_QUEUE_PROMPTS, lease, &outcome, &p->err);

    *ret_ours = outcome == PL_OUTCOME_DONE;
    if (rc == PL_OK && !*ret_ours) {
        pl_warn("lost group=%s queue=prompts outcome=%s", lease->group, pl_outcome_name(outcome));
        pl_meter_add(p->shown->lost, 1);
    }
    return rc;
}

/* What the engine waits for: its weights are here. */
static int begin_asked(struct pl_porter *p)
{
    struct pl_errand *e;
    int rc = PL_OK;

    if (!pl_errands_asking(p->errands))
        return PL_OK;
    while (rc == PL_OK && (e = pl_errands_unbegun(p->errands, atomic_load(&p->version)))) {
        bool ours;

        rc = say_begun(p, &e->lease, &ours);
        if (rc == PL_OK && ours)
            pl_errands_begun(p->errands, e);
        else if (rc == PL_OK)
            (void)pl_errands_drop(p->errands, e);
    }
    return rc;
}

static int return_lease(struct pl_porter *p, const struct pl_lease *lease, const char *reason)
{
    const int rc = pl_queues_return(p->stream, PL_QUEUE_PROMPTS, lease, &p->err);

    if (rc == PL_OK)
        pl_info("returned group=%s queue=prompts reason=\"%s\"", lease->group, reason);
    return rc;
}

static int take_in(struct pl_porter *p, struct pl_lease *lease)
{
    const struct pl_run_conf *c = &p->daemon->conf;
    const struct pl_rollout_group_limits limits = {
        .bytes = MESSAGE_MAX,
        .samples = c->actor_slots > c->samples ? c->actor_slots : c->samples,
        .tokens = c->prompt_tokens_max > c->response_tokens_max ? c->prompt_tokens_max
                                                                : c->response_tokens_max,
        .vocab = p->vocab,
    };
    struct pl_errand *e = calloc(1, sizeof *e);
    struct pl_error why = {0};
    int rc = e ? pl_rollout_group_decode(lease->pb, lease->pb_len, PL_STAGE_PROMPT, &limits,
                                         &e->group, &why)
               : pl_fail(&why, PL_ENOMEM, "no memory for group %s", lease->group);

    if (rc == PL_OK && pl_errands_has(p->errands, lease)) { /* its own, given once more */
        pl_errand_destroy(e);
        return PL_OK;
    }
    if (rc == PL_OK && !pl_life_same(&e->group.life, &p->life)) { /* the run may have a new one */
        rc = look_at_run(p);
        if (rc < 0 || !pl_life_same(&e->group.life, &p->life)) {
            pl_errand_destroy(e);
            p->shy_ms = now_ms() + SHY_MS;
            if (rc < 0) {
                (void)pl_queues_return(p->stream, PL_QUEUE_PROMPTS, lease, NULL);
                return rc;
            }
            return return_lease(p, lease, "it is of another life of the run");
        }
    }
    if (rc == PL_OK) {
        pl_info("leased group=%s queue=prompts deliveries=%u version=%llu samples=%u", lease->group,
                lease->deliveries, (unsigned long long)e->group.version, e->group.samples);
        const uint64_t version = atomic_load(&p->version);

        if (e->group.newest ? version >= e->group.version : version == e->group.version) {
            rc = say_begun(p, lease, &e->begun);
            if (rc < 0 || !e->begun) {
                pl_errand_destroy(e);
                return rc;
            }
        }
        e->leased_s = (double)now_ms() / 1e3;
        e->lease = *lease;
        *lease = (struct pl_lease){0};
        pl_errands_add(p->errands, e);
        return PL_OK;
    }
    free(e);
    if (rc == PL_EFORMAT) {
        pl_warn("buried group=%s reason=\"%s\"", lease->group, why.text);
        pl_meter_add(p->shown->buried, 1);
        return pl_queues_bury(p->stream, PL_QUEUE_PROMPTS, lease, why.text, &p->err);
    }
    p->err = why;
    return rc;
}

static int lease_more(struct pl_porter *p)
{
    struct pl_lease lease = {0};
    size_t count;
    int rc;

    pthread_mutex_lock(&p->errands->lock);
    count = p->errands->count;
    pthread_mutex_unlock(&p->errands->lock);
    pl_queues_holding(p->stream, count);
    rc = pl_queues_lease(p->stream, PL_QUEUE_PROMPTS,
                         pl_errands_waiting(p->errands) ? BEGIN_WAIT_MS : LEASE_WAIT_MS, &lease,
                         &p->err);
    if (rc == PL_OK)
        rc = take_in(p, &lease);
    pl_lease_release(&lease);
    return rc == PL_ENOENT || rc == PL_ECANCELED ? PL_OK : rc;
}

/* What another has by now, or has done, need not be begun. What is begun will be lost. */
static int renew(struct pl_porter *p)
{
    struct pl_errand *errands[LEASES_MAX];
    const struct pl_lease *leases[LEASES_MAX];
    bool lost[LEASES_MAX];
    const uint64_t now = now_ms();
    size_t count = 0, lost_count = 0, dropped = 0;
    int rc;

    if (now - p->renewed_ms < p->daemon->conf.lease_s * 1000 / 3)
        return PL_OK;
    p->renewed_ms = now;
    /* Only this thread takes errands out, so that what is listed stays while it is being renewed.
     */
    pthread_mutex_lock(&p->errands->lock);
    for (struct pl_errand *e = p->errands->first; e && count < LEASES_MAX; e = e->next) {
        errands[count] = e;
        leases[count++] = &e->lease;
    }
    pthread_mutex_unlock(&p->errands->lock);
    rc = pl_queues_renew(p->stream, PL_QUEUE_PROMPTS, leases, count, lost, &lost_count, &p->err);
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        if (!lost[i])
            continue;
        pl_warn("lost group=%s queue=prompts", leases[i]->group);
        pl_meter_add(p->shown->lost, 1);
        dropped += pl_errands_drop(p->errands, errands[i]);
    }
    if (rc == PL_OK && lost_count > 0)
        pl_warn("leases event=lost count=%zu of=%zu dropped=%zu", lost_count, count, dropped);
    return rc;
}

static int return_one(struct pl_porter *p, const struct pl_errand *e, const char *reason,
                      struct pl_error *err)
{
    const int rc = pl_queues_return(p->stream, PL_QUEUE_PROMPTS, &e->lease, err);

    if (rc == PL_OK) {
        pl_meter_add(p->shown->returned, 1);
        pl_info("returned group=%s queue=prompts reason=\"%s\"", e->lease.group, reason);
    }
    return rc;
}

/* What cannot be begun: others, or this one later, may. */
static int give_back_refused(struct pl_porter *p)
{
    struct pl_errand *e;
    int rc = PL_OK;

    while (rc == PL_OK && (e = pl_errands_take(p->errands, PL_ERRAND_REFUSED))) {
        rc = return_one(p, e, "its weights do not come", &p->err);
        pl_errand_destroy(e);
    }
    return rc;
}

static int beat(struct pl_porter *p)
{
    char version[32], groups[32], rate[32], leased[32], barred[8];
    const struct pl_field fields[] = {
        {"version", version},    {"groups", groups},
        {"tokens_per_s", rate},  {"leased", leased},
        {"quarantined", barred}, {"http", pl_window_address(p->daemon->window)}};
    const uint64_t now = now_ms(), since = now - p->beat_ms;
    int rc;

    if (since < HEARTBEAT_MS)
        return PL_OK;
    rc = look_up(p);
    if (rc == PL_OK)
        rc = look_at_run(p);
    if (rc < 0)
        return rc;
    snprintf(version, sizeof version, "%llu", (unsigned long long)atomic_load(&p->version));
    snprintf(groups, sizeof groups, "%llu", (unsigned long long)p->groups);
    snprintf(rate, sizeof rate, "%.0f",
             p->beat_ms ? 1000.0 * (double)(p->tokens - p->beat_tokens) / (double)since : 0.0);
    pthread_mutex_lock(&p->errands->lock);
    snprintf(leased, sizeof leased, "%zu", p->errands->count);
    pl_meter_set(p->shown->leases, (double)p->errands->count);
    pthread_mutex_unlock(&p->errands->lock);
    snprintf(barred, sizeof barred, "%d", p->barred);
    pl_meter_set(p->shown->quarantined, p->barred);
    pl_meter_set(p->shown->tokens_rate, strtod(rate, NULL));
    p->beat_ms = now;
    p->beat_tokens = p->tokens;
    pl_vitals_status("version %s, %s groups leased, %s done, %s tokens/s%s", version, leased,
                     groups, rate, p->barred ? ", in quarantine" : "");
    return pl_queues_heartbeat(p->stream, fields, sizeof fields / sizeof *fields, &p->err);
}

/* ---- the thread ---- */

static void give_back(struct pl_porter *p)
{
    struct pl_errand *e;
    size_t count = 0;

    while ((e = pl_errands_take(p->errands, PL_ERRAND_LEASED)) ||
           (e = pl_errands_take(p->errands, PL_ERRAND_REFUSED)) ||
           (!atomic_load(&p->failed) && atomic_load(&p->ending) &&
            (e = pl_errands_take(p->errands, PL_ERRAND_RUNNING)))) {
        count += return_one(p, e, p->barred ? "quarantined" : "stopping", NULL) == PL_OK;
        pl_errand_destroy(e);
    }
    if (count > 0)
        pl_info("leases event=returned count=%zu", count);
}

static void *run(void *at)
{
    struct pl_porter *p = at;
    uint64_t seen, drained_ms = 0;
    bool draining = false;
    int rc = PL_OK;

    pl_vitals_watch("porter");
    while (rc == PL_OK && !atomic_load(&p->ending)) {
        const bool stopping = pl_daemon_stopping(NULL);

        if (stopping && !draining) {
            draining = true;
            drained_ms = now_ms() + 1000 * p->daemon->conf.drain_s;
            give_back(p);
            pl_errands_stop(p->errands, false);
        }
        if (draining && now_ms() >= drained_ms)
            pl_errands_leave(p->errands);
        seen = pl_errands_changes(p->errands);
        rc = hand_over_all(p);
        if (rc == PL_OK)
            rc = begin_asked(p);
        if (rc == PL_OK)
            rc = give_back_refused(p);
        if (rc == PL_OK)
            rc = renew(p);
        if (rc == PL_OK)
            rc = beat(p);
        if (rc == PL_OK && p->waits && now_ms() >= p->look_ms + SHY_MS)
            rc = look_at_run(p);
        if (rc == PL_OK && p->barred)
            give_back(p);
        if (rc == PL_OK && !draining && !p->barred && is_member(p) && wants_more(p))
            rc = lease_more(p);
        else if (rc == PL_OK)
            pl_errands_wait(p->errands, seen, IDLE_MS);
    }
    if (rc == PL_OK)
        rc = hand_over_all(p);
    if (rc == PL_OK)
        give_back(p);
    p->err.code = rc;
    pl_errands_stop(p->errands, rc < 0);
    pl_vitals_unwatch();
    return NULL;
}

/* Draining must still be able to hand over: a signal does not cut its calls short. */
int pl_porter_create(const struct pl_daemon *daemon, const struct pl_keys *keys,
                     struct pl_errands *errands, size_t vocab, const char *lines,
                     struct pl_actor_shown *shown, struct pl_porter **ret_porter,
                     struct pl_error *err)
{
    struct pl_porter *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return pl_fail(err, PL_ENOMEM, "no memory for the actor's porter");
    p->daemon = daemon;
    p->keys = keys;
    p->errands = errands;
    p->shown = shown;
    p->vocab = vocab;
    p->member.lines = lines;
    pthread_mutex_init(&p->lock, NULL);
    pl_vitals_unready("run", "Redis was not asked yet");
    p->redis = pl_run_conf_redis(&daemon->conf);
    rc = p->redis ? pl_queues_open(
                        &(struct pl_queues_opts){
                            .url = p->redis,
                            .access = daemon->conf.access,
                            .run = daemon->conf.name,
                            .worker = daemon->name,
                            .role = "actor",
                            .lease_ms = daemon->conf.lease_s * 1000,
                            .deliveries_max = (uint32_t)daemon->conf.deliveries_max,
                            .patience_ms = 0,
                            .stop = pl_daemon_stopping,
                            .event = pl_daemon_event,
                        },
                        &p->stream, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the actor's porter");
    if (rc == PL_OK && pthread_create(&p->thread, NULL, run, p) != 0)
        rc = pl_fail(err, PL_EIO, "no thread for the actor's porter");
    if (rc < 0) {
        pl_queues_close(p->stream);
        pthread_mutex_destroy(&p->lock);
        free(p->redis);
        free(p);
        return rc;
    }
    *ret_porter = p;
    return PL_OK;
}

void pl_porter_version(struct pl_porter *porter, uint64_t version)
{
    atomic_store(&porter->version, version);
}

int pl_porter_end(struct pl_porter *porter, bool failed, struct pl_error *err)
{
    int rc;

    atomic_store(&porter->failed, failed);
    atomic_store(&porter->ending, true);
    pthread_join(porter->thread, NULL);
    rc = porter->err.code;
    if (rc < 0)
        *err = porter->err;
    if (porter->disagrees) /* others may do it, who have the run's settings */
        give_back(porter);
    pl_info("handed_over groups=%llu samples=%llu tokens=%llu", (unsigned long long)porter->groups,
            (unsigned long long)porter->samples, (unsigned long long)porter->tokens);
    pl_queues_close(porter->stream);
    pthread_mutex_destroy(&porter->lock);
    free(porter->redis);
    free(porter);
    return rc;
}
