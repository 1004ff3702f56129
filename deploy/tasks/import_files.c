#include "deploy/tasks/import_files.h"

#include "common/base/file.h"
#include "common/text/utf8.h"
#include "deploy/tasks/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WHAT_BYTES_MAX = 4096, ARRAY_BYTES_MAX = 256 << 20, STEM_BYTES_MAX = 160 };

/* Where in a file one is. */
struct place {
    const char *path, *stem;
    char what[WHAT_BYTES_MAX];
    size_t number; /* of the line or row */
};

static void name(struct place *place, const char *between, size_t number)
{
    place->number = number;
    snprintf(place->what, sizeof place->what, "%s%s%zu", place->path, between, number);
}

/* A row is done with: bad ones may be passed over. */
static int settle(struct pl_import_reader *reader, int rc, const struct place *place, size_t bytes,
                  struct pl_error *err)
{
    reader->rows++;
    if ((rc == PL_EFORMAT || rc == PL_EUNSUPPORTED) && reader->skip_bad) {
        if (reader->bad++ == 0 && err)
            reader->bad_first = *err;
        rc = PL_OK;
    }
    if (rc == PL_OK && reader->watch)
        rc = reader->watch(reader->at, place->what, bytes, err);
    return rc;
}

static int give(const struct pl_import_reader *reader, const json_t *json,
                const struct place *place, struct pl_error *err)
{
    const struct pl_import_row row = {
        .what = place->what, .stem = place->stem, .number = place->number, .json = json};

    if (!json_is_object(json))
        return pl_fail(err, PL_EFORMAT, "%s: a row is a JSON object, and this is none",
                       place->what);
    return reader->fn(reader->at, &row, err);
}

/* JSON lines. */

static int give_line(const struct pl_import_reader *reader, const char *line, size_t len,
                     const struct place *place, struct pl_error *err)
{
    json_t *json = NULL;
    int rc;

    if (len > PL_IMPORT_ROW_BYTES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: the line has %zu bytes, more than the %d expected",
                       place->what, len, PL_IMPORT_ROW_BYTES_MAX);
    rc = pl_json_parse(line, len, place->what, &json, err);
    if (rc == PL_OK)
        rc = give(reader, json, place, err);
    json_decref(json);
    return rc;
}

static bool is_blank(const char *line, size_t len)
{
    size_t at = 0;

    while (at < len && strchr(" \t\r", line[at]) && line[at])
        at++;
    return at == len;
}

static int read_lines(struct pl_import_reader *reader, const char *data, size_t len,
                      struct place *place, struct pl_error *err)
{
    size_t number = 0;
    int rc = PL_OK;

    for (size_t at = 0; rc == PL_OK && at < len;) {
        const char *line = data + at, *newline = memchr(line, '\n', len - at);
        const size_t n = newline ? (size_t)(newline - line) : len - at;

        at += n + (newline != NULL);
        name(place, ":", ++number);
        if (is_blank(line, n))
            continue;
        rc = settle(reader, give_line(reader, line, n, place, err), place, at, err);
    }
    return rc;
}

/* One document. */

static int read_document(struct pl_import_reader *reader, const char *data, size_t len,
                         struct place *place, struct pl_error *err)
{
    json_t *root = NULL;
    const json_t *item;
    size_t i;
    int rc;

    if (len > ARRAY_BYTES_MAX)
        return pl_fail(err, PL_EFORMAT,
                       "'%s': an array of %zu bytes, more than the %d expected; JSON lines may be "
                       "of any length",
                       place->path, len, ARRAY_BYTES_MAX);
    rc = pl_json_parse(data, len, place->path, &root, err);
    if (rc == PL_OK && json_is_object(root)) {
        name(place, ":", 1);
        rc = settle(reader, give(reader, root, place, err), place, len, err);
    }
    json_array_foreach(root, i, item)
    {
        name(place, ":#", i + 1);
        if (rc == PL_OK)
            rc = settle(reader, give(reader, item, place, err), place,
                        len / json_array_size(root) * (i + 1), err);
    }
    json_decref(root);
    return rc;
}

/* An array; or, in FILE.json, an object that is not whole in its first line. */
static bool is_document(const char *path, const char *data, size_t len)
{
    const size_t path_len = strlen(path);
    const char *newline;
    size_t at = 0;
    json_t *first;

    while (at < len && data[at] && strchr(" \t\r\n", data[at]))
        at++;
    if (at < len && data[at] == '[')
        return true;
    if (path_len < 5 || strcasecmp(path + path_len - 5, ".json") != 0)
        return false;
    newline = memchr(data + at, '\n', len - at);
    first = json_loadb(data + at, newline ? (size_t)(newline - data) - at : len - at, 0, NULL);
    json_decref(first);
    return !first;
}

/* CSV. */

static int check_names(const struct place *place, const struct pl_csv_record *names,
                       struct pl_error *err)
{
    for (size_t i = 0; i < names->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(pl_csv_field(names, i), pl_csv_field(names, k)) == 0)
                return pl_fail(err, PL_EFORMAT, "%s: columns %zu and %zu have the same name",
                               place->what, k + 1, i + 1);
    return PL_OK;
}

static size_t count_columns(const char *const *columns)
{
    size_t count = 0;

    while (columns && columns[count])
        count++;
    return count;
}

/* Whether the first record is a row already: as many fields as columns, the last a letter. */
static bool is_row(const char *const *columns, const struct pl_csv_record *first)
{
    const char *last;

    if (count_columns(columns) != first->count || first->count == 0)
        return false;
    last = pl_csv_field(first, first->count - 1);
    return last[0] >= 'A' && last[0] <= 'Z' && !last[1];
}

static int give_record(const struct pl_import_reader *reader, const struct pl_csv_record *names,
                       const struct pl_csv_record *record, const struct place *place,
                       struct pl_error *err)
{
    const size_t count = names ? names->count : count_columns(reader->csv_columns);
    json_t *json = json_object();
    int rc = PL_OK;

    if (record->count != count)
        rc = pl_fail(err, PL_EFORMAT, "%s: %zu fields; expected %zu, one a column", place->what,
                     record->count, count);
    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        const char *key = names ? pl_csv_field(names, i) : reader->csv_columns[i];
        const char *text = pl_csv_field(record, i);

        if (!pl_utf8_valid(text, strlen(text)) || !pl_utf8_valid(key, strlen(key)))
            rc = pl_fail(err, PL_EFORMAT, "%s: field %zu is not UTF-8", place->what, i + 1);
        else if (pl_import_set(json, key, json_string(text)) < 0)
            rc = pl_fail(err, PL_ENOMEM, "%s: no memory for a row", place->what);
    }
    if (rc == PL_OK)
        rc = give(reader, json, place, err);
    json_decref(json);
    return rc;
}

static int read_records(struct pl_import_reader *reader, struct pl_csv *csv,
                        struct pl_csv_record *names, struct pl_csv_record *record,
                        struct place *place, struct pl_error *err)
{
    bool found, named = false;
    int rc = pl_csv_next(csv, names, &found, err);

    if (rc < 0 || !found)
        return rc;
    name(place, ":", names->line);
    if (is_row(reader->csv_columns, names)) {
        rc = settle(reader, give_record(reader, NULL, names, place, err), place, csv->at, err);
    } else {
        named = true;
        rc = check_names(place, names, err);
    }
    while (rc == PL_OK) {
        rc = pl_csv_next(csv, record, &found, err);
        if (rc < 0 || !found)
            break;
        name(place, ":", record->line);
        rc = settle(reader, give_record(reader, named ? names : NULL, record, place, err), place,
                    csv->at, err);
    }
    return rc;
}

static int read_csv(struct pl_import_reader *reader, const char *data, size_t len,
                    struct place *place, struct pl_error *err)
{
    struct pl_csv_record *records = pl_alloc(2, sizeof *records);
    struct pl_csv csv;
    int rc;

    if (!records)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for its records", place->path);
    pl_csv_record_init(&records[0]);
    pl_csv_record_init(&records[1]);
    pl_csv_init(&csv, place->path, data, len);
    rc = read_records(reader, &csv, &records[0], &records[1], place, err);
    pl_csv_record_release(&records[0]);
    pl_csv_record_release(&records[1]);
    free(records);
    return rc;
}

int pl_import_file(struct pl_import_reader *reader, const char *path, const char *stem,
                   struct pl_error *err)
{
    const size_t path_len = strlen(path);
    const uint64_t before = reader->rows;
    struct place place = {.path = path, .stem = stem};
    struct pl_map map = {0};
    const char *data;
    size_t len;
    int rc = pl_map_open(path, &map, err);

    if (rc < 0)
        return rc;
    data = map.data ? (const char *)map.data : "";
    len = map.len;
    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        data += 3;
        len -= 3;
    }
    if (path_len > 4 && strcasecmp(path + path_len - 4, ".csv") == 0)
        rc = read_csv(reader, data, len, &place, err);
    else if (is_document(path, data, len))
        rc = read_document(reader, data, len, &place, err);
    else
        rc = read_lines(reader, data, len, &place, err);
    if (rc == PL_OK && reader->rows == before)
        rc = pl_fail(err, PL_EFORMAT, "'%s' has no rows", path);
    pl_map_close(&map);
    return rc;
}

/* Names. */

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strchr(base, '.');
    size_t len = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    struct pl_buf buf;

    if (len > STEM_BYTES_MAX)
        len = STEM_BYTES_MAX;
    pl_buf_init(&buf, 4 * (size_t)STEM_BYTES_MAX);
    if (pl_utf8_repair(base, len, &buf) < 0 || pl_buf_puts(&buf, "") < 0) {
        pl_buf_release(&buf);
        return NULL;
    }
    return buf.data;
}

struct named {
    char *stem;
    size_t at; /* in paths */
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    const int order = strcmp(x->stem, y->stem);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

char **pl_import_stems(char *const *paths, size_t count)
{
    char **stems = calloc(count + 1, sizeof *stems);
    struct named *all = calloc(count + 1, sizeof *all);
    bool ok = stems && all;

    for (size_t i = 0; ok && i < count; i++) {
        all[i] = (struct named){stem_of(paths[i]), i};
        ok = all[i].stem != NULL;
    }
    if (ok)
        qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0, same = 1; ok && i < count; i++) {
        same = i > 0 && strcmp(all[i - same].stem, all[i].stem) == 0 ? same + 1 : 1;
        stems[all[i].at] = same > 1 ? pl_strf("%s-%zu", all[i].stem, same) : strdup(all[i].stem);
        ok = stems[all[i].at] != NULL;
    }
    for (size_t i = 0; all && i < count; i++)
        free(all[i].stem);
    free(all);
    if (ok)
        return stems;
    pl_import_stems_free(stems, count);
    return NULL;
}

void pl_import_stems_free(char **stems, size_t count)
{
    for (size_t i = 0; stems && i < count; i++)
        free(stems[i]);
    free(stems);
}
