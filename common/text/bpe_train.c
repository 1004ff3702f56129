#include "common/text/bpe_train.h"

#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"
#include "common/text/words.h"

#include <stdlib.h>
#include <string.h>

struct pl_bpe_trainer {
    struct pl_bpe_trainer_opts opts; /* added points to own memory */
    struct pl_write_added *added;
    struct pl_tokenizer *cutter; /* without a vocabulary: cuts text into words */
    struct pl_encoder *encoder;
    struct pl_words words;
    struct pl_bpe_learned learned;
    uint64_t bytes;
    int (*tick)(void *at, size_t tokens, size_t size);
    void *tick_at;
};

void pl_bpe_trainer_destroy(struct pl_bpe_trainer *trainer)
{
    if (!trainer)
        return;
    for (size_t i = 0; trainer->added && i < trainer->opts.added_count; i++)
        free((char *)trainer->added[i].content);
    free(trainer->added);
    pl_encoder_destroy(trainer->encoder);
    pl_tokenizer_destroy(trainer->cutter);
    pl_words_release(&trainer->words);
    pl_bpe_learned_release(&trainer->learned);
    free(trainer);
}

static int check(const struct pl_bpe_trainer_opts *opts, struct pl_error *err)
{
    const size_t least = 256 + opts->added_count;

    if (opts->added_count > PL_VOCAB_SIZE_MAX - 256 || opts->size < least ||
        opts->size > PL_VOCAB_SIZE_MAX)
        return pl_fail(err, PL_EINVAL,
                       "a vocabulary of %zu tokens; expected %zu (256 bytes and %zu added tokens) "
                       "to %d",
                       opts->size, least, opts->added_count, PL_VOCAB_SIZE_MAX);
    for (size_t i = 0; i < opts->added_count; i++) {
        const char *content = opts->added[i].content;

        if (!content[0] || !pl_utf8_valid(content, strlen(content)))
            return pl_fail(err, PL_EINVAL,
                           "added token %zu, '%.100s': expected UTF-8 that is not empty", i + 1,
                           content);
    }
    return PL_OK;
}

static int no_memory(struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "no memory to learn a vocabulary");
}

/* Ids are as good as any here. */
static int add_token(struct pl_bpe_trainer *trainer, size_t i, struct pl_error *err)
{
    const struct pl_write_added *from = &trainer->opts.added[i];
    const struct pl_added_token token = {.id = (uint32_t)i, .special = from->special};
    const size_t len = strlen(from->content);
    int rc = pl_added_add(&trainer->cutter->added, from->content, len, token);

    if (rc == PL_EINVAL)
        return pl_fail(err, PL_EINVAL, "added token '%.100s' is there twice", from->content);
    if (rc == PL_OK)
        rc = pl_vocab_add(&trainer->cutter->vocab, (uint32_t)i, from->content, len, false);
    trainer->added[i] =
        (struct pl_write_added){.content = strdup(from->content), .special = from->special};
    return rc < 0 || !trainer->added[i].content ? no_memory(err) : PL_OK;
}

static int build(struct pl_bpe_trainer *trainer, struct pl_error *err)
{
    struct pl_tokenizer *cutter = trainer->cutter = calloc(1, sizeof *cutter);
    const size_t n = trainer->opts.added_count;
    int rc;

    trainer->added = calloc(n + 1, sizeof *trainer->added);
    if (!cutter || !trainer->added)
        return no_memory(err);
    cutter->forms[cutter->forms_count++] = PL_FORM_NFC;
    rc = pl_pretok_add(&cutter->pretok, PL_PRETOK_QWEN2, false, err);
    for (size_t i = 0; rc == PL_OK && i < n; i++)
        rc = add_token(trainer, i, err);
    trainer->opts.added = trainer->added;
    if (rc == PL_OK)
        rc = pl_tokenizer_seal(cutter, "added tokens", err);
    if (rc == PL_OK && pl_encoder_create(cutter, &trainer->encoder) < 0)
        rc = no_memory(err);
    return rc;
}

int pl_bpe_trainer_create(const struct pl_bpe_trainer_opts *opts,
                          struct pl_bpe_trainer **ret_trainer, struct pl_error *err)
{
    struct pl_bpe_trainer *trainer;
    int rc = check(opts, err);

    if (rc < 0)
        return rc;
    trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return no_memory(err);
    trainer->opts = *opts;
    pl_words_init(&trainer->words, opts->words_max);
    rc = build(trainer, err);
    if (rc < 0)
        pl_bpe_trainer_destroy(trainer);
    else
        *ret_trainer = trainer;
    return rc;
}

static int count(void *at, const char *piece, size_t len, struct pl_error *err)
{
    struct pl_bpe_trainer *trainer = at;

    return pl_words_add(&trainer->words, piece, len) < 0 ? no_memory(err) : PL_OK;
}

int pl_bpe_trainer_feed(struct pl_bpe_trainer *trainer, const char *text, size_t len,
                        struct pl_error *err)
{
    trainer->bytes += len;
    return pl_tokenizer_pieces(trainer->encoder, text, len, count, trainer, err);
}

/* What an added token says must not become one by merging too. */
static bool is_added(const void *at, const char *bytes, size_t len)
{
    return pl_added_find(at, bytes, len) != NULL;
}

static int tick(void *at, size_t tokens)
{
    const struct pl_bpe_trainer *trainer = at;
    const size_t added = trainer->opts.added_count;

    return trainer->tick ? trainer->tick(trainer->tick_at, tokens + added, trainer->opts.size)
                         : PL_OK;
}

int pl_bpe_trainer_learn(struct pl_bpe_trainer *trainer,
                         int (*tick_fn)(void *at, size_t tokens, size_t size), void *at,
                         struct pl_error *err)
{
    const struct pl_bpe_learn_opts opts = {
        .tokens_max = trainer->opts.size - trainer->opts.added_count,
        .count_least = trainer->opts.count_least,
        .forbidden = is_added,
        .forbidden_at = &trainer->cutter->added,
        .tick = tick,
        .tick_at = trainer,
    };
    int rc;

    trainer->tick = tick_fn;
    trainer->tick_at = at;
    rc = pl_bpe_learn(&trainer->words, &opts, &trainer->learned);
    if (rc == PL_ENOMEM)
        return no_memory(err);
    if (rc == PL_EFULL)
        return pl_fail(err, rc, "the different words have more than 4 GiB; keep fewer of them");
    return rc < 0 ? pl_fail(err, rc, "stopped after %zu tokens",
                            trainer->learned.tokens.count + trainer->opts.added_count)
                  : PL_OK;
}

int pl_bpe_trainer_save(const struct pl_bpe_trainer *trainer, const char *dir, struct pl_error *err)
{
    return pl_tokenizer_write(dir, &trainer->learned, trainer->added, trainer->opts.added_count,
                              err);
}

void pl_bpe_trainer_stats(const struct pl_bpe_trainer *trainer,
                          struct pl_bpe_trainer_stats *ret_stats)
{
    *ret_stats = (struct pl_bpe_trainer_stats){
        .bytes = trainer->bytes,
        .words = trainer->words.total,
        .words_forgotten = trainer->words.forgotten,
        .words_too_long = trainer->words.too_long,
        .different = trainer->words.dict.count,
        .tokens = trainer->learned.tokens.count + trainer->opts.added_count,
    };
}
