/* TensorBoard's events, read back by a reader that shares no code with the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/events.h"
#include "common/app/metrics.h"
#include "common/base/crc.h"
#include "common/base/file.h"
#include "tests/board.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/plait-events-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return pl_dir_remove(folder, NULL);
}

static void assert_point(const struct pl_test_board *b, size_t i, int64_t step, const char *tag,
                         float value)
{
    assert_true(i < b->count);
    assert_int_equal(b->points[i].step, step);
    assert_string_equal(b->points[i].tag, tag);
    assert_memory_equal(&b->points[i].value, &value, sizeof value);
}

/* ---- the tests ---- */

/* RFC 3720, B.4 */
static void checksums_are_those_of_the_rfc(void **state)
{
    unsigned char bytes[32];

    (void)state;
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(pl_crc32c(bytes, 32), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(pl_crc32c(bytes, 32), 0x62A8AB43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(pl_crc32c(bytes, 32), 0x46DD794E);
    assert_int_equal(pl_crc32c("123456789", 9), 0xE3069283);
    assert_int_equal(pl_crc32c("", 0), 0);
}

static void scalars_come_back(void **state)
{
    struct pl_events *events = NULL;
    struct pl_test_board b;

    (void)state;
    assert_int_equal(pl_events_create(folder, 0, &events, NULL), PL_OK);
    pl_events_begin(events, 1);
    pl_events_real(events, "forgotten", 1.0);
    pl_events_begin(events, 1);
    pl_events_real(events, "critic/score/mean", 1.25);
    pl_events_real(events, "none", NAN);
    pl_events_real(events, "none", INFINITY);
    pl_events_real(events, "\xCE\xBB", -3e-7);
    assert_int_equal(pl_events_end(events, NULL), PL_OK);
    pl_events_begin(events, (uint64_t)1 << 40);
    assert_int_equal(pl_events_end(events, NULL), PL_OK); /* an empty step is no harm */
    pl_events_begin(events, ((uint64_t)1 << 40) + 1);
    pl_events_real(events, "zero", 0.0);
    assert_int_equal(pl_events_end(events, NULL), PL_OK);
    b = pl_test_board_read(folder); /* while it is still being written */
    assert_int_equal(b.count, 3);
    assert_point(&b, 0, 1, "critic/score/mean", 1.25f);
    assert_point(&b, 1, 1, "\xCE\xBB", -3e-7f);
    assert_point(&b, 2, ((int64_t)1 << 40) + 1, "zero", 0.0f);
    pl_events_close(events);
    pl_events_close(NULL);
}

static void what_does_not_fit_is_an_error(void **state)
{
    struct pl_events *events = NULL;
    char tag[400], nowhere[96];
    struct pl_error err;

    (void)state;
    assert_int_equal(pl_events_create(folder, 0, &events, NULL), PL_OK);
    memset(tag, 'x', sizeof tag - 1);
    tag[sizeof tag - 1] = '\0';
    pl_events_begin(events, 1);
    pl_events_real(events, tag, 1.0);
    assert_int_equal(pl_events_end(events, &err), PL_EFULL);
    pl_events_begin(events, 2);
    for (int i = 0; i < 1000; i++)
        pl_events_real(events, "x", 1.0);
    assert_int_equal(pl_events_end(events, &err), PL_EFULL);
    pl_events_close(events);
    assert_int_equal(pl_test_board_read(folder).count, 0);
    snprintf(nowhere, sizeof nowhere, "%s/nowhere", folder);
    assert_int_equal(pl_events_create(nowhere, 0, &events, &err), PL_ENOENT);
}

static void write_steps(int64_t resumed, uint64_t from, uint64_t to, double add)
{
    struct pl_metrics *metrics = NULL;
    struct pl_error err;
    char path[96];

    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    assert_int_equal(pl_metrics_open(path, resumed, &metrics, &err), PL_OK);
    if (pl_metrics_events(metrics, &err) < 0)
        fail_msg("%s", err.text);
    for (uint64_t step = from; step <= to; step++) {
        pl_metrics_begin(metrics, step);
        pl_metrics_real(metrics, "a", (double)step + add);
        pl_metrics_text(metrics, "text", "is no scalar");
        pl_metrics_count(metrics, "b", 10 * step);
        assert_int_equal(pl_metrics_end(metrics, &err), PL_OK);
    }
    pl_metrics_close(metrics);
}

/* Three parts of a run: died after step 5, went on from 3; died after 4, went on from 4. */
static void a_resumed_run_doubles_no_step(void **state)
{
    struct pl_test_board b;

    (void)state;
    write_steps(0, 1, 5, 0.0);
    write_steps(3, 4, 4, 0.25);
    write_steps(4, 5, 6, 0.5);
    b = pl_test_board_read(folder);
    assert_int_equal(b.files, 3);
    assert_int_equal(b.starts, 3);
    assert_int_equal(b.count, 12);
    for (size_t i = 0; i < 6; i++) {
        const float add = i < 3 ? 0.0f : i == 3 ? 0.25f : 0.5f;

        assert_point(&b, 2 * i, (int64_t)i + 1, "a", (float)(i + 1) + add);
        assert_point(&b, 2 * i + 1, (int64_t)i + 1, "b", 10.0f * (float)(i + 1));
    }
    write_steps(PL_METRICS_FRESH, 1, 1, 0.0); /* begun anew: nothing of before counts */
    b = pl_test_board_read(folder);
    assert_int_equal(b.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_rfc),
        cmocka_unit_test_setup_teardown(scalars_come_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_an_error, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_resumed_run_doubles_no_step, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
