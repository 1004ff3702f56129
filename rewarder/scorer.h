/*
 * From a group of rollouts to a scored one: token ids become text, text becomes a score. What one
 * worker thread needs; threads share tokenizer and settings.
 */
#ifndef PL_REWARDER_SCORER_H
#define PL_REWARDER_SCORER_H

#include "common/text/tokenizer.h"
#include "proto/rollout.h"
#include "proto/score.h"
#include "rewarder/reward.h"

struct pl_scorer;

/* Both are borrowed, as is what opts points to; opts->exec is the scorer's own. PL_ENOMEM. Ended
 * with pl_scorer_destroy(). */
int pl_scorer_create(const struct pl_tokenizer *tokenizer, const struct pl_reward_opts *opts,
                     struct pl_scorer **ret_scorer);
void pl_scorer_destroy(struct pl_scorer *scorer); /* NULL is fine */

/*
 * Fill in the scores of a group at stage rollout, which becomes scored; they point into the scorer
 * until its next call. *ret_right, *ret_formatted: how many samples are right, of valid form.
 * PL_EFORMAT: the task or its verifier is none. PL_EINVAL, PL_EIO: the settings name no program for
 * the verifier exec, or one of no use. PL_EAGAIN: that program did not say of one of the samples;
 * none of the group has a score, and it is to be scored again, here or elsewhere. An id that is no
 * token reads as U+FFFD. opts->program.pulse is called before each sample, whatever the verifier.
 */
int pl_scorer_group(struct pl_scorer *scorer, struct pl_rollout_group *group, const char *rewarder,
                    uint32_t *ret_right, uint32_t *ret_formatted, struct pl_error *err);

/*
 * Score responses that come by themselves, all or none; *ret_scores (count) point into the scorer
 * until its next call. Of a text the tokens are not known: offsets are bytes then, and nothing is
 * overlong. Errors as above. PL_ENOMEM.
 */
int pl_scorer_responses(struct pl_scorer *scorer, const struct pl_task *task, enum pl_method method,
                        const struct pl_response *responses, size_t count,
                        struct pl_score *ret_scores, struct pl_error *err);

#endif
