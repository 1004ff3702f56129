#include "deploy/view/terminal.h"

#include "common/app/signals.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PAIR_RED = 1, PAIR_TITLE, ESCAPE_MS = 50 };

struct pl_terminal {
    SCREEN *screen;
    bool color;
};

/* ---- the worst ---- */

static struct termios before;
static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGHUP, SIGQUIT};

/* Only what may be done in a signal's handler: colours off, cursor on, the other screen. */
static void give_back(int signal_number)
{
    static const char reset[] = "\033[0m\033[?25h\033[?1049l\r\n";
    const ssize_t n = write(STDOUT_FILENO, reset, sizeof reset - 1);

    (void)n;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void guard(void (*handler)(int))
{
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], handler);
}

/* ---- opening ---- */

int pl_terminal_open(bool color, struct pl_terminal **ret_terminal, struct pl_error *err)
{
    struct pl_terminal *t = calloc(1, sizeof *t);

    if (!t)
        return pl_fail(err, PL_ENOMEM, "no memory for the terminal");
    tcgetattr(STDIN_FILENO, &before);
    t->screen = newterm(NULL, stdout, stdin);
    if (!t->screen) {
        free(t);
        return pl_fail(err, PL_EUNSUPPORTED,
                       "TERM is '%.40s', a terminal that ncurses does not know; --once prints what "
                       "would be shown",
                       getenv("TERM") ? getenv("TERM") : "");
    }
    pl_signals_catch();
    guard(give_back);
    set_term(t->screen);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    curs_set(0);
    t->color = color && has_colors() && start_color() == OK;
    if (t->color) {
        use_default_colors();
        init_pair(PAIR_RED, COLOR_RED, -1);
        init_pair(PAIR_TITLE, COLOR_CYAN, -1);
    }
    *ret_terminal = t;
    return PL_OK;
}

void pl_terminal_close(struct pl_terminal *terminal)
{
    if (!terminal)
        return;
    endwin();
    delscreen(terminal->screen);
    guard(SIG_DFL);
    free(terminal);
}

/* ---- drawing ---- */

void pl_terminal_size(struct pl_terminal *terminal, size_t *ret_rows, size_t *ret_columns)
{
    int rows, columns;

    (void)terminal;
    getmaxyx(stdscr, rows, columns);
    *ret_rows = rows > 0 ? (size_t)rows : 24;
    *ret_columns = columns > 0 ? (size_t)columns : 80;
}

static attr_t attributes(const struct pl_terminal *t, enum pl_top_look look)
{
    switch (look) {
    case PL_TOP_BOLD:
        return A_BOLD;
    case PL_TOP_DIM:
        return t->color ? A_DIM : A_UNDERLINE;
    case PL_TOP_RED:
        return t->color ? COLOR_PAIR(PAIR_RED) : A_BOLD;
    case PL_TOP_TITLE:
        return t->color ? A_BOLD | COLOR_PAIR(PAIR_TITLE) : A_BOLD;
    case PL_TOP_FOOT:
        return A_REVERSE;
    default:
        return A_NORMAL;
    }
}

void pl_terminal_draw(struct pl_terminal *terminal, const struct pl_top_screen *screen)
{
    size_t rows, columns;

    pl_terminal_size(terminal, &rows, &columns);
    erase();
    for (size_t i = 0; i < screen->count && i < rows; i++) {
        const struct pl_top_line *line = &screen->lines[i];
        const attr_t look = attributes(terminal, line->look);

        attrset(look);
        if (line->look == PL_TOP_FOOT)
            mvhline((int)i, 0, (chtype)' ' | look, (int)columns);
        mvaddstr((int)i, 0, line->text);
        if (line->red_from > 0) {
            attrset(A_BOLD | attributes(terminal, PL_TOP_RED));
            mvaddstr((int)i, (int)line->red_from, line->text + line->red_from);
        }
    }
    attrset(A_NORMAL);
    refresh();
}

/* ---- keys ---- */

int pl_terminal_key(struct pl_terminal *terminal, int ms)
{
    int key;

    (void)terminal;
    if (pl_signals_stop())
        return PL_KEY_STOP;
    timeout(ms);
    errno = 0;
    key = getch();
    switch (key) {
    case ERR: /* nothing in time, or nobody is there any more */
        return pl_signals_stop() || !isatty(STDIN_FILENO) ? PL_KEY_STOP : PL_KEY_NONE;
    case KEY_RESIZE:
        return PL_KEY_SIZE;
    case KEY_UP:
        return PL_KEY_UP;
    case KEY_DOWN:
        return PL_KEY_DOWN;
    case KEY_PPAGE:
        return PL_KEY_PAGE_UP;
    case KEY_NPAGE:
        return PL_KEY_PAGE_DOWN;
    case KEY_HOME:
        return PL_KEY_HOME;
    case KEY_END:
        return PL_KEY_END;
    case KEY_BACKSPACE:
    case 127:
    case '\b':
        return PL_KEY_BACK;
    case KEY_ENTER:
    case '\r':
    case '\n':
        return PL_KEY_ENTER;
    default:
        return key > 1 && key < 0x100 ? key : PL_KEY_SIZE;
    }
}
