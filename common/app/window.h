/*
 * The window of a daemon: what others see of it by HTTP, where its setting http.listen opens one.
 *
 *   /metrics    its meters, for Prometheus
 *   /livez      200 while every thread that must not hang came further within PL_WINDOW_SILENT_S
 *   /readyz     200 while it takes work: Redis is reachable, what the role waits for is there, it
 *               does not drain
 *   /startupz   200 once it was ready for the first time, an actor once it has weights of the run
 *
 * Probes are told of by vitals.h; each answers one line, which says why not: status 503. An actor
 * that was ready stays so when only the learner is away.
 *
 * Every window shows, beside what its role makes: plait_build_info, plait_up,
 * plait_tick_age_seconds, plait_memory_*, process_*. All meters but process_* have the label `run`;
 * who the process is stands in plait_build_info, by its labels `role` and `worker`.
 */
#ifndef PL_APP_WINDOW_H
#define PL_APP_WINDOW_H

#include "common/app/meters.h"
#include "common/base/err.h"

enum { PL_WINDOW_SILENT_S = 30 };

struct pl_window_opts {
    const char *listen; /* http.h; "": there is no window, and it costs nothing */
    const char *run, *role, *worker;
};

struct pl_window;

/* *ret_window: NULL where `listen` is "". Errors of pl_http_create(). */
int pl_window_open(const struct pl_window_opts *opts, struct pl_window **ret_window,
                   struct pl_error *err);
void pl_window_close(struct pl_window *window); /* NULL is fine */

/* What stands against /startupz beside the vital signs, a text that stays; NULL: nothing. */
void pl_window_startup(struct pl_window *window, const char *why);

/* For the role to make meters of; NULL where there is no window. */
struct pl_meters *pl_window_meters(struct pl_window *window);

/* Where it listens, "" where there is no window; borrowed. */
const char *pl_window_address(const struct pl_window *window);

#endif
