/* JSON from outside: what is refused, the checked getters and their sentences, quoting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pl_error err;

static json_t *parse(const char *text)
{
    json_t *root = NULL;

    if (pl_json_parse(text, strlen(text), "doc", &root, &err) < 0)
        fail_msg("%s", err.text);
    return root;
}

static void assert_refused(const char *text, size_t len, const char *part)
{
    json_t *root = NULL;

    assert_int_equal(pl_json_parse(text, len, "doc", &root, &err), PL_EFORMAT);
    assert_null(root);
    if (!strstr(err.text, part))
        fail_msg("'%s' does not have '%s'", err.text, part);
}

static void what_is_no_document_is_refused(void **state)
{
    (void)state;
    static const char nul[] = "{\"a\": \"b\\u0000c\"}";
    char deep[6000];

    assert_refused("", 0, "doc: line 1, column 0: ");
    assert_refused("{\"a\": 1, \"a\": 2}", 16, "doc: line 1, column 12: duplicate object key");
    assert_refused("{\"a\": 1} x", 10, "end of file expected");
    assert_refused("{\"a\":\n 1,}", 10, "doc: line 2, column ");
    assert_refused("[1, 2", 5, "doc: line 1");
    assert_refused("{\"a\": NaN}", 10, "invalid token");
    assert_refused("{\"a\": \"\xff\"}", 10, "unable to decode byte 0xff");
    assert_refused(nul, sizeof nul - 1, "\\u0000 is not allowed");
    assert_refused("{\"a\": 99999999999999999999}", 27, "too big integer");
    assert_refused("{\"a\": 1e999}", 12, "real number overflow");
    assert_refused("7", 1, "'[' or '{' expected");
    memset(deep, '[', sizeof deep);
    assert_refused(deep, sizeof deep, "maximum parsing depth");
    /* `len` ends it, not a NUL */
    json_decref(parse("{}"));
    json_t *root = NULL;

    assert_int_equal(pl_json_parse("[1]garbage", 3, "doc", &root, &err), PL_OK);
    json_decref(root);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    json_t *root = parse("{\"n\": 7, \"neg\": -1, \"real\": 7.0, \"s\": \"7\", \"null\": null, "
                         "\"big\": 9223372036854775807, \"b\": true, \"o\": {}, \"a\": []}");
    size_t n = 99;

    assert_int_equal(pl_json_size(root, "n", "doc", 7, 7, &n, &err), PL_OK);
    assert_int_equal(n, 7);
    assert_int_equal(pl_json_size(root, "big", "doc", 0, SIZE_MAX, &n, &err), PL_OK);
    assert_true(n == INT64_MAX);
    n = 99;
    assert_int_equal(pl_json_size(root, "n", "doc", 8, 10, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'n' is 7; expected 8 to 10");
    assert_int_equal(pl_json_size(root, "n", "doc", 0, 6, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'n' is 7; expected 0 to 6");
    assert_int_equal(pl_json_size(root, "neg", "doc", 0, SIZE_MAX, &n, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "doc: 'neg' is -1; expected 0 to "));
    assert_int_equal(pl_json_size(root, "none", "doc", 0, 6, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: key 'none' is missing; expected an integer");
    assert_int_equal(pl_json_size(root, "real", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'real' is a number; expected an integer");
    assert_int_equal(pl_json_size(root, "s", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 's' is a string; expected an integer");
    assert_int_equal(pl_json_size(root, "null", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'null' is null; expected an integer");
    assert_int_equal(pl_json_size(root, "b", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'b' is a boolean; expected an integer");
    assert_int_equal(pl_json_size(root, "o", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'o' is an object; expected an integer");
    assert_int_equal(pl_json_size(root, "a", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'a' is an array; expected an integer");
    assert_int_equal(n, 99); /* set only on success */
    json_t *array = json_object_get(root, "a");

    assert_int_equal(pl_json_size(array, "n", "doc", 0, 9, &n, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: expected an object that holds 'n'");
    json_decref(root);
}

static void the_other_kinds_are_checked(void **state)
{
    (void)state;
    json_t *root = parse("{\"x\": 0.5, \"i\": 3, \"t\": true, \"f\": false, \"s\": \"text\", "
                         "\"null\": null}");
    double x = 99.0;
    bool b = false;
    const char *s = NULL;

    assert_int_equal(pl_json_real(root, "x", "doc", 0.5, 0.5, &x, &err), PL_OK);
    assert_true(x == 0.5);
    assert_int_equal(pl_json_real(root, "i", "doc", 0.0, 3.0, &x, &err), PL_OK);
    assert_true(x == 3.0);
    assert_int_equal(pl_json_real(root, "x", "doc", 0.6, 1.0, &x, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'x' is 0.5; expected 0.6 to 1");
    assert_int_equal(pl_json_real(root, "s", "doc", 0.0, 1.0, &x, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 's' is a string; expected a number");
    assert_int_equal(pl_json_real(root, "y", "doc", 0.0, 1.0, &x, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: key 'y' is missing; expected a number");

    assert_int_equal(pl_json_bool(root, "t", "doc", &b, &err), PL_OK);
    assert_true(b);
    assert_int_equal(pl_json_bool(root, "f", "doc", &b, &err), PL_OK);
    assert_false(b);
    assert_int_equal(pl_json_bool(root, "i", "doc", &b, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 'i' is an integer; expected true or false");

    assert_int_equal(pl_json_string(root, "s", "doc", &s, &err), PL_OK);
    assert_string_equal(s, "text");
    assert_int_equal(pl_json_string(root, "t", "doc", &s, &err), PL_EFORMAT);
    assert_string_equal(err.text, "doc: 't' is a boolean; expected a string");

    assert_true(pl_json_has(root, "s"));
    assert_true(pl_json_has(root, "f"));
    assert_false(pl_json_has(root, "null"));
    assert_false(pl_json_has(root, "none"));
    assert_false(pl_json_has(NULL, "none"));
    json_decref(root);
}

static void files_are_read_and_written(void **state)
{
    (void)state;
    char path[] = "/tmp/plait-test-json-XXXXXX";
    json_t *root = parse("{\"z\": 1, \"a\": [0.5, 2], \"n\": null}"), *back = NULL;
    char *text = NULL;
    size_t len;
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pl_json_save(path, root, 2, &err), PL_OK);
    assert_int_equal(pl_file_read(path, 1000, &text, &len, &err), PL_OK);
    assert_string_equal(text, "{\n  \"z\": 1,\n  \"a\": [\n    0.5,\n    2\n  ],\n  "
                              "\"n\": null\n}\n");
    free(text);
    json_decref(root);
    root = parse("{\"x\": [0.1, 1e300, -3.3333333333333335e-5, 1.7976931348623157e308]}");
    assert_int_equal(pl_json_save(path, root, 0, &err), PL_OK);
    assert_int_equal(pl_json_load(path, 1000, &back, &err), PL_OK);
    assert_true(json_equal(root, back)); /* to the bit */
    json_decref(back);
    back = NULL;
    assert_int_equal(pl_json_load(path, 10, &back, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "more than the 10 expected at most"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pl_json_load(path, 10, &back, &err), PL_ENOENT);
    assert_null(back);
    assert_int_equal(pl_json_save("/nowhere/at/all.json", root, 0, &err), PL_ENOENT);
    json_decref(root);
}

static void assert_quoted(const char *text, size_t len, const char *want)
{
    struct pl_buf buf;

    pl_buf_init(&buf, 1000);
    assert_int_equal(pl_json_quote(&buf, text, len), PL_OK);
    assert_string_equal(buf.data, want);
    pl_buf_release(&buf);
}

static void text_is_quoted(void **state)
{
    (void)state;
    struct pl_buf buf;

    assert_quoted("", 0, "\"\"");
    assert_quoted("a\"b\\c\nd\te\x7f/", 11, "\"a\\\"b\\\\c\\nd\\u0009e\\u007f/\"");
    assert_quoted("\0", 1, "\"\\u0000\"");
    assert_quoted("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9,
                  "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    /* a lone continuation, overlong, a surrogate, too high, cut off */
    assert_quoted("\x80x", 2, "\"\xEF\xBF\xBDx\"");
    assert_quoted("\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_quoted("\xE0\x80\xAF", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_quoted("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_quoted("\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_quoted("\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    pl_buf_init(&buf, 4);
    assert_int_equal(pl_json_quote(&buf, "abc", 3), PL_EFULL);
    pl_buf_release(&buf);
}

/* Every byte string becomes a string that jansson reads back. */
static void whatever_is_quoted_can_be_read(void **state)
{
    (void)state;
    struct pl_buf buf;

    pl_buf_init(&buf, 100);
    for (unsigned i = 0; i < 65536; i++) {
        const char pair[3] = {(char)(i >> 8), (char)i, 'x'};
        json_t *value;

        if (i >> 8 == 0 || (i & 0xFF) == 0)
            continue; /* NUL is refused by readers on purpose */
        pl_buf_clear(&buf);
        assert_int_equal(pl_json_quote(&buf, pair, 3), PL_OK);
        value = json_loadb(buf.data, buf.len, JSON_DECODE_ANY, NULL);
        assert_true(json_is_string(value));
        assert_int_equal(json_string_value(value)[json_string_length(value) - 1], 'x');
        json_decref(value);
    }
    pl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_document_is_refused),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(the_other_kinds_are_checked),
        cmocka_unit_test(files_are_read_and_written),
        cmocka_unit_test(text_is_quoted),
        cmocka_unit_test(whatever_is_quoted_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
