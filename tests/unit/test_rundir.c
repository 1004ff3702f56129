/* The folder of a run: who may begin in it, which checkpoint counts, what dead processes leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "learner/rundir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* What a server of files says in place of a lock; 0: the lock is taken. */
static int no_lock;

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation)
{
    if (no_lock == 0)
        return __real_flock(fd, operation);
    errno = no_lock;
    return -1;
}

static char base[64], run[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/plait-rundir-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(run, sizeof run, "%s/a/run", base);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return pl_dir_remove(base, NULL);
}

static char *in_run(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", run, name);
    return path;
}

static bool is_there(const char *name)
{
    return pl_path_exists(in_run(name));
}

static void put(const char *name, const char *text)
{
    FILE *out = fopen(in_run(name), "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static struct pl_rundir open_run(bool resume)
{
    struct pl_rundir dir = {.lock = -1};
    struct pl_error err = {0};

    if (pl_rundir_open(run, resume, &dir, &err) != PL_OK)
        print_error("%s\n", err.text);
    assert_non_null(dir.path);
    return dir;
}

static void assert_refused(bool resume, const char *sentence)
{
    struct pl_rundir dir;
    struct pl_error err = {0};

    assert_int_equal(pl_rundir_open(run, resume, &dir, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, sentence));
    assert_non_null(strstr(err.text, run));
}

/* A checkpoint that holds one file with `text`. */
static void checkpoint(const struct pl_rundir *dir, uint64_t step, const char *text)
{
    struct pl_outdir out;
    char name[128];

    assert_int_equal(pl_rundir_begin(dir, step, &out, NULL), PL_OK);
    snprintf(name, sizeof name, "checkpoints/global_step_%d.tmp/file", (int)step);
    put(name, text);
    assert_int_equal(pl_rundir_commit(dir, step, &out, NULL), PL_OK);
}

static void assert_latest(const char *name)
{
    char *found = NULL;
    struct pl_error err = {0};

    assert_int_equal(pl_rundir_latest(run, &found, &err), PL_OK);
    if (name)
        assert_string_equal(found, in_run(name));
    else
        assert_null(found);
    free(found);
}

static void assert_file(const char *name, const char *text)
{
    char *found = NULL;
    size_t len;

    assert_int_equal(pl_file_read(in_run(name), 1000, &found, &len, NULL), PL_OK);
    assert_string_equal(found, text);
    free(found);
}

static void a_run_begins_where_nothing_is(void **state)
{
    struct pl_rundir dir;

    (void)state;
    assert_int_equal(pl_rundir_check(run, false, NULL), PL_OK);
    assert_int_equal(pl_rundir_check(run, true, NULL), PL_OK);
    assert_false(pl_path_exists(run)); /* looking makes nothing */
    assert_latest(NULL);
    dir = open_run(false);
    assert_latest(NULL);
    pl_rundir_close(&dir);
    pl_rundir_close(&dir);
    assert_refused(false, "--resume");
    assert_int_equal(pl_rundir_check(run, false, NULL), PL_EINVAL);
    dir = open_run(true); /* killed before its first checkpoint: begins again */
    pl_rundir_close(&dir);

    assert_int_equal(pl_dir_remove(run, NULL), PL_OK);
    assert_int_equal(pl_dir_make(run, NULL), PL_OK);
    dir = open_run(false); /* an empty folder is fine */
    pl_rundir_close(&dir);
}

static void other_folders_are_left_alone(void **state)
{
    struct pl_rundir dir;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(pl_dir_make(run, NULL), PL_OK);
    put("metrics.jsonl", "precious\n");
    assert_refused(false, "is there already");
    assert_refused(true, "is not the folder of a run");
    assert_file("metrics.jsonl", "precious\n");
    assert_false(is_there("plait.lock"));
    assert_int_equal(pl_dir_remove(run, NULL), PL_OK);

    FILE *out = fopen(run, "w"); /* a file in the folder's place */
    assert_non_null(out);
    fclose(out);
    assert_int_equal(pl_rundir_open(run, false, &dir, &err), PL_EIO);
    assert_non_null(strstr(err.text, run));
    assert_int_equal(unlink(run), 0);
}

static void one_process_at_a_time(void **state)
{
    struct pl_rundir dir = open_run(false);

    (void)state;
    assert_refused(true, "another process is at work");
    pl_rundir_close(&dir);
    dir = open_run(true);
    pl_rundir_close(&dir);
}

/* Only where nobody could hold a lock is one done without, and that is told (D31). Any other error
 * leaves open who else is there. */
static void a_lock_that_fails_lets_nobody_in(void **state)
{
    static const struct {
        int error;
        bool unlocked;
    } rows[] = {{ENOLCK, false}, {EIO, false},   {EINTR, false},     {EBADF, false},
                {ESTALE, false}, {EPERM, false}, {EOPNOTSUPP, true}, {ENOSYS, true}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_rundir dir = {.lock = -1};
        struct pl_error err = {0};
        int rc;

        no_lock = rows[i].error;
        rc = pl_rundir_open(run, true, &dir, &err);
        no_lock = 0;
        if (rows[i].unlocked != (rc == PL_OK))
            fail_msg("%s: %d, %s", strerror(rows[i].error), rc, err.text);
        if (rc == PL_OK) {
            assert_true(dir.unlocked);
        } else {
            assert_int_equal(err.os, rows[i].error);
            assert_non_null(strstr(err.text, "plait.lock"));
            assert_non_null(strstr(err.text, "so that no other process works there"));
            assert_null(dir.path);
            assert_false(is_there("checkpoints"));
        }
        pl_rundir_close(&dir);
        dir = open_run(true);
        assert_false(dir.unlocked);
        pl_rundir_close(&dir);
        assert_int_equal(pl_dir_remove(run, NULL), PL_OK);
    }
}

static void the_latest_is_the_one_written_last(void **state)
{
    struct pl_rundir dir = open_run(false);

    (void)state;
    checkpoint(&dir, 5, "five");
    assert_latest("checkpoints/global_step_5");
    checkpoint(&dir, 10, "ten");
    assert_latest("checkpoints/global_step_10");
    assert_file("checkpoints/latest", "global_step_10\n");
    assert_file("checkpoints/global_step_5/file", "five");
    checkpoint(&dir, 10, "again"); /* a step that a resumed run takes anew */
    assert_file("checkpoints/global_step_10/file", "again");
    assert_false(is_there("checkpoints/global_step_10.tmp"));
    pl_rundir_close(&dir);
}

static void a_checkpoint_counts_from_when_it_is_whole(void **state)
{
    struct pl_rundir dir = open_run(false);
    struct pl_outdir out;

    (void)state;
    checkpoint(&dir, 5, "five");
    assert_int_equal(pl_rundir_begin(&dir, 6, &out, NULL), PL_OK);
    put("checkpoints/global_step_6.tmp/file", "half of i");
    assert_latest("checkpoints/global_step_5"); /* killed here */
    assert_false(is_there("checkpoints/global_step_6"));
    pl_outdir_abort(&out);
    assert_false(is_there("checkpoints/global_step_6.tmp"));

    /* killed between the rename and the marker: the one before counts, and is replaced later */
    assert_int_equal(pl_dir_make(in_run("checkpoints/global_step_6"), NULL), PL_OK);
    assert_latest("checkpoints/global_step_5");
    checkpoint(&dir, 6, "six");
    assert_latest("checkpoints/global_step_6");
    assert_file("checkpoints/global_step_6/file", "six");
    pl_rundir_close(&dir);
}

static void a_marker_is_checked(void **state)
{
    static const char *const bad[] = {"",
                                      "global_step_",
                                      "global_step_05\n",
                                      "../../etc\n",
                                      "global_step_5/..\n",
                                      "global_step_99999999999999999999\n",
                                      "global_step_-1\n",
                                      "global_step_5.tmp\n"};
    struct pl_rundir dir = open_run(false);
    struct pl_error err = {0};
    char *found = NULL;

    (void)state;
    checkpoint(&dir, 5, "five");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("checkpoints/latest", bad[i]);
        assert_int_equal(pl_rundir_latest(run, &found, &err), PL_EFORMAT);
        assert_non_null(strstr(err.text, "the name of a checkpoint, global_step_N, is expected"));
    }
    put("checkpoints/latest", "global_step_7\n");
    assert_int_equal(pl_rundir_latest(run, &found, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "names 'global_step_7', which is not there"));
    assert_null(found);
    put("checkpoints/latest", "global_step_5"); /* written by hand, without a line end */
    assert_latest("checkpoints/global_step_5");
    pl_rundir_close(&dir);
}

/* Who dies before `latest` is written for the first time goes on from the checkpoint that is there;
 * where it was lost later, nothing begins again by itself. */
static void a_lost_marker_is_said(void **state)
{
    struct pl_rundir dir = open_run(false);
    struct pl_error err = {0};
    char *found = NULL;

    (void)state;
    checkpoint(&dir, 5, "five");
    assert_int_equal(unlink(in_run("checkpoints/latest")), 0);
    assert_latest("checkpoints/global_step_5");
    checkpoint(&dir, 20, "twenty");
    checkpoint(&dir, 10, "ten");
    assert_int_equal(unlink(in_run("checkpoints/latest")), 0);
    assert_int_equal(pl_rundir_latest(run, &found, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "holds 3 checkpoints, but not the file 'latest'"));
    assert_non_null(strstr(err.text, "the newest that is whole: global_step_20"));
    put("checkpoints/global_step_20/file", "twentY");
    assert_int_equal(pl_rundir_latest(run, &found, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "the newest that is whole: global_step_10"));
    put("checkpoints/latest", "global_step_20\n");
    assert_latest("checkpoints/global_step_20");
    pl_rundir_close(&dir);
}

static void old_ones_go_and_others_stay(void **state)
{
    struct pl_rundir dir = open_run(false);

    (void)state;
    for (uint64_t step = 5; step <= 25; step += 5)
        checkpoint(&dir, step, "x");
    checkpoint(&dir, 100, "x"); /* the run was set back from here to 25 by hand */
    put("checkpoints/latest", "global_step_25\n");
    pl_dir_make(in_run("checkpoints/global_step_7.tmp/in"), NULL);
    pl_dir_make(in_run("checkpoints/global_step_10.kept"), NULL);
    pl_dir_make(in_run("checkpoints/mine"), NULL);

    assert_int_equal(pl_rundir_prune(&dir, 25, 0, NULL), PL_OK);
    assert_true(is_there("checkpoints/global_step_5"));
    assert_false(is_there("checkpoints/global_step_7.tmp"));
    assert_int_equal(pl_rundir_prune(&dir, 25, 2, NULL), PL_OK);
    assert_false(is_there("checkpoints/global_step_5"));
    assert_false(is_there("checkpoints/global_step_10"));
    assert_false(is_there("checkpoints/global_step_15"));
    assert_false(is_there("checkpoints/global_step_15.tmp"));
    assert_true(is_there("checkpoints/global_step_20"));
    assert_true(is_there("checkpoints/global_step_25/file"));
    assert_true(is_there("checkpoints/global_step_100"));
    assert_true(is_there("checkpoints/global_step_10.kept"));
    assert_true(is_there("checkpoints/mine"));
    assert_int_equal(pl_rundir_prune(&dir, 25, 9, NULL), PL_OK); /* more than there are */
    assert_true(is_there("checkpoints/global_step_20"));
    pl_rundir_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_begins_where_nothing_is, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(other_folders_are_left_alone, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_lock_that_fails_lets_nobody_in, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_latest_is_the_one_written_last, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_checkpoint_counts_from_when_it_is_whole, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_marker_is_checked, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_lost_marker_is_said, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(old_ones_go_and_others_stay, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
