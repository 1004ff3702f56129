#include "learner/feed.h"

#include "common/base/check.h"
#include "common/base/log.h"
#include "proto/inspect.h"

#include <math.h>
#include <stdio.h>

enum { MESSAGE_MAX = 64 << 20 };

void pl_feeder_init(struct pl_feeder *feeder, const struct pl_run_conf *conf,
                    const struct pl_config *config, struct pl_queues *stream,
                    struct pl_prompts *train, struct pl_prompts *val)
{
    *feeder = (struct pl_feeder){conf, config, stream, train, val, .life = {.number = 0}};
    pl_buf_init(&feeder->pb, MESSAGE_MAX);
}

void pl_feeder_release(struct pl_feeder *feeder)
{
    pl_buf_release(&feeder->pb);
}

uint64_t pl_feed_version(const struct pl_run_conf *conf, uint64_t batch)
{
    const size_t behind =
        conf->rollout_mode == PL_ROLLOUT_LATEST ? conf->staleness_max : conf->staleness;

    return batch + 1 > behind ? batch + 1 - behind : 1;
}

size_t pl_feed_val_count(const struct pl_feeder *feeder)
{
    const size_t most = feeder->conf->val_tasks_max;

    return most && most < feeder->val->count ? most : feeder->val->count;
}

/* What all groups of the run have in common, and this one's prompt. */
static struct pl_rollout_group group_of(const struct pl_feeder *f, const struct pl_prompt *prompt,
                                        enum pl_purpose purpose, uint32_t stop_ids[PL_EOS_MAX])
{
    const struct pl_run_conf *c = f->conf;
    const bool val = purpose == PL_PURPOSE_EVALUATE;

    for (size_t i = 0; i < f->config->eos_count; i++)
        stop_ids[i] = (uint32_t)f->config->eos[i];
    return (struct pl_rollout_group){
        .stage = PL_STAGE_PROMPT,
        .life = f->life,
        .purpose = purpose,
        .seed = c->seed,
        .method = (enum pl_method)c->method,
        .temperature = (float)(val ? c->val_temperature : c->temperature),
        .top_p = (float)c->top_p,
        .min_p = (float)c->min_p,
        .top_k = (uint32_t)c->top_k,
        .samples = (uint32_t)(val ? c->val_samples : c->samples),
        .new_tokens_max = (uint32_t)c->response_tokens_max,
        .stop_ids = stop_ids,
        .stop_count = f->config->eos_count,
        .prompt = prompt->ids,
        .prompt_len = prompt->len,
        .task = prompt->task->line,
        .task_len = prompt->task->line_len,
    };
}

/* A group as it is fed: its message in f->pb, and what people read beside it. */
struct entry {
    char version[32], samples[16];
    struct pl_field fields[4];
};

static int encode(struct pl_feeder *f, const struct pl_rollout_group *g, const struct pl_task *task,
                  struct entry *e, struct pl_error *err)
{
    int rc;

    snprintf(e->version, sizeof e->version, "%s%llu", g->newest ? ">=" : "",
             (unsigned long long)g->version);
    snprintf(e->samples, sizeof e->samples, "%u", g->samples);
    e->fields[0] = (struct pl_field){"version", e->version};
    e->fields[1] = (struct pl_field){"samples", e->samples};
    e->fields[2] = (struct pl_field){"source", task->source};
    e->fields[3] = (struct pl_field){"task", task->id};
    pl_buf_clear(&f->pb);
    rc = pl_rollout_group_encode(g, &f->pb);
    return rc < 0 ? pl_fail(err, rc, "no memory for a prompt") : PL_OK;
}

static int feed(struct pl_feeder *f, const struct pl_rollout_group *g, struct pl_feed *feed,
                const struct pl_task *task, size_t *new_count, struct pl_error *err)
{
    struct entry entry;
    bool fresh = false;
    int rc = encode(f, g, task, &entry, err);

    if (rc < 0)
        return rc;
    feed->index = g->index;
    feed->fields = entry.fields;
    feed->field_count = 4;
    feed->pb = f->pb.data;
    feed->pb_len = f->pb.len;
    rc = pl_queues_feed(f->stream, feed, &fresh, err);
    if (rc == PL_OK && fresh)
        pl_info("fed group=%s:%u version=%s samples=%s task=%s", feed->batch, feed->index,
                entry.version, entry.samples, task->id);
    *new_count += rc == PL_OK && fresh;
    return rc;
}

/* Group i of a training batch, spare ones behind the others. */
static const struct pl_prompt *train_prompt(const struct pl_feeder *f, uint64_t batch, size_t i)
{
    const struct pl_run_conf *c = f->conf;

    return i < c->batch_groups ? pl_prompts_at(f->train, c->seed, batch, c->batch_groups, i, NULL)
                               : pl_prompts_spare(f->train, c->seed, batch, i - c->batch_groups);
}

static struct pl_rollout_group train_group(const struct pl_feeder *f, uint64_t batch, size_t i,
                                           const struct pl_prompt *prompt,
                                           uint32_t stop_ids[PL_EOS_MAX])
{
    struct pl_rollout_group g = group_of(f, prompt, PL_PURPOSE_TRAIN, stop_ids);

    g.batch = batch;
    g.index = (uint32_t)i;
    g.version = pl_feed_version(f->conf, batch);
    g.newest = f->conf->rollout_mode == PL_ROLLOUT_LATEST;
    return g;
}

int pl_feed_train(struct pl_feeder *feeder, uint64_t batch, double previous, size_t *ret_new,
                  struct pl_error *err)
{
    const struct pl_run_conf *c = feeder->conf;
    char name[32], after[32] = "";
    struct pl_feed entry = {.batch = name,
                            .expected = c->batch_groups + c->spare_groups,
                            .after = after,
                            .previous = isnan(previous) ? 0.0 : previous,
                            .epsilon = c->gate_epsilon,
                            .gated = c->pay == 0};
    uint32_t stop_ids[PL_EOS_MAX];
    int rc = PL_OK;

    snprintf(name, sizeof name, "%llu", (unsigned long long)batch);
    PL_ASSERT(batch > 0 || !isnan(previous));
    if (isnan(previous))
        snprintf(after, sizeof after, "%llu", (unsigned long long)batch - 1);
    *ret_new = 0;
    for (size_t i = 0; rc == PL_OK && i < entry.expected; i++) {
        const struct pl_prompt *prompt = train_prompt(feeder, batch, i);
        const struct pl_rollout_group g = train_group(feeder, batch, i, prompt, stop_ids);

        rc = feed(feeder, &g, &entry, prompt->task, ret_new, err);
    }
    return rc;
}

int pl_feed_redo(struct pl_feeder *feeder, uint64_t batch, uint32_t index, struct pl_redo *redo,
                 struct pl_error *err)
{
    const struct pl_prompt *prompt = train_prompt(feeder, batch, index);
    uint32_t stop_ids[PL_EOS_MAX];
    const struct pl_rollout_group g = train_group(feeder, batch, index, prompt, stop_ids);
    struct entry entry;
    char name[32];
    int rc = encode(feeder, &g, prompt->task, &entry, err);

    if (rc < 0)
        return rc;
    snprintf(name, sizeof name, "%llu", (unsigned long long)batch);
    redo->batch = name;
    redo->index = index;
    redo->fields = entry.fields;
    redo->field_count = 4;
    redo->pb = feeder->pb.data;
    redo->pb_len = feeder->pb.len;
    return pl_queues_redo(feeder->stream, redo, err);
}

static struct pl_rollout_group val_group(const struct pl_feeder *f, uint64_t step, size_t i,
                                         uint32_t stop_ids[PL_EOS_MAX])
{
    struct pl_rollout_group g = group_of(f, &f->val->list[i], PL_PURPOSE_EVALUATE, stop_ids);

    g.batch = step;
    g.index = (uint32_t)i;
    g.version = step + 1;
    return g;
}

int pl_feed_judge(const struct pl_feeder *feeder, enum pl_purpose purpose, uint64_t batch,
                  uint32_t index, const struct pl_rollout_group *group, struct pl_error *err)
{
    const struct pl_run_conf *c = feeder->conf;
    const bool train = purpose == PL_PURPOSE_TRAIN;
    const size_t count = train ? c->batch_groups + c->spare_groups : pl_feed_val_count(feeder);
    uint32_t stop_ids[PL_EOS_MAX];
    struct pl_rollout_group asked;

    if (index >= count)
        return pl_fail(err, PL_EFORMAT, "group %u of a batch of %zu: nobody asked for it", index,
                       count);
    asked = train ? train_group(feeder, batch, index, train_prompt(feeder, batch, index), stop_ids)
                  : val_group(feeder, batch, index, stop_ids);
    return pl_inspect_group(
        group, &(struct pl_inspect){.asked = &asked, .version_max = c->steps + 1}, err);
}

int pl_feed_val(struct pl_feeder *feeder, uint64_t step, size_t *ret_new, struct pl_error *err)
{
    const size_t count = pl_feed_val_count(feeder);
    char name[32];
    struct pl_feed entry = {.batch = name, .expected = count, .after = ""};
    uint32_t stop_ids[PL_EOS_MAX];
    int rc = PL_OK;

    snprintf(name, sizeof name, "e%llu", (unsigned long long)step);
    *ret_new = 0;
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        const struct pl_rollout_group g = val_group(feeder, step, i, stop_ids);

        rc = feed(feeder, &g, &entry, feeder->val->list[i].task, ret_new, err);
    }
    return rc;
}
