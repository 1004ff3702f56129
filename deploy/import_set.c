#include "deploy/import_set.h"

#include "rewarder/verify.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 16 << 20, LEVELS_MAX = 256 };

/* A hash of the text in which white space does not count but for being there. */
static int make_key(const char *text, uint64_t *ret_key)
{
    struct pl_buf flat;
    int rc;

    pl_buf_init(&flat, TEXT_BYTES_MAX);
    rc = pl_import_flat(&flat, text);
    if (rc == PL_OK)
        rc = pl_buf_puts(&flat, "");
    if (rc == PL_OK)
        *ret_key = pl_import_hash(flat.data);
    pl_buf_release(&flat);
    return rc;
}

static int grow(struct pl_import_set *set, size_t links)
{
    if (set->count == set->cap) {
        const size_t cap = set->cap ? 2 * set->cap : 256;
        struct pl_import_item *items = realloc(set->items, cap * sizeof *items);

        if (!items)
            return PL_ENOMEM;
        set->items = items;
        set->cap = cap;
    }
    if (set->link_count + links > set->link_cap) {
        const size_t cap = 2 * set->link_cap + links + 256;
        uint64_t *grown = realloc(set->links, cap * sizeof *grown);

        if (!grown)
            return PL_ENOMEM;
        set->links = grown;
        set->link_cap = cap;
    }
    return PL_OK;
}

static int keep(struct pl_import_set *set, const struct pl_import_draft *draft,
                struct pl_task *task, uint64_t key)
{
    char *worked = draft->worked.len > 0 ? strdup(draft->worked.data) : NULL;
    const int rc = draft->worked.len > 0 && !worked ? PL_ENOMEM : grow(set, draft->link_count);

    if (rc < 0) {
        free(worked);
        return rc;
    }
    for (size_t i = 0; i < draft->link_count; i++)
        set->links[set->link_count + i] = draft->links[i];
    set->items[set->count++] = (struct pl_import_item){.task = *task,
                                                       .worked = worked,
                                                       .note = draft->note,
                                                       .key = key,
                                                       .links = set->link_count,
                                                       .link_count = draft->link_count,
                                                       .part = PL_IMPORT_TRAIN};
    set->link_count += draft->link_count;
    *task = (struct pl_task){0};
    return PL_OK;
}

/* Whether the verifier takes what the task has for right; a program of the user's is not asked. */
static int check_answers(const struct pl_task *task, const char *what, struct pl_error *err)
{
    const struct pl_verifier *verifier = pl_verifier_named(task->verifier);
    const char *wrong = NULL, *answer = task->final.answer;
    int rc = pl_verifier_check(task, err);

    if (rc < 0)
        return pl_fail_in(err, rc, "%s", what);
    if (!verifier->final)
        return PL_OK;
    if (verifier->final(task, answer, strlen(answer)) != PL_VERDICT_RIGHT)
        wrong = answer;
    for (size_t i = 0; i < task->step_count && !wrong; i++) {
        answer = task->steps[i].answer;
        if (verifier->step(task, &task->steps[i], answer, strlen(answer)) != PL_VERDICT_RIGHT)
            wrong = answer;
    }
    if (!wrong)
        return PL_OK;
    return pl_fail(err, PL_EFORMAT,
                   "%s: its own answer, '%.80s', is not right by the verifier '%s'", what, wrong,
                   task->verifier);
}

int pl_import_set_add(struct pl_import_set *set, const struct pl_import_draft *draft,
                      const char *what, enum pl_import_added *ret_added, struct pl_error *err)
{
    struct pl_task task = {0};
    uint64_t key = 0;
    bool is_new = false, new_id = false;
    int rc = pl_task_parse(draft->line.data, draft->line.len, what, &task, err);

    if (rc < 0)
        return rc;
    if (check_answers(&task, what, err) < 0) {
        *ret_added = PL_IMPORT_UNFIT;
        goto out;
    }
    rc = make_key(draft->key.len > 0 ? draft->key.data : task.question, &key);
    if (rc == PL_OK)
        rc = pl_key_set_add(&set->keys, key, &is_new);
    if (rc == PL_OK && is_new)
        rc = pl_key_set_add(&set->ids, pl_import_hash(task.id), &new_id);
    if (rc == PL_OK && is_new && !new_id) {
        rc = pl_fail(err, PL_EFORMAT, "%s: another row has the id '%.200s' already", what, task.id);
        goto out;
    }
    if (rc == PL_OK && is_new)
        rc = keep(set, draft, &task, key);
    if (rc < 0)
        rc = pl_fail(err, rc, "%s: no memory to keep %zu tasks", what, set->count + 1);
    else
        *ret_added = is_new ? PL_IMPORT_NEW : PL_IMPORT_DUPLICATE;
out:
    pl_task_release(&task);
    return rc;
}

void pl_import_set_release(struct pl_import_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        pl_task_release(&set->items[i].task);
        free(set->items[i].worked);
    }
    free(set->items);
    free(set->links);
    pl_key_set_release(&set->keys);
    pl_key_set_release(&set->ids);
    *set = (struct pl_import_set){0};
}

/* The choice. `order` lists the items of the right level as they are drawn. */

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

static int check_counts(const struct drawing *drawing, size_t wanted, struct pl_error *err)
{
    if (drawing->count == 0)
        return pl_fail(err, PL_EINVAL, "none of the %zu tasks has a level that --level names",
                       drawing->set->count);
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
    int rc =
        check_counts(drawing, choice->parts ? choice->train + choice->test : choice->count, err);

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
