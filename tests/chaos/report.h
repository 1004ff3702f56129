/* What the reports of runs say in common. */
#ifndef PL_CHAOS_REPORT_H
#define PL_CHAOS_REPORT_H

/* The commit that a build was made of, "unknown" where git does not tell. Good until the next call.
 */
const char *pl_report_commit(const char *build);

#endif
