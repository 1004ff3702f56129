#include "common/link/allow.h"

#include "common/base/check.h"
#include "common/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

struct pl_allow {
    char *path;
    struct stat seen; /* of the file as it was last read, or tried to be */
    struct pl_allowed list[PL_ALLOW_MAX], next[PL_ALLOW_MAX];
    size_t count;
};

/* ---- text ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line, copied; false: there is none, or it does not fit. */
static bool take_word(const char **at, const char *end, char *word, size_t room)
{
    const char *from;
    size_t len;

    while (*at < end && is_blank(**at))
        (*at)++;
    for (from = *at; *at < end && !is_blank(**at);)
        (*at)++;
    len = (size_t)(*at - from);
    if (len == 0 || len >= room || memchr(from, '\0', len))
        return false;
    memcpy(word, from, len);
    word[len] = '\0';
    return true;
}

static bool is_end(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at == end;
}

static int parse_line(const char *at, const char *end, struct pl_allowed *ret)
{
    char curve[PL_KEY_Z85 + 1], sign[2 * PL_KEY_BYTES + 1];
    struct pl_allowed a = {0};
    size_t len = 0;

    if (!take_word(&at, end, a.name, sizeof a.name) || pl_key_name_check(a.name, NULL) < 0 ||
        !take_word(&at, end, curve, sizeof curve) || strlen(curve) != PL_KEY_Z85 ||
        !zmq_z85_decode(a.curve, curve))
        return PL_EFORMAT;
    if (!is_end(at, end)) {
        a.signs = true;
        if (!take_word(&at, end, sign, sizeof sign) || !is_end(at, end) ||
            sodium_hex2bin(a.sign, PL_KEY_BYTES, sign, strlen(sign), NULL, &len, NULL) < 0 ||
            len != PL_KEY_BYTES)
            return PL_EFORMAT;
    }
    *ret = a;
    return PL_OK;
}

int pl_allow_parse(const char *text, size_t len, const char *path, struct pl_allowed *list,
                   size_t max, size_t *ret_count, struct pl_error *err)
{
    size_t count = 0;

    for (size_t line = 1; len > 0; line++) {
        const char *end = memchr(text, '\n', len), *at = text;
        const size_t n = end ? (size_t)(end - text) : len;

        end = text + n;
        text += n + (n < len);
        len -= n + (n < len);
        while (at < end && is_blank(*at))
            at++;
        if (at == end || *at == '#')
            continue;
        if (count == max)
            return pl_fail(err, PL_EFULL, "'%s', line %zu: more than %zu keys", path, line, max);
        if (parse_line(at, end, &list[count]) < 0)
            return pl_fail(err, PL_EFORMAT,
                           "'%s', line %zu: a line is NAME, 40 characters of a CURVE key in Z85, "
                           "and may be 64 of an Ed25519 key in hexadecimal",
                           path, line);
        count++;
    }
    *ret_count = count;
    return PL_OK;
}

int pl_allow_print(const struct pl_allowed *allowed, struct pl_buf *buf)
{
    char curve[PL_KEY_Z85 + 1], sign[2 * PL_KEY_BYTES + 1] = "";

    PL_ASSERT(zmq_z85_encode(curve, allowed->curve, PL_KEY_BYTES));
    if (allowed->signs)
        sodium_bin2hex(sign, sizeof sign, allowed->sign, PL_KEY_BYTES);
    return pl_buf_printf(buf, "%s %s%s%s\n", allowed->name, curve, allowed->signs ? " " : "", sign);
}

/* ---- the file ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int read_list(struct pl_allow *a, struct pl_error *err)
{
    char *text = NULL;
    size_t len = 0, count = 0;
    int rc = pl_file_read(a->path, PL_ALLOW_BYTES_MAX, &text, &len, err);

    if (rc == PL_OK)
        rc = pl_allow_parse(text, len, a->path, a->next, PL_ALLOW_MAX, &count, err);
    free(text);
    if (rc == PL_OK && count == 0) /* as a file is for a moment that is written anew in its place */
        rc = pl_fail(err, PL_EFORMAT, "'%s' names nobody who may connect", a->path);
    if (rc < 0)
        return rc;
    memcpy(a->list, a->next, count * sizeof *a->list);
    a->count = count;
    return PL_OK;
}

int pl_allow_open(const char *path, struct pl_allow **ret_allow, struct pl_error *err)
{
    struct pl_allow *a = calloc(1, sizeof *a);
    int rc;

    if (a)
        a->path = strdup(path);
    if (!a || !a->path) {
        pl_allow_close(a);
        return pl_fail(err, PL_ENOMEM, "no memory for the list of who may connect");
    }
    if (stat(path, &a->seen) < 0)
        rc =
            pl_fail_errno(err, "the list of who may connect, '%s', which plait keygen makes", path);
    else
        rc = read_list(a, err);
    if (rc < 0) {
        pl_allow_close(a);
        return rc;
    }
    *ret_allow = a;
    return PL_OK;
}

void pl_allow_close(struct pl_allow *allow)
{
    if (allow)
        free(allow->path);
    free(allow);
}

int pl_allow_refresh(struct pl_allow *allow, struct pl_error *err)
{
    struct stat now = {0};
    int rc;

    if (stat(allow->path, &now) < 0) {
        const bool said = allow->seen.st_ino == 0;

        allow->seen = (struct stat){0};
        return said ? PL_OK : pl_fail_errno(err, "the list of who may connect, '%s'", allow->path);
    }
    if (same_file(&now, &allow->seen))
        return PL_OK;
    allow->seen = now;
    rc = read_list(allow, err);
    return rc;
}

size_t pl_allow_count(const struct pl_allow *allow)
{
    return allow->count;
}

const struct pl_allowed *pl_allow_at(const struct pl_allow *allow, size_t i)
{
    PL_ASSERT(i < allow->count);
    return &allow->list[i];
}

const struct pl_allowed *pl_allow_find(const struct pl_allow *allow,
                                       const unsigned char curve[PL_KEY_BYTES])
{
    for (size_t i = 0; i < allow->count; i++)
        if (memcmp(allow->list[i].curve, curve, PL_KEY_BYTES) == 0)
            return &allow->list[i];
    return NULL;
}
