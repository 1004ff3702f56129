/*
 * A real small cluster under a supervisor that is this process: one redis-server on a unix socket,
 * a learner, rewarders and actors, as the programs of the build, each with its own log. Members are
 * known by their process id alone. One that ends is started again at once, and it is noted whether
 * it was killed here or ended by itself; the learner is over when it ends with status 0 and the
 * model of the run is there.
 *
 *   DIR/model/...      what a run begins with (pl_cluster_prepare), shared by all runs of DIR
 *   RUN/               folder of the run (run.dir), RUN/redis: that of Redis, RUN/logs
 *
 * One thread.
 */
#ifndef PL_CHAOS_CLUSTER_H
#define PL_CHAOS_CLUSTER_H

#include "common/base/err.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pl_part {
    PL_PART_REDIS,
    PL_PART_LEARNER,
    PL_PART_REWARDER,
    PL_PART_ACTOR,
    PL_PART_UP, /* `plait up`, which has a Redis and roles of its own */
    PL_PARTS
};
extern const char *const pl_part_names[PL_PARTS];

enum { PL_MEMBERS_MAX = 16, PL_WORDS_MAX = 64, PL_STEPS_MAX = 1 << 20 };

struct pl_member {
    enum pl_part part;
    char name[32];
    char *argv[PL_WORDS_MAX + 1]; /* owned */
    size_t words;
    char log[400];
    pid_t pid;        /* 0: not there */
    bool wanted;      /* started again when it ends */
    bool struck;      /* this life was killed here, or asked to end */
    bool paused;      /* by SIGSTOP */
    bool over;        /* the learner is done */
    double started_s; /* of this life */
    double again_s;   /* not started again before */
    unsigned starts;  /* lives so far */
    unsigned killed;  /* by SIGKILL from here */
    unsigned pauses;  /* SIGSTOP */
    unsigned ended;   /* by itself, with a status that is not 0 or by a signal */
    unsigned asked; /* ended by itself while a fault was about that it may end of (see `lenient`) */
    char last[400]; /* the last line that it wrote before such an end */
    char order[160]; /* PLAIT_FAILPOINTS of its next life alone; "": none */
    bool ordered;    /* this life has one: it may end of it */
    int status;      /* of its last end, as waitpid() has it */
    char env[200];   /* NAME=VALUE for all of its lives; "": none */
};

struct pl_cluster {
    char build[400];         /* folder of the build: deploy/plait, learner/plait-learner, ... */
    char dir[400], run[400]; /* where members work; run.dir */
    char socket[440];        /* of Redis */
    char url[460];           /* by which members find Redis; "unix://" and the socket at first */
    struct pl_member members[PL_MEMBERS_MAX];
    size_t count;
    char points[440];    /* PLAIT_FAILPOINTS_FILE of all; "": none */
    bool supervised;     /* as the options have it */
    bool lenient;        /* ends are put down to the fault that is about */
    redisContext *redis; /* of this process; NULL: not connected */
    struct pl_progress {
        uint64_t step, most; /* of the last line of metrics.jsonl, of any so far */
        uint64_t lines;      /* steps that were trained, those that were repeated too */
        double at_s;         /* when the last one was seen */
        long inode;
        long offset;
    } progress;
};

double pl_chaos_seconds(void); /* monotonic */
void pl_chaos_sleep(double s);

/* Whatever a run begins with: tasks, a tokenizer, a model that knows the form a little. Nothing
 * when it is there. */
int pl_cluster_prepare(const char *build, const char *dir, struct pl_error *err);

struct pl_cluster_opts {
    const char *build, *dir; /* dir: where pl_cluster_prepare() worked */
    const char *run;         /* folder of this run, made here */
    uint64_t seed, steps;
    size_t actors, rewarders;
    const char *const *settings; /* NAME=VALUE, NULL at the end; may be NULL */
    bool stub;                   /* stub.h in place of the programs; steps are batches */
    bool supervised; /* `plait up` in place of this supervisor: it is the only member but Redis,
                      * which is started here when the run is over, to be looked at */
};
int pl_cluster_init(struct pl_cluster *cluster, const struct pl_cluster_opts *opts,
                    struct pl_error *err);
/* What is there is killed. */
void pl_cluster_release(struct pl_cluster *cluster);

/* A member more, "plait-ROLE CONFIG ... --name=NAME" with a setting that goes before the others
 * where it is not NULL; NULL: there is no room. It is not started. */
struct pl_member *pl_cluster_add(struct pl_cluster *cluster, enum pl_part part, const char *name,
                                 const char *setting);
struct pl_member *pl_cluster_find(struct pl_cluster *cluster, const char *name);

int pl_cluster_start(struct pl_cluster *cluster, struct pl_error *err); /* all */
int pl_member_start(struct pl_cluster *cluster, struct pl_member *m, struct pl_error *err);
bool pl_member_kill(struct pl_member *m); /* SIGKILL; false: it is not there */
bool pl_member_pause(struct pl_member *m);
bool pl_member_resume(struct pl_member *m);
/* SIGKILL, waited for, and not started again until pl_member_start(). */
void pl_member_end(struct pl_member *m);

/* Whoever ended is buried, and started again when it is wanted; progress is looked at. *ret_over:
 * the learner is done. */
int pl_cluster_tend(struct pl_cluster *cluster, bool *ret_over, struct pl_error *err);

/* SIGTERM to all but Redis, waited for; what is left is killed. False: somebody had to be. */
bool pl_cluster_drain(struct pl_cluster *cluster, double within_s);

/* Redis for this process; NULL while it is not there. Its answers are the caller's to free. */
redisContext *pl_cluster_redis(struct pl_cluster *cluster);
redisReply *pl_cluster_ask(struct pl_cluster *cluster, const char *format, ...);
void pl_cluster_hang_up(struct pl_cluster *cluster);

/* What members left when they were killed and has come to this process: those that have ended are
 * buried, or with `all` all of them are killed. `but`: not this one, 0: none. */
void pl_cluster_bury_orphans(struct pl_cluster *cluster, bool all, pid_t but);

/* A program run to its end, what it says in `log`; its status, or -1. */
int pl_chaos_run(char *const *argv, const char *log, const char *folder);
/* SHA-256 of a file in hex, "" where it cannot be read. */
void pl_chaos_hash(const char *path, char ret_hex[65]);
/* cp -a, rm -rf */
int pl_chaos_copy(const char *from, const char *to);
void pl_chaos_remove(const char *path);

#endif
