#include "deploy/tasks/family.h"
#include "deploy/tasks/kk_answer.h"
#include "deploy/tasks/kk_task.h"
#include "deploy/tasks/kk_text.h"

static size_t names_needed(const struct pl_family_draw *draw, size_t people)
{
    (void)draw;
    return people;
}

static void draw_puzzle(const struct pl_family_draw *draw, uint32_t index,
                        struct pl_problem *ret_problem)
{
    pl_kk_generate(draw->seed, ret_problem->size, index, draw->names, &ret_problem->of.kk);
    if (draw->wording == PL_WORDING_PLAIN)
        pl_kk_names_lower(&ret_problem->of.kk);
}

static uint64_t key(const struct pl_problem *problem)
{
    return pl_kk_key(&problem->of.kk);
}

static uint64_t shape(const struct pl_problem *problem)
{
    return pl_kk_shape(&problem->of.kk);
}

static int question(const struct pl_problem *problem, struct pl_buf *buf)
{
    return pl_kk_question(&problem->of.kk, problem->wording, buf);
}

static int task(const struct pl_task_item *item, struct pl_buf *buf)
{
    const struct pl_kk_task line = {.puzzle = &item->problem->of.kk,
                                    .id = item->id,
                                    .question = item->question,
                                    .seed = item->seed,
                                    .index = item->index};

    return pl_kk_task_print(&line, buf);
}

static int answer(const struct pl_problem *problem, const struct pl_worked_opts *opts,
                  struct pl_buf *buf, bool *ret_correct)
{
    return pl_kk_answer(&problem->of.kk, opts, buf, ret_correct);
}

/* Each role is guessed by itself. */
static double chance(const struct pl_problem *problem)
{
    return 1.0 / (double)(1u << problem->of.kk.people);
}

static const char *kind_name(size_t kind)
{
    return pl_kk_kind_name((enum pl_kk_kind)kind);
}

/* Claims, by their outermost kind. */
static void count(const struct pl_problem *problem, uint64_t counts[PL_FAMILY_KINDS_MAX])
{
    for (size_t i = 0; i < problem->of.kk.people; i++)
        counts[problem->of.kk.claims[i].nodes[0].kind]++;
}

const struct pl_family pl_family_kk = {
    .name = "kk",
    .about = "Knights and Knaves",
    .noun = "puzzle",
    .nouns = "puzzles",
    .draws = PL_DRAWS_KK,
    .size = "people",
    .size_min = PL_KK_PEOPLE_MIN,
    .size_max = PL_KK_PEOPLE_MAX,
    .sizes_initial = {3, 4, 5},
    .names = {2, PL_KK_NAMES, PL_KK_NAMES},
    .names_needed = names_needed,
    .draw = draw_puzzle,
    .key = key,
    .shape = shape,
    .question = question,
    .task = task,
    .answer = answer,
    .chance = chance,
    .kinds = "claims",
    .kind_count = PL_KK_KINDS,
    .kind_name = kind_name,
    .count = count,
};
