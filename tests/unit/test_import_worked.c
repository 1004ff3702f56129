/* Worked answers from published rows: of the form that was asked for, and right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/tasks/import_worked.h"
#include "rewarder/segments.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pl_ruler ruler;

static void add(struct pl_import_set *set, const char *kind, const char *text)
{
    const struct pl_import_conf conf = {.ruler = &ruler, .context_tokens = 1000};
    struct pl_import_row row = {.what = "f:1", .stem = kind, .number = set->count + 1};
    const char *nearest = NULL;
    struct pl_import_draft draft;
    struct pl_error err = {0};
    json_t *json = NULL;
    enum pl_import_added added = PL_IMPORT_UNFIT;

    pl_import_draft_init(&draft);
    assert_int_equal(pl_json_parse(text, strlen(text), "row", &json, &err), PL_OK);
    row.json = json;
    if (pl_import_kind_named(kind, &nearest)->read(&conf, &row, &draft, &err) < 0 ||
        pl_import_set_add(set, &draft, "f:1", &added, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(added, PL_IMPORT_NEW);
    json_decref(json);
    pl_import_draft_release(&draft);
}

#define PARAGRAPH(idx, title)                                                                      \
    "{\"idx\": " idx ", \"title\": \"" title                                                       \
    "\", \"paragraph_text\": \"x\", \"is_supporting\": true}"

static void fill(struct pl_import_set *set)
{
    add(set, "gsm8k", "{\"question\": \"1 + 1?\", \"answer\": \"It is <<1+1=2>>2 \\n#### 2\"}");
    add(set, "math",
        "{\"problem\": \"2 + 2?\", \"solution\": \" Well, $\\\\boxed{4}$. \", \"level\": 1}");
    add(set, "math", "{\"problem\": \"3 + 3?\", \"answer\": \"6\"}"); /* nothing is published */
    add(set, "musique",
        "{\"question\": \"Who?\", \"answer\": \"Max\", \"question_decomposition\": [{\"id\": 1, "
        "\"question\": \"Hm >> maker\", \"answer\": \"Ann\", \"paragraph_support_idx\": 7}, "
        "{\"id\": 2, \"question\": \"Whom does #1 know?\", \"answer\": \"Max\", "
        "\"paragraph_support_idx\": 9}], \"paragraphs\": [" PARAGRAPH("7", "A \\\"Hm\\\"") "]}");
}

static const char *const want[][5] = {
    {"<think>It is 2.</think><answer>2</answer>", "<think>It is 2.</think><answer>2</answer>",
     "<think>It is 2.</think><answer>2</answer>", "2", "It is 2. Answer: 2."},
    {"<think>Well, $\\boxed{4}$.</think><answer>4</answer>",
     "<think>Well, $\\boxed{4}$.</think><answer>4</answer>",
     "<think>Well, $\\boxed{4}$.</think><answer>4</answer>", "4", "Well, $\\boxed{4}$. Answer: 4."},
    {"<think>Hm >> maker? By \"A \"Hm\"\": Ann.</think><answer>Ann</answer><think>Whom does Ann "
     "know? Max.</think><answer>Max</answer>",
     "<think>Hm >> maker? By \"A \"Hm\"\": Ann. Whom does Ann know? Max.</think>"
     "<answer>Max</answer>",
     "<think>Hm >> maker? By \"A \"Hm\"\": Ann. Whom does Ann know? Max.</think>"
     "<answer>Ann</answer><answer>Max</answer>",
     "Max", "Hm >> maker? By \"A \"Hm\"\": Ann. Whom does Ann know? Max. Answer: Max."},
};

static const enum pl_method methods[] = {PL_METHOD_INTERLEAVE, PL_METHOD_THINK_ANSWER,
                                         PL_METHOD_DELAYED, PL_METHOD_DIRECT, PL_METHOD_COT};

static struct pl_data_writer_opts opts_of(const char *output, enum pl_instruction instruction)
{
    struct pl_data_writer_opts opts = {.output = output,
                                       .folder = pl_scratch(""),
                                       .instruction = instruction,
                                       .template_count = 5};

    memcpy(opts.templates, methods, sizeof methods);
    return opts;
}

static void write_instructions(void)
{
    for (size_t i = 0; i < 5; i++) {
        char name[64];

        snprintf(name, sizeof name, "%s.txt", pl_method_name(methods[i]));
        pl_scratch_text(pl_scratch(name), "Do it.");
        snprintf(name, sizeof name, "%s.control.txt", pl_method_name(methods[i]));
        pl_scratch_text(pl_scratch(name), "<|go|>");
    }
}

/* Row n of a file holds the answer, in the form of its method, behind its question. */
static void check_row(const char *line, size_t len, size_t n, enum pl_instruction instruction)
{
    static const char *const questions[] = {"1 + 1?", "2 + 2?", "A \"Hm\"\nx\n\nQuestion: Who?"};
    struct pl_segments *segments = malloc(sizeof *segments);
    char *prompt = NULL, *response = NULL;
    json_t *row = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *system = "", *question = "";

    assert_non_null(segments);
    assert_non_null(row);
    if (instruction == PL_INSTRUCTION_FULL) {
        assert_int_equal(json_unpack(row, "{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "messages",
                                     "role", &prompt, "content", &system, "role", &prompt,
                                     "content", &question, "role", &prompt, "content", &response),
                         0);
        assert_string_equal(system, "Do it.");
        assert_string_equal(question, questions[n / 5]);
    } else {
        assert_int_equal(json_unpack(row, "{s:s, s:s}", "prompt", &prompt, "response", &response),
                         0);
        assert_memory_equal(prompt, "<|go|>", 6);
        assert_string_equal(prompt + 6, questions[n / 5]);
    }
    assert_string_equal(response, want[n / 5][n % 5]);
    pl_segments_parse(response, strlen(response), methods[n % 5], segments);
    assert_true(segments->valid);
    json_decref(row);
    free(segments);
}

static size_t check_file(const char *path, size_t from, enum pl_instruction instruction)
{
    size_t len = 0, rows = 0;
    char *text = pl_scratch_read(path, &len);

    for (size_t at = 0; at < len; rows++) {
        const char *newline = memchr(text + at, '\n', len - at);

        assert_non_null(newline);
        check_row(text + at, (size_t)(newline - text) - at, from + rows, instruction);
        at = (size_t)(newline - text) + 1;
    }
    free(text);
    return rows;
}

static void rows_have_the_form_of_their_method(void **state)
{
    struct pl_import_worked worked;
    struct pl_import_set set = {0};

    (void)state;
    write_instructions();
    fill(&set);
    for (int k = 0; k < 2; k++) {
        const enum pl_instruction instruction = k ? PL_INSTRUCTION_CONTROL : PL_INSTRUCTION_FULL;
        const struct pl_data_writer_opts opts = opts_of(pl_scratch("rows.jsonl"), instruction);
        struct pl_error err = {0};

        if (pl_import_worked_write(&set, &opts, &worked, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(check_file(opts.output, 0, instruction), 15);
        assert_int_equal(worked.missing, 1);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(worked.answers[methods[i]].count, 3);
        assert_int_equal(worked.answers[PL_METHOD_DIRECT].words_max, 1);
    }
    pl_import_set_release(&set);
}

static void parts_have_files_of_their_own(void **state)
{
    struct pl_data_writer_opts opts = opts_of(pl_scratch("parts"), PL_INSTRUCTION_FULL);
    struct pl_import_worked worked;
    struct pl_import_set set = {0};
    struct pl_error err = {0};
    size_t len = 0;
    char *text;

    (void)state;
    write_instructions();
    fill(&set);
    opts.parts = true;
    set.items[0].part = PL_IMPORT_NOWHERE;
    set.items[1].part = PL_IMPORT_TEST;
    if (pl_import_worked_write(&set, &opts, &worked, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(check_file(pl_scratch("parts/test-answers.jsonl"), 5, opts.instruction), 5);
    assert_int_equal(check_file(pl_scratch("parts/train-answers.jsonl"), 10, opts.instruction), 5);
    text = pl_scratch_read(pl_scratch("parts/train.jsonl"), &len); /* the one without as well */
    assert_memory_equal(text, set.items[2].task.line, set.items[2].task.line_len);
    assert_int_equal(len, set.items[2].task.line_len + set.items[3].task.line_len + 2);
    free(text);
    pl_import_set_release(&set);
}

static void what_fails_leaves_nothing(void **state)
{
    struct pl_data_writer_opts opts = opts_of(pl_scratch("none.jsonl"), PL_INSTRUCTION_FULL);
    struct pl_import_worked worked;
    struct pl_import_set set = {0};
    struct pl_error err = {0};

    (void)state;
    write_instructions();
    add(&set, "math", "{\"problem\": \"3 + 3?\", \"answer\": \"6\"}");
    assert_int_equal(pl_import_worked_write(&set, &opts, &worked, &err), PL_EFORMAT);
    assert_string_equal(err.text, "none of the 1 tasks has a published solution");
    assert_false(pl_path_exists(pl_scratch("none.jsonl")));
    assert_false(pl_path_exists(pl_scratch("none.jsonl.tmp")));
    opts.folder = pl_scratch("nowhere");
    assert_int_equal(pl_import_worked_write(&set, &opts, &worked, &err), PL_ENOENT);
    pl_import_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_form_of_their_method),
        cmocka_unit_test(parts_have_files_of_their_own),
        cmocka_unit_test(what_fails_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
