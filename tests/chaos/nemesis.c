#include "tests/chaos/nemesis.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REDIS_SAVED, LEARNER_SAVED };

const char *const pl_class_names[PL_CLASSES] = {"kill",     "pause",  "network",   "loss",
                                                "rollback", "second", "damage",    "limit",
                                                "clock",    "forged", "failpoint", "stop"};

uint64_t pl_nemesis_below(struct pl_nemesis *n, uint64_t limit)
{
    return pl_rng_below(&n->rng, n->drawn++, limit);
}

void pl_nemesis_tell(struct pl_nemesis *n, const char *kind, const char *what)
{
    const double at = pl_chaos_seconds() - n->start_s;
    struct pl_buf line;

    pl_buf_init(&line, 1 << 16);
    if (n->history &&
        pl_buf_printf(&line, "{\"s\": %.3f, \"step\": %llu, \"event\": ", at,
                      (unsigned long long)n->cluster->progress.step) == PL_OK &&
        pl_json_quote(&line, kind, strlen(kind)) == PL_OK &&
        pl_buf_puts(&line, ", \"what\": ") == PL_OK &&
        pl_json_quote(&line, what, strlen(what)) == PL_OK && pl_buf_puts(&line, "}\n") == PL_OK)
        fwrite(line.data, 1, line.len, n->history);
    pl_buf_release(&line);
    if (n->loud)
        printf("    [%7.3f s, step %llu] %s: %s\n", at,
               (unsigned long long)n->cluster->progress.step, kind, what);
}

bool pl_nemesis_later(struct pl_nemesis *n, double in_s,
                      void (*heal)(struct pl_nemesis *n, struct pl_member *m), struct pl_member *m)
{
    if (n->heal_count == PL_HEALS_MAX)
        return false;
    n->heals[n->heal_count++] = (struct pl_heal){pl_chaos_seconds() + in_s, heal, m};
    return true;
}

/* Whether something of this kind waits to be healed. */
static bool is_pending(const struct pl_nemesis *n,
                       void (*heal)(struct pl_nemesis *, struct pl_member *))
{
    for (size_t i = 0; i < n->heal_count; i++)
        if (n->heals[i].heal == heal)
            return true;
    return false;
}

/* One of the members of a part that are there; NULL: none is. */
static struct pl_member *any(struct pl_nemesis *n, enum pl_part part)
{
    struct pl_member *found[PL_MEMBERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < n->cluster->count; i++) {
        struct pl_member *m = &n->cluster->members[i];

        if (m->part == part && m->pid > 0 && m->wanted && !m->struck)
            found[count++] = m;
    }
    return count > 0 ? found[pl_nemesis_below(n, count)] : NULL;
}

/* ---- kills and pauses ---- */

static bool kill_any(struct pl_nemesis *n, enum pl_part part, char *what, size_t size)
{
    struct pl_member *m = any(n, part);

    if (!m)
        return false;
    snprintf(what, size, "%s", m->name);
    return pl_member_kill(m);
}

static bool kill_redis(struct pl_nemesis *n, char *what, size_t size)
{
    return kill_any(n, PL_PART_REDIS, what, size);
}
static bool kill_learner(struct pl_nemesis *n, char *what, size_t size)
{
    return kill_any(n, PL_PART_LEARNER, what, size);
}
static bool kill_rewarder(struct pl_nemesis *n, char *what, size_t size)
{
    return kill_any(n, PL_PART_REWARDER, what, size);
}
static bool kill_actor(struct pl_nemesis *n, char *what, size_t size)
{
    return kill_any(n, PL_PART_ACTOR, what, size);
}

static void come_back(struct pl_nemesis *n, struct pl_member *m)
{
    pl_nemesis_tell(n, "heal", m->name);
    (void)pl_member_start(n->cluster, m, NULL);
}

/* For longer than a lease: what it holds must be taken by another, by the clock alone. */
static bool leave_actor(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_ACTOR);

    if (!m)
        return false;
    pl_member_end(m);
    m->killed++;
    snprintf(what, size, "%s", m->name);
    return pl_nemesis_later(n, n->plan->lease_s + 8.0, come_back, m);
}

static void resume(struct pl_nemesis *n, struct pl_member *m)
{
    if (pl_member_resume(m))
        pl_nemesis_tell(n, "heal", m->name);
}

/* Longer than a lease, up to twice as long. */
static bool pause_any(struct pl_nemesis *n, enum pl_part part, char *what, size_t size)
{
    struct pl_member *m = any(n, part);
    const double lease = n->plan->lease_s;
    const double s = lease * (1.05 + 0.001 * (double)pl_nemesis_below(n, 900));

    if (!m || m->paused || n->heal_count == PL_HEALS_MAX || !pl_member_pause(m))
        return false;
    snprintf(what, size, "%s for %.2f s", m->name, s);
    return pl_nemesis_later(n, s, resume, m);
}

static bool pause_redis(struct pl_nemesis *n, char *what, size_t size)
{
    return pause_any(n, PL_PART_REDIS, what, size);
}
static bool pause_learner(struct pl_nemesis *n, char *what, size_t size)
{
    return pause_any(n, PL_PART_LEARNER, what, size);
}
static bool pause_rewarder(struct pl_nemesis *n, char *what, size_t size)
{
    return pause_any(n, PL_PART_REWARDER, what, size);
}
static bool pause_actor(struct pl_nemesis *n, char *what, size_t size)
{
    return pause_any(n, PL_PART_ACTOR, what, size);
}

/* ---- second instances ---- */

static void end_second(struct pl_nemesis *n, struct pl_member *m)
{
    char what[480];

    snprintf(what, sizeof what, "%.32s %s: %.400s", m->name,
             m->pid > 0 ? "was still there" : "had ended", m->last);
    pl_nemesis_tell(n, "heal", what);
    pl_member_end(m);
}

/* Of the same name, on the same folder, for some seconds. */
static bool second_of(struct pl_nemesis *n, enum pl_part part, char *what, size_t size)
{
    struct pl_member *m = any(n, part), *second;
    char name[32];

    if (!m || is_pending(n, end_second))
        return false;
    snprintf(name, sizeof name, "second-%s", pl_part_names[part]);
    second = pl_cluster_find(n->cluster, name);
    if (!second)
        second = pl_cluster_add(n->cluster, part, name, NULL);
    if (!second || second->pid > 0)
        return false;
    free(second->argv[second->words - 1]);
    second->argv[second->words - 1] = pl_strf("--name=%s", m->name);
    if (pl_member_start(n->cluster, second, NULL) < 0)
        return false;
    second->wanted = false; /* once */
    second->struck = true;
    snprintf(what, size, "%s", m->name);
    return pl_nemesis_later(n, 0.2 + 0.001 * (double)pl_nemesis_below(n, 1500), end_second, second);
}

static bool second_learner(struct pl_nemesis *n, char *what, size_t size)
{
    return second_of(n, PL_PART_LEARNER, what, size);
}
static bool second_rewarder(struct pl_nemesis *n, char *what, size_t size)
{
    return second_of(n, PL_PART_REWARDER, what, size);
}
static bool second_actor(struct pl_nemesis *n, char *what, size_t size)
{
    return second_of(n, PL_PART_ACTOR, what, size);
}

/* ---- plait up ---- */

/* Its children are asked to end, and may still be there when the next one starts, at once. */
static bool kill_up(struct pl_nemesis *n, char *what, size_t size)
{
    const struct pl_member *second = pl_cluster_find(n->cluster, "second-up");

    return (!second || second->pid == 0) && kill_any(n, PL_PART_UP, what, size);
}

static bool stop_up(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_UP);

    if (!m || m->paused || kill(m->pid, SIGTERM) < 0)
        return false;
    m->struck = true;
    snprintf(what, size, "%s", m->name);
    return true;
}

static bool pause_up(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_UP);
    const double s = 0.5 + 0.001 * (double)pl_nemesis_below(n, 2500);

    if (!m || n->heal_count == PL_HEALS_MAX || !pl_member_pause(m))
        return false;
    snprintf(what, size, "%s for %.2f s", m->name, s);
    return pl_nemesis_later(n, s, resume, m);
}

/* It must have ended, with a status that says so: the first one has the run. */
static void judge_second_up(struct pl_nemesis *n, struct pl_member *m)
{
    const bool there = m->pid > 0;
    char what[480];

    if (there && pl_chaos_seconds() - m->started_s < 30.0 &&
        pl_nemesis_later(n, 0.2, judge_second_up, m))
        return;
    if (!there && WIFEXITED(m->status) && WEXITSTATUS(m->status) != 0)
        n->second_refused++;
    else
        n->second_stood++;
    snprintf(what, sizeof what, "%.32s %s (status %d): %.380s", m->name,
             there ? "was still there" : "had ended", m->status, m->last);
    pl_nemesis_tell(n, "heal", what);
    pl_member_end(m);
}

/* Typed once more by mistake, in the same words. */
static bool second_up(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *first = any(n, PL_PART_UP), *m = pl_cluster_find(n->cluster, "second-up");

    /* One that was killed a moment ago may have lost the run to it, rightly. */
    if (!first || !m || m->pid > 0 || is_pending(n, judge_second_up) ||
        pl_chaos_seconds() - first->started_s < 1.0 || n->heal_count == PL_HEALS_MAX ||
        pl_member_start(n->cluster, m, NULL) < 0)
        return false;
    m->wanted = false; /* once */
    snprintf(what, size, "%s", first->paused ? "while the first stands still" : "beside the first");
    return pl_nemesis_later(n, 0.2, judge_second_up, m);
}

/* ---- losses in Redis ---- */

static bool flush(struct pl_nemesis *n, char *what, size_t size)
{
    redisReply *reply = pl_cluster_ask(n->cluster, "FLUSHALL");
    const bool done = reply && reply->type == REDIS_REPLY_STATUS;

    snprintf(what, size, "all of Redis");
    freeReplyObject(reply);
    return done;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One of the run's keys that begins with a word of the list; false: there is none. */
static bool pick_key(struct pl_nemesis *n, const char *const *words, char key[200])
{
    redisReply *reply = pl_cluster_ask(n->cluster, "KEYS plait:{t}:*");
    char *names[512];
    size_t count = 0;

    for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        char *name = reply->element[i]->str;

        for (size_t k = 0; name && words[k] && count < 512; k++)
            if (strncmp(name + strlen("plait:{t}:"), words[k], strlen(words[k])) == 0) {
                names[count++] = name;
                break;
            }
    }
    if (count > 0) {
        qsort(names, count, sizeof *names, by_text);
        snprintf(key, 200, "%s", names[pl_nemesis_below(n, count)]);
    }
    freeReplyObject(reply);
    return count > 0;
}

static bool counted(redisReply *reply)
{
    const bool done = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;

    freeReplyObject(reply);
    return done;
}

static bool lose_key(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const words[] = {
        "prompts", "rollouts", "groups:", "batch:", "scored:", "ready",   "worker:", "run",
        "policy",  "learner",  "metrics", "events", "retired", "strikes", NULL};
    char key[200];

    if (!pick_key(n, words, key))
        return false;
    snprintf(what, size, "DEL %s", key);
    return counted(pl_cluster_ask(n->cluster, "DEL %s", key));
}

static bool lose_entry(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const queues[] = {"prompts", "rollouts", "ready"};
    const char *queue = queues[pl_nemesis_below(n, 3)];
    redisReply *reply = pl_cluster_ask(n->cluster, "XRANGE plait:{t}:%s - +", queue);
    char id[64] = "";

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
        snprintf(id, sizeof id, "%s",
                 reply->element[pl_nemesis_below(n, reply->elements)]->element[0]->str);
    freeReplyObject(reply);
    snprintf(what, size, "XDEL %s %s", queue, id);
    return id[0] && counted(pl_cluster_ask(n->cluster, "XDEL plait:{t}:%s %s", queue, id));
}

static bool lose_field(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const words[] = {"groups:", "batch:", "scored:", "run", "policy", NULL};
    char key[200], field[200] = "";
    redisReply *reply;

    if (!pick_key(n, words, key))
        return false;
    reply = pl_cluster_ask(n->cluster, "HKEYS %s", key);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
        snprintf(field, sizeof field, "%s",
                 reply->element[pl_nemesis_below(n, reply->elements)]->str);
    freeReplyObject(reply);
    snprintf(what, size, "HDEL %s %s", key, field);
    return field[0] && counted(pl_cluster_ask(n->cluster, "HDEL %s %s", key, field));
}

/* Its group of readers goes, with who holds what. */
static bool lose_readers(struct pl_nemesis *n, char *what, size_t size)
{
    const bool prompts = pl_nemesis_below(n, 2);

    snprintf(what, size, "XGROUP DESTROY %s", prompts ? "prompts" : "rollouts");
    return counted(pl_cluster_ask(n->cluster, "XGROUP DESTROY plait:{t}:%s %s",
                                  prompts ? "prompts" : "rollouts",
                                  prompts ? "actors" : "rewarders"));
}

/* ---- rollbacks ---- */

/* Redis is killed and comes back as it was at an earlier kill of this sort. */
static bool redis_back(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_REDIS);
    char *at = n->saved[REDIS_SAVED], dir[440], aside[460];
    bool back = false;

    if (!m)
        return false;
    snprintf(dir, sizeof dir, "%s/redis", n->cluster->run);
    pl_member_end(m);
    pl_cluster_hang_up(n->cluster);
    m->killed++;
    snprintf(aside, sizeof aside, "%.430s.now", dir);
    pl_chaos_remove(aside);
    (void)pl_chaos_copy(dir, aside);
    if (at[0] && pl_path_exists(at)) {
        pl_chaos_remove(dir);
        back = pl_chaos_copy(at, dir) == PL_OK;
    }
    if (!at[0])
        snprintf(at, sizeof n->saved[0], "%.430s.old", dir);
    pl_chaos_remove(at);
    (void)rename(aside, at);
    snprintf(what, size, back ? "to its state of an earlier kill" : "its state is kept");
    return pl_member_start(n->cluster, m, NULL) == PL_OK && back;
}

/* What is under way is called retired, as in a Redis of a time before the learner went back. */
static bool redis_ahead(struct pl_nemesis *n, char *what, size_t size)
{
    const unsigned long long step = n->cluster->progress.step;
    redisReply *reply = pl_cluster_ask(n->cluster, "SADD plait:{t}:retired %llu %llu %llu", step,
                                       step + 1, step + 2);
    const bool done = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;

    freeReplyObject(reply);
    snprintf(what, size, "batches %llu to %llu are called retired", step, step + 2);
    return done;
}

/* What of a run's folder a backup would hold. */
static const char *const kept[] = {"checkpoints", "metrics.jsonl", "best", "run_id", "config.yaml"};

static void copy_kept(const char *from, const char *to)
{
    char source[480], target[480];

    (void)pl_dir_make(to, NULL);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        snprintf(source, sizeof source, "%.440s/%s", from, kept[i]);
        snprintf(target, sizeof target, "%.440s/%s", to, kept[i]);
        pl_chaos_remove(target);
        if (pl_path_exists(source))
            (void)pl_chaos_copy(source, target);
    }
}

static uint64_t step_of_folder(const char *dir)
{
    char path[480], *text = NULL;
    uint64_t step = 0;
    size_t len;

    snprintf(path, sizeof path, "%.440s/checkpoints/latest", dir);
    if (pl_file_read(path, 200, &text, &len, NULL) == PL_OK &&
        strncmp(text, "global_step_", 12) == 0)
        step = strtoull(text + 12, NULL, 10);
    free(text);
    return step;
}

/* The learner is killed and its folder restored from a backup of an earlier step. */
static bool learner_back(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_LEARNER);
    char *at = n->saved[LEARNER_SAVED];
    uint64_t step, old;

    if (!m)
        return false;
    pl_member_end(m);
    m->killed++;
    step = step_of_folder(n->cluster->run);
    old = at[0] ? step_of_folder(at) : 0;
    if (step == 0) { /* without a checkpoint the run would have to be told to begin again */
        (void)pl_member_start(n->cluster, m, NULL);
        return false;
    }
    if (at[0] && old < step) {
        copy_kept(at, n->cluster->run);
        snprintf(what, size, "folder of step %llu restored over step %llu", (unsigned long long)old,
                 (unsigned long long)step);
    } else {
        snprintf(at, sizeof n->saved[1], "%.420s.backup", n->cluster->run);
        copy_kept(n->cluster->run, at);
        snprintf(what, size, "backup of step %llu", (unsigned long long)step);
    }
    if (at[0] && old < step && pl_nemesis_below(n, 3) == 0)
        at[0] = '\0'; /* the next one makes a newer backup */
    return pl_member_start(n->cluster, m, NULL) == PL_OK && strstr(what, "restored");
}

static bool older_checkpoint(struct pl_nemesis *n, uint64_t below, uint64_t *ret_step)
{
    char path[480];
    uint64_t steps[64];
    size_t count = 0;
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "%s/checkpoints", n->cluster->run);
    dir = opendir(path);
    while (dir && (e = readdir(dir)) && count < 64)
        if (strncmp(e->d_name, "global_step_", 12) == 0 && !strchr(e->d_name, '.') &&
            strtoull(e->d_name + 12, NULL, 10) < below)
            steps[count++] = strtoull(e->d_name + 12, NULL, 10);
    if (dir)
        closedir(dir);
    if (count > 0)
        *ret_step = steps[pl_nemesis_below(n, count)];
    return count > 0;
}

/* As its README says: write the name of an older checkpoint into `latest` to go back. */
static bool latest_back(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_member *m = any(n, PL_PART_LEARNER);
    uint64_t step, old = 0;
    char path[480];
    FILE *file;
    bool back;

    if (!m)
        return false;
    pl_member_end(m);
    m->killed++;
    step = step_of_folder(n->cluster->run);
    back = older_checkpoint(n, step, &old);
    if (back) {
        snprintf(path, sizeof path, "%s/checkpoints/latest", n->cluster->run);
        file = fopen(path, "we");
        back = file && fprintf(file, "global_step_%llu\n", (unsigned long long)old) > 0;
        if (file)
            fclose(file);
    }
    snprintf(what, size, "latest: from step %llu to %llu", (unsigned long long)step,
             (unsigned long long)old);
    return pl_member_start(n->cluster, m, NULL) == PL_OK && back;
}

/* ---- damage to the learner's files ---- */

/* What was damaged comes back: the newest whole state. */
static void repair(struct pl_nemesis *n, struct pl_member *m)
{
    char aside[480], what[480];

    snprintf(aside, sizeof aside, "%.420s.whole", n->cluster->run);
    snprintf(what, sizeof what, "files restored; it had said: %.400s", m->last);
    pl_nemesis_tell(n, "heal", what);
    pl_member_end(m);
    copy_kept(aside, n->cluster->run);
    n->cluster->lenient = false;
    (void)pl_member_start(n->cluster, m, NULL);
}

/* One file of the newest checkpoint is cut, or has a bit flipped, or `latest` goes. The learner
 * must not train on: it ends, with a sentence, or goes on from what is whole. */
static bool damage(struct pl_nemesis *n, int how, char *what, size_t size)
{
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors",
                                        "trainer_state.json", "run_state.json", "config.json"};
    struct pl_member *m = any(n, PL_PART_LEARNER);
    const uint64_t step = step_of_folder(n->cluster->run);
    const char *file = files[pl_nemesis_below(n, sizeof files / sizeof *files)];
    char path[520], aside[480];
    struct stat st;
    unsigned char byte;
    int fd;

    if (!m || step == 0 || is_pending(n, repair))
        return false;
    pl_member_end(m);
    m->killed++;
    snprintf(aside, sizeof aside, "%.420s.whole", n->cluster->run);
    copy_kept(n->cluster->run, aside);
    if (how == 2)
        snprintf(path, sizeof path, "%s/checkpoints/latest", n->cluster->run);
    else
        snprintf(path, sizeof path, "%s/checkpoints/global_step_%llu/%s", n->cluster->run,
                 (unsigned long long)step, file);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
        if (fd >= 0)
            close(fd);
        (void)pl_member_start(n->cluster, m, NULL);
        return false;
    }
    if (how == 2) {
        unlink(path);
    } else if (how == 0) {
        if (ftruncate(fd, (off_t)pl_nemesis_below(n, (uint64_t)st.st_size)) < 0)
            how = -1;
    } else {
        const off_t at = (off_t)pl_nemesis_below(n, (uint64_t)st.st_size);

        if (pread(fd, &byte, 1, at) != 1)
            byte = 0;
        byte ^= (unsigned char)(1u << pl_nemesis_below(n, 8));
        if (pwrite(fd, &byte, 1, at) != 1)
            how = -1;
    }
    close(fd);
    snprintf(what, size, "%s: %s",
             how == 2   ? "removed"
             : how == 0 ? "cut"
                        : "a bit flipped",
             strrchr(path, '/') + 1);
    n->cluster->lenient = true;
    return pl_member_start(n->cluster, m, NULL) == PL_OK && how >= 0 &&
           pl_nemesis_later(n, 0.5, repair, m);
}

static bool file_cut(struct pl_nemesis *n, char *what, size_t size)
{
    return damage(n, 0, what, size);
}
static bool file_flipped(struct pl_nemesis *n, char *what, size_t size)
{
    return damage(n, 1, what, size);
}
static bool latest_lost(struct pl_nemesis *n, char *what, size_t size)
{
    return damage(n, 2, what, size);
}

/* ---- limits ---- */

static void redis_free(struct pl_nemesis *n, struct pl_member *m)
{
    (void)m;
    freeReplyObject(pl_cluster_ask(n->cluster, "CONFIG SET maxmemory 0"));
    freeReplyObject(pl_cluster_ask(n->cluster, "CONFIG SET maxmemory-policy noeviction"));
    pl_nemesis_tell(n, "heal", "Redis has memory again");
}

static bool limit_memory(struct pl_nemesis *n, const char *policy, char *what, size_t size)
{
    redisReply *reply = pl_cluster_ask(n->cluster, "INFO memory");
    const char *used = reply && reply->str ? strstr(reply->str, "used_memory:") : NULL;
    const unsigned long long bytes = used ? strtoull(used + 12, NULL, 10) : 0;

    freeReplyObject(reply);
    if (bytes == 0 || is_pending(n, redis_free))
        return false;
    freeReplyObject(pl_cluster_ask(n->cluster, "CONFIG SET maxmemory-policy %s", policy));
    reply = pl_cluster_ask(n->cluster, "CONFIG SET maxmemory %llu", bytes - 2000);
    snprintf(what, size, "at %llu bytes, %s", bytes, policy);
    freeReplyObject(reply);
    return pl_nemesis_later(n, 0.3 + 0.001 * (double)pl_nemesis_below(n, 1000), redis_free, NULL);
}

static bool redis_full(struct pl_nemesis *n, char *what, size_t size)
{
    return limit_memory(n, "noeviction", what, size);
}
static bool redis_evicts(struct pl_nemesis *n, char *what, size_t size)
{
    return limit_memory(n, "allkeys-random", what, size);
}

static void redis_writes(struct pl_nemesis *n, struct pl_member *m)
{
    (void)m;
    freeReplyObject(pl_cluster_ask(n->cluster, "REPLICAOF NO ONE"));
    pl_nemesis_tell(n, "heal", "Redis is a primary again");
}

/* A replica of a primary that is gone, as an operator or a Sentinel may make of it. */
static bool redis_readonly(struct pl_nemesis *n, char *what, size_t size)
{
    redisReply *reply;

    if (is_pending(n, redis_writes))
        return false;
    reply = pl_cluster_ask(n->cluster, "REPLICAOF 127.0.0.1 1");
    snprintf(what, size, "a replica of nobody");
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        freeReplyObject(reply);
        return false;
    }
    freeReplyObject(reply);
    return pl_nemesis_later(n, 0.3 + 0.001 * (double)pl_nemesis_below(n, 1500), redis_writes, NULL);
}

/* A replica that has lagged behind takes the place of the primary, which dies. */
static bool redis_promoted(struct pl_nemesis *n, char *what, size_t size)
{
    struct pl_cluster *c = n->cluster;
    struct pl_member *m = any(n, PL_PART_REDIS);
    const int port = 20000 + (int)(getpid() % 20000);
    const unsigned lag_ms = 50 + (unsigned)pl_nemesis_below(n, 400);
    char dir[440], socket[440], old[440], number[16];
    char *const words[] = {"/usr/bin/redis-server",
                           "--port",
                           "0",
                           "--save",
                           "",
                           "--appendonly",
                           "yes",
                           "--dir",
                           dir,
                           "--unixsocket",
                           socket,
                           "--replicaof",
                           "127.0.0.1",
                           number,
                           NULL};
    struct pl_cluster other = {0};
    struct pl_member replica = {.part = PL_PART_REDIS};
    bool linked = false, done = false;

    if (!m)
        return false;
    snprintf(dir, sizeof dir, "%.420s/redis.next", c->run);
    snprintf(socket, sizeof socket, "%.420s/next.sock", c->run);
    snprintf(old, sizeof old, "%.420s/redis", c->run);
    snprintf(number, sizeof number, "%d", port);
    snprintf(other.socket, sizeof other.socket, "%s", socket);
    snprintf(other.dir, sizeof other.dir, "%s", c->dir);
    snprintf(replica.log, sizeof replica.log, "%s", m->log);
    for (replica.words = 0; words[replica.words]; replica.words++)
        replica.argv[replica.words] = words[replica.words];
    freeReplyObject(pl_cluster_ask(c, "CONFIG SET bind 127.0.0.1"));
    freeReplyObject(pl_cluster_ask(c, "CONFIG SET repl-diskless-sync-delay 0"));
    freeReplyObject(pl_cluster_ask(c, "CONFIG SET port %d", port));
    pl_chaos_remove(dir);
    if (pl_dir_make(dir, NULL) < 0 || pl_member_start(&other, &replica, NULL) < 0)
        return false;
    for (int i = 0; i < 400 && !linked; i++) {
        redisReply *reply = pl_cluster_ask(&other, "INFO replication");

        linked = reply && reply->str && strstr(reply->str, "master_link_status:up");
        freeReplyObject(reply);
        pl_chaos_sleep(0.005);
    }
    if (linked) { /* from here on it no longer hears what the primary is told */
        freeReplyObject(pl_cluster_ask(&other, "REPLICAOF NO ONE"));
        pl_chaos_sleep(1e-3 * lag_ms);
        pl_member_end(m);
        pl_cluster_hang_up(c);
        m->killed++;
        pl_chaos_remove(old);
        done = rename(dir, old) == 0 && rename(socket, c->socket) == 0;
        m->pid = replica.pid;
        m->wanted = true;
        m->struck = false;
        m->started_s = replica.started_s;
        m->starts++;
    } else {
        pl_member_end(&replica);
        freeReplyObject(pl_cluster_ask(c, "CONFIG SET port 0"));
    }
    pl_cluster_hang_up(&other);
    snprintf(what, size, "a replica %u ms behind", lag_ms);
    return done;
}

/* ---- disks ---- */

static void empty_disk(struct pl_nemesis *n, struct pl_member *m)
{
    char path[460];

    (void)m;
    snprintf(path, sizeof path, "%.430s/filler", n->cluster->run);
    unlink(path);
    n->cluster->lenient = false;
    pl_nemesis_tell(n, "heal", "the disk has room again");
}

/* Of the run, where it has one of its own (struct pl_plan, small_disk). */
static bool disk_full(struct pl_nemesis *n, char *what, size_t size)
{
    static char zeros[1 << 16];
    char path[460];
    size_t bytes = 0;
    int fd;

    if (!n->plan->small_disk || is_pending(n, empty_disk))
        return false;
    snprintf(path, sizeof path, "%.430s/filler", n->cluster->run);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    for (ssize_t got = 1; got > 0 && bytes<(1u << 28); bytes += got> 0 ? (size_t)got : 0)
        got = write(fd, zeros, sizeof zeros);
    for (ssize_t got = 1; got > 0; bytes += got > 0 ? (size_t)got : 0)
        got = write(fd, zeros, 512);
    close(fd);
    n->cluster->lenient = true;
    snprintf(what, size, "by %zu bytes", bytes);
    return pl_nemesis_later(n, 0.2 + 0.001 * (double)pl_nemesis_below(n, 1300), empty_disk, NULL);
}

/* ---- clocks ---- */

/* Redis reads the time through tests/chaos/clock.c, which adds what this file says. */
static void set_clock(struct pl_nemesis *n, long long offset_s)
{
    char path[480];
    int fd;

    snprintf(path, sizeof path, "%s/clock", n->cluster->run);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) {
        (void)!pwrite(fd, &offset_s, sizeof offset_s, 0);
        close(fd);
    }
}

static bool clock_put(struct pl_nemesis *n, char *what, size_t size)
{
    static const long long offsets[] = {-86400, -3600, -61, -5, 0, 5, 61, 3600, 86400};
    const long long offset = offsets[pl_nemesis_below(n, sizeof offsets / sizeof *offsets)];

    if (!n->plan->clock)
        return false;
    set_clock(n, offset);
    snprintf(what, size, "Redis' clock is %+lld s from ours", offset);
    return true;
}

/* ---- entries and fields that nobody made ---- */

static bool forge_entry(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const forms[] = {
        "foo bar",
        "id nobody pb x",
        "id 99999:0 version 1 samples 1 pb x",
        "id 0:4294967296 pb x",
        "id e0:0 pb \x08\xff\xff\xff\xff\x0f",
    };
    static const char *const queues[] = {"prompts", "rollouts", "ready"};
    const char *form = forms[pl_nemesis_below(n, sizeof forms / sizeof *forms)];
    const char *queue = queues[pl_nemesis_below(n, 3)];
    char command[200];
    redisReply *reply;
    bool done;

    snprintf(command, sizeof command, "XADD plait:{t}:%s * %s", queue, form);
    reply = pl_cluster_ask(n->cluster, command);
    done = reply && reply->type == REDIS_REPLY_STRING;
    freeReplyObject(reply);
    snprintf(what, size, "into %s: %.60s", queue, strchr(command, '*'));
    return done;
}

/* An entry that is there, once more. */
static bool replay_entry(struct pl_nemesis *n, char *what, size_t size)
{
    const char *queue = pl_nemesis_below(n, 2) ? "prompts" : "rollouts";
    redisReply *reply = pl_cluster_ask(n->cluster, "XRANGE plait:{t}:%s - +", queue), *entry, *made;
    const char *words[64] = {"XADD", NULL, "*"};
    size_t lens[64] = {4, 0, 1}, count = 3;
    char key[64];
    bool done = false;

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        entry = reply->element[pl_nemesis_below(n, reply->elements)]->element[1];
        snprintf(key, sizeof key, "plait:{t}:%s", queue);
        words[1] = key;
        lens[1] = strlen(key);
        for (size_t i = 0; i < entry->elements && count < 64; i++) {
            words[count] = entry->element[i]->str;
            lens[count++] = (size_t)entry->element[i]->len;
        }
        made = pl_cluster_redis(n->cluster)
                   ? redisCommandArgv(n->cluster->redis, (int)count, words, lens)
                   : NULL;
        done = made && made->type == REDIS_REPLY_STRING;
        freeReplyObject(made);
    }
    freeReplyObject(reply);
    snprintf(what, size, "of %s", queue);
    return done;
}

/* Values that no program writes, where programs read. */
static bool forge_field(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const forms[][2] = {
        {"batch:", "accuracy nan"},
        {"batch:", "accuracy 5"},
        {"batch:", "previous x"},
        {"scored:", "x y"},
        {"scored:", "7777777 z"},
        {"policy", "version zero"},
        {"run", "step -1"},
        {"groups:", "77 prompt"},
        {"batch:", "dropped 18446744073709551615"},
    };
    const size_t i = pl_nemesis_below(n, sizeof forms / sizeof *forms);
    const char *const words[] = {forms[i][0], NULL};
    char key[200], command[300];
    redisReply *reply;
    bool done;

    if (!pick_key(n, words, key))
        return false;
    snprintf(command, sizeof command, "HSET %s %s", key, forms[i][1]);
    reply = pl_cluster_ask(n->cluster, command);
    done = reply && reply->type == REDIS_REPLY_INTEGER;
    freeReplyObject(reply);
    snprintf(what, size, "%s", command);
    return done;
}

/* ---- networks ---- */

static void net_open(struct pl_nemesis *n, struct pl_member *m)
{
    (void)m;
    for (size_t i = 0; i < n->proxy->links; i++)
        pl_proxy_set(n->proxy, i, PL_NET_OPEN, 0);
    pl_nemesis_tell(n, "heal", "the network is whole");
}

/* On one of the links: 0 leads to Redis, the others to the weights. */
static bool net(struct pl_nemesis *n, enum pl_net what_net, unsigned amount, size_t from,
                double for_s, char *what, size_t size)
{
    size_t link;

    if (!n->proxy)
        return false;
    link = from + pl_nemesis_below(n, n->proxy->links - from);
    pl_proxy_set(n->proxy, link, what_net, amount);
    snprintf(what, size, "%s on the link to %s (%u) for %.2f s", pl_net_names[what_net],
             link == 0   ? "Redis"
             : link == 1 ? "announcements"
                         : "weights",
             amount, for_s);
    return for_s <= 0.0 || pl_nemesis_later(n, for_s, net_open, NULL);
}

static bool net_delay(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_DELAY, 1 + (unsigned)pl_nemesis_below(n, 60), 0, 0.6, what, size);
}
static bool net_throttle(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_THROTTLE, 20000 + (unsigned)pl_nemesis_below(n, 200000), 0, 0.8, what,
               size);
}
static bool net_hold(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_HOLD, 0, 0, 0.3 + 0.001 * (double)pl_nemesis_below(n, 1500), what, size);
}
static bool net_reset(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_RESET, 0, 0, 0.0, what, size);
}
static bool net_half(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_HALF, 0, 0, 0.0, what, size);
}
static bool net_truncate(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_TRUNCATE, 1 + (unsigned)pl_nemesis_below(n, 3), 0, 0.0, what, size);
}
/* Redis' own protocol has no sums: who flips bits there without TLS writes what he likes. */
static bool net_corrupt(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_CORRUPT, 1 + (unsigned)pl_nemesis_below(n, 4), 1, 0.0, what, size);
}
/* Across connections: what is said on one link comes after what was said later on the others, so
 * that a version is known in Redis before its weights can be had, or the reverse. Within one
 * connection TCP keeps the order. */
static bool net_skew(struct pl_nemesis *n, char *what, size_t size)
{
    const unsigned ms = 100 + (unsigned)pl_nemesis_below(n, 300);
    const bool redis_late = pl_nemesis_below(n, 2) == 0;

    if (!n->proxy)
        return false;
    for (size_t i = 0; i < n->proxy->links; i++)
        pl_proxy_set(n->proxy, i, (i == 0) == redis_late ? PL_NET_DELAY : PL_NET_OPEN, ms);
    snprintf(what, size, "%s %u ms and more after the other for 1.50 s",
             redis_late ? "Redis comes" : "weights come", ms);
    return pl_nemesis_later(n, 1.5, net_open, NULL);
}
static bool net_reorder(struct pl_nemesis *n, char *what, size_t size)
{
    return net(n, PL_NET_REORDER, 1, 1, 0.0, what, size);
}

/* ---- failpoints ---- */

struct point {
    enum pl_part part;
    const char *name;
};
static const struct point points[] = {
    {PL_PART_LEARNER, "feed.before"},
    {PL_PART_LEARNER, "feed.after"},
    {PL_PART_LEARNER, "retire.before"},
    {PL_PART_LEARNER, "retire.after"},
    {PL_PART_LEARNER, "file.write"},
    {PL_PART_LEARNER, "file.before_flush"},
    {PL_PART_LEARNER, "file.before_rename"},
    {PL_PART_LEARNER, "file.after_rename"},
    {PL_PART_LEARNER, "folder.before_flush"},
    {PL_PART_LEARNER, "folder.before_rename"},
    {PL_PART_LEARNER, "folder.after_rename"},
    {PL_PART_LEARNER, "checkpoint.before"},
    {PL_PART_LEARNER, "checkpoint.before_latest"},
    {PL_PART_LEARNER, "checkpoint.after"},
    {PL_PART_LEARNER, "metrics.before"},
    {PL_PART_LEARNER, "metrics.after"},
    {PL_PART_LEARNER, "publish.before"},
    {PL_PART_LEARNER, "publish.after"},
    {PL_PART_ACTOR, "finish.before"},
    {PL_PART_ACTOR, "finish.after"},
    {PL_PART_ACTOR, "XREADGROUP.before"},
    {PL_PART_ACTOR, "XREADGROUP.after"},
    {PL_PART_ACTOR, "install.before"},
    {PL_PART_ACTOR, "install.after"},
    {PL_PART_ACTOR, "weights.chunk"},
    {PL_PART_ACTOR, "weights.whole"},
    {PL_PART_REWARDER, "commit.before"},
    {PL_PART_REWARDER, "commit.after"},
    {PL_PART_REWARDER, "XREADGROUP.before"},
    {PL_PART_REWARDER, "XREADGROUP.after"},
};

const char *pl_nemesis_point(size_t i)
{
    return i < sizeof points / sizeof *points ? points[i].name : NULL;
}

/* A member is killed and comes back with an order to die, or to fail, at a point. */
static bool at_point(struct pl_nemesis *n, char *what, size_t size)
{
    static const char *const actions[] = {"kill", "kill", "error", "full"};
    const struct point *p = &points[pl_nemesis_below(n, sizeof points / sizeof *points)];
    const char *action = actions[pl_nemesis_below(n, 4)];
    struct pl_member *m = any(n, p->part);

#ifndef PL_FAILPOINTS
    return false;
#endif
    /* A life that does not come by, or goes on after an error, has had its time. */
    if (!m || (m->ordered && pl_chaos_seconds() - m->started_s < 1.0))
        return false;
    pl_member_end(m);
    m->killed++;
    snprintf(m->order, sizeof m->order, "%s=%s@%llu", p->name, action,
             (unsigned long long)(1 + pl_nemesis_below(n, 6)));
    snprintf(what, size, "%s: %s", m->name, m->order);
    return pl_member_start(n->cluster, m, NULL) == PL_OK;
}

/* ---- the table ---- */

const struct pl_fault pl_faults[] = {
    {"kill-redis", PL_CLASS_KILL, kill_redis, false, "SIGKILL; it comes back with its file"},
    {"kill-learner", PL_CLASS_KILL, kill_learner, false, "SIGKILL"},
    {"kill-rewarder", PL_CLASS_KILL, kill_rewarder, false, "SIGKILL"},
    {"kill-actor", PL_CLASS_KILL, kill_actor, false, "SIGKILL"},
    {"pause-redis", PL_CLASS_PAUSE, pause_redis, false, "SIGSTOP for longer than a lease"},
    {"pause-learner", PL_CLASS_PAUSE, pause_learner, false, "SIGSTOP for longer than a lease"},
    {"pause-rewarder", PL_CLASS_PAUSE, pause_rewarder, false, "a zombie that comes back"},
    {"pause-actor", PL_CLASS_PAUSE, pause_actor, false, "a zombie that comes back"},
    {"second-learner", PL_CLASS_SECOND, second_learner, false, "on the same folder"},
    {"second-rewarder", PL_CLASS_SECOND, second_rewarder, false, "of the same name"},
    {"second-actor", PL_CLASS_SECOND, second_actor, false, "of the same name"},
    {"kill-up", PL_CLASS_KILL, kill_up, false, "SIGKILL; the next meets what it left"},
    {"stop-up", PL_CLASS_STOP, stop_up, false, "SIGTERM; the next goes on"},
    {"pause-up", PL_CLASS_STOP, pause_up, false, "SIGSTOP while its children work"},
    {"second-up", PL_CLASS_SECOND, second_up, false, "the same command once more"},
    {"flush", PL_CLASS_LOSS, flush, false, "FLUSHALL"},
    {"lose-key", PL_CLASS_LOSS, lose_key, false, "DEL of one key of the run"},
    {"lose-entry", PL_CLASS_LOSS, lose_entry, false, "XDEL of one entry of a queue"},
    {"lose-field", PL_CLASS_LOSS, lose_field, false, "HDEL of one field"},
    {"lose-readers", PL_CLASS_LOSS, lose_readers, false, "XGROUP DESTROY"},
    {"redis-back", PL_CLASS_ROLLBACK, redis_back, false, "Redis' file as it was seconds ago"},
    {"redis-ahead", PL_CLASS_ROLLBACK, redis_ahead, false, "it calls retired what is under way"},
    {"learner-back", PL_CLASS_ROLLBACK, learner_back, false, "its folder from a backup"},
    {"latest-back", PL_CLASS_ROLLBACK, latest_back, false, "`latest` names an older checkpoint"},
    {"file-cut", PL_CLASS_DAMAGE, file_cut, true, "a file of the newest checkpoint is cut"},
    {"file-flipped", PL_CLASS_DAMAGE, file_flipped, true, "a bit of it is flipped"},
    {"latest-lost", PL_CLASS_DAMAGE, latest_lost, true, "`latest` is gone"},
    {"redis-full", PL_CLASS_LIMIT, redis_full, false, "maxmemory is reached"},
    {"redis-evicts", PL_CLASS_LIMIT, redis_evicts, false, "and keys are thrown away"},
    {"redis-readonly", PL_CLASS_LIMIT, redis_readonly, false, "REPLICAOF somebody who is gone"},
    {"redis-promoted", PL_CLASS_ROLLBACK, redis_promoted, false, "a replica that lags takes over"},
    {"disk-full", PL_CLASS_LIMIT, disk_full, true, "of the run's folder, Redis and learner"},
    {"leave-actor", PL_CLASS_KILL, leave_actor, false, "SIGKILL, and it does not come back"},
    {"clock", PL_CLASS_CLOCK, clock_put, false, "Redis' clock is put back or forth"},
    {"forge-entry", PL_CLASS_FORGED, forge_entry, false, "XADD of what nobody made"},
    {"replay-entry", PL_CLASS_FORGED, replay_entry, false, "XADD of an entry that is there"},
    {"forge-field", PL_CLASS_FORGED, forge_field, false, "HSET of what no program writes"},
    {"net-delay", PL_CLASS_NETWORK, net_delay, false, "1 to 120 ms"},
    {"net-throttle", PL_CLASS_NETWORK, net_throttle, false, "20 to 220 kB/s"},
    {"net-hold", PL_CLASS_NETWORK, net_hold, false, "a cable that is out, up to 1.8 s"},
    {"net-reset", PL_CLASS_NETWORK, net_reset, false, "RST of all connections"},
    {"net-half", PL_CLASS_NETWORK, net_half, false, "one direction is closed"},
    {"net-truncate", PL_CLASS_NETWORK, net_truncate, false, "a message in part, then the end"},
    {"net-corrupt", PL_CLASS_NETWORK, net_corrupt, false, "a bit of the weights' messages"},
    {"net-skew", PL_CLASS_NETWORK, net_skew, false, "Redis after the weights, or the reverse"},
    {"net-reorder", PL_CLASS_NETWORK, net_reorder, false, "halves of the weights' messages"},
    {"failpoint", PL_CLASS_POINT, at_point, true, "a life that ends at a durable step"},
};
const size_t pl_fault_count = sizeof pl_faults / sizeof *pl_faults;

/* ---- what happens when ---- */

void pl_nemesis_init(struct pl_nemesis *n, struct pl_cluster *cluster, const struct pl_plan *plan,
                     struct pl_proxy *proxy, uint64_t seed, size_t faults, FILE *history)
{
    PL_ASSERT(pl_fault_count <= PL_FAULTS_MAX);
    *n = (struct pl_nemesis){.cluster = cluster,
                             .plan = plan,
                             .proxy = proxy,
                             .rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST},
                             .wanted = faults ? faults : plan->faults,
                             .history = history,
                             .start_s = pl_chaos_seconds()};
    n->next_s = n->last_s = n->start_s;
}

static size_t pick_fault(struct pl_nemesis *n)
{
    const struct pl_plan *p = n->plan;
    uint64_t sum = 0, at;

    for (size_t i = 0; i < PL_MIX_MAX && p->mix[i].fault; i++)
        sum += p->mix[i].weight;
    at = pl_nemesis_below(n, sum);
    for (size_t i = 0; i < PL_MIX_MAX && p->mix[i].fault; i++) {
        if (at < p->mix[i].weight)
            for (size_t k = 0; k < pl_fault_count; k++)
                if (strcmp(pl_faults[k].name, p->mix[i].fault) == 0)
                    return k;
        at -= p->mix[i].weight;
    }
    PL_ASSERT(!"a fault of a plan that is not in the table");
    return 0;
}

/* The first step that is trained after a fault, if no other came in between. */
static void note_recovery(struct pl_nemesis *n)
{
    if (!n->waiting || n->cluster->progress.at_s <= n->fault_s)
        return;
    n->waiting = false;
    if (n->recovery_count < PL_RECOVERIES_MAX)
        n->recoveries[n->recovery_count++] =
            (struct pl_recovery){n->last_fault, n->cluster->progress.at_s - n->fault_s};
}

static void do_fault(struct pl_nemesis *n)
{
    const size_t i = pick_fault(n);
    char what[480] = "";

    if (!pl_faults[i].act(n, what, sizeof what))
        return;
    pl_nemesis_tell(n, pl_faults[i].name, what);
    n->counts[i]++;
    n->done++;
    n->waiting = true;
    n->last_fault = i;
    n->fault_s = n->last_s = pl_chaos_seconds();
}

bool pl_nemesis_tick(struct pl_nemesis *n)
{
    const double now = pl_chaos_seconds();

    note_recovery(n);
    for (size_t i = 0; i < n->heal_count;) {
        const struct pl_heal heal = n->heals[i];

        if (now < heal.at_s) {
            i++;
            continue;
        }
        n->heals[i] = n->heals[--n->heal_count];
        heal.heal(n, heal.m);
        n->last_s = pl_chaos_seconds();
    }
    if (n->done < n->wanted && now >= n->next_s && n->cluster->progress.lines > 0) {
        const unsigned spread = n->plan->gap_most - n->plan->gap_least + 1;

        do_fault(n);
        n->next_s =
            pl_chaos_seconds() + 1e-3 * (double)(n->plan->gap_least + pl_nemesis_below(n, spread));
    }
    return n->done < n->wanted || n->heal_count > 0;
}

void pl_nemesis_heal(struct pl_nemesis *n)
{
    n->wanted = n->done;
    while (n->heal_count > 0) {
        const struct pl_heal heal = n->heals[--n->heal_count];

        heal.heal(n, heal.m);
    }
    for (size_t i = 0; i < n->cluster->count; i++)
        (void)pl_member_resume(&n->cluster->members[i]);
    n->last_s = pl_chaos_seconds();
}
