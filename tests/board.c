#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "tests/board.h"

#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void read_value(struct pl_test_board *b, int64_t step, const unsigned char *at, size_t len)
{
    const unsigned char *end = at + len;
    struct pl_test_point *p = &b->points[b->count++];
    struct field f;

    assert_true(b->count <= PL_TEST_POINTS_MAX);
    *p = (struct pl_test_point){.step = step};
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
static void start(struct pl_test_board *b, int64_t step)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->count; i++)
        if (b->points[i].step < step)
            b->points[kept++] = b->points[i];
    b->count = kept;
    b->starts++;
}

static void read_event(struct pl_test_board *b, const unsigned char *at, size_t len, size_t number)
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

static void read_file(struct pl_test_board *b, const char *folder, const char *name)
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

struct pl_test_board pl_test_board_read(const char *folder)
{
    struct dirent **list;
    struct pl_test_board b = {0};
    const int n = scandir(folder, &list, is_events, alphasort);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        read_file(&b, folder, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return b;
}
