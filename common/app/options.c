#include "common/app/options.h"

#include "common/app/nearest.h"
#include "common/app/option_value.h"
#include "common/app/term.h"
#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELP_BYTES_MAX = 1 << 20, GIVEN_HELP = 1 };

/* Lists are emptied and strings nulled first, so that release is safe from here on. */
static void clear_all(const struct pl_command *command, void *conf)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->kind == PL_OPTION_KIND_LIST)
            *(struct pl_option_list *)pl_option_place(option, conf) = (struct pl_option_list){0};
        else if (option->kind == PL_OPTION_KIND_STRING)
            *(const char **)pl_option_place(option, conf) = NULL;
    }
}

static int set_initial(const struct pl_command *command, void *conf, struct pl_error *err)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option_source source = {.option = &command->options[i],
                                                .from = PL_OPTION_FROM_TABLE};
        int rc;

        if (source.option->kind == PL_OPTION_KIND_GROUP)
            continue;
        if (!source.option->initial) {
            PL_ASSERT(source.option->kind == PL_OPTION_KIND_STRING ||
                      source.option->kind == PL_OPTION_KIND_LIST);
            continue;
        }
        rc = pl_option_set(&source, source.option->initial, conf, err);
        if (rc == PL_ENOMEM)
            return rc;
        PL_ASSERT(rc == PL_OK); /* the table's own default passes the table's own checks */
    }
    return PL_OK;
}

/* What is given replaces the default of a list; only the same source adds up. */
static void replace_list(const struct pl_option *option, void *conf)
{
    if (option->kind == PL_OPTION_KIND_LIST)
        pl_option_list_release(pl_option_place(option, conf));
}

static int set_from_environment(const struct pl_command *command, void *conf, struct pl_error *err)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option_source source = {.option = &command->options[i],
                                                .from = PL_OPTION_FROM_ENVIRONMENT};
        char name[PL_OPTION_NAME_MAX + 8];
        const char *text;
        int rc;

        if (source.option->kind == PL_OPTION_KIND_GROUP || source.option->argument)
            continue;
        pl_option_variable(source.option, name);
        text = getenv(name);
        if (!text || !text[0])
            continue;
        replace_list(source.option, conf);
        rc = pl_option_set(&source, text, conf, err);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

/* The command line as it is read. */
struct reader {
    const struct pl_command *command;
    char **argv;
    int argc, at;
    void *conf;
    bool only_arguments;         /* "--" was seen */
    const struct pl_option *arg; /* next argument row, NULL when all are filled */
    const struct pl_option *filled[64];
    size_t filled_count; /* lists that the command line has begun */
    struct pl_error *err;
};

static const struct pl_option *next_argument(const struct pl_command *command,
                                             const struct pl_option *after)
{
    size_t i = after ? (size_t)(after - command->options) + 1 : 0;

    for (; i < command->count; i++) {
        if (command->options[i].argument)
            return &command->options[i];
    }
    return NULL;
}

static int set_given(struct reader *reader, const struct pl_option *option, const char *text)
{
    const struct pl_option_source source = {.option = option, .from = PL_OPTION_FROM_COMMAND_LINE};
    bool begun = false;

    for (size_t i = 0; i < reader->filled_count; i++)
        begun = begun || reader->filled[i] == option;
    if (option->kind == PL_OPTION_KIND_LIST && !begun) {
        PL_ASSERT(reader->filled_count < 64);
        reader->filled[reader->filled_count++] = option;
        replace_list(option, reader->conf);
    }
    return pl_option_set(&source, text, reader->conf, reader->err);
}

static int read_argument(struct reader *reader, const char *text)
{
    const struct pl_option *option = reader->arg;

    if (!option)
        return pl_fail(reader->err, PL_EINVAL, "one argument too many: '%.80s'.", text);
    if (option->kind != PL_OPTION_KIND_LIST)
        reader->arg = next_argument(reader->command, option);
    return set_given(reader, option, text);
}

static bool same_name(const char *typed, size_t len, const char *name)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (typed[i] != name[i] && !(typed[i] == '_' && name[i] == '-'))
            return false;
    }
    return true;
}

static const struct pl_option *find_name(const struct pl_command *command, const char *typed,
                                         size_t len)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->name && !option->argument && same_name(typed, len, option->name))
            return option;
    }
    return NULL;
}

static const struct pl_option *find_letter(const struct pl_command *command, char letter)
{
    for (size_t i = 0; i < command->count; i++) {
        if (command->options[i].letter == letter && letter != 0)
            return &command->options[i];
    }
    return NULL;
}

static int unknown_option(struct reader *reader, const char *typed, size_t len)
{
    char word[PL_OPTION_NAME_MAX] = "";
    struct pl_nearest nearest = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), typed);
    for (size_t i = 0; i < reader->command->count; i++) {
        const struct pl_option *option = &reader->command->options[i];

        if (option->name && !option->argument)
            pl_nearest_offer(&nearest, option->name);
    }
    pl_nearest_offer(&nearest, "help");
    if (nearest.best)
        return pl_fail(reader->err, PL_EINVAL, "unknown option '--%s'; did you mean '--%s'?", word,
                       nearest.best);
    return pl_fail(reader->err, PL_EINVAL, "unknown option '--%s'.", word);
}

/* The value behind an option, in the same word or in the next one. */
static int take_value(struct reader *reader, const struct pl_option *option, const char *inside,
                      const char **ret_text)
{
    const char *next;

    if (inside) {
        *ret_text = inside;
        return PL_OK;
    }
    next = reader->at < reader->argc ? reader->argv[reader->at] : NULL;
    /* "--lr --steps 5" is a forgotten value, not a learning rate called "--steps". */
    if (!next || (strncmp(next, "--", 2) == 0 &&
                  find_name(reader->command, next + 2, strcspn(next + 2, "="))))
        return pl_fail(reader->err, PL_EINVAL, "option '--%s' needs a value: %s.", option->name,
                       option->value ? option->value : "VALUE");
    reader->at++;
    *ret_text = next;
    return PL_OK;
}

static int read_long(struct reader *reader, const char *typed)
{
    const size_t len = strcspn(typed, "=");
    const char *inside = typed[len] == '=' ? typed + len + 1 : NULL, *text;
    const struct pl_option *option = find_name(reader->command, typed, len);
    int rc;

    if (option && option->kind == PL_OPTION_KIND_FLAG)
        return set_given(reader, option, inside ? inside : "yes");
    if (option) {
        rc = take_value(reader, option, inside, &text);
        return rc < 0 ? rc : set_given(reader, option, text);
    }
    if (len == 4 && strncmp(typed, "help", 4) == 0 && !inside)
        return GIVEN_HELP;
    if (len > 3 && strncmp(typed, "no-", 3) == 0 && !inside) {
        option = find_name(reader->command, typed + 3, len - 3);
        if (option && option->kind == PL_OPTION_KIND_FLAG)
            return set_given(reader, option, "no");
    }
    return unknown_option(reader, typed, len);
}

static int read_letters(struct reader *reader, const char *letters)
{
    int rc = PL_OK;

    while (*letters && rc == PL_OK) {
        const struct pl_option *option = find_letter(reader->command, *letters);
        const char *text;

        if (!option && *letters == 'h')
            return GIVEN_HELP;
        if (!option)
            return pl_fail(reader->err, PL_EINVAL, "unknown option '-%c'.", *letters);
        letters++;
        if (option->kind == PL_OPTION_KIND_FLAG) {
            rc = set_given(reader, option, "yes");
            continue;
        }
        rc = take_value(reader, option, *letters ? letters : NULL, &text);
        return rc < 0 ? rc : set_given(reader, option, text);
    }
    return rc;
}

static int read_word(struct reader *reader, const char *word)
{
    if (reader->only_arguments || word[0] != '-' || word[1] == '\0')
        return read_argument(reader, word);
    if (strcmp(word, "--") == 0) {
        reader->only_arguments = true;
        return PL_OK;
    }
    return word[1] == '-' ? read_long(reader, word + 2) : read_letters(reader, word + 1);
}

/* --help wins over whatever else is wrong. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static int read_command_line(struct reader *reader)
{
    int rc = PL_OK;

    while (reader->at < reader->argc && rc == PL_OK)
        rc = read_word(reader, reader->argv[reader->at++]);
    return rc;
}

static int check_counts(const struct pl_command *command, void *conf, struct pl_error *err)
{
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->kind == PL_OPTION_KIND_LIST) {
            const size_t count = ((struct pl_option_list *)pl_option_place(option, conf))->count;

            if (count < (size_t)option->least ||
                (option->most != 0 && count > (size_t)option->most))
                return pl_fail(
                    err, PL_EINVAL, "%s%s is given %zu times; it needs %s %zu.",
                    option->argument ? "argument " : "option --", option->name, count,
                    count < (size_t)option->least ? "at least" : "at most",
                    (size_t)(count < (size_t)option->least ? option->least : option->most));
        } else if (option->argument && option->least > 0 &&
                   !*(const char **)pl_option_place(option, conf)) {
            return pl_fail(err, PL_EINVAL, "argument %s is missing: %s.", option->name,
                           option->help);
        }
    }
    return PL_OK;
}

int pl_options_parse(const struct pl_command *command, int argc, char **argv, void *conf,
                     struct pl_error *err)
{
    struct reader reader = {.command = command,
                            .argv = argv,
                            .argc = argc,
                            .at = 1,
                            .conf = conf,
                            .arg = next_argument(command, NULL),
                            .err = err};
    int rc;

    if (asks_for_help(argc, argv))
        return GIVEN_HELP;
    clear_all(command, conf);
    rc = set_initial(command, conf, err);
    if (rc == PL_OK)
        rc = set_from_environment(command, conf, err);
    if (rc == PL_OK)
        rc = read_command_line(&reader);
    if (rc == PL_OK)
        rc = check_counts(command, conf, err);
    if (rc != PL_OK)
        pl_options_release(command, conf);
    return rc;
}

bool pl_options_read(const struct pl_command *command, int argc, char **argv, void *conf,
                     int *ret_status)
{
    struct pl_error err = {0};
    struct pl_buf help;
    const int rc = pl_options_parse(command, argc, argv, conf, &err);

    if (rc == PL_OK)
        return true;
    if (rc < 0) {
        fprintf(stderr, "%s: %s\nTry '%s --help'.\n", command->name, err.text, command->name);
        *ret_status = PL_STATUS_USAGE;
        return false;
    }
    pl_buf_init(&help, HELP_BYTES_MAX);
    const bool printed = pl_options_help(command, pl_term_width(STDOUT_FILENO), &help) == PL_OK &&
                         fputs(help.data, stdout) >= 0 && fflush(stdout) == 0;
    pl_buf_release(&help);
    *ret_status = printed ? PL_STATUS_OK : PL_STATUS_FAILED;
    return false;
}

void pl_options_release(const struct pl_command *command, void *conf)
{
    for (size_t i = 0; i < command->count; i++) {
        if (command->options[i].kind == PL_OPTION_KIND_LIST)
            pl_option_list_release(pl_option_place(&command->options[i], conf));
    }
}

int pl_command_failed(const struct pl_command *command, const struct pl_error *err)
{
    fprintf(stderr, "%s: %s\n", command->name, err->text);
    return PL_STATUS_FAILED;
}

int pl_status_of_given(int code)
{
    return code == PL_OK                         ? PL_STATUS_OK
           : code == PL_EIO || code == PL_ENOMEM ? PL_STATUS_FAILED
                                                 : PL_STATUS_USAGE;
}

int pl_command_ended(const struct pl_command *command, int rc, const struct pl_error *err)
{
    if (rc == PL_OK)
        return PL_STATUS_OK;
    (void)pl_command_failed(command, err);
    return rc == PL_EINVAL ? PL_STATUS_USAGE : PL_STATUS_FAILED;
}

int pl_command_refused(const struct pl_command *command, const struct pl_error *err)
{
    (void)pl_command_failed(command, err);
    return pl_status_of_given(err->code);
}
