/*
 * The tables of a reproduction: our figures, and beside them those of the paper.
 */
#ifndef PL_PAPER_RESULTS_TABLES_H
#define PL_PAPER_RESULTS_TABLES_H

#include "deploy/paper/claims.h"
#include "deploy/view/sheet.h"

enum { PL_RESULTS_TABLES = 9 };

/* Fill the tables; each is ended with pl_sheet_release(), also on failure. PL_ENOMEM. */
int pl_results_tables(const struct pl_results *results, const struct pl_claim *claims,
                      size_t claim_count, struct pl_sheet ret_sheets[PL_RESULTS_TABLES]);

#endif
