#include "common/app/daemon.h"

#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/signals.h"
#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/build.h"
#include "common/base/log.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct options {
    const char *config, *name;
    bool dry_run;
    struct pl_option_list assignments;
};

static const struct pl_option rows[] = {
    PL_ARG(struct options, config, "CONFIG", "YAML file of the run"),
    PL_ARG_LIST(struct options, assignments, "NAME=VALUE", 0, "settings that go before the file's"),
    PL_OPTION_STRING(struct options, name, "name", "NAME", "",
                     "stable name of this worker; empty: the role's"),
    PL_OPTION_FLAG(struct options, dry_run, "dry-run", 0, "print the resolved settings and leave"),
};

/* Redis, as the connections of this program find it. */
static struct {
    _Atomic int waiting; /* connections that wait for it */
    _Atomic unsigned reconnects;
    struct pl_meter *up, *reconnects_total;
} redis;

static void fill(void *unused)
{
    struct pl_vitals v;

    (void)unused;
    pl_vitals_read(&v);
    if (v.started || atomic_load(&redis.waiting) > 0)
        pl_meter_set(redis.up, atomic_load(&redis.waiting) == 0);
    pl_meter_rise(redis.reconnects_total, atomic_load(&redis.reconnects));
}

static void make_meters(struct pl_meters *meters)
{
    redis.up = pl_meters_gauge(meters, "plait_redis_up",
                               "1 while Redis is reached, 0 while it is waited for.", NULL);
    redis.reconnects_total = pl_meters_counter(
        meters, "plait_reconnects_total",
        "Connections that came about after they had been waited for.", "peer", "redis", NULL);
    pl_meters_fill(meters, fill, NULL);
}

bool pl_daemon_stopping(void *unused)
{
    const bool stopping = pl_signals_stop() != 0;

    (void)unused;
    pl_vitals_tick();
    if (stopping)
        pl_vitals_draining();
    return stopping;
}

void pl_daemon_event(void *unused, const char *line)
{
    static const char waiting[] = "redis event=waiting ", connected[] = "redis event=connected";

    (void)unused;
    pl_log_line(PL_LEVEL_WARN, line);
    if (strncmp(line, waiting, strlen(waiting)) == 0) {
        atomic_fetch_add(&redis.waiting, 1);
        pl_vitals_unready("redis", line + strlen(waiting));
    } else if (strncmp(line, connected, strlen(connected)) == 0) {
        atomic_fetch_sub(&redis.waiting, 1);
        atomic_fetch_add(&redis.reconnects, 1);
        pl_vitals_ready("redis");
    }
}

static int dry_run(const struct pl_run_conf *conf)
{
    struct pl_buf text;
    int status = PL_STATUS_FAILED;

    pl_buf_init(&text, 1 << 20);
    if (pl_run_conf_print(conf, true, &text) == PL_OK && fputs(text.data, stdout) >= 0 &&
        fflush(stdout) == 0)
        status = PL_STATUS_OK;
    pl_buf_release(&text);
    return status;
}

/* Before it was ready it had met what it was given, and little else. After that a message, a file
 * or a peer may have been at fault, which passes; who one is and what agrees does not. */
static int status_of(int code, bool started)
{
    if (started && code != PL_EINVAL)
        return PL_STATUS_FAILED;
    return pl_status_of_given(code);
}

static int run(const struct pl_daemon_role *role, struct pl_daemon *daemon)
{
    const size_t threads = role->threads ? role->threads(&daemon->conf) : 0;
    const struct pl_window_opts window = {.listen = daemon->conf.http_listen,
                                          .run = daemon->conf.name,
                                          .role = role->role,
                                          .worker = daemon->name};
    struct pl_vitals vitals;
    const char *at;
    struct pl_error err = {0};
    int rc;

    pl_machine_use_threads(threads);
    pl_signals_catch();
    pl_vitals_start();
    pl_log_begin(&(struct pl_log_opts){.format = (enum pl_log_format)daemon->conf.log_format,
                                       .least = (enum pl_level)daemon->conf.log_level,
                                       .role = role->role,
                                       .id = daemon->name,
                                       .run = daemon->conf.name});
    rc = pl_window_open(&window, &daemon->window, &err);
    make_meters(pl_window_meters(daemon->window));
    at = pl_window_address(daemon->window);
    pl_info("start role=%s name=%s run=%s version=%s build=%s threads=%d http=%s", role->role,
            daemon->name, daemon->conf.name, PL_VERSION, pl_build(), omp_get_max_threads(),
            at[0] ? at : "none");
    if (daemon->conf.insecure && !daemon->conf.keys[0])
        pl_warn(
            "start event=insecure reason=\"link.insecure is yes and link.keys is empty: whoever "
            "reaches a port of this run is let in\"");
    if (rc == PL_OK)
        rc = role->run(daemon, &err);
    pl_vitals_read(&vitals);
    pl_vitals_draining();
    pl_window_close(daemon->window);
    pl_vitals_end();
    if (rc == PL_ECANCELED && pl_signals_stop())
        rc = PL_OK;
    if (rc < 0) {
        pl_err("failed role=%s name=%s code=%s reason=\"%s\"", role->role, daemon->name,
               pl_code_name(rc), err.text);
        if (daemon->conf.log_format == PL_LOG_TEXT) /* JSON is for programs, who have it by now */
            fprintf(stderr, "%s: %s\n", role->program, err.text);
        pl_log_end();
        return status_of(rc, vitals.started);
    }
    pl_info("stop role=%s name=%s signal=%d", role->role, daemon->name, pl_signals_stop());
    pl_log_end();
    return PL_STATUS_OK;
}

int pl_daemon_main(const struct pl_daemon_role *role, int argc, char **argv)
{
    const struct pl_command command = {
        .name = role->program,
        .about = role->about,
        .options = rows,
        .count = sizeof rows / sizeof *rows,
        .after = "Settings are listed, with their defaults, by --dry-run.\n",
    };
    struct pl_daemon daemon = {0};
    struct pl_error err = {0};
    struct options options;
    int status;

    if (role->build)
        pl_build_set(role->build);
    if (!pl_options_read(&command, argc, argv, &options, &status))
        return status;
    if (pl_run_conf_load(options.config, options.assignments.items, options.assignments.count,
                         &daemon.conf, &err) < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        daemon.name = options.name[0] ? options.name : role->role;
        status = options.dry_run ? dry_run(&daemon.conf) : run(role, &daemon);
        pl_run_conf_release(&daemon.conf);
    }
    pl_options_release(&command, &options);
    return status;
}
