/*
 * Groups that failed for good, on a real Redis: what is kept of them, back into their queue,
 * dropped; refused where nobody would take them. The ledger balances after each step. Then the same
 * from outside, by the program. Usage: test_dead PLAIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/dead.h"
#include "common/link/queues.h"
#include "common/link/survey.h"
#include "deploy/view/dead_group.h"
#include "proto/rollout.h"
#include "tests/mini_tokenizer.h"
#include "tests/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct pl_test_redis redis;
static const char *plait;
static char run_name[32];
static struct pl_queues *s;
static struct pl_dead *dead;

static void must(int rc, const struct pl_error *err)
{
    if (rc != PL_OK)
        fail_msg("%s", err->text);
}

static void open_queues(void)
{
    struct pl_error err = {0};

    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = run_name,
                                                 .worker = "actor-1",
                                                 .role = "test",
                                                 .lease_ms = 60000,
                                                 .deliveries_max = 5,
                                                 .patience_ms = 20000},
                        &s, &err),
         &err);
}

static int new_run(void **state)
{
    static int runs;
    struct pl_error err = {0};

    (void)state;
    snprintf(run_name, sizeof run_name, "run-%d", ++runs);
    open_queues();
    must(pl_dead_open(redis.url, NULL, "admin", run_name, &dead, &err), &err);
    return 0;
}

static int end_run(void **state)
{
    (void)state;
    pl_queues_close(s);
    pl_dead_close(dead);
    return 0;
}

static void feed_one(const char *batch, uint32_t index, size_t expected, const char *after,
                     const void *pb, size_t len)
{
    const struct pl_field fields[] = {{"version", "3"}, {"source", "kk"}};
    struct pl_error err = {0};
    bool fresh;

    must(pl_queues_feed(s,
                        &(struct pl_feed){.batch = batch,
                                          .expected = expected,
                                          .index = index,
                                          .after = after,
                                          .epsilon = 0.05,
                                          .gated = true,
                                          .fields = fields,
                                          .field_count = 2,
                                          .pb = pb,
                                          .pb_len = len},
                        &fresh, &err),
         &err);
}

static void feed_pb(const char *batch, uint32_t index, size_t expected, const void *pb, size_t len)
{
    feed_one(batch, index, expected, "", pb, len);
}

/* A batch of one group. */
static void feed_after(const char *batch, const char *after)
{
    feed_one(batch, 0, 1, after, "prompt", 6);
}

static void feed(const char *batch, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        feed_pb(batch, i, count, "pr\0mpt", 6);
}

static struct pl_lease lease(enum pl_queue queue)
{
    struct pl_lease l = {0};
    struct pl_error err = {0};

    must(pl_queues_lease(s, queue, 3000, &l, &err), &err);
    return l;
}

static void bury(enum pl_queue queue, const char *reason)
{
    struct pl_lease l = lease(queue);
    struct pl_error err = {0};

    must(pl_queues_bury(s, queue, &l, reason, &err), &err);
    pl_lease_release(&l);
}

static void sample(void)
{
    const struct pl_field fields[] = {{"actor", "actor-1"}, {"tokens", "12"}};
    struct pl_lease l = lease(PL_QUEUE_PROMPTS);
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;
    struct pl_error err = {0};

    must(pl_queues_finish(s, &l, fields, 2, "rollout", 7, &outcome, &err), &err);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static void score(uint32_t right)
{
    struct pl_lease l = lease(PL_QUEUE_ROLLOUTS);
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;
    struct pl_error err = {0};

    must(pl_queues_commit(s, &l, 4, right, 4, "", "scored", 6, &outcome, &err), &err);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&l);
}

static struct pl_ledger ledger(void)
{
    struct pl_ledger l;
    struct pl_error err = {0};

    must(pl_queues_ledger(s, &l, &err), &err);
    if (!l.balanced)
        fail_msg("fed %lu, trained %lu, dropped %lu, queued %lu, leased %lu, rolled %lu, scoring "
                 "%lu, scored %lu",
                 l.fed, l.trained, l.dropped, l.queued, l.leased, l.rolled, l.scoring, l.scored);
    return l;
}

static int take(const char *batch, struct pl_ready *ret)
{
    return pl_queues_take(s, batch, 0, ret, NULL);
}

/* The newest entry, its texts copied. */
static struct {
    char entry[48], text[512], pb[64];
    size_t count, pb_len;
    bool late, parked;
} last;

static int keep(void *at, const struct pl_dead_entry *e)
{
    (void)at;
    last.count++;
    memcpy(last.entry, e->entry, sizeof last.entry);
    last.late = e->late;
    last.parked = e->parked;
    last.pb_len = e->pb_len;
    if (e->pb && e->pb_len <= sizeof last.pb)
        memcpy(last.pb, e->pb, e->pb_len);
    snprintf(last.text, sizeof last.text, "%s|%s|%s|%s|%llu", e->group, e->reason, e->where,
             e->worker, (unsigned long long)e->deliveries);
    for (size_t i = 0; i < e->field_count; i++)
        snprintf(last.text + strlen(last.text), sizeof last.text - strlen(last.text), "|%s=%s",
                 e->fields[i].name, e->fields[i].value);
    return 0;
}

static size_t look(void)
{
    struct pl_error err = {0};

    memset(&last, 0, sizeof last);
    must(pl_dead_each(dead, 0, keep, NULL, &err), &err);
    return last.count;
}

static enum pl_dead_outcome retry(const char *entry)
{
    enum pl_dead_outcome outcome = PL_DEAD_GONE;
    struct pl_error err = {0};

    must(pl_dead_retry(dead, entry, &outcome, &err), &err);
    (void)ledger();
    return outcome;
}

static enum pl_dead_outcome drop(const char *entry, const char *reason)
{
    enum pl_dead_outcome outcome = PL_DEAD_GONE;
    struct pl_error err = {0};

    must(pl_dead_drop(dead, entry, reason, &outcome, &err), &err);
    (void)ledger();
    return outcome;
}

/* Groups that the ledger counts as dropped for a reason. */
static uint64_t counted(const char *reason)
{
    struct pl_survey *survey = calloc(1, sizeof *survey);
    struct pl_surveyor *surveyor = NULL;
    struct pl_error err = {0};
    uint64_t n = 0;

    assert_non_null(survey);
    must(pl_surveyor_create(redis.url, NULL, run_name, &surveyor, &err), &err);
    must(pl_surveyor_take(surveyor, survey, &err), &err);
    for (size_t i = 0; i < survey->reason_count; i++)
        n += strcmp(survey->reasons[i].text, reason) == 0 ? survey->reasons[i].count : 0;
    pl_surveyor_destroy(surveyor);
    pl_survey_release(survey);
    free(survey);
    return n;
}

/* A command about a key of the run. */
static void say(const char *command, const char *key, const char *rest)
{
    char line[256];

    snprintf(line, sizeof line, "%s plait:{%s}:%s %s", command, run_name, key, rest);
    pl_test_redis_say(&redis, line);
}

static void a_prompt_goes_back_and_all_the_way(void **state)
{
    struct pl_ready ready = {0};
    struct pl_lease l;
    char entry[48];

    (void)state;
    feed("0", 2);
    bury(PL_QUEUE_PROMPTS, "it is odd");
    assert_int_equal(look(), 1);
    assert_string_equal(last.text, "0:0|it is odd|prompts|actor-1|1|version=3|source=kk");
    assert_memory_equal(last.pb, "pr\0mpt", 6);
    assert_false(last.late);
    assert_int_equal(ledger().dropped, 1);
    memcpy(entry, last.entry, sizeof entry);

    assert_int_equal(retry(entry), PL_DEAD_DONE);
    assert_int_equal(ledger().dropped, 0);
    assert_int_equal(counted("it is odd"), 0);
    assert_int_equal(ledger().queued, 2);
    assert_int_equal(ledger().dead, 0);
    assert_int_equal(retry(entry), PL_DEAD_GONE); /* a second time changes nothing */
    assert_int_equal(ledger().queued, 2);

    l = lease(PL_QUEUE_PROMPTS); /* the other one */
    assert_string_equal(l.group, "0:1");
    pl_queues_return(s, PL_QUEUE_PROMPTS, &l, NULL);
    pl_lease_release(&l);
    l = lease(PL_QUEUE_PROMPTS);
    assert_string_equal(l.group, "0:0");
    assert_int_equal(l.deliveries, 1);
    assert_int_equal(l.pb_len, 6);
    assert_memory_equal(l.pb, "pr\0mpt", 6);
    pl_queues_return(s, PL_QUEUE_PROMPTS, &l, NULL);
    pl_lease_release(&l);
    sample();
    sample();
    score(1);
    assert_int_equal(take("0", &ready), PL_ENOENT);
    score(3);
    assert_int_equal(take("0", &ready), PL_OK);
    assert_int_equal(ready.count, 2);
    assert_int_equal(ready.dropped, 0);
    assert_true(ready.accuracy == 0.5);
    pl_ready_release(&ready);
    assert_int_equal(ledger().scored, 2);
}

static void a_rollout_goes_back_to_the_rollouts(void **state)
{
    struct pl_lease l;

    (void)state;
    feed("7", 2);
    sample();
    sample();
    bury(PL_QUEUE_ROLLOUTS, "no message");
    assert_int_equal(look(), 1);
    assert_string_equal(last.text, "7:0|no message|rollouts|actor-1|1|actor=actor-1|tokens=12");
    assert_int_equal(retry(last.entry), PL_DEAD_DONE);
    assert_int_equal(ledger().rolled, 2);
    score(1);
    l = lease(PL_QUEUE_ROLLOUTS);
    assert_string_equal(l.group, "7:0");
    assert_memory_equal(l.pb, "rollout", 7);
    pl_lease_release(&l);
}

/* The gate was decided without it, and is decided anew. */
static void a_batch_not_yet_taken_is_opened_again(void **state)
{
    struct pl_ready ready = {0};

    (void)state;
    say("HSET", "run", "step 2");
    feed("3", 2);
    bury(PL_QUEUE_PROMPTS, "odd");
    sample();
    score(4);
    assert_int_equal(take("3", &ready), PL_OK);
    assert_true(ready.accuracy == 1.0);
    assert_int_equal(ready.dropped, 1);
    pl_ready_release(&ready);
    assert_int_equal(ledger().ready, 1);
    look();
    assert_int_equal(retry(last.entry), PL_DEAD_DONE);
    assert_int_equal(ledger().ready, 0);
    assert_int_equal(take("3", &ready), PL_ENOENT);
    sample();
    score(0);
    assert_int_equal(take("3", &ready), PL_OK);
    assert_true(ready.accuracy == 0.5);
    assert_int_equal(ready.count, 2);
    pl_ready_release(&ready);
    assert_int_equal(ledger().ready, 1);
}

/* Batch 4's gate was decided against what batch 3 came to without the group. */
static void the_gate_behind_it_is_decided_anew(void **state)
{
    struct pl_ready ready = {0};

    (void)state;
    say("HSET", "run", "step 2");
    feed("3", 2);
    feed_after("4", "3");
    bury(PL_QUEUE_PROMPTS, "odd");
    for (int i = 0; i < 2; i++) {
        sample();
        score(i == 0 ? 4 : 3);
    }
    assert_int_equal(take("4", &ready), PL_OK); /* 0.75 after 1 */
    assert_true(ready.previous == 1.0 && !ready.gate);
    pl_ready_release(&ready);
    look();
    assert_int_equal(retry(last.entry), PL_DEAD_DONE);
    assert_int_equal(take("4", &ready), PL_ENOENT);
    assert_int_equal(ledger().ready, 0);
    sample();
    score(0);
    assert_int_equal(take("4", &ready), PL_OK); /* 0.75 after 0.5 */
    assert_true(ready.previous == 0.5 && ready.gate);
    pl_ready_release(&ready);
    assert_int_equal(ledger().ready, 2);
}

static void what_the_learner_may_have_stays(void **state)
{
    struct pl_ready ready = {0};

    (void)state;
    feed("3", 2);
    feed("e3", 2);
    for (int i = 0; i < 2; i++) {
        bury(PL_QUEUE_PROMPTS, "odd");
        sample();
        score(4);
    }
    look();
    assert_string_equal(last.text, "e3:0|odd|prompts|actor-1|1|version=3|source=kk");
    say("HSET", "run", "step 2");
    assert_int_equal(retry(last.entry), PL_DEAD_TAKEN); /* an evaluation is taken at any time */
    say("HSET", "run", "step 3");
    assert_int_equal(pl_dead_each(dead, 1, keep, NULL, NULL), PL_OK);
    assert_int_equal(strncmp(last.text, "3:0|", 4), 0);
    assert_int_equal(retry(last.entry), PL_DEAD_TAKEN);
    say("HDEL", "run", "step"); /* no learner said where it is */
    assert_int_equal(retry(last.entry), PL_DEAD_TAKEN);
    assert_int_equal(take("3", &ready), PL_OK);
    assert_int_equal(ready.count, 1);
    pl_ready_release(&ready);
    assert_int_equal(look(), 2);
}

static void what_is_over_is_refused(void **state)
{
    struct pl_lease l;

    (void)state;
    feed("0", 2);
    l = lease(PL_QUEUE_PROMPTS);
    bury(PL_QUEUE_PROMPTS, "first");
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    look();
    assert_int_equal(retry(last.entry), PL_DEAD_RETIRED);
    /* Somebody who held a lease all the while finds out that it is no message: it counts nowhere.
     */
    assert_int_equal(pl_queues_bury(s, PL_QUEUE_PROMPTS, &l, "late", NULL), PL_OK);
    pl_lease_release(&l);
    assert_int_equal(look(), 2);
    assert_true(last.late);
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(retry(last.entry), PL_DEAD_RETIRED);
    assert_int_equal(drop(last.entry, "looked at"), PL_DEAD_DONE);
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(ledger().dead, 1);
}

/* A group that five workers ended with is parked; by hand it is retried at once, or given up. */
static void park(void)
{
    for (int i = 0; i < 5; i++) {
        struct pl_lease l = lease(PL_QUEUE_PROMPTS);
        enum pl_outcome outcome = PL_OUTCOME_LOST;
        struct pl_error err = {0};

        must(pl_queues_begin_work(s, PL_QUEUE_PROMPTS, &l, &outcome, &err), &err);
        pl_lease_release(&l);
        pl_queues_close(s);
        open_queues();
    }
    assert_int_equal(pl_queues_lease(s, PL_QUEUE_PROMPTS, 0, &(struct pl_lease){0}, NULL),
                     PL_ENOENT);
    assert_int_equal(ledger().parked, 1);
    assert_int_equal(look(), 1);
    assert_true(last.parked);
    assert_string_equal(last.text, "0:0|5 workers ended while they computed it: actor-1 actor-1 "
                                   "actor-1 actor-1 actor-1|prompts|actor-1|5|version=3|source=kk");
}

static void a_parked_group_is_retried_or_given_up(void **state)
{
    struct pl_ready ready = {0};
    struct pl_lease l;

    (void)state;
    feed("0", 1);
    park();
    assert_int_equal(retry(last.entry), PL_DEAD_DONE);
    assert_int_equal(retry(last.entry), PL_DEAD_GONE);
    assert_int_equal(ledger().parked, 0);
    assert_int_equal(ledger().dropped, 0);
    l = lease(PL_QUEUE_PROMPTS);
    assert_int_equal(l.deliveries, 1); /* somebody has looked at it */
    pl_queues_return(s, PL_QUEUE_PROMPTS, &l, NULL);
    pl_lease_release(&l);
    park();
    assert_int_equal(take("0", &ready), PL_ENOENT);
    assert_int_equal(drop(last.entry, "the task is wrong"), PL_DEAD_DONE);
    assert_int_equal(drop(last.entry, "the task is wrong"), PL_DEAD_GONE);
    assert_int_equal(ledger().parked, 0);
    assert_int_equal(ledger().dropped, 1);
    assert_int_equal(counted("the task is wrong"), 1);
    assert_int_equal(take("0", &ready), PL_OK);
    assert_int_equal(ready.dropped, 1);
    pl_ready_release(&ready);
}

static void a_group_made_another_time_is_not_made_twice(void **state)
{
    char first[48];

    (void)state;
    feed("0", 2);
    bury(PL_QUEUE_PROMPTS, "odd");
    look();
    memcpy(first, last.entry, sizeof first);
    /* The same group is fed again and dies again, as after a Redis that lost half of what it knew.
     */
    say("HDEL", "groups:0", "0");
    feed("0", 1);
    assert_int_equal(pl_dead_each(dead, 0, keep, NULL, NULL), PL_OK);
    say("HINCRBY", "ledger", "dropped -1"); /* what it lost of the ledger, too */
    say("HINCRBY", "ledger", "fed -1");
    assert_int_equal(retry(first), PL_DEAD_REPLACED);
    assert_int_equal(ledger().queued, 2);
    say("XADD", "dead", "* id 0:0 where prompts");
    look();
    assert_int_equal(retry(last.entry), PL_DEAD_UNREADABLE);
    assert_int_equal(retry("1-1"), PL_DEAD_GONE);
}

static void a_dropped_one_is_counted_for_the_reason_given(void **state)
{
    (void)state;
    feed("0", 3);
    bury(PL_QUEUE_PROMPTS, "odd");
    bury(PL_QUEUE_PROMPTS, "odd");
    look();
    assert_int_equal(drop(last.entry, "the task is wrong"), PL_DEAD_DONE);
    assert_int_equal(drop(last.entry, "the task is wrong"), PL_DEAD_GONE);
    assert_int_equal(retry(last.entry), PL_DEAD_GONE);
    assert_int_equal(ledger().dropped, 2);
    assert_int_equal(look(), 1);
    assert_int_equal(drop(last.entry, ""), PL_DEAD_DONE);
    assert_int_equal(look(), 0);
    assert_int_equal(ledger().dropped, 2);
    assert_int_equal(counted("odd"), 1);
    assert_int_equal(counted("the task is wrong"), 1);
    bury(PL_QUEUE_PROMPTS, "odd");
    assert_int_equal(counted("odd"), 2);
    look();
    assert_int_equal(drop(last.entry, "x"), PL_DEAD_DONE);
    assert_int_equal(counted("odd"), 1);
    assert_int_equal(counted("x"), 1);
}

/* ---- what is shown ---- */

static const char hostile[] = "\033]0;owned\a\033[2J ends";
static uint32_t prompt_ids[128];
static size_t prompt_len;

static struct pl_rollout_group group_of(const char *task)
{
    prompt_len = 0;
    for (const char *at = hostile; *at; at++)
        prompt_ids[prompt_len++] = (unsigned char)*at;
    return (struct pl_rollout_group){.stage = PL_STAGE_PROMPT,
                                     .index = 1,
                                     .version = 3,
                                     .temperature = 1.0f,
                                     .top_p = 1.0f,
                                     .samples = 2,
                                     .new_tokens_max = 50,
                                     .prompt = prompt_ids,
                                     .prompt_len = prompt_len,
                                     .task = task,
                                     .task_len = strlen(task)};
}

static const char task[] =
    "{\"id\": \"t-1\", \"source\": \"kk\", \"question\": \"Who? \\u001b[31m\","
    " \"answer\": \"carl\", \"verifier\": \"kk\"}";

static char *printed(const struct pl_dead_entry *e, const struct pl_tokenizer *tokenizer)
{
    struct pl_buf text;

    pl_buf_init(&text, 1 << 16);
    assert_int_equal(pl_dead_group_print(e, tokenizer, "there is none", &text), PL_OK);
    return text.data;
}

static void a_group_is_shown_as_far_as_it_can_be_read(void **state)
{
    const struct pl_test_mini bytes = {.merges = (const char *const[]){NULL}};
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&bytes);
    struct pl_rollout_group g = group_of(task);
    struct pl_dead_entry e = {.entry = "1795565778000-0",
                              .group = "0:1",
                              .reason = "bad \033[1m",
                              .worker = "actor-\x9b",
                              .where = "prompts",
                              .deliveries = 6,
                              .at_s = 1795565778.0,
                              .fields = {{"version", "3"}},
                              .field_count = 1};
    struct pl_buf pb;
    json_t *json;
    char *text;

    (void)state;
    pl_buf_init(&pb, 1 << 16);
    assert_int_equal(pl_rollout_group_encode(&g, &pb), PL_OK);
    e.pb = pb.data;
    e.pb_len = pb.len;
    text = printed(&e, tokenizer);
    assert_string_equal(text, "group       0:1\n"
                              "reason      bad \\x1b[1m\n"
                              "where       prompts\n"
                              "since       2026-11-25T00:16:18Z\n"
                              "deliveries  6, the last to actor-\\x9b\n"
                              "version     3\n"
                              "entry       1795565778000-0\n"
                              "samples     2 wanted, interleave, temperature 1, 50 tokens at most\n"
                              "pinned to   3\n"
                              "question    Who? \\x1b[31m\n"
                              "answer      carl\n"
                              "verifier    kk\n"
                              "\n"
                              "-- prompt: 19 tokens\n"
                              "\\x1b]0;owned\\x07\\x1b[2J ends\n");
    free(text);
    text = printed(&e, NULL);
    assert_non_null(strstr(text, "tokens      there is none\n"));
    assert_non_null(strstr(text, "\n27 93 48 59"));
    free(text);
    json = pl_dead_group_json(&e, true, tokenizer);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json, "message"), "prompt")), hostile);
    assert_string_equal(json_string_value(json_object_get(json, "worker")), "actor-\\x9b");
    json_decref(json);

    e.pb_len = 3; /* cut */
    text = printed(&e, tokenizer);
    assert_non_null(strstr(text, "\nunreadable  "));
    assert_non_null(strstr(text, "\n3 bytes:\n  "));
    free(text);
    e.pb = NULL;
    e.pb_len = 0;
    text = printed(&e, tokenizer);
    assert_non_null(strstr(text, "\nunreadable  its entry has no message\n0 bytes\n"));
    free(text);
    pl_buf_release(&pb);
    pl_tokenizer_destroy(tokenizer);
}

/* ---- from outside ---- */

static int run_plait(const char *words, char out[8192])
{
    char command[512];
    size_t len;
    FILE *pipe;

    snprintf(command, sizeof command, "'%s' dead %s 2>&1", plait, words);
    pipe = popen(command, "r"); /* NOLINT: a command of the test's own */
    assert_non_null(pipe);
    len = fread(out, 1, 8191, pipe);
    out[len] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

static void assert_holds(const char *out, const char *text)
{
    if (!strstr(out, text))
        fail_msg("should hold '%s': %s", text, out);
}

static void make_folder(char dir[96])
{
    const struct pl_test_mini bytes = {.merges = (const char *const[]){NULL}};
    char path[160];
    FILE *file;

    snprintf(dir, 96, "%s/%s", redis.dir, run_name);
    assert_int_equal(mkdir(dir, 0755), 0);
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "run: {name: %s, dir: %s}\nmodel.path: %s\ndata.train_files: [t.jsonl]\nlink.redis: "
            "%s\n",
            run_name, dir, dir, redis.url);
    assert_int_equal(fclose(file), 0);
    pl_test_mini_save(&bytes, dir);
}

static void the_program_does_the_same(void **state)
{
    struct pl_rollout_group g = group_of(task);
    char dir[96], words[256], out[8192];
    struct pl_buf pb;

    (void)state;
    make_folder(dir);
    snprintf(words, sizeof words, "ls %s", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_string_equal(out, "No group is dead.\n");
    pl_buf_init(&pb, 1 << 16);
    assert_int_equal(pl_rollout_group_encode(&g, &pb), PL_OK);
    for (uint32_t i = 0; i < 4; i++)
        feed_pb("0", i, 4, pb.data, pb.len);
    pl_buf_release(&pb);
    bury(PL_QUEUE_PROMPTS, "odd \033[31m");
    bury(PL_QUEUE_PROMPTS, "odd too");
    bury(PL_QUEUE_PROMPTS, "odd three");
    assert_int_equal(run_plait(words, out), 0);
    assert_holds(out, "0:0    prompts  20");
    assert_holds(out, "actor-1  odd \\x1b[31m\n");
    snprintf(words, sizeof words, "ls %s --json", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_holds(out, "\"reason\": \"odd \\u001B[31m\"");
    snprintf(words, sizeof words, "show %s 0:0", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_holds(out, "question    Who? \\x1b[31m\n");
    assert_holds(out, "\n\\x1b]0;owned\\x07\\x1b[2J ends\n");
    assert_null(strchr(out, '\033'));

    snprintf(words, sizeof words, "retry %s 0:0 0:9",
             dir); /* one of them is none: nothing is done */
    assert_int_equal(run_plait(words, out), 1);
    assert_holds(out, "no dead group is '0:9'; there are: 0:0, 0:1, 0:2");
    assert_int_equal(ledger().dead, 3);
    snprintf(words, sizeof words, "retry %s", dir);
    assert_int_equal(run_plait(words, out), 2);
    assert_holds(out, "name groups, or give --all");
    snprintf(words, sizeof words, "retry %s 0:0", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_string_equal(out, "0:0 is queued again\n");
    assert_int_equal(ledger().queued, 2);
    snprintf(words, sizeof words, "drop %s 0:1 --reason 'bad task'", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_string_equal(out, "0:1 is dropped for good\n");
    assert_int_equal(ledger().dropped, 2);
    assert_int_equal(pl_queues_retire(s, "0", NULL), PL_OK);
    snprintf(words, sizeof words, "retry %s --all", dir);
    assert_int_equal(run_plait(words, out), 2);
    assert_holds(out, "0:2 (1");
    assert_holds(out, "was left as it is: its batch is over");
    snprintf(words, sizeof words, "drop %s --all --json", dir);
    assert_int_equal(run_plait(words, out), 0);
    assert_holds(out, "\"dropped\": [\n  \"0:2\"\n ]");
    assert_int_equal(ledger().dead, 0);
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

#define ON_A_RUN(test) cmocka_unit_test_setup_teardown(test, new_run, end_run)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        ON_A_RUN(a_prompt_goes_back_and_all_the_way),
        ON_A_RUN(a_rollout_goes_back_to_the_rollouts),
        ON_A_RUN(a_batch_not_yet_taken_is_opened_again),
        ON_A_RUN(the_gate_behind_it_is_decided_anew),
        ON_A_RUN(what_the_learner_may_have_stays),
        ON_A_RUN(what_is_over_is_refused),
        ON_A_RUN(a_parked_group_is_retried_or_given_up),
        ON_A_RUN(a_group_made_another_time_is_not_made_twice),
        ON_A_RUN(a_dropped_one_is_counted_for_the_reason_given),
        cmocka_unit_test(a_group_is_shown_as_far_as_it_can_be_read),
        ON_A_RUN(the_program_does_the_same),
    };

    plait = argc > 1 ? argv[1] : "plait";
    if (!pl_test_redis_there()) {
        fprintf(stderr,
                "skipped: redis-server is not installed (deploy/install-deps.sh installs it)\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, end);
}
