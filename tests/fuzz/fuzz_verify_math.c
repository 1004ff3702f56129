/*
 * Mathematical answers: a truth on the first line, an answer behind it. A truth that can be
 * compared with is its own right answer, in a box as well; who is right does not depend on which of
 * the two is called the truth; the same question has the same answer.
 *
 * An input is taken if the answer is right.
 */
#include "rewarder/verify.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static enum pl_verdict judge(const char *truth, const char *answer, size_t len)
{
    const struct pl_truth step = {.answer = truth};
    const struct pl_task task = {.id = "fuzz", .final = step};
    const enum pl_verdict verdict = pl_verify_final(&pl_verify_math, &task, answer, len);

    PL_ASSERT(verdict == PL_VERDICT_RIGHT || verdict == PL_VERDICT_WRONG ||
              verdict == PL_VERDICT_UNPARSED);
    PL_ASSERT(pl_verify_step(&pl_verify_math, &task, &step, answer, len) == verdict);
    return verdict;
}

static bool can_be_compared(const char *truth)
{
    const struct pl_task task = {.id = "fuzz", .final = {.answer = truth}};
    struct pl_error err = {0};
    const int rc = pl_verify_math.check(&task, &err);

    PL_ASSERT(rc == PL_OK || (rc == PL_EFORMAT && strstr(err.text, "task 'fuzz': the answer, '")));
    return rc == PL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    char *truth = pl_fuzz_string(pl_fuzz_cut(&in, '\n'));
    char *answer = pl_fuzz_string(in);
    const enum pl_verdict verdict = judge(truth, (const char *)in.data, in.size);

    if (can_be_compared(truth))
        PL_ASSERT(judge(truth, truth, strlen(truth)) == PL_VERDICT_RIGHT);
    else
        PL_ASSERT(verdict != PL_VERDICT_RIGHT);
    if (can_be_compared(answer))
        PL_ASSERT((judge(truth, answer, strlen(answer)) == PL_VERDICT_RIGHT) ==
                  (judge(answer, truth, strlen(truth)) == PL_VERDICT_RIGHT));
    pl_fuzz_taken(verdict == PL_VERDICT_RIGHT);
    free(truth);
    free(answer);
    return 0;
}
