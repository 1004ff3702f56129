/*
 * Puzzles in words.
 *
 *   published: English in the manner of the published data set
 *     Zoey remarked, "Max is not a knight." ... Who is a knight, and who is a knave?
 *   plain: few words, one way to say a thing, a blank before each of them, for small models
 *     zoey says max is not a knight . ... who is what ?
 *
 * What a role and a solution look like is fixed for both, because verifiers go by it:
 *
 *   role       NAME "is a" ("knight" | "knave")
 *   solution   role {", " role} " and " role        in the order of the puzzle's names
 *
 * "Zoey is a knight", "Zoey is a knight, Max is a knave and Ivy is a knight". In lower case and
 * with punctuation removed this equals the published solution_text. Names are letters only, and no
 * two people of a puzzle have the same one in lower case; but an imported puzzle may have Ella
 * beside Isabella, so names are to be compared whole.
 *
 * All functions add to buf: PL_OK, or PL_ENOMEM or PL_EFULL from it.
 */
#ifndef PL_TASKS_KK_TEXT_H
#define PL_TASKS_KK_TEXT_H

#include "common/base/buf.h"
#include "deploy/tasks/kk_puzzle.h"
#include "deploy/tasks/wording.h"

/* Lower-case names, as plain wording has them. */
void pl_kk_names_lower(struct pl_kk *puzzle);

/* The whole question. Plain wording begins with a blank, so that all words in it look the same to a
 * tokenizer. */
int pl_kk_question(const struct pl_kk *puzzle, enum pl_wording wording, struct pl_buf *buf);

/* "max is not a knight", "if max is a knave then zoey is a knight", ... */
int pl_kk_claim_text(const struct pl_kk *puzzle, size_t speaker, enum pl_wording wording,
                     struct pl_buf *buf);

int pl_kk_role_text(const struct pl_kk *puzzle, size_t person, bool knight, struct pl_buf *buf);

/* The roles of all people in `world`, the final answer. */
int pl_kk_solution_text(const struct pl_kk *puzzle, uint32_t world, struct pl_buf *buf);

#endif
