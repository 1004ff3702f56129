/*
 * Which of the tasks that were read are written, and in which part: of some levels; then, in an
 * order drawn from the seed, exactly as many as are asked for. Where a task comes in that order
 * depends on the seed and its question alone.
 *
 * With components, tasks that share a link, or share one with a task that does, are together: no
 * component has tasks in both parts. Whole components fill the test part, in their order, as long
 * as they fit; where a rest remains, the smallest others are cut, and what is left of them goes to
 * neither part.
 */
#ifndef PL_TASKS_IMPORT_PARTS_H
#define PL_TASKS_IMPORT_PARTS_H

#include "deploy/tasks/import_set.h"

struct pl_import_choice {
    uint64_t seed;
    char *const *levels;       /* those that are taken */
    size_t level_count;        /* 0: all */
    bool parts;                /* train and test tasks are drawn; else count, as TRAIN */
    size_t train, test, count; /* count 0: all */
    bool per_level;            /* as many of each level */
    bool components;
};

struct pl_import_chosen {
    size_t components;                     /* of what has the right level; 0: not looked at */
    size_t other_level, not_drawn, shared; /* shared: left out for the sake of components */
};

/* Sets the part of every item. PL_EINVAL: there are not as many as asked for, or none. PL_ENOMEM.
 */
int pl_import_choose(struct pl_import_set *set, const struct pl_import_choice *choice,
                     struct pl_import_chosen *ret_chosen, struct pl_error *err);

#endif
