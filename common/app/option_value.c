#include "common/app/option_value.h"

#include "common/base/check.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *pl_option_place(const struct pl_option *option, void *conf)
{
    return (char *)conf + option->place;
}

void pl_option_variable(const struct pl_option *option, char name[PL_OPTION_NAME_MAX + 8])
{
    size_t n = 6;

    PL_ASSERT(strlen(option->name) < PL_OPTION_NAME_MAX);
    memcpy(name, "PLAIT_", 6);
    for (const char *at = option->name; *at; at++)
        name[n++] = *at == '-' || *at == '.' ? '_' : (char)toupper((unsigned char)*at);
    name[n] = '\0';
}

/* "option '--lr'", "variable PLAIT_LR" or "argument MODEL". */
static void describe(const struct pl_option_source *source, char text[PL_OPTION_NAME_MAX + 32])
{
    char variable[PL_OPTION_NAME_MAX + 8];

    if (source->option->argument) {
        snprintf(text, PL_OPTION_NAME_MAX + 32, "argument %s", source->option->name);
    } else if (source->from == PL_OPTION_FROM_ENVIRONMENT) {
        pl_option_variable(source->option, variable);
        snprintf(text, PL_OPTION_NAME_MAX + 32, "variable %s", variable);
    } else {
        snprintf(text, PL_OPTION_NAME_MAX + 32, "option '--%s'", source->option->name);
    }
}

static int wrong(const struct pl_option_source *source, const char *wants, const char *text,
                 struct pl_error *err)
{
    char who[PL_OPTION_NAME_MAX + 32];

    if (source->from == PL_OPTION_FROM_SETTINGS)
        return pl_fail(err, PL_EINVAL, "%s: '%s' needs %s, not '%.80s'.", source->where,
                       source->option->name, wants, text);
    describe(source, who);
    return pl_fail(err, PL_EINVAL, "%s needs %s, not '%.80s'.", who, wants, text);
}

/* "a whole number from 1 to 100", with the bounds that the row has. */
static const char *range_words(const struct pl_option *option, const char *noun, char words[128])
{
    const double least = option->least, most = option->most;

    if (least == 0 && most == 0)
        snprintf(words, 128, "%s", noun);
    else if (most == 0 || isinf(most))
        snprintf(words, 128, "%s of at least %.10g", noun, least);
    else
        snprintf(words, 128, "%s from %.10g to %.10g", noun, least, most);
    return words;
}

static bool in_range(const struct pl_option *option, double value)
{
    if (option->least == 0 && option->most == 0)
        return true;
    return value >= option->least && (option->most == 0 || value <= option->most);
}

static bool read_size(const char *text, size_t *ret)
{
    unsigned shift = 0;
    unsigned long long value;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (*end == 'k' || *end == 'K')
        shift = 10;
    else if (*end == 'm' || *end == 'M')
        shift = 20;
    else if (*end == 'g' || *end == 'G')
        shift = 30;
    if (shift > 0)
        end++;
    if (*end != '\0' || value > (SIZE_MAX >> shift))
        return false;
    *ret = (size_t)value << shift;
    return true;
}

static int set_size(const struct pl_option_source *source, const char *text, size_t *place,
                    struct pl_error *err)
{
    char words[128];
    size_t value;

    if (!read_size(text, &value) || !in_range(source->option, (double)value))
        return wrong(source, range_words(source->option, "a whole number", words), text, err);
    *place = value;
    return PL_OK;
}

static int set_real(const struct pl_option_source *source, const char *text, double *place,
                    struct pl_error *err)
{
    char words[128], *end;
    const double value = strtod(text, &end);

    /* strtod() skips blanks and reads hexadecimal and "nan"; an option takes plain numbers. */
    if (end == text || *end != '\0' || !isfinite(value) || isspace((unsigned char)text[0]) ||
        strpbrk(text, "xX") || !in_range(source->option, value))
        return wrong(source, range_words(source->option, "a number", words), text, err);
    *place = value;
    return PL_OK;
}

static int set_flag(const struct pl_option_source *source, const char *text, bool *place,
                    struct pl_error *err)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};

    for (size_t i = 0; i < 4; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *place = strcmp(text, yes[i]) == 0;
            return PL_OK;
        }
    }
    return wrong(source, "'yes' or 'no'", text, err);
}

bool pl_option_choice(const char *choices, int index, char word[PL_OPTION_NAME_MAX])
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (!choices)
            return false;
        choices++;
    }
    const size_t len = strcspn(choices, "|");

    PL_ASSERT(len < PL_OPTION_NAME_MAX);
    memcpy(word, choices, len);
    word[len] = '\0';
    return true;
}

static int set_choice(const struct pl_option_source *source, const char *text, int *place,
                      struct pl_error *err)
{
    char words[256] = "one of ", word[PL_OPTION_NAME_MAX];

    for (int i = 0; pl_option_choice(source->option->choices, i, word); i++) {
        if (strcmp(word, text) == 0) {
            *place = i;
            return PL_OK;
        }
        const size_t len = strlen(words);
        snprintf(words + len, sizeof words - len, "%s%s", i > 0 ? ", " : "", word);
    }
    return wrong(source, words, text, err);
}

/* `escaped`: "\," in the item is a comma. */
static int list_add(struct pl_option_list *list, const char *item, size_t len, bool escaped,
                    struct pl_error *err)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    char *copy;
    size_t n = 0;

    if (!items)
        return pl_fail(err, PL_ENOMEM, "no memory for a list of %zu items", list->count + 1);
    list->items = items;
    items[list->count] = NULL;
    copy = malloc(len + 1);
    if (!copy)
        return pl_fail(err, PL_ENOMEM, "no memory for '%.40s'", item);
    for (size_t i = 0; i < len; i++) {
        if (escaped && item[i] == '\\' && i + 1 < len && item[i + 1] == ',')
            continue;
        copy[n++] = item[i];
    }
    copy[n] = '\0';
    items[list->count++] = copy;
    items[list->count] = NULL;
    return PL_OK;
}

void pl_option_list_release(struct pl_option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct pl_option_list){0};
}

static int add_to_list(const struct pl_option_source *source, const char *text,
                       struct pl_option_list *list, struct pl_error *err)
{
    int rc = PL_OK;

    if (source->option->argument) /* a path may hold commas and backslashes */
        return list_add(list, text, strlen(text), false, err);
    while (rc == PL_OK) {
        size_t len = 0;

        while (text[len] && (text[len] != ',' || (len > 0 && text[len - 1] == '\\')))
            len++;
        if (len == 0)
            return wrong(source, "items without empty ones between commas", text, err);
        rc = list_add(list, text, len, true, err);
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    return rc;
}

int pl_option_set(const struct pl_option_source *source, const char *text, void *conf,
                  struct pl_error *err)
{
    void *place = pl_option_place(source->option, conf);

    switch (source->option->kind) {
    case PL_OPTION_KIND_FLAG:
        return set_flag(source, text, place, err);
    case PL_OPTION_KIND_SIZE:
        return set_size(source, text, place, err);
    case PL_OPTION_KIND_REAL:
        return set_real(source, text, place, err);
    case PL_OPTION_KIND_STRING:
        *(const char **)place = text;
        return PL_OK;
    case PL_OPTION_KIND_CHOICE:
        return set_choice(source, text, place, err);
    case PL_OPTION_KIND_LIST:
        return add_to_list(source, text, place, err);
    case PL_OPTION_KIND_GROUP:
        break;
    }
    PL_ASSERT(!"a heading takes no value");
    return PL_EINVAL;
}
