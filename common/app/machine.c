#include "common/app/machine.h"

#include "common/base/buf.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What follows "key" and blanks and a colon in the first line of `text` that begins with it. */
static const char *line_value(const char *text, const char *key)
{
    const size_t len = strlen(key);

    while (text && *text) {
        if (strncmp(text, key, len) == 0 && strchr(" \t:", text[len]))
            return text + len + strspn(text + len, " \t:");
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    return NULL;
}

/* NULL where the file is not there, too large or memory is out: all the same to the callers. */
static char *read_under(const char *root, const char *path)
{
    FILE *in;
    char *full = pl_strf("%s%s", root, path), *data = NULL;
    struct pl_buf buf;
    char chunk[4096];
    size_t n;

    if (!full)
        return NULL;
    /* Files of /proc say that they are empty, so pl_file_read() is of no use. */
    pl_buf_init(&buf, 4 << 20);
    in = fopen(full, "re");
    while (in && (n = fread(chunk, 1, sizeof chunk, in)) > 0 &&
           pl_buf_append(&buf, chunk, n) == PL_OK)
        continue;
    if (in)
        fclose(in);
    if (buf.len > 0)
        data = buf.data;
    else
        pl_buf_release(&buf);
    free(full);
    return data;
}

/* The instruction sets that matter to the kernels, as the kernel lists them. */
static void copy_isa(const char *flags, struct pl_machine *machine)
{
    static const char *const names[] = {"sse4_2",      "avx",         "f16c",     "fma",
                                        "avx2",        "avx512f",     "avx512bw", "avx512vl",
                                        "avx512_bf16", "avx512_vnni", "amx_bf16"};
    const size_t line = strcspn(flags, "\n");

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t len = strlen(names[i]), used = strlen(machine->isa);
        const char *at = flags;

        while ((at = strstr(at, names[i])) && at < flags + line) {
            if (at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n' || at[len] == '\0')) {
                snprintf(machine->isa + used, sizeof machine->isa - used, "%s%s",
                         used > 0 ? " " : "", names[i]);
                break;
            }
            at += len;
        }
    }
}

static void read_cpu(const char *root, struct pl_machine *machine)
{
    char *text = read_under(root, "/proc/cpuinfo");
    const char *name = text ? line_value(text, "model name") : NULL;
    const char *flags = text ? line_value(text, "flags") : NULL;
    cpu_set_t allowed;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);

    snprintf(machine->cpu, sizeof machine->cpu, "%.*s",
             name ? (int)strcspn(name, "\n") : (int)strlen("unknown"), name ? name : "unknown");
    if (flags && flags > text)
        copy_isa(flags, machine);
    machine->cpus_online = online > 0 ? (size_t)online : 1;
    machine->cpus_allowed = machine->cpus_online;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        machine->cpus_allowed = (size_t)CPU_COUNT(&allowed);
    free(text);
}

static uint64_t kib_value(const char *text, const char *key)
{
    const char *value = line_value(text, key);

    return value ? (uint64_t)strtoull(value, NULL, 10) << 10 : 0;
}

static int read_memory(const char *root, struct pl_machine *machine, struct pl_error *err)
{
    char *text = read_under(root, "/proc/meminfo");

    if (!text)
        return pl_fail(err, PL_EIO, "cannot read '%s/proc/meminfo'", root);
    machine->memory_total = kib_value(text, "MemTotal");
    machine->memory_available = kib_value(text, "MemAvailable");
    free(text);
    if (machine->memory_total == 0 || machine->memory_available > machine->memory_total)
        return pl_fail(err, PL_EFORMAT,
                       "'%s/proc/meminfo' tells of no memory, or of more available than there is",
                       root);
    return PL_OK;
}

/* ---- control groups ---- */

/* A number alone in a file; 0 for "max", what is not there and values that only mean "no limit". */
static uint64_t limit_value(const char *root, const char *path, const char *name)
{
    char *full = pl_strf("%s/%s", path, name), *text = full ? read_under(root, full) : NULL;
    const uint64_t value = text ? strtoull(text, NULL, 10) : 0;

    free(text);
    free(full);
    return value >= (1ULL << 60) ? 0 : value;
}

static uint64_t least_limit(uint64_t a, uint64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/*
 * A group counts the files that it has read or written as memory until somebody else needs the
 * room; what of them was not used lately is there for the asking.
 */
static void look_at_memory(const char *root, const char *path, bool second,
                           struct pl_machine *machine)
{
    const uint64_t limit = second ? least_limit(limit_value(root, path, "memory.max"),
                                                limit_value(root, path, "memory.high"))
                                  : limit_value(root, path, "memory.limit_in_bytes");
    char *stat_path, *stat;
    const char *files;
    uint64_t used, idle, granted;

    if (limit == 0)
        return;
    used = limit_value(root, path, second ? "memory.current" : "memory.usage_in_bytes");
    stat_path = pl_strf("%s/memory.stat", path);
    stat = stat_path ? read_under(root, stat_path) : NULL;
    files = line_value(stat, second ? "inactive_file" : "total_inactive_file");
    idle = files ? strtoull(files, NULL, 10) : 0;
    used = used > idle ? used - idle : 0;
    granted = limit > used ? limit - used : 0;
    if (machine->memory_limit == 0 || granted < machine->memory_granted)
        machine->memory_granted = granted;
    machine->memory_limit = least_limit(machine->memory_limit, limit);
    free(stat);
    free(stat_path);
}

static void look_at_quota(const char *root, const char *path, bool second,
                          struct pl_machine *machine)
{
    char *full = pl_strf("%s/%s", path, second ? "cpu.max" : "cpu.cfs_quota_us");
    char *text = full ? read_under(root, full) : NULL;
    long long quota_us = 0, period_us = 0; /* "max 100000" and -1 where there is none */
    double cpus;

    if (text && second && sscanf(text, "%lld %lld", &quota_us, &period_us) != 2)
        quota_us = 0;
    if (text && !second) {
        quota_us = strtoll(text, NULL, 10);
        period_us = (long long)limit_value(root, path, "cpu.cfs_period_us");
    }
    if (quota_us > 0 && period_us > 0) {
        cpus = (double)quota_us / (double)period_us;
        if (machine->cpus_limit <= 0 || cpus < machine->cpus_limit)
            machine->cpus_limit = cpus;
    }
    free(text);
    free(full);
}

/*
 * The group `own` of the hierarchy that is mounted at `mount`, and all that it is in: each may
 * limit. In a container the name of a group may be that of the host, whose folders are not there;
 * what is above them is.
 */
static void climb(const char *root, const char *mount, const char *own, bool second,
                  void (*look)(const char *, const char *, bool, struct pl_machine *),
                  struct pl_machine *machine)
{
    char *path = pl_strf("%s%s", mount, own);
    const size_t top = strlen(mount);

    while (path) {
        size_t len = strlen(path);

        while (len > top && path[len - 1] == '/')
            path[--len] = '\0';
        look(root, path, second, machine);
        if (len <= top)
            break;
        while (len > top && path[len - 1] != '/')
            path[--len] = '\0';
    }
    free(path);
}

/* Whether `word` is one of the names in "cpu,cpuacct". */
static bool is_among(const char *list, size_t len, const char *word)
{
    const size_t n = strlen(word);

    for (size_t i = 0; i + n <= len; i++)
        if (strncmp(list + i, word, n) == 0 && (i == 0 || list[i - 1] == ',') &&
            (i + n == len || list[i + n] == ','))
            return true;
    return false;
}

/* A line of /proc/self/cgroup, ID:CONTROLLERS:PATH, without its end; PATH is absolute, and may hold
 * any other character. */
static void read_group(const char *root, const char *line, size_t len, struct pl_machine *machine)
{
    const char *controllers = memchr(line, ':', len), *own;
    size_t words;
    char *path;

    if (!controllers++)
        return;
    own = memchr(controllers, ':', len - (size_t)(controllers - line));
    if (!own || own + 1 >= line + len || own[1] != '/')
        return;
    words = (size_t)(own - controllers);
    path = pl_strf("%.*s", (int)(line + len - own - 1), own + 1);
    if (!path || strstr(path, "/..")) { /* of another namespace: only its top is known */
        free(path);
        path = strdup("/");
    }
    if (path &&
        words == 0) { /* the second version; beside the first it is in a folder of its own */
        static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

        for (size_t i = 0; i < 2; i++) {
            climb(root, mounts[i], path, true, look_at_memory, machine);
            climb(root, mounts[i], path, true, look_at_quota, machine);
        }
    }
    if (path && is_among(controllers, words, "memory"))
        climb(root, "/sys/fs/cgroup/memory", path, false, look_at_memory, machine);
    if (path && is_among(controllers, words, "cpu")) {
        climb(root, "/sys/fs/cgroup/cpu", path, false, look_at_quota, machine);
        climb(root, "/sys/fs/cgroup/cpu,cpuacct", path, false, look_at_quota, machine);
    }
    free(path);
}

/* What the groups that this process is in allow it. */
static void read_limits(const char *root, struct pl_machine *machine)
{
    static const char anywhere[] = "0::/\n0:memory,cpu:/\n"; /* where the kernel does not tell */
    char *text = read_under(root, "/proc/self/cgroup");

    for (const char *line = text ? text : anywhere; line && *line;) {
        const size_t len = strcspn(line, "\n");

        read_group(root, line, len, machine);
        line += len + (line[len] == '\n');
    }
    free(text);
}

int pl_machine_read(const char *root, struct pl_machine *ret_machine, struct pl_error *err)
{
    struct pl_machine machine = {0};
    const int rc = read_memory(root, &machine, err);

    if (rc < 0)
        return rc;
    read_cpu(root, &machine);
    read_limits(root, &machine);
    *ret_machine = machine;
    return PL_OK;
}

uint64_t pl_machine_memory_usable(const struct pl_machine *machine)
{
    return machine->memory_limit == 0 || machine->memory_available < machine->memory_granted
               ? machine->memory_available
               : machine->memory_granted;
}

size_t pl_machine_threads(const struct pl_machine *machine)
{
    const size_t most = machine->cpus_allowed;
    size_t granted = (size_t)machine->cpus_limit;

    if (machine->cpus_limit <= 0 || machine->cpus_limit >= (double)most)
        return most;
    granted += (double)granted < machine->cpus_limit;
    return granted;
}

void pl_machine_use_threads(size_t threads)
{
    const char *given = getenv("OMP_NUM_THREADS");
    struct pl_machine machine;

    if (threads > 0)
        omp_set_num_threads((int)threads);
    else if (!(given && given[0]) && pl_machine_read("", &machine, NULL) == PL_OK &&
             pl_machine_threads(&machine) < (size_t)omp_get_max_threads())
        omp_set_num_threads((int)pl_machine_threads(&machine));
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Eight sums, so that the additions do not wait for one another and memory is what is measured. */
static uint64_t sum_words(const uint64_t *words, size_t count)
{
    uint64_t sums[8] = {0}, sum = 0;

    for (size_t i = 0; i + 8 <= count; i += 8) {
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    }
    for (size_t j = 0; j < 8; j++)
        sum += sums[j];
    return sum;
}

static uint64_t sum_parallel(const uint64_t *words, size_t count)
{
    uint64_t sum = 0;

#pragma omp parallel reduction(+ : sum)
    {
        const size_t threads = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num();
        const size_t share = count / threads / 8 * 8;

        sum += sum_words(words + me * share, share);
    }
    return sum;
}

int pl_machine_bandwidth(size_t bytes, int rounds, double *ret_bytes_per_s, struct pl_error *err)
{
    const size_t count = bytes / sizeof(uint64_t);
    uint64_t *words = pl_alloc(count, sizeof *words);
    double best_s = 0;
    volatile uint64_t sink = 0; /* or the compiler would leave the reading out */

    if (!words)
        return pl_fail(err, PL_ENOMEM, "no memory for a bandwidth test over %zu bytes", bytes);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++)
        words[i] = i; /* untouched pages would all be one page of zeros */
    for (int round = 0; round < rounds; round++) {
        const double start_s = seconds();

        sink = sink + sum_parallel(words, count);
        const double took_s = seconds() - start_s;
        if (round == 0 || took_s < best_s)
            best_s = took_s;
    }
    free(words);
    *ret_bytes_per_s = best_s > 0 ? (double)bytes / best_s : 0;
    return PL_OK;
}
