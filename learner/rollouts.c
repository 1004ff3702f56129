#include "learner/rollouts.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ROUNDING = 1e-5; /* rewards travel as floats */

struct room {
    char *at;
    size_t used;
};

static void *take(struct room *room, size_t bytes)
{
    void *p = room->at ? room->at + room->used : NULL;

    room->used += (bytes + 63) / 64 * 64;
    return p;
}

static void place(struct pl_rollouts *r, struct room *room)
{
    const size_t N = r->group_count, n = r->samples, T = r->tokens;

    r->packs = take(room, N * sizeof *r->packs);
    r->responses = take(room, n * sizeof *r->responses);
    r->list = take(room, n * sizeof *r->list);
    r->first = take(room, (n + 1) * sizeof *r->first);
    r->group = take(room, n * sizeof *r->group);
    r->group_first = take(room, (N + 1) * sizeof *r->group_first);
    r->scores = take(room, n * sizeof *r->scores);
    r->components = take(room, 3 * n * sizeof *r->components);
    r->rewards = take(room, T * sizeof *r->rewards);
    r->sampled = take(room, T * sizeof *r->sampled);
    r->old = take(room, T * sizeof *r->old);
    r->weight = take(room, T * sizeof *r->weight);
    r->advantages = take(room, T * sizeof *r->advantages);
    r->ref = take(room, T * sizeof *r->ref);
    r->values = take(room, T * sizeof *r->values);
    r->returns = take(room, T * sizeof *r->returns);
    r->scratch = take(room, T * sizeof *r->scratch);
    r->answer_first = take(room, (n + 1) * sizeof *r->answer_first);
    r->answer_end = take(room, r->answers * sizeof *r->answer_end);
    r->answer_paid = take(room, r->answers * sizeof *r->answer_paid);
    r->answer_charge = take(room, r->answers * sizeof *r->answer_charge);
    r->answer_sum = take(room, r->answers * sizeof *r->answer_sum);
    r->left = take(room, n * sizeof *r->left);
}

/* What is no fault of who sampled it. PL_ENOENT: it is not of here. */
static int check_origin(const struct pl_rollout_group *g, const struct pl_rollouts_check *check,
                        struct pl_error *err)
{
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(g, id);
    if (check->life.run_id[0] && !pl_life_same(&g->life, &check->life))
        return pl_fail(err, PL_ENOENT,
                       "group %s was fed in life %llu of run %.8s; this is life %llu of run %.8s",
                       id, (unsigned long long)g->life.number,
                       g->life.run_id[0] ? g->life.run_id : "(none)",
                       (unsigned long long)check->life.number, check->life.run_id);
    if (check->settings && g->settings != check->settings)
        return pl_fail(err, PL_ENOENT,
                       "group %s was scored by '%s' with other settings than this run's", id,
                       g->rewarder);
    return PL_OK;
}

static int check_group(const struct pl_rollout_group *g, const struct pl_rollouts_check *check,
                       struct pl_error *err)
{
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(g, id);
    if (g->newest != check->newest)
        return pl_fail(err, PL_EFORMAT, "group %s was fed in %s mode", id,
                       g->newest ? "latest" : "pinned");
    if (check->newest)
        return PL_OK;
    if (g->version != check->version)
        return pl_fail(err, PL_EFORMAT, "group %s was sampled with version %llu, not %llu", id,
                       (unsigned long long)g->version, (unsigned long long)check->version);
    if (check->hash && memcmp(g->weights_hash, check->hash, sizeof g->weights_hash) != 0)
        return pl_fail(err, PL_EFORMAT,
                       "group %s: actor '%s' sampled with weights that are not those of version "
                       "%llu",
                       id, g->actor, (unsigned long long)check->version);
    return PL_OK;
}

static size_t count_answers(const struct pl_score *score)
{
    size_t count = 0;

    for (size_t k = 0; k < score->segment_count; k++)
        count += score->segments[k].kind == PL_SEGMENT_ANSWER;
    return count;
}

/* The parts of a reward, where they make it up but for rounding; else it itself. */
static double whole(double reward, double parts)
{
    return fabs(reward - parts) <= ROUNDING ? parts : reward;
}

/* Each answer's own parts of the score, at the answer's last token; what they come to. */
static void fill_answers(struct pl_rollouts *r, const struct pl_score *score, size_t i,
                         double *ret_paid, double *ret_charge)
{
    const size_t begin = r->first[i], last = r->first[i + 1] - 1;
    size_t a = r->answer_first[i], end = begin;

    for (size_t k = 0; k < score->segment_count; k++) {
        const struct pl_segment *s = &score->segments[k];

        if (s->kind != PL_SEGMENT_ANSWER)
            continue;
        end = begin + s->token_end > end ? begin + s->token_end : end;
        r->answer_end[a] = end;
        r->answer_paid[a] = r->gate ? (double)s->reward : 0.0;
        r->answer_charge[a] = (double)s->charge;
        r->answer_sum[a] = r->answer_paid[a] + r->answer_charge[a];
        r->rewards[end > begin ? end - 1 : last] += r->answer_sum[a];
        *ret_paid += r->answer_paid[a];
        *ret_charge += r->answer_charge[a];
        a++;
    }
    r->answer_first[i + 1] = a;
}

/* In double: what is left of two samples behind their last answers is equal where it should be. */
static void fill_by_segment(struct pl_rollouts *r, const struct pl_score *score, size_t i)
{
    const size_t n = r->samples, last = r->first[i + 1] - 1;
    double paid = 0.0, charge = 0.0;

    fill_answers(r, score, i, &paid, &charge);
    const double intermediate = whole(r->gate ? (double)score->intermediate : 0.0, paid);
    const double extra = whole((double)score->extra, charge);
    const double plain = (double)score->format + (double)score->final;

    r->scores[i] = plain + extra + intermediate;
    r->components[n + i] = (double)score->final + extra;
    r->components[2 * n + i] = intermediate;
    r->rewards[last] += plain + (extra - charge) + (intermediate - paid);
}

static void fill_sample(struct pl_rollouts *r, const struct pl_rollout *rollout, size_t i)
{
    const struct pl_score *score = &rollout->score;
    const size_t n = r->samples, t = r->first[i];

    r->list[i] = rollout;
    r->first[i + 1] = t + rollout->len;
    r->responses[i] = (struct pl_pack_response){rollout->ids, rollout->len};
    r->components[i] = (double)score->format;
    memcpy(r->sampled + t, rollout->logprobs, rollout->len * sizeof *r->sampled);
    memcpy(r->old + t, rollout->logprobs, rollout->len * sizeof *r->old);
    if (r->by_segment) {
        fill_by_segment(r, score, i);
        return;
    }
    r->scores[i] = (double)pl_score_reward(score, r->gate);
    r->components[n + i] = (double)score->final + (double)score->extra;
    r->components[2 * n + i] = r->gate ? (double)score->intermediate : 0.0;
    r->rewards[t + rollout->len - 1] = r->scores[i];
}

static void fill(struct pl_rollouts *r)
{
    size_t i = 0;

    for (size_t g = 0; g < r->group_count; g++) {
        const struct pl_rollout_group *group = &r->groups[g];

        r->group_first[g] = i;
        r->packs[g] =
            (struct pl_group){group->prompt, group->prompt_len, r->responses + i, group->samples};
        for (size_t s = 0; s < group->samples; s++, i++) {
            r->group[i] = g;
            fill_sample(r, &group->rollouts[s], i);
        }
    }
    r->group_first[r->group_count] = i;
}

/* One group, counted if it is as it must be. PL_EFORMAT: its actor's doing; PL_ENOENT: not. */
static int decode_group(const struct pl_ready_group *from, const struct pl_rollouts_check *check,
                        struct pl_rollouts *r, struct pl_error *err)
{
    struct pl_rollout_group *group = &r->groups[r->group_count];
    int rc = pl_rollout_group_decode(from->pb, from->pb_len, PL_STAGE_SCORED, &check->limits, group,
                                     err);

    /* These bytes are a rewarder's, which had read the actor's. */
    if (rc == PL_EFORMAT)
        rc = PL_ENOENT;
    if (rc == PL_OK)
        rc = check_origin(group, check, err);
    if (rc == PL_OK)
        rc = check_group(group, check, err);
    if (rc == PL_OK && check->judge)
        rc = check->judge(check->at, group, from->index, err);
    if (rc < 0) {
        pl_rollout_group_release(group);
        return rc;
    }
    r->group_count++;
    r->samples += group->samples;
    for (size_t s = 0; s < group->samples; s++) {
        r->tokens += group->rollouts[s].len;
        r->right += group->rollouts[s].score.verdict == PL_VERDICT_RIGHT;
        if (r->by_segment)
            r->answers += count_answers(&group->rollouts[s].score);
    }
    return PL_OK;
}

static int decode(const struct pl_ready *ready, const struct pl_rollouts_check *check,
                  struct pl_rollouts *r, struct pl_error *err)
{
    size_t bad = 0;

    for (size_t g = 0; g < ready->count; g++) {
        struct pl_error why = {0};
        int rc = decode_group(&ready->groups[g], check, r, &why);

        if ((rc == PL_EFORMAT || rc == PL_ENOENT) && check->bad) {
            bad++;
            rc = check->bad(check->at, &ready->groups[g], why.text, rc == PL_ENOENT, err);
        } else if (rc < 0) {
            rc = pl_fail(err, rc == PL_ENOENT ? PL_EFORMAT : rc, "%s", why.text);
        }
        if (rc < 0)
            return rc;
    }
    return bad == 0 ? PL_OK
                    : pl_fail(err, PL_EFORMAT, "%zu groups of batch %s are not as they must be",
                              bad, ready->batch);
}

int pl_rollouts_read(const struct pl_ready *ready, const struct pl_rollouts_check *check,
                     struct pl_rollouts *ret_rollouts, struct pl_error *err)
{
    struct pl_rollouts r = {.by_segment = check->by_segment};
    struct room room = {0};
    int rc;

    r.groups = calloc(ready->count + 1, sizeof *r.groups);
    rc = r.groups ? decode(ready, check, &r, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for batch %s", ready->batch);
    if (rc == PL_OK) { /* as the queues' functions decide it, of what is there */
        r.accuracy = r.samples > 0 ? (double)r.right / (double)r.samples : 0.0;
        r.gate = !check->gated || r.accuracy > check->previous - check->epsilon;
        place(&r, &room);
        room.at = r.memory = pl_alloc(1, room.used);
        room.used = 0;
        if (!r.memory)
            rc = pl_fail(err, PL_ENOMEM, "no memory for batch %s: %zu tokens", ready->batch,
                         r.tokens);
    }
    if (rc < 0) {
        pl_rollouts_release(&r);
        return rc;
    }
    place(&r, &room);
    fill(&r);
    *ret_rollouts = r;
    return PL_OK;
}

void pl_rollouts_keep(struct pl_rollouts *rollouts, const bool *keep)
{
    struct pl_rollouts *r = rollouts;
    size_t kept = 0;

    r->samples = r->tokens = 0;
    for (size_t g = 0; g < r->group_count; g++) {
        if (!keep[g]) {
            pl_rollout_group_release(&r->groups[g]);
            continue;
        }
        r->groups[kept] = r->groups[g];
        r->samples += r->groups[kept].samples;
        for (size_t s = 0; s < r->groups[kept].samples; s++)
            r->tokens += r->groups[kept].rollouts[s].len;
        kept++;
    }
    PL_ASSERT(kept > 0);
    r->group_count = kept;
    memset(r->rewards, 0, r->tokens * sizeof *r->rewards);
    fill(r);
}

void pl_rollouts_release(struct pl_rollouts *rollouts)
{
    for (size_t g = 0; rollouts->groups && g < rollouts->group_count; g++)
        pl_rollout_group_release(&rollouts->groups[g]);
    free(rollouts->groups);
    free(rollouts->memory);
    *rollouts = (struct pl_rollouts){0};
}

struct pl_samples pl_rollouts_samples(const struct pl_rollouts *rollouts)
{
    return (struct pl_samples){rollouts->samples, rollouts->first, rollouts->group};
}

struct pl_stages pl_rollouts_stages(const struct pl_rollouts *rollouts, const double *parts)
{
    return (struct pl_stages){rollouts->answer_first, rollouts->answer_end, parts};
}
