#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/slope.h"

#include "common/math/kernels.h"
#include "tests/close.h"

#include <omp.h>
#include <stdlib.h>

void pl_test_everywhere(void (*compute)(const void *at, float *ret), const void *at,
                        const float *want, size_t n)
{
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    const struct pl_kernels *before = pl_kernels();
    const int threads = omp_get_max_threads();
    float *got = malloc(n * sizeof *got);

    assert_non_null(got);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (int t = 1; t <= 3; t++) {
            if (!pl_kernels_named(sets[i]))
                continue;
            pl_kernels_use(pl_kernels_named(sets[i]));
            omp_set_num_threads(t);
            compute(at, got);
            pl_assert_same_bits(got, want, n);
        }
    pl_kernels_use(before);
    omp_set_num_threads(threads);
    free(got);
}
