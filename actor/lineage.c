#include "actor/lineage.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

int pl_lineage_add(struct pl_lineage *lineage, uint64_t version, size_t samples, const size_t *lens)
{
    struct pl_lineage *l = lineage;
    uint64_t *versions;
    size_t *more;

    PL_ASSERT(l->count == 0 || (l->samples == samples && l->versions[l->count - 1] <= version));
    versions = realloc(l->versions, (l->count + 1) * sizeof *versions);
    if (!versions)
        return PL_ENOMEM;
    l->versions = versions;
    more = realloc(l->lens, (l->count + 1) * samples * sizeof *more);
    if (!more)
        return PL_ENOMEM;
    l->lens = more;
    l->samples = samples;
    l->versions[l->count] = version;
    memcpy(l->lens + l->count * samples, lens, samples * sizeof *lens);
    l->count++;
    return PL_OK;
}

void pl_lineage_release(struct pl_lineage *lineage)
{
    free(lineage->versions);
    free(lineage->lens);
    *lineage = (struct pl_lineage){0};
}

size_t pl_lineage_versions(const struct pl_lineage *lineage, size_t sample, size_t len,
                           uint64_t last, uint64_t *out)
{
    size_t t = 0;

    for (size_t i = 0; i < lineage->count; i++) {
        const size_t end = lineage->lens[i * lineage->samples + sample];

        PL_ASSERT(end <= len);
        while (t < end)
            out[t++] = lineage->versions[i];
    }
    while (t < len)
        out[t++] = last;
    return out[0] == out[len - 1] ? 1 : len;
}
