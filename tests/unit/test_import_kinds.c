/* One published row of each kind, and what is wrong with others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "deploy/tasks/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct case_ {
    const char *row, *want; /* the task, or the sentence, or why it is left out */
};

static struct pl_ruler ruler;

static struct pl_import_conf conf_of(void)
{
    return (struct pl_import_conf){.ruler = &ruler, .context_tokens = 1000};
}

static int read_row(const struct pl_import_kind *kind, const struct pl_import_conf *conf,
                    const char *text, struct pl_import_draft *draft, struct pl_error *err)
{
    struct pl_import_row row = {.what = "f:7", .stem = "f", .number = 7};
    json_t *json = NULL;
    int rc;

    assert_int_equal(pl_json_parse(text, strlen(text), text, &json, err), PL_OK);
    row.json = json;
    rc = kind->read(conf, &row, draft, err);
    if (rc == PL_OK && !draft->left_out) { /* whatever comes out is a task */
        struct pl_task task;

        assert_int_equal(pl_task_parse(draft->line.data, draft->line.len, "f:7", &task, err),
                         PL_OK);
        pl_task_release(&task);
    }
    json_decref(json);
    return rc;
}

static const struct pl_import_kind *kind_named(const char *name)
{
    const char *nearest = NULL;
    const struct pl_import_kind *kind = pl_import_kind_named(name, &nearest);

    assert_non_null(kind);
    return kind;
}

static void become_with(const char *kind, const struct pl_import_conf *conf,
                        const struct case_ *cases, size_t n)
{
    struct pl_import_draft draft;

    pl_import_draft_init(&draft);
    for (size_t i = 0; i < n; i++) {
        struct pl_error err = {0};

        pl_import_draft_clear(&draft);
        if (read_row(kind_named(kind), conf, cases[i].row, &draft, &err) < 0)
            fail_msg("%s: %s", cases[i].row, err.text);
        assert_string_equal(draft.left_out ? draft.left_out : draft.line.data, cases[i].want);
    }
    pl_import_draft_release(&draft);
}

static void become(const char *kind, const struct case_ *cases, size_t n)
{
    const struct pl_import_conf conf = conf_of();

    become_with(kind, &conf, cases, n);
}

static void refused(const char *kind, const struct case_ *cases, size_t n)
{
    const struct pl_import_conf conf = conf_of();
    struct pl_import_draft draft;

    pl_import_draft_init(&draft);
    for (size_t i = 0; i < n; i++) {
        struct pl_error err = {0};
        int rc;

        pl_import_draft_clear(&draft);
        rc = read_row(kind_named(kind), &conf, cases[i].row, &draft, &err);
        if (rc == PL_OK)
            fail_msg("%s was taken", cases[i].row);
        assert_true(rc == PL_EFORMAT || rc == PL_EUNSUPPORTED);
        assert_int_equal(err.code, rc);
        assert_string_equal(err.text, cases[i].want);
    }
    pl_import_draft_release(&draft);
}

#define BECOME(kind, cases)  become(kind, cases, sizeof(cases) / sizeof(cases)[0])
#define REFUSED(kind, cases) refused(kind, cases, sizeof(cases) / sizeof(cases)[0])

static void gsm8k(void **state)
{
#define GSM8K(answer, aliases, meta)                                                               \
    "{\"id\": \"gsm8k-f-7\", \"source\": \"gsm8k\", \"question\": \"How many?\", \"answer\": "     \
    "\"" answer "\", \"aliases\": [" aliases                                                       \
    "], \"steps\": [], \"ordered\": false, \"verifier\": "                                         \
    "\"number\", \"meta\": {" meta "}}"
    static const struct case_ good[] = {
        {"{\"question\": \"How many?\", \"answer\": \"1+2 = <<1+2=3>>3\\n#### 3\"}",
         GSM8K("3", "", "")},
        {"{\"question\": \"How many?\", \"answer\": \"#### 1\\n#### 12,345,678 \", \"index\": 4}",
         GSM8K("12345678", "\"12,345,678\"", "\"index\": 4")},
        {"{\"question\": \"How many?\", \"answer\": \"####-2.50\"}", GSM8K("-2.50", "", "")},
        {"{\"question\": \"How many?\", \"answer\": \"#### <<1+1=2>>2\"}", GSM8K("2", "", "")},
        {"{\"question\": \"How many?\", \"answer\": \"#### 1, 2\"}", GSM8K("1, 2", "", "")},
        {"{\"question\": \"How many?\", \"answer\": \"#### <<2\"}", GSM8K("<<2", "", "")},
    };
    static const struct case_ bad[] = {
        {"{}", "f:7: key 'question' is missing; expected a string"},
        {"{\"question\": 3}", "f:7: 'question' is an integer; expected a string"},
        {"{\"question\": \" \\u00a0\\n\"}", "f:7: 'question' is blank; expected text"},
        {"{\"question\": \"x\"}", "f:7: key 'answer' is missing; expected a string"},
        {"{\"question\": \"x\", \"answer\": [\"#### 3\"]}",
         "f:7: 'answer' is an array; expected a string"},
        {"{\"question\": \"x\", \"answer\": \"### 3\"}",
         "f:7: 'answer' has no '####' in front of a final answer"},
        {"{\"question\": \"x\", \"answer\": \"3\\n#### \"}",
         "f:7: the answer is blank; expected text"},
        {"{\"question\": \"x\", \"answer\": \"3\\n#### <<3>>\"}",
         "f:7: the answer is blank; expected text"},
    };

    (void)state;
    BECOME("gsm8k", good);
    REFUSED("gsm8k", bad);
}

static void math(void **state)
{
#define MATH(id, answer, meta)                                                                     \
    "{\"id\": \"math-" id                                                                          \
    "\", \"source\": \"math\", \"question\": \"Find $x$.\", \"answer\": \"" answer                 \
    "\", \"aliases\": [], \"steps\": [], \"ordered\": false, \"verifier\": \"math\", \"meta\": "   \
    "{" meta "}}"
#define SOLVED(solution) "{\"problem\": \"Find $x$.\", \"solution\": \"" solution "\"}"
    static const struct case_ good[] = {
        {"{\"problem\": \"Find $x$.\", \"solution\": \"\", \"answer\": \"\\\\frac{1}{2}\", "
         "\"level\": \"Level 5\", \"type\": \"Algebra\"}",
         MATH("f-7", "\\\\frac{1}{2}", "\"level\": 5, \"subject\": \"Algebra\"")},
        {"{\"problem\": \"Find $x$.\", \"answer\": 5, \"level\": 3, \"subject\": \"Algebra\", "
         "\"type\": \"x\", \"unique_id\": \"test/algebra/7.json\"}",
         MATH("test/algebra/7.json", "5", "\"level\": 3, \"subject\": \"Algebra\"")},
        {"{\"problem\": \"Find $x$.\", \"answer\": -0.25, \"level\": \"Level ?\"}",
         MATH("f-7", "-0.25", "\"level\": \"?\"")},
        {SOLVED("\\\\boxed{1} then $\\\\boxed{ \\\\frac{a}{b^{2}} }$."),
         MATH("f-7", "\\\\frac{a}{b^{2}}", "")},
        {SOLVED("\\\\boxed{\\\\left\\\\{1, 2\\\\right\\\\}}"),
         MATH("f-7", "\\\\left\\\\{1, 2\\\\right\\\\}", "")},
        {SOLVED("So $\\\\boxed 5$ it is"), MATH("f-7", "5", "")},
        {SOLVED("\\\\boxed{3} \\\\fbox{4}"), MATH("f-7", "4", "")},
        {SOLVED("\\\\fbox{4} \\\\boxed{3} \\\\boxedx"), MATH("f-7", "3", "")},
    };
    static const struct case_ bad[] = {
        {"{\"problem\": \"x\"}", "f:7: key 'solution' is missing; expected a string"},
        {"{\"problem\": \"x\", \"answer\": {}}",
         "f:7: 'answer' is an object; expected a string or a number"},
        {"{\"problem\": \"x\", \"answer\": \" \"}", "f:7: 'answer' is blank; expected text"},
        {"{\"problem\": \"x\", \"answer\": null, \"solution\": \"so\"}",
         "f:7: 'solution' has no whole \\boxed{} and there is no 'answer'"},
        {SOLVED("\\\\boxed{\\\\frac{1}{2}"),
         "f:7: 'solution' has no whole \\boxed{} and there is no 'answer'"},
        {SOLVED("\\\\boxed{x\\\\"),
         "f:7: 'solution' has no whole \\boxed{} and there is no 'answer'"},
        {SOLVED("\\\\boxed{}"), "f:7: the answer is blank; expected text"},
    };

    (void)state;
    BECOME("math", good);
    REFUSED("math", bad);
}

static void mmlu(void **state)
{
#define MMLU(letter, alias, meta)                                                                  \
    "{\"id\": \"mmlu-f-7\", \"source\": \"mmlu\", \"question\": \"Which?\\nA. one\\nB. two\\nC. "  \
    "three\", \"answer\": \"" letter "\", \"aliases\": [\"" alias "\"], \"steps\": [], "           \
    "\"ordered\": false, \"verifier\": \"choice\", \"meta\": {" meta                               \
    "\"choices\": [\"one\", \"two\", \"three\"]}}"
#define ASK(more)                                                                                  \
    "{\"question\": \"Which?\\n\", \"choices\": [\"one\", \" two\", \"three\\n\"], " more "}"
#define WRONG_TRUTH(correct)                                                                       \
    "\"answer\": 2, \"error_type\": \"Wrong Groundtruth\", \"correct_answer\": " correct
    static const char not_given[] = "the answer is wrong, the right one is not given as an index";
    static const struct case_ good[] = {
        {ASK("\"answer\": 2, \"subject\": \"logic\", \"index\": 3"),
         MMLU("C", "three", "\"subject\": \"logic\", \"index\": 3, ")},
        {ASK("\"answer\": \"B\", \"error_type\": \"Ok\", \"correct_answer\": null"),
         MMLU("B", "two", "")},
        {ASK("\"answer\": \"0\", \"error_type\": \"OK\""), MMLU("A", "one", "")},
        {ASK(WRONG_TRUTH("\"0\"")), MMLU("A", "one", "")},
        {ASK(WRONG_TRUTH("1")), MMLU("B", "two", "")},
        {ASK(WRONG_TRUTH("\"3\"")), not_given},
        {ASK(WRONG_TRUTH("\"A,D\"")), not_given},
        {ASK(WRONG_TRUTH("\"A\"")), not_given},
        {ASK(WRONG_TRUTH("null")), not_given},
        {ASK("\"answer\": 2, \"error_type\": \"No Correct Answer\""), "no answer is right"},
        {ASK("\"answer\": 2, \"error_type\": \"multiple correct answers\""),
         "several answers are right"},
        {ASK("\"answer\": 2, \"error_type\": \"odd\""), "the annotators found another error"},
        {"{\"question\": \"Which?\", \"options\": [\"one\", \"two\", \"three\"], "
         "\"answer\": \"C\", \"answer_index\": 2, \"category\": \"math\"}",
         MMLU("C", "three", "\"subject\": \"math\", ")},
        {"{\"question\": \"Which?\", \"A\": \"1\", \"B\": \"2\", \"C\": \"3\", \"D\": \"4\", "
         "\"answer\": \"D\"}",
         "{\"id\": \"mmlu-f-7\", \"source\": \"mmlu\", \"question\": \"Which?\\nA. 1\\nB. 2\\nC. "
         "3\\nD. 4\", \"answer\": \"D\", \"aliases\": [\"4\"], \"steps\": [], \"ordered\": false, "
         "\"verifier\": \"choice\", \"meta\": {\"subject\": \"f\", \"choices\": [\"1\", \"2\", "
         "\"3\", \"4\"]}}"},
    };
    static const struct case_ bad[] = {
        {"{\"question\": \"x\"}",
         "f:7: 'choices' is missing; expected a list of options, or columns A to D"},
        {"{\"question\": \"x\", \"choices\": \"a\"}",
         "f:7: 'choices' is no list; expected a list of options, or columns A to D"},
        {"{\"question\": \"x\", \"choices\": [\"a\"]}",
         "f:7: 'choices' has 1 options; expected 2 to 10"},
        {"{\"question\": \"x\", \"choices\": "
         "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"]}",
         "f:7: 'choices' has 11 options; expected 2 to 10"},
        {"{\"question\": \"x\", \"choices\": [\"a\", 2]}",
         "f:7: option 2 of 'choices' is not a string"},
        {"{\"question\": \"x\", \"choices\": [\"a\", \" \"], \"answer\": 0}",
         "f:7: option 2 is blank; expected text"},
        {ASK("\"x\": 1"), "f:7: key 'answer' is missing; expected an option's index or letter"},
        {ASK("\"answer\": 3"),
         "f:7: 'answer' is not one of the 3 options; expected an index from 0 or a letter"},
        {ASK("\"answer\": -1"),
         "f:7: 'answer' is not one of the 3 options; expected an index from 0 or a letter"},
        {ASK("\"answer\": \"D\""),
         "f:7: 'answer' is not one of the 3 options; expected an index from 0 or a letter"},
        {"{\"question\": \"x\", \"A\": \"1\", \"B\": \"2\"}",
         "f:7: key 'C' is missing; expected a string"},
    };

    (void)state;
    BECOME("mmlu", good);
    BECOME("mmlu-redux", good);
    REFUSED("mmlu", bad);
}

/* Reads the task back and returns its question, answer and options checked against each other. */
static struct pl_task choice_task(const char *kind, const struct pl_import_conf *conf,
                                  const char *row)
{
    struct pl_import_draft draft;
    struct pl_task task;

    pl_import_draft_init(&draft);
    assert_int_equal(read_row(kind_named(kind), conf, row, &draft, NULL), PL_OK);
    assert_int_equal(pl_task_parse(draft.line.data, draft.line.len, "f:7", &task, NULL), PL_OK);
    pl_import_draft_release(&draft);
    for (size_t i = 0; i < task.choice_count; i++) {
        char line[64];

        snprintf(line, sizeof line, "\n%c. %s", (char)('A' + i), task.choices[i]);
        assert_non_null(strstr(task.question, line));
    }
    assert_string_equal(task.final.aliases[0], task.choices[task.final.answer[0] - 'A']);
    return task;
}

static void options_are_drawn(void **state)
{
    static const char gpqa[] =
        "{\"Question\": \"Which?\", \"Correct Answer\": \"right\\n\", \"Incorrect Answer 1\": "
        "\"w1\", \"Incorrect Answer 2\": \"w2\", \"Incorrect Answer 3\": \"w  3\", "
        "\"High-level domain\": \"Physics\", \"Subdomain\": \"Optics\", \"Record ID\": \"rec9\"}";
    static const char mmlu_row[] =
        "{\"question\": \"Which?\", \"choices\": [\"w1\", \"w2\", \"right\", \"w3\"], "
        "\"answer\": 2}";
    size_t places[2][4] = {{0}};

    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct pl_import_conf conf = conf_of();

        conf.seed = seed;
        conf.shuffle = true;
        for (size_t k = 0; k < 2; k++) {
            struct pl_task task = choice_task(k ? "mmlu" : "gpqa", &conf, k ? mmlu_row : gpqa);
            struct pl_task again = choice_task(k ? "mmlu" : "gpqa", &conf, k ? mmlu_row : gpqa);

            assert_string_equal(task.line, again.line);
            assert_string_equal(task.final.aliases[0], "right");
            places[k][task.final.answer[0] - 'A']++;
            if (k == 0) {
                assert_string_equal(task.id, "gpqa-rec9");
                assert_non_null(strstr(task.line, "\"subject\": \"Physics\", \"subdomain\": "
                                                  "\"Optics\""));
                assert_non_null(strstr(task.question, ". w 3"));
            }
            pl_task_release(&task);
            pl_task_release(&again);
        }
    }
    for (size_t i = 0; i < 8; i++) /* 100 each, with a standard deviation of 9 */
        assert_in_range(places[i / 4][i % 4], 55, 145);
}

static void gpqa(void **state)
{
    static const struct case_ bad[] = {
        {"{}", "f:7: key 'Question' is missing; expected a string"},
        {"{\"Question\": \"x\", \"Correct Answer\": \"y\"}",
         "f:7: key 'Incorrect Answer 1' is missing; expected a string"},
        {"{\"Question\": \"x\", \"Correct Answer\": \"\"}",
         "f:7: 'Correct Answer' is blank; expected text"},
    };

    (void)state;
    REFUSED("gpqa", bad);
}

static void kk(void **state)
{
#define KK(id)                                                                                     \
    "{\"id\": \"kk-f-" id "\", \"source\": \"kk\", \"question\": \"Zoey and Max?\", \"answer\": "  \
    "\"Zoey is a knight and Max is a knave\", \"aliases\": [], \"steps\": [{\"answer\": \"Zoey "   \
    "is a knight\", \"aliases\": []}, {\"answer\": \"Max is a knave\", \"aliases\": []}], "        \
    "\"ordered\": false, \"verifier\": \"kk\", \"meta\": {\"people\": 2, \"names\": [\"Zoey\", "   \
    "\"Max\"], \"solution\": [true, false], \"statements\": \"(('lying', 1), ('and', ('lying', "   \
    "0), ('lying', 1)))\", \"shape\": \"" SHAPE "\", \"index\": " id "}}"
#define SHAPE      "752a5b3d21209beb"
#define STATEMENTS "(('lying', 1), ('and', ('lying', 0), ('lying', 1)))"
#define LOGIC_RL(prompt, roles, more)                                                              \
    "{\"prompt\": " prompt ", \"data_source\": \"kk_logic\", \"reward_model\": {\"style\": "       \
    "\"rule\", \"ground_truth\": {\"solution_text_format\": \"" roles                              \
    "\", \"statements\": \"" STATEMENTS "\"}}" more "}"
#define ROLES "(1) Zoey is a knight\\n(2) Max is a knave"
    static const struct case_ good[] = {
        {"{\"quiz\": \"Zoey and Max?\", \"names\": [\"Zoey\", \"Max\"], \"solution\": [true, "
         "false], \"statements\": \"" STATEMENTS "\", \"prompt\": \"x\", \"reward_model\": 3}",
         KK("7")},
        {LOGIC_RL("[{\"role\": \"user\", \"content\": \"<|im_start|>system\\nBe good.<|im_end|>\\n"
                  "<|im_start|>user\\nZoey and Max?\\n<|im_end|>\\n<|im_start|>assistant\\n"
                  "<think>\"}]",
                  ROLES, ", \"extra_info\": {\"index\": 21}"),
         KK("21")},
        {LOGIC_RL("\"The user asks.\\n\\nUser:Zoey and Max?\\nAssistant: <think>\"", ROLES, ""),
         KK("7")},
        {LOGIC_RL("[{\"role\": \"system\", \"content\": \"Hm.\"}, {\"role\": \"user\", "
                  "\"content\": \"Zoey and Max?\"}]",
                  " ( 1 ) Zoey is a knight (2) Max is a knave \\n", ""),
         KK("7")},
    };
    static const struct case_ bad[] = {
        {"{\"quiz\": \"x\"}", "f:7: 'names' is missing; expected an array"},
        {"{\"reward_model\": {\"ground_truth\": \"x\"}}",
         "f:7: there is neither a 'quiz' nor an object 'reward_model.ground_truth'"},
        {LOGIC_RL("\"Zoey and Max?\"", "Zoey is a knight", ""),
         "f:7: 'solution_text_format' is not of the form '(1) Zoey is a knight'"},
        {LOGIC_RL("\"Zoey and Max?\"", "(1) Zoey is a knight, who knows", ""),
         "f:7: 'solution_text_format' is not of the form '(1) Zoey is a knight'"},
        {LOGIC_RL("\"Zoey and Max?\"", "(1) Zoey is a spy", ""),
         "f:7: 'solution_text_format' is not of the form '(1) Zoey is a knight'"},
        {LOGIC_RL("\"Zoey and Max?\"", "(1) Zoey is a knave\\n(2) Max is a knave", ""),
         "f:7: 'solution' says that Zoey is a knave; by the statements it is a knight"},
        {LOGIC_RL("\"Zoey?\"", ROLES, ""), "f:7: 'quiz' does not mention Max"},
        {LOGIC_RL("7", ROLES, ""),
         "f:7: 'prompt' is something else; expected a string or a list of messages"},
    };

    (void)state;
    BECOME("kk", good);
    become("verl", good + 1, 3); /* the data source says what they are */
    REFUSED("kk", bad);
}

static void verl(void **state)
{
#define VERL(question, answer, aliases, verifier, meta)                                            \
    "{\"id\": \"verl-f-7\", \"source\": \"verl\", \"question\": \"" question                       \
    "\", \"answer\": \"" answer "\", \"aliases\": [" aliases                                       \
    "], \"steps\": [], \"ordered\": false, \"verifier\": \"" verifier "\", \"meta\": {" meta "}}"
#define PROMPT(source, truth, more)                                                                \
    "{\"data_source\": \"" source "\", \"prompt\": [{\"role\": \"user\", \"content\": \"2 + "      \
    "2?\"}], \"reward_model\": {\"ground_truth\": " truth "}" more "}"
    static const struct case_ good[] = {
        {PROMPT("openai/gsm8k", "\"4\"", ", \"extra_info\": {\"index\": 9, \"split\": \"test\"}"),
         VERL("2 + 2?", "4", "", "number", "\"data_source\": \"openai/gsm8k\", \"index\": 9")},
        {PROMPT("lighteval/MATH", "\"4\"", ", \"level\": \"Level 2\""),
         VERL("2 + 2?", "4", "", "math", "\"data_source\": \"lighteval/MATH\", \"level\": 2")},
        {PROMPT("nq", "4", ""), VERL("2 + 2?", "4", "", "em", "\"data_source\": \"nq\"")},
        {PROMPT("nq", "2.5", ""), VERL("2 + 2?", "2.5", "", "em", "\"data_source\": \"nq\"")},
        {PROMPT("nq", "true", ""), VERL("2 + 2?", "true", "", "em", "\"data_source\": \"nq\"")},
        {PROMPT("nq", "[\"4\", \"four\", \"4\", 4.5]", ""),
         VERL("2 + 2?", "4", "\"four\", \"4.5\"", "em", "\"data_source\": \"nq\"")},
        {PROMPT("nq", "{\"target\": [\"4\"]}", ""),
         VERL("2 + 2?", "4", "", "em", "\"data_source\": \"nq\"")},
        {PROMPT("openai/gsm8k", "\"4\"", ", \"extra_info\": {\"question\": \"2 +\"}"),
         VERL("2 +", "4", "", "number", "\"data_source\": \"openai/gsm8k\"")},
        {PROMPT("openai/gsm8k", "\"4\"", ", \"extra_info\": {\"question\": \"3\"}"),
         VERL("2 + 2?", "4", "", "number", "\"data_source\": \"openai/gsm8k\"")},
        {"{\"prompt\": \"x\", \"reward_model\": {\"ground_truth\": \"y\"}}",
         VERL("x", "y", "", "em", "")},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, "
         "{\"type\": \"text\", \"text\": \"b\"}]}, {\"role\": \"assistant\", \"content\": \"c\"}], "
         "\"reward_model\": {\"ground_truth\": \"y\"}}",
         VERL("ab", "y", "", "em", "")},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", "
         "\"content\": \"b\"}]}",
         "a conversation of several turns"},
        {"{\"prompt\": [{\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"user\", "
         "\"content\": \"b\"}]}",
         "a conversation that the assistant begins"},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": \"b\"}, {\"role\": \"tool\"}]}",
         "a message of another role than system, user, assistant"},
    };
    static const struct case_ bad[] = {
        {"{}", "f:7: 'prompt' is missing; expected a string or a list of messages"},
        {"{\"prompt\": []}", "f:7: 'prompt' has no message of the user"},
        {"{\"prompt\": [{\"role\": \"system\", \"content\": \"x\"}]}",
         "f:7: 'prompt' has no message of the user"},
        {"{\"prompt\": [7]}", "f:7: a message in 'prompt' has no 'role'"},
        {"{\"prompt\": [{\"role\": \"user\"}]}",
         "f:7: a message in 'prompt' has no 'content' that is text"},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}",
         "f:7: part 1 of a message in 'prompt' is no text"},
        {"{\"prompt\": \"x\"}", "f:7: 'reward_model' is missing; expected an object"},
        {"{\"prompt\": \"x\", \"reward_model\": {}}",
         "f:7: key 'ground_truth' is missing; expected a string or a number"},
        {PROMPT("nq", "null", ""),
         "f:7: key 'ground_truth' is missing; expected a string or a number"},
        {PROMPT("nq", "{\"x\": 1}", ""),
         "f:7: 'ground_truth' is an object; expected a string or a number"},
        {PROMPT("nq", "[]", ""), "f:7: 'ground_truth' is a list that begins with no answer"},
        {PROMPT("nq", "[\"a\", []]", ""),
         "f:7: item 2 of the truths is neither a string nor a number"},
        {"{\"prompt\": \" \", \"reward_model\": {\"ground_truth\": \"y\"}}",
         "f:7: the question is blank; expected text"},
    };

    (void)state;
    BECOME("verl", good);
    REFUSED("verl", bad);
}

static void chat(void **state)
{
    static const struct case_ good[] = {
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}], \"ground_truth\": "
         "\"4\", \"dataset\": \"gsm8k\"}",
         "{\"id\": \"chat-f-7\", \"source\": \"chat\", \"question\": \"2 + 2?\", \"answer\": "
         "\"4\", "
         "\"aliases\": [], \"steps\": [], \"ordered\": false, \"verifier\": \"number\", \"meta\": "
         "{\"dataset\": \"gsm8k\"}}"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}], \"ground_truth\": "
         "[\"4\", \"four\"], \"dataset\": [\"MATH\"]}",
         "{\"id\": \"chat-f-7\", \"source\": \"chat\", \"question\": \"2 + 2?\", \"answer\": "
         "\"4\", "
         "\"aliases\": [\"four\"], \"steps\": [], \"ordered\": false, \"verifier\": \"math\", "
         "\"meta\": {\"dataset\": \"MATH\"}}"},
    };
    static const struct case_ bad[] = {
        {"{\"messages\": 7}",
         "f:7: 'messages' is something else; expected a string or a list of messages"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}",
         "f:7: key 'ground_truth' is missing; expected a string or a number"},
    };

    (void)state;
    BECOME("chat", good);
    REFUSED("chat", bad);
}

static void system_messages_are_left_out_or_kept(void **state)
{
    static const char row[] =
        "{\"prompt\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", "
        "\"content\": \"2 + 2?\"}], \"reward_model\": {\"ground_truth\": \"4\"}}";
    struct pl_import_conf conf = conf_of();
    struct pl_import_draft draft;

    (void)state;
    pl_import_draft_init(&draft);
    assert_int_equal(read_row(kind_named("verl"), &conf, row, &draft, NULL), PL_OK);
    assert_non_null(strstr(draft.line.data, "\"question\": \"2 + 2?\""));
    assert_string_equal(draft.note, "a system message was left out");
    pl_import_draft_clear(&draft);
    conf.keep_system = true;
    conf.verifier = "math";
    assert_int_equal(read_row(kind_named("verl"), &conf, row, &draft, NULL), PL_OK);
    assert_non_null(strstr(draft.line.data, "\"question\": \"Be brief.\\n\\n2 + 2?\""));
    assert_non_null(strstr(draft.line.data, "\"verifier\": \"math\""));
    assert_null(draft.note);
    pl_import_draft_release(&draft);
}

/* MuSiQue. */

#define HOP(id, question, answer)                                                                  \
    "{\"id\": " #id ", \"question\": \"" question "\", \"answer\": " answer                        \
    ", \"paragraph_support_idx\": 0}"
#define HOPS                                                                                       \
    "[" HOP(11, "Hm >> maker", "\"Ann\"") ", " HOP(12, "Where does #1 live? #2 #9",                \
                                                   "1900") ", " HOP(13, "Who rules #2, says #1?",  \
                                                                    "\"Max\"") "]"
/* 10 tokens each, by the estimate: 40 bytes with the line ends */
#define PARAGRAPH(title, supporting)                                                               \
    "{\"idx\": 0, \"title\": \"" title "\", \"paragraph_text\": \"" title                          \
    " is a thing that is there.....\", "                                                           \
    "\"is_supporting\": " supporting "}"
#define PARAGRAPHS                                                                                 \
    "[" PARAGRAPH("aa", "false") ", " PARAGRAPH("bb", "true") ", " PARAGRAPH(                      \
        "cc", "false") ", " PARAGRAPH("dd", "true") ", " PARAGRAPH("ee", "false") "]"
#define MUSIQUE(hops, more)                                                                        \
    "{\"id\": \"3hop__11_12_13\", \"question\": \"Who?\", \"answer\": \"Max\", "                   \
    "\"question_decomposition\": " hops more "}"

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static void contexts_keep_to_the_budget(void **state)
{
    static const struct {
        size_t budget, paragraphs;
        bool over;
    } cases[] = {{0, 2, true},   {19, 2, true},  {20, 2, false}, {29, 2, false},
                 {30, 3, false}, {49, 4, false}, {50, 5, false}, {1000, 5, false}};
    size_t seen[5] = {0}, first[5] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            static const char *const titles[] = {"aa", "bb", "cc", "dd", "ee"};
            struct pl_import_conf conf = conf_of();
            struct pl_import_draft draft;
            struct pl_task task;

            conf.seed = seed;
            conf.context_tokens = cases[i].budget;
            pl_import_draft_init(&draft);
            assert_int_equal(read_row(kind_named("musique"), &conf,
                                      MUSIQUE(HOPS, ", \"paragraphs\": " PARAGRAPHS), &draft, NULL),
                             PL_OK);
            assert_int_equal(draft.note != NULL, cases[i].over);
            assert_null(draft.left_out);
            assert_int_equal(pl_task_parse(draft.line.data, draft.line.len, "x", &task, NULL),
                             PL_OK);
            assert_int_equal(count_of(task.question, "....."), cases[i].paragraphs);
            assert_non_null(strstr(task.question, "bb\nbb is a thing"));
            assert_non_null(strstr(task.question, "dd\ndd is a thing"));
            assert_string_equal(strstr(task.question, "\n\nQuestion: "), "\n\nQuestion: Who?");
            for (size_t k = 0; k < 5; k++) {
                seen[k] += cases[i].paragraphs == 3 && strstr(task.question, titles[k]);
                first[k] += cases[i].paragraphs == 5 && strncmp(task.question, titles[k], 2) == 0;
            }
            pl_task_release(&task);
            pl_import_draft_release(&draft);
        }
    }
    for (size_t k = 0; k < 5; k++) { /* any distractor is drawn, any paragraph may be the first */
        assert_in_range(seen[k], k % 2 ? 60 : 8, k % 2 ? 60 : 35);
        assert_in_range(first[k], 8, 50);
    }
}

static void musique(void **state)
{
    static const struct case_ good[] = {
        {MUSIQUE(HOPS, ", \"paragraphs\": [" PARAGRAPH("bb", "true") "], \"answer_aliases\": "
                                                                     "[\"Maxi\", \"Max\"]"),
         "{\"id\": \"3hop__11_12_13\", \"source\": \"musique\", \"question\": \"bb\\nbb is a thing "
         "that is there.....\\n\\nQuestion: Who?\", \"answer\": \"Max\", \"aliases\": [\"Maxi\"], "
         "\"steps\": [{\"answer\": \"Ann\", \"aliases\": []}, {\"answer\": \"1900\", \"aliases\": "
         "[]}], \"ordered\": true, \"verifier\": \"em\", \"meta\": {\"hops\": 3, \"level\": 3, "
         "\"paragraphs\": 1, \"context_tokens\": 10, \"decomposition\": [{\"question\": \"Hm >> "
         "maker\", \"answer\": \"Ann\"}, {\"question\": \"Where does Ann live? #2 #9\", "
         "\"answer\": \"1900\"}, {\"question\": \"Who rules 1900, says Ann?\", \"answer\": "
         "\"Max\"}]}}"},
        {MUSIQUE(HOPS, ""), "there are no paragraphs"},
        {MUSIQUE(HOPS, ", \"paragraphs\": null"), "there are no paragraphs"},
        {MUSIQUE("[]", ", \"answerable\": false"), "the question cannot be answered"},
    };
    static const struct case_ bad[] = {
        {"{\"question\": \"x\"}",
         "f:7: 'question_decomposition' is missing; expected a list of 1 to 64 sub-questions"},
        {MUSIQUE("[]", ""), "f:7: 'question_decomposition' is of another length; expected a list "
                            "of 1 to 64 sub-questions"},
        {MUSIQUE("{}", ""), "f:7: 'question_decomposition' is something else; expected a list of 1 "
                            "to 64 sub-questions"},
        {MUSIQUE("[7]", ""), "f:7: sub-question 1: expected an object that holds 'question'"},
        {MUSIQUE("[" HOP(1, "a", "\"b\"") ", {\"question\": \"x\"}]", ""),
         "f:7: sub-question 2: key 'answer' is missing; expected a string or a number"},
        {MUSIQUE("[" HOP(1, "a", "[]") "]", ""),
         "f:7: sub-question 1: 'answer' is an array; expected a string or a number"},
        {MUSIQUE(HOPS, ", \"paragraphs\": {}"),
         "f:7: 'paragraphs' is not a list of at most 256 paragraphs"},
        {MUSIQUE(HOPS, ", \"paragraphs\": [" PARAGRAPH("aa", "false") "]"),
         "f:7: none of its 1 paragraphs is supporting"},
        {MUSIQUE(HOPS, ", \"paragraphs\": [{\"paragraph_text\": \"x\"}]"),
         "f:7: paragraph 1: key 'is_supporting' is missing; expected true or false"},
        {MUSIQUE(HOPS, ", \"paragraphs\": [{\"is_supporting\": true}]"),
         "f:7: paragraph 1: key 'paragraph_text' is missing; expected a string"},
        {MUSIQUE(HOPS, ", \"paragraphs\": " PARAGRAPHS ", \"answer_aliases\": \"x\""),
         "f:7: 'answer_aliases' is no list"},
        {MUSIQUE(HOPS, ", \"paragraphs\": " PARAGRAPHS ", \"answer_aliases\": [{}]"),
         "f:7: item 1 of 'answer_aliases' is not a string"},
    };
    static const struct case_ dropped = {MUSIQUE(HOPS, ", \"paragraphs\": " PARAGRAPHS),
                                         "the supporting paragraphs alone are over "
                                         "--context-tokens"};
    struct pl_import_conf conf = conf_of();

    (void)state;
    BECOME("musique", good);
    REFUSED("musique", bad);
    conf.context_tokens = 19;
    conf.drop_over_budget = true;
    become_with("musique", &conf, &dropped, 1);
}

/* A single-hop question is known by its id, and without one by its words. */
static void hops_are_links(void **state)
{
    static const char with_ids[] = MUSIQUE(HOPS, ", \"paragraphs\": " PARAGRAPHS);
    static const char without[] =
        MUSIQUE("[{\"question\": \"Hm >> maker\", \"answer\": \"Ann\"}, {\"id\": null, "
                "\"question\": \"Who is #1?\", \"answer\": \"Max\"}]",
                ", \"paragraphs\": " PARAGRAPHS);
    const struct pl_import_conf conf = conf_of();
    struct pl_import_draft draft;

    (void)state;
    pl_import_draft_init(&draft);
    assert_int_equal(read_row(kind_named("musique"), &conf, with_ids, &draft, NULL), PL_OK);
    assert_int_equal(draft.link_count, 3);
    assert_true(draft.links[0] == pl_import_hash("11") && draft.links[2] == pl_import_hash("13"));
    pl_import_draft_clear(&draft);
    assert_int_equal(read_row(kind_named("musique"), &conf, without, &draft, NULL), PL_OK);
    assert_int_equal(draft.link_count, 2);
    assert_true(draft.links[0] == pl_import_hash("Hm >> maker"));
    assert_true(draft.links[1] == pl_import_hash("Who is #1?"));
    pl_import_draft_release(&draft);
}

/* A row of which each "#1" would become a long answer is not blown up without bound. */
static void sub_questions_do_not_explode(void **state)
{
    enum { MARKS = 50000, ANSWER = 50000 };
    const struct pl_import_conf conf = conf_of();
    struct pl_import_draft draft;
    struct pl_error err = {0};
    struct pl_buf row;

    (void)state;
    pl_import_draft_init(&draft);
    pl_buf_init(&row, 1 << 20);
    pl_buf_puts(&row, "{\"question\": \"x\", \"question_decomposition\": [{\"question\": \"a\", "
                      "\"answer\": \"");
    for (size_t i = 0; i < ANSWER; i++)
        pl_buf_puts(&row, "y");
    pl_buf_puts(&row, "\"}, {\"answer\": \"z\", \"question\": \"");
    for (size_t i = 0; i < MARKS; i++)
        pl_buf_puts(&row, "#1");
    assert_int_equal(pl_buf_puts(&row, "\"}]}"), PL_OK);
    assert_int_equal(read_row(kind_named("musique"), &conf, row.data, &draft, &err), PL_EFORMAT);
    assert_string_equal(err.text, "f:7: the task would be larger than is taken");
    pl_buf_release(&row);
    pl_import_draft_release(&draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gsm8k),
        cmocka_unit_test(math),
        cmocka_unit_test(mmlu),
        cmocka_unit_test(options_are_drawn),
        cmocka_unit_test(gpqa),
        cmocka_unit_test(kk),
        cmocka_unit_test(verl),
        cmocka_unit_test(chat),
        cmocka_unit_test(system_messages_are_left_out_or_kept),
        cmocka_unit_test(contexts_keep_to_the_budget),
        cmocka_unit_test(musique),
        cmocka_unit_test(hops_are_links),
        cmocka_unit_test(sub_questions_do_not_explode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
