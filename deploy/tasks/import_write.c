#include "deploy/tasks/import_write.h"

#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>

static int open_part(const char *folder, const char *name, struct pl_outfile *out,
                     struct pl_error *err)
{
    char *path = pl_strf("%s/%s", folder, name);
    int rc;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for its path", folder);
    rc = pl_outfile_open(path, out, err);
    free(path);
    return rc;
}

static int open_all(const char *output, bool parts, struct pl_outfile outs[PL_IMPORT_PARTS],
                    struct pl_error *err)
{
    int rc;

    if (!parts)
        return pl_outfile_open(output, &outs[PL_IMPORT_TRAIN], err);
    rc = pl_dir_make(output, err);
    if (rc == PL_OK)
        rc = open_part(output, "train.jsonl", &outs[PL_IMPORT_TRAIN], err);
    if (rc == PL_OK)
        rc = open_part(output, "test.jsonl", &outs[PL_IMPORT_TEST], err);
    return rc;
}

static int put(FILE *stream, const struct pl_task *task)
{
    return fwrite(task->line, 1, task->line_len, stream) == task->line_len &&
                   fputc('\n', stream) != EOF
               ? PL_OK
               : PL_EIO;
}

static int to_stdout(const struct pl_import_set *set, struct pl_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].part != PL_IMPORT_NOWHERE && put(stdout, &set->items[i].task) < 0)
            return pl_fail_errno(err, "write to standard output");
    return fflush(stdout) == 0 ? PL_OK : pl_fail_errno(err, "write to standard output");
}

int pl_import_write(const struct pl_import_set *set, const char *output, bool parts,
                    struct pl_error *err)
{
    struct pl_outfile outs[PL_IMPORT_PARTS] = {{0}};
    int rc;

    if (strcmp(output, "-") == 0)
        return to_stdout(set, err);
    rc = open_all(output, parts, outs, err);
    for (size_t i = 0; rc == PL_OK && i < set->count; i++) {
        const struct pl_import_item *item = &set->items[i];

        if (item->part != PL_IMPORT_NOWHERE) /* the commit notices what goes wrong here */
            (void)put(outs[item->part].stream, &item->task);
    }
    for (size_t part = 0; part < PL_IMPORT_PARTS; part++)
        if (rc == PL_OK && outs[part].stream)
            rc = pl_outfile_commit(&outs[part], err);
    for (size_t part = 0; part < PL_IMPORT_PARTS; part++)
        pl_outfile_abort(&outs[part]);
    return rc;
}
