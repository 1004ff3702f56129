#include "deploy/view/trace_page.h"

#include "common/base/file.h"
#include "common/base/logfmt.h"
#include "common/text/safe.h"
#include "deploy/view/lines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 64 << 20, STAMP = 32, SAMPLES_SHOWN = 32 };

bool pl_trace_page_is_empty(const struct pl_trace_page *page)
{
    return page->trace->count == 0 && !(page->redis && page->lookup.state[0]) && !page->dead[0] &&
           !page->samples;
}

/* ---- its samples ---- */

int pl_trace_page_samples(const char *path, const char *group, json_t **ret_samples,
                          struct pl_error *err)
{
    struct pl_lines lines;
    const char *line;
    char start[80];
    size_t len;
    int rc;

    if (!pl_path_exists(path))
        return PL_OK;
    snprintf(start, sizeof start, "\"%s\"", group);
    rc = pl_lines_open(path, LINE_MAX_BYTES, &lines, err);
    while (rc == PL_OK && (rc = pl_lines_next(&lines, &line, &len, err)) == 1) {
        json_t *sample = strstr(line, start) ? json_loadb(line, len, 0, NULL) : NULL;
        const char *id = json_string_value(json_object_get(sample, "group"));

        rc = PL_OK;
        if (id && strcmp(id, group) == 0) {
            if (!*ret_samples)
                *ret_samples = json_array();
            if (json_array_append(*ret_samples, sample) != 0)
                rc = pl_fail(err, PL_ENOMEM, "no memory for the samples of group %s", group);
        }
        json_decref(sample);
    }
    pl_lines_close(&lines);
    return rc;
}

/* ---- where it is ---- */

static void waits(const struct pl_trace_page *p, const char *doing, const char *whom, char *text,
                  size_t size)
{
    char queued[PL_HUMAN_MAX], silent[PL_HUMAN_MAX];
    const struct pl_lookup *l = &p->lookup;

    pl_human_seconds(queued, fmax(0.0, l->queued_s));
    pl_human_seconds(silent, fmax(0.0, l->silent_s));
    if (l->leased)
        snprintf(text, size, "%s has it to %s: delivery %llu, renewed %s ago, queued for %s",
                 l->owner, doing, (unsigned long long)l->deliveries, silent, queued);
    else
        snprintf(text, size, "it waits for %s, for %s by now", whom, queued);
}

static void is_scored(const struct pl_trace_page *p, char *text, size_t size)
{
    const struct pl_lookup_batch *b = &p->lookup.batch;
    const unsigned long long arrived = b->arrived, expected = b->expected, dropped = b->dropped;

    if (strcmp(b->state, "open") == 0)
        snprintf(text, size,
                 "it is scored, and waits for its batch: %llu of %llu groups are, %llu dropped",
                 arrived, expected, dropped);
    else if (strcmp(b->state, "ready") == 0)
        snprintf(text, size,
                 "it is scored, and its batch is ready for the learner or trained and not yet in a "
                 "checkpoint; the gate is %s",
                 b->gate == 1 ? "open" : "shut");
    else
        snprintf(text, size,
                 "it is scored and its batch is complete; its gate waits for the batch before");
}

static bool is_retired(const struct pl_trace *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->events[i].kind == PL_TRACE_RETIRED)
            return true;
    return false;
}

void pl_trace_page_now(const struct pl_trace_page *page, char *text, size_t size)
{
    const struct pl_lookup *l = &page->lookup;

    if (!page->redis && is_retired(page->trace))
        snprintf(text, size, "its batch is %s and in a checkpoint, as the logs have it",
                 page->trace->batch[0] == 'e' ? "evaluated" : "trained");
    else if (!page->redis)
        snprintf(text, size, "not known: %s", page->redis_why);
    else if (l->batch.retired)
        snprintf(text, size, "its batch is trained or evaluated, and in a checkpoint%s",
                 page->dead[0] ? "; it was among the dead" : "");
    else if (strcmp(l->state, "prompt") == 0)
        waits(page, "sample", "an actor", text, size);
    else if (strcmp(l->state, "rollout") == 0)
        waits(page, "score", "a rewarder", text, size);
    else if (strcmp(l->state, "scored") == 0)
        is_scored(page, text, size);
    else if (strcmp(l->state, "dead") == 0)
        snprintf(text, size, "it is dead, and its batch goes on without it: %s",
                 page->dead[0] ? page->dead : "its entry was dropped by hand");
    else
        snprintf(text, size, "Redis does not have it%s",
                 l->batch.state[0]  ? ": it is to be fed again"
                 : !l->run_state[0] ? ": the run has not begun there, or Redis was emptied"
                                    : ": its batch is not fed yet, or Redis was emptied");
}

/* ---- for people ---- */

static const char *stamp(char text[STAMP], double at_s, bool date)
{
    const long long ms = llround(1e3 * at_s);
    const time_t whole = (time_t)(ms / 1000);
    struct tm tm;
    size_t used;

    gmtime_r(&whole, &tm);
    used = strftime(text, STAMP, date ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &tm);
    snprintf(text + used, STAMP - used, ".%03dZ", (int)(ms % 1000));
    return text;
}

static const char *safe(struct pl_buf *buf, const char *text)
{
    pl_buf_clear(buf);
    if (pl_text_safe(text, strlen(text), false, buf) < 0 || !buf->data)
        return "";
    return buf->data;
}

static int add_event(struct pl_table *table, const struct pl_trace_event *e, double before_s)
{
    const char *const texts[] = {e->role, e->who, e->event, e->text};
    struct pl_buf bufs[4];
    char at[STAMP], after[48] = "";
    const char *cells[6];
    int rc;

    if (!isnan(before_s))
        snprintf(after, sizeof after, "%+.3f", e->at_s - before_s);
    cells[0] = stamp(at, e->at_s, false);
    cells[1] = after;
    for (size_t i = 0; i < 4; i++) {
        pl_buf_init(&bufs[i], 1 << 14);
        cells[2 + i] = safe(&bufs[i], texts[i]);
    }
    rc = pl_table_add(table, cells);
    for (size_t i = 0; i < 4; i++)
        pl_buf_release(&bufs[i]);
    return rc;
}

/* A table into a buffer. */
static int put_table(struct pl_table *table, enum pl_color color, struct pl_buf *buf)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc = out ? pl_table_print(table, out, color) : PL_ENOMEM;

    if (out && fclose(out) != 0)
        rc = PL_ENOMEM;
    if (rc == PL_OK)
        rc = pl_buf_append(buf, text, len);
    free(text);
    return rc;
}

static int print_events(const struct pl_trace_page *p, enum pl_color color, struct pl_buf *buf)
{
    static const char *const heading[] = {"time", "after", "role", "worker", "event", ""};
    const struct pl_trace *t = p->trace;
    struct pl_table table;
    char at[STAMP];
    int rc;

    if (t->count == 0)
        return pl_buf_puts(buf, "\nThe logs do not have it.\n");
    pl_table_init(&table, "lrllll");
    rc = pl_buf_printf(buf, "\n%s (UTC)\n", stamp(at, t->events[0].at_s, true));
    if (rc == PL_OK)
        rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < t->count; i++)
        rc = add_event(&table, &t->events[i], i > 0 ? t->events[i - 1].at_s : NAN);
    if (rc == PL_OK)
        rc = put_table(&table, color, buf);
    pl_table_release(&table);
    return rc;
}

static int print_spans(const struct pl_trace_page *p, struct pl_buf *buf)
{
    const struct pl_trace *t = p->trace;
    struct pl_buf who;
    double sum = 0.0;
    int rc = t->span_count > 0 ? pl_buf_puts(buf, "\n") : PL_OK;

    pl_buf_init(&who, 1 << 12);
    for (size_t i = 0; rc == PL_OK && i < t->span_count; i++) {
        const struct pl_trace_span *s = &t->spans[i];
        char text[PL_HUMAN_MAX];

        sum += s->seconds;
        rc = pl_buf_printf(buf, "%-38s %9s%s%s\n", s->what,
                           s->seconds < 0.0 ? "(clocks)" : pl_human_seconds(text, s->seconds),
                           s->who[0] ? "  by " : "", safe(&who, s->who));
    }
    if (rc == PL_OK && t->span_count > 1) {
        char text[PL_HUMAN_MAX];

        rc = pl_buf_printf(buf, "%-38s %9s\n", "in all", pl_human_seconds(text, fmax(sum, 0.0)));
    }
    pl_buf_release(&who);
    return rc;
}

static int print_notes(const struct pl_trace_page *p, struct pl_buf *buf)
{
    const struct pl_trace *t = p->trace;
    struct pl_buf text;
    int rc = PL_OK;

    if (t->leases > 1)
        rc = pl_buf_printf(buf, "\nIt was leased to actors %zu times.\n", t->leases);
    else if (t->note_count > 0)
        rc = pl_buf_puts(buf, "\n");
    pl_buf_init(&text, 1 << 12);
    for (size_t i = 0; rc == PL_OK && i < t->note_count; i++)
        rc = pl_buf_printf(buf, "%s\n", safe(&text, t->notes[i]));
    pl_buf_release(&text);
    return rc;
}

/* "2.50", or "-" where a sample does not say it. */
static const char *number(char text[32], const json_t *sample, const char *key)
{
    const json_t *value = json_object_get(sample, key);

    if (json_is_number(value))
        snprintf(text, 32, json_is_integer(value) ? "%.0f" : "%.4g", json_number_value(value));
    else
        snprintf(text, 32, "-");
    return text;
}

static int add_sample(struct pl_table *table, const json_t *s)
{
    static const char *const keys[] = {
        "sample", "reward", "reward_format", "reward_final", "reward_intermediate", "tokens"};
    const char *verdict = json_string_value(json_object_get(s, "verdict"));
    const char *actor = json_string_value(json_object_get(s, "actor"));
    char cells[6][32];
    struct pl_buf a, b;
    int rc;

    for (size_t i = 0; i < 6; i++)
        number(cells[i], s, keys[i]);
    pl_buf_init(&a, 1 << 12);
    pl_buf_init(&b, 1 << 12);
    rc = pl_table_add(table, (const char *const[]){cells[0], cells[1], cells[2], cells[3], cells[4],
                                                   cells[5], safe(&a, verdict ? verdict : "-"),
                                                   safe(&b, actor ? actor : "-")});
    pl_buf_release(&a);
    pl_buf_release(&b);
    return rc;
}

static int print_samples(const struct pl_trace_page *p, enum pl_color color, struct pl_buf *buf)
{
    static const char *const heading[] = {"sample",       "reward", "format",  "final",
                                          "intermediate", "tokens", "verdict", "actor"};
    const size_t count = json_array_size(p->samples);
    struct pl_table table;
    int rc;

    if (count == 0)
        return PL_OK;
    pl_table_init(&table, "rrrrrrll");
    rc = pl_buf_printf(buf, "\nresult, in %s:\n", p->rollouts);
    if (rc == PL_OK)
        rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < count && i < SAMPLES_SHOWN; i++)
        rc = add_sample(&table, json_array_get(p->samples, i));
    if (rc == PL_OK)
        rc = put_table(&table, color, buf);
    if (rc == PL_OK && count > SAMPLES_SHOWN)
        rc = pl_buf_printf(buf, "and %zu more\n", count - SAMPLES_SHOWN);
    pl_table_release(&table);
    return rc;
}

int pl_trace_page_print(const struct pl_trace_page *page, enum pl_color color, struct pl_buf *buf,
                        struct pl_error *err)
{
    struct pl_buf text;
    char now[1024];
    int rc = pl_buf_printf(buf, "group %s of run %s\n", page->trace->group, page->run);

    pl_buf_init(&text, 1 << 14);
    pl_trace_page_now(page, now, sizeof now);
    if (rc == PL_OK)
        rc = print_events(page, color, buf);
    if (rc == PL_OK)
        rc = print_spans(page, buf);
    if (rc == PL_OK)
        rc = print_notes(page, buf);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\nnow: %s.\n", safe(&text, now));
    if (rc == PL_OK && page->redis && page->lookup.text[0])
        rc = pl_buf_printf(buf, "its scores: %s\n", safe(&text, page->lookup.text));
    if (rc == PL_OK)
        rc = print_samples(page, color, buf);
    pl_buf_release(&text);
    return rc < 0 ? pl_fail(err, rc, "no memory to print the group") : PL_OK;
}

/* ---- for scripts ---- */

/* Text of others as a JSON string, whatever its bytes are. */
static json_t *word(const char *text)
{
    json_t *string = json_string(text);
    struct pl_buf buf;

    if (string)
        return string;
    pl_buf_init(&buf, 1 << 16);
    string = json_string(safe(&buf, text)); /* no UTF-8 */
    pl_buf_release(&buf);
    return string;
}

static json_t *fields_json(const char *text)
{
    json_t *fields = json_object();
    struct pl_logfmt_field f;
    char key[64], value[2048];

    while (pl_logfmt_next(&text, &f)) {
        if (f.key_len == 0)
            continue;
        snprintf(key, sizeof key, "%.*s", (int)f.key_len, f.key);
        pl_logfmt_value(&f, value, sizeof value);
        json_object_set_new(fields, key,
                            pl_logfmt_is_number(&f) ? json_real(strtod(value, NULL)) : word(value));
    }
    return fields;
}

static json_t *events_json(const struct pl_trace *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->count; i++) {
        const struct pl_trace_event *e = &t->events[i];
        char at[STAMP];

        json_array_append_new(
            list,
            json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "at", stamp(at, e->at_s, true),
                      "at_ms", (json_int_t)llround(1e3 * e->at_s), "after_s",
                      i > 0 ? json_real(e->at_s - t->events[i - 1].at_s) : json_null(), "role",
                      word(e->role), "worker", word(e->who), "level", word(e->level), "event",
                      word(e->event), "fields", fields_json(e->text)));
    }
    return list;
}

static json_t *now_json(const struct pl_trace_page *p)
{
    const struct pl_lookup *l = &p->lookup;
    char text[1024];

    pl_trace_page_now(p, text, sizeof text);
    if (!p->redis)
        return json_pack("{s:o, s:n}", "sentence", word(text), "state");
    return json_pack("{s:o, s:s, s:b, s:o, s:I, s:o, s:s, s:b, s:I, s:I, s:I, s:o}", "sentence",
                     word(text), "state", l->state, "leased", (int)l->leased, "owner",
                     l->leased ? word(l->owner) : json_null(), "deliveries",
                     (json_int_t)l->deliveries, "actor", l->actor[0] ? word(l->actor) : json_null(),
                     "batch_state", l->batch.state, "retired", (int)l->batch.retired, "expected",
                     (json_int_t)l->batch.expected, "arrived", (json_int_t)l->batch.arrived,
                     "dropped", (json_int_t)l->batch.dropped, "gate",
                     l->batch.gate < 0 ? json_null() : json_boolean(l->batch.gate));
}

json_t *pl_trace_page_json(const struct pl_trace_page *page)
{
    const struct pl_trace *t = page->trace;
    json_t *spans = json_array(), *notes = json_array();

    for (size_t i = 0; i < t->span_count; i++)
        json_array_append_new(spans,
                              json_pack("{s:s, s:f, s:o}", "what", t->spans[i].what, "seconds",
                                        t->spans[i].seconds, "worker",
                                        t->spans[i].who[0] ? word(t->spans[i].who) : json_null()));
    for (size_t i = 0; i < t->note_count; i++)
        json_array_append_new(notes, word(t->notes[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:O?, s:{s:I, s:I}}", "run",
                     page->run, "group", t->group, "batch", t->batch, "now", now_json(page),
                     "events", events_json(t), "stages", spans, "notes", notes, "leases",
                     (json_int_t)t->leases, "samples", page->samples, "logs", "lines",
                     (json_int_t)t->lines, "passed_over", (json_int_t)t->passed_over);
}
