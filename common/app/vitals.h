/*
 * The vital signs of this process: whether it is ready and why not, whether it drains, when it last
 * came any further, and a sentence that says what it does. The probes read them; the service
 * manager is told of them (sd_notify(3): READY, STATUS, WATCHDOG, STOPPING, EXTEND_TIMEOUT_USEC).
 *
 * Progress is a tick: the main loop went round, a layer or a micro-batch was computed, a piece of a
 * file was written, a wait that has an end ended. Every thread that must not hang is watched, and a
 * tick counts for the thread that makes it alone; the process is as alive as the one of them that
 * has been silent longest. No timer and no thread that is not watched ticks: a program that hangs
 * falls silent, though some thread of it goes on.
 *
 * Always true:
 *   - READY is sent once, when for the first time nothing stands against it;
 *   - WATCHDOG is sent only from a tick, at most every third of WATCHDOG_USEC, and only when every
 *     watched thread has ticked since the last one;
 *   - until READY, and while draining, ticks push the service manager's time-out back;
 *   - children do not inherit NOTIFY_SOCKET and WATCHDOG_*.
 *
 * All functions may be called by any thread, but pl_vitals_start() and pl_vitals_end(), which want
 * to be alone. Without pl_vitals_start() nothing is sent, and the rest is harmless.
 */
#ifndef PL_APP_VITALS_H
#define PL_APP_VITALS_H

#include <stdbool.h>

enum { PL_VITALS_TEXT = 256, PL_VITALS_NAME = 32 };

/* Begin: takes the environment's NOTIFY_SOCKET and WATCHDOG_USEC and removes them; "start" stands
 * against being ready; the calling thread is watched as "main". */
void pl_vitals_start(void);
void pl_vitals_end(void);

/* ---- ready ---- */

/* `what` ("start", "redis", "weights") stands against being ready, with a reason in a few words.
 * Said again it replaces the reason. */
void pl_vitals_unready(const char *what, const char *reason);

/* `what` does not stand against it any more. */
void pl_vitals_ready(const char *what);

/* It finishes or hands back what it has, and leaves. */
void pl_vitals_draining(void);

/* ---- alive ---- */

/* From now on the calling thread must tick: at least every ten seconds. `who` is shown when it does
 * not. A thread that ends says so first. */
void pl_vitals_watch(const char *who);
void pl_vitals_unwatch(void);

/* The calling thread came further. Of a thread that is not watched it is nothing. */
void pl_vitals_tick(void);

/* What it does, for people: "step 120 of 500, 34 rollouts/s". Sent at most once a second. */
void pl_vitals_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- what probes ask ---- */

struct pl_vitals {
    bool started;                /* it was ready once */
    bool ready;                  /* it is */
    bool draining;               /* it is about to leave */
    char reason[PL_VITALS_TEXT]; /* not ready: "redis: connection refused" */
    char status[PL_VITALS_TEXT];
    double tick_age_s;           /* of the watched thread that has been silent longest */
    char silent[PL_VITALS_NAME]; /* which that is; "" when none is watched */
};
void pl_vitals_read(struct pl_vitals *ret_vitals);

#endif
