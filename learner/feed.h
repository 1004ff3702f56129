/*
 * Feeding: the groups of a batch become prompts in the queue, each pinned to a version. Feeding
 * again what is there already changes nothing, so that the learner does it whenever something may
 * be missing.
 *
 *   training batch b:    version max(1, b + 1 - staleness); its gate waits for batch b - 1;
 *                        its spare prompts (refill.h) come after the others
 *   evaluation at step s: version s + 1, no gate
 *
 * In latest mode a training batch b asks for the newest version that there is, from
 * max(1, b + 1 - staleness_max) on.
 */
#ifndef PL_LEARNER_FEED_H
#define PL_LEARNER_FEED_H

#include "common/link/queues.h"
#include "common/model/config.h"
#include "learner/prompts.h"
#include "proto/rollout.h"

struct pl_feeder {
    const struct pl_run_conf *conf;
    const struct pl_config *config; /* for its stop ids */
    struct pl_queues *stream;
    struct pl_prompts *train, *val;
    struct pl_buf pb;
    struct pl_life life; /* goes with every prompt */
};

void pl_feeder_init(struct pl_feeder *feeder, const struct pl_run_conf *conf,
                    const struct pl_config *config, struct pl_queues *stream,
                    struct pl_prompts *train, struct pl_prompts *val);
void pl_feeder_release(struct pl_feeder *feeder);

/* What batch b is pinned to, or in latest mode the least that will do. */
uint64_t pl_feed_version(const struct pl_run_conf *conf, uint64_t batch);
size_t pl_feed_val_count(const struct pl_feeder *feeder);

/* *ret_new: groups that were not there. `previous`: accuracy of batch b - 1; NaN: it is not trained
 * yet, so that Redis will know it. Errors of pl_queues_feed(). */
int pl_feed_train(struct pl_feeder *feeder, uint64_t batch, double previous, size_t *ret_new,
                  struct pl_error *err);
/* Have one group of a training batch made once more: the caller says what of, this fills in the
 * prompt. Errors of pl_queues_redo(). */
int pl_feed_redo(struct pl_feeder *feeder, uint64_t batch, uint32_t index, struct pl_redo *redo,
                 struct pl_error *err);
/*
 * Whether a scored group is an answer to what is fed as group `index` of a batch, of training or of
 * an evaluation (pl_inspect_group()). PL_EFORMAT: it is not, or there is no such group.
 */
int pl_feed_judge(const struct pl_feeder *feeder, enum pl_purpose purpose, uint64_t batch,
                  uint32_t index, const struct pl_rollout_group *group, struct pl_error *err);
int pl_feed_val(struct pl_feeder *feeder, uint64_t step, size_t *ret_new, struct pl_error *err);

#endif
