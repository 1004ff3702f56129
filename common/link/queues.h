/*
 * The queues of a run in Redis: hand-overs as atomic functions (functions.lua), leases with
 * renewal, the batch ledger. It moves bytes and readable fields, not meaning.
 *
 *   prompts ─▶ lease ─▶ finish ─▶ rollouts ─▶ lease ─▶ commit ─▶ scored:<b> ─▶ ready ─▶ retire
 *
 * All keys are plait:{RUN}:..., listed in README.md. Every call is idempotent by group id: repeated
 * after a lost reply, or made by a second worker with the same lease, it changes nothing and says
 * so. Where the answer of a call is lost the caller simply repeats it.
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
    uint32_t deliveries_max;       /* a group leased more often goes to `dead` */
    uint64_t patience_ms;          /* how long a call tries again; 0: for ever */
    bool (*stop)(void *at);        /* asked between tries and waits; NULL: never */
    void *at;
    /* Asked when Redis is full (OOM). True: the call fails with PL_EFULL; NULL: it waits. */
    bool (*full)(void *at);
    void (*event)(void *at, const char *line); /* state changes and groups that are buried, as lines
                                                * of the log (logfmt.h); NULL: none */
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
/* The batch `batch`, if it is complete: PL_OK, PL_ENOENT when it is not (yet). Waits up to wait_ms
 * for one to become ready. Ended with pl_ready_release(). */
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

/* Whether all groups of the batch were fed and it is not retired: false after Redis was emptied;
 * feed it again then. */
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
 * works on it, until it is put back. *ret_count may be more than `max`, of which `list` is filled.
 */
struct pl_parked {
    char group[48], entry[48]; /* "12:3", its entry of `dead` */
};
int pl_queues_parked(struct pl_queues *stream, struct pl_parked *list, size_t max,
                     size_t *ret_count, struct pl_error *err);
/* Back into its queue. *ret_done: false where it is not parked any more. */
int pl_queues_unpark(struct pl_queues *stream, const struct pl_parked *parked, bool *ret_done,
                     struct pl_error *err);

/* A consumer, "actor-3" or "rewarder-1.2", is gone: what it holds of either queue is anybody's at
 * once. *ret_count: how many entries that were. */
int pl_queues_release(struct pl_queues *stream, const char *consumer, size_t *ret_count,
                      struct pl_error *err);

/* ---- what actors and rewarders do ---- */

enum pl_queue { PL_QUEUE_PROMPTS, PL_QUEUE_ROLLOUTS };

struct pl_lease {
    char entry[48]; /* the stream's id of it */
    char group[48]; /* "12:3" */
    uint32_t deliveries;
    char signature[129]; /* field `signature` of the entry (vouch.h); "": it has none */
    void *pb;            /* owned */
    size_t pb_len;
};
void pl_lease_release(struct pl_lease *lease);

/*
 * The next entry: first this worker's own from before a restart, then abandoned ones, then new
 * ones; waits up to wait_ms. PL_ENOENT: none came. Entries delivered too often go to `dead` on the
 * way.
 */
int pl_queues_lease(struct pl_queues *stream, enum pl_queue queue, uint64_t wait_ms,
                    struct pl_lease *ret_lease, struct pl_error *err);
/* Keep leases alive; call every lease_ms / 3. *ret_lost counts those that are another's by now, or
 * done with; where `lost` is not NULL, lost[i] says so of each. */
int pl_queues_renew(struct pl_queues *stream, enum pl_queue queue,
                    const struct pl_lease *const *leases, size_t count, bool *lost,
                    size_t *ret_lost, struct pl_error *err);
/* Give a lease back so that another worker gets it at once; its delivery does not count. */
int pl_queues_return(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                     struct pl_error *err);

enum pl_outcome {
    PL_OUTCOME_DONE,     /* it was the first */
    PL_OUTCOME_REPEATED, /* the group has come this far already; nothing was changed */
    PL_OUTCOME_RETIRED,  /* its batch is retired or unknown; the lease was taken off the queue */
    PL_OUTCOME_REFUSED,  /* nothing is taken of this worker: it is quarantined (guard.h) */
};
const char *pl_outcome_name(enum pl_outcome outcome); /* "done", ... */

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
/* To `dead`, with a reason; the batch goes on without it (expected - 1, dropped + 1). */
int pl_queues_bury(struct pl_queues *stream, enum pl_queue queue, const struct pl_lease *lease,
                   const char *reason, struct pl_error *err);

/* Refresh worker:<id>, which lives 3 * lease_ms, with the role and the time by this clock beside
 * the fields. */
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
