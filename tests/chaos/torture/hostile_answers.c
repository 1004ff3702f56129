/*
 * Hostile answers: responses made to hurt a scorer, one for each seed, for every verifier that
 * decides by rule: nested and unclosed tags, brackets, huge numbers and exponents, sums that
 * explode, marks, zero-width and mixed scripts, NULs, bytes that are no UTF-8, marks of answers
 * again and again, and mutations of what is right.
 *
 *   hostile_answers [COUNT [SEED]]
 *
 * Of each it is checked that
 *   - its score is a number, and the same when it is scored again by a judge that is new to the
 *     task;
 *   - what it took is bounded, counted in bytes that were read and words of arithmetic: its length,
 *     and two allowances (verify.h). That is the same on every machine.
 *
 * Where COUNT is 10^6 or more, the slowest is measured as well: processor time of the least of five
 * tries is under 10 ms. Printed: for each verifier how many, the most work and the slowest, with
 * the seed that makes it once more (hostile_answers 1 SEED).
 */
#include "rewarder/math_poly.h"
#include "rewarder/reward.h"
#include "rewarder/verify.h"
#include "tests/chaos/torture/results.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 1 << 18, LONG_RUN = 1000000, STEPS = 8, ALIASES = 8, TRIES = 5, SLACK = 200000 };

#define LIMIT_S 0.010

/* ---- seeded choices ---- */

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *d) /* splitmix64 */
{
    uint64_t z = d->state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static size_t below(struct dice *d, size_t n)
{
    return (size_t)(roll(d) % n);
}

/* Up to `most`, as often of a length with k digits as with k + 1. */
static size_t length(struct dice *d, size_t most)
{
    return below(d, (size_t)1 << below(d, (size_t)log2((double)most) + 1)) + 1;
}

/* ---- texts ---- */

struct text {
    char *bytes;
    size_t len, most;
};

static void put(struct text *t, const char *bytes, size_t len)
{
    const size_t n = len < t->most - t->len ? len : t->most - t->len;

    memcpy(t->bytes + t->len, bytes, n);
    t->len += n;
}

static void put_text(struct text *t, const char *text)
{
    put(t, text, strlen(text));
}

static void repeat(struct text *t, const char *text, size_t times)
{
    for (size_t i = 0; i < times && t->len < t->most; i++)
        put_text(t, text);
}

#define PICK(d, list) ((list)[below(d, sizeof(list) / sizeof *(list))])

static const char *const tags[] = {"<think>",  "</think>", "<answer>",  "</answer>", "<answ",
                                   "</ans",    "<",        "</",        ">",         "<answer",
                                   "<think >", "<Answer>", "</think\n>"};
static const char *const brackets[] = {
    "(",       "[",        "{",       "|",          "\\{",
    "\\left(", "\\frac{",  "\\sqrt{", "\\sqrt[3]{", "\\frac{1}{x+",
    "^{",      "_{",       "\\text{", "\\boxed{",   "\\begin{pmatrix}",
    "\\ln(",   "\\lfloor", "$",       "\\(",        "-",
    "\\pm ",   "\\binom{", ")",       "}",          "]"};
static const char *const marks[] = {"####",    "\\boxed{",          "\\boxed ", "answer is ",
                                    "answer:", "ANSWER IS",         "= ",       "\\fbox{",
                                    "#### ",   "the answer is not "};
static const char *const numbers[] = {"9",
                                      "0",
                                      "1,111",
                                      "1e999999999",
                                      "1e-999999999",
                                      "9^{9^{9^{9}}}",
                                      "100000^{100000}",
                                      "1000!",
                                      "0.(3)",
                                      "0.1\\overline{6}",
                                      "1/3/3",
                                      "5%",
                                      "- -",
                                      "1.5e3",
                                      "\\binom{1000}{500}",
                                      ".5",
                                      "1.2.3",
                                      "2^{3000}",
                                      "1000003000000700000021",
                                      "99999999999999999999999999999999999999999999",
                                      "0x1F",
                                      "1,2",
                                      "1 1/2"};
static const char *const operators[] = {"+", "*", "/", "^", ",", " ", "=", "-"};
static const char *const sums[] = {"(x+y+z+1)^{12}",
                                   "(a+b+c+d)^9",
                                   "(x+1)^{64}(x+2)^{64}",
                                   "(1+\\sqrt{2})(1+\\sqrt{3})(1+\\sqrt{5})(1+\\sqrt{7})",
                                   "\\frac{x}{y+z}+\\frac{y}{z+x}+",
                                   "|a+b+c+d|",
                                   "e^{x+y+z}",
                                   "\\sqrt{1000003000000700000021}+",
                                   "(x_1+y_1+2)(x_2+y_2+3)",
                                   "(\\frac{x}{7}+\\frac13)^{32}",
                                   "\\{1,2,3,",
                                   "1\\pm ",
                                   "x=",
                                   "1<",
                                   "\\cup",
                                   "x\\in",
                                   "5\\text{ cm}/",
                                   "\\sin^{-1}",
                                   "x^{x^{x"};
static const char *const glyphs[] = {"\xCC\x81",
                                     "\xE2\x80\x8B",
                                     "\xE2\x80\x8D",
                                     "\xEF\xB7\xBA" /* 18 characters of one */,
                                     "\xF0\x9F\x91\xA9\xE2\x80\x8D",
                                     "\xE2\x80\xAE",
                                     "\xE3\x85\xA4",
                                     "\xE4\xB8\x9C",
                                     "\xD0\xB0" /* a of another script */,
                                     "\xEF\xBC\x97",
                                     "\xC3\x9F",
                                     "\xCE\xA3",
                                     "\xE2\x88\x92",
                                     "\xC2\xBD",
                                     "\xE0\xA5\xA7",
                                     "\xF0\x9D\x9F\x9A",
                                     "\xC2\xA0",
                                     "\xE1\x84\x80\xE1\x85\xA1",
                                     "a\xCC\x81\xCC\xA7\xCC\x8A",
                                     "\xEA\xB0\x80",
                                     "\xF4\x8F\xBF\xBF",
                                     "\xE2\x88\x85",
                                     "\xC2\xAD"};
static const char *const bad[] = {"\xFF",     "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                  "\xE2\x82", "\x80",     "\xF0\x9F",     "\x01",
                                  "\x7F",     "\x1B[31m"};
static const char *const words[] = {
    "Zoey", "Ella", "is",  "a",       "knight", "knave",      "and",    "both", "not",
    "the",  "A",    "(B)", "option",  "Paris",  "paris,",     "an",     "or",   "answer",
    "72",   "all",  "are", "B. text", "maybe",  "\\text{cm}", "dollars"};
static const char *const regexes[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                                      "(a+)+$",
                                      "((a|a)*)*",
                                      ".*.*.*x",
                                      "a?a?a?aaa",
                                      " \t \t \t",
                                      "....",
                                      "????",
                                      "----1",
                                      "!!!!5!!!!5"};

/* A piece of at most `most` bytes. */
static void put_piece(struct dice *d, struct text *t, size_t most)
{
    struct text part = {t->bytes + t->len, 0, most < t->most - t->len ? most : t->most - t->len};
    const size_t n = below(d, 4) ? length(d, most) : most;

    switch (below(d, 14)) {
    case 0: /* bytes */
        while (part.len < n && part.len < part.most)
            part.bytes[part.len++] = (char)roll(d);
        break;
    case 1:
        while (part.len < n && part.len < part.most)
            put_text(&part, PICK(d, tags));
        break;
    case 2:
        repeat(&part, PICK(d, brackets), n);
        put_text(&part, PICK(d, numbers));
        repeat(&part, PICK(d, brackets), n);
        break;
    case 3:
        while (part.len < n && part.len < part.most)
            put_text(&part, PICK(d, brackets));
        break;
    case 4:
        repeat(&part, PICK(d, marks), n);
        put_text(&part, PICK(d, numbers));
        break;
    case 5:
        repeat(&part, PICK(d, numbers), n);
        break;
    case 6:
        while (part.len < n && part.len < part.most) {
            put_text(&part, PICK(d, numbers));
            put_text(&part, PICK(d, operators));
        }
        break;
    case 7:
        for (size_t k = below(d, 40); k > 0; k--)
            put_text(&part, PICK(d, sums));
        put_text(&part, "1");
        break;
    case 8:
        repeat(&part, PICK(d, sums), below(d, 60) + 1);
        put_text(&part, PICK(d, numbers));
        break;
    case 9:
        repeat(&part, PICK(d, glyphs), n);
        break;
    case 10:
        while (part.len < n && part.len < part.most)
            put_text(&part, PICK(d, glyphs));
        break;
    case 11:
        while (part.len < n && part.len < part.most)
            put_text(&part, below(d, 4) ? PICK(d, bad) : "\0");
        if (part.len < part.most)
            part.bytes[part.len++] = '\0';
        break;
    case 12:
        while (part.len < n && part.len < part.most) {
            put_text(&part, PICK(d, words));
            put_text(&part, below(d, 8) ? " " : PICK(d, glyphs));
        }
        break;
    default:
        repeat(&part, PICK(d, regexes), n);
        break;
    }
    t->len += part.len;
}

/* What is right for a truth, or nearly so. */
static void put_near(struct dice *d, struct text *t, const struct pl_truth *truth)
{
    const size_t begin = t->len;

    put_text(t, below(d, 3) || truth->alias_count == 0
                    ? truth->answer
                    : truth->aliases[below(d, truth->alias_count)]);
    for (size_t k = below(d, 4); k > 0 && t->len > begin; k--)
        t->bytes[begin + below(d, t->len - begin)] = (char)roll(d);
}

/* ---- tasks ---- */

struct target {
    const char *verifier;
    struct pl_task task;
    struct pl_truth steps[STEPS];
    const char *aliases[STEPS + 1][ALIASES];
    size_t count, slowest_seed, most_seed;
    uint64_t most;
    double slowest_s;
};

static const char *const math_truths[] = {"(x+y+z+1)^{12}",
                                          "\\frac{1}{2}",
                                          "x^2+2x+1",
                                          "\\{1,2,3\\}",
                                          "(1,\\infty)",
                                          "\\sqrt{2}+\\sqrt{3}",
                                          "x=5",
                                          "12\\text{ cm}",
                                          "\\frac{x}{y+z}+\\frac{y}{z+x}"};
static const char *const number_truths[] = {"72", "-0.5", "1,234.5", "50%", "1/3",
                                            "$7", "3",    "0",       "1e6"};
static const char *const em_truths[] = {"Paris",   "the Beatles", "3.5",  "straße",  "U.S.",
                                        "1990-91", "a",           "東京", "New York"};
static const char *const kk_truths[] = {"Zoey is a knight and Ella is a knave", "Zoey is a knight",
                                        "Ella is a knave"};
static const char *const options[] = {"Paris", "72", "the Beatles", "B", "(x+1)^2"};

static void make_target(struct target *t, const char *verifier)
{
    const bool kk = strcmp(verifier, "kk") == 0, choice = strcmp(verifier, "choice") == 0;
    const char *const *truths = strcmp(verifier, "math") == 0     ? math_truths
                                : strcmp(verifier, "number") == 0 ? number_truths
                                : kk                              ? kk_truths
                                                                  : em_truths;
    const size_t steps = kk ? 2 : STEPS, aliases = kk ? 0 : ALIASES;

    *t = (struct target){.verifier = verifier};
    t->task =
        (struct pl_task){.id = "hostile",
                         .source = "hostile",
                         .question = "",
                         .verifier = verifier,
                         .final = {choice ? "B" : truths[0], t->aliases[0], choice ? 0 : aliases},
                         .steps = t->steps,
                         .step_count = steps,
                         .choices = options,
                         .choice_count = choice ? 5 : 0};
    for (size_t i = 0; i <= steps; i++)
        for (size_t k = 0; k < aliases; k++)
            t->aliases[i][k] = truths[(i + k + 1) % 9];
    for (size_t i = 0; i < steps; i++)
        t->steps[i] = (struct pl_truth){truths[i + 1], t->aliases[i + 1], aliases};
}

/* ---- responses ---- */

static void make_response(struct dice *d, const struct target *target, struct text *t)
{
    const size_t shape = below(d, 8), most = below(d, 40) == 0 ? TEXT_MAX : 6000;
    const size_t answers = below(d, 6) == 0 ? below(d, 200) + 1 : below(d, 6) + 1;

    t->len = 0;
    t->most = length(d, most) + 200;
    if (shape == 0) { /* anything */
        while (t->len < t->most)
            put_piece(d, t, t->most);
        return;
    }
    for (size_t i = 0; i < answers && t->len < t->most; i++) {
        put_text(t, shape == 1 && i > 0 ? "" : "<think>t</think>");
        put_text(t, "<answer>");
        if (below(d, 4) == 0)
            put_near(d, t,
                     below(d, target->task.step_count + 1) == 0
                         ? &target->task.final
                         : &target->steps[below(d, target->task.step_count)]);
        else
            put_piece(d, t, (t->most - t->len) / (answers - i) + 1);
        put_text(t, shape == 2 && below(d, 20) == 0 ? "" : "</answer>");
    }
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- one seed ---- */

struct bench {
    struct target targets[5];
    struct pl_judge *judges[5];
    struct text text;
    size_t *ends; /* (TEXT_MAX) a token a byte */
    struct pl_reward_room rooms[2];
    bool timed;
};

static struct pl_score score(struct bench *b, size_t which, struct pl_judge *judge,
                             enum pl_method method, size_t room)
{
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_score s;

    opts.judge = judge;
    opts.pay = PL_REWARD_DIRECT;
    if (pl_reward_score(&opts, &b->targets[which].task, method, b->text.bytes, b->text.len, b->ends,
                        b->text.len, &b->rooms[room], &s, NULL) < 0) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return s;
}

static bool same_score(const struct pl_score *a, const struct pl_score *b)
{
    if (a->format != b->format || a->final != b->final || a->intermediate != b->intermediate ||
        a->extra != b->extra || a->verdict != b->verdict || a->steps_right != b->steps_right ||
        a->first_answer != b->first_answer || a->first_right != b->first_right ||
        a->segment_count != b->segment_count || strcmp(a->why, b->why) != 0)
        return false;
    for (size_t i = 0; i < a->segment_count; i++)
        if (a->segments[i].verdict != b->segments[i].verdict ||
            a->segments[i].step != b->segments[i].step)
            return false;
    return true;
}

static int fail(uint64_t seed, const char *verifier, const char *what)
{
    printf("seed %llu, %s: %s\n", (unsigned long long)seed, verifier, what);
    return 1;
}

static int one(struct bench *b, uint64_t seed)
{
    static const enum pl_method methods[] = {PL_METHOD_INTERLEAVE, PL_METHOD_INTERLEAVE,
                                             PL_METHOD_DELAYED,    PL_METHOD_THINK_ANSWER,
                                             PL_METHOD_DIRECT,     PL_METHOD_COT};
    struct dice d = {seed * 0xD1342543DE82EF95u + 1};
    const size_t which = below(&d, 5);
    const enum pl_method method = PICK(&d, methods);
    struct target *t = &b->targets[which];
    double begin, took;
    struct pl_score s;
    uint64_t work;

    make_response(&d, t, &b->text);
    begin = seconds();
    s = score(b, which, b->judges[which], method, 0);
    took = seconds() - begin;
    work = pl_judge_work(b->judges[which]);
    t->count++;
    if (work > t->most) {
        t->most = work;
        t->most_seed = seed;
    }
    if (work > b->text.len + 2 * ((uint64_t)PL_MATH_WORK_MAX + SLACK))
        return fail(seed, t->verifier, "more work than a response may take");
    if (!isfinite(s.format + s.final + s.intermediate + s.extra))
        return fail(seed, t->verifier, "its reward is no number");
    if (seed % 8 == 0) {
        const struct pl_score again = score(b, which, NULL, method, 1);

        if (!same_score(&s, &again))
            return fail(seed, t->verifier, "another score the second time");
    }
    for (size_t i = 1; b->timed && took > t->slowest_s && i < TRIES; i++) { /* not the machine's */
        begin = seconds();
        (void)score(b, which, b->judges[which], method, 0);
        took = fmin(took, seconds() - begin);
    }
    if (took > t->slowest_s) {
        t->slowest_s = took;
        t->slowest_seed = seed;
    }
    return b->timed && took >= LIMIT_S ? fail(seed, t->verifier, "it took 10 ms or more") : 0;
}

int main(int argc, char **argv)
{
    static const char *const verifiers[] = {"em", "number", "math", "choice", "kk"};
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct bench *b = calloc(1, sizeof *b);
    double slowest_s = 0.0;
    int wrong = 0;

    if (count == 0) {
        fprintf(stderr, "Usage: hostile_answers [COUNT [FIRST SEED]]\n");
        return 2;
    }
    if (!b || !(b->text.bytes = malloc(TEXT_MAX + 512)) ||
        !(b->ends = malloc((TEXT_MAX + 512) * sizeof *b->ends)))
        return 1;
    for (size_t i = 0; i < TEXT_MAX + 512; i++)
        b->ends[i] = i + 1;
    b->timed = count >= LONG_RUN;
    for (size_t i = 0; i < 5; i++) {
        struct pl_error err = {0};

        make_target(&b->targets[i], verifiers[i]);
        if (pl_verifier_check(&b->targets[i].task, &err) < 0 ||
            pl_judge_create(&b->judges[i]) < 0 ||
            pl_judge_task(b->judges[i], pl_verifier_named(verifiers[i]), &b->targets[i].task) < 0) {
            fprintf(stderr, "%s: %s\n", verifiers[i], err.text);
            return 1;
        }
    }
    for (uint64_t i = 0; i < count && wrong < 10; i++)
        wrong += one(b, first + i);
    for (size_t i = 0; i < 5; i++) {
        const struct target *t = &b->targets[i];

        slowest_s = fmax(slowest_s, t->slowest_s);
        printf("%-7s %8zu answers, most work %8llu (seed %zu), slowest %6.3f ms (seed %zu)\n",
               t->verifier, t->count, (unsigned long long)t->most, t->most_seed, 1e3 * t->slowest_s,
               t->slowest_seed);
        pl_judge_destroy(b->judges[i]);
    }
    printf("%llu hostile answers, %d wrong\n", (unsigned long long)count, wrong);
    pl_chaos_result("answers", "hostile", b->timed, first, count, (uint64_t)wrong,
                    ", \"slowest_ms\": %.3f", 1e3 * slowest_s);
    free(b->text.bytes);
    free(b->ends);
    free(b);
    return wrong > 0;
}
