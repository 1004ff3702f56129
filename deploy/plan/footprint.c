#include "deploy/plan/footprint.h"

#include "actor/actor.h"
#include "common/base/check.h"
#include "learner/models.h"

enum {
    TOKEN_BYTES = 8,   /* of a rollout: id and log-probability */
    REDIS_BYTES = 12,  /* the same in Redis: with segments, rewards as text, task and prompt */
    ARRAYS_BYTES = 64, /* a token of a batch in the learner: old, ref, values, advantages, ... */
};

const char *pl_process_name(enum pl_process process)
{
    static const char *const names[PL_PROCESSES] = {"learner", "actor", "rewarder", "redis"};

    PL_ASSERT(process < PL_PROCESSES);
    return names[process];
}

static void add(struct pl_footprint *f, enum pl_process process, const char *of, const char *what,
                uint64_t bytes)
{
    PL_ASSERT(f->count < PL_FOOTPRINT_ROWS);
    f->rows[f->count++] = (struct pl_footprint_row){process, of, what, bytes};
    f->bytes[process] += bytes;
}

/* Tokens of one prompt and all its samples, at most. */
static uint64_t group_tokens(const struct pl_run_conf *c)
{
    return c->prompt_tokens_max + c->samples * c->response_tokens_max;
}

static void add_learner(struct pl_footprint *f, const struct pl_models *models)
{
    const struct pl_run_conf *c = models->conf;
    struct pl_plan plan;
    size_t policy;

    pl_plan_init(&plan);
    pl_models_plan(models, &plan, &policy);
    for (size_t i = 0; i < plan.count; i++)
        add(f, PL_PROCESS_LEARNER, i < policy ? "policy" : "critic", plan.rows[i].what,
            plan.rows[i].bytes);
    add(f, PL_PROCESS_LEARNER, "", "a batch of rollouts",
        (c->batch_groups + c->spare_groups) * group_tokens(c) * (TOKEN_BYTES + ARRAYS_BYTES));
}

static int add_actor(struct pl_footprint *f, const struct pl_models *models, struct pl_error *err)
{
    const struct pl_run_conf *c = models->conf;
    struct pl_engine_opts opts = pl_actor_engine(c, models->weights);
    const size_t versions = pl_actor_versions(c) + 2; /* the one that is lent, one on its way */
    struct pl_engine_plan plan;
    int rc;

    opts.bytes_max = 0; /* what it takes is the question */
    rc = pl_engine_plan(&opts, &plan, err);
    if (rc < 0)
        return rc;
    add(f, PL_PROCESS_ACTOR, "", "weights (bf16)", plan.weights_bytes);
    add(f, PL_PROCESS_ACTOR, "", "versions that were sent (bf16)",
        versions * models->shape->params * sizeof(uint16_t));
    add(f, PL_PROCESS_ACTOR, "", "pages of keys and values", plan.kv_bytes);
    add(f, PL_PROCESS_ACTOR, "", "activations", plan.acts_bytes + plan.packed_bytes);
    add(f, PL_PROCESS_ACTOR, "", "logits and sampling", plan.logits_bytes + plan.sampler_bytes);
    add(f, PL_PROCESS_ACTOR, "", "rotary angles and lists", plan.rope_bytes + plan.other_bytes);
    return PL_OK;
}

/* Batches stay in Redis until a checkpoint that contains them is written, which is early once they
 * hold link.held_mb: that is seen after the step that went over it. */
static void add_others(struct pl_footprint *f, const struct pl_run_conf *c)
{
    const uint64_t group = group_tokens(c) * TOKEN_BYTES;
    const uint64_t batch = (c->batch_groups + c->spare_groups) * group_tokens(c) * REDIS_BYTES;
    const uint64_t steps = c->save_freq < c->steps ? c->save_freq : c->steps;
    const uint64_t most = (uint64_t)c->held_mb << 20;
    const uint64_t held = steps * batch < most ? steps * batch : most;

    add(f, PL_PROCESS_REWARDER, "", "groups that are scored",
        (c->rewarder_threads + 1) * 2 * group);
    add(f, PL_PROCESS_REDIS, "", "trained batches until a checkpoint", held);
    add(f, PL_PROCESS_REDIS, "", "the batch that is trained, and those ahead",
        (c->staleness + 2) * batch);
}

uint64_t pl_footprint_maxmemory(const struct pl_footprint *footprint)
{
    return footprint->bytes[PL_PROCESS_REDIS] / 3 * 5;
}

int pl_footprint_of(const struct pl_run_conf *conf, const struct pl_config *policy,
                    const struct pl_config *critic, struct pl_footprint *ret_footprint,
                    struct pl_error *err)
{
    struct pl_models models = {0};
    struct pl_footprint f = {
        .processes = {1, conf->actors, conf->rewarders, conf->redis[0] == '\0'},
    };
    int rc = pl_models_outline(&models, conf, policy, critic, err);

    if (rc == PL_OK) {
        add_learner(&f, &models);
        rc = add_actor(&f, &models, err);
    }
    if (rc == PL_OK) {
        add_others(&f, conf);
        *ret_footprint = f;
    }
    pl_models_close(&models);
    return rc;
}

uint64_t pl_footprint_total(const struct pl_footprint *footprint)
{
    uint64_t total = 0;

    for (size_t i = 0; i < PL_PROCESSES; i++)
        total += footprint->processes[i] * footprint->bytes[i];
    return total;
}
