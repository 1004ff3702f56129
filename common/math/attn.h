/*
 * Causal attention over a paged key/value cache. Prefill, decode and training all go through here,
 * so a position's result is the same to the bit however it was batched or chunked.
 *
 * A page holds PL_PAGE consecutive positions of one sequence, for every layer and key/value head:
 *
 *   data[((layer * count + page) * G + head) * pl_page_floats(D)]:
 *       keys   (D, PL_PAGE)  transposed: one line per feature
 *       values (PL_PAGE, D)
 *
 * A sequence is a list of page numbers: its position t is entry t % PL_PAGE of pages[t / PL_PAGE].
 * Sequences that begin alike share pages.
 *
 * Per query row, to the bit: pages in ascending order; scores q k / sqrt(D) as an fma chain over D;
 * the running maximum m, sum l and output o are rescaled once a page (online softmax, Milakov and
 * Gimelshein 2018, arXiv 1805.02867).
 *
 * Memory of pages must be finite wherever a page is used (create zeroes it): a masked key has
 * weight 0.
 */
#ifndef PL_MATH_ATTN_H
#define PL_MATH_ATTN_H

#include <stddef.h>
#include <stdint.h>

enum { PL_PAGE = 32 };

struct pl_pages {
    /* pages, L, G, D; L = 1: all layers use the same pages in turn (training, where rows keep them)
     */
    size_t count, layers, kv_heads, head_dim;
    float *data; /* pl_pages_floats() */
};

/* Rows [row, row + rows) of a batch are positions [pos, pos + rows) of the sequence in `pages`. */
struct pl_span {
    const uint32_t *pages;
    size_t row, rows, pos;
};

static inline size_t pl_page_floats(size_t head_dim)
{
    return 2 * PL_PAGE * head_dim;
}

static inline size_t pl_pages_floats(size_t count, size_t layers, size_t kv_heads, size_t head_dim)
{
    /* Kernels read whole vectors: up to 15 floats past a row, which are another row's or this
     * slack. */
    return count * layers * kv_heads * pl_page_floats(head_dim) + PL_PAGE;
}

/* Where one head's keys begin; its values are PL_PAGE * D floats behind. */
static inline float *pl_page_at(const struct pl_pages *p, size_t layer, size_t page, size_t head)
{
    return p->data + (((p->layers > 1 ? layer : 0) * p->count + page) * p->kv_heads + head) *
                         pl_page_floats(p->head_dim);
}

/*
 * Store the keys and values of every span's rows. Row r has its keys at k + r * ld, (G, D), and its
 * values at v + r * ld.
 */
void pl_attn_store(const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
                   size_t span_count, const float *k, const float *v, size_t ld);

/*
 * out: (rows, H D) with ldo; q: (rows, H D) with ldq; lse: (rows, H) or NULL, log of the sum of
 * exp(scores). Keys and values up to each row's own position must be stored. Spans next to each
 * other that begin with the same pages are computed together where each has one row. H is a
 * multiple of G.
 */
void pl_attn(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
             const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
             size_t span_count, size_t heads);

/* The same as a plain loop with no pages shared, one thread: what pl_attn() is tested against. */
void pl_attn_plain(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
                   const struct pl_pages *pages, size_t layer, const struct pl_span *spans,
                   size_t span_count, size_t heads);

#endif
