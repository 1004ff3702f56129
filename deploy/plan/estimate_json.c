#include "deploy/plan/estimate.h"

/* Of one process: bytes, how many of it, and its parts. */
static json_t *process_json(const struct pl_footprint *f, enum pl_process process)
{
    json_t *parts = json_array();
    int rc = parts ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < f->count; i++) {
        const struct pl_footprint_row *row = &f->rows[i];

        if (row->process == process)
            rc =
                json_array_append_new(parts, json_pack("{s:s, s:s, s:I}", "of", row->of, "what",
                                                       row->what, "bytes", (json_int_t)row->bytes));
    }
    if (rc < 0) {
        json_decref(parts);
        return NULL;
    }
    return json_pack("{s:I, s:I, s:o}", "bytes", (json_int_t)f->bytes[process], "processes",
                     (json_int_t)f->processes[process], "parts", parts);
}

static json_t *memory_json(const struct pl_estimate *e)
{
    const uint64_t total = pl_footprint_total(&e->footprint);
    const uint64_t usable = pl_machine_memory_usable(&e->machine);
    json_t *root = json_pack("{s:I, s:I, s:b}", "total_bytes", (json_int_t)total, "usable_bytes",
                             (json_int_t)usable, "fits", (int)(total <= usable));
    int rc = root ? 0 : -1;

    for (enum pl_process p = 0; rc == 0 && p < PL_PROCESSES; p++)
        rc = json_object_set_new(root, pl_process_name(p), process_json(&e->footprint, p));
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}

static json_t *part_json(const struct pl_estimate *e, enum pl_cost part)
{
    const struct pl_work *w = &e->costs.parts[part];
    json_t *root =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "rows", w->rows, "forward_flops", w->forward,
                  "backward_flops", w->backward, "attention_flops", w->attention,
                  "attention_backward_flops", w->attention_backward, "params", w->params);

    if (root && e->timed)
        json_object_set_new(root, "seconds",
                            json_real(pl_costs_part_s(&e->costs, &e->rates, part)));
    return root;
}

static json_t *step_json(const struct pl_estimate *e)
{
    const struct pl_costs *c = &e->costs;
    json_t *root =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "prompts", c->prompts,
                  "samples_each", c->samples, "prompt_tokens", c->prompt, "response_tokens",
                  c->response, "longest_response", c->longest, "updates", c->updates, "packs",
                  c->packs, "snapshot_bytes", c->snapshot_bytes, "delta_bytes", c->delta_bytes,
                  "rollout_bytes", c->rollout_bytes, "checkpoint_bytes", c->checkpoint_bytes);
    json_t *parts = json_object();
    int rc = root && parts ? 0 : -1;

    for (enum pl_cost part = 0; rc == 0 && part < PL_COSTS; part++)
        rc = json_object_set_new(parts, pl_cost_name(part), part_json(e, part));
    if (rc == 0)
        rc = json_object_set(root, "parts", parts);
    json_decref(parts);
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}

static json_t *machines_json(const struct pl_estimate *e)
{
    json_t *list = json_array();
    int rc = list ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < e->machine_count; i++) {
        const struct pl_costs_machines *m = &e->machines[i];

        rc = json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                            "machines", (json_int_t)m->machines, "actors", (json_int_t)m->actors,
                            "busy_actors", (json_int_t)m->busy, "sample_s", m->sample_s, "send_s",
                            m->send_s, "train_s", m->train_s, "step_s", m->step_s, "run_s",
                            m->run_s, "learner_waits", m->waits, "actor_down_bytes", m->down_bytes,
                            "actor_up_bytes", m->up_bytes, "learner_bytes", m->learner_bytes));
    }
    if (rc == 0)
        return list;
    json_decref(list);
    return NULL;
}

json_t *pl_estimate_json(const struct pl_estimate *e)
{
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:o?, s:o?}", "run", e->conf->name, "steps",
        (json_int_t)e->conf->steps, "parameters", (json_int_t)e->policy->params, "staleness",
        (json_int_t)e->conf->staleness, "memory", memory_json(e), "step", step_json(e));
    int rc = root && json_is_object(json_object_get(root, "memory")) &&
                     json_is_object(json_object_get(root, "step"))
                 ? 0
                 : -1;

    if (rc == 0)
        rc = json_object_set_new(
            root, "assumed",
            json_pack("{s:f, s:f}", "network_bytes_per_s", e->network, "changed", e->changed));
    if (rc == 0 && e->timed) {
        rc = json_object_set_new(root, "rates", pl_rates_json(&e->rates));
        if (rc == 0)
            rc = json_object_set_new(root, "measured", json_boolean(e->measured));
        if (rc == 0)
            rc = json_object_set_new(root, "machines", machines_json(e));
        if (rc == 0)
            rc = json_object_set_new(root, "enough_machines", json_integer((json_int_t)e->enough));
    }
    if (rc == 0)
        return root;
    json_decref(root);
    return NULL;
}
