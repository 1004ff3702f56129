#include "deploy/follow.h"

#include "common/base/buf.h"

#include <stdlib.h>
#include <string.h>

void pl_follow_init(struct pl_follow *follow, const char *dir)
{
    FILE *f;

    *follow = (struct pl_follow){.path = pl_strf("%s/metrics.jsonl", dir)};
    f = follow->path ? fopen(follow->path, "r") : NULL;
    if (!f)
        return;
    if (fseek(f, 0, SEEK_END) == 0)
        follow->at = ftell(f);
    fclose(f);
}

void pl_follow_release(struct pl_follow *follow)
{
    json_decref(follow->step);
    json_decref(follow->val);
    free(follow->path);
    *follow = (struct pl_follow){0};
}

bool pl_follow_next(struct pl_follow *follow, bool *ret_val)
{
    FILE *f = follow->path ? fopen(follow->path, "r") : NULL;
    json_t *json = NULL, **place;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len = -1;

    if (!f)
        return false;
    /* The learner cuts the file when it resumes: then it is read from its new end. */
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) < follow->at)
        follow->at = ftell(f);
    if (fseek(f, follow->at, SEEK_SET) == 0)
        len = getline(&line, &cap, f);
    if (len > 0 && line[len - 1] == '\n') {
        follow->at += len;
        json = json_loadb(line, (size_t)len, 0, NULL);
    }
    free(line);
    fclose(f);
    if (!json)
        return false;
    *ret_val = json_object_get(json, "val-core/acc") != NULL;
    place = *ret_val ? &follow->val : &follow->step;
    json_decref(*place);
    *place = json;
    return true;
}

double pl_follow_number(const json_t *line, const char *name, double otherwise)
{
    const json_t *value = json_object_get(line, name);

    return json_is_number(value) ? json_number_value(value) : otherwise;
}
