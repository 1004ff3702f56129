/*
 * What a relay costs, and what it saves, one JSON line a case.
 *
 *   bench_relay [CASE ...]     all cases without a name
 *
 * A case is relay.<delta|snapshot> of 16 M values (32 MB) over TCP on the same machine, by three
 * ways that are measured in turn: straight from the source, through one relay, and through a relay
 * behind a relay. `ms` is the time from pl_weights_source_publish() having returned to the values
 * in the hands of one sink; `hop_ms` what a relay adds to it. `source_bytes` is what the source
 * sent for a version when SINKS sinks have it. A delta changes 3 % of the values.
 */
#include "common/base/check.h"
#include "common/base/rng.h"
#include "common/link/bcast.h"
#include "common/link/relay.h"
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUES = 16 << 20, RUNS = 9, WARM = 2, PERCENT = 3, SINKS = 4, WAYS = 3, CACHE = 1 << 30 };

static const size_t BYTES = VALUES * sizeof(uint16_t);
static const char anywhere[] = "tcp://127.0.0.1:*";
static const struct pl_bcast_tensor tensors[] = {{.name = "t", .count = VALUES}};
static const struct pl_bcast_table table = {tensors, 1, VALUES};
static uint16_t *values;

/* A source, `hops` relays in a row behind it, and sinks at the last of them. */
struct way {
    struct pl_weights_source *source;
    struct pl_relay *relays[WAYS];
    struct pl_weights_sink *sinks[SINKS];
    size_t hops, sinks_count;
    uint64_t version;
};

static void open_way(struct way *w, size_t hops, size_t sinks)
{
    const char *pub, *serve;
    struct pl_error err;

    *w = (struct way){.hops = hops, .sinks_count = sinks};
    PL_ASSERT(pl_weights_source_create(&(struct pl_weights_source_opts){.run = "b",
                                                                        .pub_bind = anywhere,
                                                                        .serve_bind = anywhere,
                                                                        .table = table,
                                                                        .versions_max = 3},
                                       &w->source, &err) == PL_OK);
    pub = pl_weights_source_pub(w->source);
    serve = pl_weights_source_serve(w->source);
    for (size_t i = 0; i < hops; i++) {
        PL_ASSERT(pl_relay_create(&(struct pl_relay_opts){.run = "b",
                                                          .pub = pub,
                                                          .serve = serve,
                                                          .pub_bind = anywhere,
                                                          .serve_bind = anywhere,
                                                          .cache_bytes = CACHE},
                                  &w->relays[i], &err) == PL_OK);
        pub = pl_relay_pub(w->relays[i]);
        serve = pl_relay_serve(w->relays[i]);
    }
    for (size_t i = 0; i < sinks; i++)
        PL_ASSERT(
            pl_weights_sink_create(
                &(struct pl_weights_sink_opts){
                    .run = "b", .pub = pub, .serve = serve, .table = table, .versions_max = 2},
                &w->sinks[i], &err) == PL_OK);
}

static void close_way(struct way *w)
{
    for (size_t i = 0; i < w->sinks_count; i++)
        pl_weights_sink_destroy(w->sinks[i]);
    for (size_t i = w->hops; i-- > 0;)
        pl_relay_destroy(w->relays[i]);
    pl_weights_source_destroy(w->source);
}

/* A step changes some of the values by their last bit. */
static void step(uint64_t number)
{
    const struct pl_rng rng = {
        .seed = 3, .batch = (uint32_t)PL_RNG_TEST, .prompt = (uint32_t)number};

    for (uint32_t i = 0; i < VALUES / 100 * PERCENT; i++)
        values[pl_rng_below(&rng, i, VALUES)] ^= 1;
}

/* The next version to all sinks: seconds from when it is published; a snapshot where the version
 * before it is missing. */
static double carry(struct way *w, bool delta)
{
    unsigned char hash[PL_HASH_BYTES];
    const uint16_t *got;
    struct pl_error err;
    double start;

    w->version += delta ? 1 : 2;
    step(w->version);
    PL_ASSERT(pl_weights_source_publish(w->source, w->version, w->version, values, hash, &err) ==
              PL_OK);
    start = pl_bench_seconds();
    for (size_t i = 0; i < w->sinks_count; i++) {
        PL_ASSERT(pl_weights_sink_get(w->sinks[i], w->version, 60000, &got, hash, &err) == PL_OK);
        PL_ASSERT(i > 0 || memcmp(got, values, BYTES) == 0);
    }
    start = pl_bench_seconds() - start;
    pl_weights_source_drop(w->source, w->version);
    return start;
}

/* Bytes that the source sends for a version that all sinks have. */
static uint64_t source_bytes(size_t hops, bool delta)
{
    struct way w;
    uint64_t bytes;

    open_way(&w, hops, SINKS);
    (void)carry(&w, delta);
    bytes = pl_weights_source_stats(w.source).bytes;
    (void)carry(&w, delta);
    bytes = pl_weights_source_stats(w.source).bytes - bytes;
    close_way(&w);
    return bytes;
}

static void run(const char *name, bool delta)
{
    double seconds[WAYS][RUNS], ms[WAYS];
    struct way ways[WAYS];

    for (size_t k = 0; k < WAYS; k++)
        open_way(&ways[k], k, 1);
    for (size_t i = 0; i < WARM + RUNS; i++)
        for (size_t k = 0; k < WAYS; k++) {
            const double s = carry(&ways[k], delta);

            if (i >= WARM)
                seconds[k][i - WARM] = s;
        }
    for (size_t k = 0; k < WAYS; k++) {
        ms[k] = 1e3 * pl_bench_median(seconds[k], RUNS);
        close_way(&ways[k]);
    }
    printf("{\"case\":\"%s\",\"bytes\":%zu,\"ms\":%.1f,\"ms_relay\":%.1f,\"ms_relay_relay\":%.1f,"
           "\"hop_ms\":%.1f,\"sinks\":%d,\"source_bytes\":%llu,\"source_bytes_relay\":%llu}\n",
           name, BYTES, ms[0], ms[1], ms[2], (ms[2] - ms[0]) / 2, SINKS,
           (unsigned long long)source_bytes(0, delta), (unsigned long long)source_bytes(1, delta));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool delta;
    } cases[] = {{"relay.delta", true}, {"relay.snapshot", false}};

    values = malloc(BYTES);
    PL_ASSERT(values);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (uint16_t)(0x3C00 + (i * 2654435761u >> 20) % 0x300);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool wanted = argc == 1;

        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], cases[c].name) == 0;
        if (wanted)
            run(cases[c].name, cases[c].delta);
    }
    free(values);
    return 0;
}
