/*
 * What a run must come to, whatever happened to it. Each judgement is a row: what it is about,
 * whether it holds, and what was found.
 */
#ifndef PL_CHAOS_JUDGE_H
#define PL_CHAOS_JUDGE_H

#include "tests/chaos/nemesis.h"

#include <jansson.h>

/* KNOWN: bad, and open in the table of faults, so that a run does not fail of it */
enum pl_found { PL_FOUND_GOOD, PL_FOUND_BAD, PL_FOUND_SKIPPED, PL_FOUND_KNOWN };

enum { PL_FINDINGS_MAX = 24, PL_USAGE_MAX = 7200 };

struct pl_finding {
    const char *name; /* "same-weights", ... */
    enum pl_found found;
    char detail[500];
};

struct pl_judge {
    struct pl_finding findings[PL_FINDINGS_MAX];
    size_t count;
    /* looked at while the run goes on */
    uint64_t looks, unbalanced;      /* at the ledger */
    uint64_t versions, versions_two; /* versions of the policy, those with a second checksum */
    uint64_t versions_back;          /* that were announced behind a newer one by one learner */
    char checksums[4096][65];        /* of version n */
    uint64_t newest;
    bool settled; /* the learner of now has announced something */
    int learner_pid;
    struct pl_usage { /* of a process that lives long */
        int pid;
        double since_s, next_s;
        long rss[PL_USAGE_MAX]; /* kB, each second */
        size_t count;
        long fds_first, fds_last;
        char name[32];
    } usage[PL_MEMBERS_MAX];
};

void pl_judge_watch(struct pl_judge *j, struct pl_cluster *c);
void pl_judge_add(struct pl_judge *j, const char *name, enum pl_found found, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

/* While Redis and the workers are still there, after the learner is done. `twin`: SHA-256 of the
 * model of the undisturbed run, "": there is none. */
void pl_judge_all(struct pl_judge *j, struct pl_nemesis *n, uint64_t steps, size_t groups,
                  size_t samples, const char *twin);

void pl_judge_growth(struct pl_judge *j); /* alone */

/* Why the run stands, as `plait status --json` says. */
void pl_judge_status(struct pl_cluster *c, char *ret, size_t size);

bool pl_judge_good(const struct pl_judge *j);  /* nothing is bad but what is known */
bool pl_judge_known(const struct pl_judge *j); /* something known is bad */
json_t *pl_judge_json(const struct pl_judge *j);

#endif
