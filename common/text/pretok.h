/*
 * Pre-tokenization: text is cut into pieces by regular expressions, one after another, and each
 * piece is then merged by itself (bpe.h). A match is a piece and what lies between two matches is
 * one ("Isolated").
 *
 * The expressions in model files are written for Oniguruma. Here PCRE2 runs them, with UTF and
 * Unicode properties; they are translated where the two differ (\s, \S mean White_Space) and
 * refused where a construct means something else in each, or is not known to mean the same. Matches
 * are bounded by a limit in proportion to the text, so that an expression that would take more than
 * linear time ends in an error.
 *
 * A pl_pretok is not changed by use: threads share it, each with a pl_pretok_work of its own.
 */
#ifndef PL_TEXT_PRETOK_H
#define PL_TEXT_PRETOK_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PL_PRETOK_QWEN2                                                                            \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                          \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PL_PRETOK_GPT2                                                                             \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum { PL_PRETOK_SPLITS_MAX = 8 };

struct pl_split; /* one compiled expression */

/* Zeroed, it is a pre-tokenizer that leaves the text whole. */
struct pl_pretok {
    struct pl_split *splits[PL_PRETOK_SPLITS_MAX];
    size_t count;
    bool prefix_space; /* put a space in front of each piece that does not begin with one, */
    size_t prefix_at;  /* before this split cuts it; count: behind the last */
};

struct pl_pretok_work; /* what one thread needs to match */

/*
 * Add an expression, or with `literal` a string, to be applied to the pieces of those before.
 * PL_EUNSUPPORTED: the expression cannot be run with the meaning that it has elsewhere.
 * PL_EFORMAT: it is not well formed. PL_EFULL: there are PL_PRETOK_SPLITS_MAX. PL_ENOMEM.
 */
int pl_pretok_add(struct pl_pretok *pretok, const char *pattern, bool literal,
                  struct pl_error *err);
void pl_pretok_release(struct pl_pretok *pretok);

/* PL_ENOMEM. */
int pl_pretok_work_create(struct pl_pretok_work **ret_work);
void pl_pretok_work_destroy(struct pl_pretok_work *work); /* NULL is fine */

/* Called for each piece, in order; `piece` is good during the call. A negative code stops it all.
 */
typedef int pl_piece_fn(void *at, const char *piece, size_t len, struct pl_error *err);

/*
 * Cut well-formed UTF-8 into pieces. No piece is empty.
 * PL_EUNSUPPORTED: a match took more steps than the limit. PL_ENOMEM. What `fn` returned.
 */
int pl_pretok_run(const struct pl_pretok *pretok, struct pl_pretok_work *work, const char *text,
                  size_t len, pl_piece_fn *fn, void *at, struct pl_error *err);

/* The translated expression, from malloc(); exposed for tests. Errors as pl_pretok_add(). */
int pl_pretok_translate(const char *pattern, char **ret_pattern, struct pl_error *err);

#endif
