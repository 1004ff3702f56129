/*
 * The users that plait redis acl writes, on a real Redis: each role does all that its program does,
 * as itself, and is refused everything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/secret.h"
#include "common/link/dead.h"
#include "common/link/guard.h"
#include "common/link/library.h"
#include "common/link/survey.h"
#include "deploy/redis/roles.h"
#include "tests/redis.h"
#include "tests/scratch.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pl_test_redis redis;
static struct pl_redis_access whom;
static char run_name[32] = "demo";
static struct pl_error err;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

/* ---- a Redis with users ---- */

static const bool none[PL_REDIS_ROLES] = {false};

static int start(void **state)
{
    static const char *more[] = {"--aclfile", NULL, "--enable-debug-command", "yes", NULL};

    assert_int_equal(pl_scratch_setup(state), 0);
    must(pl_redis_users_write(pl_scratch("acl"), "", none, &err));
    whom.user = "{role}";
    whom.password_file = strdup(pl_scratch("acl/{role}.password"));
    more[1] = strdup(pl_scratch("acl/users.acl"));
    redis.more = more;
    pl_test_redis_start(&redis);
    return 0;
}

static int stop(void **state)
{
    pl_test_redis_end(&redis);
    free((char *)whom.password_file);
    free((char *)redis.more[1]);
    return pl_scratch_teardown(state);
}

/* A connection as this user, by its password as it lies there. */
static redisContext *as(const char *user)
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

/* What it answers, when that is an error; else "". Words are split at blanks. */
static const char *answer(redisContext *c, const char *words)
{
    static char text[512];
    redisReply *reply = redisCommand(c, words); /* NOLINT: no user text */

    if (!reply)
        fail_msg("'%s': the connection was lost", words);
    snprintf(text, sizeof text, "%s", reply->type == REDIS_REPLY_ERROR ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

/* Of the command, or of one that a function of it calls. */
static bool refused(const char *said)
{
    return strncmp(said, "NOPERM", 6) == 0 || strstr(said, "The user executing the script can't");
}

static void load_functions(const char *role)
{
    struct pl_redis *r = NULL;
    struct pl_redis_args args;
    bool loaded = false;

    must(pl_redis_create(
        &(struct pl_redis_opts){
            .url = redis.url, .access = whom, .role = role, .client = "test", .patience_ms = 5000},
        &r, &err));
    pl_redis_begin(&args, "PING");
    must(pl_redis_call(r, &args, NULL, &err));
    must(pl_library_ensure(r, &loaded, &err));
    pl_redis_destroy(r);
}

static int open_as(const char *role, const char *name, struct pl_queues **ret_stream)
{
    const struct pl_queues_opts opts = {.url = redis.url,
                                        .access = whom,
                                        .run = run_name,
                                        .worker = name,
                                        .role = role,
                                        .lease_ms = 60000,
                                        .deliveries_max = 5,
                                        .patience_ms = 20000};

    return pl_queues_open(&opts, ret_stream, &err);
}

static struct pl_queues *worker(const char *role, const char *name)
{
    struct pl_queues *s = NULL;

    must(open_as(role, name, &s));
    return s;
}

/* ---- who loads the functions ---- */

static void only_admin_loads(void **state)
{
    struct pl_queues *s = NULL;

    (void)state;
    assert_int_equal(open_as("actor", "actor-1", &s), PL_EUNSUPPORTED);
    assert_non_null(strstr(err.text,
                           "does not hold plait's functions, and the user 'actor' may not "
                           "load them: run `plait redis init CONFIG`"));
    load_functions("admin");
    pl_queues_close(worker("actor", "actor-1"));
}

/* ---- what each program does ---- */

static void feed(struct pl_queues *learner, const char *batch, uint32_t index)
{
    bool fresh = false;

    must(pl_queues_feed(learner,
                        &(struct pl_feed){.batch = batch,
                                          .expected = 2,
                                          .index = index,
                                          .after = "",
                                          .previous = 0.5,
                                          .pb = "prompt",
                                          .pb_len = 6},
                        &fresh, &err));
    assert_true(fresh);
}

static struct pl_lease lease(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = {0};

    must(pl_queues_lease(s, queue, 3000, &l, &err));
    return l;
}

static void begin_work(struct pl_queues *s, enum pl_queue queue, const struct pl_lease *l)
{
    enum pl_outcome outcome = PL_OUTCOME_LOST;

    must(pl_queues_begin_work(s, queue, l, &outcome, &err));
    assert_int_equal(outcome, PL_OUTCOME_DONE);
}

static void finish(struct pl_queues *actor)
{
    struct pl_lease l = lease(actor, PL_QUEUE_PROMPTS);
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;

    begin_work(actor, PL_QUEUE_PROMPTS, &l);
    must(pl_queues_finish(actor, &l, NULL, 0, "rollout", 7, &outcome, &err));
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static void commit(struct pl_queues *rewarder)
{
    struct pl_lease l = lease(rewarder, PL_QUEUE_ROLLOUTS);
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;
    struct pl_asked asked = {0};

    begin_work(rewarder, PL_QUEUE_ROLLOUTS, &l);
    must(pl_guard_asked(rewarder, &l, &asked, &err));
    assert_string_equal(asked.actor, "actor-1");
    pl_asked_release(&asked);
    must(pl_queues_commit(rewarder, &l, 4, 2, 3, "for people", "scored", 6, &outcome, &err));
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static void keep(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = lease(s, queue);
    const struct pl_lease *const list[] = {&l};
    size_t lost = 0;

    must(pl_queues_renew(s, queue, list, 1, NULL, &lost, &err));
    assert_int_equal(lost, 0);
    must(pl_queues_return(s, queue, &l, &err));
    pl_lease_release(&l);
    must(pl_queues_heartbeat(s, &(struct pl_field){"groups", "1"}, 1, &err));
}

static void bury(struct pl_queues *s, enum pl_queue queue)
{
    struct pl_lease l = lease(s, queue);

    must(pl_queues_bury(s, queue, &l, "a test", &err));
    pl_lease_release(&l);
}

static struct pl_ready take(struct pl_queues *learner, const char *batch)
{
    struct pl_ready ready = {0};

    must(pl_queues_take(learner, batch, 3000, &ready, &err));
    return ready;
}

static int count_one(void *at, const struct pl_dead_entry *entry)
{
    size_t *n = at;

    assert_non_null(entry->pb);
    ++*n;
    return 0;
}

static void foreign(const char *queue)
{
    redisContext *c = as("admin");
    redisReply *reply = redisCommand(c, "XADD plait:{%s}:%s * foo bar", run_name, queue);

    assert_true(reply && reply->type == REDIS_REPLY_STRING);
    freeReplyObject(reply);
    redisFree(c);
}

/* Five of them end with one group, and the sixth parks it; the learner puts it back. */
static void wear_out(struct pl_queues *learner, const char *role, const char *name,
                     enum pl_queue queue)
{
    struct pl_parked parked = {0};
    size_t count = 0;
    bool done = false;
    struct pl_lease l;
    struct pl_queues *s;

    for (int i = 0; i < 5; i++) {
        s = worker(role, name);
        l = lease(s, queue);
        begin_work(s, queue, &l);
        pl_lease_release(&l);
        pl_queues_close(s);
    }
    foreign(queue == PL_QUEUE_PROMPTS ? "prompts" : "rollouts");
    s = worker(role, name);
    l = lease(s, queue); /* the other group */
    must(pl_queues_return(s, queue, &l, &err));
    pl_lease_release(&l);
    assert_int_equal(pl_queues_lease(s, queue, 0, &l, &err), PL_OK); /* behind the foreign entry */
    must(pl_queues_return(s, queue, &l, &err));
    pl_lease_release(&l);
    pl_queues_close(s);
    must(pl_queues_parked(learner, &parked, 1, &count, &err));
    assert_int_equal(count, 1);
    must(pl_queues_unpark(learner, &parked, &done, &err));
    assert_true(done);
}

static void look_after(struct pl_queues *learner)
{
    struct pl_reconciled reconciled;
    struct pl_rewound rewound;
    struct pl_queues *s = worker("actor", "actor-7");
    struct pl_lease l = lease(s, PL_QUEUE_PROMPTS);
    char holder[32];
    size_t count = 0;
    bool ours = false;

    begin_work(s, PL_QUEUE_PROMPTS, &l);
    must(pl_queues_release(learner, "actor-7", &count, &err));
    assert_int_equal(count, 1);
    must(pl_queues_release_silent(learner, 60000, &count, &err));
    must(pl_queues_reconcile(learner, &reconciled, &err));
    assert_int_equal(reconciled.lost, 0);
    must(pl_queues_rewind(learner, 1000, true, &rewound, &err));
    must(pl_queues_claim_run(learner, "l h 1 n", 1000, &ours, holder, sizeof holder, &err));
    assert_true(ours);
    must(pl_queues_leave_run(learner, "l h 1 n", &err));
    pl_lease_release(&l);
    pl_queues_close(s);
}

/* A batch through all hands; then what goes wrong with groups. */
static void each_does_its_work(void **state)
{
    struct pl_queues *learner = worker("learner", "learner"), *actor = worker("actor", "actor-1");
    struct pl_queues *rewarder = worker("rewarder", "rewarder-1");
    struct pl_queues *relay = worker("relay", "relay-1");
    char why[64];
    struct pl_parked parked[2];
    struct pl_ledger ledger;
    struct pl_ready ready;
    size_t leases = 0, groups = 0;
    bool whole = false;

    (void)state;
    feed(learner, "1", 0);
    feed(learner, "1", 1);
    wear_out(learner, "actor", "actor-9", PL_QUEUE_PROMPTS);
    look_after(learner);
    keep(actor, PL_QUEUE_PROMPTS);
    finish(actor);
    finish(actor);
    wear_out(learner, "rewarder", "rewarder-9", PL_QUEUE_ROLLOUTS);
    keep(rewarder, PL_QUEUE_ROLLOUTS);
    commit(rewarder);
    commit(rewarder);
    must(pl_queues_whole(learner, "1", &whole, &err));
    assert_true(whole);
    ready = take(learner, "1");
    assert_int_equal(ready.count, 2);

    /* one is made once more, and refused as scored */
    must(pl_queues_redo(learner,
                        &(struct pl_redo){.batch = "1",
                                          .index = ready.groups[0].index,
                                          .scored = ready.groups[0].pb,
                                          .scored_len = ready.groups[0].pb_len,
                                          .samples = 4,
                                          .right = 2,
                                          .formatted = 3,
                                          .reason = "too old",
                                          .pb = "prompt",
                                          .pb_len = 6},
                        &err));
    pl_ready_release(&ready);
    finish(actor);
    commit(rewarder);
    ready = take(learner, "1");
    must(pl_guard_refuse_scored(learner, "1", &ready.groups[1], "a lie", 0, &err));
    pl_ready_release(&ready);
    feed(learner, "1", 1);
    finish(actor);
    commit(rewarder);
    must(pl_queues_retire(learner, "1", &err));

    /* what a rewarder buries is dropped; what an actor does waits for somebody to look at it */
    feed(learner, "2", 0);
    feed(learner, "2", 1);
    bury(actor, PL_QUEUE_PROMPTS);
    finish(actor);
    bury(rewarder, PL_QUEUE_ROLLOUTS);
    feed(learner, "3", 0);
    feed(learner, "3", 1);
    finish(actor);
    commit(rewarder);
    bury(actor, PL_QUEUE_PROMPTS);
    must(pl_queues_parked(learner, parked, 2, &groups, &err));
    assert_int_equal(groups, 2);

    /* a rewarder refuses, and that quarantines */
    feed(learner, "4", 0);
    feed(learner, "4", 1);
    finish(actor);
    finish(actor);
    {
        struct pl_lease l = lease(rewarder, PL_QUEUE_ROLLOUTS);

        must(pl_guard_refuse(rewarder, &l, "another prompt", 1, &err));
        pl_lease_release(&l);
    }
    must(pl_guard_why(actor, why, sizeof why, &err));
    assert_string_equal(why, "another prompt");
    must(pl_guard_quarantine(learner, "actor-1", "", (const char *const[]){"3", "4"}, 2, &leases,
                             &groups, &err));
    assert_int_equal(groups, 2);

    must(pl_queues_ledger(learner, &ledger, &err));
    assert_true(ledger.balanced);
    must(pl_queues_note(learner, "run", &(struct pl_field){"state", "running"}, 1, &err));
    must(pl_queues_metrics(learner, &(struct pl_field){"timing_s/step", "1"}, 1, &err));
    must(pl_queues_heartbeat(relay, &(struct pl_field){"version", "1"}, 1, &err));
    pl_queues_close(relay);
    pl_queues_close(rewarder);
    pl_queues_close(actor);
    pl_queues_close(learner);
}

/* An actor may write what its hand-overs write. What it calls dead is not dropped by that: it is
 * fed again, and trained. What a rewarder drops is. */
static void an_actor_drops_nothing(void **state)
{
    struct pl_queues *learner, *actor, *rewarder;
    struct pl_reconciled reconciled;
    struct pl_ready ready = {0};
    struct pl_ledger ledger;
    struct pl_lease l;
    bool whole = true;
    redisContext *c;

    (void)state;
    snprintf(run_name, sizeof run_name, "dropping");
    learner = worker("learner", "learner");
    actor = worker("actor", "actor-1");
    rewarder = worker("rewarder", "rewarder-1");
    feed(learner, "1", 0);
    feed(learner, "1", 1);
    finish(actor);
    commit(rewarder);
    c = as("actor");
    assert_string_equal(answer(c, "HSET plait:{dropping}:groups:1 1 dead"), "");
    assert_string_equal(
        answer(c, "XADD plait:{dropping}:dead 7-7 id 1:0 reason no where prompts pb x"), "");
    freeReplyObject(redisCommand(c, "HSET plait:{dropping}:groups:1 0 %s", "dead 7-7"));
    redisFree(c);
    must(pl_queues_whole(learner, "1", &whole, &err));
    assert_false(whole); /* the learner looks at once */
    assert_int_equal(pl_queues_take(learner, "1", 0, &ready, &err), PL_ENOENT);
    feed(learner, "1", 0);
    feed(learner, "1", 1);
    must(pl_queues_reconcile(learner, &reconciled, &err));
    must(pl_queues_ledger(learner, &ledger, &err));
    assert_true(ledger.balanced);
    assert_int_equal(ledger.queued, 2);
    finish(actor);
    finish(actor);
    commit(rewarder);
    commit(rewarder);
    ready = take(learner, "1");
    assert_int_equal(ready.count, 2);
    assert_int_equal(ready.dropped, 0);
    pl_ready_release(&ready);

    feed(learner, "2", 0);
    feed(learner, "2", 1);
    finish(actor);
    finish(actor);
    l = lease(rewarder, PL_QUEUE_ROLLOUTS);
    must(pl_queues_bury(rewarder, PL_QUEUE_ROLLOUTS, &l, "nobody can read it", &err));
    pl_lease_release(&l);
    commit(rewarder);
    ready = take(learner, "2");
    assert_int_equal(ready.count, 1);
    assert_int_equal(ready.dropped, 1);
    pl_ready_release(&ready);
    pl_queues_close(rewarder);
    pl_queues_close(actor);
    pl_queues_close(learner);
    snprintf(run_name, sizeof run_name, "demo");
}

/* The learner looks as itself, for what it shows to Prometheus. */
static void learner_looks(struct pl_survey *survey)
{
    struct pl_redis_access own = {0};
    struct pl_surveyor *surveyor = NULL;

    must(pl_redis_access_copy(&whom, "learner", &own, &err));
    must(pl_surveyor_create(redis.url, &own, run_name, &surveyor, &err));
    must(pl_surveyor_take(surveyor, survey, &err));
    assert_string_equal(survey->state, "running");
    assert_true(survey->worker_count >= 3);
    pl_surveyor_destroy(surveyor);
    pl_redis_access_release(&own);
}

/* Behind the test above: there are dead groups. */
static void people_look_and_change(void **state)
{
    struct pl_surveyor *surveyor = NULL;
    struct pl_survey *survey = calloc(1, sizeof *survey);
    struct pl_dead *dead = NULL;
    enum pl_dead_outcome outcome = PL_DEAD_DONE;
    size_t n = 0;

    (void)state;
    assert_non_null(survey);
    must(pl_surveyor_create(redis.url, &whom, run_name, &surveyor, &err));
    must(pl_surveyor_take(surveyor, survey, &err));
    assert_string_equal(survey->state, "running");
    assert_int_equal(survey->barred_count, 1);
    assert_true(survey->worker_count >= 3 && survey->batch_count == 3);
    pl_surveyor_destroy(surveyor);
    assert_true(survey->ledger_exact && survey->redis.known);
    learner_looks(survey);
    pl_survey_release(survey);
    free(survey);

    must(pl_dead_open(redis.url, &whom, "viewer", run_name, &dead, &err));
    must(pl_dead_each(dead, 0, count_one, &n, &err));
    assert_int_equal(n, 7); /* two of them foreign */
    assert_int_equal(pl_dead_retry(dead, "0-1", &outcome, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "does not let the user 'viewer' run 'FCALL plait1_retry'"));
    pl_dead_close(dead);
    must(pl_dead_open(redis.url, &whom, "admin", run_name, &dead, &err));
    must(pl_dead_retry(dead, "0-1", &outcome, &err));
    assert_int_equal(outcome, PL_DEAD_GONE);
    pl_dead_close(dead);
}

/* ---- what each is refused ---- */

/* Of nobody's business but the administrator's. */
static const char *const for_admin[] = {
    "EVAL return 0",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "EVAL_RO return 0",
    "SCRIPT LOAD x",
    "SCRIPT FLUSH",
    "FUNCTION LOAD x",
    "FUNCTION DELETE plait1",
    "FUNCTION FLUSH",
    "FUNCTION DUMP",
    "FUNCTION RESTORE x",
    "FUNCTION LIST",
    "RESTORE plait:{demo}:x 0 x",
    "MIGRATE 127.0.0.1 1 plait:{demo}:run 0 1",
    "DUMP plait:{demo}:run",
    "COPY plait:{demo}:run plait:{demo}:x",
    "RENAME plait:{demo}:run plait:{demo}:x",
    "SORT plait:{demo}:retired",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "CONFIG REWRITE",
    "DEBUG SLEEP 0",
    "REPLICAOF NO ONE",
    "FAILOVER",
    "PSYNC x 1",
    "CLUSTER INFO",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "KEYS *",
    "MONITOR",
    "SHUTDOWN NOSAVE",
    "BGREWRITEAOF",
    "SAVE",
    "MODULE LIST",
    "SLOWLOG GET",
    "LATENCY LATEST",
    "ACL LIST",
    "ACL SETUSER x on",
    "ACL LOAD",
    "CLIENT KILL ID 1",
    "CLIENT PAUSE 1",
    "PUBLISH a b",
    "SUBSCRIBE a",
    "MULTI",
    "WAIT 0 0",
    "SET other 1",
    "GET other",
    "HGETALL other",
    "HGETALL plait:demo:run",
    "XADD other * a b",
    "DEL other",
};

static void nobody_but_admin(void **state)
{
    (void)state;
    for (enum pl_redis_role role = PL_REDIS_LEARNER; role < PL_REDIS_ADMIN; role++) {
        redisContext *c = as(pl_redis_role_name(role));

        for (size_t i = 0; i < sizeof for_admin / sizeof *for_admin; i++)
            if (!refused(answer(c, for_admin[i])))
                fail_msg("%s may '%s': %s", pl_redis_role_name(role), for_admin[i],
                         answer(c, for_admin[i]));
        redisFree(c);
    }
}

/* Letters of the roles that may: Learner, Actor, reWarder, relaY, Viewer. All others are refused.
 */
static const struct {
    const char *who, *command;
} table[] = {
    {"LAWYV", "PING"},
    {"LAWYV", "ACL WHOAMI"},
    {"LV", "INFO server"},
    {"LV", "CLIENT LIST"}, /* the learner shows queues and workers where it has a window */
    {"LV", "SCAN 0"},
    {"LAWY", "FCALL plait1_code 0"},
    {"LV", "FCALL_RO plait1_code 0"},
    {"LV", "FCALL_RO plait1_ledger 1 plait:{demo}:"},
    {"LAWY", "FCALL plait1_renew 1 plait:{demo}: prompts x"},
    {"L", "FCALL plait1_ledger 1 plait:{demo}:"},
    {"L", "FCALL plait1_retire 1 plait:{demo}: 77"},
    {"L", "FCALL plait1_quarantine 1 plait:{demo}: x y"},
    {"LV", "HGETALL plait:{demo}:scored:4"},
    {"LWV", "HMGET plait:{demo}:scored:4 0"},
    {"LV", "HGETALL plait:{demo}:ledger"},
    {"LYV", "HGETALL plait:{demo}:run"},
    {"LYV", "HGETALL plait:{demo}:policy"},
    {"L", "HSET plait:{demo}:run a b"},
    {"L", "HSET plait:{demo}:policy a b"},
    {"L", "HSET plait:{demo}:audits a b"},
    {"LAWY", "HSET plait:{demo}:worker:x a b"},
    {"LV", "HGETALL plait:{demo}:worker:x"},
    {"LAV", "HGET plait:{demo}:quarantine x"},
    {"LW", "HSETNX plait:{demo}:quarantine x y"},
    {"L", "HDEL plait:{demo}:quarantine x"},
    {"L", "HSET plait:{demo}:quarantine x y"},
    {"LV", "HGETALL plait:{demo}:quarantine"},
    {"LW", "HINCRBY plait:{demo}:strikes x 1"},
    {"LAV", "XRANGE plait:{demo}:prompts - +"},
    {"LWV", "XRANGE plait:{demo}:rollouts - +"},
    {"LV", "XRANGE plait:{demo}:dead - +"},
    {"LV", "XRANGE plait:{demo}:ready - +"},
    {"LV", "XRANGE plait:{demo}:metrics - +"},
    {"LV", "XREVRANGE plait:{demo}:events + -"},
    {"LA", "XREADGROUP GROUP actors x COUNT 1 STREAMS plait:{demo}:prompts 0"},
    {"LW", "XREADGROUP GROUP rewarders x COUNT 1 STREAMS plait:{demo}:rollouts 0"},
    {"LA", "XACK plait:{demo}:prompts actors 0-1"},
    {"LW", "XACK plait:{demo}:rollouts rewarders 0-1"},
    {"LA", "XDEL plait:{demo}:prompts 0-1"},
    {"LW", "XDEL plait:{demo}:rollouts 0-1"},
    {"LW", "XDEL plait:{demo}:ready 0-1"},
    {"L", "XDEL plait:{demo}:dead 0-1"},
    {"L", "XADD plait:{demo}:metrics * a b"},
    {"LA", "XADD plait:{demo}:prompts * a b"},
    {"LAW", "XADD plait:{demo}:rollouts * a b"},
    {"LAW", "XADD plait:{demo}:events * a b"},
    {"L", "SADD plait:{demo}:retired x"},
    {"L", "SREM plait:{demo}:retired x"},
    {"LAWYV", "HMGET plait:{demo}:run a"},
    {"L", "SET plait:{demo}:learner x"},
    {"LAWV", "GET plait:{demo}:learner"},
    {"", "GET plait:{demo}:run"},
    {"L", "FCALL plait1_rewind 1 plait:{demo}: 1000 1 1"},
    {"L", "FCALL plait1_claim_run 1 plait:{demo}: x 1"},
    {"LAW", "FCALL plait1_leave_run 1 plait:{demo}: x"}, /* held by nobody: nothing changes */
    {"L", "DEL plait:{demo}:learner"},
    {"LV", "SISMEMBER plait:{demo}:retired x"},
    {"L", "DEL plait:{demo}:x"},
    {"LV", "XINFO GROUPS plait:{demo}:prompts"},
    {"LAV", "XPENDING plait:{demo}:prompts actors"},
    {"", "XTRIM plait:{demo}:prompts MAXLEN 0"},
    {"", "XGROUP DESTROY plait:{demo}:prompts nobody"},
    {"L", "XGROUP DELCONSUMER plait:{demo}:prompts actors nobody"},
    {"LAW", "HSET plait:{demo}:begun:4 a b"},
    {"LAW", "HSET plait:{demo}:parked a b"},
    {"LAW", "HSET plait:{demo}:groups:4 a b"},
    {"LW", "HSET plait:{demo}:dropped:4 a b"},
    {"L", "HDEL plait:{demo}:dropped:4 a"},
    {"LW", "HSET plait:{demo}:batch:4 a b"},
    {"LW", "XADD plait:{demo}:ready * a b"},
    {"LAW", "HINCRBY plait:{demo}:ledger failed 1"},
    {"LW", "HDEL plait:{demo}:ledger a"},
    {"L", "FCALL plait1_forsake 1 plait:{demo}: 78"},
    {"L", "HDEL plait:{demo}:parked a"},
    {"L", "FCALL plait1_reconcile 1 plait:{demo}: 0 1"},
    {"L", "FCALL plait1_release 1 plait:{demo}: nobody"},
    {"L", "FCALL plait1_parked 1 plait:{demo}: 4"},
    {"L", "FCALL plait1_unpark 1 plait:{demo}: 0-1"},
    {"", "XGROUP SETID plait:{demo}:prompts actors 0"},
    {"", "SET plait:{demo}:run x"},
};

static void to_each_its_own(void **state)
{
    static const char letters[] = "LAWYV";

    (void)state;
    for (enum pl_redis_role role = PL_REDIS_LEARNER; role < PL_REDIS_ADMIN; role++) {
        redisContext *c = as(pl_redis_role_name(role));

        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            const bool may = strchr(table[i].who, letters[role]) != NULL;
            const char *said = answer(c, table[i].command);

            if (refused(said) == may)
                fail_msg("%s %s '%s': %s", pl_redis_role_name(role), may ? "may not" : "may",
                         table[i].command, said[0] ? said : "OK");
        }
        redisFree(c);
    }
}

/* ---- passwords ---- */

static void strangers(void **state)
{
    redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));

    (void)state;
    assert_memory_equal(answer(c, "PING"), "NOAUTH", 6);
    assert_memory_equal(answer(c, "AUTH default x"), "WRONGPASS", 9);
    assert_memory_equal(answer(c, "AUTH actor x"), "WRONGPASS", 9);
    assert_memory_equal(answer(c, "XLEN plait:{demo}:prompts"), "NOAUTH", 6);
    redisFree(c);
}

static char *password_of(const char *user)
{
    char name[64], *text = NULL;

    snprintf(name, sizeof name, "acl/%s.password", user);
    must(pl_secret_read(pl_scratch(name), &text, &err));
    return text;
}

/* A new password: the old one counts until the file is written again. A worker keeps on. */
static void renewed(void **state)
{
    bool renew[PL_REDIS_ROLES] = {false};
    char *before = password_of("actor"), *after, *other = password_of("viewer"), *same;
    struct pl_queues *actor = worker("actor", "actor-2");
    redisContext *admin = as("admin"), *c;

    (void)state;
    renew[PL_REDIS_ACTOR] = true;
    must(pl_redis_users_write(pl_scratch("acl"), "", renew, &err));
    after = password_of("actor");
    same = password_of("viewer");
    assert_string_not_equal(before, after);
    assert_string_equal(other, same);
    for (int round = 0; round < 2; round++) {
        char words[200];

        assert_string_equal(answer(admin, "ACL LOAD"), "");
        c = redisConnectUnix(redis.url + strlen("unix://"));
        snprintf(words, sizeof words, "AUTH actor %s", after);
        assert_string_equal(answer(c, words), "");
        snprintf(words, sizeof words, "AUTH actor %s", before);
        if (round == 0)
            assert_string_equal(answer(c, words), "");
        else
            assert_memory_equal(answer(c, words), "WRONGPASS", 9);
        redisFree(c);
        must(pl_queues_heartbeat(actor, &(struct pl_field){"groups", "1"}, 1, &err));
        must(pl_redis_users_write(pl_scratch("acl"), "", none, &err));
        redisFree(admin); /* ACL LOAD cut it, or will */
        admin = as("admin");
    }
    redisFree(admin);
    pl_queues_close(actor);
    pl_secret_free(before);
    pl_secret_free(after);
    pl_secret_free(other);
    pl_secret_free(same);
}

static void private_files(void **state)
{
    struct stat st;

    (void)state;
    for (enum pl_redis_role role = PL_REDIS_LEARNER; role < PL_REDIS_ROLES; role++) {
        char name[64];

        snprintf(name, sizeof name, "acl/%s.password", pl_redis_role_name(role));
        assert_int_equal(stat(pl_scratch(name), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(st.st_size, 65);
    }
    assert_int_equal(stat(pl_scratch("acl/users.acl"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* What was given to Redis' group is still its group's when it is written again, and no more. */
    assert_int_equal(chmod(pl_scratch("acl/users.acl"), 0666), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(pl_scratch("acl/users.acl"), 0, 7), 0);
    must(pl_redis_users_write(pl_scratch("acl"), "", none, &err));
    assert_int_equal(stat(pl_scratch("acl/users.acl"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, 7);
}

/* What a program is told. */
static void sentences(void **state)
{
    struct pl_queues *s = NULL;
    const struct pl_redis_access kept = whom;

    (void)state;
    whom = (struct pl_redis_access){0};
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "lets nobody in without a user and a password (NOAUTH): set "
                                     "redis.user and redis.password_file"));
    whom = (struct pl_redis_access){.user = "actor"};
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "redis.user is 'actor', but redis.password_file"));
    pl_scratch_text(pl_scratch("wrong"), "guess\n");
    assert_int_equal(chmod(pl_scratch("wrong"), 0600), 0);
    whom = (struct pl_redis_access){.user = "actor", .password_file = pl_scratch("wrong")};
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "does not know the user 'actor' by the password in '"));
    assert_non_null(strstr(err.text, "ACL LOAD"));
    assert_null(strstr(err.text, "guess"));
    assert_int_equal(chmod(pl_scratch("wrong"), 0644), 0);
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "but its mode is 0644: let nobody else read it"));
    whom.password_file = "/nowhere/x";
    assert_int_equal(open_as("actor", "a", &s), PL_ENOENT);
    assert_non_null(strstr(err.text, "redis.password_file: look at '/nowhere/x': No such file"));
    whom = (struct pl_redis_access){.tls_ca = "ca.crt"};
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "redis.tls_ca is given, but Redis at 'unix:///"));
    whom = kept;
    whom.user = "relay";
    whom.password_file = pl_scratch("acl/relay.password");
    assert_int_equal(open_as("actor", "a", &s), PL_EINVAL);
    assert_non_null(strstr(err.text, "does not let the user 'relay' run 'XGROUP' (NOPERM"));
    assert_non_null(strstr(err.text, "be the user of this program's role (redis.user)"));
    whom = kept;
}

/* Users of one run are strangers to the others. Last: it changes the rights. */
static void of_one_run(void **state)
{
    redisContext *admin = as("admin"), *c;

    (void)state;
    must(pl_redis_users_write(pl_scratch("acl"), "a.b", none, &err));
    assert_string_equal(answer(admin, "ACL LOAD"), "");
    c = as("learner");
    assert_string_equal(answer(c, "HSET plait:{a.b}:run a b"), "");
    assert_memory_equal(answer(c, "HSET plait:{demo}:run a b"), "NOPERM", 6);
    assert_memory_equal(answer(c, "HGETALL plait:{aXb}:run"), "NOPERM", 6);
    redisFree(c);
    c = as("viewer");
    assert_string_equal(answer(c, "HGETALL plait:{a.b}:run"), "");
    assert_memory_equal(answer(c, "HGETALL plait:{demo}:run"), "NOPERM", 6);
    redisFree(c);
    redisFree(admin);
    assert_int_equal(pl_redis_users_write(pl_scratch("acl"), "a}*", none, &err), PL_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_admin_loads),
        cmocka_unit_test(each_does_its_work),
        cmocka_unit_test(an_actor_drops_nothing),
        cmocka_unit_test(people_look_and_change),
        cmocka_unit_test(nobody_but_admin),
        cmocka_unit_test(to_each_its_own),
        cmocka_unit_test(strangers),
        cmocka_unit_test(renewed),
        cmocka_unit_test(private_files),
        cmocka_unit_test(sentences),
        cmocka_unit_test(of_one_run),
    };

    if (!pl_test_redis_there())
        return 77;
    return cmocka_run_group_tests(tests, start, stop);
}
