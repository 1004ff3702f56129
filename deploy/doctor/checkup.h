/*
 * What plait doctor found out about a run's surroundings: a list of checks, each with a verdict,
 * what was found, and what a person is to do about it.
 */
#ifndef PL_DOCTOR_CHECKUP_H
#define PL_DOCTOR_CHECKUP_H

#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>
#include <stddef.h>

enum pl_check_result {
    PL_CHECK_OK,
    PL_CHECK_WARN,    /* it works, but see what is to be done */
    PL_CHECK_FAIL,    /* the run will not go well */
    PL_CHECK_UNKNOWN, /* it could not be looked at */
    PL_CHECK_RESULTS
};

enum { PL_CHECKS_MAX = 128 };

struct pl_check {
    char name[40]; /* "redis.version" */
    enum pl_check_result verdict;
    char found[400], todo[400]; /* todo: "" where there is nothing to do */
};

struct pl_checkup {
    struct pl_check rows[PL_CHECKS_MAX];
    size_t count, counts[PL_CHECK_RESULTS];
};

/* One more; `todo` may be NULL. Beyond PL_CHECKS_MAX it is counted alone. Control bytes go. */
void pl_checkup_add(struct pl_checkup *checkup, const char *name, enum pl_check_result verdict,
                    const char *todo, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* For people; for scripts: a list of objects. PL_ENOMEM; NULL. */
int pl_checkup_print(const struct pl_checkup *checkup, const struct pl_style *style,
                     struct pl_buf *buf);
json_t *pl_checkup_json(const struct pl_checkup *checkup);

#endif
