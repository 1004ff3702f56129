#include "tests/fuzz/fuzz.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool was_taken;
static struct pl_error why;

void pl_fuzz_taken(bool taken)
{
    was_taken = taken;
}

bool pl_fuzz_was_taken(void)
{
    return was_taken;
}

const char *pl_fuzz_why(void)
{
    return why.text;
}

/* The sentence can be put on a line of a terminal or a log as it is. */
static bool is_plain(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F || (*p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0))
            return false;
    }
    return true;
}

void pl_fuzz_refused(int rc, const struct pl_error *err, unsigned codes)
{
    PL_ASSERT(rc < 0 && rc > -32);
    if (!(codes >> -rc & 1) || err->code != rc || err->text[0] == '\0' || !is_plain(err->text))
        fprintf(stderr, "rc %s, err %s: '%s'\n", pl_code_name(rc), pl_code_name(err->code),
                err->text);
    PL_ASSERT(codes >> -rc & 1);
    PL_ASSERT(err->code == rc);
    PL_ASSERT(err->text[0] != '\0');
    PL_ASSERT(memchr(err->text, '\0', sizeof err->text));
    PL_ASSERT(is_plain(err->text));
    was_taken = false;
    why = *err;
}

uint8_t pl_fuzz_byte(struct pl_fuzz_in *in)
{
    const uint8_t byte = in->size ? in->data[0] : 0;

    in->data += in->size > 0;
    in->size -= in->size > 0;
    return byte;
}

struct pl_fuzz_in pl_fuzz_cut(struct pl_fuzz_in *in, uint8_t mark)
{
    const uint8_t *at = in->size ? memchr(in->data, mark, in->size) : NULL;
    const struct pl_fuzz_in piece = {in->data, at ? (size_t)(at - in->data) : in->size};
    const size_t taken = piece.size + (at != NULL);

    in->data += taken;
    in->size -= taken;
    return piece;
}

char *pl_fuzz_string(struct pl_fuzz_in piece)
{
    char *text = malloc(piece.size + 1);

    PL_ASSERT(text);
    if (piece.size)
        memcpy(text, piece.data, piece.size);
    text[piece.size] = '\0';
    return text;
}

/* --- files --- */

static char folder[64];

static void remove_folder(void)
{
    (void)pl_dir_remove(folder, NULL);
}

/* replay.c makes the folder and removes it whatever becomes of the process that runs the target. */
const char *pl_fuzz_dir(void)
{
    const char *given = getenv("PLAIT_FUZZ_DIR");

    if (folder[0])
        return folder;
    if (given && strlen(given) < sizeof folder) {
        memcpy(folder, given, strlen(given) + 1);
        return folder;
    }
    snprintf(folder, sizeof folder, "%s/plait-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    PL_ASSERT(mkdtemp(folder));
    atexit(remove_folder);
    return folder;
}

char *pl_fuzz_path(const char *name)
{
    char *path = pl_strf("%s/%s", pl_fuzz_dir(), name);

    PL_ASSERT(path);
    return path;
}

void pl_fuzz_write(const char *name, const void *data, size_t size)
{
    char *path = pl_fuzz_path(name), *slash = strrchr(path, '/');
    FILE *out;

    *slash = '\0';
    PL_ASSERT(pl_dir_make(path, NULL) == PL_OK);
    *slash = '/';
    out = fopen(path, "we");
    PL_ASSERT(out);
    PL_ASSERT(fwrite(data, 1, size, out) == size);
    PL_ASSERT(fclose(out) == 0);
    free(path);
}

/* Where the next line "=== ..." begins, or the end. */
static size_t next_head(struct pl_fuzz_in in)
{
    static const char mark[] = "\n=== ";
    const uint8_t *at = in.size ? memmem(in.data, in.size, mark, sizeof mark - 1) : NULL;

    return at ? (size_t)(at - in.data) : in.size;
}

void pl_fuzz_unpack(struct pl_fuzz_in in, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *path = pl_fuzz_path(names[i]);

        unlink(path);
        free(path);
    }
    if (in.size < 4 || memcmp(in.data, "=== ", 4) != 0)
        return;
    while (in.size > 0) {
        const struct pl_fuzz_in head = pl_fuzz_cut(&in, '\n');
        const size_t size = next_head(in);

        for (size_t i = 0; i < n; i++) {
            const size_t len = strlen(names[i]);

            if (head.size == len + 4 && memcmp(head.data + 4, names[i], len) == 0)
                pl_fuzz_write(names[i], in.data, size);
        }
        in.data += size;
        in.size -= size;
        (void)pl_fuzz_byte(&in); /* the newline before the next head */
    }
}
