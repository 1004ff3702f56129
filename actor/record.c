#include "actor/record.h"

#include "common/app/term.h"
#include "common/base/err.h"
#include "common/base/json.h"

enum { RECORD_BYTES_MAX = 256 << 20 };

void pl_record_init(struct pl_record *record)
{
    *record = (struct pl_record){.part = PL_PART_TEXT};
    pl_buf_init(&record->text, RECORD_BYTES_MAX);
    pl_buf_init(&record->segment, RECORD_BYTES_MAX);
    pl_buf_init(&record->segments, RECORD_BYTES_MAX);
}

void pl_record_release(struct pl_record *record)
{
    pl_buf_release(&record->text);
    pl_buf_release(&record->segment);
    pl_buf_release(&record->segments);
}

/* The part is over: add it to the list. */
static int end_segment(struct pl_record *record)
{
    const struct pl_buf *text = &record->segment;
    int rc = PL_OK;

    if (record->tagged || pl_stream_blanks(text->data, text->len) < text->len) {
        rc = pl_buf_printf(&record->segments,
                           "%s{\"part\": \"%s\", \"text\": ", record->segments.len > 0 ? ", " : "",
                           pl_part_name(record->part));
        if (rc == PL_OK)
            rc = pl_json_quote(&record->segments, text->data, text->len);
        if (rc == PL_OK)
            rc = pl_buf_puts(&record->segments, "}");
    }
    pl_buf_clear(&record->segment);
    record->tagged = false;
    return rc;
}

static int collect_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct pl_record *record = at;
    int rc = pl_buf_append(&record->text, bytes, len);

    record->part = part; /* differs where the template began a part */
    return rc < 0 ? rc : pl_buf_append(&record->segment, bytes, len);
}

static int collect_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct pl_record *record = at;
    int rc = end_segment(record);

    if (rc == PL_OK)
        rc = pl_buf_append(&record->text, bytes, len);
    record->part = part;
    record->tagged = part != PL_PART_TEXT;
    return rc;
}

struct pl_sink pl_record_sink(struct pl_record *record)
{
    return (struct pl_sink){record, collect_text, collect_tag};
}

/* Of the tokens after the first, or of all where the first is the only one. */
static double tokens_per_s(const struct pl_turn *turn)
{
    const double after_s = turn->seconds - turn->first_s;

    if (turn->tokens > 1 && after_s > 0)
        return (double)(turn->tokens - 1) / after_s;
    return turn->seconds > 0 ? (double)turn->tokens / turn->seconds : 0;
}

static int print_times(const struct pl_turn *turn, struct pl_buf *buf)
{
    int rc = pl_buf_printf(buf,
                           "\"finish\": \"%s\", \"context_full\": %s, \"prompt_tokens\": %zu, "
                           "\"reused_tokens\": %zu, \"tokens\": %zu, \"seconds\": %.6f, "
                           "\"tokens_per_s\": %.2f, \"first_token_ms\": %.3f, ",
                           pl_finish_name(turn->finish), turn->context_full ? "true" : "false",
                           turn->prompt_tokens, turn->reused_tokens, turn->tokens, turn->seconds,
                           tokens_per_s(turn), turn->first_s * 1e3);

    if (rc < 0)
        return rc;
    if (turn->ttfa_tokens == 0)
        return pl_buf_puts(buf, "\"ttfa_tokens\": null, \"ttfa_ms\": null}\n");
    return pl_buf_printf(buf, "\"ttfa_tokens\": %zu, \"ttfa_ms\": %.3f}\n", turn->ttfa_tokens,
                         turn->ttfa_s * 1e3);
}

int pl_record_print(struct pl_record *record, const struct pl_turn *turn, const char *prompt,
                    size_t prompt_len, struct pl_buf *buf)
{
    int rc = end_segment(record);

    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "{\"turn\": %zu, \"prompt\": ", turn->number);
    if (rc == PL_OK)
        rc = pl_json_quote(buf, prompt, prompt_len);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, ", \"text\": ");
    if (rc == PL_OK)
        rc = pl_json_quote(buf, record->text.data, record->text.len);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, ", \"segments\": [");
    if (rc == PL_OK)
        rc = pl_buf_append(buf, record->segments.data, record->segments.len);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, "], ");
    if (rc == PL_OK)
        rc = print_times(turn, buf);
    pl_buf_clear(&record->text);
    pl_buf_clear(&record->segments);
    return rc;
}

static const char *why_ended(const struct pl_turn *turn)
{
    switch (turn->finish) {
    case PL_FINISH_LENGTH:
        return turn->context_full ? "; cut short: the context is full"
                                  : "; cut short by --max-tokens";
    case PL_FINISH_CANCELED:
        return "; stopped";
    case PL_FINISH_STOP:
    case PL_FINISH_BROKEN:
    case PL_FINISH_NOT:
        break;
    }
    return "";
}

int pl_turn_summary(const struct pl_turn *turn, struct pl_buf *buf)
{
    char rate[PL_HUMAN_MAX];
    int rc = pl_buf_printf(buf, "%zu token%s, %s tok/s", turn->tokens, turn->tokens == 1 ? "" : "s",
                           pl_human_count(rate, tokens_per_s(turn)));

    if (rc == PL_OK && turn->ttfa_tokens > 0)
        rc = pl_buf_printf(buf, ", first answer after %.*f ms (%zu token%s)",
                           turn->ttfa_s < 0.01 ? 1 : 0, turn->ttfa_s * 1e3, turn->ttfa_tokens,
                           turn->ttfa_tokens == 1 ? "" : "s");
    else if (rc == PL_OK)
        rc = pl_buf_puts(buf, ", no answer");
    return rc < 0 ? rc : pl_buf_puts(buf, why_ended(turn));
}
