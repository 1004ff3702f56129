#include "actor/stream.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "common/text/utf8.h"

#include <string.h>

static const struct tag {
    const char *bytes;
    size_t len;
    enum pl_part part;
} tags[] = {
    {"<think>", 7, PL_PART_THINK},
    {"</think>", 8, PL_PART_TEXT},
    {"<answer>", 8, PL_PART_ANSWER},
    {"</answer>", 9, PL_PART_TEXT},
};

enum { TAGS = sizeof tags / sizeof tags[0] };

const char *pl_part_name(enum pl_part part)
{
    static const char *const names[] = {"text", "think", "answer"};

    return names[part];
}

void pl_stream_init(struct pl_stream *stream, const struct pl_sink *sink, enum pl_part part)
{
    *stream = (struct pl_stream){.sink = *sink, .part = part};
}

bool pl_stream_is_tag(const char *bytes, size_t len, enum pl_part *ret_part)
{
    for (size_t i = 0; i < TAGS; i++) {
        if (len == tags[i].len && memcmp(bytes, tags[i].bytes, len) == 0) {
            if (ret_part)
                *ret_part = tags[i].part;
            return true;
        }
    }
    return false;
}

size_t pl_stream_blanks(const char *bytes, size_t len)
{
    size_t n = 0;

    while (n < len && (bytes[n] == ' ' || bytes[n] == '\n' || bytes[n] == '\t' || bytes[n] == '\r'))
        n++;
    return n;
}

static bool begins_tag(const char *bytes, size_t len)
{
    for (size_t i = 0; i < TAGS; i++)
        if (len < tags[i].len && memcmp(bytes, tags[i].bytes, len) == 0)
            return true;
    return false;
}

static int give(struct pl_stream *s, const char *bytes, size_t len)
{
    return s->sink.text(s->sink.at, s->part, bytes, len);
}

static void drop_held(struct pl_stream *s, size_t len)
{
    s->held_len -= len;
    memmove(s->held, s->held + len, s->held_len);
}

/* What is held begins with '<': a tag, what may become one, or just this character. */
static int settle_tag(struct pl_stream *s, bool over, bool *ret_wait)
{
    int rc;

    if (pl_stream_is_tag(s->held, s->held_len, &s->part)) {
        rc = s->sink.tag(s->sink.at, s->part, s->held, s->held_len);
        s->held_len = 0;
        return rc;
    }
    *ret_wait = !over && begins_tag(s->held, s->held_len);
    if (*ret_wait)
        return PL_OK;
    rc = give(s, s->held, 1);
    drop_held(s, 1);
    return rc;
}

static int settle_character(struct pl_stream *s, bool over, bool *ret_wait)
{
    size_t n;
    const enum pl_utf8_kind kind = pl_utf8_step(s->held, s->held_len, &n);
    int rc;

    *ret_wait = kind == PL_UTF8_SHORT && !over;
    if (*ret_wait)
        return PL_OK;
    if (kind == PL_UTF8_GOOD)
        rc = give(s, s->held, n);
    else
        rc = give(s, PL_UTF8_REPLACEMENT, strlen(PL_UTF8_REPLACEMENT));
    drop_held(s, n);
    return rc;
}

/* Hand on what of the held bytes is decided; `over`: no more will come. */
static int settle(struct pl_stream *s, bool over)
{
    bool wait = false;
    int rc = PL_OK;

    while (rc == PL_OK && s->held_len > 0 && !wait)
        rc = s->held[0] == '<' ? settle_tag(s, over, &wait) : settle_character(s, over, &wait);
    return rc;
}

/* How many bytes from the start are whole characters, none of them '<'. */
static size_t plain_len(const char *text, size_t len)
{
    size_t at = 0, n;

    while (at < len && text[at] != '<' && pl_utf8_step(text + at, len - at, &n) == PL_UTF8_GOOD)
        at += n;
    return at;
}

int pl_stream_push(struct pl_stream *s, const char *text, size_t len)
{
    int rc = PL_OK;

    for (size_t i = 0; i < len && rc == PL_OK;) {
        const size_t plain = s->held_len == 0 ? plain_len(text + i, len - i) : 0;

        if (plain > 0) {
            rc = give(s, text + i, plain);
            i += plain;
        } else {
            PL_ASSERT(s->held_len < PL_TAG_BYTES_MAX);
            s->held[s->held_len++] = text[i++];
            rc = settle(s, false);
        }
    }
    return rc;
}

int pl_stream_finish(struct pl_stream *s)
{
    return settle(s, true);
}
