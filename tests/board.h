/*
 * TensorBoard's events, read back by a reader of the tests' own, which goes by the formats alone:
 * records with their checksums, the messages' wire format, and what a start takes back. Included
 * after cmocka's headers; whatever is wrong in a file fails the test.
 */
#ifndef PL_TESTS_BOARD_H
#define PL_TESTS_BOARD_H

#include <stddef.h>
#include <stdint.h>

enum { PL_TEST_POINTS_MAX = 256 };

struct pl_test_point {
    int64_t step;
    char tag[64];
    float value;
};

/* What a reader knows after all files of a folder. */
struct pl_test_board {
    struct pl_test_point points[PL_TEST_POINTS_MAX];
    size_t count, files, starts;
};

/* All files of events in a folder, in the order of their names. */
struct pl_test_board pl_test_board_read(const char *folder);

#endif
