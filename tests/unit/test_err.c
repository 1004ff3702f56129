/* Codes and the sentence that goes with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"

#include <errno.h>
#include <string.h>

static void a_failure_is_a_code_and_a_sentence(void **state)
{
    (void)state;
    struct pl_error err = {0};

    assert_int_equal(pl_fail(&err, PL_EFORMAT, "'%s': line %d is no number", "f", 3), PL_EFORMAT);
    assert_int_equal(err.code, PL_EFORMAT);
    assert_string_equal(err.text, "'f': line 3 is no number");
    assert_int_equal(pl_fail(NULL, PL_EFULL, "nobody asks %d", 1), PL_EFULL);
}

static void errno_has_its_code_and_words(void **state)
{
    (void)state;
    struct pl_error err;

    errno = ENOENT;
    assert_int_equal(pl_fail_errno(&err, "open '%s'", "f"), PL_ENOENT);
    assert_string_equal(err.text, "open 'f': No such file or directory");
    assert_int_equal(err.code, PL_ENOENT);
    errno = ENOMEM;
    assert_int_equal(pl_fail_errno(&err, "map"), PL_ENOMEM);
    assert_string_equal(err.text, "map: Cannot allocate memory");
    errno = EACCES;
    assert_int_equal(pl_fail_errno(&err, "open"), PL_EIO);
    assert_string_equal(err.text, "open: Permission denied");
    errno = ENOENT;
    assert_int_equal(pl_fail_errno(NULL, "open"), PL_ENOENT);
}

static void a_caller_says_where(void **state)
{
    (void)state;
    struct pl_error err;

    pl_fail(&err, PL_EFORMAT, "a key is missing");
    assert_int_equal(pl_fail_in(&err, PL_EINVAL, "model '%s'", "m"), PL_EINVAL);
    assert_int_equal(err.code, PL_EINVAL);
    assert_string_equal(err.text, "model 'm': a key is missing");
    assert_int_equal(pl_fail_in(NULL, PL_EINVAL, "model"), PL_EINVAL);
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char many[2000];
    struct pl_error err;

    memset(many, 'm', sizeof many);
    many[sizeof many - 1] = '\0';
    pl_fail(&err, PL_EIO, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    pl_fail_in(&err, PL_EIO, "%s", "x");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "x: mmm", 6);
    errno = EIO;
    pl_fail_errno(&err, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    pl_fail_in(&err, PL_EIO, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void codes_have_names(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *name;
    } all[] = {
        {PL_OK, "OK"},
        {PL_EINVAL, "EINVAL"},
        {PL_ENOMEM, "ENOMEM"},
        {PL_EIO, "EIO"},
        {PL_EFORMAT, "EFORMAT"},
        {PL_EFULL, "EFULL"},
        {PL_ENOENT, "ENOENT"},
        {PL_ECANCELED, "ECANCELED"},
        {PL_EUNSUPPORTED, "EUNSUPPORTED"},
        {PL_EAGAIN, "EAGAIN"},
        {1, "E?"},
        {-99, "E?"},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_equal(pl_code_name(all[i].code), all[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_a_code_and_a_sentence),
        cmocka_unit_test(errno_has_its_code_and_words),
        cmocka_unit_test(a_caller_says_where),
        cmocka_unit_test(long_sentences_are_cut),
        cmocka_unit_test(codes_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
