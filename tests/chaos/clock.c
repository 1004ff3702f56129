/*
 * Preloaded by a program whose wall clock is to be put back and forth while it runs: what
 * gettimeofday() and clock_gettime(CLOCK_REALTIME) tell is off by the seconds that stand, as eight
 * bytes, in the file
 * "../clock" (Redis works in a folder of the run's). The monotonic clock is left alone.
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *shared;

static long long offset_s(void)
{
    static int tries;

    if (!shared &&
        tries++ % 64 == 0) { /* Redis goes to its folder after it began to tell the time */
        const int fd = open("../clock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        void *map = MAP_FAILED;

        if (fd >= 0 && lseek(fd, 0, SEEK_END) < (off_t)sizeof *shared &&
            ftruncate(fd, sizeof *shared) < 0)
            return 0;
        if (fd >= 0)
            map = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
        if (fd >= 0)
            close(fd);
        if (map != MAP_FAILED)
            shared = map;
    }
    return shared ? *shared : 0;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    const int rc = (int)syscall(SYS_clock_gettime, id, t);

    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += offset_s();
    return rc;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec t;
    const int rc = clock_gettime(CLOCK_REALTIME, &t);

    (void)zone;
    ret->tv_sec = t.tv_sec;
    ret->tv_usec = t.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (ret)
        *ret = t.tv_sec;
    return t.tv_sec;
}
