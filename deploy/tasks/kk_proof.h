/*
 * The solution of a puzzle, derived one role after the other, each by steps that a careful reader
 * can check one by one:
 *
 *   BY       what `speaker` says settles the role of `person`, given the roles known so far: either
 *            the speaker's role is known, so the claim is known to be true or false and `person`
 *            is in it; or `person` is the speaker, whose claim is known to be true or false
 *   SUPPOSE  `person` is what he or she turns out not to be
 *   BUT      `speaker`, whose role is known, cannot have said that: a contradiction
 *   SO       the innermost supposition is wrong: `person` is the opposite; what was known inside it
 *            is forgotten
 *
 * No step hides a case distinction. Roles follow without a supposition where they can; else the
 * supposition is taken that is refuted in the fewest steps; steps that a refutation does without
 * are left out. Suppositions lie within each other only where a single one refutes nothing: in one
 * of 3,940 published puzzles. This proves every role of every puzzle with one solution, because in
 * the end suppositions about everybody contradict somebody.
 */
#ifndef PL_TASKS_KK_PROOF_H
#define PL_TASKS_KK_PROOF_H

#include "deploy/tasks/kk_puzzle.h"

enum {
    /* A refutation that leaves m roles open takes at most r(m) = 2 r(m - 1) + 2 steps, r(0) = 1, so
     * r(m) = 3 * 2^m - 2, and the proof of all 8 roles no more than r(8) of them. Unfinished
     * ones lie behind each other while a proof is made: r(8) + r(7) + ... + r(0) and the same again
     * for one that is compared with the best. */
    PL_KK_STEPS_MAX = 4096,
};

enum pl_kk_move { PL_KK_BY, PL_KK_SUPPOSE, PL_KK_BUT, PL_KK_SO };

struct pl_kk_step {
    uint8_t move;
    uint8_t speaker;     /* of BY and BUT */
    uint8_t person;      /* of BY, SUPPOSE and SO */
    bool knight;         /* the role of `person` */
    bool speaker_knight; /* of BY about another than the speaker, and of BUT: the speaker's role */
};

struct pl_kk_proof {
    size_t people;
    uint8_t order[PL_KK_PEOPLE_MAX]; /* whose role is proved first, second, ... */
    size_t ends[PL_KK_PEOPLE_MAX];   /* the steps up to here prove order[0..i] */
    struct pl_kk_step steps[PL_KK_STEPS_MAX];
};

/* The puzzle must have exactly one solution, given as puzzle->solution. */
void pl_kk_prove(const struct pl_kk *puzzle, struct pl_kk_proof *ret_proof);

#endif
