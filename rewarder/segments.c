#include "rewarder/segments.h"

#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

enum tag { TAG_THINK, TAG_THINK_END, TAG_ANSWER, TAG_ANSWER_END, TAG_NONE };

static const struct {
    const char *text;
    size_t len;
} tags[] = {{"<think>", 7}, {"</think>", 8}, {"<answer>", 8}, {"</answer>", 9}};

static const char *const kind_names[] = {"<think>", "<answer>"};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The tag that stands at text[at], if any. */
static enum tag tag_at(const char *text, size_t len, size_t at)
{
    if (text[at] != '<')
        return TAG_NONE;
    for (enum tag t = TAG_THINK; t < TAG_NONE; t++)
        if (len - at >= tags[t].len && memcmp(text + at, tags[t].text, tags[t].len) == 0)
            return t;
    return TAG_NONE;
}

static void broken(struct pl_segments *s, size_t at, const char *what, const char *more)
{
    s->valid = false;
    s->at = at;
    snprintf(s->why, sizeof s->why, "%s%s", what, more);
}

static void trim(const char *text, size_t *begin, size_t *end)
{
    while (*begin < *end && is_blank(text[*begin]))
        ++*begin;
    while (*end > *begin && is_blank(text[*end - 1]))
        --*end;
}

/* ---- what can be seen ---- */

static enum pl_seen seen_ascii(char c)
{
    if (c <= ' ' || c == 0x7F)
        return PL_SEEN_NOTHING;
    return strchr("!\"#%&'()*,-./:;?@[\\]_{}", c) ? PL_SEEN_POINTS : PL_SEEN_TEXT;
}

static enum pl_seen seen_character(uint32_t c)
{
    enum { BRAILLE_BLANK = 0x2800, OBJECT = 0xFFFC, REPLACEMENT = 0xFFFD };

    if (c == REPLACEMENT)
        return PL_SEEN_POINTS;
    if (c == BRAILLE_BLANK || c == OBJECT || utf8proc_get_property((utf8proc_int32_t)c)->ignorable)
        return PL_SEEN_NOTHING;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return PL_SEEN_TEXT;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return PL_SEEN_POINTS;
    default:
        return PL_SEEN_NOTHING;
    }
}

enum pl_seen pl_segments_seen(const char *text, size_t len)
{
    enum pl_seen most = PL_SEEN_NOTHING;

    for (size_t at = 0, n; at < len && most < PL_SEEN_TEXT; at += n) {
        enum pl_seen seen = PL_SEEN_POINTS;

        if ((unsigned char)text[at] < 0x80) {
            n = 1;
            seen = seen_ascii(text[at]);
        } else if (pl_utf8_step(text + at, len - at, &n) == PL_UTF8_GOOD) {
            seen = seen_character(pl_utf8_decode(text + at, n));
        }
        most = seen > most ? seen : most;
    }
    return most;
}

/* ---- tags ---- */

/* Whether a segment of that kind may come next; says why not. */
static bool may_open(struct pl_segments *s, enum pl_method method, enum pl_segment_kind kind,
                     size_t at)
{
    const bool think = kind == PL_SEGMENT_THINK;
    const bool after_think = s->count > 0 && s->pieces[s->count - 1].kind == PL_SEGMENT_THINK;
    const char *why = NULL;

    if (s->count == PL_PIECES_MAX)
        why = "too many segments, at ";
    else if (s->count == 0 && !think)
        why = "nothing was thought before ";
    else if (think && after_think)
        why = "no answer between two of ";
    else if (think && s->count > 0 && method != PL_METHOD_INTERLEAVE)
        why = "a second ";
    else if (!think && !after_think && method != PL_METHOD_DELAYED)
        why = "no thinking before a further ";
    if (why)
        broken(s, at, why, kind_names[kind]);
    return !why;
}

/* [tag_begin, tag_end) with its tags is a segment; false when it is an empty answer. */
static bool close_piece(struct pl_segments *s, const char *text, enum pl_segment_kind kind,
                        size_t tag_begin, size_t tag_end)
{
    struct pl_piece *piece = &s->pieces[s->count];
    const enum tag open = kind == PL_SEGMENT_THINK ? TAG_THINK : TAG_ANSWER;

    *piece = (struct pl_piece){kind, tag_begin + tags[open].len, tag_end - tags[open + 1].len,
                               tag_begin, tag_end};
    trim(text, &piece->begin, &piece->end);
    if (kind == PL_SEGMENT_ANSWER &&
        pl_segments_seen(text + piece->begin, piece->end - piece->begin) == PL_SEEN_NOTHING) {
        broken(s, tag_begin, "an empty ", kind_names[kind]);
        return false;
    }
    s->count++;
    return true;
}

static void parse_tagged(const char *text, size_t len, enum pl_method method, struct pl_segments *s)
{
    enum pl_segment_kind kind = PL_SEGMENT_THINK;
    bool inside = false;
    size_t begin = 0;

    for (size_t i = 0; i < len;) {
        const enum tag tag = tag_at(text, len, i);
        const enum tag closes = kind == PL_SEGMENT_THINK ? TAG_THINK_END : TAG_ANSWER_END;

        if (tag == TAG_NONE) {
            if (!inside && !is_blank(text[i])) {
                broken(s, i, "text outside of tags", "");
                return;
            }
            i++;
            continue;
        }
        if (inside && tag != closes) {
            broken(s, i, tags[tag].text,
                   kind == PL_SEGMENT_THINK ? " inside <think>" : " inside <answer>");
            return;
        }
        if (!inside && (tag == TAG_THINK_END || tag == TAG_ANSWER_END)) {
            broken(s, i, tags[tag].text, " of nothing that is open");
            return;
        }
        if (inside) {
            if (!close_piece(s, text, kind, begin, i + tags[tag].len))
                return;
        } else {
            kind = tag == TAG_THINK ? PL_SEGMENT_THINK : PL_SEGMENT_ANSWER;
            begin = i;
            if (!may_open(s, method, kind, i))
                return;
        }
        inside = !inside;
        i += tags[tag].len;
    }
    if (inside)
        broken(s, begin, kind_names[kind], " is never closed");
    else if (s->count == 0)
        broken(s, 0, "no tags", "");
    else if (s->pieces[s->count - 1].kind != PL_SEGMENT_ANSWER)
        broken(s, s->pieces[s->count - 1].tag_begin, "no answer after the last <think>", "");
}

/* The byte behind the last "answer:", upper and lower case alike; len: there is none. */
static size_t behind_marker(const char *text, size_t len)
{
    static const char marker[] = "answer:";
    const size_t n = sizeof marker - 1;

    for (size_t i = len; i-- > 0;)
        if (len - i >= n && text[i + n - 1] == ':' && strncasecmp(text + i, marker, n) == 0)
            return i + n;
    return len;
}

static void parse_plain(const char *text, size_t len, enum pl_method method, struct pl_segments *s)
{
    size_t begin = 0, end = len;

    for (size_t i = 0; i < len; i++)
        if (tag_at(text, len, i) != TAG_NONE) {
            broken(s, i, tags[tag_at(text, len, i)].text, " where no tags are asked for");
            return;
        }
    if (method == PL_METHOD_COT)
        begin = behind_marker(text, len);
    const size_t from = begin;

    trim(text, &begin, &end);
    if (pl_segments_seen(text + begin, end - begin) == PL_SEEN_NOTHING) {
        broken(s, from, method == PL_METHOD_COT ? "nothing behind \"answer:\"" : "no text", "");
        return;
    }
    s->pieces[s->count++] = (struct pl_piece){PL_SEGMENT_ANSWER, begin, end, begin, end};
}

void pl_segments_parse(const char *text, size_t len, enum pl_method method,
                       struct pl_segments *ret_segments)
{
    struct pl_segments *s = ret_segments;

    s->valid = true;
    s->why[0] = '\0';
    s->at = len;
    s->count = 0;
    if (method == PL_METHOD_DIRECT || method == PL_METHOD_COT)
        parse_plain(text, len, method, s);
    else
        parse_tagged(text, len, method, s);
}

/* The first token that ends behind byte `at`. */
static size_t token_over(const size_t *ends, size_t tokens, size_t at)
{
    size_t low = 0, high = tokens;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (ends[mid] > at)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

void pl_segments_tokens(const size_t *ends, size_t tokens, size_t begin, size_t end,
                        uint32_t *ret_begin, uint32_t *ret_end)
{
    const size_t first = token_over(ends, tokens, begin);
    size_t last = end > begin ? token_over(ends, tokens, end - 1) + 1 : first;

    if (last > tokens)
        last = tokens;
    *ret_begin = (uint32_t)first;
    *ret_end = (uint32_t)(last > first ? last : first);
}
