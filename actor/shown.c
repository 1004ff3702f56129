#include "actor/shown.h"

static const double seconds[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                 5,    10,    30,   60,  120,  300, 600, 1800};

enum { SECONDS = sizeof seconds / sizeof *seconds };

static void make_weights(struct pl_actor_shown *s, struct pl_meters *m)
{
    static const char fetched[] = "Versions of the weights that were fetched whole or as a delta.";

    s->version = pl_meters_gauge(m, "plait_weights_version",
                                 "Version of the weights that is sampled with.", NULL);
    s->install =
        pl_meters_histogram(m, "plait_weights_install_seconds",
                            "Time to put a version that is here into use.", seconds, SECONDS, NULL);
    s->snapshots =
        pl_meters_counter(m, "plait_weights_fetched_total", fetched, "kind", "snapshot", NULL);
    s->deltas = pl_meters_counter(m, "plait_weights_fetched_total", fetched, "kind", "delta", NULL);
    s->bytes = pl_meters_counter(m, "plait_weights_received_bytes_total",
                                 "Bytes of weights that came over the network.", NULL);
    s->refused = pl_meters_counter(m, "plait_weights_refused_total",
                                   "Chunks and versions with a wrong hash or value.", NULL);
    s->forged = pl_meters_counter(
        m, "plait_weights_forged_total",
        "Announcements and manifests of weights that the learner did not sign.", NULL);
    s->retries = pl_meters_counter(m, "plait_weights_retries_total",
                                   "Questions for weights that had to be asked again.", NULL);
    s->fetch = pl_meters_gauge(m, "plait_weights_fetch_seconds",
                               "Time that the last version took to come.", NULL);
}

void pl_actor_shown_make(struct pl_actor_shown *shown, struct pl_meters *meters)
{
    static const char delivered[] = "Groups that left a queue, by what became of them.";
    static const char rollouts[] = "Samples handed over, by how they ended.";
    struct pl_actor_shown *s = shown;

    *s = (struct pl_actor_shown){.meters = meters};
    for (int i = 0; i < PL_ACTOR_OUTCOMES; i++)
        s->deliveries[i] =
            pl_meters_counter(meters, "plait_deliveries_total", delivered, "queue", "prompts",
                              "outcome", pl_outcome_name((enum pl_outcome)i), NULL);
    s->buried = pl_meters_counter(meters, "plait_deliveries_total", delivered, "queue", "prompts",
                                  "outcome", "dead", NULL);
    s->rollouts_stop =
        pl_meters_counter(meters, "plait_rollouts_total", rollouts, "result", "stop", NULL);
    s->rollouts_length =
        pl_meters_counter(meters, "plait_rollouts_total", rollouts, "result", "length", NULL);
    s->tokens = pl_meters_counter(meters, "plait_tokens_generated_total",
                                  "Tokens of the samples handed over.", NULL);
    s->tokens_rate = pl_meters_gauge(meters, "plait_tokens_per_second",
                                     "Tokens handed over a second, between two heartbeats.", NULL);
    s->wait = pl_meters_histogram(meters, "plait_queue_wait_seconds",
                                  "Time from the lease of a group until its sampling begins.",
                                  seconds, SECONDS, NULL);
    s->generate = pl_meters_histogram(
        meters, "plait_generate_duration_seconds",
        "Time from a group's submission to the engine to its last token.", seconds, SECONDS, NULL);
    s->leases = pl_meters_gauge(meters, "plait_leases_held",
                                "Groups that are leased and not yet done.", NULL);
    s->lost = pl_meters_counter(meters, "plait_leases_lost_total",
                                "Leases that another had, or that were done, when renewed.", NULL);
    s->returned = pl_meters_counter(meters, "plait_leases_returned_total",
                                    "Groups that were given back unfinished.", NULL);
    s->quarantined = pl_meters_gauge(meters, "plait_quarantined",
                                     "1 while this actor is in quarantine, else 0.", NULL);
    make_weights(s, meters);
}

static void fill(void *at)
{
    struct pl_actor_shown *s = at;
    const struct pl_weights_sink_stats stats = pl_weights_sink_stats(s->sink);

    pl_meter_rise(s->snapshots, (double)stats.snapshots);
    pl_meter_rise(s->deltas, (double)stats.deltas);
    pl_meter_rise(s->bytes, (double)stats.bytes);
    pl_meter_rise(s->refused, (double)stats.refused);
    pl_meter_rise(s->forged, (double)stats.forged);
    pl_meter_rise(s->retries, (double)stats.retries);
    if (stats.snapshots + stats.deltas > 0)
        pl_meter_set(s->fetch, stats.last_s);
}

void pl_actor_shown_sink(struct pl_actor_shown *shown, const struct pl_weights_sink *sink)
{
    shown->sink = sink;
    pl_meters_fill(shown->meters, fill, shown);
}

void pl_actor_shown_forget(struct pl_actor_shown *shown)
{
    pl_meters_forget(shown->meters, fill, shown);
}

void pl_actor_shown_group(struct pl_actor_shown *shown, const struct pl_rollout_group *group,
                          size_t tokens, enum pl_outcome outcome)
{
    pl_meter_add(shown->deliveries[outcome], 1);
    if (outcome == PL_OUTCOME_REFUSED || outcome == PL_OUTCOME_LOST)
        return;
    pl_meter_add(shown->tokens, (double)tokens);
    pl_meter_see(shown->generate, (double)group->generate_s);
    for (size_t i = 0; i < group->samples; i++)
        pl_meter_add(group->rollouts[i].finish == PL_SAMPLE_STOP ? shown->rollouts_stop
                                                                 : shown->rollouts_length,
                     1);
}
