/*
 * What is said of a turn when it is over: one JSON object for scripts, one line for people.
 *
 *   {"turn": 1, "prompt": "1 + 1?", "text": "<think>one more than 1</think><answer>2</answer>",
 *    "segments": [{"part": "think", "text": "one more than 1"}, {"part": "answer", "text": "2"}],
 *    "finish": "stop", "context_full": false,
 *    "prompt_tokens": 12, "reused_tokens": 0, "tokens": 11, "seconds": 0.2, "tokens_per_s": 61.2,
 *    "first_token_ms": 31.5, "ttfa_tokens": 9, "ttfa_ms": 170.2}
 *
 * text is all of the response, segments its parts in order: those within tags, empty ones too, and
 * what stands outside of them unless it is blank. ttfa is null where there was no answer.
 */
#ifndef PL_ACTOR_RECORD_H
#define PL_ACTOR_RECORD_H

#include "actor/dialog.h"
#include "actor/stream.h"
#include "common/base/buf.h"

#include <stdbool.h>

/* Collects a response. */
struct pl_record {
    struct pl_buf text;     /* of the whole response */
    struct pl_buf segment;  /* of the part that is not over yet */
    struct pl_buf segments; /* those that are, as JSON, with commas between */
    enum pl_part part;
    bool tagged; /* the part was begun by a tag */
};

void pl_record_init(struct pl_record *record);
void pl_record_release(struct pl_record *record);

/* To be given to a stream. Its functions fail with PL_ENOMEM, PL_EFULL. */
struct pl_sink pl_record_sink(struct pl_record *record);

/*
 * Append the object, on one line with a newline at its end, to buf, and be ready for the next turn.
 * PL_ENOMEM, PL_EFULL.
 */
int pl_record_print(struct pl_record *record, const struct pl_turn *turn, const char *prompt,
                    size_t prompt_len, struct pl_buf *buf);

/*
 * Append "41 tokens, 56.2 tok/s, first answer after 170 ms (9 tokens)" and, where it was not the
 * model that ended the response, why it ended. PL_ENOMEM, PL_EFULL.
 */
int pl_turn_summary(const struct pl_turn *turn, struct pl_buf *buf);

#endif
