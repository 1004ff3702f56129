#include "deploy/view/top_parts.h"

#include "common/text/safe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 2 };

/* ---- text ---- */

/* What others wrote: harmless, one column a byte. */
void pl_top_copy(char *to, size_t size, const char *text)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1 << 16);
    if (pl_text_safe(text, strlen(text), false, &buf) < 0)
        pl_buf_clear(&buf);
    snprintf(to, size, "%s", buf.data ? buf.data : "");
    for (; *to; to++)
        if ((unsigned char)*to >= 0x7f)
            *to = '?';
    pl_buf_release(&buf);
}

/* Cut after so many columns; a character is a column. */
void pl_top_cut(char *text, size_t columns)
{
    size_t n = 0;

    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80 && n++ == columns) {
            *text = '\0';
            return;
        }
    }
}

size_t pl_top_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void pl_top_add(struct pl_top_draft *d, enum pl_top_look look, const char *format, ...)
{
    struct pl_top_line *line = &d->screen->lines[d->screen->count];
    va_list args;
    size_t len;

    if (d->screen->count == PL_TOP_ROWS)
        return;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
    pl_top_cut(line->text, d->columns);
    for (len = strlen(line->text); len > 0 && line->text[len - 1] == ' '; len--)
        line->text[len - 1] = '\0';
    line->look = look;
    line->red_from = 0;
    d->screen->count++;
}

/* ---- tables ---- */

static bool shown(const struct pl_top_draft *d, const struct pl_top_column *c)
{
    return d->columns >= c->least;
}

static size_t measure(const struct pl_top_draft *d, struct pl_top_sheet *s)
{
    size_t all = 0;

    for (size_t c = 0; s->columns[c].name; c++) {
        if (!shown(d, &s->columns[c]))
            continue;
        s->widths[c] = strlen(s->columns[c].name);
        for (size_t r = 0; r < s->row_count; r++)
            if (pl_top_width(s->rows[r][c]) > s->widths[c])
                s->widths[c] = pl_top_width(s->rows[r][c]);
        all += s->widths[c] + GAP;
    }
    return all > GAP ? all - GAP : 0;
}

/* The widest of those that are words gives way until it fits. */
static void fit(const struct pl_top_draft *d, struct pl_top_sheet *s)
{
    for (size_t all = measure(d, s); all > d->columns; all--) {
        size_t widest = 0;

        for (size_t c = 0; s->columns[c].name; c++)
            if (shown(d, &s->columns[c]) && !s->columns[c].right &&
                (s->columns[widest].right || s->widths[c] > s->widths[widest]))
                widest = c;
        if (s->widths[widest] <= 6)
            return;
        s->widths[widest]--;
    }
}

static void line_of(const struct pl_top_draft *d, const struct pl_top_sheet *s,
                    const char (*cells)[PL_TOP_CELL], char line[PL_TOP_BYTES])
{
    bool first = true;
    size_t len = 0;

    line[0] = '\0';
    for (size_t c = 0; s->columns[c].name; c++) {
        char cell[PL_TOP_CELL];
        int pad;

        if (!shown(d, &s->columns[c]))
            continue;
        snprintf(cell, sizeof cell, "%s", cells ? cells[c] : s->columns[c].name);
        if (pl_top_width(cell) > s->widths[c]) {
            pl_top_cut(cell, s->widths[c] > 1 ? s->widths[c] - 1 : 0);
            strcat(cell, "~");
        }
        pad = (int)(s->widths[c] - pl_top_width(cell));
        len += (size_t)snprintf(line + len, PL_TOP_BYTES - len, "%*s%*s%s%*s", first ? 0 : GAP, "",
                                s->columns[c].right ? pad : 0, "", cell,
                                s->columns[c].right ? 0 : pad, "");
        first = false;
        if (len >= PL_TOP_BYTES)
            return;
    }
}

/* Whether a row has the filter's text in any column, shown or not; as in the file's name, upper and
 * lower case are alike. */
bool pl_top_passes(const struct pl_top_draft *d, const char (*cells)[PL_TOP_CELL], size_t count)
{
    if (!d->view->filter[0])
        return true;
    for (size_t c = 0; c < count; c++)
        if (strcasestr(cells[c], d->view->filter))
            return true;
    return false;
}

/* Its heading and rows from `from` on, `most` lines in all. */
void pl_top_add_sheet(struct pl_top_draft *d, struct pl_top_sheet *s, size_t from, size_t most,
                      const bool *red)
{
    char line[PL_TOP_BYTES];

    fit(d, s);
    line_of(d, s, NULL, line);
    pl_top_add(d, PL_TOP_DIM, "%s", line);
    for (size_t r = from; r < s->row_count && r - from + 1 < most; r++) {
        line_of(d, s, (const char(*)[PL_TOP_CELL])s->rows[r], line);
        pl_top_add(d, red && red[r] ? PL_TOP_RED : PL_TOP_PLAIN, "%s", line);
    }
}
