#include "common/app/progress.h"

#include "common/app/term.h"
#include "common/base/buf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds: nothing before the first, a bar at most each second, a plain line each third. */
static const double quiet_s = 2.0, redraw_s = 0.1, usual_line_s = 10.0;

enum { LINE_MAX_BYTES = 1024, BAR_MAX = 30, BAR_LEAST = 5 };

static double monotonic(void *at)
{
    struct timespec now;

    (void)at;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double now_s(const struct pl_progress *progress)
{
    return progress->opts.now(progress->opts.now_at);
}

/* One write() for all, so that it is not torn by other output. Progress that cannot be shown is
 * not. */
static void put(const struct pl_progress *progress, const char *text)
{
    const ssize_t n = write(progress->opts.fd, text, strlen(text));

    (void)n;
}

void pl_progress_begin(struct pl_progress *progress, const struct pl_progress_opts *opts)
{
    *progress = (struct pl_progress){.opts = *opts, .shown_s = -1, .done = opts->done};
    if (progress->opts.fd == 0)
        progress->opts.fd = STDERR_FILENO;
    if (progress->opts.line_s <= 0.0)
        progress->opts.line_s = usual_line_s;
    if (!progress->opts.now)
        progress->opts.now = monotonic;
    progress->tty = pl_term_can_redraw(progress->opts.fd);
    progress->color = pl_term_color(progress->opts.fd, PL_COLOR_AUTO);
    progress->started_s = now_s(progress);
}

double pl_progress_elapsed_s(const struct pl_progress *progress)
{
    return now_s(progress) - progress->started_s;
}

/* Seconds still to go at the pace since the start, negative when that cannot be told. */
static double left_s(const struct pl_progress *progress, double elapsed_s)
{
    const struct pl_progress_opts *opts = &progress->opts;

    if (opts->total == 0 || progress->done <= opts->done || progress->done > opts->total)
        return -1;
    return elapsed_s / (double)(progress->done - opts->done) *
           (double)(opts->total - progress->done);
}

/* "40/100  12.3k tok/s  ETA 1:05  loss 0.1" */
static void describe(const struct pl_progress *progress, const char *note, char *text, size_t size)
{
    const struct pl_progress_opts *opts = &progress->opts;
    const double elapsed_s = pl_progress_elapsed_s(progress);
    const double eta_s = left_s(progress, elapsed_s);
    char human[PL_HUMAN_MAX];
    size_t len;

    if (opts->total > 0 && opts->percent)
        len = (size_t)snprintf(text, size, "%.1f %%",
                               100.0 * (double)progress->done / (double)opts->total);
    else if (opts->total > 0)
        len = (size_t)snprintf(text, size, "%llu/%llu", (unsigned long long)progress->done,
                               (unsigned long long)opts->total);
    else
        len = (size_t)snprintf(text, size, "%llu", (unsigned long long)progress->done);
    if (opts->unit && elapsed_s > 0)
        len += (size_t)snprintf(text + len, size - len, "  %s %s/s",
                                pl_human_count(human, (double)progress->amount / elapsed_s),
                                opts->unit);
    if (eta_s >= 0 && eta_s < 59)
        len += (size_t)snprintf(text + len, size - len, "  ETA %.0fs", ceil(eta_s));
    else if (eta_s >= 0)
        len += (size_t)snprintf(text + len, size - len, "  ETA %s", pl_human_seconds(human, eta_s));
    if (note && note[0])
        snprintf(text + len, size - len, "  %.200s", note);
}

/* "[====>     ]" of `cells` places between the brackets. */
static void fill_bar(const struct pl_progress *progress, char *bar, size_t cells)
{
    const struct pl_progress_opts *opts = &progress->opts;
    const uint64_t done = progress->done < opts->total ? progress->done : opts->total;
    const size_t full = (size_t)((double)done / (double)opts->total * (double)cells);

    bar[0] = '[';
    memset(bar + 1, ' ', cells);
    memset(bar + 1, '=', full);
    if (full > 0 && full < cells)
        bar[full] = '>';
    bar[cells + 1] = ']';
    bar[cells + 2] = '\0';
}

static void draw_bar(struct pl_progress *progress, const char *note)
{
    /* The last column stays free: a full line would wrap on some terminals. */
    const size_t width = pl_term_width(progress->opts.fd) - 1;
    const size_t what_len = strlen(progress->opts.what);
    const struct pl_style style =
        pl_term_style(progress->opts.fd, progress->color ? PL_COLOR_ALWAYS : PL_COLOR_NEVER);
    char text[512], bar[BAR_MAX + 4] = "", line[LINE_MAX_BYTES], out[LINE_MAX_BYTES + 64];
    size_t used;

    describe(progress, note, text, sizeof text);
    used = what_len + 2 + strlen(text);
    if (progress->opts.total > 0 && used + BAR_LEAST + 4 <= width) {
        const size_t room = width - used - 4;

        fill_bar(progress, bar, room < BAR_MAX ? room : BAR_MAX);
    }
    snprintf(line, sizeof line, "%.200s  %s%s%s", progress->opts.what, bar, bar[0] ? "  " : "",
             text);
    if (strlen(line) > width)
        line[width] = '\0';
    snprintf(out, sizeof out, "\r\033[K%s%s%s", style.bold, line, style.reset);
    put(progress, out);
    progress->drawn = true;
}

static void print_line(const struct pl_progress *progress, const char *note)
{
    char text[512], line[LINE_MAX_BYTES];

    describe(progress, note, text, sizeof text);
    snprintf(line, sizeof line, "%.200s  %s\n", progress->opts.what, text);
    put(progress, line);
}

void pl_progress_update(struct pl_progress *progress, uint64_t done, uint64_t amount,
                        const char *note)
{
    const double now = now_s(progress);

    progress->done = done;
    progress->amount = amount;
    if (progress->opts.quiet || now - progress->started_s < quiet_s)
        return;
    if (progress->shown_s >= 0 &&
        now - progress->shown_s < (progress->tty ? redraw_s : progress->opts.line_s))
        return;
    if (progress->tty)
        draw_bar(progress, note);
    else
        print_line(progress, note);
    progress->shown_s = now;
}

void pl_progress_hide(struct pl_progress *progress)
{
    if (!progress->drawn)
        return;
    put(progress, "\r\033[K");
    progress->drawn = false;
    if (progress->tty)
        progress->shown_s = -1;
}

void pl_progress_end(struct pl_progress *progress)
{
    pl_progress_hide(progress);
    progress->opts.quiet = true;
}
