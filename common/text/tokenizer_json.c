/*
 * tokenizer.json: what it describes becomes the stations of a tokenizer, or is refused by name. Its
 * "truncation" and "padding" are settings of whoever saved it, not part of what its ids mean, and
 * are passed over; plait's own commands cut by their own limits.
 */
#include "common/text/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

static int unsupported(const char *what, const char *part, const char *type, struct pl_error *err)
{
    return pl_fail(err, PL_EUNSUPPORTED, "%s: %s of type '%.60s' is not supported", what, part,
                   type);
}

/* A part is null, or an object with a type: *ret_type is NULL for null. */
static int type_of(const json_t *part, const char *name, const char *what, const char **ret_type,
                   struct pl_error *err)
{
    *ret_type = NULL;
    if (!part || json_is_null(part))
        return PL_OK;
    if (!json_is_object(part) || !json_is_string(json_object_get(part, "type")))
        return pl_fail(err, PL_EFORMAT, "%s: expected a %s that is null or an object with a type",
                       what, name);
    *ret_type = json_string_value(json_object_get(part, "type"));
    return PL_OK;
}

/* Calls take() for the members of a Sequence, or for the part itself. Sequences in sequences have
 * no use, and are refused by what take() is. */
typedef int take_fn(struct pl_tokenizer *tokenizer, const json_t *part, const char *type,
                    const char *what, struct pl_error *err);

static int take_part(struct pl_tokenizer *tokenizer, const json_t *part, const char *name,
                     const char *members, take_fn *take, const char *what, struct pl_error *err)
{
    const char *type;
    const json_t *array, *member;
    size_t i;
    int rc = type_of(part, name, what, &type, err);

    if (rc < 0 || !type)
        return rc;
    if (strcmp(type, "Sequence") != 0)
        return take(tokenizer, part, type, what, err);
    array = json_object_get(part, members);
    if (!json_is_array(array))
        return pl_fail(err, PL_EFORMAT, "%s: expected '%s' of the %s to be an array", what, members,
                       name);
    json_array_foreach(array, i, member)
    {
        rc = type_of(member, name, what, &type, err);
        if (rc == PL_OK)
            rc = type ? take(tokenizer, member, type, what, err)
                      : pl_fail(err, PL_EFORMAT, "%s: a member of '%s' is null", what, members);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

static int take_normalizer(struct pl_tokenizer *tokenizer, const json_t *part, const char *type,
                           const char *what, struct pl_error *err)
{
    static const char *const names[] = {
        [PL_FORM_NFC] = "NFC",
        [PL_FORM_NFD] = "NFD",
        [PL_FORM_NFKC] = "NFKC",
        [PL_FORM_NFKD] = "NFKD",
    };

    (void)part;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type, names[i]) != 0)
            continue;
        if (tokenizer->forms_count == PL_FORMS_MAX)
            return pl_fail(err, PL_EUNSUPPORTED, "%s: more than %d normalizers", what,
                           PL_FORMS_MAX);
        tokenizer->forms[tokenizer->forms_count++] = (enum pl_form)i;
        return PL_OK;
    }
    return unsupported(what, "a normalizer", type, err);
}

/* In front of the sentence of pl_pretok_add(). */
static int add_split(struct pl_tokenizer *tokenizer, const char *pattern, bool literal,
                     const char *what, struct pl_error *err)
{
    const int rc = pl_pretok_add(&tokenizer->pretok, pattern, literal, err);

    return rc < 0 ? pl_fail_in(err, rc == PL_EFULL ? PL_EUNSUPPORTED : rc, "%s", what) : PL_OK;
}

/* Isolated pieces are the same whether it is the matches or the rest that count as delimiters, so
 * that "invert" makes no difference. */
static int take_split(struct pl_tokenizer *tokenizer, const json_t *part, const char *what,
                      struct pl_error *err)
{
    const json_t *pattern = json_object_get(part, "pattern");
    const char *text = NULL, *behavior = NULL;
    bool literal = false;
    int rc = pl_json_string(part, "behavior", what, &behavior, err);

    if (rc < 0)
        return rc;
    if (strcmp(behavior, "Isolated") != 0)
        return unsupported(what, "the behavior of a Split", behavior, err);
    if (json_is_object(pattern) && json_object_get(pattern, "String")) {
        literal = true;
        rc = pl_json_string(pattern, "String", what, &text, err);
    } else {
        rc = pl_json_string(pattern, "Regex", what, &text, err);
    }
    return rc < 0 ? rc : add_split(tokenizer, text, literal, what, err);
}

static int take_digits(struct pl_tokenizer *tokenizer, const json_t *part, const char *what,
                       struct pl_error *err)
{
    bool individual = false;
    int rc = pl_json_bool(part, "individual_digits", what, &individual, err);

    return rc < 0 ? rc : add_split(tokenizer, individual ? "\\p{N}" : "\\p{N}+", false, what, err);
}

static int take_bytelevel(struct pl_tokenizer *tokenizer, const json_t *part, const char *what,
                          struct pl_error *err)
{
    struct pl_pretok *pretok = &tokenizer->pretok;
    bool use_regex = true;
    int rc = pl_json_bool(part, "add_prefix_space", what, &pretok->prefix_space, err);

    if (rc == PL_OK && pl_json_has(part, "use_regex"))
        rc = pl_json_bool(part, "use_regex", what, &use_regex, err);
    if (rc < 0)
        return rc;
    pretok->prefix_at = pretok->count;
    tokenizer->bytelevel = true;
    return use_regex ? add_split(tokenizer, PL_PRETOK_GPT2, false, what, err) : PL_OK;
}

static int take_pretokenizer(struct pl_tokenizer *tokenizer, const json_t *part, const char *type,
                             const char *what, struct pl_error *err)
{
    if (tokenizer->bytelevel)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: a pre_tokenizer behind ByteLevel, of type '%.60s', is not supported",
                       what, type);
    if (strcmp(type, "Split") == 0)
        return take_split(tokenizer, part, what, err);
    if (strcmp(type, "Digits") == 0)
        return take_digits(tokenizer, part, what, err);
    if (strcmp(type, "ByteLevel") == 0)
        return take_bytelevel(tokenizer, part, what, err);
    return unsupported(what, "a pre_tokenizer", type, err);
}

static int take_decoder(struct pl_tokenizer *tokenizer, const json_t *part, const char *type,
                        const char *what, struct pl_error *err)
{
    (void)part;
    if (strcmp(type, "ByteLevel") != 0 || tokenizer->decoder)
        return unsupported(what, tokenizer->decoder ? "a second decoder" : "a decoder", type, err);
    tokenizer->decoder = true;
    return PL_OK;
}

/* A member of a template before or behind the text: its ids are in special_tokens of the template.
 */
static int take_front(struct pl_tokenizer *tokenizer, const json_t *part, const json_t *member,
                      const char *what, struct pl_error *err)
{
    const json_t *tokens = json_object_get(part, "special_tokens"), *ids, *id;
    const char *name = NULL;
    size_t i;
    int rc = pl_json_string(json_object_get(member, "SpecialToken"), "id", what, &name, err);

    if (rc < 0)
        return rc;
    ids = json_object_get(json_object_get(tokens, name), "ids");
    json_array_foreach(ids, i, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= PL_VOCAB_SIZE_MAX)
            return pl_fail(err, PL_EFORMAT, "%s: '%.100s' of the post_processor has no valid id",
                           what, name);
        if (tokenizer->front_count == PL_FRONT_MAX)
            return pl_fail(err, PL_EUNSUPPORTED,
                           "%s: a post_processor that adds more than %d tokens is not supported",
                           what, PL_FRONT_MAX);
        tokenizer->front[tokenizer->front_count++] = (uint32_t)json_integer_value(id);
    }
    if (json_array_size(ids) == 0)
        return pl_fail(err, PL_EFORMAT, "%s: the post_processor names no ids of '%.100s'", what,
                       name);
    return PL_OK;
}

/* Tokens in front of a text are kept apart; none may follow, since a prompt ends with its text. */
static int take_template(struct pl_tokenizer *tokenizer, const json_t *part, const char *what,
                         struct pl_error *err)
{
    const json_t *single = json_object_get(part, "single"), *member;
    bool text = false;
    size_t i;

    json_array_foreach(single, i, member)
    {
        int rc = PL_OK;

        if (json_object_get(member, "Sequence") && !text)
            text = true;
        else if (text)
            rc = pl_fail(err, PL_EUNSUPPORTED,
                         "%s: a post_processor that adds tokens behind a text is not supported",
                         what);
        else
            rc = take_front(tokenizer, part, member, what, err);
        if (rc < 0)
            return rc;
    }
    return text ? PL_OK
                : pl_fail(err, PL_EFORMAT,
                          "%s: expected 'single' of the post_processor to hold a Sequence", what);
}

static int take_postprocessor(struct pl_tokenizer *tokenizer, const json_t *part, const char *type,
                              const char *what, struct pl_error *err)
{
    if (strcmp(type, "ByteLevel") == 0) /* offsets only */
        return PL_OK;
    if (strcmp(type, "TemplateProcessing") == 0)
        return take_template(tokenizer, part, what, err);
    return unsupported(what, "a post_processor", type, err);
}

/* A merge is "a b", or since 2024 ["a", "b"]. */
static int take_merge(struct pl_tokenizer *tokenizer, const json_t *vocab, const json_t *merge,
                      struct pl_buf *left, struct pl_buf *scratch, const char *what,
                      struct pl_error *err)
{
    const size_t rank = tokenizer->bpe.count;
    const char *a = json_string_value(json_array_get(merge, 0));
    const char *b = json_string_value(json_array_get(merge, 1));
    const char *text = json_string_value(merge), *space;

    if (json_array_size(merge) == 2 && a && b)
        return pl_tokenizer_take_merge(tokenizer, vocab, a, b, scratch, what, err);
    space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return pl_fail(err, PL_EFORMAT,
                       "%s: expected merge %zu to be two tokens, as [\"a\", \"b\"] or \"a b\"",
                       what, rank);
    pl_buf_clear(left);
    if (pl_buf_append(left, text, (size_t)(space - text)) < 0)
        return pl_fail(err, PL_ENOMEM, "%s: no memory for the merges", what);
    return pl_tokenizer_take_merge(tokenizer, vocab, left->data, space + 1, scratch, what, err);
}

static int take_merges(struct pl_tokenizer *tokenizer, const json_t *vocab, const json_t *merges,
                       const char *what, struct pl_error *err)
{
    struct pl_buf left, scratch;
    const json_t *merge;
    size_t i;
    int rc = PL_OK;

    pl_buf_init(&left, UINT32_MAX);
    pl_buf_init(&scratch, UINT32_MAX);
    json_array_foreach(merges, i, merge)
    {
        rc = take_merge(tokenizer, vocab, merge, &left, &scratch, what, err);
        if (rc < 0)
            break;
    }
    pl_buf_release(&left);
    pl_buf_release(&scratch);
    return rc;
}

/* What would make another algorithm of it. */
static int check_model(const json_t *model, const char *what, struct pl_error *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type, *affix;
    double dropout = 0;
    int rc = type_of(model, "model", what, &type, err);

    if (rc < 0)
        return rc;
    if (!type)
        return pl_fail(err, PL_EFORMAT, "%s: the model is missing", what);
    if (strcmp(type, "BPE") != 0)
        return unsupported(what, "a model", type, err);
    if (pl_json_has(model, "dropout"))
        rc = pl_json_real(model, "dropout", what, 0, 1, &dropout, err);
    if (rc == PL_OK && dropout > 0)
        return pl_fail(err, PL_EUNSUPPORTED, "%s: a model with dropout is not supported", what);
    for (size_t i = 0; rc == PL_OK && i < 2; i++) {
        affix = "";
        if (pl_json_has(model, affixes[i]))
            rc = pl_json_string(model, affixes[i], what, &affix, err);
        if (rc == PL_OK && affix[0])
            return pl_fail(err, PL_EUNSUPPORTED, "%s: a model with a %s is not supported", what,
                           affixes[i]);
    }
    return rc;
}

static int flag(const json_t *model, const char *key, const char *what, bool *ret,
                struct pl_error *err)
{
    *ret = false;
    return pl_json_has(model, key) ? pl_json_bool(model, key, what, ret, err) : PL_OK;
}

static int take_model(struct pl_tokenizer *tokenizer, const json_t *model, const char *what,
                      struct pl_error *err)
{
    const json_t *vocab = json_object_get(model, "vocab"), *merges;
    const char *unknown = NULL;
    bool fuse = false, fallback = false;
    int rc = check_model(model, what, err);

    if (rc < 0)
        return rc;
    merges = json_object_get(model, "merges");
    if (!json_is_array(merges))
        return pl_fail(err, PL_EFORMAT, "%s: expected 'merges' of the model to be an array", what);
    if (pl_json_has(model, "unk_token"))
        rc = pl_json_string(model, "unk_token", what, &unknown, err);
    if (rc == PL_OK)
        rc = flag(model, "fuse_unk", what, &fuse, err);
    if (rc == PL_OK)
        rc = flag(model, "ignore_merges", what, &tokenizer->ignore_merges, err);
    if (rc == PL_OK)
        rc = flag(model, "byte_fallback", what, &fallback, err);
    if (rc == PL_OK)
        rc = pl_tokenizer_take_vocab(tokenizer, vocab, unknown, json_array_size(merges), what, err);
    if (rc < 0)
        return rc;
    if (fallback && tokenizer->bpe.unknown != PL_BPE_NONE)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: byte_fallback with bytes missing in the vocabulary is not supported",
                       what);
    tokenizer->bpe.fuse_unknown = fuse;
    return take_merges(tokenizer, vocab, merges, what, err);
}

static int take_added(struct pl_tokenizer *tokenizer, const json_t *root, const char *what,
                      struct pl_error *err)
{
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    const json_t *added = json_object_get(root, "added_tokens"), *entry;
    size_t i, id = 0;

    if (!added || json_is_null(added))
        return PL_OK;
    if (!json_is_array(added))
        return pl_fail(err, PL_EFORMAT, "%s: expected 'added_tokens' to be an array", what);
    json_array_foreach(added, i, entry)
    {
        int rc = pl_json_size(entry, "id", what, 0, PL_VOCAB_SIZE_MAX - 1, &id, err);

        if (rc == PL_OK)
            rc = pl_tokenizer_take_added(tokenizer, vocab, entry, id, what, err);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}

static int take_root(struct pl_tokenizer *tokenizer, const json_t *root, const char *what,
                     struct pl_error *err)
{
    int rc = take_part(tokenizer, json_object_get(root, "normalizer"), "normalizer", "normalizers",
                       take_normalizer, what, err);

    if (rc == PL_OK)
        rc = take_part(tokenizer, json_object_get(root, "pre_tokenizer"), "pre_tokenizer",
                       "pretokenizers", take_pretokenizer, what, err);
    if (rc == PL_OK)
        rc = take_part(tokenizer, json_object_get(root, "decoder"), "decoder", "decoders",
                       take_decoder, what, err);
    if (rc == PL_OK)
        rc = take_part(tokenizer, json_object_get(root, "post_processor"), "post_processor",
                       "processors", take_postprocessor, what, err);
    if (rc < 0)
        return rc;
    if (!tokenizer->bytelevel || !tokenizer->decoder)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "%s: expected a byte-level tokenizer, with a %s of type ByteLevel", what,
                       tokenizer->bytelevel ? "decoder" : "pre_tokenizer");
    rc = take_model(tokenizer, json_object_get(root, "model"), what, err);
    if (rc == PL_OK)
        rc = take_added(tokenizer, root, what, err);
    return rc < 0 ? rc : pl_tokenizer_seal(tokenizer, what, err);
}

int pl_tokenizer_parse(const char *json, size_t len, const char *what,
                       struct pl_tokenizer **ret_tokenizer, struct pl_error *err)
{
    struct pl_tokenizer *tokenizer = NULL;
    json_t *root = NULL;
    int rc = pl_json_parse(json, len, what, &root, err);

    if (rc < 0)
        return rc;
    tokenizer = calloc(1, sizeof *tokenizer);
    rc = tokenizer ? take_root(tokenizer, root, what, err)
                   : pl_fail(err, PL_ENOMEM, "%s: no memory for the tokenizer", what);
    json_decref(root);
    if (rc < 0)
        pl_tokenizer_destroy(tokenizer);
    else
        *ret_tokenizer = tokenizer;
    return rc;
}
