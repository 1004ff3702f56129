#include "deploy/cmd_top.h"

#include "common/app/options.h"
#include "common/app/term.h"
#include "deploy/run_arg.h"
#include "deploy/view/terminal.h"
#include "deploy/view/top_source.h"

#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ONCE_COLUMNS = 80, KEY_MS = 100 };

struct conf {
    const char *run;
    struct pl_option_list assignments;
    bool once, json;
    double interval_s;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, run, "RUN", "folder of the run, or its configuration"),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0,
                "settings that go before the configuration's"),
    PL_OPTION_REAL(struct conf, interval_s, "interval", "SECONDS", "1", 0.2, 3600,
                   "how often it looks"),
    PL_OPTION_FLAG(struct conf, once, "once", 0, "print it once, 80 columns wide, and leave"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "with --once: one JSON object, for scripts"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to use colours"),
};

static const struct pl_command command = {
    .name = "plait top",
    .about = "Shows a run on a full screen: steps and rewards, who waits for whom, queues and "
             "batches, each worker, what happened last. It reads Redis alone, so that it works "
             "from any machine that reaches it, and changes nothing.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Keys: q quit, d dead groups, / filter, arrows scroll, ? help.\n\n"
             "While Redis does not answer it says so, and waits.\n",
};

/* What looks at the run, beside what shows it: a Redis that does not answer must not keep a key
 * from being answered. */
struct watcher {
    struct pl_top_source *source;
    double interval_s;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    struct pl_top top;
    unsigned long looks; /* since the beginning; 0: there is nothing to show yet */
    bool stop;
};

/* They own what they point to. */
static void swap(struct pl_top *a, struct pl_top *b)
{
    const struct pl_top kept = *a;

    *a = *b;
    *b = kept;
}

static void *watch(void *at)
{
    struct watcher *w = at;
    struct pl_top *top = calloc(1, sizeof *top);
    bool stop = !top;

    while (!stop) {
        pl_top_source_take(w->source, top);
        pthread_mutex_lock(&w->lock);
        swap(&w->top, top);
        w->looks++;
        stop = w->stop;
        pthread_mutex_unlock(&w->lock);
        for (double left = w->interval_s; !stop && left > 0.0; left -= 0.05) {
            nanosleep(&(struct timespec){0, 50000000}, NULL);
            pthread_mutex_lock(&w->lock);
            stop = w->stop;
            pthread_mutex_unlock(&w->lock);
        }
    }
    if (top)
        pl_overview_release(&top->o);
    free(top);
    return NULL;
}

/* ---- keys ---- */

static void scroll(struct pl_top_view *v, const struct pl_top_screen *screen, long rows)
{
    const long most = (long)screen->offset_max, at = (long)v->offset + rows;

    v->offset = (size_t)(at < 0 ? 0 : at > most ? most : at);
}

static void type(struct pl_top_view *v, int key)
{
    const size_t len = strlen(v->filter);

    if (key == PL_KEY_ENTER || key == PL_KEY_ESCAPE) {
        v->typing = false;
        if (key == PL_KEY_ESCAPE)
            v->filter[0] = '\0';
    } else if (key == PL_KEY_BACK && len > 0) {
        v->filter[len - 1] = '\0';
    } else if (key >= ' ' && key <= '~' && len + 1 < sizeof v->filter) {
        v->filter[len] = (char)key;
        v->filter[len + 1] = '\0';
    }
    v->offset = 0;
}

static void turn_to(struct pl_top_view *v, enum pl_top_page page)
{
    v->page = v->page == page ? PL_TOP_MAIN : page;
    v->offset = 0;
}

/* false: it is to end. */
static bool press(struct pl_top_view *v, const struct pl_top_screen *screen, int key)
{
    if (v->typing) {
        type(v, key);
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'd':
        turn_to(v, PL_TOP_DEADS);
        break;
    case '?':
    case 'h':
        turn_to(v, PL_TOP_HELP);
        break;
    case '/':
        v->typing = true;
        break;
    case PL_KEY_ESCAPE:
        if (v->filter[0])
            v->filter[0] = '\0';
        else
            v->page = PL_TOP_MAIN;
        v->offset = 0;
        break;
    case PL_KEY_UP:
    case 'k':
        scroll(v, screen, -1);
        break;
    case PL_KEY_DOWN:
    case 'j':
        scroll(v, screen, 1);
        break;
    case PL_KEY_PAGE_UP:
        scroll(v, screen, -10);
        break;
    case PL_KEY_PAGE_DOWN:
    case ' ':
        scroll(v, screen, 10);
        break;
    case PL_KEY_HOME:
        v->offset = 0;
        break;
    case PL_KEY_END:
        v->offset = screen->offset_max;
        break;
    default:
        break;
    }
    return true;
}

/* ---- the screen ---- */

static bool speaks_utf8(void)
{
    return setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Until somebody ends it. */
static void show(struct watcher *w, struct pl_terminal *terminal, bool utf8, struct pl_top *top,
                 struct pl_top_screen *screen)
{
    struct pl_top_view view = {.utf8 = utf8, .keys = true};
    unsigned long shown = 0;
    bool draw = true, again = true;
    int key = PL_KEY_NONE;

    while (again && key != PL_KEY_STOP) {
        pthread_mutex_lock(&w->lock);
        if (w->looks != shown) {
            swap(top, &w->top);
            shown = w->looks;
            draw = true;
        }
        pthread_mutex_unlock(&w->lock);
        if (draw) {
            pl_terminal_size(terminal, &view.rows, &view.columns);
            if (shown > 0)
                pl_top_compose(top, &view, screen);
            else
                *screen = (struct pl_top_screen){
                    .count = 1, .lines = {{"looking at the run ...", PL_TOP_DIM, 0}}};
            pl_terminal_draw(terminal, screen);
        }
        key = pl_terminal_key(terminal, KEY_MS);
        draw = key != PL_KEY_NONE;
        again = key == PL_KEY_NONE || press(&view, screen, key);
    }
}

static int live(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    const bool utf8 = speaks_utf8(); /* before the terminal is opened: ncurses goes by it */
    struct watcher *w = calloc(1, sizeof *w);
    struct pl_top *top = calloc(1, sizeof *top);
    struct pl_top_screen *screen = calloc(1, sizeof *screen);
    struct pl_terminal *terminal = NULL;
    int rc = w && top && screen ? pl_top_source_open(run, &w->source, err)
                                : pl_fail(err, PL_ENOMEM, "no memory to show the run");

    if (rc == PL_OK)
        rc = pl_terminal_open(conf->color == PL_COLOR_NEVER ? false
                              : conf->color == PL_COLOR_ALWAYS
                                  ? true
                                  : pl_term_color(STDOUT_FILENO, PL_COLOR_AUTO),
                              &terminal, err);
    if (rc == PL_OK) {
        w->interval_s = conf->interval_s;
        pthread_mutex_init(&w->lock, NULL);
        if (pthread_create(&w->thread, NULL, watch, w) != 0)
            rc = pl_fail(err, PL_EIO, "no thread to look at the run");
    }
    if (rc == PL_OK) {
        show(w, terminal, utf8, top, screen);
        pl_terminal_close(terminal); /* first: the other may still wait for Redis */
        terminal = NULL;
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        pthread_mutex_destroy(&w->lock);
    }
    pl_terminal_close(terminal);
    if (w) {
        pl_top_source_close(w->source);
        pl_overview_release(&w->top.o);
    }
    if (top)
        pl_overview_release(&top->o);
    free(screen);
    free(top);
    free(w);
    return rc;
}

/* ---- once ---- */

static int print_text(const struct pl_top *top, struct pl_error *err)
{
    const struct pl_top_view view = {.columns = ONCE_COLUMNS, .utf8 = speaks_utf8()};
    struct pl_top_screen *screen = calloc(1, sizeof *screen);

    if (!screen)
        return pl_fail(err, PL_ENOMEM, "no memory to print the run");
    pl_top_compose(top, &view, screen);
    for (size_t i = 0; i < screen->count; i++)
        puts(screen->lines[i].text);
    free(screen);
    return fflush(stdout) == 0 ? PL_OK : pl_fail_errno(err, "write the result");
}

static int once(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    struct pl_top_source *source = NULL;
    struct pl_top *top = calloc(1, sizeof *top);
    int rc = top ? pl_top_source_open(run, &source, err)
                 : pl_fail(err, PL_ENOMEM, "no memory to look at the run");

    if (rc == PL_OK) {
        pl_top_source_take(source, top);
        rc = conf->json ? pl_run_arg_print(pl_top_json(top), err) : print_text(top, err);
    }
    pl_top_source_close(source);
    if (top)
        pl_overview_release(&top->o);
    free(top);
    return rc;
}

/* ---- the command ---- */

static int run_top(const struct conf *conf, const struct pl_run_conf *run, struct pl_error *err)
{
    if (conf->json && !conf->once)
        return pl_fail(err, PL_EINVAL, "--json goes with --once");
    if (conf->once)
        return once(conf, run, err);
    if (!isatty(STDIN_FILENO) || !pl_term_can_redraw(STDOUT_FILENO))
        return pl_fail(err, PL_EUNSUPPORTED,
                       "this is no terminal that can be drawn on (standard input and output must "
                       "be one, and TERM must name it); --once prints what it would show");
    return live(conf, run, err);
}

int pl_cmd_top(int argc, char **argv)
{
    struct pl_run_conf run;
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = pl_run_arg_load_anywhere(conf.run, &conf.assignments, &run, &err);
    if (rc < 0) {
        status = pl_command_refused(&command, &err);
    } else {
        rc = run_top(&conf, &run, &err);
        pl_run_conf_release(&run);
        status = pl_command_ended(&command, rc, &err);
    }
    pl_options_release(&command, &conf);
    return status;
}
