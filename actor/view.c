#include "actor/view.h"

#include "common/base/check.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* What one flush may hold: far more than a token is long. */
enum { VIEW_BYTES_MAX = 64 << 20 };

static const char dim[] = "\033[2m", reset[] = "\033[0m";

static bool is_turning(uint32_t c)
{
    return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

static bool is_harmless(uint32_t c)
{
    if (c == '\n' || c == '\t')
        return true;
    return c >= 0x20 && (c < 0x7F || c > 0x9F) && !is_turning(c);
}

static int put_named(struct pl_buf *buf, uint32_t c)
{
    char bytes[4];

    if (c == 0x7F)
        c = 0x2421; /* the symbol for delete */
    else if (c < 0x20)
        c += 0x2400;
    else
        return pl_buf_printf(buf, "<U+%04X>", (unsigned)c);
    return pl_buf_append(buf, bytes, pl_utf8_put(c, bytes));
}

int pl_visible(struct pl_buf *buf, const char *text, size_t len)
{
    size_t shown = 0;
    int rc = PL_OK;

    for (size_t at = 0, n; at < len && rc == PL_OK; at += n) {
        const enum pl_utf8_kind kind = pl_utf8_step(text + at, len - at, &n);

        PL_ASSERT(kind == PL_UTF8_GOOD);
        const uint32_t c = pl_utf8_decode(text + at, n);

        if (is_harmless(c))
            continue;
        rc = pl_buf_append(buf, text + shown, at - shown);
        if (rc == PL_OK)
            rc = put_named(buf, c);
        shown = at + n;
    }
    return rc < 0 ? rc : pl_buf_append(buf, text + shown, len - shown);
}

void pl_view_init(struct pl_view *view, int fd, bool color, bool raw)
{
    *view = (struct pl_view){.fd = fd,
                             .color = color && !raw,
                             .raw = raw,
                             .escape = !raw || isatty(fd),
                             .fresh = true,
                             .line_start = true};
    pl_buf_init(&view->out, VIEW_BYTES_MAX);
}

void pl_view_release(struct pl_view *view)
{
    pl_buf_release(&view->out);
}

static int put_text(struct pl_view *view, const char *text, size_t len)
{
    if (len == 0)
        return PL_OK;
    view->line_start = text[len - 1] == '\n';
    return view->escape ? pl_visible(&view->out, text, len) : pl_buf_append(&view->out, text, len);
}

/* With colour a part begins on a line of its own, at its first character that is not blank. */
static int begin_part(struct pl_view *view)
{
    view->fresh = false;
    if (view->line_start)
        return PL_OK;
    view->line_start = true;
    return pl_buf_append(&view->out, "\n", 1);
}

static int show_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct pl_view *view = at;
    const bool dimmed = view->color && part == PL_PART_THINK;
    const size_t skip = view->color && view->fresh ? pl_stream_blanks(bytes, len) : 0;
    int rc = PL_OK;

    if (skip == len)
        return PL_OK;
    if (view->color && view->fresh)
        rc = begin_part(view);
    if (rc == PL_OK && dimmed)
        rc = pl_buf_puts(&view->out, dim);
    if (rc == PL_OK)
        rc = put_text(view, bytes + skip, len - skip);
    if (rc == PL_OK && dimmed)
        rc = pl_buf_puts(&view->out, reset);
    return rc;
}

static int show_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct pl_view *view = at;

    (void)part;
    view->fresh = true;
    return view->color ? PL_OK : put_text(view, bytes, len);
}

struct pl_sink pl_view_sink(struct pl_view *view)
{
    return (struct pl_sink){view, show_text, show_tag};
}

int pl_view_flush(struct pl_view *view, struct pl_error *err)
{
    size_t done = 0;

    while (done < view->out.len) {
        const ssize_t n = write(view->fd, view->out.data + done, view->out.len - done);

        if (n < 0 && errno != EINTR)
            return pl_fail_errno(err, "write the answer");
        done += n > 0 ? (size_t)n : 0;
    }
    pl_buf_clear(&view->out);
    return PL_OK;
}

int pl_view_end(struct pl_view *view, struct pl_error *err)
{
    int rc = PL_OK;

    if (!view->line_start)
        rc = pl_buf_append(&view->out, "\n", 1);
    view->fresh = view->line_start = true;
    if (rc < 0)
        return pl_fail(err, rc, "no memory to show the answer");
    return pl_view_flush(view, err);
}
