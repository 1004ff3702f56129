/*
 * Attention over pages: equal to the bit to the plain loop on every kernel set, whatever the
 * chunks, the batch, the shared pages and the threads; and close to a softmax in double.
 */
#include "common/math/attn.h"

#include "common/base/buf.h"
#include "common/math/kernels.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/close.h"

enum { TOKENS = 110, SAMPLES = 5, PROMPT = 70 };

struct setup {
    size_t H, G, D, ld;
    struct pl_pages pages;
    float *qkv; /* (SAMPLES * TOKENS, ld): sequences one after the other */
    uint32_t table[SAMPLES][8];
};

static struct setup make(size_t H, size_t G, size_t D, bool shared)
{
    struct setup s = {.H = H, .G = G, .D = D, .ld = (H + 2 * G) * D};
    const size_t rows = SAMPLES * TOKENS, count = SAMPLES * 5;

    s.pages = (struct pl_pages){count, 2, G, D, pl_alloc(pl_pages_floats(count, 2, G, D), 4)};
    s.qkv = malloc(rows * s.ld * 4);
    pl_test_fill(s.qkv, rows * s.ld, 11);
    for (size_t i = 0; i < rows * s.ld; i++)
        s.qkv[i] *= 3.0f;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (shared && i > 0) /* the same prompt: the same keys and values, q as well */
            memcpy(s.qkv + i * TOKENS * s.ld, s.qkv, PROMPT * s.ld * 4);
        for (uint32_t p = 0; p < 5; p++)
            s.table[i][p] = shared && p < PROMPT / PL_PAGE ? p : (uint32_t)(i * 5 + p);
    }
    return s;
}

static void unmake(struct setup *s)
{
    free(s->pages.data);
    free(s->qkv);
}

static void store_all(const struct setup *s)
{
    struct pl_span spans[SAMPLES];

    for (size_t i = 0; i < SAMPLES; i++)
        spans[i] = (struct pl_span){s->table[i], i * TOKENS, TOKENS, 0};
    pl_attn_store(&s->pages, 1, spans, SAMPLES, s->qkv + s->H * s->D, s->qkv + (s->H + s->G) * s->D,
                  s->ld);
}

/* Every position of every sequence by the plain loop: out, and behind it lse. */
static float *all_plain(const struct setup *s)
{
    float *out = malloc(SAMPLES * TOKENS * s->H * (s->D + 1) * 4);
    struct pl_span spans[SAMPLES];

    for (size_t i = 0; i < SAMPLES; i++)
        spans[i] = (struct pl_span){s->table[i], i * TOKENS, TOKENS, 0};
    pl_attn_plain(out, s->H * s->D, out + SAMPLES * TOKENS * s->H * s->D, s->qkv, s->ld, &s->pages,
                  1, spans, SAMPLES, s->H);
    return out;
}

static void chunks_change_nothing(const struct setup *s, const float *want, size_t chunk)
{
    const size_t width = s->H * s->D;
    const size_t rows = SAMPLES * TOKENS;
    float *out = calloc(rows * (width + s->H), 4);
    struct pl_span spans[SAMPLES];

    for (size_t t = 0; t < TOKENS; t += chunk) {
        for (size_t i = 0; i < SAMPLES; i++)
            spans[i] = (struct pl_span){s->table[i], i * TOKENS + t,
                                        TOKENS - t < chunk ? TOKENS - t : chunk, t};
        pl_attn(out, width, out + rows * width, s->qkv, s->ld, &s->pages, 1, spans, SAMPLES, s->H);
    }
    pl_assert_same_bits(out, want, rows * (width + s->H));
    free(out);
}

static void equal_to_plain_to_the_bit(void **state)
{
    (void)state;
    static const char *const sets[] = {"avx512", "avx2", "plain"};
    static const size_t shapes[][3] = {{4, 2, 64}, {6, 2, 20}, {14, 2, 16}, {3, 3, 8}, {60, 1, 4}};
    static const size_t chunks[] = {1, 33, 2, 7, 31, 32, 64, TOKENS};
    const struct pl_kernels *before = pl_kernels();

    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int shared = 0; shared < 2; shared++) {
            struct setup s = make(shapes[k][0], shapes[k][1], shapes[k][2], shared);
            float *want;

            store_all(&s);
            want = all_plain(&s);
            for (size_t i = 0; i < 3; i++) {
                if (!pl_kernels_named(sets[i]))
                    continue;
                pl_kernels_use(pl_kernels_named(sets[i]));
                /* plain is slow, and wants no more than a row and more than a page at a time */
                const size_t count =
                    strcmp(sets[i], "plain") == 0 ? 2 : sizeof chunks / sizeof *chunks;

                for (size_t c = 0; c < count; c++) {
                    omp_set_num_threads(1 + (int)(c + i) % 3);
                    chunks_change_nothing(&s, want, chunks[c]);
                }
            }
            free(want);
            unmake(&s);
        }
    pl_kernels_use(before);
    omp_set_num_threads(2);
}

static void close_to_softmax_in_double(void **state)
{
    (void)state;
    struct setup s = make(4, 2, 24, false);
    const size_t width = s.H * s.D, seq = 3;
    float *out = calloc(SAMPLES * TOKENS * width, 4), *lse = calloc(SAMPLES * TOKENS * s.H, 4);
    const struct pl_span span = {s.table[seq], seq * TOKENS, TOKENS, 0};

    store_all(&s);
    pl_attn(out, width, lse, s.qkv, s.ld, &s.pages, 1, &span, 1, s.H);
    for (size_t t = 0; t < TOKENS; t += 13)
        for (size_t h = 0; h < s.H; h++) {
            const float *q = s.qkv + (seq * TOKENS + t) * s.ld + h * s.D;
            const size_t g = h / (s.H / s.G);
            double w[TOKENS], total = 0.0;

            for (size_t j = 0; j <= t; j++) {
                const float *k = s.qkv + (seq * TOKENS + j) * s.ld + (s.H + g) * s.D;
                double score = 0.0;

                for (size_t d = 0; d < s.D; d++)
                    score += (double)q[d] * (double)k[d];
                w[j] = exp(score / sqrt((double)s.D));
                total += w[j];
            }
            pl_assert_close(lse[(seq * TOKENS + t) * s.H + h], log(total), 1e-5, 1e-5);
            for (size_t d = 0; d < s.D; d++) {
                double sum = 0.0;

                for (size_t j = 0; j <= t; j++)
                    sum += w[j] / total *
                           (double)s.qkv[(seq * TOKENS + j) * s.ld + (s.H + s.G + g) * s.D + d];
                pl_assert_close(out[(seq * TOKENS + t) * width + h * s.D + d], sum, 2e-5, 1e-5);
            }
        }
    free(out);
    free(lse);
    unmake(&s);
}

static void later_positions_do_not_reach_back(void **state)
{
    (void)state;
    struct setup s = make(4, 2, 16, false);
    const size_t width = s.H * s.D, at = 45;
    float *before = calloc(width, 4), *after = calloc(width, 4);
    const struct pl_span one = {s.table[0], 0, 1, at};

    store_all(&s);
    pl_attn(before, width, NULL, s.qkv + at * s.ld, s.ld, &s.pages, 1, &one, 1, s.H);
    for (size_t g = 0; g < s.G; g++) { /* the rest of the page, keys and values */
        float *keys = pl_page_at(&s.pages, 1, s.table[0][at / PL_PAGE], g);

        for (size_t j = at % PL_PAGE + 1; j < PL_PAGE; j++)
            for (size_t d = 0; d < s.D; d++) {
                keys[d * PL_PAGE + j] = 1e30f;
                keys[PL_PAGE * s.D + j * s.D + d] = -1e30f;
            }
    }
    pl_attn(after, width, NULL, s.qkv + at * s.ld, s.ld, &s.pages, 1, &one, 1, s.H);
    pl_assert_same_bits(after, before, width);
    free(before);
    free(after);
    unmake(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_plain_to_the_bit),
        cmocka_unit_test(close_to_softmax_in_double),
        cmocka_unit_test(later_positions_do_not_reach_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
