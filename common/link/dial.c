#include "common/link/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { AGAIN_MS = 500, AGAIN_DOUBLINGS = 4, FRAME_MAX = 256 };

static int set_keys(const struct pl_keys *k, void *socket)
{
    int rc = zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, k->peer.curve, PL_KEY_BYTES);

    if (rc == 0)
        rc = zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, k->own.curve, PL_KEY_BYTES);
    if (rc == 0)
        rc = zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->curve_secret, PL_KEY_BYTES);
    return rc;
}

/* What goes wrong is reported to a socket of ours; each has a name of its own. */
static void *watch(void *context, void *socket)
{
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    const int linger = 0;
    char at[64];

    if (!monitor)
        return NULL;
    snprintf(at, sizeof at, "inproc://dial.%p", monitor);
    zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_socket_monitor(socket, at,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) < 0 ||
        zmq_connect(monitor, at) < 0) {
        zmq_socket_monitor(socket, NULL, 0);
        zmq_close(monitor);
        return NULL;
    }
    return monitor;
}

static void hang_up(void *socket, void *monitor)
{
    if (socket) {
        zmq_socket_monitor(socket, NULL, 0); /* before nobody reads it any more */
        zmq_close(socket);
    }
    if (monitor)
        zmq_close(monitor);
}

static int open_both(const struct pl_dial_opts *o, void **ret_socket, void **ret_monitor)
{
    const int linger = 0, immediate = 1, ivl = 100, ivl_max = 5000;
    void *socket = zmq_socket(o->context, o->type), *monitor = NULL;

    if (!socket)
        return -1;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &ivl, sizeof ivl);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &ivl_max, sizeof ivl_max);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &o->bytes_max, sizeof o->bytes_max);
    if (o->type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    else
        zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    if ((!o->keys || set_keys(o->keys, socket) == 0) && (monitor = watch(o->context, socket)) &&
        zmq_connect(socket, o->endpoint) == 0) {
        *ret_socket = socket;
        *ret_monitor = monitor;
        return 0;
    }
    const int why = errno;

    hang_up(socket, monitor);
    errno = why;
    return -1;
}

int pl_dial_open(struct pl_dial *dial, const struct pl_dial_opts *opts, struct pl_error *err)
{
    *dial = (struct pl_dial){.opts = *opts};
    if (open_both(opts, &dial->socket, &dial->monitor) < 0)
        return pl_fail(err, PL_EINVAL, "connect '%s': %s", opts->endpoint, zmq_strerror(errno));
    return PL_OK;
}

void pl_dial_close(struct pl_dial *dial)
{
    hang_up(dial->socket, dial->monitor);
    *dial = (struct pl_dial){0};
}

void pl_dial_again(struct pl_dial *dial)
{
    void *socket, *monitor;

    if (open_both(&dial->opts, &socket, &monitor) < 0)
        return;
    hang_up(dial->socket, dial->monitor);
    dial->socket = socket;
    dial->monitor = monitor;
}

/* The next thing that was reported; false: there is none. */
static bool next_event(void *monitor, uint16_t *ret_event, uint32_t *ret_value)
{
    char frame[FRAME_MAX];
    int more = 1, n = zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    size_t size = sizeof more;

    if (n != sizeof *ret_event + sizeof *ret_value)
        return false;
    memcpy(ret_event, frame, sizeof *ret_event);
    memcpy(ret_value, frame + sizeof *ret_event, sizeof *ret_value);
    zmq_getsockopt(monitor, ZMQ_RCVMORE, &more, &size);
    if (more)
        (void)zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    return true;
}

static int explain(const struct pl_dial *d, uint16_t event, uint32_t value, struct pl_error *err)
{
    const struct pl_keys *k = d->opts.keys;

    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && k)
        return pl_fail(err, PL_EINVAL,
                       "'%s' does not let in our key '%s': its line is missing in the list 'allow' "
                       "there",
                       d->opts.endpoint, k->name);
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return pl_fail(err, PL_EINVAL,
                       k ? "'%s' does not speak CURVE, and we have keys: it must run with "
                           "'link.keys' too"
                         : "'%s' lets in nobody without keys: set 'link.keys'",
                       d->opts.endpoint);
    if (k)
        return pl_fail(err, PL_EINVAL,
                       "'%s' ends the connection before it is made: is it who 'link.peer' says, "
                       "and its .pub file here of the key that it has?",
                       d->opts.endpoint);
    if (d->refused > 1) /* once may be a server that dies */
        return pl_fail(err, PL_EINVAL,
                       "'%s' ends the connection before it is made: does it want 'link.keys'?",
                       d->opts.endpoint);
    return PL_OK;
}

int pl_dial_check(struct pl_dial *dial, uint64_t now_ms, struct pl_error *err)
{
    uint16_t event;
    uint32_t value;
    int rc = PL_OK;

    while (next_event(dial->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            dial->refused = 0;
            dial->again_ms = 0;
            rc = PL_OK;
            continue;
        }
        rc = explain(dial, event, value, err);
        if (dial->again_ms == 0) {
            const unsigned n = dial->refused < AGAIN_DOUBLINGS ? dial->refused : AGAIN_DOUBLINGS;

            dial->again_ms = now_ms + (AGAIN_MS << n);
            dial->refused++;
        }
    }
    if (dial->again_ms && now_ms >= dial->again_ms) {
        dial->again_ms = 0;
        pl_dial_again(dial);
    }
    return rc;
}
