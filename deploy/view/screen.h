/*
 * The live screen of `plait up`: how the run stands, as some lines at the bottom of the terminal
 * that are drawn again in place. What else is to be written goes above them: pl_screen_hide(),
 * write it, draw again.
 *
 *   demo  step 40 of 100  0.75s a step  ETA 45s
 *   [==============================>                                              ]
 *
 *                   last  mean of 20    sampling  1.30k tok/s, 2 actors, lag 0-1
 *   reward          1.23        1.04    scoring   1 rewarder
 *   accuracy       0.457       0.433    prompts   12 waiting, 5 leased
 *   ...
 *   evaluation  0.310 at 20  0.352 at 30  best 0.352 at 30
 *   waited for: The learner waits 80 % of a step for samples: ...
 *
 * It fits the terminal: lines are cut to its width, and where it is low the least important ones
 * are left out. Plain ASCII; colour only where NO_COLOR and TERM allow it. Nothing here fails: what
 * cannot be written is not.
 */
#ifndef PL_VIEW_SCREEN_H
#define PL_VIEW_SCREEN_H

#include "deploy/view/overview.h"

#include <stdbool.h>
#include <stddef.h>

enum { PL_SCREEN_ROWS_MAX = 32, PL_SCREEN_COLUMNS_MAX = 160 };

enum pl_screen_look { PL_SCREEN_PLAIN, PL_SCREEN_BOLD, PL_SCREEN_DIM, PL_SCREEN_RED };

struct pl_screen_text {
    struct pl_screen_line {
        char text[PL_SCREEN_COLUMNS_MAX + 1];
        enum pl_screen_look look;
        int rank; /* lines of the highest are left out first */
    } lines[PL_SCREEN_ROWS_MAX];
    size_t count;
};

/* What stands on a terminal of that size, of which it leaves the last row and column free. A pure
 * function. */
void pl_screen_compose(const struct pl_overview *overview, size_t columns, size_t rows,
                       struct pl_screen_text *ret_text);

struct pl_screen {
    int fd;
    bool color;
    struct pl_screen_text shown; /* count 0: nothing */
    size_t columns;              /* when it was drawn */
};

void pl_screen_begin(struct pl_screen *screen, int fd);
void pl_screen_draw(struct pl_screen *screen, const struct pl_overview *overview);
void pl_screen_hide(struct pl_screen *screen); /* harmless where nothing is shown */

#endif
