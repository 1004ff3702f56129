#include "common/text/words.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdlib.h>

void pl_words_init(struct pl_words *words, size_t words_max)
{
    PL_ASSERT(words_max >= 16 && words_max < INT32_MAX);
    *words = (struct pl_words){.words_max = words_max};
}

void pl_words_release(struct pl_words *words)
{
    pl_dict_release(&words->dict);
    free(words->counts);
    *words = (struct pl_words){.words_max = words->words_max};
}

static int smaller_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The count over which at most half of the words are. */
static int cut_of(const struct pl_words *words, uint64_t *ret_cut)
{
    const size_t n = words->dict.count;
    uint64_t *sorted = malloc(n * sizeof *sorted);

    if (!sorted)
        return PL_ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = words->counts[i];
    qsort(sorted, n, sizeof *sorted, smaller_first);
    *ret_cut = sorted[n / 2];
    free(sorted);
    return PL_OK;
}

static int put(struct pl_words *words, const char *word, size_t len, uint64_t times)
{
    size_t entry;
    bool added;
    const int rc = pl_dict_add(&words->dict, word, len, &entry, &added);

    if (rc < 0)
        return PL_ENOMEM;
    if (entry >= words->cap) {
        const size_t cap = words->cap ? words->cap * 2 : 1024;
        uint64_t *counts = realloc(words->counts, cap * sizeof *counts);

        if (!counts)
            return PL_ENOMEM;
        words->counts = counts;
        words->cap = cap;
    }
    if (added)
        words->counts[entry] = 0;
    words->counts[entry] += times;
    return PL_OK;
}

static int forget(struct pl_words *words)
{
    struct pl_words kept = {.words_max = words->words_max,
                            .total = words->total,
                            .forgotten = words->forgotten,
                            .too_long = words->too_long};
    uint64_t cut;
    int rc = cut_of(words, &cut);

    for (size_t i = 0; rc == PL_OK && i < words->dict.count; i++) {
        size_t len;
        const char *word = pl_dict_key(&words->dict, i, &len);

        if (words->counts[i] > cut)
            rc = put(&kept, word, len, words->counts[i]);
        else
            kept.forgotten += words->counts[i];
    }
    if (rc < 0) {
        pl_words_release(&kept);
        return rc;
    }
    pl_words_release(words);
    *words = kept;
    return PL_OK;
}

int pl_words_add(struct pl_words *words, const char *word, size_t len)
{
    int rc;

    if (len > PL_WORD_BYTES_MAX) {
        words->too_long++;
        return PL_OK;
    }
    rc = put(words, word, len, 1);
    if (rc < 0)
        return rc;
    words->total++;
    return words->dict.count > words->words_max ? forget(words) : PL_OK;
}
