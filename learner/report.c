#include "learner/report.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "learner/tally.h"
#include "learner/transcript.h"
#include "proto/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIELDS_MAX = 112, PROMPT_BYTES_MAX = 64 << 20 };

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

static void put_spread(struct line *l, const char *name, const struct pl_spread *s)
{
    char full[96];

    if (s->n == 0)
        return;
    snprintf(full, sizeof full, "%s/mean", name);
    real(l, full, pl_spread_mean(s));
    snprintf(full, sizeof full, "%s/max", name);
    real(l, full, s->most);
    snprintf(full, sizeof full, "%s/min", name);
    real(l, full, s->least);
}

static void put_view(struct line *l, const struct pl_tally *v)
{
    const double n = (double)v->n, m = (double)v->with_answer;

    put_spread(l, "response_length", &v->length);
    real(l, "response_length/clip_ratio", (double)v->clipped / n);
    real(l, "interleave/format_ok", (double)v->formatted / n);
    if (v->with_answer > 0) {
        real(l, "interleave/ttfa", v->ttfa / m);
        real(l, "interleave/ttfa_tokens", v->ttfa_tokens / m);
    }
    if (v->with_right > 0) {
        real(l, "interleave/ttfa_right", v->ttfa_right / (double)v->with_right);
        real(l, "interleave/ttfa_right_tokens", v->ttfa_right_tokens / (double)v->with_right);
    }
    real(l, "interleave/num_answers", (double)v->answers / n);
    if (v->steps > 0)
        real(l, "interleave/intermediate_acc", (double)v->steps_right / (double)v->steps);
    if (v->right_length.n > 0)
        real(l, "interleave/response_length_right", pl_spread_mean(&v->right_length));
    if (v->wrong_length.n > 0)
        real(l, "interleave/response_length_wrong", pl_spread_mean(&v->wrong_length));
}

/* In pinned mode what was recorded and what is computed are equal to the bit, or something is
 * wrong; in latest mode a correction lies between the two. */
static void put_difference(struct line *l, const struct pl_report_step *step)
{
    const struct pl_update_difference *d = &step->difference;
    const char *const most = "sampling/sampling_logp_difference/max";

    if (d->tokens == 0) {
        real(l, most, step->correction_difference);
        return;
    }
    real(l, most, d->most);
    real(l, "sampling/sampling_logp_difference/tokens", (double)d->tokens);
    real(l, "sampling/sampling_logp_difference/off_tokens", (double)d->off);
}

static void put_update(struct line *l, const struct pl_report_step *step)
{
    const struct pl_update_stats *u = step->update;
    const struct pl_policy_stats *p = &u->policy;
    const double tokens = p->tokens > 0 ? (double)p->tokens : 1.0;

    if (u->steps > 0) { /* else the critic learns alone */
        real(l, "actor/pg_loss", p->pg_loss);
        real(l, "actor/pg_clipfrac", p->clipped / tokens);
        real(l, "actor/pg_clipfrac_lower", p->clipped_low / tokens);
        real(l, "actor/ppo_kl", p->minus_l / tokens);
        real(l, "actor/kl_loss", p->kl_loss);
        if (p->entropy > 0.0)
            real(l, "actor/entropy", p->entropy / tokens);
        real(l, "actor/grad_norm", u->grad_norm);
        real(l, "actor/lr", u->lr);
    }
    real(l, "actor/reward_kl_penalty", u->kl);
    real(l, "actor/reward_kl_penalty_coeff", step->kl_coef);
    put_difference(l, step);
}

/* Means of what the reward is made of; they add up to critic/score/mean. */
static void put_components(struct line *l, const struct pl_rollouts *r)
{
    static const char *const names[] = {"interleave/reward_format", "interleave/reward_final",
                                        "interleave/reward_intermediate"};

    for (size_t c = 0; c < sizeof names / sizeof *names; c++) {
        double sum = 0.0;

        for (size_t i = 0; i < r->samples; i++)
            sum += r->components[c * r->samples + i];
        if (r->samples > 0)
            real(l, names[c], sum / (double)r->samples);
    }
}

/* Groups that teach nothing, of all that were sampled; what took their place. */
static void put_spent(struct line *l, const struct pl_report_step *step)
{
    const struct pl_refill *f = &step->refill;
    const size_t groups = step->rollouts->group_count, sampled = f->sampled ? f->sampled : groups;
    const size_t zero = f->sampled ? f->zero_spread : step->update->zero_spread;

    real(l, "frac_reward_zero_std", sampled > 0 ? (double)zero / (double)sampled : 0.0);
    if (f->sampled == 0)
        return;
    real(l, "training/filtered_groups", (double)(f->sampled - groups));
    real(l, "training/refilled_groups", (double)f->refilled);
}

/* Who sampled against who trains (verl's names). */
static void put_off_policy(struct line *l, const struct pl_report_step *step)
{
    const struct pl_correction_stats *c = &step->update->correction;
    const struct pl_staleness *a = step->ages;
    const char *const age = "training/off_policy/trajectory_staleness";
    char name[80];

    real(l, "training/off_policy/staleness", (double)step->staleness);
    if (step->update->corrected) {
        real(l, "rollout_corr/rollout_is_mean", c->mean);
        real(l, "rollout_corr/rollout_is_max", c->most);
        real(l, "rollout_corr/rollout_is_min", c->least);
        real(l, "rollout_corr/rollout_is_ratio_fraction_high", c->cut);
        real(l, "rollout_corr/rollout_is_eff_sample_size", c->ess);
        real(l, "rollout_corr/kl", c->kl);
        real(l, "rollout_corr/k3_kl", c->k3_kl);
        real(l, "rollout_corr/chi2_token", c->chi2);
        real(l, "timing_s/old_log_prob", step->update->old_s);
    }
    if (!a)
        return;
    snprintf(name, sizeof name, "%s/mean", age);
    real(l, name, a->mean);
    snprintf(name, sizeof name, "%s/max", age);
    real(l, name, (double)a->most);
    snprintf(name, sizeof name, "%s/min", age);
    real(l, name, (double)a->least);
    for (size_t k = 0; k <= step->staleness_max; k++) {
        snprintf(name, sizeof name, "%s/hist/%zu", age, k);
        real(l, name, (double)a->counts[k]);
    }
    real(l, "training/off_policy/evicted_samples", (double)step->evicted);
}

/* Nothing where nothing was computed again. */
static void put_audit(struct line *l, const struct pl_report_step *step)
{
    if (step->audit.groups == 0)
        return;
    real(l, "audit/groups", (double)step->audit.groups);
    real(l, "audit/tokens", (double)step->audit.tokens);
    real(l, "audit/logp_difference/max", step->audit.most);
}

/* Nothing where there is no critic. */
static void put_critic(struct line *l, const struct pl_report_step *step)
{
    const struct pl_critic_stats *c = &step->update->critic;
    const struct pl_rollouts *r = step->rollouts;
    struct pl_spread values = {0}, returns = {0};

    if (c->steps == 0)
        return;
    for (size_t t = 0; t < r->tokens; t++) {
        pl_spread_add(&values, (double)r->values[t]);
        pl_spread_add(&returns, (double)r->returns[t]);
    }
    put_spread(l, "critic/values", &values);
    put_spread(l, "critic/returns", &returns);
    real(l, "critic/vf_loss", c->loss);
    real(l, "critic/vf_clipfrac", c->clipfrac);
    real(l, "critic/vpred_mean", c->value);
    real(l, "critic/vf_explained_var", c->explained);
    real(l, "critic/grad_norm", c->grad_norm);
    real(l, "critic/lr", c->lr);
    real(l, "timing_s/values", step->update->values_s);
    real(l, "timing_s/update_critic", step->update->critic_s);
}

/* Times that a rewarder set a group back because its verifier did not say, since the run began:
 * nothing where it never happened. */
static int put_unverified(struct line *l, struct pl_queues *stream, struct pl_error *err)
{
    static const char *const names[] = {"failed"};
    char *value = NULL;
    const int rc = pl_queues_recall(stream, "ledger", names, 1, &value, err);
    const double times = value ? strtod(value, NULL) : 0.0;

    if (rc == PL_OK && times > 0.0 && isfinite(times))
        real(l, "training/unverified", times);
    free(value);
    return rc;
}

int pl_report_train(struct pl_metrics *metrics, struct pl_queues *stream,
                    const struct pl_report_step *step, struct pl_error *err)
{
    const struct pl_rollouts *r = step->rollouts;
    struct line line = {.metrics = metrics};
    struct pl_tally view = {0};
    struct pl_spread adv = {0}, prompt = {0};
    double generate_s = 0.0, slowest_s = 0.0;
    struct pl_error met = {0};
    int rc, asked;

    for (size_t i = 0; i < r->samples; i++)
        pl_tally_add(&view, r->list[i], r->scores[i], r->gate);
    for (size_t t = 0; t < r->tokens; t++)
        pl_spread_add(&adv, (double)r->advantages[t]);
    for (size_t g = 0; g < r->group_count; g++) {
        pl_spread_add(&prompt, (double)r->groups[g].prompt_len);
        generate_s += (double)r->groups[g].generate_s;
        slowest_s = fmax(slowest_s, (double)r->groups[g].generate_s);
    }
    pl_metrics_begin(metrics, step->step);
    real(&line, "training/epoch", (double)step->epoch);
    put_spread(&line, "critic/score", &view.score);
    put_components(&line, r);
    put_spread(&line, "critic/advantages", &adv);
    put_spread(&line, "prompt_length", &prompt);
    put_view(&line, &view);
    real(&line, "interleave/accuracy", r->accuracy);
    real(&line, "interleave/accuracy_before", step->previous);
    real(&line, "interleave/gate", r->gate);
    real(&line, "interleave/intermediate_gate",
         view.n > 0 ? (double)view.paid / (double)view.n : 0.0);
    put_spent(&line, step);
    put_update(&line, step);
    put_critic(&line, step);
    put_off_policy(&line, step);
    put_audit(&line, step);
    real(&line, "training/dropped_groups", (double)step->dropped);
    asked = put_unverified(&line, stream, &met); /* without an answer the line is written as well */
    real(&line, "timing_s/gen", generate_s);     /* summed over groups, many at once */
    real(&line, "timing_s/gen_slowest", slowest_s);
    real(&line, "timing_s/wait", step->wait_s);
    real(&line, "timing_s/ref", step->update->reference_s);
    real(&line, "timing_s/update_actor", step->update->update_s);
    real(&line, "timing_s/update_weights", step->publish_s);
    real(&line, "timing_s/save_checkpoint", step->save_s);
    real(&line, "timing_s/step", step->step_s);
    real(&line, "perf/total_num_tokens", (double)r->tokens);
    real(&line, "perf/throughput", step->step_s > 0.0 ? (double)r->tokens / step->step_s : 0.0);
    rc = finish(&line, stream, err);
    return rc == PL_OK && asked < 0 ? pl_fail(err, asked, "%s", met.text) : rc;
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
    struct pl_tally view = {0};
    int rc = tasks ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for an evaluation");

    for (size_t g = 0; rc == PL_OK && g < rollouts->group_count; g++)
        rc = pl_task_parse(rollouts->groups[g].task, rollouts->groups[g].task_len, "a task",
                           &tasks[g], err);
    for (size_t i = 0; rc == PL_OK && i < rollouts->samples; i++)
        pl_tally_add(&view, rollouts->list[i], rollouts->scores[i], true);
    if (rc == PL_OK) {
        pl_metrics_begin(metrics, step);
        real(&line, "val-core/acc", (double)view.right / (double)view.n);
        put_accuracies(&line, rollouts, tasks);
        real(&line, "val-aux/score", pl_spread_mean(&view.score));
        put_view(&line, &view);
        rc = finish(&line, stream, err);
    }
    for (size_t g = 0; tasks && g < rollouts->group_count; g++)
        pl_task_release(&tasks[g]);
    free(tasks);
    return rc;
}

int pl_report_val_incomplete(struct pl_metrics *metrics, struct pl_queues *stream, uint64_t step,
                             size_t missing, struct pl_error *err)
{
    struct line line = {.metrics = metrics};

    pl_metrics_begin(metrics, step);
    real(&line, "val-aux/missing_groups", (double)missing);
    return finish(&line, stream, err);
}

/* ---- rollouts ---- */

static int write_group(struct pl_outfile *out, const struct pl_rollouts *r, size_t g,
                       const struct pl_tokenizer *tokenizer, struct pl_error *err)
{
    const struct pl_rollout_group *group = &r->groups[g];
    struct pl_task task = {0};
    struct pl_buf prompt;
    int rc;

    pl_buf_init(&prompt, PROMPT_BYTES_MAX);
    rc = pl_task_parse(group->task, group->task_len, "a task", &task, err);
    if (rc == PL_OK)
        rc = pl_transcript_text(tokenizer, group->prompt, group->prompt_len, &prompt, err);
    for (size_t s = 0; rc == PL_OK && s < group->samples; s++) {
        json_t *sample;

        rc = pl_transcript_sample(group, s, r->scores[r->group_first[g] + s], r->gate,
                                  prompt.data ? prompt.data : "", tokenizer, &sample, err);
        if (rc == PL_OK) {
            pl_transcript_task(sample, &task);
            rc = pl_transcript_write(out, sample, err);
        }
    }
    pl_task_release(&task);
    pl_buf_release(&prompt);
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

/* ---- what is kept of them ---- */

struct kept {
    char *name;
    struct timespec at;
};

static int newest_first(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    if (x->at.tv_sec != y->at.tv_sec)
        return x->at.tv_sec < y->at.tv_sec ? 1 : -1;
    if (x->at.tv_nsec != y->at.tv_nsec)
        return x->at.tv_nsec < y->at.tv_nsec ? 1 : -1;
    return strcmp(y->name, x->name);
}

static int add_kept(struct kept **list, size_t *count, int dir, const char *name)
{
    const size_t len = strlen(name);
    struct kept *grown;
    struct stat st;

    if (len < 6 || strcmp(name + len - 6, ".jsonl") != 0 || fstatat(dir, name, &st, 0) < 0)
        return PL_OK;
    grown = realloc(*list, (*count + 1) * sizeof **list);
    if (!grown)
        return PL_ENOMEM;
    *list = grown;
    grown[*count] = (struct kept){strdup(name), st.st_mtim};
    return grown[(*count)++].name ? PL_OK : PL_ENOMEM;
}

int pl_report_prune(const char *dir, size_t most, struct pl_error *err)
{
    char *path = pl_strf("%s/rollouts", dir);
    DIR *folder = path ? opendir(path) : NULL;
    struct kept *list = NULL;
    struct dirent *entry;
    size_t count = 0;
    int rc = folder ? PL_OK : pl_fail_errno(err, "open folder '%s/rollouts'", dir);

    while (rc == PL_OK && (entry = readdir(folder)))
        if (add_kept(&list, &count, dirfd(folder), entry->d_name) < 0)
            rc = pl_fail(err, PL_ENOMEM, "no memory to list '%s'", path);
    if (rc == PL_OK && count > most)
        qsort(list, count, sizeof *list, newest_first);
    for (size_t i = most; rc == PL_OK && i < count; i++)
        if (unlinkat(dirfd(folder), list[i].name, 0) < 0 && errno != ENOENT)
            rc = pl_fail_errno(err, "remove '%s/%s'", path, list[i].name);
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
    if (folder)
        closedir(folder);
    free(path);
    return rc;
}
