/*
 * How a run stands: its folder and its Redis, seen at a moment, and what follows from both. What
 * `plait status` prints and `plait up` shows.
 *
 * It is there as well when Redis is down: then the folder alone is told of.
 */
#ifndef PL_VIEW_OVERVIEW_H
#define PL_VIEW_OVERVIEW_H

#include "common/app/run_conf.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/link/survey.h"
#include "deploy/view/history.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is waited for. */
enum { PL_OVERVIEW_WARNINGS = 8 };

enum pl_overview_who {
    PL_OVERVIEW_NOBODY,
    PL_OVERVIEW_UNKNOWN,
    PL_OVERVIEW_LEARNER,
    PL_OVERVIEW_ACTORS,
    PL_OVERVIEW_REWARDERS,
    PL_OVERVIEW_REDIS,
    PL_OVERVIEW_PERSON, /* somebody has to decide something */
};
const char *pl_overview_who_name(enum pl_overview_who who); /* "nobody", "actors", ... */

struct pl_overview {
    const char *name, *dir;  /* of the run */
    uint64_t steps, lease_s; /* of its configuration */
    uint64_t step;           /* done */
    bool finished;           /* its model is written */
    bool redis;              /* it answered: the survey means something */
    char redis_why[256];     /* why not */
    char run_id[65];         /* of the folder; "": it has none */
    double clock_ahead_s;    /* this machine's clock before that of Redis; NaN: not known */
    bool disk_full;          /* that of run.dir: nothing can be written there */
    double still_s; /* for how long the learner's beat has stood still while it was watched */
    struct pl_survey survey;
    json_t *last, *last_eval;            /* newest lines of metrics.jsonl, borrowed; NULL: none */
    struct pl_history_pace pace;         /* of the recent steps */
    const struct pl_history_eval *evals; /* borrowed */
    size_t eval_count;
    double step_s;       /* from one step to the next, NaN: not known */
    double tokens_per_s; /* sampled now, NaN: not known */
    double eta_s;        /* NaN: not known */
    bool moving;         /* the run comes any further by itself; else there is no ETA */
    enum pl_overview_who who;
    char bottleneck[640]; /* one sentence: who waits for whom, or what keeps the run */
    char warnings[PL_OVERVIEW_WARNINGS][256]; /* what a person should know beside that */
    size_t warning_count;
    char trouble[256]; /* of whoever started the processes: which of them die; "" none */
};

struct pl_overview_source {
    const struct pl_run_conf *conf;
    struct pl_history history;
    struct pl_surveyor *surveyor;
    uint64_t beat; /* of the learner, when it moved last */
    double beat_s; /* by the monotonic clock; 0: it was not seen yet */
};

/* conf is borrowed. PL_EINVAL: link.redis is no address; PL_ENOMEM. */
int pl_overview_open(const struct pl_run_conf *conf, struct pl_overview_source *ret_source,
                     struct pl_error *err);
void pl_overview_close(struct pl_overview_source *source); /* zeroed is fine */

/* Read all of metrics.jsonl that is there by now; or read it line by line: pl_history_next(). */
void pl_overview_catch_up(struct pl_overview_source *source);

/* What is there now, and what was read of metrics.jsonl. Borrows from the source, until it reads
 * on. *ret_overview: zeroed, or looked into before. Ended with pl_overview_release(). */
void pl_overview_look(struct pl_overview_source *source, struct pl_overview *ret_overview);
void pl_overview_release(struct pl_overview *overview);

/* The same for a single look: where the learner has been in one phase for long, it looks again,
 * some seconds at most, for whether anything moves in it. */
void pl_overview_look_well(struct pl_overview_source *source, struct pl_overview *ret_overview);

/* Fill in step_s, tokens_per_s, eta_s, moving, who, bottleneck and warnings from the rest: a pure
 * function. */
void pl_overview_conclude(struct pl_overview *overview);

/* "running": it comes any further. "waiting": it is at work and does not, the bottleneck says why.
 * "starting", "stopped", "finished", "not begun"; "gone": the learner is, without a word; "not at
 * work": Redis does not answer. */
const char *pl_overview_state(const struct pl_overview *overview);

/* Whether a person must do something before the run goes on. */
bool pl_overview_needs_help(const struct pl_overview *overview);

/* What the learner does, "saving for 3.20s"; "" where it does not say. */
void pl_overview_phase(const struct pl_overview *overview, char *text, size_t size);

/* Of what workers hold of a queue: the longest that one is there, and was not renewed; -1: nothing
 * is held. */
void pl_overview_leases(const struct pl_overview *overview, enum pl_queue queue,
                        double *ret_oldest_s, double *ret_silent_s);

/* The evaluation with the highest accuracy, the first of equals; NULL: none has one. */
const struct pl_history_eval *pl_overview_best(const struct pl_overview *overview);

/* Seconds since a worker's last heartbeat. */
double pl_overview_beat_s(const struct pl_overview *overview,
                          const struct pl_survey_worker *worker);

/* For people, of any length, and for scripts. PL_ENOMEM; NULL. */
int pl_overview_print(const struct pl_overview *overview, const struct pl_style *style,
                      struct pl_buf *buf);
json_t *pl_overview_json(const struct pl_overview *overview);

#endif
