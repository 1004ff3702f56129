/*
 * What tests share: closeness of numbers, seeded data. Included after cmocka's headers.
 */
#ifndef PL_TESTS_CLOSE_H
#define PL_TESTS_CLOSE_H

#include <stddef.h>
#include <stdint.h>

/* 1 in a build with sanitizers, where long tests take a part of their cases. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PL_TEST_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PL_TEST_SLOW 1
#endif
#endif
#ifndef PL_TEST_SLOW
#define PL_TEST_SLOW 0
#endif

/* Fails unless |got - want| <= abs + rel * |want|. */
#define pl_assert_close(got, want, abs, rel)                                                       \
    pl_test_close((double)(got), (double)(want), abs, rel, #got, __FILE__, __LINE__)
void pl_test_close(double got, double want, double abs, double rel, const char *expr,
                   const char *file, int line);

/* Fails unless the n floats are equal to the bit; says where the first difference is. */
#define pl_assert_same_bits(got, want, n) pl_test_same_bits(got, want, n, __FILE__, __LINE__)
void pl_test_same_bits(const float *got, const float *want, size_t n, const char *file, int line);

void pl_test_fill(float *x, size_t n, uint32_t seed);      /* uniform in [-1, 1) */
void pl_test_fill_bf16(float *x, size_t n, uint32_t seed); /* the same, rounded to bf16 values */
void pl_test_set(float *x, size_t n, float value);
double pl_test_relative(const float *got, const float *want,
                        size_t n); /* max |got-want| / max |want| */

#endif
