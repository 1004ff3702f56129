/* What the files of this folder share around protobuf-c. No other folder includes it. */
#ifndef PL_PROTO_WIRE_H
#define PL_PROTO_WIRE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "proto/rollout.h"

#include <plait.pb-c.h>

/* Append a message. PL_EFULL, PL_ENOMEM. */
int pl_wire_pack(const ProtobufCMessage *message, struct pl_buf *out);

/*
 * Unpack under a limit of memory that goes by the message's size; ended with
 * protobuf_c_message_free_unpacked(message, NULL). NULL: PL_EFORMAT, said in err.
 */
ProtobufCMessage *pl_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                                 size_t len, struct pl_error *err);

/* Fill in a score and its segments, which borrow from `score`; `segments` and `list` have room for
 * score->segment_count each. */
void pl_wire_score(Plait__Score *out, Plait__Segment *segments, Plait__Segment **list,
                   const struct pl_score *score);

#endif
