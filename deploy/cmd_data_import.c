#include "deploy/cmd_data.h"

#include "common/app/signals.h"
#include "common/base/file.h"
#include "deploy/data_options.h"
#include "deploy/kk_task.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 1 << 20, /* of a row */
    NAME_BYTES_MAX = 4096,    /* "FILE:LINE", or an id */
};

struct conf {
    struct pl_data_options common;
    struct pl_option_list files;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, common.kind, "KIND", "kk: Knights and Knaves"),
    PL_ARG_LIST(struct conf, files, "FILE", 1, "published rows, JSON lines"),
    PL_OPTION_STRING(struct conf, common.output, "output", "PATH", "-",
                     "file; - is standard output"),
    PL_OPTION_SEED(struct conf, common.seed, "seed", "0", "seed of guessed answers"),
    PL_OPTION_FLAG(struct conf, common.json, "json", 0, "print the summary as JSON"),
    PL_DATA_OPTIONS(struct conf),
};

static const struct pl_command command = {
    .name = "plait data import",
    .about = "Turns published Knights and Knaves rows (quiz, names, solution, statements) into "
             "tasks, or into worked answers. Every solution is proved again from the statements; a "
             "row that does not hold is an error.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Example:\n  plait data import kk people3_test.jsonl --output test.jsonl\n",
};

struct importer {
    struct pl_data_writer writer;
    struct pl_key_set ids;
    struct pl_buf question;
};

static int read_kind(const char *kind, struct pl_error *err)
{
    if (strcmp(kind, pl_family_kk.name) == 0)
        return PL_OK;
    return pl_fail(err, PL_EINVAL, "unknown kind of data '%s'; plait reads 'kk'", kind);
}

static uint64_t hash(const char *text) /* FNV-1a */
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

/* "kk-people3_test-1000" of row 1000 of some/where/people3_test.jsonl. */
static void row_id(const char *path, uint64_t index, char id[NAME_BYTES_MAX])
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strchr(base, '.');
    const size_t len = dot ? (size_t)(dot - base) : strlen(base);

    snprintf(id, NAME_BYTES_MAX, "kk-%.*s-%llu", (int)(len < 1024 ? len : 1024), base,
             (unsigned long long)index);
}

static int import_row(struct importer *in, const char *path, size_t number, const char *line,
                      size_t len, struct pl_error *err)
{
    char what[NAME_BYTES_MAX], id[NAME_BYTES_MAX];
    struct pl_problem problem = {.family = &pl_family_kk};
    struct pl_item item = {.problem = &problem, .id = id, .index = number};
    bool is_new;
    int rc;

    snprintf(what, sizeof what, "%s:%zu", path, number);
    if (len > LINE_BYTES_MAX)
        return pl_fail(err, PL_EFORMAT, "%s: the line has %zu bytes, more than the %d expected",
                       what, len, LINE_BYTES_MAX);
    rc = pl_kk_row_read(line, len, what, &problem.of.kk, &in->question, &item.index, err);
    if (rc < 0)
        return rc;
    problem.size = problem.of.kk.people;
    row_id(path, item.index, id);
    rc = pl_key_set_add(&in->ids, hash(id), &is_new);
    if (rc < 0)
        return pl_fail(err, rc, "%s: no memory to remember its id", what);
    if (!is_new)
        return pl_fail(err, PL_EFORMAT, "%s: another row has the id '%s' already", what, id);
    item.question = in->question.data;
    return pl_data_writer_put(&in->writer, PL_PART_TRAIN, &item, err);
}

static int import_file(struct importer *in, const char *path, struct pl_error *err)
{
    struct pl_map map = {0};
    size_t number = 0;
    int rc = pl_map_open(path, &map, err);

    for (size_t at = 0; rc == PL_OK && at < map.len;) {
        const char *line = (const char *)map.data + at;
        const char *newline = memchr(line, '\n', map.len - at);
        const size_t len = newline ? (size_t)(newline - line) : map.len - at;

        at += len + 1;
        number++;
        if (len > 0)
            rc = import_row(in, path, number, line, len, err);
        if (rc == PL_OK && pl_signals_stop())
            rc = pl_fail(err, PL_ECANCELED, "stopped at %s:%zu; nothing is written", path, number);
    }
    if (rc == PL_OK && number == 0)
        rc = pl_fail(err, PL_EFORMAT, "'%s' has no rows", path);
    pl_map_close(&map);
    return rc;
}

int pl_cmd_data_import(int argc, char **argv)
{
    struct conf conf;
    struct pl_data_writer_opts opts;
    struct importer in = {0};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    conf.common.wording = PL_WORDING_PUBLISHED;
    conf.common.family = &pl_family_kk;
    pl_signals_catch();
    rc = read_kind(conf.common.kind, &err);
    if (rc == PL_OK)
        rc = pl_data_options_read(&conf.common, false, &opts, &err);
    if (rc == PL_OK)
        rc = pl_data_writer_init(&in.writer, &opts, &err);
    if (rc == PL_OK) {
        pl_buf_init(&in.question, LINE_BYTES_MAX);
        for (size_t i = 0; rc == PL_OK && i < conf.files.count; i++)
            rc = import_file(&in, conf.files.items[i], &err);
        rc = pl_data_finish(&in.writer, conf.common.json, rc, &err);
        pl_buf_release(&in.question);
        pl_key_set_release(&in.ids);
    }
    pl_options_release(&command, &conf);
    return pl_data_status(&command, rc, &err);
}
