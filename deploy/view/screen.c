#include "deploy/view/screen.h"

#include "common/base/buf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- what is shown ---- */

enum { RIGHT_AT = 36, CELL = 96, SIDE_ROWS = 8 };

/* Ranks: what matters most is 0. */
enum { FIRST, SECOND, THIRD, FOURTH, FIFTH };

__attribute__((format(printf, 4, 5))) static void
add(struct pl_screen_text *t, enum pl_screen_look look, int rank, const char *format, ...)
{
    struct pl_screen_line *line = &t->lines[t->count];
    va_list args;

    if (t->count == PL_SCREEN_ROWS_MAX)
        return;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
    for (char *at = line->text; *at; at++) /* a reason or a name may hold anything */
        if (*at < ' ' || *at > '~')
            *at = '?';
    line->look = look;
    line->rank = rank;
    t->count++;
}

static unsigned long long num(uint64_t value)
{
    return (unsigned long long)value;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void add_head(const struct pl_overview *o, size_t columns, struct pl_screen_text *t)
{
    char pace[PL_HUMAN_MAX] = "", eta[PL_HUMAN_MAX] = "", bar[PL_SCREEN_COLUMNS_MAX + 1];
    const size_t cells = (columns < PL_SCREEN_COLUMNS_MAX ? columns : PL_SCREEN_COLUMNS_MAX) - 3;
    const double done = o->steps > 0 ? fmin(1.0, (double)o->step / (double)o->steps) : 0.0;
    const size_t full = (size_t)(done * (double)cells);

    if (isfinite(o->step_s))
        pl_human_seconds(pace, o->step_s);
    if (isfinite(o->eta_s))
        pl_human_seconds(eta, o->eta_s);
    add(t, PL_SCREEN_BOLD, FIRST, "%s  step %llu of %llu%s%s%s%s%s", o->name, num(o->step),
        num(o->steps), pace[0] ? "  " : "", pace, pace[0] ? " a step" : "", eta[0] ? "  ETA " : "",
        eta);
    memset(bar, ' ', cells);
    memset(bar, '=', full);
    if (full > 0 && full < cells)
        bar[full] = '>';
    bar[cells] = '\0';
    add(t, PL_SCREEN_PLAIN, SECOND, "[%s]", bar);
}

/* ---- the left side: the last step and the mean of the recent ones ---- */

static void put(char cell[CELL], int decimals, double value)
{
    if (isfinite(value))
        snprintf(cell, CELL, "%.*f", decimals, value);
    else
        snprintf(cell, CELL, "-");
}

static void fill_left(const struct pl_overview *o, char rows[SIDE_ROWS][CELL])
{
    const struct {
        const char *name, *key;
        int decimals;
        double mean;
    } of[SIDE_ROWS - 1] = {
        {"reward", "critic/score/mean", 2, o->pace.reward},
        {"accuracy", "interleave/accuracy", 3, o->pace.accuracy},
        {"format", "interleave/format_ok", 3, o->pace.format},
        {"ttfa", "interleave/ttfa", 3, o->pace.ttfa},
        {"length", "response_length/mean", 1, o->pace.length},
        {"gate", "interleave/gate", 2, o->pace.gate},
        {"no signal", "frac_reward_zero_std", 2, o->pace.no_signal},
    };

    snprintf(rows[0], CELL, "%-10s%10s  mean of %d", "", "last", PL_HISTORY_RECENT);
    for (size_t i = 0; i + 1 < SIDE_ROWS; i++) {
        char last[CELL], mean[CELL];

        put(last, of[i].decimals, pl_history_number(o->last, of[i].key));
        put(mean, of[i].decimals, of[i].mean);
        snprintf(rows[i + 1], CELL, "%-10s%10.24s%12.24s", of[i].name, last, mean);
    }
}

/* ---- the right side: who is at work, on what ---- */

static void fill_workers(const struct pl_overview *o, char sampling[CELL], char scoring[CELL])
{
    const struct pl_survey *s = &o->survey;
    uint64_t actors = 0, rewarders = 0, least = UINT64_MAX, most = 0;
    char rate[PL_HUMAN_MAX] = "";

    for (size_t i = 0; i < s->worker_count; i++) {
        const struct pl_survey_worker *w = &s->workers[i];
        const uint64_t lag = s->version > w->version ? s->version - w->version : 0;

        actors += strcmp(w->role, "actor") == 0;
        rewarders += strcmp(w->role, "rewarder") == 0;
        if (w->version == 0)
            continue;
        least = lag < least ? lag : least;
        most = lag > most ? lag : most;
    }
    if (isfinite(o->tokens_per_s))
        pl_human_count(rate, o->tokens_per_s);
    snprintf(sampling, CELL, "sampling  %s%s%llu actor%s", rate, rate[0] ? " tok/s, " : "",
             num(actors), plural(actors));
    if (least < most)
        snprintf(sampling + strlen(sampling), CELL - strlen(sampling), ", lag %llu-%llu",
                 num(least), num(most));
    else if (least == most)
        snprintf(sampling + strlen(sampling), CELL - strlen(sampling), ", lag %llu", num(most));
    snprintf(scoring, CELL, "scoring   %llu rewarder%s", num(rewarders), plural(rewarders));
}

static void fill_batch(const struct pl_survey_batch *b, char row[CELL])
{
    if (strcmp(b->state, "open") == 0)
        snprintf(row, CELL, "batch %-4.12s%llu of %llu sampled, %llu scored", b->name,
                 num(b->rollouts + b->scored), num(b->expected), num(b->scored));
    else
        snprintf(row, CELL, "batch %-4.12s%.16s", b->name, b->state);
}

/* The batch that is trained next and the one after it; evaluations where there is room. */
static void fill_batches(const struct pl_overview *o, char rows[2][CELL])
{
    size_t n = 0;

    for (size_t i = 0; i < o->survey.batch_count && n < 2; i++) {
        const struct pl_survey_batch *b = &o->survey.batches[i];
        const bool eval = b->name[0] == 'e';

        if (eval ? strcmp(b->state, "open") == 0 : strtoull(b->name, NULL, 10) >= o->step)
            fill_batch(b, rows[n++]);
    }
}

static void fill_right(const struct pl_overview *o, char rows[SIDE_ROWS][CELL])
{
    const struct pl_ledger *l = &o->survey.ledger;

    if (!o->redis)
        return;
    fill_workers(o, rows[0], rows[1]);
    snprintf(rows[2], CELL, "prompts   %llu waiting, %llu leased", num(l->queued), num(l->leased));
    snprintf(rows[3], CELL, "rollouts  %llu waiting, %llu leased", num(l->rolled), num(l->scoring));
    fill_batches(o, rows + 4);
    if (l->dropped > 0)
        snprintf(rows[6], CELL, "dropped   %llu group%s: %.48s", num(l->dropped),
                 plural(l->dropped), o->survey.reason_count > 0 ? o->survey.reasons[0].text : "");
}

static void add_sides(const struct pl_overview *o, struct pl_screen_text *t)
{
    char left[SIDE_ROWS][CELL] = {{0}}, right[SIDE_ROWS][CELL] = {{0}};

    fill_left(o, left);
    fill_right(o, right);
    for (size_t i = 0; i < SIDE_ROWS; i++)
        add(t, PL_SCREEN_PLAIN, THIRD, right[i][0] ? "%-*s%s" : "%.*s%s",
            right[i][0] ? RIGHT_AT : (int)strlen(left[i]), left[i], right[i]);
}

/* ---- below ---- */

/* The newest evaluations that have room, in order, and the best. */
static void add_evals(const struct pl_overview *o, size_t columns, struct pl_screen_text *t)
{
    char list[PL_SCREEN_COLUMNS_MAX + 1] = "", best_text[48] = "";
    const struct pl_history_eval *best;
    size_t room;

    if (o->eval_count == 0)
        return;
    best = pl_overview_best(o);
    if (best)
        snprintf(best_text, sizeof best_text, "  best %.3f at %llu", best->accuracy,
                 num(best->step));
    room = columns < PL_SCREEN_COLUMNS_MAX ? columns : PL_SCREEN_COLUMNS_MAX;
    room = room > strlen(best_text) + 13 ? room - strlen(best_text) - 13 : 0;
    for (size_t i = o->eval_count; i-- > 0;) {
        char one[48], more[PL_SCREEN_COLUMNS_MAX + 1], accuracy[CELL];

        put(accuracy, 3, o->evals[i].accuracy);
        snprintf(one, sizeof one, "  %.16s at %llu", accuracy, num(o->evals[i].step));
        if (strlen(one) + strlen(list) > room)
            break;
        snprintf(more, sizeof more, "%s%.*s", one, (int)(sizeof more - sizeof one), list);
        memcpy(list, more, sizeof list);
    }
    add(t, PL_SCREEN_PLAIN, THIRD, "evaluation%s%s", list, best_text);
}

/* The sentence in as many lines as it takes. */
static void add_sentence(const struct pl_overview *o, size_t columns, struct pl_screen_text *t)
{
    const size_t width = columns < PL_SCREEN_COLUMNS_MAX ? columns - 1 : PL_SCREEN_COLUMNS_MAX;
    char text[sizeof o->bottleneck + 16];
    int rank = FIRST;

    snprintf(text, sizeof text, "waited for: %s", o->bottleneck);
    for (const char *at = text; *at;) {
        size_t len = strlen(at);

        if (len > width) {
            len = width;
            while (len > 0 && at[len] != ' ')
                len--;
            len = len > 0 ? len : width;
        }
        add(t, PL_SCREEN_PLAIN, rank, "%.*s", (int)len, at);
        rank = SECOND;
        at += len;
        at += strspn(at, " ");
    }
}

static void leave_out(struct pl_screen_text *t, size_t rows)
{
    while (t->count > rows && t->count > 1) {
        size_t least = t->count - 1;

        for (size_t i = t->count; i-- > 0;)
            if (t->lines[i].rank > t->lines[least].rank)
                least = i;
        memmove(t->lines + least, t->lines + least + 1, (t->count - least - 1) * sizeof *t->lines);
        t->count--;
    }
}

void pl_screen_compose(const struct pl_overview *overview, size_t columns, size_t rows,
                       struct pl_screen_text *ret_text)
{
    const size_t wide = columns > 20 ? columns : 20;
    struct pl_screen_text *t = ret_text;

    t->count = 0;
    add_head(overview, wide, t);
    add(t, PL_SCREEN_PLAIN, FIFTH, "%s", "");
    add_sides(overview, t);
    if (!overview->redis)
        add(t, PL_SCREEN_RED, FIRST, "%s", overview->redis_why);
    if (overview->trouble[0])
        add(t, PL_SCREEN_RED, FIRST, "%s", overview->trouble);
    add(t, PL_SCREEN_PLAIN, FIFTH, "%s", "");
    add_evals(overview, wide, t);
    for (size_t i = 0; i < overview->warning_count; i++)
        add(t, PL_SCREEN_RED, SECOND, "%s", overview->warnings[i]);
    add_sentence(overview, wide, t);
    leave_out(t, rows > 2 ? rows - 1 : 1);
    for (size_t i = 0; i < t->count; i++)
        if (wide <= PL_SCREEN_COLUMNS_MAX)
            t->lines[i].text[wide - 1] = '\0';
}

/* ---- on the terminal ---- */

void pl_screen_begin(struct pl_screen *screen, int fd)
{
    screen->fd = fd;
    screen->color = pl_term_color(fd, PL_COLOR_AUTO);
    screen->shown.count = 0;
}

static size_t rows_of(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* To the first column of the first line shown; lines that a narrower terminal wraps take more. */
static void go_back(const struct pl_screen *s, size_t columns, struct pl_buf *out)
{
    size_t rows = 0;

    for (size_t i = 0; i < s->shown.count; i++) {
        const size_t len = strlen(s->shown.lines[i].text);

        rows += len > columns ? (len + columns - 1) / columns : 1;
    }
    if (rows > 1)
        (void)pl_buf_printf(out, "\r\033[%zuA", rows - 1);
    else
        (void)pl_buf_puts(out, "\r");
}

static void send(const struct pl_screen *s, const struct pl_buf *out)
{
    const ssize_t n = out->data ? write(s->fd, out->data, out->len) : 0;

    (void)n;
}

static bool same(const struct pl_screen_text *a, const struct pl_screen_text *b)
{
    bool equal = a->count == b->count;

    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->lines[i].text, b->lines[i].text) == 0;
    return equal;
}

void pl_screen_draw(struct pl_screen *screen, const struct pl_overview *overview)
{
    const struct pl_style style =
        pl_term_style(screen->fd, screen->color ? PL_COLOR_ALWAYS : PL_COLOR_NEVER);
    const char *const begins[] = {"", style.bold, style.dim, style.red};
    const size_t columns = pl_term_width(screen->fd);
    struct pl_screen_text text;
    struct pl_buf out;

    pl_screen_compose(overview, columns, rows_of(screen->fd), &text);
    if (screen->columns == columns && same(&text, &screen->shown))
        return;
    pl_buf_init(&out, 1 << 20);
    go_back(screen, columns, &out);
    for (size_t i = 0; i < text.count; i++)
        (void)pl_buf_printf(&out, "%s%s%s%s\033[K", i > 0 ? "\n" : "", begins[text.lines[i].look],
                            text.lines[i].text,
                            text.lines[i].look == PL_SCREEN_PLAIN ? "" : style.reset);
    (void)pl_buf_puts(&out, "\033[J");
    send(screen, &out);
    pl_buf_release(&out);
    screen->shown = text;
    screen->columns = columns;
}

void pl_screen_hide(struct pl_screen *screen)
{
    struct pl_buf out;

    if (screen->shown.count == 0)
        return;
    pl_buf_init(&out, 1 << 12);
    go_back(screen, pl_term_width(screen->fd), &out);
    (void)pl_buf_puts(&out, "\033[J");
    send(screen, &out);
    pl_buf_release(&out);
    screen->shown.count = 0;
}
