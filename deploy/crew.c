#include "deploy/crew.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "deploy/external.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEATHS_MAX = 5, REDIS_WAIT_S = 20 };

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(void)
{
    const struct timespec pause = {0, 20000000};

    nanosleep(&pause, NULL);
}

/* ---- putting it together ---- */

/* A member of `program`, found as plait finds commands; `words` are its arguments. */
static int add(struct pl_crew *crew, const char *program, const char *name, char *const *words,
               size_t count, struct pl_error *err)
{
    struct pl_member *m = &crew->members[crew->count];
    int rc;

    if (crew->count == PL_CREW_MAX)
        return pl_fail(err, PL_EFULL, "more than %d processes", PL_CREW_MAX);
    memset(m, 0, sizeof *m);
    snprintf(m->name, sizeof m->name, "%s", name);
    rc = pl_external_find(program, &m->program);
    if (rc < 0)
        return pl_fail(err, rc, "the program 'plait-%s' is neither beside plait nor in PATH",
                       program);
    crew->count++;
    m->argv = calloc(count + 2, sizeof *m->argv);
    if (!m->argv)
        return pl_fail(err, PL_ENOMEM, "no memory to start '%s'", name);
    m->argv[0] = m->program;
    for (size_t i = 0; i < count; i++)
        m->argv[i + 1] = words[i];
    return PL_OK;
}

/* plait-ROLE CONFIG NAME=VALUE... --name NAME */
static int add_role(struct pl_crew *crew, const char *role, const char *name, struct pl_error *err)
{
    const size_t n = crew->assignment_count;
    char **words = calloc(n + 3, sizeof *words);
    char *copy = pl_strf("--name=%s", name);
    int rc = PL_ENOMEM;

    if (words && copy) {
        words[0] = (char *)crew->config;
        for (size_t i = 0; i < n; i++)
            words[i + 1] = crew->assignments[i];
        words[n + 1] = copy;
        rc = add(crew, role, name, words, n + 2, err);
    } else {
        pl_fail(err, rc, "no memory to start '%s'", name);
    }
    if (rc == PL_OK)
        crew->members[crew->count - 1].word = copy;
    else
        free(copy);
    free(words);
    return rc;
}

static int add_redis(struct pl_crew *crew, struct pl_error *err)
{
    static const char program[] = "/usr/bin/redis-server";
    struct pl_member *m = &crew->members[crew->count];
    char *socket = pl_run_conf_redis(crew->conf);
    const char *const words[] = {program,
                                 "--port",
                                 "0",
                                 "--save",
                                 "",
                                 "--appendonly",
                                 "yes",
                                 "--daemonize",
                                 "no",
                                 "--dir",
                                 crew->conf->dir,
                                 "--unixsocketperm",
                                 "700",
                                 "--unixsocket",
                                 socket ? socket + strlen("unix://") : ""};
    const size_t n = sizeof words / sizeof *words;

    if (access(program, X_OK) != 0) {
        free(socket);
        return pl_fail(
            err, PL_ENOENT,
            "redis-server is not installed; install it (apt-get install redis-server) or "
            "name one by link.redis");
    }
    memset(m, 0, sizeof *m);
    strcpy(m->name, "redis");
    m->program = strdup(program);
    m->argv = calloc(n + 1, sizeof *m->argv);
    m->word = socket;
    crew->count++;
    crew->redis = true;
    if (!socket || !m->program || !m->argv)
        return pl_fail(err, PL_ENOMEM, "no memory to start Redis");
    memcpy(m->argv, words, sizeof words);
    return PL_OK;
}

/* The run's folder and its lock file, which says that it is one; the learner locks it. */
static int make_folders(const struct pl_run_conf *conf, struct pl_error *err)
{
    char *logs = pl_strf("%s/logs", conf->dir), *lock = pl_strf("%s/plait.lock", conf->dir);
    int fd = -1, rc;

    rc = logs && lock ? pl_dir_make(logs, err) : pl_fail(err, PL_ENOMEM, "no memory for the run");
    if (rc == PL_OK) {
        fd = open(lock, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            rc = pl_fail_errno(err, "open '%s'", lock);
    }
    if (fd >= 0)
        close(fd);
    free(logs);
    free(lock);
    return rc;
}

int pl_crew_init(struct pl_crew *crew, const struct pl_run_conf *conf, const char *config,
                 char *const *assignments, size_t assignment_count, struct pl_error *err)
{
    int rc = make_folders(conf, err);

    *crew = (struct pl_crew){.conf = conf,
                             .config = config,
                             .assignments = assignments,
                             .assignment_count = assignment_count};
    if (rc == PL_OK && !conf->redis[0])
        rc = add_redis(crew, err);
    if (rc == PL_OK)
        rc = add_role(crew, "learner", "learner", err);
    if (rc == PL_OK)
        crew->members[crew->count - 1].once = true;
    for (size_t i = 0; rc == PL_OK && i < conf->rewarders + conf->actors; i++) {
        const bool actor = i >= conf->rewarders;
        char name[64];

        snprintf(name, sizeof name, "%s-%zu", actor ? "actor" : "rewarder",
                 actor ? i - conf->rewarders + 1 : i + 1);
        rc = add_role(crew, actor ? "actor" : "rewarder", name, err);
    }
    return rc;
}

void pl_crew_release(struct pl_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++) {
        free(crew->members[i].program);
        free(crew->members[i].argv);
        free(crew->members[i].word);
    }
    crew->count = 0;
}

/* ---- starting ---- */

/* In the child: its log, its group, its end with the parent's. Does not return. */
static void become(const struct pl_member *m, const char *log, pid_t parent)
{
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
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
    execv(m->program, m->argv);
    _exit(127);
}

static int start(struct pl_crew *crew, struct pl_member *m, struct pl_error *err)
{
    char *log = pl_strf("%s/logs/%s.log", crew->conf->dir, m->name);
    const pid_t parent = getpid();
    char restarts[16];
    pid_t pid;

    if (!log)
        return pl_fail(err, PL_ENOMEM, "no memory to start '%s'", m->name);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        snprintf(restarts, sizeof restarts, "%u", m->restarts);
        setenv("PLAIT_RESTARTS", restarts, 1);
        become(m, log, parent);
    }
    free(log);
    if (pid < 0)
        return pl_fail_errno(err, "start '%s'", m->program);
    m->pid = pid;
    m->started_s = seconds();
    return PL_OK;
}

static bool answers(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = false;

    if (fd >= 0 && strlen(path) < sizeof at.sun_path) {
        strcpy(at.sun_path, path);
        there = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    }
    if (fd >= 0)
        close(fd);
    return there;
}

static int wait_for_redis(struct pl_crew *crew, struct pl_error *err)
{
    const char *path = crew->members[0].argv[14];
    const double end = seconds() + REDIS_WAIT_S;
    int status;

    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is too long for a socket; choose a shorter run.dir, or set link.redis",
                       path);
    while (!answers(path)) {
        if (waitpid(crew->members[0].pid, &status, WNOHANG) == crew->members[0].pid) {
            crew->members[0].pid = 0;
            return pl_fail(err, PL_EIO, "redis-server ended at once; see '%s/logs/redis.log'",
                           crew->conf->dir);
        }
        if (seconds() > end)
            return pl_fail(err, PL_EIO, "redis-server does not answer; see '%s/logs/redis.log'",
                           crew->conf->dir);
        nap();
    }
    return PL_OK;
}

int pl_crew_start(struct pl_crew *crew, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < crew->count; i++) {
        rc = start(crew, &crew->members[i], err);
        if (rc == PL_OK && i == 0 && crew->redis)
            rc = wait_for_redis(crew, err);
    }
    return rc;
}

/* ---- tending ---- */

/* A learner that was only asked to stop, by somebody else, is not done: there is no model yet. */
static bool has_result(const struct pl_crew *crew)
{
    char *model = pl_strf("%s/model", crew->conf->dir);
    const bool there = !model || pl_path_exists(model);

    free(model);
    return there;
}

static int bury(struct pl_crew *crew, struct pl_member *m, int status, bool *over,
                struct pl_error *err)
{
    const double lived = seconds() - m->started_s;
    char how[64];

    m->pid = 0;
    if (m->once && WIFEXITED(status) && WEXITSTATUS(status) == 0 && has_result(crew)) {
        *over = true;
        return PL_OK;
    }
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    m->deaths = lived > 60.0 ? 1 : m->deaths + 1;
    m->restarts++;
    if (m->deaths >= DEATHS_MAX)
        return pl_fail(err, PL_EIO, "'%s' %s for the %uth time in a row; see '%s/logs/%s.log'",
                       m->name, how, m->deaths, crew->conf->dir, m->name);
    m->again_s = seconds() + 0.25 * (double)(1u << m->deaths);
    pl_warn("crew event=died name=%s how=\"%s\" again_in_s=%.1f", m->name, how,
            m->again_s - seconds());
    return PL_OK;
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
            rc = start(crew, m, err);
    }
    return rc;
}

static bool all_gone(struct pl_crew *crew, size_t from)
{
    bool gone = true;

    for (size_t i = from; i < crew->count; i++) {
        struct pl_member *m = &crew->members[i];

        if (m->pid > 0 && waitpid(m->pid, NULL, WNOHANG) == m->pid)
            m->pid = 0;
        gone = gone && m->pid == 0;
    }
    return gone;
}

static void end_members(struct pl_crew *crew, size_t from, double within)
{
    const double end = seconds() + within;

    for (size_t i = from; i < crew->count; i++)
        if (crew->members[i].pid > 0)
            kill(crew->members[i].pid, SIGTERM);
    while (!all_gone(crew, from) && seconds() < end)
        nap();
    for (size_t i = from; i < crew->count; i++)
        if (crew->members[i].pid > 0)
            kill(crew->members[i].pid, SIGKILL);
    while (!all_gone(crew, from))
        nap();
}

void pl_crew_stop(struct pl_crew *crew, double within)
{
    end_members(crew, crew->redis ? 1 : 0, within);
    if (crew->redis && crew->members[0].pid > 0) {
        kill(crew->members[0].pid, SIGTERM);
        for (double end = seconds() + 10.0; crew->members[0].pid > 0 && seconds() < end; nap())
            if (waitpid(crew->members[0].pid, NULL, WNOHANG) == crew->members[0].pid)
                crew->members[0].pid = 0;
        if (crew->members[0].pid > 0) {
            kill(crew->members[0].pid, SIGKILL);
            waitpid(crew->members[0].pid, NULL, 0);
            crew->members[0].pid = 0;
        }
    }
}
