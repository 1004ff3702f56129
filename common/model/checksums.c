#include "common/model/checksums.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/pulse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PIECE_BYTES = 1 << 20, LIST_BYTES_MAX = 1 << 20, DEPTH_MAX = 3, HEX = 33 };

/* --- one file --- */

static int read_pieces(int fd, const char *path, XXH3_state_t *state, unsigned char *piece,
                       struct pl_error *err)
{
    for (;;) {
        const ssize_t n = read(fd, piece, PIECE_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pl_fail_errno(err, "read '%s'", path);
        if (n == 0)
            return PL_OK;
        XXH3_128bits_update(state, piece, (size_t)n);
        pl_pulse();
    }
}

static int sum_of(const char *path, char ret_hex[HEX], struct pl_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    unsigned char *piece = NULL;
    XXH3_state_t *state = NULL;
    XXH128_canonical_t sum;
    int rc = PL_OK;

    if (fd < 0)
        return pl_fail_errno(err, "open '%s'", path);
    piece = malloc(PIECE_BYTES);
    state = XXH3_createState();
    if (!piece || !state) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for its checksum", path);
        goto out;
    }
    XXH3_128bits_reset(state);
    rc = read_pieces(fd, path, state, piece, err);
    if (rc < 0)
        goto out;
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(state));
    for (size_t i = 0; i < sizeof sum.digest; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", sum.digest[i]);
out:
    close(fd);
    XXH3_freeState(state);
    free(piece);
    return rc;
}

/* --- writing --- */

struct names {
    char **items;
    size_t count, cap;
};

static void release_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

/* Takes `name` over, also when it fails. */
static int add_name(struct names *names, char *name)
{
    if (names->count == names->cap) {
        const size_t cap = names->cap ? 2 * names->cap : 32;
        char **items = realloc(names->items, cap * sizeof *items);

        if (!items) {
            free(name);
            return PL_ENOMEM;
        }
        names->items = items;
        names->cap = cap;
    }
    names->items[names->count++] = name;
    return PL_OK;
}

static int add_folder(const char *dir, const char *inner, int depth, struct names *names,
                      struct pl_error *err);

/* `name`: from `dir` on. Taken over. */
static int add_entry(const char *dir, char *name, int depth, struct names *names,
                     struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, name);
    struct stat st = {0};
    int rc = PL_OK;

    if (!path)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    else if (stat(path, &st) < 0)
        rc = pl_fail_errno(err, "stat '%s'", path);
    else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
        rc = add_folder(dir, name, depth + 1, names, err);
    else if (S_ISREG(st.st_mode)) {
        rc = add_name(names, name);
        name = NULL;
        if (rc < 0)
            pl_fail(err, rc, "'%s': no memory to list it", dir);
    }
    free(path);
    free(name);
    return rc;
}

/* The files of dir/inner; `inner` is empty for the folder itself. */
static int add_folder(const char *dir, const char *inner, int depth, struct names *names,
                      struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, inner);
    DIR *folder = path ? opendir(path) : NULL;
    struct dirent *entry;
    int rc = PL_OK;

    if (!path)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    else if (!folder)
        rc = pl_fail_errno(err, "open folder '%s'", path);
    while (rc == PL_OK && (errno = 0, entry = readdir(folder))) {
        char *name;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, PL_CHECKSUMS_FILE) == 0)
            continue;
        name = pl_strf("%s%s%s", inner, inner[0] ? "/" : "", entry->d_name);
        rc = name ? add_entry(dir, name, depth, names, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    }
    if (rc == PL_OK && errno != 0)
        rc = pl_fail_errno(err, "read folder '%s'", path);
    if (folder)
        closedir(folder);
    free(path);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const char *dir, const struct names *names, struct pl_buf *text,
                struct pl_error *err)
{
    int rc = pl_buf_printf(text, "# %zu files\n", names->count);

    for (size_t i = 0; rc == PL_OK && i < names->count; i++) {
        char *path = pl_strf("%s/%s", dir, names->items[i]), hex[HEX];

        if (!path)
            rc = PL_ENOMEM;
        else if (sum_of(path, hex, err) < 0) {
            free(path);
            return err ? err->code : PL_EIO;
        }
        free(path);
        if (rc == PL_OK)
            rc = pl_buf_printf(text, "%s  %s\n", hex, names->items[i]);
    }
    return rc == PL_OK ? PL_OK : pl_fail(err, rc, "'%s': no memory for its checksums", dir);
}

int pl_checksums_write(const char *dir, struct pl_error *err)
{
    char *path = pl_strf("%s/" PL_CHECKSUMS_FILE, dir);
    struct names names = {0};
    struct pl_outfile out;
    struct pl_buf text;
    int rc = path ? add_folder(dir, "", 0, &names, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    pl_buf_init(&text, LIST_BYTES_MAX);
    if (rc == PL_OK && names.count > 0)
        qsort(names.items, names.count, sizeof *names.items, by_name);
    if (rc == PL_OK)
        rc = list(dir, &names, &text, err);
    if (rc == PL_OK)
        rc = pl_outfile_open(path, &out, err);
    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, text.data, text.len, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    pl_buf_release(&text);
    release_names(&names);
    free(path);
    return rc;
}

/* --- checking --- */

static int broken(const char *path, struct pl_error *err)
{
    return pl_fail(err, PL_EFORMAT, "'%s' is not as it was written: it is cut short or damaged",
                   path);
}

/* One line, without its end: "<hex>  <name>". */
static int check_line(const char *dir, const char *path, const char *line, struct pl_error *err)
{
    const char *name = line + HEX + 1;
    char hex[HEX], *file;
    int rc;

    if (strlen(line) < HEX + 2 || strspn(line, "0123456789abcdef") != HEX - 1 ||
        line[HEX - 1] != ' ' || line[HEX] != ' ' || name[0] == '/' || strstr(name, ".."))
        return broken(path, err);
    file = pl_strf("%s/%s", dir, name);
    if (!file)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);
    rc = sum_of(file, hex, err);
    if (rc == PL_ENOENT)
        rc = pl_fail(err, PL_EFORMAT, "'%s' is missing; %s in its folder names it", file,
                     PL_CHECKSUMS_FILE);
    else if (rc == PL_OK && memcmp(hex, line, HEX - 1) != 0)
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' has not the bytes that were written (checksum %s, expected %.32s): "
                     "restore it, or go on from another checkpoint",
                     file, hex, line);
    free(file);
    return rc;
}

static int check_lines(const char *dir, const char *path, char *text, size_t len,
                       struct pl_error *err)
{
    char first[32], *line = text;
    size_t count = 0;
    int rc = PL_OK;

    if (strlen(text) != len || len == 0 || text[len - 1] != '\n')
        return broken(path, err);
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    snprintf(first, sizeof first, "# %zu files\n", count - 1);
    if (strncmp(text, first, strlen(first)) != 0)
        return broken(path, err);
    for (line += strlen(first); rc == PL_OK && *line; line += strlen(line) + 1) {
        *strchr(line, '\n') = '\0';
        rc = check_line(dir, path, line, err);
    }
    return rc;
}

int pl_checksums_check(const char *dir, bool *ret_there, struct pl_error *err)
{
    char *path = pl_strf("%s/" PL_CHECKSUMS_FILE, dir), *text = NULL;
    size_t len = 0;
    int rc = path ? pl_file_read(path, LIST_BYTES_MAX, &text, &len, err)
                  : pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", dir);

    if (rc == PL_ENOENT) {
        *ret_there = false;
        rc = PL_OK;
    } else if (rc == PL_OK) {
        *ret_there = true;
        rc = check_lines(dir, path, text, len, err);
    }
    free(text);
    free(path);
    return rc;
}
