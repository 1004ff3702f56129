/*
 * Rows as open-instruct has them: {"messages": [...], "ground_truth": "72", "dataset": "gsm8k"}
 *
 * The question is the user's message; the truth a string, a number or a list of them, and the data
 * set (a name, or a list with one) chooses the verifier.
 */
#include "deploy/tasks/import_prompt.h"

static const char *dataset_of(const json_t *row)
{
    const json_t *dataset = json_object_get(row, "dataset");

    return json_string_value(json_is_array(dataset) ? json_array_get(dataset, 0) : dataset);
}

static int put(const struct pl_import_conf *conf, const struct pl_import_row *row,
               const struct pl_import_prompt *prompt, struct pl_import_draft *draft,
               struct pl_error *err)
{
    const char *dataset = dataset_of(row->json);
    struct pl_import_fields fields = {.source = "chat", .question = prompt->question.data};
    json_t *answer = NULL;
    int rc = pl_import_truth(row, row->json, "ground_truth", &answer, &fields.aliases, err);

    if (rc < 0)
        return rc;
    fields.answer = json_string_value(answer);
    fields.verifier = conf->verifier ? conf->verifier : pl_import_verifier(dataset);
    if (prompt->had_system)
        draft->note = "a system message was left out";
    fields.meta = json_object();
    if (dataset)
        rc = pl_import_set(fields.meta, "dataset", json_string(dataset));
    if (rc == PL_OK) {
        rc = pl_import_put(draft, row, &fields, err);
    } else {
        json_decref(fields.aliases);
        json_decref(fields.meta);
        rc = pl_import_no_room(row, rc, err);
    }
    json_decref(answer);
    return rc;
}

int pl_import_chat(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err)
{
    struct pl_import_prompt prompt;
    int rc = pl_import_prompt_read(conf, row, "messages", &prompt, err);

    if (rc < 0)
        return rc;
    draft->left_out = prompt.left_out;
    if (!prompt.left_out)
        rc = put(conf, row, &prompt, draft, err);
    pl_import_prompt_release(&prompt);
    return rc;
}
