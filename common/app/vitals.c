#include "common/app/vitals.h"

#include "common/base/check.h"
#include "common/base/pulse.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCHED_MAX = 320, /* a rewarder has up to 256 threads */
    AGAINST_MAX = 8,
    STATUS_MS = 1000,
    EXTEND_MS = 5000, /* before READY and while draining: how often, and by how much more */
    EXTENSION_S = 60,
    RETRY_MS = 100,
};

struct watched {
    char who[PL_VITALS_NAME]; /* under the lock; "": free */
    _Atomic int64_t at_ms;    /* its last tick */
};

static struct {
    pthread_mutex_t lock;
    struct watched watched[WATCHED_MAX];
    struct {
        char what[PL_VITALS_NAME]; /* "": free */
        char reason[PL_VITALS_TEXT];
    } against[AGAINST_MAX];
    char status[PL_VITALS_TEXT];
    bool started, draining;
    _Atomic int64_t due_ms;                      /* when a tick has something to send */
    int64_t status_ms, watchdog_ms, extended_ms; /* when each was sent last */
    bool status_new;
    int64_t watchdog_every_ms; /* 0: nobody asks */
    int socket;
    struct sockaddr_un to;
    socklen_t to_len;
} v = {.lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1};

static _Thread_local struct watched *mine;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the service manager ---- */

/* One datagram. What cannot be sent is lost: nobody is there to be told. */
static void notify(const char *text)
{
    if (v.socket >= 0)
        (void)sendto(v.socket, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&v.to,
                     v.to_len);
}

/* NOTIFY_SOCKET is a path, or '@' and an abstract name. */
static void open_socket(const char *name)
{
    const struct timeval patience = {1, 0};
    const size_t len = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof v.to.sun_path)
        return;
    v.to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(v.to.sun_path, name, len);
    if (name[0] == '@')
        v.to.sun_path[0] = '\0';
    v.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    v.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (v.socket >= 0)
        setsockopt(v.socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

/* WATCHDOG_USEC holds for the process WATCHDOG_PID, where that is given. */
static int64_t watchdog_every(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    const int64_t every = usec ? (int64_t)(strtoull(usec, NULL, 10) / 3000) : 0;

    return pid && strtol(pid, NULL, 10) != (long)getpid() ? 0 : every;
}

/* ---- under the lock ---- */

static const char *first_against(const char **ret_what)
{
    for (size_t i = 0; i < AGAINST_MAX; i++)
        if (v.against[i].what[0]) {
            *ret_what = v.against[i].what;
            return v.against[i].reason;
        }
    return NULL;
}

static void say_reason(char text[PL_VITALS_TEXT])
{
    const char *what, *reason = first_against(&what);

    text[0] = '\0';
    if (reason)
        snprintf(text, PL_VITALS_TEXT, "%.*s: %.*s", PL_VITALS_NAME, what, PL_VITALS_TEXT - 40,
                 reason);
}

static int64_t oldest_tick(const char **ret_who)
{
    int64_t oldest = INT64_MAX;

    *ret_who = "";
    for (size_t i = 0; i < WATCHED_MAX; i++) {
        const int64_t at = atomic_load_explicit(&v.watched[i].at_ms, memory_order_relaxed);

        if (v.watched[i].who[0] && at < oldest) {
            oldest = at;
            *ret_who = v.watched[i].who;
        }
    }
    return oldest;
}

static void send_status(int64_t now)
{
    char reason[PL_VITALS_TEXT], text[2 * PL_VITALS_TEXT];

    say_reason(reason);
    snprintf(text, sizeof text, "STATUS=%s%s", reason[0] ? "not ready: " : "",
             reason[0] ? reason : v.status);
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    notify(text);
    v.status_ms = now;
    v.status_new = false;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* All that is due by now, and when the next will be. */
static void attend(int64_t now)
{
    int64_t due = INT64_MAX;
    const char *who;

    if (v.status_new && now >= v.status_ms + STATUS_MS)
        send_status(now);
    if (v.status_new)
        due = v.status_ms + STATUS_MS;
    if (v.watchdog_every_ms > 0 && v.started) {
        if (now >= v.watchdog_ms + v.watchdog_every_ms && oldest_tick(&who) > v.watchdog_ms) {
            notify("WATCHDOG=1");
            v.watchdog_ms = now;
        }
        due = least(due, v.watchdog_ms + v.watchdog_every_ms);
    }
    if (!v.started || v.draining) {
        if (now >= v.extended_ms + EXTEND_MS && oldest_tick(&who) > v.extended_ms) {
            char text[64];

            snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%lld", EXTENSION_S * 1000000LL);
            notify(text);
            v.extended_ms = now;
        }
        due = least(due, v.extended_ms + EXTEND_MS);
    }
    atomic_store(&v.due_ms, due > now ? due : now + RETRY_MS);
}

static void changed(void)
{
    const char *what;

    v.status_new = true;
    if (!v.started && !first_against(&what)) {
        v.started = true;
        v.watchdog_ms = now_ms();
        notify("READY=1");
        v.status_ms = 0; /* what is said on being ready is not put off */
    }
    attend(now_ms());
}

/* ---- from start to end ---- */

void pl_vitals_start(void)
{
    const char *name = getenv("NOTIFY_SOCKET");

    PL_ASSERT(v.socket < 0);
    if (name)
        open_socket(name);
    v.watchdog_every_ms = v.socket >= 0 ? watchdog_every() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    v.started = v.draining = false;
    v.status[0] = '\0';
    v.status_ms = v.watchdog_ms = v.extended_ms = 0;
    memset(v.against, 0, sizeof v.against);
    pl_vitals_watch("main");
    pl_vitals_unready("start", "it is starting");
    pl_pulse_to(pl_vitals_tick);
}

void pl_vitals_end(void)
{
    pl_pulse_to(NULL);
    pl_vitals_unwatch();
    if (v.socket >= 0)
        close(v.socket);
    v.socket = -1;
}

/* ---- ready ---- */

void pl_vitals_unready(const char *what, const char *reason)
{
    size_t at = AGAINST_MAX;

    PL_ASSERT(what[0] && strlen(what) < PL_VITALS_NAME);
    pthread_mutex_lock(&v.lock);
    for (size_t i = AGAINST_MAX; i-- > 0;)
        if (!v.against[i].what[0])
            at = i;
    for (size_t i = 0; i < AGAINST_MAX; i++)
        if (strcmp(v.against[i].what, what) == 0)
            at = i;
    PL_ASSERT(at < AGAINST_MAX);
    snprintf(v.against[at].what, sizeof v.against[at].what, "%s", what);
    snprintf(v.against[at].reason, sizeof v.against[at].reason, "%s", reason);
    changed();
    pthread_mutex_unlock(&v.lock);
}

void pl_vitals_ready(const char *what)
{
    pthread_mutex_lock(&v.lock);
    for (size_t i = 0; i < AGAINST_MAX; i++)
        if (v.against[i].what[0] && strcmp(v.against[i].what, what) == 0) {
            v.against[i].what[0] = '\0';
            changed();
        }
    pthread_mutex_unlock(&v.lock);
}

void pl_vitals_draining(void)
{
    pthread_mutex_lock(&v.lock);
    if (!v.draining) {
        v.draining = true;
        notify("STOPPING=1");
        attend(now_ms());
    }
    pthread_mutex_unlock(&v.lock);
}

/* ---- alive ---- */

void pl_vitals_watch(const char *who)
{
    PL_ASSERT(!mine && who[0]);
    pthread_mutex_lock(&v.lock);
    for (size_t i = 0; i < WATCHED_MAX && !mine; i++)
        if (!v.watched[i].who[0]) {
            mine = &v.watched[i];
            snprintf(mine->who, sizeof mine->who, "%s", who);
            atomic_store(&mine->at_ms, now_ms());
        }
    pthread_mutex_unlock(&v.lock);
    PL_ASSERT(mine);
}

void pl_vitals_unwatch(void)
{
    if (!mine)
        return;
    pthread_mutex_lock(&v.lock);
    mine->who[0] = '\0';
    mine = NULL;
    pthread_mutex_unlock(&v.lock);
}

void pl_vitals_tick(void)
{
    int64_t now;

    if (!mine)
        return;
    now = now_ms();
    atomic_store_explicit(&mine->at_ms, now, memory_order_relaxed);
    if (now < atomic_load_explicit(&v.due_ms, memory_order_relaxed) ||
        pthread_mutex_trylock(&v.lock) != 0)
        return;
    attend(now);
    pthread_mutex_unlock(&v.lock);
}

void pl_vitals_status(const char *fmt, ...)
{
    char text[PL_VITALS_TEXT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pthread_mutex_lock(&v.lock);
    if (strcmp(v.status, text) != 0) {
        memcpy(v.status, text, sizeof v.status);
        v.status_new = true;
        attend(now_ms());
    }
    pthread_mutex_unlock(&v.lock);
}

/* ---- what probes ask ---- */

void pl_vitals_read(struct pl_vitals *ret_vitals)
{
    const char *who;
    int64_t oldest;

    pthread_mutex_lock(&v.lock);
    *ret_vitals = (struct pl_vitals){.started = v.started, .draining = v.draining};
    say_reason(ret_vitals->reason);
    ret_vitals->ready = v.started && !ret_vitals->reason[0];
    memcpy(ret_vitals->status, v.status, sizeof v.status);
    oldest = oldest_tick(&who);
    snprintf(ret_vitals->silent, sizeof ret_vitals->silent, "%s", who);
    if (who[0])
        ret_vitals->tick_age_s = (double)(now_ms() - oldest) / 1000.0;
    pthread_mutex_unlock(&v.lock);
}
