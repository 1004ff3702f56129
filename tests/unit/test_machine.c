#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/machine.h"
#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A made-up machine under a folder of its own. */
static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/plait-machine-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return pl_dir_remove(root, NULL);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char *dir = pl_strf("%s/%s", root, folder), *path = pl_strf("%s/%s/%s", root, folder, name);
    FILE *out;

    assert_int_equal(pl_dir_make(dir, NULL), PL_OK);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    free(dir);
    free(path);
}

static void files_of_the_kernel_are_read(void **state)
{
    struct pl_machine machine;

    (void)state;
    put_file("proc", "meminfo",
             "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB\n");
    put_file("proc", "cpuinfo",
             "processor\t: 0\nmodel name\t: Imaginary 9000\nflags\t\t: fpu sse4_2 avx avx2x fma\n\n"
             "processor\t: 1\nmodel name\t: Imaginary 9000\nflags\t\t: fpu avx512f\n");
    put_file("sys/fs/cgroup", "cpu.max", "150000 100000\n");
    put_file("sys/fs/cgroup", "memory.max", "4294967296\n");
    put_file("sys/fs/cgroup", "memory.current", "1073741824\n");
    assert_int_equal(pl_machine_read(root, &machine, NULL), PL_OK);
    assert_string_equal(machine.cpu, "Imaginary 9000");
    assert_string_equal(machine.isa, "sse4_2 avx fma"); /* whole words of the first line */
    assert_true(machine.memory_total == UINT64_C(16384000) * 1024);
    assert_true(machine.memory_available == UINT64_C(8192000) * 1024);
    assert_true(machine.cpus_limit == 1.5);
    assert_true(pl_machine_memory_usable(&machine) == UINT64_C(3) << 30);
    put_file("sys/fs/cgroup", "memory.max", "max\n");
    put_file("sys/fs/cgroup", "cpu.max", "max 100000\n");
    assert_int_equal(pl_machine_read(root, &machine, NULL), PL_OK);
    assert_true(machine.memory_limit == 0);
    assert_true(machine.cpus_limit == 0);
    assert_true(pl_machine_memory_usable(&machine) == machine.memory_available);
    put_file("sys/fs/cgroup/memory", "memory.limit_in_bytes", "2147483648\n");
    put_file("sys/fs/cgroup/memory", "memory.usage_in_bytes", "3147483648\n"); /* over it */
    assert_int_equal(pl_machine_read(root, &machine, NULL), PL_OK);
    assert_true(pl_machine_memory_usable(&machine) == 0);
}

static void empty_root(void)
{
    assert_int_equal(pl_dir_remove(root, NULL), PL_OK);
    put_file("proc", "meminfo",
             "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"); /* 16, 8 GiB */
}

static struct pl_machine read_it(void)
{
    struct pl_machine machine;

    assert_int_equal(pl_machine_read(root, &machine, NULL), PL_OK);
    return machine;
}

/* As systemd and Slurm set it up: the limits are those of the own group, or of one above it. */
static void limits_of_the_own_group_count(void **state)
{
    static const char service[] = "sys/fs/cgroup/plait.slice/plait-learner.service";
    struct pl_machine m;

    (void)state;
    empty_root();
    put_file("proc/self", "cgroup", "0::/plait.slice/plait-learner.service\n");
    m = read_it();
    assert_true(m.memory_limit == 0 && m.cpus_limit == 0);
    assert_true(pl_machine_memory_usable(&m) == UINT64_C(8) << 30);

    put_file(service, "memory.max", "6442450944\n");     /* 6 GiB */
    put_file(service, "memory.high", "5368709120\n");    /* 5 GiB: what slows it down counts */
    put_file(service, "memory.current", "4294967296\n"); /* 4 GiB, 3 of them the files it read */
    put_file(service, "memory.stat", "anon 1\nfile 2\ninactive_file 3221225472\nx 1\n");
    put_file(service, "cpu.max", "250000 100000\n");
    put_file("sys/fs/cgroup/plait.slice", "cpu.max", "max 100000\n");
    m = read_it();
    assert_true(m.memory_limit == UINT64_C(5) << 30);
    assert_true(pl_machine_memory_usable(&m) == UINT64_C(4) << 30);
    assert_true(m.cpus_limit == 2.5);

    /* The slice holds more than this service, and has nearly used it up. */
    put_file("sys/fs/cgroup/plait.slice", "memory.max", "7516192768\n");     /* 7 GiB */
    put_file("sys/fs/cgroup/plait.slice", "memory.current", "6442450944\n"); /* 6 GiB */
    put_file("sys/fs/cgroup/plait.slice", "cpu.max", "50000 100000\n");
    m = read_it();
    assert_true(m.memory_limit == UINT64_C(5) << 30);
    assert_true(pl_machine_memory_usable(&m) == UINT64_C(1) << 30);
    assert_true(m.cpus_limit == 0.5);

    /* Another service's limits are not one's own. */
    put_file("proc/self", "cgroup", "0::/other.slice/x.service\n");
    m = read_it();
    assert_true(m.memory_limit == 0 && m.cpus_limit == 0);
}

static void limits_of_the_first_version_count(void **state)
{
    static const char own[] = "sys/fs/cgroup/memory/slurm/uid_1/job_7";
    struct pl_machine m;

    (void)state;
    empty_root();
    put_file("proc/self", "cgroup",
             "4:memory:/slurm/uid_1/job_7/step_0\n3:cpu,cpuacct:/a:b/c\n2:cpuset:/\n0::/ignored\n");
    put_file(own, "memory.limit_in_bytes", "4294967296\n");
    put_file(own, "memory.usage_in_bytes", "3221225472\n");
    put_file(own, "memory.stat", "cache 5\ninactive_file 9\ntotal_inactive_file 1073741824\n");
    put_file("sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/a:b/c", "cpu.cfs_quota_us", "-1\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/a:b/c", "cpu.cfs_period_us", "100000\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/a:b", "cpu.cfs_quota_us", "150000\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/a:b", "cpu.cfs_period_us", "100000\n");
    m = read_it();
    assert_true(m.memory_limit == UINT64_C(4) << 30);
    assert_true(pl_machine_memory_usable(&m) == UINT64_C(2) << 30);
    assert_true(m.cpus_limit == 1.5);

    /* In a container the group has the host's name; only the top can be seen. */
    empty_root();
    put_file("proc/self", "cgroup", "4:memory:/docker/8f3a\n0::/../../x\n");
    put_file("sys/fs/cgroup/memory", "memory.limit_in_bytes", "1073741824\n");
    put_file("sys/fs/cgroup", "cpu.max", "300000 100000\n");
    m = read_it();
    assert_true(m.memory_limit == UINT64_C(1) << 30);
    assert_true(m.cpus_limit == 3.0);
}

static void threads_go_by_the_quota(void **state)
{
    const struct {
        size_t allowed;
        double limit;
        size_t threads;
    } rows[] = {{8, 0.0, 8}, {8, 2.0, 2}, {8, 2.5, 3}, {8, 0.1, 1}, {2, 4.0, 2}, {3, 3.0, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct pl_machine m = {.cpus_allowed = rows[i].allowed, .cpus_limit = rows[i].limit};

        assert_int_equal(pl_machine_threads(&m), rows[i].threads);
    }
}

static void nonsense_is_refused(void **state)
{
    struct pl_machine machine;
    struct pl_error err;

    (void)state;
    put_file("proc", "meminfo", "MemTotal: 1 kB\nMemAvailable: 2 kB\n");
    assert_int_equal(pl_machine_read(root, &machine, &err), PL_EFORMAT);
    put_file("proc", "meminfo", "nothing of the kind");
    assert_int_equal(pl_machine_read(root, &machine, &err), PL_EFORMAT);
    assert_int_equal(pl_machine_read("/nonexistent", &machine, &err), PL_EIO);
    assert_non_null(strstr(err.text, "/nonexistent/proc/meminfo"));
}

static void this_machine_is_described(void **state)
{
    struct pl_machine machine;

    (void)state;
    assert_int_equal(pl_machine_read("", &machine, NULL), PL_OK);
    assert_true(machine.cpu[0] != '\0');
    assert_true(machine.cpus_allowed >= 1);
    assert_true(machine.memory_total >= machine.memory_available);
}

static void bandwidth_is_of_this_world(void **state)
{
    double bytes_per_s = 0;

    (void)state;
    assert_int_equal(pl_machine_bandwidth(64 << 20, 3, &bytes_per_s, NULL), PL_OK);
    print_message("read bandwidth %.1f GB/s\n", bytes_per_s * 1e-9);
    assert_true(bytes_per_s > 1e7 && bytes_per_s < 1e13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_kernel_are_read),
        cmocka_unit_test(limits_of_the_own_group_count),
        cmocka_unit_test(limits_of_the_first_version_count),
        cmocka_unit_test(threads_go_by_the_quota),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(this_machine_is_described),
        cmocka_unit_test(bandwidth_is_of_this_world),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
