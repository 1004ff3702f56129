#include "learner/report.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/text/utf8.h"
#include "proto/task.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 56, LINE_MAX_BYTES = 64 << 20 };

/* One step's metrics, to both places. */
struct line {
    struct pl_metrics *metrics;
    struct pl_field fields[FIELDS_MAX];
    char names[FIELDS_MAX][160], values[FIELDS_MAX][32];
    size_t count;
};

static void real(struct line *l, const char *name, double value)
{
    pl_metrics_real(l->metrics, name, value);
    if (l->count == FIELDS_MAX)
        return;
    snprintf(l->names[l->count], sizeof l->names[0], "%s", name);
    snprintf(l->values[l->count], sizeof l->values[0], "%.9g", value);
    l->fields[l->count] = (struct pl_field){l->names[l->count], l->values[l->count]};
    l->count++;
}

static int finish(struct line *l, struct pl_queues *stream, struct pl_error *err)
{
    const int rc = pl_metrics_end(l->metrics, err);

    return rc < 0 ? rc : pl_queues_metrics(stream, l->fields, l->count, err);
}

struct spread {
    double sum, least, most;
    size_t n;
};

static void take(struct spread *s, double value)
{
    s->least = s->n == 0 || value < s->least ? value : s->least;
    s->most = s->n == 0 || value > s->most ? value : s->most;
    s->sum += value;
    s->n++;
}

static void put_spread(struct line *l, const char *name, const struct spread *s)
{
    char full[96];

    if (s->n == 0)
        return;
    snprintf(full, sizeof full, "%s/mean", name);
    real(l, full, s->sum / (double)s->n);
    snprintf(full, sizeof full, "%s/max", name);
    real(l, full, s->most);
    snprintf(full, sizeof full, "%s/min", name);
    real(l, full, s->least);
}

/* What can be said of samples without having trained on them. */
struct view {
    struct spread score, length, right_length, wrong_length;
    double right, formatted, clipped, ttfa, ttfa_tokens, answers, steps, steps_right;
    size_t n, with_answer, paid;
};

static void look(struct view *v, const struct pl_rollout *r, double score, bool gate)
{
    const struct pl_score *s = &r->score;
    const bool right = s->verdict == PL_VERDICT_RIGHT;

    v->n++;
    take(&v->score, score);
    take(&v->length, (double)r->len);
    take(right ? &v->right_length : &v->wrong_length, (double)r->len);
    v->right += right;
    v->formatted += s->format_ok;
    v->clipped += r->finish == PL_SAMPLE_LENGTH;
    v->steps += s->steps;
    v->steps_right += s->steps_right;
    v->paid += gate && s->intermediate > 0.0f;
    for (size_t i = 0; i < s->segment_count; i++)
        v->answers += s->segments[i].kind == PL_SEGMENT_ANSWER;
    if (s->first_answer >= 0) {
        v->with_answer++;
        v->ttfa_tokens += s->first_answer;
        v->ttfa += (double)s->first_answer / (double)r->len;
    }
}

static void put_view(struct line *l, const struct view *v)
{
    const double n = (double)v->n, m = (double)v->with_answer;

    put_spread(l, "response_length", &v->length);
    real(l, "response_length/clip_ratio", v->clipped / n);
    real(l, "interleave/format_ok", v->formatted / n);
    if (v->with_answer > 0) {
        real(l, "interleave/ttfa", v->ttfa / m);
        real(l, "interleave/ttfa_tokens", v->ttfa_tokens / m);
    }
    real(l, "interleave/num_answers", v->answers / n);
    if (v->steps > 0.0)
        real(l, "interleave/intermediate_acc", v->steps_right / v->steps);
    if (v->right_length.n > 0)
        real(l, "interleave/response_length_right",
             v->right_length.sum / (double)v->right_length.n);
    if (v->wrong_length.n > 0)
        real(l, "interleave/response_length_wrong",
             v->wrong_length.sum / (double)v->wrong_length.n);
}

static void put_update(struct line *l, const struct pl_report_step *step)
{
    const struct pl_update_stats *u = step->update;
    const struct pl_policy_stats *p = &u->policy;
    const double tokens = p->tokens > 0 ? (double)p->tokens : 1.0;

    real(l, "actor/pg_loss", p->pg_loss);
    real(l, "actor/pg_clipfrac", p->clipped / tokens);
    real(l, "actor/pg_clipfrac_lower", p->clipped_low / tokens);
    real(l, "actor/ppo_kl", p->minus_l / tokens);
    real(l, "actor/kl_loss", p->kl_loss);
    if (p->entropy > 0.0)
        real(l, "actor/entropy", p->entropy / tokens);
    real(l, "actor/grad_norm", u->grad_norm);
    real(l, "actor/lr", u->lr);
    real(l, "actor/reward_kl_penalty", u->kl);
    real(l, "actor/reward_kl_penalty_coeff", step->kl_coef);
    real(l, "sampling/sampling_logp_difference/max", step->logp_difference);
}

int pl_report_train(struct pl_metrics *metrics, struct pl_queues *stream,
                    const struct pl_report_step *step, struct pl_error *err)
{
    const struct pl_rollouts *r = step->rollouts;
    struct line line = {.metrics = metrics};
    struct view view = {0};
    struct spread adv = {0}, prompt = {0};
    double generate_s = 0.0;

    for (size_t i = 0; i < r->samples; i++)
        look(&view, r->list[i], r->scores[i], r->gate);
    for (size_t t = 0; t < r->tokens; t++)
        take(&adv, (double)r->advantages[t]);
    for (size_t g = 0; g < r->group_count; g++) {
        take(&prompt, (double)r->groups[g].prompt_len);
        generate_s += (double)r->groups[g].generate_s;
    }
    pl_metrics_begin(metrics, step->step);
    real(&line, "training/epoch", (double)step->epoch);
    put_spread(&line, "critic/score", &view.score);
    put_spread(&line, "critic/advantages", &adv);
    put_spread(&line, "prompt_length", &prompt);
    put_view(&line, &view);
    real(&line, "interleave/accuracy", r->accuracy);
    real(&line, "interleave/accuracy_before", step->previous);
    real(&line, "interleave/gate", r->gate);
    real(&line, "interleave/intermediate_gate",
         view.n > 0 ? (double)view.paid / (double)view.n : 0.0);
    real(&line, "frac_reward_zero_std",
         r->group_count > 0 ? (double)step->update->zero_spread / (double)r->group_count : 0.0);
    put_update(&line, step);
    real(&line, "training/off_policy/staleness", (double)step->staleness);
    real(&line, "training/dropped_groups", (double)step->dropped);
    real(&line, "timing_s/gen", generate_s);
    real(&line, "timing_s/wait", step->wait_s);
    real(&line, "timing_s/ref", step->update->reference_s);
    real(&line, "timing_s/update_actor", step->update->update_s);
    real(&line, "timing_s/update_weights", step->publish_s);
    real(&line, "timing_s/step", step->step_s);
    real(&line, "perf/total_num_tokens", (double)r->tokens);
    real(&line, "perf/throughput", step->step_s > 0.0 ? (double)r->tokens / step->step_s : 0.0);
    return finish(&line, stream, err);
}

/* ---- evaluation ---- */

/* Right answers of one source, and of one level of it (NULL: all levels). */
static void put_accuracy(struct line *l, const struct pl_rollouts *r, const struct pl_task *tasks,
                         const char *source, const char *level)
{
    size_t n = 0, right = 0, per_group = 1;
    char name[160];

    for (size_t g = 0; g < r->group_count; g++) {
        if (strcmp(tasks[g].source, source) != 0 || (level && strcmp(tasks[g].level, level) != 0))
            continue;
        per_group = r->groups[g].samples;
        for (size_t s = 0; s < per_group; s++, n++)
            right += r->groups[g].rollouts[s].score.verdict == PL_VERDICT_RIGHT;
    }
    if (n == 0)
        return;
    snprintf(name, sizeof name, "val-core/%.32s%s%.16s/acc/mean@%zu", source, level ? "-" : "",
             level ? level : "", per_group);
    real(l, name, (double)right / (double)n);
}

/* Each source once, then each of its levels once. */
static void put_accuracies(struct line *l, const struct pl_rollouts *r, const struct pl_task *tasks)
{
    for (size_t g = 0; g < r->group_count; g++) {
        bool source = true, level = tasks[g].level[0] != '\0';

        for (size_t k = 0; k < g; k++) {
            const bool same = strcmp(tasks[k].source, tasks[g].source) == 0;

            source = source && !same;
            level = level && !(same && strcmp(tasks[k].level, tasks[g].level) == 0);
        }
        if (source)
            put_accuracy(l, r, tasks, tasks[g].source, NULL);
        if (level)
            put_accuracy(l, r, tasks, tasks[g].source, tasks[g].level);
    }
}

int pl_report_val(struct pl_metrics *metrics, struct pl_queues *stream, uint64_t step,
                  const struct pl_rollouts *rollouts, struct pl_error *err)
{
    struct pl_task *tasks = calloc(rollouts->group_count + 1, sizeof *tasks);
    struct line line = {.metrics = metrics};
    struct view view = {0};
    int rc = tasks ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for an evaluation");

    for (size_t g = 0; rc == PL_OK && g < rollouts->group_count; g++)
        rc = pl_task_parse(rollouts->groups[g].task, rollouts->groups[g].task_len, "a task",
                           &tasks[g], err);
    for (size_t i = 0; rc == PL_OK && i < rollouts->samples; i++)
        look(&view, rollouts->list[i], rollouts->scores[i], true);
    if (rc == PL_OK) {
        pl_metrics_begin(metrics, step);
        real(&line, "val-core/acc", view.right / (double)view.n);
        put_accuracies(&line, rollouts, tasks);
        real(&line, "val-aux/score", view.score.sum / (double)view.n);
        put_view(&line, &view);
        rc = finish(&line, stream, err);
    }
    for (size_t g = 0; tasks && g < rollouts->group_count; g++)
        pl_task_release(&tasks[g]);
    free(tasks);
    return rc;
}

/* ---- rollouts ---- */

static const char *const verdicts[] = {"none", "right", "wrong", "unparsed"};
static const char *const kinds[] = {"think", "answer"};

static json_t *segments_of(const struct pl_score *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->segment_count; i++) {
        const struct pl_segment *g = &s->segments[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:[i,i], s:i, s:s}", "kind", kinds[g->kind],
                                        "tokens", (int)g->token_begin, (int)g->token_end, "step",
                                        (int)g->step, "verdict", verdicts[g->verdict]));
    }
    return list;
}

/* Valid UTF-8, whatever the model said: ids that are no tokens are U+FFFD. */
static int text_of(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                   struct pl_buf *buf, struct pl_error *err)
{
    struct pl_buf bytes;
    int rc = PL_OK;

    pl_buf_clear(buf);
    pl_buf_init(&bytes, LINE_MAX_BYTES);
    for (size_t i = 0; rc == PL_OK && i < n; i++) {
        size_t len;
        const char *token = pl_tokenizer_bytes(tokenizer, ids[i], &len);

        rc = token ? pl_buf_append(&bytes, token, len) : pl_buf_puts(&bytes, PL_UTF8_REPLACEMENT);
    }
    if (rc == PL_OK && bytes.len > 0)
        rc = pl_utf8_repair(bytes.data, bytes.len, buf);
    pl_buf_release(&bytes);
    return rc < 0 ? pl_fail(err, rc, "no memory to write rollouts") : PL_OK;
}

static json_t *sample_json(const struct pl_rollouts *r, size_t g, size_t s, const char *prompt,
                           const char *response)
{
    const struct pl_rollout_group *group = &r->groups[g];
    const struct pl_rollout *rollout = &group->rollouts[s];
    const struct pl_score *score = &rollout->score;
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(group, id);
    return json_pack(
        "{s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:b, s:b, s:s, s:i, s:i, "
        "s:i, s:i, s:s, s:o}",
        "group", id, "sample", (int)s, "version", (json_int_t)group->version, "actor", group->actor,
        "finish_reason", rollout->finish == PL_SAMPLE_STOP ? "stop" : "length", "prompt", prompt,
        "response", response, "reward", r->scores[r->group_first[g] + s], "reward_format",
        (double)score->format, "reward_final", (double)score->final, "reward_intermediate",
        (double)score->intermediate, "reward_extra", (double)score->extra, "gate", (int)r->gate,
        "format_ok", (int)score->format_ok, "verdict", verdicts[score->verdict], "steps",
        (int)score->steps, "steps_right", (int)score->steps_right, "first_answer",
        (int)score->first_answer, "tokens", (int)rollout->len, "why", score->why, "segments",
        segments_of(score));
}

static int write_sample(struct pl_outfile *out, json_t *json, struct pl_error *err)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    int rc;

    json_decref(json);
    if (!text)
        return pl_fail(err, PL_ENOMEM, "no memory to write rollouts");
    rc = pl_outfile_write(out, text, strlen(text), err);
    if (rc == PL_OK)
        rc = pl_outfile_write(out, "\n", 1, err);
    free(text);
    return rc;
}

static int write_group(struct pl_outfile *out, const struct pl_rollouts *r, size_t g,
                       const struct pl_tokenizer *tokenizer, struct pl_error *err)
{
    const struct pl_rollout_group *group = &r->groups[g];
    struct pl_buf prompt, response;
    int rc;

    pl_buf_init(&prompt, LINE_MAX_BYTES);
    pl_buf_init(&response, LINE_MAX_BYTES);
    rc = text_of(tokenizer, group->prompt, group->prompt_len, &prompt, err);
    for (size_t s = 0; rc == PL_OK && s < group->samples; s++) {
        rc = text_of(tokenizer, group->rollouts[s].ids, group->rollouts[s].len, &response, err);
        if (rc == PL_OK)
            rc = write_sample(out,
                              sample_json(r, g, s, prompt.data ? prompt.data : "",
                                          response.data ? response.data : ""),
                              err);
    }
    pl_buf_release(&prompt);
    pl_buf_release(&response);
    return rc;
}

int pl_report_rollouts(const char *dir, const char *name, const struct pl_rollouts *rollouts,
                       const struct pl_tokenizer *tokenizer, struct pl_error *err)
{
    char *folder = pl_strf("%s/rollouts", dir), *path = pl_strf("%s/rollouts/%s.jsonl", dir, name);
    struct pl_outfile out;
    int rc = folder && path ? pl_dir_make(folder, err)
                            : pl_fail(err, PL_ENOMEM, "no memory to write rollouts");

    if (rc == PL_OK)
        rc = pl_outfile_open(path, &out, err);
    if (rc == PL_OK) {
        for (size_t g = 0; rc == PL_OK && g < rollouts->group_count; g++)
            rc = write_group(&out, rollouts, g, tokenizer, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    free(folder);
    free(path);
    return rc;
}
