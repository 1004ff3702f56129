#include "proto/wire.h"

#include <stdlib.h>

int pl_wire_pack(const ProtobufCMessage *message, struct pl_buf *out)
{
    const size_t bytes = protobuf_c_message_get_packed_size(message);
    const int rc = pl_buf_reserve(out, bytes);

    if (rc < 0)
        return rc;
    protobuf_c_message_pack(message, (uint8_t *)out->data + out->len);
    out->len += bytes;
    out->data[out->len] = '\0';
    return PL_OK;
}

/*
 * What protobuf-c may allocate while it unpacks: a packed element takes at least one byte of the
 * message and 8 here; anything beyond that is an attack.
 */
struct arena {
    size_t left;
};

static void *arena_alloc(void *at, size_t bytes)
{
    struct arena *arena = at;

    if (bytes > arena->left)
        return NULL;
    arena->left -= bytes;
    return malloc(bytes);
}

static void arena_free(void *at, void *p)
{
    (void)at;
    free(p);
}

ProtobufCMessage *pl_wire_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                                 size_t len, struct pl_error *err)
{
    struct arena arena = {64 * 1024 + 16 * len};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, len, bytes);

    if (!message)
        pl_fail(err, PL_EFORMAT, "%zu bytes that are no message %s", len, descriptor->short_name);
    return message;
}

void pl_wire_score(Plait__Score *out, Plait__Segment *segments, Plait__Segment **list,
                   const struct pl_score *s)
{
    plait__score__init(out);
    out->format = s->format;
    out->final = s->final;
    out->intermediate = s->intermediate;
    out->extra = s->extra;
    out->format_ok = s->format_ok;
    out->verdict = s->verdict;
    out->steps = s->steps;
    out->steps_right = s->steps_right;
    out->first_answer = s->first_answer;
    out->first_right = s->first_right;
    out->why = (char *)(s->why ? s->why : "");
    out->n_segments = s->segment_count;
    out->segments = list;
    for (size_t i = 0; i < s->segment_count; i++) {
        plait__segment__init(&segments[i]);
        segments[i].kind = s->segments[i].kind;
        segments[i].token_begin = s->segments[i].token_begin;
        segments[i].token_end = s->segments[i].token_end;
        segments[i].step = s->segments[i].step;
        segments[i].verdict = s->segments[i].verdict;
        segments[i].reward = s->segments[i].reward;
        segments[i].charge = s->segments[i].charge;
        list[i] = &segments[i];
    }
}
