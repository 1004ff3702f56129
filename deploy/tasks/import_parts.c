#include "deploy/tasks/import_parts.h"

#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 256 };

/* `order` lists the items of the right level as they are drawn. */

struct drawing {
    struct pl_import_set *set;
    const struct pl_import_choice *choice;
    size_t *order, count;
    size_t levels;                 /* 1 where they are not told apart */
    size_t there[LEVELS_MAX];      /* how many of each there are */
    const char *names[LEVELS_MAX]; /* borrowed from tasks */
    struct pl_import_chosen chosen;
};

struct pair {
    uint64_t first;
    size_t second;
};

static int by_first(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->second > y->second) - (x->second < y->second);
}

static bool has_level(const struct pl_import_choice *choice, const char *level)
{
    for (size_t i = 0; i < choice->level_count; i++)
        if (strcmp(choice->levels[i], level) == 0)
            return true;
    return choice->level_count == 0;
}

static int draw_order(struct drawing *drawing, struct pl_error *err)
{
    struct pl_import_set *set = drawing->set;
    struct pair *pairs = calloc(set->count + 1, sizeof *pairs);

    drawing->order = calloc(set->count + 1, sizeof *drawing->order);
    if (!pairs || !drawing->order) {
        free(pairs);
        return pl_fail(err, PL_ENOMEM, "no memory to draw from %zu tasks", set->count);
    }
    for (size_t i = 0; i < set->count; i++) {
        struct pl_import_item *item = &set->items[i];
        const struct pl_rng rng =
            pl_import_rng(drawing->choice->seed, PL_IMPORT_DRAW_PART, item->key);
        uint32_t words[4];

        item->part = PL_IMPORT_NOWHERE;
        item->group = i;
        pl_rng_words(&rng, 0, words);
        item->rank = (uint64_t)words[0] << 32 | words[1];
        if (has_level(drawing->choice, item->task.level))
            pairs[drawing->count++] = (struct pair){item->rank, i};
    }
    qsort(pairs, drawing->count, sizeof *pairs, by_first);
    for (size_t i = 0; i < drawing->count; i++)
        drawing->order[i] = pairs[i].second;
    free(pairs);
    drawing->chosen.other_level = set->count - drawing->count;
    return PL_OK;
}

static struct pl_import_item *drawn(const struct drawing *drawing, size_t k)
{
    return &drawing->set->items[drawing->order[k]];
}

/* Which level each item has. */
static int tell_levels(struct drawing *drawing, struct pl_error *err)
{
    drawing->levels = drawing->choice->per_level ? 0 : 1;
    for (size_t k = 0; k < drawing->count; k++) {
        struct pl_import_item *item = drawn(drawing, k);
        size_t level = 0;

        if (drawing->choice->per_level) {
            while (level < drawing->levels && strcmp(drawing->names[level], item->task.level) != 0)
                level++;
            if (level == LEVELS_MAX)
                return pl_fail(err, PL_EINVAL, "--per-level: there are more than %d levels",
                               LEVELS_MAX);
            if (level == drawing->levels)
                drawing->names[drawing->levels++] = item->task.level;
        }
        item->level = level;
        drawing->there[level]++;
    }
    return PL_OK;
}

/* Items that are nowhere yet and not in a component that is taken, as many of each level as `left`
 * says, which is counted down. */
static void take(struct drawing *drawing, enum pl_import_part part, size_t left[LEVELS_MAX],
                 const bool *taken)
{
    for (size_t k = 0; k < drawing->count; k++) {
        struct pl_import_item *item = drawn(drawing, k);

        if (item->part != PL_IMPORT_NOWHERE || left[item->level] == 0 ||
            (taken && taken[item->group]))
            continue;
        item->part = part;
        left[item->level]--;
    }
}

static void fill(const struct drawing *drawing, size_t left[LEVELS_MAX], size_t n)
{
    for (size_t i = 0; i < drawing->levels; i++)
        left[i] = n;
}

static size_t sum(const struct drawing *drawing, const size_t left[LEVELS_MAX])
{
    size_t total = 0;

    for (size_t i = 0; i < drawing->levels; i++)
        total += left[i];
    return total;
}

/* Components. */

struct groups {
    struct pair *members; /* (group, place in the order), sorted */
    size_t *starts;       /* of a group in members */
    size_t *sizes;
    bool *taken; /* for the test part, as a whole or a piece */
};

static size_t find(struct pl_import_item *items, size_t i)
{
    while (items[i].group != i) {
        items[i].group = items[items[i].group].group;
        i = items[i].group;
    }
    return i;
}

/* The group of an item is the first item of its component. */
static int join(struct drawing *drawing)
{
    struct pl_import_set *set = drawing->set;
    struct pair *pairs = calloc(set->link_count + 1, sizeof *pairs);
    size_t n = 0;

    if (!pairs)
        return PL_ENOMEM;
    for (size_t k = 0; k < drawing->count; k++) {
        const struct pl_import_item *item = drawn(drawing, k);

        for (size_t i = 0; i < item->link_count; i++)
            pairs[n++] = (struct pair){set->links[item->links + i], drawing->order[k]};
    }
    qsort(pairs, n, sizeof *pairs, by_first);
    for (size_t i = 1; i < n; i++) {
        size_t a, b;

        if (pairs[i - 1].first != pairs[i].first)
            continue;
        a = find(set->items, pairs[i - 1].second);
        b = find(set->items, pairs[i].second);
        set->items[a > b ? a : b].group = a > b ? b : a;
    }
    free(pairs);
    for (size_t i = 0; i < set->count; i++)
        set->items[i].group = find(set->items, i);
    return PL_OK;
}

static void release_groups(struct groups *groups)
{
    free(groups->members);
    free(groups->starts);
    free(groups->sizes);
    free(groups->taken);
}

static int make_groups(struct drawing *drawing, struct groups *groups)
{
    const size_t count = drawing->set->count;

    *groups = (struct groups){.members = calloc(drawing->count + 1, sizeof *groups->members),
                              .starts = calloc(count + 1, sizeof *groups->starts),
                              .sizes = calloc(count + 1, sizeof *groups->sizes),
                              .taken = calloc(count + 1, sizeof *groups->taken)};
    if (!groups->members || !groups->starts || !groups->sizes || !groups->taken ||
        join(drawing) < 0)
        return PL_ENOMEM;
    for (size_t k = 0; k < drawing->count; k++)
        groups->members[k] = (struct pair){drawn(drawing, k)->group, k};
    qsort(groups->members, drawing->count, sizeof *groups->members, by_first);
    for (size_t i = drawing->count; i-- > 0;) {
        groups->starts[groups->members[i].first] = i;
        drawing->chosen.components += groups->sizes[groups->members[i].first]++ == 0;
    }
    return PL_OK;
}

static struct pl_import_item *member(const struct drawing *drawing, const struct groups *groups,
                                     size_t group, size_t i)
{
    return drawn(drawing, groups->members[groups->starts[group] + i].second);
}

/* The whole group becomes part of the test part, if it fits. */
static bool take_whole(struct drawing *drawing, struct groups *groups, size_t group,
                       size_t left[LEVELS_MAX])
{
    const size_t size = groups->sizes[group];
    size_t fits = 0;

    while (fits < size && left[member(drawing, groups, group, fits)->level] > 0)
        left[member(drawing, groups, group, fits++)->level]--;
    for (size_t i = 0; i < fits; i++) {
        struct pl_import_item *item = member(drawing, groups, group, i);

        if (fits == size)
            item->part = PL_IMPORT_TEST;
        else
            left[item->level]++;
    }
    return fits == size;
}

/* Of the smallest group that has what is missing, what is missing; false: there is none. */
static bool take_piece(struct drawing *drawing, struct groups *groups, size_t left[LEVELS_MAX])
{
    size_t best = SIZE_MAX;

    for (size_t k = 0; k < drawing->count; k++) {
        const struct pl_import_item *item = drawn(drawing, k);

        if (!groups->taken[item->group] && left[item->level] > 0 &&
            (best == SIZE_MAX || groups->sizes[item->group] < groups->sizes[best]))
            best = item->group;
    }
    if (best == SIZE_MAX)
        return false;
    groups->taken[best] = true;
    for (size_t i = 0; i < groups->sizes[best]; i++) {
        struct pl_import_item *item = member(drawing, groups, best, i);

        if (left[item->level] > 0) {
            left[item->level]--;
            item->part = PL_IMPORT_TEST;
        } else {
            drawing->chosen.shared++;
        }
    }
    return true;
}

static int choose_components(struct drawing *drawing, struct pl_error *err)
{
    const struct pl_import_choice *choice = drawing->choice;
    size_t left[LEVELS_MAX];
    struct groups groups;
    int rc = make_groups(drawing, &groups);

    if (rc < 0) {
        release_groups(&groups);
        return pl_fail(err, rc, "no memory for the components of %zu tasks", drawing->count);
    }
    fill(drawing, left, choice->test);
    for (size_t k = 0; k < drawing->count; k++) {
        const size_t group = drawn(drawing, k)->group;

        if (groups.members[groups.starts[group]].second == k) /* each group once */
            groups.taken[group] = take_whole(drawing, &groups, group, left);
    }
    while (sum(drawing, left) > 0 && take_piece(drawing, &groups, left))
        ;
    fill(drawing, left, choice->train);
    take(drawing, PL_IMPORT_TRAIN, left, groups.taken);
    release_groups(&groups);
    if (sum(drawing, left) == 0)
        return PL_OK;
    return pl_fail(err, PL_EINVAL,
                   "%zu tasks are in %zu components; beside those to test on, which share nothing "
                   "with the others, %zu of those to train on are missing: ask for fewer, or give "
                   "--split row",
                   drawing->count, drawing->chosen.components, sum(drawing, left));
}

/* Some of the levels that there are, for an error. */
static void name_levels(const struct pl_import_set *set, struct pl_buf *names)
{
    enum { NAMED = 10 };
    const char *named[NAMED];
    size_t count = 0;

    for (size_t i = 0; i < set->count && count < NAMED; i++) {
        const char *level = set->items[i].task.level;
        size_t k = 0;

        while (k < count && strcmp(named[k], level) != 0)
            k++;
        if (k < count || !level[0])
            continue;
        named[count++] = level;
        (void)pl_buf_printf(names, "%s'%s'", count > 1 ? ", " : "; there are ", level);
    }
}

/* A level that no task has is a slip of the pen. */
static int check_levels(const struct drawing *drawing, struct pl_error *err)
{
    const struct pl_import_set *set = drawing->set;

    for (size_t i = 0; i < drawing->choice->level_count; i++) {
        const char *level = drawing->choice->levels[i];
        struct pl_buf names;
        size_t k = 0;

        while (k < set->count && strcmp(set->items[k].task.level, level) != 0)
            k++;
        if (k < set->count)
            continue;
        pl_buf_init(&names, sizeof err->text);
        name_levels(set, &names);
        pl_fail(err, PL_EINVAL, "none of the %zu tasks has the level '%s'%s", set->count, level,
                names.len > 0 ? names.data : ", or any");
        pl_buf_release(&names);
        return PL_EINVAL;
    }
    return PL_OK;
}

static int check_counts(const struct drawing *drawing, size_t wanted, struct pl_error *err)
{
    for (size_t i = 0; i < drawing->levels; i++)
        if (wanted > drawing->there[i] && drawing->choice->per_level)
            return pl_fail(err, PL_EINVAL, "%zu tasks of level '%s' are asked for, there are %zu",
                           wanted, drawing->names[i], drawing->there[i]);
        else if (wanted > drawing->there[i])
            return pl_fail(err, PL_EINVAL, "%zu tasks are asked for, there are %zu", wanted,
                           drawing->there[i]);
    return PL_OK;
}

static int choose(struct drawing *drawing, struct pl_error *err)
{
    const struct pl_import_choice *choice = drawing->choice;
    size_t left[LEVELS_MAX];
    int rc = check_levels(drawing, err);

    if (rc == PL_OK)
        rc = check_counts(drawing, choice->parts ? choice->train + choice->test : choice->count,
                          err);
    if (rc < 0)
        return rc;
    if (choice->parts && choice->components)
        return choose_components(drawing, err);
    if (choice->parts) { /* first, so that it is the same whatever --train says */
        fill(drawing, left, choice->test);
        take(drawing, PL_IMPORT_TEST, left, NULL);
    }
    fill(drawing, left, choice->parts ? choice->train : choice->count);
    if (!choice->parts && choice->count == 0)
        fill(drawing, left, SIZE_MAX);
    take(drawing, PL_IMPORT_TRAIN, left, NULL);
    return PL_OK;
}

int pl_import_choose(struct pl_import_set *set, const struct pl_import_choice *choice,
                     struct pl_import_chosen *ret_chosen, struct pl_error *err)
{
    struct drawing *drawing = calloc(1, sizeof *drawing);
    int rc;

    if (!drawing)
        return pl_fail(err, PL_ENOMEM, "no memory to draw from %zu tasks", set->count);
    drawing->set = set;
    drawing->choice = choice;
    rc = draw_order(drawing, err);
    if (rc == PL_OK)
        rc = tell_levels(drawing, err);
    if (rc == PL_OK)
        rc = choose(drawing, err);
    if (rc == PL_OK) {
        drawing->chosen.not_drawn = drawing->count - drawing->chosen.shared;
        for (size_t i = 0; i < set->count; i++)
            drawing->chosen.not_drawn -= set->items[i].part != PL_IMPORT_NOWHERE;
        *ret_chosen = drawing->chosen;
    }
    free(drawing->order);
    free(drawing);
    return rc;
}
