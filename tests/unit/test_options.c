#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/nearest.h"
#include "common/app/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf {
    const char *model, *out, *name;
    size_t steps, seed;
    double lr;
    bool quiet, shuffle;
    int order;
    struct pl_option_list stop, files;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder of the model"),
    PL_ARG_OPTIONAL(struct conf, out, "OUT", "folder to write"),
    PL_OPTION_SIZE(struct conf, steps, "steps", "N", "100", 1, 5000, "optimiser steps"),
    PL_OPTION_SEED(struct conf, seed, "seed", "0", "seed of every draw"),
    PL_OPTION_GROUP("Training"),
    PL_OPTION_REAL(struct conf, lr, "learning-rate", "X", "1e-4", 0, 1,
                   "learning rate at the peak, reached after the warm-up and left again by the "
                   "schedule that was chosen"),
    PL_OPTION_CHOICE(struct conf, order, "order", "shuffled", "shuffled|file", "order of the data"),
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "say nothing"),
    PL_OPTION_STRING(struct conf, name, "name", "TEXT", NULL, "a name"),
    PL_OPTION_LIST(struct conf, stop, "stop", "TEXT", "a,b", "texts that end an answer"),
};
static const struct pl_command command = {.name = "plait test",
                                          .about = "A command that the test makes up.",
                                          .options = options,
                                          .count = sizeof options / sizeof options[0],
                                          .after = "Example:\n  plait test m\n"};

static const struct pl_option list_options[] = {
    PL_ARG_LIST(struct conf, files, "FILE", 1, "files to read"),
};
static const struct pl_command list_command = {
    .name = "plait list", .about = "Takes files.", .options = list_options, .count = 1};

enum { WORDS_MAX = 16 };

/* Parse the words of `line`, split at blanks. */
static int parse(const struct pl_command *what, const char *line, struct conf *conf,
                 struct pl_error *err)
{
    static char text[512]; /* strings in conf point into it */
    char *words[WORDS_MAX] = {"test"}, *rest = text, *word;
    int count = 1;

    snprintf(text, sizeof text, "%s", line);
    while ((word = strsep(&rest, " ")) != NULL) {
        if (*word)
            words[count++] = word;
    }
    *err = (struct pl_error){0};
    memset(conf, 0xaa, sizeof *conf); /* every field must be set */
    return pl_options_parse(what, count, words, conf, err);
}

static void refused(const char *line, const char *sentence)
{
    struct conf conf;
    struct pl_error err;

    assert_int_equal(parse(&command, line, &conf, &err), PL_EINVAL);
    assert_string_equal(err.text, sentence);
}

static void defaults_come_from_the_table(void **state)
{
    struct conf conf;
    struct pl_error err;

    (void)state;
    assert_int_equal(parse(&command, "m", &conf, &err), PL_OK);
    assert_string_equal(conf.model, "m");
    assert_null(conf.out);
    assert_null(conf.name);
    assert_int_equal(conf.steps, 100);
    assert_true(conf.lr == 1e-4);
    assert_int_equal(conf.order, 0);
    assert_false(conf.quiet);
    assert_int_equal(conf.stop.count, 2);
    assert_string_equal(conf.stop.items[1], "b");
    assert_null(conf.stop.items[2]);
    pl_options_release(&command, &conf);
    assert_int_equal(conf.stop.count, 0);
}

static void all_forms_are_read(void **state)
{
    struct conf conf;
    struct pl_error err;

    (void)state;
    assert_int_equal(parse(&command,
                           "--steps 4k m --learning_rate=-0 -q --order file --name=a=b out "
                           "--stop x,y\\,z --stop w --seed 18446744073709551615",
                           &conf, &err),
                     PL_OK);
    assert_int_equal(conf.steps, 4096);
    assert_true(conf.lr == 0);
    assert_true(conf.quiet);
    assert_int_equal(conf.order, 1);
    assert_string_equal(conf.name, "a=b");
    assert_string_equal(conf.out, "out");
    assert_int_equal(conf.stop.count, 3); /* the default is replaced, then it adds up */
    assert_string_equal(conf.stop.items[1], "y,z");
    assert_string_equal(conf.stop.items[2], "w");
    assert_true(conf.seed == UINT64_MAX);
    pl_options_release(&command, &conf);

    assert_int_equal(parse(&command, "--quiet --no-quiet -- --steps", &conf, &err), PL_OK);
    assert_false(conf.quiet);
    assert_string_equal(conf.model, "--steps");
    pl_options_release(&command, &conf);

    assert_int_equal(parse(&command, "- --quiet=true --steps 1 --steps 2", &conf, &err), PL_OK);
    assert_string_equal(conf.model, "-");
    assert_int_equal(conf.steps, 2);
    assert_true(conf.quiet);
    pl_options_release(&command, &conf);
}

static void values_are_checked(void **state)
{
    (void)state;
    refused("m --steps 0", "option '--steps' needs a whole number from 1 to 5000, not '0'.");
    refused("m --steps 5001", "option '--steps' needs a whole number from 1 to 5000, not '5001'.");
    refused("m --steps -1", "option '--steps' needs a whole number from 1 to 5000, not '-1'.");
    refused("m --steps 3x", "option '--steps' needs a whole number from 1 to 5000, not '3x'.");
    refused("m --steps=", "option '--steps' needs a whole number from 1 to 5000, not ''.");
    refused("m --seed 18446744073709551616",
            "option '--seed' needs a whole number, not '18446744073709551616'.");
    refused("m --seed 18014398509481984k", /* 2^54 * 2^10 = 2^64 */
            "option '--seed' needs a whole number, not '18014398509481984k'.");
    refused("m --learning-rate nan",
            "option '--learning-rate' needs a number from 0 to 1, not 'nan'.");
    refused("m --learning-rate 0x1",
            "option '--learning-rate' needs a number from 0 to 1, not '0x1'.");
    refused("m --learning-rate 2", "option '--learning-rate' needs a number from 0 to 1, not '2'.");
    refused("m --order sorted", "option '--order' needs one of shuffled, file, not 'sorted'.");
    refused("m --quiet=maybe", "option '--quiet' needs 'yes' or 'no', not 'maybe'.");
    refused("m --stop a,,b",
            "option '--stop' needs items without empty ones between commas, not ',b'.");
}

static void unknown_and_missing_words_are_named(void **state)
{
    struct conf conf;
    struct pl_error err;

    (void)state;
    refused("m --stpes 3", "unknown option '--stpes'; did you mean '--steps'?");
    refused("m --learn 3", "unknown option '--learn'; did you mean '--learning-rate'?");
    refused("m --no-quite", "unknown option '--no-quite'.");
    refused("m --zzzzzz", "unknown option '--zzzzzz'.");
    refused("m -x", "unknown option '-x'.");
    refused("m --steps", "option '--steps' needs a value: N.");
    refused("m --steps --quiet", "option '--steps' needs a value: N.");
    refused("", "argument MODEL is missing: folder of the model.");
    refused("a b c", "one argument too many: 'c'.");

    assert_int_equal(parse(&list_command, "", &conf, &err), PL_EINVAL);
    assert_string_equal(err.text, "argument FILE is given 0 times; it needs at least 1.");
    assert_int_equal(parse(&list_command, "a,b c", &conf, &err), PL_OK);
    assert_int_equal(conf.files.count, 2);
    assert_string_equal(conf.files.items[0], "a,b");
    pl_options_release(&list_command, &conf);
}

static void environment_is_checked_and_gives_way(void **state)
{
    struct conf conf;
    struct pl_error err;

    (void)state;
    setenv("PLAIT_STEPS", "7", 1);
    setenv("PLAIT_LEARNING_RATE", "0.5", 1);
    setenv("PLAIT_STOP", "e", 1);
    setenv("PLAIT_QUIET", "", 1); /* as if not set */
    assert_int_equal(parse(&command, "m --steps 8 --stop f", &conf, &err), PL_OK);
    assert_int_equal(conf.steps, 8);
    assert_true(conf.lr == 0.5);
    assert_false(conf.quiet);
    assert_int_equal(conf.stop.count, 1);
    assert_string_equal(conf.stop.items[0], "f");
    pl_options_release(&command, &conf);

    setenv("PLAIT_STEPS", "many", 1);
    refused("m", "variable PLAIT_STEPS needs a whole number from 1 to 5000, not 'many'.");
    unsetenv("PLAIT_STEPS");
    unsetenv("PLAIT_LEARNING_RATE");
    unsetenv("PLAIT_STOP");
    unsetenv("PLAIT_QUIET");
}

static void help_fits_its_width_and_names_every_row(void **state)
{
    static const size_t widths[] = {40, 80, 300};
    struct pl_buf help;

    (void)state;
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        pl_buf_init(&help, 1 << 16);
        assert_int_equal(pl_options_help(&command, widths[w], &help), PL_OK);
        for (size_t i = 0; i < command.count; i++)
            assert_non_null(strstr(help.data, options[i].name ? options[i].name : "Training:"));
        assert_non_null(strstr(help.data, widths[w] >= 80
                                              ? "Usage: plait test [OPTION]... MODEL [OUT]\n"
                                              : "Usage: plait test [OPTION]... MODEL\n"
                                                "       [OUT]\n"));
        assert_non_null(strstr(help.data, widths[w] >= 80 ? "(default: 100)" : "(default:"));
        assert_non_null(strstr(help.data, "-h, --help"));
        assert_non_null(strstr(help.data, "Example:\n  plait test m\n"));
        for (const char *line = help.data; *line; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= widths[w] && strcspn(line, "\n") <= 100);
        pl_buf_release(&help);
    }
}

static void help_wins_over_errors(void **state)
{
    struct conf conf;
    struct pl_error err;

    (void)state;
    assert_int_equal(parse(&command, "--nonsense --help", &conf, &err), 1);
    assert_int_equal(parse(&command, "-h", &conf, &err), 1);
}

static void resolved_options_are_printed(void **state)
{
    struct conf conf;
    struct pl_error err;
    struct pl_buf text;

    (void)state;
    pl_buf_init(&text, 1 << 12);
    assert_int_equal(parse(&command, "m -q --steps 2k", &conf, &err), PL_OK);
    assert_int_equal(pl_options_print(&command, &conf, &text), PL_OK);
    assert_string_equal(text.data, "MODEL = m\nOUT = \nsteps = 2048\nseed = 0\n"
                                   "learning-rate = 0.0001\norder = shuffled\nquiet = yes\n"
                                   "name = \nstop = a,b\n");
    pl_buf_release(&text);
    pl_options_release(&command, &conf);
}

static void resolved_options_are_exact_as_json(void **state)
{
    struct conf conf;
    struct pl_error err;
    json_t *object;
    char *text;

    (void)state;
    assert_int_equal(
        parse(&command, "m -q --steps 2k --learning-rate 0.12345678901234567", &conf, &err), PL_OK);
    object = pl_options_json(&command, &conf);
    assert_non_null(object);
    assert_true(json_real_value(json_object_get(object, "learning-rate")) == 0.12345678901234567);
    json_object_del(object, "learning-rate");
    text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, "{\"MODEL\":\"m\",\"OUT\":null,\"steps\":2048,\"seed\":0,"
                              "\"order\":\"shuffled\",\"quiet\":true,\"name\":null,"
                              "\"stop\":[\"a\",\"b\"]}");
    free(text);
    json_decref(object);
    pl_options_release(&command, &conf);
}

static void distances_are_those_of_damerau(void **state)
{
    struct pl_nearest none = {.word = "qqqqqq"};

    (void)state;
    assert_int_equal(pl_edit_distance("", "abc"), 3);
    assert_int_equal(pl_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(pl_edit_distance("steps", "stpes"), 1);
    assert_int_equal(pl_edit_distance("same", "same"), 0);
    pl_nearest_offer(&none, "steps");
    assert_null(none.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(all_forms_are_read),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(unknown_and_missing_words_are_named),
        cmocka_unit_test(environment_is_checked_and_gives_way),
        cmocka_unit_test(help_fits_its_width_and_names_every_row),
        cmocka_unit_test(help_wins_over_errors),
        cmocka_unit_test(resolved_options_are_printed),
        cmocka_unit_test(resolved_options_are_exact_as_json),
        cmocka_unit_test(distances_are_those_of_damerau),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
