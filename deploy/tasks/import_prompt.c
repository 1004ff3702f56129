#include "deploy/tasks/import_prompt.h"

#include <string.h>
#include <strings.h>

/* A message's text: a string, or a list of parts that are all text. */
static int add_content(const struct pl_import_row *row, const char *key, const json_t *message,
                       struct pl_buf *buf, struct pl_error *err)
{
    const json_t *content = json_object_get(message, "content"), *part;
    size_t i;
    int rc = PL_OK;

    if (json_is_string(content)) {
        rc = pl_buf_puts(buf, json_string_value(content));
    } else if (json_is_array(content)) {
        json_array_foreach(content, i, part)
        {
            const char *text = json_string_value(json_object_get(part, "text"));

            if (!text)
                return pl_fail(err, PL_EUNSUPPORTED, "%s: part %zu of a message in '%s' is no text",
                               row->what, i + 1, key);
            if (rc == PL_OK)
                rc = pl_buf_puts(buf, text);
        }
    } else {
        return pl_fail(err, PL_EFORMAT, "%s: a message in '%s' has no 'content' that is text",
                       row->what, key);
    }
    return rc < 0 ? pl_import_no_room(row, rc, err) : PL_OK;
}

static int take_message(const struct pl_import_conf *conf, const struct pl_import_row *row,
                        const char *key, const json_t *message, struct pl_import_prompt *prompt,
                        size_t *users, struct pl_error *err)
{
    const char *role = json_string_value(json_object_get(message, "role"));

    if (!role)
        return pl_fail(err, PL_EFORMAT, "%s: a message in '%s' has no 'role'", row->what, key);
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
        int rc;

        prompt->had_system = prompt->had_system || !conf->keep_system;
        if (!conf->keep_system)
            return PL_OK;
        rc = add_content(row, key, message, &prompt->question, err);
        if (rc == PL_OK && pl_buf_puts(&prompt->question, "\n\n") < 0)
            rc = pl_import_no_room(row, PL_ENOMEM, err);
        return rc;
    }
    if (strcmp(role, "user") == 0) {
        if (++*users > 1)
            prompt->left_out = "a conversation of several turns";
        return *users > 1 ? PL_OK : add_content(row, key, message, &prompt->question, err);
    }
    if (strcmp(role, "assistant") != 0)
        prompt->left_out = "a message of another role than system, user, assistant";
    else if (*users == 0)
        prompt->left_out = "a conversation that the assistant begins";
    return PL_OK;
}

int pl_import_prompt_read(const struct pl_import_conf *conf, const struct pl_import_row *row,
                          const char *key, struct pl_import_prompt *ret_prompt,
                          struct pl_error *err)
{
    const json_t *value = json_object_get(row->json, key), *message;
    struct pl_import_prompt prompt = {.left_out = NULL};
    size_t users = 0, i;
    int rc;

    if (!json_is_string(value) && !json_is_array(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected a string or a list of messages",
                       row->what, key, value ? "something else" : "missing");
    pl_buf_init(&prompt.question, 2 * (size_t)PL_IMPORT_ROW_BYTES_MAX);
    rc = pl_buf_puts(&prompt.question, json_is_string(value) ? json_string_value(value) : "");
    if (rc < 0)
        rc = pl_import_no_room(row, rc, err);
    json_array_foreach(value, i, message)
    {
        if (rc == PL_OK)
            rc = take_message(conf, row, key, message, &prompt, &users, err);
    }
    if (rc == PL_OK && json_is_array(value) && users == 0 && !prompt.left_out)
        rc = pl_fail(err, PL_EFORMAT, "%s: '%s' has no message of the user", row->what, key);
    if (rc < 0)
        pl_import_prompt_release(&prompt);
    else
        *ret_prompt = prompt;
    return rc;
}

void pl_import_prompt_release(struct pl_import_prompt *prompt)
{
    pl_buf_release(&prompt->question);
}

static int add_aliases(const struct pl_import_row *row, const json_t *list, const char *answer,
                       json_t *aliases, struct pl_error *err)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        json_t *text = pl_import_text(item);

        if (!text)
            return pl_fail(err, PL_EFORMAT,
                           "%s: item %zu of the truths is neither a string nor a number", row->what,
                           i + 1);
        if (pl_import_alias(aliases, answer, text) < 0)
            return pl_import_no_room(row, PL_ENOMEM, err);
    }
    return PL_OK;
}

int pl_import_truth(const struct pl_import_row *row, const json_t *obj, const char *key,
                    json_t **ret_answer, json_t **ret_aliases, struct pl_error *err)
{
    const json_t *list = json_object_get(obj, key);
    json_t *answer = NULL, *aliases;
    int rc;

    if (json_is_object(list) && json_is_array(json_object_get(list, "target")))
        list = json_object_get(list, "target");
    if (!json_is_array(list)) {
        rc = pl_import_answer(row, obj, key, &answer, err);
    } else {
        answer = pl_import_text(json_array_get(list, 0));
        rc = answer && json_string_length(answer) > 0
                 ? PL_OK
                 : pl_fail(err, PL_EFORMAT, "%s: '%s' is a list that begins with no answer",
                           row->what, key);
    }
    if (rc < 0) {
        json_decref(answer);
        return rc;
    }
    aliases = json_array();
    rc = aliases ? add_aliases(row, list, json_string_value(answer), aliases, err)
                 : pl_import_no_room(row, PL_ENOMEM, err);
    if (rc < 0) {
        json_decref(answer);
        json_decref(aliases);
        return rc;
    }
    *ret_answer = answer;
    *ret_aliases = aliases;
    return PL_OK;
}

const char *pl_import_verifier(const char *source)
{
    static const struct {
        const char *part, *verifier; /* of the name, in any case */
    } known[] = {
        {"gsm8k", "number"},  {"math", "math"},    {"aime", "math"},       {"amc", "math"},
        {"olympiad", "math"}, {"minerva", "math"}, {"deepscaler", "math"},
    };

    for (size_t i = 0; source && i < sizeof known / sizeof known[0]; i++) {
        const size_t len = strlen(known[i].part);

        for (const char *at = source; *at; at++)
            if (strncasecmp(at, known[i].part, len) == 0)
                return known[i].verifier;
    }
    return "em";
}
