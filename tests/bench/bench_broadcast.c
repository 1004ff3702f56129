/*
 * Weights to one sink on the same machine, one JSON line a case.
 *
 *   bench_broadcast [CASE ...]     all cases without a name
 *
 * A case is broadcast.<ipc|tcp|curve>.<snapshot|delta> of 16 M values (32 MB); curve is tcp with
 * keys: every byte is encrypted, `plain` is not. delta: a step's weights,
 * from pl_weights_source_publish() to the values in the hands of the sink's owner. snapshot: what
 * an actor takes that comes late, from when they are published. `plain` is the same bytes sent as
 * chunks of 1 MiB from a ROUTER to a DEALER that copies them into place, without hashes, checks and
 * versions; it is measured in turn with the other, in this process. The aim is a ratio of at
 * most 2. `publish` is what of the time the learner itself waits; a delta changes 3 % of the
 * values.
 */
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/link/bcast.h"
#include "common/link/key_folder.h"
#include "tests/bench/bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { VALUES = 16 << 20, TENSORS = 64, RUNS = 9, PERCENT = 3 };

static const size_t BYTES = VALUES * sizeof(uint16_t);

static struct pl_bcast_tensor tensors[TENSORS];
static struct pl_bcast_table table = {tensors, TENSORS, VALUES};
static uint16_t *values, *got;

/* ---- plain ---- */

struct plain {
    void *context, *router, *dealer;
    pthread_t thread;
};

/* Answers each question with all bytes. */
static void *serve(void *at)
{
    struct plain *p = at;
    char peer[256], question[8];

    for (;;) {
        const int n = zmq_recv(p->router, peer, sizeof peer, 0);

        if (n < 0 || zmq_recv(p->router, question, sizeof question, 0) <= 0)
            return NULL; /* an empty question: the end */
        for (size_t done = 0; done < BYTES; done += PL_CHUNK_BYTES) {
            PL_ASSERT(zmq_send(p->router, peer, (size_t)n, ZMQ_SNDMORE) >= 0);
            PL_ASSERT(zmq_send(p->router, (char *)values + done, PL_CHUNK_BYTES, 0) >= 0);
        }
    }
}

static void plain_begin(struct plain *p, const char *endpoint)
{
    char at[256];
    size_t len = sizeof at;

    p->context = zmq_ctx_new();
    p->router = zmq_socket(p->context, ZMQ_ROUTER);
    p->dealer = zmq_socket(p->context, ZMQ_DEALER);
    PL_ASSERT(zmq_bind(p->router, endpoint) == 0);
    PL_ASSERT(zmq_getsockopt(p->router, ZMQ_LAST_ENDPOINT, at, &len) == 0);
    PL_ASSERT(zmq_connect(p->dealer, at) == 0);
    PL_ASSERT(pthread_create(&p->thread, NULL, serve, p) == 0);
}

static double plain_run(struct plain *p)
{
    const double start = pl_bench_seconds();

    PL_ASSERT(zmq_send(p->dealer, "go", 2, 0) == 2);
    for (size_t done = 0; done < BYTES;) {
        zmq_msg_t m;

        zmq_msg_init(&m);
        PL_ASSERT(zmq_msg_recv(&m, p->dealer, 0) == PL_CHUNK_BYTES);
        memcpy((char *)got + done, zmq_msg_data(&m), zmq_msg_size(&m));
        done += zmq_msg_size(&m);
        zmq_msg_close(&m);
    }
    return pl_bench_seconds() - start;
}

static void plain_end(struct plain *p)
{
    PL_ASSERT(zmq_send(p->dealer, "", 0, 0) == 0);
    pthread_join(p->thread, NULL);
    zmq_close(p->dealer);
    zmq_close(p->router);
    zmq_ctx_term(p->context);
}

/* ---- a version ---- */

static void fill(void)
{
    size_t at = 0;

    values = malloc(BYTES);
    got = malloc(BYTES);
    PL_ASSERT(values && got);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (uint16_t)(0x3C00 + (i * 2654435761u >> 20) % 0x300);
    memset(got, 0, BYTES);
    for (size_t t = 0; t < TENSORS; t++, at += VALUES / TENSORS)
        tensors[t] = (struct pl_bcast_tensor){.name = "t", .first = at, .count = VALUES / TENSORS};
}

/* A step changes some of the values by their last bit. */
static void step(uint32_t number)
{
    const struct pl_rng rng = {.seed = 3, .batch = (uint32_t)PL_RNG_TEST, .prompt = number};

    for (uint32_t i = 0; i < VALUES / 100 * PERCENT; i++)
        values[pl_rng_below(&rng, i, VALUES)] ^= 1;
}

struct parts {
    double whole_s, publish_s;
};

static struct parts broadcast(struct pl_weights_source *source, struct pl_weights_sink *sink,
                              uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES];
    const uint16_t *lent;
    struct parts parts;
    struct pl_error err;
    const double start = pl_bench_seconds();

    PL_ASSERT(pl_weights_source_publish(source, version, version, values, hash, &err) == PL_OK);
    parts.publish_s = pl_bench_seconds() - start;
    PL_ASSERT(pl_weights_sink_get(sink, version, 60000, &lent, hash, &err) == PL_OK);
    parts.whole_s = pl_bench_seconds() - start;
    PL_ASSERT(memcmp(values, lent, BYTES) == 0);
    return parts;
}

/* ---- cases ---- */

static void ask_endpoint(char at[128], bool tcp, const char *name)
{
    if (tcp)
        snprintf(at, 128, "tcp://127.0.0.1:*");
    else
        snprintf(at, 128, "ipc:///tmp/plait-bench-%d.%s", (int)getpid(), name);
}

/* Keys of a folder that is gone at the end. */
static void make_keys(char dir[128], struct pl_keys **ret_learner, struct pl_keys **ret_actor)
{
    static char *names[] = {(char *)"learner", (char *)"actor"};
    struct pl_keys_opts opts = {.dir = dir, .name = "learner", .role = "learner"};
    struct pl_error err;

    snprintf(dir, 128, "/tmp/plait-bench-%d.keys", (int)getpid());
    PL_ASSERT(pl_key_folder_make(dir, names, 2, &err) == PL_OK);
    PL_ASSERT(pl_keys_load(&opts, ret_learner, &err) == PL_OK);
    opts = (struct pl_keys_opts){.dir = dir, .name = "a", .role = "actor", .peer = "learner"};
    PL_ASSERT(pl_keys_load(&opts, ret_actor, &err) == PL_OK);
}

static void run(const char *name, bool tcp, bool delta, bool curve)
{
    struct pl_keys *learner = NULL, *actor = NULL;
    char dir[128] = "";
    char pub[128], serve_at[128], plain_at[128];
    double plain[RUNS], whole[RUNS], publish[RUNS], plain_s, whole_s;
    struct pl_weights_source *source = NULL;
    struct pl_weights_sink *sink = NULL;
    struct pl_weights_sink_stats before, after;
    uint64_t version = 1;
    struct plain p;
    struct pl_error err;

    if (curve)
        make_keys(dir, &learner, &actor);
    ask_endpoint(pub, tcp, "pub");
    ask_endpoint(serve_at, tcp, "serve");
    ask_endpoint(plain_at, tcp, "plain");
    PL_ASSERT(pl_weights_source_create(&(struct pl_weights_source_opts){.run = "b",
                                                                        .pub_bind = pub,
                                                                        .serve_bind = serve_at,
                                                                        .table = table,
                                                                        .keys = learner,
                                                                        .versions_max = 3},
                                       &source, &err) == PL_OK);
    PL_ASSERT(pl_weights_sink_create(
                  &(struct pl_weights_sink_opts){.run = "b",
                                                 .pub = pl_weights_source_pub(source),
                                                 .serve = pl_weights_source_serve(source),
                                                 .table = table,
                                                 .keys = actor,
                                                 .versions_max = 2},
                  &sink, &err) == PL_OK);
    plain_begin(&p, plain_at);
    for (int warm = 0; warm < 3; warm++) {
        (void)plain_run(&p);
        (void)broadcast(source, sink, version++);
        pl_weights_source_drop(source, version - 1);
    }
    before = pl_weights_sink_stats(sink);
    for (size_t i = 0; i < RUNS; i++) {
        struct parts parts;

        step((uint32_t)version);
        version += delta ? 0 : 1; /* none before it: a snapshot */
        plain[i] = plain_run(&p);
        parts = broadcast(source, sink, version);
        whole[i] = parts.whole_s - (delta ? 0 : parts.publish_s);
        publish[i] = parts.publish_s;
        pl_weights_source_drop(source, version++);
    }
    after = pl_weights_sink_stats(sink);
    PL_ASSERT((delta ? after.deltas - before.deltas : after.snapshots - before.snapshots) == RUNS);
    plain_s = pl_bench_median(plain, RUNS);
    whole_s = pl_bench_median(whole, RUNS);
    printf("{\"case\":\"%s\",\"bytes\":%zu,\"sent_bytes\":%llu,\"ms\":%.1f,\"publish_ms\":%.1f,"
           "\"plain_ms\":%.1f,\"ratio\":%.2f,\"aim\":2}\n",
           name, BYTES, (unsigned long long)((after.bytes - before.bytes) / RUNS), 1e3 * whole_s,
           1e3 * pl_bench_median(publish, RUNS), 1e3 * plain_s, whole_s / plain_s);
    fflush(stdout);
    plain_end(&p);
    pl_weights_sink_destroy(sink);
    pl_weights_source_destroy(source);
    pl_keys_destroy(learner);
    pl_keys_destroy(actor);
    if (curve)
        PL_ASSERT(pl_dir_remove(dir, &err) == PL_OK);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool tcp, delta, curve;
    } cases[] = {{"broadcast.ipc.snapshot", false, false, false},
                 {"broadcast.ipc.delta", false, true, false},
                 {"broadcast.tcp.snapshot", true, false, false},
                 {"broadcast.tcp.delta", true, true, false},
                 {"broadcast.curve.snapshot", true, false, true},
                 {"broadcast.curve.delta", true, true, true}};

    fill();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool wanted = argc == 1;

        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], cases[c].name) == 0;
        if (wanted)
            run(cases[c].name, cases[c].tcp, cases[c].delta, cases[c].curve);
    }
    free(values);
    free(got);
    return 0;
}
