#include "rewarder/rewarder.h"

#include "common/app/agreement.h"
#include "common/app/vitals.h"
#include "common/app/window.h"
#include "common/base/buf.h"
#include "common/base/build.h"
#include "common/base/log.h"
#include "common/link/endpoint.h"
#include "common/link/guard.h"
#include "common/link/queues.h"
#include "common/link/run_note.h"
#include "common/link/vouch.h"
#include "common/model/config.h"
#include "proto/inspect.h"
#include "rewarder/desk.h"
#include "rewarder/scorer.h"
#include "rewarder/shown.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 500, HEARTBEAT_S = 2, MESSAGE_MAX = 256 << 20, SAMPLES_MAX = 4096 };
enum { PAUSE_MS = 500, PAUSE_MOST_MS = 4000, TICK_MS = 100 }; /* after a group without verdict */
enum { LINES_MAX = 1 << 20 };

/* What the threads share. */
struct rewarder {
    const struct pl_daemon *daemon;
    const struct pl_tokenizer *tokenizer;
    struct pl_reward_opts opts;
    char *redis;
    struct pl_keys *keys;       /* NULL: none, or nobody asks */
    struct pl_voucher *voucher; /* NULL: actors are who they say */
    size_t vocab;               /* of the model: more than the tokenizer's where it is padded */
    _Atomic uint64_t groups, samples, buried, refused, unverified;
    struct pl_rewarder_shown shown;
    _Atomic int failed;  /* a thread ended with this code */
    struct pl_buf lines; /* what must agree with the run (run_note.h) */
    uint64_t sum;        /* what they come to: goes with every score */
    _Atomic bool again;  /* a group of another life of the run came: look at it again */
    pthread_mutex_t lock;
    struct pl_life life; /* under the lock; run_id "": nothing is leased */
};

struct worker {
    struct rewarder *all;
    char name[80];
    pthread_t thread;
    struct pl_queues *stream;
    struct pl_scorer *scorer;
    const struct pl_lease *lease; /* of the group that is scored */
    time_t renewed;               /* when it was last, in seconds of CLOCK_MONOTONIC */
    unsigned pause_ms; /* doubles with each group in a row that had no verdict; 0: none */
    struct pl_error err;
};

void pl_rewarder_opts(const struct pl_run_conf *conf, struct pl_reward_opts *ret_opts)
{
    *ret_opts = (struct pl_reward_opts){
        .lambda_format = conf->lambda_format,
        .lambda_final = conf->lambda_final,
        .right = conf->right,
        .wrong = conf->wrong,
        .unparsed = conf->unparsed,
        .base = conf->reward_base,
        .pay = (enum pl_reward_pay)conf->pay,
        .strategy = (enum pl_reward_strategy)conf->strategy,
        .combine = (enum pl_reward_combine)conf->combine,
        .wrong_step = conf->wrong_step,
        .overlong_buffer = conf->overlong_buffer,
        .overlong_factor = conf->overlong_factor,
        .program = {.command = conf->exec_command.items,
                    .timeout_s = conf->exec_timeout_s,
                    .memory_max = conf->exec_memory_mb << 20},
    };
}

/* Of the samples of a group. */
struct sums {
    uint32_t right, formatted;
    double reward, steps; /* mean, the gate taken as open; intermediate answers that are right */
};

static struct sums sum_up(const struct pl_rollout_group *g, uint32_t right, uint32_t formatted)
{
    struct sums sums = {right, formatted, 0.0, 0.0};

    for (size_t i = 0; i < g->samples; i++) {
        sums.reward += (double)pl_score_reward(&g->rollouts[i].score, true) / g->samples;
        sums.steps += g->rollouts[i].score.steps_right;
    }
    return sums;
}

static int commit(struct worker *w, const struct pl_lease *lease,
                  const struct pl_rollout_group *group, uint32_t right, uint32_t formatted)
{
    const struct sums sums = sum_up(group, right, formatted);
    enum pl_outcome outcome;
    struct pl_buf pb;
    char text[160]; /* what redis-cli shows beside the message */
    int rc;

    pl_buf_init(&pb, MESSAGE_MAX);
    rc = pl_rollout_group_encode(group, &pb);
    snprintf(text, sizeof text,
             "right=%u/%u formatted=%u/%u reward_if_gate_open=%.4f steps_right=%.0f", right,
             group->samples, formatted, group->samples, sums.reward, sums.steps);
    if (rc < 0)
        pl_fail(&w->err, rc, "no memory for the scores of group %s", lease->group);
    else
        rc = pl_queues_commit(w->stream, lease, group->samples, right, formatted, text, pb.data,
                              pb.len, &outcome, &w->err);
    pl_buf_release(&pb);
    if (rc < 0)
        return rc;
    pl_info("scored group=%s worker=%s samples=%u right=%u formatted=%u reward_if_gate_open=%.4f "
            "steps_right=%.0f outcome=%s completes_batch=%s",
            lease->group, w->name, group->samples, sums.right, sums.formatted, sums.reward,
            sums.steps, pl_outcome_name(outcome), pl_queues_completed(w->stream) ? "yes" : "no");
    pl_rewarder_shown_group(&w->all->shown, group, outcome);
    atomic_fetch_add(&w->all->groups, 1);
    atomic_fetch_add(&w->all->samples, group->samples);
    return PL_OK;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static time_t now_s(void)
{
    return (time_t)seconds();
}

/* The group is kept while its samples are scored, and while a program of the user's takes its time.
 * What goes wrong here is nothing to the scores; the commit will meet it too. */
static void keep(void *at)
{
    struct worker *w = at;
    const time_t now = now_s();
    size_t lost;

    pl_vitals_tick();
    if (now - w->renewed < (time_t)(w->all->daemon->conf.lease_s / 6))
        return;
    w->renewed = now;
    (void)pl_queues_renew(w->stream, PL_QUEUE_ROLLOUTS, &w->lease, 1, NULL, &lost, NULL);
}

/* The life that scores are made in; false: of no run yet. */
static bool life_of(struct rewarder *r, struct pl_life *ret_life)
{
    pthread_mutex_lock(&r->lock);
    *ret_life = r->life;
    pthread_mutex_unlock(&r->lock);
    return ret_life->run_id[0] != '\0';
}

/* The group of a lease, if it is what was asked for. PL_EFORMAT: it is not; *ret_strikes: what it
 * costs its actor. PL_ENOENT: it is of another life of the run than this program knows. */
static int take_in(struct worker *w, const struct pl_lease *lease, struct pl_rollout_group *group,
                   uint32_t *ret_strikes, struct pl_error *err)
{
    const struct pl_run_conf *conf = &w->all->daemon->conf;
    const struct pl_rollout_group_limits limits = {
        .bytes = MESSAGE_MAX,
        .samples = SAMPLES_MAX,
        .tokens = conf->prompt_tokens_max > conf->response_tokens_max ? conf->prompt_tokens_max
                                                                      : conf->response_tokens_max,
        .vocab = w->all->vocab,
    };
    struct pl_rollout_group prompt = {0};
    struct pl_asked asked = {0};
    struct pl_error why = {0};
    struct pl_life life;
    int rc = pl_guard_asked(w->stream, lease, &asked, err);

    *ret_strikes = PL_GUARD_BLAMELESS;
    if (rc < 0)
        return rc;
    if (!asked.pb || pl_rollout_group_decode(asked.pb, asked.pb_len, PL_STAGE_PROMPT, &limits,
                                             &prompt, &why) < 0) {
        rc = pl_fail(err, PL_EFORMAT, "group %s: what was asked for is not known%s%s", lease->group,
                     why.text[0] ? ": " : "", why.text);
        goto out;
    }
    if (!life_of(w->all, &life) || !pl_life_same(&prompt.life, &life)) {
        rc = pl_fail(err, PL_ENOENT, "it is of another life of the run");
        goto out;
    }
    /* Whoever it was, it costs the name nothing: that may be another's. */
    if (w->all->voucher && pl_voucher_check(w->all->voucher,
                                            &(struct pl_vouched){.run = conf->name,
                                                                 .group = lease->group,
                                                                 .actor = asked.actor,
                                                                 .rollouts = lease->pb,
                                                                 .len = lease->pb_len},
                                            lease->signature, &why) < 0) {
        rc = pl_fail(err, PL_EFORMAT, "%s", why.text);
        goto out;
    }
    *ret_strikes = (uint32_t)conf->audit_strikes;
    rc = pl_rollout_group_decode(lease->pb, lease->pb_len, PL_STAGE_ROLLOUT, &limits, group, &why);
    if (rc < 0)
        pl_fail(err, rc, "by actor '%s': %s", asked.actor, why.text);
    if (rc == PL_OK)
        rc = pl_inspect_group(
            group,
            &(struct pl_inspect){.asked = &prompt, .actor = asked.actor, .version_max = UINT64_MAX},
            err);
out:
    pl_rollout_group_release(&prompt);
    pl_asked_release(&asked);
    return rc;
}

/* What an actor made is not what was asked of it: somebody is to make it anew. */
static int refuse(struct worker *w, const struct pl_lease *lease, const char *reason,
                  uint32_t strikes)
{
    pl_warn("refused group=%s reason=\"%s\"", lease->group, reason);
    atomic_fetch_add(&w->all->refused, 1);
    pl_meter_add(w->all->shown.refused, 1);
    return pl_guard_refuse(w->stream, lease, reason, strikes, &w->err);
}

/* Somebody else is to have a turn, and this host's trouble time to pass. */
static void pause_work(struct worker *w)
{
    const struct timespec tick = {0, TICK_MS * 1000000L};

    w->pause_ms = w->pause_ms == 0 ? PAUSE_MS : 2 * w->pause_ms;
    w->pause_ms = w->pause_ms < PAUSE_MOST_MS ? w->pause_ms : PAUSE_MOST_MS;
    for (unsigned ms = 0;
         ms < w->pause_ms && !pl_daemon_stopping(NULL) && atomic_load(&w->all->failed) == PL_OK;
         ms += TICK_MS) {
        pl_vitals_tick();
        nanosleep(&tick, NULL);
    }
}

/* The user's program did not say what a sample is worth. That is no verdict on the sample: another
 * rewarder is to have the group, or this one later. */
static int set_back(struct worker *w, const struct pl_lease *lease, const char *why)
{
    pl_warn("unverified group=%s reason=\"%s\"", lease->group, why);
    atomic_fetch_add(&w->all->unverified, 1);
    pl_meter_add(w->all->shown.unverified, 1);
    return pl_queues_set_back(w->stream, PL_QUEUE_ROLLOUTS, lease, why, &w->err);
}

/* Nobody else would understand it either. */
static int bury(struct worker *w, const struct pl_lease *lease, const char *why)
{
    pl_warn("buried group=%s reason=\"%s\"", lease->group, why);
    atomic_fetch_add(&w->all->buried, 1);
    pl_meter_add(w->all->shown.buried, 1);
    return pl_queues_bury(w->stream, PL_QUEUE_ROLLOUTS, lease, why, &w->err);
}

/* The run may have begun another life, which is looked for at once. */
static int give_back(struct worker *w, const struct pl_lease *lease, const char *reason)
{
    const struct timespec pause = {0, 300000000};

    pl_info("returned group=%s queue=rollouts reason=\"%s\"", lease->group, reason);
    atomic_store(&w->all->again, true);
    nanosleep(&pause, NULL);
    return pl_queues_return(w->stream, PL_QUEUE_ROLLOUTS, lease, &w->err);
}

static int score(struct worker *w, const struct pl_lease *lease)
{
    struct pl_rollout_group group = {0};
    uint32_t right = 0, formatted = 0, strikes = 0;
    enum pl_outcome outcome = PL_OUTCOME_LOST;
    struct pl_error why = {0};
    int rc;

    w->lease = lease;
    w->renewed = now_s();
    rc = pl_queues_begin_work(w->stream, PL_QUEUE_ROLLOUTS, lease, &outcome, &w->err);
    if (rc < 0 || outcome != PL_OUTCOME_DONE) /* it is another's by now, or done with */
        return rc;
    rc = take_in(w, lease, &group, &strikes, &why);
    if (rc == PL_EFORMAT) {
        pl_rollout_group_release(&group);
        return refuse(w, lease, why.text, strikes);
    }
    if (rc == PL_ENOENT) {
        pl_rollout_group_release(&group);
        return give_back(w, lease, why.text);
    }
    group.settings = w->all->sum;
    group.rewarder_build = pl_build();
    if (rc == PL_OK) {
        const double start = seconds();

        rc = pl_scorer_group(w->scorer, &group, w->name, &right, &formatted, &why);
        pl_meter_see(w->all->shown.verify, seconds() - start);
    }
    if (rc == PL_OK) {
        w->pause_ms = 0;
        rc = commit(w, lease, &group, right, formatted);
    } else if (rc == PL_EAGAIN) {
        rc = set_back(w, lease, why.text);
        if (rc == PL_OK)
            pause_work(w);
    } else if (rc == PL_EFORMAT) {
        rc = bury(w, lease, why.text);
    } else {
        if (rc == PL_EIO) /* a program of no use: the trouble is this rewarder's, which ends */
            (void)pl_queues_return(w->stream, PL_QUEUE_ROLLOUTS, lease, NULL);
        w->err = why;
    }
    pl_rollout_group_release(&group);
    return rc;
}

static void *work(void *at)
{
    struct worker *w = at;
    int rc = PL_OK;

    pl_vitals_watch(w->name);
    while (rc == PL_OK && !pl_daemon_stopping(NULL) && atomic_load(&w->all->failed) == PL_OK) {
        const struct timespec pause = {0, 50000000};
        struct pl_lease lease = {0};
        struct pl_life life;

        if (!life_of(w->all, &life)) {
            nanosleep(&pause, NULL);
            continue;
        }
        rc = pl_queues_lease(w->stream, PL_QUEUE_ROLLOUTS, WAIT_MS, &lease, &w->err);
        if (rc == PL_ENOENT) {
            rc = PL_OK;
            continue;
        }
        if (rc == PL_OK) {
            pl_info("leased group=%s queue=rollouts deliveries=%u worker=%s", lease.group,
                    lease.deliveries, w->name);
            rc = score(w, &lease);
        }
        pl_lease_release(&lease);
    }
    if (rc < 0 && rc != PL_ECANCELED)
        atomic_store(&w->all->failed, rc);
    pl_vitals_unwatch();
    return NULL;
}

static int open_stream(struct rewarder *r, const char *name, struct pl_queues **ret_stream,
                       struct pl_error *err)
{
    const struct pl_run_conf *conf = &r->daemon->conf;
    const struct pl_queues_opts opts = {
        .url = r->redis,
        .access = conf->access,
        .run = conf->name,
        .worker = name,
        .role = "rewarder",
        .lease_ms = conf->lease_s * 1000,
        .deliveries_max = (uint32_t)conf->deliveries_max,
        .stop = pl_daemon_stopping,
        .event = pl_daemon_event,
    };

    return pl_queues_open(&opts, ret_stream, err);
}

static int worker_start(struct worker *w, struct rewarder *r, size_t number, struct pl_error *err)
{
    struct pl_reward_opts opts = r->opts;
    int rc;

    w->all = r;
    opts.program.pulse = keep;
    opts.program.at = w;
    snprintf(w->name, sizeof w->name, "%s.%zu", r->daemon->name, number);
    rc = open_stream(r, w->name, &w->stream, err);
    if (rc == PL_OK && pl_scorer_create(r->tokenizer, &opts, &w->scorer) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for a scorer");
    if (rc == PL_OK && pthread_create(&w->thread, NULL, work, w) != 0)
        rc = pl_fail(err, PL_EIO, "no thread for a scorer");
    if (rc < 0) {
        pl_queues_close(w->stream);
        pl_scorer_destroy(w->scorer);
    }
    return rc;
}

static void beat(struct rewarder *r, struct pl_queues *stream)
{
    char groups[32], samples[32], buried[32], refused[32], unverified[32];
    const struct pl_field fields[] = {
        {"groups", groups},         {"samples", samples},
        {"buried", buried},         {"refused", refused},
        {"unverified", unverified}, {"http", pl_window_address(r->daemon->window)}};

    snprintf(groups, sizeof groups, "%llu", (unsigned long long)atomic_load(&r->groups));
    snprintf(samples, sizeof samples, "%llu", (unsigned long long)atomic_load(&r->samples));
    snprintf(buried, sizeof buried, "%llu", (unsigned long long)atomic_load(&r->buried));
    snprintf(refused, sizeof refused, "%llu", (unsigned long long)atomic_load(&r->refused));
    snprintf(unverified, sizeof unverified, "%llu",
             (unsigned long long)atomic_load(&r->unverified));
    (void)pl_queues_heartbeat(stream, fields, sizeof fields / sizeof *fields, NULL);
    pl_vitals_status("%s groups scored", groups);
}

/* With keys actors sign what they hand over. */
static int open_voucher(struct rewarder *r, struct pl_error *err)
{
    const char *dir = r->daemon->conf.keys;
    char *list;
    int rc;

    if (!dir[0])
        return PL_OK;
    list = pl_strf("%s/allow", dir);
    rc = list ? pl_voucher_open(list, &r->voucher, err)
              : pl_fail(err, PL_ENOMEM, "no memory for the rewarder");
    free(list);
    return rc;
}

/* Where the run's settings ask for it; a task's limit of tokens is the run's then. */
static int open_desk(struct rewarder *r, struct pl_desk **ret_desk, struct pl_error *err)
{
    const struct pl_run_conf *conf = &r->daemon->conf;
    const struct pl_keys_opts keys = {
        .dir = conf->keys, .name = r->daemon->name, .role = "rewarder"};
    struct pl_desk_opts opts = {
        .tokenizer = r->tokenizer, .reward = r->opts, .event = pl_daemon_event};
    char *endpoint;
    int rc;

    if (!conf->score[0])
        return PL_OK;
    endpoint = pl_run_conf_score(conf, r->daemon->name);
    opts.endpoint = endpoint;
    opts.reward.new_tokens_max = conf->response_tokens_max;
    rc = endpoint ? pl_keys_load(&keys, &r->keys, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for the rewarder");
    opts.keys = r->keys;
    if (rc == PL_OK)
        rc = pl_endpoint_check("link.score", endpoint, r->keys, conf->insecure, err);
    if (rc == PL_OK)
        rc = pl_desk_create(&opts, ret_desk, err);
    if (rc == PL_OK)
        pl_info("scores event=open endpoint=%s", pl_desk_endpoint(*ret_desk));
    free(endpoint);
    return rc;
}

/* What must agree with the run. */
static int set_lines(struct rewarder *r, struct pl_error *err)
{
    const struct pl_run_conf *conf = &r->daemon->conf;
    char tokenizer[65], verifier[65];
    int rc = pl_agreement_tokenizer(conf->model, tokenizer, err);

    if (rc == PL_OK)
        rc = pl_agreement_verifier(conf, verifier, err);
    if (rc < 0)
        return rc;
    rc = pl_agreement_lines(conf, PL_DEPENDS_REWARDER, NULL, tokenizer, verifier, &r->lines);
    r->sum = pl_agreement_sum(r->lines.data, r->lines.len);
    return rc < 0 ? pl_fail(err, rc, "no memory for the rewarder") : PL_OK;
}

/* Whether it agrees with the run, and in which life that is; it waits where nobody can say. */
static int look_at_run(struct rewarder *r, struct pl_queues *stream, struct pl_member *member,
                       struct pl_error *err)
{
    const bool waited = member->why[0];
    const int rc = pl_member_look(member, stream, err);
    const bool waits = member->why[0];

    if (rc < 0)
        return rc;
    if (waits)
        pl_vitals_unready("run", member->why);
    else
        pl_vitals_ready("run");
    if (waits && !waited)
        pl_warn("run event=waiting reason=\"%s\"", member->why);
    if (!waits && !pl_life_same(&member->life, &r->life))
        pl_info("run event=joined run_id=%s life=%llu", member->life.run_id,
                (unsigned long long)member->life.number);
    pthread_mutex_lock(&r->lock);
    r->life = waits ? (struct pl_life){{0}, 0} : member->life;
    pthread_mutex_unlock(&r->lock);
    return PL_OK;
}

/* Until a signal comes or a thread fails. */
static int supervise(struct rewarder *r, struct pl_error *err)
{
    const struct timespec tick = {0, 100000000};
    struct pl_member member = {.lines = r->lines.data};
    struct pl_queues *stream = NULL;
    int rc = open_stream(r, r->daemon->name, &stream, err);

    pl_vitals_unready("run", "Redis was not asked yet");
    if (rc == PL_OK)
        pl_vitals_ready("start");
    for (unsigned n = 0; rc == PL_OK && !pl_daemon_stopping(NULL); n++) {
        const bool waits = member.why[0] && n % 5 == 0;

        if (atomic_exchange(&r->again, false) || waits || n % (10 * HEARTBEAT_S) == 0)
            rc = look_at_run(r, stream, &member, err);
        if (rc < 0)
            break;
        if (n % (10 * HEARTBEAT_S) == 0)
            beat(r, stream);
        nanosleep(&tick, NULL);
        if (atomic_load(&r->failed) != PL_OK)
            break;
    }
    pl_queues_close(stream);
    return rc;
}

int pl_rewarder_run(struct pl_daemon *daemon, struct pl_error *err)
{
    const size_t threads = daemon->conf.rewarder_threads;
    struct rewarder r = {.daemon = daemon};
    struct pl_tokenizer *tokenizer = NULL;
    struct worker *workers = calloc(threads, sizeof *workers);
    struct pl_desk *desk = NULL;
    struct pl_config config;
    size_t started = 0;
    int rc;

    pl_buf_init(&r.lines, LINES_MAX);
    pthread_mutex_init(&r.lock, NULL);
    pl_rewarder_opts(&daemon->conf, &r.opts);
    pl_rewarder_shown_make(&r.shown, pl_window_meters(daemon->window));
    r.redis = pl_run_conf_redis(&daemon->conf);
    rc = workers && r.redis ? pl_tokenizer_load(daemon->conf.model, &tokenizer, err)
                            : pl_fail(err, PL_ENOMEM, "no memory for the rewarder");
    r.tokenizer = tokenizer;
    if (rc == PL_OK)
        rc = pl_config_load(daemon->conf.model, &config, err);
    if (rc == PL_OK)
        r.vocab = config.vocab;
    if (rc == PL_OK)
        rc = set_lines(&r, err);
    if (rc == PL_OK)
        rc = open_voucher(&r, err);
    if (rc == PL_OK)
        rc = open_desk(&r, &desk, err);
    if (rc == PL_OK && desk && r.keys)
        pl_rewarder_shown_desk(&r.shown, desk);
    while (rc == PL_OK && started < threads) {
        rc = worker_start(&workers[started], &r, started + 1, err);
        started += rc == PL_OK;
    }
    if (rc == PL_OK)
        rc = supervise(&r, err);
    if (rc < 0)
        atomic_store(&r.failed, rc);
    for (size_t i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (rc == PL_OK && workers[i].err.code < 0 && workers[i].err.code != PL_ECANCELED) {
            rc = workers[i].err.code;
            *err = workers[i].err;
        }
        pl_queues_close(workers[i].stream);
        pl_scorer_destroy(workers[i].scorer);
    }
    pl_info("scored groups=%llu samples=%llu buried=%llu refused=%llu unverified=%llu",
            (unsigned long long)atomic_load(&r.groups), (unsigned long long)atomic_load(&r.samples),
            (unsigned long long)atomic_load(&r.buried), (unsigned long long)atomic_load(&r.refused),
            (unsigned long long)atomic_load(&r.unverified));
    pl_rewarder_shown_forget(&r.shown);
    pl_desk_destroy(desk);
    pl_keys_destroy(r.keys);
    pl_voucher_close(r.voucher);
    pl_tokenizer_destroy(tokenizer);
    pl_buf_release(&r.lines);
    pthread_mutex_destroy(&r.lock);
    free(r.redis);
    free(workers);
    return rc;
}
