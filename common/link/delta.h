/*
 * What changed between two versions of a flat array of bf16 values, tensor by tensor:
 *
 *   u8 kind: 0 nothing, 1 all values, 2 some positions
 *   all:   the values, 2 bytes each, little-endian
 *   some:  u32 count, then that many gaps as LEB128 (position less the one before it less 1, the
 *          first one's position itself), then that many values
 *
 * Whichever is smaller. Values overwrite, so that applying twice is harmless.
 */
#ifndef PL_LINK_DELTA_H
#define PL_LINK_DELTA_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/link/bcast.h"

#include <stddef.h>
#include <stdint.h>

/* Append what turns `from` into `to`. *ret_changed: how many values. Uses all threads. PL_EFULL,
 * PL_ENOMEM. */
int pl_delta_encode(const struct pl_bcast_table *table, const uint16_t *from, const uint16_t *to,
                    struct pl_buf *out, uint64_t *ret_changed);

/* Overwrite `values`. PL_EFORMAT: it is no delta of this table; values may be half changed then. */
int pl_delta_apply(const struct pl_bcast_table *table, const void *bytes, size_t len,
                   uint16_t *values, struct pl_error *err);

#endif
