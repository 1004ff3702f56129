#include "deploy/view/trace.h"

#include "common/base/logfmt.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 2048 };

static const double CLOCKS_S =
    1.0; /* a busy machine writes a line some time after what it tells of */

int pl_trace_init(struct pl_trace *trace, const char *group, struct pl_error *err)
{
    char batch[32], index[16];
    int used = 0;

    *trace = (struct pl_trace){0};
    if (sscanf(group, "%31[a-z0-9]:%15[0-9]%n", batch, index, &used) != 2 || group[used])
        return pl_fail(err, PL_EFORMAT,
                       "'%.80s' is no group: its batch and its index in it are, as '12:3' or, of "
                       "an evaluation, 'e12:3'",
                       group);
    snprintf(trace->group, sizeof trace->group, "%s", group);
    snprintf(trace->batch, sizeof trace->batch, "%s", batch);
    return PL_OK;
}

void pl_trace_release(struct pl_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++)
        free(trace->events[i].text);
    free(trace->events);
    *trace = (struct pl_trace){0};
}

/* ---- taking in ---- */

/* The text goes over to the event. */
static int add(struct pl_trace *t, const struct pl_trace_event *event, const char *text)
{
    struct pl_trace_event *e;

    if (t->count == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 64;
        struct pl_trace_event *events = reallocarray(t->events, cap, sizeof *events);

        if (!events)
            return PL_ENOMEM;
        t->events = events;
        t->cap = cap;
    }
    e = &t->events[t->count];
    *e = *event;
    e->order = t->order++;
    e->text = strdup(text);
    if (!e->text)
        return PL_ENOMEM;
    t->count++;
    return PL_OK;
}

static enum pl_trace_kind kind_of(const char *event, const char *queue)
{
    static const struct {
        const char *event;
        enum pl_trace_kind kind;
    } rows[] = {
        {"start", PL_TRACE_START},       {"stop", PL_TRACE_END},
        {"failed", PL_TRACE_END},        {"fed", PL_TRACE_FED},
        {"returned", PL_TRACE_GONE},     {"lost", PL_TRACE_GONE},
        {"buried", PL_TRACE_GONE},       {"hand_over.refused", PL_TRACE_GONE},
        {"finished", PL_TRACE_FINISHED}, {"refused", PL_TRACE_REFUSED},
        {"scored", PL_TRACE_SCORED},     {"ready", PL_TRACE_READY},
        {"trained", PL_TRACE_TRAINED},   {"evaluated", PL_TRACE_TRAINED},
        {"retired", PL_TRACE_RETIRED},
    };

    if (strcmp(event, "leased") == 0)
        return strcmp(queue, "rollouts") == 0 ? PL_TRACE_TAKEN : PL_TRACE_LEASED;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(event, rows[i].event) == 0)
            return rows[i].kind;
    return PL_TRACE_OTHER;
}

/* Who logs such a thing, where the line does not say so. */
static const char *role_of(const struct pl_log_entry *e, enum pl_trace_kind kind)
{
    if (e->role[0])
        return e->role;
    switch (kind) {
    case PL_TRACE_FED:
    case PL_TRACE_READY:
    case PL_TRACE_TRAINED:
    case PL_TRACE_RETIRED:
        return "learner";
    case PL_TRACE_LEASED:
    case PL_TRACE_FINISHED:
        return "actor";
    case PL_TRACE_TAKEN:
    case PL_TRACE_SCORED:
        return "rewarder";
    default:
        return strncmp(e->id, "learner", 7) == 0    ? "learner"
               : strncmp(e->id, "actor", 5) == 0    ? "actor"
               : strncmp(e->id, "rewarder", 8) == 0 ? "rewarder"
                                                    : "";
    }
}

static void fields_text(const struct pl_trace *t, const struct pl_log_entry *e, char text[TEXT_MAX])
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < e->field_count && len + 64 < TEXT_MAX; i++) {
        const struct pl_log_entry_field *f = &e->fields[i];

        if ((strcmp(f->key, "group") == 0 && strcmp(f->value, t->group) == 0) ||
            (strcmp(f->key, "batch") == 0 && strcmp(f->value, t->batch) == 0) ||
            strcmp(f->key, "worker") == 0) /* it is who did it */
            continue;
        if (len > 0)
            text[len++] = ' ';
        len += pl_logfmt_print(text + len, TEXT_MAX - len,
                               strchr(f->value, ' ') ? "%s=\"%s\"" : "%s=%s", f->key, f->value);
    }
}

int pl_trace_line(struct pl_trace *trace, const char *who, const char *line)
{
    struct pl_trace_event event = {0};
    char text[TEXT_MAX];
    const char *group, *worker;
    struct pl_log_entry e;

    trace->lines++;
    if (!pl_log_entry_read(line, &e)) {
        trace->passed_over++;
        return PL_OK;
    }
    group = pl_log_entry_field(&e, "group");
    event.kind = kind_of(e.event, pl_log_entry_field(&e, "queue"));
    if (strcmp(group, trace->group) != 0 &&
        (group[0] || strcmp(pl_log_entry_field(&e, "batch"), trace->batch) != 0) &&
        event.kind != PL_TRACE_START && event.kind != PL_TRACE_END &&
        strncmp(e.event, "quarantine", strlen("quarantine")) != 0)
        return PL_OK;
    if (!e.id[0])
        snprintf(e.id, sizeof e.id, "%s", who);
    if (!e.id[0] && (event.kind == PL_TRACE_START || event.kind == PL_TRACE_END))
        snprintf(e.id, sizeof e.id, "%.79s", pl_log_entry_field(&e, "name"));
    worker = pl_log_entry_field(&e, "worker"); /* a rewarder's thread */
    event.at_s = e.at_s;
    event.done = strcmp(pl_log_entry_field(&e, "outcome"), "done") == 0;
    snprintf(event.level, sizeof event.level, "%s", e.level);
    snprintf(event.role, sizeof event.role, "%s", role_of(&e, event.kind));
    snprintf(event.who, sizeof event.who, "%.79s", worker[0] ? worker : e.id);
    snprintf(event.event, sizeof event.event, "%s", e.event);
    fields_text(trace, &e, text);
    return add(trace, &event, text);
}

int pl_trace_news(struct pl_trace *trace, const struct pl_news *news)
{
    struct pl_trace_event event = {.at_s = news->at_s, .level = "info", .role = "redis"};
    char group[64];

    if (strcmp(news->group, trace->group) != 0 &&
        (news->group[0] || strcmp(news->batch, trace->batch) != 0) &&
        strcmp(news->event, "quarantined") != 0)
        return PL_OK;
    snprintf(event.event, sizeof event.event, "%s", news->event);
    snprintf(group, sizeof group, "group=%s ", trace->group); /* nobody needs to be told */
    return add(trace, &event,
               news->text + (strncmp(news->text, group, strlen(group)) == 0 ? strlen(group) : 0));
}

/* ---- putting in order ---- */

static int by_time(const void *a, const void *b)
{
    const struct pl_trace_event *x = a, *y = b;

    if (x->at_s != y->at_s)
        return x->at_s < y->at_s ? -1 : 1;
    if (x->kind != y->kind && x->kind >= PL_TRACE_FED && y->kind >= PL_TRACE_FED)
        return (int)x->kind - (int)y->kind;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool same_who(const struct pl_trace_event *a, const struct pl_trace_event *b)
{
    return strcmp(a->who, b->who) == 0;
}

/* Whether `e` cannot be before some `cause`. */
static bool follows(const struct pl_trace_event *e, const struct pl_trace_event *cause)
{
    switch (e->kind) {
    case PL_TRACE_LEASED:
        return cause->kind == PL_TRACE_FED;
    case PL_TRACE_FINISHED:
        return cause->kind == PL_TRACE_LEASED && same_who(e, cause);
    case PL_TRACE_TAKEN:
        return cause->kind == PL_TRACE_FINISHED;
    case PL_TRACE_SCORED:
        return cause->kind == PL_TRACE_TAKEN && same_who(e, cause);
    case PL_TRACE_READY:
        return cause->kind == PL_TRACE_SCORED;
    case PL_TRACE_TRAINED:
        return cause->kind == PL_TRACE_READY;
    case PL_TRACE_RETIRED:
        return cause->kind == PL_TRACE_TRAINED;
    default:
        return false;
    }
}

/* What has no cause before it, but one behind it, goes behind that one. */
static void mend_order(struct pl_trace *t)
{
    size_t moves = t->count * 8;

    for (size_t i = 0; i < t->count && moves > 0; i++) {
        struct pl_trace_event e = t->events[i];
        bool before = false;
        size_t cause = 0;

        for (size_t k = 0; k < i; k++)
            before = before || follows(&e, &t->events[k]);
        for (size_t k = i + 1; k < t->count && !before && cause == 0; k++)
            cause = follows(&e, &t->events[k]) ? k : 0;
        if (cause == 0)
            continue;
        e.early_s = t->events[cause].at_s - e.at_s;
        memmove(t->events + i, t->events + i + 1, (cause - i) * sizeof e);
        t->events[cause] = e;
        moves--;
        i--; /* another stands here now; at least 0 again after the loop's step */
    }
}

static void drop(struct pl_trace *t, size_t i)
{
    free(t->events[i].text);
    memmove(t->events + i, t->events + i + 1, (t->count - i - 1) * sizeof *t->events);
    t->count--;
}

/* "rewarder-1.2" is a thread of "rewarder-1". */
static bool is_of(const char *thread, const char *worker)
{
    const size_t len = strlen(worker);

    return len > 0 && strncmp(thread, worker, len) == 0 && (!thread[len] || thread[len] == '.');
}

static bool has_lease(const struct pl_trace_event *e)
{
    return e->kind == PL_TRACE_LEASED || e->kind == PL_TRACE_TAKEN;
}

static bool ends_lease(const struct pl_trace_event *e)
{
    return e->kind == PL_TRACE_GONE || e->kind == PL_TRACE_FINISHED || e->kind == PL_TRACE_SCORED ||
           e->kind == PL_TRACE_REFUSED;
}

/* Whether a worker begins or ends while it has the group. */
static bool matters(const struct pl_trace *t, const struct pl_trace_event *e)
{
    bool holds = false;

    for (size_t i = 0; i < t->count && &t->events[i] != e; i++)
        if (is_of(t->events[i].who, e->who))
            holds = has_lease(&t->events[i]) || (holds && !ends_lease(&t->events[i]));
    return holds;
}

static bool names_a_holder(const struct pl_trace *t, const struct pl_trace_event *e)
{
    for (size_t i = 0; i < t->count; i++) {
        char actor[96];

        if (t->events[i].kind != PL_TRACE_LEASED)
            continue;
        snprintf(actor, sizeof actor, "actor=%s", t->events[i].who);
        if (strstr(e->text, actor) || (e->who[0] && strcmp(e->who, t->events[i].who) == 0))
            return true;
    }
    return false;
}

/* The stream says once more what a program has logged. */
static bool is_said(const struct pl_trace *t, const struct pl_trace_event *e)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->events[i].role, "redis") != 0 && strcmp(t->events[i].event, e->event) == 0 &&
            strcmp(e->event, "ready") != 0)
            return true;
    return false;
}

static void leave_out(struct pl_trace *t)
{
    for (size_t i = t->count; i-- > 0;) {
        const struct pl_trace_event *e = &t->events[i];
        const bool life = e->kind == PL_TRACE_START || e->kind == PL_TRACE_END;
        const bool barred = strncmp(e->event, "quarantine", strlen("quarantine")) == 0;

        if ((life && !matters(t, e)) || (barred && !names_a_holder(t, e)) ||
            (strcmp(e->role, "redis") == 0 && !barred && is_said(t, e)))
            drop(t, i);
    }
}

/* ---- what follows ---- */

__attribute__((format(printf, 2, 3))) static void note(struct pl_trace *t, const char *format, ...)
{
    va_list args;

    if (t->note_count == PL_TRACE_NOTES)
        return;
    va_start(args, format);
    vsnprintf(t->notes[t->note_count++], sizeof t->notes[0], format, args);
    va_end(args);
}

/* A lease: whether and how it came to nothing, said where another one follows it. */
static void judge_lease(struct pl_trace *t, size_t at)
{
    const struct pl_trace_event *lease = &t->events[at];
    const char *did = lease->kind == PL_TRACE_LEASED ? "sample" : "score";

    for (size_t i = at + 1; i < t->count; i++) {
        const struct pl_trace_event *e = &t->events[i];

        if (e->kind == PL_TRACE_START && is_of(lease->who, e->who)) {
            note(
                t,
                "%s did not %s it: it was started again %.1f s after it had leased it, and had not "
                "said that it ends.",
                lease->who, did, e->at_s - lease->at_s);
            return;
        }
        if (e->kind == PL_TRACE_END && is_of(lease->who, e->who)) {
            note(t, "%s did not %s it: it ended.", lease->who, did);
            return;
        }
        if (same_who(e, lease) && ends_lease(e)) {
            if (e->kind == PL_TRACE_GONE)
                note(t, "%s did not %s it: %s, %.1f s after it had leased it.", lease->who, did,
                     strcmp(e->event, "returned") == 0 ? "it gave it back"
                     : strcmp(e->event, "lost") == 0
                         ? "it did not renew its lease, and another took it"
                     : strcmp(e->event, "buried") == 0 ? "it was given up"
                                                       : "it is quarantined",
                     e->at_s - lease->at_s);
            return;
        }
        if (e->kind == lease->kind) {
            note(t, "%s did not %s it: nothing more is heard of it; %s leased it %.1f s later.",
                 lease->who, did, same_who(e, lease) ? "the same one" : e->who,
                 e->at_s - lease->at_s);
            return;
        }
    }
}

static void take_notes(struct pl_trace *t)
{
    size_t fed = 0;

    t->note_count = t->leases = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct pl_trace_event *e = &t->events[i];

        t->leases += e->kind == PL_TRACE_LEASED;
        if (e->kind == PL_TRACE_FED && ++fed > 1)
            note(t, "It was fed once more: Redis had lost it, or what was made of it was refused.");
        if (has_lease(e))
            judge_lease(t, i);
        if ((e->kind == PL_TRACE_FINISHED || e->kind == PL_TRACE_SCORED) && !e->done)
            note(t, "What %s made of it came late, and changed nothing.", e->who);
        if (e->early_s > CLOCKS_S)
            note(t, "The clock of %s is at least %.3f s behind that of what came before.",
                 e->who[0] ? e->who : e->role, e->early_s);
    }
}

/* The last of a kind before `end`; of `who`, where it is not NULL. count: there is none. */
static size_t last_before(const struct pl_trace *t, size_t end, enum pl_trace_kind kind,
                          const char *who)
{
    for (size_t i = end; i-- > 0;) {
        const struct pl_trace_event *e = &t->events[i];
        const bool counts = (kind != PL_TRACE_FINISHED && kind != PL_TRACE_SCORED) || e->done;

        if (e->kind == kind && counts && (!who || strcmp(e->who, who) == 0))
            return i;
    }
    return t->count;
}

/* From the last stage that was reached backwards. */
static void take_spans(struct pl_trace *t)
{
    static const struct {
        enum pl_trace_kind kind;
        const char *what; /* from the stage before to this one */
        bool same;        /* the one before is of the same worker */
    } stages[] = {
        {PL_TRACE_FED, "", false},
        {PL_TRACE_LEASED, "waited for an actor", false},
        {PL_TRACE_FINISHED, "was sampled", true},
        {PL_TRACE_TAKEN, "waited for a rewarder", false},
        {PL_TRACE_SCORED, "was scored", true},
        {PL_TRACE_READY, "waited for its batch and the learner", false},
        {PL_TRACE_TRAINED, "was trained on", false},
        {PL_TRACE_RETIRED, "waited for a checkpoint", false},
    };
    enum { STAGES = sizeof stages / sizeof *stages };
    size_t found[STAGES], end = t->count;

    t->span_count = 0;
    for (size_t s = STAGES; s-- > 0;) {
        const bool same = s + 1 < STAGES && stages[s + 1].same && found[s + 1] < t->count;

        found[s] = last_before(t, end, stages[s].kind, same ? t->events[found[s + 1]].who : NULL);
        end = found[s] < t->count ? found[s] : end;
    }
    for (size_t s = 1; s < STAGES; s++) {
        struct pl_trace_span *span = &t->spans[t->span_count];

        if (found[s] == t->count || found[s - 1] == t->count)
            continue;
        span->what = stages[s].kind == PL_TRACE_TRAINED && t->batch[0] == 'e' ? "was evaluated"
                                                                              : stages[s].what;
        snprintf(span->who, sizeof span->who, "%s", stages[s].same ? t->events[found[s]].who : "");
        span->seconds = t->events[found[s]].at_s - t->events[found[s - 1]].at_s;
        if (span->seconds < 0.0 && span->seconds > -CLOCKS_S)
            span->seconds = 0.0;
        t->span_count++;
    }
}

void pl_trace_conclude(struct pl_trace *trace)
{
    if (trace->count > 0)
        qsort(trace->events, trace->count, sizeof *trace->events, by_time);
    mend_order(trace);
    leave_out(trace);
    take_notes(trace);
    take_spans(trace);
}
