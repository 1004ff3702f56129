#include "common/app/option_value.h"

#include <stdio.h>
#include <string.h>

enum { LEFT_MAX = 28, INDENT = 2 };

/* Text added word by word, lines broken before `width` and begun with `indent` spaces. */
struct wrap {
    struct pl_buf *buf;
    size_t width, indent, column;
    int rc;
};

static void put(struct wrap *wrap, const char *text, size_t len)
{
    if (wrap->rc == PL_OK)
        wrap->rc = pl_buf_append(wrap->buf, text, len);
    wrap->column += len;
}

static void new_line(struct wrap *wrap)
{
    put(wrap, "\n", 1);
    wrap->column = 0;
}

static void pad_to(struct wrap *wrap, size_t column)
{
    while (wrap->column < column && wrap->rc == PL_OK)
        put(wrap, " ", 1);
}

static void put_words(struct wrap *wrap, const char *text)
{
    while (*text) {
        const size_t len = strcspn(text, " \n");

        if (len > 0 && wrap->column > wrap->indent && wrap->column + 1 + len > wrap->width)
            new_line(wrap);
        if (len > 0) {
            if (wrap->column > wrap->indent)
                put(wrap, " ", 1);
            pad_to(wrap, wrap->indent);
            put(wrap, text, len);
        }
        text += len;
        if (*text == '\n') /* the writer's own line ends are kept */
            new_line(wrap);
        text += *text != '\0';
    }
}

/* "  -q, --quiet", "      --steps N", "  MODEL" */
static void put_left(struct wrap *wrap, const struct pl_option *option)
{
    char left[160];

    if (option->argument)
        snprintf(left, sizeof left, "  %s%s", option->name,
                 option->kind == PL_OPTION_KIND_LIST ? "..." : "");
    else if (option->letter)
        snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name);
    else
        snprintf(left, sizeof left, "      --%s", option->name);
    put(wrap, left, strlen(left));
    if (!option->argument && option->kind != PL_OPTION_KIND_FLAG) {
        const char *value = option->value ? option->value : "VALUE";

        put(wrap, " ", 1);
        put(wrap, value, strlen(value));
    }
}

static void put_row(struct wrap *wrap, const struct pl_option *option, size_t left)
{
    char initial[128] = "";

    put_left(wrap, option);
    if (wrap->column + INDENT > left)
        new_line(wrap);
    wrap->indent = left;
    pad_to(wrap, left);
    put_words(wrap, option->help);
    if (option->kind == PL_OPTION_KIND_FLAG) {
        if (strcmp(option->initial, "yes") == 0)
            snprintf(initial, sizeof initial, "(on; --no-%s turns it off)", option->name);
    } else if (option->initial && option->initial[0]) {
        snprintf(initial, sizeof initial, "(default: %s)", option->initial);
    } else if (option->argument && option->kind == PL_OPTION_KIND_STRING && option->least == 0) {
        snprintf(initial, sizeof initial, "(may be left out)");
    }
    put_words(wrap, initial);
    new_line(wrap);
}

static void put_usage(struct wrap *wrap, const struct pl_command *command)
{
    char word[96];

    wrap->indent = 0;
    put_words(wrap, "Usage:");
    put_words(wrap, command->name);
    wrap->indent = 7;
    put_words(wrap, "[OPTION]...");
    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];
        const bool list = option->kind == PL_OPTION_KIND_LIST;

        if (!option->argument)
            continue;
        snprintf(word, sizeof word, option->least > 0 ? "%s%s" : "[%s]%s", option->name,
                 list ? "..." : "");
        put_words(wrap, word);
    }
    new_line(wrap);
}

static size_t left_width(const struct pl_command *command)
{
    size_t widest = strlen("  -h, --help");

    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];
        size_t len;

        if (option->kind == PL_OPTION_KIND_GROUP)
            continue;
        len = strlen(option->name) + 8;
        if (!option->argument && option->kind != PL_OPTION_KIND_FLAG)
            len += 1 + strlen(option->value ? option->value : "VALUE");
        if (len > widest && len <= LEFT_MAX)
            widest = len;
    }
    return widest + INDENT;
}

static void put_heading(struct wrap *wrap, const char *title)
{
    new_line(wrap);
    put(wrap, title, strlen(title));
    put(wrap, ":", 1);
    new_line(wrap);
}

static void put_options(struct wrap *wrap, const struct pl_command *command, size_t left)
{
    static const struct pl_option help = {.name = "help",
                                          .letter = 'h',
                                          .kind = PL_OPTION_KIND_FLAG,
                                          .initial = "no",
                                          .help = "show this and leave"};
    bool headed = false;

    for (size_t i = 0; i < command->count; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->argument)
            continue;
        if (option->kind == PL_OPTION_KIND_GROUP) {
            put_heading(wrap, option->help);
        } else {
            if (!headed)
                put_heading(wrap, "Options");
            put_row(wrap, option, left);
        }
        headed = true;
    }
    if (!headed)
        put_heading(wrap, "Options");
    put_row(wrap, &help, left);
}

int pl_options_help(const struct pl_command *command, size_t width, struct pl_buf *buf)
{
    struct wrap wrap = {.buf = buf, .width = width > 100 ? 100 : width};
    const size_t left = left_width(command);
    bool headed = false;

    put_usage(&wrap, command);
    new_line(&wrap);
    wrap.indent = 0;
    put_words(&wrap, command->about);
    new_line(&wrap);
    for (size_t i = 0; i < command->count; i++) {
        if (!command->options[i].argument)
            continue;
        if (!headed)
            put_heading(&wrap, "Arguments");
        headed = true;
        put_row(&wrap, &command->options[i], left);
    }
    put_options(&wrap, command, left);
    new_line(&wrap);
    wrap.indent = 0;
    put_words(&wrap, "An option --some-name may be given as the variable PLAIT_SOME_NAME too; the "
                     "command line wins.");
    new_line(&wrap);
    if (command->after) {
        new_line(&wrap);
        put(&wrap, command->after, strlen(command->after));
    }
    return wrap.rc;
}

static int print_list(const struct pl_option_list *list, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; i < list->count && rc == PL_OK; i++)
        rc = pl_buf_printf(buf, "%s%s", i > 0 ? "," : "", list->items[i]);
    return rc;
}

static int print_value(const struct pl_option *option, const void *place, struct pl_buf *buf)
{
    char word[PL_OPTION_NAME_MAX];
    const char *text;

    switch (option->kind) {
    case PL_OPTION_KIND_FLAG:
        return pl_buf_puts(buf, *(const bool *)place ? "yes" : "no");
    case PL_OPTION_KIND_SIZE:
        return pl_buf_printf(buf, "%zu", *(const size_t *)place);
    case PL_OPTION_KIND_REAL:
        return pl_buf_printf(buf, "%.10g", *(const double *)place);
    case PL_OPTION_KIND_STRING:
        text = *(const char *const *)place;
        return pl_buf_puts(buf, text ? text : "");
    case PL_OPTION_KIND_CHOICE:
        if (!pl_option_choice(option->choices, *(const int *)place, word))
            return PL_EINVAL;
        return pl_buf_puts(buf, word);
    case PL_OPTION_KIND_LIST:
        return print_list(place, buf);
    case PL_OPTION_KIND_GROUP:
        break;
    }
    return PL_OK;
}

int pl_options_print(const struct pl_command *command, const void *conf, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; i < command->count && rc == PL_OK; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->kind == PL_OPTION_KIND_GROUP)
            continue;
        rc = pl_buf_printf(buf, "%s = ", option->name);
        if (rc == PL_OK)
            rc = print_value(option, (const char *)conf + option->place, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, "\n");
    }
    return rc;
}
