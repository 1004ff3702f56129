#include "tests/close.h"

#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void pl_test_close(double got, double want, double abs, double rel, const char *expr,
                   const char *file, int line)
{
    const double bound = abs + rel * fabs(want);

    if (fabs(got - want) <= bound) /* false for NaN as well */
        return;
    print_error("%s is %.9g; expected %.9g, off by %.3g, allowed %.3g\n", expr, got, want,
                fabs(got - want), bound);
    _fail(file, line);
}

void pl_test_same_bits(const float *got, const float *want, size_t n, const char *file, int line)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof got[i]) == 0)
            continue;
        print_error("element %zu of %zu is %.9g; expected %.9g to the bit\n", i, n, (double)got[i],
                    (double)want[i]);
        _fail(file, line);
    }
}

void pl_test_fill(float *x, size_t n, uint32_t seed)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST};

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2.0 * pl_rng_unit(&rng, (uint32_t)i) - 1.0);
}

void pl_test_fill_bf16(float *x, size_t n, uint32_t seed)
{
    pl_test_fill(x, n, seed);
    for (size_t i = 0; i < n; i++) {
        uint32_t word;

        memcpy(&word, &x[i], sizeof word);
        word = (word + 0x7FFF + (word >> 16 & 1)) & 0xFFFF0000u;
        memcpy(&x[i], &word, sizeof word);
    }
}

void pl_test_set(float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}

double pl_test_relative(const float *got, const float *want, size_t n)
{
    double worst = 0.0, scale = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double off = fabs((double)got[i] - (double)want[i]);

        worst = off > worst || isnan(off) ? off : worst;
        scale = fabs((double)want[i]) > scale ? fabs((double)want[i]) : scale;
    }
    return scale > 0.0 ? worst / scale : worst;
}
