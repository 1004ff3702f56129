/*
 * Groups through the queues of a private Redis, one JSON line.
 *
 *   bench_queues
 *
 * One thread does what the learner, an actor and a rewarder do with each group: feed, lease,
 * finish, lease, commit, and with each batch: take, retire. Messages have the sizes of a group of 8
 * samples of 256 tokens. 16 groups a batch; Redis keeps an append-only file as that of `plait up`
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/link/queues.h"
#include "tests/bench/bench.h"
#include "tests/redis.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCHES = 24, GROUPS = 16, PROMPT = 1024, ROLLOUT = 8 * 256 * 7, SCORED = ROLLOUT + 1024 };

static char bytes[SCORED];
static struct pl_error err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "bench_queues: %s\n", err.text);
        _exit(1);
    }
}

static struct pl_queues *open_as(const char *url, const char *worker)
{
    struct pl_queues *q = NULL;

    check(pl_queues_open(&(struct pl_queues_opts){.url = url,
                                                  .run = "bench",
                                                  .worker = worker,
                                                  .role = "bench",
                                                  .lease_ms = 60000,
                                                  .deliveries_max = 5},
                         &q, &err));
    return q;
}

static void feed(struct pl_queues *q, const char *batch, uint32_t index)
{
    const struct pl_field fields[] = {{"version", "1"}, {"samples", "8"}, {"source", "kk"}};
    bool fresh = false;

    check(pl_queues_feed(q,
                         &(struct pl_feed){.batch = batch,
                                           .expected = GROUPS,
                                           .index = index,
                                           .after = "",
                                           .epsilon = 0.05,
                                           .fields = fields,
                                           .field_count = 3,
                                           .pb = bytes,
                                           .pb_len = PROMPT},
                         &fresh, &err));
    PL_ASSERT(fresh);
}

static void sample(struct pl_queues *q)
{
    const struct pl_field fields[] = {{"actor", "a"}, {"version", "1"}, {"tokens", "2048"}};
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;
    struct pl_lease lease;

    check(pl_queues_lease(q, PL_QUEUE_PROMPTS, 1000, &lease, &err));
    check(pl_queues_finish(q, &lease, fields, 3, bytes, ROLLOUT, &outcome, &err));
    PL_ASSERT(outcome == PL_OUTCOME_DONE);
    pl_lease_release(&lease);
}

static void score(struct pl_queues *q)
{
    enum pl_outcome outcome = PL_OUTCOME_RETIRED;
    struct pl_lease lease;

    check(pl_queues_lease(q, PL_QUEUE_ROLLOUTS, 1000, &lease, &err));
    check(pl_queues_commit(q, &lease, 8, 3, 8, "right=3/8 formatted=8/8", bytes, SCORED, &outcome,
                           &err));
    PL_ASSERT(outcome == PL_OUTCOME_DONE);
    pl_lease_release(&lease);
}

/* A batch all the way; seconds it took. */
static double batch(struct pl_queues *learner, struct pl_queues *actor, struct pl_queues *rewarder,
                    unsigned number)
{
    const double start = pl_bench_seconds();
    struct pl_ready ready;
    char name[16];

    snprintf(name, sizeof name, "%u", number);
    for (uint32_t i = 0; i < GROUPS; i++)
        feed(learner, name, i);
    for (int i = 0; i < GROUPS; i++) {
        sample(actor);
        score(rewarder);
    }
    check(pl_queues_take(learner, name, 1000, &ready, &err));
    PL_ASSERT(ready.count == GROUPS);
    pl_ready_release(&ready);
    check(pl_queues_retire(learner, name, &err));
    return pl_bench_seconds() - start;
}

int main(void)
{
    struct pl_queues *learner, *actor, *rewarder;
    struct pl_test_redis redis = {0};
    double times[BATCHES], s;

    if (!pl_test_redis_there()) {
        fprintf(stderr, "bench_queues: redis-server is not installed\n");
        return 77;
    }
    memset(bytes, 'x', sizeof bytes);
    pl_test_redis_start(&redis);
    pl_test_redis_say(&redis, "CONFIG SET appendfsync everysec"); /* as plait up has it */
    learner = open_as(redis.url, "learner");
    actor = open_as(redis.url, "actor");
    rewarder = open_as(redis.url, "rewarder");
    (void)batch(learner, actor, rewarder, 0);
    for (unsigned i = 0; i < BATCHES; i++)
        times[i] = batch(learner, actor, rewarder, i + 1);
    s = pl_bench_median(times, BATCHES);
    printf("{\"case\":\"queues\",\"groups_per_s\":%.0f,\"ms_per_group\":%.3f,\"bytes_per_group\":%"
           "d}\n",
           GROUPS / s, 1e3 * s / GROUPS, PROMPT + ROLLOUT + SCORED);
    pl_queues_close(learner);
    pl_queues_close(actor);
    pl_queues_close(rewarder);
    pl_test_redis_end(&redis);
    return 0;
}
