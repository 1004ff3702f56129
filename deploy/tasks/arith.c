#include "deploy/tasks/arith.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/key_set.h"
#include "deploy/tasks/kk_puzzle.h"

#include <string.h>

static const char *const signs[PL_ARITH_OPS] = {"+", "-", "*"};

static const char *const things[] = {"apples",  "coins", "shells",  "stamps",
                                     "marbles", "cards", "buttons", "pencils"};

enum { VOICES = 2, THINGS = sizeof things / sizeof things[0] };

const char *pl_arith_sign(enum pl_arith_op op)
{
    PL_ASSERT(op < PL_ARITH_OPS);
    return signs[op];
}

const char *pl_arith_thing(const struct pl_arith *arith)
{
    return things[arith->thing];
}

size_t pl_arith_value(const struct pl_arith *arith, struct pl_arith_term term)
{
    return term.earlier ? arith->steps[term.of].result : term.of;
}

/* Drawing. */

/* As many of one digit as of two. */
static struct pl_arith_term draw_number(struct pl_draws *draws)
{
    const size_t number =
        pl_draws_below(draws, 2) ? 2 + pl_draws_below(draws, 8) : 10 + pl_draws_below(draws, 90);

    return (struct pl_arith_term){false, (uint8_t)number};
}

static struct pl_arith_term draw_factor(struct pl_draws *draws)
{
    return (struct pl_arith_term){false, (uint8_t)(2 + pl_draws_below(draws, 8))};
}

/* The last result, which may stand on either side, and a number or, one time in three, a result
 * before it. */
static void draw_terms(struct pl_draws *draws, size_t at, struct pl_arith_step *step)
{
    const size_t last = pl_draws_below(draws, 2);
    struct pl_arith_term *other = &step->terms[1 - last];

    step->terms[last] =
        at > 0 ? (struct pl_arith_term){true, (uint8_t)(at - 1)} : draw_number(draws);
    if (at > 1 && pl_draws_below(draws, 3) == 0)
        *other = (struct pl_arith_term){true, (uint8_t)pl_draws_below(draws, at - 1)};
    else
        *other = step->op == PL_ARITH_MUL ? draw_factor(draws) : draw_number(draws);
}

/* Sets the result; false: it is none that may be. */
static bool work_out(struct pl_arith *arith, size_t at)
{
    struct pl_arith_step *step = &arith->steps[at];
    const size_t left = pl_arith_value(arith, step->terms[0]);
    const size_t right = pl_arith_value(arith, step->terms[1]);
    size_t result;

    if (step->op == PL_ARITH_SUB && left < right)
        return false;
    result = step->op == PL_ARITH_ADD   ? left + right
             : step->op == PL_ARITH_SUB ? left - right
                                        : left * right;
    if (result < PL_ARITH_VALUE_MIN || result > PL_ARITH_VALUE_MAX)
        return false;
    for (size_t i = 0; i < at; i++)
        if (arith->steps[i].result == result)
            return false;
    step->result = (uint8_t)result;
    return true;
}

/* Each operation has the same chance; one that finds no numbers in some tries gives way to another.
 * There is always one, because a few results leave others free above or below the last. */
static void draw_steps(struct pl_draws *draws, struct pl_arith *arith)
{
    enum { TRIES = 32, TRIES_MAX = 100000 };

    for (size_t at = 0; at < arith->ops; at++) {
        struct pl_arith_step *step = &arith->steps[at];
        size_t tries = 0;

        do {
            if (tries % TRIES == 0)
                step->op = (enum pl_arith_op)pl_draws_below(draws, PL_ARITH_OPS);
            draw_terms(draws, at, step);
            PL_ASSERT(tries++ < TRIES_MAX);
        } while (!work_out(arith, at));
    }
}

static void draw_story(struct pl_draws *draws, struct pl_arith *arith)
{
    uint8_t order[PL_KK_NAMES];

    for (size_t i = 0; i < PL_KK_NAMES; i++)
        order[i] = (uint8_t)i;
    for (size_t i = 0; i < arith->ops; i++) {
        const size_t at = i + pl_draws_below(draws, PL_KK_NAMES - i);

        arith->steps[i].person = order[at];
        order[at] = order[i];
        arith->steps[i].voice = (uint8_t)pl_draws_below(draws, VOICES);
    }
    arith->thing = (uint8_t)pl_draws_below(draws, THINGS);
}

void pl_arith_draw(uint64_t seed, size_t ops, uint32_t index, struct pl_arith *ret_arith)
{
    struct pl_draws draws = {.rng =
                                 pl_draws_rng(PL_DRAWS_ARITH, PL_DRAWS_PROBLEM, seed, ops, index)};

    PL_ASSERT(ops >= PL_ARITH_MIN && ops <= PL_ARITH_MAX);
    *ret_arith = (struct pl_arith){.ops = ops};
    draw_steps(&draws, ret_arith);
    draw_story(&draws, ret_arith);
}

/* Numbers that stand for problems. */

/* A sum has no order, so sums and products turned round have the same numbers. */
static uint64_t both(const struct pl_arith_step *step, uint64_t left, uint64_t right)
{
    const uint64_t turned = step->op == PL_ARITH_SUB;

    return pl_key_mix(step->op, pl_key_mix(left, 0) + pl_key_mix(right, turned));
}

static uint64_t kind_of(struct pl_arith_term term)
{
    return term.earlier ? 1 + term.of : 0;
}

uint64_t pl_arith_shape(const struct pl_arith *arith)
{
    uint64_t shape = arith->ops;

    for (size_t i = 0; i < arith->ops; i++) {
        const struct pl_arith_step *step = &arith->steps[i];

        shape = pl_key_mix(shape, both(step, kind_of(step->terms[0]), kind_of(step->terms[1])));
    }
    return shape;
}

uint64_t pl_arith_key(const struct pl_arith *arith)
{
    uint64_t key = pl_arith_shape(arith);

    for (size_t i = 0; i < arith->ops; i++) {
        const struct pl_arith_step *step = &arith->steps[i];

        key = pl_key_mix(key, both(step, pl_arith_value(arith, step->terms[0]),
                                   pl_arith_value(arith, step->terms[1])));
    }
    return key;
}

/* Plain text. */

int pl_arith_name(const struct pl_arith *arith, size_t step, enum pl_wording wording,
                  struct pl_buf *buf)
{
    PL_ASSERT(step < arith->ops);
    if (wording == PL_WORDING_PUBLISHED)
        return pl_buf_puts(buf, pl_kk_name(arith->steps[step].person));
    return pl_buf_printf(buf, "%c", (int)('a' + step));
}

static int put_term(struct pl_arith_term term, struct pl_buf *buf)
{
    return term.earlier ? pl_buf_printf(buf, "%c", 'a' + term.of)
                        : pl_buf_printf(buf, "%d", (int)term.of);
}

static int question_plain(const struct pl_arith *arith, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < arith->ops; i++) {
        const struct pl_arith_step *step = &arith->steps[i];

        rc = pl_buf_printf(buf, " %c = ", (int)('a' + i));
        if (rc == PL_OK)
            rc = put_term(step->terms[0], buf);
        if (rc == PL_OK)
            rc = pl_buf_printf(buf, " %s ", signs[step->op]);
        if (rc == PL_OK)
            rc = put_term(step->terms[1], buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, " .");
    }
    return rc < 0 ? rc : pl_buf_printf(buf, " what is %c ?", (int)('a' + arith->ops - 1));
}

/* A story: a sentence a step. {x} is whose it is, {t} what is counted, {l} and {r} the left and the
 * right term, a number or somebody else's name. */

enum form { NUMBERS, NAME_LEFT, NAME_RIGHT, NAMES, FORMS }; /* which terms are names */

static const char *const sentences[PL_ARITH_OPS][FORMS][VOICES] = {
    [PL_ARITH_ADD][NUMBERS] = {"{x} had {l} {t} and was given {r} more.",
                               "{x} found {l} {t} in one box and {r} in another."},
    [PL_ARITH_ADD][NAME_LEFT] = {"{x} has {r} more {t} than {l}.",
                                 "{x} has as many {t} as {l}, and {r} besides."},
    [PL_ARITH_ADD][NAME_RIGHT] = {"{x} has {l} more {t} than {r}.",
                                  "{x} has {l} {t}, and besides as many as {r}."},
    [PL_ARITH_ADD][NAMES] = {"{x} has as many {t} as {l} and {r} together.",
                             "Put together, the {t} of {l} and {r} are as many as those of {x}."},
    [PL_ARITH_SUB][NUMBERS] = {"{x} had {l} {t} and gave {r} of them away.",
                               "{x} bought {l} {t} and lost {r}."},
    [PL_ARITH_SUB][NAME_LEFT] = {"{x} has {r} fewer {t} than {l}.",
                                 "{l} has {r} more {t} than {x}."},
    [PL_ARITH_SUB][NAME_RIGHT] = {"{x} had {l} {t} and gave away as many as {r} has.",
                                  "{x} and {r} have {l} {t} together."},
    [PL_ARITH_SUB][NAMES] = {"{l} has as many {t} as {r} and {x} together.",
                             "{x} has as many {t} as {l} would have after giving away as many as "
                             "{r} has."},
    [PL_ARITH_MUL][NUMBERS] = {"{x} filled {l} boxes with {r} {t} each.",
                               "{x} was given {l} {t} on each of {r} days."},
    [PL_ARITH_MUL][NAME_LEFT] = {"{x} has {r} times as many {t} as {l}.",
                                 "For each of the {t} of {l}, {x} has {r}."},
    [PL_ARITH_MUL][NAME_RIGHT] = {"{x} has {l} times as many {t} as {r}.",
                                  "For each of the {t} of {r}, {x} has {l}."},
    [PL_ARITH_MUL][NAMES] = {"For each of the {t} of {l}, {x} has as many as {r} has.",
                             "{x} has as many boxes as {l} has {t}, and in each of them as many "
                             "{t} as {r} has."},
};

static int put_told(const struct pl_arith *arith, struct pl_arith_term term, struct pl_buf *buf)
{
    return term.earlier ? pl_arith_name(arith, term.of, PL_WORDING_PUBLISHED, buf)
                        : pl_buf_printf(buf, "%d", (int)term.of);
}

static int tell(const struct pl_arith *arith, size_t n, struct pl_buf *buf)
{
    const struct pl_arith_step *step = &arith->steps[n];
    const size_t form = (step->terms[0].earlier ? 1u : 0u) + (step->terms[1].earlier ? 2u : 0u);
    const char *at = sentences[step->op][form][step->voice];
    int rc = PL_OK;

    while (rc == PL_OK && *at) {
        const size_t text = strcspn(at, "{");

        rc = pl_buf_append(buf, at, text);
        at += text;
        if (rc < 0 || !*at)
            break;
        rc = at[1] == 'x'   ? pl_arith_name(arith, n, PL_WORDING_PUBLISHED, buf)
             : at[1] == 't' ? pl_buf_puts(buf, things[arith->thing])
                            : put_told(arith, step->terms[at[1] == 'r'], buf);
        at += strlen("{x}");
    }
    return rc;
}

int pl_arith_question(const struct pl_arith *arith, enum pl_wording wording, struct pl_buf *buf)
{
    int rc = PL_OK;

    if (wording == PL_WORDING_PLAIN)
        return question_plain(arith, buf);
    for (size_t i = 0; rc == PL_OK && i < arith->ops; i++) {
        rc = tell(arith, i, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, " ");
    }
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "How many %s does ", things[arith->thing]);
    if (rc == PL_OK)
        rc = pl_arith_name(arith, arith->ops - 1, PL_WORDING_PUBLISHED, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, " have?");
}
