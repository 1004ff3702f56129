/*
 * What changed between two arrays of n bf16 values (a block of a version of the weights):
 *
 *   u8 kind: 0 nothing, 1 all values, 2 some positions
 *   all:   the values, 2 bytes each, little-endian
 *   some:  u32 count, then that many gaps as LEB128 (position less the one before it less 1, the
 *          first one's position itself), then that many values
 *
 * Whichever is smallest. Values overwrite, so that applying twice is harmless.
 */
#ifndef PL_LINK_DELTA_H
#define PL_LINK_DELTA_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that encoding n values may need to work in, and the most it says. */
size_t pl_delta_room(size_t n);
size_t pl_delta_max(size_t n);

/* Write what turns `from` into `to`; n below 2^32. Returns how many bytes that are. */
size_t pl_delta_encode(const uint16_t *from, const uint16_t *to, size_t n, unsigned char *out);

/* Overwrite `values`. PL_EFORMAT: it is no delta of n values; they may be half changed then. */
int pl_delta_apply(const void *bytes, size_t len, uint16_t *values, size_t n);

#endif
