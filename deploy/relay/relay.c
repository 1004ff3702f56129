#include "deploy/relay/relay.h"

#include "common/app/signals.h"
#include "common/app/vitals.h"
#include "common/base/log.h"
#include "common/link/endpoint.h"
#include "common/link/keys.h"
#include "common/link/relay.h"
#include "deploy/relay/beat.h"
#include "deploy/relay/shown.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TICK_MS = 100, STATUS_MS = 2000, SILENT_S = 10 };

/* News of versions are usual, all else is to be looked at. */
static void event(void *unused, const char *line)
{
    static const char announced[] = "weights event=announced ";

    (void)unused;
    if (strncmp(line, announced, strlen(announced)) == 0)
        pl_log_line(PL_LEVEL_INFO, line);
    else
        pl_log_line(PL_LEVEL_WARN, line);
}

/* Where it binds has no default: who runs a relay says where others find it. */
static int check(const struct pl_run_conf *conf, const char *pub, const char *serve,
                 struct pl_error *err)
{
    const char *missing = conf->relay_announce[0] ? "relay.serve" : "relay.announce";

    if (!conf->relay_announce[0] || !conf->relay_serve[0])
        return pl_fail(err, PL_EINVAL,
                       "'%s' is not given: a relay needs 'relay.announce' and 'relay.serve', where "
                       "it listens, for example tcp://0.0.0.0:7721 and tcp://0.0.0.0:7722",
                       missing);
    if (strcmp(conf->relay_announce, pub) == 0 || strcmp(conf->relay_serve, serve) == 0)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is '%s' too: that is where the relay has the weights from, and it "
                       "listens at 'relay.announce' and 'relay.serve'",
                       strcmp(conf->relay_announce, pub) == 0 ? "link.announce" : "link.serve",
                       strcmp(conf->relay_announce, pub) == 0 ? pub : serve);
    return PL_OK;
}

/* Where others may reach it, it needs keys. */
static int load_keys(const struct pl_daemon *daemon, struct pl_keys **ret_keys,
                     struct pl_error *err)
{
    const struct pl_run_conf *c = &daemon->conf;
    const struct pl_keys_opts opts = {
        .dir = c->keys, .name = daemon->name, .role = "relay", .peer = c->peer};
    const bool keys = c->keys[0];
    int rc = pl_endpoint_check("relay.announce", c->relay_announce, keys, c->insecure, err);

    if (rc == PL_OK)
        rc = pl_endpoint_check("relay.serve", c->relay_serve, keys, c->insecure, err);
    return rc == PL_OK ? pl_keys_load(&opts, ret_keys, err) : rc;
}

static int open_relay(const struct pl_daemon *daemon, struct pl_keys **ret_keys,
                      struct pl_relay **ret_relay, struct pl_error *err)
{
    const struct pl_run_conf *conf = &daemon->conf;
    char *pub = pl_run_conf_announce(conf), *serve = pl_run_conf_serve(conf);
    struct pl_relay_opts opts = {.run = conf->name,
                                 .pub = pub,
                                 .serve = serve,
                                 .pub_bind = conf->relay_announce,
                                 .serve_bind = conf->relay_serve,
                                 .cache_bytes = conf->relay_cache_mb << 20,
                                 .event = event};
    int rc = pub && serve ? check(conf, pub, serve, err)
                          : pl_fail(err, PL_ENOMEM, "no memory for the relay");

    if (rc == PL_OK)
        rc = load_keys(daemon, ret_keys, err);
    opts.keys = *ret_keys;
    if (rc == PL_OK)
        rc = pl_relay_create(&opts, ret_relay, err);
    if (rc == PL_OK)
        pl_info("relay event=open announce=%s serve=%s from_announce=%s from_serve=%s cache_mb=%zu "
                "keys=%s",
                pl_relay_pub(*ret_relay), pl_relay_serve(*ret_relay), pub, serve,
                conf->relay_cache_mb, *ret_keys ? (*ret_keys)->name : "none");
    free(pub);
    free(serve);
    return rc;
}

/* Says once that upstream is silent, and once that it is not any more. */
static void look_upstream(const struct pl_relay_stats *stats, bool *silent)
{
    const double silent_s = stats->upstream.silent_s;

    if (!*silent && silent_s > SILENT_S)
        pl_warn("upstream event=silent for_s=%.0f reason=\"nothing is announced; what is here is "
                "served on\"",
                silent_s);
    else if (*silent && silent_s >= 0.0 && silent_s < SILENT_S)
        pl_info("upstream event=heard");
    *silent = silent_s > SILENT_S;
}

static void sum_up(const struct pl_relay_stats *s)
{
    pl_info("relayed pulled_chunks=%llu pulled_bytes=%llu served_chunks=%llu served_bytes=%llu "
            "absent=%llu refused_chunks=%llu forged=%llu garbage=%llu refused_questions=%llu "
            "refused_peers=%llu evicted=%llu cache_most_bytes=%zu",
            (unsigned long long)s->upstream.chunks, (unsigned long long)s->upstream.bytes,
            (unsigned long long)s->downstream.chunks, (unsigned long long)s->downstream.bytes,
            (unsigned long long)s->downstream.absent, (unsigned long long)s->upstream.refused,
            (unsigned long long)s->upstream.forged, (unsigned long long)s->upstream.garbage,
            (unsigned long long)s->downstream.refused,
            (unsigned long long)pl_door_refused(&s->door), (unsigned long long)s->cache.evicted,
            s->cache.bytes_most);
}

/* Until a signal comes. It is as alive as the relay's thread: this one only looks on. */
static void supervise(const struct pl_relay *relay)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};
    uint64_t turns = 0;
    bool silent = false;

    for (unsigned n = 0; pl_signals_stop() == 0; n++) {
        const struct pl_relay_stats stats = pl_relay_stats(relay);

        if (stats.turns != turns)
            pl_vitals_tick();
        turns = stats.turns;
        look_upstream(&stats, &silent);
        if (n % (STATUS_MS / TICK_MS) == 0)
            pl_vitals_status("version %llu, %zu peers, %llu MiB had, %llu MiB served",
                             (unsigned long long)stats.newest, stats.downstream.peers,
                             (unsigned long long)(stats.upstream.bytes >> 20),
                             (unsigned long long)(stats.downstream.bytes >> 20));
        nanosleep(&tick, NULL);
    }
    pl_vitals_draining();
}

int pl_relay_run(struct pl_daemon *daemon, struct pl_error *err)
{
    struct pl_relay *relay = NULL;
    struct pl_relay_shown *shown = NULL;
    struct pl_beat *beat = NULL;
    struct pl_keys *keys = NULL;
    int rc = open_relay(daemon, &keys, &relay, err);

    if (rc == PL_OK)
        rc = pl_relay_shown_make(daemon->window, relay, &shown, err);
    if (rc == PL_OK)
        rc = pl_beat_start(daemon, relay, &beat, err);
    if (rc == PL_OK) {
        pl_vitals_ready("start");
        supervise(relay);
    }
    pl_beat_stop(beat);
    pl_relay_shown_forget(shown);
    if (relay) {
        const struct pl_relay_stats stats = pl_relay_stats(relay);

        pl_relay_destroy(relay);
        sum_up(&stats);
    }
    pl_keys_destroy(keys);
    return rc;
}
