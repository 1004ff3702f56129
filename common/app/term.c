#include "common/app/term.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 20, COLUMNS_MAX = 16 };

bool pl_term_can_redraw(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && term && term[0] && strcmp(term, "dumb") != 0;
}

bool pl_term_color(int fd, enum pl_color color)
{
    const char *none = getenv("NO_COLOR");

    if (color != PL_COLOR_AUTO)
        return color == PL_COLOR_ALWAYS;
    return !(none && none[0]) && pl_term_can_redraw(fd);
}

struct pl_style pl_term_style(int fd, enum pl_color color)
{
    if (!pl_term_color(fd, color))
        return (struct pl_style){.bold = "", .dim = "", .red = "", .green = "", .reset = ""};
    return (struct pl_style){.bold = "\033[1m",
                             .dim = "\033[2m",
                             .red = "\033[31m",
                             .green = "\033[32m",
                             .reset = "\033[0m"};
}

size_t pl_term_width(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    long width = 0;

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    else if (columns)
        width = strtol(columns, NULL, 10);
    if (width <= 0 || width > 100000)
        width = WIDTH_DEFAULT;
    return width < WIDTH_LEAST ? WIDTH_LEAST : (size_t)width;
}

const char *pl_human_bytes(char text[PL_HUMAN_MAX], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1023.95 && unit < 6) { /* 1023.95 would be printed as 1024.0 */
        value /= 1024.0;
        unit++;
    }
    snprintf(text, PL_HUMAN_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *pl_human_count(char text[PL_HUMAN_MAX], double count)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    size_t unit = 0;

    while (fabs(count) >= 999.5 && unit < 5) {
        count /= 1000.0;
        unit++;
    }
    if (!isfinite(count) || fabs(count) >= 1e6)
        snprintf(text, PL_HUMAN_MAX, "%.3g", count);
    else if (fabs(count) >= 99.95 || (unit == 0 && count == floor(count)))
        snprintf(text, PL_HUMAN_MAX, "%.0f%s", count, units[unit]);
    else
        snprintf(text, PL_HUMAN_MAX, fabs(count) >= 9.995 ? "%.1f%s" : "%.2f%s", count,
                 units[unit]);
    return text;
}

const char *pl_human_seconds(char text[PL_HUMAN_MAX], double seconds)
{
    unsigned long long whole;

    if (!(seconds >= 0 && seconds < 1e9))
        snprintf(text, PL_HUMAN_MAX, "?");
    else if (seconds < 9.995)
        snprintf(text, PL_HUMAN_MAX, "%.2fs", seconds);
    else if (seconds < 59.5)
        snprintf(text, PL_HUMAN_MAX, "%.0fs", seconds);
    else {
        whole = (unsigned long long)(seconds + 0.5);
        if (whole < 3600)
            snprintf(text, PL_HUMAN_MAX, "%llu:%02llu", whole / 60, whole % 60);
        else if (whole < 86400)
            snprintf(text, PL_HUMAN_MAX, "%llu:%02llu:%02llu", whole / 3600, whole / 60 % 60,
                     whole % 60);
        else
            snprintf(text, PL_HUMAN_MAX, "%llud %02lluh", whole / 86400, whole / 3600 % 24);
    }
    return text;
}

void pl_table_init(struct pl_table *table, const char *columns)
{
    PL_ASSERT(columns[0] && strlen(columns) <= COLUMNS_MAX);
    *table = (struct pl_table){.columns = columns};
}

void pl_table_release(struct pl_table *table)
{
    const size_t count = table->cells ? table->rows * strlen(table->columns) : 0;

    for (size_t i = 0; i < count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct pl_table){.columns = table->columns};
}

static int grow(struct pl_table *table)
{
    const size_t cap = table->cap ? table->cap * 2 : 16;
    char **cells = reallocarray(table->cells, cap * strlen(table->columns), sizeof *cells);

    if (!cells)
        return PL_ENOMEM;
    table->cells = cells;
    table->cap = cap;
    return PL_OK;
}

int pl_table_add(struct pl_table *table, const char *const *cells)
{
    const size_t columns = strlen(table->columns);
    char **row;

    if (table->rows == table->cap && grow(table) < 0)
        return PL_ENOMEM;
    row = table->cells + table->rows * columns;
    for (size_t i = 0; i < columns; i++) {
        row[i] = strdup(cells[i] ? cells[i] : "");
        if (!row[i]) {
            while (i > 0)
                free(row[--i]);
            return PL_ENOMEM;
        }
    }
    table->rows++;
    return PL_OK;
}

/* Characters of UTF-8: bytes that do not continue one. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct pl_table *table, size_t columns, size_t column)
{
    size_t widest = 0;

    for (size_t row = 0; row < table->rows; row++) {
        const size_t width = text_width(table->cells[row * columns + column]);

        widest = width > widest ? width : widest;
    }
    return widest;
}

static void print_row(const struct pl_table *table, size_t row, const size_t *widths, FILE *out)
{
    const size_t columns = strlen(table->columns);
    size_t owed = 0; /* spaces that are printed only when something follows */

    for (size_t i = 0; i < columns; i++) {
        const char *cell = table->cells[row * columns + i];
        const size_t space = widths[i] - text_width(cell);
        const size_t left = table->columns[i] == 'r' ? space : 0;

        owed += left;
        if (cell[0]) {
            fprintf(out, "%*s%s", (int)owed, "", cell);
            owed = 0;
        }
        owed += space - left + 2;
    }
}

int pl_table_print(const struct pl_table *table, FILE *out, enum pl_color color)
{
    const struct pl_style style = pl_term_style(fileno(out), color);
    const size_t columns = strlen(table->columns);
    size_t widths[COLUMNS_MAX];

    for (size_t i = 0; i < columns; i++)
        widths[i] = column_width(table, columns, i);
    for (size_t row = 0; row < table->rows; row++) {
        fputs(row == 0 ? style.dim : "", out);
        print_row(table, row, widths, out);
        fputs(row == 0 ? style.reset : "", out);
        fputc('\n', out);
    }
    return ferror(out) ? PL_EIO : PL_OK;
}
