/*
 * The claims of a puzzle as the published rows have them: a Python tuple literal, one tree for each
 * person.
 *
 *   (('or', ('telling-truth', 1), ('lying', 2)), ('not', ('telling-truth', 0)), ('lying', 1))
 *
 * Kinds are those of pl_kk_kind_name(), in single or double quotes; people are counted from 0;
 * white space may stand anywhere, a comma may follow the last part.
 */
#ifndef PL_TASKS_KK_LITERAL_H
#define PL_TASKS_KK_LITERAL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "deploy/tasks/kk_puzzle.h"

/*
 * Fills claims and people of *ret_puzzle and nothing else. Linear in len, not recursive.
 * PL_EFORMAT: not such a literal, or not `people` claims, or of people that are not there; the
 * sentence says at which byte. PL_EUNSUPPORTED: a claim has more than PL_KK_NODES_MAX nodes. On
 * failure *ret_puzzle is left alone.
 */
int pl_kk_literal_parse(const char *text, size_t len, size_t people, struct pl_kk *ret_puzzle,
                        struct pl_error *err);

/* Adds the literal to buf, as Python prints it. PL_ENOMEM, PL_EFULL. */
int pl_kk_literal_print(const struct pl_kk *puzzle, struct pl_buf *buf);

#endif
