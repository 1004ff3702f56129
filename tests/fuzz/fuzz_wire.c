/*
 * Messages between processes: one that decodes is within its limits, and encoding it gives a
 * message that decodes to the same. A delta of weights that applies gives the same weights twice.
 *
 * The first byte of the input is what it is: a group as prompt, rollouts or scored, a manifest, an
 * announcement, a question for weights, an answer to one, a delta, a request for scores, or a
 * sealed message.
 */
#include "common/link/delta.h"
#include "common/link/version.h"
#include "proto/rollout.h"
#include "proto/score.h"
#include "proto/weights.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    GROUP_PROMPT,
    GROUP_ROLLOUT,
    GROUP_SCORED,
    MANIFEST,
    ANNOUNCEMENT,
    REQUEST,
    ANSWER,
    DELTA,
    SCORES,
    SEALED,
    KINDS
};

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT), MESSAGE_BYTES_MAX = 1 << 24 };

static const struct pl_rollout_group_limits limits = {
    .bytes = 1 << 16, .samples = 4, .tokens = 64, .vocab = 1000};

static struct pl_buf new_buf(void)
{
    struct pl_buf buf;

    pl_buf_init(&buf, MESSAGE_BYTES_MAX);
    return buf;
}

static bool same(const struct pl_buf *a, const struct pl_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* --- groups --- */

static void check_score(const struct pl_score *score, size_t len)
{
    PL_ASSERT(isfinite(score->format) && isfinite(score->final));
    PL_ASSERT(isfinite(score->intermediate) && isfinite(score->extra) && score->extra <= 0);
    PL_ASSERT(score->why && score->steps_right <= score->steps);
    PL_ASSERT(score->first_answer >= -1 && score->first_answer <= (int64_t)len);
    for (size_t i = 0; i < score->segment_count; i++)
        PL_ASSERT(score->segments[i].token_begin <= score->segments[i].token_end &&
                  score->segments[i].token_end <= len && score->segments[i].step >= -1);
}

static void check_rollout(const struct pl_rollout *rollout, enum pl_stage stage)
{
    PL_ASSERT(rollout->len <= limits.tokens);
    PL_ASSERT(rollout->versions_len == 1 || rollout->versions_len == rollout->len);
    for (size_t i = 0; i < rollout->len; i++)
        PL_ASSERT(rollout->ids[i] < limits.vocab && isfinite(rollout->logprobs[i]) &&
                  rollout->logprobs[i] <= 0);
    if (stage == PL_STAGE_SCORED)
        check_score(&rollout->score, rollout->len);
}

static void check_group(const struct pl_rollout_group *group)
{
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(group, id);
    PL_ASSERT(group->samples >= 1 && group->samples <= limits.samples);
    PL_ASSERT(group->prompt_len >= 1 && group->prompt_len <= limits.tokens);
    for (size_t i = 0; i < group->prompt_len; i++)
        PL_ASSERT(group->prompt[i] < limits.vocab);
    PL_ASSERT(isfinite(group->temperature) && group->temperature >= 0);
    PL_ASSERT(group->task[group->task_len] == '\0');
    PL_ASSERT(pl_method_name(group->method));
    if (group->stage == PL_STAGE_PROMPT)
        return;
    PL_ASSERT(group->actor && isfinite(group->generate_s));
    for (size_t i = 0; i < group->samples; i++)
        check_rollout(&group->rollouts[i], group->stage);
}

static int run_group(struct pl_fuzz_in in, enum pl_stage stage, struct pl_error *err)
{
    struct pl_rollout_group group = {0}, back = {0};
    struct pl_buf once = new_buf(), twice = new_buf();
    int rc = pl_rollout_group_decode(in.data, in.size, stage, &limits, &group, err);

    if (rc < 0)
        return rc;
    check_group(&group);
    PL_ASSERT(pl_rollout_group_encode(&group, &once) == PL_OK);
    PL_ASSERT(pl_rollout_group_decode(once.data, once.len, stage, &limits, &back, err) == PL_OK);
    PL_ASSERT(pl_rollout_group_encode(&back, &twice) == PL_OK);
    PL_ASSERT(same(&once, &twice));
    pl_rollout_group_release(&group);
    pl_rollout_group_release(&back);
    pl_buf_release(&once);
    pl_buf_release(&twice);
    return rc;
}

/* --- weights --- */

static int run_manifest(struct pl_fuzz_in in, struct pl_error *err)
{
    struct pl_manifest manifest = {0}, back = {0};
    struct pl_buf once = new_buf(), twice = new_buf();
    int rc = pl_manifest_decode(in.data, in.size, &manifest, err);

    if (rc < 0)
        return rc;
    PL_ASSERT(memchr(manifest.run, '\0', sizeof manifest.run));
    PL_ASSERT(manifest.transfer_count <= PL_TRANSFERS_MAX);
    for (size_t i = 0; i < manifest.transfer_count; i++) {
        PL_ASSERT(manifest.transfers[i].chunk_count <= PL_WEIGHTS_CHUNKS_MAX);
        for (size_t j = 0; j < manifest.transfers[i].chunk_count; j++)
            PL_ASSERT(manifest.transfers[i].chunks[j].bytes >= 1 &&
                      manifest.transfers[i].chunks[j].bytes <= PL_WEIGHTS_CHUNK_MAX);
    }
    if (pl_manifest_check(&manifest, manifest.run, manifest.version, NULL) == PL_OK)
        for (size_t i = 0; i < manifest.transfer_count; i++)
            PL_ASSERT(manifest.transfers[i].chunk_count == pl_blocks(manifest.values));
    PL_ASSERT(pl_manifest_encode(&manifest, &once) == PL_OK);
    PL_ASSERT(pl_manifest_decode(once.data, once.len, &back, err) == PL_OK);
    PL_ASSERT(pl_manifest_encode(&back, &twice) == PL_OK);
    PL_ASSERT(same(&once, &twice));
    pl_manifest_release(&manifest);
    pl_manifest_release(&back);
    pl_buf_release(&once);
    pl_buf_release(&twice);
    return rc;
}

static int run_announcement(struct pl_fuzz_in in, struct pl_error *err)
{
    struct pl_announcement announcement = {0}, back = {0};
    struct pl_buf once = new_buf();
    int rc = pl_announcement_decode(in.data, in.size, &announcement, err);

    if (rc < 0)
        return rc;
    PL_ASSERT(memchr(announcement.run, '\0', sizeof announcement.run));
    PL_ASSERT(pl_announcement_encode(&announcement, &once) == PL_OK);
    PL_ASSERT(pl_announcement_decode(once.data, once.len, &back, err) == PL_OK);
    PL_ASSERT(strcmp(back.run, announcement.run) == 0 && back.version == announcement.version &&
              memcmp(back.hash, announcement.hash, sizeof back.hash) == 0);
    pl_buf_release(&once);
    return rc;
}

static int run_request(struct pl_fuzz_in in, bool answer, struct pl_error *err)
{
    struct pl_weights_request request = {0}, back = {0};
    struct pl_buf once = new_buf();
    int rc = pl_weights_request_decode(in.data, in.size, answer, &request, err);

    if (rc < 0)
        return rc;
    PL_ASSERT(memchr(request.run, '\0', sizeof request.run));
    PL_ASSERT(request.what == PL_WEIGHTS_MANIFEST || request.what == PL_WEIGHTS_CHUNK);
    PL_ASSERT(pl_weights_request_encode(&request, answer, &once) == PL_OK);
    PL_ASSERT(pl_weights_request_decode(once.data, once.len, answer, &back, err) == PL_OK);
    PL_ASSERT(strcmp(back.run, request.run) == 0 && back.version == request.version &&
              back.what == request.what && back.transfer == request.transfer &&
              back.chunk == request.chunk && back.error == request.error);
    pl_buf_release(&once);
    return rc;
}

static int run_sealed(struct pl_fuzz_in in, struct pl_error *err)
{
    struct pl_sealed sealed = {0}, back = {0};
    struct pl_buf once = new_buf();
    const int rc = pl_sealed_decode(in.data, in.size, &sealed, err);

    if (rc < 0)
        return rc;
    PL_ASSERT(pl_sealed_encode(&sealed, &once) == PL_OK);
    PL_ASSERT(pl_sealed_decode(once.data, once.len, &back, err) == PL_OK);
    PL_ASSERT(back.len == sealed.len && memcmp(back.body, sealed.body, back.len) == 0 &&
              back.has_signature == sealed.has_signature &&
              memcmp(back.signature, sealed.signature, sizeof back.signature) == 0);
    pl_sealed_release(&sealed);
    pl_sealed_release(&back);
    pl_buf_release(&once);
    return rc;
}

static int run_delta(struct pl_fuzz_in in, struct pl_error *err)
{
    enum { VALUES = 300 };
    static const uint16_t zeros[VALUES];
    uint16_t once[VALUES] = {0}, twice[VALUES] = {0};
    unsigned char *delta;
    size_t len;
    const int rc = pl_delta_apply(in.data, in.size, once, VALUES);

    if (rc < 0)
        return pl_fail(err, rc, "no delta");
    memcpy(twice, once, sizeof twice);
    PL_ASSERT(pl_delta_apply(in.data, in.size, twice, VALUES) == PL_OK);
    PL_ASSERT(memcmp(once, twice, sizeof once) == 0);
    memset(twice, 0, sizeof twice);
    delta = malloc(pl_delta_room(VALUES));
    PL_ASSERT(delta);
    len = pl_delta_encode(zeros, once, VALUES, delta);
    PL_ASSERT(len <= pl_delta_max(VALUES));
    PL_ASSERT(pl_delta_apply(delta, len, twice, VALUES) == PL_OK);
    PL_ASSERT(memcmp(once, twice, sizeof once) == 0);
    free(delta);
    return rc;
}

/* --- scores on request --- */

static int run_scores(struct pl_fuzz_in in, struct pl_error *err)
{
    static const struct pl_score_request_limits most = {
        .bytes = 1 << 16, .responses = 4, .length = 100};
    struct pl_score_request request = {0}, back = {0};
    struct pl_buf once = new_buf(), twice = new_buf();
    int rc = pl_score_request_decode(in.data, in.size, &most, &request, err);

    PL_ASSERT(rc == PL_OK || !request.memory);
    if (rc < 0)
        return rc;
    PL_ASSERT(request.count >= 1 && request.count <= most.responses);
    PL_ASSERT(request.task_len > 0 && strlen(request.task) == request.task_len);
    PL_ASSERT(pl_method_name(request.method));
    for (size_t i = 0; i < request.count; i++) {
        const struct pl_response *r = &request.responses[i];

        PL_ASSERT((r->text != NULL) != (r->ids != NULL));
        PL_ASSERT(r->len <= most.length && r->count <= most.length);
        PL_ASSERT(!r->stopped || r->count > 0);
    }
    PL_ASSERT(pl_score_request_encode(&request, &once) == PL_OK);
    PL_ASSERT(pl_score_request_decode(once.data, once.len, &most, &back, err) == PL_OK);
    PL_ASSERT(pl_score_request_encode(&back, &twice) == PL_OK);
    PL_ASSERT(same(&once, &twice) && back.id == request.id);
    pl_score_request_release(&request);
    pl_score_request_release(&back);
    pl_buf_release(&once);
    pl_buf_release(&twice);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    struct pl_error err = {0};
    int rc = PL_OK;

    switch ((enum kind)(pl_fuzz_byte(&in) % KINDS)) {
    case GROUP_PROMPT:
        rc = run_group(in, PL_STAGE_PROMPT, &err);
        break;
    case GROUP_ROLLOUT:
        rc = run_group(in, PL_STAGE_ROLLOUT, &err);
        break;
    case GROUP_SCORED:
        rc = run_group(in, PL_STAGE_SCORED, &err);
        break;
    case MANIFEST:
        rc = run_manifest(in, &err);
        break;
    case ANNOUNCEMENT:
        rc = run_announcement(in, &err);
        break;
    case REQUEST:
        rc = run_request(in, false, &err);
        break;
    case ANSWER:
        rc = run_request(in, true, &err);
        break;
    case DELTA:
        rc = run_delta(in, &err);
        break;
    case SCORES:
        rc = run_scores(in, &err);
        break;
    case SEALED:
    case KINDS:
        rc = run_sealed(in, &err);
    }
    if (rc < 0)
        pl_fuzz_refused(rc, &err, REFUSED);
    return 0;
}
