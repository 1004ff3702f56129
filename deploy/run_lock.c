#include "deploy/run_lock.h"

#include "common/base/buf.h"
#include "deploy/crew_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 64 << 10, HOST_BYTES = 65 };

static void host_name(char host[HOST_BYTES])
{
    if (gethostname(host, HOST_BYTES) < 0)
        strcpy(host, "?");
    host[HOST_BYTES - 1] = '\0';
    for (char *c = host; *c; c++) /* it is one word of a line */
        if (*c <= ' ' || *c == 0x7f)
            *c = '?';
}

/* ---- who holds it ---- */

/*
 *   held by <pid> on <host> since <time>
 *   child <name> <program> <pid> <started>
 */
struct holder {
    long pid;
    char host[HOST_BYTES], since[40];
};

static char *read_text(int fd)
{
    char *text = malloc(TEXT_BYTES + 1);
    const ssize_t n = text ? pread(fd, text, TEXT_BYTES, 0) : -1;

    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static bool read_holder(const char *text, struct holder *ret_holder)
{
    return text && sscanf(text, "held by %ld on %64s since %39[^\n]", &ret_holder->pid,
                          ret_holder->host, ret_holder->since) == 3;
}

static int fail_held(const char *dir, int fd, struct pl_error *err)
{
    char *text = read_text(fd);
    struct holder holder = {0};
    int rc;

    if (read_holder(text, &holder))
        rc = pl_fail(err, PL_EINVAL,
                     "another plait up is at work in '%s': process %ld on %s, since %s", dir,
                     holder.pid, holder.host, holder.since);
    else /* it has just taken it */
        rc = pl_fail(err, PL_EINVAL, "another plait up is at work in '%s'", dir);
    free(text);
    return rc;
}

/* The children of a holder that is gone, as far as they are still there. On another host they
 * cannot be seen. */
static size_t read_left(const char *text, struct pl_run_child *left)
{
    char host[HOST_BYTES];
    struct holder holder;
    size_t n = 0;

    host_name(host);
    if (!read_holder(text, &holder) || strcmp(holder.host, host) != 0)
        return 0;
    for (const char *line = strchr(text, '\n'); line && n < PL_RUN_CHILDREN_MAX;
         line = strchr(line + 1, '\n')) {
        struct pl_run_child c = {0};
        long pid;

        if (sscanf(line + 1, "child %63s %31s %ld %" SCNu64, c.name, c.program, &pid, &c.started) !=
            4)
            continue;
        c.pid = (pid_t)pid;
        if (pl_process_is(c.pid, c.started, c.program))
            left[n++] = c;
    }
    return n;
}

/* ---- taking it ---- */

int pl_run_lock_take(const char *dir, struct pl_run_lock *ret_lock, struct pl_run_child *ret_left,
                     size_t *ret_left_count, struct pl_error *err)
{
    struct pl_run_lock lock = {.fd = -1, .path = pl_strf("%s/plait-up.lock", dir)};
    const time_t now = time(NULL);
    struct tm local;
    char *text;
    int rc = PL_OK;

    if (!lock.path)
        return pl_fail(err, PL_ENOMEM, "no memory for the lock of '%s'", dir);
    lock.fd = open(lock.path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock.fd < 0)
        rc = pl_fail_errno(err, "open '%s' for writing", lock.path);
    else if (flock(lock.fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? fail_held(dir, lock.fd, err)
                 : pl_fail(err, PL_EIO,
                           "'%s' cannot be locked: %s. Nothing could keep a second plait up out of "
                           "'%s': choose a run.dir on a file system that has locks",
                           lock.path, strerror(errno), dir);
    if (rc < 0) {
        pl_run_lock_release(&lock);
        return rc;
    }
    text = read_text(lock.fd);
    *ret_left_count = read_left(text, ret_left);
    free(text);
    if (!localtime_r(&now, &local) ||
        strftime(lock.since, sizeof lock.since, "%Y-%m-%d %H:%M:%S %z", &local) == 0)
        lock.since[0] = '\0';
    pl_run_lock_note(&lock, ret_left, *ret_left_count);
    *ret_lock = lock;
    return PL_OK;
}

void pl_run_lock_release(struct pl_run_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    free(lock->path);
    *lock = (struct pl_run_lock){.fd = -1};
}

void pl_run_lock_note(const struct pl_run_lock *lock, const struct pl_run_child *children,
                      size_t count)
{
    char host[HOST_BYTES];
    struct pl_buf text;
    int rc;

    host_name(host);
    pl_buf_init(&text, TEXT_BYTES);
    rc = pl_buf_printf(&text, "held by %ld on %s since %s\n", (long)getpid(), host, lock->since);
    for (size_t i = 0; rc == PL_OK && i < count; i++)
        rc = pl_buf_printf(&text, "child %s %s %ld %" PRIu64 "\n", children[i].name,
                           children[i].program, (long)children[i].pid, children[i].started);
    /* Shortened behind what is new, so that who reads meanwhile finds lines that are whole or old.
     */
    if (rc == PL_OK && pwrite(lock->fd, text.data, text.len, 0) == (ssize_t)text.len &&
        ftruncate(lock->fd, (off_t)text.len) < 0)
        (void)rc;
    pl_buf_release(&text);
}

/* ---- the learner's lock ---- */

/* Who holds a lock on this file, by the kernel's list: "7: FLOCK ADVISORY WRITE 123 08:01:456 0
 * EOF". */
static pid_t holder_of(const struct stat *st)
{
    FILE *file = fopen("/proc/locks", "re");
    char line[256];
    pid_t found = 0;

    while (file && found == 0 && fgets(line, sizeof line, file)) {
        unsigned major, minor;
        unsigned long inode;
        long pid;

        if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major, &minor, &inode) == 4 &&
            inode == (unsigned long)st->st_ino && major == major(st->st_dev) &&
            minor == minor(st->st_dev) && pid > 0)
            found = (pid_t)pid;
    }
    if (file)
        fclose(file);
    return found;
}

bool pl_run_has_learner(const char *dir, pid_t *ret_pid)
{
    char *path = pl_strf("%s/plait.lock", dir);
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    bool held = false;

    *ret_pid = 0;
    if (fd >= 0) {
        held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
        if (held && fstat(fd, &st) == 0)
            *ret_pid = holder_of(&st);
        close(fd);
    }
    free(path);
    return held;
}
