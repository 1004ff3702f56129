/*
 * Which version of the policy drew which tokens of a group whose weights were changed while it
 * grew. Entries are added at each change; of a sample they are lengths that never fall, and the
 * tokens behind the last one are the version's that goes on.
 */
#ifndef PL_ACTOR_LINEAGE_H
#define PL_ACTOR_LINEAGE_H

#include <stddef.h>
#include <stdint.h>

struct pl_lineage { /* zeroed: nothing was changed yet */
    size_t samples, count;
    uint64_t *versions; /* (count) */
    size_t *lens;       /* (count, samples) */
};

/* From now on another version draws: what there is up to lens[s] of sample s is `version`'s, or of
 * those added before. `samples` is the same each time. PL_ENOMEM. */
int pl_lineage_add(struct pl_lineage *lineage, uint64_t version, size_t samples,
                   const size_t *lens);
void pl_lineage_release(struct pl_lineage *lineage);

/*
 * The versions of a sample's `len` tokens, of which `last` drew what is not noted: one for each, or
 * a single one that drew them all. How many were written to out (len, at least 1).
 */
size_t pl_lineage_versions(const struct pl_lineage *lineage, size_t sample, size_t len,
                           uint64_t last, uint64_t *out);

#endif
