/*
 * Versions of the weights on a line that breaks messages: between a source and many sinks stands
 * somebody who flips bits of what is sent, cuts it, adds to it, sends it twice, sends what was sent
 * before in its place, answers another question, announces what was announced long ago. Whatever
 * comes, a sink hands out a version with the values that were published, or it does not hand it
 * out; sinks join late and leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/chaos/torture/results.h"

#include "common/link/bcast.h"
#include "common/link/version.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    SINKS_MAX = 32,
    PEERS_MAX = 80, /* of the line: sinks that are there, and some that left */
    KEPT = 64,      /* messages that may be sent again */
    VALUES_SHORT = 3000,
    VALUES_LONG = 540000, /* two blocks */
    PATIENCE_S = 120,     /* for one version */
};

static size_t value_count, sinks;
static uint64_t versions;
static struct pl_bcast_tensor tensor = {.name = "a"};
static struct pl_bcast_table table = {&tensor, 1, 0};
static char source_pub[96], source_serve[96], pub[96], serve[96];

/* What each version is: a hash of its values is kept, and the values themselves can be made. */
static unsigned char (*hashes)[PL_HASH_BYTES];
static _Atomic uint64_t published;

static void fill(uint16_t *values, uint64_t version)
{
    for (size_t i = 0; i < value_count; i++) {
        const uint64_t moved =
            (i * 2654435761u + 17) % 97 < version % 97 ? version / 97 + 1 : version / 97;

        values[i] = (uint16_t)(0x3F00 + (i * 31 + moved * 7) % 128);
    }
}

/* ---- the line ---- */

struct line {
    void *context;
    void *router, *pub, *sub;
    struct {
        zmq_msg_t peer;
        void *dealer;
        uint64_t asked; /* when, in questions */
    } peers[PEERS_MAX];
    size_t peer_count;
    struct {
        unsigned char *bytes[2];
        size_t len[2];
    } kept[KEPT]; /* answers, head and payload */
    unsigned char *announced[KEPT];
    size_t announced_len[KEPT];
    uint64_t answers, announcements, broken, questions, seed;
    uint32_t percent; /* of messages that are broken */
    atomic_bool stop;
};

static void *socket_at(void *context, int type, const char *endpoint, bool bind)
{
    const int linger = 0, none = 0;
    void *s = zmq_socket(context, type);

    assert_non_null(s);
    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof none);
    assert_int_equal(bind ? zmq_bind(s, endpoint) : zmq_connect(s, endpoint), 0);
    return s;
}

/* The connection that answers for a peer; who asked longest ago has left. */
static void *backend_of(struct line *l, zmq_msg_t *peer)
{
    size_t at = 0;

    l->questions++;
    for (size_t i = 0; i < l->peer_count; i++) {
        if (zmq_msg_size(&l->peers[i].peer) == zmq_msg_size(peer) &&
            memcmp(zmq_msg_data(&l->peers[i].peer), zmq_msg_data(peer), zmq_msg_size(peer)) == 0) {
            l->peers[i].asked = l->questions;
            return l->peers[i].dealer;
        }
        at = l->peers[i].asked < l->peers[at].asked ? i : at;
    }
    if (l->peer_count < PEERS_MAX) {
        at = l->peer_count++;
        zmq_msg_init(&l->peers[at].peer);
    } else {
        zmq_close(l->peers[at].dealer);
    }
    zmq_msg_copy(&l->peers[at].peer, peer);
    l->peers[at].dealer = socket_at(l->context, ZMQ_DEALER, source_serve, false);
    l->peers[at].asked = l->questions;
    return l->peers[at].dealer;
}

static void keep(unsigned char **bytes, size_t *len, const void *data, size_t n)
{
    *bytes = realloc(*bytes, n + 1);
    assert_non_null(*bytes);
    memcpy(*bytes, data, n);
    *len = n;
}

static void flip(unsigned char *bytes, size_t len, uint64_t *seed)
{
    if (len > 0)
        bytes[pl_torture_below(seed, (uint32_t)len)] ^=
            (unsigned char)(1u << pl_torture_below(seed, 8));
}

/* One part, broken; from malloc(). */
static unsigned char *broken(struct line *l, const void *data, size_t len, size_t *ret_len)
{
    unsigned char *bytes = malloc(len + 65);

    assert_non_null(bytes);
    memcpy(bytes, data, len);
    switch (pl_torture_below(&l->seed, 5)) {
    case 0:
        flip(bytes, len, &l->seed);
        break;
    case 1:
        for (int i = 0; i < 9; i++)
            flip(bytes, len, &l->seed);
        break;
    case 2:
        len = len ? pl_torture_below(&l->seed, (uint32_t)len) : 0;
        break;
    case 3:
        for (uint32_t n = 1 + pl_torture_below(&l->seed, 64); n > 0; n--)
            bytes[len++] = (unsigned char)pl_torture_draw(&l->seed);
        break;
    default:
        for (size_t at = len ? pl_torture_below(&l->seed, (uint32_t)len) : 0, i = at;
             i < len && i < at + 16; i++)
            bytes[i] = 0;
    }
    *ret_len = len;
    return bytes;
}

static void pass_answer(struct line *l, zmq_msg_t *peer, const zmq_msg_t part[2])
{
    const void *data[2] = {zmq_msg_data((zmq_msg_t *)&part[0]),
                           zmq_msg_data((zmq_msg_t *)&part[1])};
    size_t len[2] = {zmq_msg_size(&part[0]), zmq_msg_size(&part[1])};
    const size_t slot = l->answers % KEPT, old = pl_torture_below(&l->seed, KEPT);
    unsigned char *made = NULL;
    bool breaks = pl_torture_below(&l->seed, 100) < l->percent;
    int times = 1;

    l->answers++;
    if (breaks) {
        l->broken++;
        /* Few lose the head of an answer: that costs a time-out of a second. */
        switch (pl_torture_below(&l->seed, 50) < 48 ? pl_torture_below(&l->seed, 6) + 2
                                                    : pl_torture_below(&l->seed, 2)) {
        case 2: /* twice */
            times = 2;
            break;
        case 3: /* another payload, that was sent before */
            if (l->kept[old].bytes[1]) {
                data[1] = l->kept[old].bytes[1];
                len[1] = l->kept[old].len[1];
            }
            break;
        case 0: /* the whole of an answer that was sent before, to whomever */
            if (l->kept[old].bytes[0]) {
                for (int i = 0; i < 2; i++) {
                    data[i] = l->kept[old].bytes[i];
                    len[i] = l->kept[old].len[i];
                }
            }
            break;
        case 1: /* its head */
            data[0] = made = broken(l, data[0], len[0], &len[0]);
            break;
        default: /* its payload */
            data[1] = made = broken(l, data[1], len[1], &len[1]);
        }
    }
    for (; times > 0; times--) {
        zmq_send(l->router, zmq_msg_data(peer), zmq_msg_size(peer), ZMQ_SNDMORE);
        zmq_send(l->router, data[0], len[0], ZMQ_SNDMORE);
        zmq_send(l->router, data[1], len[1], 0);
    }
    if (!breaks)
        for (int i = 0; i < 2; i++)
            keep(&l->kept[slot].bytes[i], &l->kept[slot].len[i], data[i], len[i]);
    free(made);
}

static void take_answer(struct line *l, size_t at)
{
    zmq_msg_t part[2];
    int more = 0;
    size_t n = 0, size = sizeof more;

    do {
        zmq_msg_t *m = &part[n < 2 ? n : 1];

        if (n >= 2)
            zmq_msg_close(m);
        zmq_msg_init(m);
        if (zmq_msg_recv(m, l->peers[at].dealer, 0) < 0)
            break;
        zmq_getsockopt(l->peers[at].dealer, ZMQ_RCVMORE, &more, &size);
        n++;
    } while (more);
    if (n == 2)
        pass_answer(l, &l->peers[at].peer, part);
    for (size_t i = 0; i < (n < 2 ? n : 2); i++)
        zmq_msg_close(&part[i]);
}

static void take_question(struct line *l)
{
    zmq_msg_t peer, question;
    void *backend;

    zmq_msg_init(&peer);
    zmq_msg_init(&question);
    zmq_msg_recv(&peer, l->router, 0);
    zmq_msg_recv(&question, l->router, 0);
    backend = backend_of(l, &peer);
    zmq_send(backend, zmq_msg_data(&question), zmq_msg_size(&question), 0);
    zmq_msg_close(&peer);
    zmq_msg_close(&question);
}

/* Announcements are one or two parts: the last one is what is broken. */
static void take_announcement(struct line *l)
{
    int more = 1;
    size_t size = sizeof more;

    while (more) {
        zmq_msg_t m;
        const void *data;
        unsigned char *made = NULL;
        size_t len;

        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, l->sub, 0) < 0)
            return;
        zmq_getsockopt(l->sub, ZMQ_RCVMORE, &more, &size);
        data = zmq_msg_data(&m);
        len = zmq_msg_size(&m);
        if (!more) {
            const size_t slot = l->announcements % KEPT, old = pl_torture_below(&l->seed, KEPT);

            l->announcements++;
            if (pl_torture_below(&l->seed, 100) < l->percent) {
                l->broken++;
                if (pl_torture_below(&l->seed, 2) && l->announced[old]) {
                    data = l->announced[old];
                    len = l->announced_len[old];
                } else {
                    data = made = broken(l, data, len, &len);
                }
            } else {
                keep(&l->announced[slot], &l->announced_len[slot], data, len);
            }
        }
        zmq_send(l->pub, data, len, more ? ZMQ_SNDMORE : 0);
        free(made);
        zmq_msg_close(&m);
    }
}

static void *serve_line(void *at)
{
    struct line *l = at;

    while (!l->stop) {
        zmq_pollitem_t items[2 + PEERS_MAX] = {{l->router, 0, ZMQ_POLLIN, 0},
                                               {l->sub, 0, ZMQ_POLLIN, 0}};
        const size_t peers = l->peer_count;

        for (size_t i = 0; i < peers; i++)
            items[2 + i] = (zmq_pollitem_t){l->peers[i].dealer, 0, ZMQ_POLLIN, 0};
        if (zmq_poll(items, (int)(2 + peers), 20) <= 0)
            continue;
        for (size_t i = 0; i < peers; i++)
            if (items[2 + i].revents)
                take_answer(l, i);
        if (items[1].revents)
            take_announcement(l);
        if (items[0].revents) /* last: it may end a peer */
            take_question(l);
    }
    return NULL;
}

/* ---- sinks ---- */

static struct pl_weights_sink *open_sink(void)
{
    const struct pl_weights_sink_opts opts = {
        .run = "r", .pub = pub, .serve = serve, .table = table};
    struct pl_weights_sink *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_sink_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

struct member {
    pthread_t thread;
    size_t number;
    _Atomic uint64_t has; /* the newest version that it has had */
    uint64_t installs, torn, backwards, refused, joined;
};

static atomic_bool stopping;

static void *follow(void *at)
{
    struct member *m = at;
    struct pl_weights_sink *sink = open_sink();
    uint16_t *want = malloc(value_count * sizeof *want);
    uint64_t lives = 0;

    while (want && !stopping) {
        const uint64_t version = published;
        unsigned char hash[PL_HASH_BYTES];
        const uint16_t *got = NULL;
        struct pl_error err = {0};

        if (version == m->has) {
            usleep(1000);
            continue;
        }
        if (pl_weights_sink_get(sink, version, 1000, &got, hash, &err) < 0)
            continue;
        fill(want, version);
        m->installs++;
        m->torn += memcmp(got, want, value_count * sizeof *want) != 0 ||
                   memcmp(hash, hashes[version], PL_HASH_BYTES) != 0;
        m->has = version;
        if ((version + m->number) % 16 == 0) { /* leaves, and another one joins late */
            m->refused += pl_weights_sink_stats(sink).refused;
            pl_weights_sink_destroy(sink);
            sink = open_sink();
            lives++;
        }
    }
    m->joined = lives;
    m->refused += pl_weights_sink_stats(sink).refused;
    free(want);
    pl_weights_sink_destroy(sink);
    return NULL;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void name_endpoints(void)
{
    const int pid = (int)getpid();

    snprintf(source_pub, sizeof source_pub, "ipc:///tmp/plait-torture-%d.spub", pid);
    snprintf(source_serve, sizeof source_serve, "ipc:///tmp/plait-torture-%d.sserve", pid);
    snprintf(pub, sizeof pub, "ipc:///tmp/plait-torture-%d.pub", pid);
    snprintf(serve, sizeof serve, "ipc:///tmp/plait-torture-%d.serve", pid);
}

static void no_version_is_torn(void **state)
{
    const struct pl_weights_source_opts opts = {.run = "r",
                                                .pub_bind = source_pub,
                                                .serve_bind = source_serve,
                                                .table = table,
                                                .versions_max = 4};
    struct line line = {.context = zmq_ctx_new(), .seed = 1, .percent = 40};
    static struct member members[SINKS_MAX];
    struct pl_weights_source *source = NULL;
    uint64_t wrong = 0, installs = 0, refused = 0, joined = 0, torn = 0;
    uint16_t *values = malloc(value_count * sizeof *values);
    struct pl_error err = {0};
    pthread_t thread;

    (void)state;
    assert_non_null(values);
    if (pl_weights_source_create(&opts, &source, &err) < 0)
        fail_msg("%s", err.text);
    line.router = socket_at(line.context, ZMQ_ROUTER, serve, true);
    line.pub = socket_at(line.context, ZMQ_PUB, pub, true);
    line.sub = socket_at(line.context, ZMQ_SUB, source_pub, false);
    zmq_setsockopt(line.sub, ZMQ_SUBSCRIBE, "", 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_line, &line), 0);
    for (size_t i = 0; i < sinks; i++) {
        members[i].number = i;
        assert_int_equal(pthread_create(&members[i].thread, NULL, follow, &members[i]), 0);
    }
    for (uint64_t v = 1; v <= versions && wrong == 0; v++) {
        const double start = seconds();

        fill(values, v);
        pl_weights_source_drop(source, v > 3 ? v - 3 : 0);
        if (pl_values_hash(values, value_count, hashes[v]) < 0 ||
            pl_weights_source_publish(source, v, v, values, hashes[v], &err) < 0)
            fail_msg("%s", err.text);
        published = v;
        for (size_t i = 0; i < sinks; i++)
            while (members[i].has < v && seconds() - start < PATIENCE_S)
                usleep(500);
        for (size_t i = 0; i < sinks; i++)
            if (members[i].has < v)
                wrong += pl_torture_wrong("sink %zu has version %d, not %d, after %d s", i,
                                          (int)members[i].has, (int)v, PATIENCE_S);
    }
    stopping = true;
    for (size_t i = 0; i < sinks; i++) {
        pthread_join(members[i].thread, NULL);
        installs += members[i].installs;
        refused += members[i].refused;
        joined += members[i].joined;
        torn += members[i].torn;
    }
    line.stop = true;
    pthread_join(thread, NULL);
    if (torn > 0)
        wrong += pl_torture_wrong("%llu installs are torn", (unsigned long long)torn);
    pl_torture_result(
        "weights", 1, line.broken, wrong,
        ", \"versions\": %llu, \"installs\": %llu, \"torn\": %llu, \"refused\": %llu, "
        "\"late\": %llu",
        (unsigned long long)versions, (unsigned long long)installs, (unsigned long long)torn,
        (unsigned long long)refused, (unsigned long long)joined);
    pl_weights_source_destroy(source);
    for (size_t i = 0; i < line.peer_count; i++) {
        zmq_close(line.peers[i].dealer);
        zmq_msg_close(&line.peers[i].peer);
    }
    zmq_close(line.router);
    zmq_close(line.pub);
    zmq_close(line.sub);
    zmq_ctx_term(line.context);
    for (size_t i = 0; i < KEPT; i++) {
        free(line.kept[i].bytes[0]);
        free(line.kept[i].bytes[1]);
        free(line.announced[i]);
    }
    free(values);
    assert_int_equal(wrong, 0);
    assert_true(line.broken > versions);
}

static int set_up(void **state)
{
    const bool is_long = pl_torture_is_long();

    (void)state;
    value_count = is_long ? VALUES_LONG : VALUES_SHORT;
    versions = is_long ? 520 : 16;
    sinks = is_long ? 24 : 8;
    tensor.count = tensor.dims[0] = (uint32_t)value_count;
    tensor.rank = 1;
    table.values = value_count;
    hashes = calloc(versions + 1, sizeof *hashes);
    name_endpoints();
    return hashes ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(source_pub + strlen("ipc://"));
    unlink(source_serve + strlen("ipc://"));
    unlink(pub + strlen("ipc://"));
    unlink(serve + strlen("ipc://"));
    free(hashes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_version_is_torn)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
