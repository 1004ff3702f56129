#include "rewarder/exec.h"

#include "common/base/json.h"
#include "rewarder/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STARTS_MAX = 3, UNANSWERED_MAX = 16 };
enum { START_TIMES = 3 }; /* time-outs that a new process has until it begins to read */

struct pl_exec {
    struct pl_exec_opts opts;
    struct pl_child child;
    struct pl_buf question, answer;
    char why[128];     /* of the response under way */
    uint64_t failures; /* responses */
    size_t unanswered; /* times that it was asked before it first answered */
    bool answered;     /* any question */
    char broken[240];  /* "" while it is of use */
};

int pl_exec_create(const struct pl_exec_opts *opts, struct pl_exec **ret_exec)
{
    struct pl_exec *e = calloc(1, sizeof *e);

    if (!e)
        return PL_ENOMEM;
    e->opts = *opts;
    pl_buf_init(&e->question, PL_EXEC_QUESTION_MAX);
    pl_buf_init(&e->answer, PL_CHILD_LINE_MAX);
    *ret_exec = e;
    return PL_OK;
}

void pl_exec_destroy(struct pl_exec *exec)
{
    if (!exec)
        return;
    pl_child_stop(&exec->child);
    pl_buf_release(&exec->question);
    pl_buf_release(&exec->answer);
    free(exec);
}

/* ---- the lines ---- */

static int quote(struct pl_buf *out, const char *key, const char *text)
{
    const int rc = pl_buf_puts(out, key);

    return rc < 0 ? rc : pl_json_quote(out, text, strlen(text));
}

static int put_aliases(struct pl_buf *out, const struct pl_truth *truth)
{
    int rc = pl_buf_puts(out, ",\"aliases\":[");

    for (size_t i = 0; rc == PL_OK && i < truth->alias_count; i++)
        rc = quote(out, i > 0 ? "," : "", truth->aliases[i]);
    return rc < 0 ? rc : pl_buf_puts(out, "]");
}

/* The task's `meta` as it came, {} where it has none. */
static int put_meta(struct pl_buf *out, const struct pl_task *task)
{
    json_t *root = NULL, *meta;
    char *text = NULL;
    int rc;

    if (task->line_len > 0 &&
        pl_json_parse(task->line, task->line_len, "a task", &root, NULL) == PL_ENOMEM)
        return PL_ENOMEM;
    meta = json_object_get(root, "meta");
    if (meta) {
        text = json_dumps(meta, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        if (!text) {
            json_decref(root);
            return PL_ENOMEM;
        }
    }
    rc = pl_buf_puts(out, ",\"meta\":");
    if (rc == PL_OK)
        rc = pl_buf_puts(out, text ? text : "{}");
    free(text);
    json_decref(root);
    return rc;
}

int pl_exec_question(const struct pl_task *task, size_t step, const char *text, size_t len,
                     struct pl_buf *out)
{
    const struct pl_truth *truth = step > 0 ? &task->steps[step - 1] : &task->final;
    int rc = quote(out, "{\"id\":", task->id);

    if (rc == PL_OK)
        rc = quote(out, ",\"question\":", task->question);
    if (rc == PL_OK)
        rc = quote(out, ",\"answer\":", truth->answer);
    if (rc == PL_OK)
        rc = put_aliases(out, truth);
    if (rc == PL_OK)
        rc = pl_buf_puts(out, ",\"response\":");
    if (rc == PL_OK)
        rc = pl_json_quote(out, text, len);
    if (rc == PL_OK)
        rc = step > 0 ? pl_buf_printf(out, ",\"step\":%zu", step)
                      : pl_buf_puts(out, ",\"step\":null");
    if (rc == PL_OK)
        rc = put_meta(out, task);
    return rc < 0 ? rc : pl_buf_puts(out, "}\n");
}

static int read_verdict(const json_t *root, enum pl_verdict *ret_verdict, struct pl_error *err)
{
    static const char *const names[] = {[PL_VERDICT_RIGHT] = "right",
                                        [PL_VERDICT_WRONG] = "wrong",
                                        [PL_VERDICT_UNPARSED] = "unparsed"};
    const json_t *verdict = json_object_get(root, "verdict");
    const json_t *correct = json_object_get(root, "correct");
    const char *name = json_string_value(verdict);

    if (json_is_boolean(correct) && !verdict) {
        *ret_verdict = json_is_true(correct) ? PL_VERDICT_RIGHT : PL_VERDICT_WRONG;
        return PL_OK;
    }
    for (int v = PL_VERDICT_RIGHT; name && !correct && v <= PL_VERDICT_UNPARSED; v++)
        if (strcmp(name, names[v]) == 0) {
            *ret_verdict = (enum pl_verdict)v;
            return PL_OK;
        }
    return pl_fail(err, PL_EFORMAT,
                   "it has not either \"verdict\", right, wrong or unparsed, or \"correct\", true "
                   "or false");
}

int pl_exec_answer(const char *line, size_t len, enum pl_verdict *ret_verdict, struct pl_error *err)
{
    json_t *root = NULL;
    int rc = pl_json_parse(line, len, "an answer", &root, err);

    if (rc < 0)
        return rc;
    rc = read_verdict(root, ret_verdict, err);
    json_decref(root);
    return rc;
}

/* ---- asking ---- */

void pl_exec_begin(struct pl_exec *exec)
{
    exec->why[0] = '\0';
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(size_t tries)
{
    const struct timespec pause = {0, 50000000 * (long)tries};

    nanosleep(&pause, NULL);
}

/* One question, with what is left of its time. */
struct ask {
    double begin, limit_s, start_s; /* from begin on */
    enum pl_child_outcome outcome;
    char why[96];
};

static void ask_child(struct pl_exec *e, struct ask *a)
{
    const double gone = seconds() - a->begin;

    a->outcome = pl_child_ask(&e->child, e->question.data, e->question.len, a->limit_s,
                              a->start_s > gone ? a->start_s - gone : 0.0, &e->answer, a->why);
}

/* One question to a child that is there, or to a new one if the child had nothing more to say.
 * False: a new one came to nothing without having read it. */
static bool ask_once(struct pl_exec *e, struct ask *a)
{
    struct pl_error err = {0};
    const bool used = e->child.lines > 0;

    if (e->child.pid > 0) {
        ask_child(e, a);
        if (!used || (a->outcome != PL_CHILD_STALE && a->outcome != PL_CHILD_UNTOUCHED))
            return a->outcome != PL_CHILD_UNTOUCHED;
    }
    if (pl_child_start(e->opts.command, e->opts.memory_max, &e->child, &err) < 0) {
        snprintf(a->why, sizeof a->why, "%.95s", err.text);
        return false;
    }
    ask_child(e, a);
    return a->outcome != PL_CHILD_UNTOUCHED;
}

/* The verdict of a line that came; NONE: it is no answer, and the program is stopped. */
static enum pl_verdict decide(struct pl_exec *e)
{
    const char *line = e->answer.data ? e->answer.data : "";
    enum pl_verdict verdict;

    if (pl_exec_answer(line, e->answer.len, &verdict, NULL) == PL_OK) {
        e->answered = true;
        return verdict;
    }
    snprintf(e->why, sizeof e->why, "verifier failed: its line is no answer: %.60s", line);
    for (char *at = e->why; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    pl_child_stop(&e->child);
    return PL_VERDICT_NONE;
}

/* One try. NONE: it came to nothing, `why` says how. */
static enum pl_verdict try(struct pl_exec *e)
{
    struct ask a = {.limit_s = e->opts.timeout_s,
                    .start_s = START_TIMES * e->opts.timeout_s,
                    .outcome = PL_CHILD_GONE};
    enum pl_verdict verdict = PL_VERDICT_NONE;
    size_t starts = 0;

    if (e->opts.pulse)
        e->opts.pulse(e->opts.at);
    a.begin = seconds();
    while (!ask_once(e, &a) && ++starts < STARTS_MAX)
        nap(starts);
    if (starts < STARTS_MAX && a.outcome == PL_CHILD_ANSWERED)
        verdict = decide(e);
    else if (a.outcome == PL_CHILD_LATE)
        snprintf(e->why, sizeof e->why, "verifier timed out after %g s", a.limit_s);
    else
        snprintf(e->why, sizeof e->why, "verifier failed: %s", a.why);
    if (starts == STARTS_MAX)
        snprintf(e->broken, sizeof e->broken, "is of no use, tried %d times: %s", STARTS_MAX,
                 a.why);
    else if (verdict == PL_VERDICT_NONE && !e->answered && ++e->unanswered >= UNANSWERED_MAX &&
             !e->broken[0])
        snprintf(e->broken, sizeof e->broken, "has answered none of %d questions; %s",
                 UNANSWERED_MAX, e->why);
    return verdict;
}

enum pl_verdict pl_exec_ask(struct pl_exec *exec, const struct pl_task *task, size_t step,
                            const char *text, size_t len)
{
    enum pl_verdict verdict = PL_VERDICT_NONE;
    int rc;

    if (exec->why[0])
        return PL_VERDICT_NONE;
    pl_buf_clear(&exec->question);
    rc = pl_exec_question(task, step, text, len, &exec->question);
    if (rc == PL_EFULL)
        return PL_VERDICT_UNPARSED;
    if (rc < 0)
        snprintf(exec->why, sizeof exec->why, "verifier was not asked: no memory for the question");
    for (int tries = 0;
         rc == PL_OK && verdict == PL_VERDICT_NONE && !exec->broken[0] && tries < PL_EXEC_TRIES;
         tries++)
        verdict = try(exec);
    if (verdict != PL_VERDICT_NONE)
        exec->why[0] = '\0'; /* of an earlier try */
    else
        exec->failures++;
    return verdict;
}

const char *pl_exec_why(const struct pl_exec *exec)
{
    return exec->why;
}

uint64_t pl_exec_failures(const struct pl_exec *exec)
{
    return exec->failures;
}

/* The command as it would be typed, cut off where it is long. */
static void spell(char *const *command, char text[200])
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; command[i] && len < 199; i++)
        len += (size_t)snprintf(text + len, 200 - len, "%s%s", i > 0 ? " " : "", command[i]);
}

int pl_exec_broken(struct pl_exec *exec, struct pl_error *err)
{
    char command[200];

    if (!exec->broken[0])
        return PL_OK;
    spell(exec->opts.command, command);
    pl_fail(err, PL_EIO, "the verifier '%s' (reward.exec.command) %s", command, exec->broken);
    exec->broken[0] = '\0';
    exec->unanswered = 0;
    return PL_EIO;
}
