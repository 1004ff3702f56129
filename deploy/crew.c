#include "deploy/crew.h"

#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "deploy/crew_log.h"
#include "deploy/crew_process.h"
#include "deploy/external.h"
#include "learner/result.h"
#include "learner/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DEATHS_MAX = 5,    /* of the learner or of Redis, without progress */
    DEATHS_MANY = 3,   /* of another member: worth a line on the screen */
    PAUSE_MOST_S = 60, /* before another start */
    LIFE_S = 60,       /* a life that ends a row of deaths */
    REDIS_WAIT_S = 20,
    STILL_S = 120, /* a learner in which nothing moves for so long hangs, or (hangs_s()) earlier */
    REDIS_STILL_S = 20,
    GRACE_S = 10, /* beyond workers.drain_s, and workers.learner_drain_s */
    IN_VAIN_S = 5,
    SAY_S = 5,      /* while something is waited for */
    STRANGER_S = 8, /* for a learner that nobody started, as far as one can see */
    BOUND_S = 5,    /* how often logs are looked at */
    USAGE = 2,      /* the exit status */
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* However long a learner takes to stop, something moves in it: for how long nothing may. */
static double hangs_s(const struct pl_run_conf *conf)
{
    const double asked_s = (double)conf->learner_drain_s + GRACE_S;

    return asked_s < STILL_S ? asked_s : STILL_S;
}

static void nap(void)
{
    const struct timespec pause = {0, 20000000};

    nanosleep(&pause, NULL);
}

__attribute__((format(printf, 2, 3))) static void say(const struct pl_crew *crew,
                                                      const char *format, ...)
{
    char sentence[512];
    va_list args;

    if (!crew->say)
        return;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    crew->say(crew->at, sentence);
}

/* ---- putting it together ---- */

/* Room for a member, with its log's name. */
static int next_member(struct pl_crew *crew, enum pl_crew_role role, const char *name,
                       const char *program, struct pl_member **ret_member, struct pl_error *err)
{
    struct pl_member *m = &crew->members[crew->count];

    if (crew->count == PL_CREW_MAX)
        return pl_fail(err, PL_EFULL, "more than %d processes", PL_CREW_MAX);
    *m = (struct pl_member){.role = role};
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->program, sizeof m->program, "%s", program);
    m->log = pl_strf("%s/logs/%s.log", crew->conf->dir, name);
    crew->count++;
    *ret_member = m;
    return m->log ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory to start '%s'", name);
}

/* plait-ROLE CONFIG NAME=VALUE... --name=NAME */
static int add_role(struct pl_crew *crew, enum pl_crew_role role, const char *what,
                    const char *name, struct pl_error *err)
{
    const size_t n = crew->assignment_count;
    struct pl_member *m;
    char program[32];
    int rc;

    snprintf(program, sizeof program, "plait-%s", what);
    rc = next_member(crew, role, name, program, &m, err);
    if (rc < 0)
        return rc;
    rc = pl_external_find(what, &m->path);
    if (rc < 0)
        return pl_fail(err, rc, "the program '%s' is neither beside plait nor in PATH", program);
    m->argv = calloc(n + 4, sizeof *m->argv);
    m->word = pl_strf("--name=%s", name);
    if (!m->argv || !m->word)
        return pl_fail(err, PL_ENOMEM, "no memory to start '%s'", name);
    m->argv[0] = m->path;
    m->argv[1] = (char *)crew->config;
    for (size_t i = 0; i < n; i++)
        m->argv[i + 2] = crew->assignments[i];
    m->argv[n + 2] = m->word;
    return PL_OK;
}

static int add_redis(struct pl_crew *crew, struct pl_error *err)
{
    static const char program[] = "/usr/bin/redis-server";
    char *url = pl_run_conf_redis(crew->conf);
    char *socket = url ? strdup(url + strlen("unix://")) : NULL;
    /* What is in the queues must not be thrown away, and the learner keeps them small
     * (link.held_mb): no limit at which Redis would have to choose. */
    const char *const words[] = {program,
                                 "--port",
                                 "0",
                                 "--save",
                                 "",
                                 "--appendonly",
                                 "yes",
                                 "--maxmemory",
                                 "0",
                                 "--maxmemory-policy",
                                 "noeviction",
                                 "--daemonize",
                                 "no",
                                 "--dir",
                                 crew->conf->dir,
                                 "--unixsocketperm",
                                 "700",
                                 "--unixsocket",
                                 socket ? socket : ""};
    const size_t n = sizeof words / sizeof *words;
    struct pl_member *m;
    int rc;

    free(url);
    if (access(program, X_OK) != 0) {
        free(socket);
        return pl_fail(
            err, PL_ENOENT,
            "redis-server is not installed; install it (apt-get install redis-server) or "
            "name one by link.redis");
    }
    rc = next_member(crew, PL_CREW_REDIS, "redis", "redis-server", &m, err);
    if (rc < 0) {
        free(socket);
        return rc;
    }
    m->path = strdup(program);
    m->argv = calloc(n + 1, sizeof *m->argv);
    m->word = socket;
    crew->redis = true;
    if (!socket || !m->path || !m->argv)
        return pl_fail(err, PL_ENOMEM, "no memory to start Redis");
    if (strlen(socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is too long for a socket; choose a shorter run.dir, or set link.redis",
                       socket);
    memcpy(m->argv, words, sizeof words);
    return PL_OK;
}

/* The run's folder and the learner's lock file, which says that it is one; the learner locks it. */
static int make_folders(const struct pl_run_conf *conf, struct pl_error *err)
{
    char *logs = pl_strf("%s/logs", conf->dir), *lock = pl_strf("%s/plait.lock", conf->dir);
    int fd = -1, rc = pl_rundir_check(conf->dir, true, err);

    if (rc == PL_OK)
        rc = logs && lock ? pl_dir_make(conf->dir, err)
                          : pl_fail(err, PL_ENOMEM, "no memory for the run");
    if (rc == PL_OK) {
        fd = open(lock, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            rc = pl_fail_errno(err, "open '%s'", lock);
    }
    if (rc == PL_OK)
        rc = pl_dir_make(logs, err);
    if (fd >= 0)
        close(fd);
    free(logs);
    free(lock);
    return rc;
}

int pl_crew_init(struct pl_crew *crew, const struct pl_run_conf *conf, const char *config,
                 char *const *assignments, size_t assignment_count, struct pl_error *err)
{
    int rc;

    *crew = (struct pl_crew){.conf = conf,
                             .config = config,
                             .assignments = assignments,
                             .assignment_count = assignment_count,
                             .lock = {.fd = -1}};
    rc = make_folders(conf, err);
    if (rc == PL_OK)
        rc = pl_run_lock_take(conf->dir, &crew->lock, crew->left, &crew->left_count, err);
    if (rc == PL_OK && !conf->redis[0])
        rc = add_redis(crew, err);
    if (rc == PL_OK)
        rc = add_role(crew, PL_CREW_LEARNER, "learner", "learner", err);
    for (size_t i = 0; rc == PL_OK && i < conf->rewarders + conf->actors; i++) {
        const bool actor = i >= conf->rewarders;
        char name[64];

        snprintf(name, sizeof name, "%s-%zu", actor ? "actor" : "rewarder",
                 actor ? i - conf->rewarders + 1 : i + 1);
        rc = add_role(crew, actor ? PL_CREW_ACTOR : PL_CREW_REWARDER, actor ? "actor" : "rewarder",
                      name, err);
    }
    return rc;
}

void pl_crew_release(struct pl_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++) {
        free(crew->members[i].path);
        free(crew->members[i].argv);
        free(crew->members[i].word);
        free(crew->members[i].log);
    }
    crew->count = 0;
    pl_run_lock_release(&crew->lock);
}

uint64_t pl_crew_saved(const struct pl_crew *crew)
{
    char *path = NULL;
    const char *name;
    uint64_t step = 0;

    if (pl_rundir_latest(crew->conf->dir, &path, NULL) == PL_OK && path) {
        name = strrchr(path, '_');
        step = name ? strtoull(name + 1, NULL, 10) : 0;
    }
    free(path);
    return step;
}

/* Grows while the run comes any further. */
static uint64_t progress_of(const struct pl_crew *crew)
{
    const uint64_t saved = pl_crew_saved(crew);

    return saved > crew->step ? saved : crew->step;
}

/* ---- starting ---- */

/* For whoever comes after this process was killed: its children, and those that it found. */
static void note_children(const struct pl_crew *crew)
{
    struct pl_run_child list[PL_RUN_CHILDREN_MAX];
    size_t n = 0;

    for (size_t i = 0; i < crew->count; i++) {
        const struct pl_member *m = &crew->members[i];

        if (m->pid <= 0)
            continue;
        list[n] = (struct pl_run_child){.pid = m->pid, .started = m->started};
        memcpy(list[n].name, m->name, sizeof list[n].name);
        memcpy(list[n++].program, m->program, sizeof m->program);
    }
    for (size_t i = 0; i < crew->left_count && n < PL_RUN_CHILDREN_MAX; i++)
        if (crew->left[i].pid > 0)
            list[n++] = crew->left[i];
    pl_run_lock_note(&crew->lock, list, n);
}

/* In the child: its log, its group, its end with the parent's. Does not return. */
static void become(const struct pl_member *m, pid_t parent)
{
    const int fd = open(m->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    const int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || fd < 0 || null < 0)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    /* Several processes on few processors: threads that spin while they wait are in the way. */
    setenv("OMP_WAIT_POLICY", "passive", 0);
    execv(m->path, m->argv);
    _exit(127);
}

static int start(struct pl_crew *crew, struct pl_member *m, struct pl_error *err)
{
    const pid_t parent = getpid();
    char restarts[16];
    pid_t pid;

    m->logged = pl_crew_log_size(m->log);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        snprintf(restarts, sizeof restarts, "%u", m->restarts);
        setenv("PLAIT_RESTARTS", restarts, 1);
        become(m, parent);
    }
    if (pid < 0)
        return pl_fail_errno(err, "start '%s'", m->path);
    m->pid = pid;
    m->started = pl_process_started(pid);
    m->started_s = seconds();
    m->again_s = 0.0;
    note_children(crew);
    return PL_OK;
}

static int wait_for_redis(struct pl_crew *crew, struct pl_error *err)
{
    struct pl_member *redis = &crew->members[0];
    const double end = seconds() + REDIS_WAIT_S;
    char said[256];
    int status;

    while (pl_process_behind(redis->word) == 0) {
        if (waitpid(redis->pid, &status, WNOHANG) == redis->pid) {
            redis->pid = 0;
            (void)pl_crew_log_last(redis->log, redis->logged, redis->program, said, sizeof said);
            return pl_fail(err, PL_EIO, "redis-server ended at once: %s (see '%s')",
                           said[0] ? said : "it said nothing", redis->log);
        }
        if (pl_signals_stop())
            return pl_fail(err, PL_ECANCELED, "stopped while Redis was starting");
        if (seconds() > end)
            return pl_fail(err, PL_EIO, "redis-server does not answer; see '%s'", redis->log);
        nap();
    }
    return PL_OK;
}

/* ---- what an earlier one left ---- */

/*
 * A private Redis of a supervisor that was killed: it keeps the queues' file open, so it must end
 * before another begins. It writes what it has first; and what it was told before it was killed is
 * in its file.
 */
static int stop_left_redis(struct pl_crew *crew, pid_t pid, struct pl_error *err)
{
    const uint64_t started = pl_process_started(pid);
    struct pl_process_look look = {0};

    if (started == 0)
        return PL_OK;
    if (!pl_process_is(pid, started, "redis-server"))
        return pl_fail(err, PL_EINVAL, "process %ld, which is no redis-server, listens on '%s'",
                       (long)pid, crew->members[0].word);
    say(crew, "the Redis that an earlier plait up left (process %ld) is stopped first", (long)pid);
    if (kill(pid, SIGTERM) < 0 && errno != ESRCH)
        return pl_fail_errno(err, "stop the Redis of process %ld, which an earlier plait up left",
                             (long)pid);
    while (pl_process_is(pid, started, "redis-server")) {
        if (pl_signals_stop())
            return pl_fail(err, PL_ECANCELED, "stopped while an earlier Redis was stopped");
        if (pl_process_still_s(&look, pid) > REDIS_STILL_S)
            kill(pid, SIGKILL);
        nap();
    }
    return PL_OK;
}

static int stop_left_redises(struct pl_crew *crew, struct pl_error *err)
{
    int rc = stop_left_redis(crew, pl_process_behind(crew->members[0].word), err);

    for (size_t i = 0; rc == PL_OK && i < crew->left_count; i++) /* its socket may be gone */
        if (strcmp(crew->left[i].program, "redis-server") == 0) {
            rc = stop_left_redis(crew, crew->left[i].pid, err);
            crew->left[i].pid = 0;
        }
    return rc;
}

/* Those that are still there, as words: "learner (process 12), actor-1 (process 13)". */
static size_t list_left(struct pl_crew *crew, char *text, size_t size)
{
    size_t n = 0, len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < crew->left_count; i++) {
        struct pl_run_child *c = &crew->left[i];

        if (c->pid > 0 && !pl_process_is(c->pid, c->started, c->program))
            c->pid = 0;
        if (c->pid == 0)
            continue;
        if (len < size)
            len += (size_t)snprintf(text + len, size - len, "%s%s (process %ld)", n ? ", " : "",
                                    c->name, (long)c->pid);
        n++;
    }
    return n;
}

/* The learner writes a checkpoint, for which it may need as long as a step; the others give back
 * what they hold. One that hangs is killed. */
static int wait_for_left(struct pl_crew *crew, struct pl_error *err)
{
    struct pl_process_look looks[PL_RUN_CHILDREN_MAX] = {0};
    const double begun = seconds();
    double said_s = begun - SAY_S;
    char names[256];

    for (size_t i = 0; i < crew->left_count; i++)
        if (crew->left[i].pid > 0)
            kill(crew->left[i].pid,
                 SIGTERM); /* they were asked when their parent died; to be sure */
    while (list_left(crew, names, sizeof names) > 0) {
        if (pl_signals_stop())
            return pl_fail(err, PL_ECANCELED, "stopped while an earlier crew was waited for");
        if (seconds() - said_s >= 2 * SAY_S) {
            said_s = seconds();
            say(crew,
                "an earlier plait up was killed; what it left finishes and saves first: %s, %.0f s "
                "so far",
                names, seconds() - begun);
        }
        for (size_t i = 0; i < crew->left_count; i++) {
            const struct pl_run_child *c = &crew->left[i];
            const bool learner = strcmp(c->program, "plait-learner") == 0;

            if (c->pid > 0 &&
                (pl_process_still_s(&looks[i], c->pid) > hangs_s(crew->conf) ||
                 (!learner && seconds() - begun > (double)crew->conf->drain_s + GRACE_S)))
                kill(c->pid, SIGKILL);
        }
        nap();
    }
    note_children(crew);
    return PL_OK;
}

/* The learner of somebody else: by hand, by a service. It is not ours to stop. */
static int look_for_stranger(struct pl_crew *crew, struct pl_error *err)
{
    const double end = seconds() + STRANGER_S;
    char who[48];
    pid_t pid;

    while (pl_run_has_learner(crew->conf->dir, &pid)) {
        if (pl_signals_stop())
            return pl_fail(err, PL_ECANCELED, "stopped while another learner was waited for");
        if (seconds() > end) {
            snprintf(who, sizeof who, "process %ld", (long)pid);
            if (pid == 0)
                strcpy(who, "on another machine");
            return pl_fail(err, PL_EINVAL,
                           "a learner that no plait up started is at work in '%s' (%s): end it "
                           "first, or leave the run to whoever started it",
                           crew->conf->dir, who);
        }
        nap();
    }
    return PL_OK;
}

int pl_crew_start(struct pl_crew *crew, struct pl_error *err)
{
    int rc = crew->redis ? stop_left_redises(crew, err) : PL_OK;

    if (rc == PL_OK && crew->redis) { /* before the others are waited for: they save with it */
        rc = start(crew, &crew->members[0], err);
        if (rc == PL_OK)
            rc = wait_for_redis(crew, err);
    }
    if (rc == PL_OK)
        rc = wait_for_left(crew, err);
    if (rc == PL_OK)
        rc = look_for_stranger(crew, err);
    for (size_t i = crew->redis ? 1 : 0; rc == PL_OK && i < crew->count; i++)
        rc = start(crew, &crew->members[i], err);
    return rc;
}

/* ---- tending ---- */

static void describe_end(int status, char how[64])
{
    if (WIFSIGNALED(status))
        snprintf(how, 64, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, 64, "ended with status %d", WEXITSTATUS(status));
}

/* How many deaths in a row this is. Of a learner those count between which the run came no further:
 * one that is killed now and then, in long steps, is no reason to give up. */
static unsigned count_death(struct pl_crew *crew, struct pl_member *m)
{
    const uint64_t progress = m->role == PL_CREW_LEARNER ? progress_of(crew) : 0;
    const bool begins =
        m->role == PL_CREW_LEARNER ? progress > m->died_at : seconds() - m->started_s > LIFE_S;

    m->died_at = progress > m->died_at ? progress : m->died_at;
    m->deaths = begins ? 1 : m->deaths + 1;
    return m->deaths;
}

static double pause_after(unsigned deaths)
{
    const double pause = 0.25 * (double)(1u << (deaths < 16 ? deaths : 16));

    return pause < PAUSE_MOST_S ? pause : PAUSE_MOST_S;
}

static int bury(struct pl_crew *crew, struct pl_member *m, int status, bool *over,
                struct pl_error *err)
{
    const bool vital = m->role == PL_CREW_LEARNER || m->role == PL_CREW_REDIS;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    char how[64], said[400];
    bool error;

    m->pid = 0;
    note_children(crew);
    if (m->role == PL_CREW_LEARNER && code == 0) {
        *over = pl_result_is_of(crew->conf->dir, crew->conf->steps);
        if (*over)
            return PL_OK;
    }
    error = pl_crew_log_last(m->log, m->logged, m->program, said, sizeof said);
    describe_end(status, how);
    if (code == USAGE && m->role != PL_CREW_REDIS)
        return pl_fail(err, PL_EINVAL, "%s cannot go on: %s", m->name,
                       said[0] ? said : "it ended with status 2 and said nothing");
    if (code == 126 || code == 127)
        return pl_fail(err, PL_EIO, "%s cannot be run ('%s')", m->name, m->path);
    m->restarts++;
    if (m->role == PL_CREW_LEARNER && code == 0) { /* somebody else asked it to stop */
        m->again_s = seconds() + pause_after(1);
        pl_warn("crew event=stopped name=%s saved_step=%llu reason=\"somebody asked it to stop; it "
                "goes on\"",
                m->name, (unsigned long long)pl_crew_saved(crew));
        return PL_OK;
    }
    if (count_death(crew, m) >= DEATHS_MAX && vital)
        return pl_fail(err, PL_EIO, "%s died %u times%s: it %s%s%s%s; see '%s'", m->name, m->deaths,
                       m->role == PL_CREW_LEARNER ? " without a step between" : " in a row", how,
                       said[0] && (error || m->role == PL_CREW_REDIS) ? ", saying '" : "",
                       error || m->role == PL_CREW_REDIS ? said : "",
                       said[0] && (error || m->role == PL_CREW_REDIS) ? "'" : "", m->log);
    m->again_s = seconds() + pause_after(m->deaths);
    pl_warn("crew event=died name=%s how=\"%s\" in_a_row=%u again_in_s=%.1f said=\"%s\"", m->name,
            how, m->deaths, m->again_s - seconds(), error ? said : "");
    return PL_OK;
}

/* A log that cannot be shortened grows; the disk's own error will say so. */
static void bound_logs(struct pl_crew *crew)
{
    if (seconds() - crew->bounded_s < BOUND_S)
        return;
    crew->bounded_s = seconds();
    for (size_t i = 0; i < crew->count; i++) {
        struct pl_member *m = &crew->members[i];

        if (pl_crew_log_size(m->log) <= PL_CREW_LOG_BYTES)
            continue;
        if (pl_crew_log_bound(m->log, PL_CREW_LOG_BYTES, NULL) == PL_OK)
            m->logged = 0;
    }
}

/* A start that fails (there are too many processes) is tried again as a death is. */
static void start_again(struct pl_crew *crew, struct pl_member *m)
{
    struct pl_error why = {0};

    if (start(crew, m, &why) == PL_OK)
        return;
    m->again_s = seconds() + pause_after(++m->deaths);
    pl_warn("crew event=not_started name=%s again_in_s=%.1f reason=\"%s\"", m->name,
            m->again_s - seconds(), why.text);
}

int pl_crew_tend(struct pl_crew *crew, bool *ret_over, struct pl_error *err)
{
    int rc = PL_OK;

    *ret_over = false;
    for (size_t i = 0; rc == PL_OK && i < crew->count; i++) {
        struct pl_member *m = &crew->members[i];
        int status;

        if (m->pid > 0 && waitpid(m->pid, &status, WNOHANG) == m->pid)
            rc = bury(crew, m, status, ret_over, err);
        else if (m->pid == 0 && m->again_s > 0.0 && seconds() >= m->again_s)
            start_again(crew, m);
    }
    bound_logs(crew);
    return rc;
}

bool pl_crew_trouble(const struct pl_crew *crew, char *text, size_t size)
{
    const struct pl_member *worst = NULL;
    size_t others = 0;

    for (size_t i = 0; i < crew->count; i++) {
        const struct pl_member *m = &crew->members[i];

        if (m->deaths < DEATHS_MANY || (m->pid > 0 && seconds() - m->started_s > LIFE_S))
            continue;
        others += worst != NULL;
        if (!worst || m->deaths > worst->deaths)
            worst = m;
    }
    if (!worst)
        return false;
    snprintf(text, size, "%s died %u times in a row", worst->name, worst->deaths);
    if (others > 0)
        snprintf(text + strlen(text), size - strlen(text), ", and %zu other%s", others,
                 others == 1 ? "" : "s");
    if (worst->pid == 0)
        snprintf(text + strlen(text), size - strlen(text), "; it is started again in %.0f s",
                 worst->again_s > seconds() ? worst->again_s - seconds() : 0.0);
    snprintf(text + strlen(text), size - strlen(text), " (see '%s')", worst->log);
    return true;
}

/* ---- stopping ---- */

/* *ret_status: of the learner, where it ended just now. Those that are left. */
static size_t reap(struct pl_crew *crew, size_t from, int *ret_status)
{
    size_t left = 0;

    for (size_t i = from; i < crew->count; i++) {
        struct pl_member *m = &crew->members[i];
        int status;

        if (m->pid > 0 && waitpid(m->pid, &status, WNOHANG) == m->pid) {
            m->pid = 0;
            if (m->role == PL_CREW_LEARNER)
                *ret_status = status;
        }
        left += m->pid > 0;
    }
    return left;
}

static void say_waiting(const struct pl_crew *crew, size_t left, double waited)
{
    char doing[160] = "", pace[PL_HUMAN_MAX];

    for (size_t i = 0; i < crew->count; i++)
        if (crew->members[i].role == PL_CREW_LEARNER && crew->members[i].pid > 0) {
            if (crew->doing)
                crew->doing(crew->at, doing, sizeof doing);
            say(crew, "waiting for the learner, %s so far%s%s; Ctrl-C leaves at once",
                pl_human_seconds(pace, waited), doing[0] ? ": " : "", doing);
            return;
        }
    say(crew, "waiting for %zu process%s to give back what %s, %s so far; Ctrl-C leaves at once",
        left, left == 1 ? "" : "es", left == 1 ? "it holds" : "they hold",
        pl_human_seconds(pace, waited));
}

/* All but Redis. */
static void end_workers(struct pl_crew *crew, bool in_vain, int *ret_status)
{
    const size_t from = crew->redis ? 1 : 0;
    const double begun = seconds(),
                 drain = in_vain ? IN_VAIN_S : (double)crew->conf->drain_s + GRACE_S;
    struct pl_process_look look = {0};
    double said_s = begun, alone_s = 0.0;
    size_t left;

    for (size_t i = from; i < crew->count; i++)
        if (crew->members[i].pid > 0)
            kill(crew->members[i].pid, SIGTERM);
    while ((left = reap(crew, from, ret_status)) > 0) {
        bool learner = false;

        for (size_t i = from; i < crew->count; i++) {
            struct pl_member *m = &crew->members[i];

            if (m->pid <= 0)
                continue;
            learner = learner || m->role == PL_CREW_LEARNER;
            if (m->role == PL_CREW_LEARNER ? pl_process_still_s(&look, m->pid) > hangs_s(crew->conf)
                                           : alone_s > 0.0 && seconds() - alone_s > drain)
                kill(m->pid, SIGKILL);
        }
        if (!learner && alone_s <= 0.0)
            alone_s = in_vain ? seconds() : begun; /* they may drain as long as the learner stops */
        if (seconds() - said_s >= SAY_S) {
            said_s = seconds();
            say_waiting(crew, left, seconds() - begun);
        }
        nap();
    }
}

static void end_redis(struct pl_crew *crew)
{
    struct pl_member *redis = &crew->members[0];
    struct pl_process_look look = {0};

    if (redis->pid <= 0)
        return;
    kill(redis->pid, SIGTERM);
    while (waitpid(redis->pid, NULL, WNOHANG) != redis->pid) {
        if (pl_process_still_s(&look, redis->pid) > REDIS_STILL_S)
            kill(redis->pid, SIGKILL);
        nap();
    }
    redis->pid = 0;
}

int pl_crew_stop(struct pl_crew *crew, bool in_vain, struct pl_error *err)
{
    int status = 0, rc;

    end_workers(crew, in_vain, &status);
    if (crew->redis && crew->count > 0)
        end_redis(crew);
    if (crew->lock.fd >= 0)
        note_children(crew);
    rc = status == 0 ? PL_OK : PL_EIO;
    for (size_t i = 0; rc < 0 && i < crew->count; i++) {
        const struct pl_member *m = &crew->members[i];
        char how[64], said[400];

        if (m->role != PL_CREW_LEARNER)
            continue;
        describe_end(status, how);
        if (!pl_crew_log_last(m->log, m->logged, m->program, said, sizeof said))
            said[0] = '\0';
        pl_fail(err, rc, "the learner %s while it stopped%s%s; see '%s'", how, said[0] ? ": " : "",
                said, m->log);
    }
    return rc;
}
