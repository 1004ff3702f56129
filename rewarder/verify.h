/*
 * Verifiers: is what was answered what is true? By rule, never by a model. Each takes time linear
 * in the answer (at most 10 ms a megabyte) and memory that does not grow with it.
 *
 * A verifier is one row of a table; tasks name theirs.
 */
#ifndef PL_REWARDER_VERIFY_H
#define PL_REWARDER_VERIFY_H

#include "proto/rollout.h"
#include "proto/task.h"

#include <stddef.h>

struct pl_verifier {
    const char *name;
    /* PL_VERDICT_RIGHT, _WRONG, or _UNPARSED where the answer is not of the form of an answer. */
    enum pl_verdict (*final)(const struct pl_task *task, const char *answer, size_t len);
    /* The same of an intermediate answer and one intermediate truth. */
    enum pl_verdict (*step)(const struct pl_task *task, const struct pl_truth *truth,
                            const char *answer, size_t len);
    /* Whether the task's truths are what the verifier can compare with; NULL: any. */
    int (*check)(const struct pl_task *task, struct pl_error *err);
};

const struct pl_verifier *pl_verifier_named(const char *name); /* NULL: there is none */

/* Whether a task can be scored. PL_EFORMAT: its verifier is not known, or its truths are not what
 * that one compares with. */
int pl_verifier_check(const struct pl_task *task, struct pl_error *err);

/* "kk": roles of Knights and Knaves, in any wording that names every person once with its role
 * ("Zoey is a knight", "(1) Zoey is a knight"), whole words, upper and lower case alike. */
extern const struct pl_verifier pl_verify_kk;

/* "em": the text of the truth or of one of its aliases, by em.h's rule of what is the same. */
extern const struct pl_verifier pl_verify_em;

#endif
