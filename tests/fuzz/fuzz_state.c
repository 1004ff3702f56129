/*
 * The state of a training run beside a model of zeros: what is read has finite values that round to
 * the model's, and written out it is read again to the same bits. The input is the two files, as
 * pl_fuzz_unpack() has them.
 */
#include "learner/state.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {PL_STATE_OPTIMIZER, PL_STATE_TRAINER};

enum {
    REFUSED = PL_FUZZ_CODE(PL_ENOENT) | PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EUNSUPPORTED) |
              PL_FUZZ_CODE(PL_EINVAL),
};

static struct pl_shape *shape;
static struct pl_weights *weights;
static json_t *agree;

/* Eleven tensors of 30 values. */
static void set_up(void)
{
    const struct pl_config config = {.arch = PL_ARCH_LLAMA,
                                     .hidden = 2,
                                     .layers = 1,
                                     .heads = 1,
                                     .kv_heads = 1,
                                     .head_dim = 2,
                                     .ffn = 1,
                                     .vocab = 1,
                                     .positions_max = 8,
                                     .rope_theta = 10000,
                                     .rms_eps = 1e-6f,
                                     .tied = true,
                                     .bos = -1,
                                     .pad = -1};

    if (shape)
        return;
    PL_ASSERT(pl_shape_create(&config, &shape, NULL) == PL_OK);
    PL_ASSERT(pl_weights_create(shape, &weights, NULL) == PL_OK);
    agree = json_pack("{s:i, s:f, s:s, s:b}", "seed", 1, "lr", 0.001, "data", "x", "tied", 1);
    PL_ASSERT(agree);
}

struct values {
    float *all;
    struct pl_adamw_state adamw;
};

static struct values values_create(void)
{
    const size_t n = shape->floats;
    struct values values = {.all = calloc(3 * n, sizeof(float))};

    PL_ASSERT(values.all);
    values.adamw.master = values.all;
    values.adamw.m = values.all + n;
    values.adamw.v = values.all + 2 * n;
    return values;
}

static bool same_state(const struct pl_train_state *a, const struct pl_train_state *b)
{
    const bool same_best =
        a->eval_best == b->eval_best || (isnan(a->eval_best) && isnan(b->eval_best));

    return a->step == b->step && a->skipped == b->skipped &&
           a->skipped_in_a_row == b->skipped_in_a_row && a->epoch == b->epoch &&
           a->index == b->index && a->tokens == b->tokens && same_best &&
           a->eval_best_step == b->eval_best_step && strcmp(a->core, b->core) == 0;
}

static void check_again(const struct pl_train_state *state, const struct values *values)
{
    char *dir = pl_fuzz_path("again");
    struct values again = values_create();
    struct pl_train_state state_again = {0};
    struct pl_error err = {0};

    pl_fuzz_write("again/x", "", 0); /* makes the folder */
    PL_ASSERT(pl_state_write(dir, state, agree, shape, &values->adamw, &err) == PL_OK);
    PL_ASSERT(pl_state_read(dir, agree, weights, &again.adamw, &state_again, &err) == PL_OK);
    PL_ASSERT(same_state(state, &state_again));
    PL_ASSERT(again.adamw.step == values->adamw.step);
    PL_ASSERT(memcmp(values->all, again.all, 3 * shape->floats * sizeof(float)) == 0);
    free(again.all);
    free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values values;
    struct pl_train_state state = {0};
    struct pl_error err = {0};
    int rc;

    set_up();
    values = values_create();
    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, sizeof names / sizeof names[0]);
    rc = pl_state_read(pl_fuzz_dir(), agree, weights, &values.adamw, &state, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        for (size_t i = 0; i < 3 * shape->floats; i++) {
            PL_ASSERT(isfinite(values.all[i]));
            PL_ASSERT(i >= shape->floats || fabsf(values.all[i]) < 1e-38f); /* zero as a bf16 */
            PL_ASSERT(i < 2 * shape->floats || values.all[i] >= 0);
        }
        PL_ASSERT(memchr(state.core, '\0', sizeof state.core));
        check_again(&state, &values);
    }
    free(values.all);
    return 0;
}
