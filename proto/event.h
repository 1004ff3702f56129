/*
 * An event of TensorBoard's: what a file of them begins with, a start, or the scalars of a step.
 */
#ifndef PL_PROTO_EVENT_H
#define PL_PROTO_EVENT_H

#include "common/base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum pl_event_kind {
    PL_EVENT_VERSION, /* the first of a file */
    PL_EVENT_START,   /* what earlier files hold of `step` and later steps does not count */
    PL_EVENT_SCALARS,
};

struct pl_event_scalar {
    const char *tag; /* UTF-8 */
    float value;
};

struct pl_event {
    enum pl_event_kind kind;
    double wall_time_s; /* since 1970 */
    int64_t step;
    const struct pl_event_scalar *scalars; /* (count) */
    size_t count;
};

enum { PL_EVENT_SCALARS_MAX = 256 };

/* Append its message. PL_EFULL, PL_ENOMEM. */
int pl_event_encode(const struct pl_event *event, struct pl_buf *out);

#endif
