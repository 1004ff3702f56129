/*
 * Model folders: what loads has the sizes its configuration says and finite values, and written out
 * it loads again to the same bits. The input is the folder's files, as pl_fuzz_unpack() has them.
 */
#include "common/model/checkpoint.h"
#include "common/model/import.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
};

enum {
    REFUSED = PL_FUZZ_CODE(PL_ENOENT) | PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) |
              PL_FUZZ_CODE(PL_ENOMEM),
};

static float *values_of(const struct pl_weights *weights)
{
    float *flat = calloc(weights->shape->floats, sizeof *flat);

    PL_ASSERT(flat);
    pl_weights_get_flat(weights, flat);
    for (size_t i = 0; i < weights->shape->floats; i++)
        PL_ASSERT(isfinite(flat[i]));
    return flat;
}

/* In shards of 64 bytes, so that an index is written and read too. */
static void check_again(const struct pl_weights *weights)
{
    char *dir = pl_fuzz_path("again");
    struct pl_shape *shape = NULL;
    struct pl_weights *again = NULL;
    struct pl_error err = {0};
    float *was, *is;

    PL_ASSERT(pl_model_save(dir, true, weights, NULL, 64, &err) == PL_OK);
    PL_ASSERT(pl_model_load(dir, NULL, &shape, &again, &err) == PL_OK);
    PL_ASSERT(shape->floats == weights->shape->floats && shape->params == weights->shape->params);
    was = values_of(weights);
    is = values_of(again);
    PL_ASSERT(memcmp(was, is, shape->floats * sizeof *was) == 0);
    free(was);
    free(is);
    pl_weights_destroy(again);
    pl_shape_destroy(shape);
    free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_shape *shape = NULL;
    struct pl_weights *weights = NULL;
    struct pl_error err = {0};
    int rc;

    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, sizeof names / sizeof names[0]);
    rc = pl_model_load(pl_fuzz_dir(), NULL, &shape, &weights, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
        PL_ASSERT(!shape && !weights);
        return 0;
    }
    PL_ASSERT(2 * shape->params <= size); /* nothing larger comes out of it than went in */
    check_again(weights);
    pl_weights_destroy(weights);
    pl_shape_destroy(shape);
    return 0;
}
