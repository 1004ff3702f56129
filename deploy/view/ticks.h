/*
 * Where an axis has its ticks, and how they are written: steps of 1, 2 or 5 times a power of ten,
 * on a log axis powers of ten, with 2 and 5 in between where there is room. Pure functions.
 */
#ifndef PL_VIEW_TICKS_H
#define PL_VIEW_TICKS_H

#include <stdbool.h>
#include <stddef.h>

enum { PL_TICKS_MAX = 16, PL_TICK_TEXT = 16 };

struct pl_ticks {
    double at[PL_TICKS_MAX]; /* ascending, within [least, most] */
    size_t count;
    double step;        /* 0 on a log axis */
    double least, most; /* what the axis shows; least < most, both finite */
    bool log;
};

struct pl_ticks_ask {
    double least, most; /* of the data; not finite or in no order: an axis from 0 to 1 */
    size_t about;       /* how many ticks, more or less */
    bool whole;         /* steps of 1 at least */
    bool loose;         /* the axis ends at ticks; else where the data end */
    bool log;           /* least <= 0 is taken as most / 1000 */
};

void pl_ticks_find(const struct pl_ticks_ask *ask, struct pl_ticks *ret_ticks);

/* Where a value lies on the axis, 0 to 1; what lies beyond an end is at that end. */
double pl_ticks_place(const struct pl_ticks *ticks, double value);

/* A number as short as the axis allows: "0.25", "-1.5", "20k", "3M", "2e-05". */
const char *pl_ticks_text(const struct pl_ticks *ticks, double value, char text[PL_TICK_TEXT]);

/* A number in a table or beside a bar: four digits that count; "-" where it is not finite. */
const char *pl_number_text(double value, char text[PL_TICK_TEXT]);

#endif
