#include "deploy/view/log_entry.h"

#include "common/base/logfmt.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STAMP = 24 /* "2026-11-25T05:16:32.123Z" */ };

/* NaN: it does not begin with a time. */
static double read_stamp(const char *text)
{
    struct tm tm = {0};
    int ms, used = 0;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms, &used) != 7 ||
        used != STAMP)
        return NAN;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (double)timegm(&tm) + 1e-3 * ms;
}

/* A place above the fields; NULL: it has none. */
static char *place_of(struct pl_log_entry *e, const char *key, size_t *ret_size)
{
    const struct {
        const char *key;
        char *text;
        size_t size;
    } rows[] = {{"level", e->level, sizeof e->level},
                {"role", e->role, sizeof e->role},
                {"id", e->id, sizeof e->id},
                {"run", e->run, sizeof e->run}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(key, rows[i].key) == 0) {
            *ret_size = rows[i].size;
            return rows[i].text;
        }
    return NULL;
}

/* What is said twice counts as it was said first. */
static void add(struct pl_log_entry *e, const char *key, const char *value)
{
    struct pl_log_entry_field *f = &e->fields[e->field_count];
    size_t size = 0;
    char *place = place_of(e, key, &size);

    if (place && !place[0])
        snprintf(place, size, "%s", value);
    if (place || e->field_count == PL_LOG_ENTRY_FIELDS)
        return;
    snprintf(f->key, sizeof f->key, "%s", key);
    snprintf(f->value, sizeof f->value, "%s", value);
    e->field_count++;
}

static void add_event(struct pl_log_entry *e, const char *word)
{
    const size_t len = strlen(e->event);

    snprintf(e->event + len, sizeof e->event - len, "%s%s", len > 0 ? "." : "", word);
}

/* "2026-11-25T05:16:32.123Z info finished group=12:3 ..." */
static bool read_text(const char *text, struct pl_log_entry *e)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char key[32], value[512];
    struct pl_logfmt_field f;
    bool known = false;

    text += STAMP;
    if (!pl_logfmt_next(&text, &f) || f.key_len > 0)
        return false;
    pl_logfmt_value(&f, e->level, sizeof e->level);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        known = known || strcmp(e->level, levels[i]) == 0;
    while (known && pl_logfmt_next(&text, &f)) {
        pl_logfmt_value(&f, value, sizeof value);
        snprintf(key, sizeof key, "%.*s", (int)f.key_len, f.key);
        if (f.key_len == 0 ? e->field_count == 0 : strcmp(key, "event") == 0)
            add_event(e, value);
        else if (f.key_len > 0)
            add(e, key, value);
    }
    return known;
}

static bool read_object(const char *text, struct pl_log_entry *e)
{
    json_t *object = json_loads(text, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, NULL);
    const char *key;
    json_t *value;

    e->at_s = NAN;
    json_object_foreach(object, key, value)
    {
        const char *word = json_string_value(value);
        char *number = word ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));

        word = word ? word : number ? number : "";
        if (strcmp(key, "ts") == 0)
            e->at_s = read_stamp(word);
        else if (strcmp(key, "event") == 0)
            add_event(e, word);
        else
            add(e, key, word);
        free(number);
    }
    json_decref(object);
    return !isnan(e->at_s) && e->level[0];
}

/* Where in the line it begins. */
bool pl_log_entry_read(const char *line, struct pl_log_entry *ret_entry)
{
    struct pl_log_entry *e = ret_entry;
    const char *object = strstr(line, "{\"ts\":");

    memset(e, 0, offsetof(struct pl_log_entry, fields));
    e->field_count = 0;
    if (object)
        return read_object(object, e);
    for (const char *at = line; (at = strchr(at, '-')); at++) {
        if (at - line < 4 || strlen(at) < STAMP - 4)
            continue;
        e->at_s = read_stamp(at - 4);
        if (!isnan(e->at_s))
            return read_text(at - 4, e);
    }
    return false;
}

const char *pl_log_entry_field(const struct pl_log_entry *entry, const char *key)
{
    for (size_t i = 0; i < entry->field_count; i++)
        if (strcmp(entry->fields[i].key, key) == 0)
            return entry->fields[i].value;
    return "";
}
