/*
 * Mathematical answers. A text is searched for its answer (math_text), which is read into tokens
 * (math_token); tokens that are the same are the same answer. If not, both sides are read into
 * trees (math_tree) and compared as what they mean (math_same). What has no tree, or is too large
 * to be compared, is the same only if its tokens are.
 *
 * A form is some 40 KB, the room for comparing two some 200 KB. The final answer has one allowance
 * of arithmetic for all it is compared with, the intermediate ones of a response share another.
 */
#include "common/base/err.h"
#include "rewarder/math_same.h"
#include "rewarder/math_text.h"
#include "rewarder/verify.h"

#include <string.h>

/* One way to read an answer. */
struct reading {
    struct pl_math_tokens tokens;
    struct pl_math_tree tree;
    int tree_rc; /* of reading the tree */
};

/* An answer, with commas between digits taken as parts of numbers; or as commas, if there are any:
 * "1,234" may be two numbers. */
struct side {
    struct reading ways[2];
    size_t ways_count;
};

static int read_way(const char *text, size_t len, bool split, struct reading *ret)
{
    const int rc = pl_math_tokens_read(text, len, split, &ret->tokens);

    if (rc < 0)
        return rc;
    if (ret->tokens.count == 0)
        return PL_EFORMAT;
    ret->tree_rc = pl_math_tree_read(&ret->tokens, &ret->tree);
    return PL_OK;
}

static int read_side(const char *text, size_t len, struct side *ret)
{
    const char *found;
    size_t found_len;
    int rc;

    if (!pl_math_text_find(text, len, &found, &found_len))
        return PL_EFORMAT;
    ret->ways_count = 1;
    rc = read_way(found, found_len, false, &ret->ways[0]);
    if (rc < 0 || !ret->ways[0].tokens.grouped)
        return rc;
    ret->ways_count = 2;
    return read_way(found, found_len, true, &ret->ways[1]);
}

/* Atoms of earlier comparisons go, the work that was done for the response counts on. */
static bool same_meaning(struct pl_math_room *room, const struct reading *a,
                         const struct reading *b, uint64_t *work)
{
    bool same;

    if (a->tree_rc < 0 || b->tree_rc < 0 || *work >= PL_MATH_WORK_MAX)
        return false;
    pl_math_room_clear(room);
    room->work = *work;
    same = pl_math_same(room, &a->tree, &b->tree) == 1;
    *work = room->work;
    return same;
}

static enum pl_verdict same_form(const void *truth, const void *answer, bool step, void *room,
                                 uint64_t *work)
{
    const struct side *a = truth, *b = answer;

    (void)step;
    for (size_t i = 0; i < a->ways_count; i++)
        for (size_t k = 0; k < b->ways_count; k++)
            if (pl_math_tokens_same(&a->ways[i].tokens, &b->ways[k].tokens) ||
                (!b->ways[k].tokens.dots && same_meaning(room, &a->ways[i], &b->ways[k], work)))
                return PL_VERDICT_RIGHT;
    return b->ways[0].tokens.dots || b->ways[0].tree_rc == PL_EFULL ? PL_VERDICT_UNPARSED
                                                                    : PL_VERDICT_WRONG;
}

static bool read_form(const struct pl_text *text, void *ret_form)
{
    return read_side(text->text, text->len, ret_form) == PL_OK;
}

static int check_text(const struct pl_task *task, const char *what, const char *text,
                      struct pl_error *err)
{
    struct side side;
    const int rc = read_side(text, strlen(text), &side);

    if (rc == PL_EFULL)
        return pl_fail(
            err, PL_EFORMAT,
            "task '%.80s': %s, '%.80s', is longer or nested deeper than an answer may be", task->id,
            what, text);
    if (rc < 0)
        return pl_fail(err, PL_EFORMAT,
                       "task '%.80s': %s, '%.80s', holds nothing to compare an answer with",
                       task->id, what, text);
    return PL_OK;
}

static int check_truth(const struct pl_task *task, const struct pl_truth *truth, const char *what,
                       struct pl_error *err)
{
    int rc = check_text(task, what, truth->answer, err);

    for (size_t i = 0; rc == PL_OK && i < truth->alias_count; i++)
        rc = check_text(task, "an alias", truth->aliases[i], err);
    return rc;
}

static int check(const struct pl_task *task, struct pl_error *err)
{
    int rc = check_truth(task, &task->final, "the answer", err);

    for (size_t i = 0; rc == PL_OK && i < task->step_count; i++)
        rc = check_truth(task, &task->steps[i], "an intermediate answer", err);
    return rc;
}

const struct pl_verifier pl_verify_math = {.name = "math",
                                           .form_bytes = sizeof(struct side),
                                           .room_bytes = sizeof(struct pl_math_room),
                                           .aliases = true,
                                           .read = read_form,
                                           .same = same_form,
                                           .check = check};
