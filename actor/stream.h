/*
 * A response taken apart while it streams: what is thought, what is answered, what is neither.
 *
 *   Hm. <think>one and one</think><answer>2</answer>
 *   TEXT       THINK                      ANSWER
 *
 * The four tags are recognised wherever they stand, however the text is cut into pieces: <think>
 * and <answer> begin their part, </think> and </answer> end any. Whether a response keeps to the
 * format is for others to judge; here a tag that has no partner just changes the part.
 *
 * Always true:
 *   - a sink gets whole characters only: pieces may end within one, and bytes that make none come
 *     out as U+FFFD;
 *   - no part of a tag ever comes out as text, and what only began like one does come out;
 *   - all that a sink was given, tags too, in order, is the text that was pushed (repaired);
 *   - at most 9 bytes are held back; nothing is allocated.
 */
#ifndef PL_ACTOR_STREAM_H
#define PL_ACTOR_STREAM_H

#include <stdbool.h>
#include <stddef.h>

enum pl_part { PL_PART_TEXT, PL_PART_THINK, PL_PART_ANSWER };

/* "text", "think", "answer". */
const char *pl_part_name(enum pl_part part);

/* Where the parts go. Both return PL_OK or an error, which ends the push and is handed on. */
struct pl_sink {
    void *at;
    int (*text)(void *at, enum pl_part part, const char *bytes, size_t len); /* len >= 1 */
    /* A tag of `len` bytes; `part` is what comes after it. */
    int (*tag)(void *at, enum pl_part part, const char *bytes, size_t len);
};

enum { PL_TAG_BYTES_MAX = 9 };

struct pl_stream {
    struct pl_sink sink;
    enum pl_part part;           /* of the next character */
    char held[PL_TAG_BYTES_MAX]; /* what may yet become a tag or a character */
    size_t held_len;
};

/* `part`: what the response begins in, mostly PL_PART_TEXT. */
void pl_stream_init(struct pl_stream *stream, const struct pl_sink *sink, enum pl_part part);

/* More of the response. Errors of the sink. */
int pl_stream_push(struct pl_stream *stream, const char *text, size_t len);

/* The response is over: what was held back is text. Errors of the sink. */
int pl_stream_finish(struct pl_stream *stream);

/* True if these bytes are one of the four tags; *ret_part (may be NULL) is what comes after it. */
bool pl_stream_is_tag(const char *bytes, size_t len, enum pl_part *ret_part);

/* How many of the first bytes are blank: spaces, tabs, newlines, carriage returns. */
size_t pl_stream_blanks(const char *bytes, size_t len);

#endif
