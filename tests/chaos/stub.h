/*
 * A stub engine for volume: a learner, rewarders and actors that compute nothing but hashes, so
 * that thousands of groups a second go through the real queue library and the real functions of
 * Redis, in processes of their own that can be killed. What comes out is a pure function of seed
 * and size, as in a run: SHA-256 over all groups of all batches in order.
 *
 *   plait-chaos stub ROLE NAME URL FOLDER SEED BATCHES
 *
 * The learner's folder looks to the nemesis and the judge like that of a run: metrics.jsonl,
 * checkpoints/latest ("global_step_N", and the hash so far), model/model.safetensors at the end. It
 * notes in trained.log each batch that it took ("T b"), each checkpoint ("S n") and each batch that
 * was not what was fed ("X b what").
 */
#ifndef PL_CHAOS_STUB_H
#define PL_CHAOS_STUB_H

#include "common/base/err.h"

#include <stdint.h>

enum { PL_STUB_GROUPS = 64, PL_STUB_SAVE = 20, PL_STUB_AHEAD = 3 };

int pl_stub_main(int argc, char **argv); /* exit status of one of its processes */

/* What the model must be in the end: SHA-256 of the file, in hex. */
void pl_stub_expected(uint64_t seed, uint64_t batches, char ret_hex[65]);

/* Out of trained.log: batches whose groups were not all there or not what was fed, and such as were
 * taken again though the checkpoint that holds them was made. */
void pl_stub_count(const char *folder, uint64_t *ret_taken, uint64_t *ret_odd, uint64_t *ret_twice);

#endif
