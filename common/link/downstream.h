/*
 * Who has the weights from a relay: takes questions, and gives each peer its answers, in the order
 * in which it asked and as fast as it takes them (peers.h). A question that cannot be answered yet
 * stays, and is tried again in every turn.
 *
 * One thread owns it.
 */
#ifndef PL_LINK_DOWNSTREAM_H
#define PL_LINK_DOWNSTREAM_H

#include "common/base/err.h"
#include "common/link/door.h"
#include "common/link/shelf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pl_answer {
    PL_ANSWER_HERE,   /* *ret_blob is what it is, to be put back */
    PL_ANSWER_ABSENT, /* there is no such thing here, and none will come */
    PL_ANSWER_NEVER,  /* the question makes no sense */
    PL_ANSWER_LATER,
};

struct pl_downstream_opts {
    void *context; /* of ZeroMQ; borrowed, and ended before the blobs' owner is */
    const char *run;
    int wake; /* an eventfd that is written to when a peer that had no credit has some again */
    void *at; /* for the calls below */
    enum pl_answer (*find)(void *at, const struct pl_item *item, struct pl_blob **ret_blob);
    void (*asked)(void *at, const struct pl_item *item); /* it may be answered later */
};

struct pl_downstream;
int pl_downstream_create(const struct pl_downstream_opts *opts,
                         struct pl_downstream **ret_downstream, struct pl_error *err);

/* Its socket listens from now on; the door (borrowed; NULL: none) stands before it already. PL_EIO.
 */
int pl_downstream_bind(struct pl_downstream *downstream, const char *bind, struct pl_door *door,
                       struct pl_error *err);

/* First the socket, then, when the context is ended and nothing is on its way, the rest. */
void pl_downstream_close(struct pl_downstream *downstream);
void pl_downstream_destroy(struct pl_downstream *downstream); /* NULL is fine */

const char *pl_downstream_endpoint(const struct pl_downstream *downstream); /* borrowed */
void *pl_downstream_socket(const struct pl_downstream *downstream); /* to be polled for input */

void pl_downstream_take(struct pl_downstream *downstream);   /* questions that have come */
void pl_downstream_answer(struct pl_downstream *downstream); /* what can be answered */

/* opts.asked() once more for each question about a version. */
void pl_downstream_repeat(struct pl_downstream *downstream, uint64_t version);

/* Nobody waits for anything, and all answers are taken. */
bool pl_downstream_is_quiet(const struct pl_downstream *downstream);

struct pl_downstream_stats {
    uint64_t chunks, bytes, manifests; /* served */
    uint64_t absent;                   /* questions answered so */
    uint64_t refused; /* garbage, of another run, about chunks that are none, or too many at once */
    size_t peers;
    size_t waiting; /* bytes that the peer with the most of them has not taken */
};
struct pl_downstream_stats pl_downstream_stats(const struct pl_downstream *downstream);

#endif
