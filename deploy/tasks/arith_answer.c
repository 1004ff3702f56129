#include "deploy/tasks/arith_answer.h"

#include "common/base/check.h"
#include "common/base/err.h"

enum { HUNCHES = PL_WORKED_DRAWS / 2 }; /* the position behind all guesses */
_Static_assert((int)PL_ARITH_MAX <= (int)HUNCHES,
               "a draw for each guess and for each way to put it");

/* What came out, step by step. */
struct sums {
    const struct pl_arith *arith;
    uint8_t found[PL_ARITH_MAX];
};

static void put_name(struct pl_worked *out, const struct sums *sums, size_t n)
{
    if (out->rc == PL_OK)
        out->rc = pl_arith_name(sums->arith, n, out->opts->wording, out->buf);
}

static void put_number(struct pl_worked *out, size_t number)
{
    if (out->rc == PL_OK)
        out->rc = pl_buf_printf(out->buf, "%zu", number);
}

static void put_thing(struct pl_worked *out, const struct sums *sums)
{
    if (pl_worked_plain(out))
        return;
    pl_worked_put(out, " ");
    pl_worked_put(out, pl_arith_thing(sums->arith));
}

/* "a * 2" by its names, or "7 * 2" by what those are. */
static void put_terms(struct pl_worked *out, const struct sums *sums, size_t n, bool names)
{
    const struct pl_arith_step *step = &sums->arith->steps[n];

    for (size_t i = 0; i < 2; i++) {
        if (i > 0) {
            pl_worked_put(out, " ");
            pl_worked_put(out, pl_arith_sign(step->op));
            pl_worked_put(out, " ");
        }
        if (names && step->terms[i].earlier)
            put_name(out, sums, step->terms[i].of);
        else
            put_number(out, pl_arith_value(sums->arith, step->terms[i]));
    }
}

static void put_careful(struct pl_worked *out, const struct sums *sums, size_t n)
{
    const bool plain = pl_worked_plain(out);

    put_name(out, sums, n);
    pl_worked_put(out, plain ? " = " : " has ");
    if (plain && n > 0) {
        put_terms(out, sums, n, true);
        pl_worked_put(out, " = ");
    }
    put_terms(out, sums, n, false);
    pl_worked_put(out, " = ");
    put_number(out, sums->found[n]);
    put_thing(out, sums);
}

static void put_hunch(struct pl_worked *out, const struct sums *sums, size_t n)
{
    const bool plain = pl_worked_plain(out);
    const uint64_t kind = pl_rng_below(&out->opts->rng, (uint32_t)(HUNCHES + n), 2);

    if (kind == 0)
        pl_worked_put(out, plain ? "i guess " : "My guess is that ");
    put_name(out, sums, n);
    pl_worked_put(out, plain ? " = " : " has ");
    if (kind == 1 && plain)
        pl_worked_put(out, "about ");
    put_number(out, sums->found[n]);
    put_thing(out, sums);
    if (kind == 1 && !plain)
        pl_worked_put(out, ", I believe");
}

static void put_thought(struct pl_worked *out, const void *of, size_t n)
{
    const struct sums *sums = of;

    pl_worked_begin(out);
    if (out->opts->careful)
        put_careful(out, sums, n);
    else
        put_hunch(out, sums, n);
    pl_worked_end(out);
}

static void put_answer(struct pl_worked *out, const void *of, size_t n)
{
    const struct sums *sums = of;

    put_number(out, sums->found[n]);
}

static void put_final(struct pl_worked *out, const void *of)
{
    const struct sums *sums = of;

    put_answer(out, of, sums->arith->ops - 1);
}

int pl_arith_answer(const struct pl_arith *arith, const struct pl_worked_opts *opts,
                    struct pl_buf *buf, bool *ret_correct)
{
    const struct pl_worked_parts parts = {.answers = arith->ops - 1,
                                          .last_tells = true,
                                          .thought = put_thought,
                                          .answer = put_answer,
                                          .final = put_final};
    struct sums sums = {.arith = arith};

    for (size_t n = 0; n < arith->ops; n++) {
        const size_t right = arith->steps[n].result;
        const size_t guess = right - right % PL_ARITH_GUESSES +
                             (size_t)pl_rng_below(&opts->rng, (uint32_t)n, PL_ARITH_GUESSES);

        sums.found[n] = (uint8_t)(opts->careful ? right : guess);
    }
    *ret_correct = sums.found[arith->ops - 1] == arith->steps[arith->ops - 1].result;
    return pl_worked_print(opts, &parts, &sums, buf);
}
