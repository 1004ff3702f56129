/* Tasks become prompts: what stands before the question, what is left out, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "learner/prompts.h"
#include "proto/rollout.h"
#include "tests/mini_tokenizer.h"
#include "tests/scratch.h"

#include <stdlib.h>
#include <string.h>

enum { VOCAB = 4096 };

static const char tasks[] =
    "{\"id\": \"a\", \"source\": \"s\", \"question\": \" one?\", \"answer\": \"1\", "
    "\"verifier\": \"kk\"}\n"
    "{\"id\": \"b\", \"source\": \"s\", \"question\": \" two, and much longer than one?\", "
    "\"answer\": \"2\", \"verifier\": \"kk\"}\n";

static struct pl_tokenizer *plain, *control;
static char *files[1];

static int set_up(void **state)
{
    static const char added[] =
        "{\"id\": 300, \"content\": \"<|endoftext|>\", \"special\": true},"
        "{\"id\": 301, \"content\": \"<|interleave|>\", \"special\": false}";
    const int rc = pl_scratch_setup(state);

    if (rc != 0)
        return rc;
    plain = pl_test_mini_load(&(struct pl_test_mini){.merges = NULL});
    control = pl_test_mini_load(&(struct pl_test_mini){.added = added});
    pl_scratch_text(pl_scratch("tasks.jsonl"), tasks);
    pl_scratch_text(pl_scratch("seen.txt"), "{{system}}|{{user}}>{{answer}}\n");
    pl_scratch_text(pl_scratch("blind.txt"), "{{user}}>{{answer}}\n");
    pl_scratch_text(pl_scratch("interleave.txt"), "  In turn.\n");
    pl_scratch_text(pl_scratch("interleave.control.txt"), "<|interleave|>\n");
    pl_scratch_text(pl_scratch("mine.txt"), "Mine.\n");
    pl_scratch_text(pl_scratch("empty.txt"), " \n");
    files[0] = strdup(pl_scratch("tasks.jsonl"));
    return setenv("PLAIT_TEMPLATES", pl_scratch(""), 1);
}

static int tear_down(void **state)
{
    pl_tokenizer_destroy(plain);
    pl_tokenizer_destroy(control);
    free(files[0]);
    return pl_scratch_teardown(state);
}

static struct pl_run_conf settings(const char *template, const char *instruction)
{
    return (struct pl_run_conf){.model = pl_scratch(""),
                                .template_file = template,
                                .instruction = instruction,
                                .method = PL_METHOD_INTERLEAVE,
                                .prompt_tokens_max = 100};
}

static int load(struct pl_run_conf conf, const struct pl_tokenizer *tokenizer, size_t vocab,
                struct pl_prompts *prompts, struct pl_error *err)
{
    const struct pl_option_list list = {.items = files, .count = 1};

    return pl_prompts_load(&conf, &list, tokenizer, vocab, prompts, err);
}

/* The first task's prompt as text. */
static void expect(const char *template, const char *instruction,
                   const struct pl_tokenizer *tokenizer, const char *want)
{
    struct pl_prompts prompts;
    struct pl_error err = {0};
    struct pl_buf text;

    if (load(settings(pl_scratch(template), instruction), tokenizer, VOCAB, &prompts, &err) < 0)
        fail_msg("%s", err.text);
    pl_buf_init(&text, SIZE_MAX / 2);
    assert_int_equal(pl_tokenizer_decode(tokenizer, prompts.list[0].ids, prompts.list[0].len, false,
                                         &text, NULL),
                     0);
    assert_int_equal(text.len, strlen(want));
    assert_memory_equal(text.data, want, text.len);
    pl_buf_release(&text);
    pl_prompts_release(&prompts);
}

static void the_instruction_goes_where_there_is_a_place(void **state)
{
    (void)state;
    expect("seen.txt", "none", plain, "| one?>");
    expect("seen.txt", "", plain, "| one?>");
    expect("seen.txt", "auto", plain, "In turn.| one?>");
    expect("blind.txt", "auto", plain, "In turn.\n\n one?>");
    expect("seen.txt", "auto", control, "|<|interleave|> one?>");
    expect("blind.txt", "auto", control, "<|interleave|> one?>");
    expect("seen.txt", pl_scratch("mine.txt"), control, "Mine.| one?>");
}

static void a_control_token_is_one_token(void **state)
{
    struct pl_prompts prompts;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(
        load(settings(pl_scratch("blind.txt"), "auto"), control, VOCAB, &prompts, &err), 0);
    assert_int_equal(prompts.list[0].ids[0], 301);
    pl_prompts_release(&prompts);
}

static void what_is_too_long_is_left_out(void **state)
{
    struct pl_run_conf conf = settings(pl_scratch("blind.txt"), "none");
    struct pl_prompts prompts;
    struct pl_error err = {0};

    (void)state;
    conf.prompt_tokens_max = 6; /* " one?" and ">" */
    assert_int_equal(load(conf, plain, VOCAB, &prompts, &err), 0);
    assert_int_equal(prompts.count, 1);
    assert_int_equal(prompts.left_out, 1);
    assert_string_equal(prompts.list[0].task->id, "a");
    pl_prompts_release(&prompts);
    conf.prompt_tokens_max = 5;
    assert_int_equal(load(conf, plain, VOCAB, &prompts, &err), PL_EINVAL);
    assert_string_equal(err.text, "none of 2 tasks is short enough: data.max_prompt_length is 5");
}

/* Spares are drawn by their numbers alone, and the order of the others does not notice. */
static void spares_are_drawn_by_counters(void **state)
{
    size_t met[2] = {0}, differ = 0;
    struct pl_prompts prompts;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(
        load(settings(pl_scratch("blind.txt"), "auto"), control, VOCAB, &prompts, &err), 0);
    assert_int_equal(prompts.count, 2);
    for (uint64_t batch = 0; batch < 20; batch++)
        for (size_t j = 0; j < 3; j++) {
            const struct pl_prompt *want = pl_prompts_at(&prompts, 5, batch, 3, j, NULL);
            const struct pl_prompt *spare = pl_prompts_spare(&prompts, 5, batch, j);

            met[spare - prompts.list]++;
            differ += spare != pl_prompts_spare(&prompts, 6, batch, j);
            assert_ptr_equal(spare, pl_prompts_spare(&prompts, 5, batch, j));
            assert_ptr_equal(want, pl_prompts_at(&prompts, 5, batch, 3, j, NULL));
        }
    assert_true(met[0] > 15 && met[1] > 15 && differ > 15);
    pl_prompts_release(&prompts);
}

static void what_does_not_fit_is_said(void **state)
{
    struct pl_prompts prompts;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(load(settings(pl_scratch("blind.txt"), "auto"), control, 301, &prompts, &err),
                     PL_EFORMAT);
    assert_string_equal(err.text, "task 'a' has token 301; the model's vocabulary has 301");
    assert_int_equal(load(settings(pl_scratch("blind.txt"), pl_scratch("empty.txt")), plain, VOCAB,
                          &prompts, &err),
                     PL_EFORMAT);
    pl_assert_says(&err, "template '$/empty.txt': expected text, found nothing but white space");
    assert_int_equal(
        load(settings(pl_scratch("blind.txt"), pl_scratch("no.txt")), plain, VOCAB, &prompts, &err),
        PL_ENOENT);
}

static void every_pass_has_every_task_once(void **state)
{
    struct pl_prompts prompts;
    struct pl_error err = {0};
    size_t swaps = 0;

    (void)state;
    assert_int_equal(load(settings(pl_scratch("blind.txt"), "none"), plain, VOCAB, &prompts, &err),
                     0);
    for (uint64_t batch = 0; batch < 16; batch++) {
        uint64_t epoch;
        const struct pl_prompt *one = pl_prompts_at(&prompts, 7, batch, 2, 0, &epoch);
        const struct pl_prompt *two = pl_prompts_at(&prompts, 7, batch, 2, 1, NULL);

        assert_int_equal(epoch, batch);
        assert_ptr_not_equal(one, two);
        swaps += one != &prompts.list[0];
        assert_ptr_equal(pl_prompts_at(&prompts, 7, batch, 2, 0, NULL), one);
    }
    assert_in_range(swaps, 1, 15);
    pl_prompts_release(&prompts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_instruction_goes_where_there_is_a_place),
        cmocka_unit_test(a_control_token_is_one_token),
        cmocka_unit_test(what_is_too_long_is_left_out),
        cmocka_unit_test(spares_are_drawn_by_counters),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(every_pass_has_every_task_once),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
