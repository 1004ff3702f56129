#include "learner/rollouts.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

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
    r->old = take(room, T * sizeof *r->old);
    r->advantages = take(room, T * sizeof *r->advantages);
    r->ref = take(room, T * sizeof *r->ref);
    r->values = take(room, T * sizeof *r->values);
    r->returns = take(room, T * sizeof *r->returns);
    r->scratch = take(room, T * sizeof *r->scratch);
}

static int check_group(const struct pl_rollout_group *g, const struct pl_rollouts_check *check,
                       struct pl_error *err)
{
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(g, id);
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

static void fill_sample(struct pl_rollouts *r, const struct pl_rollout *rollout, size_t i)
{
    const struct pl_score *score = &rollout->score;
    const size_t n = r->samples, t = r->first[i];

    r->list[i] = rollout;
    r->first[i + 1] = t + rollout->len;
    r->responses[i] = (struct pl_response){rollout->ids, rollout->len};
    r->scores[i] = (double)pl_score_reward(score, r->gate);
    r->components[i] = (double)score->format;
    r->components[n + i] = (double)score->final + (double)score->extra;
    r->components[2 * n + i] = r->gate ? (double)score->intermediate : 0.0;
    memcpy(r->old + t, rollout->logprobs, rollout->len * sizeof *r->old);
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

static int decode(const struct pl_ready *ready, const struct pl_rollouts_check *check,
                  struct pl_rollouts *r, struct pl_error *err)
{
    for (size_t g = 0; g < ready->count; g++) {
        struct pl_rollout_group *group = &r->groups[g];
        int rc = pl_rollout_group_decode(ready->groups[g].pb, ready->groups[g].pb_len,
                                         PL_STAGE_SCORED, &check->limits, group, err);

        if (rc == PL_OK) {
            r->group_count++;
            rc = check_group(group, check, err);
        }
        if (rc < 0)
            return rc;
        r->samples += group->samples;
        for (size_t s = 0; s < group->samples; s++)
            r->tokens += group->rollouts[s].len;
    }
    return PL_OK;
}

int pl_rollouts_read(const struct pl_ready *ready, const struct pl_rollouts_check *check,
                     struct pl_rollouts *ret_rollouts, struct pl_error *err)
{
    struct pl_rollouts r = {.gate = ready->gate, .accuracy = ready->accuracy};
    struct room room = {0};
    int rc;

    r.groups = calloc(ready->count + 1, sizeof *r.groups);
    rc = r.groups ? decode(ready, check, &r, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for batch %s", ready->batch);
    if (rc == PL_OK) {
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
