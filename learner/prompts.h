/*
 * The tasks of a run as prompts: read, put behind their instruction, made token ids, those that are
 * too long left out and counted.
 *
 * Which task stands at place i of training batch b is a pure function of (seed, b, i): the passes
 * over the tasks are shuffled each by itself, with Philox of (seed, PL_RNG_SHUFFLE, pass).
 */
#ifndef PL_LEARNER_PROMPTS_H
#define PL_LEARNER_PROMPTS_H

#include "common/app/run_conf.h"
#include "common/base/err.h"
#include "common/text/tokenizer.h"
#include "proto/task.h"

#include <stddef.h>
#include <stdint.h>

struct pl_prompt {
    const struct pl_task *task;
    const uint32_t *ids;
    size_t len;
};

struct pl_prompts {
    struct pl_tasks *files; /* one a file */
    size_t file_count;
    struct pl_prompt *list;
    size_t count, left_out;
    char *instruction; /* NULL: none */
    uint32_t *ids;
    uint32_t *order; /* (count) of pass order_pass */
    uint64_t order_pass;
};

/*
 * `vocab`: of the model. PL_EFORMAT: a line is no task; the file is named. PL_EINVAL: nothing is
 * short enough. PL_ENOENT, PL_EIO, PL_ENOMEM; errors of the template. Ended with
 * pl_prompts_release().
 */
int pl_prompts_load(const struct pl_run_conf *conf, const struct pl_option_list *files,
                    const struct pl_tokenizer *tokenizer, size_t vocab,
                    struct pl_prompts *ret_prompts, struct pl_error *err);
void pl_prompts_release(struct pl_prompts *prompts); /* zeroed is fine */

/* Place i of training batch b of `groups` prompts. *ret_epoch (may be NULL): passes done before. */
const struct pl_prompt *pl_prompts_at(struct pl_prompts *prompts, uint64_t seed, uint64_t batch,
                                      size_t groups, size_t i, uint64_t *ret_epoch);

/* Spare j of training batch b: any prompt, drawn by these two numbers alone. */
const struct pl_prompt *pl_prompts_spare(const struct pl_prompts *prompts, uint64_t seed,
                                         uint64_t batch, size_t j);

#endif
