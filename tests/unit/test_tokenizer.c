#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "common/text/normal.h"
#include "common/text/tokenizer.h"
#include "common/text/utf8.h"
#include "tests/mini_tokenizer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct pl_test_mini plain = {.merges = pl_test_merges};
static const struct pl_rng rng = {.seed = 17, .batch = (uint32_t)PL_RNG_TEST};
static uint32_t draws;

static uint32_t below(uint32_t n)
{
    return (uint32_t)pl_rng_below(&rng, draws++, n);
}

/* What a text becomes, as tokens joined with '|', specials in braces; and whether it comes back. */
static char *encoded(const struct pl_tokenizer *tokenizer, const char *text, size_t len,
                     enum pl_encode how)
{
    struct pl_encoder *encoder = NULL;
    struct pl_error err = {0};
    struct pl_ids ids;
    struct pl_buf got;

    pl_ids_init(&ids, 1 << 16);
    pl_buf_init(&got, 1 << 20);
    assert_int_equal(pl_encoder_create(tokenizer, &encoder), PL_OK);
    if (pl_tokenizer_encode(encoder, text, len, how, &ids, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pl_buf_puts(&got, ""), PL_OK);
    for (size_t i = 0; i < ids.len; i++) {
        size_t n = 0;
        const char *bytes = pl_tokenizer_bytes(tokenizer, ids.data[i], &n);
        const bool special = pl_tokenizer_is_special(tokenizer, ids.data[i]);

        assert_int_equal(
            pl_buf_printf(&got, special ? "%s{%.*s}" : "%s%.*s", i > 0 ? "|" : "", (int)n, bytes),
            PL_OK);
    }
    pl_ids_release(&ids);
    pl_encoder_destroy(encoder);
    return got.data;
}

static void expect(const struct pl_tokenizer *tokenizer, const char *text, const char *want)
{
    char *got = encoded(tokenizer, text, strlen(text), PL_ENCODE_ALL);

    assert_string_equal(got, want);
    free(got);
}

static void expect_untrusted(const struct pl_tokenizer *tokenizer, const char *text,
                             const char *want)
{
    char *got = encoded(tokenizer, text, strlen(text), PL_ENCODE_UNTRUSTED);

    assert_string_equal(got, want);
    free(got);
}

/* As above for a tokenizer made for it. */
static void expect_of(const struct pl_test_mini *mini, const char *text, const char *want)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(mini);

    expect(tokenizer, text, want);
    pl_tokenizer_destroy(tokenizer);
}

static void text_becomes_tokens(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);

    (void)state;
    expect(tokenizer, "", "");
    expect(tokenizer, "the thing in there", "the| |th|ing| |in| the|r|e");
    expect(tokenizer, "hello\n", "hello|\n");
    expect(tokenizer, "caf\x65\xCC\x81", "c|a|f|\xC3\xA9"); /* brought to NFC first */
    expect(tokenizer, "a<|im_end|>the<|im_end|", "a|{<|im_end|>}|the|<|||i|m|_|e|n|d||");
    assert_int_equal(pl_tokenizer_size(tokenizer), 256 + 17 + 3);
    assert_int_equal(pl_tokenizer_merges(tokenizer), 17);
    assert_int_equal(pl_tokenizer_added_count(tokenizer), 3);
    assert_int_equal(pl_tokenizer_added(tokenizer, 2), 256 + 17 + 2);
    assert_int_equal(pl_tokenizer_id(tokenizer, "<|im_end|>", 10), 256 + 17 + 2);
    assert_int_equal(pl_tokenizer_id(tokenizer, " the", 4), 256 + 2);
    assert_int_equal(pl_tokenizer_id(tokenizer, "nothing", 7), PL_TOKEN_NONE);
    pl_tokenizer_destroy(tokenizer);
}

static void ill_formed_bytes_are_taken_as_replacement_characters(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    char *bad = encoded(tokenizer, "a\xFF\xE2\x82<|im_end|>", 14, PL_ENCODE_ALL);

    (void)state;
    expect(tokenizer, "a\xEF\xBF\xBD\xEF\xBF\xBD<|im_end|>", bad);
    assert_non_null(strstr(bad, "{<|im_end|>}"));
    free(bad);
    bad = encoded(tokenizer, "a\0b", 3, PL_ENCODE_ALL);
    assert_string_equal(bad, "a||b"); /* a NUL between */
    free(bad);
    pl_tokenizer_destroy(tokenizer);
}

static void merges_may_be_pairs(void **state)
{
    const struct pl_test_mini pairs = {.merges = pl_test_merges, .pairs = true};

    (void)state;
    expect_of(&pairs, "the thing in there", "the| |th|ing| |in| the|r|e");
}

#define LEVEL(prefix, regex)                                                                       \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix                                         \
    ",\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SEQUENCE(parts) "{\"type\":\"Sequence\",\"pretokenizers\":[" parts "]}"

static void pretokenizers_are_as_described(void **state)
{
    static const char *const cases[][3] = {
        {LEVEL("false", "true"), "in the in", "in| the| |in"},
        {LEVEL("true", "true"), "the the", " the| the"},
        {LEVEL("false", "false"), "the the", "the| the"},
        {LEVEL("true", "false"), "the", " the"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "llll 12", "ll|ll| |1|2"},
        {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}," LEVEL("true", "true")),
         "the1", " the| |1"},
        {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}," LEVEL("true", "false")),
         "aa11aa", " a|a| |1|1| a|a"},
        {SEQUENCE(
             "{\"type\":\"Split\",\"pattern\":{\"String\":\"h\"},\"behavior\":\"Isolated\"}," LEVEL(
                 "false", "false")),
         "the", "t|h|e"},
        {SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"h\"},\"behavior\":\"Isolated\","
                  "\"invert\":true}," LEVEL("false", "false")),
         "the", "t|h|e"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pl_test_mini mini = {.merges = pl_test_merges, .pre_tokenizer = cases[i][0]};

        expect_of(&mini, cases[i][1], cases[i][2]);
    }
}

static void normalizers_are_as_described(void **state)
{
    static const char *const cases[][3] = {
        {"null", "e\xCC\x81", "e|\xCC|\x81"},
        {"{\"type\":\"NFC\"}", "e\xCC\x81", "\xC3\xA9"},
        {"{\"type\":\"NFD\"}", "\xC3\xA9", "e|\xCC|\x81"},
        {"{\"type\":\"NFKC\"}", "\xEF\xAC\x81", "f|i"},
        {"{\"type\":\"NFKD\"}", "\xC2\xB2\xC3\xA9", "2|e|\xCC|\x81"},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKD\"},{\"type\":\"NFC\"}]}",
         "\xC2\xB2"
         "e\xCC\x81",
         "2|\xC3\xA9"},
        {"{\"type\":\"Sequence\",\"normalizers\":[]}", "e\xCC\x81", "e|\xCC|\x81"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pl_test_mini mini = {.merges = pl_test_merges, .normalizer = cases[i][0]};

        expect_of(&mini, cases[i][1], cases[i][2]);
    }
}

static void added_tokens_are_as_described(void **state)
{
    static const struct pl_test_mini mini = {
        .merges = pl_test_merges,
        .added =
            "{\"id\":300,\"content\":\"<think>\",\"special\":false,\"normalized\":false},"
            "{\"id\":301,\"content\":\"thing\",\"single_word\":true,\"normalized\":false},"
            "{\"id\":302,\"content\":\"<s>\",\"special\":true,\"lstrip\":true,\"rstrip\":true},"
            "{\"id\":305,\"content\":\"\xC3\xA9!\",\"normalized\":true}"};
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&mini);
    size_t len = 0;

    (void)state;
    expect(tokenizer, "<think>thing things</think>", "<think>|thing| |th|ing|s|<|/|th|in|k|>");
    assert_int_equal(pl_tokenizer_id(tokenizer, "thing", 5), 301);
    expect(tokenizer, "a <s>\n b", "a|{<s>}|b");
    expect(tokenizer, "e\xCC\x81! e!", "\xC3\xA9!| |e|!");
    expect_untrusted(tokenizer, "a <s>\n <think>", "a| |<|s|>|\n| |<think>");
    assert_int_equal(pl_tokenizer_size(tokenizer), 306);
    assert_null(pl_tokenizer_bytes(tokenizer, 303, &len));
    assert_null(pl_tokenizer_bytes(tokenizer, 306, &len));
    assert_false(pl_tokenizer_is_special(tokenizer, 303));
    assert_true(pl_tokenizer_is_special(tokenizer, 302));
    assert_false(pl_tokenizer_is_special(tokenizer, 1u << 31));
    pl_tokenizer_destroy(tokenizer);
}

/* The JSON of `mini` with the first `from` turned into `to`. */
static char *edited(const struct pl_test_mini *mini, const char *from, const char *to)
{
    char *json = pl_test_mini_json(mini), *at = strstr(json, from), *made;

    if (!at)
        fail_msg("'%s' is not in the file", from);
    made = pl_strf("%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
    assert_non_null(made);
    free(json);
    return made;
}

static struct pl_tokenizer *load_edited(const struct pl_test_mini *mini, const char *from,
                                        const char *to)
{
    char *json = edited(mini, from, to);
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error err = {0};

    if (pl_tokenizer_parse(json, strlen(json), "mini", &tokenizer, &err) < 0)
        fail_msg("%s", err.text);
    free(json);
    return tokenizer;
}

static void whole_pieces_may_go_before_merges(void **state)
{
    static const struct pl_test_mini ignore = {.merges = pl_test_merges,
                                               .model = "\"ignore_merges\":true,"};
    static const char entries[] = "\"vocab\":{\"\xC4\xA0hello\":400,\"there\":401,";
    struct pl_tokenizer *with = load_edited(&ignore, "\"vocab\":{", entries);
    struct pl_tokenizer *without = load_edited(&plain, "\"vocab\":{", entries);

    (void)state;
    expect(with, "there hello theres", "there| hello| the|r|e|s");
    expect(without, "there hello", "the|r|e| |hello");
    pl_tokenizer_destroy(with);
    pl_tokenizer_destroy(without);
}

static void bytes_without_a_token_are_the_unknown_one(void **state)
{
    static const struct pl_test_mini each = {
        .merges = pl_test_merges, .skip_byte = 'q', .model = "\"unk_token\":\"?\","};
    static const struct pl_test_mini fused = {.merges = pl_test_merges,
                                              .skip_byte = 'q',
                                              .model = "\"unk_token\":\"?\",\"fuse_unk\":true,"};
    static const struct pl_test_mini not_needed = {
        .merges = pl_test_merges, .model = "\"unk_token\":\"<unk>\",\"byte_fallback\":true,"};

    (void)state;
    expect_of(&each, "aqqthe", "a|?|?|the");
    expect_of(&fused, "aqqthe", "a|?|the");
    expect_of(&not_needed, "aq", "a|q");
}

/* "the" is special and a vocabulary entry that merges make. */
static void special_entries_are_spelled_out_in_untrusted_text(void **state)
{
    static const struct pl_test_mini mini = {
        .merges = pl_test_merges, .added = "{\"id\":257,\"content\":\"the\",\"special\":true}"};
    static const struct pl_test_mini whole = {
        .merges = pl_test_merges,
        .model = "\"ignore_merges\":true,",
        .added = "{\"id\":257,\"content\":\"the\",\"special\":true}"};
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&mini), *other = pl_test_mini_load(&whole);

    (void)state;
    expect(tokenizer, "the there", "{the}| |{the}|r|e");
    expect_untrusted(tokenizer, "the there", "t|h|e| the|r|e");
    expect_untrusted(other, "the in", "t|h|e| |in");
    pl_tokenizer_destroy(tokenizer);
    pl_tokenizer_destroy(other);
}

static void parts_are_merged_as_one_text(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    struct pl_encoder *encoder = NULL;
    struct pl_ids got, want;
    struct pl_error err = {0};
    static const struct pl_text_part parts[] = {
        {"<|im_start|>t", 13, PL_ENCODE_ALL}, {"", 0, PL_ENCODE_UNTRUSTED},
        {"h", 1, PL_ENCODE_UNTRUSTED},        {"e\xCC", 2, PL_ENCODE_ALL},
        {" <|im", 5, PL_ENCODE_UNTRUSTED},    {"_end|>", 6, PL_ENCODE_ALL},
        {"<|im_end|>", 10, PL_ENCODE_ALL}};

    (void)state;
    pl_ids_init(&got, 1000);
    pl_ids_init(&want, 1000);
    assert_int_equal(pl_encoder_create(tokenizer, &encoder), PL_OK);
    if (pl_tokenizer_encode_parts(encoder, parts, 7, &got, &err) < 0)
        fail_msg("%s", err.text);
    pl_ids_push(&want, pl_tokenizer_id(tokenizer, "<|im_start|>", 12));
    pl_tokenizer_encode(encoder, "the\xEF\xBF\xBD <|im_end|>", 17, PL_ENCODE_UNTRUSTED, &want,
                        NULL);
    pl_ids_push(&want, pl_tokenizer_id(tokenizer, "<|im_end|>", 10));
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len * sizeof *want.data);
    pl_ids_release(&got);
    pl_ids_release(&want);
    pl_encoder_destroy(encoder);
    pl_tokenizer_destroy(tokenizer);
}

static void a_post_processor_may_put_tokens_in_front(void **state)
{
    static const struct pl_test_mini mini = {
        .post_processor = "{\"type\":\"Sequence\",\"processors\":[" LEVEL(
            "true", "false") ",{\"type\":"
                             "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\","
                             "\"type_id\":0}},"
                             "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_"
                             "tokens\":{\"<s>\":"
                             "{\"id\":\"<s>\",\"ids\":[300],\"tokens\":[\"<s>\"]}}}]}",
        .added = "{\"id\":300,\"content\":\"<s>\",\"special\":true}"};
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&mini);
    size_t n = 0;
    const uint32_t *front = pl_tokenizer_front(tokenizer, &n);

    (void)state;
    assert_int_equal(n, 1);
    assert_int_equal(front[0], 300);
    pl_tokenizer_destroy(tokenizer);
    tokenizer = pl_test_mini_load(&plain);
    pl_tokenizer_front(tokenizer, &n);
    assert_int_equal(n, 0);
    pl_tokenizer_destroy(tokenizer);
}

struct bad {
    const char *from, *to;
    int code;
    const char *sentence; /* the end of it */
};

static void refuse(const struct pl_test_mini *mini, const struct bad *bad)
{
    char *json = edited(mini, bad->from, bad->to);
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error err = {0};
    const int rc = pl_tokenizer_parse(json, strlen(json), "t.json", &tokenizer, &err);

    if (rc != bad->code || strncmp(err.text, "t.json", 6) != 0 || !strstr(err.text, bad->sentence))
        fail_msg("'%s': %d '%s', not %d '... %s'", bad->to, rc, err.text, bad->code, bad->sentence);
    assert_null(tokenizer);
    free(json);
}

static void wrong_vocabularies_are_refused(void **state)
{
    static const struct bad cases[] = {
        {"{\"version\"", "[\"version\"", PL_EFORMAT, "line 1"},
        {"\"!\":33", "\"!\":33,\"!\":34", PL_EFORMAT, "duplicate object key"},
        {"\"!\":33", "\"!\":34", PL_EFORMAT, "has id 34, which another one has too"},
        {"\"!\":33", "\"!\":-1", PL_EFORMAT, "is not a whole number from 0 to 4194303"},
        {"\"!\":33", "\"!\":4194304", PL_EFORMAT, "is not a whole number from 0 to 4194303"},
        {"\"!\":33", "\"!\":33.0", PL_EFORMAT, "the id of token '!' is not a whole number"},
        {"\"!\":33", "\"!\":\"33\"", PL_EFORMAT, "the id of token '!' is not a whole number"},
        {"\"!\":33,", "", PL_EUNSUPPORTED,
         "byte 0x21 has no token in the vocabulary, and there is no unk_token"},
        {"\"vocab\":{", "\"vocab\":[],\"rest\":{", PL_EFORMAT, "is not an object"},
        {"\"merges\":[", "\"merges\":{},\"rest\":[", PL_EFORMAT, "'merges' of the model"},
        {"\"t h\"", "\"th\"", PL_EFORMAT, "expected merge 0 to be two tokens"},
        {"\"t h\"", "\"t h h\"", PL_EFORMAT, "expected merge 0 to be two tokens"},
        {"\"t h\"", "7", PL_EFORMAT, "expected merge 0 to be two tokens"},
        {"\"t h\"", "[\"t\"]", PL_EFORMAT, "expected merge 0 to be two tokens"},
        {"\"t h\"", "[\"t\",\"h\",\"e\"]", PL_EFORMAT, "expected merge 0 to be two tokens"},
        {"\"t h\"", "\"t h\",\"xy z\"", PL_EFORMAT,
         "merge 1: its left half, 'xy', is not in the vocabulary"},
        {"\"t h\"", "\"t h\",\"x yz\"", PL_EFORMAT, "its right half, 'yz', is not"},
        {"\"t h\"", "\"t h\",\"x y\"", PL_EFORMAT, "what it makes, 'xy', is not"},
        {"\"t h\"", "\"t h\",\"t h\"", PL_EFORMAT, "merge 1, of 't' and 'h', is there twice"},
        {"\"BPE\"", "\"WordPiece\"", PL_EUNSUPPORTED, "a model of type 'WordPiece'"},
        {"\"model\":", "\"other\":", PL_EFORMAT, "the model is missing"},
        {"\"type\":\"BPE\"", "\"type\":7", PL_EFORMAT,
         "expected a model that is null or an object"},
        {"\"BPE\"", "\"BPE\",\"dropout\":0.1", PL_EUNSUPPORTED, "a model with dropout"},
        {"\"BPE\"", "\"BPE\",\"end_of_word_suffix\":\"</w>\"", PL_EUNSUPPORTED,
         "a model with a end_of_word_suffix"},
        {"\"BPE\"", "\"BPE\",\"fuse_unk\":1", PL_EFORMAT, "'fuse_unk' is an integer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&plain, &cases[i]);
}

static void what_is_not_done_is_refused_by_name(void **state)
{
    static const struct {
        struct pl_test_mini mini;
        int code;
        const char *sentence;
    } cases[] = {
        {{.normalizer = "{\"type\":\"Lowercase\"}"}, PL_EUNSUPPORTED, "a normalizer of type 'Low"},
        {{.normalizer = "\"NFC\""}, PL_EFORMAT, "expected a normalizer that is null or an object"},
        {{.normalizer = "{\"type\":\"Sequence\"}"}, PL_EFORMAT, "'normalizers' of the normalizer"},
        {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[null]}"},
         PL_EFORMAT,
         "a member of 'normalizers' is null"},
        {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\"}]}"},
         PL_EUNSUPPORTED,
         "a normalizer of type 'Sequence'"},
        {{.pre_tokenizer = "null"}, PL_EUNSUPPORTED, "with a pre_tokenizer of type ByteLevel"},
        {{.pre_tokenizer = "{\"type\":\"Whitespace\"}"}, PL_EUNSUPPORTED, "of type 'Whitespace'"},
        {{.pre_tokenizer = "{\"type\":\"ByteLevel\"}"},
         PL_EFORMAT,
         "'add_prefix_space' is missing"},
        {{.pre_tokenizer = SEQUENCE(LEVEL("false", "true") "," LEVEL("false", "true"))},
         PL_EUNSUPPORTED,
         "a pre_tokenizer behind ByteLevel"},
        {{.pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},"
                                    "\"behavior\":\"Removed\"}")},
         PL_EUNSUPPORTED,
         "the behavior of a Split of type 'Removed'"},
        {{.pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},"
                                    "\"behavior\":\"Isolated\"}")},
         PL_EFORMAT,
         "missing closing parenthesis"},
        {{.pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w\"},"
                                    "\"behavior\":\"Isolated\"}")},
         PL_EUNSUPPORTED,
         "this escape"},
        {{.pre_tokenizer = SEQUENCE("{\"type\":\"Split\",\"pattern\":\"a\",\"behavior\":"
                                    "\"Isolated\"}")},
         PL_EFORMAT,
         "expected an object that holds 'Regex'"},
        {{.decoder = "null"}, PL_EUNSUPPORTED, "with a decoder of type ByteLevel"},
        {{.decoder = "{\"type\":\"WordPiece\"}"}, PL_EUNSUPPORTED, "a decoder of type 'WordPiece'"},
        {{.post_processor = "{\"type\":\"RobertaProcessing\"}"},
         PL_EUNSUPPORTED,
         "a post_processor of type 'Roberta"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{}},"
                            "{\"SpecialToken\":{\"id\":\"x\"}}]}"},
         PL_EUNSUPPORTED,
         "adds tokens behind a text"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[]}"},
         PL_EFORMAT,
         "to hold a Sequence"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
                            "\"id\":\"x\"}},{\"Sequence\":{}}]}"},
         PL_EFORMAT,
         "names no ids of 'x'"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
                            "\"id\":\"x\"}},{\"Sequence\":{}}],\"special_tokens\":{\"x\":{\"ids\":"
                            "[999]}}}"},
         PL_EFORMAT,
         "adds id 999, which is no token"},
        {{.skip_byte = 'q', .model = "\"unk_token\":\"?\",\"byte_fallback\":true,"},
         PL_EUNSUPPORTED,
         "byte_fallback with bytes missing"},
        {{.skip_byte = 'q', .model = "\"unk_token\":\"<none>\","},
         PL_EUNSUPPORTED,
         "byte 0x71 has"},
        {{.added = "{\"id\":300,\"content\":\"<a>\"},{\"id\":301,\"content\":\"<a>\"}"},
         PL_EFORMAT,
         "added token '<a>' is there twice"},
        {{.added = "{\"id\":300,\"content\":\"<a>\"},{\"id\":300,\"content\":\"<b>\"}"},
         PL_EFORMAT,
         "'<b>' has id 300, which another token has too"},
        {{.added = "{\"id\":300,\"content\":\"!\"}"},
         PL_EFORMAT,
         "'!' has id 300, but id 33 in the vocabulary"},
        {{.added = "{\"id\":33,\"content\":\"<a>\"}"}, PL_EFORMAT, "has id 33, which another"},
        {{.added = "{\"id\":300,\"content\":\"\"}"}, PL_EFORMAT, "a content that is not empty"},
        {{.added = "{\"id\":4194304,\"content\":\"<a>\"}"}, PL_EFORMAT, "'id' is 4194304"},
        {{.added = "{\"content\":\"<a>\"}"}, PL_EFORMAT, "'id' is missing"},
        {{.added = "{\"id\":300,\"content\":\"<a>\",\"special\":\"yes\"}"},
         PL_EFORMAT,
         "'special' is a string"},
        {{.added = "{\"id\":33,\"content\":\"!\",\"special\":true}"},
         PL_EUNSUPPORTED,
         "special token '!' is also the token of a single byte"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bad bad = {"{", "{", cases[i].code, cases[i].sentence};

        refuse(&cases[i].mini, &bad);
    }
}

/* What a saver had set for its own batches does not change what ids mean. */
static void truncation_and_padding_are_passed_over(void **state)
{
    struct pl_tokenizer *tokenizer = load_edited(
        &plain, "\"version\":", "\"truncation\":{\"max_length\":2},\"padding\":{},\"version\":");

    (void)state;
    expect(tokenizer, "hello hello", "hello| |hello");
    pl_tokenizer_destroy(tokenizer);
}

static void every_beginning_of_a_file_is_refused(void **state)
{
    char *json = pl_test_mini_json(&plain);
    const size_t len = strlen(json) - 2; /* without the line break and the last brace */

    (void)state;
    for (size_t n = 0; n <= len; n += n < 64 || n + 64 > len ? 1 : 13) {
        struct pl_tokenizer *tokenizer = NULL;
        struct pl_error err = {0};

        assert_int_equal(pl_tokenizer_parse(json, n, "cut", &tokenizer, &err), PL_EFORMAT);
        assert_non_null(strstr(err.text, "cut: line"));
    }
    free(json);
}

static void random_text(struct pl_buf *text, size_t n, bool ill_formed)
{
    static const uint32_t ranges[][2] = {{0, 0x80},        {0x20, 0x5F},     {0xA0, 0x500},
                                         {0x300, 0x70},    {0x900, 0x400},   {0x2000, 0x100},
                                         {0xAC00, 0x2BA4}, {0x4E00, 0x1000}, {0x1F300, 0x400},
                                         {0xE000, 0x100},  {0x10FF00, 0x100}};
    static const char *const words[] = {" the", "hello", "<|im_end|>", "<|im_", "\n\n",
                                        "    ", "aaaa",  "\r\n",       "'s"};

    pl_buf_clear(text);
    for (size_t i = 0; i < n; i++) {
        const uint32_t kind = below(14);
        char bytes[4];

        if (kind < 11) {
            const uint32_t cp = ranges[kind][0] + below(ranges[kind][1]);

            assert_int_equal(pl_buf_append(text, bytes, pl_utf8_put(cp, bytes)), PL_OK);
        } else if (kind == 11 && ill_formed) {
            bytes[0] = (char)below(256);
            assert_int_equal(pl_buf_append(text, bytes, 1), PL_OK);
        } else {
            assert_int_equal(pl_buf_puts(text, words[below(9)]), PL_OK);
        }
    }
}

/* Token by token is all at once, and what comes out is always whole characters. */
static void check_decoding(const struct pl_tokenizer *tokenizer, const struct pl_ids *ids,
                           struct pl_buf *whole)
{
    struct pl_decoder decoder;
    struct pl_buf out;

    pl_buf_init(&out, 1 << 20);
    pl_buf_clear(whole);
    assert_int_equal(pl_tokenizer_decode(tokenizer, ids->data, ids->len, false, whole, NULL),
                     PL_OK);
    pl_decoder_init(&decoder, tokenizer, false);
    for (size_t i = 0; i < ids->len; i++) {
        const size_t before = out.len;

        assert_int_equal(pl_decoder_push(&decoder, ids->data[i], &out, NULL), PL_OK);
        assert_true(pl_utf8_valid(out.data ? out.data + before : "", out.len - before));
    }
    assert_int_equal(pl_decoder_finish(&decoder, &out), PL_OK);
    assert_int_equal(pl_decoder_finish(&decoder, &out), PL_OK); /* nothing is left */
    assert_int_equal(out.len, whole->len);
    assert_memory_equal(out.data ? out.data : "", whole->data ? whole->data : "", out.len);
    pl_buf_release(&out);
}

static void random_text_comes_back(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    struct pl_encoder *encoder = NULL;
    struct pl_buf text, repaired, want, whole;
    struct pl_ids ids;

    (void)state;
    pl_buf_init(&text, 1 << 16);
    pl_buf_init(&repaired, 1 << 16);
    pl_buf_init(&want, 1 << 16);
    pl_buf_init(&whole, 1 << 20);
    pl_ids_init(&ids, 1 << 16);
    assert_int_equal(pl_encoder_create(tokenizer, &encoder), PL_OK);
    for (int round = 0; round < 3000; round++) {
        const enum pl_encode how = round % 3 ? PL_ENCODE_ALL : PL_ENCODE_UNTRUSTED;

        random_text(&text, below(40), round % 2);
        pl_buf_clear(&repaired);
        pl_buf_clear(&want);
        pl_ids_clear(&ids);
        assert_int_equal(pl_utf8_repair(text.data ? text.data : "", text.len, &repaired), PL_OK);
        assert_int_equal(
            pl_normal(PL_FORM_NFC, repaired.data ? repaired.data : "", repaired.len, &want), PL_OK);
        assert_int_equal(pl_tokenizer_encode(encoder, text.data, text.len, how, &ids, NULL), PL_OK);
        check_decoding(tokenizer, &ids, &whole);
        assert_int_equal(whole.len, want.len);
        assert_memory_equal(whole.data ? whole.data : "", want.data ? want.data : "", want.len);
        for (size_t i = 0; how == PL_ENCODE_UNTRUSTED && i < ids.len; i++)
            assert_false(pl_tokenizer_is_special(tokenizer, ids.data[i]));
    }
    pl_buf_release(&text);
    pl_buf_release(&repaired);
    pl_buf_release(&want);
    pl_buf_release(&whole);
    pl_ids_release(&ids);
    pl_encoder_destroy(encoder);
    pl_tokenizer_destroy(tokenizer);
}

/* Ids that no text has: their bytes, put together, with what is ill-formed replaced. */
static void random_ids_are_decoded(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    struct pl_buf bytes, want, whole;
    struct pl_ids ids;

    (void)state;
    pl_buf_init(&bytes, 1 << 16);
    pl_buf_init(&want, 1 << 16);
    pl_buf_init(&whole, 1 << 20);
    pl_ids_init(&ids, 1 << 16);
    for (int round = 0; round < 3000; round++) {
        pl_buf_clear(&bytes);
        pl_buf_clear(&want);
        pl_ids_clear(&ids);
        for (uint32_t n = below(30); n > 0; n--) { /* mostly bytes over 0x7F */
            const uint32_t id = below(4) ? 128 + below(128) : below(276);
            size_t len;
            const char *token = pl_tokenizer_bytes(tokenizer, id, &len);

            assert_int_equal(pl_ids_push(&ids, id), PL_OK);
            assert_int_equal(pl_buf_append(&bytes, token, len), PL_OK);
        }
        assert_int_equal(pl_utf8_repair(bytes.data ? bytes.data : "", bytes.len, &want), PL_OK);
        check_decoding(tokenizer, &ids, &whole);
        assert_int_equal(whole.len, want.len);
        assert_memory_equal(whole.data ? whole.data : "", want.data ? want.data : "", want.len);
    }
    pl_buf_release(&bytes);
    pl_buf_release(&want);
    pl_buf_release(&whole);
    pl_ids_release(&ids);
    pl_tokenizer_destroy(tokenizer);
}

static void decoding_fails_without_a_trace(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    const uint32_t start = pl_tokenizer_id(tokenizer, "<|im_start|>", 12);
    const uint32_t ids[] = {'a', start, 'b', 0xF0, 0x9F}, none[] = {'a', 276};
    struct pl_decoder decoder;
    struct pl_error err = {0};
    struct pl_buf out;

    (void)state;
    pl_buf_init(&out, 6);
    assert_int_equal(pl_tokenizer_decode(tokenizer, ids, 5, true, &out, &err), PL_OK);
    assert_string_equal(out.data, "ab\xEF\xBF\xBD");
    pl_buf_clear(&out);
    assert_int_equal(pl_buf_puts(&out, "x"), PL_OK);
    assert_int_equal(pl_tokenizer_decode(tokenizer, none, 2, false, &out, &err), PL_EINVAL);
    assert_string_equal(err.text, "token id 276: the tokenizer has no such token");
    assert_string_equal(out.data, "x");
    assert_int_equal(pl_tokenizer_decode(tokenizer, ids, 3, false, &out, &err), PL_EFULL);
    assert_string_equal(err.text, "the text has more than the 6 bytes allowed");
    assert_string_equal(out.data, "x");
    pl_decoder_init(&decoder, tokenizer, false);
    assert_int_equal(pl_decoder_push(&decoder, 0xC3, &out, &err), PL_OK);
    assert_int_equal(pl_decoder_push(&decoder, start, &out, &err), PL_EFULL);
    assert_string_equal(out.data, "x");
    assert_int_equal(pl_decoder_push(&decoder, 0xA9, &out, &err), PL_OK); /* it still holds C3 */
    assert_string_equal(out.data, "x\xC3\xA9");
    pl_buf_release(&out);
    pl_tokenizer_destroy(tokenizer);
}

static void encoding_fails_without_a_trace(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    struct pl_encoder *encoder = NULL;
    struct pl_error err = {0};
    struct pl_ids ids;

    (void)state;
    pl_ids_init(&ids, 3);
    assert_int_equal(pl_encoder_create(tokenizer, &encoder), PL_OK);
    assert_int_equal(pl_ids_push(&ids, 7), PL_OK);
    assert_int_equal(pl_tokenizer_encode(encoder, "xyz", 3, PL_ENCODE_ALL, &ids, &err), PL_EFULL);
    assert_string_equal(err.text, "the text has more than the 3 tokens allowed");
    assert_int_equal(ids.len, 1);
    assert_int_equal(pl_tokenizer_encode(encoder, "a b<|im_end|>", 13, PL_ENCODE_ALL, &ids, &err),
                     PL_EFULL);
    assert_int_equal(ids.len, 1);
    assert_int_equal(pl_tokenizer_encode(encoder, "xy", 2, PL_ENCODE_ALL, &ids, &err), PL_OK);
    assert_int_equal(ids.len, 3);
    pl_ids_release(&ids);
    pl_encoder_destroy(encoder);
    pl_tokenizer_destroy(tokenizer);
}

static void write_bytes(const char *dir, const char *name, const char *text, size_t len)
{
    char *path = pl_strf("%s/%s", dir, name);
    struct pl_outfile out;

    assert_int_equal(pl_outfile_open(path, &out, NULL), PL_OK);
    assert_int_equal(pl_outfile_write(&out, text, len, NULL), PL_OK);
    assert_int_equal(pl_outfile_commit(&out, NULL), PL_OK);
    free(path);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    write_bytes(dir, name, text, strlen(text));
}

/* The vocabulary of `plain` as vocab.json, its merges as merges.txt in the way given. */
static void write_old_files(const char *dir, const char *head, const char *end_of_line)
{
    char *json = pl_test_mini_json(&plain);
    json_t *root = NULL;
    char *path = pl_strf("%s/vocab.json", dir);
    struct pl_buf merges;

    pl_buf_init(&merges, 1 << 16);
    assert_int_equal(pl_json_parse(json, strlen(json), "mini", &root, NULL), PL_OK);
    assert_int_equal(
        pl_json_save(path, json_object_get(json_object_get(root, "model"), "vocab"), 0, NULL),
        PL_OK);
    assert_int_equal(pl_buf_puts(&merges, head), PL_OK);
    for (size_t i = 0; pl_test_merges[i]; i++)
        assert_int_equal(pl_buf_printf(&merges, "%s%s", pl_test_merges[i], end_of_line), PL_OK);
    write_file(dir, "merges.txt", merges.data);
    pl_buf_release(&merges);
    json_decref(root);
    free(path);
    free(json);
}

static void older_folders_are_read(void **state)
{
    static const char *const ways[][2] = {{"", "\n"}, {"#version: 0.2\n", "\n"}, {"", "\r\n"}};
    static const char config[] = "{\"added_tokens_decoder\":{\"300\":{\"content\":\"<|im_end|>\","
                                 "\"special\":true,\"normalized\":false}}}";
    char dir[] = "/tmp/plait-old-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++) {
        struct pl_tokenizer *tokenizer = NULL;
        struct pl_error err = {0};

        write_old_files(dir, ways[i][0], ways[i][1]);
        if (i > 0)
            write_file(dir, "tokenizer_config.json", config);
        if (pl_tokenizer_load(dir, &tokenizer, &err) < 0)
            fail_msg("%s", err.text);
        expect(tokenizer, "the thing in there", "the| |th|ing| |in| the|r|e");
        expect(tokenizer,
               "e\xCC\x81"
               "12<|im_end|>",
               i > 0 ? "\xC3\xA9|1|2|{<|im_end|>}" : "\xC3\xA9|1|2|<|||i|m|_|e|n|d|||>");
        pl_tokenizer_destroy(tokenizer);
    }
    assert_int_equal(pl_dir_remove(dir, NULL), PL_OK);
}

static void refuse_dir(const char *dir, int code, const char *sentence)
{
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_error err = {0};
    const int rc = pl_tokenizer_load(dir, &tokenizer, &err);

    if (rc != code || !strstr(err.text, sentence) || !strstr(err.text, dir))
        fail_msg("%d '%s', not %d '%s'", rc, err.text, code, sentence);
    assert_null(tokenizer);
}

static void wrong_folders_are_refused(void **state)
{
    char dir[] = "/tmp/plait-old-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    refuse_dir(dir, PL_ENOENT, "there is no tokenizer.json, and no vocab.json with merges.txt");
    write_old_files(dir, "#version\n\nxy\n", "\n");
    refuse_dir(dir, PL_EFORMAT, "merges.txt: line 3: expected two tokens with a space between");
    write_old_files(dir, "x y z\n", "\n");
    refuse_dir(dir, PL_EFORMAT, "merges.txt: line 1: expected two tokens with a space between");
    write_old_files(dir, "t h\n", "\n");
    refuse_dir(dir, PL_EFORMAT, "merge 1, of 't' and 'h', is there twice");
    write_old_files(dir, "", "\n");
    write_bytes(dir, "merges.txt", "t h\n\0", 5);
    refuse_dir(dir, PL_EFORMAT, "merges.txt: expected text, found a NUL");
    write_old_files(dir, "", "\n");
    write_file(dir, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"3x\":{}}}");
    refuse_dir(dir, PL_EFORMAT, "added token '3x': expected an id");
    write_file(dir, "tokenizer_config.json",
               "{\"added_tokens_decoder\":{\"99999999999999999999\":{\"content\":\"a!\"}}}");
    refuse_dir(dir, PL_EFORMAT, "an id under 4194304");
    write_file(dir, "tokenizer_config.json", "{\"added_tokens_decoder\":[]}");
    refuse_dir(dir, PL_EFORMAT, "'added_tokens_decoder' to be an object");
    write_file(dir, "tokenizer.json", "{");
    refuse_dir(dir, PL_EFORMAT, "tokenizer.json: line 1");
    assert_int_equal(pl_dir_remove(dir, NULL), PL_OK);
}

struct shared {
    const struct pl_tokenizer *tokenizer;
    const struct pl_buf *text;
    struct pl_ids ids;
};

static void *encode_some(void *at)
{
    struct shared *shared = at;
    struct pl_encoder *encoder = NULL;

    if (pl_encoder_create(shared->tokenizer, &encoder) < 0)
        return NULL;
    for (int i = 0; i < 20; i++) {
        pl_ids_clear(&shared->ids);
        pl_tokenizer_encode(encoder, shared->text->data, shared->text->len, PL_ENCODE_ALL,
                            &shared->ids, NULL);
    }
    pl_encoder_destroy(encoder);
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&plain);
    struct pl_buf text;
    struct shared shared[3];
    pthread_t threads[3];

    (void)state;
    pl_buf_init(&text, 1 << 16);
    random_text(&text, 1000, true);
    for (int i = 0; i < 3; i++) {
        shared[i] = (struct shared){.tokenizer = tokenizer, .text = &text};
        pl_ids_init(&shared[i].ids, 1 << 16);
        assert_int_equal(pthread_create(&threads[i], NULL, encode_some, &shared[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(shared[0].ids.len > 500);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(shared[i].ids.len, shared[0].ids.len);
        assert_memory_equal(shared[i].ids.data, shared[0].ids.data,
                            shared[0].ids.len * sizeof(uint32_t));
    }
    for (int i = 0; i < 3; i++)
        pl_ids_release(&shared[i].ids);
    pl_buf_release(&text);
    pl_tokenizer_destroy(tokenizer);
}

/* The quick way against the bytes of each: all tokens of both ends, long ones, and ids of none. */
static void tokens_are_spelled_byte_by_byte(void **state)
{
    static const char added[] = "{\"id\":300,\"content\":\"<a token of more than sixteen bytes>\","
                                "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                                "\"normalized\":false,\"special\":true}";
    struct pl_tokenizer *t =
        pl_test_mini_load(&(struct pl_test_mini){.merges = pl_test_merges, .added = added});
    enum { IDS = 310 };
    uint32_t ids[IDS];
    size_t ends[IDS];
    struct pl_buf out;

    (void)state;
    for (uint32_t i = 0; i < IDS; i++)
        ids[i] = i * 7 % IDS; /* each once, 301 to 309 are no tokens */
    pl_buf_init(&out, 1 << 20);
    for (size_t n = 0; n <= IDS; n += 31) {
        size_t at = 0;

        assert_int_equal(pl_tokenizer_spell(t, ids, n, &out, ends), PL_OK);
        for (size_t i = 0; i < n; i++) {
            size_t len = 0;
            const char *bytes = pl_tokenizer_bytes(t, ids[i], &len);

            if (!bytes) {
                bytes = "\xEF\xBF\xBD";
                len = 3;
            }
            assert_int_equal(ends[i], at + len);
            assert_memory_equal(out.data + at, bytes, len);
            at += len;
        }
        assert_int_equal(out.len, at);
        assert_int_equal(out.data[at], 0);
    }
    assert_int_equal(pl_tokenizer_spell(t, ids, IDS, &out, NULL), PL_OK);
    pl_buf_release(&out);
    pl_buf_init(&out, 100);
    assert_int_equal(pl_tokenizer_spell(t, ids, IDS, &out, ends), PL_EFULL);
    pl_buf_release(&out);
    pl_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_tokens),
        cmocka_unit_test(ill_formed_bytes_are_taken_as_replacement_characters),
        cmocka_unit_test(merges_may_be_pairs),
        cmocka_unit_test(pretokenizers_are_as_described),
        cmocka_unit_test(normalizers_are_as_described),
        cmocka_unit_test(added_tokens_are_as_described),
        cmocka_unit_test(whole_pieces_may_go_before_merges),
        cmocka_unit_test(bytes_without_a_token_are_the_unknown_one),
        cmocka_unit_test(special_entries_are_spelled_out_in_untrusted_text),
        cmocka_unit_test(parts_are_merged_as_one_text),
        cmocka_unit_test(a_post_processor_may_put_tokens_in_front),
        cmocka_unit_test(wrong_vocabularies_are_refused),
        cmocka_unit_test(what_is_not_done_is_refused_by_name),
        cmocka_unit_test(truncation_and_padding_are_passed_over),
        cmocka_unit_test(every_beginning_of_a_file_is_refused),
        cmocka_unit_test(random_text_comes_back),
        cmocka_unit_test(random_ids_are_decoded),
        cmocka_unit_test(decoding_fails_without_a_trace),
        cmocka_unit_test(encoding_fails_without_a_trace),
        cmocka_unit_test(older_folders_are_read),
        cmocka_unit_test(wrong_folders_are_refused),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(tokens_are_spelled_byte_by_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
