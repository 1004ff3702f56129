/* Growing buffers: contents, the NUL behind them, the maximum; and the allocator beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/rng.h"

#include <stdlib.h>
#include <string.h>

static void assert_holds(const struct pl_buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    assert_string_equal(buf->data, text);
    assert_true(buf->cap > buf->len);
}

static void appends_add_up(void **state)
{
    (void)state;
    struct pl_buf buf;

    pl_buf_init(&buf, 1000);
    assert_null(buf.data);
    assert_int_equal(pl_buf_append(&buf, "", 0), PL_OK);
    assert_holds(&buf, "");
    assert_int_equal(pl_buf_puts(&buf, "one"), PL_OK);
    assert_int_equal(pl_buf_printf(&buf, " %d %s", 2, "three"), PL_OK);
    assert_int_equal(pl_buf_printf(&buf, "%s", ""), PL_OK);
    assert_holds(&buf, "one 2 three");
    assert_int_equal(pl_buf_append(&buf, "a\0b", 3), PL_OK);
    assert_int_equal(buf.len, 14);
    assert_memory_equal(buf.data, "one 2 threea\0b", 15);
    pl_buf_clear(&buf);
    assert_holds(&buf, "");
    pl_buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.bytes_max, 1000); /* and it can be used again */
    assert_int_equal(pl_buf_puts(&buf, "again"), PL_OK);
    assert_holds(&buf, "again");
    pl_buf_release(&buf);
    pl_buf_release(&buf); /* released already */
    memset(&buf, 0, sizeof buf);
    pl_buf_clear(&buf);
    pl_buf_release(&buf); /* zeroed */
}

static void the_maximum_is_kept(void **state)
{
    (void)state;
    struct pl_buf buf;

    pl_buf_init(&buf, 8);
    assert_int_equal(pl_buf_puts(&buf, "12345678"), PL_OK); /* exactly */
    assert_int_equal(pl_buf_puts(&buf, "9"), PL_EFULL);
    assert_int_equal(pl_buf_printf(&buf, "%c", '9'), PL_EFULL);
    assert_int_equal(pl_buf_append(&buf, "x", SIZE_MAX), PL_EFULL);
    assert_int_equal(pl_buf_reserve(&buf, 1), PL_EFULL);
    assert_int_equal(pl_buf_append(&buf, NULL, 0), PL_OK);
    assert_holds(&buf, "12345678");
    pl_buf_clear(&buf);
    assert_int_equal(pl_buf_puts(&buf, "123456789"), PL_EFULL);
    assert_int_equal(pl_buf_puts(&buf, "1234"), PL_OK);
    assert_holds(&buf, "1234");
    pl_buf_release(&buf);
    pl_buf_init(&buf, 0);
    assert_int_equal(pl_buf_puts(&buf, "1"), PL_EFULL);
    assert_null(buf.data);
    pl_buf_release(&buf);
}

static void reserved_room_does_not_move(void **state)
{
    (void)state;
    struct pl_buf buf;
    const char *at;

    pl_buf_init(&buf, SIZE_MAX);
    assert_int_equal(pl_buf_reserve(&buf, 5000), PL_OK);
    at = buf.data;
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(pl_buf_append(&buf, "z", 1), PL_OK);
    assert_ptr_equal(buf.data, at);
    assert_int_equal(strspn(buf.data, "z"), 5000);
    assert_int_equal(pl_buf_reserve(&buf, SIZE_MAX - 5001), PL_ENOMEM); /* no machine has that */
    assert_int_equal(buf.len, 5000);
    pl_buf_release(&buf);
}

static void random_pieces_are_all_there(void **state)
{
    (void)state;
    enum { ALL = 20000 };
    static char want[ALL];
    const struct pl_rng rng = {.seed = 3, .batch = (uint32_t)PL_RNG_TEST};
    struct pl_buf buf;
    size_t len = 0;

    for (uint32_t i = 0; i < ALL; i++)
        want[i] = (char)pl_rng_below(&rng, i, 256);
    pl_buf_init(&buf, ALL);
    for (uint32_t i = 0; len < ALL; i++) {
        size_t n = (size_t)pl_rng_below(&rng, ALL + i, 200);

        n = n < ALL - len ? n : ALL - len;
        assert_int_equal(pl_buf_append(&buf, want + len, n), PL_OK);
        len += n;
        assert_int_equal(buf.data[len], 0);
    }
    assert_int_equal(buf.len, ALL);
    assert_memory_equal(buf.data, want, ALL);
    pl_buf_release(&buf);
}

static void strings_are_formatted(void **state)
{
    (void)state;
    char *text = pl_strf("%s/%05d", "a", 42);

    assert_string_equal(text, "a/00042");
    free(text);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 17, 1000, 3000000};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint32_t *p = pl_alloc(counts[i], sizeof *p);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < counts[i]; j++)
            assert_true(p[j] == 0);
        memset(p, 0xAA, counts[i] * sizeof *p); /* so that the next one meets used memory */
        free(p);
    }
    assert_null(pl_alloc(SIZE_MAX / 4, 8));
    assert_null(pl_alloc(SIZE_MAX, 1));
    assert_null(pl_alloc(SIZE_MAX / 8 + 2, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(the_maximum_is_kept),
        cmocka_unit_test(reserved_room_does_not_move),
        cmocka_unit_test(random_pieces_are_all_there),
        cmocka_unit_test(strings_are_formatted),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
