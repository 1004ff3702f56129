#include "common/link/upstream.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/link/dial.h"
#include "common/link/seal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum {
    ASKS_MAX = 1024,
    WINDOW = 64,
    WINDOW_BYTES = 16 << 20,
    SILENCE_MS = 3000,
    TIMEOUT_MS = 1000,   /* without any answer before all is asked again */
    ANEW = 10,           /* such times in a row, before the connection is made anew */
    ABSENT_MS = 50,      /* how long what came of asking is remembered */
    REFUSED_MAX = 3,     /* times that something is asked for again because it was refused */
    TURN_MAX = 256,      /* messages taken in one turn */
    MANIFEST_BYTES = 64, /* what a manifest counts in the window: nobody knows its size */
};

enum state { QUEUED, ASKED, FAILED };

struct ask {
    struct pl_item item;
    enum state state;
    uint64_t since_ms; /* QUEUED, ASKED: wanted; FAILED: failed */
    uint64_t number;   /* ASKED: answers come in the order of questions */
    size_t bytes;
    unsigned refused;
    bool before; /* it was asked already */
};

struct pl_upstream {
    struct pl_upstream_opts opts;
    struct pl_dial sub, dealer;
    struct ask asks[ASKS_MAX]; /* in the order in which they were wanted */
    size_t count;
    size_t asked, asked_bytes; /* of those ASKED */
    uint64_t number;           /* of the last question */
    uint64_t timer_ms;         /* the last answer, or the first question while none is on its way */
    unsigned timeouts;         /* in a row */
    uint64_t answered_ms;      /* the last answer; 0: never */
    uint64_t heard_ms;         /* anything at all; 0: never */
    struct pl_upstream_stats stats;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- connections ---- */

int pl_upstream_create(const struct pl_upstream_opts *opts, struct pl_upstream **ret_upstream,
                       struct pl_error *err)
{
    struct pl_dial_opts dial = {.context = opts->context,
                                .type = ZMQ_SUB,
                                .keys = opts->keys,
                                .bytes_max = PL_WEIGHTS_MESSAGE_MAX};
    struct pl_upstream *u = calloc(1, sizeof *u);
    int rc;

    PL_ASSERT(!opts->keys || opts->keys->connects);
    if (!u)
        return pl_fail(err, PL_ENOMEM, "no memory for the relay");
    u->opts = *opts;
    if (u->opts.silence_ms == 0)
        u->opts.silence_ms = SILENCE_MS;
    dial.endpoint = opts->pub;
    rc = pl_dial_open(&u->sub, &dial, err);
    dial.type = ZMQ_DEALER;
    dial.endpoint = opts->serve;
    if (rc == PL_OK)
        rc = pl_dial_open(&u->dealer, &dial, err);
    if (rc < 0) {
        pl_upstream_destroy(u);
        return rc;
    }
    *ret_upstream = u;
    return PL_OK;
}

void pl_upstream_destroy(struct pl_upstream *upstream)
{
    if (!upstream)
        return;
    pl_dial_close(&upstream->sub);
    pl_dial_close(&upstream->dealer);
    free(upstream);
}

void *pl_upstream_sub(const struct pl_upstream *upstream)
{
    return upstream->sub.socket;
}

void *pl_upstream_dealer(const struct pl_upstream *upstream)
{
    return upstream->dealer.socket;
}

/* ---- what is wanted ---- */

static struct ask *find(struct pl_upstream *u, const struct pl_item *item)
{
    for (size_t i = 0; i < u->count; i++)
        if (pl_item_same(&u->asks[i].item, item))
            return &u->asks[i];
    return NULL;
}

static void set_state(struct pl_upstream *u, struct ask *a, enum state state)
{
    if (a->state == ASKED) {
        u->asked--;
        u->asked_bytes -= a->bytes;
    }
    a->state = state;
    if (state == ASKED) {
        u->asked++;
        u->asked_bytes += a->bytes;
    }
}

static void remove_ask(struct pl_upstream *u, struct ask *a)
{
    const size_t at = (size_t)(a - u->asks);

    set_state(u, a, QUEUED);
    u->count--;
    memmove(a, a + 1, (u->count - at) * sizeof *a);
}

static void fail(struct pl_upstream *u, struct ask *a, bool other)
{
    const struct pl_item item = a->item;

    set_state(u, a, FAILED);
    a->since_ms = now_ms();
    u->opts.failed(u->opts.at, &item, other);
}

bool pl_upstream_want(struct pl_upstream *upstream, const struct pl_item *item, size_t bytes)
{
    const struct ask *a = find(upstream, item);

    if (a)
        return a->state != FAILED;
    if (upstream->count < ASKS_MAX)
        upstream->asks[upstream->count++] = (struct ask){
            .item = *item, .since_ms = now_ms(), .bytes = bytes ? bytes : MANIFEST_BYTES};
    return true;
}

bool pl_upstream_is_free(const struct pl_upstream *upstream)
{
    size_t count = 0, bytes = 0;

    for (size_t i = 0; i < upstream->count; i++)
        if (upstream->asks[i].state != FAILED) {
            count++;
            bytes += upstream->asks[i].bytes;
        }
    return count < WINDOW / 2 && bytes < WINDOW_BYTES / 2;
}

bool pl_upstream_is_busy(const struct pl_upstream *upstream)
{
    return upstream->count > 0;
}

/* ---- asking ---- */

static bool ask(struct pl_upstream *u, struct ask *a)
{
    struct pl_weights_request r = {.version = a->item.version,
                                   .what = a->item.what,
                                   .transfer = a->item.transfer,
                                   .chunk = a->item.chunk};
    struct pl_buf buf;
    bool sent;

    strcpy(r.run, u->opts.run);
    pl_buf_init(&buf, PL_WEIGHTS_MESSAGE_MAX);
    sent = pl_weights_request_encode(&r, false, &buf) == PL_OK &&
           zmq_send(u->dealer.socket, buf.data, buf.len, ZMQ_DONTWAIT) >= 0;
    pl_buf_release(&buf);
    if (!sent) /* not connected */
        return false;
    if (u->asked == 0)
        u->timer_ms = now_ms();
    set_state(u, a, ASKED);
    a->number = ++u->number;
    u->stats.asked++;
    u->stats.retries += a->before;
    a->before = true;
    return true;
}

static void ask_all(struct pl_upstream *u)
{
    for (size_t i = 0; i < u->count && u->asked < WINDOW; i++) {
        struct ask *a = &u->asks[i];

        if (a->state != QUEUED)
            continue;
        if ((u->asked > 0 && u->asked_bytes + a->bytes > WINDOW_BYTES) || !ask(u, a))
            return;
    }
}

/* Answers come in the order of the questions: those before this one are lost. */
static void ask_lost_again(struct pl_upstream *u, uint64_t number)
{
    for (size_t i = 0; i < u->count; i++)
        if (u->asks[i].state == ASKED && u->asks[i].number < number)
            set_state(u, &u->asks[i], QUEUED);
}

/* ---- what comes ---- */

static void take_payload(struct pl_upstream *u, struct ask *a, zmq_msg_t *payload)
{
    const struct pl_item item = a->item;
    struct pl_error err = {0};
    const size_t len = zmq_msg_size(payload);
    const int rc = u->opts.came(u->opts.at, &item, zmq_msg_data(payload), len, &err);

    switch (rc) {
    case PL_OK:
        u->stats.manifests += item.what == PL_WEIGHTS_MANIFEST;
        u->stats.chunks += item.what == PL_WEIGHTS_CHUNK;
        u->stats.bytes += len;
        remove_ask(u, a);
        break;
    case PL_ENOENT:
        remove_ask(u, a);
        break;
    case PL_EINVAL:
    case PL_EFORMAT:
        u->stats.forged += rc == PL_EINVAL;
        u->stats.refused += rc == PL_EFORMAT;
        if (++a->refused > REFUSED_MAX)
            fail(u, a, true);
        else
            set_state(u, a, QUEUED);
        break;
    default:
        fail(u, a, false);
    }
}

static void take_answer(struct pl_upstream *u, zmq_msg_t *head, zmq_msg_t *payload)
{
    struct pl_weights_request answer;
    struct pl_item item;
    struct ask *a;

    if (pl_weights_request_decode(zmq_msg_data(head), zmq_msg_size(head), true, &answer, NULL) <
        0) {
        u->stats.garbage++;
        return;
    }
    u->timer_ms = u->answered_ms = u->heard_ms = now_ms();
    u->timeouts = 0;
    item = (struct pl_item){answer.version, answer.what, answer.transfer, answer.chunk};
    a = find(u, &item);
    if (!a || a->state != ASKED) {
        u->stats.strays++;
        return;
    }
    ask_lost_again(u, a->number);
    if (answer.error != PL_WEIGHTS_FINE)
        fail(u, a, answer.error == PL_WEIGHTS_BAD_REQUEST);
    else
        take_payload(u, a, payload);
}

/* [head][payload], whatever else is dropped. */
static bool take_message(struct pl_upstream *u)
{
    zmq_msg_t head, payload, rest;
    unsigned parts = 1;

    zmq_msg_init(&head);
    zmq_msg_init(&payload);
    if (zmq_msg_recv(&head, u->dealer.socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&head);
        zmq_msg_close(&payload);
        return false;
    }
    if (zmq_msg_more(&head) && zmq_msg_recv(&payload, u->dealer.socket, ZMQ_DONTWAIT) >= 0)
        parts = 2;
    for (bool more = parts == 2 && zmq_msg_more(&payload); more; parts++) {
        zmq_msg_init(&rest);
        more = zmq_msg_recv(&rest, u->dealer.socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&rest);
        zmq_msg_close(&rest);
    }
    if (parts == 2)
        take_answer(u, &head, &payload);
    else
        u->stats.garbage++;
    zmq_msg_close(&head);
    zmq_msg_close(&payload);
    return true;
}

static void take_announcement(struct pl_upstream *u, const void *bytes, size_t len)
{
    struct pl_sealed sealed = {0};
    struct pl_announcement a;
    const int rc = pl_unseal(u->opts.keys, PL_SEAL_ANNOUNCEMENT, bytes, len, &sealed, NULL);

    if (rc == PL_OK && pl_announcement_decode(sealed.body, sealed.len, &a, NULL) == PL_OK &&
        strcmp(a.run, u->opts.run) == 0) {
        u->heard_ms = now_ms();
        u->stats.announcements++;
        u->opts.announced(u->opts.at, &a, bytes, len);
    } else {
        u->stats.forged += rc == PL_EINVAL;
        u->stats.garbage += rc != PL_EINVAL;
    }
    pl_sealed_release(&sealed);
}

static bool take_news(struct pl_upstream *u)
{
    zmq_msg_t m;

    zmq_msg_init(&m);
    if (zmq_msg_recv(&m, u->sub.socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&m);
        return false;
    }
    take_announcement(u, zmq_msg_data(&m), zmq_msg_size(&m));
    zmq_msg_close(&m);
    return true;
}

/* ---- time ---- */

/* Whether upstream lets us in. */
static void check_doors(struct pl_upstream *u)
{
    const uint64_t now = now_ms();
    struct pl_error err;

    if (pl_dial_check(&u->sub, now, &err) == PL_OK && pl_dial_check(&u->dealer, now, &err) == PL_OK)
        return;
    u->stats.shut_out++;
    u->opts.shut_out(u->opts.at, err.text);
}

/* A connection may be half dead, the other end gone and nobody said so: then it is made anew. */
static void check_time(struct pl_upstream *u)
{
    const uint64_t now = now_ms();

    if (u->asked > 0 && now >= u->timer_ms + TIMEOUT_MS) {
        if (++u->timeouts % ANEW == 0)
            pl_dial_again(&u->dealer);
        for (size_t i = 0; i < u->count; i++)
            if (u->asks[i].state == ASKED)
                set_state(u, &u->asks[i], QUEUED);
    }
    for (size_t i = u->count; i-- > 0;) {
        struct ask *a = &u->asks[i];
        const uint64_t quiet_ms = a->since_ms > u->answered_ms ? a->since_ms : u->answered_ms;

        if (a->state == FAILED && now >= a->since_ms + ABSENT_MS)
            remove_ask(u, a);
        else if (a->state != FAILED && now >= quiet_ms + u->opts.silence_ms)
            fail(u, a, false);
    }
}

void pl_upstream_turn(struct pl_upstream *upstream)
{
    for (unsigned i = 0; i < TURN_MAX && take_news(upstream); i++)
        ;
    for (unsigned i = 0; i < TURN_MAX && take_message(upstream); i++)
        ;
    check_time(upstream);
    check_doors(upstream);
    ask_all(upstream);
}

struct pl_upstream_stats pl_upstream_stats(const struct pl_upstream *upstream)
{
    struct pl_upstream_stats stats = upstream->stats;

    stats.silent_s = upstream->heard_ms ? 1e-3 * (double)(now_ms() - upstream->heard_ms) : -1.0;
    return stats;
}
