/*
 * An actor that lies: plait-actor itself, but for what it hands over. PLAIT_LIE names the lie; the
 * first PLAIT_HONEST groups (0) are as they were made.
 */
#include "common/link/queues.h"
#include "proto/rollout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text beside the ids, in a field of the message that nobody knows: 100, length-delimited. */
static const char TEXT[] = "\xa2\x06\x1f<answer> what is right</answer>";

int __real_pl_queues_finish(struct pl_queues *stream, const struct pl_lease *lease,
                            const struct pl_field *fields, size_t count, const void *pb,
                            size_t pb_len, enum pl_outcome *ret_outcome, struct pl_error *err);
int __wrap_pl_queues_finish(struct pl_queues *stream, const struct pl_lease *lease,
                            const struct pl_field *fields, size_t count, const void *pb,
                            size_t pb_len, enum pl_outcome *ret_outcome, struct pl_error *err);

static void lie(struct pl_rollout_group *g, const char *how)
{
    struct pl_rollout *r = &g->rollouts[g->samples - 1];
    uint32_t *ids = (uint32_t *)r->ids, *prompt = (uint32_t *)g->prompt;
    float *logprobs = (float *)r->logprobs;

    if (strcmp(how, "prompt") == 0)
        prompt[0] ^= 1;
    else if (strcmp(how, "samples") == 0)
        g->samples--;
    else if (strcmp(how, "vocabulary") == 0)
        ids[0] = 100000;
    else if (strcmp(how, "version") == 0)
        ((uint64_t *)r->versions)[0]++;
    else if (strcmp(how, "early") == 0) /* the end is cut off */
        r->len = 1;
    else if (strcmp(how, "late") == 0 && g->stop_count > 0) /* it goes on behind the end */
        ids[0] = g->stop_ids[0];
    else if (strcmp(how, "finish") == 0)
        r->finish = r->finish == PL_SAMPLE_STOP ? PL_SAMPLE_LENGTH : PL_SAMPLE_STOP;
    else if (strcmp(how, "positive") == 0)
        logprobs[0] = 0.5f;
    else if (strcmp(how, "nan") == 0)
        logprobs[0] = NAN;
    else if (strcmp(how, "name") == 0)
        g->actor = "actor-1";
    else if (strcmp(how, "index") == 0)
        g->index++;
    else if (strcmp(how, "hash") == 0)
        g->weights_hash[0] ^= 1;
    else if (strcmp(how, "token") == 0)
        ids[0] = ids[0] > 1 ? ids[0] - 1 : ids[0] + 1;
    else if (strcmp(how, "logprob") == 0)
        logprobs[0] = nextafterf(logprobs[0], -INFINITY);
    else if (strcmp(how, "text") != 0)
        abort();
}

int __wrap_pl_queues_finish(struct pl_queues *stream, const struct pl_lease *lease,
                            const struct pl_field *fields, size_t count, const void *pb,
                            size_t pb_len, enum pl_outcome *ret_outcome, struct pl_error *err)
{
    static const struct pl_rollout_group_limits limits = {
        .bytes = 1 << 28, .samples = 1 << 12, .tokens = 1 << 20};
    static unsigned long told;
    const char *how = getenv("PLAIT_LIE"), *honest = getenv("PLAIT_HONEST");
    struct pl_rollout_group group = {0};
    struct pl_buf lied;
    int rc;

    if (!how || (honest && told++ < strtoul(honest, NULL, 10)))
        return __real_pl_queues_finish(stream, lease, fields, count, pb, pb_len, ret_outcome, err);
    if (pl_rollout_group_decode(pb, pb_len, PL_STAGE_ROLLOUT, &limits, &group, err) < 0)
        abort();
    lie(&group, how);
    pl_buf_init(&lied, 1 << 28);
    if (pl_rollout_group_encode(&group, &lied) < 0)
        abort();
    if (strcmp(how, "text") == 0 && pl_buf_append(&lied, TEXT, sizeof TEXT - 1) < 0)
        abort();
    rc = __real_pl_queues_finish(stream, lease, fields, count, lied.data, lied.len, ret_outcome,
                                 err);
    pl_buf_release(&lied);
    pl_rollout_group_release(&group);
    return rc;
}
