#include "actor/kv.h"

#include "common/base/buf.h"
#include "common/base/check.h"

#include <stdlib.h>
#include <string.h>

/* Promises of a group: the first slot pays for the shared pages too. */
static size_t pages_first(size_t positions)
{
    return pl_kv_pages_for(positions);
}

static size_t pages_other(size_t shared, size_t positions)
{
    return pl_kv_pages_for(positions) - shared / PL_PAGE;
}

size_t pl_kv_pages_group(size_t shared, size_t positions, size_t samples)
{
    PL_ASSERT(shared <= positions && samples > 0);
    return pages_first(positions) + (samples - 1) * pages_other(shared, positions);
}

static int floats_of(const struct pl_kv_opts *opts, size_t *ret_floats)
{
    size_t n = opts->pages;

    if (opts->head_dim > SIZE_MAX / (2 * PL_PAGE) || __builtin_mul_overflow(n, opts->layers, &n) ||
        __builtin_mul_overflow(n, opts->kv_heads, &n) ||
        __builtin_mul_overflow(n, pl_page_floats(opts->head_dim), &n) || n > SIZE_MAX / 8)
        return -1;
    *ret_floats = pl_pages_floats(opts->pages, opts->layers, opts->kv_heads, opts->head_dim);
    return 0;
}

size_t pl_kv_bytes(const struct pl_kv_opts *opts)
{
    size_t floats, table, bytes;

    if (floats_of(opts, &floats) < 0 ||
        __builtin_mul_overflow(opts->slots, pl_kv_pages_for(opts->positions), &table) ||
        __builtin_mul_overflow(table, sizeof(uint32_t), &table) ||
        __builtin_add_overflow(floats * sizeof(float), table, &bytes) ||
        __builtin_add_overflow(bytes, opts->pages * 2 * sizeof(uint32_t), &bytes) ||
        __builtin_add_overflow(bytes, opts->slots * sizeof(struct pl_kv_slot), &bytes))
        return SIZE_MAX;
    return bytes + sizeof(struct pl_kv);
}

static int opts_check(const struct pl_kv_opts *opts, struct pl_error *err)
{
    if (!opts->layers || !opts->kv_heads || !opts->head_dim || !opts->pages || !opts->slots ||
        !opts->positions)
        return pl_fail(
            err, PL_EINVAL,
            "key/value cache: every size must be at least 1, found %zu layers, %zu heads "
            "of %zu, %zu pages, %zu slots, %zu positions",
            opts->layers, opts->kv_heads, opts->head_dim, opts->pages, opts->slots,
            opts->positions);
    if (opts->pages > UINT32_MAX || opts->slots > UINT32_MAX)
        return pl_fail(err, PL_EINVAL,
                       "key/value cache: %zu pages and %zu slots, at most %u of each are possible",
                       opts->pages, opts->slots, UINT32_MAX);
    if (pl_kv_bytes(opts) == SIZE_MAX)
        return pl_fail(err, PL_ENOMEM, "key/value cache: %zu pages are more than any memory",
                       opts->pages);
    return PL_OK;
}

int pl_kv_create(const struct pl_kv_opts *opts, struct pl_kv **ret_kv, struct pl_error *err)
{
    size_t floats = 0;
    int rc = opts_check(opts, err);
    struct pl_kv *kv;

    if (rc < 0)
        return rc;
    (void)floats_of(opts, &floats);
    kv = calloc(1, sizeof *kv);
    if (!kv)
        return pl_fail(err, PL_ENOMEM, "key/value cache: no memory");
    kv->pages = (struct pl_pages){opts->pages, opts->layers, opts->kv_heads, opts->head_dim,
                                  pl_alloc(floats, sizeof(float))};
    kv->slot_count = kv->slots_free = opts->slots;
    kv->table_len = pl_kv_pages_for(opts->positions);
    kv->tables = calloc(kv->slot_count * kv->table_len, sizeof *kv->tables);
    kv->slots = calloc(kv->slot_count, sizeof *kv->slots);
    kv->refs = calloc(opts->pages, sizeof *kv->refs);
    kv->free = calloc(opts->pages, sizeof *kv->free);
    if (!kv->pages.data || !kv->tables || !kv->slots || !kv->refs || !kv->free) {
        pl_kv_destroy(kv);
        return pl_fail(err, PL_ENOMEM, "key/value cache: no memory for %zu bytes",
                       pl_kv_bytes(opts));
    }
    for (size_t i = 0; i < opts->pages; i++) /* page 0 is taken first */
        kv->free[i] = (uint32_t)(opts->pages - 1 - i);
    kv->free_count = opts->pages;
    *ret_kv = kv;
    return PL_OK;
}

void pl_kv_destroy(struct pl_kv *kv)
{
    if (!kv)
        return;
    free(kv->free);
    free(kv->refs);
    free(kv->slots);
    free(kv->tables);
    free(kv->pages.data);
    free(kv);
}

int pl_kv_claim(struct pl_kv *kv, size_t shared, size_t positions, size_t samples,
                uint32_t *ret_slots)
{
    const size_t need = pl_kv_pages_group(shared, positions, samples);
    size_t found = 0;

    PL_ASSERT(positions > 0 && pl_kv_pages_for(positions) <= kv->table_len);
    if (samples > kv->slots_free || need > kv->free_count - kv->promised)
        return PL_EFULL;
    for (uint32_t s = 0; found < samples; s++) {
        PL_ASSERT(s < kv->slot_count);
        if (kv->slots[s].claimed)
            continue;
        kv->slots[s] = (struct pl_kv_slot){.claimed = 1,
                                           .promised = found == 0 ? pages_first(positions)
                                                                  : pages_other(shared, positions)};
        ret_slots[found++] = s;
    }
    kv->slots_free -= samples;
    kv->promised += need;
    return PL_OK;
}

static uint32_t page_take(struct pl_kv *kv, struct pl_kv_slot *slot)
{
    PL_ASSERT(slot->promised > 0 && kv->promised > 0 && kv->free_count >= kv->promised);
    const uint32_t page = kv->free[--kv->free_count];

    PL_ASSERT(kv->refs[page] == 0);
    slot->promised--;
    kv->promised--;
    kv->refs[page] = 1;
    return page;
}

static struct pl_kv_slot *slot_at(struct pl_kv *kv, uint32_t slot)
{
    PL_ASSERT(slot < kv->slot_count && kv->slots[slot].claimed);
    return &kv->slots[slot];
}

void pl_kv_extend(struct pl_kv *kv, uint32_t slot, size_t positions)
{
    struct pl_kv_slot *s = slot_at(kv, slot);
    uint32_t *table = kv->tables + slot * kv->table_len;

    PL_ASSERT(pl_kv_pages_for(positions) <= kv->table_len);
    while (s->held < pl_kv_pages_for(positions))
        table[s->held++] = page_take(kv, s);
}

static void page_copy(const struct pl_pages *pages, uint32_t to, uint32_t from)
{
    const size_t bytes = pages->kv_heads * pl_page_floats(pages->head_dim) * sizeof(float);

    for (size_t layer = 0; layer < pages->layers; layer++)
        memcpy(pl_page_at(pages, layer, to, 0), pl_page_at(pages, layer, from, 0), bytes);
}

void pl_kv_fork(struct pl_kv *kv, uint32_t from, uint32_t to, size_t positions)
{
    const struct pl_kv_slot *src = slot_at(kv, from);
    struct pl_kv_slot *dst = slot_at(kv, to);
    const uint32_t *from_table = pl_kv_table(kv, from);
    uint32_t *to_table = kv->tables + to * kv->table_len;

    PL_ASSERT(from != to && dst->held == 0 && pl_kv_pages_for(positions) <= src->held);
    for (; dst->held < positions / PL_PAGE; dst->held++) {
        to_table[dst->held] = from_table[dst->held];
        kv->refs[from_table[dst->held]]++;
    }
    if (positions % PL_PAGE) {
        to_table[dst->held] = page_take(kv, dst);
        page_copy(&kv->pages, to_table[dst->held], from_table[dst->held]);
        dst->held++;
    }
}

/* Drop all but the first `held` pages, and the promise of more. */
static void shrink(struct pl_kv *kv, struct pl_kv_slot *s, const uint32_t *table, size_t held)
{
    while (s->held > held) {
        const uint32_t page = table[--s->held];

        PL_ASSERT(kv->refs[page] > 0);
        if (--kv->refs[page] == 0)
            kv->free[kv->free_count++] = page;
    }
    kv->promised -= s->promised;
    s->promised = 0;
}

int pl_kv_adopt(struct pl_kv *kv, uint32_t slot, size_t positions, size_t positions_max)
{
    struct pl_kv_slot *s = slot_at(kv, slot);
    const uint32_t *table = pl_kv_table(kv, slot);
    const size_t held = pl_kv_pages_for(positions), most = pl_kv_pages_for(positions_max);

    PL_ASSERT(positions <= positions_max && most <= kv->table_len && held <= s->held);
    for (size_t i = 0; i < s->held; i++)
        PL_ASSERT(kv->refs[table[i]] == 1);
    shrink(kv, s, table, held);
    if (most - held > kv->free_count - kv->promised)
        return PL_EFULL;
    s->promised = most - held;
    kv->promised += s->promised;
    return PL_OK;
}

void pl_kv_scrub(struct pl_kv *kv, uint32_t slot)
{
    const struct pl_kv_slot *s = slot_at(kv, slot);
    const uint32_t *table = pl_kv_table(kv, slot);
    const size_t bytes = kv->pages.kv_heads * pl_page_floats(kv->pages.head_dim) * sizeof(float);

    for (size_t i = 0; i < s->held; i++)
        for (size_t layer = 0; kv->refs[table[i]] == 1 && layer < kv->pages.layers; layer++)
            memset(pl_page_at(&kv->pages, layer, table[i], 0), 0, bytes);
}

void pl_kv_release(struct pl_kv *kv, uint32_t slot)
{
    struct pl_kv_slot *s = slot_at(kv, slot);

    shrink(kv, s, pl_kv_table(kv, slot), 0);
    s->claimed = 0;
    kv->slots_free++;
}

void pl_kv_verify(const struct pl_kv *kv)
{
    size_t references = 0, promised = 0, unclaimed = 0, unused = 0, counted = 0;

    for (size_t s = 0; s < kv->slot_count; s++) {
        const struct pl_kv_slot *slot = &kv->slots[s];

        PL_ASSERT(slot->held <= kv->table_len);
        PL_ASSERT(slot->claimed || (slot->held == 0 && slot->promised == 0));
        for (size_t i = 0; i < slot->held; i++)
            PL_ASSERT(kv->refs[pl_kv_table(kv, (uint32_t)s)[i]] > 0);
        references += slot->held;
        promised += slot->promised;
        unclaimed += !slot->claimed;
    }
    for (size_t page = 0; page < kv->pages.count; page++) {
        counted += kv->refs[page];
        unused += kv->refs[page] == 0;
    }
    for (size_t i = 0; i < kv->free_count; i++)
        PL_ASSERT(kv->refs[kv->free[i]] == 0);
    PL_ASSERT(references == counted && unused == kv->free_count);
    PL_ASSERT(promised == kv->promised && promised <= kv->free_count);
    PL_ASSERT(unclaimed == kv->slots_free);
}
