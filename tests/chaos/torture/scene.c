#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/mini_tokenizer.h"
#include "tests/scratch.h"

#include "tests/chaos/torture/scene.h"

#include "common/app/metrics.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "common/model/init.h"
#include "learner/best.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct pl_config config = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 8,
    .layers = 1,
    .heads = 2,
    .kv_heads = 1,
    .head_dim = 4,
    .ffn = 12,
    .vocab = 300,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .tied = true,
    .qkv_bias = true,
    .init_range = 0.1,
    .bos = -1,
    .pad = -1,
};

static struct pl_error problem;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", problem.text);
}

static void make_base(const char *base)
{
    const struct pl_test_mini mini = {.merges = pl_test_merges};
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;

    must(pl_shape_create(&config, &shape, &problem));
    must(pl_weights_create(shape, &weights, &problem));
    must(pl_weights_init(weights, 5, NULL, &problem));
    must(pl_model_save(base, false, weights, NULL, 0, &problem));
    pl_test_mini_save(&mini, base);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
}

/* ---- state ---- */

/* Of one model: what it began with, moved by a little that depends on step and place. */
static void set_state(struct pl_trainer *trainer, const struct pl_shape *shape,
                      const struct pl_weights *from, uint64_t step)
{
    struct pl_adamw_state *s = pl_trainer_state(trainer);

    for (size_t i = 0; i < shape->count + s->tail_count; i++) {
        const bool tail = i >= shape->count;
        const struct pl_tensor *t = tail ? &s->tail[i - shape->count] : &shape->tensors[i];
        uint16_t *row = malloc((t->rows + 31) / 32 * 32 * t->cols * sizeof *row);

        assert_non_null(row);
        for (size_t r = 0; !tail && r < t->rows; r += 32)
            pl_weights_get(from, t, r, t->rows - r < 32 ? t->rows - r : 32, row + r * t->cols);
        for (size_t j = 0; j < pl_tensor_size(t); j++) {
            const uint32_t word = tail ? 0 : (uint32_t)row[j] << 16;
            float *at = s->master + t->offset + j, was;

            memcpy(&was, &word, sizeof was);
            *at = was + (float)step * 1e-3f * (float)((j * 7 + i + step) % 17);
            s->m[t->offset + j] = step == 0 ? 0.0f : *at * 0.5f;
            s->v[t->offset + j] = step == 0 ? 0.0f : *at * *at;
        }
        free(row);
    }
    s->step = step;
    pl_trainer_sync(trainer);
}

static uint64_t hash_state(uint64_t seed, struct pl_trainer *trainer, const struct pl_shape *shape,
                           const struct pl_weights *weights)
{
    const struct pl_adamw_state *s = pl_trainer_state(trainer);
    const size_t bytes = pl_adamw_floats(shape, s) * sizeof(float);

    seed = XXH3_64bits_withSeed(s->master, bytes, seed);
    seed = XXH3_64bits_withSeed(s->m, bytes, seed);
    seed = XXH3_64bits_withSeed(s->v, bytes, seed);
    return XXH3_64bits_withSeed(weights->memory, pl_weights_bytes(shape), seed);
}

static uint64_t hash_models(struct pl_models *m)
{
    return hash_state(hash_state(1, m->trainer, m->shape, m->weights), m->critic.trainer,
                      m->critic.shape, m->critic.weights);
}

void pl_scene_set(struct pl_scene *scene, uint64_t step)
{
    struct pl_models *m = &scene->models;

    set_state(m->trainer, m->shape, m->reference, step);
    set_state(m->critic.trainer, m->critic.shape, m->reference, step);
}

bool pl_scene_is_model(const struct pl_scene *scene, const struct pl_weights *weights,
                       uint64_t step)
{
    pl_scene_set((struct pl_scene *)scene, step);
    return memcmp(weights->memory, scene->models.weights->memory,
                  pl_weights_bytes(scene->models.shape)) == 0;
}

/* ---- opening ---- */

/* From the newest checkpoint, where there is one that agrees. */
static int open_models(struct pl_models *models, const struct pl_scene *scene,
                       struct pl_savepoint *point, struct pl_error *err)
{
    struct pl_train_state state;
    char *checkpoint = NULL;
    int rc = pl_rundir_latest(scene->conf.dir, &checkpoint, err);

    if (rc == PL_OK)
        rc = pl_models_load(models, &scene->conf, checkpoint, err);
    if (rc == PL_OK && checkpoint)
        rc = pl_state_check(checkpoint, scene->agree, &state, err);
    if (rc == PL_OK)
        rc = pl_models_ready(models, checkpoint, point, err);
    free(checkpoint);
    return rc;
}

void pl_scene_open(struct pl_scene *scene)
{
    struct pl_savepoint point = {0};
    char *text;

    *scene = (struct pl_scene){
        .base = pl_scratch("base"), .run = pl_scratch("run"), .yaml = pl_scratch("run.yaml")};
    make_base(scene->base);
    text = pl_strf("run: {name: t, dir: %s}\nmodel.path: %s\n"
                   "data: {train_files: [%s], max_prompt_length: 16, max_response_length: 16, "
                   "train_batch_size: 2}\n"
                   "rollout.n: 2\nalgorithm.adv_estimator: gae\n"
                   "actor: {ppo_max_token_len: 64, use_kl_loss: true}\n",
                   scene->run, scene->base, pl_scratch("train.jsonl"));
    assert_non_null(text);
    pl_scratch_text(scene->yaml, text);
    free(text);
    must(pl_run_conf_load(scene->yaml, NULL, 0, &scene->conf, &problem));
    scene->agree = json_pack("{s:s}", "run.seed", "7");
    must(open_models(&scene->models, scene, &point, &problem));
    for (uint64_t step = 0; step < PL_SCENE_STEPS; step++) {
        pl_scene_set(scene, step);
        scene->hashes[step] = hash_models(&scene->models);
    }
}

void pl_scene_close(struct pl_scene *scene)
{
    pl_models_close(&scene->models);
    json_decref(scene->agree);
    pl_run_conf_release(&scene->conf);
}

/* ---- what a learner does ---- */

static int open_metrics(const struct pl_scene *scene, uint64_t step, struct pl_metrics **ret,
                        struct pl_error *err)
{
    char *path = pl_strf("%s/metrics.jsonl", scene->run);
    int rc = path ? pl_metrics_open(path, (int64_t)step, ret, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a name");

    free(path);
    return rc;
}

static int write_lines(struct pl_metrics *metrics, uint64_t from, uint64_t step,
                       struct pl_error *err)
{
    int rc = PL_OK;

    for (uint64_t s = from + 1; rc == PL_OK && s <= step; s++) {
        pl_metrics_begin(metrics, s);
        pl_metrics_real(metrics, "critic/score/mean", 0.25 * (double)s);
        rc = pl_metrics_end(metrics, err);
    }
    return rc == PL_OK ? pl_metrics_sync(metrics, err) : rc;
}

/* An older version that batches to come are pinned to. */
static int add_behind(const struct pl_scene *scene, struct pl_savepoint *point,
                      struct pl_error *err)
{
    const size_t params = scene->models.shape->params;
    uint16_t *values = malloc(params * sizeof *values);

    if (!values)
        return pl_fail(err, PL_ENOMEM, "no memory for an older version");
    for (size_t i = 0; i < params; i++)
        values[i] = (uint16_t)(0x3F00 + (i + point->step) % 64);
    point->behind[0].version = point->step;
    point->behind[0].values = values;
    point->behind_count = 1;
    return PL_OK;
}

int pl_scene_save(struct pl_scene *scene, uint64_t from, uint64_t step, size_t keep,
                  struct pl_error *err)
{
    struct pl_rundir dir = {.lock = -1};
    struct pl_metrics *metrics = NULL;
    struct pl_savepoint point = {.step = step, .accuracy = 0.5, .kl_coef = 0.001};
    int rc = pl_rundir_open(scene->run, true, &dir, err);

    point.train.eval_best = NAN;
    snprintf(point.train.core, sizeof point.train.core, "%s", "core");
    if (rc == PL_OK)
        rc = open_metrics(scene, from, &metrics, err);
    if (rc == PL_OK)
        rc = write_lines(metrics, from, step, err);
    if (rc == PL_OK)
        rc = add_behind(scene, &point, err);
    if (rc == PL_OK)
        rc = pl_models_save(&scene->models, &dir, scene->agree, scene->models.shape->params, &point,
                            err);
    if (rc == PL_OK)
        rc = pl_rundir_prune(&dir, step, keep, err);
    if (point.behind_count > 0)
        free(point.behind[0].values);
    pl_metrics_close(metrics);
    pl_rundir_close(&dir);
    return rc;
}

int pl_scene_keep_best(struct pl_scene *scene, uint64_t step, double accuracy, struct pl_error *err)
{
    struct pl_best best = {0};
    int rc = pl_best_open(scene->run, &best, err);

    if (rc == PL_OK && pl_best_beaten(&best, step, accuracy))
        rc = pl_best_keep(&best, step, accuracy, scene->models.weights, scene->base, err);
    pl_best_release(&best);
    return rc;
}

int pl_scene_write_model(struct pl_scene *scene, uint64_t step, struct pl_error *err)
{
    char *path = pl_strf("%s/model", scene->run);
    int rc = path ? pl_model_save(path, true, scene->models.weights, scene->base, 6000, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a name");

    (void)step;
    free(path);
    return rc;
}

static int count_lines(const struct pl_scene *scene, uint64_t *ret_lines, struct pl_error *err)
{
    char *path = pl_strf("%s/metrics.jsonl", scene->run), *text = NULL;
    size_t len = 0;
    int rc = path ? pl_file_read(path, 1 << 20, &text, &len, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a name");

    *ret_lines = 0;
    for (size_t i = 0; rc == PL_OK && i < len; i++)
        *ret_lines += text[i] == '\n';
    free(text);
    free(path);
    return rc;
}

int pl_scene_resume(struct pl_scene *scene, struct pl_scene_found *ret_found, struct pl_error *err)
{
    struct pl_scene_found found = {.best = UINT64_MAX};
    struct pl_savepoint point = {0};
    struct pl_models models = {0};
    struct pl_rundir dir = {.lock = -1};
    struct pl_metrics *metrics = NULL;
    struct pl_best best = {0};
    int rc = pl_rundir_open(scene->run, true, &dir, err);

    if (rc == PL_OK)
        rc = open_models(&models, scene, &point, err);
    if (rc == PL_OK) {
        found.step = point.step;
        found.torn =
            point.step >= PL_SCENE_STEPS || hash_models(&models) != scene->hashes[point.step];
        for (size_t i = 0; i < point.behind_count; i++) {
            for (size_t k = 0; k < models.shape->params; k++)
                found.torn |= point.behind[i].values[k] != 0x3F00 + (k + point.step) % 64;
            free(point.behind[i].values);
        }
    }
    if (rc == PL_OK)
        rc = pl_best_open(scene->run, &best, err);
    if (rc == PL_OK && best.accuracy >= 0.0)
        found.best = best.step;
    if (rc == PL_OK)
        rc = open_metrics(scene, point.step, &metrics, err);
    if (rc == PL_OK)
        found.last = pl_metrics_last(metrics);
    if (rc == PL_OK)
        rc = pl_metrics_events(metrics, err);
    if (rc == PL_OK)
        rc = count_lines(scene, &found.lines, err);
    pl_metrics_close(metrics);
    pl_best_release(&best);
    pl_models_close(&models);
    pl_rundir_close(&dir);
    if (rc == PL_OK)
        *ret_found = found;
    return rc;
}

int pl_scene_read_best(struct pl_scene *scene, uint64_t *ret_step, struct pl_error *err)
{
    struct pl_best best = {0};
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    int rc = pl_best_open(scene->run, &best, err);

    *ret_step = UINT64_MAX;
    if (rc == PL_OK && best.accuracy >= 0.0) {
        *ret_step = best.step;
        rc = pl_model_load(best.path, NULL, &shape, &weights, err);
        if (rc == PL_OK && !pl_scene_is_model(scene, weights, best.step))
            fail_msg("'%s' holds other weights than those of step %d", best.path, (int)best.step);
        pl_weights_destroy(weights);
        pl_shape_destroy(shape);
    }
    pl_best_release(&best);
    return rc;
}
