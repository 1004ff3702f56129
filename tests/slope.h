/*
 * Central differences in double, and a check of results on every instruction set and several
 * thread counts. Included after cmocka's headers.
 */
#ifndef PL_TESTS_SLOPE_H
#define PL_TESTS_SLOPE_H

#include <stddef.h>

/*
 * df/dx at *x by central differences. In double, with functions of values around 1, what is left
 * of the truth is some 1e-9.
 */
static inline double pl_test_slope(double *x, double (*f)(const void *at), const void *at)
{
    const double h = 3e-5, middle = *x;

    *x = middle + h;
    const double up = f(at);
    *x = middle - h;
    const double down = f(at);

    *x = middle;
    return (up - down) / (2.0 * h);
}

static inline void pl_test_widen(double *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (double)from[i];
}

/*
 * Run `compute`, which sets ret (n), with 1 to 3 threads and on every instruction set of this
 * machine: the bits must be those in `want`, which a call before it gave.
 */
void pl_test_everywhere(void (*compute)(const void *at, float *ret), const void *at,
                        const float *want, size_t n);

#endif
