/*
 * Worked answers: what a model is fine-tuned on before it is trained by reward. A family of
 * problems says what is thought and answered; this puts it into the form of a template.
 *
 *   interleave    <think>T1</think><answer>A1</answer><think>T2</think><answer>A2</answer> ...
 *                 <think>T</think><answer>S</answer>
 *   think-answer  <think>T1 T2 ... T</think><answer>S</answer>
 *   delayed       <think>T1 T2 ... T</think><answer>A1</answer><answer>A2</answer> ...
 *                 <answer>S</answer>
 *   direct        S
 *   cot           T1 T2 ... T answer: S                     no tags
 *
 * T are thoughts, A intermediate answers, S the final one. T, the thought that leads from the last
 * A to S, is left out where thoughts stand together and it says nothing new. There is nothing
 * between tags; inside them, and in front of all else in plain wording, sentences begin with a
 * blank.
 *
 * A careful answer is right, and each of its thoughts says why. A careless one guesses, each time
 * by itself, in the same form.
 */
#ifndef PL_TASKS_WORKED_H
#define PL_TASKS_WORKED_H

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "deploy/tasks/wording.h"
#include "proto/rollout.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PL_TEMPLATES = PL_METHOD_COT + 1, /* a template asks for a method */
    PL_WORKED_DRAWS = 16,             /* positions of the rng that an answer may use: 0 to 15 */
};

struct pl_worked_opts {
    enum pl_method template;
    enum pl_wording wording;
    bool careful;
    struct pl_rng rng; /* of a careless answer */
};

/* An answer while it is written. The first failure stays in rc, and nothing is added after it. */
struct pl_worked {
    const struct pl_worked_opts *opts;
    struct pl_buf *buf;
    size_t block; /* where the text of the tag that is open began */
    int rc;       /* PL_OK, PL_ENOMEM, PL_EFULL */
};

/* Pieces for those who write the parts. */
bool pl_worked_plain(const struct pl_worked *worked);
void pl_worked_put(struct pl_worked *worked, const char *text);
/* What stands in front of a sentence or an answer, and behind a sentence. */
void pl_worked_begin(struct pl_worked *worked);
void pl_worked_end(struct pl_worked *worked);

/* What a family has to say. `of` is handed on to its functions. */
struct pl_worked_parts {
    size_t answers;  /* intermediate ones */
    bool last_tells; /* whether the last thought says anything new */
    /* Thought n leads to answer n; thought number `answers` to the final one. Whole sentences. */
    void (*thought)(struct pl_worked *worked, const void *of, size_t n);
    void (*answer)(struct pl_worked *worked, const void *of, size_t n);
    void (*final)(struct pl_worked *worked, const void *of);
};

/* Adds the answer to buf. PL_ENOMEM, PL_EFULL from it. */
int pl_worked_print(const struct pl_worked_opts *opts, const struct pl_worked_parts *parts,
                    const void *of, struct pl_buf *buf);

/* How long a text is: each tag, each run of letters and digits and each other sign is one word. */
size_t pl_worked_words(const char *text, size_t len);

#endif
