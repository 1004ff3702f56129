/*
 * What plait up stands on: its lock, what it knows of processes, the logs of its children.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "deploy/crew_log.h"
#include "deploy/crew_process.h"
#include "deploy/run_lock.h"
#include "learner/result.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[128];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/plait-crew-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/a.log", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return pl_dir_remove(dir, NULL);
}

static void put(const char *name, const char *text)
{
    char full[200];
    FILE *out;

    snprintf(full, sizeof full, "%s/%s", dir, name);
    out = fopen(full, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* ---- logs ---- */

static void the_last_error_is_found(void **state)
{
    static const struct {
        const char *log, *said;
        bool error;
    } rows[] = {
        {"", "", false},
        {"one line\nanother\n", "another", false},
        {"x\nplait-actor: the sentence\n2026 info more\n", "the sentence", true},
        {"plait-actor: the first\nplait-actor: the second\n", "the second", true},
        {"plait-learner: of somebody else\n", "plait-learner: of somebody else", false},
        {"plait: internal error: expected a in b()\nAborted\n", "internal error: expected a in b()",
         true},
        {"2026-12-01T00:00:00.000Z error failed role=actor code=EIO reason=\"a \\\"b\\\" c\" "
         "id=x\n",
         "a \"b\" c", true},
        {"{\"ts\":\"t\",\"level\":\"error\",\"event\":\"failed\",\"reason\":\"in "
         "JSON\"}\n{\"level\":"
         "\"info\"}\n",
         "in JSON", true},
        {"plait-actor: with \x1b[31m in it", "with ?[31m in it", true},
    };
    char said[200];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("a.log", rows[i].log);
        assert_int_equal(pl_crew_log_last(path, 0, "plait-actor", said, sizeof said),
                         rows[i].error);
        assert_string_equal(said, rows[i].said);
    }
    /* Only what this life of it wrote counts. */
    put("a.log", "plait-actor: of the life before\nbegins\n");
    assert_false(pl_crew_log_last(path, strlen("plait-actor: of the life before\n"), "plait-actor",
                                  said, sizeof said));
    assert_string_equal(said, "begins");
}

/* A child that writes all the time keeps its log bounded, and its lines in order. */
static void a_log_is_bounded_while_it_is_written(void **state)
{
    enum { LINES = 20000, MOST = 64 << 10 };
    char before[160], line[64];
    unsigned long last = 0, n;
    int status = 0;
    pid_t child;
    FILE *in;

    (void)state;
    snprintf(before, sizeof before, "%s.1", path);
    put("a.log", "");
    child = fork();
    if (child == 0) {
        const int fd = open(path, O_WRONLY | O_APPEND);

        for (unsigned long i = 1; i <= LINES; i++) {
            const int len = snprintf(line, sizeof line, "line %lu of what it says\n", i);

            if (write(fd, line, (size_t)len) != len)
                _exit(1);
        }
        _exit(0);
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        assert_int_equal(pl_crew_log_bound(path, MOST, NULL), PL_OK);
    assert_int_equal(status, 0);
    in = fopen(path, "a"); /* what was written just as the log was shortened may be lost */
    assert_non_null(in);
    fprintf(in, "line %d of what it says\n", LINES + 1);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(pl_crew_log_bound(path, MOST, NULL), PL_OK);
    assert_true(pl_crew_log_size(path) <= MOST);
    assert_true(pl_crew_log_size(before) > 0);
    for (int part = 0; part < 2; part++) { /* the older part first */
        in = fopen(part == 0 ? before : path, "r");
        assert_non_null(in);
        while (fgets(line, sizeof line, in)) {
            assert_int_equal(sscanf(line, "line %lu of", &n), 1);
            assert_true(n > last);
            last = n;
        }
        fclose(in);
    }
    assert_int_equal(last, LINES + 1);
    /* A log within its bound is left alone. */
    put("a.log", "short\n");
    assert_int_equal(pl_crew_log_bound(path, MOST, NULL), PL_OK);
    assert_int_equal(pl_crew_log_size(path), 6);
    assert_int_equal(pl_crew_log_size("/nonexistent/x"), 0);
}

/* ---- processes ---- */

static void processes_are_told_apart(void **state)
{
    struct pl_process_look look = {0};
    const uint64_t mine = pl_process_started(getpid());
    volatile unsigned long spin = 0;
    char name[32] = "";
    double still_s = 0.0;
    FILE *comm = fopen("/proc/self/comm", "r");
    pid_t child;

    (void)state;
    assert_non_null(comm);
    assert_non_null(fgets(name, sizeof name, comm));
    fclose(comm);
    name[strcspn(name, "\n")] = '\0';
    assert_true(mine > 0);
    assert_true(pl_process_is(getpid(), mine, name));
    assert_false(pl_process_is(getpid(), mine + 1, name)); /* the number was given out again */
    assert_false(pl_process_is(getpid(), mine, "plait-other"));
    assert_false(pl_process_is(getpid(), 0, name));

    for (int i = 0; i < 3; i++) { /* somebody who works */
        for (unsigned long k = 0; k < 3000000; k++)
            spin = spin + k;
        assert_true(pl_process_still_s(&look, getpid()) < 1.0);
    }
    child = fork();
    if (child == 0) { /* another program: a sanitizer's own thread would run in this one */
        execl("/bin/sleep", "sleep", "600", (char *)NULL);
        _exit(127);
    }
    look = (struct pl_process_look){0};
    while (still_s < 0.2) { /* and somebody who does not */
        still_s = pl_process_still_s(&look, child);
        usleep(10000);
    }
    kill(child, SIGKILL);
    while (pl_process_started(child) != 0) /* a zombie is not there any more */
        usleep(1000);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---- the lock ---- */

static void one_supervisor_at_a_time(void **state)
{
    struct pl_run_lock lock = {.fd = -1}, second = {.fd = -1};
    struct pl_run_child left[PL_RUN_CHILDREN_MAX];
    struct pl_run_child self = {.name = "actor-1", .program = "plait-actor", .pid = getpid()};
    struct pl_error err = {0};
    char expected[64];
    size_t count = 9;
    FILE *comm;

    (void)state;
    assert_int_equal(pl_run_lock_take(dir, &lock, left, &count, &err), PL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(pl_run_lock_take(dir, &second, left, &count, &err), PL_EINVAL);
    snprintf(expected, sizeof expected, "process %ld on ", (long)getpid());
    assert_non_null(strstr(err.text, "another plait up is at work in '/tmp/plait-crew-"));
    assert_non_null(strstr(err.text, expected));
    assert_non_null(strstr(err.text, ", since 20"));
    assert_true(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC); /* no child keeps it */

    /* What it notes is found by the next one, where it is still there and still the same process.
     */
    comm = fopen("/proc/self/comm", "r");
    assert_non_null(comm);
    assert_int_equal(fscanf(comm, "%31s", self.program), 1);
    fclose(comm);
    self.started = pl_process_started(getpid());
    {
        struct pl_run_child list[] = {self, self, self};

        list[1].started++;
        strcpy(list[1].name, "older");
        list[2].pid = 0x3ffffff;
        pl_run_lock_note(&lock, list, 3);
    }
    pl_run_lock_release(&lock);
    assert_int_equal(pl_run_lock_take(dir, &lock, left, &count, &err), PL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(left[0].name, "actor-1");
    assert_int_equal(left[0].pid, getpid());
    pl_run_lock_note(&lock, NULL, 0);
    pl_run_lock_release(&lock);
    assert_int_equal(pl_run_lock_take(dir, &lock, left, &count, &err), PL_OK);
    assert_int_equal(count, 0);
    pl_run_lock_release(&lock);

    put("plait-up.lock", "held by\nchild a b\nchild x y -1 2\n\n"); /* senseless */
    assert_int_equal(pl_run_lock_take(dir, &lock, left, &count, &err), PL_OK);
    assert_int_equal(count, 0);
    pl_run_lock_release(&lock);
}

static void a_learner_is_seen_by_its_lock(void **state)
{
    char name[128];
    pid_t pid = 7;
    int fd;

    (void)state;
    assert_false(pl_run_has_learner(dir, &pid));
    put("plait.lock", "");
    assert_false(pl_run_has_learner(dir, &pid));
    assert_int_equal(pid, 0);
    snprintf(name, sizeof name, "%s/plait.lock", dir);
    fd = open(name, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_true(pl_run_has_learner(dir, &pid));
    assert_true(pid == getpid() || pid == 0); /* not every kernel tells */
    close(fd);
    assert_false(pl_run_has_learner(dir, &pid));
}

/* ---- the result ---- */

static void a_model_is_of_a_step_and_a_run(void **state)
{
    uint64_t step = 0;
    char model[128];

    (void)state;
    snprintf(model, sizeof model, "%s/model", dir);
    assert_false(pl_result_is_of(dir, 4));
    assert_int_equal(mkdir(model, 0700), 0);
    assert_false(pl_result_is_of(dir, 4)); /* any folder will not do */
    put("model/plait_result.json", "{\"run\": \"t\", \"step\": 4}");
    assert_true(pl_result_is_of(dir, 4));
    assert_false(pl_result_is_of(dir, 3000));
    put("run_id", "0123456789abcdef0123456789abcdef\n");
    assert_false(pl_result_is_of(dir, 4)); /* the folder is another run's by now */
    put("model/plait_result.json",
        "{\"run\": \"t\", \"step\": 8, \"run_id\": \"0123456789abcdef0123456789abcdef\"}");
    assert_int_equal(pl_result_step(dir, &step, NULL), PL_OK);
    assert_int_equal(step, 8);
    assert_true(pl_result_is_of(dir, 8));
    put("model/plait_result.json", "{\"step\": -1}");
    assert_int_equal(pl_result_step(dir, &step, NULL), PL_EFORMAT);
    assert_false(pl_result_is_of(dir, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_error_is_found),
        cmocka_unit_test(a_log_is_bounded_while_it_is_written),
        cmocka_unit_test(processes_are_told_apart),
        cmocka_unit_test(one_supervisor_at_a_time),
        cmocka_unit_test(a_learner_is_seen_by_its_lock),
        cmocka_unit_test(a_model_is_of_a_step_and_a_run),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
