#include "rewarder/child.h"

#include "common/base/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX_ = 256, PROCESSES_MAX = 4096, FILE_BYTES_MAX = 1 << 30, FDS_MAX = 4096 };
enum { END_WAIT_MS = 200 }; /* between the end of the output and that of the program */
enum {
    START_LOOK_MS = 10, /* how often to look whether a new one reads; nothing tells */
    LOOK_MS = 1000,     /* how often to say that it is being waited for */
};

/* ---- starting ---- */

/* A pipe of which no end is standard input, output or error. */
static int open_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        const int high = fds[i] > 2 ? fds[i] : fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

        if (high != fds[i])
            close(fds[i]);
        fds[i] = high;
    }
    return fds[0] >= 0 && fds[1] >= 0 ? 0 : -1;
}

static void close_pipe(const int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Not more than there may be already. */
static void limit(int what, rlim_t most)
{
    struct rlimit now;

    if (getrlimit(what, &now) == 0 && now.rlim_max > most) {
        now.rlim_cur = now.rlim_max = most;
        setrlimit(what, &now);
    }
}

static void leave_nothing_open(void)
{
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (int fd = 3; fd < FDS_MAX; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* In the child, between fork() and exec: nothing but system calls. `report` takes errno. */
static _Noreturn void become(char *const *command, char *const *environment, size_t memory_max,
                             const int in[2], const int out[2], int report, pid_t parent)
{
    const struct sigaction initial = {.sa_handler = SIG_DFL};
    sigset_t none;
    int code;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &initial, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0) {
        leave_nothing_open();
        limit(RLIMIT_CORE, 0);
        limit(RLIMIT_NOFILE, OPEN_MAX_);
        limit(RLIMIT_NPROC, PROCESSES_MAX);
        limit(RLIMIT_FSIZE, FILE_BYTES_MAX);
        if (memory_max > 0)
            limit(RLIMIT_AS, memory_max);
        execvpe(command[0], command, environment);
    }
    code = errno;
    while (write(report, &code, sizeof code) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* NULL terminated, the strings behind the pointers; from malloc(). */
static char **make_environment(void)
{
    static const char *const kept[] = {"PATH", "HOME", "TMPDIR"};
    enum { COUNT = sizeof kept / sizeof *kept };
    const char *values[COUNT];
    static const char language[] = "LANG=C.UTF-8";
    size_t bytes = (COUNT + 2) * sizeof(char *) + sizeof language, n = 0;
    char **list, *at;

    for (size_t i = 0; i < COUNT; i++) {
        values[i] = getenv(kept[i]);
        bytes += values[i] ? strlen(kept[i]) + strlen(values[i]) + 2 : 0;
    }
    list = malloc(bytes);
    if (!list)
        return NULL;
    at = (char *)(list + COUNT + 2);
    for (size_t i = 0; i < COUNT; i++)
        if (values[i]) {
            list[n++] = at;
            at += sprintf(at, "%s=%s", kept[i], values[i]) + 1;
        }
    list[n++] = strcpy(at, language);
    list[n] = NULL;
    return list;
}

/* The child's pid; its signals are held back until it has its own handlers, which are none. */
static pid_t start(char *const *command, char *const *environment, size_t memory_max,
                   const int in[2], const int out[2], const int report[2])
{
    const pid_t parent = getpid();
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become(command, environment, memory_max, in, out, report[1], parent);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void reap(pid_t pid, int *ret_status)
{
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
}

int pl_child_start(char *const *command, size_t memory_max, struct pl_child *ret_child,
                   struct pl_error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, report[2] = {-1, -1}, code = 0, status;
    char **environment = make_environment();
    pid_t pid = -1;
    ssize_t n;

    if (!environment || open_pipe(in) < 0 || open_pipe(out) < 0 || open_pipe(report) < 0 ||
        fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
        code = environment ? errno : ENOMEM;
    if (code == 0) {
        pid = start(command, environment, memory_max, in, out, report);
        code = pid < 0 ? errno : 0;
    }
    if (pid > 0) {
        close(report[1]);
        report[1] = -1;
        do
            n = read(report[0], &code, sizeof code);
        while (n < 0 && errno == EINTR);
        if (n == sizeof code)
            reap(pid, &status);
        else
            code = 0;
    }
    free(environment);
    close_pipe(report);
    if (code != 0) {
        close_pipe(in);
        close_pipe(out);
        errno = code;
        return pl_fail_errno(err, "start '%s'", command[0]);
    }
    close(in[0]);
    close(out[1]);
    *ret_child = (struct pl_child){.pid = pid, .in = in[1], .out = out[0]};
    ret_child->exit_fd = (int)syscall(SYS_pidfd_open, pid, 0U);
    if (ret_child->exit_fd >= 0)
        fcntl(ret_child->exit_fd, F_SETFD, FD_CLOEXEC);
    return PL_OK;
}

/* Its wait status. */
static int stop(struct pl_child *c)
{
    int status = 0;

    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* it may not have reached setsid(), or have left its group */
    reap(c->pid, &status);
    close(c->in);
    close(c->out);
    if (c->exit_fd >= 0)
        close(c->exit_fd);
    *c = (struct pl_child){0};
    return status;
}

void pl_child_stop(struct pl_child *child)
{
    if (child->pid > 0)
        (void)stop(child);
}

/* ---- asking ---- */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Milliseconds until then, rounded up; 0: it has come. */
static int left_ms(int64_t deadline_ns)
{
    const int64_t left = deadline_ns - now_ns();

    return left <= 0 ? 0 : left > 3600000000000 ? 3600000 : (int)((left + 999999) / 1000000);
}

/* A thread that spins somewhere off the group still ends: what it has used, and the time of the
 * question on every processor. The limit is inherited by whatever the program starts. */
static void limit_processor(const struct pl_child *c, double seconds)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct rlimit most;
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(c->pid, &clock) != 0 || clock_gettime(clock, &used) != 0 ||
        prlimit(c->pid, RLIMIT_CPU, NULL, &most) < 0)
        return;
    most.rlim_cur = (rlim_t)used.tv_sec + (rlim_t)(seconds + 2) * (rlim_t)processors;
    if (most.rlim_cur < most.rlim_max)
        prlimit(c->pid, RLIMIT_CPU, &most, NULL);
}

/* Bytes of the question that it has not read. */
static size_t unread(const struct pl_child *c)
{
    int n = 0;

    return ioctl(c->in, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* write() to a pipe whose reader may be gone: no SIGPIPE comes of it. */
static ssize_t write_quietly(int fd, const char *bytes, size_t len)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe_signal, before, pending;
    bool was_pending;
    ssize_t n;
    int code;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    n = write(fd, bytes, len);
    code = errno;
    if (n < 0 && code == EPIPE && !was_pending)
        while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return n;
}

/* How it ended, in words: it is, or closed its output. */
static void end(struct pl_child *c, char why[96])
{
    struct pollfd gone = {c->exit_fd, POLLIN, 0};
    siginfo_t info = {0};
    int status;

    while (poll(&gone, 1, END_WAIT_MS) < 0 && errno == EINTR)
        ;
    waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    status = stop(c);
    if (info.si_pid == 0)
        snprintf(why, 96, "it closed its output");
    else if (WIFSIGNALED(status))
        snprintf(why, 96, "it was killed by signal %d (%s)", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(why, 96, "it ended with status %d", WEXITSTATUS(status));
}

/* One exchange. */
struct exchange {
    const char *line;
    size_t len, sent;
    bool deaf;                       /* it closed its input */
    bool reading;                    /* it has begun to read the question */
    int64_t deadline_ns, allowed_ns; /* until it answers, or begins to read; for the answer */
    struct pl_buf *answer;
};

static void send_some(struct pl_child *c, struct exchange *x)
{
    const ssize_t n = write_quietly(c->in, x->line + x->sent, x->len - x->sent);

    if (n > 0)
        x->sent += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        x->deaf = true;
}

enum taken { TAKEN_NONE, TAKEN_SOME, TAKEN_LINE, TAKEN_END, TAKEN_GARBAGE };

static enum taken take_some(struct pl_child *c, struct exchange *x, char why[96])
{
    char bytes[4096];
    const ssize_t n = read(c->out, bytes, sizeof bytes);
    const char *stop_at;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? TAKEN_NONE : TAKEN_END;
    if (n == 0)
        return TAKEN_END;
    stop_at = memchr(bytes, '\n', (size_t)n);
    if (pl_buf_append(x->answer, bytes, stop_at ? (size_t)(stop_at - bytes) : (size_t)n) < 0) {
        snprintf(why, 96, "its line is longer than %d bytes", PL_CHILD_LINE_MAX);
        return TAKEN_GARBAGE;
    }
    if (!stop_at)
        return TAKEN_SOME;
    if (stop_at + 1 < bytes + n) {
        snprintf(why, 96, "it answered with more than one line");
        return TAKEN_GARBAGE;
    }
    return TAKEN_LINE;
}

/* Milliseconds to wait for something to happen; 0: its time is over. */
static int patience_ms(const struct pl_child *c, struct exchange *x)
{
    int ms;

    if (!x->reading && unread(c) < x->sent) {
        x->reading = true;
        x->deadline_ns = now_ns() + x->allowed_ns;
    }
    ms = left_ms(x->deadline_ns);
    return x->reading || ms < START_LOOK_MS ? ms : START_LOOK_MS;
}

/* Write and read until something has happened; *c is stopped unless it answered. */
static enum pl_child_outcome exchange(struct pl_child *c, struct exchange *x, char why[96])
{
    for (;;) {
        struct pollfd fds[] = {{c->out, POLLIN, 0},
                               {x->sent < x->len && !x->deaf ? c->in : -1, POLLOUT, 0},
                               {c->exit_fd, POLLIN, 0}};
        const int ms = patience_ms(c, x);
        enum taken taken = TAKEN_NONE;

        if (ms == 0) {
            pl_child_stop(c);
            return x->reading ? PL_CHILD_LATE : PL_CHILD_ASLEEP;
        }
        pl_pulse();
        if (poll(fds, 3, ms < LOOK_MS ? ms : LOOK_MS) < 0)
            continue;
        if (fds[1].revents)
            send_some(c, x);
        if (fds[0].revents || fds[2].revents)
            taken = take_some(c, x, why);
        if (fds[2].revents && taken == TAKEN_NONE)
            taken = TAKEN_END; /* what it started may hold its output open */
        if (taken == TAKEN_END) {
            const bool untouched = unread(c) == x->sent;

            end(c, why);
            return untouched ? PL_CHILD_UNTOUCHED : PL_CHILD_GONE;
        }
        if (taken == TAKEN_LINE && (x->sent < x->len || unread(c) > 0)) {
            snprintf(why, 96, "it answered before it had read the question");
            taken = TAKEN_GARBAGE;
        }
        if (taken == TAKEN_GARBAGE) {
            pl_child_stop(c);
            return PL_CHILD_GARBAGE;
        }
        if (taken == TAKEN_LINE)
            return PL_CHILD_ANSWERED;
    }
}

enum pl_child_outcome pl_child_ask(struct pl_child *child, const char *line, size_t len,
                                   double seconds, double start_s, struct pl_buf *answer,
                                   char why[96])
{
    const bool fresh = child->lines == 0;
    struct exchange x = {.line = line,
                         .len = len,
                         .reading = !fresh,
                         .deadline_ns = now_ns() + (int64_t)(1e9 * (fresh ? start_s : seconds)),
                         .allowed_ns = (int64_t)(1e9 * seconds),
                         .answer = answer};
    struct pollfd early[] = {{child->out, POLLIN, 0}, {child->exit_fd, POLLIN, 0}};
    enum pl_child_outcome outcome;

    pl_buf_clear(answer);
    snprintf(why, 96,
             fresh ? "it had not begun to read after %.3g s" : "it did not answer in %.3g s",
             fresh ? start_s : seconds);
    if (!fresh && poll(early, 2, 0) > 0) {
        snprintf(why, 96, "it wrote or ended without being asked");
        pl_child_stop(child);
        return PL_CHILD_STALE;
    }
    limit_processor(child, fresh ? seconds + start_s : seconds);
    outcome = exchange(child, &x, why);
    if (outcome == PL_CHILD_ANSWERED)
        child->lines++;
    return outcome;
}
