/*
 * A relay of weights: sinks behind it have the bytes of the source, which sends each chunk once,
 * whoever comes and when; it goes on without the source, and begins anew without anything; what is
 * not as it should be it takes from nobody; its memory is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/rng.h"
#include "common/link/bcast.h"
#include "common/link/peers.h"
#include "common/link/relay.h"
#include "common/link/seal.h"
#include "common/link/version.h"
#include "tests/scratch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { VALUES = 1500000, BLOCKS = 3, VERSIONS = 6, MIB = 1 << 20 };

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .first = 0, .count = VALUES}};
static const struct pl_bcast_table table = {tensors, 1, VALUES};
static uint16_t values[VERSIONS][VALUES];

/* Version v differs from v - 1 in a thousandth of its values. */
static void fill(void)
{
    const struct pl_rng rng = {.seed = 11, .batch = (uint32_t)PL_RNG_TEST};

    for (uint32_t i = 0; i < VALUES; i++)
        values[0][i] = (uint16_t)(0x3F00 + pl_rng_below(&rng, i, 128));
    for (size_t v = 1; v < VERSIONS; v++) {
        memcpy(values[v], values[v - 1], sizeof values[v]);
        for (uint32_t i = 0; i < VALUES / 1000; i++)
            values[v][pl_rng_below(&rng, (uint32_t)(v * VALUES + i), VALUES)] ^= 3;
    }
}

/* ---- who takes part ---- */

struct ends {
    char pub[128], serve[128];
};

/* Names of sockets that are the test's own. */
static struct ends ends(const char *name)
{
    struct ends e;

    snprintf(e.pub, sizeof e.pub, "ipc://%s.pub", pl_scratch(name));
    snprintf(e.serve, sizeof e.serve, "ipc://%s.serve", pl_scratch(name));
    return e;
}

static struct pl_weights_source *source_of(uint64_t life, struct ends at)
{
    const struct pl_weights_source_opts opts = {.run = "r",
                                                .life = {"00112233445566778899aabbccddeeff", life},
                                                .pub_bind = at.pub,
                                                .serve_bind = at.serve,
                                                .table = table,
                                                .versions_max = VERSIONS};
    struct pl_weights_source *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_source_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct pl_weights_source *source(struct ends at)
{
    return source_of(1, at);
}

static struct pl_weights_sink *sink(struct ends at)
{
    const struct pl_weights_sink_opts opts = {
        .run = "r", .pub = at.pub, .serve = at.serve, .table = table};
    struct pl_weights_sink *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_sink_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct pl_relay *relay_of(struct ends from, struct ends at, size_t cache_bytes,
                                 uint64_t silence_ms)
{
    const struct pl_relay_opts opts = {.run = "r",
                                       .pub = from.pub,
                                       .serve = from.serve,
                                       .pub_bind = at.pub,
                                       .serve_bind = at.serve,
                                       .cache_bytes = cache_bytes,
                                       .silence_ms = silence_ms};
    struct pl_relay *r = NULL;
    struct pl_error err = {0};

    if (pl_relay_create(&opts, &r, &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

static struct pl_relay *relay(struct ends from, struct ends at)
{
    return relay_of(from, at, 64 * MIB, 0);
}

static void publish(struct pl_weights_source *s, uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};

    if (pl_weights_source_publish(s, version, version - 1, values[version - 1], hash, &err) < 0)
        fail_msg("%s", err.text);
}

static void expect(struct pl_weights_sink *s, uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;

    if (pl_weights_sink_get(s, version, 20000, &got, hash, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(got, values[version - 1], sizeof values[0]);
}

/* It does not come, and some time the sentence says `why`. */
static void expect_none(struct pl_weights_sink *s, uint64_t version, const char *why)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;

    for (int i = 0; i < 200; i++) {
        assert_int_equal(pl_weights_sink_get(s, version, 300, &got, hash, &err), PL_ENOENT);
        if (strstr(err.text, why))
            return;
    }
    fail_msg("'%s' does not say '%s'", err.text, why);
}

/* Until it is so, at most a minute. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        for (unsigned tries_ = 0; !(condition); tries_++) {                                        \
            if (tries_ == 60000)                                                                   \
                fail_msg("not so after a minute: %s", #condition);                                 \
            usleep(1000);                                                                          \
        }                                                                                          \
    } while (0)

/* ---- what stands between a relay and its source, and does not do as it should ---- */

enum mischief {
    NOTHING,
    FLIP_ONCE,     /* one bit of the first chunk that comes by */
    FLIP_ALWAYS,   /* of each */
    FLIP_MANIFEST, /* of each manifest */
    HOLD_LAST,     /* the last chunk of a snapshot does not arrive */
    LOSE_SOME,     /* every third answer */
    BABBLE,        /* things that are no answers, beside them */
};

struct meddler {
    void *context, *front, *back;
    struct ends at, from;
    _Atomic int what;
    atomic_bool stop;
    unsigned seen, chunks[2][BLOCKS]; /* seen: answers; chunks: questions */
    char peer[256];                   /* who asked last */
    size_t peer_len;
    pthread_t thread;
};

static void babble(struct meddler *m)
{
    static const char *const words[] = {"", "x", "no answer at all"};

    for (size_t i = 0; i < 3; i++) {
        zmq_send(m->front, m->peer, m->peer_len, ZMQ_SNDMORE);
        zmq_send(m->front, words[i], strlen(words[i]), i > 0 ? ZMQ_SNDMORE : 0);
        if (i > 0)
            zmq_send(m->front, "y", 1, 0);
    }
}

/* [head][payload] from the source to the relay. */
static void bring_answer(struct meddler *m)
{
    const int what = atomic_load(&m->what);
    struct pl_weights_request a;
    zmq_msg_t head, payload;
    bool flip, lose;

    zmq_msg_init(&head);
    zmq_msg_init(&payload);
    zmq_msg_recv(&head, m->back, 0);
    zmq_msg_recv(&payload, m->back, 0);
    assert_int_equal(
        pl_weights_request_decode(zmq_msg_data(&head), zmq_msg_size(&head), true, &a, NULL), PL_OK);
    m->seen++;
    flip = a.what == PL_WEIGHTS_CHUNK ? what == FLIP_ONCE || what == FLIP_ALWAYS
                                      : what == FLIP_MANIFEST;
    lose = (what == LOSE_SOME && m->seen % 3 == 0) ||
           (what == HOLD_LAST && a.what == PL_WEIGHTS_CHUNK && a.transfer == 0 &&
            a.chunk == BLOCKS - 1);
    if (what == BABBLE)
        babble(m);
    if (flip && a.error == PL_WEIGHTS_FINE)
        ((char *)zmq_msg_data(&payload))[zmq_msg_size(&payload) / 2] ^= 0x10;
    if (flip && what == FLIP_ONCE)
        atomic_store(&m->what, NOTHING);
    if (!lose) {
        zmq_send(m->front, m->peer, m->peer_len, ZMQ_SNDMORE);
        zmq_msg_send(&head, m->front, ZMQ_SNDMORE);
        zmq_msg_send(&payload, m->front, 0);
    }
    zmq_msg_close(&head);
    zmq_msg_close(&payload);
}

static void bring_question(struct meddler *m)
{
    struct pl_weights_request q;
    zmq_msg_t question;

    m->peer_len = (size_t)zmq_recv(m->front, m->peer, sizeof m->peer, 0);
    zmq_msg_init(&question);
    zmq_msg_recv(&question, m->front, 0);
    assert_int_equal(pl_weights_request_decode(zmq_msg_data(&question), zmq_msg_size(&question),
                                               false, &q, NULL),
                     PL_OK);
    if (q.what == PL_WEIGHTS_CHUNK)
        m->chunks[q.transfer][q.chunk]++;
    zmq_msg_send(&question, m->back, 0);
}

static void *meddle(void *at)
{
    struct meddler *m = at;

    while (!atomic_load(&m->stop)) {
        zmq_pollitem_t items[] = {{m->front, 0, ZMQ_POLLIN, 0}, {m->back, 0, ZMQ_POLLIN, 0}};

        zmq_poll(items, 2, 10);
        if (items[0].revents)
            bring_question(m);
        if (items[1].revents)
            bring_answer(m);
    }
    return NULL;
}

/* Its announcements are the source's own; one relay asks. */
static void meddler_begin(struct meddler *m, struct ends from, enum mischief what)
{
    const int linger = 0;

    *m = (struct meddler){.at = ends("meddler"), .from = from};
    strcpy(m->at.pub, from.pub);
    atomic_init(&m->what, what);
    atomic_init(&m->stop, false);
    m->context = zmq_ctx_new();
    m->front = zmq_socket(m->context, ZMQ_ROUTER);
    m->back = zmq_socket(m->context, ZMQ_DEALER);
    zmq_setsockopt(m->front, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(m->back, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(m->front, m->at.serve), 0);
    assert_int_equal(zmq_connect(m->back, from.serve), 0);
    pthread_create(&m->thread, NULL, meddle, m);
}

static void meddler_end(struct meddler *m)
{
    atomic_store(&m->stop, true);
    pthread_join(m->thread, NULL);
    zmq_close(m->front);
    zmq_close(m->back);
    zmq_ctx_term(m->context);
}

/* ---- a peer by hand ---- */

static void ask(void *dealer, struct pl_weights_request q)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1024);
    strcpy(q.run, "r");
    assert_int_equal(pl_weights_request_encode(&q, false, &buf), PL_OK);
    assert_true(zmq_send(dealer, buf.data, buf.len, 0) >= 0);
    pl_buf_release(&buf);
}

/* The next answer, whose payload is appended. */
static struct pl_weights_request hear(void *dealer, struct pl_buf *payload)
{
    struct pl_weights_request answer;
    zmq_msg_t head, rest;

    zmq_msg_init(&head);
    zmq_msg_init(&rest);
    if (zmq_msg_recv(&head, dealer, 0) < 0)
        fail_msg("no answer: %s", zmq_strerror(errno));
    assert_int_equal(
        pl_weights_request_decode(zmq_msg_data(&head), zmq_msg_size(&head), true, &answer, NULL),
        PL_OK);
    assert_true(zmq_msg_more(&head));
    assert_true(zmq_msg_recv(&rest, dealer, 0) >= 0);
    assert_false(zmq_msg_more(&rest));
    if (payload)
        assert_int_equal(pl_buf_append(payload, zmq_msg_data(&rest), zmq_msg_size(&rest)), PL_OK);
    zmq_msg_close(&head);
    zmq_msg_close(&rest);
    return answer;
}

static void *peer(void *context, int type, const char *endpoint)
{
    const int linger = 0, wait_ms = 10000;
    void *socket = zmq_socket(context, type);

    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    if (type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

/* ---- the tests ---- */

static void each_chunk_is_pulled_once(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *a = sink(at), *b = sink(at), *late;
    struct pl_weights_source_stats sent;
    struct pl_relay_stats stats;

    (void)state;
    for (uint64_t v = 1; v <= 4; v++) {
        publish(from, v);
        expect(a, v);
        expect(b, v);
    }
    sent = pl_weights_source_stats(from);
    assert_int_equal(sent.chunks, 4 * BLOCKS); /* a snapshot, three times changes */
    assert_int_equal(sent.manifests, 4);
    assert_int_equal(sent.errors, 0);
    late = sink(at);
    expect(late, 4);
    sent = pl_weights_source_stats(from);
    assert_int_equal(sent.chunks, 5 * BLOCKS); /* and the snapshot of version 4 */
    WAIT_FOR(pl_relay_stats(r).downstream.chunks == 2 * 4 * BLOCKS + BLOCKS);
    stats = pl_relay_stats(r);
    assert_int_equal(stats.newest, 4);
    assert_int_equal(stats.downstream.manifests, 9);
    assert_int_equal(stats.downstream.peers, 3);
    assert_int_equal(stats.upstream.chunks, 5 * BLOCKS);
    assert_int_equal(stats.upstream.retries + stats.upstream.refused + stats.upstream.garbage, 0);
    assert_int_equal(pl_weights_sink_stats(a).deltas, 3);
    assert_int_equal(pl_weights_sink_stats(a).refused + pl_weights_sink_stats(late).refused, 0);
    pl_weights_sink_destroy(late);
    late = sink(at);
    expect(late, 4); /* out of the cache */
    assert_int_equal(pl_weights_source_stats(from).chunks, 5 * BLOCKS);
    pl_weights_sink_destroy(late);
    pl_weights_sink_destroy(a);
    pl_weights_sink_destroy(b);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* The changes of a version are there before anybody asks. */
static void changes_are_fetched_unasked(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);

    (void)state;
    publish(from, 1);
    WAIT_FOR(pl_relay_stats(r).cache.versions == 1);
    usleep(50000);
    assert_int_equal(pl_weights_source_stats(from).chunks, 0); /* no snapshot */
    publish(from, 2);
    WAIT_FOR(pl_relay_stats(r).cache.chunks == BLOCKS);
    assert_int_equal(pl_weights_source_stats(from).chunks, BLOCKS);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* Announcements and manifests may be signed: not a byte of them is another. */
static void bytes_pass_untouched(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    const struct pl_weights_request manifest = {.version = 2, .what = PL_WEIGHTS_MANIFEST};
    void *context = zmq_ctx_new();
    struct pl_weights_source *from = source(up);
    struct pl_relay *r;
    char said[2][512];
    int len[2];

    (void)state;
    publish(from, 1);
    publish(from, 2);
    r = relay(up, at);
    WAIT_FOR(pl_relay_stats(r).newest == 2);
    for (int i = 0; i < 2; i++) {
        void *sub = peer(context, ZMQ_SUB, i ? at.pub : up.pub);

        len[i] = zmq_recv(sub, said[i], sizeof said[i], 0);
        assert_true(len[i] > 32 && len[i] <= 512);
        zmq_close(sub);
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(said[0], said[1], (size_t)len[0]);
    for (uint32_t chunk = 0; chunk <= 2 * BLOCKS; chunk++) { /* 0: the manifest */
        const struct pl_weights_request q = {.version = 2,
                                             .what = PL_WEIGHTS_CHUNK,
                                             .transfer = (chunk + BLOCKS - 1) / BLOCKS - 1,
                                             .chunk = (chunk + BLOCKS - 1) % BLOCKS};
        struct pl_buf payload[2];

        for (int i = 0; i < 2; i++) {
            void *dealer = peer(context, ZMQ_DEALER, i ? at.serve : up.serve);

            pl_buf_init(&payload[i], 4 * MIB);
            ask(dealer, chunk ? q : manifest);
            assert_int_equal(hear(dealer, &payload[i]).error, PL_WEIGHTS_FINE);
            zmq_close(dealer);
        }
        assert_true(payload[0].len > 0);
        assert_int_equal(payload[0].len, payload[1].len);
        assert_memory_equal(payload[0].data, payload[1].data, payload[0].len);
        pl_buf_release(&payload[0]);
        pl_buf_release(&payload[1]);
    }
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
    zmq_ctx_term(context);
}

static void a_relay_that_is_started_again_goes_on(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *to = sink(at);

    (void)state;
    publish(from, 1);
    expect(to, 1);
    pl_relay_destroy(r);
    publish(from, 2);
    r = relay(up, at);
    expect(to, 2);
    publish(from, 3);
    expect(to, 3);
    assert_int_equal(pl_weights_sink_stats(to).snapshots, 1);
    assert_int_equal(pl_weights_sink_stats(to).deltas, 2);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* In the middle of a version: half of its chunks were had of a relay that is no more. */
static void a_relay_ends_in_the_middle_of_a_version(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_weights_sink *to;
    struct pl_relay *r;
    struct meddler m;

    (void)state;
    publish(from, 1);
    meddler_begin(&m, up, HOLD_LAST);
    r = relay(m.at, at);
    to = sink(at);
    WAIT_FOR(pl_relay_stats(r).downstream.chunks == BLOCKS - 1);
    pl_relay_destroy(r);
    atomic_store(&m.what, NOTHING);
    r = relay(m.at, at);
    expect(to, 1);
    WAIT_FOR(pl_relay_stats(r).downstream.chunks == 1); /* the rest was there */
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    meddler_end(&m);
    pl_weights_source_destroy(from);
}

static void what_is_here_is_served_without_a_source(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay_of(up, at, 64 * MIB, 300);
    struct pl_weights_sink *to = sink(at);

    (void)state;
    publish(from, 1);
    expect(to, 1);
    publish(from, 2);
    expect(to, 2);
    pl_weights_source_destroy(from);
    pl_weights_sink_destroy(to);
    to = sink(at); /* it hears of version 2, whose snapshot nobody has */
    expect(to, 1); /* but this one is here, and 2 by delta from it */
    expect(to, 2);
    expect_none(to, 3, "newest announced: 2");
    expect_none(to, 3, "the source does not have it");
    assert_true(pl_relay_stats(r).downstream.absent > 0);
    from = source(up);
    publish(from, 3); /* it has nothing else: a snapshot */
    expect(to, 3);
    publish(from, 4);
    expect(to, 4);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* A version of the same number that was made anew, as other bytes, takes the place of the first. */
static void a_version_that_was_made_anew_is_another(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *to = sink(at);
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;

    (void)state;
    publish(from, 1);
    expect(to, 1);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
    from = source(up);
    assert_int_equal(pl_weights_source_publish(from, 1, 0, values[3], hash, &err), PL_OK);
    WAIT_FOR(pl_relay_stats(r).cache.chunks == 0);
    to = sink(at);
    assert_int_equal(pl_weights_sink_get(to, 1, 20000, &got, hash, &err), PL_OK);
    assert_memory_equal(got, values[3], sizeof values[3]);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* The same values in another life of the run: who belongs to that has them of it. */
static void nothing_of_another_life_is_served(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *to = sink(at);

    (void)state;
    publish(from, 1);
    expect(to, 1);
    pl_weights_source_destroy(from);
    from = source_of(2, up);
    publish(from, 1);
    pl_weights_sink_life(to, &(struct pl_life){"00112233445566778899aabbccddeeff", 2});
    expect(to, 1);
    assert_int_equal(pl_weights_sink_stats(to).snapshots, 2);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

static void what_is_corrupt_is_refused_and_asked_again(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_weights_sink *to;
    struct pl_relay *r;
    struct meddler m;

    (void)state;
    publish(from, 1);
    meddler_begin(&m, up, FLIP_ONCE);
    r = relay(m.at, at);
    to = sink(at);
    expect(to, 1);
    WAIT_FOR(pl_relay_stats(r).upstream.chunks == BLOCKS);
    assert_int_equal(pl_relay_stats(r).upstream.refused, 1);
    assert_int_equal(pl_weights_sink_stats(to).refused, 0); /* it has seen none of it */
    assert_int_equal(m.chunks[0][0] + m.chunks[0][1] + m.chunks[0][2], BLOCKS + 1);
    atomic_store(&m.what, FLIP_ALWAYS);
    publish(from, 2);
    WAIT_FOR(pl_relay_stats(r).upstream.refused > 4);
    assert_int_equal(pl_relay_stats(r).upstream.chunks, BLOCKS); /* none of version 2 */
    atomic_store(&m.what, NOTHING);
    expect(to, 2);
    assert_int_equal(pl_weights_sink_stats(to).refused, 0);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    meddler_end(&m);
    pl_weights_source_destroy(from);
}

static void a_manifest_that_is_wrong_is_refused(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_weights_sink *to;
    struct pl_relay *r;
    struct meddler m;

    (void)state;
    publish(from, 1);
    meddler_begin(&m, up, FLIP_MANIFEST);
    r = relay(m.at, at);
    to = sink(at);
    expect_none(to, 1, "the source does not have it");
    WAIT_FOR(pl_relay_stats(r).upstream.refused > 0);
    assert_int_equal(pl_relay_stats(r).cache.versions, 0);
    assert_int_equal(pl_weights_sink_stats(to).refused, 0);
    atomic_store(&m.what, NOTHING);
    expect(to, 1);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    meddler_end(&m);
    pl_weights_source_destroy(from);
}

static void lost_and_senseless_answers_do_no_harm(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_weights_sink *to;
    struct pl_relay *r;
    struct meddler m;

    (void)state;
    publish(from, 1);
    meddler_begin(&m, up, LOSE_SOME);
    r = relay(m.at, at);
    to = sink(at);
    expect(to, 1);
    assert_true(pl_relay_stats(r).upstream.retries > 0);
    atomic_store(&m.what, BABBLE);
    publish(from, 2);
    expect(to, 2);
    assert_true(pl_relay_stats(r).upstream.garbage >= 3);
    assert_int_equal(pl_weights_sink_stats(to).refused, 0);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    meddler_end(&m);
    pl_weights_source_destroy(from);
}

/* A chunk is served while another one of the same version is still missing, and answers keep their
 * order. */
static void a_chunk_does_not_wait_for_the_others(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    void *context = zmq_ctx_new(), *dealer;
    struct pl_weights_source *from = source(up);
    struct pl_weights_request got;
    struct pl_relay *r;
    struct meddler m;

    (void)state;
    publish(from, 1);
    meddler_begin(&m, up, HOLD_LAST);
    r = relay_of(m.at, at, 64 * MIB, 20000);
    dealer = peer(context, ZMQ_DEALER, at.serve);
    for (uint32_t i = 0; i < BLOCKS; i++)
        ask(dealer,
            (struct pl_weights_request){.version = 1, .what = PL_WEIGHTS_CHUNK, .chunk = i});
    ask(dealer, (struct pl_weights_request){.version = 1, .what = PL_WEIGHTS_MANIFEST});
    for (uint32_t i = 0; i < BLOCKS - 1; i++) {
        got = hear(dealer, NULL);
        assert_int_equal(got.what, PL_WEIGHTS_CHUNK);
        assert_int_equal(got.chunk, i);
    }
    usleep(100000);
    assert_int_equal(pl_relay_stats(r).downstream.manifests, 0); /* it is not its turn */
    atomic_store(&m.what, NOTHING);
    assert_int_equal(hear(dealer, NULL).chunk, BLOCKS - 1);
    assert_int_equal(hear(dealer, NULL).what, PL_WEIGHTS_MANIFEST);
    zmq_close(dealer);
    pl_relay_destroy(r);
    meddler_end(&m);
    pl_weights_source_destroy(from);
    zmq_ctx_term(context);
}

static void a_relay_behind_a_relay(void **state)
{
    const struct ends up = ends("up"), at = ends("at"), behind = ends("behind");
    struct pl_weights_source *from = source(up);
    struct pl_relay *first = relay(up, at), *second = relay(at, behind);
    struct pl_weights_sink *a = sink(behind), *b = sink(behind), *c = sink(at);

    (void)state;
    for (uint64_t v = 1; v <= 3; v++) {
        publish(from, v);
        expect(a, v);
        expect(b, v);
        expect(c, v);
    }
    assert_int_equal(pl_weights_source_stats(from).chunks, 3 * BLOCKS);
    WAIT_FOR(pl_relay_stats(first).downstream.chunks == 2 * 3 * BLOCKS);
    WAIT_FOR(pl_relay_stats(second).upstream.chunks == 3 * BLOCKS);
    pl_weights_sink_destroy(a);
    pl_weights_sink_destroy(b);
    pl_weights_sink_destroy(c);
    pl_relay_destroy(second);
    pl_relay_destroy(first);
    pl_weights_source_destroy(from);
}

static void the_cache_is_bounded(void **state)
{
    enum { CACHE = 2 * MIB + MIB / 2 }; /* less than a snapshot */
    const struct ends up = ends("up"), at = ends("at");
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay_of(up, at, CACHE, 0);
    struct pl_weights_sink *to = sink(at), *late;
    struct pl_relay_stats stats;

    (void)state;
    for (uint64_t v = 1; v <= VERSIONS; v++) {
        publish(from, v);
        expect(to, v);
    }
    late = sink(at);
    for (uint64_t v = VERSIONS; v > 0; v--)
        expect(late, v);
    stats = pl_relay_stats(r);
    assert_true(stats.cache.evicted > BLOCKS);
    assert_true(stats.cache.bytes_most <= CACHE);
    assert_true(stats.cache.bytes_most > CACHE - 2 * MIB);
    WAIT_FOR(pl_relay_stats(r).cache.alive <= CACHE);
    pl_weights_sink_destroy(to);
    pl_weights_sink_destroy(late);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

/* One that asks and asks, and reads nothing. */
static void a_peer_that_does_not_read_costs_little(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    const int one = 1, linger = 0, small = 4096;
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *to = sink(at);
    size_t kept, most = 0;

    (void)state;
    publish(from, 1);
    expect(to, 1);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(dealer, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt(dealer, ZMQ_RCVBUF, &small, sizeof small);
    assert_int_equal(zmq_connect(dealer, at.serve), 0);
    kept = pl_relay_stats(r).cache.alive;
    for (uint32_t i = 0; i < 2000; i++) {
        const struct pl_relay_stats stats = pl_relay_stats(r);
        const uint32_t chunk = i % BLOCKS;

        ask(dealer,
            (struct pl_weights_request){.version = 1, .what = PL_WEIGHTS_CHUNK, .chunk = chunk});
        most = stats.downstream.waiting > most ? stats.downstream.waiting : most;
        if (i % 20 == 0)
            usleep(1000);
    }
    assert_true(most >= PL_PEER_BYTES);
    assert_true(most < PL_PEER_BYTES + MIB);
    assert_int_equal(pl_relay_stats(r).downstream.refused, 0); /* the same three again and again */
    for (uint32_t i = 0; i < 2 * PL_PEER_QUESTIONS; i++)
        ask(dealer, (struct pl_weights_request){.version = 100 + i});
    WAIT_FOR(pl_relay_stats(r).downstream.refused > 0); /* too many at once */
    publish(from, 2);
    expect(to, 2); /* others are served */
    assert_true(pl_relay_stats(r).cache.alive < kept + PL_PEER_BYTES + MIB);
    zmq_close(dealer);
    zmq_ctx_term(context);
    WAIT_FOR(pl_relay_stats(r).downstream.waiting == 0);
    pl_weights_sink_destroy(to);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
}

static void garbage_is_refused_and_counted(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    void *context = zmq_ctx_new(), *dealer;
    const struct pl_rng rng = {.seed = 4, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_weights_source *from = source(up);
    struct pl_relay *r = relay(up, at);
    struct pl_weights_sink *to;

    (void)state;
    publish(from, 1);
    WAIT_FOR(pl_relay_stats(r).cache.versions == 1);
    dealer = peer(context, ZMQ_DEALER, at.serve);
    zmq_send(dealer, "no question", 11, 0);
    assert_int_equal(hear(dealer, NULL).error, PL_WEIGHTS_BAD_REQUEST);
    zmq_send(dealer, "two", 3, ZMQ_SNDMORE);
    zmq_send(dealer, "parts", 5, 0);
    assert_int_equal(hear(dealer, NULL).error, PL_WEIGHTS_BAD_REQUEST);
    ask(dealer,
        (struct pl_weights_request){.version = 1, .what = PL_WEIGHTS_CHUNK, .chunk = BLOCKS});
    assert_int_equal(hear(dealer, NULL).error, PL_WEIGHTS_BAD_REQUEST);
    ask(dealer, (struct pl_weights_request){.version = 1, .what = PL_WEIGHTS_CHUNK, .transfer = 7});
    assert_int_equal(hear(dealer, NULL).error, PL_WEIGHTS_BAD_REQUEST);
    ask(dealer, (struct pl_weights_request){.version = 9, .what = PL_WEIGHTS_CHUNK});
    assert_int_equal(hear(dealer, NULL).error, PL_WEIGHTS_ABSENT);
    WAIT_FOR(pl_relay_stats(r).downstream.absent == 1);
    assert_int_equal(pl_relay_stats(r).downstream.refused, 4);
    for (uint32_t i = 0; i < 2000; i++) {
        char bytes[64];
        const size_t len = pl_rng_below(&rng, i, sizeof bytes);

        for (size_t k = 0; k < len; k++)
            bytes[k] = (char)pl_rng_below(&rng, (uint32_t)(10000 + i * 64 + k), 256);
        zmq_send(dealer, bytes, len, i % 3 == 0 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(dealer, "", 0, 0);
    to = sink(at);
    expect(to, 1);
    WAIT_FOR(pl_relay_stats(r).downstream.refused > 4 + 100);
    pl_weights_sink_destroy(to);
    zmq_close(dealer);
    pl_relay_destroy(r);
    pl_weights_source_destroy(from);
    zmq_ctx_term(context);
}

static void announcements_that_are_none_are_not_passed_on(void **state)
{
    const struct ends up = ends("up"), at = ends("at");
    const int linger = 0, short_ms = 200, long_ms = 60000;
    void *context = zmq_ctx_new(), *pub = zmq_socket(context, ZMQ_XPUB), *sub;
    struct pl_announcement other = {.run = "another", .version = 3};
    struct pl_buf body, buf;
    struct pl_relay *r;
    char said[512];

    (void)state;
    zmq_setsockopt(pub, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(pub, up.pub), 0);
    r = relay(up, at);
    assert_int_equal(zmq_recv(pub, said, sizeof said, 0), 1); /* the relay has subscribed */
    sub = peer(context, ZMQ_SUB, at.pub);
    zmq_setsockopt(sub, ZMQ_RCVTIMEO, &short_ms, sizeof short_ms);
    pl_buf_init(&body, 1024);
    pl_buf_init(&buf, 1024);
    assert_int_equal(pl_announcement_encode(&other, &body), PL_OK);
    assert_int_equal(pl_seal(NULL, PL_SEAL_ANNOUNCEMENT, &body, &buf), PL_OK);
    zmq_send(pub, buf.data, buf.len, 0);
    zmq_send(pub, "garbage", 7, 0);
    zmq_send(pub, "", 0, 0);
    WAIT_FOR(pl_relay_stats(r).upstream.garbage == 3);
    assert_int_equal(zmq_recv(sub, said, sizeof said, 0), -1);
    assert_int_equal(pl_relay_stats(r).newest, 0);
    zmq_setsockopt(sub, ZMQ_RCVTIMEO, &long_ms, sizeof long_ms);
    strcpy(other.run, "r");
    pl_buf_clear(&body);
    pl_buf_clear(&buf);
    assert_int_equal(pl_announcement_encode(&other, &body), PL_OK);
    assert_int_equal(pl_seal(NULL, PL_SEAL_ANNOUNCEMENT, &body, &buf), PL_OK);
    zmq_send(pub, buf.data, buf.len, 0);
    assert_int_equal(zmq_recv(sub, said, sizeof said, 0), buf.len);
    assert_memory_equal(said, buf.data, buf.len);
    WAIT_FOR(pl_relay_stats(r).newest == 3);
    pl_buf_release(&buf);
    pl_buf_release(&body);
    zmq_close(sub);
    zmq_close(pub);
    pl_relay_destroy(r);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chunk_is_pulled_once),
        cmocka_unit_test(changes_are_fetched_unasked),
        cmocka_unit_test(bytes_pass_untouched),
        cmocka_unit_test(a_relay_that_is_started_again_goes_on),
        cmocka_unit_test(a_relay_ends_in_the_middle_of_a_version),
        cmocka_unit_test(what_is_here_is_served_without_a_source),
        cmocka_unit_test(a_version_that_was_made_anew_is_another),
        cmocka_unit_test(nothing_of_another_life_is_served),
        cmocka_unit_test(what_is_corrupt_is_refused_and_asked_again),
        cmocka_unit_test(a_manifest_that_is_wrong_is_refused),
        cmocka_unit_test(lost_and_senseless_answers_do_no_harm),
        cmocka_unit_test(a_chunk_does_not_wait_for_the_others),
        cmocka_unit_test(a_relay_behind_a_relay),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(a_peer_that_does_not_read_costs_little),
        cmocka_unit_test(garbage_is_refused_and_counted),
        cmocka_unit_test(announcements_that_are_none_are_not_passed_on),
    };

    fill();
    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
