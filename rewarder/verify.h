/*
 * Verifiers: is what was answered what is true? By rule, never by a model.
 *
 * A verifier reads a text into a form of fixed size, and compares forms. A judge holds the truths
 * of one task: each of them is read once for all responses, each answer once for all truths. So the
 * cost of a response is
 *
 *   reading      linear in its text (at most 10 ms a megabyte)
 *   comparing    one form with another, for each answer and each text of a truth: some ten to a
 *                hundred nanoseconds; arithmetic, which `math` alone does, is counted in words and
 *                has one allowance for the final answer and one for all intermediate ones of a
 *                response. What goes over it is not the same: the same on every machine, as nothing
 *                here looks at a clock
 *
 * and how many answers of a response are compared is bounded too (PL_REWARD_ANSWERS_MAX, reward.h).
 *
 * A verifier is one row of a table; tasks name theirs.
 */
#ifndef PL_REWARDER_VERIFY_H
#define PL_REWARDER_VERIFY_H

#include "proto/rollout.h"
#include "proto/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text to be read: of a truth, or of an answer. */
struct pl_text {
    const struct pl_task *task;
    const char *text;
    size_t len;
    bool truth;        /* else an answer */
    bool step;         /* an intermediate one, else final */
    const void *final; /* of an answer: the form of the final truth; NULL: it has none */
};

struct pl_verifier {
    const char *name;
    /* Of a text that was read; of what comparing needs beside. A program of the user's (exec.h) is
     * asked where `read` is NULL. */
    size_t form_bytes, room_bytes;
    bool aliases; /* those of truths count */
    /* The form may borrow from the text. False: the text is not of the form of an answer. */
    bool (*read)(const struct pl_text *text, void *ret_form);
    /* RIGHT: they are the same; WRONG, or UNPARSED where the answer turns out to be none. *work is
     * how much was done so far for this response, and grows. */
    enum pl_verdict (*same)(const void *truth, const void *answer, bool step, void *room,
                            uint64_t *work);
    /* Whether the task's truths are what the verifier can compare with; NULL: any. */
    int (*check)(const struct pl_task *task, struct pl_error *err);
};

const struct pl_verifier *pl_verifier_named(const char *name); /* NULL: there is none */

/* Whether a task can be scored. PL_EFORMAT: its verifier is not known, or its truths are not what
 * that one compares with. */
int pl_verifier_check(const struct pl_task *task, struct pl_error *err);

/* ---- the judge ---- */

/* What compares the answers of one response after the other with the truths of a task. One thread
 * owns it. */
struct pl_judge;

/* Ended with pl_judge_destroy(). PL_ENOMEM, as all of these that can fail. */
int pl_judge_create(struct pl_judge **ret_judge);
void pl_judge_destroy(struct pl_judge *judge); /* NULL is fine */

/* A task begins; it is borrowed until the next one. The verifier is not `exec`. */
int pl_judge_task(struct pl_judge *judge, const struct pl_verifier *verifier,
                  const struct pl_task *task);
/* A response to it begins: its allowance of work is whole. */
void pl_judge_response(struct pl_judge *judge);
/* Read an answer of it, the final one or an intermediate one; borrowed until the next one. */
int pl_judge_answer(struct pl_judge *judge, const char *text, size_t len, bool step);
/* That answer against the final truth (step 0; it must be final) or the step-th. RIGHT, WRONG, or
 * UNPARSED where it is not of the form of an answer. */
int pl_judge_compare(struct pl_judge *judge, size_t step, enum pl_verdict *ret_verdict);
/* What this response took so far: bytes that were read, words of arithmetic. */
uint64_t pl_judge_work(const struct pl_judge *judge);

/* One answer by itself, with a judge of its own. NONE: no memory. */
enum pl_verdict pl_verify_final(const struct pl_verifier *verifier, const struct pl_task *task,
                                const char *text, size_t len);
enum pl_verdict pl_verify_step(const struct pl_verifier *verifier, const struct pl_task *task,
                               const struct pl_truth *truth, const char *text, size_t len);

/* ---- the table ---- */

/* "kk": roles of Knights and Knaves, in any wording that names every person once with its role
 * ("Zoey is a knight", "(1) Zoey is a knight"), whole words, upper and lower case alike. */
extern const struct pl_verifier pl_verify_kk;

/* "em": the text of the truth or of one of its aliases, by em.h's rule of what is the same. */
extern const struct pl_verifier pl_verify_em;

/*
 * "number": one number, compared exactly, as fractions of decimals of up to 40 digits.
 *
 *   72   72.00   7.2e1   $72   72 dollars   #### 72      1,234.5   -5   −5   minus 5
 *   1/2   1 1/2   50%, which is 50 and 0.5: a per cent sign is a unit or a hundredth
 *
 * It is looked for behind the last "####", within the last "\boxed{}", or behind the last "answer
 * is" or "answer:", in this order, and in the whole text where none of them has a number behind it.
 * What is left must hold one number, or one number several times; of different ones, what stands
 * behind the last "=" must. UNPARSED: it does not; or there is what makes a number another one or
 * looks like one and is none: 5^2, √2, sqrt, \frac, 1.2.3, 3/4/2020, 0x1F, ½, digits beyond
 * ASCII. Digits within a word behind its first letter (H2O) are no number; letters behind a number
 * are its unit. Commas count between groups of three only: "1,2" is two numbers.
 */
extern const struct pl_verifier pl_verify_number;

/*
 * "choice": one of the options meta.choices, of 2 to 10, by its letter or by its text. The truth is
 * a letter or an option's text. An answer is
 *
 *   a letter     B   b   (B)   B.   **B**   \boxed{B}   Option B   The correct answer is (B).
 *   with text    B) text   B. text   B: text   (B) text   and   B text, if it is that option's own
 *   a text       that of an option: as it stands, but for white space and full stops at its end;
 *                or else in em's form, where that is the form of one option only
 *
 * or stands behind the last "\boxed{", "answer is" or "answer:". UNPARSED: all else; two different
 * letters; a letter with another option's text; a letter alone that is the text of another option.
 * Intermediate answers are compared as those of em.
 */
extern const struct pl_verifier pl_verify_choice;

/* "math": mathematical answers as MATH and GSM8K have them, in LaTeX or plain text, boxed or not.
 * Right is what is mathematically the same as the answer or an alias: math_same.h says what that
 * means, math_text.h where in a text the answer is. Unparsed: there is none, or it has "..." in it,
 * or is longer than some 2000 bytes, or nested too deeply. */
extern const struct pl_verifier pl_verify_math;

/* "exec": what the program named by the settings says (exec.h). */
extern const struct pl_verifier pl_verify_exec;

#endif
