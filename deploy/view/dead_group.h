/*
 * A dead group for people and for scripts: why it is dead, and what its message holds, as far as it
 * can be read. Texts of tasks and models are made harmless for a terminal.
 */
#ifndef PL_VIEW_DEAD_GROUP_H
#define PL_VIEW_DEAD_GROUP_H

#include "common/base/buf.h"
#include "common/link/dead.h"
#include "common/text/tokenizer.h"

#include <jansson.h>

enum { PL_DEAD_WHEN_MAX = 32 };

/* "2026-11-25T05:16:32Z" */
const char *pl_dead_when(char text[PL_DEAD_WHEN_MAX], double at_s);

/*
 * All of it, for a terminal. tokenizer: NULL shows numbers of tokens in place of texts, and
 * `no_tokenizer` says why. A message that cannot be read is shown by its first bytes. PL_ENOMEM.
 */
int pl_dead_group_print(const struct pl_dead_entry *entry, const struct pl_tokenizer *tokenizer,
                        const char *no_tokenizer, struct pl_buf *buf);

/* The entry alone; with what its message holds where `whole`. A new reference, NULL: no memory. */
json_t *pl_dead_group_json(const struct pl_dead_entry *entry, bool whole,
                           const struct pl_tokenizer *tokenizer);

#endif
