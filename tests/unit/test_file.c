/* Files read whole, mapped, replaced whole or not at all; directories made and removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/plait-test-file-XXXXXX";
static struct pl_error err;

/* A path in the test's directory, good until the fourth call after it. */
static const char *in_dir(const char *name)
{
    static char paths[4][200];
    static size_t next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *bytes, size_t len)
{
    FILE *f = fopen(in_dir(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void assert_file(const char *name, const char *want)
{
    char *data = NULL;
    size_t len = 99;

    assert_int_equal(pl_file_read(in_dir(name), 1000, &data, &len, &err), PL_OK);
    assert_int_equal(len, strlen(want));
    assert_string_equal(data, want);
    free(data);
}

/* The sentence is: before, the path of `name`, after. */
static void assert_says(const char *before, const char *name, const char *after)
{
    char want[600];

    snprintf(want, sizeof want, "%s%s%s", before, in_dir(name), after);
    assert_string_equal(err.text, want);
}

static void whole_files_are_read(void **state)
{
    (void)state;
    char *data = NULL;
    size_t len = 0;

    write_file("nul", "a\0b", 3);
    assert_int_equal(pl_file_read(in_dir("nul"), 3, &data, &len, &err), PL_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 4);
    free(data);
    data = NULL;
    write_file("empty", "", 0);
    assert_file("empty", "");
    assert_int_equal(pl_file_read(in_dir("nul"), 2, &data, &len, &err), PL_EFORMAT);
    assert_says("'", "nul", "' has 3 bytes, more than the 2 expected at most");
    assert_int_equal(pl_file_read(in_dir("none"), 9, &data, &len, &err), PL_ENOENT);
    assert_says("open '", "none", "': No such file or directory");
    assert_int_equal(pl_file_read(dir, 9, &data, &len, &err), PL_EFORMAT);
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0); /* does not wait for a writer */
    assert_int_equal(pl_file_read(in_dir("pipe"), 9, &data, &len, &err), PL_EFORMAT);
    assert_says("'", "pipe", "' is not a regular file");
    assert_null(data);
    assert_int_equal(unlink(in_dir("pipe")), 0);
}

static void files_are_mapped(void **state)
{
    (void)state;
    struct pl_map map = {0};

    pl_map_close(&map); /* zeroed is fine */
    write_file("map", "mapped", 6);
    assert_int_equal(pl_map_open(in_dir("map"), &map, &err), PL_OK);
    assert_int_equal(map.len, 6);
    assert_memory_equal(map.data, "mapped", 6);
    pl_map_close(&map);
    assert_null(map.data);
    write_file("map", "", 0);
    assert_int_equal(pl_map_open(in_dir("map"), &map, &err), PL_OK);
    assert_null(map.data);
    assert_int_equal(map.len, 0);
    pl_map_close(&map);
    assert_int_equal(pl_map_open(in_dir("none"), &map, &err), PL_ENOENT);
    assert_int_equal(pl_map_open(dir, &map, &err), PL_EFORMAT);
}

static void a_file_is_replaced_whole(void **state)
{
    (void)state;
    struct pl_outfile out;

    write_file("out", "old", 3);
    assert_int_equal(pl_outfile_open(in_dir("out"), &out, &err), PL_OK);
    assert_int_equal(pl_outfile_write(&out, "new ", 4, &err), PL_OK);
    assert_int_equal(pl_outfile_write(&out, NULL, 0, &err), PL_OK);
    assert_true(fprintf(out.stream, "%d", 7) > 0);
    assert_file("out", "old"); /* until it is committed */
    assert_true(pl_path_exists(in_dir("out.tmp")));
    assert_int_equal(pl_outfile_commit(&out, &err), PL_OK);
    assert_file("out", "new 7");
    assert_false(pl_path_exists(in_dir("out.tmp")));
    assert_null(out.stream);
    assert_null(out.path);
    pl_outfile_abort(&out); /* committed is fine */

    assert_int_equal(pl_outfile_open(in_dir("out"), &out, &err), PL_OK);
    assert_int_equal(pl_outfile_write(&out, "worse", 5, &err), PL_OK);
    pl_outfile_abort(&out);
    assert_file("out", "new 7");
    assert_false(pl_path_exists(in_dir("out.tmp")));
    pl_outfile_abort(&out);
    memset(&out, 0, sizeof out);
    pl_outfile_abort(&out);
}

static void what_cannot_be_written_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit unlimited, small;
    struct pl_outfile out;
    char block[4096] = {0};

    assert_int_equal(pl_outfile_open(in_dir("no/such"), &out, &err), PL_ENOENT);
    assert_says("open '", "no/such", ".tmp' for writing: No such file or directory");
    assert_int_equal(pl_outfile_open(in_dir(""), &out, &err), PL_EFORMAT); /* a directory's name */
    assert_false(pl_path_exists(in_dir(".tmp")));

    /* a full disk, as a limit on the size of files */
    write_file("full", "old", 3);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small = unlimited;
    small.rlim_cur = 6000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(pl_outfile_open(in_dir("full"), &out, &err), PL_OK);
    for (size_t i = 0; i < 4; i++)
        (void)pl_outfile_write(&out, block, sizeof block, &err); /* may only show in the end */
    err.text[0] = '\0';
    const int rc = pl_outfile_commit(&out, &err);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(rc, PL_EIO);
    assert_memory_equal(err.text, "write '", 7);
    assert_file("full", "old");
    assert_false(pl_path_exists(in_dir("full.tmp")));
}

static void directories_are_made_and_removed(void **state)
{
    (void)state;
    struct stat st;

    assert_int_equal(pl_dir_make(in_dir("a/b//c/"), &err), PL_OK);
    assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(pl_dir_make(in_dir("a/b/c"), &err), PL_OK); /* there already */
    assert_int_equal(pl_dir_make("/", &err), PL_OK);
    assert_int_equal(pl_dir_make("", &err), PL_ENOENT);
    write_file("a/file", "x", 1);
    assert_int_equal(pl_dir_make(in_dir("a/file"), &err), PL_EIO);
    assert_says("'", "a/file", "' is there and is not a directory");
    assert_int_equal(pl_dir_make(in_dir("a/file/b"), &err), PL_EIO);
    assert_int_equal(pl_dir_sync(in_dir("a"), &err), PL_OK);
    assert_int_equal(pl_dir_sync(in_dir("none"), &err), PL_ENOENT);
    assert_int_equal(pl_dir_sync(in_dir("a/file"), &err), PL_EIO);

    write_file("kept", "kept", 4);
    assert_int_equal(symlink(in_dir("kept"), in_dir("a/b/link")), 0);
    assert_int_equal(symlink("..", in_dir("a/b/up")), 0);
    assert_int_equal(pl_dir_remove(in_dir("a"), &err), PL_OK);
    assert_false(pl_path_exists(in_dir("a")));
    assert_file("kept", "kept"); /* links are not followed */
    assert_int_equal(pl_dir_remove(in_dir("a"), &err), PL_OK);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return pl_dir_remove(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_are_read),
        cmocka_unit_test(files_are_mapped),
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(what_cannot_be_written_leaves_nothing),
        cmocka_unit_test(directories_are_made_and_removed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
