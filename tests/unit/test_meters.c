#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/meters.h"
#include "common/app/process.h"
#include "common/base/err.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pl_meters *meters;

static int setup(void **state)
{
    (void)state;
    meters = pl_meters_create();
    return meters ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pl_meters_destroy(meters);
    return 0;
}

/* The text, until the next call. */
static const char *text(void)
{
    static struct pl_buf buf;

    pl_buf_release(&buf);
    pl_buf_init(&buf, 1 << 20);
    assert_int_equal(pl_meters_print(meters, &buf), PL_OK);
    return buf.data ? buf.data : "";
}

static void each_kind_as_the_format_has_it(void **state)
{
    static const double bounds[] = {0.005, 0.5, 10};
    struct pl_meter *groups, *refused, *depth, *took;

    (void)state;
    pl_meters_common(meters, "run", "demo");
    groups = pl_meters_counter(meters, "groups_total", "Groups.", "outcome", "done", NULL);
    refused = pl_meters_counter(meters, "groups_total", "Groups.", "outcome", "refused", NULL);
    depth = pl_meters_gauge(meters, "depth", "Queued\nnow \\ here.", NULL);
    took = pl_meters_histogram(meters, "took_seconds", "Time.", bounds, 3, NULL);
    pl_meter_add(groups, 3);
    pl_meter_add(groups, 0.25);
    pl_meter_rise(refused, 7);
    pl_meter_rise(refused, 6); /* it does not fall */
    pl_meter_set(depth, -2);
    pl_meter_see(took, 0.005); /* a bound holds what is equal to it */
    pl_meter_see(took, 0.4);
    pl_meter_see(took, 11);
    assert_string_equal(text(), "# HELP groups_total Groups.\n"
                                "# TYPE groups_total counter\n"
                                "groups_total{run=\"demo\",outcome=\"done\"} 3.25\n"
                                "groups_total{run=\"demo\",outcome=\"refused\"} 7\n"
                                "# HELP depth Queued\\nnow \\\\ here.\n"
                                "# TYPE depth gauge\n"
                                "depth{run=\"demo\"} -2\n"
                                "# HELP took_seconds Time.\n"
                                "# TYPE took_seconds histogram\n"
                                "took_seconds_bucket{run=\"demo\",le=\"0.005\"} 1\n"
                                "took_seconds_bucket{run=\"demo\",le=\"0.5\"} 2\n"
                                "took_seconds_bucket{run=\"demo\",le=\"10\"} 2\n"
                                "took_seconds_bucket{run=\"demo\",le=\"+Inf\"} 3\n"
                                "took_seconds_sum{run=\"demo\"} 11.405\n"
                                "took_seconds_count{run=\"demo\"} 3\n");
}

static void values_that_are_not_finite_and_all_digits(void **state)
{
    struct pl_meter *a = pl_meters_gauge(meters, "a", "A.", NULL);

    (void)state;
    pl_meter_set(a, NAN);
    assert_non_null(strstr(text(), "\na NaN\n"));
    pl_meter_set(a, INFINITY);
    assert_non_null(strstr(text(), "\na +Inf\n"));
    pl_meter_set(a, -INFINITY);
    assert_non_null(strstr(text(), "\na -Inf\n"));
    pl_meter_set(a, 0.1);
    assert_non_null(strstr(text(), "\na 0.1\n"));
    pl_meter_set(a, 1.0 / 3.0);
    assert_true(strtod(strstr(text(), "\na ") + 3, NULL) == 1.0 / 3.0);
    pl_meter_set(a, 9007199254740991.0);
    assert_non_null(strstr(text(), "\na 9007199254740991\n"));
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    pl_meter_set(pl_meters_gauge(meters, "a", "A.", "worker", "x\"} 1\ny\\z\xff\xc3\xa9", NULL), 1);
    assert_string_equal(text(), "# HELP a A.\n"
                                "# TYPE a gauge\n"
                                "a{worker=\"x\\\"} 1\\ny\\\\z\xef\xbf\xbd\xc3\xa9\"} 1\n");
}

static void what_is_not_known_is_not_shown(void **state)
{
    struct pl_meter *a = pl_meters_gauge(meters, "a", "A.", "of", "x", NULL);
    struct pl_meter *b = pl_meters_gauge(meters, "a", "A.", "of", "y", NULL);

    (void)state;
    assert_string_equal(text(), "");
    pl_meter_set(b, 5);
    assert_string_equal(text(), "# HELP a A.\n# TYPE a gauge\na{of=\"y\"} 5\n");
    pl_meter_set(a, 4);
    pl_meter_unset(b);
    assert_string_equal(text(), "# HELP a A.\n# TYPE a gauge\na{of=\"x\"} 4\n");
}

static void without_meters_nothing_is_done(void **state)
{
    static const double bounds[] = {1};
    struct pl_meter *m;

    (void)state;
    pl_meters_common(NULL, "run", "x");
    m = pl_meters_counter(NULL, "a_total", "A.", NULL);
    assert_null(m);
    assert_null(pl_meters_gauge(NULL, "a", "A.", NULL));
    assert_null(pl_meters_histogram(NULL, "a", "A.", bounds, 1, NULL));
    pl_meter_add(m, 1);
    pl_meter_rise(m, 1);
    pl_meter_set(m, 1);
    pl_meter_unset(m);
    pl_meter_see(m, 1);
    pl_meters_fill(NULL, NULL, NULL);
    pl_meters_forget(NULL, NULL, NULL);
    pl_meters_destroy(NULL);
}

static void count_up(void *at)
{
    pl_meter_add(at, 1);
}

static void fills_are_called_until_they_are_forgotten(void **state)
{
    struct pl_meter *a = pl_meters_counter(meters, "a_total", "A.", NULL);
    struct pl_meter *b = pl_meters_counter(meters, "b_total", "B.", NULL);

    (void)state;
    pl_meters_fill(meters, count_up, a);
    pl_meters_fill(meters, count_up, b);
    assert_non_null(strstr(text(), "\na_total 1\n"));
    pl_meters_forget(meters, count_up, a);
    assert_non_null(strstr(text(), "\na_total 1\n"));
    assert_non_null(strstr(text(), "\nb_total 3\n"));
}

static void too_little_room_is_an_error(void **state)
{
    struct pl_buf buf;

    (void)state;
    pl_meter_set(pl_meters_gauge(meters, "a", "A.", NULL), 1);
    pl_buf_init(&buf, 20);
    assert_int_equal(pl_meters_print(meters, &buf), PL_EFULL);
    pl_buf_release(&buf);
}

enum { THREADS = 4, TIMES = 20000 };

static void *hammer(void *at)
{
    struct pl_meter *const *both = at;

    for (int i = 0; i < TIMES; i++) {
        pl_meter_add(both[0], 1);
        pl_meter_see(both[1], i % 2);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    static const double bounds[] = {0, 1};
    struct pl_meter *both[] = {pl_meters_counter(meters, "a_total", "A.", NULL),
                               pl_meters_histogram(meters, "b", "B.", bounds, 2, NULL)};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, both), 0);
    for (int i = 0; i < 20; i++)
        (void)text();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_non_null(strstr(text(), "\na_total 80000\n"));
    assert_non_null(strstr(text(), "b_bucket{le=\"0\"} 40000\nb_bucket{le=\"1\"} 80000\n"));
    assert_non_null(strstr(text(), "\nb_sum 40000\nb_count 80000\n"));
}

static double value_of(const char *name)
{
    const char *at = strstr(text(), name);

    assert_non_null(at);
    at = strstr(at + 1, name); /* behind HELP and TYPE */
    at = strstr(at + 1, name);
    return strtod(at + strlen(name), NULL);
}

static void what_a_process_takes(void **state)
{
    struct pl_process_meters process;
    const double now = (double)time(NULL);
    volatile double busy = 0.0;

    (void)state;
    pl_process_meters_make(&process, meters);
    pl_meters_fill(meters, pl_process_meters_fill, &process);
    for (int i = 0; i < 100000000; i++)
        busy = busy + i;
    assert_true(value_of("process_cpu_seconds_total") > 0.02);
    assert_true(value_of("process_cpu_seconds_total") < 600.0);
    assert_true(value_of("process_resident_memory_bytes") > 1e6);
    assert_true(value_of("process_virtual_memory_bytes") >
                value_of("process_resident_memory_bytes"));
    assert_true(value_of("process_open_fds") >= 3);
    assert_true(value_of("process_max_fds") > value_of("process_open_fds"));
    assert_true(value_of("process_threads") >= 1); /* a sanitizer has one of its own */
    assert_true(fabs(value_of("process_start_time_seconds") - now) < 600.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind_as_the_format_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(values_that_are_not_finite_and_all_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(label_values_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_known_is_not_shown, setup, teardown),
        cmocka_unit_test(without_meters_nothing_is_done),
        cmocka_unit_test_setup_teardown(fills_are_called_until_they_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(too_little_room_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_process_takes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
