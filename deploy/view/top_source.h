/*
 * What `plait top` shows, read again and again: the run's Redis as the viewer, and of its folder
 * what is on this machine. Reading takes up to some seconds where Redis does not answer.
 */
#ifndef PL_VIEW_TOP_SOURCE_H
#define PL_VIEW_TOP_SOURCE_H

#include "deploy/view/top.h"

struct pl_top_source;

/* conf is borrowed. PL_EINVAL: link.redis is no address; PL_ENOMEM. */
int pl_top_source_open(const struct pl_run_conf *conf, struct pl_top_source **ret_source,
                       struct pl_error *err);
void pl_top_source_close(struct pl_top_source *source); /* NULL is fine */

/* What is there now. That Redis is away is no error: the overview says so. *ret_top: zeroed, or
 * taken before; ended with pl_overview_release(&top.o). */
void pl_top_source_take(struct pl_top_source *source, struct pl_top *ret_top);

#endif
