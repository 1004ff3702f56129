/*
 * The story of a group on made logs: text and JSON, out of order, torn, with clocks that are off,
 * with workers that died, and with texts that would like to be something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/view/trace.h"
#include "deploy/view/trace_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct pl_trace trace;

static void begin(const char *group)
{
    pl_trace_release(&trace);
    assert_int_equal(pl_trace_init(&trace, group, NULL), PL_OK);
}

static void line(const char *who, const char *text)
{
    assert_int_equal(pl_trace_line(&trace, who, text), PL_OK);
}

static void lines(const char *const *list)
{
    for (; *list; list++)
        line("", *list);
}

/* "fed leased finished ...", in order, with who of them. */
static void assert_events(const char *want)
{
    char found[2048] = "";

    pl_trace_conclude(&trace);
    for (size_t i = 0; i < trace.count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s/%s", i > 0 ? " " : "",
                 trace.events[i].event, trace.events[i].who);
    assert_string_equal(found, want);
}

static bool noted(const char *part)
{
    for (size_t i = 0; i < trace.note_count; i++)
        if (strstr(trace.notes[i], part))
            return true;
    return false;
}

static double span(const char *what)
{
    for (size_t i = 0; i < trace.span_count; i++)
        if (strcmp(trace.spans[i].what, what) == 0)
            return trace.spans[i].seconds;
    return NAN;
}

#define AT "2026-11-25T05:16:"

/* ---- one line ---- */

static void a_line_is_read_in_both_forms(void **state)
{
    static const char *const same[] = {
        AT "32.123Z info weights event=late group=12:3 reason=\"a \\\"b\\\"\\n\" n=2 id=actor-1",
        "<6>" AT
        "32.123Z info weights event=late group=12:3 reason=\"a \\\"b\\\"\\n\" n=2 id=actor-1",
        "Nov 25 05:16:32 host plait[1]: " AT
        "32.123Z info weights event=late group=12:3 reason=\"a \\\"b\\\"\\n\" n=2 id=actor-1",
        "{\"ts\":\"" AT
        "32.123Z\",\"level\":\"info\",\"id\":\"actor-1\",\"event\":\"weights.late\","
        "\"group\":\"12:3\",\"reason\":\"a \\\"b\\\"\\n\",\"n\":2}",
        "<4>{\"ts\":\"" AT
        "32.123Z\",\"level\":\"info\",\"id\":\"actor-1\",\"event\":\"weights.late\","
        "\"group\":\"12:3\",\"reason\":\"a \\\"b\\\"\\n\",\"n\":2}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct pl_log_entry e;

        assert_true(pl_log_entry_read(same[i], &e));
        assert_true(fabs(e.at_s - 1795583792.123) < 1e-5);
        assert_string_equal(e.level, "info");
        assert_string_equal(e.id, "actor-1");
        assert_string_equal(e.event, "weights.late");
        assert_int_equal(e.field_count, 3);
        assert_string_equal(pl_log_entry_field(&e, "group"), "12:3");
        assert_string_equal(pl_log_entry_field(&e, "reason"), "a \"b\"\n");
        assert_string_equal(pl_log_entry_field(&e, "n"), "2");
        assert_string_equal(pl_log_entry_field(&e, "none"), "");
    }
}

static void what_is_no_line_is_none(void **state)
{
    static const char *const none[] = {"",
                                       "-",
                                       "plait-actor: cannot",
                                       AT,
                                       AT "32.123Z",
                                       AT "32.123Z loud finished group=12:3",
                                       AT "32.123 info finished",
                                       AT "32Z info finished",
                                       "{\"ts\":\"" AT "32.123Z\",\"level\":\"in",
                                       "{\"ts\":\"yesterday\",\"level\":\"info\"}",
                                       "{\"ts\":12,\"level\":\"info\"}",
                                       "{\"ts\":[[[[",
                                       "{\"level\":\"info\",\"ts\":\"" AT "32.123Z\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct pl_log_entry e;

        if (pl_log_entry_read(none[i], &e))
            fail_msg("'%s' is taken for a line", none[i]);
    }
}

/* ---- stories ---- */

static const char *const whole[] = {
    AT "30.000Z info fed group=12:3 version=12 samples=4 task=kk-1 id=learner",
    AT "30.100Z info leased group=12:3 queue=prompts deliveries=1 id=actor-1",
    AT "32.100Z info finished group=12:3 tokens=81 outcome=done id=actor-1",
    AT
    "32.150Z info leased group=12:3 queue=rollouts deliveries=1 worker=rewarder-1.1 id=rewarder-1",
    AT "32.200Z info scored group=12:3 worker=rewarder-1.1 outcome=done completes_batch=no "
       "id=rewarder-1",
    AT "33.200Z info ready batch=12 gate=open id=learner",
    AT "35.200Z info trained step=13 batch=12 id=learner",
    AT "36.200Z info retired batch=12 step=14 id=learner",
    NULL,
};
static const char whole_events[] =
    "fed/learner leased/actor-1 finished/actor-1 leased/rewarder-1.1 scored/rewarder-1.1 "
    "ready/learner trained/learner retired/learner";

static void a_whole_story_in_any_order(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) { /* from another line on, forwards or backwards */
        begin("12:3");
        for (int i = 0; i < 8; i++)
            line("", whole[way % 2 ? (way + i) % 8 : (way + 8 - i) % 8]);
        line("", AT "31.000Z info leased group=12:33 queue=prompts deliveries=1 id=actor-1");
        line("", AT "31.000Z info leased group=112:3 queue=prompts deliveries=1 id=actor-1");
        line("", AT "31.000Z info ready batch=13 gate=open id=learner");
        line("", AT "31.000Z info start role=actor name=actor-7 id=actor-7");
        line("", "Traceback: 12:3");
        line("", AT "31.000Z info finis"); /* torn */
        assert_events(whole_events);
        assert_int_equal(trace.lines, 14);
        assert_int_equal(trace.passed_over, 1);
        assert_int_equal(trace.leases, 1);
        assert_int_equal(trace.note_count, 0);
        assert_true(fabs(span("waited for an actor") - 0.1) < 1e-6);
        assert_true(fabs(span("was sampled") - 2.0) < 1e-6);
        assert_true(fabs(span("waited for its batch and the learner") - 1.0) < 1e-6);
        assert_true(fabs(span("was trained on") - 2.0) < 1e-6);
        assert_true(fabs(span("waited for a checkpoint") - 1.0) < 1e-6);
        assert_string_equal(trace.events[1].role, "actor");
        assert_string_equal(trace.events[4].role, "rewarder");
    }
}

/* The actor's clock is a minute behind, the rewarder's half a minute before. */
static void clocks_are_off(void **state)
{
    (void)state;
    begin("12:3");
    lines((const char *const[]){
        AT "30.000Z info fed group=12:3 id=learner",
        "2026-11-25T05:15:30.100Z info leased group=12:3 queue=prompts deliveries=1 id=actor-1",
        "2026-11-25T05:15:32.100Z info finished group=12:3 outcome=done id=actor-1",
        AT "59.150Z info leased group=12:3 queue=rollouts deliveries=1 id=rewarder-1",
        AT "59.200Z info scored group=12:3 outcome=done id=rewarder-1",
        AT "33.200Z info ready batch=12 gate=open id=learner",
        AT "35.200Z info trained step=13 batch=12 id=learner", NULL});
    assert_events("fed/learner leased/actor-1 finished/actor-1 leased/rewarder-1 scored/rewarder-1 "
                  "ready/learner trained/learner");
    assert_true(noted("The clock of actor-1 is at least 59.900 s behind"));
    assert_true(noted("The clock of learner is at least 26.000 s behind"));
    assert_true(fabs(span("was sampled") - 2.0) < 1e-6);
}

static void who_did_not_finish_it(void **state)
{
    (void)state;
    begin("12:3");
    lines((const char *const[]){
        AT "30.000Z info fed group=12:3 id=learner",
        AT "30.100Z info leased group=12:3 queue=prompts deliveries=1 id=actor-1",
        AT "31.600Z info start role=actor name=actor-1 id=actor-1",
        AT "41.000Z info leased group=12:3 queue=prompts deliveries=2 id=actor-2",
        AT "42.500Z info returned group=12:3 queue=prompts reason=\"stopping\" id=actor-2",
        AT "43.000Z info leased group=12:3 queue=prompts deliveries=1 id=actor-3",
        AT "45.000Z info leased group=12:3 queue=prompts deliveries=2 id=actor-4",
        AT "46.000Z info finished group=12:3 outcome=done id=actor-4",
        AT "47.000Z info finished group=12:3 outcome=repeated id=actor-3", NULL});
    pl_trace_conclude(&trace);
    assert_int_equal(trace.leases, 4);
    assert_true(noted("actor-1 did not sample it: it was started again 1.5 s after"));
    assert_true(noted("actor-2 did not sample it: it gave it back, 1.5 s after"));
    assert_true(
        noted("actor-3 did not sample it: nothing more is heard of it; actor-4 leased it 2.0 s"));
    assert_true(noted("What actor-3 made of it came late"));
    assert_int_equal(trace.note_count, 4);
    assert_true(fabs(span("was sampled") - 1.0) < 1e-6);
    assert_true(fabs(span("waited for an actor") - 15.0) < 1e-6);
}

static void refused_and_fed_again(void **state)
{
    const struct pl_news unmade = {.at_s = 1795583793.0,
                                   .event = "unmade",
                                   .group = "12:3",
                                   .batch = "12",
                                   .text = "reason=x"};
    const struct pl_news barred = {
        .at_s = 1795583793.0, .event = "quarantined", .text = "actor=liar"};
    const struct pl_news other = {
        .at_s = 1795583793.0, .event = "quarantined", .text = "actor=else"};
    const struct pl_news retired = {.at_s = 1795583799.0, .event = "retired", .batch = "12"};
    const struct pl_news stranger = {.at_s = 1795583799.0, .event = "ready", .batch = "13"};

    (void)state;
    begin("12:3");
    lines((const char *const[]){
        AT "30.000Z info fed group=12:3 id=learner",
        AT "30.100Z info leased group=12:3 queue=prompts deliveries=1 id=liar",
        AT "31.000Z info finished group=12:3 outcome=done id=liar",
        AT "32.000Z info leased group=12:3 queue=rollouts deliveries=1 id=rewarder-1",
        AT "32.900Z warn refused group=12:3 reason=\"by 'liar': token\" id=rewarder-1",
        AT "32.950Z warn quarantine event=begin reason=\"x\" id=liar",
        AT "32.950Z warn quarantine event=begin reason=\"x\" id=else",
        AT "34.000Z info fed group=12:3 id=learner", AT "39.000Z info retired batch=12 id=learner",
        NULL});
    pl_trace_news(&trace, &unmade);
    pl_trace_news(&trace, &barred);
    pl_trace_news(&trace, &other);
    pl_trace_news(&trace, &retired);
    pl_trace_news(&trace, &stranger);
    assert_events("fed/learner leased/liar finished/liar leased/rewarder-1 refused/rewarder-1 "
                  "quarantine.begin/liar unmade/ quarantined/ fed/learner retired/learner");
    assert_true(noted("It was fed once more"));
}

/* Both forms in one stream, the journal's prefix, the file's name where a line has none. */
static void both_forms_together(void **state)
{
    (void)state;
    begin("e10:0");
    line("learner", "<6>" AT "30.000Z info fed group=e10:0 task=a");
    line("",
         "{\"ts\":\"" AT "30.100Z\",\"level\":\"info\",\"role\":\"actor\",\"id\":\"a\",\"event\":"
         "\"leased\",\"group\":\"e10:0\",\"queue\":\"prompts\",\"deliveries\":1}");
    line("actor-9", AT "31.000Z info finished group=e10:0 outcome=done id=a");
    line("learner", AT "32.000Z info evaluated step=10 batch=e10 accuracy=0.5");
    assert_events("fed/learner leased/a finished/a evaluated/learner");
}

static void hostile_text_stays_text(void **state)
{
    struct pl_trace_page page = {.run = "demo", .trace = &trace, .redis_why = "x\x1b[31m"};
    struct pl_buf text;
    json_t *json;
    const json_t *fields;

    (void)state;
    begin("12:3");
    line("", AT "30.000Z info fed group=12:3 task=a\\x1b[31m\\x20group\\x3d1:1 id=learner");
    line("", AT
         "30.000Z warn refused group=12:3 reason=\"\\\" group=9:9 \\n\\x1b[2J\" id=rew\\x1b]0;x");
    pl_trace_conclude(&trace);
    pl_buf_init(&text, 1 << 20);
    assert_int_equal(pl_trace_page_print(&page, PL_COLOR_NEVER, &text, NULL), PL_OK);
    assert_null(strchr(text.data, '\x1b'));
    assert_non_null(strstr(text.data, "group 12:3 of run demo\n"));
    pl_buf_release(&text);
    json = pl_trace_page_json(&page);
    assert_non_null(json);
    fields = json_object_get(json_array_get(json_object_get(json, "events"), 0), "fields");
    assert_string_equal(json_string_value(json_object_get(fields, "task")), "a\x1b[31m group=1:1");
    fields = json_object_get(json_array_get(json_object_get(json, "events"), 1), "fields");
    assert_string_equal(json_string_value(json_object_get(fields, "reason")),
                        "\" group=9:9 \n\x1b[2J");
    assert_int_equal(json_object_size(fields), 1);
    json_decref(json);
}

/* ---- where it is ---- */

static void where_it_is_now(void **state)
{
    struct pl_trace_page page = {.run = "demo", .trace = &trace, .redis = true, .redis_why = ""};
    struct pl_lookup *l = &page.lookup;
    char text[512];

    (void)state;
    begin("12:3");
    assert_true(pl_trace_page_is_empty(&page));
#define NOW(part)                                                                                  \
    do {                                                                                           \
        pl_trace_page_now(&page, text, sizeof text);                                               \
        if (!strstr(text, part))                                                                   \
            fail_msg("'%s' does not say '%s'", text, part);                                        \
    } while (0)
    NOW("the run has not begun there");
    strcpy(l->run_state, "running");
    NOW("its batch is not fed yet");
    strcpy(l->batch.state, "open");
    NOW("it is to be fed again");
    strcpy(l->state, "prompt");
    l->queued_s = 90;
    NOW("it waits for an actor, for 1:30");
    l->leased = true;
    l->deliveries = 2;
    strcpy(l->owner, "actor-1");
    NOW("actor-1 has it to sample: delivery 2");
    strcpy(l->state, "rollout");
    NOW("actor-1 has it to score");
    strcpy(l->state, "scored");
    l->batch.expected = 16;
    l->batch.arrived = 10;
    NOW("10 of 16 groups are, 0 dropped");
    strcpy(l->batch.state, "complete");
    NOW("its gate waits for the batch before");
    strcpy(l->batch.state, "ready");
    l->batch.gate = 1;
    NOW("the gate is open");
    strcpy(l->state, "dead");
    NOW("its entry was dropped by hand");
    strcpy(page.dead, "delivered too often");
    NOW("goes on without it: delivered too often");
    l->batch.retired = true;
    NOW("in a checkpoint");
    assert_false(pl_trace_page_is_empty(&page));
#undef NOW
}

static void ids_of_groups(void **state)
{
    static const char *const no[] = {"",      "12",    "12:", ":3",    "12:3x",
                                     "12:3 ", "12:-1", "A:1", "12:3:4"};
    struct pl_trace t;

    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(pl_trace_init(&t, no[i], NULL), PL_EFORMAT);
    assert_int_equal(pl_trace_init(&t, "e12:0", NULL), PL_OK);
    assert_string_equal(t.batch, "e12");
}

static int end(void **state)
{
    (void)state;
    pl_trace_release(&trace);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read_in_both_forms),
        cmocka_unit_test(what_is_no_line_is_none),
        cmocka_unit_test(a_whole_story_in_any_order),
        cmocka_unit_test(clocks_are_off),
        cmocka_unit_test(who_did_not_finish_it),
        cmocka_unit_test(refused_and_fed_again),
        cmocka_unit_test(both_forms_together),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(where_it_is_now),
        cmocka_unit_test(ids_of_groups),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
