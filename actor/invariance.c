#include "actor/invariance.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_MAX = 130, TOKENS = 70, PROMPT = 47, SEED = 1 };

static const char *const sets[] = {"plain", "avx2", "avx512"};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void compare(struct pl_invariance *result, const struct pl_trial *trial,
                    const struct pl_trial_case *how, int threads, const float *want,
                    const float *got)
{
    const size_t V = trial->shape->config.vocab, n = trial->tokens * V;

    result->cases++;
    result->rows += trial->tokens;
    if (memcmp(want, got, n * sizeof *want) == 0)
        return;
    result->equal = false;
    if (result->difference[0])
        return;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&want[i], &got[i], sizeof *want) == 0)
            continue;
        snprintf(
            result->difference, sizeof result->difference,
            "position %zu, logit %zu is %.9g alone and %.9g as number %zu of %zu sequences with "
            "chunks of %zu, prompt of %zu %s, %d threads, kernels %s",
            i / V, i % V, (double)want[i], (double)got[i], how->at, how->batch, how->chunk,
            how->prompt, how->shared ? "shared" : "its own", threads, pl_kernels()->name);
        return;
    }
}

void pl_invariance_case(struct pl_invariance *result, struct pl_trial *trial,
                        const struct pl_trial_case *how, int threads, const char *kernels,
                        const float *want, float *got)
{
    const struct pl_kernels *usual = pl_kernels();
    const int threads_usual = omp_get_max_threads();

    if (kernels && !pl_kernels_named(kernels))
        return;
    if (kernels)
        pl_kernels_use(pl_kernels_named(kernels));
    omp_set_num_threads(threads);
    memset(got, 0xFF, trial->tokens * trial->shape->config.vocab * sizeof *got); /* all NaN */
    pl_trial_run(trial, how, got);
    compare(result, trial, how, threads, want, got);
    omp_set_num_threads(threads_usual);
    pl_kernels_use(usual);
}

/* Every batch size of a list, at its beginning, its middle and its end. */
static void batches(struct pl_invariance *r, struct pl_trial *trial, int threads, const float *want,
                    float *got)
{
    static const size_t sizes[] = {1, 2, 3, 5, 6, 7, 8, 12, 13, 16, 17, 31, 33, 64, BATCH_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t B = sizes[i], places[] = {0, B / 2, B - 1};

        for (size_t p = 0; p < 3; p++) {
            if (p > 0 && (places[p] == places[p - 1] || (B > 17 && p == 1)))
                continue;
            const struct pl_trial_case how = {B, places[p], PROMPT, TOKENS, (i + p) % 2 == 0};

            pl_invariance_case(r, trial, &how, threads, NULL, want, got);
        }
    }
}

static void chunks(struct pl_invariance *r, struct pl_trial *trial, int threads, const float *want,
                   float *got)
{
    static const size_t sizes[] = {1, 2, 3, 7, 31, 32, 33, 64, 512};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int shared = 0; shared < 2; shared++) {
            const struct pl_trial_case how = {5, 3, TOKENS - 7, sizes[i], shared == 1};

            pl_invariance_case(r, trial, &how, threads, NULL, want, got);
        }
}

/* 1, 2, 3, 4, 6, 8, 12, ... and all of them. */
static void threads_and_sets(struct pl_invariance *r, struct pl_trial *trial, int most,
                             const float *want, float *got)
{
    const struct pl_trial_case how = {20, 9, PROMPT, 11, true};

    for (int n = 1, step = 1; n < most; n += step) {
        if (n >= 4 && (n & (n - 1)) == 0)
            step = n / 2;
        pl_invariance_case(r, trial, &how, n, NULL, want, got);
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        pl_invariance_case(r, trial, &how, most, sets[i], want, got);
}

int pl_invariance_check(struct pl_invariance *ret_result, struct pl_error *err)
{
    const struct pl_trial_case alone = {1, 0, TOKENS, TOKENS, false};
    const struct pl_config config = pl_trial_config();
    const int most = omp_get_max_threads();
    const double start = now_s();
    struct pl_invariance r = {.equal = true, .threads_max = most};
    struct pl_trial *trial = NULL;
    float *want = NULL, *got = NULL;
    int rc = pl_trial_create(&config, SEED, BATCH_MAX, TOKENS, &trial, err);

    if (rc < 0)
        return rc;
    want = pl_alloc(TOKENS * config.vocab, sizeof *want);
    got = pl_alloc(TOKENS * config.vocab, sizeof *got);
    if (!want || !got) {
        rc = pl_fail(err, PL_ENOMEM, "invariance: no memory for the logits");
        goto out;
    }
    pl_trial_run(trial, &alone, want);
    batches(&r, trial, most, want, got);
    chunks(&r, trial, most, want, got);
    threads_and_sets(&r, trial, most, want, got);
    snprintf(r.checked, sizeof r.checked,
             "%zu ways of running a sequence of %d tokens: batches of 1 to %d, chunks of 1 to 512, "
             "prompt shared and not, 1 to %d threads, kernels%s%s%s",
             r.cases, TOKENS, BATCH_MAX, most, pl_kernels_named("avx512") ? " avx512" : "",
             pl_kernels_named("avx2") ? " avx2" : "", " plain");
    r.seconds = now_s() - start;
    *ret_result = r;
    rc = PL_OK;
out:
    free(got);
    free(want);
    pl_trial_destroy(trial);
    return rc;
}
