/*
 * What the paper claims (Xie et al., arXiv 2505.19640), each as one figure of a reproduction and
 * what would bear it out: the whole interval on the claim's side. Where the interval lies on the
 * other side the claim does not hold here; else it is not decided.
 */
#ifndef PL_PAPER_CLAIMS_H
#define PL_PAPER_CLAIMS_H

#include "common/base/err.h"
#include "deploy/paper/results.h"

#include <stddef.h>

enum pl_verdict_of_claim { PL_CLAIM_NOT_RUN, PL_CLAIM_HOLDS, PL_CLAIM_FAILS, PL_CLAIM_OPEN };

/* How a figure is written: a difference of shares in points, a share in %, steps as they are. */
enum pl_claim_unit { PL_CLAIM_POINTS, PL_CLAIM_PERCENT, PL_CLAIM_STEPS };

struct pl_claim {
    const char *name; /* for scripts: "ttfa-cut" */
    const char *text; /* a sentence */
    const char *what; /* what the figure is */
    double least;     /* the claim: the figure is more than this */
    enum pl_claim_unit unit;
    struct pl_figure figure;
    enum pl_verdict_of_claim verdict;
};

enum { PL_CLAIMS_MAX = 32 };

/* The verdict of a figure. */
enum pl_verdict_of_claim pl_claim_judge(struct pl_figure figure, double least);

/* Claims by what models answered; how many were written, leaving room for as many again. */
size_t pl_claims(const struct pl_results *results, struct pl_claim ret_claims[PL_CLAIMS_MAX]);

const char *pl_claim_word(enum pl_verdict_of_claim verdict); /* "holds", ... */

#endif
