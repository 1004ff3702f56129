/*
 * What `plait trace` shows of a group: its story (trace.h), where it is now, and its result, for
 * people and for scripts. Texts of others are made harmless for a terminal.
 */
#ifndef PL_VIEW_TRACE_PAGE_H
#define PL_VIEW_TRACE_PAGE_H

#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/link/lookup.h"
#include "deploy/view/trace.h"

#include <jansson.h>

struct pl_trace_page {
    const char *run;
    const struct pl_trace *trace; /* concluded */
    bool redis;                   /* it answered: `lookup` means something */
    const char *redis_why;        /* why not */
    struct pl_lookup lookup;
    char dead[512];       /* why it is among the dead, "": it is not */
    json_t *samples;      /* its lines of the run's rollouts, an array; NULL: none is there */
    const char *rollouts; /* the file that they were looked for in; NULL: there is none */
};

/* Neither the logs nor Redis nor the rollouts know it. */
bool pl_trace_page_is_empty(const struct pl_trace_page *page);

/* Its samples in `path`: *ret_samples stays NULL where there is no such file, or it has none of
 * them. PL_EIO, PL_ENOMEM. */
int pl_trace_page_samples(const char *path, const char *group, json_t **ret_samples,
                          struct pl_error *err);

/* One sentence: where the group is by now. */
void pl_trace_page_now(const struct pl_trace_page *page, char *text, size_t size);

int pl_trace_page_print(const struct pl_trace_page *page, enum pl_color color, struct pl_buf *buf,
                        struct pl_error *err);                /* PL_ENOMEM */
json_t *pl_trace_page_json(const struct pl_trace_page *page); /* NULL: no memory */

#endif
