#include "deploy/tasks/import_set.h"

#include "rewarder/verify.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 16 << 20 };

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
    if (!verifier->read)
        return PL_OK;
    if (pl_verify_final(verifier, task, answer, strlen(answer)) != PL_VERDICT_RIGHT)
        wrong = answer;
    for (size_t i = 0; i < task->step_count && !wrong; i++) {
        answer = task->steps[i].answer;
        if (pl_verify_step(verifier, task, &task->steps[i], answer, strlen(answer)) !=
            PL_VERDICT_RIGHT)
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
