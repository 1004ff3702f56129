/* Which version drew which tokens of a group whose weights were changed while it grew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/lineage.h"
#include "common/base/err.h"

enum { LEN = 5 };

static void is(const struct pl_lineage *l, size_t sample, size_t len, uint64_t last,
               const uint64_t *want, size_t count)
{
    uint64_t got[LEN];

    assert_int_equal(pl_lineage_versions(l, sample, len, last, got), count);
    assert_memory_equal(got, want, count * sizeof *want);
}

static void tokens_have_the_version_that_drew_them(void **state)
{
    struct pl_lineage l = {0};

    (void)state;
    /* of three samples the first grows on, the second ended early, the third began late */
    assert_int_equal(pl_lineage_add(&l, 3, 3, (const size_t[]){2, 2, 0}), PL_OK);
    assert_int_equal(pl_lineage_add(&l, 4, 3, (const size_t[]){3, 2, 0}), PL_OK);
    is(&l, 0, 5, 7, (const uint64_t[]){3, 3, 4, 7, 7}, 5);
    is(&l, 1, 2, 7, (const uint64_t[]){3}, 1); /* one for all */
    is(&l, 2, 4, 7, (const uint64_t[]){7}, 1);
    is(&l, 0, 3, 7, (const uint64_t[]){3, 3, 4}, 3); /* it ended as the second change came */
    pl_lineage_release(&l);
    pl_lineage_release(&l); /* twice is harmless */
}

static void without_a_change_there_is_one_version(void **state)
{
    const struct pl_lineage l = {0};

    (void)state;
    is(&l, 0, 1, 9, (const uint64_t[]){9}, 1);
    is(&l, 4, 5, 9, (const uint64_t[]){9}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_have_the_version_that_drew_them),
        cmocka_unit_test(without_a_change_there_is_one_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
