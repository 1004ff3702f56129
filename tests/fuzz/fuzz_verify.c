/*
 * Answers, against truths: the first byte picks the verifier, the first line is the truth (for
 * `choice` the options, with '|' between them), the rest the answer. Whatever they are, an answer
 * is right of itself, right both ways or neither, and names one option at most; and it has a form
 * or has none whatever the truth is.
 */
#include "rewarder/em.h"
#include "rewarder/verify.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static enum pl_verdict compare(const struct pl_verifier *verifier, const char *truth,
                               const char *answer)
{
    const struct pl_task task = {
        .id = "fuzz", .verifier = verifier->name, .final = {.answer = truth}};
    const enum pl_verdict verdict = pl_verify_final(verifier, &task, answer, strlen(answer));

    PL_ASSERT(verdict >= PL_VERDICT_RIGHT && verdict <= PL_VERDICT_UNPARSED);
    PL_ASSERT(pl_verify_step(verifier, &task, &task.final, answer, strlen(answer)) == verdict);
    return verdict;
}

/* Bytes as they come, NUL and all. */
static void check_bytes(const struct pl_verifier *verifier, struct pl_fuzz_in in)
{
    static const char *const choices[] = {"a", "b"};
    const struct pl_task task = {
        .id = "fuzz", .final = {.answer = "a"}, .choices = choices, .choice_count = 2};

    (void)pl_verify_final(verifier, &task, (const char *)in.data, in.size);
    (void)pl_verify_step(verifier, &task, &task.final, (const char *)in.data, in.size);
}

static void check_pair(const struct pl_verifier *verifier, const char *truth, const char *answer)
{
    const enum pl_verdict verdict = compare(verifier, truth, answer);
    const enum pl_verdict back = compare(verifier, answer, truth);
    const enum pl_verdict self = compare(verifier, answer, answer);

    PL_ASSERT(self == (verdict == PL_VERDICT_UNPARSED ? PL_VERDICT_UNPARSED : PL_VERDICT_RIGHT));
    PL_ASSERT((verdict == PL_VERDICT_RIGHT) == (back == PL_VERDICT_RIGHT));
    pl_fuzz_taken(verdict == PL_VERDICT_RIGHT);
}

static size_t split(char *text, const char *choices[PL_TASK_CHOICES_MAX])
{
    size_t count = 0;

    for (char *at = strtok(text, "|"); at && count < PL_TASK_CHOICES_MAX; at = strtok(NULL, "|"))
        choices[count++] = at;
    return count;
}

/* Options whose text is the same as that of option i. */
static size_t alike(const char *const *choices, size_t count, size_t i)
{
    const struct pl_task task = {.final = {.answer = choices[i]}};
    size_t n = 0;

    for (size_t k = 0; k < count; k++)
        n += strcmp(choices[i], choices[k]) == 0 ||
             pl_verify_final(&pl_verify_em, &task, choices[k], strlen(choices[k])) ==
                 PL_VERDICT_RIGHT;
    return n;
}

static void check_choices(char *text, const char *answer)
{
    const char *choices[PL_TASK_CHOICES_MAX];
    const size_t count = split(text, choices);
    size_t right = 0, unparsed = 0, most = 1;

    for (size_t i = 0; i < count; i++) {
        char letter[] = {(char)('A' + (int)i), '\0'}, closed[] = {'(', letter[0], ')', '\0'};
        const struct pl_task task = {
            .id = "fuzz", .final = {.answer = letter}, .choices = choices, .choice_count = count};
        const enum pl_verdict verdict =
            pl_verify_final(&pl_verify_choice, &task, answer, strlen(answer));
        const size_t n = alike(choices, count, i);

        right += verdict == PL_VERDICT_RIGHT;
        unparsed += verdict == PL_VERDICT_UNPARSED;
        most = n > most ? n : most;
        if (strcmp(choices[i], closed) != 0 && n < 2)
            PL_ASSERT(count < 2 || pl_verify_choice.check(&task, NULL) == PL_OK);
    }
    PL_ASSERT(unparsed == 0 || unparsed == count);
    PL_ASSERT(right <= most && (unparsed == 0 || right == 0));
    pl_fuzz_taken(right > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size}, line;
    const uint8_t which = pl_fuzz_byte(&in);
    const struct pl_verifier *verifier = which == 'e'   ? &pl_verify_em
                                         : which == 'n' ? &pl_verify_number
                                                        : &pl_verify_choice;
    char *truth, *answer;

    line = pl_fuzz_cut(&in, '\n');
    check_bytes(verifier, in);
    truth = pl_fuzz_string(line);
    answer = pl_fuzz_string(in);
    if (verifier == &pl_verify_choice)
        check_choices(truth, answer);
    else
        check_pair(verifier, truth, answer);
    free(truth);
    free(answer);
    return 0;
}
