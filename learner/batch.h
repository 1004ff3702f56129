/*
 * Packing: prompts and their responses become rows without padding, the prompt once for all its
 * responses, with the pages that generation would have used.
 *
 *   prompt P tokens, response n tokens; page size S = PL_PAGE
 *   rows: P for the prompt, then n - 1 for each response (its last token predicts nothing)
 *   predictions: the prompt's last row predicts the first token of every response, a response's row
 *   the token after it; n for each response
 *   pages: floor(P / S) shared by the group, then each response's own; the P % S tokens of the
 *   prompt that end in an unfinished page are stored once more in the first own page of every
 *   response
 *
 * So a row's numbers are those that sampling computed, to the bit. Predictions are in the order of
 * their rows. All memory is asked for by pl_pack_create().
 */
#ifndef PL_LEARNER_BATCH_H
#define PL_LEARNER_BATCH_H

#include "common/base/err.h"
#include "common/model/forward.h"
#include "learner/attn_grad.h"

#include <stddef.h>
#include <stdint.h>

struct pl_pack_response {
    const uint32_t *ids; /* what was generated, the end token included */
    size_t len;
};

/* A prompt and what was generated from it; fine-tuning has one response. All borrowed. */
struct pl_group {
    const uint32_t *prompt;
    size_t prompt_len; /* >= 1 */
    const struct pl_pack_response *responses;
    size_t count;
};

struct pl_prediction {
    uint32_t row;    /* the row whose logits predict ... */
    uint32_t target; /* ... this token, ... */
    uint32_t sample; /* ... of the response of this number (given when it was packed) ... */
    uint32_t index;  /* ... at this place in it */
};

struct pl_pack_limits {
    size_t rows, samples; /* responses in a pack, at most */
};

struct pl_pack {
    struct pl_pack_limits limits;
    struct pl_batch batch;
    size_t pages;                      /* pages 0 .. pages-1 are used */
    const struct pl_cluster *clusters; /* one a group */
    size_t cluster_count, samples;
    const struct pl_prediction *predictions;
    size_t prediction_count;
    float
        temperature; /* that its responses were sampled at; 0, greedy, counts as 1 (pl_temper()) */
    struct pl_pack_memory *memory; /* the writable side of the arrays above */
};

/* Upper bounds for a pack of these limits. */
size_t pl_pack_pages_max(const struct pl_pack_limits *limits);
size_t pl_pack_predictions_max(const struct pl_pack_limits *limits);
size_t pl_pack_bytes(const struct pl_pack_limits *limits);

/* PL_EINVAL: a limit is 0 or over 2^31. PL_ENOMEM. Ended with pl_pack_destroy(). */
int pl_pack_create(const struct pl_pack_limits *limits, struct pl_pack **ret_pack,
                   struct pl_error *err);
void pl_pack_destroy(struct pl_pack *pack); /* NULL is fine */

void pl_pack_clear(struct pl_pack *pack);

/*
 * Add responses [from, ...) of a group, as many as fit; the first gets the number `sample`. Returns
 * how many were added. A group is not begun unless all of it fits or the pack is empty, so that it
 * is split only where it must be; then its prompt is computed once a part.
 * 0: nothing fits. When the pack was empty, the prompt and that response alone are over the limits.
 */
size_t pl_pack_add(struct pl_pack *pack, const struct pl_group *group, size_t from,
                   uint32_t sample);

/* Rows that the responses [from, to) of a group take with their prompt. */
size_t pl_group_rows(const struct pl_group *group, size_t from, size_t to);

#endif
