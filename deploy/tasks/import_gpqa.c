/*
 * GPQA: rows of its CSV files, or the same as JSON lines.
 *
 *   {"Question": "...", "Correct Answer": "...", "Incorrect Answer 1": "...", ...,
 *    "High-level domain": "...", "Subdomain": "...", "Record ID": "..."}
 *
 * The right answer comes first there: options are always shown in drawn order.
 */
#include "deploy/tasks/import.h"

#include <stdlib.h>

static int fill_meta(const struct pl_import_row *row, json_t *meta)
{
    json_t *domain = json_object_get(row->json, "High-level domain");
    json_t *subdomain = json_object_get(row->json, "Subdomain");
    int rc = PL_OK;

    if (json_is_string(domain))
        rc = pl_import_set(meta, "subject", json_incref(domain));
    if (rc == PL_OK && json_is_string(subdomain))
        rc = pl_import_set(meta, "subdomain", json_incref(subdomain));
    return rc;
}

int pl_import_gpqa(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err)
{
    static const char *const keys[] = {"Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2",
                                       "Incorrect Answer 3"};
    struct pl_import_choices choices = {.count = 4, .right = 0, .shuffle = true};
    struct pl_import_fields fields = {.source = "gpqa"};
    const char *id = json_string_value(json_object_get(row->json, "Record ID"));
    int rc = pl_import_string(row, "Question", &choices.question, err);
    char *own = NULL;

    for (size_t i = 0; rc == PL_OK && i < choices.count; i++)
        rc = pl_import_string(row, keys[i], &choices.options[i], err);
    if (rc < 0)
        return rc;
    if (id && id[0]) {
        own = pl_strf("gpqa-%s", id);
        rc = own ? PL_OK : PL_ENOMEM;
        fields.id = own;
    }
    fields.meta = json_object();
    if (rc == PL_OK)
        rc = fill_meta(row, fields.meta);
    if (rc < 0) {
        json_decref(fields.meta);
        rc = pl_import_no_room(row, rc, err);
    } else {
        rc = pl_import_put_choices(conf, row, &choices, &fields, draft, err);
    }
    free(own);
    return rc;
}
