/*
 * Verifiers: is what was answered what is true? By rule, never by a model. Each takes time linear
 * in the answer (at most 10 ms a megabyte) and memory that does not grow with it.
 *
 * A verifier is one row of a table; tasks name theirs.
 */
#ifndef PL_REWARDER_VERIFY_H
#define PL_REWARDER_VERIFY_H

#include "proto/rollout.h"
#include "proto/task.h"

#include <stddef.h>

struct pl_verifier {
    const char *name;
    /* Both NULL: a program of the user's is asked (exec.h). PL_VERDICT_RIGHT, _WRONG, or _UNPARSED
     * where the answer is not of the form of an answer. */
    enum pl_verdict (*final)(const struct pl_task *task, const char *answer, size_t len);
    /* The same of an intermediate answer and one intermediate truth. */
    enum pl_verdict (*step)(const struct pl_task *task, const struct pl_truth *truth,
                            const char *answer, size_t len);
    /* Whether the task's truths are what the verifier can compare with; NULL: any. */
    int (*check)(const struct pl_task *task, struct pl_error *err);
};

const struct pl_verifier *pl_verifier_named(const char *name); /* NULL: there is none */

/* Whether a task can be scored. PL_EFORMAT: its verifier is not known, or its truths are not what
 * that one compares with. */
int pl_verifier_check(const struct pl_task *task, struct pl_error *err);

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
 * It is looked for behind the last "####", within the last "oxed{}", or behind the last "answer
 * is" or "answer:", in this order, and in the whole text where none of them has a number behind it.
 * What is left must hold one number, or one number several times; of different ones, what stands
 * behind the last "=" must. UNPARSED: it does not; or there is what makes a number another one or
 * looks like one and is none: 5^2, √2, sqrt, rac, 1.2.3, 3/4/2020, 0x1F, ½, digits beyond
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
