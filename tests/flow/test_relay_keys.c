/*
 * Keys at a relay, over TCP: it is a client of the learner and a server of its peers; who is not in
 * its list is refused and counted; and what the learner did not sign it takes from nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/bcast.h"
#include "common/link/key_folder.h"
#include "common/link/relay.h"
#include "tests/scratch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUES = 5000, LATE_MS = 60000, SOON_MS = 700 };

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .count = VALUES}};
static const struct pl_bcast_table table = {tensors, 1, VALUES};
static uint16_t values[VALUES];
static char *ours, *theirs; /* folders of keys: the run's, and one of strangers */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[16384]; /* to the log, by relays */

static void note(void *at, const char *line)
{
    size_t len;

    (void)at;
    pthread_mutex_lock(&lock);
    len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s\n", line);
    pthread_mutex_unlock(&lock);
}

static bool was_said(const char *what)
{
    bool was;

    pthread_mutex_lock(&lock);
    was = strstr(said, what) != NULL;
    pthread_mutex_unlock(&lock);
    return was;
}

/* Until it is so, at most a minute. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        for (unsigned tries_ = 0; !(condition); tries_++) {                                        \
            if (tries_ == LATE_MS)                                                                 \
                fail_msg("not so in time: %s; said: %s", #condition, said);                        \
            usleep(1000);                                                                          \
        }                                                                                          \
    } while (0)

static int setup(void **state)
{
    static char *names[] = {"learner", "actor", "relay", "impostor"};
    struct pl_error err = {0};

    if (pl_scratch_setup(state) < 0)
        return -1;
    ours = strdup(pl_scratch("ours"));
    theirs = strdup(pl_scratch("theirs"));
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (uint16_t)(0x3F00 + i % 128);
    if (pl_key_folder_make(ours, names, 4, &err) < 0 ||
        pl_key_folder_make(theirs, names, 4, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    free(ours);
    free(theirs);
    return pl_scratch_teardown(state);
}

static struct pl_keys *keys(const char *dir, const char *name, const char *peer)
{
    const struct pl_keys_opts opts = {.dir = dir, .name = name, .role = name, .peer = peer};
    struct pl_keys *k = NULL;
    struct pl_error err = {0};

    if (pl_keys_load(&opts, &k, &err) < 0)
        fail_msg("%s", err.text);
    return k;
}

/* ---- a source with keys of a name, a relay of ours behind it ---- */

struct scene {
    struct pl_keys *source_keys, *relay_keys;
    struct pl_weights_source *source;
    struct pl_relay *relay;
};

static void publish(struct scene *s, uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};

    values[version] ^= 1;
    if (pl_weights_source_publish(s->source, version, version, values, hash, &err) < 0)
        fail_msg("%s", err.text);
}

static void open_scene(struct scene *s, const char *source)
{
    struct pl_weights_source_opts from = {.run = "r",
                                          .pub_bind = "tcp://127.0.0.1:*",
                                          .serve_bind = "tcp://127.0.0.1:*",
                                          .table = table,
                                          .versions_max = 8};
    struct pl_relay_opts relay = {.run = "r",
                                  .pub_bind = "tcp://127.0.0.1:*",
                                  .serve_bind = "tcp://127.0.0.1:*",
                                  .cache_bytes = 16 << 20,
                                  .event = note};
    struct pl_error err = {0};

    said[0] = '\0';
    *s = (struct scene){.source_keys = keys(ours, source, NULL),
                        .relay_keys = keys(ours, "relay", source)};
    from.keys = s->source_keys;
    if (pl_weights_source_create(&from, &s->source, &err) < 0)
        fail_msg("%s", err.text);
    relay.keys = s->relay_keys;
    relay.pub = pl_weights_source_pub(s->source);
    relay.serve = pl_weights_source_serve(s->source);
    if (pl_relay_create(&relay, &s->relay, &err) < 0)
        fail_msg("%s", err.text);
    publish(s, 1);
}

static void close_scene(struct scene *s)
{
    pl_relay_destroy(s->relay);
    pl_weights_source_destroy(s->source);
    pl_keys_destroy(s->relay_keys);
    pl_keys_destroy(s->source_keys);
}

static struct pl_weights_sink *sink(const struct scene *s, const struct pl_keys *k)
{
    const struct pl_weights_sink_opts opts = {.run = "r",
                                              .pub = pl_relay_pub(s->relay),
                                              .serve = pl_relay_serve(s->relay),
                                              .table = table,
                                              .keys = k};
    struct pl_weights_sink *to = NULL;
    struct pl_error err = {0};

    if (pl_weights_sink_create(&opts, &to, &err) < 0)
        fail_msg("%s", err.text);
    return to;
}

static int get(struct pl_weights_sink *to, uint64_t version, uint64_t wait_ms)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;
    const int rc = pl_weights_sink_get(to, version, wait_ms, &got, hash, &err);

    if (rc == PL_OK)
        assert_memory_equal(got, values, sizeof values);
    return rc;
}

/* ---- the tests ---- */

static void keys_go_all_the_way(void **state)
{
    struct pl_keys *actor = keys(ours, "actor", "relay");
    struct pl_weights_sink *to;
    struct scene s;

    (void)state;
    open_scene(&s, "learner");
    to = sink(&s, actor);
    assert_int_equal(get(to, 1, LATE_MS), PL_OK);
    publish(&s, 2);
    assert_int_equal(get(to, 2, LATE_MS), PL_OK);
    assert_int_equal(pl_weights_sink_stats(to).deltas, 1);
    assert_int_equal(pl_weights_sink_stats(to).forged, 0);
    assert_int_equal(pl_relay_stats(s.relay).upstream.forged, 0);
    assert_int_equal(pl_relay_stats(s.relay).door.accepted, 2); /* SUB and DEALER */
    assert_true(pl_weights_source_stats(s.source).door.accepted == 2);
    pl_weights_sink_destroy(to);
    close_scene(&s);
    pl_keys_destroy(actor);
}

static void strangers_are_refused_and_counted(void **state)
{
    struct pl_keys *stranger = keys(theirs, "actor", "relay");
    struct pl_keys *mistaken = keys(ours, "actor", "learner");
    struct pl_weights_sink *plain, *unknown, *wrong;
    struct pl_door_stats door;
    struct scene s;

    (void)state;
    open_scene(&s, "learner");
    memcpy(stranger->peer.curve, s.relay_keys->own.curve, sizeof stranger->peer.curve);
    plain = sink(&s, NULL);
    unknown = sink(&s, stranger);
    wrong = sink(&s, mistaken); /* takes the relay for the learner */
    assert_int_equal(get(plain, 1, SOON_MS), PL_ENOENT);
    assert_int_equal(get(unknown, 1, SOON_MS), PL_ENOENT);
    assert_int_equal(get(wrong, 1, SOON_MS), PL_ENOENT);
    WAIT_FOR(pl_relay_stats(s.relay).door.plain > 0);
    WAIT_FOR(pl_relay_stats(s.relay).door.strangers > 0);
    WAIT_FOR(pl_relay_stats(s.relay).door.wrong > 0);
    WAIT_FOR(was_said("its key is in no line of the list"));
    door = pl_relay_stats(s.relay).door;
    assert_int_equal(door.accepted, 0);
    assert_int_equal(pl_relay_stats(s.relay).downstream.peers, 0);
    assert_int_equal(pl_relay_stats(s.relay).downstream.chunks, 0);
    pl_weights_sink_destroy(plain);
    pl_weights_sink_destroy(unknown);
    pl_weights_sink_destroy(wrong);
    close_scene(&s);
    pl_keys_destroy(stranger);
    pl_keys_destroy(mistaken);
}

/* Somebody whose key the relay connects to, but who is not the learner: nothing of it goes on. */
static void what_the_learner_did_not_sign_is_not_passed_on(void **state)
{
    struct pl_keys *actor = keys(ours, "actor", "relay");
    struct pl_weights_sink *to;
    struct pl_relay_stats stats;
    struct scene s;

    (void)state;
    open_scene(&s, "impostor");
    to = sink(&s, actor);
    assert_int_equal(get(to, 1, SOON_MS), PL_ENOENT);
    WAIT_FOR(pl_relay_stats(s.relay).upstream.forged > 1); /* announcements, and the manifest */
    WAIT_FOR(was_said("weights event=refused version=1"));
    stats = pl_relay_stats(s.relay);
    assert_int_equal(stats.newest, 0);
    assert_int_equal(stats.announcements, 0);
    assert_int_equal(stats.cache.versions, 0);
    assert_int_equal(pl_weights_sink_stats(to).forged, 0); /* it has seen none of it */
    pl_weights_sink_destroy(to);
    close_scene(&s);
    pl_keys_destroy(actor);
}

/* A relay that is not in the list of the learner says so. */
static void a_relay_that_is_shut_out_says_why(void **state)
{
    struct scene s;
    char path[4096];
    FILE *list;

    (void)state;
    open_scene(&s, "learner");
    WAIT_FOR(pl_relay_stats(s.relay).newest == 1);
    pl_relay_destroy(s.relay);
    s.relay = NULL;
    pl_keys_destroy(s.relay_keys);
    s.relay_keys = keys(theirs, "relay", "learner");
    memcpy(&s.relay_keys->peer, &s.source_keys->own, sizeof s.relay_keys->peer);
    memcpy(&s.relay_keys->learner, &s.source_keys->own, sizeof s.relay_keys->learner);
    {
        const struct pl_relay_opts opts = {.run = "r",
                                           .pub = pl_weights_source_pub(s.source),
                                           .serve = pl_weights_source_serve(s.source),
                                           .pub_bind = "tcp://127.0.0.1:*",
                                           .serve_bind = "tcp://127.0.0.1:*",
                                           .keys = s.relay_keys,
                                           .cache_bytes = 16 << 20,
                                           .event = note};
        struct pl_error err = {0};

        if (pl_relay_create(&opts, &s.relay, &err) < 0)
            fail_msg("%s", err.text);
    }
    WAIT_FOR(was_said("upstream event=refused reason="));
    WAIT_FOR(was_said("does not let in our key 'relay'"));
    assert_true(pl_relay_stats(s.relay).upstream.shut_out > 0);
    assert_int_equal(pl_relay_stats(s.relay).newest, 0);
    /* Its key is added to the list: it is let in without anybody being started again. */
    snprintf(path, sizeof path, "%s/allow", ours);
    list = fopen(path, "a");
    assert_non_null(list);
    {
        char z85[64];

        assert_non_null(zmq_z85_encode(z85, s.relay_keys->own.curve, PL_KEY_BYTES));
        fprintf(list, "relay-2 %s\n", z85);
    }
    assert_int_equal(fclose(list), 0);
    WAIT_FOR(pl_relay_stats(s.relay).newest == 1);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_go_all_the_way),
        cmocka_unit_test(strangers_are_refused_and_counted),
        cmocka_unit_test(what_the_learner_did_not_sign_is_not_passed_on),
        cmocka_unit_test(a_relay_that_is_shut_out_says_why),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
