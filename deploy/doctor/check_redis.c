#include "deploy/doctor/check_redis.h"

#include "common/base/buf.h"
#include "common/link/library.h"
#include "common/link/redis.h"
#include "common/link/redis_url.h"
#include "common/link/survey.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 1, ANSWER_MS = 5000, PINGS = 5 };

/* Seconds by which a clock may be off before lines of logs stand in a wrong order; and before
 * certificates and logs make no sense. */
static const double CLOCK_WARN_S = 0.5, CLOCK_FAIL_S = 60.0;
static const double PING_WARN_S = 0.02;

struct asker {
    struct pl_checkup *checkup;
    const struct pl_run_conf *conf;
    struct pl_redis *redis;
    struct pl_redis_url url;
    char *info; /* all of INFO; NULL: it was refused */
    char user[64];
    uint64_t wanted_bytes;
};

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define ADD(a, name, verdict, todo, ...)                                                           \
    pl_checkup_add((a)->checkup, name, PL_CHECK_##verdict, todo, __VA_ARGS__)

/* Words that end with NULL. */
static int ask(struct asker *a, const char *const *words, redisReply **ret_reply,
               struct pl_error *err)
{
    struct pl_redis_args args;

    pl_redis_begin(&args, words[0]);
    for (size_t i = 1; words[i]; i++)
        pl_redis_word(&args, words[i]);
    return pl_redis_call(a->redis, &args, ret_reply, err);
}

/* The value of "name:value" in INFO, up to the end of its line, in `text`; "" it has none. */
static const char *info(const struct asker *a, const char *name, char text[64])
{
    const size_t len = strlen(name);

    text[0] = '\0';
    for (const char *at = a->info; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, name, len) == 0 && at[len] == ':') {
            snprintf(text, 64, "%.*s", (int)strcspn(at + len + 1, "\r\n"), at + len + 1);
            break;
        }
    return text;
}

static double info_number(const struct asker *a, const char *name)
{
    char text[64];

    return info(a, name, text)[0] ? strtod(text, NULL) : NAN;
}

/* ---- who comes, and how ---- */

static bool is_local(const struct asker *a)
{
    return a->url.path || strcmp(a->url.host, "localhost") == 0 ||
           strncmp(a->url.host, "127.", 4) == 0 || strcmp(a->url.host, "::1") == 0;
}

static void check_way(struct asker *a)
{
    if (a->url.tls)
        ADD(a, "redis.tls", OK, NULL, "TLS; the certificate is vouched for and is for '%s'",
            a->url.host);
    else if (is_local(a))
        ADD(a, "redis.tls", OK, NULL, "not needed: %s does not leave this machine", a->url.shown);
    else
        ADD(a, "redis.tls", WARN,
            "make certificates (plait redis certs), give Redis a tls-port, write rediss:// in "
            "link.redis",
            "%s goes over the network in the clear: whoever is on the way can read and change it",
            a->url.shown);
}

static void check_user(struct asker *a)
{
    redisReply *reply = NULL;
    struct pl_error err = {0};

    snprintf(a->user, sizeof a->user, "?");
    if (ask(a, (const char *const[]){"ACL", "WHOAMI", NULL}, &reply, &err) < 0) {
        ADD(a, "redis.users", UNKNOWN, NULL, "%s", err.text);
        return;
    }
    if (reply->str)
        snprintf(a->user, sizeof a->user, "%s", reply->str);
    freeReplyObject(reply);
    if (strcmp(a->user, "default") != 0)
        ADD(a, "redis.users", OK, NULL, "this is the user '%s'", a->user);
    else if (a->url.path)
        ADD(a, "redis.users", OK, NULL, "none: the rights of the socket say who may come");
    else
        ADD(a, "redis.users", WARN,
            "make users (plait redis acl), name them by redis.user and redis.password_file",
            "none: whoever reaches %s may do everything", a->url.shown);
}

static void check_version(struct asker *a)
{
    struct pl_error err = {0};
    char text[64];
    const int rc = pl_library_check_redis(a->redis, &err);

    if (rc < 0)
        ADD(a, "redis.version", FAIL, "install Redis 7.0.5 or later", "%s", err.text);
    else
        ADD(a, "redis.version", OK, NULL, "%s",
            info(a, "redis_version", text)[0] ? text : "7.0.5 or later");
}

static void check_functions(struct asker *a)
{
    char held[PL_LIBRARY_HASH] = "", own[PL_LIBRARY_HASH] = "";
    struct pl_error err = {0};
    int rc = pl_library_hash(own, &err);

    if (rc == PL_OK)
        rc = pl_library_held(a->redis, "FCALL_RO", held, &err);
    if (rc < 0)
        ADD(a, "redis.functions", UNKNOWN, NULL, "%s", err.text);
    else if (strcmp(held, own) == 0)
        ADD(a, "redis.functions", OK, NULL, "those of this version, %.12s", own);
    else if (strcmp(a->user, "default") == 0)
        ADD(a, "redis.functions", OK, NULL, "%s: the next worker that connects loads its own",
            held[0] ? "those of another version" : "none yet");
    else
        ADD(a, "redis.functions", FAIL, "plait redis init CONFIG, as the user admin",
            "%s; this version has %.12s", held[0] ? "those of another version" : "there are none",
            own);
}

/* Whether it may take hand-overs at all. */
static void check_role(struct asker *a)
{
    char text[64];

    info(a, "role", text);
    if (strcmp(text, "slave") == 0)
        ADD(a, "redis.role", FAIL, "name the primary by link.redis, or a name that follows it",
            "a replica: it takes no hand-overs (READONLY)");
    else if (text[0])
        ADD(a, "redis.role", OK, NULL, "a primary");
    if (strcmp(info(a, "loading", text), "1") == 0)
        ADD(a, "redis.loading", WARN, "wait: it answers when it has read its file",
            "it is reading its data from the disk");
    if (strcmp(info(a, "min_slaves_good_slaves", text), "0") == 0)
        ADD(a, "redis.replicas", FAIL, "start its replicas, or CONFIG SET min-replicas-to-write 0",
            "none that follows, where it must have some: it refuses hand-overs (NOREPLICAS)");
    if (strcmp(info(a, "cluster_enabled", text), "1") == 0)
        ADD(a, "redis.cluster", FAIL, "name a Redis without cluster-enabled",
            "cluster mode: a run ends when its keys move to another node");
}

/* ---- what is kept ---- */

static void check_file(struct asker *a)
{
    char text[64];
    const double on = info_number(a, "aof_enabled");

    if (isnan(on))
        return;
    if (strcmp(info(a, "rdb_last_bgsave_status", text), "err") == 0)
        ADD(a, "redis.snapshot", FAIL, "make room on the disk of Redis",
            "the last one could not be written: Redis refuses hand-overs until one is (MISCONF)");
    if (on < 1)
        ADD(a, "redis.appendonly", WARN, "appendonly yes (deploy/redis/redis.conf)",
            "no: when Redis dies the queues are gone, and are fed and made again");
    else if (strcmp(info(a, "aof_last_write_status", text), "ok") != 0)
        ADD(a, "redis.appendonly", FAIL, "make room on the disk of Redis",
            "yes, but the last write failed: Redis refuses hand-overs");
    else
        ADD(a, "redis.appendonly", OK, NULL, "yes");
}

/* A setting of Redis'; false: it may not be asked for, which was said. */
static bool setting(struct asker *a, const char *name, char text[64])
{
    redisReply *reply = NULL;
    struct pl_error err = {0};
    char check[40];

    snprintf(check, sizeof check, "redis.%s", name);
    text[0] = '\0';
    if (ask(a, (const char *const[]){"CONFIG", "GET", name, NULL}, &reply, &err) < 0) {
        ADD(a, check, UNKNOWN, "ask as the user admin to have it looked at",
            "the user '%s' may not read Redis' settings (CONFIG)", a->user);
        return false;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str)
        snprintf(text, 64, "%s", reply->element[1]->str);
    freeReplyObject(reply);
    return true;
}

static void check_sync(struct asker *a)
{
    char text[64];

    if (!setting(a, "appendfsync", text))
        return;
    if (strcmp(text, "no") == 0)
        ADD(a, "redis.appendfsync", WARN, "appendfsync everysec",
            "no: a power cut loses some 30 s of hand-overs, which are made again");
    else if (strcmp(text, "always") == 0)
        ADD(a, "redis.appendfsync", WARN, "appendfsync everysec, unless you mean it",
            "always: each hand-over waits for the disk");
    else
        ADD(a, "redis.appendfsync", OK, NULL, "%s: a power cut loses about a second", text);
}

/* ---- memory ---- */

static void check_eviction(struct asker *a)
{
    char text[64];

    info(a, "maxmemory_policy", text);
    if (strcmp(text, "noeviction") == 0)
        ADD(a, "redis.eviction", OK, NULL, "noeviction");
    else if (text[0])
        pl_checkup_add(a->checkup, "redis.eviction",
                       info_number(a, "maxmemory") > 0 ? PL_CHECK_FAIL : PL_CHECK_WARN,
                       "maxmemory-policy noeviction",
                       "%s: at its limit Redis would throw away what is in the queues", text);
    if (info_number(a, "evicted_keys") > 0)
        ADD(a, "redis.evicted", FAIL, "maxmemory-policy noeviction, more maxmemory",
            "%.0f keys were thrown away since Redis was started", info_number(a, "evicted_keys"));
}

static void check_memory(struct asker *a)
{
    const double most = info_number(a, "maxmemory"), used = info_number(a, "used_memory");
    const double of_host = info_number(a, "total_system_memory");
    char m[PL_HUMAN_MAX], u[PL_HUMAN_MAX], w[PL_HUMAN_MAX];

    if (isnan(most) || isnan(used))
        return;
    pl_human_bytes(m, (uint64_t)most);
    pl_human_bytes(u, (uint64_t)used);
    if (most <= 0)
        ADD(a, "redis.maxmemory", WARN,
            "set maxmemory: at it new work waits, instead of the kernel ending Redis",
            "no limit; %s are used", u);
    else if (used > 0.9 * most)
        pl_checkup_add(
            a->checkup, "redis.maxmemory", used > 0.98 * most ? PL_CHECK_FAIL : PL_CHECK_WARN,
            "raise maxmemory (CONFIG SET maxmemory), or see what is not taken: plait status",
            "%s of %s are used: at the limit no new work is taken", u, m);
    else if (most < (double)a->wanted_bytes)
        ADD(a, "redis.maxmemory", WARN,
            "raise maxmemory, or lower link.held_mb, or trainer.save_freq: the learner will write "
            "checkpoints early, and wait where that is not enough",
            "%s, but the run wants %s of it", m, pl_human_bytes(w, a->wanted_bytes));
    else
        ADD(a, "redis.maxmemory", OK, NULL, "%s, of which %s are used", m, u);
    if (most > 0 && of_host > 0 && most > 0.6 * of_host)
        ADD(a, "redis.memory", WARN,
            "leave as much again as maxmemory: the fork that makes the append-only file shorter "
            "needs it",
            "maxmemory is %s, and its machine has %s", m, pl_human_bytes(w, (uint64_t)of_host));
}

static bool first_line(const char *path, char text[128])
{
    FILE *f = fopen(path, "re");
    const bool read = f && fgets(text, 128, f);

    if (f)
        fclose(f);
    return read;
}

/* Settings of the kernel that Redis goes by, where it is this one. */
static void check_kernel(struct asker *a)
{
    char text[128];

    if (!is_local(a))
        return;
    if (first_line("/proc/sys/vm/overcommit_memory", text)) {
        if (text[0] == '1')
            ADD(a, "kernel.overcommit", OK, NULL, "vm.overcommit_memory is 1");
        else
            ADD(a, "kernel.overcommit", WARN, "sysctl vm.overcommit_memory=1",
                "vm.overcommit_memory is %c: making the append-only file shorter fails when "
                "memory is half full",
                text[0]);
    }
    if (first_line("/sys/kernel/mm/transparent_hugepage/enabled", text) && strstr(text, "[always]"))
        ADD(a, "kernel.hugepages", WARN,
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            "always: Redis takes more memory and answers late after a fork");
}

/* ---- load, and clocks ---- */

static void check_clients(struct asker *a)
{
    const double now = info_number(a, "connected_clients"), most = info_number(a, "maxclients");
    const double rejected = info_number(a, "rejected_connections");

    if (isnan(now) || isnan(most))
        return;
    if (now > 0.8 * most)
        ADD(a, "redis.clients", WARN, "raise maxclients and Redis' limit of open files",
            "%.0f of %.0f connections are taken", now, most);
    else
        ADD(a, "redis.clients", OK, NULL, "%.0f of %.0f connections are taken", now, most);
    if (rejected > 0)
        ADD(a, "redis.rejected", WARN, "raise maxclients",
            "%.0f connections were refused since Redis was started", rejected);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void check_speed(struct asker *a)
{
    double took[PINGS];

    for (int i = 0; i < PINGS; i++) {
        const double from = seconds(CLOCK_MONOTONIC);
        struct pl_error err = {0};
        redisReply *reply = NULL;

        if (ask(a, (const char *const[]){"PING", NULL}, &reply, &err) < 0)
            return;
        freeReplyObject(reply);
        took[i] = seconds(CLOCK_MONOTONIC) - from;
    }
    qsort(took, PINGS, sizeof *took, by_size);
    if (took[PINGS / 2] > PING_WARN_S)
        ADD(a, "redis.speed", WARN, "see whether Redis' machine is busy, or far away",
            "an answer takes %.0f ms", 1e3 * took[PINGS / 2]);
    else
        ADD(a, "redis.speed", OK, NULL, "an answer takes %.2g ms", 1e3 * took[PINGS / 2]);
}

static void add_clock(struct asker *a, const char *name, const char *whose, double off_s,
                      double give_s)
{
    const double off = fabs(off_s);
    const char *todo = "set clocks by the network (systemd-timesyncd, chrony)";

    if (off > CLOCK_FAIL_S + give_s)
        ADD(a, name, FAIL, todo,
            "%s is %.0f s %s that of Redis: certificates may not count, logs tell another order",
            whose, off, off_s > 0 ? "before" : "behind");
    else if (off > CLOCK_WARN_S + give_s)
        ADD(a, name, WARN, todo,
            "%s is %.2f s %s that of Redis: lines of several logs stand in a wrong order", whose,
            off, off_s > 0 ? "before" : "behind");
    else
        ADD(a, name, OK, NULL, "%s and that of Redis are %.3f s apart", whose, off);
}

static void check_clock(struct asker *a)
{
    const double from = seconds(CLOCK_REALTIME);
    struct pl_error err = {0};
    redisReply *reply = NULL;
    double to;

    if (ask(a, (const char *const[]){"TIME", NULL}, &reply, &err) < 0) {
        ADD(a, "clock.here", UNKNOWN, NULL, "%s", err.text);
        return;
    }
    to = seconds(CLOCK_REALTIME);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str &&
        reply->element[1]->str)
        add_clock(a, "clock.here", "the clock of this machine",
                  (from + to) / 2 - strtod(reply->element[0]->str, NULL) -
                      1e-6 * strtod(reply->element[1]->str, NULL),
                  (to - from) / 2);
    freeReplyObject(reply);
}

/* Who wrote the time by its own clock: the learner beside its metrics, workers in their heartbeat.
 */
static void check_workers(struct asker *a)
{
    struct pl_surveyor *surveyor = NULL;
    struct pl_survey *v = calloc(1, sizeof *v);
    char *url = pl_run_conf_redis(a->conf);
    struct pl_error err = {0};
    int rc = PL_ENOMEM;

    if (v && url)
        rc = pl_surveyor_create(url, &a->conf->access, a->conf->name, &surveyor, &err);
    if (rc == PL_OK)
        rc = pl_surveyor_take(surveyor, v, &err);
    if (rc < 0)
        ADD(a, "clock.workers", UNKNOWN, NULL, "%s", err.text);
    if (rc == PL_OK && isfinite(v->learner_ahead_s))
        add_clock(a, "clock.learner", "the clock of the learner's machine", v->learner_ahead_s,
                  0.0);
    for (size_t i = 0; rc == PL_OK && i < v->worker_count; i++) {
        const struct pl_survey_worker *w = &v->workers[i];
        const double beat_s = v->now_s - (3.0 * (double)a->conf->lease_s - w->left_s);
        char name[96], whose[96];

        snprintf(name, sizeof name, "clock.%s", w->name);
        snprintf(whose, sizeof whose, "the clock of %s's machine", w->name);
        if (isfinite(w->clock_s))
            add_clock(a, name, whose, w->clock_s - beat_s, CLOCK_WARN_S); /* of a moment ago */
    }
    pl_surveyor_destroy(surveyor);
    free(url);
    if (v)
        pl_survey_release(v);
    free(v);
}

/* ---- all of it ---- */

static void read_info(struct asker *a)
{
    redisReply *reply = NULL;
    struct pl_error err = {0};

    if (ask(a, (const char *const[]){"INFO", NULL}, &reply, &err) < 0) {
        ADD(a, "redis.info", UNKNOWN, "ask as the user viewer: redis.user", "%s", err.text);
        return;
    }
    a->info = reply->str ? strdup(reply->str) : NULL;
    freeReplyObject(reply);
}

static int reach(struct asker *a, const char *url, struct pl_error *err)
{
    const struct pl_redis_opts opts = {.url = url,
                                       .access = a->conf->access,
                                       .role = "viewer",
                                       .client = "plait-doctor",
                                       .patience_ms = PATIENCE_MS,
                                       .answer_ms = ANSWER_MS};
    redisReply *reply = NULL;
    int rc = pl_redis_url_parse(url, &a->url, err);

    if (rc == PL_OK)
        rc = pl_redis_create(&opts, &a->redis, err);
    /* Not PING: one that loads, or cannot write its file, says an error to that and answers INFO.
     */
    if (rc == PL_OK)
        rc = ask(a, (const char *const[]){"CLIENT", "SETNAME", "plait-doctor", NULL}, &reply, err);
    if (rc == PL_OK)
        freeReplyObject(reply);
    return rc;
}

/* The one that plait up starts is not running. */
static void check_private(struct asker *a)
{
    static const char program[] = "/usr/bin/redis-server";

    if (access(program, X_OK) == 0)
        ADD(a, "redis", OK, NULL, "plait up starts a private one; it is not running now");
    else
        ADD(a, "redis", FAIL, "apt-get install redis-server, or set link.redis",
            "plait up starts a private one, but there is no %s", program);
}

void pl_check_redis(struct pl_checkup *checkup, const struct pl_run_conf *conf,
                    uint64_t wanted_bytes)
{
    struct asker a = {.checkup = checkup, .conf = conf, .wanted_bytes = wanted_bytes};
    char *url = pl_run_conf_redis(conf);
    struct pl_error err = {0};
    const int rc = url ? reach(&a, url, &err) : pl_fail(&err, PL_ENOMEM, "no memory");

    if (rc < 0 && !conf->redis[0])
        check_private(&a);
    else if (rc < 0) {
        ADD(&a, "redis", FAIL, "is Redis started, is link.redis its address? See what is said",
            "%s", err.text);
    } else {
        ADD(&a, "redis", OK, NULL, "%s answers", a.url.shown);
        read_info(&a);
        check_way(&a);
        check_user(&a);
        check_version(&a);
        check_role(&a);
        check_functions(&a);
        check_file(&a);
        check_sync(&a);
        check_eviction(&a);
        check_memory(&a);
        check_kernel(&a);
        check_clients(&a);
        check_speed(&a);
        check_clock(&a);
        check_workers(&a);
    }
    pl_redis_destroy(a.redis);
    pl_redis_url_release(&a.url);
    free(a.info);
    free(url);
}
