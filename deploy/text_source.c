#include "deploy/text_source.h"

#include "common/base/buf.h"
#include "common/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 1 << 20,
    BLOCK_BYTES_MAX = 16 << 20,
    LINE_BYTES_MAX = 64 << 20,
    TEXT_BYTES_MAX = 1 << 30,
};

struct reading {
    const struct pl_text_source *source;
    FILE *stream;
    const char *name;
    uint64_t done; /* bytes that have been given on */
    size_t line;   /* number of the one at hand */
    pl_text_fn *fn;
    void *at;
};

/* Read some more behind what is in buf; *ret_end at the end of the file. */
static int read_more(const struct reading *reading, struct pl_buf *buf, bool *ret_end,
                     struct pl_error *err)
{
    size_t n;

    if (pl_buf_reserve(buf, READ_BYTES) < 0)
        return buf->len + READ_BYTES > buf->bytes_max
                   ? pl_fail(err, PL_EFORMAT, "'%s' has more than the %zu bytes expected at most",
                             reading->name, buf->bytes_max - READ_BYTES)
                   : pl_fail(err, PL_ENOMEM, "'%s': no memory to read on", reading->name);
    n = fread(buf->data + buf->len, 1, READ_BYTES, reading->stream);
    if (ferror(reading->stream))
        return pl_fail_errno(err, "read '%s'", reading->name);
    buf->len += n;
    buf->data[buf->len] = '\0';
    *ret_end = n < READ_BYTES && feof(reading->stream);
    return PL_OK;
}

static int give(struct reading *reading, const char *text, size_t len, struct pl_error *err)
{
    reading->done += len;
    return reading->fn(reading->at, text, len, reading->done, err);
}

static int give_whole(struct reading *reading, struct pl_error *err)
{
    struct pl_buf buf;
    bool end = false;
    int rc = PL_OK;

    pl_buf_init(&buf, (size_t)TEXT_BYTES_MAX + READ_BYTES);
    while (rc == PL_OK && !end)
        rc = read_more(reading, &buf, &end, err);
    if (rc == PL_OK)
        rc = give(reading, buf.data, buf.len, err);
    pl_buf_release(&buf);
    return rc;
}

/* Where the text can be cut without cutting a word, as late as possible; 0: nowhere. */
static size_t last_seam(const char *data, size_t len)
{
    for (size_t at = len - 1; at > 0; at--) {
        if (data[at - 1] == '\n' && data[at] > 0x20 && data[at] < 0x7F)
            return at;
    }
    return 0;
}

/* Before a space, or if there is none, before a byte that begins a character. */
static size_t forced_seam(const char *data, size_t len)
{
    size_t at = len - 1;

    while (at > len / 2 && data[at] != ' ')
        at--;
    if (data[at] == ' ')
        return at;
    for (at = len - 1; at > len / 2 && ((unsigned char)data[at] & 0xC0) == 0x80;)
        at--;
    return at;
}

static int give_blocks(struct reading *reading, struct pl_error *err)
{
    struct pl_buf buf;
    bool end = false;
    int rc = PL_OK;

    pl_buf_init(&buf, BLOCK_BYTES_MAX + 2 * READ_BYTES);
    while (rc == PL_OK && !end) {
        size_t seam;

        rc = read_more(reading, &buf, &end, err);
        if (rc < 0 || buf.len == 0)
            break;
        seam = end ? buf.len : last_seam(buf.data, buf.len);
        if (seam == 0 && buf.len >= BLOCK_BYTES_MAX)
            seam = forced_seam(buf.data, buf.len);
        if (seam == 0)
            continue;
        rc = give(reading, buf.data, seam, err);
        memmove(buf.data, buf.data + seam, buf.len - seam + 1);
        buf.len -= seam;
    }
    pl_buf_release(&buf);
    return rc;
}

static int bad_line(const struct reading *reading, const char *what, struct pl_error *err)
{
    return pl_fail(err, PL_EFORMAT, "'%s' line %zu: %s", reading->name, reading->line, what);
}

static int give_string(struct reading *reading, const json_t *value, const char *key,
                       struct pl_error *err)
{
    if (!json_is_string(value))
        return key ? pl_fail(err, PL_EFORMAT, "'%s' line %zu: '%s' is %s; expected a string",
                             reading->name, reading->line, key, value ? "no string" : "missing")
                   : bad_line(reading, "expected a JSON string or an object", err);
    return reading->fn(reading->at, json_string_value(value), json_string_length(value),
                       reading->done, err);
}

static int give_json(struct reading *reading, const char *line, size_t len, struct pl_error *err)
{
    static char text[] = "text";
    static char *const one[] = {text, NULL};
    char *const *fields = reading->source->fields ? reading->source->fields : one;
    json_error_t where;
    json_t *value =
        json_loadb(line, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    int rc = PL_OK;

    if (!value)
        return pl_fail(err, PL_EFORMAT, "'%s' line %zu, column %d: %s", reading->name,
                       reading->line, where.column, where.text);
    if (!json_is_object(value))
        rc = give_string(reading, value, NULL, err);
    for (size_t i = 0; rc == PL_OK && json_is_object(value) && fields[i]; i++)
        rc = give_string(reading, json_object_get(value, fields[i]), fields[i], err);
    json_decref(value);
    return rc;
}

static int give_line(struct reading *reading, char *line, size_t len, struct pl_error *err)
{
    reading->line++;
    reading->done += len;
    if (len > LINE_BYTES_MAX)
        return bad_line(reading, "longer than 64 MiB", err);
    if (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    if (len > 0 && line[len - 1] == '\r')
        line[--len] = '\0';
    if (reading->source->kind == PL_TEXT_JSON)
        return len > 0 ? give_json(reading, line, len, err) : PL_OK;
    return reading->fn(reading->at, line, len, reading->done, err);
}

static int give_lines(struct reading *reading, struct pl_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    int rc = PL_OK;

    while (rc == PL_OK) {
        ssize_t n;

        errno = 0;
        n = getline(&line, &cap, reading->stream);
        if (n < 0) {
            if (!feof(reading->stream))
                rc = pl_fail_errno(err, "read '%s'", reading->name);
            break;
        }
        rc = give_line(reading, line, (size_t)n, err);
    }
    free(line);
    return rc;
}

int pl_text_each(const struct pl_text_source *source, pl_text_fn *fn, void *at,
                 struct pl_error *err)
{
    const bool standard = !source->path || strcmp(source->path, "-") == 0;
    struct reading reading = {.source = source,
                              .stream = standard ? stdin : fopen(source->path, "re"),
                              .name = standard ? "standard input" : source->path,
                              .fn = fn,
                              .at = at};
    int rc;

    if (!reading.stream)
        return pl_fail_errno(err, "open '%s'", source->path);
    if (source->kind == PL_TEXT_WHOLE)
        rc = give_whole(&reading, err);
    else if (source->kind == PL_TEXT_BLOCKS)
        rc = give_blocks(&reading, err);
    else
        rc = give_lines(&reading, err);
    if (!standard)
        fclose(reading.stream);
    return rc;
}
