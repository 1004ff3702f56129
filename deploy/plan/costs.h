/*
 * What a step of a run costs: operations and bytes counted from the shapes of its models, seconds
 * from the rates of a machine (rates.h), for any number of machines.
 *
 *   P prompt tokens, n samples a prompt, R response tokens (means), G prompts of a step
 *   a row of a forward: 2 operations a weight of the layers, 4 L H D a position it attends to;
 *   a prediction: 2 V C; backward: twice the products, 10 L H D a position
 *
 *   part        rows                                             passes
 *   prefill     G P                                              forward
 *   decode      G n R, a token a row                             forward, prediction
 *   check       the first pack                                   forward, prediction
 *   reference   those of the packs                               forward, prediction
 *   values      the same                                         critic: forward
 *   critic      the same, critic.ppo_epochs times                critic: forward, backward
 *   policy      the same, actor.ppo_epochs times                 forward, prediction, backward
 *   optimizer   a step a mini-batch                              all parameters
 *   publish     a version                                        all parameters
 *
 * Packs hold a prompt once for as many of its responses as fit into actor.ppo_max_token_len.
 *
 * Lengths of responses are taken to be spread evenly around their mean, as far as 0 and the limit
 * allow on both sides; the longest of a batch is the upper end of that.
 *
 * Machines: one has the learner; the others have an actor each, and with one machine it has both,
 * which take turns. Prompts are dealt out evenly and never split. With staleness 0 a step is
 * sampled, sent and trained one after the other; with more, sampling goes on while it is trained.
 * Evaluations, checkpoints, drawing tokens, scoring and queues are not counted.
 */
#ifndef PL_PLAN_COSTS_H
#define PL_PLAN_COSTS_H

#include "common/app/run_conf.h"
#include "common/model/shape.h"
#include "deploy/plan/rates.h"

#include <stdbool.h>
#include <stddef.h>

enum pl_cost {
    PL_COST_PREFILL,
    PL_COST_DECODE,
    PL_COST_CHECK,
    PL_COST_REFERENCE,
    PL_COST_VALUES,
    PL_COST_CRITIC,
    PL_COST_POLICY,
    PL_COST_OPTIMIZER,
    PL_COST_PUBLISH,
    PL_COSTS,
};

const char *pl_cost_name(enum pl_cost cost);
bool pl_cost_is_sampling(enum pl_cost cost);

struct pl_costs_case {
    const struct pl_run_conf *conf;
    const struct pl_shape *policy, *critic; /* critic: of gae, else NULL */
    double prompt, response;                /* P, R */
    double changed; /* share of the values that one step of the optimiser changes, in bf16 */
};

/* What is done in a part; operations of products and of attention, forward and backward. */
struct pl_work {
    double rows;
    double forward, backward;
    double attention, attention_backward;
    double params; /* of the optimiser, over its steps; of a version */
};

struct pl_costs {
    struct pl_work parts[PL_COSTS];
    double prompts, samples, prompt, response; /* G, n, P, R; prompts: sampled, spare ones too */
    double longest;                            /* response of a batch */
    double slots;                              /* samples that an actor makes at once */
    double steps, staleness;
    double decode_weights; /* bytes that a step of decoding reads */
    double updates;        /* steps of the policy's optimiser */
    double packs;          /* of the learner, in one pass */
    double rollout_bytes;  /* of all samples, from actors to the learner */
    double snapshot_bytes, delta_bytes;
    double checkpoint_bytes;
};

/* Operations of a row in the layers' products, and of a prediction. */
double pl_costs_row(const struct pl_shape *shape);
double pl_costs_prediction(const struct pl_shape *shape);
/* Operations of attention to one position. */
double pl_costs_position(const struct pl_shape *shape);

void pl_costs_count(const struct pl_costs_case *of, struct pl_costs *ret_costs);

/* Seconds of a part on one machine that does all of it. */
double pl_costs_part_s(const struct pl_costs *costs, const struct pl_rates *rates,
                       enum pl_cost part);

/* Seconds in which an actor makes the samples of `prompts` prompts. */
double pl_costs_sample_s(const struct pl_costs *costs, const struct pl_rates *rates,
                         double prompts);

struct pl_costs_machines {
    size_t machines, actors, busy; /* actors: machines with one; busy: of those, with work */
    double sample_s, send_s, train_s, step_s, run_s; /* send: weights there, rollouts back */
    double waits;                /* share of a step in which the learner waits for samples */
    double down_bytes, up_bytes; /* of a step, to and from an actor that has work */
    double learner_bytes;        /* of a step, from the learner to all actors */
};

/* network: bytes a second of the learner's machine. */
void pl_costs_spread(const struct pl_costs *costs, const struct pl_rates *rates, size_t machines,
                     double network, struct pl_costs_machines *ret);

/* The fewest machines with which a step takes no longer than 1 % over what it takes with any
 * number. */
size_t pl_costs_enough(const struct pl_costs *costs, const struct pl_rates *rates, double network);

#endif
