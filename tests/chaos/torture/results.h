/*
 * What a torture came to: one line of JSON a test, appended to the file that PLAIT_CHAOS_RESULTS
 * names (plait-chaos report reads it), and for people on the standard output.
 *
 *   {"area": "torture", "name": "io", "seed": 1, "count": 5120, "failures": 0, ...}
 */
#ifndef PL_TESTS_CHAOS_RESULTS_H
#define PL_TESTS_CHAOS_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

/* `more`: further members, ", \"detected\": 3"; may be "". */
void pl_chaos_result(const char *area, const char *name, bool is_long, uint64_t seed,
                     uint64_t count, uint64_t failures, const char *more, ...)
    __attribute__((format(printf, 7, 8)));
/* Of the area torture, in the form that runs. */
void pl_torture_result(const char *name, uint64_t seed, uint64_t count, uint64_t failures,
                       const char *more, ...) __attribute__((format(printf, 5, 6)));

bool pl_torture_is_long(void); /* PLAIT_TORTURE_LONG is set: the suite full */

/* One wrong case: printed, at most 20 of them; returns 1 for a sum. */
uint64_t pl_torture_wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A seeded stream of numbers. */
uint32_t pl_torture_draw(uint64_t *state);
uint32_t pl_torture_below(uint64_t *state, uint32_t n);

#endif
