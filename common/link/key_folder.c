#include "common/link/key_folder.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/link/allow.h"
#include "common/link/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const endings[] = {"key", "pub"};

static const char list_head[] =
    "# Who may connect to the learner, the relays and the rewarder that have this list; they read "
    "it\n"
    "# again when it changes. A line: NAME CURVE-PUBLIC [SIGN-PUBLIC]. To change a key without a "
    "gap,\n"
    "# add the new line, give out the new NAME.key, and take the old line out in the end.\n";

/* ---- files that must not be there yet ---- */

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno != EINTR)
            return -1;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_new(const char *path, mode_t mode, const struct pl_buf *text, struct pl_error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    int rc = PL_OK;

    if (fd < 0)
        return pl_fail_errno(err, "make '%s'", path);
    /* Not less the umask: what is public is to be read by others, and what is not by nobody. */
    if (fchmod(fd, mode) < 0 || write_all(fd, text->data, text->len) < 0 || fsync(fd) < 0)
        rc = pl_fail_errno(err, "write '%s'", path);
    if (close(fd) < 0 && rc == PL_OK)
        rc = pl_fail_errno(err, "write '%s'", path);
    if (rc < 0)
        unlink(path);
    return rc;
}

static int write_keys(const char *dir, const char *name, const char *ending, mode_t mode,
                      const char *what, const struct pl_key_file *file, struct pl_error *err)
{
    char *path = pl_strf("%s/%s.%s", dir, name, ending);
    const time_t now = time(NULL);
    char date[16] = "";
    struct pl_buf text;
    struct tm utc;
    int rc;

    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &utc));
    pl_buf_init(&text, PL_KEY_FILE_MAX);
    rc =
        path ? pl_buf_printf(&text, "# plait: %s of '%s', made %s\n", what, name, date) : PL_ENOMEM;
    if (rc == PL_OK)
        rc = pl_key_file_print(file, &text);
    rc = rc < 0 ? pl_fail(err, rc, "no memory for a key") : write_new(path, mode, &text, err);
    if (text.data)
        sodium_memzero(text.data, text.len);
    pl_buf_release(&text);
    free(path);
    return rc;
}

/* Both files of a name, and its line. */
static int make_pair(const char *dir, const char *name, struct pl_buf *lines, struct pl_error *err)
{
    struct pl_allowed allowed = {.signs = true};
    struct pl_key_file secret, public;
    int rc = pl_key_file_make(&secret, err);

    if (rc < 0)
        return rc;
    pl_key_file_public(&secret, &public);
    snprintf(allowed.name, sizeof allowed.name, "%s", name);
    memcpy(allowed.curve, public.values[PL_KEY_CURVE_PUBLIC], PL_KEY_BYTES);
    memcpy(allowed.sign, public.values[PL_KEY_SIGN_PUBLIC], PL_KEY_BYTES);
    if (pl_allow_print(&allowed, lines) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the list of keys");
    if (rc == PL_OK)
        rc = write_keys(dir, name, "key", 0600, "secret keys", &secret, err);
    if (rc == PL_OK)
        rc = write_keys(dir, name, "pub", 0644, "public keys", &public, err);
    pl_key_file_wipe(&secret);
    return rc;
}

/* ---- a folder ---- */

static int check_new(const char *path, struct pl_error *err)
{
    struct stat st;

    if (lstat(path, &st) == 0)
        return pl_fail(err, PL_EINVAL, "'%s' is there already, and keys are not overwritten", path);
    return errno == ENOENT ? PL_OK : pl_fail_errno(err, "look for '%s'", path);
}

static int check_names(const char *dir, char *const *names, size_t count, struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        rc = pl_key_name_check(names[i], err);
        for (size_t k = 0; rc == PL_OK && k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                rc = pl_fail(err, PL_EINVAL, "the name '%s' is given twice", names[i]);
        for (size_t e = 0; rc == PL_OK && e < 2; e++) {
            char *path = pl_strf("%s/%s.%s", dir, names[i], endings[e]);

            rc = path ? check_new(path, err) : pl_fail(err, PL_ENOMEM, "no memory for a key");
            free(path);
        }
    }
    return rc;
}

/* Take away what this call has made: before it none of them was there. */
static void undo(const char *dir, char *const *names, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        char *path = pl_strf("%s/%s.%s", dir, names[i / 2], endings[i % 2]);

        if (path)
            unlink(path);
        free(path);
    }
}

static int make_pairs(const char *dir, char *const *names, size_t count, struct pl_buf *lines,
                      struct pl_error *err)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < count; i++) {
        rc = make_pair(dir, names[i], lines, err);
        if (rc < 0)
            undo(dir, names, i + 1);
    }
    return rc;
}

int pl_key_folder_make(const char *dir, char *const *names, size_t count, struct pl_error *err)
{
    char *path = pl_strf("%s/allow", dir);
    struct pl_buf text;
    int rc = path ? check_new(path, err) : pl_fail(err, PL_ENOMEM, "no memory for keys");

    pl_buf_init(&text, PL_ALLOW_BYTES_MAX);
    if (rc == PL_OK)
        rc = check_names(dir, names, count, err);
    if (rc == PL_OK && mkdir(dir, 0700) < 0 && errno != EEXIST)
        rc = pl_fail_errno(err, "make the folder '%s'", dir);
    if (rc == PL_OK && pl_buf_puts(&text, list_head) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for keys");
    if (rc == PL_OK)
        rc = make_pairs(dir, names, count, &text, err);
    if (rc == PL_OK) {
        rc = write_new(path, 0644, &text, err);
        if (rc < 0)
            undo(dir, names, count);
    }
    if (rc == PL_OK)
        rc = pl_dir_sync(dir, err);
    pl_buf_release(&text);
    free(path);
    return rc;
}

/* The list as it is and some lines more, in place of it at once. */
static int extend_list(const char *path, const char *old, size_t len, const struct pl_buf *lines,
                       struct pl_error *err)
{
    struct pl_outfile out;
    int rc = pl_outfile_open(path, &out, err);

    if (rc < 0)
        return rc;
    rc = pl_outfile_write(&out, old, len, err);
    if (rc == PL_OK && len > 0 && old[len - 1] != '\n')
        rc = pl_outfile_write(&out, "\n", 1, err);
    if (rc == PL_OK)
        rc = pl_outfile_write(&out, lines->data, lines->len, err);
    if (rc == PL_OK && fchmod(fileno(out.stream), 0644) < 0)
        rc = pl_fail_errno(err, "write '%s'", path);
    if (rc < 0) {
        pl_outfile_abort(&out);
        return rc;
    }
    return pl_outfile_commit(&out, err);
}

int pl_key_folder_add(const char *dir, char *const *names, size_t count, struct pl_error *err)
{
    struct pl_allowed *list = calloc(PL_ALLOW_MAX, sizeof *list);
    char *path = pl_strf("%s/allow", dir), *old = NULL;
    size_t len = 0, listed = 0;
    struct pl_buf lines;
    int rc;

    pl_buf_init(&lines, PL_ALLOW_BYTES_MAX);
    rc = path && list ? pl_file_read(path, PL_ALLOW_BYTES_MAX, &old, &len, err)
                      : pl_fail(err, PL_ENOMEM, "no memory for keys");
    if (rc == PL_OK) /* a list that is broken is not made longer */
        rc = pl_allow_parse(old, len, path, list, PL_ALLOW_MAX, &listed, err);
    if (rc == PL_OK && listed + count > PL_ALLOW_MAX)
        rc = pl_fail(err, PL_EFULL, "'%s' has %zu keys already; at most %d are possible", path,
                     listed, PL_ALLOW_MAX);
    if (rc == PL_OK)
        rc = check_names(dir, names, count, err);
    if (rc == PL_OK)
        rc = make_pairs(dir, names, count, &lines, err);
    if (rc == PL_OK) {
        rc = extend_list(path, old, len, &lines, err);
        if (rc < 0)
            undo(dir, names, count);
    }
    if (rc == PL_OK)
        rc = pl_dir_sync(dir, err);
    pl_buf_release(&lines);
    free(list);
    free(old);
    free(path);
    return rc;
}
