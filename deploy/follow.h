/*
 * metrics.jsonl of a run as it grows: whole lines only, what stood there before the start left out.
 */
#ifndef PL_DEPLOY_FOLLOW_H
#define PL_DEPLOY_FOLLOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct pl_follow {
    char *path;
    long at;      /* bytes seen */
    json_t *step; /* the last line of a training step, NULL: none yet */
    json_t *val;  /* the last line of an evaluation */
};

void pl_follow_init(struct pl_follow *follow, const char *dir); /* from the file's present end */
void pl_follow_release(struct pl_follow *follow);

/* Read what is new: true when a line came; *ret_val: it was an evaluation. Call until false. */
bool pl_follow_next(struct pl_follow *follow, bool *ret_val);

/* A number of a line, `otherwise` where it has none. */
double pl_follow_number(const json_t *line, const char *name, double otherwise);

#endif
