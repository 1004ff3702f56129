#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actor/dialog.h"
#include "tests/little.h"
#include "tests/mini_tokenizer.h"
#include "tests/parrot.h"

#include <math.h>
#include <string.h>

static const char *const scripts[] = {
    "1=<think>~one more~</think>~<answer>~2~</answer>",
    "3=<thi~nk>~\\xC3~\\xA9~</think><ans~wer>x",
    "4= ~\n~word~ and word",
    "5=hi~<|end|>",
    "6=ho",
    "7=round~ and~*",
    "8=odd~\\none~row",
    "9=<think>no answer",
};

static struct pl_parrot parrot;

static int make_parrot(void **state)
{
    (void)state;
    pl_parrot_create(&parrot, scripts, sizeof scripts / sizeof scripts[0], 128);
    return 0;
}

static int destroy_parrot(void **state)
{
    (void)state;
    pl_parrot_destroy(&parrot);
    return 0;
}

/* A dialog, and a sink that writes down what it is given, a "|" before each tag. */
struct talk {
    struct pl_chat *chat;
    struct pl_dialog *dialog;
    struct pl_turn turn;
    struct pl_error err;
    struct pl_buf heard;
    int flushes, flush_fails_at;
};

static int hear_text(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct talk *talk = at;

    (void)part;
    return pl_buf_append(&talk->heard, bytes, len);
}

static int hear_tag(void *at, enum pl_part part, const char *bytes, size_t len)
{
    struct talk *talk = at;

    (void)part;
    assert_int_equal(pl_buf_puts(&talk->heard, "|"), PL_OK);
    return pl_buf_append(&talk->heard, bytes, len);
}

static int hear_flush(void *at, struct pl_error *err)
{
    struct talk *talk = at;

    if (++talk->flushes == talk->flush_fails_at)
        return pl_fail(err, PL_EIO, "the file is full");
    return PL_OK;
}

static struct pl_dialog_opts parrot_opts(void)
{
    return (struct pl_dialog_opts){.weights = parrot.weights,
                                   .tokenizer = parrot.tokenizer,
                                   .positions = 128,
                                   .sampling = PL_SAMPLING_GREEDY};
}

static void begin(struct talk *talk, const char *template, struct pl_dialog_opts opts)
{
    *talk = (struct talk){.flush_fails_at = -1};
    pl_buf_init(&talk->heard, 1 << 16);
    if (pl_chat_parse(template, strlen(template), "template", &talk->chat, &talk->err) < 0)
        fail_msg("%s", talk->err.text);
    opts.chat = talk->chat;
    if (pl_dialog_create(&opts, &talk->dialog, &talk->err) < 0)
        fail_msg("%s", talk->err.text);
}

static void end(struct talk *talk)
{
    pl_dialog_destroy(talk->dialog);
    pl_chat_destroy(talk->chat);
    pl_buf_release(&talk->heard);
}

static int say_until(struct talk *talk, const char *text, bool (*stop)(void))
{
    const struct pl_said said = {.text = text,
                                 .len = strlen(text),
                                 .sink = {talk, hear_text, hear_tag},
                                 .flush = hear_flush,
                                 .stop = stop};

    pl_buf_clear(&talk->heard);
    return pl_dialog_say(talk->dialog, &said, &talk->turn, &talk->err);
}

static void say(struct talk *talk, const char *text, const char *want)
{
    if (say_until(talk, text, NULL) < 0)
        fail_msg("%s", talk->err.text);
    assert_string_equal(talk->heard.data ? talk->heard.data : "", want);
}

static void a_response_streams_and_is_measured(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, "{{user}}", parrot_opts());
    say(&talk, "what is 1", "|<think>one more|</think>|<answer>2|</answer>");
    assert_int_equal(talk.turn.number, 1);
    assert_int_equal(talk.turn.prompt_tokens, 9);
    assert_int_equal(talk.turn.reused_tokens, 0);
    assert_int_equal(talk.turn.tokens, 7); /* the stop token too */
    assert_int_equal(talk.turn.finish, PL_FINISH_STOP);
    assert_int_equal(talk.turn.ttfa_tokens, 5);
    assert_true(talk.turn.ttfa_s > 0 && talk.turn.first_s > 0);
    assert_true(talk.turn.first_s <= talk.turn.ttfa_s && talk.turn.ttfa_s <= talk.turn.seconds);
    assert_int_equal(talk.flushes, 7); /* each token that shows, and the end */
    end(&talk);
}

static void tags_and_characters_may_be_cut_by_tokens(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, "{{user}}", parrot_opts());
    say(&talk, "3", "|<think>\xC3\xA9|</think>|<answer>x");
    assert_int_equal(talk.turn.ttfa_tokens, 6);
    say(&talk, "8", "odd\xEF\xBF\xBDrow"); /* an id that is no token */
    end(&talk);
}

static void the_first_answer_is_where_one_is(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, "{{user}}", parrot_opts());
    say(&talk, "4", " \nword and word"); /* no tags: all of it is the answer */
    assert_int_equal(talk.turn.ttfa_tokens, 3);
    say(&talk, "9", "|<think>no answer");
    assert_int_equal(talk.turn.ttfa_tokens, 0);
    say(&talk, "nothing known", "");
    assert_int_equal(talk.turn.ttfa_tokens, 0);
    assert_int_equal(talk.turn.tokens, 1);
    end(&talk);

    begin(&talk, "{{user}}<think>", parrot_opts()); /* what follows <think> of script 1 */
    say(&talk, "anything", "one more|</think>|<answer>2|</answer>");
    assert_int_equal(talk.turn.opened, PL_PART_THINK);
    assert_int_equal(talk.turn.ttfa_tokens, 4);
    end(&talk);
}

static void special_tokens_show_on_request(void **state)
{
    struct pl_dialog_opts opts = parrot_opts();
    struct talk talk;

    (void)state;
    opts.show_special = true;
    begin(&talk, "{{user}}", opts);
    say(&talk, "6", "ho<|endoftext|>");
    end(&talk);
}

static void tags_may_be_special_tokens(void **state)
{
    static const char *const said[] = {"1=!<think>~hm~!<pad>~!</think>~!<answer>~yes"};
    struct pl_dialog_opts opts = parrot_opts();
    struct pl_parrot special;
    struct talk talk;

    (void)state;
    pl_parrot_create(&special, said, 1, 128);
    opts.weights = special.weights;
    opts.tokenizer = special.tokenizer;
    begin(&talk, "{{user}}", opts);
    say(&talk, "1", "|<think>hm|</think>|<answer>yes"); /* and what is no tag is left out */
    assert_int_equal(talk.turn.ttfa_tokens, 6);
    end(&talk);
    pl_parrot_destroy(&special);
}

static void check_ids(const struct talk *talk, const char *want)
{
    struct pl_buf text;
    const uint32_t *ids;
    size_t n;

    pl_buf_init(&text, 1 << 16);
    ids = pl_dialog_ids(talk->dialog, &n);
    assert_int_equal(pl_tokenizer_decode(parrot.tokenizer, ids, n, false, &text, NULL), PL_OK);
    assert_string_equal(text.data, want);
    pl_buf_release(&text);
}

/* However a response ended, the next turn follows one end of answer. */
static void answers_end_as_the_template_says(void **state)
{
    struct pl_dialog_opts opts = parrot_opts();
    struct talk talk;

    (void)state;
    opts.new_tokens_max = 3;
    begin(&talk, "Q{{user}}A{{answer}}<|end|>\n", opts);
    say(&talk, "", ""); /* 'A' is no trigger: stopped at once, and not by <|end|> */
    check_ids(&talk, "QA");
    end(&talk);

    begin(&talk, "Q{{user}}{{answer}}<|end|>\n", opts);
    say(&talk, "5", "hi"); /* <|end|> is a stop token, for the template has it */
    assert_int_equal(talk.turn.finish, PL_FINISH_STOP);
    check_ids(&talk, "Q5hi<|end|>");
    say(&talk, "6", "ho"); /* stopped by another token */
    check_ids(&talk, "Q5hi<|end|>\nQ6ho");
    say(&talk, "7", "round andround"); /* cut off */
    assert_int_equal(talk.turn.finish, PL_FINISH_LENGTH);
    assert_false(talk.turn.context_full);
    check_ids(&talk, "Q5hi<|end|>\nQ6ho<|end|>\nQ7round andround");
    say(&talk, "6", "ho");
    check_ids(&talk, "Q5hi<|end|>\nQ6ho<|end|>\nQ7round andround<|end|>\nQ6ho");
    end(&talk);

    begin(&talk, "{{user}}", opts); /* no end in the template: the model's own stays */
    say(&talk, "6", "ho");
    check_ids(&talk, "6ho<|endoftext|>");
    pl_dialog_forget(talk.dialog);
    say(&talk, "6", "ho");
    assert_int_equal(talk.turn.number, 2);
    check_ids(&talk, "6ho<|endoftext|>");
    end(&talk);
}

static void a_full_context_is_said_and_undoes_the_turn(void **state)
{
    struct pl_dialog_opts opts = parrot_opts();
    struct talk talk;

    (void)state;
    opts.positions = 20;
    begin(&talk, "{{user}}{{answer}}<|end|>", opts);
    say(&talk, "6", "ho"); /* 2 tokens stay */
    assert_int_equal(say_until(&talk, "seventeen bytes 6", NULL), PL_EFULL);
    assert_string_equal(talk.err.text, "the context of 20 tokens is full: 2 are taken, and this "
                                       "turn does not fit into the rest");
    check_ids(&talk, "6ho");
    assert_int_equal(say_until(&talk, "longer than the whole context is", NULL), PL_EFULL);
    check_ids(&talk, "6ho");
    say(&talk, "sixteen bytes .6", "ho"); /* with the end of answer 19; one is left for "ho" */
    assert_int_equal(talk.turn.finish, PL_FINISH_LENGTH);
    assert_true(talk.turn.context_full);
    assert_int_equal(say_until(&talk, "", NULL), PL_EFULL);
    pl_dialog_forget(talk.dialog);
    say(&talk, "6", "ho");
    end(&talk);
}

static int asked;

static bool stop_at_third(void)
{
    return ++asked == 3;
}

static bool stop_at_once(void)
{
    return true;
}

static void a_stopped_response_is_part_of_what_was_said(void **state)
{
    struct talk talk;

    (void)state;
    asked = 0;
    begin(&talk, "{{user}}{{answer}}<|end|>", parrot_opts());
    assert_int_equal(say_until(&talk, "7", stop_at_third), PL_OK);
    assert_string_equal(talk.heard.data, "round and");
    assert_int_equal(talk.turn.finish, PL_FINISH_CANCELED);
    assert_int_equal(say_until(&talk, "6", stop_at_once), PL_OK);
    assert_int_equal(talk.turn.tokens, 0);
    say(&talk, "6", "ho");
    check_ids(&talk, "7round and<|end|>6<|end|>6ho");
    end(&talk);
}

static void an_answer_that_cannot_be_shown_ends(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, "{{user}}", parrot_opts());
    talk.flush_fails_at = 2;
    assert_int_equal(say_until(&talk, "7", NULL), PL_EIO);
    assert_string_equal(talk.err.text, "the file is full");
    assert_int_equal(talk.flushes, 2);
    talk.heard.bytes_max = talk.heard.len; /* a sink that is full, without words */
    assert_int_equal(say_until(&talk, "what is 1", NULL), PL_EFULL);
    assert_string_equal(talk.err.text, "no memory to show the response");
    talk.heard.bytes_max = 1 << 16;
    say(&talk, "6", "ho");
    end(&talk);
}

enum { TURNS = 5, NEW_TOKENS = 12 };

/* Four turns of a model with a memory: each as if computed from nothing, and hardly any of it is.
 */
static void a_turn_computes_what_is_new(void **state)
{
    static const char template[] = "<|im_start|>{{system}}\n<|im_start|>{{user}}<|im_end|>"
                                   "{{answer}}<|im_end|>\n";
    struct pl_config config = pl_little_config();
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&(struct pl_test_mini){0});
    struct pl_little little;
    struct talk talk;
    size_t before = 0;

    (void)state;
    config.vocab = pl_tokenizer_size(tokenizer);
    little = pl_little_create(&config, 3);
    begin(&talk, template,
          (struct pl_dialog_opts){.weights = little.weights,
                                  .tokenizer = tokenizer,
                                  .system = "be kind",
                                  .positions = 256,
                                  .new_tokens_max = NEW_TOKENS,
                                  .sampling = PL_SAMPLING_PLAIN,
                                  .seed = 11});
    for (uint32_t t = 1; t <= TURNS; t++) {
        struct pl_request alone = {.samples = 1,
                                   .new_tokens_max = NEW_TOKENS,
                                   .sampling = PL_SAMPLING_PLAIN,
                                   .rng = {.seed = 11, .batch = (uint32_t)PL_RNG_CHAT, .prompt = t},
                                   .stop_ids = {258},
                                   .stop_count = 1};
        struct pl_fate want;
        size_t n;

        assert_int_equal(say_until(&talk, "how are you today?", NULL), PL_OK);
        alone.prompt = pl_dialog_ids(talk.dialog, &n);
        alone.prompt_len = talk.turn.prompt_tokens;
        pl_outcome_alone(little.weights, &alone, &want);
        assert_int_equal(talk.turn.tokens, want.len);
        assert_int_equal(n, alone.prompt_len + want.len);
        assert_memory_equal(alone.prompt + alone.prompt_len, want.ids, want.len * sizeof *want.ids);
        assert_true(talk.turn.prompt_tokens > before); /* nothing of before is said again */
        assert_int_equal(talk.turn.reused_tokens, t == 1 ? 0 : before - 1); /* the last was new */
        before = n;
    }
    end(&talk);
    pl_little_destroy(&little);
    pl_tokenizer_destroy(tokenizer);
}

static void broken_weights_are_said(void **state)
{
    struct pl_config config = pl_little_config();
    struct pl_tokenizer *tokenizer = pl_test_mini_load(&(struct pl_test_mini){0});
    struct pl_little little;
    struct talk talk;

    (void)state;
    config.vocab = pl_tokenizer_size(tokenizer);
    little = pl_little_create(&config, 3);
    pl_little_set_row(&little, PL_ROLE_HEAD, 0, 5, INFINITY);
    begin(&talk, "{{user}}",
          (struct pl_dialog_opts){.weights = little.weights,
                                  .tokenizer = tokenizer,
                                  .positions = 64,
                                  .sampling = PL_SAMPLING_GREEDY});
    assert_int_equal(say_until(&talk, "hello", NULL), PL_EFORMAT);
    assert_non_null(strstr(talk.err.text, "not a finite number, at token 1 of the response"));
    end(&talk);
    pl_little_destroy(&little);
    pl_tokenizer_destroy(tokenizer);
}

static void what_does_not_fit_together_is_refused(void **state)
{
    const struct pl_config config = pl_little_config(); /* 83 tokens */
    struct pl_little little = pl_little_create(&config, 1);
    struct pl_dialog_opts opts = parrot_opts();
    struct pl_dialog *dialog = NULL;
    struct pl_chat *chat = NULL;
    struct pl_error err;

    (void)state;
    assert_int_equal(pl_chat_parse("a long{{user}}", 14, "template", &chat, &err), PL_OK);
    opts.chat = chat;
    opts.weights = little.weights;
    assert_int_equal(pl_dialog_create(&opts, &dialog, &err), PL_EINVAL);
    assert_non_null(strstr(err.text, "the model only 83"));
    opts = parrot_opts();
    opts.chat = chat;
    opts.positions = 4;
    assert_int_equal(pl_dialog_create(&opts, &dialog, &err), PL_EINVAL);
    assert_string_equal(err.text, "a context of 4 tokens does not even hold the template");
    opts.positions = 128;
    opts.sampling.top_p = 2;
    assert_int_equal(pl_dialog_create(&opts, &dialog, &err), PL_EINVAL);
    opts.sampling.top_p = 1;
    opts.bytes_max = 1000;
    assert_int_equal(pl_dialog_create(&opts, &dialog, &err), PL_ENOMEM);
    assert_non_null(strstr(err.text, "the limit is 1000"));
    assert_null(dialog);
    pl_chat_destroy(chat);
    pl_little_destroy(&little);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_streams_and_is_measured),
        cmocka_unit_test(tags_and_characters_may_be_cut_by_tokens),
        cmocka_unit_test(the_first_answer_is_where_one_is),
        cmocka_unit_test(special_tokens_show_on_request),
        cmocka_unit_test(tags_may_be_special_tokens),
        cmocka_unit_test(answers_end_as_the_template_says),
        cmocka_unit_test(a_full_context_is_said_and_undoes_the_turn),
        cmocka_unit_test(a_stopped_response_is_part_of_what_was_said),
        cmocka_unit_test(an_answer_that_cannot_be_shown_ends),
        cmocka_unit_test(a_turn_computes_what_is_new),
        cmocka_unit_test(broken_weights_are_said),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
    };

    return cmocka_run_group_tests(tests, make_parrot, destroy_parrot);
}
