/*
 * How fast a machine does what training does, in the units that costs.h counts work in. Measured on
 * one layer of the model's own width with random values, so that a rate has in it what the engine
 * makes of the machine; a layer that would not fit into memory is halved until it does.
 *
 * Decoding a token for each of R rows takes max(W / decode_bytes, R F / decode_flops) seconds: the
 * weights (W bytes) are read, and each row has its F operations. The rates come from products of
 * one row and of many.
 *
 * Where others use the processors too, rates come from the processor time that was got instead of
 * the clock: they are those of a machine that is alone, as far as that can be told (threads that
 * wait for each other should sleep then: OMP_WAIT_POLICY=passive).
 *
 * As JSON: one object, a number for each rate, and what it was measured on.
 */
#ifndef PL_PLAN_RATES_H
#define PL_PLAN_RATES_H

#include "common/base/err.h"
#include "common/model/config.h"

#include <jansson.h>
#include <stddef.h>

struct pl_rates {
    char cpu[96];
    size_t threads;
    size_t hidden, ffn; /* of the layer it was measured on */
    double waited;      /* share of the time that others had the processor it wanted; 0: unknown */
    /* all a second */
    double peak_flops;      /* OpenBLAS sgemm, to compare with */
    double read_bytes;      /* of memory, likewise */
    double forward_flops;   /* many rows through a layer */
    double backward_flops;  /* their gradients, two products for each one forward */
    double attention_flops; /* of many rows, forward */
    double attention_backward_flops;
    double decode_bytes, decode_flops;
    double decode_attention_flops; /* samples of a group over their prompt and themselves */
    double optimizer_params;       /* AdamW, with the norm of the gradient */
    double publish_bytes;          /* hashing a version and finding what changed */
};

enum { PL_RATES_PARTS = 6 }; /* of measuring */

struct pl_rates_watch {
    void *at;
    void (*part)(void *at, size_t done, size_t total, const char *what); /* may be NULL */
};

/*
 * Some seconds with all threads. `samples`: of a prompt. PL_ENOMEM; PL_ECANCELED: asked to stop
 * (signals.h).
 */
int pl_rates_measure(const struct pl_config *config, size_t samples,
                     const struct pl_rates_watch *watch, struct pl_rates *ret_rates,
                     struct pl_error *err);

json_t *pl_rates_json(const struct pl_rates *rates); /* a new reference; NULL: no memory */

/* From a file that holds such an object, or an object whose key `rates` does. PL_ENOENT, PL_EIO;
 * PL_EFORMAT: a rate is missing or not above 0. */
int pl_rates_load(const char *path, struct pl_rates *ret_rates, struct pl_error *err);

#endif
