#include "deploy/kk_answer.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "deploy/kk_proof.h"

#include <string.h>

/* What is being written, and how far. The first failure stays, and nothing is added after it. */
struct writer {
    const struct pl_kk *puzzle;
    const struct pl_kk_answer_opts *opts;
    struct pl_buf *buf;
    size_t block; /* where the text of the tag that is open began */
    int rc;

    const struct pl_kk_proof *proof; /* careful */
    uint32_t guessed;                /* careless: the roles */
};

/* Small pieces. */

static bool plain(const struct writer *w)
{
    return w->opts->wording == PL_KK_PLAIN;
}

static void put(struct writer *w, const char *text)
{
    if (w->rc == PL_OK)
        w->rc = pl_buf_puts(w->buf, text);
}

static void put_name(struct writer *w, size_t person)
{
    put(w, w->puzzle->names[person]);
}

static void put_role(struct writer *w, size_t person, bool knight)
{
    if (w->rc == PL_OK)
        w->rc = pl_kk_role_text(w->puzzle, person, knight, w->buf);
}

static void put_claim(struct writer *w, size_t speaker)
{
    if (w->rc == PL_OK)
        w->rc = pl_kk_claim_text(w->puzzle, speaker, w->opts->wording, w->buf);
}

/* What stands in front of a sentence. In plain wording always a blank: then a word is the same to a
 * tokenizer wherever it stands. */
static void begin(struct writer *w)
{
    if (plain(w) || w->buf->len > w->block)
        put(w, " ");
}

static void end(struct writer *w)
{
    put(w, plain(w) ? " ." : ".");
}

static void open_tag(struct writer *w, const char *tag)
{
    put(w, tag);
    w->block = w->buf->len;
}

/* Careful thoughts. */

static void put_step_plain(struct writer *w, const struct pl_kk_step *step)
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

static void put_step_published(struct writer *w, const struct pl_kk_step *step)
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

static void put_hunch(struct writer *w, size_t person, bool knight)
{
    const uint64_t kind = pl_rng_below(&w->opts->rng, (uint32_t)(PL_KK_PEOPLE_MAX + person), 3);

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

/* What leads to the n-th role, and that role. */

static void put_thought(struct writer *w, size_t n)
{
    if (!w->proof) {
        put_hunch(w, n, w->guessed >> n & 1);
        return;
    }
    for (size_t i = n == 0 ? 0 : w->proof->ends[n - 1]; i < w->proof->ends[n]; i++) {
        if (plain(w))
            put_step_plain(w, &w->proof->steps[i]);
        else
            put_step_published(w, &w->proof->steps[i]);
    }
}

static uint32_t solution(const struct writer *w)
{
    return w->proof ? w->puzzle->solution : w->guessed;
}

static void put_answer(struct writer *w, size_t n)
{
    const size_t person = w->proof ? w->proof->order[n] : n;

    open_tag(w, "<answer>");
    begin(w);
    put_role(w, person, solution(w) >> person & 1);
    put(w, "</answer>");
}

static void put_solution(struct writer *w)
{
    begin(w);
    if (w->rc == PL_OK)
        w->rc = pl_kk_solution_text(w->puzzle, solution(w), w->buf);
}

static void put_all_thoughts(struct writer *w)
{
    for (size_t n = 0; n < w->puzzle->people; n++)
        put_thought(w, n);
}

static void put_final(struct writer *w)
{
    open_tag(w, "<answer>");
    put_solution(w);
    put(w, "</answer>");
}

/* Templates. */

static void interleave(struct writer *w)
{
    for (size_t n = 0; n < w->puzzle->people; n++) {
        open_tag(w, "<think>");
        put_thought(w, n);
        put(w, "</think>");
        put_answer(w, n);
    }
    open_tag(w, "<think>");
    begin(w);
    put(w, plain(w) ? "that is all" : "That is everybody");
    end(w);
    put(w, "</think>");
    put_final(w);
}

static void think_first(struct writer *w, bool answers)
{
    open_tag(w, "<think>");
    put_all_thoughts(w);
    put(w, "</think>");
    for (size_t n = 0; answers && n < w->puzzle->people; n++)
        put_answer(w, n);
    put_final(w);
}

static void chain_of_thought(struct writer *w)
{
    put_all_thoughts(w);
    begin(w);
    put(w, plain(w) ? "answer:" : "Answer:");
    put_solution(w);
    if (!plain(w))
        put(w, ".");
}

static void put_template(struct writer *w)
{
    switch (w->opts->template) {
    case PL_METHOD_INTERLEAVE:
        interleave(w);
        return;
    case PL_METHOD_THINK_ANSWER:
        think_first(w, false);
        return;
    case PL_METHOD_DELAYED:
        think_first(w, true);
        return;
    case PL_METHOD_DIRECT:
        put_solution(w);
        return;
    case PL_METHOD_COT:
        chain_of_thought(w);
        return;
    }
    PL_ASSERT(!"a known template");
}

int pl_kk_answer(const struct pl_kk *puzzle, const struct pl_kk_answer_opts *opts,
                 struct pl_buf *buf, bool *ret_correct)
{
    struct pl_kk_proof proof;
    struct writer w = {.puzzle = puzzle, .opts = opts, .buf = buf, .block = buf->len};

    if (opts->careful) {
        pl_kk_prove(puzzle, &proof);
        w.proof = &proof;
    }
    for (size_t i = 0; i < puzzle->people; i++)
        w.guessed |= (uint32_t)pl_rng_below(&opts->rng, (uint32_t)i, 2) << i;
    put_template(&w);
    *ret_correct = solution(&w) == puzzle->solution;
    return w.rc;
}

/* Bytes of the tag at text, "<think>" or "<|interleave|>", or 0. */
static size_t tag_len(const char *text, size_t len)
{
    size_t i = 1;

    while (i < len && ((text[i] >= 'a' && text[i] <= 'z') || text[i] == '/' || text[i] == '|' ||
                       text[i] == '-'))
        i++;
    return text[0] == '<' && i < len && text[i] == '>' ? i + 1 : 0;
}

size_t pl_kk_words(const char *text, size_t len)
{
    size_t words = 0;
    bool in_word = false;

    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool letter =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
        const size_t tag = c == '<' ? tag_len(text + i, len - i) : 0;

        if (c != ' ' && c != '\n' && c != '\t' && !(letter && in_word))
            words++;
        in_word = letter;
        if (tag > 0)
            i += tag - 1;
    }
    return words;
}
