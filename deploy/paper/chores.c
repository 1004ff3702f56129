#include "deploy/paper/chores.h"

#include "common/app/progress.h"
#include "common/app/signals.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100, TAIL_LINES = 12, MARK_MAX = 64, LOG_BYTES_MAX = 16 << 20, LINE_S = 60 };

/* The bar counts thousandths of all the work. */
enum { PARTS = 1000 };

void pl_chores_init(struct pl_chores *chores, const char *dir, const char *program)
{
    *chores = (struct pl_chores){.dir = dir, .program = program};
}

static void chore_release(struct pl_chore *c)
{
    for (size_t i = 0; c->args && c->args[i]; i++)
        free((char *)c->args[i]);
    free((void *)c->args);
    free((char *)c->name);
    free((char *)c->title);
    free((char *)c->made);
    free((char *)c->watch);
}

void pl_chores_release(struct pl_chores *chores)
{
    for (size_t i = 0; i < chores->count; i++)
        chore_release(&chores->list[i]);
    free(chores->list);
    *chores = (struct pl_chores){0};
}

static int copy_args(const char *const *from, struct pl_chore *to)
{
    size_t n = 0;
    const char **args;

    while (from[n])
        n++;
    to->args = args = calloc(n + 1, sizeof *args);
    for (size_t i = 0; args && i < n; i++) {
        args[i] = strdup(from[i]);
        if (!args[i])
            return PL_ENOMEM;
    }
    return args ? PL_OK : PL_ENOMEM;
}

int pl_chores_add(struct pl_chores *chores, const struct pl_chore *chore, struct pl_error *err)
{
    struct pl_chore c = *chore;
    int rc;

    c.name = strdup(chore->name);
    c.title = strdup(chore->title);
    c.made = strdup(chore->made);
    c.watch = chore->watch ? strdup(chore->watch) : NULL;
    rc = copy_args(chore->args, &c);
    if (rc == PL_OK && chores->count == chores->cap) {
        const size_t cap = chores->cap ? 2 * chores->cap : 16;
        struct pl_chore *list = realloc(chores->list, cap * sizeof *list);

        if (list) {
            chores->list = list;
            chores->cap = cap;
        } else {
            rc = PL_ENOMEM;
        }
    }
    if (rc < 0 || !c.name || !c.title || !c.made || (chore->watch && !c.watch)) {
        chore_release(&c);
        return pl_fail(err, PL_ENOMEM, "no memory for a list of chores");
    }
    chores->list[chores->count++] = c;
    return PL_OK;
}

static char *mark_of(const struct pl_chores *chores, const struct pl_chore *c)
{
    return pl_strf("%s/done/%s", chores->dir, c->name);
}

static bool has_mark(const struct pl_chores *chores, const struct pl_chore *c)
{
    char *mark = mark_of(chores, c);
    const bool done = mark && pl_path_exists(mark) && pl_path_exists(c->made);

    free(mark);
    return done;
}

bool pl_chores_is_done(const struct pl_chores *chores, size_t i)
{
    return has_mark(chores, &chores->list[i]);
}

double pl_chores_seconds(const struct pl_chores *chores, size_t i)
{
    char *mark = mark_of(chores, &chores->list[i]), *text = NULL;
    double seconds = (double)NAN;
    size_t len;

    if (mark && has_mark(chores, &chores->list[i]) &&
        pl_file_read(mark, MARK_MAX, &text, &len, NULL) == PL_OK && len > 0)
        seconds = strtod(text, NULL);
    free(text);
    free(mark);
    return seconds;
}

static int set_mark(const struct pl_chores *chores, const struct pl_chore *c, double took_s,
                    struct pl_error *err)
{
    char *mark = mark_of(chores, c), text[MARK_MAX];
    struct pl_outfile out = {0};
    int rc = mark ? pl_outfile_open(mark, &out, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the name of a file");

    snprintf(text, sizeof text, "%.1f s\n", took_s);
    if (rc == PL_OK)
        rc = pl_outfile_write(&out, text, strlen(text), err);
    if (rc == PL_OK)
        rc = pl_outfile_commit(&out, err);
    pl_outfile_abort(&out);
    free(mark);
    return rc;
}

/* ---- one chore ---- */

/* One that runs. */
struct work {
    const struct pl_chores *chores;
    const struct pl_chore *chore;
    char *log, *out; /* out: where standard output goes until it is whole; NULL: to the log */
    const char **argv;
    pid_t pid;
    long watched;   /* bytes of the file that is watched, as far as it is read */
    uint64_t lines; /* in those */
    bool told;      /* to stop */
};

static void work_release(struct work *w)
{
    free(w->log);
    free(w->out);
    free((void *)w->argv);
}

static int work_init(struct work *w, const struct pl_chores *chores, const struct pl_chore *c,
                     struct pl_error *err)
{
    size_t n = 0;

    *w = (struct work){.chores = chores, .chore = c};
    w->log = pl_strf("%s/logs/%s.log", chores->dir, c->name);
    w->out = c->prints ? pl_strf("%s.part", c->made) : NULL;
    while (c->args[n])
        n++;
    w->argv = calloc(n + 2, sizeof *w->argv);
    if (!w->log || (c->prints && !w->out) || !w->argv) {
        work_release(w);
        return pl_fail(err, PL_ENOMEM, "no memory to run a chore");
    }
    w->argv[0] = chores->program;
    memcpy(w->argv + 1, c->args, n * sizeof *w->argv);
    return PL_OK;
}

/* In the child. */
static void become(const struct work *w, pid_t parent)
{
    const int null = open("/dev/null", O_RDONLY);
    const int log = open(w->log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    const int out = w->out ? open(w->out, O_WRONLY | O_CREAT | O_TRUNC, 0666) : log;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || null < 0 || log < 0 || out < 0)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(w->chores->program, (char *const *)(void *)w->argv);
    _exit(127);
}

static int start(struct work *w, struct pl_error *err)
{
    const pid_t parent = getpid();

    w->pid = fork();
    if (w->pid < 0)
        return pl_fail_errno(err, "start '%s'", w->chores->program);
    if (w->pid == 0)
        become(w, parent);
    return PL_OK;
}

/* Lines of the file that is watched: how many steps it has done. */
static uint64_t look(struct work *w)
{
    FILE *in = w->chore->watch ? fopen(w->chore->watch, "re") : NULL;

    if (!in)
        return w->lines;
    if (fseek(in, 0, SEEK_END) == 0 && ftell(in) < w->watched) /* what was too much is gone */
        w->watched = 0, w->lines = 0;
    if (fseek(in, w->watched, SEEK_SET) == 0)
        for (int c = getc(in); c != EOF; c = getc(in)) {
            w->lines += c == '\n';
            w->watched++;
        }
    fclose(in);
    return w->lines;
}

/* What is done of its weight. */
static uint64_t part_done(struct work *w)
{
    const struct pl_chore *c = w->chore;
    const uint64_t steps = c->steps ? look(w) : 0;

    return steps == 0 ? 0 : (steps < c->steps ? steps : c->steps) * c->weight / c->steps;
}

/* The last lines of a log, for people. */
static void show_tail(const char *path)
{
    char *text = NULL;
    size_t len = 0, at, lines = 0;

    if (pl_file_read(path, LOG_BYTES_MAX, &text, &len, NULL) < 0)
        return;
    for (at = len; at > 0; at--)
        if (text[at - 1] == '\n' && at < len && ++lines == TAIL_LINES)
            break;
    fwrite(text + at, 1, len - at, stderr);
    if (len > at && text[len - 1] != '\n')
        fputc('\n', stderr);
    free(text);
}

/* How it ended. */
static int judge(const struct work *w, int status, double took_s, struct pl_error *err)
{
    const struct pl_chore *c = w->chore;

    if (status != 0 && pl_signals_stop())
        return pl_fail(err, PL_ECANCELED, "stopped in '%s'; the same command goes on", c->title);
    if (status != 0) {
        show_tail(w->log);
        if (WIFSIGNALED(status))
            return pl_fail(err, PL_EIO, "%s: ended by signal %d; see '%s'", c->title,
                           WTERMSIG(status), w->log);
        return pl_fail(err, PL_EIO, "%s: failed with status %d; see '%s'", c->title,
                       WEXITSTATUS(status), w->log);
    }
    if (w->out && rename(w->out, c->made) < 0)
        return pl_fail_errno(err, "rename '%s' to '%s'", w->out, c->made);
    if (!pl_path_exists(c->made))
        return pl_fail(err, PL_EIO, "%s: did not make '%s'; see '%s'", c->title, c->made, w->log);
    return set_mark(w->chores, c, took_s, err);
}

/* The bar of all chores, and what is done of their weights. */
struct bar {
    struct pl_progress progress;
    uint64_t total, done;
};

/* Wait for it, with the bar moving on. */
static int await(struct work *w, struct bar *bar)
{
    int status = 0;

    while (waitpid(w->pid, &status, WNOHANG) == 0) {
        const struct timespec tick = {0, TICK_MS * 1000000L};

        if (pl_signals_stop() && !w->told) {
            kill(w->pid, SIGTERM);
            w->told = true;
        }
        pl_progress_update(&bar->progress, (bar->done + part_done(w)) * PARTS / bar->total, 0,
                           w->chore->title);
        nanosleep(&tick, NULL);
    }
    return status;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What is done, as a line. */
static void tell(const struct pl_chores *chores, size_t i, double started_s, struct bar *bar)
{
    char took[PL_HUMAN_MAX];

    pl_progress_hide(&bar->progress);
    fprintf(stderr, "[%zu/%zu] %s  %s\n", i + 1, chores->count, chores->list[i].title,
            pl_human_seconds(took, seconds() - started_s));
}

static int run_one(const struct pl_chores *chores, size_t i, struct bar *bar, struct pl_error *err)
{
    const double started_s = seconds();
    struct work w;
    int rc = work_init(&w, chores, &chores->list[i], err);

    if (rc < 0)
        return rc;
    rc = start(&w, err);
    if (rc == PL_OK) {
        const int status = await(&w, bar);

        pl_progress_hide(&bar->progress);
        rc = judge(&w, status, seconds() - started_s, err);
    }
    work_release(&w);
    if (rc == PL_OK)
        tell(chores, i, started_s, bar);
    return rc;
}

static int make_folder(const struct pl_chores *chores, const char *name, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", chores->dir, name);
    const int rc = path ? pl_dir_make(path, err)
                        : pl_fail(err, PL_ENOMEM, "no memory for the name of a folder");

    free(path);
    return rc;
}

/* Only one at a time. Commands inherit the lock, so that one that still ends keeps others out. */
static int lock_folder(const struct pl_chores *chores, int *ret_fd, struct pl_error *err)
{
    char *path = pl_strf("%s/lock", chores->dir);
    int fd = -1, rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "no memory for the name of a file");
    fd = open(path, O_WRONLY | O_CREAT, 0666);
    if (fd < 0)
        rc = pl_fail_errno(err, "open '%s'", path);
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? pl_fail(err, PL_EIO, "'%s' is in use: another process is at work there, or ends",
                           chores->dir)
                 : pl_fail_errno(err, "lock '%s'", path);
    free(path);
    if (rc == PL_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return rc;
}

/* What is to be done, and is: as a line, where there is something to say. */
static void begin(const struct pl_chores *chores, struct bar *bar)
{
    size_t done = 0;

    *bar = (struct bar){.total = 1};
    for (size_t i = 0; i < chores->count; i++) {
        const bool is_done = pl_chores_is_done(chores, i);

        done += is_done;
        bar->total += chores->list[i].weight;
        bar->done += is_done ? chores->list[i].weight : 0;
    }
    if (done > 0)
        fprintf(stderr, "%zu of %zu were done before\n", done, chores->count);
    pl_progress_begin(&bar->progress,
                      &(struct pl_progress_opts){.what = "all",
                                                 .percent = true,
                                                 .line_s = LINE_S,
                                                 .done = bar->done * PARTS / bar->total,
                                                 .total = PARTS});
}

int pl_chores_run(struct pl_chores *chores, struct pl_error *err)
{
    struct bar bar;
    int lock = -1, rc = make_folder(chores, "done", err);

    if (rc == PL_OK)
        rc = make_folder(chores, "logs", err);
    if (rc == PL_OK)
        rc = lock_folder(chores, &lock, err);
    if (rc < 0)
        return rc;
    begin(chores, &bar);
    for (size_t i = 0; rc == PL_OK && i < chores->count; i++) {
        if (pl_chores_is_done(chores, i))
            continue;
        if (pl_signals_stop())
            rc = pl_fail(err, PL_ECANCELED, "stopped; the same command goes on");
        else
            rc = run_one(chores, i, &bar, err);
        bar.done += chores->list[i].weight;
    }
    pl_progress_end(&bar.progress);
    close(lock);
    return rc;
}
