#include "deploy/doctor/check_host.h"

#include "common/app/machine.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/model/config.h"
#include "common/model/shape.h"
#include "deploy/plan/footprint.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    FILES_BASE = 256, /* libraries, logs, checkpoints, weights */
    FILES_PEER = 4,   /* sockets of a worker to Redis and to the learner */
    CKPT_BYTES = 16,  /* of a parameter: bf16 weights, f32 master, two moments, and some to spare */
};

#define ADD(name, verdict, todo, ...)                                                              \
    pl_checkup_add(checkup, name, PL_CHECK_##verdict, todo, __VA_ARGS__)

static void check_files(struct pl_checkup *checkup, const struct pl_run_conf *conf)
{
    const uint64_t need =
        FILES_BASE +
        FILES_PEER * (uint64_t)(conf->actors + conf->rewarders * (1 + conf->rewarder_threads));
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < need)
        ADD("host.files", FAIL, "ulimit -n, or LimitNOFILE= of the unit",
            "%llu open files are allowed; a learner of this run may need %llu",
            (unsigned long long)limit.rlim_cur, (unsigned long long)need);
    else
        ADD("host.files", OK, NULL, "%llu open files are allowed, %llu may be needed",
            (unsigned long long)limit.rlim_cur, (unsigned long long)need);
}

/* `path` or the nearest folder over it that is there. */
static char *nearest_folder(const char *path)
{
    char *at = strdup(path);

    while (at && !pl_path_exists(at) && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
        char *up = strdup(dirname(at));

        free(at);
        at = up;
    }
    return at;
}

/* `params` of all models that a checkpoint holds; 0: not known. */
static void check_disk(struct pl_checkup *checkup, const struct pl_run_conf *conf, uint64_t params)
{
    const uint64_t one = params * CKPT_BYTES, all = one * (conf->keep + 2); /* model/, best/ */
    char *folder = nearest_folder(conf->dir);
    char f[PL_HUMAN_MAX], n[PL_HUMAN_MAX];
    struct statvfs st;

    if (!folder || statvfs(folder, &st) < 0) {
        ADD("host.disk", UNKNOWN, NULL, "run.dir '%s' cannot be looked at", conf->dir);
    } else {
        const uint64_t left = (uint64_t)st.f_bavail * st.f_frsize;

        pl_human_bytes(f, left);
        if (access(folder, W_OK) < 0)
            ADD("host.disk", WARN, "is this the user that runs the learner?",
                "'%s' is not yours to write", folder);
        else if (params > 0 && left < one)
            ADD("host.disk", FAIL, "make room, or choose another run.dir",
                "%s are free in '%s'; one checkpoint takes about %s", f, folder,
                pl_human_bytes(n, one));
        else if (params > 0 && left < all)
            ADD("host.disk", WARN, "make room, or keep fewer (trainer.max_ckpt_to_keep)",
                "%s are free in '%s'; %zu checkpoints take about %s", f, folder, conf->keep,
                pl_human_bytes(n, all));
        else if (params > 0)
            ADD("host.disk", OK, NULL, "%s are free in '%s', checkpoints take about %s", f, folder,
                pl_human_bytes(n, all));
        else
            ADD("host.disk", OK, NULL, "%s are free in '%s'", f, folder);
    }
    free(folder);
}

/* A run on this machine alone needs all of it; one of several machines at least one process. */
static void check_memory(struct pl_checkup *checkup, const struct pl_run_conf *conf,
                         const struct pl_footprint *plan)
{
    const bool alone = conf->redis[0] == '\0';
    struct pl_machine machine;
    struct pl_error err = {0};
    char have[PL_HUMAN_MAX], need[PL_HUMAN_MAX], actor[PL_HUMAN_MAX];
    uint64_t usable, least;

    if (pl_machine_read("", &machine, &err) < 0) {
        ADD("host.memory", UNKNOWN, NULL, "%s", err.text);
        return;
    }
    usable = pl_machine_memory_usable(&machine);
    if (conf->memory_max > 0 && conf->memory_max < usable)
        usable = conf->memory_max;
    least = alone ? pl_footprint_total(plan) : plan->bytes[PL_PROCESS_LEARNER];
    pl_human_bytes(have, usable);
    pl_human_bytes(need, least);
    pl_human_bytes(actor, plan->bytes[PL_PROCESS_ACTOR]);
    if (usable >= least)
        ADD("host.memory", OK, NULL, "%s are usable; %s takes %s", have,
            alone ? "the run" : "the learner", need);
    else if (!alone && usable >= plan->bytes[PL_PROCESS_ACTOR])
        ADD("host.memory", WARN, "let the learner run on another machine (plait plan)",
            "%s are usable: enough for an actor (%s), not for the learner (%s)", have, actor, need);
    else
        pl_checkup_add(
            checkup, "host.memory", machine.memory_total < least ? PL_CHECK_FAIL : PL_CHECK_WARN,
            "a smaller actor.ppo_max_token_len or workers.actor_slots; plait plan tells what takes "
            "how much",
            "%s are usable now; %s takes %s", have, alone ? "the run" : "an actor",
            alone ? need : actor);
}

static uint64_t params_of(const struct pl_config *config)
{
    struct pl_shape *shape = NULL;
    struct pl_error err = {0};
    uint64_t params = 0;

    if (pl_shape_create(config, &shape, &err) == PL_OK)
        params = shape->params;
    pl_shape_destroy(shape);
    return params;
}

void pl_check_host(struct pl_checkup *checkup, const struct pl_run_conf *conf,
                   uint64_t *ret_redis_bytes)
{
    struct pl_config policy = {0}, critic = {0};
    struct pl_footprint plan = {0};
    struct pl_error err = {0};
    uint64_t params = 0;
    int rc = pl_config_load(conf->model, &policy, &err);

    *ret_redis_bytes = 0;
    if (rc == PL_OK)
        rc = pl_config_load(conf->critic[0] ? conf->critic : conf->model, &critic, &err);
    if (rc == PL_OK) {
        params = params_of(&policy);
        rc = pl_footprint_of(conf, &policy, &critic, &plan, &err);
    }
    check_files(checkup, conf);
    check_disk(checkup, conf, params);
    if (rc == PL_OK) {
        check_memory(checkup, conf, &plan);
        *ret_redis_bytes = pl_footprint_maxmemory(&plan);
    } else {
        ADD("host.memory", UNKNOWN, "ask where the model is, on the machine of the learner",
            "the plan needs the model: %s", err.text);
    }
}
