/*
 * A tokenizer from a folder. Folders from before tokenizer.json have vocab.json, merges.txt and, in
 * tokenizer_config.json, the added tokens; how text is cut and normalized stands in none of them
 * and is Qwen2's.
 */
#include "common/base/file.h"
#include "common/text/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 28 };

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 1;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

/* One line of merges.txt, which is changed: "a b". */
static int take_line(struct pl_tokenizer *tokenizer, const json_t *vocab, char *line, size_t number,
                     struct pl_buf *scratch, const char *what, struct pl_error *err)
{
    char *space = strchr(line, ' ');

    if (!space || strchr(space + 1, ' '))
        return pl_fail(err, PL_EFORMAT, "%s: line %zu: expected two tokens with a space between",
                       what, number);
    *space = '\0';
    return pl_tokenizer_take_merge(tokenizer, vocab, line, space + 1, scratch, what, err);
}

static int take_merges(struct pl_tokenizer *tokenizer, const json_t *vocab, char *text, size_t len,
                       const char *what, struct pl_error *err)
{
    struct pl_buf scratch;
    size_t number = 0;
    int rc = PL_OK;

    if (memchr(text, '\0', len))
        return pl_fail(err, PL_EFORMAT, "%s: expected text, found a NUL", what);
    pl_buf_init(&scratch, UINT32_MAX);
    for (char *line = text, *end = text + len, *next; rc == PL_OK && line < end; line = next) {
        size_t n;

        next = memchr(line, '\n', (size_t)(end - line));
        n = (size_t)((next ? next : end) - line);
        next = next ? next + 1 : end;
        number++;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        line[n] = '\0';
        if (n == 0 || (number == 1 && strncmp(line, "#version", 8) == 0))
            continue;
        rc = take_line(tokenizer, vocab, line, number, &scratch, what, err);
    }
    pl_buf_release(&scratch);
    return rc;
}

/* {"added_tokens_decoder": {"151643": {"content": ...}, ...}}; the file may be missing. */
static int take_config(struct pl_tokenizer *tokenizer, const json_t *vocab, const char *path,
                       struct pl_error *err)
{
    json_t *root = NULL, *decoder, *entry;
    const char *key;
    int rc = pl_json_load(path, FILE_BYTES_MAX, &root, err);

    if (rc < 0)
        return rc == PL_ENOENT ? PL_OK : rc;
    decoder = json_object_get(root, "added_tokens_decoder");
    if (decoder && !json_is_object(decoder) && !json_is_null(decoder))
        rc = pl_fail(err, PL_EFORMAT, "%s: expected 'added_tokens_decoder' to be an object", path);
    json_object_foreach(decoder, key, entry)
    {
        char *end;
        const unsigned long id = strtoul(key, &end, 10);

        if (key[0] < '0' || key[0] > '9' || *end)
            rc = pl_fail(err, PL_EFORMAT, "%s: added token '%.40s': expected an id", path, key);
        else
            rc = pl_tokenizer_take_added(tokenizer, vocab, entry, id, path, err);
        if (rc < 0)
            break;
    }
    json_decref(root);
    return rc;
}

struct paths {
    char *tokenizer, *vocab, *merges, *config;
};

static int load_old(const struct paths *paths, struct pl_tokenizer *tokenizer, struct pl_error *err)
{
    json_t *vocab = NULL;
    char *merges = NULL;
    size_t len = 0;
    int rc = pl_json_load(paths->vocab, FILE_BYTES_MAX, &vocab, err);

    if (rc == PL_OK)
        rc = pl_file_read(paths->merges, FILE_BYTES_MAX, &merges, &len, err);
    if (rc < 0)
        goto out;
    tokenizer->forms[tokenizer->forms_count++] = PL_FORM_NFC;
    tokenizer->bytelevel = tokenizer->decoder = true;
    rc = pl_pretok_add(&tokenizer->pretok, PL_PRETOK_QWEN2, false, err);
    if (rc == PL_OK)
        rc = pl_tokenizer_take_vocab(tokenizer, vocab, NULL, count_lines(merges, len), paths->vocab,
                                     err);
    if (rc == PL_OK)
        rc = take_merges(tokenizer, vocab, merges, len, paths->merges, err);
    if (rc == PL_OK)
        rc = take_config(tokenizer, vocab, paths->config, err);
    if (rc == PL_OK)
        rc = pl_tokenizer_seal(tokenizer, paths->vocab, err);
out:
    free(merges);
    json_decref(vocab);
    return rc;
}

static int load(const char *dir, const struct paths *paths, struct pl_tokenizer **ret_tokenizer,
                struct pl_error *err)
{
    struct pl_tokenizer *tokenizer;
    char *data = NULL;
    size_t len = 0;
    int rc;

    if (pl_path_exists(paths->tokenizer)) {
        rc = pl_file_read(paths->tokenizer, FILE_BYTES_MAX, &data, &len, err);
        if (rc == PL_OK)
            rc = pl_tokenizer_parse(data, len, paths->tokenizer, ret_tokenizer, err);
        free(data);
        return rc;
    }
    if (!pl_path_exists(paths->vocab) || !pl_path_exists(paths->merges))
        return pl_fail(err, PL_ENOENT,
                       "'%s': there is no tokenizer.json, and no vocab.json with merges.txt", dir);
    tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for the tokenizer", dir);
    rc = load_old(paths, tokenizer, err);
    if (rc < 0)
        pl_tokenizer_destroy(tokenizer);
    else
        *ret_tokenizer = tokenizer;
    return rc;
}

int pl_tokenizer_load(const char *dir, struct pl_tokenizer **ret_tokenizer, struct pl_error *err)
{
    struct paths paths = {
        .tokenizer = pl_strf("%s/tokenizer.json", dir),
        .vocab = pl_strf("%s/vocab.json", dir),
        .merges = pl_strf("%s/merges.txt", dir),
        .config = pl_strf("%s/tokenizer_config.json", dir),
    };
    int rc;

    if (paths.tokenizer && paths.vocab && paths.merges && paths.config)
        rc = load(dir, &paths, ret_tokenizer, err);
    else
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for the names of its files", dir);
    free(paths.tokenizer);
    free(paths.vocab);
    free(paths.merges);
    free(paths.config);
    return rc;
}
