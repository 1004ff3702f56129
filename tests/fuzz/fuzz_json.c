/*
 * The JSON reader: what it takes is an object or array, written out and read again it is the same,
 * and getters keep within their bounds. The bytes quoted as a string are valid JSON.
 */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT) };

static void check_getters(const json_t *root)
{
    const char *key, *text;
    json_t *value;
    size_t n;
    double x;
    bool b;

    json_object_foreach((json_t *)root, key, value)
    {
        struct pl_error err = {0};
        int rc = pl_json_size(root, key, "fuzz", 3, 1000000, &n, &err);

        PL_ASSERT(rc == PL_OK ? json_is_integer(value) && n >= 3 && n <= 1000000
                              : rc == PL_EFORMAT && strstr(err.text, "fuzz: '"));
        rc = pl_json_real(root, key, "fuzz", -2.5, 1e6, &x, &err);
        PL_ASSERT(rc == PL_OK ? json_is_number(value) && x >= -2.5 && x <= 1e6 : rc == PL_EFORMAT);
        rc = pl_json_bool(root, key, "fuzz", &b, &err);
        PL_ASSERT(rc == PL_OK ? json_is_boolean(value) && b == json_is_true(value)
                              : rc == PL_EFORMAT);
        rc = pl_json_string(root, key, "fuzz", &text, &err);
        PL_ASSERT(rc == PL_OK ? json_is_string(value) && strlen(text) == json_string_length(value)
                              : rc == PL_EFORMAT);
        PL_ASSERT(pl_json_has(root, key) == !json_is_null(value));
    }
    PL_ASSERT(pl_json_has(root, "no such key") == (json_object_get(root, "no such key") != NULL));
}

static void check_parse(const char *data, size_t size)
{
    struct pl_error err = {0};
    json_t *root = NULL, *again = NULL;
    char *text;
    const int rc = pl_json_parse(data, size, "fuzz", &root, &err);

    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
        PL_ASSERT(!root);
        PL_ASSERT(strncmp(err.text, "fuzz: line ", 11) == 0);
        return;
    }
    PL_ASSERT(json_is_object(root) || json_is_array(root));
    check_getters(root);
    text = json_dumps(root, JSON_REAL_PRECISION(17));
    PL_ASSERT(text);
    PL_ASSERT(pl_json_parse(text, strlen(text), "again", &again, &err) == PL_OK);
    PL_ASSERT(json_equal(root, again));
    free(text);
    json_decref(again);
    json_decref(root);
}

/* Quoted, any bytes are a JSON string; of well-formed UTF-8 it is the same text. */
static void check_quote(const char *data, size_t size)
{
    struct pl_buf buf;
    json_t *string;

    pl_buf_init(&buf, SIZE_MAX / 2);
    PL_ASSERT(pl_json_quote(&buf, data, size) == PL_OK);
    string = json_loadb(buf.data, buf.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    PL_ASSERT(string && json_is_string(string));
    if (pl_utf8_valid(data, size))
        PL_ASSERT(json_string_length(string) == size &&
                  memcmp(json_string_value(string), data, size) == 0);
    else
        PL_ASSERT(strstr(json_string_value(string), PL_UTF8_REPLACEMENT) ||
                  memchr(data, '\0', size));
    for (const char *p = buf.data; *p; p++)
        PL_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7F);
    json_decref(string);
    pl_buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_parse((const char *)data, size);
    check_quote((const char *)data, size);
    return 0;
}
