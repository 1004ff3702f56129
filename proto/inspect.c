#include "proto/inspect.h"

#include "common/base/check.h"

#include <stdio.h>
#include <string.h>

static bool same_ids(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len * sizeof *a) == 0);
}

/* To the bit: what was sampled at 0.1 is not what was asked for at the float next to it. */
static bool same_real(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

const char *pl_prompt_difference(const struct pl_rollout_group *a, const struct pl_rollout_group *b)
{
    const struct {
        const char *name;
        bool same;
    } fields[] = {
        {"life of the run", pl_life_same(&a->life, &b->life)},
        {"purpose", a->purpose == b->purpose},
        {"batch", a->batch == b->batch},
        {"index", a->index == b->index},
        {"prompt", same_ids(a->prompt, a->prompt_len, b->prompt, b->prompt_len)},
        {"task", a->task_len == b->task_len && memcmp(a->task, b->task, a->task_len) == 0},
        {"version", a->version == b->version && a->newest == b->newest},
        {"number of samples", a->samples == b->samples},
        {"seed", a->seed == b->seed},
        {"method", a->method == b->method},
        {"temperature", same_real(a->temperature, b->temperature)},
        {"top_k", a->top_k == b->top_k},
        {"top_p", same_real(a->top_p, b->top_p)},
        {"min_p", same_real(a->min_p, b->min_p)},
        {"limit of tokens", a->new_tokens_max == b->new_tokens_max},
        {"stop ids", same_ids(a->stop_ids, a->stop_count, b->stop_ids, b->stop_count)},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!fields[i].same)
            return fields[i].name;
    return NULL;
}

static bool is_stop(const struct pl_rollout_group *g, uint32_t id)
{
    for (size_t i = 0; i < g->stop_count; i++)
        if (g->stop_ids[i] == id)
            return true;
    return false;
}

/* Where generation had to end: behind the first stop id, else at the limit. */
static int inspect_end(const struct pl_rollout_group *g, size_t at, const char *who,
                       struct pl_error *err)
{
    const struct pl_rollout *r = &g->rollouts[at];
    const bool stopped = is_stop(g, r->ids[r->len - 1]);

    for (size_t i = 0; i + 1 < r->len; i++)
        if (is_stop(g, r->ids[i]))
            return pl_fail(err, PL_EFORMAT,
                           "%s: sample %zu ends with token %zu, id %u, yet has %zu tokens", who, at,
                           i, r->ids[i], r->len);
    if (!stopped && r->len < g->new_tokens_max)
        return pl_fail(err, PL_EFORMAT,
                       "%s: sample %zu ends after %zu tokens with id %u, which is no end, and the "
                       "limit is %u",
                       who, at, r->len, r->ids[r->len - 1], g->new_tokens_max);
    if (stopped != (r->finish == PL_SAMPLE_STOP))
        return pl_fail(err, PL_EFORMAT,
                       "%s: sample %zu is said to have ended %s, but its last id, %u, is %s", who,
                       at, r->finish == PL_SAMPLE_STOP ? "by itself" : "at the limit",
                       r->ids[r->len - 1], stopped ? "an end" : "none");
    return PL_OK;
}

static int inspect_versions(const struct pl_rollout_group *g, size_t at, uint64_t newest,
                            const char *who, struct pl_error *err)
{
    const struct pl_rollout *r = &g->rollouts[at];
    const uint64_t first = r->versions[0], last = r->versions[r->versions_len - 1];

    if (!g->newest && (first != g->version || last != g->version))
        return pl_fail(err, PL_EFORMAT,
                       "%s: sample %zu is of version %llu, asked for was version %llu", who, at,
                       (unsigned long long)(first != g->version ? first : last),
                       (unsigned long long)g->version);
    if (g->newest && (first < g->version || last > newest))
        return pl_fail(err, PL_EFORMAT,
                       "%s: sample %zu is of versions %llu to %llu, asked for was %llu at least, "
                       "and %llu is the last there can be",
                       who, at, (unsigned long long)first, (unsigned long long)last,
                       (unsigned long long)g->version, (unsigned long long)newest);
    return PL_OK;
}

int pl_inspect_group(const struct pl_rollout_group *group, const struct pl_inspect *inspect,
                     struct pl_error *err)
{
    const char *field = pl_prompt_difference(group, inspect->asked);
    char id[PL_ROLLOUT_GROUP_ID_MAX], who[PL_ROLLOUT_GROUP_ID_MAX + 160];
    int rc = PL_OK;

    PL_ASSERT(group->stage >= PL_STAGE_ROLLOUT);
    pl_rollout_group_id(inspect->asked, id);
    snprintf(who, sizeof who, "group %s by actor '%s'", id,
             inspect->actor ? inspect->actor : group->actor);
    if (field)
        return pl_fail(err, PL_EFORMAT, "%s: its %s is not what was asked for", who, field);
    if (inspect->actor && strcmp(group->actor, inspect->actor) != 0)
        return pl_fail(err, PL_EFORMAT, "%s: it says that it is by '%s'", who, group->actor);
    for (size_t i = 0; rc == PL_OK && i < group->samples; i++) {
        rc = inspect_versions(group, i, inspect->version_max, who, err);
        if (rc == PL_OK)
            rc = inspect_end(group, i, who, err);
    }
    return rc;
}
