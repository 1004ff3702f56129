#include "deploy/view/dead_group.h"

#include "common/text/safe.h"
#include "learner/transcript.h"
#include "proto/rollout.h"
#include "proto/task.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 64 << 20, BYTES_SHOWN = 64, IDS_SHOWN = 64, WIDTH = 12 };

const char *pl_dead_when(char text[PL_DEAD_WHEN_MAX], double at_s)
{
    const time_t at = at_s > 0 && at_s < 1e11 ? (time_t)at_s : 0;
    struct tm utc;

    gmtime_r(&at, &utc);
    strftime(text, PL_DEAD_WHEN_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

/* More than any worker takes, so that what one refused for its size is shown. */
static int decode(const struct pl_dead_entry *e, struct pl_rollout_group *ret_group,
                  struct pl_error *err)
{
    const struct pl_rollout_group_limits limits = {
        .bytes = 512u << 20, .samples = 1 << 16, .tokens = 1 << 22};
    const bool rollouts = strcmp(e->where, "rollouts") == 0;

    if (!e->pb)
        return pl_fail(err, PL_EFORMAT, "its entry has no message");
    return pl_rollout_group_decode(e->pb, e->pb_len, rollouts ? PL_STAGE_ROLLOUT : PL_STAGE_PROMPT,
                                   &limits, ret_group, err);
}

/* ---- for people ---- */

/* "name        text", the text on one line. */
static int put(struct pl_buf *buf, const char *name, const char *text)
{
    int rc = pl_text_safe(name, strlen(name), false, buf);

    for (size_t n = strlen(name); rc == PL_OK && (n < WIDTH || n == strlen(name)); n++)
        rc = pl_buf_puts(buf, " ");
    if (rc == PL_OK)
        rc = pl_text_safe(text, strlen(text), false, buf);
    return rc == PL_OK ? pl_buf_puts(buf, "\n") : rc;
}

static int put_entry(const struct pl_dead_entry *e, struct pl_buf *buf)
{
    char when[PL_DEAD_WHEN_MAX], text[128];
    int rc = put(buf, "group", e->group);

    if (rc == PL_OK)
        rc = put(buf, "reason", e->reason);
    snprintf(text, sizeof text, "%.40s%s", e->where,
             e->late     ? "; its batch was over already"
             : e->parked ? "; parked, its batch waits for it"
                         : "");
    if (rc == PL_OK)
        rc = put(buf, "where", text);
    if (rc == PL_OK)
        rc = put(buf, "since", pl_dead_when(when, e->at_s));
    snprintf(text, sizeof text, "%llu, the last to %.72s", (unsigned long long)e->deliveries,
             e->worker);
    if (rc == PL_OK)
        rc = put(buf, "deliveries", text);
    for (size_t i = 0; rc == PL_OK && i < e->field_count; i++)
        rc = put(buf, e->fields[i].name, e->fields[i].value);
    return rc == PL_OK ? put(buf, "entry", e->entry) : rc;
}

static int put_bytes(const struct pl_dead_entry *e, struct pl_buf *buf)
{
    const unsigned char *bytes = e->pb;
    int rc = pl_buf_printf(buf, "%zu bytes%s", e->pb_len, e->pb_len ? ":" : "");

    for (size_t i = 0; rc == PL_OK && i < e->pb_len && i < BYTES_SHOWN; i++)
        rc = pl_buf_printf(buf, "%s%02x", i % 32 == 0 ? "\n  " : " ", bytes[i]);
    return rc == PL_OK ? pl_buf_puts(buf, e->pb_len > BYTES_SHOWN ? " ...\n" : "\n") : rc;
}

static int put_tokens(const uint32_t *ids, size_t n, const struct pl_tokenizer *tokenizer,
                      struct pl_buf *buf)
{
    struct pl_buf text;
    int rc = PL_OK;

    pl_buf_init(&text, TEXT_MAX);
    if (tokenizer) {
        rc = pl_transcript_text(tokenizer, ids, n, &text, NULL);
        if (rc == PL_OK && text.len > 0)
            rc = pl_text_safe(text.data, text.len, true, buf);
    }
    for (size_t i = 0; rc == PL_OK && !tokenizer && i < n && i < IDS_SHOWN; i++)
        rc = pl_buf_printf(buf, "%s%u", i > 0 ? " " : "", ids[i]);
    if (rc == PL_OK && !tokenizer && n > IDS_SHOWN)
        rc = pl_buf_puts(buf, " ...");
    pl_buf_release(&text);
    return rc == PL_OK ? pl_buf_puts(buf, "\n") : rc;
}

/* What is asked and what is right; a line that is no task is shown as it is. */
static int put_task(const struct pl_rollout_group *g, struct pl_buf *buf)
{
    struct pl_task task = {0};
    struct pl_error err = {0};
    int rc = pl_task_parse(g->task, g->task_len, "the task", &task, &err);

    if (rc == PL_ENOMEM)
        return rc;
    if (rc < 0) {
        rc = put(buf, "task", g->task);
        return rc == PL_OK ? put(buf, "", err.text) : rc;
    }
    rc = put(buf, "question", task.question);
    if (rc == PL_OK)
        rc = put(buf, "answer", task.final.answer);
    if (rc == PL_OK)
        rc = put(buf, "verifier", task.verifier);
    pl_task_release(&task);
    return rc;
}

static int put_sample(const struct pl_rollout_group *g, size_t i,
                      const struct pl_tokenizer *tokenizer, struct pl_buf *buf)
{
    const struct pl_rollout *r = &g->rollouts[i];
    const unsigned long long first = r->versions_len ? r->versions[0] : 0,
                             last = r->versions_len ? r->versions[r->versions_len - 1] : 0;
    int rc = pl_buf_printf(buf, "\n-- sample %zu of %u: %zu tokens, version %llu", i + 1,
                           g->samples, r->len, first);

    if (rc == PL_OK && last != first)
        rc = pl_buf_printf(buf, " to %llu", last);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, ", %s\n",
                           r->finish == PL_SAMPLE_STOP ? "stopped by itself" : "cut at its limit");
    return rc == PL_OK ? put_tokens(r->ids, r->len, tokenizer, buf) : rc;
}

static int put_group(const struct pl_rollout_group *g, const struct pl_tokenizer *tokenizer,
                     struct pl_buf *buf)
{
    char text[160];
    int rc;

    snprintf(text, sizeof text, "%u wanted, %s, temperature %g, %u tokens at most", g->samples,
             pl_method_name(g->method), (double)g->temperature, g->new_tokens_max);
    rc = put(buf, "samples", text);
    snprintf(text, sizeof text, "%s%llu", g->newest ? "at least " : "",
             (unsigned long long)g->version);
    if (rc == PL_OK)
        rc = put(buf, "pinned to", text);
    if (rc == PL_OK)
        rc = put_task(g, buf);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\n-- prompt: %zu tokens\n", g->prompt_len);
    if (rc == PL_OK)
        rc = put_tokens(g->prompt, g->prompt_len, tokenizer, buf);
    for (size_t i = 0; rc == PL_OK && g->rollouts && i < g->samples; i++)
        rc = put_sample(g, i, tokenizer, buf);
    return rc;
}

int pl_dead_group_print(const struct pl_dead_entry *entry, const struct pl_tokenizer *tokenizer,
                        const char *no_tokenizer, struct pl_buf *buf)
{
    struct pl_rollout_group group = {0};
    struct pl_error err = {0};
    int rc = put_entry(entry, buf);

    if (rc < 0)
        return rc;
    rc = decode(entry, &group, &err);
    if (rc == PL_EFORMAT) {
        rc = put(buf, "unreadable", err.text);
        return rc == PL_OK ? put_bytes(entry, buf) : rc;
    }
    if (rc == PL_OK && !tokenizer)
        rc = put(buf, "tokens", no_tokenizer);
    if (rc == PL_OK)
        rc = put_group(&group, tokenizer, buf);
    pl_rollout_group_release(&group);
    return rc;
}

/* ---- for scripts ---- */

/* A text of any bytes as JSON can have it. */
static json_t *text_json(const char *bytes, size_t len)
{
    struct pl_buf safe;
    json_t *text = json_stringn(bytes, len);

    if (text)
        return text;
    pl_buf_init(&safe, TEXT_MAX);
    text = pl_text_safe(bytes, len, true, &safe) == PL_OK ? json_string(safe.data ? safe.data : "")
                                                          : NULL;
    pl_buf_release(&safe);
    return text;
}

static json_t *tokens_json(const uint32_t *ids, size_t n, const struct pl_tokenizer *tokenizer)
{
    struct pl_buf text;
    json_t *json = NULL;

    if (!tokenizer) {
        json = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(json, json_integer(ids[i]));
        return json;
    }
    pl_buf_init(&text, TEXT_MAX);
    if (pl_transcript_text(tokenizer, ids, n, &text, NULL) == PL_OK)
        json = text_json(text.data ? text.data : "", text.len);
    pl_buf_release(&text);
    return json;
}

static json_t *message_json(const struct pl_rollout_group *g, const struct pl_tokenizer *tokenizer)
{
    json_t *samples = json_array();

    for (size_t i = 0; g->rollouts && i < g->samples; i++) {
        const struct pl_rollout *r = &g->rollouts[i];

        json_array_append_new(
            samples, json_pack("{s:I, s:I, s:s, s:o}", "tokens", (json_int_t)r->len, "version",
                               (json_int_t)(r->versions_len ? r->versions[r->versions_len - 1] : 0),
                               "finish_reason", r->finish == PL_SAMPLE_STOP ? "stop" : "length",
                               "response", tokens_json(r->ids, r->len, tokenizer)));
    }
    return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o}", "version", (json_int_t)g->version,
                     "samples_wanted", (json_int_t)g->samples, "method", pl_method_name(g->method),
                     "task", text_json(g->task, g->task_len), "prompt",
                     tokens_json(g->prompt, g->prompt_len, tokenizer), "samples", samples);
}

json_t *pl_dead_group_json(const struct pl_dead_entry *entry, bool whole,
                           const struct pl_tokenizer *tokenizer)
{
    json_t *fields = json_object(), *json;
    struct pl_rollout_group group = {0};
    struct pl_error err = {0};
    char when[PL_DEAD_WHEN_MAX];

    for (size_t i = 0; i < entry->field_count; i++)
        json_object_set_new(fields, entry->fields[i].name,
                            text_json(entry->fields[i].value, strlen(entry->fields[i].value)));
    json = json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:o, s:b, s:b, s:I, s:o}", "entry", entry->entry,
        "group", text_json(entry->group, strlen(entry->group)), "reason",
        text_json(entry->reason, strlen(entry->reason)), "where",
        text_json(entry->where, strlen(entry->where)), "at", pl_dead_when(when, entry->at_s),
        "at_ms", (json_int_t)(entry->at_s * 1e3 + 0.5), "deliveries", (json_int_t)entry->deliveries,
        "worker", text_json(entry->worker, strlen(entry->worker)), "late", (int)entry->late,
        "parked", (int)entry->parked, "bytes", (json_int_t)entry->pb_len, "fields", fields);
    if (!json || !whole)
        return json;
    if (decode(entry, &group, &err) == PL_OK)
        json_object_set_new(json, "message", message_json(&group, tokenizer));
    else
        json_object_set_new(json, "unreadable", json_string(err.text));
    pl_rollout_group_release(&group);
    return json;
}
