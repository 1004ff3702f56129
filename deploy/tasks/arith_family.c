#include "deploy/tasks/arith_answer.h"
#include "deploy/tasks/family.h"
#include "deploy/tasks/task_line.h"

static void draw_problem(const struct pl_family_draw *draw, uint32_t index,
                         struct pl_problem *ret_problem)
{
    pl_arith_draw(draw->seed, ret_problem->size, index, &ret_problem->of.arith);
}

static uint64_t key(const struct pl_problem *problem)
{
    return pl_arith_key(&problem->of.arith);
}

static uint64_t shape(const struct pl_problem *problem)
{
    return pl_arith_shape(&problem->of.arith);
}

static int question(const struct pl_problem *problem, struct pl_buf *buf)
{
    return pl_arith_question(&problem->of.arith, problem->wording, buf);
}

static int put_truth(const struct pl_task_item *item, size_t n, struct pl_buf *buf)
{
    return pl_buf_printf(buf, "%d", (int)item->problem->of.arith.steps[n].result);
}

static int task(const struct pl_task_item *item, struct pl_buf *buf)
{
    const struct pl_task_line line = {
        .verifier = "number", .answers = item->problem->size - 1, .answer = put_truth};

    return pl_task_line_print(item, &line, buf);
}

static int answer(const struct pl_problem *problem, const struct pl_worked_opts *opts,
                  struct pl_buf *buf, bool *ret_correct)
{
    return pl_arith_answer(&problem->of.arith, opts, buf, ret_correct);
}

static double chance(const struct pl_problem *problem)
{
    (void)problem;
    return 1.0 / PL_ARITH_GUESSES;
}

static const char *kind_name(size_t kind)
{
    return pl_arith_sign((enum pl_arith_op)kind);
}

static void count(const struct pl_problem *problem, uint64_t counts[PL_FAMILY_KINDS_MAX])
{
    for (size_t n = 0; n < problem->of.arith.ops; n++)
        counts[problem->of.arith.steps[n].op]++;
}

const struct pl_family pl_family_arith = {
    .name = "arith",
    .about = "chained arithmetic",
    .noun = "problem",
    .nouns = "problems",
    .draws = PL_DRAWS_ARITH,
    .size = "ops",
    .size_min = PL_ARITH_MIN,
    .size_max = PL_ARITH_MAX,
    .sizes_initial = {2, 3, 4},
    .draw = draw_problem,
    .key = key,
    .shape = shape,
    .question = question,
    .task = task,
    .answer = answer,
    .chance = chance,
    .kinds = "operations",
    .kind_count = PL_ARITH_OPS,
    .kind_name = kind_name,
    .count = count,
};
