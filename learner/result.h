/*
 * The result of a run: DIR/model, a model folder with
 *
 *   plait_result.json     {"run": NAME, "step": N, "run_id": HEX}
 *
 * which is there whole or not at all, and says of which step it is, so that nobody takes an earlier
 * result for that of the last step.
 */
#ifndef PL_LEARNER_RESULT_H
#define PL_LEARNER_RESULT_H

#include "common/app/run_conf.h"
#include "common/base/err.h"
#include "common/model/weights.h"

#include <stdbool.h>
#include <stdint.h>

#define PL_RESULT_FILE "plait_result.json"

/* PL_EIO, PL_ENOMEM: what was there is as it was. */
int pl_result_write(const struct pl_run_conf *conf, uint64_t step, const struct pl_weights *weights,
                    struct pl_error *err);

/* The step that the result in `dir`, a run.dir, is of. PL_ENOENT: there is no result, or none that
 * says its step; PL_EFORMAT: the file is not as written. PL_EIO, PL_ENOMEM. */
int pl_result_step(const char *dir, uint64_t *ret_step, struct pl_error *err);

/* Whether the result in `dir` is of that step, and of the run that is in `dir` now. */
bool pl_result_is_of(const char *dir, uint64_t step);

#endif
