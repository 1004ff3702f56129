#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 64 << 20 };

static char dir[256];

/* Each path that was asked for, once. */
static struct path {
    struct path *next;
    char *text;
} * paths;

int pl_scratch_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/plait-test-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

int pl_scratch_teardown(void **state)
{
    (void)state;
    while (paths) {
        struct path *next = paths->next;

        free(paths->text);
        free(paths);
        paths = next;
    }
    return pl_dir_remove(dir, NULL);
}

const char *pl_scratch_in(const char *folder, const char *name)
{
    char *text = pl_strf(name[0] ? "%s/%s" : "%s%s", folder, name);
    struct path *path = paths;

    assert_non_null(text);
    while (path && strcmp(path->text, text) != 0)
        path = path->next;
    if (path) {
        free(text);
        return path->text;
    }
    path = malloc(sizeof *path);
    assert_non_null(path);
    *path = (struct path){paths, text};
    paths = path;
    return text;
}

const char *pl_scratch(const char *name)
{
    return pl_scratch_in(dir, name);
}

void pl_scratch_write(const char *path, const void *bytes, size_t len)
{
    FILE *out = fopen(path, "we");

    if (!out)
        fail_msg("cannot write '%s'", path);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

void pl_scratch_text(const char *path, const char *text)
{
    pl_scratch_write(path, text, strlen(text));
}

char *pl_scratch_read(const char *path, size_t *ret_len)
{
    struct pl_error err;
    char *data = NULL;

    if (pl_file_read(path, FILE_BYTES_MAX, &data, ret_len, &err) < 0)
        fail_msg("%s", err.text);
    return data;
}

void pl_scratch_copy(const char *from, const char *to)
{
    size_t len = 0;
    char *data = pl_scratch_read(from, &len);

    pl_scratch_write(to, data, len);
    free(data);
}

/* Whether text is want with `dir` for every '$'. */
static int says(const char *text, const char *want)
{
    for (; *want; want++) {
        const size_t len = *want == '$' ? strlen(dir) : 1;

        if (strncmp(text, *want == '$' ? dir : want, len) != 0)
            return 0;
        text += len;
    }
    return *text == '\0';
}

void pl_scratch_says(const char *text, const char *want, const char *file, int line)
{
    if (says(text, want))
        return;
    print_error("the error is  %s\nexpected      %s   ($ is %s)\n", text, want, dir);
    _fail(file, line);
}
