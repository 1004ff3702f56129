/*
 * A complete batch as arrays: what a step of training works on.
 *
 *   N groups, n samples in the order of their groups, T response tokens; sample i has tokens
 *   [first[i], first[i+1]); a group that was dropped is not there
 */
#ifndef PL_LEARNER_ROLLOUTS_H
#define PL_LEARNER_ROLLOUTS_H

#include "common/link/queues.h"
#include "learner/advantage.h"
#include "learner/batch.h"
#include "proto/rollout.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_rollouts {
    struct pl_rollout_group *groups; /* (N) decoded */
    size_t group_count;
    struct pl_group *packs;             /* (N) the same for packing */
    struct pl_pack_response *responses; /* (n) */
    const struct pl_rollout **list;     /* (n) */
    size_t *first, *group;              /* (n + 1), (n) */
    size_t *group_first;                /* (N + 1) samples of each group */
    size_t samples, tokens;             /* n, T */
    size_t right; /* samples whose final answer is right, of all that were read */
    bool gate;
    bool by_segment;
    double accuracy;    /* of all groups that were read, whatever Redis says */
    double *scores;     /* (n) reward of each sample, the gate applied */
    double *components; /* (3, n) format, final, intermediate with the gate */
    double *rewards;    /* (T) score at the last token, 0 elsewhere; by_segment: what an answer
                           segment earned at its last token, the rest at the response's last */
    float *sampled;     /* (T) log-probabilities recorded when the tokens were drawn */
    float *old;         /* (T) the same, or of the policy that trains (correction.h) */
    float *weight;      /* (T) of importance sampling, where it is on */
    float *advantages;  /* (T) */
    float *ref;         /* (T) of the reference */
    float *values;      /* (T) of the critic, before it learns from the batch */
    float *returns;     /* (T) what it learns */
    float *scratch;     /* (T) */
    /* by_segment, else 0: A answer segments; sample i has [answer_first[i], answer_first[i + 1]) */
    size_t *answer_first;  /* (n + 1) */
    size_t *answer_end;    /* (A) the token behind it, ascending within a sample */
    double *answer_paid;   /* (A) its part of the intermediate reward, the gate applied */
    double *answer_charge; /* (A) its part of extra */
    double *answer_sum;    /* (A) both */
    size_t answers;        /* A */
    double *left;          /* (n) scratch */
    void *memory;
};

struct pl_rollouts_check {
    struct pl_rollout_group_limits limits;
    uint64_t version;          /* that all must be sampled with */
    bool newest;               /* latest mode: any will do, and a hash says nothing: the recorded
                                  log-probabilities are what counts */
    const unsigned char *hash; /* of that version; NULL: not known any more */
    bool by_segment;           /* credit goes to the segments that earned it */
    bool gated; /* the gate is open where accuracy > previous - epsilon; else always */
    double previous, epsilon;
    struct pl_life life; /* of the run; run_id "": any */
    uint64_t settings;   /* that a score was made with; 0: any */
    /* What else a group must be, PL_EFORMAT: it is not; NULL: nothing. */
    int (*judge)(void *at, const struct pl_rollout_group *group, uint32_t index,
                 struct pl_error *err);
    /* Told of every group that is not as it must be, with the sentence, before reading fails; NULL:
     * it fails with the first. `blameless`: it is no message, of another life of the run, or was
     * scored with other settings, which is no fault of its actor. What it returns other than PL_OK
     * ends reading. */
    int (*bad)(void *at, const struct pl_ready_group *group, const char *why, bool blameless,
               struct pl_error *err);
    void *at;
};

/*
 * Decode a batch. PL_EFORMAT: a group is no message, of another life or version, was sampled with
 * weights that are not that version's, or scored with other settings; who did it is named.
 * PL_ENOMEM. Ended with pl_rollouts_release().
 */
int pl_rollouts_read(const struct pl_ready *ready, const struct pl_rollouts_check *check,
                     struct pl_rollouts *ret_rollouts, struct pl_error *err);
void pl_rollouts_release(struct pl_rollouts *rollouts); /* zeroed is fine */

/*
 * Leave groups out: only those with keep[g] (N) stay, in their order, and every array is as if they
 * alone had been read. At least one must stay.
 */
void pl_rollouts_keep(struct pl_rollouts *rollouts, const bool *keep);

struct pl_samples pl_rollouts_samples(const struct pl_rollouts *rollouts);

/* Whose rewards: `parts` is one of the answer_ arrays (A). */
struct pl_stages pl_rollouts_stages(const struct pl_rollouts *rollouts, const double *parts);

#endif
