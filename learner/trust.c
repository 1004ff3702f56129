#include "learner/trust.h"

#include "common/base/build.h"
#include "common/base/check.h"
#include "common/base/log.h"
#include "common/link/guard.h"
#include "learner/walk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES_MAX = 32, NAME_MAX_BYTES = 32 };

/* A batch that is being read. */
struct reading {
    struct pl_trust *trust;
    enum pl_purpose purpose;
    uint64_t batch;
    const char *name;
};

static int judge(void *at, const struct pl_rollout_group *group, uint32_t index,
                 struct pl_error *err)
{
    const struct reading *r = at;

    return pl_feed_judge(r->trust->feeder, r->purpose, r->batch, index, group, err);
}

static int refuse(void *at, const struct pl_ready_group *group, const char *why, bool blameless,
                  struct pl_error *err)
{
    const struct reading *r = at;
    const uint32_t strikes =
        blameless ? PL_GUARD_BLAMELESS : (uint32_t)r->trust->conf->audit_strikes;

    pl_warn("refused group=%s:%u reason=\"%s\"", r->name, group->index, why);
    return pl_guard_refuse_scored(r->trust->stream, r->name, group, why, strikes, err);
}

/* Programs of one run are of one build, or their bits may differ: said once. */
static void look_at_builds(struct pl_trust *t, const struct pl_rollouts *r)
{
    for (size_t g = 0; g < r->group_count && !t->mixed; g++) {
        const struct pl_rollout_group *group = &r->groups[g];
        const char *const builds[] = {group->build, group->rewarder_build};
        const char *const names[] = {group->actor, group->rewarder};

        for (int i = 0; i < 2 && !t->mixed; i++) {
            if (!builds[i] || !builds[i][0] || strcmp(builds[i], pl_build()) == 0)
                continue;
            t->mixed = true;
            pl_warn("build event=mixed worker=%s build=%s learner_build=%s reason=\"programs of "
                    "several builds work on this run: their bits may differ\"",
                    names[i], builds[i], pl_build());
        }
    }
}

int pl_trust_read(struct pl_trust *trust, enum pl_purpose purpose, uint64_t batch,
                  const struct pl_ready *ready, const struct pl_rollouts_check *check,
                  struct pl_rollouts *ret_rollouts, bool *ret_again, struct pl_error *err)
{
    struct reading reading = {trust, purpose, batch, ready->batch};
    struct pl_rollouts_check all = *check;
    int rc;

    all.judge = judge;
    all.bad = refuse;
    all.at = &reading;
    rc = pl_rollouts_read(ready, &all, ret_rollouts, err);
    if (rc == PL_OK)
        look_at_builds(trust, ret_rollouts);
    *ret_again = rc == PL_EFORMAT;
    return *ret_again ? PL_OK : rc;
}

/* ---- who is in quarantine ---- */

/* What is open, by name. */
struct names {
    const char *list[BATCHES_MAX];
    char text[BATCHES_MAX][NAME_MAX_BYTES];
    size_t count;
};

static void add_name(struct names *n, const char *prefix, uint64_t batch)
{
    PL_ASSERT(n->count < BATCHES_MAX);
    snprintf(n->text[n->count], sizeof n->text[0], "%s%llu", prefix, (unsigned long long)batch);
    n->list[n->count] = n->text[n->count];
    n->count++;
}

static void name_all(struct names *n, const struct pl_trust_open *open)
{
    n->count = 0;
    for (uint64_t b = open->step; b < open->end; b++)
        add_name(n, "", b);
    for (size_t i = 0; i < open->eval_count; i++)
        add_name(n, "e", open->evals[i]);
}

struct sweep {
    struct pl_trust *trust;
    struct names names;
    size_t groups;
};

static int sweep_actor(void *at, const char *actor, const char *reason, struct pl_error *err)
{
    struct sweep *s = at;
    size_t leases = 0, groups = 0;
    int rc = pl_guard_quarantine(s->trust->stream, actor, "", s->names.list, s->names.count,
                                 &leases, &groups, err);

    if (rc < 0)
        return rc;
    if (leases + groups > 0)
        pl_warn("quarantine actor=%s given_back=%zu to_be_made_anew=%zu reason=\"%s\"", actor,
                leases, groups, reason);
    s->groups += groups;
    return PL_OK;
}

int pl_trust_sweep(struct pl_trust *trust, const struct pl_trust_open *open, size_t *ret_groups,
                   struct pl_error *err)
{
    struct sweep sweep = {.trust = trust};
    int rc;

    name_all(&sweep.names, open);
    rc = pl_guard_each(trust->stream, sweep_actor, &sweep, err);
    *ret_groups = sweep.groups;
    return rc;
}

static int quarantine(struct pl_trust *t, const char *actor, const char *reason,
                      const struct pl_trust_open *open, struct pl_error *err)
{
    size_t leases = 0, groups = 0;
    struct names names;
    int rc;

    name_all(&names, open);
    rc = pl_guard_quarantine(t->stream, actor, reason, names.list, names.count, &leases, &groups,
                             err);
    if (rc == PL_OK)
        pl_warn("quarantine event=begin actor=%s given_back=%zu to_be_made_anew=%zu reason=\"%s\"",
                actor, leases, groups, reason);
    return rc;
}

/* ---- computing again ---- */

/* What is off in an actor's tokens of a batch. */
struct tally {
    const char *actor;
    double sum;
    size_t tokens;
};

static struct tally *tally_of(struct tally *list, size_t *count, const char *actor)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i].actor, actor) == 0)
            return &list[i];
    list[*count] = (struct tally){.actor = actor};
    return &list[(*count)++];
}

/* Log-probabilities alone. */
static void score_group(struct pl_trust *t, const struct pl_rollouts *r, size_t g,
                        const struct pl_weights *weights, struct pl_audit_finding *f)
{
    struct pl_walk walk = {.group = g, .end = g + 1};

    while (pl_walk_next(&walk, r, t->pack)) {
        const float *logp = pl_trainer_score(t->trainer, weights, t->pack, NULL);

        for (size_t p = 0; p < t->pack->prediction_count; p++) {
            const struct pl_prediction *at = &t->pack->predictions[p];

            f->sum += fabs((double)r->sampled[r->first[at->sample] + at->index] - (double)logp[p]);
        }
        f->tokens += t->pack->prediction_count;
    }
}

bool pl_trust_audits(const struct pl_trust *trust)
{
    return trust->audit || trust->conf->audit_difference > 0.0;
}

/* One group: picked or not, what of it is off; an actor that is found out is quarantined. */
static int audit_group(struct pl_trust *t, enum pl_purpose purpose, uint64_t batch,
                       const struct pl_rollouts *r, size_t g, const struct pl_weights *weights,
                       const struct pl_trust_open *open, struct pl_trust_audit *audit,
                       struct pl_audit_finding *f, struct pl_error *err)
{
    const struct pl_rollout_group *group = &r->groups[g];
    char id[PL_ROLLOUT_GROUP_ID_MAX], reason[PL_ROLLOUT_GROUP_ID_MAX + 200];
    int rc;

    *f = (struct pl_audit_finding){.sound = true};
    if (!t->audit || !pl_audit_picks(t->audit, purpose, batch, group->index)) {
        if (t->conf->audit_difference > 0.0)
            score_group(t, r, g, weights, f);
        return PL_OK;
    }
    rc = pl_audit_group(t->audit, r, g, t->trainer, t->pack, weights, f, err);
    if (rc < 0)
        return rc;
    t->audited++;
    audit->groups++;
    audit->tokens += f->tokens;
    audit->most = fmax(audit->most, f->most);
    if (f->sound)
        return PL_OK;
    t->unsound++;
    audit->unsound++;
    pl_rollout_group_id(group, id);
    snprintf(reason, sizeof reason, "audit of group %s: %s", id, f->what);
    return quarantine(t, group->actor, reason, open, err);
}

/* Actors whose log-probabilities are off on the whole. */
static int judge_tallies(struct pl_trust *t, const struct tally *list, size_t count,
                         const struct pl_trust_open *open, bool *ret_again, struct pl_error *err)
{
    const double most = t->conf->audit_difference;
    char reason[200];
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && most > 0.0 && i < count; i++) {
        const double mean = list[i].sum / (double)list[i].tokens;

        if (list[i].tokens == 0 || mean <= most)
            continue;
        snprintf(reason, sizeof reason,
                 "its log-probabilities are off by %.3g on average, over %zu tokens; at most %g is "
                 "allowed",
                 mean, list[i].tokens, most);
        rc = quarantine(t, list[i].actor, reason, open, err);
        *ret_again = true;
    }
    return rc;
}

/* For people: HGETALL plait:{RUN}:audits. */
static int note(struct pl_trust *t, const struct tally *list, size_t count, struct pl_error *err)
{
    enum { ACTORS_MAX = 32 };
    char names[ACTORS_MAX][160], values[ACTORS_MAX + 2][32];
    struct pl_field fields[ACTORS_MAX + 2];
    size_t n = 0;

    snprintf(values[0], sizeof values[0], "%llu", (unsigned long long)t->audited);
    snprintf(values[1], sizeof values[1], "%llu", (unsigned long long)t->unsound);
    fields[n++] = (struct pl_field){"groups", values[0]};
    fields[n++] = (struct pl_field){"unsound", values[1]};
    for (size_t i = 0; i < count && i < ACTORS_MAX; i++) {
        if (list[i].tokens == 0)
            continue;
        snprintf(names[i], sizeof names[i], "difference:%.128s", list[i].actor);
        snprintf(values[n], sizeof values[n], "%.9g", list[i].sum / (double)list[i].tokens);
        fields[n] = (struct pl_field){names[i], values[n]};
        n++;
    }
    return pl_queues_note(t->stream, "audits", fields, n, err);
}

int pl_trust_audit(struct pl_trust *trust, enum pl_purpose purpose, uint64_t batch,
                   const struct pl_rollouts *rollouts, const struct pl_weights *weights,
                   const struct pl_trust_open *open, struct pl_trust_audit *ret_audit,
                   bool *ret_again, struct pl_error *err)
{
    struct tally *tallies = calloc(rollouts->group_count + 1, sizeof *tallies);
    struct pl_trust_audit audit = {0};
    size_t count = 0;
    int rc = tallies ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the audits");

    *ret_again = false;
    for (size_t g = 0; rc == PL_OK && g < rollouts->group_count; g++) {
        struct tally *tally = tally_of(tallies, &count, rollouts->groups[g].actor);
        struct pl_audit_finding f;

        rc = audit_group(trust, purpose, batch, rollouts, g, weights, open, &audit, &f, err);
        tally->sum += f.sum;
        tally->tokens += f.tokens;
    }
    *ret_again = audit.unsound > 0;
    if (rc == PL_OK)
        rc = judge_tallies(trust, tallies, count, open, ret_again, err);
    if (rc == PL_OK)
        rc = note(trust, tallies, count, err);
    free(tallies);
    *ret_audit = audit;
    return rc;
}
