#include "common/base/json.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is built while memory is out lacks a part, and jansson says so only to who asks at each
 * call; of a text it says that it is malformed. So it is remembered here, in each thread.
 */
static _Thread_local bool starved;

static void *take(size_t n)
{
    void *p = malloc(n);

    starved |= p == NULL;
    return p;
}

__attribute__((constructor)) static void begin(void)
{
    json_set_alloc_funcs(take, free);
}

int pl_json_parse(const char *data, size_t len, const char *what, json_t **ret_root,
                  struct pl_error *err)
{
    const bool before = starved;
    bool no_memory;
    json_error_t at;
    json_t *root;

    starved = false;
    root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &at);
    no_memory = starved;
    starved = before;
    if (no_memory) {
        json_decref(root);
        return pl_fail(err, PL_ENOMEM, "%s: no memory to parse it", what);
    }
    if (!root)
        return pl_fail(err, PL_EFORMAT, "%s: line %d, column %d: %s", what, at.line, at.column,
                       at.text);
    *ret_root = root;
    return PL_OK;
}

int pl_json_load(const char *path, size_t bytes_max, json_t **ret_root, struct pl_error *err)
{
    char *data = NULL;
    size_t len = 0;
    int rc = pl_file_read(path, bytes_max, &data, &len, err);

    if (rc < 0)
        return rc;
    rc = pl_json_parse(data, len, path, ret_root, err);
    free(data);
    return rc;
}

/* With 15 digits where that reads back to the same numbers (1e-6, not 9.9999999999999995e-7), else
 * with the 17 that always do. */
static char *dump_exact(const json_t *root, int indent)
{
    const size_t flags = JSON_INDENT((size_t)indent) | JSON_ENCODE_ANY;
    char *text = json_dumps(root, flags | JSON_REAL_PRECISION(15));
    json_t *again = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    if (text && (!again || !json_equal(root, again))) { /* or too large once rounded */
        free(text);
        text = json_dumps(root, flags | JSON_REAL_PRECISION(17));
    }
    json_decref(again);
    return text;
}

int pl_json_save(const char *path, const json_t *root, int indent, struct pl_error *err)
{
    struct pl_outfile out;
    char *text = root ? dump_exact(root, indent) : NULL;
    const bool whole = text && !starved;
    int rc;

    starved = false;
    if (!whole) {
        free(text);
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to write it as JSON", path);
    }
    rc = pl_outfile_open(path, &out, err);
    if (rc < 0)
        goto out;
    rc = pl_outfile_write(&out, text, strlen(text), err);
    if (rc == PL_OK)
        rc = pl_outfile_write(&out, "\n", 1, err);
    if (rc < 0)
        pl_outfile_abort(&out);
    else
        rc = pl_outfile_commit(&out, err);
out:
    free(text);
    return rc;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static int wanted(const json_t *obj, const char *key, const char *what, const char *expected,
                  const json_t **ret, struct pl_error *err)
{
    const json_t *value = json_object_get(obj, key);

    if (!json_is_object(obj))
        return pl_fail(err, PL_EFORMAT, "%s: expected an object that holds '%s'", what, key);
    if (!value)
        return pl_fail(err, PL_EFORMAT, "%s: key '%s' is missing; expected %s", what, key,
                       expected);
    *ret = value;
    return PL_OK;
}

int pl_json_size(const json_t *obj, const char *key, const char *what, size_t least, size_t most,
                 size_t *ret, struct pl_error *err)
{
    const json_t *value = NULL;
    json_int_t n;
    int rc = wanted(obj, key, what, "an integer", &value, err);

    if (rc < 0)
        return rc;
    if (!json_is_integer(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected an integer", what, key,
                       type_name(value));
    n = json_integer_value(value);
    if (n < 0 || (uint64_t)n < least || (uint64_t)n > most)
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %lld; expected %zu to %zu", what, key,
                       (long long)n, least, most);
    *ret = (size_t)n;
    return PL_OK;
}

int pl_json_real(const json_t *obj, const char *key, const char *what, double least, double most,
                 double *ret, struct pl_error *err)
{
    const json_t *value = NULL;
    double x;
    int rc = wanted(obj, key, what, "a number", &value, err);

    if (rc < 0)
        return rc;
    if (!json_is_number(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected a number", what, key,
                       type_name(value));
    x = json_number_value(value);
    if (!(x >= least && x <= most))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %g; expected %g to %g", what, key, x, least,
                       most);
    *ret = x;
    return PL_OK;
}

int pl_json_bool(const json_t *obj, const char *key, const char *what, bool *ret,
                 struct pl_error *err)
{
    const json_t *value = NULL;
    int rc = wanted(obj, key, what, "true or false", &value, err);

    if (rc < 0)
        return rc;
    if (!json_is_boolean(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected true or false", what, key,
                       type_name(value));
    *ret = json_is_true(value);
    return PL_OK;
}

int pl_json_string(const json_t *obj, const char *key, const char *what, const char **ret,
                   struct pl_error *err)
{
    const json_t *value = NULL;
    int rc = wanted(obj, key, what, "a string", &value, err);

    if (rc < 0)
        return rc;
    if (!json_is_string(value))
        return pl_fail(err, PL_EFORMAT, "%s: '%s' is %s; expected a string", what, key,
                       type_name(value));
    *ret = json_string_value(value);
    return PL_OK;
}

bool pl_json_has(const json_t *obj, const char *key)
{
    const json_t *value = json_object_get(obj, key);

    return value && !json_is_null(value);
}

/* RFC 3629. */
size_t pl_json_char(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    const unsigned c = len > 0 ? p[0] : 0xFF;
    const size_t n = c < 0x80                ? 1
                     : c >= 0xC2 && c < 0xE0 ? 2
                     : c >= 0xE0 && c < 0xF0 ? 3
                     : c >= 0xF0 && c < 0xF5 ? 4
                                             : 0;

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) ||
        (c == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

int pl_json_quote(struct pl_buf *buf, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    int rc = pl_buf_append(buf, "\"", 1);

    for (size_t i = 0; rc == PL_OK && i < len;) {
        const size_t n = pl_json_char(text + i, len - i);

        if (n == 0)
            rc = pl_buf_puts(buf, "\xEF\xBF\xBD");
        else if (p[i] == '"' || p[i] == '\\')
            rc = pl_buf_printf(buf, "\\%c", p[i]);
        else if (p[i] == '\n')
            rc = pl_buf_puts(buf, "\\n");
        else if (p[i] < 0x20 || p[i] == 0x7F)
            rc = pl_buf_printf(buf, "\\u%04x", p[i]);
        else if (p[i] == 0xC2 && p[i + 1] < 0xA0) /* U+0080 to U+009F steer terminals too */
            rc = pl_buf_printf(buf, "\\u%04x", p[i + 1]);
        else
            rc = pl_buf_append(buf, text + i, n);
        i += n ? n : 1;
    }
    return rc < 0 ? rc : pl_buf_append(buf, "\"", 1);
}
