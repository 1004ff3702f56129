#include "learner/models.h"

#include "common/base/log.h"
#include "common/math/gemm.h"
#include "common/model/checksums.h"
#include "common/model/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_trainer_opts trainer_opts(const struct pl_run_conf *c)
{
    return (struct pl_trainer_opts){
        .limits = {.rows = c->pack_tokens, .samples = c->batch_groups * c->samples},
        .positions = c->prompt_tokens_max + c->response_tokens_max,
        .recompute = c->recompute,
        .adamw = {.beta1 = c->beta1,
                  .beta2 = c->beta2,
                  .eps = 1e-8,
                  .weight_decay = c->weight_decay,
                  .clip = c->grad_clip},
    };
}

/* Batches and evaluations may be of a version that is not the newest. */
static bool needs_past(const struct pl_run_conf *c)
{
    return c->staleness > 0 || c->val_files.count > 0;
}

static bool has_critic(const struct pl_run_conf *c)
{
    return c->estimator == PL_ADVANTAGE_GAE;
}

static bool has_reference(const struct pl_run_conf *c)
{
    return c->use_kl_loss || c->kl_in_reward;
}

/* The critic's trunk: that of the checkpoint, or the one to start from. */
static int load_critic(struct pl_models *m, const char *checkpoint,
                       const struct pl_trainer_opts *opts, struct pl_error *err)
{
    const struct pl_run_conf *c = m->conf;
    char *path =
        checkpoint ? pl_savepoint_critic(checkpoint) : strdup(c->critic[0] ? c->critic : c->model);
    int rc = path ? pl_critic_load(&m->critic, c, path, m->shape, opts, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the critic");

    free(path);
    return rc;
}

/* As many as there are at once: those that batches are pinned to, and the newest. */
static size_t versions_held(const struct pl_run_conf *c)
{
    return c->staleness + 2;
}

int pl_models_outline(struct pl_models *models, const struct pl_run_conf *conf,
                      const struct pl_config *policy, const struct pl_config *critic,
                      struct pl_error *err)
{
    const struct pl_trainer_opts opts = trainer_opts(conf);
    int rc = pl_shape_create(policy, &models->shape, err);

    models->conf = conf;
    if (rc == PL_OK)
        rc = pl_weights_outline(models->shape, &models->weights, err);
    if (rc == PL_OK && has_critic(conf))
        rc = pl_critic_outline(&models->critic, conf, critic, models->shape, &opts, err);
    return rc;
}

void pl_models_plan(const struct pl_models *models, struct pl_plan *plan, size_t *ret_policy)
{
    const struct pl_run_conf *c = models->conf;
    const struct pl_trainer_opts opts = trainer_opts(c);
    const size_t bytes = pl_weights_bytes(models->shape);

    pl_plan_add(plan, "weights (bf16)", bytes, NULL);
    if (needs_past(c))
        pl_plan_add(plan, "an older version (bf16)", bytes, NULL);
    if (has_reference(c)) /* the model that the policy began as */
        pl_plan_add(plan, "reference (bf16)", bytes, NULL);
    pl_plan_add(plan, "versions to send (bf16)",
                versions_held(c) * models->shape->params * sizeof(uint16_t), NULL);
    pl_trainer_plan(models->weights, &opts, plan);
    pl_plan_add(plan, "pack", pl_pack_bytes(&opts.limits), NULL);
    *ret_policy = plan->count;
    if (has_critic(c))
        pl_critic_plan(&models->critic, plan);
}

/* The weights that load() has read. */
static size_t loaded_bytes(const struct pl_models *m)
{
    return pl_weights_bytes(m->shape) + (m->reference ? pl_weights_bytes(m->reference_shape) : 0) +
           (has_critic(m->conf) ? pl_weights_bytes(m->critic.shape) : 0);
}

/* What will be held, said and checked before the most of it is asked for. */
static int plan_memory(const struct pl_models *m, const struct pl_trainer_opts *opts,
                       struct pl_error *err)
{
    struct pl_plan plan;
    size_t policy;

    pl_plan_init(&plan);
    pl_models_plan(m, &plan, &policy);
    for (size_t i = 0; i < plan.count; i++)
        pl_info("plan of=%s part=\"%s\" bytes=%zu", i < policy ? "policy" : "critic",
                plan.rows[i].what, plan.rows[i].bytes);
    pl_info("plan bytes=%zu rows=%zu samples=%zu", pl_plan_total(&plan), opts->limits.rows,
            opts->limits.samples);
    plan.held = loaded_bytes(m);
    return pl_plan_check(&plan, m->conf->memory_max, err);
}

static int load(struct pl_models *m, const char *checkpoint, const struct pl_trainer_opts *opts,
                struct pl_error *err)
{
    const struct pl_run_conf *c = m->conf;
    int rc = pl_model_load(checkpoint ? checkpoint : c->model, NULL, &m->shape, &m->weights, err);

    if (rc == PL_OK && has_reference(c))
        rc = pl_model_load(c->model, NULL, &m->reference_shape, &m->reference, err);
    if (rc == PL_OK && has_critic(c))
        rc = load_critic(m, checkpoint, opts, err);
    return rc;
}

static int allocate(struct pl_models *m, const struct pl_trainer_opts *opts, struct pl_error *err)
{
    int rc = pl_trainer_create(m->weights, opts, &m->trainer, err);

    if (rc == PL_OK && has_critic(m->conf))
        rc = pl_critic_open(&m->critic, m->trainer, err);
    if (rc == PL_OK)
        rc = pl_pack_create(&opts->limits, &m->pack, err);
    if (rc == PL_OK && needs_past(m->conf))
        rc = pl_weights_create(m->shape, &m->past, err);
    return rc;
}

struct pl_critic *pl_models_critic(struct pl_models *models)
{
    return has_critic(models->conf) ? &models->critic : NULL;
}

/* What checkpoints hold: the policy, then the critic. */
static void list(struct pl_models *m, struct pl_savepoint_model ret[2])
{
    ret[0] = (struct pl_savepoint_model){m->weights, pl_trainer_state(m->trainer)};
    if (has_critic(m->conf))
        ret[1] =
            (struct pl_savepoint_model){m->critic.weights, pl_trainer_state(m->critic.trainer)};
}

/* Where the run stands, into trainers that are there. What comes is computed on this machine: the
 * next checkpoint says so. */
static int read_point(struct pl_models *m, const char *checkpoint, struct pl_savepoint *point,
                      struct pl_error *err)
{
    struct pl_savepoint_model models[2];
    int rc;

    list(m, models);
    rc = pl_savepoint_read(checkpoint, NULL, &models[0], has_critic(m->conf) ? &models[1] : NULL,
                           m->shape->params, point, err);
    if (rc < 0)
        return rc;
    m->critic.skipped = point->critic.skipped;
    snprintf(point->train.core, sizeof point->train.core, "%s", pl_blas_core());
    return PL_OK;
}

/* Whether a checkpoint is as it was written, before anything of it is believed. */
static int check_bytes(const char *checkpoint, struct pl_error *err)
{
    bool there = false;
    const int rc = pl_checksums_check(checkpoint, &there, err);

    if (rc == PL_OK && !there)
        pl_warn("checkpoint event=unchecked path=\"%s\" reason=\"it has no %s: an earlier version "
                "of plait wrote it\"",
                checkpoint, PL_CHECKSUMS_FILE);
    return rc;
}

int pl_models_load(struct pl_models *models, const struct pl_run_conf *conf, const char *checkpoint,
                   struct pl_error *err)
{
    const struct pl_trainer_opts opts = trainer_opts(conf);

    int rc = checkpoint ? check_bytes(checkpoint, err) : PL_OK;

    models->conf = conf;
    return rc == PL_OK ? load(models, checkpoint, &opts, err) : rc;
}

int pl_models_ready(struct pl_models *models, const char *checkpoint, struct pl_savepoint *point,
                    struct pl_error *err)
{
    const struct pl_trainer_opts opts = trainer_opts(models->conf);
    int rc = plan_memory(models, &opts, err);

    if (rc == PL_OK)
        rc = allocate(models, &opts, err);
    return rc == PL_OK && checkpoint ? read_point(models, checkpoint, point, err) : rc;
}

int pl_models_save(struct pl_models *models, const struct pl_rundir *dir, const json_t *agree,
                   size_t values, struct pl_savepoint *point, struct pl_error *err)
{
    struct pl_models *m = models;
    struct pl_savepoint_model saved[2];

    list(m, saved);
    point->train.step = saved[0].adamw->step + point->train.skipped;
    if (has_critic(m->conf)) {
        point->critic = point->train;
        point->critic.skipped = m->critic.skipped;
        point->critic.step = saved[1].adamw->step + m->critic.skipped;
    }
    return pl_savepoint_write(dir, point, agree, &saved[0], has_critic(m->conf) ? &saved[1] : NULL,
                              m->conf->model, values, err);
}

/* bf16 weights, and master and two moments in f32; files beside them and the headers are small. */
uint64_t pl_models_checkpoint_bytes(const struct pl_models *models, size_t behind)
{
    const uint64_t policy = models->shape->params;
    const uint64_t critic = has_critic(models->conf) ? models->critic.shape->params + 65536 : 0;
    const uint64_t other = 32u << 20; /* tokenizer, headers, checksums */

    return (policy + critic) * (2 + 3 * sizeof(float)) + behind * policy * 2 + other;
}

void pl_models_close(struct pl_models *models)
{
    pl_pack_destroy(models->pack);
    pl_critic_close(&models->critic); /* before the trainer that it borrows from */
    pl_trainer_destroy(models->trainer);
    pl_weights_destroy(models->past);
    pl_weights_destroy(models->reference);
    pl_shape_destroy(models->reference_shape);
    pl_weights_destroy(models->weights);
    pl_shape_destroy(models->shape);
    *models = (struct pl_models){0};
}
