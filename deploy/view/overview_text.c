/* An overview as text and as JSON (overview.h). */
#include "deploy/view/overview.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- for people ---- */

enum { CELL = 96, COLUMNS_MAX = 8 };

/* "  reward 0.43", or nothing where it is not known. */
static int put_number(struct pl_buf *buf, const char *name, int decimals, double value)
{
    return isfinite(value) ? pl_buf_printf(buf, "  %s %.*f", name, decimals, value) : PL_OK;
}

static int print_head(const struct pl_overview *o, const struct pl_style *style, struct pl_buf *buf)
{
    const bool at_work = o->redis && o->survey.learner && !o->finished;
    char phase[64], eta[PL_HUMAN_MAX], each[PL_HUMAN_MAX], tokens[PL_HUMAN_MAX];
    int rc = pl_buf_printf(buf, "%s%s%s: %s, step %llu of %llu", style->bold, o->name, style->reset,
                           pl_overview_state(o), (unsigned long long)o->step,
                           (unsigned long long)o->steps);

    pl_overview_phase(o, phase, sizeof phase);
    if (rc == PL_OK && at_work && phase[0])
        rc = pl_buf_printf(buf, " (%s)", phase);
    if (rc == PL_OK && isfinite(o->step_s))
        rc = pl_buf_printf(buf, ", %s a step", pl_human_seconds(each, o->step_s));
    if (rc == PL_OK && at_work && isfinite(o->eta_s) && o->step < o->steps)
        rc = pl_buf_printf(buf, ", ETA %s", pl_human_seconds(eta, o->eta_s));
    if (rc == PL_OK && o->moving && isfinite(o->tokens_per_s))
        rc = pl_buf_printf(buf, ", %s tok/s", pl_human_count(tokens, o->tokens_per_s));
    if (rc == PL_OK && o->redis && o->survey.life > 1)
        rc = pl_buf_printf(buf, ", life %llu", (unsigned long long)o->survey.life);
    return rc == PL_OK ? pl_buf_puts(buf, "\n") : rc;
}

static int print_metrics(const struct pl_overview *o, struct pl_buf *buf)
{
    static const struct {
        const char *name, *key;
        int decimals;
    } rows[] = {
        {"reward", "critic/score/mean", 2},       {"accuracy", "interleave/accuracy", 3},
        {"format", "interleave/format_ok", 3},    {"ttfa", "interleave/ttfa", 3},
        {"length", "response_length/mean", 1},    {"gate", "interleave/gate", 0},
        {"no signal", "frac_reward_zero_std", 2},
    };
    int rc = PL_OK;

    if (!o->last)
        return PL_OK;
    rc = pl_buf_printf(buf, "last step ");
    for (size_t i = 0; rc == PL_OK && i < sizeof rows / sizeof *rows; i++)
        rc = put_number(buf, rows[i].name, rows[i].decimals,
                        pl_history_number(o->last, rows[i].key));
    return rc == PL_OK ? pl_buf_puts(buf, "\n") : rc;
}

static int print_evals(const struct pl_overview *o, struct pl_buf *buf)
{
    const struct pl_history_eval *last, *best;
    int rc;

    if (o->eval_count == 0)
        return PL_OK;
    last = &o->evals[o->eval_count - 1];
    best = pl_overview_best(o);
    rc = pl_buf_printf(buf, "evaluation  after step %llu", (unsigned long long)last->step);
    if (rc == PL_OK)
        rc = put_number(buf, "accuracy", 3, last->accuracy);
    if (rc == PL_OK)
        rc = put_number(buf, "format", 3, last->format);
    if (rc == PL_OK)
        rc = put_number(buf, "ttfa", 3, last->ttfa);
    if (rc == PL_OK && best && best->accuracy != last->accuracy)
        rc = pl_buf_printf(buf, "  (best %.3f, after step %llu)", best->accuracy,
                           (unsigned long long)best->step);
    return rc == PL_OK ? pl_buf_puts(buf, "\n") : rc;
}

/* A table into a buffer. */
static int put_table(struct pl_table *table, const struct pl_style *style, struct pl_buf *buf)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc = out ? pl_table_print(table, out, style->bold[0] ? PL_COLOR_ALWAYS : PL_COLOR_NEVER)
                 : PL_ENOMEM;

    if (out && fclose(out) != 0)
        rc = PL_ENOMEM;
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "\n");
    if (rc == PL_OK)
        rc = pl_buf_append(buf, text, len);
    free(text);
    return rc;
}

static int add_row(struct pl_table *table, char cells[COLUMNS_MAX][CELL])
{
    const char *list[COLUMNS_MAX];

    for (size_t i = 0; i < COLUMNS_MAX; i++)
        list[i] = cells[i];
    return pl_table_add(table, list);
}

static int print_batches(const struct pl_overview *o, const struct pl_style *style,
                         struct pl_buf *buf)
{
    static const char *const heading[] = {"batch",   "wanted",   "sampled", "scored",
                                          "dropped", "accuracy", "gate",    "state"};
    struct pl_table table;
    int rc;

    if (o->survey.batch_count == 0)
        return PL_OK;
    pl_table_init(&table, "lrrrrrrl");
    rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < o->survey.batch_count; i++) {
        const struct pl_survey_batch *b = &o->survey.batches[i];
        char cells[COLUMNS_MAX][CELL];

        snprintf(cells[0], CELL, "%s", b->name);
        snprintf(cells[1], CELL, "%llu", (unsigned long long)b->expected);
        snprintf(cells[2], CELL, "%llu", (unsigned long long)(b->rollouts + b->scored));
        snprintf(cells[3], CELL, "%llu", (unsigned long long)b->scored);
        snprintf(cells[4], CELL, "%llu", (unsigned long long)b->dead);
        snprintf(cells[5], CELL, "-");
        if (b->samples > 0)
            snprintf(cells[5], CELL, "%.3f", (double)b->right / (double)b->samples);
        snprintf(cells[6], CELL, "%s", b->gate < 0 ? "-" : b->gate ? "open" : "shut");
        snprintf(cells[7], CELL, "%s", b->state);
        rc = add_row(&table, cells);
    }
    if (rc == PL_OK)
        rc = put_table(&table, style, buf);
    pl_table_release(&table);
    return rc;
}

/* The longest that something leased is there, and was not renewed. */
static void spans(const struct pl_overview *o, enum pl_queue queue, char oldest[CELL],
                  char silent[CELL])
{
    char text[PL_HUMAN_MAX];
    double most, quiet;

    pl_overview_leases(o, queue, &most, &quiet);
    snprintf(oldest, CELL, "%s", most < 0 ? "-" : pl_human_seconds(text, most));
    snprintf(silent, CELL, "%s", quiet < 0 ? "-" : pl_human_seconds(text, quiet));
}

/* fed = trained + dropped + in the queues + scored + parked. */
static int print_ledger(const struct pl_overview *o, const struct pl_style *style,
                        struct pl_buf *buf)
{
    const struct pl_ledger *l = &o->survey.ledger;
    const bool wrong = o->survey.ledger_exact && !l->balanced;

    return pl_buf_printf(
        buf,
        "groups: %llu fed = %llu trained or evaluated + %llu dropped + %llu queued + %llu scored + "
        "%llu parked%s%s%s\nready batches: %llu\n",
        (unsigned long long)l->fed, (unsigned long long)l->trained, (unsigned long long)l->dropped,
        (unsigned long long)(l->queued + l->leased + l->rolled + l->scoring),
        (unsigned long long)l->scored, (unsigned long long)l->parked, wrong ? style->red : "",
        wrong ? ": it does not balance" : "", wrong ? style->reset : "",
        (unsigned long long)l->ready);
}

static int print_queues(const struct pl_overview *o, const struct pl_style *style,
                        struct pl_buf *buf)
{
    static const char *const heading[COLUMNS_MAX] = {"queue", "waiting", "leased", "oldest lease",
                                                     "not renewed for"};
    const struct pl_ledger *l = &o->survey.ledger;
    const struct {
        const char *name;
        uint64_t waiting, leased;
    } rows[] = {{"prompts", l->queued, l->leased}, {"rollouts", l->rolled, l->scoring}};
    char cells[COLUMNS_MAX][CELL];
    struct pl_table table;
    int rc;

    pl_table_init(&table, "lrrrr");
    rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < 2; i++) {
        snprintf(cells[0], CELL, "%s", rows[i].name);
        snprintf(cells[1], CELL, "%llu", (unsigned long long)rows[i].waiting);
        snprintf(cells[2], CELL, "%llu", (unsigned long long)rows[i].leased);
        spans(o, (enum pl_queue)i, cells[3], cells[4]);
        rc = add_row(&table, cells);
    }
    if (rc == PL_OK)
        rc = put_table(&table, style, buf);
    pl_table_release(&table);
    if (rc == PL_OK)
        rc = print_ledger(o, style, buf);
    for (size_t i = 0; rc == PL_OK && i < o->survey.reason_count; i++)
        rc = pl_buf_printf(buf, "%sdropped %llu: %s%s\n", style->red,
                           (unsigned long long)o->survey.reasons[i].count,
                           o->survey.reasons[i].text, style->reset);
    for (size_t i = 0; rc == PL_OK && i < o->survey.barred_count; i++)
        rc = pl_buf_printf(buf, "%squarantined %s: %s%s\n", style->red, o->survey.barred[i].actor,
                           o->survey.barred[i].reason, style->reset);
    return rc;
}

static void worker_cells(const struct pl_overview *o, const struct pl_survey_worker *w,
                         char cells[COLUMNS_MAX][CELL])
{
    const uint64_t newest = o->survey.version;
    char text[PL_HUMAN_MAX];

    snprintf(cells[0], CELL, "%s", w->name);
    snprintf(cells[1], CELL, "%s", w->role);
    snprintf(cells[2], CELL, "%s ago", pl_human_seconds(text, pl_overview_beat_s(o, w)));
    snprintf(cells[3], CELL, "-");
    snprintf(cells[4], CELL, "-");
    if (w->version > 0) {
        snprintf(cells[3], CELL, "%llu", (unsigned long long)w->version);
        snprintf(cells[4], CELL, "%llu",
                 (unsigned long long)(newest > w->version ? newest - w->version : 0));
    }
    snprintf(cells[5], CELL, "%llu", (unsigned long long)w->groups);
    snprintf(cells[6], CELL, "%s",
             isfinite(w->tokens_per_s) ? pl_human_count(text, w->tokens_per_s) : "-");
}

static int print_workers(const struct pl_overview *o, const struct pl_style *style,
                         struct pl_buf *buf)
{
    static const char *const heading[COLUMNS_MAX] = {"worker", "role",   "last beat", "version",
                                                     "lag",    "groups", "tok/s"};
    struct pl_table table;
    size_t others = 0;
    int rc;

    for (size_t i = 0; i < o->survey.worker_count; i++)
        others += strcmp(o->survey.workers[i].role, "learner") != 0;
    if (others == 0)
        return pl_buf_puts(buf, "\nNo actor and no rewarder is alive.\n");
    pl_table_init(&table, "llrrrrr");
    rc = pl_table_add(&table, heading);
    for (size_t i = 0; rc == PL_OK && i < o->survey.worker_count; i++) {
        char cells[COLUMNS_MAX][CELL];

        worker_cells(o, &o->survey.workers[i], cells);
        rc = add_row(&table, cells);
    }
    if (rc == PL_OK)
        rc = put_table(&table, style, buf);
    pl_table_release(&table);
    return rc;
}

int pl_overview_print(const struct pl_overview *overview, const struct pl_style *style,
                      struct pl_buf *buf)
{
    const struct pl_overview *o = overview;
    int rc = print_head(o, style, buf);

    if (rc == PL_OK)
        rc = print_metrics(o, buf);
    if (rc == PL_OK)
        rc = print_evals(o, buf);
    if (rc == PL_OK && !o->redis)
        rc = pl_buf_printf(buf, "\n%s%s%s\n", o->finished ? style->dim : style->red, o->redis_why,
                           style->reset);
    if (rc == PL_OK && o->redis)
        rc = print_batches(o, style, buf);
    if (rc == PL_OK && o->redis)
        rc = print_queues(o, style, buf);
    if (rc == PL_OK && o->redis)
        rc = print_workers(o, style, buf);
    for (size_t i = 0; rc == PL_OK && i < o->warning_count; i++)
        rc = pl_buf_printf(buf, "%s%swarning: %s%s\n", i == 0 ? "\n" : "", style->red,
                           o->warnings[i], style->reset);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\n%swaited for:%s %s\n", style->bold, style->reset, o->bottleneck);
    return rc;
}

/* ---- for scripts ---- */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *batch_json(const struct pl_survey_batch *b)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "batch", b->name,
                     "state", b->state, "wanted", count(b->expected), "prompts", count(b->prompts),
                     "rollouts", count(b->rollouts), "scored", count(b->scored), "dead",
                     count(b->dead), "samples", count(b->samples), "right", count(b->right),
                     "formatted", count(b->formatted), "gate",
                     b->gate < 0 ? json_null() : json_boolean(b->gate));
}

static json_t *holder_json(const struct pl_survey_holder *h)
{
    return json_pack("{s:s, s:s, s:o, s:f, s:f}", "queue",
                     h->queue == PL_QUEUE_PROMPTS ? "prompts" : "rollouts", "worker", h->worker,
                     "count", count(h->count), "oldest_s", h->oldest_s, "not_renewed_s",
                     h->silent_s);
}

static json_t *worker_json(const struct pl_overview *o, const struct pl_survey_worker *w)
{
    const uint64_t newest = o->survey.version;

    return json_pack("{s:s, s:s, s:f, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:s}",
                     "worker", w->name, "role", w->role, "last_beat_s", pl_overview_beat_s(o, w),
                     "version", w->version ? count(w->version) : json_null(), "lag",
                     w->version ? count(newest > w->version ? newest - w->version : 0)
                                : json_null(),
                     "groups", count(w->groups), "tokens_per_s", real(w->tokens_per_s), "host",
                     w->host, "pid", w->pid ? count(w->pid) : json_null(), "rss_bytes",
                     w->rss_bytes ? count(w->rss_bytes) : json_null(), "up_s",
                     w->since_s > 0.0 ? real(fmax(0.0, o->survey.now_s - w->since_s)) : json_null(),
                     "restarts", w->restarts < 0 ? json_null() : json_integer(w->restarts), "http",
                     w->http, "build", w->build);
}

static json_t *learner_json(const struct pl_survey *s)
{
    const struct pl_survey_learner *p = &s->presence;

    if (!s->learner)
        return json_null();
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "name", p->name, "host",
                     p->host, "pid", count(p->pid), "phase", p->phase, "phase_s", real(p->phase_s),
                     "step", count(p->step), "saved_step", count(p->saved_step), "saved_s",
                     real(p->saved_s), "why", p->why, "beat", count(p->beat));
}

static json_t *survey_json(const struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    const struct pl_ledger *l = &s->ledger;
    json_t *batches = json_array(), *holders = json_array(), *workers = json_array();
    json_t *reasons = json_object(), *barred = json_object(), *parked = json_array();

    for (size_t i = 0; i < s->batch_count; i++)
        json_array_append_new(batches, batch_json(&s->batches[i]));
    for (size_t i = 0; i < s->holder_count; i++)
        json_array_append_new(holders, holder_json(&s->holders[i]));
    for (size_t i = 0; i < s->worker_count; i++)
        json_array_append_new(workers, worker_json(o, &s->workers[i]));
    for (size_t i = 0; i < s->reason_count; i++)
        json_object_set_new(reasons, s->reasons[i].text, count(s->reasons[i].count));
    for (size_t i = 0; i < s->barred_count; i++)
        json_object_set_new(barred, s->barred[i].actor, json_string(s->barred[i].reason));
    for (size_t i = 0; i < s->parked_count; i++)
        json_array_append_new(parked, json_string(s->parked[i].group));
    return json_pack(
        "{s:s, s:b, s:o, s:s, s:o, s:s, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o}",
        "state", s->state, "learner_connected", (int)s->learner, "learner", learner_json(s),
        "run_id", s->run_id, "life", count(s->life), "build", s->build, "version",
        count(s->version), "groups", "fed", count(l->fed), "trained", count(l->trained), "dropped",
        count(l->dropped), "prompts_waiting", count(l->queued), "prompts_leased", count(l->leased),
        "rollouts_waiting", count(l->rolled), "rollouts_leased", count(l->scoring), "scored",
        count(l->scored), "ready_batches", count(l->ready), "dead", count(l->dead), "parked",
        count(l->parked), "astray", s->ledger_exact ? json_integer(s->astray) : json_null(),
        "parked", parked, "dropped_because", reasons, "quarantined", barred, "batches", batches,
        "leases", holders, "workers", workers);
}

static json_t *evals_json(const struct pl_overview *o)
{
    json_t *list = json_array();

    for (size_t i = 0; i < o->eval_count; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o, s:o}", "step", count(o->evals[i].step),
                                        "accuracy", real(o->evals[i].accuracy), "format_rate",
                                        real(o->evals[i].format), "ttfa", real(o->evals[i].ttfa)));
    return list;
}

json_t *pl_overview_json(const struct pl_overview *overview)
{
    const struct pl_overview *o = overview;
    json_t *warnings = json_array();

    for (size_t i = 0; i < o->warning_count; i++)
        json_array_append_new(warnings, json_string(o->warnings[i]));
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o}, "
        "s:o, s:O?, s:o, s:{s:s, s:s}}",
        "run", o->name, "dir", o->dir, "state", pl_overview_state(o), "moving", (int)o->moving,
        "needs_help", (int)pl_overview_needs_help(o), "warnings", warnings, "step", count(o->step),
        "steps", count(o->steps), "finished", json_boolean(o->finished), "eta_s", real(o->eta_s),
        "tokens_per_s", real(o->tokens_per_s), "recent", "clock_s_per_step", real(o->step_s),
        "step_s", real(o->pace.step_s), "wait_s", real(o->pace.wait_s), "tokens",
        real(o->pace.tokens), "redis",
        o->redis ? survey_json(o) : json_pack("{s:s}", "error", o->redis_why), "last_step", o->last,
        "evaluations", evals_json(o), "bottleneck", "who", pl_overview_who_name(o->who), "sentence",
        o->bottleneck);
}
