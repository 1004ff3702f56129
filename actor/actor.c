#include "actor/actor.h"

#include "actor/engine.h"
#include "actor/errand.h"
#include "actor/porter.h"
#include "common/app/agreement.h"
#include "common/app/machine.h"
#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/buf.h"
#include "common/base/build.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/log.h"
#include "common/link/bcast.h"
#include "common/link/policy.h"
#include "common/model/import.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 200, WEIGHTS_MS = 200, WEIGHTS_LATE_S = 10, LINES_MAX = 1 << 16 };

struct actor {
    const struct pl_daemon *daemon;
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_engine *engine;
    struct pl_bcast_tensor *tensors;
    struct pl_bcast_table table;
    struct pl_keys *keys; /* NULL: none */
    struct pl_weights_sink *sink;
    struct pl_life life; /* of the run, that all below are of; run_id "": of none yet */
    uint64_t version;    /* in weights; 0: none of the run's yet */
    uint64_t tried;      /* the last version that did not come; 0: none */
    double waiting_s;    /* since when nothing could be begun; 0: not waiting */
    unsigned char hash[PL_HASH_BYTES];
    size_t *lens; /* (lens_max) of one group's samples */
    size_t lens_max;
    struct pl_errands errands;
    struct pl_porter *porter;
    struct pl_actor_shown shown;
    bool weights_here; /* some of the run's were fetched */
    struct pl_buf lines;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- groups through the engine ---- */

static int begin(struct actor *a, struct pl_errand *e, struct pl_error *err)
{
    const struct pl_rollout_group *g = &e->group;
    struct pl_request request = {
        .prompt = g->prompt,
        .prompt_len = g->prompt_len,
        .samples = g->samples,
        .new_tokens_max = g->new_tokens_max,
        .sampling = {g->temperature, g->top_k, g->top_p, g->min_p},
        .rng = pl_rollout_group_rng(g),
        .stop_count = g->stop_count,
        .user = e,
    };

    PL_ASSERT(g->newest ? g->version <= a->version : g->version == a->version);
    PL_ASSERT(g->stop_count <= PL_STOP_IDS_MAX);
    memcpy(request.stop_ids, g->stop_ids, g->stop_count * sizeof *g->stop_ids);
    e->started_s = seconds();
    pl_meter_see(a->shown.wait, e->started_s - e->leased_s);
    return pl_engine_submit(a->engine, &request, &e->job, err);
}

/* One block: the rollouts, then the versions, of a pinned group once, else for each token; then
 * each one's ids and log-probabilities. */
static int collect(struct actor *a, const struct pl_job *job, struct pl_errand *e,
                   struct pl_error *err)
{
    const size_t n = pl_job_samples(job);
    size_t tokens = 0;
    struct pl_rollout *rollouts;
    uint64_t *versions;
    uint32_t *ids;
    float *logprobs;

    for (size_t i = 0; i < n; i++)
        tokens += pl_job_sample(job, i)->len;
    rollouts = pl_alloc(1, n * sizeof *rollouts +
                               tokens * (sizeof *versions + sizeof *ids + sizeof *logprobs));
    if (!rollouts)
        return pl_fail(err, PL_ENOMEM, "no memory for the rollouts of group %s", e->lease.group);
    versions = (uint64_t *)(rollouts + n);
    ids = (uint32_t *)(versions + tokens);
    logprobs = (float *)(ids + tokens);
    for (size_t i = 0; i < n; i++) {
        const struct pl_sample *s = pl_job_sample(job, i);

        memcpy(ids, s->ids, s->len * sizeof *ids);
        memcpy(logprobs, s->logprobs, s->len * sizeof *logprobs);
        rollouts[i] = (struct pl_rollout){
            .ids = ids,
            .logprobs = logprobs,
            .versions = versions,
            .len = s->len,
            .versions_len = pl_lineage_versions(&e->lineage, i, s->len, a->version, versions),
            .finish = s->finish == PL_FINISH_STOP ? PL_SAMPLE_STOP : PL_SAMPLE_LENGTH,
        };
        versions += s->len;
        ids += s->len;
        logprobs += s->len;
    }
    e->rollouts = rollouts;
    e->group.rollouts = rollouts;
    e->group.stage = PL_STAGE_ROLLOUT;
    e->group.actor = a->daemon->name;
    e->group.build = pl_build();
    e->group.generate_s = (float)(seconds() - e->started_s);
    memcpy(e->group.weights_hash, a->hash, sizeof e->group.weights_hash);
    return PL_OK;
}

/* Samples that finish in the job's last step do not all come up by themselves. */
static bool is_broken(const struct pl_job *job)
{
    for (size_t i = 0; i < pl_job_samples(job); i++)
        if (pl_job_sample(job, i)->finish == PL_FINISH_BROKEN)
            return true;
    return false;
}

/* Whole groups that finished. */
static int reap(struct actor *a, struct pl_error *err)
{
    struct pl_job *job;
    size_t sample;
    int rc = PL_OK;

    while (rc == PL_OK && pl_engine_poll(a->engine, &job, &sample)) {
        struct pl_errand *e = pl_job_user(job);

        if (is_broken(job))
            rc = pl_fail(err, PL_EFORMAT,
                         "version %llu of the weights gave a logit that is no number, in group %s",
                         (unsigned long long)a->version, e->lease.group);
        if (rc < 0 || pl_job_unfinished(job) > 0)
            continue;
        rc = collect(a, job, e, err);
        e->job = NULL;
        pl_engine_drop(a->engine, &job);
        if (rc == PL_OK)
            pl_errands_done(&a->errands, e);
    }
    return rc;
}

/* ---- weights ---- */

static void install(struct actor *a, const uint16_t *values, uint64_t version)
{
    const double start = seconds();

    (void)PL_FAILPOINT("install.before");
    pl_policy_install(values, a->weights);
    if (pl_engine_idle(a->engine))
        pl_engine_weights(a->engine, a->weights);
    else
        pl_engine_refresh(a->engine, a->weights);
    (void)PL_FAILPOINT("install.after");
    a->version = version;
    pl_porter_version(a->porter, version);
    pl_meter_set(a->shown.version, (double)version);
    pl_meter_see(a->shown.install, seconds() - start);
    pl_info("weights event=installed version=%llu waited_s=%.3f", (unsigned long long)version,
            a->waiting_s > 0.0 ? seconds() - a->waiting_s : 0.0);
    a->tried = 0;
    a->waiting_s = 0.0;
}

/* What runs goes on with other weights than it has: note how far it has come. */
static int note_lineages(struct actor *a, struct pl_error *err)
{
    int rc = PL_OK;

    pthread_mutex_lock(&a->errands.lock);
    for (struct pl_errand *e = a->errands.first; rc == PL_OK && e; e = e->next) {
        const size_t samples = e->group.samples;

        if (e->state != PL_ERRAND_RUNNING)
            continue;
        PL_ASSERT(e->group.newest && samples <= a->lens_max);
        for (size_t s = 0; s < samples; s++)
            a->lens[s] = pl_job_sample(e->job, s)->len;
        rc = pl_lineage_add(&e->lineage, a->version, samples, a->lens);
    }
    pthread_mutex_unlock(&a->errands.lock);
    return rc < 0 ? pl_fail(err, rc, "no memory for the versions of a group") : PL_OK;
}

/*
 * A newer version that is here is taken at once, under what runs, unless something pinned is about,
 * which keeps the weights as they are until it is done. Does not wait.
 */
static int refresh(struct actor *a, struct pl_error *err)
{
    const uint64_t newest = pl_weights_sink_newest(a->sink);
    const uint16_t *values;
    struct pl_error why = {0};
    int rc;

    if (a->version == 0 || newest <= a->version || pl_errands_pinned(&a->errands))
        return PL_OK;
    rc = pl_weights_sink_get(a->sink, newest, 0, &values, a->hash, &why);
    if (rc == PL_ENOENT) /* it is on its way */
        return PL_OK;
    if (rc < 0)
        return pl_fail(err, rc, "%s", why.text);
    rc = note_lineages(a, err);
    if (rc == PL_OK)
        install(a, values, newest);
    return rc;
}

/* The version that is to be had for what is leased and cannot be begun; 0: there is no such. */
static uint64_t wanted(struct actor *a)
{
    const uint64_t pinned = pl_errands_version(&a->errands, a->tried);
    const uint64_t least = pinned ? 0 : pl_errands_least(&a->errands);
    uint64_t newest;

    if (pinned || least <= a->version)
        return pinned;
    newest = pl_weights_sink_newest(a->sink);
    return least > newest ? least : newest;
}

/*
 * Change the weights, with nothing running, to a version that something leased asks for. Waits only
 * a little, and for each of these versions in turn: a version may be gone for good (its batch was
 * done by others, or the learner has died and is further on), which must not keep back the rest.
 * What waits too long is given back.
 */
static int change(struct actor *a, struct pl_error *err)
{
    const uint64_t version = wanted(a);
    const uint16_t *values;
    struct pl_error why = {0};
    int rc;

    if (version == 0) {
        a->waiting_s = 0.0;
        return PL_OK;
    }
    if (a->waiting_s <= 0.0)
        a->waiting_s = seconds();
    rc = pl_weights_sink_get(a->sink, version, WEIGHTS_MS, &values, a->hash, &why);
    if (rc == PL_OK) {
        install(a, values, version);
        return PL_OK;
    }
    if (rc != PL_ENOENT)
        return pl_fail(err, rc, "%s", why.text);
    a->tried = version;
    if (seconds() - a->waiting_s > WEIGHTS_LATE_S) {
        pl_warn("weights event=late version=%llu waited_s=%.0f given_back=%zu reason=\"%s\"",
                (unsigned long long)version, seconds() - a->waiting_s,
                pl_errands_refuse(&a->errands, version), why.text);
        a->waiting_s = 0.0;
    }
    return PL_OK;
}

/*
 * The run goes on in another life: what was leased and what runs is of no use, and neither are the
 * weights. False: it belongs to no run yet.
 */
static bool follow(struct actor *a)
{
    struct pl_life life;
    struct pl_job *job;

    if (!pl_porter_life(a->porter, &life))
        return false;
    if (pl_life_same(&life, &a->life))
        return true;
    while ((job = pl_errands_outlived(&a->errands, &life)))
        pl_engine_drop(a->engine, &job);
    if (!pl_engine_idle(a->engine)) /* of a life that came after the one looked at: soon again */
        return false;
    a->life = life;
    a->version = a->tried = 0;
    pl_porter_version(a->porter, 0);
    a->waiting_s = 0.0;
    pl_weights_sink_life(a->sink, &life);
    return true;
}

/*
 * Let in what can run with the weights as they are; change them when nothing runs. What wants the
 * newest waits while something is pinned to another version, so that its turn comes.
 */
static int admit(struct actor *a, struct pl_error *err)
{
    const bool latest = a->daemon->conf.rollout_mode == PL_ROLLOUT_LATEST;
    const uint64_t pinned = latest ? pl_errands_version(&a->errands, 0) : 0;
    const bool only_pinned = pinned && pinned != a->version;
    struct pl_errand *e;
    int rc = PL_OK;

    if (!follow(a))
        return PL_OK;
    if (latest)
        rc = refresh(a, err);

    while (rc == PL_OK && a->version &&
           (e = pl_errands_begin(&a->errands, &a->life, a->version, only_pinned)))
        rc = begin(a, e, err);
    if (rc < 0 || pl_errands_asking(&a->errands)) /* the weights are right */
        return rc;
    return pl_engine_idle(a->engine) ? change(a, err) : PL_OK;
}

/* ---- from start to end ---- */

size_t pl_actor_versions(const struct pl_run_conf *conf)
{
    return conf->staleness + 2;
}

struct pl_engine_opts pl_actor_engine(const struct pl_run_conf *conf,
                                      const struct pl_weights *weights)
{
    const size_t slots = conf->actor_slots > conf->samples ? conf->actor_slots : conf->samples;

    return (struct pl_engine_opts){
        .weights = weights,
        .slots = slots,
        .positions = conf->prompt_tokens_max + conf->response_tokens_max,
        .chunk_tokens = 256,
        .jobs = 3 * slots, /* the porter leases up to 2 slots of samples, and one group more */
        .bytes_max = conf->memory_max,
    };
}

static int open_engine(struct actor *a, struct pl_error *err)
{
    const struct pl_engine_opts opts = pl_actor_engine(&a->daemon->conf, a->weights);
    struct pl_engine_plan plan;
    struct pl_buf text;
    int rc = pl_engine_plan(&opts, &plan, err);

    if (rc < 0)
        return rc;
    a->lens_max = opts.slots;
    a->lens = calloc(opts.slots, sizeof *a->lens);
    if (!a->lens)
        return pl_fail(err, PL_ENOMEM, "no memory for the actor");
    pl_buf_init(&text, 4096);
    if (pl_engine_plan_print(&plan, &text) == PL_OK)
        pl_log_line(PL_LEVEL_INFO, text.data);
    pl_buf_release(&text);
    return pl_engine_create(&opts, &a->engine, err);
}

/* What must agree with the run. */
static int set_lines(struct actor *a, struct pl_error *err)
{
    struct pl_buf sizes;
    int rc;

    pl_buf_init(&sizes, LINES_MAX);
    rc = pl_config_sizes(&a->shape->config, &sizes);
    if (rc == PL_OK)
        rc = pl_agreement_lines(&a->daemon->conf, PL_DEPENDS_ACTOR, sizes.data, NULL, NULL,
                                &a->lines);
    pl_buf_release(&sizes);
    return rc < 0 ? pl_fail(err, rc, "no memory for the actor") : PL_OK;
}

static int open_all(struct actor *a, struct pl_error *err)
{
    const struct pl_run_conf *c = &a->daemon->conf;
    char *pub = pl_run_conf_announce(c), *serve = pl_run_conf_serve(c);
    const struct pl_keys_opts keys = {
        .dir = c->keys, .name = a->daemon->name, .role = "actor", .peer = c->peer};
    int rc = pub && serve ? pl_keys_load(&keys, &a->keys, err)
                          : pl_fail(err, PL_ENOMEM, "no memory for the actor");

    if (rc == PL_OK)
        rc = pl_model_load(c->model, NULL, &a->shape, &a->weights, err);
    if (rc == PL_OK && pl_policy_table(a->shape, &a->tensors, &a->table) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the actor");
    if (rc == PL_OK)
        rc = open_engine(a, err);
    if (rc == PL_OK)
        rc = pl_weights_sink_create(
            &(struct pl_weights_sink_opts){.run = c->name,
                                           .pub = pub,
                                           .serve = serve,
                                           .table = a->table,
                                           .keys = a->keys,
                                           .event = pl_daemon_event,
                                           .versions_max = pl_actor_versions(c)},
            &a->sink, err);
    if (rc == PL_OK)
        pl_actor_shown_sink(&a->shown, a->sink);
    if (rc == PL_OK)
        rc = set_lines(a, err);
    if (rc == PL_OK)
        rc = pl_porter_create(a->daemon, a->keys, &a->errands, a->shape->config.vocab,
                              a->lines.data, &a->shown, &a->porter, err);
    free(pub);
    free(serve);
    return rc;
}

/* It has started when the first of the run's weights are here; who looks in is told. */
static void look_for_weights(struct actor *a)
{
    const struct pl_weights_sink_stats stats = pl_weights_sink_stats(a->sink);

    a->weights_here = stats.snapshots + stats.deltas > 0;
    pl_window_startup(a->daemon->window,
                      a->weights_here ? NULL : "weights: none of the run have come yet");
}

/* Nothing is left to do, and nothing more will come. */
static bool is_over(struct actor *a)
{
    bool over;

    pthread_mutex_lock(&a->errands.lock);
    over = a->errands.failed || a->errands.leave || (a->errands.stop && a->errands.count == 0);
    pthread_mutex_unlock(&a->errands.lock);
    return over;
}

int pl_actor_run(struct pl_daemon *daemon, struct pl_error *err)
{
    struct actor a = {.daemon = daemon};
    int rc;

    pl_errands_init(&a.errands);
    pl_buf_init(&a.lines, LINES_MAX);
    pl_actor_shown_make(&a.shown, pl_window_meters(daemon->window));
    rc = open_all(&a, err);
    if (rc == PL_OK) {
        look_for_weights(&a);
        pl_vitals_ready("start");
    }
    while (rc == PL_OK && !is_over(&a)) {
        const uint64_t seen = pl_errands_changes(&a.errands);

        if (!a.weights_here)
            look_for_weights(&a);
        pl_vitals_tick();
        rc = admit(&a, err);
        if (rc == PL_OK && !pl_engine_idle(a.engine))
            pl_engine_step(a.engine);
        else if (rc == PL_OK && (pl_errands_asking(&a.errands) || !wanted(&a)))
            pl_errands_wait(&a.errands, seen, WAIT_MS);
        if (rc == PL_OK)
            rc = reap(&a, err);
    }
    if (a.porter) { /* what is done is handed over, what is not given back */
        const int last = pl_porter_end(a.porter, rc < 0 && rc != PL_ECANCELED, err);

        rc = rc == PL_OK ? last : rc;
    }
    pl_actor_shown_forget(&a.shown);
    pl_weights_sink_destroy(a.sink);
    pl_keys_destroy(a.keys);
    pl_engine_destroy(a.engine);
    pl_errands_release(&a.errands);
    pl_weights_destroy(a.weights);
    pl_shape_destroy(a.shape);
    pl_buf_release(&a.lines);
    free(a.tensors);
    free(a.lens);
    return rc;
}
