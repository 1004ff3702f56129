#include "proto/rollout.h"

#include "common/base/check.h"
#include "proto/wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 128,
    STOP_IDS_MAX = 16,
    SEGMENTS_MAX = 256,
    WHY_MAX_BYTES = 1024,
    HASH = 32
};

static const char *const method_names[] = {"interleave", "think-answer", "delayed", "direct",
                                           "cot"};

const char *pl_method_name(enum pl_method method)
{
    PL_ASSERT((size_t)method < sizeof method_names / sizeof *method_names);
    return method_names[method];
}

void pl_rollout_group_id(const struct pl_rollout_group *group, char ret_id[PL_ROLLOUT_GROUP_ID_MAX])
{
    snprintf(ret_id, PL_ROLLOUT_GROUP_ID_MAX, "%s%llu:%lu",
             group->purpose == PL_PURPOSE_EVALUATE ? "e" : "", (unsigned long long)group->batch,
             (unsigned long)group->index);
}

struct pl_rng pl_rollout_group_rng(const struct pl_rollout_group *group)
{
    const uint32_t eval = group->purpose == PL_PURPOSE_EVALUATE ? 0x40000000u : 0;

    return (struct pl_rng){
        .seed = group->seed, .batch = (uint32_t)group->batch | eval, .prompt = group->index};
}

/* ---- encoding: protobuf's structs are filled with borrowed pointers, packed, and dropped ---- */

static void fill_prompt(Plait__PromptGroup *p, Plait__Sampling *sampling,
                        const struct pl_rollout_group *g)
{
    plait__prompt_group__init(p);
    plait__sampling__init(sampling);
    sampling->temperature = g->temperature;
    sampling->top_k = g->top_k;
    sampling->top_p = g->top_p;
    sampling->min_p = g->min_p;
    p->purpose = g->purpose;
    p->batch = g->batch;
    p->index = g->index;
    p->version = g->version;
    p->newest = g->newest;
    p->run_id = (char *)g->life.run_id;
    p->life = g->life.number;
    p->samples = g->samples;
    p->seed = g->seed;
    p->method = g->method;
    p->sampling = sampling;
    p->new_tokens_max = g->new_tokens_max;
    p->n_stop_ids = g->stop_count;
    p->stop_ids = (uint32_t *)g->stop_ids;
    p->n_prompt = g->prompt_len;
    p->prompt = (uint32_t *)g->prompt;
    p->task.data = (uint8_t *)g->task;
    p->task.len = g->task_len;
}

static void fill_sample(Plait__Sample *s, const struct pl_rollout *r)
{
    plait__sample__init(s);
    s->n_ids = s->n_logprobs = r->len;
    s->ids = (uint32_t *)r->ids;
    s->logprobs = (float *)r->logprobs;
    s->n_versions = r->versions_len;
    s->versions = (uint64_t *)r->versions;
    s->finish = r->finish;
}

/* Everything that packing a group of n samples and `segments` segments borrows. */
struct out_room {
    Plait__Sample *samples, **sample_list;
    Plait__Score *scores, **score_list;
    Plait__Segment *segments, **segment_list;
};

static void *take(char **at, size_t bytes)
{
    void *p = *at;

    *at += (bytes + 15) / 16 * 16;
    return p;
}

static char *out_room_create(struct out_room *room, size_t n, size_t segments)
{
    const size_t bytes = n * (sizeof(Plait__Sample) + sizeof(Plait__Score) + 2 * sizeof(void *)) +
                         segments * (sizeof(Plait__Segment) + sizeof(void *)) + 8 * 16;
    char *memory = pl_alloc(1, bytes), *at = memory;

    if (!memory)
        return NULL;
    room->samples = take(&at, n * sizeof *room->samples);
    room->sample_list = take(&at, n * sizeof *room->sample_list);
    room->scores = take(&at, n * sizeof *room->scores);
    room->score_list = take(&at, n * sizeof *room->score_list);
    room->segments = take(&at, segments * sizeof *room->segments);
    room->segment_list = take(&at, segments * sizeof *room->segment_list);
    return memory;
}

int pl_rollout_group_encode(const struct pl_rollout_group *group, struct pl_buf *out)
{
    const size_t n = group->stage == PL_STAGE_PROMPT ? 0 : group->samples;
    Plait__PromptGroup prompt;
    Plait__RolloutGroup rollout;
    Plait__ScoredGroup scored;
    Plait__Sampling sampling;
    struct out_room room;
    size_t segments = 0, used = 0;
    char *memory;
    int rc;

    fill_prompt(&prompt, &sampling, group);
    if (group->stage == PL_STAGE_PROMPT)
        return pl_wire_pack(&prompt.base, out);
    for (size_t i = 0; group->stage == PL_STAGE_SCORED && i < n; i++)
        segments += group->rollouts[i].score.segment_count;
    memory = out_room_create(&room, n, segments);
    if (!memory)
        return PL_ENOMEM;
    plait__rollout_group__init(&rollout);
    rollout.prompt = &prompt;
    rollout.actor = (char *)group->actor;
    rollout.weights_hash.data = (uint8_t *)group->weights_hash;
    rollout.weights_hash.len = HASH;
    rollout.generate_s = group->generate_s;
    rollout.build = group->build ? (char *)group->build : "";
    rollout.n_samples = n;
    rollout.samples = room.sample_list;
    for (size_t i = 0; i < n; i++) {
        fill_sample(&room.samples[i], &group->rollouts[i]);
        room.sample_list[i] = &room.samples[i];
    }
    if (group->stage == PL_STAGE_ROLLOUT) {
        rc = pl_wire_pack(&rollout.base, out);
    } else {
        plait__scored_group__init(&scored);
        scored.rollout = &rollout;
        scored.rewarder = (char *)group->rewarder;
        scored.settings = group->settings;
        scored.build = group->rewarder_build ? (char *)group->rewarder_build : "";
        scored.n_scores = n;
        scored.scores = room.score_list;
        for (size_t i = 0; i < n; i++) {
            pl_wire_score(&room.scores[i], room.segments + used, room.segment_list + used,
                          &group->rollouts[i].score);
            room.score_list[i] = &room.scores[i];
            used += group->rollouts[i].score.segment_count;
        }
        rc = pl_wire_pack(&scored.base, out);
    }
    free(memory);
    return rc;
}

/* ---- decoding: unpacked by protobuf-c under a byte limit, checked, copied to one block ---- */

static int bad(struct pl_error *err, const char *id, const char *fmt_what, uint64_t found,
               uint64_t most)
{
    return pl_fail(err, PL_EFORMAT, "group %s: %s is %llu; at most %llu is allowed", id, fmt_what,
                   (unsigned long long)found, (unsigned long long)most);
}

static int check_ids(const uint32_t *ids, size_t n, const struct pl_rollout_group_limits *limits,
                     const char *id, const char *what, struct pl_error *err)
{
    for (size_t i = 0; limits->vocab && i < n; i++)
        if (ids[i] >= limits->vocab)
            return pl_fail(err, PL_EFORMAT,
                           "group %s: token %zu of the %s is %u; the vocabulary has %zu", id, i,
                           what, ids[i], limits->vocab);
    return PL_OK;
}

static int check_prompt(const Plait__PromptGroup *p, const struct pl_rollout_group_limits *limits,
                        const char *id, struct pl_error *err)
{
    const Plait__Sampling *s = p->sampling;
    struct pl_life life;

    if (pl_life_take(&life, p->run_id, p->life, err) < 0)
        return pl_fail_in(err, PL_EFORMAT, "group %s", id);

    if (p->purpose > PL_PURPOSE_EVALUATE)
        return bad(err, id, "purpose", p->purpose, PL_PURPOSE_EVALUATE);
    if (p->method > PL_METHOD_COT)
        return bad(err, id, "method", p->method, PL_METHOD_COT);
    if (p->samples == 0 || p->samples > limits->samples)
        return pl_fail(err, PL_EFORMAT, "group %s: %u samples; 1 to %zu are allowed", id,
                       p->samples, limits->samples);
    if (p->n_prompt == 0 || p->n_prompt > limits->tokens)
        return pl_fail(err, PL_EFORMAT, "group %s: a prompt of %zu tokens; 1 to %zu are allowed",
                       id, p->n_prompt, limits->tokens);
    if (p->new_tokens_max == 0 || p->new_tokens_max > limits->tokens)
        return pl_fail(err, PL_EFORMAT,
                       "group %s: a response of up to %u tokens; 1 to %zu are allowed", id,
                       p->new_tokens_max, limits->tokens);
    if (p->n_stop_ids > STOP_IDS_MAX)
        return bad(err, id, "the number of stop ids", p->n_stop_ids, STOP_IDS_MAX);
    if (!s || !isfinite(s->temperature) || !isfinite(s->top_p) || !isfinite(s->min_p))
        return pl_fail(err, PL_EFORMAT, "group %s: sampling is missing or not a number", id);
    if (p->task.len == 0 || memchr(p->task.data, 0, p->task.len))
        return pl_fail(err, PL_EFORMAT, "group %s: the task is missing or holds a NUL", id);
    return check_ids(p->prompt, p->n_prompt, limits, id, "prompt", err);
}

static int check_sample(const Plait__Sample *s, size_t at, const Plait__PromptGroup *p,
                        const struct pl_rollout_group_limits *limits, const char *id,
                        struct pl_error *err)
{
    if (s->n_ids == 0 || s->n_ids > p->new_tokens_max)
        return pl_fail(err, PL_EFORMAT, "group %s: sample %zu has %zu tokens; 1 to %u are allowed",
                       id, at, s->n_ids, p->new_tokens_max);
    if (s->n_logprobs != s->n_ids || (s->n_versions != 1 && s->n_versions != s->n_ids))
        return pl_fail(
            err, PL_EFORMAT,
            "group %s: sample %zu has %zu tokens, %zu log-probabilities and %zu versions", id, at,
            s->n_ids, s->n_logprobs, s->n_versions);
    for (size_t i = 1; i < s->n_versions; i++)
        if (s->versions[i] < s->versions[i - 1])
            return pl_fail(
                err, PL_EFORMAT,
                "group %s: token %zu of sample %zu is of version %llu, the one before of "
                "%llu; versions never fall",
                id, i, at, (unsigned long long)s->versions[i],
                (unsigned long long)s->versions[i - 1]);
    if (s->finish > PL_SAMPLE_LENGTH)
        return bad(err, id, "the finish of a sample", s->finish, PL_SAMPLE_LENGTH);
    for (size_t i = 0; i < s->n_logprobs; i++)
        if (!isfinite(s->logprobs[i]) || s->logprobs[i] > 0.0f)
            return pl_fail(err, PL_EFORMAT,
                           "group %s: log-probability %zu of sample %zu is %g; a finite number of "
                           "at most 0 is expected",
                           id, i, at, (double)s->logprobs[i]);
    return check_ids(s->ids, s->n_ids, limits, id, "response", err);
}

static int check_score(const Plait__Score *s, size_t at, size_t tokens, const char *id,
                       struct pl_error *err)
{
    if (!isfinite(s->format) || !isfinite(s->final) || !isfinite(s->intermediate) ||
        !isfinite(s->extra))
        return pl_fail(err, PL_EFORMAT, "group %s: a reward of sample %zu is not a number", id, at);
    if (s->extra > 0.0f)
        return pl_fail(err, PL_EFORMAT,
                       "group %s: the charges of sample %zu are %g; 0 or less is expected", id, at,
                       (double)s->extra);
    if (s->n_segments > SEGMENTS_MAX)
        return bad(err, id, "the number of segments", s->n_segments, SEGMENTS_MAX);
    if (s->verdict > PL_VERDICT_UNPARSED)
        return bad(err, id, "a verdict", s->verdict, PL_VERDICT_UNPARSED);
    if (s->steps_right > s->steps)
        return bad(err, id, "the number of right steps", s->steps_right, s->steps);
    if (s->first_answer < -1 || s->first_answer > (int64_t)tokens)
        return pl_fail(err, PL_EFORMAT, "group %s: the first answer of sample %zu is at token %d",
                       id, at, s->first_answer);
    if (s->first_right < -1 || s->first_right > (int64_t)tokens)
        return pl_fail(err, PL_EFORMAT,
                       "group %s: the first right answer of sample %zu is at token %d", id, at,
                       s->first_right);
    if (strlen(s->why) > WHY_MAX_BYTES)
        return bad(err, id, "the length of an explanation", strlen(s->why), WHY_MAX_BYTES);
    for (size_t i = 0; i < s->n_segments; i++) {
        const Plait__Segment *g = s->segments[i];

        if (!isfinite(g->reward) || !isfinite(g->charge) || g->charge > 0.0f)
            return pl_fail(
                err, PL_EFORMAT,
                "group %s: segment %zu of sample %zu earned %g and is charged %g; finite "
                "numbers are expected, the second 0 or less",
                id, i, at, (double)g->reward, (double)g->charge);

        if (g->kind > PL_SEGMENT_ANSWER || g->verdict > PL_VERDICT_UNPARSED ||
            g->token_begin > g->token_end || g->token_end > tokens || g->step < -1)
            return pl_fail(err, PL_EFORMAT,
                           "group %s: segment %zu of sample %zu is of kind %u, step %d and verdict "
                           "%u at tokens [%u, %u) of %zu",
                           id, i, at, g->kind, g->step, g->verdict, g->token_begin, g->token_end,
                           tokens);
    }
    return PL_OK;
}

static int check_rollout(const Plait__RolloutGroup *r, const struct pl_rollout_group_limits *limits,
                         const char *id, struct pl_error *err)
{
    int rc = PL_OK;

    if (r->n_samples != r->prompt->samples)
        return pl_fail(err, PL_EFORMAT, "group %s: %zu samples were made, %u were asked for", id,
                       r->n_samples, r->prompt->samples);
    if (strlen(r->actor) == 0 || strlen(r->actor) > NAME_MAX_BYTES)
        return bad(err, id, "the length of the actor's name", strlen(r->actor), NAME_MAX_BYTES);
    if (r->weights_hash.len != HASH)
        return bad(err, id, "the length of the weights' hash", r->weights_hash.len, HASH);
    if (strlen(r->build) > NAME_MAX_BYTES)
        return bad(err, id, "the length of the actor's build", strlen(r->build), NAME_MAX_BYTES);
    if (!isfinite(r->generate_s) || r->generate_s < 0.0f)
        return pl_fail(err, PL_EFORMAT, "group %s: it took %g seconds", id, (double)r->generate_s);
    for (size_t i = 0; rc == PL_OK && i < r->n_samples; i++)
        rc = check_sample(r->samples[i], i, r->prompt, limits, id, err);
    return rc;
}

static int check_scored(const Plait__ScoredGroup *s, const char *id, struct pl_error *err)
{
    int rc = PL_OK;

    if (s->n_scores != s->rollout->n_samples)
        return pl_fail(err, PL_EFORMAT, "group %s: %zu scores for %zu samples", id, s->n_scores,
                       s->rollout->n_samples);
    if (strlen(s->rewarder) > NAME_MAX_BYTES)
        return bad(err, id, "the length of the rewarder's name", strlen(s->rewarder),
                   NAME_MAX_BYTES);
    if (strlen(s->build) > NAME_MAX_BYTES)
        return bad(err, id, "the length of the rewarder's build", strlen(s->build), NAME_MAX_BYTES);
    for (size_t i = 0; rc == PL_OK && i < s->n_scores; i++)
        rc = check_score(s->scores[i], i, s->rollout->samples[i]->n_ids, id, err);
    return rc;
}

/* The block that a decoded group points into: counted with memory NULL, then filled. */
struct block {
    char *memory;
    size_t used;
};

static void *put(struct block *b, const void *from, size_t bytes)
{
    char *at = b->memory ? b->memory + b->used : NULL;

    b->used += (bytes + 15) / 16 * 16;
    if (at && from && bytes)
        memcpy(at, from, bytes);
    return at;
}

static const char *put_text(struct block *b, const char *from, size_t len)
{
    char *at = b->memory ? b->memory + b->used : NULL;

    b->used += (len + 16) / 16 * 16;
    if (!at)
        return NULL;
    memcpy(at, from, len);
    at[len] = '\0';
    return at;
}

static void copy_prompt(struct pl_rollout_group *g, const Plait__PromptGroup *p, struct block *b)
{
    (void)pl_life_take(&g->life, p->run_id, p->life, NULL); /* checked */
    g->purpose = (enum pl_purpose)p->purpose;
    g->batch = p->batch;
    g->index = p->index;
    g->version = p->version;
    g->newest = p->newest;
    g->seed = p->seed;
    g->method = (enum pl_method)p->method;
    g->temperature = p->sampling->temperature;
    g->top_p = p->sampling->top_p;
    g->min_p = p->sampling->min_p;
    g->top_k = p->sampling->top_k;
    g->samples = p->samples;
    g->new_tokens_max = p->new_tokens_max;
    g->stop_count = p->n_stop_ids;
    g->stop_ids = put(b, p->stop_ids, p->n_stop_ids * sizeof *p->stop_ids);
    g->prompt_len = p->n_prompt;
    g->prompt = put(b, p->prompt, p->n_prompt * sizeof *p->prompt);
    g->task_len = p->task.len;
    g->task = put_text(b, (const char *)p->task.data, p->task.len);
}

static void copy_score(struct pl_score *s, const Plait__Score *from, struct block *b)
{
    struct pl_segment *segments = put(b, NULL, from->n_segments * sizeof *segments);
    const struct pl_score score = {
        .format = from->format,
        .final = from->final,
        .intermediate = from->intermediate,
        .extra = from->extra,
        .format_ok = from->format_ok,
        .verdict = (enum pl_verdict)from->verdict,
        .steps = from->steps,
        .steps_right = from->steps_right,
        .first_answer = from->first_answer,
        .first_right = from->first_right,
        .segments = segments,
        .segment_count = from->n_segments,
        .why = put_text(b, from->why, strlen(from->why)),
    };

    if (!b->memory)
        return;
    for (size_t i = 0; i < from->n_segments; i++)
        segments[i] = (struct pl_segment){
            .kind = (enum pl_segment_kind)from->segments[i]->kind,
            .token_begin = from->segments[i]->token_begin,
            .token_end = from->segments[i]->token_end,
            .step = from->segments[i]->step,
            .verdict = (enum pl_verdict)from->segments[i]->verdict,
            .reward = from->segments[i]->reward,
            .charge = from->segments[i]->charge,
        };
    *s = score;
}

static void copy_rollouts(struct pl_rollout_group *g, const Plait__RolloutGroup *r,
                          const Plait__ScoredGroup *scored, struct block *b)
{
    struct pl_rollout *rollouts = put(b, NULL, r->n_samples * sizeof *rollouts);

    g->actor = put_text(b, r->actor, strlen(r->actor));
    memcpy(g->weights_hash, r->weights_hash.data, HASH);
    g->generate_s = r->generate_s;
    g->build = put_text(b, r->build, strlen(r->build));
    g->rollouts = rollouts;
    for (size_t i = 0; i < r->n_samples; i++) {
        const Plait__Sample *s = r->samples[i];
        const struct pl_rollout rollout = {
            .ids = put(b, s->ids, s->n_ids * sizeof *s->ids),
            .logprobs = put(b, s->logprobs, s->n_logprobs * sizeof *s->logprobs),
            .versions = put(b, s->versions, s->n_versions * sizeof *s->versions),
            .len = s->n_ids,
            .versions_len = s->n_versions,
            .finish = (enum pl_sample_finish)s->finish,
        };
        struct pl_rollout none;
        struct pl_rollout *at = b->memory ? &rollouts[i] : &none;

        *at = rollout;
        if (scored)
            copy_score(&at->score, scored->scores[i], b);
    }
    if (!scored)
        return;
    g->rewarder = put_text(b, scored->rewarder, strlen(scored->rewarder));
    g->settings = scored->settings;
    g->rewarder_build = put_text(b, scored->build, strlen(scored->build));
}

static int copy(const Plait__PromptGroup *p, const Plait__RolloutGroup *r,
                const Plait__ScoredGroup *s, enum pl_stage stage,
                struct pl_rollout_group *ret_group, struct pl_error *err)
{
    struct pl_rollout_group g = {.stage = stage};
    struct block b = {0};

    for (int filling = 0; filling < 2; filling++) {
        copy_prompt(&g, p, &b);
        if (r)
            copy_rollouts(&g, r, s, &b);
        if (filling)
            break;
        b.memory = g.memory = pl_alloc(1, b.used);
        b.used = 0;
        if (!b.memory)
            return pl_fail(err, PL_ENOMEM, "no memory for a group");
    }
    *ret_group = g;
    return PL_OK;
}

int pl_rollout_group_decode(const void *bytes, size_t len, enum pl_stage stage,
                            const struct pl_rollout_group_limits *limits,
                            struct pl_rollout_group *ret_group, struct pl_error *err)
{
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        &plait__prompt_group__descriptor, &plait__rollout_group__descriptor,
        &plait__scored_group__descriptor};
    const Plait__PromptGroup *p;
    const Plait__RolloutGroup *r = NULL;
    const Plait__ScoredGroup *s = NULL;
    char id[PL_ROLLOUT_GROUP_ID_MAX] = "?";
    ProtobufCMessage *message;
    int rc;

    if (len > limits->bytes)
        return pl_fail(err, PL_EFORMAT, "a group of %zu bytes; at most %zu are taken", len,
                       limits->bytes);
    message = pl_wire_unpack(descriptors[stage], bytes, len, err);
    if (!message)
        return PL_EFORMAT;
    if (stage == PL_STAGE_SCORED)
        s = (const Plait__ScoredGroup *)message;
    if (stage >= PL_STAGE_ROLLOUT)
        r = s ? s->rollout : (const Plait__RolloutGroup *)message;
    p = stage == PL_STAGE_PROMPT ? (const Plait__PromptGroup *)message : r ? r->prompt : NULL;
    if (p) {
        pl_rollout_group_id(&(struct pl_rollout_group){.purpose = p->purpose == PL_PURPOSE_EVALUATE
                                                                      ? PL_PURPOSE_EVALUATE
                                                                      : PL_PURPOSE_TRAIN,
                                                       .batch = p->batch,
                                                       .index = p->index},
                            id);
        rc = check_prompt(p, limits, id, err);
    } else {
        rc = pl_fail(err, PL_EFORMAT, "a %s without its prompt", descriptors[stage]->short_name);
    }
    if (rc == PL_OK && r)
        rc = check_rollout(r, limits, id, err);
    if (rc == PL_OK && s)
        rc = check_scored(s, id, err);
    if (rc == PL_OK)
        rc = copy(p, r, s, stage, ret_group, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return rc;
}

void pl_rollout_group_release(struct pl_rollout_group *group)
{
    free(group->memory);
    *group = (struct pl_rollout_group){0};
}
