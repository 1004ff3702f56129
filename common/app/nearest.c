#include "common/app/nearest.h"

#include <stdbool.h>
#include <string.h>

enum { WORD_MAX = 63 };

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t length(const char *word)
{
    return strnlen(word, WORD_MAX);
}

size_t pl_edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    const size_t a_len = length(a), b_len = length(b);

    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = min2(last[j] + 1, now[j - 1] + 1);
            now[j] = min2(now[j], last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min2(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

void pl_nearest_offer(struct pl_nearest *nearest, const char *candidate)
{
    const size_t typed_len = length(nearest->word), len = length(candidate);
    const size_t longer = typed_len > len ? typed_len : len;
    size_t distance = pl_edit_distance(nearest->word, candidate);
    bool near = distance <= (longer < 3 ? 1 : longer / 3);

    if (typed_len >= 2 && strncmp(nearest->word, candidate, typed_len) == 0) {
        near = true;
        distance = min2(distance, 1);
    }
    if (near && (!nearest->best || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
