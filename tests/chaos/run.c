#include "tests/chaos/run.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "tests/chaos/report.h"
#include "tests/chaos/stub.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { GROUPS = 4, SAMPLES = 4 }; /* of a step: run.yaml */

static const double slack_s = 5.0, watch_s = 0.1, tick_s = 0.002;

struct run {
    const struct pl_run_opts *o;
    char folder[400], twin[65];
    uint64_t steps;
    struct pl_cluster cluster;
    struct pl_nemesis nemesis;
    struct pl_judge *judge;
    struct pl_proxy proxy;
    struct pl_phase { /* steps trained, repeated ones too */
        double s;
        uint64_t steps;
    } before, during, after;
    double begun_s, seconds;
    double progress_s; /* from the last fault to the next step */
    bool over;
    char stuck[600]; /* what was said, when it did not go on */
};

/* ---- the cluster of a plan ---- */

static void through_proxy(struct run *r)
{
    char port[3][32];

    for (size_t i = 0; i < 3; i++)
        snprintf(port[i], sizeof port[i], "127.0.0.1:%d", r->proxy.ports[i]);
    for (size_t i = 0; i < r->cluster.count; i++) {
        struct pl_member *m = &r->cluster.members[i];
        char *last;

        if (m->part == PL_PART_REDIS)
            continue;
        last = m->argv[--m->words]; /* --name stays behind the settings */
        m->argv[m->words++] = pl_strf("link.redis=redis://%s", port[0]);
        if (m->part == PL_PART_ACTOR) {
            m->argv[m->words++] = pl_strf("link.announce=tcp://%s", port[1]);
            m->argv[m->words++] = pl_strf("link.serve=tcp://%s", port[2]);
        }
        m->argv[m->words++] = last;
        m->argv[m->words] = NULL;
    }
}

static int start_proxy(struct run *r, struct pl_error *err)
{
    static const char *const names[] = {"redis.sock", "announce.sock", "serve.sock"};
    char paths[3][440];
    const char *targets[3];
    int rc;

    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", r->folder, names[i]);
        targets[i] = paths[i];
    }
    rc = pl_proxy_start(&r->proxy, targets, 3, r->o->seed, err);
    if (rc == PL_OK)
        through_proxy(r);
    return rc;
}

/* In a name space of this process and its children: it goes with them. */
static int mount_disk(struct run *r, struct pl_error *err)
{
    static bool own;
    int rc = pl_dir_make(r->folder, err);

    if (rc == PL_OK && !own &&
        (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
        return pl_fail_errno(err, "have a name space of mounts");
    own = true;
    if (rc == PL_OK && mount("tmpfs", r->folder, "tmpfs", 0, "size=96m") < 0)
        return pl_fail_errno(err, "mount a disk of 96 MiB on '%s'", r->folder);
    return rc;
}

static int set_up(struct run *r, struct pl_error *err)
{
    const struct pl_plan *p = r->o->plan;
    const struct pl_cluster_opts opts = {.build = r->o->build,
                                         .dir = r->o->dir,
                                         .run = r->folder,
                                         .seed = r->o->seed,
                                         .steps = r->steps,
                                         .actors = p->actors,
                                         .rewarders = p->rewarders,
                                         .settings = p->settings,
                                         .stub = p->stub,
                                         .supervised = p->supervised};
    int rc;

    pl_chaos_remove(r->folder);
    rc = p->small_disk ? mount_disk(r, err) : PL_OK;
    if (rc < 0)
        return rc;
    rc = pl_cluster_init(&r->cluster, &opts, err);
    if (rc < 0)
        return rc;
    snprintf(r->cluster.points, sizeof r->cluster.points, "%s/failpoints", r->o->dir);
    if (p->clock)
        snprintf(r->cluster.members[0].env, sizeof r->cluster.members[0].env,
                 "LD_PRELOAD=%.160s/tests/chaos/libclock.so", r->o->build);
    return p->proxied ? start_proxy(r, err) : PL_OK;
}

/* ---- the run ---- */

static void begin_phase(const struct run *r, struct pl_phase *phase)
{
    phase->s = -pl_chaos_seconds();
    phase->steps = (uint64_t)0 - r->cluster.progress.lines;
}

static void end_phase(const struct run *r, struct pl_phase *phase)
{
    phase->s += pl_chaos_seconds();
    phase->steps += r->cluster.progress.lines;
}

/* Somebody who ends at once, again and again, does not come back by waiting. */
static bool is_hopeless(const struct run *r)
{
    for (size_t i = 0; i < r->cluster.count; i++)
        if (r->cluster.members[i].ended >= 25)
            return true;
    return false;
}

/* Once there are no faults any more: whether it still goes on. */
static bool goes_on(struct run *r)
{
    const struct pl_progress *p = &r->cluster.progress;
    const double now = pl_chaos_seconds(), last = r->nemesis.last_s;
    const double bound = r->o->plan->lease_s + slack_s;

    if (p->at_s > last && r->progress_s <= 0.0)
        r->progress_s = p->at_s - last;
    return now - (p->at_s > last ? p->at_s : last) <= bound;
}

static int run_cluster(struct run *r, struct pl_error *err)
{
    const double end = pl_chaos_seconds() + 60.0 * r->o->minutes;
    double watched = 0.0;
    enum { BEFORE, DURING, AFTER } phase = BEFORE;
    int rc = pl_cluster_start(&r->cluster, err);

    r->begun_s = pl_chaos_seconds();
    begin_phase(r, &r->before);
    while (rc == PL_OK && !r->over) {
        const bool more = pl_nemesis_tick(&r->nemesis);

        rc = pl_cluster_tend(&r->cluster, &r->over, err);
        if (phase == BEFORE && r->nemesis.done > 0) {
            end_phase(r, &r->before);
            begin_phase(r, &r->during);
            phase = DURING;
        }
        if (phase == DURING && !more) {
            end_phase(r, &r->during);
            begin_phase(r, &r->after);
            phase = AFTER;
        }
        if (pl_chaos_seconds() - watched > watch_s) {
            pl_judge_watch(r->judge, &r->cluster);
            watched = pl_chaos_seconds();
        }
        if (r->o->plan->soak && pl_chaos_seconds() > end) {
            r->over = true;
            break;
        }
        if ((!more && !goes_on(r)) || is_hopeless(r) || pl_chaos_seconds() > end) {
            pl_nemesis_heal(&r->nemesis);
            pl_judge_status(&r->cluster, r->stuck, sizeof r->stuck);
            break;
        }
        pl_chaos_sleep(tick_s);
    }
    if (phase != AFTER) {
        end_phase(r, phase == BEFORE ? &r->before : &r->during);
        begin_phase(r, &r->after);
    }
    end_phase(r, &r->after);
    pl_nemesis_heal(&r->nemesis);
    r->seconds = pl_chaos_seconds() - r->begun_s;
    return rc;
}

static void judge(struct run *r)
{
    struct pl_judge *j = r->judge;
    bool drained;

    pl_judge_add(j, "progress", r->over ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 r->over ? "%.1f s after the last fault the next step was trained"
                         : "no step for %.0f s after the last fault; status: %s",
                 r->over ? r->progress_s : r->o->plan->lease_s + slack_s, r->stuck);
    if (r->o->plan->soak) {
        pl_judge_growth(j);
    } else if (r->over) {
        if (r->cluster.supervised) { /* it went with its supervisor: what it left is looked at */
            pl_cluster_hang_up(&r->cluster);
            (void)pl_member_start(&r->cluster, &r->cluster.members[0], NULL);
        }
        /* Redis may be about to come back from the last fault. */
        for (int i = 0; i < 1000 && !pl_cluster_redis(&r->cluster); i++) {
            bool over;

            (void)pl_cluster_tend(&r->cluster, &over, NULL);
            pl_chaos_sleep(0.005);
        }
        pl_judge_all(j, &r->nemesis, r->steps, GROUPS, SAMPLES, r->twin);
    }
    drained = pl_cluster_drain(&r->cluster, 20.0);
    pl_judge_add(j, "drain", drained ? PL_FOUND_GOOD : PL_FOUND_BAD, "%s",
                 drained ? "all ended within 20 s of SIGTERM" : "somebody had to be killed");
}

/* ---- what is written about it ---- */

static json_t *faults_json(const struct run *r)
{
    json_t *object = json_object();

    for (size_t i = 0; i < pl_fault_count; i++)
        if (r->nemesis.counts[i])
            json_object_set_new(object, pl_faults[i].name,
                                json_integer((json_int_t)r->nemesis.counts[i]));
    return object;
}

static json_t *members_json(const struct run *r)
{
    json_t *object = json_object();

    for (size_t i = 0; i < r->cluster.count; i++) {
        const struct pl_member *m = &r->cluster.members[i];

        json_object_set_new(object, m->name,
                            json_pack("{s:s, s:i, s:i, s:i, s:i, s:i}", "role",
                                      pl_part_names[m->part], "starts", (int)m->starts, "killed",
                                      (int)m->killed, "paused", (int)m->pauses, "ended",
                                      (int)m->ended, "ended_of_a_fault", (int)m->asked));
    }
    return object;
}

static json_t *recoveries_json(const struct run *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->nemesis.recovery_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:f}", "fault",
                                              pl_faults[r->nemesis.recoveries[i].fault].name, "s",
                                              r->nemesis.recoveries[i].s));
    return list;
}

static json_t *net_json(const struct run *r)
{
    json_t *object = json_object();

    for (size_t i = 1; r->proxy.pid > 0 && i < PL_NETS; i++)
        json_object_set_new(object, pl_net_names[i], json_integer((json_int_t)r->proxy.counts[i]));
    return object;
}

static json_t *phase_json(const struct pl_phase *phase)
{
    return json_pack("{s:f, s:I}", "s", phase->s, "steps", (json_int_t)phase->steps);
}

static int write_report(const struct run *r, bool good, struct pl_error *err)
{
    char path[440];
    json_t *root =
        json_pack("{s:s, s:I, s:b, s:f, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                  "plan", r->o->plan->name, "seed", (json_int_t)r->o->seed, "good", (int)good,
                  "seconds", r->seconds, "steps", (json_int_t)r->steps, "groups",
                  (json_int_t)(r->steps * (r->o->plan->stub ? PL_STUB_GROUPS : GROUPS)), "commit",
                  pl_report_commit(r->o->build), "faults", faults_json(r), "members",
                  members_json(r), "findings", pl_judge_json(r->judge), "recoveries",
                  recoveries_json(r), "net", net_json(r), "before", phase_json(&r->before),
                  "during", phase_json(&r->during), "after", phase_json(&r->after));
    int rc;

    snprintf(path, sizeof path, "%s/%s-%llu.report.json", r->o->dir, r->o->plan->name,
             (unsigned long long)r->o->seed);
    if (!root)
        return pl_fail(err, PL_ENOMEM, "no memory for '%s'", path);
    json_object_set_new(root, "known", json_boolean(pl_judge_known(r->judge)));
    json_object_set_new(root, "versions", json_integer((json_int_t)r->judge->versions));
    rc = pl_json_save(path, root, 1, err);
    json_decref(root);
    return rc;
}

static void say(const struct run *r, bool good)
{
    static const char *const words[] = {"good", "BAD", "skipped", "known"};
    const bool known = good && pl_judge_known(r->judge);
    const char *verdict = known ? "known" : good ? "good" : "BAD";
    size_t killed = 0;

    for (size_t i = 0; i < r->cluster.count; i++)
        killed += r->cluster.members[i].killed;
    printf("%-10s seed %-4llu %-5s %5.1f s, %zu faults, %zu killed, %llu steps trained for %llu\n",
           r->o->plan->name, (unsigned long long)r->o->seed, verdict, r->seconds, r->nemesis.done,
           killed, (unsigned long long)r->cluster.progress.lines, (unsigned long long)r->steps);
    for (size_t i = 0; i < r->judge->count; i++)
        if (!good || r->o->loud || r->judge->findings[i].found == PL_FOUND_KNOWN)
            printf("    %-12s %-7s %s\n", r->judge->findings[i].name,
                   words[r->judge->findings[i].found], r->judge->findings[i].detail);
    fflush(stdout);
}

/* ---- twins ---- */

static void twin_path(const struct pl_run_opts *o, uint64_t steps, char path[440])
{
    uint64_t hash = 1469598103934665603u;

    for (size_t i = 0; o->plan->settings && o->plan->settings[i]; i++)
        for (const char *at = o->plan->settings[i]; *at; at++)
            hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    snprintf(path, 440, "%.300s/twin-%llu-%llu-%08llx.sha256", o->dir, (unsigned long long)o->seed,
             (unsigned long long)steps, (unsigned long long)(hash & 0xffffffff));
}

/* The weights of the undisturbed run of the same seed and settings. */
static int find_twin(const struct pl_run_opts *o, uint64_t steps, char ret_hash[65],
                     struct pl_error *err)
{
    struct pl_plan plan = *pl_plan_find("none");
    struct pl_run_opts twin = *o;
    char path[440], report[440], model[440], *text = NULL;
    size_t len;
    bool good = false;
    FILE *file;
    int rc;

    ret_hash[0] = '\0';
    twin_path(o, steps, path);
    if (pl_file_read(path, 100, &text, &len, NULL) == PL_OK) {
        snprintf(ret_hash, 65, "%.64s", text);
        free(text);
        return PL_OK;
    }
    plan.settings = o->plan->settings;
    twin.plan = &plan;
    twin.steps = steps;
    twin.faults = 0;
    twin.keep = true;
    twin.loud = false;
    rc = pl_chaos_run_plan(&twin, &good, err);
    snprintf(model, sizeof model, "%.300s/none-%llu/model/model.safetensors", o->dir,
             (unsigned long long)o->seed);
    snprintf(report, sizeof report, "%.300s/none-%llu", o->dir, (unsigned long long)o->seed);
    if (rc == PL_OK)
        pl_chaos_hash(model, ret_hash);
    if (good)
        pl_chaos_remove(report);
    if (rc < 0)
        return rc;
    if (!good || !ret_hash[0])
        return pl_fail(err, PL_EIO, "the undisturbed run of seed %llu failed",
                       (unsigned long long)o->seed);
    file = fopen(path, "we");
    if (!file || fputs(ret_hash, file) < 0)
        rc = pl_fail_errno(err, "write '%s'", path);
    if (file)
        fclose(file);
    return rc;
}

int pl_chaos_run_plan(const struct pl_run_opts *o, bool *ret_good, struct pl_error *err)
{
    struct run *r = calloc(1, sizeof *r);
    char path[460];
    FILE *history = NULL;
    int rc = PL_OK;

    *ret_good = false;
    if (r)
        r->judge = calloc(1, sizeof *r->judge);
    if (!r || !r->judge) {
        free(r);
        return pl_fail(err, PL_ENOMEM, "no memory for a run");
    }
    r->o = o;
    r->steps = o->steps ? o->steps : o->plan->steps;
    snprintf(r->folder, sizeof r->folder, "%.300s/%s-%llu", o->dir, o->plan->name,
             (unsigned long long)o->seed);
    if (o->plan->stub)
        pl_stub_expected(o->seed, r->steps, r->twin);
    else if (!o->plan->other_bits && !o->plan->soak && strcmp(o->plan->name, "none") != 0)
        rc = find_twin(o, r->steps, r->twin, err);
    if (rc == PL_OK)
        rc = set_up(r, err);
    if (rc == PL_OK) {
        snprintf(path, sizeof path, "%s/history.jsonl", r->folder);
        history = fopen(path, "we");
        pl_nemesis_init(&r->nemesis, &r->cluster, o->plan, r->proxy.pid > 0 ? &r->proxy : NULL,
                        o->seed, o->faults, history);
        r->nemesis.loud = o->loud;
        rc = run_cluster(r, err);
    }
    if (rc == PL_OK) {
        judge(r);
        *ret_good = pl_judge_good(r->judge);
        say(r, *ret_good);
        if (strcmp(o->plan->name, "none") != 0)
            rc = write_report(r, *ret_good, err);
    }
    pl_proxy_stop(&r->proxy);
    pl_cluster_release(&r->cluster);
    if (history)
        fclose(history);
    if (o->plan->small_disk && !*ret_good) { /* what is on it goes with it */
        snprintf(path, sizeof path, "%.430s.bad", r->folder);
        pl_chaos_remove(path);
        (void)pl_chaos_copy(r->folder, path);
    }
    if (o->plan->small_disk)
        (void)umount2(r->folder, MNT_DETACH);
    if (rc == PL_OK && *ret_good && !o->keep) {
        pl_chaos_remove(r->folder);
        for (size_t i = 0; i < 2; i++)
            if (r->nemesis.saved[i][0])
                pl_chaos_remove(r->nemesis.saved[i]);
    }
    free(r->judge);
    free(r);
    return rc;
}
