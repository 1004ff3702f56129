/*
 * Rollouts as JSON, one object a sample, for people and programs:
 *
 *   {"group": "12:3", "sample": 0, "version": 13, "actor": "actor-1", "finish_reason": "stop",
 *    "prompt": "...", "response": "...", "reward": 2.5, "reward_format": 1, "reward_final": 2,
 *    "reward_intermediate": 0.5, "reward_extra": 0, "gate": true, "format_ok": true,
 *    "verdict": "right", "steps": 2, "steps_right": 2, "first_answer": 9, "first_right": 9,
 *    "tokens": 61, "why": "",
 *    "segments": [{"kind": "think", "tokens": [0, 8], "step": -1, "verdict": "none"}, ...],
 *    "task": "kk-2-7", "source": "kk", "level": "2", "truth": "Zoey is a knight and ..."}
 *
 * Texts are valid UTF-8, whatever the model said; the token that ended a response is in its text.
 * A segment's tokens include its tags; `step` is the intermediate truth it matches, -1: none.
 */
#ifndef PL_LEARNER_TRANSCRIPT_H
#define PL_LEARNER_TRANSCRIPT_H

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/text/tokenizer.h"
#include "proto/rollout.h"
#include "proto/task.h"

#include <jansson.h>

/* The text of n ids, in place of what buf held. PL_EFULL, PL_ENOMEM. */
int pl_transcript_text(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                       struct pl_buf *buf, struct pl_error *err);

/* Sample s of a scored group whose prompt's text is `prompt`; a new reference. PL_ENOMEM. */
int pl_transcript_sample(const struct pl_rollout_group *group, size_t s, double reward, bool gate,
                         const char *prompt, const struct pl_tokenizer *tokenizer,
                         json_t **ret_sample, struct pl_error *err);

/* Add what the sample's task is: task, source, level, truth. What memory is out for is left out. */
void pl_transcript_task(json_t *sample, const struct pl_task *task);

/* One line of `out`; drops the reference. NULL is PL_ENOMEM; PL_EIO. */
int pl_transcript_write(struct pl_outfile *out, json_t *sample, struct pl_error *err);

#endif
