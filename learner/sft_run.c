#include "learner/sft_run.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/math/gemm.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pl_sft_run {
    struct pl_sft_opts opts;
    const struct pl_weights *weights;
    const struct pl_sft_data *train, *eval; /* eval: NULL for none */
    struct pl_trainer *trainer;
    struct pl_pack *pack;
    struct pl_train_state state;
    uint32_t *order; /* (train->count) of the pass `order_epoch` */
    uint64_t order_epoch;
};

uint64_t pl_sft_steps_a_pass(const struct pl_sft_data *train, size_t batch)
{
    return (train->count + batch - 1) / batch;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The last token of a row predicts nothing, so it is not computed. */
static struct pl_trainer_opts trainer_opts(const struct pl_sft_data *train,
                                           const struct pl_sft_data *eval,
                                           const struct pl_sft_opts *opts)
{
    const size_t batch = smaller(opts->batch, train->count);
    const size_t longest = larger(train->longest, eval ? eval->longest : 0);
    /* never more than a step can have */
    const size_t rows = smaller(opts->micro_tokens, batch * (train->longest - 1));

    return (struct pl_trainer_opts){
        .limits = {.rows = larger(rows, longest - 1), .samples = larger(batch, 1)},
        .positions = longest,
        .recompute = opts->recompute,
        .adamw = opts->adamw,
    };
}

static size_t data_bytes(const struct pl_sft_data *data)
{
    return data->ids.cap * sizeof *data->ids.data + data->cap * sizeof *data->rows;
}

void pl_sft_run_plan(const struct pl_weights *weights, const struct pl_sft_data *train,
                     const struct pl_sft_data *eval, const struct pl_sft_opts *opts,
                     struct pl_plan *plan)
{
    const struct pl_trainer_opts trainer = trainer_opts(train, eval, opts);

    pl_trainer_plan(weights, &trainer, plan);
    pl_plan_add(plan, "packing", pl_pack_bytes(&trainer.limits), NULL);
    pl_plan_add(plan, "data",
                data_bytes(train) + (eval ? data_bytes(eval) : 0) + train->count * sizeof(uint32_t),
                NULL);
}

static void note_core(struct pl_sft_run *run)
{
    snprintf(run->state.core, sizeof run->state.core, "%s", pl_blas_core());
}

int pl_sft_run_create(struct pl_weights *weights, const struct pl_sft_data *train,
                      const struct pl_sft_data *eval, const struct pl_sft_opts *opts,
                      struct pl_sft_run **ret_run, struct pl_error *err)
{
    const struct pl_trainer_opts trainer = trainer_opts(train, eval, opts);
    struct pl_sft_run *run;
    int rc;

    PL_ASSERT(train->count > 0 && opts->batch > 0 && (!eval || eval->count > 0));
    run = pl_alloc(1, sizeof *run);
    if (!run)
        return pl_fail(err, PL_ENOMEM, "no memory for the run");
    run->opts = *opts;
    run->weights = weights;
    run->train = train;
    run->eval = eval;
    run->order_epoch = UINT64_MAX;
    run->state.eval_best = NAN;
    note_core(run);
    run->order = pl_alloc(train->count, sizeof *run->order);
    rc = run->order ? pl_pack_create(&trainer.limits, &run->pack, err)
                    : pl_fail(err, PL_ENOMEM, "no memory for the order of %zu rows", train->count);
    if (rc == PL_OK)
        rc = pl_trainer_create(weights, &trainer, &run->trainer, err);
    if (rc < 0)
        pl_sft_run_destroy(run);
    else
        *ret_run = run;
    return rc;
}

void pl_sft_run_destroy(struct pl_sft_run *run)
{
    if (!run)
        return;
    pl_trainer_destroy(run->trainer);
    pl_pack_destroy(run->pack);
    free(run->order);
    free(run);
}

const struct pl_train_state *pl_sft_run_state(const struct pl_sft_run *run)
{
    return &run->state;
}

double pl_sft_run_epoch(const struct pl_sft_run *run)
{
    return (double)run->state.epoch + (double)run->state.index / (double)run->train->count;
}

/* --- micro-batches --- */

/* What is done with each pack that is full, and with the last one. */
typedef void pack_fn(struct pl_sft_run *run, void *at);

static bool add_row(struct pl_sft_run *run, const struct pl_sft_data *data, size_t i, size_t sample)
{
    const struct pl_sft_row *row = &data->rows[i];
    const uint32_t *prompt = data->ids.data + row->at;
    const struct pl_pack_response response = {prompt + row->prompt_len, row->response_len};
    const struct pl_group group = {prompt, row->prompt_len, &response, 1};

    return pl_pack_add(run->pack, &group, 0, (uint32_t)sample) == 1;
}

/* Rows order[0..n) of data (NULL: as they stand), packed as they come. */
static void each_pack(struct pl_sft_run *run, const struct pl_sft_data *data, const uint32_t *order,
                      size_t n, pack_fn *fn, void *at)
{
    pl_pack_clear(run->pack);
    for (size_t i = 0; i < n; i++) {
        const size_t row = order ? order[i] : i;

        if (add_row(run, data, row, i))
            continue;
        fn(run, at);
        pl_pack_clear(run->pack);
        PL_ASSERT(add_row(run, data, row, i)); /* the limits hold the longest row */
    }
    fn(run, at);
}

/* --- a step --- */

struct work {
    struct pl_supervised supervised;
    size_t tokens;
};

static void learn(struct pl_sft_run *run, void *at)
{
    struct work *work = at;
    const struct pl_objective objective = pl_supervised_objective(&work->supervised);

    pl_trainer_accumulate(run->trainer, run->pack, &objective);
    work->tokens += run->pack->batch.rows;
}

static void set_order(struct pl_sft_run *run)
{
    if (run->order_epoch == run->state.epoch)
        return;
    run->order_epoch = run->state.epoch;
    if (run->opts.shuffled) {
        pl_sft_order(run->order, run->train->count, run->opts.seed, run->state.epoch);
        return;
    }
    for (size_t i = 0; i < run->train->count; i++)
        run->order[i] = (uint32_t)i;
}

static void advance(struct pl_train_state *state, size_t rows, size_t of)
{
    state->index += rows;
    if (state->index == of) {
        state->index = 0;
        state->epoch++;
    }
}

/* The step is over; whether it has changed the weights is in `rc`. */
static int count_step(struct pl_train_state *state, int rc, const struct pl_error *why,
                      struct pl_error *err)
{
    state->step++;
    if (rc == PL_OK) {
        state->skipped_in_a_row = 0;
        return PL_OK;
    }
    state->skipped++;
    state->skipped_in_a_row++;
    if (state->skipped_in_a_row < PL_SFT_SKIPS_MAX)
        return PL_OK;
    return pl_fail(err, rc,
                   "steps %" PRIu64 " to %" PRIu64
                   " had to be skipped one after another (%s): the learning rate may be too high, "
                   "or the model broken",
                   state->step - state->skipped_in_a_row + 1, state->step, why->text);
}

int pl_sft_run_step(struct pl_sft_run *run, double lr, struct pl_sft_step *ret_step,
                    struct pl_error *err)
{
    struct pl_train_state *state = &run->state;
    const size_t n = smaller(run->opts.batch, run->train->count - (size_t)state->index);
    const uint32_t *order = run->order + state->index;
    struct work work = {.tokens = 0};
    struct pl_step_stats stats;
    struct pl_error why = {0};
    size_t responses = 0;
    int rc;

    set_order(run);
    for (size_t i = 0; i < n; i++)
        responses += run->train->rows[order[i]].response_len;
    pl_supervised_begin(&work.supervised, responses);
    each_pack(run, run->train, order, n, learn, &work);
    rc = pl_trainer_step(run->trainer, lr, &stats, &why);
    *ret_step = (struct pl_sft_step){
        .loss = pl_supervised_loss(&work.supervised),
        .grad_norm = stats.grad_norm,
        .responses = responses,
        .tokens = work.tokens,
        .skipped = rc < 0,
        .times = pl_trainer_times(run->trainer),
    };
    state->tokens += work.tokens;
    advance(state, n, run->train->count);
    return count_step(state, rc, &why, err);
}

/* --- evaluation --- */

static void score(struct pl_sft_run *run, void *at)
{
    const float *logp = pl_trainer_score(run->trainer, NULL, run->pack, NULL);
    double *sum = at;

    for (size_t i = 0; i < run->pack->prediction_count; i++)
        *sum += (double)logp[i];
}

double pl_sft_run_evaluate(struct pl_sft_run *run)
{
    struct pl_train_state *state = &run->state;
    double sum = 0.0, loss;

    PL_ASSERT(run->eval);
    each_pack(run, run->eval, NULL, run->eval->count, score, &sum);
    loss = -sum / (double)run->eval->responses;
    if (isfinite(loss) && !(loss >= state->eval_best)) {
        state->eval_best = loss;
        state->eval_best_step = state->step;
    }
    return loss;
}

/* --- state --- */

int pl_sft_run_save(const struct pl_sft_run *run, const char *dir, const json_t *agree,
                    struct pl_error *err)
{
    return pl_state_write(dir, &run->state, agree, run->weights->shape,
                          pl_trainer_state(run->trainer), err);
}

int pl_sft_run_restore(struct pl_sft_run *run, const char *dir, const json_t *agree,
                       struct pl_error *err)
{
    struct pl_train_state state;
    int rc = pl_state_read(dir, agree, run->weights, pl_trainer_state(run->trainer), &state, err);

    if (rc < 0)
        return rc;
    if (state.index >= run->train->count)
        return pl_fail(err, PL_EFORMAT, "'%s/%s': its place in the data is row %" PRIu64 " of %zu",
                       dir, PL_STATE_TRAINER, state.index, run->train->count);
    pl_trainer_sync(run->trainer);
    run->state = state;
    note_core(run);
    run->order_epoch = UINT64_MAX;
    return PL_OK;
}
