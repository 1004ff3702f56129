#include "deploy/plan/estimate.h"

#include "common/base/buf.h"

#include <math.h>
#include <unistd.h>

static const double BUSY = 0.1; /* share of waiting that is worth a word */

/* A cell of a table, and some of them in a row. */
enum { CELL = 96, CELLS = 10 };

struct line {
    char cells[CELLS][CELL];
    size_t count;
};

static char *cell(struct line *line)
{
    return line->cells[line->count++];
}

static void put(struct line *line, const char *text)
{
    snprintf(cell(line), CELL, "%s", text);
}

static void put_bytes(struct line *line, double bytes)
{
    char text[PL_HUMAN_MAX];

    put(line, bytes > 0.0 ? pl_human_bytes(text, (uint64_t)bytes) : "-");
}

/* As pl_human_seconds(), with years where days would be many. */
static const char *duration(char text[PL_HUMAN_MAX], double s)
{
    static const double YEAR_S = 365.25 * 86400.0, DAYS_S = 100.0 * 86400.0;

    if (s < DAYS_S)
        return pl_human_seconds(text, s);
    snprintf(text, PL_HUMAN_MAX, "%.3g years", fmin(s / YEAR_S, 1e9));
    return text;
}

static void put_seconds(struct line *line, double s)
{
    char text[PL_HUMAN_MAX];

    put(line, s > 0.0 ? duration(text, s) : "-");
}

/* Operations as "1.23 PFLOP". */
static void put_work(struct line *line, double flops)
{
    static const char *const units[] = {"MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"};
    size_t unit = 0;

    flops *= 1e-6;
    while (flops >= 1000.0 && unit + 1 < sizeof units / sizeof *units) {
        flops /= 1000.0;
        unit++;
    }
    if (flops > 0.0)
        snprintf(cell(line), CELL, "%.3g %s", flops, units[unit]);
    else
        put(line, "-");
}

static int add(struct pl_table *table, const struct line *line)
{
    const char *cells[CELLS] = {NULL};

    for (size_t i = 0; i < line->count; i++)
        cells[i] = line->cells[i];
    return pl_table_add(table, cells);
}

/* ---- memory ---- */

static int add_process(struct pl_table *table, const struct pl_footprint *f, enum pl_process p)
{
    struct line head = {0};
    int rc;

    put(&head, pl_process_name(p));
    if (f->processes[p] != 1)
        snprintf(head.cells[0], CELL, "%s, each of %zu", pl_process_name(p), f->processes[p]);
    put_bytes(&head, (double)f->bytes[p]);
    rc = add(table, &head);
    for (size_t i = 0; rc == PL_OK && i < f->count; i++) {
        const struct pl_footprint_row *row = &f->rows[i];
        struct line line = {0};

        if (row->process != p)
            continue;
        snprintf(cell(&line), CELL, "  %s%s%s", row->of, row->of[0] ? ": " : "", row->what);
        put_bytes(&line, (double)row->bytes);
        rc = add(table, &line);
    }
    return rc;
}

/* Settings that need less. */
static void print_less(const struct pl_estimate *e, FILE *out)
{
    char learner[PL_HUMAN_MAX], actor[PL_HUMAN_MAX];

    if (e->less.bytes[PL_PROCESS_LEARNER] < e->footprint.bytes[PL_PROCESS_LEARNER])
        fprintf(out,
                "With actor.enable_activation_recompute=true and the least "
                "actor.ppo_max_token_len, %zu, the learner takes %s.\n",
                e->less_rows, pl_human_bytes(learner, e->less.bytes[PL_PROCESS_LEARNER]));
    if (e->less.bytes[PL_PROCESS_ACTOR] < e->footprint.bytes[PL_PROCESS_ACTOR])
        fprintf(out, "With workers.actor_slots=%zu an actor takes %s.\n", e->conf->samples,
                pl_human_bytes(actor, e->less.bytes[PL_PROCESS_ACTOR]));
}

static int print_memory(const struct pl_estimate *e, FILE *out, enum pl_color color)
{
    const uint64_t total = pl_footprint_total(&e->footprint);
    const uint64_t usable = pl_machine_memory_usable(&e->machine);
    char all[PL_HUMAN_MAX], here[PL_HUMAN_MAX];
    struct pl_table table;
    int rc;

    pl_table_init(&table, "lr");
    rc = pl_table_add(&table, (const char *const[]){"memory", "at most"});
    for (enum pl_process p = 0; rc == PL_OK && p < PL_PROCESSES; p++)
        rc = add_process(&table, &e->footprint, p);
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, color);
    pl_table_release(&table);
    fprintf(out, "All processes of plait up on one machine: %s; this one has %s to give: %s.\n",
            pl_human_bytes(all, total), pl_human_bytes(here, usable),
            total <= usable ? "they fit" : "too little");
    if (total > usable)
        print_less(e, out);
    fprintf(out,
            "Redis wants a maxmemory of %s or more: over 60 %% of it the learner writes "
            "checkpoints early, with which trained batches go.\n",
            pl_human_bytes(all, pl_footprint_maxmemory(&e->footprint)));
    fprintf(out, "\n");
    return rc;
}

/* ---- a step ---- */

static const char *title(enum pl_cost part)
{
    static const char *const titles[PL_COSTS] = {
        "sampling: prompts",         "sampling: responses", "training: check of log-probabilities",
        "training: reference",       "training: values",    "training: critic's update",
        "training: policy's update", "training: optimiser", "training: publishing weights",
    };

    return titles[part];
}

static double all_s(const struct pl_estimate *e)
{
    double sum = 0.0;

    for (enum pl_cost part = 0; e->timed && part < PL_COSTS; part++)
        sum += pl_costs_part_s(&e->costs, &e->rates, part);
    return sum;
}

static int add_part(struct pl_table *table, const struct pl_estimate *e, enum pl_cost part)
{
    const struct pl_work *w = &e->costs.parts[part];
    const double work = w->forward + w->backward + w->attention + w->attention_backward;
    char rows[PL_HUMAN_MAX];
    struct line line = {0};

    if (work <= 0.0 && w->params <= 0.0)
        return PL_OK;
    put(&line, title(part));
    if (w->rows > 0.0)
        put(&line, pl_human_count(rows, w->rows));
    else
        snprintf(cell(&line), CELL, "%s weights", pl_human_count(rows, w->params));
    put_work(&line, work);
    if (work > 0.0)
        snprintf(cell(&line), CELL, "%.0f %%",
                 100.0 * (w->attention + w->attention_backward) / work);
    else
        put(&line, "-");
    if (e->timed) {
        const double s = pl_costs_part_s(&e->costs, &e->rates, part);

        put_seconds(&line, s);
        snprintf(cell(&line), CELL, "%.0f %%", 100.0 * s / all_s(e));
    }
    return add(table, &line);
}

static int print_step(const struct pl_estimate *e, FILE *out, enum pl_color color)
{
    const struct pl_costs *c = &e->costs;
    struct pl_table table;
    int rc;

    fprintf(out,
            "A step: %.0f prompts of %.0f tokens, %.0f responses each of %.0f tokens (the longest "
            "%.0f).\n",
            c->prompts, c->prompt, c->samples, c->response, c->longest);
    pl_table_init(&table, e->timed ? "lrrrrr" : "lrrr");
    rc = pl_table_add(&table, (const char *const[]){"part of a step", "tokens", "work", "attention",
                                                    "on one machine", "share"});
    for (enum pl_cost part = 0; rc == PL_OK && part < PL_COSTS; part++)
        rc = add_part(&table, e, part);
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, color);
    pl_table_release(&table);
    fprintf(out, "\n");
    return rc;
}

static void print_bytes(const struct pl_estimate *e, FILE *out)
{
    const struct pl_costs *c = &e->costs;
    char snapshot[PL_HUMAN_MAX], delta[PL_HUMAN_MAX], rollouts[PL_HUMAN_MAX], file[PL_HUMAN_MAX];

    fprintf(out,
            "Weights: %s to an actor that joins, then %s a step; rollouts: %s a step; a "
            "checkpoint: %s.\n\n",
            pl_human_bytes(snapshot, (uint64_t)c->snapshot_bytes),
            pl_human_bytes(delta, (uint64_t)c->delta_bytes),
            pl_human_bytes(rollouts, (uint64_t)c->rollout_bytes),
            pl_human_bytes(file, (uint64_t)c->checkpoint_bytes));
}

/* ---- machines ---- */

static int add_machines(struct pl_table *table, const struct pl_costs_machines *m)
{
    struct line line = {0};

    snprintf(cell(&line), CELL, "%zu", m->machines);
    if (m->busy < m->actors)
        snprintf(cell(&line), CELL, "%zu, %zu with work", m->actors, m->busy);
    else
        snprintf(cell(&line), CELL, m->machines == 1 ? "the same" : "%zu", m->actors);
    put_seconds(&line, m->sample_s);
    put_seconds(&line, m->send_s);
    put_seconds(&line, m->train_s);
    put_seconds(&line, m->step_s);
    put_seconds(&line, m->run_s);
    snprintf(cell(&line), CELL, "%.0f %%", 100.0 * m->waits);
    put_bytes(&line, m->down_bytes);
    put_bytes(&line, m->up_bytes);
    return add(table, &line);
}

static int print_machines(const struct pl_estimate *e, FILE *out, enum pl_color color)
{
    struct pl_table table;
    char run[32];
    int rc;

    snprintf(run, sizeof run, "%zu steps", e->conf->steps);
    pl_table_init(&table, "rrrrrrrrrr");
    rc = pl_table_add(&table,
                      (const char *const[]){"machines", "actors", "sampling", "network", "training",
                                            "a step", run, "learner waits", "to an actor", "back"});
    for (size_t i = 0; rc == PL_OK && i < e->machine_count; i++)
        rc = add_machines(&table, &e->machines[i]);
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, color);
    pl_table_release(&table);
    fprintf(out, "\n");
    return rc;
}

/* What else would help: overlap, where there is none. */
static void print_staleness(const struct pl_estimate *e, FILE *out)
{
    struct pl_costs overlap = e->costs;
    struct pl_costs_machines now, then;
    char a[PL_HUMAN_MAX], b[PL_HUMAN_MAX];

    if (e->costs.staleness > 0.0)
        return;
    overlap.staleness = 1.0;
    pl_costs_spread(&e->costs, &e->rates, e->enough, e->network, &now);
    pl_costs_spread(&overlap, &e->rates, pl_costs_enough(&overlap, &e->rates, e->network),
                    e->network, &then);
    fprintf(out,
            "rollout.staleness=1 would sample the next batch while one is trained: %s a step on "
            "%zu machines instead of %s on %zu.\n",
            duration(a, then.step_s), then.machines, duration(b, now.step_s), now.machines);
}

static void print_advice(const struct pl_estimate *e, FILE *out)
{
    const struct pl_costs *c = &e->costs;
    const double sampling = pl_costs_sample_s(c, &e->rates, c->prompts), all = all_s(e);
    struct pl_costs_machines at;
    char s[PL_HUMAN_MAX];

    pl_costs_spread(c, &e->rates, e->enough, e->network, &at);
    fprintf(out, "On one machine sampling takes %.0f %% of a step and training %.0f %%.\n",
            100.0 * sampling / all, 100.0 * (1.0 - sampling / all));
    if (e->enough > 1)
        fprintf(out,
                "More actors help up to %zu machines; then a step takes %s, of which training is "
                "%.0f %%, and %s.\n",
                e->enough, duration(s, at.step_s), 100.0 * fmin(1.0, at.train_s / at.step_s),
                at.train_s > 0.5 * at.step_s
                    ? "the learner, which is one machine, is what all wait for: a faster one helps"
                    : "what the learner waits for is the longest response: a shorter limit helps");
    else
        fprintf(out, "More machines do not help: the learner, which is one, is what all wait "
                     "for.\n");
    print_staleness(e, out);
    fprintf(out, "\n");
}

/* ---- what it rests on ---- */

static void print_rates(const struct pl_estimate *e, FILE *out)
{
    const struct pl_rates *r = &e->rates;

    fprintf(out, "Rates %s, on %s, %zu threads, one layer of %zu x %zu: ",
            e->measured ? "measured here and now" : "read from a file", r->cpu, r->threads,
            r->hidden, r->ffn);
    if (r->waited <= BUSY) /* the two that go by the clock alone */
        fprintf(out, "sgemm %.0f GFLOP/s, reading memory %.1f GB/s; ", r->peak_flops * 1e-9,
                r->read_bytes * 1e-9);
    fprintf(out,
            "forward %.0f, backward %.0f, attention %.0f and %.0f GFLOP/s; decoding %.0f GFLOP/s "
            "and %.0f GB/s of weights, its attention %.0f GFLOP/s; optimiser %.0f M parameters/s; "
            "publishing %.1f GB/s.\n",
            r->forward_flops * 1e-9, r->backward_flops * 1e-9, r->attention_flops * 1e-9,
            r->attention_backward_flops * 1e-9, r->decode_flops * 1e-9, r->decode_bytes * 1e-9,
            r->decode_attention_flops * 1e-9, r->optimizer_params * 1e-6, r->publish_bytes * 1e-9);
    if (r->waited > BUSY)
        fprintf(out,
                "That machine was busy with other work while it was measured: %.0f %% of the time "
                "it waited for a processor. Rates go by the processor time that it got, and are "
                "less certain for it.\n",
                100.0 * r->waited);
}

static void print_assumptions(const struct pl_estimate *e, FILE *out)
{
    fprintf(out,
            "This is an estimate. It takes for granted: machines as fast as that one; lengths of "
            "responses spread evenly around their mean; prompts dealt out evenly among actors and "
            "not split; a network of %.3g Gbit/s at the learner; %.3g %% of the weights changed by "
            "a step of the optimiser%s. Not counted: evaluations, checkpoints, drawing tokens, "
            "scoring, queues (about 2 %% of a step), starts and stops.\n",
            e->network * 8e-9, 100.0 * e->changed,
            e->conf->actors > 1 ? "; one actor a machine, with all of its processors" : "");
}

int pl_estimate_print(const struct pl_estimate *e, FILE *out, enum pl_color color,
                      struct pl_error *err)
{
    char params[PL_HUMAN_MAX];
    int rc;

    fprintf(out, "%s: a model of %s parameters, %zu steps, staleness %zu.\n\n", e->conf->name,
            pl_human_count(params, (double)e->policy->params), e->conf->steps, e->conf->staleness);
    rc = print_memory(e, out, color);
    if (rc == PL_OK)
        rc = print_step(e, out, color);
    print_bytes(e, out);
    if (rc == PL_OK && e->timed) {
        rc = print_machines(e, out, color);
        print_advice(e, out);
        print_rates(e, out);
        print_assumptions(e, out);
    }
    if (rc < 0)
        return pl_fail(err, rc, "the plan could not be printed");
    return fflush(out) == 0 ? PL_OK : pl_fail_errno(err, "write the plan");
}
