/*
 * A file of TensorBoard's events, beside metrics.jsonl: the scalars of each step, framed as its
 * records are:
 *
 *   u64 length, u32 masked CRC-32C of these 8 bytes, the message, u32 masked CRC-32C of it
 *
 * little-endian; masked: ((crc >> 15) | (crc << 17)) + 0xA282EAD8. Each record is written with one
 * write(). Every start of a run makes a file of its own, whose name sorts behind those before it
 * and which says from which step on these do not count, so that a resumed run doubles no step.
 *
 * One thread owns a writer.
 */
#ifndef PL_APP_EVENTS_H
#define PL_APP_EVENTS_H

#include "common/base/err.h"

#include <stdint.h>

struct pl_events;

/* DIR/events.out.tfevents.<when>.<host>.<pid>; from `step` on nothing counts that was written
 * before. PL_EIO, PL_ENOMEM. */
int pl_events_create(const char *dir, uint64_t step, struct pl_events **ret_events,
                     struct pl_error *err);
void pl_events_close(struct pl_events *events); /* NULL is fine */

/* Between begin and end; a step that is begun anew is forgotten. Values that are not finite are
 * left out. */
void pl_events_begin(struct pl_events *events, uint64_t step);
void pl_events_real(struct pl_events *events, const char *tag, double value);
/* PL_EIO; PL_EFULL: more than PL_EVENT_SCALARS_MAX scalars, or a tag too long: nothing was written.
 * PL_ENOMEM. */
int pl_events_end(struct pl_events *events, struct pl_error *err);

#endif
