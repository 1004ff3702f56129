/*
 * How a model folder wants its tokens drawn: generation_config.json, read as Transformers does.
 *
 *   do_sample   missing or false: greedy, and the rest does not count
 *   temperature 1, top_k 50, top_p 1, min_p 0 where do_sample is true and they are missing
 *
 * repetition_penalty is not applied by plait; that a file asks for one is told.
 */
#ifndef PL_ACTOR_SAMPLING_FILE_H
#define PL_ACTOR_SAMPLING_FILE_H

#include "common/base/err.h"
#include "common/model/sampler.h"

struct pl_sampling_file {
    struct pl_sampling sampling;
    double repetition_penalty; /* 1: none */
};

/*
 * MODEL_DIR/generation_config.json; greedy where there is none.
 * PL_EFORMAT: a value is of the wrong type or out of range. PL_EIO, PL_ENOMEM.
 */
int pl_sampling_load(const char *model_dir, struct pl_sampling_file *ret_file,
                     struct pl_error *err);

#endif
