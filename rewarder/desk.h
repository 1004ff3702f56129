/*
 * The desk: a ZeroMQ ROUTER that scores on request, so that rewards can be tried from any language.
 * A question is one ScoreRequest of proto/plait.proto, by REQ (an empty frame before it) or by
 * DEALER (without); each gets one ScoreReply. What is no question gets an answer that says why.
 *
 * Sizes are limited before anything is decoded: a message to PL_DESK_BYTES_MAX (a peer that sends
 * more is cut off), a request to PL_DESK_RESPONSES_MAX responses. A peer that does not read loses
 * its answers. With keys it is a CURVE server that lets in whom the list names. It has a thread of
 * its own.
 */
#ifndef PL_REWARDER_DESK_H
#define PL_REWARDER_DESK_H

#include "common/link/door.h"
#include "common/text/tokenizer.h"
#include "rewarder/reward.h"

enum { PL_DESK_BYTES_MAX = 16 << 20, PL_DESK_RESPONSES_MAX = 256 };

struct pl_desk_opts {
    const char *endpoint;                 /* to bind: "ipc:///path", "tcp://127.0.0.1:*" */
    const struct pl_tokenizer *tokenizer; /* borrowed */
    struct pl_reward_opts reward;
    const struct pl_keys *keys;                /* borrowed; NULL: none, everybody is let in */
    void (*event)(void *at, const char *line); /* who was refused, for the log; NULL: none */
    void *at;
};

struct pl_desk;

/* Ended with pl_desk_destroy(). PL_EIO: it cannot be bound. PL_ENOMEM. */
int pl_desk_create(const struct pl_desk_opts *opts, struct pl_desk **ret_desk,
                   struct pl_error *err);
void pl_desk_destroy(struct pl_desk *desk); /* NULL is fine */

struct pl_door_stats pl_desk_door(const struct pl_desk *desk); /* who came in, and who did not */

/* Where it really listens (a port that was '*' is filled in); borrowed. */
const char *pl_desk_endpoint(const struct pl_desk *desk);

#endif
