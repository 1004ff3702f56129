/* The live screen: what it says of a made-up run, that it fits, and how it is drawn in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/view/screen.h"

#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct pl_overview o;
static struct pl_history_eval evals[40];
static struct pl_survey_worker workers[8];
static struct pl_survey_batch batches[8];
static struct pl_survey_reason reasons[2];

static void add_batch(const char *name, const char *state, uint64_t rollouts, uint64_t scored)
{
    struct pl_survey_batch *b = &o.survey.batches[o.survey.batch_count++];

    *b = (struct pl_survey_batch){.expected = 16, .rollouts = rollouts, .scored = scored};
    strcpy(b->name, name);
    strcpy(b->state, state);
}

/* A run at work, of which the learner waits. */
static void make_run(void)
{
    o = (struct pl_overview){
        .name = "demo",
        .steps = 100,
        .step = 40,
        .redis = true,
        .pace = {.step_s = 0.5,
                 .wait_s = 0.4,
                 .reward = 1.0449,
                 .accuracy = 0.433,
                 .format = 0.98,
                 .ttfa = NAN,
                 .length = 60.2,
                 .gate = 0.8,
                 .no_signal = 0.25},
        .survey = {.state = "running",
                   .version = 41,
                   .learner = true,
                   .step_s = 0.75,
                   .workers = workers,
                   .batches = batches,
                   .reasons = reasons},
        .lease_s = 60,
        .evals = evals,
    };
    o.survey.ledger =
        (struct pl_ledger){.queued = 12, .leased = 5, .scoring = 1, .dropped = 1, .dead = 1};
    o.survey.workers[0] = (struct pl_survey_worker){
        .name = "actor-1", .role = "actor", .left_s = 180, .version = 41, .tokens_per_s = 800};
    o.survey.workers[1] = (struct pl_survey_worker){
        .name = "actor-2", .role = "actor", .left_s = 180, .version = 40, .tokens_per_s = 500};
    o.survey.workers[2] = (struct pl_survey_worker){
        .name = "rewarder-1", .role = "rewarder", .left_s = 180, .tokens_per_s = NAN};
    o.survey.worker_count = 3;
    add_batch("38", "ready", 0, 16); /* trained, and not yet in a checkpoint */
    add_batch("40", "open", 4, 8);
    add_batch("41", "open", 0, 0);
    add_batch("e40", "open", 0, 0);
    o.survey.reason_count = 1;
    strcpy(o.survey.reasons[0].text, "delivered too often");
    o.last = json_pack("{s:f, s:f, s:f, s:n, s:f, s:i, s:f}", "critic/score/mean", 1.234,
                       "interleave/accuracy", 0.457, "interleave/format_ok", 0.98,
                       "interleave/ttfa", "response_length/mean", 61.04, "interleave/gate", 1,
                       "frac_reward_zero_std", 0.125);
    for (size_t i = 0; i < 40; i++)
        evals[i] = (struct pl_history_eval){10 * i, i == 7 ? 0.5 : 0.001 * (double)i, 1, NAN};
    o.eval_count = 40;
    pl_overview_conclude(&o);
}

static void end_run(void)
{
    json_decref(o.last);
}

static void joined(const struct pl_screen_text *t, char text[8192])
{
    text[0] = '\0';
    for (size_t i = 0; i < t->count; i++) {
        strcat(text, t->lines[i].text);
        strcat(text, "\n");
    }
}

static void all_of_it_on_80_by_24(void **state)
{
    static const char want[] =
        "demo  step 40 of 100  0.75s a step  ETA 45s\n"
        "[==============================>                                              ]\n"
        "\n"
        "                last  mean of 20    sampling  1.30k tok/s, 2 actors, lag 0-1\n"
        "reward          1.23        1.04    scoring   1 rewarder\n"
        "accuracy       0.457       0.433    prompts   12 waiting, 5 leased\n"
        "format         0.980       0.980    rollouts  0 waiting, 1 leased\n"
        "ttfa               -           -    batch 40  12 of 16 sampled, 8 scored\n"
        "length          61.0        60.2    batch 41  0 of 16 sampled, 0 scored\n"
        "gate            1.00        0.80    dropped   1 group: delivered too often\n"
        "no signal       0.12        0.25\n"
        "\n"
        "evaluation  0.037 at 370  0.038 at 380  0.039 at 390  best 0.500 at 70\n"
        "waited for: The learner waits 80 % of a step for samples: 5 groups are being\n"
        "sampled, 12 wait for an actor.\n";
    struct pl_screen_text t;
    char text[8192];

    (void)state;
    make_run();
    pl_screen_compose(&o, 80, 24, &t);
    joined(&t, text);
    assert_string_equal(text, want);
    end_run();
}

static void a_figure_that_is_not_known_is_a_dash(void **state)
{
    struct pl_screen_text t;
    char text[8192];

    (void)state;
    make_run();
    evals[0].accuracy = evals[39].accuracy = NAN;
    pl_screen_compose(&o, 80, 24, &t);
    joined(&t, text);
    assert_non_null(
        strstr(text, "\nevaluation  0.037 at 370  0.038 at 380  - at 390  best 0.500 at 70\n"));
    for (size_t i = 0; i < 40; i++)
        evals[i].accuracy = NAN;
    pl_screen_compose(&o, 80, 24, &t);
    joined(&t, text);
    assert_non_null(strstr(text, "  - at 390\nwaited for:"));
    assert_null(strstr(text, "nan"));
    end_run();
}

static void before_anything_is_known(void **state)
{
    struct pl_screen_text t;
    char text[8192];

    (void)state;
    o = (struct pl_overview){.name = "demo", .steps = 100};
    o.pace.step_s = o.pace.wait_s = o.pace.tokens = o.pace.reward = o.pace.accuracy = NAN;
    o.pace.format = o.pace.ttfa = o.pace.length = o.pace.gate = o.pace.no_signal = NAN;
    strcpy(o.redis_why, "Redis at 'x': \033[31mred\xC3");
    pl_overview_conclude(&o);
    pl_screen_compose(&o, 80, 24, &t);
    joined(&t, text);
    assert_non_null(strstr(text, "demo  step 0 of 100\n[        "));
    assert_non_null(strstr(text, "reward             -           -\n"));
    assert_non_null(strstr(text, "Redis at 'x': ?[31mred?\n")); /* only what is ASCII */
    assert_null(strstr(text, "nan"));
}

/* Whatever the size: no line is too long, and the head and the sentence are there. */
static void it_fits_any_terminal(void **state)
{
    (void)state;
    make_run();
    for (size_t columns = 20; columns < 300; columns += columns < 100 ? 1 : 37)
        for (size_t rows = 1; rows < 30; rows++) {
            struct pl_screen_text t;
            bool sentence = false;

            pl_screen_compose(&o, columns, rows, &t);
            assert_in_range(t.count, 1, rows > 2 ? rows - 1 : 1);
            for (size_t i = 0; i < t.count; i++) {
                assert_in_range(strlen(t.lines[i].text), 0, columns - 1);
                sentence = sentence || strncmp(t.lines[i].text, "waited for: ", 12) == 0;
            }
            assert_memory_equal(t.lines[0].text, "demo  step 40", 13);
            assert_true(sentence || rows < 4);
        }
    end_run();
}

/* ---- a terminal, as far as the screen uses one ---- */

enum { ROWS = 24, COLUMNS = 80 };

static struct {
    char cells[ROWS][COLUMNS + 1];
    size_t row, column;
} term;

static void clear_from(size_t row, size_t column)
{
    memset(term.cells[row] + column, ' ', COLUMNS - column);
    for (size_t r = row + 1; r < ROWS; r++)
        memset(term.cells[r], ' ', COLUMNS);
}

static void scroll(void)
{
    memmove(term.cells[0], term.cells[1], (ROWS - 1) * sizeof term.cells[0]);
    memset(term.cells[ROWS - 1], ' ', COLUMNS);
}

static const char *escape(const char *at)
{
    char *end;
    const unsigned long n = strtoul(at + 2, &end, 10);

    assert_int_equal(at[1], '[');
    switch (*end) {
    case 'A':
        term.row -= n < term.row ? n : term.row;
        break;
    case 'K':
        memset(term.cells[term.row] + term.column, ' ', COLUMNS - term.column);
        break;
    case 'J':
        clear_from(term.row, term.column);
        break;
    default:
        assert_int_equal(*end, 'm');
    }
    return end;
}

static void show(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '\033') {
            at = escape(at);
        } else if (*at == '\r') {
            term.column = 0;
        } else if (*at == '\n') {
            if (term.row + 1 == ROWS)
                scroll();
            else
                term.row++;
        } else {
            assert_in_range(term.column, 0, COLUMNS - 1);
            term.cells[term.row][term.column++] = *at;
        }
    }
}

/* Row r, without the blanks at its end. */
static const char *row(size_t r)
{
    static char text[COLUMNS + 1];
    size_t len = COLUMNS;

    memcpy(text, term.cells[r], COLUMNS);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    text[len] = '\0';
    return text;
}

static const char *drain(int fd)
{
    static char text[1 << 16];
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static void open_terminal(int *ret_master, int *ret_slave)
{
    const struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};

    assert_int_equal(openpty(ret_master, ret_slave, NULL, NULL, &size), 0);
    assert_true(fcntl(*ret_master, F_SETFL, O_NONBLOCK) >= 0);
    memset(term.cells, ' ', sizeof term.cells);
    term.row = term.column = 0;
}

static void say(int fd, const char *line)
{
    assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
}

static void it_is_drawn_in_place_below_what_is_said(void **state)
{
    struct pl_screen screen;
    int master, slave;

    (void)state;
    make_run();
    setenv("NO_COLOR", "1", 1);
    open_terminal(&master, &slave);
    pl_screen_begin(&screen, slave);
    say(slave, "$ plait up\n");
    for (int i = 0; i < 30; i++) { /* at the terminal's end it scrolls, once for each line said */
        o.step++;
        pl_screen_draw(&screen, &o);
        if (i % 3 == 0) {
            char line[32];

            pl_screen_hide(&screen);
            snprintf(line, sizeof line, "warning %d\n", i);
            say(slave, line);
            pl_screen_draw(&screen, &o);
        }
        show(drain(master));
    }
    assert_string_equal(row(8), "warning 27");
    assert_string_equal(row(7), "warning 24");
    assert_string_equal(row(9), "demo  step 70 of 100  0.75s a step  ETA 45s");
    assert_string_equal(row(23), "sampled, 12 wait for an actor.");
    for (size_t r = 0, heads = 0; r < ROWS; r++) {
        heads += strncmp(row(r), "demo", 4) == 0;
        assert_true(heads <= 1);
    }

    pl_screen_draw(&screen, &o); /* nothing is new */
    assert_string_equal(drain(master), "");
    o.eval_count = 0; /* fewer lines: none is left over */
    strcpy(o.bottleneck, "Nobody.");
    pl_screen_draw(&screen, &o);
    show(drain(master));
    assert_string_equal(row(21), "waited for: Nobody.");
    assert_string_equal(row(22), "");
    assert_string_equal(row(23), "");
    pl_screen_hide(&screen);
    pl_screen_hide(&screen);
    show(drain(master));
    assert_string_equal(row(8), "warning 27");
    for (size_t r = 9; r < ROWS; r++)
        assert_string_equal(row(r), "");
    close(master);
    close(slave);
    end_run();
}

/* A terminal that became narrower has wrapped the lines: the way back is longer. */
static void a_terminal_may_be_resized(void **state)
{
    const struct winsize narrow = {.ws_row = ROWS, .ws_col = 60};
    struct pl_screen screen;
    const char *text;
    int master, slave;

    (void)state;
    make_run();
    open_terminal(&master, &slave);
    pl_screen_begin(&screen, slave);
    pl_screen_draw(&screen, &o);
    (void)drain(master);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &narrow), 0);
    pl_screen_draw(&screen, &o);
    text = drain(master);
    /* 15 lines, of which 9 are longer than 60: the bar, 6 of both sides, evaluation, sentence. */
    assert_memory_equal(text, "\r\033[23A", 6);
    close(master);
    close(slave);
    end_run();
}

static void colour_where_it_is_wanted(void **state)
{
    struct pl_screen screen;
    const char *text;
    int master, slave;

    (void)state;
    make_run();
    setenv("TERM", "xterm", 1);
    open_terminal(&master, &slave);
    pl_screen_begin(&screen, slave);
    pl_screen_draw(&screen, &o);
    assert_null(strstr(drain(master), "\033[1m"));
    unsetenv("NO_COLOR");
    pl_screen_begin(&screen, slave);
    pl_screen_draw(&screen, &o);
    text = drain(master);
    assert_non_null(strstr(text, "\033[1mdemo  step 40"));
    assert_null(strstr(text, "\033[31m"));
    o.redis = false;
    strcpy(o.redis_why, "Redis is away");
    pl_screen_draw(&screen, &o);
    assert_non_null(strstr(drain(master), "\033[31mRedis is away\033[0m"));
    close(master);
    close(slave);
    end_run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_on_80_by_24),
        cmocka_unit_test(a_figure_that_is_not_known_is_a_dash),
        cmocka_unit_test(before_anything_is_known),
        cmocka_unit_test(it_fits_any_terminal),
        cmocka_unit_test(it_is_drawn_in_place_below_what_is_said),
        cmocka_unit_test(a_terminal_may_be_resized),
        cmocka_unit_test(colour_where_it_is_wanted),
    };

    unsetenv("COLUMNS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
