/* Rows of fine-tuning: what becomes of a line, what is refused and how, the order of a pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/text/chat.h"
#include "learner/sft_data.h"
#include "tests/mini_tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static struct pl_tokenizer *tokenizer;
static struct pl_encoder *encoder;
static const struct pl_config with_eos = {.eos = {0}, .eos_count = 1};

static const char small_chatml[] = "<|im_start|>s\n{{system}}<|im_end|>\n<|im_start|>u\n{{user}}"
                                   "<|im_end|>\n<|im_start|>a\n{{answer}}<|im_end|>\n";

static uint32_t token(const char *text)
{
    const uint32_t id = pl_tokenizer_id(tokenizer, text, strlen(text));

    assert_true(id != PL_TOKEN_NONE);
    return id;
}

static int set_up(void **state)
{
    const struct pl_test_mini mini = {.merges = pl_test_merges};
    int fd;

    (void)state;
    tokenizer = pl_test_mini_load(&mini);
    snprintf(path, sizeof path, "/tmp/plait-sft-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0 || pl_encoder_create(tokenizer, &encoder) < 0)
        return -1;
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pl_encoder_destroy(encoder);
    pl_tokenizer_destroy(tokenizer);
    return unlink(path);
}

static void put(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/* A template with its format; <|endoftext|> is the model's end token. */
struct set {
    struct pl_chat *chat;
    struct pl_sft_format format;
    struct pl_sft_data data;
    uint32_t stop;
};

static void begin(struct set *set, const char *template)
{
    struct pl_config config = with_eos;
    struct pl_error err = {0};

    config.eos[0] = token("<|endoftext|>");
    assert_int_equal(pl_chat_parse(template, strlen(template), "t", &set->chat, NULL), PL_OK);
    set->format = (struct pl_sft_format){
        .chat = set->chat,
        .encoder = encoder,
        .prompt_key = "prompt",
        .response_key = "response",
        .responses = PL_ENCODE_ALL,
        .length_max = 1000,
    };
    assert_int_equal(pl_sft_format_ends(&set->format, &config, &set->stop, &err), PL_OK);
    pl_sft_data_init(&set->data);
}

static void end(struct set *set)
{
    pl_sft_data_release(&set->data);
    pl_sft_format_release(&set->format);
    pl_chat_destroy(set->chat);
}

static int read_text(struct set *set, const char *text, struct pl_error *err)
{
    put(text);
    return pl_sft_data_read(path, &set->format, &set->data, err);
}

static void read_good(struct set *set, const char *text)
{
    struct pl_error err = {0};

    if (read_text(set, text, &err) != PL_OK)
        fail_msg("%s", err.text);
}

/* The ids are those of the text, with its special tokens. */
static void assert_ids(const uint32_t *ids, size_t n, const char *text)
{
    struct pl_ids want;

    pl_ids_init(&want, 4096);
    assert_int_equal(pl_tokenizer_encode(encoder, text, strlen(text), PL_ENCODE_ALL, &want, NULL),
                     PL_OK);
    assert_int_equal(n, want.len);
    assert_memory_equal(ids, want.data, n * sizeof *ids);
    pl_ids_release(&want);
}

static void assert_row(const struct set *set, size_t i, const char *prompt, const char *response)
{
    const struct pl_sft_row *row = &set->data.rows[i];
    const uint32_t *ids = set->data.ids.data + row->at;

    assert_true(i < set->data.count);
    assert_ids(ids, row->prompt_len, prompt);
    assert_ids(ids + row->prompt_len, row->response_len, response);
}

static void prompts_and_responses(void **state)
{
    struct set set;

    (void)state;
    begin(&set, "{{user}}");
    assert_int_equal(set.stop, token("<|endoftext|>"));
    read_good(&set, "{\"prompt\": \"hello\", \"response\": \" the ring\", \"id\": 7}\n"
                    "\n  \t\r\n"
                    "{\"response\": \"\", \"prompt\": \"\\u00e9\"}"); /* no last line end */
    assert_int_equal(set.data.count, 2);
    assert_row(&set, 0, "hello", " the ring<|endoftext|>");
    assert_row(&set, 1, "\xC3\xA9", "<|endoftext|>");
    assert_int_equal(set.data.responses,
                     set.data.rows[0].response_len + set.data.rows[1].response_len);
    assert_int_equal(set.data.longest, set.data.rows[0].prompt_len + set.data.rows[0].response_len);
    assert_int_equal(set.data.dropped + set.data.truncated, 0);
    set.format.prompt_key = "q";
    set.format.response_key = "a";
    read_good(&set, "{\"q\": \"in\", \"a\": \"on\"}\n"); /* rows of another file are added */
    assert_int_equal(set.data.count, 3);
    assert_row(&set, 2, "in", "on<|endoftext|>");
    end(&set);
}

static void note_bytes(void *at, uint64_t done, uint64_t total)
{
    uint64_t *seen = at;

    assert_true(done > seen[0] && done <= total);
    seen[0] = done;
    seen[1]++;
}

static void reading_is_watched_to_its_end(void **state)
{
    static const char text[] = "{\"prompt\": \"a\", \"response\": \"b\"}\n\n"
                               "{\"prompt\": \"c\", \"response\": \"d\"}\n";
    uint64_t seen[2] = {0, 0}; /* bytes, calls */
    struct set set;

    (void)state;
    begin(&set, "{{user}}");
    set.format.watch = note_bytes;
    set.format.watch_at = seen;
    read_good(&set, text);
    assert_int_equal(seen[0], strlen(text));
    assert_int_equal(seen[1], 3);
    end(&set);
}

static void messages_become_what_chat_would_ask(void **state)
{
    struct set set;

    (void)state;
    begin(&set, small_chatml);
    assert_int_equal(set.stop, token("<|im_end|>"));
    read_good(&set,
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}, "
              "{\"role\": \"assistant\", \"content\": \"the\"}]}\n"
              "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, "
              "{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": "
              "\"two\"}, {\"role\": \"user\", \"content\": \"three\"}, "
              "{\"role\": \"assistant\", \"content\": \"four\"}]}\n"
              "{\"prompt\": \"hello\", \"response\": \"the\", \"messages\": null}\n");
    assert_int_equal(set.data.count, 3);
    assert_row(&set, 0,
               "<|im_start|>s\n<|im_end|>\n<|im_start|>u\nhello<|im_end|>\n<|im_start|>a\n",
               "the<|im_end|>");
    assert_row(&set, 1,
               "<|im_start|>s\nS<|im_end|>\n<|im_start|>u\none<|im_end|>\n<|im_start|>a\n"
               "two<|im_end|>\n<|im_start|>u\nthree<|im_end|>\n<|im_start|>a\n",
               "four<|im_end|>");
    assert_row(&set, 2,
               "<|im_start|>s\n<|im_end|>\n<|im_start|>u\nhello<|im_end|>\n<|im_start|>a\n",
               "the<|im_end|>");
    end(&set);
}

static void every_response_has_an_end_that_stops(void **state)
{
    struct pl_config none = {0};
    struct set set;
    struct pl_error err = {0};
    static const char talk[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
        "\"content\": \"b\"}, {\"role\": \"user\", \"content\": \"c\"}, {\"role\": "
        "\"assistant\", \"content\": \"d\"}]}\n";

    (void)state;
    begin(&set, "{{user}}=>{{answer}};"); /* the template's end is no special token */
    read_good(&set, talk);
    assert_row(&set, 0, "a=>b;c=>", "d;<|endoftext|>");
    end(&set);
    begin(&set, "{{user}}=>"); /* and this has none */
    read_good(&set, talk);
    assert_row(&set, 0, "a=>b<|endoftext|>c=>", "d<|endoftext|>");
    pl_sft_format_release(&set.format);
    assert_int_equal(pl_sft_format_ends(&set.format, &none, &set.stop, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "nothing would end a response"));
    end(&set);
    begin(&set, small_chatml); /* the template's token is enough */
    pl_sft_format_release(&set.format);
    assert_int_equal(pl_sft_format_ends(&set.format, &none, &set.stop, &err), PL_OK);
    end(&set);
}

static void special_tokens_in_texts(void **state)
{
    static const char line[] = "{\"prompt\": \"<|im_end|>\", \"response\": \"x<|im_start|>y\"}\n";
    const uint32_t start = token("<|im_start|>");
    struct set set;
    const uint32_t *ids;

    (void)state;
    begin(&set, "{{user}}");
    read_good(&set, line);
    assert_true(set.data.rows[0].prompt_len > 1); /* a user's text never is one */
    assert_ids(set.data.ids.data + set.data.rows[0].prompt_len, set.data.rows[0].response_len,
               "x<|im_start|>y<|endoftext|>");
    set.format.responses = PL_ENCODE_UNTRUSTED;
    read_good(&set, line);
    ids = set.data.ids.data + set.data.rows[1].at;
    for (size_t i = 0; i < set.data.rows[1].prompt_len + set.data.rows[1].response_len; i++)
        assert_int_not_equal(ids[i], start);
    end(&set);
}

static void rows_that_are_too_long(void **state)
{
    /* one token a letter: prompts of 3, responses of 2, 3, 4 and the end; a prompt of 7 */
    static const char text[] = "{\"prompt\": \"xyz\", \"response\": \"12\"}\n"
                               "{\"prompt\": \"xyz\", \"response\": \"123\"}\n"
                               "{\"prompt\": \"xyz\", \"response\": \"1234\"}\n"
                               "{\"prompt\": \"xyzxyzx\", \"response\": \"1\"}\n";
    struct set set;
    struct pl_error err = {0};

    (void)state;
    begin(&set, "{{user}}");
    set.format.length_max = 7;
    read_good(&set, text);
    assert_int_equal(set.data.count, 2);
    assert_int_equal(set.data.dropped, 2);
    assert_int_equal(set.data.truncated, 0);
    assert_row(&set, 1, "xyz", "123<|endoftext|>"); /* exactly 7 */
    assert_int_equal(set.data.longest, 7);
    end(&set);

    begin(&set, "{{user}}");
    set.format.length_max = 7;
    set.format.truncate = true;
    read_good(&set, text);
    assert_int_equal(set.data.count, 3);
    assert_int_equal(set.data.dropped, 1); /* no room for a response */
    assert_int_equal(set.data.truncated, 1);
    assert_row(&set, 2, "xyz", "1234"); /* cut: it has no end */
    end(&set);

    begin(&set, "{{user}}");
    set.format.length_max = 4;
    assert_int_equal(read_text(&set, text, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "all 4 rows have more than 4 tokens"));
    end(&set);
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *line, *sentence;
    } bad[] = {
        {"{\"prompt\": \"a\"", "line 1, column"},
        {"[1, 2]", "a JSON object is expected"},
        {"{\"prompt\": \"a\"}", "key 'response' is missing"},
        {"{\"response\": \"a\"}", "key 'prompt' is missing"},
        {"{\"prompt\": 5, \"response\": \"a\"}", "'prompt' is an integer; expected a string"},
        {"{\"prompt\": \"a\", \"response\": null}", "'response' is null"},
        {"{\"prompt\": \"a\", \"prompt\": \"b\", \"response\": \"c\"}", "duplicate"},
        {"{\"prompt\": \"\", \"response\": \"a\"}", "the prompt is empty"},
        {"{\"prompt\": \"a\xFF\", \"response\": \"a\"}", "unable to decode byte 0xff"},
        {"{\"messages\": []}", "'messages' is not a list of messages"},
        {"{\"messages\": \"hello\"}", "'messages' is not a list of messages"},
        {"{\"messages\": [7]}", "expected an object that holds 'role'"},
        {"{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}", "role 'tool' is not known"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [\"a\"]}]}", "'content' is an array"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
         "the last message is not the assistant's"},
        {"{\"messages\": [{\"role\": \"system\", \"content\": \"a\"}]}",
         "the last message is not the assistant's"},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
         "message 1 is of role assistant; user is expected"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"system\", "
         "\"content\": \"a\"}]}",
         "message 2 is of role system; assistant is expected"},
        {"{\"messages\": [{\"role\": \"system\", \"content\": \"a\"}, {\"role\": \"user\", "
         "\"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}",
         "the template has no {{system}}"},
    };
    char text[1024], place[128];
    struct set set;

    (void)state;
    begin(&set, "{{user}}");
    snprintf(place, sizeof place, "%s:3: ", path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pl_error err = {0};

        snprintf(text, sizeof text, "{\"prompt\": \"a\", \"response\": \"b\"}\n\n%s\n",
                 bad[i].line);
        assert_int_not_equal(read_text(&set, text, &err), PL_OK);
        if (!strstr(err.text, bad[i].sentence) || !strstr(err.text, place))
            fail_msg("%s gives: %s", bad[i].line, err.text);
    }
    end(&set);
}

static void files_without_rows(void **state)
{
    struct set set;
    struct pl_error err = {0};

    (void)state;
    begin(&set, "{{user}}");
    assert_int_equal(read_text(&set, "", &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "holds no rows"));
    assert_int_equal(read_text(&set, "\n \n", &err), PL_EINVAL);
    assert_int_equal(pl_sft_data_read("/nowhere.jsonl", &set.format, &set.data, &err), PL_ENOENT);
    assert_non_null(strstr(err.text, "/nowhere.jsonl"));
    assert_int_equal(pl_sft_data_read("/tmp", &set.format, &set.data, &err), PL_EFORMAT);
    end(&set);
}

static uint64_t hash_of(const uint32_t *ids, const size_t (*lens)[2], size_t rows)
{
    struct pl_sft_data data;
    uint64_t hash;

    pl_sft_data_init(&data);
    for (size_t i = 0; i < rows; i++) {
        assert_int_equal(pl_sft_data_add(&data, ids, lens[i][0], ids + lens[i][0], lens[i][1]),
                         PL_OK);
        ids += lens[i][0] + lens[i][1];
    }
    hash = pl_sft_data_hash(&data);
    pl_sft_data_release(&data);
    return hash;
}

static void other_data_hash_otherwise(void **state)
{
    const uint32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8}, swapped[] = {5, 6, 7, 8, 1, 2, 3, 4};
    uint32_t changed[8];
    const size_t even[][2] = {{2, 2}, {2, 2}}, shifted[][2] = {{1, 3}, {2, 2}}, one[][2] = {{2, 6}};
    const uint64_t hash = hash_of(ids, even, 2);

    (void)state;
    assert_true(hash_of(ids, even, 2) == hash);
    assert_true(hash_of(ids, shifted, 2) != hash);
    assert_true(hash_of(ids, one, 1) != hash);
    assert_true(hash_of(swapped, even, 2) != hash);
    for (size_t i = 0; i < 8; i++) {
        memcpy(changed, ids, sizeof ids);
        changed[i]++;
        assert_true(hash_of(changed, even, 2) != hash);
    }
}

static void a_pass_is_a_permutation_of_its_own(void **state)
{
    enum { N = 1000 };
    static uint32_t order[N], again[N], other[N];
    static bool seen[N];
    size_t same = 0;

    (void)state;
    pl_sft_order(order, N, 7, 3);
    pl_sft_order(again, N, 7, 3);
    assert_memory_equal(order, again, sizeof order);
    for (size_t i = 0; i < N; i++) {
        assert_true(order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
    }
    pl_sft_order(other, N, 7, 4);
    for (size_t i = 0; i < N; i++)
        same += other[i] == order[i];
    assert_true(same < 20); /* one is expected */
    pl_sft_order(other, N, 8, 3);
    same = 0;
    for (size_t i = 0; i < N; i++)
        same += other[i] == order[i];
    assert_true(same < 20);
    pl_sft_order(order, 1, 7, 3);
    assert_int_equal(order[0], 0);
}

/* All orders of four rows come up equally often: chi squared over 24 of them, 23 degrees. */
static void all_orders_are_as_likely(void **state)
{
    enum { DRAWS = 24000, EXPECTED = DRAWS / 24 };
    size_t counts[256] = {0}, kinds = 0;
    double chi = 0.0;
    uint32_t order[4];

    (void)state;
    for (uint64_t epoch = 0; epoch < DRAWS; epoch++) {
        pl_sft_order(order, 4, 1, epoch);
        counts[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    for (size_t i = 0; i < 256; i++) {
        const double off = (double)counts[i] - EXPECTED;

        kinds += counts[i] > 0;
        chi += counts[i] > 0 ? off * off / EXPECTED : 0.0;
    }
    assert_int_equal(kinds, 24);
    assert_true(chi < 49.7); /* one in a thousand is over it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_and_responses),
        cmocka_unit_test(reading_is_watched_to_its_end),
        cmocka_unit_test(messages_become_what_chat_would_ask),
        cmocka_unit_test(every_response_has_an_end_that_stops),
        cmocka_unit_test(special_tokens_in_texts),
        cmocka_unit_test(rows_that_are_too_long),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(files_without_rows),
        cmocka_unit_test(other_data_hash_otherwise),
        cmocka_unit_test(a_pass_is_a_permutation_of_its_own),
        cmocka_unit_test(all_orders_are_as_likely),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
