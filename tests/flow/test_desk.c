/*
 * Scoring on request, over ZeroMQ, by clients that know proto/plait.proto and nothing else of
 * plait: REQ with text, DEALER with ids; what is no request gets an answer that says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/link/key_folder.h"
#include "rewarder/desk.h"
#include "tests/close.h"
#include "tests/mini_tokenizer.h"
#include "tests/scratch.h"

#include <plait.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define T     "<think>t</think>"
#define A(x)  "<answer>" x "</answer>"
#define X     "Ann is a knight"
#define FINAL A(X " and Bob is a knave")
#define TASK                                                                                       \
    "{\"id\":\"b\",\"source\":\"kk\",\"question\":\"q\",\"verifier\":\"kk\","                      \
    "\"answer\":\"Ann is a knight and Bob is a knave\","                                           \
    "\"steps\":[{\"answer\":\"Ann is a knight\"},{\"answer\":\"Bob is a knave\"}]}"

enum { ANSWER_MS = 60000, SOON_MS = 500 };

static struct pl_tokenizer *tokenizer;
static struct pl_desk *desk;
static void *context;
static void *sockets[16]; /* of the test that runs; a failed one leaves them open */

static int open_at(const char *endpoint, struct pl_error *err)
{
    struct pl_desk_opts opts = {
        .endpoint = endpoint, .tokenizer = tokenizer, .reward = PL_REWARD_DEFAULTS};

    opts.reward.overlong_buffer = 40; /* from 60 tokens on */
    opts.reward.new_tokens_max = 100;
    return pl_desk_create(&opts, &desk, err);
}

static int begin(void **state)
{
    struct pl_error err = {0};
    char at[128];

    if (pl_scratch_setup(state) < 0)
        return -1;
    tokenizer = pl_test_mini_load(&(struct pl_test_mini){0});
    context = zmq_ctx_new();
    snprintf(at, sizeof at, "ipc://%s", pl_scratch("desk"));
    if (open_at(at, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int hang_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    memset(sockets, 0, sizeof sockets);
    return 0;
}

static int end(void **state)
{
    pl_desk_destroy(desk);
    zmq_ctx_term(context);
    pl_tokenizer_destroy(tokenizer);
    return pl_scratch_teardown(state);
}

static void *client(int type)
{
    const int linger = 0, patience = ANSWER_MS;
    void *socket = zmq_socket(context, type);
    size_t at = 0;

    while (sockets[at])
        at++;
    assert_true(at < sizeof sockets / sizeof *sockets);
    sockets[at] = socket;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(zmq_connect(socket, pl_desk_endpoint(desk)), 0);
    return socket;
}

static Plait__ScoreReply *receive(void *socket)
{
    Plait__ScoreReply *reply;
    zmq_msg_t m;

    zmq_msg_init(&m);
    assert_true(zmq_msg_recv(&m, socket, 0) >= 0);
    assert_false(zmq_msg_more(&m));
    reply = plait__score_reply__unpack(NULL, zmq_msg_size(&m), zmq_msg_data(&m));
    assert_non_null(reply);
    zmq_msg_close(&m);
    return reply;
}

static void put(void *socket, const Plait__ScoreRequest *request)
{
    const size_t len = plait__score_request__get_packed_size(request);
    uint8_t *bytes = malloc(len + 1);

    assert_non_null(bytes);
    plait__score_request__pack(request, bytes);
    assert_int_equal(zmq_send(socket, bytes, len, 0), len);
    free(bytes);
}

/* A request for texts. */
static Plait__ScoreRequest text_request(uint64_t id, const char *task, const char *const *texts,
                                        size_t n, Plait__Response *responses,
                                        Plait__Response **list)
{
    Plait__ScoreRequest request = PLAIT__SCORE_REQUEST__INIT;

    for (size_t i = 0; i < n; i++) {
        plait__response__init(&responses[i]);
        responses[i].text = (ProtobufCBinaryData){strlen(texts[i]), (uint8_t *)texts[i]};
        list[i] = &responses[i];
    }
    request.id = id;
    request.task = (ProtobufCBinaryData){strlen(task), (uint8_t *)task};
    request.n_responses = n;
    request.responses = list;
    return request;
}

static void assert_error(Plait__ScoreReply *reply, uint64_t id, const char *said)
{
    assert_int_equal(reply->id, id);
    assert_int_equal(reply->n_scores + reply->n_rewards, 0);
    if (!strstr(reply->error, said))
        fail_msg("'%s' does not say '%s'", reply->error, said);
    plait__score_reply__free_unpacked(reply, NULL);
}

static void texts_are_scored(void **state)
{
    static const char *const texts[] = {T A(X) T FINAL, T FINAL "x", "", T A("who \xFF knows")};
    Plait__Response responses[4], *list[4];
    Plait__ScoreRequest request = text_request(7, TASK, texts, 4, responses, list);
    void *socket = client(ZMQ_REQ);
    Plait__ScoreReply *reply;

    (void)state;
    put(socket, &request);
    reply = receive(socket);
    assert_string_equal(reply->error, "");
    assert_int_equal(reply->id, 7);
    assert_int_equal(reply->n_scores, 4);
    assert_int_equal(reply->n_rewards, 4);
    pl_assert_close(reply->rewards[0], 1 + 2 + 0.25, 1e-6, 0); /* half of the steps, at once */
    pl_assert_close(reply->scores[0]->format, 1, 1e-6, 0);
    pl_assert_close(reply->scores[0]->final, 2, 1e-6, 0);
    pl_assert_close(reply->scores[0]->intermediate, 0.25, 1e-6, 0);
    pl_assert_close(reply->scores[0]->extra, 0, 1e-6, 0); /* bytes are no tokens: not overlong */
    assert_int_equal(reply->scores[0]->steps, 2);
    assert_int_equal(reply->scores[0]->steps_right, 1);
    assert_int_equal(reply->scores[0]->n_segments, 4);
    assert_int_equal(reply->scores[0]->segments[1]->token_begin, strlen(T));
    assert_int_equal(reply->scores[0]->segments[1]->token_end, strlen(T A(X)));
    assert_int_equal(reply->scores[0]->segments[1]->step, 0);
    assert_int_equal(reply->scores[0]->first_answer, strlen(T "<answer>"));
    assert_false(reply->scores[1]->format_ok);
    assert_string_equal(reply->scores[1]->why, "text outside of tags");
    pl_assert_close(reply->rewards[1], -1, 1e-6, 0);
    assert_string_equal(reply->scores[2]->why, "no tags");
    pl_assert_close(reply->rewards[3], 1 - 2, 1e-6, 0);
    assert_string_equal(reply->scores[3]->why, "the final answer cannot be read: who ? knows");
    plait__score_reply__free_unpacked(reply, NULL);
}

/* Without an empty frame before it, two at once, in the order they were asked. */
static void ids_are_scored(void **state)
{
    static const char text[] = T FINAL;
    uint32_t ids[sizeof text];
    Plait__Response response = PLAIT__RESPONSE__INIT, *list = &response;
    Plait__ScoreRequest request = PLAIT__SCORE_REQUEST__INIT;
    void *socket = client(ZMQ_DEALER);
    const size_t n = strlen(text);

    (void)state;
    for (size_t i = 0; i < n; i++)
        ids[i] = (unsigned char)text[i];
    ids[n] = 257; /* <|im_start|> */
    request.task = (ProtobufCBinaryData){strlen(TASK), (uint8_t *)TASK};
    request.responses = &list;
    request.n_responses = 1;
    response.ids = ids;
    response.n_ids = n + 1;
    response.stopped = true;
    request.id = 1;
    put(socket, &request);
    response.stopped = false; /* now it is text, outside of the tags */
    ids[n] = 999999;          /* of no token */
    request.id = 2;
    put(socket, &request);
    for (uint64_t id = 1; id <= 2; id++) {
        Plait__ScoreReply *reply = receive(socket);

        assert_int_equal(reply->id, id);
        assert_string_equal(reply->error, "");
        assert_int_equal(reply->scores[0]->format_ok, id == 1);
        /* 60 tokens are free of charge, each further one costs 1/40 */
        pl_assert_close(reply->scores[0]->extra, -((double)(n + (id == 2)) - 60) / 40, 1e-5, 0);
        assert_int_equal(reply->scores[0]->segments[1]->token_end, n);
        plait__score_reply__free_unpacked(reply, NULL);
    }
}

static void what_is_no_request_is_answered(void **state)
{
    static const char *const texts[] = {T FINAL};
    static const char *const tasks[][2] = {
        {"{", "the request's task"},
        {"{\"id\":\"\xFF\"}", "the request's task"},
        {"{\"question\":\"q\",\"answer\":\"a\",\"verifier\":\"magic\"}", "verifier 'magic'"},
        {"{\"question\":\"q\",\"answer\":\"Ann or not\",\"verifier\":\"kk\"}", "answer"},
        {"", "the task is missing"},
    };
    Plait__Response responses[1], *list[1];
    void *socket = client(ZMQ_DEALER);
    Plait__ScoreRequest request;
    uint32_t id = 5;

    (void)state;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        request = text_request(i, tasks[i][0], texts, 1, responses, list);
        put(socket, &request);
        assert_error(receive(socket), i, tasks[i][1]);
    }
    request = text_request(9, TASK, texts, 1, responses, list);
    request.method = 9;
    put(socket, &request);
    assert_error(receive(socket), 9, "method is 9; at most 4");
    request.method = 0;
    responses[0].ids = &id;
    responses[0].n_ids = 1;
    put(socket, &request);
    assert_error(receive(socket), 9, "response 0 has both text and ids");
    responses[0].n_ids = 0;
    responses[0].stopped = true;
    put(socket, &request);
    assert_error(receive(socket), 9, "is stopped by an id and has none");
    request.n_responses = 0;
    put(socket, &request);
    assert_error(receive(socket), 9, "0 responses; 1 to 256 are allowed");
    assert_int_equal(zmq_send(socket, "\xFF\xFF", 2, 0), 2);
    assert_error(receive(socket), 0, "no message ScoreRequest");
    assert_int_equal(zmq_send(socket, "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(socket, "b", 1, 0), 1);
    assert_error(receive(socket), 0, "one frame is expected");
}

static void many_responses_are_refused_and_most_are_taken(void **state)
{
    const char *texts[PL_DESK_RESPONSES_MAX + 1];
    static Plait__Response responses[PL_DESK_RESPONSES_MAX + 1];
    static Plait__Response *list[PL_DESK_RESPONSES_MAX + 1];
    void *socket = client(ZMQ_REQ);
    Plait__ScoreRequest request;
    Plait__ScoreReply *reply;

    (void)state;
    for (size_t i = 0; i <= PL_DESK_RESPONSES_MAX; i++)
        texts[i] = T FINAL;
    request = text_request(1, TASK, texts, PL_DESK_RESPONSES_MAX + 1, responses, list);
    put(socket, &request);
    assert_error(receive(socket), 1, "257 responses; 1 to 256 are allowed");
    request.n_responses--;
    put(socket, &request);
    reply = receive(socket);
    assert_int_equal(reply->n_rewards, PL_DESK_RESPONSES_MAX);
    pl_assert_close(reply->rewards[PL_DESK_RESPONSES_MAX - 1], 3, 1e-6, 0);
    plait__score_reply__free_unpacked(reply, NULL);
}

/* Garbage, cut and changed requests, frames without end, a peer that sends too much: others are
 * still served. */
static void nothing_stops_it(void **state)
{
    static const char *const texts[] = {T A(X) T FINAL};
    const struct pl_rng rng = {.seed = 6, .batch = (uint32_t)PL_RNG_TEST};
    void *dealer = client(ZMQ_DEALER), *greedy = client(ZMQ_DEALER), *good = client(ZMQ_REQ);
    Plait__Response responses[1], *list[1];
    Plait__ScoreRequest request = text_request(3, TASK, texts, 1, responses, list);
    const size_t len = plait__score_request__get_packed_size(&request);
    uint8_t *bytes = malloc(len), *huge = calloc(1, PL_DESK_BYTES_MAX + 1);
    Plait__ScoreReply *reply;

    (void)state;
    assert_true(bytes && huge);
    for (uint32_t i = 0; i < 1500; i++) {
        plait__score_request__pack(&request, bytes);
        for (uint32_t k = 0; k < i % 4; k++)
            bytes[pl_rng_below(&rng, 8 * i + k, (uint32_t)len)] ^=
                (uint8_t)(1u << pl_rng_below(&rng, 8 * i + 4 + k, 8));
        zmq_send(dealer, bytes, i % 5 ? len : pl_rng_below(&rng, 100000 + i, (uint32_t)len),
                 i % 7 == 0 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(dealer, "", 0, 0);
    zmq_send(greedy, huge, PL_DESK_BYTES_MAX + 1, 0);
    put(good, &request);
    reply = receive(good);
    assert_int_equal(reply->id, 3);
    assert_string_equal(reply->error, "");
    plait__score_reply__free_unpacked(reply, NULL);
    free(bytes);
    free(huge);
}

/* A program of the user's decides; one of no use is an error of the request, not the desk's end. */
static void programs_decide(void **state)
{
    static const char task[] = "{\"question\":\"q\",\"answer\":\"yes\",\"verifier\":\"exec\"}";
    static const char *const texts[] = {T A("yes"), T A("no"), T A("?"), T A("crash")};
    char *good[] = {
        (char *)"sh", (char *)"-c",
        (char *)"while read -r l; do case $l in *crash*) exit 1;;"
                " *se\\\":\\\"[?]*) echo '{\"verdict\":\"unparsed\"}';; *se\\\":\\\"yes*)"
                " echo '{\"correct\":true}';; *) echo '{\"correct\":false}';; esac; done",
        NULL};
    char *none[] = {(char *)"/no/such/verifier", NULL};
    char **const commands[] = {good, none};
    Plait__Response responses[4], *list[4];
    struct pl_desk *kept = desk;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        Plait__ScoreRequest request = text_request(i, task, texts, 3, responses, list);
        Plait__ScoreRequest crash = text_request(7, task, texts, 4, responses, list);
        struct pl_desk_opts opts = {
            .endpoint = "tcp://127.0.0.1:*", .tokenizer = tokenizer, .reward = PL_REWARD_DEFAULTS};
        Plait__ScoreReply *reply;
        struct pl_error err = {0};
        void *socket;

        opts.reward.program = (struct pl_exec_opts){.command = commands[i], .timeout_s = 20};
        assert_int_equal(pl_desk_create(&opts, &desk, &err), PL_OK);
        socket = client(ZMQ_REQ);
        for (size_t again = 0; again < 2; again++) {
            put(socket, &request);
            reply = receive(socket);
            if (i == 1) {
                assert_error(reply, i, "'/no/such/verifier' (reward.exec.command) is of no use");
                continue;
            }
            assert_string_equal(reply->error, "");
            pl_assert_close(reply->rewards[0], 1 + 2, 1e-6, 0);
            pl_assert_close(reply->rewards[1], 1 - 1.5, 1e-6, 0);
            pl_assert_close(reply->rewards[2], 1 - 2, 1e-6, 0);
            assert_string_equal(reply->scores[2]->why, "the final answer cannot be read: ?");
            plait__score_reply__free_unpacked(reply, NULL);
            put(socket, &crash); /* no score is made up */
            assert_error(receive(socket), 7,
                         "response 4 of 4: verifier failed: it ended with status 1");
        }
        pl_desk_destroy(desk);
        desk = kept;
    }
}

static void what_cannot_be_bound_is_an_error(void **state)
{
    struct pl_desk *kept = desk;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(open_at("tcp://256.1.1.1:x", &err), PL_EIO);
    assert_non_null(strstr(err.text, "tcp://256.1.1.1:x"));
    assert_ptr_equal(desk, kept);
    assert_int_equal(open_at("tcp://127.0.0.1:*", &err), PL_OK);
    assert_null(strchr(pl_desk_endpoint(desk), '*'));
    pl_desk_destroy(desk);
    desk = kept;
    pl_desk_destroy(NULL);
}

/* One that knows the rewarder's public key and has keys of its own, asks once: whether it is
 * answered within that time. */
static bool is_answered(const struct pl_keys *k, int patience)
{
    Plait__Response responses[1], *list[1];
    static const char *const texts[] = {T FINAL};
    Plait__ScoreRequest request = text_request(3, TASK, texts, 1, responses, list);
    void *socket = zmq_socket(context, ZMQ_REQ);
    const int linger = 0;
    bool answered;
    zmq_msg_t m;

    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &patience, sizeof patience);
    if (k) {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, k->peer.curve, PL_KEY_BYTES);
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, k->own.curve, PL_KEY_BYTES);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->curve_secret, PL_KEY_BYTES);
    }
    assert_int_equal(zmq_connect(socket, pl_desk_endpoint(desk)), 0);
    put(socket, &request);
    zmq_msg_init(&m);
    answered = zmq_msg_recv(&m, socket, 0) >= 0;
    zmq_msg_close(&m);
    zmq_close(socket);
    return answered;
}

static struct pl_keys *keys_of(const char *dir, const char *name, const char *peer)
{
    const struct pl_keys_opts opts = {
        .dir = pl_scratch(dir), .name = name, .role = name, .peer = peer};
    struct pl_keys *keys = NULL;
    struct pl_error err = {0};

    if (pl_keys_load(&opts, &keys, &err) < 0)
        fail_msg("%s", err.text);
    return keys;
}

static uint64_t strangers_refused(void)
{
    return pl_desk_door(desk).strangers;
}

static uint64_t keyless_refused(void)
{
    return pl_desk_door(desk).plain + pl_desk_door(desk).broken;
}

static void with_keys_those_in_the_list_are_answered(void **state)
{
    static char *names[] = {"rewarder", "learner", "actor"};
    struct pl_keys *own, *good, *stranger;
    struct pl_desk *kept = desk;
    struct pl_desk_opts opts = {
        .endpoint = "tcp://127.0.0.1:*", .tokenizer = tokenizer, .reward = PL_REWARD_DEFAULTS};
    struct pl_error err = {0};

    (void)state;
    if (pl_key_folder_make(pl_scratch("ours"), names, 3, &err) < 0 ||
        pl_key_folder_make(pl_scratch("theirs"), names, 3, &err) < 0)
        fail_msg("%s", err.text);
    own = keys_of("ours", "rewarder", NULL);
    good = keys_of("ours", "actor", "rewarder");
    stranger = keys_of("theirs", "actor", "rewarder");
    stranger->peer = good->peer;
    opts.keys = own;
    if (pl_desk_create(&opts, &desk, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(is_answered(good, ANSWER_MS));
    for (int i = 0; i < ANSWER_MS / SOON_MS && strangers_refused() == 0; i++)
        assert_false(is_answered(stranger, SOON_MS));
    assert_true(strangers_refused() > 0);
    for (int i = 0; i < ANSWER_MS / SOON_MS && keyless_refused() == 0; i++)
        assert_false(is_answered(NULL, SOON_MS));
    assert_true(keyless_refused() > 0);
    assert_true(is_answered(good, ANSWER_MS));
    assert_int_equal(pl_desk_door(desk).accepted, 2);
    pl_desk_destroy(desk);
    desk = kept;
    pl_keys_destroy(own);
    pl_keys_destroy(good);
    pl_keys_destroy(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(texts_are_scored, hang_up),
        cmocka_unit_test_teardown(ids_are_scored, hang_up),
        cmocka_unit_test_teardown(what_is_no_request_is_answered, hang_up),
        cmocka_unit_test_teardown(many_responses_are_refused_and_most_are_taken, hang_up),
        cmocka_unit_test_teardown(nothing_stops_it, hang_up),
        cmocka_unit_test_teardown(programs_decide, hang_up),
        cmocka_unit_test_teardown(what_cannot_be_bound_is_an_error, hang_up),
        cmocka_unit_test_teardown(with_keys_those_in_the_list_are_answered, hang_up),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
