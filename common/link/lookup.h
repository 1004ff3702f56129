/*
 * Where one group of a run is: what the ledger, its queue and its batch say of it, read and not
 * changed. The commands are not one transaction: a group at work may be a hand-over further on.
 */
#ifndef PL_LINK_LOOKUP_H
#define PL_LINK_LOOKUP_H

#include "common/link/reader.h"

struct pl_lookup_batch {
    char state[16]; /* "open", "complete", "ready"; "": there is none of this name (any more) */
    bool retired;   /* trained, and in a checkpoint */
    uint64_t expected, fed, arrived, dropped;
    double accuracy, previous; /* NaN until they are known */
    int gate;                  /* 1 open, 0 shut, -1 not decided */
};

struct pl_lookup {
    char state[16];      /* "prompt", "rollout", "scored", "dead"; "": it is not there */
    char entry[48];      /* of its queue, or of the dead */
    double queued_s;     /* prompt, rollout: since it was put into the queue, by Redis' clock */
    bool leased;         /* prompt, rollout: somebody has it, */
    char owner[72];      /*   namely, */
    double silent_s;     /*   who renewed it so long ago, */
    uint64_t deliveries; /*   and how often it was leased */
    char actor[72];      /* rollout, scored: who sampled it */
    char text[200];      /* scored: its rewards, for people */
    struct pl_lookup_batch batch;
    char run_state[16]; /* of the learner; "": it has not begun */
    uint64_t step;
};

/* PL_EFORMAT: `group` is no id of one. PL_EIO: Redis does not answer, or not so. */
int pl_lookup_group(struct pl_reader *reader, const char *group, struct pl_lookup *ret_lookup,
                    struct pl_error *err);

#endif
