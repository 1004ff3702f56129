#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/metrics.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/plait-metrics-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return pl_dir_remove(folder, NULL);
}

static void put_file(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void assert_file(const char *text)
{
    char *found;
    size_t len;

    assert_int_equal(pl_file_read(path, 1 << 20, &found, &len, NULL), PL_OK);
    assert_string_equal(found, text);
    free(found);
}

static void write_steps(struct pl_metrics *metrics, uint64_t from, uint64_t to)
{
    for (uint64_t step = from; step <= to; step++) {
        pl_metrics_begin(metrics, step);
        pl_metrics_count(metrics, "n", step * 10);
        assert_int_equal(pl_metrics_end(metrics, NULL), PL_OK);
    }
}

#define LINE(step, n) "{\"training/global_step\": " #step ", \"n\": " #n "}\n"

static void lines_are_json_and_there_at_once(void **state)
{
    struct pl_metrics *metrics = NULL;
    json_t *root = NULL;
    char *text;
    size_t len;

    (void)state;
    put_file("old\n");
    assert_int_equal(pl_metrics_open(path, PL_METRICS_FRESH, &metrics, NULL), PL_OK);
    pl_metrics_begin(metrics, 9); /* begun anew: forgotten */
    pl_metrics_begin(metrics, 1);
    pl_metrics_real(metrics, "train/loss", 0.1);
    pl_metrics_real(metrics, "train/nan", NAN);
    pl_metrics_real(metrics, "train/inf", -INFINITY);
    pl_metrics_count(metrics, "perf/total_num_tokens", UINT64_C(1) << 53);
    pl_metrics_text(metrics, "note", "a \"quoted\"\nline");
    assert_int_equal(pl_metrics_end(metrics, NULL), PL_OK);
    assert_int_equal(pl_file_read(path, 1 << 20, &text, &len, NULL), PL_OK); /* not closed yet */
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    assert_int_equal(pl_json_parse(text, len, "line", &root, NULL), PL_OK);
    assert_true(json_real_value(json_object_get(root, "train/loss")) == 0.1);
    assert_true(json_is_null(json_object_get(root, "train/nan")));
    assert_true(json_is_null(json_object_get(root, "train/inf")));
    assert_true(json_integer_value(json_object_get(root, "perf/total_num_tokens")) == 1LL << 53);
    assert_string_equal(json_string_value(json_object_get(root, "note")), "a \"quoted\"\nline");
    assert_int_equal(json_integer_value(json_object_get(root, "training/global_step")), 1);
    json_decref(root);
    free(text);
    pl_metrics_close(metrics);
}

static void resuming_drops_what_came_later_and_what_is_torn(void **state)
{
    struct pl_metrics *metrics = NULL;

    (void)state;
    assert_int_equal(pl_metrics_open(path, PL_METRICS_FRESH, &metrics, NULL), PL_OK);
    write_steps(metrics, 1, 3);
    pl_metrics_close(metrics);
    assert_int_equal(pl_metrics_open(path, 2, &metrics, NULL), PL_OK);
    assert_file(LINE(1, 10) LINE(2, 20));
    write_steps(metrics, 3, 3);
    assert_int_equal(pl_metrics_sync(metrics, NULL), PL_OK);
    pl_metrics_close(metrics);
    assert_file(LINE(1, 10) LINE(2, 20) LINE(3, 30));

    put_file(LINE(1, 10) LINE(2, 20) "{\"training/global_step\": 2, \"n");
    assert_int_equal(pl_metrics_open(path, 7, &metrics, NULL), PL_OK);
    write_steps(metrics, 8, 8);
    pl_metrics_close(metrics);
    assert_file(LINE(1, 10) LINE(2, 20) LINE(8, 80));
}

static void a_file_of_something_else_is_left_alone(void **state)
{
    struct pl_metrics *metrics = NULL;
    struct pl_error err;

    (void)state;
    put_file(LINE(1, 10) "not json\n" LINE(2, 20));
    assert_int_equal(pl_metrics_open(path, 2, &metrics, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "metrics.jsonl:2"));
    assert_file(LINE(1, 10) "not json\n" LINE(2, 20));
    put_file("{\"n\": 1}\n");
    assert_int_equal(pl_metrics_open(path, 2, &metrics, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "training/global_step"));
    assert_null(metrics);
}

static void a_missing_file_is_begun_and_a_missing_folder_is_an_error(void **state)
{
    struct pl_metrics *metrics = NULL;
    struct pl_error err;
    char *nowhere = pl_strf("%s/none/metrics.jsonl", folder);

    (void)state;
    unlink(path);
    assert_int_equal(pl_metrics_open(path, 5, &metrics, &err), PL_OK);
    write_steps(metrics, 6, 6);
    pl_metrics_close(metrics);
    assert_file(LINE(6, 60));
    assert_int_equal(pl_metrics_open(nowhere, PL_METRICS_FRESH, &metrics, &err), PL_ENOENT);
    assert_non_null(strstr(err.text, nowhere));
    free(nowhere);
    pl_metrics_close(NULL);
}

static void a_full_disk_is_noticed(void **state)
{
    struct pl_metrics *metrics = NULL;
    struct pl_error err;

    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        print_message("no /dev/full here\n");
        skip();
    }
    assert_int_equal(pl_metrics_open("/dev/full", PL_METRICS_FRESH, &metrics, &err), PL_OK);
    pl_metrics_begin(metrics, 1);
    assert_int_equal(pl_metrics_end(metrics, &err), PL_EIO);
    assert_non_null(strstr(err.text, "/dev/full"));
    pl_metrics_close(metrics);
}

static void a_line_is_found_by_its_step_and_a_word(void **state)
{
    bool found = true;

    (void)state;
    unlink(path);
    assert_int_equal(pl_metrics_find(path, 1, "b", &found, NULL), PL_OK);
    assert_false(found);
    put_file("{\"training/global_step\": 1, \"a\": 1}\n"
             "{\"training/global_step\": 2, \"b\": 1}\n"
             "{\"training/global_step\": 3, \"b\": 1}"); /* torn */
    assert_int_equal(pl_metrics_find(path, 2, "\"b\"", &found, NULL), PL_OK);
    assert_true(found);
    assert_int_equal(pl_metrics_find(path, 1, "\"b\"", &found, NULL), PL_OK);
    assert_false(found);
    assert_int_equal(pl_metrics_find(path, 3, "\"b\"", &found, NULL), PL_OK);
    assert_false(found);
    put_file("b\n");
    assert_int_equal(pl_metrics_find(path, 1, "b", &found, NULL), PL_EFORMAT);
}

struct heard {
    char text[256];
};

static void hear(void *at, const char *name, double value)
{
    struct heard *h = at;
    const size_t used = strlen(h->text);

    snprintf(h->text + used, sizeof h->text - used, "%s=%g ", name, value);
}

static void a_listener_hears_all_numbers(void **state)
{
    struct heard heard = {""};
    struct pl_metrics *metrics;

    (void)state;
    assert_int_equal(pl_metrics_open(path, PL_METRICS_FRESH, &metrics, NULL), PL_OK);
    pl_metrics_listen(metrics, hear, &heard);
    pl_metrics_begin(metrics, 1);
    pl_metrics_real(metrics, "loss", NAN);
    pl_metrics_text(metrics, "text", "not a number");
    pl_metrics_count(metrics, "n", 7);
    assert_int_equal(pl_metrics_end(metrics, NULL), PL_OK);
    pl_metrics_listen(metrics, NULL, NULL);
    pl_metrics_begin(metrics, 2);
    pl_metrics_real(metrics, "loss", 1);
    assert_int_equal(pl_metrics_end(metrics, NULL), PL_OK);
    pl_metrics_close(metrics);
    assert_string_equal(heard.text, "loss=nan n=7 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_and_there_at_once),
        cmocka_unit_test(resuming_drops_what_came_later_and_what_is_torn),
        cmocka_unit_test(a_file_of_something_else_is_left_alone),
        cmocka_unit_test(a_missing_file_is_begun_and_a_missing_folder_is_an_error),
        cmocka_unit_test(a_full_disk_is_noticed),
        cmocka_unit_test(a_line_is_found_by_its_step_and_a_word),
        cmocka_unit_test(a_listener_hears_all_numbers),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
