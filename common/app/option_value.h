/*
 * One value of one option: text to the field it belongs in, checked. The inside of options.h, of no
 * use elsewhere.
 */
#ifndef PL_APP_OPTION_VALUE_H
#define PL_APP_OPTION_VALUE_H

#include "common/app/options.h"

enum { PL_OPTION_NAME_MAX = 64 };

/* Where a value came from, for the sentence when it is wrong. */
struct pl_option_source {
    const struct pl_option *option;
    enum {
        PL_OPTION_FROM_TABLE,
        PL_OPTION_FROM_ENVIRONMENT,
        PL_OPTION_FROM_COMMAND_LINE,
        PL_OPTION_FROM_SETTINGS, /* a key of a file or of an assignment "key=value" */
    } from;
    const char *where; /* of a key: "run.yaml:12" */
};

void *pl_option_place(const struct pl_option *option, void *conf);

/* "PLAIT_BATCH_SIZE" of "batch-size", "PLAIT_ACTOR_LR" of "actor.lr". */
void pl_option_variable(const struct pl_option *option, char name[PL_OPTION_NAME_MAX + 8]);

/* Copy choice number `index` of "a|b|c" into word; false when there are fewer. */
bool pl_option_choice(const char *choices, int index, char word[PL_OPTION_NAME_MAX]);

/* Check and store; lists grow. PL_EINVAL with the sentence, PL_ENOMEM. On failure the field is as
 * it was, but for a list, which may have grown. */
int pl_option_set(const struct pl_option_source *source, const char *text, void *conf,
                  struct pl_error *err);

void pl_option_list_release(struct pl_option_list *list);

#endif
