#include "common/link/key_file.h"

#include "common/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static const char *const words[PL_KEY_WORDS] = {
    [PL_KEY_CURVE_SECRET] = "curve-secret",
    [PL_KEY_SIGN_SECRET] = "sign-secret",
    [PL_KEY_CURVE_PUBLIC] = "curve-public",
    [PL_KEY_SIGN_PUBLIC] = "sign-public",
};

static const char blank[] = " \t\r";

static bool is_curve(enum pl_key_word word)
{
    return word == PL_KEY_CURVE_SECRET || word == PL_KEY_CURVE_PUBLIC;
}

int pl_key_name_check(const char *name, struct pl_error *err)
{
    const size_t len = strlen(name);
    const size_t fit = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789-_.");

    if (len == 0 || len >= PL_KEY_NAME_MAX || fit < len || name[0] == '.' || name[0] == '-')
        return pl_fail(err, PL_EINVAL,
                       "'%.80s' is no name of a key: 1 to %d letters, digits, '-', '_' and '.', "
                       "of which '.' and '-' do not come first",
                       name, PL_KEY_NAME_MAX - 1);
    return PL_OK;
}

/* ---- text ---- */

static int parse_value(const char *value, size_t len, enum pl_key_word word, size_t line,
                       const char *path, unsigned char *ret, struct pl_error *err)
{
    const size_t expected = is_curve(word) ? PL_KEY_Z85 : (size_t)2 * PL_KEY_BYTES;
    char copy[2 * PL_KEY_BYTES + 1] = "";
    bool fine = len == expected;

    if (fine) {
        memcpy(copy, value, len);
        fine = is_curve(word)
                   ? zmq_z85_decode(ret, copy) != NULL
                   : sodium_hex2bin(ret, PL_KEY_BYTES, copy, len, NULL, &len, NULL) == 0 &&
                         len == PL_KEY_BYTES;
    }
    sodium_memzero(copy, sizeof copy);
    if (!fine)
        return pl_fail(
            err, PL_EFORMAT,
            "'%s', line %zu: '%s' wants %zu characters of %s behind it, and nothing else", path,
            line, words[word], expected, is_curve(word) ? "Z85" : "hexadecimal");
    return PL_OK;
}

static int parse_line(const char *at, size_t len, size_t line, const char *path,
                      struct pl_key_file *file, struct pl_error *err)
{
    size_t word_len;

    for (; len > 0 && strchr(blank, *at); at++)
        len--;
    for (; len > 0 && strchr(blank, at[len - 1]);)
        len--;
    if (len == 0 || *at == '#')
        return PL_OK;
    for (word_len = 0; word_len < len && !strchr(blank, at[word_len]);)
        word_len++;
    for (int w = 0; w < PL_KEY_WORDS; w++) {
        size_t gap = word_len;

        if (word_len != strlen(words[w]) || memcmp(at, words[w], word_len) != 0)
            continue;
        if (file->has[w])
            return pl_fail(err, PL_EFORMAT, "'%s', line %zu: a second '%s'; a file has one", path,
                           line, words[w]);
        while (gap < len && strchr(blank, at[gap]))
            gap++;
        file->has[w] = true;
        return parse_value(at + gap, len - gap, (enum pl_key_word)w, line, path, file->values[w],
                           err);
    }
    return pl_fail(err, PL_EFORMAT,
                   "'%s', line %zu: no line of a key file; one begins with '#', 'curve-secret', "
                   "'sign-secret', 'curve-public' or 'sign-public'",
                   path, line);
}

int pl_key_file_parse(const char *text, size_t len, const char *path, struct pl_key_file *ret_file,
                      struct pl_error *err)
{
    struct pl_key_file file = {0};
    int rc = PL_OK;

    if (len > PL_KEY_FILE_MAX || memchr(text, '\0', len))
        return pl_fail(err, PL_EFORMAT, "'%s' is no key file: %s", path,
                       len > PL_KEY_FILE_MAX ? "it is too large" : "it has a zero byte");
    for (size_t line = 1; rc == PL_OK && len > 0; line++) {
        const char *end = memchr(text, '\n', len);
        const size_t n = end ? (size_t)(end - text) : len;

        rc = parse_line(text, n, line, path, &file, err);
        text += n + (end != NULL);
        len -= n + (end != NULL);
    }
    if (rc == PL_OK)
        *ret_file = file;
    pl_key_file_wipe(&file);
    return rc;
}

int pl_key_file_print(const struct pl_key_file *file, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (int w = 0; rc == PL_OK && w < PL_KEY_WORDS; w++) {
        char text[2 * PL_KEY_BYTES + 1];

        if (!file->has[w])
            continue;
        if (is_curve((enum pl_key_word)w))
            PL_ASSERT(zmq_z85_encode(text, file->values[w], PL_KEY_BYTES));
        else
            sodium_bin2hex(text, sizeof text, file->values[w], PL_KEY_BYTES);
        rc = pl_buf_printf(buf, "%-13s %s\n", words[w], text);
        sodium_memzero(text, sizeof text);
    }
    return rc;
}

int pl_key_file_make(struct pl_key_file *ret_secret, struct pl_error *err)
{
    char secret[PL_KEY_Z85 + 1], public[PL_KEY_Z85 + 1];

    if (sodium_init() < 0 || zmq_curve_keypair(public, secret) < 0)
        return pl_fail(err, PL_EIO, "there are no random numbers, or ZeroMQ has no CURVE");
    *ret_secret =
        (struct pl_key_file){.has = {[PL_KEY_CURVE_SECRET] = true, [PL_KEY_SIGN_SECRET] = true}};
    PL_ASSERT(zmq_z85_decode(ret_secret->values[PL_KEY_CURVE_SECRET], secret));
    sodium_memzero(secret, sizeof secret);
    randombytes_buf(ret_secret->values[PL_KEY_SIGN_SECRET], PL_KEY_BYTES);
    return PL_OK;
}

void pl_key_file_public(const struct pl_key_file *secret, struct pl_key_file *ret_public)
{
    unsigned char whole[crypto_sign_SECRETKEYBYTES];
    char curve[PL_KEY_Z85 + 1], public[PL_KEY_Z85 + 1];

    PL_ASSERT(secret->has[PL_KEY_CURVE_SECRET] && secret->has[PL_KEY_SIGN_SECRET]);
    *ret_public =
        (struct pl_key_file){.has = {[PL_KEY_CURVE_PUBLIC] = true, [PL_KEY_SIGN_PUBLIC] = true}};
    PL_ASSERT(zmq_z85_encode(curve, secret->values[PL_KEY_CURVE_SECRET], PL_KEY_BYTES));
    PL_ASSERT(zmq_curve_public(public, curve) == 0);
    PL_ASSERT(zmq_z85_decode(ret_public->values[PL_KEY_CURVE_PUBLIC], public));
    PL_ASSERT(crypto_sign_seed_keypair(ret_public->values[PL_KEY_SIGN_PUBLIC], whole,
                                       secret->values[PL_KEY_SIGN_SECRET]) == 0);
    sodium_memzero(whole, sizeof whole);
    sodium_memzero(curve, sizeof curve);
}

/* ---- files ---- */

/* Whether `path` lies in the folder that systemd made for this program's credentials. */
static bool is_credential(const char *path)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char *whole = dir && dir[0] == '/' ? realpath(dir, NULL) : NULL;
    char *real = whole ? realpath(path, NULL) : NULL;
    const size_t len = whole ? strlen(whole) : 0;
    const bool is = real && len > 1 && strncmp(real, whole, len) == 0 && real[len] == '/';

    free(real);
    free(whole);
    return is;
}

int pl_key_file_modes(const char *path, const struct stat *st, struct pl_error *err)
{
    const unsigned mode = st->st_mode & 07777, rights = mode & 0077;
    const bool ours = st->st_uid == geteuid();

    if (is_credential(path) ? (rights & 0007) == 0
                            : rights == 0 || (!ours && st->st_uid == 0 && rights == 0040)) {
        if (ours || st->st_uid == 0)
            return PL_OK;
        return pl_fail(
            err, PL_EFORMAT,
            "'%s' holds secret keys and belongs to user %u; it must be ours (user %u) or "
            "root's: chown %u '%s'",
            path, (unsigned)st->st_uid, (unsigned)geteuid(), (unsigned)geteuid(), path);
    }
    return pl_fail(
        err, PL_EFORMAT,
        "'%s' holds secret keys, but its mode is %04o: others than its owner may use it; "
        "type chmod 600 '%s', and make new keys if somebody may have read it",
        path, mode, path);
}

/* All of a file, to a buffer of PL_KEY_FILE_MAX + 1. */
static int read_all(int fd, const char *path, char *text, size_t *ret_len, struct pl_error *err)
{
    size_t len = 0;

    for (ssize_t n = 1; n != 0;) {
        n = read(fd, text + len, PL_KEY_FILE_MAX + 1 - len);
        if (n < 0 && errno != EINTR)
            return pl_fail_errno(err, "read '%s'", path);
        len += n > 0 ? (size_t)n : 0;
        if (len > PL_KEY_FILE_MAX)
            return pl_fail(err, PL_EFORMAT, "'%s' is no key file: it is too large", path);
    }
    *ret_len = len;
    return PL_OK;
}

int pl_key_file_read(const char *path, bool secret, struct pl_key_file *ret_file,
                     struct pl_error *err)
{
    const int first = secret ? PL_KEY_CURVE_SECRET : PL_KEY_CURVE_PUBLIC;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char text[PL_KEY_FILE_MAX + 1];
    struct pl_key_file file = {0};
    size_t len = 0;
    struct stat st;
    int rc;

    if (fd < 0)
        return pl_fail_errno(err, "open '%s'", path);
    if (sodium_init() < 0)
        rc = pl_fail(err, PL_EIO, "libsodium finds no source of random numbers");
    else if (fstat(fd, &st) < 0)
        rc = pl_fail_errno(err, "stat '%s'", path);
    else if (!S_ISREG(st.st_mode))
        rc = pl_fail(err, PL_EFORMAT, "'%s' is no key file: it is not a regular file", path);
    else
        rc = secret ? pl_key_file_modes(path, &st, err) : PL_OK;
    if (rc == PL_OK)
        rc = read_all(fd, path, text, &len, err);
    close(fd);
    if (rc == PL_OK)
        rc = pl_key_file_parse(text, len, path, &file, err);
    sodium_memzero(text, sizeof text);
    if (rc == PL_OK && !(file.has[first] && file.has[first + 1]))
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' has no '%s'; a %s file has '%s' and '%s', and plait keygen makes it",
                     path, words[first + file.has[first]], secret ? ".key" : ".pub", words[first],
                     words[first + 1]);
    if (rc == PL_OK && !secret && (file.has[PL_KEY_CURVE_SECRET] || file.has[PL_KEY_SIGN_SECRET]))
        rc = pl_fail(err, PL_EFORMAT,
                     "'%s' is shown to everybody, but has a secret key in it; that key is to be "
                     "made anew by plait keygen",
                     path);
    if (rc == PL_OK)
        *ret_file = file;
    pl_key_file_wipe(&file);
    return rc;
}

void pl_key_file_wipe(struct pl_key_file *file)
{
    sodium_memzero(file, sizeof *file);
}
