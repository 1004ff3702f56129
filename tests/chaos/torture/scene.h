/*
 * A run without processes: a model of some thousand weights with a critic, whose state after any
 * number of steps is a formula, saved and resumed by the code that the learner saves and resumes
 * with. Included after cmocka's headers; whatever fails here fails the test.
 */
#ifndef PL_TESTS_CHAOS_SCENE_H
#define PL_TESTS_CHAOS_SCENE_H

#include "common/app/run_conf.h"
#include "common/base/err.h"
#include "learner/models.h"

#include <jansson.h>
#include <stdint.h>

enum { PL_SCENE_STEPS = 16 };

struct pl_scene {
    struct pl_run_conf conf;
    struct pl_models models;
    json_t *agree;
    const char *base, *run, *yaml;   /* the model it began with, its folder, its settings */
    uint64_t hashes[PL_SCENE_STEPS]; /* of all state after so many steps */
};

/* In the scratch folder; `base` is made, `run` is not. */
void pl_scene_open(struct pl_scene *scene);
void pl_scene_close(struct pl_scene *scene);

void pl_scene_set(struct pl_scene *scene, uint64_t step); /* all state as after `step` steps */

/* As the learner after `step` steps: a line of metrics for each since `from`, all flushed, a
 * checkpoint, and of these the `keep` last stay (0: all). From opening the folder to closing it. */
int pl_scene_save(struct pl_scene *scene, uint64_t from, uint64_t step, size_t keep,
                  struct pl_error *err);
int pl_scene_keep_best(struct pl_scene *scene, uint64_t step, double accuracy,
                       struct pl_error *err);
int pl_scene_write_model(struct pl_scene *scene, uint64_t step, struct pl_error *err);

struct pl_scene_found {
    uint64_t step;  /* 0: from the beginning */
    bool torn;      /* what was read is not the state after that many steps */
    uint64_t last;  /* step of the last of them */
    uint64_t lines; /* of metrics that stay */
    uint64_t best;  /* step of the best policy, UINT64_MAX: there is none */
};

/* As a learner that starts: all that it reads before it trains. */
int pl_scene_resume(struct pl_scene *scene, struct pl_scene_found *ret_found, struct pl_error *err);

/* What stands in best/ is whole: its step, or UINT64_MAX; with the values of that step, or the test
 * fails. */
int pl_scene_read_best(struct pl_scene *scene, uint64_t *ret_step, struct pl_error *err);

/* The values of a model folder are the policy's after `step` steps. */
bool pl_scene_is_model(const struct pl_scene *scene, const struct pl_weights *weights,
                       uint64_t step);

#endif
