/*
 * A terminal that is drawn on as a whole, through ncurses. Whatever ends the process, the terminal
 * is as it was: also where an assertion fails or a signal kills it, but for SIGKILL.
 */
#ifndef PL_VIEW_TERMINAL_H
#define PL_VIEW_TERMINAL_H

#include "common/base/err.h"
#include "deploy/view/top.h"

/* Beside the characters themselves. */
enum pl_key {
    PL_KEY_NONE = 0, /* nothing was pressed */
    PL_KEY_STOP = 1, /* a signal asks to end, or the terminal is gone */
    PL_KEY_BACK = 8,
    PL_KEY_ENTER = 10,
    PL_KEY_ESCAPE = 27,
    PL_KEY_UP = 0x1000,
    PL_KEY_DOWN,
    PL_KEY_PAGE_UP,
    PL_KEY_PAGE_DOWN,
    PL_KEY_HOME,
    PL_KEY_END,
    PL_KEY_SIZE, /* it has another size by now */
};

struct pl_terminal;

/* On standard input and output. PL_EUNSUPPORTED: TERM names none that is known. */
int pl_terminal_open(bool color, struct pl_terminal **ret_terminal, struct pl_error *err);
void pl_terminal_close(struct pl_terminal *terminal); /* NULL is fine */

void pl_terminal_size(struct pl_terminal *terminal, size_t *ret_rows, size_t *ret_columns);

/* All of it; lines that are not there are empty. */
void pl_terminal_draw(struct pl_terminal *terminal, const struct pl_top_screen *screen);

/* Waits for a key, `ms` at most. */
int pl_terminal_key(struct pl_terminal *terminal, int ms);

#endif
