/*
 * The known word nearest to one that was mistyped, for errors that end in "did you mean ...?".
 */
#ifndef PL_APP_NEAREST_H
#define PL_APP_NEAREST_H

#include <stddef.h>

/*
 * Edits (insert, delete, replace, swap of neighbours) that turn a into b. Words over 63 bytes are
 * compared by their first 63.
 */
size_t pl_edit_distance(const char *a, const char *b);

/* Tracks the best candidate seen. Begin with {.word = typed}; `best` stays NULL until one is near.
 */
struct pl_nearest {
    const char *word; /* what was typed, borrowed */
    const char *best; /* nearest candidate so far, borrowed */
    size_t distance;  /* of best */
};

/* A candidate counts when at most a third of the longer word (and at least one letter) must change,
 * or when the typed word is the beginning of it. */
void pl_nearest_offer(struct pl_nearest *nearest, const char *candidate);

#endif
