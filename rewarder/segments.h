/*
 * Think and answer segments of a response, and whether its form is the one that was asked for
 * (Xie et al., arXiv 2505.19640, appendix C: "format").
 *
 *   interleave     <think>..</think><answer>..</answer> once or more, in strict alternation
 *   think-answer   exactly one of each
 *   delayed        one <think>..</think>, then one or more <answer>..</answer>
 *   direct, cot    no tags at all, not empty; the answer is the whole, or what stands behind the
 *                  last "answer:" of a cot
 *
 * Nothing but white space stands outside tags; tags are spelled exactly so; a tag that is opened
 * twice, never closed, or stands inside another kind makes the form invalid, as does an empty
 * answer: one in which nothing can be seen, whatever characters it is made of. The text is bytes:
 * invalid UTF-8 is taken as it comes. One pass, linear in the text.
 */
#ifndef PL_REWARDER_SEGMENTS_H
#define PL_REWARDER_SEGMENTS_H

#include "common/base/err.h"
#include "proto/rollout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_piece {
    enum pl_segment_kind kind;
    size_t begin, end;         /* bytes of the content, tags and white space around it left out */
    size_t tag_begin, tag_end; /* bytes with the tags */
};

enum { PL_PIECES_MAX = 256 }; /* more segments than that make the form invalid */

struct pl_segments {
    bool valid;
    char why[96]; /* a clause, where not valid: "<answer> inside <think>" */
    size_t at;    /* byte at which the form broke */
    struct pl_piece pieces[PL_PIECES_MAX]; /* those before it broke, where not valid */
    size_t count;
};

void pl_segments_parse(const char *text, size_t len, enum pl_method method,
                       struct pl_segments *ret_segments);

/* What a reader sees of a text. */
enum pl_seen {
    PL_SEEN_NOTHING, /* white space and controls, format and zero-width characters, marks without a
                      * letter, characters that nobody assigned */
    PL_SEEN_POINTS,  /* and punctuation, or bytes that are no UTF-8 */
    PL_SEEN_TEXT,    /* a letter, a digit or a symbol */
};
enum pl_seen pl_segments_seen(const char *text, size_t len);

/*
 * Tokens that a stretch of bytes covers: ends[i] is the byte at which token i ends, ascending.
 * The first token that reaches over `begin`, and one past the last that begins before `end`.
 */
void pl_segments_tokens(const size_t *ends, size_t tokens, size_t begin, size_t end,
                        uint32_t *ret_begin, uint32_t *ret_end);

#endif
