#include "deploy/tasks/hops_answer.h"

#include "common/base/check.h"
#include "common/base/err.h"

enum { HUNCHES = PL_WORKED_DRAWS / 2 }; /* the position behind all guesses */
_Static_assert((int)PL_HOPS_MAX <= (int)HUNCHES,
               "a draw for each guess and for each way to put it");

/* What was found, hop by hop. */
struct way {
    const struct pl_hops *hops;
    uint8_t found[PL_HOPS_MAX]; /* entities */
};

static void put_name(struct pl_worked *out, const struct way *way, size_t entity)
{
    if (out->rc == PL_OK)
        out->rc = pl_hops_name(way->hops, entity, out->opts->wording, out->buf);
}

/* "the capital of dora", about what was found before. */
static void put_subject(struct pl_worked *out, const struct way *way, size_t n)
{
    const struct pl_hops_step *step = &way->hops->steps[n];
    uint8_t subjects[2];

    for (size_t i = 0; i < 2; i++)
        subjects[i] = step->given[i] ? step->fact.subjects[i] : way->found[step->earlier[i]];
    if (out->rc == PL_OK)
        out->rc =
            pl_hops_subject(way->hops, step->fact.relation, subjects, out->opts->wording, out->buf);
}

static void put_careful(struct pl_worked *out, const struct way *way, size_t n)
{
    if (!pl_worked_plain(out))
        pl_worked_put(out, "The notes say that ");
    put_subject(out, way, n);
    pl_worked_put(out, " is ");
    put_name(out, way, way->found[n]);
}

static void put_hunch(struct pl_worked *out, const struct way *way, size_t n)
{
    const bool plain = pl_worked_plain(out);
    const uint64_t kind = pl_rng_below(&out->opts->rng, (uint32_t)(HUNCHES + n), 2);

    if (kind == 0) {
        pl_worked_put(out, plain ? "i guess " : "My guess is that ");
        put_subject(out, way, n);
        pl_worked_put(out, " is ");
        put_name(out, way, way->found[n]);
    } else {
        put_name(out, way, way->found[n]);
        pl_worked_put(out, plain ? " sounds like " : " sounds to me like ");
        put_subject(out, way, n);
    }
}

static void put_thought(struct pl_worked *out, const void *of, size_t n)
{
    const struct way *way = of;

    pl_worked_begin(out);
    if (out->opts->careful)
        put_careful(out, way, n);
    else
        put_hunch(out, way, n);
    pl_worked_end(out);
}

static void put_answer(struct pl_worked *out, const void *of, size_t n)
{
    const struct way *way = of;

    put_name(out, way, way->found[n]);
}

static void put_final(struct pl_worked *out, const void *of)
{
    const struct way *way = of;

    put_answer(out, of, way->hops->hops - 1);
}

/* Any entity of a type that has `alike` of them: number `pick`. */
static uint8_t pick_alike(const struct pl_hops *hops, size_t type, uint64_t pick)
{
    size_t i = 0;

    while (hops->entity[i].type != type || pick-- > 0)
        i++;
    PL_ASSERT(i < hops->entities);
    return (uint8_t)i;
}

int pl_hops_answer(const struct pl_hops *hops, const struct pl_worked_opts *opts,
                   struct pl_buf *buf, bool *ret_correct)
{
    const struct pl_worked_parts parts = {.answers = hops->hops - 1,
                                          .last_tells = true,
                                          .thought = put_thought,
                                          .answer = put_answer,
                                          .final = put_final};
    struct way way = {.hops = hops};

    for (size_t n = 0; n < hops->hops; n++) {
        const uint8_t right = hops->steps[n].fact.object;
        const uint64_t pick = pl_rng_below(&opts->rng, (uint32_t)n, pl_hops_alike(hops, right));

        way.found[n] = opts->careful ? right : pick_alike(hops, hops->entity[right].type, pick);
    }
    *ret_correct = way.found[hops->hops - 1] == hops->steps[hops->hops - 1].fact.object;
    return pl_worked_print(opts, &parts, &way, buf);
}
