/*
 * A folder of a test's own under $TMPDIR or /tmp, and files in it. Included after cmocka's headers;
 * whatever fails here fails the test.
 */
#ifndef PL_TESTS_SCRATCH_H
#define PL_TESTS_SCRATCH_H

#include <stddef.h>

/* Group setup and teardown: the folder is made, and removed with all that is in it. */
int pl_scratch_setup(void **state);
int pl_scratch_teardown(void **state);

/* The path of `name` in the folder ("" is the folder), good until teardown. */
const char *pl_scratch(const char *name);

/* The path of `name` in any folder, as long. */
const char *pl_scratch_in(const char *dir, const char *name);

void pl_scratch_write(const char *path, const void *bytes, size_t len);
void pl_scratch_text(const char *path, const char *text);

/* The whole file, from malloc(). */
char *pl_scratch_read(const char *path, size_t *ret_len);

void pl_scratch_copy(const char *from, const char *to); /* files */

/* err->text is `want`, in which every '$' stands for the scratch folder. */
#define pl_assert_says(err, want) pl_scratch_says((err)->text, want, __FILE__, __LINE__)
void pl_scratch_says(const char *text, const char *want, const char *file, int line);

#endif
