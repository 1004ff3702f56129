/* Checksums of a folder: every byte of every file counts, and so does every byte of the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/model/checksums.h"
#include "tests/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pl_error err;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static const char *const names[] = {"a.json", "b.bin", "critic/c.bin", "empty"};

static const char *make_folder(void)
{
    const char *dir = pl_scratch("folder");

    if (pl_path_exists(dir))
        must(pl_dir_remove(dir, &err));
    must(pl_dir_make(pl_scratch_in(dir, "critic"), &err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        pl_scratch_write(pl_scratch_in(dir, names[i]), "0123456789", i == 3 ? 0 : 3 + i);
    must(pl_checksums_write(dir, &err));
    return dir;
}

static int check(const char *dir, bool want_there)
{
    bool there = false;
    const int rc = pl_checksums_check(dir, &there, &err);

    if (rc == PL_OK)
        assert_int_equal(there, want_there);
    return rc;
}

static void a_folder_is_as_it_was_written(void **state)
{
    const char *dir = make_folder();
    char *text;
    size_t len;

    (void)state;
    must(check(dir, true));
    text = pl_scratch_read(pl_scratch_in(dir, PL_CHECKSUMS_FILE), &len);
    assert_non_null(strstr(text, "# 4 files\n"));
    assert_non_null(strstr(text, "  critic/c.bin\n"));
    free(text);
    pl_scratch_text(pl_scratch_in(dir, "mine"), "notes"); /* what is not named may come and go */
    must(check(dir, true));
    unlink(pl_scratch_in(dir, PL_CHECKSUMS_FILE));
    must(check(dir, false));
}

static void a_file_that_is_gone_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *dir = make_folder();

        assert_int_equal(unlink(pl_scratch_in(dir, names[i])), 0);
        assert_int_equal(check(dir, true), PL_EFORMAT);
        assert_non_null(strstr(err.text, names[i]));
        assert_non_null(strstr(err.text, "is missing"));
    }
}

/* Each bit of each file, each byte less, and one more. */
static void nothing_may_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i <= sizeof names / sizeof names[0]; i++) {
        const bool is_list = i == sizeof names / sizeof names[0];
        const char *dir = make_folder();
        const char *path = pl_scratch_in(dir, is_list ? PL_CHECKSUMS_FILE : names[i]);
        size_t len;
        char *bytes = pl_scratch_read(path, &len);

        for (size_t bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            pl_scratch_write(path, bytes, len);
            if (check(dir, true) != PL_EFORMAT || !strstr(err.text, dir))
                fail_msg("'%s', bit %zu: %s", path, bit, err.text);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        }
        for (size_t cut = 0; cut < len; cut++) {
            pl_scratch_write(path, bytes, cut);
            assert_int_equal(check(dir, true), PL_EFORMAT);
        }
        bytes = realloc(bytes, len + 1);
        bytes[len] = 'x';
        pl_scratch_write(path, bytes, len + 1);
        assert_int_equal(check(dir, true), PL_EFORMAT);
        pl_scratch_write(path, bytes, len);
        must(check(dir, true));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_as_it_was_written),
        cmocka_unit_test(a_file_that_is_gone_is_named),
        cmocka_unit_test(nothing_may_differ),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
