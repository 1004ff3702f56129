/* Failpoints, compiled in here whatever the build has: orders, counts that outlive a killed
 * process. */
#include "common/base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/scratch.h"

/* What became of a child that comes by three times: its wait status; *ret_failed: how often it was
 * told to fail. */
static int child(const char *orders, const char *file, int *ret_failed)
{
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        int failed = 0;

        setenv("PLAIT_FAILPOINTS", orders, 1);
        setenv("PLAIT_FAILPOINTS_FILE", file, 1);
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        for (int i = 0; i < 3; i++)
            failed += PL_FAILPOINT("a.before") && errno == EIO;
        failed += 10 * (PL_FAILPOINT_OF("b", "after") && errno == ENOSPC);
        _exit(failed);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ret_failed = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return status;
}

static void orders_are_followed(void **state)
{
    const char *file = pl_scratch("hits");
    struct pl_failpoint_slot *slots;
    int failed, status, fd;

    (void)state;
    child("", file, &failed);
    assert_int_equal(failed, 0);
    child("a.before=error@2", file, &failed);
    assert_int_equal(failed, 1);
    child("a.before=error@2+,b.after=full@1", file, &failed);
    assert_int_equal(failed, 12);
    status = child("a.before=kill@3", file, &failed);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = child("a.before=kil@3", file, &failed);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);

    fd = open(file, O_RDONLY);
    assert_true(fd >= 0);
    slots = mmap(NULL, PL_FAILPOINT_SLOTS * sizeof *slots, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(slots != MAP_FAILED);
    assert_string_equal(slots[0].name, "a.before");
    assert_int_equal(slots[0].hits, 12);
    assert_int_equal(slots[0].fired, 1 + 2 + 1);
    assert_string_equal(slots[1].name, "b.after");
    assert_int_equal(slots[1].hits, 3);
    assert_int_equal(slots[1].fired, 1);
    munmap(slots, PL_FAILPOINT_SLOTS * sizeof *slots);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders_are_followed)};

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
