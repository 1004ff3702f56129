#include "common/text/added.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/text/utf8.h"

#include <stdlib.h>

void pl_added_release(struct pl_added *added)
{
    for (size_t i = 0; i < PL_ADDED_ROUNDS; i++) {
        pl_matcher_release(&added->matchers[i]);
        free(added->members[i]);
    }
    free(added->tokens);
    pl_dict_release(&added->contents);
    *added = (struct pl_added){0};
}

int pl_added_add(struct pl_added *added, const char *content, size_t len,
                 struct pl_added_token token)
{
    size_t entry;
    bool is_new;
    int rc;

    PL_ASSERT(len > 0);
    rc = pl_dict_add(&added->contents, content, len, &entry, &is_new);
    if (rc < 0 || !is_new)
        return rc < 0 ? rc : PL_EINVAL;
    if (entry >= added->cap) {
        const size_t cap = added->cap ? added->cap * 2 : 32;
        struct pl_added_token *tokens = realloc(added->tokens, cap * sizeof *tokens);

        if (!tokens)
            return PL_ENOMEM;
        added->tokens = tokens;
        added->cap = cap;
    }
    added->tokens[entry] = token;
    return PL_OK;
}

const struct pl_added_token *pl_added_find(const struct pl_added *added, const char *content,
                                           size_t len)
{
    const size_t entry = pl_dict_find(&added->contents, content, len);

    return entry == SIZE_MAX ? NULL : &added->tokens[entry];
}

/* Contents one behind another in `text`, the words of one round. */
struct words {
    struct pl_buf text;
    struct pl_matcher_word *items;
    uint32_t *members;
    size_t count;
};

/*
 * Special tokens come first: where two contents have one normal form, the first word counts.
 */
static int collect(const struct pl_added *added, enum pl_added_round round,
                   int (*normalize)(const void *at, const char *text, size_t len,
                                    struct pl_buf *out),
                   const void *at, struct words *words)
{
    int rc = PL_OK;

    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; rc == PL_OK && i < added->contents.count; i++) {
            const struct pl_added_token *token = &added->tokens[i];
            const size_t before = words->text.len;
            const char *content;
            size_t len;

            if (token->normalized != (round == PL_ADDED_NORMALIZED) ||
                token->special != (pass == 0))
                continue;
            content = pl_dict_key(&added->contents, i, &len);
            rc = round == PL_ADDED_NORMALIZED ? normalize(at, content, len, &words->text)
                                              : pl_buf_append(&words->text, content, len);
            if (rc < 0 || words->text.len == before)
                continue;
            words->items[words->count].len = words->text.len - before;
            words->members[words->count++] = (uint32_t)i;
        }
    }
    return rc;
}

static int build(struct pl_added *added, enum pl_added_round round,
                 int (*normalize)(const void *at, const char *text, size_t len, struct pl_buf *out),
                 const void *at)
{
    const size_t n = added->contents.count;
    struct words words = {.items = calloc(n + 1, sizeof *words.items),
                          .members = calloc(n + 1, sizeof *words.members)};
    size_t done = 0;
    int rc = PL_ENOMEM;

    pl_buf_init(&words.text, PL_MATCHER_BYTES_MAX);
    if (words.items && words.members)
        rc = collect(added, round, normalize, at, &words);
    for (size_t i = 0; rc == PL_OK && i < words.count; i++) {
        words.items[i].bytes = words.text.data + done; /* now that the buffer moves no more */
        done += words.items[i].len;
    }
    if (rc == PL_OK)
        rc = pl_matcher_build(&added->matchers[round], words.items, words.count);
    if (rc == PL_OK) {
        added->members[round] = words.members;
        words.members = NULL;
    }
    pl_buf_release(&words.text);
    free(words.items);
    free(words.members);
    return rc;
}

int pl_added_seal(struct pl_added *added,
                  int (*normalize)(const void *at, const char *text, size_t len,
                                   struct pl_buf *out),
                  const void *at)
{
    int rc = PL_OK;

    for (int round = 0; rc == PL_OK && round < PL_ADDED_ROUNDS; round++)
        rc = build(added, (enum pl_added_round)round, normalize, at);
    return rc;
}

static bool alone(const char *text, size_t len, size_t start, size_t end)
{
    size_t n;

    if (start > 0 && pl_utf8_is_word(pl_utf8_before(text, start, &n)))
        return false;
    if (end == len)
        return true;
    pl_utf8_step(text + end, len - end, &n);
    return !pl_utf8_is_word(pl_utf8_decode(text + end, n));
}

/* Where the white space that ends at `at` begins, not before `least`. */
static size_t space_before(const char *text, size_t least, size_t at)
{
    size_t start;

    while (at > least && pl_utf8_is_space(pl_utf8_before(text, at, &start)))
        at = start;
    return at > least ? at : least;
}

static size_t space_behind(const char *text, size_t len, size_t at)
{
    size_t n;

    while (at < len) {
        pl_utf8_step(text + at, len - at, &n);
        if (!pl_utf8_is_space(pl_utf8_decode(text + at, n)))
            break;
        at += n;
    }
    return at;
}

int pl_added_cut(const struct pl_added *added, enum pl_added_round round, bool spell_special,
                 struct pl_matches *matches, const char *text, size_t len, pl_cut_fn *fn, void *at,
                 struct pl_error *err)
{
    size_t done = 0, space_start = 0, space_end = 0; /* a stretch of space looked through before */

    if (pl_matcher_run(&added->matchers[round], text, len, matches) < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to look for added tokens in %zu bytes", len);
    for (size_t i = 0; i < matches->count; i++) {
        const struct pl_match *match = &matches->items[i];
        const struct pl_added_token *token = &added->tokens[added->members[round][match->word]];
        size_t start = match->start, end = start + match->len;
        int rc = PL_OK;

        if ((spell_special && token->special) ||
            (token->single_word && !alone(text, len, start, end)))
            continue;
        if (token->lstrip && start > done)
            start = space_before(text, done, start);
        if (token->rstrip) {
            if (end < space_start || end > space_end) {
                space_start = end;
                space_end = space_behind(text, len, end);
            }
            end = space_end;
        }
        if (start > done)
            rc = fn(at, text + done, start - done, NULL, err);
        if (rc == PL_OK)
            rc = fn(at, text + start, end - start, token, err);
        if (rc < 0)
            return rc;
        done = end;
    }
    return done < len ? fn(at, text + done, len - done, NULL, err) : PL_OK;
}
