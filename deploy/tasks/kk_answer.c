#include "deploy/tasks/kk_answer.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "deploy/tasks/kk_proof.h"

#include <string.h>

/* Whose roles are written, and where. */
struct writer {
    struct pl_worked *out;
    const struct pl_kk *puzzle;
    const struct pl_kk_proof *proof; /* careful */
    uint32_t guessed;                /* careless: the roles */
};

/* Small pieces. */

static bool plain(const struct writer *w)
{
    return pl_worked_plain(w->out);
}

static void put(const struct writer *w, const char *text)
{
    pl_worked_put(w->out, text);
}

static void put_name(const struct writer *w, size_t person)
{
    put(w, w->puzzle->names[person]);
}

static void put_role(const struct writer *w, size_t person, bool knight)
{
    if (w->out->rc == PL_OK)
        w->out->rc = pl_kk_role_text(w->puzzle, person, knight, w->out->buf);
}

static void put_claim(const struct writer *w, size_t speaker)
{
    if (w->out->rc == PL_OK)
        w->out->rc = pl_kk_claim_text(w->puzzle, speaker, w->out->opts->wording, w->out->buf);
}

static void begin(const struct writer *w)
{
    pl_worked_begin(w->out);
}

static void end(const struct writer *w)
{
    pl_worked_end(w->out);
}

/* Careful thoughts. */

static void put_step_plain(const struct writer *w, const struct pl_kk_step *step)
{
    begin(w);
    switch ((enum pl_kk_move)step->move) {
    case PL_KK_SUPPOSE:
        put(w, "suppose ");
        break;
    case PL_KK_BY:
        put(w, "by ");
        put_name(w, step->speaker);
        put(w, " , ");
        break;
    case PL_KK_BUT:
        put(w, "but ");
        put_name(w, step->speaker);
        put(w, " says ");
        put_claim(w, step->speaker);
        put(w, " , a contradiction");
        break;
    case PL_KK_SO:
        put(w, "so ");
        break;
    }
    if (step->move != PL_KK_BUT)
        put_role(w, step->person, step->knight);
    end(w);
}

static void put_step_published(const struct writer *w, const struct pl_kk_step *step)
{
    begin(w);
    switch ((enum pl_kk_move)step->move) {
    case PL_KK_SUPPOSE:
        put(w, "Suppose ");
        break;
    case PL_KK_BY:
        if (step->person == step->speaker)
            put(w, "What ");
        put_name(w, step->speaker);
        if (step->person == step->speaker)
            put(w, step->knight ? " says is true, so " : " says is false, so ");
        else
            put(w, step->speaker_knight ? " tells the truth, so " : " lies, so ");
        break;
    case PL_KK_BUT:
        put(w, "But ");
        put_name(w, step->speaker);
        put(w, step->speaker_knight ? ", a knight, says that " : ", a knave, says that ");
        put_claim(w, step->speaker);
        put(w, step->speaker_knight ? ", which is false: a contradiction"
                                    : ", which is true: a contradiction");
        break;
    case PL_KK_SO:
        put(w, "So ");
        break;
    }
    if (step->move != PL_KK_BUT)
        put_role(w, step->person, step->knight);
    end(w);
}

/* Careless thoughts. */

static void put_hunch(const struct writer *w, size_t person, bool knight)
{
    const uint64_t kind =
        pl_rng_below(&w->out->opts->rng, (uint32_t)(PL_KK_PEOPLE_MAX + person), 3);

    begin(w);
    switch (kind) {
    case 0:
        put_name(w, person);
        put(w, knight ? " sounds honest" : plain(w) ? " sounds false" : " sounds like a liar");
        break;
    case 1:
        put(w, plain(w) ? "i guess " : "My guess is that ");
        put_role(w, person, knight);
        break;
    default:
        put_name(w, person);
        put(w, plain(w) ? " says " : " says that ");
        put_claim(w, person);
        put(w, plain(w) ? " , that" : ", and that");
        put(w, knight ? " sounds right" : " sounds wrong");
    }
    end(w);
}

/* What leads to the n-th role, and that role. Behind the last one there is no more to think. */

static struct writer writer_of(struct pl_worked *out, const void *of)
{
    struct writer w = *(const struct writer *)of;

    w.out = out;
    return w;
}

static void put_thought(struct pl_worked *out, const void *of, size_t n)
{
    const struct writer w = writer_of(out, of);

    if (n == w.puzzle->people) {
        begin(&w);
        put(&w, plain(&w) ? "that is all" : "That is everybody");
        end(&w);
        return;
    }
    if (!w.proof) {
        put_hunch(&w, n, w.guessed >> n & 1);
        return;
    }
    for (size_t i = n == 0 ? 0 : w.proof->ends[n - 1]; i < w.proof->ends[n]; i++) {
        if (plain(&w))
            put_step_plain(&w, &w.proof->steps[i]);
        else
            put_step_published(&w, &w.proof->steps[i]);
    }
}

static uint32_t solution(const struct writer *w)
{
    return w->proof ? w->puzzle->solution : w->guessed;
}

static void put_answer(struct pl_worked *out, const void *of, size_t n)
{
    const struct writer w = writer_of(out, of);
    const size_t person = w.proof ? w.proof->order[n] : n;

    put_role(&w, person, solution(&w) >> person & 1);
}

static void put_solution(struct pl_worked *out, const void *of)
{
    const struct writer w = writer_of(out, of);

    out->rc = pl_kk_solution_text(w.puzzle, solution(&w), out->buf);
}

int pl_kk_answer(const struct pl_kk *puzzle, const struct pl_worked_opts *opts, struct pl_buf *buf,
                 bool *ret_correct)
{
    const struct pl_worked_parts parts = {.answers = puzzle->people,
                                          .thought = put_thought,
                                          .answer = put_answer,
                                          .final = put_solution};
    struct pl_kk_proof proof;
    struct writer w = {.puzzle = puzzle};

    if (opts->careful) {
        pl_kk_prove(puzzle, &proof);
        w.proof = &proof;
    }
    for (size_t i = 0; i < puzzle->people; i++)
        w.guessed |= (uint32_t)pl_rng_below(&opts->rng, (uint32_t)i, 2) << i;
    *ret_correct = solution(&w) == puzzle->solution;
    return pl_worked_print(opts, &parts, &w, buf);
}
