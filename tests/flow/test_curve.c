/*
 * Keys on the weights, over TCP: who has a key in the list comes in; strangers, plain clients and
 * those who take the server for another are refused, counted and told why; a list that changes is
 * followed; and nothing that the learner did not sign is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/allow.h"
#include "common/link/bcast.h"
#include "common/link/key_folder.h"
#include "common/link/seal.h"
#include "common/link/version.h"
#include "tests/scratch.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { VALUES = 5000, LATE_MS = 60000, SOON_MS = 700 };

static const struct pl_bcast_tensor tensors[] = {{.name = "a", .count = VALUES}};
static const struct pl_bcast_table table = {tensors, 1, VALUES};
static uint16_t values[VALUES];

/* What was said to the log, by whoever has a door or knocks at one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[64][800];
static size_t said_count;

static void note(void *at, const char *line)
{
    (void)at;
    pthread_mutex_lock(&lock);
    if (said_count < 64)
        snprintf(said[said_count++], sizeof said[0], "%s", line);
    pthread_mutex_unlock(&lock);
}

static void forget_said(void)
{
    pthread_mutex_lock(&lock);
    said_count = 0;
    pthread_mutex_unlock(&lock);
}

static size_t count_said(const char *what)
{
    size_t count = 0;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < said_count; i++)
        count += strstr(said[i], what) != NULL;
    pthread_mutex_unlock(&lock);
    return count;
}

static void expect_said(const char *what)
{
    for (int i = 0; i < LATE_MS / 10 && count_said(what) == 0; i++)
        usleep(10000);
    if (count_said(what) > 0)
        return;
    for (size_t i = 0; i < said_count; i++)
        print_error("said: %s\n", said[i]);
    fail_msg("nobody said '%s'", what);
}

/* ---- folders of keys: ours, and one of strangers who have our learner.pub ---- */

static char *ours, *theirs;

static int setup(void **state)
{
    static char *names[] = {"learner", "actor", "other", "relay"};
    struct pl_error err = {0};

    if (pl_scratch_setup(state) < 0)
        return -1;
    ours = strdup(pl_scratch("ours"));
    theirs = strdup(pl_scratch("theirs"));
    for (size_t i = 0; i < VALUES; i++)
        values[i] = (uint16_t)(0x3F00 + i % 128);
    if (pl_key_folder_make(ours, names, 2, &err) < 0 ||
        pl_key_folder_make(theirs, names, 2, &err) < 0) {
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

/* ---- a source and a sink ---- */

struct scene {
    struct pl_keys *learner, *actor;
    struct pl_weights_source *source;
    struct pl_weights_sink *sink;
};

static struct pl_weights_source *open_source(const struct pl_keys *k)
{
    const struct pl_weights_source_opts opts = {.run = "r",
                                                .pub_bind = "tcp://127.0.0.1:*",
                                                .serve_bind = "tcp://127.0.0.1:*",
                                                .table = table,
                                                .versions_max = 8,
                                                .keys = k,
                                                .event = note};
    struct pl_weights_source *s = NULL;
    struct pl_error err = {0};

    if (pl_weights_source_create(&opts, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct pl_weights_sink *open_sink(const char *pub, const char *serve,
                                         const struct pl_keys *k)
{
    const struct pl_weights_sink_opts opts = {
        .run = "r", .pub = pub, .serve = serve, .table = table, .keys = k, .event = note};
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

    values[version] ^= 1;
    if (pl_weights_source_publish(s, version, version, values, hash, &err) < 0)
        fail_msg("%s", err.text);
}

/* A source with our keys, at version 1, and a sink with these (NULL: without). */
static void open_scene(struct scene *s, struct pl_keys *actor)
{
    forget_said();
    *s = (struct scene){.learner = keys(ours, "learner", NULL), .actor = actor};
    s->source = open_source(s->learner);
    publish(s->source, 1);
    s->sink =
        open_sink(pl_weights_source_pub(s->source), pl_weights_source_serve(s->source), actor);
}

static void close_scene(struct scene *s)
{
    pl_weights_sink_destroy(s->sink);
    pl_weights_source_destroy(s->source);
    pl_keys_destroy(s->learner);
    pl_keys_destroy(s->actor);
}

static void expect(struct pl_weights_sink *s, uint64_t version)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;

    if (pl_weights_sink_get(s, version, LATE_MS, &got, hash, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(got, values, sizeof values);
}

/* Version 1 does not come, and the sentence says `why`. */
static void expect_none(struct pl_weights_sink *s, const char *why)
{
    unsigned char hash[PL_HASH_BYTES];
    struct pl_error err = {0};
    const uint16_t *got;

    for (int i = 0; i < LATE_MS / SOON_MS; i++) {
        assert_int_equal(pl_weights_sink_get(s, 1, SOON_MS, &got, hash, &err), PL_ENOENT);
        if (strstr(err.text, why))
            return;
    }
    fail_msg("'%s' does not say '%s'", err.text, why);
}

static struct pl_door_stats door(const struct scene *s)
{
    return pl_weights_source_stats(s->source).door;
}

/* ---- who comes in ---- */

static void a_key_in_the_list_comes_in(void **state)
{
    struct scene s;

    (void)state;
    open_scene(&s, keys(ours, "actor", "learner"));
    expect(s.sink, 1);
    publish(s.source, 2);
    expect(s.sink, 2);
    assert_int_equal(pl_weights_sink_stats(s.sink).deltas, 1);
    assert_int_equal(pl_weights_sink_stats(s.sink).forged, 0);
    assert_int_equal(door(&s).accepted, 2); /* to both sockets */
    const struct pl_door_stats stats = door(&s);

    assert_int_equal(pl_door_refused(&stats), 0);
    assert_int_equal(count_said(""), 0);
    close_scene(&s);
}

/* A stranger has learner.pub, which is no secret. */
static void a_stranger_is_refused_until_its_line_is_added(void **state)
{
    struct pl_keys *stranger = keys(theirs, "actor", "learner"),
                   *good = keys(ours, "actor", "learner");
    struct pl_allowed line = {.name = "actor", .signs = true};
    struct pl_buf text;
    struct scene s;
    char *list;
    size_t len;

    (void)state;
    stranger->peer = good->peer;
    stranger->learner = good->learner;
    memcpy(line.curve, stranger->own.curve, sizeof line.curve);
    memcpy(line.sign, stranger->own.sign, sizeof line.sign);
    open_scene(&s, stranger);
    expect_none(s.sink, "does not let in our key 'actor'");
    expect_said("door event=refused address=127.0.0.1 reason=\"its key is in no line");
    expect_said("weights event=refused reason=\"'tcp://127.0.0.1:");
    assert_true(door(&s).strangers >= 2);
    assert_int_equal(door(&s).accepted, 0);
    assert_int_equal(count_said("door event=refused"), 1); /* once a minute */

    /* Two lines of one name: the key of before and the new one come in. */
    list = pl_scratch_read(good->allow, &len);
    pl_buf_init(&text, 1 << 20);
    assert_int_equal(pl_buf_append(&text, list, len), PL_OK);
    assert_int_equal(pl_allow_print(&line, &text), PL_OK);
    pl_scratch_text(good->allow, text.data);
    expect(s.sink, 1);
    publish(s.source, 2);
    for (int i = 0; i < LATE_MS / 10 && pl_weights_sink_newest(s.sink) < 2; i++)
        usleep(10000); /* announcements come as well */
    assert_int_equal(pl_weights_sink_newest(s.sink), 2);
    struct pl_weights_sink *other =
        open_sink(pl_weights_source_pub(s.source), pl_weights_source_serve(s.source), good);

    expect(other, 2);

    /* Taken out again: what it asks is not answered, though it is still connected. */
    pl_scratch_text(good->allow, list);
    unsigned char hash[PL_HASH_BYTES];
    const uint16_t *got;

    /* Until the list was read again it is told that there is no version 9. */
    for (int i = 0; i < LATE_MS / 100 && door(&s).late == 0; i++)
        assert_int_equal(pl_weights_sink_get(s.sink, 9, 100, &got, hash, NULL), PL_ENOENT);
    assert_true(door(&s).late > 0);
    publish(s.source, 3);
    expect(other, 3);
    assert_int_equal(pl_weights_sink_get(s.sink, 3, SOON_MS, &got, hash, NULL), PL_ENOENT);
    pl_weights_sink_destroy(other);
    close_scene(&s);
    pl_keys_destroy(good);
    pl_buf_release(&text);
    free(list);
}

static void a_plain_client_is_refused_and_told_to_use_keys(void **state)
{
    struct scene s;

    (void)state;
    open_scene(&s, NULL);
    expect_none(s.sink, "lets in nobody without keys: set 'link.keys'");
    expect_said("door event=refused address=127.0.0.1 reason=\"it does not speak CURVE");
    assert_true(door(&s).plain >= 1); /* the others saw the server's side first and went away */
    assert_true(door(&s).plain + door(&s).broken >= 2);
    assert_int_equal(door(&s).accepted, 0);
    close_scene(&s);
}

static void a_plain_server_is_not_believed(void **state)
{
    struct pl_weights_source *source;
    struct pl_weights_sink *sink;
    struct pl_keys *k = keys(ours, "actor", "learner");

    (void)state;
    forget_said();
    source = open_source(NULL);
    publish(source, 1);
    sink = open_sink(pl_weights_source_pub(source), pl_weights_source_serve(source), k);
    expect_none(sink, "does not speak CURVE, and we have keys");
    pl_weights_sink_destroy(sink);
    pl_weights_source_destroy(source);
    pl_keys_destroy(k);
}

/* Whoever looks for open ports, many times over: counted in few words, and nobody else feels it. */
static void whoever_looks_for_ports_is_counted(void **state)
{
    static const char *const sent[] = {"", "GET / HTTP/1.0\r\n\r\n", "\xff\0\0\0\0\0\0\0\1\x7f\3"};
    enum { TIMES = 300 };
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct scene s;

    (void)state;
    open_scene(&s, keys(ours, "actor", "learner"));
    at.sin_port = htons((uint16_t)atoi(strrchr(pl_weights_source_serve(s.source), ':') + 1));
    for (size_t i = 0; i < TIMES; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_true(send(fd, sent[i % 3], i % 3 == 2 ? 11 : strlen(sent[i % 3]), MSG_NOSIGNAL) >=
                    0);
        close(fd);
    }
    /* One may be taken for the sink, were that to leave. */
    for (int i = 0; i < LATE_MS / 10 && door(&s).broken + door(&s).plain < TIMES - 1; i++)
        usleep(10000);
    assert_in_range(door(&s).broken + door(&s).plain, TIMES - 1, TIMES);
    expect(s.sink, 1);
    publish(s.source, 2);
    expect(s.sink, 2);
    assert_true(count_said("door event=refused") >= 1 && count_said("door event=refused") <= 3);
    close_scene(&s);
}

/* The actor takes for the learner somebody with another key. */
static void a_client_of_another_server_is_refused(void **state)
{
    struct pl_keys *k = keys(ours, "actor", "learner"), *wrong = keys(theirs, "actor", "learner");
    struct scene s;

    (void)state;
    k->peer = wrong->peer;
    open_scene(&s, k);
    expect_none(s.sink, "ends the connection before it is made");
    expect_said("door event=refused address=127.0.0.1 reason=\"it takes us for another");
    assert_true(door(&s).wrong >= 2);
    assert_int_equal(door(&s).accepted, 0);
    close_scene(&s);
    pl_keys_destroy(wrong);
}

/* A list that breaks leaves who was in it in it; one that is not there at all opens no door. */
static void a_list_that_breaks_is_kept(void **state)
{
    struct pl_keys *k = keys(ours, "actor", "learner");
    char *list;
    struct scene s;
    size_t len;

    (void)state;
    list = pl_scratch_read(k->allow, &len);
    open_scene(&s, keys(ours, "actor", "learner"));
    pl_scratch_text(k->allow, "actor what?\n");
    expect_said("door event=list_kept reason=\"'");
    expect(s.sink, 1);
    pl_scratch_text(k->allow, list);
    close_scene(&s);
    remove(k->allow);

    const struct pl_weights_source_opts opts = {.run = "r",
                                                .pub_bind = "tcp://127.0.0.1:*",
                                                .serve_bind = "tcp://127.0.0.1:*",
                                                .table = table,
                                                .versions_max = 1,
                                                .keys = k};
    struct pl_weights_source *none = NULL;
    struct pl_error err = {0};

    assert_int_equal(pl_weights_source_create(&opts, &none, &err), PL_ENOENT);
    assert_non_null(strstr(err.text, "the list of who may connect"));
    pl_scratch_text(k->allow, list);
    pl_keys_destroy(k);
    free(list);
}

/* ---- what is believed ---- */

/* Somebody with the learner's CURVE keys (a relay that was broken into has as much) and another's
 * to sign with. */
static void what_another_signed_is_refused(void **state)
{
    struct pl_keys *forger = keys(ours, "learner", NULL), *other = keys(theirs, "learner", NULL);
    struct pl_keys *k = keys(ours, "actor", "learner");
    struct pl_weights_source *source;
    struct pl_weights_sink *sink;

    (void)state;
    forget_said();
    memcpy(forger->sign_secret, other->sign_secret, sizeof forger->sign_secret);
    source = open_source(forger);
    publish(source, 1);
    sink = open_sink(pl_weights_source_pub(source), pl_weights_source_serve(source), k);
    expect_none(sink, "the manifest of the weights is not signed by the learner of learner.pub");
    for (int i = 0; i < LATE_MS / 10 && pl_weights_sink_stats(sink).forged < 2; i++)
        usleep(10000);
    assert_true(pl_weights_sink_stats(sink).forged >= 2);
    assert_int_equal(pl_weights_sink_newest(sink), 0); /* its announcements did no harm */
    expect_said("weights event=forged reason=\"the ");
    pl_weights_sink_destroy(sink);
    pl_weights_source_destroy(source);
    pl_keys_destroy(forger);
    pl_keys_destroy(other);
    pl_keys_destroy(k);
}

/* Sends announcements as it is told. */
struct crier {
    void *context, *pub;
    struct pl_door *door;
    char at[256];
};

static void open_crier(struct crier *c, const struct pl_keys *k)
{
    const int linger = 0;
    size_t len = sizeof c->at;
    struct pl_error err = {0};

    c->context = zmq_ctx_new();
    c->pub = zmq_socket(c->context, ZMQ_XPUB);
    zmq_setsockopt(c->pub, ZMQ_LINGER, &linger, sizeof linger);
    if (pl_door_open(
            &(struct pl_door_opts){
                .keys = k, .context = c->context, .sockets = {c->pub}, .count = 1},
            &c->door, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(zmq_bind(c->pub, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(c->pub, ZMQ_LAST_ENDPOINT, c->at, &len), 0);
}

static void close_crier(struct crier *c)
{
    pl_door_close(c->door);
    zmq_close(c->pub);
    zmq_ctx_term(c->context);
}

static void cry(struct crier *c, const struct pl_keys *k, const char *run, uint64_t version)
{
    struct pl_announcement a = {.version = version};
    struct pl_buf body, out;

    strcpy(a.run, run);
    pl_buf_init(&body, 1 << 20);
    pl_buf_init(&out, 1 << 20);
    assert_int_equal(pl_announcement_encode(&a, &body), PL_OK);
    assert_int_equal(pl_seal(k, PL_SEAL_ANNOUNCEMENT, &body, &out), PL_OK);
    assert_int_equal(zmq_send(c->pub, out.data, out.len, 0), (int)out.len);
    pl_buf_release(&body);
    pl_buf_release(&out);
}

static void versions_never_go_back(void **state)
{
    struct pl_keys *learner = keys(ours, "learner", NULL), *other = keys(theirs, "learner", NULL);
    struct pl_keys *k = keys(ours, "actor", "learner");
    struct crier crier;
    struct pl_weights_sink *sink;
    char frame[8];

    (void)state;
    open_crier(&crier, learner);
    sink = open_sink(crier.at, "tcp://127.0.0.1:9", k);
    assert_int_equal(zmq_recv(crier.pub, frame, sizeof frame, 0), 1); /* it subscribed */
    cry(&crier, learner, "r", 5);
    cry(&crier, learner, "r", 3);    /* an old one, sent again */
    cry(&crier, learner, "else", 7); /* the learner's, of another run */
    cry(&crier, other, "r", 8);
    cry(&crier, NULL, "r", 9);
    for (int i = 0; i < LATE_MS / 10 && pl_weights_sink_stats(sink).forged < 2; i++)
        usleep(10000);
    assert_int_equal(pl_weights_sink_stats(sink).forged, 2);
    assert_int_equal(pl_weights_sink_newest(sink), 5);
    pl_weights_sink_destroy(sink);
    close_crier(&crier);
    pl_keys_destroy(learner);
    pl_keys_destroy(other);
    pl_keys_destroy(k);
}

/* Each bit of a sealed message, turned over: refused. */
static void a_bit_that_flips_is_seen(void **state)
{
    struct pl_keys *learner = keys(ours, "learner", NULL), *k = keys(ours, "actor", "learner");
    struct pl_buf body, out;
    struct pl_sealed sealed;

    (void)state;
    pl_buf_init(&body, 1 << 20);
    pl_buf_init(&out, 1 << 20);
    assert_int_equal(pl_buf_puts(&body, "a body of a manifest"), PL_OK);
    assert_int_equal(pl_seal(learner, PL_SEAL_MANIFEST, &body, &out), PL_OK);
    assert_int_equal(pl_unseal(k, PL_SEAL_MANIFEST, out.data, out.len, &sealed, NULL), PL_OK);
    assert_int_equal(sealed.len, body.len);
    assert_memory_equal(sealed.body, body.data, body.len);
    pl_sealed_release(&sealed);
    assert_int_equal(pl_unseal(k, PL_SEAL_ANNOUNCEMENT, out.data, out.len, &sealed, NULL),
                     PL_EINVAL); /* signed as something else */
    for (size_t bit = 0; bit < 8 * out.len; bit++) {
        int rc;

        out.data[bit / 8] ^= (char)(1 << bit % 8);
        rc = pl_unseal(k, PL_SEAL_MANIFEST, out.data, out.len, &sealed, NULL);
        if (rc != PL_EINVAL && rc != PL_EFORMAT)
            fail_msg("bit %zu turned over: %d", bit, rc);
        out.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    pl_buf_release(&body);
    pl_buf_release(&out);
    pl_keys_destroy(learner);
    pl_keys_destroy(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_in_the_list_comes_in),
        cmocka_unit_test(a_stranger_is_refused_until_its_line_is_added),
        cmocka_unit_test(a_plain_client_is_refused_and_told_to_use_keys),
        cmocka_unit_test(a_plain_server_is_not_believed),
        cmocka_unit_test(a_client_of_another_server_is_refused),
        cmocka_unit_test(whoever_looks_for_ports_is_counted),
        cmocka_unit_test(a_list_that_breaks_is_kept),
        cmocka_unit_test(what_another_signed_is_refused),
        cmocka_unit_test(versions_never_go_back),
        cmocka_unit_test(a_bit_that_flips_is_seen),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
