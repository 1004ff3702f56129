#include "learner/trainer.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/model/rope.h"
#include "learner/backward.h"
#include "learner/forward.h"
#include "learner/head.h"
#include "learner/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const size_t LOGITS_BYTES = (size_t)256 << 20;

struct pl_trainer {
    struct pl_trainer_opts opts;
    struct pl_weights *weights; /* borrowed */
    struct pl_rope *rope;
    struct pl_plan plan;
    struct pl_adamw *adamw;
    struct pl_adamw_state state;
    struct pl_grads grads;
    struct pl_tape tape;
    struct pl_backward_scratch backward;
    struct pl_head_scratch head;
    struct pl_tensor tail[PL_VALUE_TENSORS];
    struct pl_value_head value; /* of these two, with opts.value only */
    struct pl_value_scratch value_scratch;
    float *dx;             /* (R, C) */
    float *logp, *entropy; /* (predictions); a value head: values in logp */
    struct pl_trainer_times times;
    /* Whose gradient is being added up in this trainer's memory, or in its lender's; NULL: none. */
    const struct pl_trainer *pending;
    void *flat, *tape_memory, *backward_memory, *head_memory, *pages; /* the plan's places */
    void *master, *m, *v, *dx_memory, *logp_memory;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t logits_chunk(const struct pl_config *c, const struct pl_trainer_opts *opts)
{
    return pl_head_chunk(c, opts->logits_bytes ? opts->logits_bytes : LOGITS_BYTES,
                         opts->limits.rows);
}

static size_t head_bytes(const struct pl_config *c, const struct pl_trainer_opts *opts)
{
    const size_t predictions = pl_pack_predictions_max(&opts->limits);

    return opts->value ? pl_value_bytes(c, opts->limits.rows, predictions)
                       : pl_head_bytes(c, logits_chunk(c, opts), predictions);
}

bool pl_trainer_can_borrow(const struct pl_config *a, const struct pl_config *b)
{
    return a->hidden == b->hidden && a->layers == b->layers && a->heads == b->heads &&
           a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->ffn == b->ffn &&
           a->vocab == b->vocab && (b->tied || !a->tied);
}

/* What two trainers that take turns need once: the gradient, with room for a value head behind it,
 * and all that is gone after a pack. */
static void plan_shared(struct pl_plan *plan, const struct pl_weights *weights,
                        const struct pl_trainer_opts *opts, struct pl_trainer *t)
{
    const struct pl_config *c = &weights->shape->config;
    const size_t R = opts->limits.rows;
    const size_t pages =
        pl_pages_floats(pl_pack_pages_max(&opts->limits), 1, c->kv_heads, c->head_dim);

    pl_plan_add(plan, "gradients (f32)",
                (weights->shape->floats + pl_value_floats(c)) * sizeof(float), t ? &t->flat : NULL);
    pl_plan_add(plan, opts->recompute ? "activations (recomputed)" : "activations",
                pl_tape_floats(c, R, opts->recompute) * sizeof(float), t ? &t->tape_memory : NULL);
    pl_plan_add(plan, "attention pages", pages * sizeof(float), t ? &t->pages : NULL);
    pl_plan_add(plan, "backward", pl_backward_floats(weights, R) * sizeof(float),
                t ? &t->backward_memory : NULL);
    pl_plan_add(plan, "residual gradient", R * c->hidden * sizeof(float), t ? &t->dx_memory : NULL);
}

/* The rows of the plan; with t NULL they have no place. */
static void plan_fill(struct pl_plan *plan, const struct pl_weights *weights,
                      const struct pl_trainer_opts *opts, struct pl_trainer *t)
{
    const struct pl_config *c = &weights->shape->config;
    const size_t tail = opts->value ? pl_value_floats(c) : 0;
    const size_t flat = (weights->shape->floats + tail) * sizeof(float);
    const size_t predictions = pl_pack_predictions_max(&opts->limits);

    pl_plan_add(plan, "master weights (f32)", flat, t ? &t->master : NULL);
    pl_plan_add(plan, "first moments (f32)", flat, t ? &t->m : NULL);
    pl_plan_add(plan, "second moments (f32)", flat, t ? &t->v : NULL);
    if (!opts->borrow)
        plan_shared(plan, weights, opts, t);
    pl_plan_add(plan, "rotary angles", opts->positions * c->head_dim * sizeof(float), NULL);
    pl_plan_add(plan, opts->value ? "value head and loss" : "logits and loss", head_bytes(c, opts),
                t ? &t->head_memory : NULL);
    pl_plan_add(plan, opts->value ? "values" : "log-probabilities",
                (opts->value ? 1 : 2) * predictions * sizeof(float), t ? &t->logp_memory : NULL);
}

void pl_trainer_plan(const struct pl_weights *weights, const struct pl_trainer_opts *opts,
                     struct pl_plan *plan)
{
    plan_fill(plan, weights, opts, NULL);
}

void pl_trainer_destroy(struct pl_trainer *trainer)
{
    if (!trainer)
        return;
    pl_plan_release(&trainer->plan);
    pl_adamw_destroy(trainer->adamw);
    pl_rope_destroy(trainer->rope);
    free(trainer->tape.acts);
    free(trainer->grads.layers);
    free(trainer);
}

static void borrow(struct pl_trainer *t, const struct pl_trainer *lender)
{
    PL_ASSERT(lender->weights->shape->floats >= t->weights->shape->floats);
    t->flat = lender->flat;
    t->tape_memory = lender->tape_memory;
    t->pages = lender->pages;
    t->backward_memory = lender->backward_memory;
    t->dx_memory = lender->dx_memory;
}

static void place_head(struct pl_trainer *t)
{
    const struct pl_config *c = &t->weights->shape->config;
    const size_t predictions = pl_pack_predictions_max(&t->opts.limits);

    t->logp = t->logp_memory;
    if (!t->opts.value) {
        pl_head_place(&t->head, c, logits_chunk(c, &t->opts), predictions, t->head_memory);
        t->head.gemm = t->backward.gemm;
        t->head.norm = t->backward.norm;
        t->entropy = t->logp + predictions;
        return;
    }
    pl_value_place(&t->value_scratch, c, t->opts.limits.rows, predictions, t->head_memory);
    t->value_scratch.norm = t->backward.norm;
    pl_value_tensors(t->weights->shape, t->tail);
    t->state.tail = t->tail;
    t->state.tail_count = PL_VALUE_TENSORS;
    t->value = (struct pl_value_head){.w = t->state.master + t->tail[0].offset,
                                      .b = t->state.master + t->tail[1].offset,
                                      .dw = t->grads.flat + t->tail[0].offset,
                                      .db = t->grads.flat + t->tail[1].offset};
}

/* Set every pointer into the memory that the plan has got. */
static void place(struct pl_trainer *t)
{
    const struct pl_config *c = &t->weights->shape->config;
    const size_t R = t->opts.limits.rows;

    t->state = (struct pl_adamw_state){.master = t->master, .m = t->m, .v = t->v};
    pl_grads_place(&t->grads, t->weights->shape, t->flat);
    pl_tape_place(&t->tape, c, R, t->opts.recompute, t->tape_memory);
    t->tape.pages = (struct pl_pages){
        .count = pl_pack_pages_max(&t->opts.limits),
        .layers = 1,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .data = t->pages,
    };
    pl_backward_place(&t->backward, t->weights, R, t->backward_memory);
    PL_ASSERT(!t->opts.borrow || t->backward.threads == t->opts.lender->backward.threads);
    t->dx = t->dx_memory;
    place_head(t);
}

static void check_lender(const struct pl_weights *weights, const struct pl_trainer_opts *opts)
{
    const struct pl_trainer *of = opts->lender;

    PL_ASSERT(!opts->borrow || of);
    if (!opts->borrow)
        return;
    PL_ASSERT(pl_trainer_can_borrow(&of->weights->shape->config, &weights->shape->config));
    PL_ASSERT(of->opts.limits.rows == opts->limits.rows);
    PL_ASSERT(of->opts.limits.samples == opts->limits.samples);
    PL_ASSERT(of->opts.recompute == opts->recompute);
}

int pl_trainer_create(struct pl_weights *weights, const struct pl_trainer_opts *opts,
                      struct pl_trainer **ret_trainer, struct pl_error *err)
{
    const struct pl_config *c = &weights->shape->config;
    struct pl_trainer *t;
    int rc;

    if (opts->limits.rows == 0 || opts->limits.samples == 0 || opts->positions == 0)
        return pl_fail(err, PL_EINVAL,
                       "a trainer for %zu rows, %zu responses and %zu positions; none may be 0",
                       opts->limits.rows, opts->limits.samples, opts->positions);
    check_lender(weights, opts);
    t = pl_alloc(1, sizeof *t);
    if (!t)
        return pl_fail(err, PL_ENOMEM, "no memory for the trainer");
    t->opts = *opts;
    t->weights = weights;
    pl_plan_init(&t->plan);
    t->tape.acts = pl_alloc(c->layers, sizeof *t->tape.acts);
    t->grads.layers = pl_alloc(c->layers, sizeof *t->grads.layers);
    if (!t->tape.acts || !t->grads.layers) {
        rc = pl_fail(err, PL_ENOMEM, "no memory for the trainer's list of %zu layers", c->layers);
        goto fail;
    }
    rc = pl_adamw_create(weights->shape, &opts->adamw, &t->adamw, err);
    if (rc < 0)
        goto fail;
    rc = pl_rope_create(c, opts->positions, &t->rope, err);
    if (rc < 0)
        goto fail;
    plan_fill(&t->plan, weights, opts, t);
    rc = pl_plan_allocate(&t->plan, err);
    if (rc < 0)
        goto fail;
    if (opts->borrow)
        borrow(t, opts->lender);
    place(t);
    pl_weights_get_flat(weights, t->state.master);
    *ret_trainer = t;
    return PL_OK;
fail:
    pl_trainer_destroy(t);
    return rc;
}

static void check_pack(const struct pl_trainer *t, const struct pl_pack *pack)
{
    PL_ASSERT(pack->batch.rows > 0 && pack->batch.rows <= t->opts.limits.rows);
    PL_ASSERT(pack->samples <= t->opts.limits.samples);
    PL_ASSERT(pack->prediction_count <= pl_pack_predictions_max(&t->opts.limits));
    PL_ASSERT(pack->pages <= t->tape.pages.count);
}

/* Where it is noted whose gradient the memory holds. */
static const struct pl_trainer **pending(struct pl_trainer *t)
{
    return t->opts.borrow ? &t->opts.lender->pending : &t->pending;
}

const float *pl_trainer_accumulate(struct pl_trainer *trainer, const struct pl_pack *pack,
                                   const struct pl_objective *objective)
{
    struct pl_trainer *t = trainer;
    double start = seconds(), now;

    check_pack(t, pack);
    PL_ASSERT(!*pending(t) || *pending(t) == t);
    *pending(t) = t;
    pl_tape_forward(&t->tape, t->weights, t->rope, &pack->batch);
    now = seconds();
    t->times.forward += now - start;
    start = now;
    if (t->opts.value)
        pl_value_loss(t->logp, t->dx, &t->value, &t->grads, t->weights, t->tape.x_out, pack,
                      objective, &t->value_scratch);
    else
        pl_head_loss(t->logp, t->entropy, t->dx, &t->grads, t->weights, t->tape.x_out, pack,
                     objective, &t->head);
    now = seconds();
    t->times.head += now - start;
    start = now;
    pl_backward(t->dx, &t->grads, t->weights, t->rope, pack, &t->tape, &t->backward);
    t->times.backward += seconds() - start;
    return t->logp;
}

/* What is not finite in an unfinished page must not meet a weight of zero later on. */
static void forget_pages(struct pl_trainer *t)
{
    const struct pl_pages *pages = &t->tape.pages;

    memset(pages->data, 0,
           pl_pages_floats(pages->count, 1, pages->kv_heads, pages->head_dim) *
               sizeof *pages->data);
}

/* The residual stream of the pack at these weights. */
static void forward_only(struct pl_trainer *t, const struct pl_weights *w,
                         const struct pl_pack *pack)
{
    check_pack(t, pack);
    pl_forward(t->tape.x_out, w, t->rope, &pack->batch, &t->tape.pages, &t->tape.acts[0]);
}

static void forget_if_broken(struct pl_trainer *t, const struct pl_pack *pack)
{
    for (size_t i = 0; i < pack->prediction_count; i++) {
        if (isfinite(t->logp[i]))
            continue;
        forget_pages(t);
        break;
    }
}

const float *pl_trainer_score(struct pl_trainer *trainer, const struct pl_weights *weights,
                              const struct pl_pack *pack, const float **ret_entropy)
{
    struct pl_trainer *t = trainer;
    const struct pl_weights *w = weights ? weights : t->weights;

    PL_ASSERT(!t->opts.value || !ret_entropy);
    forward_only(t, w, pack);
    if (t->opts.value)
        pl_value_score(t->logp, &t->value, w, t->tape.x_out, pack, &t->value_scratch);
    else
        pl_head_score(t->logp, ret_entropy ? t->entropy : NULL, w, t->tape.x_out, pack, &t->head);
    forget_if_broken(t, pack);
    if (ret_entropy)
        *ret_entropy = t->entropy;
    return t->logp;
}

const float *pl_trainer_watch(struct pl_trainer *trainer, const struct pl_weights *weights,
                              const struct pl_pack *pack, const struct pl_head_watch *watch)
{
    struct pl_trainer *t = trainer;
    const struct pl_weights *w = weights ? weights : t->weights;

    PL_ASSERT(!t->opts.value);
    forward_only(t, w, pack);
    pl_head_watched(t->logp, w, t->tape.x_out, pack, watch, &t->head);
    forget_if_broken(t, pack);
    return t->logp;
}

int pl_trainer_step(struct pl_trainer *trainer, double lr, struct pl_step_stats *ret_stats,
                    struct pl_error *err)
{
    struct pl_trainer *t = trainer;
    const double start = seconds();
    int rc;

    PL_ASSERT(!*pending(t) || *pending(t) == t);
    *pending(t) = NULL;
    ret_stats->lr = lr;
    rc = pl_adamw_step(t->adamw, &t->state, t->grads.flat, lr, t->weights, &ret_stats->grad_norm,
                       err);
    if (rc < 0)
        forget_pages(t);
    t->times.step += seconds() - start;
    return rc;
}

void pl_trainer_abandon(struct pl_trainer *trainer)
{
    struct pl_trainer *t = trainer;

    PL_ASSERT(!*pending(t) || *pending(t) == t);
    *pending(t) = NULL;
    memset(t->grads.flat, 0, pl_adamw_floats(t->weights->shape, &t->state) * sizeof *t->grads.flat);
}

struct pl_adamw_state *pl_trainer_state(struct pl_trainer *trainer)
{
    return &trainer->state;
}

void pl_trainer_sync(struct pl_trainer *trainer)
{
    pl_weights_set_flat(trainer->weights, trainer->state.master);
}

const float *pl_trainer_grad(const struct pl_trainer *trainer)
{
    return trainer->grads.flat;
}

struct pl_trainer_times pl_trainer_times(struct pl_trainer *trainer)
{
    const struct pl_trainer_times times = trainer->times;

    memset(&trainer->times, 0, sizeof trainer->times);
    return times;
}
