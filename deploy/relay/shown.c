#include "deploy/relay/shown.h"

#include <stdlib.h>

struct pl_relay_shown {
    const struct pl_relay *relay;
    struct pl_meters *meters;
    struct pl_meter *sent, *chunks, *manifests, *errors, *received, *refused, *forged, *retries;
    struct pl_meter *accepted, *rejected, *versions, *version, *peers, *cache, *evicted, *silent;
};

static void fill(void *at)
{
    struct pl_relay_shown *s = at;
    const struct pl_relay_stats now = pl_relay_stats(s->relay);

    pl_meter_rise(s->sent, (double)now.downstream.bytes);
    pl_meter_rise(s->chunks, (double)now.downstream.chunks);
    pl_meter_rise(s->manifests, (double)now.downstream.manifests);
    pl_meter_rise(s->errors, (double)(now.downstream.absent + now.downstream.refused));
    pl_meter_rise(s->received, (double)now.upstream.bytes);
    pl_meter_rise(s->refused, (double)now.upstream.refused);
    pl_meter_rise(s->forged, (double)now.upstream.forged);
    pl_meter_rise(s->retries, (double)now.upstream.retries);
    pl_meter_rise(s->accepted, (double)now.door.accepted);
    pl_meter_rise(s->rejected, (double)pl_door_refused(&now.door));
    pl_meter_rise(s->evicted, (double)now.cache.evicted);
    pl_meter_set(s->versions, (double)now.cache.versions);
    pl_meter_set(s->version, (double)now.newest);
    pl_meter_set(s->peers, (double)now.downstream.peers);
    pl_meter_set(s->cache, (double)now.cache.bytes);
    if (now.upstream.silent_s >= 0.0)
        pl_meter_set(s->silent, now.upstream.silent_s);
}

static void make(struct pl_relay_shown *s)
{
    static const char doors[] = "Connections to this relay, by what became of them.";
    struct pl_meters *m = s->meters;

    s->sent = pl_meters_counter(m, "plait_weights_sent_bytes_total",
                                "Bytes of weights that were sent.", NULL);
    s->chunks = pl_meters_counter(m, "plait_weights_chunks_total", "Chunks of weights sent.", NULL);
    s->manifests = pl_meters_counter(m, "plait_weights_manifests_total",
                                     "Manifests sent: versions that somebody fetched.", NULL);
    s->errors = pl_meters_counter(m, "plait_weights_errors_total",
                                  "Questions for weights that are not there, or are none.", NULL);
    s->received = pl_meters_counter(m, "plait_weights_received_bytes_total",
                                    "Bytes of weights that came over the network.", NULL);
    s->refused = pl_meters_counter(m, "plait_weights_refused_total",
                                   "Chunks and manifests that are not what was promised.", NULL);
    s->forged = pl_meters_counter(
        m, "plait_weights_forged_total",
        "Announcements and manifests of weights that the learner did not sign.", NULL);
    s->retries = pl_meters_counter(m, "plait_weights_retries_total",
                                   "Questions for weights that had to be asked again.", NULL);
    s->accepted =
        pl_meters_counter(m, "plait_connections_total", doors, "result", "accepted", NULL);
    s->rejected = pl_meters_counter(m, "plait_connections_total", doors, "result", "refused", NULL);
    s->evicted = pl_meters_counter(m, "plait_relay_evicted_total",
                                   "Chunks that left the cache to make place.", NULL);
    s->versions =
        pl_meters_gauge(m, "plait_weights_versions_kept", "Versions that can be fetched.", NULL);
    s->version =
        pl_meters_gauge(m, "plait_relay_version", "Version that was announced last.", NULL);
    s->peers = pl_meters_gauge(m, "plait_relay_peers",
                               "Who asked for weights within the last minute.", NULL);
    s->cache = pl_meters_gauge(m, "plait_relay_cache_bytes", "Bytes in the cache.", NULL);
    s->silent = pl_meters_gauge(m, "plait_relay_silent_seconds",
                                "Time since anything was heard of upstream.", NULL);
}

int pl_relay_shown_make(struct pl_window *window, const struct pl_relay *relay,
                        struct pl_relay_shown **ret_shown, struct pl_error *err)
{
    struct pl_relay_shown *s;

    *ret_shown = NULL;
    if (!pl_window_meters(window))
        return PL_OK;
    s = calloc(1, sizeof *s);
    if (!s)
        return pl_fail(err, PL_ENOMEM, "no memory for what the relay shows");
    s->relay = relay;
    s->meters = pl_window_meters(window);
    make(s);
    pl_meters_fill(s->meters, fill, s);
    *ret_shown = s;
    return PL_OK;
}

void pl_relay_shown_forget(struct pl_relay_shown *shown)
{
    if (shown)
        pl_meters_forget(shown->meters, fill, shown);
    free(shown);
}
