/*
 * Weights over ZeroMQ: a source announces versions and serves them, a sink pulls them.
 *
 *   source: PUB announcements (at once, to every new subscriber, and every few seconds),
 *           ROUTER serving manifests and chunks on request
 *   sink:   SUB, DEALER with a window of requests ahead; resumes after a lost peer
 *
 * A version is a flat array of bf16 values in the order of a table of tensors, in blocks of 1 MiB.
 * A sink that has the version before takes what changed: for each block positions and new values
 * (or all of it, where that is smaller), compressed; others take the snapshot. Overwriting is
 * harmless when repeated. A version is handed out only when the SHA-256 of every chunk as sent
 * holds, those of a snapshot's chunks make up the version's, every block that a delta made has the
 * XXH3 that the manifest says, and all values are finite. (What a delta makes follows from the
 * version before and from bytes whose SHA-256 holds; hashing it once more by SHA-256 would take
 * longer than all the rest.)
 *
 * With keys all connections are CURVE, the source lets in whom its list names (door.h) and signs
 * what it publishes (seal.h); a sink believes nothing else. What is announced never makes a sink go
 * back to an older version, but of another life of the run (proto/life.h), which is another policy.
 *
 * Source and sink each have a thread of their own; functions here may be called from one other
 * thread.
 */
#ifndef PL_LINK_BCAST_H
#define PL_LINK_BCAST_H

#include "common/base/err.h"
#include "common/link/door.h"
#include "common/link/keys.h"
#include "proto/life.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_CHUNK_BYTES = 1 << 20, PL_HASH_BYTES = 32 };

struct pl_bcast_tensor {
    const char *name;
    uint32_t dims[2];
    uint32_t rank;
    size_t first, count; /* values in the flat array */
};

struct pl_bcast_table {
    const struct pl_bcast_tensor *tensors; /* borrowed, must live as long */
    size_t count;
    size_t values; /* of the flat array */
};

/* ---- source ---- */

struct pl_weights_source_opts {
    const char *run;
    struct pl_life life;               /* goes with every version */
    const char *pub_bind, *serve_bind; /* "ipc:///run/x.pub", "tcp://127.0.0.1:0" */
    struct pl_bcast_table table;
    size_t versions_max;        /* kept in memory; older ones must be dropped first */
    const struct pl_keys *keys; /* borrowed; NULL: none, everybody is let in */
    void (*event)(void *at, const char *line); /* who was refused, for the log; NULL: none */
    void *at;
};

struct pl_weights_source;
int pl_weights_source_create(const struct pl_weights_source_opts *opts,
                             struct pl_weights_source **ret_source, struct pl_error *err);
void pl_weights_source_destroy(struct pl_weights_source *source); /* NULL is fine */

/* Where it really listens (ports that were 0 are filled in); borrowed. */
const char *pl_weights_source_pub(const struct pl_weights_source *source);
const char *pl_weights_source_serve(const struct pl_weights_source *source);

/*
 * Room for a version's values (table.values), the source's own: who fills it and publishes it saves
 * the copy. NULL: no memory.
 */
uint16_t *pl_weights_source_room(struct pl_weights_source *source);

/*
 * Publish version `version` (values are copied, unless they are the room); a delta is made when
 * version - 1 is still kept. ret_hash: of the values (pl_values_hash()). Uses all threads.
 * PL_EFULL: versions_max are kept. PL_EINVAL: not newer.
 */
int pl_weights_source_publish(struct pl_weights_source *source, uint64_t version, uint64_t step,
                              const uint16_t *values, unsigned char ret_hash[PL_HASH_BYTES],
                              struct pl_error *err);
/* The values of a version that is kept, borrowed until it is dropped; NULL: it is not. */
const uint16_t *pl_weights_source_values(const struct pl_weights_source *source, uint64_t version);

/* Forget versions below `version`. */
void pl_weights_source_drop(struct pl_weights_source *source, uint64_t version);

struct pl_weights_source_stats {
    uint64_t chunks, bytes, manifests, errors, announcements;
    size_t kept;
    struct pl_door_stats door; /* who came in and who was refused; zeros without keys */
};
struct pl_weights_source_stats pl_weights_source_stats(const struct pl_weights_source *source);

/* ---- sink ---- */

struct pl_weights_sink_opts {
    const char *run;
    const char *pub, *serve; /* where to connect to */
    struct pl_bcast_table table;
    size_t window;       /* MiB asked for ahead; 0: 8 */
    size_t versions_max; /* kept ready besides the one that is lent, the newest ones that were
                            announced or asked for; 0: 3 */
    const struct pl_keys *keys; /* borrowed; those that connect, see keys.h; NULL: none */
    void (*event)(void *at, const char *line); /* what was refused, for the log; NULL: none */
    void *at;
};

struct pl_weights_sink;
int pl_weights_sink_create(const struct pl_weights_sink_opts *opts,
                           struct pl_weights_sink **ret_sink, struct pl_error *err);
void pl_weights_sink_destroy(struct pl_weights_sink *sink);

/*
 * A sink fetches each version that is announced as soon as it hears of it, and on request any
 * other.
 */

/*
 * From now on only versions of this life of the run count: those of others that are here go, and
 * what is announced of them is not heard. Until it is called the life that was announced last is
 * the one. Values that were lent must not be read any more.
 */
void pl_weights_sink_life(struct pl_weights_sink *sink, const struct pl_life *life);

/* The newest version that was announced, 0: none yet (versions begin at 1). */
uint64_t pl_weights_sink_newest(const struct pl_weights_sink *sink);

/*
 * Borrow version `version`: waits until it is there, up to wait_ms. *ret_values: table.values of
 * them, which stay as they are until the next call.
 * PL_ENOENT: it did not come in time; the sentence says what was last heard.
 */
int pl_weights_sink_get(struct pl_weights_sink *sink, uint64_t version, uint64_t wait_ms,
                        const uint16_t **ret_values, unsigned char ret_hash[PL_HASH_BYTES],
                        struct pl_error *err);

struct pl_weights_sink_stats {
    uint64_t snapshots, deltas, bytes, retries, refused; /* refused: a hash or a value was wrong */
    uint64_t forged; /* manifests and announcements that the learner did not sign */
    double last_s;   /* how long the last version took */
};
struct pl_weights_sink_stats pl_weights_sink_stats(const struct pl_weights_sink *sink);

#endif
