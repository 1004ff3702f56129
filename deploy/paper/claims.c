#include "deploy/paper/claims.h"

#include <math.h>
#include <string.h>

/* Over what a claim is: a part of the tasks. */
enum part { ALL, KK, KK_4_5, KK_HARDER };

static const struct rule {
    const char *name, *text, *what;
    const char *a, *b; /* rows */
    enum pl_measure measure;
    enum part part;
    bool cut; /* by what share a is less than b; else a less b */
    double least;
} rules[] = {
    {"ttfa-cut", "Interleaving brings the first answer at least 80 % earlier.",
     "ttfa of interleave against think-answer, puzzles of 4 and 5 people", "interleave",
     "think-answer", PL_MEASURE_TTFA, KK_4_5, true, 0.80},
    {"ttfa-cut-ir", "So does interleaving with intermediate rewards.",
     "ttfa of interleave + IR against think-answer, puzzles of 4 and 5 people", "interleave-ir",
     "think-answer", PL_MEASURE_TTFA, KK_4_5, true, 0.80},
    {"equal-accuracy",
     "Interleaving alone is as often right as think-answer (3 points are allowed).",
     "Pass@1 of interleave less think-answer, average", "interleave", "think-answer",
     PL_MEASURE_PASS, ALL, false, -0.03},
    {"ir-lifts", "Intermediate rewards lift Pass@1 over think-answer.",
     "Pass@1 of interleave + IR less think-answer, average", "interleave-ir", "think-answer",
     PL_MEASURE_PASS, ALL, false, 0.0},
    {"ir-lifts-kk", "They do so on Knights and Knaves.",
     "Pass@1 of interleave + IR less think-answer, puzzles", "interleave-ir", "think-answer",
     PL_MEASURE_PASS, KK, false, 0.0},
    {"ir-over-no-ir", "Intermediate rewards lift Pass@1 over interleaving without them.",
     "Pass@1 of interleave + IR less interleave, average", "interleave-ir", "interleave",
     PL_MEASURE_PASS, ALL, false, 0.0},
    {"ir-harder", "They help more on harder puzzles.",
     "that gain over think-answer on the harder half of the puzzles less that on the easier half",
     "interleave-ir", "think-answer", PL_MEASURE_PASS, KK_HARDER, false, 0.0},
    {"conditional-over-direct",
     "Paying intermediate answers on conditions beats paying them always.",
     "Pass@1 of IR, partial less direct IR, average", "interleave-ir-partial",
     "interleave-ir-direct", PL_MEASURE_PASS, ALL, false, 0.0},
    {"time-over-partial", "Discounting by time beats partial credit.",
     "Pass@1 of interleave + IR (time) less IR, partial, average", "interleave-ir",
     "interleave-ir-partial", PL_MEASURE_PASS, ALL, false, 0.0},
    {"delayed-loses", "Answers that are delayed to the end of all thinking lose.",
     "Pass@1 of interleave + IR less delayed + IR, average", "interleave-ir", "delayed-ir",
     PL_MEASURE_PASS, ALL, false, 0.0},
};

static size_t slices_of(const struct pl_results *x, enum part part,
                        struct pl_slice slices[PL_FINDING_SLICES_MAX])
{
    switch (part) {
    case KK:
        return pl_slice_where(x, PL_GRID_KK, slices);
    case KK_4_5:
        return pl_slice_people(4, 5, slices);
    case KK_HARDER:
        return pl_slice_harder(x, slices);
    default:
        return pl_slice_where(x, PL_GRID_ALL, slices);
    }
}

enum pl_verdict_of_claim pl_claim_judge(struct pl_figure figure, double least)
{
    if (isnan(figure.value) || isnan(figure.low))
        return PL_CLAIM_NOT_RUN;
    return figure.low > least     ? PL_CLAIM_HOLDS
           : figure.high <= least ? PL_CLAIM_FAILS
                                  : PL_CLAIM_OPEN;
}

size_t pl_claims(const struct pl_results *results, struct pl_claim ret_claims[PL_CLAIMS_MAX])
{
    const size_t count = sizeof rules / sizeof *rules;

    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        const struct pl_finding_row *a = pl_results_row(results, rule->a);
        const struct pl_finding_row *b = pl_results_row(results, rule->b);
        struct pl_slice slices[PL_FINDING_SLICES_MAX];
        const size_t n = slices_of(results, rule->part, slices);
        struct pl_claim *c = &ret_claims[i];

        *c = (struct pl_claim){.name = rule->name,
                               .text = rule->text,
                               .what = rule->what,
                               .least = rule->least,
                               .unit = rule->cut ? PL_CLAIM_PERCENT : PL_CLAIM_POINTS,
                               .figure = {(double)NAN, (double)NAN, (double)NAN}};
        if (n > 0)
            c->figure = rule->cut ? pl_finding_cut(a, b, rule->measure, slices, n)
                                  : pl_finding_gain(a, b, rule->measure, slices, n);
        c->verdict = pl_claim_judge(c->figure, rule->least);
    }
    return count;
}

const char *pl_claim_word(enum pl_verdict_of_claim verdict)
{
    static const char *const words[] = {"not measured", "holds", "does not hold", "not decided"};

    return words[verdict];
}
