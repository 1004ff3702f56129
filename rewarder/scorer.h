/*
 * From a group of rollouts to a scored one: token ids become text, text becomes a score. What one
 * worker thread needs; threads share tokenizer and settings.
 */
#ifndef PL_REWARDER_SCORER_H
#define PL_REWARDER_SCORER_H

#include "common/text/tokenizer.h"
#include "proto/rollout.h"
#include "rewarder/reward.h"

struct pl_scorer;

/* Both are borrowed. PL_ENOMEM. Ended with pl_scorer_destroy(). */
int pl_scorer_create(const struct pl_tokenizer *tokenizer, const struct pl_reward_opts *opts,
                     struct pl_scorer **ret_scorer);
void pl_scorer_destroy(struct pl_scorer *scorer); /* NULL is fine */

/*
 * Fill in the scores of a group at stage rollout, which becomes scored; they point into the scorer
 * until its next call. *ret_right, *ret_formatted: how many samples are right, of valid form.
 * PL_EFORMAT: the task or its verifier is none. An id that is no token reads as U+FFFD.
 */
int pl_scorer_group(struct pl_scorer *scorer, struct pl_rollout_group *group, const char *rewarder,
                    uint32_t *ret_right, uint32_t *ret_formatted, struct pl_error *err);

/* Score a text that comes without tokens; offsets in the score are bytes then. */
int pl_scorer_text(struct pl_scorer *scorer, const struct pl_task *task, enum pl_method method,
                   const char *text, size_t len, struct pl_score *ret_score, struct pl_error *err);

#endif
