/*
 * The queues of a run in Redis: hand-overs as atomic functions (functions.lua), leases with
 * renewal, the batch ledger. It moves bytes and readable fields, not meaning.
 *
 *   prompts ─▶ lease ─▶ finish ─▶ rollouts ─▶ lease ─▶ commit ─▶ scored:<b> ─▶ ready ─▶ retire
 *
 * All keys are plait:{RUN}:..., listed at the head of functions.lua. Every call is idempotent by
 * group id: repeated after a lost reply it changes nothing and says so. Where the answer of a call
 * is lost the caller simply repeats it. A group is handed on by the one who has it leased, and by
 * nobody else: a worker that was taken for dead finds its lease LOST.
 *
 * Any key, or any entry of one, may be gone at any time. What is gone of a group is made again when
 * it is fed; pl_queues_reconcile() makes the ledger say so.
 *
 * A call that meets a connection that is gone, or one of LOADING, READONLY, MISCONF, OOM, BUSY,
 * waits with growing, jittered pauses and tries again until `stop` says so or patience_ms is over;
 * NOGROUP and a missing library are mended in place. Only then does it fail, with PL_EIO.
 *
 * One thread owns a stream.
 */
#ifndef PL_LINK_QUEUES_H
#define PL_LINK_QUEUES_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/redis_access.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_queues_opts {
    const char *url;               /* unix:///path/to.sock, redis://host[:port], ...: redis_url.h */
    struct pl_redis_access access; /* copied; "{role}" in it is `role` */
    const char *run;               /* name of the run: letters, digits, '-', '_', '.' */
    const char *worker;            /* stable name of this worker: "actor-3" */
    const char *role;              /* "actor", "rewarder", "learner", "relay", "plait" */
    uint64_t lease_ms;             /* a lease not renewed for so long is taken from its owner */
    uint32_t deliveries_max;       /* a group that so many ended with is parked */
    uint64_t patience_ms;          /* how long a call tries again; 0: for ever */
    bool (*stop)(void *at);        /* asked between tries and waits; NULL: never */
    void *at;
    /* Asked when Redis is full (OOM). True: the call fails with PL_EFULL; NULL: it waits. */
    bool (*full)(void *at);
    void (*event)(void *at, const char *line); /* state changes, groups that are parked, entries
                                                * that are nobody's: lines of the log (logfmt.h);
                                                * NULL: none */
};

struct pl_queues;

/* Connects, checks that Redis is 7.0.5 or later and holds this version's functions (library.h),
 * makes groups. PL_EUNSUPPORTED: an older Redis; functions that are missing, and may not be loaded.
 * PL_EINVAL: an option, or Redis does not let one in. PL_EIO, PL_ENOMEM, PL_ECANCELED. */
int pl_queues_open(const struct pl_queues_opts *opts, struct pl_queues **ret_stream,
                   struct pl_error *err);
void pl_queues_close(struct pl_queues *stream); /* NULL is fine */

/* ---- what the learner does ---- */

/* A readable field beside the binary one. */
struct pl_field {
    const char *name, *value;
};

struct pl_feed {
    const char *batch; /* "12", "e12" */
    size_t expected;   /* groups of it */
    uint32_t index;    /* of this one */
    const char *after; /* the batch before this one, whose accuracy its gate waits for; "": there
                          is none, or the feeder knows what it came to */
    double previous;   /* accuracy to compare with where `after` is "" or is already retired */
    double epsilon;
    bool gated; /* false: the gate is open whatever the accuracy */
    const struct pl_field *fields;
    size_t field_count;
    const void *pb;
    size_t pb_len;
};
/*
 * *ret_new: whether the group was not there in any stage. Feeding again what is there is harmless.
 * PL_EUNSUPPORTED: the batch is retired, so that nobody will ever make it: Redis is ahead of the
 * caller (pl_queues_rewind()).
 */
int pl_queues_feed(struct pl_queues *stream, const struct pl_feed *feed, bool *ret_new,
                   struct pl_error *err);

/* A complete batch and its groups, in order of index; dropped ones are not there. */
struct pl_ready {
    char batch[32];
    bool gate;
    double accuracy, previous;
    size_t expected, count, dropped;
    struct pl_ready_group {
        uint32_t index;
        const void *pb;
        size_t pb_len;
    } * groups;
    void *memory;
};
/*
 * The batch `batch`, if it is complete: PL_OK, PL_ENOENT when it is not (yet), or when not all of
 * its scores are there any more. Waits up to wait_ms for one to become ready. `accuracy` and
 * `previous` are within 0 and 1; groups are those that were fed and count as scored, whatever else
 * Redis holds. Ended with pl_ready_release().
 */
int pl_queues_take(struct pl_queues *stream, const char *batch, uint64_t wait_ms,
                   struct pl_ready *ret_ready, struct pl_error *err);
void pl_ready_release(struct pl_ready *ready);

/* What the learner read of a group that it does not take. */
struct pl_redo {
    const char *batch;
    uint32_t index;
    const void *scored; /* as pl_queues_take() gave it */
    size_t scored_len;
    uint32_t samples, right, formatted; /* as it was committed */
    const char *reason;
    const struct pl_field *fields; /* and the prompt that is fed in its place */
    size_t field_count;
    const void *pb;
    size_t pb_len;
};
/*
 * A scored group is to be made once more: it counts as dropped, with the reason, and its prompt as
 * fed; its batch is complete again when the new one is scored, its gate decided anew. Repeating is
 * harmless, also when the new one is scored by then.
 */
int pl_queues_redo(struct pl_queues *stream, const struct pl_redo *redo, struct pl_error *err);

/*
 * Whether nothing of a batch is missing that can be seen at a glance: its hash, its groups, as many
 * entries and scores as they say. False: feed it again. True does not say that each of its entries
 * is there: only feeding looks at them one by one, and makes again what is gone, so that whoever
 * waits for a batch feeds it now and then.
 */
int pl_queues_whole(struct pl_queues *stream, const char *batch, bool *ret_whole,
                    struct pl_error *err);

/* After the checkpoint that contains it is durable. Repeating is harmless. A batch that Redis does
 * not hold complete any more is trained all the same; what is left of it in queues goes. */
int pl_queues_retire(struct pl_queues *stream, const char *batch, struct pl_error *err);

/* HSET of a hash of the run ("run", "policy"), and one capped entry to "metrics". */
int pl_queues_note(struct pl_queues *stream, const char *key, const struct pl_field *fields,
                   size_t count, struct pl_error *err);
int pl_queues_metrics(struct pl_queues *stream, const struct pl_field *fields, size_t count,
                      struct pl_error *err);

/*
 * Fields of a hash of the run ("run", "policy"): values[i] is the text of names[i], the caller's to
 * free(), or NULL where there is none. On failure all of them are NULL.
 */
int pl_queues_recall(struct pl_queues *stream, const char *key, const char *const *names,
                     size_t count, char **ret_values, struct pl_error *err);

/* ---- the learner and its Redis, as a whole ---- */

/*
 * The run is this learner's for the next ms milliseconds, if it is nobody else's; called again and
 * again with the same token ("<name> <host> <pid> <nonce>") it stays so. `holder` gets the token
 * that the run is held by: another one's text where *ret_ours is false. One thread owns a stream:
 * whoever renews it from a thread of its own opens a stream of its own.
 */
int pl_queues_claim_run(struct pl_queues *stream, const char *token, uint64_t ms, bool *ret_ours,
                        char *holder, size_t size, struct pl_error *err);
/* It is nobody's at once. Repeating is harmless, as is leaving what is another's. */
int pl_queues_leave_run(struct pl_queues *stream, const char *token, struct pl_error *err);

struct pl_rewound {
    size_t batches; /* that were retired, of training and evaluations, and are not any more */
    size_t groups;  /* that were queued, made or scored, and went */
};
/*
 * The learner goes on from `step`, which Redis may be ahead of: batches from there on and all
 * evaluations count as not retired. With `purge` what Redis still has of them goes as well (they
 * count as dropped, "rewound"), so that nothing is used that was made in another life of the run.
 * Repeating is harmless.
 */
int pl_queues_rewind(struct pl_queues *stream, uint64_t step, bool purge,
                     struct pl_rewound *ret_rewound, struct pl_error *err);

/*
 * A group whose workers ended too often while they computed it is parked: its batch waits, nobody
 * works on it, until it is put back. *ret_count is at most `max`. What is listed as parked and is
 * not, because somebody else wrote it, goes.
 */
struct pl_parked {
    char group[48], entry[48]; /* "12:3", its entry of `dead` */
};
int pl_queues_parked(struct pl_queues *stream, struct pl_parked *list, size_t max,
                     size_t *ret_count, struct pl_error *err);
/* Back into its queue. *ret_done: false where it is not parked any more. */
int pl_queues_unpark(struct pl_queues *stream, const struct pl_parked *parked, bool *ret_done,
                     struct pl_error *err);

/*
 * What is said twice is made to agree: the ledger with what there is (`lost`: groups that were fed
 * and are nowhere, which count as dropped; below 0: that are there and were not), `ready` and
 * `parked` with the batches. For when the ledger does not balance, and now and then.
 */
struct pl_reconciled {
    int64_t lost;
    size_t lists; /* entries of `ready`, `parked` and the queues that were wrong */
};
int pl_queues_reconcile(struct pl_queues *stream, struct pl_reconciled *ret_reconciled,
                        struct pl_error *err);

/* What the learner has still to do with. */
struct pl_queues_wanted {
    uint64_t saved; /* batches before it are trained and in a checkpoint */
    uint64_t step;  /* batches trained; evaluations up to it are done with, but for these: */
    uint64_t steps; /* batches of the run */
    const uint64_t *evals, *reported; /* that are open; that are in no checkpoint yet */
    size_t eval_count, reported_count;
};
/*
 * Batches that a Redis which went back holds once more, or that somebody wrote, go: those that are
 * trained and in a checkpoint as retired, those that the run does not have as if they had never
 * been there. Then all is reconciled, until nothing is wrong. *ret_batches: how many went.
 */
int pl_queues_tidy(struct pl_queues *stream, const struct pl_queues_wanted *wanted,
                   size_t *ret_batches, struct pl_reconciled *ret_reconciled, struct pl_error *err);

/* A consumer, "actor-3" or "rewarder-1.2", is gone: what it holds of either queue is anybody's at
 * once. *ret_count: how many entries that were. */
int pl_queues_release(struct pl_queues *stream, const char *consumer, size_t *ret_count,
                      struct pl_error *err);
/* The same for every consumer whose worker's heartbeat has not moved for so long, by this machine's
 * clock, as often as this was called: whatever the clock of Redis does, and also where there is no
 * heartbeat. Call it every few seconds. */
int pl_queues_release_silent(struct pl_queues *stream, uint64_t silent_ms, size_t *ret_count,
                             struct pl_error *err);

/* ---- what actors and rewarders do ---- */

enum pl_queue { PL_QUEUE_PROMPTS, PL_QUEUE_ROLLOUTS };

struct pl_lease {
    char entry[48];      /* the stream's id of it */
    char group[48];      /* "12:3" */
    uint32_t deliveries; /* 1, and one for each that ended while it computed the group */
    char signature[129]; /* field `signature` of the entry (vouch.h); "": it has none */
    void *pb;            /* owned */
    size_t pb_len;
};
void pl_lease_release(struct pl_lease *lease);

/*
 * The next entry: first this worker's own from before a restart, then abandoned ones, then new
 * ones; waits up to wait_ms. PL_ENOENT: none came. What is leased is the entry that its group has
 * now; an entry that is nobody's goes to `dead` on the way, and stops nobody.
 *
 * What counts against a group are not leases but ends: a worker whose life or lease ended while it
 * computed the group (pl_queues_begin_work()). A group that two ended with is leased only to one
 * who holds nothing else (pl_queues_holding()), and nothing is leased beside it; one that
 * deliveries_max ended with is parked.
 */
int pl_queues_lease(struct pl_queues *stream, enum pl_queue queue, uint64_t wait_ms,
                    struct pl_lease *ret_lease, struct pl_error *err);
/* Keep leases alive; call every lease_ms / 3. *ret_lost counts those that are another's by now, or
 * done with; where `lost` is not NULL, lost[i] says so of each. */
int pl_queues_renew(struct pl_queues *stream, enum pl_queue queue,
                    const struct pl_lease *const *leases, size_t count, bool *lost,
                    size_t *ret_lost, struct pl_error *err);
/* Give a lease back so that another worker gets it at once; this worker has not ended with it. What
 * is another's by now stays that. */
int pl_queues_return(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                     struct pl_error *err);

/* The same of a group that came to nothing here, for a reason that may be this machine's: the
 * worker counts as one that ended with it. Parked, that reason stands beside it. */
int pl_queues_set_back(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                       const char *reason, struct pl_error *err);

enum pl_outcome {
    PL_OUTCOME_DONE,     /* it was the first */
    PL_OUTCOME_REPEATED, /* the group has come this far already; nothing was changed */
    PL_OUTCOME_RETIRED,  /* its batch is retired or unknown; the lease was taken off the queue */
    PL_OUTCOME_REFUSED,  /* nothing is taken of this worker: it is quarantined (guard.h) */
    PL_OUTCOME_LOST,     /* another has it leased by now, or nobody; nothing was changed */
};
enum { PL_OUTCOMES = PL_OUTCOME_LOST + 1 };
const char *pl_outcome_name(enum pl_outcome outcome); /* "done", ... */

/* How many leases of this stream the caller holds now: to be said before each pl_queues_lease() by
 * one who holds several. 0 at first. */
void pl_queues_holding(struct pl_queues *stream, size_t count);
/* Said before a group is computed. Unless the outcome is DONE it is not to be: it is another's by
 * now, or done with. */
int pl_queues_begin_work(struct pl_queues *stream, enum pl_queue queue,
                         const struct pl_lease *lease, enum pl_outcome *ret_outcome,
                         struct pl_error *err);

/* prompts → rollouts. What was asked, and by whom it was done, is kept beside it (guard.h). */
int pl_queues_finish(struct pl_queues *stream, const struct pl_lease *lease,
                     const struct pl_field *fields, size_t count, const void *pb, size_t pb_len,
                     enum pl_outcome *ret_outcome, struct pl_error *err);
/* rollouts → its batch. `right` and `formatted` of `samples` enter the batch's accuracy; `text` is
 * what a person reads beside it. */
int pl_queues_commit(struct pl_queues *stream, const struct pl_lease *lease, uint32_t samples,
                     uint32_t right, uint32_t formatted, const char *text, const void *pb,
                     size_t pb_len, enum pl_outcome *ret_outcome, struct pl_error *err);
/* Whether the group of the last commit was the one that its batch still waited for. */
bool pl_queues_completed(const struct pl_queues *stream);
/* To `dead`, with a reason; the batch goes on without it (expected - 1, dropped + 1). Where this
 * user of Redis may not drop groups, as an actor's, it is parked instead: its batch waits. */
int pl_queues_bury(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                   const char *reason, struct pl_error *err);

/* Refresh worker:<id>, which lives 3 * lease_ms, with the role, the time by this clock, a `beat`
 * that grows and the build beside the fields. */
int pl_queues_heartbeat(struct pl_queues *stream, const struct pl_field *fields, size_t count,
                        struct pl_error *err);

/* ---- what a person sees ---- */

struct pl_ledger {
    uint64_t fed, trained, dropped; /* groups since the run began */
    uint64_t queued, leased;        /* prompts: not leased, leased */
    uint64_t rolled, scoring;       /* rollouts: not leased, leased */
    uint64_t scored, ready;         /* groups in open batches; complete batches */
    uint64_t dead;
    uint64_t parked;
    bool balanced; /* fed = trained + dropped + queued + leased + rolled + scoring + scored +
                    * parked */
};
int pl_queues_ledger(struct pl_queues *stream, struct pl_ledger *ret_ledger, struct pl_error *err);

#endif
