#include "deploy/crew_process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STAT_BYTES = 1024, STARTED_FIELD = 22, USER_FIELD = 14, SYSTEM_FIELD = 15 };

static bool read_line(const char *path, char text[STAT_BYTES])
{
    FILE *file = fopen(path, "re");
    const bool read = file && fgets(text, STAT_BYTES, file);

    if (file)
        fclose(file);
    return read;
}

/* Fields of /proc/PID/stat from the state, the third, on: the second, the name, may hold anything.
 */
static const char *fields_of(const char *text)
{
    const char *end = strrchr(text, ')');

    return end && end[1] == ' ' ? end + 2 : NULL;
}

static uint64_t field_number(const char *fields, int number)
{
    for (int i = 3; fields && i < number; i++) {
        fields = strchr(fields, ' ');
        fields += fields != NULL;
    }
    return fields ? strtoull(fields, NULL, 10) : 0;
}

uint64_t pl_process_started(pid_t pid)
{
    char path[64], text[STAT_BYTES];
    const char *fields;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    fields = pid > 0 && read_line(path, text) ? fields_of(text) : NULL;
    if (!fields || fields[0] == 'Z' || fields[0] == 'X') /* it ended; nobody has asked how yet */
        return 0;
    return field_number(fields, STARTED_FIELD);
}

bool pl_process_is(pid_t pid, uint64_t started, const char *name)
{
    char path[64], text[STAT_BYTES];
    size_t len;

    if (started == 0 || pl_process_started(pid) != started)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    if (!read_line(path, text))
        return false;
    len = strcspn(text, "\n"); /* the kernel keeps 15 characters */
    return len > 0 && strncmp(text, name, len) == 0 && (name[len] == '\0' || len == 15);
}

pid_t pl_process_behind(const char *socket_path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct ucred who = {0};
    socklen_t len = sizeof who;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid = 0;

    if (fd >= 0 && strlen(socket_path) < sizeof at.sun_path) {
        strcpy(at.sun_path, socket_path);
        if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
            pid = who.pid;
    }
    if (fd >= 0)
        close(fd);
    return pid;
}

/* ---- whether it does anything ---- */

/* What one thread ran, in nanoseconds; *ret_waits: it waits for the disk. */
static uint64_t thread_ran(const char *folder, const char *thread, bool *ret_waits)
{
    char path[96], text[STAT_BYTES];
    const char *fields;
    uint64_t ran = 0;

    snprintf(path, sizeof path, "%s/%.20s/stat", folder, thread);
    if (!read_line(path, text))
        return 0;
    fields = fields_of(text);
    *ret_waits = *ret_waits || (fields && fields[0] == 'D');
    ran = 10000000 * (field_number(fields, USER_FIELD) + field_number(fields, SYSTEM_FIELD));
    snprintf(path, sizeof path, "%s/%.20s/schedstat", folder,
             thread); /* exact, where there is it */
    return read_line(path, text) ? strtoull(text, NULL, 10) : ran;
}

static uint64_t process_ran(pid_t pid, bool *ret_waits)
{
    char folder[64];
    struct dirent *entry;
    uint64_t ran = 0;
    DIR *dir;

    snprintf(folder, sizeof folder, "/proc/%ld/task", (long)pid);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            ran += thread_ran(folder, entry->d_name, ret_waits);
    if (dir)
        closedir(dir);
    return ran;
}

double pl_process_still_s(struct pl_process_look *look, pid_t pid)
{
    bool waits = false;
    const uint64_t ran = process_ran(pid, &waits);
    struct timespec t;
    double now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (ran != look->ran || waits || look->moved_s <= 0.0) { /* less: a thread of it ended */
        look->ran = ran;
        look->moved_s = now;
    }
    return now - look->moved_s;
}
