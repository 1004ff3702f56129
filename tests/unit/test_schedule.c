/* Learning rates by hand, at the places where formulas are gotten wrong: ends, joints, no length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/schedule.h"
#include "tests/close.h"

static double lr(enum pl_schedule_kind kind, double floor_ratio, uint64_t warmup, uint64_t steps,
                 uint64_t step)
{
    const struct pl_schedule schedule = {kind, 8.0, floor_ratio, warmup, steps};

    return pl_schedule_lr(&schedule, step);
}

static void warm_up_climbs_and_reaches_the_peak(void **state)
{
    (void)state;
    for (int kind = PL_SCHEDULE_CONSTANT; kind <= PL_SCHEDULE_COSINE; kind++) {
        /* w = 3: quarters of 8, never 0, and the peak right after */
        pl_assert_close(lr(kind, 0.5, 3, 10, 0), 2.0, 0, 1e-15);
        pl_assert_close(lr(kind, 0.5, 3, 10, 1), 4.0, 0, 1e-15);
        pl_assert_close(lr(kind, 0.5, 3, 10, 2), 6.0, 0, 1e-15);
        pl_assert_close(lr(kind, 0.5, 3, 10, 3), 8.0, 0, 1e-15);
        pl_assert_close(lr(kind, 0.5, 0, 10, 0), 8.0, 0, 1e-15);
    }
}

static void constant_stays(void **state)
{
    (void)state;
    assert_true(lr(PL_SCHEDULE_CONSTANT, 0.0, 0, 4, 3) == 8.0);
    assert_true(lr(PL_SCHEDULE_CONSTANT, 0.0, 0, 4, 4) == 8.0);
    assert_true(lr(PL_SCHEDULE_CONSTANT, 0.5, 2, 4, 1000) == 8.0);
}

static void linear_falls_to_its_floor(void **state)
{
    (void)state;
    /* w = 2, n = 6: x = 0, 1/4, 1/2, 3/4, 1 at steps 2..6 */
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.0, 2, 6, 3), 6.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.0, 2, 6, 5), 2.0, 0, 1e-15);
    assert_true(lr(PL_SCHEDULE_LINEAR, 0.0, 2, 6, 6) == 0.0);
    assert_true(lr(PL_SCHEDULE_LINEAR, 0.0, 2, 6, 60) == 0.0);
    /* floor 2: 2 + 6 (1 - x) */
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.25, 2, 6, 4), 5.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.25, 2, 6, 99), 2.0, 0, 1e-15);
}

static void cosine_falls_to_its_floor(void **state)
{
    (void)state;
    /* w = 1, n = 4: x = 0, 1/3, 2/3; (1 + cos(pi x)) / 2 = 1, 3/4, 1/4 */
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.0, 1, 4, 1), 8.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.0, 1, 4, 2), 6.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.0, 1, 4, 3), 2.0, 0, 1e-14);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.0, 1, 4, 4), 0.0, 1e-15, 0);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.5, 1, 4, 2), 7.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.5, 1, 4, 1 << 30), 4.0, 0, 1e-15);
}

static void a_run_that_is_all_warm_up_or_has_no_end(void **state)
{
    (void)state;
    /* n <= w: nothing to fall over; past the warm-up it is the floor at once */
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.25, 5, 5, 4), 8.0 * 5 / 6, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.25, 5, 5, 5), 2.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_COSINE, 0.25, 5, 2, 5), 2.0, 0, 1e-15);
    pl_assert_close(lr(PL_SCHEDULE_LINEAR, 0.25, 0, 0, 0), 2.0, 0, 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_climbs_and_reaches_the_peak),
        cmocka_unit_test(constant_stays),
        cmocka_unit_test(linear_falls_to_its_floor),
        cmocka_unit_test(cosine_falls_to_its_floor),
        cmocka_unit_test(a_run_that_is_all_warm_up_or_has_no_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
