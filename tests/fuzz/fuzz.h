/*
 * What fuzz targets share. A target is a file fuzz_NAME.c with one function, which libFuzzer
 * (-Dfuzz=true) or replay.c calls with one input after the other:
 *
 *   int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *
 * It hands the bytes to a reader and asserts, with PL_ASSERT, what must hold of whatever came out;
 * and it says whether the reader took the bytes, so that seeds called good-* and bad-* are tests of
 * the reader as well. The bytes lie in memory of exactly their size: reading past them is found.
 */
#ifndef PL_TESTS_FUZZ_H
#define PL_TESTS_FUZZ_H

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The verdict on this input; the last call counts. replay.c holds it against the seed's name. */
void pl_fuzz_taken(bool taken);
bool pl_fuzz_was_taken(void);
const char *pl_fuzz_why(void); /* the last sentence of pl_fuzz_refused() */

/*
 * An error as err.h promises it: rc is one of `codes` (PL_FUZZ_CODE(PL_EFORMAT) | ...) and stands
 * in err, whose text is one line of well-formed UTF-8 without control characters. Also says that
 * the input was not taken.
 */
#define PL_FUZZ_CODE(code) (1u << -(code))
void pl_fuzz_refused(int rc, const struct pl_error *err, unsigned codes);

/* What is left of an input; the calls below take from the front. */
struct pl_fuzz_in {
    const uint8_t *data;
    size_t size;
};
uint8_t pl_fuzz_byte(struct pl_fuzz_in *in); /* 0 at the end */
/* Up to `mark`, which is taken as well, or to the end. */
struct pl_fuzz_in pl_fuzz_cut(struct pl_fuzz_in *in, uint8_t mark);
/* As a string that ends at the first NUL, from malloc(). */
char *pl_fuzz_string(struct pl_fuzz_in piece);

/* A folder for files of this process, in memory where there is /dev/shm; removed at the end. */
const char *pl_fuzz_dir(void);
/* DIR/name, from malloc(). */
char *pl_fuzz_path(const char *name);
/* Write DIR/name, making the folders it is in. */
void pl_fuzz_write(const char *name, const void *data, size_t size);

/*
 * An input that is several files, each behind a line "=== NAME"; the newline before such a line
 * belongs to it. Of the n names those that the input has are written into the folder and the others
 * removed; other names are passed over.
 */
void pl_fuzz_unpack(struct pl_fuzz_in in, const char *const *names, size_t n);

#endif
