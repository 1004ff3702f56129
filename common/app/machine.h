/*
 * What this machine is and how fast it reads memory, for `plait doctor` and memory plans.
 */
#ifndef PL_APP_MACHINE_H
#define PL_APP_MACHINE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct pl_machine {
    char cpu[96];              /* model name, "unknown" where the kernel does not tell */
    char isa[96];              /* of sse4.2 avx avx2 fma f16c bf16 avx512..., space separated */
    size_t cpus_online;        /* processors the kernel runs */
    size_t cpus_allowed;       /* of those, what this process may use */
    double cpus_limit;         /* least quota of its control groups in processors, 0: none */
    uint64_t memory_total;     /* bytes */
    uint64_t memory_available; /* bytes free or quickly freed */
    uint64_t memory_limit;     /* least limit of its control groups in bytes, 0: none */
    uint64_t memory_granted;   /* with a limit: bytes that the groups still grant */
};

/*
 * Read /proc and /sys under `root` ("" for the real ones). Limits are those of the control groups
 * that this process is in, of the first version or the second, and of all above them: the least
 * counts. PL_EFORMAT, PL_EIO: /proc/meminfo is not
 * there or makes no sense; all else falls back to "not known".
 */
int pl_machine_read(const char *root, struct pl_machine *ret_machine, struct pl_error *err);

/* The smaller of what is available and what the control groups still grant, in bytes. */
uint64_t pl_machine_memory_usable(const struct pl_machine *machine);

/* Processors that this process may keep busy: those it is allowed, as many as its quota pays for,
 * rounded up. */
size_t pl_machine_threads(const struct pl_machine *machine);

/*
 * Let OpenMP use that many threads from here on; 0: all, which are OMP_NUM_THREADS where it is
 * given, else pl_machine_threads(). More threads than the quota pays for would be stopped in the
 * middle of a period, and all others wait for them at the next barrier.
 */
void pl_machine_use_threads(size_t threads);

/*
 * Read bandwidth in bytes a second: the best of `rounds` sums over `bytes` of memory by the OpenMP
 * threads in use. PL_ENOMEM.
 */
int pl_machine_bandwidth(size_t bytes, int rounds, double *ret_bytes_per_s, struct pl_error *err);

#endif
