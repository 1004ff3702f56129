#include "learner/presence.h"

#include "common/app/vitals.h"
#include "common/base/log.h"
#include "common/link/queues.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    CLAIM_MS = 10000,
    BEAT_MS = 1000,
    TOKEN_MAX = 256,
    SILENT_S = 60,   /* of a watched thread: it hangs, and the beat stands still */
    WATCH_MS = 200,  /* how often another's claim is looked at */
    SLACK_MS = 2000, /* a claim that is there so much longer than it lives was renewed */
    TRY_AGAIN_MS = 5000,
};

struct pl_presence {
    struct pl_presence_opts opts;
    struct pl_queues *stream; /* the thread's, once it runs */
    char who[TOKEN_MAX];
    pthread_t thread;
    bool started;
    atomic_bool quits;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    /* under the lock */
    char phase[16], why[PL_PRESENCE_WHY_MAX], other[TOKEN_MAX];
    uint64_t phase_since_ms, step, saved_step, saved_ms;
    bool changed;
    /* the thread's */
    uint64_t beat;
    char why_noted[PL_PRESENCE_WHY_MAX];
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- who one is ---- */

/* The namespace of process ids: elsewhere the same number is another process. */
static unsigned long long pid_space(void)
{
    unsigned long long number = 0;
    char text[64] = "";

    if (readlink("/proc/self/ns/pid", text, sizeof text - 1) < 0 ||
        sscanf(text, "pid:[%llu]", &number) != 1)
        return 0;
    return number;
}

static int name_self(struct pl_presence *p, struct pl_error *err)
{
    char host[65] = "?";
    uint64_t random;

    if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        strcpy(host, "?");
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return pl_fail_errno(err, "draw a number");
    snprintf(p->who, sizeof p->who, "%s %s %ld %llu-%016llx", p->opts.name, host, (long)getpid(),
             pid_space(), (unsigned long long)random);
    return PL_OK;
}

/* Whether the process named by a claim cannot be there any more, as far as this host can tell. */
static bool is_gone(const char *holder, const char *who)
{
    unsigned long long space = 0, own_space = 0;
    char host[65] = "", own_host[65] = "";
    long pid = 0, own_pid = 0;

    if (sscanf(holder, "%*s %64s %ld %llu-", host, &pid, &space) != 3 ||
        sscanf(who, "%*s %64s %ld %llu-", own_host, &own_pid, &own_space) != 3)
        return false;
    if (strcmp(host, own_host) != 0 || space != own_space || space == 0 || pid <= 0)
        return false;
    return pid == own_pid || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
}

/* ---- becoming the learner ---- */

static int refuse(const struct pl_presence *p, const char *holder, struct pl_error *err)
{
    char name[80] = "?", host[80] = "?";
    long pid = 0;

    (void)sscanf(holder, "%79s %79s %ld", name, host, &pid);
    return pl_fail(err, PL_EINVAL,
                   "run '%s' has a learner already: '%s', process %ld on host '%s', is alive in "
                   "Redis; end that one, or give this run another run.name",
                   p->opts.conf->name, name, pid, host);
}

/* What a learner's heartbeat has counted; "": it has none. */
static int beat_of(struct pl_presence *p, const char *holder, char ret_beat[24],
                   struct pl_error *err)
{
    static const char *const names[] = {"beat"};
    char name[80] = "", key[96], *value = NULL;
    int rc;

    (void)sscanf(holder, "%79s", name);
    snprintf(key, sizeof key, "worker:%s", name);
    rc = pl_queues_recall(p->stream, key, names, 1, &value, err);
    snprintf(ret_beat, 24, "%s", value ? value : "");
    free(value);
    return rc;
}

/* One that died is nobody as soon as its claim ends; one that beats meanwhile, or keeps its claim
 * for longer, is alive. */
static int claim(struct pl_presence *p, struct pl_error *err)
{
    char seen[TOKEN_MAX] = "", seen_beat[24] = "", holder[TOKEN_MAX], beats[24];
    uint64_t since = 0;

    for (;;) {
        const struct timespec pause = {0, WATCH_MS * 1000000L};
        const uint64_t now = clock_ms(CLOCK_MONOTONIC);
        bool ours;
        int rc = pl_queues_claim_run(p->stream, p->who, p->opts.claim_ms, &ours, holder,
                                     sizeof holder, err);

        if (rc < 0 || ours)
            return rc;
        if (is_gone(holder, p->who)) {
            rc = pl_queues_leave_run(p->stream, holder, err);
            if (rc < 0)
                return rc;
            continue;
        }
        rc = beat_of(p, holder, beats, err);
        if (rc < 0)
            return rc;
        if (strcmp(seen, holder) != 0) {
            snprintf(seen, sizeof seen, "%s", holder);
            snprintf(seen_beat, sizeof seen_beat, "%s", beats);
            since = now;
            pl_info("waiting event=learner holder=\"%s\"", holder);
        } else if (strcmp(seen_beat, beats) != 0 || now - since > p->opts.claim_ms + SLACK_MS) {
            return refuse(p, holder, err);
        }
        if (p->opts.stop && p->opts.stop(p->opts.at))
            return pl_fail(err, PL_ECANCELED, "stopped while another learner was watched");
        nanosleep(&pause, NULL);
    }
}

/* ---- the beat ---- */

/* A thread that hangs must not look alive. */
static bool is_alive(void)
{
    struct pl_vitals v;

    pl_vitals_read(&v);
    return v.tick_age_s < SILENT_S;
}

static int beat(struct pl_presence *p, struct pl_error *err)
{
    char since[24], step[24], saved[24], saved_ms[24], number[24], phase[16];
    char why[PL_PRESENCE_WHY_MAX];
    const struct pl_field fields[] = {{"phase", phase},       {"phase_since_ms", since},
                                      {"step", step},         {"saved_step", saved},
                                      {"saved_ms", saved_ms}, {"why", why},
                                      {"beat", number}};
    char holder[TOKEN_MAX];
    bool ours;
    int rc =
        pl_queues_claim_run(p->stream, p->who, p->opts.claim_ms, &ours, holder, sizeof holder, err);

    /* A Redis that went back may hold the claim of one that died before this one began. */
    if (rc == PL_OK && !ours && is_gone(holder, p->who)) {
        rc = pl_queues_leave_run(p->stream, holder, err);
        if (rc == PL_OK)
            rc = pl_queues_claim_run(p->stream, p->who, p->opts.claim_ms, &ours, holder,
                                     sizeof holder, err);
    }
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&p->lock);
    if (!ours)
        snprintf(p->other, sizeof p->other, "%s", holder);
    snprintf(phase, sizeof phase, "%s", p->phase);
    snprintf(why, sizeof why, "%s", p->why);
    snprintf(since, sizeof since, "%llu", (unsigned long long)p->phase_since_ms);
    snprintf(step, sizeof step, "%llu", (unsigned long long)p->step);
    snprintf(saved, sizeof saved, "%llu", (unsigned long long)p->saved_step);
    snprintf(saved_ms, sizeof saved_ms, "%llu", (unsigned long long)p->saved_ms);
    pthread_mutex_unlock(&p->lock);
    if (!ours)
        return PL_OK; /* what is there is the other's */
    p->beat += is_alive();
    snprintf(number, sizeof number, "%llu", (unsigned long long)p->beat);
    rc = pl_queues_heartbeat(p->stream, fields, sizeof fields / sizeof *fields, err);
    if (rc == PL_EFULL) /* a Redis that is full keeps the claim all the same */
        return PL_OK;
    if (rc == PL_OK && strcmp(why, p->why_noted) != 0) {
        rc = pl_queues_note(p->stream, "run", &(struct pl_field){"why", why}, 1, err);
        if (rc == PL_EFULL)
            return PL_OK;
        if (rc == PL_OK)
            snprintf(p->why_noted, sizeof p->why_noted, "%s", why);
    }
    return rc;
}

/* Until something changes, it is time again, or it is to end. */
static void rest(struct pl_presence *p, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&p->lock);
    while (!p->changed && !atomic_load(&p->quits) &&
           pthread_cond_timedwait(&p->woken, &p->lock, &until) == 0)
        ;
    p->changed = false;
    pthread_mutex_unlock(&p->lock);
}

static void *run(void *at)
{
    struct pl_presence *p = at;
    bool said = false;

    while (!atomic_load(&p->quits) && !p->other[0]) {
        struct pl_error err = {0};
        const int rc = beat(p, &err);

        if (rc < 0 && rc != PL_ECANCELED && !said)
            pl_warn("heartbeat event=failed reason=\"%s\"", err.text);
        said = rc < 0;
        rest(p, rc < 0 ? TRY_AGAIN_MS : p->opts.beat_ms);
    }
    return NULL;
}

/* ---- from start to end ---- */

static bool quits(void *at)
{
    struct pl_presence *p = at;

    return atomic_load(&p->quits) || (!p->started && p->opts.stop && p->opts.stop(p->opts.at));
}

static bool is_full(void *unused)
{
    (void)unused;
    return true;
}

static int open_stream(struct pl_presence *p, struct pl_error *err)
{
    const struct pl_run_conf *c = p->opts.conf;

    return pl_queues_open(&(struct pl_queues_opts){.url = p->opts.redis,
                                                   .access = c->access,
                                                   .run = c->name,
                                                   .worker = p->opts.name,
                                                   .role = "learner",
                                                   .lease_ms = c->lease_s * 1000,
                                                   .deliveries_max = (uint32_t)c->deliveries_max,
                                                   .stop = quits,
                                                   .full = is_full,
                                                   .at = p},
                          &p->stream, err);
}

static int start(struct pl_presence *p, struct pl_error *err)
{
    sigset_t all, old;
    int rc;

    p->started = true; /* before the thread reads it */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        return PL_OK;
    p->started = false;
    errno = rc;
    return pl_fail_errno(err, "start the thread of the heartbeat");
}

int pl_presence_open(const struct pl_presence_opts *opts, struct pl_presence **ret_presence,
                     struct pl_error *err)
{
    struct pl_presence *p = calloc(1, sizeof *p);
    pthread_condattr_t attr;
    int rc;

    if (!p)
        return pl_fail(err, PL_ENOMEM, "no memory for the heartbeat");
    p->opts = *opts;
    p->opts.claim_ms = opts->claim_ms ? opts->claim_ms : CLAIM_MS;
    p->opts.beat_ms = opts->beat_ms ? opts->beat_ms : BEAT_MS;
    strcpy(p->phase, "starting");
    p->phase_since_ms = clock_ms(CLOCK_REALTIME);
    strcpy(p->why_noted, "?"); /* what a life before has said is not so any more */
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->woken, &attr);
    pthread_condattr_destroy(&attr);
    rc = name_self(p, err);
    if (rc == PL_OK)
        rc = open_stream(p, err);
    if (rc == PL_OK)
        rc = claim(p, err);
    if (rc == PL_OK)
        rc = beat(p, err);
    if (rc == PL_OK)
        rc = start(p, err);
    if (rc < 0) {
        pl_presence_close(p);
        return rc;
    }
    *ret_presence = p;
    return PL_OK;
}

void pl_presence_close(struct pl_presence *presence)
{
    struct pl_presence *p = presence;

    if (!p)
        return;
    atomic_store(&p->quits, true);
    if (p->started) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->woken);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    if (p->stream) { /* one that is gone keeps nobody: then the claim ends by itself */
        struct pl_error err = {0};

        if (p->started && !p->other[0])
            (void)beat(p, &err);
        (void)pl_queues_leave_run(p->stream, p->who, &err);
    }
    pl_queues_close(p->stream);
    pthread_cond_destroy(&p->woken);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* ---- what the learner says ---- */

void pl_presence_phase(struct pl_presence *presence, const char *phase)
{
    struct pl_presence *p = presence;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (strcmp(p->phase, phase) != 0) {
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->phase_since_ms = clock_ms(CLOCK_REALTIME);
    }
    pthread_mutex_unlock(&p->lock);
}

void pl_presence_step(struct pl_presence *presence, uint64_t step)
{
    if (!presence)
        return;
    pthread_mutex_lock(&presence->lock);
    presence->step = step;
    pthread_mutex_unlock(&presence->lock);
}

void pl_presence_saved(struct pl_presence *presence, uint64_t step)
{
    if (!presence)
        return;
    pthread_mutex_lock(&presence->lock);
    presence->saved_step = step;
    presence->saved_ms = clock_ms(CLOCK_REALTIME);
    pthread_mutex_unlock(&presence->lock);
}

void pl_presence_why(struct pl_presence *presence, const char *why)
{
    struct pl_presence *p = presence;

    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (strcmp(p->why, why) != 0) {
        snprintf(p->why, sizeof p->why, "%s", why);
        p->changed = true;
        pthread_cond_signal(&p->woken);
    }
    pthread_mutex_unlock(&p->lock);
}

int pl_presence_check(struct pl_presence *presence, struct pl_error *err)
{
    char other[TOKEN_MAX];

    if (!presence)
        return PL_OK;
    pthread_mutex_lock(&presence->lock);
    memcpy(other, presence->other, sizeof other);
    pthread_mutex_unlock(&presence->lock);
    return other[0] ? refuse(presence, other, err) : PL_OK;
}
