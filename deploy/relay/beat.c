#include "deploy/relay/beat.h"

#include "common/app/signals.h"
#include "common/app/window.h"
#include "common/base/log.h"
#include "common/link/queues.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BEAT_MS = 2000, AGAIN_MS = 10000, SLICE_MS = 50 };

struct pl_beat {
    const struct pl_daemon *daemon;
    const struct pl_relay *relay;
    char *url;
    pthread_t thread;
    struct pl_queues *stream;
    char said[640]; /* the last trouble that the log has: it has each only once */
    atomic_bool stop;
};

static bool stopping(void *at)
{
    struct pl_beat *b = at;

    return atomic_load(&b->stop) || pl_signals_stop() != 0;
}

static void event(void *unused, const char *line)
{
    (void)unused;
    pl_log_line(PL_LEVEL_WARN, line);
}

static void nap(struct pl_beat *b, unsigned ms)
{
    const struct timespec slice = {0, SLICE_MS * 1000000L};

    for (unsigned slept = 0; slept < ms && !stopping(b); slept += SLICE_MS)
        nanosleep(&slice, NULL);
}

static int tell(struct pl_beat *b, struct pl_error *err)
{
    const struct pl_relay_stats s = pl_relay_stats(b->relay);
    char version[32], peers[32], pulled[32], served[32], refused[32], refused_peers[32];
    const struct pl_field fields[] = {{"version", version},
                                      {"peers", peers},
                                      {"pulled_bytes", pulled},
                                      {"served_bytes", served},
                                      {"refused", refused},
                                      {"refused_peers", refused_peers},
                                      {"http", pl_window_address(b->daemon->window)}};

    snprintf(version, sizeof version, "%llu", (unsigned long long)s.newest);
    snprintf(peers, sizeof peers, "%zu", s.downstream.peers);
    snprintf(pulled, sizeof pulled, "%llu", (unsigned long long)s.upstream.bytes);
    snprintf(served, sizeof served, "%llu", (unsigned long long)s.downstream.bytes);
    snprintf(refused, sizeof refused, "%llu",
             (unsigned long long)(s.upstream.refused + s.upstream.forged + s.upstream.garbage +
                                  s.downstream.refused));
    snprintf(refused_peers, sizeof refused_peers, "%llu",
             (unsigned long long)pl_door_refused(&s.door));
    return pl_queues_heartbeat(b->stream, fields, sizeof fields / sizeof *fields, err);
}

static int open_stream(struct pl_beat *b, struct pl_error *err)
{
    const struct pl_queues_opts opts = {
        .url = b->url,
        .run = b->daemon->conf.name,
        .worker = b->daemon->name,
        .role = "relay",
        .access = b->daemon->conf.access,
        .lease_ms = b->daemon->conf.lease_s * 1000,
        .deliveries_max = (uint32_t)b->daemon->conf.deliveries_max,
        .stop = stopping,
        .event = event,
        .at = b,
    };

    return b->stream ? PL_OK : pl_queues_open(&opts, &b->stream, err);
}

static void *run(void *at)
{
    struct pl_beat *b = at;

    while (!stopping(b)) {
        struct pl_error err = {0};
        int rc = open_stream(b, &err);

        if (rc == PL_OK)
            rc = tell(b, &err);
        if (rc < 0 && rc != PL_ECANCELED && strcmp(b->said, err.text) != 0) {
            pl_warn("redis event=refused reason=\"%s\"", err.text);
            snprintf(b->said, sizeof b->said, "%s", err.text);
        }
        nap(b, rc < 0 ? AGAIN_MS : BEAT_MS);
    }
    return NULL;
}

int pl_beat_start(const struct pl_daemon *daemon, const struct pl_relay *relay,
                  struct pl_beat **ret_beat, struct pl_error *err)
{
    struct pl_beat *b = calloc(1, sizeof *b);

    if (!b)
        return pl_fail(err, PL_ENOMEM, "no memory for the relay");
    b->daemon = daemon;
    b->relay = relay;
    b->url = pl_run_conf_redis(&daemon->conf);
    atomic_init(&b->stop, false);
    if (!b->url || pthread_create(&b->thread, NULL, run, b) != 0) {
        free(b->url);
        free(b);
        return pl_fail(err, PL_EIO, "no thread for the relay");
    }
    *ret_beat = b;
    return PL_OK;
}

void pl_beat_stop(struct pl_beat *beat)
{
    if (!beat)
        return;
    atomic_store(&beat->stop, true);
    pthread_join(beat->thread, NULL);
    pl_queues_close(beat->stream);
    free(beat->url);
    free(beat);
}
