/*
 * As each user of Redis, somebody writes at random while a run is at work: every command that
 * changes something, on every key of the run, with nonsense and with what looks right (names of
 * groups, entries that are there, functions of the library). Most of it the rights refuse; what
 * they allow must end no program: the run goes on when it is over, to the bytes that it would have
 * had.
 *
 * Usage: torture_writers PLAIT [SEED [WRITES]]     WRITES: of each user
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/redis.h"
#include "tests/scratch.h"

#include "tests/chaos/torture/live.h"
#include "tests/chaos/torture/results.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/secret.h"
#include "deploy/redis/roles.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of each user: so many commands. */
enum { WRITES_SHORT = 15000, WRITES_LONG = 1000000 };
enum { BURST = 200, WORDS_MAX = 16, NAMES_MAX = 64, STEPS_SHORT = 6, STEPS_LONG = 40 };

static uint64_t first_seed = 1, writes_each;
static struct pl_test_redis redis;
static struct pl_error err;
static const char *const users[] = {"actor", "rewarder", "relay", "viewer"};
enum { USERS = sizeof users / sizeof users[0] };

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static int steps(void)
{
    return pl_torture_is_long() ? STEPS_LONG : STEPS_SHORT;
}

static void write_settings(void)
{
    char *text;

    /* What a writer takes is free when its lease ends: the short form has no minute for that. The
     * long one has the settings that users have. */
    pl_live_prepare_with(steps(), pl_torture_is_long() ? "" : ", save_freq: 3",
                         pl_torture_is_long() ? "" : "link.lease_s: 2\n");
    text = pl_strf("inherit: run.yaml\nlink.redis: %s\n"
                   "redis: {user: \"{role}\", password_file: \"acl/{role}.password\"}\n",
                   redis.url);
    assert_non_null(text);
    pl_scratch_text(pl_scratch("users.yaml"), text);
    free(text);
}

/* ---- writers ---- */

struct writer {
    const char *user;
    redisContext *c;
    uint64_t done, refused;
};

static redisContext *dial(const char *user)
{
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));
    char name[64], *password = NULL;
    redisReply *reply;

    assert_true(c && !c->err);
    snprintf(name, sizeof name, "acl/%s.password", user);
    must(pl_secret_read(pl_scratch(name), &password, &err));
    reply = redisCommand(c, "AUTH %s %s", user, password);
    assert_true(reply && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    pl_secret_free(password);
    return c;
}

/* What is there at the moment, for commands that look right. */
static char entries[NAMES_MAX][40], functions[NAMES_MAX][40];
static size_t entry_count, function_count;

static void look_around(redisContext *viewer, redisContext *admin)
{
    static const char *const streams[] = {"prompts", "rollouts", "ready", "dead"};
    redisReply *reply;

    entry_count = 0;
    for (size_t i = 0; i < 4; i++) {
        reply = redisCommand(viewer, "XRANGE plait:{t}:%s - + COUNT 16", streams[i]);
        for (size_t k = 0; reply && reply->type == REDIS_REPLY_ARRAY && k < reply->elements &&
                           entry_count < NAMES_MAX;
             k++)
            snprintf(entries[entry_count++], sizeof entries[0], "%s",
                     reply->element[k]->element[0]->str);
        freeReplyObject(reply);
    }
    if (function_count > 0)
        return;
    reply = redisCommand(admin, "FUNCTION LIST");
    for (size_t i = 0; reply && i < reply->elements; i++) {
        const redisReply *library = reply->element[i];

        for (size_t k = 0; k + 1 < library->elements; k++)
            for (size_t f = 0; strcmp(library->element[k]->str ? library->element[k]->str : "",
                                      "functions") == 0 &&
                               f < library->element[k + 1]->elements && function_count < NAMES_MAX;
                 f++)
                snprintf(functions[function_count++], sizeof functions[0], "%s",
                         library->element[k + 1]->element[f]->element[1]->str);
    }
    freeReplyObject(reply);
    assert_true(function_count > 5);
}

/* A word: nonsense, a number, or what stands in the queues. */
static const char *draw_word(uint64_t *seed, char *room)
{
    static const char *const words[] = {
        "",        "0",       "1",       "-1",      "nan",       "inf",     "1e308",  "prompt",
        "rollout", "scored",  "dead",    "parked",  "complete",  "ready",   "open",   "accuracy",
        "gate",    "state",   "samples", "right",   "expected",  "arrived", "fed",    "dropped",
        "pb",      "version", "actor",   "0:actor", "0:counts",  "0:asked", "after",  "previous",
        "group",   "batch",   "id",      "actors",  "rewarders", "next",    "retried"};
    const uint32_t kind = pl_torture_below(seed, 10);
    const uint32_t n = pl_torture_draw(seed);

    switch (kind) {
    case 0:
        snprintf(room, 64, "%u", n % 40);
        return room;
    case 1:
        snprintf(room, 64, "%u:%u", n % 12, n / 16 % 8);
        return room;
    case 2:
        snprintf(room, 64, "prompt %s", entry_count ? entries[n % entry_count] : "1-1");
        return room;
    case 3:
        return entry_count ? entries[n % entry_count] : "1-1";
    case 4:
        snprintf(room, 64, "%08x%08x", n, n * 2654435761u);
        return room;
    case 5:
        snprintf(room, 64, "actor-%u", n % 3);
        return room;
    default:
        return words[n % (sizeof words / sizeof words[0])];
    }
}

static const char *draw_key(uint64_t *seed, char *room)
{
    static const char *const keys[] = {"prompts", "rollouts", "ready",   "dead",       "events",
                                       "ledger",  "retired",  "strikes", "quarantine", "run",
                                       "policy",  "metrics",  "parked",  "learner"};
    static const char *const kinds[] = {"batch", "groups", "scored", "worker"};
    const uint32_t n = pl_torture_draw(seed);

    if (n % 2)
        snprintf(room, 64, "plait:{t}:%s", keys[n / 2 % (sizeof keys / sizeof keys[0])]);
    else if (n / 2 % 4 == 3)
        snprintf(room, 64, "plait:{t}:worker:%s",
                 n / 8 % 2    ? "actor-1"
                 : n / 16 % 2 ? "rewarder-1"
                              : "learner");
    else
        snprintf(room, 64, "plait:{t}:%s:%u", kinds[n / 2 % 4], n / 8 % (uint32_t)(steps() + 2));
    return room;
}

/* What the rights allow a user, so that half of the commands are of this kind. (A rewarder may put
 * actors into quarantine, which only a person ends: that is left out.) */
static const struct {
    const char *user, *command, *key;
} allowed[] = {
    {"actor", "XADD", "prompts"},       {"actor", "XADD", "rollouts"},
    {"actor", "XADD", "dead"},          {"actor", "XADD", "events"},
    {"actor", "XDEL", "prompts"},       {"actor", "XACK", "prompts"},
    {"actor", "XCLAIM", "prompts"},     {"actor", "XREADGROUP", "prompts"},
    {"actor", "HSET", "groups:"},       {"actor", "HSET", "scored:"},
    {"actor", "HINCRBY", "ledger"},     {"actor", "HDEL", "begun:"},
    {"actor", "HSET", "begun:"},        {"actor", "HSET", "parked"},
    {"rewarder", "HSET", "begun:"},     {"rewarder", "HSET", "parked"},
    {"actor", "HSET", "worker:"},       {"actor", "HDEL", "worker:"},
    {"rewarder", "XADD", "rollouts"},   {"rewarder", "XADD", "dead"},
    {"rewarder", "XADD", "ready"},      {"rewarder", "XDEL", "rollouts"},
    {"rewarder", "XDEL", "ready"},      {"rewarder", "XACK", "rollouts"},
    {"rewarder", "XCLAIM", "rollouts"}, {"rewarder", "XREADGROUP", "rollouts"},
    {"rewarder", "HSET", "groups:"},    {"rewarder", "HDEL", "groups:"},
    {"rewarder", "HSET", "scored:"},    {"rewarder", "HDEL", "scored:"},
    {"rewarder", "HSET", "batch:"},     {"rewarder", "HDEL", "batch:"},
    {"rewarder", "HINCRBY", "batch:"},  {"rewarder", "HINCRBY", "ledger"},
    {"rewarder", "HDEL", "strikes"},    {"rewarder", "HSET", "worker:"},
    {"relay", "HSET", "worker:"},       {"relay", "HDEL", "worker:"},
};

static const char *draw_name(const char *user, uint64_t *seed, char key[64])
{
    static const char *const names[] = {
        "XADD",   "HSET",   "HDEL",   "HINCRBY", "XDEL",     "XACK",  "XCLAIM", "XAUTOCLAIM",
        "SET",    "DEL",    "SADD",   "SREM",    "PEXPIRE",  "XTRIM", "FCALL",  "FCALL",
        "XGROUP", "RENAME", "EXPIRE", "LPUSH",   "FLUSHALL", "EVAL"};
    const size_t i = pl_torture_below(seed, 2 * sizeof allowed / sizeof allowed[0]);
    char room[64];

    if (i >= sizeof allowed / sizeof allowed[0] || strcmp(allowed[i].user, user) != 0) {
        snprintf(key, 64, "%s", draw_key(seed, room));
        return names[pl_torture_below(seed, sizeof names / sizeof names[0])];
    }
    if (strcmp(allowed[i].key, "worker:") == 0)
        snprintf(key, 64, "plait:{t}:worker:%s", pl_torture_below(seed, 2) ? "actor-1" : "x");
    else if (strchr(allowed[i].key, ':'))
        snprintf(key, 64, "plait:{t}:%s%u", allowed[i].key,
                 pl_torture_below(seed, (uint32_t)steps() + 2));
    else
        snprintf(key, 64, "plait:{t}:%s", allowed[i].key);
    return allowed[i].command;
}

/* One command into `words`; returns how many. */
static int draw_command(const char *user, uint64_t *seed, const char *words[WORDS_MAX],
                        char rooms[WORDS_MAX][64])
{
    char *key = rooms[WORDS_MAX - 1];
    const char *name = draw_name(user, seed, key);
    int n = 0, more;

    words[n++] = name;
    if (strcmp(name, "FCALL") == 0) {
        words[n++] = functions[pl_torture_below(seed, (uint32_t)function_count)];
        words[n++] = "1";
        words[n++] = "plait:{t}:";
        more = (int)pl_torture_below(seed, 10);
    } else if (strcmp(name, "XREADGROUP") == 0) {
        words[n++] = "GROUP";
        words[n++] = pl_torture_below(seed, 2) ? "actors" : "rewarders";
        words[n] = draw_word(seed, rooms[n]);
        n++;
        words[n++] = "COUNT";
        words[n++] = "1";
        words[n++] = "STREAMS";
        words[n++] = key;
        words[n++] = ">";
        return n;
    } else if (strcmp(name, "XGROUP") == 0) {
        words[n++] = pl_torture_below(seed, 2) ? "CREATE" : "DESTROY";
        words[n++] = key;
        words[n++] = pl_torture_below(seed, 2) ? "actors" : "rewarders";
        words[n++] = "$";
        return n;
    } else if (strcmp(name, "FLUSHALL") == 0) {
        return n;
    } else if (strcmp(name, "EVAL") == 0) {
        words[n++] = "return 1";
        words[n++] = "0";
        return n;
    } else {
        words[n++] = key;
        if (strcmp(name, "XADD") == 0)
            words[n++] = "*";
        if (strcmp(name, "XACK") == 0 || strcmp(name, "XCLAIM") == 0 ||
            strcmp(name, "XAUTOCLAIM") == 0)
            words[n++] = pl_torture_below(seed, 2) ? "actors" : "rewarders";
        more = 1 + (int)pl_torture_below(seed, 4);
        if (strcmp(name, "XADD") == 0 || strcmp(name, "HSET") == 0)
            more += more % 2;
    }
    for (; more > 0 && n < WORDS_MAX - 1; more--) {
        words[n] = draw_word(seed, rooms[n]);
        n++;
    }
    return n;
}

static void write_some(struct writer *w, uint64_t *seed, size_t count)
{
    while (count > 0) {
        const size_t now = count < BURST ? count : BURST;

        for (size_t i = 0; i < now; i++) {
            const char *words[WORDS_MAX];
            char rooms[WORDS_MAX][64];
            const int n = draw_command(w->user, seed, words, rooms);

            assert_int_equal(redisAppendCommandArgv(w->c, n, words, NULL), REDIS_OK);
        }
        for (size_t i = 0; i < now; i++) {
            redisReply *reply = NULL;

            if (redisGetReply(w->c, (void **)&reply) != REDIS_OK)
                fail_msg("Redis went away: %s", w->c->errstr);
            w->refused += reply->type == REDIS_REPLY_ERROR;
            w->done++;
            freeReplyObject(reply);
        }
        count -= now;
    }
}

/* ---- the runs ---- */

static int count_steps(const char *run)
{
    char *text = pl_live_log(pl_scratch_in(run, "metrics.jsonl") + strlen(pl_scratch("")) + 1);
    int n = 0;

    for (const char *at = text; (at = strstr(at, "pg_loss")); at++)
        n++;
    free(text);
    return n;
}

/* Steps whose metrics say that groups were dropped: what says so (dropped:<b>) a rewarder alone may
 * write, and none here does. */
static uint64_t count_dropped(const char *metrics)
{
    static const char word[] = "\"training/dropped_groups\": ";
    char *text = pl_live_log(metrics);
    uint64_t n = 0;

    for (const char *at = text; (at = strstr(at, word)); at++)
        n += at[strlen(word)] != '0';
    free(text);
    return n;
}

struct round {
    struct writer *writers; /* (USERS) */
    redisContext *viewer, *admin;
    uint64_t *seed;
    const char *twin;
    size_t twin_len;
    unsigned number;
    uint64_t dropped, wrong;
};

/* All of them, a part in each step, until each has written enough or the run is over. */
static bool write_while(struct round *r, const char *run, pid_t *child, int *ret_status)
{
    double moved = pl_live_seconds();
    bool ended = false;
    int seen = -1;

    while (r->writers[USERS - 1].done < writes_each && !ended) {
        const int now = count_steps(pl_scratch(run));

        ended = pl_live_over(child, ret_status);
        if (now == seen && pl_live_seconds() - moved < 1.0) {
            pl_live_pause(5);
            continue;
        }
        seen = now;
        look_around(r->viewer, r->admin);
        for (size_t i = 0; i < USERS; i++)
            write_some(&r->writers[i], r->seed, writes_each / (size_t)steps());
        moved = pl_live_seconds();
    }
    return ended;
}

/* A run from its start to its end, with everybody writing. */
static void play_round(struct round *r)
{
    const double patience = pl_torture_is_long() ? 300.0 : 60.0;
    char run[16], log[32], metrics[64], model_path[64], words[64];
    const unsigned long long seed = first_seed;
    char *model = NULL;
    size_t model_len = 0;
    uint64_t died, dropped;
    int status = 0;
    double over;
    bool ended;
    pid_t child;

    snprintf(run, sizeof run, "run%u", r->number);
    snprintf(log, sizeof log, "%s.log", run);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
    snprintf(model_path, sizeof model_path, "%s/model/model.safetensors", run);
    snprintf(words, sizeof words, "up users.yaml run.dir=%s", run);
    child = pl_live_start(log, words);
    ended = write_while(r, run, &child, &status);
    for (over = pl_live_seconds(); !ended && pl_live_seconds() - over < patience; pl_live_pause(20))
        ended = pl_live_over(&child, &status);
    died = pl_live_count(log, "event=died");
    if (!ended)
        r->wrong +=
            pl_torture_wrong("seed %llu, run %u: %d of %d steps, and no end %.0f s after "
                             "the last write",
                             seed, r->number, count_steps(pl_scratch(run)), steps(), patience);
    else if (status != 0)
        r->wrong += pl_torture_wrong("seed %llu, run %u: plait up ended with status %d", seed,
                                     r->number, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
    if (died > 0)
        r->wrong += pl_torture_wrong("seed %llu, run %u: programs ended %llu times", seed,
                                     r->number, (unsigned long long)died);
    if (ended && status == 0) {
        model = pl_scratch_read(pl_scratch(model_path), &model_len);
        dropped = count_dropped(metrics);
        r->dropped += dropped;
        if (dropped > 0)
            r->wrong += pl_torture_wrong("seed %llu, run %u: %llu steps were trained without all "
                                         "their groups",
                                         seed, r->number, (unsigned long long)dropped);
        if (model_len != r->twin_len || memcmp(model, r->twin, r->twin_len) != 0)
            r->wrong += pl_torture_wrong("seed %llu, run %u: other weights than undisturbed", seed,
                                         r->number);
    }
    pl_live_end(&child);
    if (r->wrong > 0)
        pl_live_tell(log, run);
    free(model);
}

static void writers_end_no_program(void **state)
{
    uint64_t seed = first_seed;
    struct writer writers[USERS];
    struct round r = {.writers = writers, .seed = &seed};
    char *twin;

    (void)state;
    pl_live_run("twin.log", "up run.yaml run.dir=twin");
    twin = pl_scratch_read(pl_scratch("twin/model/model.safetensors"), &r.twin_len);
    r.twin = twin;
    pl_live_run("log", "redis init users.yaml run.dir=run redis.user=admin "
                       "redis.password_file=acl/admin.password");
    r.viewer = dial("viewer");
    r.admin = dial("admin");
    for (size_t i = 0; i < USERS; i++)
        writers[i] = (struct writer){users[i], dial(users[i]), 0, 0};
    /* A run that is over before they have written enough is followed by another. */
    for (; writers[USERS - 1].done < writes_each && r.wrong == 0; r.number++) {
        if (r.number > 0)
            freeReplyObject(redisCommand(r.admin, "FLUSHALL"));
        play_round(&r);
    }
    for (size_t i = 0; i < USERS; i++) {
        char name[64];

        snprintf(name, sizeof name, "writers-%s", users[i]);
        pl_torture_result(
            name, first_seed, writers[i].done, r.wrong,
            ", \"accepted\": %llu, \"refused\": %llu, \"runs\": %u, \"dropped\": %llu",
            (unsigned long long)(writers[i].done - writers[i].refused),
            (unsigned long long)writers[i].refused, r.number, (unsigned long long)r.dropped);
        redisFree(writers[i].c);
    }
    redisFree(r.viewer);
    redisFree(r.admin);
    free(twin);
    assert_int_equal(r.wrong, 0);
}

static int set_up(void **state)
{
    static const char *more[] = {"--aclfile", NULL, NULL};
    static const bool none[PL_REDIS_ROLES] = {false};

    if (!pl_test_redis_there()) {
        printf("skipped: redis-server is not installed\n");
        exit(77);
    }
    if (pl_scratch_setup(state) != 0)
        return -1;
    must(pl_redis_users_write(pl_scratch("acl"), "", none, &err));
    more[1] = pl_scratch("acl/users.acl");
    redis.more = more;
    pl_test_redis_start(&redis);
    write_settings();
    return 0;
}

static int tear_down(void **state)
{
    pl_test_redis_end(&redis);
    return pl_scratch_teardown(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writers_end_no_program)};

    if (argc < 2)
        return 2;
    pl_live_plait(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    writes_each = argc > 3               ? strtoull(argv[3], NULL, 10)
                  : pl_torture_is_long() ? WRITES_LONG
                                         : WRITES_SHORT;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
