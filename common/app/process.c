#include "common/app/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of /proc/self/stat (proc(5)), counted from behind the program's name. */
enum { UTIME = 11, STIME = 12, THREADS = 17, START = 19, VSIZE = 20, RSS = 21, STAT_FIELDS };

void pl_process_meters_make(struct pl_process_meters *process, struct pl_meters *meters)
{
    *process = (struct pl_process_meters){
        .cpu = pl_meters_counter(meters, "process_cpu_seconds_total",
                                 "Processor time in user and system mode, in seconds.", NULL),
        .resident = pl_meters_gauge(meters, "process_resident_memory_bytes",
                                    "Memory of this process that is in RAM, in bytes.", NULL),
        .virtual_size = pl_meters_gauge(meters, "process_virtual_memory_bytes",
                                        "Address space of this process, in bytes.", NULL),
        .fds = pl_meters_gauge(meters, "process_open_fds", "Open file descriptors.", NULL),
        .fds_max =
            pl_meters_gauge(meters, "process_max_fds", "File descriptors that may be open.", NULL),
        .start = pl_meters_gauge(meters, "process_start_time_seconds",
                                 "When this process began, in seconds since 1970.", NULL),
        .threads = pl_meters_gauge(meters, "process_threads", "Threads of this process.", NULL),
    };
}

static bool read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return false;
    n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return n > 0;
}

static bool read_stat(double ret_fields[STAT_FIELDS])
{
    char text[2048], *at;

    if (!read_file("/proc/self/stat", text, sizeof text))
        return false;
    at = strrchr(text, ')'); /* the name may hold anything */
    if (!at || strlen(at) < 4)
        return false;
    at += 4; /* behind the state, a letter */
    for (int i = 1; i < STAT_FIELDS; i++) {
        char *end;

        ret_fields[i] = strtod(at, &end);
        if (end == at)
            return false;
        at = end;
    }
    return true;
}

/* Seconds since 1970 when the machine was started; 0: not known. */
static double boot_time(void)
{
    char line[256];
    FILE *f = fopen("/proc/stat", "re");
    double at = 0.0;

    while (f && at == 0.0 && fgets(line, sizeof line, f))
        if (strncmp(line, "btime ", 6) == 0)
            at = strtod(line + 6, NULL);
    if (f)
        (void)fclose(f);
    return at;
}

static size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    if (!dir)
        return 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* that of the folder itself */
}

void pl_process_meters_fill(void *process)
{
    struct pl_process_meters *p = process;
    const double ticks = (double)sysconf(_SC_CLK_TCK), boot = boot_time();
    double stat[STAT_FIELDS];
    const size_t fds = count_fds();
    struct rlimit limit;

    if (read_stat(stat)) {
        pl_meter_rise(p->cpu, (stat[UTIME] + stat[STIME]) / ticks);
        pl_meter_set(p->threads, stat[THREADS]);
        pl_meter_set(p->virtual_size, stat[VSIZE]);
        pl_meter_set(p->resident, stat[RSS] * (double)sysconf(_SC_PAGESIZE));
        if (boot > 0.0)
            pl_meter_set(p->start, boot + stat[START] / ticks);
    }
    if (fds > 0)
        pl_meter_set(p->fds, (double)fds);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        pl_meter_set(p->fds_max, (double)limit.rlim_cur);
}
