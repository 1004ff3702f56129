/*
 * What a run's Redis holds at a moment, for people: read, never written. The commands are not one
 * transaction: while the run is at work, numbers of one survey may be a hand-over apart. The ledger
 * alone is of one moment, where the run's function library is there.
 *
 * Lists are as long as what there is: a run may have thousands of workers.
 */
#ifndef PL_LINK_SURVEY_H
#define PL_LINK_SURVEY_H

#include "common/base/err.h"
#include "common/base/redis_access.h"
#include "common/link/queues.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_SURVEY_RECENT = 64 };

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
    uint64_t beat;           /* grows with its heartbeats; 0: says none */
    char build[48];          /* "": says none */
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

/* A group that waits in `dead` for another try; its batch waits for it. */
struct pl_survey_parked {
    char group[48];
};

/* The run's learner: who holds the claim `learner`, and what its heartbeat says. */
struct pl_survey_learner {
    char name[72], host[64];
    uint64_t pid;
    bool beats; /* there is a heartbeat of that name: what is below means something */
    char phase[24];
    double phase_s;            /* for how long it is in this phase, by its own clock */
    uint64_t step, saved_step; /* done, in a checkpoint */
    double saved_s;            /* since then; NaN: never */
    char why[512];             /* why it makes no progress; "": it makes some */
    uint64_t beat;             /* grows as long as it does anything */
};

/* Redis itself, by INFO. */
struct pl_survey_redis {
    bool known; /* one may ask */
    bool replica, primary_lost, cluster;
    bool file_failed; /* it could not write its file, and refuses hand-overs */
    bool no_replicas; /* it is to have some, has none, and refuses hand-overs */
    bool evicts;      /* at its limit it throws keys away */
    uint64_t evicted, used_bytes, most_bytes; /* keys; memory, 0: no limit */
};

struct pl_survey {
    char state[16];   /* of the learner: "running", "stopped", "finished"; "" before it began */
    uint64_t step;    /* steps done, as the learner notes them */
    uint64_t version; /* the newest, 0: none yet */
    double step_s;    /* from one recent step to the next, by the clock of Redis; NaN: not known */
    char run_id[65];  /* of the folder whose run it is; "": none is said */
    uint64_t life;
    char build[48];                    /* the learner's, as it noted it; "": it did not */
    char why[512];                     /* as the learner noted it last */
    bool learner;                      /* one is at work: its claim is there */
    struct pl_survey_learner presence; /* with it */
    struct pl_survey_redis redis;
    double last_step_s;     /* since the newest step, by the clock of Redis; NaN: none is known */
    double now_s;           /* since 1970, by the clock of Redis, when it was asked first */
    double learner_ahead_s; /* the learner's clock before that of Redis at its last metrics; NaN */
    bool insecure;          /* it binds where others reach it, without keys: link.insecure */
    double reward[PL_SURVEY_RECENT],
        accuracy[PL_SURVEY_RECENT]; /* of recent steps, the newest last */
    size_t recent_count;
    struct pl_ledger ledger;
    bool ledger_exact; /* it is of one moment, and `balanced` in it means something */
    int64_t astray; /* with it: groups that were fed and are nowhere; below 0: too many are there */
    double oldest_s[2]; /* by enum pl_queue: age of the oldest, leased or not; 0: it is empty */
    struct pl_survey_batch *batches; /* training batches, then evaluations */
    size_t batch_count;
    struct pl_survey_worker *workers; /* by role and name */
    size_t worker_count;
    struct pl_survey_holder *holders;
    size_t holder_count;
    struct pl_survey_reason *reasons; /* why groups were dropped */
    size_t reason_count;
    struct pl_survey_barred *barred;
    size_t barred_count;
    struct pl_survey_parked *parked;
    size_t parked_count;
    size_t caps[6]; /* room in the lists; pl_surveyor_take()'s own */
};

struct pl_surveyor;

/* Does not connect yet. `access` may be NULL; the role in it is "viewer". PL_EINVAL: the url, the
 * access or the run is none; PL_ENOMEM. */
int pl_surveyor_create(const char *url, const struct pl_redis_access *access, const char *run,
                       struct pl_surveyor **ret_surveyor, struct pl_error *err);
void pl_surveyor_destroy(struct pl_surveyor *surveyor); /* NULL is fine */

/*
 * Fill in *ret_survey, within a second or two: zeroed, or one that was filled in before, whose
 * lists go. PL_EIO: Redis does not answer, or not so; it may be asked again later, over a new
 * connection. PL_EINVAL: it does not let one in. On failure *ret_survey holds nothing. Ended with
 * pl_survey_release().
 */
int pl_surveyor_take(struct pl_surveyor *surveyor, struct pl_survey *ret_survey,
                     struct pl_error *err);
void pl_survey_release(struct pl_survey *survey);

/* What keeps Redis from taking hand-overs, as a sentence of what to do; "" nothing does. */
void pl_survey_redis_trouble(const struct pl_survey_redis *redis, char *text, size_t size);
/* What it does not suffer from yet, but is set up wrong for a run; "" nothing. */
void pl_survey_redis_risk(const struct pl_survey_redis *redis, char *text, size_t size);

#endif
