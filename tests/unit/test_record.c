#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/record.h"
#include "common/base/err.h"
#include "common/base/json.h"

#include <string.h>

static const struct pl_turn usual = {.number = 2,
                                     .prompt_tokens = 12,
                                     .reused_tokens = 5,
                                     .tokens = 11,
                                     .finish = PL_FINISH_STOP,
                                     .seconds = 1.25,
                                     .first_s = 0.25,
                                     .ttfa_tokens = 4,
                                     .ttfa_s = 0.5};

/* The object printed for a response, parsed; ended with json_decref(). */
static json_t *printed(struct pl_record *record, enum pl_part opened, const char *response,
                       const struct pl_turn *turn)
{
    const struct pl_sink sink = pl_record_sink(record);
    struct pl_stream stream;
    struct pl_buf buf;
    json_t *root = NULL;

    pl_buf_init(&buf, 1 << 20);
    pl_stream_init(&stream, &sink, opened);
    for (const char *at = response; *at; at++)
        assert_int_equal(pl_stream_push(&stream, at, 1), PL_OK);
    assert_int_equal(pl_stream_finish(&stream), PL_OK);
    assert_int_equal(pl_record_print(record, turn, "1 \"+\"\n1?", 8, &buf), PL_OK);
    assert_ptr_equal(strchr(buf.data, '\n'), buf.data + buf.len - 1); /* one line */
    for (size_t i = 0; i + 1 < buf.len; i++)                          /* which no terminal minds */
        assert_true((unsigned char)buf.data[i] >= 0x20 && buf.data[i] != 0x7F &&
                    !(buf.data[i] == '\xC2' && (unsigned char)buf.data[i + 1] < 0xA0));
    assert_int_equal(pl_json_parse(buf.data, buf.len, "turn", &root, NULL), PL_OK);
    pl_buf_release(&buf);
    return root;
}

static void check_segments(const json_t *root, const char *const *want)
{
    const json_t *segments = json_object_get(root, "segments");
    size_t n = 0;

    for (; want[2 * n]; n++) {
        const json_t *segment = json_array_get(segments, n);

        assert_non_null(segment);
        assert_string_equal(json_string_value(json_object_get(segment, "part")), want[2 * n]);
        assert_string_equal(json_string_value(json_object_get(segment, "text")), want[2 * n + 1]);
    }
    assert_int_equal(json_array_size(segments), n);
}

static void a_turn_is_one_object(void **state)
{
    static const char text[] = "<think>one more\n than \"1\"</think> \n<answer>2</answer>done";
    struct pl_record record;
    json_t *root;

    (void)state;
    pl_record_init(&record);
    root = printed(&record, PL_PART_TEXT, text, &usual);
    assert_string_equal(json_string_value(json_object_get(root, "prompt")), "1 \"+\"\n1?");
    assert_string_equal(json_string_value(json_object_get(root, "text")), text);
    check_segments(root, (const char *const[]){"think", "one more\n than \"1\"", "answer", "2",
                                               "text", "done", NULL});
    assert_int_equal(json_integer_value(json_object_get(root, "turn")), 2);
    assert_string_equal(json_string_value(json_object_get(root, "finish")), "stop");
    assert_true(json_is_false(json_object_get(root, "context_full")));
    assert_int_equal(json_integer_value(json_object_get(root, "prompt_tokens")), 12);
    assert_int_equal(json_integer_value(json_object_get(root, "reused_tokens")), 5);
    assert_int_equal(json_integer_value(json_object_get(root, "tokens")), 11);
    assert_true(json_number_value(json_object_get(root, "seconds")) == 1.25);
    assert_true(json_number_value(json_object_get(root, "tokens_per_s")) ==
                10); /* after the first */
    assert_true(json_number_value(json_object_get(root, "first_token_ms")) == 250);
    assert_int_equal(json_integer_value(json_object_get(root, "ttfa_tokens")), 4);
    assert_true(json_number_value(json_object_get(root, "ttfa_ms")) == 500);
    json_decref(root);

    root = printed(&record, PL_PART_TEXT, "", &(struct pl_turn){.number = 3}); /* nothing is left */
    assert_string_equal(json_string_value(json_object_get(root, "text")), "");
    check_segments(root, (const char *const[]){NULL});
    assert_true(json_is_null(json_object_get(root, "ttfa_tokens")));
    assert_true(json_is_null(json_object_get(root, "ttfa_ms")));
    json_decref(root);
    pl_record_release(&record);
}

static void segments_are_the_parts_in_order(void **state)
{
    static const struct {
        enum pl_part opened;
        const char *text, *segments[9];
    } cases[] = {
        {PL_PART_TEXT, "plain", {"text", "plain"}},
        {PL_PART_TEXT, "<think></think><answer></answer>", {"think", "", "answer", ""}},
        {PL_PART_TEXT, " <answer>a<answer>b", {"answer", "a", "answer", "b"}},
        {PL_PART_TEXT, "<think>open", {"think", "open"}},
        {PL_PART_TEXT, "</answer></think> ", {NULL}},
        {PL_PART_THINK, "a</think><answer>b</answer>", {"think", "a", "answer", "b"}},
        {PL_PART_TEXT, "\033\xC2\x9B\x7F", {"text", "\033\xC2\x9B\x7F"}},
    };
    struct pl_record record;

    (void)state;
    pl_record_init(&record);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = printed(&record, cases[i].opened, cases[i].text, &usual);

        check_segments(root, cases[i].segments);
        json_decref(root);
    }
    pl_record_release(&record);
}

static void check_summary(struct pl_turn turn, const char *want)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1 << 10);
    assert_int_equal(pl_turn_summary(&turn, &buf), PL_OK);
    assert_string_equal(buf.data, want);
    pl_buf_release(&buf);
}

static void the_summary_is_one_line(void **state)
{
    struct pl_turn turn = usual;

    (void)state;
    check_summary(turn, "11 tokens, 10 tok/s, first answer after 500 ms (4 tokens)");
    turn.finish = PL_FINISH_CANCELED;
    turn.ttfa_tokens = 0;
    check_summary(turn, "11 tokens, 10 tok/s, no answer; stopped");
    turn.finish = PL_FINISH_LENGTH;
    check_summary(turn, "11 tokens, 10 tok/s, no answer; cut short by --max-tokens");
    turn.context_full = true;
    check_summary(turn, "11 tokens, 10 tok/s, no answer; cut short: the context is full");
    check_summary((struct pl_turn){.tokens = 1,
                                   .seconds = 0.5,
                                   .first_s = 0.5,
                                   .ttfa_tokens = 1,
                                   .ttfa_s = 0.5,
                                   .finish = PL_FINISH_STOP},
                  "1 token, 2 tok/s, first answer after 500 ms (1 token)");
    check_summary((struct pl_turn){.finish = PL_FINISH_CANCELED},
                  "0 tokens, 0 tok/s, no answer; stopped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_one_object),
        cmocka_unit_test(segments_are_the_parts_in_order),
        cmocka_unit_test(the_summary_is_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
