/*
 * The one struct that travels: a group of samples of one prompt, from the learner's feed through
 * actor and rewarder back to the learner. Each field names the stage that writes it.
 *
 * Decoding checks every length and range against struct pl_rollout_group_limits before anything is
 * allocated, and refuses what has no place in its stage. A decoded group owns one block of memory.
 */
#ifndef PL_PROTO_ROLLOUT_H
#define PL_PROTO_ROLLOUT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/rng.h"
#include "proto/life.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pl_purpose { PL_PURPOSE_TRAIN, PL_PURPOSE_EVALUATE };

/* Which form of response a prompt asks for (deploy/templates/README.md says more of each). */
enum pl_method {
    PL_METHOD_INTERLEAVE, /* think, answer, think, answer, ... */
    PL_METHOD_THINK_ANSWER,
    PL_METHOD_DELAYED, /* one think, then intermediate answers, then the final one */
    PL_METHOD_DIRECT,  /* the answer and nothing else, without tags */
    PL_METHOD_COT,     /* plain reasoning, then the answer, without tags */
};
#define PL_METHOD_CHOICES "interleave|think-answer|delayed|direct|cot"
const char *pl_method_name(enum pl_method method);

enum pl_sample_finish { PL_SAMPLE_STOP, PL_SAMPLE_LENGTH };

enum pl_segment_kind { PL_SEGMENT_THINK, PL_SEGMENT_ANSWER };
enum pl_verdict { PL_VERDICT_NONE, PL_VERDICT_RIGHT, PL_VERDICT_WRONG, PL_VERDICT_UNPARSED };

struct pl_segment {
    enum pl_segment_kind kind;
    uint32_t token_begin, token_end; /* of the response, tags included */
    int32_t step;                    /* the intermediate truth it was matched with, -1: none */
    enum pl_verdict verdict;         /* of an answer */
    float reward;                    /* its part of the score's intermediate, before the gate */
    float charge;                    /* its part of the score's extra, 0 or less */
};

struct pl_score {
    float format, final, intermediate, extra; /* intermediate: before the gate; extra <= 0 */
    bool format_ok;
    enum pl_verdict verdict; /* of the final answer */
    uint32_t steps, steps_right;
    /* Tokens where the content of the first answer begins that says something, and of the first one
     * that is right, final or not; -1: there is none. */
    int32_t first_answer, first_right;
    const struct pl_segment *segments;
    size_t segment_count;
    const char *why; /* "" when there is nothing to say */
};

struct pl_rollout {
    /* actor */
    const uint32_t *ids;      /* (len) */
    const float *logprobs;    /* (len) */
    const uint64_t *versions; /* (len) never falling, or one where versions_len is 1 */
    size_t len, versions_len;
    enum pl_sample_finish finish;
    /* rewarder */
    struct pl_score score;
};

enum pl_stage { PL_STAGE_PROMPT, PL_STAGE_ROLLOUT, PL_STAGE_SCORED };

struct pl_rollout_group {
    enum pl_stage stage; /* how far it has come */
    /* learner */
    struct pl_life life;
    enum pl_purpose purpose;
    uint64_t batch;
    uint32_t index;
    uint64_t version, seed; /* version: pinned; with `newest` the least that will do */
    bool newest;            /* sampled with the newest version that the actor has, at every token */
    enum pl_method method;
    float temperature, top_p, min_p;
    uint32_t top_k, samples, new_tokens_max;
    const uint32_t *stop_ids, *prompt;
    size_t stop_count, prompt_len;
    const char *task; /* JSON, NUL terminated */
    size_t task_len;
    /* actor */
    const char *actor;
    unsigned char weights_hash[32]; /* of the last version it sampled with */
    float generate_s;
    const char *build;           /* NULL or "": not known */
    struct pl_rollout *rollouts; /* (samples), NULL in a prompt */
    /* rewarder */
    const char *rewarder;
    uint64_t settings;          /* what they come to with which it was scored; 0: not known */
    const char *rewarder_build; /* NULL or "": not known */
    void *memory; /* what a decoded group points into; NULL where the caller put it together */
};

struct pl_rollout_group_limits {
    size_t bytes;   /* of a message */
    size_t samples; /* of a group */
    size_t tokens;  /* of a prompt, and of a response */
    size_t vocab;   /* ids are below it; 0: not known */
};

/* "12:3", or "e12:3" for an evaluation; the id in every log line and every key. */
enum { PL_ROLLOUT_GROUP_ID_MAX = 40 };
void pl_rollout_group_id(const struct pl_rollout_group *group,
                         char ret_id[PL_ROLLOUT_GROUP_ID_MAX]);

/* What its first sample draws with, from (seed, batch, index); evaluations have batches of their
 * own. */
struct pl_rng pl_rollout_group_rng(const struct pl_rollout_group *group);

/* Append the message of the group's stage. PL_EFULL, PL_ENOMEM. */
int pl_rollout_group_encode(const struct pl_rollout_group *group, struct pl_buf *out);

/*
 * *ret_group is the caller's, ended with pl_rollout_group_release(). PL_EFORMAT: it does not
 * decode, is over a limit, a number is not finite, a field contradicts another (samples, lengths);
 * the sentence names field and value. PL_ENOMEM.
 */
int pl_rollout_group_decode(const void *bytes, size_t len, enum pl_stage stage,
                            const struct pl_rollout_group_limits *limits,
                            struct pl_rollout_group *ret_group, struct pl_error *err);
void pl_rollout_group_release(struct pl_rollout_group *group); /* zeroed is fine */

/* r = format + final + gate intermediate + extra */
static inline float pl_score_reward(const struct pl_score *score, bool gate)
{
    return score->format + score->final + (gate ? score->intermediate : 0.0f) + score->extra;
}

#endif
