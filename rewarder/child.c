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
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX_ = 256, PROCESSES_MAX = 4096, FILE_BYTES_MAX = 1 << 30, FDS_MAX = 4096 };
enum { END_WAIT_MS = 200 }; /* between the end of the output and that of the program */
enum { END_PAUSE_MS = 5, END_TRIES = 2000 };         /* how long a watcher goes on killing */
enum { WATCHER_LOOK_MS = 1000, WATCHER_LOOKS = 20 }; /* how long one is waited for */
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

/* What two processes need to become a program and its watcher. */
struct plan {
    char *const *command, *const *environment;
    size_t memory_max;
    int in[2], out[2];
    int report[2]; /* struct report, until the program runs */
    int exit[2];   /* its wait status */
    int life[2];   /* nothing is written: its end says that we are gone */
};

/* Eight bytes, so that those of two writers never mix. */
struct report {
    enum { REPORT_PID = 1, REPORT_ERRNO } what;
    int value;
};

static void tell(int fd, const void *bytes, size_t len)
{
    while (write(fd, bytes, len) < 0 && errno == EINTR)
        ;
}

/* In the program's process, before exec: nothing but system calls, as in all that follows here. */
static _Noreturn void become(const struct plan *p, pid_t parent)
{
    const struct sigaction initial = {.sa_handler = SIG_DFL};
    struct report report = {REPORT_ERRNO, 0};
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &initial, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(p->in[0], STDIN_FILENO) >= 0 && dup2(p->out[1], STDOUT_FILENO) >= 0) {
        leave_nothing_open();
        limit(RLIMIT_CORE, 0);
        limit(RLIMIT_NOFILE, OPEN_MAX_);
        limit(RLIMIT_NPROC, PROCESSES_MAX);
        limit(RLIMIT_FSIZE, FILE_BYTES_MAX);
        if (p->memory_max > 0)
            limit(RLIMIT_AS, p->memory_max);
        execvpe(p->command[0], p->command, p->environment);
    }
    report.value = errno;
    tell(p->report[1], &report, sizeof report);
    _exit(127);
}

/* ---- the watcher ---- */

static void close_range_of(unsigned from, unsigned to)
{
    if (from > to || close_range(from, to, 0) == 0)
        return;
    for (unsigned fd = from; fd <= to && fd < FDS_MAX; fd++)
        close((int)fd);
}

/* All but two: a copy of another watcher's pipe would keep that one from seeing its end. */
static void close_all_but(int a, int b)
{
    const unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

    if (low > 0)
        close_range_of(0, low - 1);
    close_range_of(low + 1, high - 1);
    close_range_of(high + 1, ~0U);
}

/* SIGKILL to each of its children; those of theirs become its children by that. False: there is no
 * list of them here. */
static bool kill_children(void)
{
    const int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    char bytes[4096];
    pid_t pid = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] >= '0' && bytes[i] <= '9') {
                pid = 10 * pid + (bytes[i] - '0');
                continue;
            }
            if (pid > 0)
                kill(pid, SIGKILL);
            pid = 0;
        }
    close(fd);
    return true;
}

/* Bury who is dead; the program's status is told. False: there are no children any more. */
static bool bury_the_dead(pid_t program, int exit_fd)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) != 0) {
        if (pid < 0)
            return errno == EINTR;
        if (pid == program)
            tell(exit_fd, &status, sizeof status);
    }
    return true;
}

static void end_all(pid_t program, int exit_fd)
{
    kill(-program, SIGKILL);
    for (int tries = 0; tries < END_TRIES && bury_the_dead(program, exit_fd); tries++) {
        if (!kill_children() && tries > 0)
            break;
        if (tries > 10)
            poll(NULL, 0, END_PAUSE_MS);
    }
}

/* All signals are held back. */
static _Noreturn void watch(const struct plan *p)
{
    struct report report = {REPORT_PID, 0};
    const pid_t self = getpid();
    struct pollfd fds[2];
    sigset_t child;
    pid_t program;

    setsid();
    prctl(PR_SET_NAME, "plait-watcher", 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    program = _Fork();
    if (program == 0)
        become(p, self);
    report =
        program < 0 ? (struct report){REPORT_ERRNO, errno} : (struct report){REPORT_PID, program};
    tell(p->report[1], &report, sizeof report);
    close_all_but(p->life[0], p->exit[1]);
    if (program < 0)
        _exit(1);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    fds[0] = (struct pollfd){p->life[0], POLLIN, 0};
    fds[1] = (struct pollfd){signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), POLLIN, 0};
    while (fds[0].revents == 0) {
        struct signalfd_siginfo info;

        (void)bury_the_dead(program, p->exit[1]);
        if (poll(fds, 2, fds[1].fd < 0 ? START_LOOK_MS : -1) < 0)
            fds[0].revents = 0;
        while (fds[1].fd >= 0 && read(fds[1].fd, &info, sizeof info) > 0)
            ;
    }
    end_all(program, p->exit[1]);
    _exit(0);
}

/* ---- on our side ---- */

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

/* The watcher's pid; its signals are held back for ever, the program's until it has its own
 * handlers, which are none. */
static pid_t start(const struct plan *p)
{
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        watch(p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The end of a watcher: told to, or else by force. */
static void reap(pid_t watcher, pid_t program, int exit_fd)
{
    struct pollfd gone = {exit_fd, POLLIN, 0};
    int64_t left = WATCHER_LOOKS;
    int status;

    kill(watcher, SIGCONT); /* the program may stop it */
    while (left-- > 0) {    /* its end of the pipe closes; a status may come before that */
        if (poll(&gone, 1, WATCHER_LOOK_MS) > 0 && read(exit_fd, &status, sizeof status) == 0)
            break;
        pl_pulse();
    }
    if (left < 0) /* somebody stops it again and again */
        kill(watcher, SIGKILL);
    while (waitpid(watcher, &status, 0) < 0 && errno == EINTR)
        ;
    if (program > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        kill(-program, SIGKILL); /* as far as that reaches */
}

/* The program's pid, or 0; *ret_errno: why it does not run. Until it does, or cannot. */
static pid_t read_reports(int fd, int *ret_errno)
{
    struct report report;
    pid_t pid = 0;
    ssize_t n;

    *ret_errno = 0;
    while ((n = read(fd, &report, sizeof report)) == sizeof report || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        if (report.what == REPORT_PID)
            pid = report.value;
        else
            *ret_errno = report.value;
    }
    if (pid == 0 && *ret_errno == 0)
        *ret_errno = ECHILD; /* the watcher was killed */
    return pid;
}

int pl_child_start(char *const *command, size_t memory_max, struct pl_child *ret_child,
                   struct pl_error *err)
{
    char **environment = make_environment();
    struct plan p = {.command = command,
                     .environment = environment,
                     .memory_max = memory_max,
                     .in = {-1, -1},
                     .out = {-1, -1},
                     .report = {-1, -1},
                     .exit = {-1, -1},
                     .life = {-1, -1}};
    pid_t watcher = -1, program = 0;
    int code = 0;

    if (!environment || open_pipe(p.in) < 0 || open_pipe(p.out) < 0 || open_pipe(p.report) < 0 ||
        open_pipe(p.exit) < 0 || open_pipe(p.life) < 0 || fcntl(p.in[1], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(p.out[0], F_SETFL, O_NONBLOCK) < 0)
        code = environment ? errno : ENOMEM;
    if (code == 0) {
        watcher = start(&p);
        code = watcher < 0 ? errno : 0;
    }
    close_one(&p.in[0]);
    close_one(&p.out[1]);
    close_one(&p.report[1]);
    close_one(&p.exit[1]);
    close_one(&p.life[0]);
    if (watcher > 0)
        program = read_reports(p.report[0], &code);
    free(environment);
    close_one(&p.report[0]);
    if (code != 0) {
        close_one(&p.in[1]);
        close_one(&p.out[0]);
        close_one(&p.life[1]);
        if (watcher > 0)
            reap(watcher, program, p.exit[0]);
        close_one(&p.exit[0]);
        errno = code;
        return pl_fail_errno(err, "start '%s'", command[0]);
    }
    *ret_child = (struct pl_child){.pid = program,
                                   .watcher = watcher,
                                   .in = p.in[1],
                                   .out = p.out[0],
                                   .exit_fd = p.exit[0],
                                   .life_fd = p.life[1]};
    return PL_OK;
}

void pl_child_stop(struct pl_child *child)
{
    struct pl_child *c = child;

    if (c->pid == 0)
        return;
    close(c->life_fd);
    close(c->in);
    close(c->out);
    reap(c->watcher, c->pid, c->exit_fd);
    close(c->exit_fd);
    *c = (struct pl_child){0};
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

/* How it ended, in words: it did, or closed its output. */
static void end(struct pl_child *c, char why[96])
{
    struct pollfd gone = {c->exit_fd, POLLIN, 0};
    ssize_t n = -1;
    int status;

    while (poll(&gone, 1, END_WAIT_MS) < 0 && errno == EINTR)
        ;
    if (gone.revents)
        n = read(c->exit_fd, &status, sizeof status);
    if (n < 0)
        snprintf(why, 96, "it closed its output");
    else if (n != sizeof status)
        snprintf(why, 96, "it was killed, and what watches it");
    else if (WIFSIGNALED(status))
        snprintf(why, 96, "it was killed by signal %d (%s)", WTERMSIG(status),
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(why, 96, "it ended with status %d", WEXITSTATUS(status));
    pl_child_stop(c);
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
