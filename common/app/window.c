#include "common/app/window.h"

#include "common/app/http.h"
#include "common/app/machine.h"
#include "common/app/process.h"
#include "common/app/vitals.h"
#include "common/base/build.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum state { STARTING, READY, UNREADY, DRAINING, STATES };

static const char *const state_names[] = {"starting", "ready", "unready", "draining"};

struct pl_window {
    struct pl_http *http;
    struct pl_meters *meters;
    struct pl_process_meters process;
    struct pl_meter *up[STATES];
    const char *_Atomic unstarted; /* what stands against having started; NULL: nothing */
    struct pl_meter *tick_age, *memory, *available;
};

/* ---- meters of every daemon ---- */

static void fill(void *at)
{
    struct pl_window *w = at;
    struct pl_machine machine;
    struct pl_vitals v;
    enum state state;

    pl_vitals_read(&v);
    state = v.draining                                 ? DRAINING
            : !v.started || atomic_load(&w->unstarted) ? STARTING
            : v.ready                                  ? READY
                                                       : UNREADY;
    for (enum state s = STARTING; s < STATES; s++)
        pl_meter_set(w->up[s], s == state);
    pl_meter_set(w->tick_age, v.tick_age_s);
    if (pl_machine_read("", &machine, NULL) == PL_OK) {
        const uint64_t limit = machine.memory_limit, total = machine.memory_total;

        pl_meter_set(w->memory, (double)(limit && limit < total ? limit : total));
        pl_meter_set(w->available, (double)pl_machine_memory_usable(&machine));
    }
}

static void make(struct pl_window *w, const struct pl_window_opts *opts)
{
    struct pl_meters *m = w->meters;

    pl_process_meters_make(&w->process, m);
    pl_meters_common(m, "run", opts->run);
    pl_meter_set(pl_meters_gauge(m, "plait_build_info",
                                 "1; the labels say which program this is, and which worker.",
                                 "version", PL_VERSION, "build", pl_build(), "role", opts->role,
                                 "worker", opts->worker, NULL),
                 1.0);
    for (enum state s = STARTING; s < STATES; s++)
        w->up[s] = pl_meters_gauge(m, "plait_up", "1 for the state that the program is in, else 0.",
                                   "state", state_names[s], NULL);
    w->tick_age = pl_meters_gauge(
        m, "plait_tick_age_seconds",
        "Time since the thread that has been silent longest came any further.", NULL);
    w->memory =
        pl_meters_gauge(m, "plait_memory_limit_bytes",
                        "Memory of the machine, or of the control group if that is less.", NULL);
    w->available =
        pl_meters_gauge(m, "plait_memory_available_bytes", "What of it can still be had.", NULL);
    pl_meters_fill(m, pl_process_meters_fill, &w->process);
    pl_meters_fill(m, fill, w);
}

/* ---- answers ---- */

static bool say(struct pl_http_answer *a, bool good, const char *text)
{
    a->status = good ? 200 : 503;
    (void)pl_buf_printf(&a->body, "%s\n", text);
    return true;
}

static bool live(const struct pl_vitals *v, struct pl_http_answer *a)
{
    if (v->tick_age_s <= PL_WINDOW_SILENT_S)
        return say(a, true, "alive");
    a->status = 503;
    (void)pl_buf_printf(&a->body, "%s has not come any further for %.0f s; %d s are its bound\n",
                        v->silent, v->tick_age_s, PL_WINDOW_SILENT_S);
    return true;
}

static bool startup(const struct pl_window *w, const struct pl_vitals *v, struct pl_http_answer *a)
{
    const char *why = atomic_load(&w->unstarted);

    if (!v->started)
        return say(a, false, v->reason);
    return say(a, !why, why ? why : "started");
}

static bool metrics(struct pl_window *w, struct pl_http_answer *a)
{
    a->type = "text/plain; version=0.0.4; charset=utf-8";
    if (pl_meters_print(w->meters, &a->body) == PL_OK)
        return true;
    pl_buf_clear(&a->body);
    a->status = 500;
    a->type = "text/plain; charset=utf-8";
    (void)pl_buf_puts(&a->body, "there is no memory for the metrics\n");
    return true;
}

static bool answer(void *at, const char *path, struct pl_http_answer *a)
{
    struct pl_vitals v;

    if (strcmp(path, "/metrics") == 0)
        return metrics(at, a);
    pl_vitals_read(&v);
    if (strcmp(path, "/livez") == 0)
        return live(&v, a);
    if (strcmp(path, "/readyz") == 0) {
        if (v.draining)
            return say(a, false, "draining");
        return say(a, v.ready, v.ready ? "ready" : v.reason);
    }
    if (strcmp(path, "/startupz") == 0)
        return startup(at, &v, a);
    return false;
}

/* ---- from start to end ---- */

int pl_window_open(const struct pl_window_opts *opts, struct pl_window **ret_window,
                   struct pl_error *err)
{
    struct pl_window *w;
    int rc;

    *ret_window = NULL;
    if (!opts->listen[0])
        return PL_OK;
    w = calloc(1, sizeof *w);
    if (w)
        w->meters = pl_meters_create();
    if (!w || !w->meters) {
        free(w);
        return pl_fail(err, PL_ENOMEM, "no memory for 'http.listen'");
    }
    make(w, opts);
    rc = pl_http_create(&(struct pl_http_opts){.listen = opts->listen, .answer = answer, .at = w},
                        &w->http, err);
    if (rc < 0) {
        pl_window_close(w);
        return pl_fail_in(err, rc, "http.listen");
    }
    *ret_window = w;
    return PL_OK;
}

void pl_window_close(struct pl_window *window)
{
    if (!window)
        return;
    pl_http_destroy(window->http); /* nobody looks in any more */
    pl_meters_destroy(window->meters);
    free(window);
}

void pl_window_startup(struct pl_window *window, const char *why)
{
    if (window)
        atomic_store(&window->unstarted, why);
}

struct pl_meters *pl_window_meters(struct pl_window *window)
{
    return window ? window->meters : NULL;
}

const char *pl_window_address(const struct pl_window *window)
{
    return window ? pl_http_address(window->http) : "";
}
