/* The screens of `plait top`: what they say of a made-up run, that they fit any terminal, and that
 * texts of others are harmless on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/view/top.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pl_top top;
static struct pl_survey_worker workers[512];
static struct pl_survey_batch batches[64];
static struct pl_survey_holder holders[8];
static struct pl_survey_barred barred[8];
static struct pl_top_screen screen;
static char text[PL_TOP_ROWS * PL_TOP_BYTES];

static void add_batch(const char *name, const char *state, uint64_t rollouts, uint64_t scored,
                      int gate)
{
    struct pl_survey_batch *b = &top.o.survey.batches[top.o.survey.batch_count++];

    *b = (struct pl_survey_batch){.expected = 16,
                                  .rollouts = rollouts,
                                  .scored = scored,
                                  .samples = 4 * scored,
                                  .right = scored,
                                  .gate = gate};
    strcpy(b->name, name);
    strcpy(b->state, state);
}

static struct pl_survey_worker *add_worker(const char *name, const char *role)
{
    struct pl_survey_worker *w = &top.o.survey.workers[top.o.survey.worker_count++];

    *w = (struct pl_survey_worker){.left_s = 180.0, .tokens_per_s = NAN, .restarts = -1};
    assert_non_null(top.o.survey.workers);
    snprintf(w->name, sizeof w->name, "%s", name);
    snprintf(w->role, sizeof w->role, "%s", role);
    return w;
}

static void add_event(double at_s, const char *event, const char *words)
{
    struct pl_top_event *e = &top.events[top.event_count++];

    e->at_s = at_s;
    strcpy(e->event, event);
    strcpy(e->text, words);
}

static void make_run(void)
{
    struct pl_survey *s = &top.o.survey;
    struct pl_survey_worker *w;

    setenv("TZ", "UTC", 1);
    memset(&top, 0, sizeof top);
    top.o = (struct pl_overview){
        .name = "demo", .dir = "", .steps = 100, .step = 40, .lease_s = 60, .redis = true};
    top.o.pace = (struct pl_history_pace){.step_s = 0.5, .wait_s = 0.4};
    *s = (struct pl_survey){.state = "running",
                            .version = 41,
                            .step = 40,
                            .learner = true,
                            .workers = workers,
                            .batches = batches,
                            .holders = holders,
                            .barred = barred,
                            .step_s = 0.75,
                            .now_s = 1795583792.0,
                            .recent_count = 4,
                            .reward = {-1, 0, NAN, 1.234},
                            .accuracy = {0.25, 0.25, 0.25, 0.25}};
    s->ledger = (struct pl_ledger){
        .queued = 12, .leased = 5, .scoring = 1, .ready = 1, .dead = 2, .dropped = 3};
    s->holders[0] = (struct pl_survey_holder){PL_QUEUE_PROMPTS, "actor-1", 4, 12.5, 3.0};
    s->holders[1] = (struct pl_survey_holder){PL_QUEUE_ROLLOUTS, "rewarder-1.2", 1, 0.25, 0.25};
    s->holders[2] = (struct pl_survey_holder){PL_QUEUE_PROMPTS, "actor-2", 1, 2.5, 2.5};
    s->holder_count = 3;
    w = add_worker("actor-1", "actor");
    strcpy(w->host, "gpu-1");
    strcpy(w->http, "10.0.0.1:9640");
    w->version = 41;
    w->tokens_per_s = 800;
    w->rss_bytes = 3ull << 30;
    w->since_s = s->now_s - 185;
    w->restarts = 2;
    w->groups = 17;
    w = add_worker("actor-2", "actor");
    w->version = 39;
    w->left_s = 120.0; /* a minute ago */
    w = add_worker("rewarder-1", "rewarder");
    strcpy(s->barred[0].actor, "actor-3");
    s->barred_count = 1;
    add_worker("actor-3", "actor");
    add_batch("38", "ready", 0, 16, 1); /* trained, and not yet in a checkpoint */
    add_batch("40", "ready", 0, 16, 1);
    add_batch("41", "open", 4, 8, -1);
    add_batch("e40", "open", 0, 0, -1);
    add_event(1795583790.0, "buried", "group=39:2 worker=actor-2 reason=\"delivered too often\"");
    add_event(1795583791.0, "ready", "batch=40 gate=open accuracy=0.25");
    top.dead[0] = (struct pl_top_dead){.at_s = 1795583790.0,
                                       .group = "39:2",
                                       .where = "prompts",
                                       .worker = "actor-2",
                                       .reason = "delivered too often",
                                       .deliveries = 6};
    top.dead[1] = (struct pl_top_dead){.at_s = 1795583790.0,
                                       .group = "39:3",
                                       .where = "rollouts",
                                       .worker = "rewarder-1",
                                       .reason = "\x1b[2J\xe2\x80\xae",
                                       .deliveries = 1};
    top.dead_count = 2;
    pl_overview_conclude(&top.o);
}

static const char *composed(const struct pl_top_view *view)
{
    pl_top_compose(&top, view, &screen);
    text[0] = '\0';
    for (size_t i = 0; i < screen.count; i++) {
        strcat(text, screen.lines[i].text);
        strcat(text, "\n");
    }
    return text;
}

static bool says(const char *words)
{
    return strstr(text, words) != NULL;
}

static void assert_says(const char *words)
{
    if (!says(words))
        fail_msg("'%s' is not in:\n%s", words, text);
}

static void all_of_it_on_80_by_24(void **state)
{
    static const char want[] =
        "demo  running  step 40 of 100  ETA 45s  policy version 41\n"
        "[==================>                            ]  40 %  0.75s a step  800 tok/s\n"
        "reward \u2581\u2584 \u2588 1.23   accuracy \u2585\u2585\u2585\u2585 0.250\n"
        "waited for: The learner waits 80 % of a step for samples: 5 groups are being\n"
        "sampled, 12 wait for an actor.\n"
        "1 worker is not heard of any more: actor-2\n"
        "\n"
        "queue     waiting  leased  oldest   batch      rolled     scored  accuracy  gate\n"
        "prompts        12       5     12s   40          16/16      16/16     0.250  open\n"
        "rollouts        0       1   0.25s   41          12/16       8/16     0.250  -\n"
        "ready           1                   e40          0/16       0/16         -  -\n"
        "dead            2  dropped 3\n"
        "\n"
        "worker      role      host   state        lag  tok/s  lease   memory\n"
        "learner     learner   -      at work        -      -      -        -\n"
        "actor-1     actor     gpu-1  at work        0    800    12s  3.0 GiB\n"
        "actor-2     actor     -      silent 1:00    2      -  2.50s        -\n"
        "rewarder-1  rewarder  -      at work        -      -  0.25s        -\n"
        "actor-3     actor     -      quarantined    -      -      -        -\n"
        "\n"
        "events\n"
        "05:16:30  buried       group=39:2 worker=actor-2 reason=\"delivered too often\"\n"
        "05:16:31  ready        batch=40 gate=open accuracy=0.25\n"
        "q quit   d dead groups   / filter   ? help\n";

    (void)state;
    make_run();
    assert_string_equal(
        composed(&(struct pl_top_view){.columns = 80, .rows = 24, .utf8 = true, .keys = true}),
        want);
    assert_int_equal(screen.lines[16].look, PL_TOP_RED);
    assert_int_equal(screen.lines[18].look, PL_TOP_RED);
    assert_int_equal(screen.lines[15].look, PL_TOP_PLAIN);
    assert_int_equal(screen.lines[21].look, PL_TOP_RED);
    composed(&(struct pl_top_view){.columns = 80, .rows = 24});
    assert_says("reward _~ # 1.23   accuracy ==== 0.250\n"); /* where there is no UTF-8 */
    for (const char *at = text; *at; at++)
        assert_in_range((unsigned char)*at, '\n', '~');
}

static void more_columns_where_there_is_room(void **state)
{
    (void)state;
    make_run();
    composed(&(struct pl_top_view){.columns = 140, .rows = 40, .keys = true});
    assert_says(
        "worker      role      host   state        lag  tok/s  leased  lease   memory    up  "
        "restarts  groups  http\n");
    assert_says(
        "actor-1     actor     gpu-1  at work        0    800       4    12s  3.0 GiB  3:05  "
        "       2      17  10.0.0.1:9640\n");
    composed(&(struct pl_top_view){.columns = 40, .rows = 24, .keys = true});
    assert_says("worker     state");
    assert_false(says("memory"));
}

static void what_is_set_is_warned_of(void **state)
{
    (void)state;
    make_run();
    top.o.survey.insecure = true;
    composed(&(struct pl_top_view){.columns = 80, .rows = 24});
    assert_int_equal(strlen(screen.lines[0].text), 80);
    assert_string_equal(screen.lines[0].text + screen.lines[0].red_from, "INSECURE");
}

static void redis_is_away(void **state)
{
    (void)state;
    make_run();
    top.o.redis = false;
    strcpy(top.o.redis_why, "Redis at 'x': \033[31mConnection refused\xC3");
    pl_overview_conclude(&top.o);
    composed(&(struct pl_top_view){.columns = 80, .rows = 24, .keys = true});
    assert_says("demo  not at work  step 40 of 100\n");
    assert_says("Redis does not answer, and is asked again: Redis at 'x': \\x1b[31mConnection");
    assert_says("workers are not known while Redis is away\n");
    assert_false(says("actor-1 "));
    assert_false(says("nan"));
    assert_int_equal(screen.count, 24);
}

static void a_step_without_rewards_has_a_dash(void **state)
{
    (void)state;
    make_run();
    top.o.survey.reward[3] = top.o.survey.accuracy[3] = NAN;
    composed(&(struct pl_top_view){.columns = 80, .rows = 24});
    assert_says("reward _#   -   accuracy ===  -\n");
    assert_false(says("nan"));
}

static void nobody_is_there_yet(void **state)
{
    (void)state;
    memset(&top, 0, sizeof top);
    top.o = (struct pl_overview){.name = "demo", .steps = 100, .redis = true};
    top.o.pace.step_s = top.o.pace.wait_s = top.o.pace.tokens = top.o.survey.step_s = NAN;
    pl_overview_conclude(&top.o);
    composed(&(struct pl_top_view){.columns = 80, .rows = 24, .keys = true});
    assert_says("demo  not begun  step 0 of 100\n");
    assert_says("no step is done yet\n");
    assert_says("learner  learner  -     not there");
    assert_says("no events yet\n");
    assert_false(says("nan"));
    assert_false(says("inf"));
}

static void many_workers_scroll(void **state)
{
    struct pl_top_view view = {.columns = 80, .rows = 24, .keys = true};
    size_t seen = 0;

    (void)state;
    make_run();
    for (int i = 4; i < 50; i++) {
        char name[16];

        snprintf(name, sizeof name, "actor-%d", i);
        add_worker(name, "actor");
    }
    composed(&view);
    assert_says(" of 51\n");
    assert_int_equal(screen.count, 24);
    assert_in_range(screen.offset_max, 40, 48);
    for (view.offset = 0; view.offset <= screen.offset_max; view.offset++) {
        composed(&view);
        seen += says("actor-30 ");
        assert_int_equal(screen.count, 24);
    }
    assert_in_range(seen, 3, 12); /* it goes through */
    view.offset = 100000;         /* too far is as far as it goes */
    composed(&view);
    assert_says("-51 of 51\n");
    assert_says("actor-49 ");
    view.rows = 0; /* all of them */
    view.keys = false;
    composed(&view);
    assert_true(says("actor-4 ") && says("actor-49 "));
}

static void the_filter_is_of_workers_and_events(void **state)
{
    struct pl_top_view view = {.columns = 80, .rows = 24, .keys = true, .filter = "ACTOR-2"};

    (void)state;
    make_run();
    composed(&view);
    assert_says("actor-2 ");
    assert_says("buried");
    assert_says("/ACTOR-2   Escape ends the filter");
    assert_false(says("actor-1 "));
    assert_false(says("batch=40"));
    strcpy(view.filter, "nothing has this");
    view.typing = true;
    composed(&view);
    assert_says("no worker has that\n");
    assert_says("/nothing has this_");
}

static void other_pages(void **state)
{
    struct pl_top_view view = {.columns = 80, .rows = 24, .keys = true, .page = PL_TOP_DEADS};

    (void)state;
    make_run();
    composed(&view);
    assert_says("2 dead groups; plait dead show, retry and drop act on them\n");
    assert_says("39:2   prompts   11-25 05:16:30  actor-2     delivered too often\n");
    assert_says("39:3   rollouts  11-25 05:16:30  rewarder-1  \\x1b[2J\\u202e\n");
    strcpy(view.filter, "often");
    composed(&view);
    assert_false(says("39:3"));
    view.page = PL_TOP_HELP;
    composed(&view);
    assert_says("  q              quit\n");
    assert_int_equal(screen.count, 24);
}

/* Whatever the size and the page: no line is wider, none is missing, none is too many. */
static void it_fits_any_terminal(void **state)
{
    (void)state;
    make_run();
    for (int i = 4; i < 60; i++)
        add_worker("\x1b[31m\n\xe2\x80\xae \xe6\xbc\xa2 a worker with a name that is long and not "
                   "to be trusted",
                   "ro\tle");
    add_event(1795583791.0, "\x1b[2J", "\xff\xfe\x07");
    for (size_t columns = 1; columns < 260; columns += columns < 100 ? 3 : 41)
        for (size_t rows = 1; rows < 70; rows += rows < 30 ? 1 : 9)
            for (enum pl_top_page page = PL_TOP_MAIN; page <= PL_TOP_HELP; page++) {
                composed(&(struct pl_top_view){.columns = columns,
                                               .rows = rows,
                                               .keys = true,
                                               .page = page,
                                               .utf8 = columns % 2});
                assert_int_equal(screen.count, rows);
                for (size_t i = 0; i < screen.count; i++) {
                    size_t wide = 0;

                    for (const char *at = screen.lines[i].text; *at; at++) {
                        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
                        assert_true(columns % 2 || (unsigned char)*at < 0x7f);
                        wide += ((unsigned char)*at & 0xc0) != 0x80;
                    }
                    if (wide > columns)
                        fail_msg("%zu by %zu: '%s' is too wide", columns, rows,
                                 screen.lines[i].text);
                }
            }
}

static void the_object_has_what_the_screen_shows(void **state)
{
    json_t *object;
    double up;
    int insecure = -1, restarts;
    const char *event, *reason;

    (void)state;
    make_run();
    object = pl_top_json(&top);
    assert_non_null(object);
    assert_int_equal(json_unpack(object, "{s:b, s:[{s:s}], s:[o, {s:s}], s:{s:[{s:F, s:i}]}}",
                                 "insecure", &insecure, "events", "event", &event, "dead",
                                 &(json_t *){NULL}, "reason", &reason, "redis", "workers", "up_s",
                                 &up, "restarts", &restarts),
                     0);
    assert_int_equal(insecure, 0);
    assert_string_equal(event, "buried");
    assert_memory_equal(reason, "\x1b[2J", 4); /* JSON escapes it */
    assert_int_equal((int)up, 185);
    assert_int_equal(restarts, 2);
    assert_true(json_is_null(
        json_array_get(json_object_get(json_object_get(object, "recent_steps"), "reward"), 2)));
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_on_80_by_24),
        cmocka_unit_test(more_columns_where_there_is_room),
        cmocka_unit_test(what_is_set_is_warned_of),
        cmocka_unit_test(redis_is_away),
        cmocka_unit_test(a_step_without_rewards_has_a_dash),
        cmocka_unit_test(nobody_is_there_yet),
        cmocka_unit_test(many_workers_scroll),
        cmocka_unit_test(the_filter_is_of_workers_and_events),
        cmocka_unit_test(other_pages),
        cmocka_unit_test(it_fits_any_terminal),
        cmocka_unit_test(the_object_has_what_the_screen_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
