#include "deploy/view/overview.h"

#include "common/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pl_overview_who_name(enum pl_overview_who who)
{
    static const char *const names[] = {"nobody", "unknown", "learner", "actors", "rewarders"};

    return names[who];
}

int pl_overview_open(const struct pl_run_conf *conf, struct pl_overview_source *ret_source,
                     struct pl_error *err)
{
    struct pl_overview_source source = {.conf = conf};
    char *redis = pl_run_conf_redis(conf);
    int rc = redis ? pl_surveyor_create(redis, &conf->access, conf->name, &source.surveyor, err)
                   : pl_fail(err, PL_ENOMEM, "no memory to look at the run");

    free(redis);
    if (rc < 0)
        return rc;
    pl_history_init(&source.history, conf->dir);
    *ret_source = source;
    return PL_OK;
}

void pl_overview_close(struct pl_overview_source *source)
{
    pl_history_release(&source->history);
    pl_surveyor_destroy(source->surveyor);
    *source = (struct pl_overview_source){0};
}

static bool is_finished(const struct pl_run_conf *conf)
{
    char *path = pl_strf("%s/model/config.json", conf->dir);
    const bool there = path && pl_path_exists(path);

    free(path);
    return there;
}

void pl_overview_catch_up(struct pl_overview_source *source)
{
    while (pl_history_next(&source->history) != PL_HISTORY_NONE)
        ;
}

void pl_overview_look(struct pl_overview_source *source, struct pl_overview *ret_overview)
{
    const struct pl_run_conf *conf = source->conf;
    struct pl_overview *o = ret_overview;
    struct pl_error why = {0};
    double step;

    o->name = conf->name;
    o->dir = conf->dir;
    o->steps = conf->steps;
    o->lease_s = conf->lease_s;
    o->last = source->history.step;
    o->last_eval = source->history.eval;
    o->pace = pl_history_mean(&source->history);
    o->evals = source->history.evals;
    o->eval_count = source->history.eval_count;
    o->redis = pl_surveyor_take(source->surveyor, &o->survey, &why) == PL_OK;
    snprintf(o->redis_why, sizeof o->redis_why, "%.255s", o->redis ? "" : why.text);
    step = pl_history_number(o->last, "training/global_step");
    o->step = step > 0 ? (uint64_t)step : 0;
    if (o->redis && o->survey.step > o->step)
        o->step = o->survey.step;
    o->finished = o->step >= o->steps && is_finished(conf);
    pl_overview_conclude(o);
}

/* ---- what follows ---- */

const char *pl_overview_state(const struct pl_overview *overview)
{
    const struct pl_overview *o = overview;

    if (o->finished)
        return "finished";
    if (!o->redis)
        return "not at work";
    if (!o->survey.learner)
        return o->survey.state[0] ? "stopped" : "not begun";
    return o->survey.state[0] ? o->survey.state : "starting";
}

void pl_overview_phase(const struct pl_overview *overview, char *text, size_t size)
{
    const struct pl_survey *s = &overview->survey;
    char since[PL_HUMAN_MAX];

    text[0] = '\0';
    for (size_t i = 0; overview->redis && i < s->worker_count; i++)
        if (strcmp(s->workers[i].role, "learner") == 0 && s->workers[i].phase[0])
            snprintf(text, size, "%s for %s", s->workers[i].phase,
                     pl_human_seconds(since, s->workers[i].phase_s));
}

void pl_overview_leases(const struct pl_overview *overview, enum pl_queue queue,
                        double *ret_oldest_s, double *ret_silent_s)
{
    const struct pl_survey *s = &overview->survey;

    *ret_oldest_s = *ret_silent_s = -1.0;
    for (size_t i = 0; i < s->holder_count; i++) {
        if (s->holders[i].queue != queue)
            continue;
        *ret_oldest_s = fmax(*ret_oldest_s, s->holders[i].oldest_s);
        *ret_silent_s = fmax(*ret_silent_s, s->holders[i].silent_s);
    }
}

double pl_overview_beat_s(const struct pl_overview *overview, const struct pl_survey_worker *worker)
{
    const double age = 3.0 * (double)overview->lease_s - worker->left_s;

    return age > 0.0 ? age : 0.0;
}

static size_t workers_of(const struct pl_overview *o, const char *role)
{
    size_t n = 0;

    for (size_t i = 0; i < o->survey.worker_count; i++)
        n += strcmp(o->survey.workers[i].role, role) == 0;
    return n;
}

static double rate(const struct pl_overview *o)
{
    double sum = 0.0;
    size_t n = 0;

    for (size_t i = 0; o->redis && i < o->survey.worker_count; i++)
        if (isfinite(o->survey.workers[i].tokens_per_s)) {
            sum += o->survey.workers[i].tokens_per_s;
            n++;
        }
    return n > 0 ? sum : o->pace.tokens / o->pace.step_s;
}

__attribute__((format(printf, 3, 4))) static void
say(struct pl_overview *o, enum pl_overview_who who, const char *format, ...)
{
    va_list args;

    o->who = who;
    va_start(args, format);
    vsnprintf(o->bottleneck, sizeof o->bottleneck, format, args);
    va_end(args);
}

/* Nothing can go on for want of someone; false: all are there. */
static bool someone_is_missing(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    const unsigned long long waiting = s->ledger.queued, rolled = s->ledger.rolled;

    if (o->finished) {
        say(o, PL_OVERVIEW_NOBODY, "Nobody: the run is finished.");
    } else if (!o->redis) {
        say(o, PL_OVERVIEW_UNKNOWN, "Not known: Redis does not answer, so nobody is at work.");
    } else if (!s->learner) {
        say(o, PL_OVERVIEW_LEARNER, "The learner is not there%s.",
            s->state[0] ? ", and all others wait for it" : " yet");
    } else if (!s->state[0] && s->ledger.fed == 0) {
        say(o, PL_OVERVIEW_LEARNER, "The learner is starting.");
    } else if (workers_of(o, "actor") == 0) {
        say(o, PL_OVERVIEW_ACTORS, "No actor is alive: %llu groups wait to be sampled.", waiting);
    } else if (workers_of(o, "rewarder") == 0) {
        say(o, PL_OVERVIEW_REWARDERS, "No rewarder is alive: %llu groups wait to be scored.",
            rolled);
    } else {
        return false;
    }
    return true;
}

/* The learner waits: which of those before it is behind? */
static void blame(struct pl_overview *o, double share)
{
    const struct pl_ledger *l = &o->survey.ledger;
    const unsigned long long rolled = l->rolled, scoring = l->scoring, queued = l->queued,
                             leased = l->leased;
    char how[48] = "The learner waits";

    if (isfinite(share))
        snprintf(how, sizeof how, "The learner waits %.0f %% of a step", 100.0 * share);
    if (rolled + scoring + queued + leased == 0)
        say(o, PL_OVERVIEW_ACTORS, "%s for samples.", how);
    else if (rolled > 1 && rolled >= queued + leased)
        say(o, PL_OVERVIEW_REWARDERS,
            "%s for scores: %llu groups wait for a rewarder, %llu are being scored.", how, rolled,
            scoring);
    else
        say(o, PL_OVERVIEW_ACTORS,
            "%s for samples: %llu groups are being sampled, %llu wait for an actor.", how, leased,
            queued);
}

static void judge(struct pl_overview *o)
{
    const double share = o->pace.wait_s / o->pace.step_s;

    if (someone_is_missing(o))
        return;
    if (!isfinite(share) || share >= 0.3)
        blame(o, share);
    else if (share >= 0.1)
        say(o, PL_OVERVIEW_NOBODY,
            "Nobody: the learner waits %.0f %% of a step, and trains in the rest.", 100.0 * share);
    else
        say(o, PL_OVERVIEW_LEARNER,
            "The learner is at work %.0f %% of a step: all others wait for it.",
            100.0 - 100.0 * share);
}

void pl_overview_conclude(struct pl_overview *overview)
{
    struct pl_overview *o = overview;
    const uint64_t left = o->step < o->steps ? o->steps - o->step : 0;

    o->step_s = o->redis && isfinite(o->survey.step_s) ? o->survey.step_s : o->pace.step_s;
    o->tokens_per_s = rate(o);
    o->eta_s = left == 0 ? 0.0 : (double)left * o->step_s;
    judge(o);
}
