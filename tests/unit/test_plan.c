/* Memory plans: the sum, the table, both limits, all of it or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/plan.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 1000, LARGE = 5 << 20 };

static void rows_add_up_and_are_printed(void **state)
{
    struct pl_plan plan;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    pl_plan_init(&plan);
    assert_int_equal(pl_plan_total(&plan), 0);
    pl_plan_add(&plan, "weights", LARGE, NULL);
    pl_plan_add(&plan, "crumbs", SMALL, NULL);
    assert_int_equal(pl_plan_total(&plan), LARGE + SMALL);
    assert_int_equal(pl_plan_print(&plan, out, NULL), PL_OK);
    fclose(out);
    assert_string_equal(text, "memory      size    bytes\n"
                              "weights  5.0 MiB  5242880\n"
                              "crumbs    1000 B     1000\n"
                              "total    5.0 MiB  5243880\n");
    free(text);
}

static void a_limit_is_kept_and_the_largest_part_named(void **state)
{
    struct pl_plan plan;
    struct pl_error err = {0};

    (void)state;
    pl_plan_init(&plan);
    pl_plan_add(&plan, "crumbs", SMALL, NULL);
    pl_plan_add(&plan, "weights", LARGE, NULL);
    pl_plan_add(&plan, "more crumbs", SMALL, NULL);
    assert_int_equal(pl_plan_check(&plan, LARGE + 2 * SMALL, &err), PL_OK);
    assert_int_equal(pl_plan_check(&plan, 0, &err), PL_OK);
    assert_int_equal(pl_plan_check(&plan, LARGE + 2 * SMALL - 1, &err), PL_ENOMEM);
    assert_non_null(strstr(err.text, "over the limit of 5.0 MiB"));
    assert_non_null(strstr(err.text, "the largest part is weights: 5.0 MiB"));
}

static void more_than_the_machine_has_is_refused(void **state)
{
    struct pl_plan plan;
    struct pl_error err = {0};

    (void)state;
    pl_plan_init(&plan);
    pl_plan_add(&plan, "crumbs", SMALL, NULL);
    pl_plan_add(&plan, "dreams", (size_t)1 << 60, NULL);
    assert_int_equal(pl_plan_check(&plan, 0, &err), PL_ENOMEM);
    assert_non_null(strstr(err.text, "this machine has"));
    assert_non_null(strstr(err.text, "the largest part is dreams"));
    plan.held = (size_t)1 << 60; /* but what is there already counts against a limit alone */
    assert_int_equal(pl_plan_check(&plan, 0, &err), PL_OK);
    assert_int_equal(pl_plan_check(&plan, (size_t)1 << 60, &err), PL_ENOMEM);
}

static void memory_is_zero_and_goes_again(void **state)
{
    struct pl_plan plan;
    void *small = &plan, *large = &plan, *none = NULL;

    (void)state;
    pl_plan_init(&plan);
    pl_plan_add(&plan, "small", SMALL, &small);
    pl_plan_add(&plan, "counted only", (size_t)1 << 60, NULL);
    pl_plan_add(&plan, "nothing", 0, &none);
    pl_plan_add(&plan, "large", LARGE, &large); /* over a huge page */
    assert_int_equal(pl_plan_allocate(&plan, NULL), PL_OK);
    assert_null(none);
    for (size_t i = 0; i < SMALL; i++)
        assert_int_equal(((char *)small)[i], 0);
    for (size_t i = 0; i < LARGE; i += 997)
        assert_int_equal(((char *)large)[i], 0);
    memset(small, 1, SMALL);
    memset(large, 1, LARGE);
    pl_plan_release(&plan);
    assert_null(small);
    assert_null(large);
    pl_plan_release(&plan); /* once more is harmless */
}

static void all_or_nothing(void **state)
{
    struct pl_plan plan;
    struct pl_error err = {0};
    void *first = NULL, *second = NULL;

    (void)state;
    pl_plan_init(&plan);
    pl_plan_add(&plan, "first", LARGE, &first);
    pl_plan_add(&plan, "second", (size_t)1 << 62, &second);
    assert_int_equal(pl_plan_allocate(&plan, &err), PL_ENOMEM);
    assert_string_equal(err.text, "no memory for second: 4611686018427387904 bytes");
    assert_null(first);
    assert_null(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_add_up_and_are_printed),
        cmocka_unit_test(a_limit_is_kept_and_the_largest_part_named),
        cmocka_unit_test(more_than_the_machine_has_is_refused),
        cmocka_unit_test(memory_is_zero_and_goes_again),
        cmocka_unit_test(all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
