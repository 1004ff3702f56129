/*
 * What a run's Redis holds at a moment, for people: read, never written, with commands that any
 * Redis answers (no function library needed). The commands are not one transaction: while the run
 * is at work, numbers of one survey may be a hand-over apart.
 */
#ifndef PL_LINK_SURVEY_H
#define PL_LINK_SURVEY_H

#include "common/base/err.h"
#include "common/base/redis_access.h"
#include "common/link/queues.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_SURVEY_BATCHES_MAX = 64,
    PL_SURVEY_WORKERS_MAX = 256,
    PL_SURVEY_HOLDERS_MAX = 256,
    PL_SURVEY_REASONS_MAX = 8,
    PL_SURVEY_BARRED_MAX = 16,
    PL_SURVEY_RECENT = 64,
};

/* A batch that is not retired. Its groups: waiting or leased as prompts, as rollouts, scored, dead.
 */
struct pl_survey_batch {
    char name[32];  /* "12", "e12" */
    char state[16]; /* "open", "complete", "ready" */
    uint64_t expected;
    uint64_t prompts, rollouts, scored, dead;
    uint64_t samples, right, formatted; /* of the scored groups */
    double accuracy;                    /* NaN until it is complete */
    int gate;                           /* 1 open, 0 shut, -1 not decided */
};

struct pl_survey_worker {
    char name[72], role[16];
    double left_s;    /* until its heartbeat counts as stale; a beat makes it three lease times */
    uint64_t version; /* that it samples with, 0: says none */
    uint64_t groups;  /* done since it was started */
    uint64_t leased;
    double tokens_per_s; /* NaN: says none */
    double clock_s;      /* since 1970 by its own clock, at its last heartbeat; NaN: says none */
    char host[64], http[64]; /* where it is, and where it answers; "": says none */
    uint64_t pid, rss_bytes; /* 0: says none */
    double since_s;          /* since 1970, by its clock; 0: says none */
    int restarts;            /* -1: says none */
    bool barred;             /* it is in quarantine and knows */
    char phase[24];          /* what it does: "training", "saving"; "": says none */
    double phase_s;          /* for how long it has */
};

/* What one worker holds of one queue. */
struct pl_survey_holder {
    enum pl_queue queue;
    char worker[72];
    uint64_t count;
    double oldest_s; /* since the oldest of them was queued */
    double silent_s; /* the longest that one of them was neither taken nor renewed */
};

struct pl_survey_reason {
    char text[96];
    uint64_t count;
};

/* An actor in quarantine (guard.h). */
struct pl_survey_barred {
    char actor[72], reason[256];
};

struct pl_survey {
    char state[16];   /* of the learner: "running", "stopped", "finished"; "" before it began */
    uint64_t step;    /* steps done, as the learner notes them */
    uint64_t version; /* the newest, 0: none yet */
    double step_s;    /* from one recent step to the next, by the clock of Redis; NaN: not known */
    bool learner;     /* one named "learner" is connected */
    double now_s;     /* since 1970, by the clock of Redis, when it was asked first */
    double learner_ahead_s; /* the learner's clock before that of Redis at its last metrics; NaN */
    bool insecure;          /* it binds where others reach it, without keys: link.insecure */
    double reward[PL_SURVEY_RECENT],
        accuracy[PL_SURVEY_RECENT]; /* of recent steps, the newest last */
    size_t recent_count;
    struct pl_ledger ledger;
    double oldest_s[2]; /* by enum pl_queue: age of the oldest, leased or not; 0: it is empty */
    struct pl_survey_batch batches[PL_SURVEY_BATCHES_MAX]; /* training batches, then evaluations */
    size_t batch_count;
    struct pl_survey_worker workers[PL_SURVEY_WORKERS_MAX]; /* by role and name */
    size_t worker_count;
    struct pl_survey_holder holders[PL_SURVEY_HOLDERS_MAX];
    size_t holder_count;
    struct pl_survey_reason reasons[PL_SURVEY_REASONS_MAX]; /* why groups were dropped */
    size_t reason_count;
    struct pl_survey_barred barred[PL_SURVEY_BARRED_MAX];
    size_t barred_count;
};

struct pl_surveyor;

/* Does not connect yet. `access` may be NULL; the role in it is "viewer". PL_EINVAL: the url, the
 * access or the run is none; PL_ENOMEM. */
int pl_surveyor_create(const char *url, const struct pl_redis_access *access, const char *run,
                       struct pl_surveyor **ret_surveyor, struct pl_error *err);
void pl_surveyor_destroy(struct pl_surveyor *surveyor); /* NULL is fine */

/*
 * Fill in *ret_survey, within a second or two. PL_EIO: Redis does not answer, or not so; it may be
 * asked again later, over a new connection. PL_EINVAL: it does not let one in. On failure
 * *ret_survey holds nothing of meaning.
 */
int pl_surveyor_take(struct pl_surveyor *surveyor, struct pl_survey *ret_survey,
                     struct pl_error *err);

#endif
