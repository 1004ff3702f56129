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
#include "common/link/delta.h"
#include "common/link/seal.h"
#include "common/link/version.h"
#include "tests/scratch.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>
#include <zstd.h>

enum { VALUES = 1500000 }; /* three chunks */

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .first = 0, .count = 1000000},
                                                 {.name = "b", .first = 1000000, .count = 500000}};
static const struct pl_bcast_table table = {tensors, 2, VALUES};
static uint16_t values[4][VALUES];
static const uint16_t *got;
static char pub[128], serve[128];

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

static const struct pl_life first = {"00112233445566778899aabbccddeeff", 1},
                            second = {"00112233445566778899aabbccddeeff", 2};

static struct pl_weights_source *source_of(const struct pl_life *life, size_t versions_max)
{
    const struct pl_weights_source_opts opts = {.run = "r",
                                                .life = *life,
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

static struct pl_weights_source *source(size_t versions_max)
{
    return source_of(&first, versions_max);
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

/* Every second version from the source's own room. */
static void publish(struct pl_weights_source *s, uint64_t version)
{
    const uint16_t *from = values[version - 1];
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};

    if (version % 2 == 0) {
        uint16_t *room = pl_weights_source_room(s);

        assert_non_null(room);
        from = memcpy(room, from, sizeof values[0]);
    }
    if (pl_weights_source_publish(s, version, version - 1, from, hash, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(pl_weights_source_values(s, version), values[version - 1],
                        sizeof values[0]);
    assert_null(pl_weights_source_values(s, version + 1));
}

static void expect(struct pl_weights_sink *s, uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES], want[PL_HASH_BYTES];
    struct pl_error err = {0};

    if (pl_weights_sink_get(s, version, 20000, &got, hash, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(got, values[version - 1], sizeof values[0]);
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
    snprintf(pub, sizeof pub, "ipc://%s", pl_scratch("pub"));
    snprintf(serve, sizeof serve, "ipc://%s", pl_scratch("serve"));
}

/* It does not come, and some time the sentence says `why`. */
static void expect_none(struct pl_weights_sink *s, uint64_t version, const char *why)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};

    for (int i = 0; i < 200; i++) {
        assert_int_equal(pl_weights_sink_get(s, version, 300, &got, hash, &err), PL_ENOENT);
        if (strstr(err.text, why))
            return;
    }
    fail_msg("'%s' does not say '%s'", err.text, why);
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
        assert_true(stats.bytes < sizeof values[0] + sizeof values[0] / 20); /* deltas are small */
        expect(to, 3);                                                       /* still kept */
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
    expect_none(to, 1, "version 1 of the weights did not come in time");
    expect_none(to, 1, "the source does not have it");
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

/*
 * A source that answers as it is told: each way to lie is refused, and nothing is handed out. Lies
 * about a delta are of version 2, after a version 1 that is as it should be.
 */
enum lie {
    LIE_HASH,
    LIE_WHOLE,
    LIE_COUNT,
    LIE_SIZE,
    LIE_NAN,
    LIE_GARBAGE,
    LIE_DELTA_HASH,
    LIE_DELTA_PACKED,
    LIE_DELTA_BROKEN,
    LIE_DELTA_CHECK,
    LIE_DELTA_NAN,
    LIES
};

enum { BLOCKS = 3 };

static uint16_t bad[VALUES];
static struct pl_chunk snapshot[BLOCKS], delta[BLOCKS];
static unsigned char packed[BLOCKS][2 * PL_CHUNK_BYTES];

/* What block i has of version 2: something that changed, said as the lie wants it. */
static void make_delta(size_t i, enum lie lie)
{
    const size_t n = pl_block_values(VALUES, i);
    unsigned char *plain = malloc(pl_delta_room(n));
    size_t len;

    assert_non_null(plain);
    len = pl_delta_encode(values[0] + i * PL_BLOCK_VALUES, bad + i * PL_BLOCK_VALUES, n, plain);
    if (lie == LIE_DELTA_BROKEN)
        plain[len++] = 0;
    delta[i].bytes = (uint32_t)ZSTD_compress(packed[i], sizeof packed[i], plain, len, 1);
    if (lie == LIE_DELTA_PACKED)
        memset(packed[i], 'x', delta[i].bytes);
    pl_sha256(packed[i], delta[i].bytes, delta[i].hash);
    if (lie == LIE_DELTA_HASH)
        packed[i][delta[i].bytes - 1] ^= 1;
    delta[i].check = pl_block_check(bad + i * PL_BLOCK_VALUES, n) + (lie == LIE_DELTA_CHECK);
    free(plain);
}

static void make_version(uint64_t version, enum lie lie, struct pl_manifest *m)
{
    memcpy(bad, values[version - 1], sizeof bad);
    if (lie == LIE_NAN || (lie == LIE_DELTA_NAN && version == 2))
        bad[VALUES - 1] = 0x7FC0;
    for (size_t i = 0; i < BLOCKS; i++) {
        snapshot[i].bytes = (uint32_t)(pl_block_values(VALUES, i) * sizeof *bad);
        snapshot[i].bytes -= lie == LIE_SIZE && i == 1 ? 1000 : 0;
        pl_sha256(bad + i * PL_BLOCK_VALUES, snapshot[i].bytes, snapshot[i].hash);
        if (version == 2)
            make_delta(i, lie);
    }
    *m = (struct pl_manifest){
        .run = "r", .version = version, .values = VALUES, .transfer_count = version == 2 ? 2 : 1};
    pl_chunks_hash(snapshot, BLOCKS, m->hash);
    m->hash[0] ^= lie == LIE_WHOLE;
    m->transfers[0] = (struct pl_transfer){
        .snapshot = true, .chunks = snapshot, .chunk_count = BLOCKS - (lie == LIE_COUNT)};
    m->transfers[1] = (struct pl_transfer){.against = 1, .chunks = delta, .chunk_count = BLOCKS};
}

static void seal_manifest(const struct pl_manifest *m, struct pl_buf *payload)
{
    struct pl_buf body;

    pl_buf_init(&body, 1 << 20);
    assert_int_equal(pl_manifest_encode(m, &body), PL_OK);
    assert_int_equal(pl_seal(NULL, PL_SEAL_MANIFEST, &body, payload), PL_OK);
    pl_buf_release(&body);
}

static void answer(void *router, enum lie lie)
{
    struct pl_weights_request r;
    struct pl_buf head, payload;
    struct pl_manifest m;
    char question[512];
    zmq_msg_t peer;
    int n;

    zmq_msg_init(&peer);
    if (zmq_msg_recv(&peer, router, 0) < 0)
        return;
    n = zmq_recv(router, question, sizeof question, 0);
    assert_int_equal(pl_weights_request_decode(question, (size_t)n, false, &r, NULL), PL_OK);
    make_version(r.version, lie, &m);
    pl_buf_init(&head, 1 << 20);
    pl_buf_init(&payload, 4 << 20);
    assert_int_equal(pl_weights_request_encode(&r, true, &head), PL_OK);
    if (r.what == PL_WEIGHTS_MANIFEST && lie == LIE_GARBAGE)
        pl_buf_puts(&payload, "no manifest at all");
    else if (r.what == PL_WEIGHTS_MANIFEST)
        seal_manifest(&m, &payload);
    else if (r.transfer == 1)
        pl_buf_append(&payload, packed[r.chunk], delta[r.chunk].bytes);
    else
        pl_buf_append(&payload, bad + r.chunk * (size_t)PL_BLOCK_VALUES, snapshot[r.chunk].bytes);
    if (r.what == PL_WEIGHTS_CHUNK && lie == LIE_HASH)
        payload.data[1000] ^= 1;
    zmq_msg_send(&peer, router, ZMQ_SNDMORE);
    zmq_send(router, head.data, head.len, ZMQ_SNDMORE);
    zmq_send(router, payload.data, payload.len, 0);
    pl_buf_release(&head);
    pl_buf_release(&payload);
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

/* A run that goes on differently begins its versions once more, with others' numbers. */
static void another_life_is_another_policy(void **state)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_weights_source *from;
    struct pl_weights_sink *to;
    struct pl_error err = {0};

    (void)state;
    use_ipc();
    from = source(4);
    to = sink_at(pub, serve);
    publish(from, 1);
    publish(from, 2);
    expect(to, 2); /* the life that was announced is the one, until it is told */
    pl_weights_sink_life(to, &first);
    expect(to, 2);
    pl_weights_source_destroy(from);
    from = source_of(&second, 4);
    for (uint64_t v = 1; v <= 3; v++)
        if (pl_weights_source_publish(from, v, v - 1, values[3], hash, &err) < 0)
            fail_msg("%s", err.text);
    expect(to, 2); /* of its own life, as it was */
    expect_none(to, 3, "the source has this version of another life of the run");
    pl_weights_sink_life(to, &second);
    for (uint64_t v = 1; v <= 3; v++) {
        if (pl_weights_sink_get(to, v, 20000, &got, hash, &err) < 0)
            fail_msg("%s", err.text);
        assert_memory_equal(got, values[3], sizeof values[0]);
    }
    assert_int_equal(pl_weights_sink_stats(to).refused, 0);
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
}

static void a_source_that_lies_is_refused(void **state)
{
    static const char *const said[LIES] = {"not what its hash says",
                                           "hash that was promised",
                                           "a transfer of 2 chunks; 3",
                                           "chunk 1 of the snapshot has 1047576 bytes",
                                           "is not finite",
                                           "no message",
                                           "not what its hash says",
                                           "cannot be unpacked",
                                           "cannot be unpacked",
                                           "not what its check says",
                                           "is not finite"};

    (void)state;
    for (int lie = LIE_HASH; lie < LIES; lie++) {
        void *context = zmq_ctx_new();
        struct liar liar = {zmq_socket(context, ZMQ_ROUTER), (enum lie)lie,
                            PTHREAD_MUTEX_INITIALIZER, false};
        const uint64_t version = lie < LIE_DELTA_HASH ? 1 : 2;
        const int linger = 0;
        struct pl_weights_sink *to;
        pthread_t thread;

        use_ipc();
        zmq_setsockopt(liar.router, ZMQ_LINGER, &linger, sizeof linger);
        assert_int_equal(zmq_bind(liar.router, serve), 0);
        pthread_create(&thread, NULL, lie_on, &liar);
        to = sink_at(pub, serve);
        if (version == 2)
            expect(to, 1);
        expect_none(to, version, said[lie]);
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

/* What is lent stays as it is, whatever comes meanwhile. */
static void a_version_that_is_lent_stays(void **state)
{
    const struct pl_weights_sink_opts opts = {
        .run = "r", .pub = pub, .serve = serve, .table = table, .versions_max = 1};
    struct pl_weights_source *from;
    unsigned char hash[PL_HASH_BYTES];
    struct pl_weights_sink *to = NULL;
    struct pl_error err = {0};
    const uint16_t *lent;

    (void)state;
    use_ipc();
    from = source(4);
    publish(from, 1);
    assert_int_equal(pl_weights_sink_create(&opts, &to, &err), PL_OK);
    assert_int_equal(pl_weights_sink_get(to, 1, 20000, &lent, hash, &err), PL_OK);
    for (uint64_t v = 2; v <= 4; v++) {
        const struct pl_weights_sink_stats before = pl_weights_sink_stats(to);

        publish(from, v);
        while (pl_weights_sink_stats(to).deltas == before.deltas)
            usleep(1000);
        assert_memory_equal(lent, values[0], sizeof values[0]);
    }
    expect(to, 4);
    assert_int_equal(pl_weights_sink_stats(to).snapshots, 1); /* every delta found its base */
    pl_weights_sink_destroy(to);
    pl_weights_source_destroy(from);
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
        cmocka_unit_test(another_life_is_another_policy),
        cmocka_unit_test(a_source_that_lies_is_refused),
        cmocka_unit_test(a_version_that_is_lent_stays),
        cmocka_unit_test(garbage_does_not_stop_a_source),
    };

    fill();
    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
