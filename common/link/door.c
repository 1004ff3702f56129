#include "common/link/door.h"

#include "common/base/check.h"
#include "common/base/logfmt.h"
#include "common/link/allow.h"
#include "common/link/crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000, FRAMES_MAX = 8, FRAME_MAX = 256 };

/* Without a handler nobody comes in. zmq.h names it among its drafts only; the library has it. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

static const char zap_endpoint[] = "inproc://zeromq.zap.01";

enum why { WHY_STRANGER, WHY_PLAIN, WHY_WRONG, WHY_BROKEN, WHY_LATE, WHY_NONE };

struct pl_door {
    struct pl_door_opts opts;
    void *zap;
    struct watch {
        void *monitor;
        unsigned fails[WHY_NONE + 1];         /* connections that are to end next, by why */
        uint64_t made, failed, ended, silent; /* connections; silent: ended, and neither of those */
    } watches[PL_DOOR_SOCKETS_MAX];           /* the thread's, of each socket */
    struct pl_crowd crowd; /* who comes: the thread's; of whom was spoken: locked */
    int wake;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* all below */
    struct pl_allow *allow;
    struct pl_door_stats stats;
    bool stop;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void say(struct pl_door *d, const char *line)
{
    if (d->opts.event)
        d->opts.event(d->opts.at, line);
}

/* The list as it is on disk now; called locked. */
static void refresh(struct pl_door *d)
{
    struct pl_error err = {0};
    char line[sizeof err.text + 64];

    if (pl_allow_refresh(d->allow, &err) == PL_OK)
        return;
    pl_logfmt_print(line, sizeof line, "door event=list_kept reason=\"%s\"", err.text);
    say(d, line);
}

static void refuse(struct pl_door *d, enum why why, const char *address, const char *key)
{
    static const char *const reasons[] = {
        [WHY_STRANGER] = "its key is in no line of the list; plait keygen --add makes both",
        [WHY_PLAIN] = "it does not speak CURVE: does it run with 'link.keys'?",
        [WHY_WRONG] = "it takes us for another: is what it has as our .pub file of this key?",
        [WHY_BROKEN] = "it went away in the middle: has it keys, or does it look for open ports?",
        [WHY_LATE] = "its key was taken out of the list",
    };
    struct pl_door_stats stats;
    char line[512], about[PL_CROWD_ADDRESS];
    bool speaks;

    snprintf(about, sizeof about, "%d %s", (int)why, address);
    pthread_mutex_lock(&d->lock);
    d->stats.strangers += why == WHY_STRANGER;
    d->stats.plain += why == WHY_PLAIN;
    d->stats.wrong += why == WHY_WRONG;
    d->stats.broken += why == WHY_BROKEN;
    d->stats.late += why == WHY_LATE;
    stats = d->stats;
    speaks = pl_crowd_speaks(&d->crowd, about, now_ms());
    pthread_mutex_unlock(&d->lock);
    if (!speaks)
        return;
    pl_logfmt_print(line, sizeof line,
                    "door event=refused address=%s reason=\"%s\" key=\"%s\" refused=%llu",
                    address[0] ? address : "unknown", reasons[why], key,
                    (unsigned long long)pl_door_refused(&stats));
    say(d, line);
}

/* ---- ZAP ---- */

struct request {
    char frames[FRAMES_MAX][FRAME_MAX]; /* each with a NUL behind it */
    size_t lens[FRAMES_MAX];
    size_t count;
};

enum { ZAP_VERSION, ZAP_ID, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_ROUTING, ZAP_MECHANISM, ZAP_KEY, ZAP_ALL };

static bool receive(void *socket, struct request *r)
{
    int more = 1;

    *r = (struct request){0};
    while (more) {
        const size_t i = r->count < FRAMES_MAX ? r->count : FRAMES_MAX - 1;
        const int n = zmq_recv(socket, r->frames[i], FRAME_MAX - 1, ZMQ_DONTWAIT);
        size_t size = sizeof more;

        if (n < 0)
            return false;
        r->lens[i] = (size_t)n < FRAME_MAX - 1 ? (size_t)n : FRAME_MAX - 1;
        r->frames[i][r->lens[i]] = '\0';
        r->count++;
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
    }
    return true;
}

/* Whether somebody with this key may come in; sets what to call him, in Z85. */
static bool admit(struct pl_door *d, const struct request *r, char key[PL_KEY_Z85 + 1])
{
    const bool curve = r->count == ZAP_ALL && strcmp(r->frames[ZAP_MECHANISM], "CURVE") == 0 &&
                       r->lens[ZAP_KEY] == PL_KEY_BYTES;
    bool known = false;

    key[0] = '\0';
    if (curve) {
        PL_ASSERT(zmq_z85_encode(key, (unsigned char *)r->frames[ZAP_KEY], PL_KEY_BYTES));
        pthread_mutex_lock(&d->lock);
        refresh(d);
        known = pl_allow_find(d->allow, (unsigned char *)r->frames[ZAP_KEY]) != NULL;
        d->stats.accepted += known;
        pthread_mutex_unlock(&d->lock);
    }
    if (!known)
        refuse(d, curve ? WHY_STRANGER : WHY_PLAIN, r->frames[ZAP_ADDRESS], key);
    return known;
}

static void answer_zap(struct pl_door *d)
{
    struct request r;

    while (receive(d->zap, &r)) {
        char key[PL_KEY_Z85 + 1];
        const bool in = admit(d, &r, key);

        zmq_send(d->zap, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(d->zap, r.frames[ZAP_ID], r.lens[ZAP_ID], ZMQ_SNDMORE);
        zmq_send(d->zap, in ? "200" : "400", 3, ZMQ_SNDMORE);
        zmq_send(d->zap, in ? "in" : "no", 2, ZMQ_SNDMORE);
        zmq_send(d->zap, in ? key : "", in ? PL_KEY_Z85 : 0, ZMQ_SNDMORE);
        zmq_send(d->zap, "", 0, 0);
    }
}

/* ---- monitors ---- */

/* The address at the other end, without its port; "" when it is gone or has none. */
static void peer_address(int fd, char address[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage s;
    socklen_t len = sizeof s;

    address[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&s, &len) < 0)
        return;
    if (s.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&s)->sin_addr, address, INET6_ADDRSTRLEN);
    else if (s.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&s)->sin6_addr, address, INET6_ADDRSTRLEN);
}

static enum why why_protocol(uint32_t code)
{
    if (code == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return WHY_PLAIN;
    return code == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC ? WHY_WRONG : WHY_BROKEN;
}

/*
 * A failed handshake is followed by the end of its connection, which tells its descriptor; with two
 * threads of ZeroMQ another may come between, and then it may be that one's address that is said.
 */
static void take_failure(struct watch *w, enum why why)
{
    w->fails[why]++;
    w->failed++;
}

/*
 * Somebody who speaks as the first ZeroMQ did, or HTTP, which looks alike, is cut without a word:
 * such a connection has ended, and was neither made nor did it fail. Which one it was is not known,
 * as those that were made end as well; only that there were so many at least.
 */
static void take_end(struct pl_door *d, struct watch *w, int fd)
{
    enum why why = WHY_STRANGER;

    w->ended++;
    while (why < WHY_NONE && w->fails[why] == 0)
        why++;
    if (w->fails[why] > 0) {
        w->fails[why]--;
        if (why != WHY_NONE)
            refuse(d, why, pl_crowd_address(&d->crowd, fd), "");
    } else if (w->ended > w->made + w->failed + w->silent) {
        w->silent++;
        refuse(d, WHY_BROKEN, "", "");
    }
    pl_crowd_leave(&d->crowd, fd);
}

static void take_event(struct pl_door *d, struct watch *w, uint16_t event, uint32_t value)
{
    char address[INET6_ADDRSTRLEN];

    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        peer_address((int)value, address);
        pl_crowd_enter(&d->crowd, (int)value, address);
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        w->made++;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        take_failure(w, why_protocol(value));
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        take_failure(w, WHY_BROKEN);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: /* counted when it was asked for */
        take_failure(w, WHY_NONE);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        take_end(d, w, (int)value);
        break;
    default:
        break;
    }
}

static void take_events(struct pl_door *d, struct watch *w)
{
    struct request r;
    uint16_t event;
    uint32_t value;

    while (receive(w->monitor, &r)) {
        if (r.lens[0] != sizeof event + sizeof value)
            continue;
        memcpy(&event, r.frames[0], sizeof event);
        memcpy(&value, r.frames[0] + sizeof event, sizeof value);
        take_event(d, w, event, value);
    }
}

/* ---- the thread ---- */

static void *run(void *at)
{
    struct pl_door *d = at;
    bool stop = false;

    while (!stop) {
        zmq_pollitem_t items[PL_DOOR_SOCKETS_MAX + 2] = {{d->zap, 0, ZMQ_POLLIN, 0},
                                                         {NULL, d->wake, ZMQ_POLLIN, 0}};

        for (size_t i = 0; i < d->opts.count; i++)
            items[2 + i] = (zmq_pollitem_t){d->watches[i].monitor, 0, ZMQ_POLLIN, 0};
        if (zmq_poll(items, (int)d->opts.count + 2, TICK_MS) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < d->opts.count; i++)
            if (items[2 + i].revents)
                take_events(d, &d->watches[i]);
        if (items[0].revents)
            answer_zap(d);
        pthread_mutex_lock(&d->lock);
        refresh(d);
        stop = d->stop;
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

/* ---- the owner's side ---- */

static int guard_socket(struct pl_door *d, size_t i, struct pl_error *err)
{
    const struct pl_keys *k = d->opts.keys;
    void *socket = d->opts.sockets[i], *monitor;
    const int yes = 1, linger = 0;
    char at[64];

    snprintf(at, sizeof at, "inproc://door.%zu", i);
    monitor = d->watches[i].monitor = zmq_socket(d->opts.context, ZMQ_PAIR);
    if (!monitor || zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->curve_secret, PL_KEY_BYTES) < 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "plait", 5) < 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &yes, sizeof yes) < 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger) < 0 ||
        zmq_socket_monitor(
            socket, at,
            ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) < 0 ||
        zmq_connect(monitor, at) < 0)
        return pl_fail(err, PL_EIO, "CURVE on a socket of ZeroMQ: %s", zmq_strerror(errno));
    return PL_OK;
}

static int open_zap(struct pl_door *d, struct pl_error *err)
{
    const int linger = 0;

    d->zap = zmq_socket(d->opts.context, ZMQ_REP);
    if (!d->zap || zmq_setsockopt(d->zap, ZMQ_LINGER, &linger, sizeof linger) < 0 ||
        zmq_bind(d->zap, zap_endpoint) < 0)
        return pl_fail(err, PL_EIO, "who may connect cannot be asked at %s: %s", zap_endpoint,
                       zmq_strerror(errno));
    return PL_OK;
}

int pl_door_open(const struct pl_door_opts *opts, struct pl_door **ret_door, struct pl_error *err)
{
    struct pl_door *d = calloc(1, sizeof *d);
    int rc;

    PL_ASSERT(opts->keys && opts->count <= PL_DOOR_SOCKETS_MAX);
    if (!d)
        return pl_fail(err, PL_ENOMEM, "no memory for a list of who may connect");
    d->opts = *opts;
    pthread_mutex_init(&d->lock, NULL);
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = d->wake >= 0 ? pl_allow_open(opts->keys->allow, &d->allow, err)
                      : pl_fail_errno(err, "an eventfd");
    if (rc == PL_OK)
        rc = open_zap(d, err);
    for (size_t i = 0; rc == PL_OK && i < opts->count; i++)
        rc = guard_socket(d, i, err);
    if (rc == PL_OK && pthread_create(&d->thread, NULL, run, d) != 0)
        rc = pl_fail(err, PL_EIO, "no thread for a list of who may connect");
    if (rc < 0) {
        pl_door_close(d);
        return rc;
    }
    d->running = true;
    *ret_door = d;
    return PL_OK;
}

void pl_door_close(struct pl_door *door)
{
    const uint64_t one = 1;

    if (!door)
        return;
    /* Before nobody reads them any more: what reports to nobody would wait for somebody. */
    for (size_t i = 0; i < door->opts.count; i++)
        if (door->watches[i].monitor)
            zmq_socket_monitor(door->opts.sockets[i], NULL, 0);
    if (door->running) {
        pthread_mutex_lock(&door->lock);
        door->stop = true;
        pthread_mutex_unlock(&door->lock);
        PL_ASSERT(write(door->wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
        pthread_join(door->thread, NULL);
    }
    for (size_t i = 0; i < door->opts.count; i++)
        if (door->watches[i].monitor)
            zmq_close(door->watches[i].monitor);
    if (door->zap)
        zmq_close(door->zap);
    if (door->wake >= 0)
        close(door->wake);
    pl_allow_close(door->allow);
    pthread_mutex_destroy(&door->lock);
    free(door);
}

bool pl_door_knows(struct pl_door *door, zmq_msg_t *frame)
{
    const char *key = door ? zmq_msg_gets(frame, "User-Id") : NULL;
    const char *address = door ? zmq_msg_gets(frame, "Peer-Address") : NULL;
    unsigned char curve[PL_KEY_BYTES];
    bool known = false;

    if (!door)
        return true;
    if (key && strlen(key) == PL_KEY_Z85 && zmq_z85_decode(curve, key)) {
        pthread_mutex_lock(&door->lock);
        known = pl_allow_find(door->allow, curve) != NULL;
        pthread_mutex_unlock(&door->lock);
    }
    if (!known)
        refuse(door, WHY_LATE, address ? address : "", key ? key : "");
    return known;
}

struct pl_door_stats pl_door_stats(const struct pl_door *door)
{
    struct pl_door *d = (struct pl_door *)door;
    struct pl_door_stats stats = {0};

    if (!d)
        return stats;
    pthread_mutex_lock(&d->lock);
    stats = d->stats;
    pthread_mutex_unlock(&d->lock);
    return stats;
}

uint64_t pl_door_refused(const struct pl_door_stats *stats)
{
    return stats->strangers + stats->plain + stats->wrong + stats->broken + stats->late;
}
