/*
 * A Knights and Knaves puzzle: 2 to 8 people, each of whom makes one claim. A knight's claim is
 * true, a knave's is false; so person i is a knight if and only if claim i is true, and that is all
 * that is known.
 *
 * A claim is a tree over "person p is a knight" and "person p is a knave", kept as its nodes in
 * prefix order:
 *
 *   "zoey is a knight or max is a knave"  ->  {OR, 2 parts} {TRUTHFUL, 0} {LYING, 1}
 *
 * A world says for every person whether he or she is a knight: bit i of its number. A set of worlds
 * is 256 bits, so that a claim becomes the set of worlds it is true in, and "follows from" becomes
 * "is a subset of": every world is looked at, and nothing is searched.
 *
 * Always true of a puzzle that a function here or kk_literal.h returned:
 *   - PL_KK_PEOPLE_MIN <= people <= PL_KK_PEOPLE_MAX; claims speak of these people only;
 *   - every claim is a whole tree of at most PL_KK_NODES_MAX nodes.
 *
 * One from pl_kk_generate() has exactly one solution besides, and `solution` is it.
 *
 * Nothing here allocates or keeps state; threads may use it freely.
 */
#ifndef PL_TASKS_KK_PUZZLE_H
#define PL_TASKS_KK_PUZZLE_H

#include "common/base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_KK_PEOPLE_MIN = 2,
    PL_KK_PEOPLE_MAX = 8,
    PL_KK_NODES_MAX = 64,  /* of one claim */
    PL_KK_NAME_BYTES = 32, /* of one name, its NUL included */
    PL_KK_NAMES = 48,      /* what pl_kk_name() knows */
    PL_KK_VOICES = 12,     /* ways to say that somebody said something */
};

enum pl_kk_kind {
    PL_KK_TRUTHFUL, /* value is a person */
    PL_KK_LYING,    /* value is a person */
    PL_KK_NOT,      /* value, of all that follow, is the number of parts: 1 */
    PL_KK_AND,      /* 2 or more */
    PL_KK_OR,       /* 2 or more */
    PL_KK_IMPLIES,  /* 2: if the first then the second, material implication */
    PL_KK_EQUALS,   /* 2 */
    PL_KK_KINDS,
};

struct pl_kk_node {
    uint8_t kind, value;
};

struct pl_kk_claim {
    size_t count;
    struct pl_kk_node nodes[PL_KK_NODES_MAX];
};

struct pl_kk {
    size_t people;
    char names[PL_KK_PEOPLE_MAX][PL_KK_NAME_BYTES];
    struct pl_kk_claim claims[PL_KK_PEOPLE_MAX];
    uint8_t voices[PL_KK_PEOPLE_MAX]; /* below PL_KK_VOICES; wording only */
    uint32_t solution;                /* a world */
};

struct pl_kk_worlds {
    uint64_t bits[4];
};

/* "telling-truth", "lying", "not", "and", "or", "->", "<=>": the published names. */
const char *pl_kk_kind_name(enum pl_kk_kind kind);

/* First names, none of which is contained in another; the early ones are short. */
const char *pl_kk_name(size_t i);

/* The sets of: all worlds; those in which a person is a knight; those in which a claim is true;
 * those that the claim of `speaker`, made by a knight or by a knave, leaves possible. */
struct pl_kk_worlds pl_kk_all(size_t people);
struct pl_kk_worlds pl_kk_knight(size_t person);
struct pl_kk_worlds pl_kk_claim_worlds(const struct pl_kk_claim *claim);
struct pl_kk_worlds pl_kk_rule(const struct pl_kk *puzzle, size_t speaker);

struct pl_kk_worlds pl_kk_both(struct pl_kk_worlds a, struct pl_kk_worlds b);
struct pl_kk_worlds pl_kk_without(struct pl_kk_worlds a, struct pl_kk_worlds b);
bool pl_kk_empty(struct pl_kk_worlds a);

/* The number of worlds that all claims leave possible, and the lowest of them if there is one. */
size_t pl_kk_solve(const struct pl_kk *puzzle, uint32_t *ret_solution);

/*
 * Puzzle `index` of `people` people from `seed`: a pure function of the four arguments. Claims are
 * drawn as the published data set has them: one of the six forms (about one person, the denial of
 * that, and, or, if, if and only if) with equal chance, parts about one person each and unlike each
 * other, never "I am a knave"; sets of claims are drawn until one has exactly one solution.
 *   people: PL_KK_PEOPLE_MIN to PL_KK_PEOPLE_MAX; names: how many of the first names are used, from
 *   `people` to PL_KK_NAMES.
 */
void pl_kk_generate(uint64_t seed, size_t people, uint32_t index, size_t names,
                    struct pl_kk *ret_puzzle);

/* The same number for puzzles with the same names and claims in the same order, however worded. */
uint64_t pl_kk_key(const struct pl_kk *puzzle);

/*
 * The same number for puzzles that are one puzzle in disguise: other names, people in another
 * order, the parts of an and, or, if-and-only-if turned round, "is not a knight" for "is a knave".
 * Two that differ may share a number, too, which is rare.
 */
uint64_t pl_kk_shape(const struct pl_kk *puzzle);

#endif
