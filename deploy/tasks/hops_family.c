#include "common/base/err.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/hops_answer.h"
#include "deploy/tasks/task_line.h"

static size_t names_needed(const struct pl_family_draw *draw, size_t hops)
{
    return pl_hops_names_needed(hops, draw->distractors);
}

static void draw_question(const struct pl_family_draw *draw, uint32_t index,
                          struct pl_problem *ret_problem)
{
    pl_hops_draw(draw->seed, ret_problem->size, draw->distractors, draw->names, index,
                 &ret_problem->of.hops);
}

static uint64_t key(const struct pl_problem *problem)
{
    return pl_hops_key(&problem->of.hops);
}

static uint64_t shape(const struct pl_problem *problem)
{
    return pl_hops_shape(&problem->of.hops);
}

static int question(const struct pl_problem *problem, struct pl_buf *buf)
{
    return pl_hops_question(&problem->of.hops, problem->wording, buf);
}

static int put_truth(const struct pl_task_item *item, size_t n, struct pl_buf *buf)
{
    const struct pl_hops *hops = &item->problem->of.hops;

    return pl_hops_name(hops, hops->steps[n].fact.object, item->problem->wording, buf);
}

static int put_meta(const struct pl_task_item *item, struct pl_buf *buf)
{
    const struct pl_hops *hops = &item->problem->of.hops;
    int rc = pl_buf_printf(buf, ", \"graph\": \"%s\", \"distractors\": %zu, \"relations\": [",
                           pl_hops_branches(hops) ? "branch" : "chain", hops->distractors);

    for (size_t n = 0; rc == PL_OK && n < hops->hops; n++)
        rc = pl_buf_printf(buf, "%s\"%s\"", n == 0 ? "" : ", ",
                           pl_hops_relation(hops->steps[n].fact.relation)->name);
    return rc < 0 ? rc : pl_buf_puts(buf, "]");
}

static int task(const struct pl_task_item *item, struct pl_buf *buf)
{
    const struct pl_task_line line = {.verifier = "em",
                                      .answers = item->problem->size - 1,
                                      .answer = put_truth,
                                      .meta = put_meta};

    return pl_task_line_print(item, &line, buf);
}

static int answer(const struct pl_problem *problem, const struct pl_worked_opts *opts,
                  struct pl_buf *buf, bool *ret_correct)
{
    return pl_hops_answer(&problem->of.hops, opts, buf, ret_correct);
}

static double chance(const struct pl_problem *problem)
{
    const struct pl_hops *hops = &problem->of.hops;

    return 1.0 / (double)pl_hops_alike(hops, hops->steps[hops->hops - 1].fact.object);
}

static const char *kind_name(size_t kind)
{
    return pl_hops_relation(kind)->name;
}

/* What is asked for, not what stands around it. */
static void count(const struct pl_problem *problem, uint64_t counts[PL_FAMILY_KINDS_MAX])
{
    for (size_t n = 0; n < problem->of.hops.hops; n++)
        counts[problem->of.hops.steps[n].fact.relation]++;
}

_Static_assert((int)PL_HOPS_RELATIONS <= (int)PL_FAMILY_KINDS_MAX, "room to count each relation");

const struct pl_family pl_family_hops = {
    .name = "hops",
    .about = "questions over given facts that take several hops",
    .noun = "question",
    .nouns = "questions",
    .draws = PL_DRAWS_HOPS,
    .size = "hops",
    .size_min = PL_HOPS_MIN,
    .size_max = PL_HOPS_MAX,
    .sizes_initial = {2, 3, 4},
    .names = {3, PL_HOPS_NAMES, PL_HOPS_NAMES},
    .distractors = {0, PL_HOPS_DISTRACTORS_MAX, 4},
    .names_needed = names_needed,
    .draw = draw_question,
    .key = key,
    .shape = shape,
    .question = question,
    .task = task,
    .answer = answer,
    .chance = chance,
    .kinds = "relations",
    .kind_count = PL_HOPS_RELATIONS,
    .kind_name = kind_name,
    .count = count,
};
