/*
 * The shell of the three daemons: `plait-actor CONFIG [name=value]...` and its like. Options,
 * configuration, threads, signals, the log's first and last line, the exit status; what is between
 * is the role's.
 *
 * The first SIGTERM or SIGINT asks the role to drain (pl_daemon_stopping()); signals.h says what
 * another does. Exit status: 0 it drained or was done; 1 it failed and said why; 2 the same, and
 * starting it again does not help: options, settings or files that they name are wrong, it may not
 * do what it is to do, or it does not belong to this run; 128 + n ended by signal n.
 *
 * A role says that it is ready with pl_vitals_ready("start"), and ticks (vitals.h).
 */
#ifndef PL_APP_DAEMON_H
#define PL_APP_DAEMON_H

#include "common/app/run_conf.h"
#include "common/base/err.h"

#include <stdbool.h>

struct pl_window;

struct pl_daemon {
    struct pl_run_conf conf;
    const char *name;         /* stable name of this worker: "actor-1" */
    struct pl_window *window; /* where others look in (window.h); NULL: there is none */
};

struct pl_daemon_role {
    const char *build; /* PL_BUILD of build_tag.h */
    const char *program, *about;
    const char *role;                                  /* "actor"; the default of --name */
    size_t (*threads)(const struct pl_run_conf *conf); /* OpenMP threads; 0: all */
    int (*run)(struct pl_daemon *daemon, struct pl_error *err);
};

int pl_daemon_main(const struct pl_daemon_role *role, int argc, char **argv);

/* Whether a signal asked to drain; for pl_queues_opts.stop too. Who asks goes round some loop,
 * which is a tick (vitals.h). */
bool pl_daemon_stopping(void *unused);

/* For pl_queues_opts.event: a line at level warn. A Redis that is waited for stands against being
 * ready. */
void pl_daemon_event(void *unused, const char *line);

#endif
