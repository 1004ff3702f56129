/*
 * Latest mode, what is too old: fed by a learner's feeder into a real Redis, sampled by some lines
 * that play an actor whose weights did not come, taken, dropped, and made once more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "learner/stale.h"
#include "tests/mini_tokenizer.h"
#include "tests/redis.h"
#include "tests/scratch.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, GROUPS = 2, SAMPLES = 2, LEN = 3, LEAST = 3 /* BATCH + 1 - staleness_max */ };

static struct pl_test_redis redis;
static struct pl_run_conf conf;
static struct pl_config config = {.eos_count = 0};
static struct pl_tokenizer *tokenizer;
static struct pl_prompts prompts;
static struct pl_queues *queues;
static struct pl_feeder feeder;

static void must(int rc, const struct pl_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static int set_up(void **state)
{
    static char *const settings[] = {(char *)"run.dir=/nowhere",
                                     (char *)"model.path=none",
                                     (char *)"data.train_files=none",
                                     (char *)"data.train_batch_size=2",
                                     (char *)"rollout.n=2",
                                     (char *)"rollout.mode=latest",
                                     (char *)"rollout.staleness_max=1",
                                     (char *)"data.instruction=none"};
    const struct pl_option_list none = {0};
    struct pl_option_list files = none;
    static char *names[1];
    struct pl_error err = {0};

    if (!pl_test_redis_there() || pl_scratch_setup(state) != 0)
        return -1;
    pl_scratch_text(pl_scratch("tasks.jsonl"),
                    "{\"id\": \"a\", \"source\": \"s\", \"question\": \"one?\", \"answer\": \"1\", "
                    "\"verifier\": \"kk\"}\n"
                    "{\"id\": \"b\", \"source\": \"s\", \"question\": \"two?\", \"answer\": \"2\", "
                    "\"verifier\": \"kk\"}\n");
    pl_scratch_text(pl_scratch("t.txt"), "{{user}}>{{answer}}\n");
    must(pl_run_conf_load(NULL, settings, sizeof settings / sizeof *settings, &conf, &err), &err);
    conf.template_file = pl_scratch("t.txt");
    names[0] = strdup(pl_scratch("tasks.jsonl"));
    files.items = names;
    files.count = 1;
    tokenizer = pl_test_mini_load(&(struct pl_test_mini){.merges = NULL});
    must(pl_prompts_load(&conf, &files, tokenizer, 4096, &prompts, &err), &err);
    free(names[0]);
    pl_test_redis_start(&redis);
    must(pl_queues_open(&(struct pl_queues_opts){.url = redis.url,
                                                 .run = "t",
                                                 .worker = "learner",
                                                 .role = "test",
                                                 .lease_ms = 60000,
                                                 .deliveries_max = 5,
                                                 .patience_ms = 20000},
                        &queues, &err),
         &err);
    pl_feeder_init(&feeder, &conf, &config, queues, &prompts, NULL);
    return 0;
}

static int tear_down(void **state)
{
    pl_feeder_release(&feeder);
    pl_queues_close(queues);
    pl_test_redis_end(&redis);
    pl_prompts_release(&prompts);
    pl_tokenizer_destroy(tokenizer);
    conf.template_file = "";
    pl_run_conf_release(&conf);
    return pl_scratch_teardown(state);
}

static const struct pl_rollout_group_limits limits = {
    .bytes = 1 << 20, .samples = SAMPLES, .tokens = 512, .vocab = 4096};

/* Lease the next prompt, which must be group `index`; sampled with these versions, the first sample
 * right, the second of no valid form. */
static void play(uint32_t index, const uint64_t versions[SAMPLES][LEN])
{
    static const uint32_t ids[LEN] = {1, 2, 3};
    static const float logprobs[LEN] = {-1, -1, -1};
    struct pl_rollout rollouts[SAMPLES];
    struct pl_rollout_group g;
    struct pl_lease lease = {0};
    enum pl_outcome outcome;
    struct pl_error err = {0};
    struct pl_buf buf;

    must(pl_queues_lease(queues, PL_QUEUE_PROMPTS, 3000, &lease, &err), &err);
    must(pl_rollout_group_decode(lease.pb, lease.pb_len, PL_STAGE_PROMPT, &limits, &g, &err), &err);
    assert_int_equal(g.index, index);
    assert_int_equal(g.batch, BATCH);
    assert_true(g.newest && g.version == LEAST);
    for (size_t s = 0; s < SAMPLES; s++)
        rollouts[s] = (struct pl_rollout){
            .ids = ids,
            .logprobs = logprobs,
            .versions = versions[s],
            .len = LEN,
            .versions_len = LEN,
            .score = {.format_ok = s == 0,
                      .verdict = s == 0 ? PL_VERDICT_RIGHT : PL_VERDICT_NONE,
                      .first_answer = -1,
                      .first_right = -1,
                      .why = ""},
        };
    g.stage = PL_STAGE_SCORED;
    g.actor = "a";
    g.rewarder = "r";
    g.rollouts = rollouts;
    pl_buf_init(&buf, 1 << 20);
    assert_int_equal(pl_rollout_group_encode(&g, &buf), PL_OK);
    must(pl_queues_finish(queues, &lease, NULL, 0, "x", 1, &outcome, &err), &err);
    pl_lease_release(&lease);
    must(pl_queues_lease(queues, PL_QUEUE_ROLLOUTS, 3000, &lease, &err), &err);
    must(pl_queues_commit(queues, &lease, SAMPLES, 1, 1, "", buf.data, buf.len, &outcome, &err),
         &err);
    assert_int_equal(outcome, PL_OUTCOME_DONE);
    pl_lease_release(&lease);
    pl_buf_release(&buf);
    pl_rollout_group_release(&g);
}

/* Take the batch; how many groups were dropped. A batch that stays has its accuracy from the groups
 * that are in it now: half of the samples are right. */
static size_t take(struct pl_staleness *ret_staleness)
{
    const struct pl_rollouts_check check = {.limits = limits, .version = LEAST, .newest = true};
    struct pl_rollouts rollouts = {0};
    struct pl_ready ready = {0};
    struct pl_error err = {0};
    struct pl_ledger ledger;
    size_t groups = 0, samples = 0;

    must(pl_queues_take(queues, "3", 0, &ready, &err), &err);
    must(pl_rollouts_read(&ready, &check, &rollouts, &err), &err);
    must(pl_stale_redo(&feeder, BATCH, &ready, &rollouts, LEAST, &groups, &samples, &err), &err);
    assert_int_equal(samples, SAMPLES * groups);
    if (groups == 0) {
        pl_staleness_of(&rollouts, BATCH + 1, ret_staleness);
        assert_true(ready.accuracy >= 0.5 && ready.accuracy <= 0.5);
    }
    must(pl_queues_ledger(queues, &ledger, &err), &err);
    assert_true(ledger.balanced);
    pl_rollouts_release(&rollouts);
    pl_ready_release(&ready);
    return groups;
}

static void what_is_too_old_is_made_once_more(void **state)
{
    const uint64_t old[SAMPLES][LEN] = {{3, 3, 4}, {2, 3, 4}},
                   young[SAMPLES][LEN] = {{3, 4, 4}, {4, 4, 4}};
    const uint64_t ahead[SAMPLES][LEN] = {{3, 3, 3}, {6, 6, 6}}; /* a learner that went back */
    struct pl_staleness s;
    struct pl_ledger ledger;
    struct pl_error err = {0};
    size_t fresh;

    (void)state;
    must(pl_feed_train(&feeder, BATCH, 0.0, &fresh, &err), &err);
    assert_int_equal(fresh, GROUPS);
    play(0, old); /* one token of one sample is enough */
    play(1, young);
    assert_int_equal(take(&s), 1);
    assert_int_equal(pl_queues_take(queues, "3", 0, &(struct pl_ready){0}, NULL), PL_ENOENT);
    must(pl_feed_train(&feeder, BATCH, 0.0, &fresh, &err), &err);
    assert_int_equal(fresh, 0); /* it is fed already */
    play(0, ahead);
    assert_int_equal(take(&s), 0);
    assert_int_equal(s.samples, 4);
    assert_int_equal(s.counts[0], 2);
    assert_int_equal(s.counts[1], 2);
    assert_int_equal(s.least, 0);
    assert_int_equal(s.most, 1);
    assert_true(s.mean >= 0.5 && s.mean <= 0.5);
    must(pl_queues_retire(queues, "3", &err), &err);
    must(pl_queues_ledger(queues, &ledger, &err), &err);
    assert_true(ledger.balanced && ledger.fed == 3 && ledger.trained == 2 && ledger.dropped == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_old_is_made_once_more),
    };

    if (!pl_test_redis_there()) {
        print_message("skipped: redis-server is not installed\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
