/* The list between an actor's I/O thread and its engine: what is begun when, what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/errand.h"

#include <stdio.h>
#include <stdlib.h>

static const struct pl_life life; /* of no run */
static struct pl_errands list;

static int begin_list(void **state)
{
    (void)state;
    pl_errands_init(&list);
    return 0;
}

static int end_list(void **state)
{
    (void)state;
    pl_errands_release(&list);
    return 0;
}

static struct pl_errand *add(unsigned entry, uint64_t version)
{
    struct pl_errand *e = calloc(1, sizeof *e);

    assert_non_null(e);
    snprintf(e->lease.entry, sizeof e->lease.entry, "%u-0", entry);
    e->group.version = version;
    e->group.samples = 4;
    e->begun = true;
    pl_errands_add(&list, e);
    return e;
}

static void versions_come_in_turn(void **state)
{
    (void)state;
    assert_int_equal(pl_errands_version(&list, 0), 0);
    add(1, 7);
    add(2, 5);
    add(3, 7);
    assert_int_equal(pl_errands_version(&list, 0), 5);
    assert_int_equal(pl_errands_version(&list, 5), 7);
    assert_int_equal(pl_errands_version(&list, 7), 5); /* from the start again */
}

static void the_first_of_a_version_is_begun_whatever_is_before_it(void **state)
{
    struct pl_errand *first, *second;

    (void)state;
    add(1, 7);
    first = add(2, 5);
    second = add(3, 5);
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), first);
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), second);
    assert_null(pl_errands_begin(&list, &life, 5, false));
    assert_int_equal(pl_errands_version(&list, 0), 7); /* what runs asks for nothing */
    assert_int_equal(list.count, 3);
    pl_errands_done(&list, first);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.samples, 8);
    assert_ptr_equal(pl_errands_take(&list, PL_ERRAND_DONE), first);
    pl_errand_destroy(first);
}

/* Nothing runs before the queues know that it was begun. */
static void what_is_not_begun_is_asked_for(void **state)
{
    struct pl_errand *e, *other, *later;
    uint64_t changes;

    (void)state;
    e = add(1, 5);
    other = add(2, 5);
    later = add(3, 6);
    e->begun = other->begun = later->begun = false;
    assert_true(pl_errands_waiting(&list));
    assert_false(pl_errands_asking(&list));
    assert_null(pl_errands_begin(&list, &life, 5, false));
    assert_true(pl_errands_asking(&list));
    changes = pl_errands_changes(&list);
    assert_null(pl_errands_begin(&list, &life, 5, false)); /* once is enough */
    assert_int_equal(pl_errands_changes(&list), changes);
    assert_ptr_equal(pl_errands_unbegun(&list, 5), e);
    pl_errands_begun(&list, e);
    assert_ptr_equal(pl_errands_unbegun(&list, 5), other);
    assert_true(pl_errands_drop(&list, other)); /* it is another's */
    assert_null(pl_errands_unbegun(&list, 5));
    assert_false(pl_errands_asking(&list));
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), e);
    assert_null(pl_errands_begin(&list, &life, 5, false));
    assert_false(pl_errands_asking(&list));
    assert_true(pl_errands_waiting(&list)); /* the later one */
}

static void what_is_refused_can_be_taken_and_is_not_begun(void **state)
{
    struct pl_errand *running, *e;

    (void)state;
    running = add(1, 5);
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), running);
    add(2, 5);
    add(3, 6);
    add(4, 5);
    assert_int_equal(pl_errands_refuse(&list, 5), 2);
    assert_null(pl_errands_begin(&list, &life, 5, false));
    for (int left = 2; (e = pl_errands_take(&list, PL_ERRAND_REFUSED)); left--) {
        assert_int_equal(e->group.version, 5);
        assert_int_equal(list.count, left + 1);
        pl_errand_destroy(e);
    }
    assert_int_equal(list.count, 2);
    assert_int_equal(running->state, PL_ERRAND_RUNNING);
}

static struct pl_errand *add_newest(unsigned entry, uint64_t least)
{
    struct pl_errand *e = add(entry, least);

    e->group.newest = true;
    return e;
}

/* What wants the newest takes any version from its least one on, and asks for none by itself. */
static void what_wants_the_newest_takes_any_that_is_not_too_old(void **state)
{
    struct pl_errand *fresh, *old, *pinned;

    (void)state;
    fresh = add_newest(1, 7);
    old = add_newest(2, 3);
    assert_int_equal(pl_errands_least(&list), 3);
    assert_int_equal(pl_errands_version(&list, 0), 0);
    assert_false(pl_errands_pinned(&list));
    pinned = add(3, 5);
    assert_true(pl_errands_pinned(&list));
    assert_int_equal(pl_errands_version(&list, 0), 5);
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, true),
                     pinned); /* before those that came first */
    assert_null(pl_errands_begin(&list, &life, 5, true));
    assert_true(pl_errands_pinned(&list)); /* it runs */
    assert_ptr_equal(pl_errands_begin(&list, &life, 6, false), old);
    assert_null(pl_errands_begin(&list, &life, 6, false));
    assert_int_equal(pl_errands_least(&list), 7);
    assert_int_equal(pl_errands_refuse(&list, 6), 0);
    assert_ptr_equal(pl_errands_begin(&list, &life, 9, false), fresh);
    assert_int_equal(pl_errands_least(&list), 0);
    pl_errands_done(&list, pinned);
    assert_false(pl_errands_pinned(&list));
    add_newest(4, 8);
    assert_int_equal(pl_errands_refuse(&list, 8), 1); /* that version would have done */
}

static void a_lost_lease_is_dropped_unless_it_is_begun(void **state)
{
    struct pl_errand *running, *waiting;

    (void)state;
    running = add(1, 5);
    waiting = add(2, 6);
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), running);
    assert_true(pl_errands_has(&list, &(struct pl_lease){.entry = "2-0"}));
    assert_false(pl_errands_drop(&list, running));
    assert_true(pl_errands_drop(&list, waiting));
    assert_false(pl_errands_has(&list, &(struct pl_lease){.entry = "2-0"}));
    assert_true(pl_errands_has(&list, &(struct pl_lease){.entry = "1-0"}));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.samples, 4);
}

/* A change between the look and the wait: it must not be slept through. */
static void a_wait_sees_what_came_before_it(void **state)
{
    const uint64_t seen = pl_errands_changes(&list);

    (void)state;
    add(1, 5);
    pl_errands_wait(&list, seen, 3600 * 1000); /* the test's time-out tells */
    pl_errands_wait(&list, pl_errands_changes(&list), 1);
    pl_errands_stop(&list, false);
    assert_true(list.stop && !list.failed);
    assert_int_not_equal(pl_errands_changes(&list), seen + 1);
}

/* What is of another life of the run: what is leased is refused, the jobs of what runs come up. */
static void what_is_outlived_goes(void **state)
{
    static const struct pl_life next = {"00112233445566778899aabbccddeeff", 2};
    struct pl_errand *running = add(1, 5), *leased = add(2, 5), *fresh = add(3, 5);
    int job;

    (void)state;
    fresh->group.life = next;
    assert_ptr_equal(pl_errands_begin(&list, &life, 5, false), running);
    running->job = (struct pl_job *)(void *)&job;
    assert_ptr_equal(pl_errands_outlived(&list, &next), (struct pl_job *)(void *)&job);
    assert_null(pl_errands_outlived(&list, &next));
    assert_ptr_equal(pl_errands_take(&list, PL_ERRAND_REFUSED), running);
    assert_ptr_equal(pl_errands_take(&list, PL_ERRAND_REFUSED), leased);
    assert_null(pl_errands_take(&list, PL_ERRAND_REFUSED));
    assert_null(pl_errands_begin(&list, &life, 5, false)); /* it is not of that life */
    assert_ptr_equal(pl_errands_begin(&list, &next, 5, false), fresh);
    pl_errand_destroy(leased);
    pl_errand_destroy(running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_come_in_turn, begin_list, end_list),
        cmocka_unit_test_setup_teardown(the_first_of_a_version_is_begun_whatever_is_before_it,
                                        begin_list, end_list),
        cmocka_unit_test_setup_teardown(what_is_not_begun_is_asked_for, begin_list, end_list),
        cmocka_unit_test_setup_teardown(what_is_refused_can_be_taken_and_is_not_begun, begin_list,
                                        end_list),
        cmocka_unit_test_setup_teardown(what_wants_the_newest_takes_any_that_is_not_too_old,
                                        begin_list, end_list),
        cmocka_unit_test_setup_teardown(a_lost_lease_is_dropped_unless_it_is_begun, begin_list,
                                        end_list),
        cmocka_unit_test_setup_teardown(a_wait_sees_what_came_before_it, begin_list, end_list),
        cmocka_unit_test_setup_teardown(what_is_outlived_goes, begin_list, end_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
