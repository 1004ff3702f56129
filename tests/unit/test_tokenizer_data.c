#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * The tokenizer of Qwen2.5 as published: known ids, and every data file there and back. Skipped
 * where the data is not there.
 */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/text/chat.h"
#include "common/text/normal.h"
#include "common/text/tokenizer.h"
#include "common/text/utf8.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMATS = 2, FILE_BYTES_MAX = 1 << 28 }; /* tokenizer.json; vocab.json with merges.txt */

static const char *data; /* the folder, NULL: not there */
static char old[] = "/tmp/plait-qwen-XXXXXX";
static struct pl_tokenizer *tokenizers[FORMATS];
static struct pl_encoder *encoders[FORMATS];

static void load(int format, const char *dir)
{
    struct pl_error err = {0};

    if (pl_tokenizer_load(dir, &tokenizers[format], &err) < 0) {
        print_message("%s\n", err.text);
        return;
    }
    if (pl_encoder_create(tokenizers[format], &encoders[format]) < 0)
        print_message("no memory for an encoder\n");
}

static int set_up(void **state)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    static char dir[4096];

    (void)state;
    data = getenv("PLAIT_TEST_DATA");
    snprintf(dir, sizeof dir, "%s/qwen2.5-tokenizer", data ? data : "");
    if (!data || !pl_path_exists(dir)) {
        print_message("no '%s': set PLAIT_TEST_DATA to the folder of the data\n", dir);
        data = NULL;
        return 0;
    }
    load(0, dir);
    if (!mkdtemp(old))
        return -1;
    for (int i = 0; i < 3; i++) {
        char *from = realpath(dir, NULL), *target = pl_strf("%s/%s", from, names[i]);
        char *to = pl_strf("%s/%s", old, names[i]);

        if (symlink(target, to) < 0)
            return -1;
        free(from);
        free(target);
        free(to);
    }
    load(1, old);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        pl_encoder_destroy(encoders[i]);
        pl_tokenizer_destroy(tokenizers[i]);
    }
    return data ? pl_dir_remove(old, NULL) : 0;
}

static void need_data(void)
{
    if (!data)
        skip();
    for (int i = 0; i < FORMATS; i++)
        assert_non_null(encoders[i]);
}

static size_t check_vector(const char *line, size_t len)
{
    json_t *root = NULL, *text, *ids;
    struct pl_error err = {0};

    if (pl_json_parse(line, len, "vector", &root, &err) < 0)
        fail_msg("%s", err.text);
    text = json_object_get(root, "text");
    ids = json_object_get(root, "ids");
    for (int i = 0; i < FORMATS; i++) {
        struct pl_ids got;

        pl_ids_init(&got, 1 << 20);
        if (pl_tokenizer_encode(encoders[i], json_string_value(text), json_string_length(text),
                                PL_ENCODE_ALL, &got, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(got.len, json_array_size(ids));
        for (size_t k = 0; k < got.len; k++) {
            if (got.data[k] != json_integer_value(json_array_get(ids, k)))
                fail_msg("format %d, id %zu of '%s': %u", i, k, json_string_value(text),
                         got.data[k]);
        }
        pl_ids_release(&got);
    }
    json_decref(root);
    return 1;
}

static void known_ids_are_met(void **state)
{
    struct pl_error err = {0};
    char *path, *text = NULL, *next;
    size_t len = 0, count = 0;

    (void)state;
    need_data();
    path = pl_strf("%s/qwen2.5-tokenizer/golden_vectors.jsonl", data);
    if (pl_file_read(path, FILE_BYTES_MAX, &text, &len, &err) < 0)
        fail_msg("%s", err.text);
    for (char *line = text; line < text + len; line = next + 1) {
        next = memchr(line, '\n', (size_t)(text + len - line));
        assert_non_null(next);
        count += check_vector(line, (size_t)(next - line));
    }
    assert_int_equal(count, 81);
    free(text);
    free(path);
}

static void its_size_and_tokens_are_as_published(void **state)
{
    (void)state;
    need_data();
    for (int i = 0; i < FORMATS; i++) {
        size_t n;

        assert_int_equal(pl_tokenizer_size(tokenizers[i]), 151665);
        assert_int_equal(pl_tokenizer_merges(tokenizers[i]), 151387);
        assert_int_equal(pl_tokenizer_added_count(tokenizers[i]), 22);
        assert_int_equal(pl_tokenizer_id(tokenizers[i], "<|im_end|>", 10), 151645);
        assert_int_equal(pl_tokenizer_id(tokenizers[i], "<think>", 7), PL_TOKEN_NONE);
        assert_true(pl_tokenizer_is_special(tokenizers[i], 151645));
        assert_false(pl_tokenizer_is_special(tokenizers[i], 151664));
        pl_tokenizer_front(tokenizers[i], &n);
        assert_int_equal(n, 0);
    }
}

/* As the published template has it; the ids are from golden_vectors.jsonl, less the last one. */
static void conversations_are_as_published(void **state)
{
    static const uint32_t want[] = {151644, 8948,   198,    2610,   525,    264, 10950,
                                    17847,  13,     151645, 198,    151644, 872, 198,
                                    13048,  151645, 198,    151644, 77091,  198};
    struct pl_chat *chat = NULL;
    struct pl_ids got;

    (void)state;
    need_data();
    pl_ids_init(&got, 100);
    assert_int_equal(pl_chat_load(NULL, NULL, tokenizers[0], &chat, NULL), PL_OK);
    assert_int_equal(
        pl_chat_turn(chat, encoders[0], true, "You are a helpful assistant.", "Hi", 2, &got, NULL),
        PL_OK);
    assert_int_equal(got.len, sizeof want / sizeof want[0]);
    assert_memory_equal(got.data, want, sizeof want);
    pl_ids_release(&got);
    pl_chat_destroy(chat);
}

static size_t files, files_bytes;

/* Both formats give the same ids, and these the text in normal form. */
static void check_text(const char *path, const char *text, size_t len)
{
    struct pl_ids ids[FORMATS];
    struct pl_buf repaired, want, got;
    struct pl_error err = {0};

    pl_buf_init(&repaired, FILE_BYTES_MAX);
    pl_buf_init(&want, FILE_BYTES_MAX);
    pl_buf_init(&got, FILE_BYTES_MAX);
    for (int i = 0; i < FORMATS; i++) {
        pl_ids_init(&ids[i], FILE_BYTES_MAX);
        if (pl_tokenizer_encode(encoders[i], text, len, PL_ENCODE_ALL, &ids[i], &err) < 0)
            fail_msg("%s: %s", path, err.text);
    }
    assert_int_equal(ids[0].len, ids[1].len);
    assert_memory_equal(ids[0].data, ids[1].data, ids[0].len * sizeof(uint32_t));
    assert_int_equal(pl_utf8_repair(text, len, &repaired), PL_OK);
    assert_int_equal(pl_normal(PL_FORM_NFC, repaired.data, repaired.len, &want), PL_OK);
    if (pl_tokenizer_decode(tokenizers[0], ids[0].data, ids[0].len, false, &got, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    if (got.len != want.len || memcmp(got.data, want.data, want.len) != 0)
        fail_msg("%s does not come back", path);
    pl_ids_release(&ids[0]);
    pl_ids_release(&ids[1]);
    pl_buf_release(&repaired);
    pl_buf_release(&want);
    pl_buf_release(&got);
}

static int check_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    struct pl_error err = {0};
    char *text = NULL;
    size_t len = 0;

    (void)st;
    /* What is kept back stays so. */
    if (kind != FTW_F || strcmp(path + ftw->base, "kept-back.bin") == 0)
        return 0;
    if (pl_file_read(path, FILE_BYTES_MAX, &text, &len, &err) < 0)
        fail_msg("%s", err.text);
    check_text(path, text, len);
    free(text);
    files++;
    files_bytes += len;
    return 0;
}

static void every_file_comes_back(void **state)
{
    (void)state;
    need_data();
    assert_int_equal(nftw(data, check_file, 8, FTW_PHYS), 0);
    print_message("%zu files, %zu bytes\n", files, files_bytes);
    assert_true(files > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_ids_are_met),
        cmocka_unit_test(its_size_and_tokens_are_as_published),
        cmocka_unit_test(conversations_are_as_published),
        cmocka_unit_test(every_file_comes_back),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
