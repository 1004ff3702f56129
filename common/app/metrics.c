#include "common/app/metrics.h"

#include "common/app/events.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1 << 20 };

static const char step_name[] = "training/global_step";

struct pl_metrics {
    char *path;
    int fd;
    int rc; /* what building the line ran into */
    struct pl_buf line;
    int64_t resumed;          /* the step it was opened at */
    uint64_t last;            /* of the lines that were there, the largest step */
    struct pl_events *events; /* NULL: none are written */
    void (*each)(void *at, const char *name, double value);
    void *each_at;
};

/* The step of one whole line. PL_EFORMAT: it is not what this file holds. */
static int line_step(const char *line, size_t len, const char *what, size_t *ret_step,
                     struct pl_error *err)
{
    json_t *root = NULL;
    int rc = pl_json_parse(line, len, what, &root, err);

    if (rc == PL_OK)
        rc = pl_json_size(root, step_name, what, 0, INT64_MAX, ret_step, err);
    json_decref(root);
    return rc;
}

/* Copy the lines that a run standing at `step` has written. */
static int copy_kept(FILE *in, const char *path, int64_t step, struct pl_outfile *out,
                     uint64_t *last, struct pl_error *err)
{
    char *line = NULL, *what = NULL;
    size_t cap = 0, number = 0, at_step = 0;
    ssize_t len;
    int rc = PL_OK;

    while (rc == PL_OK && (len = getline(&line, &cap, in)) > 0) {
        number++;
        if (line[len - 1] != '\n') /* torn: only the last line can be */
            break;
        free(what);
        what = pl_strf("%s:%zu", path, number);
        if (!what) {
            rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", path);
            break;
        }
        rc = line_step(line, (size_t)len, what, &at_step, err);
        if (rc < 0 || at_step > (size_t)step)
            continue;
        *last = at_step > *last ? at_step : *last;
        rc = pl_outfile_write(out, line, (size_t)len, err);
    }
    if (rc == PL_OK && len < 0 && !feof(in)) /* the disk, or memory for a line */
        rc = pl_fail_errno(err, "read '%s'", path);
    free(line);
    free(what);
    return rc;
}

static int keep_until(const char *path, int64_t step, uint64_t *last, struct pl_error *err)
{
    struct pl_outfile out;
    FILE *in = fopen(path, "re");
    int rc;

    if (!in && errno == ENOENT)
        return PL_OK;
    if (!in)
        return pl_fail_errno(err, "open '%s'", path);
    rc = pl_outfile_open(path, &out, err);
    if (rc == PL_OK) {
        rc = copy_kept(in, path, step, &out, last, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    fclose(in);
    return rc;
}

/* The file's name lasts. */
static int sync_folder(const char *path, struct pl_error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == path ? strdup("/")
                : slash       ? strndup(path, (size_t)(slash - path))
                              : strdup(".");
    int rc = dir ? pl_dir_sync(dir, err)
                 : pl_fail(err, PL_ENOMEM, "'%s': no memory for the name of its folder", path);

    free(dir);
    return rc;
}

int pl_metrics_open(const char *path, int64_t step, struct pl_metrics **ret_metrics,
                    struct pl_error *err)
{
    struct pl_metrics *metrics = NULL;
    uint64_t last = 0;
    int rc = step >= 0 ? keep_until(path, step, &last, err) : PL_OK;

    if (rc < 0)
        return rc;
    metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to write it", path);
    pl_buf_init(&metrics->line, LINE_BYTES_MAX);
    metrics->fd = -1;
    metrics->resumed = step;
    metrics->last = last;
    metrics->path = strdup(path);
    if (!metrics->path) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", path);
        goto fail;
    }
    metrics->fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (step < 0 ? O_TRUNC : 0), 0644);
    if (metrics->fd < 0) {
        rc = pl_fail_errno(err, "open '%s' for writing", path);
        goto fail;
    }
    rc = sync_folder(path, err);
    if (rc < 0)
        goto fail;
    *ret_metrics = metrics;
    return PL_OK;
fail:
    pl_metrics_close(metrics);
    return rc;
}

uint64_t pl_metrics_last(const struct pl_metrics *metrics)
{
    return metrics->last;
}

void pl_metrics_close(struct pl_metrics *metrics)
{
    if (!metrics)
        return;
    if (metrics->fd >= 0)
        close(metrics->fd);
    pl_events_close(metrics->events);
    pl_buf_release(&metrics->line);
    free(metrics->path);
    free(metrics);
}

int pl_metrics_find(const char *path, uint64_t step, const char *word, bool *ret_found,
                    struct pl_error *err)
{
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0, at_step = 0;
    bool found = false;
    ssize_t len;
    int rc = PL_OK;

    if (!in && errno != ENOENT)
        return pl_fail_errno(err, "open '%s'", path);
    while (in && rc == PL_OK && !found && (len = getline(&line, &cap, in)) > 0) {
        if (line[len - 1] != '\n' || !strstr(line, word)) /* torn, or another's */
            continue;
        rc = line_step(line, (size_t)len, path, &at_step, err);
        found = rc == PL_OK && at_step == step;
    }
    if (in && rc == PL_OK && !found && !feof(in))
        rc = pl_fail_errno(err, "read '%s'", path);
    if (in)
        fclose(in);
    free(line);
    if (rc == PL_OK)
        *ret_found = found;
    return rc;
}

int pl_metrics_events(struct pl_metrics *metrics, struct pl_error *err)
{
    const char *slash = strrchr(metrics->path, '/');
    char *dir = slash ? strndup(metrics->path, (size_t)(slash - metrics->path)) : strdup(".");
    int rc;

    PL_ASSERT(!metrics->events);
    rc = dir ? pl_events_create(dir, (uint64_t)(metrics->resumed + 1), &metrics->events, err)
             : pl_fail(err, PL_ENOMEM, "'%s': no memory to write events", metrics->path);
    free(dir);
    return rc;
}

void pl_metrics_listen(struct pl_metrics *metrics,
                       void (*each)(void *at, const char *name, double value), void *at)
{
    metrics->each = each;
    metrics->each_at = at;
}

static void tell(const struct pl_metrics *metrics, const char *name, double value)
{
    if (metrics->events)
        pl_events_real(metrics->events, name, value);
    if (metrics->each)
        metrics->each(metrics->each_at, name, value);
}

static void keep_error(struct pl_metrics *metrics, int rc)
{
    if (metrics->rc == PL_OK)
        metrics->rc = rc;
}

static void put_name(struct pl_metrics *metrics, const char *name)
{
    PL_ASSERT(metrics->line.len > 0 || metrics->rc < 0); /* begin comes first */
    keep_error(metrics, pl_buf_puts(&metrics->line, ", "));
    keep_error(metrics, pl_json_quote(&metrics->line, name, strlen(name)));
    keep_error(metrics, pl_buf_puts(&metrics->line, ": "));
}

void pl_metrics_begin(struct pl_metrics *metrics, uint64_t step)
{
    pl_buf_clear(&metrics->line);
    if (metrics->events)
        pl_events_begin(metrics->events, step);
    metrics->rc =
        pl_buf_printf(&metrics->line, "{\"%s\": %llu", step_name, (unsigned long long)step);
}

void pl_metrics_real(struct pl_metrics *metrics, const char *name, double value)
{
    tell(metrics, name, value);
    put_name(metrics, name);
    if (isfinite(value))
        keep_error(metrics, pl_buf_printf(&metrics->line, "%.9g", value));
    else
        keep_error(metrics, pl_buf_puts(&metrics->line, "null"));
}

void pl_metrics_count(struct pl_metrics *metrics, const char *name, uint64_t value)
{
    tell(metrics, name, (double)value);
    put_name(metrics, name);
    keep_error(metrics, pl_buf_printf(&metrics->line, "%llu", (unsigned long long)value));
}

void pl_metrics_text(struct pl_metrics *metrics, const char *name, const char *value)
{
    put_name(metrics, name);
    keep_error(metrics, pl_json_quote(&metrics->line, value, strlen(value)));
}

int pl_metrics_end(struct pl_metrics *metrics, struct pl_error *err)
{
    ssize_t n;

    keep_error(metrics, pl_buf_puts(&metrics->line, "}\n"));
    if (metrics->rc < 0)
        return pl_fail(err, metrics->rc, "'%s': a line does not fit into memory", metrics->path);
    do {
        n = PL_FAILPOINT("metrics.before")
                ? -1
                : write(metrics->fd, metrics->line.data, metrics->line.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return pl_fail_errno(err, "write '%s'", metrics->path);
    if ((size_t)n != metrics->line.len)
        return pl_fail(err, PL_EIO,
                       "write '%s': only %zd of %zu bytes were taken; is the disk full?",
                       metrics->path, n, metrics->line.len);
    (void)PL_FAILPOINT("metrics.after");
    pl_buf_clear(&metrics->line);
    return metrics->events ? pl_events_end(metrics->events, err) : PL_OK;
}

int pl_metrics_sync(struct pl_metrics *metrics, struct pl_error *err)
{
    if (fdatasync(metrics->fd) < 0 && errno != EINVAL) /* EINVAL: a pipe or device has no disk */
        return pl_fail_errno(err, "flush '%s'", metrics->path);
    return PL_OK;
}
