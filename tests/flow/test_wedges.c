/*
 * What plait status says of a run that does not come any further: for each way, a run's Redis and
 * folder are made so by hand, with the settings that users have, and the words must be true. The
 * state in one word, whether it moves, whether a person is needed, and who is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/link/queues.h"
#include "deploy/view/overview.h"
#include "tests/redis.h"

#include <hiredis/hiredis.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LEASE_S = 60 };

static struct pl_test_redis redis;
static struct pl_overview o;
static struct pl_overview_source source;
static struct pl_run_conf conf;
static unsigned run_number;
static char run_name[32], run_dir[128];

static void must(int rc, const struct pl_error *err)
{
    if (rc != PL_OK)
        fail_msg("%s", err->text);
}

/* A command about the run's key: "%s" in it is "plait:{RUN}:". */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pl_test_redis_say(&redis, line);
}

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const char *key(const char *name)
{
    static char keys[4][256];
    static unsigned next;
    char *to = keys[next++ % 4];

    snprintf(to, sizeof keys[0], "plait:{%s}:%s", run_name, name);
    return to;
}

/* ---- the parts of a run ---- */

static void learner_says(const char *phase, double for_s, const char *why_word, unsigned beat)
{
    const long long now = now_ms();

    pl_test_redis_set(&redis, key("learner"), "learner here 77 1-abc");
    say("HSET %s role learner host here pid 77 clock %lld phase %s phase_since_ms %lld step 4 "
        "saved_step 3 saved_ms %lld beat %u",
        key("worker:learner"), now, phase, now - (long long)(1e3 * for_s), now - 5000, beat);
    if (why_word[0]) /* one word: commands are split at blanks */
        say("HSET %s why %s", key("worker:learner"), why_word);
    say("PEXPIRE %s %d", key("worker:learner"), 3 * LEASE_S * 1000);
}

static void worker_beats(const char *name, const char *role, double ago_s)
{
    char full[96];

    snprintf(full, sizeof full, "worker:%s", name);
    say("HSET %s role %s host here pid 5 clock %lld groups 3 tokens_per_s 100 version 4 beat 9",
        key(full), role, now_ms());
    say("PEXPIRE %s %lld", key(full), (long long)(1e3 * (3 * LEASE_S - ago_s)));
}

/* A group that is fed and waits in the queue; `holder` reads it then. */
static void group_waits(unsigned index, const char *holder)
{
    say("XADD %s * id 4:%u pb x", key("prompts"), index);
    say("HSET %s %u prompt", key("groups:4"), index);
    if (holder)
        say("XREADGROUP GROUP actors %s COUNT 1 STREAMS %s >", holder, key("prompts"));
}

/* A run at work at step 4 of 8, of whose next batch two groups are with an actor. */
static void run_at_work(void)
{
    say("HSET %s state running step 4 run_id %s life 1", key("run"), "aaaaaaaa");
    say("HSET %s version 5", key("policy"));
    say("HSET %s fed 10 trained 8 dropped 0 scored 0", key("ledger"));
    say("HSET %s state open expected 2 fed 2 arrived 0 dropped 0", key("batch:4"));
    say("XGROUP CREATE %s actors 0 MKSTREAM", key("prompts"));
    say("XGROUP CREATE %s rewarders 0 MKSTREAM", key("rollouts"));
    for (int i = 0; i < 4; i++)
        say("XADD %s %lld-0 timing_s/step 1", key("metrics"), now_ms() - 9000 + 2000 * i);
    group_waits(0, "actor-1");
    group_waits(1, "actor-1");
    learner_says("waiting", 3.0, "", 7);
    worker_beats("actor-1", "actor", 1.0);
    worker_beats("rewarder-1", "rewarder", 1.0);
}

/* ---- the wedges ---- */

static void all_is_well(void)
{
}

static void never_begun(void)
{
    say("FLUSHALL");
}

static void learner_dead(void)
{
    say("DEL %s", key("learner"));
}

static void learner_stopped(void)
{
    say("DEL %s %s", key("learner"), key("worker:learner"));
    say("HSET %s state stopped", key("run"));
}

static void learner_starting(void)
{
    say("FLUSHALL");
    learner_says("starting", 20.0, "", 7);
}

static void two_learners(void)
{
    worker_beats("learner-2", "learner", 1.0);
}

static void no_actor(void)
{
    say("DEL %s", key("worker:actor-1"));
    say("XGROUP DELCONSUMER %s actors actor-1", key("prompts"));
}

static void actor_silent(void)
{
    worker_beats("actor-1", "actor", 100.0);
}

static void no_rewarder(void)
{
    say("DEL %s", key("worker:rewarder-1"));
}

static void nobody_but_the_learner(void)
{
    no_actor();
    no_rewarder();
}

static void all_quarantined(void)
{
    say("HSET %s actor-1 lies", key("quarantine"));
}

/* Both groups of the batch are in `dead`, and it waits for them. */
static void groups_parked(void)
{
    say("DEL %s", key("prompts"));
    say("XGROUP CREATE %s actors 0 MKSTREAM", key("prompts"));
    say("HSET %s 4:0 1-0 4:1 1-1", key("parked"));
    say("HSET %s 0 parked 1 parked", key("groups:4"));
    learner_says("waiting", 90.0, "batch_4_waits_for_2_of_2_groups", 7);
}

/* As an admin's DEL leaves it: fed, and nowhere. */
static void groups_lost(void)
{
    say("DEL %s", key("prompts"));
    say("XGROUP CREATE %s actors 0 MKSTREAM", key("prompts"));
}

static void too_many_groups(void)
{
    say("HSET %s trained 11", key("ledger"));
}

static void redis_emptied(void)
{
    say("FLUSHALL");
    learner_says("waiting", 4.0, "", 7);
    worker_beats("actor-1", "actor", 1.0);
    worker_beats("rewarder-1", "rewarder", 1.0);
}

static void redis_full(void)
{
    say("CONFIG SET maxmemory 1000000");
}

static void redis_read_only(void)
{
    say("REPLICAOF 127.0.0.1 1");
}

static void redis_evicts(void)
{
    say("CONFIG SET maxmemory-policy allkeys-lru");
    say("CONFIG SET maxmemory 1gb");
}

static void clock_set_back(void)
{
    say("PEXPIRE %s 3600000", key("worker:actor-1"));
}

static void evaluation_waited_for(void)
{
    say("DEL %s", key("prompts"));
    say("XGROUP CREATE %s actors 0 MKSTREAM", key("prompts"));
    say("HSET %s fed 8", key("ledger"));
    learner_says("evaluating", 30.0, "evaluation_e4_waits_for_1_of_6_groups", 7);
}

static void saves_for_long(void)
{
    learner_says("saving", 900.0, "", 7);
}

static void disk_said_full(void)
{
    learner_says("saving", 90.0, "no_checkpoint_can_be_written", 7);
}

static void another_folder(void)
{
    say("HSET %s run_id bbbbbbbb", key("run"));
}

static const struct wedge {
    const char *name;
    void (*make)(void);
    const char *state;
    bool moving, help;
    enum pl_overview_who who;
    const char *says;    /* is in the sentence */
    const char *warning; /* is in one of the warnings; NULL: there are none */
} wedges[] = {
    {"all is well", all_is_well, "running", true, false, PL_OVERVIEW_ACTORS,
     "2 groups are being sampled", NULL},
    {"never begun", never_begun, "not begun", false, false, PL_OVERVIEW_LEARNER,
     "The learner is not there yet", NULL},
    {"dead learner", learner_dead, "gone", false, true, PL_OVERVIEW_LEARNER,
     "The learner is gone without a word, at step 4", NULL},
    {"stopped", learner_stopped, "stopped", false, false, PL_OVERVIEW_LEARNER,
     "The learner was stopped at step 4; the same command goes on", NULL},
    {"starting", learner_starting, "starting", false, false, PL_OVERVIEW_LEARNER,
     "The learner is starting, for 2", NULL},
    {"two learners", two_learners, "running", true, false, PL_OVERVIEW_ACTORS, "being sampled",
     "2 learners beat for this run; it belongs to 'learner', process 77 on here"},
    {"no actor", no_actor, "waiting", false, true, PL_OVERVIEW_ACTORS,
     "No actor is alive: 2 groups wait to be sampled", NULL},
    {"silent actor", actor_silent, "waiting", false, true, PL_OVERVIEW_ACTORS,
     "No actor is heard of any more: ", "1 worker is not heard of any more: actor-1"},
    {"no rewarder", no_rewarder, "waiting", false, true, PL_OVERVIEW_REWARDERS,
     "No rewarder is alive", NULL},
    {"nobody", nobody_but_the_learner, "waiting", false, true, PL_OVERVIEW_ACTORS,
     "Neither an actor nor a rewarder is alive: 2 groups wait to be sampled", NULL},
    {"quarantined all", all_quarantined, "waiting", false, true, PL_OVERVIEW_PERSON,
     "Every actor is in quarantine", NULL},
    {"parked", groups_parked, "waiting", false, true, PL_OVERVIEW_LEARNER,
     "batch_4_waits_for_2_of_2_groups", "parked: 4:0, 4:1; plait dead ls"},
    {"lost groups", groups_lost, "running", true, false, PL_OVERVIEW_ACTORS, "The learner waits",
     "2 groups that were fed are nowhere"},
    {"too many groups", too_many_groups, "running", true, false, PL_OVERVIEW_ACTORS,
     "being sampled", "3 groups more are there than were fed"},
    {"Redis emptied", redis_emptied, "waiting", false, true, PL_OVERVIEW_LEARNER,
     "Redis has lost the run: the learner feeds it again", NULL},
    {"Redis full", redis_full, "waiting", false, true, PL_OVERVIEW_REDIS,
     "Redis is full, and refuses new work (OOM)", NULL},
    {"Redis read-only", redis_read_only, "waiting", false, true, PL_OVERVIEW_REDIS,
     "Redis is a replica that has lost its primary, which takes no hand-overs (READONLY)", NULL},
    {"Redis evicts", redis_evicts, "running", true, false, PL_OVERVIEW_ACTORS, "being sampled",
     "set maxmemory-policy noeviction"},
    {"clock set back", clock_set_back, "running", true, false, PL_OVERVIEW_ACTORS, "being sampled",
     "the clock of Redis was set back"},
    {"evaluation", evaluation_waited_for, "waiting", false, true, PL_OVERVIEW_LEARNER,
     "evaluation_e4_waits_for_1_of_6_groups", NULL},
    {"saves for long", saves_for_long, "running", true, false, PL_OVERVIEW_LEARNER,
     "The learner is saving, for 15:00", NULL},
    {"disk full", disk_said_full, "waiting", false, true, PL_OVERVIEW_LEARNER,
     "no_checkpoint_can_be_written", NULL},
    {"another folder", another_folder, "waiting", false, true, PL_OVERVIEW_PERSON,
     "This Redis holds another folder's run by the name", NULL},
};

static void check(const struct wedge *w)
{
    bool warned = false;

    if (strcmp(pl_overview_state(&o), w->state) != 0)
        fail_msg("%s: the state is '%s', not '%s': %s", w->name, pl_overview_state(&o), w->state,
                 o.bottleneck);
    if (!strstr(o.bottleneck, w->says))
        fail_msg("%s: '%s' does not hold '%s'", w->name, o.bottleneck, w->says);
    if (o.who != w->who || o.moving != w->moving || pl_overview_needs_help(&o) != w->help)
        fail_msg("%s: who %s, moving %d, help %d", w->name, pl_overview_who_name(o.who), o.moving,
                 pl_overview_needs_help(&o));
    if (!w->moving && isfinite(o.eta_s))
        fail_msg("%s: nothing moves, and there is an ETA", w->name);
    for (size_t i = 0; w->warning && i < o.warning_count; i++)
        warned = warned || strstr(o.warnings[i], w->warning);
    if (w->warning ? !warned : o.warning_count > 0)
        fail_msg("%s: %zu warnings, '%s'", w->name, o.warning_count,
                 o.warning_count > 0 ? o.warnings[0] : "");
}

static void begin_run(void)
{
    struct pl_error err = {0};
    char path[160];
    FILE *id;

    say("REPLICAOF NO ONE");
    say("CONFIG SET maxmemory 0");
    say("CONFIG SET maxmemory-policy noeviction");
    say("FLUSHALL");
    snprintf(run_name, sizeof run_name, "r%u", run_number++);
    snprintf(run_dir, sizeof run_dir, "%s/%s", redis.dir, run_name);
    assert_int_equal(mkdir(run_dir, 0700), 0);
    snprintf(path, sizeof path, "%s/run_id", run_dir);
    id = fopen(path, "w");
    assert_non_null(id);
    fputs("aaaaaaaa\n", id);
    assert_int_equal(fclose(id), 0);
    conf = (struct pl_run_conf){
        .name = run_name, .dir = run_dir, .redis = redis.url, .steps = 8, .lease_s = LEASE_S};
    must(pl_overview_open(&conf, &source, &err), &err);
    /* The functions of the hand-overs, as the learner loads them. */
    {
        struct pl_queues *s = NULL;

        must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                     .run = "other",
                                                     .worker = "learner",
                                                     .role = "learner",
                                                     .lease_ms = 1000 * LEASE_S,
                                                     .deliveries_max = 5,
                                                     .patience_ms = 20000},
                            &s, &err),
             &err);
        pl_queues_close(s);
    }
    run_at_work();
}

static void end_run(void)
{
    pl_overview_release(&o);
    pl_overview_close(&source);
    memset(&o, 0, sizeof o);
}

static void the_words_are_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wedges / sizeof *wedges; i++) {
        begin_run();
        wedges[i].make();
        pl_overview_look(&source, &o);
        check(&wedges[i]);
        end_run();
    }
}

/* ---- a Redis that refuses whatever is written ---- */

/* Whether it does, with this error; nothing is left of it where it does not. */
static bool refuses(redisContext *c, const char *code)
{
    redisReply *reply = redisCommand(c, "HSET refused a b");
    bool refused;

    assert_non_null(reply);
    refused = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, code, strlen(code)) == 0;
    freeReplyObject(reply);
    return refused;
}

static void until_info_says(redisContext *c, const char *line)
{
    const struct timespec pause = {0, 5000000};

    for (int i = 0; i < 4000; i++) {
        redisReply *reply = redisCommand(c, "INFO persistence");
        bool said;

        assert_true(reply && reply->type == REDIS_REPLY_STRING);
        said = strstr(reply->str, line) != NULL;
        freeReplyObject(reply);
        if (said)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("Redis does not say '%s'", line);
}

/* A folder is where its file is to be. */
static void file_fails(redisContext *c)
{
    char path[160];

    snprintf(path, sizeof path, "%s/dump.rdb", redis.dir);
    (void)remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/dump.rdb/x", redis.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    freeReplyObject(redisCommand(c, "CONFIG SET save %s", "3600 1"));
    freeReplyObject(redisCommand(c, "BGSAVE"));
    until_info_says(c, "rdb_last_bgsave_status:err");
}

static void file_is_written(redisContext *c)
{
    char path[160];

    snprintf(path, sizeof path, "%s/dump.rdb/x", redis.dir);
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof path, "%s/dump.rdb", redis.dir);
    assert_int_equal(remove(path), 0);
    freeReplyObject(redisCommand(c, "SAVE"));
    until_info_says(c, "rdb_last_bgsave_status:ok");
    freeReplyObject(redisCommand(c, "CONFIG SET save %s", ""));
}

static void no_replica(redisContext *c)
{
    freeReplyObject(redisCommand(c, "CONFIG SET min-replicas-to-write 1"));
}

static void none_needed(redisContext *c)
{
    freeReplyObject(redisCommand(c, "CONFIG SET min-replicas-to-write 0"));
}

static void is_full(redisContext *c)
{
    freeReplyObject(redisCommand(c, "CONFIG SET maxmemory 1000000"));
}

static void has_room(redisContext *c)
{
    freeReplyObject(redisCommand(c, "CONFIG SET maxmemory 0"));
}

static void is_replica(redisContext *c)
{
    freeReplyObject(redisCommand(c, "REPLICAOF 127.0.0.1 1"));
}

static void is_primary(redisContext *c)
{
    freeReplyObject(redisCommand(c, "REPLICAOF NO ONE"));
}

/*
 * Why the learner waits cannot be put into such a Redis: what stands there is from before, or
 * nothing. The refusal itself is seen, and is what is said.
 */
static void a_refusal_is_said_though_nobody_can_write_it(void **state)
{
    static const struct {
        void (*begin)(redisContext *c), (*end)(redisContext *c);
        const char *code, *says;
    } ways[] = {
        {is_full, has_room, "OOM", "Redis is full, and refuses new work (OOM)"},
        {is_replica, is_primary, "READONLY", "takes no hand-overs (READONLY)"},
        {file_fails, file_is_written, "MISCONF", "refuses hand-overs until it can (MISCONF)"},
        {no_replica, none_needed, "NOREPLICAS", "without one (NOREPLICAS)"}};
    static const char *const stood[] = {"", "batch_4_waits_for_2_of_2_groups"};

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof ways / sizeof *ways); i++) {
        redisContext *c = redisConnectUnix(redis.url + strlen("unix://"));

        assert_true(c && !c->err);
        begin_run();
        learner_says("waiting", 90.0, stood[i % 2], 7);
        assert_false(refuses(c, ways[i / 2].code));
        ways[i / 2].begin(c);
        assert_true(refuses(c, ways[i / 2].code));
        pl_overview_look(&source, &o);
        if (!strstr(o.bottleneck, ways[i / 2].says))
            fail_msg("%s: '%s'", ways[i / 2].code, o.bottleneck);
        assert_string_equal(pl_overview_state(&o), "waiting");
        assert_int_equal(o.who, PL_OVERVIEW_REDIS);
        assert_true(!o.moving && pl_overview_needs_help(&o));
        ways[i / 2].end(c);
        assert_false(refuses(c, ways[i / 2].code));
        pl_overview_look(&source, &o); /* and nothing of it is said when it is over */
        assert_true(o.who != PL_OVERVIEW_REDIS);
        end_run();
        redisFree(c);
    }
}

/* A learner whose thread hangs keeps its heartbeat and its claim; only its beat stands still. */
static void a_learner_that_hangs_is_found(void **state)
{
    const struct timespec pause = {0, 100000000};

    (void)state;
    begin_run();
    learner_says("training", 4000.0, "", 7);
    pl_overview_look_well(&source, &o); /* it looks again, since it trains for so long */
    assert_string_equal(pl_overview_state(&o), "waiting");
    assert_true(pl_overview_needs_help(&o));
    assert_non_null(strstr(o.bottleneck, "The learner hangs: nothing moves in it any more, in the "
                                         "phase training"));
    assert_non_null(strstr(o.bottleneck, "checkpoint, of step 3"));
    learner_says("training", 4010.0, "", 8);
    pl_overview_look(&source, &o);
    nanosleep(&pause, NULL);
    assert_string_equal(pl_overview_state(&o), "running");
    end_run();
}

/* Another run on the same Redis, whose learner is alive, changes nothing. */
static void runs_are_told_apart(void **state)
{
    (void)state;
    begin_run();
    say("DEL %s", key("learner"));
    pl_test_redis_set(&redis, "plait:{neighbour}:learner", "learner here 78 1-def");
    say("HSET plait:{neighbour}:run state running step 7");
    pl_overview_look(&source, &o);
    assert_string_equal(pl_overview_state(&o), "gone");
    assert_int_equal(o.step, 4);
    end_run();
}

/* A thousand workers, and as many holders. */
static void lists_have_no_end(void **state)
{
    enum { MANY = 1000 };
    size_t actors = 0;

    (void)state;
    begin_run();
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];

        snprintf(name, sizeof name, "many-%u", i);
        worker_beats(name, "actor", 1.0);
        say("HSET %s barred-%u lies", key("quarantine"), i);
        group_waits(2 + i, name);
    }
    pl_overview_look(&source, &o);
    for (size_t i = 0; i < o.survey.worker_count; i++)
        actors += strcmp(o.survey.workers[i].role, "actor") == 0;
    assert_int_equal(actors, MANY + 1);
    assert_int_equal(o.survey.holder_count, MANY + 1);
    assert_int_equal(o.survey.barred_count, MANY);
    assert_int_equal(o.survey.ledger.leased, MANY + 2);
    end_run();
}

static int start(void **state)
{
    (void)state;
    pl_test_redis_start(&redis);
    return 0;
}

static int end(void **state)
{
    (void)state;
    pl_test_redis_end(&redis);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_are_true),
        cmocka_unit_test(a_refusal_is_said_though_nobody_can_write_it),
        cmocka_unit_test(a_learner_that_hangs_is_found),
        cmocka_unit_test(runs_are_told_apart),
        cmocka_unit_test(lists_have_no_end),
    };

    if (!pl_test_redis_there()) {
        fprintf(stderr,
                "skipped: redis-server is not installed (deploy/install-deps.sh installs it)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, end);
}
