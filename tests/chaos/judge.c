#include "tests/chaos/judge.h"

#include "common/base/file.h"
#include "tests/chaos/stub.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEDGER_COUNTS = 11 }; /* the last: parked */

void pl_judge_add(struct pl_judge *j, const char *name, enum pl_found found, const char *format,
                  ...)
{
    struct pl_finding *f = &j->findings[j->count];
    va_list args;

    if (j->count == PL_FINDINGS_MAX)
        return;
    j->count++;
    f->name = name;
    f->found = found;
    va_start(args, format);
    vsnprintf(f->detail, sizeof f->detail, format, args);
    va_end(args);
}

bool pl_judge_good(const struct pl_judge *j)
{
    for (size_t i = 0; i < j->count; i++)
        if (j->findings[i].found == PL_FOUND_BAD)
            return false;
    return j->count > 0;
}

bool pl_judge_known(const struct pl_judge *j)
{
    for (size_t i = 0; i < j->count; i++)
        if (j->findings[i].found == PL_FOUND_KNOWN)
            return true;
    return false;
}

json_t *pl_judge_json(const struct pl_judge *j)
{
    static const char *const words[] = {"good", "bad", "skipped", "known"};
    json_t *list = json_array();

    for (size_t i = 0; i < j->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", j->findings[i].name,
                                              "found", words[j->findings[i].found], "detail",
                                              j->findings[i].detail));
    return list;
}

/* ---- while it runs ---- */

/* fed = trained + dropped + scored + prompts + rollouts; false: Redis does not answer. */
static bool read_ledger(struct pl_cluster *c, long long n[LEDGER_COUNTS])
{
    redisReply *reply = pl_cluster_ask(c, "FCALL plait1_ledger 1 plait:{t}:");
    const bool there =
        reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= LEDGER_COUNTS;

    for (size_t i = 0; there && i < LEDGER_COUNTS; i++)
        n[i] = reply->element[i]->integer;
    freeReplyObject(reply);
    return there;
}

static bool balances(const long long n[LEDGER_COUNTS])
{
    return n[0] == n[1] + n[2] + n[3] + n[4] + n[6] + n[10];
}

/* Whatever the learner's life, a version of a number has one checksum. */
static void look_at_policy(struct pl_judge *j, struct pl_cluster *c)
{
    redisReply *reply = pl_cluster_ask(c, "HMGET plait:{t}:policy version sha256");
    const struct pl_member *learner = pl_cluster_find(c, "learner");

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->str && reply->element[1]->str &&
        strspn(reply->element[0]->str, "0123456789") == strlen(reply->element[0]->str)) {
        const uint64_t version = strtoull(reply->element[0]->str, NULL, 10);

        if (version < 4096) {
            char *known = j->checksums[version];

            j->versions += !known[0];
            j->versions_two += known[0] && strcmp(known, reply->element[1]->str) != 0;
            snprintf(known, 65, "%s", reply->element[1]->str);
        }
        if (c->supervised) { /* which life of the learner it is is not known here */
            j->settled = false;
        } else if (learner &&
                   learner->pid != j->learner_pid) { /* what stands there is its forerunner's */
            j->learner_pid = learner->pid;
            j->settled = false;
        } else if (version != j->newest) {
            j->versions_back += j->settled && version < j->newest;
            j->settled = true;
        }
        j->newest = version;
    }
    freeReplyObject(reply);
}

static long resident_kb(int pid)
{
    char path[64];
    long all = 0, pages = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    file = fopen(path, "re");
    if (file && fscanf(file, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long descriptors(int pid)
{
    char path[64];
    long count = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

enum { USAGE_BEGINS = 10 }; /* seconds */

/* Of each life, from its third second on, when all that it asks for once is there; each second. */
static void look_at_usage(struct pl_judge *j, const struct pl_cluster *c)
{
    const double now = pl_chaos_seconds();

    for (size_t i = 0; i < c->count; i++) {
        const struct pl_member *m = &c->members[i];
        struct pl_usage *u = &j->usage[i];

        if (m->pid <= 0 || m->paused || now - m->started_s < 3.0 || now < u->next_s)
            continue;
        if (u->pid != m->pid) {
            *u = (struct pl_usage){.pid = m->pid, .since_s = now};
            snprintf(u->name, sizeof u->name, "%s", m->name);
        }
        u->next_s = now + 1.0;
        if (u->count < USAGE_BEGINS) /* a program on a busy machine is slow to open what it needs */
            u->fds_first = descriptors(m->pid);
        if (u->count < PL_USAGE_MAX)
            u->rss[u->count++] = resident_kb(m->pid);
        u->fds_last = descriptors(m->pid);
    }
}

void pl_judge_watch(struct pl_judge *j, struct pl_cluster *c)
{
    long long n[LEDGER_COUNTS];

    if (c->supervised ||
        (c->members[0].pid > 0 && !c->members[0].paused && !c->members[0].struck)) {
        if (read_ledger(c, n)) {
            j->looks++;
            j->unbalanced += !balances(n);
        }
        look_at_policy(j, c);
    }
    look_at_usage(j, c);
}

/* ---- when it is over ---- */

static void judge_weights(struct pl_judge *j, struct pl_nemesis *n, const char *twin)
{
    char path[480], hash[65];

    snprintf(path, sizeof path, "%s/model/model.safetensors", n->cluster->run);
    pl_chaos_hash(path, hash);
    if (n->plan->other_bits || !twin[0])
        pl_judge_add(j, "same-weights", hash[0] ? PL_FOUND_SKIPPED : PL_FOUND_BAD, "%s", hash);
    else
        pl_judge_add(j, "same-weights", strcmp(hash, twin) == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
                     "%.16s, undisturbed %.16s", hash, twin);
}

static void judge_ledger(struct pl_judge *j, struct pl_nemesis *n)
{
    long long l[LEDGER_COUNTS] = {0};
    const bool there = read_ledger(n->cluster, l), now = there && balances(l);
    /* What goes with a key that is lost, or comes with one that is forged, is missing until the
     * learner sees it; in the end it is not. */
    const bool good = now && (j->unbalanced == 0 || n->plan->unbalanced);

    pl_judge_add(j, "ledger", good ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "fed %lld, trained %lld, dropped %lld, scored %lld, prompts %lld, rollouts %lld; "
                 "%llu of %llu looks unbalanced",
                 l[0], l[1], l[2], l[3], l[4], l[6], (unsigned long long)j->unbalanced,
                 (unsigned long long)j->looks);
    pl_judge_add(j, "dropped", l[2] == 0 || n->plan->unbalanced ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%lld groups, %lld in dead", l[2], l[9]);
}

/* Nothing of what was trained is left, and no reader that nobody knows. */
static void judge_queues(struct pl_judge *j, struct pl_nemesis *n)
{
    static const char *const kinds[] = {"prompts", "rollouts", "ready"};
    static const char *const patterns[] = {"groups:*", "scored:*", "batch:*"};
    struct pl_cluster *c = n->cluster;
    char left[300] = "";
    long long entries[3], keys = 0;
    size_t consumers = 0, known = 0;
    redisReply *reply;

    for (size_t i = 0; i < 3; i++) {
        reply = pl_cluster_ask(c, "XLEN plait:{t}:%s", kinds[i]);
        entries[i] = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
        freeReplyObject(reply);
        reply = pl_cluster_ask(c, "KEYS plait:{t}:%s", patterns[i]);
        keys += reply && reply->type == REDIS_REPLY_ARRAY ? (long long)reply->elements : 1000;
        if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && !left[0])
            snprintf(left, sizeof left, ", as %.200s", reply->element[0]->str);
        freeReplyObject(reply);
    }
    for (size_t i = 0; i < 2; i++) {
        reply = pl_cluster_ask(c, "XINFO CONSUMERS plait:{t}:%s %s", kinds[i],
                               i == 0 ? "actors" : "rewarders");
        consumers += reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
        freeReplyObject(reply);
    }
    for (size_t i = 0; i < c->count; i++)
        known += c->members[i].part == PL_PART_REWARDER || c->members[i].part == PL_PART_ACTOR;
    if (c->supervised)
        known = n->plan->actors + n->plan->rewarders;
    pl_judge_add(j, "empty",
                 !entries[0] && !entries[1] && !entries[2] && !keys ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%lld prompts, %lld rollouts, %lld ready, %lld keys of batches%s", entries[0],
                 entries[1], entries[2], keys, left);
    /* A rewarder has a consumer for each of its threads. */
    pl_judge_add(j, "readers", consumers <= 4 * known ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%zu consumers, %zu workers", consumers, known);
}

/* Each step once, in order. */
static void judge_steps(struct pl_judge *j, struct pl_nemesis *n, uint64_t steps)
{
    static const char mark[] = "{\"training/global_step\": ";
    char path[480], line[8192];
    uint64_t expected = 1, wrong = 0, lines = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/metrics.jsonl", n->cluster->run);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, mark, strlen(mark)) != 0 || !strstr(line, "pg_loss"))
            continue;
        lines++;
        wrong += strtoull(line + strlen(mark), NULL, 10) != expected++;
    }
    if (file)
        fclose(file);
    pl_judge_add(j, "steps", lines == steps && wrong == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%llu of %llu steps in metrics.jsonl, %llu out of order",
                 (unsigned long long)lines, (unsigned long long)steps, (unsigned long long)wrong);
}

/* What the stub's learner noted. A rollback of its folder has it take batches again, as it must. */
static void judge_stub(struct pl_judge *j, struct pl_nemesis *n)
{
    uint64_t taken, odd, twice;

    pl_stub_count(n->cluster->run, &taken, &odd, &twice);
    pl_judge_add(
        j, "exactly-once", odd + twice == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
        "%llu batches taken, %llu not what was fed, %llu taken again after their checkpoint",
        (unsigned long long)taken, (unsigned long long)odd, (unsigned long long)twice);
}

/* Each group of each step once, with all of its samples. */
static void judge_groups(struct pl_judge *j, struct pl_nemesis *n, uint64_t steps, size_t groups,
                         size_t samples)
{
    static char line[1 << 16];
    uint64_t lost = 0, twice = 0, torn = 0, total = 0, unwritten = 0;

    for (uint64_t step = 1; step <= steps; step++) {
        size_t seen[256] = {0};
        char path[480];
        FILE *file;

        snprintf(path, sizeof path, "%s/rollouts/%llu.jsonl", n->cluster->run,
                 (unsigned long long)step);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file)) {
            const char *at = strstr(line, "\"group\":\""), *colon = at ? strchr(at + 9, ':') : NULL;
            const size_t index = colon ? strtoul(colon + 1, NULL, 10) : 256;

            if (!strchr(line, '\n') || index >= 256)
                torn++;
            else
                seen[index]++;
        }
        if (file)
            fclose(file);
        if (!file &&
            n->plan->io) { /* for people: a disk that is full costs the file, not the run */
            unwritten++;
            continue;
        }
        for (size_t i = 0; i < groups; i++) {
            lost += seen[i] < samples;
            twice += seen[i] > samples;
            total += seen[i] == samples;
        }
    }
    pl_judge_add(
        j, "exactly-once", lost + twice + torn == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
        "%llu groups trained; lost %llu, twice %llu, lines that cannot be read %llu, files of "
        "rollouts not written %llu",
        (unsigned long long)total, (unsigned long long)lost, (unsigned long long)twice,
        (unsigned long long)torn, (unsigned long long)unwritten);
}

static void judge_versions(struct pl_judge *j, struct pl_nemesis *n)
{
    pl_judge_add(j, "versions",
                 j->versions_two == 0 && (j->versions_back == 0 || n->plan->unbalanced)
                     ? PL_FOUND_GOOD
                     : PL_FOUND_BAD,
                 "%llu seen, %llu with two checksums, %llu announced behind a newer one",
                 (unsigned long long)j->versions, (unsigned long long)j->versions_two,
                 (unsigned long long)j->versions_back);
}

/* How often words stand in the logs of the run. */
static uint64_t in_logs(const struct pl_cluster *c, const char *words)
{
    static char line[1 << 14];
    char folder[440], path[800];
    uint64_t count = 0;
    struct dirent *e;
    DIR *dir;

    snprintf(folder, sizeof folder, "%s/logs", c->run);
    dir = opendir(folder);
    while (dir && (e = readdir(dir))) {
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        file = e->d_name[0] != '.' ? fopen(path, "re") : NULL;
        while (file && fgets(line, sizeof line, file))
            count += strstr(line, words) != NULL;
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
    return count;
}

/* No honest actor is blamed for anything, no assertion, no end that nobody asked for. */
static void judge_logs(struct pl_judge *j, struct pl_nemesis *n)
{
    const struct pl_cluster *c = n->cluster;
    const uint64_t blamed =
        in_logs(c, "quarantine event=begin") + in_logs(c, "sampled with weights that are");
    const uint64_t broken = in_logs(c, "internal error") + in_logs(c, "Sanitizer");
    const uint64_t died = c->supervised ? in_logs(c, "event=died") : 0;
    uint64_t ended = died;
    char last[420] = "";

    for (size_t i = 0; i < c->count; i++) {
        const struct pl_member *m = &c->members[i];

        ended += m->ended;
        if (m->ended && !last[0])
            snprintf(last, sizeof last, "; %s: %.370s", m->name, m->last);
    }
    pl_judge_add(j, "no-blame", blamed == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%llu times an actor was blamed", (unsigned long long)blamed);
    pl_judge_add(j, "no-crash", broken == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD, "%llu internal errors",
                 (unsigned long long)broken);
    pl_judge_add(j, "no-ends", ended == 0 ? PL_FOUND_GOOD : PL_FOUND_BAD,
                 "%llu programs ended by themselves%s", (unsigned long long)ended, last);
}

/* A second `plait up` has nothing of the run. */
static void judge_seconds(struct pl_judge *j, const struct pl_nemesis *n)
{
    pl_judge_add(j, "second-up",
                 n->second_stood > 0      ? PL_FOUND_BAD
                 : n->second_refused == 0 ? PL_FOUND_SKIPPED
                                          : PL_FOUND_GOOD,
                 "%llu were refused, %llu were not", (unsigned long long)n->second_refused,
                 (unsigned long long)n->second_stood);
}

static int by_size(const void *a, const void *b)
{
    const long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static long middle(const long *list, size_t count)
{
    static long copy[PL_USAGE_MAX];

    memcpy(copy, list, count * sizeof *list);
    qsort(copy, count, sizeof *copy, by_size);
    return copy[count / 2];
}

/*
 * Of the longest lives: the median of memory in the second third and in the last third of what was
 * looked at must be the same but for an eighth and 4 MiB (Redis holds the batches between
 * checkpoints; allocators settle); descriptors may be a few more.
 */
void pl_judge_growth(struct pl_judge *j)
{
    char text[400] = "";
    bool good = true;
    size_t looked = 0;

    for (size_t i = 0; i < PL_MEMBERS_MAX; i++) {
        const struct pl_usage *u = &j->usage[i];
        const size_t len = strlen(text), third = u->count / 3;
        long before, after;

        if (u->pid == 0 || third < 2)
            continue;
        before = middle(u->rss + third, third);
        after = middle(u->rss + 2 * third, third);
        looked++;
        if (u->fds_last > u->fds_first + 8 || after > before + before / 8 + 4096)
            good = false;
        snprintf(text + len, sizeof text - len, "%s%s %ld to %ld kB, %ld to %ld fds in %zu s",
                 len ? "; " : "", u->name, before, after, u->fds_first, u->fds_last, u->count);
    }
    pl_judge_add(j, "no-growth",
                 looked == 0 ? PL_FOUND_SKIPPED
                 : good      ? PL_FOUND_GOOD
                             : PL_FOUND_BAD,
                 "%s", looked ? text : "no process lived long enough");
}

void pl_judge_all(struct pl_judge *j, struct pl_nemesis *n, uint64_t steps, size_t groups,
                  size_t samples, const char *twin)
{
    judge_weights(j, n, twin);
    judge_steps(j, n, steps);
    if (n->plan->stub)
        judge_stub(j, n);
    else
        judge_groups(j, n, steps, groups, samples);
    judge_ledger(j, n);
    judge_queues(j, n);
    judge_versions(j, n);
    judge_logs(j, n);
    if (n->plan->supervised)
        judge_seconds(j, n);
    pl_judge_growth(j);
    for (size_t i = 0; i < j->count; i++)
        if (j->findings[i].found == PL_FOUND_BAD && n->plan->known &&
            strstr(n->plan->known, j->findings[i].name))
            j->findings[i].found = PL_FOUND_KNOWN;
}

void pl_judge_status(struct pl_cluster *c, char *ret, size_t size)
{
    char plait[440], log[480];
    char *const words[] = {plait, "status", c->run, "--json", NULL};
    json_t *root, *value;
    const char *names[] = {"state", "why", "bottleneck"};
    size_t len = 0;

    snprintf(plait, sizeof plait, "%s/deploy/plait", c->build);
    snprintf(log, sizeof log, "%s/status.json", c->run);
    unlink(log);
    ret[0] = '\0';
    if (pl_chaos_run(words, log, NULL) != 0) {
        snprintf(ret, size, "plait status failed");
        return;
    }
    root = json_load_file(log, 0, NULL);
    for (size_t i = 0; i < 3; i++) {
        value = json_object_get(root, names[i]);
        if (json_is_string(value) && json_string_value(value)[0] && len < size) {
            snprintf(ret + len, size - len, "%s%s: %s", len ? "; " : "", names[i],
                     json_string_value(value));
            len = strlen(ret);
        }
    }
    json_decref(root);
}
