#include "learner/adamw.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/pulse.h"
#include "learner/grad_kernels.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    NORM_BLOCK = 1 << 16, /* values whose squares one thread sums; fixed, so that the bits are */
    NORM_BLOCKS = 256,    /* blocks summed between two joins */
    ITEM_FLOATS =
        1 << 15, /* values of a unit of work: four arrays of them stay in the second cache */
};

/* Rows [row, row + rows) of a tensor: what one thread updates at a time. */
struct part {
    const struct pl_tensor *tensor;
    size_t row, rows;
};

/* Parts that one thread does one after the other, because they share words of a packed panel. */
struct item {
    size_t part, count;
};

struct pl_adamw {
    struct pl_adamw_opts opts;
    const struct pl_shape *shape;
    struct part *parts;
    struct item *items;
    size_t part_count, item_count;
    size_t part_floats; /* of the largest part */
    uint16_t *rounded;  /* (threads, part_floats) */
    size_t threads;
};

double pl_norm(const float *x, size_t n)
{
    const struct pl_grad_kernels *kern = pl_grad_kernels();
    double sums[NORM_BLOCKS], total = 0.0;

    for (size_t from = 0; from < n; from += (size_t)NORM_BLOCK * NORM_BLOCKS) {
        const size_t left = (n - from + NORM_BLOCK - 1) / NORM_BLOCK;
        const size_t blocks = left < NORM_BLOCKS ? left : NORM_BLOCKS;

#pragma omp parallel for schedule(static)
        for (size_t b = 0; b < blocks; b++) {
            const size_t at = from + b * NORM_BLOCK;

            sums[b] = kern->squares(x + at, n - at < NORM_BLOCK ? n - at : NORM_BLOCK);
        }
        for (size_t b = 0; b < blocks; b++)
            total += sums[b];
        pl_pulse();
    }
    return sqrt(total);
}

static int check(const struct pl_adamw_opts *o, struct pl_error *err)
{
    if (!(o->beta1 >= 0.0 && o->beta1 < 1.0) || !(o->beta2 >= 0.0 && o->beta2 < 1.0))
        return pl_fail(err, PL_EINVAL, "AdamW's betas are %g and %g; both must be in [0, 1)",
                       o->beta1, o->beta2);
    if (!(o->eps > 0.0))
        return pl_fail(err, PL_EINVAL, "AdamW's eps is %g; it must be over 0", o->eps);
    if (!(o->weight_decay >= 0.0) || !(o->clip >= 0.0))
        return pl_fail(err, PL_EINVAL,
                       "AdamW's weight decay %g and clipping norm %g must not be "
                       "negative",
                       o->weight_decay, o->clip);
    return PL_OK;
}

/* Whether a tensor fills whole panels of the matrix that it is packed in, so that rows can be dealt
 * out. */
static bool in_whole_panels(const struct pl_shape *shape, const struct pl_tensor *t)
{
    const struct pl_config *c = &shape->config;

    switch (t->role) {
    case PL_ROLE_Q:
    case PL_ROLE_K:
    case PL_ROLE_V:
        return c->heads * c->head_dim % PL_PANEL == 0 && c->kv_heads * c->head_dim % PL_PANEL == 0;
    case PL_ROLE_GATE:
    case PL_ROLE_UP:
        return c->ffn % PL_PANEL == 0;
    default:
        return true;
    }
}

/* Tensors i, i + 1, ... that are one matrix when packed. The table has them next to each other. */
static size_t fused_count(const struct pl_shape *shape, size_t i)
{
    switch (shape->tensors[i].role) {
    case PL_ROLE_GATE:
        return 2;
    case PL_ROLE_Q:
        return shape->config.qkv_bias ? 6 : 3; /* biases lie between in the table */
    default:
        return 1;
    }
}

static size_t part_rows(const struct pl_tensor *t)
{
    const size_t rows = ITEM_FLOATS / t->cols / PL_PANEL * PL_PANEL;

    return rows > 0 ? rows : PL_PANEL;
}

/* List the parts and items of tensor i (and those fused with it); with NULL arrays only count them.
 */
static void list_tensor(struct pl_adamw *a, const struct pl_tensor *t, bool one_item)
{
    const size_t step = part_rows(t);

    for (size_t row = 0; row < t->rows; row += step) {
        const size_t rows = t->rows - row < step ? t->rows - row : step;

        if (!one_item) {
            if (a->items)
                a->items[a->item_count] = (struct item){a->part_count, 1};
            a->item_count++;
        }
        if (a->parts)
            a->parts[a->part_count] = (struct part){t, row, rows};
        a->part_count++;
        if (rows * t->cols > a->part_floats)
            a->part_floats = rows * t->cols;
    }
}

static void list_all(struct pl_adamw *a)
{
    a->part_count = a->item_count = 0;
    for (size_t i = 0; i < a->shape->count;) {
        const size_t n = fused_count(a->shape, i);
        const bool apart = in_whole_panels(a->shape, &a->shape->tensors[i]);
        const size_t first = a->part_count;

        for (size_t j = i; j < i + n; j++)
            list_tensor(a, &a->shape->tensors[j], !apart);
        if (!apart) {
            if (a->items)
                a->items[a->item_count] = (struct item){first, a->part_count - first};
            a->item_count++;
        }
        i += n;
    }
}

int pl_adamw_create(const struct pl_shape *shape, const struct pl_adamw_opts *opts,
                    struct pl_adamw **ret_adamw, struct pl_error *err)
{
    struct pl_adamw *a;
    int rc = check(opts, err);

    if (rc < 0)
        return rc;
    a = pl_alloc(1, sizeof *a);
    if (!a)
        return pl_fail(err, PL_ENOMEM, "no memory for the optimiser");
    a->opts = *opts;
    a->shape = shape;
    list_all(a);
    a->threads = (size_t)omp_get_max_threads();
    a->parts = pl_alloc(a->part_count, sizeof *a->parts);
    a->items = pl_alloc(a->item_count, sizeof *a->items);
    a->rounded = pl_alloc(a->threads * a->part_floats, sizeof *a->rounded);
    if (!a->parts || !a->items || !a->rounded) {
        pl_adamw_destroy(a);
        return pl_fail(err, PL_ENOMEM, "no memory for the optimiser's list of %zu parts",
                       a->part_count);
    }
    list_all(a);
    *ret_adamw = a;
    return PL_OK;
}

void pl_adamw_destroy(struct pl_adamw *adamw)
{
    if (!adamw)
        return;
    free(adamw->parts);
    free(adamw->items);
    free(adamw->rounded);
    free(adamw);
}

size_t pl_adamw_floats(const struct pl_shape *shape, const struct pl_adamw_state *state)
{
    size_t floats = shape->floats;

    for (size_t i = 0; i < state->tail_count; i++) {
        PL_ASSERT(state->tail[i].offset == floats);
        floats += pl_tensor_size(&state->tail[i]);
    }
    return floats;
}

/* What `step` is for this tensor: vectors may be free of decay. */
static struct pl_adamw_step step_of(const struct pl_adamw *a, const struct pl_tensor *t,
                                    const struct pl_adamw_step *step)
{
    struct pl_adamw_step own = *step;

    if (t->rank == 1 && !a->opts.decay_vectors)
        own.keep = 1.0f;
    return own;
}

static void update(const struct pl_adamw *a, const struct part *part, struct pl_adamw_state *state,
                   float *grad, const struct pl_adamw_step *step, struct pl_weights *weights,
                   uint16_t *rounded)
{
    const struct pl_tensor *t = part->tensor;
    const size_t at = t->offset + part->row * t->cols;
    const struct pl_adamw_step own = step_of(a, t, step);

    pl_grad_kernels()->adamw(state->master + at, state->m + at, state->v + at, grad + at, rounded,
                             &own, part->rows * t->cols);
    pl_weights_set(weights, t, part->row, part->rows, rounded);
}

static void update_tail(const struct pl_adamw *a, struct pl_adamw_state *state, float *grad,
                        const struct pl_adamw_step *step)
{
    for (size_t i = 0; i < state->tail_count; i++) {
        const struct pl_tensor *t = &state->tail[i];
        const struct pl_adamw_step own = step_of(a, t, step);

        pl_grad_kernels()->adamw(state->master + t->offset, state->m + t->offset,
                                 state->v + t->offset, grad + t->offset, NULL, &own,
                                 pl_tensor_size(t));
    }
}

static double clip_scale(const struct pl_adamw_opts *opts, double norm)
{
    return opts->clip > 0.0 ? fmin(1.0, opts->clip / (norm + 1e-6)) : 1.0;
}

int pl_adamw_step(struct pl_adamw *adamw, struct pl_adamw_state *state, float *grad, double lr,
                  struct pl_weights *weights, double *ret_norm, struct pl_error *err)
{
    const struct pl_adamw_opts *o = &adamw->opts;
    const size_t floats = pl_adamw_floats(adamw->shape, state);
    const double norm = pl_norm(grad, floats), t = (double)(state->step + 1);
    const struct pl_adamw_step step = {
        .grad_scale = (float)clip_scale(o, norm),
        .keep = (float)(1.0 - lr * o->weight_decay),
        .beta2 = (float)o->beta2,
        .lerp1 = (float)(1.0 - o->beta1),
        .lerp2 = (float)(1.0 - o->beta2),
        .root_bias2 = (float)sqrt(1.0 - pow(o->beta2, t)),
        .eps = (float)o->eps,
        .minus_lr = (float)-(lr / (1.0 - pow(o->beta1, t))),
    };

    *ret_norm = norm;
    if (!isfinite(norm)) {
        memset(grad, 0, floats * sizeof *grad);
        return pl_fail(err, PL_EINVAL,
                       "the gradient's norm is %g; the step is refused and the weights are as they "
                       "were",
                       norm);
    }
#pragma omp parallel for schedule(static) num_threads((int)adamw->threads)
    for (size_t i = 0; i < adamw->item_count; i++) {
        const struct item *item = &adamw->items[i];
        uint16_t *rounded = adamw->rounded + (size_t)omp_get_thread_num() * adamw->part_floats;

        for (size_t p = item->part; p < item->part + item->count; p++)
            update(adamw, &adamw->parts[p], state, grad, &step, weights, rounded);
        pl_pulse();
    }
    update_tail(adamw, state, grad, &step);
    state->step++;
    return PL_OK;
}
