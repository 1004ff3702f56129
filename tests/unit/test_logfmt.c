/*
 * Lines that are written and read back: whatever strings hold stays in its value, and so it is for
 * the format of each line that any program logs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/logfmt.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[2048], value[2048];

/* The value of `key` in `line`, its first. */
static const char *of(const char *line, const char *key)
{
    struct pl_logfmt_field f;

    while (pl_logfmt_next(&line, &f))
        if (f.key_len == strlen(key) && memcmp(f.key, key, f.key_len) == 0) {
            pl_logfmt_value(&f, value, sizeof value);
            return value;
        }
    return NULL;
}

static size_t pieces(const char *line)
{
    struct pl_logfmt_field f;
    size_t n = 0;

    while (pl_logfmt_next(&line, &f))
        n++;
    return n;
}

/* What others wrote: each must come back as it is, and bring nothing with it. */
static const char *const hostile[] = {
    "",
    "plain",
    "two words",
    "\" group=9:9 event=forged x=\"",
    "ends with \\",
    "\\\"",
    "a=b c=\"d\"",
    "first\nsecond\r\tthird",
    "\x1b[31mred\x1b[0m\x7f",
    "\xc2\x9b"
    "31m",
    "\xe2\x80\xae"
    "reversed",
    "no UTF-8 \xff\xc3",
    "gr\xc3\xbc\xc3\x9f",
    "\\n \\x41 stays",
};

static void what_strings_hold_stays_in_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        pl_logfmt_print(text, sizeof text,
                        "refused group=%s actor=%s n=%d reason=\"by '%s'\" last=1", hostile[i],
                        hostile[i], 7, hostile[i]);
        assert_int_equal(pieces(text), 6);
        assert_string_equal(of(text, "group"), hostile[i]);
        assert_string_equal(of(text, "actor"), hostile[i]);
        assert_string_equal(of(text, "n"), "7");
        assert_memory_equal(of(text, "reason"), "by '", 4);
        assert_memory_equal(value + 4, hostile[i], strlen(hostile[i]));
        assert_string_equal(of(text, "last"), "1");
        for (const char *at = text; *at; at++)
            assert_in_range((unsigned char)*at, ' ', 0xff);
        assert_null(strstr(text, "\x7f"));
        assert_null(strstr(text, "\xc2\x9b"));
        assert_null(strstr(text, "\xe2\x80\xae"));
    }
    pl_logfmt_print(text, sizeof text, "x text=\"%s\" word=%s", "a\"b\n", "a b=\x01");
    assert_string_equal(text, "x text=\"a\\\"b\\n\" word=a\\x20b\\x3d\\x01");
}

/* As printf() writes them. */
static void numbers_are_as_printf_writes_them(void **state)
{
    char want[2048];

#define SAME(...)                                                                                  \
    do {                                                                                           \
        snprintf(want, sizeof want, __VA_ARGS__);                                                  \
        assert_int_equal(pl_logfmt_print(text, sizeof text, __VA_ARGS__), strlen(want));           \
        assert_string_equal(text, want);                                                           \
    } while (0)
    (void)state;
    SAME("a=%d b=%i c=%u d=%x e=%X f=%o g=%c h=%%", -1, 2, 3u, 0xabcu, 0xabcu, 8u, 'c');
    SAME("a=%ld b=%lld c=%lu d=%llu e=%zu f=%zd g=%jd h=%ju", -1L, -2LL, 3UL, ~0ULL, (size_t)5,
         (ptrdiff_t)-6, (intmax_t)-7, (uintmax_t)8);
    SAME("a=%hhd b=%hd c=%hhu d=%hu", (signed char)-1, (short)-2, (unsigned char)255,
         (unsigned short)65535);
    SAME("a=%f b=%.3f c=%g d=%.0f e=%.3g f=%9.2e g=%+d h=%05d i=%-4d.", 1.5, -2.0, 1e300, 2.5, 1e-9,
         3.25, 4, 5, 6);
    SAME("a=%f b=%g c=%.*f d=%*d", 1e300, 0.0 / 0.0, 2, 1.239, 6, 42);
    SAME("a=%.3s b=%.*s c=%s", "abcdef", 2, "xyz", "whole");
    SAME("p=%p", (void *)text);
#undef SAME
}

static void a_line_that_is_too_long_still_reads(void **state)
{
    char many[600];

    (void)state;
    memset(many, '"', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    for (size_t size = 16; size < 400; size++) {
        const size_t n = pl_logfmt_print(text, size, "event a=\"%s\" b=1", many);

        assert_int_equal(n, strlen(text));
        assert_in_range(n, 1, size - 1);
        assert_int_equal(pieces(text), 2);
        for (const char *at = of(text, "a"); *at; at++)
            assert_int_equal(*at, '"');
        if (strlen(text) > 9)
            assert_int_equal(text[n - 1], '"');
    }
    for (size_t size = 8; size < 40; size++) { /* characters are whole */
        pl_logfmt_print(text, size, "x a=\"%s\"",
                        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
        assert_int_equal(strlen(of(text, "a")) % 3, 0);
    }
}

static bool number(const char *word)
{
    struct pl_logfmt_field f;
    char line[128];
    const char *at = line;

    snprintf(line, sizeof line, "n=%s", word);
    return pl_logfmt_next(&at, &f) && pl_logfmt_is_number(&f);
}

static void numbers_are_told_from_words(void **state)
{
    static const char *const yes[] = {"0", "-1", "12.50", "1e-09", "3.2E+5", "123456789012345"};
    static const char *const no[] = {
        "",    "01",    "1.",  ".5",  "nan",  "-",     "1e",
        "1e+", "1e400", "0x1", "1,5", "12:3", "\"1\"", "1234567890123456",
        "--1", "inf"};

    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!number(yes[i]))
            fail_msg("'%s' is taken for no number", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (number(no[i]))
            fail_msg("'%s' is taken for a number", no[i]);
}

static void any_text_has_pieces(void **state)
{
    static const char *const lines[] = {"=",       "=\"",   "a=\"", "a=\"\\",
                                        "\"a b\"", "a=b=c", "\\x",  "a==\"x"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *at = lines[i];
        struct pl_logfmt_field f;

        while (pl_logfmt_next(&at, &f)) {
            assert_true(f.value + f.value_len <= lines[i] + strlen(lines[i]));
            pl_logfmt_value(&f, value, sizeof value);
            pl_logfmt_value(&f, value, 1);
            assert_string_equal(value, "");
        }
    }
}

/* ---- the lines of the programs ---- */

static size_t formats;
static const char *source;

/* Put together what stands between quotes behind `at`, up to a comma or a bracket that ends the
 * argument; NULL: there is something else. */
static const char *read_literal(const char *at, char *format, size_t size)
{
    size_t len = 0;

    for (;;) {
        while (isspace((unsigned char)*at))
            at++;
        if (*at == ',' || *at == ')')
            break;
        if (*at++ != '"')
            return NULL;
        for (; *at && *at != '"'; at++) {
            at += *at == '\\';
            assert_true(len + 1 < size);
            format[len++] = *at;
        }
        at++;
    }
    format[len] = '\0';
    return len > 0 ? at : NULL;
}

/* Every conversion becomes %s: in quotes 'h' is put in, elsewhere a word. */
static size_t only_strings(const char *format, char *out, bool quoted[16])
{
    bool in = false;
    size_t n = 0;

    while (*format) {
        if (*format == '"')
            in = !in;
        if (format[0] != '%') {
            *out++ = *format++;
            continue;
        }
        format += 1 + strcspn(format + 1, "diuxXocspeEfFgGaA%");
        format++;
        assert_true(n < 16);
        quoted[n++] = in;
        *out++ = '%';
        *out++ = 's';
    }
    *out = '\0';
    return n;
}

/* Keys in a format: what stands before a '=' outside of quotes. */
static size_t keys_of(const char *format)
{
    bool in = false;
    size_t n = 0;

    for (; *format; format++) {
        in ^= *format == '"';
        n += *format == '=' && !in;
    }
    return n;
}

static void check_format(const char *path, const char *format)
{
    char plain[1024], keys[32][64];
    bool quoted[16] = {0};
    const char *args[16];
    struct pl_logfmt_field f;
    size_t n = only_strings(format, plain, quoted), key_count = 0, words = 0;

    for (size_t i = 0; i < 16; i++)
        args[i] = i < n && quoted[i] ? hostile[3] : "12";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    pl_logfmt_print(text, sizeof text, plain, args[0], args[1], args[2], args[3], args[4], args[5],
                    args[6], args[7], args[8], args[9], args[10], args[11], args[12], args[13],
                    args[14], args[15]);
#pragma GCC diagnostic pop
    for (const char *at = text; pl_logfmt_next(&at, &f);) {
        if (f.key_len == 0) {
            words++;
            if (key_count > 0)
                fail_msg("%s: a word without a key in '%s'", path, format);
            continue;
        }
        snprintf(keys[key_count], sizeof keys[0], "%.*s", (int)f.key_len, f.key);
        if (strspn(keys[key_count], "abcdefghijklmnopqrstuvwxyz_0123456789") != f.key_len)
            fail_msg("%s: '%s' is no key, in '%s'", path, keys[key_count], format);
        for (size_t i = 0; i < key_count; i++)
            if (strcmp(keys[i], keys[key_count]) == 0)
                fail_msg("%s: '%s' twice in '%s'", path, keys[i], format);
        key_count++;
        assert_true(key_count < 32);
    }
    if (words != 1)
        fail_msg("%s: %zu events in '%s'; a line begins with one word", path, words, format);
    if (key_count != keys_of(format))
        fail_msg("%s: '%s' was read as '%s'", path, format, text);
    formats++;
}

static void check_file(const char *path)
{
    static const char *const calls[] = {"pl_info(", "pl_warn(", "pl_err(", "pl_debug("};
    char *data = NULL, format[1024];
    size_t len;

    assert_int_equal(pl_file_read(path, 1 << 22, &data, &len, NULL), 0);
    for (size_t c = 0; c < 4; c++)
        for (const char *at = data; (at = strstr(at, calls[c]));) {
            const char *begin = at;

            at += strlen(calls[c]);
            if (begin > data && (isalnum((unsigned char)begin[-1]) || begin[-1] == '_'))
                continue;
            if (!read_literal(at, format, sizeof format))
                fail_msg("%s: %.60s: a line's format must stand where it is logged", path, begin);
            check_format(path, format);
        }
    free(data);
}

static void check_folder(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        char *below = NULL;

        if (e->d_name[0] == '.' || asprintf(&below, "%s/%s", path, e->d_name) < 0)
            continue;
        if (e->d_type == DT_DIR)
            check_folder(below);
        else if (strlen(e->d_name) > 2 && strcmp(e->d_name + strlen(e->d_name) - 2, ".c") == 0)
            check_file(below);
        free(below);
    }
    closedir(dir);
}

static void each_line_of_the_programs_reads_back(void **state)
{
    static const char *const folders[] = {"actor", "learner", "rewarder", "common", "deploy"};

    (void)state;
    source = getenv("PLAIT_TEST_SOURCE");
    if (!source)
        skip();
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", source, folders[i]);
        check_folder(path);
    }
    assert_in_range(formats, 30, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_strings_hold_stays_in_its_value),
        cmocka_unit_test(numbers_are_as_printf_writes_them),
        cmocka_unit_test(a_line_that_is_too_long_still_reads),
        cmocka_unit_test(numbers_are_told_from_words),
        cmocka_unit_test(any_text_has_pieces),
        cmocka_unit_test(each_line_of_the_programs_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
