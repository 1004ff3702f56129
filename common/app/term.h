/*
 * What a terminal needs: colour decisions, width, sizes and durations for people, aligned tables.
 */
#ifndef PL_APP_TERM_H
#define PL_APP_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* In the order of the choices "auto|always|never" of a --color option. */
enum pl_color { PL_COLOR_AUTO, PL_COLOR_ALWAYS, PL_COLOR_NEVER };
#define PL_COLOR_CHOICES "auto|always|never"

/* Escape sequences, or empty strings where there is no colour. */
struct pl_style {
    const char *bold, *dim, *red, *green, *reset;
};

/*
 * Whether to colour what goes to fd. `auto` is yes on a terminal, unless NO_COLOR is set and not
 * empty or TERM is "dumb" or missing. `always` and `never` are what they say.
 */
bool pl_term_color(int fd, enum pl_color color);
struct pl_style pl_term_style(int fd, enum pl_color color);

/* True when fd is a terminal on which a line can be redrawn (TERM is set and not "dumb"). */
bool pl_term_can_redraw(int fd);

/* Columns of the terminal at fd, else COLUMNS, else 80; never under 20. */
size_t pl_term_width(int fd);

/* "812 B", "1.5 KiB", "20.3 GiB"; "12.3k", "4.56M"; "0.35s", "12s", "3:05", "2:03:05", "4d 03h". */
enum { PL_HUMAN_MAX = 24 };
const char *pl_human_bytes(char text[PL_HUMAN_MAX], uint64_t bytes);
const char *pl_human_count(char text[PL_HUMAN_MAX], double count);
const char *pl_human_seconds(char text[PL_HUMAN_MAX], double seconds);

/*
 * A table of text. `columns` has one letter each, 16 at most: 'l' left, 'r' right. Width is counted
 * in UTF-8 characters. The first row added is the heading, printed dim.
 */
struct pl_table {
    const char *columns;
    char **cells; /* rows * strlen(columns) strings, owned */
    size_t rows, cap;
};

void pl_table_init(struct pl_table *table, const char *columns);
void pl_table_release(struct pl_table *table);

/* Copies strlen(columns) cells; a NULL cell is empty. PL_ENOMEM: nothing was added. */
int pl_table_add(struct pl_table *table, const char *const *cells);

/* Write all rows, two spaces between columns and none at line ends. PL_EIO from the stream. */
int pl_table_print(const struct pl_table *table, FILE *out, enum pl_color color);

#endif
