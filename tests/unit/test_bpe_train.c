#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "common/text/bpe_learn.h"
#include "common/text/bpe_train.h"
#include "common/text/bytelevel.h"
#include "common/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 400, LEN_MAX = 24, TOKENS_MAX = 400 };

/* The same learning, counted anew for each merge. */
struct plain {
    uint32_t symbols[WORDS_MAX][LEN_MAX];
    size_t lens[WORDS_MAX], count;
    uint64_t times[WORDS_MAX];
    struct pl_dict tokens;
    struct pl_bpe_pair merges[TOKENS_MAX];
    size_t merges_count;
};

static struct plain plain;

static uint64_t count_pair(uint32_t left, uint32_t right)
{
    uint64_t n = 0;

    for (size_t w = 0; w < plain.count; w++) {
        for (size_t i = 0; i + 1 < plain.lens[w]; i++)
            n += plain.symbols[w][i] == left && plain.symbols[w][i + 1] == right ? plain.times[w]
                                                                                 : 0;
    }
    return n;
}

static void join_pair(uint32_t left, uint32_t right, uint32_t joined)
{
    for (size_t w = 0; w < plain.count; w++) {
        uint32_t *symbols = plain.symbols[w];
        size_t n = 0;

        for (size_t i = 0; i < plain.lens[w]; n++) {
            const bool here =
                i + 1 < plain.lens[w] && symbols[i] == left && symbols[i + 1] == right;

            symbols[n] = here ? joined : symbols[i];
            i += here ? 2 : 1;
        }
        plain.lens[w] = n;
    }
}

static uint32_t join_bytes(uint32_t left, uint32_t right)
{
    char bytes[2 * LEN_MAX];
    size_t n, m, entry;
    bool is_new;
    const char *at = pl_dict_key(&plain.tokens, left, &n);

    memcpy(bytes, at, n);
    at = pl_dict_key(&plain.tokens, right, &m);
    memcpy(bytes + n, at, m);
    assert_int_equal(pl_dict_add(&plain.tokens, bytes, n + m, &entry, &is_new), PL_OK);
    assert_true(is_new); /* two pairs never make the same bytes */
    return (uint32_t)entry;
}

/* One merge more; false when no pair occurs often enough. */
static bool plain_step(uint64_t least)
{
    struct pl_bpe_pair best = {0, 0};
    uint64_t most = 0;

    for (size_t w = 0; w < plain.count; w++) {
        for (size_t i = 0; i + 1 < plain.lens[w]; i++) {
            const struct pl_bpe_pair pair = {plain.symbols[w][i], plain.symbols[w][i + 1]};
            uint64_t n;

            if (most > 0 && pair.left == best.left && pair.right == best.right)
                continue;
            n = count_pair(pair.left, pair.right);
            if (n > most || (n == most && (pair.left < best.left ||
                                           (pair.left == best.left && pair.right < best.right)))) {
                most = n;
                best = pair;
            }
        }
    }
    if (most < least)
        return false;
    join_pair(best.left, best.right, join_bytes(best.left, best.right));
    plain.merges[plain.merges_count++] = best;
    return true;
}

static void plain_begin(const struct pl_words *words)
{
    uint32_t symbols[256], n = 0;

    pl_dict_release(&plain.tokens);
    memset(&plain, 0, sizeof plain);
    for (uint32_t cp = 0; n < 256; cp++) {
        const int byte = pl_bytelevel_byte(cp);
        const char c = (char)byte;
        size_t entry;

        if (byte < 0)
            continue;
        assert_int_equal(pl_dict_add(&plain.tokens, &c, 1, &entry, NULL), PL_OK);
        symbols[byte] = n++;
    }
    plain.count = words->dict.count;
    for (size_t w = 0; w < plain.count; w++) {
        const char *bytes = pl_dict_key(&words->dict, w, &plain.lens[w]);

        plain.times[w] = words->counts[w];
        for (size_t i = 0; i < plain.lens[w]; i++)
            plain.symbols[w][i] = symbols[(unsigned char)bytes[i]];
    }
}

/* Words of `letters` letters, some of them often. */
static void make_words(struct pl_words *words, uint64_t seed, size_t n, unsigned letters,
                       bool backwards)
{
    const struct pl_rng rng = {.seed = seed, .batch = (uint32_t)PL_RNG_TEST};

    pl_words_init(words, 1 << 16);
    for (size_t i = 0; i < n; i++) {
        const uint32_t at = (uint32_t)(backwards ? n - 1 - i : i) * 64;
        const size_t len = 1 + pl_rng_below(&rng, at, LEN_MAX - 1);
        const size_t times = 1 + pl_rng_below(&rng, at + 1, 5);
        char word[LEN_MAX];

        for (size_t k = 0; k < len; k++)
            word[k] = (char)("aAz\xC3"[pl_rng_below(&rng, at + 2 + (uint32_t)k, letters)]);
        for (size_t k = 0; k < times; k++)
            assert_int_equal(pl_words_add(words, word, len), PL_OK);
    }
}

/* One letter makes runs alone, two make many. */
static void merges_are_those_of_counting_anew(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 24; seed++) {
        const struct pl_bpe_learn_opts opts = {.tokens_max = 320, .count_least = 1 + seed % 3};
        const unsigned letters = 1 + (unsigned)seed % 4;
        struct pl_words words;
        struct pl_bpe_learned learned;

        make_words(&words, seed, 60, letters, false);
        plain_begin(&words);
        while (plain.tokens.count < opts.tokens_max && plain_step(opts.count_least))
            ;
        assert_int_equal(pl_bpe_learn(&words, &opts, &learned), PL_OK);
        assert_int_equal(learned.tokens.count, plain.tokens.count);
        assert_int_equal(learned.merges_count, plain.merges_count);
        assert_true(learned.merges_count > 4 || letters == 1);
        assert_memory_equal(learned.merges, plain.merges,
                            plain.merges_count * sizeof plain.merges[0]);
        pl_bpe_learned_release(&learned);
        pl_words_release(&words);
    }
    pl_dict_release(&plain.tokens);
}

static void the_order_of_words_does_not_matter(void **state)
{
    const struct pl_bpe_learn_opts opts = {.tokens_max = 600, .count_least = 2};
    struct pl_words words[2];
    struct pl_bpe_learned learned[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        make_words(&words[i], 5, 300, 4, i == 1);
        assert_int_equal(pl_bpe_learn(&words[i], &opts, &learned[i]), PL_OK);
    }
    assert_int_equal(learned[0].tokens.count, 600);
    assert_int_equal(learned[0].merges_count, learned[1].merges_count);
    assert_memory_equal(learned[0].merges, learned[1].merges,
                        learned[0].merges_count * sizeof *learned[0].merges);
    for (int i = 0; i < 2; i++) {
        pl_bpe_learned_release(&learned[i]);
        pl_words_release(&words[i]);
    }
}

static bool is_aa(const void *at, const char *bytes, size_t len)
{
    return len == *(const size_t *)at && memcmp(bytes, "aa", len) == 0;
}

static void forbidden_tokens_are_not_made(void **state)
{
    const size_t two = 2;
    const struct pl_bpe_learn_opts opts = {
        .tokens_max = 320, .count_least = 1, .forbidden = is_aa, .forbidden_at = &two};
    struct pl_words words;
    struct pl_bpe_learned learned;

    (void)state;
    make_words(&words, 1, 60, 2, false);
    assert_int_equal(pl_bpe_learn(&words, &opts, &learned), PL_OK);
    assert_int_equal(learned.tokens.count, 320);
    assert_int_equal(pl_dict_find(&learned.tokens, "aa", 2), SIZE_MAX);
    assert_int_not_equal(pl_dict_find(&learned.tokens, "aA", 2), SIZE_MAX);
    pl_bpe_learned_release(&learned);
    pl_words_release(&words);
}

static int give_up(void *at, size_t tokens)
{
    (void)at;
    return tokens == 260 ? PL_ECANCELED : PL_OK;
}

static void learning_can_be_stopped(void **state)
{
    const struct pl_bpe_learn_opts opts = {.tokens_max = 320, .count_least = 1, .tick = give_up};
    struct pl_words words;
    struct pl_bpe_learned learned;

    (void)state;
    make_words(&words, 1, 60, 2, false);
    assert_int_equal(pl_bpe_learn(&words, &opts, &learned), PL_ECANCELED);
    assert_int_equal(learned.tokens.count, 260);
    pl_bpe_learned_release(&learned);
    pl_words_release(&words);
}

static uint64_t steps_for(size_t words_count, bool runs)
{
    const struct pl_bpe_learn_opts opts = {.tokens_max = 4096, .count_least = 1};
    struct pl_words words;
    struct pl_bpe_learned learned;
    uint64_t steps;

    if (runs) { /* runs of one letter, the overlaps of which are the costly case */
        char run[PL_WORD_BYTES_MAX];

        memset(run, 'a', sizeof run);
        pl_words_init(&words, 1 << 16);
        for (size_t i = 0; i < words_count; i++) {
            run[0] = (char)('b' + i % 20);
            run[PL_WORD_BYTES_MAX - 1] = (char)(i / 20);
            assert_int_equal(pl_words_add(&words, run, sizeof run), PL_OK);
        }
    } else {
        make_words(&words, 9, words_count, 4, false);
    }
    assert_int_equal(pl_bpe_learn(&words, &opts, &learned), PL_OK);
    steps = learned.steps;
    pl_bpe_learned_release(&learned);
    pl_words_release(&words);
    return steps;
}

static void work_grows_with_the_words_not_their_square(void **state)
{
    (void)state;
    for (int runs = 0; runs < 2; runs++) {
        const uint64_t once = steps_for(400, runs), twice = steps_for(800, runs);

        assert_true(once > 1000);
        assert_in_range(twice, once, 3 * once);
    }
}

static void rare_words_are_forgotten_when_there_are_too_many(void **state)
{
    struct pl_words words;
    char word[16], long_word[PL_WORD_BYTES_MAX + 1];

    (void)state;
    pl_words_init(&words, 100);
    for (int i = 0; i < 30; i++) { /* these come four times in all, the others once */
        snprintf(word, sizeof word, "often%d", i);
        for (int k = 0; k < 3; k++)
            assert_int_equal(pl_words_add(&words, word, strlen(word)), PL_OK);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(word, sizeof word, "once%d", i);
        assert_int_equal(pl_words_add(&words, word, strlen(word)), PL_OK);
        assert_true(words.dict.count <= 100);
    }
    memset(long_word, 'x', sizeof long_word);
    assert_int_equal(pl_words_add(&words, long_word, PL_WORD_BYTES_MAX), PL_OK);
    assert_int_equal(pl_words_add(&words, long_word, PL_WORD_BYTES_MAX + 1), PL_OK);
    for (int i = 0; i < 30; i++) {
        size_t entry;

        snprintf(word, sizeof word, "often%d", i);
        entry = pl_dict_find(&words.dict, word, strlen(word));
        assert_int_not_equal(entry, SIZE_MAX);
        assert_int_equal(words.counts[entry], 3);
    }
    assert_int_equal(words.total, 90 + 1000 + 1);
    assert_int_equal(words.too_long, 1);
    assert_true(words.forgotten >= 900);
    assert_int_equal(words.forgotten + words.dict.count + 60, words.total);
    pl_words_release(&words);
}

static const struct pl_write_added added[] = {
    {"<|endoftext|>", true}, {"<|im_start|>", true}, {"<|im_end|>", true}, {"<think>", false}};

static const char text[] =
    "the thin thing thinks. The thing thinks thin things, then the thinker thinks the thing.\n"
    "<think>12345 + 67890</think> na\xC3\xAFve caf\x65\xCC\x81 caf\xC3\xA9 \xF0\x9F\x8D\xB0\n\n"
    "    in the thick of things: think, thinking, thinker!\n";

static struct pl_bpe_trainer *make_trainer(size_t size)
{
    const struct pl_bpe_trainer_opts opts = {
        .size = size, .words_max = 1000, .count_least = 2, .added = added, .added_count = 4};
    struct pl_bpe_trainer *trainer = NULL;
    struct pl_error err = {0};

    if (pl_bpe_trainer_create(&opts, &trainer, &err) < 0)
        fail_msg("%s", err.text);
    return trainer;
}

static void train(const char *dir, size_t size)
{
    struct pl_bpe_trainer *trainer = make_trainer(size);
    struct pl_error err = {0};

    if (pl_bpe_trainer_feed(trainer, text, sizeof text - 1, &err) < 0 ||
        pl_bpe_trainer_learn(trainer, NULL, NULL, &err) < 0 ||
        pl_bpe_trainer_save(trainer, dir, &err) < 0)
        fail_msg("%s", err.text);
    pl_bpe_trainer_destroy(trainer);
}

static void check_bytes(const struct pl_tokenizer *tokenizer)
{
    for (int byte = 0; byte < 256; byte++) {
        const char c = (char)byte;
        const uint32_t id = pl_tokenizer_id(tokenizer, &c, 1);
        size_t len = 0;

        assert_true(id < 256);
        assert_memory_equal(pl_tokenizer_bytes(tokenizer, id, &len), &c, 1);
        assert_int_equal(len, 1);
    }
    assert_int_equal(pl_tokenizer_id(tokenizer, "!", 1), 0); /* as GPT-2 and Qwen number them */
    assert_int_equal(pl_tokenizer_id(tokenizer, " ", 1), 220);
}

static void what_was_learned_loads_and_is_used(void **state)
{
    char dir[] = "/tmp/plait-train-XXXXXX";
    struct pl_tokenizer *tokenizer = NULL;
    struct pl_encoder *encoder = NULL;
    struct pl_error err = {0};
    struct pl_ids ids;
    struct pl_buf back;
    uint32_t thing;

    (void)state;
    assert_non_null(mkdtemp(dir));
    train(dir, 275);
    if (pl_tokenizer_load(dir, &tokenizer, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pl_tokenizer_size(tokenizer), 275);
    check_bytes(tokenizer);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pl_tokenizer_id(tokenizer, added[i].content, strlen(added[i].content)),
                         271 + i);
        assert_int_equal(pl_tokenizer_is_special(tokenizer, 271 + i), added[i].special);
    }
    assert_int_equal(pl_encoder_create(tokenizer, &encoder), PL_OK);
    pl_ids_init(&ids, 1000);
    pl_buf_init(&back, 1000);
    assert_int_equal(pl_tokenizer_encode(encoder, " thing<think>", 13, PL_ENCODE_ALL, &ids, &err),
                     PL_OK);
    thing = pl_tokenizer_id(tokenizer, " thing", 6);
    assert_int_not_equal(thing, PL_TOKEN_NONE);
    assert_int_equal(ids.len, 2);
    assert_int_equal(ids.data[0], thing);
    assert_int_equal(ids.data[1], 274);
    pl_ids_clear(&ids);
    assert_int_equal(pl_tokenizer_encode(encoder, text, sizeof text - 1, PL_ENCODE_ALL, &ids, &err),
                     PL_OK);
    assert_in_range(ids.len, 60, (sizeof text - 1) * 3 / 4);
    assert_int_equal(pl_tokenizer_decode(tokenizer, ids.data, ids.len, false, &back, &err), PL_OK);
    assert_non_null(strstr(back.data, " caf\xC3\xA9 caf\xC3\xA9 ")); /* NFC */
    pl_ids_release(&ids);
    pl_buf_release(&back);
    pl_encoder_destroy(encoder);
    pl_tokenizer_destroy(tokenizer);
    assert_int_equal(pl_dir_remove(dir, NULL), PL_OK);
}

static void files_are_the_same_each_time(void **state)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    char dir[] = "/tmp/plait-train-XXXXXX";
    char *paths[2], *a, *b;
    size_t n, m;

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 2; i++) {
        paths[i] = pl_strf("%s/%d/sub", dir, i); /* made with what is above it */
        train(paths[i], 270);
    }
    for (int i = 0; i < 2; i++) {
        char *one = pl_strf("%s/%s", paths[0], names[i]),
             *two = pl_strf("%s/%s", paths[1], names[i]);

        assert_int_equal(pl_file_read(one, 1 << 20, &a, &n, NULL), PL_OK);
        assert_int_equal(pl_file_read(two, 1 << 20, &b, &m, NULL), PL_OK);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
        free(one);
        free(two);
    }
    free(paths[0]);
    free(paths[1]);
    assert_int_equal(pl_dir_remove(dir, NULL), PL_OK);
}

static void the_configuration_names_what_ends_an_answer(void **state)
{
    char dir[] = "/tmp/plait-train-XXXXXX";
    char *path;
    json_t *root = NULL;
    const char *eos = NULL, *pad = NULL, *template = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    train(dir, 270);
    path = pl_strf("%s/tokenizer_config.json", dir);
    assert_int_equal(pl_json_load(path, 1 << 20, &root, NULL), PL_OK);
    assert_int_equal(pl_json_string(root, "eos_token", "config", &eos, NULL), PL_OK);
    assert_string_equal(eos, "<|im_end|>");
    assert_int_equal(pl_json_string(root, "pad_token", "config", &pad, NULL), PL_OK);
    assert_string_equal(pad, "<|endoftext|>");
    assert_int_equal(pl_json_string(root, "chat_template", "config", &template, NULL), PL_OK);
    assert_non_null(strstr(template, "<|im_start|>assistant"));
    assert_int_equal(json_object_size(json_object_get(root, "added_tokens_decoder")), 4);
    json_decref(root);
    free(path);
    assert_int_equal(pl_dir_remove(dir, NULL), PL_OK);
}

static void a_short_text_gives_what_it_holds(void **state)
{
    struct pl_bpe_trainer *trainer = make_trainer(5000);
    struct pl_bpe_trainer_stats stats;

    (void)state;
    assert_int_equal(pl_bpe_trainer_feed(trainer, "ab ab cd", 8, NULL), PL_OK);
    assert_int_equal(pl_bpe_trainer_learn(trainer, NULL, NULL, NULL), PL_OK);
    pl_bpe_trainer_stats(trainer, &stats);
    assert_int_equal(stats.tokens, 256 + 1 + 4); /* "ab" occurs twice, " ab" once */
    assert_int_equal(stats.bytes, 8);
    assert_int_equal(stats.words, 3);
    assert_int_equal(stats.different, 3);
    pl_bpe_trainer_destroy(trainer);
}

static void refused(size_t size, const struct pl_write_added *tokens, size_t n,
                    const char *sentence)
{
    const struct pl_bpe_trainer_opts opts = {
        .size = size, .words_max = 1000, .count_least = 2, .added = tokens, .added_count = n};
    struct pl_bpe_trainer *trainer = NULL;
    struct pl_error err = {0};

    assert_int_equal(pl_bpe_trainer_create(&opts, &trainer, &err), PL_EINVAL);
    assert_string_equal(err.text, sentence);
    assert_null(trainer);
}

static void options_are_checked(void **state)
{
    static const struct pl_write_added twice[] = {{"<a>", true}, {"<a>", false}};
    static const struct pl_write_added empty[] = {{"<a>", true}, {"", false}};
    static const struct pl_write_added broken[] = {{"\xFF", true}};

    (void)state;
    refused(259, added, 4,
            "a vocabulary of 259 tokens; expected 260 (256 bytes and 4 added tokens) to 4194304");
    refused(4194305, added, 4,
            "a vocabulary of 4194305 tokens; expected 260 (256 bytes and 4 added tokens) to "
            "4194304");
    refused(300, twice, 2, "added token '<a>' is there twice");
    refused(300, empty, 2, "added token 2, '': expected UTF-8 that is not empty");
    refused(300, broken, 1, "added token 1, '\xFF': expected UTF-8 that is not empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_those_of_counting_anew),
        cmocka_unit_test(the_order_of_words_does_not_matter),
        cmocka_unit_test(forbidden_tokens_are_not_made),
        cmocka_unit_test(learning_can_be_stopped),
        cmocka_unit_test(work_grows_with_the_words_not_their_square),
        cmocka_unit_test(rare_words_are_forgotten_when_there_are_too_many),
        cmocka_unit_test(what_was_learned_loads_and_is_used),
        cmocka_unit_test(files_are_the_same_each_time),
        cmocka_unit_test(the_configuration_names_what_ends_an_answer),
        cmocka_unit_test(a_short_text_gives_what_it_holds),
        cmocka_unit_test(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
