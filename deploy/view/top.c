#include "deploy/view/top.h"

#include "deploy/view/top_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCHES = 4, EVENTS_LEAST = 2, EVENTS_MOST = 8, WARNINGS = 3, ONCE_ROWS = 300 };

static const char *human(char text[PL_HUMAN_MAX], double seconds)
{
    return seconds < 0.0 || !isfinite(seconds) ? strcpy(text, "-")
                                               : pl_human_seconds(text, seconds);
}

static unsigned long long num(uint64_t value)
{
    return (unsigned long long)value;
}

/* ---- the head ---- */

static const char *spark(const struct pl_top_draft *d, const double *list, size_t n, size_t cells,
                         char text[PL_TOP_BYTES])
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
    double least = INFINITY, most = -INFINITY;
    const size_t from = n > cells ? n - cells : 0;

    for (size_t i = from; i < n; i++) {
        if (!isfinite(list[i]))
            continue;
        least = fmin(least, list[i]);
        most = fmax(most, list[i]);
    }
    text[0] = '\0';
    for (size_t i = from; i < n; i++) {
        const double at = most > least ? (list[i] - least) / (most - least) : 0.5;
        const int level = isfinite(at) ? (int)fmin(7.0, fmax(0.0, floor(8.0 * at))) : 0;

        strcat(text, !isfinite(list[i]) ? " " : (d->view->utf8 ? blocks : plain)[level]);
    }
    return text;
}

static void add_title(struct pl_top_draft *d)
{
    const struct pl_overview *o = &d->top->o;
    const bool at_work = o->redis && o->survey.learner && !o->finished;
    char left[PL_TOP_BYTES], right[64] = "", name[PL_TOP_CELL], eta[PL_HUMAN_MAX] = "";
    size_t pad;

    pl_top_copy(name, sizeof name, o->name);
    if (at_work && o->step < o->steps && isfinite(o->eta_s))
        pl_human_seconds(eta, o->eta_s);
    snprintf(left, sizeof left, "%s  %s  step %llu of %llu%s%s", name, pl_overview_state(o),
             num(o->step), num(o->steps), eta[0] ? "  ETA " : "", eta);
    if (o->redis && o->survey.version > 0)
        snprintf(left + strlen(left), sizeof left - strlen(left), "  policy version %llu",
                 num(o->survey.version));
    if (o->survey.insecure)
        snprintf(right, sizeof right, "INSECURE");
    pad = pl_top_width(left) + strlen(right) + 2 < d->columns
              ? d->columns - pl_top_width(left) - strlen(right)
              : 2;
    if (right[0] && pl_top_width(left) + 2 + strlen(right) > d->columns)
        pl_top_cut(left, d->columns > strlen(right) + 2 ? d->columns - strlen(right) - 2 : 0);
    pl_top_add(d, PL_TOP_TITLE, "%s%*s%s", left, right[0] ? (int)pad : 0, "", right);
    if (right[0]) {
        struct pl_top_line *line = &d->screen->lines[d->screen->count - 1];

        line->red_from = strlen(line->text) - strlen(right);
    }
}

static void add_bar(struct pl_top_draft *d)
{
    const struct pl_overview *o = &d->top->o;
    const double done = o->steps > 0 ? fmin(1.0, (double)o->step / (double)o->steps) : 0.0;
    char bar[PL_TOP_COLUMNS + 1], pace[PL_HUMAN_MAX], rate[PL_HUMAN_MAX], tail[96] = "";
    size_t cells, full;

    if (isfinite(o->step_s))
        snprintf(tail, sizeof tail, "  %s a step", pl_human_seconds(pace, o->step_s));
    if (o->redis && isfinite(o->tokens_per_s))
        snprintf(tail + strlen(tail), sizeof tail - strlen(tail), "  %s tok/s",
                 pl_human_count(rate, o->tokens_per_s));
    cells = d->columns > strlen(tail) + 20 ? d->columns - strlen(tail) - 8 : 10;
    cells = cells > PL_TOP_COLUMNS ? PL_TOP_COLUMNS : cells;
    full = (size_t)(done * (double)cells);
    memset(bar, ' ', cells);
    memset(bar, '=', full);
    if (full > 0 && full < cells)
        bar[full] = '>';
    bar[cells] = '\0';
    pl_top_add(d, PL_TOP_PLAIN, "[%s] %3.0f %%%s", bar, 100.0 * done, tail);
}

/* "-" for a figure that the step does not have: its rewards were lost, or it had no task that is
 * right or wrong. */
static const char *figure(char text[PL_TOP_CELL], int decimals, double value)
{
    if (isfinite(value))
        snprintf(text, PL_TOP_CELL, "%.*f", decimals, value);
    else
        snprintf(text, PL_TOP_CELL, "-");
    return text;
}

static void add_sparks(struct pl_top_draft *d)
{
    const struct pl_survey *s = &d->top->o.survey;
    const size_t n = s->recent_count, fixed = strlen("reward   1234.56   accuracy   0.123");
    const size_t cells = d->columns > fixed + 8 ? (d->columns - fixed) / 2 : 4;
    char reward[PL_TOP_BYTES], accuracy[PL_TOP_BYTES], paid[PL_TOP_CELL], right[PL_TOP_CELL];

    if (n == 0) {
        pl_top_add(d, PL_TOP_DIM, "no step is done yet");
        return;
    }
    spark(d, s->reward, n, cells, reward);
    spark(d, s->accuracy, n, cells, accuracy);
    pl_top_add(d, PL_TOP_PLAIN, "reward %s %s   accuracy %s %s", reward,
               figure(paid, 2, s->reward[n - 1]), accuracy, figure(right, 3, s->accuracy[n - 1]));
}

/* A sentence in as many lines as it takes, two at most. */
static void add_sentence(struct pl_top_draft *d, enum pl_top_look look, const char *text)
{
    char rest[700];
    size_t len, wide = d->columns;

    pl_top_copy(rest, sizeof rest, text);
    len = strlen(rest);
    if (len <= wide) {
        pl_top_add(d, look, "%s", rest);
        return;
    }
    while (wide > d->columns / 2 && rest[wide] != ' ')
        wide--;
    pl_top_add(d, look, "%.*s", (int)wide, rest);
    pl_top_add(d, look, "%s", rest + wide + (rest[wide] == ' '));
}

static void add_head(struct pl_top_draft *d)
{
    const struct pl_overview *o = &d->top->o;
    char text[700];

    add_title(d);
    add_bar(d);
    add_sparks(d);
    if (!o->redis) {
        snprintf(text, sizeof text, "Redis does not answer%s: %s",
                 o->finished ? " any more" : ", and is asked again", o->redis_why);
        add_sentence(d, o->finished ? PL_TOP_DIM : PL_TOP_RED, text);
    }
    snprintf(text, sizeof text, "waited for: %s", o->bottleneck);
    add_sentence(d, o->moving || o->finished ? PL_TOP_PLAIN : PL_TOP_RED, text);
    for (size_t i = 0; i < o->warning_count && i < WARNINGS; i++)
        pl_top_add(d, PL_TOP_RED, "%s", o->warnings[i]);
}

/* ---- queues and batches, side by side ---- */

static void queue_line(const struct pl_top_draft *d, size_t row, char text[PL_TOP_BYTES])
{
    const struct pl_overview *o = &d->top->o;
    const struct pl_ledger *l = &o->survey.ledger;
    const bool rollouts = row == 1;
    char a[PL_HUMAN_MAX];
    double oldest, silent;

    switch (row) {
    case 0:
    case 1:
        pl_overview_leases(o, rollouts ? PL_QUEUE_ROLLOUTS : PL_QUEUE_PROMPTS, &oldest, &silent);
        snprintf(text, PL_TOP_BYTES, "%-8s  %7llu  %6llu  %6s", rollouts ? "rollouts" : "prompts",
                 num(rollouts ? l->rolled : l->queued), num(rollouts ? l->scoring : l->leased),
                 human(a, oldest));
        return;
    case 2:
        snprintf(text, PL_TOP_BYTES, "%-8s  %7llu", "ready", num(l->ready));
        return;
    default:
        snprintf(text, PL_TOP_BYTES, "%-8s  %7llu  dropped %llu", "dead", num(l->dead),
                 num(l->dropped));
    }
}

static void batch_line(const struct pl_survey_batch *b, char text[PL_TOP_CELL])
{
    char rolled[32], scored[32], accuracy[16] = "-";

    snprintf(rolled, sizeof rolled, "%llu/%llu", num(b->rollouts + b->scored), num(b->expected));
    snprintf(scored, sizeof scored, "%llu/%llu", num(b->scored), num(b->expected));
    if (b->samples > 0)
        snprintf(accuracy, sizeof accuracy, "%.3f", (double)b->right / (double)b->samples);
    snprintf(text, PL_TOP_CELL, "%-6.12s  %9s  %9s  %8s  %s", b->name, rolled, scored, accuracy,
             b->gate < 0 ? "-"
             : b->gate   ? "open"
                         : "shut");
}

/* Those that are not trained yet, in order. */
static size_t pick_batches(const struct pl_overview *o, const struct pl_survey_batch *list[BATCHES])
{
    size_t n = 0;

    for (size_t i = 0; i < o->survey.batch_count && n < BATCHES; i++) {
        const struct pl_survey_batch *b = &o->survey.batches[i];

        if (b->name[0] == 'e' ? strcmp(b->state, "open") == 0
                              : strtoull(b->name, NULL, 10) >= o->step)
            list[n++] = b;
    }
    return n;
}

static void add_queues(struct pl_top_draft *d)
{
    enum { LEFT = 34 };
    const struct pl_survey_batch *batches[BATCHES];
    const size_t n = pick_batches(&d->top->o, batches);
    const bool wide = d->columns >= 78;

    pl_top_add(d, PL_TOP_DIM, wide ? "%-*s  %s" : "%.*s%.0s", LEFT,
               "queue     waiting  leased  oldest", "batch      rolled     scored  accuracy  gate");
    for (size_t row = 0; row < 4; row++) {
        char left[PL_TOP_BYTES], right[PL_TOP_CELL] = "";

        queue_line(d, row, left);
        if (wide && row < n)
            batch_line(batches[row], right);
        pl_top_add(d, row == 3 && d->top->o.survey.ledger.dead > 0 ? PL_TOP_RED : PL_TOP_PLAIN,
                   "%-*s  %s", LEFT, left, right);
    }
}

/* ---- workers ---- */

static const struct pl_top_column worker_columns[] = {
    {"worker", 0, false}, {"role", 56, false}, {"host", 64, false},     {"state", 0, false},
    {"lag", 0, true},     {"tok/s", 0, true},  {"leased", 100, true},   {"lease", 0, true},
    {"memory", 72, true}, {"up", 90, true},    {"restarts", 110, true}, {"groups", 120, true},
    {"http", 130, false}, {NULL, 0, false},
};
enum { WORKER_CELLS = 13 };

/* "rewarder-1.2" is a thread of "rewarder-1". */
static bool is_of(const char *holder, const char *worker)
{
    const size_t len = strlen(worker);

    return strncmp(holder, worker, len) == 0 && (!holder[len] || holder[len] == '.');
}

static void lease_of(const struct pl_overview *o, const char *worker, uint64_t *ret_count,
                     double *ret_oldest_s)
{
    *ret_count = 0;
    *ret_oldest_s = -1.0;
    for (size_t i = 0; i < o->survey.holder_count; i++) {
        const struct pl_survey_holder *h = &o->survey.holders[i];

        if (!is_of(h->worker, worker))
            continue;
        *ret_count += h->count;
        *ret_oldest_s = fmax(*ret_oldest_s, h->oldest_s);
    }
}

static bool is_barred(const struct pl_overview *o, const struct pl_survey_worker *w)
{
    for (size_t i = 0; i < o->survey.barred_count; i++)
        if (strcmp(o->survey.barred[i].actor, w->name) == 0)
            return true;
    return w->barred;
}

static void worker_row(const struct pl_overview *o, const struct pl_survey_worker *w,
                       char cells[PL_TOP_CELLS][PL_TOP_CELL], bool *ret_red)
{
    const double beat_s = pl_overview_beat_s(o, w), silent_s = 10.0 + (double)o->lease_s / 3.0;
    char text[PL_HUMAN_MAX];
    uint64_t leased;
    double oldest_s;

    lease_of(o, w->name, &leased, &oldest_s);
    *ret_red = is_barred(o, w) || beat_s > silent_s;
    pl_top_copy(cells[0], PL_TOP_CELL, w->name);
    pl_top_copy(cells[1], PL_TOP_CELL, w->role);
    pl_top_copy(cells[2], PL_TOP_CELL, w->host[0] ? w->host : "-");
    if (is_barred(o, w))
        snprintf(cells[3], PL_TOP_CELL, "quarantined");
    else if (beat_s > silent_s)
        snprintf(cells[3], PL_TOP_CELL, "silent %s", pl_human_seconds(text, beat_s));
    else if (strcmp(w->role, "learner") == 0 && o->survey.presence.phase[0])
        pl_top_copy(cells[3], PL_TOP_CELL, o->survey.presence.phase);
    else
        snprintf(cells[3], PL_TOP_CELL, "%s", leased > 0 || w->leased > 0 ? "at work" : "idle");
    for (size_t i = 4; i < WORKER_CELLS; i++)
        strcpy(cells[i], "-");
    if (w->version > 0)
        snprintf(cells[4], PL_TOP_CELL, "%llu",
                 num(o->survey.version > w->version ? o->survey.version - w->version : 0));
    if (isfinite(w->tokens_per_s))
        snprintf(cells[5], PL_TOP_CELL, "%s", pl_human_count(text, w->tokens_per_s));
    snprintf(cells[6], PL_TOP_CELL, "%llu", num(leased));
    snprintf(cells[7], PL_TOP_CELL, "%s", human(text, oldest_s));
    if (w->rss_bytes > 0)
        snprintf(cells[8], PL_TOP_CELL, "%s", pl_human_bytes(text, w->rss_bytes));
    if (w->since_s > 0.0)
        snprintf(cells[9], PL_TOP_CELL, "%s", human(text, fmax(0.0, o->survey.now_s - w->since_s)));
    if (w->restarts >= 0)
        snprintf(cells[10], PL_TOP_CELL, "%d", w->restarts);
    snprintf(cells[11], PL_TOP_CELL, "%llu", num(w->groups));
    if (w->http[0])
        pl_top_copy(cells[12], PL_TOP_CELL, w->http);
}

/* A learner that has no heartbeat (yet, or any more). */
static void learner_row(const struct pl_overview *o, char cells[PL_TOP_CELLS][PL_TOP_CELL],
                        bool *ret_red)
{
    strcpy(cells[0], "learner");
    strcpy(cells[1], "learner");
    snprintf(cells[3], PL_TOP_CELL, "%s", o->survey.learner ? "at work" : "not there");
    for (size_t i = 4; i < WORKER_CELLS; i++)
        strcpy(cells[i], "-");
    strcpy(cells[2], "-");
    *ret_red = !o->survey.learner && !o->finished;
}

static bool has_learner(const struct pl_survey *s)
{
    for (size_t i = 0; i < s->worker_count; i++)
        if (strcmp(s->workers[i].role, "learner") == 0)
            return true;
    return false;
}

/* Rows that pass the filter. */
static size_t fill_workers(const struct pl_top_draft *d, char (*rows)[PL_TOP_CELLS][PL_TOP_CELL],
                           bool *red)
{
    const struct pl_overview *o = &d->top->o;
    size_t n = 0;

    if (!o->redis)
        return 0;
    if (!has_learner(&o->survey)) {
        learner_row(o, rows[n], &red[n]);
        n += pl_top_passes(d, (const char(*)[PL_TOP_CELL])rows[n], WORKER_CELLS);
    }
    for (size_t i = 0; i < o->survey.worker_count; i++) {
        worker_row(o, &o->survey.workers[i], rows[n], &red[n]);
        n += pl_top_passes(d, (const char(*)[PL_TOP_CELL])rows[n], WORKER_CELLS);
    }
    return n;
}

/* ---- events ---- */

static void event_line(const struct pl_top_event *e, char text[PL_TOP_BYTES])
{
    const time_t at = (time_t)e->at_s;
    char clock[16], event[sizeof e->event], rest[2 * sizeof e->text];
    struct tm tm;

    localtime_r(&at, &tm);
    strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    pl_top_copy(event, sizeof event, e->event);
    pl_top_copy(rest, sizeof rest, e->text);
    snprintf(text, PL_TOP_BYTES, "%s  %-11s  %s", clock, event, rest);
}

static bool is_bad(const struct pl_top_event *e)
{
    return strcmp(e->event, "buried") == 0 || strcmp(e->event, "unmade") == 0 ||
           strcmp(e->event, "quarantined") == 0;
}

static void add_events(struct pl_top_draft *d, size_t most)
{
    size_t from = d->top->event_count, n = 0;

    if (most == 0)
        return;
    pl_top_add(d, PL_TOP_DIM, d->top->event_count > 0 ? "events" : "no events yet");
    while (from > 0 && n + 1 < most) { /* the newest that pass */
        char text[PL_TOP_BYTES];

        event_line(&d->top->events[--from], text);
        n += !d->view->filter[0] || strcasestr(text, d->view->filter);
    }
    for (; from < d->top->event_count; from++) {
        char text[PL_TOP_BYTES];

        event_line(&d->top->events[from], text);
        if (!d->view->filter[0] || strcasestr(text, d->view->filter))
            pl_top_add(d, is_bad(&d->top->events[from]) ? PL_TOP_RED : PL_TOP_PLAIN, "%s", text);
    }
}

/* ---- pages ---- */

static void add_foot(struct pl_top_draft *d, size_t from, size_t shown_rows, size_t all)
{
    const struct pl_top_view *v = d->view;
    char range[64] = "";

    if (!v->keys)
        return;
    while (d->screen->count + 1 < v->rows)
        pl_top_add(d, PL_TOP_PLAIN, "%s", "");
    d->screen->count = v->rows > 0 && d->screen->count >= v->rows ? v->rows - 1 : d->screen->count;
    if (shown_rows < all)
        snprintf(range, sizeof range, "   %zu-%zu of %zu", from + 1, from + shown_rows, all);
    if (v->typing)
        pl_top_add(d, PL_TOP_FOOT, "/%s_   Enter keeps it, Escape ends it", v->filter);
    else if (v->filter[0])
        pl_top_add(d, PL_TOP_FOOT, "/%s   Escape ends the filter%s", v->filter, range);
    else if (v->page == PL_TOP_MAIN)
        pl_top_add(d, PL_TOP_FOOT, "q quit   d dead groups   / filter   ? help%s", range);
    else
        pl_top_add(d, PL_TOP_FOOT, "q quit   Escape back   / filter   ? help%s", range);
}

/* How many rows of `all` are shown in `room` lines, and from where: *from is moved so that none is
 * left empty. */
static size_t scroll(struct pl_top_draft *d, size_t room, size_t all, size_t *from)
{
    const size_t rows = room > 0 ? room : 0;

    d->screen->offset_max = all > rows ? all - rows : 0;
    *from = d->view->offset < d->screen->offset_max ? d->view->offset : d->screen->offset_max;
    return all - *from < rows ? all - *from : rows;
}

static void compose_main(struct pl_top_draft *d)
{
    const size_t most = d->top->o.survey.worker_count + 1; /* and a learner that is not there */
    char(*rows)[PL_TOP_CELLS][PL_TOP_CELL] = calloc(most, sizeof *rows);
    bool *red = calloc(most, sizeof *red);
    struct pl_top_sheet sheet = {.columns = worker_columns, .rows = rows};
    const size_t height = d->view->rows;
    size_t left, events, from = 0, n, shown_rows;

    if (!rows || !red) {
        free(rows);
        free(red);
        return;
    }
    add_head(d);
    pl_top_add(d, PL_TOP_PLAIN, "%s", "");
    if (d->top->o.redis) {
        add_queues(d);
        pl_top_add(d, PL_TOP_PLAIN, "%s", "");
    }
    n = fill_workers(d, rows, red);
    sheet.row_count = n;
    /* What is left, without the foot: workers with their heading, an empty line, events with
     * theirs. */
    left = height > d->screen->count + 1 ? height - d->screen->count - 1 : 0;
    events = height == 0 ? EVENTS_MOST + 1 : left > n + 2 ? left - n - 2 : left / 3;
    events = events < EVENTS_LEAST ? (left >= 8 ? EVENTS_LEAST : 0) : events;
    events = events > d->top->event_count + 1 ? d->top->event_count + 1 : events;
    left = left > events + (events > 0) + 1 ? left - events - (events > 0) - 1 : 0;
    shown_rows = height > 0 ? scroll(d, left, n, &from) : n < ONCE_ROWS ? n : ONCE_ROWS;
    if (!d->top->o.redis)
        pl_top_add(d, PL_TOP_DIM, "workers are not known while Redis is away");
    else if (n == 0)
        pl_top_add(d, PL_TOP_DIM, d->view->filter[0] ? "no worker has that" : "no worker is there");
    else
        pl_top_add_sheet(d, &sheet, from, shown_rows + 1, red);
    if (height == 0 && shown_rows < n)
        pl_top_add(d, PL_TOP_DIM, "and %zu more; --json has them all", n - shown_rows);
    if (events > 0) {
        pl_top_add(d, PL_TOP_PLAIN, "%s", "");
        add_events(d, events);
    }
    add_foot(d, from, shown_rows, n);
    free(rows);
    free(red);
}

static const struct pl_top_column dead_columns[] = {
    {"group", 0, false},      {"where", 0, false},  {"since", 0, false}, {"worker", 0, false},
    {"deliveries", 90, true}, {"reason", 0, false}, {NULL, 0, false},
};
enum { DEAD_CELLS = 6 };

static void compose_dead(struct pl_top_draft *d)
{
    char(*rows)[PL_TOP_CELLS][PL_TOP_CELL] = calloc(PL_TOP_DEAD, sizeof *rows);
    struct pl_top_sheet sheet = {.columns = dead_columns, .rows = rows};
    size_t n = 0, from = 0, shown_rows;

    if (!rows)
        return;
    add_title(d);
    pl_top_add(d, PL_TOP_PLAIN, "%llu dead group%s; plait dead show, retry and drop act on them",
               num(d->top->o.survey.ledger.dead), d->top->o.survey.ledger.dead == 1 ? "" : "s");
    pl_top_add(d, PL_TOP_PLAIN, "%s", "");
    for (size_t i = 0; i < d->top->dead_count; i++) {
        const struct pl_top_dead *e = &d->top->dead[i];
        const time_t at = (time_t)e->at_s;
        struct tm tm;

        localtime_r(&at, &tm);
        pl_top_copy(rows[n][0], PL_TOP_CELL, e->group);
        pl_top_copy(rows[n][1], PL_TOP_CELL, e->where);
        strftime(rows[n][2], PL_TOP_CELL, "%m-%d %H:%M:%S", &tm);
        pl_top_copy(rows[n][3], PL_TOP_CELL, e->worker);
        snprintf(rows[n][4], PL_TOP_CELL, "%llu", num(e->deliveries));
        pl_top_copy(rows[n][5], PL_TOP_CELL, e->reason);
        n += pl_top_passes(d, (const char(*)[PL_TOP_CELL])rows[n], DEAD_CELLS);
    }
    sheet.row_count = n;
    shown_rows =
        d->view->rows == 0 ? n : scroll(d, d->view->rows > 5 ? d->view->rows - 5 : 0, n, &from);
    if (n > 0)
        pl_top_add_sheet(d, &sheet, from, shown_rows + 1, NULL);
    else
        pl_top_add(d, PL_TOP_DIM, d->view->filter[0] ? "no dead group has that" : "none is dead");
    add_foot(d, from, shown_rows, n);
    free(rows);
}

static void compose_help(struct pl_top_draft *d)
{
    static const char lines[][96] = {
        "keys",
        "  q              quit",
        "  d              dead groups, and back",
        "  /              filter workers and events: Enter keeps it, Escape ends it",
        "  up, down, PgUp, PgDn, Home, End   scroll",
        "  Escape         back",
        "",
        "columns",
        "  lag            versions of the policy behind the newest",
        "  lease          how long the oldest group that it holds is in its queue",
        "  memory         of the process, as it says itself",
        "  rolled         groups of the batch that an actor has made, scored those that are scored",
        "  gate           open: intermediate answers of that batch are paid",
        "",
        "Nothing here changes the run. plait trace RUN GROUP tells the story of a group.",
    };

    add_title(d);
    pl_top_add(d, PL_TOP_PLAIN, "%s", "");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        pl_top_add(d, strlen(lines[i]) < 8 ? PL_TOP_BOLD : PL_TOP_PLAIN, "%s", lines[i]);
    add_foot(d, 0, 0, 0);
}

void pl_top_compose(const struct pl_top *top, const struct pl_top_view *view,
                    struct pl_top_screen *ret_screen)
{
    struct pl_top_draft d = {
        .top = top, .view = view, .screen = ret_screen, .columns = view->columns};

    d.columns = d.columns > PL_TOP_COLUMNS ? PL_TOP_COLUMNS : d.columns;
    ret_screen->count = ret_screen->offset_max = 0;
    if (view->page == PL_TOP_DEADS)
        compose_dead(&d);
    else if (view->page == PL_TOP_HELP)
        compose_help(&d);
    else
        compose_main(&d);
    if (view->rows > 0 && ret_screen->count > view->rows)
        ret_screen->count = view->rows;
}
