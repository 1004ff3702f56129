/* board DIR: what TensorBoard shows of a folder, a line each: step, tag, value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/board.h"

#include <inttypes.h>
#include <stdio.h>

static const char *folder;

static void print_points(void **state)
{
    const struct pl_test_board board = pl_test_board_read(folder);

    (void)state;
    for (size_t i = 0; i < board.count; i++)
        printf("%" PRId64 " %s %.6g\n", board.points[i].step, board.points[i].tag,
               (double)board.points[i].value);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(print_points)};

    if (argc != 2) {
        fprintf(stderr, "Usage: board DIR\n");
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
