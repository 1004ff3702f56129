/* One step of the engine: let jobs in, lay out the rows, compute, draw, append. */
#include "actor/engine_impl.h"
#include "common/base/check.h"

#include <string.h>

static size_t common_prefix(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
    size_t n = 0;

    while (n < a_len && n < b_len && a[n] == b[n])
        n++;
    return n;
}

/* Begin with what an earlier job left in the cache; at least the prompt's last token is computed
 * anew. */
static bool admit_kept(struct pl_engine *e, struct pl_job *job, size_t positions)
{
    const struct pl_request *r = &job->request;
    size_t same;

    if (e->kept_len == 0 || r->samples != 1)
        return false;
    same = common_prefix(e->kept, e->kept_len, r->prompt, r->prompt_len - 1);
    if (same == 0)
        return false;
    if (pl_kv_adopt(e->kv, e->kept_slot, same, positions) < 0) {
        pl_engine_forget(e);
        return false;
    }
    job->slots[0] = e->kept_slot;
    job->stored = same;
    e->kept_len = 0;
    e->stats.reused_tokens += same;
    return true;
}

static bool admit_one(struct pl_engine *e, struct pl_job *job)
{
    const struct pl_request *r = &job->request;
    const size_t positions =
        r->prompt_len + r->new_tokens_max - 1; /* the last one is not fed back */

    if (!admit_kept(e, job, positions)) {
        if (pl_kv_claim(e->kv, r->prompt_len, positions, r->samples, job->slots) < 0) {
            pl_engine_forget(e);
            if (pl_kv_claim(e->kv, r->prompt_len, positions, r->samples, job->slots) < 0)
                return false;
        }
        job->stored = 0;
    }
    job->state = PL_JOB_PREFILL;
    return true;
}

/* In the order they came: one that does not fit yet holds back those behind it. */
static void admit(struct pl_engine *e)
{
    for (struct pl_job *job = e->jobs; job; job = job->next)
        if (job->state == PL_JOB_WAITING && !admit_one(e, job))
            return;
}

/* Rows of one sequence: positions [pos, pos + rows) with the given ids. */
static void batch_add(struct pl_engine *e, uint32_t slot, size_t pos, const uint32_t *ids,
                      size_t rows)
{
    pl_kv_extend(e->kv, slot, pos + rows);
    e->spans[e->span_count++] = (struct pl_span){
        .pages = pl_kv_table(e->kv, slot), .row = e->rows, .rows = rows, .pos = pos};
    for (size_t i = 0; i < rows; i++) {
        e->ids[e->rows + i] = ids[i];
        e->positions[e->rows + i] = (uint32_t)(pos + i);
    }
    e->rows += rows;
    PL_ASSERT(e->rows <= e->plan.rows);
}

/* A token is to be drawn for the sample from the row of logits begun last. */
static void draw_add(struct pl_engine *e, struct pl_job *job, size_t s)
{
    const struct pl_request *r = &job->request;
    struct pl_draw *draw = &e->draws[e->draw_count];

    PL_ASSERT(e->draw_count < e->opts.slots && e->head_count > 0);
    *draw = (struct pl_draw){.logits =
                                 e->logits + (e->head_count - 1) * e->weights->shape->config.vocab,
                             .sampling = r->sampling,
                             .rng = r->rng,
                             .position = (uint32_t)job->samples[s].len};
    draw->rng.sample += (uint32_t)s;
    e->targets[e->draw_count++] = (struct pl_target){job, s};
}

static void head_add(struct pl_engine *e)
{
    PL_ASSERT(e->head_count < e->opts.slots && e->rows > 0);
    e->head_rows[e->head_count++] = (uint32_t)(e->rows - 1);
}

static void batch_decode(struct pl_engine *e)
{
    for (struct pl_job *job = e->jobs; job; job = job->next) {
        if (job->state != PL_JOB_DECODE)
            continue;
        for (size_t s = 0; s < job->request.samples; s++) {
            const struct pl_sample *sample = &job->samples[s];

            if (sample->finish != PL_FINISH_NOT)
                continue;
            batch_add(e, job->slots[s], job->request.prompt_len + sample->len - 1,
                      &sample->ids[sample->len - 1], 1);
            head_add(e);
            draw_add(e, job, s);
        }
    }
    e->stats.step_decode_rows = e->rows;
}

static void batch_prefill(struct pl_engine *e)
{
    size_t budget = e->opts.chunk_tokens;

    for (struct pl_job *job = e->jobs; job && budget > 0; job = job->next) {
        if (job->state != PL_JOB_PREFILL)
            continue;
        const size_t left = job->request.prompt_len - job->stored;
        const size_t rows = left < budget ? left : budget;

        batch_add(e, job->slots[0], job->stored, job->request.prompt + job->stored, rows);
        job->stored += rows;
        budget -= rows;
        if (rows < left)
            continue;
        head_add(e); /* one row of logits, from which every sample draws its first token */
        for (size_t s = 0; s < job->request.samples; s++)
            draw_add(e, job, s);
    }
    e->stats.step_prompt_rows = e->rows - e->stats.step_decode_rows;
}

static void compute(struct pl_engine *e)
{
    const struct pl_batch batch = {.ids = e->ids,
                                   .positions = e->positions,
                                   .rows = e->rows,
                                   .spans = e->spans,
                                   .span_count = e->span_count};

    pl_forward(e->x, e->weights, e->rope, &batch, &e->kv->pages, &e->acts);
    if (e->head_count > 0)
        pl_forward_head(e->logits, e->h, NULL, e->weights, e->x, e->head_rows, e->head_count);
    pl_sampler_draw(e->sampler, e->draws, e->draw_count);
}

/* Prompts that are now whole: the other samples get them too. */
static void share_prompts(struct pl_engine *e)
{
    for (struct pl_job *job = e->jobs; job; job = job->next) {
        if (job->state != PL_JOB_PREFILL || job->stored < job->request.prompt_len)
            continue;
        for (size_t s = 1; s < job->request.samples; s++)
            pl_kv_fork(e->kv, job->slots[0], job->slots[s], job->stored);
        job->state = PL_JOB_DECODE;
    }
}

static bool is_stop(const struct pl_request *r, uint32_t id)
{
    for (size_t i = 0; i < r->stop_count; i++)
        if (r->stop_ids[i] == id)
            return true;
    return false;
}

static void append(struct pl_engine *e, struct pl_job *job, size_t s, const struct pl_draw *draw)
{
    const struct pl_request *r = &job->request;
    struct pl_sample *sample = &job->samples[s];
    bool go_on = true;

    if (draw->broken) {
        pl_job_finish(e, job, s, PL_FINISH_BROKEN);
        return;
    }
    PL_ASSERT(sample->len < r->new_tokens_max);
    sample->ids[sample->len] = draw->id;
    sample->logprobs[sample->len++] = draw->logprob;
    e->stats.new_tokens++;
    if (r->on_token)
        go_on = r->on_token(&(struct pl_token){.job = job,
                                               .user = r->user,
                                               .sample = s,
                                               .index = sample->len - 1,
                                               .id = draw->id,
                                               .logprob = draw->logprob});
    if (is_stop(r, draw->id))
        pl_job_finish(e, job, s, PL_FINISH_STOP);
    else if (sample->len == r->new_tokens_max)
        pl_job_finish(e, job, s, PL_FINISH_LENGTH);
    else if (!go_on)
        pl_job_finish(e, job, s, PL_FINISH_CANCELED);
}

size_t pl_engine_step(struct pl_engine *e)
{
    admit(e);
    e->rows = e->span_count = e->head_count = e->draw_count = 0;
    batch_decode(e);
    batch_prefill(e);
    e->stats.step_draws = e->draw_count;
    if (e->rows == 0)
        return 0;
    compute(e);
    share_prompts(e);
    const size_t used = e->kv->pages.count - e->kv->free_count; /* before any sample ends */

    if (used > e->stats.pages_used_max)
        e->stats.pages_used_max = used;
    for (size_t i = 0; i < e->draw_count; i++)
        append(e, e->targets[i].job, e->targets[i].sample, &e->draws[i]);
    e->stats.steps++;
    e->stats.prompt_tokens += e->stats.step_prompt_rows;
    return e->rows;
}
