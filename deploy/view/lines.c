#include "deploy/view/lines.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 16 };

int pl_lines_open(const char *path, size_t line_max, struct pl_lines *ret_lines,
                  struct pl_error *err)
{
    struct pl_lines *l = ret_lines;

    *l = (struct pl_lines){0};
    pl_buf_init(&l->line, line_max);
    l->file = fopen(path, "re");
    if (!l->file)
        return pl_fail_errno(err, "open '%s'", path);
    l->path = strdup(path);
    l->block = malloc(BLOCK);
    if (!l->path || !l->block)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", path);
    return PL_OK;
}

void pl_lines_close(struct pl_lines *lines)
{
    if (lines->file)
        fclose(lines->file);
    free(lines->path);
    free(lines->block);
    pl_buf_release(&lines->line);
    *lines = (struct pl_lines){0};
}

/* More of the file; false: it has no more by now, or cannot be read. */
static bool fill(struct pl_lines *l)
{
    l->at = 0;
    l->end = fread(l->block, 1, BLOCK, l->file);
    return l->end > 0;
}

int pl_lines_next(struct pl_lines *lines, const char **ret_line, size_t *ret_len,
                  struct pl_error *err)
{
    struct pl_lines *l = lines;
    bool fits = true;

    pl_buf_clear(&l->line);
    while (l->at < l->end || fill(l)) {
        const char *from = l->block + l->at;
        const char *feed = memchr(from, '\n', l->end - l->at);
        const size_t len = feed ? (size_t)(feed - from) : l->end - l->at;
        const int rc = fits ? pl_buf_append(&l->line, from, len) : PL_OK;

        if (rc == PL_ENOMEM)
            return pl_fail(err, rc, "'%s': no memory for a line", l->path);
        fits = fits && rc == PL_OK;
        l->at += len + (feed != NULL);
        l->bytes += len + (feed != NULL);
        if (!feed)
            continue;
        if (fits) {
            *ret_line = l->line.data ? l->line.data : "";
            *ret_len = l->line.len;
            return 1;
        }
        l->too_long++;
        fits = true;
        pl_buf_clear(&l->line);
    }
    l->torn = l->line.len > 0 || !fits;
    return ferror(l->file) ? pl_fail_errno(err, "read '%s'", l->path) : PL_OK;
}
