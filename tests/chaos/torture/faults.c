#include "tests/chaos/torture/faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

const char *const pl_fault_names[PL_FAULTS] = {"none",  "EIO",  "ENOSPC", "EINTR",
                                               "short", "dead", "memory"};

enum { DESCRIPTORS_MAX = 1024 };

static enum pl_fault fault;
static long at, calls, again;
static bool counting, dead, no_exchange;
static char met[600];
static long blocks, descriptors;
static bool is_ours[DESCRIPTORS_MAX];
static struct pl_ops *recorded;
static char paths[DESCRIPTORS_MAX][256];
static size_t offsets[DESCRIPTORS_MAX];

void pl_faults_begin(enum pl_fault how, long number)
{
    fault = how;
    at = number;
    calls = 0;
    again = 0;
    dead = false;
    met[0] = '\0';
    counting = true;
}

void pl_faults_again(long gap)
{
    again = gap;
}

long pl_faults_end(void)
{
    counting = false;
    dead = false;
    return calls;
}

const char *pl_faults_met(void)
{
    return met;
}

void pl_faults_no_exchange(bool on)
{
    no_exchange = on;
}

bool pl_faults_has_memory(void)
{
    return !SANITIZED;
}

long pl_faults_blocks(void)
{
    return blocks;
}

long pl_faults_descriptors(void)
{
    return descriptors;
}

/* --- recording --- */

static void record(enum pl_op_kind kind, const char *path, const char *other, size_t from,
                   const void *bytes, size_t len)
{
    struct pl_ops *ops = recorded;
    struct pl_op *op;

    if (!ops)
        return;
    recorded = NULL; /* what is done here is not recorded */
    if (ops->count == ops->cap) {
        ops->cap = ops->cap ? 2 * ops->cap : 256;
        ops->items = realloc(ops->items, ops->cap * sizeof *ops->items);
        if (!ops->items)
            abort();
    }
    op = &ops->items[ops->count++];
    *op = (struct pl_op){.kind = kind, .at = from, .len = len};
    snprintf(op->path, sizeof op->path, "%s", path);
    snprintf(op->other, sizeof op->other, "%s", other ? other : "");
    if (len > 0) {
        op->bytes = malloc(len);
        if (!op->bytes)
            abort();
        memcpy(op->bytes, bytes, len);
    }
    recorded = ops;
}

void pl_faults_record(struct pl_ops *ops)
{
    recorded = ops;
}

void pl_faults_mark(size_t what)
{
    record(PL_OP_MARK, "", NULL, what, NULL, 0);
}

void pl_ops_release(struct pl_ops *ops)
{
    for (size_t i = 0; i < ops->count; i++)
        free(ops->items[i].bytes);
    free(ops->items);
    *ops = (struct pl_ops){0};
}

/* --- files --- */

/* Whether this call fails; errno is set then. `moves`: it carries bytes or may be interrupted. */
static bool meet(const char *what, const char *path, bool moves)
{
    if (!counting || fault == PL_FAULT_MEMORY)
        return false;
    calls++;
    if (dead) {
        errno = EIO;
        return true;
    }
    if (fault == PL_FAULT_NONE || calls != at)
        return false;
    snprintf(met, sizeof met, "%s '%s'", what, path);
    dead = fault == PL_FAULT_DEAD;
    errno = fault == PL_FAULT_ENOSPC ? ENOSPC : moves && fault == PL_FAULT_EINTR ? EINTR : EIO;
    return true;
}

static const char *path_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? paths[fd] : "?";
}

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX) {
        descriptors += !is_ours[fd];
        is_ours[fd] = true;
        offsets[fd] = 0;
        snprintf(paths[fd], sizeof paths[fd], "%s", path);
    }
    return fd;
}

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    struct stat st;
    bool made;
    int fd;

    if (flags & O_CREAT) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (meet("open", path, true))
        return -1;
    made = (flags & O_CREAT) && syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) < 0;
    fd = opened((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), path);
    if (fd >= 0 && (made || (flags & O_TRUNC)))
        record(PL_OP_CREATE, path, NULL, 0, NULL, 0);
    else if (fd >= 0 && (flags & O_APPEND) &&
             syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && fd < DESCRIPTORS_MAX)
        offsets[fd] = (size_t)st.st_size;
    return fd;
}

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX && is_ours[fd]) {
        const bool fails = meet("close", path_of(fd), false);

        is_ours[fd] = false;
        descriptors--;
        syscall(SYS_close, fd);
        return fails ? -1 : 0;
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX && is_ours[fd] && meet("read", path_of(fd), true)) {
        if (fault != PL_FAULT_SHORT || n < 2)
            return -1;
        n /= 2;
    }
    return syscall(SYS_read, fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t done;

    if (fd < 0 || fd >= DESCRIPTORS_MAX || !is_ours[fd])
        return syscall(SYS_write, fd, bytes, n);
    if (meet("write", path_of(fd), true)) {
        if (fault != PL_FAULT_SHORT || n < 2)
            return -1;
        n /= 2;
    }
    done = syscall(SYS_write, fd, bytes, n);
    if (done > 0) {
        record(PL_OP_WRITE, path_of(fd), NULL, offsets[fd], bytes, (size_t)done);
        offsets[fd] += (size_t)done;
    }
    return done;
}

static int flush(const char *what, int fd)
{
    if (meet(what, path_of(fd), false))
        return -1;
    record(PL_OP_SYNC, path_of(fd), NULL, 0, NULL, 0);
    return 0;
}

int fsync(int fd)
{
    return flush("fsync", fd);
}

int fdatasync(int fd)
{
    return flush("fdatasync", fd);
}

int rename(const char *from, const char *to)
{
    int rc;

    if (meet("rename", from, false))
        return -1;
    rc = (int)syscall(SYS_rename, from, to);
    if (rc == 0)
        record(PL_OP_RENAME, from, to, 0, NULL, 0);
    return rc;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int rc;

    if (meet("renameat2", from, false))
        return -1;
    if (no_exchange) {
        errno = EINVAL;
        return -1;
    }
    rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (rc == 0)
        record(flags & RENAME_EXCHANGE ? PL_OP_EXCHANGE : PL_OP_RENAME, from, to, 0, NULL, 0);
    return rc;
}

int unlink(const char *path)
{
    int rc;

    if (meet("unlink", path, false))
        return -1;
    rc = (int)syscall(SYS_unlink, path);
    if (rc == 0)
        record(PL_OP_UNLINK, path, NULL, 0, NULL, 0);
    return rc;
}

int remove(const char *path)
{
    int rc;

    if (meet("remove", path, false))
        return -1;
    rc = (int)syscall(SYS_unlink, path);
    if (rc < 0 && errno == EISDIR)
        rc = (int)syscall(SYS_rmdir, path);
    if (rc == 0)
        record(PL_OP_UNLINK, path, NULL, 0, NULL, 0);
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    int rc;

    if (meet("mkdir", path, false))
        return -1;
    rc = (int)syscall(SYS_mkdir, path, mode);
    if (rc == 0)
        record(PL_OP_MKDIR, path, NULL, 0, NULL, 0);
    return rc;
}

void *mmap64(void *where, size_t len, int rights, int flags, int fd, off_t from);
void *mmap64(void *where, size_t len, int rights, int flags, int fd, off_t from)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX && is_ours[fd] && meet("mmap", path_of(fd), false))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, where, len, rights, flags, fd, from);
}

int fstat64(int fd, struct stat64 *st)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX && is_ours[fd] && meet("fstat", path_of(fd), false))
        return -1;
    return (int)syscall(SYS_fstat, fd, st);
}

int stat64(const char *path, struct stat64 *st)
{
    return meet("stat", path, false) ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

int lstat64(const char *path, struct stat64 *st)
{
    return meet("lstat", path, false)
               ? -1
               : (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

DIR *opendir(const char *path)
{
    int fd;
    DIR *dir;

    if (meet("opendir", path, false))
        return NULL;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !dir)
        syscall(SYS_close, fd);
    descriptors += dir != NULL;
    return dir;
}

int closedir(DIR *dir)
{
    static int (*real)(DIR *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "closedir");
    descriptors--;
    return real(dir);
}

/* --- streams, over the calls above --- */

static ssize_t stream_read(void *cookie, char *bytes, size_t n)
{
    return read((int)(intptr_t)cookie, bytes, n);
}

static ssize_t stream_write(void *cookie, const char *bytes, size_t n)
{
    const ssize_t done = write((int)(intptr_t)cookie, bytes, n);

    return done < 0 ? 0 : done; /* how a stream is told of an error */
}

static int stream_close(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

FILE *fopen64(const char *path, const char *how)
{
    const cookie_io_functions_t calls_of = {
        .read = stream_read, .write = stream_write, .close = stream_close};
    const bool writes = how[0] != 'r';
    const int fd = open64(
        path,
        (writes ? O_WRONLY | O_CREAT | (how[0] == 'a' ? O_APPEND : O_TRUNC) : O_RDONLY) | O_CLOEXEC,
        0666);
    FILE *stream = fd >= 0 ? fopencookie((void *)(intptr_t)fd, writes ? "w" : "r", calls_of) : NULL;

    if (fd >= 0 && !stream) {
        descriptors--;
        is_ours[fd] = false;
        syscall(SYS_close, fd);
        errno = ENOMEM;
    }
    if (stream)
        stream->_fileno = fd; /* for fileno(); a stream of this kind does not use it */
    return stream;
}

/* --- memory --- */

#if !SANITIZED

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

/* Code of those whose memory is left alone. */
static struct {
    uintptr_t from, to;
} spared[8];
static size_t spared_count;

static int find_spared(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (!strstr(info->dlpi_name, "libgomp") && !strstr(info->dlpi_name, "openblas"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum && spared_count < 8; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            spared[spared_count].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            spared[spared_count].to = spared[spared_count].from + info->dlpi_phdr[i].p_memsz;
            spared_count++;
        }
    return 0;
}

__attribute__((constructor)) static void prepare(void)
{
    dl_iterate_phdr(find_spared, NULL);
}

static bool is_spared(const void *caller)
{
    for (size_t i = 0; i < spared_count; i++)
        if ((uintptr_t)caller >= spared[i].from && (uintptr_t)caller < spared[i].to)
            return true;
    return false;
}

/* Who asked for memory, behind what is said of calls that failed. */
static void say_caller(const void *caller)
{
    const size_t len = strlen(met);
    Dl_info where;

    if (dladdr(caller, &where) && where.dli_fname)
        snprintf(met + len, sizeof met - len, "%smemory, by %s +%#zx", len ? " and " : "",
                 where.dli_fname, (size_t)((const char *)caller - (const char *)where.dli_fbase));
    errno = ENOMEM;
}

static bool no_memory(const void *caller)
{
    static const void *first; /* whose call failed first */
    bool fails;

    if (!counting || fault != PL_FAULT_MEMORY || is_spared(caller))
        return false;
    calls++;
    if (calls == at)
        first = caller;
    /* jansson, all of whose calls are one here, does not stand a second one. */
    fails = calls == at || (again > 0 && calls == at + again && caller != first);
    if (fails)
        say_caller(caller);
    if (again < 0 && calls > at) {
        errno = ENOMEM;
        fails = true;
    }
    return fails;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
    void *p = no_memory(CALLER) ? NULL : __libc_malloc(n);

    blocks += p != NULL;
    return p;
}

void *calloc(size_t n, size_t size)
{
    void *p = no_memory(CALLER) ? NULL : __libc_calloc(n, size);

    blocks += p != NULL;
    return p;
}

void *realloc(void *old, size_t n)
{
    void *p;

    if (n > 0 && no_memory(CALLER))
        return NULL;
    p = __libc_realloc(old, n);
    blocks += (p != NULL) - (old != NULL && (p != NULL || n == 0));
    return p;
}

static void *aligned(size_t align, size_t n, const void *caller)
{
    void *p = no_memory(caller) ? NULL : __libc_memalign(align, n);

    blocks += p != NULL;
    return p;
}

void *aligned_alloc(size_t align, size_t n)
{
    return aligned(align, n, CALLER);
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
    return aligned(align, n, CALLER);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
    void *p = aligned(align, n, CALLER);

    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

void free(void *p)
{
    blocks -= p != NULL;
    __libc_free(p);
}

#endif
