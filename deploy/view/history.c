#include "deploy/view/history.h"

#include "common/base/buf.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *key;
    size_t at;
} fields[] = {
    {"timing_s/step", offsetof(struct pl_history_pace, step_s)},
    {"timing_s/wait", offsetof(struct pl_history_pace, wait_s)},
    {"perf/total_num_tokens", offsetof(struct pl_history_pace, tokens)},
    {"critic/score/mean", offsetof(struct pl_history_pace, reward)},
    {"interleave/accuracy", offsetof(struct pl_history_pace, accuracy)},
    {"interleave/format_ok", offsetof(struct pl_history_pace, format)},
    {"interleave/ttfa", offsetof(struct pl_history_pace, ttfa)},
    {"response_length/mean", offsetof(struct pl_history_pace, length)},
    {"interleave/gate", offsetof(struct pl_history_pace, gate)},
    {"frac_reward_zero_std", offsetof(struct pl_history_pace, no_signal)},
    {"sampling/sampling_logp_difference/off_tokens", offsetof(struct pl_history_pace, off_tokens)},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static double *field(struct pl_history_pace *pace, size_t i)
{
    return (double *)(void *)((char *)pace + fields[i].at);
}

void pl_history_init(struct pl_history *history, const char *dir)
{
    *history = (struct pl_history){.path = pl_strf("%s/metrics.jsonl", dir)};
}

static void forget(struct pl_history *h)
{
    json_decref(h->step);
    json_decref(h->eval);
    h->step = h->eval = NULL;
    h->steps = h->eval_count = 0;
    h->at = 0;
}

static void shut(struct pl_history *h)
{
    if (h->file)
        fclose(h->file);
    h->file = NULL;
}

void pl_history_release(struct pl_history *history)
{
    forget(history);
    shut(history);
    free(history->path);
    *history = (struct pl_history){0};
}

double pl_history_number(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool opened(struct pl_history *h)
{
    struct stat st;

    if (h->file)
        return true;
    h->file = h->path ? fopen(h->path, "re") : NULL;
    if (!h->file)
        return false;
    if (fstat(fileno(h->file), &st) == 0 && (st.st_ino != h->inode || st.st_size < h->at)) {
        forget(h);
        h->inode = st.st_ino;
    }
    return fseeko(h->file, h->at, SEEK_SET) == 0;
}

static void keep_step(struct pl_history *h, json_t *line)
{
    struct pl_history_pace *pace = &h->recent[h->steps++ % PL_HISTORY_RECENT];

    for (size_t i = 0; i < FIELDS; i++)
        *field(pace, i) = pl_history_number(line, fields[i].key);
    json_decref(h->step);
    h->step = line;
}

static void keep_eval(struct pl_history *h, json_t *line)
{
    const double step = pl_history_number(line, "training/global_step");

    if (h->eval_count == PL_HISTORY_EVALS)
        memmove(h->evals, h->evals + 1, --h->eval_count * sizeof *h->evals);
    h->evals[h->eval_count++] = (struct pl_history_eval){
        step >= 0 ? (uint64_t)step : 0, pl_history_number(line, "val-core/acc"),
        pl_history_number(line, "interleave/format_ok"),
        pl_history_number(line, "interleave/ttfa")};
    json_decref(h->eval);
    h->eval = line;
}

/* A whole line as JSON; NULL and false: there is none by now. */
static bool read_line(struct pl_history *h, json_t **ret_line)
{
    char *text = NULL;
    size_t cap = 0;
    const ssize_t len = getline(&text, &cap, h->file);
    const bool whole = len > 0 && text[len - 1] == '\n';

    *ret_line = NULL;
    if (whole) {
        h->at += len;
        *ret_line = json_loadb(text, (size_t)len, 0, NULL);
    }
    free(text);
    return whole;
}

enum pl_history_line pl_history_next(struct pl_history *history)
{
    json_t *line;

    if (!opened(history))
        return PL_HISTORY_NONE;
    while (read_line(history, &line)) {
        const bool eval = json_object_get(line, "val-core/acc") != NULL;

        if (!json_is_object(line)) {
            json_decref(line);
            continue;
        }
        if (eval)
            keep_eval(history, line);
        else
            keep_step(history, line);
        return eval ? PL_HISTORY_EVAL : PL_HISTORY_STEP;
    }
    shut(history);
    return PL_HISTORY_NONE;
}

struct pl_history_pace pl_history_mean(const struct pl_history *history)
{
    const size_t n = history->steps < PL_HISTORY_RECENT ? history->steps : PL_HISTORY_RECENT;
    struct pl_history_pace mean;

    for (size_t i = 0; i < FIELDS; i++) {
        double sum = 0.0;
        size_t said = 0;

        for (size_t k = 0; k < n; k++) {
            struct pl_history_pace pace = history->recent[k];

            if (isfinite(*field(&pace, i))) {
                sum += *field(&pace, i);
                said++;
            }
        }
        *field(&mean, i) = said > 0 ? sum / (double)said : NAN;
    }
    return mean;
}
