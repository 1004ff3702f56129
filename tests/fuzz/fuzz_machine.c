/*
 * What /proc and /sys tell of a machine: numbers that are numbers, text that ends. The input is the
 * files, as pl_fuzz_unpack() has them.
 */
#include "common/app/machine.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {
    "proc/meminfo",
    "proc/cpuinfo",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/memory.current",
    "sys/fs/cgroup/memory/memory.limit_in_bytes",
    "sys/fs/cgroup/memory/memory.usage_in_bytes",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_machine machine;
    struct pl_error err = {0};
    int rc;

    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, sizeof names / sizeof names[0]);
    rc = pl_machine_read(pl_fuzz_dir(), &machine, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EIO));
        return 0;
    }
    PL_ASSERT(memchr(machine.cpu, '\0', sizeof machine.cpu));
    PL_ASSERT(memchr(machine.isa, '\0', sizeof machine.isa));
    PL_ASSERT(!strchr(machine.cpu, '\n') && !strchr(machine.isa, '\n'));
    PL_ASSERT(machine.cpus_online >= 1 && machine.cpus_allowed >= 1);
    PL_ASSERT(isfinite(machine.cpus_limit) && machine.cpus_limit >= 0);
    PL_ASSERT(machine.memory_total > 0 && machine.memory_available <= machine.memory_total);
    PL_ASSERT(machine.memory_limit < 1ULL << 60);
    PL_ASSERT(pl_machine_memory_usable(&machine) <= machine.memory_available);
    return 0;
}
