/*
 * Knights and Knaves the slow way, for tests: claims by recursion, worlds one after the other. Goes
 * by kk_puzzle.h's structs and by none of its functions.
 */
#ifndef PL_TESTS_KK_NAIVE_H
#define PL_TESTS_KK_NAIVE_H

#include "deploy/tasks/kk_puzzle.h"

/* Whether a claim is true in a world. */
bool pl_naive_true(const struct pl_kk_claim *claim, uint32_t world);

/* Whether what `speaker` says fits a world: true by a knight, false by a knave. */
bool pl_naive_fits(const struct pl_kk *puzzle, size_t speaker, uint32_t world);

/* The number of solutions, the lowest in *ret_solution. */
size_t pl_naive_solve(const struct pl_kk *puzzle, uint32_t *ret_solution);

/* A puzzle with claims of up to `nodes` nodes, deep and wide, number `index` of its kind. Returns
 * the number of its solutions; puzzle->solution is the lowest. */
size_t pl_naive_random(size_t people, size_t nodes, uint32_t index, struct pl_kk *ret_puzzle);

/* The same with claims "I am a knight if and only if an odd (or even) number of these people are":
 * nothing follows from one of them until all but one of its people are known. */
size_t pl_naive_parity(size_t people, uint32_t index, struct pl_kk *ret_puzzle);

#endif
