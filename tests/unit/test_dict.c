#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/text/dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 20000 };

static size_t key_of(size_t i, char text[32])
{
    return (size_t)snprintf(text, 32, "%zu%s", i * 2654435761u % 1000003, i % 3 ? "x" : "");
}

/* Against the number each key got when it came first. */
static void keys_are_found_under_their_number(void **state)
{
    struct pl_dict dict = {0};
    char text[32];
    size_t entry, len, known = 0;
    bool added;

    (void)state;
    assert_int_equal(pl_dict_find(&dict, "0", 1), SIZE_MAX);
    for (size_t i = 0; i < KEYS; i++) {
        len = key_of(i, text);
        assert_int_equal(pl_dict_find(&dict, text, len), SIZE_MAX);
        assert_int_equal(pl_dict_add(&dict, text, len, &entry, &added), PL_OK);
        assert_true(added);
        assert_int_equal(entry, known++);
    }
    assert_int_equal(dict.count, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        size_t got_len = 0;
        const char *got;

        len = key_of(i, text);
        assert_int_equal(pl_dict_find(&dict, text, len), i);
        assert_int_equal(pl_dict_add(&dict, text, len, &entry, &added), PL_OK);
        assert_false(added);
        assert_int_equal(entry, i);
        got = pl_dict_key(&dict, i, &got_len);
        assert_int_equal(got_len, len);
        assert_memory_equal(got, text, len);
    }
    assert_int_equal(dict.count, KEYS);
    pl_dict_release(&dict);
    assert_int_equal(dict.count, 0);
}

static void any_bytes_are_a_key(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } keys[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"a\0b", 3}, {"a\0c", 3}, {"a", 1}};
    struct pl_dict dict = {0};

    (void)state;
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 6; i++) {
            size_t entry;

            assert_int_equal(pl_dict_add(&dict, keys[i].bytes, keys[i].len, &entry, NULL), PL_OK);
            assert_int_equal(entry, i);
        }
    }
    assert_int_equal(dict.count, 6);
    pl_dict_release(&dict);
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Entries keep 32 bits of the hash; keys that have these in common are told apart all the same. */
static void keys_of_one_hash_are_told_apart(void **state)
{
    enum { TRIED = 300000 };
    static uint64_t tried[TRIED]; /* hash << 32 | number */
    struct pl_dict dict = {0};
    size_t pairs = 0;
    char text[32];

    (void)state;
    for (size_t i = 0; i < TRIED; i++)
        tried[i] = pl_hash(text, (size_t)snprintf(text, sizeof text, "%06zu", i)) << 32 | i;
    qsort(tried, TRIED, sizeof tried[0], by_hash);
    for (size_t i = 0; i + 1 < TRIED; i++) {
        size_t entries[2];

        if (tried[i] >> 32 != tried[i + 1] >> 32)
            continue;
        pairs++;
        for (size_t k = 0; k < 2; k++) {
            const size_t len =
                (size_t)snprintf(text, sizeof text, "%06zu", (size_t)(uint32_t)tried[i + k]);

            assert_int_equal(pl_dict_add(&dict, text, len, &entries[k], NULL), PL_OK);
        }
        assert_int_not_equal(entries[0], entries[1]);
    }
    assert_true(pairs > 0); /* about ten, as chance has it */
    pl_dict_release(&dict);
}

/* Keys of all lengths that differ in one byte only: every byte counts for the hash. */
static void hashes_differ_where_keys_do(void **state)
{
    char key[40];

    (void)state;
    memset(key, 'k', sizeof key);
    for (size_t len = 1; len <= sizeof key; len++) {
        const uint64_t hash = pl_hash(key, len);

        assert_int_not_equal(hash, pl_hash(key, len - 1));
        for (size_t i = 0; i < len; i++) {
            key[i] = 'j';
            assert_int_not_equal(pl_hash(key, len), hash);
            key[i] = 'k';
        }
        assert_int_equal(pl_hash(key, len), hash);
    }
}

/* No slot gets crowded: the low bits, which choose it, are spread. */
static void low_bits_are_spread(void **state)
{
    static unsigned char in_slot[1 << 12];
    char text[32];
    unsigned most = 0;

    (void)state;
    for (size_t i = 0; i < 1 << 12; i++) {
        const size_t slot = pl_hash(text, (size_t)snprintf(text, sizeof text, "token%zu", i)) %
                            (sizeof in_slot / sizeof in_slot[0]);

        most = ++in_slot[slot] > most ? in_slot[slot] : most;
    }
    assert_in_range(most, 3, 10); /* as chance has it: about 6 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_under_their_number),
        cmocka_unit_test(any_bytes_are_a_key),
        cmocka_unit_test(keys_of_one_hash_are_told_apart),
        cmocka_unit_test(hashes_differ_where_keys_do),
        cmocka_unit_test(low_bits_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
