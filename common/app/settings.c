#include "common/app/settings.h"

#include "common/app/nearest.h"
#include "common/app/option_value.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_BYTES_MAX = 1 << 20, DEPTH_MAX = 16, INHERIT_MAX = 8, KEYS_MAX = 1024 };

struct pl_settings_text {
    struct pl_settings_text *next;
    const struct pl_option *option; /* whose value it is, or was */
    bool inherited;
    char text[];
};

/* One scalar of a file: "actor.optim.lr", "1e-6". Items of a sequence have the same key. */
struct entry {
    char key[PL_OPTION_NAME_MAX + 1];
    char *value;
    size_t line;
    bool item;
    bool none; /* stands for a list without items: value is "" */
};

struct document {
    const char *path;
    struct entry *entries;
    size_t count;
};

struct loader {
    const struct pl_command *table;
    void *conf;
    struct pl_settings_text **texts;
    struct pl_error *err;
    bool inherits; /* it reads a file that another one inherits */
};

/* ---- YAML to a list of entries ---- */

static void document_release(struct document *doc)
{
    for (size_t i = 0; i < doc->count; i++)
        free(doc->entries[i].value);
    free(doc->entries);
    *doc = (struct document){0};
}

struct walk {
    yaml_parser_t *parser;
    struct document *doc;
    struct pl_error *err;
};

static int at_line(struct walk *w, const yaml_mark_t *mark, const char *what, const char *name)
{
    return pl_fail(w->err, PL_EFORMAT, "%s:%zu: %s%.100s", w->doc->path, mark->line + 1, what,
                   name);
}

static int next_event(struct walk *w, yaml_event_t *event)
{
    if (yaml_parser_parse(w->parser, event))
        return PL_OK;
    if (w->parser->error == YAML_MEMORY_ERROR)
        return pl_fail(w->err, PL_ENOMEM, "'%s': no memory to read it", w->doc->path);
    return pl_fail(w->err, PL_EFORMAT, "%s:%zu:%zu: %s", w->doc->path,
                   w->parser->problem_mark.line + 1, w->parser->problem_mark.column + 1,
                   w->parser->problem ? w->parser->problem : "not YAML");
}

static bool is_there(const struct document *doc, const char *key)
{
    for (size_t i = 0; i < doc->count; i++)
        if (strcmp(doc->entries[i].key, key) == 0)
            return true;
    return false;
}

static int put_entry(struct walk *w, const struct entry *entry, const char *key, const char *value,
                     const yaml_mark_t *mark)
{
    struct document *doc = w->doc;
    struct entry *e;

    if (doc->count == KEYS_MAX)
        return at_line(w, mark, "too many settings in one file", "");
    if (!entry->item && is_there(doc, key))
        return at_line(w, mark, "there a second time: ", key);
    e = &doc->entries[doc->count];
    *e = *entry;
    snprintf(e->key, sizeof e->key, "%s", key);
    e->line = mark->line + 1;
    e->value = strdup(value);
    if (!e->value)
        return pl_fail(w->err, PL_ENOMEM, "%s: no memory for settings", doc->path);
    doc->count++;
    return PL_OK;
}

static int add_entry(struct walk *w, const char *key, const yaml_event_t *event, bool item)
{
    const char *value = (const char *)event->data.scalar.value;

    if (strlen(value) != event->data.scalar.length)
        return at_line(w, &event->start_mark, "a NUL in the value of ", key);
    return put_entry(w, &(struct entry){.item = item}, key, value, &event->start_mark);
}

static int add_empty(struct walk *w, const char *key, const yaml_event_t *event)
{
    return put_entry(w, &(struct entry){.none = true}, key, "", &event->start_mark);
}

static int take_node(struct walk *w, const char *key, yaml_event_t *event, int depth);

static int take_sequence(struct walk *w, const char *key, const yaml_mark_t *mark)
{
    const size_t first = w->doc->count;

    if (is_there(w->doc, key))
        return at_line(w, mark, "there a second time: ", key);
    for (;;) {
        yaml_event_t event;
        int rc = next_event(w, &event);
        bool end;

        if (rc < 0)
            return rc;
        end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end && event.type != YAML_SCALAR_EVENT)
            rc = at_line(w, &event.start_mark, "only words can stand in the list ", key);
        else if (!end)
            rc = add_entry(w, key, &event, true);
        else if (w->doc->count == first)
            rc = add_empty(w, key, &event);
        yaml_event_delete(&event);
        if (rc < 0 || end)
            return rc;
    }
}

static int take_mapping(struct walk *w, const char *prefix, int depth)
{
    for (;;) {
        char key[PL_OPTION_NAME_MAX + 1];
        yaml_event_t event;
        int rc = next_event(w, &event);

        if (rc < 0)
            return rc;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return PL_OK;
        }
        if (event.type != YAML_SCALAR_EVENT)
            rc = at_line(w, &event.start_mark, "a name is expected", "");
        else if (snprintf(key, sizeof key, "%s%s%s", prefix, prefix[0] ? "." : "",
                          (const char *)event.data.scalar.value) >= (int)sizeof key)
            rc = at_line(w, &event.start_mark, "no setting has so long a name: ", key);
        yaml_event_delete(&event);
        if (rc == PL_OK)
            rc = next_event(w, &event);
        if (rc < 0)
            return rc;
        rc = take_node(w, key, &event, depth);
        yaml_event_delete(&event);
        if (rc < 0)
            return rc;
    }
}

static int take_node(struct walk *w, const char *key, yaml_event_t *event, int depth)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_entry(w, key, event, false);
    case YAML_SEQUENCE_START_EVENT:
        return take_sequence(w, key, &event->start_mark);
    case YAML_MAPPING_START_EVENT:
        if (depth == DEPTH_MAX)
            return at_line(w, &event->start_mark, "nested too deeply: ", key);
        return take_mapping(w, key, depth + 1);
    default:
        return at_line(w, &event->start_mark, "an alias cannot be the value of ", key);
    }
}

/* The document's top is a mapping, or nothing at all. */
static int take_document(struct walk *w)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event(w, &event);
        yaml_event_type_t type;

        if (rc < 0)
            return rc;
        type = event.type;
        if (type == YAML_MAPPING_START_EVENT)
            rc = take_mapping(w, "", 0);
        else if (type == YAML_SCALAR_EVENT && event.data.scalar.length > 0)
            rc = at_line(w, &event.start_mark, "'name: value' is expected", "");
        else if (type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT)
            rc = at_line(w, &event.start_mark, "'name: value' is expected", "");
        yaml_event_delete(&event);
        if (rc < 0 || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

/* `path`: for sentences. */
static int document_parse(const char *path, const char *data, size_t len, struct document *ret_doc,
                          struct pl_error *err)
{
    struct document doc = {.path = path};
    yaml_parser_t parser;
    struct walk walk = {&parser, &doc, err};
    int rc;

    doc.entries = calloc(KEYS_MAX, sizeof *doc.entries);
    if (!doc.entries || !yaml_parser_initialize(&parser)) {
        document_release(&doc);
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", path);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, len);
    rc = take_document(&walk);
    yaml_parser_delete(&parser);
    if (rc < 0)
        document_release(&doc);
    else
        *ret_doc = doc;
    return rc;
}

static int document_read(const char *path, struct document *ret_doc, struct pl_error *err)
{
    char *data;
    size_t len;
    int rc = pl_file_read(path, FILE_BYTES_MAX, &data, &len, err);

    if (rc < 0)
        return rc;
    rc = document_parse(path, data, len, ret_doc, err);
    free(data);
    return rc;
}

int pl_settings_each(const char *path,
                     void (*each)(void *at, const char *key, const char *value, bool item),
                     void *at, struct pl_error *err)
{
    struct document doc = {0};
    const int rc = document_read(path, &doc, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < doc.count; i++)
        if (!doc.entries[i].none)
            each(at, doc.entries[i].key, doc.entries[i].value, doc.entries[i].item);
    document_release(&doc);
    return PL_OK;
}

/* ---- entries to fields ---- */

static const struct pl_option *find(const struct pl_command *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].kind != PL_OPTION_KIND_GROUP &&
            strcmp(table->options[i].name, key) == 0)
            return &table->options[i];
    return NULL;
}

static int unknown(struct loader *l, const char *key, const char *where)
{
    struct pl_nearest nearest = {.word = key};

    for (size_t i = 0; i < l->table->count; i++)
        if (l->table->options[i].kind != PL_OPTION_KIND_GROUP)
            pl_nearest_offer(&nearest, l->table->options[i].name);
    if (nearest.best)
        return pl_fail(l->err, PL_EINVAL, "%s: unknown setting '%s'; did you mean '%s'?", where,
                       key, nearest.best);
    return pl_fail(l->err, PL_EINVAL, "%s: unknown setting '%s'.", where, key);
}

/* A copy that lives as long as the conf. */
static const char *keep(struct loader *l, const struct pl_option *option, const char *value)
{
    const size_t len = strlen(value) + 1;
    struct pl_settings_text *text = malloc(sizeof *text + len);

    if (!text)
        return NULL;
    memcpy(text->text, value, len);
    text->option = option;
    text->inherited = l->inherits;
    text->next = *l->texts;
    *l->texts = text;
    return text->text;
}

/* Settings are written to run.dir, printed, handed on as arguments and named in errors. What must
 * not stand there is refused by a sentence that does not show it either. */
static int check_shown(struct loader *l, const char *text, const char *where)
{
    if (!pl_secret_in_address(text))
        return PL_OK;
    return pl_fail(l->err, PL_EINVAL,
                   "%s: a user or a password stands in an address (not shown here), where anybody "
                   "could read it. For Redis, name the user by 'redis.user' and by "
                   "'redis.password_file' a file (mode 0600) with the password; the address is "
                   "redis://HOST:PORT or rediss://HOST:PORT.",
                   where);
}

/* `fresh`: not a further item of the same list. */
static int set(struct loader *l, const char *key, const char *value, const char *where, int from,
               bool fresh)
{
    const struct pl_option *option = find(l->table, key);
    struct pl_option_source source = {.option = option, .where = where};
    const char *kept;
    int rc = check_shown(l, key, where);

    if (rc == PL_OK)
        rc = check_shown(l, value, where);
    if (rc < 0)
        return rc;
    if (!option)
        return unknown(l, key, where);
    source.from = from == 0 ? PL_OPTION_FROM_SETTINGS : PL_OPTION_FROM_ENVIRONMENT;
    if (option->kind == PL_OPTION_KIND_LIST && fresh)
        pl_option_list_release(pl_option_place(option, l->conf));
    if (option->kind == PL_OPTION_KIND_LIST && !value[0])
        return PL_OK; /* an empty list */
    kept = keep(l, option, value);
    if (!kept)
        return pl_fail(l->err, PL_ENOMEM, "%s: no memory for settings", where);
    return pl_option_set(&source, kept, l->conf, l->err);
}

static int set_default(struct loader *l, const struct pl_option *option)
{
    const struct pl_option_source source = {.option = option};

    if (option->kind != PL_OPTION_KIND_GROUP && option->initial && option->initial[0])
        return pl_option_set(&source, option->initial, l->conf, l->err);
    if (option->kind == PL_OPTION_KIND_STRING)
        *(const char **)pl_option_place(option, l->conf) = "";
    return PL_OK;
}

static int set_defaults(struct loader *l)
{
    for (size_t i = 0; i < l->table->count; i++) {
        const int rc = set_default(l, &l->table->options[i]);

        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

static char *beside(const char *path, const char *other)
{
    const char *slash = strrchr(path, '/');

    if (other[0] == '/' || !slash)
        return strdup(other);
    return pl_strf("%.*s%s", (int)(slash - path + 1), path, other);
}

static int load_file(struct loader *l, const char *path, int depth)
{
    struct document doc = {0};
    int rc = depth < INHERIT_MAX
                 ? document_read(path, &doc, l->err)
                 : pl_fail(l->err, PL_EINVAL, "'%s' is inherited in a circle, or too deeply", path);

    for (size_t i = 0; rc == PL_OK && i < doc.count; i++)
        if (strcmp(doc.entries[i].key, "inherit") == 0 && !doc.entries[i].none) {
            char *from = beside(path, doc.entries[i].value);

            rc = from ? load_file(l, from, depth + 1)
                      : pl_fail(l->err, PL_ENOMEM, "'%s': no memory to read it", path);
            free(from);
        }
    for (size_t i = 0; rc == PL_OK && i < doc.count; i++) {
        const struct entry *e = &doc.entries[i];
        const bool further = e->item && i > 0 && strcmp(doc.entries[i - 1].key, e->key) == 0;
        char where[512];

        if (strcmp(e->key, "inherit") == 0)
            continue;
        l->inherits = depth > 0;
        snprintf(where, sizeof where, "%s:%zu", path, e->line);
        rc = set(l, e->key, e->value, where, 0, !further);
    }
    l->inherits = false;
    document_release(&doc);
    return rc;
}

/* A value as a file would have it: a list in brackets, or a word in quotes. */
static bool is_yaml(const char *value)
{
    const size_t len = strlen(value);

    return value[0] == '[' || (len > 1 && strchr("\"'", value[0]) && value[len - 1] == value[0]);
}

/* Set what did not come from a file: a word, several between commas, or as a file would have it. */
static int set_written(struct loader *l, const char *key, const char *value, const char *where,
                       int from)
{
    const struct pl_option *option = find(l->table, key);
    struct document doc = {0};
    struct pl_buf text;
    int rc = check_shown(l, value, where);

    if (rc < 0)
        return rc;
    if (!is_yaml(value) || !option)
        return set(l, key, value, where, from, true);
    pl_buf_init(&text, FILE_BYTES_MAX);
    rc = pl_buf_printf(&text, "%s: %s", key, value);
    if (rc < 0)
        pl_fail(l->err, rc, "%s: no memory for settings", where);
    else
        rc = document_parse(where, text.data, text.len, &doc, l->err);
    if (rc == PL_EFORMAT)
        rc = pl_fail(l->err, PL_EINVAL,
                     "%s: '%s' needs a list like [a, b] or a word in quotes, not '%.80s'.", where,
                     key, value);
    for (size_t i = 0; rc == PL_OK && i < doc.count; i++)
        rc = strcmp(doc.entries[i].key, key) == 0
                 ? set(l, key, doc.entries[i].value, where, from, i == 0)
                 : pl_fail(l->err, PL_EINVAL, "%s: '%s' is given more than a value", where,
                           option->name);
    document_release(&doc);
    pl_buf_release(&text);
    return rc;
}

static int set_from_environment(struct loader *l)
{
    for (size_t i = 0; i < l->table->count; i++) {
        const struct pl_option *option = &l->table->options[i];
        char name[PL_OPTION_NAME_MAX + 8];
        const char *value;
        int rc;

        if (option->kind == PL_OPTION_KIND_GROUP)
            continue;
        pl_option_variable(option, name);
        value = getenv(name);
        if (!value || !value[0])
            continue;
        rc = set_written(l, option->name, value, name, 1);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

static int set_assigned(struct loader *l, const char *assignment)
{
    const char *sign = strchr(assignment, '=');
    char key[PL_OPTION_NAME_MAX + 1];
    const size_t len = sign ? (size_t)(sign - assignment) : 0;
    const int rc = check_shown(l, assignment, "command line");

    if (rc < 0)
        return rc;
    if (!sign || len == 0 || len >= sizeof key)
        return pl_fail(l->err, PL_EINVAL, "'%.80s' is no setting: name=value is expected.",
                       assignment);
    memcpy(key, assignment, len);
    key[len] = '\0';
    return set_written(l, key, sign + 1, "command line", 0);
}

static void release_lists(const struct pl_command *table, void *conf)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].kind == PL_OPTION_KIND_LIST)
            pl_option_list_release(pl_option_place(&table->options[i], conf));
}

void pl_settings_release(const struct pl_command *table, void *conf, struct pl_settings_text *text)
{
    release_lists(table, conf);
    while (text) {
        struct pl_settings_text *next = text->next;

        free(text);
        text = next;
    }
}

static void clear_lists(const struct pl_command *table, void *conf)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].kind == PL_OPTION_KIND_LIST)
            *(struct pl_option_list *)pl_option_place(&table->options[i], conf) =
                (struct pl_option_list){0};
}

int pl_settings_defaults(const struct pl_command *table, void *conf,
                         struct pl_settings_text **ret_text, struct pl_error *err)
{
    struct pl_settings_text *texts = NULL;
    struct loader l = {.table = table, .conf = conf, .texts = &texts, .err = err};
    int rc;

    clear_lists(table, conf);
    rc = set_defaults(&l);
    if (rc < 0)
        pl_settings_release(table, conf, texts);
    else
        *ret_text = texts;
    return rc;
}

bool pl_settings_given(const struct pl_settings_text *text, const char *name)
{
    for (; text; text = text->next)
        if (!text->inherited && strcmp(text->option->name, name) == 0)
            return true;
    return false;
}

int pl_settings_load(const struct pl_command *table, const char *path, char *const *assignments,
                     size_t count, void *conf, struct pl_settings_text **ret_text,
                     struct pl_error *err)
{
    struct pl_settings_text *texts = NULL;
    struct loader l = {.table = table, .conf = conf, .texts = &texts, .err = err};
    int rc;

    clear_lists(table, conf);
    rc = set_defaults(&l);
    if (rc == PL_OK && path)
        rc = load_file(&l, path, 0);
    if (rc == PL_OK)
        rc = set_from_environment(&l);
    for (size_t i = 0; rc == PL_OK && i < count; i++)
        rc = set_assigned(&l, assignments[i]);
    if (rc < 0) {
        pl_settings_release(table, conf, texts);
        return rc;
    }
    *ret_text = texts;
    return PL_OK;
}

/* ---- printing ---- */

/* A word in double quotes, unless it needs none. */
static int print_word(const char *word, struct pl_buf *buf)
{
    const bool plain =
        word[0] && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._+") == strlen(word);
    int rc;

    if (plain)
        return pl_buf_puts(buf, word);
    rc = pl_buf_puts(buf, "\"");
    for (const char *at = word; rc == PL_OK && *at; at++) {
        if (*at == '"' || *at == '\\')
            rc = pl_buf_printf(buf, "\\%c", *at);
        else if ((unsigned char)*at < 0x20)
            rc = pl_buf_printf(buf, "\\x%02x", (unsigned)(unsigned char)*at);
        else
            rc = pl_buf_append(buf, at, 1);
    }
    return rc == PL_OK ? pl_buf_puts(buf, "\"") : rc;
}

/* Commas within an item are kept from being separators when it is read back. */
static int print_list(const struct pl_option_list *list, struct pl_buf *buf)
{
    int rc = pl_buf_puts(buf, "[");

    for (size_t i = 0; rc == PL_OK && i < list->count; i++) {
        struct pl_buf item;

        pl_buf_init(&item, FILE_BYTES_MAX);
        for (const char *at = list->items[i]; rc == PL_OK && *at; at++)
            rc = pl_buf_printf(&item, *at == ',' ? "\\%c" : "%c", *at);
        if (rc == PL_OK && i > 0)
            rc = pl_buf_puts(buf, ", ");
        if (rc == PL_OK)
            rc = print_word(item.data ? item.data : "", buf);
        pl_buf_release(&item);
    }
    return rc == PL_OK ? pl_buf_puts(buf, "]") : rc;
}

/* In as few digits as read back to the same. */
static int print_real(struct pl_buf *buf, double x)
{
    char text[32];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    return pl_buf_append(buf, text, strlen(text));
}

static int print_value(const struct pl_option *option, const void *place, struct pl_buf *buf)
{
    char word[PL_OPTION_NAME_MAX];

    switch (option->kind) {
    case PL_OPTION_KIND_FLAG:
        return pl_buf_puts(buf, *(const bool *)place ? "true" : "false");
    case PL_OPTION_KIND_SIZE:
        return pl_buf_printf(buf, "%zu", *(const size_t *)place);
    case PL_OPTION_KIND_REAL:
        return print_real(buf, *(const double *)place);
    case PL_OPTION_KIND_STRING:
        return print_word(*(const char *const *)place, buf);
    case PL_OPTION_KIND_CHOICE:
        return pl_option_choice(option->choices, *(const int *)place, word) ? pl_buf_puts(buf, word)
                                                                            : PL_EINVAL;
    case PL_OPTION_KIND_LIST:
        return print_list(place, buf);
    case PL_OPTION_KIND_GROUP:
        break;
    }
    return PL_OK;
}

int pl_settings_value(const struct pl_option *option, const void *conf, struct pl_buf *buf)
{
    return print_value(option, (const char *)conf + option->place, buf);
}

int pl_settings_print(const struct pl_command *table, const void *conf, bool comments,
                      struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < table->count; i++) {
        const struct pl_option *option = &table->options[i];

        if (option->kind == PL_OPTION_KIND_GROUP) {
            rc = comments ? pl_buf_printf(buf, "\n# ---- %s ----\n", option->help) : PL_OK;
            continue;
        }
        if (comments)
            rc = pl_buf_printf(buf, "\n# %s\n", option->help);
        if (rc == PL_OK && comments && option->kind == PL_OPTION_KIND_CHOICE)
            rc = pl_buf_printf(buf, "# one of %s\n", option->choices);
        if (rc == PL_OK)
            rc = pl_buf_printf(buf, "%s: ", option->name);
        if (rc == PL_OK)
            rc = print_value(option, (const char *)conf + option->place, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, "\n");
    }
    return rc;
}

/* ---- defaults ---- */

int pl_settings_reset(const struct pl_command *table, const char *name, void *conf,
                      struct pl_error *err)
{
    struct loader l = {.table = table, .conf = conf, .err = err};
    const struct pl_option *option = find(table, name);

    PL_ASSERT(option);
    if (option->kind == PL_OPTION_KIND_LIST)
        pl_option_list_release(pl_option_place(option, conf));
    return set_default(&l, option);
}

int pl_settings_is_default(const struct pl_command *table, const char *name, const void *conf,
                           void *scratch, bool *ret_same)
{
    const struct pl_option *option = find(table, name);
    struct pl_buf is, was;
    int rc = pl_settings_reset(table, name, scratch, NULL);

    pl_buf_init(&is, FILE_BYTES_MAX);
    pl_buf_init(&was, FILE_BYTES_MAX);
    if (rc == PL_OK)
        rc = print_value(option, (const char *)conf + option->place, &is);
    if (rc == PL_OK)
        rc = print_value(option, (const char *)scratch + option->place, &was);
    if (rc == PL_OK)
        *ret_same = is.len == was.len && memcmp(is.data, was.data, is.len) == 0;
    if (option->kind == PL_OPTION_KIND_LIST)
        pl_option_list_release(pl_option_place(option, scratch));
    pl_buf_release(&is);
    pl_buf_release(&was);
    return rc;
}
