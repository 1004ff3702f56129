/*
 * Weights over ZeroMQ: versions arrive whole and equal, by delta where that can be and by snapshot
 * where not; late and forgotten peers; a source that dies; one that lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/link/bcast.h"
#include "common/link/version.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { VALUES = 1500000 }; /* three chunks */

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .first = 0, .count = 1000000},
                                                 {.name = "b", .first = 1000000, .count = 500000}};
static const struct pl_bcast_table table = {tensors, 2, VALUES};
static uint16_t values[4][VALUES], got[VALUES];
static char pub[64], serve[64];

/* Version v differs from v - 1 in a thousandth of its values. */
static void fill(void)
{
    const struct pl_rng rng = {.seed = 9, .batch = (uint32_t)PL_RNG_TEST};

    for (uint32_t i = 0; i < VALUES; i++)
        values[0][i] = (uint16_t)(0x3F00 + pl_rng_below(&rng, i, 128));
    for (size_t v = 1; v < 4; v++) {
        memcpy(values[v], values[v - 1], sizeof values[v]);
        for (uint32_t i = 0; i < VALUES / 1000; i++)
            values[v][pl_rng_below(&rng, (uint32_t)(v * VALUES + i), VALUES)] ^= 3;
    }
}

static struct pl_weights_source *source(size_t versions_max)
{
    const struct pl_weights_source_opts opts = {.run = "r",
                                                .pub_bind = pub,
                                                .serve_bind = serve,
                                                .table = table,
                                                .versions_max = versions_max};
    struct pl_weights_source *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_source_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct pl_weights_sink *sink_at(const char *pub_at, const char *serve_at)
{
    const struct pl_weights_sink_opts opts = {
        .run = "r", .pub = pub_at, .serve = serve_at, .table = table};
    struct pl_weights_sink *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_sink_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
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
    unsigned char hash[PL_HASH_BYTES], want[PL_HASH_BYTES];
    struct pl_error err = {0};

    memset(got, 0, sizeof got);
    if (pl_weights_sink_get(s, version, 20000, got, hash, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(got, values[version - 1], sizeof got);
    assert_int_equal(pl_values_hash(got, VALUES, want), PL_OK);
    assert_memory_equal(hash, want, sizeof want);
}

static void use(const char *pub_at, const char *serve_at)
{
    snprintf(pub, sizeof pub, "%s", pub_at);
    snprintf(serve, sizeof serve, "%s", serve_at);
}

static void use_ipc(void)
{
    char at[2][64];

    snprintf(at[0], sizeof at[0], "ipc:///tmp/plait-bcast-%d.pub", (int)getpid());
    snprintf(at[1], sizeof at[1], "ipc:///tmp/plait-bcast-%d.serve", (int)getpid());
    use(at[0], at[1]);
}

static void versions_follow_by_delta(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pl_weights_source *from;
        struct pl_weights_sink *to;

        if (tcp)
            use("tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
        else
            use_ipc();
        from = source(4);
        to = sink_at(pl_weights_source_pub(from), pl_weights_source_serve(from));
        for (uint64_t v = 1; v <= 4; v++) {
            publish(from, v);
            expect(to, v);
            assert_int_equal(pl_weights_sink_newest(to) >= v, 1);
        }
        const struct pl_weights_sink_stats stats = pl_weights_sink_stats(to);

        assert_int_equal(stats.snapshots, 1);
        assert_int_equal(stats.deltas, 3);
        assert_int_equal(stats.refused, 0);
        assert_true(stats.bytes < sizeof got + sizeof got / 20); /* deltas are small */
        expect(to, 3);                                           /* still kept */
        pl_weights_sink_destroy(to);
        pl_weights_source_destroy(from);
    }
}

static void a_late_sink_takes_the_snapshot_it_asks_for(void **state)
{
    struct pl_weights_source *from;
    struct pl_weights_sink *to;

    (void)state;
    use_ipc();
    from = source(4);
    for (uint64_t v = 1; v <= 4; v++)
        publish(from, v);
    to = sink_at(pub, serve);
    expect(to, 2);
    expect(to, 4);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
}

static void what_is_absent_is_said_and_waited_for(void **state)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_weights_source *from;
    struct pl_weights_sink *to;
    struct pl_error err = {0};

    (void)state;
    use_ipc();
    from = source(2);
    publish(from, 1);
    publish(from, 2);
    assert_int_equal(pl_weights_source_publish(from, 2, 1, values[1], hash, &err), PL_EINVAL);
    assert_int_equal(pl_weights_source_publish(from, 3, 2, values[2], hash, &err), PL_EFULL);
    pl_weights_source_drop(from, 2);
    assert_int_equal(pl_weights_source_stats(from).kept, 1);
    to = sink_at(pub, serve);
    assert_int_equal(pl_weights_sink_get(to, 1, 300, got, hash, &err), PL_ENOENT);
    assert_non_null(strstr(err.text, "version 1 of the weights did not come in time"));
    assert_non_null(strstr(err.text, "the source does not have it"));
    publish(from, 3);
    expect(to, 3);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
}

static void a_source_that_dies_and_comes_back_is_found_again(void **state)
{
    struct pl_weights_source *from;
    struct pl_weights_sink *to;

    (void)state;
    use_ipc();
    from = source(4);
    publish(from, 1);
    to = sink_at(pub, serve);
    expect(to, 1);
    pl_weights_source_destroy(from);
    from = source(4);
    publish(from, 2); /* it has no version 1 any more: a snapshot */
    expect(to, 2);
    publish(from, 3);
    expect(to, 3);
    assert_int_equal(pl_weights_sink_stats(to).snapshots, 2);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
}

/* A source that answers as it is told: each way to lie is refused, and nothing is handed out. */
enum lie { LIE_HASH, LIE_WHOLE, LIE_SIZE, LIE_NAN, LIE_GARBAGE, LIES };

static uint16_t bad[VALUES];

static void answer(void *router, enum lie lie)
{
    struct pl_chunks chunks;
    struct pl_manifest m = {.run = "r", .version = 1, .values = VALUES, .transfer_count = 1};
    struct pl_weights_request r;
    struct pl_buf head, payload;
    char question[512];
    zmq_msg_t peer;
    int n;

    zmq_msg_init(&peer);
    if (zmq_msg_recv(&peer, router, 0) < 0)
        return;
    n = zmq_recv(router, question, sizeof question, 0);
    assert_int_equal(pl_weights_request_decode(question, (size_t)n, false, &r, NULL), PL_OK);
    memcpy(bad, values[0], sizeof bad);
    if (lie == LIE_NAN)
        bad[VALUES - 1] = 0x7FC0;
    assert_int_equal(pl_chunks_make(bad, sizeof bad, true, &chunks), PL_OK);
    pl_chunks_hash(chunks.list, chunks.count, m.hash);
    m.hash[0] ^= lie == LIE_WHOLE;
    m.transfers[0] = (struct pl_transfer){
        .snapshot = true, .chunks = chunks.list, .chunk_count = chunks.count - (lie == LIE_SIZE)};
    pl_buf_init(&head, 1 << 20);
    pl_buf_init(&payload, 4 << 20);
    assert_int_equal(pl_weights_request_encode(&r, true, &head), PL_OK);
    if (r.what == PL_WEIGHTS_MANIFEST && lie == LIE_GARBAGE)
        pl_buf_puts(&payload, "no manifest at all");
    else if (r.what == PL_WEIGHTS_MANIFEST)
        assert_int_equal(pl_manifest_encode(&m, &payload), PL_OK);
    else
        pl_buf_append(&payload, chunks.bytes[r.chunk], chunks.list[r.chunk].bytes);
    if (r.what == PL_WEIGHTS_CHUNK && lie == LIE_HASH)
        payload.data[1000] ^= 1;
    zmq_msg_send(&peer, router, ZMQ_SNDMORE);
    zmq_send(router, head.data, head.len, ZMQ_SNDMORE);
    zmq_send(router, payload.data, payload.len, 0);
    pl_buf_release(&head);
    pl_buf_release(&payload);
    pl_chunks_release(&chunks);
}

struct liar {
    void *router;
    enum lie lie;
    pthread_mutex_t lock;
    bool stop;
};

static void *lie_on(void *at)
{
    struct liar *liar = at;
    bool stop = false;

    while (!stop) {
        zmq_pollitem_t item = {liar->router, 0, ZMQ_POLLIN, 0};

        if (zmq_poll(&item, 1, 20) > 0)
            answer(liar->router, liar->lie);
        pthread_mutex_lock(&liar->lock);
        stop = liar->stop;
        pthread_mutex_unlock(&liar->lock);
    }
    return NULL;
}

static void a_source_that_lies_is_refused(void **state)
{
    static const char *const said[LIES] = {"not what its hash says", "hash that was promised",
                                           "a snapshot of", "is not finite", "no message"};

    (void)state;
    for (int lie = LIE_HASH; lie < LIES; lie++) {
        void *context = zmq_ctx_new();
        struct liar liar = {zmq_socket(context, ZMQ_ROUTER), (enum lie)lie,
                            PTHREAD_MUTEX_INITIALIZER, false};
        unsigned char hash[PL_HASH_BYTES];
        struct pl_error err = {0};
        const int linger = 0;
        struct pl_weights_sink *to;
        pthread_t thread;

        use_ipc();
        zmq_setsockopt(liar.router, ZMQ_LINGER, &linger, sizeof linger);
        assert_int_equal(zmq_bind(liar.router, serve), 0);
        pthread_create(&thread, NULL, lie_on, &liar);
        to = sink_at(pub, serve);
        assert_int_equal(pl_weights_sink_get(to, 1, 800, got, hash, &err), PL_ENOENT);
        if (!strstr(err.text, said[lie]))
            fail_msg("'%s' does not say '%s'", err.text, said[lie]);
        assert_true(pl_weights_sink_stats(to).refused > 0);
        pl_weights_sink_destroy(to);
        pthread_mutex_lock(&liar.lock);
        liar.stop = true;
        pthread_mutex_unlock(&liar.lock);
        pthread_join(thread, NULL);
        zmq_close(liar.router);
        zmq_ctx_term(context);
    }
}

static void garbage_does_not_stop_a_source(void **state)
{
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    const struct pl_rng rng = {.seed = 4, .batch = (uint32_t)PL_RNG_TEST};
    const int linger = 0;
    struct pl_weights_source *from;
    struct pl_weights_sink *to;

    (void)state;
    use_ipc();
    from = source(4);
    publish(from, 1);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_connect(dealer, serve), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        char bytes[64];
        const size_t len = pl_rng_below(&rng, i, sizeof bytes);

        for (size_t k = 0; k < len; k++)
            bytes[k] = (char)pl_rng_below(&rng, (uint32_t)(10000 + i * 64 + k), 256);
        zmq_send(dealer, bytes, len, i % 3 == 0 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(dealer, "", 0, 0);
    to = sink_at(pub, serve);
    expect(to, 1);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
    zmq_close(dealer);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_follow_by_delta),
        cmocka_unit_test(a_late_sink_takes_the_snapshot_it_asks_for),
        cmocka_unit_test(what_is_absent_is_said_and_waited_for),
        cmocka_unit_test(a_source_that_dies_and_comes_back_is_found_again),
        cmocka_unit_test(a_source_that_lies_is_refused),
        cmocka_unit_test(garbage_does_not_stop_a_source),
    };

    fill();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
