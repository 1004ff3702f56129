/*
 * Rows as verl reads them, its parquet files turned to JSON lines.
 *
 *   {"data_source": "openai/gsm8k", "prompt": [{"role": "user", "content": "..."}] or "...",
 *    "reward_model": {"ground_truth": "72"}, "extra_info": {"index": 3, "question": "..."}}
 *
 * The truth is a string, a number, a list of them or {"target": list}; of Knights and Knaves
 * (data_source kk...) it is an object, from which the puzzle is taken again. A prompt that begins
 * with extra_info.question goes on with an instruction of verl's: the question is taken alone.
 */
#include "deploy/tasks/import_prompt.h"

#include <string.h>
#include <strings.h>

/* meta: data_source, index, and the level where there is one. */
static int fill_meta(const struct pl_import_row *row, json_t *meta)
{
    const json_t *extra = json_object_get(row->json, "extra_info");
    json_t *source = json_object_get(row->json, "data_source");
    const json_t *index = json_object_get(extra, "index");
    const json_t *level = json_object_get(extra, "level");
    int rc = PL_OK;

    if (!level)
        level = json_object_get(row->json, "level");
    if (json_is_string(source))
        rc = pl_import_set(meta, "data_source", json_incref(source));
    if (rc == PL_OK && json_is_integer(index))
        rc = pl_import_set(meta, "index", json_integer(json_integer_value(index)));
    if (rc == PL_OK && (json_is_string(level) || json_is_integer(level)))
        rc = pl_import_set(meta, "level", pl_import_level(level));
    return rc;
}

static int put(const struct pl_import_conf *conf, const struct pl_import_row *row,
               const struct pl_import_prompt *prompt, struct pl_import_draft *draft,
               struct pl_error *err)
{
    const json_t *reward = json_object_get(row->json, "reward_model");
    const char *source = json_string_value(json_object_get(row->json, "data_source"));
    const char *bare =
        json_string_value(json_object_get(json_object_get(row->json, "extra_info"), "question"));
    struct pl_import_fields fields = {.source = "verl", .question = prompt->question.data};
    json_t *answer = NULL;
    int rc;

    if (!json_is_object(reward))
        return pl_fail(err, PL_EFORMAT, "%s: 'reward_model' is %s; expected an object", row->what,
                       reward ? "something else" : "missing");
    rc = pl_import_truth(row, reward, "ground_truth", &answer, &fields.aliases, err);
    if (rc < 0)
        return rc;
    fields.answer = json_string_value(answer);
    fields.verifier = conf->verifier ? conf->verifier : pl_import_verifier(source);
    if (bare && bare[0] && strncmp(fields.question, bare, strlen(bare)) == 0 &&
        fields.question[strlen(bare)]) {
        fields.question = bare;
        draft->note = "an instruction behind the question was left off";
    }
    if (prompt->had_system)
        draft->note = "a system message was left out";
    fields.meta = json_object();
    rc = fill_meta(row, fields.meta);
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

int pl_import_verl(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err)
{
    const char *source = json_string_value(json_object_get(row->json, "data_source"));
    struct pl_import_prompt prompt;
    int rc;

    if (source && strncasecmp(source, "kk", 2) == 0 && !conf->verifier)
        return pl_import_kk(conf, row, draft, err);
    rc = pl_import_prompt_read(conf, row, "prompt", &prompt, err);
    if (rc < 0)
        return rc;
    draft->left_out = prompt.left_out;
    if (!prompt.left_out)
        rc = put(conf, row, &prompt, draft, err);
    pl_import_prompt_release(&prompt);
    return rc;
}
