/*
 * Added tokens: words that are cut out of the text whole before anything else happens to it. Two
 * rounds: those that are not `normalized` in the text as it is, then the others, themselves brought
 * into normal form, in the normalized rest. In each round the longest word at a place counts,
 * leftmost first.
 *
 *   single_word  not where a word character (\w) stands right before or behind
 *   lstrip       takes the white space before it along, rstrip that behind it
 *   special      steers; not to be found in text that others wrote
 *
 * A word that is found and then not taken, because of single_word or because it is special in
 * untrusted text, hides the words that lie over it all the same.
 *
 * Sealed, it is only read: threads share it, each with a pl_matches of its own.
 */
#ifndef PL_TEXT_ADDED_H
#define PL_TEXT_ADDED_H

#include "common/base/err.h"
#include "common/text/dict.h"
#include "common/text/matcher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_added_token {
    uint32_t id;
    bool special, single_word, lstrip, rstrip, normalized;
};

enum pl_added_round { PL_ADDED_RAW, PL_ADDED_NORMALIZED, PL_ADDED_ROUNDS };

/* Zeroed, it is empty. */
struct pl_added {
    struct pl_dict contents;       /* entry i is the content of tokens[i] */
    struct pl_added_token *tokens; /* contents.count of them */
    size_t cap;
    struct pl_matcher matchers[PL_ADDED_ROUNDS];
    uint32_t *members[PL_ADDED_ROUNDS]; /* word of a matcher: index into tokens */
};

void pl_added_release(struct pl_added *added);

/* PL_EINVAL: the content is there already. PL_EFULL, PL_ENOMEM. The content is not empty. */
int pl_added_add(struct pl_added *added, const char *content, size_t len,
                 struct pl_added_token token);

/* The token with this content, or NULL. */
const struct pl_added_token *pl_added_find(const struct pl_added *added, const char *content,
                                           size_t len);

/*
 * Build the matchers; `normalize` appends the normal form of a content to a buffer.
 * PL_EFULL: the contents have more than PL_MATCHER_BYTES_MAX bytes. PL_ENOMEM, what normalize
 * returns.
 */
struct pl_buf;
int pl_added_seal(struct pl_added *added,
                  int (*normalize)(const void *at, const char *text, size_t len,
                                   struct pl_buf *out),
                  const void *at);

/* A stretch of text, not empty, in order; token NULL: it is no added token. */
typedef int pl_cut_fn(void *at, const char *text, size_t len, const struct pl_added_token *token,
                      struct pl_error *err);

/*
 * Call fn for all stretches of well-formed text; with spell_special, special tokens are not taken.
 * PL_ENOMEM, and what fn returned.
 */
int pl_added_cut(const struct pl_added *added, enum pl_added_round round, bool spell_special,
                 struct pl_matches *matches, const char *text, size_t len, pl_cut_fn *fn, void *at,
                 struct pl_error *err);

#endif
