/*
 * The gate of the intermediate reward: open when the batch makes progress,
 *
 *   Acc(B) > Acc(B-1) - epsilon      (algorithm 1; Acc of the batch before the first is 0)
 *
 * in the order of batches, whatever order they were completed in. Redis decides it when a batch is
 * complete (common/link/functions.lua says the same in Lua); this is what it is tested against.
 */
#ifndef PL_REWARDER_GATE_H
#define PL_REWARDER_GATE_H

#include <stdbool.h>

bool pl_gate_open(double accuracy, double previous, double epsilon);

#endif
