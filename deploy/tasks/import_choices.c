#include "deploy/tasks/import.h"

#include "common/base/check.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 4 << 20 };

struct shown {
    struct pl_buf question, options[PL_IMPORT_CHOICES_MAX]; /* in the order of the row */
    size_t order[PL_IMPORT_CHOICES_MAX];                    /* shown at k: option order[k] */
    json_t *list;
    size_t right; /* where the right one is shown */
};

/* Two rows with the same question and options are the same, in whatever order options are shown. */
static int make_key(const struct pl_import_choices *choices, const struct shown *shown,
                    struct pl_buf *key)
{
    int rc = pl_buf_puts(key, choices->question);

    for (size_t i = 0; rc == PL_OK && i < choices->count; i++)
        rc = pl_buf_printf(key, "\n%s", shown->options[i].data);
    return rc;
}

static int flatten(const struct pl_import_row *row, const struct pl_import_choices *choices,
                   struct shown *shown, struct pl_error *err)
{
    for (size_t i = 0; i < choices->count; i++) {
        int rc;

        pl_buf_init(&shown->options[i], TEXT_BYTES_MAX);
        rc = pl_import_flat(&shown->options[i], choices->options[i]);
        if (rc < 0)
            return pl_import_no_room(row, rc, err);
        if (shown->options[i].len == 0)
            return pl_fail(err, PL_EFORMAT, "%s: option %zu is blank; expected text", row->what,
                           i + 1);
    }
    return PL_OK;
}

static int show(const struct pl_import_choices *choices, struct shown *shown)
{
    int rc = pl_buf_puts(&shown->question, choices->question);

    while (shown->question.len > 0 &&
           strchr(" \t\r\n", shown->question.data[shown->question.len - 1]))
        shown->question.data[--shown->question.len] = '\0';
    for (size_t k = 0; rc == PL_OK && k < choices->count; k++) {
        const char *option = shown->options[shown->order[k]].data;

        if (shown->order[k] == choices->right)
            shown->right = k;
        rc = pl_buf_printf(&shown->question, "\n%c. %s", (char)('A' + k), option);
        if (rc == PL_OK)
            rc = pl_import_append(shown->list, json_string(option));
    }
    return rc;
}

int pl_import_put_choices(const struct pl_import_conf *conf, const struct pl_import_row *row,
                          const struct pl_import_choices *choices, struct pl_import_fields *fields,
                          struct pl_import_draft *draft, struct pl_error *err)
{
    struct shown shown = {.list = json_array()};
    char letter[2] = "";
    struct pl_rng rng;
    int rc;

    PL_ASSERT(choices->right < choices->count && choices->count <= PL_IMPORT_CHOICES_MAX);
    pl_buf_init(&shown.question, TEXT_BYTES_MAX);
    rc = flatten(row, choices, &shown, err);
    if (rc < 0)
        goto out;
    rc = make_key(choices, &shown, &draft->key);
    if (rc == PL_OK) {
        rng = pl_import_rng(conf->seed, PL_IMPORT_DRAW_OPTIONS, pl_import_hash(draft->key.data));
        pl_import_order(&rng, shown.order, choices->count);
        for (size_t i = 0; !choices->shuffle && i < choices->count; i++)
            shown.order[i] = i;
        rc = show(choices, &shown);
    }
    if (rc == PL_OK) {
        letter[0] = (char)('A' + shown.right);
        fields->question = shown.question.data;
        fields->answer = letter;
        fields->verifier = "choice";
        fields->aliases = json_array();
        rc = pl_import_append(fields->aliases, json_string(shown.options[choices->right].data));
    }
    if (rc == PL_OK)
        rc = pl_import_set(fields->meta, "choices", json_incref(shown.list));
    if (rc < 0)
        rc = pl_import_no_room(row, rc, err);
    if (rc == PL_OK)
        rc = pl_import_put(draft, row, fields, err);
out:
    for (size_t i = 0; i < choices->count; i++)
        pl_buf_release(&shown.options[i]);
    pl_buf_release(&shown.question);
    json_decref(shown.list);
    json_decref(fields->aliases); /* taken over and NULL where the task was printed */
    json_decref(fields->meta);
    fields->aliases = fields->meta = NULL;
    return rc;
}
