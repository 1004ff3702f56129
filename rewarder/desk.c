#include "rewarder/desk.h"

#include "common/app/vitals.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "proto/score.h"
#include "rewarder/scorer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum { ENDPOINT_MAX = 256, ENVELOPE_MAX = 2, QUEUE_MAX = 64, REPLY_MAX = 64 << 20, WAIT_MS = 2000 };

struct pl_desk {
    struct pl_scorer *scorer;
    void *context, *router;
    struct pl_door *door; /* NULL: there are no keys */
    char at[ENDPOINT_MAX];
    int wake; /* eventfd: it is to end */
    pthread_t thread;
    bool running;
    _Atomic bool stop;
};

/* ---- one question ---- */

/* The answer to one request: its scores, or what was wrong with it. PL_ENOMEM. */
static int answer(struct pl_desk *d, const void *bytes, size_t len, struct pl_buf *out)
{
    static const struct pl_score_request_limits limits = {.bytes = PL_DESK_BYTES_MAX,
                                                          .responses = PL_DESK_RESPONSES_MAX,
                                                          .length = PL_DESK_BYTES_MAX};
    struct pl_score scores[PL_DESK_RESPONSES_MAX];
    struct pl_score_request request;
    struct pl_task task = {0};
    struct pl_error err = {0};
    int rc = pl_score_request_decode(bytes, len, &limits, &request, &err);

    if (rc == PL_OK)
        rc = pl_task_parse(request.task, request.task_len, "the request's task", &task, &err);
    if (rc == PL_OK)
        rc = pl_scorer_responses(d->scorer, &task, request.method, request.responses, request.count,
                                 scores, &err);
    rc = pl_score_reply_encode(request.id, rc < 0 ? err.text : "", scores, request.count, out);
    pl_task_release(&task);
    pl_score_request_release(&request);
    return rc;
}

/* ---- the thread ---- */

/* Envelope and question of one message. */
struct message {
    zmq_msg_t
        parts[ENVELOPE_MAX + 1]; /* who asks, an empty frame where it is a REQ, the question */
    size_t count;
    bool too_long; /* of more frames than these; the others were dropped */
};

static bool take(struct pl_desk *d, struct message *m)
{
    bool more = true;

    *m = (struct message){0};
    while (more) {
        zmq_msg_t part;

        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, d->router, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            break;
        }
        more = zmq_msg_more(&part);
        if (m->count < ENVELOPE_MAX + 1) {
            zmq_msg_init(&m->parts[m->count]);
            zmq_msg_move(&m->parts[m->count++], &part);
        } else {
            m->too_long = true;
        }
        zmq_msg_close(&part);
    }
    return m->count > 0;
}

static void drop(struct message *m)
{
    for (size_t i = 0; i < m->count; i++)
        zmq_msg_close(&m->parts[i]);
}

/* A peer that is gone or does not read loses its answer. */
static void serve(struct pl_desk *d, struct message *m)
{
    const bool req = m->count > 1 && zmq_msg_size(&m->parts[1]) == 0;
    const size_t at = req ? 2 : 1;
    struct pl_buf out;
    int rc;

    pl_buf_init(&out, REPLY_MAX);
    if (m->too_long || m->count != at + 1)
        rc = pl_score_reply_encode(
            0, "one frame is expected, a ScoreRequest, behind at most one empty one", NULL, 0,
            &out);
    else
        rc = answer(d, zmq_msg_data(&m->parts[at]), zmq_msg_size(&m->parts[at]), &out);
    if (rc < 0) {
        pl_buf_clear(&out);
        rc = pl_score_reply_encode(0, "the answer is too large, or memory ran out", NULL, 0, &out);
    }
    if (rc == PL_OK && zmq_msg_send(&m->parts[0], d->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        (!req || zmq_send(d->router, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0))
        (void)zmq_send(d->router, out.data, out.len, ZMQ_DONTWAIT);
    pl_buf_release(&out);
}

static void *run(void *at)
{
    struct pl_desk *d = at;

    pl_vitals_watch("desk");
    while (!atomic_load(&d->stop)) {
        zmq_pollitem_t items[] = {{d->router, 0, ZMQ_POLLIN, 0}, {NULL, d->wake, ZMQ_POLLIN, 0}};
        struct message m;

        pl_vitals_tick();
        if (zmq_poll(items, 2, WAIT_MS) < 0 && errno != EINTR)
            break;
        while (!atomic_load(&d->stop) && take(d, &m)) {
            if (pl_door_knows(d->door, &m.parts[m.count - 1]))
                serve(d, &m);
            drop(&m);
            pl_vitals_tick();
        }
    }
    pl_vitals_unwatch();
    return NULL;
}

/* ---- the owner's side ---- */

static int bind_router(struct pl_desk *d, const struct pl_desk_opts *opts, struct pl_error *err)
{
    const char *endpoint = opts->endpoint;
    const int linger = 0, queue = QUEUE_MAX;
    const int64_t most = PL_DESK_BYTES_MAX;
    size_t len = sizeof d->at;
    int rc = PL_OK;

    zmq_setsockopt(d->router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(d->router, ZMQ_SNDHWM, &queue, sizeof queue);
    zmq_setsockopt(d->router, ZMQ_RCVHWM, &queue, sizeof queue);
    zmq_setsockopt(d->router, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (opts->keys)
        rc = pl_door_open(&(struct pl_door_opts){.keys = opts->keys,
                                                 .context = d->context,
                                                 .sockets = {d->router},
                                                 .count = 1,
                                                 .event = opts->event,
                                                 .at = opts->at},
                          &d->door, err);
    if (rc < 0)
        return rc;
    if (zmq_bind(d->router, endpoint) < 0 ||
        zmq_getsockopt(d->router, ZMQ_LAST_ENDPOINT, d->at, &len) < 0)
        return pl_fail(err, PL_EIO, "bind '%s': %s", endpoint, zmq_strerror(errno));
    return PL_OK;
}

int pl_desk_create(const struct pl_desk_opts *opts, struct pl_desk **ret_desk, struct pl_error *err)
{
    struct pl_desk *d = calloc(1, sizeof *d);
    int rc;

    if (!d)
        return pl_fail(err, PL_ENOMEM, "no memory to score on request");
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->context = zmq_ctx_new();
    d->router = d->context ? zmq_socket(d->context, ZMQ_ROUTER) : NULL;
    rc = d->wake >= 0 && d->router &&
                 pl_scorer_create(opts->tokenizer, &opts->reward, &d->scorer) == 0
             ? bind_router(d, opts, err)
             : pl_fail(err, PL_ENOMEM, "no memory to score on request");
    if (rc == PL_OK && pthread_create(&d->thread, NULL, run, d) != 0)
        rc = pl_fail(err, PL_EIO, "no thread to score on request");
    if (rc < 0) {
        pl_desk_destroy(d);
        return rc;
    }
    d->running = true;
    *ret_desk = d;
    return PL_OK;
}

void pl_desk_destroy(struct pl_desk *desk)
{
    const uint64_t one = 1;

    if (!desk)
        return;
    if (desk->running) {
        atomic_store(&desk->stop, true);
        PL_ASSERT(write(desk->wake, &one, sizeof one) == sizeof one);
        pthread_join(desk->thread, NULL);
    }
    pl_door_close(desk->door);
    if (desk->router)
        zmq_close(desk->router);
    if (desk->context)
        zmq_ctx_term(desk->context);
    if (desk->wake >= 0)
        close(desk->wake);
    pl_scorer_destroy(desk->scorer);
    free(desk);
}

const char *pl_desk_endpoint(const struct pl_desk *desk)
{
    return desk->at;
}

struct pl_door_stats pl_desk_door(const struct pl_desk *desk)
{
    return pl_door_stats(desk->door);
}
