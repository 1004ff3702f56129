/*
 * Growing array of token ids, with a maximum given at init. Not for several threads at once.
 */
#ifndef PL_TEXT_IDS_H
#define PL_TEXT_IDS_H

#include <stddef.h>
#include <stdint.h>

struct pl_ids {
    uint32_t *data; /* len ids; NULL until the first append */
    size_t len;     /* ids used */
    size_t cap;     /* ids held */
    size_t len_max; /* len never goes over this */
};

void pl_ids_init(struct pl_ids *ids, size_t len_max);
void pl_ids_release(struct pl_ids *ids); /* zeroed or released already is fine */
void pl_ids_clear(struct pl_ids *ids);   /* len = 0, memory kept */

/* PL_EFULL: len would go over len_max. PL_ENOMEM. On failure ids is as it was. */
int pl_ids_append(struct pl_ids *ids, const uint32_t *more, size_t n);
int pl_ids_push(struct pl_ids *ids, uint32_t id);

#endif
