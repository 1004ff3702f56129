/*
 * Each rate is the best of a few runs of the engine's own functions on one layer of the model's
 * width: the trainer for what the learner does, products and attention by themselves for sampling.
 */
#include "deploy/plan/rates.h"

#include "common/app/machine.h"
#include "common/app/signals.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/link/delta.h"
#include "common/link/version.h"
#include "common/math/attn.h"
#include "common/math/gemm.h"
#include "common/model/weights.h"
#include "deploy/plan/costs.h"
#include "learner/trainer.h"

#include <dirent.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {

    VOCAB = 512, /* of the layer's model: the projection is a product like the others */
    BLOCK_ROWS = 192,
    ROWS_MAX = 960,
    SEQUENCES = 4,
    MANY = 64,     /* rows of a step of decoding */
    PROMPT = 1024, /* of the samples that attend */
    RESPONSE = 512,
    GROUPS_MAX = 8,
    BANDWIDTH_BYTES = 256 << 20,
    BANDWIDTH_ROUNDS = 3,
    COLD_BYTES = 128 << 20, /* of layers, and of a projection: more than caches hold */
    VERSION_BLOCKS = 64,
    CHANGE_EVERY = 33, /* 3 % of the values */
};

static const double ENOUGH_S = 0.3;        /* of one thing */
static const double FORWARD_FLOPS = 25e9;  /* that a run of the forward takes, about */
static const double MEMORY_SHARE = 0.2;    /* of the machine's that is taken for this */
static const double ALMOST_NOTHING = 1e-9; /* a time that divides */
static const double UNDISTURBED = 0.02;    /* share of waiting that the clock may have in it */

/* ---- time ---- */

/* Where a stopwatch was started: the clock, what all threads ran, and for how long one of them
 * waited for a processor (0 where the kernel does not say). */
struct watch {
    double clock_s, ran_s, waited_s;
};

static double clock_of(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of all threads: a thread that sleeps until another one is done does not wait itself. */
static double waited_s(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    double sum = 0.0;

    while (tasks && (task = readdir(tasks)) != NULL) {
        char path[64];
        double ran, waited;
        FILE *in;

        snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", task->d_name);
        in = fopen(path, "re");
        if (in && fscanf(in, "%lf %lf", &ran, &waited) == 2)
            sum += 1e-9 * waited;
        if (in)
            fclose(in);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

static struct watch begin(void)
{
    struct watch w = {.waited_s = waited_s(), .ran_s = clock_of(CLOCK_PROCESS_CPUTIME_ID)};

    w.clock_s = clock_of(CLOCK_MONOTONIC);
    return w;
}

/* Since a stopwatch was begun. */
static struct watch since(const struct watch *start)
{
    const double clock_s = clock_of(CLOCK_MONOTONIC) - start->clock_s;
    const double ran_s = clock_of(CLOCK_PROCESS_CPUTIME_ID) - start->ran_s;

    return (struct watch){clock_s, ran_s, waited_s() - start->waited_s};
}

/* The share of the threads' time in which they waited for a processor. */
static double waited(const struct watch *w)
{
    return w->waited_s / fmax(ALMOST_NOTHING, w->ran_s + w->waited_s);
}

/* Seconds: those of the clock, where nobody else wanted the processors; else the processor time
 * that the threads got, as if they had had it at once. */
static double took_s(const struct watch *w)
{
    return waited(w) < UNDISTURBED ? w->clock_s : w->ran_s / (double)omp_get_max_threads();
}

/* The best of at least two runs and enough time. */
static double best_s(void (*run)(void *at), void *at)
{
    double best = INFINITY, total = 0.0;

    for (size_t i = 0; i < 2 || total < ENOUGH_S; i++) {
        const struct watch start = begin();

        run(at);
        const struct watch took = since(&start);
        best = fmin(best, took_s(&took));
        total += took.clock_s;
    }
    return fmax(best, ALMOST_NOTHING);
}

/* ---- the layer ---- */

/* One layer, or some, of the model's width. */
static struct pl_config layer_of(const struct pl_config *model, size_t layers)
{
    struct pl_config c = *model;

    c.layers = layers;
    c.vocab = VOCAB;
    c.tied = true;
    c.eos_count = 0;
    c.bos = c.pad = -1;
    return c;
}

/* Halve it until training it takes but a share of the machine's memory. */
static int shrink(struct pl_config *c, struct pl_error *err)
{
    struct pl_machine machine;
    int rc = pl_machine_read("", &machine, err);
    double need = INFINITY;

    while (rc == PL_OK) {
        struct pl_shape *shape = NULL;

        rc = pl_shape_create(c, &shape, err);
        if (rc < 0)
            break;
        need = 20.0 * (double)shape->floats; /* bf16, four of f32, and scratch */
        pl_shape_destroy(shape);
        if (need < MEMORY_SHARE * (double)pl_machine_memory_usable(&machine) || c->ffn < 2 ||
            c->hidden % 2 != 0 || c->heads % 2 != 0 || (c->heads / 2) % c->kv_heads != 0)
            break;
        c->hidden /= 2;
        c->ffn /= 2;
        c->heads /= 2;
    }
    return rc;
}

/* Small values that differ; norms 1. */
static void fill(float *flat, const struct pl_shape *shape)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct pl_tensor *t = &shape->tensors[i];

#pragma omp parallel for schedule(static)
        for (size_t j = 0; j < pl_tensor_size(t); j++) {
            const uint32_t mix = ((uint32_t)j + (uint32_t)i * 977u) * 2654435761u;

            flat[t->offset + j] =
                t->rank == 1 ? 1.0f : 0.04f * ((float)(mix >> 8) / 16777216.0f - 0.5f);
        }
    }
}

/* ---- the learner: a pack through the trainer ---- */

struct learning {
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_trainer *trainer;
    struct pl_pack *pack;
    uint32_t *ids;
    size_t rows, tokens; /* of the pack, of a sequence in it */
    int rc;
    struct pl_error *err;
};

static void slopes(void *at, const struct pl_slopes *s)
{
    const struct learning *l = at;

    for (size_t i = 0; i < s->n; i++)
        s->dlogp[i] = -1.0f / (float)l->rows;
}

static void run_forward(void *at)
{
    struct learning *l = at;

    (void)pl_trainer_score(l->trainer, NULL, l->pack, NULL);
}

static void run_accumulate(void *at)
{
    struct learning *l = at;
    const struct pl_objective objective = {.at = l, .slopes = slopes};

    (void)pl_trainer_accumulate(l->trainer, l->pack, &objective);
}

static void run_update(void *at)
{
    struct learning *l = at;
    struct pl_step_stats stats;

    if (l->rc == PL_OK)
        l->rc = pl_trainer_step(l->trainer, 1e-6, &stats, l->err);
}

static int open_learning(const struct pl_config *config, struct learning *l, struct pl_error *err)
{
    struct pl_trainer_opts opts = {
        .adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0},
    };
    double rows;
    int rc = pl_shape_create(config, &l->shape, err);

    if (rc < 0)
        return rc;
    rows = FORWARD_FLOPS / pl_costs_row(l->shape) / BLOCK_ROWS;
    l->rows = rows < 1.0                     ? BLOCK_ROWS
              : rows * BLOCK_ROWS > ROWS_MAX ? ROWS_MAX
                                             : (size_t)rows * BLOCK_ROWS;
    l->tokens = l->rows / SEQUENCES;
    opts.limits = (struct pl_pack_limits){l->rows, SEQUENCES};
    opts.positions = l->tokens + 1;
    rc = pl_weights_create(l->shape, &l->weights, err);
    if (rc == PL_OK)
        rc = pl_trainer_create(l->weights, &opts, &l->trainer, err);
    if (rc == PL_OK)
        rc = pl_pack_create(&opts.limits, &l->pack, err);
    l->ids = rc == PL_OK ? pl_alloc(l->tokens + 1, sizeof *l->ids) : NULL;
    if (rc == PL_OK && !l->ids)
        rc = pl_fail(err, PL_ENOMEM, "no memory to measure with");
    if (rc < 0)
        return rc;
    fill(pl_trainer_state(l->trainer)->master, l->shape);
    pl_trainer_sync(l->trainer);
    for (size_t i = 0; i <= l->tokens; i++)
        l->ids[i] = (uint32_t)(i * 2654435761u >> 7) % VOCAB;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        const struct pl_pack_response response = {l->ids + 1, l->tokens};
        const size_t added =
            pl_pack_add(l->pack, &(struct pl_group){l->ids, 1, &response, 1}, 0, s);

        PL_ASSERT(added == 1);
    }
    return PL_OK;
}

static void close_learning(struct learning *l)
{
    free(l->ids);
    pl_pack_destroy(l->pack);
    pl_trainer_destroy(l->trainer);
    pl_weights_destroy(l->weights);
    pl_shape_destroy(l->shape);
}

static int measure_learning(const struct pl_config *config, struct pl_rates *rates,
                            struct pl_error *err)
{
    struct learning l = {.err = err};
    int rc = open_learning(config, &l, err);

    if (rc == PL_OK) {
        const double rows = (double)l.rows;
        /* Little at these lengths: it counts as products. */
        const double attention = rows * 0.5 * (double)(l.tokens + 1) * pl_costs_position(l.shape);
        const double work = rows * (pl_costs_row(l.shape) + pl_costs_prediction(l.shape));
        const double forward = best_s(run_forward, &l), both = best_s(run_accumulate, &l);

        rates->forward_flops = (work + attention) / forward;
        rates->backward_flops =
            (2.0 * work + 2.5 * attention) / fmax(both - forward, 0.1 * forward);
        rates->optimizer_params = (double)l.shape->params / best_s(run_update, &l);
        rc = l.rc;
    }
    close_learning(&l);
    return rc;
}

/* ---- attention ---- */

/* Rows over pages that hold what they attend to; in decoding, samples over a shared prompt. */
struct attending {
    const struct pl_config *c;
    struct pl_pages pages;
    struct pl_span *spans;
    struct pl_cluster cluster;
    uint32_t *tables;
    size_t rows, span_count, ld;
    float *qkv, *out, *lse, *dout, *dqkv, *scratch;
    size_t threads;
};

static void run_attention(void *at)
{
    struct attending *a = at;

    pl_attn(a->out, a->c->heads * a->c->head_dim, a->lse, a->qkv, a->ld, &a->pages, 0, a->spans,
            a->span_count, a->c->heads);
}

static void run_attention_backward(void *at)
{
    struct attending *a = at;
    const struct pl_attn_grad grad = {
        .spans = a->spans,
        .clusters = &a->cluster,
        .cluster_count = 1,
        .heads = a->c->heads,
        .kv_heads = a->c->kv_heads,
        .head_dim = a->c->head_dim,
        .rows = a->rows,
        .threads = a->threads,
        .scratch = a->scratch,
    };

    pl_attn_bwd(a->dqkv, a->qkv, a->out, a->dout, a->lse, &grad);
}

static bool open_attending(struct attending *a, const struct pl_config *c, size_t rows,
                           size_t spans, size_t pages, size_t table)
{
    const size_t q = c->heads * c->head_dim;

    *a = (struct attending){.c = c, .rows = rows, .span_count = spans, .cluster = {0, 1}};
    a->ld = q + 2 * c->kv_heads * c->head_dim;
    a->threads = (size_t)omp_get_max_threads();
    a->pages = (struct pl_pages){
        .count = pages, .layers = 1, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
    a->pages.data = pl_alloc(pl_pages_floats(pages, 1, c->kv_heads, c->head_dim), sizeof(float));
    a->spans = pl_alloc(spans, sizeof *a->spans);
    a->tables = pl_alloc(spans * table, sizeof *a->tables);
    a->qkv = pl_alloc(rows * a->ld, sizeof(float));
    a->out = pl_alloc(rows * q, sizeof(float));
    a->lse = pl_alloc(rows * c->heads, sizeof(float));
    a->dout = pl_alloc(rows * q, sizeof(float));
    a->dqkv = pl_alloc(rows * a->ld, sizeof(float));
    a->scratch =
        pl_alloc(pl_attn_grad_scratch(a->threads, rows, c->heads, c->head_dim), sizeof(float));
    if (!a->pages.data || !a->spans || !a->tables || !a->qkv || !a->out || !a->lse || !a->dout ||
        !a->dqkv || !a->scratch)
        return false;
    for (size_t i = 0; i < rows * a->ld; i++)
        a->qkv[i] = (float)(i * 2654435761u % 1009u) * 1e-3f - 0.5f;
    for (size_t i = 0; i < rows * q; i++)
        a->dout[i] = (float)(i * 40503u % 1013u) * 1e-3f - 0.5f;
    for (size_t i = 0; i < pl_pages_floats(pages, 1, c->kv_heads, c->head_dim); i++)
        a->pages.data[i] = (float)(i * 2654435761u % 1009u) * 1e-3f - 0.5f;
    return true;
}

static void close_attending(struct attending *a)
{
    free(a->pages.data);
    free(a->spans);
    free(a->tables);
    free(a->qkv);
    free(a->out);
    free(a->lse);
    free(a->dout);
    free(a->dqkv);
    free(a->scratch);
}

/* One sequence of RESPONSE rows, as in prefill and training. */
static int measure_attention(const struct pl_config *c, struct pl_rates *rates,
                             struct pl_error *err)
{
    const size_t pages = RESPONSE / PL_PAGE;
    const double positions = 0.5 * RESPONSE * (RESPONSE + 1.0);
    const double work = positions * 4.0 * (double)c->heads * (double)c->head_dim;
    const size_t q = c->heads * c->head_dim;
    struct attending a;
    int rc = PL_OK;

    if (open_attending(&a, c, RESPONSE, 1, pages, pages)) {
        for (size_t i = 0; i < pages; i++)
            a.tables[i] = (uint32_t)i;
        a.spans[0] = (struct pl_span){.pages = a.tables, .row = 0, .rows = RESPONSE, .pos = 0};
        pl_attn_store(&a.pages, 0, a.spans, 1, a.qkv + q, a.qkv + q + c->kv_heads * c->head_dim,
                      a.ld);
        rates->attention_flops = work / best_s(run_attention, &a);
        rates->attention_backward_flops = 2.5 * work / best_s(run_attention_backward, &a);
    } else {
        rc = pl_fail(err, PL_ENOMEM, "no memory to measure attention with");
    }
    close_attending(&a);
    return rc;
}

/* Some groups of samples, a row each, over PROMPT shared and RESPONSE own positions. */
static int measure_decode_attention(const struct pl_config *c, size_t samples,
                                    struct pl_rates *rates, struct pl_error *err)
{
    const size_t groups = samples >= MANY               ? 1
                          : GROUPS_MAX < MANY / samples ? GROUPS_MAX
                                                        : MANY / samples;
    const size_t shared = PROMPT / PL_PAGE, own = RESPONSE / PL_PAGE, table = shared + own;
    const size_t rows = groups * samples, pages = groups * (shared + samples * own);
    const double positions = (double)rows * (PROMPT + RESPONSE);
    struct attending a;
    int rc = PL_OK;

    if (open_attending(&a, c, rows, rows, pages, table)) {
        for (size_t r = 0; r < rows; r++) {
            const size_t first = r / samples * (shared + samples * own);
            uint32_t *at = a.tables + r * table;

            for (size_t i = 0; i < table; i++)
                at[i] = (uint32_t)(first + (i < shared ? i : r % samples * own + i));
            a.spans[r] =
                (struct pl_span){.pages = at, .row = r, .rows = 1, .pos = PROMPT + RESPONSE - 1};
        }
        rates->decode_attention_flops =
            positions * 4.0 * (double)c->heads * (double)c->head_dim / best_s(run_attention, &a);
    } else {
        rc = pl_fail(err, PL_ENOMEM, "no memory to measure attention with");
    }
    close_attending(&a);
    return rc;
}

/* ---- decoding: the products of a step ---- */

struct decoding {
    const struct pl_weights *weights;
    size_t rows;
    float *x, *y;
};

static void run_products(void *at)
{
    const struct decoding *d = at;

    for (size_t l = 0; l < d->weights->shape->config.layers; l++) {
        const struct pl_layer *layer = &d->weights->layers[l];
        const struct pl_mat *const mats[] = {&layer->qkv, &layer->o, &layer->gate_up, &layer->down};

        for (size_t i = 0; i < sizeof mats / sizeof *mats; i++)
            pl_gemm(d->y, mats[i]->rows, d->x, mats[i]->cols, mats[i], d->rows, NULL, 0);
    }
    pl_gemm(d->y, d->weights->head.rows, d->x, d->weights->head.cols, &d->weights->head, d->rows,
            NULL, 0);
}

/* As many layers, and as many rows of the projection, as caches cannot hold or the model has. */
static struct pl_config cold_of(const struct pl_config *model, const struct pl_config *layer)
{
    const size_t rows = COLD_BYTES / 2 / layer->hidden;
    struct pl_config c = *layer;
    struct pl_shape *shape = NULL;

    if (pl_shape_create(layer, &shape, NULL) == PL_OK)
        c.layers = 1 + (size_t)(COLD_BYTES / pl_costs_row(shape)); /* 2 bytes a weight */
    pl_shape_destroy(shape);
    c.layers = c.layers < model->layers ? c.layers : model->layers;
    c.vocab = rows < model->vocab ? rows : model->vocab;
    return c;
}

static int measure_decoding(const struct pl_config *model, const struct pl_config *layer,
                            struct pl_rates *rates, struct pl_error *err)
{
    const struct pl_config config = cold_of(model, layer);
    const size_t q = config.heads * config.head_dim;
    const size_t widest = config.hidden + 2 * config.ffn + 3 * q + config.vocab;
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct decoding d = {0};
    float *flat = NULL;
    double row;
    int rc = pl_shape_create(&config, &shape, err);

    if (rc == PL_OK)
        rc = pl_weights_create(shape, &weights, err);
    if (rc == PL_OK) {
        flat = pl_alloc(shape->floats, sizeof *flat);
        d = (struct decoding){.weights = weights,
                              .x = pl_alloc(MANY * widest, sizeof(float)),
                              .y = pl_alloc(MANY * widest, sizeof(float))};
        if (!flat || !d.x || !d.y)
            rc = pl_fail(err, PL_ENOMEM, "no memory to measure decoding with");
    }
    if (rc == PL_OK) {
        row = pl_costs_row(shape) + pl_costs_prediction(shape);
        fill(flat, shape);
        pl_weights_set_flat(weights, flat);
        for (size_t i = 0; i < MANY * widest; i++)
            d.x[i] = (float)(i * 2654435761u % 1009u) * 1e-3f - 0.5f;
        d.rows = 1;
        rates->decode_bytes = row / best_s(run_products, &d); /* 2 bytes, 2 operations a weight */
        d.rows = MANY;
        rates->decode_flops = MANY * row / best_s(run_products, &d);
    }
    free(flat);
    free(d.x);
    free(d.y);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return rc;
}

/* ---- publishing ---- */

struct publishing {
    uint16_t *from, *to;
    unsigned char *deltas; /* room for each thread's */
    size_t room;
};

static void run_publish(void *at)
{
    const struct publishing *p = at;

#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < VERSION_BLOCKS; i++) {
        const uint16_t *from = p->from + i * PL_BLOCK_VALUES, *to = p->to + i * PL_BLOCK_VALUES;
        unsigned char *delta = p->deltas + (size_t)omp_get_thread_num() * p->room;
        unsigned char hash[PL_HASH_BYTES];

        pl_sha256(to, PL_CHUNK_BYTES, hash);
        pl_sha256(delta, pl_delta_encode(from, to, PL_BLOCK_VALUES, delta), hash);
    }
}

static int measure_publishing(struct pl_rates *rates, struct pl_error *err)
{
    const size_t values = (size_t)VERSION_BLOCKS * PL_BLOCK_VALUES;
    struct publishing p = {.room = pl_delta_room(PL_BLOCK_VALUES)};
    int rc = PL_OK;

    p.from = pl_alloc(values, sizeof *p.from);
    p.to = pl_alloc(values, sizeof *p.to);
    p.deltas = pl_alloc((size_t)omp_get_max_threads(), p.room);
    if (p.from && p.to && p.deltas) {
        for (size_t i = 0; i < values; i++) {
            p.from[i] = (uint16_t)(i * 40503u);
            p.to[i] = p.from[i] ^ (i % CHANGE_EVERY == 0);
        }
        rates->publish_bytes = (double)(values * sizeof *p.to) / best_s(run_publish, &p);
    } else {
        rc = pl_fail(err, PL_ENOMEM, "no memory to measure hashing with");
    }
    free(p.from);
    free(p.to);
    free(p.deltas);
    return rc;
}

/* ---- all of it ---- */

static int tell(const struct pl_rates_watch *watch, size_t done, const char *what,
                struct pl_error *err)
{
    if (pl_signals_stop())
        return pl_fail(err, PL_ECANCELED, "stopped while the machine was measured");
    if (watch && watch->part)
        watch->part(watch->at, done, PL_RATES_PARTS, what);
    return PL_OK;
}

int pl_rates_measure(const struct pl_config *config, size_t samples,
                     const struct pl_rates_watch *watch, struct pl_rates *ret_rates,
                     struct pl_error *err)
{
    struct pl_config layer = layer_of(config, 1);
    struct pl_rates rates = {.threads = (size_t)omp_get_max_threads()};
    struct pl_machine machine;
    const struct watch start = begin();
    struct watch all;
    int rc = pl_machine_read("", &machine, err);

    if (rc == PL_OK)
        rc = shrink(&layer, err);
    if (rc == PL_OK)
        rc = tell(watch, 0, "products and memory", err);
    if (rc < 0)
        return rc;
    snprintf(rates.cpu, sizeof rates.cpu, "%s", machine.cpu);
    rates.hidden = layer.hidden;
    rates.ffn = layer.ffn;
    rates.peak_flops = pl_blas_peak_gflops() * 1e9;
    rc = pl_machine_bandwidth(BANDWIDTH_BYTES, BANDWIDTH_ROUNDS, &rates.read_bytes, err);
    if (rc == PL_OK)
        rc = tell(watch, 1, "a layer, forward and backward", err);
    if (rc == PL_OK)
        rc = measure_learning(&layer, &rates, err);
    if (rc == PL_OK)
        rc = tell(watch, 2, "attention", err);
    if (rc == PL_OK)
        rc = measure_attention(&layer, &rates, err);
    if (rc == PL_OK)
        rc = tell(watch, 3, "attention of samples", err);
    if (rc == PL_OK)
        rc = measure_decode_attention(&layer, samples, &rates, err);
    if (rc == PL_OK)
        rc = tell(watch, 4, "decoding", err);
    if (rc == PL_OK)
        rc = measure_decoding(config, &layer, &rates, err);
    if (rc == PL_OK)
        rc = tell(watch, 5, "publishing", err);
    if (rc == PL_OK)
        rc = measure_publishing(&rates, err);
    if (rc == PL_OK)
        rc = tell(watch, PL_RATES_PARTS, "", err);
    if (rc < 0)
        return rc;
    all = since(&start);
    rates.waited = waited(&all);
    *ret_rates = rates;
    return PL_OK;
}
