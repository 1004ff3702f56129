/*
 * The tasks that were read, one after the other. One that is there already (the same question, but
 * for white space) or cannot be scored is told and not kept.
 *
 * All are in memory (some twice the size of their lines), because the parts are drawn from all of
 * them (import_parts.h).
 */
#ifndef PL_TASKS_IMPORT_SET_H
#define PL_TASKS_IMPORT_SET_H

#include "deploy/tasks/import.h"
#include "deploy/tasks/key_set.h"
#include "proto/task.h"

enum pl_import_part { PL_IMPORT_TRAIN, PL_IMPORT_TEST, PL_IMPORT_PARTS, PL_IMPORT_NOWHERE };

struct pl_import_item {
    struct pl_task task;
    char *worked; /* see pl_import_draft; owned, NULL: none */
    const char *note;
    uint64_t key, rank;       /* rank: its place in the order that is drawn */
    size_t links, link_count; /* in pl_import_set.links */
    size_t group;             /* its component: an index into items */
    size_t level;             /* which of the levels that there are */
    enum pl_import_part part; /* all TRAIN before pl_import_choose() */
};

struct pl_import_set {
    struct pl_import_item *items;
    size_t count, cap;
    uint64_t *links;
    size_t link_count, link_cap;
    struct pl_key_set keys, ids;
};

enum pl_import_added { PL_IMPORT_NEW, PL_IMPORT_DUPLICATE, PL_IMPORT_UNFIT };

/*
 * The draft's task, which is kept if it is new. It is unfit where its verifier does not take its
 * own answers for right (a letter that is another option's text, a formula that it cannot read):
 * nobody could answer it; *err says why then, too. PL_EFORMAT: it is no task (proto/task.h), or
 * another has its id; PL_ENOMEM. Begin with a zeroed set.
 */
int pl_import_set_add(struct pl_import_set *set, const struct pl_import_draft *draft,
                      const char *what, enum pl_import_added *ret_added, struct pl_error *err);
void pl_import_set_release(struct pl_import_set *set); /* zeroed is fine */

#endif
