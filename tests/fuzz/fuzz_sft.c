/*
 * JSON lines to fine-tune on: rows lie in the ids one behind the other, within the length that was
 * asked for, each with an end unless it was cut, and are the same when read again.
 *
 * The first byte of the input is the length of rows, its low bit whether they are cut; the rest is
 * the file.
 */
#include "learner/sft_data.h"
#include "tests/fuzz/fuzz.h"
#include "tests/mini_tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EINVAL) };

static struct pl_tokenizer *tokenizer;
static struct pl_encoder *encoder;
static struct pl_chat *chat;
static uint32_t stop;
static struct pl_sft_format format = {.prompt_key = "prompt", .response_key = "response"};

static void set_up(void)
{
    const struct pl_config config = {.eos_count = 0};

    if (tokenizer)
        return;
    tokenizer = pl_test_mini_load(&(struct pl_test_mini){.merges = pl_test_merges});
    PL_ASSERT(pl_encoder_create(tokenizer, &encoder) == PL_OK);
    PL_ASSERT(pl_chat_load(NULL, NULL, tokenizer, &chat, NULL) == PL_OK);
    format.chat = chat;
    format.encoder = encoder;
    PL_ASSERT(pl_sft_format_ends(&format, &config, &stop, NULL) == PL_OK);
}

static void check_rows(const struct pl_sft_data *data)
{
    size_t at = 0, responses = 0, longest = 0, open = 0;

    PL_ASSERT(data->count > 0);
    for (size_t i = 0; i < data->count; i++) {
        const struct pl_sft_row *row = &data->rows[i];
        const size_t len = (size_t)row->prompt_len + row->response_len;

        PL_ASSERT(row->at == at && row->prompt_len > 0 && row->response_len > 0);
        PL_ASSERT(len <= format.length_max);
        open += data->ids.data[at + len - 1] != stop;
        at += len;
        responses += row->response_len;
        longest = len > longest ? len : longest;
    }
    PL_ASSERT(at == data->ids.len && responses == data->responses && longest == data->longest);
    PL_ASSERT(open <= data->truncated && data->truncated <= data->count);
    PL_ASSERT(format.truncate || data->truncated == 0);
    for (size_t i = 0; i < data->ids.len; i++)
        PL_ASSERT(data->ids.data[i] < pl_tokenizer_size(tokenizer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const uint8_t length = pl_fuzz_byte(&in);
    char *path = pl_fuzz_path("rows.jsonl");
    struct pl_sft_data rows, again;
    struct pl_error err = {0};
    int rc;

    set_up();
    format.truncate = length & 1;
    format.length_max = 2 + (size_t)length * 4;
    pl_fuzz_write("rows.jsonl", in.data, in.size);
    pl_sft_data_init(&rows);
    rc = pl_sft_data_read(path, &format, &rows, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        check_rows(&rows);
        pl_sft_data_init(&again);
        PL_ASSERT(pl_sft_data_read(path, &format, &again, &err) == PL_OK);
        PL_ASSERT(pl_sft_data_hash(&rows) == pl_sft_data_hash(&again));
        pl_sft_data_release(&again);
    }
    pl_sft_data_release(&rows);
    free(path);
    return 0;
}
