/*
 * Who made a rollout: an actor answers for its own name with its own key, those that share a key
 * for each other; what is signed as something else, or by nobody, is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/link/allow.h"
#include "common/link/key_folder.h"
#include "common/link/vouch.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *names[] = {(char *)"actor", (char *)"actor-1", (char *)"actor-2"};
static struct pl_keys *keys[3];
static struct pl_voucher *voucher;

static int setup(void **state)
{
    struct pl_error err = {0};

    if (pl_scratch_setup(state) < 0)
        return -1;
    if (pl_key_folder_make(pl_scratch("keys"), names, 3, &err) < 0 ||
        pl_voucher_open(pl_scratch("keys/allow"), &voucher, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    for (size_t i = 0; i < 3; i++) {
        const struct pl_keys_opts opts = {
            .dir = pl_scratch("keys"), .name = names[i], .role = "actor"};

        if (pl_keys_load(&opts, &keys[i], &err) < 0) {
            print_error("%s\n", err.text);
            return -1;
        }
    }
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < 3; i++)
        pl_keys_destroy(keys[i]);
    pl_voucher_close(voucher);
    pl_voucher_close(NULL);
    return pl_scratch_teardown(state);
}

static const struct pl_vouched of_1 = {
    .run = "r", .group = "3:1", .actor = "actor-1", .rollouts = "tokens", .len = 6};

static int check(const struct pl_vouched *what, const char *hex, struct pl_error *err)
{
    *err = (struct pl_error){0};
    return pl_voucher_check(voucher, what, hex, err);
}

static void a_name_answers_for_itself(void **state)
{
    struct pl_vouched shared = of_1;
    char hex[PL_VOUCH_HEX + 1];
    struct pl_error err;

    (void)state;
    pl_vouch_sign(keys[1], &of_1, hex);
    assert_int_equal(check(&of_1, hex, &err), PL_OK);
    for (size_t i = 0; i < 3; i += 2) { /* the shared key, and another's */
        pl_vouch_sign(keys[i], &of_1, hex);
        assert_int_equal(check(&of_1, hex, &err), PL_EINVAL);
        pl_assert_says(&err, "what is said to be of actor 'actor-1' is not signed by a key that "
                             "the list has for 'actor-1'");
    }
    shared.actor = "actor-9"; /* has no line of its own */
    pl_vouch_sign(keys[0], &shared, hex);
    assert_int_equal(check(&shared, hex, &err), PL_OK);
    pl_vouch_sign(keys[1], &shared, hex);
    assert_int_equal(check(&shared, hex, &err), PL_EINVAL);
    pl_assert_says(&err, "what is said to be of actor 'actor-9' is not signed by a key that the "
                         "list has for 'actor'");
}

static void all_of_it_is_signed(void **state)
{
    struct pl_vouched other[] = {of_1, of_1, of_1, of_1, of_1};
    char hex[PL_VOUCH_HEX + 1];
    struct pl_error err;

    (void)state;
    other[0].run = "s";
    other[1].group = "3:2";
    other[2].rollouts = "Tokens";
    other[3].len = 5;
    other[4].run = "r3:1"; /* a word does not run into the next */
    other[4].group = "";
    pl_vouch_sign(keys[1], &of_1, hex);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (check(&other[i], hex, &err) != PL_EINVAL)
            fail_msg("case %zu is taken", i);
    for (size_t i = 0; i < PL_VOUCH_HEX; i++) {
        const char was = hex[i];

        hex[i] = was == '0' ? '1' : '0';
        assert_int_equal(check(&of_1, hex, &err), PL_EINVAL);
        hex[i] = was;
    }
    assert_int_equal(check(&of_1, hex, &err), PL_OK);
}

static void what_is_no_signature_is_refused(void **state)
{
    static const char *const none[] = {"", "00", "x", "not hexadecimal at all"};
    char hex[PL_VOUCH_HEX + 1], longer[PL_VOUCH_HEX + 3];
    struct pl_error err;

    (void)state;
    pl_vouch_sign(keys[1], &of_1, hex);
    snprintf(longer, sizeof longer, "%s00", hex);
    assert_int_equal(check(&of_1, longer, &err), PL_EINVAL);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal(check(&of_1, none[i], &err), PL_EINVAL);
        pl_assert_says(&err, "what actor 'actor-1' handed over is not signed: does it run with "
                             "'link.keys'?");
    }
}

/* The list is followed: two lines while a key is changed, and nobody without one. */
static void the_list_is_followed(void **state)
{
    char *list, *line, hex[PL_VOUCH_HEX + 1], again[PL_VOUCH_HEX + 1];
    struct pl_allowed more = {.name = "actor-1", .signs = true};
    struct pl_buf text;
    struct pl_error err;
    size_t len;

    (void)state;
    list = pl_scratch_read(pl_scratch("keys/allow"), &len);
    memcpy(more.curve, keys[2]->own.curve, sizeof more.curve);
    memcpy(more.sign, keys[2]->own.sign, sizeof more.sign);
    pl_buf_init(&text, 1 << 20);
    assert_int_equal(pl_buf_append(&text, list, len), PL_OK);
    assert_int_equal(pl_allow_print(&more, &text), PL_OK);
    pl_scratch_text(pl_scratch("keys/allow"), text.data);
    pl_vouch_sign(keys[1], &of_1, hex);
    pl_vouch_sign(keys[2], &of_1, again);
    assert_int_equal(check(&of_1, hex, &err), PL_OK);
    assert_int_equal(check(&of_1, again, &err), PL_OK);

    line = strstr(list, "\nactor-2 ");
    assert_non_null(line);
    pl_scratch_text(pl_scratch("keys/allow"), line);
    assert_int_equal(check(&of_1, hex, &err), PL_EINVAL);
    pl_assert_says(&err, "the list of keys names neither actor 'actor-1' nor 'actor'");

    /* One that may ask for scores, and has no key to sign with. */
    more.signs = false;
    pl_buf_clear(&text);
    assert_int_equal(pl_allow_print(&more, &text), PL_OK);
    pl_scratch_text(pl_scratch("keys/allow"), text.data);
    assert_int_equal(check(&of_1, again, &err), PL_EINVAL);
    pl_scratch_text(pl_scratch("keys/allow"), list);
    assert_int_equal(check(&of_1, hex, &err), PL_OK);
    pl_buf_release(&text);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_answers_for_itself),
        cmocka_unit_test(all_of_it_is_signed),
        cmocka_unit_test(what_is_no_signature_is_refused),
        cmocka_unit_test(the_list_is_followed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
