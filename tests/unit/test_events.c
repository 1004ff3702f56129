/*
 * TensorBoard's events, read back by a reader of this test's own, which goes by the formats alone:
 * records with their checksums, the messages' wire format, and what a start takes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/app/events.h"
#include "common/app/metrics.h"
#include "common/base/crc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POINTS_MAX = 256 };

struct point {
    int64_t step;
    char tag[64];
    float value;
};

/* What a reader knows after all files of a folder. */
struct board {
    struct point points[POINTS_MAX];
    size_t count, files, starts;
};

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

/* ---- the reader ---- */

static uint32_t crc_by_bits(const unsigned char *bytes, size_t len)
{
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
    }
    return crc ^ 0xFFFFFFFF;
}

static uint64_t number_at(const unsigned char *at, size_t bytes)
{
    uint64_t x = 0;

    for (size_t i = 0; i < bytes; i++)
        x |= (uint64_t)at[i] << 8 * i;
    return x;
}

static void assert_masked(const unsigned char *bytes, size_t len, uint64_t masked)
{
    const uint32_t rotated = (uint32_t)masked - 0xA282EAD8u;

    assert_int_equal(rotated >> 17 | rotated << 15, crc_by_bits(bytes, len));
}

struct field {
    unsigned number, wire;
    uint64_t value;             /* wire 0, 1, 5 */
    const unsigned char *bytes; /* wire 2 */
    size_t len;
};

static uint64_t varint(const unsigned char **at, const unsigned char *end)
{
    uint64_t x = 0;

    for (unsigned shift = 0;; shift += 7) {
        assert_true(*at < end && shift < 64);
        x |= (uint64_t)(**at & 0x7F) << shift;
        if (!(*(*at)++ & 0x80))
            return x;
    }
}

static bool next_field(const unsigned char **at, const unsigned char *end, struct field *f)
{
    uint64_t key;

    if (*at == end)
        return false;
    key = varint(at, end);
    *f = (struct field){.number = (unsigned)(key >> 3), .wire = key & 7};
    if (f->wire == 0) {
        f->value = varint(at, end);
        return true;
    }
    f->len = f->wire == 1 ? 8 : f->wire == 5 ? 4 : varint(at, end);
    assert_true(f->wire == 1 || f->wire == 2 || f->wire == 5);
    assert_true(f->len <= (size_t)(end - *at));
    f->bytes = *at;
    f->value = f->wire == 2 ? 0 : number_at(*at, f->len);
    *at += f->len;
    return true;
}

static void read_value(struct board *b, int64_t step, const unsigned char *at, size_t len)
{
    const unsigned char *end = at + len;
    struct point *p = &b->points[b->count++];
    struct field f;

    assert_true(b->count <= POINTS_MAX);
    *p = (struct point){.step = step};
    while (next_field(&at, end, &f)) {
        if (f.number == 1 && f.wire == 2) {
            snprintf(p->tag, sizeof p->tag, "%.*s", (int)f.len, (const char *)f.bytes);
        } else {
            const uint32_t bits = (uint32_t)f.value;

            assert_true(f.number == 2 && f.wire == 5);
            memcpy(&p->value, &bits, sizeof bits);
        }
    }
}

/* A start: what was read of its step and later ones does not count. */
static void start(struct board *b, int64_t step)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->count; i++)
        if (b->points[i].step < step)
            b->points[kept++] = b->points[i];
    b->count = kept;
    b->starts++;
}

static void read_event(struct board *b, const unsigned char *at, size_t len, size_t number)
{
    const unsigned char *end = at + len, *inner;
    struct field f, g, what = {0};
    double wall = 0.0;
    int64_t step = 0;

    while (next_field(&at, end, &f)) {
        if (f.number == 1 && f.wire == 1)
            memcpy(&wall, &f.value, sizeof wall);
        else if (f.number == 2 && f.wire == 0)
            step = (int64_t)f.value;
        else
            what = f;
    }
    assert_true(fabs(wall - (double)time(NULL)) < 3600.0);
    assert_int_equal(what.wire, 2);
    if (number == 0) {
        assert_int_equal(what.number, 3);
        assert_int_equal(what.len, strlen("brain.Event:2"));
        assert_memory_equal(what.bytes, "brain.Event:2", what.len);
        return;
    }
    inner = what.bytes;
    while (next_field(&inner, what.bytes + what.len, &g)) {
        if (what.number == 7) {
            assert_true(g.number == 1 && g.wire == 0 && g.value == 1);
            start(b, step);
        } else {
            assert_true(what.number == 5 && g.number == 1 && g.wire == 2);
            read_value(b, step, g.bytes, g.len);
        }
    }
}

static void read_file(struct board *b, const char *name)
{
    char path[512], *data;
    size_t len, at = 0;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pl_file_read(path, 1 << 20, &data, &len, NULL), PL_OK);
    for (size_t number = 0; at < len; number++) {
        const unsigned char *record = (const unsigned char *)data + at;
        uint64_t bytes;

        assert_true(len - at >= 16);
        bytes = number_at(record, 8);
        assert_masked(record, 8, number_at(record + 8, 4));
        assert_true(bytes <= len - at - 16);
        assert_masked(record + 12, bytes, number_at(record + 12 + bytes, 4));
        read_event(b, record + 12, bytes, number);
        at += 16 + bytes;
    }
    free(data);
    b->files++;
}

static int is_events(const struct dirent *entry)
{
    return strstr(entry->d_name, "tfevents") != NULL;
}

/* All files, in the order of their names. */
static struct board read_folder(void)
{
    struct dirent **list;
    struct board b = {0};
    const int n = scandir(folder, &list, is_events, alphasort);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        read_file(&b, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return b;
}

static void assert_point(const struct board *b, size_t i, int64_t step, const char *tag,
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
    struct board b;

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
    b = read_folder(); /* while it is still being written */
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
    assert_int_equal(read_folder().count, 0);
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
    struct board b;

    (void)state;
    write_steps(0, 1, 5, 0.0);
    write_steps(3, 4, 4, 0.25);
    write_steps(4, 5, 6, 0.5);
    b = read_folder();
    assert_int_equal(b.files, 3);
    assert_int_equal(b.starts, 3);
    assert_int_equal(b.count, 12);
    for (size_t i = 0; i < 6; i++) {
        const float add = i < 3 ? 0.0f : i == 3 ? 0.25f : 0.5f;

        assert_point(&b, 2 * i, (int64_t)i + 1, "a", (float)(i + 1) + add);
        assert_point(&b, 2 * i + 1, (int64_t)i + 1, "b", 10.0f * (float)(i + 1));
    }
    write_steps(PL_METRICS_FRESH, 1, 1, 0.0); /* begun anew: nothing of before counts */
    b = read_folder();
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
