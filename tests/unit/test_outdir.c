/* Folders that show up whole or not at all, in the place of an old one too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "common/base/file.h"
#include "common/model/outdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pl_error err;

/* A file system that cannot exchange two names: what renameat2() says there. */
static int exchange_fails_with;

int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (!exchange_fails_with)
        return __real_renameat2(from_dir, from, to_dir, to, flags);
    errno = exchange_fails_with;
    return -1;
}

static void begin(const char *path, bool replace, struct pl_outdir *out)
{
    if (pl_outdir_open(path, replace, out, &err) < 0)
        fail_msg("%s", err.text);
}

/* A folder with one file that holds `text`. */
static void save(const char *path, bool replace, const char *text)
{
    struct pl_outdir out;

    begin(path, replace, &out);
    pl_scratch_text(pl_scratch_in(out.tmp, "file"), text);
    if (pl_outdir_commit(&out, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(!out.path && !out.tmp);
    pl_outdir_abort(&out); /* harmless */
}

static void assert_holds(const char *path, const char *text)
{
    size_t len = 0;
    char *got = pl_scratch_read(pl_scratch_in(path, "file"), &len);

    assert_string_equal(got, text);
    free(got);
}

/* Nothing lies beside the folder that should not. */
static void assert_clean(const char *name)
{
    char beside[200];

    snprintf(beside, sizeof beside, "%s.tmp", name);
    assert_false(pl_path_exists(pl_scratch(beside)));
    snprintf(beside, sizeof beside, "%s.old", name);
    assert_false(pl_path_exists(pl_scratch(beside)));
}

static void a_new_folder_shows_up_when_it_is_whole(void **state)
{
    struct pl_outdir out;

    (void)state;
    begin(pl_scratch("deep/er/new"), false, &out);
    assert_false(pl_path_exists(pl_scratch("deep/er/new")));
    assert_true(pl_path_exists(out.tmp));
    pl_scratch_text(pl_scratch_in(out.tmp, "file"), "1");
    assert_int_equal(pl_outdir_commit(&out, &err), PL_OK);
    assert_holds(pl_scratch("deep/er/new"), "1");
    assert_clean("deep/er/new");
    save(pl_scratch("slashes//"), false, "2"); /* beside it, not in it */
    assert_holds(pl_scratch("slashes"), "2");
    assert_clean("slashes");
}

static void an_abort_leaves_nothing(void **state)
{
    struct pl_outdir out;

    (void)state;
    begin(pl_scratch("aborted"), false, &out);
    pl_scratch_text(pl_scratch_in(out.tmp, "file"), "1");
    pl_outdir_abort(&out);
    pl_outdir_abort(&out);
    assert_false(pl_path_exists(pl_scratch("aborted")));
    assert_clean("aborted");
}

static void an_old_folder_is_replaced_only_on_request(void **state)
{
    const char *path = pl_scratch("old");
    struct pl_outdir out = {0};

    (void)state;
    save(path, false, "1");
    assert_int_equal(pl_outdir_open(path, false, &out, &err), PL_EINVAL);
    pl_assert_says(&err, "'$/old' is there already");
    assert_null(out.tmp);
    save(path, true, "2");
    assert_holds(path, "2");
    assert_clean("old");
    begin(path, true, &out);
    pl_scratch_text(pl_scratch_in(out.tmp, "file"), "3");
    pl_outdir_abort(&out);
    assert_holds(path, "2");              /* as it was */
    save(pl_scratch("fresh"), true, "1"); /* nothing there to replace */
    assert_holds(pl_scratch("fresh"), "1");
}

/* The path may be relative: the exchange of names must see it from here. */
static void relative_paths(void **state)
{
    char here[500];

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(pl_scratch("")), 0);
    save("relative", false, "1");
    save("relative", true, "2");
    assert_holds("relative", "2");
    assert_int_equal(chdir(here), 0);
    assert_clean("relative");
}

static void where_names_cannot_be_exchanged(void **state)
{
    const char *path = pl_scratch("steps");
    struct pl_outdir out;

    (void)state;
    save(path, false, "1");
    exchange_fails_with = EINVAL;
    save(path, true, "2");
    assert_holds(path, "2");
    assert_clean("steps");
    exchange_fails_with = EACCES; /* any other failure is one */
    begin(path, true, &out);
    assert_int_equal(pl_outdir_commit(&out, &err), PL_EIO);
    pl_assert_says(&err, "exchange '$/steps.tmp' and '$/steps': Permission denied");
    exchange_fails_with = 0;
    assert_holds(path, "2");
    assert_clean("steps");
}

/* What somebody who died left is in nobody's way. */
static void leftovers_are_removed(void **state)
{
    const char *path = pl_scratch("left");

    (void)state;
    assert_int_equal(pl_dir_make(pl_scratch("left.tmp/sub"), &err), PL_OK);
    pl_scratch_text(pl_scratch("left.tmp/sub/x"), "x");
    save(path, false, "1");
    assert_false(pl_path_exists(pl_scratch("left/sub")));
    assert_clean("left");
}

static void what_is_no_folder_is_refused(void **state)
{
    struct pl_outdir out = {0};

    (void)state;
    pl_scratch_text(pl_scratch("plain"), "x");
    assert_int_equal(pl_outdir_open(pl_scratch("plain"), true, &out, &err), PL_EINVAL);
    pl_assert_says(&err, "'$/plain' is there already and is not a directory");
    assert_int_equal(symlink("nowhere", pl_scratch("link")), 0);
    assert_int_equal(pl_outdir_open(pl_scratch("link"), true, &out, &err), PL_EINVAL);
    pl_assert_says(&err, "'$/link' is there already and is not a directory");
    assert_int_equal(pl_outdir_open("", false, &out, &err), PL_EINVAL);
    assert_string_equal(err.text, "the name of the folder to write is empty");
    assert_int_equal(pl_outdir_open(pl_scratch("plain/sub"), false, &out, &err), PL_EIO);
    assert_null(out.tmp);
}

/* Somebody else was faster: theirs stays. */
static void a_folder_that_came_meanwhile_stays(void **state)
{
    const char *path = pl_scratch("race");
    struct pl_outdir out;

    (void)state;
    begin(path, false, &out);
    assert_int_equal(pl_dir_make(path, &err), PL_OK);
    pl_scratch_text(pl_scratch_in(path, "file"), "theirs");
    assert_int_equal(pl_outdir_commit(&out, &err), PL_EIO);
    pl_assert_says(&err, "rename '$/race.tmp' to '$/race': Directory not empty");
    assert_holds(path, "theirs");
    assert_clean("race");
}

static void files_are_copied(void **state)
{
    const char *from = pl_scratch("from"), *to = pl_scratch("to");
    bool copied = false;

    (void)state;
    assert_int_equal(pl_dir_make(from, &err), PL_OK);
    assert_int_equal(pl_dir_make(to, &err), PL_OK);
    pl_scratch_text(pl_scratch_in(from, "file"), "text");
    assert_int_equal(pl_file_copy(from, to, "file", &copied, &err), PL_OK);
    assert_true(copied);
    assert_holds(to, "text");
    assert_int_equal(pl_file_copy(from, to, "none", &copied, &err), PL_OK);
    assert_false(copied);
    assert_int_equal(pl_file_copy(from, to, "none", NULL, &err), PL_OK);
    assert_int_equal(pl_dir_make(pl_scratch_in(from, "folder"), &err), PL_OK);
    assert_int_equal(pl_file_copy(from, to, "folder", &copied, &err), PL_EFORMAT);
    pl_assert_says(&err, "'$/from/folder' is not a regular file");
    assert_int_equal(pl_file_copy(from, pl_scratch("no"), "file", &copied, &err), PL_ENOENT);
    pl_assert_says(&err, "open '$/no/file.tmp' for writing: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_shows_up_when_it_is_whole),
        cmocka_unit_test(an_abort_leaves_nothing),
        cmocka_unit_test(an_old_folder_is_replaced_only_on_request),
        cmocka_unit_test(relative_paths),
        cmocka_unit_test(where_names_cannot_be_exchanged),
        cmocka_unit_test(leftovers_are_removed),
        cmocka_unit_test(what_is_no_folder_is_refused),
        cmocka_unit_test(a_folder_that_came_meanwhile_stays),
        cmocka_unit_test(files_are_copied),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
