/*
 * A program of the user's as verifier: what it is asked, what counts as an answer, and that nothing
 * it does or leaves undone holds a rewarder up, passes for a verdict, or goes by without a name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "rewarder/exec.h"
#include "rewarder/reward.h"
#include "rewarder/verify.h"
#include "tests/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RIGHT "echo '{\"verdict\":\"right\"}'"

static const struct pl_truth steps[] = {{.answer = "one"}, {.answer = "two"}};
static const struct pl_task task = {.id = "t",
                                    .source = "s",
                                    .question = "q",
                                    .verifier = "exec",
                                    .final = {.answer = "yes"},
                                    .steps = steps,
                                    .step_count = 2};

/* A verifier that is a piece of sh; `$0` is the scratch folder. */
static struct pl_exec *open_script(const char *script, double timeout_s, size_t memory_max)
{
    static char *command[5];
    const struct pl_exec_opts opts = {
        .command = command, .timeout_s = timeout_s, .memory_max = memory_max};
    struct pl_exec *exec;

    command[0] = (char *)"sh";
    command[1] = (char *)"-c";
    command[2] = (char *)script;
    command[3] = (char *)pl_scratch("");
    assert_int_equal(pl_exec_create(&opts, &exec), PL_OK);
    pl_exec_begin(exec);
    return exec;
}

static enum pl_verdict ask(struct pl_exec *exec, const char *text)
{
    pl_exec_begin(exec);
    return pl_exec_ask(exec, &task, 0, text, strlen(text));
}

/* Lines of a file in the scratch folder, which is emptied. */
static size_t count(const char *name)
{
    size_t len, lines = 0;
    char *text;

    if (access(pl_scratch(name), F_OK) != 0)
        return 0;
    text = pl_scratch_read(pl_scratch(name), &len);
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    free(text);
    unlink(pl_scratch(name));
    return lines;
}

/* ---- the lines ---- */

static void questions(void **state)
{
    static const char line[] =
        "{\"id\":\"a\\\"b\",\"question\":\"q\\n\",\"answer\":\"x\",\"aliases\":[\"y\",\"z\"],"
        "\"steps\":[{\"answer\":\"g\"}],\"verifier\":\"exec\","
        "\"meta\":{\"tests\":[1,{\"in\":\"\\u00e9\"}],\"k\":null}}";
    struct pl_buf out;
    struct pl_task t;

    (void)state;
    pl_buf_init(&out, 1 << 16);
    assert_int_equal(pl_task_parse(line, strlen(line), "x", &t, NULL), PL_OK);
    assert_int_equal(pl_exec_question(&t, 0, "\"r\"\n\xFF\0}", 7, &out), PL_OK);
    assert_string_equal(out.data, "{\"id\":\"a\\\"b\",\"question\":\"q\\n\",\"answer\":\"x\","
                                  "\"aliases\":[\"y\",\"z\"],"
                                  "\"response\":\"\\\"r\\\"\\n\xEF\xBF\xBD\\u0000}\",\"step\":null,"
                                  "\"meta\":{\"tests\":[1,{\"in\":\"\xC3\xA9\"}],\"k\":null}}\n");
    pl_buf_clear(&out);
    assert_int_equal(pl_exec_question(&t, 1, "r", 1, &out), PL_OK);
    assert_non_null(
        strstr(out.data, "\"answer\":\"g\",\"aliases\":[],\"response\":\"r\",\"step\":1"));
    pl_buf_clear(&out);
    assert_int_equal(pl_exec_question(&task, 2, "", 0, &out), PL_OK);
    assert_string_equal(out.data,
                        "{\"id\":\"t\",\"question\":\"q\",\"answer\":\"two\",\"aliases\":[],"
                        "\"response\":\"\",\"step\":2,\"meta\":{}}\n");
    out.bytes_max = out.len + 10;
    pl_buf_clear(&out);
    assert_int_equal(pl_exec_question(&t, 0, "", 0, &out), PL_EFULL);
    pl_buf_release(&out);
    pl_task_release(&t);
}

static void answers(void **state)
{
    static const struct {
        const char *line;
        enum pl_verdict verdict; /* NONE: it is no answer */
    } rows[] = {
        {"{\"verdict\":\"right\"}", PL_VERDICT_RIGHT},
        {" { \"verdict\" : \"wrong\" , \"why\":[1] } \r", PL_VERDICT_WRONG},
        {"{\"verdict\":\"unparsed\"}", PL_VERDICT_UNPARSED},
        {"{\"correct\":true}", PL_VERDICT_RIGHT},
        {"{\"correct\":false,\"x\":1}", PL_VERDICT_WRONG},
        {"{\"correct\":true,\"verdict\":\"right\"}", PL_VERDICT_NONE},
        {"{\"correct\":1}", PL_VERDICT_NONE},
        {"{\"verdict\":\"Right\"}", PL_VERDICT_NONE},
        {"{\"verdict\":\"none\"}", PL_VERDICT_NONE},
        {"{\"verdict\":true}", PL_VERDICT_NONE},
        {"{\"verdict\":\"right\",\"verdict\":\"wrong\"}", PL_VERDICT_NONE},
        {"{}", PL_VERDICT_NONE},
        {"[]", PL_VERDICT_NONE},
        {"right", PL_VERDICT_NONE},
        {"", PL_VERDICT_NONE},
        {"{\"verdict\":\"right\"} {}", PL_VERDICT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum pl_verdict verdict = PL_VERDICT_NONE;
        const int rc = pl_exec_answer(rows[i].line, strlen(rows[i].line), &verdict, NULL);

        if (verdict != rows[i].verdict || rc != (verdict == PL_VERDICT_NONE ? PL_EFORMAT : PL_OK))
            fail_msg("'%s': verdict %d, code %d", rows[i].line, (int)verdict, rc);
    }
}

/* ---- programs that do as they should ---- */

static void one_process_answers_many(void **state)
{
    struct pl_exec *exec = open_script(
        "echo >>$0/starts; while read -r line; do case $line in"
        " *'\"response\":\"yes\"'*'\"step\":null'*) echo '{\"verdict\":\"right\"}';;"
        " *'\"answer\":\"two\"'*'\"response\":\"b\"'*'\"step\":2'*) echo '{\"correct\":true}';;"
        " *'\"response\":\"?\"'*) echo '{\"verdict\":\"unparsed\"}';;"
        " *) echo '{\"verdict\":\"wrong\"}';; esac; done",
        20, 0);
    struct pl_error err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
        assert_int_equal(ask(exec, "no"), PL_VERDICT_WRONG);
        assert_int_equal(ask(exec, "?"), PL_VERDICT_UNPARSED);
        assert_int_equal(pl_exec_ask(exec, &task, 2, "b", 1), PL_VERDICT_RIGHT);
        assert_int_equal(pl_exec_ask(exec, &task, 1, "b", 1), PL_VERDICT_WRONG);
        assert_string_equal(pl_exec_why(exec), "");
    }
    assert_int_equal(pl_exec_broken(exec, &err), PL_OK);
    assert_int_equal(pl_exec_failures(exec), 0);
    assert_int_equal(count("starts"), 1);
    pl_exec_destroy(exec);
}

static void a_program_may_end_behind_its_answer(void **state)
{
    struct pl_exec *exec = open_script("echo >>$0/starts; read -r line; " RIGHT, 20, 0);

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
    assert_int_equal(pl_exec_failures(exec), 0);
    assert_int_equal(count("starts"), 5);
    pl_exec_destroy(exec);
}

/* More than pipes hold, both ways at once. */
static void long_questions(void **state)
{
    struct pl_exec *exec = open_script("while IFS= read -r line; do"
                                       " printf '{\"verdict\":\"right\",\"x\":\"'; "
                                       " head -c 60000 /dev/zero | tr '\\0' x; echo '\"}'; done",
                                       60, 0);
    const size_t len = 200000, most = 8 << 20;
    char *text = malloc(most);

    (void)state;
    memset(text, 'x', most);
    pl_exec_begin(exec);
    assert_int_equal(pl_exec_ask(exec, &task, 0, text, len), PL_VERDICT_RIGHT);
    /* By a rule that counts bytes: a verdict, on each machine the same. */
    assert_int_equal(pl_exec_ask(exec, &task, 0, text, most), PL_VERDICT_UNPARSED);
    assert_string_equal(pl_exec_why(exec), "");
    assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
    assert_int_equal(pl_exec_failures(exec), 0);
    free(text);
    pl_exec_destroy(exec);
}

/* The program that the README shows, as it stands there. */
static void the_example_of_the_readme(void **state)
{
    static const char begin[] = "```sh\n";
    const char *source = getenv("PLAIT_TEST_SOURCE");
    struct pl_task t = {.id = "t", .question = "q", .final = {.answer = "200"}};
    struct pl_exec_opts opts = {.timeout_s = 20};
    char *command[2] = {NULL}, *text, *at, *end;
    struct pl_exec *exec;
    size_t len;

    (void)state;
    if (!source) {
        print_message("skipped: PLAIT_TEST_SOURCE does not say where the sources are\n");
        skip();
    }
    text = pl_scratch_read(pl_scratch_in(source, "rewarder/README.md"), &len);
    at = strstr(text, begin);
    assert_non_null(at);
    at += strlen(begin);
    end = strstr(at, "```");
    assert_non_null(end);
    pl_scratch_write(pl_scratch("check.sh"), at, (size_t)(end - at));
    free(text);
    assert_int_equal(chmod(pl_scratch("check.sh"), 0700), 0);
    command[0] = (char *)pl_scratch("check.sh");
    opts.command = command;
    assert_int_equal(pl_exec_create(&opts, &exec), PL_OK);
    pl_exec_begin(exec);
    assert_int_equal(pl_exec_ask(exec, &t, 0, "201.5", 5), PL_VERDICT_RIGHT);
    assert_int_equal(pl_exec_ask(exec, &t, 0, "203", 3), PL_VERDICT_WRONG);
    assert_int_equal(pl_exec_ask(exec, &t, 0, "two hundred", 11), PL_VERDICT_UNPARSED);
    assert_int_equal(pl_exec_ask(exec, &t, 0, "x\",\"answer\":\"1", 14), PL_VERDICT_UNPARSED);
    assert_int_equal(pl_exec_ask(exec, &t, 0, "200", 3), PL_VERDICT_RIGHT);
    assert_string_equal(pl_exec_why(exec), "");
    pl_exec_destroy(exec);
}

/* ---- programs that do not ---- */

/* It fails at "no" as `why` begins, which is no verdict; a new process answers the next. */
static void fails(const char *script, double timeout_s, const char *why)
{
    struct pl_exec *exec = open_script(script, timeout_s, 0);
    struct pl_error err;

    assert_int_equal(ask(exec, "no"), PL_VERDICT_NONE);
    if (strncmp(pl_exec_why(exec), why, strlen(why)) != 0)
        fail_msg("%s: '%s' is not '%s'", script, pl_exec_why(exec), why);
    assert_int_equal(pl_exec_ask(exec, &task, 1, "yes", 3), PL_VERDICT_NONE); /* not asked */
    assert_int_equal(pl_exec_failures(exec), 1);
    assert_int_equal(pl_exec_broken(exec, &err), PL_OK);
    pl_exec_destroy(exec);
    exec = open_script(script, 20, 0);
    assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
    pl_exec_destroy(exec);
}

#define UNLESS_YES "read -r line; case $line in *'\"response\":\"yes\"'*) " RIGHT ";; *) "
#define END        ";; esac; read -r line"

static void what_goes_wrong_has_a_name(void **state)
{
    (void)state;
    fails(UNLESS_YES "sleep 30" END, 0.2, "verifier timed out after 0.2 s");
    fails(UNLESS_YES "while :; do :; done" END, 0.2, "verifier timed out after 0.2 s");
    fails(UNLESS_YES "printf '{\"verdict\":\"right\"}'; sleep 30" END, 0.2,
          "verifier timed out after 0.2 s"); /* the line has no end */
    fails(UNLESS_YES "exit 3" END, 20, "verifier failed: it ended with status 3");
    fails(UNLESS_YES "kill -SEGV $$; sleep 20" END, 20,
          "verifier failed: it was killed by signal 11 (SEGV)");
    fails(UNLESS_YES "exec >&-; sleep 30" END, 20, "verifier failed: it closed its output");
    fails(UNLESS_YES "sleep 30 & exit 4" END, 20, "verifier failed: it ended with status 4");
    fails(UNLESS_YES "echo hello" END, 20, "verifier failed: its line is no answer: hello");
    fails(UNLESS_YES "printf '\\033[1m\\377\\n'" END, 20,
          "verifier failed: its line is no answer: ?[1m?");
    fails(UNLESS_YES "echo" END, 20, "verifier failed: its line is no answer: ");
    fails(UNLESS_YES "printf '{\"correct\":true}\\n{'" END, 20,
          "verifier failed: it answered with more than one line");
    fails(UNLESS_YES "cat /dev/zero" END, 20,
          "verifier failed: its line is longer than 65536 bytes");
    fails(UNLESS_YES "yes" END, 20, "verifier failed: it answered with more than one line");
}

/* It does not read: neither does that block a question that no pipe holds, nor does an answer count
 * that cannot be one to it. */
static void programs_that_do_not_read(void **state)
{
    const size_t len = 1 << 20;
    char *text = malloc(len);
    struct pl_exec *exec = open_script("sleep 30", 0.1, 0);

    (void)state;
    memset(text, 'x', len);
    assert_int_equal(pl_exec_ask(exec, &task, 0, text, len), PL_VERDICT_NONE);
    assert_non_null(
        strstr(pl_exec_why(exec), "verifier failed: it had not begun to read after 0."));
    pl_exec_destroy(exec);
    exec = open_script(RIGHT "; sleep 30", 20, 0);
    assert_int_equal(pl_exec_ask(exec, &task, 0, text, len), PL_VERDICT_NONE);
    assert_string_equal(pl_exec_why(exec),
                        "verifier failed: it answered before it had read the question");
    pl_exec_destroy(exec);
    exec = open_script("exec <&-; sleep 30", 0.1, 0); /* no SIGPIPE either */
    assert_int_equal(pl_exec_ask(exec, &task, 0, text, len), PL_VERDICT_NONE);
    assert_non_null(
        strstr(pl_exec_why(exec), "verifier failed: it had not begun to read after 0."));
    pl_exec_destroy(exec);
    free(text);
}

/* What a program loads before it reads is not the answer's time. */
static void a_start_has_time_of_its_own(void **state)
{
    struct pl_exec *exec = open_script("sleep 0.8; while read -r line; do " RIGHT "; done", 0.5, 0);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_RIGHT);
    pl_exec_destroy(exec);
}

/* What it wrote when it was not asked is not the answer to the next question. */
static void late_lines_are_not_taken(void **state)
{
    const struct timespec pause = {0, 300000000};
    struct pl_exec *exec =
        open_script("read -r line; echo '{\"verdict\":\"wrong\"}'; (sleep 0.05; " RIGHT
                    ") & read -r line; sleep 30",
                    20, 0);

    (void)state;
    assert_int_equal(ask(exec, "a"), PL_VERDICT_WRONG);
    nanosleep(&pause, NULL);
    assert_int_equal(ask(exec, "b"), PL_VERDICT_WRONG); /* of a new process */
    pl_exec_destroy(exec);
}

/* Whether it is there and no zombie that nobody waits for. */
static bool alive(long pid)
{
    char path[64], text[512] = "", *at;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    (void)!fread(text, 1, sizeof text - 1, f);
    fclose(f);
    at = strrchr(text, ')');
    return at && at[1] == ' ' && at[2] != 'Z' && at[2] != 'X';
}

/* Children that do not want to be found: in the background, in a session of their own, of a parent
 * that is gone, deaf to signals. */
#define HIDE                                                                                       \
    "p() { sh -c \"$1 sh -c 'trap : HUP INT TERM; echo \\$\\$ >>$0/pids; sleep 300 & echo \\$! "   \
    ">>$0/pids; wait' & $2\"; }; p '' 'wait' & p setsid ''; p 'nohup setsid' 'setsid sleep 300 & " \
    "echo $! >>'$0'/pids';"                                                                        \
    " while [ $(wc -l <$0/pids) -lt 7 ]; do sleep 0.01; done; "
enum { HIDDEN = 7 };

/* Of all that HIDE wrote down, in `times` starts. */
static void all_gone(size_t least)
{
    const struct timespec pause = {0, 10000000};
    size_t len, n = 0;
    char *text = pl_scratch_read(pl_scratch("pids"), &len);

    unlink(pl_scratch("pids"));
    for (char *at = strtok(text, "\n"); at; at = strtok(NULL, "\n"), n++)
        for (size_t i = 0; alive(atol(at)); i++) {
            if (i == 3000)
                fail_msg("%s, which the program started, still runs", at);
            nanosleep(&pause, NULL);
        }
    assert_true(n >= least);
    free(text);
}

static void its_children_end_with_it(void **state)
{
    struct pl_exec *exec = open_script(HIDE "read -r line; wait", 0.3, 0);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    pl_exec_destroy(exec);
    all_gone(3 * HIDDEN);
}

/* ---- what it is given ---- */

static void checks(const char *test, size_t memory_max)
{
    char script[512];
    struct pl_exec *exec;

    snprintf(script, sizeof script,
             "read -r line; if %s; then " RIGHT "; else { cat /proc/$$/limits /proc/$$/status;"
             " ls -l /proc/$$/fd; env; } >&2; echo '{\"correct\":false}'; fi",
             test);
    exec = open_script(script, 20, memory_max);
    if (ask(exec, "x") != PL_VERDICT_RIGHT)
        fail_msg("not so: %s (%s)", test, pl_exec_why(exec));
    pl_exec_destroy(exec);
}

static void limits_are_set(void **state)
{
    (void)state;
    checks("grep -q 'Max core file size  *0  *0 ' /proc/$$/limits", 0);
    checks("grep -q 'Max open files  *256  *256 ' /proc/$$/limits", 0);
    checks("grep -Eq 'Max processes  *([0-9]{1,3}|[1-3][0-9]{3}|40[0-9]{2}) ' /proc/$$/limits", 0);
    checks("grep -q 'Max file size  *1073741824  *1073741824 ' /proc/$$/limits", 0);
    checks("grep -q 'Max address space  *268435456  *268435456 ' /proc/$$/limits", 256 << 20);
    checks("grep -Eq 'Max cpu time  *[0-9]+ ' /proc/$$/limits", 0);
    checks("grep -q 'NoNewPrivs:.1$' /proc/$$/status", 0);
}

static void nothing_is_inherited(void **state)
{
    const int fd = dup2(STDERR_FILENO, 77);
    const struct sigaction ignore = {.sa_handler = SIG_IGN}, initial = {.sa_handler = SIG_DFL};

    (void)state;
    assert_int_equal(fd, 77);
    setenv("PLAIT_SECRET", "x", 1);
    sigaction(SIGUSR1, &ignore, NULL);
    checks("[ ! -e /proc/$$/fd/77 ]", 0);
    checks("[ -z \"$PLAIT_SECRET\" ] && [ -n \"$PATH\" ] && [ \"$LANG\" = C.UTF-8 ]", 0);
    checks("grep -q 'SigIgn:.0*$' /proc/self/status && grep -q 'SigBlk:.0*$' /proc/self/status", 0);
    checks("read -r pid name st parent group session rest </proc/$$/stat &&"
           " [ $group = $$ ] && [ $session = $$ ]",
           0);
    sigaction(SIGUSR1, &initial, NULL);
    unsetenv("PLAIT_SECRET");
    close(fd);
}

static void memory_runs_out_for_it_alone(void **state)
{
    struct pl_exec *exec = open_script("read -r line; exec 2>/dev/null; awk 'BEGIN { s = \"x\"; "
                                       "for (i = 0; i < 40; i++) s = s s }'"
                                       " || exit 9; " RIGHT,
                                       60, 64 << 20);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_string_equal(pl_exec_why(exec), "verifier failed: it ended with status 9");
    pl_exec_destroy(exec);
}

/* ---- programs of no use ---- */

static void programs_that_cannot_be_started(void **state)
{
    char *command[] = {(char *)"/no/such/program", (char *)"-x", NULL};
    const struct pl_exec_opts opts = {.command = command, .timeout_s = 1};
    struct pl_error err = {0};
    struct pl_exec *exec;

    (void)state;
    assert_int_equal(pl_exec_create(&opts, &exec), PL_OK);
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_non_null(strstr(pl_exec_why(exec), "start '/no/such/program': No such file"));
    assert_int_equal(pl_exec_broken(exec, &err), PL_EIO);
    pl_assert_says(&err, "the verifier '/no/such/program -x' (reward.exec.command) is of no use, "
                         "tried 3 times: start '/no/such/program': No such file or directory");
    assert_int_equal(pl_exec_broken(exec, &err), PL_OK); /* said once, it may be tried again */
    pl_exec_destroy(exec);
    exec = open_script("echo >>$0/starts; exit 7", 20, 0);
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_int_equal(pl_exec_broken(exec, &err), PL_EIO);
    assert_non_null(strstr(err.text, "tried 3 times: it ended with status 7"));
    assert_int_equal(count("starts"), 3);
    pl_exec_destroy(exec);
}

static void programs_that_never_answer(void **state)
{
    struct pl_exec *exec = open_script("read -r line; exit 5", 20, 0);
    struct pl_error err = {0};

    (void)state;
    for (size_t i = 0; i < 6; i++) { /* 3 tries each */
        assert_int_equal(pl_exec_broken(exec, &err), PL_OK);
        assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    }
    assert_int_equal(pl_exec_broken(exec, &err), PL_EIO);
    assert_non_null(strstr(err.text, "has answered none of 16 questions; verifier failed: it ended "
                                     "with status 5"));
    pl_exec_destroy(exec);
    exec = open_script(UNLESS_YES "exit 5" END, 20, 0); /* one that did is kept */
    assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_int_equal(pl_exec_broken(exec, &err), PL_OK);
    assert_int_equal(pl_exec_failures(exec), 20);
    pl_exec_destroy(exec);
}

static void count_up(void *at)
{
    ++*(size_t *)at;
}

/* Whoever must show that it lives can do so before each question. */
static void a_pulse_goes_before_each_question(void **state)
{
    char *command[] = {(char *)"sh", (char *)"-c", (char *)"while read -r line; do " RIGHT "; done",
                       NULL};
    size_t pulses = 0;
    const struct pl_exec_opts opts = {
        .command = command, .timeout_s = 20, .pulse = count_up, .at = &pulses};
    struct pl_exec *exec;

    (void)state;
    assert_int_equal(pl_exec_create(&opts, &exec), PL_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(exec, "yes"), PL_VERDICT_RIGHT);
    assert_int_equal(pulses, 3);
    pl_exec_destroy(exec);
}

/* What fails once may do the next time: the same question, a new process. */
static void what_fails_is_asked_again(void **state)
{
    struct pl_exec *exec = open_script("echo >>$0/starts; read -r line; "
                                       "[ $(wc -l <$0/starts) -lt 3 ] || " RIGHT "; read -r line",
                                       0.3, 0);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_RIGHT);
    assert_string_equal(pl_exec_why(exec), "");
    assert_int_equal(pl_exec_failures(exec), 0);
    assert_int_equal(count("starts"), 3);
    pl_exec_destroy(exec);
}

/* A process that asks, which is killed: nothing of the program is left, however it hid. */
static void nothing_outlives_who_asked(void **state)
{
    const struct timespec pause = {0, 10000000};
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct pl_exec *exec =
            open_script(HIDE RIGHT "; read -r line; echo >$0/ready; sleep 300", 300, 0);

        (void)ask(exec, "x");
        (void)ask(exec, "y");
        _exit(1);
    }
    assert_true(pid > 0);
    while (access(pl_scratch("ready"), F_OK) != 0) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    unlink(pl_scratch("ready"));
    all_gone(HIDDEN);
}

/* It stops itself, or what watches it: the time is over, and both are ended all the same. */
static void programs_that_stop(void **state)
{
    struct pl_exec *exec = open_script("read -r line; kill -STOP $$; sleep 300", 0.2, 0);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_string_equal(pl_exec_why(exec), "verifier timed out after 0.2 s");
    pl_exec_destroy(exec);
    exec = open_script("read -r line; kill -STOP $PPID; sleep 300", 0.2, 0);
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_string_equal(pl_exec_why(exec), "verifier timed out after 0.2 s");
    pl_exec_destroy(exec);
    exec = open_script("read -r line; kill -KILL $PPID; sleep 300", 20, 0);
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    assert_string_equal(pl_exec_why(exec), "verifier failed: it was killed, and what watches it");
    pl_exec_destroy(exec);
}

/* Processes that start others as fast as they can, and end: as many as it may have. */
static void a_bomb_of_processes(void **state)
{
    struct pl_exec *exec =
        open_script("read -r line; echo $$ >>$0/pids; b() { [ $1 -eq 0 ] || { b $(($1 - 1)) & "
                    "b $(($1 - 1)) & (sleep 300; :) & }; }; b 6; sleep 300",
                    0.5, 0);

    (void)state;
    assert_int_equal(ask(exec, "x"), PL_VERDICT_NONE);
    pl_exec_destroy(exec);
    all_gone(1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody was left to us */
}

/* ---- in rewards ---- */

#define T    "<think>t</think>"
#define A(x) "<answer>" x "</answer>"

static int score(const struct pl_reward_opts *opts, const char *text, struct pl_reward_room *room,
                 struct pl_score *ret_score, struct pl_error *err)
{
    size_t ends[1024];
    const size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        ends[i] = i + 1;
    return pl_reward_score(opts, &task, PL_METHOD_INTERLEAVE, text, len, ends, len, room, ret_score,
                           err);
}

/* No score, for the time that it took. */
static void no_verdict(const struct pl_reward_opts *opts, const char *text, size_t asked)
{
    struct pl_reward_room *room = malloc(sizeof *room);
    const uint64_t before = pl_exec_failures(opts->exec);
    struct pl_error err = {0};
    struct pl_score s;

    assert_int_equal(score(opts, text, room, &s, &err), PL_EAGAIN);
    pl_assert_says(&err, "verifier timed out after 0.4 s");
    assert_true(s.final == 0.0f && s.format == 0.0f && s.segment_count == 0);
    assert_int_equal(count("asked"), asked);
    assert_int_equal(pl_exec_failures(opts->exec), before + 1);
    free(room);
}

static void rewards(void **state)
{
    struct pl_reward_opts opts = PL_REWARD_DEFAULTS;
    struct pl_reward_room *room = malloc(sizeof *room);
    struct pl_error err = {0};
    struct pl_score s;
    char *command[] = {(char *)"cat", NULL};

    (void)state;
    assert_int_equal(pl_reward_check(&opts, &task, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "task 't' asks for the verifier 'exec', but "
                                     "'reward.exec.command' names no program"));
    opts.program.command = command;
    assert_int_equal(pl_reward_check(&opts, &task, &err), PL_OK);
    assert_int_equal(score(&opts, T A("b") T A("yes"), room, &s, &err), PL_EAGAIN);
    opts.exec = open_script("while read -r line; do echo >>$0/asked; case $line in"
                            " *'\"response\":\"late\"'*) sleep 30;;"
                            " *'\"response\":\"?\"'*) echo '{\"verdict\":\"unparsed\"}';;"
                            " *'\"answer\":\"yes\"'*'\"response\":\"yes\"'*) " RIGHT ";;"
                            " *'\"answer\":\"two\"'*'\"response\":\"b\"'*'\"step\":2'*) " RIGHT ";;"
                            " *) echo '{\"correct\":false}';; esac; done",
                            0.4, 0);
    assert_int_equal(score(&opts, T A("b") T A("yes"), room, &s, &err), PL_OK);
    assert_int_equal(s.verdict, PL_VERDICT_RIGHT);
    assert_int_equal(s.steps_right, 1);
    assert_int_equal(s.segments[1].step, 1);
    assert_string_equal(s.why, "");
    assert_int_equal(count("asked"), 3);
    no_verdict(&opts, T A("b") T A("late"), 3);       /* the rest was not asked about */
    no_verdict(&opts, T A("late") T A("yes"), 4);     /* an intermediate one */
    no_verdict(&opts, T A("late") T A("yes") "x", 3); /* of no valid form */
    assert_int_equal(score(&opts, T A("b") T A("?"), room, &s, &err), PL_OK); /* it said so */
    assert_true(s.verdict == PL_VERDICT_UNPARSED && s.final == -2.0f && s.steps_right == 1);
    assert_int_equal(score(&opts, T A("b") T A("yes"), room, &s, &err), PL_OK);
    assert_true(s.verdict == PL_VERDICT_RIGHT && s.steps_right == 1 && !s.why[0]);
    pl_exec_destroy(opts.exec);
    free(room);
}

/* Threads have a process each. */
static void *ask_often(void *at)
{
    struct pl_exec *exec = at;
    size_t right = 0;

    for (size_t i = 0; i < 10; i++) {
        right += ask(exec, "yes") == PL_VERDICT_RIGHT;
        right += ask(exec, "no") == PL_VERDICT_NONE;
    }
    return (void *)right;
}

static void threads(void **state)
{
    static const char script[] =
        "while read -r line; do case $line in *'\"response\":\"yes\"'*) " RIGHT ";;"
        " *) exit 1;; esac; done";
    pthread_t ids[3];
    struct pl_exec *execs[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        execs[i] = open_script(script, 60, 0);
        assert_int_equal(pthread_create(&ids[i], NULL, ask_often, execs[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        void *right;

        pthread_join(ids[i], &right);
        assert_int_equal((size_t)right, 20);
        assert_int_equal(pl_exec_failures(execs[i]), 10);
        pl_exec_destroy(execs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(answers),
        cmocka_unit_test(one_process_answers_many),
        cmocka_unit_test(a_program_may_end_behind_its_answer),
        cmocka_unit_test(long_questions),
        cmocka_unit_test(the_example_of_the_readme),
        cmocka_unit_test(what_goes_wrong_has_a_name),
        cmocka_unit_test(programs_that_do_not_read),
        cmocka_unit_test(a_start_has_time_of_its_own),
        cmocka_unit_test(late_lines_are_not_taken),
        cmocka_unit_test(its_children_end_with_it),
        cmocka_unit_test(limits_are_set),
        cmocka_unit_test(nothing_is_inherited),
        cmocka_unit_test(memory_runs_out_for_it_alone),
        cmocka_unit_test(programs_that_cannot_be_started),
        cmocka_unit_test(programs_that_never_answer),
        cmocka_unit_test(a_pulse_goes_before_each_question),
        cmocka_unit_test(what_fails_is_asked_again),
        cmocka_unit_test(nothing_outlives_who_asked),
        cmocka_unit_test(programs_that_stop),
        cmocka_unit_test(a_bomb_of_processes),
        cmocka_unit_test(rewards),
        cmocka_unit_test(threads),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
