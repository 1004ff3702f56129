#include "deploy/plan/costs.h"

#include "common/base/check.h"
#include "learner/advantage.h"
#include "learner/policy.h"

#include <math.h>
#include <string.h>

enum {
    TOKEN_BYTES = 8,       /* of a rollout: id and log-probability */
    CHANGE_BYTES = 3,      /* of a delta: gap and value */
    CHECKPOINT_BYTES = 14, /* a parameter: bf16, and three of f32 */
};

static const double CLOSE = 1.01; /* what is not worth a machine */

static const char *const names[PL_COSTS] = {
    "prefill", "decode", "check", "reference", "values", "critic", "policy", "optimizer", "publish",
};

const char *pl_cost_name(enum pl_cost cost)
{
    PL_ASSERT(cost < PL_COSTS);
    return names[cost];
}

bool pl_cost_is_sampling(enum pl_cost cost)
{
    return cost == PL_COST_PREFILL || cost == PL_COST_DECODE;
}

double pl_costs_row(const struct pl_shape *shape)
{
    double weights = 0.0;

    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

        if (t->rank == 2 && t->role != PL_ROLE_EMBED && t->role != PL_ROLE_HEAD)
            weights += (double)pl_tensor_size(t);
    }
    return 2.0 * weights;
}

double pl_costs_prediction(const struct pl_shape *shape)
{
    return 2.0 * (double)shape->config.vocab * (double)shape->config.hidden;
}

double pl_costs_position(const struct pl_shape *shape)
{
    const struct pl_config *c = &shape->config;

    return 4.0 * (double)c->layers * (double)c->heads * (double)c->head_dim;
}

/* ---- rows and positions ---- */

/* How far lengths go from their mean, and the mean of n (n + 1) / 2. */
static double spread(double mean, double limit)
{
    return fmax(0.0, fmin(mean, limit - mean));
}

static double triangle(double mean, double width)
{
    return 0.5 * (mean * mean + width * width / 3.0 + mean);
}

/* One pass of the learner over a batch. */
struct pass {
    double rows, predictions, positions, packs;
};

static struct pass pass_of(const struct pl_costs *costs, const struct pl_costs_case *of)
{
    const struct pl_run_conf *c = of->conf;
    const double G = (double)c->batch_groups, n = (double)c->samples;
    const double P = of->prompt, R = of->response, room = (double)c->pack_tokens;
    const double fit = fmax(1.0, floor((room - P) / fmax(1.0, R))); /* responses of a pack */
    const double parts = ceil(n / fit);                             /* packs of a prompt */
    const double width = costs->longest - R;
    const struct pass pass = {
        .rows = G * (parts * P + n * R),
        .predictions = G * n * R,
        .positions = G * (parts * triangle(P, 0.0) + n * (P * R + triangle(R, width))),
        .packs = parts > 1.0 ? G * parts : fmax(1.0, ceil(G * (P + n * R) / room)),
    };

    return pass;
}

static struct pl_work forward(const struct pass *pass, const struct pl_shape *shape, bool predict,
                              double times)
{
    return (struct pl_work){
        .rows = times * pass->rows,
        .forward = times * (pass->rows * pl_costs_row(shape) +
                            (predict ? pass->predictions * pl_costs_prediction(shape) : 0.0)),
        .attention = times * pass->positions * pl_costs_position(shape),
    };
}

/* Forward and backward, the layers' forward twice where activations are computed again. */
static struct pl_work learn(const struct pass *pass, const struct pl_shape *shape, bool predict,
                            bool recompute, double times)
{
    struct pl_work work = forward(pass, shape, predict, times);

    work.backward = 2.0 * work.forward;
    work.attention_backward = 2.5 * work.attention;
    if (recompute) {
        work.forward += times * pass->rows * pl_costs_row(shape);
        work.attention += times * pass->positions * pl_costs_position(shape);
    }
    return work;
}

static void add(struct pl_work *to, const struct pl_work *more)
{
    to->rows += more->rows;
    to->forward += more->forward;
    to->attention += more->attention;
}

/* ---- the parts ---- */

static void count_sampling(struct pl_costs *costs, const struct pl_costs_case *of)
{
    const struct pl_shape *s = of->policy;
    const double P = of->prompt, R = of->response, tokens = costs->prompts * costs->samples * R;

    costs->parts[PL_COST_PREFILL] = (struct pl_work){
        .rows = costs->prompts * P,
        .forward = costs->prompts * P * pl_costs_row(s),
        .attention = costs->prompts * triangle(P, 0.0) * pl_costs_position(s),
    };
    costs->parts[PL_COST_DECODE] = (struct pl_work){
        .rows = tokens,
        .forward = tokens * (pl_costs_row(s) + pl_costs_prediction(s)),
        .attention = costs->prompts * costs->samples * (P * R + triangle(R, costs->longest - R)) *
                     pl_costs_position(s),
    };
    costs->decode_weights = pl_costs_row(s) + pl_costs_prediction(s); /* 2 bytes a weight */
}

static double minis(const struct pl_run_conf *c)
{
    const size_t mini = c->mini_groups ? c->mini_groups : c->batch_groups;

    return (double)((c->batch_groups + mini - 1) / mini);
}

static void count_training(struct pl_costs *costs, const struct pl_costs_case *of)
{
    const struct pl_run_conf *c = of->conf;
    const struct pass pass = pass_of(costs, of);
    const double epochs = (double)c->epochs;
    struct pl_work *parts = costs->parts;

    costs->packs = pass.packs;
    parts[PL_COST_CHECK] = forward(&pass, of->policy, true, 1.0 / pass.packs);
    if (c->use_kl_loss || c->kl_in_reward)
        parts[PL_COST_REFERENCE] = forward(&pass, of->policy, true, 1.0);
    parts[PL_COST_POLICY] = learn(&pass, of->policy, true, c->recompute, epochs);
    if (c->loss_mode == PL_RATIO_SEQUENCE) { /* ratios of whole sequences come first */
        const struct pl_work ahead = forward(&pass, of->policy, true, epochs);

        add(&parts[PL_COST_POLICY], &ahead);
    }
    costs->updates = epochs * minis(c);
    parts[PL_COST_OPTIMIZER].params = costs->updates * (double)of->policy->params;
    costs->checkpoint_bytes = CHECKPOINT_BYTES * (double)of->policy->params;
    if (!of->critic)
        return;
    parts[PL_COST_VALUES] = forward(&pass, of->critic, false, 1.0);
    parts[PL_COST_CRITIC] = learn(&pass, of->critic, false, c->recompute, (double)c->critic_epochs);
    parts[PL_COST_OPTIMIZER].params +=
        (double)c->critic_epochs * minis(c) * (double)of->critic->params;
    costs->checkpoint_bytes += CHECKPOINT_BYTES * (double)of->critic->params;
}

void pl_costs_count(const struct pl_costs_case *of, struct pl_costs *ret_costs)
{
    const struct pl_run_conf *c = of->conf;
    const double params = (double)of->policy->params;
    struct pl_costs costs = {
        .prompts = (double)(c->batch_groups + c->spare_groups),
        .samples = (double)c->samples,
        .prompt = of->prompt,
        .response = of->response,
        .longest = of->response + spread(of->response, (double)c->response_tokens_max),
        .slots = (double)(c->actor_slots > c->samples ? c->actor_slots : c->samples),
        .steps = (double)c->steps,
        .staleness = (double)c->staleness,
        .snapshot_bytes = 2.0 * params,
    };

    PL_ASSERT((of->critic != NULL) == (c->estimator == PL_ADVANTAGE_GAE));
    count_sampling(&costs, of);
    count_training(&costs, of);
    costs.parts[PL_COST_PUBLISH].params = params;
    costs.delta_bytes =
        fmin(costs.snapshot_bytes, CHANGE_BYTES * params * fmin(1.0, of->changed * costs.updates));
    costs.rollout_bytes = TOKEN_BYTES * costs.prompts * (of->prompt + costs.samples * of->response);
    *ret_costs = costs;
}

/* ---- seconds ---- */

/* Steps in which an actor decodes `samples` samples: the longest one's, or, where they are more
 * than slots, as many as keep all slots at work. */
static double decode_steps(const struct pl_costs *c, double samples)
{
    return fmax(c->longest, samples * c->response / c->slots);
}

double pl_costs_sample_s(const struct pl_costs *costs, const struct pl_rates *rates, double prompts)
{
    const struct pl_work *prefill = &costs->parts[PL_COST_PREFILL];
    const struct pl_work *decode = &costs->parts[PL_COST_DECODE];
    const double share = prompts / costs->prompts;
    const double weights_s =
        decode_steps(costs, prompts * costs->samples) * costs->decode_weights / rates->decode_bytes;

    return share * (prefill->forward / rates->forward_flops +
                    prefill->attention / rates->attention_flops +
                    decode->attention / rates->decode_attention_flops) +
           fmax(weights_s, share * decode->forward / rates->decode_flops);
}

double pl_costs_part_s(const struct pl_costs *costs, const struct pl_rates *rates,
                       enum pl_cost part)
{
    const struct pl_work *w = &costs->parts[part];

    switch (part) {
    case PL_COST_DECODE:
        return pl_costs_sample_s(costs, rates, costs->prompts) -
               pl_costs_part_s(costs, rates, PL_COST_PREFILL);
    case PL_COST_OPTIMIZER:
        return w->params / rates->optimizer_params;
    case PL_COST_PUBLISH:
        return 2.0 * w->params / rates->publish_bytes;
    default:
        return w->forward / rates->forward_flops + w->backward / rates->backward_flops +
               w->attention / rates->attention_flops +
               w->attention_backward / rates->attention_backward_flops;
    }
}

/* ---- machines ---- */

static double train_s(const struct pl_costs *costs, const struct pl_rates *rates)
{
    double sum = 0.0;

    for (enum pl_cost part = 0; part < PL_COSTS; part++)
        if (!pl_cost_is_sampling(part))
            sum += pl_costs_part_s(costs, rates, part);
    return sum;
}

void pl_costs_spread(const struct pl_costs *costs, const struct pl_rates *rates, size_t machines,
                     double network, struct pl_costs_machines *ret)
{
    const bool alone = machines == 1;
    const double ahead = costs->staleness + 1.0; /* batches that are sampled at once */
    const double prompts = alone ? costs->prompts : ahead * costs->prompts;
    const double actors = alone ? 1.0 : (double)machines - 1.0;
    const double each = ceil(prompts / actors), busy = ceil(prompts / each);
    struct pl_costs_machines m = {
        .machines = machines,
        .actors = (size_t)actors,
        .busy = (size_t)busy,
        .sample_s = pl_costs_sample_s(costs, rates, each) * costs->prompts / prompts,
        .train_s = train_s(costs, rates),
        .down_bytes = alone ? 0.0 : costs->delta_bytes,
        .up_bytes = alone ? 0.0 : costs->rollout_bytes / fmin(busy, costs->prompts),
    };

    PL_ASSERT(machines >= 1 && network > 0.0);
    m.learner_bytes = alone ? 0.0 : actors * m.down_bytes;
    m.send_s = alone ? 0.0 : (m.learner_bytes + costs->rollout_bytes) / network;
    if (alone || costs->staleness == 0.0) {
        m.step_s = m.sample_s + m.send_s + m.train_s;
        m.waits = (m.sample_s + m.send_s) / m.step_s;
    } else {
        m.step_s = fmax(m.sample_s + m.send_s, m.train_s);
        m.waits = (m.step_s - m.train_s) / m.step_s;
    }
    m.run_s = costs->steps * m.step_s;
    *ret = m;
}

size_t pl_costs_enough(const struct pl_costs *costs, const struct pl_rates *rates, double network)
{
    /* More actors than prompts have nothing to do. */
    const size_t most = 1 + (size_t)((costs->staleness + 1.0) * costs->prompts);
    struct pl_costs_machines m;
    double best = INFINITY;

    for (size_t i = 1; i <= most; i++) {
        pl_costs_spread(costs, rates, i, network, &m);
        best = fmin(best, m.step_s);
    }
    for (size_t i = 1; i <= most; i++) {
        pl_costs_spread(costs, rates, i, network, &m);
        if (m.step_s <= best * CLOSE)
            return i;
    }
    return most;
}
