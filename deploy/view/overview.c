#include "deploy/view/overview.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "learner/result.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

enum {
    ID_BYTES_MAX = 256,
    LONG_S = 60,           /* in one phase: worth a second look */
    LOOK_MS = 300,         /* between looks at whether the learner's beat moves */
    WELL_S = 8,            /* the most that is waited for it */
    HUNG_S = 8,            /* a watched beat that stands still for so long */
    LEAST_FREE = 16 << 20, /* bytes of run.dir's disk */
    CLOCK_S = 60,          /* clocks that are apart so far make ages meaningless */
    NAMED = 4,             /* workers, groups: the rest is counted */
};

const char *pl_overview_who_name(enum pl_overview_who who)
{
    static const char *const names[] = {"nobody",    "unknown", "learner", "actors",
                                        "rewarders", "redis",   "person"};

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

/* A model that does not say of which step it is was written by an earlier version of plait. */
static bool is_finished(const struct pl_run_conf *conf)
{
    char *path = pl_strf("%s/model/config.json", conf->dir);
    const bool there = path && pl_path_exists(path);
    uint64_t step;

    free(path);
    return there &&
           (pl_result_step(conf->dir, &step, NULL) < 0 || pl_result_is_of(conf->dir, conf->steps));
}

static void read_id(const char *dir, char id[65])
{
    char *path = pl_strf("%s/run_id", dir), *text = NULL;
    size_t len;

    id[0] = '\0';
    if (path && pl_file_read(path, ID_BYTES_MAX, &text, &len, NULL) == PL_OK)
        snprintf(id, 65, "%.*s", (int)strcspn(text, "\r\n"), text);
    free(text);
    free(path);
}

static double clock_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Since when the learner's beat stands still, as this source has seen it. */
static double watch_beat(struct pl_overview_source *source, const struct pl_survey *s)
{
    const double now = clock_s(CLOCK_MONOTONIC);

    if (!s->learner || !s->presence.beats) {
        source->beat_s = 0.0;
        return 0.0;
    }
    if (source->beat_s <= 0.0 || source->beat != s->presence.beat) {
        source->beat = s->presence.beat;
        source->beat_s = now;
    }
    return now - source->beat_s;
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
    struct statvfs disk;
    double step, asked_s;

    o->name = conf->name;
    o->dir = conf->dir;
    o->steps = conf->steps;
    o->lease_s = conf->lease_s;
    o->last = source->history.step;
    o->last_eval = source->history.eval;
    o->pace = pl_history_mean(&source->history);
    o->evals = source->history.evals;
    o->eval_count = source->history.eval_count;
    asked_s = clock_s(CLOCK_REALTIME);
    o->redis = pl_surveyor_take(source->surveyor, &o->survey, &why) == PL_OK;
    o->clock_ahead_s = o->redis ? asked_s - o->survey.now_s : NAN;
    o->still_s = watch_beat(source, &o->survey);
    o->disk_full = statvfs(conf->dir, &disk) == 0 &&
                   (double)disk.f_bavail * (double)disk.f_frsize < LEAST_FREE;
    read_id(conf->dir, o->run_id);
    snprintf(o->redis_why, sizeof o->redis_why, "%.255s", o->redis ? "" : why.text);
    step = pl_history_number(o->last, "training/global_step");
    o->step = step > 0 ? (uint64_t)step : 0;
    if (o->redis && o->survey.step > o->step)
        o->step = o->survey.step;
    o->finished = o->step >= o->steps && is_finished(conf);
    pl_overview_conclude(o);
}

void pl_overview_look_well(struct pl_overview_source *source, struct pl_overview *ret_overview)
{
    struct pl_overview *o = ret_overview;
    const struct timespec pause = {0, LOOK_MS * 1000000L};
    double begun_s;

    pl_overview_look(source, o);
    begun_s = source->beat_s;
    while (o->survey.learner && o->survey.presence.beats && o->survey.presence.phase_s > LONG_S &&
           source->beat_s <= begun_s && o->still_s < WELL_S) {
        nanosleep(&pause, NULL);
        pl_overview_look(source, o);
    }
}

void pl_overview_release(struct pl_overview *overview)
{
    pl_survey_release(&overview->survey);
}

/* ---- what follows ---- */

/* Over two thirds of a lease without a beat, which comes three times in one. */
static bool is_silent(const struct pl_overview *o, const struct pl_survey_worker *w)
{
    return pl_overview_beat_s(o, w) > 10.0 + (double)o->lease_s / 3.0;
}

/* More time left than a beat gives: Redis' clock was set back since. */
static bool is_dated_ahead(const struct pl_overview *o, const struct pl_survey_worker *w)
{
    return w->left_s > 3.0 * (double)o->lease_s + 2.0;
}

static bool is_barred(const struct pl_overview *o, const struct pl_survey_worker *w)
{
    for (size_t i = 0; i < o->survey.barred_count; i++)
        if (strcmp(o->survey.barred[i].actor, w->name) == 0)
            return true;
    return w->barred;
}

struct crowd {
    size_t all, silent, barred, fit;
};

static struct crowd crowd_of(const struct pl_overview *o, const char *role)
{
    struct crowd c = {0};

    for (size_t i = 0; i < o->survey.worker_count; i++) {
        const struct pl_survey_worker *w = &o->survey.workers[i];

        if (strcmp(w->role, role) != 0)
            continue;
        c.all++;
        if (is_barred(o, w))
            c.barred++;
        else if (is_silent(o, w))
            c.silent++;
        else
            c.fit++;
    }
    return c;
}

/* Something is in the hands of somebody who renews it. */
static bool something_is_held(const struct pl_overview *o)
{
    for (size_t i = 0; i < o->survey.holder_count; i++)
        if (o->survey.holders[i].silent_s < (double)o->lease_s)
            return true;
    return false;
}

const char *pl_overview_state(const struct pl_overview *overview)
{
    const struct pl_overview *o = overview;
    const struct pl_survey *s = &o->survey;

    if (o->finished)
        return "finished";
    if (!o->redis)
        return "not at work";
    if (!s->learner)
        return !s->state[0] ? "not begun" : strcmp(s->state, "running") == 0 ? "gone" : "stopped";
    if (strcmp(s->presence.phase, "starting") == 0 || (!s->state[0] && !s->presence.beats))
        return "starting";
    return o->moving ? "running" : "waiting";
}

void pl_overview_phase(const struct pl_overview *overview, char *text, size_t size)
{
    const struct pl_survey_learner *p = &overview->survey.presence;
    char since[PL_HUMAN_MAX];

    text[0] = '\0';
    if (overview->redis && overview->survey.learner && p->phase[0])
        snprintf(text, size, "%s for %s", p->phase,
                 pl_human_seconds(since, isfinite(p->phase_s) ? p->phase_s : 0.0));
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

const struct pl_history_eval *pl_overview_best(const struct pl_overview *overview)
{
    const struct pl_history_eval *best = NULL;

    for (size_t i = 0; i < overview->eval_count; i++) {
        const struct pl_history_eval *eval = &overview->evals[i];

        if (isfinite(eval->accuracy) && (!best || eval->accuracy > best->accuracy))
            best = eval;
    }
    return best;
}

double pl_overview_beat_s(const struct pl_overview *overview, const struct pl_survey_worker *worker)
{
    const double age = 3.0 * (double)overview->lease_s - worker->left_s;

    return age > 0.0 ? age : 0.0;
}

static double rate(const struct pl_overview *o)
{
    double sum = 0.0;
    size_t n = 0;

    for (size_t i = 0; o->redis && i < o->survey.worker_count; i++)
        if (isfinite(o->survey.workers[i].tokens_per_s) && !is_silent(o, &o->survey.workers[i])) {
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

__attribute__((format(printf, 2, 3))) static void warn(struct pl_overview *o, const char *format,
                                                       ...)
{
    va_list args;

    if (o->warning_count == PL_OVERVIEW_WARNINGS)
        return;
    va_start(args, format);
    vsnprintf(o->warnings[o->warning_count++], sizeof o->warnings[0], format, args);
    va_end(args);
}

/* ---- what keeps the run: the deepest cause first ---- */

static bool redis_keeps_it(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    char trouble[256];

    if (o->finished) {
        say(o, PL_OVERVIEW_NOBODY, "Nobody: the run is finished.");
        return true;
    }
    if (!o->redis) {
        say(o, PL_OVERVIEW_UNKNOWN, "Not known: Redis does not answer, so nobody is at work.");
        return true;
    }
    pl_survey_redis_trouble(&s->redis, trouble, sizeof trouble);
    if (trouble[0]) {
        say(o, PL_OVERVIEW_REDIS, "%s.", trouble);
        return true;
    }
    if (s->run_id[0] && o->run_id[0] && strcmp(s->run_id, o->run_id) != 0) {
        say(o, PL_OVERVIEW_PERSON,
            "This Redis holds another folder's run by the name '%s' (%.8s; '%s' is %.8s): give one "
            "of "
            "them another run.name.",
            o->name, s->run_id, o->dir, o->run_id);
        return true;
    }
    return false;
}

static bool learner_keeps_it(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    const struct pl_survey_learner *p = &s->presence;
    char pace[PL_HUMAN_MAX];

    if (!s->learner && !s->state[0])
        say(o, PL_OVERVIEW_LEARNER, "The learner is not there yet.");
    else if (!s->learner && strcmp(s->state, "running") == 0)
        say(o, PL_OVERVIEW_LEARNER,
            "The learner is gone without a word, at step %llu, and all others wait for it: start "
            "it "
            "again.",
            (unsigned long long)o->step);
    else if (!s->learner)
        say(o, PL_OVERVIEW_LEARNER,
            "The learner was stopped at step %llu; the same command goes on from there.",
            (unsigned long long)o->step);
    else if (o->still_s >= HUNG_S)
        say(o, PL_OVERVIEW_LEARNER,
            "The learner hangs: nothing moves in it any more%s%s. End it; it goes on from its last "
            "checkpoint, of step %llu.",
            p->phase[0] ? ", in the phase " : "", p->phase, (unsigned long long)p->saved_step);
    else if (o->disk_full)
        say(o, PL_OVERVIEW_PERSON,
            "The disk of '%s' is full: no checkpoint can be written; make room on it.", o->dir);
    else if (p->beats && strcmp(p->phase, "starting") == 0)
        say(o, PL_OVERVIEW_LEARNER, "The learner is starting, for %s.",
            pl_human_seconds(pace, fmax(0.0, p->phase_s)));
    else if (!s->state[0] && s->ledger.fed == 0 && !p->beats)
        say(o, PL_OVERVIEW_LEARNER, "The learner is starting.");
    else
        return false;
    return true;
}

/* Of a role nobody can do anything. */
static bool role_is_missing(struct pl_overview *o, const char *role, enum pl_overview_who who,
                            unsigned long long groups, const char *to_be)
{
    const struct crowd c = crowd_of(o, role);

    if (c.fit > 0)
        return false;
    if (c.all == 0)
        say(o, who, "No %s is alive: %llu groups wait to be %s.", role, groups, to_be);
    else if (c.silent == 0)
        say(o, PL_OVERVIEW_PERSON,
            "Every %s is in quarantine: %llu groups wait to be %s. See why (plait quarantine ls), "
            "and "
            "start others, or take these back (plait quarantine lift).",
            role, groups, to_be);
    else
        say(o, who, "No %s is heard of any more: %llu groups wait to be %s.", role, groups, to_be);
    return true;
}

static bool worker_is_missing(struct pl_overview *o)
{
    const struct pl_ledger *l = &o->survey.ledger;
    const bool no_actor = crowd_of(o, "actor").all == 0;

    if (no_actor && crowd_of(o, "rewarder").all == 0) {
        say(o, PL_OVERVIEW_ACTORS,
            "Neither an actor nor a rewarder is alive: %llu groups wait to be sampled, %llu to be "
            "scored.",
            (unsigned long long)l->queued, (unsigned long long)l->rolled);
        return true;
    }
    return role_is_missing(o, "actor", PL_OVERVIEW_ACTORS, l->queued, "sampled") ||
           role_is_missing(o, "rewarder", PL_OVERVIEW_REWARDERS, l->rolled, "scored");
}

/* What the learner itself says, unless others are busy with what it waits for; what is parked or
 * lost, where it does not say. */
static bool something_is_stuck(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    const struct pl_survey_learner *p = &s->presence;
    const bool waits = strcmp(p->phase, "waiting") == 0 || strcmp(p->phase, "evaluating") == 0;
    char pace[PL_HUMAN_MAX];

    if (p->why[0] && !(waits && something_is_held(o))) {
        say(o, PL_OVERVIEW_LEARNER, "The learner makes no progress: %s.", p->why);
    } else if (!s->state[0] && s->ledger.fed == 0) {
        say(o, PL_OVERVIEW_LEARNER, "Redis has lost the run: the learner feeds it again.");
    } else if (s->parked_count > 0 && !something_is_held(o) && s->ledger.queued == 0) {
        say(o, PL_OVERVIEW_ACTORS,
            "%zu group%s parked (%s%s): whoever computed %s ended. They are tried again after a "
            "pause; "
            "plait dead retry does it at once.",
            s->parked_count, s->parked_count == 1 ? " is" : "s are", s->parked[0].group,
            s->parked_count > 1 ? ", ..." : "", s->parked_count == 1 ? "it" : "them");
    } else if (strcmp(p->phase, "saving") == 0 && p->phase_s > LONG_S) {
        say(o, PL_OVERVIEW_LEARNER, "The learner is saving, for %s: all others wait for it.",
            pl_human_seconds(pace, p->phase_s));
        return o->moving = true; /* it beats: it is at it */
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

    o->moving = false;
    if (redis_keeps_it(o) || learner_keeps_it(o) || worker_is_missing(o) || something_is_stuck(o))
        return;
    o->moving = true;
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

/* ---- what a person should know beside it ---- */

static void warn_of_workers(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    size_t learners = 0, ahead = 0, silent = 0;
    const char *first = "";

    for (size_t i = 0; i < s->worker_count; i++) {
        const struct pl_survey_worker *w = &s->workers[i];

        learners += strcmp(w->role, "learner") == 0 && !is_silent(o, w);
        ahead += is_dated_ahead(o, w);
        if (strcmp(w->role, "learner") == 0 || !is_silent(o, w))
            continue;
        if (silent++ == 0)
            first = w->name;
    }
    if (learners > 1)
        warn(o, "%zu learners beat for this run; it belongs to '%s', process %llu on %s", learners,
             s->presence.name, (unsigned long long)s->presence.pid, s->presence.host);
    if (ahead > 0)
        warn(o,
             "the clock of Redis was set back: of %zu workers it is not known when they beat last",
             ahead);
    if (silent > 0)
        warn(o, "%zu worker%s not heard of any more: %s%s", silent, silent == 1 ? " is" : "s are",
             first, silent > 1 ? ", ..." : "");
}

/* Roles agree on what they depend on before they take work; two builds may agree, and be what a
 * difference between workers comes from all the same. */
static void warn_of_builds(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;
    const struct pl_survey_worker *first = NULL;
    size_t others = 0;

    for (size_t i = 0; i < s->worker_count; i++) {
        const struct pl_survey_worker *w = &s->workers[i];

        if (!s->build[0] || !w->build[0] || is_silent(o, w) || strcmp(w->build, s->build) == 0)
            continue;
        if (others++ == 0)
            first = w;
    }
    if (first)
        warn(o, "%zu worker%s of another build than the learner, which is '%s': %s is '%s'%s",
             others, others == 1 ? " is" : "s are", s->build, first->name, first->build,
             others > 1 ? ", ..." : "");
}

/* Recorded and computed log-probabilities are equal to the bit (the learner compares a part of each
 * batch, another one in each step): one token that differs is one too many. */
static void warn_of_differences(struct pl_overview *o)
{
    if (o->pace.off_tokens > 0.0)
        warn(o,
             "in the last %d steps actors recorded log-probabilities that are not those of the "
             "weights, of %.3g tokens a step: the learner's log says of which group and actor "
             "(difference), audit.share finds out who",
             PL_HISTORY_RECENT, o->pace.off_tokens);
}

static void warn_of_groups(struct pl_overview *o)
{
    const struct pl_survey *s = &o->survey;

    if (s->ledger_exact && s->astray > 0)
        warn(o,
             "the ledger does not balance: %lld groups that were fed are nowhere. Redis lost them; "
             "the learner counts them as lost, and feeds them again, after its step or while it "
             "waits",
             (long long)s->astray);
    else if (s->ledger_exact && s->astray < 0)
        warn(o,
             "the ledger does not balance: %lld groups more are there than were fed. The learner "
             "counts them again after its step or while it waits",
             -(long long)s->astray);
    if (s->parked_count > 0) {
        char names[160] = "";
        size_t len = 0;

        for (size_t i = 0; i < s->parked_count && i < NAMED; i++)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%.30s", i > 0 ? ", " : "",
                                    s->parked[i].group);
        warn(o, "parked: %s%s; plait dead ls says why, plait dead retry tries them again", names,
             s->parked_count > NAMED ? ", ..." : "");
    }
}

static void warn_all(struct pl_overview *o)
{
    char risk[256];

    o->warning_count = 0;
    if (!o->redis)
        return;
    pl_survey_redis_risk(&o->survey.redis, risk, sizeof risk);
    if (risk[0])
        warn(o, "%.250s", risk);
    if (fabs(o->clock_ahead_s) > CLOCK_S)
        warn(o, "the clock of Redis is %.0f s %s this machine's", fabs(o->clock_ahead_s),
             o->clock_ahead_s > 0 ? "behind" : "before");
    if (o->finished)
        return;
    warn_of_workers(o);
    warn_of_builds(o);
    warn_of_differences(o);
    warn_of_groups(o);
}

bool pl_overview_needs_help(const struct pl_overview *overview)
{
    const struct pl_overview *o = overview;

    if (o->finished || !o->redis || o->moving)
        return false;
    if (!o->survey.learner) /* never begun and stopped on purpose are fine */
        return strcmp(o->survey.state, "running") == 0 || o->who == PL_OVERVIEW_REDIS ||
               o->who == PL_OVERVIEW_PERSON;
    return strcmp(pl_overview_state(o), "starting") != 0;
}

void pl_overview_conclude(struct pl_overview *overview)
{
    struct pl_overview *o = overview;
    const uint64_t left = o->step < o->steps ? o->steps - o->step : 0;

    o->step_s = o->redis && isfinite(o->survey.step_s) ? o->survey.step_s : o->pace.step_s;
    o->tokens_per_s = rate(o);
    judge(o);
    warn_all(o);
    o->eta_s = left == 0 ? 0.0 : o->moving ? (double)left * o->step_s : NAN;
}
