/*
 * A conversation with a model: turns in, responses streamed out, each turn computing only the
 * tokens that are new.
 *
 *   ids     [ turn 1 | response 1 | close | turn 2 | response 2 | ...
 *   cache    kept from turn to turn ................ computed now
 *
 * The ids of what was said never change, so that the cache of one turn is the beginning of the
 * next. A response that ended without the template's end of answer (at a limit, or stopped by the
 * user) gets it in front of the next turn; a stop token that is no part of it makes room for it.
 *
 * Always true:
 *   - turn t is drawn with Philox (seed, PL_RNG_CHAT, t): the same conversation, seed and options
 *     give the same responses;
 *   - a turn that could not be taken leaves the conversation as it was.
 *
 * One thread owns a dialog.
 */
#ifndef PL_ACTOR_DIALOG_H
#define PL_ACTOR_DIALOG_H

#include "actor/engine.h"
#include "actor/stream.h"
#include "common/base/err.h"
#include "common/text/chat.h"
#include "common/text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_dialog_opts {
    /* all borrowed: must live longer */
    const struct pl_weights *weights;
    const struct pl_tokenizer *tokenizer;
    const struct pl_chat *chat; /* the template */
    const char *system;         /* NULL: the template's own */

    size_t positions;      /* of the whole conversation, in tokens */
    size_t new_tokens_max; /* of one response; 0: what the context has room for */
    struct pl_sampling sampling;
    uint64_t seed;
    bool show_special; /* special tokens are part of the text */
    size_t bytes_max;  /* refuse to take more memory; 0: none */
};

struct pl_dialog;

/*
 * On success *ret_dialog is the caller's, to be ended with pl_dialog_destroy(). PL_EINVAL: the
 * tokenizer has more ids than the model, or a value is out of range. PL_ENOMEM; errors of the
 * template.
 */
int pl_dialog_create(const struct pl_dialog_opts *opts, struct pl_dialog **ret_dialog,
                     struct pl_error *err);
void pl_dialog_destroy(struct pl_dialog *dialog); /* NULL is fine */

/* What became of one turn. */
struct pl_turn {
    size_t number;        /* from 1 */
    enum pl_part opened;  /* the part the template begins the response in */
    size_t prompt_tokens; /* all that stands before the response */
    size_t reused_tokens; /* of those, found in the cache */
    size_t tokens;        /* of the response, its stop token too */
    enum pl_finish finish;
    bool context_full; /* PL_FINISH_LENGTH because the context has no room for more */
    double seconds;    /* from the call to the last token */
    double first_s;    /* ... to the first token */
    /*
     * The first answer: the first character within <answer> that is not blank, or of the response
     * where it has no tags at all. Tokens count from 1; 0: there was none.
     */
    size_t ttfa_tokens;
    double ttfa_s;
};

/* What is said, and who sees the response. */
struct pl_said {
    const char *text;
    size_t len;
    struct pl_sink sink;
    int (*flush)(void *at, struct pl_error *err); /* with sink.at, after each token; NULL: none */
    bool (*stop)(void); /* asked before each step; true ends the response as canceled */
};

/*
 * One turn. PL_EFULL: the context has no room for it. PL_EFORMAT: the weights gave a value that is
 * not finite. Errors of the template; of sink and flush, which end the response.
 */
int pl_dialog_say(struct pl_dialog *dialog, const struct pl_said *said, struct pl_turn *ret_turn,
                  struct pl_error *err);

/* Begin anew: the next turn is a first one. The turn's number goes on. */
void pl_dialog_forget(struct pl_dialog *dialog);

size_t pl_dialog_positions(const struct pl_dialog *dialog);

/* All that was said, borrowed until the next turn. */
const uint32_t *pl_dialog_ids(const struct pl_dialog *dialog, size_t *ret_len);

#endif
