/*
 * What happens to a cluster: faults, drawn from a seed by the weights of a plan, and their healing.
 * The same seed and plan draw the same faults in the same order; when they strike depends on the
 * machine.
 */
#ifndef PL_CHAOS_NEMESIS_H
#define PL_CHAOS_NEMESIS_H

#include "common/base/rng.h"
#include "tests/chaos/cluster.h"
#include "tests/chaos/proxy.h"

#include <stdio.h>

enum pl_fault_class {
    PL_CLASS_KILL,     /* SIGKILL */
    PL_CLASS_PAUSE,    /* SIGSTOP, and a zombie that comes back */
    PL_CLASS_NETWORK,  /* what a proxy does to connections */
    PL_CLASS_LOSS,     /* a part of what is in Redis goes */
    PL_CLASS_ROLLBACK, /* of Redis, or of the learner's folder */
    PL_CLASS_SECOND,   /* a second instance */
    PL_CLASS_DAMAGE,   /* to the learner's files */
    PL_CLASS_LIMIT,    /* Redis full, read-only, evicting; a full disk */
    PL_CLASS_CLOCK,    /* of Redis */
    PL_CLASS_FORGED,   /* entries and fields that nobody made */
    PL_CLASS_POINT,    /* at a failpoint */
    PL_CLASS_STOP,     /* of `plait up`, asked or for a while */
    PL_CLASSES
};
extern const char *const pl_class_names[PL_CLASSES];

struct pl_nemesis;

/* One kind of fault. `act` says what it did in `what`; false: it cannot be done just now. */
struct pl_fault {
    const char *name;
    enum pl_fault_class class;
    bool (*act)(struct pl_nemesis *n, char *what, size_t size);
    bool ends; /* programs may end of it, with a sentence: they are started again */
    const char *about;
};
extern const struct pl_fault pl_faults[];
extern const size_t pl_fault_count;

enum { PL_MIX_MAX = 24, PL_HEALS_MAX = 32, PL_FAULTS_MAX = 64, PL_RECOVERIES_MAX = 4096 };

struct pl_plan {
    const char *name, *about;
    size_t actors, rewarders;
    uint64_t steps;
    size_t faults;                /* at most so many, then it is let heal */
    unsigned gap_least, gap_most; /* ms between two */
    double lease_s;               /* as the settings have it */
    const char *const *settings;  /* NULL: users' defaults */
    struct {
        const char *fault;
        unsigned weight;
    } mix[PL_MIX_MAX];
    const char *known; /* judgements that do not hold yet, as bugs.json says: "empty no-ends" */
    bool other_bits;   /* the final weights need not be those of the undisturbed run */
    bool proxied;      /* members reach Redis and the weights through a proxy */
    bool supervised;   /* by `plait up`, which is what faults meet */
    bool stub;         /* processes of stub.h: steps are batches of PL_STUB_GROUPS groups */
    bool io;           /* writing fails: files that are for people may be missing */
    bool small_disk;   /* the run's folder is a file system of its own, of some MiB (root alone) */
    bool soak;         /* it goes on for --minutes, then is stopped; only growth is judged */
    bool clock;        /* Redis runs with a clock that can be put back and forth */
    bool unbalanced;   /* what a fault takes away is missing in the ledger */
};
extern const struct pl_plan pl_plans[];
extern const size_t pl_plan_count;
const struct pl_plan *pl_plan_find(const char *name);

/* Runs that belong together: `seeds` of a plan from `seed` on. */
struct pl_suite_row {
    const char *plan;
    uint64_t seed;
    size_t seeds, faults; /* 0 faults: as the plan says */
    uint64_t steps;       /* 0: as the plan says */
};
/* "smoke", "full"; NULL: there is no such. Ends with a row without a plan. */
const struct pl_suite_row *pl_suite_find(const char *name);

struct pl_heal {
    double at_s;
    void (*heal)(struct pl_nemesis *n, struct pl_member *m);
    struct pl_member *m;
};

struct pl_recovery {
    size_t fault;
    double s; /* from the fault to the next step that is trained */
};

struct pl_nemesis {
    struct pl_cluster *cluster;
    const struct pl_plan *plan;
    struct pl_proxy *proxy; /* NULL: none */
    struct pl_rng rng;
    uint32_t drawn;
    size_t wanted, done;
    double next_s, last_s; /* of the next fault; the last fault or heal */
    struct pl_heal heals[PL_HEALS_MAX];
    size_t heal_count;
    uint64_t counts[PL_FAULTS_MAX]; /* by fault */
    struct pl_recovery recoveries[PL_RECOVERIES_MAX];
    size_t recovery_count;
    bool waiting; /* for the step after the last fault */
    size_t last_fault;
    double fault_s;
    char saved[2][440];  /* older states, of Redis and of the learner's folder; "": none */
    uint64_t saved_step; /* of the learner's */
    FILE *history;       /* a JSON object a line */
    double start_s;
    bool loud; /* each fault a line on standard output */
    uint64_t second_refused,
        second_stood; /* second `plait up`: that ended as it must; that did not */
};

/* `faults` 0: as the plan says. */
void pl_nemesis_init(struct pl_nemesis *n, struct pl_cluster *cluster, const struct pl_plan *plan,
                     struct pl_proxy *proxy, uint64_t seed, size_t faults, FILE *history);
/* What is due: heals, then a fault. True while there is more to come. */
bool pl_nemesis_tick(struct pl_nemesis *n);
void pl_nemesis_heal(struct pl_nemesis *n); /* everything, at once; no fault comes any more */

/* Failpoints that are aimed at; NULL behind the last. */
const char *pl_nemesis_point(size_t i);

uint64_t pl_nemesis_below(struct pl_nemesis *n, uint64_t limit);
bool pl_nemesis_later(struct pl_nemesis *n, double in_s,
                      void (*heal)(struct pl_nemesis *n, struct pl_member *m), struct pl_member *m);
void pl_nemesis_tell(struct pl_nemesis *n, const char *kind, const char *what);

#endif
