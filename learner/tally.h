/*
 * What scored samples come to, trained on or not: means of training steps, of evaluations in
 * between, and of `plait eval`, all counted in one way.
 *
 *   right         share of samples whose final answer is right (Pass@1)
 *   formatted     share whose form is valid
 *   ttfa          token at which the first answer's content begins over the response's length, from
 *                 0 to 1, over the samples that have an answer; ttfa_tokens: that token. An answer
 *                 is one that says something: letters, digits, symbols (pl_segments_seen())
 *   ttfa_right    the same of the first answer that is right, final or intermediate, over the
 *                 samples that have one: what comes early and is wrong, or empty, does not make it
 *                 smaller
 *   steps_right   intermediate answers given of those that the tasks have
 *
 * Sums depend on the order in which samples are added, in their last bits.
 */
#ifndef PL_LEARNER_TALLY_H
#define PL_LEARNER_TALLY_H

#include "proto/rollout.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_spread {
    double sum, least, most;
    size_t n;
};

void pl_spread_add(struct pl_spread *spread, double value);
double pl_spread_mean(const struct pl_spread *spread); /* NaN: of nothing */

struct pl_tally { /* zeroed: of no samples */
    struct pl_spread score, length, right_length, wrong_length;
    size_t n, right, unparsed, formatted, clipped;
    size_t with_answer; /* samples that ttfa is over */
    double ttfa, ttfa_tokens;
    size_t with_right; /* samples that ttfa_right is over */
    double ttfa_right, ttfa_right_tokens;
    size_t answers, steps, steps_right;
    size_t paid; /* samples whose intermediate reward was not 0 */
};

/* `score`: its whole reward, with the gate as it was. */
void pl_tally_add(struct pl_tally *tally, const struct pl_rollout *rollout, double score,
                  bool gate);

#endif
