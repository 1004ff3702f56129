/*
 * Progress of long work on standard error.
 *
 * On a terminal: one line, redrawn at most ten times a second and wiped at the end,
 *
 *   train  [=======>            ]  40/100  12.3k tok/s  ETA 1:05  loss 0.123
 *
 * shortened to the terminal's width; plain ASCII, colour only where NO_COLOR and TERM allow it.
 * Elsewhere: a short line after 2 s and then every 10 s (line_s). Work that is over within 2 s
 * shows nothing at all.
 *
 * One thread owns a progress. Nothing here fails: what cannot be written is not written.
 */
#ifndef PL_APP_PROGRESS_H
#define PL_APP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_progress_opts {
    const char *what; /* a short word in front, borrowed */
    const char *unit; /* of `amount`, "tok": shows "tok/s"; NULL: no rate */
    uint64_t done,
        total;     /* steps done before the start (resumed), steps in all; total 0: unknown */
    int fd;        /* 0 stands for standard error */
    bool quiet;    /* show nothing */
    bool percent;  /* steps are a measure of work and mean nothing: "40.0 %", not "40/100" */
    double line_s; /* elsewhere: seconds between lines; 0: 10 */
    double (*now)(void *at); /* seconds that never go back; NULL: CLOCK_MONOTONIC */
    void *now_at;
};

struct pl_progress {
    struct pl_progress_opts opts;
    double started_s, shown_s; /* shown_s < 0: nothing shown yet */
    uint64_t done, amount;
    bool tty, color, drawn; /* drawn: a bar stands on the line */
};

void pl_progress_begin(struct pl_progress *progress, const struct pl_progress_opts *opts);

/*
 * `done` of the total steps are done, and `amount` units since the start. The note ("loss 0.123")
 * may be NULL. Cheap when it is not yet time to draw again.
 */
void pl_progress_update(struct pl_progress *progress, uint64_t done, uint64_t amount,
                        const char *note);

/* Wipe the bar, so that a line of other output can be written; the next update draws it again. */
void pl_progress_hide(struct pl_progress *progress);

/* Wipe the bar for good. Calling it twice is harmless. */
void pl_progress_end(struct pl_progress *progress);

double pl_progress_elapsed_s(const struct pl_progress *progress);

#endif
