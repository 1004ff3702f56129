/*
 * A fine-tuning job that dies, is stopped, or meets a full disk at each of the calls by which it
 * changes files, one after another; resumed, it ends with the same bytes as one left alone.
 *
 * Those calls are wrapped by the linker. A job runs in a child; before its call number `at` the
 * child is killed, is asked to stop, or the call fails. Nothing is really flushed to the disk: the
 * kernel outlives the child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/model/checkpoint.h"
#include "common/model/init.h"
#include "learner/sft.h"
#include "tests/board.h"
#include "tests/mini_tokenizer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pl_config config = {
    .arch = PL_ARCH_QWEN2,
    .hidden = 16,
    .layers = 1,
    .heads = 2,
    .kv_heads = 1,
    .head_dim = 8,
    .ffn = 24,
    .vocab = 300,
    .positions_max = 64,
    .rope_theta = 1e4,
    .rms_eps = 1e-6f,
    .tied = true,
    .qkv_bias = true,
    .init_range = 0.1,
    .bos = -1,
    .pad = -1,
};

/* --- what happens at a call --- */

enum mode { LEAVE, KILL, STOP, FAIL };

static enum mode mode;
static long at;
static long *calls; /* that the child made, in memory that it shares */

/* True when the call is to fail. */
static bool meet(void)
{
    if (++*calls != at)
        return false;
    if (mode == KILL)
        raise(SIGKILL);
    if (mode == STOP)
        raise(SIGTERM);
    errno = ENOSPC;
    return mode == FAIL;
}

FILE *__wrap_fopen64(const char *path, const char *how);
size_t __wrap_fwrite(const void *bytes, size_t size, size_t n, FILE *out);
int __wrap_fflush(FILE *out);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_mkdir(const char *path, mode_t rights);
int __wrap_remove(const char *path);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
FILE *__real_fopen64(const char *path, const char *how);
size_t __real_fwrite(const void *bytes, size_t size, size_t n, FILE *out);
int __real_fflush(FILE *out);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_mkdir(const char *path, mode_t rights);
int __real_remove(const char *path);
ssize_t __real_write(int fd, const void *bytes, size_t n);

static const FILE *begun; /* the file that was written to last */

FILE *__wrap_fopen64(const char *path, const char *how)
{
    begun = NULL;
    return how[0] == 'w' && meet() ? NULL : __real_fopen64(path, how);
}

/* The first time to a file only half of the bytes get there: whoever is killed then leaves a file
 * cut short. */
size_t __wrap_fwrite(const void *bytes, size_t size, size_t n, FILE *out)
{
    const size_t half = n / 2;

    if (out == stdout || out == stderr || out == begun || size != 1)
        return __real_fwrite(bytes, size, n, out);
    begun = out;
    if (__real_fwrite(bytes, size, half, out) != half)
        return 0;
    __real_fflush(out);
    if (meet())
        return half;
    return half + __real_fwrite((const char *)bytes + half, size, n - half, out);
}

int __wrap_fflush(FILE *out)
{
    return out != stdout && out != stderr && meet() ? EOF : __real_fflush(out);
}

int __wrap_fsync(int fd)
{
    (void)fd;
    return meet() ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return meet() ? -1 : 0;
}

int __wrap_rename(const char *from, const char *to)
{
    return meet() ? -1 : __real_rename(from, to);
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return meet() ? -1 : __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __wrap_mkdir(const char *path, mode_t rights)
{
    return meet() ? -1 : __real_mkdir(path, rights);
}

int __wrap_remove(const char *path)
{
    return meet() ? -1 : __real_remove(path);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
    return fd > STDERR_FILENO && meet() ? -1 : __real_write(fd, bytes, n);
}

/* --- jobs --- */

static char folder[64], base[96], data[96], run_dir[96], whole_dir[96], log_path[96];

static void run_job(const char *output, bool resume)
{
    char *argv[] = {"sft",
                    base,
                    data,
                    "--output",
                    (char *)output,
                    "--epochs",
                    "3",
                    "--lr",
                    "1e-2",
                    "--batch-size",
                    "4",
                    "--save-every",
                    "2",
                    "--keep",
                    "1",
                    "--eval-every",
                    "3",
                    "--eval-file",
                    data,
                    "--quiet",
                    "--micro-batch-tokens",
                    "40",
                    resume ? "--resume" : NULL,
                    NULL};
    int argc = 0, log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    while (argv[argc])
        argc++;
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    _exit(pl_cmd_sft(argc, argv));
}

/* Run a job in a child; its wait status. */
static int job(const char *output, bool resume, int threads, enum mode how)
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        *calls = 0;
        mode = how;
        omp_set_num_threads(threads);
        run_job(output, resume);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void make_base(void)
{
    const struct pl_test_mini mini = {.merges = pl_test_merges};
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_error err = {0};

    pl_test_mini_save(&mini, folder);
    if (pl_shape_create(&config, &shape, &err) < 0 ||
        pl_weights_create(shape, &weights, &err) < 0 ||
        pl_weights_init(weights, 5, NULL, &err) < 0 ||
        pl_model_save(base, false, weights, folder, 0, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    _exit(0);
}

static void write_data(void)
{
    FILE *out = fopen(data, "w");

    assert_non_null(out);
    for (int i = 0; i < 7; i++)
        fprintf(out,
                "{\"messages\": [{\"role\": \"system\", \"content\": \"\"}, {\"role\": "
                "\"user\", \"content\": \"%d\"}, {\"role\": \"assistant\", \"content\": "
                "\"the %d\"}]}\n",
                i, 9 - i);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (calls == MAP_FAILED)
        return -1;
    snprintf(folder, sizeof folder, "/tmp/plait-crash-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(base, sizeof base, "%s/base", folder);
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(run_dir, sizeof run_dir, "%s/run", folder);
    snprintf(whole_dir, sizeof whole_dir, "%s/whole", folder);
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    write_data();
    child = fork(); /* this process starts no threads, so that its children may */
    if (child == 0)
        make_base();
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return -1;
    return job(whole_dir, false, 1, LEAVE);
}

static int tear_down(void **state)
{
    (void)state;
    return pl_dir_remove(folder, NULL);
}

/* --- comparing --- */

static char *read_all(const char *path, size_t *ret_len)
{
    char *text = NULL;
    struct pl_error err = {0};

    if (pl_file_read(path, 1 << 24, &text, ret_len, &err) < 0)
        fail_msg("call %ld: %s", at, err.text);
    return text;
}

/* Drop what depends on the clock: all from "perf/throughput" to the end of a line. */
static void drop_times(char *text)
{
    char *to = text;

    while (*text) {
        char *end = text + strcspn(text, "\n"), *times = strstr(text, ", \"perf/throughput\"");
        const size_t n = (size_t)((times && times < end ? times : end) - text);

        memmove(to, text, n);
        to += n;
        *to++ = '\n';
        text = *end ? end + 1 : end;
    }
    *to = '\0';
}

static bool is_events(const char *path)
{
    return strstr(path, "/events.out.tfevents.") != NULL;
}

/* One file of the run that was left alone is in the other too, and the same. */
static size_t files;

static int compare_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    char other[256];
    char *want, *got;
    size_t want_len, got_len;

    (void)st;
    (void)ftw;
    if (is_events(path)) /* as many as there were starts; what they say is compared below */
        return 0;
    files++;
    if (kind != FTW_F)
        return 0;
    snprintf(other, sizeof other, "%s%s", run_dir, path + strlen(whole_dir));
    want = read_all(path, &want_len);
    got = read_all(other, &got_len);
    if (strstr(path, "metrics.jsonl")) {
        drop_times(want);
        drop_times(got);
        assert_string_equal(got, want);
    } else if (want_len != got_len || memcmp(want, got, want_len) != 0) {
        fail_msg("call %ld: '%s' differs", at, other);
    }
    free(want);
    free(got);
    return 0;
}

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    files -= !is_events(path);
    return 0;
}

/* A reader of events sees each step once, with what the run that was left alone says of it. */
static void compare_events(void)
{
    const struct pl_test_board want = pl_test_board_read(whole_dir);
    const struct pl_test_board got = pl_test_board_read(run_dir);

    assert_true(want.count >= 6 * 8); /* 6 steps */
    if (got.count != want.count)
        fail_msg("call %ld: %zu values of events, not %zu", at, got.count, want.count);
    for (size_t i = 0; i < want.count; i++) {
        const struct pl_test_point *p = &want.points[i], *q = &got.points[i];

        if (p->step != q->step || strcmp(p->tag, q->tag) != 0)
            fail_msg("call %ld: %s of step %lld, not %s of %lld", at, q->tag, (long long)q->step,
                     p->tag, (long long)p->step);
        if (strncmp(p->tag, "perf/", 5) != 0 && strncmp(p->tag, "timing_s/", 9) != 0)
            assert_memory_equal(&p->value, &q->value, sizeof p->value);
    }
}

static void compare_runs(void)
{
    files = 0;
    assert_int_equal(nftw(whole_dir, compare_file, 16, FTW_PHYS), 0);
    assert_true(files > 15);
    assert_int_equal(nftw(run_dir, count_file, 16, FTW_PHYS), 0);
    if (files != 0)
        fail_msg("call %ld: the resumed run has %zd files more", at, -(ssize_t)files);
    compare_events();
}

/* What is under the name of a checkpoint has all that belongs to one. */
static void check_checkpoints(void)
{
    static const char *const names[] = {"config.json",           "generation_config.json",
                                        "model.safetensors",     "tokenizer.json",
                                        "optimizer.safetensors", "trainer_state.json"};
    char path[400];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "%s/checkpoints", run_dir);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "global_step_", 12) != 0 || strchr(entry->d_name, '.'))
            continue;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            snprintf(path, sizeof path, "%s/checkpoints/%.40s/%s", run_dir, entry->d_name,
                     names[i]);
            if (!pl_path_exists(path))
                fail_msg("call %ld: '%s' is missing", at, path);
        }
    }
    if (dir)
        closedir(dir);
}

/* One line, with the sentence of an error. */
static void assert_one_sentence(void)
{
    size_t len;
    char *text = read_all(log_path, &len);

    if (strncmp(text, "plait sft: ", 11) != 0 || strchr(text, '\n') != text + len - 1)
        fail_msg("call %ld: it says: %s", at, text);
    free(text);
}

/* --- the tests --- */

/* What became of the job whose call was met is what should have. */
static void check_end(enum mode how, int status)
{
    if (how == KILL) {
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else if (how == FAIL) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        assert_one_sentence();
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
        assert_one_sentence();
    } else { /* asked before the first step, or after the last */
        assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
    }
}

/* At every call from `first` on in steps of `step`, until a job gets by without meeting one. */
static void at_each_call(enum mode how, long first, long step)
{
    long hits = 0;

    for (at = first;; at += step) {
        const bool two = hits % 8 == 0; /* threads; one is quicker here */
        const int status = job(run_dir, false, two ? 2 : 1, how);
        const bool met = *calls >= at;

        if (met) {
            hits++;
            check_end(how, status);
            check_checkpoints();
            if (job(run_dir, true, two ? 1 : 1 + (hits % 8 == 5), LEAVE) != 0) {
                size_t len;

                fail_msg("call %ld: resumed, it says: %s", at, read_all(log_path, &len));
            }
        }
        compare_runs();
        assert_int_equal(pl_dir_remove(run_dir, NULL), PL_OK);
        if (!met)
            break;
    }
    print_message("at %ld of %ld calls\n", hits, at - step);
    assert_true(hits * step > 150);
}

static void killed_anywhere(void **state)
{
    (void)state;
    at_each_call(KILL, 1, 3);
}

static void any_call_may_fail(void **state)
{
    (void)state;
    at_each_call(FAIL, 2, 4);
}

static void asked_to_stop_at_any_time(void **state)
{
    (void)state;
    at_each_call(STOP, 4, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere),
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(asked_to_stop_at_any_time),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
