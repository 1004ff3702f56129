#include "learner/transcript.h"

#include "common/text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 64 << 20 };

static const char *const verdicts[] = {"none", "right", "wrong", "unparsed"};
static const char *const kinds[] = {"think", "answer"};

static json_t *segments_of(const struct pl_score *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->segment_count; i++) {
        const struct pl_segment *g = &s->segments[i];

        json_array_append_new(list, json_pack("{s:s, s:[i,i], s:i, s:s, s:f, s:f}", "kind",
                                              kinds[g->kind], "tokens", (int)g->token_begin,
                                              (int)g->token_end, "step", (int)g->step, "verdict",
                                              verdicts[g->verdict], "reward", (double)g->reward,
                                              "charge", (double)g->charge));
    }
    return list;
}

/* Ids that are no tokens are U+FFFD. */
int pl_transcript_text(const struct pl_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                       struct pl_buf *buf, struct pl_error *err)
{
    struct pl_buf bytes;
    int rc = PL_OK;

    pl_buf_clear(buf);
    pl_buf_init(&bytes, TEXT_BYTES_MAX);
    for (size_t i = 0; rc == PL_OK && i < n; i++) {
        size_t len;
        const char *token = pl_tokenizer_bytes(tokenizer, ids[i], &len);

        rc = token ? pl_buf_append(&bytes, token, len) : pl_buf_puts(&bytes, PL_UTF8_REPLACEMENT);
    }
    if (rc == PL_OK && bytes.len > 0)
        rc = pl_utf8_repair(bytes.data, bytes.len, buf);
    pl_buf_release(&bytes);
    return rc < 0 ? pl_fail(err, rc, "no memory to write rollouts") : PL_OK;
}

static json_t *json_of(const struct pl_rollout_group *group, size_t s, double reward, bool gate,
                       const char *prompt, const char *response)
{
    const struct pl_rollout *rollout = &group->rollouts[s];
    const struct pl_score *score = &rollout->score;
    char id[PL_ROLLOUT_GROUP_ID_MAX];

    pl_rollout_group_id(group, id);
    return json_pack(
        "{s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:b, s:b, s:s, s:i, s:i, "
        "s:i, s:i, s:i, s:s, s:o}",
        "group", id, "sample", (int)s, "version",
        (json_int_t)(group->newest ? rollout->versions[0] : group->version), "actor", group->actor,
        "finish_reason", rollout->finish == PL_SAMPLE_STOP ? "stop" : "length", "prompt", prompt,
        "response", response, "reward", reward, "reward_format", (double)score->format,
        "reward_final", (double)score->final, "reward_intermediate", (double)score->intermediate,
        "reward_extra", (double)score->extra, "gate", (int)gate, "format_ok", (int)score->format_ok,
        "verdict", verdicts[score->verdict], "steps", (int)score->steps, "steps_right",
        (int)score->steps_right, "first_answer", (int)score->first_answer, "first_right",
        (int)score->first_right, "tokens", (int)rollout->len, "why", score->why, "segments",
        segments_of(score));
}

int pl_transcript_sample(const struct pl_rollout_group *group, size_t s, double reward, bool gate,
                         const char *prompt, const struct pl_tokenizer *tokenizer,
                         json_t **ret_sample, struct pl_error *err)
{
    const struct pl_rollout *rollout = &group->rollouts[s];
    struct pl_buf response;
    int rc;

    pl_buf_init(&response, TEXT_BYTES_MAX);
    rc = pl_transcript_text(tokenizer, rollout->ids, rollout->len, &response, err);
    if (rc == PL_OK) {
        *ret_sample = json_of(group, s, reward, gate, prompt, response.data ? response.data : "");
        if (!*ret_sample)
            rc = pl_fail(err, PL_ENOMEM, "no memory to write rollouts");
    }
    pl_buf_release(&response);
    return rc;
}

void pl_transcript_task(json_t *sample, const struct pl_task *task)
{
    json_object_set_new(sample, "task", json_string(task->id));
    json_object_set_new(sample, "source", json_string(task->source));
    json_object_set_new(sample, "level", json_string(task->level));
    json_object_set_new(sample, "truth", json_string(task->final.answer));
}

int pl_transcript_write(struct pl_outfile *out, json_t *sample, struct pl_error *err)
{
    char *text = sample ? json_dumps(sample, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    int rc;

    json_decref(sample);
    if (!text)
        return pl_fail(err, PL_ENOMEM, "no memory to write rollouts");
    rc = pl_outfile_write(out, text, strlen(text), err);
    if (rc == PL_OK)
        rc = pl_outfile_write(out, "\n", 1, err);
    free(text);
    return rc;
}
