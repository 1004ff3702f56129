/*
 * The stream `events` of a run: what happened to groups, batches and actors, as the functions of
 * Redis noted it. The newest some hundred are there.
 */
#ifndef PL_LINK_NEWS_H
#define PL_LINK_NEWS_H

#include "common/link/reader.h"

#include <stddef.h>

/* Texts are not to be trusted; they are cut, and logfmt.h escapes what steers a terminal. */
struct pl_news {
    double at_s;    /* since 1970, by the clock of Redis */
    char event[24]; /* "ready", "buried", "unmade", "quarantined", "retried", "dropped", ... */
    char group[48]; /* "12:3"; "": it is not about one */
    char batch[32]; /* "12", the group's too; "" */
    char text[512]; /* all but the event, as a line of the log has it */
};

/*
 * Call `each` for the newest `most`, the oldest of them first. What `each` returns other than PL_OK
 * ends it and is returned. PL_EIO: Redis does not answer, or not so.
 */
int pl_news_each(struct pl_reader *reader, size_t most,
                 int (*each)(void *at, const struct pl_news *news), void *at, struct pl_error *err);

#endif
