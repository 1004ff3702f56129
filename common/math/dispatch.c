#include "common/math/kernels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct pl_kernels pl_kernels_plain;
#ifdef PL_X86
extern const struct pl_kernels pl_kernels_avx2, pl_kernels_avx512;
#endif

static _Atomic(const struct pl_kernels *) chosen;

const struct pl_kernels *pl_kernels_named(const char *name)
{
#ifdef PL_X86
    __builtin_cpu_init();
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return &pl_kernels_avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &pl_kernels_avx2;
#endif
    return strcmp(name, "plain") == 0 ? &pl_kernels_plain : NULL;
}

static const struct pl_kernels *choose(void)
{
    static const char *const best_first[] = {"avx512", "avx2", "plain"};
    const char *wish = getenv("PLAIT_ISA");
    const struct pl_kernels *found = wish && *wish ? pl_kernels_named(wish) : NULL;

    if (wish && *wish && !found)
        fprintf(stderr,
                "plait: PLAIT_ISA is '%s', which this machine does not have or plait does not know "
                "(avx512, avx2, plain); choosing by the machine\n",
                wish);
    for (size_t i = 0; !found && i < sizeof best_first / sizeof *best_first; i++)
        found = pl_kernels_named(best_first[i]);
    return found;
}

const struct pl_kernels *pl_kernels(void)
{
    const struct pl_kernels *kernels = atomic_load_explicit(&chosen, memory_order_acquire);

    if (!kernels) {
        kernels = choose();
        atomic_store_explicit(&chosen, kernels, memory_order_release);
    }
    return kernels;
}

void pl_kernels_use(const struct pl_kernels *kernels)
{
    atomic_store_explicit(&chosen, kernels, memory_order_release);
}
