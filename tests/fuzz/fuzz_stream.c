/*
 * What a model writes, on its way to a terminal or into JSON. However it is cut, the parts are the
 * same and all of it comes out; only whole characters do, and no tag as text; nothing that a
 * terminal would obey is shown; the object for scripts holds the text unchanged.
 *
 * The first byte of the input says how long the pieces are.
 */
#include "actor/record.h"
#include "actor/stream.h"
#include "actor/view.h"
#include "common/base/buf.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

/* All that a sink was given, and where tags and parts were. */
struct seen {
    struct pl_buf text, events, run; /* run: the text since the last tag */
};

static int see_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct seen *seen = at;

    PL_ASSERT(len > 0 && pl_utf8_valid(bytes, len));
    for (size_t i = 0; i < len; i++) /* a letter a byte, so that the cuts do not show */
        PL_ASSERT(pl_buf_append(&seen->events, &"txa"[part], 1) == PL_OK);
    PL_ASSERT(pl_buf_append(&seen->run, bytes, len) == PL_OK);
    PL_ASSERT(pl_buf_append(&seen->text, bytes, len) == PL_OK);
    return PL_OK;
}

static void check_run(struct seen *seen)
{
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};

    for (size_t i = 0; i < 4 && seen->run.len > 0; i++)
        PL_ASSERT(!memmem(seen->run.data, seen->run.len, tags[i], strlen(tags[i])));
    pl_buf_clear(&seen->run);
}

static int see_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct seen *seen = at;
    enum pl_part means;

    check_run(seen);
    PL_ASSERT(pl_stream_is_tag(bytes, len, &means) && means == part);
    PL_ASSERT(pl_buf_puts(&seen->events, "|") == PL_OK);
    PL_ASSERT(pl_buf_append(&seen->text, bytes, len) == PL_OK);
    return PL_OK;
}

static void push(const struct pl_sink *sink, struct pl_fuzz_in in, size_t piece)
{
    struct pl_stream stream;

    pl_stream_init(&stream, sink, PL_PART_TEXT);
    for (size_t at = 0; at < in.size; at += piece) {
        const size_t n = piece < in.size - at ? piece : in.size - at;

        PL_ASSERT(pl_stream_push(&stream, (const char *)in.data + at, n) == PL_OK);
        PL_ASSERT(stream.held_len < PL_TAG_BYTES_MAX);
    }
    PL_ASSERT(pl_stream_finish(&stream) == PL_OK);
}

static struct seen see(struct pl_fuzz_in in, size_t piece)
{
    struct seen seen;
    const struct pl_sink sink = {&seen, see_text, see_tag};

    pl_buf_init(&seen.text, SIZE_MAX / 2);
    pl_buf_init(&seen.events, SIZE_MAX / 2);
    pl_buf_init(&seen.run, SIZE_MAX / 2);
    push(&sink, in, piece);
    check_run(&seen);
    return seen;
}

static void release(struct seen *seen)
{
    pl_buf_release(&seen->text);
    pl_buf_release(&seen->events);
    pl_buf_release(&seen->run);
}

static bool same(const struct pl_buf *a, const struct pl_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Bytes that no terminal takes for a command, but for those of the styles that are ours. */
static void check_harmless(const struct pl_buf *out)
{
    PL_ASSERT(pl_utf8_valid(out->data, out->len));
    for (size_t i = 0; i < out->len; i++) {
        const unsigned char c = (unsigned char)out->data[i];

        if (c == 0x1B)
            PL_ASSERT(strncmp(out->data + i, "\033[2m", 4) == 0 ||
                      strncmp(out->data + i, "\033[0m", 4) == 0);
        else
            PL_ASSERT(c >= 0x20 ? c != 0x7F : c == '\n' || c == '\t');
        PL_ASSERT(c != 0xC2 || (unsigned char)out->data[i + 1] >= 0xA0);
    }
}

static void check_view(struct pl_fuzz_in in, size_t piece, bool color)
{
    struct pl_view view;
    struct pl_sink sink;

    pl_view_init(&view, -1, color, false);
    sink = pl_view_sink(&view);
    push(&sink, in, piece);
    check_harmless(&view.out);
    pl_view_release(&view);
}

static void check_record(struct pl_fuzz_in in, size_t piece, const struct pl_buf *text)
{
    const struct pl_turn turn = {.number = 1};
    struct pl_record record;
    struct pl_sink sink;
    struct pl_buf line;
    json_t *root, *said;

    pl_record_init(&record);
    pl_buf_init(&line, SIZE_MAX / 2);
    sink = pl_record_sink(&record);
    push(&sink, in, piece);
    PL_ASSERT(pl_record_print(&record, &turn, (const char *)in.data, in.size, &line) == PL_OK);
    PL_ASSERT(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    root = json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);
    said = json_object_get(root, "text");
    PL_ASSERT(json_string_length(said) == text->len);
    PL_ASSERT(text->len == 0 || memcmp(json_string_value(said), text->data, text->len) == 0);
    json_decref(root);
    line.len--;
    check_harmless(&line);
    pl_record_release(&record);
    pl_buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const size_t piece = 1 + pl_fuzz_byte(&in) % 16;
    struct seen whole = see(in, SIZE_MAX), cut = see(in, piece);
    struct pl_buf text;

    pl_buf_init(&text, SIZE_MAX / 2);
    PL_ASSERT(pl_utf8_repair((const char *)in.data, in.size, &text) == PL_OK);
    PL_ASSERT(same(&whole.text, &text) && same(&cut.text, &text));
    PL_ASSERT(same(&whole.events, &cut.events));
    check_view(in, piece, true);
    check_view(in, piece, false);
    check_record(in, piece, &text);
    release(&whole);
    release(&cut);
    pl_buf_release(&text);
    return 0;
}
