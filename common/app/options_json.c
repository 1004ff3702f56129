#include "common/app/option_value.h"

static json_t *list_json(const struct pl_option_list *list)
{
    json_t *array = json_array();
    int rc = array ? 0 : -1;

    for (size_t i = 0; i < list->count && rc == 0; i++)
        rc = json_array_append_new(array, json_string(list->items[i]));
    if (rc == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *choice_json(const struct pl_option *option, int index)
{
    char word[PL_OPTION_NAME_MAX];

    return pl_option_choice(option->choices, index, word) ? json_string(word) : NULL;
}

static json_t *value_json(const struct pl_option *option, const void *place)
{
    const char *text;

    switch (option->kind) {
    case PL_OPTION_KIND_FLAG:
        return json_boolean(*(const bool *)place);
    case PL_OPTION_KIND_SIZE: /* a seed over 2^63 - 1 comes back as the same 64 bits */
        return json_integer((json_int_t)(*(const size_t *)place));
    case PL_OPTION_KIND_REAL:
        return json_real(*(const double *)place);
    case PL_OPTION_KIND_STRING:
        text = *(const char *const *)place;
        return text ? json_string(text) : json_null();
    case PL_OPTION_KIND_CHOICE:
        return choice_json(option, *(const int *)place);
    case PL_OPTION_KIND_LIST:
        return list_json(place);
    case PL_OPTION_KIND_GROUP:
        break;
    }
    return NULL;
}

json_t *pl_options_json(const struct pl_command *command, const void *conf)
{
    json_t *object = json_object();
    int rc = object ? 0 : -1;

    for (size_t i = 0; i < command->count && rc == 0; i++) {
        const struct pl_option *option = &command->options[i];

        if (option->kind != PL_OPTION_KIND_GROUP)
            rc = json_object_set_new(object, option->name,
                                     value_json(option, (const char *)conf + option->place));
    }
    if (rc == 0)
        return object;
    json_decref(object);
    return NULL;
}
