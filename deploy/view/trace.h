/*
 * The story of one group: what the logs of all programs and the stream `events` say of it, put in
 * order, and what follows: how long each stage took, who had it and did not finish it.
 *
 * Clocks of machines differ. What must have come before, by what the programs do, is put before;
 * how far a clock is off at least, is said. A pure function of the lines, whatever their order.
 */
#ifndef PL_VIEW_TRACE_H
#define PL_VIEW_TRACE_H

#include "common/base/err.h"
#include "common/link/news.h"
#include "deploy/view/log_entry.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_TRACE_NOTES = 32, PL_TRACE_SPANS = 8 };

enum pl_trace_kind {
    PL_TRACE_OTHER,
    PL_TRACE_START, /* a worker begins, */
    PL_TRACE_END,   /* and says that it ends */
    PL_TRACE_FED,
    PL_TRACE_LEASED,   /* by an actor */
    PL_TRACE_GONE,     /* given back, lost, buried: that lease is over */
    PL_TRACE_FINISHED, /* sampled */
    PL_TRACE_TAKEN,    /* leased by a rewarder */
    PL_TRACE_REFUSED,
    PL_TRACE_SCORED,
    PL_TRACE_READY, /* its batch, which the learner takes */
    PL_TRACE_TRAINED,
    PL_TRACE_RETIRED,
};

struct pl_trace_event {
    double at_s;
    enum pl_trace_kind kind;
    char level[8], role[16], who[80]; /* who: "" not known */
    char event[64];
    char *text;     /* the fields, as a line of the log has them; owned */
    bool done;      /* finished, scored: it was the first, and counts */
    double early_s; /* so much earlier than what came before it, by its clock */
    size_t order;   /* in which it was read */
};

/* From one stage to the next of those that counted. */
struct pl_trace_span {
    const char *what;
    char who[80];
    double seconds;
};

struct pl_trace {
    char group[48], batch[32];
    struct pl_trace_event *events;
    size_t count, cap, order;
    size_t lines, passed_over; /* of the logs; passed over: no line of a log, or a torn one */
    struct pl_trace_span spans[PL_TRACE_SPANS]; /* pl_trace_conclude() fills in these */
    size_t span_count;
    char notes[PL_TRACE_NOTES][256]; /* a sentence each: who did not finish it, and the like */
    size_t note_count;
    size_t leases; /* by actors */
};

/* PL_EFORMAT: `group` is not "12:3" or "e12:3". Ended with pl_trace_release(). */
int pl_trace_init(struct pl_trace *trace, const char *group, struct pl_error *err);
void pl_trace_release(struct pl_trace *trace); /* zeroed is fine */

/* One line, NUL behind it; `who` where it does not say so itself, "" not known. PL_ENOMEM. */
int pl_trace_line(struct pl_trace *trace, const char *who, const char *line);
int pl_trace_news(struct pl_trace *trace, const struct pl_news *news);

/* After all of them. Lines about workers that never had the group go. */
void pl_trace_conclude(struct pl_trace *trace);

#endif
