/*
 * Families of made-up problems: one row of a table each, by which `plait data generate` draws them,
 * words them and writes them down.
 *
 *   kk     Knights and Knaves (kk_puzzle.h); size: people
 *   hops   questions over given facts (hops.h); size: hops
 *   arith  chained arithmetic (arith.h); size: ops
 *
 * A problem is a pure function of its family, the options of the draw, its size (how hard it is)
 * and its index. It has exactly one right answer, which follows from its question alone.
 *
 * Every family keeps to this:
 *   - the id of a made problem is FAMILY-SIZE-SEED-INDEX, its task's source is the family's name;
 *   - the *shape* of a problem is the same number for all that are one in disguise: what is left
 *     when names, numbers and order are taken away, as far as the family says;
 *   - plain wording has the signs and words of a question, and of all answers, a blank before each.
 *
 * The rows are constant and nothing here keeps state; threads may use them freely.
 */
#ifndef PL_TASKS_FAMILY_H
#define PL_TASKS_FAMILY_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "deploy/tasks/arith.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/hops.h"
#include "deploy/tasks/kk_puzzle.h"
#include "deploy/tasks/worked.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_FAMILY_SIZE_MAX = 8,                   /* of any family: one digit */
    PL_FAMILY_SIZES = PL_FAMILY_SIZE_MAX + 1, /* as an array's length */
    PL_FAMILY_KINDS_MAX = 16,                 /* of what problems are made of */
};

struct pl_family;

struct pl_problem {
    const struct pl_family *family;
    size_t size;
    enum pl_wording wording;
    union {
        struct pl_kk kk;
        struct pl_hops hops;
        struct pl_arith arith;
    } of;
};

/* What a draw depends on besides size and index. What a family does not take is 0 for it. */
struct pl_family_draw {
    uint64_t seed;
    size_t names, distractors;
    enum pl_wording wording;
};

/* What an option of a family may be; most 0: the family has no such option. */
struct pl_family_range {
    size_t least, most, initial;
};

/* A problem on its way into a file. */
struct pl_task_item {
    const struct pl_problem *problem;
    const char *id, *question;
    const uint64_t *seed; /* NULL: the problem was not made here */
    uint64_t index;
};

struct pl_family {
    const char *name;         /* as typed: "kk" */
    const char *about;        /* "Knights and Knaves" */
    const char *noun, *nouns; /* what a problem is called, one and many: "puzzle", "puzzles" */
    enum pl_draws_family draws;

    const char *size;                      /* what the size counts, also its option: "people" */
    size_t size_min, size_max;             /* 1 to PL_FAMILY_SIZE_MAX */
    size_t sizes_initial[PL_FAMILY_SIZES]; /* ends with 0 */
    struct pl_family_range names, distractors;

    /* How many names a draw of this size may use up; NULL: the family has no names. */
    size_t (*names_needed)(const struct pl_family_draw *draw, size_t size);
    /* Sets ret_problem->of; the rest is set. */
    void (*draw)(const struct pl_family_draw *draw, uint32_t index, struct pl_problem *ret_problem);
    uint64_t (*key)(const struct pl_problem *problem);   /* no two of a set have the same */
    uint64_t (*shape)(const struct pl_problem *problem); /* see above */

    /* These add to buf: PL_OK, PL_ENOMEM, PL_EFULL. */
    int (*question)(const struct pl_problem *problem, struct pl_buf *buf);
    int (*task)(const struct pl_task_item *item, struct pl_buf *buf); /* the line of proto/task.h */
    int (*answer)(const struct pl_problem *problem, const struct pl_worked_opts *opts,
                  struct pl_buf *buf, bool *ret_correct);
    /* How likely a careless answer is right. */
    double (*chance)(const struct pl_problem *problem);

    /* For the summary: what problems are made of ("claims"), its kinds, and how many of each a
     * problem has, which are added to counts. */
    const char *kinds;
    size_t kind_count;
    const char *(*kind_name)(size_t kind);
    void (*count)(const struct pl_problem *problem, uint64_t counts[PL_FAMILY_KINDS_MAX]);
};

/* In NAME_family.c each. */
extern const struct pl_family pl_family_kk, pl_family_hops, pl_family_arith;

size_t pl_family_count(void);
const struct pl_family *pl_family_at(size_t i);

/* PL_EINVAL: there is none of that name; the sentence says which there are. */
int pl_family_named(const char *name, const struct pl_family **ret_family, struct pl_error *err);

void pl_family_draw(const struct pl_family *family, const struct pl_family_draw *draw, size_t size,
                    uint32_t index, struct pl_problem *ret_problem);

#endif
