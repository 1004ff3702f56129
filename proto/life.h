/*
 * Which run, and which life of it: what everything that travels belongs to.
 *
 * A run has one id for good, that of its folder. A life begins when the run does, and again
 * whenever it goes on with something changed that enters its bits, or from another past than what
 * is about comes from; what was made in one life is of no use in another. Who meets something of
 * another life drops it, and blames nobody.
 */
#ifndef PL_PROTO_LIFE_H
#define PL_PROTO_LIFE_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { PL_RUN_ID = 32 }; /* hex digits */

struct pl_life {
    char run_id[PL_RUN_ID + 1]; /* "": not known */
    uint64_t number;            /* from 1 on */
};

static inline bool pl_life_same(const struct pl_life *a, const struct pl_life *b)
{
    return a->number == b->number && strcmp(a->run_id, b->run_id) == 0;
}

/* From what came in a message or a file: 32 lower-case hex digits, or nothing. PL_EFORMAT. */
static inline int pl_life_take(struct pl_life *ret_life, const char *run_id, uint64_t number,
                               struct pl_error *err)
{
    const size_t len = strlen(run_id);

    if (len > PL_RUN_ID || (len != 0 && len != PL_RUN_ID) ||
        strspn(run_id, "0123456789abcdef") != len)
        return pl_fail(err, PL_EFORMAT, "'%.40s' is no id of a run: %d hex digits are", run_id,
                       PL_RUN_ID);
    memcpy(ret_life->run_id, run_id, len + 1);
    ret_life->number = number;
    return PL_OK;
}

#endif
