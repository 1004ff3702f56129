#include "deploy/crew_log.h"

#include "common/base/buf.h"
#include "common/base/json.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 16, TAIL_BYTES = 1 << 16 };

uint64_t pl_crew_log_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* ---- bounded ---- */

static int write_whole(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, bytes, len);

        if (n < 0)
            return PL_EIO;
        bytes += n;
        len -= (size_t)n;
    }
    return PL_OK;
}

/* All that is there, and what comes meanwhile. */
static int copy(int from, int to)
{
    char *bytes = malloc(COPY_BYTES);
    ssize_t n = 0;
    int rc = bytes ? PL_OK : PL_ENOMEM;

    while (rc == PL_OK && (n = read(from, bytes, COPY_BYTES)) > 0)
        rc = write_whole(to, bytes, (size_t)n);
    free(bytes);
    return rc == PL_OK && n < 0 ? PL_EIO : rc;
}

int pl_crew_log_bound(const char *path, uint64_t most, struct pl_error *err)
{
    char *aside, *before;
    int from = -1, to = -1, rc = PL_OK;

    if (pl_crew_log_size(path) <= most)
        return PL_OK;
    aside = pl_strf("%s.1.tmp", path);
    before = pl_strf("%s.1", path);
    if (!aside || !before)
        rc = pl_fail(err, PL_ENOMEM, "no memory to shorten '%s'", path);
    if (rc == PL_OK) {
        from = open(path, O_RDWR | O_CLOEXEC);
        to = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (from < 0 || to < 0 || copy(from, to) < 0 || rename(aside, before) < 0 ||
            ftruncate(from, 0) < 0)
            rc = pl_fail_errno(err, "shorten '%s'", path);
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    free(aside);
    free(before);
    return rc;
}

/* ---- what was said last ---- */

/* What stands behind `name=` in a line of logfmt, without its quotes and escapes; false: nothing.
 */
static bool logfmt_value(const char *line, const char *name, char *text, size_t size)
{
    const char *at = strstr(line, name);
    size_t n = 0;
    bool quoted;

    if (!at)
        return false;
    at += strlen(name);
    quoted = *at == '"';
    for (at += quoted; *at && n + 1 < size && *at != (quoted ? '"' : ' '); at++) {
        if (quoted && *at == '\\' && at[1])
            at++;
        text[n++] = *at;
    }
    text[n] = '\0';
    return n > 0;
}

/* The same of a line that is JSON. */
static bool json_value(const char *line, char *text, size_t size)
{
    json_t *root = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
    const char *level = json_string_value(json_object_get(root, "level"));
    const char *reason = json_string_value(json_object_get(root, "reason"));
    const bool said = level && strcmp(level, "error") == 0 && reason;

    if (said)
        snprintf(text, size, "%s", reason);
    json_decref(root);
    return said;
}

static bool is_error(const char *line, const char *program, char *text, size_t size)
{
    static const char any[] = "plait: "; /* an assertion that failed */
    const size_t len = strlen(program);
    const char *said = NULL;

    if (strncmp(line, program, len) == 0 && strncmp(line + len, ": ", 2) == 0)
        said = line + len + 2;
    else if (strncmp(line, any, strlen(any)) == 0)
        said = line + strlen(any);
    if (said && said[0]) {
        snprintf(text, size, "%s", said);
        return true;
    }
    if (json_value(line, text, size))
        return true;
    return strstr(line, " error failed ") && logfmt_value(line, " reason=", text, size);
}

bool pl_crew_log_last(const char *path, uint64_t from, const char *program, char *text, size_t size)
{
    const uint64_t all = pl_crew_log_size(path);
    char *tail = malloc(TAIL_BYTES + 1), *line, *rest;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool found = false;
    ssize_t n = 0;

    text[0] = '\0';
    if (from > all) /* it was shortened since */
        from = 0;
    if (all - from > TAIL_BYTES)
        from = all - TAIL_BYTES;
    if (tail && fd >= 0)
        n = pread(fd, tail, TAIL_BYTES, (off_t)from);
    if (n > 0) {
        char last[512] = "";

        tail[n] = '\0';
        rest = tail;
        while ((line = strsep(&rest, "\n"))) {
            found = is_error(line, program, text, size) || found;
            if (line[0])
                snprintf(last, sizeof last, "%.500s", line);
        }
        if (!found)
            snprintf(text, size, "%s", last);
    }
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    if (fd >= 0)
        close(fd);
    free(tail);
    return found;
}
