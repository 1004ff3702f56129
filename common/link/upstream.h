/*
 * Where a relay has the weights from: the learner, or another relay. Hears announcements, asks for
 * what is wanted with a window of questions ahead, each thing once whoever wants it, asks again
 * where no answer comes or what came was refused, and gives up in a finite time, so that who waits
 * can be told.
 *
 * One thread owns it.
 */
#ifndef PL_LINK_UPSTREAM_H
#define PL_LINK_UPSTREAM_H

#include "common/base/err.h"
#include "common/link/shelf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_upstream_opts {
    void *context; /* of ZeroMQ; borrowed */
    const char *run;
    const char *pub, *serve;    /* where to connect to; borrowed */
    const struct pl_keys *keys; /* borrowed; those that connect, see keys.h; NULL: none */
    uint64_t silence_ms; /* without any answer before what is wanted counts as absent; 0: 3000 */
    void *at;            /* for the calls below */
    /* An announcement of this run. */
    void (*announced)(void *at, const struct pl_announcement *what, const void *bytes, size_t len);
    /* What was wanted has come. PL_EFORMAT: it is not what it should be, and is asked for again,
     * some times. PL_ENOENT: it is not wanted any more. PL_EFULL, PL_ENOMEM: there is no room for
     * it. */
    int (*came)(void *at, const struct pl_item *item, const void *bytes, size_t len,
                struct pl_error *err);
    /* It will not come: there is no such thing, or no answer, or no room. `other`: upstream has
     * another version of that number than the manifest is of that is here. */
    void (*failed)(void *at, const struct pl_item *item, bool other);
    /* Upstream does not let us in, and why. It is tried again. */
    void (*shut_out)(void *at, const char *why);
};

struct pl_upstream;
int pl_upstream_create(const struct pl_upstream_opts *opts, struct pl_upstream **ret_upstream,
                       struct pl_error *err);
void pl_upstream_destroy(struct pl_upstream *upstream); /* NULL is fine */

/* To be polled for input; not the same ones after a turn. */
void *pl_upstream_sub(const struct pl_upstream *upstream);
void *pl_upstream_dealer(const struct pl_upstream *upstream);

/*
 * Ask for something of about `bytes` bytes, as soon as there is room; wanting it again is harmless.
 * false: it was asked for a moment ago, and will not come.
 */
bool pl_upstream_want(struct pl_upstream *upstream, const struct pl_item *item, size_t bytes);

/* Whether something that is not urgent may be wanted too. */
bool pl_upstream_is_free(const struct pl_upstream *upstream);

/* Whether anything is wanted: then a turn is due every some milliseconds. */
bool pl_upstream_is_busy(const struct pl_upstream *upstream);

/* Take in what has come, ask what is to be asked, look at the clock. */
void pl_upstream_turn(struct pl_upstream *upstream);

struct pl_upstream_stats {
    uint64_t chunks, bytes, manifests; /* that came and were taken */
    uint64_t announcements;
    uint64_t asked, retries; /* questions, and those of them that were asked before */
    uint64_t refused;        /* manifests and chunks that are not what they should be */
    uint64_t forged;         /* manifests and announcements that the learner did not sign */
    uint64_t garbage;        /* messages that do not decode, or of another run */
    uint64_t shut_out;       /* times that it did not let us in */
    uint64_t strays;         /* answers that nobody waits for any more */
    double silent_s;         /* since anything was heard of it; below 0: never */
};
struct pl_upstream_stats pl_upstream_stats(const struct pl_upstream *upstream);

#endif
