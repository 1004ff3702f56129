/*
 * RELIABILITY.md out of the reports of real runs, the counts of failpoints, figures that other
 * harnesses left beside them, and the table of faults that were found.
 *
 *   DIR/<plan>-<seed>.report.json   what plait-chaos run wrote
 *   DIR/failpoints                  common/base/failpoint.h
 *   DIR/<name>.figures.json         {"title", "command", "rows": [{"figure", "goal", "value",
 *                                   "met"}]}
 *   bugs.json                       [{"what", "by", "seed", "test", "state"}]
 *
 * A figure whose goal is not reached, or that was not run, is in it as such.
 */
#ifndef PL_CHAOS_REPORT_H
#define PL_CHAOS_REPORT_H

#include "common/base/err.h"

/* The commit that a build was made of, "unknown" where git does not tell. Good until the next call.
 */
const char *pl_report_commit(const char *build);

/* PL_EINVAL: a failpoint that is aimed at was passed fewer than 20 times in the runs of DIR; each
 * is printed. */
int pl_report_cover(const char *dir, struct pl_error *err);

int pl_report_write(const char *dir, const char *bugs, const char *output, struct pl_error *err);

#endif
